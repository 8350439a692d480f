/* SPDX-License-Identifier: ISC */
/*
 * import: a .env file with its values, and what it is with references in their place. Keeps the
 * file's text twice; both are wiped.
 */
#ifndef MORTISE_CLI_IMPORT_H
#define MORTISE_CLI_IMPORT_H

#include <sys/stat.h>

#include "input.h"

struct import_entry {
	const char *name, *value; /* in the file's text */
	int line;
	size_t from, to; /* where the value stands in the text, between its quotes if it has any */
	char path[MORTISE_PATH_MAX + 2];
	bool is_chosen;
};

struct import_file {
	const char *name;
	struct input *text, *parsed; /* as it was, and taken apart */
	struct stat info;
	struct import_entry *entries;
	size_t count, chosen;
};
void import_file_done(struct import_file *file);

/* Fills parsed and entries from text, which is there, for whoever has it from elsewhere. */
int import_file_parse(const struct cli *cli, struct import_file *file);

/* Is the value mortise:PATH already? */
bool import_file_is_reference(const struct import_entry *entry);

/* Bytes of the file with references in place of the chosen values. */
size_t import_file_rewritten_size(const struct import_file *file);

typedef enum mortise_status import_file_write(void *context, const void *bytes, size_t size);
/* Those bytes, piece by piece. What write returns if it fails. */
enum mortise_status import_file_put(
	const struct import_file *file, import_file_write *write, void *context) MUST_USE;

#endif
