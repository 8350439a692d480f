/* SPDX-License-Identifier: ISC */
/* What the keys of rules and credentials take, and what they refuse. */
#include "policy_fixture.h"

static void refuses(const char *text, const char *expected)
{
	struct policy *policy;

	assert_int_equal(parse(text, &policy), MORTISE_REJECTED);
	if (strncmp(error.text, expected, strlen(expected)) != 0)
		fail_msg("expected %s..., not %s", expected, error.text);
}

static void refuses_values(const char *key, const char *const *values, size_t count)
{
	char text[512];

	for (size_t i = 0; i < count; i++) {
		(void)snprintf(text, sizeof text, ALLOW "user = 7\n%s = %s\n", key, values[i]);
		refuses(text, "p:5:");
		assert_non_null(strstr(error.text, "expected"));
	}
}

#define REFUSES_VALUES(key, ...)                                                                   \
	refuses_values(key, (const char *const[]){__VA_ARGS__},                                    \
		sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

static void what_is_no_unit_is_refused(void **state)
{
	(void)state;
	REFUSES_VALUES("unit", "backup", "*.service", "a@.service", "-.slice", "a b.service", "",
		"user:", "a/b.service", "a.service, b.service");
}

static void what_is_no_program_is_refused(void **state)
{
	(void)state;
	REFUSES_VALUES("exe", "sh", "/", "/bin/", "//bin/sh", "/bin//sh", "/bin/./sh", "/bin/..",
		"/../sh", "/bin/.", "/bin/*", "");
	policy_free(compile(ALLOW "user = 7\nexe = /a/...b /a/.b /a/b. /a/..b /a\n"));
}

static void what_is_no_label_or_socket_is_refused(void **state)
{
	(void)state;
	REFUSES_VALUES("label", "", "a*");
	REFUSES_VALUES("socket", "", "a/b", ".a", "*", "-x");
}

static void what_is_no_time_is_refused(void **state)
{
	(void)state;
	REFUSES_VALUES("hours", "", "2-3", "02:00-02:00", "02:00-03:00 x");
	REFUSES_VALUES("days", "", "Mon", "mon,tue", "mon-mon");
	REFUSES_VALUES("expires", "", "2026-02-30", "2026-12-31 2027-01-01", "tomorrow");
}

static void what_is_no_rate_is_refused(void **state)
{
	(void)state;
	REFUSES_VALUES("rate", "", "20", "/h", "0/h", "020/h", "20/s", "20/hour", "-1/h",
		"1000001/d", "99999999999999999999/h", "20/h 30/h", "20 /h");
	policy_free(compile(ALLOW "user = 7\nrate = 1000000/min\n"));
}

static void an_allow_by_what_everybody_has_is_refused(void **state)
{
	(void)state;
	refuses(ALLOW "exe = /bin/a\n", "p:1:1: rule 'a' allows by exe alone");
	refuses(ALLOW "exe = /bin/a\nhours = 01:00-02:00\n", "p:1:1: rule 'a' allows by exe alone");
	refuses(ALLOW "socket = web main\n", "p:1:1: rule 'a' allows by socket main");
	refuses(ALLOW "label = a_t unconfined\n", "p:1:1: rule 'a' allows by the label unconfined");
	refuses(ALLOW "unit = a.service user:a.service\n",
		"p:1:1: rule 'a' allows by units of user");
	refuses(ALLOW "unit = user:a.slice\nexe = /a\n", "p:1:1: rule 'a' allows by units of user");
	policy_free(compile(ALLOW "socket = main\nunit = a.service\n"));
	policy_free(compile(ALLOW "label = unconfined\ngroup = 7\n"));
	policy_free(compile(ALLOW "unit = user:a.service\nuser = 7\n"));
}

static void a_deny_has_no_rate(void **state)
{
	(void)state;
	refuses("[rule a]\ndeny = read\nrate = 1/h\n", "p:1:1: rule 'a' denies, so it cannot");
}

#define CREDENTIAL "[credential c]\nunit = a.service\nsecret = prod/a\n"

static void an_incomplete_credential_is_refused(void **state)
{
	(void)state;
	refuses("[credential c]\nsecret = a\n", "p:1:1: credential 'c' needs 'unit ='");
	refuses("[credential c]\nunit = a.service\n", "p:1:1: credential 'c' needs 'secret ='");
	refuses("[credential c]\nunit = user:a.service\nsecret = a\n",
		"p:1:1: credential 'c' names a unit with 'user:'");
	refuses(CREDENTIAL "user = nobody\n", "p:4:8: credential 'c' allows nobody");
	refuses(CREDENTIAL "allow = read\n", "p:4:1: unknown key 'allow'; expected unit, secret");
	refuses(CREDENTIAL "id = a/b\n", "p:4:6: expected a credential's id");
	refuses(CREDENTIAL "id = .\n", "p:4:6: expected a credential's id");
	refuses("[credential c]\nsecret = a/*\n", "p:2:10: expected the path of one secret");
	refuses("[credential c]\nsecret = a b\n", "p:2:12: expected one value for 'secret'");
	refuses("[credential]\n", "p:1:1: expected a credential's name");
}

static const char *credential(const char *text, uint32_t uid, const char *unit, const char *id)
{
	static struct policy *policy;
	static const uint32_t groups[] = {1};
	struct subject subject = {
		.uid = uid, .groups = groups, .group_count = 1, .unit = {FACT_KNOWN, unit}};
	const char *path = NULL;
	struct decision decision;

	policy_free(policy);
	policy = compile(text);
	decision = policy_credential(policy, &subject, id, 0, &path);
	assert_int_equal(decision.allowed, path != NULL);
	return path != NULL ? path : decision.rule != NULL ? decision.rule : "none";
}

static void a_credential_is_for_its_unit_id_and_user(void **state)
{
	(void)state;
	assert_string_equal(credential(CREDENTIAL, 0, "a.service", "c"), "prod/a");
	assert_string_equal(credential(CREDENTIAL, 0, "b.service", "c"), "none");
	assert_string_equal(credential(CREDENTIAL, 0, "a.service", "d"), "none");
	assert_string_equal(credential(CREDENTIAL, 34, "a.service", "c"), "none");
	assert_string_equal(credential(CREDENTIAL, 0, "a.service x.slice", "c"), "none");
	assert_string_equal(credential(CREDENTIAL "id = d\n", 0, "a.service", "d"), "prod/a");
	assert_string_equal(credential(CREDENTIAL "id = d\n", 0, "a.service", "c"), "none");
	assert_string_equal(
		credential(CREDENTIAL "user = backup\n", 34, "a.service", "c"), "prod/a");
	assert_string_equal(credential(CREDENTIAL "user = backup\n", 0, "a.service", "c"), "none");
}

static void a_deny_cuts_into_credentials(void **state)
{
	(void)state;
	assert_string_equal(credential(CREDENTIAL "[rule d]\ndeny = read\nunit = a.service\n", 0,
				    "a.service", "c"),
		"d");
	assert_string_equal(
		credential(CREDENTIAL "[rule d]\ndeny = read\nuser = 7\n", 0, "a.service", "c"),
		"prod/a");
}

static void refuses_pair(const char *text)
{
	struct policy *policy;

	assert_int_equal(parse(text, &policy), MORTISE_OK);
	assert_int_equal(policy_compile(policy, &error), MORTISE_REJECTED);
	assert_non_null(strstr(error.text, "both answer for id 'c'"));
	policy_free(policy);
}

static void two_credentials_for_one_unit_and_id_are_refused(void **state)
{
	(void)state;
	refuses_pair(CREDENTIAL "[credential d]\nid = c\nunit = a.service\nsecret = x\n");
	refuses_pair("[credential c]\nunit = a@*x.service\nsecret = x\nuser = 0 7\n"
		     "[credential d]\nid = c\nunit = a@y*.service\nsecret = x\n");
	policy_free(compile(CREDENTIAL "[credential d]\nid = c\nunit = b.service\nsecret = x\n"));
	policy_free(compile(
		CREDENTIAL "[credential d]\nid = c\nunit = a.service\nuser = 7\nsecret = x\n"));
}

static void a_rule_and_a_credential_may_share_a_name(void **state)
{
	(void)state;
	policy_free(compile(CREDENTIAL "[rule c]\ndeny = read\n"));
	refuses(CREDENTIAL "[credential c]\n", "p:4:");
}

static void a_credential_is_disabled_by_its_names(void **state)
{
	struct policy *policy = compile(CREDENTIAL "user = backup\n");
	struct subject subject = {.uid = 34, .unit = {FACT_KNOWN, "a.service"}};
	const char *path = "untouched";

	(void)state;
	policy_name_became(policy, 0, POLICY_NAME_CHANGED);
	assert_false(policy_credential(policy, &subject, "c", 0, &path).allowed);
	assert_string_equal(path, "untouched");
	policy_free(policy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_no_unit_is_refused),
		cmocka_unit_test(what_is_no_program_is_refused),
		cmocka_unit_test(what_is_no_label_or_socket_is_refused),
		cmocka_unit_test(what_is_no_time_is_refused),
		cmocka_unit_test(what_is_no_rate_is_refused),
		cmocka_unit_test(an_allow_by_what_everybody_has_is_refused),
		cmocka_unit_test(a_deny_has_no_rate),
		cmocka_unit_test(an_incomplete_credential_is_refused),
		cmocka_unit_test(a_credential_is_for_its_unit_id_and_user),
		cmocka_unit_test(a_deny_cuts_into_credentials),
		cmocka_unit_test(two_credentials_for_one_unit_and_id_are_refused),
		cmocka_unit_test(a_rule_and_a_credential_may_share_a_name),
		cmocka_unit_test(a_credential_is_disabled_by_its_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
