/* SPDX-License-Identifier: ISC */
/*
 * exec_run: CMD as a child of mortise, in the same process group, or in mortise's place. As a child
 * it gets the signals that mortise gets, stops and goes on with it, and its output is masked.
 */
#ifndef MORTISE_CLI_EXEC_RUN_H
#define MORTISE_CLI_EXEC_RUN_H

#include <sys/resource.h>
#include <sys/types.h>

#include "cli.h"
#include "exec_stream.h"

struct exec_command {
	char *const *arguments;
	char *const *variables;
	struct rlimit core; /* mortise's own is 0 */
	int death_signal;   /* that a child gets when mortise ends before it; 0: none */
};

/* Says that a command cannot be run; the exit status that shells have for that. */
int exec_run_fail(const struct cli *cli, const char *name, int error);

/* Returns only if CMD cannot be run: errno. */
int exec_run_instead(const struct exec_command *command);

/*
 * Starts CMD and returns when it runs. 0, or errno: then *out_is_commands tells whether it is CMD
 * that cannot be run, or nothing could be.
 */
int exec_run_start(const struct exec_command *command, struct exec_streams *streams,
	pid_t *out_child, bool *out_is_commands);

/*
 * Until CMD ends: its exit status, or 128 and the signal. Output that others write later is still
 * masked, by a process left behind for it.
 */
int exec_run_wait(pid_t child, struct exec_streams *streams);

#endif
