/* SPDX-License-Identifier: ISC */
/* envfile_input: a .env file as a command is given it, with what is wrong about it in words. */
#ifndef MORTISE_CLI_ENVFILE_INPUT_H
#define MORTISE_CLI_ENVFILE_INPUT_H

#include "envfile.h"
#include "input.h"

/* CLI_DONE, or an exit status after the error. */
typedef int envfile_visit(void *context, const struct envfile_entry *entry);

/*
 * Each entry of the file called name, "-" being standard input, up to the first that visit
 * refuses. Entries point into *out_input, which the caller frees, also after a failure. CLI_DONE,
 * or an exit status after the error.
 */
int envfile_input_read(const struct cli *cli, const char *name, struct input **out_input,
	envfile_visit *visit, void *context);

#endif
