/* SPDX-License-Identifier: ISC */
/*
 * advice: what to do next, by what was tried and what is wrong with the hardware. All such advice
 * stands in one table. None leads back to the same error: it names what mends the hardware, or a
 * command that can do without it.
 * Knows nothing of who asks.
 */
#ifndef MORTISE_ADVICE_H
#define MORTISE_ADVICE_H

#include "sealer_link.h"
#include "token.h"

enum advice_operation {
	ADVICE_UNSEAL,          /* a slot, at a boot or an unseal */
	ADVICE_AGE,             /* a slot has opened, and the anchor is asked */
	ADVICE_INIT,            /* the first slot */
	ADVICE_INIT_COUNTER,    /* the anchor of a new store */
	ADVICE_RECOVER,         /* new hardware for a store that is opened by a typed key */
	ADVICE_RECOVER_COUNTER, /* and its anchor */
	ADVICE_MAKE,            /* a slot of a store that is open: added, resealed, suspended */
	ADVICE_TEST,            /* a slot of a store that is open is tried, or asked */
	ADVICE_COUNT,           /* the anchor of a store that is open is counted up */
	ADVICE_OPERATIONS
};

struct advice_about {
	enum advice_operation operation;
	uint64_t slot;   /* of TEST: the one to reseal */
	bool has_anchor; /* of TEST: the store has one */
};

/* "check [tpm2] tcti ...; or without it: mortise init --no-hardware"; the whole of it fits
 * ADVICE_SIZE. */
#define ADVICE_SIZE 320
void advice_write(
	const struct advice_about *about, enum token_fault fault, char *buffer, size_t size);

/* What a failed answer of the sealer means, in one line: what happened; what next. */
void advice_describe(const struct advice_about *about, const struct sealer_answer *answer,
	char *buffer, size_t size);

#endif
