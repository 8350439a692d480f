/* SPDX-License-Identifier: ISC */
/*
 * Allocation n fails, for every n of a scripted session (FAULTS row 14): ours, SQLite's and
 * those of the pool of secrets. The linker sends our calls here (--wrap); SQLite has a hook.
 */
#include "vault_fixture.h"

#define SWEEP_END UINT64_MAX

static uint64_t calls, fail_from, fail_to; /* calls fail_from <= n < fail_to fail */
static bool is_armed;

static bool must_fail(void)
{
	if (!is_armed)
		return false;
	calls++;
	return calls >= fail_from && calls < fail_to;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_reallocarray(void *old, size_t count, size_t size);
enum mortise_status __real_secret_new(size_t size, struct secret **out_secret);
enum mortise_status __real_secret_copy(const void *bytes, size_t size, struct secret **out_secret);
enum mortise_status __real_secret_random(size_t size, struct secret **out_secret);

void *__wrap_malloc(size_t size)
{
	return must_fail() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return must_fail() ? NULL : __real_calloc(count, size);
}

void *__wrap_reallocarray(void *old, size_t count, size_t size)
{
	return must_fail() ? NULL : __real_reallocarray(old, count, size);
}

enum mortise_status __wrap_secret_new(size_t size, struct secret **out_secret)
{
	return must_fail() ? MORTISE_BUSY : __real_secret_new(size, out_secret);
}

enum mortise_status __wrap_secret_copy(const void *bytes, size_t size, struct secret **out_secret)
{
	return must_fail() ? MORTISE_BUSY : __real_secret_copy(bytes, size, out_secret);
}

enum mortise_status __wrap_secret_random(size_t size, struct secret **out_secret)
{
	return must_fail() ? MORTISE_BUSY : __real_secret_random(size, out_secret);
}

static sqlite3_mem_methods real_memory;

static void *sqlite_malloc(int size)
{
	return must_fail() ? NULL : real_memory.xMalloc(size);
}

static void *sqlite_realloc(void *old, int size)
{
	return must_fail() ? NULL : real_memory.xRealloc(old, size);
}

static int hook_sqlite(void **state)
{
	sqlite3_mem_methods hooked;

	if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real_memory) != SQLITE_OK)
		return -1;
	hooked = real_memory;
	hooked.xMalloc = sqlite_malloc;
	hooked.xRealloc = sqlite_realloc;
	if (sqlite3_config(SQLITE_CONFIG_MALLOC, &hooked) != SQLITE_OK)
		return -1;
	return sqlite3_initialize() == SQLITE_OK ? 0 : -1;
}

/* What the session was told: a value, or 0 for a write that failed. */
struct told {
	unsigned value_a, value_b, policy;
};

/* Out of memory is BUSY, or IO where SQLite met it under a file operation. Never a lie. */
static bool is_done(enum mortise_status status)
{
	bool armed = is_armed;

	is_armed = false;
	if (status != MORTISE_OK && status != MORTISE_BUSY && status != MORTISE_IO)
		fail_msg("call %llu failed: status %d", (unsigned long long)fail_from, status);
	is_armed = armed;
	return status == MORTISE_OK;
}

static enum mortise_status read_a(struct fixture *fixture)
{
	CLEANUP(secret_drop) struct secret *value = NULL;

	return get_version(fixture, "prod/a", 0, &value);
}

static enum mortise_status look_around(struct fixture *fixture)
{
	struct vault_version versions[VAULT_VERSIONS_MAX];
	CLEANUP(secret_drop) struct secret *audit_state = NULL;
	struct vault_head head;
	uint8_t *policy = NULL;
	char complaint[320];
	uint64_t number, version;
	size_t count, size;

	TRY(vault_next(fixture->vault, 0, &number, &head));
	TRY(vault_show(fixture->vault, "prod/a", &head, versions, &count));
	TRY(vault_audit_state(fixture->vault, &audit_state));
	TRY(vault_policy(fixture->vault, 0, &policy, &size, &version));
	free(policy);
	return verify_all(fixture, &count, complaint, sizeof complaint);
}

static enum mortise_status rekey(struct fixture *fixture)
{
	TRY(vault_rekey(fixture->vault, true));
	while (vault_has_work(fixture->vault))
		TRY(vault_work(fixture->vault, 1000000));
	return MORTISE_OK;
}

/* Opens, writes, reads, looks around, and goes on after each failure as an agent would. */
static void run_session(struct fixture *fixture, struct told *told)
{
	struct vault_outcome outcome;
	uint64_t policy;
	CLEANUP(secret_drop) struct secret *audit_state = NULL;

	if (!is_done(reopen_by_slot(fixture, 1)))
		return;
	if (is_done(set(fixture, "prod/a", "new")))
		told->value_a = 1;
	if (is_done(set(fixture, "prod/fresh", "new")))
		told->value_b = 1;
	(void)is_done(read_a(fixture));
	(void)is_done(look_around(fixture));
	(void)is_done(vault_set_deleted(fixture->vault, "prod/b", true, 5, &outcome));
	if (is_done(vault_set_policy(fixture->vault, bytes_of("new"), &policy)))
		told->policy = 1;
	if (is_done(secret_random(64, &audit_state)))
		(void)is_done(vault_set_audit_state(fixture->vault, audit_state));
	(void)is_done(store_truncate_log(fixture->store));
	(void)is_done(rekey(fixture));
}

static bool is_value(struct fixture *fixture, const char *path, const char *expected)
{
	CLEANUP(secret_drop) struct secret *value = NULL;

	return get_version(fixture, path, 0, &value) == MORTISE_OK &&
	       value->size == strlen(expected) && memcmp(value->bytes, expected, value->size) == 0;
}

/* Acknowledged is there; what failed is there whole or not at all. */
static void assert_told(struct fixture *fixture, const struct told *told)
{
	uint8_t *policy = NULL;
	uint64_t version = 0;
	char complaint[320];
	size_t size;

	assert_int_equal(reopen_by_slot(fixture, 1), MORTISE_OK);
	assert_true(is_value(fixture, "prod/a", "new") ||
		    (!told->value_a && is_value(fixture, "prod/a", "prod/a 2")));
	if (told->value_b)
		assert_value(fixture, "prod/fresh", 0, "new");
	assert_value(fixture, "prod/c", 0, "prod/c 2");
	assert_int_equal(vault_policy(fixture->vault, 0, &policy, &size, &version), MORTISE_OK);
	free(policy);
	assert_in_range(version, told->policy ? 2 : 1, 2);
	assert_int_equal(verify_all(fixture, &size, complaint, sizeof complaint), MORTISE_OK);
}

/* Brings the store back to how it was; runs the session; false once nothing failed any more. */
static bool fails_somewhere(struct fixture *fixture, uint64_t from, uint64_t to)
{
	struct told told = {0};
	char copy[96];

	close_all(fixture);
	snprintf(copy, sizeof copy, "%s.copy", fixture->path);
	copy_file(copy, fixture->path);
	size_t room = secret_pool_room();
	calls = 0;
	fail_from = from;
	fail_to = to;
	is_armed = true;
	run_session(fixture, &told);
	is_armed = false;
	close_all(fixture);
	assert_int_equal(secret_pool_room(), room);
	assert_told(fixture, &told);
	return calls >= from;
}

static int set_up_copy(void **state)
{
	if (set_up_secrets(state) != 0)
		return -1;
	struct fixture *fixture = *state;
	char copy[96];
	close_all(fixture);
	snprintf(copy, sizeof copy, "%s.copy", fixture->path);
	copy_file(fixture->path, copy);
	return 0;
}

static void the_session_works_where_nothing_fails(void **state)
{
	struct fixture *fixture = *state;
	struct told told = {0};

	run_session(fixture, &told);
	assert_true(told.value_a && told.value_b && told.policy);
	assert_told(fixture, &told);
}

static void one_allocation_that_fails_is_a_clean_error(void **state)
{
	uint64_t n = 1;

	while (fails_somewhere(*state, n, n + 1))
		n++;
	assert_true(n > 200);
}

static void no_memory_from_one_point_on_is_a_clean_error(void **state)
{
	uint64_t n = 1;

	/* Steps that share no factor with anything in the session. */
	while (fails_somewhere(*state, n, SWEEP_END))
		n += 23;
	assert_true(n > 200);
}

static bool is_hold(struct fixture *fixture, const char *expected)
{
	char word[STORE_HOLD_MAX];

	return store_hold(fixture->store, word) == MORTISE_OK && strcmp(word, expected) == 0;
}

/*
 * A transaction that stays open would be seen as done, and so would what is written next, to be
 * gone with the process.
 */
static void what_failed_for_want_of_memory_is_taken_back_without_any(void **state)
{
	struct fixture *fixture = *state;
	bool failed = true;
	uint64_t n = 1;

	for (; failed; n++) {
		assert_int_equal(reopen(fixture), MORTISE_OK);
		assert_int_equal(store_set_hold(fixture->store, "before"), MORTISE_OK);
		assert_int_equal(set(fixture, "prod/a", "before"), MORTISE_OK);
		calls = 0;
		fail_from = n;
		fail_to = SWEEP_END;
		is_armed = true;
		failed = !is_done(set(fixture, "prod/a", "new"));
		is_armed = false;
		assert_int_equal(store_set_hold(fixture->store, "after"), MORTISE_OK);
		if (vault_is_stale(fixture->vault)) {
			assert_int_equal(store_reopen(fixture->store), MORTISE_OK);
			assert_int_equal(vault_reload(fixture->vault), MORTISE_OK);
		}
		assert_true(is_value(fixture, "prod/a", failed ? "before" : "new"));
		assert_int_equal(set(fixture, "prod/c", "after"), MORTISE_OK);
		/* As the next process finds it: SQLite's own end would take all back. */
		assert_int_equal(reopen(fixture), MORTISE_OK);
		assert_true(is_value(fixture, "prod/a", failed ? "before" : "new"));
		assert_value(fixture, "prod/c", 0, "after");
		assert_true(is_hold(fixture, "after"));
	}
	assert_true(n > 5);
}

/*
 * The first opening and init, where the file and its tables are made. It begins anywhere, so that
 * many runs see all.
 */
static void init_without_memory_is_a_clean_error(void **state)
{
	struct fixture *fixture = *state;
	bool failed = true;

	for (uint64_t n = 1 + (uint64_t)getpid() % 7; failed; n += 7) {
		close_all(fixture);
		unlink(fixture->path);
		calls = 0;
		fail_from = n;
		fail_to = n + 1;
		is_armed = true;
		bool made = is_done(store_open(fixture->directory, &fixture->store)) &&
			    is_done(create(fixture));
		is_armed = false;
		failed = calls >= n;
		enum mortise_status status = reopen(fixture);
		if (made)
			assert_int_equal(status, MORTISE_OK);
		else
			assert_true(status == MORTISE_OK || status == MORTISE_NOT_FOUND);
	}
}

int main(void)
{
#define IN_COPY(test) cmocka_unit_test_setup_teardown(test, set_up_copy, tear_down)
	const struct CMUnitTest tests[] = {
		IN_COPY(the_session_works_where_nothing_fails),
		IN_COPY(one_allocation_that_fails_is_a_clean_error),
		IN_COPY(no_memory_from_one_point_on_is_a_clean_error),
		IN_COPY(what_failed_for_want_of_memory_is_taken_back_without_any),
		IN_COPY(init_without_memory_is_a_clean_error),
	};

	return cmocka_run_group_tests(tests, hook_sqlite, NULL);
}
