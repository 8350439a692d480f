/* SPDX-License-Identifier: ISC */
/* Facts about callers: units, programs, labels, listeners; times and rates; names that change. */
#include "policy_fixture.h"

#define UNIT(text)                                                                                 \
	(struct subject)                                                                           \
	{                                                                                          \
		.uid = 34, .unit = { FACT_KNOWN, text }                                            \
	}

static struct decision decide(const char *text, struct subject subject, time_t now)
{
	static struct policy *policy;
	static const uint32_t groups[] = {1};

	policy_free(policy);
	policy = compile(text);
	if (subject.group_count == 0) {
		subject.groups = groups;
		subject.group_count = 1;
	}
	return policy_decide(policy, &subject, VERB_READ, "prod/a", now);
}

static bool may(const char *text, struct subject subject)
{
	return decide(text, subject, 0).allowed;
}

/* Sets one fact at a time of a subject that is otherwise right. */
static void try_fact(const char *rule, size_t offset, const char *right, const char *wrong)
{
	struct subject subject = {.uid = 34};
	struct fact *fact = (struct fact *)((char *)&subject + offset);
	char allow[256], deny[256];

	(void)snprintf(allow, sizeof allow, ALLOW "user = 34\n%s\n", rule);
	(void)snprintf(deny, sizeof deny, ALLOW "user = 34\n[rule d]\ndeny = read\n%s\n", rule);
	*fact = (struct fact){FACT_KNOWN, right};
	assert_true(may(allow, subject));
	assert_false(may(deny, subject));
	*fact = (struct fact){FACT_KNOWN, wrong};
	assert_false(may(allow, subject));
	assert_true(may(deny, subject));
	*fact = (struct fact){FACT_UNKNOWN, NULL};
	assert_false(may(allow, subject));
	assert_false(may(deny, subject));
	*fact = (struct fact){FACT_UNGATHERED, NULL};
	assert_false(may(allow, subject));
	assert_false(may(deny, subject));
	*fact = (struct fact){FACT_KNOWN, ""};
	assert_false(may(allow, subject));
	assert_true(may(deny, subject));
}

static void a_fact_that_cannot_be_had_matches_each_deny_and_no_allow(void **state)
{
	(void)state;
	try_fact("unit = x.service a.service", offsetof(struct subject, unit),
		"a.service system.slice", "b.service system.slice");
	try_fact("exe = /bin/x /bin/a", offsetof(struct subject, exe), "/bin/a", "/bin/a b");
	try_fact("label = x_t a_t", offsetof(struct subject, label), "u:r:a_t:s0 a_t",
		"u:r:b_t b_t");
	try_fact("socket = x web", offsetof(struct subject, socket), "web", "main");
}

static void each_fact_alone_allows_but_exe(void **state)
{
	struct subject subject = {.uid = 7,
		.socket = {FACT_KNOWN, "web"},
		.label = {FACT_KNOWN, "u:r:a_t:s0 a_t"},
		.unit = {FACT_KNOWN, "a.service"}};

	(void)state;
	assert_true(may(ALLOW "socket = web\n", subject));
	assert_true(may(ALLOW "label = a_t\n", subject));
	assert_true(may(ALLOW "label = u:r:a_t:s0\n", subject));
	assert_true(may(ALLOW "unit = a.service\n", subject));
}

static void a_unit_s_slices_and_user_units_are_its_names_too(void **state)
{
	static const char names[] = "user@7.service user.slice user:a.service user:app.slice";

	(void)state;
	assert_true(may(ALLOW "unit = user.slice\n", UNIT(names)));
	assert_true(may(ALLOW "unit = user@*.service\n", UNIT(names)));
	assert_true(may(ALLOW "user = 34\nunit = user:a.service\n", UNIT(names)));
	assert_false(may(ALLOW "unit = a.service\n", UNIT(names)));
	assert_false(may(ALLOW "unit = app.slice\n", UNIT(names)));
	assert_false(may(ALLOW "unit = user@8.service\n", UNIT(names)));
}

static void an_instance_s_pattern_is_found(void **state)
{
	(void)state;
	assert_true(may(ALLOW "unit = b@*.service\n", UNIT("b@x.service")));
	assert_true(may(ALLOW "unit = b@x*.service\n", UNIT("b@xy.service")));
	assert_true(may(ALLOW "unit = b@xy.service\n", UNIT("b@xy.service")));
	assert_false(may(ALLOW "unit = b@x*.service\n", UNIT("b@yx.service")));
	assert_false(may(ALLOW "unit = b@*.service\n", UNIT("b.service")));
}

static void a_program_s_path_is_taken_whole(void **state)
{
	struct subject subject = {.uid = 34, .exe = {FACT_KNOWN, "/opt/my /bin/a"}};

	(void)state;
	assert_false(may(ALLOW "user = 34\nexe = /bin/a\n", subject));
	assert_false(may(ALLOW "user = 34\nexe = /opt/my\n", subject));
}

static void denies_by_fact_alone_reach_everybody(void **state)
{
	struct subject subject = {.uid = 34, .exe = {FACT_KNOWN, "/bin/sh"}};
	struct decision decision =
		decide(ALLOW "user = 34\n[rule d]\ndeny = read\nexe = /bin/sh\n", subject, 0);

	(void)state;
	assert_string_equal(decision.rule, "d");
}

static void what_is_needed_is_what_may_still_decide(void **state)
{
	static const uint32_t groups[] = {50};
	struct policy *policy = compile(ALLOW
		"user = 34\nexe = /bin/a\nunit = a.service\n[rule b]\nallow = read\nsecret = **\n"
		"group = dba\nlabel = x_t\n");
	struct subject subject = {.uid = 35, .groups = groups, .group_count = 1};

	(void)state;
	assert_int_equal(policy_needs(policy, &subject), 1u << ATTRIBUTE_LABEL);
	subject = (struct subject){.uid = 34, .groups = groups + 0, .group_count = 1};
	subject.label = (struct fact){FACT_UNKNOWN, NULL};
	assert_int_equal(
		policy_needs(policy, &subject), 1u << ATTRIBUTE_UNIT | 1u << ATTRIBUTE_EXE);
	subject.unit = (struct fact){FACT_KNOWN, "b.service"};
	assert_int_equal(policy_needs(policy, &subject), 0);
	subject.unit = (struct fact){FACT_KNOWN, "a.service"};
	assert_int_equal(policy_needs(policy, &subject), 1u << ATTRIBUTE_EXE);
	subject.exe = (struct fact){FACT_UNKNOWN, NULL};
	assert_int_equal(policy_needs(policy, &subject), 0);
	policy_free(policy);
}

static void rules_that_name_no_user_are_needed_by_all(void **state)
{
	struct policy *policy =
		compile(ALLOW "unit = a.service\nexe = /bin/a\nhours = 00:00-01:00\n");
	struct subject subject = {.uid = 7};

	(void)state;
	assert_int_equal(policy_needs(policy, &subject), 1u << ATTRIBUTE_UNIT);
	subject.unit = (struct fact){FACT_KNOWN, "x.slice a.service"};
	assert_int_equal(policy_needs(policy, &subject), 1u << ATTRIBUTE_EXE);
	policy_free(policy);
}

static void a_policy_of_users_needs_nothing(void **state)
{
	struct policy *policy = compile(ALLOW "user = 34\n");

	(void)state;
	assert_int_equal(policy_needs(policy, &(struct subject){.uid = 34}), 0);
	assert_int_equal(policy_exe_rule_count(policy), 0);
	policy_free(policy);
}

static void a_rule_holds_in_its_hours_on_its_days_until_it_expires(void **state)
{
	static const char text[] = ALLOW "user = 34\nhours = 02:00-04:00Z 22:00-01:00Z\n"
					 "days = mon tue\nexpires = 2026-12-01Z\n";
	const time_t monday = 1795392000;
	struct subject subject = {.uid = 34};

	(void)state;
	assert_true(decide(text, subject, monday + 3 * 3600).allowed);
	assert_true(decide(text, subject, monday + 22 * 3600).allowed);
	assert_true(decide(text, subject, monday + 2 * 86400 + 1800).allowed);
	assert_false(decide(text, subject, monday).allowed);
	assert_false(decide(text, subject, monday + 5 * 3600).allowed);
	assert_false(decide(text, subject, monday + 2 * 86400 + 3 * 3600).allowed);
	assert_false(decide(text, subject, monday + 8 * 86400 + 3 * 3600).allowed);
	assert_true(decide(text, subject, monday + 7 * 86400 + 23 * 3600).allowed);
}

static void the_second_of_expiry_is_too_late(void **state)
{
	static const char text[] = ALLOW "user = 34\nexpires = 2026-11-23Z\n";

	(void)state;
	assert_true(decide(text, (struct subject){.uid = 34}, 1795391999).allowed);
	assert_false(decide(text, (struct subject){.uid = 34}, 1795392000).allowed);
}

static void the_allow_without_rate_or_with_the_highest_decides(void **state)
{
	static const char rated[] = "[rule a]\nallow = read\nsecret = **\nuser = 34\nrate = 20/h\n"
				    "[rule b]\nallow = read\nsecret = **\nuser = 34\nrate = 1/min\n"
				    "[rule c]\nallow = read\nsecret = **\nuser = 34\nrate = 60/h\n";
	char text[512];
	struct decision decision = decide(rated, (struct subject){.uid = 34}, 0);

	(void)state;
	assert_string_equal(decision.rule, "c");
	assert_int_equal(decision.rule_number, 2);
	assert_int_equal(decision.rate.count, 60);
	assert_int_equal(decision.rate.period_s, 3600);
	(void)snprintf(
		text, sizeof text, "%s[rule d]\nallow = read\nsecret = **\nuser = 34\n", rated);
	decision = decide(text, (struct subject){.uid = 34}, 0);
	assert_string_equal(decision.rule, "d");
	assert_int_equal(decision.rate.count, 0);
}

static void count_disabled(void *context, const struct policy_disabled *disabled)
{
	unsigned *count = context;

	assert_string_equal(disabled->rule, "a");
	assert_string_equal(disabled->name->name, "alice");
	assert_int_equal(disabled->state, POLICY_NAME_GONE);
	assert_int_equal(disabled->line, 1);
	(*count)++;
}

static void a_name_that_is_gone_disables_allows_and_no_deny(void **state)
{
	struct policy *policy = compile(ALLOW "user = alice 7\n[rule d]\ndeny = read\n"
					      "secret = prod/x\nuser = alice\n");
	unsigned count = 0;

	(void)state;
	policy_name_became(policy, 0, POLICY_NAME_GONE);
	policy_name_became(policy, 99, POLICY_NAME_GONE);
	assert_null(ask(policy, 1000, 1, VERB_READ, "prod/a").rule);
	assert_null(ask(policy, 7, 1, VERB_READ, "prod/a").rule);
	assert_string_equal(ask(policy, 1000, 1, VERB_READ, "prod/x").rule, "d");
	policy_disabled(policy, count_disabled, &count);
	assert_int_equal(count, 1);
	policy_name_became(policy, 0, POLICY_NAME_CHANGED);
	assert_false(ask(policy, 1000, 1, VERB_READ, "prod/a").allowed);
	policy_name_became(policy, 0, POLICY_NAME_SAME);
	assert_true(ask(policy, 1000, 1, VERB_READ, "prod/a").allowed);
	policy_free(policy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_fact_that_cannot_be_had_matches_each_deny_and_no_allow),
		cmocka_unit_test(each_fact_alone_allows_but_exe),
		cmocka_unit_test(a_unit_s_slices_and_user_units_are_its_names_too),
		cmocka_unit_test(an_instance_s_pattern_is_found),
		cmocka_unit_test(a_program_s_path_is_taken_whole),
		cmocka_unit_test(denies_by_fact_alone_reach_everybody),
		cmocka_unit_test(what_is_needed_is_what_may_still_decide),
		cmocka_unit_test(rules_that_name_no_user_are_needed_by_all),
		cmocka_unit_test(a_policy_of_users_needs_nothing),
		cmocka_unit_test(a_rule_holds_in_its_hours_on_its_days_until_it_expires),
		cmocka_unit_test(the_second_of_expiry_is_too_late),
		cmocka_unit_test(the_allow_without_rate_or_with_the_highest_decides),
		cmocka_unit_test(a_name_that_is_gone_disables_allows_and_no_deny),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
