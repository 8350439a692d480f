/* SPDX-License-Identifier: ISC */
#include "backup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "reserve.h"

#define OUTGOING  "outgoing.db"
#define INCOMING  "incoming.db"
#define REPLACED  STORE_NAME ".replaced"
#define PATH_SIZE 4096

/* A database may have files beside it. */
static const char *const suffixes[] = {"", "-journal", "-wal", "-shm"};
#define SUFFIXES (sizeof suffixes / sizeof suffixes[0])

struct backup {
	const char *directory;

	const void *reader; /* whose the outgoing copy is; NULL: there is none */
	struct store_copy *copy;
	int outgoing; /* -1: not whole yet */

	const void *writer;
	int incoming; /* -1: not being written */
	uint64_t received;
	struct store *store;
	struct vault *vault;
};

static bool make_path(const struct backup *backup, const char *name, char out_path[PATH_SIZE])
{
	int size = snprintf(out_path, PATH_SIZE, "%s/%s", backup->directory, name);

	return size > 0 && size < PATH_SIZE;
}

static void remove_files(const struct backup *backup, const char *name)
{
	char path[PATH_SIZE], full[PATH_SIZE + 16];

	if (!make_path(backup, name, path))
		return;
	for (size_t i = 0; i < SUFFIXES; i++) {
		snprintf(full, sizeof full, "%s%s", path, suffixes[i]);
		unlink(full);
	}
}

bool backup_replaced(const struct backup *backup, char *out_path, size_t size)
{
	char path[PATH_SIZE];

	if (!make_path(backup, REPLACED, path) || access(path, F_OK) != 0)
		return false;
	snprintf(out_path, size, "%s", path);
	return true;
}

/* The agent's own files, each perhaps with what SQLite keeps beside it. */
static bool is_own(const char *name)
{
	static const char *const own[] = {STORE_NAME, OUTGOING, INCOMING};

	if (strcmp(name, "lock") == 0 || strcmp(name, RESERVE_NAME) == 0 ||
		strcmp(name, REPLACED) == 0)
		return true;
	for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
		size_t size = strlen(own[i]);
		if (strncmp(name, own[i], size) != 0)
			continue;
		for (size_t j = 0; j < SUFFIXES; j++)
			if (strcmp(name + size, suffixes[j]) == 0)
				return true;
	}
	return false;
}

static size_t add_name(char *names, size_t used, size_t size, const char *name)
{
	if (used + strlen(name) + 2 > size)
		return used;
	if (used)
		names[used++] = ' ';
	for (; *name; name++)
		names[used++] = *name > ' ' && *name < 0x7f ? *name : '?';
	names[used] = '\0';
	return used;
}

size_t backup_strangers(const struct backup *backup, char *out_names, size_t size)
{
	DIR *directory = opendir(backup->directory);
	size_t count = 0, used = 0;
	struct dirent *entry;

	out_names[0] = '\0';
	while (directory && (entry = readdir(directory))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
			is_own(entry->d_name))
			continue;
		count++;
		used = add_name(out_names, used, size, entry->d_name);
	}
	if (directory)
		closedir(directory);
	return count;
}

static void close_descriptor(int *descriptor)
{
	if (*descriptor >= 0)
		close(*descriptor);
	*descriptor = -1;
}

static void drop_outgoing(struct backup *backup)
{
	store_copy_end(backup->copy);
	backup->copy = NULL;
	close_descriptor(&backup->outgoing);
	backup->reader = NULL;
	remove_files(backup, OUTGOING);
}

static void close_incoming(struct backup *backup)
{
	vault_close(backup->vault);
	backup->vault = NULL;
	store_close(backup->store);
	backup->store = NULL;
	close_descriptor(&backup->incoming);
}

static void drop_incoming(struct backup *backup)
{
	close_incoming(backup);
	backup->writer = NULL;
	remove_files(backup, INCOMING);
}

enum mortise_status backup_new(const char *directory, struct backup **out_backup)
{
	struct backup *backup = calloc(1, sizeof *backup);

	if (!backup)
		return MORTISE_BUSY;
	*backup = (struct backup){.directory = directory, .outgoing = -1, .incoming = -1};
	drop_outgoing(backup);
	drop_incoming(backup);
	*out_backup = backup;
	return MORTISE_OK;
}

void backup_free(struct backup *backup)
{
	if (!backup)
		return;
	drop_outgoing(backup);
	drop_incoming(backup);
	free(backup);
}

void backup_forget(struct backup *backup, const void *owner)
{
	if (backup->reader == owner)
		drop_outgoing(backup);
	if (backup->writer == owner)
		drop_incoming(backup);
}

void backup_store_closing(struct backup *backup)
{
	if (backup->copy)
		drop_outgoing(backup);
}

/* From here on it is read as any file. */
static enum mortise_status end_copy(struct backup *backup)
{
	char path[PATH_SIZE];

	store_copy_end(backup->copy);
	backup->copy = NULL;
	if (!make_path(backup, OUTGOING, path))
		return MORTISE_INVALID;
	backup->outgoing = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return backup->outgoing >= 0 ? MORTISE_OK : MORTISE_IO;
}

static enum mortise_status advance(
	struct backup *backup, struct store *store, uint64_t *out_done, uint64_t *out_total)
{
	char path[PATH_SIZE];

	if (!backup->copy) {
		if (!make_path(backup, OUTGOING, path))
			return MORTISE_INVALID;
		TRY(store_copy_begin(store, path, &backup->copy));
	}
	TRY(store_copy_step(backup->copy, out_done, out_total));
	return *out_done == *out_total ? end_copy(backup) : MORTISE_OK;
}

enum mortise_status backup_copy(struct backup *backup, const void *owner, struct store *store,
	uint64_t *out_done, uint64_t *out_total)
{
	if (backup->reader && backup->reader != owner)
		return MORTISE_BUSY;
	if (backup->outgoing >= 0)
		drop_outgoing(backup);
	backup->reader = owner;
	enum mortise_status status = advance(backup, store, out_done, out_total);
	if (status != MORTISE_OK)
		drop_outgoing(backup);
	return status;
}

enum mortise_status backup_read(struct backup *backup, const void *owner, uint64_t offset,
	uint8_t *buffer, size_t size, size_t *out_size)
{
	ssize_t got;

	if (backup->reader != owner || backup->outgoing < 0 || offset > BACKUP_SIZE_MAX)
		return MORTISE_NOT_FOUND;
	do
		got = pread(backup->outgoing, buffer, size, (off_t)offset);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return MORTISE_IO;
	if (got == 0)
		drop_outgoing(backup);
	*out_size = (size_t)got;
	return MORTISE_OK;
}

static enum mortise_status begin_incoming(struct backup *backup, const void *owner)
{
	char path[PATH_SIZE];

	drop_incoming(backup);
	if (!make_path(backup, INCOMING, path))
		return MORTISE_INVALID;
	backup->incoming = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (backup->incoming < 0)
		return MORTISE_IO;
	backup->writer = owner;
	backup->received = 0;
	return MORTISE_OK;
}

enum mortise_status backup_write(
	struct backup *backup, const void *owner, uint64_t offset, struct store_bytes chunk)
{
	if (backup->writer && backup->writer != owner)
		return MORTISE_BUSY;
	if (offset > BACKUP_SIZE_MAX || chunk.size > BACKUP_SIZE_MAX - offset)
		return MORTISE_REJECTED;
	if (offset == 0)
		TRY(begin_incoming(backup, owner));
	if (backup->incoming < 0 || offset != backup->received)
		return MORTISE_INVALID;
	if (pwrite(backup->incoming, chunk.bytes, chunk.size, (off_t)offset) !=
		(ssize_t)chunk.size) {
		drop_incoming(backup);
		return MORTISE_IO;
	}
	backup->received += chunk.size;
	return MORTISE_OK;
}

enum mortise_status backup_store(struct backup *backup, const void *owner, struct store **out_store)
{
	struct store_meta meta;

	if (backup->writer != owner || backup->received == 0)
		return MORTISE_NOT_FOUND;
	if (!backup->store) {
		if (fsync(backup->incoming) != 0)
			return MORTISE_IO;
		close_descriptor(&backup->incoming);
		TRY(store_open_as(backup->directory, INCOMING, &backup->store));
	}
	enum mortise_status status = store_meta(backup->store, &meta);
	if (status != MORTISE_OK)
		return status == MORTISE_NOT_FOUND ? MORTISE_INTEGRITY : status;
	*out_store = backup->store;
	return MORTISE_OK;
}

enum mortise_status backup_unlock(struct backup *backup, const void *owner,
	const struct secret *master_key, struct vault **out_vault)
{
	struct store *store = NULL;

	TRY(backup_store(backup, owner, &store));
	vault_close(backup->vault);
	backup->vault = NULL;
	TRY(vault_open(store, master_key, &backup->vault));
	*out_vault = backup->vault;
	return MORTISE_OK;
}

struct vault *backup_vault(struct backup *backup, const void *owner)
{
	return backup->writer == owner ? backup->vault : NULL;
}

static enum mortise_status sync_directory(const struct backup *backup)
{
	int descriptor = open(backup->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (descriptor < 0)
		return MORTISE_IO;
	int failed = fsync(descriptor);
	close(descriptor);
	return failed ? MORTISE_IO : MORTISE_OK;
}

/* A write-ahead log that stayed would be replayed into the other store. */
static bool has_log(const char *path)
{
	char log[PATH_SIZE + 16];

	snprintf(log, sizeof log, "%s-wal", path);
	return access(log, F_OK) == 0;
}

/* At every instant there is a whole store under the name. */
static enum mortise_status put_in_place(const struct backup *backup)
{
	char incoming[PATH_SIZE], current[PATH_SIZE], replaced[PATH_SIZE];

	if (!make_path(backup, INCOMING, incoming) || !make_path(backup, STORE_NAME, current) ||
		!make_path(backup, REPLACED, replaced))
		return MORTISE_INVALID;
	if (has_log(incoming) || has_log(current))
		return MORTISE_IO;
	if (access(current, F_OK) != 0)
		return rename(incoming, current) == 0 ? sync_directory(backup) : MORTISE_IO;
	if (renameat2(AT_FDCWD, incoming, AT_FDCWD, current, RENAME_EXCHANGE) != 0 ||
		rename(incoming, replaced) != 0)
		return MORTISE_IO;
	return sync_directory(backup);
}

enum mortise_status backup_adopt(struct backup *backup, const void *owner)
{
	if (backup->writer != owner || !backup->vault)
		return MORTISE_NOT_FOUND;
	close_incoming(backup);
	TRY(put_in_place(backup));
	backup->writer = NULL;
	return MORTISE_OK;
}
