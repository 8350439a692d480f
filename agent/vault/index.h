/* SPDX-License-Identifier: ISC */
/*
 * index: every row but the values, still encrypted, in memory; and the tally over them.
 * The tally is keyed BLAKE2b: a digest a row, 256 buckets by the first byte of the row's id,
 * one root over buckets, items (slots, policies, audit state) and the store's identity. With
 * the root right, no row is missing, added, changed or older than the rest.
 * An entry never changes: a write makes a new one and swaps it in after its commit.
 * Knows nothing of what a row says beyond what struct entry names.
 */
#ifndef MORTISE_INDEX_H
#define MORTISE_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "entry.h"
#include "secret.h"

struct index;

/* tally_key must outlive the index. */
enum mortise_status index_new(const struct secret *tally_key, struct index **out_index) MUST_USE;
void index_free(struct index *index);

/* Computes an entry's digest; called once, when it is complete. */
void index_digest(const struct index *index, struct entry *entry);

const struct entry *index_find(const struct index *index, const uint8_t path_hash[STORE_HASH_SIZE]);
size_t index_count(const struct index *index);

/* Room for one more entry, so that index_swap() cannot fail. */
enum mortise_status index_reserve(struct index *index, const uint8_t id[STORE_ID_SIZE]) MUST_USE;
/* For `count` more, whatever bucket they belong to; this id's is one of theirs. */
enum mortise_status index_reserve_many(
	struct index *index, const uint8_t id[STORE_ID_SIZE], size_t count) MUST_USE;

/*
 * Takes entry in place of the one with its id, which is freed; entry is new if there is none.
 * The entry must have its digest, and room must be reserved.
 */
void index_swap(struct index *index, struct entry *entry);
/* Frees the entry with this id, if there is one. */
void index_remove(struct index *index, const uint8_t id[STORE_ID_SIZE]);

/*
 * Takes all of many entries, each with its digest, at a cost that is linear in their number;
 * those taken are NULL afterwards. MORTISE_BUSY: the index is of no more use.
 */
enum mortise_status index_fill(struct index *index, struct entry **entries, size_t count) MUST_USE;

/*
 * For an index that is filled bit by bit: room for count entries in one go, while it is empty;
 * then index_reserve() and index_place() each, and index_settle() once for each bucket that was
 * placed into, before the root is asked for. index_place() is index_swap() without the digest.
 */
enum mortise_status index_make_room(struct index *index, size_t count) MUST_USE;
void index_place(struct index *index, struct entry *entry);
void index_settle(struct index *index, unsigned bucket);

/* Frees some entries of an index that is good for nothing but index_free(); false: all gone. */
bool index_drain(struct index *index);

/* What an entry says of itself in the clear, once its head has been read: entry.h. */
struct index_marks {
	uint64_t current, previous, pending;
	bool is_deleted;
};
void index_mark(
	struct index *index, const uint8_t id[STORE_ID_SIZE], const struct index_marks *marks);

/* NULL: no entry has this id. */
const struct entry *index_get(const struct index *index, const uint8_t id[STORE_ID_SIZE]);
/* Entries in the order of their ids: the first above `after`; NULL starts, NULL ends. */
const struct entry *index_next(const struct index *index, const uint8_t after[STORE_ID_SIZE]);

/* Takes a committed item into the tally. */
enum mortise_status index_put_item(struct index *index, enum store_item kind, uint64_t number,
	struct store_bytes body) MUST_USE;
/* Takes a deleted item out of it; one that is not there is no error. */
void index_delete_item(struct index *index, enum store_item kind, uint64_t number);

/* Is this the body that the tally covers? */
bool index_has_item(
	const struct index *index, enum store_item kind, uint64_t number, struct store_bytes body);
/* The highest number of that kind; 0: none. */
uint64_t index_last_item(const struct index *index, enum store_item kind);
/* The lowest number of that kind above `after`; 0: none. */
uint64_t index_next_item(const struct index *index, enum store_item kind, uint64_t after);

/* What a transaction is about to change: one entry, or many, or an entry that goes; one item. */
struct index_change {
	const struct entry *entry;          /* NULL: none, or many */
	const struct entry *const *entries; /* by id; each id once */
	size_t entry_count;
	const uint8_t *removed_id; /* NULL: none; not together with entries */
	enum store_item kind;      /* 0: none */
	uint64_t number;
	struct store_bytes body; /* NULL bytes: the item is deleted */
	bool is_slight;          /* carries no weight, see struct vault_age */
};

/* The root as it will be after change (NULL: as it is), for the given identity. */
void index_root(const struct index *index, const struct store_meta *meta,
	const struct index_change *change, uint8_t out_root[STORE_HASH_SIZE]);

#endif
