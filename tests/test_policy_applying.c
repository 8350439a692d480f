/* SPDX-License-Identifier: ISC */
/* What an apply says before and after, what it refuses, and the ways back. */
#include "keeper_fixture.h"

#include <time.h>

#define FIRST                                                                                      \
	"[rule first]\nallow = read list write delete rotate audit admin\nsecret = **\nuser = 0\n"
#define ALICE_READS "[rule r]\nallow = read\nsecret = prod/*\nuser = alice\n"

struct wish {
	uint64_t version, base;
	const char *key;
	bool is_dry_run, is_forced;
};

static uint64_t number(const struct asker *asker, unsigned tag)
{
	uint64_t value = 0;

	assert_int_equal(wire_number(&asker->reply, tag, &value), MORTISE_OK);
	return value;
}

static uint16_t wish_for(struct keeper_fixture *fixture, struct asker *asker, uint16_t opcode,
	const struct wish *wish)
{
	static uint8_t token[WIRE_TOKEN_SIZE];
	struct wire_writer *writer = asker_begin(asker, opcode);

	if (wish->version)
		wire_put_number(writer, WIRE_TAG_VERSION, wish->version);
	token[0]++;
	wire_put(writer, WIRE_TAG_TOKEN, token, sizeof token);
	if (wish->base)
		wire_put_number(writer, WIRE_TAG_EXPECT, wish->base);
	if (wish->key)
		wire_put_text(writer, WIRE_TAG_RECOVERY, wish->key);
	if (wish->is_dry_run)
		wire_put_number(writer, WIRE_TAG_DRY_RUN, 1);
	if (wish->is_forced)
		wire_put_number(writer, WIRE_TAG_FORCE, 1);
	return asker_call(fixture, asker);
}

static uint16_t apply(struct keeper_fixture *fixture, struct asker *asker, const char *text,
	const struct wish *wish)
{
	assert_int_equal(ask_stage(fixture, asker, text), MORTISE_OK);
	return wish_for(fixture, asker, WIRE_POLICY_APPLY, wish);
}

#define APPLY(text, ...) apply(fixture, asker, text, &(struct wish){__VA_ARGS__})
#define ROLL_BACK(...)   wish_for(fixture, asker, WIRE_POLICY_ROLLBACK, &(struct wish){__VA_ARGS__})
#define RESET(...)       wish_for(fixture, asker, WIRE_POLICY_RESET, &(struct wish){__VA_ARGS__})

static void assert_version(struct keeper_fixture *fixture, const char *expected)
{
	char text[256];

	keeper_fact(fixture, "policy_version", text);
	assert_string_equal(text, expected);
}

/* Change: "TEXT"; warning: "FILE:LINE:COLUMN: TEXT"; and "? PROGRAM" where that is to be seen. */
static void assert_findings(const struct asker *asker, const char *expected)
{
	struct wire_list list = wire_list_of(&asker->reply, WIRE_TAG_ITEMS);
	char said[4096] = "", text[WIRE_TEXT_MAX], more[WIRE_TEXT_MAX];
	struct wire_field item;
	size_t used = 0;

	while (wire_list_next(&list, &item)) {
		struct wire_message fields;
		uint64_t line = 0, column = 0;
		assert_int_equal(wire_parse_fields(item.bytes, item.size, &fields), MORTISE_OK);
		assert_int_equal(wire_text(&fields, WIRE_TAG_TEXT, text, sizeof text), MORTISE_OK);
		if (wire_text(&fields, WIRE_TAG_NAME, more, sizeof more) == MORTISE_OK) {
			assert_int_equal(wire_number(&fields, WIRE_TAG_NUMBER, &line), MORTISE_OK);
			assert_int_equal(
				wire_number(&fields, WIRE_TAG_OFFSET, &column), MORTISE_OK);
			used += (size_t)snprintf(said + used, sizeof said - used,
				"%s:%u:%u: ", more, (unsigned)line, (unsigned)column);
		}
		used += (size_t)snprintf(said + used, sizeof said - used, "%s", text);
		if (wire_text(&fields, WIRE_TAG_CHUNK, more, sizeof more) == MORTISE_OK)
			used += (size_t)snprintf(said + used, sizeof said - used, " ? %s", more);
		used += (size_t)snprintf(said + used, sizeof said - used, "\n");
	}
	assert_true(wire_list_is_whole(&list));
	assert_string_equal(said, expected);
}

static void a_dry_run_and_an_apply_say_what_changes(void **state)
{
	static const char changes[] = "alice: may no longer read prod/*\n"
				      "uid 7: may now list dev/**\n";
	static const char after[] = FIRST "[rule r]\nallow = list\nsecret = dev/**\nuser = 7\n";
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	assert_int_equal(APPLY(FIRST ALICE_READS, .version = 0), MORTISE_OK);
	assert_int_equal(APPLY(after, .is_dry_run = true), MORTISE_OK);
	assert_findings(asker, changes);
	assert_int_equal(number(asker, WIRE_TAG_VERSION), 3);
	assert_version(fixture, "2");
	assert_int_equal(APPLY(after, .base = 2), MORTISE_OK);
	assert_findings(asker, changes);
	assert_version(fixture, "3");
	asker_close(asker);
}

static void what_is_odd_has_its_place_and_programs_are_for_others_to_look_at(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	assert_int_equal(APPLY(FIRST, .version = 0), MORTISE_OK);
	assert_int_equal(APPLY(FIRST "[rule o]\nallow = read\nsecret = a\nuser = 7\n"
				     "expires = 2020-01-01\n"
				     "exe = /usr/bin/python3 /opt/job\n"),
		MORTISE_OK);
	assert_findings(asker,
		"uid 7: may now read a (exe /usr/bin/python3 /opt/job, expires "
		"2020-01-01T00:00:00Z)\n"
		"p:9:11: rule 'o' can never match: it has expired\n"
		"p:10:7: rule 'o' names /usr/bin/python3, which runs whatever it is told\n"
		"p:10:7: rule 'o' names /opt/job, a script: the caller is its interpreter ? "
		"/opt/job\n");
	assert_non_null(strstr(asker->text, "1 rule names an exe, which cannot be had"));
	asker_close(asker);
}

/* Thousands of rules, each with warnings and long words. */
static void endless_findings_are_cut_to_a_frame(void **state)
{
	static char text[3000 * 400];
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);
	size_t used = (size_t)snprintf(text, sizeof text, FIRST);

	for (unsigned i = 0; i < 3000; i++)
		used += (size_t)snprintf(text + used, sizeof text - used,
			"[rule r%u]\nallow = read\nsecret = a%0200u\nuser = %u\n"
			"exe = /bin/sh /opt/%u\n",
			i, i, i + 10, i);
	assert_int_equal(APPLY(text, .is_dry_run = true), MORTISE_OK);
	assert_in_range(asker->size, 50000, WIRE_FRAME_MAX);
	const struct wire_field *items = wire_field_of(&asker->reply, WIRE_TAG_ITEMS);
	for (size_t i = 0; i < 3; i++) {
		static const char *const said[] = {
			" more changes", " more warnings", " more programs were not looked at"};
		assert_non_null(memmem(items->bytes, items->size, said[i], strlen(said[i])));
	}
	asker_close(asker);
}

static void another_policy_that_came_meanwhile_is_a_conflict(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	keeper_apply(fixture, FIRST);
	assert_int_equal(APPLY(FIRST ALICE_READS, .base = 1), MORTISE_CONFLICT);
	assert_non_null(strstr(asker->text, "is version 2, no longer 1"));
	assert_int_equal(APPLY(FIRST, .base = 1, .is_dry_run = true), MORTISE_CONFLICT);
	assert_int_equal(ROLL_BACK(.base = 1), MORTISE_CONFLICT);
	assert_int_equal(RESET(.base = 1, .key = fixture->recovery), MORTISE_CONFLICT);
	assert_version(fixture, "2");
	asker_close(asker);
}

static void a_policy_that_leaves_no_administrator_needs_force(void **state)
{
	static const char nobody[] = "[rule r]\nallow = read\nsecret = **\nuser = 0\n";
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	assert_int_equal(APPLY(nobody, .version = 0), MORTISE_REJECTED);
	assert_non_null(strstr(asker->text, "would leave no administrator"));
	assert_int_equal(APPLY(nobody, .is_dry_run = true), MORTISE_REJECTED);
	assert_version(fixture, "1");
	assert_int_equal(APPLY(nobody, .is_forced = true), MORTISE_OK);
	assert_non_null(strstr(asker->text, "mortise policy reset"));
	assert_int_equal(ask_plain(fixture, asker, WIRE_POLICY_SHOW), MORTISE_DENIED);
	asker_close(asker);
}

static void a_policy_that_makes_another_the_only_administrator_needs_force(void **state)
{
	static const char other[] = "[rule r]\nallow = admin\nuser = 7\n";
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	assert_int_equal(APPLY(other, .version = 0), MORTISE_REJECTED);
	assert_non_null(strstr(asker->text, "would take the verb admin from you"));
	assert_int_equal(APPLY(other, .is_forced = true), MORTISE_OK);
	asker_close(asker);
}

/* Its right is the one of the end, not of the beginning. */
static void who_lost_admin_while_names_were_looked_up_applies_nothing(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture), *slow = asker_open(fixture);
	static const uint8_t token[WIRE_TOKEN_SIZE] = {0xff};

	fixture->holds_names = true;
	assert_int_equal(ask_stage(fixture, slow, FIRST ALICE_READS), MORTISE_OK);
	wire_put(asker_begin(slow, WIRE_POLICY_APPLY), WIRE_TAG_TOKEN, token, sizeof token);
	asker_send(slow);
	keeper_await_lookups(fixture, 1);
	assert_int_equal(
		APPLY("[rule r]\nallow = admin\nuser = 7\n", .is_forced = true), MORTISE_OK);
	keeper_answer_names(fixture);
	assert_int_equal(asker_receive(fixture, slow), MORTISE_DENIED);
	assert_int_equal(RESET(.key = fixture->recovery), MORTISE_OK);
	assert_int_equal(number(asker, WIRE_TAG_VERSION), 3);
	asker_close(asker);
	asker_close(slow);
}

/* As of now there is one; so there is next week only without the rule's end. */
static void an_administrator_for_some_days_only_needs_force(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);
	time_t soon = time(NULL) + 3 * 86400;
	char text[128], day[16];

	(void)strftime(day, sizeof day, "%Y-%m-%d", gmtime(&soon));
	snprintf(text, sizeof text, "[rule r]\nallow = admin\nuser = 0\nexpires = %s\n", day);
	assert_int_equal(APPLY(text, .version = 0), MORTISE_REJECTED);
	assert_non_null(strstr(asker->text, "in a week's time"));
	assert_int_equal(APPLY(text, .is_forced = true), MORTISE_OK);
	asker_close(asker);
}

static void a_rollback_brings_the_version_before_or_a_named_one(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	keeper_apply(fixture, FIRST ALICE_READS);
	keeper_apply(fixture, FIRST);
	assert_int_equal(ROLL_BACK(.is_dry_run = true), MORTISE_OK);
	assert_version(fixture, "3");
	assert_int_equal(ROLL_BACK(.base = 3), MORTISE_OK);
	assert_findings(asker, "alice: may now read prod/*\n");
	assert_int_equal(number(asker, WIRE_TAG_VERSION), 4);
	assert_int_equal(ROLL_BACK(.version = 3), MORTISE_OK);
	assert_findings(asker, "alice: may no longer read prod/*\n");
	assert_version(fixture, "5");
	assert_int_equal(ROLL_BACK(.version = 77), MORTISE_NOT_FOUND);
	asker_close(asker);
}

static void before_the_first_version_there_is_none(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	assert_int_equal(ROLL_BACK(.version = 0), MORTISE_NOT_FOUND);
	asker_close(asker);
}

static void a_rollback_looks_names_up_anew_and_is_guarded(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	keeper_apply(fixture, FIRST ALICE_READS);
	keeper_apply(fixture, "[rule web]\nallow = admin\nuser = 0\nsocket = main\n");
	fixture->gone_name = "alice";
	assert_int_equal(ROLL_BACK(.version = 2), MORTISE_REJECTED);
	assert_string_equal(asker->text, "p:8:8: no such user 'alice'");
	assert_int_equal(APPLY("[rule r]\nallow = admin\nuser = 7\n[rule s]\nallow = admin\n"
			       "user = 0\nexpires = 2020-01-01\n",
				 .is_forced = true),
		MORTISE_OK);
	assert_int_equal(ROLL_BACK(.version = 1), MORTISE_DENIED);
	asker_close(asker);
}

static void a_reset_needs_an_operator_and_the_recovery_key(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);
	char wrong[128];

	NEEDS_ROOT();
	assert_int_equal(
		APPLY("[rule r]\nallow = read\nsecret = **\nuser = 0\n", .is_forced = true),
		MORTISE_OK);
	assert_int_equal(RESET(.version = 0), MORTISE_INVALID);
	assert_int_equal(RESET(.key = "no key"), MORTISE_INVALID);
	memcpy(wrong, fixture->recovery, sizeof wrong);
	wrong[0] = wrong[0] == 'A' ? 'B' : 'A';
	assert_int_not_equal(RESET(.key = wrong), MORTISE_OK);
	assert_version(fixture, "2");
	become(ALICE, ALICE);
	struct asker *alice = asker_open(fixture);
	assert_int_equal(wish_for(fixture, alice, WIRE_POLICY_RESET,
				 &(struct wish){.key = fixture->recovery}),
		MORTISE_DENIED);
	become_root();
	assert_int_equal(RESET(.key = fixture->recovery, .is_dry_run = true), MORTISE_OK);
	assert_version(fixture, "2");
	assert_int_equal(RESET(.key = fixture->recovery), MORTISE_OK);
	assert_int_equal(number(asker, WIRE_TAG_VERSION), 3);
	assert_last_line(fixture, "\"op\":\"policy-reset\",\"uid\":0,\"gid\":0,"
				  "\"result\":\"ok\"");
	assert_int_equal(ask_plain(fixture, asker, WIRE_POLICY_SHOW), MORTISE_OK);
	assert_int_equal(ask_plain(fixture, asker, WIRE_SEAL), MORTISE_OK);
	assert_int_equal(RESET(.key = fixture->recovery), MORTISE_SEALED);
	asker_close(asker);
	asker_close(alice);
}

/* A key that is well-formed, and another store's. */
static void the_recovery_key_of_another_store_is_denied(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct keeper_fixture *other = NULL;
	struct asker *asker = asker_open(fixture);

	assert_int_equal(set_up_store((void **)&other), 0);
	assert_int_equal(RESET(.key = other->recovery), MORTISE_DENIED);
	assert_non_null(strstr(asker->text, "not the recovery key of this store"));
	assert_version(fixture, "1");
	assert_int_equal(tear_down_keeper((void **)&other), 0);
	asker_close(asker);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_STORE(a_dry_run_and_an_apply_say_what_changes),
		WITH_STORE(what_is_odd_has_its_place_and_programs_are_for_others_to_look_at),
		WITH_STORE(endless_findings_are_cut_to_a_frame),
		WITH_STORE(another_policy_that_came_meanwhile_is_a_conflict),
		WITH_STORE(a_policy_that_leaves_no_administrator_needs_force),
		WITH_STORE(a_policy_that_makes_another_the_only_administrator_needs_force),
		WITH_STORE(who_lost_admin_while_names_were_looked_up_applies_nothing),
		WITH_STORE(an_administrator_for_some_days_only_needs_force),
		WITH_STORE(a_rollback_brings_the_version_before_or_a_named_one),
		WITH_STORE(before_the_first_version_there_is_none),
		WITH_STORE(a_rollback_looks_names_up_anew_and_is_guarded),
		WITH_STORE(a_reset_needs_an_operator_and_the_recovery_key),
		WITH_STORE(the_recovery_key_of_another_store_is_denied),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
