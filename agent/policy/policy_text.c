/* SPDX-License-Identifier: ISC */
#include "policy_text.h"

#include <stdlib.h>
#include <string.h>

#include "policy_index.h"

enum mortise_status text_begin(struct text *text)
{
	*text = (struct text){0};
	text->file = open_memstream(&text->at, &text->size);
	return text->file ? MORTISE_OK : MORTISE_BUSY;
}

enum mortise_status text_end(struct text *text)
{
	bool failed = ferror(text->file) != 0;

	failed |= fclose(text->file) != 0;
	text->file = NULL;
	if (!failed && text->at)
		return MORTISE_OK;
	free(text->at);
	text->at = NULL;
	return MORTISE_BUSY;
}

void text_drop(struct text *text)
{
	if (text->file)
		(void)fclose(text->file);
	free(text->at);
}

void text_verbs(FILE *file, unsigned verbs)
{
	const char *gap = "";

	for (size_t i = 0; i < VERB_COUNT; i++)
		if (verbs & verb_rows[i].verb) {
			(void)fprintf(file, "%s%s", gap, verb_rows[i].name);
			gap = " ";
		}
}

static const char *name_of(
	const struct policy *policy, const struct condition *condition, uint32_t id)
{
	for (uint32_t i = 0; i < condition->name_count; i++)
		if (policy->names[condition->names[i]]->id == id)
			return policy->names[condition->names[i]]->seen.name;
	return NULL;
}

static void put_ids(FILE *file, const struct policy *policy, const struct condition *condition)
{
	for (uint32_t i = 0; i < condition->value_count; i++) {
		const char *name = name_of(policy, condition, condition->ids[i]);

		if (name)
			(void)fprintf(file, "%s%s", i > 0 ? " " : "", name);
		else
			(void)fprintf(file, "%s%u", i > 0 ? " " : "", condition->ids[i]);
	}
}

static void put_texts(FILE *file, const struct condition *condition)
{
	const char *text = NULL;

	for (uint32_t i = 0; i < condition->value_count; i++) {
		text = condition_text(condition, text);
		(void)fprintf(file, "%s%s", i > 0 ? " " : "", text);
	}
}

static void put_hours(FILE *file, const struct condition *condition)
{
	for (uint32_t i = 0; i < condition->value_count; i++) {
		const struct hours *hours = &condition->hours[i];

		(void)fprintf(file, "%s%02u:%02u-%02u:%02u%s", i > 0 ? " " : "", hours->from / 60,
			hours->from % 60, hours->to / 60, hours->to % 60, hours->is_utc ? "Z" : "");
	}
}

static void put_days(FILE *file, unsigned days)
{
	static const char names[7][4] = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};
	const char *gap = "";

	for (unsigned i = 0; i < 7; i++)
		if (days >> (i + 1) % 7 & 1) {
			(void)fprintf(file, "%s%s", gap, names[i]);
			gap = " ";
		}
}

static void put_instant(FILE *file, time_t instant)
{
	char text[40] = "";
	struct tm split;

	if (gmtime_r(&instant, &split))
		(void)strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &split);
	(void)fputs(text, file);
}

void text_values(FILE *file, const struct policy *policy, const struct condition *condition)
{
	switch (condition->attribute) {
	case ATTRIBUTE_USER:
	case ATTRIBUTE_GROUP:
		put_ids(file, policy, condition);
		break;
	case ATTRIBUTE_HOURS:
		put_hours(file, condition);
		break;
	case ATTRIBUTE_DAYS:
		put_days(file, condition->days);
		break;
	case ATTRIBUTE_EXPIRES:
		put_instant(file, condition->expires);
		break;
	default:
		put_texts(file, condition);
	}
}

enum attribute rule_principal(const struct rule *rule)
{
	return policy_index_key(rule);
}

void text_principal(FILE *file, const struct policy *policy, const struct rule *rule)
{
	enum attribute principal = rule_principal(rule);
	const struct condition *condition = rule_condition(rule, principal);

	if (!condition) {
		(void)fputs("everybody", file);
		return;
	}
	if (principal == ATTRIBUTE_USER || principal == ATTRIBUTE_GROUP) {
		bool is_user = principal == ATTRIBUTE_USER;

		if (!name_of(policy, condition, condition->ids[0]))
			(void)fputs(is_user ? "uid " : "gid ", file);
		else if (!is_user)
			(void)fputs("group ", file);
	} else {
		(void)fprintf(file, "%s ", attribute_name(principal));
	}
	text_values(file, policy, condition);
}

static void put_rate(FILE *file, const struct rate_limit *rate)
{
	const char *period = rate->period_s == 60 ? "min" : rate->period_s == 3600 ? "h" : "d";

	(void)fprintf(file, "at most %u/%s", rate->count, period);
}

bool text_conditions(FILE *file, const struct policy *policy, const struct rule *rule)
{
	enum attribute principal = rule_principal(rule);
	const char *gap = "";

	for (uint8_t i = 0; i < rule->condition_count; i++) {
		const struct condition *condition = &rule->conditions[i];

		if (condition->attribute == principal || condition->attribute == ATTRIBUTE_SECRET)
			continue;
		(void)fprintf(file, "%s%s ", gap, attribute_name(condition->attribute));
		text_values(file, policy, condition);
		gap = ", ";
	}
	if (rule->rate.count > 0) {
		(void)fputs(gap, file);
		put_rate(file, &rule->rate);
		gap = ", ";
	}
	return gap[0] != '\0';
}

void text_canonical(FILE *file, const struct policy *policy, const struct rule *rule)
{
	(void)fprintf(file, "%d %u %u/%u", rule->is_deny, rule->verbs, rule->rate.count,
		rule->rate.period_s);
	for (uint8_t i = 0; i < rule->condition_count; i++) {
		struct condition condition = rule->conditions[i];

		condition.names = NULL;
		condition.name_count = 0;
		(void)fprintf(file, "\n%s ", attribute_name(condition.attribute));
		text_values(file, policy, &condition);
	}
}

uint32_t rule_principal_count(const struct rule *rule)
{
	const struct condition *condition = rule_condition(rule, rule_principal(rule));

	return condition ? condition->value_count : 1;
}

static void narrow_condition(struct condition *condition, uint32_t value)
{
	const char *text = NULL;

	condition->value_count = 1;
	if (condition->attribute == ATTRIBUTE_USER || condition->attribute == ATTRIBUTE_GROUP) {
		condition->ids += value;
		return;
	}
	for (uint32_t i = 0; i <= value; i++)
		text = condition_text(condition, text);
	condition->texts = text;
}

void rule_narrow(
	const struct rule *rule, uint32_t value, const char *pattern, struct narrowed *out_narrowed)
{
	enum attribute principal = rule_principal(rule);
	struct condition *secret;

	out_narrowed->rule = *rule;
	for (uint8_t i = 0; i < rule->condition_count; i++) {
		out_narrowed->conditions[i] = rule->conditions[i];
		if (rule->conditions[i].attribute == principal)
			narrow_condition(&out_narrowed->conditions[i], value);
	}
	out_narrowed->rule.conditions = out_narrowed->conditions;
	if (!pattern)
		return;
	secret = rule_condition(&out_narrowed->rule, ATTRIBUTE_SECRET);
	if (!secret)
		secret = &out_narrowed->conditions[out_narrowed->rule.condition_count++];
	*secret = (struct condition){
		.attribute = ATTRIBUTE_SECRET, .value_count = 1, .texts = pattern};
}
