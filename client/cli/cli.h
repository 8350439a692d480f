/* SPDX-License-Identifier: ISC */
/*
 * cli: what the files of the `mortise` command share: one invocation, and how a command is
 * described. Commands hold no key and parse no store; they ask the agent and show its answer.
 * A command's function prints its result or its one error and returns the exit status.
 */
#ifndef MORTISE_CLI_H
#define MORTISE_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/resource.h>

#include "client.h"

#define CLI_GIVEN_MAX 300 /* more than the paths of one exec */

/* The exit statuses of the contract. */
enum cli_exit {
	CLI_DONE = 0,
	CLI_FOUND = 1, /* a check found something */
	CLI_USAGE = 64,
	CLI_INTEGRITY = 65,
	CLI_NOT_FOUND = 66,
	CLI_UNREACHABLE = 69,
	CLI_CONFLICT = 73,
	CLI_IO = 74,
	CLI_TRY_AGAIN = 75,
	CLI_DENIED = 77,
	CLI_REJECTED = 78,
};

struct option {
	const char *name;
	char letter;          /* 0: none */
	const char *argument; /* what --help calls its value; NULL: it takes none */
	const char *help;
};

struct cli;

struct command {
	const char *name; /* "get", "policy apply" */
	const char *operands;
	const char *summary;
	const struct option *options; /* up to one without a name; NULL: none of its own */
	int least, most;              /* how many operands */
	const char *surplus;          /* what is said of one more; NULL: how it is used */
	bool changes_something;       /* takes --dry-run and --yes */
	const char *verb;             /* what a rule must allow; NULL: for operators */
	int exits[5];                 /* statuses beside those that every command may have */
	bool ends_options;            /* what stands behind its first operand is that one's */
	bool is_hidden;               /* for programs: no overview lists it, and it asks no agent */
	const char *notes;            /* lines for --help, or NULL */
	const char *examples;
	int (*run)(struct cli *cli);
};

struct cli {
	const struct command *const *commands; /* all of them; ends with NULL */
	const struct command *command;
	const char **operands;
	int operand_count;
	char *const *argv;
	int operands_at;           /* of a command that ends options, the first operand in argv */
	int behind_at;             /* in argv, what stands behind "--"; 0: there is none */
	int operands_before;       /* how many operands stand before it */
	struct rlimit core_before; /* main has lowered it */
	struct {
		const struct option *option;
		const char *value;
	} given[CLI_GIVEN_MAX];
	int given_count;
	const char *socket_path;
	int wait_ms;
	bool is_json, is_dry_run, is_yes, wants_help, wants_version;
	bool is_quiet;         /* no error is printed */
	int ends_by;           /* the signal that ended what ran in mortise's stead; 0: none */
	struct mortise *agent; /* there while a command runs */
};

/*
 * Every command there is, in the order of --help: for each, a file of its room has command_NAME.
 */
/* clang-format off */
#define CLI_COMMANDS(EACH) \
	EACH(init) \
	EACH(status) \
	EACH(doctor) \
	EACH(whoami) \
	EACH(unseal) \
	EACH(seal) \
	EACH(get) \
	EACH(exec) \
	EACH(render) \
	EACH(dev) \
	EACH(set) \
	EACH(import) \
	EACH(list) \
	EACH(show) \
	EACH(meta) \
	EACH(move) \
	EACH(rollback) \
	EACH(delete) \
	EACH(undelete) \
	EACH(destroy) \
	EACH(policy_apply) \
	EACH(policy_show) \
	EACH(policy_check) \
	EACH(policy_edit) \
	EACH(policy_rollback) \
	EACH(policy_reset) \
	EACH(policy_who) \
	EACH(policy_may) \
	EACH(policy_test) \
	EACH(audit_show) \
	EACH(audit_verify) \
	EACH(audit_public_key) \
	EACH(audit_acknowledge) \
	EACH(verify) \
	EACH(clock_show) \
	EACH(clock_accept) \
	EACH(hygiene) \
	EACH(scan) \
	EACH(watch) \
	EACH(rotate) \
	EACH(rekey) \
	EACH(slot_list) \
	EACH(slot_add) \
	EACH(slot_remove) \
	EACH(slot_test) \
	EACH(slot_reseal) \
	EACH(slot_suspend) \
	EACH(slot_change_pin) \
	EACH(slot_escrow_key) \
	EACH(backup_create) \
	EACH(backup_verify) \
	EACH(backup_restore) \
	EACH(recover) \
	EACH(complete)
/* clang-format on */

#define DECLARED(name) extern const struct command command_##name;
CLI_COMMANDS(DECLARED)
#undef DECLARED

#endif
