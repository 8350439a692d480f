/* SPDX-License-Identifier: ISC */
#include "cache.h"

#include <stdbool.h>
#include <stdlib.h>

#define SLOTS 131072u

/* Of a row (version 0), or of a version's value. */
struct slot {
	uint64_t secret; /* 0: empty */
	uint64_t version;
	struct entry *entry;
	uint8_t *bytes;
	size_t size; /* that it takes */
};

/* Direct mapped: numbers are dense, so that few share a slot; the newer one stays. */
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

/* Rows have even slots, so that no value takes the place of its own row. */
static unsigned slot_of(uint64_t secret, uint64_t version)
{
	uint64_t spread = version ? (secret + version * 40503u) * 2 + 1 : secret * 2;

	return (unsigned)(spread & (SLOTS - 1));
}

static bool is_it(const struct slot *slot, uint64_t secret, uint64_t version)
{
	return slot->secret == secret && slot->version == version;
}

static void empty(struct cache *cache, struct slot *slot)
{
	if (!slot->secret)
		return;
	cache->used_bytes -= slot->size;
	entry_drop(&slot->entry);
	free(slot->bytes);
	*slot = (struct slot){.secret = 0};
}

void cache_free(struct cache *cache)
{
	if (!cache)
		return;
	for (unsigned i = 0; i < SLOTS; i++)
		empty(cache, &cache->slot[i]);
	free(cache);
}

/* An empty slot for so many bytes; NULL: they are too many. */
static struct slot *make_room(struct cache *cache, uint64_t secret, uint64_t version, size_t size)
{
	struct slot *slot = &cache->slot[slot_of(secret, version)];

	empty(cache, slot);
	if (size > cache->budget_bytes)
		return NULL;
	while (cache->used_bytes + size > cache->budget_bytes)
		empty(cache, &cache->slot[cache->hand++ % SLOTS]);
	cache->used_bytes += size;
	slot->secret = secret;
	slot->version = version;
	slot->size = size;
	return slot;
}

static const struct slot *find(const struct cache *cache, uint64_t secret, uint64_t version)
{
	const struct slot *slot = &cache->slot[slot_of(secret, version)];

	return is_it(slot, secret, version) ? slot : NULL;
}

static void forget(struct cache *cache, uint64_t secret, uint64_t version)
{
	struct slot *slot = &cache->slot[slot_of(secret, version)];

	if (is_it(slot, secret, version))
		empty(cache, slot);
}

struct entry *cache_entry(const struct cache *cache, uint64_t number)
{
	const struct slot *slot = find(cache, number, 0);

	return slot ? slot->entry : NULL;
}

void cache_put_entry(struct cache *cache, struct entry *entry)
{
	struct entry *held = entry_hold(entry); /* it may be the one that gives way */
	struct slot *slot = make_room(cache, entry->number, 0, entry_size(entry));

	if (slot)
		slot->entry = held;
	else
		entry_drop(&held);
}

void cache_forget_entry(struct cache *cache, uint64_t number)
{
	forget(cache, number, 0);
}

struct store_bytes cache_value(const struct cache *cache, uint64_t secret, uint64_t version)
{
	const struct slot *slot = find(cache, secret, version);

	return slot ? (struct store_bytes){slot->bytes, slot->size} : (struct store_bytes){NULL, 0};
}

void cache_put_value(
	struct cache *cache, uint64_t secret, uint64_t version, uint8_t *bytes, size_t size)
{
	struct slot *slot = make_room(cache, secret, version, size);

	if (slot)
		slot->bytes = bytes;
	else
		free(bytes);
}

void cache_forget_value(struct cache *cache, uint64_t secret, uint64_t version)
{
	forget(cache, secret, version);
}
