/* SPDX-License-Identifier: ISC */
/*
 * FAULTS row 59: a commit that failed costs nobody the keys. What the disk made of it is one of
 * two things, and the vault goes on with either; with anything else it does not.
 */
#include "vault_fixture.h"

#include <sys/stat.h>

/* How the commit of number fail_at comes out; the linker sends all of them here (--wrap). */
static unsigned commits, fail_at; /* 0: none */
static bool is_done_all_the_same;

enum mortise_status __real_store_commit(struct store *store);
enum mortise_status __wrap_store_commit(struct store *store);
enum mortise_status __wrap_store_commit(struct store *store)
{
	if (++commits != fail_at)
		return __real_store_commit(store);
	if (is_done_all_the_same)
		assert_int_equal(__real_store_commit(store), MORTISE_OK);
	return MORTISE_IO;
}

static void fail_commit(unsigned number, bool is_done)
{
	commits = 0;
	fail_at = number;
	is_done_all_the_same = is_done;
}

static enum mortise_status read_anew(struct fixture *fixture)
{
	TRY(store_reopen(fixture->store));
	return vault_reload(fixture->vault);
}

static void assert_all_is_sound(struct fixture *fixture)
{
	char complaint[320];
	size_t values = 0;

	if (verify_all(fixture, &values, complaint, sizeof complaint) != MORTISE_OK)
		fail_msg("%s", complaint);
}

/* Each is one commit, and is_there says whether it was done. */
static enum mortise_status do_set(struct fixture *fixture)
{
	return set(fixture, "prod/new", "a value");
}

static bool has_new(struct fixture *fixture)
{
	return vault_current(fixture->vault, "prod/new") != 0;
}

static enum mortise_status do_delete(struct fixture *fixture)
{
	struct vault_outcome outcome;

	return vault_set_deleted(fixture->vault, "prod/b", true, 5, &outcome);
}

static bool has_no_b(struct fixture *fixture)
{
	return vault_current(fixture->vault, "prod/b") == 0;
}

static enum mortise_status do_policy(struct fixture *fixture)
{
	uint64_t version = 0;

	return vault_set_policy(fixture->vault, bytes_of("[rule other]"), &version);
}

static bool has_policy(struct fixture *fixture)
{
	uint8_t *policy = NULL;
	size_t size = 0;
	uint64_t version = 0;

	assert_int_equal(vault_policy(fixture->vault, 0, &policy, &size, &version), MORTISE_OK);
	free(policy);
	return version == 2;
}

static enum mortise_status do_slot(struct fixture *fixture)
{
	return vault_remove_slot(fixture->vault, 1);
}

static bool has_no_slot(struct fixture *fixture)
{
	return vault_next_slot(fixture->vault, 0) == 2;
}

static enum mortise_status do_date(struct fixture *fixture)
{
	return vault_date_slot(fixture->vault, 2, &(struct slot_hints){.tested_us = 77});
}

static bool has_date(struct fixture *fixture)
{
	CLEANUP(slot_copy_done) struct slot_copy copy = {.record = NULL};

	assert_int_equal(vault_slot(fixture->vault, 2, &copy), MORTISE_OK);
	return copy.slot.hints.tested_us == 77;
}

static enum mortise_status do_audit_state(struct fixture *fixture)
{
	CLEANUP(secret_drop) struct secret *state = NULL;

	assert_int_equal(secret_copy("others", 6, &state), MORTISE_OK);
	return vault_set_audit_state(fixture->vault, state);
}

static bool has_audit_state(struct fixture *fixture)
{
	CLEANUP(secret_drop) struct secret *state = NULL;

	assert_int_equal(vault_audit_state(fixture->vault, &state), MORTISE_OK);
	return state->size == 6;
}

static const struct {
	enum mortise_status (*act)(struct fixture *fixture);
	bool (*is_there)(struct fixture *fixture);
	unsigned raises, is_weighty;
} acts[] = {
	{do_set, has_new, 1, 0},
	{do_delete, has_no_b, 1, 0},
	{do_policy, has_policy, 1, 1},
	{do_slot, has_no_slot, 1, 1},
	{do_date, has_date, 1, 0},
	{do_audit_state, has_audit_state, 0, 0},
};

#define ACTS (sizeof acts / sizeof acts[0])

static void fail_each(struct fixture *fixture, bool is_done)
{
	for (size_t i = 0; i < ACTS; i++) {
		const struct vault_age before = vault_age(fixture->vault);
		fail_commit(1, is_done);
		assert_int_equal(acts[i].act(fixture), MORTISE_IO);
		assert_true(vault_is_stale(fixture->vault));
		assert_int_equal(set(fixture, "prod/a", "no"), MORTISE_IO);
		assert_value(fixture, "prod/a", 0, "prod/a 2");

		assert_int_equal(read_anew(fixture), MORTISE_OK);
		assert_false(vault_is_stale(fixture->vault));
		assert_int_equal(acts[i].is_there(fixture), is_done);
		const struct vault_age after = vault_age(fixture->vault);
		assert_int_equal(after.commits - before.commits, is_done ? acts[i].raises : 0);
		assert_int_equal(after.weighty - before.weighty, is_done ? acts[i].is_weighty : 0);
		assert_value(fixture, "prod/a", 0, "prod/a 2");
		assert_all_is_sound(fixture);
		if (!is_done)
			assert_int_equal(acts[i].act(fixture), MORTISE_OK);
		assert_true(acts[i].is_there(fixture));
	}
	assert_int_equal(set(fixture, "prod/a", "after"), MORTISE_OK);
	assert_int_equal(reopen(fixture), MORTISE_OK);
	assert_value(fixture, "prod/a", 0, "after");
}

static void a_write_that_failed_is_taken_back_and_the_keys_stay(void **state)
{
	fail_each(*state, false);
}

static void a_write_that_was_done_though_it_failed_is_taken_in(void **state)
{
	fail_each(*state, true);
}

/* An increment of the anchor covers what has this generation, and no more. */
static void the_generation_that_the_anchor_waits_for_stays(void **state)
{
	struct fixture *fixture = *state;

	vault_set_target_generation(fixture->vault, 7);
	fail_commit(1, false);
	assert_int_equal(do_set(fixture), MORTISE_IO);
	assert_int_equal(read_anew(fixture), MORTISE_OK);
	assert_int_equal(vault_age(fixture->vault).generation, 0);
	assert_int_equal(do_set(fixture), MORTISE_OK);
	assert_int_equal(vault_age(fixture->vault).generation, 7);
	vault_set_target_generation(fixture->vault, 8);
	fail_commit(1, true);
	assert_int_equal(do_delete(fixture), MORTISE_IO);
	assert_int_equal(read_anew(fixture), MORTISE_OK);
	assert_int_equal(vault_age(fixture->vault).generation, 8);
}

static size_t classify(void *context, uint32_t uid, const char *path,
	struct census_class out_classes[VAULT_CLASSES_MAX])
{
	(void)context;
	(void)uid;
	(void)path;
	out_classes[0] = (struct census_class){0, UINT32_MAX};
	return 1;
}

static uint64_t counted(struct fixture *fixture)
{
	const struct census_class class_of = {0, UINT32_MAX};
	struct census_sum sum = {0};

	while (vault_is_counting(fixture->vault))
		assert_int_equal(vault_count_slice(fixture->vault, 1000), MORTISE_OK);
	assert_int_equal(vault_counted(fixture->vault, &class_of, &sum), MORTISE_OK);
	return sum.size_bytes;
}

/* Quotas go by it. */
static void what_is_kept_is_counted_anew_as_the_disk_has_it(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(vault_count_by(fixture->vault, classify, NULL), MORTISE_OK);
	uint64_t before = counted(fixture);
	for (unsigned is_done = 0; is_done < 2; is_done++) {
		fail_commit(1, is_done);
		assert_int_equal(do_set(fixture), MORTISE_IO);
		assert_int_equal(read_anew(fixture), MORTISE_OK);
		assert_int_equal(counted(fixture) > before, is_done);
	}
}

static enum mortise_status rekey(struct fixture *fixture, bool reencrypts)
{
	TRY(vault_rekey(fixture->vault, reencrypts));
	while (vault_has_work(fixture->vault))
		TRY(vault_work(fixture->vault, 0)); /* the same slices on every machine */
	return MORTISE_OK;
}

/* The commit that makes the next epoch the store's is one of them: with it go the keys. */
static unsigned fail_rekeys(struct fixture *fixture, bool is_done, bool reencrypts)
{
	unsigned number = 1, turned = 0;

	for (;; number++) {
		fail_commit(number, is_done);
		enum mortise_status status = rekey(fixture, reencrypts);
		if (status == MORTISE_OK)
			break;
		uint64_t failed_at = vault_epoch(fixture->vault);
		assert_int_equal(read_anew(fixture), MORTISE_OK);
		turned += vault_epoch(fixture->vault) == failed_at + 1;
		assert_false(vault_rekey_progress(fixture->vault).is_rekeying);
		for (size_t i = 0; i < FIXTURE_PATHS; i++) {
			char value[32];
			snprintf(value, sizeof value, "%s 2", fixture_paths[i]);
			assert_value(fixture, fixture_paths[i], 0, value);
		}
		while (vault_has_work(fixture->vault))
			assert_int_equal(vault_work(fixture->vault, 1000000), MORTISE_OK);
		assert_all_is_sound(fixture);
	}
	assert_true(number > 3);
	assert_int_equal(reopen_by_slot(fixture, 1), MORTISE_OK);
	return turned;
}

static void a_rekey_goes_on_with_the_key_that_the_disk_says(void **state)
{
	for (int reencrypts = 0; reencrypts <= 1; reencrypts++) {
		assert_int_equal(fail_rekeys(*state, false, reencrypts), 0);
		assert_int_equal(fail_rekeys(*state, true, reencrypts), 1);
	}
}

static void another_store_in_its_place_is_refused(void **state)
{
	struct fixture *fixture = *state;
	char copy[96];

	snprintf(copy, sizeof copy, "%s.copy", fixture->path);
	assert_int_equal(vault_forget_old(fixture->vault), MORTISE_OK);
	copy_file(fixture->path, copy);
	assert_int_equal(set(fixture, "prod/a", "acknowledged"), MORTISE_OK);
	fail_commit(1, false);
	assert_int_equal(do_set(fixture), MORTISE_IO);
	assert_int_equal(rename(copy, fixture->path), 0);
	assert_int_equal(store_reopen(fixture->store), MORTISE_OK);
	assert_int_equal(vault_reload(fixture->vault), MORTISE_INTEGRITY);
	assert_true(vault_is_stale(fixture->vault));
	assert_int_equal(set(fixture, "prod/a", "no"), MORTISE_IO);
}

static void one_row_that_was_edited_meanwhile_is_refused(void **state)
{
	struct fixture *fixture = *state;

	fail_commit(1, false);
	assert_int_equal(do_set(fixture), MORTISE_IO);
	store_shut(fixture->store);
	sql(fixture, "DELETE FROM secret WHERE number=4611686018427387904+1");
	assert_int_equal(read_anew(fixture), MORTISE_INTEGRITY);
	assert_true(vault_is_stale(fixture->vault));
}

static void a_store_that_is_gone_is_waited_for_and_never_made_anew(void **state)
{
	struct fixture *fixture = *state;
	char away[96];
	struct stat status;

	snprintf(away, sizeof away, "%s.old", fixture->path);
	assert_int_equal(reopen(fixture), MORTISE_OK); /* nothing of it is in memory */
	assert_value(fixture, "prod/a", 0, "prod/a 2");
	fail_commit(1, false);
	assert_int_equal(do_set(fixture), MORTISE_IO);
	assert_int_equal(rename(fixture->path, away), 0);
	assert_int_equal(read_anew(fixture), MORTISE_IO);
	assert_false(store_is_open(fixture->store));
	assert_int_equal(stat(fixture->path, &status), -1);
	assert_value(fixture, "prod/a", 0, "prod/a 2"); /* from memory */
	assert_unreadable(fixture, "prod/b", 1, MORTISE_IO);
	assert_int_equal(set(fixture, "prod/a", "no"), MORTISE_IO);
	assert_int_equal(read_anew(fixture), MORTISE_IO);
	assert_int_equal(rename(away, fixture->path), 0);
	assert_int_equal(read_anew(fixture), MORTISE_OK);
	assert_value(fixture, "prod/b", 1, "prod/b 1");
	assert_int_equal(do_set(fixture), MORTISE_OK);
}

static void an_empty_file_in_its_place_is_refused(void **state)
{
	struct fixture *fixture = *state;

	fail_commit(1, false);
	assert_int_equal(do_set(fixture), MORTISE_IO);
	store_shut(fixture->store);
	assert_int_equal(truncate(fixture->path, 0), 0);
	assert_int_equal(read_anew(fixture), MORTISE_INTEGRITY);
}

static void a_vault_that_cannot_be_read_anew_for_want_of_memory_is_as_it_was(void **state)
{
	static struct secret *fillers[POOL_SIZE / 64];
	struct fixture *fixture = *state;
	size_t count = 0;

	assert_value(fixture, "prod/a", 0, "prod/a 2");
	fail_commit(1, false);
	assert_int_equal(do_set(fixture), MORTISE_IO);
	while (secret_new(1, &fillers[count]) == MORTISE_OK)
		count++;
	assert_int_equal(read_anew(fixture), MORTISE_BUSY);
	assert_true(vault_is_stale(fixture->vault));
	while (count > 0)
		secret_drop(&fillers[--count]);
	assert_value(fixture, "prod/a", 0, "prod/a 2");
	assert_int_equal(read_anew(fixture), MORTISE_OK);
	assert_int_equal(do_set(fixture), MORTISE_OK);
}

/* Everything that can be asked of a store that is shut is IO, and none of it falls. */
static void a_store_that_is_shut_answers_io_to_all(void **state)
{
	struct fixture *fixture = *state;
	struct store_copy *copy = NULL;
	char complaint[320], word[STORE_HOLD_MAX];
	/* From its beginning, amid the rows, and amid the values. */
	struct vault_check checks[] = {{0}, {.secret = 1}, {.are_rows_done = true}};
	struct store_meta meta;
	size_t values = 0;

	store_shut(fixture->store);
	assert_int_equal(store_meta(fixture->store, &meta), MORTISE_IO);
	assert_int_equal(store_hold(fixture->store, word), MORTISE_IO);
	assert_int_equal(store_set_hold(fixture->store, "x"), MORTISE_IO);
	assert_int_equal(store_truncate_log(fixture->store), MORTISE_IO);
	assert_int_equal(store_copy_begin(fixture->store, "/nowhere/copy", &copy), MORTISE_IO);
	for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++)
		assert_int_equal(vault_verify(fixture->vault, &checks[i], 0, &values, complaint,
					 sizeof complaint),
			MORTISE_IO);
	for (size_t i = 0; i < ACTS; i++)
		assert_int_equal(acts[i].act(fixture), MORTISE_IO);
	assert_int_equal(vault_rekey(fixture->vault, true), MORTISE_OK);
	assert_int_equal(vault_work(fixture->vault, 1000), MORTISE_IO);
	assert_int_equal(read_anew(fixture), MORTISE_OK);
	assert_int_equal(do_set(fixture), MORTISE_OK);
}

static int set_up_well(void **state)
{
	fail_commit(0, false);
	return set_up_secrets(state);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_well, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_write_that_failed_is_taken_back_and_the_keys_stay),
		TEST(a_write_that_was_done_though_it_failed_is_taken_in),
		TEST(the_generation_that_the_anchor_waits_for_stays),
		TEST(what_is_kept_is_counted_anew_as_the_disk_has_it),
		TEST(a_rekey_goes_on_with_the_key_that_the_disk_says),
		TEST(another_store_in_its_place_is_refused),
		TEST(one_row_that_was_edited_meanwhile_is_refused),
		TEST(a_store_that_is_gone_is_waited_for_and_never_made_anew),
		TEST(an_empty_file_in_its_place_is_refused),
		TEST(a_vault_that_cannot_be_read_anew_for_want_of_memory_is_as_it_was),
		TEST(a_store_that_is_shut_answers_io_to_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
