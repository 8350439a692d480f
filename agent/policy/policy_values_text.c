/* SPDX-License-Identifier: ISC */
/* Values that are texts: paths of secrets, units, executables, labels, listeners. */
#include "policy_values.h"

#include <string.h>

#include "path.h"

#define EXE_MAX    1024
#define LABEL_MAX  1024
#define SOCKET_MAX 64

typedef bool is_value(const char *text, size_t size);

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
	return size <= LABEL_MAX && memchr(text, '*', size) == NULL;
}

static bool is_socket(const char *text, size_t size)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789._-";

	return size <= SOCKET_MAX && strspn(text, letters) >= size &&
	       strchr("._-", text[0]) == NULL;
}

static enum mortise_status read_texts(struct parsing *parsing, const struct inifile_entry *entry,
	struct condition *condition, is_value *is_valid, int most, const char *expected,
	struct inifile_error *error)
{
	struct word word = {0};
	uint32_t count;
	char *texts, *at;

	TRY(policy_values_count(entry, &count, error));
	at = texts = policy_keep(parsing->policy, strlen(entry->value) + 1);
	if (texts == NULL)
		return MORTISE_BUSY;
	while (policy_values_next(entry, &word)) {
		if (!is_valid(word.at, (size_t)word.size))
			return policy_values_refuse_one(entry, &word, most, expected, error);
		memcpy(at, word.at, (size_t)word.size);
		at += word.size + 1;
	}
	condition->texts = texts;
	condition->value_count = count;
	return MORTISE_OK;
}

enum mortise_status policy_values_secret(
	struct parsing *parsing, const struct inifile_entry *entry, struct inifile_error *error)
{
	return read_texts(parsing, entry, policy_values_condition(parsing, entry, ATTRIBUTE_SECRET),
		pattern_is_valid, MORTISE_PATH_MAX,
		"a secret's path or a pattern such as prod/db/*", error);
}

enum mortise_status policy_values_unit(
	struct parsing *parsing, const struct inifile_entry *entry, struct inifile_error *error)
{
	return read_texts(parsing, entry, policy_values_condition(parsing, entry, ATTRIBUTE_UNIT),
		unit_pattern_is_valid, POLICY_UNIT_MAX,
		"a unit such as backup.service, backup@*.service, batch.slice or "
		"user:sync.service",
		error);
}

enum mortise_status policy_values_exe(
	struct parsing *parsing, const struct inifile_entry *entry, struct inifile_error *error)
{
	return read_texts(parsing, entry, policy_values_condition(parsing, entry, ATTRIBUTE_EXE),
		is_exe, EXE_MAX, "the absolute path of a program, without patterns", error);
}

enum mortise_status policy_values_label(
	struct parsing *parsing, const struct inifile_entry *entry, struct inifile_error *error)
{
	return read_texts(parsing, entry, policy_values_condition(parsing, entry, ATTRIBUTE_LABEL),
		is_label, LABEL_MAX, "a security label or an SELinux type, without patterns",
		error);
}

enum mortise_status policy_values_socket(
	struct parsing *parsing, const struct inifile_entry *entry, struct inifile_error *error)
{
	return read_texts(parsing, entry, policy_values_condition(parsing, entry, ATTRIBUTE_SOCKET),
		is_socket, SOCKET_MAX, "a listener's name: main, or NAME of [socket NAME]", error);
}

enum mortise_status policy_values_credential_secret(
	struct parsing *parsing, const struct inifile_entry *entry, struct inifile_error *error)
{
	struct word word;

	TRY(policy_values_one(entry, &word, error));
	return read_texts(parsing, entry, policy_values_condition(parsing, entry, ATTRIBUTE_SECRET),
		path_is_valid, MORTISE_PATH_MAX, "the path of one secret", error);
}

enum mortise_status policy_values_credential_id(
	struct parsing *parsing, const struct inifile_entry *entry, struct inifile_error *error)
{
	struct word word;

	TRY(policy_values_one(entry, &word, error));
	if (word.size > POLICY_NAME_MAX || memchr(word.at, '/', (size_t)word.size) != NULL ||
		word.at[0] == '.')
		return policy_values_refuse_one(
			entry, &word, POLICY_NAME_MAX, "a credential's id", error);
	parsing->draft.id = policy_keep_text(parsing->policy, word.at, (size_t)word.size);
	return parsing->draft.id != NULL ? MORTISE_OK : MORTISE_BUSY;
}
