/* SPDX-License-Identifier: ISC */
/* From files to rules: sections, keys, and what makes a rule complete. */
#include "policy_values.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

#define VERBS_OF_SECRETS (VERB_READ | VERB_LIST | VERB_WRITE | VERB_DELETE | VERB_ROTATE)

static enum mortise_status read_later_key(
	struct parsing *parsing, const struct inifile_entry *entry, struct inifile_error *error)
{
	(void)parsing;
	return inifile_refuse(error, entry->line, entry->column,
		"this release does not know '%s' yet; expected allow, deny, secret, user or group",
		entry->key);
}

static const struct {
	const char *key;
	enum mortise_status (*read)(struct parsing *parsing, const struct inifile_entry *entry,
		struct inifile_error *error);
} keys[] = {
	{"allow", policy_values_verbs},
	{"deny", policy_values_verbs},
	{"secret", policy_values_secret},
	{"user", policy_values_accounts},
	{"group", policy_values_accounts},
	{"unit", read_later_key},
	{"exe", read_later_key},
	{"label", read_later_key},
	{"socket", read_later_key},
	{"hours", read_later_key},
	{"rate", read_later_key},
	{"days", read_later_key},
	{"expires", read_later_key},
};

static enum mortise_status read_key(
	struct parsing *parsing, const struct inifile_entry *entry, struct inifile_error *error)
{
	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
		if (strcmp(entry->key, keys[i].key) == 0)
			return keys[i].read(parsing, entry, error);
	return inifile_refuse(error, entry->line, entry->column,
		"unknown key '%.80s'; expected allow, deny, secret, user or group", entry->key);
}

static enum mortise_status check_draft(const struct draft *draft, struct inifile_error *error)
{
	const struct origin *origin = draft->origin;
	const char *fault = NULL;
	bool is_allow = !draft->rule.is_deny;

	if (draft->rule.verbs == 0)
		fault = "needs 'allow =' or 'deny ='";
	else if (is_allow && draft->conditions[ATTRIBUTE_USER].value_count == 0 &&
		 draft->conditions[ATTRIBUTE_GROUP].value_count == 0)
		fault = "allows, so it needs 'user =' or 'group ='";
	else if (is_allow && (draft->rule.verbs & VERBS_OF_SECRETS) &&
		 draft->conditions[ATTRIBUTE_SECRET].value_count == 0)
		fault = "allows what concerns secrets, so it needs 'secret ='";
	if (fault != NULL)
		return inifile_refuse(
			error, origin->line, origin->column, "rule '%s' %s", origin->title, fault);
	if (is_allow && draft->nobody.line != 0)
		return inifile_refuse(error, draft->nobody.line, draft->nobody.column,
			"rule '%s' allows nobody, who may be anyone from elsewhere", origin->title);
	return MORTISE_OK;
}

static enum mortise_status finish_rule(struct parsing *parsing, struct inifile_error *error)
{
	struct policy *policy = parsing->policy;
	struct draft *draft = &parsing->draft;
	struct condition *conditions;
	struct rule *rules;
	uint16_t count = 0;

	if (draft->origin == NULL)
		return MORTISE_OK;
	TRY(check_draft(draft, error));
	conditions = policy_keep(policy, sizeof draft->conditions);
	if (conditions == NULL)
		return MORTISE_BUSY;
	for (int i = 0; i < ATTRIBUTE_COUNT; i++) {
		if (draft->conditions[i].value_count == 0)
			continue;
		conditions[count] = draft->conditions[i];
		conditions[count++].attribute = (enum attribute)i;
	}
	rules = policy_grow(
		policy->rules, policy->rule_count, &policy->rule_capacity, sizeof *rules);
	if (rules == NULL)
		return MORTISE_BUSY;
	policy->rules = rules;
	draft->rule.origin = draft->origin;
	draft->rule.conditions = conditions;
	draft->rule.condition_count = count;
	rules[policy->rule_count++] = draft->rule;
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
	       strchr("._-", title[0]) == NULL;
}

static enum mortise_status note_title(struct parsing *parsing, const struct inifile_entry *entry,
	const struct origin **out_origin, struct inifile_error *error)
{
	struct origin *origin = policy_keep(parsing->policy, sizeof *origin);
	struct origin **node;

	if (origin == NULL)
		return MORTISE_BUSY;
	origin->title = policy_keep_text(parsing->policy, entry->title, strlen(entry->title));
	origin->file = parsing->file;
	origin->line = entry->line;
	origin->column = entry->column;
	if (origin->title == NULL)
		return MORTISE_BUSY;
	node = tsearch(origin, &parsing->titles, compare_titles);
	if (node == NULL)
		return MORTISE_BUSY;
	if (*node != origin)
		return inifile_refuse(error, entry->line, entry->column,
			"rule '%s' stands in %.100s:%u already", origin->title, (*node)->file,
			(*node)->line);
	*out_origin = origin;
	return MORTISE_OK;
}

static enum mortise_status begin_rule(
	struct parsing *parsing, const struct inifile_entry *entry, struct inifile_error *error)
{
	if (strcmp(entry->section, "credential") == 0)
		return inifile_refuse(error, entry->line, entry->column,
			"this release does not know [credential ...] yet; expected [rule NAME]");
	if (strcmp(entry->section, "rule") != 0)
		return inifile_refuse(error, entry->line, entry->column,
			"unknown section '%.80s'; expected [rule NAME]", entry->section);
	if (!is_title(entry->title))
		return inifile_refuse(error, entry->line, entry->column,
			"expected a rule's name of 1 to %d letters, digits, '.', '_' and '-', "
			"a letter or digit first",
			POLICY_TITLE_MAX);
	if (parsing->policy->rule_count == POLICY_RULES_MAX)
		return inifile_refuse(error, entry->line, entry->column,
			"a policy has at most %d rules", POLICY_RULES_MAX);
	return note_title(parsing, entry, &parsing->draft.origin, error);
}

static enum mortise_status visit(
	void *context, const struct inifile_entry *entry, struct inifile_error *error)
{
	struct parsing *parsing = context;

	if (entry->key != NULL)
		return read_key(parsing, entry, error);
	TRY(finish_rule(parsing, error));
	return begin_rule(parsing, entry, error);
}

static enum mortise_status parse_file(
	struct parsing *parsing, const struct policy_file *file, struct inifile_error *error)
{
	parsing->file = policy_keep_text(parsing->policy, file->name, strlen(file->name));
	if (parsing->file == NULL)
		return MORTISE_BUSY;
	TRY(inifile_read(file->text, file->size, visit, parsing, error));
	return finish_rule(parsing, error);
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

	if (parsing.policy == NULL)
		return MORTISE_BUSY;
	status = parse_files(&parsing, files, file_count, &at, &error);
	tdestroy(parsing.titles, keep);
	tdestroy(parsing.names, keep);
	if (status == MORTISE_REJECTED)
		inifile_describe(at, &error, out_error->text, sizeof out_error->text);
	if (status == MORTISE_OK)
		*out_policy = parsing.policy;
	else
		policy_free(parsing.policy);
	return status;
}
