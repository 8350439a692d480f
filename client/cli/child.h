/* SPDX-License-Identifier: ISC */
/*
 * child: a command that is run and waited for, with what it is handed by descriptor.
 * Signals that would end mortise meanwhile go to the command instead, once; what it prints is its
 * own. Knows nothing of secrets. (exec has its own way: it stands in CMD's place.)
 */
#ifndef MORTISE_CLI_CHILD_H
#define MORTISE_CLI_CHILD_H

#include <stdbool.h>
#include <sys/resource.h>

#define CHILD_GIVEN_MAX 6

/* The statuses that shells have for a command that cannot be run. */
enum { CHILD_CANNOT_RUN = 126, CHILD_NO_COMMAND = 127 };

/* A variable of the command's environment. */
struct child_given {
	const char *name;
	const char *text; /* NULL: the number of descriptor */
	int descriptor;   /* stays open in the command; -1: none, and without text no variable */
};

struct child {
	char *const *arguments; /* the first is looked for in PATH, unless it has a '/' in it */
	struct child_given given[CHILD_GIVEN_MAX];
	int given_count;
	bool output_to_errors; /* its standard output is mortise's standard error */
	struct rlimit core;
};

struct child_end {
	int status; /* its own, 128 and its signal, or one of those above */
	int error;  /* errno, where it could not be run; else 0 */
	int signal; /* that mortise was to end by meanwhile; 0: none */
};

/* Returns when the command has ended. */
struct child_end child_run(const struct child *child);

#endif
