/* SPDX-License-Identifier: ISC */
/* vault_rekey: a rekey under way, as whatever changes a row meanwhile has to know it. */
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
	size_t again_count;
	uint64_t ahead; /* rows written since the last slice, none of which was done yet */
};

/* Frees it, and *rekey is NULL. */
void rekey_free(struct rekey **rekey);

#endif
