/* SPDX-License-Identifier: ISC */
#include <string.h>

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

/* Of the system's own disk; the methods are those of all files that hold a store. */
static sqlite3_vfs disk;
static sqlite3_io_methods methods;
static int (*open_below)(sqlite3_vfs *, const char *, sqlite3_file *, int, int *);
static int (*write_below)(sqlite3_file *, const void *, int, sqlite3_int64);

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
		return write_below(file, bytes, size, offset);
	memcpy(page, bytes, (size_t)size);
	clear_unallocated(page, (size_t)size, offset == 0);
	return write_below(file, page, size, offset);
}

/* The log and journals are written as they are: they have checksums, and are emptied. */
static int open_file(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out)
{
	int code = open_below(vfs, name, file, flags, out);

	if (code != SQLITE_OK || !file->pMethods || !(flags & SQLITE_OPEN_MAIN_DB))
		return code;
	write_below = file->pMethods->xWrite;
	methods = *file->pMethods;
	methods.xWrite = write_page;
	file->pMethods = &methods;
	return code;
}

const char *store_disk(void)
{
	const sqlite3_vfs *below = sqlite3_vfs_find(NULL);

	if (!below || sqlite3_vfs_find(NAME))
		return NAME;
	disk = *below;
	disk.zName = NAME;
	disk.pNext = NULL;
	open_below = below->xOpen;
	disk.xOpen = open_file;
	(void)sqlite3_vfs_register(
		&disk, 0); /* without it nothing can be opened, and SQLite says so */
	return NAME;
}
