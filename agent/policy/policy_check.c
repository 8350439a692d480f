/* SPDX-License-Identifier: ISC */
#include "policy_check.h"

#include <string.h>

static bool has(const struct draft *draft, enum attribute attribute)
{
	return draft->conditions[attribute].value_count > 0;
}

/* Do all values say who it is, and none what anybody can have or make? */
static bool tells_apart(
	const struct draft *draft, enum attribute attribute, const char *prefix, bool is_whole)
{
	const struct condition *condition = &draft->conditions[attribute];
	const char *text = NULL;

	for (uint32_t i = 0; i < condition->value_count; i++) {
		text = condition_text(condition, text);
		if (is_whole ? strcmp(text, prefix) == 0
			     : strncmp(text, prefix, strlen(prefix)) == 0)
			return false;
	}
	return condition->value_count > 0;
}

static bool names_a_caller(const struct draft *draft)
{
	return has(draft, ATTRIBUTE_USER) || has(draft, ATTRIBUTE_GROUP) ||
	       tells_apart(draft, ATTRIBUTE_UNIT, "user:", false) ||
	       tells_apart(draft, ATTRIBUTE_LABEL, "unconfined", true) ||
	       tells_apart(draft, ATTRIBUTE_SOCKET, SUBJECT_SOCKET_MAIN, true);
}

static const char *why_nobody_is_named(const struct draft *draft)
{
	if (has(draft, ATTRIBUTE_UNIT))
		return "allows by units of user managers, which any user can make, so it needs "
		       "user, group, label or socket besides";
	if (has(draft, ATTRIBUTE_LABEL))
		return "allows by the label unconfined, which anybody has, so it needs user, "
		       "group, unit or socket besides";
	if (has(draft, ATTRIBUTE_SOCKET))
		return "allows by socket main, which is everybody's, so it needs user, group, "
		       "unit or label besides";
	if (has(draft, ATTRIBUTE_EXE))
		return "allows by exe alone, so it needs user, group, unit, label or socket "
		       "besides";
	return "allows, so it needs 'user =', 'group =', 'unit =', 'label =' or 'socket ='";
}

/*
 * audit and admin are asked without a path, which only ** matches: a deny of them by other
 * patterns would look like one and be none.
 */
static bool denies_in_vain(const struct draft *draft)
{
	const struct condition *condition = &draft->conditions[ATTRIBUTE_SECRET];
	const char *text = NULL;

	if (!draft->rule.is_deny || !(draft->rule.verbs & ~VERBS_OF_SECRETS))
		return false;
	for (uint32_t i = 0; i < condition->value_count; i++) {
		text = condition_text(condition, text);
		if (strcmp(text, "**") == 0)
			return false;
	}
	return condition->value_count > 0;
}

enum mortise_status policy_check_rule(const struct draft *draft, struct inifile_error *error)
{
	const struct origin *origin = draft->origin;
	const char *fault = NULL;
	bool is_allow = !draft->rule.is_deny;

	if (draft->rule.verbs == 0)
		fault = "needs 'allow =' or 'deny ='";
	else if (is_allow && !names_a_caller(draft))
		fault = why_nobody_is_named(draft);
	else if (is_allow && (draft->rule.verbs & VERBS_OF_SECRETS) &&
		 !has(draft, ATTRIBUTE_SECRET))
		fault = "allows what concerns secrets, so it needs 'secret ='";
	else if (denies_in_vain(draft))
		fault = "denies audit or admin, which concern no secret; put them in a rule "
			"without "
			"'secret ='";
	else if (!is_allow && draft->rule.rate.count > 0)
		fault = "denies, so it cannot have a rate";
	if (fault != NULL)
		return inifile_refuse(
			error, origin->line, origin->column, "rule '%s' %s", origin->title, fault);
	if (is_allow && draft->nobody.line != 0)
		return inifile_refuse(error, draft->nobody.line, draft->nobody.column,
			"rule '%s' allows nobody, who may be anyone from elsewhere and is never "
			"served; "
			"give the job a user of its own",
			origin->title);
	return MORTISE_OK;
}

/* The service manager names its own units, without "user:". */
enum mortise_status policy_check_credential(const struct draft *draft, struct inifile_error *error)
{
	const struct origin *origin = draft->origin;
	const char *fault = NULL;

	if (!has(draft, ATTRIBUTE_UNIT))
		fault = "needs 'unit ='";
	else if (!tells_apart(draft, ATTRIBUTE_UNIT, "user:", false))
		fault = "names a unit with 'user:'; name the user in 'user ='";
	else if (!has(draft, ATTRIBUTE_SECRET))
		fault = "needs 'secret ='";
	if (fault != NULL)
		return inifile_refuse(error, origin->line, origin->column, "credential '%s' %s",
			origin->title, fault);
	if (draft->nobody.line != 0)
		return inifile_refuse(error, draft->nobody.line, draft->nobody.column,
			"credential '%s' allows nobody, who may be anyone from elsewhere and is "
			"never served; leave out 'user =' for a unit of the system",
			origin->title);
	return MORTISE_OK;
}
