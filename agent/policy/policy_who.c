/* SPDX-License-Identifier: ISC */
/* Who may, and what one may. */
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "policy_answers.h"
#include "policy_cover.h"
#include "policy_credential.h"
#include "policy_rules.h"
#include "policy_text.h"

#define COMPARISONS_MAX 1000000 /* in one part of an answer */

struct asking {
	const struct policy *policy;
	unsigned verbs;
	const char *path; /* of policy_who() */
	policy_grant_visit *visit;
	void *context;
	struct policy_place *place;
	struct rule_list allows, denies; /* those that concern the question */
	struct rule_list credentials;    /* likewise */
	unsigned long comparisons;
	bool is_over; /* the visitor is full, or enough was compared */
};

static void drop_asking(struct asking *asking)
{
	free(asking->allows.rules);
	free(asking->credentials.rules);
	free(asking->denies.rules);
}

static enum mortise_status add(struct rule_list *list, uint32_t rule)
{
	uint32_t *rules = array_room(list->rules, list->count, sizeof *rules);

	if (!rules)
		return MORTISE_BUSY;
	list->rules = rules;
	rules[list->count++] = rule;
	return MORTISE_OK;
}

/* Texts in one, each behind the other's NUL; id is a credential's, or NULL. */
static enum mortise_status grant(
	struct asking *asking, const struct rule *rule, unsigned verbs, const char *id)
{
	CLEANUP(text_drop) struct text text = {0};
	const struct condition *secret = rule_condition(rule, ATTRIBUTE_SECRET);
	struct policy_grant grant = {.is_deny = rule->is_deny,
		.is_credential = id != NULL,
		.rule = rule->origin->title,
		.file = rule->origin->file,
		.line = rule->origin->line};

	TRY(text_begin(&text));
	text_principal(text.file, asking->policy, rule);
	(void)fputc('\0', text.file);
	text_verbs(text.file, verbs);
	(void)fputc('\0', text.file);
	if (secret)
		text_values(text.file, asking->policy, secret);
	(void)fputc('\0', text.file);
	if (text_conditions(text.file, asking->policy, rule) && id)
		(void)fputs(", ", text.file);
	if (id)
		(void)fprintf(text.file, "LoadCredential=%s", id);
	TRY(text_end(&text));
	grant.who = text.at;
	grant.verbs = grant.who + strlen(grant.who) + 1;
	grant.secrets = grant.verbs + strlen(grant.verbs) + 1;
	grant.conditions = grant.secrets + strlen(grant.secrets) + 1;
	asking->is_over = !asking->visit(asking->context, &grant);
	return MORTISE_OK;
}

static bool is_tired(struct asking *asking)
{
	asking->is_over |= asking->comparisons >= COMPARISONS_MAX;
	return asking->is_over;
}

/* Those of the rule's verbs that no deny takes from all whom it is for. */
static unsigned verbs_left(struct asking *asking, struct rule *rule, unsigned verbs)
{
	for (size_t i = 0; i < asking->denies.count; i++) {
		const struct rule *deny = &asking->policy->rules[asking->denies.rules[i]];

		asking->comparisons++;
		rule->verbs = (uint8_t)(verbs & deny->verbs);
		if (rule->verbs != 0 && rule_covers(deny, rule))
			verbs &= ~(unsigned)deny->verbs;
	}
	return verbs;
}

/* Each of those whom the rule names, from the place's value on. */
static enum mortise_status grant_each(struct asking *asking, uint32_t number)
{
	const struct rule *rule = &asking->policy->rules[number];
	struct policy_place *place = asking->place;

	for (; place->value < rule_principal_count(rule); place->value++) {
		struct narrowed asked, shown;
		unsigned verbs;

		if (is_tired(asking))
			return MORTISE_OK;
		rule_narrow(rule, place->value, asking->path, &asked);
		verbs = verbs_left(asking, &asked.rule, rule->verbs & asking->verbs);
		if (verbs == 0)
			continue;
		rule_narrow(rule, place->value, NULL, &shown);
		TRY(grant(asking, &shown.rule, verbs, NULL));
		if (asking->is_over)
			return MORTISE_OK;
	}
	return MORTISE_OK;
}

static enum mortise_status grant_whole(struct asking *asking, uint32_t number)
{
	const struct rule *rule = &asking->policy->rules[number];

	return is_tired(asking) ? MORTISE_OK
				: grant(asking, rule, rule->verbs & asking->verbs, NULL);
}

/* Each unit or user that the credential names, from the place's value on. */
static enum mortise_status hand_to_each(struct asking *asking, uint32_t number)
{
	const struct credential *credential = &asking->policy->credentials[number];
	struct policy_place *place = asking->place;

	for (; place->value < rule_principal_count(&credential->rule); place->value++) {
		struct narrowed shown, asked;

		if (is_tired(asking))
			return MORTISE_OK;
		rule_narrow(&credential->rule, place->value, NULL, &shown);
		credential_in_full(&shown.rule, &asked);
		if (verbs_left(asking, &asked.rule, VERB_READ) == 0)
			continue;
		TRY(grant(asking, &shown.rule, VERB_READ, credential->id));
		if (asking->is_over)
			return MORTISE_OK;
	}
	return MORTISE_OK;
}

static enum mortise_status hand_to_all(struct asking *asking, uint32_t number)
{
	const struct credential *credential = &asking->policy->credentials[number];

	return is_tired(asking) ? MORTISE_OK
				: grant(asking, &credential->rule, VERB_READ, credential->id);
}

static bool meets_a_credential(struct asking *asking, const struct rule *deny)
{
	struct narrowed full;

	for (size_t i = 0; i < asking->credentials.count; i++) {
		uint32_t number = asking->credentials.rules[i];

		asking->comparisons++;
		credential_in_full(&asking->policy->credentials[number].rule, &full);
		if (rules_meet(deny, &full.rule))
			return true;
	}
	return false;
}

static bool meets_an_allow(struct asking *asking, const struct rule *deny)
{
	struct rule cut = *deny;

	cut.verbs &= (uint8_t)asking->verbs;
	for (size_t i = 0; i < asking->allows.count; i++) {
		asking->comparisons++;
		if (rules_meet(&cut, &asking->policy->rules[asking->allows.rules[i]]))
			return true;
	}
	return meets_a_credential(asking, &cut);
}

static enum mortise_status show_deny(struct asking *asking, uint32_t number)
{
	const struct rule *deny = &asking->policy->rules[number];

	return is_tired(asking) || !meets_an_allow(asking, deny) ? MORTISE_OK
								 : grant_whole(asking, number);
}

typedef enum mortise_status show_rule(struct asking *asking, uint32_t number);

/* The list's rules from the place on; the place is then behind them, or where the answer ends. */
static enum mortise_status show(
	struct asking *asking, const struct rule_list *list, show_rule *show_one)
{
	struct policy_place *place = asking->place;

	for (size_t i = 0; i < list->count; i++) {
		if (list->rules[i] < place->rule)
			continue;
		if (list->rules[i] > place->rule)
			place->value = 0;
		place->rule = list->rules[i];
		TRY(show_one(asking, place->rule));
		if (asking->is_over)
			return MORTISE_OK;
		place->rule++;
		place->value = 0;
	}
	return MORTISE_OK;
}

/* One part, if the answer is there by now; then it is at the start of the next. */
static enum mortise_status show_part(struct asking *asking, enum policy_part part,
	const struct rule_list *list, show_rule *show_one)
{
	if (asking->is_over || asking->place->part != part)
		return MORTISE_OK;
	TRY(show(asking, list, show_one));
	if (!asking->is_over && part != POLICY_DENIES)
		*asking->place = (struct policy_place){.part = part + 1};
	return MORTISE_OK;
}

static enum mortise_status answer(struct asking *asking, show_rule *show_allow,
	show_rule *show_credential, bool *out_is_whole)
{
	TRY(show_part(asking, POLICY_ALLOWS, &asking->allows, show_allow));
	TRY(show_part(asking, POLICY_CREDENTIALS, &asking->credentials, show_credential));
	TRY(show_part(asking, POLICY_DENIES, &asking->denies, show_deny));
	*out_is_whole = !asking->is_over;
	return MORTISE_OK;
}

static enum mortise_status sort_for(struct asking *asking, time_t now)
{
	for (size_t i = 0; i < asking->policy->rule_count; i++) {
		const struct rule *rule = &asking->policy->rules[i];
		const struct condition *secret = rule_condition(rule, ATTRIBUTE_SECRET);

		if ((rule->verbs & asking->verbs) == 0 || rule_is_over(asking->policy, rule, now) ||
			(secret && !texts_match_path(secret, asking->path)))
			continue;
		TRY(add(rule->is_deny ? &asking->denies : &asking->allows, (uint32_t)i));
	}
	return MORTISE_OK;
}

/* Those of that path, or NULL: of a subject. */
static enum mortise_status find_credentials(
	struct asking *asking, const struct subject *subject, time_t now)
{
	const struct policy *policy = asking->policy;

	for (size_t i = 0; (asking->verbs & VERB_READ) && i < policy->credential_count; i++) {
		const struct credential *credential = &policy->credentials[i];
		const char *path = rule_condition(&credential->rule, ATTRIBUTE_SECRET)->texts;

		if (!rule_is_over(policy, &credential->rule, now) &&
			(subject ? credential_may_concern(credential, subject)
				 : asking->path && strcmp(path, asking->path) == 0))
			TRY(add(&asking->credentials, (uint32_t)i));
	}
	return MORTISE_OK;
}

enum mortise_status policy_who(const struct policy *policy, unsigned verbs, const char *path,
	time_t now, struct policy_place *place, policy_grant_visit *visit, void *context,
	bool *out_is_whole)
{
	CLEANUP(drop_asking)
	struct asking asking = {policy, verbs, path, visit, context, place, .comparisons = 0};

	TRY(sort_for(&asking, now));
	TRY(find_credentials(&asking, NULL, now));
	return answer(&asking, grant_each, hand_to_each, out_is_whole);
}

/* By what will not change between requests: ids and facts. */
static bool may_concern(const struct rule *rule, const struct subject *subject)
{
	struct question question = {.subject = subject};

	if (!rule->is_deny && id_is_nobody(subject->uid))
		return false;
	for (uint8_t i = 0; i < rule->condition_count; i++) {
		const struct condition *condition = &rule->conditions[i];
		const struct fact *fact = subject_fact(subject, condition->attribute);
		enum holding holding;

		if (!fact && condition->attribute != ATTRIBUTE_USER &&
			condition->attribute != ATTRIBUTE_GROUP)
			continue;
		holding = condition_holds(rule, condition, &question);
		if (holding == FAILS || (holding == UNKNOWN && !rule->is_deny &&
						(!fact || fact->state == FACT_UNKNOWN)))
			return false;
	}
	return true;
}

enum mortise_status policy_may(const struct policy *policy, const struct subject *subject,
	unsigned verbs, time_t now, struct policy_place *place, policy_grant_visit *visit,
	void *context, bool *out_is_whole)
{
	CLEANUP(drop_asking)
	struct asking asking = {policy, verbs, NULL, visit, context, place, .comparisons = 0};

	TRY(find_credentials(&asking, subject, now));
	for (size_t i = 0; i < policy->rule_count; i++) {
		const struct rule *rule = &policy->rules[i];

		if ((rule->verbs & verbs) == 0 || rule_is_over(policy, rule, now))
			continue;
		if (!may_concern(rule, subject) &&
			!(rule->is_deny && meets_a_credential(&asking, rule)))
			continue;
		TRY(add(rule->is_deny ? &asking.denies : &asking.allows, (uint32_t)i));
	}
	return answer(&asking, grant_whole, hand_to_all, out_is_whole);
}

/* ---- is anybody an administrator? ---- */

#define WEEK_S (7 * 86400)

/* A text that the pattern matches, and no shorter one. */
static struct fact exemplar_fact(const struct rule *rule, enum attribute attribute, char *room)
{
	const struct condition *condition = rule_condition(rule, attribute);
	size_t used = 0;

	if (!condition)
		return (struct fact){FACT_KNOWN, fact_row(attribute)->unsaid};
	if (!fact_row(attribute)->has_patterns)
		return (struct fact){FACT_KNOWN, condition->texts};
	for (const char *at = condition->texts; *at != '\0' && used < POLICY_UNIT_MAX + 5; at++)
		room[used++] = *at == '*' ? 'x' : *at;
	room[used] = '\0';
	return (struct fact){FACT_KNOWN, room};
}

static uint32_t first_id(const struct rule *rule, enum attribute attribute)
{
	const struct condition *condition = rule_condition(rule, attribute);

	return condition ? condition->ids[0] : SUBJECT_STRANGER;
}

/* Is he whom the rule describes an administrator at some time? */
static bool finds_admin(const struct policy *policy, const struct rule *rule, time_t now)
{
	char rooms[FACT_COUNT][POLICY_UNIT_MAX + 6];
	uint32_t group = first_id(rule, ATTRIBUTE_GROUP);
	struct subject subject = {
		.uid = first_id(rule, ATTRIBUTE_USER), .groups = &group, .group_count = 1};
	time_t step_s = rule_condition(rule, ATTRIBUTE_HOURS) ? 60 : 3600;

	for (unsigned i = 0; i < FACT_COUNT; i++)
		subject.facts[i] =
			exemplar_fact(rule, (enum attribute)(ATTRIBUTE_FACTS + i), rooms[i]);
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
