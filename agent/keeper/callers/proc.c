/* SPDX-License-Identifier: ISC */
#include "proc.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A mount or a rename anywhere on the host takes a look-up in memory by surprise. */
#define TRIES 64

static bool never_waits;

static int open_cached(const char *path, int flags, int tries)
{
	struct open_how how = {.flags = (unsigned)flags | O_CLOEXEC, .resolve = RESOLVE_CACHED};
	long descriptor = -1;

	for (int i = 0; i < tries; i++) {
		descriptor = syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how);
		if (descriptor >= 0 || errno != EAGAIN)
			break;
	}
	return (int)descriptor;
}

bool proc_never_wait(void)
{
	static const char self[] = "/proc/self/status";
	int known = open(self, O_RDONLY | O_CLOEXEC), cached = open_cached(self, O_RDONLY, TRIES);

	never_waits = known >= 0 && cached >= 0;
	if (known >= 0)
		close(known);
	if (cached >= 0)
		close(cached);
	return never_waits;
}

bool proc_knows(uint32_t pid, const char *name)
{
	char path[64];

	(void)snprintf(path, sizeof path, "/proc/%u/%s", pid, name);
	int descriptor = open_cached(path, O_PATH, 1);
	if (descriptor >= 0)
		close(descriptor);
	return descriptor >= 0;
}

static enum mortise_status open_name(uint32_t pid, const char *name, int *out_descriptor)
{
	char path[64];

	(void)snprintf(path, sizeof path, "/proc/%u/%s", pid, name);
	*out_descriptor =
		never_waits ? open_cached(path, O_RDONLY, TRIES) : open(path, O_RDONLY | O_CLOEXEC);
	if (*out_descriptor < 0)
		return errno == EAGAIN ? MORTISE_BUSY : MORTISE_NOT_FOUND;
	return MORTISE_OK;
}

static ssize_t read_more(int descriptor, char *text, size_t capacity)
{
	ssize_t got;

	do
		got = read(descriptor, text, capacity);
	while (got < 0 && errno == EINTR);
	return got;
}

enum mortise_status proc_read(
	uint32_t pid, const char *name, char *text, size_t capacity, size_t *out_size)
{
	size_t used = 0;
	ssize_t got = -1;
	int descriptor = -1;

	TRY(open_name(pid, name, &descriptor));
	while (used < capacity && (got = read_more(descriptor, text + used, capacity - used)) > 0)
		used += (size_t)got;
	close(descriptor);
	if (got != 0)
		return MORTISE_NOT_FOUND;
	*out_size = used;
	return MORTISE_OK;
}

enum mortise_status proc_read_start(
	uint32_t pid, const char *name, char *text, size_t capacity, size_t *out_size)
{
	int descriptor = -1;

	TRY(open_name(pid, name, &descriptor));
	ssize_t got = read_more(descriptor, text, capacity);
	close(descriptor);
	if (got < 0)
		return MORTISE_NOT_FOUND;
	*out_size = (size_t)got;
	return MORTISE_OK;
}
