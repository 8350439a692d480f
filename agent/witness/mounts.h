/* SPDX-License-Identifier: ISC */
/*
 * mounts: does a path lead over a file system that a program serves (FUSE)? Whoever serves one may
 * never answer, so the path is judged by the list of mounts, before anybody walks it.
 */
#ifndef MORTISE_MOUNTS_H
#define MORTISE_MOUNTS_H

#include <stddef.h>

#include "status.h"

enum mount_verdict {
	MOUNT_ELSEWHERE,
	MOUNT_ON_THE_WAY,
	MOUNT_SERVED, /* on the way, and by a program */
	MOUNT_UNREADABLE,
};

/* One line of /proc/PID/mountinfo (proc(5)), without its end; path is absolute. Pure. */
enum mount_verdict mount_judge(const char *line, size_t size, const char *path);

/*
 * fd: an open mountinfo, read from its beginning. MORTISE_OK: nothing on the way is served by a
 * program. MORTISE_DENIED: something is. MORTISE_IO: it can't be read, or not be understood.
 */
enum mortise_status mounts_check(int fd, const char *path) MUST_USE;

#endif
