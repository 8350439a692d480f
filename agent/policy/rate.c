/* SPDX-License-Identifier: ISC */
/*
 * The generic cell rate algorithm: of each bucket only the instant is kept at which it will be
 * full again, in microseconds. A bucket that is full need not be kept.
 */
#include "rate.h"

#include <stdlib.h>

#define SLOTS_FIRST 64
#define CROWDED_MS  1000 /* to wait where there is no room */

struct bucket {
	uint64_t full_at_us; /* 0: no bucket */
	uint64_t request;    /* that took from it last */
	uint32_t rule, uid;
};

/* Open addressing; at most half of the slots are taken. */
struct rate_table {
	struct bucket *slots;
	size_t slot_count, count, max;
};

enum mortise_status rate_new(size_t max, struct rate_table **out_table)
{
	struct rate_table *table = calloc(1, sizeof *table);

	if (!table)
		return MORTISE_BUSY;
	table->max = max < RATE_PAIRS_MAX ? max : RATE_PAIRS_MAX;
	table->slot_count = SLOTS_FIRST;
	table->slots = calloc(table->slot_count, sizeof *table->slots);
	if (!table->slots) {
		free(table);
		return MORTISE_BUSY;
	}
	*out_table = table;
	return MORTISE_OK;
}

void rate_free(struct rate_table *table)
{
	if (!table)
		return;
	free(table->slots);
	free(table);
}

size_t rate_count(const struct rate_table *table)
{
	return table->count;
}

static size_t slot_of(uint32_t rule, uint32_t uid, size_t slot_count)
{
	uint64_t key = ((uint64_t)rule << 32 | uid) * UINT64_C(0x9e3779b97f4a7c15);

	return (size_t)(key >> 32) & (slot_count - 1);
}

static struct bucket *find(struct bucket *slots, size_t slot_count, uint32_t rule, uint32_t uid)
{
	size_t slot = slot_of(rule, uid, slot_count);

	while (slots[slot].full_at_us != 0 && (slots[slot].rule != rule || slots[slot].uid != uid))
		slot = (slot + 1) & (slot_count - 1);
	return &slots[slot];
}

/* Moves to as many slots as the buckets need that are not full by now. */
static enum mortise_status rebuild(struct rate_table *table, uint64_t now_us)
{
	size_t live = 0, slot_count = SLOTS_FIRST;
	struct bucket *slots;

	for (size_t i = 0; i < table->slot_count; i++)
		live += table->slots[i].full_at_us > now_us;
	while (slot_count < 4 * live)
		slot_count *= 2;
	slots = calloc(slot_count, sizeof *slots);
	if (!slots)
		return MORTISE_BUSY;
	for (size_t i = 0; i < table->slot_count; i++) {
		const struct bucket *bucket = &table->slots[i];

		if (bucket->full_at_us > now_us)
			*find(slots, slot_count, bucket->rule, bucket->uid) = *bucket;
	}
	free(table->slots);
	table->slots = slots;
	table->slot_count = slot_count;
	table->count = live;
	return MORTISE_OK;
}

static enum mortise_status make_room(struct rate_table *table, uint64_t now_us)
{
	if (table->count < table->max && 2 * (table->count + 1) <= table->slot_count)
		return MORTISE_OK;
	TRY(rebuild(table, now_us));
	return table->count < table->max ? MORTISE_OK : MORTISE_BUSY;
}

enum mortise_status rate_take(struct rate_table *table, const struct rate_limit *limit,
	const struct rate_use *use, uint64_t *out_wait_ms)
{
	uint64_t now_us = use->now_ms * 1000, period_us = (uint64_t)limit->period_s * 1000000;
	struct bucket *bucket;
	uint64_t full_at;

	if (limit->count == 0)
		return MORTISE_OK;
	bucket = find(table->slots, table->slot_count, use->rule, use->uid);
	if (use->request != 0 && bucket->full_at_us != 0 && bucket->request == use->request)
		return MORTISE_OK;
	full_at = bucket->full_at_us > now_us ? bucket->full_at_us : now_us;
	full_at += period_us / limit->count;
	if (full_at > now_us + period_us) {
		*out_wait_ms = (full_at - now_us - period_us + 999) / 1000;
		return MORTISE_BUSY;
	}
	if (bucket->full_at_us == 0) {
		if (make_room(table, now_us) != MORTISE_OK) {
			*out_wait_ms = CROWDED_MS;
			return MORTISE_BUSY;
		}
		bucket = find(table->slots, table->slot_count, use->rule, use->uid);
		table->count++;
	}
	*bucket = (struct bucket){full_at, use->request, use->rule, use->uid};
	return MORTISE_OK;
}

void rate_spend(struct rate_table *table, const struct rate_limit *limit,
	const struct rate_use *use, uint32_t count)
{
	uint64_t now_us = use->now_ms * 1000, period_us = (uint64_t)limit->period_s * 1000000;
	struct bucket *bucket = find(table->slots, table->slot_count, use->rule, use->uid);

	if (bucket->full_at_us == 0) {
		if (make_room(table, now_us) != MORTISE_OK)
			return;
		bucket = find(table->slots, table->slot_count, use->rule, use->uid);
		table->count++;
	}
	uint64_t full_at = bucket->full_at_us > now_us ? bucket->full_at_us : now_us;
	*bucket = (struct bucket){
		full_at + count * (period_us / limit->count), use->request, use->rule, use->uid};
}

bool rate_is_spent(const struct rate_table *table, const struct rate_limit *limit,
	const struct rate_use *use, uint64_t *out_wait_ms)
{
	uint64_t now_us = use->now_ms * 1000, period_us = (uint64_t)limit->period_s * 1000000;
	const struct bucket *bucket = find(table->slots, table->slot_count, use->rule, use->uid);

	if (bucket->full_at_us <= now_us + period_us)
		return false;
	*out_wait_ms = (bucket->full_at_us - now_us - period_us + 999) / 1000;
	return true;
}
