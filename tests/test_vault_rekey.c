/* SPDX-License-Identifier: ISC */
#include "store_db.h"
#include "vault_fixture.h"

#define MANY     200
#define NO_TIME  0 /* a slice of one secret */
#define ALL_TIME 1000000000u
#define EVER     100000
#define VERSIONS (FIXTURE_PATHS * 2)

/*
 * Calls of the vault into the store fail where a test wants it: the linker sends them here
 * (--wrap). What failed was not done.
 */
static unsigned calls, fail_at; /* 0: none */

static bool must_fail(void)
{
	return ++calls == fail_at;
}

#define FAILING(name, parameters, arguments)                                                       \
	enum mortise_status __real_##name parameters;                                              \
	enum mortise_status __wrap_##name parameters;                                              \
	enum mortise_status __wrap_##name parameters                                               \
	{                                                                                          \
		return must_fail() ? MORTISE_IO : __real_##name arguments;                         \
	}

FAILING(store_begin, (struct store * store), (store))
/* Slices of a rekey are nobody's to wait for; of all else the answer says that it is on the disk.
 */
static unsigned acknowledged, acknowledged_unsynced;
static bool is_slice;

enum mortise_status __real_store_commit(struct store *store);
enum mortise_status __wrap_store_commit(struct store *store);
enum mortise_status __wrap_store_commit(struct store *store)
{
	sqlite3_stmt *statement = NULL;

	assert_int_equal(sqlite3_prepare_v2(store->db, "PRAGMA synchronous", -1, &statement, NULL),
		SQLITE_OK);
	assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
	acknowledged += !is_slice;
	acknowledged_unsynced += !is_slice && sqlite3_column_int(statement, 0) < 2; /* FULL */
	assert_int_equal(sqlite3_finalize(statement), SQLITE_OK);
	return must_fail() ? MORTISE_IO : __real_store_commit(store);
}

FAILING(store_truncate_log, (struct store * store), (store))
FAILING(store_set_synced, (struct store * store, bool is_synced), (store, is_synced))
FAILING(store_put_meta, (struct store * store, const struct store_meta *meta), (store, meta))
FAILING(store_put_item,
	(struct store * store, uint64_t epoch, enum store_item kind, uint64_t number,
		struct store_bytes body),
	(store, epoch, kind, number, body))
FAILING(store_put_secret,
	(struct store * store, uint64_t epoch, uint64_t number, struct store_bytes record),
	(store, epoch, number, record))
FAILING(store_secret,
	(struct store * store, uint64_t epoch, uint64_t number, uint8_t **bytes, size_t *size),
	(store, epoch, number, bytes, size))
FAILING(store_put_value,
	(struct store * store, const struct store_place *place, struct store_bytes value),
	(store, place, value))
FAILING(store_value,
	(struct store * store, const struct store_place *place, uint8_t **bytes, size_t *size),
	(store, place, bytes, size))
FAILING(store_next_values,
	(struct store * store, uint64_t after, unsigned limit, struct store_place *places,
		unsigned *count),
	(store, after, limit, places, count))
FAILING(store_item,
	(struct store * store, enum store_item kind, uint64_t number, uint8_t **bytes,
		size_t *size),
	(store, kind, number, bytes, size))
FAILING(store_sweep, (struct store * store, unsigned limit, unsigned *count), (store, limit, count))
FAILING(store_delete_value, (struct store * store, const struct store_place *place), (store, place))

/* Slices until nothing is left to do. */
static enum mortise_status work(struct fixture *fixture, unsigned budget_us)
{
	for (unsigned i = 0; vault_has_work(fixture->vault); i++) {
		assert_true(i < EVER);
		TRY(vault_work(fixture->vault, budget_us));
	}
	return MORTISE_OK;
}

static void rekey(struct fixture *fixture, bool reencrypt)
{
	assert_int_equal(vault_rekey(fixture->vault, reencrypt), MORTISE_OK);
	assert_int_equal(work(fixture, ALL_TIME), MORTISE_OK);
}

/* Slices of one secret each until about `count` secrets are done. */
static void begin(struct fixture *fixture, bool reencrypt, uint64_t count)
{
	assert_int_equal(vault_rekey(fixture->vault, reencrypt), MORTISE_OK);
	for (unsigned i = 0; vault_rekey_progress(fixture->vault).done < count; i++) {
		assert_true(i < EVER);
		assert_int_equal(vault_work(fixture->vault, NO_TIME), MORTISE_OK);
	}
	assert_true(vault_rekey_progress(fixture->vault).is_rekeying);
}

/* Opens the store as a restarted agent does, and checks all of it. */
static void assert_opens(struct fixture *fixture, uint64_t slot, uint64_t epoch)
{
	char complaint[VAULT_PATH_SIZE + 96];
	size_t values;

	assert_int_equal(reopen_by_slot(fixture, slot), MORTISE_OK);
	assert_int_equal(vault_epoch(fixture->vault), epoch);
	assert_int_equal(work(fixture, ALL_TIME), MORTISE_OK);
	if (verify_all(fixture, &values, complaint, sizeof complaint) != MORTISE_OK)
		fail_msg("%s", complaint);
}

static void assert_fixture_values(struct fixture *fixture)
{
	for (size_t i = 0; i < FIXTURE_PATHS; i++)
		for (unsigned number = 1; number <= 2; number++) {
			char value[32];
			snprintf(value, sizeof value, "%s %u", fixture_paths[i], number);
			assert_value(fixture, fixture_paths[i], number, value);
		}
}

static uint64_t count(const struct fixture *fixture, const char *text)
{
	sqlite3_stmt *statement = NULL;
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open(fixture->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, text, -1, &statement, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
	uint64_t number = (uint64_t)sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	return number;
}

static void every_row_is_of_the_next_epoch(void **state)
{
	struct fixture *fixture = *state;

	rekey(fixture, false);
	assert_int_equal(vault_epoch(fixture->vault), 2);
	assert_fixture_values(fixture);
	assert_opens(fixture, 1, 2);
	assert_fixture_values(fixture);
	close_all(fixture);
	assert_int_equal(count(fixture, "SELECT count(*) FROM secret WHERE number >> 62 <> 0"), 0);
	assert_int_equal(count(fixture, "SELECT count(*) FROM item WHERE epoch<>2"), 0);
	assert_int_equal(count(fixture, "SELECT count(*) FROM secret"), 3);
	assert_int_equal(count(fixture, "SELECT count(*) FROM value"), 6);
}

/* The halves of the table take turns. */
static void rows_of_the_epoch_after_the_next_are_where_those_of_the_first_were(void **state)
{
	struct fixture *fixture = *state;
	const uint64_t number = number_of(fixture, "prod/b");

	rekey(fixture, false);
	rekey(fixture, false);
	assert_opens(fixture, 2, 3);
	assert_fixture_values(fixture);
	assert_int_equal(number_of(fixture, "prod/b"), number);
	close_all(fixture);
	assert_int_equal(count(fixture, "SELECT count(*) FROM secret WHERE number >> 62 = 1"), 3);
	assert_int_equal(count(fixture, "SELECT count(*) FROM secret"), 3);
	assert_int_equal(count(fixture, "SELECT count(*) FROM item WHERE epoch<>3"), 0);
}

static void the_old_key_opens_nothing_any_more(void **state)
{
	struct fixture *fixture = *state;

	rekey(fixture, false);
	assert_int_equal(reopen(fixture), MORTISE_INTEGRITY);
}

static void every_slot_opens_the_new_key_and_is_else_what_it_was(void **state)
{
	struct fixture *fixture = *state;
	CLEANUP(secret_drop) struct secret *one = NULL;
	CLEANUP(secret_drop) struct secret *two = NULL;
	struct finding before = {.number = 2}, after = {.number = 2};
	struct slot was, is;

	assert_int_equal(store_each_item(fixture->store, take_slot, &before), MORTISE_OK);
	rekey(fixture, false);
	assert_int_equal(open_slot(fixture, 1, &one), MORTISE_OK);
	assert_int_equal(open_slot(fixture, 2, &two), MORTISE_OK);
	assert_true(secret_equals(one, two));
	assert_false(secret_equals(one, fixture->master_key));
	assert_int_equal(store_each_item(fixture->store, take_slot, &after), MORTISE_OK);
	assert_int_equal(
		slot_read((struct store_bytes){before.record, before.size}, &was), MORTISE_OK);
	assert_int_equal(
		slot_read((struct store_bytes){after.record, after.size}, &is), MORTISE_OK);
	assert_string_equal(is.kind, was.kind);
	assert_string_equal(is.key_id, was.key_id);
	assert_memory_equal(is.salt, was.salt, ID_SIZE);
	assert_memory_not_equal(is.box.bytes, was.box.bytes, is.box.size);
	assert_memory_not_equal(is.public_half.bytes, was.public_half.bytes, is.public_half.size);
}

static void policy_and_audit_state_are_still_there(void **state)
{
	struct fixture *fixture = *state;
	CLEANUP(secret_drop) struct secret *audit_state = NULL;
	uint8_t *policy = NULL;
	uint64_t version = 0;
	size_t size = 0;

	assert_int_equal(
		vault_set_policy(fixture->vault, bytes_of("a newer one"), &version), MORTISE_OK);
	rekey(fixture, false);
	assert_opens(fixture, 2, 2);
	assert_int_equal(vault_policy(fixture->vault, 0, &policy, &size, &version), MORTISE_OK);
	assert_int_equal(version, 2);
	assert_memory_equal(policy, "a newer one", size);
	free(policy);
	assert_int_equal(vault_policy(fixture->vault, 1, &policy, &size, &version), MORTISE_OK);
	assert_memory_equal(policy, POLICY_TEXT, size);
	free(policy);
	assert_int_equal(vault_audit_state(fixture->vault, &audit_state), MORTISE_OK);
	assert_memory_equal(audit_state->bytes, "audit keys", 10);
}

static void a_second_rekey_follows_the_first(void **state)
{
	struct fixture *fixture = *state;

	rekey(fixture, true);
	rekey(fixture, false);
	rekey(fixture, true);
	assert_opens(fixture, 1, 4);
	assert_fixture_values(fixture);
	close_all(fixture);
	assert_int_equal(count(fixture, "SELECT count(*) FROM value"), 6);
}

static void there_is_one_rekey_at_a_time(void **state)
{
	struct fixture *fixture = *state;

	begin(fixture, false, 1);
	assert_int_equal(vault_rekey(fixture->vault, false), MORTISE_BUSY);
	assert_int_equal(work(fixture, ALL_TIME), MORTISE_OK);
	assert_int_equal(vault_rekey(fixture->vault, false), MORTISE_OK);
}

static size_t count_listed(struct fixture *fixture)
{
	struct vault_head head;
	uint64_t number = 0;
	size_t listed = 0;

	while (vault_next(fixture->vault, number, &number, &head) == MORTISE_OK)
		listed++;
	return listed;
}

/* Reads, lists and verifies with every slice of a rekey. */
static void all_is_served_throughout(void **state)
{
	struct fixture *fixture = *state;
	char complaint[320];

	for (unsigned reencrypt = 0; reencrypt < 2; reencrypt++) {
		assert_int_equal(vault_rekey(fixture->vault, reencrypt), MORTISE_OK);
		while (vault_has_work(fixture->vault)) {
			size_t values = 0;
			assert_int_equal(vault_work(fixture->vault, NO_TIME), MORTISE_OK);
			assert_fixture_values(fixture);
			assert_int_equal(count_listed(fixture), FIXTURE_PATHS);
			assert_int_equal(verify_all(fixture, &values, complaint, sizeof complaint),
				MORTISE_OK);
			assert_int_equal(values, VERSIONS);
		}
	}
}

/* It is asked for page by page; the epoch that it began in may be over when it ends. */
static void a_check_that_goes_on_over_a_rekey_finds_all_right(void **state)
{
	struct fixture *fixture = *state;
	char complaint[VAULT_PATH_SIZE + 96], path[32];
	struct vault_check check = {0};
	size_t values = 0, checked = 0;

	for (unsigned i = 0; i < MANY; i++) {
		snprintf(path, sizeof path, "many/%u", i);
		assert_int_equal(set(fixture, path, path), MORTISE_OK);
	}
	assert_int_equal(vault_rekey(fixture->vault, true), MORTISE_OK);
	while (!check.is_done) {
		assert_int_equal(vault_verify(fixture->vault, &check, 0, &values, complaint,
					 sizeof complaint),
			MORTISE_OK);
		checked += values;
		for (unsigned i = 0; i < 50 && vault_has_work(fixture->vault); i++)
			assert_int_equal(vault_work(fixture->vault, NO_TIME), MORTISE_OK);
	}
	assert_int_equal(checked, MANY + VERSIONS);
	assert_int_equal(vault_epoch(fixture->vault), 2);
	assert_int_equal(work(fixture, ALL_TIME), MORTISE_OK);
	assert_opens(fixture, 1, 2);
}

/* With a rekey of one secret a slice, something is changed after each of them. */
static void change(struct fixture *fixture, bool reencrypt)
{
	struct vault_outcome outcome;
	uint64_t version;
	char value[32];

	assert_int_equal(vault_rekey(fixture->vault, reencrypt), MORTISE_OK);
	for (unsigned i = 0; vault_has_work(fixture->vault); i++) {
		CLEANUP(secret_drop) struct secret *audit_state = NULL;
		char path[32];
		assert_true(i < 1000);
		is_slice = true;
		assert_int_equal(vault_work(fixture->vault, NO_TIME), MORTISE_OK);
		is_slice = false;
		snprintf(value, sizeof value, "%u", i);
		snprintf(path, sizeof path, "new/%u", i % 40);
		assert_int_equal(set(fixture, "prod/a", value), MORTISE_OK);
		assert_int_equal(set(fixture, path, value), MORTISE_OK);
		assert_int_equal(
			vault_set_deleted(fixture->vault, "prod/b", i % 2 == 0, 5, &outcome),
			MORTISE_OK);
		assert_int_equal(
			vault_set_policy(fixture->vault, bytes_of(value), &version), MORTISE_OK);
		assert_int_equal(secret_copy(value, strlen(value), &audit_state), MORTISE_OK);
		assert_int_equal(vault_set_audit_state(fixture->vault, audit_state), MORTISE_OK);
	}
	assert_int_equal(
		vault_set_deleted(fixture->vault, "prod/b", true, 5, &outcome), MORTISE_OK);
	assert_value(fixture, "prod/a", 0, value);
	assert_opens(fixture, 1, 2);
	assert_value(fixture, "prod/a", 0, value);
	assert_unreadable(fixture, "prod/b", 0, MORTISE_NOT_FOUND);
	assert_value(fixture, "prod/c", 1, "prod/c 1");
	assert_value(fixture, "prod/c", 0, "prod/c 2");
	assert_value(fixture, "new/0", 1, "0");
	assert_unreadable(fixture, "prod/a", 2, MORTISE_NOT_FOUND);
}

static void what_is_written_deleted_or_applied_meanwhile_is_kept(void **state)
{
	change(*state, false);
}

static void every_commit_that_is_acknowledged_is_synced(void **state)
{
	struct fixture *fixture = *state;

	acknowledged = acknowledged_unsynced = 0;
	assert_int_equal(set(fixture, "prod/a", "before"), MORTISE_OK);
	change(fixture, false);
	assert_int_equal(set(fixture, "prod/a", "after"), MORTISE_OK);
	assert_true(acknowledged > 40);
	assert_int_equal(acknowledged_unsynced, 0);
}

static void read_last_path(struct fixture *fixture, char *path, size_t size)
{
	struct vault_head head;
	uint64_t number = 0;

	while (vault_next(fixture->vault, number, &number, &head) == MORTISE_OK)
		snprintf(path, size, "%s", head.path);
}

static void who_writes_the_last_row_with_every_slice_does_not_keep_it_from_its_end(void **state)
{
	struct fixture *fixture = *state;
	char path[MORTISE_PATH_MAX + 1] = "";

	read_last_path(fixture, path, sizeof path);
	assert_int_equal(vault_rekey(fixture->vault, true), MORTISE_OK);
	for (unsigned i = 0; vault_has_work(fixture->vault); i++) {
		assert_true(i < 20);
		assert_int_equal(vault_work(fixture->vault, NO_TIME), MORTISE_OK);
		assert_int_equal(set(fixture, path, "newer"), MORTISE_OK);
	}
	assert_opens(fixture, 1, 2);
}

static void who_makes_secrets_with_every_slice_does_not_keep_it_from_its_end(void **state)
{
	struct fixture *fixture = *state;
	char path[32];

	assert_int_equal(vault_rekey(fixture->vault, false), MORTISE_OK);
	for (unsigned i = 0; vault_rekey_progress(fixture->vault).is_rekeying; i++) {
		assert_true(i < 60);
		assert_int_equal(vault_work(fixture->vault, NO_TIME), MORTISE_OK);
		for (unsigned j = 0; j < 10; j++) {
			snprintf(path, sizeof path, "new/%u-%u", i, j);
			assert_int_equal(set(fixture, path, "new"), MORTISE_OK);
		}
	}
	assert_int_equal(work(fixture, ALL_TIME), MORTISE_OK);
	assert_opens(fixture, 1, 2);
	assert_value(fixture, "new/0-0", 0, "new");
}

static void a_policy_that_is_kept_no_longer_does_not_come_back(void **state)
{
	struct fixture *fixture = *state;
	uint8_t *policy = NULL;
	uint64_t version = 0;
	size_t size = 0;

	begin(fixture, false, 1);
	for (unsigned i = 0; i < 12; i++)
		assert_int_equal(
			vault_set_policy(fixture->vault, bytes_of("newer"), &version), MORTISE_OK);
	assert_int_equal(work(fixture, NO_TIME), MORTISE_OK);
	assert_opens(fixture, 1, 2);
	assert_int_equal(
		vault_policy(fixture->vault, 1, &policy, &size, &version), MORTISE_NOT_FOUND);
	assert_int_equal(vault_policy(fixture->vault, 4, &policy, &size, &version), MORTISE_OK);
	free(policy);
}

/* What is on the disk of a version. */
struct kept {
	struct store_place place;
	uint8_t wrapped_key[ENTRY_KEY_SIZE];
	uint8_t value[64];
	size_t size;
};

static struct kept keep(struct fixture *fixture, const char *path, uint64_t version)
{
	CLEANUP(entry_drop) struct entry *entry = entry_of(fixture, path);
	const struct entry_version *found = entry_version(entry, version);
	struct kept kept = {.size = 0};
	uint8_t *value = NULL;

	assert_non_null(found);
	kept.place = entry_place(entry, found);
	memcpy(kept.wrapped_key, found->wrapped_key, ENTRY_KEY_SIZE);
	assert_int_equal(store_value(fixture->store, &kept.place, &value, &kept.size), MORTISE_OK);
	assert_true(kept.size <= sizeof kept.value);
	memcpy(kept.value, value, kept.size);
	free(value);
	return kept;
}

static void keep_all(struct fixture *fixture, struct kept kept[VERSIONS])
{
	for (size_t i = 0; i < VERSIONS; i++)
		kept[i] = keep(fixture, fixture_paths[i / 2], i % 2 + 1);
}

static bool disk_has(const struct fixture *fixture, const void *bytes, size_t size)
{
	return file_has(fixture, "", bytes, size) || file_has(fixture, "-wal", bytes, size);
}

/* A data key is known by what it encrypts: the old ciphertext is gone, and the new is another. */
static void assert_renewed(
	const struct fixture *fixture, const struct kept *before, const struct kept *after)
{
	uint8_t *value = NULL;
	size_t size = 0;

	assert_int_equal(
		store_value(fixture->store, &before->place, &value, &size), MORTISE_INTEGRITY);
	assert_true(after->place.place > before->place.place);
	assert_int_equal(after->size, before->size);
	assert_memory_not_equal(after->value, before->value, before->size);
	assert_false(disk_has(fixture, before->value, before->size));
	assert_false(disk_has(fixture, before->wrapped_key, ENTRY_KEY_SIZE));
}

static void what_is_written_meanwhile_is_reencrypted_too(void **state)
{
	struct fixture *fixture = *state;

	change(fixture, true);
	begin(fixture, true, 1);
	/* Of the first row, which is done already, and of one that is to come. */
	assert_int_equal(set(fixture, "prod/a", "meanwhile"), MORTISE_OK);
	assert_int_equal(set(fixture, "prod/new", "meanwhile"), MORTISE_OK);
	const struct kept old = keep(fixture, "prod/new", 1);
	const uint64_t version = vault_current(fixture->vault, "prod/a");
	const struct kept first = keep(fixture, "prod/a", version);
	assert_int_equal(work(fixture, ALL_TIME), MORTISE_OK);
	const struct kept new = keep(fixture, "prod/new", 1);
	const struct kept done = keep(fixture, "prod/a", version);
	assert_renewed(fixture, &old, &new);
	assert_renewed(fixture, &first, &done);
	assert_opens(fixture, 1, 3);
	assert_value(fixture, "prod/a", version, "meanwhile");
}

static void reencryption_renews_every_value_and_no_old_one_stays(void **state)
{
	struct fixture *fixture = *state;
	struct kept before[VERSIONS], after[VERSIONS];

	keep_all(fixture, before);
	rekey(fixture, true);
	keep_all(fixture, after);
	assert_fixture_values(fixture);
	for (size_t i = 0; i < VERSIONS; i++)
		assert_renewed(fixture, &before[i], &after[i]);
	assert_opens(fixture, 2, 2);
	assert_fixture_values(fixture);
}

static void without_it_values_stay_as_they_are(void **state)
{
	struct fixture *fixture = *state;
	struct kept before[VERSIONS], after[VERSIONS];

	keep_all(fixture, before);
	rekey(fixture, false);
	assert_fixture_values(fixture);
	keep_all(fixture, after);
	for (size_t i = 0; i < VERSIONS; i++) {
		assert_int_equal(after[i].place.place, before[i].place.place);
		assert_int_equal(after[i].size, before[i].size);
		assert_memory_equal(after[i].value, before[i].value, before[i].size);
		assert_memory_not_equal(
			after[i].wrapped_key, before[i].wrapped_key, ENTRY_KEY_SIZE);
	}
}

static void an_old_wrapped_key_is_in_no_file_once_the_work_is_done(void **state)
{
	struct fixture *fixture = *state;
	struct kept kept[VERSIONS];

	keep_all(fixture, kept);
	close_all(fixture);
	for (size_t i = 0; i < VERSIONS; i++)
		assert_true(file_has(fixture, "", kept[i].wrapped_key, ENTRY_KEY_SIZE));
	assert_int_equal(reopen(fixture), MORTISE_OK);
	rekey(fixture, false);
	for (size_t i = 0; i < VERSIONS; i++)
		assert_false(disk_has(fixture, kept[i].wrapped_key, ENTRY_KEY_SIZE));
}

/* The agent ends after each number of slices; the next one finds a whole store and goes on. */
static void a_rekey_cut_off_anywhere_leaves_the_old_or_the_new(void **state)
{
	struct fixture *fixture = *state;
	bool is_over = false;
	uint64_t epoch = 1;

	for (unsigned slices = 0; !is_over; slices++) {
		assert_int_equal(vault_rekey(fixture->vault, slices % 2), MORTISE_OK);
		for (unsigned i = 0; i < slices && vault_has_work(fixture->vault); i++)
			assert_int_equal(vault_work(fixture->vault, NO_TIME), MORTISE_OK);
		is_over = !vault_has_work(fixture->vault);
		epoch = vault_epoch(fixture->vault);
		assert_opens(fixture, 1 + slices % 2, epoch);
		assert_fixture_values(fixture);
	}
	assert_true(epoch > 2);
	close_all(fixture);
	assert_int_equal(count(fixture, "SELECT count(*) FROM value"), 6);
	assert_int_equal(count(fixture, "SELECT count(*) FROM secret"), 3);
	assert_int_equal(count(fixture, "SELECT count(DISTINCT epoch) FROM item"), 1);
}

/* Of the old key or the new, whichever call fails, and a later rekey works. */
static void a_call_of_the_store_that_fails_leaves_the_old_or_the_new(void **state)
{
	struct fixture *fixture = *state;
	bool is_over[2] = {false, false}; /* without new data keys, and with: no call is left */
	uint64_t epoch = 1;
	unsigned failed = 0;

	for (unsigned n = 1; !is_over[0] || !is_over[1]; n++) {
		assert_true(n < EVER);
		assert_int_equal(vault_rekey(fixture->vault, n % 2), MORTISE_OK);
		calls = 0;
		fail_at = n;
		enum mortise_status status = work(fixture, ALL_TIME);
		fail_at = 0;
		is_over[n % 2] = status == MORTISE_OK && calls < n;
		failed += status != MORTISE_OK;
		assert_true(status == MORTISE_OK || status == MORTISE_IO);
		assert_false(vault_rekey_progress(fixture->vault).is_rekeying);
		assert_in_range(vault_epoch(fixture->vault), epoch, epoch + 1);
		assert_fixture_values(fixture);
		if (!vault_is_stale(fixture->vault))
			assert_int_equal(work(fixture, ALL_TIME), MORTISE_OK);
		epoch = vault_epoch(fixture->vault);
		assert_opens(fixture, 1, epoch);
		assert_fixture_values(fixture);
	}
	assert_true(failed > 35);
	close_all(fixture);
	assert_int_equal(count(fixture, "SELECT count(*) FROM value"), 6);
	assert_int_equal(count(fixture, "SELECT count(*) FROM secret"), 3);
}

/* Somebody with the disk has put rows of the epoch to come there, and some of none at all. */
static void rows_planted_for_the_next_epoch_do_not_become_the_store_s(void **state)
{
	struct fixture *fixture = *state;

	edit(fixture, "INSERT INTO secret SELECT number - (1 << 62), record FROM secret;"
		      "INSERT INTO secret VALUES(77, randomblob(300)), (-5, x'00'), (0, x'00'), "
		      "((1 << 62) + (1 << 41), x'00'), (1 << 62, x'00');"
		      "INSERT INTO item SELECT 2, kind, 7, body FROM item WHERE number=1;"
		      "INSERT INTO value SELECT place + 100, secret, version, bytes FROM value;"
		      "INSERT INTO value VALUES(500, 77, 1, randomblob(60))");
	assert_int_equal(reopen(fixture), MORTISE_OK);
	assert_fixture_values(fixture);
	assert_int_equal(count_listed(fixture), FIXTURE_PATHS);
	assert_int_equal(vault_rekey(fixture->vault, true), MORTISE_BUSY);
	assert_int_equal(work(fixture, NO_TIME), MORTISE_OK);
	rekey(fixture, true);
	assert_opens(fixture, 1, 2);
	assert_fixture_values(fixture);
	close_all(fixture);
	assert_int_equal(count(fixture, "SELECT count(*) FROM value"), 6);
	assert_int_equal(count(fixture, "SELECT count(*) FROM secret"), 3);
}

/* Nothing tells of them until all values are looked at. */
static void values_that_are_of_no_version_are_removed_before_a_rekey(void **state)
{
	struct fixture *fixture = *state;

	for (unsigned reencrypt = 0; reencrypt < 2; reencrypt++) {
		edit(fixture, "INSERT INTO value SELECT place + 100, secret, version, bytes FROM "
			      "value;"
			      "INSERT INTO value VALUES(5000, 77, 1, randomblob(60))");
		assert_int_equal(reopen(fixture), MORTISE_OK);
		rekey(fixture, reencrypt);
		assert_opens(fixture, 1, 2 + reencrypt);
		assert_fixture_values(fixture);
		close_all(fixture);
		assert_int_equal(count(fixture, "SELECT count(*) FROM value"), 6);
	}
}

static void a_value_that_is_not_what_was_set_ends_a_reencryption(void **state)
{
	struct fixture *fixture = *state;

	edit(fixture, "UPDATE value SET bytes=randomblob(length(bytes)) WHERE version=1 AND secret="
		      "(SELECT max(secret) FROM value)");
	assert_int_equal(reopen(fixture), MORTISE_OK);
	assert_int_equal(vault_rekey(fixture->vault, true), MORTISE_OK);
	assert_int_equal(work(fixture, ALL_TIME), MORTISE_INTEGRITY);
	assert_false(vault_rekey_progress(fixture->vault).is_rekeying);
	assert_int_equal(work(fixture, ALL_TIME), MORTISE_OK);
	assert_int_equal(vault_epoch(fixture->vault), 1);
	assert_value(fixture, "prod/a", 2, "prod/a 2");
	/* Without it values are not looked at. */
	rekey(fixture, false);
	assert_int_equal(vault_epoch(fixture->vault), 2);
}

/* Puts a row on the disk past the vault. */
static void plant(
	struct fixture *fixture, uint64_t epoch, uint64_t number, struct store_bytes record)
{
	assert_int_equal(store_begin(fixture->store), MORTISE_OK);
	assert_int_equal(store_put_secret(fixture->store, epoch, number, record), MORTISE_OK);
	assert_int_equal(store_commit(fixture->store), MORTISE_OK);
}

/* And what is swept before and after takes nothing of that secret. */
static void a_row_that_is_not_what_was_written_ends_a_rekey(void **state)
{
	struct fixture *fixture = *state;
	CLEANUP(entry_drop) struct entry *right = entry_of(fixture, "prod/b");
	CLEANUP(entry_drop) struct entry *other = entry_of(fixture, "prod/c");

	for (unsigned reencrypt = 0; reencrypt < 2; reencrypt++) {
		assert_int_equal(reopen(fixture), MORTISE_OK); /* nothing is in memory */
		plant(fixture, 1, right->number,
			(struct store_bytes){other->record, other->record_size});
		assert_int_equal(vault_rekey(fixture->vault, reencrypt), MORTISE_OK);
		assert_int_equal(work(fixture, ALL_TIME), MORTISE_INTEGRITY);
		assert_false(vault_rekey_progress(fixture->vault).is_rekeying);
		assert_int_equal(work(fixture, ALL_TIME), MORTISE_OK);
		assert_int_equal(vault_epoch(fixture->vault), 1);
		assert_unreadable(fixture, "prod/b", 0, MORTISE_INTEGRITY);
		plant(fixture, 1, right->number,
			(struct store_bytes){right->record, right->record_size});
		assert_fixture_values(fixture);
		assert_opens(fixture, 1, 1);
	}
	rekey(fixture, false);
	assert_opens(fixture, 1, 2);
	assert_fixture_values(fixture);
}

/* What a rekey has made is no safer on the disk than the rest: it is checked when it is done again.
 */
static void a_row_of_a_rekey_that_was_changed_on_the_disk_ends_it(void **state)
{
	struct fixture *fixture = *state;
	CLEANUP(entry_drop) struct entry *row = entry_of(fixture, "prod/b");

	begin(fixture, true, 2);
	plant(fixture, 2, number_of(fixture, "prod/a"),
		(struct store_bytes){row->record, row->record_size});
	assert_int_equal(set(fixture, "prod/a", "prod/a 3"), MORTISE_OK);
	assert_int_equal(work(fixture, ALL_TIME), MORTISE_INTEGRITY);
	assert_int_equal(work(fixture, ALL_TIME), MORTISE_OK);
	assert_opens(fixture, 1, 1);
	assert_fixture_values(fixture);
	assert_value(fixture, "prod/a", 3, "prod/a 3");
}

static void an_empty_store_is_rekeyed_too(void **state)
{
	struct fixture *fixture = *state;

	edit(fixture, "VACUUM"); /* closes it */
	unlink(fixture->path);
	assert_int_equal(store_open(fixture->directory, &fixture->store), MORTISE_OK);
	assert_int_equal(create(fixture), MORTISE_OK);
	assert_int_equal(reopen(fixture), MORTISE_OK);
	rekey(fixture, true);
	assert_opens(fixture, 2, 2);
	assert_int_equal(vault_count(fixture->vault), 0);
}

static void many_secrets_are_done_in_many_slices(void **state)
{
	struct fixture *fixture = *state;
	uint64_t before = 0;
	char path[32];

	for (unsigned i = 0; i < MANY; i++) {
		snprintf(path, sizeof path, "many/%u", i);
		assert_int_equal(set(fixture, path, path), MORTISE_OK);
	}
	assert_int_equal(vault_rekey(fixture->vault, false), MORTISE_OK);
	while (vault_rekey_progress(fixture->vault).is_rekeying) {
		const struct vault_progress progress = vault_rekey_progress(fixture->vault);
		assert_in_range(progress.done, before, before + 1);
		assert_int_equal(progress.total, MANY + FIXTURE_PATHS);
		before = progress.done;
		assert_int_equal(vault_work(fixture->vault, NO_TIME), MORTISE_OK);
	}
	assert_int_equal(work(fixture, ALL_TIME), MORTISE_OK);
	assert_opens(fixture, 1, 2);
	assert_int_equal(vault_count(fixture->vault), MANY + FIXTURE_PATHS);
	assert_value(fixture, "many/7", 0, "many/7");
}

#define IN_VAULT(test) cmocka_unit_test_setup_teardown(test, set_up_secrets, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_VAULT(every_row_is_of_the_next_epoch),
		IN_VAULT(rows_of_the_epoch_after_the_next_are_where_those_of_the_first_were),
		IN_VAULT(the_old_key_opens_nothing_any_more),
		IN_VAULT(every_slot_opens_the_new_key_and_is_else_what_it_was),
		IN_VAULT(policy_and_audit_state_are_still_there),
		IN_VAULT(a_second_rekey_follows_the_first),
		IN_VAULT(there_is_one_rekey_at_a_time),
		IN_VAULT(all_is_served_throughout),
		IN_VAULT(a_check_that_goes_on_over_a_rekey_finds_all_right),
		IN_VAULT(what_is_written_deleted_or_applied_meanwhile_is_kept),
		IN_VAULT(every_commit_that_is_acknowledged_is_synced),
		IN_VAULT(who_writes_the_last_row_with_every_slice_does_not_keep_it_from_its_end),
		IN_VAULT(who_makes_secrets_with_every_slice_does_not_keep_it_from_its_end),
		IN_VAULT(a_policy_that_is_kept_no_longer_does_not_come_back),
		IN_VAULT(what_is_written_meanwhile_is_reencrypted_too),
		IN_VAULT(reencryption_renews_every_value_and_no_old_one_stays),
		IN_VAULT(without_it_values_stay_as_they_are),
		IN_VAULT(an_old_wrapped_key_is_in_no_file_once_the_work_is_done),
		IN_VAULT(a_rekey_cut_off_anywhere_leaves_the_old_or_the_new),
		IN_VAULT(a_call_of_the_store_that_fails_leaves_the_old_or_the_new),
		IN_VAULT(rows_planted_for_the_next_epoch_do_not_become_the_store_s),
		IN_VAULT(values_that_are_of_no_version_are_removed_before_a_rekey),
		IN_VAULT(a_value_that_is_not_what_was_set_ends_a_reencryption),
		IN_VAULT(a_row_that_is_not_what_was_written_ends_a_rekey),
		IN_VAULT(a_row_of_a_rekey_that_was_changed_on_the_disk_ends_it),
		IN_VAULT(an_empty_store_is_rekeyed_too),
		IN_VAULT(many_secrets_are_done_in_many_slices),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
