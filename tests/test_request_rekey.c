/* SPDX-License-Identifier: ISC */
/* REKEY as a client sees it. */
#include "keeper_fixture.h"

#define FIRST                                                                                      \
	"[rule first]\nallow = read list write delete rotate audit admin\nsecret = **\nuser = 0\n"

static uint64_t number(const struct asker *asker, unsigned tag)
{
	uint64_t value = 0;

	assert_int_equal(wire_number(&asker->reply, tag, &value), MORTISE_OK);
	return value;
}

static uint16_t begin(struct keeper_fixture *fixture, struct asker *asker)
{
	asker_begin(asker, WIRE_REKEY);
	return asker_call(fixture, asker);
}

static uint16_t ask_cursor(
	struct keeper_fixture *fixture, struct asker *asker, const void *cursor, size_t size)
{
	struct wire_writer *writer = asker_begin(asker, WIRE_REKEY);

	wire_put(writer, WIRE_TAG_CURSOR, cursor, size);
	return asker_call(fixture, asker);
}

/* Asks page after page; the status of the last one. */
static uint16_t look_on(struct keeper_fixture *fixture, struct asker *asker)
{
	uint16_t status = MORTISE_OK;
	uint8_t cursor[8];

	while (status == MORTISE_OK && wire_has(&asker->reply, WIRE_TAG_MORE)) {
		const struct wire_field *field = wire_field_of(&asker->reply, WIRE_TAG_CURSOR);
		assert_int_equal(field->size, sizeof cursor);
		memcpy(cursor, field->bytes, sizeof cursor);
		status = ask_cursor(fixture, asker, cursor, sizeof cursor);
	}
	return status;
}

static void assert_fact(struct keeper_fixture *fixture, const char *name, const char *expected)
{
	char text[256];

	keeper_fact(fixture, name, text);
	assert_string_equal(text, expected);
}

static void a_rekey_ends_with_the_next_epoch_and_two_lines(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	keeper_put(fixture, "prod/x", "value");
	size_t lines = keeper_log_lines(fixture);
	assert_int_equal(begin(fixture, asker), MORTISE_OK);
	assert_int_equal(number(asker, WIRE_TAG_CHANGED), 1);
	assert_int_equal(number(asker, WIRE_TAG_NUMBER), 2);
	assert_int_equal(number(asker, WIRE_TAG_TOTAL), 1);
	assert_int_equal(look_on(fixture, asker), MORTISE_OK);
	assert_int_equal(number(asker, WIRE_TAG_DONE), 1);
	assert_int_equal(number(asker, WIRE_TAG_NUMBER), 2);
	assert_fact(fixture, "key_epoch", "2");
	assert_fact(fixture, "rekey", "");
	assert_int_equal(ask_get(fixture, asker, "prod/x", NULL), MORTISE_OK);
	assert_true(keeper_log_lines(fixture) >= lines + 3);
	assert_true(keeper_log_has(fixture, "\"op\":\"rekey\""));
	assert_true(keeper_log_has(fixture, "\"op\":\"rekeyed\",\"result\":\"ok\","
					    "\"note\":\"key epoch 2\""));
	asker_close(asker);
}

static void the_recovery_key_opens_it_after_a_restart(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	keeper_put(fixture, "prod/x", "value");
	assert_int_equal(begin(fixture, asker), MORTISE_OK);
	assert_int_equal(look_on(fixture, asker), MORTISE_OK);
	asker_close(asker);
	keeper_restart(fixture);
	asker = asker_open(fixture);
	assert_int_equal(ask_recover(fixture, asker, fixture->recovery), MORTISE_OK);
	assert_int_equal(ask_get(fixture, asker, "prod/x", NULL), MORTISE_OK);
	asker_close(asker);
}

static void who_asks_with_a_cursor_after_a_restart_is_told_what_became_of_it(void **state)
{
	static const uint8_t done[8] = {2}, dropped[8] = {3};
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	assert_int_equal(begin(fixture, asker), MORTISE_OK);
	assert_int_equal(look_on(fixture, asker), MORTISE_OK);
	asker_close(asker);
	keeper_restart(fixture);
	asker = asker_open(fixture);
	assert_int_equal(ask_recover(fixture, asker, fixture->recovery), MORTISE_OK);
	assert_int_equal(ask_cursor(fixture, asker, done, sizeof done), MORTISE_OK);
	assert_false(wire_has(&asker->reply, WIRE_TAG_MORE));
	assert_int_equal(ask_cursor(fixture, asker, dropped, sizeof dropped), MORTISE_CONFLICT);
	asker_close(asker);
}

static void a_cursor_that_is_none_is_refused(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	assert_int_equal(ask_cursor(fixture, asker, "123", 3), MORTISE_INVALID);
	assert_int_equal(ask_cursor(fixture, asker, "123456789", 9), MORTISE_INVALID);
	assert_fact(fixture, "key_epoch", "1");
	asker_close(asker);
}

static void a_flag_that_is_none_is_refused(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);
	struct wire_writer *writer = asker_begin(asker, WIRE_REKEY);

	wire_put_number(writer, WIRE_TAG_REENCRYPT, 2);
	assert_int_equal(asker_call(fixture, asker), MORTISE_INVALID);
	assert_fact(fixture, "key_epoch", "1");
	asker_close(asker);
}

/* Both are in one turn, so that no slice is between them. */
static void a_second_one_at_once_is_told_to_wait(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *one = asker_open(fixture), *two = asker_open(fixture);

	asker_begin(one, WIRE_REKEY);
	asker_send(one);
	asker_begin(two, WIRE_REKEY);
	asker_send(two);
	uint16_t first = asker_receive(fixture, one), second = asker_receive(fixture, two);
	assert_true((first == MORTISE_OK) != (second == MORTISE_OK) ||
		    (first == MORTISE_OK && number(two, WIRE_TAG_NUMBER) == 3));
	asker_close(one);
	asker_close(two);
}

static void a_dry_run_begins_nothing(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);
	struct wire_writer *writer = asker_begin(asker, WIRE_REKEY);

	wire_put_number(writer, WIRE_TAG_DRY_RUN, 1);
	assert_int_equal(asker_call(fixture, asker), MORTISE_OK);
	assert_int_equal(number(asker, WIRE_TAG_CHANGED), 1);
	assert_int_equal(number(asker, WIRE_TAG_TOTAL), 0);
	assert_false(wire_has(&asker->reply, WIRE_TAG_MORE));
	assert_fact(fixture, "key_epoch", "1");
	asker_close(asker);
}

static void who_may_not_admin_neither_begins_one_nor_looks_on(void **state)
{
	static const uint8_t cursor[8] = {2};
	struct keeper_fixture *fixture = *state;

	NEEDS_ROOT();
	keeper_apply(
		fixture, FIRST "[rule r]\nallow = read write audit\nsecret = **\nuser = 1000\n");
	become(ALICE, ALICE);
	struct asker *asker = asker_open(fixture);
	assert_int_equal(begin(fixture, asker), MORTISE_DENIED);
	assert_int_equal(ask_cursor(fixture, asker, cursor, sizeof cursor), MORTISE_DENIED);
	become_root();
	asker_close(asker);
	assert_fact(fixture, "key_epoch", "1");
}

static void a_sealed_agent_has_nothing_to_rekey(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	assert_int_equal(ask_plain(fixture, asker, WIRE_SEAL), MORTISE_OK);
	assert_int_equal(begin(fixture, asker), MORTISE_SEALED);
	asker_close(asker);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_STORE(a_rekey_ends_with_the_next_epoch_and_two_lines),
		WITH_STORE(the_recovery_key_opens_it_after_a_restart),
		WITH_STORE(who_asks_with_a_cursor_after_a_restart_is_told_what_became_of_it),
		WITH_STORE(a_cursor_that_is_none_is_refused),
		WITH_STORE(a_flag_that_is_none_is_refused),
		WITH_STORE(a_second_one_at_once_is_told_to_wait),
		WITH_STORE(a_dry_run_begins_nothing),
		WITH_STORE(who_may_not_admin_neither_begins_one_nor_looks_on),
		WITH_STORE(a_sealed_agent_has_nothing_to_rekey),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
