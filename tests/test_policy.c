/* SPDX-License-Identifier: ISC */
#include "policy_fixture.h"

static void refuses_to_compile(const char *text, const char *expected)
{
	struct policy *policy;

	assert_int_equal(parse(text, &policy), MORTISE_OK);
	pin_known(policy);
	assert_int_equal(policy_compile(policy, &error), MORTISE_REJECTED);
	assert_string_equal(error.text, expected);
	policy_free(policy);
}

static void verbs_have_names(void **state)
{
	(void)state;
	for (unsigned verb = VERB_READ; verb <= VERB_ADMIN; verb *= 2)
		assert_int_equal(verb_of_name(verb_name((enum verb)verb)), verb);
	assert_int_equal(verb_of_name("reed"), 0);
	assert_int_equal(verb_of_name(""), 0);
	assert_string_equal(verb_name((enum verb)3), "?");
}

static void nothing_is_allowed_without_a_rule(void **state)
{
	(void)state;
	denies("", 0, 0, VERB_READ, "prod/db");
	denies("; nothing\n", 0, 0, VERB_ADMIN, NULL);
}

static void an_allow_reaches_its_user_verb_and_secret_alone(void **state)
{
	static const char text[] =
		"[rule a]\nallow = read list\nsecret = prod/db/* prod/key\nuser = backup\n";

	(void)state;
	allows(text, 34, 1, VERB_READ, "prod/db/password");
	allows(text, 34, 1, VERB_LIST, "prod/key");
	denies(text, 34, 1, VERB_WRITE, "prod/key");
	denies(text, 34, 1, VERB_READ, "prod/keys");
	denies(text, 35, 34, VERB_READ, "prod/key");
	denies(text, 0, 0, VERB_READ, "prod/key");
}

static void the_values_of_an_attribute_are_alternatives(void **state)
{
	static const char text[] = ALLOW "user = backup 1001 alice 7\n";

	(void)state;
	allows(text, 34, 1, VERB_READ, "prod/a");
	allows(text, 1000, 1, VERB_READ, "prod/a");
	allows(text, 1001, 1, VERB_READ, "prod/a");
	allows(text, 7, 1, VERB_READ, "prod/a");
	denies(text, 1002, 1, VERB_READ, "prod/a");
}

static void a_group_matches_a_supplementary_one(void **state)
{
	(void)state;
	allows(ALLOW "group = dba\n", 1000, 50, VERB_READ, "prod/a");
	allows(ALLOW "group = 57\n", 1000, 50, VERB_READ, "prod/a");
	denies(ALLOW "group = dba\n", 50, 51, VERB_READ, "prod/a");
}

static void a_user_and_a_group_of_one_name_are_two(void **state)
{
	(void)state;
	allows(ALLOW "group = backup\n", 1000, 34000, VERB_READ, "prod/a");
	denies(ALLOW "group = backup\n", 34, 34, VERB_READ, "prod/a");
	denies(ALLOW "user = backup\n", 34000, 34000, VERB_READ, "prod/a");
}

static void user_and_group_must_both_match(void **state)
{
	static const char text[] = ALLOW "user = alice\ngroup = dba\n";

	(void)state;
	allows(text, 1000, 50, VERB_READ, "prod/a");
	denies(text, 1000, 51, VERB_READ, "prod/a");
	denies(text, 1001, 50, VERB_READ, "prod/a");
}

static void a_deny_wins_wherever_it_stands(void **state)
{
	static const char allow[] = ALLOW "user = alice\n";
	static const char deny[] = "[rule d]\ndeny = read\nsecret = prod/ca/**\n";
	char first[256], last[256];

	(void)state;
	(void)snprintf(first, sizeof first, "%s%s", deny, allow);
	(void)snprintf(last, sizeof last, "%s%s", allow, deny);
	denies(first, 1000, 1, VERB_READ, "prod/ca/key");
	denies(last, 1000, 1, VERB_READ, "prod/ca/key");
	allows(first, 1000, 1, VERB_READ, "prod/db/key");
	allows(last, 1000, 1, VERB_READ, "prod/db/key");
}

static void a_deny_may_name_user_and_group(void **state)
{
	static const char user[] = ALLOW "group = 50\n[rule d]\ndeny = read\nuser = alice\n";
	static const char group[] = ALLOW "user = 1000 1001\n[rule d]\ndeny = read\ngroup = dba\n";
	static const char both[] = ALLOW "user = 1000 1001\n"
					 "[rule d]\ndeny = read\nuser = alice\ngroup = dba\n";

	(void)state;
	denies(user, 1000, 50, VERB_READ, "prod/a");
	allows(user, 1001, 50, VERB_READ, "prod/a");
	denies(group, 1000, 50, VERB_READ, "prod/a");
	allows(group, 1000, 51, VERB_READ, "prod/a");
	denies(both, 1000, 50, VERB_READ, "prod/a");
	allows(both, 1000, 51, VERB_READ, "prod/a");
	allows(both, 1001, 50, VERB_READ, "prod/a");
}

static void a_deny_without_secret_concerns_every_path_and_none(void **state)
{
	static const char text[] = "[rule a]\nallow = read admin\nsecret = **\nuser = alice\n"
				   "[rule d]\ndeny = read admin\n";

	(void)state;
	denies(text, 1000, 1, VERB_READ, "prod/a");
	denies(text, 1000, 1, VERB_ADMIN, NULL);
}

static void what_concerns_no_secret_needs_the_widest_pattern_or_none(void **state)
{
	(void)state;
	allows("[rule a]\nallow = audit\nuser = alice\n", 1000, 1, VERB_AUDIT, NULL);
	allows("[rule a]\nallow = audit admin\nuser = alice\n", 1000, 1, VERB_ADMIN, "prod/a");
	allows("[rule a]\nallow = read admin\nsecret = prod/a **\nuser = alice\n", 1000, 1,
		VERB_ADMIN, NULL);
	denies("[rule a]\nallow = read admin\nsecret = prod/**\nuser = alice\n", 1000, 1,
		VERB_ADMIN, NULL);
	denies("[rule a]\nallow = read admin\nsecret = */** *\nuser = alice\n", 1000, 1, VERB_ADMIN,
		NULL);
}

static void a_deny_with_the_widest_pattern_holds_for_what_concerns_none(void **state)
{
	(void)state;
	denies("[rule a]\nallow = admin\nuser = 0\n[rule d]\ndeny = admin\nsecret = **\n", 0, 0,
		VERB_ADMIN, NULL);
}

static void the_rule_that_decided_is_the_first_in_the_text(void **state)
{
	struct policy *policy = compile("[rule a1]\nallow = read\nsecret = **\ngroup = dba\n"
					"[rule a2]\nallow = read\nsecret = **\nuser = alice\n"
					"[rule d1]\ndeny = read\nsecret = x\ngroup = 57\n"
					"[rule d2]\ndeny = read\nsecret = x y\nuser = alice\n"
					"[rule d3]\ndeny = read\nsecret = x y z\n");

	(void)state;
	assert_string_equal(ask(policy, 1000, 50, VERB_READ, "w").rule, "a1");
	assert_string_equal(ask(policy, 1000, 51, VERB_READ, "w").rule, "a2");
	assert_string_equal(ask(policy, 1000, 50, VERB_READ, "x").rule, "d1");
	assert_string_equal(ask(policy, 1000, 50, VERB_READ, "y").rule, "d2");
	assert_string_equal(ask(policy, 1000, 50, VERB_READ, "z").rule, "d3");
	assert_null(ask(policy, 1000, 50, VERB_WRITE, "w").rule);
	assert_null(ask(policy, 1001, 51, VERB_READ, "w").rule);
	policy_free(policy);
}

static void the_overflow_uid_is_allowed_nothing(void **state)
{
	(void)state;
	denies(ALLOW "group = dba\n", 65534, 50, VERB_READ, "prod/a");
	denies(ALLOW "group = dba\n", UINT32_MAX, 50, VERB_READ, "prod/a");
}

static void missing_groups_match_every_deny_and_no_allow(void **state)
{
	struct policy *policy =
		compile(ALLOW "user = alice\n[rule d]\ndeny = read\nsecret = prod/x\ngroup = 9\n"
			      "[rule e]\ndeny = read\nsecret = prod/y\nuser = alice\ngroup = 9\n"
			      "[rule b]\nallow = read\nsecret = b\ngroup = 9\n");
	struct subject subject = {.uid = 1000};

	(void)state;
	assert_true(policy_decide(policy, &subject, VERB_READ, "prod/a", 0).allowed);
	assert_false(policy_decide(policy, &subject, VERB_READ, "prod/x", 0).allowed);
	assert_false(policy_decide(policy, &subject, VERB_READ, "prod/y", 0).allowed);
	assert_false(policy_decide(policy, &subject, VERB_READ, "b", 0).allowed);
	policy_free(policy);
}

static void at_an_unknown_time_hours_days_and_an_expiry_match_every_deny_and_no_allow(void **state)
{
	static const char *const times[] = {
		"hours = 00:00-24:00\n", "days = sun-sat\n", "expires = 2999-01-01\n"};
	static const uint32_t groups[] = {1};
	struct subject subject = {.uid = 1000, .groups = groups, .group_count = 1};

	(void)state;
	for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
		char text[256];

		(void)snprintf(text, sizeof text,
			ALLOW "user = alice\n%s[rule b]\nallow = read\nsecret = b x\nuser = alice\n"
			      "[rule d]\ndeny = read\nsecret = x\n%s",
			times[i], times[i]);
		struct policy *policy = compile(text);
		assert_true(policy_decide(policy, &subject, VERB_READ, "prod/a", 0).allowed);
		assert_false(
			policy_decide(policy, &subject, VERB_READ, "prod/a", POLICY_TIME_UNKNOWN)
				.allowed);
		assert_true(policy_decide(policy, &subject, VERB_READ, "b", POLICY_TIME_UNKNOWN)
				    .allowed);
		assert_string_equal(
			policy_decide(policy, &subject, VERB_READ, "x", POLICY_TIME_UNKNOWN).rule,
			"d");
		policy_free(policy);
	}
}

static void a_policy_that_is_not_compiled_allows_nothing(void **state)
{
	struct policy *policy;

	(void)state;
	assert_int_equal(parse(ALLOW "user = 0\n", &policy), MORTISE_OK);
	assert_false(ask(policy, 0, 0, VERB_READ, "prod/a").allowed);
	policy_free(policy);
}

static void a_name_is_asked_for_once_and_a_number_never(void **state)
{
	struct policy *policy;
	struct policy_name name;

	(void)state;
	assert_int_equal(parse("[rule a]\nallow = admin\nuser = 12 alice root alice\n"
			       "[rule b]\nallow = admin\nuser =  alice\ngroup = alice\n",
				 &policy),
		MORTISE_OK);
	assert_int_equal(policy_name_count(policy), 3);
	name = policy_name_at(policy, 0);
	assert_string_equal(name.name, "alice");
	assert_string_equal(name.file, "p");
	assert_int_equal(name.kind, POLICY_USER);
	assert_int_equal(name.line, 3);
	assert_int_equal(name.column, 11);
	assert_string_equal(policy_name_at(policy, 1).name, "root");
	assert_int_equal(policy_name_at(policy, 2).kind, POLICY_GROUP);
	policy_free(policy);
}

static void a_name_that_was_not_pinned_is_refused(void **state)
{
	(void)state;
	refuses_to_compile(ALLOW "user = bacup\n", "p:4:8: no such user 'bacup'");
	refuses_to_compile(
		"[rule d]\ndeny = read\ngroup = dba dbb\n", "p:3:13: no such group 'dbb'");
}

static void a_name_that_means_nobody_is_refused_in_an_allow(void **state)
{
	(void)state;
	refuses_to_compile("\n[rule a]\nallow = admin\nuser = 3 ghost\n",
		"p:2:1: rule 'a' allows user 'ghost', whose id 65534 is nobody's and never served; "
		"give the job a user of its own");
	refuses_to_compile("[rule a]\nallow = admin\ngroup = nogroup\n",
		"p:1:1: rule 'a' allows group 'nogroup', whose id 65534 is nobody's and never "
		"served; give the job a user of its own");
	denies("[rule a]\ndeny = admin\nuser = ghost\n", 65534, 1, VERB_ADMIN, NULL);
}

static void a_deny_for_nobody_stands(void **state)
{
	(void)state;
	denies("[rule d]\ndeny = read\nuser = 65534 4294967295\n", 65534, 1, VERB_READ, "a");
}

static void pins_after_compiling_change_nothing(void **state)
{
	struct policy *policy = compile(ALLOW "user = alice\n");

	(void)state;
	policy_pin(policy, 0, 0);
	policy_pin(policy, 99, 0);
	assert_int_equal(policy_compile(policy, &error), MORTISE_OK);
	assert_true(ask(policy, 1000, 1, VERB_READ, "prod/a").allowed);
	assert_false(ask(policy, 0, 1, VERB_READ, "prod/a").allowed);
	policy_free(policy);
}

/* The first rules that match, found by asking every rule everything. */
struct model_rule {
	bool is_deny, has_user, has_group;
	uint32_t user, group;
	unsigned verbs;
	const char *secret; /* NULL: none */
};

static bool model_matches(
	const struct model_rule *rule, uint32_t uid, uint32_t gid, enum verb verb, const char *path)
{
	if (!(rule->verbs & verb) || (rule->has_user && rule->user != uid) ||
		(rule->has_group && rule->group != gid && rule->group != gid + 7))
		return false;
	return rule->secret == NULL || strcmp(rule->secret, "**") == 0 ||
	       (path != NULL && strcmp(rule->secret, path) == 0);
}

static int model_first(const struct model_rule *rules, int count, bool is_deny, uint32_t uid,
	uint32_t gid, enum verb verb, const char *path)
{
	for (int i = 0; i < count; i++)
		if (rules[i].is_deny == is_deny && model_matches(&rules[i], uid, gid, verb, path))
			return i;
	return -1;
}

static uint32_t draw(uint32_t *seed, uint32_t below)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed % below;
}

static struct model_rule draw_rule(uint32_t *seed)
{
	static const char *const secrets[] = {"**", "a", "b", NULL};
	struct model_rule rule = {.is_deny = draw(seed, 4) == 0};

	rule.has_user = draw(seed, 2) == 0;
	rule.has_group = draw(seed, 2) == 0 || (!rule.is_deny && !rule.has_user);
	rule.user = draw(seed, 6);
	rule.group = draw(seed, 12);
	rule.verbs = draw(seed, 2) == 0 ? VERB_READ : VERB_ADMIN;
	rule.secret = secrets[draw(seed, rule.is_deny || rule.verbs == VERB_ADMIN ? 4 : 3)];
	if (rule.is_deny && rule.verbs == VERB_ADMIN && rule.secret != NULL)
		rule.secret = "**"; /* narrower ones are refused */
	return rule;
}

static void write_rule(const struct model_rule *rule, int number, char *text, size_t size)
{
	int used = snprintf(text, size, "[rule %d]\n%s = %s\n", number,
		rule->is_deny ? "deny" : "allow", verb_name((enum verb)rule->verbs));

	if (rule->secret != NULL)
		used += snprintf(text + used, size - (size_t)used, "secret = %s\n", rule->secret);
	if (rule->has_user)
		used += snprintf(text + used, size - (size_t)used, "user = %u\n", rule->user);
	if (rule->has_group)
		(void)snprintf(text + used, size - (size_t)used, "group = %u\n", rule->group);
}

static void compare_with_model(const struct policy *policy, const struct model_rule *rules,
	int count, uint32_t uid, uint32_t gid)
{
	static const char *const paths[] = {"a", "b", "c", NULL};

	for (unsigned i = 0; i < 8; i++) {
		enum verb verb = i < 4 ? VERB_READ : VERB_ADMIN;
		int deny = model_first(rules, count, true, uid, gid, verb, paths[i % 4]);
		int allow = model_first(rules, count, false, uid, gid, verb, paths[i % 4]);
		int decisive = deny >= 0 ? deny : allow;
		struct decision decision = ask(policy, uid, gid, verb, paths[i % 4]);

		assert_int_equal(decision.allowed, deny < 0 && allow >= 0);
		assert_int_equal(decision.rule == NULL ? -1 : (int)strtol(decision.rule, NULL, 10),
			decisive);
	}
}

static void decisions_agree_with_a_naive_model(void **state)
{
	struct model_rule rules[12];
	uint32_t seed = 20261123;

	(void)state;
	for (int round = 0; round < 1000; round++) {
		char text[2048] = "";
		int count = (int)draw(&seed, 13);
		struct policy *policy;

		for (int i = 0; i < count; i++) {
			size_t used = strlen(text);

			rules[i] = draw_rule(&seed);
			write_rule(&rules[i], i, text + used, sizeof text - used);
		}
		policy = compile(text);
		for (uint32_t id = 0; id < 36; id++)
			compare_with_model(policy, rules, count, id / 6, id % 6);
		policy_free(policy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(verbs_have_names),
		cmocka_unit_test(nothing_is_allowed_without_a_rule),
		cmocka_unit_test(an_allow_reaches_its_user_verb_and_secret_alone),
		cmocka_unit_test(the_values_of_an_attribute_are_alternatives),
		cmocka_unit_test(a_group_matches_a_supplementary_one),
		cmocka_unit_test(a_user_and_a_group_of_one_name_are_two),
		cmocka_unit_test(user_and_group_must_both_match),
		cmocka_unit_test(a_deny_wins_wherever_it_stands),
		cmocka_unit_test(a_deny_may_name_user_and_group),
		cmocka_unit_test(a_deny_without_secret_concerns_every_path_and_none),
		cmocka_unit_test(what_concerns_no_secret_needs_the_widest_pattern_or_none),
		cmocka_unit_test(a_deny_with_the_widest_pattern_holds_for_what_concerns_none),
		cmocka_unit_test(the_rule_that_decided_is_the_first_in_the_text),
		cmocka_unit_test(the_overflow_uid_is_allowed_nothing),
		cmocka_unit_test(missing_groups_match_every_deny_and_no_allow),
		cmocka_unit_test(
			at_an_unknown_time_hours_days_and_an_expiry_match_every_deny_and_no_allow),
		cmocka_unit_test(a_policy_that_is_not_compiled_allows_nothing),
		cmocka_unit_test(a_name_is_asked_for_once_and_a_number_never),
		cmocka_unit_test(a_name_that_was_not_pinned_is_refused),
		cmocka_unit_test(a_name_that_means_nobody_is_refused_in_an_allow),
		cmocka_unit_test(a_deny_for_nobody_stands),
		cmocka_unit_test(pins_after_compiling_change_nothing),
		cmocka_unit_test(decisions_agree_with_a_naive_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
