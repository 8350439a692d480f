/* SPDX-License-Identifier: ISC */
/*
 * args: the command line, taken apart by the tables of commands and options.
 * Options stand anywhere, as --name=value, --name value or a letter; "--" ends them.
 */
#ifndef MORTISE_CLI_ARGS_H
#define MORTISE_CLI_ARGS_H

#include <stdint.h>

#include "cli.h"

/*
 * Fills cli. operands has room for argc pointers and must outlive cli. CLI_DONE, or CLI_USAGE
 * after saying what is wrong. commands ends with NULL.
 */
int args_parse(struct cli *cli, const struct command *const *commands, int argc, char *const *argv,
	const char **operands);

bool args_has(const struct cli *cli, const char *name);
/* The value of an option, the last one given; NULL if it was not. */
const char *args_value(const struct cli *cli, const char *name);

/* Decimal digits and nothing else. */
bool args_number(const char *text, uint64_t *out_number);

/* The number of an option, or fallback without it. CLI_USAGE after saying what is wrong. */
int args_number_of(
	const struct cli *cli, const char *name, uint64_t fallback, uint64_t *out_number);

/* What every command takes, and what those take that change something. */
extern const struct option args_global_options[], args_change_options[];

#endif
