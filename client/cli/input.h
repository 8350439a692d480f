/* SPDX-License-Identifier: ISC */
/*
 * input: values, keys and answers from standard input, files and the terminal, and the files
 * that receive them. Nothing is buffered in stdio. Whoever owns a buffer wipes it.
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

/* A file being written: created closed to others; it appears under its name all at once. */
struct input_file {
	int fd;
	mode_t mode; /* 0600 at first */
	const char *name;
	char temporary[4096];
};

/* "-" is standard output. MORTISE_IO with errno. */
enum mortise_status input_file_begin(const char *name, struct input_file *out_file) MUST_USE;
enum mortise_status input_file_commit(struct input_file *file) MUST_USE;
/* Removes what was not committed. */
void input_file_abandon(struct input_file *file);

/*
 * All of that with what write() puts into it; NULL for a name is standard output too. CLI_DONE, or
 * an exit status after the error.
 */
int input_file_write(const struct cli *cli, const char *name,
	enum mortise_status (*write)(int fd, const void *context), const void *context);

#endif
