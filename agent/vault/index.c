/* SPDX-License-Identifier: ISC */
#include "index_tally.h"

#include <stdlib.h>
#include <string.h>

#define DRAINED_AT_ONCE 1000

size_t bucket_position(const struct bucket *bucket, const uint8_t *id, bool *out_found)
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
