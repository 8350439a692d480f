/* SPDX-License-Identifier: ISC */
/* How much may be kept: what a [quota] says, and what counts for it. */
#include <stdlib.h>
#include <string.h>

#include "policy_rules.h"
#include "policy_values.h"

#define DIGITS_MOST 15

static uint64_t factor_of(const char *unit, size_t size)
{
	static const struct {
		char unit;
		uint64_t factor;
	} units[] = {{'K', 1u << 10}, {'M', 1u << 20}, {'G', 1u << 30}};

	for (size_t i = 0; size == 1 && i < sizeof units / sizeof units[0]; i++)
		if (units[i].unit == *unit)
			return units[i].factor;
	return size == 0 ? 1 : 0;
}

static enum mortise_status read_number(const struct inifile_entry *entry, bool has_unit,
	const char *expected, uint64_t *out_number, struct inifile_error *error)
{
	uint64_t number = 0, factor = 0;
	struct word word;

	TRY(policy_values_one(entry, &word, error));
	size_t digits = strspn(word.at, "0123456789"), size = (size_t)word.size;
	if (digits > 0 && digits <= size && digits <= DIGITS_MOST && word.at[0] != '0')
		factor =
			has_unit || digits == size ? factor_of(word.at + digits, size - digits) : 0;
	if (factor == 0 || digits > DIGITS_MOST - (factor > 1 ? 6 : 0))
		return policy_values_refuse(entry, &word, expected, error);
	for (size_t i = 0; i < digits; i++)
		number = 10 * number + (uint64_t)(word.at[i] - '0');
	*out_number = number * factor;
	return MORTISE_OK;
}

enum mortise_status policy_values_quota_size(
	struct parsing *parsing, const struct inifile_entry *entry, struct inifile_error *error)
{
	return read_number(entry, true, "a size such as 65536, 512K, 16M or 2G",
		&parsing->draft.quota.size_max, error);
}

enum mortise_status policy_values_quota_secrets(
	struct parsing *parsing, const struct inifile_entry *entry, struct inifile_error *error)
{
	return read_number(entry, false, "a number of secrets such as 1000",
		&parsing->draft.quota.secrets_max, error);
}

static bool is_default(const char *title)
{
	return strcmp(title, POLICY_QUOTA_DEFAULT) == 0;
}

enum mortise_status policy_check_quota(const struct draft *draft, struct inifile_error *error)
{
	const struct origin *origin = draft->origin;
	bool has_user = draft->conditions[ATTRIBUTE_USER].value_count > 0;
	bool has_secret = draft->conditions[ATTRIBUTE_SECRET].value_count > 0;
	const char *fault = NULL;

	if (draft->quota.size_max == 0 && draft->quota.secrets_max == 0)
		fault = "needs 'size =' or 'secrets ='";
	else if (is_default(origin->title) && (has_user || has_secret))
		fault = "is for each user whom no other quota names, so it has neither 'user =' "
			"nor 'secret ='";
	else if (!is_default(origin->title) && !has_user && !has_secret)
		fault = "needs 'secret =' or 'user ='; the one for everybody else is [quota "
			"default]";
	return !fault ? MORTISE_OK
		      : inifile_refuse(error, origin->line, origin->column, "quota '%s' %s",
				origin->title, fault);
}

static const struct quota *find_default(const struct policy *policy)
{
	for (size_t i = 0; i < policy->quota_count; i++)
		if (is_default(policy->quotas[i].rule.origin->title))
			return &policy->quotas[i];
	return NULL;
}

size_t policy_quota_count(const struct policy *policy)
{
	return policy->quota_count + (!find_default(policy));
}

struct policy_quota policy_quota_at(const struct policy *policy, size_t index)
{
	if (index >= policy->quota_count)
		return (struct policy_quota){.title = POLICY_QUOTA_DEFAULT,
			.is_each_users = true,
			.is_default = true,
			.size_max = POLICY_QUOTA_DEFAULT_SIZE,
			.secrets_max = POLICY_QUOTA_DEFAULT_SECRETS};
	const struct quota *quota = &policy->quotas[index];
	const char *title = quota->rule.origin->title;
	return (struct policy_quota){.title = title,
		.is_each_users = is_default(title) || rule_condition(&quota->rule, ATTRIBUTE_USER),
		.is_default = is_default(title),
		.size_max = quota->size_max,
		.secrets_max = quota->secrets_max};
}

static bool has_uid(const struct condition *users, uint32_t uid)
{
	return users && bsearch(&uid, users->ids, users->value_count, sizeof uid, id_compare);
}

static bool is_named(const struct policy *policy, uint32_t uid)
{
	for (size_t i = 0; i < policy->quota_count; i++)
		if (has_uid(rule_condition(&policy->quotas[i].rule, ATTRIBUTE_USER), uid))
			return true;
	return false;
}

bool policy_quota_counts(const struct policy *policy, size_t index, uint32_t uid, const char *path)
{
	if (policy_quota_at(policy, index).is_default)
		return !is_named(policy, uid);
	const struct rule *rule = &policy->quotas[index].rule;
	const struct condition *users = rule_condition(rule, ATTRIBUTE_USER);
	const struct condition *secrets = rule_condition(rule, ATTRIBUTE_SECRET);
	return (!users || has_uid(users, uid)) && (!secrets || texts_match_path(secrets, path));
}
