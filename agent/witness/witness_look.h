/* SPDX-License-Identifier: ISC */
/*
 * witness_look: which program a process runs, and whether it is that file here, too. Asks nothing
 * of a file system that a caller may have chosen: what it is told of the program's file is what the
 * kernel has in its memory (AT_STATX_DONT_SYNC), and the path here is judged by its mounts before
 * it is walked, one name after another and over no symbolic link.
 */
#ifndef MORTISE_WITNESS_LOOK_H
#define MORTISE_WITNESS_LOOK_H

#include <stddef.h>
#include <stdint.h>

#include "status.h"

#define WITNESS_PATH_SIZE 4096

/*
 * Has the kernel look up what the keeper reads of /proc/PID: then it is in its memory. Whoever the
 * process belongs to can keep this waiting for as long as he likes.
 */
void witness_look_up(uint32_t pid);

/*
 * The path of the program that pid runs, if that path leads to this very file here too: in a
 * mount namespace of his own anybody can put any file at any path. mounts: an open
 * /proc/self/mountinfo. MORTISE_NOT_FOUND.
 */
enum mortise_status witness_look(int mounts, uint32_t pid, char out_path[WITNESS_PATH_SIZE])
	MUST_USE;

/*
 * Does a path lead over a file system that a program serves (FUSE)? Whoever serves one may never
 * answer, so the path is judged by the list of mounts, before anybody walks it.
 */

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
