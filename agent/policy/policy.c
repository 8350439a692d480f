/* SPDX-License-Identifier: ISC */
#include "policy_rules.h"

#include <stdlib.h>
#include <string.h>

#include "path.h"

#define NO_RULE UINT32_MAX

struct question {
	const struct subject *subject;
	enum verb verb;
	const char *path;
	time_t now;
};

/* The first rules that matched, by their place in the text. */
struct verdict {
	uint32_t deny, allow;
};

static const struct {
	const char *name;
	enum verb verb;
} verbs[] = {
	{"read", VERB_READ},
	{"list", VERB_LIST},
	{"write", VERB_WRITE},
	{"delete", VERB_DELETE},
	{"rotate", VERB_ROTATE},
	{"audit", VERB_AUDIT},
	{"admin", VERB_ADMIN},
};

enum verb verb_of_name(const char *name)
{
	for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
		if (strcmp(name, verbs[i].name) == 0)
			return verbs[i].verb;
	return 0;
}

const char *verb_name(enum verb verb)
{
	for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
		if (verb == verbs[i].verb)
			return verbs[i].name;
	return "?";
}

static bool patterns_match(const struct condition *condition, const char *path)
{
	const char *pattern = condition->patterns;

	for (uint32_t i = 0; i < condition->value_count; i++) {
		if (path == NULL ? strcmp(pattern, "**") == 0 : pattern_matches(pattern, path))
			return true;
		pattern += strlen(pattern) + 1;
	}
	return false;
}

static bool has_id(const struct condition *condition, uint32_t id)
{
	return bsearch(&id, condition->ids, condition->value_count, sizeof id, id_compare) != NULL;
}

static bool has_group(const struct condition *condition, const struct subject *subject)
{
	for (size_t i = 0; i < subject->group_count; i++)
		if (has_id(condition, subject->groups[i]))
			return true;
	return false;
}

/* What cannot be known about the subject matches every deny and no allow. */
static bool condition_holds(
	const struct condition *condition, const struct question *question, bool is_deny)
{
	switch (condition->attribute) {
	case ATTRIBUTE_SECRET:
		return patterns_match(condition, question->path);
	case ATTRIBUTE_USER:
		return has_id(condition, question->subject->uid);
	case ATTRIBUTE_GROUP:
		if (question->subject->group_count == 0)
			return is_deny;
		return has_group(condition, question->subject);
	case ATTRIBUTE_COUNT:
		break;
	}
	return is_deny;
}

static bool rule_matches(const struct rule *rule, const struct question *question)
{
	if ((rule->verbs & (unsigned)question->verb) == 0)
		return false;
	for (uint16_t i = 0; i < rule->condition_count; i++)
		if (!condition_holds(&rule->conditions[i], question, rule->is_deny))
			return false;
	return true;
}

static void weigh(const struct policy *policy, uint32_t number, const struct question *question,
	struct verdict *verdict)
{
	const struct rule *rule = &policy->rules[number];
	uint32_t *first = rule->is_deny ? &verdict->deny : &verdict->allow;

	if (number < *first && rule_matches(rule, question))
		*first = number;
}

/* The index only narrows the choice: each rule's own conditions are still asked. */
static void weigh_for(const struct policy *policy, const struct id_index *index, uint32_t id,
	const struct question *question, struct verdict *verdict)
{
	for (size_t i = id_index_find(index, id);
		i < index->entry_count && index->entries[i].id == id; i++)
		weigh(policy, index->entries[i].rule, question, verdict);
}

static void weigh_groups(
	const struct policy *policy, const struct question *question, struct verdict *verdict)
{
	const struct subject *subject = question->subject;

	for (size_t i = 0; i < subject->group_count; i++)
		weigh_for(policy, &policy->by_group, subject->groups[i], question, verdict);
	if (subject->group_count > 0)
		return;
	for (size_t i = 0; i < policy->by_group.entry_count; i++)
		weigh(policy, policy->by_group.entries[i].rule, question, verdict);
}

struct decision policy_decide(const struct policy *policy, const struct subject *subject,
	enum verb verb, const char *path, time_t now)
{
	struct question question = {subject, verb, path, now};
	struct verdict verdict = {NO_RULE, NO_RULE};
	uint32_t decisive;

	for (size_t i = 0; i < policy->for_all_count; i++)
		weigh(policy, policy->for_all[i], &question, &verdict);
	weigh_for(policy, &policy->by_user, subject->uid, &question, &verdict);
	weigh_groups(policy, &question, &verdict);

	if (id_is_nobody(subject->uid))
		verdict.allow = NO_RULE;
	decisive = verdict.deny != NO_RULE ? verdict.deny : verdict.allow;
	if (decisive == NO_RULE)
		return (struct decision){.allowed = false, .rule = NULL};
	return (struct decision){
		.allowed = decisive == verdict.allow,
		.rule = policy->rules[decisive].origin->title,
	};
}
