/* SPDX-License-Identifier: ISC */
/* The writing side: lines, turns, denials that are counted, reading back. */
#include "audit_line.h"
#include "audit_fixture.h"
#include "clock.h"

static void append_one(struct fixture *fixture, const struct audit_event *event)
{
	audit_append(fixture->audit, event);
	assert_int_equal(audit_flush(fixture->audit), MORTISE_OK);
}

static void a_line_has_its_keys_in_a_fixed_order(void **state)
{
	struct fixture *fixture = *state;
	struct audit_event event = request_at(NOON_US + 123456);

	open_log(fixture);
	event.note = "first";
	append_one(fixture, &event);
	assert_true(log_contains(fixture,
		"{\"seq\":1,\"time\":\"2026-11-23T12:00:00.123456Z\",\"op\":\"get\",\"uid\":34,"
		"\"gid\":34,\"pid\":812,\"auid\":1000,\"session\":3,\"path\":\"prod/db/password\","
		"\"version\":3,\"rule\":\"nightly-backup\",\"result\":\"ok\",\"note\":\"first\","
		"\"prev\":\"0000000000000000000000000000000000000000000000000000000000000000\"}"
		"\n"));
}

static void what_is_absent_is_left_out(void **state)
{
	struct fixture *fixture = *state;
	struct audit_event event = {.time_us = 951782400 * SECOND_US, .operation = "start"};

	open_log(fixture);
	append_one(fixture, &event);
	assert_true(log_contains(fixture,
		"{\"seq\":1,\"time\":\"2000-02-29T00:00:00.000000Z\",\"op\":\"start\","
		"\"result\":\"ok\",\"prev\":\"0000"));
}

static void what_is_known_of_a_caller_stands_before_the_result(void **state)
{
	struct fixture *fixture = *state;
	struct audit_event event = request_at(NOON_US);

	open_log(fixture);
	event.rule = "r";
	event.facts = (struct audit_facts){"cron.service system.slice", "/usr/bin/a\"b", "site"};
	append_one(fixture, &event);
	assert_true(log_contains(fixture,
		"\"rule\":\"r\",\"unit\":\"cron.service system.slice\","
		"\"exe\":\"/usr/bin/a\\\"b\",\"label\":\"site\",\"result\":"));
	event.facts = (struct audit_facts){.label = "site"};
	append_one(fixture, &event);
	assert_true(log_contains(fixture, "\"rule\":\"r\",\"label\":\"site\",\"result\":"));
	begin_chain(fixture);
	assert_sound(fixture);
}

static void of_what_is_known_of_a_caller_as_much_is_kept_as_a_line_takes(void **state)
{
	static struct audit_facts_room room;
	struct audit_facts facts = {"a.service", "/b", NULL};
	char longest[300];

	(void)state;
	audit_facts_keep(&facts, &room);
	assert_string_equal(facts.unit, "a.service");
	assert_ptr_equal(facts.unit, room.unit);
	assert_string_equal(facts.exe, "/b");
	assert_null(facts.label);
	memset(longest, 'x', sizeof longest);
	longest[sizeof longest - 1] = '\0';
	facts = (struct audit_facts){longest, longest, longest};
	audit_facts_keep(&facts, &room);
	assert_int_equal(strlen(facts.unit), 255);
	assert_int_equal(strlen(facts.exe), 255);
	assert_int_equal(strlen(facts.label), 255);
}

static void what_a_client_sent_is_escaped(void **state)
{
	struct fixture *fixture = *state;
	struct audit_event event = request_at(NOON_US);

	open_log(fixture);
	event.path = "a\"b\\c\nd\x1b\xff\xc3\xa9\xc0\xafz\0y\x7f";
	event.path_size = 17;
	append_one(fixture, &event);
	assert_true(log_contains(fixture,
		"\"path\":\"a\\\"b\\\\c\\u000ad\\u001b\\u00ff\xc3\xa9\\u00c0\\u00afz\\u0000y\\u007f"
		"\",\"version\""));
}

static void control_characters_of_two_bytes_are_escaped(void **state)
{
	struct fixture *fixture = *state;
	struct audit_event event = request_at(NOON_US);

	open_log(fixture);
	event.path = "\xc2\x9b\xc2\xa0";
	event.path_size = 4;
	append_one(fixture, &event);
	assert_true(log_contains(fixture, "\"path\":\"\\u00c2\\u009b\xc2\xa0\","));
}

#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"
#define START "\"time\":\"2026-11-23T12:00:00.000000Z\",\"op\":"
#define END   "\"prev\":\"" ZEROS "\"}"

static void a_line_that_is_spelled_otherwise_is_refused(void **state)
{
	static const char *const refused[] = {
		"{\"seq\":01," START "\"get\",\"result\":\"ok\"," END,
		"{\"seq\":18446744073709551616," START "\"get\",\"result\":\"ok\"," END,
		"{\"seq\": 1," START "\"get\",\"result\":\"ok\"," END,
		"{\"seq\":1," START "\"Get\",\"result\":\"ok\"," END,
		"{\"seq\":1," START "\"get\",\"result\":\"okdenied\"," END,
		"{\"seq\":1," START "\"get\",\"result\":\"fine\"," END,
		"{\"seq\":1," START "\"get\",\"result\":\"ok\"," END " ",
		"{\"seq\":1," START "\"get\",\"version\":0,\"result\":\"ok\"," END,
		"{\"seq\":1," START "\"get\",\"uid\":4294967296,\"result\":\"ok\"," END,
		"{\"seq\":1," START "\"get\",\"uid\":1,\"result\":\"ok\"," END,
		"{\"seq\":1," START "\"get\",\"path\":\"\\u0041\",\"result\":\"ok\"," END,
		"{\"seq\":1," START "\"get\",\"path\":\"\\u00FF\",\"result\":\"ok\"," END,
		"{\"seq\":1," START "\"get\",\"path\":\"\\n\",\"result\":\"ok\"," END,
		"{\"seq\":1," START "\"get\",\"path\":\"\xc0\xaf\",\"result\":\"ok\"," END,
		"{\"seq\":1," START
		"\"denials\",\"uid\":1,\"gid\":1,\"pid\":1,\"result\":\"ok\"," END,
		"{\"seq\":1," START "\"get\",\"exe\":\"/b\",\"unit\":\"a\",\"result\":\"ok\"," END,
		"{\"seq\":1," START "\"get\",\"unit\":\"a\",\"rule\":\"r\",\"result\":\"ok\"," END,
		"{\"seq\":1," START "\"get\",\"label\":\"\\n\",\"result\":\"ok\"," END,
		"{\"seq\":1," START "\"genesis\",\"result\":\"ok\"," END,
		"{\"seq\":1," START "\"get\",\"result\":\"ok\",\"key\":\"" ZEROS "\"," END,
	};
	static const char taken[] = "{\"seq\":1," START "\"get\",\"result\":\"ok\"," END;
	struct audit_line line;

	(void)state;
	assert_int_equal(audit_line_parse(taken, strlen(taken), &line), MORTISE_OK);
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
		assert_int_equal(
			audit_line_parse(refused[i], strlen(refused[i]), &line), MORTISE_INTEGRITY);
}

static void no_request_can_make_a_line_too_long(void **state)
{
	struct fixture *fixture = *state;
	struct audit_event event = request_at(UINT64_MAX);
	char path[4096], note[4096];

	struct clock_floor floor = {.wall_us = clock_now().wall_us + 400 * 86400 * SECOND_US};
	open_log(fixture);
	clock_set_floor(&floor); /* which makes it longer still */
	memset(path, '\x80', sizeof path);
	memset(note, '"', sizeof note - 1);
	note[sizeof note - 1] = '\0';
	event.path = path;
	event.path_size = sizeof path;
	event.rule = note;
	event.note = note;
	event.version = UINT64_MAX;
	event.uid = event.gid = event.pid = UINT32_MAX;
	event.login_uid = event.session = UINT32_MAX - 1;
	event.operation = "abcdefghijklmnopqrstuvwxyz012345";
	event.result = MORTISE_UNREACHABLE;
	append_one(fixture, &event);
	uint64_t size = audit_report(fixture->audit).size_bytes;
	assert_in_range(size, 1800, AUDIT_LINE_MAX);
	event.facts = (struct audit_facts){note, note, note};
	append_one(fixture, &event);
	assert_in_range(
		audit_report(fixture->audit).size_bytes, size + 1800, size + AUDIT_LINE_MAX);
	event.result = MORTISE_OK; /* of refusals not all have a line */
	for (size_t shorter = 0; shorter < sizeof path; shorter += 7) {
		event.path_size = shorter;
		size = audit_report(fixture->audit).size_bytes;
		append_one(fixture, &event);
		assert_in_range(
			audit_report(fixture->audit).size_bytes, size + 300, size + AUDIT_LINE_MAX);
	}
	begin_chain(fixture);
	assert_sound(fixture);
	clock_set_floor(NULL);
}

#define TIME "\"time\":\"2026-11-23T12:00:00.000000Z\","

static void a_line_with_another_word_for_the_clock_is_refused(void **state)
{
	static const char *const words[] = {"", "\"clock\":\"doubtful\",", "\"clock\":\"\",",
		"\"clock\":\"believed\",", "\"clock\":\"doubtful\",\"clock\":\"doubtful\","};
	struct audit_line line;
	char text[AUDIT_LINE_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
		int size = snprintf(text, sizeof text,
			"{\"seq\":1," TIME "%s\"op\":\"start\",\"result\":\"ok\",\"prev\":"
			"\"0000000000000000000000000000000000000000000000000000000000000000\"}",
			words[i]);
		assert_int_equal(audit_line_parse(text, (size_t)size, &line),
			i < 2 ? MORTISE_OK : MORTISE_INTEGRITY);
	}
}

static void a_line_says_if_the_clock_was_doubted(void **state)
{
	struct clock_floor floor = {.wall_us = clock_now().wall_us + 400 * 86400 * SECOND_US};
	struct fixture *fixture = *state;
	struct audit_event event = request_at(NOON_US);

	open_log(fixture);
	begin_chain(fixture);
	clock_set_floor(&floor);
	append_one(fixture, &event);
	assert_true(log_contains(fixture, TIME "\"clock\":\"doubtful\",\"op\":\"get\""));
	assert_false(log_contains(fixture, TIME "\"op\":\"get\""));
	clock_set_floor(NULL);
	append_one(fixture, &event);
	assert_true(log_contains(fixture, TIME "\"op\":\"get\""));
	assert_sound(fixture);
}

static void an_operation_of_the_log_itself_fails_the_flush(void **state)
{
	static const char *const operations[] = {"checkpoint", "genesis", "joint", "denials", "",
		"Get", "g t", "abcdefghijklmnopqrstuvwxyz0123456"};
	struct fixture *fixture = *state;

	open_log(fixture);
	for (size_t i = 0; i < sizeof operations / sizeof *operations; i++) {
		struct audit_event event = request_at(NOON_US);

		event.operation = operations[i];
		audit_append(fixture->audit, &event);
		assert_int_equal(audit_flush(fixture->audit), MORTISE_BUSY);
	}
	assert_int_equal(audit_report(fixture->audit).size_bytes, 0);
	put(fixture, 1);
}

static void a_turn_may_be_larger_than_its_buffer(void **state)
{
	struct fixture *fixture = *state;

	open_log(fixture);
	put(fixture, 3000);
	assert_int_equal(count_lines(fixture), 3000);
	begin_chain(fixture);
	assert_sound(fixture);
}

static void the_chain_goes_on_after_reopening(void **state)
{
	struct fixture *fixture = *state;

	open_log(fixture);
	put(fixture, 2);
	close_log(fixture);
	open_log(fixture);
	put(fixture, 2);
	begin_chain(fixture);
	assert_sound(fixture);
}

static void reading_gives_whole_lines_only(void **state)
{
	struct fixture *fixture = *state;
	uint8_t buffer[AUDIT_LINE_MAX];
	uint64_t offset = 0;
	size_t size, lines = 0;

	open_log(fixture);
	put(fixture, 20);
	for (;; offset += size) {
		assert_int_equal(audit_read(fixture->audit, offset, buffer, sizeof buffer, &size),
			MORTISE_OK);
		if (size == 0)
			break;
		assert_int_equal(buffer[0], '{');
		assert_int_equal(buffer[size - 1], '\n');
		for (size_t i = 0; i < size; i++)
			lines += buffer[i] == '\n';
	}
	assert_int_equal(lines, 20);
}

static void reading_from_within_a_line_is_refused(void **state)
{
	struct fixture *fixture = *state;
	uint8_t buffer[AUDIT_LINE_MAX];
	size_t size = 77;

	open_log(fixture);
	put(fixture, 2);
	assert_int_equal(
		audit_read(fixture->audit, 1, buffer, sizeof buffer, &size), MORTISE_INVALID);
	assert_int_equal(
		audit_read(fixture->audit, 1 << 20, buffer, sizeof buffer, &size), MORTISE_INVALID);
	assert_int_equal(audit_read(fixture->audit, 0, buffer, 100, &size), MORTISE_INVALID);
	assert_int_equal(size, 77);
}

static void a_turn_that_is_not_flushed_cannot_be_read(void **state)
{
	struct fixture *fixture = *state;
	struct audit_event event = request_at(NOON_US);
	uint8_t buffer[AUDIT_LINE_MAX];
	size_t size;

	open_log(fixture);
	for (unsigned i = 0; i < 3000; i++)
		audit_append(fixture->audit, &event);
	assert_int_equal(audit_read(fixture->audit, 0, buffer, sizeof buffer, &size), MORTISE_OK);
	assert_int_equal(size, 0);
	assert_int_equal(audit_report(fixture->audit).lines, 0);
	assert_int_equal(audit_flush(fixture->audit), MORTISE_OK);
}

static void refuse(struct fixture *fixture, uint32_t uid, uint64_t time_us, unsigned count,
	enum mortise_status result)
{
	struct audit_event event = request_at(time_us);

	event.uid = uid;
	event.result = result;
	for (unsigned i = 0; i < count; i++)
		audit_append(fixture->audit, &event);
	assert_int_equal(audit_flush(fixture->audit), MORTISE_OK);
}

static void deny(struct fixture *fixture, uint32_t uid, uint64_t time_us, unsigned count)
{
	refuse(fixture, uid, time_us, count, MORTISE_DENIED);
}

static void repeated_denials_are_counted(void **state)
{
	struct fixture *fixture = *state;

	open_log(fixture);
	deny(fixture, 34, NOON_US, 153);
	assert_int_equal(count_lines(fixture), 10);
	assert_false(audit_checkpoint_is_due(fixture->audit, NOON_US + 59 * SECOND_US));
	assert_true(audit_checkpoint_is_due(fixture->audit, NOON_US + MINUTE_US));
	assert_int_equal(audit_checkpoint_begin(fixture->audit, NOON_US + MINUTE_US), MORTISE_OK);
	assert_false(audit_checkpoint_is_due(fixture->audit, NOON_US + MINUTE_US));
	assert_int_equal(count_lines(fixture), 11);
	assert_true(log_contains(fixture,
		"\"time\":\"2026-11-23T12:00:00.000000Z\",\"op\":\"denials\",\"uid\":34,"
		"\"result\":\"denied\",\"note\":\"143 more denials in this minute\","));
	begin_chain(fixture);
	assert_sound(fixture);
}

static void refusals_of_every_other_kind_are_counted_too(void **state)
{
	struct fixture *fixture = *state;

	open_log(fixture);
	refuse(fixture, 34, NOON_US, 20, MORTISE_INVALID);
	refuse(fixture, 34, NOON_US, 20, MORTISE_SEALED);
	assert_int_equal(count_lines(fixture), 10);
}

static void the_next_append_after_the_minute_writes_the_count(void **state)
{
	struct fixture *fixture = *state;

	open_log(fixture);
	deny(fixture, 34, NOON_US, 12);
	deny(fixture, 34, NOON_US + MINUTE_US, 1);
	assert_int_equal(count_lines(fixture), 12);
	assert_true(log_contains(fixture, "\"note\":\"2 more denials"));
}

static void callers_are_counted_apart(void **state)
{
	struct fixture *fixture = *state;

	open_log(fixture);
	for (uint32_t uid = 0; uid < 65; uid++)
		deny(fixture, uid, NOON_US, 11);
	assert_int_equal(count_lines(fixture), 64 * 10 + 11);
	close_log(fixture);
	assert_int_equal(count_lines(fixture), 65 * 11);
}

/* One account may have 65,536 of them. */
static void however_many_uids_are_refused_the_log_grows_by_so_much_and_no_more(void **state)
{
	struct fixture *fixture = *state;

	open_log(fixture);
	for (unsigned round = 0; round < 2; round++)
		for (uint32_t uid = 0; uid < 5000; uid++)
			deny(fixture, uid, NOON_US, 1);
	assert_int_equal(count_lines(fixture), 2 * 64 + 640);
	assert_true(audit_checkpoint_is_due(fixture->audit, NOON_US + MINUTE_US));
	deny(fixture, 4999, NOON_US + MINUTE_US, 1);
	assert_int_equal(count_lines(fixture), 2 * 64 + 640 + 2);
	assert_true(log_contains(fixture,
		"\"op\":\"denials\",\"result\":\"denied\","
		"\"note\":\"9232 more denials of other users in this minute\","));
	begin_chain(fixture);
	assert_sound(fixture);
}

static void allowed_requests_are_never_counted(void **state)
{
	struct fixture *fixture = *state;

	open_log(fixture);
	put(fixture, 500);
	assert_int_equal(count_lines(fixture), 500);
}

static void a_count_survives_a_failed_flush(void **state)
{
	struct fixture *fixture = *state;
	struct audit_event later = {.time_us = NOON_US + MINUTE_US, .operation = "start"};

	assert_int_equal(audit_open(fixture->path, true, &fixture->audit), MORTISE_OK);
	deny(fixture, 34, NOON_US, 15);
	syncs_to_fail = 1;
	audit_append(fixture->audit, &later);
	assert_int_equal(audit_flush(fixture->audit), MORTISE_BUSY);
	assert_false(log_contains(fixture, "more denials"));
	audit_append(fixture->audit, &later);
	assert_int_equal(audit_flush(fixture->audit), MORTISE_OK);
	assert_true(log_contains(fixture, "\"note\":\"5 more denials"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_line_has_its_keys_in_a_fixed_order),
		TEST(what_is_absent_is_left_out),
		TEST(what_is_known_of_a_caller_stands_before_the_result),
		TEST(of_what_is_known_of_a_caller_as_much_is_kept_as_a_line_takes),
		TEST(what_a_client_sent_is_escaped),
		TEST(control_characters_of_two_bytes_are_escaped),
		TEST(a_line_that_is_spelled_otherwise_is_refused),
		TEST(no_request_can_make_a_line_too_long),
		TEST(a_line_says_if_the_clock_was_doubted),
		TEST(a_line_with_another_word_for_the_clock_is_refused),
		TEST(an_operation_of_the_log_itself_fails_the_flush),
		TEST(a_turn_may_be_larger_than_its_buffer),
		TEST(the_chain_goes_on_after_reopening),
		TEST(reading_gives_whole_lines_only),
		TEST(reading_from_within_a_line_is_refused),
		TEST(a_turn_that_is_not_flushed_cannot_be_read),
		TEST(repeated_denials_are_counted),
		TEST(refusals_of_every_other_kind_are_counted_too),
		TEST(the_next_append_after_the_minute_writes_the_count),
		TEST(callers_are_counted_apart),
		TEST(however_many_uids_are_refused_the_log_grows_by_so_much_and_no_more),
		TEST(allowed_requests_are_never_counted),
		TEST(a_count_survives_a_failed_flush),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
