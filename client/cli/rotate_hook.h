/* SPDX-License-Identifier: ISC */
/*
 * rotate_hook: the executable that carries a new value to where it is used.
 * It is run as whoever runs mortise, so it must be one that nobody else could have put there.
 * "HOOK STEP PATH", with the files MORTISE_PENDING and MORTISE_CURRENT, and their descriptors
 * MORTISE_PENDING_FD and MORTISE_CURRENT_FD: nothing secret is in its arguments or environment.
 */
#ifndef MORTISE_CLI_ROTATE_HOOK_H
#define MORTISE_CLI_ROTATE_HOOK_H

#include "child.h"
#include "cli.h"

struct rotate_hook {
	const char *file, *path; /* of the executable; of the secret */
	int current_fd;          /* sealed; -1: it has none */
};

/* Can it be run, and by nobody's choice but root's or the caller's? Else what is wrong with it. */
bool rotate_hook_check(const char *file, char *out_wrong, size_t size);

/* Its standard output is mortise's standard error. */
struct child_end rotate_hook_run(
	const struct cli *cli, const struct rotate_hook *hook, const char *step, int pending_fd);

#endif
