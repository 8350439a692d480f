/* SPDX-License-Identifier: ISC */
/*
 * policy_applying: a policy on its way into force, wherever its files come from: parsed, its
 * names looked up, held against the one in force, guarded, stored, and in force. A dry run is
 * all of that but the last two. Shared by request_policy.c and policy_applying.c.
 */
#ifndef MORTISE_POLICY_APPLYING_H
#define MORTISE_POLICY_APPLYING_H

#include "exchange.h"

/* What is asked of an apply, whichever it is. */
struct applying_wish {
	uint8_t token[WIRE_TOKEN_SIZE];
	uint64_t base; /* the version that must be in force until the end */
	bool has_base, is_dry_run;
	bool is_forced;    /* though it takes the verb admin from whoever asks, or from all */
	bool by_operators; /* a reset: no verb was needed for it */
};

/* Takes the files and is answered for: by then, or on failure, they are freed. */
enum mortise_status applying_start(struct exchange *exchange, const struct applying_wish *wish,
	struct policy_staging *staging) MUST_USE;

/* The answer to one that was done already, on a connection that was lost. */
void applying_put_repeated(struct exchange *exchange);

#endif
