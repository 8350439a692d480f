/* SPDX-License-Identifier: ISC */
#include "policy_test_parse.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "inifile.h"
#include "path.h"

struct reading {
	struct test_plan *plan;
	const struct inifile_entry *entry;
	struct inifile_error *error;
};

static enum mortise_status refuse(const struct reading *reading, const char *expected)
{
	return inifile_refuse(reading->error, reading->entry->line, reading->entry->value_column,
		"expected %s, not '%.80s'", expected, reading->entry->value);
}

static enum mortise_status keep(
	const struct reading *reading, const char *text, const char **out_text)
{
	const char *copy = policy_keep_text(reading->plan->policy, text, strlen(text));

	if (copy == NULL)
		return MORTISE_BUSY;
	*out_text = copy;
	return MORTISE_OK;
}

bool test_read_id(const char *text, uint32_t *out_id)
{
	uint64_t id = 0;
	size_t size = strlen(text);

	if (size == 0 || size > 10 || (text[0] == '0' && size > 1))
		return false;
	for (size_t i = 0; i < size; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		id = 10 * id + (uint64_t)(text[i] - '0');
	}
	if (id > UINT32_MAX)
		return false;
	*out_id = (uint32_t)id;
	return true;
}

static enum mortise_status read_account_key(
	const struct reading *reading, struct test_account *account)
{
	const char *value = reading->entry->value;

	if (strcmp(reading->entry->key, "id") == 0) {
		account->has_id = test_read_id(value, &account->id);
		return account->has_id ? MORTISE_OK : refuse(reading, "an id");
	}
	if (account->kind == POLICY_USER && strcmp(reading->entry->key, "groups") == 0)
		return keep(reading, value, &account->groups);
	return inifile_refuse(reading->error, reading->entry->line, reading->entry->column,
		"unknown key '%.80s'; expected %s", reading->entry->key,
		account->kind == POLICY_USER ? "id or groups" : "id");
}

static const struct {
	const char *key, *expected;
	enum attribute attribute;
	size_t place;
} facts[] = {
	{"unit", "units, or the path of a unit's cgroup", ATTRIBUTE_UNIT,
		offsetof(struct expectation, unit)},
	{"exe", "a program", ATTRIBUTE_EXE, offsetof(struct expectation, exe)},
	{"label", "a label", ATTRIBUTE_LABEL, offsetof(struct expectation, label)},
	{"socket", "a listener's name", ATTRIBUTE_SOCKET, offsetof(struct expectation, socket)},
};

static enum mortise_status read_fact(const struct reading *reading, struct expectation *expectation)
{
	const char *value = reading->entry->value;
	char names[SUBJECT_NAMES_MAX];
	struct fact *fact;
	size_t i = 0;

	while (strcmp(facts[i].key, reading->entry->key) != 0)
		i++;
	fact = (struct fact *)(void *)((char *)expectation + facts[i].place);
	if (value[0] == '\0')
		return refuse(reading, "a value, or ? for what cannot be had");
	if (strcmp(value, "?") == 0) {
		*fact = (struct fact){FACT_UNKNOWN, NULL};
		return MORTISE_OK;
	}
	if (subject_suppose(facts[i].attribute, value, names, sizeof names) != MORTISE_OK)
		return refuse(reading, facts[i].expected);
	return keep(reading, names, &fact->text);
}

static enum mortise_status read_account(
	const struct reading *reading, struct expectation *expectation)
{
	bool is_user = strcmp(reading->entry->key, "user") == 0;

	return keep(
		reading, reading->entry->value, is_user ? &expectation->user : &expectation->group);
}

static enum mortise_status read_rule(const struct reading *reading, struct expectation *expectation)
{
	return keep(reading, reading->entry->value, &expectation->rule);
}

static enum mortise_status read_at(const struct reading *reading, struct expectation *expectation)
{
	const char *value = reading->entry->value;

	expectation->has_at = when_read_instant(value, strlen(value), &expectation->at);
	return expectation->has_at ? MORTISE_OK
				   : refuse(reading, "a time such as 2026-11-23T02:30Z");
}

static enum mortise_status read_verb(const struct reading *reading, struct expectation *expectation)
{
	expectation->verb = verb_of_name(reading->entry->value);
	return expectation->verb != 0 ? MORTISE_OK : refuse(reading, "one verb");
}

static enum mortise_status read_path(const struct reading *reading, struct expectation *expectation)
{
	if (!path_is_valid(reading->entry->value, strlen(reading->entry->value)))
		return refuse(reading, "a secret's path");
	return keep(reading, reading->entry->value, &expectation->path);
}

static enum mortise_status read_result(
	const struct reading *reading, struct expectation *expectation)
{
	expectation->allowed = strcmp(reading->entry->value, "allow") == 0;
	expectation->has_result =
		expectation->allowed || strcmp(reading->entry->value, "deny") == 0;
	return expectation->has_result ? MORTISE_OK : refuse(reading, "allow or deny");
}

static const struct {
	const char *key;
	enum mortise_status (*read)(const struct reading *reading, struct expectation *expectation);
} keys[] = {
	{"user", read_account},
	{"group", read_account},
	{"unit", read_fact},
	{"exe", read_fact},
	{"label", read_fact},
	{"socket", read_fact},
	{"at", read_at},
	{"verb", read_verb},
	{"path", read_path},
	{"result", read_result},
	{"rule", read_rule},
};

static enum mortise_status read_expectation_key(
	const struct reading *reading, struct expectation *expectation)
{
	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
		if (strcmp(reading->entry->key, keys[i].key) == 0)
			return keys[i].read(reading, expectation);
	return inifile_refuse(reading->error, reading->entry->line, reading->entry->column,
		"unknown key '%.80s'; expected user, group, unit, exe, label, socket, at, verb, "
		"path, result or rule",
		reading->entry->key);
}

static enum mortise_status add_account(const struct reading *reading)
{
	struct test_plan *plan = reading->plan;
	struct test_account account = {.file = plan->file, .line = reading->entry->line};
	struct test_account *accounts = policy_grow(
		plan->accounts, plan->account_count, &plan->account_capacity, sizeof account);

	if (accounts == NULL)
		return MORTISE_BUSY;
	plan->accounts = accounts;
	account.kind = strcmp(reading->entry->section, "user") == 0 ? POLICY_USER : POLICY_GROUP;
	TRY(keep(reading, reading->entry->title, &account.name));
	accounts[plan->account_count++] = account;
	return MORTISE_OK;
}

static enum mortise_status add_expectation(const struct reading *reading)
{
	static const struct fact other = {FACT_KNOWN, SUBJECT_UNSAID};
	struct test_plan *plan = reading->plan;
	struct expectation expectation = {.file = plan->file,
		.line = reading->entry->line,
		.unit = other,
		.exe = other,
		.label = other,
		.socket = {FACT_KNOWN, SUBJECT_SOCKET_MAIN}};
	struct expectation *expectations = policy_grow(plan->expectations, plan->expectation_count,
		&plan->expectation_capacity, sizeof expectation);

	if (expectations == NULL)
		return MORTISE_BUSY;
	plan->expectations = expectations;
	TRY(keep(reading, reading->entry->title, &expectation.name));
	expectations[plan->expectation_count++] = expectation;
	return MORTISE_OK;
}

static enum mortise_status visit(
	void *context, const struct inifile_entry *entry, struct inifile_error *error)
{
	struct test_plan *plan = context;
	const struct reading reading = {plan, entry, error};
	bool is_expectation = strcmp(entry->section, "expect") == 0;

	if (entry->key != NULL && is_expectation)
		return read_expectation_key(
			&reading, &plan->expectations[plan->expectation_count - 1]);
	if (entry->key != NULL)
		return read_account_key(&reading, &plan->accounts[plan->account_count - 1]);
	if (!is_expectation && strcmp(entry->section, "user") != 0 &&
		strcmp(entry->section, "group") != 0)
		return inifile_refuse(error, entry->line, entry->column,
			"unknown section '%.80s'; expected [expect NAME], [user NAME] or [group "
			"NAME]",
			entry->section);
	if (entry->title[0] == '\0')
		return inifile_refuse(
			error, entry->line, entry->column, "expected [%s NAME]", entry->section);
	return is_expectation ? add_expectation(&reading) : add_account(&reading);
}

static const char *find_gap(const struct expectation *expectation)
{
	if (expectation->verb == 0)
		return "verb";
	if (!expectation->has_result)
		return "result";
	if (expectation->path == NULL && (expectation->verb & VERBS_OF_SECRETS))
		return "path";
	return NULL;
}

static enum mortise_status check_whole(
	const struct test_plan *plan, const char **file, struct inifile_error *error)
{
	for (size_t i = 0; i < plan->account_count; i++) {
		*file = plan->accounts[i].file;
		if (!plan->accounts[i].has_id)
			return inifile_refuse(error, plan->accounts[i].line, 1,
				"expected 'id =' in this section");
	}
	for (size_t i = 0; i < plan->expectation_count; i++) {
		const char *gap = find_gap(&plan->expectations[i]);

		*file = plan->expectations[i].file;
		if (gap != NULL)
			return inifile_refuse(error, plan->expectations[i].line, 1,
				"expected '%s =' in this section", gap);
	}
	return MORTISE_OK;
}

static enum mortise_status read_all(struct test_plan *plan, const struct policy_file *files,
	size_t count, const char **file, struct inifile_error *error)
{
	for (size_t i = 0; i < count; i++) {
		*file = files[i].name;
		plan->file = policy_keep_text(plan->policy, files[i].name, strlen(files[i].name));
		if (plan->file == NULL)
			return MORTISE_BUSY;
		TRY(inifile_read(files[i].text, files[i].size, visit, plan, error));
	}
	return check_whole(plan, file, error);
}

enum mortise_status test_plan_read(struct test_plan *plan, const struct policy_file *files,
	size_t count, struct policy_error *out_error)
{
	struct inifile_error error = {0};
	const char *file = "";
	enum mortise_status status = read_all(plan, files, count, &file, &error);

	if (status == MORTISE_REJECTED)
		inifile_describe(file, &error, out_error->text, sizeof out_error->text);
	return status;
}

void test_plan_done(struct test_plan *plan)
{
	free(plan->accounts);
	free(plan->expectations);
}
