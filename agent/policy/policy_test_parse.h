/* SPDX-License-Identifier: ISC */
/* policy_test_parse: files of expectations, read. Private to policy_test.c. */
#ifndef MORTISE_POLICY_TEST_PARSE_H
#define MORTISE_POLICY_TEST_PARSE_H

#include "policy_rules.h"

struct test_account {
	enum policy_name_kind kind;
	const char *name, *groups; /* groups NULL: none said */
	const char *file;
	unsigned line;
	uint32_t id;
	bool has_id;
};

struct expectation {
	const char *name, *file;
	unsigned line;
	const char *user, *group, *path, *rule; /* NULL: not said */
	struct fact unit, exe, label, socket;
	time_t at;
	enum verb verb;
	bool has_at, has_result, allowed;
};

/* All texts are the policy's. */
struct test_plan {
	struct policy *policy;
	const char *file;
	struct test_account *accounts;
	size_t account_count, account_capacity;
	struct expectation *expectations;
	size_t expectation_count, expectation_capacity;
};

enum mortise_status test_plan_read(struct test_plan *plan, const struct policy_file *files,
	size_t count, struct policy_error *out_error) MUST_USE;
void test_plan_done(struct test_plan *plan);

/* "34" */
bool test_read_id(const char *text, uint32_t *out_id);

#endif
