/* SPDX-License-Identifier: ISC */
/*
 * input: values, keys and answers from standard input, files and the terminal. Nothing is
 * buffered in stdio. Whoever owns a buffer wipes it.
 */
#ifndef MORTISE_CLI_INPUT_H
#define MORTISE_CLI_INPUT_H

#include "cli.h"

/* A value, with room for one byte more than is allowed and a NUL. */
struct input {
	size_t size;
	uint8_t bytes[MORTISE_VALUE_MAX + 2];
};

/* On the heap, locked if possible; input_free() wipes it and takes NULL. */
struct input *input_new(void);
void input_free(struct input **input);

/*
 * Reads all of name, "-" being standard input. MORTISE_IO with errno; MORTISE_INVALID if it
 * is larger than a value may be.
 */
enum mortise_status input_read(const char *name, struct input *out_input) MUST_USE;

/*
 * Asks on the terminal that is standard input, without echo, for a line; its newline is not
 * part of it. The terminal is mended after a signal too. MORTISE_IO, MORTISE_INVALID.
 */
enum mortise_status input_ask_hidden(const char *prompt, struct input *out_input) MUST_USE;

/* Is the input one line of printable text with its newline? Such a newline is not meant. */
bool input_is_line(const struct input *input);

/* A yes is asked for only on a terminal, and neither with --yes nor with --json. */
bool input_confirm(const struct cli *cli, const char *question);

#endif
