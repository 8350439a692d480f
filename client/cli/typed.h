/* SPDX-License-Identifier: ISC */
/*
 * typed: PINs, recovery keys and shares, from files or asked for on the terminal without echo.
 * Whether they are right the agent alone says.
 */
#ifndef MORTISE_CLI_TYPED_H
#define MORTISE_CLI_TYPED_H

#include "input.h"
#include "seal_wish.h"

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
 * A whole recovery key, from --recovery-file or the terminal, in input, which the caller frees (and
 * which may be NULL: out of memory). CLI_DONE, or an exit status after the error.
 */
int typed_key(const struct cli *cli, struct input *input, const char **out_key, size_t *out_size);

struct typed_call {
	enum wire_opcode opcode;
	uint64_t number;              /* NUMBER, such as a slot's id; 0: none */
	const struct seal_wish *wish; /* its fields go along; NULL: none */
};

/*
 * Asks the agent with the recovery key, or with shares one after another until there are enough: in
 * the file of --recovery-file, or typed. CLI_DONE with the last reply, or an exit status after the
 * error.
 */
int typed_key_call(struct cli *cli, const struct typed_call *call, struct wire_message *out_reply);

/*
 * Reads a file of keys, or of shares, a line each; what: "the recovery key". CLI_DONE, or an exit
 * status after the error.
 */
int typed_file(const struct cli *cli, const char *what, const char *name, struct input *out_lines);

/* The first line that is neither empty nor a comment, without blanks around it; then the next. */
bool typed_next_line(
	const struct input *input, size_t *at, const char **out_line, size_t *out_size);

#endif
