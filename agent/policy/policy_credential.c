/* SPDX-License-Identifier: ISC */
#include "policy_credential.h"

#include <stdlib.h>
#include <string.h>

#include "inifile.h"
#include "policy_cover.h"
#include "policy_rules.h"

static bool has_user(const struct credential *credential, uint32_t uid)
{
	const struct condition *users = rule_condition(&credential->rule, ATTRIBUTE_USER);

	if (!users)
		return uid == 0;
	return bsearch(&uid, users->ids, users->value_count, sizeof uid, id_compare) != NULL;
}

static bool share_user(const struct credential *a, const struct credential *b)
{
	const struct condition *users = rule_condition(&a->rule, ATTRIBUTE_USER);

	if (!users)
		return has_user(b, 0);
	for (uint32_t i = 0; i < users->value_count; i++)
		if (has_user(b, users->ids[i]))
			return true;
	return false;
}

static bool share_unit(const struct credential *a, const struct credential *b)
{
	const struct condition *left = rule_condition(&a->rule, ATTRIBUTE_UNIT);
	const struct condition *right = rule_condition(&b->rule, ATTRIBUTE_UNIT);
	const char *pattern = NULL;

	for (uint32_t i = 0; i < left->value_count; i++) {
		const char *other = NULL;

		pattern = condition_text(left, pattern);
		for (uint32_t j = 0; j < right->value_count; j++) {
			other = condition_text(right, other);
			if (patterns_meet(pattern, other))
				return true;
		}
	}
	return false;
}

static enum mortise_status refuse_pair(const struct credential *later,
	const struct credential *first, struct policy_error *out_error)
{
	const struct origin *origin = later->rule.origin;
	struct inifile_error error;
	enum mortise_status status = inifile_refuse(&error, origin->line, origin->column,
		"credential '%s' and '%s' both answer for id '%.80s' of one unit", origin->title,
		first->rule.origin->title, later->id);

	inifile_describe(origin->file, &error, out_error->text, sizeof out_error->text);
	return status;
}

enum mortise_status credential_check_all(
	const struct policy *policy, struct policy_error *out_error)
{
	const struct credential *all = policy->credentials;

	for (size_t i = 0; i < policy->credential_count; i++)
		for (size_t j = 0; j < i; j++)
			if (strcmp(all[i].id, all[j].id) == 0 && share_user(&all[i], &all[j]) &&
				share_unit(&all[i], &all[j]))
				return refuse_pair(&all[i], &all[j], out_error);
	return MORTISE_OK;
}

static bool has_unit(const struct credential *credential, const struct fact *unit)
{
	const struct condition *units = rule_condition(&credential->rule, ATTRIBUTE_UNIT);
	const char *pattern = NULL;

	if (unit->state != FACT_KNOWN || !unit_name_is_valid(unit->text, strlen(unit->text)))
		return false;
	for (uint32_t i = 0; i < units->value_count; i++) {
		pattern = condition_text(units, pattern);
		if (unit_pattern_matches(pattern, unit->text, strlen(unit->text)))
			return true;
	}
	return false;
}

static const struct credential *find(
	const struct policy *policy, const struct subject *subject, const char *id)
{
	for (size_t i = 0; policy->is_compiled && i < policy->credential_count; i++) {
		const struct credential *credential = &policy->credentials[i];

		if (strcmp(credential->id, id) == 0 && has_user(credential, subject->uid) &&
			has_unit(credential, &subject->unit) &&
			!rule_is_disabled(policy, &credential->rule, NULL))
			return credential;
	}
	return NULL;
}

struct decision policy_credential(const struct policy *policy, const struct subject *subject,
	const char *id, time_t now, const char **out_path)
{
	const struct credential *credential = find(policy, subject, id);
	const char *path;
	struct decision decision;

	if (!credential || id_is_nobody(subject->uid))
		return (struct decision){.rule_number = NO_RULE};
	path = rule_condition(&credential->rule, ATTRIBUTE_SECRET)->texts;
	decision = policy_decide(policy, subject, VERB_READ, path, now);
	if (decision.rule && !decision.allowed)
		return decision;
	*out_path = path;
	return (struct decision){
		.allowed = true,
		.rule = credential->rule.origin->title,
		.rule_number = NO_RULE,
	};
}

bool policy_credential_section(
	const struct policy *policy, size_t index, struct policy_credential_section *out_section)
{
	const struct credential *credential = &policy->credentials[index];

	if (index >= policy->credential_count)
		return false;
	*out_section = (struct policy_credential_section){credential->rule.origin->title,
		rule_condition(&credential->rule, ATTRIBUTE_SECRET)->texts};
	return true;
}

/* Without `user` a unit of the system, whose processes may be anybody's. */
static bool is_of_manager(const struct credential *credential, const struct subject *subject)
{
	return !rule_condition(&credential->rule, ATTRIBUTE_USER) ||
	       has_user(credential, subject->uid);
}

/* Its own unit: the first name, or below a user's manager the first with "user:". */
static bool is_in_unit(const struct credential *credential, const char *names)
{
	bool is_users = rule_condition(&credential->rule, ATTRIBUTE_USER) != NULL;
	const char *own = is_users ? strstr(names, " user:") : names;
	char name[POLICY_UNIT_MAX + 6];
	size_t size;

	if (!own)
		return false;
	own += is_users ? strlen(" user:") : 0;
	size = strcspn(own, " ");
	if (size >= sizeof name)
		return false;
	memcpy(name, own, size);
	name[size] = '\0';
	return has_unit(credential, &(struct fact){FACT_KNOWN, name});
}

bool credential_may_concern(const struct credential *credential, const struct subject *subject)
{
	const struct fact *unit = &subject->unit, *socket = &subject->socket;

	if (id_is_nobody(subject->uid) || !is_of_manager(credential, subject))
		return false;
	if (socket->state == FACT_KNOWN && strcmp(socket->text, SUBJECT_SOCKET_CREDENTIALS) != 0)
		return false;
	return unit->state == FACT_UNGATHERED ||
	       (unit->state == FACT_KNOWN && is_in_unit(credential, unit->text));
}

void credential_in_full(const struct rule *rule, struct narrowed *out_full)
{
	static uint32_t root[] = {0};
	struct condition *next;

	out_full->rule = *rule;
	out_full->rule.verbs = VERB_READ;
	out_full->rule.conditions = out_full->conditions;
	memcpy(out_full->conditions, rule->conditions,
		rule->condition_count * sizeof *rule->conditions);
	next = out_full->conditions + rule->condition_count;
	*next++ = (struct condition){.attribute = ATTRIBUTE_SOCKET,
		.value_count = 1,
		.texts = SUBJECT_SOCKET_CREDENTIALS};
	if (!rule_condition(rule, ATTRIBUTE_USER))
		*next++ = (struct condition){
			.attribute = ATTRIBUTE_USER, .value_count = 1, .ids = root};
	out_full->rule.condition_count = (uint8_t)(next - out_full->conditions);
}
