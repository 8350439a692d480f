/* SPDX-License-Identifier: ISC */
#include "directory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define WALK_FLAGS (O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

static const struct {
	mode_t mode;      /* when it is made */
	mode_t forbidden; /* when it is found */
} kinds[] = {
	[DIRECTORY_STORE] = {0700, 0077},
	[DIRECTORY_AUDIT] = {0750, 0022},
	[DIRECTORY_SOCKET] = {0755, 0022},
};

enum mortise_status refuse(
	enum mortise_status status, struct refusal *out_refusal, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(out_refusal->text, sizeof out_refusal->text, format, arguments);
	va_end(arguments);
	return status;
}

void close_drop(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static bool is_trusted(uid_t uid, const struct owner *owner)
{
	return uid == 0 || uid == geteuid() || uid == owner->uid;
}

/* A group that root gave write access to one of its own directories is root's choice. */
static bool is_open_to_strangers(const struct stat *about, const struct owner *owner)
{
	if ((about->st_mode & S_ISVTX) != 0)
		return false;
	if ((about->st_mode & S_IWOTH) != 0)
		return true;
	return (about->st_mode & S_IWGRP) != 0 && about->st_uid != 0 &&
	       about->st_gid != owner->gid && about->st_gid != getegid();
}

/* size: how much of path names this parent, for the message. */
static enum mortise_status check_parent(int fd, const char *path, size_t size,
	const struct owner *owner, struct refusal *out_refusal)
{
	struct stat about;
	int shown = size == 0 ? 1 : (int)size;

	if (fstat(fd, &about) != 0)
		return refuse(MORTISE_IO, out_refusal, "%.*s: %s", shown, path, strerror(errno));
	if (!is_trusted(about.st_uid, owner))
		return refuse(MORTISE_REJECTED, out_refusal,
			"%.*s: owned by uid %u, who could replace what is in it", shown, path,
			about.st_uid);
	if (is_open_to_strangers(&about, owner))
		return refuse(MORTISE_REJECTED, out_refusal,
			"%.*s: others may write there (mode %04o) and replace what is in it", shown,
			path, about.st_mode & 07777);
	return MORTISE_OK;
}

static enum mortise_status refuse_component(
	const char *path, size_t size, int error, struct refusal *out_refusal)
{
	/* A link gives ENOTDIR, since O_DIRECTORY and O_PATH come before O_NOFOLLOW. */
	if (error == ENOTDIR || error == ELOOP)
		return refuse(MORTISE_REJECTED, out_refusal,
			"%.*s: a link or not a directory; name the directory itself", (int)size,
			path);
	return refuse(error == ENOENT ? MORTISE_NOT_FOUND : MORTISE_IO, out_refusal, "%.*s: %s",
		(int)size, path, strerror(error));
}

static enum mortise_status step_into(int parent_fd, const char *path, size_t start, size_t end,
	int *out_fd, struct refusal *out_refusal)
{
	char name[NAME_MAX + 1];
	int fd;

	if (end - start > NAME_MAX)
		return refuse(MORTISE_REJECTED, out_refusal, "%s: a name is too long", path);
	memcpy(name, path + start, end - start);
	name[end - start] = '\0';
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return refuse(MORTISE_REJECTED, out_refusal, "%s: has '%s' in it", path, name);
	fd = openat(parent_fd, name, WALK_FLAGS);
	if (fd < 0)
		return refuse_component(path, end, errno, out_refusal);
	*out_fd = fd;
	return MORTISE_OK;
}

/* Goes down to the parent of the last component; *out_last is where that component starts. */
static enum mortise_status walk(const char *path, const struct owner *owner, int *out_fd,
	size_t *out_last, struct refusal *out_refusal)
{
	CLEANUP(close_drop) int fd = open("/", WALK_FLAGS);
	size_t start = 1, end;

	if (fd < 0)
		return refuse(MORTISE_IO, out_refusal, "/: %s", strerror(errno));
	TRY(check_parent(fd, path, 0, owner, out_refusal));
	while (path[end = start + strcspn(path + start, "/")] != '\0') {
		enum mortise_status status;
		int next;

		status = step_into(fd, path, start, end, &next, out_refusal);
		if (status != MORTISE_OK) /* only the last component may be absent */
			return status == MORTISE_NOT_FOUND ? MORTISE_REJECTED : status;
		close(fd);
		fd = next;
		TRY(check_parent(fd, path, end, owner, out_refusal));
		start = end + 1;
	}
	*out_fd = fd;
	*out_last = start;
	fd = -1;
	return MORTISE_OK;
}

static enum mortise_status check_last(int fd, const char *path, enum directory_kind kind,
	const struct owner *owner, struct refusal *out_refusal)
{
	struct stat about;

	if (fstat(fd, &about) != 0)
		return refuse(MORTISE_IO, out_refusal, "%s: %s", path, strerror(errno));
	if (kind == DIRECTORY_SOCKET ? !is_trusted(about.st_uid, owner)
				     : about.st_uid != owner->uid)
		return refuse(MORTISE_REJECTED, out_refusal,
			"%s: owned by uid %u instead of uid %u; name a directory of its own, or if "
			"this is it "
			"run: chown %u %s",
			path, about.st_uid, owner->uid, owner->uid, path);
	if ((about.st_mode & kinds[kind].forbidden) != 0)
		return refuse(MORTISE_REJECTED, out_refusal,
			"%s: open to others (mode %04o); name a directory of its own, or if this "
			"is it "
			"run: chmod %04o %s",
			path, about.st_mode & 07777, kinds[kind].mode, path);
	return MORTISE_OK;
}

/* Gives a new directory its owner and exact mode, if it still is the one we made. */
static enum mortise_status settle(
	int parent_fd, const char *name, enum directory_kind kind, const struct owner *owner)
{
	CLEANUP(close_drop)
	int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat about;

	if (fd < 0 || fstat(fd, &about) != 0)
		return MORTISE_IO;
	errno = EPERM;
	if (about.st_uid != geteuid())
		return MORTISE_IO;
	if (kind != DIRECTORY_SOCKET && owner->uid != geteuid() &&
		fchown(fd, owner->uid, owner->gid) != 0)
		return MORTISE_IO;
	return fchmod(fd, kinds[kind].mode) == 0 ? MORTISE_OK : MORTISE_IO;
}

static enum mortise_status make(int parent_fd, const char *path, const char *name,
	enum directory_kind kind, const struct owner *owner, struct refusal *out_refusal)
{
	mode_t umask_before = umask(0077);
	int made = mkdirat(parent_fd, name, 0700);

	umask(umask_before);
	if (made != 0)
		return refuse(
			MORTISE_IO, out_refusal, "%s: cannot be made: %s", path, strerror(errno));
	if (settle(parent_fd, name, kind, owner) != MORTISE_OK)
		return refuse(
			MORTISE_IO, out_refusal, "%s: cannot be set up: %s", path, strerror(errno));
	return MORTISE_OK;
}

enum mortise_status directory_open(const char *path, enum directory_kind kind,
	const struct owner *owner, bool may_create, int *out_fd, struct refusal *out_refusal)
{
	CLEANUP(close_drop) int parent_fd = -1, fd = -1;
	enum mortise_status status;
	size_t last = 0, end = strlen(path);

	if (path[0] != '/' || end < 2 || end >= PATH_MAX || path[end - 1] == '/' ||
		strstr(path, "//"))
		return refuse(MORTISE_REJECTED, out_refusal,
			"'%s': expected an absolute path below /, without '//' or '/' at its end",
			path);
	TRY(walk(path, owner, &parent_fd, &last, out_refusal));
	status = step_into(parent_fd, path, last, end, &fd, out_refusal);
	if (status == MORTISE_NOT_FOUND && may_create) {
		TRY(make(parent_fd, path, path + last, kind, owner, out_refusal));
		status = step_into(parent_fd, path, last, end, &fd, out_refusal);
	}
	TRY(status);
	TRY(check_last(fd, path, kind, owner, out_refusal));
	*out_fd = fd;
	fd = -1;
	return MORTISE_OK;
}

enum mortise_status directory_of(const char *path, char out_directory[PATH_MAX])
{
	const char *slash = strrchr(path, '/');

	if (!slash || slash == path || slash[1] == '\0' || slash - path >= PATH_MAX)
		return MORTISE_REJECTED;
	memcpy(out_directory, path, (size_t)(slash - path));
	out_directory[slash - path] = '\0';
	return MORTISE_OK;
}

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
