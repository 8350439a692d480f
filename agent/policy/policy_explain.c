/* SPDX-License-Identifier: ISC */
#include "policy_answers.h"

#include <stdio.h>
#include <string.h>

#include "policy_match.h"

static bool is_bit_single(unsigned bits)
{
	return (bits & (bits - 1)) == 0;
}

/* Which attributes keep the rule from matching. */
static struct policy_near judge(
	const struct policy *policy, const struct rule *rule, struct question *question)
{
	struct policy_near near = {.rule = rule->origin->title,
		.file = rule->origin->file,
		.line = rule->origin->line};

	if ((rule->verbs & (unsigned)question->verb) == 0)
		near.failed |= 1u << ATTRIBUTE_VERB;
	if (rule_is_disabled(policy, rule, NULL))
		near.failed |= 1u << ATTRIBUTE_NAME;
	for (uint8_t i = 0; i < rule->condition_count; i++) {
		const struct condition *condition = &rule->conditions[i];
		enum holding holding = condition_holds(rule, condition, question);

		if (holding != HOLDS)
			near.failed |= 1u << condition->attribute;
		if (holding == UNKNOWN)
			near.unknown |= 1u << condition->attribute;
	}
	return near;
}

static bool is_near(unsigned failed)
{
	return is_bit_single(failed) ||
	       (failed & ~(1u << ATTRIBUTE_VERB | 1u << ATTRIBUTE_SECRET)) == 0;
}

static bool is_nearer(const struct policy_near *a, const struct policy_near *b)
{
	return is_bit_single(a->failed) && !is_bit_single(b->failed);
}

static void add_near(struct policy_explanation *explanation, const struct policy_near *near)
{
	size_t at = explanation->near_count;

	while (at > 0 && is_nearer(near, &explanation->near[at - 1]))
		at--;
	if (at == POLICY_NEAR_MAX)
		return;
	if (explanation->near_count < POLICY_NEAR_MAX)
		explanation->near_count++;
	memmove(&explanation->near[at + 1], &explanation->near[at],
		(explanation->near_count - 1 - at) * sizeof *near);
	explanation->near[at] = *near;
}

void policy_explain(const struct policy *policy, const struct subject *subject, enum verb verb,
	const char *path, time_t now, struct policy_explanation *out_explanation)
{
	struct question question = {subject, verb, path, {.now = now}};
	struct policy_explanation explanation = {
		.decision = policy_decide(policy, subject, verb, path, now)};

	if (explanation.decision.rule != NULL) {
		const struct rule *rule = &policy->rules[explanation.decision.rule_number];

		explanation.file = rule->origin->file;
		explanation.line = rule->origin->line;
	}
	for (size_t i = 0; explanation.decision.rule == NULL && i < policy->rule_count; i++) {
		struct policy_near near;

		if (policy->rules[i].is_deny)
			continue;
		near = judge(policy, &policy->rules[i], &question);
		if (is_near(near.failed))
			add_near(&explanation, &near);
	}
	*out_explanation = explanation;
}

static size_t put_attributes(char *text, size_t size, const struct policy_near *near)
{
	const char *gap = " ";
	size_t used = 0;

	for (unsigned i = 0; i <= ATTRIBUTE_NAME && used < size; i++) {
		if ((near->failed >> i & 1) == 0)
			continue;
		used += (size_t)snprintf(text + used, size - used, "%s%s%s", gap,
			attribute_name((enum attribute)i),
			near->unknown >> i & 1 ? " (cannot be had)" : "");
		gap = " and ";
	}
	return used;
}

void policy_explain_text(const struct policy_explanation *explanation, char *out_text, size_t size)
{
	size_t used;

	if (explanation->decision.rule != NULL) {
		(void)snprintf(out_text, size, "rule '%s' (%s:%u) %s it",
			explanation->decision.rule, explanation->file, explanation->line,
			explanation->decision.allowed ? "allows" : "denies");
		return;
	}
	used = (size_t)snprintf(out_text, size, "no rule allows it");
	for (size_t i = 0; i < explanation->near_count && used < size; i++) {
		const struct policy_near *near = &explanation->near[i];

		used += (size_t)snprintf(out_text + used, size - used,
			"%s rule '%s' (%s:%u), but for", i == 0 ? "; nearest is" : ",", near->rule,
			near->file, near->line);
		if (used < size)
			used += put_attributes(out_text + used, size - used, near);
	}
}
