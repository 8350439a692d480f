/* SPDX-License-Identifier: ISC */
#include "listen.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define BACKLOG 4096 /* the kernel lowers it to net.core.somaxconn */

static int type_of(bool is_stream)
{
	return is_stream ? SOCK_STREAM : SOCK_SEQPACKET;
}

static enum mortise_status fill_address(
	const char *path, struct sockaddr_un *out_address, struct refusal *out_refusal)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t size = strlen(path);

	if (size >= sizeof address.sun_path)
		return refuse(MORTISE_REJECTED, out_refusal,
			"%s: a socket's path has at most %zu bytes", path,
			sizeof address.sun_path - 1);
	memcpy(address.sun_path, path, size + 1);
	*out_address = address;
	return MORTISE_OK;
}

/* 0 if somebody listens, ECONNREFUSED if the file is all that is left, or another errno. */
static int try_to_connect(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int error;

	if (fd < 0)
		return errno;
	error = connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 ? 0 : errno;
	close(fd);
	return error;
}

static enum mortise_status remove_stale(int directory_fd, const char *name,
	const struct sockaddr_un *address, struct refusal *out_refusal)
{
	struct stat about;
	int error;

	if (fstatat(directory_fd, name, &about, AT_SYMLINK_NOFOLLOW) != 0) {
		if (errno == ENOENT)
			return MORTISE_OK;
		return refuse(
			MORTISE_IO, out_refusal, "%s: %s", address->sun_path, strerror(errno));
	}
	if (!S_ISSOCK(about.st_mode))
		return refuse(MORTISE_REJECTED, out_refusal, "%s: exists and is no socket",
			address->sun_path);
	error = try_to_connect(address);
	if (error != ECONNREFUSED)
		return refuse(MORTISE_CONFLICT, out_refusal,
			"%s: another program listens there%s%s", address->sun_path,
			error == 0 ? "" : ": ", error == 0 ? "" : strerror(error));
	if (unlinkat(directory_fd, name, 0) != 0 && errno != ENOENT)
		return refuse(MORTISE_IO, out_refusal, "%s: cannot be removed: %s",
			address->sun_path, strerror(errno));
	return MORTISE_OK;
}

/*
 * The mode comes from the umask at bind and not from a chmod, which would follow a link put
 * there by the agent's user.
 */
static int bind_with_mode(int fd, const struct sockaddr_un *address, mode_t mode)
{
	mode_t umask_before = umask(0777 & ~mode);
	int result = bind(fd, (const struct sockaddr *)address, sizeof *address);

	umask(umask_before);
	return result;
}

static enum mortise_status start_listening(
	int fd, const struct sockaddr_un *address, mode_t mode, struct refusal *out_refusal)
{
	const int yes = 1;

	if (setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &yes, sizeof yes) != 0 ||
		bind_with_mode(fd, address, mode) != 0 || listen(fd, BACKLOG) != 0)
		return refuse(
			MORTISE_IO, out_refusal, "%s: %s", address->sun_path, strerror(errno));
	return MORTISE_OK;
}

/* Remembers which file is ours, and that it has the mode that clients need. */
static enum mortise_status identify(
	struct listener *listener, const char *path, mode_t mode, struct refusal *out_refusal)
{
	struct stat about;

	if (fstatat(listener->directory_fd, listener->name, &about, AT_SYMLINK_NOFOLLOW) != 0)
		return refuse(MORTISE_IO, out_refusal, "%s: %s", path, strerror(errno));
	if (!S_ISSOCK(about.st_mode) || (about.st_mode & 07777) != mode)
		return refuse(MORTISE_REJECTED, out_refusal,
			"%s: mode is %04o instead of %04o (a default ACL on the directory?)", path,
			about.st_mode & 07777, mode);
	listener->device = about.st_dev;
	listener->inode = about.st_ino;
	return MORTISE_OK;
}

/* Until then the file has our own group, which is no more than the mode gives. */
static enum mortise_status give_to_group(const struct listener *listener, const char *path,
	const struct listen_access *access, struct refusal *out_refusal)
{
	if (access->gid == (gid_t)-1)
		return MORTISE_OK;
	if (fchownat(listener->directory_fd, listener->name, (uid_t)-1, access->gid,
		    AT_SYMLINK_NOFOLLOW) != 0)
		return refuse(MORTISE_IO, out_refusal, "%s: cannot be given to its group: %s", path,
			strerror(errno));
	return MORTISE_OK;
}

enum mortise_status listen_open(const char *path, const struct listen_access *access,
	const struct owner *owner, struct listener *out_listener, struct refusal *out_refusal)
{
	CLEANUP(close_drop) int directory_fd = -1, fd = -1;
	struct listener made = {.fd = -1};
	struct sockaddr_un address;
	char directory[PATH_MAX];

	TRY(fill_address(path, &address, out_refusal));
	if (directory_of(path, directory) != MORTISE_OK)
		return refuse(MORTISE_REJECTED, out_refusal, "%s: not a file's path", path);
	TRY(directory_open(directory, DIRECTORY_SOCKET, owner, true, &directory_fd, out_refusal));
	snprintf(made.name, sizeof made.name, "%s", strrchr(path, '/') + 1);
	TRY(remove_stale(directory_fd, made.name, &address, out_refusal));
	fd = socket(AF_UNIX, type_of(access->is_stream) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return refuse(MORTISE_IO, out_refusal, "%s: %s", path, strerror(errno));
	TRY(start_listening(fd, &address, access->mode, out_refusal));
	made.directory_fd = directory_fd;
	TRY(identify(&made, path, access->mode, out_refusal));
	TRY(give_to_group(&made, path, access, out_refusal));
	made.fd = fd;
	*out_listener = made;
	fd = directory_fd = -1;
	return MORTISE_OK;
}

static bool has_option(int fd, int option, int expected)
{
	int value = -1;
	socklen_t size = sizeof value;

	return getsockopt(fd, SOL_SOCKET, option, &value, &size) == 0 && value == expected;
}

static enum mortise_status check_passed(int fd, bool is_stream, struct refusal *out_refusal)
{
	if (!has_option(fd, SO_DOMAIN, AF_UNIX) || !has_option(fd, SO_TYPE, type_of(is_stream)))
		return refuse(MORTISE_REJECTED, out_refusal,
			is_stream ? "LISTEN_FDS: credentials is not a stream Unix socket "
				    "(ListenStream= in the .socket unit)"
				  : "LISTEN_FDS: not a sequential-packet Unix socket "
				    "(ListenSequentialPacket= in the .socket unit)");
	if (!has_option(fd, SO_ACCEPTCONN, 1))
		return refuse(
			MORTISE_REJECTED, out_refusal, "LISTEN_FDS: the socket does not listen");
	return MORTISE_OK;
}

static enum mortise_status set_up_passed(int fd, struct refusal *out_refusal)
{
	const int yes = 1;
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 ||
		fcntl(fd, F_SETFD, FD_CLOEXEC) != 0 ||
		setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &yes, sizeof yes) != 0)
		return refuse(MORTISE_IO, out_refusal, "LISTEN_FDS: %s", strerror(errno));
	return MORTISE_OK;
}

enum mortise_status listen_adopt(
	int fd, bool is_stream, struct listener *out_listener, struct refusal *out_refusal)
{
	TRY(check_passed(fd, is_stream, out_refusal));
	TRY(set_up_passed(fd, out_refusal));
	*out_listener = (struct listener){.fd = fd, .directory_fd = -1};
	return MORTISE_OK;
}

/* The kernel keeps who called listen(2). */
uid_t listen_made_by(const struct listener *listener)
{
	struct ucred maker = {.uid = geteuid()};
	socklen_t size = sizeof maker;

	if (listener->directory_fd >= 0 ||
		getsockopt(listener->fd, SOL_SOCKET, SO_PEERCRED, &maker, &size) != 0)
		return geteuid();
	return maker.uid;
}

bool listen_is_elsewhere(const struct listener *listener, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNSPEC};
	socklen_t size = sizeof address;

	if (listener->fd < 0 || listener->directory_fd >= 0 ||
		getsockname(listener->fd, (struct sockaddr *)&address, &size) != 0)
		return false;
	return strncmp(address.sun_path, path, sizeof address.sun_path) != 0;
}

void listen_close(struct listener *listener)
{
	struct stat about;

	close_drop(&listener->fd);
	if (listener->directory_fd < 0)
		return;
	if (fstatat(listener->directory_fd, listener->name, &about, AT_SYMLINK_NOFOLLOW) == 0 &&
		about.st_dev == listener->device && about.st_ino == listener->inode)
		unlinkat(listener->directory_fd, listener->name, 0);
	close_drop(&listener->directory_fd);
}
