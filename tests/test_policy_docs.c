/* SPDX-License-Identifier: ISC */
/* docs/policy.md: each example is what the language takes, and means what the page says. */
#include "policy_fixture.h"

#include "policy_answers.h"
#include "policy_test.h"

#define PAGE_SIZE 65536
#define BLOCKS    32

static char page[PAGE_SIZE];
static struct policy_file policies[BLOCKS], tests[BLOCKS];
static size_t policy_count, test_count;

/* Moves *at behind the next block of that kind; NULL: there is none. */
static const char *next_block(const char **at, const char *fence, size_t *out_size)
{
	const char *start = strstr(*at, fence), *end;

	if (start == NULL)
		return NULL;
	start += strlen(fence);
	end = strstr(start, "```");
	assert_non_null(end);
	*out_size = (size_t)(end - start);
	*at = end + 3;
	return start;
}

static size_t read_blocks(const char *fence, const char *name, struct policy_file *files)
{
	const char *at = page, *text;
	size_t size, count = 0;

	while ((text = next_block(&at, fence, &size)) != NULL) {
		assert_true(count < BLOCKS);
		files[count++] = (struct policy_file){name, text, size};
	}
	return count;
}

static int read_page(void **state)
{
	const char *source = getenv("MORTISE_TEST_SOURCE");
	char path[4096];
	FILE *file;
	size_t size;

	(void)state;
	(void)snprintf(path, sizeof path, "%s/docs/policy.md", source != NULL ? source : ".");
	file = fopen(path, "re");
	if (file == NULL)
		return -1;
	size = fread(page, 1, sizeof page - 1, file);
	page[size] = '\0';
	(void)fclose(file);
	policy_count = read_blocks("```policy\n", "policy.md", policies);
	test_count = read_blocks("```test\n", "policy.md", tests);
	return 0;
}

static struct policy *compile_page(void)
{
	struct policy *policy = NULL;

	if (policy_parse(policies, policy_count, &policy, &error) != MORTISE_OK)
		fail_msg("%s", error.text);
	for (size_t i = 0; i < policy_name_count(policy); i++)
		policy_pin(policy, i, 5000 + (uint32_t)i);
	if (policy_compile(policy, &error) != MORTISE_OK)
		fail_msg("%s", error.text);
	return policy;
}

static void all_examples_make_one_policy(void **state)
{
	struct policy *policy = compile_page();

	(void)state;
	assert_int_equal(policy_count, 7);
	assert_int_equal(test_count, 1);
	assert_int_equal(policy_rule_count(policy), 8);
	assert_int_equal(policy_quota_count(policy), 3);
	policy_free(policy);
}

static void note_failure(void *context, const struct policy_test_result *result)
{
	size_t *passed = context;

	if (!result->passed)
		fail_msg("%s: %s", result->name, result->text);
	(*passed)++;
}

static void the_expectations_hold(void **state)
{
	size_t passed = 0;

	(void)state;
	if (policy_test(policies, policy_count, tests, test_count, 0, note_failure, &passed,
		    &error) != MORTISE_OK)
		fail_msg("%s", error.text);
	assert_int_equal(passed, 2);
}

static void fail_at_warning(void *context, const struct policy_warning *warning)
{
	(void)context;
	fail_msg("%u: %s", warning->line, warning->text);
}

static void no_example_is_odd(void **state)
{
	struct policy_warning_options options = {.now = 1795392000};
	struct policy *policy = compile_page();

	(void)state;
	(void)setenv("TZ", "UTC", 1);
	tzset();
	assert_int_equal(policy_warnings(policy, &options, fail_at_warning, NULL), MORTISE_OK);
	policy_free(policy);
}

static const char *expected_of(const char *pattern)
{
	static char row[256];

	(void)snprintf(row, sizeof row, "\n| `%s` | `", pattern);
	return strstr(page, row);
}

/* The table of patterns: the first path matches, the second does not. */
static void the_table_of_patterns_is_true(void **state)
{
	static const char *const patterns[] = {"prod/db/*", "prod/**", "*/db/key"};
	char text[256], yes[64], no[64];

	(void)state;
	for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
		const char *row = expected_of(patterns[i]);

		assert_non_null(row);
		assert_int_equal(sscanf(row, "\n| `%*[^`]` | `%63[^`]` | `%63[^`]`", yes, no), 2);
		(void)snprintf(text, sizeof text, "[rule a]\nallow = read\nsecret = %s\nuser = 7\n",
			patterns[i]);
		allows(text, 7, 1, VERB_READ, yes);
		denies(text, 7, 1, VERB_READ, no);
	}
}

/* Each verb, and each attribute that a rule takes, has its row or its line. */
static void nothing_is_left_out(void **state)
{
	char row[64];

	(void)state;
	for (unsigned verb = VERB_READ; verb <= VERB_ADMIN; verb *= 2) {
		(void)snprintf(row, sizeof row, "\n| `%s` |", verb_name((enum verb)verb));
		assert_non_null(strstr(page, row));
	}
	for (unsigned i = ATTRIBUTE_USER; i <= ATTRIBUTE_SOCKET; i++) {
		(void)snprintf(row, sizeof row, "\n| `%s` |", attribute_name((enum attribute)i));
		assert_non_null(strstr(page, row));
	}
	for (unsigned i = ATTRIBUTE_HOURS; i <= ATTRIBUTE_EXPIRES; i++) {
		(void)snprintf(row, sizeof row, "\n- `%s` ", attribute_name((enum attribute)i));
		assert_non_null(strstr(page, row));
	}
}

int main(void)
{
	const struct CMUnitTest group[] = {
		cmocka_unit_test(all_examples_make_one_policy),
		cmocka_unit_test(the_expectations_hold),
		cmocka_unit_test(no_example_is_odd),
		cmocka_unit_test(the_table_of_patterns_is_true),
		cmocka_unit_test(nothing_is_left_out),
	};

	return cmocka_run_group_tests(group, read_page, NULL);
}
