/* SPDX-License-Identifier: ISC */
#include "notify.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum mortise_status notify_send(const char *socket_path, const char *text)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t size = !socket_path ? 0 : strlen(socket_path), sent_size = strlen(text);
	ssize_t sent;
	int fd;

	if (!socket_path)
		return MORTISE_OK;
	if (size < 2 || size >= sizeof address.sun_path ||
		(socket_path[0] != '/' && socket_path[0] != '@'))
		return MORTISE_INVALID;
	memcpy(address.sun_path, socket_path, size);
	if (socket_path[0] == '@')
		address.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return MORTISE_IO;
	sent = sendto(fd, text, sent_size, MSG_NOSIGNAL, (const struct sockaddr *)&address,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + size));
	close(fd);
	return sent == (ssize_t)sent_size ? MORTISE_OK : MORTISE_IO;
}

enum mortise_status pin_flag_set(const char *directory, bool is_up)
{
	char path[PATH_MAX];
	int size, fd;

	if (!directory)
		return MORTISE_OK;
	size = snprintf(path, sizeof path, "%s/" PIN_FLAG_NAME, directory);
	if (size < 0 || (size_t)size >= sizeof path) {
		errno = ENAMETOOLONG;
		return MORTISE_IO;
	}
	if (!is_up)
		return unlink(path) == 0 || errno == ENOENT ? MORTISE_OK : MORTISE_IO;
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0444);
	if (fd < 0)
		return MORTISE_IO;
	close(fd);
	return MORTISE_OK;
}
