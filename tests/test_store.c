/* SPDX-License-Identifier: ISC */
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "store_db.h"
#include "vault_fixture.h"

static const uint8_t id_a[STORE_ID_SIZE] = {1, 1}, id_b[STORE_ID_SIZE] = {200, 2};
static const uint8_t hash_a[STORE_HASH_SIZE] = {3}, hash_b[STORE_HASH_SIZE] = {4};
static const uint8_t wrapped_key[STORE_KEY_SIZE] = {5};
#define EPOCH 7
static const struct store_meta meta_a = {{6}, EPOCH, 8, {9}};

/* A version with the text "info", as all of these tests have. */
static enum mortise_status put(struct store *store, const uint8_t id[STORE_ID_SIZE],
	uint64_t number, struct store_bytes value)
{
	const struct store_version version = {
		number, EPOCH, wrapped_key, {(const uint8_t *)"info", 4}};

	return put_version(store, id, &version, value);
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

static void put_two_secrets(struct store *store)
{
	assert_int_equal(store_begin(store), MORTISE_OK);
	assert_int_equal(store_put_meta(store, &meta_a), MORTISE_OK);
	assert_int_equal(store_put_item(store, STORE_SLOT, 1, bytes_of("slot")), MORTISE_OK);
	assert_int_equal(store_put_secret(store, id_b, hash_b, bytes_of("head b")), MORTISE_OK);
	assert_int_equal(store_put_secret(store, id_a, hash_a, bytes_of("head a")), MORTISE_OK);
	for (uint64_t number = 2; number > 0; number--)
		assert_int_equal(put(store, id_a, number, bytes_of("value")), MORTISE_OK);
	assert_int_equal(store_commit(store), MORTISE_OK);
}

/* Counts visits; refuses the one after `allowed`. */
struct count {
	unsigned visits, allowed;
	uint8_t last_first_byte;
	uint64_t last_number;
};

static enum mortise_status count_visit(struct count *count, uint8_t first_byte, uint64_t number)
{
	if (count->visits == count->allowed)
		return MORTISE_CONFLICT;
	if (count->visits++)
		assert_true(first_byte > count->last_first_byte || number > count->last_number);
	count->last_first_byte = first_byte;
	count->last_number = number;
	return MORTISE_OK;
}

static enum mortise_status count_item(
	void *context, enum store_item kind, uint64_t number, struct store_bytes body)
{
	return count_visit(context, (uint8_t)kind, number);
}

static enum mortise_status count_secret(void *context, const uint8_t id[STORE_ID_SIZE],
	const uint8_t path_hash[STORE_HASH_SIZE], struct store_bytes head)
{
	assert_memory_equal(path_hash, id[0] == 1 ? hash_a : hash_b, STORE_HASH_SIZE);
	assert_memory_equal(head.bytes, id[0] == 1 ? "head a" : "head b", 6);
	return count_visit(context, id[0], 0);
}

static enum mortise_status count_version(
	void *context, const uint8_t id[STORE_ID_SIZE], const struct store_version *version)
{
	assert_memory_equal(version->wrapped_key, wrapped_key, STORE_KEY_SIZE);
	assert_int_equal(version->info.size, 4);
	assert_int_equal(version->value_epoch, EPOCH);
	return count_visit(context, id[0], version->number);
}

static unsigned secrets_between(struct store *store, uint8_t first, uint8_t last)
{
	struct count count = {.allowed = 100};

	assert_int_equal(store_each_secret(store, first, last, count_secret, &count), MORTISE_OK);
	return count.visits;
}

static unsigned versions_between(struct store *store, uint8_t first, uint8_t last)
{
	struct count count = {.allowed = 100};

	assert_int_equal(store_each_version(store, first, last, count_version, &count), MORTISE_OK);
	return count.visits;
}

static void a_new_store_is_empty_and_private(void **state)
{
	struct fixture *fixture = *state;
	struct count count = {0};
	struct store_meta meta;
	struct stat status;

	assert_int_equal(store_meta(fixture->store, &meta), MORTISE_NOT_FOUND);
	assert_int_equal(store_each_item(fixture->store, count_item, &count), MORTISE_OK);
	assert_int_equal(secrets_between(fixture->store, 0, 255), 0);
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
	struct store_meta meta;
	uint8_t *bytes = NULL;
	size_t size = 0;

	put_two_secrets(fixture->store);
	assert_int_equal(open_again(fixture), MORTISE_OK);
	assert_int_equal(store_meta(fixture->store, &meta), MORTISE_OK);
	assert_memory_equal(meta.uuid, meta_a.uuid, STORE_ID_SIZE);
	assert_memory_equal(meta.tally, meta_a.tally, STORE_HASH_SIZE);
	assert_int_equal(meta.epoch, 7);
	assert_int_equal(meta.generation, 8);
	assert_int_equal(store_value(fixture->store, id_a, 2, EPOCH, &bytes, &size), MORTISE_OK);
	assert_int_equal(size, 5);
	assert_memory_equal(bytes, "value", 5);
	free(bytes);
	assert_int_equal(store_item(fixture->store, STORE_SLOT, 1, &bytes, &size), MORTISE_OK);
	assert_memory_equal(bytes, "slot", 4);
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

static void rows_come_in_order_and_by_range(void **state)
{
	struct fixture *fixture = *state;

	put_two_secrets(fixture->store);
	assert_int_equal(secrets_between(fixture->store, 0, 255), 2);
	assert_int_equal(secrets_between(fixture->store, 0, 0), 0);
	assert_int_equal(secrets_between(fixture->store, 1, 1), 1);
	assert_int_equal(secrets_between(fixture->store, 2, 255), 1);
	assert_int_equal(secrets_between(fixture->store, 200, 200), 1);
	assert_int_equal(secrets_between(fixture->store, 201, 255), 0);
	assert_int_equal(versions_between(fixture->store, 0, 255), 2);
	assert_int_equal(versions_between(fixture->store, 1, 1), 2);
	assert_int_equal(versions_between(fixture->store, 2, 255), 0);
}

static void the_first_and_the_last_ids_are_in_their_ranges(void **state)
{
	struct store *store = ((struct fixture *)*state)->store;
	uint8_t lowest[STORE_ID_SIZE] = {0}, highest[STORE_ID_SIZE];
	struct count count = {.allowed = 100};
	uint64_t values = 0;

	memset(highest, 0xff, sizeof highest);
	assert_int_equal(store_put_secret(store, lowest, hash_b, bytes_of("head b")), MORTISE_OK);
	assert_int_equal(secrets_between(store, 0, 0), 1);
	assert_int_equal(put(store, highest, 1, bytes_of("value")), MORTISE_OK);
	assert_int_equal(store_each_version(store, 255, 255, count_version, &count), MORTISE_OK);
	assert_int_equal(count.visits, 1);
	assert_int_equal(store_count_values(store, 255, 255, &values), MORTISE_OK);
	assert_int_equal(values, 1);
	assert_int_equal(store_count_values(store, 0, 254, &values), MORTISE_OK);
	assert_int_equal(values, 0);
}

static void a_visit_that_fails_ends_the_walk_with_its_status(void **state)
{
	struct fixture *fixture = *state;
	struct count count = {.allowed = 1};

	put_two_secrets(fixture->store);
	assert_int_equal(
		store_each_secret(fixture->store, 0, 255, count_secret, &count), MORTISE_CONFLICT);
	assert_int_equal(count.visits, 1);
	assert_int_equal(secrets_between(fixture->store, 0, 255), 2);
}

static void an_item_is_replaced_and_deleted(void **state)
{
	struct store *store = ((struct fixture *)*state)->store;
	uint8_t *bytes = NULL;
	size_t size = 0;

	assert_int_equal(store_put_item(store, STORE_POLICY, 1, bytes_of("old")), MORTISE_OK);
	assert_int_equal(store_put_item(store, STORE_POLICY, 1, bytes_of("newer")), MORTISE_OK);
	assert_int_equal(store_item(store, STORE_POLICY, 1, &bytes, &size), MORTISE_OK);
	assert_int_equal(size, 5);
	free(bytes);
	bytes = NULL;
	assert_int_equal(store_delete_item(store, STORE_POLICY, 1), MORTISE_OK);
	assert_int_equal(store_item(store, STORE_POLICY, 1, &bytes, &size), MORTISE_NOT_FOUND);
	assert_null(bytes);
}

static void an_item_that_is_too_large_is_refused(void **state)
{
	struct store *store = ((struct fixture *)*state)->store;
	const struct store_bytes large = {(const uint8_t *)"", STORE_ITEM_MAX + 1};

	assert_int_equal(store_put_item(store, STORE_POLICY, 1, large), MORTISE_INVALID);
}

static void a_value_is_never_replaced(void **state)
{
	struct fixture *fixture = *state;
	struct store *store = fixture->store;
	uint8_t *bytes = NULL;
	size_t size = 0;

	put_two_secrets(store);
	assert_int_equal(store_begin(store), MORTISE_OK);
	assert_int_equal(put(store, id_a, 2, bytes_of("other")), MORTISE_INTEGRITY);
	store_rollback(store);
	assert_int_equal(store_value(store, id_a, 2, EPOCH, &bytes, &size), MORTISE_OK);
	assert_memory_equal(bytes, "value", 5);
	free(bytes);
}

static void a_path_stands_for_one_secret_only(void **state)
{
	struct store *store = ((struct fixture *)*state)->store;

	put_two_secrets(store);
	assert_int_equal(
		store_put_secret(store, id_b, hash_a, bytes_of("head")), MORTISE_INTEGRITY);
}

static void a_deleted_version_and_its_value_are_gone(void **state)
{
	struct fixture *fixture = *state;
	uint8_t *bytes = NULL;
	size_t size = 0;

	put_two_secrets(fixture->store);
	assert_int_equal(store_delete_version(fixture->store, id_a, 1), MORTISE_OK);
	assert_int_equal(store_delete_value(fixture->store, id_a, 1, EPOCH), MORTISE_OK);
	assert_int_equal(
		store_value(fixture->store, id_a, 1, EPOCH, &bytes, &size), MORTISE_INTEGRITY);
	assert_null(bytes);
	assert_int_equal(versions_between(fixture->store, 0, 255), 1);
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
	struct store_meta meta = meta_a;
	uint8_t *bytes = NULL;
	size_t size = 0;
	bool has = true;

	put_two_secrets(fixture->store);
	assert_int_equal(store_has_leftovers(fixture->store, &has), MORTISE_OK);
	assert_false(has);
	store_use_epoch(fixture->store, EPOCH + 1);
	assert_int_equal(secrets_between(fixture->store, 0, 255), 0);
	assert_int_equal(versions_between(fixture->store, 0, 255), 0);
	assert_int_equal(
		store_item(fixture->store, STORE_SLOT, 1, &bytes, &size), MORTISE_NOT_FOUND);
	assert_int_equal(
		store_put_secret(fixture->store, id_a, hash_a, bytes_of("head a")), MORTISE_OK);
	assert_int_equal(open_again(fixture), MORTISE_OK);
	assert_int_equal(secrets_between(fixture->store, 0, 255), 2);
	assert_int_equal(store_has_leftovers(fixture->store, &has), MORTISE_OK);
	assert_true(has);
	meta.epoch++;
	assert_int_equal(store_put_meta(fixture->store, &meta), MORTISE_OK);
	assert_int_equal(secrets_between(fixture->store, 0, 255), 1);
	assert_int_equal(sweep(fixture->store), 5);
	assert_int_equal(store_has_leftovers(fixture->store, &has), MORTISE_OK);
	assert_false(has);
	assert_int_equal(secrets_between(fixture->store, 0, 255), 1);
}

static void values_are_walked_in_portions(void **state)
{
	struct fixture *fixture = *state;
	struct store_place places[2] = {{{0}, 0, 0}};
	unsigned count = 0;

	put_two_secrets(fixture->store);
	assert_int_equal(
		store_next_values(fixture->store, &places[0], 1, places, &count), MORTISE_OK);
	assert_int_equal(count, 1);
	assert_memory_equal(places[0].id, id_a, STORE_ID_SIZE);
	assert_int_equal(places[0].number, 1);
	assert_int_equal(places[0].value_epoch, EPOCH);
	assert_int_equal(
		store_next_values(fixture->store, &places[0], 2, places, &count), MORTISE_OK);
	assert_int_equal(count, 1);
	assert_int_equal(places[0].number, 2);
	assert_int_equal(
		store_next_values(fixture->store, &places[0], 2, places, &count), MORTISE_OK);
	assert_int_equal(count, 0);
}

static void deleted_bytes_are_nowhere_on_disk_once_the_log_is_truncated(void **state)
{
	struct fixture *fixture = *state;
	const char canary[] = "the canary's ciphertext, which is to vanish";

	assert_int_equal(put(fixture->store, id_a, 1, bytes_of(canary)), MORTISE_OK);
	assert_true(file_has(fixture, "-wal", canary, strlen(canary)));
	assert_int_equal(store_delete_version(fixture->store, id_a, 1), MORTISE_OK);
	assert_int_equal(store_delete_value(fixture->store, id_a, 1, EPOCH), MORTISE_OK);
	assert_true(file_has(fixture, "-wal", canary, strlen(canary)));
	assert_int_equal(store_truncate_log(fixture->store), MORTISE_OK);
	assert_false(file_has(fixture, "-wal", canary, strlen(canary)));
	assert_false(file_has(fixture, "", canary, strlen(canary)));
}

enum { ROWS = 6000, TO_GO = 3 }; /* every third is to go */

static const char to_go[] = "is to go", stays[] = "stays, here";

/* Anywhere among the others, as random ids are; of a size of its own. */
static const uint8_t *scattered_id(unsigned i)
{
	static uint8_t id[STORE_ID_SIZE];
	uint64_t random = (i + 1) * 0x9e3779b97f4a7c15;

	memcpy(id, &random, sizeof random);
	return id;
}

static void put_scattered(struct store *store, unsigned i, uint64_t number)
{
	static char info[600];
	const char *text = i % TO_GO ? stays : to_go;

	for (size_t at = 0; at + strlen(text) < sizeof info; at += strlen(text))
		memcpy(info + at, text, strlen(text) + 1);
	const struct store_version version = {
		number, EPOCH, wrapped_key, {(const uint8_t *)info, 100 + i % 7 * 64}};
	assert_int_equal(store_put_version(store, scattered_id(i), &version), MORTISE_OK);
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
		assert_int_equal(store_delete_version(store, scattered_id(i), 1), MORTISE_OK);
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
		assert_int_equal(store_delete_version(store, scattered_id(i), 1), MORTISE_OK);
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
					    "INSERT INTO meta VALUES(1, 1, x'', 1, 1, x'')"),
		MORTISE_REJECTED);
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
		open_after(*state, "CREATE INDEX spy ON value(number)"), MORTISE_INTEGRITY);
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
	assert_int_equal(open_after(*state, "DROP TABLE version"), MORTISE_INTEGRITY);
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

static enum mortise_status take_secret(void *context, const uint8_t id[STORE_ID_SIZE],
	const uint8_t path_hash[STORE_HASH_SIZE], struct store_bytes head)
{
	return MORTISE_OK;
}

static enum mortise_status take_version(
	void *context, const uint8_t id[STORE_ID_SIZE], const struct store_version *version)
{
	return MORTISE_OK;
}

/* The walk or look-up that sees the edited row refuses it. */
static void assert_malformed(struct fixture *fixture, const char *text)
{
	struct store *store = NULL;
	uint8_t *bytes = NULL;
	size_t size = 0;

	close_all(fixture);
	sql(fixture,
		"DELETE FROM secret; DELETE FROM version; DELETE FROM value; DELETE FROM item");
	sql(fixture, text);
	assert_int_equal(store_open(fixture->directory, &store), MORTISE_OK);
	enum mortise_status status = store_each_secret(store, 0, 255, take_secret, NULL);
	if (strstr(text, "INTO version"))
		status = store_each_version(store, 0, 255, take_version, NULL);
	if (strstr(text, "INTO item"))
		status = store_each_item(store, take_item, NULL);
	if (strstr(text, "INTO value"))
		status = store_value(store, id_a, 1, EPOCH, &bytes, &size);
	store_close(store);
	assert_null(bytes);
	if (status != MORTISE_INTEGRITY)
		fail_msg("%s: status %d", text, status);
}

static void blobs_of_a_wrong_size_are_refused(void **state)
{
	static const char *const texts[] = {
		"INSERT INTO secret VALUES(1, zeroblob(15), zeroblob(32), x'00')",
		"INSERT INTO secret VALUES(1, zeroblob(17), zeroblob(32), x'00')",
		"INSERT INTO secret VALUES(1, x'', zeroblob(32), x'00')",
		("INSERT INTO secret VALUES(1, x'ffffffffffffffffffffffffffffffffffffff', "
		 "zeroblob(32), x'00')"),
		"INSERT INTO secret VALUES(1, zeroblob(16), zeroblob(31), x'00')",
		"INSERT INTO secret VALUES(1, zeroblob(16), x'', x'00')",
		"INSERT INTO secret VALUES(1, zeroblob(16), zeroblob(32), zeroblob(65537))",
		"INSERT INTO version VALUES(1, zeroblob(15), 1, 7, zeroblob(72), x'00')",
		"INSERT INTO version VALUES(1, x'', 1, 7, zeroblob(72), x'00')",
		"INSERT INTO version VALUES(1, zeroblob(16), 1, 7, zeroblob(71), x'00')",
		"INSERT INTO version VALUES(1, zeroblob(16), 1, 7, zeroblob(73), x'00')",
		"INSERT INTO version VALUES(1, zeroblob(16), 1, 7, zeroblob(72), zeroblob(4097))",
		"INSERT INTO item VALUES(1, 0, 1, x'00')",
		"INSERT INTO item VALUES(1, 7, 1, x'00')",
		"INSERT INTO item VALUES(1, -1, 1, x'00')",
		"INSERT INTO value VALUES(x'01010000000000000000000000000000', 1, 7, x'')",
		"INSERT INTO value VALUES(x'01010000000000000000000000000000', 1, 7, "
		"zeroblob(65577))",
	};

	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		assert_malformed(*state, texts[i]);
}

static void an_identity_of_a_wrong_size_or_format_is_refused(void **state)
{
	static const char *const texts[] = {
		"INSERT INTO meta VALUES(1, 3, zeroblob(16), 1, 1, zeroblob(32))",
		"INSERT INTO meta VALUES(1, 2, zeroblob(15), 1, 1, zeroblob(32))",
		"INSERT INTO meta VALUES(1, 2, zeroblob(16), 1, 1, zeroblob(33))",
		"INSERT INTO meta VALUES(1, 2, x'', 1, 1, x'')",
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
}

/* As with a file edited byte by byte: the columns hold other types than their table says. */
static void columns_of_another_type_are_refused(void **state)
{
	static const char *const texts[] = {
		"INSERT INTO secret VALUES(1, 'sixteen letters.', zeroblob(32), x'00')",
		"INSERT INTO secret VALUES(1, zeroblob(16), zeroblob(32), 'a head')",
		"INSERT INTO secret VALUES(1, 17, zeroblob(32), x'00')",
		"INSERT INTO secret VALUES(1, zeroblob(16), 1.5, x'00')",
	};
	struct fixture *fixture = *state;

	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		char text[800];
		snprintf(text, sizeof text,
			"PRAGMA writable_schema=ON; UPDATE sqlite_schema SET "
			"sql=replace(sql, ') STRICT, WITHOUT', ') WITHOUT') WHERE name='secret'; "
			"PRAGMA writable_schema=RESET; %s; PRAGMA writable_schema=ON; "
			"UPDATE sqlite_schema SET sql=replace(sql, ') WITHOUT', ') STRICT, "
			"WITHOUT') "
			"WHERE name='secret'",
			texts[i]);
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
	assert_int_equal(secrets_between(fixture->store, 0, 255), 2);
	assert_int_equal(store_set_hold(fixture->store, "still works"), MORTISE_OK);
	close_all(fixture);
	assert_false(in_a_child(is_refused, fixture));
}

static enum mortise_status put_large(struct store *store, uint64_t number)
{
	static uint8_t large[STORE_VALUE_MAX];

	TRY(store_begin(store));
	enum mortise_status status =
		put(store, id_a, number, (struct store_bytes){large, sizeof large});
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

/* The disk is full: a clean error, nothing of it stays, and what is there is there. */
static void fill_the_disk(struct fixture *fixture)
{
	uint8_t *bytes = NULL;
	uint64_t number = 1;
	size_t size = 0;
	enum mortise_status status;

	assert_int_equal(store_open(fixture->directory, &fixture->store), MORTISE_OK);
	while ((status = put_large(fixture->store, number)) == MORTISE_OK)
		number++;
	assert_int_equal(status, MORTISE_IO);
	assert_true(number > 2);
	assert_non_null(strstr(store_describe_failure(fixture->store), "full"));
	for (unsigned pass = 0; pass < 2; pass++) {
		for (uint64_t i = 1; i < number; i++) {
			assert_int_equal(store_value(fixture->store, id_a, i, EPOCH, &bytes, &size),
				MORTISE_OK);
			assert_int_equal(size, STORE_VALUE_MAX);
			free(bytes);
		}
		bytes = NULL;
		assert_int_equal(store_value(fixture->store, id_a, number, EPOCH, &bytes, &size),
			MORTISE_INTEGRITY);
		assert_int_equal(versions_between(fixture->store, 0, 255), number - 1);
		assert_int_equal(open_again(fixture), MORTISE_OK);
	}
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

int main(void)
{
#define IN_STORE(test) cmocka_unit_test_setup_teardown(test, set_up_store, tear_down)
	const struct CMUnitTest tests[] = {
		IN_STORE(a_new_store_is_empty_and_private),
		IN_STORE(the_mask_of_the_process_stays_as_it_was),
		IN_STORE(what_was_committed_is_there_after_reopening),
		IN_STORE(what_was_rolled_back_is_not_there),
		IN_STORE(what_was_not_committed_is_gone_after_reopening),
		IN_STORE(a_store_that_another_process_has_open_is_said_to_be_held),
		IN_STORE(a_store_without_a_descriptor_left_is_said_to_lack_that),
		IN_STORE(rows_come_in_order_and_by_range),
		IN_STORE(the_first_and_the_last_ids_are_in_their_ranges),
		IN_STORE(a_visit_that_fails_ends_the_walk_with_its_status),
		IN_STORE(an_item_is_replaced_and_deleted),
		IN_STORE(an_item_that_is_too_large_is_refused),
		IN_STORE(a_value_is_never_replaced),
		IN_STORE(a_path_stands_for_one_secret_only),
		IN_STORE(a_deleted_version_and_its_value_are_gone),
		IN_STORE(rows_of_another_epoch_are_not_seen_until_it_is_the_store_s),
		IN_STORE(values_are_walked_in_portions),
		IN_STORE(a_store_of_another_format_is_rejected),
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
		IN_STORE(an_identity_of_a_wrong_size_or_format_is_refused),
		IN_STORE(columns_of_another_type_are_refused),
		IN_STORE(a_store_that_another_process_holds_is_refused),
		IN_STORE(a_full_disk_is_a_clean_error),
		IN_STORE(a_closed_store_may_be_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
