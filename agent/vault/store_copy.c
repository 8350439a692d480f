/* SPDX-License-Identifier: ISC */
#include <stdlib.h>
#include <sys/stat.h>

#include "store_db.h"

#define PAGES_A_STEP 64

struct store_copy {
	struct store *store;
	struct store to; /* only its db and failure are used */
	sqlite3_backup *backup;
	uint64_t page_size;
	bool is_whole;
};

void store_copy_end(struct store_copy *copy)
{
	if (!copy)
		return;
	sqlite3_backup_finish(copy->backup);
	sqlite3_close(copy->to.db);
	free(copy);
}

static void drop_copy(struct store_copy **copy)
{
	store_copy_end(*copy);
}

static uint64_t page_size_of(struct store *store)
{
	sqlite3_stmt *statement = NULL;
	uint64_t size = 0;

	if (sqlite3_prepare_v2(store->db, "PRAGMA page_size", -1, &statement, NULL) == SQLITE_OK &&
		sqlite3_step(statement) == SQLITE_ROW)
		size = (uint64_t)sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	return size;
}

/* No journal: a copy that is not finished is thrown away. */
static enum mortise_status open_target(struct store_copy *copy, const char *path)
{
	mode_t before = umask(077);
	int code = sqlite3_open_v2(path, &copy->to.db,
		SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_EXCLUSIVE |
			SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW,
		store_disk());

	umask(before);
	if (code != SQLITE_OK)
		return copy->to.db ? store_judge(&copy->to, code) : MORTISE_BUSY;
	code = sqlite3_exec(copy->to.db,
		"PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=OFF; PRAGMA synchronous=FULL",
		NULL, NULL, NULL);
	return code == SQLITE_OK ? MORTISE_OK : store_judge(&copy->to, code);
}

enum mortise_status store_copy_begin(
	struct store *store, const char *path, struct store_copy **out_copy)
{
	CLEANUP(drop_copy) struct store_copy *copy = calloc(1, sizeof *copy);

	if (!copy)
		return MORTISE_BUSY;
	if (!store->db)
		return MORTISE_IO;
	copy->store = store;
	copy->page_size = page_size_of(store);
	TRY(open_target(copy, path));
	copy->backup = sqlite3_backup_init(copy->to.db, "main", store->db, "main");
	if (!copy->backup)
		return store_judge(&copy->to, sqlite3_errcode(copy->to.db));
	*out_copy = copy;
	copy = NULL;
	return MORTISE_OK;
}

enum mortise_status store_copy_step(
	struct store_copy *copy, uint64_t *out_done, uint64_t *out_total)
{
	int code = copy->is_whole ? SQLITE_DONE : sqlite3_backup_step(copy->backup, PAGES_A_STEP);

	if (code != SQLITE_OK && code != SQLITE_DONE)
		return store_judge(&copy->to, code);
	copy->is_whole = code == SQLITE_DONE;
	uint64_t pages = (uint64_t)sqlite3_backup_pagecount(copy->backup);
	uint64_t left = (uint64_t)sqlite3_backup_remaining(copy->backup);
	*out_total = pages * copy->page_size;
	*out_done = (pages - left) * copy->page_size;
	return MORTISE_OK;
}
