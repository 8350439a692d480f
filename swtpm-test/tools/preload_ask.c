/* SPDX-License-Identifier: ISC */
/*
 * preload_ask: put into any program by LD_PRELOAD, sends the frame in ASK_FRAME (hexadecimal) to
 * the agent at ASK_SOCKET and writes the answer to standard output. Shows what `exe` is not.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

__attribute__((constructor)) static void ask(void)
{
	const char *path = getenv("ASK_SOCKET"), *text = getenv("ASK_FRAME");
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	uint8_t frame[4096];
	size_t size = 0;
	unsigned byte;

	if (path == NULL || text == NULL)
		return;
	for (; size < sizeof frame && sscanf(text + 2 * size, "%2x", &byte) == 1; size++)
		frame[size] = (uint8_t)byte;
	(void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (connect(fd, (const struct sockaddr *)&address, sizeof address) == 0 &&
		send(fd, frame, size, MSG_NOSIGNAL) == (ssize_t)size) {
		ssize_t got = recv(fd, frame, sizeof frame, 0);
		if (got > 0 && write(STDOUT_FILENO, frame, (size_t)got) != got)
			_exit(1);
	}
	close(fd);
}
