/* SPDX-License-Identifier: ISC */
#include "pin_flag.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

enum mortise_status pin_flag_set(const char *directory, bool is_up)
{
	char path[PATH_MAX];
	int size, fd;

	if (directory == NULL)
		return MORTISE_OK;
	size = snprintf(path, sizeof path, "%s/" PIN_FLAG_NAME, directory);
	if (size < 0 || (size_t)size >= sizeof path) {
		errno = ENAMETOOLONG;
		return MORTISE_IO;
	}
	if (!is_up)
		return unlink(path) == 0 || errno == ENOENT ? MORTISE_OK : MORTISE_IO;
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0444);
	if (fd < 0)
		return MORTISE_IO;
	close(fd);
	return MORTISE_OK;
}
