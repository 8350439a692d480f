/* SPDX-License-Identifier: ISC */
/*
 * Writes that share a commit: seen at once, on the disk together, and taken back together where
 * the disk fails. Whatever else changes the vault does not come between them.
 */
#include "vault_fixture.h"

/* What the linker sends here (--wrap). */
static bool fails_commit, is_done_all_the_same, is_full;
static uint64_t refused_secret; /* whose value cannot be put; 0: none */
static bool was_rolled_back;    /* by SQLite, as on a full disk */

enum mortise_status __real_store_commit(struct store *store);
enum mortise_status __wrap_store_commit(struct store *store);
enum mortise_status __wrap_store_commit(struct store *store)
{
	if (!fails_commit)
		return __real_store_commit(store);
	fails_commit = false;
	if (is_done_all_the_same)
		assert_int_equal(__real_store_commit(store), MORTISE_OK);
	return MORTISE_IO;
}

bool __wrap_store_is_full(const struct store *store);
bool __wrap_store_is_full(const struct store *store)
{
	(void)store;
	return is_full;
}

enum mortise_status __real_store_put_value(
	struct store *store, const struct store_place *place, struct store_bytes value);
enum mortise_status __wrap_store_put_value(
	struct store *store, const struct store_place *place, struct store_bytes value);
enum mortise_status __wrap_store_put_value(
	struct store *store, const struct store_place *place, struct store_bytes value)
{
	if (place->secret != refused_secret)
		return __real_store_put_value(store, place, value);
	if (was_rolled_back)
		store_rollback(store);
	return MORTISE_INTEGRITY;
}

static int set_up_group(void **state)
{
	fails_commit = is_done_all_the_same = is_full = was_rolled_back = false;
	refused_secret = 0;
	return set_up_secrets(state);
}

static enum mortise_status join(struct fixture *fixture, const char *path, const char *value)
{
	struct vault_write write = a_write(fixture, path, value, strlen(value));
	struct vault_outcome outcome;

	write.joins = true;
	return vault_write(fixture->vault, &write, &outcome);
}

/* One that is there, a new one, and that one again. */
static void join_three(struct fixture *fixture)
{
	assert_int_equal(join(fixture, "prod/a", "joined"), MORTISE_OK);
	assert_int_equal(join(fixture, "prod/new", "first"), MORTISE_OK);
	assert_int_equal(join(fixture, "prod/new", "second"), MORTISE_OK);
}

static void assert_is_sound(struct fixture *fixture)
{
	char complaint[320];
	size_t values = 0;

	if (verify_all(fixture, &values, complaint, sizeof complaint) != MORTISE_OK)
		fail_msg("%s", complaint);
}

static void assert_are_three(struct fixture *fixture)
{
	assert_value(fixture, "prod/a", 0, "joined");
	assert_value(fixture, "prod/a", 2, "prod/a 2");
	assert_value(fixture, "prod/new", 0, "second");
	assert_value(fixture, "prod/new", 1, "first");
	assert_int_equal(vault_count(fixture->vault), FIXTURE_PATHS + 1);
}

static void assert_are_none(struct fixture *fixture)
{
	assert_value(fixture, "prod/a", 0, "prod/a 2");
	assert_unreadable(fixture, "prod/a", 3, MORTISE_NOT_FOUND);
	assert_unreadable(fixture, "prod/new", 0, MORTISE_NOT_FOUND);
	assert_false(vault_has(fixture->vault, "prod/new"));
	assert_int_equal(vault_count(fixture->vault), FIXTURE_PATHS);
	assert_is_sound(fixture);
}

static void what_has_joined_is_seen_at_once_and_on_the_disk_with_the_others(void **state)
{
	struct fixture *fixture = *state;

	assert_false(vault_has_group(fixture->vault));
	join_three(fixture);
	assert_are_three(fixture);
	assert_true(vault_has_group(fixture->vault));
	assert_int_equal(vault_end_group(fixture->vault), MORTISE_OK);
	assert_false(vault_has_group(fixture->vault));
	assert_are_three(fixture);
	assert_is_sound(fixture);
	assert_int_equal(reopen(fixture), MORTISE_OK);
	assert_are_three(fixture);
	assert_is_sound(fixture);
}

static void what_was_not_ended_is_not_on_the_disk(void **state)
{
	struct fixture *fixture = *state;

	join_three(fixture);
	assert_int_equal(reopen(fixture), MORTISE_OK);
	assert_are_none(fixture);
}

static void a_group_ends_without_one(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(vault_end_group(fixture->vault), MORTISE_OK);
}

/* In memory, too, and without a look at the disk: a full one is met again and again. */
static void a_full_disk_takes_all_of_them_back_and_the_vault_goes_on(void **state)
{
	struct fixture *fixture = *state;
	uint64_t changes = vault_changes(fixture->vault);

	for (unsigned i = 0; i < 3; i++) {
		join_three(fixture);
		fails_commit = is_full = true;
		assert_int_equal(vault_end_group(fixture->vault), MORTISE_IO);
		assert_false(vault_has_group(fixture->vault));
		assert_false(vault_is_stale(fixture->vault));
		assert_are_none(fixture);
		assert_true(vault_changes(fixture->vault) > changes);
	}
	join_three(fixture);
	assert_int_equal(vault_end_group(fixture->vault), MORTISE_OK);
	assert_are_three(fixture);
	assert_is_sound(fixture);
	assert_int_equal(reopen(fixture), MORTISE_OK);
	assert_are_three(fixture);
}

static void fail_end(struct fixture *fixture, bool is_done)
{
	join_three(fixture);
	fails_commit = true;
	is_done_all_the_same = is_done;
	assert_int_equal(vault_end_group(fixture->vault), MORTISE_IO);
	assert_true(vault_is_stale(fixture->vault));
	assert_int_equal(join(fixture, "prod/a", "no"), MORTISE_IO);
	assert_false(vault_has_group(fixture->vault));
	assert_value(fixture, "prod/a", 0, "prod/a 2");
	assert_int_equal(store_reopen(fixture->store), MORTISE_OK);
	assert_int_equal(vault_reload(fixture->vault), MORTISE_OK);
}

static void after_another_failure_the_disk_says_what_became_of_them(void **state)
{
	fail_end(*state, false);
	assert_are_none(*state);
	fail_end(*state, true);
	assert_are_three(*state);
	assert_is_sound(*state);
}

/* Whoever writes where a row is damaged spoils nobody else's write. */
static void what_cannot_be_put_is_taken_back_alone(void **state)
{
	struct fixture *fixture = *state;

	refused_secret = number_of(fixture, "prod/b");
	assert_int_equal(join(fixture, "prod/b", "no"), MORTISE_INTEGRITY);
	assert_false(vault_has_group(fixture->vault));
	join_three(fixture);
	assert_int_equal(join(fixture, "prod/b", "no"), MORTISE_INTEGRITY);
	assert_int_equal(join(fixture, "prod/c", "joined"), MORTISE_OK);
	assert_int_equal(vault_end_group(fixture->vault), MORTISE_OK);
	for (unsigned i = 0; i < 2; i++) {
		assert_are_three(fixture);
		assert_value(fixture, "prod/b", 0, "prod/b 2");
		assert_unreadable(fixture, "prod/b", 3, MORTISE_NOT_FOUND);
		assert_value(fixture, "prod/c", 0, "joined");
		assert_is_sound(fixture);
		assert_int_equal(reopen(fixture), MORTISE_OK);
	}
}

static void what_sqlite_has_taken_back_is_nobodys(void **state)
{
	struct fixture *fixture = *state;

	refused_secret = number_of(fixture, "prod/b");
	was_rolled_back = true;
	join_three(fixture);
	assert_int_equal(join(fixture, "prod/b", "no"), MORTISE_INTEGRITY);
	assert_true(vault_has_group(fixture->vault));
	assert_int_equal(join(fixture, "prod/c", "no"), MORTISE_INTEGRITY);
	assert_int_equal(vault_end_group(fixture->vault), MORTISE_INTEGRITY);
	assert_are_none(fixture);
	assert_value(fixture, "prod/c", 0, "prod/c 2");
	assert_int_equal(set(fixture, "prod/c", "after"), MORTISE_OK);
	assert_int_equal(reopen(fixture), MORTISE_OK);
	assert_are_none(fixture);
	assert_value(fixture, "prod/c", 0, "after");
}

/* ---- what else changes the vault ---- */

static enum mortise_status do_set(struct fixture *fixture)
{
	return set(fixture, "prod/c", "alone");
}

static enum mortise_status do_destroy(struct fixture *fixture)
{
	struct vault_outcome outcome;

	return vault_destroy(fixture->vault, "prod/c", 1, &outcome);
}

static enum mortise_status do_policy(struct fixture *fixture)
{
	uint64_t version = 0;

	return vault_set_policy(fixture->vault, bytes_of("[rule other]"), &version);
}

static enum mortise_status do_rekey(struct fixture *fixture)
{
	TRY(vault_rekey(fixture->vault, true));
	return vault_work(fixture->vault, 0);
}

static enum mortise_status (*const acts[])(struct fixture *fixture) = {
	do_set, do_destroy, do_policy, do_rekey};

#define ACTS (sizeof acts / sizeof acts[0])

static void whatever_else_changes_the_vault_finds_them_on_the_disk(void **state)
{
	struct fixture *fixture = *state;

	for (size_t i = 0; i < ACTS; i++) {
		char value[16];
		snprintf(value, sizeof value, "joined %zu", i);
		assert_int_equal(join(fixture, "prod/a", value), MORTISE_OK);
		if (acts[i](fixture) != MORTISE_OK)
			fail_msg("act %zu", i);
		assert_false(vault_has_group(fixture->vault));
		assert_int_equal(reopen(fixture), MORTISE_OK);
		assert_value(fixture, "prod/a", 0, value);
	}
}

static void it_is_not_done_where_they_fail_and_who_ends_them_hears_of_it(void **state)
{
	struct fixture *fixture = *state;

	for (size_t i = 0; i < ACTS; i++) {
		join_three(fixture);
		fails_commit = is_full = true;
		assert_int_equal(acts[i](fixture), MORTISE_IO);
		assert_true(vault_has_group(fixture->vault));
		assert_int_equal(vault_end_group(fixture->vault), MORTISE_IO);
		assert_are_none(fixture);
		assert_value(fixture, "prod/c", 1, "prod/c 1");
		if (vault_has_work(fixture->vault))
			assert_int_equal(reopen(fixture), MORTISE_OK);
	}
}

static void a_rekey_goes_on_over_what_was_taken_back(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(vault_rekey(fixture->vault, false), MORTISE_OK);
	for (unsigned i = 0; vault_has_work(fixture->vault); i++) {
		if (i < 8) {
			join_three(fixture);
			fails_commit = is_full = true;
			assert_int_equal(vault_end_group(fixture->vault), MORTISE_IO);
			assert_value(fixture, "prod/a", 0, "prod/a 2");
		}
		assert_int_equal(vault_work(fixture->vault, 0), MORTISE_OK);
	}
	assert_are_none(fixture);
	assert_int_equal(reopen_by_slot(fixture, 1), MORTISE_OK);
	assert_int_equal(vault_epoch(fixture->vault), 2);
	assert_are_none(fixture);
}

/* ---- what is kept ---- */

static size_t classify(void *context, uint32_t uid, const char *path,
	struct census_class out_classes[VAULT_CLASSES_MAX])
{
	(void)context;
	(void)uid;
	(void)path;
	out_classes[0] = (struct census_class){0, UINT32_MAX};
	return 1;
}

static struct census_sum counted(struct fixture *fixture)
{
	const struct census_class class_of = {0, UINT32_MAX};
	struct census_sum sum = {0};

	while (vault_is_counting(fixture->vault))
		assert_int_equal(vault_count_slice(fixture->vault, 1000), MORTISE_OK);
	assert_int_equal(vault_counted(fixture->vault, &class_of, &sum), MORTISE_OK);
	return sum;
}

/* Quotas go by it. */
static void what_was_taken_back_does_not_count(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(vault_count_by(fixture->vault, classify, NULL), MORTISE_OK);
	const struct census_sum before = counted(fixture);
	join_three(fixture);
	assert_true(counted(fixture).size_bytes > before.size_bytes);
	fails_commit = is_full = true;
	assert_int_equal(vault_end_group(fixture->vault), MORTISE_IO);
	assert_false(vault_is_counting(fixture->vault));
	const struct census_sum after = counted(fixture);
	assert_int_equal(after.size_bytes, before.size_bytes);
	assert_int_equal(after.secrets, before.secrets);
}

/* The oldest of ten goes with the eleventh. */
static void a_version_that_made_room_is_there_again(void **state)
{
	struct fixture *fixture = *state;

	for (unsigned i = 3; i <= VAULT_KEEP_VERSIONS; i++)
		assert_int_equal(set(fixture, "prod/a", "one more"), MORTISE_OK);
	assert_value(fixture, "prod/a", 1, "prod/a 1");
	assert_int_equal(join(fixture, "prod/a", "the eleventh"), MORTISE_OK);
	assert_unreadable(fixture, "prod/a", 1, MORTISE_NOT_FOUND);
	fails_commit = is_full = true;
	assert_int_equal(vault_end_group(fixture->vault), MORTISE_IO);
	assert_value(fixture, "prod/a", 1, "prod/a 1");
	assert_is_sound(fixture);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_group, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_has_joined_is_seen_at_once_and_on_the_disk_with_the_others),
		TEST(what_was_not_ended_is_not_on_the_disk),
		TEST(a_group_ends_without_one),
		TEST(a_full_disk_takes_all_of_them_back_and_the_vault_goes_on),
		TEST(after_another_failure_the_disk_says_what_became_of_them),
		TEST(what_cannot_be_put_is_taken_back_alone),
		TEST(what_sqlite_has_taken_back_is_nobodys),
		TEST(whatever_else_changes_the_vault_finds_them_on_the_disk),
		TEST(it_is_not_done_where_they_fail_and_who_ends_them_hears_of_it),
		TEST(a_rekey_goes_on_over_what_was_taken_back),
		TEST(what_was_taken_back_does_not_count),
		TEST(a_version_that_made_room_is_there_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
