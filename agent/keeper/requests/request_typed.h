/* SPDX-License-Identifier: ISC */
/*
 * request_typed: what people type and requests carry: PINs, recovery keys, shares, and how a seal
 * is wished. Shared by the request_*.c that take them.
 */
#ifndef MORTISE_REQUEST_TYPED_H
#define MORTISE_REQUEST_TYPED_H

#include "exchange.h"
#include "token.h"

/* PIN; NULL where there is none. */
enum mortise_status exchange_pin(struct exchange *exchange, struct secret **out_pin) MUST_USE;

/*
 * The key that RECOVERY or SHARES stands for; else, MORTISE_OK with *out_missing: so many shares
 * more are needed, and those there are right.
 */
enum mortise_status exchange_typed(
	struct exchange *exchange, struct secret **out_key, unsigned *out_missing) MUST_USE;

/* A kind of hardware and its wish, which points here and into the request. */
struct asked_seal {
	char kind[16]; /* "none": no hardware */
	struct token_wish wish;
	bool has_anchor; /* a TPM's counter, unless COUNTER says 0 */
	struct secret *pin;
	char uri[TOKEN_URI_MAX + 1];
};

void asked_seal_done(struct asked_seal *asked);

/* SLOT_KIND, PIN, URI, PCRS, PUBLIC_KEY, COUNTER. MORTISE_INVALID for a kind that is no hardware.
 */
enum mortise_status exchange_seal(struct exchange *exchange, struct asked_seal *asked) MUST_USE;

/* Answers a pending slot request with the slot's id; a slot_done. */
void request_slot_done(void *pending, enum mortise_status status, const char *text, uint64_t id);

#endif
