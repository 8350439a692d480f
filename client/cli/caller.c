/* SPDX-License-Identifier: ISC */
#include "caller.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "accounts.h"

#define CGROUP_TEXT_SIZE 4096
#define OVERFLOW_ID      65534

static bool has_ending(const char *text, size_t size, const char *ending)
{
	size_t ending_size = strlen(ending);

	return size > ending_size && memcmp(text + size - ending_size, ending, ending_size) == 0;
}

/* The first part of the cgroup's path that is no slice. */
static void unit_of_path(const char *path, char *out_unit, size_t unit_size)
{
	while (*path == '/') {
		size_t size = strcspn(++path, "/\n");

		if (has_ending(path, size, ".service") || has_ending(path, size, ".scope")) {
			(void)snprintf(out_unit, unit_size, "%.*s", (int)size, path);
			return;
		}
		if (!has_ending(path, size, ".slice"))
			return;
		path += size;
	}
}

void caller_unit(const char *cgroup, char *out_unit, size_t unit_size)
{
	out_unit[0] = '\0';
	for (const char *line = cgroup; line != NULL && *line != '\0';) {
		const char *named = strstr(line, ":name=systemd:"), *end = strchr(line, '\n');

		if (strncmp(line, "0::", 3) == 0)
			unit_of_path(line + 3, out_unit, unit_size);
		else if (named != NULL && (end == NULL || named < end))
			unit_of_path(named + 14, out_unit, unit_size);
		if (out_unit[0] != '\0')
			return;
		line = end != NULL ? end + 1 : NULL;
	}
}

static void read_cgroup(char text[CGROUP_TEXT_SIZE])
{
	int fd = open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC);
	ssize_t got = fd >= 0 ? read(fd, text, CGROUP_TEXT_SIZE - 1) : 0;

	text[got > 0 ? got : 0] = '\0';
	if (fd >= 0)
		(void)close(fd);
}

bool caller_is_telling(const char *units)
{
	return units[0] != '\0' && strncmp(units, "user@", 5) != 0 &&
	       strncmp(units, "session-", 8) != 0 && strncmp(units, "init.scope", 10) != 0;
}

struct caller caller_find(void)
{
	uid_t uid = geteuid();
	const struct passwd *entry = accounts_user_of(uid);
	char cgroup[CGROUP_TEXT_SIZE], unit[96];
	struct caller caller = {.is_nobody = uid == OVERFLOW_ID};

	read_cgroup(cgroup);
	caller_unit(cgroup, unit, sizeof unit);
	if (!caller_is_telling(unit))
		unit[0] = '\0';
	if (entry != NULL && strlen(entry->pw_name) < sizeof caller.user)
		(void)snprintf(caller.user, sizeof caller.user, "%s", entry->pw_name);
	else
		(void)snprintf(caller.user, sizeof caller.user, "%u", (unsigned)uid);
	(void)snprintf(caller.text, sizeof caller.text, "%s%suid %u%s%s",
		entry != NULL ? caller.user : "", entry != NULL ? ", " : "", (unsigned)uid,
		unit[0] != '\0' ? ", unit " : "", unit);
	return caller;
}
