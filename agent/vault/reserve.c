/* SPDX-License-Identifier: ISC */
#include "reserve.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define BLOCK 512 /* of st_blocks, whatever the file system's are: stat(2) */

struct reserve {
	int fd; /* -1: there is no file yet */
	char directory[4096], path[4096];
};

static int open_file(const struct reserve *reserve, int flags)
{
	struct stat status;
	int fd = open(reserve->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | flags, 0600);

	/* With another name, or as something else, it is not ours to cut. */
	if (fd >= 0 && (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) ||
			       status.st_nlink != 1 || status.st_uid != geteuid())) {
		(void)close(fd);
		fd = -1;
	}
	return fd;
}

enum mortise_status reserve_new(const char *directory, struct reserve **out_reserve)
{
	struct reserve *reserve = calloc(1, sizeof *reserve);

	if (!reserve)
		return MORTISE_BUSY;
	int size = snprintf(reserve->path, sizeof reserve->path, "%s/%s", directory, RESERVE_NAME);
	if (size < 0 || (size_t)size >= sizeof reserve->path) {
		free(reserve);
		return MORTISE_INVALID;
	}
	(void)snprintf(reserve->directory, sizeof reserve->directory, "%s", directory);
	reserve->fd = open_file(reserve, 0);
	*out_reserve = reserve;
	return MORTISE_OK;
}

void reserve_free(struct reserve *reserve)
{
	if (reserve && reserve->fd >= 0)
		(void)close(reserve->fd);
	free(reserve);
}

/* What is to be held of a disk, and is to be free on it; 0: not known. */
static uint64_t share_of(const struct reserve *reserve, uint64_t *out_free)
{
	struct statvfs disk;

	if (statvfs(reserve->directory, &disk) != 0)
		return 0;
	uint64_t share = (uint64_t)disk.f_blocks * disk.f_frsize / RESERVE_SHARE;
	*out_free = (uint64_t)disk.f_bavail * disk.f_frsize;
	return share < RESERVE_MAX ? share : RESERVE_MAX;
}

uint64_t reserve_held(const struct reserve *reserve)
{
	struct stat status;

	return reserve->fd >= 0 && fstat(reserve->fd, &status) == 0
		       ? (uint64_t)status.st_blocks * BLOCK
		       : 0;
}

/* All that is wanted, or else as many pieces as the disk has. */
void reserve_fill(struct reserve *reserve)
{
	uint64_t free_bytes = 0, wanted = share_of(reserve, &free_bytes);
	uint64_t held = reserve_held(reserve);

	if (held >= wanted || free_bytes == 0)
		return;
	if (reserve->fd < 0)
		reserve->fd = open_file(reserve, O_CREAT);
	while (reserve->fd >= 0 && held < wanted) {
		uint64_t piece = wanted - held < RESERVE_PIECE ? wanted - held : RESERVE_PIECE;
		if (fallocate(reserve->fd, 0, 0, (off_t)(held + piece)) != 0)
			break;
		held += piece;
	}
}

bool reserve_spend(struct reserve *reserve)
{
	uint64_t held = reserve_held(reserve);
	uint64_t rest = held > RESERVE_PIECE ? held - RESERVE_PIECE : 0;

	return held > 0 && ftruncate(reserve->fd, (off_t)rest) == 0 && reserve_held(reserve) < held;
}

bool reserve_disk_is_low(const struct reserve *reserve, uint64_t *out_free)
{
	uint64_t free_bytes = 0, wanted = share_of(reserve, &free_bytes);

	if (wanted == 0 || free_bytes >= wanted)
		return false;
	*out_free = free_bytes;
	return true;
}
