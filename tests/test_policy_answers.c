/* SPDX-License-Identifier: ISC */
#include "policy_fixture.h"

#include "policy_answers.h"

#define MONDAY ((time_t)1795392000)

static char said[65536];

static void note(const char *line)
{
	size_t used = strlen(said);

	(void)snprintf(said + used, sizeof said - used, "%s\n", line);
}

static bool note_grant(void *context, const struct policy_grant *grant)
{
	char line[1024];
	int *room = context;

	if (room != NULL && (*room)-- == 0)
		return false;
	(void)snprintf(line, sizeof line, "%s%s %s %s (%s) by %s%s",
		grant->is_deny ? "but not " : "", grant->who, grant->verbs, grant->secrets,
		grant->conditions, grant->is_credential ? "credential " : "", grant->rule);
	note(line);
	return true;
}

static void note_change(void *context, const char *line)
{
	(void)context;
	note(line);
}

static void explains_at(const char *text, const struct subject *subject, enum verb verb,
	const char *path, time_t now, const char *expected)
{
	struct policy *policy = compile(text);
	struct policy_explanation explanation;
	char words[1024];

	policy_explain(policy, subject, verb, path, now, &explanation);
	policy_explain_text(&explanation, words, sizeof words);
	assert_string_equal(words, expected);
	policy_free(policy);
}

static void explains(const char *text, const struct subject *subject, enum verb verb,
	const char *path, const char *expected)
{
	explains_at(text, subject, verb, path, MONDAY, expected);
}

static const uint32_t groups[] = {1};
#define USER(id) (&(struct subject){.uid = id, .groups = groups, .group_count = 1})

static void the_deciding_rule_is_named(void **state)
{
	(void)state;
	explains(ALLOW "user = 7\n", USER(7), VERB_READ, "prod/a", "rule 'a' (p:1) allows it");
	explains(ALLOW "user = 7\n\n[rule d]\ndeny = read\n", USER(7), VERB_READ, "prod/a",
		"rule 'd' (p:6) denies it");
	explains(ALLOW "user = 7\n\n[rule d]\ndeny = read\nunit = a.service\nexe = /bin/a\n",
		USER(7), VERB_READ, "prod/a",
		"rule 'd' (p:6) denies it, for unit and exe cannot be had");
}

#define NEAREST "no rule allows it; nearest is rule 'a' (p:1): "

static void the_attribute_that_failed_is_named(void **state)
{
	struct subject subject = *USER(7);

	(void)state;
	explains("", USER(7), VERB_READ, "prod/a", "no rule allows it");
	explains(ALLOW "user = backup\n", USER(8), VERB_READ, "prod/a",
		NEAREST "user is 8, not backup");
	explains(ALLOW "group = dba 3\n", USER(7), VERB_READ, "prod/a",
		NEAREST "group is another, not 3 dba");
	explains(ALLOW "user = 7\nunit = a.service\n", USER(7), VERB_READ, "prod/a",
		NEAREST "unit cannot be had, not a.service");
	subject.unit = (struct fact){FACT_KNOWN, "cron.service system.slice"};
	explains(ALLOW "user = 7\nunit = a.service\n", &subject, VERB_READ, "prod/a",
		NEAREST "unit is cron.service, not a.service");
	subject.unit = (struct fact){FACT_KNOWN, SUBJECT_UNSAID};
	explains(ALLOW "user = 7\nunit = a.service\n", &subject, VERB_READ, "prod/a",
		NEAREST "unit is not given, not a.service");
	explains(ALLOW "user = 7\nhours = 01:00-02:00Z\n", USER(7), VERB_READ, "prod/a",
		NEAREST "it is Mon 00:00Z, not 01:00-02:00Z");
	explains(ALLOW "user = 7\ndays = tue\n", USER(7), VERB_READ, "prod/a",
		NEAREST "it is Mon 00:00, not tue");
	explains(ALLOW "user = 7\nexpires = 2026-01-01Z\n", USER(7), VERB_READ, "prod/a",
		NEAREST "it expired 2026-01-01T00:00:00Z");
	explains(ALLOW "user = 7\n", USER(7), VERB_WRITE, "dev/a",
		NEAREST "secret is dev/a, not prod/**; verb is write, not read");
	explains(ALLOW "user = 7\n", USER(8), VERB_WRITE, "prod/a", "no rule allows it");
}

static void a_clock_that_is_not_believed_is_the_reason(void **state)
{
	(void)state;
	explains_at(ALLOW "user = 7\nhours = 01:00-02:00Z\n", USER(7), VERB_READ, "prod/a",
		POLICY_TIME_UNKNOWN, NEAREST "the clock is not believed, for hours 01:00-02:00Z");
	explains_at(ALLOW "user = 7\nexpires = 2999-01-01Z\n", USER(7), VERB_READ, "prod/a",
		POLICY_TIME_UNKNOWN,
		NEAREST "the clock is not believed, for expires 2999-01-01T00:00:00Z");
	explains_at(ALLOW "user = 7\n\n[rule d]\ndeny = read\ndays = mon\n", USER(7), VERB_READ,
		"prod/a", POLICY_TIME_UNKNOWN,
		"rule 'd' (p:6) denies it, for the clock is not believed");
	explains_at(ALLOW "user = 7\n\n[rule d]\ndeny = read\nunit = a.service\ndays = mon\n",
		USER(7), VERB_READ, "prod/a", POLICY_TIME_UNKNOWN,
		"rule 'd' (p:6) denies it, for the clock is not believed; and unit cannot be had");
}

static void a_rule_for_this_very_caller_is_near_whatever_else_failed(void **state)
{
	(void)state;
	explains(ALLOW "user = 7\nunit = a.service\nlabel = x_t\ndays = tue\n", USER(7), VERB_READ,
		"prod/a",
		NEAREST "unit cannot be had, not a.service; label cannot be had, not x_t; "
			"it is Mon 00:00, not tue");
}

static void the_nearest_three_come_nearest_first(void **state)
{
	(void)state;
	explains("[rule v]\nallow = write\nsecret = x\nuser = 7\n" ALLOW
		 "user = 8\n[rule b]\nallow = read\nsecret = prod/b\nuser = 7\n"
		 "[rule c]\nallow = read\nsecret = prod/a\nuser = 9\n",
		USER(7), VERB_READ, "prod/a",
		"no rule allows it; nearest is rule 'a' (p:5): user is 7, not 8; then rule 'b' "
		"(p:9): secret is prod/a, not prod/b; then rule 'c' (p:13): user is 7, not 9");
}

static void an_explanation_is_cut_to_size(void **state)
{
	char text[3000] = ALLOW "user = 7\nunit =";
	struct policy_explanation explanation;
	char words[40];

	(void)state;
	for (int i = 0; i < 100; i++)
		(void)snprintf(text + strlen(text), sizeof text - strlen(text), " a%d.service", i);
	struct policy *policy = compile(text);

	policy_explain(policy, USER(7), VERB_READ, "prod/a", MONDAY, &explanation);
	assert_int_equal(strlen(explanation.near[0].why), POLICY_WHY_SIZE - 1);
	policy_explain_text(&explanation, words, sizeof words);
	assert_string_equal(words, "no rule allows it; nearest is rule 'a' ");
	policy_free(policy);
}

static void a_name_that_disables_is_named(void **state)
{
	struct policy *policy = compile(ALLOW "user = alice\n");
	struct policy_explanation explanation;

	(void)state;
	policy_name_became(policy, 0, POLICY_NAME_GONE);
	policy_explain(policy, USER(1000), VERB_READ, "prod/a", MONDAY, &explanation);
	assert_int_equal(explanation.near_count, 1);
	assert_int_equal(explanation.near[0].failed, 1u << ATTRIBUTE_NAME);
	assert_string_equal(explanation.near[0].why, "the name alice is gone");
	policy_free(policy);
}

static void who_is(const char *text, unsigned verbs, const char *path, const char *expected)
{
	struct policy *policy = compile(text);
	struct policy_place place = {0};
	bool is_whole = false;

	said[0] = '\0';
	assert_int_equal(
		policy_who(policy, verbs, path, MONDAY, &place, note_grant, NULL, &is_whole),
		MORTISE_OK);
	assert_true(is_whole);
	assert_string_equal(said, expected);
	policy_free(policy);
}

static void everyone_who_may_is_listed(void **state)
{
	(void)state;
	who_is(ALLOW "user = backup 7\ngroup = dba\nrate = 20/h\n"
		     "[rule b]\nallow = read\nsecret = dev/**\nuser = 9\n"
		     "[rule c]\nallow = read list\nsecret = **\ngroup = dba\nhours = 22:00-02:00Z\n"
		     "[rule e]\nallow = read\nsecret = **\nunit = a.service\nlabel = x_t\n"
		     "days = mon-wed\nexpires = 2027-01-01Z\n"
		     "[rule f]\nallow = read\nsecret = **\nsocket = web\nexe = /bin/a\n",
		VERB_READ, "prod/a",
		"uid 7 read prod/** (group dba, at most 20/h) by a\n"
		"backup read prod/** (group dba, at most 20/h) by a\n"
		"group dba read ** (hours 22:00-02:00Z) by c\n"
		"unit a.service read ** (label x_t, days mon tue wed, expires "
		"2027-01-01T00:00:00Z) "
		"by e\n"
		"socket web read ** (exe /bin/a) by f\n");
}

static void who_is_denied_for_certain_is_left_out(void **state)
{
	(void)state;
	who_is(ALLOW "user = alice backup\n[rule d]\ndeny = read\nsecret = prod/*\nuser = alice\n",
		VERB_READ, "prod/a",
		"backup read prod/** () by a\nbut not alice read prod/* () by d\n");
	who_is(ALLOW "user = alice\n[rule d]\ndeny = read\nexe = /bin/sh\n", VERB_READ, "prod/a",
		"alice read prod/** () by a\nbut not exe /bin/sh read  () by d\n");
	who_is(ALLOW "user = alice\n[rule d]\ndeny = read\nuser = 9\n", VERB_READ, "prod/a",
		"alice read prod/** () by a\n");
	who_is(ALLOW "user = 7\n[rule d]\ndeny = read\nsecret = dev/**\n", VERB_READ, "prod/a",
		"uid 7 read prod/** () by a\n");
	who_is(ALLOW "user = 7\nexpires = 2026-01-01\n", VERB_READ, "prod/a", "");
}

static void of_several_verbs_those_are_told_that_no_deny_takes(void **state)
{
	(void)state;
	who_is("[rule a]\nallow = read list write\nsecret = **\nuser = 7 8\n"
	       "[rule d]\ndeny = read write\nuser = 7\n"
	       "[rule e]\ndeny = list\nuser = 7\nhours = 01:00-02:00Z\n",
		VERB_READ | VERB_LIST, "prod/a",
		"uid 7 list ** () by a\nuid 8 read list ** () by a\n"
		"but not uid 7 read  () by d\n"
		"but not uid 7 list  (hours 01:00-02:00Z) by e\n");
}

/* One grant at a time, and an answer that is the same as in one piece. */
static void an_answer_in_parts_is_the_same(void **state)
{
	static const char text[] = ALLOW "user = 7 8 9\n[rule d]\ndeny = read\nuser = 8\n"
					 "[rule b]\nallow = read\nsecret = **\nunit = a.service\n"
					 "[rule e]\ndeny = read\nuser = 9\nhours = 01:00-02:00Z\n"
					 "[credential pass]\nunit = a.service b.service\n"
					 "secret = prod/a\n";
	struct policy *policy = compile(text);
	struct policy_place place = {0};
	char whole[sizeof said];
	bool is_whole = false;
	unsigned parts = 0;

	(void)state;
	said[0] = '\0';
	assert_int_equal(policy_who(policy, VERB_READ, "prod/a", MONDAY, &place, note_grant, NULL,
				 &is_whole),
		MORTISE_OK);
	memcpy(whole, said, sizeof said);
	said[0] = '\0';
	place = (struct policy_place){0};
	for (is_whole = false; !is_whole; parts++) {
		int room = 1;
		assert_in_range(parts, 0, 12);
		assert_int_equal(policy_who(policy, VERB_READ, "prod/a", MONDAY, &place, note_grant,
					 &room, &is_whole),
			MORTISE_OK);
	}
	assert_string_equal(said, whole);
	assert_int_equal(parts, 7);
	place = (struct policy_place){UINT32_MAX, UINT32_MAX, POLICY_DENIES};
	assert_int_equal(policy_who(policy, VERB_READ, "prod/a", MONDAY, &place, note_grant, NULL,
				 &is_whole),
		MORTISE_OK);
	assert_string_equal(said, whole);
	policy_free(policy);
}

#define HANDED                                                                                     \
	"[credential pass]\nunit = a.service b@*.service\nsecret = prod/a\n"                       \
	"[credential own]\nid = pass\nunit = sync.service\nuser = 1000 7\nsecret = prod/a\n"       \
	"[credential other]\nunit = a.service\nsecret = prod/b\n"
#define TO_A    "unit a.service read prod/a (LoadCredential=pass) by credential pass\n"
#define TO_B    "unit b@*.service read prod/a (LoadCredential=pass) by credential pass\n"
#define TO_7    "uid 7 read prod/a (unit sync.service, LoadCredential=pass) by credential own\n"
#define TO_1000 "uid 1000 read prod/a (unit sync.service, LoadCredential=pass) by credential own\n"

static void units_that_are_handed_it_are_listed(void **state)
{
	(void)state;
	who_is(ALLOW "user = backup\n" HANDED, VERB_READ, "prod/a",
		"backup read prod/** () by a\n" TO_A TO_B TO_7 TO_1000);
	who_is(HANDED, VERB_LIST, "prod/a", "");
	who_is(HANDED, VERB_READ, "prod/c", "");
	who_is(HANDED, VERB_ADMIN, NULL, "");
}

/* The system's manager is root, at a listener of its own. */
static void from_what_units_are_handed_denies_take_as_from_their_manager(void **state)
{
	(void)state;
	who_is(HANDED "[rule d]\ndeny = read\nuser = 0\n", VERB_READ, "prod/a",
		TO_7 TO_1000 "but not uid 0 read  () by d\n");
	who_is(HANDED "[rule d]\ndeny = read\nunit = b@*.service sync.service\n", VERB_READ,
		"prod/a", TO_A "but not unit b@*.service sync.service read  () by d\n");
	who_is(HANDED "[rule d]\ndeny = read\nsocket = credentials\n", VERB_READ, "prod/a",
		"but not socket credentials read  () by d\n");
	who_is(HANDED "[rule d]\ndeny = read\nsocket = main\n", VERB_READ, "prod/a",
		TO_A TO_B TO_7 TO_1000);
	who_is(HANDED "[rule d]\ndeny = read\nuser = 9\n", VERB_READ, "prod/a",
		TO_A TO_B TO_7 TO_1000);
	who_is(HANDED "[rule d]\ndeny = read\nuser = 7\nhours = 01:00-02:00Z\n", VERB_READ,
		"prod/a", TO_A TO_B TO_7 TO_1000 "but not uid 7 read  (hours 01:00-02:00Z) by d\n");
}

static void a_credential_whose_user_is_gone_is_not_listed(void **state)
{
	struct policy *policy =
		compile("[credential own]\nunit = a.service\nuser = alice\nsecret = prod/a\n");
	struct policy_place place = {0};
	bool is_whole = false;

	(void)state;
	said[0] = '\0';
	policy_name_became(policy, 0, POLICY_NAME_GONE);
	assert_int_equal(policy_who(policy, VERB_READ, "prod/a", MONDAY, &place, note_grant, NULL,
				 &is_whole),
		MORTISE_OK);
	assert_true(is_whole);
	assert_string_equal(said, "");
	policy_free(policy);
}

static void administrators_are_listed_without_a_path(void **state)
{
	(void)state;
	who_is("[rule a]\nallow = admin\nuser = root\n"
	       "[rule b]\nallow = admin\nsecret = prod/**\nuser = 7\n",
		VERB_ADMIN, NULL, "root admin  () by a\n");
}

static void may_be(const char *text, const struct subject *subject, const char *expected)
{
	struct policy *policy = compile(text);
	struct policy_place place = {0};
	bool is_whole = false;

	said[0] = '\0';
	assert_int_equal(
		policy_may(policy, subject, 127, MONDAY, &place, note_grant, NULL, &is_whole),
		MORTISE_OK);
	assert_true(is_whole);
	assert_string_equal(said, expected);
	policy_free(policy);
}

static void what_one_may_is_listed_with_what_cuts_into_it(void **state)
{
	static const char text[] = ALLOW "user = 7\nunit = a.service\n"
					 "[rule b]\nallow = read\nsecret = **\nuser = 8\n"
					 "[rule c]\nallow = list\nsecret = dev/**\ngroup = 1\n"
					 "[rule d]\ndeny = read\nsecret = prod/ca/**\n"
					 "[rule e]\ndeny = read\nsecret = dev/**\n"
					 "[rule f]\ndeny = read\nuser = 8\n";

	(void)state;
	may_be(text, USER(7),
		"uid 7 read prod/** (unit a.service) by a\n"
		"gid 1 list dev/** () by c\n"
		"but not everybody read prod/ca/** () by d\n");
	may_be(text, USER(65534), "");
}

static void known_facts_exclude_rules(void **state)
{
	struct subject subject = *USER(7);

	(void)state;
	subject.unit = (struct fact){FACT_KNOWN, "b.service"};
	may_be(ALLOW "user = 7\nunit = a.service\n", &subject, "");
	subject.unit = (struct fact){FACT_UNKNOWN, NULL};
	may_be(ALLOW "user = 7\nunit = a.service\n", &subject, "");
}

#define ALL_A "unit a.service b@*.service read prod/a (LoadCredential=pass) by credential pass\n"
#define ALL_OWN                                                                                    \
	"uid 7 1000 read prod/a (unit sync.service, LoadCredential=pass) by credential own\n"
#define OTHER "unit a.service read prod/b (LoadCredential=other) by credential other\n"

static void what_a_unit_is_handed_is_listed(void **state)
{
	struct subject subject = *USER(33);

	(void)state;
	may_be(HANDED, USER(7), ALL_A ALL_OWN OTHER);
	may_be(HANDED, &subject, ALL_A OTHER);
	subject.unit = (struct fact){FACT_KNOWN, "a.service system.slice"};
	may_be(HANDED, &subject, ALL_A OTHER);
	may_be(HANDED "[rule d]\ndeny = read\nuser = 0\nsecret = prod/b\n", &subject,
		ALL_A OTHER "but not uid 0 read prod/b () by d\n");
	subject.unit = (struct fact){FACT_KNOWN, "sync.service system.slice"};
	may_be(HANDED, &subject, "");
	subject.unit = (struct fact){FACT_UNKNOWN, NULL};
	may_be(HANDED, &subject, "");
}

static void what_a_unit_of_a_user_is_handed_is_his(void **state)
{
	struct subject subject = *USER(7);

	(void)state;
	subject.unit = (struct fact){FACT_KNOWN,
		"user@7.service user-7.slice user.slice user:sync.service user:app.slice"};
	may_be(HANDED, &subject, ALL_OWN);
	subject.socket = (struct fact){FACT_KNOWN, "main"};
	may_be(HANDED, &subject, "");
	subject.uid = 65534;
	subject.socket = (struct fact){FACT_UNGATHERED, NULL};
	may_be(HANDED, &subject, "");
}

static bool has_admin(const char *text)
{
	struct policy *policy = compile(text);
	bool is_whole, result = policy_has_admin(policy, MONDAY, &is_whole);

	assert_true(is_whole);
	policy_free(policy);
	return result;
}

#define ADMIN "[rule a]\nallow = admin\n"

static void a_policy_without_administrator_is_seen(void **state)
{
	(void)state;
	assert_true(has_admin(ADMIN "user = root\n"));
	assert_true(has_admin(ADMIN "group = dba\nexe = /bin/a\nlabel = x_t\n"));
	assert_true(has_admin(ADMIN "unit = a@*.service\nhours = 02:30-02:31\ndays = sun\n"));
	assert_true(has_admin(ADMIN "socket = web\n"));
	assert_false(has_admin(ALLOW "user = root\n"));
	assert_false(has_admin(ADMIN "secret = prod/**\nuser = root\n"));
	assert_false(has_admin(ADMIN "user = root\nexpires = 2026-01-01\n"));
	assert_false(has_admin(ADMIN "user = root\n[rule d]\ndeny = admin\n"));
	assert_false(has_admin(ADMIN "user = root\n[rule d]\ndeny = admin\nhours = 00:00-12:00\n"
				     "[rule e]\ndeny = admin\nhours = 12:00-24:00\n"));
	assert_true(has_admin(ADMIN "user = root 7\n[rule d]\ndeny = admin\nuser = root\n"));
	assert_true(has_admin(ADMIN "user = root\n[rule d]\ndeny = admin\nsocket = web\n"));
}

static void a_disabled_administrator_is_none(void **state)
{
	struct policy *policy = compile(ADMIN "user = alice\n");
	bool is_whole;

	(void)state;
	policy_name_became(policy, 0, POLICY_NAME_CHANGED);
	assert_false(policy_has_admin(policy, MONDAY, &is_whole));
	policy_free(policy);
}

/* 1,000 users to whom admin is allowed and denied, and perhaps one who has it. */
static void after_1000_who_are_no_administrator_it_is_said_that_more_were_not_tried(void **state)
{
	static char text[POLICY_ADMINS_MAX * 16];

	(void)state;
	for (unsigned behind = 0; behind < 2; behind++) {
		size_t used = (size_t)snprintf(text, sizeof text,
			"[rule d]\ndeny = admin\nsocket = main\n[rule e]\ndeny = admin\n");
		struct policy *policy;
		bool is_whole;

		used += (size_t)snprintf(text + used, sizeof text - used, "user =");
		for (unsigned i = 0; i < POLICY_ADMINS_MAX; i++)
			used += (size_t)snprintf(text + used, sizeof text - used, " %u", i + 1);
		used += (size_t)snprintf(
			text + used, sizeof text - used, "\n[rule a]\nallow = admin\nuser =");
		for (unsigned i = 0; i < POLICY_ADMINS_MAX + behind; i++)
			used += (size_t)snprintf(text + used, sizeof text - used, " %u", i + 1);
		(void)snprintf(text + used, sizeof text - used, "\n");
		policy = compile(text);
		assert_false(policy_has_admin(policy, MONDAY, &is_whole));
		assert_int_equal(is_whole, behind == 0);
		policy_free(policy);
	}
}

static void changes(const char *before, const char *after, const char *expected)
{
	struct policy *old = compile(before), *new = compile(after);

	said[0] = '\0';
	assert_int_equal(policy_compare(old, new, note_change, NULL), MORTISE_OK);
	assert_string_equal(said, expected);
	policy_free(old);
	policy_free(new);
}

static void what_is_lost_and_gained_is_told(void **state)
{
	(void)state;
	changes("[rule a]\nallow = read list\nsecret = prod/db/** x\nuser = backup 7\n",
		"[rule a]\nallow = read list\nsecret = x\nuser = backup 7 9\n",
		"uid 7: may no longer read list prod/db/**\n"
		"backup: may no longer read list prod/db/**\nuid 9: may now read list x\n");
	changes(ALLOW "user = 7\n", ALLOW "user = 7\nunit = a.service\n",
		"uid 7: may no longer read prod/**\nuid 7: may now read prod/** (unit "
		"a.service)\n");
	changes("", "[rule d]\ndeny = read\nsecret = x\n[rule e]\ndeny = admin\ngroup = dba\n",
		"everybody: is now denied to read x\ngroup dba: is now denied to admin\n");
	changes("[rule d]\ndeny = read\n", "", "everybody: is no longer denied to read\n");
	changes(ALLOW "user = 7\n", "[rule d]\ndeny = read\nsecret = prod/**\nuser = 7\n",
		"uid 7: may no longer read prod/**\nuid 7: is now denied to read prod/**\n");
}

static void what_another_rule_grants_is_no_change(void **state)
{
	(void)state;
	changes(ALLOW "user = 7\n", "[rule z]\nallow = read list\nsecret = **\nuser = 7\n",
		"uid 7: may now read list **\n");
	changes(ALLOW "user = 7\n[rule b]\nallow = read\nsecret = prod/db\nuser = 7\n",
		ALLOW "user = 7\n", "");
	changes("[rule a]\nallow = read list\nsecret = x\nuser = 7\n",
		"[rule a]\nallow = read\nsecret = x\nuser = 7\n", "uid 7: may no longer list x\n");
	changes(ALLOW "user = 7\n", ALLOW "user = 7\nrate = 1/h\n",
		"uid 7: may no longer read prod/**\n"
		"uid 7: may now read prod/** (at most 1/h)\n");
	changes(ALLOW "user = 7\nrate = 1/h\n", ALLOW "user = 7\nrate = 2/h\n",
		"uid 7: may now read prod/** (at most 2/h)\n");
}

static void names_order_and_spelling_are_no_change(void **state)
{
	(void)state;
	changes(ALLOW "user = alice 7\n[rule d]\ndeny = list\n",
		"[rule e]\ndeny=list\n[rule b]\nuser = 7 1000\nsecret  = prod/**\nallow = read\n",
		"");
}

static void credentials_are_compared(void **state)
{
	(void)state;
	changes("[credential c]\nunit = a.service\nsecret = x\n",
		"[credential c]\nunit = a.service\nsecret = y\nuser = 7\n",
		"unit a.service: may no longer have credential c, x\n"
		"unit a.service of 7: may now have credential c, y\n");
	changes("[credential c]\nunit = a.service\nsecret = x\n",
		"[credential d]\nid = c\nunit = a.service\nsecret = x\n", "");
}

static void endless_changes_are_cut(void **state)
{
	static char text[65536];
	size_t used = 0;

	(void)state;
	for (int i = 0; i <= POLICY_CHANGES_MAX; i++)
		used += (size_t)snprintf(
			text + used, sizeof text - used, "[rule r%d]\ndeny=read\nuser=%d\n", i, i);
	said[0] = '\0';
	struct policy *old = compile(""), *new = compile(text);

	assert_int_equal(policy_compare(old, new, note_change, NULL), MORTISE_OK);
	assert_non_null(strstr(said, "\nand more changes than are listed here\n"));
	policy_free(old);
	policy_free(new);
}

/* Each rule in two ways of saying the same. */
static struct policy *compile_many(const char *besides)
{
	static char text[400000];
	size_t used = 0;

	for (int i = 0; i < 3000; i++)
		used += (size_t)snprintf(text + used, sizeof text - used,
			"[rule r%d]\nallow=read\nuser=7\nsecret=p%d/* %s\n", i, i, besides);
	return compile(text);
}

static void a_comparison_that_would_take_too_long_ends_and_says_so(void **state)
{
	struct policy *old = compile_many(""), *new = compile_many("p1/a");

	(void)state;
	said[0] = '\0';
	assert_int_equal(policy_compare(old, new, note_change, NULL), MORTISE_OK);
	assert_string_equal(said, "there are too many rules to compare them all: there may be more "
				  "changes\n");
	policy_free(old);
	policy_free(new);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_deciding_rule_is_named),
		cmocka_unit_test(the_attribute_that_failed_is_named),
		cmocka_unit_test(a_clock_that_is_not_believed_is_the_reason),
		cmocka_unit_test(a_rule_for_this_very_caller_is_near_whatever_else_failed),
		cmocka_unit_test(an_explanation_is_cut_to_size),
		cmocka_unit_test(the_nearest_three_come_nearest_first),
		cmocka_unit_test(a_name_that_disables_is_named),
		cmocka_unit_test(everyone_who_may_is_listed),
		cmocka_unit_test(who_is_denied_for_certain_is_left_out),
		cmocka_unit_test(of_several_verbs_those_are_told_that_no_deny_takes),
		cmocka_unit_test(an_answer_in_parts_is_the_same),
		cmocka_unit_test(units_that_are_handed_it_are_listed),
		cmocka_unit_test(from_what_units_are_handed_denies_take_as_from_their_manager),
		cmocka_unit_test(a_credential_whose_user_is_gone_is_not_listed),
		cmocka_unit_test(what_a_unit_is_handed_is_listed),
		cmocka_unit_test(what_a_unit_of_a_user_is_handed_is_his),
		cmocka_unit_test(administrators_are_listed_without_a_path),
		cmocka_unit_test(what_one_may_is_listed_with_what_cuts_into_it),
		cmocka_unit_test(known_facts_exclude_rules),
		cmocka_unit_test(a_policy_without_administrator_is_seen),
		cmocka_unit_test(a_disabled_administrator_is_none),
		cmocka_unit_test(
			after_1000_who_are_no_administrator_it_is_said_that_more_were_not_tried),
		cmocka_unit_test(what_is_lost_and_gained_is_told),
		cmocka_unit_test(what_another_rule_grants_is_no_change),
		cmocka_unit_test(names_order_and_spelling_are_no_change),
		cmocka_unit_test(credentials_are_compared),
		cmocka_unit_test(endless_changes_are_cut),
		cmocka_unit_test(a_comparison_that_would_take_too_long_ends_and_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
