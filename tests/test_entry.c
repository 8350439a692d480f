/* SPDX-License-Identifier: ISC */
#include <stdlib.h>
#include <string.h>

#include "entry.h"
#include "little_endian.h"
#include "mortise_test.h"
#include "records.h"
#include "wire.h"

#define RECORD_SECRET 8 /* of docs/store.md */
#define NUMBER        7 /* of the secret that all these are */
#define BUFFER_SIZE   4096

static const uint8_t bytes[STORE_RECORD_MAX + 1] = "bytes that stand for what is encrypted";
static const uint8_t path_hash[INDEX_PATH_SIZE + 1] = "of a path, hash";
static const uint8_t wrapped_key[ENTRY_KEY_SIZE + 1] = "a wrapped data key";
static const uint8_t other_key[ENTRY_KEY_SIZE] = "another one";

/* ---- records by hand ---- */

/* How a record is written; all but the good one have a flaw. */
struct form {
	uint16_t code;
	uint32_t request_id;
	unsigned left_out;     /* a field of the record or its versions; 0: none */
	unsigned added;        /* a field that a record has not; 0: none */
	unsigned added_inside; /* one that a version has not */
	size_t path_hash_size, wrapped_key_size;
	size_t number_size, place_size;
	uint64_t numbers[2]; /* of the versions */
	uint64_t place;      /* that of the first is one above */
};

static const struct form good = {.code = RECORD_SECRET,
	.path_hash_size = INDEX_PATH_SIZE,
	.wrapped_key_size = ENTRY_KEY_SIZE,
	.number_size = 8,
	.place_size = 8,
	.numbers = {1, 2},
	.place = 100};

struct record {
	uint8_t bytes[BUFFER_SIZE];
	size_t size;
};

/* What is added stands where its tag has it. */
static void add_before(struct wire_writer *writer, unsigned tag, unsigned added)
{
	if (added && added < tag && writer->last_tag < added)
		wire_put(writer, added, bytes, 8);
}

static void put_version(struct wire_writer *writer, const struct form *form, uint64_t number)
{
	const struct {
		unsigned tag;
		const uint8_t *bytes;
		size_t size;
	} fields[] = {
		{RECORD_TAG_VERSION, bytes, form->number_size},
		{RECORD_TAG_PLACE, bytes, form->place_size},
		{RECORD_TAG_INFO, bytes, 20},
		{RECORD_TAG_WRAPPED, wrapped_key, form->wrapped_key_size},
	};

	for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
		add_before(writer, fields[i].tag, form->added_inside);
		if (fields[i].tag == form->left_out)
			continue;
		if (fields[i].tag == RECORD_TAG_VERSION && fields[i].size == 8)
			wire_put_number(writer, RECORD_TAG_VERSION, number);
		else if (fields[i].tag == RECORD_TAG_PLACE && fields[i].size == 8)
			wire_put_number(writer, RECORD_TAG_PLACE, form->place + number % 64);
		else
			wire_put(writer, fields[i].tag, fields[i].bytes, fields[i].size);
	}
	add_before(writer, WIRE_TAG_LIMIT, form->added_inside);
}

static void put_versions(struct wire_writer *writer, const struct form *form)
{
	size_t list = wire_list_begin(writer, RECORD_TAG_ITEMS);

	for (size_t i = 0; i < 2; i++) {
		size_t item = wire_item_begin(writer);
		put_version(writer, form, form->numbers[i]);
		wire_item_end(writer, item);
	}
	wire_list_end(writer, list);
}

static struct record write_by_hand(const struct form *form)
{
	struct wire_writer writer;
	struct record record;

	wire_begin(&writer, record.bytes, sizeof record.bytes, form->code, form->request_id);
	add_before(&writer, RECORD_TAG_ITEMS, form->added);
	if (form->left_out != RECORD_TAG_ITEMS)
		put_versions(&writer, form);
	add_before(&writer, RECORD_TAG_HEAD, form->added);
	if (form->left_out != RECORD_TAG_HEAD)
		wire_put(&writer, RECORD_TAG_HEAD, bytes, 30);
	add_before(&writer, RECORD_TAG_PATH_HASH, form->added);
	if (form->left_out != RECORD_TAG_PATH_HASH)
		wire_put(&writer, RECORD_TAG_PATH_HASH, path_hash, form->path_hash_size);
	add_before(&writer, WIRE_TAG_LIMIT, form->added);
	record.size = wire_finish(&writer);
	assert_int_not_equal(record.size, 0);
	return record;
}

/* A record with this list of versions, whatever it is. */
static struct record write_list(const uint8_t *list, size_t size)
{
	struct wire_writer writer;
	struct record record;

	wire_begin(&writer, record.bytes, sizeof record.bytes, RECORD_SECRET, 0);
	wire_put(&writer, RECORD_TAG_ITEMS, list, size);
	wire_put(&writer, RECORD_TAG_HEAD, bytes, 30);
	wire_put(&writer, RECORD_TAG_PATH_HASH, path_hash, INDEX_PATH_SIZE);
	record.size = wire_finish(&writer);
	assert_int_not_equal(record.size, 0);
	return record;
}

/* In memory of just its size, so that a sanitizer sees who reads on. */
static enum mortise_status take(const uint8_t *record, size_t size, struct entry **out_entry)
{
	uint8_t *copy = malloc(size ? size : 1);

	assert_non_null(copy);
	memcpy(copy, record, size);
	return entry_take(NUMBER, copy, size, out_entry);
}

static void assert_refused(const uint8_t *record, size_t size)
{
	struct entry *entry = NULL;

	assert_int_equal(take(record, size, &entry), MORTISE_INTEGRITY);
	assert_null(entry);
}

static void assert_form_refused(const struct form *form)
{
	const struct record record = write_by_hand(form);

	assert_refused(record.bytes, record.size);
}

/* The header says that the record is as long as it is. */
static void correct_size(struct record *record)
{
	le32_put(record->bytes + 8, (uint32_t)(record->size - WIRE_HEADER_SIZE));
}

/* ---- parts ---- */

static struct entry_version a_version(uint64_t number)
{
	return (struct entry_version){.number = number,
		.place = 100 + number,
		.wrapped_key = wrapped_key,
		.info = {bytes, 20}};
}

/* Versions 1 to count. */
static struct entry_parts some_parts(size_t count)
{
	struct entry_parts parts = {.head = {bytes, 30}};

	memcpy(parts.path_hash, path_hash, INDEX_PATH_SIZE);
	for (uint64_t number = 1; number <= count; number++) {
		const struct entry_version version = a_version(number);
		assert_int_equal(entry_parts_add(&parts, &version), MORTISE_OK);
	}
	return parts;
}

static struct entry *an_entry(size_t version_count)
{
	const struct entry_parts parts = some_parts(version_count);
	struct entry *entry = NULL;

	assert_int_equal(entry_new(NUMBER, &parts, &entry), MORTISE_OK);
	return entry;
}

static void assert_same_bytes(struct store_bytes one, struct store_bytes other)
{
	assert_int_equal(one.size, other.size);
	if (one.size)
		assert_memory_equal(one.bytes, other.bytes, one.size);
}

static void assert_says(const struct entry *entry, const struct entry_parts *parts)
{
	assert_int_equal(entry->number, NUMBER);
	assert_int_equal(entry->holders, 1);
	assert_memory_equal(entry->path_hash, parts->path_hash, INDEX_PATH_SIZE);
	assert_same_bytes(entry->head, parts->head);
	assert_int_equal(entry->version_count, parts->version_count);
	for (size_t i = 0; i < parts->version_count; i++) {
		assert_int_equal(entry->versions[i].number, parts->versions[i].number);
		assert_int_equal(entry->versions[i].place, parts->versions[i].place);
		assert_memory_equal(entry->versions[i].wrapped_key, parts->versions[i].wrapped_key,
			ENTRY_KEY_SIZE);
		assert_same_bytes(entry->versions[i].info, parts->versions[i].info);
	}
}

/* ---- what is taken ---- */

/* It is no part of the record. */
static void what_is_known_of_each_version_stays_in_what_is_made_of_it(void **state)
{
	struct entry_parts parts = some_parts(3);
	CLEANUP(entry_drop) struct entry *made = NULL;
	CLEANUP(entry_drop) struct entry *taken = NULL;

	parts.versions[1].said = (struct entry_said){true, 34, 1000, "token of second"};
	assert_int_equal(entry_new(NUMBER, &parts, &made), MORTISE_OK);
	for (size_t i = 0; i < 3; i++) {
		const struct entry_said *said = &made->versions[i].said;
		assert_int_equal(said->is_known, i == 1);
		assert_int_equal(said->uid, i == 1 ? 34 : 0);
		assert_int_equal(said->size_bytes, i == 1 ? 1000 : 0);
		assert_memory_equal(said->token, parts.versions[i].said.token, WIRE_TOKEN_SIZE);
	}
	entry_part(made, &parts);
	assert_true(parts.versions[1].said.is_known);
	assert_int_equal(take(made->record, made->record_size, &taken), MORTISE_OK);
	assert_false(taken->versions[1].said.is_known);
}

/* The record is of its own: nothing of it is where its parts came from. */
static void what_was_put_together_is_what_is_taken_apart(void **state)
{
	const struct entry_version versions[] = {
		{.number = 1, .place = 1, .wrapped_key = wrapped_key, .info = {bytes, 0}},
		{.number = 5,
			.place = STORE_PLACE_MAX,
			.wrapped_key = other_key,
			.info = {bytes + 1, 4}},
		{.number = ENTRY_NUMBER_MAX,
			.place = 3,
			.wrapped_key = wrapped_key,
			.info = {bytes + 2, 900}}};
	struct entry_parts parts = {.head = {bytes + 3, 6000}}, again;
	CLEANUP(entry_drop) struct entry *made = NULL;
	CLEANUP(entry_drop) struct entry *taken = NULL;
	CLEANUP(entry_drop) struct entry *remade = NULL;

	memcpy(parts.path_hash, path_hash, INDEX_PATH_SIZE);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(entry_parts_add(&parts, &versions[i]), MORTISE_OK);
	assert_int_equal(entry_new(NUMBER, &parts, &made), MORTISE_OK);
	assert_says(made, &parts);
	assert_int_equal(take(made->record, made->record_size, &taken), MORTISE_OK);
	entry_drop(&made);
	assert_says(taken, &parts);
	entry_part(taken, &again);
	assert_says(taken, &again);
	assert_int_equal(entry_new(NUMBER, &again, &remade), MORTISE_OK);
	assert_says(remade, &parts);
	assert_int_equal(remade->record_size, taken->record_size);
	assert_memory_equal(remade->record, taken->record, taken->record_size);
}

static void a_secret_may_have_no_version_and_an_empty_head(void **state)
{
	const struct entry_parts parts = {.head = {bytes, 0}};
	CLEANUP(entry_drop) struct entry *made = NULL;
	CLEANUP(entry_drop) struct entry *taken = NULL;

	assert_int_equal(entry_new(NUMBER, &parts, &made), MORTISE_OK);
	assert_says(made, &parts);
	assert_int_equal(take(made->record, made->record_size, &taken), MORTISE_OK);
	assert_says(taken, &parts);
}

static void a_record_has_the_form_that_is_written_down(void **state)
{
	const struct entry_parts parts = some_parts(2);
	const struct record record = write_by_hand(&good);
	CLEANUP(entry_drop) struct entry *made = an_entry(2);
	CLEANUP(entry_drop) struct entry *taken = NULL;

	assert_int_equal(made->record_size, record.size);
	assert_memory_equal(made->record, record.bytes, record.size);
	assert_int_equal(take(record.bytes, record.size, &taken), MORTISE_OK);
	assert_says(taken, &parts);
}

static void what_the_head_says_is_not_known_at_first(void **state)
{
	CLEANUP(entry_drop) struct entry *entry = an_entry(3);

	assert_int_equal(entry->current, 0);
	assert_int_equal(entry->previous, 0);
	assert_int_equal(entry->pending, 0);
	assert_false(entry->is_deleted);
}

static void the_size_of_an_entry_is_that_of_its_record_and_more(void **state)
{
	CLEANUP(entry_drop) struct entry *one = an_entry(1);
	CLEANUP(entry_drop) struct entry *two = an_entry(2);

	assert_true(entry_size(one) >= one->record_size + sizeof *one + sizeof one->versions[0]);
	assert_true(entry_size(two) - entry_size(one) >=
		    two->record_size - one->record_size + sizeof one->versions[0]);
}

/* ---- what is refused ---- */

static void a_record_of_another_code_version_or_request_is_refused(void **state)
{
	struct form form = good;
	struct record record = write_by_hand(&good);

	for (unsigned code = 0; code < 300; code++) {
		form.code = (uint16_t)code;
		if (code != RECORD_SECRET)
			assert_form_refused(&form);
	}
	form.code = RECORD_SECRET | 1 << 15;
	assert_form_refused(&form);
	form = good;
	for (unsigned bit = 0; bit < 32; bit++) {
		form.request_id = UINT32_C(1) << bit;
		assert_form_refused(&form);
	}
	le16_put(record.bytes, WIRE_VERSION + 1);
	assert_refused(record.bytes, record.size);
}

static void a_record_without_one_of_its_fields_is_refused(void **state)
{
	static const unsigned tags[] = {RECORD_TAG_ITEMS, RECORD_TAG_HEAD, RECORD_TAG_PATH_HASH,
		RECORD_TAG_VERSION, RECORD_TAG_PLACE, RECORD_TAG_INFO, RECORD_TAG_WRAPPED};
	struct form form = good;

	for (size_t i = 0; i < sizeof tags / sizeof tags[0]; i++) {
		form.left_out = tags[i];
		assert_form_refused(&form);
	}
}

static bool is_of_record(unsigned tag)
{
	return tag == RECORD_TAG_ITEMS || tag == RECORD_TAG_HEAD || tag == RECORD_TAG_PATH_HASH;
}

static bool is_of_version(unsigned tag)
{
	return tag == RECORD_TAG_VERSION || tag == RECORD_TAG_PLACE || tag == RECORD_TAG_INFO ||
	       tag == RECORD_TAG_WRAPPED;
}

static void a_record_with_any_other_field_is_refused(void **state)
{
	for (unsigned tag = 1; tag < WIRE_TAG_LIMIT; tag++) {
		struct form form = good;
		form.added = is_of_record(tag) ? 0 : tag;
		if (form.added)
			assert_form_refused(&form);
		form = good;
		form.added_inside = is_of_version(tag) ? 0 : tag;
		if (form.added_inside)
			assert_form_refused(&form);
	}
}

static void fields_of_another_size_are_refused(void **state)
{
	struct form form = good;

	for (size_t size = 0; size <= INDEX_PATH_SIZE + 1; size++) {
		form.path_hash_size = size;
		if (size != INDEX_PATH_SIZE)
			assert_form_refused(&form);
	}
	form = good;
	for (size_t size = 0; size <= ENTRY_KEY_SIZE + 1; size++) {
		form.wrapped_key_size = size;
		if (size != ENTRY_KEY_SIZE)
			assert_form_refused(&form);
	}
	for (size_t size = 0; size <= 9; size++) {
		form = good;
		form.number_size = size;
		if (size != 8)
			assert_form_refused(&form);
		form = good;
		form.place_size = size;
		if (size != 8)
			assert_form_refused(&form);
	}
}

/* Places are from 1 on, and below what SQLite can count to. */
static void a_place_that_no_value_can_have_is_refused(void **state)
{
	static const uint64_t refused[] = {
		(uint64_t)0 - 1, (uint64_t)0 - 2, STORE_PLACE_MAX, STORE_PLACE_MAX - 1, INT64_MAX};
	struct form form = good;

	for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
		form.place = refused[i];
		assert_form_refused(&form);
	}
}

static void versions_are_in_ascending_order_only(void **state)
{
	static const uint64_t refused[][2] = {{0, 1}, {1, 0}, {0, 0}, {1, 1}, {2, 1},
		{ENTRY_NUMBER_MAX, 1}, {ENTRY_NUMBER_MAX, ENTRY_NUMBER_MAX}, {ENTRY_NUMBER_MAX, 0},
		{1, (uint64_t)ENTRY_NUMBER_MAX + 1}, {1, UINT64_MAX}};
	CLEANUP(entry_drop) struct entry *entry = NULL;
	struct form form = good;

	for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
		memcpy(form.numbers, refused[i], sizeof form.numbers);
		assert_form_refused(&form);
	}
	form.numbers[0] = 1;
	form.numbers[1] = ENTRY_NUMBER_MAX;
	const struct record record = write_by_hand(&form);
	assert_int_equal(take(record.bytes, record.size, &entry), MORTISE_OK);
	assert_int_equal(entry->versions[1].number, ENTRY_NUMBER_MAX);
}

static void parts_that_are_not_in_order_make_no_entry(void **state)
{
	struct entry_parts parts = some_parts(3);
	const struct entry_version version = a_version(3);
	struct entry *entry = NULL;

	assert_int_equal(entry_parts_add(&parts, &version), MORTISE_OK);
	assert_int_not_equal(entry_new(NUMBER, &parts, &entry), MORTISE_OK);
	assert_null(entry);
}

static void versions_are_bounded(void **state)
{
	struct entry_parts parts = some_parts(ENTRY_VERSIONS_MAX);
	const struct entry_version version = a_version(5000);
	CLEANUP(entry_drop) struct entry *entry = an_entry(ENTRY_VERSIONS_MAX);
	static uint8_t record[STORE_RECORD_MAX];
	struct wire_writer writer;

	assert_says(entry, &parts);
	assert_int_equal(entry_parts_add(&parts, &version), MORTISE_CONFLICT);
	assert_int_equal(parts.version_count, ENTRY_VERSIONS_MAX);
	wire_begin(&writer, record, sizeof record, RECORD_SECRET, 0);
	size_t list = wire_list_begin(&writer, RECORD_TAG_ITEMS);
	for (uint64_t number = 1; number <= ENTRY_VERSIONS_MAX + 1; number++) {
		size_t item = wire_item_begin(&writer);
		put_version(&writer, &good, number);
		wire_item_end(&writer, item);
	}
	wire_list_end(&writer, list);
	wire_put(&writer, RECORD_TAG_HEAD, bytes, 30);
	wire_put(&writer, RECORD_TAG_PATH_HASH, path_hash, INDEX_PATH_SIZE);
	size_t size = wire_finish(&writer);
	assert_int_not_equal(size, 0);
	assert_refused(record, size);
}

static void a_record_that_is_cut_anywhere_is_refused(void **state)
{
	const struct record whole = write_by_hand(&good);

	for (size_t size = 0; size < whole.size; size++) {
		struct record record = whole;
		assert_refused(record.bytes, size);
		record.size = size;
		if (size >= WIRE_HEADER_SIZE) {
			correct_size(&record);
			assert_refused(record.bytes, record.size);
		}
	}
}

static void a_record_with_a_byte_more_is_refused(void **state)
{
	for (unsigned byte = 0; byte < 256; byte++) {
		struct record record = write_by_hand(&good);
		record.bytes[record.size++] = (uint8_t)byte;
		assert_refused(record.bytes, record.size);
		correct_size(&record);
		assert_refused(record.bytes, record.size);
	}
}

/* But where a version ends: then there are so many, and each is whole. */
static void a_list_of_versions_that_is_cut_is_refused(void **state)
{
	const struct record whole = write_by_hand(&good);
	struct wire_message message;

	assert_int_equal(wire_parse(whole.bytes, whole.size, &message), MORTISE_OK);
	const struct wire_field *list = wire_field_of(&message, RECORD_TAG_ITEMS);
	for (size_t size = 0; size <= list->size; size++) {
		CLEANUP(entry_drop) struct entry *entry = NULL;
		const struct record record = write_list(list->bytes, size);
		enum mortise_status status = take(record.bytes, record.size, &entry);
		bool is_whole = size == 0 || size == list->size / 2 || size == list->size;
		assert_int_equal(status, is_whole ? MORTISE_OK : MORTISE_INTEGRITY);
		assert_int_equal(entry != NULL, is_whole);
		if (entry)
			assert_int_equal(entry->version_count, 2 * size / list->size);
	}
}

/* The first version is cut or is longer than it is, and its size says so. */
static void a_version_that_is_cut_or_longer_is_refused(void **state)
{
	const struct record whole = write_by_hand(&good);
	struct wire_message message;
	uint8_t list[BUFFER_SIZE];

	assert_int_equal(wire_parse(whole.bytes, whole.size, &message), MORTISE_OK);
	const struct wire_field *items = wire_field_of(&message, RECORD_TAG_ITEMS);
	size_t item_size = items->size / 2 - 4;
	memcpy(list, items->bytes, items->size);
	for (size_t size = 0; size <= item_size + 1; size++) {
		le32_put(list, (uint32_t)size);
		const struct record record = write_list(list, 4 + size);
		if (size != item_size)
			assert_refused(record.bytes, record.size);
	}
}

static void a_record_of_nothing_is_refused(void **state)
{
	struct wire_writer writer;
	struct record record;

	assert_refused(bytes, 0);
	assert_refused(bytes, 1000);
	wire_begin(&writer, record.bytes, sizeof record.bytes, RECORD_SECRET, 0);
	record.size = wire_finish(&writer);
	assert_int_equal(record.size, WIRE_HEADER_SIZE);
	assert_refused(record.bytes, record.size);
}

static void a_record_is_as_large_as_the_store_takes_and_no_larger(void **state)
{
	struct entry_parts parts = {.head = {bytes, 0}};
	CLEANUP(entry_drop) struct entry *least = NULL;
	CLEANUP(entry_drop) struct entry *largest = NULL;
	struct entry *never = NULL;

	assert_int_equal(entry_new(NUMBER, &parts, &least), MORTISE_OK);
	parts.head.size = STORE_RECORD_MAX - least->record_size;
	assert_int_equal(entry_new(NUMBER, &parts, &largest), MORTISE_OK);
	assert_int_equal(largest->record_size, STORE_RECORD_MAX);
	assert_says(largest, &parts);
	parts.head.size++;
	assert_int_equal(entry_new(NUMBER, &parts, &never), MORTISE_INVALID);
	parts = some_parts(2);
	parts.versions[1].info.size = STORE_RECORD_MAX;
	assert_int_equal(entry_new(NUMBER, &parts, &never), MORTISE_INVALID);
	assert_null(never);
}

static void a_head_that_no_record_can_have_is_refused(void **state)
{
	uint8_t *head = calloc(1, WIRE_RECORD_MAX + 1);
	const struct entry_parts parts = {.head = {head, WIRE_RECORD_MAX + 1}};
	struct entry *entry = NULL;

	assert_non_null(head);
	assert_int_equal(entry_new(NUMBER, &parts, &entry), MORTISE_INVALID);
	assert_null(entry);
	free(head);
}

/* ---- holders, versions and parts ---- */

static void an_entry_is_there_until_its_last_holder_drops_it(void **state)
{
	struct entry *entry = an_entry(2);
	struct entry *first = entry_hold(entry), *second = entry_hold(entry);

	assert_ptr_equal(first, entry);
	assert_int_equal(entry->holders, 3);
	entry_drop(&first);
	assert_null(first);
	assert_int_equal(entry->holders, 2);
	entry_drop(&entry);
	assert_null(entry);
	assert_int_equal(second->holders, 1);
	assert_memory_equal(second->head.bytes, bytes, 30);
	entry_drop(&second);
	assert_null(second);
	entry_drop(&second);
}

static void a_version_is_found_by_its_number(void **state)
{
	struct entry_parts parts = some_parts(3);
	CLEANUP(entry_drop) struct entry *entry = NULL;

	entry_parts_remove(&parts, 1);
	assert_int_equal(entry_new(NUMBER, &parts, &entry), MORTISE_OK);
	assert_ptr_equal(entry_version(entry, 1), &entry->versions[0]);
	assert_ptr_equal(entry_version(entry, 3), &entry->versions[1]);
	assert_null(entry_version(entry, 0));
	assert_null(entry_version(entry, 2));
	assert_null(entry_version(entry, 4));
	assert_null(entry_version(entry, UINT64_MAX));
}

static void a_secret_without_versions_has_none_of_any_number(void **state)
{
	CLEANUP(entry_drop) struct entry *entry = an_entry(0);

	assert_null(entry_version(entry, 0));
	assert_null(entry_version(entry, 1));
}

static void a_value_stands_where_its_version_says(void **state)
{
	CLEANUP(entry_drop) struct entry *entry = an_entry(3);
	const struct store_place place = entry_place(entry, entry_version(entry, 2));

	assert_int_equal(place.place, 102);
	assert_int_equal(place.secret, NUMBER);
	assert_int_equal(place.version, 2);
}

static void parts_are_the_entrys_and_their_list_is_of_its_own(void **state)
{
	CLEANUP(entry_drop) struct entry *entry = an_entry(3);
	const struct entry_parts before = some_parts(3);
	struct entry_parts parts;

	entry_part(entry, &parts);
	assert_says(entry, &parts);
	assert_ptr_equal(parts.head.bytes, entry->head.bytes);
	assert_ptr_equal(parts.versions[2].wrapped_key, entry->versions[2].wrapped_key);
	entry_parts_remove(&parts, 0);
	parts.path_hash[0] ^= 1;
	parts.head.size = 0;
	assert_says(entry, &before);
}

static void parts_are_removed_from_any_position(void **state)
{
	static const uint64_t left[3][2] = {{2, 3}, {1, 3}, {1, 2}};
	const struct entry_version more = a_version(9);

	for (size_t position = 0; position < 3; position++) {
		struct entry_parts parts = some_parts(3);
		entry_parts_remove(&parts, position);
		assert_int_equal(parts.version_count, 2);
		assert_int_equal(parts.versions[0].number, left[position][0]);
		assert_int_equal(parts.versions[1].number, left[position][1]);
		assert_int_equal(entry_parts_add(&parts, &more), MORTISE_OK);
		assert_int_equal(parts.versions[2].number, 9);
		entry_parts_remove(&parts, 2);
		entry_parts_remove(&parts, 0);
		entry_parts_remove(&parts, 0);
		assert_int_equal(parts.version_count, 0);
	}
}

static void nothing_can_be_dropped(void **state)
{
	struct entry *none = NULL;

	entry_drop(&none);
	assert_null(none);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_known_of_each_version_stays_in_what_is_made_of_it),
		cmocka_unit_test(what_was_put_together_is_what_is_taken_apart),
		cmocka_unit_test(a_secret_may_have_no_version_and_an_empty_head),
		cmocka_unit_test(a_record_has_the_form_that_is_written_down),
		cmocka_unit_test(what_the_head_says_is_not_known_at_first),
		cmocka_unit_test(the_size_of_an_entry_is_that_of_its_record_and_more),
		cmocka_unit_test(a_record_of_another_code_version_or_request_is_refused),
		cmocka_unit_test(a_record_without_one_of_its_fields_is_refused),
		cmocka_unit_test(a_record_with_any_other_field_is_refused),
		cmocka_unit_test(fields_of_another_size_are_refused),
		cmocka_unit_test(a_place_that_no_value_can_have_is_refused),
		cmocka_unit_test(versions_are_in_ascending_order_only),
		cmocka_unit_test(parts_that_are_not_in_order_make_no_entry),
		cmocka_unit_test(versions_are_bounded),
		cmocka_unit_test(a_record_that_is_cut_anywhere_is_refused),
		cmocka_unit_test(a_record_with_a_byte_more_is_refused),
		cmocka_unit_test(a_list_of_versions_that_is_cut_is_refused),
		cmocka_unit_test(a_version_that_is_cut_or_longer_is_refused),
		cmocka_unit_test(a_record_of_nothing_is_refused),
		cmocka_unit_test(a_record_is_as_large_as_the_store_takes_and_no_larger),
		cmocka_unit_test(a_head_that_no_record_can_have_is_refused),
		cmocka_unit_test(an_entry_is_there_until_its_last_holder_drops_it),
		cmocka_unit_test(a_version_is_found_by_its_number),
		cmocka_unit_test(a_secret_without_versions_has_none_of_any_number),
		cmocka_unit_test(a_value_stands_where_its_version_says),
		cmocka_unit_test(parts_are_the_entrys_and_their_list_is_of_its_own),
		cmocka_unit_test(parts_are_removed_from_any_position),
		cmocka_unit_test(nothing_can_be_dropped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
