/* SPDX-License-Identifier: ISC */
#include "policy_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "inifile.h"
#include "path.h"
#include "policy_answers.h"
#include "policy_rules.h"

struct expectation {
	const char *name, *file;
	unsigned line;
	const char *user, *group, *path, *rule; /* NULL: not said */
	struct fact facts[FACT_COUNT];
	time_t at;
	enum verb verb;
	bool has_at, has_result, allowed;
};

struct test_account {
	enum policy_name_kind kind;
	const char *name, *groups; /* groups NULL: none said */
	const char *file;
	unsigned line;
	uint32_t id;
	bool has_id;
};

/* All texts are the policy's. */
struct test_plan {
	struct policy *policy;
	const char *file;
	struct test_account *accounts;
	size_t account_count;
	struct expectation *expectations;
	size_t expectation_count;
};

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

	if (!copy)
		return MORTISE_BUSY;
	*out_text = copy;
	return MORTISE_OK;
}

/* "34" */
static bool test_read_id(const char *text, uint32_t *out_id)
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

static enum mortise_status read_fact(const struct reading *reading, struct expectation *expectation)
{
	const char *value = reading->entry->value;
	enum attribute attribute = fact_of_name(reading->entry->key);
	struct fact *fact = &expectation->facts[attribute - ATTRIBUTE_FACTS];
	char names[SUBJECT_NAMES_MAX];

	if (value[0] == '\0')
		return refuse(reading, "a value, or ? for what cannot be had");
	if (strcmp(value, "?") == 0) {
		*fact = (struct fact){FACT_UNKNOWN, NULL};
		return MORTISE_OK;
	}
	if (subject_suppose(attribute, value, names, sizeof names) != MORTISE_OK)
		return refuse(reading, fact_row(attribute)->supposed_text);
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
	{"at", read_at},
	{"verb", read_verb},
	{"path", read_path},
	{"result", read_result},
	{"rule", read_rule},
};

static enum mortise_status read_expectation_key(
	const struct reading *reading, struct expectation *expectation)
{
	char facts[80] = "";
	size_t used = 0;

	if (fact_of_name(reading->entry->key) != ATTRIBUTE_COUNT)
		return read_fact(reading, expectation);
	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
		if (strcmp(reading->entry->key, keys[i].key) == 0)
			return keys[i].read(reading, expectation);
	for (unsigned i = ATTRIBUTE_FACTS; i < ATTRIBUTE_FACTS_END; i++)
		used += (size_t)snprintf(facts + used, sizeof facts - used, "%s, ",
			attribute_name((enum attribute)i));
	return inifile_refuse(reading->error, reading->entry->line, reading->entry->column,
		"unknown key '%.80s'; expected user, group, %sat, verb, path, result or rule",
		reading->entry->key, facts);
}

static enum mortise_status add_account(const struct reading *reading)
{
	struct test_plan *plan = reading->plan;
	struct test_account account = {.file = plan->file, .line = reading->entry->line};
	struct test_account *accounts =
		array_room(plan->accounts, plan->account_count, sizeof account);

	if (!accounts)
		return MORTISE_BUSY;
	plan->accounts = accounts;
	account.kind = strcmp(reading->entry->section, "user") == 0 ? POLICY_USER : POLICY_GROUP;
	TRY(keep(reading, reading->entry->title, &account.name));
	accounts[plan->account_count++] = account;
	return MORTISE_OK;
}

static enum mortise_status add_expectation(const struct reading *reading)
{
	struct test_plan *plan = reading->plan;
	struct expectation expectation = {.file = plan->file, .line = reading->entry->line};
	struct expectation *expectations =
		array_room(plan->expectations, plan->expectation_count, sizeof expectation);

	if (!expectations)
		return MORTISE_BUSY;
	plan->expectations = expectations;
	for (unsigned i = 0; i < FACT_COUNT; i++)
		expectation.facts[i] = (struct fact){
			FACT_KNOWN, fact_row((enum attribute)(ATTRIBUTE_FACTS + i))->unsaid};
	TRY(keep(reading, reading->entry->title, &expectation.name));
	expectations[plan->expectation_count++] = expectation;
	return MORTISE_OK;
}

static enum mortise_status visit_entry(
	void *context, const struct inifile_entry *entry, struct inifile_error *error)
{
	struct test_plan *plan = context;
	const struct reading reading = {plan, entry, error};
	bool is_expectation = strcmp(entry->section, "expect") == 0;

	if (entry->key && is_expectation)
		return read_expectation_key(
			&reading, &plan->expectations[plan->expectation_count - 1]);
	if (entry->key)
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
	if (!expectation->path && (expectation->verb & verbs_of_secrets()))
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
		if (gap)
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
		if (!plan->file)
			return MORTISE_BUSY;
		TRY(inifile_read(files[i].text, files[i].size, visit_entry, plan, error));
	}
	return check_whole(plan, file, error);
}

static enum mortise_status test_plan_read(struct test_plan *plan, const struct policy_file *files,
	size_t count, struct policy_error *out_error)
{
	struct inifile_error error = {0};
	const char *file = "";
	enum mortise_status status = read_all(plan, files, count, &file, &error);

	if (status == MORTISE_REJECTED)
		inifile_describe(file, &error, out_error->text, sizeof out_error->text);
	return status;
}

static void test_plan_done(struct test_plan *plan)
{
	free(plan->accounts);
	free(plan->expectations);
}

#define ID_OF_NOBODY 3000000000u /* and those behind it: of names that are not said */
#define GROUPS_MAX   1024

struct judging {
	struct test_plan plan;
	time_t now;
	const struct expectation *expectation;
	struct policy_error *error;
	uint32_t groups[GROUPS_MAX];
	size_t group_count;
};

static void drop_policy(struct policy **policy)
{
	policy_free(*policy);
}

static void drop_judging(struct judging **judging)
{
	if (*judging)
		test_plan_done(&(*judging)->plan);
	free(*judging);
}

static const struct test_account *find_account(
	const struct test_plan *plan, enum policy_name_kind kind, const char *name)
{
	for (size_t i = 0; i < plan->account_count; i++)
		if (plan->accounts[i].kind == kind && strcmp(plan->accounts[i].name, name) == 0)
			return &plan->accounts[i];
	return NULL;
}

static void pin_names(const struct test_plan *plan)
{
	for (size_t i = 0; i < policy_name_count(plan->policy); i++) {
		struct policy_name name = policy_name_at(plan->policy, i);
		const struct test_account *account = find_account(plan, name.kind, name.name);

		policy_pin(plan->policy, i, account ? account->id : ID_OF_NOBODY + (uint32_t)i);
	}
}

static enum mortise_status place_error(const struct judging *judging,
	const struct inifile_error *error, enum mortise_status status)
{
	inifile_describe(judging->expectation->file, error, judging->error->text,
		sizeof judging->error->text);
	return status;
}

static enum mortise_status refuse_groups(const struct judging *judging)
{
	struct inifile_error error;
	enum mortise_status status = inifile_refuse(&error, judging->expectation->line, 1,
		"expectation '%.64s' has more than %d groups", judging->expectation->name,
		GROUPS_MAX - 1);

	return place_error(judging, &error, status);
}

static enum mortise_status refuse_name(
	const struct judging *judging, enum policy_name_kind kind, const char *name)
{
	const char *what = kind == POLICY_USER ? "user" : "group";
	struct inifile_error error;
	enum mortise_status status = inifile_refuse(&error, judging->expectation->line, 1,
		"expectation '%.64s' needs a section [%s %.80s]", judging->expectation->name, what,
		name);

	return place_error(judging, &error, status);
}

/* An account of the files, one that only the policy names, or a number. */
static enum mortise_status find_id(const struct judging *judging, enum policy_name_kind kind,
	const char *name, uint32_t *out_id)
{
	const struct policy *policy = judging->plan.policy;
	const struct test_account *account = find_account(&judging->plan, kind, name);

	if (account) {
		*out_id = account->id;
		return MORTISE_OK;
	}
	if (test_read_id(name, out_id))
		return MORTISE_OK;
	for (size_t i = 0; i < policy->name_count; i++)
		if (policy->names[i]->seen.kind == kind &&
			strcmp(policy->names[i]->seen.name, name) == 0) {
			*out_id = policy->names[i]->id;
			return MORTISE_OK;
		}
	return refuse_name(judging, kind, name);
}

static enum mortise_status add_groups(struct judging *judging, const char *names)
{
	while (names && *(names += strspn(names, " \t")) != '\0') {
		size_t size = strcspn(names, " \t");
		char name[POLICY_NAME_MAX + 1];

		(void)snprintf(name, sizeof name, "%.*s", (int)size, names);
		if (judging->group_count == GROUPS_MAX)
			return refuse_groups(judging);
		if (size > POLICY_NAME_MAX)
			return refuse_name(judging, POLICY_GROUP, name);
		TRY(find_id(judging, POLICY_GROUP, name, &judging->groups[judging->group_count]));
		judging->group_count++;
		names += size;
	}
	return MORTISE_OK;
}

static enum mortise_status find_subject(struct judging *judging, struct subject *out_subject)
{
	const struct expectation *expectation = judging->expectation;
	const struct test_account *account;
	uint32_t uid = SUBJECT_STRANGER;

	judging->groups[0] = SUBJECT_STRANGER;
	judging->group_count = 1;
	if (expectation->user) {
		TRY(find_id(judging, POLICY_USER, expectation->user, &uid));
		account = find_account(&judging->plan, POLICY_USER, expectation->user);
		TRY(add_groups(judging, account ? account->groups : NULL));
	}
	TRY(add_groups(judging, expectation->group));
	*out_subject = (struct subject){
		.uid = uid,
		.groups = judging->groups,
		.group_count = judging->group_count,
	};
	memcpy(out_subject->facts, expectation->facts, sizeof expectation->facts);
	return MORTISE_OK;
}

static bool is_as_expected(const struct expectation *expectation, const struct decision *decision)
{
	if (decision->allowed != expectation->allowed)
		return false;
	return !expectation->rule ||
	       (decision->rule && strcmp(decision->rule, expectation->rule) == 0);
}

static enum mortise_status judge(struct judging *judging, policy_test_visit *visit, void *context)
{
	const struct expectation *expectation = judging->expectation;
	struct policy_explanation explanation;
	struct subject subject;
	char text[1024];

	TRY(find_subject(judging, &subject));
	policy_explain(judging->plan.policy, &subject, expectation->verb, expectation->path,
		expectation->has_at ? expectation->at : judging->now, &explanation);
	policy_explain_text(&explanation, text, sizeof text);
	if (visit)
		visit(context, &(struct policy_test_result){expectation->name, expectation->file,
				       expectation->line,
				       is_as_expected(expectation, &explanation.decision), text});
	return MORTISE_OK;
}

/* Once without a word, so that a mistake in the files comes before any result. */
static enum mortise_status judge_all(
	struct judging *judging, policy_test_visit *visit, void *context)
{
	for (size_t i = 0; i < judging->plan.expectation_count; i++) {
		judging->expectation = &judging->plan.expectations[i];
		TRY(judge(judging, visit, context));
	}
	return MORTISE_OK;
}

enum mortise_status policy_test(const struct policy_file *policy_files, size_t policy_count,
	const struct policy_file *test_files, size_t test_count, time_t now,
	policy_test_visit *visit, void *context, struct policy_error *out_error)
{
	CLEANUP(drop_policy) struct policy *policy = NULL;
	CLEANUP(drop_judging) struct judging *judging = calloc(1, sizeof *judging);

	if (!judging)
		return MORTISE_BUSY;
	TRY(policy_parse(policy_files, policy_count, &policy, out_error));
	judging->plan.policy = policy;
	judging->now = now;
	judging->error = out_error;
	TRY(test_plan_read(&judging->plan, test_files, test_count, out_error));
	pin_names(&judging->plan);
	TRY(policy_compile(policy, out_error));
	TRY(judge_all(judging, NULL, NULL));
	return judge_all(judging, visit, context);
}
