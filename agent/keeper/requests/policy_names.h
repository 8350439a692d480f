/* SPDX-License-Identifier: ISC */
/*
 * policy_names: what has become of the names that the policy in force was applied with. They are
 * looked up again when it comes into force and every ten minutes; a name service that is down
 * changes nothing. One for the process; the policy is somebody else's.
 */
#ifndef MORTISE_POLICY_NAMES_H
#define MORTISE_POLICY_NAMES_H

#include "monitor_link.h"
#include "policy.h"

struct policy_names {
	struct policy *policy; /* NULL: none is watched */
	struct policy_lookup *lookup;
	uint64_t due_ms;       /* CLOCK_MONOTONIC */
	size_t disabled_rules; /* and credentials */
	char text[768];        /* "user alice (gone), group dba (another id)"; "" */
};

/* A policy comes into force; its names are looked up at once, or are known (is_fresh). */
void policy_names_watch(struct policy_names *names, struct policy *policy, bool is_fresh);
/* It is about to be freed. */
void policy_names_forget(struct policy_names *names);
/* Called between turns. */
void policy_names_upkeep(struct policy_names *names, struct monitor_link *monitor);

/*
 * What the names of a policy mean now, asked of the monitor in batches. Knows nothing of what that
 * is asked for.
 */

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

#endif
