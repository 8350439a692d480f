/* SPDX-License-Identifier: ISC */
/* What a [quota] may say, and whose and which secrets count for it. */
#include "policy_fixture.h"

#include "policy_answers.h"

static void refuses(const char *text, const char *expected)
{
	struct policy *policy = NULL;

	assert_int_equal(parse(text, &policy), MORTISE_REJECTED);
	assert_null(policy);
	if (strncmp(error.text, expected, strlen(expected)) != 0)
		fail_msg("%s", error.text);
}

static void each_policy_has_the_default_as_its_last(void **state)
{
	struct policy *policy = compile(ALLOW "user = alice\n");

	(void)state;
	assert_int_equal(policy_quota_count(policy), 1);
	const struct policy_quota quota = policy_quota_at(policy, 0);
	assert_string_equal(quota.title, "default");
	assert_true(quota.is_default);
	assert_true(quota.is_each_users);
	assert_int_equal(quota.size_max, 67108864);
	assert_int_equal(quota.secrets_max, 10000);
	assert_true(policy_quota_counts(policy, 0, 1000, "prod/x"));
	assert_true(policy_quota_counts(policy, 0, 0, "prod/x"));
	policy_free(policy);
}

static void a_quota_that_is_called_default_takes_its_place(void **state)
{
	struct policy *policy = compile("[quota default]\nsize = 1M\n");

	(void)state;
	assert_int_equal(policy_quota_count(policy), 1);
	const struct policy_quota quota = policy_quota_at(policy, 0);
	assert_true(quota.is_default);
	assert_true(quota.is_each_users);
	assert_int_equal(quota.size_max, 1048576);
	assert_int_equal(quota.secrets_max, 0);
	policy_free(policy);
}

static void a_quota_of_paths_counts_what_anybody_makes_there(void **state)
{
	struct policy *policy = compile("[quota dev]\nsecret = dev/** test/*\nsecrets = 5\n");

	(void)state;
	assert_int_equal(policy_quota_count(policy), 2);
	assert_false(policy_quota_at(policy, 0).is_each_users);
	assert_false(policy_quota_at(policy, 0).is_default);
	assert_int_equal(policy_quota_at(policy, 0).secrets_max, 5);
	assert_true(policy_quota_counts(policy, 0, 0, "dev/a/b"));
	assert_true(policy_quota_counts(policy, 0, 1000, "test/a"));
	assert_false(policy_quota_counts(policy, 0, 1000, "test/a/b"));
	assert_true(policy_quota_counts(policy, 1, 1000, "dev/a"));
	policy_free(policy);
}

static void a_quota_of_users_counts_what_each_makes_and_takes_him_from_the_default(void **state)
{
	struct policy *policy =
		compile("[quota ci]\nuser = alice 7 backup\nsecret = dev/**\nsize = 16M\n");

	(void)state;
	assert_true(policy_quota_at(policy, 0).is_each_users);
	for (size_t i = 0; i < 3; i++) {
		const uint32_t uids[] = {7, 34, 1000};
		assert_true(policy_quota_counts(policy, 0, uids[i], "dev/x"));
		assert_false(policy_quota_counts(policy, 0, uids[i], "prod/x"));
		assert_false(policy_quota_counts(policy, 1, uids[i], "prod/x"));
	}
	assert_false(policy_quota_counts(policy, 0, 8, "dev/x"));
	assert_true(policy_quota_counts(policy, 1, 8, "dev/x"));
	policy_free(policy);
}

static void sizes_are_bytes_or_have_a_unit(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} sizes[] = {{"1", 1}, {"65536", 65536}, {"512K", 524288}, {"16M", 16777216},
		{"2G", UINT64_C(2147483648)}, {"999999999G", UINT64_C(999999999) << 30},
		{"999999999999999", UINT64_C(999999999999999)}};
	char text[128];

	(void)state;
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		(void)snprintf(
			text, sizeof text, "[quota a]\nsecret = a\nsize = %s\n", sizes[i].text);
		struct policy *policy = compile(text);
		assert_int_equal(policy_quota_at(policy, 0).size_max, sizes[i].bytes);
		policy_free(policy);
	}
}

static void what_is_no_size_and_no_number_is_refused(void **state)
{
	static const char wrong[][20] = {"0", "-1", "1.5M", "16m", "16MB", "16 M", "M", "012",
		"9999999999G", "9999999999999999", "0x10"};
	char text[128];

	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		(void)snprintf(text, sizeof text, "[quota a]\nsecret = a\nsize = %s\n", wrong[i]);
		refuses(text, strchr(wrong[i], ' ') ? "p:3:" : "p:3:8: expected a size such as");
		(void)snprintf(
			text, sizeof text, "[quota a]\nsecret = a\nsecrets = %s\n", wrong[i]);
		refuses(text, strchr(wrong[i], ' ') ? "p:3:" : "p:3:11: expected a number of");
	}
	refuses("[quota a]\nsecret = a\nsecrets = 5K\n", "p:3:11: expected a number of");
}

static void a_quota_that_bounds_nothing_or_nobody_is_refused(void **state)
{
	(void)state;
	refuses("[quota a]\nsecret = a\n", "p:1:1: quota 'a' needs 'size =' or 'secrets ='");
	refuses("[quota a]\nsize = 1\n", "p:1:1: quota 'a' needs 'secret =' or 'user ='");
	refuses("[quota default]\nuser = alice\nsize = 1\n",
		"p:1:1: quota 'default' is for each user whom no other");
	refuses("[quota default]\nsecret = a\nsize = 1\n",
		"p:1:1: quota 'default' is for each user whom no other");
	refuses("[quota a]\nallow = read\n",
		"p:2:1: unknown key 'allow'; expected secret, user, size or secrets");
	refuses("[quota a]\nuser = 1\nsize = 1\n[quota a]\nuser = 1\nsize = 1\n",
		"p:4:1: this section stands above already");
}

static void the_64th_quota_is_the_last(void **state)
{
	char text[4096];
	size_t used = 0;

	(void)state;
	for (unsigned i = 0; i < POLICY_QUOTAS_MAX; i++)
		used += (size_t)snprintf(
			text + used, sizeof text - used, "[quota q%u]\nuser = 1\nsize = 1\n", i);
	struct policy *policy = compile(text);
	assert_int_equal(policy_quota_count(policy), POLICY_QUOTAS_MAX + 1);
	policy_free(policy);
	(void)snprintf(text + used, sizeof text - used, "[quota more]\n");
	refuses(text, "p:193:1: a policy has at most 64 quotas");
}

static char changes[512];

static void note(void *context, const char *line)
{
	(void)context;
	(void)snprintf(changes + strlen(changes), sizeof changes - strlen(changes), "%s\n", line);
}

static void what_changes_with_a_policy_is_told(void **state)
{
	struct policy *before = compile("[quota a]\nsecret = a/*\nsize = 1M\n");
	struct policy *after = compile("[quota a]\nsecret = a/*\nsize = 1M\n"
				       "[quota b]\nuser = alice\nsecrets = 3\n");

	(void)state;
	changes[0] = '\0';
	assert_int_equal(policy_compare(before, before, note, NULL), MORTISE_OK);
	assert_string_equal(changes, "");
	assert_int_equal(policy_compare(before, after, note, NULL), MORTISE_OK);
	assert_string_equal(
		changes, "quota b: all secrets, of each of the users alice, at most 3 secrets\n");
	changes[0] = '\0';
	assert_int_equal(policy_compare(after, before, note, NULL), MORTISE_OK);
	assert_string_equal(changes, "quota b: all secrets, of each of the users alice, at most 3 "
				     "secrets: no longer\n");
	policy_free(before);
	policy_free(after);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_policy_has_the_default_as_its_last),
		cmocka_unit_test(a_quota_that_is_called_default_takes_its_place),
		cmocka_unit_test(a_quota_of_paths_counts_what_anybody_makes_there),
		cmocka_unit_test(
			a_quota_of_users_counts_what_each_makes_and_takes_him_from_the_default),
		cmocka_unit_test(sizes_are_bytes_or_have_a_unit),
		cmocka_unit_test(what_is_no_size_and_no_number_is_refused),
		cmocka_unit_test(a_quota_that_bounds_nothing_or_nobody_is_refused),
		cmocka_unit_test(the_64th_quota_is_the_last),
		cmocka_unit_test(what_changes_with_a_policy_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
