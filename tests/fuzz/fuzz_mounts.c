/* SPDX-License-Identifier: ISC */
/*
 * libFuzzer on a line of mountinfo and a path, a NUL between them: whatever they are, there is a
 * verdict; and the same line for the root judges every path by its type alone.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "witness_look.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	const uint8_t *end = memchr(bytes, '\0', size);
	char *path, *line;

	if (end == NULL || bytes[0] != '/')
		return 0;
	size_t path_size = (size_t)(end - bytes) + 1, line_size = size - path_size;
	path = strdup((const char *)bytes);
	line = malloc(line_size + 1); /* no byte behind it may be read */
	if (path == NULL || line == NULL)
		abort();
	memcpy(line, bytes + path_size, line_size);
	enum mount_verdict verdict = mount_judge(line, line_size, path);
	enum mount_verdict root = mount_judge(line, line_size, "/");
	if (verdict > MOUNT_UNREADABLE ||
		(verdict == MOUNT_UNREADABLE) != (root == MOUNT_UNREADABLE))
		abort();
	if (root != MOUNT_ELSEWHERE && root != verdict)
		abort(); /* what is on the way to the root is on every way */
	free(path);
	free(line);
	return 0;
}
