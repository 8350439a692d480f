/* SPDX-License-Identifier: ISC */
#include "store_db.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* What SQLite says, and the system where SQLite had it from there. */
static void keep_words(struct store *store, int code)
{
	bool is_system = (code & 0xff) == SQLITE_IOERR || (code & 0xff) == SQLITE_CANTOPEN;

	store->system_error = is_system ? sqlite3_system_errno(store->db) : 0;
	store->is_held = (code & 0xff) == SQLITE_BUSY || (code & 0xff) == SQLITE_LOCKED;
	snprintf(store->failure, sizeof store->failure, "%s%s%s (SQLite %d)",
		sqlite3_errmsg(store->db), store->system_error ? ": " : "",
		store->system_error ? strerror(store->system_error) : "",
		sqlite3_extended_errcode(store->db));
}

enum mortise_status store_judge(struct store *store, int code)
{
	if (!store->db) /* the words stay that say why it is shut */
		return MORTISE_IO;
	if (store->is_torn)
		return MORTISE_BUSY;
	keep_words(store, code);
	store->is_full = (code & 0xff) == SQLITE_FULL;
	if (code == SQLITE_IOERR_NOMEM)
		return MORTISE_BUSY;
	switch (code & 0xff) {
	case SQLITE_NOTADB:
	case SQLITE_CORRUPT:
	case SQLITE_CONSTRAINT:
	case SQLITE_MISMATCH:
	case SQLITE_SCHEMA:
		return MORTISE_INTEGRITY;
	case SQLITE_NOMEM:
		return MORTISE_BUSY;
	default:
		return MORTISE_IO;
	}
}

bool store_is_full(const struct store *store)
{
	return store->is_full;
}

const char *store_describe_failure(const struct store *store)
{
	return store->failure;
}

void store_describe_lack(
	const struct store *store, enum mortise_status status, char *out_text, size_t size)
{
	if (status == MORTISE_BUSY)
		snprintf(out_text, size,
			"there is too little memory to read the store; free some, or raise the "
			"agent's limits (MemoryMax=, LimitAS=)");
	else
		snprintf(out_text, size, "the store could not be read or written: %.200s; %s",
			store->failure,
			store->is_held ? "another process has it open, which has to end"
			: store->system_error == EMFILE || store->system_error == ENFILE
				? "close some files, or raise the agent's limit (LimitNOFILE=)"
				: "look at its disk");
}

/* ---- transactions and statements ---- */

sqlite3_stmt *store_statement(struct store *store, enum statement which)
{
	sqlite3_stmt *statement = store->statement[which];

	if (store->is_torn)
		store_rollback(store);
	return store->is_torn ? NULL : statement;
}

void store_rest(sqlite3_stmt *statement)
{
	if (!statement)
		return;
	sqlite3_reset(statement);
	sqlite3_clear_bindings(statement);
}

enum mortise_status store_finish(struct store *store, sqlite3_stmt *statement)
{
	int code = sqlite3_step(statement);
	enum mortise_status status = code == SQLITE_DONE ? MORTISE_OK : store_judge(store, code);

	store_rest(statement);
	return status;
}

void store_bind_bytes(sqlite3_stmt *statement, int index, const void *bytes, size_t size)
{
	sqlite3_bind_blob64(statement, index, size ? bytes : "", size, SQLITE_STATIC);
}

void store_bind_number(sqlite3_stmt *statement, int index, uint64_t number)
{
	sqlite3_bind_int64(statement, index, (sqlite3_int64)number);
}

struct store_bytes store_column_bytes(sqlite3_stmt *statement, int index)
{
	if (sqlite3_column_type(statement, index) != SQLITE_BLOB)
		return (struct store_bytes){NULL, SIZE_MAX};
	const uint8_t *bytes = sqlite3_column_blob(statement, index);

	return (struct store_bytes){bytes, (size_t)sqlite3_column_bytes(statement, index)};
}

uint64_t store_column_number(sqlite3_stmt *statement, int index)
{
	return (uint64_t)sqlite3_column_int64(statement, index);
}

void store_freeze(struct store *store, bool is_frozen)
{
	store->is_frozen = is_frozen;
}

enum mortise_status store_begin(struct store *store)
{
	if (store->is_frozen)
		return MORTISE_CONFLICT;
	return store_finish(store, store_statement(store, BEGIN));
}

enum mortise_status store_commit(struct store *store)
{
	TRY(store_finish(store, store_statement(store, COMMIT)));
	store->epoch = store->next_epoch;
	return MORTISE_OK;
}

/* What is not taken back would be seen as done, and whatever is written next would not be. */
void store_rollback(struct store *store)
{
	store->next_epoch = store->epoch;
	if (!store->db || sqlite3_get_autocommit(store->db))
		return;
	(void)sqlite3_step(store->statement[ROLLBACK]);
	sqlite3_reset(store->statement[ROLLBACK]);
	store->is_torn = !sqlite3_get_autocommit(store->db);
}

enum mortise_status store_mark(struct store *store)
{
	return store_finish(store, store_statement(store, MARK));
}

enum mortise_status store_unmark(struct store *store, bool is_kept)
{
	if (!store->db || sqlite3_get_autocommit(store->db))
		return MORTISE_IO;
	if (!is_kept)
		TRY(store_finish(store, store_statement(store, BACK_TO_MARK)));
	return store_finish(store, store_statement(store, UNMARK));
}
