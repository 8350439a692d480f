/* SPDX-License-Identifier: ISC */
#include <signal.h>
#include <sys/resource.h>

#include "records.h"
#include "vault_fixture.h"
#include "vault_rows.h"

#define MANY_ROWS 300

/* Writes and gives the outcome. */
static struct vault_outcome write_out(struct fixture *fixture, const struct vault_write *write)
{
	struct vault_outcome outcome = {0, false};

	assert_int_equal(vault_write(fixture->vault, write, &outcome), MORTISE_OK);
	return outcome;
}

/* Is refused, and leaves the outcome and the store alone. */
static void assert_refused(
	struct fixture *fixture, const struct vault_write *write, enum mortise_status expected)
{
	struct vault_outcome outcome = {77, true};

	assert_int_equal(vault_write(fixture->vault, write, &outcome), expected);
	assert_int_equal(outcome.version, 77);
}

/* All that is on disk is right, and has so many values. */
static void assert_whole(struct fixture *fixture, size_t expected)
{
	char complaint[VAULT_PATH_SIZE + 96];
	size_t values = 0;

	if (verify_all(fixture, &values, complaint, sizeof complaint) != MORTISE_OK)
		fail_msg("%s", complaint);
	assert_int_equal(values, expected);
}

static void values_of_every_size_come_back_byte_for_byte(void **state)
{
	static const size_t sizes[] = {0, 1, 2, 4096, MORTISE_VALUE_MAX};
	struct fixture *fixture = *state;
	static uint8_t value[MORTISE_VALUE_MAX];

	for (size_t i = 0; i < sizeof value; i++)
		value[i] = (uint8_t)(i * 31);
	for (unsigned pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
			CLEANUP(secret_drop) struct secret *read = NULL;
			struct vault_write write = a_write(fixture, "a/b", value, sizes[i]);
			struct vault_outcome outcome = {i + 1, true};
			if (pass == 0)
				outcome = write_out(fixture, &write);
			assert_int_equal(outcome.version, i + 1);
			assert_true(outcome.changed);
			assert_int_equal(get_version(fixture, "a/b", i + 1, &read), MORTISE_OK);
			assert_int_equal(read->size, sizes[i]);
			assert_memory_equal(read->bytes, value, sizes[i]);
		}
		assert_int_equal(reopen(fixture), MORTISE_OK);
	}
}

static void a_value_that_is_too_large_is_refused(void **state)
{
	struct fixture *fixture = *state;
	static uint8_t value[MORTISE_VALUE_MAX + 1];
	struct vault_write write = a_write(fixture, "a", value, sizeof value);

	assert_refused(fixture, &write, MORTISE_INVALID);
	assert_int_equal(vault_count(fixture->vault), 0);
}

static void an_empty_value_may_be_no_pointer_at_all(void **state)
{
	struct fixture *fixture = *state;
	struct vault_write write = a_write(fixture, "a", NULL, 0);

	assert_int_equal(write_out(fixture, &write).version, 1);
	assert_value(fixture, "a", 0, "");
	write = a_write(fixture, "a", NULL, 0);
	write.only_if_changed = true;
	assert_false(write_out(fixture, &write).changed);
}

static void what_is_not_there_is_not_found(void **state)
{
	struct fixture *fixture = *state;
	struct vault_version versions[VAULT_VERSIONS_MAX];
	struct vault_outcome outcome;
	struct vault_head head;
	size_t count;

	assert_unreadable(fixture, "a", 0, MORTISE_NOT_FOUND);
	assert_int_equal(set(fixture, "a", "1"), MORTISE_OK);
	assert_unreadable(fixture, "a", 2, MORTISE_NOT_FOUND);
	assert_unreadable(fixture, "a/b", 0, MORTISE_NOT_FOUND);
	assert_int_equal(
		vault_show(fixture->vault, "b", &head, versions, &count), MORTISE_NOT_FOUND);
	assert_int_equal(
		vault_set_deleted(fixture->vault, "b", true, 9, &outcome), MORTISE_NOT_FOUND);
}

static void previous_is_the_version_before_the_current_one(void **state)
{
	struct fixture *fixture = *state;
	const struct vault_choice previous = {VAULT_PREVIOUS, 0};
	CLEANUP(secret_drop) struct secret *value = NULL;
	uint64_t version = 77;

	assert_int_equal(set(fixture, "a", "one"), MORTISE_OK);
	assert_int_equal(
		vault_read(fixture->vault, "a", &previous, &value, &version), MORTISE_NOT_FOUND);
	assert_int_equal(version, 77);
	assert_int_equal(set(fixture, "a", "two"), MORTISE_OK);
	assert_int_equal(vault_read(fixture->vault, "a", &previous, &value, &version), MORTISE_OK);
	assert_int_equal(version, 1);
	assert_memory_equal(value->bytes, "one", 3);
	assert_value(fixture, "a", 2, "two");
	assert_value(fixture, "a", 0, "two");
}

static void the_expected_version_must_be_the_current_one(void **state)
{
	struct fixture *fixture = *state;
	struct vault_write write = a_write(fixture, "a", "x", 1);

	assert_int_equal(set(fixture, "a", "1"), MORTISE_OK);
	write.has_expected_version = true;
	write.expected_version = 2;
	assert_refused(fixture, &write, MORTISE_CONFLICT);
	write.expected_version = 0;
	assert_refused(fixture, &write, MORTISE_CONFLICT);
	assert_value(fixture, "a", 0, "1");
	write.expected_version = 1;
	assert_int_equal(write_out(fixture, &write).version, 2);
	assert_value(fixture, "a", 0, "x");
}

static void to_expect_no_version_makes_a_secret_once(void **state)
{
	struct fixture *fixture = *state;
	struct vault_write write = a_write(fixture, "a", "x", 1);

	write.has_expected_version = true;
	assert_int_equal(write_out(fixture, &write).version, 1);
	write = a_write(fixture, "a", "x", 1);
	write.has_expected_version = true;
	assert_refused(fixture, &write, MORTISE_CONFLICT);
	write.only_if_changed = true;
	assert_refused(fixture, &write, MORTISE_CONFLICT);
	write.path = "b";
	write.expected_version = 1;
	assert_refused(fixture, &write, MORTISE_CONFLICT);
}

static void the_same_value_is_not_written_where_only_changes_are(void **state)
{
	struct fixture *fixture = *state;
	struct vault_write write = a_write(fixture, "a", "same", 4);

	write.only_if_changed = true;
	assert_true(write_out(fixture, &write).changed);
	write = a_write(fixture, "a", "same", 4);
	write.only_if_changed = true;
	struct vault_outcome outcome = write_out(fixture, &write);
	assert_false(outcome.changed);
	assert_int_equal(outcome.version, 1);
	write.value = (const uint8_t *)"Same";
	outcome = write_out(fixture, &write);
	assert_true(outcome.changed);
	assert_int_equal(outcome.version, 2);
	write = a_write(fixture, "a", "Sam", 3);
	write.only_if_changed = true;
	assert_true(write_out(fixture, &write).changed);
}

static void a_write_repeated_with_its_token_is_done_once(void **state)
{
	struct fixture *fixture = *state;
	struct vault_write write = a_write(fixture, "a", "x", 1);

	for (unsigned i = 0; i < 4; i++) {
		struct vault_outcome outcome = write_out(fixture, &write);
		assert_int_equal(outcome.version, 1);
		assert_true(outcome.changed);
		if (i == 1)
			assert_int_equal(reopen(fixture), MORTISE_OK);
	}
	assert_unreadable(fixture, "a", 2, MORTISE_NOT_FOUND);
}

static void a_repeated_write_does_not_undo_what_came_after_it(void **state)
{
	struct fixture *fixture = *state;
	struct vault_write write = a_write(fixture, "a", "first", 5);

	write_out(fixture, &write);
	assert_int_equal(set(fixture, "a", "second"), MORTISE_OK);
	assert_int_equal(write_out(fixture, &write).version, 1);
	assert_value(fixture, "a", 0, "second");
}

static void a_repeated_write_does_not_bring_back_what_was_deleted(void **state)
{
	struct fixture *fixture = *state;
	struct vault_write write = a_write(fixture, "a", "x", 1);
	struct vault_outcome outcome;

	write_out(fixture, &write);
	assert_int_equal(vault_set_deleted(fixture->vault, "a", true, 5, &outcome), MORTISE_OK);
	assert_int_equal(write_out(fixture, &write).version, 1);
	assert_unreadable(fixture, "a", 0, MORTISE_NOT_FOUND);
}

static void a_repeated_write_does_not_conflict_with_itself(void **state)
{
	struct fixture *fixture = *state;
	struct vault_write write = a_write(fixture, "a", "x", 1);

	write.has_expected_version = true;
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(write_out(fixture, &write).version, 1);
}

static void a_token_counts_for_its_own_path_only(void **state)
{
	struct fixture *fixture = *state;
	struct vault_write write = a_write(fixture, "a", "x", 1);

	write_out(fixture, &write);
	write.path = "b";
	write_out(fixture, &write);
	assert_value(fixture, "b", 0, "x");
}

static void a_dry_run_tells_what_would_be_and_changes_nothing(void **state)
{
	struct fixture *fixture = *state;
	struct vault_write write = a_write(fixture, "a", "x", 1);
	struct vault_outcome outcome;

	vault_rehearse(fixture->vault, true);
	assert_int_equal(write_out(fixture, &write).version, 1);
	vault_rehearse(fixture->vault, false);
	assert_int_equal(vault_count(fixture->vault), 0);
	assert_int_equal(set(fixture, "a", "1"), MORTISE_OK);
	write = a_write(fixture, "a", "x", 1);
	vault_rehearse(fixture->vault, true);
	assert_int_equal(write_out(fixture, &write).version, 2);
	write.has_expected_version = true;
	assert_refused(fixture, &write, MORTISE_CONFLICT);
	assert_int_equal(vault_set_deleted(fixture->vault, "a", true, 5, &outcome), MORTISE_OK);
	assert_true(outcome.changed);
	vault_rehearse(fixture->vault, false);
	for (unsigned pass = 0; pass < 2; pass++) {
		assert_value(fixture, "a", 0, "1");
		assert_unreadable(fixture, "a", 2, MORTISE_NOT_FOUND);
		assert_int_equal(reopen(fixture), MORTISE_OK);
	}
}

static void a_deleted_secret_is_out_of_sight_until_it_is_put_back(void **state)
{
	struct fixture *fixture = *state;
	struct vault_outcome outcome;

	assert_int_equal(set(fixture, "a", "one"), MORTISE_OK);
	assert_int_equal(vault_set_deleted(fixture->vault, "a", true, 5, &outcome), MORTISE_OK);
	assert_true(outcome.changed);
	assert_int_equal(outcome.version, 1);
	for (unsigned pass = 0; pass < 2; pass++) {
		assert_unreadable(fixture, "a", 0, MORTISE_NOT_FOUND);
		assert_unreadable(fixture, "a", 1, MORTISE_NOT_FOUND);
		assert_int_equal(reopen(fixture), MORTISE_OK);
	}
	assert_int_equal(vault_set_deleted(fixture->vault, "a", true, 6, &outcome), MORTISE_OK);
	assert_false(outcome.changed);
	assert_int_equal(vault_set_deleted(fixture->vault, "a", false, 7, &outcome), MORTISE_OK);
	assert_true(outcome.changed);
	assert_value(fixture, "a", 0, "one");
	assert_int_equal(reopen(fixture), MORTISE_OK);
	assert_value(fixture, "a", 0, "one");
}

static void a_write_puts_a_deleted_secret_back(void **state)
{
	struct fixture *fixture = *state;
	struct vault_outcome outcome;
	struct vault_write write = a_write(fixture, "a", "one", 3);

	assert_int_equal(set(fixture, "a", "one"), MORTISE_OK);
	assert_int_equal(vault_set_deleted(fixture->vault, "a", true, 5, &outcome), MORTISE_OK);
	/* For who may not see it, it does not exist: the value is new and version 0 expected. */
	write.only_if_changed = true;
	write.has_expected_version = true;
	assert_int_equal(write_out(fixture, &write).version, 2);
	assert_value(fixture, "a", 0, "one");
}

static void all_secrets_are_listed_once_deleted_ones_too(void **state)
{
	struct fixture *fixture = *state;
	bool seen[MANY_ROWS] = {false};
	struct vault_outcome outcome;
	struct vault_head head;
	uint64_t after = 0;
	unsigned count = 0;
	char path[32];

	for (unsigned i = 0; i < MANY_ROWS; i++) {
		snprintf(path, sizeof path, "many/s%u", i);
		assert_int_equal(set(fixture, path, path), MORTISE_OK);
	}
	assert_int_equal(
		vault_set_deleted(fixture->vault, "many/s7", true, 5, &outcome), MORTISE_OK);
	assert_int_equal(reopen(fixture), MORTISE_OK);
	while (vault_next(fixture->vault, after, &after, &head) == MORTISE_OK) {
		unsigned number = (unsigned)strtoul(head.path + strlen("many/s"), NULL, 10);
		assert_true(number < MANY_ROWS && !seen[number]);
		assert_int_equal(head.deleted_us, number == 7 ? 5 : 0);
		seen[number] = true;
		count++;
	}
	assert_int_equal(count, MANY_ROWS);
	assert_int_equal(vault_count(fixture->vault), MANY_ROWS);
	assert_whole(fixture, MANY_ROWS);
}

static void a_secret_shows_who_made_its_versions_and_when(void **state)
{
	struct fixture *fixture = *state;
	struct vault_version versions[VAULT_VERSIONS_MAX];
	struct vault_head head;
	size_t count = 0;

	for (unsigned i = 1; i <= 3; i++) {
		struct vault_write write = a_write(fixture, "a/b", "xxxx", i);
		write.uid = 1000 + i;
		write.time_us = 500 + i;
		write_out(fixture, &write);
	}
	assert_int_equal(reopen(fixture), MORTISE_OK);
	assert_int_equal(vault_show(fixture->vault, "a/b", &head, versions, &count), MORTISE_OK);
	assert_string_equal(head.path, "a/b");
	assert_int_equal(head.current, 3);
	assert_int_equal(head.created_us, 501);
	assert_int_equal(head.deleted_us, 0);
	assert_int_equal(count, 3);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(versions[i].number, i + 1);
		assert_int_equal(versions[i].uid, 1001 + i);
		assert_int_equal(versions[i].created_us, 501 + i);
		assert_int_equal(versions[i].size_bytes, i + 1);
	}
}

static void the_longest_path_can_be_used(void **state)
{
	struct fixture *fixture = *state;
	struct vault_head head;
	uint64_t number = 0;
	char path[MORTISE_PATH_MAX + 1];

	memset(path, 'p', MORTISE_PATH_MAX);
	path[MORTISE_PATH_MAX] = '\0';
	assert_int_equal(set(fixture, path, "x"), MORTISE_OK);
	assert_int_equal(reopen(fixture), MORTISE_OK);
	assert_value(fixture, path, 0, "x");
	assert_int_equal(vault_next(fixture->vault, 0, &number, &head), MORTISE_OK);
	assert_string_equal(head.path, path);
}

/* The ciphertext of version 1. */
static size_t first_ciphertext(struct fixture *fixture, const char *path, uint8_t **out_bytes)
{
	const struct store_place place = place_of(fixture, path, 1);
	size_t size = 0;

	assert_int_equal(store_value(fixture->store, &place, out_bytes, &size), MORTISE_OK);
	return size;
}

static void only_ten_versions_are_kept_and_the_eldest_is_destroyed(void **state)
{
	struct fixture *fixture = *state;
	struct vault_version versions[VAULT_VERSIONS_MAX];
	struct vault_head head;
	uint8_t *pruned = NULL;
	size_t pruned_size = 0, count = 0;
	char value[32];

	for (unsigned i = 1; i <= 25; i++) {
		snprintf(value, sizeof value, "the value number %u", i);
		assert_int_equal(set(fixture, "a", value), MORTISE_OK);
		if (i == 1)
			pruned_size = first_ciphertext(fixture, "a", &pruned);
	}
	assert_int_equal(store_truncate_log(fixture->store), MORTISE_OK);
	assert_false(file_has(fixture, "", pruned, pruned_size));
	assert_false(file_has(fixture, "-wal", pruned, pruned_size));
	free(pruned);
	for (unsigned pass = 0; pass < 2; pass++) {
		assert_int_equal(
			vault_show(fixture->vault, "a", &head, versions, &count), MORTISE_OK);
		assert_int_equal(count, VAULT_KEEP_VERSIONS);
		assert_int_equal(versions[0].number, 16);
		assert_unreadable(fixture, "a", 15, MORTISE_NOT_FOUND);
		assert_value(fixture, "a", 16, "the value number 16");
		assert_value(fixture, "a", 0, "the value number 25");
		assert_whole(fixture, VAULT_KEEP_VERSIONS);
		assert_int_equal(reopen(fixture), MORTISE_OK);
	}
}

static void a_store_is_made_once(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(create(fixture), MORTISE_CONFLICT);
	assert_int_equal(reopen(fixture), MORTISE_OK);
	assert_memory_equal(vault_uuid(fixture->vault), fixture_uuid, ID_SIZE);
	assert_int_equal(vault_epoch(fixture->vault), 1);
}

static void a_store_that_was_never_made_does_not_open(void **state)
{
	struct fixture *fixture = *state;

	close_all(fixture);
	unlink(fixture->path);
	assert_int_equal(reopen(fixture), MORTISE_NOT_FOUND);
	assert_null(fixture->vault);
}

static void another_master_key_does_not_open_the_store(void **state)
{
	struct fixture *fixture = *state;

	fixture->master_key->bytes[0] ^= 1;
	assert_int_equal(reopen(fixture), MORTISE_INTEGRITY);
	assert_null(fixture->vault);
	fixture->master_key->bytes[0] ^= 1;
	assert_int_equal(reopen(fixture), MORTISE_OK);
}

static void assert_policy(
	struct fixture *fixture, uint64_t asked, uint64_t number, const char *text)
{
	uint8_t *policy = NULL;
	uint64_t version = 0;
	size_t size = 0;

	assert_int_equal(vault_policy(fixture->vault, asked, &policy, &size, &version), MORTISE_OK);
	assert_int_equal(version, number);
	assert_int_equal(size, strlen(text));
	assert_memory_equal(policy, text, size);
	free(policy);
}

static void the_last_ten_policies_are_kept(void **state)
{
	struct fixture *fixture = *state;
	uint8_t *policy = NULL;
	uint64_t version = 0;
	size_t size = 0;
	char text[32];

	assert_policy(fixture, 0, 1, POLICY_TEXT);
	for (unsigned i = 2; i <= 15; i++) {
		snprintf(text, sizeof text, "policy %u", i);
		assert_int_equal(
			vault_set_policy(fixture->vault, bytes_of(text), &version), MORTISE_OK);
		assert_int_equal(version, i);
	}
	for (unsigned pass = 0; pass < 2; pass++) {
		assert_policy(fixture, 0, 15, "policy 15");
		assert_policy(fixture, 6, 6, "policy 6");
		assert_int_equal(vault_policy(fixture->vault, 5, &policy, &size, &version),
			MORTISE_NOT_FOUND);
		assert_int_equal(vault_policy(fixture->vault, 16, &policy, &size, &version),
			MORTISE_NOT_FOUND);
		assert_null(policy);
		assert_int_equal(reopen(fixture), MORTISE_OK);
	}
}

static void the_audit_state_is_replaced(void **state)
{
	struct fixture *fixture = *state;
	CLEANUP(secret_drop) struct secret *state_set = NULL;
	CLEANUP(secret_drop) struct secret *first = NULL;
	CLEANUP(secret_drop) struct secret *second = NULL;

	assert_int_equal(vault_audit_state(fixture->vault, &first), MORTISE_OK);
	assert_memory_equal(first->bytes, "audit keys", 10);
	assert_int_equal(secret_random(500, &state_set), MORTISE_OK);
	assert_int_equal(vault_set_audit_state(fixture->vault, state_set), MORTISE_OK);
	assert_int_equal(reopen(fixture), MORTISE_OK);
	assert_int_equal(vault_audit_state(fixture->vault, &second), MORTISE_OK);
	assert_true(secret_equals(second, state_set));
}

/* The ciphertext of the state, as it lies in the store. */
static size_t state_ciphertext(struct fixture *fixture, uint8_t **out_bytes)
{
	size_t size = 0;

	assert_int_equal(store_item(fixture->store, STORE_AUDIT, 1, out_bytes, &size), MORTISE_OK);
	return size;
}

static void a_replaced_audit_state_is_in_no_file(void **state)
{
	struct fixture *fixture = *state;
	CLEANUP(secret_drop) struct secret *newer = NULL;
	uint8_t *old = NULL;
	size_t size = state_ciphertext(fixture, &old);

	assert_int_equal(secret_random(500, &newer), MORTISE_OK);
	assert_int_equal(vault_set_audit_state(fixture->vault, newer), MORTISE_OK);
	assert_true(file_has(fixture, "-wal", old, size) || file_has(fixture, "", old, size));
	assert_int_equal(vault_forget_old(fixture->vault), MORTISE_OK);
	assert_false(file_has(fixture, "-wal", old, size));
	assert_false(file_has(fixture, "", old, size));
	free(old);
}

static void neither_names_nor_values_nor_policy_stand_in_the_files(void **state)
{
	static const char *const canaries[] = {
		"canary-name", "the canary value", "canary-policy", "canary audit keys"};
	struct fixture *fixture = *state;
	CLEANUP(secret_drop) struct secret *audit_state = NULL;
	uint64_t version;

	assert_int_equal(set(fixture, "prod/canary-name", "the canary value"), MORTISE_OK);
	assert_int_equal(
		vault_set_policy(fixture->vault, bytes_of("[rule canary-policy]"), &version),
		MORTISE_OK);
	assert_int_equal(secret_copy("canary audit keys", 17, &audit_state), MORTISE_OK);
	assert_int_equal(vault_set_audit_state(fixture->vault, audit_state), MORTISE_OK);
	assert_true(file_has(fixture, "-wal", "a blob", 6)); /* the search itself works */
	for (unsigned pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < sizeof canaries / sizeof canaries[0]; i++) {
			assert_false(file_has(fixture, "", canaries[i], strlen(canaries[i])));
			assert_false(file_has(fixture, "-wal", canaries[i], strlen(canaries[i])));
		}
		assert_false(file_has(fixture, "", fixture->master_key->bytes, KEY_SIZE));
		assert_false(file_has(fixture, "-wal", fixture->master_key->bytes, KEY_SIZE));
		close_all(fixture);
		assert_true(file_has(fixture, "", "a blob", 6));
	}
}

static void a_full_pool_is_a_clean_error(void **state)
{
	struct fixture *fixture = *state;
	static struct secret *fillers[POOL_SIZE / 64];
	struct vault_write write = a_write(fixture, "a", "x", 1);
	struct secret *value = NULL;
	size_t count = 0;

	assert_int_equal(set(fixture, "a", "1"), MORTISE_OK);
	while (secret_new(1, &fillers[count]) == MORTISE_OK)
		count++;
	assert_refused(fixture, &write, MORTISE_BUSY);
	assert_int_equal(get_version(fixture, "a", 0, &value), MORTISE_BUSY);
	assert_int_equal(reopen(fixture), MORTISE_BUSY);
	while (count > 0)
		secret_drop(&fillers[--count]);
	assert_int_equal(reopen(fixture), MORTISE_OK);
	assert_value(fixture, "a", 0, "1");
}

/* FAULTS row 13: the file may not grow any more. */
static void a_commit_that_fails_makes_the_vault_stale_until_it_is_reopened(void **state)
{
	struct fixture *fixture = *state;
	struct rlimit before, limit = {4096, 4096};

	assert_int_equal(set(fixture, "a", "1"), MORTISE_OK);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	limit.rlim_max = before.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	enum mortise_status first = set(fixture, "a", "2");
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	signal(SIGXFSZ, SIG_DFL);

	assert_int_equal(first, MORTISE_IO);
	assert_true(vault_is_stale(fixture->vault));
	assert_int_equal(set(fixture, "b", "1"), MORTISE_IO);
	assert_value(fixture, "a", 0, "1");
	assert_int_equal(reopen(fixture), MORTISE_OK);
	assert_false(vault_is_stale(fixture->vault));
	assert_value(fixture, "a", 0, "1");
	assert_int_equal(set(fixture, "a", "2"), MORTISE_OK);
	assert_value(fixture, "a", 0, "2");
}

static void nothing_can_be_closed(void **state)
{
	vault_close(NULL);
}

/* A head or info as some later build might write it: sealed with the right key, at its place. */
static uint64_t seal_record(struct fixture *fixture, enum envelope_kind kind, uint32_t version,
	unsigned added, uint8_t out_sealed[600])
{
	const struct envelope_binding place = {
		kind, fixture_uuid, 7, kind == ENVELOPE_HEAD ? 0 : 1, vault_epoch(fixture->vault)};
	uint8_t plain[500];
	struct wire_writer writer;

	wire_begin(&writer, plain, sizeof plain, kind == ENVELOPE_HEAD ? 2 : 3, version);
	if (kind == ENVELOPE_HEAD) {
		wire_put_text(&writer, RECORD_TAG_PATH, "prod/a");
		wire_put_number(&writer, RECORD_TAG_VERSION, 1);
	} else {
		wire_put(&writer, RECORD_TAG_TOKEN, "0123456789abcdef", 16);
		wire_put_number(&writer, RECORD_TAG_NUMBER, 34);
	}
	wire_put_number(&writer, RECORD_TAG_TIME, 1000);
	if (kind == ENVELOPE_VERSION_INFO)
		wire_put_number(&writer, RECORD_TAG_TOTAL, 5);
	if (added)
		wire_put_number(&writer, added, 1);
	size_t size = wire_finish(&writer);
	assert_true(size > 0);
	envelope_seal(fixture->vault->keyring.key[KEY_LABEL], &place, plain, size, out_sealed);
	return size + ENVELOPE_OVERHEAD;
}

/* What a later build says in a field that we do not know may be why nobody may have the value. */
static void a_head_or_info_with_a_field_or_version_that_is_unknown_is_refused(void **state)
{
	static const struct {
		uint32_t version;
		unsigned added;
		enum mortise_status expected;
	} cases[] = {{0, 0, MORTISE_OK}, {1, 0, MORTISE_INTEGRITY}, {0, 500, MORTISE_INTEGRITY},
		{0, RECORD_TAG_PLACE, MORTISE_INTEGRITY}};
	struct fixture *fixture = *state;

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		uint8_t sealed[600];
		struct entry entry = {.number = 7};
		struct vault_head head;
		struct version_info info;
		size_t size = seal_record(
			fixture, ENVELOPE_HEAD, cases[i].version, cases[i].added, sealed);
		entry.head = (struct store_bytes){sealed, size};
		assert_int_equal(head_open(fixture->vault, &entry, &head), cases[i].expected);
		size = seal_record(
			fixture, ENVELOPE_VERSION_INFO, cases[i].version, cases[i].added, sealed);
		const struct entry_version version = {
			.number = 1, .place = 1, .info = {sealed, size}};
		assert_int_equal(info_open(fixture->vault, 7, &version, &info), cases[i].expected);
	}
}

int main(void)
{
#define IN_VAULT(test) cmocka_unit_test_setup_teardown(test, set_up_vault, tear_down)
	const struct CMUnitTest tests[] = {
		IN_VAULT(values_of_every_size_come_back_byte_for_byte),
		IN_VAULT(a_value_that_is_too_large_is_refused),
		IN_VAULT(an_empty_value_may_be_no_pointer_at_all),
		IN_VAULT(what_is_not_there_is_not_found),
		IN_VAULT(previous_is_the_version_before_the_current_one),
		IN_VAULT(the_expected_version_must_be_the_current_one),
		IN_VAULT(to_expect_no_version_makes_a_secret_once),
		IN_VAULT(the_same_value_is_not_written_where_only_changes_are),
		IN_VAULT(a_write_repeated_with_its_token_is_done_once),
		IN_VAULT(a_repeated_write_does_not_undo_what_came_after_it),
		IN_VAULT(a_repeated_write_does_not_bring_back_what_was_deleted),
		IN_VAULT(a_repeated_write_does_not_conflict_with_itself),
		IN_VAULT(a_token_counts_for_its_own_path_only),
		IN_VAULT(a_dry_run_tells_what_would_be_and_changes_nothing),
		IN_VAULT(a_deleted_secret_is_out_of_sight_until_it_is_put_back),
		IN_VAULT(a_write_puts_a_deleted_secret_back),
		IN_VAULT(all_secrets_are_listed_once_deleted_ones_too),
		IN_VAULT(a_secret_shows_who_made_its_versions_and_when),
		IN_VAULT(the_longest_path_can_be_used),
		IN_VAULT(only_ten_versions_are_kept_and_the_eldest_is_destroyed),
		IN_VAULT(a_store_is_made_once),
		IN_VAULT(a_store_that_was_never_made_does_not_open),
		IN_VAULT(another_master_key_does_not_open_the_store),
		IN_VAULT(the_last_ten_policies_are_kept),
		IN_VAULT(the_audit_state_is_replaced),
		IN_VAULT(a_replaced_audit_state_is_in_no_file),
		IN_VAULT(neither_names_nor_values_nor_policy_stand_in_the_files),
		IN_VAULT(a_full_pool_is_a_clean_error),
		IN_VAULT(a_commit_that_fails_makes_the_vault_stale_until_it_is_reopened),
		IN_VAULT(nothing_can_be_closed),
		IN_VAULT(a_head_or_info_with_a_field_or_version_that_is_unknown_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
