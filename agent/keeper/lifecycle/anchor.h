/* SPDX-License-Identifier: ISC */
/*
 * anchor: tells an old copy of the store from the newest, by a counter in the TPM.
 * All commits of a window carry the generation that the counter will reach when the window ends;
 * policies and slots end it at once. Counter and generation equal: clean. Counter one behind: a
 * crash before the increment, which is made up for. Anything else is not this store's newest copy.
 * NV memory wears, so increments have a budget; when it is spent windows grow, and the lag with
 * them. Within a window an older copy is not told from the newest: that is the lag.
 * Knows nothing of slots, callers or policy. The vault and the sealer's link are its lifecycle's.
 */
#ifndef MORTISE_ANCHOR_H
#define MORTISE_ANCHOR_H

#include "sealer_link.h"
#include "vault.h"

#define ANCHOR_WINDOW_S   60  /* unless it is set */
#define ANCHOR_BUDGET     240 /* increments at once; one more each ANCHOR_REFILL_S */
#define ANCHOR_REFILL_S   360
#define ANCHOR_LONG_S     3600 /* a window without budget */
#define ANCHOR_RETRY_S    30   /* after an increment that failed */
#define ANCHOR_STATE_SIZE (TOKEN_BLOB_MAX + 256)
#define ANCHOR_COMPLAINT  512

struct anchor;

struct anchor_report {
	bool exists;
	uint64_t counter;      /* as last heard of */
	uint64_t generation;   /* of the store; above the counter while a window is open */
	uint64_t lag_s;        /* since the oldest commit that no increment covers; 0: none */
	uint64_t increments;   /* by this process */
	uint64_t budget;       /* increments left */
	const char *complaint; /* why the last increment failed; "" if it did not */
};

/* window_s: how long commits may wait for an increment that they share. */
enum mortise_status anchor_new(struct sealer_link *sealer, int window_s, struct anchor **out_anchor)
	MUST_USE;
void anchor_free(struct anchor *anchor);

/*
 * text is one line with what to do next. MORTISE_OK: this is the newest copy. MORTISE_CONFLICT: it
 * is not, for certain. MORTISE_HARDWARE: the counter could not be read; fault says why.
 */
typedef void anchor_checked(
	void *context, enum mortise_status status, enum token_fault fault, const char *text);

/*
 * Compares the vault's generation with its counter, and makes up for an increment that a crash
 * prevented. MORTISE_NOT_FOUND if the store has no anchor, MORTISE_BUSY while the link is used:
 * then done is not called. After MORTISE_OK the vault is attached.
 */
enum mortise_status anchor_check(
	struct anchor *anchor, struct vault *vault, anchor_checked *done, void *context) MUST_USE;

/* Nobody waits for the check any more; its vault may go. */
void anchor_cancel(struct anchor *anchor);

/* From now on the vault's commits are covered; its counter stands where its generation does. */
enum mortise_status anchor_attach(struct anchor *anchor, struct vault *vault) MUST_USE;
/* The vault is about to close. */
void anchor_detach(struct anchor *anchor);

/* Called between turns: opens and ends windows. */
void anchor_upkeep(struct anchor *anchor);
struct anchor_report anchor_report(const struct anchor *anchor);

/* What a store keeps of an anchor (vault_set_anchor): kind of token, authorisation, place. */
enum mortise_status anchor_write_state(const char *kind, const struct secret *auth,
	struct store_bytes place, struct secret **out_state) MUST_USE;

#endif
