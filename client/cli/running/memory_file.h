/* SPDX-License-Identifier: ISC */
/*
 * memory_file: a value in a file that has no name and no place on a disk: whoever inherits the
 * descriptor can read it, and nobody else. It is 0400 and the caller's. Opened by its path
 * (/proc/self/fd/N) it begins anew each time; who reads the descriptor itself moves the one
 * position that all have who inherited it.
 */
#ifndef MORTISE_CLI_MEMORY_FILE_H
#define MORTISE_CLI_MEMORY_FILE_H

#include "input.h"

#define MEMORY_FILE_PATH_SIZE 32

/* An empty one, 0600, not a standard descriptor, and closed on exec. -1 with errno. */
int memory_file_new(const char *name);

/* As whoever inherits it can open it. */
void memory_file_path(int fd, char out_path[MEMORY_FILE_PATH_SIZE]);

/* Writes the value and seals it: from now on nobody can change it. MORTISE_IO with errno. */
enum mortise_status memory_file_fill(int fd, const void *bytes, size_t size) MUST_USE;

/* What somebody wrote into it. MORTISE_INVALID: more than a value may have; MORTISE_IO. */
enum mortise_status memory_file_read(int fd, struct input *out_value) MUST_USE;

#endif
