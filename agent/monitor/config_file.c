/* SPDX-License-Identifier: ISC */
/* mortised.conf as a file: who may write it, and its text. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"
#include "inifile.h"

#define FILE_SIZE_MAX 1048576

static enum mortise_status refuse_file(
	const char *path, const char *fault, struct config_error *out_error)
{
	struct inifile_error error;
	enum mortise_status status = inifile_refuse(&error, 0, 0, "%s", fault);

	inifile_describe(path, &error, out_error->text, sizeof out_error->text);
	return status;
}

/* Whoever may write this file chooses the store, the socket and the hardware. */
static enum mortise_status check_file(int fd, const char *path, struct config_error *out_error)
{
	struct stat info;

	if (fstat(fd, &info) != 0)
		return MORTISE_IO;
	if (!S_ISREG(info.st_mode))
		return refuse_file(path, "expected a regular file", out_error);
	if (info.st_uid != 0 && info.st_uid != geteuid())
		return refuse_file(path,
			"expected root or the agent's own user as the file's owner; run: chown "
			"root",
			out_error);
	if (info.st_mode & (S_IWGRP | S_IWOTH))
		return refuse_file(path,
			"others than the owner may write this file; run: chmod go-w", out_error);
	return MORTISE_OK;
}

/* Up to size bytes, fewer only at the end of the file. */
static enum mortise_status read_all(int fd, char *buffer, size_t size, size_t *out_size)
{
	size_t filled = 0;

	while (filled < size) {
		ssize_t got = read(fd, buffer + filled, size - filled);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return MORTISE_IO;
		if (got == 0)
			break;
		filled += (size_t)got;
	}
	*out_size = filled;
	return MORTISE_OK;
}

static void close_file(const int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
}

static void free_text(char **text)
{
	free(*text);
}

enum mortise_status config_load(
	const char *path, struct config *out_config, struct config_error *out_error)
{
	CLEANUP(close_file) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	CLEANUP(free_text) char *text = NULL;
	size_t size;

	if (fd < 0)
		return errno == ENOENT ? MORTISE_NOT_FOUND : MORTISE_IO;
	TRY(check_file(fd, path, out_error));
	text = malloc(FILE_SIZE_MAX + 1);
	if (text == NULL)
		return MORTISE_BUSY;
	TRY(read_all(fd, text, FILE_SIZE_MAX + 1, &size));
	if (size > FILE_SIZE_MAX)
		return refuse_file(path, "a configuration is at most 1 MiB", out_error);
	return config_parse(path, text, size, out_config, out_error);
}
