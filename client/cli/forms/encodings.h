/* SPDX-License-Identifier: ISC */
/*
 * encodings: the forms in which a value turns up in output, logs and files: itself, with CRLF for
 * its newlines, base64 and base64url at all three alignments and wrapped in lines, hexadecimal,
 * percent-encoded, and as a string of JSON; each also without the newlines at its end, which
 * shells cut off. Looks for nothing and keeps nothing: what it made is wiped.
 */
#ifndef MORTISE_CLI_ENCODINGS_H
#define MORTISE_CLI_ENCODINGS_H

#include <stddef.h>
#include <stdint.h>

#include "status.h"

/* A shorter value is in too many texts by chance. No form is shorter than its value. */
#define ENCODINGS_VALUE_MIN 8

struct encodings_form {
	const char *name; /* "base64" */
	const uint8_t *bytes;
	size_t size;
};

typedef enum mortise_status (*encodings_take)(void *context, const struct encodings_form *form);

/*
 * Calls take for every form, until it fails; the value as it is comes first. Two of them may have
 * the same bytes. Nothing for less than ENCODINGS_VALUE_MIN bytes. MORTISE_IO without memory.
 */
enum mortise_status encodings_each(
	const uint8_t *value, size_t size, encodings_take take, void *context) MUST_USE;

#endif
