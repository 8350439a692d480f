/* SPDX-License-Identifier: ISC */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store_db.h"

#define LARGEST_PAGE 65536 /* SQLite file format, 1.3.2 */
#define NAME         "mortise"

/* SQLite file format, 1.6: what a page of a b-tree begins with. */
#define FILE_HEADER     100 /* stands before it in the file's first page */
#define TYPE_AT         0
#define CELL_COUNT_AT   3
#define CELLS_BEGIN_AT  5
#define LEAF_HEADER     8
#define INTERIOR_HEADER 12
#define CELL_POINTER    2

/* SQLite file format, 4.1: what a write-ahead log begins with. */
#define LOG_HEADER 32
#define LOG_KEPT   ((sqlite3_int64)4 << 20) /* of it, when it is emptied */

/* Of the system's own disk; the methods are those of all files with a store, and of their logs. */
static sqlite3_vfs disk;
static sqlite3_io_methods methods, log_methods;
static const sqlite3_io_methods *below, *log_below;
static int (*open_below)(sqlite3_vfs *, const char *, sqlite3_file *, int, int *);
static int size_below; /* of an open file */

static size_t number_at(const uint8_t *bytes)
{
	return (size_t)bytes[0] << 8 | bytes[1];
}

/*
 * 0: it is no page of a b-tree. Others begin with a page's number, whose first byte is 0 or 1 below
 * 2^25: a store has no more (max_page_count, 128 GiB).
 */
static size_t header_size(uint8_t type)
{
	switch (type) {
	case 2: /* interior, of an index */
	case 5: /* interior, of a table */
		return INTERIOR_HEADER;
	case 10: /* leaf, of an index */
	case 13: /* leaf, of a table */
		return LEAF_HEADER;
	default:
		return 0;
	}
}

/* Between the pointers to its cells and the cells nothing is, or what was moved to another page. */
static void clear_unallocated(uint8_t *page, size_t size, bool is_first)
{
	size_t begin = is_first ? FILE_HEADER : 0, header = header_size(page[begin + TYPE_AT]);
	size_t from = begin + header + number_at(page + begin + CELL_COUNT_AT) * CELL_POINTER;
	size_t to = number_at(page + begin + CELLS_BEGIN_AT);

	if (to == 0)
		to = LARGEST_PAGE;
	if (header && from < to && to <= size)
		memset(page + from, 0, to - from);
}

/* Always whole pages. */
static int write_page(sqlite3_file *file, const void *bytes, int size, sqlite3_int64 offset)
{
	static uint8_t page[LARGEST_PAGE]; /* a store has one thread */

	if (size < 512 || size > LARGEST_PAGE)
		return below->xWrite(file, bytes, size, offset);
	memcpy(page, bytes, (size_t)size);
	clear_unallocated(page, (size_t)size, offset == 0);
	return below->xWrite(file, page, size, offset);
}

/* How far a log was written since it was emptied. It stands behind what the system's disk keeps. */
static sqlite3_int64 *written(sqlite3_file *log)
{
	return (sqlite3_int64 *)(void *)((uint8_t *)log + size_below);
}

static int write_log(sqlite3_file *log, const void *bytes, int size, sqlite3_int64 offset)
{
	if (offset + size > *written(log))
		*written(log) = offset + size;
	return log_below->xWrite(log, bytes, size, offset);
}

static int write_zeros(sqlite3_file *log, sqlite3_int64 from, sqlite3_int64 to)
{
	static const uint8_t zeros[LARGEST_PAGE];
	int code = SQLITE_OK;

	while (code == SQLITE_OK && from < to) {
		int size = to - from > LARGEST_PAGE ? LARGEST_PAGE : (int)(to - from);
		code = log_below->xWrite(log, zeros, size, from);
		from += size;
	}
	return code == SQLITE_OK ? log_below->xSync(log, SQLITE_SYNC_NORMAL | SQLITE_SYNC_DATAONLY)
				 : code;
}

/*
 * A log that is emptied keeps its blocks: a sync that also has to say how large a file is now takes
 * several times as long. The header is on the disk first: without it no frame means anything, and
 * with it some of them would be a store that never was.
 */
static int empty_log(sqlite3_file *log, sqlite3_int64 size)
{
	sqlite3_int64 to = *written(log) < LOG_KEPT ? *written(log) : LOG_KEPT, whole = 0;

	if (size != 0)
		return log_below->xTruncate(log, size);
	if (to == 0)
		return SQLITE_OK;
	int code = write_zeros(log, 0, to < LOG_HEADER ? to : LOG_HEADER);
	if (code == SQLITE_OK)
		code = log_below->xFileSize(log, &whole);
	if (code == SQLITE_OK && whole > LOG_KEPT)
		code = log_below->xTruncate(log, LOG_KEPT);
	if (code == SQLITE_OK)
		code = write_zeros(log, LOG_HEADER, to);
	/* Disks that write in another place than before can be full for this, too. */
	if (code != SQLITE_OK && log_below->xTruncate(log, 0) == SQLITE_OK)
		code = log_below->xSync(log, SQLITE_SYNC_NORMAL);
	if (code == SQLITE_OK)
		*written(log) = 0;
	return code;
}

/* Journals are written as they are. */
static int open_file(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out)
{
	int code = open_below(vfs, name, file, flags, out);

	if (code != SQLITE_OK || !file->pMethods)
		return code;
	if (flags & SQLITE_OPEN_MAIN_DB) {
		below = file->pMethods;
		methods = *below;
		methods.xWrite = write_page;
		file->pMethods = &methods;
	} else if (flags & SQLITE_OPEN_WAL) {
		log_below = file->pMethods;
		log_methods = *log_below;
		log_methods.xWrite = write_log;
		log_methods.xTruncate = empty_log;
		file->pMethods = &log_methods;
		*written(file) = 0;
		code = log_below->xFileSize(file, written(file));
	}
	return code;
}

const char *store_disk(void)
{
	const sqlite3_vfs *system = sqlite3_vfs_find(NULL);

	if (!system || sqlite3_vfs_find(NAME))
		return NAME;
	disk = *system;
	disk.zName = NAME;
	disk.pNext = NULL;
	open_below = system->xOpen;
	size_below = system->szOsFile;
	disk.xOpen = open_file;
	disk.szOsFile = size_below + (int)sizeof(sqlite3_int64);
	(void)sqlite3_vfs_register(
		&disk, 0); /* without it nothing can be opened, and SQLite says so */
	return NAME;
}

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
