/* SPDX-License-Identifier: ISC */
/* What an admin can ask about a policy: check, who and may, over the wire. */
#include "keeper_fixture.h"

#include "policy.h"

#define FIRST                                                                                      \
	"[rule first]\nallow = read list write delete rotate audit admin\nsecret = **\nuser = 0\n" \
	"socket = main\n"

static const char rules[] =
	FIRST "[rule job]\nallow = read\nsecret = prod/db/*\nuser = backup\nunit = backup.service\n"
	      "[rule night]\nallow = read\nsecret = prod/night/*\nuser = backup\n"
	      "hours = 01:00-02:00Z\nrate = 20/h\n"
	      "[rule dbas]\nallow = read list\nsecret = prod/db/**\ngroup = dba\n"
	      "[rule web]\nallow = read write\nsecret = prod/web\nsocket = web\nuser = 1001 4242\n"
	      "[rule ca]\ndeny = read\nsecret = prod/ca/**\n"
	      "[rule shells]\ndeny = read\nsecret = prod/shells\nexe = /bin/sh\n";

struct whom {
	const char *user, *group, *unit, *exe, *label, *listener;
	uint64_t at_us;
};

static void put(struct wire_writer *writer, unsigned tag, const char *text)
{
	if (text)
		wire_put_text(writer, tag, text);
}

static uint16_t check(struct keeper_fixture *fixture, struct asker *asker, struct whom whom,
	const char *verb, const char *path)
{
	struct wire_writer *writer = asker_begin(asker, WIRE_POLICY_CHECK);

	put(writer, WIRE_TAG_PATH, path);
	put(writer, WIRE_TAG_LABEL, whom.label);
	put(writer, WIRE_TAG_NAME, whom.listener);
	put(writer, WIRE_TAG_USER, whom.user);
	put(writer, WIRE_TAG_GROUP, whom.group);
	put(writer, WIRE_TAG_VERB, verb);
	if (whom.at_us)
		wire_put_number(writer, WIRE_TAG_TIME, whom.at_us);
	put(writer, WIRE_TAG_UNIT, whom.unit);
	put(writer, WIRE_TAG_EXE, whom.exe);
	return asker_call(fixture, asker);
}

/* The verdict, and the first of the nearest rules with what failed. */
static void says(struct keeper_fixture *fixture, struct asker *asker, struct whom whom,
	const char *verb, const char *path, const char *expected, const char *near)
{
	struct wire_message fields;
	struct wire_field item;
	char why[WIRE_TEXT_MAX] = "";

	assert_int_equal(check(fixture, asker, whom, verb, path), MORTISE_OK);
	assert_string_equal(asker->text, expected);
	struct wire_list list = wire_list_of(&asker->reply, WIRE_TAG_ITEMS);
	if (wire_list_next(&list, &item)) {
		assert_int_equal(wire_parse_fields(item.bytes, item.size, &fields), MORTISE_OK);
		assert_int_equal(wire_text(&fields, WIRE_TAG_RULE, why, 64), MORTISE_OK);
		size_t used = strlen(why);
		snprintf(why + used, sizeof why - used, ": ");
		assert_int_equal(
			wire_text(&fields, WIRE_TAG_TEXT, why + used + 2, sizeof why - used - 2),
			MORTISE_OK);
	}
	assert_string_equal(why, near);
}

#define WHOM(...) ((struct whom){__VA_ARGS__})

static void the_nearest_rule_is_told_with_what_it_wants(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	NEEDS_ROOT();
	keeper_apply(fixture, rules);
	says(fixture, asker, WHOM(.user = "backup", .group = "7", .unit = "backup.service"), "read",
		"prod/db/a", "backup (uid 34) may read prod/db/a: rule job", "");
	says(fixture, asker, WHOM(.user = "backup", .group = "7", .unit = "cron.service"), "read",
		"prod/db/a", "backup (uid 34) may not read prod/db/a: no rule allows it",
		"job: unit is cron.service, not backup.service");
	says(fixture, asker, WHOM(.user = "backup", .group = "7"), "read", "prod/db/a",
		"backup (uid 34) may not read prod/db/a: no rule allows it",
		"job: unit is not given, not backup.service");
	says(fixture, asker, WHOM(.user = "backup", .group = "7", .unit = "?"), "read", "prod/db/a",
		"backup (uid 34) may not read prod/db/a: no rule allows it",
		"job: unit cannot be had, not backup.service");
	asker_close(asker);
}

static void a_unit_may_be_given_as_its_cgroup(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	NEEDS_ROOT();
	keeper_apply(fixture, rules);
	says(fixture, asker,
		WHOM(.user = "backup", .group = "7", .unit = "/system.slice/backup.service/x"),
		"read", "prod/db/a", "backup (uid 34) may read prod/db/a: rule job", "");
	assert_int_equal(
		check(fixture, asker, WHOM(.unit = "/x"), "read", "prod/db/a"), MORTISE_INVALID);
	assert_int_equal(
		check(fixture, asker, WHOM(.unit = " "), "read", "prod/db/a"), MORTISE_INVALID);
	assert_int_equal(
		check(fixture, asker, WHOM(.label = "a b"), "read", "prod/db/a"), MORTISE_INVALID);
	assert_int_equal(
		check(fixture, asker, WHOM(.exe = ""), "read", "prod/db/a"), MORTISE_INVALID);
	asker_close(asker);
}

static void groups_are_the_user_s_own_or_those_that_are_named(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	NEEDS_ROOT();
	keeper_apply(fixture, rules);
	says(fixture, asker, WHOM(.user = "alice"), "list", "prod/db/a",
		"alice (uid 1000) may list prod/db/a: rule dbas", "");
	says(fixture, asker, WHOM(.user = "alice", .group = "7"), "list", "prod/db/a",
		"alice (uid 1000) may not list prod/db/a: no rule allows it",
		"dbas: group is another, not dba");
	says(fixture, asker, WHOM(.user = "alice", .group = "7 dba"), "list", "prod/db/a",
		"alice (uid 1000) may list prod/db/a: rule dbas", "");
	assert_int_equal(check(fixture, asker, WHOM(.user = "alice", .group = "7 nodba"), "list",
				 "prod/db/a"),
		MORTISE_INVALID);
	assert_string_equal(asker->text, "this host has no such group: 'nodba'");
	assert_int_equal(
		check(fixture, asker, WHOM(.group = "7  8"), "list", "prod/x"), MORTISE_INVALID);
	assert_int_equal(
		check(fixture, asker, WHOM(.group = "7 "), "list", "prod/x"), MORTISE_INVALID);
	assert_int_equal(check(fixture, asker, WHOM(.group = "1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1"),
				 "list", "prod/x"),
		MORTISE_INVALID);
	asker_close(asker);
}

static void the_time_may_be_another(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	NEEDS_ROOT();
	keeper_apply(fixture, rules);
	says(fixture, asker, WHOM(.user = "backup", .at_us = UINT64_C(1795397400000000)), "read",
		"prod/night/a", "backup (uid 34) may read prod/night/a: rule night, at most 20/h",
		"");
	says(fixture, asker, WHOM(.user = "backup", .at_us = UINT64_C(1795400000000000)), "read",
		"prod/night/a", "backup (uid 34) may not read prod/night/a: no rule allows it",
		"night: it is Mon 02:13Z, not 01:00-02:00Z");
	assert_int_equal(
		check(fixture, asker, WHOM(.at_us = UINT64_MAX), "read", "a"), MORTISE_INVALID);
	asker_close(asker);
}

static void a_listener_that_does_not_take_the_verb_decides(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	NEEDS_ROOT();
	keeper_apply(fixture, rules);
	says(fixture, asker, WHOM(.user = "1001", .listener = "web"), "read", "prod/web",
		"1001 (uid 1001) may read prod/web: rule web", "");
	says(fixture, asker, WHOM(.user = "1001", .listener = "web"), "write", "prod/web",
		"1001 (uid 1001) may not write prod/web: the listener web does not take the verb "
		"write",
		"");
	says(fixture, asker, WHOM(.user = "1001"), "read", "prod/web",
		"1001 (uid 1001) may not read prod/web: no rule allows it",
		"web: socket is main, not web");
	assert_int_equal(
		check(fixture, asker, WHOM(.listener = "db"), "read", "prod/x"), MORTISE_INVALID);
	assert_string_equal(asker->text, "no listener has that name: db");
	asker_close(asker);
}

static void what_this_host_cannot_find_out_no_supposed_caller_has(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	NEEDS_ROOT();
	keeper_apply(fixture, rules);
	says(fixture, asker, WHOM(.user = "alice", .exe = "/bin/true"), "read", "prod/shells",
		"alice (uid 1000) may not read prod/shells: rule shells denies it, for exe cannot "
		"be had",
		"");
	asker_close(asker);
}

/* Without a user it is who asks, but for what is said. */
static void who_asks_may_suppose_himself_elsewhere(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	NEEDS_ROOT();
	keeper_apply(fixture, rules);
	says(fixture, asker, WHOM(.user = NULL), "admin", NULL, "uid 0 may admin: rule first", "");
	says(fixture, asker, WHOM(.listener = "web"), "read", "prod/x",
		"uid 0 may not read prod/x: no rule allows it", "first: socket is web, not main");
	says(fixture, asker, WHOM(.group = "dba", .listener = "web"), "read", "prod/db/x",
		"uid 0 may read prod/db/x: rule dbas", "");
	asker_close(asker);
}

static void who_is_no_admin_gets_no_answer(void **state)
{
	static const uint16_t opcodes[] = {WIRE_POLICY_CHECK, WIRE_POLICY_WHO, WIRE_POLICY_MAY};
	struct keeper_fixture *fixture = *state;

	NEEDS_ROOT();
	keeper_apply(fixture, rules);
	become(ALICE, ALICE);
	struct asker *asker = asker_open(fixture);
	for (size_t i = 0; i < sizeof opcodes / sizeof opcodes[0]; i++) {
		assert_int_equal(ask_plain(fixture, asker, opcodes[i]), MORTISE_DENIED);
		assert_string_equal(asker->text, "denied: it needs the verb admin");
	}
	become_root();
	asker_close(asker);
	assert_last_line(
		fixture, "\"op\":\"policy-may\",\"uid\":1000,\"gid\":1000,\"result\":\"denied\"");
}

/* ---- who and may ---- */

static char listed[1 << 20];

static void list_items(const struct asker *asker)
{
	struct wire_list list = wire_list_of(&asker->reply, WIRE_TAG_ITEMS);
	struct wire_field item, pattern;

	while (wire_list_next(&list, &item)) {
		struct wire_message fields;
		char who[WIRE_TEXT_MAX] = "", verbs[64] = "", rule[65] = "",
		     conditions[WIRE_TEXT_MAX] = "";
		uint64_t status = 0;
		size_t used = strlen(listed);
		assert_int_equal(wire_parse_fields(item.bytes, item.size, &fields), MORTISE_OK);
		assert_int_equal(wire_text(&fields, WIRE_TAG_NAME, who, sizeof who), MORTISE_OK);
		assert_int_equal(
			wire_text(&fields, WIRE_TAG_VERB, verbs, sizeof verbs), MORTISE_OK);
		assert_int_equal(wire_text(&fields, WIRE_TAG_RULE, rule, sizeof rule), MORTISE_OK);
		assert_int_equal(wire_number(&fields, WIRE_TAG_STATUS, &status), MORTISE_OK);
		if (wire_has(&fields, WIRE_TAG_TEXT))
			assert_int_equal(
				wire_text(&fields, WIRE_TAG_TEXT, conditions, sizeof conditions),
				MORTISE_OK);
		used += (size_t)snprintf(listed + used, sizeof listed - used, "%s%s: %s",
			status == MORTISE_DENIED ? "not " : "", who, verbs);
		struct wire_list patterns = wire_list_of(&fields, WIRE_TAG_PATHS);
		while (wire_list_next(&patterns, &pattern))
			used += (size_t)snprintf(listed + used, sizeof listed - used, " %.*s",
				(int)pattern.size, (const char *)pattern.bytes);
		snprintf(listed + used, sizeof listed - used, " (%s) %s%s\n", conditions,
			wire_has(&fields, WIRE_TAG_NUMBER) ? "credential " : "", rule);
	}
}

/* All pages; how many there were. */
static unsigned list_all(struct keeper_fixture *fixture, struct asker *asker, uint16_t opcode,
	const char *path, const char *user, const char *listener)
{
	uint8_t cursor[64];
	size_t cursor_size = 0;
	unsigned pages = 0;

	listed[0] = '\0';
	do {
		struct wire_writer *writer = asker_begin(asker, opcode);
		put(writer, WIRE_TAG_PATH, path);
		if (cursor_size)
			wire_put(writer, WIRE_TAG_CURSOR, cursor, cursor_size);
		put(writer, WIRE_TAG_NAME, listener);
		put(writer, WIRE_TAG_USER, user);
		if (asker_call(fixture, asker) != MORTISE_OK)
			fail_msg("%s", asker->text);
		const struct wire_field *next = wire_field_of(&asker->reply, WIRE_TAG_CURSOR);
		cursor_size = next->size;
		assert_in_range(cursor_size, 0, sizeof cursor);
		if (cursor_size)
			memcpy(cursor, next->bytes, cursor_size);
		assert_int_equal(wire_has(&asker->reply, WIRE_TAG_MORE), cursor_size > 0);
		list_items(asker);
		pages++;
	} while (cursor_size);
	return pages;
}

static void everyone_who_may_is_listed_with_conditions(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	NEEDS_ROOT();
	keeper_apply(fixture, rules);
	(void)list_all(fixture, asker, WIRE_POLICY_WHO, "prod/db/a", NULL, NULL);
	assert_string_equal(listed, "uid 0: read list write delete rotate (socket main) first\n"
				    "backup: read (unit backup.service) job\n"
				    "group dba: read list () dbas\n");
	(void)list_all(fixture, asker, WIRE_POLICY_WHO, "prod/ca/x", NULL, NULL);
	assert_string_equal(listed, "uid 0: list write delete rotate (socket main) first\n"
				    "not everybody: read () ca\n");
	(void)list_all(fixture, asker, WIRE_POLICY_WHO, NULL, NULL, NULL);
	assert_string_equal(listed, "uid 0: audit admin (socket main) first\n");
	asker_close(asker);
}

static void all_that_one_may_is_listed(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	NEEDS_ROOT();
	keeper_apply(fixture, rules);
	(void)list_all(fixture, asker, WIRE_POLICY_MAY, NULL, "backup", NULL);
	assert_string_equal(asker->text, "backup (uid 34)");
	assert_string_equal(listed,
		"backup: read prod/db/* (unit backup.service) job\n"
		"backup: read prod/night/* (hours 01:00-02:00Z, at most 20/h) night\n"
		"group dba: read list prod/db/** () dbas\n");
	(void)list_all(fixture, asker, WIRE_POLICY_MAY, NULL, "4242", NULL);
	assert_string_equal(listed, "group dba: read list prod/db/** () dbas\n"
				    "uid 1001 4242: read write prod/web (socket web) web\n");
	(void)list_all(fixture, asker, WIRE_POLICY_MAY, NULL, "4242", "web");
	assert_string_equal(listed,
		"group dba: read prod/db/** () dbas\nuid 1001 4242: read prod/web (socket web) "
		"web\n");
	asker_close(asker);
}

static void what_units_are_handed_is_listed_as_such(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	NEEDS_ROOT();
	keeper_apply(fixture,
		FIRST "[credential pass]\nunit = a.service b.service\n"
		      "secret = prod/db/a\n[rule d]\ndeny = read\nunit = b.service\n");
	(void)list_all(fixture, asker, WIRE_POLICY_WHO, "prod/db/a", NULL, NULL);
	assert_string_equal(listed, "uid 0: read list write delete rotate (socket main) first\n"
				    "unit a.service: read (LoadCredential=pass) credential pass\n"
				    "not unit b.service: read () d\n");
	(void)list_all(fixture, asker, WIRE_POLICY_MAY, NULL, "4242", NULL);
	assert_string_equal(listed,
		"unit a.service b.service: read prod/db/a (LoadCredential=pass) credential pass\n"
		"not unit b.service: read () d\n");
	(void)list_all(fixture, asker, WIRE_POLICY_MAY, NULL, "4242", "main");
	assert_string_equal(listed, "");
	asker_close(asker);
}

/* 600 credentials of two units: the parts of an answer end and begin within pages. */
static void credentials_come_in_pages_too(void **state)
{
	static char text[600 * 90];
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);
	size_t used = (size_t)snprintf(text, sizeof text, FIRST), count = 0;

	NEEDS_ROOT();
	for (unsigned i = 0; i < 600; i++)
		used += (size_t)snprintf(text + used, sizeof text - used,
			"[credential c%u]\nunit = a%u.service b%u.service\nsecret = a/b\n", i, i,
			i);
	keeper_apply(fixture, text);
	assert_int_equal(list_all(fixture, asker, WIRE_POLICY_WHO, "a/b", NULL, NULL), 3);
	for (const char *at = listed; *at; at++)
		count += *at == '\n';
	assert_int_equal(count, 1201);
	asker_close(asker);
}

static void a_long_answer_comes_in_pages_and_has_one_line(void **state)
{
	static char text[3000 * 80];
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);
	size_t used = (size_t)snprintf(text, sizeof text, FIRST), lines, count = 0;

	NEEDS_ROOT();
	for (unsigned i = 0; i < 1300; i++)
		used += (size_t)snprintf(text + used, sizeof text - used,
			"[rule r%u]\nallow = read\nsecret = a/*\nuser = %u 9000\n", i, 10000 + i);
	keeper_apply(fixture, text);
	lines = keeper_log_lines(fixture);
	assert_int_equal(list_all(fixture, asker, WIRE_POLICY_WHO, "a/b", NULL, NULL), 6);
	for (const char *at = listed; *at; at++)
		count += *at == '\n';
	assert_int_equal(count, 2601);
	assert_int_equal(list_all(fixture, asker, WIRE_POLICY_MAY, NULL, "9000", NULL), 3);
	count = 0;
	for (const char *at = listed; *at; at++)
		count += *at == '\n';
	assert_int_equal(count, 1300);
	assert_in_range(keeper_log_lines(fixture), lines + 2, lines + 4); /* and checkpoints */
	asker_close(asker);
}

static void put_words(
	char *text, size_t size, const char *key, const char *before, const char *after)
{
	size_t used = strlen(text);

	used += (size_t)snprintf(text + used, size - used, "%s =", key);
	for (unsigned i = 0; i < 360; i++)
		used += (size_t)snprintf(text + used, size - used, " %s%04u%s", before, i, after);
	snprintf(text + used, size - used, "\n");
}

static void a_rule_as_long_as_they_get_is_listed(void **state)
{
	char text[16384] = FIRST "[rule r]\nallow = read\n";
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	NEEDS_ROOT();
	put_words(text, sizeof text, "secret", "prod/a", "");
	put_words(text, sizeof text, "user", "10", "");
	put_words(text, sizeof text, "unit", "", ".scope");
	keeper_apply(fixture, text);
	assert_int_equal(list_all(fixture, asker, WIRE_POLICY_MAY, NULL, "100007", NULL), 1);
	assert_non_null(strstr(listed, " prod/a0000 "));
	assert_non_null(strstr(listed, " prod/a0359 (unit 0000.scope 0001.scope "));
	assert_non_null(strstr(listed, " ...) r\n"));
	asker_close(asker);
}

static void a_page_of_another_policy_is_refused(void **state)
{
	static const uint8_t cursors[][16] = {
		{1}, {2, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 255}};
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	keeper_apply(fixture, FIRST);
	for (unsigned i = 0; i < 2; i++) {
		static const uint16_t opcodes[] = {WIRE_POLICY_WHO, WIRE_POLICY_MAY};
		wire_put(asker_begin(asker, opcodes[i]), WIRE_TAG_CURSOR, cursors[0], 16);
		assert_int_equal(asker_call(fixture, asker), MORTISE_CONFLICT);
		assert_non_null(strstr(asker->text, "the policy has changed meanwhile"));
		wire_put(asker_begin(asker, opcodes[i]), WIRE_TAG_CURSOR, cursors[1], 16);
		assert_int_equal(asker_call(fixture, asker), MORTISE_OK);
		assert_int_equal(wire_field_of(&asker->reply, WIRE_TAG_ITEMS)->size, 0);
		wire_put(asker_begin(asker, opcodes[i]), WIRE_TAG_CURSOR, cursors[0], 15);
		assert_int_equal(asker_call(fixture, asker), MORTISE_INVALID);
	}
	asker_close(asker);
}

static void a_verb_has_to_fit_the_path(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	wire_put_text(asker_begin(asker, WIRE_POLICY_WHO), WIRE_TAG_VERB, "read");
	assert_int_equal(asker_call(fixture, asker), MORTISE_INVALID);
	put(asker_begin(asker, WIRE_POLICY_WHO), WIRE_TAG_PATH, "a/b");
	wire_put_text(&asker->writer, WIRE_TAG_VERB, "admin");
	assert_int_equal(asker_call(fixture, asker), MORTISE_INVALID);
	put(asker_begin(asker, WIRE_POLICY_WHO), WIRE_TAG_PATH, "a/b");
	wire_put_text(&asker->writer, WIRE_TAG_VERB, "reed");
	assert_int_equal(asker_call(fixture, asker), MORTISE_INVALID);
	asker_close(asker);
}

/* Names are out at the monitor; then the agent is sealed, or the asker goes. */
static void a_question_that_is_overtaken_by_a_seal_is_told_so(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture), *leaving = asker_open(fixture),
		     *sealing = asker_open(fixture);

	fixture->holds_names = true;
	put(asker_begin(leaving, WIRE_POLICY_MAY), WIRE_TAG_USER, "alice");
	asker_send(leaving);
	keeper_await_lookups(fixture, 1);
	asker_close(leaving);
	keeper_answer_names(fixture);
	put(asker_begin(asker, WIRE_POLICY_MAY), WIRE_TAG_USER, "alice");
	asker_send(asker);
	keeper_await_lookups(fixture, 2);
	assert_int_equal(ask_plain(fixture, sealing, WIRE_SEAL), MORTISE_OK);
	keeper_answer_names(fixture);
	assert_int_equal(asker_receive(fixture, asker), MORTISE_SEALED);
	asker_close(asker);
	asker_close(sealing);
}

static int set_up_doors(void **state)
{
	struct keeper_fixture *fixture = keeper_prepare();

	*state = fixture;
	keeper_listen_web(fixture, VERB_READ | VERB_ADMIN);
	keeper_start(fixture);
	keeper_init(fixture);
	return 0;
}

#define WITH_DOORS(name) cmocka_unit_test_setup_teardown(name, set_up_doors, tear_down_keeper)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_DOORS(the_nearest_rule_is_told_with_what_it_wants),
		WITH_DOORS(a_unit_may_be_given_as_its_cgroup),
		WITH_DOORS(groups_are_the_user_s_own_or_those_that_are_named),
		WITH_DOORS(the_time_may_be_another),
		WITH_DOORS(a_listener_that_does_not_take_the_verb_decides),
		WITH_DOORS(what_this_host_cannot_find_out_no_supposed_caller_has),
		WITH_DOORS(who_asks_may_suppose_himself_elsewhere),
		WITH_DOORS(who_is_no_admin_gets_no_answer),
		WITH_DOORS(everyone_who_may_is_listed_with_conditions),
		WITH_DOORS(all_that_one_may_is_listed),
		WITH_DOORS(what_units_are_handed_is_listed_as_such),
		WITH_DOORS(credentials_come_in_pages_too),
		WITH_DOORS(a_long_answer_comes_in_pages_and_has_one_line),
		WITH_DOORS(a_rule_as_long_as_they_get_is_listed),
		WITH_DOORS(a_page_of_another_policy_is_refused),
		WITH_DOORS(a_verb_has_to_fit_the_path),
		WITH_DOORS(a_question_that_is_overtaken_by_a_seal_is_told_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
