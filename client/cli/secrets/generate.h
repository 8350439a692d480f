/* SPDX-License-Identifier: ISC */
/*
 * generate: random values after a specification such as "password:32,no-symbols,exclude=0O1l".
 * Every value that a specification allows is equally likely. Knows nothing of secrets' paths,
 * and prints nothing.
 *
 *	password[:N]  N characters (32), at least one of each class: lower, upper, digits, symbols
 *	              no-lower no-upper no-digits no-symbols, symbols=CHARS, exclude=CHARS
 *	hex[:N]       N random bytes (32) as 2 N digits
 *	base64[:N]    N random bytes (48)
 *	uuid          version 4
 *	words[:N]     N words (6) of five letters that can be spoken, made from a table of syllables
 *	              separator=C
 */
#ifndef MORTISE_CLI_GENERATE_H
#define MORTISE_CLI_GENERATE_H

#include "input.h"

#define GENERATE_COUNT_MAX   1024
#define GENERATE_CLASSES     4
#define GENERATE_STRONG_BITS 64 /* what is weaker is refused unless it is asked for */

enum generate_kind {
	GENERATE_PASSWORD,
	GENERATE_HEX,
	GENERATE_BASE64,
	GENERATE_UUID,
	GENERATE_WORDS,
};

struct generate {
	enum generate_kind kind;
	unsigned count; /* characters, bytes or words */
	unsigned bits;  /* of entropy, rounded down */
	char separator;
	char alphabet[128]; /* all classes of a password, one behind the other */
	unsigned class_size[GENERATE_CLASSES];
};

/* NULL, or what is wrong with the specification; then *out_generate is as it was. */
const char *generate_parse(const char *text, struct generate *out_generate);

/* MORTISE_IO if the kernel gives no random bytes. */
enum mortise_status generate_value(const struct generate *generate, struct input *out_value)
	MUST_USE;

/* "32 characters, 208 bits" */
void generate_describe(const struct generate *generate, char *buffer, size_t buffer_size);

#endif
