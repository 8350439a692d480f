/* SPDX-License-Identifier: ISC */
#include "policy_fixture.h"

#define POLICY_FILE(name, text)                                                                    \
	{                                                                                          \
		name, text, sizeof text - 1                                                        \
	}

/* expected: the beginning of the message, the place before all */
static void refuses(const char *text, const char *expected)
{
	struct policy *policy = (struct policy *)&error;

	assert_int_equal(parse(text, &policy), MORTISE_REJECTED);
	assert_ptr_equal(policy, &error);
	if (strncmp(error.text, expected, strlen(expected)) != 0)
		fail_msg("expected %s..., not %s", expected, error.text);
}

static void an_allow_for_nobody_is_refused(void **state)
{
	(void)state;
	refuses(ALLOW "user = root nobody\n", "p:4:13: rule 'a' allows nobody");
	refuses(ALLOW "user = 65534\n", "p:4:8: rule 'a' allows nobody");
	refuses(ALLOW "group = 4294967295\n", "p:4:9: rule 'a' allows nobody");
	refuses("[rule a]\ngroup = nobody\nallow = admin\n", "p:2:9: rule 'a' allows nobody");
}

static void a_rule_without_verbs_is_refused(void **state)
{
	(void)state;
	refuses("[rule a]\nuser = root\n", "p:1:1: rule 'a' needs 'allow =' or 'deny ='");
	refuses("[rule a]\n\n[rule b]\ndeny = read\n", "p:1:1: rule 'a' needs");
	refuses("[rule a]\nallow =\n", "p:2:8: expected a value after 'allow ='");
}

static void a_rule_with_allow_and_deny_is_refused(void **state)
{
	(void)state;
	refuses("[rule a]\nallow = read\ndeny = list\n",
		"p:3:1: expected one allow or one deny in a rule, not both");
}

static void an_unknown_verb_is_refused(void **state)
{
	(void)state;
	refuses("[rule a]\nallow = read reed\n",
		"p:2:14: expected a verb (read, list, write, delete, rotate, audit or admin), "
		"not 'reed'");
	refuses("[rule a]\nallow = read, list\n", "p:2:9: expected a verb");
	assert_non_null(strstr(error.text, "'read,'; blanks separate values"));
	refuses("[rule a]\nallow = readwriteanythingatall\n", "p:2:9: expected a verb");
	refuses("[rule a]\nallow = Read\n", "p:2:9: expected a verb");
}

static void an_allow_that_names_no_caller_is_refused(void **state)
{
	(void)state;
	refuses(ALLOW, "p:1:1: rule 'a' allows, so it needs 'user =', 'group =', 'unit ='");
	refuses("[rule a]\nallow = admin\n", "p:1:1: rule 'a' allows, so it needs 'user ='");
	refuses(ALLOW "user =\n", "p:4:7: expected a value after 'user ='");
	refuses(ALLOW "user = ; root\n", "p:4:7: expected a value after 'user ='");
}

static void an_allow_of_secrets_without_secret_is_refused(void **state)
{
	static const char *const verbs[] = {"read", "list", "write", "delete", "rotate"};
	char text[64];

	(void)state;
	for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
		(void)snprintf(
			text, sizeof text, "[rule a]\nallow = admin %s\nuser = root\n", verbs[i]);
		refuses(text, "p:1:1: rule 'a' allows what concerns secrets, so it needs");
	}
}

static void a_bad_pattern_is_refused(void **state)
{
	(void)state;
	refuses("[rule a]\ndeny = read\nsecret = prod/a Prod/b\n",
		"p:3:17: expected a secret's path or a pattern such as prod/db/*, not 'Prod/b'");
	refuses("[rule a]\ndeny = read\nsecret = /prod\n", "p:3:10: expected");
	refuses("[rule a]\ndeny = read\nsecret = prod/***\n", "p:3:10: expected");
	refuses("[rule a]\ndeny = read\nsecret = prod/../a\n", "p:3:10: expected");
}

static void a_bad_account_is_refused(void **state)
{
	(void)state;
	refuses(ALLOW "user = 4294967296\n", "p:4:8: expected an id from 0 to 4294967295");
	refuses(ALLOW "user = 99999999999999999999\n", "p:4:8: expected an id");
	refuses(ALLOW "user = 034\n", "p:4:8: expected an id");
	refuses(ALLOW "group = %dba\n", "p:4:9: expected a name or an id, not '%dba'");
	refuses(ALLOW "user = root,alice\n", "p:4:8: expected a name or an id");
	refuses(ALLOW "user = *\n", "p:4:8: expected a name or an id");
	refuses(ALLOW "user = -1\n", "p:4:8: expected a name or an id");
}

static void an_overlong_name_is_refused(void **state)
{
	char text[512] = ALLOW "user = ";

	(void)state;
	memset(text + strlen(text), 'u', POLICY_NAME_MAX + 1);
	refuses(text, "p:4:8: a value of 'user' has at most 255 bytes, and this one 256");
}

static void an_unknown_key_is_refused(void **state)
{
	(void)state;
	refuses("[rule a]\nallows = read\n",
		"p:2:1: unknown key 'allows'; expected allow, deny, secret, user, group, unit, ");
	refuses("[rule a]\nAllow = read\n", "p:2:1: unknown key 'Allow'");
}

static void an_unknown_section_is_refused(void **state)
{
	(void)state;
	refuses("[rules a]\n", "p:1:1: unknown section 'rules'; expected [rule NAME], [credential "
			       "NAME] or [quota ");
}

static void a_bad_title_is_refused(void **state)
{
	char text[128];

	(void)state;
	refuses("[rule]\n", "p:1:1: expected a rule's name of 1 to 64");
	refuses("[rule -a]\n", "p:1:1: expected a rule's name");
	refuses("[rule a b]\n", "p:1:1: expected a rule's name");
	refuses("[rule a/b]\n", "p:1:1: expected a rule's name");
	(void)snprintf(text, sizeof text, "[rule %065d]\n", 1);
	refuses(text, "p:1:1: expected a rule's name");
	(void)snprintf(text, sizeof text, "[rule %064d]\ndeny = read\n", 1);
	policy_free(compile(text));
}

static void what_is_no_ini_file_is_refused(void **state)
{
	(void)state;
	refuses("[rule a]\nallow = read\nallow = list\n", "p:3:1: ");
	refuses("[rule a]\nallow: read\n", "p:2:6: expected '=' after a key");
	refuses("allow = read\n", "p:1:1: ");
}

static void files_make_one_policy(void **state)
{
	static const struct policy_file files[] = {
		POLICY_FILE("a", "[rule a]\nallow = read\nsecret = a\nuser = alice\n"),
		POLICY_FILE("b", ""),
		POLICY_FILE("c", "[rule c]\ndeny = write\n"),
	};
	struct policy *policy;

	(void)state;
	assert_int_equal(policy_parse(files, 3, &policy, &error), MORTISE_OK);
	pin_known(policy);
	assert_int_equal(policy_compile(policy, &error), MORTISE_OK);
	assert_int_equal(policy_rule_count(policy), 2);
	assert_string_equal(ask(policy, 1000, 1, VERB_READ, "a").rule, "a");
	assert_string_equal(ask(policy, 1000, 1, VERB_WRITE, "a").rule, "c");
	policy_free(policy);
}

static void a_title_twice_in_two_files_is_refused(void **state)
{
	static const struct policy_file files[] = {
		POLICY_FILE("a", "\n[rule x]\ndeny = read\n"),
		POLICY_FILE("b", "[rule y]\ndeny = read\n[rule x]\ndeny = read\n"),
	};
	struct policy *policy;

	(void)state;
	assert_int_equal(policy_parse(files, 2, &policy, &error), MORTISE_REJECTED);
	assert_string_equal(error.text, "b:3:1: rule 'x' stands in a:2 already");
}

static void a_rule_does_not_reach_into_the_next_file(void **state)
{
	static const struct policy_file files[] = {
		POLICY_FILE("a", "[rule x]\ndeny = read\n"),
		POLICY_FILE("b", "secret = a\n"),
	};
	struct policy *policy;

	(void)state;
	assert_int_equal(policy_parse(files, 2, &policy, &error), MORTISE_REJECTED);
	assert_string_equal(error.text, "b:1:1: expected a section before the first key");
}

static void too_many_files_are_refused(void **state)
{
	struct policy_file files[POLICY_FILES_MAX + 1];
	struct policy *policy;

	(void)state;
	for (size_t i = 0; i <= POLICY_FILES_MAX; i++)
		files[i] = (struct policy_file)POLICY_FILE("f", "");
	assert_int_equal(
		policy_parse(files, POLICY_FILES_MAX + 1, &policy, &error), MORTISE_REJECTED);
	assert_string_equal(error.text, "f: a policy has at most 64 files");
	assert_int_equal(policy_parse(files, POLICY_FILES_MAX, &policy, &error), MORTISE_OK);
	policy_free(policy);
}

static void too_much_text_is_refused_unread(void **state)
{
	static const struct policy_file files[] = {
		POLICY_FILE("a", "\n"), {"b", "never read", POLICY_TEXT_MAX}};
	static const struct policy_file huge = {"c", "never read", SIZE_MAX};
	struct policy *policy;

	(void)state;
	assert_int_equal(policy_parse(files, 2, &policy, &error), MORTISE_REJECTED);
	assert_string_equal(error.text, "b: a policy has at most 16777216 bytes");
	assert_int_equal(policy_parse(&huge, 1, &policy, &error), MORTISE_REJECTED);
}

static void too_many_values_are_refused(void **state)
{
	char text[4 * POLICY_VALUES_MAX] = ALLOW "user = ";
	size_t used = strlen(text);

	(void)state;
	memset(text + used, ' ', 2 * POLICY_VALUES_MAX + 1);
	for (size_t i = 0; i <= POLICY_VALUES_MAX; i++)
		text[used + 2 * i] = '7';
	refuses(text, "p:4:2056: more than 1024 values for 'user'");
	text[used + 2 * POLICY_VALUES_MAX] = '\0';
	allows(text, 7, 1, VERB_READ, "prod/a");
}

/* count rules "[rule r0] deny = read, user = 10000", "[rule r1] ... 10001" and so on. */
static char *write_rules(unsigned count)
{
	size_t capacity = 64 * (size_t)count + 1, used = 0;
	char *text = malloc(capacity);

	assert_non_null(text);
	for (unsigned i = 0; i < count; i++)
		used += (size_t)snprintf(text + used, capacity - used,
			"[rule r%u]\ndeny=read\nuser=%u\n", i, 10000 + i);
	return text;
}

static void the_200000th_rule_is_the_last(void **state)
{
	char *text = write_rules(POLICY_RULES_MAX + 1);
	struct policy *policy;

	(void)state;
	refuses(text, "p:600001:1: a policy has at most 200000 rules");
	*strstr(text, "[rule r200000]") = '\0';
	assert_int_equal(parse(text, &policy), MORTISE_OK);
	assert_int_equal(policy_compile(policy, &error), MORTISE_OK);
	assert_int_equal(policy_rule_count(policy), POLICY_RULES_MAX);
	assert_string_equal(ask(policy, 209999, 1, VERB_READ, "a").rule, "r199999");
	assert_null(ask(policy, 210000, 1, VERB_READ, "a").rule);
	policy_free(policy);
	free(text);
}

static void a_policy_cut_at_any_byte_is_read_or_refused(void **state)
{
	static const char text[] = "; c\n[rule a-1] ; c\nallow = read admin\nsecret = ** a/*b\n"
				   "user = alice 12\ngroup = dba ; x\n[rule d]\ndeny = read\n";

	(void)state;
	for (size_t size = 0; size < sizeof text; size++) {
		char *copy = malloc(size + (size == 0));
		struct policy_file file = {"p", copy, size};
		struct policy *policy = NULL;
		enum mortise_status status;

		assert_non_null(copy);
		memcpy(copy, text, size);
		status = policy_parse(&file, 1, &policy, &error);
		free(copy);
		assert_true(status == MORTISE_OK || status == MORTISE_REJECTED);
		if (policy != NULL)
			pin_known(policy);
		if (policy != NULL && policy_compile(policy, &error) == MORTISE_OK)
			(void)ask(policy, 1000, 50, VERB_READ, "a/b");
		policy_free(policy);
	}
}
static void a_deny_of_admin_by_a_pattern_is_refused_since_it_would_be_none(void **state)
{
	struct policy_file file = {"p", NULL, 0};
	struct policy *policy = NULL;

	(void)state;
	file.text = "[rule a]\ndeny = read admin\nsecret = prod/**\nuser = 5\n";
	file.size = strlen(file.text);
	assert_int_equal(policy_parse(&file, 1, &policy, &error), MORTISE_REJECTED);
	assert_non_null(strstr(error.text, "p:1:"));
	assert_non_null(strstr(error.text, "without 'secret ='"));
	file.text = "[rule a]\ndeny = read admin\nsecret = prod/** **\nuser = 5\n";
	file.size = strlen(file.text);
	assert_int_equal(policy_parse(&file, 1, &policy, &error), MORTISE_OK);
	policy_free(policy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_deny_of_admin_by_a_pattern_is_refused_since_it_would_be_none),
		cmocka_unit_test(an_allow_for_nobody_is_refused),
		cmocka_unit_test(a_rule_without_verbs_is_refused),
		cmocka_unit_test(a_rule_with_allow_and_deny_is_refused),
		cmocka_unit_test(an_unknown_verb_is_refused),
		cmocka_unit_test(an_allow_that_names_no_caller_is_refused),
		cmocka_unit_test(an_allow_of_secrets_without_secret_is_refused),
		cmocka_unit_test(a_bad_pattern_is_refused),
		cmocka_unit_test(a_bad_account_is_refused),
		cmocka_unit_test(an_overlong_name_is_refused),
		cmocka_unit_test(an_unknown_key_is_refused),
		cmocka_unit_test(an_unknown_section_is_refused),
		cmocka_unit_test(a_bad_title_is_refused),
		cmocka_unit_test(what_is_no_ini_file_is_refused),
		cmocka_unit_test(files_make_one_policy),
		cmocka_unit_test(a_title_twice_in_two_files_is_refused),
		cmocka_unit_test(a_rule_does_not_reach_into_the_next_file),
		cmocka_unit_test(too_many_files_are_refused),
		cmocka_unit_test(too_much_text_is_refused_unread),
		cmocka_unit_test(too_many_values_are_refused),
		cmocka_unit_test(the_200000th_rule_is_the_last),
		cmocka_unit_test(a_policy_cut_at_any_byte_is_read_or_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
