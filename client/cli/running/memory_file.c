/* SPDX-License-Identifier: ISC */
#include "memory_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "output.h"

#define LEAST_DESCRIPTOR 3

/* Above the standard ones, also where those are closed. A memfd is 0777 at first. */
int memory_file_new(const char *name)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING), moved = fd;

	if (fd >= 0 && fchmod(fd, 0600) != 0) {
		(void)close(fd);
		return -1;
	}
	if (fd >= 0 && fd < LEAST_DESCRIPTOR) {
		moved = fcntl(fd, F_DUPFD_CLOEXEC, LEAST_DESCRIPTOR);
		(void)close(fd);
	}
	return moved;
}

/* ssh and others take no key that its group or others could read. */
enum mortise_status memory_file_fill(int fd, const void *bytes, size_t size)
{
	TRY(output_write(fd, bytes, size));
	if (fchmod(fd, 0400) != 0 || lseek(fd, 0, SEEK_SET) != 0 ||
		fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) !=
			0)
		return MORTISE_IO;
	return MORTISE_OK;
}

void memory_file_path(int fd, char out_path[MEMORY_FILE_PATH_SIZE])
{
	(void)snprintf(out_path, MEMORY_FILE_PATH_SIZE, "/proc/self/fd/%d", fd);
}

enum mortise_status memory_file_read(int fd, struct input *out_value)
{
	size_t size = 0;
	ssize_t got;

	do {
		got = pread(fd, out_value->bytes + size, sizeof out_value->bytes - 1 - size,
			(off_t)size);
		if (got > 0)
			size += (size_t)got;
	} while (got > 0 || (got < 0 && errno == EINTR));
	out_value->size = size;
	if (got < 0)
		return MORTISE_IO;
	return size > MORTISE_VALUE_MAX ? MORTISE_INVALID : MORTISE_OK;
}
