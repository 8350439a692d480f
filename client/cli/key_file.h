/* SPDX-License-Identifier: ISC */
/*
 * key_file: where a key goes that is told once: a new file, whatever else can be written to
 * (standard output, a FIFO, /dev/fd/N), or the terminal. The place is there, with room, before
 * there is a key.
 */
#ifndef MORTISE_CLI_KEY_FILE_H
#define MORTISE_CLI_KEY_FILE_H

#include "output_file.h"

struct key_file {
	const char *name; /* NULL: the terminal */
	struct output_file file;
};

struct key_line {
	const char *text;
	size_t size;
};

/* By --recovery-file; CLI_DONE, or an exit status after the error. */
int key_file_prepare(const struct cli *cli, struct key_file *file);
void key_file_abandon(struct key_file *file);

/* A file starts with the comment, a terminal with before, and it ends with after. MORTISE_IO. */
enum mortise_status key_file_keep(struct key_file *file, const char *comment, const char *before,
	const struct key_line *lines, size_t count, const char *after) MUST_USE;

/* Is standard output the key's alone? Then what else is said goes to standard error. */
bool key_file_is_output(const struct key_file *file);

#endif
