/* SPDX-License-Identifier: ISC */
/* The decision, and what has to be known for it. */
#include "policy_index.h"
#include "policy_rules.h"

#include <string.h>

/* The best rules that matched so far. */
struct weighing {
	const struct policy *policy;
	struct question question;
	uint32_t deny, allow;
};

static bool is_higher(const struct rate_limit *a, const struct rate_limit *b)
{
	uint64_t left = (uint64_t)a->count * b->period_s, right = (uint64_t)b->count * a->period_s;

	if (a->count == 0 || b->count == 0)
		return a->count == 0 && b->count != 0;
	return left != right ? left > right : a->count > b->count;
}

static bool is_same(const struct rate_limit *a, const struct rate_limit *b)
{
	return !is_higher(a, b) && !is_higher(b, a);
}

static bool is_better_allow(const struct weighing *weighing, uint32_t number)
{
	const struct rule *rules = weighing->policy->rules;

	if (weighing->allow == NO_RULE)
		return true;
	if (is_same(&rules[number].rate, &rules[weighing->allow].rate))
		return number < weighing->allow;
	return is_higher(&rules[number].rate, &rules[weighing->allow].rate);
}

static void weigh(void *context, uint32_t number)
{
	struct weighing *weighing = context;
	const struct rule *rule = &weighing->policy->rules[number];

	if (rule->is_deny ? number >= weighing->deny : !is_better_allow(weighing, number))
		return;
	if (!rule_matches(rule, &weighing->question) ||
		rule_is_disabled(weighing->policy, rule, NULL))
		return;
	*(rule->is_deny ? &weighing->deny : &weighing->allow) = number;
}

struct decision policy_decide(const struct policy *policy, const struct subject *subject,
	enum verb verb, const char *path, time_t now)
{
	struct weighing weighing = {policy, {subject, verb, path, {.now = now}}, NO_RULE, NO_RULE};
	const struct rule *rule;
	uint32_t decisive;

	policy_index_find(policy, subject, weigh, &weighing);
	if (id_is_nobody(subject->uid))
		weighing.allow = NO_RULE;
	decisive = weighing.deny != NO_RULE ? weighing.deny : weighing.allow;
	if (decisive == NO_RULE)
		return (struct decision){.rule_number = NO_RULE};
	rule = &policy->rules[decisive];
	return (struct decision){
		.allowed = decisive == weighing.allow,
		.rule = rule->origin->title,
		.rate = rule->rate,
		.rule_number = decisive,
	};
}

struct needing {
	const struct policy *policy;
	struct question question;
	unsigned facts;
};

/* A condition that fails already makes the others idle; paths and times still change. */
static void need(void *context, uint32_t number)
{
	struct needing *needing = context;
	const struct rule *rule = &needing->policy->rules[number];
	unsigned facts = 0;

	for (uint8_t i = 0; i < rule->condition_count; i++) {
		const struct condition *condition = &rule->conditions[i];
		const struct fact *fact =
			subject_fact(needing->question.subject, condition->attribute);

		if (fact && fact->state == FACT_UNGATHERED)
			facts |= 1u << condition->attribute;
		else if ((fact || condition->attribute == ATTRIBUTE_USER ||
				 condition->attribute == ATTRIBUTE_GROUP) &&
			 condition_holds(rule, condition, &needing->question) == FAILS)
			return;
	}
	needing->facts |= facts;
}

unsigned policy_needs(const struct policy *policy, const struct subject *subject)
{
	struct needing needing = {policy, {.subject = subject}, 0};

	if (!policy->has_facts)
		return 0;
	policy_index_find(policy, subject, need, &needing);
	for (unsigned i = ATTRIBUTE_FACTS; i < ATTRIBUTE_FACTS_END; i++) {
		const struct fact *fact = subject_fact(subject, (enum attribute)i);

		if (fact->state == FACT_UNGATHERED && policy->by[i].entry_count > 0)
			needing.facts |= 1u << i;
	}
	return needing.facts;
}

struct hoping {
	const struct policy *policy;
	enum verb verb;
	bool found;
};

static void hope(void *context, uint32_t number)
{
	struct hoping *hoping = context;
	const struct rule *rule = &hoping->policy->rules[number];

	hoping->found |= !rule->is_deny && (rule->verbs & hoping->verb);
}

bool policy_may_ever(const struct policy *policy, const struct subject *subject, enum verb verb)
{
	struct hoping hoping = {policy, verb, false};

	policy_index_find(policy, subject, hope, &hoping);
	return hoping.found;
}
