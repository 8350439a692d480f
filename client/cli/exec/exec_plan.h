/* SPDX-License-Identifier: ISC */
/*
 * exec_plan: which variables CMD gets, and from where: the options of `exec` put together, each
 * name once, and the values for them from one snapshot.
 */
#ifndef MORTISE_CLI_EXEC_PLAN_H
#define MORTISE_CLI_EXEC_PLAN_H

#include "fetch.h"
#include "input.h"
#include "mask.h"

#define EXEC_PLAN_LITERAL (-1)

struct exec_variable {
	char *name;
	const char *literal;       /* of an env file */
	int item;                  /* in fetch; EXEC_PLAN_LITERAL: none */
	bool is_descriptor;        /* the value goes into a memory file */
	const struct option *from; /* which option it comes from */
};

struct exec_plan {
	struct exec_variable *variables;
	size_t count;
	struct fetch fetch;
	struct input *env_file; /* literals and paths point into it */
	char **paths;           /* of --env-from */
	size_t path_count;
};

/* All names and values. CLI_DONE, or an exit status after the error. The plan starts zeroed. */
int exec_plan_make(struct cli *cli, struct exec_plan *plan);

/* The value of a variable that is none of the env file's own. */
const struct fetched *exec_plan_value(
	const struct exec_plan *plan, const struct exec_variable *variable);

/* Wipes. */
void exec_plan_done(struct cli *cli, struct exec_plan *plan);

/*
 * Which values of a plan are masked in CMD's output, and what is said of the others. A user's name
 * or a host's is no secret, and where it is replaced a dump is another.
 */

/* CLI_DONE, or an exit status after the error. NULL with --no-mask. */
int exec_mask_make(struct cli *cli, const struct exec_plan *plan, struct mask **out_mask);

/*
 * Does a secret of that name, or a field of it, have a name in it, and not what nobody is to know?
 * The name says so by its last word (db-user, host), and the value looks like one (shopadmin,
 * db1.example.org).
 */
bool exec_mask_is_word(const char *path, const char *field, const uint8_t *value, size_t size);

#endif
