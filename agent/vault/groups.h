/* SPDX-License-Identifier: ISC */
/*
 * groups: bytes as a person writes them down and types them again.
 * Groups of five letters or digits, "4K7QF-0ZM2H-...", 20 bits in four of them. The fifth checks
 * the other four, the group's place and the text's mark, so that any wrong character, any two
 * neighbours swapped, any two groups swapped and a group of a text with another mark are noticed,
 * and the group is named. Knows nothing of what the bytes are.
 */
#ifndef MORTISE_GROUPS_H
#define MORTISE_GROUPS_H

#include "secret.h"
#include "status.h"

#define GROUPS_OF(size_bytes)        (((size_bytes)*8 + 19) / 20)
#define GROUPS_TEXT_SIZE(size_bytes) (GROUPS_OF(size_bytes) * 6) /* with the closing NUL */
#define GROUPS_ALPHABET              "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
#define GROUPS_UNMARKED              255u

/*
 * How a text is checked: from group `marked_from` on (from 0; GROUPS_UNMARKED: none) the check also
 * takes in the first byte, the mark.
 */
struct groups_form {
	size_t size_bytes;
	unsigned marked_from;
};

/* Writes GROUPS_TEXT_SIZE(form->size_bytes) bytes. */
void groups_print(const struct groups_form *form, const uint8_t *bytes, char *out_text);

/*
 * Takes capitals or small letters, with or without separators ('-' or blanks); O is 0, I and
 * L are 1. MORTISE_INVALID with the number of the first wrong group in *out_group, from 1;
 * 0 where the number of characters is wrong.
 */
enum mortise_status groups_parse(const struct groups_form *form, const char *text, size_t size,
	struct secret **out_bytes, unsigned *out_group) MUST_USE;

/* A character's five bits, -1 for one that is none. */
int groups_digit(char character);

#endif
