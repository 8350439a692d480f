/* SPDX-License-Identifier: ISC */
/*
 * rate: how often a rule was used by a uid.
 * Each pair has a bucket of rule->rate.count, full at first, that fills evenly over the period:
 * 20/h is 20 at once, and then one every three minutes. What one request does by a rule is one
 * use of it, however many secrets it names. A pure table of bounded size on a
 * monotonic clock. After a new policy rules have other numbers: make a new table.
 */
#ifndef MORTISE_RATE_H
#define MORTISE_RATE_H

#include "policy.h"

#define RATE_PAIRS_MAX 65536

struct rate_table;

/* For at most max pairs whose buckets are not full, 1 to RATE_PAIRS_MAX. */
enum mortise_status rate_new(size_t max, struct rate_table **out_table) MUST_USE;

/* NULL is allowed. */
void rate_free(struct rate_table *table);

/* One use of a rule: by whom, when, and in which request (any number but 0; 0: in none). */
struct rate_use {
	uint32_t rule, uid;
	uint64_t request;
	uint64_t now_ms; /* never goes back; where it does, nothing fills */
};

/*
 * Takes one from the bucket of (rule, uid), if the same request has not done so already.
 * MORTISE_OK; MORTISE_BUSY if it is empty, or if a new pair has no room or memory, and then in
 * out_wait_ms how long to wait for the next one. A limit with count 0 is none.
 */
enum mortise_status rate_take(struct rate_table *table, const struct rate_limit *limit,
	const struct rate_use *use, uint64_t *out_wait_ms) MUST_USE;

/*
 * Takes so many at once, whether they are there or not: what was done cannot be undone. What is
 * missing has to fill first. A new pair without room or memory takes none.
 */
void rate_spend(struct rate_table *table, const struct rate_limit *limit,
	const struct rate_use *use, uint32_t count);
/* Is the bucket empty, so that nothing more is to be done? Then in out_wait_ms until when. */
bool rate_is_spent(const struct rate_table *table, const struct rate_limit *limit,
	const struct rate_use *use, uint64_t *out_wait_ms);

/* How many pairs are held, for tests. */
size_t rate_count(const struct rate_table *table);

#endif
