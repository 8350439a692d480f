/* SPDX-License-Identifier: ISC */
/* ROTATE and HYGIENE as a client sees them. */
#include "keeper_fixture.h"

#include <unistd.h>

#define FIRST                                                                                      \
	"[rule first]\nallow = read list write delete rotate audit admin\nsecret = **\nuser = 0\n"

enum { LOOK, BEGIN, PROMOTE, ABORT };

static uint64_t number(const struct asker *asker, unsigned tag)
{
	uint64_t value = 0;

	assert_int_equal(wire_number(&asker->reply, tag, &value), MORTISE_OK);
	return value;
}

static uint16_t look(struct keeper_fixture *fixture, struct asker *asker, const char *path)
{
	struct wire_writer *writer = asker_begin(asker, WIRE_ROTATE);

	wire_put_text(writer, WIRE_TAG_PATH, path);
	wire_put_number(writer, WIRE_TAG_NUMBER, LOOK);
	return asker_call(fixture, asker);
}

static uint16_t begin_with(struct keeper_fixture *fixture, struct asker *asker, const char *path,
	const char *value, const char *token, bool is_dry_run)
{
	struct wire_writer *writer = asker_begin(asker, WIRE_ROTATE);

	wire_put_text(writer, WIRE_TAG_PATH, path);
	wire_put_text(writer, WIRE_TAG_VALUE, value);
	wire_put(writer, WIRE_TAG_TOKEN, token, WIRE_TOKEN_SIZE);
	wire_put_number(writer, WIRE_TAG_NUMBER, BEGIN);
	if (is_dry_run)
		wire_put_number(writer, WIRE_TAG_DRY_RUN, 1);
	return asker_call(fixture, asker);
}

static uint16_t begin(
	struct keeper_fixture *fixture, struct asker *asker, const char *path, const char *value)
{
	return begin_with(fixture, asker, path, value, "sixteen bytes 01", false);
}

static uint16_t end(struct keeper_fixture *fixture, struct asker *asker, const char *path,
	uint64_t version, uint64_t step)
{
	struct wire_writer *writer = asker_begin(asker, WIRE_ROTATE);

	wire_put_text(writer, WIRE_TAG_PATH, path);
	wire_put_number(writer, WIRE_TAG_VERSION, version);
	wire_put_number(writer, WIRE_TAG_NUMBER, step);
	return asker_call(fixture, asker);
}

static void assert_value(struct keeper_fixture *fixture, const char *path, const char *expected)
{
	struct asker *asker = asker_open(fixture);
	struct wire_field value;

	assert_int_equal(ask_get(fixture, asker, path, &value), MORTISE_OK);
	assert_int_equal(value.size, strlen(expected));
	assert_memory_equal(value.bytes, expected, value.size);
	asker_close(asker);
}

static void a_pending_value_is_served_only_when_it_is_promoted(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	keeper_put(fixture, "prod/x", "old");
	assert_int_equal(begin(fixture, asker, "prod/x", "new"), MORTISE_OK);
	assert_int_equal(number(asker, WIRE_TAG_VERSION), 2);
	assert_value(fixture, "prod/x", "old");
	assert_int_equal(look(fixture, asker, "prod/x"), MORTISE_OK);
	assert_int_equal(number(asker, WIRE_TAG_VERSION), 1);
	assert_int_equal(number(asker, WIRE_TAG_NUMBER), 2);
	assert_memory_equal(wire_field_of(&asker->reply, WIRE_TAG_VALUE)->bytes, "new", 3);
	assert_int_equal(end(fixture, asker, "prod/x", 2, PROMOTE), MORTISE_OK);
	assert_int_equal(number(asker, WIRE_TAG_CHANGED), 1);
	assert_value(fixture, "prod/x", "new");
	assert_int_equal(look(fixture, asker, "prod/x"), MORTISE_OK);
	assert_false(wire_has(&asker->reply, WIRE_TAG_VALUE));
	asker_close(asker);
}

static void steps_that_are_repeated_are_done_once(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	keeper_put(fixture, "prod/x", "old");
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(begin(fixture, asker, "prod/x", "new"), MORTISE_OK);
		assert_int_equal(number(asker, WIRE_TAG_VERSION), 2);
	}
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(end(fixture, asker, "prod/x", 2, PROMOTE), MORTISE_OK);
		assert_int_equal(number(asker, WIRE_TAG_CHANGED), i == 0);
	}
	asker_close(asker);
}

static void a_second_rotation_of_a_secret_is_a_conflict(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	keeper_put(fixture, "prod/x", "old");
	assert_int_equal(begin(fixture, asker, "prod/x", "new"), MORTISE_OK);
	assert_int_equal(begin_with(fixture, asker, "prod/x", "other", "sixteen bytes 02", false),
		MORTISE_CONFLICT);
	assert_int_equal(end(fixture, asker, "prod/x", 3, PROMOTE), MORTISE_CONFLICT);
	assert_int_equal(end(fixture, asker, "prod/x", 3, ABORT), MORTISE_CONFLICT);
	assert_value(fixture, "prod/x", "old");
	asker_close(asker);
}

static void an_aborted_value_is_gone(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	keeper_put(fixture, "prod/x", "old");
	assert_int_equal(begin(fixture, asker, "prod/x", "new"), MORTISE_OK);
	assert_int_equal(end(fixture, asker, "prod/x", 2, ABORT), MORTISE_OK);
	assert_int_equal(end(fixture, asker, "prod/x", 2, PROMOTE), MORTISE_CONFLICT);
	assert_int_equal(look(fixture, asker, "prod/x"), MORTISE_OK);
	assert_false(wire_has(&asker->reply, WIRE_TAG_NUMBER));
	assert_value(fixture, "prod/x", "old");
	asker_close(asker);
}

static void what_was_promoted_cannot_be_aborted(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	keeper_put(fixture, "prod/x", "old");
	assert_int_equal(begin(fixture, asker, "prod/x", "new"), MORTISE_OK);
	assert_int_equal(end(fixture, asker, "prod/x", 2, PROMOTE), MORTISE_OK);
	assert_int_equal(end(fixture, asker, "prod/x", 2, ABORT), MORTISE_CONFLICT);
	assert_int_equal(end(fixture, asker, "prod/x", 1, ABORT), MORTISE_CONFLICT);
	assert_int_equal(end(fixture, asker, "prod/x", 9, ABORT), MORTISE_CONFLICT);
	assert_value(fixture, "prod/x", "new");
	asker_close(asker);
}

static void a_pending_value_outlives_the_agent(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	keeper_put(fixture, "prod/x", "old");
	assert_int_equal(begin(fixture, asker, "prod/x", "new"), MORTISE_OK);
	asker_close(asker);
	keeper_restart(fixture);
	asker = asker_open(fixture);
	assert_int_equal(ask_recover(fixture, asker, fixture->recovery), MORTISE_OK);
	assert_int_equal(end(fixture, asker, "prod/x", 2, PROMOTE), MORTISE_OK);
	assert_value(fixture, "prod/x", "new");
	asker_close(asker);
}

static void each_step_is_on_record_by_its_name(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	keeper_put(fixture, "prod/x", "old");
	assert_int_equal(begin(fixture, asker, "prod/x", "canary-of-rotate"), MORTISE_OK);
	assert_true(keeper_log_has(fixture, "\"path\":\"prod/x\",\"version\":2,\"rule\":\"first\","
					    "\"result\":\"ok\",\"note\":\"begin\""));
	assert_int_equal(end(fixture, asker, "prod/x", 2, PROMOTE), MORTISE_OK);
	assert_true(keeper_log_has(fixture, "\"path\":\"prod/x\",\"version\":2,\"rule\":\"first\","
					    "\"result\":\"ok\",\"note\":\"promote\""));
	assert_false(keeper_log_has(fixture, "canary-of-rotate"));
	asker_close(asker);
}

static void a_dry_run_stores_nothing(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	keeper_put(fixture, "prod/x", "old");
	assert_int_equal(
		begin_with(fixture, asker, "prod/x", "new", "sixteen bytes 01", true), MORTISE_OK);
	assert_int_equal(look(fixture, asker, "prod/x"), MORTISE_OK);
	assert_false(wire_has(&asker->reply, WIRE_TAG_NUMBER));
	asker_close(asker);
}

static void malformed_rotations_are_refused(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	keeper_put(fixture, "prod/x", "old");
	assert_int_equal(ask_path(fixture, asker, WIRE_ROTATE, "prod/x"), MORTISE_INVALID);
	assert_int_equal(end(fixture, asker, "prod/x", 2, 4), MORTISE_INVALID);
	assert_int_equal(look(fixture, asker, "Prod/x"), MORTISE_INVALID);
	struct wire_writer *writer = asker_begin(asker, WIRE_ROTATE);
	wire_put_text(writer, WIRE_TAG_PATH, "prod/x");
	wire_put_number(writer, WIRE_TAG_NUMBER, PROMOTE);
	assert_int_equal(asker_call(fixture, asker), MORTISE_INVALID);
	writer = asker_begin(asker, WIRE_ROTATE);
	wire_put_text(writer, WIRE_TAG_PATH, "prod/x");
	wire_put_text(writer, WIRE_TAG_VALUE, "no token");
	wire_put_number(writer, WIRE_TAG_NUMBER, BEGIN);
	assert_int_equal(asker_call(fixture, asker), MORTISE_INVALID);
	assert_int_equal(look(fixture, asker, "prod/absent"), MORTISE_NOT_FOUND);
	assert_int_equal(begin(fixture, asker, "prod/absent", "new"), MORTISE_NOT_FOUND);
	asker_close(asker);
}

static void who_may_write_and_read_but_not_rotate_is_denied_without_a_hint(void **state)
{
	struct keeper_fixture *fixture = *state;

	NEEDS_ROOT();
	keeper_put(fixture, "prod/x", "old");
	keeper_apply(fixture, FIRST "[rule alice]\nallow = read write list\nsecret = **\n"
				    "user = 1000\n");
	become(ALICE, ALICE);
	struct asker *asker = asker_open(fixture);
	assert_int_equal(begin(fixture, asker, "prod/x", "new"), MORTISE_DENIED);
	char there[WIRE_TEXT_MAX];
	memcpy(there, asker->text, sizeof there);
	assert_int_equal(begin(fixture, asker, "prod/absent", "new"), MORTISE_DENIED);
	assert_string_equal(asker->text, there);
	assert_int_equal(look(fixture, asker, "prod/x"), MORTISE_DENIED);
	become_root();
	asker_close(asker);
}

static void a_rotator_is_told_whether_he_may_read(void **state)
{
	struct keeper_fixture *fixture = *state;

	NEEDS_ROOT();
	keeper_put(fixture, "prod/x", "old");
	keeper_apply(fixture, FIRST "[rule alice]\nallow = rotate\nsecret = **\nuser = 1000\n");
	struct asker *root = asker_open(fixture);
	assert_int_equal(look(fixture, root, "prod/x"), MORTISE_OK);
	assert_true(wire_has(&root->reply, WIRE_TAG_VERB));
	asker_close(root);
	become(ALICE, ALICE);
	struct asker *asker = asker_open(fixture);
	assert_int_equal(look(fixture, asker, "prod/x"), MORTISE_OK);
	assert_false(wire_has(&asker->reply, WIRE_TAG_VERB));
	assert_false(wire_has(&asker->reply, WIRE_TAG_VALUE));
	become_root();
	asker_close(asker);
}

static uint16_t ask_hygiene(
	struct keeper_fixture *fixture, struct asker *asker, const void *cursor, size_t size)
{
	struct wire_writer *writer = asker_begin(asker, WIRE_HYGIENE);

	if (size)
		wire_put(writer, WIRE_TAG_CURSOR, cursor, size);
	return asker_call(fixture, asker);
}

static void a_shared_value_is_told_by_paths_and_nothing_else(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);
	struct wire_message item;
	struct wire_field field;
	unsigned count = 0;
	uint8_t cursor[8];

	keeper_put(fixture, "prod/x", "same");
	keeper_put(fixture, "dev/x", "same");
	keeper_put(fixture, "prod/y", "other");
	assert_int_equal(ask_hygiene(fixture, asker, NULL, 0), MORTISE_OK);
	assert_int_equal(number(asker, WIRE_TAG_DONE), 3);
	assert_true(wire_has(&asker->reply, WIRE_TAG_MORE));
	memcpy(cursor, wire_field_of(&asker->reply, WIRE_TAG_CURSOR)->bytes, sizeof cursor);
	assert_int_equal(ask_hygiene(fixture, asker, cursor, sizeof cursor), MORTISE_OK);
	assert_false(wire_has(&asker->reply, WIRE_TAG_MORE));
	struct wire_list items = wire_list_of(&asker->reply, WIRE_TAG_ITEMS);
	for (; wire_list_next(&items, &field); count++) {
		assert_int_equal(wire_parse_fields(field.bytes, field.size, &item), MORTISE_OK);
		assert_true(
			wire_has_fields(&item, WIRE_TAGS(WIRE_TAG_PATH, WIRE_TAG_NUMBER), NULL));
		assert_memory_not_equal(wire_field_of(&item, WIRE_TAG_PATH)->bytes, "prod/y", 6);
	}
	assert_int_equal(count, 2);
	asker_close(asker);
}

static void hygiene_takes_the_cursors_of_its_own_connection_only(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture), *other = asker_open(fixture);
	uint8_t cursor[8];

	keeper_put(fixture, "prod/x", "same");
	keeper_put(fixture, "dev/x", "same");
	assert_int_equal(ask_hygiene(fixture, asker, NULL, 0), MORTISE_OK);
	memcpy(cursor, wire_field_of(&asker->reply, WIRE_TAG_CURSOR)->bytes, sizeof cursor);
	assert_int_equal(ask_hygiene(fixture, other, cursor, sizeof cursor), MORTISE_INVALID);
	assert_int_equal(ask_hygiene(fixture, asker, cursor, 7), MORTISE_INVALID);
	assert_int_equal(ask_hygiene(fixture, asker, "\xff\xff\0\0\0\0\0", 8), MORTISE_INVALID);
	asker_close(asker);
	asker_close(other);
}

static void hygiene_is_for_admins(void **state)
{
	struct keeper_fixture *fixture = *state;

	NEEDS_ROOT();
	keeper_apply(fixture, FIRST "[rule alice]\nallow = read list write delete rotate audit\n"
				    "secret = **\nuser = 1000\n");
	become(ALICE, ALICE);
	struct asker *asker = asker_open(fixture);
	assert_int_equal(ask_hygiene(fixture, asker, NULL, 0), MORTISE_DENIED);
	become_root();
	asker_close(asker);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_STORE(a_pending_value_is_served_only_when_it_is_promoted),
		WITH_STORE(steps_that_are_repeated_are_done_once),
		WITH_STORE(a_second_rotation_of_a_secret_is_a_conflict),
		WITH_STORE(an_aborted_value_is_gone),
		WITH_STORE(what_was_promoted_cannot_be_aborted),
		WITH_STORE(a_pending_value_outlives_the_agent),
		WITH_STORE(each_step_is_on_record_by_its_name),
		WITH_STORE(a_dry_run_stores_nothing),
		WITH_STORE(malformed_rotations_are_refused),
		WITH_STORE(who_may_write_and_read_but_not_rotate_is_denied_without_a_hint),
		WITH_STORE(a_rotator_is_told_whether_he_may_read),
		WITH_STORE(a_shared_value_is_told_by_paths_and_nothing_else),
		WITH_STORE(hygiene_takes_the_cursors_of_its_own_connection_only),
		WITH_STORE(hygiene_is_for_admins),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
