/* SPDX-License-Identifier: ISC */
/*
 * slot_work: what is done to slots while the agent is unsealed.
 * What needs hardware is one piece of work at a time; nothing of it is in the store before two
 * sealers have agreed. Each change of the store is one transaction, and in between the store
 * opens by every slot that opened before. Knows nothing of callers.
 */
#ifndef MORTISE_SLOT_WORK_H
#define MORTISE_SLOT_WORK_H

#include "holding.h"

#define SLOT_SUSPEND_S 86400 /* for how long a stand-in may open, at most */

struct slot_worker {
	struct holding *holding;
	struct slot_work *work;         /* under way; NULL: none */
	struct health_question *health; /* a slot's hardware is asked for its state; NULL: none */
};

/* It is about to be sealed: whoever waits for a slot's hardware is told so. */
void slot_work_cancel(struct slot_worker *worker);

/* id: the slot that was made or tested, 0 on failure. text: one line about a failure. */
typedef void slot_done(void *context, enum mortise_status status, const char *text, uint64_t id);

/*
 * Of all that take a slot_done: it is called once, later, after MORTISE_OK. MORTISE_SEALED,
 * MORTISE_BUSY while hardware is asked already, MORTISE_NOT_FOUND, MORTISE_CONFLICT where the slot
 * is of a kind for which that makes no sense: then it is not.
 */

enum mortise_status slot_work_add(struct slot_worker *worker, const char *kind,
	const struct token_wish *wish, slot_done *done, void *context) MUST_USE;

/*
 * The same seal anew, for the PCR values of now. It stays beside the old one, which goes when the
 * new one has opened at an unseal. pin as for any slot that has one.
 */
enum mortise_status slot_work_reseal(struct slot_worker *worker, uint64_t id,
	const struct secret *pin, slot_done *done, void *context) MUST_USE;

/*
 * A seal without literal PCRs beside the slot, for `boots` boots and SLOT_SUSPEND_S seconds. If it
 * is what opens then, the slot is resealed.
 */
enum mortise_status slot_work_suspend(struct slot_worker *worker, uint64_t id, uint64_t boots,
	const struct secret *pin, slot_done *done, void *context) MUST_USE;

/* The same seal with another PIN, in place of the old one. */
enum mortise_status slot_work_change_pin(struct slot_worker *worker, uint64_t id,
	const struct secret *pin, slot_done *done, void *context) MUST_USE;

/* Opens the slot's hardware, and compares. All that changes is the date of its last test. */
enum mortise_status slot_work_test(struct slot_worker *worker, uint64_t id,
	const struct secret *pin, slot_done *done, void *context) MUST_USE;

/* The same for what is typed, at once. MORTISE_DENIED for another key. */
enum mortise_status slot_test_typed(
	struct slot_worker *worker, uint64_t id, const struct secret *key) MUST_USE;

/* A slot that is not hardware's. The half's bytes are for an escrow slot, else the key is. */
struct slot_typed {
	const char *kind;
	const char *key_id;
	const struct secret *key;
	const uint8_t *escrow_half;
	unsigned shares, threshold;
};
enum mortise_status slot_add_typed(
	struct slot_worker *worker, const struct slot_typed *typed, uint64_t *out_id) MUST_USE;

/* With what is staged or stands in for it. MORTISE_CONFLICT for the last. */
enum mortise_status slot_remove(struct slot_worker *worker, uint64_t id) MUST_USE;

struct slot_health {
	enum token_fault fault; /* TOKEN_FAULT_NONE: the hardware is there, and is the slot's */
	const char *text;       /* one line about a fault, with what to do next */
	struct token_health says;
	bool is_pin_doubted; /* its PIN failed; it is not tried again by itself */
};

/*
 * Asks a slot's hardware for its state: nothing is opened, no PIN is tried. done is called once,
 * later, after MORTISE_OK: with MORTISE_OK and what was said, or MORTISE_SEALED and NULL if it was
 * sealed meanwhile. MORTISE_SEALED, MORTISE_BUSY, MORTISE_NOT_FOUND, MORTISE_CONFLICT for a
 * slot that is typed: then it is not.
 */
typedef void slot_health_done(
	void *context, enum mortise_status status, const struct slot_health *health);
enum mortise_status slot_health(
	struct slot_worker *worker, uint64_t id, slot_health_done *done, void *context) MUST_USE;

#endif
