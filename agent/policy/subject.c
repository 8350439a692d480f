/* SPDX-License-Identifier: ISC */
#include "subject.h"

#include <stdio.h>
#include <string.h>

#define UNIT_MAX 255

static const char *const attribute_names[] = {
	[ATTRIBUTE_SECRET] = "secret",
	[ATTRIBUTE_USER] = "user",
	[ATTRIBUTE_GROUP] = "group",
	[ATTRIBUTE_UNIT] = "unit",
	[ATTRIBUTE_EXE] = "exe",
	[ATTRIBUTE_LABEL] = "label",
	[ATTRIBUTE_SOCKET] = "socket",
	[ATTRIBUTE_HOURS] = "hours",
	[ATTRIBUTE_DAYS] = "days",
	[ATTRIBUTE_EXPIRES] = "expires",
	[ATTRIBUTE_VERB] = "verb",
	[ATTRIBUTE_NAME] = "name",
};

const char *attribute_name(enum attribute attribute)
{
	return attribute_names[attribute];
}

const struct fact *subject_fact(const struct subject *subject, enum attribute attribute)
{
	switch (attribute) {
	case ATTRIBUTE_UNIT:
		return &subject->unit;
	case ATTRIBUTE_EXE:
		return &subject->exe;
	case ATTRIBUTE_LABEL:
		return &subject->label;
	case ATTRIBUTE_SOCKET:
		return &subject->socket;
	default:
		return NULL;
	}
}

static bool is_unit_byte(char byte)
{
	return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
	       (byte >= '0' && byte <= '9') || (byte != '\0' && strchr(":-_.\\@", byte) != NULL);
}

static bool ends_in(const char *name, size_t size, const char *suffix)
{
	size_t suffix_size = strlen(suffix);

	return size > suffix_size && memcmp(name + size - suffix_size, suffix, suffix_size) == 0;
}

static bool is_slice(const char *name, size_t size)
{
	return ends_in(name, size, ".slice");
}

static bool has_suffix(const char *name, size_t size)
{
	static const char *const suffixes[] = {
		".service", ".scope", ".slice", ".socket", ".mount", ".swap"};

	for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++)
		if (ends_in(name, size, suffixes[i]))
			return true;
	return false;
}

/* Stars only behind the first '@' and before the last '.', never two in a row. */
static bool is_unit(const char *name, size_t size, bool with_stars)
{
	const char *at = memchr(name, '@', size);
	const char *dot = memrchr(name, '.', size);

	if (size > UNIT_MAX || !has_suffix(name, size) || name[0] == '@')
		return false;
	if (at != NULL && at + 1 == dot)
		return false;
	for (size_t i = 0; i < size; i++) {
		bool in_instance = at != NULL && name + i > at && name + i < dot;

		if (name[i] == '*' ? !with_stars || !in_instance || name[i - 1] == '*'
				   : !is_unit_byte(name[i]))
			return false;
	}
	return true;
}

bool unit_name_is_valid(const char *name, size_t size)
{
	return is_unit(name, size, false);
}

bool unit_pattern_is_valid(const char *pattern, size_t size)
{
	if (size > 5 && memcmp(pattern, "user:", 5) == 0) {
		pattern += 5;
		size -= 5;
	}
	return is_unit(pattern, size, true) &&
	       !(size == strlen("-.slice") && memcmp(pattern, "-.slice", size) == 0);
}

/* Back to the last star on a mismatch: nothing before it can match any better. */
bool unit_pattern_matches(const char *pattern, const char *name, size_t name_size)
{
	const char *end = name + name_size, *star = NULL, *resume = NULL;

	while (name < end) {
		if (*pattern == '*') {
			star = pattern++;
			resume = name;
		} else if (*pattern == *name) {
			pattern++;
			name++;
		} else if (star != NULL) {
			pattern = star + 1;
			name = ++resume;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return *pattern == '\0';
}

struct names {
	char *text;
	size_t size, used;
	bool is_full;
};

static void put(struct names *names, const char *prefix, const char *name, size_t name_size)
{
	int length = snprintf(names->text + names->used, names->size - names->used, "%s%s%.*s",
		names->used > 0 ? " " : "", prefix, (int)name_size, name);

	if (length < 0 || (size_t)length >= names->size - names->used)
		names->is_full = true;
	else
		names->used += (size_t)length;
}

/* cg_escape() of systemd puts a '_' before what the kernel might take for its own. */
static const char *unescape(const char *name, size_t *size)
{
	if (*size > 1 && name[0] == '_') {
		(*size)--;
		return name + 1;
	}
	return name;
}

/* The slices from `from` up to `to`, the innermost first. */
static void put_slices(struct names *names, const char *prefix, const char *from, const char *to)
{
	while (to > from) {
		const char *start = to - 1;
		const char *slash = memrchr(from, '/', (size_t)(start - from));
		const char *name = slash != NULL ? slash + 1 : from;
		size_t size = (size_t)(start - name);

		name = unescape(name, &size);
		put(names, prefix, name, size);
		to = slash != NULL ? slash + 1 : from;
	}
}

/* One manager's part of the path: its slices, then its unit. *at moves behind that. */
static bool take_unit(
	struct names *names, const char *prefix, const char **at, const char **out_unit)
{
	const char *from = *at, *segment = *at;

	while (*segment != '\0') {
		size_t length = strcspn(segment, "/"), size = length;
		const char *name = unescape(segment, &size);

		*at = segment + length + (segment[length] == '/');
		if (!unit_name_is_valid(name, size))
			return false;
		if (!is_slice(name, size)) {
			put(names, prefix, name, size);
			put_slices(names, prefix, from, segment);
			*out_unit = name;
			return !names->is_full;
		}
		segment = *at;
	}
	return false;
}

static bool is_user_manager(const char *unit)
{
	size_t size = strcspn(unit, "/");

	return strncmp(unit, "user@", 5) == 0 && ends_in(unit, size, ".service") &&
	       strspn(unit + 5, "0123456789") == size - strlen("user@.service");
}

enum mortise_status subject_unit(const char *cgroup, char *out_names, size_t size)
{
	char text[4096];
	struct names names = {.text = text, .size = sizeof text};
	const char *at = cgroup + 1, *unit = NULL;

	if (cgroup[0] != '/' || !take_unit(&names, "", &at, &unit))
		return MORTISE_REJECTED;
	if (is_user_manager(unit)) {
		size_t used = names.used;

		if (!take_unit(&names, "user:", &at, &unit))
			names.used = used;
		text[names.used] = '\0';
	}
	if (names.is_full || names.used >= size)
		return MORTISE_REJECTED;
	memcpy(out_names, text, names.used + 1);
	return MORTISE_OK;
}

static bool is_word(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (text[i] <= ' ' || text[i] > '~')
			return false;
	return size > 0;
}

/* user:role:type:level, where user and role are plain words. */
static const char *find_type(const char *label, size_t size, size_t *out_size)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789_.";
	const char *end = label + size, *at = label;

	for (int i = 0; i < 3; i++) {
		size_t length = 0;

		while (at + length < end && strchr(letters, at[length]) != NULL)
			length++;
		if (length == 0 || (at + length == end ? i < 2 : at[length] != ':'))
			return NULL;
		*out_size = length;
		if (i == 2)
			return at;
		at += length + 1;
	}
	return NULL;
}

enum mortise_status subject_label(
	const char *peersec, size_t peersec_size, char *out_names, size_t size)
{
	static const char mode[] = " (enforce)";
	size_t length = strnlen(peersec, peersec_size), type_size = 0;
	const char *type;
	int used;

	while (length > 0 && peersec[length - 1] == '\n')
		length--;
	if (ends_in(peersec, length, mode))
		length -= strlen(mode);
	if (!is_word(peersec, length) || length > 2048)
		return MORTISE_REJECTED;
	type = find_type(peersec, length, &type_size);
	if (length + (type != NULL ? type_size + 1 : 0) >= size)
		return MORTISE_REJECTED;
	used = snprintf(out_names, size, "%.*s", (int)length, peersec);
	if (type != NULL)
		(void)snprintf(
			out_names + used, size - (size_t)used, " %.*s", (int)type_size, type);
	return MORTISE_OK;
}

static enum mortise_status keep_text(const char *text, size_t length, char *out_names, size_t size)
{
	if (length == 0 || length >= size)
		return MORTISE_REJECTED;
	memcpy(out_names, text, length + 1);
	return MORTISE_OK;
}

/* Single blanks between names. */
static enum mortise_status join_words(const char *text, char *out_names, size_t size)
{
	char joined[SUBJECT_NAMES_MAX];
	struct names names = {.text = joined, .size = sizeof joined};

	joined[0] = '\0';
	for (const char *at = text + strspn(text, " \t"); *at != '\0'; at += strspn(at, " \t")) {
		size_t length = strcspn(at, " \t");

		put(&names, "", at, length);
		at += length;
	}
	joined[names.used] = '\0';
	return names.is_full ? MORTISE_REJECTED : keep_text(joined, names.used, out_names, size);
}

enum mortise_status subject_suppose(
	enum attribute attribute, const char *text, char *out_names, size_t size)
{
	if (attribute == ATTRIBUTE_LABEL)
		return subject_label(text, strlen(text), out_names, size);
	if (attribute == ATTRIBUTE_UNIT && text[0] == '/')
		return subject_unit(text, out_names, size);
	if (attribute == ATTRIBUTE_UNIT)
		return join_words(text, out_names, size);
	return keep_text(text, strlen(text), out_names, size);
}
