/* SPDX-License-Identifier: ISC */
/*
 * Writes go to an offset that we know, not to the end of the file: what a failed write left
 * behind is then written over even where it could not be cut off. The lock keeps a second
 * agent from doing the same to us.
 */
#include "audit_file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit_line.h"

#define LOG_MODE   0640
#define OPEN_FLAGS (O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)
/* How much the log may grow on a full disk before the reserve is tried again. */
#define RENEW_STEP 32768
#define BLOCK      512 /* of st_blocks, whatever the file system's are: stat(2) */

/* The new name must be on the disk as well as the lines behind it. */
static enum mortise_status sync_directory(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *directory = !slash ? strdup(".") : strndup(path, (size_t)(slash - path) + 1);
	int fd, result;

	if (!directory)
		return MORTISE_BUSY;
	fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	free(directory);
	if (fd < 0)
		return MORTISE_IO;
	result = fsync(fd);
	(void)close(fd);
	return result == 0 ? MORTISE_OK : MORTISE_IO;
}

/* fchmod, since the umask is not ours to know. */
static enum mortise_status create(const char *path, int *out_fd)
{
	int fd = open(path, OPEN_FLAGS | O_CREAT | O_EXCL, 0600);

	if (fd < 0)
		return errno == EEXIST ? MORTISE_CONFLICT : MORTISE_IO;
	if (fchmod(fd, LOG_MODE) != 0 || sync_directory(path) != MORTISE_OK) {
		(void)close(fd);
		return MORTISE_IO;
	}
	*out_fd = fd;
	return MORTISE_OK;
}

static enum mortise_status open_or_create(const char *path, int *out_fd)
{
	enum mortise_status status;
	int fd;

	status = create(path, out_fd);
	if (status != MORTISE_CONFLICT)
		return status;
	fd = open(path, OPEN_FLAGS);
	if (fd < 0)
		return errno == ELOOP || errno == EISDIR || errno == ENXIO ? MORTISE_REJECTED
									   : MORTISE_IO;
	*out_fd = fd;
	return MORTISE_OK;
}

static enum mortise_status check_ours(struct audit_file *file)
{
	struct stat status;

	if (fstat(file->fd, &status) != 0)
		return MORTISE_IO;
	if (!S_ISREG(status.st_mode) || status.st_uid != geteuid() ||
		(status.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		return MORTISE_REJECTED;
	if (flock(file->fd, LOCK_EX | LOCK_NB) != 0)
		return errno == EWOULDBLOCK ? MORTISE_CONFLICT : MORTISE_IO;
	file->device = status.st_dev;
	file->inode = status.st_ino;
	/* A log has no holes: blocks beyond its end are what was left of the reserve. */
	file->reserved_end = (uint64_t)status.st_blocks * BLOCK;
	return MORTISE_OK;
}

enum mortise_status audit_file_open(const char *path, struct audit_file *out_file)
{
	struct audit_file file = {.fd = -1, .can_reserve = true};
	enum mortise_status status;

	TRY(open_or_create(path, &file.fd));
	file.path = strdup(path);
	status = !file.path ? MORTISE_BUSY : check_ours(&file);
	if (status != MORTISE_OK) {
		audit_file_close(&file);
		return status;
	}
	*out_file = file;
	return MORTISE_OK;
}

void audit_file_close(struct audit_file *file)
{
	if (file->fd >= 0)
		(void)close(file->fd);
	file->fd = -1;
	free(file->path);
	file->path = NULL;
}

enum mortise_status audit_file_read(
	const struct audit_file *file, uint64_t offset, void *buffer, size_t size, size_t *out_size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t count =
			pread(file->fd, (char *)buffer + done, size - done, (off_t)(offset + done));

		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return MORTISE_IO;
		if (count == 0)
			break;
		done += (size_t)count;
	}
	*out_size = done;
	return MORTISE_OK;
}

/* The last whole line in tail; false if none. */
static bool find_last_line(
	const char *tail, size_t size, uint64_t offset, struct audit_position *out_end)
{
	const char *end = memrchr(tail, '\n', size);

	while (end) {
		const char *before = memrchr(tail, '\n', (size_t)(end - tail));
		const char *start = !before ? tail : before + 1;
		struct audit_line line;

		if (audit_line_parse(start, (size_t)(end - start), &line) == MORTISE_OK) {
			out_end->offset = offset + (uint64_t)(end - tail) + 1;
			out_end->sequence = line.sequence;
			audit_line_hash(start, (size_t)(end - start), out_end->head);
			return true;
		}
		end = before;
	}
	return false;
}

/* A crash can leave less than a line in a new log: its beginning, or blocks of zeros. */
static bool is_torn_first_line(const char *bytes, size_t size)
{
	static const char beginning[] = "{\"seq\":1,";
	size_t length = sizeof beginning - 1;

	return size < AUDIT_LINE_MAX &&
	       (size == 0 || bytes[0] == '\0' ||
		       memcmp(bytes, beginning, size < length ? size : length) == 0);
}

static enum mortise_status find_end_in(const char *tail, size_t size, uint64_t offset,
	struct audit_position *out_end, uint64_t *out_torn)
{
	struct audit_position end = {0};

	if (!find_last_line(tail, size, offset, &end) &&
		(offset > 0 || !is_torn_first_line(tail, size)))
		return MORTISE_REJECTED;
	*out_torn = offset + size - end.offset;
	*out_end = end;
	return MORTISE_OK;
}

enum mortise_status audit_file_find_end(
	const struct audit_file *file, struct audit_position *out_end, uint64_t *out_torn)
{
	size_t limit = AUDIT_TORN_MAX + AUDIT_LINE_MAX, size;
	enum mortise_status status;
	struct stat information;
	uint64_t offset;
	char *tail;

	if (fstat(file->fd, &information) != 0)
		return MORTISE_IO;
	offset = (uint64_t)information.st_size > limit ? (uint64_t)information.st_size - limit : 0;
	tail = malloc(limit);
	if (!tail)
		return MORTISE_BUSY;
	status = audit_file_read(file, offset, tail, limit, &size);
	if (status == MORTISE_OK)
		status = find_end_in(tail, size, offset, out_end, out_torn);
	free(tail);
	return status;
}

/* No reserve is no error: a file system may have none, and the write itself will tell. */
static void renew_reserve(struct audit_file *file, uint64_t size)
{
	if (!file->can_reserve || size < file->renew_at)
		return;
	file->renew_at = size + RENEW_STEP;
	if (fallocate(file->fd, FALLOC_FL_KEEP_SIZE, (off_t)size, AUDIT_RESERVE_SIZE) == 0) {
		file->reserved_end = size + AUDIT_RESERVE_SIZE;
		file->renew_at = size + AUDIT_RESERVE_SIZE / 2;
		file->is_on_reserve = false;
	} else if (errno == ENOSPC || errno == EDQUOT) {
		file->is_on_reserve = true;
	} else if (errno == EOPNOTSUPP || errno == ENOSYS) {
		file->can_reserve = false;
	}
}

static enum mortise_status mend(struct audit_file *file)
{
	if (file->needs_reopen)
		TRY(audit_file_reopen(file));
	if (file->needs_cut)
		audit_file_cut(file, file->cut_to);
	return file->needs_cut ? MORTISE_IO : MORTISE_OK;
}

enum mortise_status audit_file_write(
	struct audit_file *file, uint64_t offset, const void *bytes, size_t size)
{
	size_t done = 0;

	TRY(mend(file));
	renew_reserve(file, offset);
	while (done < size) {
		ssize_t count = pwrite(
			file->fd, (const char *)bytes + done, size - done, (off_t)(offset + done));

		if (count < 0 && errno == EINTR)
			continue;
		if (count <= 0)
			return MORTISE_IO;
		done += (size_t)count;
	}
	return MORTISE_OK;
}

void audit_file_cut(struct audit_file *file, uint64_t size)
{
	file->cut_to = size;
	file->needs_cut = ftruncate(file->fd, (off_t)size) != 0;
	/* The blocks of the reserve went too. */
	file->reserved_end = size;
	file->renew_at = 0;
}

bool audit_file_is_scarce(const struct audit_file *file, uint64_t size)
{
	return file->is_on_reserve && size + AUDIT_RESERVE_LAST > file->reserved_end;
}

enum mortise_status audit_file_sync(struct audit_file *file)
{
	if (fdatasync(file->fd) == 0)
		return MORTISE_OK;
	file->needs_reopen = true;
	return MORTISE_IO;
}

enum mortise_status audit_file_try(struct audit_file *file, uint64_t offset, bool sync)
{
	static const char line[AUDIT_LINE_MAX];
	enum mortise_status status = audit_file_write(file, offset, line, sizeof line);

	if (status == MORTISE_OK && sync)
		status = audit_file_sync(file);
	audit_file_cut(file, offset);
	return file->needs_cut ? MORTISE_IO : status;
}

void audit_file_look_again(struct audit_file *file, uint64_t size)
{
	file->renew_at = 0;
	renew_reserve(file, size);
}

bool audit_file_is_in_place(const struct audit_file *file)
{
	struct stat status;

	return lstat(file->path, &status) == 0 && status.st_dev == file->device &&
	       status.st_ino == file->inode;
}

/* A lock belongs to an open file, so the old one must go before the new one can have it. */
enum mortise_status audit_file_reopen(struct audit_file *file)
{
	struct audit_file fresh = *file;

	fresh.fd = open(file->path, OPEN_FLAGS);
	if (fresh.fd < 0)
		return MORTISE_IO;
	(void)flock(file->fd, LOCK_UN);
	if (check_ours(&fresh) != MORTISE_OK || fresh.device != file->device ||
		fresh.inode != file->inode) {
		(void)close(fresh.fd);
		(void)flock(file->fd, LOCK_EX | LOCK_NB);
		return MORTISE_IO;
	}
	(void)close(file->fd);
	fresh.needs_reopen = false;
	*file = fresh;
	return MORTISE_OK;
}

/* The second thread of the keeper: it waits in fdatasync so that the first does not. */

/* Cannot block: the counter is read back to 0 before the next job. */
static void announce(const struct audit_syncer *syncer)
{
	ssize_t count;

	do {
		count = write(syncer->event, &(uint64_t){1}, sizeof(uint64_t));
	} while (count < 0 && errno == EINTR);
}

static void *work(void *context)
{
	struct audit_syncer *syncer = context;

	(void)pthread_mutex_lock(&syncer->lock);
	for (;;) {
		int fd = syncer->fd;
		bool has_failed;

		if (fd < 0 && syncer->is_ending)
			break;
		if (fd < 0) {
			(void)pthread_cond_wait(&syncer->wake, &syncer->lock);
			continue;
		}
		(void)pthread_mutex_unlock(&syncer->lock);
		has_failed = fdatasync(fd) != 0;
		(void)pthread_mutex_lock(&syncer->lock);
		syncer->has_failed = has_failed;
		syncer->fd = -1;
		announce(syncer);
	}
	(void)pthread_mutex_unlock(&syncer->lock);
	return NULL;
}

/* Signals are the loop's business: the thread is born with all of them blocked. */
static int start_blocked(struct audit_syncer *syncer)
{
	sigset_t all, before;
	int error;

	(void)sigfillset(&all);
	error = pthread_sigmask(SIG_SETMASK, &all, &before);
	if (error != 0)
		return error;
	error = pthread_create(&syncer->thread, NULL, work, syncer);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return error;
}

enum mortise_status audit_syncer_start(struct audit_syncer *syncer)
{
	*syncer = (struct audit_syncer){
		.fd = -1, .lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};
	syncer->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (syncer->event < 0)
		return MORTISE_IO;
	if (start_blocked(syncer) == 0)
		return MORTISE_OK;
	(void)close(syncer->event);
	return MORTISE_IO;
}

void audit_syncer_stop(struct audit_syncer *syncer)
{
	(void)pthread_mutex_lock(&syncer->lock);
	syncer->is_ending = true;
	(void)pthread_cond_signal(&syncer->wake);
	(void)pthread_mutex_unlock(&syncer->lock);
	(void)pthread_join(syncer->thread, NULL);
	(void)close(syncer->event);
}

void audit_syncer_begin(struct audit_syncer *syncer, int fd)
{
	(void)pthread_mutex_lock(&syncer->lock);
	syncer->fd = fd;
	syncer->has_failed = false;
	if (fd < 0)
		announce(syncer);
	(void)pthread_cond_signal(&syncer->wake);
	(void)pthread_mutex_unlock(&syncer->lock);
}

enum mortise_status audit_syncer_end(struct audit_syncer *syncer)
{
	uint64_t count;
	bool has_failed;

	if (read(syncer->event, &count, sizeof count) != (ssize_t)sizeof count)
		return MORTISE_BUSY;
	(void)pthread_mutex_lock(&syncer->lock);
	has_failed = syncer->has_failed;
	(void)pthread_mutex_unlock(&syncer->lock);
	return has_failed ? MORTISE_IO : MORTISE_OK;
}
