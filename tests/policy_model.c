/* SPDX-License-Identifier: ISC */
#include "policy_model.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const key_names[MODEL_KEYS] = {"allow", "deny", "secret", "user", "group",
	"unit", "exe", "label", "socket", "hours", "days", "expires", "rate"};
static const char *const verb_names[] = {
	"read", "list", "write", "delete", "rotate", "audit", "admin"};
static const char *const day_names[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};

/* The nth word of a value; false if there is none. */
bool model_word_at(const char *value, int n, char *word)
{
	int used = 0;

	for (;;) {
		if (sscanf(value, " %255s%n", word, &used) != 1)
			return false;
		if (n-- == 0)
			return true;
		value += used;
	}
}

static bool is_of(const char *text, const char *letters)
{
	return text[strspn(text, letters)] == '\0';
}

#define LOWER  "abcdefghijklmnopqrstuvwxyz"
#define UPPER  "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

static bool is_segmented(const char *text, const char *more)
{
	char copy[MODEL_VALUE_SIZE + 1], first[64], later[64];
	char *rest = copy, *segment;
	int count = 0;

	if (strlen(text) > 255 || strstr(text, "***") != NULL)
		return false;
	(void)snprintf(copy, sizeof copy, "%s", text);
	(void)snprintf(first, sizeof first, "%s%s", LOWER DIGITS, more);
	(void)snprintf(later, sizeof later, "%s%s", LOWER DIGITS "._-", more);
	while ((segment = strsep(&rest, "/")) != NULL) {
		count++;
		if (segment[0] == '\0' || strchr(first, segment[0]) == NULL ||
			!is_of(segment, later))
			return false;
	}
	return count <= 8;
}

bool model_is_path(const char *text)
{
	return is_segmented(text, "");
}

static bool is_pattern(const char *text)
{
	return is_segmented(text, "*");
}

uint32_t model_id(bool is_user, const char *name)
{
	static const char *const names[] = {"root", "alice", "backup", "ghost"};
	static const uint32_t ids[] = {0, 1000, 34, 65534};

	for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
		if (strcmp(name, names[i]) == 0)
			return is_user || ids[i] == 65534 ? ids[i] : ids[i] + 50;
	return 7;
}

static bool is_number(const char *text)
{
	return is_of(text, DIGITS);
}

uint32_t model_id_of(bool is_user, const char *word)
{
	return is_number(word) ? (uint32_t)strtoul(word, NULL, 10) : model_id(is_user, word);
}

static bool is_account(const char *word)
{
	if (is_number(word))
		return (word[0] != '0' || word[1] == '\0') && strlen(word) <= 10 &&
		       strtoull(word, NULL, 10) <= UINT32_MAX;
	return strchr("+-", word[0]) == NULL && strpbrk(word, ",:/*%=\"'") == NULL;
}

static bool is_verb(const char *word)
{
	for (int i = 0; i < 7; i++)
		if (strcmp(word, verb_names[i]) == 0)
			return true;
	return false;
}

static bool is_unit(const char *word)
{
	static const char *const suffixes[] = {
		".service", ".scope", ".slice", ".socket", ".mount", ".swap"};
	const char *name = strncmp(word, "user:", 5) == 0 && word[5] ? word + 5 : word;
	const char *dot = strrchr(name, '.'), *at = strchr(name, '@');
	bool has_suffix = false;

	for (int i = 0; i < 6; i++)
		has_suffix |= dot != NULL && dot != name && strcmp(dot, suffixes[i]) == 0;
	if (!has_suffix || !is_of(name, LOWER UPPER DIGITS ":-_.\\@*") || at == name ||
		(at != NULL && at + 1 == dot) || strstr(name, "**") != NULL ||
		strcmp(name, "-.slice") == 0)
		return false;
	for (const char *star = name; (star = strchr(star, '*')) != NULL; star++)
		if (at == NULL || star < at || star > dot)
			return false;
	return true;
}

static bool is_exe(const char *word)
{
	char framed[MODEL_VALUE_SIZE + 2];

	(void)snprintf(framed, sizeof framed, "%s/", word);
	return word[0] == '/' && strstr(framed, "//") == NULL && strstr(framed, "/./") == NULL &&
	       strstr(framed, "/../") == NULL && strchr(word, '*') == NULL;
}

static bool is_label(const char *word)
{
	return strchr(word, '*') == NULL;
}

static bool is_socket(const char *word)
{
	return is_of(word, LOWER UPPER DIGITS "._-") && strlen(word) <= 64 &&
	       strchr("._-", word[0]) == NULL;
}

static bool has_shape(const char *text, const char *shape)
{
	for (; *shape != '\0'; shape++, text++)
		if (*shape == '0' ? !isdigit((unsigned char)*text) : *text != *shape)
			return false;
	return *text == '\0';
}

static bool is_hours(const char *word)
{
	char from[6], to[6];

	if (!has_shape(word, "00:00-00:00") && !has_shape(word, "00:00-00:00Z"))
		return false;
	(void)snprintf(from, sizeof from, "%.5s", word);
	(void)snprintf(to, sizeof to, "%.5s", word + 6);
	return strcmp(from, "23:59") <= 0 && strcmp(to, "24:00") <= 0 && from[3] <= '5' &&
	       to[3] <= '5' && strcmp(from, to) != 0;
}

int model_day_of(const char *text)
{
	for (int i = 0; i < 7; i++)
		if (strncmp(text, day_names[i], 3) == 0)
			return i;
	return -1;
}

static bool is_days(const char *word)
{
	if (strlen(word) == 3)
		return model_day_of(word) >= 0;
	return strlen(word) == 7 && word[3] == '-' && model_day_of(word) >= 0 &&
	       model_day_of(word + 4) >= 0 && model_day_of(word) != model_day_of(word + 4);
}

/* strptime(3) and back again: what comes out must be what went in. */
bool model_read_instant(const char *word, time_t *instant)
{
	static const char *const shapes[][2] = {{"0000-00-00", "%Y-%m-%d"},
		{"0000-00-00T00:00", "%Y-%m-%dT%H:%M"},
		{"0000-00-00T00:00:00", "%Y-%m-%dT%H:%M:%S"}};
	char text[MODEL_VALUE_SIZE], again[80];
	size_t size = strlen(word);
	bool is_utc = size > 0 && word[size - 1] == 'Z';

	(void)snprintf(text, sizeof text, "%.*s", (int)(size - is_utc), word);
	for (int i = 0; i < 3; i++) {
		struct tm tm = {.tm_isdst = -1}, utc;
		const char *end;

		if (!has_shape(text, shapes[i][0]))
			continue;
		end = strptime(text, shapes[i][1], &tm);
		if (end == NULL || *end != '\0' || tm.tm_sec > 59 || tm.tm_year < 70)
			return false;
		utc = tm;
		(void)timegm(&utc);
		(void)snprintf(again, sizeof again, "%04d-%02d-%02dT%02d:%02d:%02d",
			utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min,
			utc.tm_sec);
		if (strncmp(again, text, strlen(text)) != 0 || strcmp(text, "3000") >= 0)
			return false;
		*instant = is_utc ? timegm(&tm) : mktime(&tm);
		return true;
	}
	return false;
}

static bool is_instant(const char *word)
{
	time_t instant;

	return model_read_instant(word, &instant);
}

static bool is_rate(const char *word)
{
	const char *slash = strchr(word, '/');

	return isdigit((unsigned char)word[0]) && word[0] != '0' && slash != NULL &&
	       strspn(word, DIGITS) == (size_t)(slash - word) && slash - word <= 7 &&
	       strtoul(word, NULL, 10) <= 1000000 &&
	       (strcmp(slash, "/min") == 0 || strcmp(slash, "/h") == 0 || strcmp(slash, "/d") == 0);
}

static bool (*const is_value[MODEL_KEYS])(const char *word) = {is_verb, is_verb, is_pattern,
	is_account, is_account, is_unit, is_exe, is_label, is_socket, is_hours, is_days, is_instant,
	is_rate};

static bool all_words(const char *value, bool (*is)(const char *word))
{
	char word[MODEL_VALUE_SIZE];
	int i;

	for (i = 0; model_word_at(value, i, word); i++)
		if (!is(word))
			return false;
	return i > 0;
}

static bool is_told_apart(const char *word)
{
	return strncmp(word, "user:", 5) != 0;
}

static bool is_no_main(const char *word)
{
	return strcmp(word, "main") != 0;
}

static bool is_confined(const char *word)
{
	return strcmp(word, "unconfined") != 0;
}

static bool is_no_secret_verb(const char *word)
{
	return strcmp(word, "audit") == 0 || strcmp(word, "admin") == 0;
}

static bool is_secret_verb(const char *word)
{
	return !is_no_secret_verb(word);
}

static bool is_narrow(const char *pattern)
{
	return strcmp(pattern, "**") != 0;
}

static bool is_nobody(bool is_user, const char *word)
{
	uint32_t id = model_id_of(is_user, word);

	return strcmp(word, "nobody") == 0 || id == 65534 || id == UINT32_MAX;
}

static bool names_nobody(const struct model_rule *rule)
{
	char word[MODEL_VALUE_SIZE];

	for (int key = USER; key <= GROUP; key++)
		for (int i = 0; model_word_at(rule->values[key], i, word); i++)
			if (is_nobody(key == USER, word))
				return true;
	return false;
}

static bool is_whole(const struct model_rule *rule)
{
	bool is_allow = rule->values[ALLOW][0] != '\0';

	if (is_allow == (rule->values[DENY][0] != '\0'))
		return false;
	if (!is_allow && rule->values[SECRET][0] != '\0' &&
		all_words(rule->values[SECRET], is_narrow) &&
		!all_words(rule->values[DENY], is_secret_verb))
		return false;
	if (!is_allow)
		return rule->values[RATE][0] == '\0';
	if (names_nobody(rule))
		return false;
	if (rule->values[SECRET][0] == '\0' && !all_words(rule->values[ALLOW], is_no_secret_verb))
		return false;
	return rule->values[USER][0] != '\0' || rule->values[GROUP][0] != '\0' ||
	       all_words(rule->values[UNIT], is_told_apart) ||
	       all_words(rule->values[LABEL], is_confined) ||
	       all_words(rule->values[SOCKET], is_no_main);
}

static bool read_header(struct model *model, const char *line)
{
	struct model_rule *rule = &model->rules[model->count];
	char close = '\0';

	memset(rule, 0, sizeof *rule);
	if (sscanf(line, "[rule %64[A-Za-z0-9._-]%c", rule->title, &close) != 2 || close != ']' ||
		line[strlen(line) - 1] != ']' || strchr("._-", rule->title[0]) != NULL)
		return false;
	for (int i = 0; i < model->count; i++)
		if (strcmp(model->rules[i].title, rule->title) == 0)
			return false;
	model->count++;
	return true;
}

static bool read_key(struct model *model, const char *line)
{
	char key[32], value[MODEL_VALUE_SIZE] = "", word[MODEL_VALUE_SIZE];

	if (model->count == 0 || sscanf(line, "%31[a-z] = %255[^\n]", key, value) < 1 ||
		strchr(line, '=') == NULL)
		return false;
	for (int i = 0; i < MODEL_KEYS; i++) {
		char *room = model->rules[model->count - 1].values[i];

		if (strcmp(key, key_names[i]) != 0)
			continue;
		if (room[0] != '\0' || !all_words(value, is_value[i]) ||
			((i == EXPIRES || i == RATE) && model_word_at(value, 1, word)))
			return false;
		(void)snprintf(room, MODEL_VALUE_SIZE, "%s", value);
		return true;
	}
	return false;
}

bool model_read(struct model *model, const char *text)
{
	char *copy = strdup(text), *rest = copy, *line;
	bool is_right = copy != NULL;

	model->count = 0;
	while (is_right && (line = strsep(&rest, "\n")) != NULL) {
		char *comment = strstr(line, " ;");

		if (comment != NULL)
			*comment = '\0';
		if (line[0] == '\0' || line[0] == ';' || line[0] == '#')
			continue;
		is_right = line[0] == '[' ? read_header(model, line) : read_key(model, line);
	}
	for (int i = 0; is_right && i < model->count; i++)
		is_right = is_whole(&model->rules[i]);
	free(copy);
	return is_right;
}
