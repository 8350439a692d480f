/* SPDX-License-Identifier: ISC */
#include "policy_credential.h"

#include <stdlib.h>
#include <string.h>

#include "inifile.h"
#include "policy_cover.h"
#include "policy_match.h"

static bool has_user(const struct credential *credential, uint32_t uid)
{
	const struct condition *users = rule_condition(&credential->rule, ATTRIBUTE_USER);

	if (users == NULL)
		return uid == 0;
	return bsearch(&uid, users->ids, users->value_count, sizeof uid, id_compare) != NULL;
}

static bool share_user(const struct credential *a, const struct credential *b)
{
	const struct condition *users = rule_condition(&a->rule, ATTRIBUTE_USER);

	if (users == NULL)
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

	if (credential == NULL || id_is_nobody(subject->uid))
		return (struct decision){.rule_number = NO_RULE};
	path = rule_condition(&credential->rule, ATTRIBUTE_SECRET)->texts;
	decision = policy_decide(policy, subject, VERB_READ, path, now);
	if (decision.rule != NULL && !decision.allowed)
		return decision;
	*out_path = path;
	return (struct decision){
		.allowed = true,
		.rule = credential->rule.origin->title,
		.rule_number = NO_RULE,
	};
}
