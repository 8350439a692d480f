/* SPDX-License-Identifier: ISC */
/*
 * inifile: an INI text, one entry at a time, with the place of each, by way of inih.
 * ';' starts a comment at the start of a line or after a blank, '#' at the start of a line.
 * Keys are of [A-Za-z0-9_-]. No multi-line values, no entries before the first section, no
 * key twice in a section, no section twice, no control bytes, outside comments nothing but
 * ASCII: each is an error with line and column. Knows nothing of what keys mean.
 * Sets inih's global switches: one thread at a time.
 */
#ifndef MORTISE_INIFILE_H
#define MORTISE_INIFILE_H

#include <stddef.h>

#include "status.h"

#define INIFILE_LINE_MAX 4096
#define INIFILE_KEYS_MAX 32 /* in one section */

struct inifile_entry {
	const char *section; /* "rule" of "[rule nightly-backup]" */
	const char *title;   /* "nightly-backup"; "" where there is none */
	const char *key;     /* NULL: the section's header itself */
	const char *value;   /* "" is allowed here */
	unsigned line;       /* from 1 */
	unsigned column;     /* of the key or header, from 1 */
	unsigned value_column;
};

struct inifile_error {
	unsigned line, column;
	char text[256]; /* "expected '=' after a key" */
};

/* Fills *error and returns MORTISE_REJECTED, so that a visitor can return it. */
enum mortise_status inifile_refuse(struct inifile_error *error, unsigned line, unsigned column,
	const char *format, ...) __attribute__((format(printf, 4, 5))) MUST_USE;

/*
 * Writes "name:line:column: text" in printable ASCII, cut to size bytes with the NUL; without
 * the place where line is 0.
 */
void inifile_describe(
	const char *name, const struct inifile_error *error, char *out_text, size_t size);

/* Returns MORTISE_OK to go on; otherwise has set *error. */
typedef enum mortise_status inifile_visit(
	void *context, const struct inifile_entry *entry, struct inifile_error *error);

/*
 * Calls visit for each section header and each entry. text needs no NUL at its end and must
 * hold none. MORTISE_REJECTED with out_error at the first mistake; MORTISE_BUSY without memory;
 * otherwise what visit returned.
 */
enum mortise_status inifile_read(const char *text, size_t size, inifile_visit *visit, void *context,
	struct inifile_error *out_error) MUST_USE;

#endif
