/* SPDX-License-Identifier: ISC */
/*
 * making: a new store with its first slots, its first policy, the log's keys and its anchor.
 */
#ifndef MORTISE_MAKING_H
#define MORTISE_MAKING_H

#include "opening.h"

struct making {
	struct holding *holding;
	struct opening *opening;
	uint32_t first_uid;    /* may do everything by the first policy */
	struct new_store *new; /* under way; NULL: none */
};

struct making_wish {
	const char *kind;              /* of the hardware; NULL: none */
	const struct token_wish *seal; /* how it is to seal */
	bool has_anchor;
	bool (*is_wanted)(void *context); /* the waiter's; is he still there? */
};

/* As lifecycle_init(), once it is known that there is no store and nothing else is under way. */
enum mortise_status making_begin(struct making *making, const struct making_wish *wish,
	const struct waiter *waiter) MUST_USE;
bool making_is_under_way(const struct making *making);
/* It is sealed while the store that was made is being opened: that is no reason to lose its key. */
void making_cancel(struct making *making);
/* Nobody is told. */
void making_done(struct making *making);

/* Text of the policy that init applies, under that name: uid may do everything. */
#define MAKING_FIRST_POLICY "10-first.policy"
size_t making_first_policy(uint32_t uid, char *buffer, size_t size);

#endif
