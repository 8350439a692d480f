/* SPDX-License-Identifier: ISC */
#include "cgroup.h"

#include <stdint.h>
#include <string.h>

#include "subject.h"

#define LEGACY_NAME "name=systemd"
#define PATH_SIZE   4096

/* The paths in the two hierarchies that systemd may keep; "" where it is not listed. */
struct places {
	char unified[PATH_SIZE];
	char legacy[PATH_SIZE];
};

static enum mortise_status take_place(const char *path, size_t size, char place[PATH_SIZE])
{
	if (place[0] != '\0' || size == 0 || path[0] != '/' || size >= PATH_SIZE)
		return MORTISE_REJECTED;
	memcpy(place, path, size);
	place[size] = '\0';
	return MORTISE_OK;
}

/* "0::/system.slice/a.service", "9:name=systemd:/...", "4:cpu,cpuacct:/...": cgroups(7). */
static enum mortise_status read_line(const char *line, const char *end, struct places *places)
{
	const char *controllers = memchr(line, ':', (size_t)(end - line));
	const char *path;
	size_t id_size, controllers_size;

	if (controllers == NULL)
		return MORTISE_REJECTED;
	id_size = (size_t)(controllers++ - line);
	path = memchr(controllers, ':', (size_t)(end - controllers));
	if (path == NULL || id_size == 0)
		return MORTISE_REJECTED;
	controllers_size = (size_t)(path++ - controllers);
	if (controllers_size == 0)
		return id_size == 1 && line[0] == '0'
			       ? take_place(path, (size_t)(end - path), places->unified)
			       : MORTISE_REJECTED;
	if (controllers_size == strlen(LEGACY_NAME) &&
		memcmp(controllers, LEGACY_NAME, controllers_size) == 0)
		return take_place(path, (size_t)(end - path), places->legacy);
	return MORTISE_OK;
}

/* The kernel lets no cgroup's name hold a newline: a line is a line. */
static enum mortise_status read_lines(const char *text, size_t size, struct places *places)
{
	const char *line = text, *end = text + size;

	if (size == 0 || size > CGROUP_TEXT_MAX || memchr(text, '\0', size) != NULL)
		return MORTISE_REJECTED;
	while (line < end) {
		const char *newline = memchr(line, '\n', (size_t)(end - line));

		if (newline == NULL)
			return MORTISE_REJECTED;
		TRY(read_line(line, newline, places));
		line = newline + 1;
	}
	return MORTISE_OK;
}

static bool is_kept(const char *place)
{
	return place[0] != '\0' && strcmp(place, "/") != 0;
}

enum mortise_status cgroup_read(const char *text, size_t size, struct cgroup_unit *out_unit)
{
	struct places places = {{""}, {""}};
	char names[CGROUP_NAMES_MAX], legacy[CGROUP_NAMES_MAX];
	bool is_unified;

	TRY(read_lines(text, size, &places));
	is_unified = is_kept(places.unified);
	if (!is_unified && !is_kept(places.legacy))
		return MORTISE_REJECTED;
	TRY(subject_unit(is_unified ? places.unified : places.legacy, names, sizeof names));
	if (is_unified && is_kept(places.legacy)) {
		TRY(subject_unit(places.legacy, legacy, sizeof legacy));
		if (strcmp(names, legacy) != 0)
			return MORTISE_REJECTED;
	}
	memcpy(out_unit->names, names, sizeof names);
	out_unit->is_unified = is_unified;
	return MORTISE_OK;
}
