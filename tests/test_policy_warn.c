/* SPDX-License-Identifier: ISC */
#include "policy_fixture.h"

#include <time.h>

#include "policy_answers.h"

/* Monday 2026-11-23; in Berlin clocks go forward on 2027-03-28 and back on 2027-10-31. */
#define MONDAY ((time_t)1795392000)

static char said[8192];

static void note(void *context, const struct policy_warning *warning)
{
	size_t used = strlen(said);

	(void)context;
	(void)snprintf(said + used, sizeof said - used, "%s:%u:%u: %s\n", warning->file,
		warning->line, warning->column, warning->text);
}

static bool is_script(void *context, const char *exe)
{
	(void)context;
	return strcmp(exe, "/opt/script") == 0;
}

static void warns(const char *text, const char *expected)
{
	struct policy_warning_options options = {.now = MONDAY, .is_script = is_script};
	struct policy *policy = compile(text);

	said[0] = '\0';
	assert_int_equal(policy_warnings(policy, &options, note, NULL), MORTISE_OK);
	assert_string_equal(said, expected);
	policy_free(policy);
}

static void a_plain_policy_has_no_warnings(void **state)
{
	(void)state;
	warns(ALLOW "user = 7\nexe = /usr/bin/restic\n[rule b]\nallow = read admin\n"
		    "secret = ** prod/a\ngroup = 7\nhours = 05:00-06:00 02:30-04:00Z\n"
		    "[rule d]\ndeny = read\nsecret = prod/ca/**\nexe = /bin/sh\n",
		"");
}

static void an_expired_rule_never_matches(void **state)
{
	(void)state;
	warns(ALLOW "user = 7\nexpires = 2026-11-23Z\n",
		"p:5:11: rule 'a' can never match: it has expired\n");
	warns(ALLOW "user = 7\nexpires = 2026-11-24Z\n", "");
}

static void audit_and_admin_below_a_path_do_nothing(void **state)
{
	(void)state;
	warns("[rule a]\nallow = admin\nsecret = prod/**\nuser = 7\n",
		"p:3:10: rule 'a' can never match: audit and admin need the pattern **, or no "
		"'secret ='\n");
	warns("[rule a]\nallow = audit read\nsecret = prod/**\nuser = 7\n",
		"p:3:10: rule 'a' allows audit or admin to no effect: they need the pattern **\n");
}

static void a_denied_allow_does_nothing(void **state)
{
	static const char said_of_a[] =
		"p:1:1: rule 'a' does nothing: rule 'd' (p:5) denies all of it\n";

	(void)state;
	warns(ALLOW "user = 7\n[rule d]\ndeny = read list\n", said_of_a);
	warns(ALLOW "user = 7\n[rule d]\ndeny = read list\nuser = 7 8\nsecret = prod/**\n",
		said_of_a);
	warns(ALLOW "group = 7\n[rule d]\ndeny = read list\ngroup = 8 7\n", said_of_a);
	warns(ALLOW "unit = a@x.service\n[rule d]\ndeny = read\nunit = a@*.service\n", said_of_a);
	warns(ALLOW "socket = web\n[rule d]\ndeny = read\nsocket = web\n", said_of_a);
	warns(ALLOW "user = 7\nexe = /a\n[rule d]\ndeny = read\nexe = /a\n",
		"p:1:1: rule 'a' does nothing: rule 'd' (p:6) denies all of it\n");
	warns(ALLOW "user = 7\n[rule d]\ndeny = read\nuser = 8\n", "");
}

static void a_rule_that_another_contains_does_nothing(void **state)
{
	(void)state;
	warns(ALLOW "user = 7\n[rule b]\nallow = read\nsecret = prod/**\nuser = 7\n",
		"p:5:1: rule 'b' does nothing: rule 'a' (p:1) says as much\n");
	warns("[rule b]\nallow = read\nsecret = prod/a\nuser = 7\n" ALLOW "user = 7\n",
		"p:1:1: rule 'b' does nothing: rule 'a' (p:5) says as much\n");
	warns("[rule c]\ndeny = read\nuser = 7\n[rule d]\ndeny = read\n",
		"p:1:1: rule 'c' does nothing: rule 'd' (p:4) says as much\n");
	warns(ALLOW "user = 7\nrate = 1/h\n[rule b]\nallow = read\nsecret = prod/a\nuser = 7\n",
		"");
	warns(ALLOW "user = 7\n[rule d]\ndeny = read\nsecret = prod/a\nuser = 7\n", "");
}

static void programs_that_tell_nobody_apart_are_named(void **state)
{
	(void)state;
	warns(ALLOW "user = 7\nexe = /bin/bash\n",
		"p:5:7: rule 'a' names /bin/bash, which runs whatever it is told\n");
	warns(ALLOW "user = 7\nexe = /usr/bin/python3.11 /usr/bin/shred\n",
		"p:5:7: rule 'a' names /usr/bin/python3.11, which runs whatever it is told\n");
	warns(ALLOW "user = 7\nexe = /usr/lib64/ld-linux-x86-64.so.2\n",
		"p:5:7: rule 'a' names /usr/lib64/ld-linux-x86-64.so.2, which runs whatever it is "
		"told\n");
	warns(ALLOW "user = 7\nexe = /usr/bin/mortise\n",
		"p:5:7: rule 'a' names /usr/bin/mortise, which anybody can run: it tells nobody "
		"apart\n");
	warns(ALLOW "user = 7\nexe = /opt/script\n",
		"p:5:7: rule 'a' names /opt/script, a script: the caller is its interpreter\n");
}

static void hours_that_meet_a_change_of_the_clocks_are_named(void **state)
{
	(void)state;
	warns(ALLOW "user = 7\nhours = 02:30-04:30\n",
		"p:5:9: rule 'a' has hours 02:30-04:30, but on 2027-03-28 the time from 02:00 to "
		"03:00 is skipped; Z would make them UTC\n"
		"p:5:9: rule 'a' has hours 02:30-04:30, but on 2027-10-31 the time from 02:00 to "
		"03:00 comes twice; Z would make them UTC\n");
	warns(ALLOW "user = 7\nhours = 23:00-02:30\ndays = mon-fri\n", "");
	warns(ALLOW "user = 7\nhours = 23:00-02:00\n", "");
	warns(ALLOW "user = 7\nhours = 03:00-04:00\n", "");
}

static void hours_from_the_day_before_meet_it_too(void **state)
{
	(void)state;
	warns(ALLOW "user = 7\nhours = 23:00-02:30\ndays = sat\n",
		"p:5:9: rule 'a' has hours 23:00-02:30, but on 2027-03-28 the time from 02:00 to "
		"03:00 is skipped; Z would make them UTC\n"
		"p:5:9: rule 'a' has hours 23:00-02:30, but on 2027-10-31 the time from 02:00 to "
		"03:00 comes twice; Z would make them UTC\n");
}

static void too_many_rules_to_compare_are_said_to_be(void **state)
{
	static char text[400000];
	struct policy_warning_options options = {.now = MONDAY};
	size_t used = 0;

	(void)state;
	for (int i = 0; i < 3000; i++)
		used += (size_t)snprintf(text + used, sizeof text - used,
			"[rule r%d]\nallow=read\nuser=7\nsecret=p%d/*\n", i, i);
	struct policy *policy = compile(text);

	said[0] = '\0';
	assert_int_equal(policy_warnings(policy, &options, note, NULL), MORTISE_OK);
	assert_string_equal(
		said, ":0:0: there are too many rules to look which of them others cover\n");
	policy_free(policy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_plain_policy_has_no_warnings),
		cmocka_unit_test(an_expired_rule_never_matches),
		cmocka_unit_test(audit_and_admin_below_a_path_do_nothing),
		cmocka_unit_test(a_denied_allow_does_nothing),
		cmocka_unit_test(a_rule_that_another_contains_does_nothing),
		cmocka_unit_test(programs_that_tell_nobody_apart_are_named),
		cmocka_unit_test(hours_that_meet_a_change_of_the_clocks_are_named),
		cmocka_unit_test(hours_from_the_day_before_meet_it_too),
		cmocka_unit_test(too_many_rules_to_compare_are_said_to_be),
	};

	(void)setenv("TZ", "Europe/Berlin", 1);
	tzset();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
