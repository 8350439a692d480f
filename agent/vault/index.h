/* SPDX-License-Identifier: ISC */
/*
 * index: what is in memory of every row, and the tally over all of them.
 * Of a secret there are the digest of its row, the hash of its path and its current version: at
 * most 120 bytes in all, where their numbers stand side by side. The tally is keyed BLAKE2b: a
 * digest a row, a tree of fixed fan-out over the rows' numbers, one root over that, the items
 * (slots, policies, audit state) and the store's identity. With the root right, no row is missing,
 * added, changed or older than the rest. A change costs as many nodes as the tree is high. Knows
 * nothing of what a row says beyond what struct index_row names.
 */
#ifndef MORTISE_INDEX_H
#define MORTISE_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "secret.h"
#include "store.h"

#define INDEX_PATH_SIZE 16 /* of a path's hash, which is keyed: nobody can make two alike */

struct index;

/* A secret's row. */
struct index_row {
	uint64_t number;  /* of the secret */
	uint64_t current; /* the version that is served; 0: none */
	bool is_deleted;
	uint8_t path_hash[INDEX_PATH_SIZE];
	uint8_t digest[STORE_HASH_SIZE];
};

/* tally_key must outlive the index. */
enum mortise_status index_new(const struct secret *tally_key, struct index **out_index) MUST_USE;
void index_free(struct index *index);

/* The digest of a row that has this number. */
void index_digest(const struct index *index, uint64_t number, struct store_bytes record,
	uint8_t out_digest[STORE_HASH_SIZE]);

/* False: there is none. */
bool index_find(const struct index *index, const uint8_t path_hash[INDEX_PATH_SIZE],
	struct index_row *out_row);
bool index_get(const struct index *index, uint64_t number, struct index_row *out_row);
/* The first with a number above after. */
bool index_next(const struct index *index, uint64_t after, struct index_row *out_row);
/* The first above after, and up to, that is marked deleted. */
bool index_next_deleted(
	const struct index *index, uint64_t after, uint64_t to, struct index_row *out_row);
size_t index_count(const struct index *index);

/*
 * Room for a row with this number, and for count rows more than there are, so that index_put()
 * cannot fail; until then none is removed. MORTISE_INVALID above STORE_NUMBER_MAX.
 */
enum mortise_status index_reserve(struct index *index, uint64_t number, size_t count) MUST_USE;
/* Takes the row in place of the one with its number; room must be reserved. */
void index_put(struct index *index, const struct index_row *row);
/* Drops the row with this number, if there is one. */
void index_remove(struct index *index, uint64_t number);

/* Makes the nodes anew that changed; index_root() does so itself, where it takes how long it takes.
 */
void index_settle(struct index *index);

/* Frees some rows of an index that is good for nothing but index_free(); false: few are left. */
bool index_drain(struct index *index);

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

/* What a transaction is about to change: rows that come or are replaced, or one that goes; one
 * item. */
struct index_change {
	const struct index_row *rows; /* by number; each number once, and its room reserved */
	size_t row_count;
	uint64_t removed;     /* 0: none; not together with rows */
	enum store_item kind; /* 0: none */
	uint64_t number;
	struct store_bytes body; /* NULL bytes: the item is deleted */
	bool is_slight;          /* carries no weight, see struct vault_age */
};

/*
 * The root as it will be after change (NULL: as it is), for the given identity, of which no row
 * has a higher number than meta's last.
 */
void index_root(struct index *index, const struct store_meta *meta,
	const struct index_change *change, uint8_t out_root[STORE_HASH_SIZE]);

#endif
