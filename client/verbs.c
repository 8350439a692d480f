/* SPDX-License-Identifier: ISC */
#include "verbs.h"

#include <stdio.h>
#include <string.h>

#define OF_SECRETS true
#define TAKES_ROOM true

const struct verb_row verb_rows[VERB_COUNT] = {
	{VERB_READ, "read", OF_SECRETS, false},
	{VERB_LIST, "list", OF_SECRETS, false},
	{VERB_WRITE, "write", OF_SECRETS, TAKES_ROOM},
	{VERB_DELETE, "delete", OF_SECRETS, false},
	{VERB_ROTATE, "rotate", OF_SECRETS, TAKES_ROOM},
	{VERB_AUDIT, "audit", false, false},
	{VERB_ADMIN, "admin", false, false},
};

enum verb verb_of_word(const char *word, size_t size)
{
	for (size_t i = 0; i < VERB_COUNT; i++)
		if (strlen(verb_rows[i].name) == size && memcmp(word, verb_rows[i].name, size) == 0)
			return verb_rows[i].verb;
	return 0;
}

enum verb verb_of_name(const char *name)
{
	return verb_of_word(name, strlen(name));
}

const char *verb_name(enum verb verb)
{
	for (size_t i = 0; i < VERB_COUNT; i++)
		if (verb_rows[i].verb == verb)
			return verb_rows[i].name;
	return "?";
}

unsigned verbs_of_secrets(void)
{
	unsigned verbs = 0;

	for (size_t i = 0; i < VERB_COUNT; i++)
		if (verb_rows[i].is_of_secrets)
			verbs |= verb_rows[i].verb;
	return verbs;
}

unsigned verbs_all(void)
{
	unsigned verbs = 0;

	for (size_t i = 0; i < VERB_COUNT; i++)
		verbs |= verb_rows[i].verb;
	return verbs;
}

bool verbs_take_room(unsigned verbs)
{
	for (size_t i = 0; i < VERB_COUNT; i++)
		if (verb_rows[i].takes_room && (verbs & verb_rows[i].verb))
			return true;
	return false;
}

const char *verb_words(unsigned verbs, const char *before_last, char out_words[VERB_WORDS_SIZE])
{
	size_t used = 0;

	out_words[0] = '\0';
	for (size_t i = 0; i < VERB_COUNT; i++) {
		if (!(verbs & verb_rows[i].verb))
			continue;
		verbs &= ~(unsigned)verb_rows[i].verb;
		const char *gap = used == 0 ? "" : verbs ? ", " : " ";
		used += (size_t)snprintf(out_words + used, VERB_WORDS_SIZE - used, "%s%s%s%s", gap,
			used && !verbs ? before_last : "", used && !verbs ? " " : "",
			verb_rows[i].name);
	}
	return out_words;
}
