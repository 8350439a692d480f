/* SPDX-License-Identifier: ISC */
#include "policy_first.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "output.h"
#include "policy_change.h"

#define FILE_NAME "10-first.policy" /* as the store calls it, too */

/* Its own are nobody else's to begin. */
static bool has_policy(int directory)
{
	int copy = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *entries = copy >= 0 ? fdopendir(copy) : NULL;
	struct dirent *entry;
	bool found = entries == NULL;

	while (entries != NULL && (entry = readdir(entries)) != NULL)
		found |= policy_is_file_name(entry->d_name);
	if (entries != NULL)
		(void)closedir(entries);
	else if (copy >= 0)
		(void)close(copy);
	return found;
}

static bool write_file(int directory, const void *text, size_t size)
{
	int fd = openat(
		directory, FILE_NAME, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);

	if (fd < 0)
		return false;
	bool is_written = output_write(fd, text, size) == MORTISE_OK && fsync(fd) == 0;
	if (close(fd) == 0 && is_written)
		return true;
	(void)unlinkat(directory, FILE_NAME, 0);
	return false;
}

const char *policy_first_keep(const struct cli *cli, const void *text, size_t size)
{
	bool is_hosts_own = strcmp(cli->agent->socket_path, CLIENT_SOCKET_DEFAULT) == 0;
	int directory =
		is_hosts_own ? open(POLICY_DIRECTORY, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	bool is_kept = directory >= 0 && size > 0 && !has_policy(directory) &&
		       write_file(directory, text, size);

	if (directory >= 0)
		(void)close(directory);
	return is_kept ? POLICY_DIRECTORY "/" FILE_NAME : NULL;
}
