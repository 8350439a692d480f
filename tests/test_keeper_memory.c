/* SPDX-License-Identifier: ISC */
/*
 * FAULTS row 50: whatever allocation fails while a whole keeper opens, verifies and serves a store
 * that is intact, and whatever read of its disk, nobody is told that it is damaged. Our own
 * calls come here by the linker (--wrap), SQLite's by its hooks, libevent's by its own.
 *
 * MORTISE_TEST_EVERY=1 fails each allocation; else it is one of a few, which begin anywhere
 * between 1 and that number, so that many runs see all of them.
 */
#include "keeper_fixture.h"

#include <event2/event.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "secret.h"

#define NONE         UINT64_MAX
#define DATA_ERROR   65 /* a keeper that ends with this is not started again */
#define SECRETS      12
#define PATIENCE_S   20
#define START_STEP   97
#define SERVING_STEP 5
#define FEW          100 /* SQLite 3.46 takes 340 where 3.40 takes 500; fewer than this proves nothing */

/* What fails, in the keeper and as the test wants it: of the calls since they were counted. */
static struct failing {
	uint64_t calls, from, to;
	bool reads; /* of the disk, instead of allocations */
} * failing;

static bool is_keeper;

static bool must_fail(bool is_read)
{
	if (!is_keeper || failing->reads != is_read)
		return false;
	uint64_t call = __atomic_add_fetch(&failing->calls, 1, __ATOMIC_SEQ_CST);
	return call >= failing->from && call < failing->to;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_reallocarray(void *old, size_t count, size_t size);
char *__real_strdup(const char *text);
enum mortise_status __real_secret_new(size_t size, struct secret **out_secret);
enum mortise_status __real_secret_copy(const void *bytes, size_t size, struct secret **out_secret);
enum mortise_status __real_secret_random(size_t size, struct secret **out_secret);

void *__wrap_malloc(size_t size)
{
	return must_fail(false) ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return must_fail(false) ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	return must_fail(false) ? NULL : __real_realloc(old, size);
}

void *__wrap_reallocarray(void *old, size_t count, size_t size)
{
	return must_fail(false) ? NULL : __real_reallocarray(old, count, size);
}

char *__wrap_strdup(const char *text)
{
	return must_fail(false) ? NULL : __real_strdup(text);
}

enum mortise_status __wrap_secret_new(size_t size, struct secret **out_secret)
{
	return must_fail(false) ? MORTISE_BUSY : __real_secret_new(size, out_secret);
}

enum mortise_status __wrap_secret_copy(const void *bytes, size_t size, struct secret **out_secret)
{
	return must_fail(false) ? MORTISE_BUSY : __real_secret_copy(bytes, size, out_secret);
}

enum mortise_status __wrap_secret_random(size_t size, struct secret **out_secret)
{
	return must_fail(false) ? MORTISE_BUSY : __real_secret_random(size, out_secret);
}

static sqlite3_mem_methods real_memory;

static void *sqlite_malloc(int size)
{
	return must_fail(false) ? NULL : real_memory.xMalloc(size);
}

static void *sqlite_realloc(void *old, int size)
{
	return must_fail(false) ? NULL : real_memory.xRealloc(old, size);
}

static sqlite3_vfs hooked_disk;
static sqlite3_io_methods hooked_files[2]; /* the store's and others', which have no locks */
static int (*real_open)(sqlite3_vfs *, const char *, sqlite3_file *, int, int *);
static int (*real_read)(sqlite3_file *, void *, int, sqlite3_int64);

static int sqlite_read(sqlite3_file *file, void *bytes, int size, sqlite3_int64 offset)
{
	return must_fail(true) ? SQLITE_IOERR_READ : real_read(file, bytes, size, offset);
}

static int sqlite_open(sqlite3_vfs *disk, const char *name, sqlite3_file *file, int flags, int *out)
{
	int code = real_open(disk, name, file, flags, out);

	if (code != SQLITE_OK || !file->pMethods)
		return code;
	sqlite3_io_methods *hooked = &hooked_files[(flags & SQLITE_OPEN_MAIN_DB) != 0];
	*hooked = *file->pMethods;
	real_read = file->pMethods->xRead;
	hooked->xRead = sqlite_read;
	file->pMethods = hooked;
	return code;
}

/* In the keeper's process, before anything of it runs. */
static void hook_all(void)
{
	sqlite3_mem_methods hooked;

	if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real_memory) != SQLITE_OK)
		_exit(98);
	hooked = real_memory;
	hooked.xMalloc = sqlite_malloc;
	hooked.xRealloc = sqlite_realloc;
	if (sqlite3_config(SQLITE_CONFIG_MALLOC, &hooked) != SQLITE_OK ||
		sqlite3_initialize() != SQLITE_OK)
		_exit(98);
	hooked_disk = *sqlite3_vfs_find(NULL);
	hooked_disk.zName = "hooked";
	real_open = hooked_disk.xOpen;
	hooked_disk.xOpen = sqlite_open;
	if (sqlite3_vfs_register(&hooked_disk, 1) != SQLITE_OK)
		_exit(98);
	event_set_mem_functions(__wrap_malloc, __wrap_realloc, free);
	is_keeper = true;
}

static void fail_calls(uint64_t from, uint64_t to)
{
	failing->from = failing->to = NONE;
	failing->calls = 0;
	failing->to = to;
	failing->from = from;
}

static bool has_failed(void)
{
	return failing->calls >= failing->from;
}

/* ---- what nobody may be told of a store and hardware that are well ---- */

static void assert_nothing_is_called_broken(const char *text, const char *where)
{
	static const char *const words[] = {"damage", "DAMAGE", "edited", "not what", "tampered",
		"was changed", "does not belong", "fit together", "do not fit", "never written",
		"not the value", "not the one", "old copy", "restore it", "integrity",
		"no TPM or token would give", "has no slot", "not a usable"};

	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (strstr(text, words[i]))
			fail_msg("%s %llu failed, and %s says: %s",
				failing->reads ? "read" : "allocation",
				(unsigned long long)failing->from, where, text);
}

static void on_state(struct keeper_fixture *fixture)
{
	assert_nothing_is_called_broken(fixture->state, "the state");
}

/* And empties it, for the next failure. */
static void judge_errors(const struct keeper_fixture *fixture)
{
	static char text[65536];
	int fd = open(fixture->errors, O_RDWR);
	ssize_t size = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;

	text[size > 0 ? size : 0] = '\0';
	assert_nothing_is_called_broken(text, "the agent's log");
	if (fd >= 0) {
		assert_int_equal(ftruncate(fd, 0), 0);
		close(fd);
	}
}

static void judge_answer(const struct asker *asker, uint16_t code)
{
	if (code == MORTISE_INTEGRITY)
		fail_msg("%s %llu failed, and the answer is: %s",
			failing->reads ? "read" : "allocation", (unsigned long long)failing->from,
			asker->text);
	if (code == MORTISE_BUSY && asker->text[0] && !failing->reads &&
		!strstr(asker->text, "memory"))
		fail_msg("allocation %llu failed, and the answer is: %s",
			(unsigned long long)failing->from, asker->text);
	if (code != ASKER_CLOSED)
		assert_nothing_is_called_broken(asker->text, "an answer");
}

/* ---- the session ---- */

static const char *path_of(unsigned i)
{
	static char path[32];

	snprintf(path, sizeof path, "prod/secret-%u", i);
	return path;
}

/* Somebody asks again over a connection of his own where the last one ended. */
static uint16_t get(struct keeper_fixture *fixture, const char *path)
{
	struct asker *asker = asker_open(fixture);
	uint16_t code = (uint16_t)ask_get(fixture, asker, path, NULL);

	judge_answer(asker, code);
	asker_close(asker);
	return code;
}

/* The first page, or what the answer before says is the next. */
static uint16_t ask_page(
	struct keeper_fixture *fixture, struct asker *asker, const struct wire_field *cursor)
{
	struct wire_writer *writer = asker_begin(asker, WIRE_VERIFY);

	if (cursor->bytes)
		wire_put(writer, WIRE_TAG_CURSOR, cursor->bytes, cursor->size);
	return asker_call(fixture, asker);
}

/* To its end, or to the page at which it has failed. */
static void verify(struct keeper_fixture *fixture)
{
	struct asker *asker = asker_open(fixture);
	struct wire_field cursor = {NULL, 0};
	uint16_t code;

	do {
		code = ask_page(fixture, asker, &cursor);
		judge_answer(asker, code);
		cursor = *wire_field_of(&asker->reply, WIRE_TAG_CURSOR);
	} while (code == MORTISE_OK && cursor.bytes && !has_failed());
	asker_close(asker);
}

static void use(struct keeper_fixture *fixture)
{
	struct asker *asker = asker_open(fixture);

	for (unsigned i = 0; i < SECRETS && fixture->monitor >= 0; i++)
		(void)get(fixture, path_of(i));
	if (fixture->monitor >= 0)
		judge_answer(asker, ask_plain(fixture, asker, WIRE_LIST));
	if (fixture->monitor >= 0)
		judge_answer(asker, ask_plain(fixture, asker, WIRE_AUDIT_VERIFY));
	if (fixture->monitor >= 0)
		judge_answer(asker, ask_plain(fixture, asker, WIRE_SLOT_LIST));
	if (fixture->monitor >= 0)
		verify(fixture);
	asker_close(asker);
}

/* It is tried again by itself: false if the keeper has ended instead. */
static bool becomes_unsealed(struct keeper_fixture *fixture)
{
	time_t end = time(NULL) + PATIENCE_S;

	while (fixture->monitor >= 0 && strncmp(fixture->state, "unsealed", 8) != 0) {
		keeper_serve(fixture);
		if (time(NULL) > end)
			fail_msg("%s %llu failed, and it stays: %s",
				failing->reads ? "read" : "allocation",
				(unsigned long long)failing->from, fixture->state);
	}
	return fixture->monitor >= 0;
}

/* Starts, opens, serves: false once nothing failed any more. */
static bool lives_through(struct keeper_fixture *fixture, uint64_t n)
{
	fail_calls(n, n + 1);
	keeper_start(fixture);
	if (becomes_unsealed(fixture))
		use(fixture);
	bool is_over = !has_failed();
	fail_calls(NONE, NONE);
	if (fixture->monitor >= 0)
		assert_int_equal(get(fixture, path_of(0)), MORTISE_OK);
	int status = fixture->monitor >= 0 ? keeper_stop(fixture) : keeper_reap(fixture);
	if (status == DATA_ERROR || status > 128)
		fail_msg("%s %llu failed, and the keeper ended with %d",
			failing->reads ? "read" : "allocation", (unsigned long long)n, status);
	judge_errors(fixture);
	return !is_over;
}

static unsigned step_of(unsigned usual)
{
	return getenv("MORTISE_TEST_EVERY") ? 1 : usual;
}

static uint64_t anywhere(unsigned step)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return 1 + (uint64_t)now.tv_nsec / 1000 % step;
}

static int set_up_secrets(void **state)
{
	struct keeper_fixture *fixture = keeper_prepare();
	struct asker *asker;

	failing = mmap(
		NULL, sizeof *failing, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (failing == MAP_FAILED)
		return -1;
	fail_calls(NONE, NONE);
	*state = fixture;
	fixture->before = hook_all;
	keeper_start(fixture);
	asker = asker_open(fixture);
	assert_int_equal(ask_init(fixture, asker, "tpm2"), MORTISE_OK);
	asker_close(asker);
	for (unsigned i = 0; i < SECRETS; i++)
		keeper_put(fixture, path_of(i), "a value");
	fixture->on_state = on_state;
	return 0;
}

static int set_up_stopped(void **state)
{
	if (set_up_secrets(state) != 0)
		return -1;
	return keeper_stop(*state);
}

static int tear_down(void **state)
{
	int result = tear_down_keeper(state);

	munmap(failing, sizeof *failing);
	failing = NULL;
	return result;
}

static void out_of_memory_while_it_starts_is_never_called_damage(void **state)
{
	unsigned step = step_of(START_STEP);
	uint64_t n = anywhere(step);

	while (lives_through(*state, n))
		n += step;
	assert_true(n > FEW);
}

static void a_disk_that_cannot_be_read_is_never_called_damage(void **state)
{
	uint64_t n = 1;

	failing->reads = true;
	while (lives_through(*state, n))
		n++;
	assert_true(n > 10);
}

static void seal(struct keeper_fixture *fixture)
{
	struct asker *asker = asker_open(fixture);

	assert_int_equal(ask_plain(fixture, asker, WIRE_SEAL), MORTISE_OK);
	asker_close(asker);
	keeper_await_state(fixture, "sealed");
}

static void unseal(struct keeper_fixture *fixture)
{
	struct asker *asker = asker_open(fixture);

	judge_answer(asker, ask_plain(fixture, asker, WIRE_UNSEAL));
	asker_close(asker);
}

/* Starts, and asks no hardware: false once nothing failed any more. */
static bool stays_sealed(struct keeper_fixture *fixture, uint64_t n)
{
	static const char held[] = "sealed: sealed by an admin; run: mortise unseal";
	time_t end = time(NULL) + PATIENCE_S;

	fixture->questions = 0;
	fail_calls(n, n + 1);
	keeper_start(fixture);
	while (fixture->monitor >= 0 && strcmp(fixture->state, held) != 0) {
		keeper_serve(fixture);
		if (fixture->questions > 0 || time(NULL) > end)
			fail_msg("%s %llu failed, and the state is: %s",
				failing->reads ? "read" : "allocation", (unsigned long long)n,
				fixture->state);
	}
	bool is_over = !has_failed();
	fail_calls(NONE, NONE);
	(void)(fixture->monitor >= 0 ? keeper_stop(fixture) : keeper_reap(fixture));
	judge_errors(fixture);
	return !is_over;
}

static void an_admins_seal_that_cannot_be_read_at_once_holds(void **state)
{
	unsigned step = step_of(START_STEP);
	uint64_t n = 1;

	seal(*state);
	assert_int_equal(keeper_stop(*state), 0);
	failing->reads = true;
	while (stays_sealed(*state, n))
		n++;
	assert_true(n > 5);
	failing->reads = false;
	n = anywhere(step);
	while (stays_sealed(*state, n))
		n += step;
	assert_true(n > FEW);
}

/* In one keeper, which is sealed before each: opens, serves, verifies. */
static void open_and_use_without(struct keeper_fixture *fixture, bool is_lasting)
{
	unsigned step = step_of(SERVING_STEP);
	bool is_over = false;
	uint64_t n = anywhere(step);
	char audit[256];

	for (; !is_over; n += step) {
		seal(fixture);
		fail_calls(n, is_lasting ? NONE - 1 : n + 1);
		unseal(fixture);
		use(fixture);
		is_over = !has_failed();
		fail_calls(NONE, NONE);
		if (fixture->monitor < 0)
			fail_msg("allocation %llu failed, and the keeper has ended",
				(unsigned long long)n);
		unseal(fixture);
		assert_true(becomes_unsealed(fixture));
		assert_int_equal(get(fixture, path_of(0)), MORTISE_OK);
		keeper_fact(fixture, "audit", audit);
		assert_string_equal(audit, "ok");
		judge_errors(fixture);
	}
	assert_true(n > FEW);
	assert_false(keeper_log_has(fixture, "\"integrity\""));
}

static void out_of_memory_while_it_opens_serves_and_verifies_is_never_called_damage(void **state)
{
	open_and_use_without(*state, false);
}

static void memory_that_is_gone_for_a_while_as_it_opens_is_never_called_damage(void **state)
{
	open_and_use_without(*state, true);
}

/* The right key is typed, so anything but that it opens is not true. */
static void judge_typed(const struct asker *asker, uint16_t code)
{
	judge_answer(asker, code);
	if (code != MORTISE_OK && code != MORTISE_BUSY && code != MORTISE_IO &&
		code != ASKER_CLOSED)
		fail_msg("%s %llu failed, and the answer to the right key is %u: %s",
			failing->reads ? "read" : "allocation", (unsigned long long)failing->from,
			code, asker->text);
}

/* All of the store's file, as a backup; while it is sealed nothing of it is elsewhere. */
static void send_backup(struct keeper_fixture *fixture, struct asker *asker)
{
	static uint8_t chunk[32768];
	char path[128];
	ssize_t size;

	snprintf(path, sizeof path, "%s/store.db", fixture->store);
	int fd = open(path, O_RDONLY);
	assert_true(fd >= 0);
	for (uint64_t at = 0; (size = read(fd, chunk, sizeof chunk)) > 0; at += (uint64_t)size) {
		struct wire_writer *writer = asker_begin(asker, WIRE_BACKUP_STAGE);
		wire_put(writer, WIRE_TAG_CHUNK, chunk, (size_t)size);
		wire_put_number(writer, WIRE_TAG_OFFSET, at);
		assert_int_equal(asker_call(fixture, asker), MORTISE_OK);
	}
	close(fd);
}

static bool verify_backup(struct keeper_fixture *fixture, uint64_t from, uint64_t to)
{
	struct asker *asker = asker_open(fixture);

	send_backup(fixture, asker);
	fail_calls(from, to);
	wire_put_text(asker_begin(asker, WIRE_BACKUP_VERIFY), WIRE_TAG_RECOVERY, fixture->recovery);
	judge_typed(asker, asker_call(fixture, asker));
	bool is_over = !has_failed();
	fail_calls(NONE, NONE);
	asker_close(asker);
	return is_over;
}

static bool open_typed(struct keeper_fixture *fixture, uint64_t from, uint64_t to)
{
	struct asker *asker = asker_open(fixture);

	fail_calls(from, to);
	judge_typed(asker, ask_recover(fixture, asker, fixture->recovery));
	bool is_over = !has_failed();
	fail_calls(NONE, NONE);
	asker_close(asker);
	return is_over;
}

/* Another key is not known to be in a slot behind it, either: each has its try. */
static void add_typed_slot(struct keeper_fixture *fixture)
{
	struct asker *asker = asker_open(fixture);

	wire_put_text(asker_begin(asker, WIRE_SLOT_ADD), WIRE_TAG_SLOT_KIND, "recovery");
	if (asker_call(fixture, asker) != MORTISE_OK)
		fail_msg("%s", asker->text);
	asker_close(asker);
}

static void the_right_key_is_never_another_for_want_of_memory(void **state)
{
	struct keeper_fixture *fixture = *state;
	bool is_verified = false, is_opened = false;
	uint64_t n;

	add_typed_slot(fixture);
	seal(fixture);
	for (n = 1; !is_verified; n++)
		is_verified = verify_backup(fixture, n, n + 1);
	assert_true(n > 50);
	for (n = 1; !is_opened; n++) {
		seal(fixture);
		is_opened = open_typed(fixture, n, n + 1);
		if (strncmp(fixture->state, "unsealed", 8) != 0)
			(void)open_typed(fixture, NONE, NONE);
		assert_true(becomes_unsealed(fixture));
		judge_errors(fixture);
	}
	assert_true(n > 50);
}

/* Its key, if the slot was added; "" if memory was too short for that. */
static void add_slot_without(
	struct keeper_fixture *fixture, uint64_t n, char key[128], uint64_t *out_id)
{
	struct asker *asker = asker_open(fixture);

	key[0] = '\0';
	fail_calls(n, n + 1);
	wire_put_text(asker_begin(asker, WIRE_SLOT_ADD), WIRE_TAG_SLOT_KIND, "recovery");
	if (asker_call(fixture, asker) == MORTISE_OK) {
		assert_int_equal(wire_text(&asker->reply, WIRE_TAG_RECOVERY, key, 128), MORTISE_OK);
		assert_int_equal(wire_number(&asker->reply, WIRE_TAG_NUMBER, out_id), MORTISE_OK);
	}
	asker_close(asker);
}

static void remove_slot(struct keeper_fixture *fixture, uint64_t id)
{
	struct asker *asker = asker_open(fixture);

	wire_put_number(asker_begin(asker, WIRE_SLOT_REMOVE), WIRE_TAG_NUMBER, id);
	assert_int_equal(asker_call(fixture, asker), MORTISE_OK);
	asker_close(asker);
}

/* What is kept of the slots for a sealed agent may be read anew later, but not never. */
static void a_slot_that_was_added_while_memory_was_short_opens_once_it_is_back(void **state)
{
	struct keeper_fixture *fixture = *state;
	bool is_over = false;
	unsigned added = 0;

	for (uint64_t n = 1; !is_over; n++) {
		char key[128];
		uint64_t id = 0;
		add_slot_without(fixture, n, key, &id);
		is_over = !has_failed();
		fail_calls(NONE, NONE);
		if (!key[0])
			continue;
		added++;
		seal(fixture);
		struct asker *asker = asker_open(fixture);
		if (ask_recover(fixture, asker, key) != MORTISE_OK)
			fail_msg("allocation %llu failed, and then the new slot's key is: %s",
				(unsigned long long)n, asker->text);
		asker_close(asker);
		assert_true(becomes_unsealed(fixture));
		remove_slot(fixture, id);
	}
	assert_true(added > 0);
}

static void assert_stays_unsealed(struct keeper_fixture *fixture)
{
	on_state(fixture);
	if (strncmp(fixture->state, "unsealed", 8) != 0)
		fail_msg("from allocation %llu on all failed, and the state is: %s",
			(unsigned long long)failing->from, fixture->state);
}

/* Of an open keeper, which is not sealed for it: nobody has to come once memory is back. */
static void a_keeper_without_any_memory_drops_no_key_and_serves_the_next(void **state)
{
	struct keeper_fixture *fixture = *state;
	unsigned step = step_of(SERVING_STEP), questions = fixture->questions;
	bool is_over = false;
	uint64_t n = anywhere(step);
	char audit[256];

	fixture->on_state = assert_stays_unsealed;
	for (; !is_over; n += step) {
		fail_calls(n, NONE - 1);
		use(fixture);
		is_over = !has_failed();
		fail_calls(NONE, NONE);
		if (fixture->monitor < 0)
			fail_msg("from allocation %llu on all failed, and the keeper has ended",
				(unsigned long long)n);
		assert_int_equal(get(fixture, path_of(0)), MORTISE_OK);
		judge_errors(fixture);
	}
	assert_true(n > FEW);
	assert_int_equal(fixture->questions, questions);
	keeper_fact(fixture, "audit", audit);
	assert_string_equal(audit, "ok");
}

/* A denial is for good, and on record; of want of memory a client is told to try again. */
static void nobody_is_denied_for_want_of_memory(void **state)
{
	struct keeper_fixture *fixture = *state;
	bool is_over = false;

	keeper_apply(fixture,
		"[rule admin]\nallow = admin list write\nsecret = **\nuser = 0\n"
		"[rule app]\nallow = read\nsecret = **\nuser = 0\nexe = /usr/bin/app\n");
	assert_int_equal(keeper_stop(fixture), 0);
	fixture->flags = PROCESS_HAS_WITNESS | PROCESS_EXE_EVIDENCE;
	fixture->exe = "/usr/bin/app";
	fixture->state[0] = '\0';
	keeper_start(fixture);
	assert_true(becomes_unsealed(fixture));
	assert_int_equal(get(fixture, path_of(0)), MORTISE_OK);
	for (uint64_t n = 1; !is_over; n++) {
		fail_calls(n, n + 1);
		uint16_t code = get(fixture, path_of(0));
		is_over = !has_failed();
		fail_calls(NONE, NONE);
		if (code == MORTISE_DENIED)
			fail_msg("allocation %llu failed, and the answer is: denied",
				(unsigned long long)n);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			nobody_is_denied_for_want_of_memory, set_up_secrets, tear_down),
		cmocka_unit_test_setup_teardown(
			a_keeper_without_any_memory_drops_no_key_and_serves_the_next,
			set_up_secrets, tear_down),
		cmocka_unit_test_setup_teardown(
			out_of_memory_while_it_starts_is_never_called_damage, set_up_stopped,
			tear_down),
		cmocka_unit_test_setup_teardown(a_disk_that_cannot_be_read_is_never_called_damage,
			set_up_stopped, tear_down),
		cmocka_unit_test_setup_teardown(an_admins_seal_that_cannot_be_read_at_once_holds,
			set_up_secrets, tear_down),
		cmocka_unit_test_setup_teardown(
			out_of_memory_while_it_opens_serves_and_verifies_is_never_called_damage,
			set_up_secrets, tear_down),
		cmocka_unit_test_setup_teardown(the_right_key_is_never_another_for_want_of_memory,
			set_up_secrets, tear_down),
		cmocka_unit_test_setup_teardown(
			a_slot_that_was_added_while_memory_was_short_opens_once_it_is_back,
			set_up_secrets, tear_down),
		cmocka_unit_test_setup_teardown(
			memory_that_is_gone_for_a_while_as_it_opens_is_never_called_damage,
			set_up_secrets, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
