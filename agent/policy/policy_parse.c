/* SPDX-License-Identifier: ISC */
/* From files to rules: sections, keys, and where a rule ends. */
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "policy_values.h"

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

static bool tells_who(const struct draft *draft, enum attribute attribute)
{
	const struct fact_row *row = fact_row(attribute);

	return tells_apart(draft, attribute, row->shared, !row->is_shared_prefix);
}

static bool names_a_caller(const struct draft *draft)
{
	for (unsigned i = ATTRIBUTE_FACTS; i < ATTRIBUTE_FACTS_END; i++)
		if (tells_who(draft, (enum attribute)i))
			return true;
	return has(draft, ATTRIBUTE_USER) || has(draft, ATTRIBUTE_GROUP);
}

/* The first fact that the rule has, one that never tells who it is behind the others. */
static enum attribute find_shared(const struct draft *draft)
{
	enum attribute found = ATTRIBUTE_COUNT;

	for (unsigned i = ATTRIBUTE_FACTS; i < ATTRIBUTE_FACTS_END; i++)
		if (has(draft, (enum attribute)i) &&
			(found == ATTRIBUTE_COUNT || fact_row(found)->shared[0] == '\0'))
			found = (enum attribute)i;
	return found;
}

/* "'user =', 'group =', 'unit =' or 'socket ='": what tells who it is, but for one. */
static void list_names(
	enum attribute but_for, const char *before, const char *behind, char *out_text, size_t size)
{
	int last = -1;
	size_t used;

	for (int i = ATTRIBUTE_FACTS; i < ATTRIBUTE_FACTS_END; i++)
		if (i != (int)but_for && fact_row((enum attribute)i)->shared[0] != '\0')
			last = i;
	used = (size_t)snprintf(
		out_text, size, "%suser%s, %sgroup%s", before, behind, before, behind);
	for (int i = ATTRIBUTE_FACTS; i <= last; i++)
		if (i != (int)but_for && fact_row((enum attribute)i)->shared[0] != '\0')
			used += (size_t)snprintf(out_text + used, size - used, "%s%s%s%s",
				i == last ? " or " : ", ", before,
				attribute_name((enum attribute)i), behind);
}

static void explain_nobody(const struct draft *draft, char *out_text, size_t size)
{
	enum attribute shared = find_shared(draft);
	char names[120];

	if (shared == ATTRIBUTE_COUNT) {
		list_names(shared, "'", " ='", names, sizeof names);
		(void)snprintf(out_text, size, "allows, so it needs %s", names);
		return;
	}
	list_names(shared, "", "", names, sizeof names);
	(void)snprintf(out_text, size, "allows by %s, so it needs %s besides",
		fact_row(shared)->shared_text, names);
}

/*
 * audit and admin are asked without a path, which only ** matches: a deny of them by other
 * patterns would look like one and be none.
 */
static bool denies_in_vain(const struct draft *draft)
{
	const struct condition *condition = &draft->conditions[ATTRIBUTE_SECRET];
	const char *text = NULL;

	if (!draft->rule.is_deny || !(draft->rule.verbs & ~verbs_of_secrets()))
		return false;
	for (uint32_t i = 0; i < condition->value_count; i++) {
		text = condition_text(condition, text);
		if (strcmp(text, "**") == 0)
			return false;
	}
	return condition->value_count > 0;
}

static enum mortise_status check_rule(const struct draft *draft, struct inifile_error *error)
{
	const struct origin *origin = draft->origin;
	const char *fault = NULL;
	char nobody[300];
	bool is_allow = !draft->rule.is_deny;

	if (draft->rule.verbs == 0)
		fault = "needs 'allow =' or 'deny ='";
	else if (is_allow && !names_a_caller(draft)) {
		explain_nobody(draft, nobody, sizeof nobody);
		fault = nobody;
	} else if (is_allow && (draft->rule.verbs & verbs_of_secrets()) &&
		   !has(draft, ATTRIBUTE_SECRET))
		fault = "allows what concerns secrets, so it needs 'secret ='";
	else if (denies_in_vain(draft))
		fault = "denies audit or admin, which concern no secret; put them in a rule "
			"without "
			"'secret ='";
	else if (!is_allow && draft->rule.rate.count > 0)
		fault = "denies, so it cannot have a rate";
	if (fault)
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
static enum mortise_status check_credential(const struct draft *draft, struct inifile_error *error)
{
	const struct origin *origin = draft->origin;
	const char *fault = NULL;

	if (!has(draft, ATTRIBUTE_UNIT))
		fault = "needs 'unit ='";
	else if (!tells_who(draft, ATTRIBUTE_UNIT))
		fault = "names a unit with 'user:'; name the user in 'user ='";
	else if (!has(draft, ATTRIBUTE_SECRET))
		fault = "needs 'secret ='";
	if (fault)
		return inifile_refuse(error, origin->line, origin->column, "credential '%s' %s",
			origin->title, fault);
	if (draft->nobody.line != 0)
		return inifile_refuse(error, draft->nobody.line, draft->nobody.column,
			"credential '%s' allows nobody, who may be anyone from elsewhere and is "
			"never served; leave out 'user =' for a unit of the system",
			origin->title);
	return MORTISE_OK;
}

struct key {
	const char *key; /* "": all facts, here */
	policy_values_read *read;
};

#define FACTS_HERE                                                                                 \
	{                                                                                          \
		"", policy_values_fact                                                             \
	}

static const struct key rule_keys[] = {
	{"allow", policy_values_verbs},
	{"deny", policy_values_verbs},
	{"secret", policy_values_secret},
	{"user", policy_values_accounts},
	{"group", policy_values_accounts},
	FACTS_HERE,
	{"hours", policy_values_hours},
	{"days", policy_values_days},
	{"expires", policy_values_expires},
	{"rate", policy_values_rate},
	{NULL, NULL},
};

static const struct key credential_keys[] = {
	{"unit", policy_values_fact},
	{"secret", policy_values_credential_secret},
	{"user", policy_values_accounts},
	{"id", policy_values_credential_id},
	{NULL, NULL},
};

static const struct key quota_keys[] = {
	{"secret", policy_values_secret},
	{"user", policy_values_accounts},
	{"size", policy_values_quota_size},
	{"secrets", policy_values_quota_secrets},
	{NULL, NULL},
};

static const struct {
	const char *name; /* [NAME TITLE] */
	const struct key *keys;
	policy_check_draft *check;
} sections[] = {
	[SECTION_RULE] = {"rule", rule_keys, check_rule},
	[SECTION_CREDENTIAL] = {"credential", credential_keys, check_credential},
	[SECTION_QUOTA] = {"quota", quota_keys, policy_check_quota},
};

/* "allow, deny or rate" */
static void list_keys(const struct key *keys, char *out_text, size_t size)
{
	size_t used = 0;

	out_text[0] = '\0';
	for (const struct key *key = keys; key->key; key++) {
		for (unsigned i = ATTRIBUTE_FACTS; !key->key[0] && i < ATTRIBUTE_FACTS_END; i++)
			used += (size_t)snprintf(out_text + used, size - used, ", %s",
				attribute_name((enum attribute)i));
		if (key->key[0])
			used += (size_t)snprintf(out_text + used, size - used, "%s%s",
				key == keys  ? ""
				: key[1].key ? ", "
					     : " or ",
				key->key);
	}
}

static bool is_key(const struct key *key, const char *word)
{
	return key->key[0] ? strcmp(word, key->key) == 0 : fact_of_name(word) != ATTRIBUTE_COUNT;
}

static enum mortise_status read_key(
	struct parsing *parsing, const struct inifile_entry *entry, struct inifile_error *error)
{
	enum section section = parsing->draft.section;
	char expected[160];

	for (const struct key *key = sections[section].keys; key->key; key++)
		if (is_key(key, entry->key))
			return key->read(parsing, entry, error);
	list_keys(sections[section].keys, expected, sizeof expected);
	return inifile_refuse(error, entry->line, entry->column, "unknown key '%.80s'; expected %s",
		entry->key, expected);
}

static enum mortise_status add_rule(struct policy *policy, const struct rule *rule)
{
	struct rule *rules = array_room(policy->rules, policy->rule_count, sizeof *rules);

	if (!rules)
		return MORTISE_BUSY;
	policy->rules = rules;
	rules[policy->rule_count++] = *rule;
	return MORTISE_OK;
}

static enum mortise_status add_credential(struct policy *policy, const struct draft *draft)
{
	struct credential *credentials =
		array_room(policy->credentials, policy->credential_count, sizeof *credentials);

	if (!credentials)
		return MORTISE_BUSY;
	policy->credentials = credentials;
	credentials[policy->credential_count++] =
		(struct credential){draft->rule, draft->id ? draft->id : draft->origin->title};
	return MORTISE_OK;
}

static enum mortise_status add_quota(struct policy *policy, const struct draft *draft)
{
	struct quota *quotas = array_room(policy->quotas, policy->quota_count, sizeof *quotas);

	if (!quotas)
		return MORTISE_BUSY;
	policy->quotas = quotas;
	quotas[policy->quota_count] = draft->quota;
	quotas[policy->quota_count++].rule = draft->rule;
	return MORTISE_OK;
}

static enum mortise_status add(struct policy *policy, const struct draft *draft)
{
	switch (draft->section) {
	case SECTION_CREDENTIAL:
		return add_credential(policy, draft);
	case SECTION_QUOTA:
		return add_quota(policy, draft);
	case SECTION_RULE:
		break;
	}
	return add_rule(policy, &draft->rule);
}

static enum mortise_status finish(struct parsing *parsing, struct inifile_error *error)
{
	struct policy *policy = parsing->policy;
	struct draft *draft = &parsing->draft;
	struct rule *rule = &draft->rule;
	size_t count = 0;

	if (!draft->origin)
		return MORTISE_OK;
	TRY(sections[draft->section].check(draft, error));
	for (int i = 0; i < ATTRIBUTE_COUNT; i++)
		count += draft->conditions[i].value_count > 0;
	rule->origin = draft->origin;
	rule->conditions = policy_keep(policy, count * sizeof *rule->conditions);
	if (!rule->conditions)
		return MORTISE_BUSY;
	for (int i = 0; i < ATTRIBUTE_COUNT; i++)
		if (draft->conditions[i].value_count > 0)
			rule->conditions[rule->condition_count++] = draft->conditions[i];
	TRY(add(policy, draft));
	*draft = (struct draft){0};
	return MORTISE_OK;
}

static int compare_titles(const void *left, const void *right)
{
	const struct origin *a = left, *b = right;

	return strcmp(a->title, b->title);
}

static bool is_title(const char *title)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789._-";
	size_t size = strlen(title);

	return size > 0 && size <= POLICY_TITLE_MAX && strspn(title, letters) == size &&
	       !strchr("._-", title[0]);
}

static enum mortise_status note_title(struct parsing *parsing, const struct inifile_entry *entry,
	const struct origin **out_origin, struct inifile_error *error)
{
	struct origin *origin = policy_keep(parsing->policy, sizeof *origin);
	struct origin **node;

	if (!origin)
		return MORTISE_BUSY;
	origin->title = policy_keep_text(parsing->policy, entry->title, strlen(entry->title));
	origin->file = parsing->file;
	origin->line = entry->line;
	origin->column = entry->column;
	if (!origin->title)
		return MORTISE_BUSY;
	node = tsearch(origin, &parsing->titles[parsing->draft.section], compare_titles);
	if (!node)
		return MORTISE_BUSY;
	if (*node != origin)
		return inifile_refuse(error, entry->line, entry->column,
			"%s '%s' stands in %.100s:%u already", entry->section, origin->title,
			(*node)->file, (*node)->line);
	*out_origin = origin;
	return MORTISE_OK;
}

static enum mortise_status check_room(const struct policy *policy, enum section section,
	const struct inifile_entry *entry, struct inifile_error *error)
{
	size_t count = section == SECTION_CREDENTIAL ? policy->credential_count
		       : section == SECTION_QUOTA    ? policy->quota_count
						     : policy->rule_count;
	size_t most = section == SECTION_CREDENTIAL ? POLICY_CREDENTIALS_MAX
		      : section == SECTION_QUOTA    ? POLICY_QUOTAS_MAX
						    : POLICY_RULES_MAX;

	if (count < most)
		return MORTISE_OK;
	return inifile_refuse(error, entry->line, entry->column, "a policy has at most %zu %ss",
		most, sections[section].name);
}

static enum mortise_status begin(
	struct parsing *parsing, const struct inifile_entry *entry, struct inifile_error *error)
{
	unsigned section = 0;

	while (section < SECTIONS && strcmp(entry->section, sections[section].name) != 0)
		section++;
	if (section == SECTIONS)
		return inifile_refuse(error, entry->line, entry->column,
			"unknown section '%.80s'; expected [rule NAME], [credential NAME] or "
			"[quota NAME]",
			entry->section);
	if (!is_title(entry->title))
		return inifile_refuse(error, entry->line, entry->column,
			"expected a %s's name of 1 to %d letters, digits, '.', '_' and '-', "
			"a letter or digit first",
			entry->section, POLICY_TITLE_MAX);
	parsing->draft.section = (enum section)section;
	TRY(check_room(parsing->policy, parsing->draft.section, entry, error));
	return note_title(parsing, entry, &parsing->draft.origin, error);
}

static enum mortise_status visit(
	void *context, const struct inifile_entry *entry, struct inifile_error *error)
{
	struct parsing *parsing = context;

	if (entry->key)
		return read_key(parsing, entry, error);
	TRY(finish(parsing, error));
	return begin(parsing, entry, error);
}

static enum mortise_status parse_file(
	struct parsing *parsing, const struct policy_file *file, struct inifile_error *error)
{
	parsing->file = policy_keep_text(parsing->policy, file->name, strlen(file->name));
	if (!parsing->file)
		return MORTISE_BUSY;
	TRY(inifile_read(file->text, file->size, visit, parsing, error));
	return finish(parsing, error);
}

/* Like the rest, names its file: *at is the one at fault. */
static enum mortise_status check_bounds(const struct policy_file *files, size_t file_count,
	const char **at, struct inifile_error *error)
{
	size_t room = POLICY_TEXT_MAX;

	for (size_t i = 0; i < file_count; i++) {
		*at = files[i].name;
		if (i == POLICY_FILES_MAX)
			return inifile_refuse(
				error, 0, 0, "a policy has at most %d files", POLICY_FILES_MAX);
		if (files[i].size > room)
			return inifile_refuse(
				error, 0, 0, "a policy has at most %d bytes", POLICY_TEXT_MAX);
		room -= files[i].size;
	}
	return MORTISE_OK;
}

static enum mortise_status parse_files(struct parsing *parsing, const struct policy_file *files,
	size_t file_count, const char **at, struct inifile_error *error)
{
	TRY(check_bounds(files, file_count, at, error));
	for (size_t i = 0; i < file_count; i++) {
		*at = files[i].name;
		TRY(parse_file(parsing, &files[i], error));
	}
	return MORTISE_OK;
}

/* The policy owns what the trees point to. */
static void keep(void *item)
{
	(void)item;
}

enum mortise_status policy_parse(const struct policy_file *files, size_t file_count,
	struct policy **out_policy, struct policy_error *out_error)
{
	struct parsing parsing = {.policy = calloc(1, sizeof *parsing.policy)};
	struct inifile_error error = {0};
	const char *at = "policy";
	enum mortise_status status;

	if (!parsing.policy)
		return MORTISE_BUSY;
	status = parse_files(&parsing, files, file_count, &at, &error);
	for (unsigned i = 0; i < SECTIONS; i++)
		tdestroy(parsing.titles[i], keep);
	tdestroy(parsing.names, keep);
	if (status == MORTISE_REJECTED)
		inifile_describe(at, &error, out_error->text, sizeof out_error->text);
	if (status == MORTISE_OK)
		*out_policy = parsing.policy;
	else
		policy_free(parsing.policy);
	return status;
}
