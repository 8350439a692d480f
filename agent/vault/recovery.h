/* SPDX-License-Identifier: ISC */
/*
 * recovery: a recovery key as a person writes it down and types it again.
 * 256 bits in 13 groups of five letters or digits (below).
 * Knows nothing of slots.
 */
#ifndef MORTISE_RECOVERY_H
#define MORTISE_RECOVERY_H

#include "secret.h"
#include "status.h"

/*
 * Bytes as a person writes them down and types them again. Groups of five letters or digits,
 * "4K7QF-0ZM2H-...", 20 bits in four of them. The fifth checks the other four, the group's place
 * and the text's mark, so that any wrong character, any two neighbours swapped, any two groups
 * swapped and a group of a text with another mark are noticed, and the group is named. Knows
 * nothing of what the bytes are.
 */

#define GROUPS_OF(size_bytes)        (((size_bytes)*8 + 19) / 20)
#define GROUPS_TEXT_SIZE(size_bytes) (GROUPS_OF(size_bytes) * 6) /* with the closing NUL */
#define GROUPS_ALPHABET              "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

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

#define RECOVERY_GROUPS    GROUPS_OF(KEY_SIZE)
#define RECOVERY_TEXT_SIZE GROUPS_TEXT_SIZE(KEY_SIZE)
#define RECOVERY_ID_SIZE   5 /* four characters and a NUL */

/* A secret of RECOVERY_TEXT_SIZE bytes. */
enum mortise_status recovery_print(const struct secret *key, struct secret **out_text) MUST_USE;

/* As groups_parse(). */
enum mortise_status recovery_parse(
	const char *text, size_t size, struct secret **out_key, unsigned *out_group) MUST_USE;

/* A name for the key that says nothing about it: 20 bits of its BLAKE2b. */
void recovery_id(const struct secret *key, char out_id[RECOVERY_ID_SIZE]);

#endif
