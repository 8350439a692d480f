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

#include "mounts.h"
#include "processes.h"

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
