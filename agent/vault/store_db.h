/* SPDX-License-Identifier: ISC */
/*
 * store_db: what store.c (opening, transactions) and store_rows.c (rows) share.
 * Nobody else includes it.
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
	ALL_SECRETS,
	EACH_SECRET,
	PUT_VERSION,
	DELETE_VERSION,
	ALL_VERSIONS,
	EACH_VERSION,
	PUT_VALUE,
	DELETE_VALUE,
	GET_VALUE,
	COUNT_VALUES,
	GET_HOLD,
	PUT_HOLD,
	STATEMENTS,
};

struct store {
	sqlite3 *db;
	sqlite3_stmt *statement[STATEMENTS];
	char failure[256];
	bool is_full; /* what failed last is that the disk is full: SQLite took it all back */
};

/* Keeps SQLite's words for a failed call and says which status it is. */
enum mortise_status store_judge(struct store *store, int code) MUST_USE;

#endif
