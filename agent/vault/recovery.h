/* SPDX-License-Identifier: ISC */
/*
 * recovery: a recovery key as a person writes it down and types it again.
 * 256 bits in 13 groups of five letters or digits, "4K7QF-0ZM2H-...". The fifth of each
 * group checks the other four and the group's place, so that any wrong character, any two
 * neighbours swapped and any two groups swapped are noticed, and the group is named.
 * Knows nothing of slots.
 */
#ifndef MORTISE_RECOVERY_H
#define MORTISE_RECOVERY_H

#include "secret.h"
#include "status.h"

#define RECOVERY_GROUPS    13
#define RECOVERY_TEXT_SIZE (RECOVERY_GROUPS * 6) /* with the closing NUL */
#define RECOVERY_ID_SIZE   5                     /* four characters and a NUL */

/* A secret of RECOVERY_TEXT_SIZE bytes. */
enum mortise_status recovery_print(const struct secret *key, struct secret **out_text) MUST_USE;

/*
 * Takes capitals or small letters, with or without separators ('-' or blanks); O is 0, I and
 * L are 1. MORTISE_INVALID with the number of the first wrong group in *out_group, from 1;
 * 0 where the number of characters is wrong.
 */
enum mortise_status recovery_parse(
	const char *text, size_t size, struct secret **out_key, unsigned *out_group) MUST_USE;

/* A name for the key that says nothing about it: 20 bits of its BLAKE2b. */
void recovery_id(const struct secret *key, char out_id[RECOVERY_ID_SIZE]);

#endif
