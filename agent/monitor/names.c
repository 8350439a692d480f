/* SPDX-License-Identifier: ISC */
#include "names.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define ENTRY_SIZE_FIRST 4096
#define ENTRY_SIZE_MAX   (4096 * 1024) /* groups with very many members */

/* getpwnam(3): these errors, too, may mean "not found". */
static enum mortise_status judge(int error, bool found)
{
	if (found)
		return MORTISE_OK;
	if (error == 0 || error == ENOENT || error == ESRCH)
		return MORTISE_NOT_FOUND;
	return MORTISE_IO;
}

static void free_buffer(char **buffer)
{
	free(*buffer);
}

static bool is_digits(const char *name)
{
	return *name != '\0' && name[strspn(name, "0123456789")] == '\0';
}

/* UINT32_MAX is no id: to chown and setresuid it means "leave it". */
static enum mortise_status id_of_digits(const char *name, uint32_t *out_id)
{
	unsigned long long number;

	errno = 0;
	number = strtoull(name, NULL, 10);
	if (errno != 0 || number >= UINT32_MAX)
		return MORTISE_NOT_FOUND;
	*out_id = (uint32_t)number;
	return MORTISE_OK;
}

/* name: NULL asks for uid instead. */
static enum mortise_status ask_user(const char *name, uid_t uid, struct names_user *out_user)
{
	struct passwd entry, *found = NULL;
	int error = ERANGE;

	for (size_t size = ENTRY_SIZE_FIRST; error == ERANGE && size <= ENTRY_SIZE_MAX; size *= 2) {
		CLEANUP(free_buffer) char *buffer = malloc(size);

		if (buffer == NULL)
			return MORTISE_IO;
		error = name != NULL ? getpwnam_r(name, &entry, buffer, size, &found)
				     : getpwuid_r(uid, &entry, buffer, size, &found);
		if (found == NULL)
			continue;
		if (strlen(entry.pw_name) >= sizeof out_user->login)
			return MORTISE_IO;
		out_user->uid = entry.pw_uid;
		out_user->gid = entry.pw_gid;
		memcpy(out_user->login, entry.pw_name, strlen(entry.pw_name) + 1);
	}
	return judge(error, found != NULL);
}

enum mortise_status names_find_user(const char *name, struct names_user *out_user)
{
	struct names_user user = {.gid = (gid_t)-1};
	enum mortise_status status;

	if (!is_digits(name)) {
		TRY(ask_user(name, 0, &user));
	} else {
		TRY(id_of_digits(name, &user.uid));
		status = ask_user(NULL, user.uid, &user);
		if (status != MORTISE_NOT_FOUND)
			TRY(status);
	}
	*out_user = user;
	return MORTISE_OK;
}

static enum mortise_status ask_group(const char *name, gid_t *out_gid)
{
	struct group entry, *found = NULL;
	int error = ERANGE;

	for (size_t size = ENTRY_SIZE_FIRST; error == ERANGE && size <= ENTRY_SIZE_MAX; size *= 2) {
		CLEANUP(free_buffer) char *buffer = malloc(size);

		if (buffer == NULL)
			return MORTISE_IO;
		error = getgrnam_r(name, &entry, buffer, size, &found);
		if (found != NULL)
			*out_gid = entry.gr_gid;
	}
	return judge(error, found != NULL);
}

enum mortise_status names_find_group(const char *name, gid_t *out_gid)
{
	return is_digits(name) ? id_of_digits(name, out_gid) : ask_group(name, out_gid);
}

enum mortise_status names_groups(
	const struct names_user *user, gid_t *groups, size_t capacity, size_t *out_count)
{
	int count = (int)capacity;

	if (user->login[0] == '\0') {
		*out_count = 0;
		return MORTISE_OK;
	}
	if (getgrouplist(user->login, user->gid, groups, &count) < 0 || count < 0)
		return MORTISE_IO;
	*out_count = (size_t)count;
	return MORTISE_OK;
}
