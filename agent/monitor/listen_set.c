/* SPDX-License-Identifier: ISC */
#include "listen_set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAIN_NAME "main"

/* A number of the environment, as a whole; -1 if it is anything else. */
static long number_in(const char *variable)
{
	const char *text = getenv(variable);
	char *end;
	long number;

	if (text == NULL || *text < '0' || *text > '9')
		return -1;
	errno = 0;
	number = strtol(text, &end, 10);
	return errno == 0 && *end == '\0' ? number : -1;
}

bool listen_was_passed(void)
{
	return number_in("LISTEN_PID") == (long)getpid() && getenv("LISTEN_FDS") != NULL;
}

size_t listen_set_passed(void)
{
	long count = listen_was_passed() ? number_in("LISTEN_FDS") : -1;

	return count > 0 && count <= PROCESS_LISTENERS_MAX ? (size_t)count : 0;
}

/* The name of the descriptor with that index; false if there is none. */
static bool name_at(size_t index, char name[PROCESS_NAME_MAX + 1])
{
	const char *at = getenv("LISTEN_FDNAMES");

	for (; at != NULL && index > 0; index--) {
		at = strchr(at, ':');
		at = at != NULL ? at + 1 : NULL;
	}
	if (at == NULL)
		return false;
	size_t size = strcspn(at, ":");
	if (size == 0 || size > PROCESS_NAME_MAX)
		return false;
	memcpy(name, at, size);
	name[size] = '\0';
	return true;
}

static bool is_main_name(const char *name)
{
	return strcmp(name, MAIN_NAME) == 0 || strcmp(name, "mortise.socket") == 0 ||
	       strcmp(name, "mortised.socket") == 0;
}

/* Which of the wanted ones a passed descriptor is; count: none. */
static size_t find_wanted(const struct listen_wanted *wanted, size_t count, const char *name)
{
	size_t i = 0;

	if (is_main_name(name))
		name = MAIN_NAME;
	while (i < count && strcmp(wanted[i].name, name) != 0)
		i++;
	return i;
}

static enum mortise_status adopt(const struct listen_wanted *wanted, size_t index, size_t passed,
	struct listen_set *set, struct refusal *out_refusal)
{
	char name[PROCESS_NAME_MAX + 1] = MAIN_NAME;
	bool has_names = getenv("LISTEN_FDNAMES") != NULL;

	if (!name_at(index, name) && (has_names || passed > 1))
		return refuse(MORTISE_REJECTED, out_refusal,
			"LISTEN_FDNAMES: descriptor %zu of %zu has no name "
			"(FileDescriptorName= in the .socket unit)",
			index + 1, passed);
	size_t place = find_wanted(wanted, set->count, name);
	if (place == set->count)
		return refuse(MORTISE_REJECTED, out_refusal,
			"LISTEN_FDNAMES: expected main, credentials or the NAME of a [socket "
			"NAME], "
			"not '%s'",
			name);
	if (set->listeners[place].fd >= 0)
		return refuse(MORTISE_REJECTED, out_refusal, "LISTEN_FDNAMES: two sockets are '%s'",
			wanted[place].name);
	return listen_adopt(LISTEN_FIRST_FD + (int)index, wanted[place].access.is_stream,
		&set->listeners[place], out_refusal);
}

static enum mortise_status adopt_all(
	const struct listen_wanted *wanted, struct listen_set *set, struct refusal *out_refusal)
{
	size_t passed = listen_set_passed();

	if (!listen_was_passed())
		return MORTISE_OK;
	if (passed == 0)
		return refuse(MORTISE_REJECTED, out_refusal,
			"LISTEN_FDS=%.16s: expected 1 to %d sockets", getenv("LISTEN_FDS"),
			PROCESS_LISTENERS_MAX);
	for (size_t i = 0; i < passed; i++)
		TRY(adopt(wanted, i, passed, set, out_refusal));
	return MORTISE_OK;
}

static enum mortise_status make_others(const struct listen_wanted *wanted,
	const struct owner *owner, struct listen_set *set, struct refusal *out_refusal)
{
	for (size_t i = 0; i < set->count; i++) {
		if (set->listeners[i].fd < 0 && !wanted[i].is_only_passed)
			TRY(listen_open(wanted[i].path, &wanted[i].access, owner,
				&set->listeners[i], out_refusal));
	}
	return MORTISE_OK;
}

enum mortise_status listen_set_open(const struct listen_wanted *wanted, size_t count,
	const struct owner *owner, struct listen_set *out_set, struct refusal *out_refusal)
{
	CLEANUP(listen_set_close) struct listen_set set = {.count = count};

	for (size_t i = 0; i < count; i++)
		set.listeners[i] = (struct listener){.fd = -1, .directory_fd = -1};
	TRY(adopt_all(wanted, &set, out_refusal));
	TRY(make_others(wanted, owner, &set, out_refusal));
	*out_set = set;
	set.count = 0;
	return MORTISE_OK;
}

void listen_set_close(struct listen_set *set)
{
	for (size_t i = 0; i < set->count; i++)
		listen_close(&set->listeners[i]);
	set->count = 0;
}
