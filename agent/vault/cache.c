/* SPDX-License-Identifier: ISC */
#include "cache.h"

#include <stdlib.h>
#include <string.h>

#define SLOTS 65536u

struct slot {
	uint8_t *bytes;
	uint32_t size;
	uint64_t number;
	uint8_t id[STORE_ID_SIZE];
};

/* Direct mapped: row ids are random, so that few share a slot; the newer one stays. */
struct cache {
	size_t budget_bytes, used_bytes;
	unsigned hand; /* the next slot to give way when the budget is spent */
	struct slot slot[SLOTS];
};

enum mortise_status cache_new(size_t budget_bytes, struct cache **out_cache)
{
	struct cache *cache = calloc(1, sizeof *cache);

	if (!cache)
		return MORTISE_BUSY;
	cache->budget_bytes = budget_bytes;
	*out_cache = cache;
	return MORTISE_OK;
}

static unsigned slot_of(const uint8_t id[STORE_ID_SIZE], uint64_t number)
{
	return ((unsigned)id[1] << 8 | id[2]) ^ (unsigned)(number * 40503u & (SLOTS - 1));
}

static bool is_it(const struct slot *slot, const uint8_t id[STORE_ID_SIZE], uint64_t number)
{
	return slot->bytes && slot->number == number && memcmp(slot->id, id, STORE_ID_SIZE) == 0;
}

static void empty(struct cache *cache, struct slot *slot)
{
	if (!slot->bytes)
		return;
	cache->used_bytes -= slot->size;
	free(slot->bytes);
	*slot = (struct slot){0};
}

void cache_free(struct cache *cache)
{
	if (!cache)
		return;
	for (unsigned i = 0; i < SLOTS; i++)
		free(cache->slot[i].bytes);
	free(cache);
}

struct store_bytes cache_get(
	const struct cache *cache, const uint8_t id[STORE_ID_SIZE], uint64_t number)
{
	const struct slot *slot = &cache->slot[slot_of(id, number)];

	if (!is_it(slot, id, number))
		return (struct store_bytes){NULL, 0};
	return (struct store_bytes){slot->bytes, slot->size};
}

void cache_put(struct cache *cache, const uint8_t id[STORE_ID_SIZE], uint64_t number,
	uint8_t *bytes, size_t size)
{
	struct slot *slot = &cache->slot[slot_of(id, number)];

	empty(cache, slot);
	if (size > cache->budget_bytes) {
		free(bytes);
		return;
	}
	while (cache->used_bytes + size > cache->budget_bytes)
		empty(cache, &cache->slot[cache->hand++ % SLOTS]);
	slot->bytes = bytes;
	slot->size = (uint32_t)size;
	slot->number = number;
	memcpy(slot->id, id, STORE_ID_SIZE);
	cache->used_bytes += size;
}

void cache_forget(struct cache *cache, const uint8_t id[STORE_ID_SIZE], uint64_t number)
{
	struct slot *slot = &cache->slot[slot_of(id, number)];

	if (is_it(slot, id, number))
		empty(cache, slot);
}
