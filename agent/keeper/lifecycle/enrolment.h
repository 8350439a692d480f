/* SPDX-License-Identifier: ISC */
/*
 * enrolment: a seal made by one sealer and proved by another, which knows nothing of the first;
 * and, where it is wanted, a counter for an anchor in the same hardware.
 * It belongs to whoever began it, and may be dropped at any time. Knows nothing of slots.
 */
#ifndef MORTISE_ENROLMENT_H
#define MORTISE_ENROLMENT_H

#include "advice.h"
#include "sealer_link.h"
#include "slots.h"

/* text: one line about a failure; "" if none. */
typedef void enrolment_done(void *context, enum mortise_status status, const char *text);

struct enrolment {
	char kind[SLOT_KIND_SIZE];
	struct secret *pin; /* NULL: none */
	uint32_t pcrs;
	uint8_t pcr_key[TOKEN_PEM_MAX];
	size_t pcr_key_size;
	char uri[TOKEN_URI_MAX + 1];
	struct secret *h; /* once it is made */
	uint8_t blob[TOKEN_BLOB_MAX];
	size_t blob_size;
	struct secret *anchor; /* what a store keeps of its anchor; NULL: there is no counter */
	uint64_t generation;   /* where the counter stands */

	struct secret *anchor_auth;
	struct sealer_link *sealer;
	enum advice_operation operation;
	enrolment_done *done;
	void *context;
};

/*
 * Asks for a seal as wished; the wish is copied. operation: what an advice is to be about. done is
 * called later, once, unless it is dropped before: with MORTISE_OK there is h, which a fresh sealer
 * gave back, too. MORTISE_BUSY, MORTISE_INVALID: there is none, and done is not called.
 */
enum mortise_status enrolment_new(struct sealer_link *sealer, const char *kind,
	const struct token_wish *wish, enum advice_operation operation, enrolment_done *done,
	void *context, struct enrolment **out_enrolment) MUST_USE;

/*
 * After that: makes a counter. done is another, called likewise; with MORTISE_OK there is an
 * anchor.
 */
enum mortise_status enrolment_add_counter(struct enrolment *enrolment,
	enum advice_operation operation, enrolment_done *done) MUST_USE;

/* Frees it and sets it NULL, which it may be; nobody is told. */
void enrolment_drop(struct enrolment **enrolment);

/* What a slot made of it says of itself; points into it. */
struct slot_hints enrolment_hints(const struct enrolment *enrolment);

#endif
