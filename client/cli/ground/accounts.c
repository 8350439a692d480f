/* SPDX-License-Identifier: ISC */
#include "accounts.h"

#ifdef MORTISE_STATIC_CLI

#include <stdio.h>
#include <string.h>

static FILE *users, *groups; /* NULL: not open, or not there */

static void drop(FILE **file)
{
	if (*file)
		(void)fclose(*file);
	*file = NULL;
}

void accounts_end(void)
{
	drop(&users);
	drop(&groups);
}

void accounts_begin(void)
{
	accounts_end();
	users = fopen("/etc/passwd", "re");
	groups = fopen("/etc/group", "re");
}

const struct passwd *accounts_next_user(void)
{
	return users ? fgetpwent(users) : NULL;
}

const struct group *accounts_next_group(void)
{
	return groups ? fgetgrent(groups) : NULL;
}

const struct passwd *accounts_user(const char *name)
{
	const struct passwd *entry;

	accounts_begin();
	while ((entry = accounts_next_user()) && strcmp(entry->pw_name, name) != 0)
		continue;
	accounts_end();
	return entry;
}

const struct passwd *accounts_user_of(uid_t uid)
{
	const struct passwd *entry;

	accounts_begin();
	while ((entry = accounts_next_user()) && entry->pw_uid != uid)
		continue;
	accounts_end();
	return entry;
}

const struct group *accounts_group(const char *name)
{
	const struct group *entry;

	accounts_begin();
	while ((entry = accounts_next_group()) && strcmp(entry->gr_name, name) != 0)
		continue;
	accounts_end();
	return entry;
}

const struct group *accounts_group_of(gid_t gid)
{
	const struct group *entry;

	accounts_begin();
	while ((entry = accounts_next_group()) && entry->gr_gid != gid)
		continue;
	accounts_end();
	return entry;
}

#else

void accounts_end(void)
{
	endpwent();
	endgrent();
}

void accounts_begin(void)
{
	setpwent();
	setgrent();
}

const struct passwd *accounts_next_user(void)
{
	return getpwent();
}

const struct group *accounts_next_group(void)
{
	return getgrent();
}

const struct passwd *accounts_user(const char *name)
{
	return getpwnam(name);
}

const struct passwd *accounts_user_of(uid_t uid)
{
	return getpwuid(uid);
}

const struct group *accounts_group(const char *name)
{
	return getgrnam(name);
}

const struct group *accounts_group_of(gid_t gid)
{
	return getgrgid(gid);
}

#endif
