/* SPDX-License-Identifier: ISC */
/*
 * policy_lookup: what the names of a policy mean now, asked of the monitor in batches.
 * Knows nothing of what that is asked for.
 */
#ifndef MORTISE_POLICY_LOOKUP_H
#define MORTISE_POLICY_LOOKUP_H

#include "monitor_link.h"
#include "policy.h"

struct policy_lookup;

struct looked_up {
	/* MORTISE_NOT_FOUND: for certain no such name. MORTISE_IO: could not be asked. */
	enum mortise_status status;
	uint32_t id; /* where the status is MORTISE_OK */
};

/* found has one for each of the policy's names, in their order. */
typedef void policy_lookup_done(void *context, const struct looked_up *found);

/*
 * Asks for all names of a policy that has some, and which stays until done() was called, once
 * and later, or the look-up was abandoned. MORTISE_BUSY: then done() is not called.
 */
enum mortise_status policy_lookup_start(struct monitor_link *monitor, const struct policy *policy,
	policy_lookup_done *done, void *context, struct policy_lookup **out_lookup) MUST_USE;

/* The policy goes: nobody is told any more. Not from within done(); NULL is allowed. */
void policy_lookup_abandon(struct policy_lookup *lookup);

#endif
