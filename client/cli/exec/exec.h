/* SPDX-License-Identifier: ISC */
/*
 * exec: the environment of CMD, and the memory files behind its descriptors. Those are sealed:
 * nobody changes what is in them, and they are on no disk under any name.
 */
#ifndef MORTISE_CLI_EXEC_H
#define MORTISE_CLI_EXEC_H

#include "exec_plan.h"

struct exec_environment {
	char **variables; /* NAME=VALUE, NULL at the end */
	size_t count, capacity;
	int *descriptors; /* open over exec */
	size_t descriptor_count;
};

/*
 * The environment of this process, or with is_clean only who and where one is, and the plan's
 * variables instead of those of their names. MORTISE_IO with errno.
 */
enum mortise_status exec_environment_make(const struct exec_plan *plan, bool is_clean,
	struct exec_environment *out_environment) MUST_USE;

/* Wipes the variables and closes the descriptors. */
void exec_environment_done(struct exec_environment *environment);

#endif
