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

extern const struct command command_audit_acknowledge, command_audit_public_key, command_audit_show,
	command_audit_verify, command_backup_create, command_backup_restore, command_backup_verify,
	command_clock_accept, command_clock_show, command_complete, command_delete, command_destroy,
	command_dev, command_doctor, command_exec, command_get, command_hygiene, command_import,
	command_init, command_list, command_meta, command_move, command_policy_apply,
	command_policy_check, command_policy_edit, command_policy_may, command_policy_reset,
	command_policy_rollback, command_policy_show, command_policy_test, command_policy_who,
	command_recover, command_rekey, command_render, command_rollback, command_rotate,
	command_scan, command_seal, command_set, command_show, command_slot_add,
	command_slot_change_pin, command_slot_escrow_key, command_slot_list, command_slot_remove,
	command_slot_reseal, command_slot_suspend, command_slot_test, command_status,
	command_undelete, command_unseal, command_verify, command_watch, command_whoami;

#endif
