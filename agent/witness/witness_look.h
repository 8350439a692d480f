/* SPDX-License-Identifier: ISC */
/*
 * witness_look: which program a process runs, and whether it is that file here, too. Asks nothing
 * of a file system that a caller may have chosen: what it is told of the program's file is what the
 * kernel has in its memory (AT_STATX_DONT_SYNC), and the path here is judged by its mounts before
 * it is walked, one name after another and over no symbolic link.
 */
#ifndef MORTISE_WITNESS_LOOK_H
#define MORTISE_WITNESS_LOOK_H

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

#endif
