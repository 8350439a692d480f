/* SPDX-License-Identifier: ISC */
/*
 * index_tally: what index.c (rows), index_tally.c (hashing) and index_items.c (slots, policies,
 * audit state) share: the index's insides and how the tally hashes. Nobody else includes it.
 */
#ifndef MORTISE_INDEX_TALLY_H
#define MORTISE_INDEX_TALLY_H

#include <sodium.h>

#include "index.h"

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
	size_t item_count, item_capacity;
};

/* First byte of every hash input: no digest of one kind can stand for another. */
enum tally_kind { TALLY_ROW = 1, TALLY_BUCKET = 2, TALLY_ITEM = 3, TALLY_ROOT = 4 };

void tally_begin(const struct index *index, crypto_generichash_state *state, enum tally_kind kind);
void tally_number(crypto_generichash_state *state, uint64_t number);
/* Where id stands in the bucket, or would. */
size_t bucket_position(const struct bucket *bucket, const uint8_t *id, bool *out_found);
/* The size, then the bytes. */
void tally_sized(crypto_generichash_state *state, const uint8_t *bytes, size_t size);
/* All items in order, with the changed one put, replaced or left out. */
void tally_items(const struct index *index, const struct index_change *change,
	crypto_generichash_state *state);

#endif
