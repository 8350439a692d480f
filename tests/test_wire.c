/* SPDX-License-Identifier: ISC */
/* wire: what is written reads back, and nothing malformed is taken. */
#include <stdlib.h>
#include <string.h>

#include "mortise_test.h"
#include "wire.h"

static uint8_t frame[WIRE_FRAME_MAX];

/* A frame with a text, a number and a list of two items of fields. */
static size_t write_sample(void)
{
	struct wire_writer writer;
	size_t list, item;

	wire_begin(&writer, frame, sizeof frame, WIRE_GET, 7);
	wire_put_text(&writer, WIRE_TAG_PATH, "prod/db/password");
	wire_put_number(&writer, WIRE_TAG_VERSION, UINT64_C(0x1122334455667788));
	list = wire_list_begin(&writer, WIRE_TAG_ITEMS);
	for (uint64_t i = 0; i < 2; i++) {
		item = wire_item_begin(&writer);
		wire_put_number(&writer, WIRE_TAG_VERSION, i);
		wire_put(&writer, WIRE_TAG_VALUE, "value", 5);
		wire_item_end(&writer, item);
	}
	wire_list_end(&writer, list);
	wire_put(&writer, WIRE_TAG_TOKEN, "0123456789abcdef", 16);
	return wire_finish(&writer);
}

static void what_is_written_reads_back(void **state)
{
	size_t size = write_sample();
	struct wire_message message;
	char path[64];
	uint64_t version;

	(void)state;
	assert_int_equal(wire_parse(frame, size, &message), MORTISE_OK);
	assert_int_equal(message.code, WIRE_GET);
	assert_int_equal(message.request_id, 7);
	assert_int_equal(wire_text(&message, WIRE_TAG_PATH, path, sizeof path), MORTISE_OK);
	assert_string_equal(path, "prod/db/password");
	assert_int_equal(wire_number(&message, WIRE_TAG_VERSION, &version), MORTISE_OK);
	assert_true(version == UINT64_C(0x1122334455667788));
	assert_int_equal(wire_field_of(&message, WIRE_TAG_TOKEN)->size, 16);
	assert_int_equal(message.count, 4);
	assert_true(wire_has_fields(&message,
		WIRE_TAGS(WIRE_TAG_PATH, WIRE_TAG_VERSION, WIRE_TAG_ITEMS, WIRE_TAG_TOKEN), NULL));
}

static void items_of_fields_read_back(void **state)
{
	size_t size = write_sample();
	struct wire_message message, item;
	struct wire_field field;
	struct wire_list list;
	uint64_t version, count = 0;

	(void)state;
	assert_int_equal(wire_parse(frame, size, &message), MORTISE_OK);
	list = wire_list_of(&message, WIRE_TAG_ITEMS);
	while (wire_list_next(&list, &field)) {
		assert_int_equal(wire_parse_fields(field.bytes, field.size, &item), MORTISE_OK);
		assert_int_equal(wire_number(&item, WIRE_TAG_VERSION, &version), MORTISE_OK);
		assert_true(version == count++);
		assert_memory_equal(wire_field_of(&item, WIRE_TAG_VALUE)->bytes, "value", 5);
	}
	assert_true(wire_list_is_whole(&list));
	assert_int_equal(count, 2);
}

static void numbers_are_little_endian(void **state)
{
	static const uint8_t expected[] = {1, 0, 17, 0, 4, 3, 2, 1, 14, 0, 0, 0, /* header */
		5, 0, 8, 0, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1};
	struct wire_writer writer;

	(void)state;
	wire_begin(&writer, frame, sizeof frame, WIRE_SET, 0x01020304);
	wire_put_number(&writer, WIRE_TAG_VERSION, UINT64_C(0x0102030405060708));
	assert_int_equal(wire_finish(&writer), sizeof expected);
	assert_memory_equal(frame, expected, sizeof expected);
}

static void every_truncation_is_refused(void **state)
{
	size_t size = write_sample();
	struct wire_message message = {.code = 99};

	(void)state;
	for (size_t cut = 0; cut < size; cut++) {
		uint8_t *copy = malloc(cut + 1);

		assert_non_null(copy);
		memcpy(copy, frame, cut);
		assert_int_equal(wire_parse(copy, cut, &message), MORTISE_INVALID);
		assert_int_equal(message.code, 99);
		free(copy);
	}
}

/* The outer size is made to fit, so that it is the field that is cut. */
static void every_truncation_of_fields_is_refused_unless_between_fields(void **state)
{
	size_t size = write_sample();
	unsigned accepted = 0;

	(void)state;
	for (size_t cut = WIRE_HEADER_SIZE; cut < size; cut++) {
		struct wire_message message;
		uint8_t *copy = malloc(cut);

		assert_non_null(copy);
		memcpy(copy, frame, cut);
		copy[8] = (uint8_t)(cut - WIRE_HEADER_SIZE);
		accepted += wire_parse(copy, cut, &message) == MORTISE_OK;
		free(copy);
	}
	assert_int_equal(accepted, 4);
}

static void a_frame_with_bytes_behind_it_is_refused(void **state)
{
	size_t size = write_sample();
	struct wire_message message;

	(void)state;
	frame[size] = 0;
	assert_int_equal(wire_parse(frame, size + 1, &message), MORTISE_INVALID);
}

static void another_version_is_refused(void **state)
{
	size_t size = write_sample();
	struct wire_message message;

	(void)state;
	frame[0] = WIRE_VERSION + 1;
	assert_int_equal(wire_parse(frame, size, &message), MORTISE_INVALID);
}

/* Runs of fields by hand: tag, size, bytes. */
static enum mortise_status parse(const void *bytes, size_t size)
{
	struct wire_message message;

	return wire_parse_fields(bytes, size, &message);
}

static void lengths_that_lie_are_refused(void **state)
{
	static const uint8_t one_more[] = {5, 0, 2, 0, 0, 0, 'x'};
	static const uint8_t four_gigabytes[] = {5, 0, 255, 255, 255, 255, 'x'};

	(void)state;
	assert_int_equal(parse(one_more, sizeof one_more), MORTISE_INVALID);
	assert_int_equal(parse(four_gigabytes, sizeof four_gigabytes), MORTISE_INVALID);
}

static void tags_out_of_order_are_refused(void **state)
{
	static const uint8_t run[] = {6, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0};

	(void)state;
	assert_int_equal(parse(run, sizeof run), MORTISE_INVALID);
	assert_int_equal(parse(run, 6), MORTISE_OK);
}

static void a_tag_given_twice_is_refused(void **state)
{
	static const uint8_t run[] = {5, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0};

	(void)state;
	assert_int_equal(parse(run, sizeof run), MORTISE_INVALID);
}

static void tag_zero_and_tags_from_512_on_are_refused(void **state)
{
	uint8_t run[] = {0, 0, 0, 0, 0, 0};

	(void)state;
	assert_int_equal(parse(run, sizeof run), MORTISE_INVALID);
	run[1] = 2; /* 512 and more */
	assert_int_equal(parse(run, sizeof run), MORTISE_INVALID);
	run[0] = 5;
	assert_int_equal(parse(run, sizeof run), MORTISE_INVALID);
	run[1] = 1;
	run[0] = 255;
	assert_int_equal(parse(run, sizeof run), MORTISE_OK);
}

static void of_fields_a_run_has_at_most_64(void **state)
{
	struct wire_message message;
	struct wire_writer writer;

	(void)state;
	for (unsigned count = WIRE_FIELDS_MAX; count <= WIRE_FIELDS_MAX + 1; count++) {
		wire_begin(&writer, frame, sizeof frame, 0, 0);
		for (unsigned tag = 1; tag <= count; tag++)
			wire_put(&writer, 2 * tag, NULL, 0);
		size_t size = wire_finish(&writer);
		assert_int_not_equal(size, 0);
		assert_int_equal(wire_parse(frame, size, &message),
			count > WIRE_FIELDS_MAX ? MORTISE_INVALID : MORTISE_OK);
		assert_int_equal(message.count, count > WIRE_FIELDS_MAX ? 0 : count);
	}
}

static void only_those_fields_that_are_asked_for_are_there(void **state)
{
	const struct wire_message message = {.count = 2,
		.tag = {WIRE_TAG_PATH, WIRE_TAG_TOKEN},
		.field = {{(const uint8_t *)"p", 1}, {(const uint8_t *)"t", 1}}};
	const uint16_t *path = WIRE_TAGS(WIRE_TAG_PATH), *token = WIRE_TAGS(WIRE_TAG_TOKEN);
	const uint16_t *both = WIRE_TAGS(WIRE_TAG_PATH, WIRE_TAG_TOKEN);

	(void)state;
	assert_true(wire_has_fields(&message, both, NULL));
	assert_true(wire_has_fields(&message, NULL, both));
	assert_true(wire_has_fields(&message, token, path));
	assert_true(wire_has_fields(&message, path, WIRE_TAGS(WIRE_TAG_HOOK, WIRE_TAG_TOKEN)));
	assert_false(wire_has_fields(&message, path, NULL));
	assert_false(wire_has_fields(&message, NULL, token));
	assert_false(wire_has_fields(&message, NULL, NULL));
	assert_false(wire_has_fields(&message, WIRE_TAGS(WIRE_TAG_HOOK), both));
	assert_true(wire_has(&message, WIRE_TAG_TOKEN));
	assert_false(wire_has(&message, WIRE_TAG_VALUE));
	assert_null(wire_field_of(&message, WIRE_TAG_VALUE)->bytes);
}

static void a_number_of_other_than_8_bytes_is_refused(void **state)
{
	struct wire_message message = {.count = 1, .tag = {WIRE_TAG_NUMBER}};
	uint64_t number = 5;

	(void)state;
	message.field[0] = (struct wire_field){(const uint8_t *)"1234567", 7};
	assert_int_equal(wire_number(&message, WIRE_TAG_NUMBER, &number), MORTISE_INVALID);
	assert_int_equal(wire_number(&message, WIRE_TAG_VERSION, &number), MORTISE_INVALID);
	assert_int_equal(number, 5);
}

static void a_text_with_a_nul_or_too_long_or_absent_is_refused(void **state)
{
	struct wire_message message = {.count = 1, .tag = {WIRE_TAG_TEXT}};
	char text[4] = "old";

	(void)state;
	message.field[0] = (struct wire_field){(const uint8_t *)"a\0b", 3};
	assert_int_equal(wire_text(&message, WIRE_TAG_TEXT, text, sizeof text), MORTISE_INVALID);
	message.field[0] = (struct wire_field){(const uint8_t *)"abcd", 4};
	assert_int_equal(wire_text(&message, WIRE_TAG_TEXT, text, sizeof text), MORTISE_INVALID);
	assert_int_equal(wire_text(&message, WIRE_TAG_PATH, text, sizeof text), MORTISE_INVALID);
	assert_int_equal(wire_text(&message, WIRE_TAG_TEXT, text, 0), MORTISE_INVALID);
	assert_string_equal(text, "old");
	message.field[0].size = 3;
	assert_int_equal(wire_text(&message, WIRE_TAG_TEXT, text, sizeof text), MORTISE_OK);
	assert_string_equal(text, "abc");
}

static void an_absent_list_is_empty_and_whole(void **state)
{
	struct wire_message message = {0};
	struct wire_list list = wire_list_of(&message, WIRE_TAG_ITEMS);
	struct wire_field item;

	(void)state;
	assert_false(wire_list_next(&list, &item));
	assert_true(wire_list_is_whole(&list));
}

static void a_list_whose_item_lies_is_not_whole(void **state)
{
	static const uint8_t items[] = {1, 0, 0, 0, 'a', 2, 0, 0, 0, 'b'};
	struct wire_message message = {.count = 1, .tag = {WIRE_TAG_PATHS}};
	struct wire_field item;

	(void)state;
	for (size_t size = 0; size <= sizeof items; size++) {
		struct wire_list list;

		message.field[0] = (struct wire_field){items, size};
		list = wire_list_of(&message, WIRE_TAG_PATHS);
		while (wire_list_next(&list, &item))
			assert_int_equal(item.size, 1);
		assert_int_equal(wire_list_is_whole(&list), size == 0 || size == 5);
	}
}

static void a_writer_refuses_tags_out_of_order(void **state)
{
	struct wire_writer writer;

	(void)state;
	wire_begin(&writer, frame, sizeof frame, 0, 0);
	wire_put_number(&writer, WIRE_TAG_VERSION, 1);
	wire_put_number(&writer, WIRE_TAG_VERSION, 1);
	assert_int_equal(wire_finish(&writer), 0);
	wire_begin(&writer, frame, sizeof frame, 0, 0);
	wire_put(&writer, WIRE_TAG_LIMIT, NULL, 0);
	assert_int_equal(wire_finish(&writer), 0);
	wire_begin(&writer, frame, sizeof frame, 0, 0);
	wire_put(&writer, 0, NULL, 0);
	assert_int_equal(wire_finish(&writer), 0);
}

static void a_field_directly_in_a_list_is_refused(void **state)
{
	struct wire_writer writer;
	size_t list;

	(void)state;
	wire_begin(&writer, frame, sizeof frame, 0, 0);
	list = wire_list_begin(&writer, WIRE_TAG_ITEMS);
	wire_put_number(&writer, WIRE_TAG_NUMBER, 1);
	wire_list_end(&writer, list);
	assert_int_equal(wire_finish(&writer), 0);
}

static void a_list_left_open_is_refused(void **state)
{
	struct wire_writer writer;

	(void)state;
	wire_begin(&writer, frame, sizeof frame, 0, 0);
	(void)wire_list_begin(&writer, WIRE_TAG_ITEMS);
	assert_int_equal(wire_finish(&writer), 0);
}

static void a_writer_never_leaves_its_buffer(void **state)
{
	size_t whole = write_sample();

	(void)state;
	for (size_t capacity = 0; capacity < whole; capacity++) {
		uint8_t *small = malloc(capacity + 1);
		struct wire_writer writer;
		size_t list;

		assert_non_null(small);
		small[capacity] = 0x5a;
		wire_begin(&writer, small, capacity, 0, 0);
		wire_put(&writer, WIRE_TAG_PATH, frame, whole / 2);
		list = wire_list_begin(&writer, WIRE_TAG_ITEMS);
		wire_item_put(&writer, frame, whole - whole / 2 - WIRE_HEADER_SIZE - 16);
		wire_list_end(&writer, list);
		assert_int_equal(wire_finish(&writer), 0);
		assert_int_equal(small[capacity], 0x5a);
		free(small);
	}
}

static void a_record_above_the_limit_is_neither_written_nor_read(void **state)
{
	static uint8_t bytes[WIRE_RECORD_MAX];
	static uint8_t large[WIRE_RECORD_MAX + 64];
	struct wire_message message;
	struct wire_writer writer;

	(void)state;
	wire_begin(&writer, large, sizeof large, 0, 0);
	wire_put(&writer, WIRE_TAG_VALUE, bytes, WIRE_RECORD_MAX - WIRE_HEADER_SIZE - 6);
	assert_int_equal(wire_finish(&writer), WIRE_RECORD_MAX);
	assert_int_equal(wire_parse(large, WIRE_RECORD_MAX, &message), MORTISE_OK);
	wire_begin(&writer, large, sizeof large, 0, 0);
	wire_put(&writer, WIRE_TAG_VALUE, bytes, WIRE_RECORD_MAX - WIRE_HEADER_SIZE - 5);
	assert_int_equal(wire_finish(&writer), 0);
	memset(large, 0, sizeof large);
	large[0] = WIRE_VERSION;
	large[11] = 2; /* WIRE_RECORD_MAX bytes of fields, one field of them */
	large[12] = 1;
	memcpy(large + 14, (const uint8_t[]){0xfa, 0xff, 0xff, 1}, 4);
	assert_int_equal(
		wire_parse(large, WIRE_HEADER_SIZE + WIRE_FRAME_MAX, &message), MORTISE_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_reads_back),
		cmocka_unit_test(items_of_fields_read_back),
		cmocka_unit_test(numbers_are_little_endian),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(every_truncation_of_fields_is_refused_unless_between_fields),
		cmocka_unit_test(a_frame_with_bytes_behind_it_is_refused),
		cmocka_unit_test(another_version_is_refused),
		cmocka_unit_test(lengths_that_lie_are_refused),
		cmocka_unit_test(tags_out_of_order_are_refused),
		cmocka_unit_test(a_tag_given_twice_is_refused),
		cmocka_unit_test(tag_zero_and_tags_from_512_on_are_refused),
		cmocka_unit_test(of_fields_a_run_has_at_most_64),
		cmocka_unit_test(only_those_fields_that_are_asked_for_are_there),
		cmocka_unit_test(a_number_of_other_than_8_bytes_is_refused),
		cmocka_unit_test(a_text_with_a_nul_or_too_long_or_absent_is_refused),
		cmocka_unit_test(an_absent_list_is_empty_and_whole),
		cmocka_unit_test(a_list_whose_item_lies_is_not_whole),
		cmocka_unit_test(a_writer_refuses_tags_out_of_order),
		cmocka_unit_test(a_field_directly_in_a_list_is_refused),
		cmocka_unit_test(a_list_left_open_is_refused),
		cmocka_unit_test(a_writer_never_leaves_its_buffer),
		cmocka_unit_test(a_record_above_the_limit_is_neither_written_nor_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
