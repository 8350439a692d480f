/* SPDX-License-Identifier: ISC */
/*
 * opening: from a slot's h to a vault that serves - the slot, the tally, the anchor, what hangs on
 * the hooks - and its end; and the same anew after a write that failed.
 */
#ifndef MORTISE_OPENING_H
#define MORTISE_OPENING_H

#include "passing.h"
#include "slices.h"

/* The vault serves now, or does not: then the reason says why. */
typedef void opening_opened(void *context, enum mortise_status status);

struct opening {
	struct holding *holding;
	struct slot_worker *worker; /* this, passing and slices have the vault while it is open */
	struct passing *passing;
	struct slices *slices;

	struct vault *candidate; /* opened by a slot, but its age is being checked; NULL: none */
	bool waits;              /* its check does, for the sealer to be free */
	bool may_pass;           /* what the last check failed by may be gone later */
	opening_opened *opened;
	void *context;

	uint64_t slot, slot_us; /* by which it was opened last, and when */
};

/*
 * Opens the vault with a slot's h, and has its age checked; then, perhaps at once, opened is
 * called. It is not after a failure: MORTISE_DENIED if h is not the slot's; for anything else the
 * reason says why not. *out_fits: what is wrong is not the slot.
 */
enum mortise_status opening_begin(struct opening *opening, const struct kept_slot *kept,
	const struct secret *h, opening_opened *opened, void *context, bool *out_fits) MUST_USE;
/* Tries a check that waits again; by the retry timer. */
void opening_check(struct opening *opening);
bool opening_is_under_way(const struct opening *opening);
/* Nobody is told. */
void opening_cancel(struct opening *opening);

/* Keeps a vault that was checked, if all that is needed to serve can be had from it. */
enum mortise_status opening_accept(struct opening *opening, struct vault *vault) MUST_USE;
/* Forgets the vault that serves, and its keys. */
void opening_close(struct opening *opening);
/* As lifecycle_look_again(). */
void opening_look_again(struct opening *opening);

#endif
