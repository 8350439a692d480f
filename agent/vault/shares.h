/* SPDX-License-Identifier: ISC */
/*
 * shares: a recovery key in n parts, of which any k give it back and fewer say nothing.
 * Shamir's scheme over GF(256), by libgfshare with libsodium's randomness. A share is typed as
 * groups (recovery.h) and says its number, k and the key's id; its groups are marked with its
 * number, so that no group fits another share.
 * The same form with the number 0 carries the public half of an escrow key.
 * Knows nothing of slots.
 */
#ifndef MORTISE_SHARES_H
#define MORTISE_SHARES_H

#include "recovery.h"

#define SHARES_MAX      16
#define SHARE_HEAD      5 /* number, threshold, key id */
#define SHARE_GROUPS    GROUPS_OF(SHARE_HEAD + KEY_SIZE)
#define SHARE_TEXT_SIZE GROUPS_TEXT_SIZE(SHARE_HEAD + KEY_SIZE)

struct share {
	unsigned number; /* 1 to SHARES_MAX; 0: the public half of an escrow key */
	unsigned threshold;
	char key_id[RECOVERY_ID_SIZE];
	struct secret *part; /* KEY_SIZE bytes */
};

/* For CLEANUP, and for each share that share_read() gave. */
void share_done(struct share *share);

/* A secret of SHARE_TEXT_SIZE bytes. */
enum mortise_status share_print(const struct share *share, struct secret **out_text) MUST_USE;

/* As groups_parse(). MORTISE_INVALID with 1 or 2 in *out_group for a head that none has. */
enum mortise_status share_read(
	const char *text, size_t size, struct share *out_share, unsigned *out_group) MUST_USE;

/*
 * Fills shares[0..count-1]; each is the caller's to share_done(). 2 <= threshold <= count <=
 * SHARES_MAX, else MORTISE_INVALID.
 */
enum mortise_status shares_split(const struct secret *key, unsigned count, unsigned threshold,
	struct share *out_shares) MUST_USE;

/*
 * The key of shares with one id, one threshold and different numbers, of which there are enough:
 * MORTISE_INVALID for others. MORTISE_DENIED if what they give is not the key with that id.
 */
enum mortise_status shares_join(const struct share *shares, size_t count, struct secret **out_key)
	MUST_USE;

#endif
