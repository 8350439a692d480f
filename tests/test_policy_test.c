/* SPDX-License-Identifier: ISC */
#include "policy_fixture.h"

#include "policy_test.h"

static char said[8192];

static void note(void *context, const struct policy_test_result *result)
{
	size_t used = strlen(said);

	(void)context;
	(void)snprintf(said + used, sizeof said - used, "%s %s:%u %s: %s\n",
		result->passed ? "ok" : "not ok", result->file, result->line, result->name,
		result->text);
}

static enum mortise_status run(const char *policy, const char *expectations)
{
	const struct policy_file files[] = {{"p", policy, strlen(policy)}};
	const struct policy_file tests[] = {{"t", expectations, strlen(expectations)}};

	said[0] = error.text[0] = '\0';
	return policy_test(files, 1, tests, 1, 0, note, NULL, &error);
}

static void says(const char *policy, const char *expectations, const char *expected)
{
	if (run(policy, expectations) != MORTISE_OK)
		fail_msg("%s", error.text);
	assert_string_equal(said, expected);
}

static void refuses(const char *expectations, const char *expected)
{
	assert_int_equal(run(ALLOW "user = backup\n", expectations), MORTISE_REJECTED);
	if (strncmp(error.text, expected, strlen(expected)) != 0)
		fail_msg("expected %s..., not %s", expected, error.text);
	assert_string_equal(said, "");
}

#define READ "verb = read\npath = prod/a\n"

static void expectations_are_judged_by_the_users_of_the_file(void **state)
{
	(void)state;
	says(ALLOW "user = backup\n",
		"[user backup]\nid = 34\n[expect yes]\nuser = backup\n" READ "result = allow\n"
		"[expect number]\nuser = 34\n" READ "result = allow\nrule = a\n"
		"[expect other]\nuser = 35\n" READ "result = deny\n[expect none]\n" READ
		"result = deny\n",
		"ok t:3 yes: rule 'a' (p:1) allows it\nok t:8 number: rule 'a' (p:1) allows it\n"
		"ok t:14 other: no rule allows it; nearest is rule 'a' (p:1): user is 35, not "
		"backup\n"
		"ok t:19 none: no rule allows it; nearest is rule 'a' (p:1): user is not given, "
		"not backup\n");
}

static void what_is_not_as_expected_fails(void **state)
{
	(void)state;
	says(ALLOW "user = backup\n",
		"[expect no]\nuser = backup\n" READ "result = deny\n"
		"[expect rule]\nuser = backup\n" READ "result = allow\nrule = b\n"
		"[expect none]\nuser = 7\n" READ "result = deny\nrule = a\n",
		"not ok t:1 no: rule 'a' (p:1) allows it\nnot ok t:6 rule: rule 'a' (p:1) allows "
		"it\n"
		"not ok t:12 none: no rule allows it; nearest is rule 'a' (p:1): user is 7, not "
		"backup\n");
}

static void groups_come_from_the_user_and_from_the_expectation(void **state)
{
	static const char policy[] = ALLOW "group = dba\n[rule b]\nallow = list\nsecret = **\n"
					   "group = 9\n";

	(void)state;
	says(policy,
		"[group dba]\nid = 50\n[user u]\nid = 7\ngroups = 3 dba\n"
		"[expect a]\nuser = u\n" READ "result = allow\n"
		"[expect b]\nuser = u\nverb = list\npath = x\nresult = deny\n"
		"[expect c]\nuser = u\ngroup = 9\nverb = list\npath = x\nresult = allow\n"
		"[expect d]\ngroup = dba 9\n" READ "result = allow\n",
		"ok t:6 a: rule 'a' (p:1) allows it\n"
		"ok t:11 b: no rule allows it; nearest is rule 'b' (p:5): group is another, "
		"not 9; then rule 'a' (p:1): secret is x, not prod/**; verb is list, not read\n"
		"ok t:16 c: rule 'b' (p:5) allows it\nok t:22 d: rule 'a' (p:1) allows it\n");
}

static void facts_are_those_said_and_no_others(void **state)
{
	static const char policy[] =
		ALLOW "unit = a.service\nexe = /bin/a\nlabel = x_t\n"
		      "socket = web\n[rule d]\ndeny = read\nunit = d.service\n";
	static const char rest[] = "exe = /bin/a\nlabel = u:r:x_t:s0\nsocket = web\n" READ;
	char tests[1024];

	(void)state;
	(void)snprintf(tests, sizeof tests,
		"[expect a]\nunit =  a.service   x.slice\n%sresult = allow\n"
		"[expect b]\nunit = /x.slice/a.service/y\n%sresult = allow\n"
		"[expect c]\n%sresult = deny\n[expect d]\nunit = ?\n%sresult = deny\nrule = d\n",
		rest, rest, rest, rest);
	says(policy, tests,
		"ok t:1 a: rule 'a' (p:1) allows it\nok t:9 b: rule 'a' (p:1) allows it\n"
		"ok t:17 c: no rule allows it; nearest is rule 'a' (p:1): unit is not given, "
		"not a.service\n"
		"ok t:24 d: rule 'd' (p:8) denies it, for unit cannot be had\n");
}

static void an_expectation_has_its_time(void **state)
{
	(void)state;
	says(ALLOW "user = 7\nhours = 02:30-04:30Z\n",
		"[expect a]\nuser = 7\nat = 2026-11-23T02:30Z\n" READ "result = allow\n"
		"[expect b]\nuser = 7\n" READ "result = deny\n",
		"ok t:1 a: rule 'a' (p:1) allows it\n"
		"ok t:7 b: no rule allows it; nearest is rule 'a' (p:1): it is Thu "
		"00:00Z, not 02:30-04:30Z\n");
}

static void administration_needs_no_path(void **state)
{
	(void)state;
	says("[rule a]\nallow = admin\nuser = root\n",
		"[expect a]\nuser = root\nverb = admin\nresult = allow\n",
		"ok t:1 a: rule 'a' (p:1) allows it\n");
}

static void mistakes_are_refused_before_any_result(void **state)
{
	(void)state;
	refuses("[expect a]\nverb = read\nresult = allow\n", "t:1:1: expected 'path ='");
	refuses("[expect a]\npath = a\nresult = allow\n", "t:1:1: expected 'verb ='");
	refuses("[expect a]\n" READ, "t:1:1: expected 'result ='");
	refuses("[expect]\n", "t:1:1: expected [expect NAME]");
	refuses("[user]\n", "t:1:1: expected [user NAME]");
	refuses("[rule a]\n", "t:1:1: unknown section 'rule'; expected [expect NAME]");
	refuses("[user a]\n", "t:1:1: expected 'id ='");
	refuses("[user a]\nid = x\n", "t:2:6: expected an id, not 'x'");
	refuses("[user a]\nuid = 1\n", "t:2:1: unknown key 'uid'; expected id or groups");
	refuses("[group a]\ngroups = 1\n", "t:2:1: unknown key 'groups'; expected id");
	refuses("[expect a]\nverb = reed\n", "t:2:8: expected one verb");
	refuses("[expect a]\npath = /a\n", "t:2:8: expected a secret's path");
	refuses("[expect a]\nat = noon\n", "t:2:6: expected a time");
	refuses("[expect a]\nresult = yes\n", "t:2:10: expected allow or deny");
	refuses("[expect a]\nunit = /a\n", "t:2:8: expected units, or");
	refuses("[expect a]\nlabel = a b\n", "t:2:9: expected a label");
	refuses("[expect a]\nexe =\n", "t:2:6: expected a value, or ?");
	refuses("[expect a]\nwhen = x\n", "t:2:1: unknown key 'when'; expected user, group,");
	refuses("[expect ok]\nuser = backup\n" READ "result = allow\n"
		"[expect a]\nuser = ghost\n" READ "result = allow\n",
		"t:6:1: expectation 'a' needs a section [user ghost]");
	refuses("[expect a]\ngroup = ghost\n" READ "result = allow\n",
		"t:1:1: expectation 'a' needs a section [group ghost]");
}

static void more_groups_than_one_can_have_are_said_to_be(void **state)
{
	static char text[4096];
	size_t used =
		(size_t)snprintf(text, sizeof text, "[expect a]\n" READ "result = deny\ngroup =");

	(void)state;
	for (int i = 0; i < 1023; i++)
		used += (size_t)snprintf(text + used, sizeof text - used, " 7");
	(void)snprintf(text + used, sizeof text - used, "\n");
	assert_int_equal(run(ALLOW "user = backup\n", text), MORTISE_OK);
	(void)snprintf(text + used, sizeof text - used, " 7\n");
	refuses(text, "t:1:1: expectation 'a' has more than 1023 groups");
}

static void a_policy_s_mistake_is_told(void **state)
{
	(void)state;
	assert_int_equal(run("[rule a]\n", ""), MORTISE_REJECTED);
	assert_string_equal(error.text, "p:1:1: rule 'a' needs 'allow =' or 'deny ='");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(expectations_are_judged_by_the_users_of_the_file),
		cmocka_unit_test(what_is_not_as_expected_fails),
		cmocka_unit_test(groups_come_from_the_user_and_from_the_expectation),
		cmocka_unit_test(facts_are_those_said_and_no_others),
		cmocka_unit_test(an_expectation_has_its_time),
		cmocka_unit_test(administration_needs_no_path),
		cmocka_unit_test(mistakes_are_refused_before_any_result),
		cmocka_unit_test(more_groups_than_one_can_have_are_said_to_be),
		cmocka_unit_test(a_policy_s_mistake_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
