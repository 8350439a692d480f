/* SPDX-License-Identifier: ISC */
/*
 * envfile: NAME=VALUE, line by line, as in a .env file, and which secret a name stands for.
 *
 *	# a comment, also behind a value and a blank
 *	export NAME=value up to the end of the line
 *	NAME='everything, also newlines, up to the next quote'
 *	NAME="the same, with \n \r \t \" \\ \$ for what they stand for"
 *
 * No variable is expanded, no command run. Takes the text apart in place.
 */
#ifndef MORTISE_CLI_ENVFILE_H
#define MORTISE_CLI_ENVFILE_H

#include <stdbool.h>
#include <stddef.h>

#include "input.h"
#include "mortise.h"
#include "status.h"

/* What `exec` takes for a secret's path, in place of a value. */
#define ENVFILE_REFERENCE "mortise:"

struct envfile {
	char *text, *at, *end;
	int line;          /* of what was read last */
	const char *wrong; /* in words, behind a MORTISE_REJECTED */
};

struct envfile_entry {
	const char *name, *value; /* in the text */
	int line;
	size_t from, to; /* where in the text the value stands; its quotes do not belong to it */
};

/* text has room for a NUL behind its size. A byte order mark of UTF-8 is passed over. */
void envfile_begin(struct envfile *file, char *text, size_t size);

/* MORTISE_NOT_FOUND at the end; MORTISE_REJECTED at a line that is wrong. */
enum mortise_status envfile_next(struct envfile *file, struct envfile_entry *out_entry) MUST_USE;

/* Can it be a variable's name? */
bool envfile_is_name(const char *name, size_t size);

/* DB_PASSWORD below prod/app is prod/app/db-password. False: that is no path. */
bool envfile_path_of(const char *prefix, const char *name, char out_path[MORTISE_PATH_MAX + 2]);
/* The way back, which is another name if that had small letters: prod/app/tls.key is TLS_KEY. */
void envfile_name_of(const char *path, char out_name[MORTISE_PATH_MAX + 1]);

/* A .env file as a command is given it, with what is wrong about it in words. */

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
