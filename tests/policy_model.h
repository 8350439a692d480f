/* SPDX-License-Identifier: ISC */
/*
 * policy_model: the rule language once more, as plainly as possible: lines and words split each
 * time they are asked for, patterns by recursion, every rule asked every thing. Slow, and right
 * by inspection; policy_cases.c holds the real one against it. No credentials.
 */
#ifndef MORTISE_TESTS_POLICY_MODEL_H
#define MORTISE_TESTS_POLICY_MODEL_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define MODEL_RULES_MAX  16
#define MODEL_KEYS       13
#define MODEL_VALUE_SIZE 256
#define MODEL_NO_TIME    ((time_t)-1)

struct model_rule {
	char title[80];
	char values[MODEL_KEYS][MODEL_VALUE_SIZE]; /* "": not said */
};

struct model {
	struct model_rule rules[MODEL_RULES_MAX];
	int count;
};

struct model_question {
	uint32_t uid;
	const uint32_t *groups;
	int group_count;
	const char *unit, *exe, *label, *socket; /* NULL: cannot be had */
	const char *verb, *path;                 /* path NULL: none */
	time_t now;
};

struct model_answer {
	bool allowed;
	int rule; /* -1: none */
	unsigned rate_count, rate_period_s;
};

/* Is it a policy? */
bool model_read(struct model *model, const char *text);

struct model_answer model_decide(const struct model *model, const struct model_question *question);

bool model_is_path(const char *text);
bool model_matches(const char *pattern, const char *path);

/* For both halves of the model: keys, the nth word of a value, ids, days, times. */
enum { ALLOW, DENY, SECRET, USER, GROUP, UNIT, EXE, LABEL, SOCKET, HOURS, DAYS, EXPIRES, RATE };
bool model_word_at(const char *value, int n, char *word);
uint32_t model_id_of(bool is_user, const char *word);
int model_day_of(const char *text);
bool model_read_instant(const char *word, time_t *instant);

/* What names mean, to the model and to the policy. */
uint32_t model_id(bool is_user, const char *name);

#endif
