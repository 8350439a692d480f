/* SPDX-License-Identifier: ISC */
#include "index_tally.h"

#include <string.h>

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
