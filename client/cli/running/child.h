/* SPDX-License-Identifier: ISC */
/*
 * child: a command that runs in mortise's stead, as a child of mortise, and is waited for. It gets
 * the signals that mortise gets, each once (child_signals.h); it stops and goes on with mortise;
 * and mortise tells its own parent of its end by ending in the same way (child_end.signal). With
 * streams its output passes through a mask, and on a terminal it has a session of its own
 * (child_session.h). Knows nothing of secrets.
 */
#ifndef MORTISE_CLI_CHILD_H
#define MORTISE_CLI_CHILD_H

#include <stdbool.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "child_session.h"
#include "child_terminal.h"
#include "cli.h"
#include "exec_stream.h"

#define CHILD_GIVEN_MAX 6

/* A variable of the command's environment. */
struct child_given {
	const char *name;
	const char *text; /* NULL: the number of descriptor */
	int descriptor;   /* stays open in the command; -1: none, and without text no variable */
};

struct child {
	char *const *arguments; /* the first is looked for in PATH, unless it has a '/' in it */
	char *const *variables; /* NULL: mortise's own environment */
	struct child_given given[CHILD_GIVEN_MAX];
	int given_count;
	bool output_to_errors;        /* its standard output is mortise's standard error */
	struct rlimit core;           /* mortise's own is 0 */
	int death_signal;             /* that it gets when mortise ends before it; 0: none */
	struct exec_streams *streams; /* NULL: its output and errors are mortise's own */
	/* What the processes beside it need not know; NULL: nothing. */
	void (*forget)(void *context);
	void *context;
};

/* Where a command that has been started stands. */
struct child_run {
	const struct child *child;
	pid_t pid; /* mortise's own child: the command, or the leader of its session */
	struct child_session session;
	struct child_terminal terminal; /* at which a person sits; its fd is -1 without a session */
	bool is_commands; /* it is the command that could not be run, and nothing else */
	bool is_stopped, is_over, is_hung_up;
	int wait_status;
	int64_t over_ms;
	sigset_t waiting;
};

struct child_end {
	int status; /* its own, or 128 and its signal */
	int error;  /* errno, where it could not be run; else 0 */
	int signal; /* that ended it; 0: none */
	int asked;  /* the signal that would have ended mortise meanwhile; 0: none */
};

/* Returns only if the command cannot be run: errno. */
int child_become(const struct child *child);

/* Returns when it runs: 0; or errno. child stays until the end. */
int child_start(const struct child *child, struct child_run *out_run);
/*
 * Until it ends. Output that others write later is still masked, by a process left behind for it.
 */
struct child_end child_wait(struct child_run *run);

/* Both. */
struct child_end child_run(const struct child *child);

/* Says that a command cannot be run; the exit status that shells have for that. */
int child_fail(const struct cli *cli, const char *name, int error);

#endif
