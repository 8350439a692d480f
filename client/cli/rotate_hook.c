/* SPDX-License-Identifier: ISC */
#include "rotate_hook.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "memory_file.h"

/* In a directory with the sticky bit, others can't replace what is not theirs. */
static bool is_closed(const struct stat *facts)
{
	bool is_sticky = S_ISDIR(facts->st_mode) && (facts->st_mode & S_ISVTX) != 0;

	return (facts->st_uid == 0 || facts->st_uid == geteuid()) &&
	       ((facts->st_mode & (S_IWGRP | S_IWOTH)) == 0 || is_sticky ||
		       S_ISLNK(facts->st_mode));
}

/* The file and each directory above it, as the name spells them. */
static bool is_way_closed(const char *file)
{
	char prefix[PATH_MAX];
	size_t size = strlen(file);
	struct stat facts;

	if (size >= sizeof prefix)
		return false;
	memcpy(prefix, file, size + 1);
	for (size_t end = size; end > 0; end--) {
		if (file[end] != '/' && file[end] != '\0')
			continue;
		prefix[end] = '\0';
		if (lstat(prefix, &facts) != 0 || !is_closed(&facts))
			return false;
	}
	return lstat("/", &facts) == 0 && is_closed(&facts);
}

bool rotate_hook_check(const char *file, char *out_wrong, size_t size)
{
	char resolved[PATH_MAX];
	struct stat facts;
	const char *wrong = NULL;

	if (file[0] != '/')
		wrong = "is not an absolute path";
	else if (realpath(file, resolved) == NULL || stat(resolved, &facts) != 0)
		wrong = strerror(errno);
	else if (!S_ISREG(facts.st_mode) || access(resolved, X_OK) != 0)
		wrong = "is not an executable file";
	else if (!is_way_closed(file) || !is_way_closed(resolved))
		wrong = "could have been put there by others: it and each directory above it must "
			"be root's or yours, and not writable by group or others";
	if (wrong != NULL)
		(void)snprintf(out_wrong, size, "the hook %s: %s", file, wrong);
	return wrong == NULL;
}

/* A descriptor that is given, and its path; nothing of one that is not there. */
static void give(struct child *child, const char *fd_name, const char *path_name, int fd,
	char path[MEMORY_FILE_PATH_SIZE])
{
	if (fd >= 0)
		memory_file_path(fd, path);
	child->given[child->given_count++] = (struct child_given){fd_name, NULL, fd};
	child->given[child->given_count++] =
		(struct child_given){path_name, fd >= 0 ? path : NULL, -1};
}

struct child_end rotate_hook_run(
	const struct cli *cli, const struct rotate_hook *hook, const char *step, int pending_fd)
{
	char *const arguments[] = {
		(char *)(uintptr_t)hook->file,
		(char *)(uintptr_t)step,
		(char *)(uintptr_t)hook->path,
		NULL,
	};
	char pending[MEMORY_FILE_PATH_SIZE], current[MEMORY_FILE_PATH_SIZE];
	struct child child = {
		.arguments = arguments,
		.output_to_errors = true,
		.core = cli->core_before,
	};

	give(&child, "MORTISE_PENDING_FD", "MORTISE_PENDING", pending_fd, pending);
	give(&child, "MORTISE_CURRENT_FD", "MORTISE_CURRENT", hook->current_fd, current);
	if (cli->socket_path != NULL)
		child.given[child.given_count++] =
			(struct child_given){"MORTISE_SOCKET", cli->socket_path, -1};
	return child_run(&child);
}
