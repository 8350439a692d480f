/* SPDX-License-Identifier: ISC */
/* vault_rekey: a rekey under way, as whatever changes a row meanwhile has to know it. */
#ifndef MORTISE_VAULT_REKEY_H
#define MORTISE_VAULT_REKEY_H

#include "vault_rows.h"

/* A version that is done: what its row says of it. */
struct redone {
	uint8_t wrapped_key[ENTRY_KEY_SIZE], info[INFO_SEALED_MAX];
};

struct rekey {
	struct vault *next; /* keys, index and meta of the next epoch */
	bool reencrypts;
	bool is_failing; /* a row that was written meanwhile could not be noted */

	uint64_t after; /* rows up to this number are done; 0: none yet */
	uint64_t done;
	uint64_t policies_done; /* the highest number; a policy never changes */
	uint64_t *again;        /* numbers of secrets */
	size_t again_count;
	uint64_t ahead; /* rows written since the last slice, none of which was done yet */

	struct entry_parts parts; /* of the row that is done now, and its versions */
	struct redone redone[ENTRY_VERSIONS_MAX];
};

/* Frees it, and *rekey is NULL. */
void rekey_free(struct rekey **rekey);

/*
 * Within the transaction that takes something of a secret away: takes its row of another epoch
 * away, and the values that are that row's and not of `after` (NULL: the secret goes).
 */
enum mortise_status rekey_wipe(struct vault *vault, uint64_t number, const struct entry *after)
	MUST_USE;
/* After that transaction: a rekey does that secret anew. */
void rekey_forget(struct vault *vault, uint64_t number);

#endif
