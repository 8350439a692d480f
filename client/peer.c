/* SPDX-License-Identifier: ISC */
#include "peer.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define OVERFLOW_UID 65534 /* stands for everybody from another user namespace, so for nobody */

static bool is_closed_to_others(const char *directory, uid_t server, uid_t caller)
{
	struct stat facts;

	if (stat(directory, &facts) != 0 || !S_ISDIR(facts.st_mode))
		return false;
	if ((facts.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		return false;
	return facts.st_uid == 0 || facts.st_uid == server || facts.st_uid == caller;
}

/* The directory, and each one above it as the name spells them. */
static bool is_way_closed(const char *directory, uid_t server, uid_t caller)
{
	char prefix[PATH_MAX];
	size_t size = strlen(directory);

	if (directory[0] != '/' || size >= sizeof prefix)
		return false;
	memcpy(prefix, directory, size + 1);
	for (size_t end = size; end > 0; end--) {
		if (directory[end] != '/' && directory[end] != '\0')
			continue;
		prefix[end] = '\0';
		if (!is_closed_to_others(prefix, server, caller))
			return false;
	}
	return is_closed_to_others("/", server, caller);
}

/*
 * The way is looked at twice: as it was spelt, since a link in a directory of others may lead
 * anywhere, and as it resolves.
 */
static bool owns_directory(const char *socket_path, uid_t server, uid_t caller)
{
	char directory[PATH_MAX], resolved[PATH_MAX];
	const char *slash = strrchr(socket_path, '/');
	struct stat facts;
	size_t size;

	if (socket_path[0] != '/' || !slash)
		return false;
	size = slash == socket_path ? 1 : (size_t)(slash - socket_path);
	if (size >= sizeof directory)
		return false;
	memcpy(directory, socket_path, size);
	directory[size] = '\0';
	if (!realpath(directory, resolved) || stat(resolved, &facts) != 0)
		return false;
	return facts.st_uid == server && is_way_closed(directory, server, caller) &&
	       is_way_closed(resolved, server, caller);
}

bool peer_is_trusted(const char *socket_path, uid_t server, uid_t caller)
{
	if (server == OVERFLOW_UID)
		return false;
	return server == 0 || server == caller || owns_directory(socket_path, server, caller);
}
