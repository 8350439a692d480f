/* SPDX-License-Identifier: ISC */
#include "rotate_hook.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

struct child_end rotate_hook_run(
	const struct cli *cli, const struct rotate_hook *hook, const char *step, int pending_fd)
{
	char *const arguments[] = {
		(char *)(uintptr_t)hook->file,
		(char *)(uintptr_t)step,
		(char *)(uintptr_t)hook->path,
		NULL,
	};
	struct child child = {
		.arguments = arguments,
		.given = {{"MORTISE_PENDING_FD", NULL, pending_fd},
			{"MORTISE_CURRENT_FD", NULL, hook->current_fd},
			{"MORTISE_SOCKET", cli->socket_path, -1}},
		.given_count = cli->socket_path != NULL ? 3 : 2,
		.output_to_errors = true,
		.core = cli->core_before,
	};

	return child_run(&child);
}
