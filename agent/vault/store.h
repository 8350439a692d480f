/* SPDX-License-Identifier: ISC */
/*
 * store: the rows on disk, in SQLite (WAL, synchronous=FULL, secure_delete).
 * Sees ciphertext only and trusts nothing it reads: sizes are bounded here, contents are
 * checked by the vault's tally and by authenticated encryption. A schema that is not exactly
 * ours is refused. One process opens a store (the monitor holds its lock), after its last fork.
 * Knows nothing of keys, paths or meaning.
 *
 *	meta     one row: format, uuid, epoch, generation, tally
 *	item     (kind, number) -> body: slots, policies, the audit log's state
 *	secret   id -> path hash, head
 *	version  (secret, number) -> wrapped data key, info
 *	value    (secret, number) -> encrypted bytes
 *	hold     a seal that outlives a restart; outside the tally, since it is read while sealed
 */
#ifndef MORTISE_STORE_H
#define MORTISE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "status.h"

#define STORE_NAME         "store.db"
#define STORE_FORMAT       1
#define STORE_ID_SIZE      16
#define STORE_HASH_SIZE    32
#define STORE_KEY_SIZE     72 /* a wrapped data key */
#define STORE_HEAD_MAX     65536
#define STORE_INFO_MAX     4096
#define STORE_VALUE_MAX    (65536 + 40)
#define STORE_ITEM_MAX     (32 * 1024 * 1024)
#define STORE_HOLD_MAX     128
#define STORE_VERSIONS_MAX 1024 /* of one secret */

/* The kinds of item; the numbers never change. */
enum store_item {
	STORE_SLOT = 1,   /* number: the slot's id */
	STORE_POLICY = 2, /* number: the policy's version */
	STORE_AUDIT = 3,  /* number 1 */
	STORE_ANCHOR = 4, /* number 1; none: the store has no anchor */
	STORE_ITEM_LAST = STORE_ANCHOR,
};

struct store;

struct store_bytes {
	const uint8_t *bytes;
	size_t size;
};

struct store_meta {
	uint8_t uuid[STORE_ID_SIZE];
	uint64_t epoch;
	uint64_t generation;
	uint8_t tally[STORE_HASH_SIZE];
};

/*
 * Opens DIRECTORY/store.db, creating it if there is none. MORTISE_INTEGRITY for a file that
 * is not a store or has another schema; MORTISE_IO.
 */
enum mortise_status store_open(const char *directory, struct store **out_store) MUST_USE;
/* The same for DIRECTORY/NAME; a file that came from elsewhere. */
enum mortise_status store_open_as(const char *directory, const char *name, struct store **out_store)
	MUST_USE;
void store_close(struct store *store);

/*
 * Did the last failure mean a full disk? Then nothing of the transaction is on it, even if it was
 * the commit that failed.
 */
bool store_is_full(const struct store *store);

/* What SQLite said about the last failure; never NULL. */
const char *store_describe_failure(const struct store *store);

/* MORTISE_NOT_FOUND before `init`; MORTISE_INTEGRITY for another format. */
enum mortise_status store_meta(struct store *store, struct store_meta *out_meta) MUST_USE;

/*
 * All writes stand between begin and commit. After a commit that failed, but for a full disk, it is
 * unknown what is on disk: close the store and read it again.
 */
enum mortise_status store_begin(struct store *store) MUST_USE;
enum mortise_status store_commit(struct store *store) MUST_USE;
void store_rollback(struct store *store);

enum mortise_status store_put_meta(struct store *store, const struct store_meta *meta) MUST_USE;
enum mortise_status store_put_item(struct store *store, enum store_item kind, uint64_t number,
	struct store_bytes body) MUST_USE;
enum mortise_status store_delete_item(struct store *store, enum store_item kind, uint64_t number)
	MUST_USE;
enum mortise_status store_put_secret(struct store *store, const uint8_t id[STORE_ID_SIZE],
	const uint8_t path_hash[STORE_HASH_SIZE], struct store_bytes head) MUST_USE;
enum mortise_status store_put_version(struct store *store, const uint8_t id[STORE_ID_SIZE],
	uint64_t number, const uint8_t wrapped_key[STORE_KEY_SIZE], struct store_bytes info,
	struct store_bytes value) MUST_USE;
/* Version, data key and value; overwritten on disk by secure_delete. */
enum mortise_status store_delete_version(
	struct store *store, const uint8_t id[STORE_ID_SIZE], uint64_t number) MUST_USE;

/* The visits return MORTISE_OK to go on. Bytes are valid during the visit only. */
typedef enum mortise_status store_item_visit(
	void *context, enum store_item kind, uint64_t number, struct store_bytes body);
typedef enum mortise_status store_secret_visit(void *context, const uint8_t id[STORE_ID_SIZE],
	const uint8_t path_hash[STORE_HASH_SIZE], struct store_bytes head);
typedef enum mortise_status store_version_visit(void *context, const uint8_t id[STORE_ID_SIZE],
	uint64_t number, const uint8_t wrapped_key[STORE_KEY_SIZE], struct store_bytes info);

/* Items by kind and number; secrets by id; versions by id and number. */
enum mortise_status store_each_item(struct store *store, store_item_visit *visit, void *context)
	MUST_USE;
/* Rows whose id's first byte lies in first..last. */
enum mortise_status store_each_secret(struct store *store, uint8_t first, uint8_t last,
	store_secret_visit *visit, void *context) MUST_USE;
enum mortise_status store_each_version(struct store *store, uint8_t first, uint8_t last,
	store_version_visit *visit, void *context) MUST_USE;

/* An item's body, malloc'ed. MORTISE_NOT_FOUND. */
enum mortise_status store_item(struct store *store, enum store_item kind, uint64_t number,
	uint8_t **out_bytes, size_t *out_size) MUST_USE;

/* A value's ciphertext, malloc'ed. MORTISE_INTEGRITY if the row is missing. */
enum mortise_status store_value(struct store *store, const uint8_t id[STORE_ID_SIZE],
	uint64_t number, uint8_t **out_bytes, size_t *out_size) MUST_USE;

/* The values, whatever their number, of rows whose id's first byte lies in first..last. */
enum mortise_status store_count_values(
	struct store *store, uint8_t first, uint8_t last, uint64_t *out_count) MUST_USE;

/*
 * The hold: "" for none, else a word of lifecycle's. Each call is its own transaction.
 * MORTISE_INTEGRITY where it is longer than STORE_HOLD_MAX.
 */
enum mortise_status store_hold(struct store *store, char out_word[STORE_HOLD_MAX]) MUST_USE;
enum mortise_status store_set_hold(struct store *store, const char *word) MUST_USE;

/*
 * A copy of an open store to a new file at path, made in steps while it serves; when it is done
 * it is the store as of then. It ends before the store is closed.
 */
struct store_copy;

enum mortise_status store_copy_begin(
	struct store *store, const char *path, struct store_copy **out_copy) MUST_USE;
/* Copies a little more; in bytes. Both numbers equal: it is whole, and on disk. */
enum mortise_status store_copy_step(
	struct store_copy *copy, uint64_t *out_done, uint64_t *out_total) MUST_USE;
void store_copy_end(struct store_copy *copy);

/* Empties the write-ahead log, so that deleted rows are nowhere on disk. */
enum mortise_status store_truncate_log(struct store *store) MUST_USE;

#endif
