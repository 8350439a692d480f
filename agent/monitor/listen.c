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

#define MAIN_NAME "main"

/* A number of the environment, as a whole; -1 if it is anything else. */
static long number_in(const char *variable)
{
	const char *text = getenv(variable);
	char *end;
	long number;

	if (!text || *text < '0' || *text > '9')
		return -1;
	errno = 0;
	number = strtol(text, &end, 10);
	return errno == 0 && *end == '\0' ? number : -1;
}

bool listen_was_passed(void)
{
	return number_in("LISTEN_PID") == (long)getpid() && getenv("LISTEN_FDS");
}

size_t listen_set_passed(void)
{
	long count = listen_was_passed() ? number_in("LISTEN_FDS") : -1;

	return count > 0 && count <= PROCESS_LISTENERS_MAX ? (size_t)count : 0;
}

/* The name of the descriptor with that index; false if there is none. */
static bool name_at(size_t index, char name[PROCESS_NAME_MAX + 1])
{
	const char *at = getenv("LISTEN_FDNAMES");

	for (; at && index > 0; index--) {
		at = strchr(at, ':');
		at = at ? at + 1 : NULL;
	}
	if (!at)
		return false;
	size_t size = strcspn(at, ":");
	if (size == 0 || size > PROCESS_NAME_MAX)
		return false;
	memcpy(name, at, size);
	name[size] = '\0';
	return true;
}

static bool is_main_name(const char *name)
{
	return strcmp(name, MAIN_NAME) == 0 || strcmp(name, "mortise.socket") == 0 ||
	       strcmp(name, "mortised.socket") == 0;
}

/* Which of the wanted ones a passed descriptor is; count: none. */
static size_t find_wanted(const struct listen_wanted *wanted, size_t count, const char *name)
{
	size_t i = 0;

	if (is_main_name(name))
		name = MAIN_NAME;
	while (i < count && strcmp(wanted[i].name, name) != 0)
		i++;
	return i;
}

static enum mortise_status adopt(const struct listen_wanted *wanted, size_t index, size_t passed,
	struct listen_set *set, struct refusal *out_refusal)
{
	char name[PROCESS_NAME_MAX + 1] = MAIN_NAME;
	bool has_names = getenv("LISTEN_FDNAMES") != NULL;

	if (!name_at(index, name) && (has_names || passed > 1))
		return refuse(MORTISE_REJECTED, out_refusal,
			"LISTEN_FDNAMES: descriptor %zu of %zu has no name "
			"(FileDescriptorName= in the .socket unit)",
			index + 1, passed);
	size_t place = find_wanted(wanted, set->count, name);
	if (place == set->count)
		return refuse(MORTISE_REJECTED, out_refusal,
			"LISTEN_FDNAMES: expected main, credentials or the NAME of a [socket "
			"NAME], "
			"not '%s'",
			name);
	if (set->listeners[place].fd >= 0)
		return refuse(MORTISE_REJECTED, out_refusal, "LISTEN_FDNAMES: two sockets are '%s'",
			wanted[place].name);
	return listen_adopt(LISTEN_FIRST_FD + (int)index, wanted[place].access.is_stream,
		&set->listeners[place], out_refusal);
}

static enum mortise_status adopt_all(
	const struct listen_wanted *wanted, struct listen_set *set, struct refusal *out_refusal)
{
	size_t passed = listen_set_passed();

	if (!listen_was_passed())
		return MORTISE_OK;
	if (passed == 0)
		return refuse(MORTISE_REJECTED, out_refusal,
			"LISTEN_FDS=%.16s: expected 1 to %d sockets", getenv("LISTEN_FDS"),
			PROCESS_LISTENERS_MAX);
	for (size_t i = 0; i < passed; i++)
		TRY(adopt(wanted, i, passed, set, out_refusal));
	return MORTISE_OK;
}

static enum mortise_status make_others(const struct listen_wanted *wanted,
	const struct owner *owner, struct listen_set *set, struct refusal *out_refusal)
{
	for (size_t i = 0; i < set->count; i++) {
		if (set->listeners[i].fd < 0 && !wanted[i].is_only_passed)
			TRY(listen_open(wanted[i].path, &wanted[i].access, owner,
				&set->listeners[i], out_refusal));
	}
	return MORTISE_OK;
}

enum mortise_status listen_set_open(const struct listen_wanted *wanted, size_t count,
	const struct owner *owner, struct listen_set *out_set, struct refusal *out_refusal)
{
	CLEANUP(listen_set_close) struct listen_set set = {.count = count};

	for (size_t i = 0; i < count; i++)
		set.listeners[i] = (struct listener){.fd = -1, .directory_fd = -1};
	TRY(adopt_all(wanted, &set, out_refusal));
	TRY(make_others(wanted, owner, &set, out_refusal));
	*out_set = set;
	set.count = 0;
	return MORTISE_OK;
}

void listen_set_close(struct listen_set *set)
{
	for (size_t i = 0; i < set->count; i++)
		listen_close(&set->listeners[i]);
	set->count = 0;
}
