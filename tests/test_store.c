/* SPDX-License-Identifier: ISC */
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "store_db.h"
#include "vault_fixture.h"

#define EPOCH 7
#define LAST  200
static const struct store_meta meta_a = {{6}, EPOCH, 8, LAST, {9}};

/* Where the rows of odd epochs begin, as SQL has it. */
#define ODD "4611686018427387904"

/* The value of a version of secret 1, which is put at the place with the version's number. */
static struct store_place at(uint64_t version)
{
	return (struct store_place){version, 1, version};
}

static enum mortise_status put(struct store *store, uint64_t version, struct store_bytes value)
{
	const struct store_place place = at(version);

	return store_put_value(store, &place, value);
}

static enum mortise_status get(
	struct store *store, const struct store_place *place, uint8_t **out_bytes)
{
	size_t size = 0;

	TRY(store_value(store, place, out_bytes, &size));
	assert_int_equal(size, 5);
	return MORTISE_OK;
}

static int set_up_store(void **state)
{
	if (set_up(state) != 0)
		return -1;
	struct fixture *fixture = *state;
	return store_open(fixture->directory, &fixture->store) == MORTISE_OK ? 0 : -1;
}

static enum mortise_status open_again(struct fixture *fixture)
{
	store_close(fixture->store);
	fixture->store = NULL;
	return store_open(fixture->directory, &fixture->store);
}

/* From now on the store is at this epoch. */
static void go_to(struct store *store, uint64_t epoch)
{
	struct store_meta meta = meta_a;

	meta.epoch = epoch;
	assert_int_equal(store_begin(store), MORTISE_OK);
	assert_int_equal(store_put_meta(store, &meta), MORTISE_OK);
	assert_int_equal(store_commit(store), MORTISE_OK);
}

static void put_two_secrets(struct store *store)
{
	assert_int_equal(store_begin(store), MORTISE_OK);
	assert_int_equal(store_put_meta(store, &meta_a), MORTISE_OK);
	assert_int_equal(store_put_item(store, EPOCH, STORE_SLOT, 1, bytes_of("slot")), MORTISE_OK);
	assert_int_equal(store_put_secret(store, EPOCH, LAST, bytes_of("record b")), MORTISE_OK);
	assert_int_equal(store_put_secret(store, EPOCH, 1, bytes_of("record a")), MORTISE_OK);
	for (uint64_t version = 2; version > 0; version--)
		assert_int_equal(put(store, version, bytes_of("value")), MORTISE_OK);
	assert_int_equal(store_commit(store), MORTISE_OK);
}

/* Counts visits; refuses the one after `allowed`. */
struct count {
	unsigned visits, allowed;
	uint64_t last_kind, last_number;
};

static enum mortise_status count_visit(struct count *count, uint64_t kind, uint64_t number)
{
	if (count->visits == count->allowed)
		return MORTISE_CONFLICT;
	if (count->visits++)
		assert_true(kind > count->last_kind || number > count->last_number);
	count->last_kind = kind;
	count->last_number = number;
	return MORTISE_OK;
}

static enum mortise_status count_item(
	void *context, enum store_item kind, uint64_t number, struct store_bytes body)
{
	return count_visit(context, kind, number);
}

static enum mortise_status count_secret(void *context, uint64_t number, struct store_bytes record)
{
	assert_int_equal(record.size, 8);
	assert_memory_equal(record.bytes, number == 1 ? "record a" : "record b", 8);
	return count_visit(context, 0, number);
}

static unsigned secrets_after(struct store *store, uint64_t after, uint64_t limit)
{
	struct count count = {.allowed = 100};

	assert_int_equal(store_each_secret(store, after, limit, count_secret, &count), MORTISE_OK);
	return count.visits;
}

static unsigned all_secrets(struct store *store)
{
	return secrets_after(store, 0, STORE_NUMBER_MAX);
}

static unsigned all_items(struct store *store)
{
	struct count count = {.allowed = 100};

	assert_int_equal(store_each_item(store, count_item, &count), MORTISE_OK);
	return count.visits;
}

static unsigned all_values(struct store *store)
{
	static struct store_place places[10000];
	unsigned count = 0;

	assert_int_equal(store_next_values(store, 0, 10000, places, &count), MORTISE_OK);
	return count;
}

static bool has_leftovers(struct store *store)
{
	bool has = false;

	assert_int_equal(store_has_leftovers(store, &has), MORTISE_OK);
	return has;
}

static void a_new_store_is_empty_and_private(void **state)
{
	struct fixture *fixture = *state;
	struct store_meta meta;
	struct stat status;

	assert_int_equal(store_meta(fixture->store, &meta), MORTISE_NOT_FOUND);
	assert_int_equal(all_items(fixture->store), 0);
	assert_int_equal(all_secrets(fixture->store), 0);
	assert_int_equal(all_values(fixture->store), 0);
	assert_int_equal(store_last_place(fixture->store), 0);
	assert_false(has_leftovers(fixture->store));
	assert_int_equal(stat(fixture->path, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0600);
}

static void the_mask_of_the_process_stays_as_it_was(void **state)
{
	mode_t before = umask(022);

	assert_int_equal(open_again(*state), MORTISE_OK);
	assert_int_equal(umask(before), 022);
}

static void what_was_committed_is_there_after_reopening(void **state)
{
	struct fixture *fixture = *state;
	const struct store_place place = at(2);
	struct store_meta meta;
	uint8_t *bytes = NULL;
	size_t size = 0;

	put_two_secrets(fixture->store);
	assert_int_equal(open_again(fixture), MORTISE_OK);
	assert_int_equal(store_meta(fixture->store, &meta), MORTISE_OK);
	assert_memory_equal(meta.uuid, meta_a.uuid, STORE_ID_SIZE);
	assert_memory_equal(meta.tally, meta_a.tally, STORE_HASH_SIZE);
	assert_int_equal(meta.epoch, EPOCH);
	assert_int_equal(meta.generation, 8);
	assert_int_equal(meta.last, LAST);
	assert_int_equal(get(fixture->store, &place, &bytes), MORTISE_OK);
	assert_memory_equal(bytes, "value", 5);
	free(bytes);
	assert_int_equal(store_item(fixture->store, STORE_SLOT, 1, &bytes, &size), MORTISE_OK);
	assert_int_equal(size, 4);
	assert_memory_equal(bytes, "slot", 4);
	free(bytes);
	assert_int_equal(store_secret(fixture->store, EPOCH, LAST, &bytes, &size), MORTISE_OK);
	assert_int_equal(size, 8);
	assert_memory_equal(bytes, "record b", 8);
	free(bytes);
}

static void what_was_rolled_back_is_not_there(void **state)
{
	struct fixture *fixture = *state;
	struct store_meta meta;

	assert_int_equal(store_begin(fixture->store), MORTISE_OK);
	assert_int_equal(store_put_meta(fixture->store, &meta_a), MORTISE_OK);
	store_rollback(fixture->store);
	store_rollback(fixture->store);
	assert_int_equal(store_meta(fixture->store, &meta), MORTISE_NOT_FOUND);
}

static void what_was_not_committed_is_gone_after_reopening(void **state)
{
	struct fixture *fixture = *state;
	struct store_meta meta;

	assert_int_equal(store_begin(fixture->store), MORTISE_OK);
	assert_int_equal(store_put_meta(fixture->store, &meta_a), MORTISE_OK);
	assert_int_equal(open_again(fixture), MORTISE_OK);
	assert_int_equal(store_meta(fixture->store, &meta), MORTISE_NOT_FOUND);
}

static void secrets_come_by_number_from_any_on_and_in_portions(void **state)
{
	struct store *store = ((struct fixture *)*state)->store;

	put_two_secrets(store);
	assert_int_equal(all_secrets(store), 2);
	assert_int_equal(secrets_after(store, 0, 2), 2);
	assert_int_equal(secrets_after(store, 0, 1), 1);
	assert_int_equal(secrets_after(store, 0, 0), 0);
	assert_int_equal(secrets_after(store, 1, 2), 1);
	assert_int_equal(secrets_after(store, LAST - 1, 2), 1);
	assert_int_equal(secrets_after(store, LAST, 2), 0);
	assert_int_equal(secrets_after(store, STORE_NUMBER_MAX, 2), 0);
}

/* A cursor is whatever a client sends. */
static void a_walk_from_behind_all_numbers_sees_no_other_half(void **state)
{
	static const uint64_t behind[] = {
		STORE_NUMBER_MAX + 1, UINT64_C(1) << 62, UINT64_C(1) << 63, UINT64_MAX};
	struct store *store = ((struct fixture *)*state)->store;

	put_two_secrets(store);
	assert_int_equal(store_put_secret(store, EPOCH + 1, 1, bytes_of("record a")), MORTISE_OK);
	for (uint64_t epoch = EPOCH - 1; epoch <= EPOCH + 1; epoch++) {
		go_to(store, epoch);
		for (size_t i = 0; i < sizeof behind / sizeof behind[0]; i++)
			assert_int_equal(secrets_after(store, behind[i], 2), 0);
	}
}

static void the_first_and_the_last_number_are_in_their_half_and_no_more_are(void **state)
{
	struct store *store = ((struct fixture *)*state)->store;
	uint8_t *bytes = NULL;
	size_t size = 0;

	for (uint64_t epoch = EPOCH - 1; epoch <= EPOCH; epoch++) {
		go_to(store, epoch);
		assert_int_equal(all_secrets(store), 0);
		assert_int_equal(
			store_put_secret(store, epoch, 0, bytes_of("none")), MORTISE_INVALID);
		assert_int_equal(
			store_put_secret(store, epoch, STORE_NUMBER_MAX + 1, bytes_of("none")),
			MORTISE_INVALID);
		assert_int_equal(
			store_put_secret(store, epoch, 1, bytes_of("record a")), MORTISE_OK);
		assert_int_equal(
			store_put_secret(store, epoch, STORE_NUMBER_MAX, bytes_of("record b")),
			MORTISE_OK);
		assert_int_equal(all_secrets(store), 2);
		assert_int_equal(secrets_after(store, STORE_NUMBER_MAX - 1, 2), 1);
		assert_int_equal(
			store_secret(store, epoch, STORE_NUMBER_MAX, &bytes, &size), MORTISE_OK);
		assert_memory_equal(bytes, "record b", 8);
		free(bytes);
	}
}

static void a_visit_that_fails_ends_the_walk_with_its_status(void **state)
{
	struct fixture *fixture = *state;
	struct count count = {.allowed = 1};

	put_two_secrets(fixture->store);
	assert_int_equal(
		store_each_secret(fixture->store, 0, STORE_NUMBER_MAX, count_secret, &count),
		MORTISE_CONFLICT);
	assert_int_equal(count.visits, 1);
	assert_int_equal(all_secrets(fixture->store), 2);
}

static void an_item_is_replaced_and_deleted(void **state)
{
	struct store *store = ((struct fixture *)*state)->store;
	uint8_t *bytes = NULL;
	size_t size = 0;

	assert_int_equal(store_put_item(store, 1, STORE_POLICY, 1, bytes_of("old")), MORTISE_OK);
	assert_int_equal(store_put_item(store, 1, STORE_POLICY, 1, bytes_of("newer")), MORTISE_OK);
	assert_int_equal(store_item(store, STORE_POLICY, 1, &bytes, &size), MORTISE_OK);
	assert_int_equal(size, 5);
	free(bytes);
	bytes = NULL;
	assert_int_equal(store_delete_item(store, 1, STORE_POLICY, 1), MORTISE_OK);
	assert_int_equal(store_item(store, STORE_POLICY, 1, &bytes, &size), MORTISE_NOT_FOUND);
	assert_null(bytes);
}

static void a_secret_is_replaced_and_deleted(void **state)
{
	struct store *store = ((struct fixture *)*state)->store;
	uint8_t *bytes = NULL;
	size_t size = 0;

	assert_int_equal(store_put_secret(store, 1, 5, bytes_of("record, old")), MORTISE_OK);
	assert_int_equal(store_put_secret(store, 1, 5, bytes_of("record b")), MORTISE_OK);
	assert_int_equal(all_secrets(store), 1);
	assert_int_equal(store_secret(store, 1, 5, &bytes, &size), MORTISE_OK);
	assert_int_equal(size, 8);
	assert_memory_equal(bytes, "record b", 8);
	free(bytes);
	bytes = NULL;
	for (unsigned pass = 0; pass < 2; pass++) {
		assert_int_equal(store_delete_secret(store, 1, 5), MORTISE_OK);
		assert_int_equal(store_secret(store, 1, 5, &bytes, &size), MORTISE_NOT_FOUND);
	}
	assert_null(bytes);
	assert_int_equal(all_secrets(store), 0);
}

static void an_item_or_record_that_is_too_large_is_refused(void **state)
{
	struct store *store = ((struct fixture *)*state)->store;
	const struct store_bytes item = {(const uint8_t *)"", STORE_ITEM_MAX + 1};
	const struct store_bytes record = {(const uint8_t *)"", STORE_RECORD_MAX + 1};

	assert_int_equal(store_put_item(store, 1, STORE_POLICY, 1, item), MORTISE_INVALID);
	assert_int_equal(store_put_secret(store, 1, 1, record), MORTISE_INVALID);
}

static void the_largest_record_is_taken_and_read(void **state)
{
	static uint8_t large[STORE_RECORD_MAX];
	struct store *store = ((struct fixture *)*state)->store;
	uint8_t *bytes = NULL;
	size_t size = 0;

	large[STORE_RECORD_MAX - 1] = 7;
	assert_int_equal(store_put_secret(store, 1, 1, (struct store_bytes){large, sizeof large}),
		MORTISE_OK);
	assert_int_equal(store_secret(store, 1, 1, &bytes, &size), MORTISE_OK);
	assert_int_equal(size, STORE_RECORD_MAX);
	assert_int_equal(bytes[STORE_RECORD_MAX - 1], 7);
	free(bytes);
}

static void a_value_is_never_replaced(void **state)
{
	struct fixture *fixture = *state;
	struct store *store = fixture->store;
	const struct store_place place = at(2), others = {2, LAST, 1};
	uint8_t *bytes = NULL;

	put_two_secrets(store);
	assert_int_equal(store_begin(store), MORTISE_OK);
	assert_int_equal(put(store, 2, bytes_of("other")), MORTISE_INTEGRITY);
	assert_int_equal(store_put_value(store, &others, bytes_of("other")), MORTISE_INTEGRITY);
	store_rollback(store);
	assert_int_equal(get(store, &place, &bytes), MORTISE_OK);
	assert_memory_equal(bytes, "value", 5);
	free(bytes);
}

static void a_deleted_value_is_gone(void **state)
{
	struct store *store = ((struct fixture *)*state)->store;
	const struct store_place place = at(1);
	uint8_t *bytes = NULL;

	put_two_secrets(store);
	for (unsigned pass = 0; pass < 2; pass++) {
		assert_int_equal(store_delete_value(store, &place), MORTISE_OK);
		assert_int_equal(get(store, &place, &bytes), MORTISE_INTEGRITY);
	}
	assert_null(bytes);
	assert_int_equal(all_values(store), 1);
}

static void a_value_is_neither_found_nor_deleted_as_anothers(void **state)
{
	static const struct store_place wrong[] = {{2, 1, 1}, {1, 2, 1}, {1, 1, 2}, {3, 1, 1}};
	struct store *store = ((struct fixture *)*state)->store;
	uint8_t *bytes = NULL;

	put_two_secrets(store);
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		assert_int_equal(get(store, &wrong[i], &bytes), MORTISE_INTEGRITY);
		assert_int_equal(store_delete_value(store, &wrong[i]), MORTISE_OK);
		assert_int_equal(all_values(store), 2);
	}
	assert_null(bytes);
}

static void a_new_place_is_behind_all_others(void **state)
{
	struct fixture *fixture = *state;
	uint64_t place = 0;

	assert_int_equal(store_new_place(fixture->store, &place), MORTISE_OK);
	assert_int_equal(place, 1);
	assert_int_equal(store_last_place(fixture->store), 1);
	put_two_secrets(fixture->store);
	assert_int_equal(open_again(fixture), MORTISE_OK);
	assert_int_equal(store_last_place(fixture->store), 2);
	for (uint64_t expected = 3; expected < 6; expected++) {
		assert_int_equal(store_new_place(fixture->store, &place), MORTISE_OK);
		assert_int_equal(place, expected);
	}
	assert_int_equal(store_last_place(fixture->store), 5);
	assert_int_equal(put(fixture->store, 5, bytes_of("value")), MORTISE_OK);
	store_shut(fixture->store);
	assert_int_equal(store_reopen(fixture->store), MORTISE_OK);
	assert_int_equal(store_last_place(fixture->store), 5);
}

static void behind_the_last_place_there_is_no_other(void **state)
{
	struct fixture *fixture = *state;
	uint64_t place = 34;

	edit(fixture, "INSERT INTO value VALUES(4611686018427387902, 1, 1, x'00')");
	assert_int_equal(store_open(fixture->directory, &fixture->store), MORTISE_OK);
	assert_int_equal(store_new_place(fixture->store, &place), MORTISE_OK);
	assert_int_equal(place, STORE_PLACE_MAX);
	assert_int_equal(store_new_place(fixture->store, &place), MORTISE_INTEGRITY);
	edit(fixture, "INSERT INTO value VALUES(9223372036854775807, 1, 1, x'00')");
	assert_int_equal(store_open(fixture->directory, &fixture->store), MORTISE_OK);
	assert_int_equal(store_new_place(fixture->store, &place), MORTISE_INTEGRITY);
	assert_int_equal(place, STORE_PLACE_MAX);
}

/* An edited file: no place of ours, so that no other is behind it. */
static void a_value_before_the_first_place_is_in_nobodys_way(void **state)
{
	struct fixture *fixture = *state;
	uint64_t place = 0;

	edit(fixture, "INSERT INTO value VALUES(-1, 1, 1, x'00')");
	assert_int_equal(store_open(fixture->directory, &fixture->store), MORTISE_OK);
	assert_int_equal(store_new_place(fixture->store, &place), MORTISE_OK);
	assert_int_equal(place, 1);
}

static unsigned sweep(struct store *store)
{
	unsigned swept = 0, count = 1;

	for (; count; swept += count)
		assert_int_equal(store_sweep(store, 1, &count), MORTISE_OK);
	return swept;
}

static void rows_of_another_epoch_are_not_seen_until_it_is_the_store_s(void **state)
{
	struct fixture *fixture = *state;
	uint8_t *bytes = NULL;
	size_t size = 0;

	put_two_secrets(fixture->store);
	assert_false(has_leftovers(fixture->store));
	assert_int_equal(
		store_put_secret(fixture->store, EPOCH + 1, 1, bytes_of("record a")), MORTISE_OK);
	assert_int_equal(
		store_put_item(fixture->store, EPOCH + 1, STORE_POLICY, 1, bytes_of("policy")),
		MORTISE_OK);
	assert_int_equal(open_again(fixture), MORTISE_OK);
	assert_true(has_leftovers(fixture->store));
	assert_int_equal(all_secrets(fixture->store), 2);
	assert_int_equal(all_items(fixture->store), 1);
	assert_int_equal(
		store_item(fixture->store, STORE_POLICY, 1, &bytes, &size), MORTISE_NOT_FOUND);
	go_to(fixture->store, EPOCH + 1);
	assert_int_equal(all_secrets(fixture->store), 1);
	assert_int_equal(all_items(fixture->store), 1);
	assert_int_equal(
		store_item(fixture->store, STORE_SLOT, 1, &bytes, &size), MORTISE_NOT_FOUND);
	assert_null(bytes);
	assert_int_equal(sweep(fixture->store), 3);
	assert_false(has_leftovers(fixture->store));
	assert_int_equal(all_secrets(fixture->store), 1);
	assert_int_equal(all_items(fixture->store), 1);
	assert_int_equal(all_values(fixture->store), 2);
}

static void an_epoch_that_was_rolled_back_is_not_the_store_s(void **state)
{
	struct store *store = ((struct fixture *)*state)->store;
	struct store_meta meta = meta_a;

	put_two_secrets(store);
	meta.epoch++;
	assert_int_equal(store_begin(store), MORTISE_OK);
	assert_int_equal(store_put_meta(store, &meta), MORTISE_OK);
	assert_int_equal(all_secrets(store), 2);
	store_rollback(store);
	assert_int_equal(store_begin(store), MORTISE_OK);
	assert_int_equal(store_commit(store), MORTISE_OK);
	assert_int_equal(all_secrets(store), 2);
	assert_int_equal(all_items(store), 1);
	assert_false(has_leftovers(store));
}

static void a_secret_of_the_other_half_is_another_one(void **state)
{
	struct store *store = ((struct fixture *)*state)->store;
	uint8_t *bytes = NULL;
	size_t size = 0;

	put_two_secrets(store);
	assert_int_equal(store_secret(store, EPOCH + 1, 1, &bytes, &size), MORTISE_NOT_FOUND);
	assert_int_equal(store_put_secret(store, EPOCH + 1, 1, bytes_of("another")), MORTISE_OK);
	assert_int_equal(all_secrets(store), 2);
	/* Two epochs that are next to one that is between them share their half. */
	assert_int_equal(store_secret(store, EPOCH - 1, 1, &bytes, &size), MORTISE_OK);
	assert_int_equal(size, 7);
	free(bytes);
	bytes = NULL;
	assert_int_equal(store_delete_secret(store, EPOCH - 1, 1), MORTISE_OK);
	assert_int_equal(store_secret(store, EPOCH + 1, 1, &bytes, &size), MORTISE_NOT_FOUND);
	assert_null(bytes);
	assert_int_equal(all_secrets(store), 2);
	assert_false(has_leftovers(store));
}

/* Of an edited file: before, between and behind the halves. */
static void rows_of_no_half_are_not_seen_and_are_swept(void **state)
{
	static const char *const numbers[] = {"(-9223372036854775807-1)", "-1", "0", "1",
		"1099511627775", "1099511627776", ODD "-1", ODD, ODD "+1099511627776",
		"9223372036854775807"};
	struct fixture *fixture = *state;
	char text[128];

	put_two_secrets(fixture->store);
	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
		snprintf(text, sizeof text, "INSERT INTO secret VALUES(%s, x'00')", numbers[i]);
		edit(fixture, text);
		assert_int_equal(store_open(fixture->directory, &fixture->store), MORTISE_OK);
		assert_true(has_leftovers(fixture->store));
		assert_int_equal(all_secrets(fixture->store), 2);
		assert_int_equal(sweep(fixture->store), 1);
		assert_false(has_leftovers(fixture->store));
		assert_int_equal(all_secrets(fixture->store), 2);
	}
}

static void values_are_walked_in_portions(void **state)
{
	struct fixture *fixture = *state;
	struct store_place places[2] = {{0, 0, 0}};
	unsigned count = 34;

	put_two_secrets(fixture->store);
	assert_int_equal(store_next_values(fixture->store, 0, 0, places, &count), MORTISE_OK);
	assert_int_equal(count, 0);
	assert_int_equal(store_next_values(fixture->store, 0, 1, places, &count), MORTISE_OK);
	assert_int_equal(count, 1);
	assert_int_equal(places[0].place, 1);
	assert_int_equal(places[0].secret, 1);
	assert_int_equal(places[0].version, 1);
	assert_int_equal(store_next_values(fixture->store, 1, 2, places, &count), MORTISE_OK);
	assert_int_equal(count, 1);
	assert_int_equal(places[0].place, 2);
	assert_int_equal(places[0].version, 2);
	assert_int_equal(store_next_values(fixture->store, 2, 2, places, &count), MORTISE_OK);
	assert_int_equal(count, 0);
}

/* What was in it beyond that, and what is kept of it, is nowhere. */
static void of_a_large_log_four_mebibytes_are_kept_and_all_of_them_zeros(void **state)
{
	static uint8_t value[65536];
	struct fixture *fixture = *state;
	char path[96];
	struct stat status;

	memset(value, 'v', sizeof value);
	assert_int_equal(store_begin(fixture->store), MORTISE_OK);
	for (uint64_t number = 1; number <= 80; number++)
		assert_int_equal(
			put(fixture->store, number, (struct store_bytes){value, sizeof value}),
			MORTISE_OK);
	assert_int_equal(store_commit(fixture->store), MORTISE_OK);
	snprintf(path, sizeof path, "%s/store.db-wal", fixture->directory);
	assert_int_equal(stat(path, &status), 0);
	assert_true(status.st_size > 5 << 20);
	assert_int_equal(store_truncate_log(fixture->store), MORTISE_OK);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_size, 4 << 20);
	for (unsigned byte = 1; byte < 256; byte++) {
		const uint8_t one = (uint8_t)byte;
		assert_false(file_has(fixture, "-wal", &one, 1));
	}
}

static void count_pulse(void *context)
{
	++*(unsigned *)context;
}

static void whoever_reads_many_rows_is_heard_of(void **state)
{
	struct fixture *fixture = *state;
	struct store *store = fixture->store;
	unsigned pulses = 0;

	assert_int_equal(store_begin(store), MORTISE_OK);
	for (uint64_t number = 1; number <= 35; number++)
		assert_int_equal(store_put_secret(store, EPOCH, number,
					 bytes_of(number == 1 ? "record a" : "record b")),
			MORTISE_OK);
	assert_int_equal(store_commit(store), MORTISE_OK);
	(void)secrets_after(store, 0, STORE_NUMBER_MAX);
	assert_int_equal(pulses, 0);
	store_set_pulse(10, count_pulse, &pulses);
	assert_int_equal(secrets_after(store, 0, STORE_NUMBER_MAX), 35);
	assert_int_equal(pulses, 3);
	store_set_pulse(10, NULL, NULL);
	assert_int_equal(secrets_after(store, 0, STORE_NUMBER_MAX), 35);
	assert_int_equal(pulses, 3);
}

static void deleted_bytes_are_nowhere_on_disk_once_the_log_is_truncated(void **state)
{
	struct fixture *fixture = *state;
	const struct store_place place = at(1);
	const char canary[] = "the canary's ciphertext, which is to vanish";
	const char other[] = "a canary's row, which is to vanish as well";

	assert_int_equal(put(fixture->store, 1, bytes_of(canary)), MORTISE_OK);
	assert_int_equal(store_put_secret(fixture->store, 1, 1, bytes_of(other)), MORTISE_OK);
	assert_true(file_has(fixture, "-wal", canary, strlen(canary)));
	assert_true(file_has(fixture, "-wal", other, strlen(other)));
	assert_int_equal(store_delete_value(fixture->store, &place), MORTISE_OK);
	assert_int_equal(store_put_secret(fixture->store, 1, 1, bytes_of("short")), MORTISE_OK);
	assert_true(file_has(fixture, "-wal", canary, strlen(canary)));
	assert_int_equal(store_truncate_log(fixture->store), MORTISE_OK);
	assert_false(file_has(fixture, "-wal", canary, strlen(canary)));
	assert_false(file_has(fixture, "", canary, strlen(canary)));
	assert_false(file_has(fixture, "-wal", other, strlen(other)));
	assert_false(file_has(fixture, "", other, strlen(other)));
}

enum { ROWS = 6000, TO_GO = 3 }; /* every third is to go */

static const char to_go[] = "is to go", stays[] = "stays, here";

/* Anywhere among the others, and a second one just behind the first. */
static uint64_t scattered(unsigned i, unsigned which)
{
	return (((i + 1) * UINT64_C(0x9e3779b97f4a7c15)) >> 26) * 2 + which;
}

/* Of a size of its own. */
static void put_scattered(struct store *store, unsigned i, unsigned which)
{
	static char record[700];
	const char *text = i % TO_GO ? stays : to_go;

	for (size_t from = 0; from + strlen(text) < sizeof record; from += strlen(text))
		memcpy(record + from, text, strlen(text) + 1);
	assert_int_equal(store_put_secret(store, EPOCH, scattered(i, which),
				 (struct store_bytes){(const uint8_t *)record, 172 + i % 7 * 64}),
		MORTISE_OK);
}

/*
 * SQLite moves rows between pages when others come. What has been deleted then is in no page, and
 * in none that is written again from memory.
 */
static void of_rows_that_were_moved_no_copy_stays_and_none_comes_back(void **state)
{
	struct fixture *fixture = *state;
	struct store *store = fixture->store;

	put_two_secrets(store);
	assert_int_equal(store_begin(store), MORTISE_OK);
	for (unsigned i = 0; i < ROWS; i++)
		put_scattered(store, i, 1);
	assert_int_equal(store_commit(store), MORTISE_OK);
	assert_true(file_has(fixture, "-wal", to_go, strlen(to_go)));
	assert_int_equal(store_begin(store), MORTISE_OK);
	for (unsigned i = 0; i < ROWS; i += TO_GO)
		assert_int_equal(store_delete_secret(store, EPOCH, scattered(i, 1)), MORTISE_OK);
	assert_int_equal(store_commit(store), MORTISE_OK);
	assert_int_equal(store_truncate_log(store), MORTISE_OK);
	assert_true(file_has(fixture, "", stays, strlen(stays)));
	assert_false(file_has(fixture, "", to_go, strlen(to_go)));
	for (unsigned i = 0; i < ROWS; i++)
		if (i % TO_GO)
			put_scattered(store, i, 2);
	assert_true(file_has(fixture, "-wal", stays, strlen(stays)));
	assert_false(file_has(fixture, "-wal", to_go, strlen(to_go)));
	assert_int_equal(open_again(fixture), MORTISE_OK);
}

static void what_no_row_takes_of_the_file_is_counted(void **state)
{
	struct fixture *fixture = *state;
	struct store *store = fixture->store;
	uint64_t before = store_unused(store);

	assert_int_equal(store_begin(store), MORTISE_OK);
	for (unsigned i = 0; i < ROWS; i++)
		put_scattered(store, i, 1);
	assert_int_equal(store_commit(store), MORTISE_OK);
	assert_int_equal(store_unused(store), before);
	assert_int_equal(store_begin(store), MORTISE_OK);
	for (unsigned i = 0; i < ROWS; i++)
		assert_int_equal(store_delete_secret(store, EPOCH, scattered(i, 1)), MORTISE_OK);
	assert_int_equal(store_commit(store), MORTISE_OK);
	assert_true(store_unused(store) > ROWS * 100);
	store_shut(store);
	assert_int_equal(store_unused(store), 0);
}

/* Above, a page of a long value could be taken for another kind. */
static void it_has_less_pages_than_two_to_the_25th(void **state)
{
	struct fixture *fixture = *state;
	sqlite3_stmt *statement = NULL;

	assert_int_equal(sqlite3_prepare_v2(
				 fixture->store->db, "PRAGMA max_page_count", -1, &statement, NULL),
		SQLITE_OK);
	assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
	assert_int_equal(sqlite3_column_int64(statement, 0), (1 << 25) - 1);
	sqlite3_finalize(statement);
}

static void a_hold_is_kept_and_taken_back(void **state)
{
	struct fixture *fixture = *state;
	char word[STORE_HOLD_MAX];

	assert_int_equal(store_hold(fixture->store, word), MORTISE_OK);
	assert_string_equal(word, "");
	assert_int_equal(store_set_hold(fixture->store, "sealed"), MORTISE_OK);
	assert_int_equal(open_again(fixture), MORTISE_OK);
	assert_int_equal(store_hold(fixture->store, word), MORTISE_OK);
	assert_string_equal(word, "sealed");
	assert_int_equal(store_set_hold(fixture->store, ""), MORTISE_OK);
	assert_int_equal(store_hold(fixture->store, word), MORTISE_OK);
	assert_string_equal(word, "");
}

static void a_frozen_store_takes_no_write(void **state)
{
	struct fixture *fixture = *state;
	char word[STORE_HOLD_MAX];

	store_freeze(fixture->store, true);
	assert_int_equal(store_begin(fixture->store), MORTISE_CONFLICT);
	assert_int_equal(store_set_hold(fixture->store, "sealed"), MORTISE_CONFLICT);
	assert_int_equal(store_hold(fixture->store, word), MORTISE_OK);
	assert_string_equal(word, "");
	store_freeze(fixture->store, false);
	assert_int_equal(store_set_hold(fixture->store, "sealed"), MORTISE_OK);
	assert_int_equal(store_begin(fixture->store), MORTISE_OK);
}

static void a_hold_that_is_too_long_is_refused(void **state)
{
	struct fixture *fixture = *state;
	char word[STORE_HOLD_MAX] = "untouched", long_word[STORE_HOLD_MAX + 1] = "";

	memset(long_word, 'x', STORE_HOLD_MAX);
	assert_int_equal(store_set_hold(fixture->store, long_word), MORTISE_OK);
	assert_int_equal(store_hold(fixture->store, word), MORTISE_INTEGRITY);
	assert_string_equal(word, "untouched");
	long_word[STORE_HOLD_MAX - 1] = '\0';
	assert_int_equal(store_set_hold(fixture->store, long_word), MORTISE_OK);
	assert_int_equal(store_hold(fixture->store, word), MORTISE_OK);
	assert_string_equal(word, long_word);
}

/* Edits the closed store and says how it opens then. */
static enum mortise_status open_after(struct fixture *fixture, const char *text)
{
	struct store *store = NULL;

	edit(fixture, text);
	enum mortise_status status = store_open(fixture->directory, &store);
	if (status != MORTISE_OK)
		assert_null(store);
	store_close(store);
	return status;
}

static void a_store_of_another_format_is_rejected(void **state)
{
	assert_int_equal(open_after(*state, "ALTER TABLE item DROP COLUMN body;"
					    "INSERT INTO meta VALUES(1, 1, x'', 1, 1, 0, x'')"),
		MORTISE_REJECTED);
}

/* As the last release made one. */
#define FORMAT_2                                                                                   \
	"DROP TABLE item; DROP TABLE meta; DROP TABLE secret; DROP TABLE value;"                   \
	"CREATE TABLE item(epoch INTEGER NOT NULL, kind INTEGER NOT NULL, "                        \
	"number INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY(epoch, kind, number)) STRICT, "  \
	"WITHOUT ROWID;"                                                                           \
	"CREATE TABLE meta(id INTEGER PRIMARY KEY CHECK(id=1), format INTEGER NOT NULL, "          \
	"uuid BLOB NOT NULL, epoch INTEGER NOT NULL, generation INTEGER NOT NULL, "                \
	"tally BLOB NOT NULL) STRICT;"                                                             \
	"CREATE TABLE secret(epoch INTEGER NOT NULL, id BLOB NOT NULL, path_hash BLOB NOT NULL, "  \
	"head BLOB NOT NULL, PRIMARY KEY(epoch, id), UNIQUE(epoch, path_hash)) STRICT, "           \
	"WITHOUT ROWID;"                                                                           \
	"CREATE TABLE value(secret BLOB NOT NULL, number INTEGER NOT NULL, "                       \
	"epoch INTEGER NOT NULL, bytes BLOB NOT NULL, PRIMARY KEY(secret, number, epoch)) STRICT;" \
	"CREATE TABLE version(epoch INTEGER NOT NULL, secret BLOB NOT NULL, "                      \
	"number INTEGER NOT NULL, value_epoch INTEGER NOT NULL, key BLOB NOT NULL, "               \
	"info BLOB NOT NULL, PRIMARY KEY(epoch, secret, number)) STRICT, WITHOUT ROWID;"

static void a_store_of_format_2_is_rejected(void **state)
{
	assert_int_equal(
		open_after(*state, FORMAT_2 "INSERT INTO meta VALUES(1, 2, zeroblob(16), 1, 1, "
					    "zeroblob(32))"),
		MORTISE_REJECTED);
}

/* It is its word against its tables. */
static void other_tables_that_say_our_format_are_refused(void **state)
{
	assert_int_equal(open_after(*state, FORMAT_2), MORTISE_INTEGRITY);
	assert_int_equal(open_after(*state, "INSERT INTO meta VALUES(1, 3, zeroblob(16), 1, 1, "
					    "zeroblob(32))"),
		MORTISE_INTEGRITY);
}

static void an_unedited_schema_is_taken(void **state)
{
	assert_int_equal(open_after(*state, "VACUUM"), MORTISE_OK);
}

static void another_table_is_refused(void **state)
{
	assert_int_equal(open_after(*state, "CREATE TABLE more(x)"), MORTISE_INTEGRITY);
}

static void a_table_that_sorts_last_is_refused_too(void **state)
{
	assert_int_equal(open_after(*state, "CREATE TABLE zzz(x)"), MORTISE_INTEGRITY);
}

static void a_trigger_is_refused(void **state)
{
	assert_int_equal(open_after(*state, "CREATE TRIGGER spy AFTER INSERT ON value BEGIN "
					    "DELETE FROM item; END"),
		MORTISE_INTEGRITY);
}

static void a_view_is_refused(void **state)
{
	assert_int_equal(
		open_after(*state, "CREATE VIEW spy AS SELECT * FROM value"), MORTISE_INTEGRITY);
	assert_int_equal(open_after(*state, "DROP VIEW spy; ALTER TABLE value RENAME TO hidden;"
					    "CREATE VIEW value AS SELECT * FROM hidden"),
		MORTISE_INTEGRITY);
}

static void an_index_is_refused(void **state)
{
	assert_int_equal(
		open_after(*state, "CREATE INDEX spy ON value(secret)"), MORTISE_INTEGRITY);
}

static void an_altered_column_is_refused(void **state)
{
	assert_int_equal(
		open_after(*state, "ALTER TABLE item ADD COLUMN more BLOB"), MORTISE_INTEGRITY);
	assert_int_equal(open_after(*state, "ALTER TABLE item DROP COLUMN more;"
					    "ALTER TABLE item RENAME COLUMN body TO flesh"),
		MORTISE_INTEGRITY);
}

static void a_missing_table_is_refused(void **state)
{
	assert_int_equal(open_after(*state, "DROP TABLE value"), MORTISE_INTEGRITY);
	assert_int_equal(open_after(*state, "DROP TABLE hold"), MORTISE_INTEGRITY);
}

static void statistics_of_sqlite_are_refused(void **state)
{
	assert_int_equal(open_after(*state, "INSERT INTO item VALUES(1, 1,1,x'00'); ANALYZE"),
		MORTISE_INTEGRITY);
}

static void a_file_that_is_no_database_is_refused(void **state)
{
	struct fixture *fixture = *state;

	close_all(fixture);
	FILE *file = fopen(fixture->path, "w");
	for (unsigned i = 0; i < 2000; i++)
		fputs("not a database\n", file);
	fclose(file);
	assert_int_equal(store_open(fixture->directory, &fixture->store), MORTISE_INTEGRITY);
	assert_null(fixture->store);
}

static void a_symlink_is_not_followed(void **state)
{
	struct fixture *fixture = *state;
	char copy[96];

	close_all(fixture);
	snprintf(copy, sizeof copy, "%s.copy", fixture->path);
	assert_int_equal(rename(fixture->path, copy), 0);
	assert_int_equal(symlink(copy, fixture->path), 0);
	assert_int_not_equal(store_open(fixture->directory, &fixture->store), MORTISE_OK);
	assert_null(fixture->store);
}

static void a_directory_that_is_not_there_is_a_clean_error(void **state)
{
	char directory[5000];
	struct store *store = NULL;

	assert_int_equal(store_open("/nonexistent/mortise", &store), MORTISE_IO);
	memset(directory, 'x', sizeof directory);
	directory[sizeof directory - 1] = '\0';
	assert_int_equal(store_open(directory, &store), MORTISE_INVALID);
	assert_null(store);
}

static enum mortise_status take_item(
	void *context, enum store_item kind, uint64_t number, struct store_bytes body)
{
	return MORTISE_OK;
}

/* As in a file edited by bytes: a table that never ends. */
static void items_without_end_are_refused(void **state)
{
	struct fixture *fixture = *state;
	struct store *store = fixture->store;

	assert_int_equal(store_begin(store), MORTISE_OK);
	for (uint64_t number = 1; number <= STORE_ITEMS_MAX; number++)
		assert_int_equal(
			store_put_item(store, 1, STORE_GAP, number, bytes_of("gap")), MORTISE_OK);
	assert_int_equal(store_commit(store), MORTISE_OK);
	assert_int_equal(store_each_item(store, take_item, NULL), MORTISE_OK);
	assert_int_equal(store_put_item(store, 1, STORE_GAP, STORE_ITEMS_MAX + 1, bytes_of("gap")),
		MORTISE_OK);
	assert_int_equal(store_each_item(store, take_item, NULL), MORTISE_INTEGRITY);
}

static enum mortise_status take_secret(void *context, uint64_t number, struct store_bytes record)
{
	return MORTISE_OK;
}

/* The walk or look-up that sees the edited row refuses it. */
static void assert_malformed(struct fixture *fixture, const char *text)
{
	const struct store_place place = at(1);
	struct store *store = NULL;
	uint8_t *bytes = NULL;
	size_t size = 0;

	close_all(fixture);
	sql(fixture, "DELETE FROM secret; DELETE FROM value; DELETE FROM item");
	sql(fixture, text);
	assert_int_equal(store_open(fixture->directory, &store), MORTISE_OK);
	enum mortise_status status =
		store_each_secret(store, 0, STORE_NUMBER_MAX, take_secret, NULL);
	if (strstr(text, "INTO item"))
		status = store_each_item(store, take_item, NULL);
	if (strstr(text, "INTO value"))
		status = store_value(store, &place, &bytes, &size);
	if (strstr(text, "INTO secret"))
		assert_int_equal(store_secret(store, 1, 1, &bytes, &size), MORTISE_INTEGRITY);
	store_close(store);
	assert_null(bytes);
	if (status != MORTISE_INTEGRITY)
		fail_msg("%s: status %d", text, status);
}

static void blobs_of_a_wrong_size_are_refused(void **state)
{
	static const char *const texts[] = {
		"INSERT INTO secret VALUES(" ODD "+1, zeroblob(131073))",
		"INSERT INTO item VALUES(1, 0, 1, x'00')",
		"INSERT INTO item VALUES(1, 7, 1, x'00')",
		"INSERT INTO item VALUES(1, -1, 1, x'00')",
		"INSERT INTO value VALUES(1, 1, 1, x'')",
		"INSERT INTO value VALUES(1, 1, 1, zeroblob(65577))",
	};

	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		assert_malformed(*state, texts[i]);
}

static void a_record_without_a_byte_is_none(void **state)
{
	struct fixture *fixture = *state;
	uint8_t *bytes = NULL;
	size_t size = 0;

	edit(fixture, "INSERT INTO secret VALUES(" ODD "+1, x'')");
	assert_int_equal(store_open(fixture->directory, &fixture->store), MORTISE_OK);
	assert_int_equal(store_secret(fixture->store, 1, 1, &bytes, &size), MORTISE_INTEGRITY);
	assert_null(bytes);
}

static void an_identity_of_a_wrong_size_or_format_is_refused(void **state)
{
	static const char *const texts[] = {
		"INSERT INTO meta VALUES(1, 2, zeroblob(16), 1, 1, 0, zeroblob(32))",
		"INSERT INTO meta VALUES(1, 4, zeroblob(16), 1, 1, 0, zeroblob(32))",
		"INSERT INTO meta VALUES(1, 3, zeroblob(15), 1, 1, 0, zeroblob(32))",
		"INSERT INTO meta VALUES(1, 3, zeroblob(16), 1, 1, 0, zeroblob(33))",
		"INSERT INTO meta VALUES(1, 3, x'', 1, 1, 0, x'')",
		"INSERT INTO meta VALUES(1, 3, zeroblob(16), 1, 1, 1099511627776, zeroblob(32))",
		"INSERT INTO meta VALUES(1, 3, zeroblob(16), 1, 1, -1, zeroblob(32))",
	};
	struct fixture *fixture = *state;
	struct store_meta meta = meta_a;

	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		edit(fixture, "DELETE FROM meta");
		edit(fixture, texts[i]);
		assert_int_equal(store_open(fixture->directory, &fixture->store), MORTISE_OK);
		assert_int_equal(store_meta(fixture->store, &meta), MORTISE_INTEGRITY);
		assert_int_equal(meta.epoch, meta_a.epoch);
	}
	edit(fixture, "DELETE FROM meta;"
		      "INSERT INTO meta VALUES(1, 3, zeroblob(16), 5, 1, 1099511627775, "
		      "zeroblob(32))");
	assert_int_equal(store_open(fixture->directory, &fixture->store), MORTISE_OK);
	assert_int_equal(store_meta(fixture->store, &meta), MORTISE_OK);
	assert_int_equal(meta.last, STORE_NUMBER_MAX);
}

/* As with a file edited byte by byte: the columns hold other types than their table says. */
static void columns_of_another_type_are_refused(void **state)
{
	static const struct {
		const char *table, *text;
	} edits[] = {
		{"secret", "INSERT INTO secret VALUES(" ODD "+1, 'a record')"},
		{"secret", "INSERT INTO secret VALUES(" ODD "+1, '')"},
		{"secret", "INSERT INTO secret VALUES(" ODD "+1, 17)"},
		{"secret", "INSERT INTO secret VALUES(" ODD "+1, 1.5)"},
		{"value", "INSERT INTO value VALUES(1, 1, 1, 'a value')"},
		{"value", "INSERT INTO value VALUES(1, 1, 1, 17)"},
		{"item", "INSERT INTO item VALUES(1, 1, 1, 'a slot')"},
		{"item", "INSERT INTO item VALUES(1, 1, 1, 1.5)"},
	};
	struct fixture *fixture = *state;

	for (size_t i = 0; i < sizeof edits / sizeof edits[0]; i++) {
		char text[800];
		snprintf(text, sizeof text,
			"PRAGMA writable_schema=ON; UPDATE sqlite_schema SET "
			"sql=replace(replace(sql, ') STRICT, WITHOUT', ') WITHOUT'), ') STRICT', "
			"')') WHERE name='%s'; "
			"PRAGMA writable_schema=RESET; %s; PRAGMA writable_schema=ON; "
			"UPDATE sqlite_schema SET sql=iif(sql LIKE '%%) WITHOUT ROWID', "
			"replace(sql, ') WITHOUT', ') STRICT, WITHOUT'), sql || ' STRICT') "
			"WHERE name='%s'",
			edits[i].table, edits[i].text, edits[i].table);
		assert_malformed(fixture, text);
	}
}

/* Runs what in a child that exits 0 for true. */
static bool in_a_child(bool (*what)(const struct fixture *), const struct fixture *fixture)
{
	int result = 0;
	pid_t pid = fork();

	if (pid == 0)
		_exit(what(fixture) ? 0 : 1);
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &result, 0), pid);
	return WIFEXITED(result) && WEXITSTATUS(result) == 0;
}

static bool is_refused(const struct fixture *fixture)
{
	struct store *store = NULL;

	return store_open(fixture->directory, &store) == MORTISE_IO && store == NULL;
}

static void a_store_that_another_process_holds_is_refused(void **state)
{
	struct fixture *fixture = *state;

	put_two_secrets(fixture->store);
	assert_true(in_a_child(is_refused, fixture));
	assert_int_equal(all_secrets(fixture->store), 2);
	assert_int_equal(store_set_hold(fixture->store, "still works"), MORTISE_OK);
	close_all(fixture);
	assert_false(in_a_child(is_refused, fixture));
}

static enum mortise_status put_large(struct store *store, uint64_t version)
{
	static uint8_t large[STORE_VALUE_MAX];

	TRY(store_begin(store));
	enum mortise_status status = put(store, version, (struct store_bytes){large, sizeof large});
	if (status == MORTISE_OK)
		status = store_commit(store);
	store_rollback(store);
	return status;
}

static void a_store_that_another_process_has_open_is_said_to_be_held(void **state)
{
	struct fixture *fixture = *state;
	struct store *store = NULL;
	sqlite3 *other = NULL;

	close_all(fixture);
	assert_int_equal(sqlite3_open(fixture->path, &other), SQLITE_OK);
	assert_int_equal(sqlite3_exec(other, "PRAGMA locking_mode=EXCLUSIVE; BEGIN EXCLUSIVE", NULL,
				 NULL, NULL),
		SQLITE_OK);
	assert_int_equal(store_open(fixture->directory, &store), MORTISE_IO);
	assert_non_null(strstr(store_describe_open(), "another process has it open"));
	assert_int_equal(sqlite3_close(other), SQLITE_OK);
	assert_int_equal(store_open(fixture->directory, &store), MORTISE_OK);
	store_close(store);
}

static void a_store_without_a_descriptor_left_is_said_to_lack_that(void **state)
{
	struct fixture *fixture = *state;
	struct store *store = NULL;
	struct rlimit before, none;

	close_all(fixture);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = (struct rlimit){3, before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	enum mortise_status status = store_open(fixture->directory, &store);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(status, MORTISE_IO);
	assert_non_null(strstr(store_describe_open(), "Too many open files"));
	assert_non_null(strstr(store_describe_open(), "LimitNOFILE="));
	assert_int_equal(store_open(fixture->directory, &store), MORTISE_OK);
	store_close(store);
}

static void assert_large_values(struct store *store, uint64_t last)
{
	for (uint64_t version = 1; version <= last; version++) {
		const struct store_place place = at(version);
		uint8_t *bytes = NULL;
		size_t size = 0;
		assert_int_equal(store_value(store, &place, &bytes, &size), MORTISE_OK);
		assert_int_equal(size, STORE_VALUE_MAX);
		free(bytes);
	}
	assert_int_equal(all_values(store), last);
}

/* The disk is full: a clean error, nothing of it stays, and what is there is there. */
static void fill_the_disk(struct fixture *fixture)
{
	uint64_t version = 1;
	enum mortise_status status;

	assert_int_equal(store_open(fixture->directory, &fixture->store), MORTISE_OK);
	while ((status = put_large(fixture->store, version)) == MORTISE_OK)
		version++;
	assert_int_equal(status, MORTISE_IO);
	assert_true(version > 2);
	assert_true(store_is_full(fixture->store));
	assert_non_null(strstr(store_describe_failure(fixture->store), "full"));
	assert_large_values(fixture->store, version - 1);
	assert_int_equal(open_again(fixture), MORTISE_OK);
	assert_large_values(fixture->store, version - 1);
}

static void a_full_disk_is_a_clean_error(void **state)
{
	struct fixture *fixture = *state;

	close_all(fixture);
	unlink(fixture->path);
	if (mount("tmpfs", fixture->directory, "tmpfs", 0, "size=1m,mode=0700") != 0)
		skip(); /* needs the right to mount a tmpfs */
	fill_the_disk(fixture);
	close_all(fixture);
	assert_int_equal(umount(fixture->directory), 0);
}

static void a_closed_store_may_be_nothing(void **state)
{
	store_close(NULL);
}

static void values_before_the_first_place_are_found_and_swept(void **state)
{
	struct fixture *fixture = *state;
	unsigned count = 0;
	bool has = true;

	put_two_secrets(fixture->store);
	assert_int_equal(store_has_strays(fixture->store, &has), MORTISE_OK);
	assert_false(has);
	edit(fixture, "INSERT INTO value VALUES(0, 1, 1, x'00'), (-1, 1, 1, x'00')");
	assert_int_equal(store_open(fixture->directory, &fixture->store), MORTISE_OK);
	assert_int_equal(store_has_strays(fixture->store, &has), MORTISE_OK);
	assert_true(has);
	assert_int_equal(store_sweep_strays(fixture->store, 1, &count), MORTISE_OK);
	assert_int_equal(count, 1);
	assert_int_equal(store_has_strays(fixture->store, &has), MORTISE_OK);
	assert_true(has);
	assert_int_equal(store_sweep_strays(fixture->store, 9, &count), MORTISE_OK);
	assert_int_equal(count, 1);
	assert_int_equal(store_has_strays(fixture->store, &has), MORTISE_OK);
	assert_false(has);
}

#define IN_STORE(test) cmocka_unit_test_setup_teardown(test, set_up_store, tear_down)
static const struct CMUnitTest all[] = {
	IN_STORE(a_new_store_is_empty_and_private),
	IN_STORE(the_mask_of_the_process_stays_as_it_was),
	IN_STORE(what_was_committed_is_there_after_reopening),
	IN_STORE(what_was_rolled_back_is_not_there),
	IN_STORE(what_was_not_committed_is_gone_after_reopening),
	IN_STORE(a_store_that_another_process_has_open_is_said_to_be_held),
	IN_STORE(a_store_without_a_descriptor_left_is_said_to_lack_that),
	IN_STORE(secrets_come_by_number_from_any_on_and_in_portions),
	IN_STORE(a_walk_from_behind_all_numbers_sees_no_other_half),
	IN_STORE(the_first_and_the_last_number_are_in_their_half_and_no_more_are),
	IN_STORE(a_visit_that_fails_ends_the_walk_with_its_status),
	IN_STORE(an_item_is_replaced_and_deleted),
	IN_STORE(a_secret_is_replaced_and_deleted),
	IN_STORE(an_item_or_record_that_is_too_large_is_refused),
	IN_STORE(items_without_end_are_refused),
	IN_STORE(values_before_the_first_place_are_found_and_swept),
	IN_STORE(the_largest_record_is_taken_and_read),
	IN_STORE(a_value_is_never_replaced),
	IN_STORE(a_deleted_value_is_gone),
	IN_STORE(a_value_is_neither_found_nor_deleted_as_anothers),
	IN_STORE(a_new_place_is_behind_all_others),
	IN_STORE(behind_the_last_place_there_is_no_other),
	IN_STORE(a_value_before_the_first_place_is_in_nobodys_way),
	IN_STORE(rows_of_another_epoch_are_not_seen_until_it_is_the_store_s),
	IN_STORE(an_epoch_that_was_rolled_back_is_not_the_store_s),
	IN_STORE(a_secret_of_the_other_half_is_another_one),
	IN_STORE(rows_of_no_half_are_not_seen_and_are_swept),
	IN_STORE(of_a_large_log_four_mebibytes_are_kept_and_all_of_them_zeros),
	IN_STORE(whoever_reads_many_rows_is_heard_of),
	IN_STORE(values_are_walked_in_portions),
	IN_STORE(a_store_of_another_format_is_rejected),
	IN_STORE(a_store_of_format_2_is_rejected),
	IN_STORE(other_tables_that_say_our_format_are_refused),
	IN_STORE(deleted_bytes_are_nowhere_on_disk_once_the_log_is_truncated),
	IN_STORE(of_rows_that_were_moved_no_copy_stays_and_none_comes_back),
	IN_STORE(what_no_row_takes_of_the_file_is_counted),
	IN_STORE(it_has_less_pages_than_two_to_the_25th),
	IN_STORE(a_hold_is_kept_and_taken_back),
	IN_STORE(a_frozen_store_takes_no_write),
	IN_STORE(a_hold_that_is_too_long_is_refused),
	IN_STORE(an_unedited_schema_is_taken),
	IN_STORE(another_table_is_refused),
	IN_STORE(a_table_that_sorts_last_is_refused_too),
	IN_STORE(a_trigger_is_refused),
	IN_STORE(a_view_is_refused),
	IN_STORE(an_index_is_refused),
	IN_STORE(an_altered_column_is_refused),
	IN_STORE(a_missing_table_is_refused),
	IN_STORE(statistics_of_sqlite_are_refused),
	IN_STORE(a_file_that_is_no_database_is_refused),
	IN_STORE(a_symlink_is_not_followed),
	IN_STORE(a_directory_that_is_not_there_is_a_clean_error),
	IN_STORE(blobs_of_a_wrong_size_are_refused),
	IN_STORE(a_record_without_a_byte_is_none),
	IN_STORE(an_identity_of_a_wrong_size_or_format_is_refused),
	IN_STORE(columns_of_another_type_are_refused),
	IN_STORE(a_store_that_another_process_holds_is_refused),
	IN_STORE(a_full_disk_is_a_clean_error),
	IN_STORE(a_closed_store_may_be_nothing),
};

int main(void)
{
	return cmocka_run_group_tests(all, NULL, NULL);
}
