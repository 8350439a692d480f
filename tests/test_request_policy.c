/* SPDX-License-Identifier: ISC */
/* Policies on their way into the store, and what they then decide. */
#include "keeper_fixture.h"

#include <grp.h>
#include <unistd.h>

#define FIRST                                                                                      \
	"[rule first]\nallow = read list write delete rotate audit admin\nsecret = **\nuser = 0\n"

static uint64_t number(const struct asker *asker, unsigned tag)
{
	uint64_t value = 0;

	assert_int_equal(wire_number(&asker->reply, tag, &value), MORTISE_OK);
	return value;
}

static void assert_policy_version(struct keeper_fixture *fixture, const char *expected)
{
	char text[256];

	keeper_fact(fixture, "policy_version", text);
	assert_string_equal(text, expected);
}

static void names_are_looked_up_and_the_rule_holds(void **state)
{
	struct keeper_fixture *fixture = *state;

	NEEDS_ROOT();
	keeper_put(fixture, "prod/x", "value");
	keeper_apply(fixture, FIRST "[rule r]\nallow = read\nsecret = prod/*\nuser = alice\n");
	assert_int_equal(fixture->lookups, 1);
	become(ALICE, ALICE);
	struct asker *asker = asker_open(fixture);
	assert_int_equal(ask_get(fixture, asker, "prod/x", NULL), MORTISE_OK);
	assert_int_equal(ask_get(fixture, asker, "other/x", NULL), MORTISE_DENIED);
	become_root();
	asker_close(asker);
}

static void a_policy_survives_a_restart(void **state)
{
	struct keeper_fixture *fixture = *state;

	NEEDS_ROOT();
	keeper_put(fixture, "prod/x", "value");
	keeper_apply(fixture, FIRST "[rule r]\nallow = read\nsecret = prod/*\ngroup = dba\n");
	keeper_restart(fixture);
	struct asker *asker = asker_open(fixture);
	assert_int_equal(ask_recover(fixture, asker, fixture->recovery), MORTISE_OK);
	asker_close(asker);
	become(ALICE, DBA_GROUP);
	asker = asker_open(fixture);
	assert_int_equal(ask_get(fixture, asker, "prod/x", NULL), MORTISE_OK);
	become_root();
	asker_close(asker);
}

static void an_unknown_name_is_refused_with_its_place(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	assert_int_equal(
		ask_apply(fixture, asker, "[rule r]\nallow = read\nsecret = a/*\nuser = bacup\n"),
		MORTISE_REJECTED);
	assert_string_equal(asker->text, "p:4:8: no such user 'bacup'");
	assert_policy_version(fixture, "1");
	asker_close(asker);
}

static void a_name_service_that_is_down_changes_nothing(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	assert_int_equal(
		ask_apply(fixture, asker, "[rule r]\nallow = read\nsecret = a/*\nuser = down\n"),
		MORTISE_BUSY);
	assert_policy_version(fixture, "1");
	asker_close(asker);
}

static void a_mistake_in_a_policy_is_refused_with_its_place(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	assert_int_equal(
		ask_apply(fixture, asker, "[rule r]\nallow = reed\nuser = 1\n"), MORTISE_REJECTED);
	assert_non_null(strstr(asker->text, "p:2:9"));
	assert_policy_version(fixture, "1");
	asker_close(asker);
}

/* 64 names of the greatest length at once, and one more batch. */
static void many_long_names_are_looked_up_in_batches(void **state)
{
	static char text[70 * 320];
	struct keeper_fixture *fixture = *state;
	size_t used = (size_t)snprintf(text, sizeof text, FIRST);

	for (unsigned i = 0; i < 70; i++)
		used += (size_t)snprintf(text + used, sizeof text - used,
			"[rule r%u]\nallow = read\nsecret = a/*\nuser = many%02u%0249u\n", i, i,
			0u);
	struct asker *asker = asker_open(fixture);
	if (ask_apply(fixture, asker, text) != MORTISE_OK)
		fail_msg("%s", asker->text);
	assert_int_equal(fixture->lookups, 2);
	asker_close(asker);
}

static const uint8_t token[WIRE_TOKEN_SIZE] = {1, 2, 3};

static void begin_apply(struct asker *asker, bool is_dry_run)
{
	struct wire_writer *writer = asker_begin(asker, WIRE_POLICY_APPLY);

	wire_put(writer, WIRE_TAG_TOKEN, token, sizeof token);
	if (is_dry_run)
		wire_put_number(writer, WIRE_TAG_DRY_RUN, 1);
}

static void an_apply_that_is_repeated_is_done_once(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture), *again = asker_open(fixture);

	assert_int_equal(ask_stage(fixture, asker, FIRST), MORTISE_OK);
	begin_apply(asker, false);
	assert_int_equal(asker_call(fixture, asker), MORTISE_OK);
	assert_int_equal(number(asker, WIRE_TAG_VERSION), 2);
	assert_int_equal(number(asker, WIRE_TAG_CHANGED), 1);
	begin_apply(again, false);
	assert_int_equal(asker_call(fixture, again), MORTISE_OK);
	assert_int_equal(number(again, WIRE_TAG_VERSION), 2);
	assert_int_equal(number(again, WIRE_TAG_CHANGED), 0);
	asker_close(asker);
	asker_close(again);
}

static void a_dry_run_says_what_would_be_and_changes_nothing(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	assert_int_equal(ask_stage(fixture, asker, FIRST "[rule b]\ndeny = read\n"), MORTISE_OK);
	begin_apply(asker, true);
	assert_int_equal(asker_call(fixture, asker), MORTISE_OK);
	assert_int_equal(number(asker, WIRE_TAG_NUMBER), 2);
	assert_policy_version(fixture, "1");
	asker_close(asker);
}

static void an_apply_without_files_or_token_is_refused(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	begin_apply(asker, false);
	assert_int_equal(asker_call(fixture, asker), MORTISE_INVALID);
	assert_int_equal(ask_stage(fixture, asker, FIRST), MORTISE_OK);
	assert_int_equal(ask_plain(fixture, asker, WIRE_POLICY_APPLY), MORTISE_INVALID);
	asker_close(asker);
}

static void what_was_staged_is_of_one_connection(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture), *other = asker_open(fixture);

	assert_int_equal(ask_stage(fixture, asker, FIRST), MORTISE_OK);
	begin_apply(other, false);
	assert_int_equal(asker_call(fixture, other), MORTISE_INVALID);
	asker_close(asker);
	asker_close(other);
}

static uint16_t stage_at(struct keeper_fixture *fixture, struct asker *asker, const char *name,
	uint64_t offset, size_t size)
{
	static const uint8_t spaces[WIRE_CHUNK_MAX + 1];
	struct wire_writer *writer = asker_begin(asker, WIRE_POLICY_STAGE);

	wire_put_text(writer, WIRE_TAG_NAME, name);
	wire_put(writer, WIRE_TAG_CHUNK, spaces, size);
	wire_put_number(writer, WIRE_TAG_OFFSET, offset);
	return asker_call(fixture, asker);
}

static void chunks_out_of_order_are_refused(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	assert_int_equal(stage_at(fixture, asker, "a", 1, 1), MORTISE_INVALID);
	assert_int_equal(stage_at(fixture, asker, "a", 0, 5), MORTISE_OK);
	assert_int_equal(stage_at(fixture, asker, "a", 4, 5), MORTISE_INVALID);
	assert_int_equal(stage_at(fixture, asker, "a", 6, 5), MORTISE_INVALID);
	assert_int_equal(stage_at(fixture, asker, "b", 5, 5), MORTISE_INVALID);
	assert_int_equal(stage_at(fixture, asker, "a", 5, 5), MORTISE_OK);
	asker_close(asker);
}

static void what_is_staged_is_bounded(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	assert_int_equal(stage_at(fixture, asker, "", 0, 1), MORTISE_INVALID);
	assert_int_equal(stage_at(fixture, asker, "a\nb", 0, 1), MORTISE_INVALID);
	assert_int_equal(stage_at(fixture, asker, "a", 0, WIRE_CHUNK_MAX + 1), MORTISE_INVALID);
	for (unsigned i = 0; i < 64; i++)
		assert_int_equal(stage_at(fixture, asker, "a", 0, 0), MORTISE_OK);
	assert_int_equal(stage_at(fixture, asker, "a", 0, 0), MORTISE_INVALID);
	asker_close(asker);
	asker = asker_open(fixture);
	for (unsigned i = 0; i < 256; i++)
		assert_int_equal(
			stage_at(fixture, asker, "a", (uint64_t)i * WIRE_CHUNK_MAX, WIRE_CHUNK_MAX),
			MORTISE_OK);
	assert_int_equal(stage_at(fixture, asker, "a", 256 * WIRE_CHUNK_MAX, 1), MORTISE_INVALID);
	asker_close(asker);
}

static void an_apply_that_is_overtaken_by_a_seal_fails(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture), *sealing = asker_open(fixture);

	fixture->holds_names = true;
	assert_int_equal(ask_stage(fixture, asker, FIRST "[rule r]\ndeny = read\nuser = alice\n"),
		MORTISE_OK);
	begin_apply(asker, false);
	asker_send(asker);
	keeper_await_lookups(fixture, 1);
	assert_int_equal(ask_plain(fixture, sealing, WIRE_SEAL), MORTISE_OK);
	keeper_answer_names(fixture);
	assert_int_equal(asker_receive(fixture, asker), MORTISE_SEALED);
	asker_close(asker);
	asker_close(sealing);
}

static void a_client_that_left_during_an_apply_harms_nobody(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	fixture->holds_names = true;
	assert_int_equal(ask_stage(fixture, asker, FIRST "[rule r]\ndeny = read\nuser = alice\n"),
		MORTISE_OK);
	begin_apply(asker, false);
	asker_send(asker);
	keeper_await_lookups(fixture, 1);
	asker_close(asker);
	keeper_answer_names(fixture);
	asker = asker_open(fixture);
	while (!keeper_log_has(fixture, "\"op\":\"policy-apply\""))
		assert_int_equal(ask_plain(fixture, asker, WIRE_WHOAMI), MORTISE_OK);
	assert_policy_version(fixture, "2");
	asker_close(asker);
}

static void a_policy_is_shown_as_it_was_applied(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	keeper_apply(fixture, FIRST "; a comment\n");
	assert_int_equal(ask_plain(fixture, asker, WIRE_POLICY_SHOW), MORTISE_OK);
	assert_int_equal(number(asker, WIRE_TAG_VERSION), 2);
	const struct wire_field *chunk = wire_field_of(&asker->reply, WIRE_TAG_CHUNK);
	static const char expected[] = "; file: p\n" FIRST "; a comment\n";
	assert_int_equal(chunk->size, sizeof expected - 1);
	assert_memory_equal(chunk->bytes, expected, sizeof expected - 1);
	wire_put_number(asker_begin(asker, WIRE_POLICY_SHOW), WIRE_TAG_VERSION, 1);
	assert_int_equal(asker_call(fixture, asker), MORTISE_OK);
	wire_put_number(asker_begin(asker, WIRE_POLICY_SHOW), WIRE_TAG_VERSION, 99);
	assert_int_equal(asker_call(fixture, asker), MORTISE_NOT_FOUND);
	asker_close(asker);
}

/* The item of a get says so itself: the answer as a whole is OK. */
static void assert_says_when(const struct asker *asker)
{
	struct wire_list list = wire_list_of(&asker->reply, WIRE_TAG_ITEMS);
	char text[WIRE_TEXT_MAX] = "";
	struct wire_message fields;
	struct wire_field item;

	assert_true(wire_list_next(&list, &item));
	assert_int_equal(wire_parse_fields(item.bytes, item.size, &fields), MORTISE_OK);
	assert_int_equal(wire_text(&fields, WIRE_TAG_TEXT, text, sizeof text), MORTISE_OK);
	assert_non_null(strstr(text, "try again in 4"));
}

static void a_rule_is_used_no_oftener_than_its_rate(void **state)
{
	struct keeper_fixture *fixture = *state;

	NEEDS_ROOT();
	keeper_put(fixture, "prod/x", "value");
	keeper_apply(fixture, FIRST "[rule r]\nallow = read\nsecret = prod/*\nuser = alice\n"
				    "rate = 2/d\n");
	become(ALICE, ALICE);
	struct asker *asker = asker_open(fixture);
	assert_int_equal(ask_get(fixture, asker, "prod/x", NULL), MORTISE_OK);
	assert_int_equal(ask_get(fixture, asker, "prod/y", NULL), MORTISE_NOT_FOUND);
	assert_int_equal(ask_get(fixture, asker, "prod/x", NULL), MORTISE_BUSY);
	assert_says_when(asker);
	become_root();
	asker_close(asker);
	asker = asker_open(fixture);
	assert_int_equal(ask_get(fixture, asker, "prod/x", NULL), MORTISE_OK);
	asker_close(asker);
}

static uint16_t ask_many(struct keeper_fixture *fixture, struct asker *asker, int count)
{
	struct wire_writer *writer = asker_begin(asker, WIRE_GET);
	size_t list = wire_list_begin(writer, WIRE_TAG_PATHS);
	char path[32];

	for (int i = 0; i < count; i++) {
		snprintf(path, sizeof path, "prod/x%d", i);
		wire_item_put(writer, path, strlen(path));
	}
	wire_list_end(writer, list);
	return asker_call(fixture, asker);
}

/* How many items of the reply have this status, and how many say when to ask again. */
static unsigned count_items(const struct asker *asker, uint64_t wanted, unsigned *out_says_when)
{
	struct wire_list list = wire_list_of(&asker->reply, WIRE_TAG_ITEMS);
	unsigned count = 0;
	struct wire_message fields;
	struct wire_field item;
	uint64_t status, wait_ms;

	*out_says_when = 0;
	while (wire_list_next(&list, &item)) {
		assert_int_equal(wire_parse_fields(item.bytes, item.size, &fields), MORTISE_OK);
		assert_int_equal(wire_number(&fields, WIRE_TAG_STATUS, &status), MORTISE_OK);
		count += status == wanted;
		*out_says_when += wire_number(&fields, WIRE_TAG_NUMBER, &wait_ms) == MORTISE_OK &&
				  wait_ms > 28000000 &&
				  wait_ms <= 28800000; /* 8 h are a third of a day */
	}
	return count;
}

static void a_request_for_many_secrets_is_one_use(void **state)
{
	struct keeper_fixture *fixture = *state;
	unsigned says_when = 0;

	NEEDS_ROOT();
	keeper_apply(fixture, FIRST "[rule r]\nallow = read\nsecret = prod/*\nuser = alice\n"
				    "rate = 3/d\n");
	become(ALICE, ALICE);
	struct asker *asker = asker_open(fixture);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(ask_many(fixture, asker, 64), MORTISE_OK);
		assert_int_equal(count_items(asker, MORTISE_NOT_FOUND, &says_when), 64);
	}
	assert_int_equal(ask_many(fixture, asker, 64), MORTISE_OK);
	assert_int_equal(count_items(asker, MORTISE_BUSY, &says_when), 64);
	assert_int_equal(says_when, 64);
	become_root();
	asker_close(asker);
}

static void a_move_and_the_pages_of_an_answer_are_one_use(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);
	uint64_t more = 1;
	unsigned pages = 0;

	NEEDS_ROOT();
	for (unsigned i = 0; i < 900; i++) { /* some pages */
		char path[32];
		snprintf(path, sizeof path, "prod/many/%03u", i);
		keeper_put(fixture, path, "value");
	}
	keeper_put(fixture, "prod/x", "value");
	keeper_apply(fixture, "[rule first]\nallow = read list write delete audit admin\n"
			      "secret = **\nuser = 0\nrate = 3/d\n");
	wire_put_text(asker_begin(asker, WIRE_MOVE), WIRE_TAG_PATH, "prod/x");
	wire_put(&asker->writer, WIRE_TAG_TOKEN, "0123456789abcdef", 16);
	wire_put_text(&asker->writer, WIRE_TAG_NAME, "prod/y");
	assert_int_equal(asker_call(fixture, asker), MORTISE_OK);
	(void)asker_begin(asker, WIRE_VERIFY);
	while (asker_call(fixture, asker) == MORTISE_OK && more) {
		struct wire_field cursor = *wire_field_of(&asker->reply, WIRE_TAG_CURSOR);
		uint8_t copy[16];

		pages++;
		more = 0;
		(void)!wire_number(&asker->reply, WIRE_TAG_MORE, &more);
		if (!more)
			break;
		memcpy(copy, cursor.bytes, cursor.size);
		wire_put(asker_begin(asker, WIRE_VERIFY), WIRE_TAG_CURSOR, copy, cursor.size);
	}
	assert_int_equal(more, 0);
	assert_true(pages > 1);
	assert_int_equal(ask_plain(fixture, asker, WIRE_AUDIT_KEY), MORTISE_OK);
	assert_int_equal(ask_plain(fixture, asker, WIRE_AUDIT_KEY), MORTISE_BUSY);
	uint64_t wait_ms = 0;
	assert_int_equal(wire_number(&asker->reply, WIRE_TAG_NUMBER, &wait_ms), MORTISE_OK);
	assert_in_range(wait_ms, 28000000, 28800000);
	/* Who starts in the middle begins something, too. */
	static const uint8_t middle[16] = {7};
	wire_put(asker_begin(asker, WIRE_VERIFY), WIRE_TAG_CURSOR, middle, sizeof middle);
	assert_int_equal(asker_call(fixture, asker), MORTISE_BUSY);
	asker_close(asker);
}

static void a_rate_holds_for_writes_too(void **state)
{
	struct keeper_fixture *fixture = *state;

	NEEDS_ROOT();
	keeper_apply(fixture, FIRST "[rule r]\nallow = delete\nsecret = prod/*\nuser = alice\n"
				    "rate = 1/d\n");
	become(ALICE, ALICE);
	struct asker *asker = asker_open(fixture);
	assert_int_equal(ask_path(fixture, asker, WIRE_DELETE, "prod/x"), MORTISE_NOT_FOUND);
	assert_int_equal(ask_path(fixture, asker, WIRE_DELETE, "prod/x"), MORTISE_BUSY);
	assert_non_null(strstr(asker->text, "try again in 86"));
	become_root();
	asker_close(asker);
}

static void who_applies_a_policy_keeps_admin_at_this_very_listener(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	assert_int_equal(ask_apply(fixture, asker, FIRST "socket = main\n"), MORTISE_OK);
	assert_int_equal(ask_apply(fixture, asker, FIRST "socket = web\n"), MORTISE_REJECTED);
	assert_non_null(strstr(asker->text, "would take the verb admin from you"));
	asker_close(asker);
}

static uint16_t check(struct keeper_fixture *fixture, struct asker *asker, const char *user,
	const char *group, const char *verb, const char *path)
{
	struct wire_writer *writer = asker_begin(asker, WIRE_POLICY_CHECK);

	if (path)
		wire_put_text(writer, WIRE_TAG_PATH, path);
	if (user)
		wire_put_text(writer, WIRE_TAG_USER, user);
	if (group)
		wire_put_text(writer, WIRE_TAG_GROUP, group);
	wire_put_text(writer, WIRE_TAG_VERB, verb);
	return asker_call(fixture, asker);
}

static void check_says_who_may_and_by_which_rule(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	NEEDS_ROOT();
	keeper_apply(fixture, FIRST "[rule r]\nallow = read\nsecret = prod/*\nuser = alice\n"
				    "[rule g]\nallow = list\nsecret = prod/*\ngroup = dba\n");
	assert_int_equal(check(fixture, asker, NULL, NULL, "admin", NULL), MORTISE_OK);
	assert_int_equal(number(asker, WIRE_TAG_NUMBER), 1);
	assert_int_equal(check(fixture, asker, "alice", NULL, "read", "prod/x"), MORTISE_OK);
	assert_string_equal(asker->text, "alice (uid 1000) may read prod/x: rule r");
	assert_int_equal(check(fixture, asker, "alice", NULL, "write", "prod/x"), MORTISE_OK);
	assert_string_equal(
		asker->text, "alice (uid 1000) may not write prod/x: no rule allows it");
	assert_int_equal(check(fixture, asker, "alice", NULL, "list", "prod/x"), MORTISE_OK);
	assert_int_equal(number(asker, WIRE_TAG_NUMBER), 1);
	assert_int_equal(check(fixture, asker, "4242", "dba", "list", "prod/x"), MORTISE_OK);
	assert_int_equal(number(asker, WIRE_TAG_NUMBER), 1);
	assert_int_equal(check(fixture, asker, "bacup", NULL, "read", "prod/x"), MORTISE_INVALID);
	assert_int_equal(check(fixture, asker, "down", NULL, "read", "prod/x"), MORTISE_IO);
	assert_int_equal(check(fixture, asker, "alice", NULL, "reed", "prod/x"), MORTISE_INVALID);
	assert_int_equal(check(fixture, asker, "alice", NULL, "read", "Prod"), MORTISE_INVALID);
	asker_close(asker);
}

static void check_knows_what_the_agent_knows_of_who_asks(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	NEEDS_ROOT();
	keeper_apply(fixture, FIRST "socket = main\n[rule r]\nallow = read\nsecret = prod/*\n"
				    "user = alice\nsocket = main\n");
	assert_int_equal(check(fixture, asker, NULL, NULL, "admin", NULL), MORTISE_OK);
	assert_int_equal(number(asker, WIRE_TAG_NUMBER), 1);
	assert_int_equal(check(fixture, asker, "alice", NULL, "read", "prod/x"), MORTISE_OK);
	assert_int_equal(number(asker, WIRE_TAG_NUMBER), 1);
	asker_close(asker);
}

/* Alice, in so many groups from 40000 on. */
static struct asker *open_in_groups(struct keeper_fixture *fixture, unsigned count)
{
	gid_t groups[2048];

	for (unsigned i = 0; i < count; i++)
		groups[i] = 40000 + i;
	become_root();
	assert_int_equal(setgroups(count, groups), 0);
	assert_int_equal(setresgid(ALICE, ALICE, 0), 0);
	assert_int_equal(setresuid(ALICE, ALICE, 0), 0);
	return asker_open(fixture);
}

static void who_is_in_too_many_groups_has_no_allow_by_group_and_every_deny(void **state)
{
	struct keeper_fixture *fixture = *state;

	NEEDS_ROOT();
	keeper_put(fixture, "prod/x", "value");
	keeper_put(fixture, "dev/x", "value");
	keeper_apply(fixture, FIRST "[rule group]\nallow = read\nsecret = prod/*\ngroup = 40000\n"
				    "[rule alice]\nallow = read\nsecret = dev/*\nuser = 1000\n"
				    "[rule deny]\ndeny = read\nsecret = dev/*\ngroup = 50000\n");
	for (unsigned count = 1024; count <= 1025; count++) {
		uint64_t expected = count == 1024 ? MORTISE_OK : MORTISE_DENIED;
		struct asker *asker = open_in_groups(fixture, count);
		assert_int_equal(ask_get(fixture, asker, "prod/x", NULL), expected);
		assert_int_equal(ask_get(fixture, asker, "dev/x", NULL), expected);
		assert_int_equal(ask_plain(fixture, asker, WIRE_WHOAMI), MORTISE_OK);
		assert_int_equal(memmem(asker->in, asker->size, "more than 1024", 14) != NULL,
			count == 1025);
		become_root();
		asker_close(asker);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_STORE(who_is_in_too_many_groups_has_no_allow_by_group_and_every_deny),
		WITH_STORE(names_are_looked_up_and_the_rule_holds),
		WITH_STORE(a_policy_survives_a_restart),
		WITH_STORE(an_unknown_name_is_refused_with_its_place),
		WITH_STORE(a_name_service_that_is_down_changes_nothing),
		WITH_STORE(a_mistake_in_a_policy_is_refused_with_its_place),
		WITH_STORE(many_long_names_are_looked_up_in_batches),
		WITH_STORE(an_apply_that_is_repeated_is_done_once),
		WITH_STORE(a_dry_run_says_what_would_be_and_changes_nothing),
		WITH_STORE(an_apply_without_files_or_token_is_refused),
		WITH_STORE(what_was_staged_is_of_one_connection),
		WITH_STORE(chunks_out_of_order_are_refused),
		WITH_STORE(what_is_staged_is_bounded),
		WITH_STORE(an_apply_that_is_overtaken_by_a_seal_fails),
		WITH_STORE(a_client_that_left_during_an_apply_harms_nobody),
		WITH_STORE(a_policy_is_shown_as_it_was_applied),
		WITH_STORE(a_rule_is_used_no_oftener_than_its_rate),
		WITH_STORE(a_request_for_many_secrets_is_one_use),
		WITH_STORE(a_move_and_the_pages_of_an_answer_are_one_use),
		WITH_STORE(a_rate_holds_for_writes_too),
		WITH_STORE(who_applies_a_policy_keeps_admin_at_this_very_listener),
		WITH_STORE(check_says_who_may_and_by_which_rule),
		WITH_STORE(check_knows_what_the_agent_knows_of_who_asks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
