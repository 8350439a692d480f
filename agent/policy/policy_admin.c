/* SPDX-License-Identifier: ISC */
/* Is anybody an administrator? */
#include "policy_answers.h"

#include "policy_match.h"
#include "policy_text.h"

#define WEEK_S (7 * 86400)

/* A text that the pattern matches, and no shorter one. */
static struct fact exemplar_fact(const struct rule *rule, enum attribute attribute, char *room)
{
	const struct condition *condition = rule_condition(rule, attribute);
	size_t used = 0;

	if (condition == NULL)
		return (struct fact){
			FACT_KNOWN, attribute == ATTRIBUTE_SOCKET ? SUBJECT_SOCKET_MAIN : "x"};
	if (attribute != ATTRIBUTE_UNIT)
		return (struct fact){FACT_KNOWN, condition->texts};
	for (const char *at = condition->texts; *at != '\0' && used < POLICY_UNIT_MAX + 5; at++)
		room[used++] = *at == '*' ? 'x' : *at;
	room[used] = '\0';
	return (struct fact){FACT_KNOWN, room};
}

static uint32_t first_id(const struct rule *rule, enum attribute attribute)
{
	const struct condition *condition = rule_condition(rule, attribute);

	return condition != NULL ? condition->ids[0] : SUBJECT_STRANGER;
}

/* Is he whom the rule describes an administrator at some time? */
static bool finds_admin(const struct policy *policy, const struct rule *rule, time_t now)
{
	char unit[POLICY_UNIT_MAX + 6];
	uint32_t group = first_id(rule, ATTRIBUTE_GROUP);
	const struct subject subject = {.uid = first_id(rule, ATTRIBUTE_USER),
		.groups = &group,
		.group_count = 1,
		.unit = exemplar_fact(rule, ATTRIBUTE_UNIT, unit),
		.exe = exemplar_fact(rule, ATTRIBUTE_EXE, unit),
		.label = exemplar_fact(rule, ATTRIBUTE_LABEL, unit),
		.socket = exemplar_fact(rule, ATTRIBUTE_SOCKET, unit)};
	time_t step_s = rule_condition(rule, ATTRIBUTE_HOURS) != NULL ? 60 : 3600;

	for (time_t at = now; at < now + WEEK_S; at += step_s)
		if (policy_decide(policy, &subject, VERB_ADMIN, NULL, at).allowed)
			return true;
	return false;
}

bool policy_has_admin(const struct policy *policy, time_t now, bool *out_is_whole)
{
	unsigned tried = 0;

	*out_is_whole = true;
	for (size_t i = 0; i < policy->rule_count; i++) {
		const struct rule *rule = &policy->rules[i];

		if (rule->is_deny || !(rule->verbs & VERB_ADMIN) || rule_is_over(policy, rule, now))
			continue;
		for (uint32_t j = 0; j < rule_principal_count(rule); j++) {
			struct narrowed narrowed;

			if (tried++ == POLICY_ADMINS_MAX) {
				*out_is_whole = false;
				return false;
			}
			rule_narrow(rule, j, NULL, &narrowed);
			if (finds_admin(policy, &narrowed.rule, now))
				return true;
		}
	}
	return false;
}
