/* SPDX-License-Identifier: ISC */
/* dev_directory: where a throw-away agent lives, and that nothing of it stays. */
#ifndef MORTISE_CLI_DEV_DIRECTORY_H
#define MORTISE_CLI_DEV_DIRECTORY_H

#include <stdbool.h>

#include "cli.h"

#define DEV_DIRECTORY_MAX 86 /* bytes: leaves room for a socket's name */

struct dev_directory {
	char path[DEV_DIRECTORY_MAX + 1];
};

/*
 * A name that nobody has, in XDG_RUNTIME_DIR, TMPDIR or /tmp; makes nothing. CLI_DONE, or an exit
 * status after the error.
 */
int dev_directory_choose(const struct cli *cli, struct dev_directory *out_directory);

/* Makes it, for this user alone. False with errno. */
bool dev_directory_make(const struct dev_directory *directory);

/* With all that is in it. False while something is left. */
bool dev_directory_remove(const struct dev_directory *directory);

#endif
