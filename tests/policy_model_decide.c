/* SPDX-License-Identifier: ISC */
#include "policy_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool has_word(const char *value, const char *wanted)
{
	char word[MODEL_VALUE_SIZE];

	for (int i = 0; model_word_at(value, i, word); i++)
		if (strcmp(word, wanted) == 0)
			return true;
	return false;
}

bool model_matches(const char *pattern, const char *path)
{
	if (*pattern == '\0')
		return *path == '\0';
	if (pattern[0] == '*' && pattern[1] == '*')
		return model_matches(pattern + 2, path) ||
		       (*path != '\0' && model_matches(pattern, path + 1));
	if (*pattern == '*')
		return model_matches(pattern + 1, path) ||
		       (*path != '\0' && *path != '/' && model_matches(pattern, path + 1));
	return *pattern == *path && model_matches(pattern + 1, path + 1);
}

enum { NO, YES, PERHAPS };

static int says_secret(const char *value, const char *path)
{
	char word[MODEL_VALUE_SIZE];

	if (path == NULL)
		return has_word(value, "**");
	for (int i = 0; model_word_at(value, i, word); i++)
		if (model_matches(word, path))
			return YES;
	return NO;
}

static int says_id(bool is_user, const char *value, uint32_t id)
{
	char word[MODEL_VALUE_SIZE];

	for (int i = 0; model_word_at(value, i, word); i++)
		if (model_id_of(is_user, word) == id)
			return YES;
	return NO;
}

static int says_groups(const char *value, const struct model_question *question)
{
	for (int i = 0; i < question->group_count; i++)
		if (says_id(false, value, question->groups[i]))
			return YES;
	return question->group_count == 0 ? PERHAPS : NO;
}

/* Units and labels have several names; stars in units have no '/' to stop at. */
static int says_names(const char *value, const char *names)
{
	char word[MODEL_VALUE_SIZE], name[MODEL_VALUE_SIZE];

	if (names == NULL)
		return PERHAPS;
	for (int i = 0; model_word_at(value, i, word); i++)
		for (int j = 0; model_word_at(names, j, name); j++)
			if (model_matches(word, name))
				return YES;
	return NO;
}

static int says_text(const char *value, const char *text)
{
	return text == NULL ? PERHAPS : has_word(value, text);
}

/* The wall clock as text, so that comparing texts compares times. */
static bool is_in_hours(const char *word, time_t now, bool *is_tail, int *day)
{
	char clock[6], from[6], to[6];
	struct tm tm;
	bool is_utc = word[strlen(word) - 1] == 'Z';

	if (is_utc)
		gmtime_r(&now, &tm);
	else
		localtime_r(&now, &tm);
	(void)strftime(clock, sizeof clock, "%H:%M", &tm);
	(void)snprintf(from, sizeof from, "%.5s", word);
	(void)snprintf(to, sizeof to, "%.5s", word + 6);
	*day = tm.tm_wday;
	*is_tail = false;
	if (strcmp(from, to) < 0)
		return strcmp(clock, from) >= 0 && strcmp(clock, to) < 0;
	*is_tail = strcmp(clock, to) < 0;
	return *is_tail || strcmp(clock, from) >= 0;
}

static bool has_day(const char *value, int day)
{
	char word[MODEL_VALUE_SIZE];

	for (int i = 0; model_word_at(value, i, word); i++) {
		int at = model_day_of(word), last = word[3] == '-' ? model_day_of(word + 4) : at;

		while (at != day && at != last)
			at = (at + 1) % 7;
		if (at == day)
			return true;
	}
	return false;
}

static int says_time(const struct model_rule *rule, time_t now)
{
	char word[MODEL_VALUE_SIZE];
	bool is_tail;
	int day;
	struct tm tm;

	if (now == MODEL_NO_TIME)
		return rule->values[HOURS][0] || rule->values[DAYS][0] ? PERHAPS : YES;
	if (rule->values[HOURS][0] == '\0') {
		localtime_r(&now, &tm);
		return rule->values[DAYS][0] == '\0' || has_day(rule->values[DAYS], tm.tm_wday);
	}
	for (int i = 0; model_word_at(rule->values[HOURS], i, word); i++)
		if (is_in_hours(word, now, &is_tail, &day) &&
			(rule->values[DAYS][0] == '\0' ||
				has_day(rule->values[DAYS], is_tail ? (day + 6) % 7 : day)))
			return YES;
	return NO;
}

static int says_expires(const char *value, time_t now)
{
	time_t end = 0;

	if (now == MODEL_NO_TIME)
		return PERHAPS;
	return model_read_instant(value, &end) && now < end;
}

static int says(const struct model_rule *rule, int key, const struct model_question *question)
{
	const char *value = rule->values[key];

	switch (key) {
	case SECRET:
		return says_secret(value, question->path);
	case USER:
		return says_id(true, value, question->uid);
	case GROUP:
		return says_groups(value, question);
	case UNIT:
		return says_names(value, question->unit);
	case EXE:
		return says_text(value, question->exe);
	case LABEL:
		return says_names(value, question->label);
	case SOCKET:
		return says_text(value, question->socket);
	case EXPIRES:
		return says_expires(value, question->now);
	default:
		return YES;
	}
}

static bool applies(const struct model_rule *rule, const struct model_question *question)
{
	bool is_deny = rule->values[DENY][0] != '\0';
	int time = says_time(rule, question->now);

	if (!has_word(rule->values[is_deny ? DENY : ALLOW], question->verb) || time == NO ||
		(time == PERHAPS && !is_deny))
		return false;
	for (int key = SECRET; key < MODEL_KEYS; key++) {
		int answer = rule->values[key][0] == '\0' ? YES : says(rule, key, question);

		if (answer == NO || (answer == PERHAPS && !is_deny))
			return false;
	}
	return true;
}

static void read_rate(const struct model_rule *rule, struct model_answer *answer)
{
	const char *slash = strchr(rule->values[RATE], '/');

	answer->rate_count = (unsigned)strtoul(rule->values[RATE], NULL, 10);
	answer->rate_period_s = 0;
	if (slash != NULL)
		answer->rate_period_s = slash[1] == 'm' ? 60 : slash[1] == 'h' ? 3600 : 86400;
}

static double speed(const struct model_answer *answer)
{
	return answer->rate_count == 0 ? 1e9 : (double)answer->rate_count / answer->rate_period_s;
}

struct model_answer model_decide(const struct model *model, const struct model_question *question)
{
	struct model_answer best = {.rule = -1};

	for (int i = 0; i < model->count; i++)
		if (model->rules[i].values[DENY][0] != '\0' && applies(&model->rules[i], question))
			return (struct model_answer){.rule = i};
	for (int i = 0; i < model->count; i++) {
		struct model_answer answer = {.allowed = true, .rule = i};

		if (question->uid == 65534 || question->uid == UINT32_MAX ||
			!applies(&model->rules[i], question))
			continue;
		read_rate(&model->rules[i], &answer);
		if (best.rule < 0 || speed(&answer) > speed(&best) * 1.0000000001 ||
			(speed(&answer) >= speed(&best) * 0.9999999999 &&
				answer.rate_count > best.rate_count))
			best = answer;
	}
	return best;
}
