/* SPDX-License-Identifier: ISC */
#include "policy_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "inifile.h"
#include "policy_answers.h"
#include "policy_test_parse.h"

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
	if (*judging != NULL)
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

		policy_pin(plan->policy, i,
			account != NULL ? account->id : ID_OF_NOBODY + (uint32_t)i);
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

static enum mortise_status refuse(
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

	if (account != NULL) {
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
	return refuse(judging, kind, name);
}

static enum mortise_status add_groups(struct judging *judging, const char *names)
{
	while (names != NULL && *(names += strspn(names, " \t")) != '\0') {
		size_t size = strcspn(names, " \t");
		char name[POLICY_NAME_MAX + 1];

		(void)snprintf(name, sizeof name, "%.*s", (int)size, names);
		if (judging->group_count == GROUPS_MAX)
			return refuse_groups(judging);
		if (size > POLICY_NAME_MAX)
			return refuse(judging, POLICY_GROUP, name);
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
	if (expectation->user != NULL) {
		TRY(find_id(judging, POLICY_USER, expectation->user, &uid));
		account = find_account(&judging->plan, POLICY_USER, expectation->user);
		TRY(add_groups(judging, account != NULL ? account->groups : NULL));
	}
	TRY(add_groups(judging, expectation->group));
	*out_subject = (struct subject){
		.uid = uid,
		.groups = judging->groups,
		.group_count = judging->group_count,
		.unit = expectation->unit,
		.exe = expectation->exe,
		.label = expectation->label,
		.socket = expectation->socket,
	};
	return MORTISE_OK;
}

static bool is_as_expected(const struct expectation *expectation, const struct decision *decision)
{
	if (decision->allowed != expectation->allowed)
		return false;
	return expectation->rule == NULL ||
	       (decision->rule != NULL && strcmp(decision->rule, expectation->rule) == 0);
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
	if (visit != NULL)
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

	if (judging == NULL)
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
