/* SPDX-License-Identifier: ISC */
#include "path.h"

#include <stdint.h>
#include <string.h>

#include "mortise.h"

#define SEGMENTS_MAX 8

enum byte_class {
	FIRST = 1, /* may start a segment */
	LATER = 2, /* may follow in one */
	STAR = 4,
	SLASH = 8,
};

static const uint8_t class_of[256] = {
	['a' ... 'z'] = FIRST | LATER,
	['0' ... '9'] = FIRST | LATER,
	['.'] = LATER,
	['_'] = LATER,
	['-'] = LATER,
	['*'] = STAR,
	['/'] = SLASH,
};

static bool is_name(const char *name, size_t size, unsigned first, unsigned later)
{
	unsigned wanted = first;
	unsigned segments = 1;

	if (size > MORTISE_PATH_MAX)
		return false;
	for (size_t i = 0; i < size; i++) {
		unsigned class = class_of[(unsigned char)name[i]];

		if (class & wanted) {
			wanted = later;
		} else if (class == SLASH && wanted == later && segments < SEGMENTS_MAX) {
			wanted = first;
			segments++;
		} else {
			return false;
		}
	}
	return wanted == later;
}

bool path_is_valid(const char *path, size_t size)
{
	return is_name(path, size, FIRST, FIRST | LATER);
}

bool pattern_is_valid(const char *pattern, size_t size)
{
	return is_name(pattern, size, FIRST | STAR, FIRST | LATER | STAR) &&
	       !memmem(pattern, size, "***", 3);
}

/* reached[i]: the pattern up to here matches the first i bytes of the path. */
static bool step_byte(bool *reached, const char *path, size_t size, char byte)
{
	bool any = false;

	for (size_t i = size; i > 0; i--) {
		reached[i] = reached[i - 1] && path[i - 1] == byte;
		any |= reached[i];
	}
	reached[0] = false;
	return any;
}

static void step_star(bool *reached, const char *path, size_t size, bool across)
{
	for (size_t i = 1; i <= size; i++)
		reached[i] |= reached[i - 1] && (across || path[i - 1] != '/');
}

/* All positions at once instead of backtracking, which mixed stars would make cubic. */
static bool matches_from_star(const char *pattern, const char *path)
{
	bool reached[MORTISE_PATH_MAX + 1] = {true};
	size_t size = strnlen(path, MORTISE_PATH_MAX + 1);

	if (size > MORTISE_PATH_MAX)
		return false;
	for (; *pattern != '\0'; pattern++) {
		bool across = pattern[0] == '*' && pattern[1] == '*';

		if (*pattern == '*')
			step_star(reached, path, size, across);
		else if (!step_byte(reached, path, size, *pattern))
			return false;
		pattern += across;
	}
	return reached[size];
}

bool pattern_matches(const char *pattern, const char *path)
{
	while (*pattern != '*') {
		if (*pattern != *path)
			return false;
		if (*pattern == '\0')
			return true;
		pattern++;
		path++;
	}
	if (strcmp(pattern, "**") == 0)
		return true;
	return matches_from_star(pattern, path);
}
