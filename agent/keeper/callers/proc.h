/* SPDX-License-Identifier: ISC */
/*
 * proc: small files of /proc/PID, read whole.
 * Any user can keep every look-up below a /proc/PID waiting for as long as he likes, and no signal
 * ends that: he reads the directory into memory that a file system of his own never delivers, and
 * makes a name there. So from proc_never_wait() on only names are looked up that the kernel has in
 * its memory (openat2(2), RESOLVE_CACHED); to get them there is for the witness, who can be
 * replaced.
 */
#ifndef MORTISE_PROC_H
#define MORTISE_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "status.h"

/* From now on. false: this kernel can't (before Linux 5.16), and look-ups may wait as before. */
bool proc_never_wait(void);

/* Is a name of /proc/PID in the kernel's memory? */
bool proc_knows(uint32_t pid, const char *name);

/*
 * Up to capacity bytes of /proc/PID/name, all there are. MORTISE_NOT_FOUND; MORTISE_BUSY: its name
 * is not in the kernel's memory.
 */
enum mortise_status proc_read(
	uint32_t pid, const char *name, char *text, size_t capacity, size_t *out_size) MUST_USE;
/* Likewise what one read gives, up to capacity bytes: of a file of one line, all of it. */
enum mortise_status proc_read_start(
	uint32_t pid, const char *name, char *text, size_t capacity, size_t *out_size) MUST_USE;

#endif
