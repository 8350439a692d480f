/* SPDX-License-Identifier: ISC */
#include "directory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK_NAME "lock"

/* Neither waits on a FIFO nor follows a link; what it is gets checked before it is used. */
#define LOCK_FLAGS (O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK)

static bool is_plain(int fd, const struct owner *owner)
{
	struct stat about;

	if (fstat(fd, &about) != 0 || !S_ISREG(about.st_mode) || about.st_nlink != 1)
		return false;
	return about.st_uid == 0 || about.st_uid == geteuid() || about.st_uid == owner->uid;
}

/* Between open and flock the file may have been unlinked and made anew. */
static bool is_still_there(int fd, int directory_fd)
{
	struct stat held, named;

	if (fstat(fd, &held) != 0 ||
		fstatat(directory_fd, LOCK_NAME, &named, AT_SYMLINK_NOFOLLOW) != 0)
		return false;
	return held.st_dev == named.st_dev && held.st_ino == named.st_ino;
}

static enum mortise_status take(int fd, int directory_fd)
{
	if (flock(fd, LOCK_EX | LOCK_NB) != 0)
		return errno == EWOULDBLOCK ? MORTISE_CONFLICT : MORTISE_IO;
	return is_still_there(fd, directory_fd) ? MORTISE_OK : MORTISE_CONFLICT;
}

static unsigned long read_pid(int fd)
{
	char text[16] = "";
	ssize_t size = pread(fd, text, sizeof text - 1, 0);

	return size > 0 ? strtoul(text, NULL, 10) : 0;
}

/* For the message to a second agent only; nothing depends on it. */
static enum mortise_status write_pid(int fd)
{
	char text[16];
	int size = snprintf(text, sizeof text, "%d\n", (int)getpid());

	if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)size, 0) != size)
		return MORTISE_IO;
	return MORTISE_OK;
}

enum mortise_status directory_lock(int directory_fd, const char *path, const struct owner *owner,
	int *out_lock_fd, struct refusal *out_refusal)
{
	CLEANUP(close_drop) int fd = openat(directory_fd, LOCK_NAME, LOCK_FLAGS, 0600);
	enum mortise_status status;

	if (fd < 0 && errno == ELOOP)
		return refuse(MORTISE_REJECTED, out_refusal, "%s/" LOCK_NAME ": a link", path);
	if (fd < 0)
		return refuse(
			MORTISE_IO, out_refusal, "%s/" LOCK_NAME ": %s", path, strerror(errno));
	if (!is_plain(fd, owner))
		return refuse(MORTISE_REJECTED, out_refusal,
			"%s/" LOCK_NAME ": not a file of the agent's own; remove it", path);
	status = take(fd, directory_fd);
	if (status == MORTISE_IO)
		return refuse(
			MORTISE_IO, out_refusal, "%s/" LOCK_NAME ": %s", path, strerror(errno));
	if (status != MORTISE_OK)
		return refuse(status, out_refusal, "%s is in use by another mortised (pid %lu)",
			path, read_pid(fd));
	if (write_pid(fd) != MORTISE_OK)
		return refuse(
			MORTISE_IO, out_refusal, "%s/" LOCK_NAME ": %s", path, strerror(errno));
	*out_lock_fd = fd;
	fd = -1;
	return MORTISE_OK;
}
