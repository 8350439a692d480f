/* SPDX-License-Identifier: ISC */
#include "index.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "little_endian.h"

#define BUCKETS 256

struct bucket {
	struct entry **entries; /* by id */
	size_t count, capacity;
	uint8_t digest[STORE_HASH_SIZE];
};

struct item_digest {
	enum store_item kind;
	uint64_t number;
	uint8_t digest[STORE_HASH_SIZE];
};

struct index {
	const struct secret *tally_key;
	struct bucket bucket[BUCKETS];
	size_t count;
	struct entry **by_hash; /* open addressing; path hashes are uniform already */
	size_t mask;
	struct item_digest *items; /* by kind and number */
	size_t item_count;
};

/* First byte of every hash input: no digest of one kind can stand for another. */
enum tally_kind { TALLY_ROW = 1, TALLY_BUCKET = 2, TALLY_ITEM = 3, TALLY_ROOT = 4 };

/* ---- hashing ---- */

static void tally_begin(
	const struct index *index, crypto_generichash_state *state, enum tally_kind kind)
{
	uint8_t first = (uint8_t)kind;

	crypto_generichash_init(state, index->tally_key->bytes, KEY_SIZE, STORE_HASH_SIZE);
	crypto_generichash_update(state, &first, 1);
}

static void tally_number(crypto_generichash_state *state, uint64_t number)
{
	uint8_t bytes[8];

	le64_put(bytes, number);
	crypto_generichash_update(state, bytes, sizeof bytes);
}

/* The size, then the bytes. */
static void tally_sized(crypto_generichash_state *state, const uint8_t *bytes, size_t size)
{
	tally_number(state, size);
	crypto_generichash_update(state, bytes, size);
}

/* Where id stands in the bucket, or would. */
static size_t bucket_position(const struct bucket *bucket, const uint8_t *id, bool *out_found)
{
	size_t low = 0, high = bucket->count;

	*out_found = false;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = memcmp(bucket->entries[middle]->id, id, STORE_ID_SIZE);
		if (order == 0) {
			*out_found = true;
			return middle;
		}
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* ---- items: slots, policies, audit state ---- */

static int order_items(const struct item_digest *item, enum store_item kind, uint64_t number)
{
	if (item->kind != kind)
		return item->kind < kind ? -1 : 1;
	return item->number < number ? -1 : item->number > number;
}

/* Where the item stands, or would. */
static size_t item_position(
	const struct index *index, enum store_item kind, uint64_t number, bool *out_found)
{
	size_t i = 0;

	while (i < index->item_count && order_items(&index->items[i], kind, number) < 0)
		i++;
	*out_found = i < index->item_count && order_items(&index->items[i], kind, number) == 0;
	return i;
}

static void digest_item(const struct index *index, enum store_item kind, uint64_t number,
	struct store_bytes body, uint8_t out_digest[STORE_HASH_SIZE])
{
	crypto_generichash_state state;

	tally_begin(index, &state, TALLY_ITEM);
	tally_number(&state, kind);
	tally_number(&state, number);
	tally_sized(&state, body.bytes, body.size);
	crypto_generichash_final(&state, out_digest, STORE_HASH_SIZE);
}

enum mortise_status index_put_item(
	struct index *index, enum store_item kind, uint64_t number, struct store_bytes body)
{
	bool found = false;
	size_t position = item_position(index, kind, number, &found);

	if (!found) {
		void *items = array_room(index->items, index->item_count, sizeof *index->items);
		if (!items)
			return MORTISE_BUSY;
		index->items = items;
	}
	struct item_digest *item = &index->items[position];
	if (!found) {
		memmove(item + 1, item, (index->item_count - position) * sizeof *item);
		index->item_count++;
	}
	item->kind = kind;
	item->number = number;
	digest_item(index, kind, number, body, item->digest);
	return MORTISE_OK;
}

void index_delete_item(struct index *index, enum store_item kind, uint64_t number)
{
	bool found = false;
	size_t position = item_position(index, kind, number, &found);

	if (!found)
		return;
	index->item_count--;
	memmove(index->items + position, index->items + position + 1,
		(index->item_count - position) * sizeof *index->items);
}

bool index_has_item(
	const struct index *index, enum store_item kind, uint64_t number, struct store_bytes body)
{
	uint8_t digest[STORE_HASH_SIZE];
	bool found = false;
	size_t position = item_position(index, kind, number, &found);

	if (!found)
		return false;
	digest_item(index, kind, number, body, digest);
	return sodium_memcmp(digest, index->items[position].digest, STORE_HASH_SIZE) == 0;
}

uint64_t index_last_item(const struct index *index, enum store_item kind)
{
	uint64_t last = 0;

	for (size_t i = 0; i < index->item_count; i++)
		if (index->items[i].kind == kind)
			last = index->items[i].number;
	return last;
}

uint64_t index_next_item(const struct index *index, enum store_item kind, uint64_t after)
{
	for (size_t i = 0; i < index->item_count; i++)
		if (index->items[i].kind == kind && index->items[i].number > after)
			return index->items[i].number;
	return 0;
}

static void hash_item(crypto_generichash_state *state, const struct item_digest *item)
{
	tally_number(state, item->kind);
	tally_number(state, item->number);
	crypto_generichash_update(state, item->digest, STORE_HASH_SIZE);
}

/* All items in order, with the changed one put, replaced or left out. */
static void tally_items(const struct index *index, const struct index_change *change,
	crypto_generichash_state *state)
{
	bool found = false;
	size_t position = index->item_count + 1;
	struct item_digest changed = {0};

	if (change && change->kind) {
		position = item_position(index, change->kind, change->number, &found);
		changed.kind = change->kind;
		changed.number = change->number;
		if (change->body.bytes)
			digest_item(
				index, change->kind, change->number, change->body, changed.digest);
	}
	for (size_t i = 0; i <= index->item_count; i++) {
		if (i == position && change->body.bytes)
			hash_item(state, &changed);
		if (i < index->item_count && !(i == position && found))
			hash_item(state, &index->items[i]);
	}
}

/* ---- the tally ---- */

void index_digest(const struct index *index, struct entry *entry)
{
	crypto_generichash_state state;

	tally_begin(index, &state, TALLY_ROW);
	crypto_generichash_update(&state, entry->id, STORE_ID_SIZE);
	crypto_generichash_update(&state, entry->path_hash, STORE_HASH_SIZE);
	tally_sized(&state, entry->head, entry->head_size);
	tally_number(&state, entry->version_count);
	for (size_t i = 0; i < entry->version_count; i++) {
		const struct entry_version *version = &entry->versions[i];
		tally_number(&state, version->number);
		tally_number(&state, version->value_epoch);
		crypto_generichash_update(&state, version->wrapped_key, STORE_KEY_SIZE);
		tally_sized(&state, version->info, version->info_size);
	}
	crypto_generichash_final(&state, entry->digest, STORE_HASH_SIZE);
}

/* What becomes of one bucket: entries that are swapped in, by id, and one that goes. */
struct swaps {
	const struct entry *const *entries;
	size_t count;
	const uint8_t *removed_id;
};

static size_t count_with(const struct bucket *bucket, const struct swaps *swaps)
{
	size_t count = bucket->count;
	bool found = false;

	for (size_t i = 0; i < swaps->count; i++) {
		(void)bucket_position(bucket, swaps->entries[i]->id, &found);
		count += !found;
	}
	if (swaps->removed_id) {
		(void)bucket_position(bucket, swaps->removed_id, &found);
		count -= found;
	}
	return count;
}

/* The bucket's digest as it will be: two sorted runs merged. */
static void digest_bucket(const struct index *index, unsigned number, const struct swaps *swaps,
	uint8_t out_digest[STORE_HASH_SIZE])
{
	const struct bucket *bucket = &index->bucket[number];
	crypto_generichash_state state;
	size_t next = 0;

	tally_begin(index, &state, TALLY_BUCKET);
	tally_number(&state, number);
	tally_number(&state, count_with(bucket, swaps));
	for (size_t i = 0; i <= bucket->count; i++) {
		const struct entry *entry = i < bucket->count ? bucket->entries[i] : NULL;
		int order = 1;
		while (next < swaps->count &&
			(order = entry ? memcmp(entry->id, swaps->entries[next]->id, STORE_ID_SIZE)
				       : 1) >= 0) {
			crypto_generichash_update(
				&state, swaps->entries[next++]->digest, STORE_HASH_SIZE);
			if (order == 0)
				break;
		}
		bool is_gone = order == 0 ||
			       (entry && swaps->removed_id &&
				       memcmp(entry->id, swaps->removed_id, STORE_ID_SIZE) == 0);
		if (entry && !is_gone)
			crypto_generichash_update(&state, entry->digest, STORE_HASH_SIZE);
	}
	crypto_generichash_final(&state, out_digest, STORE_HASH_SIZE);
}

static const struct swaps no_swaps;

void index_settle(struct index *index, unsigned bucket)
{
	digest_bucket(index, bucket, &no_swaps, index->bucket[bucket].digest);
}

/* The changes of the next bucket, from those that are left. */
static struct swaps take_swaps(struct swaps *left, unsigned bucket)
{
	struct swaps taken = {left->entries, 0, NULL};

	while (left->count && left->entries[0]->id[0] == bucket) {
		left->entries++;
		left->count--;
		taken.count++;
	}
	if (left->removed_id && left->removed_id[0] == bucket)
		taken.removed_id = left->removed_id;
	return taken;
}

static struct swaps swaps_of(const struct index_change *change)
{
	if (!change)
		return no_swaps;
	if (change->entry)
		return (struct swaps){&change->entry, 1, NULL};
	return (struct swaps){change->entries, change->entry_count, change->removed_id};
}

void index_root(const struct index *index, const struct store_meta *meta,
	const struct index_change *change, uint8_t out_root[STORE_HASH_SIZE])
{
	struct swaps left = swaps_of(change);
	crypto_generichash_state state;
	uint8_t digest[STORE_HASH_SIZE];

	tally_begin(index, &state, TALLY_ROOT);
	tally_number(&state, STORE_FORMAT);
	crypto_generichash_update(&state, meta->uuid, STORE_ID_SIZE);
	tally_number(&state, meta->epoch);
	tally_number(&state, meta->generation);
	tally_items(index, change, &state);
	for (unsigned i = 0; i < BUCKETS; i++) {
		const struct swaps swaps = take_swaps(&left, i);
		if (swaps.count || swaps.removed_id) {
			digest_bucket(index, i, &swaps, digest);
			crypto_generichash_update(&state, digest, STORE_HASH_SIZE);
		} else {
			crypto_generichash_update(&state, index->bucket[i].digest, STORE_HASH_SIZE);
		}
	}
	crypto_generichash_final(&state, out_root, STORE_HASH_SIZE);
}

/* ---- rows ---- */

#define DRAINED_AT_ONCE 1000

enum mortise_status index_new(const struct secret *tally_key, struct index **out_index)
{
	struct index *index = calloc(1, sizeof *index);

	if (!index)
		return MORTISE_BUSY;
	index->mask = 1023;
	index->by_hash = calloc(index->mask + 1, sizeof(struct entry *));
	if (!index->by_hash) {
		free(index);
		return MORTISE_BUSY;
	}
	index->tally_key = tally_key;
	for (unsigned i = 0; i < BUCKETS; i++)
		index_settle(index, i);
	*out_index = index;
	return MORTISE_OK;
}

void index_free(struct index *index)
{
	if (!index)
		return;
	for (unsigned i = 0; i < BUCKETS; i++) {
		for (size_t j = 0; j < index->bucket[i].count; j++)
			entry_free(index->bucket[i].entries[j]);
		free(index->bucket[i].entries);
	}
	free(index->by_hash);
	free(index->items);
	free(index);
}

/* The slot where path_hash stands, or the empty one where it would. */
static size_t hash_slot(const struct index *index, const uint8_t path_hash[STORE_HASH_SIZE])
{
	size_t slot;

	memcpy(&slot, path_hash, sizeof slot);
	for (slot &= index->mask; index->by_hash[slot]; slot = (slot + 1) & index->mask)
		if (memcmp(index->by_hash[slot]->path_hash, path_hash, STORE_HASH_SIZE) == 0)
			break;
	return slot;
}

const struct entry *index_find(const struct index *index, const uint8_t path_hash[STORE_HASH_SIZE])
{
	return index->by_hash[hash_slot(index, path_hash)];
}

size_t index_count(const struct index *index)
{
	return index->count;
}

static enum mortise_status grow_table(struct index *index)
{
	struct entry **old = index->by_hash;
	size_t old_size = index->mask + 1;
	struct entry **table = calloc(old_size * 2, sizeof *table);

	if (!table)
		return MORTISE_BUSY;
	index->by_hash = table;
	index->mask = old_size * 2 - 1;
	for (size_t i = 0; i < old_size; i++)
		if (old[i])
			table[hash_slot(index, old[i]->path_hash)] = old[i];
	free(old);
	return MORTISE_OK;
}

enum mortise_status index_reserve_many(
	struct index *index, const uint8_t id[STORE_ID_SIZE], size_t count)
{
	struct bucket *bucket = &index->bucket[id[0]];

	if (bucket->count + count > bucket->capacity) {
		size_t capacity = bucket->capacity ? bucket->capacity * 2 : 4;
		while (capacity < bucket->count + count)
			capacity *= 2;
		void *entries = reallocarray(bucket->entries, capacity, sizeof(struct entry *));
		if (!entries)
			return MORTISE_BUSY;
		bucket->entries = entries;
		bucket->capacity = capacity;
	}
	while ((index->count + count) * 2 > index->mask)
		TRY(grow_table(index));
	return MORTISE_OK;
}

enum mortise_status index_reserve(struct index *index, const uint8_t id[STORE_ID_SIZE])
{
	return index_reserve_many(index, id, 1);
}

/* Takes an entry out of the table; those behind it that were pushed on by it move up. */
static void unhash(struct index *index, const struct entry *entry)
{
	size_t hole = hash_slot(index, entry->path_hash);

	if (index->by_hash[hole] != entry)
		return; /* another one has this path by now */
	for (size_t slot = (hole + 1) & index->mask; index->by_hash[slot];
		slot = (slot + 1) & index->mask) {
		size_t home;
		memcpy(&home, index->by_hash[slot]->path_hash, sizeof home);
		if (((slot - home) & index->mask) < ((slot - hole) & index->mask))
			continue; /* it stands between its place and the hole's */
		index->by_hash[hole] = index->by_hash[slot];
		hole = slot;
	}
	index->by_hash[hole] = NULL;
}

static void place(struct index *index, struct entry *entry)
{
	struct bucket *bucket = &index->bucket[entry->id[0]];
	bool found = false;
	size_t position = bucket_position(bucket, entry->id, &found);

	if (found) {
		unhash(index, bucket->entries[position]);
		entry_free(bucket->entries[position]);
	} else {
		memmove(bucket->entries + position + 1, bucket->entries + position,
			(bucket->count - position) * sizeof *bucket->entries);
		bucket->count++;
		index->count++;
	}
	bucket->entries[position] = entry;
	index->by_hash[hash_slot(index, entry->path_hash)] = entry;
}

void index_remove(struct index *index, const uint8_t id[STORE_ID_SIZE])
{
	struct bucket *bucket = &index->bucket[id[0]];
	bool found = false;
	unsigned number = id[0]; /* id may be the entry's own */
	size_t position = bucket_position(bucket, id, &found);

	if (!found)
		return;
	unhash(index, bucket->entries[position]);
	entry_free(bucket->entries[position]);
	bucket->count--;
	memmove(bucket->entries + position, bucket->entries + position + 1,
		(bucket->count - position) * sizeof *bucket->entries);
	index->count--;
	index_settle(index, number);
}

void index_swap(struct index *index, struct entry *entry)
{
	unsigned number = entry->id[0];

	place(index, entry);
	index_settle(index, number);
}

enum mortise_status index_make_room(struct index *index, size_t count)
{
	size_t size = index->mask + 1;

	while (count * 2 >= size)
		size *= 2;
	struct entry **table = calloc(size, sizeof *table);
	if (!table)
		return MORTISE_BUSY;
	free(index->by_hash);
	index->by_hash = table;
	index->mask = size - 1;
	return MORTISE_OK;
}

void index_place(struct index *index, struct entry *entry)
{
	place(index, entry);
}

bool index_drain(struct index *index)
{
	unsigned freed = 0;

	for (unsigned i = 0; i < BUCKETS; i++) {
		struct bucket *bucket = &index->bucket[i];
		for (; bucket->count > 0; freed++) {
			if (freed == DRAINED_AT_ONCE)
				return true;
			entry_free(bucket->entries[--bucket->count]);
		}
	}
	return false;
}

enum mortise_status index_fill(struct index *index, struct entry **entries, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		TRY(index_reserve(index, entries[i]->id));
		place(index, entries[i]);
		entries[i] = NULL;
	}
	for (unsigned i = 0; i < BUCKETS; i++)
		index_settle(index, i);
	return MORTISE_OK;
}

void index_mark(
	struct index *index, const uint8_t id[STORE_ID_SIZE], const struct index_marks *marks)
{
	bool found = false;
	const struct bucket *bucket = &index->bucket[id[0]];
	size_t position = bucket_position(bucket, id, &found);

	if (!found)
		return;
	bucket->entries[position]->current = marks->current;
	bucket->entries[position]->previous = marks->previous;
	bucket->entries[position]->pending = marks->pending;
	bucket->entries[position]->is_deleted = marks->is_deleted;
}

const struct entry *index_get(const struct index *index, const uint8_t id[STORE_ID_SIZE])
{
	bool found = false;
	const struct bucket *bucket = &index->bucket[id[0]];
	size_t position = bucket_position(bucket, id, &found);

	return found ? bucket->entries[position] : NULL;
}

const struct entry *index_next(const struct index *index, const uint8_t after[STORE_ID_SIZE])
{
	unsigned number = 0;
	size_t position = 0;

	if (after) {
		bool found = false;
		number = after[0];
		position = bucket_position(&index->bucket[number], after, &found);
		position += found;
	}
	for (; number < BUCKETS; number++, position = 0)
		if (position < index->bucket[number].count)
			return index->bucket[number].entries[position];
	return NULL;
}
