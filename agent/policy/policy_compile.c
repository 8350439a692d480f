/* SPDX-License-Identifier: ISC */
/* From names to ids. */
#include "policy_credential.h"
#include "policy_index.h"

#include <stdlib.h>

#include "inifile.h"

static const char *kind_text(enum policy_name_kind kind)
{
	return kind == POLICY_USER ? "user" : "group";
}

static enum mortise_status refuse_unpinned(
	const struct policy_name *seen, struct policy_error *out_error)
{
	struct inifile_error error;
	enum mortise_status status = inifile_refuse(&error, seen->line, seen->column,
		"no such %s '%.200s'", kind_text(seen->kind), seen->name);

	inifile_describe(seen->file, &error, out_error->text, sizeof out_error->text);
	return status;
}

static enum mortise_status refuse_nobody(
	const struct origin *origin, const struct name *name, struct policy_error *out_error)
{
	struct inifile_error error;
	enum mortise_status status = inifile_refuse(&error, origin->line, origin->column,
		"rule '%s' allows %s '%.100s', whose id %u is nobody's and never served; give the "
		"job a user of its own",
		origin->title, kind_text(name->seen.kind), name->seen.name, name->id);

	inifile_describe(origin->file, &error, out_error->text, sizeof out_error->text);
	return status;
}

static enum mortise_status check_names(const struct policy *policy, struct policy_error *out_error)
{
	for (size_t i = 0; i < policy->name_count; i++)
		if (!policy->names[i]->is_pinned)
			return refuse_unpinned(&policy->names[i]->seen, out_error);
	return MORTISE_OK;
}

/* Ids that were written as numbers were checked where they stand. */
static enum mortise_status check_nobody(const struct policy *policy, const struct origin *origin,
	const struct condition *condition, struct policy_error *out_error)
{
	for (uint32_t i = 0; i < condition->unpinned_count; i++) {
		const struct name *name = policy->names[condition->ids[i]];

		if (id_is_nobody(name->id))
			return refuse_nobody(origin, name, out_error);
	}
	return MORTISE_OK;
}

static enum mortise_status check_rule(
	const struct policy *policy, const struct rule *rule, struct policy_error *out_error)
{
	for (uint8_t i = 0; !rule->is_deny && i < rule->condition_count; i++)
		TRY(check_nobody(policy, rule->origin, &rule->conditions[i], out_error));
	return MORTISE_OK;
}

static enum mortise_status check_rules(const struct policy *policy, struct policy_error *out_error)
{
	for (size_t i = 0; i < policy->rule_count; i++)
		TRY(check_rule(policy, &policy->rules[i], out_error));
	for (size_t i = 0; i < policy->credential_count; i++)
		TRY(check_rule(policy, &policy->credentials[i].rule, out_error));
	return MORTISE_OK;
}

static void pin_condition(const struct policy *policy, struct condition *condition)
{
	if (!condition)
		return;
	for (uint32_t i = 0; i < condition->unpinned_count; i++)
		condition->ids[i] = policy->names[condition->ids[i]]->id;
	condition->unpinned_count = 0;
	qsort(condition->ids, condition->value_count, sizeof(uint32_t), id_compare);
}

static void pin_rule(const struct policy *policy, struct rule *rule)
{
	pin_condition(policy, rule_condition(rule, ATTRIBUTE_USER));
	pin_condition(policy, rule_condition(rule, ATTRIBUTE_GROUP));
}

enum mortise_status policy_compile(struct policy *policy, struct policy_error *out_error)
{
	if (policy->is_compiled)
		return MORTISE_OK;
	TRY(check_names(policy, out_error));
	TRY(check_rules(policy, out_error));
	for (size_t i = 0; i < policy->rule_count; i++)
		pin_rule(policy, &policy->rules[i]);
	for (size_t i = 0; i < policy->credential_count; i++)
		pin_rule(policy, &policy->credentials[i].rule);
	for (size_t i = 0; i < policy->quota_count; i++)
		pin_rule(policy, &policy->quotas[i].rule);
	TRY(credential_check_all(policy, out_error));
	TRY(policy_index_build(policy));
	policy->is_compiled = true;
	return MORTISE_OK;
}

void policy_free(struct policy *policy)
{
	if (!policy)
		return;
	policy_keep_nothing(policy);
	policy_index_drop(policy);
	free(policy->credentials);
	free(policy->quotas);
	free(policy->names);
	free(policy->rules);
	free(policy);
}
