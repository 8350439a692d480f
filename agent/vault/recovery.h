/* SPDX-License-Identifier: ISC */
/*
 * recovery: a recovery key as a person writes it down and types it again.
 * 256 bits in 13 groups of five letters or digits (groups.h).
 * Knows nothing of slots.
 */
#ifndef MORTISE_RECOVERY_H
#define MORTISE_RECOVERY_H

#include "groups.h"

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
