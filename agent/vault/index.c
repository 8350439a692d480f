/* SPDX-License-Identifier: ISC */
#include "index_tally.h"

#include <stdlib.h>
#include <string.h>

#define DRAINED_AT_ONCE 1000

void tally_begin(const struct index *index, crypto_generichash_state *state, enum tally_kind kind)
{
	uint8_t first = (uint8_t)kind;

	crypto_generichash_init(state, index->tally_key->bytes, KEY_SIZE, STORE_HASH_SIZE);
	crypto_generichash_update(state, &first, 1);
}

void tally_number(crypto_generichash_state *state, uint64_t number)
{
	uint8_t bytes[8];

	for (unsigned i = 0; i < 8; i++)
		bytes[i] = (uint8_t)(number >> (8 * i));
	crypto_generichash_update(state, bytes, sizeof bytes);
}

void tally_sized(crypto_generichash_state *state, const uint8_t *bytes, size_t size)
{
	tally_number(state, size);
	crypto_generichash_update(state, bytes, size);
}

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

/* The bucket's digest with change (of this bucket, or NULL) swapped in. */
static void digest_bucket(const struct index *index, unsigned number, const struct entry *change,
	uint8_t out_digest[STORE_HASH_SIZE])
{
	const struct bucket *bucket = &index->bucket[number];
	crypto_generichash_state state;
	bool replaces = false;
	size_t position = change ? bucket_position(bucket, change->id, &replaces) : 0;

	tally_begin(index, &state, TALLY_BUCKET);
	tally_number(&state, number);
	tally_number(&state, bucket->count + (change && !replaces));
	for (size_t i = 0; i <= bucket->count; i++) {
		if (change && i == position)
			crypto_generichash_update(&state, change->digest, STORE_HASH_SIZE);
		if (i < bucket->count && !(replaces && i == position))
			crypto_generichash_update(
				&state, bucket->entries[i]->digest, STORE_HASH_SIZE);
	}
	crypto_generichash_final(&state, out_digest, STORE_HASH_SIZE);
}

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
		digest_bucket(index, i, NULL, index->bucket[i].digest);
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

enum mortise_status index_reserve(struct index *index, const uint8_t id[STORE_ID_SIZE])
{
	struct bucket *bucket = &index->bucket[id[0]];

	if (bucket->count == bucket->capacity) {
		size_t capacity = bucket->capacity ? bucket->capacity * 2 : 4;
		void *entries = reallocarray(bucket->entries, capacity, sizeof(struct entry *));
		if (!entries)
			return MORTISE_BUSY;
		bucket->entries = entries;
		bucket->capacity = capacity;
	}
	return (index->count + 1) * 2 > index->mask ? grow_table(index) : MORTISE_OK;
}

/*
 * A secret's path hash never changes while its row lives (a move is a new row), so an entry
 * that replaces another takes over its slot.
 */
static void place(struct index *index, struct entry *entry)
{
	struct bucket *bucket = &index->bucket[entry->id[0]];
	size_t slot = hash_slot(index, entry->path_hash);
	bool found = false;
	size_t position = bucket_position(bucket, entry->id, &found);

	if (found) {
		entry_free(bucket->entries[position]);
	} else {
		memmove(bucket->entries + position + 1, bucket->entries + position,
			(bucket->count - position) * sizeof *bucket->entries);
		bucket->count++;
		index->count++;
	}
	bucket->entries[position] = entry;
	index->by_hash[slot] = entry;
}

void index_swap(struct index *index, struct entry *entry)
{
	unsigned number = entry->id[0];

	place(index, entry);
	digest_bucket(index, number, NULL, index->bucket[number].digest);
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

void index_settle(struct index *index, unsigned bucket)
{
	digest_bucket(index, bucket, NULL, index->bucket[bucket].digest);
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
		digest_bucket(index, i, NULL, index->bucket[i].digest);
	return MORTISE_OK;
}

void index_mark(
	struct index *index, const uint8_t id[STORE_ID_SIZE], uint64_t current, bool is_deleted)
{
	bool found = false;
	const struct bucket *bucket = &index->bucket[id[0]];
	size_t position = bucket_position(bucket, id, &found);

	if (found) {
		bucket->entries[position]->current = current;
		bucket->entries[position]->is_deleted = is_deleted;
	}
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

void index_root(const struct index *index, const struct store_meta *meta,
	const struct index_change *change, uint8_t out_root[STORE_HASH_SIZE])
{
	const struct entry *entry = change ? change->entry : NULL;
	crypto_generichash_state state;
	uint8_t digest[STORE_HASH_SIZE];

	tally_begin(index, &state, TALLY_ROOT);
	tally_number(&state, STORE_FORMAT);
	crypto_generichash_update(&state, meta->uuid, STORE_ID_SIZE);
	tally_number(&state, meta->epoch);
	tally_number(&state, meta->generation);
	tally_items(index, change, &state);
	for (unsigned i = 0; i < BUCKETS; i++) {
		if (entry && entry->id[0] == i) {
			digest_bucket(index, i, entry, digest);
			crypto_generichash_update(&state, digest, STORE_HASH_SIZE);
		} else {
			crypto_generichash_update(&state, index->bucket[i].digest, STORE_HASH_SIZE);
		}
	}
	crypto_generichash_final(&state, out_root, STORE_HASH_SIZE);
}
