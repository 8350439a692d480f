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

#include "client.h"

#define CLI_GIVEN_MAX 64

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
	bool changes_something;       /* takes --dry-run and --yes */
	const char *verb;             /* what a rule must allow */
	const char *notes;            /* lines for --help, or NULL */
	const char *examples;
	int (*run)(struct cli *cli);
};

struct cli {
	const struct command *command;
	const char **operands;
	int operand_count;
	struct {
		const struct option *option;
		const char *value;
	} given[CLI_GIVEN_MAX];
	int given_count;
	const char *socket_path;
	int wait_ms;
	bool is_json, is_dry_run, is_yes, wants_help, wants_version;
	struct mortise *agent; /* there while a command runs */
};

extern const struct command command_init, command_status, command_whoami, command_unseal,
	command_seal, command_get, command_set, command_list, command_show, command_delete,
	command_undelete, command_policy_apply, command_policy_show, command_policy_check,
	command_audit_show, command_audit_verify, command_audit_public_key, command_verify,
	command_backup_create;

#endif
