/* SPDX-License-Identifier: ISC */
/*
 * policy_names: what has become of the names that the policy in force was applied with. They are
 * looked up again when it comes into force and every ten minutes; a name service that is down
 * changes nothing. One for the process; the policy is somebody else's.
 */
#ifndef MORTISE_POLICY_NAMES_H
#define MORTISE_POLICY_NAMES_H

#include "policy_lookup.h"

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

#endif
