/* SPDX-License-Identifier: ISC */
#include "store_db.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Compared with what the file says, byte for byte: a trigger or view slipped in is refused. */
static const char *const schema[] = {
	"CREATE TABLE hold(id INTEGER PRIMARY KEY CHECK(id=1), word TEXT NOT NULL) STRICT",
	"CREATE TABLE item(epoch INTEGER NOT NULL, kind INTEGER NOT NULL, number INTEGER NOT NULL, "
	"body BLOB NOT NULL, PRIMARY KEY(epoch, kind, number)) STRICT, WITHOUT ROWID",
	"CREATE TABLE meta(id INTEGER PRIMARY KEY CHECK(id=1), format INTEGER NOT NULL, "
	"uuid BLOB NOT NULL, epoch INTEGER NOT NULL, generation INTEGER NOT NULL, "
	"last INTEGER NOT NULL, tally BLOB NOT NULL) STRICT",
	"CREATE TABLE secret(number INTEGER PRIMARY KEY, record BLOB NOT NULL) STRICT",
	"CREATE TABLE value(place INTEGER PRIMARY KEY, secret INTEGER NOT NULL, "
	"version INTEGER NOT NULL, bytes BLOB NOT NULL) STRICT",
};

#define TABLES (sizeof schema / sizeof schema[0])

static const char *const sql[STATEMENTS] = {
	[GET_META] = "SELECT format, uuid, epoch, generation, last, tally FROM meta WHERE id=1",
	[PUT_META] = "INSERT INTO meta VALUES(1,?1,?2,?3,?4,?5,?6) ON CONFLICT(id) DO UPDATE SET "
		     "epoch=?3, generation=?4, last=?5, tally=?6",
	[PUT_ITEM] = "INSERT INTO item VALUES(?1,?2,?3,?4) ON CONFLICT DO UPDATE SET body=?4",
	[DELETE_ITEM] = "DELETE FROM item WHERE epoch=?1 AND kind=?2 AND number=?3",
	[GET_ITEM] = "SELECT body FROM item WHERE epoch=?1 AND kind=?2 AND number=?3",
	[EACH_ITEM] = "SELECT kind, number, body FROM item WHERE epoch=?1 ORDER BY kind, number",
	[PUT_SECRET] = "INSERT INTO secret VALUES(?1,?2) ON CONFLICT DO UPDATE SET record=?2",
	[DELETE_SECRET] = "DELETE FROM secret WHERE number=?1",
	[GET_SECRET] = "SELECT record FROM secret WHERE number=?1",
	[EACH_SECRET] = "SELECT number, record FROM secret WHERE number>?1 AND number<=?2 "
			"ORDER BY number LIMIT ?3",
	[PUT_VALUE] = "INSERT INTO value VALUES(?1,?2,?3,?4)",
	[DELETE_VALUE] = "DELETE FROM value WHERE place=?1 AND secret=?2 AND version=?3",
	[GET_VALUE] = "SELECT bytes FROM value WHERE place=?1 AND secret=?2 AND version=?3",
	[NEXT_VALUES] = "SELECT place, secret, version FROM value WHERE place>?1 ORDER BY place "
			"LIMIT ?2",
	[STRAY_VALUES] = "SELECT 1 FROM value WHERE place<1 LIMIT 1",
	[SWEEP_STRAYS] = "DELETE FROM value WHERE place IN (SELECT place FROM value WHERE place<1 "
			 "LIMIT ?1)",
	[LAST_VALUE] = "SELECT max(place) FROM value WHERE place>0",
	/* Rows that are no half's at all among them. */
	[OTHER_SECRETS] = "SELECT 1 FROM secret WHERE number<?1 OR number>?2 LIMIT 1",
	[SWEEP_SECRETS] = "DELETE FROM secret WHERE number IN (SELECT number FROM secret WHERE "
			  "number<?1 OR number>?2 LIMIT ?3)",
	[OTHER_ITEMS] = "SELECT 1 FROM item WHERE epoch<>?1 LIMIT 1",
	[SWEEP_ITEMS] = "DELETE FROM item WHERE (epoch, kind, number) IN (SELECT epoch, kind, "
			"number FROM item WHERE epoch<>?1 LIMIT ?2)",
	[GET_HOLD] = "SELECT word FROM hold WHERE id=1",
	[PUT_HOLD] = "INSERT INTO hold VALUES(1,?1) ON CONFLICT(id) DO UPDATE SET word=?1",
	/* Prepared, so that they do without memory. */
	[BEGIN] = "BEGIN IMMEDIATE",
	[COMMIT] = "COMMIT",
	[ROLLBACK] = "ROLLBACK",
	[MARK] = "SAVEPOINT mark",
	[UNMARK] = "RELEASE mark",
	[BACK_TO_MARK] = "ROLLBACK TO mark",
};

static char open_failure[400]; /* of the last store_open() */

static enum mortise_status run(struct store *store, const char *text)
{
	if (store->is_torn)
		store_rollback(store);
	int code = sqlite3_exec(store->db, text, NULL, NULL, NULL);

	return code == SQLITE_OK ? MORTISE_OK : store_judge(store, code);
}

/* Another format's tables differ; then it says so where a store always has. */
static enum mortise_status judge_format(struct store *store)
{
	enum mortise_status status = MORTISE_INTEGRITY;
	sqlite3_stmt *statement = NULL;
	int code = sqlite3_prepare_v2(
		store->db, "SELECT format FROM meta WHERE id=1", -1, &statement, NULL);

	if (code == SQLITE_OK)
		code = sqlite3_step(statement);
	if (code == SQLITE_NOMEM || (code & 0xff) == SQLITE_IOERR)
		status = store_judge(store, code);
	else if (code == SQLITE_ROW && sqlite3_column_type(statement, 0) == SQLITE_INTEGER &&
		 sqlite3_column_int64(statement, 0) != STORE_FORMAT)
		status = MORTISE_REJECTED;
	sqlite3_finalize(statement);
	return status;
}

static enum mortise_status check_schema(struct store *store)
{
	sqlite3_stmt *statement = NULL;
	size_t found = 0;
	int code = sqlite3_prepare_v2(store->db,
		"SELECT coalesce(sql,'') FROM sqlite_schema WHERE sql IS NOT NULL OR type<>'index' "
		"ORDER BY name",
		-1, &statement, NULL);

	if (code != SQLITE_OK)
		return store_judge(store, code);
	while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
		const char *text = (const char *)sqlite3_column_text(statement, 0);
		if (!text && sqlite3_errcode(store->db) == SQLITE_NOMEM)
			code = SQLITE_NOMEM;
		if (found >= TABLES || !text || strcmp(text, schema[found]) != 0)
			break;
		found++;
	}
	enum mortise_status status = MORTISE_OK;
	if (code != SQLITE_DONE && code != SQLITE_ROW)
		status = store_judge(store, code);
	else if (code == SQLITE_ROW || found != TABLES) {
		snprintf(store->failure, sizeof store->failure,
			"its tables are not those of a mortise store");
		status = MORTISE_INTEGRITY;
	}
	sqlite3_finalize(statement);
	return status == MORTISE_INTEGRITY ? judge_format(store) : status;
}

static enum mortise_status create_schema(struct store *store)
{
	TRY(run(store, "BEGIN IMMEDIATE"));
	for (size_t i = 0; i < TABLES; i++)
		TRY(run(store, schema[i]));
	return run(store, "COMMIT");
}

static enum mortise_status is_empty(struct store *store, bool *out_empty)
{
	sqlite3_stmt *statement = NULL;
	int code = sqlite3_prepare_v2(
		store->db, "SELECT count(*) FROM sqlite_schema", -1, &statement, NULL);

	if (code == SQLITE_OK)
		code = sqlite3_step(statement);
	if (code != SQLITE_ROW) {
		enum mortise_status status = store_judge(store, code);
		sqlite3_finalize(statement);
		return status;
	}
	*out_empty = sqlite3_column_int64(statement, 0) == 0;
	sqlite3_finalize(statement);
	return MORTISE_OK;
}

/*
 * EXCLUSIVE keeps the WAL index in our own memory instead of a shared file. The file on disk
 * is hostile: no trusted schema, cells checked, no writable schema.
 */
static enum mortise_status configure(struct store *store)
{
	sqlite3_extended_result_codes(store->db, 1);
	sqlite3_db_config(store->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(store->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	sqlite3_db_config(store->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
	sqlite3_db_config(store->db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
	sqlite3_limit(store->db, SQLITE_LIMIT_LENGTH, STORE_ITEM_MAX + 4096);
	return run(store, "PRAGMA locking_mode=EXCLUSIVE; PRAGMA cell_size_check=ON;"
			  "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
			  "PRAGMA secure_delete=ON; PRAGMA temp_store=MEMORY;"
			  "PRAGMA cache_size=-8192; PRAGMA mmap_size=0;"
			  "PRAGMA max_page_count=33554431"); /* store_disk.c: header_size() */
}

static enum mortise_status prepare(struct store *store)
{
	for (unsigned i = 0; i < STATEMENTS; i++) {
		int code = sqlite3_prepare_v3(store->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT,
			&store->statement[i], NULL);
		if (code != SQLITE_OK)
			return store_judge(store, code);
	}
	return MORTISE_OK;
}

/* The rows that are the store's are those of meta's epoch; a new store has its first. */
static enum mortise_status find_epoch(struct store *store)
{
	struct store_meta meta = {.epoch = 1};
	enum mortise_status status = store_meta(store, &meta);

	store->epoch = store->next_epoch = meta.epoch;
	/* Whoever asks for the meta is told what is wrong with it. */
	return status == MORTISE_NOT_FOUND || status == MORTISE_INTEGRITY ? MORTISE_OK : status;
}

static enum mortise_status open_file(struct store *store, bool may_make)
{
	bool empty = false;
	int code = sqlite3_open_v2(store->path, &store->db,
		SQLITE_OPEN_READWRITE | (may_make ? SQLITE_OPEN_CREATE : 0) | SQLITE_OPEN_NOMUTEX |
			SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_EXRESCODE,
		store_disk());

	if (code != SQLITE_OK)
		return store->db ? store_judge(store, code) : MORTISE_BUSY;
	TRY(configure(store));
	TRY(is_empty(store, &empty));
	if (empty && may_make)
		TRY(create_schema(store));
	TRY(check_schema(store));
	TRY(prepare(store));
	TRY(find_epoch(store));
	return store_find_last_place(store);
}

static void drop_store(struct store **store)
{
	store_close(*store);
}

enum mortise_status store_open(const char *directory, struct store **out_store)
{
	return store_open_as(directory, STORE_NAME, out_store);
}

static enum mortise_status open_masked(struct store *store, bool may_make)
{
	mode_t before = umask(077);
	enum mortise_status status = open_file(store, may_make);

	umask(before);
	return status;
}

enum mortise_status store_open_as(const char *directory, const char *name, struct store **out_store)
{
	CLEANUP(drop_store) struct store *store = calloc(1, sizeof *store);

	if (!store)
		return MORTISE_BUSY;
	int size = snprintf(store->path, sizeof store->path, "%s/%s", directory, name);
	if (size < 0 || (size_t)size >= sizeof store->path)
		return MORTISE_INVALID;
	enum mortise_status status = open_masked(store, true);
	if (status != MORTISE_OK)
		store_describe_lack(store, status, open_failure, sizeof open_failure);
	TRY(status);
	*out_store = store;
	store = NULL;
	return MORTISE_OK;
}

const char *store_describe_open(void)
{
	return open_failure;
}

bool store_is_open(const struct store *store)
{
	return store->db != NULL;
}

void store_shut(struct store *store)
{
	for (unsigned i = 0; i < STATEMENTS; i++) {
		sqlite3_finalize(store->statement[i]);
		store->statement[i] = NULL;
	}
	sqlite3_close(store->db);
	store->db = NULL;
	store->is_torn = false;
}

/*
 * A synced write that changes nothing comes first, so that a disk that takes none is noticed while
 * what was open can still be read. Then the log is emptied: what it says, and only that, is in the
 * file itself and synced.
 */
static enum mortise_status settle(struct store *store)
{
	TRY(run(store, "PRAGMA user_version=0"));
	return store_truncate_log(store);
}

enum mortise_status store_reopen(struct store *store)
{
	if (store->db)
		TRY(settle(store));
	store_shut(store);
	enum mortise_status status = open_masked(store, false);
	if (status == MORTISE_OK)
		status = store_truncate_log(store);
	if (status != MORTISE_OK)
		store_shut(store);
	return status;
}

void store_close(struct store *store)
{
	if (!store)
		return;
	store_shut(store);
	free(store);
}

enum mortise_status store_set_synced(struct store *store, bool is_synced)
{
	return run(store, is_synced ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL");
}

enum mortise_status store_truncate_log(struct store *store)
{
	if (store->db)
		sqlite3_db_release_memory(store->db);
	return run(store, "PRAGMA wal_checkpoint(TRUNCATE)");
}

static void finalize(sqlite3_stmt **statement)
{
	sqlite3_finalize(*statement);
}

uint64_t store_unused(struct store *store)
{
	CLEANUP(finalize) sqlite3_stmt *statement = NULL;

	if (!store->db ||
		sqlite3_prepare_v2(store->db,
			"SELECT freelist_count * page_size FROM pragma_freelist_count, "
			"pragma_page_size",
			-1, &statement, NULL) != SQLITE_OK ||
		sqlite3_step(statement) != SQLITE_ROW)
		return 0;
	return (uint64_t)sqlite3_column_int64(statement, 0);
}
