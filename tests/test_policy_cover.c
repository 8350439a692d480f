/* SPDX-License-Identifier: ISC */
#include "policy_fixture.h"

#include "path.h"
#include "policy_cover.h"

static void a_pattern_covers_narrower_ones(void **state)
{
	static const struct {
		const char *wide, *narrow;
		bool covers;
	} cases[] = {{"**", "prod/**", true}, {"prod/**", "prod/db/*", true}, {"*", "a*b", true},
		{"a", "a", true}, {"a/*", "a/**", false}, {"*", "**", false}, {"*", "a/b", false},
		{"prod/*", "prod/**", false}, {"a*", "*a", false}, {"**a", "b*a", true},
		{"*/*", "a/b", true}, {"*/*", "a*/b", true}, {"**/b", "*/b", true},
		{"a*c", "abc*", false}, {"a**", "a", true}, {"a", "a**", false}, {"**", "*", true}};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		if (pattern_covers(cases[i].wide, cases[i].narrow) != cases[i].covers)
			fail_msg("%s over %s", cases[i].wide, cases[i].narrow);
}

static void patterns_meet_where_one_path_matches_both(void **state)
{
	static const struct {
		const char *a, *b;
		bool meet;
	} cases[] = {{"a*", "*b", true}, {"a*", "b*", false}, {"a/**", "**/b", true},
		{"a/*", "a/b/c", false}, {"**", "x/y", true}, {"*", "a/*", false},
		{"a*c", "ab*", true}, {"a@*x.service", "a@y*.service", true}, {"", "", true},
		{"*/b", "a/*", true}, {"a", "ab", false}, {"**a", "*b", false}};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		if (patterns_meet(cases[i].a, cases[i].b) != cases[i].meet ||
			patterns_meet(cases[i].b, cases[i].a) != cases[i].meet)
			fail_msg("%s and %s", cases[i].a, cases[i].b);
}

static uint32_t draw(uint32_t *seed, uint32_t below)
{
	*seed = *seed * 1664525 + 1013904223;
	return (*seed >> 16) % below;
}

static void draw_text(uint32_t *seed, const char *letters, char *text)
{
	uint32_t size = 1 + draw(seed, 5);

	for (uint32_t i = 0; i < size; i++)
		text[i] = letters[draw(seed, (uint32_t)strlen(letters))];
	text[size] = '\0';
}

/* Whatever path matches the narrow one and not the wide one would show a mistake. */
static void covering_and_meeting_agree_with_matching(void **state)
{
	char wide[8], narrow[8], path[8];
	uint32_t seed = 3;

	(void)state;
	for (int i = 0; i < 300000; i++) {
		bool in_wide, in_narrow;

		draw_text(&seed, "ab/**", wide);
		draw_text(&seed, "ab/**", narrow);
		draw_text(&seed, "aab/", path);
		if (!pattern_is_valid(wide, strlen(wide)) ||
			!pattern_is_valid(narrow, strlen(narrow)) ||
			!path_is_valid(path, strlen(path)))
			continue;
		in_wide = pattern_matches(wide, path);
		in_narrow = pattern_matches(narrow, path);
		if (in_narrow && !in_wide && pattern_covers(wide, narrow))
			fail_msg("%s does not cover %s: %s", wide, narrow, path);
		if (in_narrow && in_wide && !patterns_meet(wide, narrow))
			fail_msg("%s and %s meet in %s", wide, narrow, path);
	}
}

static bool covers(const char *wide, const char *narrow)
{
	char text[512];
	struct policy *policy;
	bool result;

	(void)snprintf(text, sizeof text, "[rule w]\n%s\n[rule n]\n%s\n", wide, narrow);
	policy = compile(text);
	result = rule_covers(&policy->rules[0], &policy->rules[1]);
	policy_free(policy);
	return result;
}

static void a_rule_covers_what_lies_within_it(void **state)
{
	static const char narrow[] = "allow = read\nsecret = a/b\nuser = 7\nunit = a@x.service\n"
				     "hours = 02:00-03:00\ndays = mon\nexpires = 2026-01-01Z";

	(void)state;
	assert_true(covers("deny = read", narrow));
	assert_true(
		covers("deny = read list\nsecret = x a/*\nuser = 7 8\nunit = a@*.service", narrow));
	assert_true(covers("deny = read\nhours = 01:00-04:00", narrow));
	assert_true(covers("deny = read\nexpires = 2026-01-01Z", narrow));
	assert_true(covers("deny = read\ndays = mon-fri\nhours = 02:00-03:00", narrow));
	assert_false(covers("deny = list", narrow));
	assert_false(covers("deny = read\nsecret = a/c", narrow));
	assert_false(covers("deny = read\nuser = 8", narrow));
	assert_false(covers("deny = read\ngroup = 8", narrow));
	assert_false(covers("deny = read\nunit = a@y*.service", narrow));
	assert_false(covers("deny = read\nhours = 02:30-04:00", narrow));
	assert_false(covers("deny = read\ndays = mon", narrow));
	assert_false(covers("deny = read\ndays = tue-sun\nhours = 02:00-03:00", narrow));
	assert_false(covers("deny = read\nexpires = 2025-01-01Z", narrow));
	assert_false(covers("deny = read\nexe = /a", narrow));
}

static void a_rule_without_secret_covers_what_concerns_none(void **state)
{
	(void)state;
	assert_true(covers("deny = admin\nsecret = **", "allow = admin\nuser = 7"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pattern_covers_narrower_ones),
		cmocka_unit_test(patterns_meet_where_one_path_matches_both),
		cmocka_unit_test(covering_and_meeting_agree_with_matching),
		cmocka_unit_test(a_rule_covers_what_lies_within_it),
		cmocka_unit_test(a_rule_without_secret_covers_what_concerns_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
