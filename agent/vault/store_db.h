/* SPDX-License-Identifier: ISC */
/*
 * store_db: the store's database: statements, transactions, and what SQLite's answers mean. Below
 * the store's opening and its rows; nobody else includes it.
 */
#ifndef MORTISE_STORE_DB_H
#define MORTISE_STORE_DB_H

#include <sqlite3.h>
#include <stdbool.h>

#include "store.h"

enum statement {
	GET_META,
	PUT_META,
	PUT_ITEM,
	DELETE_ITEM,
	GET_ITEM,
	EACH_ITEM,
	PUT_SECRET,
	DELETE_SECRET,
	GET_SECRET,
	EACH_SECRET,
	PUT_VALUE,
	DELETE_VALUE,
	GET_VALUE,
	NEXT_VALUES,
	STRAY_VALUES,
	SWEEP_STRAYS,
	LAST_VALUE,
	OTHER_SECRETS,
	OTHER_ITEMS,
	SWEEP_SECRETS,
	SWEEP_ITEMS,
	GET_HOLD,
	PUT_HOLD,
	BEGIN,
	COMMIT,
	ROLLBACK,
	MARK,
	UNMARK,
	BACK_TO_MARK,
	STATEMENTS,
};

struct store {
	char path[4096];
	sqlite3 *db; /* NULL: it is shut */
	sqlite3_stmt *statement[STATEMENTS];
	char failure[256];
	uint64_t epoch;      /* meta's; 1 before there is one */
	uint64_t next_epoch; /* as it will be when what is written is committed */
	uint64_t last_place; /* the highest that a value was given */
	bool is_frozen;      /* nothing is written */
	bool is_torn; /* a transaction could not be rolled back: nothing is read or written */
	/* What failed last: */
	bool is_full;     /* the disk is full: SQLite took it all back */
	bool is_held;     /* by another process */
	int system_error; /* an errno; 0: not by a call to the system */
};

/*
 * The name of a disk for SQLite, as which all of a store's files are opened. In a page that is
 * written to the file itself the space that no row has is zeroed: where SQLite moves a row to
 * another page a copy would stay behind.
 */
const char *store_disk(void);

/* Keeps SQLite's words for a failed call and says which status it is. */
enum mortise_status store_judge(struct store *store, int code) MUST_USE;

/* NULL while it is shut or torn. */
sqlite3_stmt *store_statement(struct store *store, enum statement which);
/* Resets a statement and forgets what was bound; NULL is allowed. */
void store_rest(sqlite3_stmt *statement);
/* Steps a statement that gives no row, and resets it. */
enum mortise_status store_finish(struct store *store, sqlite3_stmt *statement) MUST_USE;
void store_bind_bytes(sqlite3_stmt *statement, int index, const void *bytes, size_t size);
void store_bind_number(sqlite3_stmt *statement, int index, uint64_t number);
/* Of another type than a blob, as an edited file may have it, it has a size that every bound
 * refuses. */
struct store_bytes store_column_bytes(sqlite3_stmt *statement, int index);
uint64_t store_column_number(sqlite3_stmt *statement, int index);

#endif
