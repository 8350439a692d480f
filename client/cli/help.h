/* SPDX-License-Identifier: ISC */
/* help: what --help prints, from the tables of commands and options. */
#ifndef MORTISE_CLI_HELP_H
#define MORTISE_CLI_HELP_H

#include "cli.h"

/* commands ends with NULL. */
void help_overview(const struct command *const *commands);
void help_command(const struct command *command);

#endif
