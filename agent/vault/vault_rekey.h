/* SPDX-License-Identifier: ISC */
/*
 * vault_rekey: what vault_rekey.c (a rekey from its beginning to its end) and vault_redo.c (how
 * rows and items are made anew) share. Nobody else includes it.
 */
#ifndef MORTISE_VAULT_REKEY_H
#define MORTISE_VAULT_REKEY_H

#include "vault_rows.h"

struct rekey {
	struct vault *next; /* keys, index and meta of the next epoch */
	bool reencrypts;
	bool is_failing; /* a row that was written meanwhile could not be noted */

	uint8_t after[ID_SIZE]; /* rows up to this one are done */
	bool has_begun;
	uint64_t done;
	uint64_t policies_done; /* the highest number; a policy never changes */
	uint8_t (*again)[ID_SIZE];
	size_t again_count, again_capacity;
	uint64_t ahead; /* rows written since the last slice, none of which was done yet */
};

/* The next row that was not done once; NULL: none. */
const struct entry *redo_next_row(const struct vault *vault);
/* The next policy to be done; 0: none. */
uint64_t redo_next_policy(const struct vault *vault);

/* Rows that were written since they were done, and others until the time is over. */
enum mortise_status redo_rows(struct vault *vault, uint64_t until_us) MUST_USE;
enum mortise_status redo_policy(struct vault *vault, uint64_t number) MUST_USE;
/* All that is no policy, and what of the policies is not kept any more. */
enum mortise_status redo_items(struct vault *vault) MUST_USE;

#endif
