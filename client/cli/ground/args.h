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

/* Where the last word of a line stands, which somebody is still typing. */
struct args_place {
	const char *group;           /* "policy", if that was all of the command's name so far */
	const struct option *option; /* whose value it is, or has behind its '=' */
	bool is_option;              /* it is an option itself */
};

/*
 * Fills cli from the words before the last of argv, of which there are two or more, with what
 * args_parse() would make of them. Says nothing; false if one of them is wrong.
 */
bool args_locate(struct cli *cli, const struct command *const *commands, int argc,
	char *const *argv, const char **operands, struct args_place *out_place) MUST_USE;

bool args_has(const struct cli *cli, const char *name);
/* The value of an option, the last one given; NULL if it was not. */
const char *args_value(const struct cli *cli, const char *name);

/* The name of a unit that processes can be in. */
bool args_is_unit(const char *text, size_t size);
/* Decimal digits and nothing else. */
bool args_number(const char *text, uint64_t *out_number);

/* The number of an option, or fallback without it. CLI_USAGE if it is below least, and says so. */
int args_number_of(const struct cli *cli, const char *name, uint64_t least, uint64_t fallback,
	uint64_t *out_number);

/*
 * The tables in force, of which some are NULL; command may be, too. Its own come first: get has
 * a --version=N.
 */
void args_tables(const struct command *command, const struct option *out_tables[3]);

/* The option that an argument such as --name, --name=value or -n is, or NULL. */
const struct option *args_find(const struct cli *cli, const char *argument);

/* What every command takes, and what those take that change something. */
extern const struct option args_global_options[], args_change_options[];

#endif
