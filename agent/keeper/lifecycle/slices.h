/* SPDX-License-Identifier: ISC */
/*
 * slices: what the open vault does between requests, a millisecond at a time: a rekey, removing
 * what one has left, and counting what users keep.
 */
#ifndef MORTISE_SLICES_H
#define MORTISE_SLICES_H

#include "holding.h"

struct lifecycle_rekeying {
	bool is_under_way;          /* until the old key's rows are gone */
	bool is_removing;           /* the new key is the store's, and that is what is left */
	uint64_t epoch;             /* that the last rekey makes or made; 0: none since the start */
	enum mortise_status status; /* how it ended */
	uint64_t done, total;       /* secrets */
};

struct slices {
	struct holding *holding;
	struct event *next;
	struct lifecycle_rekeying rekeying;
};

enum mortise_status slices_init(
	struct slices *slices, struct event_base *base, struct holding *holding) MUST_USE;
void slices_done(struct slices *slices);

/* The vault has just been opened, or read anew. */
void slices_begin(struct slices *slices);
/* It is about to be closed. */
void slices_end(struct slices *slices);
/* As lifecycle_count(), lifecycle_rekey() and lifecycle_rekeying(). */
void slices_count(struct slices *slices);
enum mortise_status slices_rekey(struct slices *slices, bool reencrypt) MUST_USE;
struct lifecycle_rekeying slices_rekeying(const struct slices *slices);

#endif
