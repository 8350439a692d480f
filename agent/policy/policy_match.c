/* SPDX-License-Identifier: ISC */
#include "policy_match.h"

#include <stdlib.h>
#include <string.h>

#include "path.h"

bool texts_match_path(const struct condition *condition, const char *path)
{
	const char *pattern = NULL;

	for (uint32_t i = 0; i < condition->value_count; i++) {
		pattern = condition_text(condition, pattern);
		if (path == NULL ? strcmp(pattern, "**") == 0 : pattern_matches(pattern, path))
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
		if (condition->attribute == ATTRIBUTE_UNIT
				? unit_pattern_matches(value, name, size)
				: strncmp(value, name, size) == 0 && value[size] == '\0')
			return true;
	}
	return false;
}

/* Units and labels come as several names; a path may have blanks in it. */
static enum holding has_fact(const struct condition *condition, const struct fact *fact)
{
	bool is_one =
		condition->attribute == ATTRIBUTE_EXE || condition->attribute == ATTRIBUTE_SOCKET;
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

	return when_on_days(condition->days, hours != NULL ? hours->hours : NULL,
		hours != NULL ? hours->value_count : 0, clock);
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

	switch (condition->attribute) {
	case ATTRIBUTE_SECRET:
		return holds_if(texts_match_path(condition, question->path));
	case ATTRIBUTE_USER:
		return holds_if(has_id(condition, subject->uid));
	case ATTRIBUTE_GROUP:
		return has_group(condition, subject);
	case ATTRIBUTE_UNIT:
	case ATTRIBUTE_EXE:
	case ATTRIBUTE_LABEL:
	case ATTRIBUTE_SOCKET:
		return has_fact(condition, subject_fact(subject, condition->attribute));
	case ATTRIBUTE_HOURS:
	case ATTRIBUTE_DAYS:
	case ATTRIBUTE_EXPIRES:
		return holds_now(rule, condition, &question->clock);
	case ATTRIBUTE_COUNT:
	case ATTRIBUTE_NAME:
		break;
	}
	return UNKNOWN;
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
