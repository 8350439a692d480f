/* SPDX-License-Identifier: ISC */
/*
 * typed: PINs, and lines of keys or shares, from files or asked for on the terminal without echo.
 * Whether they are right the agent alone says.
 */
#ifndef MORTISE_CLI_TYPED_H
#define MORTISE_CLI_TYPED_H

#include "input.h"

/*
 * Leaves out the ending of a line, \n or \r\n. NULL, or what keeps the rest from being one line
 * that could be typed: "has more than one line".
 */
const char *typed_line(struct input *line);

/*
 * The PIN in the file that the option names, one line without its ending; "-" on a terminal, or no
 * option (NULL), asks there, twice where it is a new one. CLI_DONE, or an exit status after the
 * error.
 */
int typed_pin(const struct cli *cli, const char *option, const char *prompt, bool is_new,
	struct input *pin);

/*
 * Reads a file of keys, or of shares, a line each; what: "the recovery key". CLI_DONE, or an exit
 * status after the error.
 */
int typed_file(const struct cli *cli, const char *what, const char *name, struct input *out_lines);

/* The first line that is neither empty nor a comment, without blanks around it; then the next. */
bool typed_next_line(
	const struct input *input, size_t *at, const char **out_line, size_t *out_size);

#endif
