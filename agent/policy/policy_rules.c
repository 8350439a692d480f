/* SPDX-License-Identifier: ISC */
#include "policy_rules.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include "path.h"

#define ARENA_BLOCK_SIZE 65536

struct arena_block {
	struct arena_block *next;
	size_t size, used;
	alignas(max_align_t) unsigned char bytes[];
};

bool id_is_nobody(uint32_t id)
{
	return id == ID_OVERFLOW || id == ID_INVALID;
}

int id_compare(const void *left, const void *right)
{
	const uint32_t *a = left, *b = right;

	return (*a > *b) - (*a < *b);
}

void *policy_keep(struct policy *policy, size_t size)
{
	struct arena_block *block = policy->arena;
	size_t rounded = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
	void *room;

	if (!block || block->size - block->used < rounded) {
		size_t block_size = rounded > ARENA_BLOCK_SIZE ? rounded : ARENA_BLOCK_SIZE;

		block = calloc(1, sizeof *block + block_size);
		if (!block)
			return NULL;
		block->size = block_size;
		block->next = policy->arena;
		policy->arena = block;
	}
	room = block->bytes + block->used;
	block->used += rounded;
	return room;
}

void policy_keep_nothing(struct policy *policy)
{
	while (policy->arena) {
		struct arena_block *block = policy->arena;

		policy->arena = block->next;
		free(block);
	}
}

const char *policy_keep_text(struct policy *policy, const char *text, size_t size)
{
	char *copy = policy_keep(policy, size + 1);

	if (copy)
		memcpy(copy, text, size);
	return copy;
}

size_t policy_name_count(const struct policy *policy)
{
	return policy->name_count;
}

struct policy_name policy_name_at(const struct policy *policy, size_t index)
{
	return policy->names[index]->seen;
}

void policy_pin(struct policy *policy, size_t index, uint32_t id)
{
	if (index >= policy->name_count || policy->is_compiled)
		return;
	policy->names[index]->id = id;
	policy->names[index]->is_pinned = true;
}

bool policy_pinned(const struct policy *policy, size_t index, uint32_t *out_id)
{
	if (index >= policy->name_count || !policy->names[index]->is_pinned)
		return false;
	*out_id = policy->names[index]->id;
	return true;
}

void policy_name_became(struct policy *policy, size_t index, enum policy_name_state state)
{
	if (index < policy->name_count)
		policy->names[index]->state = state;
}

size_t policy_rule_count(const struct policy *policy)
{
	return policy->rule_count;
}

size_t policy_exe_rule_count(const struct policy *policy)
{
	size_t count = 0;

	for (size_t i = 0; i < policy->rule_count; i++)
		count += rule_condition(&policy->rules[i], ATTRIBUTE_EXE) != NULL;
	return count;
}

struct condition *rule_condition(const struct rule *rule, enum attribute attribute)
{
	for (uint8_t i = 0; i < rule->condition_count; i++)
		if (rule->conditions[i].attribute == attribute)
			return &rule->conditions[i];
	return NULL;
}

bool rule_is_over(const struct policy *policy, const struct rule *rule, time_t now)
{
	const struct condition *expires = rule_condition(rule, ATTRIBUTE_EXPIRES);

	return rule_is_disabled(policy, rule, NULL) || (expires && expires->expires <= now);
}

const char *condition_text(const struct condition *condition, const char *before)
{
	return before ? before + strlen(before) + 1 : condition->texts;
}

bool rule_is_disabled(
	const struct policy *policy, const struct rule *rule, const struct name **out_name)
{
	for (uint8_t i = 0; !rule->is_deny && i < rule->condition_count; i++) {
		const struct condition *condition = &rule->conditions[i];

		for (uint32_t j = 0; j < condition->name_count; j++) {
			const struct name *name = policy->names[condition->names[j]];

			if (name->state == POLICY_NAME_SAME)
				continue;
			if (out_name)
				*out_name = name;
			return true;
		}
	}
	return false;
}

static void visit_if_disabled(const struct policy *policy, const struct rule *rule,
	policy_disabled_visit *visit, void *context)
{
	const struct name *name;

	if (rule_is_disabled(policy, rule, &name))
		visit(context, &(struct policy_disabled){rule->origin->title, rule->origin->file,
				       rule->origin->line, &name->seen, name->state});
}

void policy_disabled(const struct policy *policy, policy_disabled_visit *visit, void *context)
{
	for (size_t i = 0; i < policy->rule_count; i++)
		visit_if_disabled(policy, &policy->rules[i], visit, context);
	for (size_t i = 0; i < policy->credential_count; i++)
		visit_if_disabled(policy, &policy->credentials[i].rule, visit, context);
}

bool texts_match_path(const struct condition *condition, const char *path)
{
	const char *pattern = NULL;

	for (uint32_t i = 0; i < condition->value_count; i++) {
		pattern = condition_text(condition, pattern);
		if (!path ? strcmp(pattern, "**") == 0 : pattern_matches(pattern, path))
			return true;
	}
	return false;
}

static bool has_id(const struct condition *condition, uint32_t id)
{
	return bsearch(&id, condition->ids, condition->value_count, sizeof id, id_compare) != NULL;
}

static enum holding has_group(const struct condition *condition, const struct subject *subject)
{
	for (size_t i = 0; i < subject->group_count; i++)
		if (has_id(condition, subject->groups[i]))
			return HOLDS;
	return subject->group_count == 0 ? UNKNOWN : FAILS;
}

static bool has_name(const struct condition *condition, const char *name, size_t size)
{
	const char *value = NULL;

	for (uint32_t i = 0; i < condition->value_count; i++) {
		value = condition_text(condition, value);
		if (fact_row(condition->attribute)->has_patterns
				? unit_pattern_matches(value, name, size)
				: strncmp(value, name, size) == 0 && value[size] == '\0')
			return true;
	}
	return false;
}

static enum holding has_fact(const struct condition *condition, const struct fact *fact)
{
	bool is_one = fact_row(condition->attribute)->is_single;
	const char *at = fact->text;

	if (fact->state != FACT_KNOWN)
		return UNKNOWN;
	while (*at != '\0') {
		size_t size = is_one ? strlen(at) : strcspn(at, " ");

		if (has_name(condition, at, size))
			return HOLDS;
		at += size + (at[size] == ' ');
	}
	return FAILS;
}

static bool is_the_day(
	const struct rule *rule, const struct condition *condition, struct clock *clock)
{
	const struct condition *hours = rule_condition(rule, ATTRIBUTE_HOURS);

	return when_on_days(condition->days, hours ? hours->hours : NULL,
		hours ? hours->value_count : 0, clock);
}

static enum holding holds_if(bool holds)
{
	return holds ? HOLDS : FAILS;
}

static enum holding holds_now(
	const struct rule *rule, const struct condition *condition, struct clock *clock)
{
	if (clock->now == POLICY_TIME_UNKNOWN)
		return UNKNOWN;
	if (condition->attribute == ATTRIBUTE_HOURS)
		return holds_if(when_in_hours(condition->hours, condition->value_count, clock));
	if (condition->attribute == ATTRIBUTE_DAYS)
		return holds_if(is_the_day(rule, condition, clock));
	return holds_if(clock->now < condition->expires);
}

enum holding condition_holds(
	const struct rule *rule, const struct condition *condition, struct question *question)
{
	const struct subject *subject = question->subject;
	const struct fact *fact = subject_fact(subject, condition->attribute);

	if (fact)
		return has_fact(condition, fact);
	switch (condition->attribute) {
	case ATTRIBUTE_SECRET:
		return holds_if(texts_match_path(condition, question->path));
	case ATTRIBUTE_USER:
		return holds_if(has_id(condition, subject->uid));
	case ATTRIBUTE_GROUP:
		return has_group(condition, subject);
	case ATTRIBUTE_HOURS:
	case ATTRIBUTE_DAYS:
	case ATTRIBUTE_EXPIRES:
		return holds_now(rule, condition, &question->clock);
	default:
		return UNKNOWN;
	}
}

bool rule_matches(const struct rule *rule, struct question *question)
{
	if ((rule->verbs & (unsigned)question->verb) == 0)
		return false;
	for (uint8_t i = 0; i < rule->condition_count; i++) {
		enum holding holding = condition_holds(rule, &rule->conditions[i], question);

		if (holding == FAILS || (holding == UNKNOWN && !rule->is_deny))
			return false;
	}
	return true;
}
