/* SPDX-License-Identifier: ISC */
#include "subject.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define UNIT_MAX   255
#define EXE_MAX    1024
#define LABEL_MAX  1024
#define SOCKET_MAX 64

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

static_assert(offsetof(struct subject, socket) ==
		      offsetof(struct subject, facts[ATTRIBUTE_SOCKET - ATTRIBUTE_FACTS]),
	"facts by name are facts by number");

const char *attribute_name(enum attribute attribute)
{
	return attribute_names[attribute];
}

const struct fact *subject_fact(const struct subject *subject, enum attribute attribute)
{
	return fact_row(attribute) ? &subject->facts[attribute - ATTRIBUTE_FACTS] : NULL;
}

static bool is_unit_byte(char byte)
{
	return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
	       (byte >= '0' && byte <= '9') || (byte != '\0' && strchr(":-_.\\@", byte));
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
	if (at && at + 1 == dot)
		return false;
	for (size_t i = 0; i < size; i++) {
		bool in_instance = at && name + i > at && name + i < dot;

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
		} else if (star) {
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
		const char *name = slash ? slash + 1 : from;
		size_t size = (size_t)(start - name);

		name = unescape(name, &size);
		put(names, prefix, name, size);
		to = slash ? slash + 1 : from;
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

		while (at + length < end && strchr(letters, at[length]))
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
	if (length + (type ? type_size + 1 : 0) >= size)
		return MORTISE_REJECTED;
	used = snprintf(out_names, size, "%.*s", (int)length, peersec);
	if (type)
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

static enum mortise_status suppose_unit(const char *text, char *out_names, size_t size)
{
	return text[0] == '/' ? subject_unit(text, out_names, size)
			      : join_words(text, out_names, size);
}

static enum mortise_status suppose_label(const char *text, char *out_names, size_t size)
{
	return subject_label(text, strlen(text), out_names, size);
}

static enum mortise_status suppose_one(const char *text, char *out_names, size_t size)
{
	return keep_text(text, strlen(text), out_names, size);
}

static bool is_exe(const char *text, size_t size)
{
	if (text[0] != '/' || size < 2 || size > EXE_MAX || text[size - 1] == '/')
		return false;
	for (size_t i = 0; i < size; i++) {
		size_t left = size - i;

		if (text[i] == '*')
			return false;
		if (text[i] != '/')
			continue;
		if (left > 1 && text[i + 1] == '/')
			return false;
		if (left > 1 && text[i + 1] == '.' && (left == 2 || text[i + 2] == '/'))
			return false;
		if (left > 2 && memcmp(text + i, "/..", 3) == 0 &&
			(left == 3 || text[i + 3] == '/'))
			return false;
	}
	return true;
}

static bool is_label(const char *text, size_t size)
{
	return size <= LABEL_MAX && !memchr(text, '*', size);
}

static bool is_socket(const char *text, size_t size)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789._-";

	return size <= SOCKET_MAX && strspn(text, letters) >= size && !strchr("._-", text[0]);
}

static const struct fact_row fact_rows[FACT_COUNT] = {
	[ATTRIBUTE_UNIT - ATTRIBUTE_FACTS] =
		{
			.is_value = unit_pattern_is_valid,
			.value_max = UNIT_MAX,
			.value_text = "a unit such as backup.service, backup@*.service, "
				      "batch.slice or user:sync.service",
			.has_patterns = true,
			.shared = "user:",
			.is_shared_prefix = true,
			.shared_text = "units of user managers, which any user can make",
			.suppose = suppose_unit,
			.supposed_text = "units, or the path of a unit's cgroup",
			.unsaid = SUBJECT_UNSAID,
		},
	[ATTRIBUTE_EXE - ATTRIBUTE_FACTS] =
		{
			.is_value = is_exe,
			.value_max = EXE_MAX,
			.value_text = "the absolute path of a program, without patterns",
			.is_single = true,
			.shared = "",
			.is_shared_prefix = true,
			.shared_text = "exe alone",
			.suppose = suppose_one,
			.supposed_text = "a program",
			.unsaid = SUBJECT_UNSAID,
		},
	[ATTRIBUTE_LABEL - ATTRIBUTE_FACTS] =
		{
			.is_value = is_label,
			.value_max = LABEL_MAX,
			.value_text = "a security label or an SELinux type, without patterns",
			.shared = "unconfined",
			.shared_text = "the label unconfined, which anybody has",
			.suppose = suppose_label,
			.supposed_text = "a label",
			.unsaid = SUBJECT_UNSAID,
		},
	[ATTRIBUTE_SOCKET - ATTRIBUTE_FACTS] =
		{
			.is_value = is_socket,
			.value_max = SOCKET_MAX,
			.value_text = "a listener's name: main, or NAME of [socket NAME]",
			.is_single = true,
			.shared = SUBJECT_SOCKET_MAIN,
			.shared_text = "socket main, which is everybody's",
			.suppose = suppose_one,
			.supposed_text = "a listener's name",
			.unsaid = SUBJECT_SOCKET_MAIN,
		},
};

const struct fact_row *fact_row(enum attribute attribute)
{
	return attribute >= ATTRIBUTE_FACTS && attribute < ATTRIBUTE_FACTS_END
		       ? &fact_rows[attribute - ATTRIBUTE_FACTS]
		       : NULL;
}

enum attribute fact_of_name(const char *name)
{
	for (unsigned i = ATTRIBUTE_FACTS; i < ATTRIBUTE_FACTS_END; i++)
		if (strcmp(attribute_names[i], name) == 0)
			return (enum attribute)i;
	return ATTRIBUTE_COUNT;
}

enum mortise_status subject_suppose(
	enum attribute attribute, const char *text, char *out_names, size_t size)
{
	return fact_row(attribute)->suppose(text, out_names, size);
}
