/* SPDX-License-Identifier: ISC */
/*
 * store: the rows on disk, in SQLite (WAL, synchronous=FULL, secure_delete).
 * Sees ciphertext only and trusts nothing it reads: sizes are bounded here, contents are
 * checked by the vault's tally and by authenticated encryption. A schema that is not exactly
 * ours is refused. One process opens a store (the monitor holds its lock), after its last fork.
 * Knows nothing of keys, paths or meaning.
 *
 *	meta     one row: format, uuid, epoch, generation, the last secret's number, tally
 *	item     (epoch, kind, number) -> body: slots, policies, the audit log's state, a time
 *	secret   half and number -> record: what is known of a secret and its versions
 *	value    place -> secret, number, encrypted bytes
 *	hold     a seal that outlives a restart; outside the tally, since it is read while sealed
 *
 * The store is at one epoch, meta's. Secrets have numbers that ascend, and values have places that
 * do: what is new stands at the end of its table. Secrets of even epochs are in one half of their
 * table and those of odd ones in the other: a rekey writes the next epoch's rows there. What the
 * other half has is no part of the store, and is swept; so are items of other epochs.
 */
#ifndef MORTISE_STORE_H
#define MORTISE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "status.h"

#define STORE_NAME       "store.db"
#define STORE_FORMAT     3
#define STORE_ID_SIZE    16
#define STORE_HASH_SIZE  32
#define STORE_RECORD_MAX (128 * 1024)
#define STORE_VALUE_MAX  (65536 + 40)
#define STORE_ITEMS_MAX  1024
#define STORE_ITEM_MAX   (32 * 1024 * 1024)
#define STORE_HOLD_MAX   128
#define STORE_NUMBER_MAX ((UINT64_C(1) << 40) - 1) /* of a secret */
#define STORE_PLACE_MAX  ((UINT64_C(1) << 62) - 1)

/* The kinds of item; the numbers never change. */
enum store_item {
	STORE_SLOT = 1,   /* number: the slot's id */
	STORE_POLICY = 2, /* number: the policy's version */
	STORE_AUDIT = 3,  /* number 1 */
	STORE_ANCHOR = 4, /* number 1; none: the store has no anchor */
	STORE_FLOOR = 5,  /* number 1: the newest time that was confirmed, if there is one */
	STORE_GAP = 6,    /* number: from 1; a place where the audit log was damaged */
	STORE_ITEM_LAST = STORE_GAP,
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
	uint64_t last; /* the highest number that a secret was ever given */
	uint8_t tally[STORE_HASH_SIZE];
};

/*
 * Opens DIRECTORY/store.db, creating it if there is none. MORTISE_REJECTED for a store of
 * another format; MORTISE_INTEGRITY for a file that is no store or has another schema;
 * MORTISE_IO.
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

/* What happened and what next, after store_open() came to MORTISE_BUSY or MORTISE_IO. */
const char *store_describe_open(void);

/*
 * After a write failed: once the disk can be written, opens the same file anew, which has to be
 * there. What the failed write was to be may be there or not. After a failure it is tried again;
 * until then the store can be read as before, or it is shut. No copy of it may be under way.
 */
enum mortise_status store_reopen(struct store *store) MUST_USE;
/* Closes the file: every call but store_reopen() and store_close() is MORTISE_IO. */
void store_shut(struct store *store);
bool store_is_open(const struct store *store);

/* What SQLite said about the last failure; never NULL. */
const char *store_describe_failure(const struct store *store);
/*
 * What happened and what next, where reading failed with MORTISE_BUSY or MORTISE_IO: that proves
 * nothing about what is on the disk.
 */
void store_describe_lack(
	const struct store *store, enum mortise_status status, char *out_text, size_t size);

/* MORTISE_NOT_FOUND before `init`; MORTISE_INTEGRITY for another format. */
enum mortise_status store_meta(struct store *store, struct store_meta *out_meta) MUST_USE;

/* While it is frozen store_begin() and store_set_hold() are MORTISE_CONFLICT: for a rehearsal. */
void store_freeze(struct store *store, bool is_frozen);

/*
 * All writes stand between begin and commit. After a commit that failed, but for a full disk, it is
 * unknown what is on disk: close the store and read it again.
 */
enum mortise_status store_begin(struct store *store) MUST_USE;
enum mortise_status store_commit(struct store *store) MUST_USE;
void store_rollback(struct store *store);
/*
 * Within a transaction: what is written between the two stays, or (is_kept false) is taken back
 * alone. MORTISE_IO: SQLite has taken back all of the transaction by itself, as on a full disk.
 */
enum mortise_status store_mark(struct store *store) MUST_USE;
enum mortise_status store_unmark(struct store *store, bool is_kept) MUST_USE;

enum mortise_status store_put_meta(struct store *store, const struct store_meta *meta) MUST_USE;
enum mortise_status store_put_item(struct store *store, uint64_t epoch, enum store_item kind,
	uint64_t number, struct store_bytes body) MUST_USE;
enum mortise_status store_delete_item(
	struct store *store, uint64_t epoch, enum store_item kind, uint64_t number) MUST_USE;
enum mortise_status store_put_secret(
	struct store *store, uint64_t epoch, uint64_t number, struct store_bytes record) MUST_USE;
/* One that is not there is no error. */
enum mortise_status store_delete_secret(struct store *store, uint64_t epoch, uint64_t number)
	MUST_USE;

/* Where a value stands, and whose it is. */
struct store_place {
	uint64_t place; /* from 1 */
	uint64_t secret, version;
};

/* A place that is free, behind all others. MORTISE_INTEGRITY where there is none left. */
enum mortise_status store_new_place(struct store *store, uint64_t *out_place) MUST_USE;
/* Looks where the last value stands now; new ones are put behind that. */
enum mortise_status store_find_last_place(struct store *store) MUST_USE;
/* Behind which new ones are put; 0: at the start. */
uint64_t store_last_place(const struct store *store);
/* MORTISE_INTEGRITY if there is one already. */
enum mortise_status store_put_value(
	struct store *store, const struct store_place *place, struct store_bytes value) MUST_USE;
/* Deleted is overwritten on disk, by secure_delete. Nothing happens where the place is another's.
 */
enum mortise_status store_delete_value(struct store *store, const struct store_place *place)
	MUST_USE;

/* The visits return MORTISE_OK to go on. Bytes are valid during the visit only. */
typedef enum mortise_status store_item_visit(
	void *context, enum store_item kind, uint64_t number, struct store_bytes body);
typedef enum mortise_status store_secret_visit(
	void *context, uint64_t number, struct store_bytes record);

/*
 * Whoever reads all rows, of whichever store, is not heard of meanwhile: from now on `pulse` is
 * called behind each `rows` of them. NULL: nothing is.
 */
void store_set_pulse(unsigned rows, void (*pulse)(void *context), void *context);

/* Items of the store's epoch, by kind and number. */
enum mortise_status store_each_item(struct store *store, store_item_visit *visit, void *context)
	MUST_USE;
/* Secrets with a number above `after`, by number; at most limit of them. */
enum mortise_status store_each_secret(struct store *store, uint64_t after, uint64_t limit,
	store_secret_visit *visit, void *context) MUST_USE;

/* A secret's record, malloc'ed. MORTISE_NOT_FOUND. */
enum mortise_status store_secret(struct store *store, uint64_t epoch, uint64_t number,
	uint8_t **out_bytes, size_t *out_size) MUST_USE;

/* An item's body, malloc'ed. MORTISE_NOT_FOUND. */
enum mortise_status store_item(struct store *store, enum store_item kind, uint64_t number,
	uint8_t **out_bytes, size_t *out_size) MUST_USE;

/* A value's ciphertext, malloc'ed. MORTISE_INTEGRITY if it is not there, or is another's. */
enum mortise_status store_value(struct store *store, const struct store_place *place,
	uint8_t **out_bytes, size_t *out_size) MUST_USE;

/* Values at places below 1, where none is ever put: are there any; deletes some. */
enum mortise_status store_has_strays(struct store *store, bool *out_has) MUST_USE;
enum mortise_status store_sweep_strays(struct store *store, unsigned limit, unsigned *out_count)
	MUST_USE;

/*
 * The hold: "" for none, else a word of lifecycle's. Each call is its own transaction.
 * MORTISE_INTEGRITY where it is longer than STORE_HOLD_MAX.
 */
enum mortise_status store_hold(struct store *store, char out_word[STORE_HOLD_MAX]) MUST_USE;
enum mortise_status store_set_hold(struct store *store, const char *word) MUST_USE;

/* Has it rows of other epochs (values aside, which are not looked at)? */
enum mortise_status store_has_leftovers(struct store *store, bool *out_has) MUST_USE;
/* Deletes about `limit` of them; *out_count 0: there are no more. */
enum mortise_status store_sweep(struct store *store, unsigned limit, unsigned *out_count) MUST_USE;

/*
 * At most `limit` values with a place above `after`, in order; 0 starts. MORTISE_INTEGRITY where
 * they are in no order.
 */
enum mortise_status store_next_values(struct store *store, uint64_t after, unsigned limit,
	struct store_place *out_places, unsigned *out_count) MUST_USE;

/*
 * Without it a commit is not on disk when it returns, but what is lost with the power is only
 * ever the last commits, and a synced one takes those before it along. Not in a transaction.
 */
enum mortise_status store_set_synced(struct store *store, bool is_synced) MUST_USE;

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

/*
 * Empties the write-ahead log, so that deleted rows are nowhere on disk. And so that none comes
 * there again, drops what SQLite has of the file in memory: of a row that it has moved to another
 * page a copy may be beside what is written next. Not in a transaction.
 */
enum mortise_status store_truncate_log(struct store *store) MUST_USE;

/* How many bytes of the file no row takes: they are used before it grows. 0: not known. */
uint64_t store_unused(struct store *store);

#endif
