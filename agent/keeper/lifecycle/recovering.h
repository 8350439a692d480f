/* SPDX-License-Identifier: ISC */
/*
 * recovering: one way back, whatever happened: another board, a cleared TPM, an old copy, a backup.
 * The typed key opens the store, new hardware is enrolled, and what is there no more goes. Each
 * step is a transaction that leaves a store which the typed key opens: it can be done again.
 */
#ifndef MORTISE_RECOVERING_H
#define MORTISE_RECOVERING_H

#include "unsealing.h"

struct recovering {
	struct holding *holding;
	struct opening *opening;
	struct unsealing *unsealing; /* whose turn a recovery ends */
	struct recovery *recovery;   /* under way; NULL: none */
};

/* What a recovery is to lead to. */
struct recovery_wish {
	const struct secret *key;      /* that was typed */
	const void *owner;             /* of a copy that came in (backup.h); NULL: this store */
	const char *kind;              /* of the hardware from now on; NULL: none */
	const struct token_wish *seal; /* how it is to seal */
	bool has_anchor, is_dry_run;
};

/* As lifecycle_recover(), once it is known that nothing else is under way. */
enum mortise_status recovering_begin(struct recovering *recovering,
	const struct recovery_wish *wish, const struct waiter *waiter) MUST_USE;
bool recovering_is_under_way(const struct recovering *recovering);
/* It is sealed meanwhile; who waits is told so. */
void recovering_cancel(struct recovering *recovering);
/* Nobody is told. */
void recovering_done(struct recovering *recovering);

/* What a typed key opens in any store. As slot_open(); MORTISE_NOT_FOUND without a typed slot. */
enum mortise_status recovering_find_key(
	struct store *store, const struct secret *key, struct secret **out_master_key) MUST_USE;

#endif
