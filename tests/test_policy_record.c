/* SPDX-License-Identifier: ISC */
#include "policy_fixture.h"

#include "policy_record.h"
#include "records.h"

#define TEXT                                                                                       \
	"[rule r]\nallow = read\nsecret = prod/*\nuser = alice\n[rule g]\ndeny = list\ngroup = "   \
	"dba\n"

static uint8_t record[65536];
static size_t record_size;

/* The record of one file, its names pinned to the fixture's ids. */
static void write_record(const char *text)
{
	const struct policy_file file = {"p", text, strlen(text)};
	struct policy *policy = NULL;
	uint32_t ids[8] = {0};

	assert_int_equal(parse(text, &policy), MORTISE_OK);
	for (size_t i = 0; i < policy_name_count(policy); i++)
		ids[i] = policy_name_at(policy, i).kind == POLICY_USER ? 1000 : 50;
	const struct policy_source source = {&file, 1, policy, ids, {1, 2, 3}, 7, 42};
	assert_true(policy_record_room(&source) <= sizeof record);
	assert_int_equal(
		policy_record_write(&source, record, policy_record_room(&source), &record_size),
		MORTISE_OK);
	policy_free(policy);
}

static void what_was_written_compiles_with_the_ids_of_then(void **state)
{
	struct policy *policy = NULL;

	(void)state;
	write_record(TEXT);
	assert_int_equal(policy_record_compile(record, record_size, &policy), MORTISE_OK);
	assert_int_equal(policy_rule_count(policy), 2);
	assert_true(ask(policy, 1000, 1000, VERB_READ, "prod/x").allowed);
	assert_false(ask(policy, 1001, 1001, VERB_READ, "prod/x").allowed);
	policy_free(policy);
}

static void the_text_comes_back_under_the_files_name(void **state)
{
	char *text = NULL;
	size_t size = 0;

	(void)state;
	write_record(TEXT);
	assert_int_equal(policy_record_text(record, record_size, &text, &size), MORTISE_OK);
	assert_int_equal(size, strlen("; file: p\n" TEXT));
	assert_memory_equal(text, "; file: p\n" TEXT, size);
	free(text);
}

static void only_its_own_token_is_known(void **state)
{
	const uint8_t own[WIRE_TOKEN_SIZE] = {1, 2, 3}, other[WIRE_TOKEN_SIZE] = {1, 2, 4};

	(void)state;
	write_record(TEXT);
	assert_true(policy_record_has_token(record, record_size, own));
	assert_false(policy_record_has_token(record, record_size, other));
	assert_false(policy_record_has_token(record, record_size - 1, own));
}

static void a_buffer_that_is_too_small_is_refused(void **state)
{
	const struct policy_file file = {"p", TEXT, strlen(TEXT)};
	const struct policy_source source = {.files = &file, .file_count = 1};
	size_t size = 99;

	(void)state;
	for (size_t room = 0; room < strlen(TEXT); room++)
		assert_int_equal(
			policy_record_write(&source, record, room, &size), MORTISE_INVALID);
	assert_int_equal(size, 99);
}

static void a_record_cut_anywhere_is_an_integrity_error(void **state)
{
	struct policy *policy = NULL;
	char *text = NULL;
	size_t size = 0;

	(void)state;
	write_record(TEXT);
	for (size_t cut = 0; cut < record_size; cut++) {
		assert_int_equal(policy_record_compile(record, cut, &policy), MORTISE_INTEGRITY);
		assert_int_equal(policy_record_text(record, cut, &text, &size), MORTISE_INTEGRITY);
	}
	assert_null(policy);
	assert_null(text);
}

/* Every bit of it: whatever comes of it, the reader survives, and no name is pinned to another. */
static void a_flipped_bit_crashes_nothing(void **state)
{
	(void)state;
	write_record(TEXT);
	for (size_t bit = 0; bit < record_size * 8; bit++) {
		struct policy *policy = NULL;
		char *text = NULL;
		size_t size = 0;
		record[bit / 8] ^= (uint8_t)(1 << bit % 8);
		enum mortise_status status = policy_record_compile(record, record_size, &policy);
		assert_true(status == MORTISE_OK || status == MORTISE_INTEGRITY);
		assert_int_equal(status == MORTISE_OK, policy != NULL);
		if (policy_record_text(record, record_size, &text, &size) == MORTISE_OK)
			free(text);
		policy_free(policy);
		record[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

static void another_kind_of_record_is_an_integrity_error(void **state)
{
	struct policy *policy = NULL;

	(void)state;
	write_record(TEXT);
	record[2]++;
	assert_int_equal(policy_record_compile(record, record_size, &policy), MORTISE_INTEGRITY);
}

/* Writes a record by hand: one file, and pins that do not fit its names. */
static void write_by_hand(const char *name, size_t pins, size_t files)
{
	struct wire_writer writer;
	const uint8_t token[WIRE_TOKEN_SIZE] = {0};

	wire_begin(&writer, record, sizeof record, 4, 0);
	size_t list = wire_list_begin(&writer, RECORD_TAG_ITEMS);
	for (size_t i = 0; i < files; i++) {
		size_t item = wire_item_begin(&writer);
		wire_put_text(&writer, RECORD_TAG_NAME, "p");
		wire_put_text(&writer, RECORD_TAG_CHUNK, i ? "" : TEXT);
		wire_item_end(&writer, item);
	}
	wire_list_end(&writer, list);
	wire_put(&writer, RECORD_TAG_TOKEN, token, sizeof token);
	list = wire_list_begin(&writer, RECORD_TAG_USERS);
	for (size_t i = 0; i < pins; i++) {
		size_t item = wire_item_begin(&writer);
		wire_put_text(&writer, RECORD_TAG_NAME, name);
		wire_put_number(&writer, RECORD_TAG_NUMBER, 0);
		wire_item_end(&writer, item);
	}
	wire_list_end(&writer, list);
	list = wire_list_begin(&writer, RECORD_TAG_GROUPS);
	size_t item = wire_item_begin(&writer);
	wire_put_text(&writer, RECORD_TAG_NAME, "dba");
	wire_put_number(&writer, RECORD_TAG_NUMBER, 50);
	wire_item_end(&writer, item);
	wire_list_end(&writer, list);
	record_size = wire_finish(&writer);
	assert_true(record_size > 0);
}

static void pins_that_do_not_fit_the_names_are_an_integrity_error(void **state)
{
	struct policy *policy = NULL;

	(void)state;
	write_by_hand("alice", 1, 1);
	assert_int_equal(policy_record_compile(record, record_size, &policy), MORTISE_OK);
	policy_free(policy);
	policy = NULL;
	write_by_hand("mallory", 1, 1);
	assert_int_equal(policy_record_compile(record, record_size, &policy), MORTISE_INTEGRITY);
	write_by_hand("alice", 0, 1);
	assert_int_equal(policy_record_compile(record, record_size, &policy), MORTISE_INTEGRITY);
	write_by_hand("alice", 2, 1);
	assert_int_equal(policy_record_compile(record, record_size, &policy), MORTISE_INTEGRITY);
}

static void more_files_than_allowed_are_an_integrity_error(void **state)
{
	struct policy *policy = NULL;

	(void)state;
	write_by_hand("alice", 1, POLICY_FILES_MAX);
	assert_int_equal(policy_record_compile(record, record_size, &policy), MORTISE_OK);
	policy_free(policy);
	policy = NULL;
	write_by_hand("alice", 1, POLICY_FILES_MAX + 1);
	assert_int_equal(policy_record_compile(record, record_size, &policy), MORTISE_INTEGRITY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_written_compiles_with_the_ids_of_then),
		cmocka_unit_test(the_text_comes_back_under_the_files_name),
		cmocka_unit_test(only_its_own_token_is_known),
		cmocka_unit_test(a_buffer_that_is_too_small_is_refused),
		cmocka_unit_test(a_record_cut_anywhere_is_an_integrity_error),
		cmocka_unit_test(a_flipped_bit_crashes_nothing),
		cmocka_unit_test(another_kind_of_record_is_an_integrity_error),
		cmocka_unit_test(pins_that_do_not_fit_the_names_are_an_integrity_error),
		cmocka_unit_test(more_files_than_allowed_are_an_integrity_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
