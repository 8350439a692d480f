/* SPDX-License-Identifier: ISC */
/*
 * output_file: opens what a user names to be written, whatever stands there.
 *
 *   -                    standard output
 *   /dev/stdout, /dev/fd/N, /proc/self/fd/N   the descriptor that mortise was started with
 *   nothing, or a file   a new file, 0600 and the caller's, takes the place all at once
 *   a link               what it leads to, also if that is not there yet; the link stays
 *   a FIFO, a terminal or another character device   is written to as it is; a FIFO's reader is
 *                        waited for, with a word
 *
 * Refused with a word: a directory, a disk, a socket, a link that neither the caller nor root made,
 * and a FIFO or a device that others can have put in a directory where everybody may write.
 * Knows nothing of what is written.
 */
#ifndef MORTISE_CLI_OUTPUT_FILE_H
#define MORTISE_CLI_OUTPUT_FILE_H

#include <limits.h>
#include <sys/types.h>

#include "cli.h"

enum output_file_use {
	OUTPUT_FILE_REPLACE, /* a file that is there goes when the new one is whole */
	OUTPUT_FILE_NEW,     /* none may be there: MORTISE_CONFLICT */
	OUTPUT_FILE_CLAIM,   /* the same, and the name is taken at once */
};

struct output_file {
	int fd;
	mode_t mode;       /* of a file in the end; 0600 at first */
	bool is_file;      /* else what is written has arrived when it is written */
	bool is_output;    /* it is standard output, by whatever name */
	char wrong[256];   /* what failed, in words */
	int directory;     /* that of the file; -1: none */
	bool is_temporary; /* it has another name yet, or none of its own */
	bool may_replace;
	char name[NAME_MAX + 1], temporary[32];
};

/* MORTISE_IO, MORTISE_REJECTED or MORTISE_CONFLICT: see wrong. An ending signal leaves no piece. */
enum mortise_status output_file_open(
	const char *name, enum output_file_use use, struct output_file *out_file) MUST_USE;
/* From here on a signal leaves the file: what is in it exists nowhere else. */
void output_file_treasure(void);
/* MORTISE_IO or MORTISE_CONFLICT. */
enum mortise_status output_file_commit(struct output_file *file) MUST_USE;
/* Removes what was not committed, and closes. */
void output_file_abandon(struct output_file *file);

/* Prints that name cannot be written, and why; the exit status. */
int output_file_fail(const struct cli *cli, enum mortise_status status, const char *name,
	const struct output_file *file);

/*
 * All of that with what write() puts into it; NULL for a name is standard output. CLI_DONE, or an
 * exit status after the error.
 */
int output_file_write(const struct cli *cli, const char *name,
	enum mortise_status (*write)(int fd, const void *context), const void *context);

/*
 * Where a key goes that is told once: a new file, whatever else can be written to (standard output,
 * a FIFO, /dev/fd/N), or the terminal. The place is there, with room, before there is a key.
 */

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
