/* SPDX-License-Identifier: ISC */
#include "witness_look.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "processes.h"

#define LINE_MAX_SIZE 32768 /* an overlay's options alone may be a page */
#define PLACE         5     /* which field: id, parent, device, root, place, options ... - type */

static const char served[] = "fuse"; /* "fuse.sshfs" and "fuseblk", too */

struct field {
	const char *at;
	size_t size;
};

/* The next of the fields that single blanks separate; false: there is none. */
static bool next_field(const char **at, const char *end, struct field *out_field)
{
	const char *blank;

	if (*at >= end)
		return false;
	blank = memchr(*at, ' ', (size_t)(end - *at));
	if (!blank)
		blank = end;
	*out_field = (struct field){*at, (size_t)(blank - *at)};
	*at = blank < end ? blank + 1 : end;
	return out_field->size > 0;
}

static bool is_octal(char c)
{
	return c >= '0' && c <= '7';
}

/* One character of a field; blanks and the like are \040. */
static char take_char(const struct field *field, size_t *at)
{
	const char *text = field->at + *at;

	if (*text != '\\' || field->size - *at < 4 || !is_octal(text[1]) || !is_octal(text[2]) ||
		!is_octal(text[3])) {
		*at += 1;
		return *text;
	}
	*at += 4;
	return (char)((text[1] - '0') << 6 | (text[2] - '0') << 3 | (text[3] - '0'));
}

/* Is the path this place, or below it? */
static bool is_below(const char *path, const struct field *place)
{
	size_t at = 0;

	if (place->size == 1)
		return true; /* the root */
	while (at < place->size) {
		if (*path == '\0' || take_char(place, &at) != *path)
			return false;
		path++;
	}
	return *path == '/' || *path == '\0';
}

enum mount_verdict mount_judge(const char *line, size_t size, const char *path)
{
	const char *at = line, *end = line + size;
	struct field field = {NULL, 0}, place = {NULL, 0};
	unsigned number = 0;

	while (number < PLACE && next_field(&at, end, &field))
		number++;
	place = field;
	if (number < PLACE || place.at[0] != '/')
		return MOUNT_UNREADABLE;
	do {
		if (!next_field(&at, end, &field))
			return MOUNT_UNREADABLE;
	} while (field.size != 1 || field.at[0] != '-');
	if (!next_field(&at, end, &field))
		return MOUNT_UNREADABLE;
	if (!is_below(path, &place))
		return MOUNT_ELSEWHERE;
	return field.size >= sizeof served - 1 && memcmp(field.at, served, sizeof served - 1) == 0
		       ? MOUNT_SERVED
		       : MOUNT_ON_THE_WAY;
}

/* The whole lines of text; how much of it they took is in *out_used. */
static enum mortise_status check_lines(
	const char *text, size_t size, const char *path, size_t *out_used)
{
	size_t used = 0;
	const char *end;

	while ((end = memchr(text + used, '\n', size - used))) {
		size_t length = (size_t)(end - text) - used;
		enum mount_verdict verdict = mount_judge(text + used, length, path);

		if (verdict == MOUNT_SERVED || verdict == MOUNT_UNREADABLE)
			return verdict == MOUNT_SERVED ? MORTISE_DENIED : MORTISE_IO;
		used += length + 1;
	}
	*out_used = used;
	return MORTISE_OK;
}

enum mortise_status mounts_check(int fd, const char *path)
{
	static char text[LINE_MAX_SIZE];
	size_t size = 0, used = 0;
	off_t offset = 0;
	ssize_t got;

	while ((got = pread(fd, text + size, sizeof text - size, offset)) > 0) {
		offset += got;
		size += (size_t)got;
		TRY(check_lines(text, size, path, &used));
		if (used == 0 && size == sizeof text)
			return MORTISE_IO;
		memmove(text, text + used, size - used);
		size -= used;
	}
	return got == 0 && size == 0 && offset > 0 ? MORTISE_OK : MORTISE_IO;
}

#define O_LOOK (O_PATH | O_NOFOLLOW | O_CLOEXEC)

/* What tells one file from another. */
#define IDENTITY (STATX_TYPE | STATX_INO)

static void close_look(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

/* The path of an open descriptor, as the kernel knows it: no file system is asked. */
static enum mortise_status path_of(int fd, char path[WITNESS_PATH_SIZE])
{
	char link[32];
	ssize_t size;

	(void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	size = readlinkat(AT_FDCWD, link, path, WITNESS_PATH_SIZE);
	if (size <= 0 || size >= WITNESS_PATH_SIZE || path[0] != '/')
		return MORTISE_NOT_FOUND;
	path[size] = '\0';
	return MORTISE_OK;
}

/*
 * A symbolic link is opened as itself, and has nothing below it: so the mounts on the way are those
 * that the path names.
 */
static int walk(const char *path)
{
	int fd = openat(AT_FDCWD, "/", O_LOOK | O_DIRECTORY);
	char name[NAME_MAX + 1];

	while (fd >= 0 && *(path += strspn(path, "/")) != '\0') {
		CLEANUP(close_look) int above = fd;
		size_t size = strcspn(path, "/");

		if (size > NAME_MAX)
			return -1;
		memcpy(name, path, size);
		name[size] = '\0';
		path += size;
		fd = openat(above, name, O_LOOK);
	}
	return fd;
}

/* As the kernel remembers it: a file system whose server does not answer is not asked. */
static bool identify(int fd, struct statx *out_file)
{
	return statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, IDENTITY, out_file) == 0 &&
	       (out_file->stx_mask & IDENTITY) == IDENTITY && S_ISREG(out_file->stx_mode);
}

static bool is_same(const struct statx *one, const struct statx *other)
{
	return one->stx_ino == other->stx_ino && one->stx_dev_major == other->stx_dev_major &&
	       one->stx_dev_minor == other->stx_dev_minor;
}

void witness_look_up(uint32_t pid)
{
	static const char *const names[] = {PROCESS_LOOKED_AT};
	char path[64];

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		CLEANUP(close_look) int fd = -1;

		(void)snprintf(path, sizeof path, "/proc/%u/%s", pid, names[i]);
		fd = openat(AT_FDCWD, path, O_PATH | O_CLOEXEC);
	}
}

enum mortise_status witness_look(int mounts, uint32_t pid, char out_path[WITNESS_PATH_SIZE])
{
	CLEANUP(close_look) int program = -1, here = -1;
	char link[32], path[WITNESS_PATH_SIZE];
	struct statx runs, is_here;

	(void)snprintf(link, sizeof link, "/proc/%u/exe", pid);
	program = openat(AT_FDCWD, link, O_PATH | O_CLOEXEC);
	if (program < 0)
		return MORTISE_NOT_FOUND;
	TRY(path_of(program, path));
	if (mounts_check(mounts, path) != MORTISE_OK)
		return MORTISE_NOT_FOUND;
	here = walk(path);
	if (here < 0 || !identify(here, &is_here) || !identify(program, &runs) ||
		!is_same(&runs, &is_here))
		return MORTISE_NOT_FOUND;
	memcpy(out_path, path, sizeof path);
	return MORTISE_OK;
}
