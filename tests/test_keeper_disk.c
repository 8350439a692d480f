/* SPDX-License-Identifier: ISC */
/*
 * FAULTS rows 59 and 61: a disk that fails or is full for a while, under a whole keeper. It drops
 * no key, asks no hardware, and refuses nobody for what is over.
 */
#include "keeper_fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "slot_work.h"
#include "status.h"
#include "store.h"

#define EVER       1000000
#define PATIENCE_S 20
#define PATH       "prod/db/password"

/* What fails in the keeper: so many syncs of the store, or commits that are done all the same. */
static struct failing {
	int syncs, commits;
	int looks;  /* at the store's items */
	int full;   /* writes for which there is no room */
	int rekeys; /* commits that make another epoch the store's, which are done: the disk's last
		     */
	int synced; /* so often so far */
	bool is_frozen; /* its clocks stand still: a turn has no end but that of what is there */
} * failing;

static bool is_keeper;

static bool take(int *left)
{
	return is_keeper && __atomic_load_n(left, __ATOMIC_SEQ_CST) > 0 &&
	       __atomic_fetch_sub(left, 1, __ATOMIC_SEQ_CST) > 0;
}

static bool makes_epoch(struct store *store)
{
	static uint64_t epoch;
	uint64_t before = epoch;
	struct store_meta meta;

	if (!is_keeper || store_meta(store, &meta) != MORTISE_OK)
		return false;
	epoch = meta.epoch;
	return before && epoch != before;
}

enum mortise_status __real_store_commit(struct store *store);
enum mortise_status __wrap_store_commit(struct store *store);
enum mortise_status __wrap_store_commit(struct store *store)
{
	enum mortise_status status = __real_store_commit(store);

	if (status == MORTISE_OK && makes_epoch(store) && take(&failing->rekeys)) {
		failing->syncs = EVER;
		return MORTISE_IO;
	}
	return status == MORTISE_OK && take(&failing->commits) ? MORTISE_IO : status;
}

enum mortise_status __real_store_each_item(
	struct store *store, store_item_visit *visit, void *context);
enum mortise_status __wrap_store_each_item(
	struct store *store, store_item_visit *visit, void *context);
enum mortise_status __wrap_store_each_item(
	struct store *store, store_item_visit *visit, void *context)
{
	return take(&failing->looks) ? MORTISE_IO : __real_store_each_item(store, visit, context);
}

static sqlite3_vfs hooked_disk;
static sqlite3_io_methods hooked_files[2]; /* the store's and others', which have no locks */
static int (*real_open)(sqlite3_vfs *, const char *, sqlite3_file *, int, int *);
static int (*real_sync)(sqlite3_file *, int);

static int fail_sync(sqlite3_file *file, int flags)
{
	__atomic_fetch_add(&failing->synced, 1, __ATOMIC_SEQ_CST);
	return take(&failing->syncs) ? SQLITE_IOERR_FSYNC : real_sync(file, flags);
}

static int (*real_write)(sqlite3_file *, const void *, int, sqlite3_int64);

static int fail_write(sqlite3_file *file, const void *bytes, int size, sqlite3_int64 offset)
{
	return take(&failing->full) ? SQLITE_FULL : real_write(file, bytes, size, offset);
}

static time_t ahead_s; /* of the clocks, for a keeper that is started then */

/* It stands before libc's for all that is linked statically. */
int clock_gettime(clockid_t id, struct timespec *out_now)
{
	static struct timespec last[CLOCK_TAI + 1];
	bool is_frozen = is_keeper && failing->is_frozen && id >= 0 && id <= CLOCK_TAI;

	if (is_frozen && last[id].tv_sec) {
		*out_now = last[id];
		return 0;
	}
	int result = (int)syscall(SYS_clock_gettime, id, out_now);
	if (is_frozen)
		last[id] = *out_now;
	if (result == 0)
		out_now->tv_sec += ahead_s;
	return result;
}

static int open_hooked(sqlite3_vfs *disk, const char *name, sqlite3_file *file, int flags, int *out)
{
	int code = real_open(disk, name, file, flags, out);

	if (code != SQLITE_OK || !file->pMethods)
		return code;
	sqlite3_io_methods *hooked = &hooked_files[(flags & SQLITE_OPEN_MAIN_DB) != 0];
	*hooked = *file->pMethods;
	real_sync = file->pMethods->xSync;
	hooked->xSync = fail_sync;
	real_write = file->pMethods->xWrite;
	hooked->xWrite = fail_write;
	file->pMethods = hooked;
	return code;
}

/* In the keeper's process, before anything of it runs. */
static void hook_disk(void)
{
	if (sqlite3_initialize() != SQLITE_OK)
		_exit(98);
	hooked_disk = *sqlite3_vfs_find(NULL);
	hooked_disk.zName = "hooked";
	real_open = hooked_disk.xOpen;
	hooked_disk.xOpen = open_hooked;
	if (sqlite3_vfs_register(&hooked_disk, 1) != SQLITE_OK)
		_exit(98);
	is_keeper = true;
}

static void assert_stays_unsealed(struct keeper_fixture *fixture)
{
	if (strncmp(fixture->state, "unsealed", 8) != 0)
		fail_msg("the state is: %s", fixture->state);
}

static int set_up_empty(void **state)
{
	struct keeper_fixture *fixture = keeper_prepare();

	failing = mmap(
		NULL, sizeof *failing, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (failing == MAP_FAILED)
		return -1;
	*state = fixture;
	fixture->before = hook_disk;
	keeper_start(fixture);
	return 0;
}

static uint16_t init(struct keeper_fixture *fixture)
{
	struct asker *asker = asker_open(fixture);
	uint16_t code = ask_init(fixture, asker, "tpm2");

	asker_close(asker);
	return code;
}

static int set_up(void **state)
{
	if (set_up_empty(state) != 0)
		return -1;
	assert_int_equal(init(*state), MORTISE_OK);
	keeper_put(*state, PATH, "a value");
	return 0;
}

static int tear_down(void **state)
{
	int result = tear_down_keeper(state);

	munmap(failing, sizeof *failing);
	failing = NULL;
	return result;
}

static uint16_t set(struct keeper_fixture *fixture, const char *value)
{
	struct asker *asker = asker_open(fixture);
	uint16_t code = ask_set(fixture, asker, PATH, value, strlen(value));

	asker_close(asker);
	return code;
}

static uint64_t get(struct keeper_fixture *fixture)
{
	struct asker *asker = asker_open(fixture);
	uint64_t code = ask_get(fixture, asker, PATH, NULL);

	asker_close(asker);
	return code;
}

static void assert_value(struct keeper_fixture *fixture, const char *path, const char *expected)
{
	struct asker *asker = asker_open(fixture);
	struct wire_field value;

	assert_int_equal(ask_get(fixture, asker, path, &value), MORTISE_OK);
	assert_int_equal(value.size, strlen(expected));
	assert_memory_equal(value.bytes, expected, value.size);
	asker_close(asker);
}

static void await_fact(struct keeper_fixture *fixture, const char *name, const char *expected)
{
	time_t end = time(NULL) + PATIENCE_S;
	char text[256];

	for (;;) {
		keeper_fact(fixture, name, text);
		if (strcmp(text, expected) == 0)
			return;
		if (time(NULL) > end)
			fail_msg("%s stays: %s", name, text);
		usleep(10000);
	}
}

/* All of it is there for the keeper that comes after. */
static void assert_is_whole(struct keeper_fixture *fixture, const char *value)
{
	fixture->on_state = NULL;
	keeper_restart(fixture);
	keeper_await_state(fixture, "unsealed");
	assert_value(fixture, PATH, value);
	await_fact(fixture, "audit", "ok");
}

static void a_failed_sync_drops_no_key_and_asks_no_hardware(void **state)
{
	struct keeper_fixture *fixture = *state;
	unsigned questions = fixture->questions, failed = 0;

	fixture->on_state = assert_stays_unsealed;
	for (unsigned i = 0; i < 40; i++) {
		failing->syncs = 1;
		uint16_t code = set(fixture, "lost"); /* or a checkpoint of the log has met it */
		assert_true(code == MORTISE_IO || code == MORTISE_OK);
		failed += code == MORTISE_IO;
		assert_value(fixture, PATH, code == MORTISE_OK ? "lost" : i ? "kept" : "a value");
		failing->syncs = 0;
		assert_int_equal(set(fixture, "kept"), MORTISE_OK);
		assert_value(fixture, PATH, "kept");
	}
	assert_true(failed > 5);
	assert_int_equal(fixture->questions, questions);
	assert_is_whole(fixture, "kept");
}

static void while_the_disk_fails_values_are_served_and_status_says_why(void **state)
{
	struct keeper_fixture *fixture = *state;
	char reason[256];

	keeper_put(fixture, "prod/other", "not read yet");
	keeper_restart(fixture); /* nothing of it is in memory */
	keeper_await_state(fixture, "unsealed");
	unsigned questions = fixture->questions;
	fixture->on_state = assert_stays_unsealed;
	failing->syncs = EVER;
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(set(fixture, "lost"), MORTISE_IO);
		assert_value(fixture, PATH, "a value");
		assert_value(fixture, "prod/other", "not read yet");
	}
	keeper_fact(fixture, "reason", reason);
	assert_non_null(strstr(reason, "the keys stay"));
	failing->syncs = 0;
	assert_int_equal(set(fixture, "after"), MORTISE_OK); /* the first of all */
	keeper_fact(fixture, "reason", reason);
	assert_string_equal(reason, "");
	assert_string_equal(fixture->state, "unsealed");
	assert_int_equal(fixture->questions, questions);
	assert_is_whole(fixture, "after");
}

static void a_disk_that_is_well_again_is_noticed_without_a_change(void **state)
{
	struct keeper_fixture *fixture = *state;
	char reason[256];

	failing->syncs = EVER;
	assert_int_equal(set(fixture, "lost"), MORTISE_IO);
	keeper_fact(fixture, "reason", reason);
	assert_string_not_equal(reason, "");
	failing->syncs = 0;
	await_fact(fixture, "reason", "");
	assert_is_whole(fixture, "a value");
}

static void copy(const char *from, const char *to)
{
	static char bytes[1 << 20];
	int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	ssize_t size;

	assert_true(in >= 0 && out >= 0);
	while ((size = read(in, bytes, sizeof bytes)) > 0)
		assert_int_equal(write(out, bytes, (size_t)size), size);
	close(in);
	close(out);
}

/* As a policy does at once. */
static void count_up(struct keeper_fixture *fixture)
{
	uint64_t before = fixture->counter;
	char text[256];

	keeper_apply(fixture, "[rule a]\nallow = admin read write list\nsecret = **\nuser = 0\n");
	do
		keeper_fact(fixture, "anchor_counter", text);
	while (strtoull(text, NULL, 10) == before);
}

/* What was acknowledged is not in it. */
static void an_older_copy_in_its_place_is_sealed_with_what_is_true(void **state)
{
	struct keeper_fixture *fixture = *state;
	char store[128], older[128];
	struct asker *asker;

	snprintf(store, sizeof store, "%s/store.db", fixture->store);
	snprintf(older, sizeof older, "%s/store.db.older", fixture->store);
	assert_int_equal(keeper_stop(fixture), 0);
	copy(store, older);
	keeper_start(fixture);
	keeper_await_state(fixture, "unsealed");
	keeper_put(fixture, PATH, "acknowledged");
	count_up(fixture);
	failing->syncs = EVER;
	assert_int_equal(set(fixture, "lost"), MORTISE_IO);
	assert_int_equal(rename(older, store), 0);
	failing->syncs = 0;
	asker = asker_open(fixture);
	assert_int_equal(ask_set(fixture, asker, PATH, "x", 1), MORTISE_SEALED);
	assert_non_null(strstr(asker->text, "neither what it was"));
	keeper_await_state(fixture, "sealed: after a write that failed");
	assert_int_equal(ask_get(fixture, asker, PATH, NULL), MORTISE_SEALED);
	assert_true(keeper_log_has(fixture, "neither what it was"));
	/* It is asked as any store is, and this one has an anchor. */
	assert_int_equal(ask_plain(fixture, asker, WIRE_UNSEAL), MORTISE_INTEGRITY);
	assert_non_null(strstr(asker->text, "an old copy of the store"));
	asker_close(asker);
}

static void a_policy_that_is_in_the_store_though_its_write_failed_is_in_force(void **state)
{
	struct keeper_fixture *fixture = *state;
	static const char *const policies[] = {"[rule one]\nallow = admin\nsecret = **\nuser = 0\n",
		"[rule two]\nallow = admin\nsecret = **\nuser = 0\n"};
	char version[256], after[256];
	struct asker *asker = asker_open(fixture);
	uint16_t code = MORTISE_OK;

	for (unsigned i = 0; i < 40 && code == MORTISE_OK; i++) {
		keeper_fact(fixture, "policy_version", version);
		failing->commits = 1; /* which a checkpoint of the log may meet */
		code = ask_apply(fixture, asker, policies[i % 2]);
	}
	assert_int_equal(code, MORTISE_IO);
	assert_int_equal(ask_get(fixture, asker, PATH, NULL), MORTISE_DENIED);
	keeper_fact(fixture, "policy_version", after);
	assert_string_not_equal(version, after);
	asker_close(asker);
}

/* The first request of any kind: a connection's greeting, too, would find the log mended. */
static void after_space_was_freed_the_first_change_is_done(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	for (unsigned i = 0; i < 5; i++) {
		keeper_stop_log(fixture);
		assert_int_equal(ask_set(fixture, asker, PATH, "lost", 4), MORTISE_BUSY);
		assert_int_equal(ask_set(fixture, asker, PATH, "lost", 4), MORTISE_BUSY);
		keeper_mend_log(fixture);
		assert_int_equal(ask_set(fixture, asker, PATH, "after", 5), MORTISE_OK);
	}
	asker_close(asker);
	assert_is_whole(fixture, "after");
}

static void a_log_that_can_be_written_again_is_said_to_be_without_a_request(void **state)
{
	struct keeper_fixture *fixture = *state;
	char audit[256];

	keeper_stop_log(fixture);
	assert_int_equal(get(fixture), MORTISE_BUSY);
	keeper_fact(fixture, "audit", audit);
	assert_string_equal(audit, "failing: nothing is released");
	keeper_mend_log(fixture);
	await_fact(fixture, "audit", "ok");
}

/* A change that was done before the log was known to fail. */
static void a_line_that_is_owed_keeps_nobody_from_the_status(void **state)
{
	struct keeper_fixture *fixture = *state;
	char audit[256];

	keeper_stop_log(fixture);
	assert_int_equal(set(fixture, "done"), MORTISE_BUSY);
	keeper_fact(fixture, "audit", audit);
	assert_string_equal(audit, "failing: nothing is released");
	keeper_mend_log(fixture);
	await_fact(fixture, "audit", "ok");
	assert_true(keeper_log_has(fixture, "\"note\":\"late"));
	assert_value(fixture, PATH, "done");
}

/* ---- what is done after that ---- */

/* A disk that fails at a commit, is done with it all the same, and is well again when an admin has
   sealed the agent for it. */
static void a_seal_after_a_rekey_whose_last_write_failed_leaves_a_store_that_opens(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);
	char reason[256];

	failing->rekeys = 1;
	assert_int_equal(ask_plain(fixture, asker, WIRE_REKEY), MORTISE_OK);
	do
		keeper_fact(fixture, "reason", reason);
	while (!strstr(reason, "the keys stay"));
	failing->syncs = 0;
	assert_int_equal(ask_plain(fixture, asker, WIRE_SEAL), MORTISE_OK);
	if (ask_recover(fixture, asker, fixture->recovery) != MORTISE_OK)
		fail_msg("the right key: %s", asker->text);
	asker_close(asker);
	assert_value(fixture, PATH, "a value");
}

static void damage_that_was_acknowledged_is_not_told_again_for_a_write_that_failed(void **state)
{
	struct keeper_fixture *fixture = *state;
	char audit[256];

	assert_int_equal(keeper_stop(fixture), 0);
	assert_int_equal(truncate(fixture->audit_log, 0), 0);
	keeper_start(fixture);
	keeper_await_state(fixture, "unsealed");
	keeper_fact(fixture, "audit", audit);
	assert_non_null(strstr(audit, "DAMAGED"));
	struct asker *asker = asker_open(fixture);
	wire_put_text(asker_begin(asker, WIRE_AUDIT_ACKNOWLEDGE), WIRE_TAG_NOTE, "known");
	assert_int_equal(asker_call(fixture, asker), MORTISE_OK);
	asker_close(asker);
	keeper_fact(fixture, "audit", audit);
	assert_string_equal(audit, "ok");
	uint16_t code = MORTISE_OK;
	for (unsigned i = 0; i < 40 && code != MORTISE_IO; i++) {
		failing->syncs = 1;
		code = set(fixture, i % 2 ? "one" : "two");
		failing->syncs = 0;
	}
	assert_int_equal(code, MORTISE_IO);
	assert_int_equal(set(fixture, "after"), MORTISE_OK);
	keeper_fact(fixture, "audit", audit);
	assert_string_equal(audit, "ok");
}

/* Of a disk with room for a line and not for all of them: the first look finds it well again. */
static void each_line_of_a_large_change_is_owed_behind_one_that_is_owed_already(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);
	uint8_t token[WIRE_TOKEN_SIZE] = {7};
	struct rlimit limit;
	char path[64], needle[96];

	keeper_stop_log(fixture);
	assert_int_equal(set(fixture, "done"), MORTISE_BUSY);
	assert_int_equal(prlimit(fixture->pid, RLIMIT_FSIZE, NULL, &limit), 0);
	limit.rlim_cur += 3 * 2048;
	assert_int_equal(prlimit(fixture->pid, RLIMIT_FSIZE, &limit, NULL), 0);
	struct wire_writer *writer = asker_begin(asker, WIRE_SET_BATCH);
	size_t list = wire_list_begin(writer, WIRE_TAG_ITEMS);
	for (unsigned i = 0; i < WIRE_SETS_MAX; i++) {
		size_t item = wire_item_begin(writer);
		snprintf(path, sizeof path, "batch/n%u", i);
		wire_put_text(writer, WIRE_TAG_PATH, path);
		wire_put_text(writer, WIRE_TAG_VALUE, "v");
		wire_item_end(writer, item);
	}
	wire_list_end(writer, list);
	wire_put(writer, WIRE_TAG_TOKEN, token, sizeof token);
	assert_int_equal(asker_call(fixture, asker), MORTISE_BUSY);
	keeper_mend_log(fixture);
	await_fact(fixture, "audit", "ok");
	for (unsigned i = 0; i < WIRE_SETS_MAX; i++) {
		snprintf(path, sizeof path, "batch/n%u", i);
		snprintf(needle, sizeof needle, "\"path\":\"%s\"", path);
		if (keeper_log_has(fixture, needle))
			continue;
		if (ask_get(fixture, asker, path, NULL) == MORTISE_OK)
			fail_msg("%s was set, and the log has no line of it", path);
	}
	asker_close(asker);
}

/* What opens without PCRs is a day's affair, and not one until somebody changes a slot. */
static void a_stand_in_whose_end_a_full_disk_put_off_ends_with_its_line_once_there_is_room(
	void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);
	struct wire_writer *writer = asker_begin(asker, WIRE_SLOT_ADD);
	char slots[256];

	NEEDS_ROOT();
	wire_put_text(writer, WIRE_TAG_SLOT_KIND, "tpm2");
	wire_put_number(writer, WIRE_TAG_PCRS, 1u << 7);
	assert_int_equal(asker_call(fixture, asker), MORTISE_OK);
	wire_put_number(asker_begin(asker, WIRE_SLOT_SUSPEND), WIRE_TAG_NUMBER, 3);
	assert_int_equal(asker_call(fixture, asker), MORTISE_OK);
	asker_close(asker);
	assert_int_equal(keeper_stop(fixture), 0);
	ahead_s = SLOT_SUSPEND_S + 60;
	failing->full = EVER;
	keeper_start(fixture);
	ahead_s = 0;
	keeper_await_state(fixture, "unsealed");
	keeper_fact(fixture, "slots", slots);
	assert_non_null(strstr(slots, "stand-in"));
	failing->full = 0;
	keeper_stop_log(fixture);
	for (time_t end = time(NULL) + 90; strstr(slots, "stand-in");) {
		if (time(NULL) > end)
			fail_msg("its time is over, there is room, and still: %s", slots);
		usleep(100000);
		keeper_fact(fixture, "slots", slots);
	}
	keeper_mend_log(fixture);
	await_fact(fixture, "audit", "ok");
	assert_true(keeper_log_has(
		fixture, "\"result\":\"ok\",\"note\":\"late: slot 4 stands in for slot 3 no more"));
}

/* ---- sets that come together ---- */

#define TOGETHER 8

static void path_of(unsigned number, char out_path[32])
{
	snprintf(out_path, 32, "together/n%u", number);
}

static void send_set(struct asker *asker, const char *path, const char *value)
{
	static uint8_t token[WIRE_TOKEN_SIZE] = {9};
	struct wire_writer *writer = asker_begin(asker, WIRE_SET);

	token[1]++;
	wire_put_text(writer, WIRE_TAG_PATH, path);
	wire_put_text(writer, WIRE_TAG_VALUE, value);
	wire_put(writer, WIRE_TAG_TOKEN, token, sizeof token);
	asker_send(asker);
}

/* What is sent from now on is all there when the keeper runs again. */
static void hold_keeper(struct keeper_fixture *fixture)
{
	failing->is_frozen = true;
	assert_int_equal(kill(fixture->pid, SIGSTOP), 0);
}

static void let_keeper(struct keeper_fixture *fixture)
{
	assert_int_equal(kill(fixture->pid, SIGCONT), 0);
}

/* Each on a connection of its own, all with that outcome. */
static void set_together(struct keeper_fixture *fixture, const char *value, uint16_t expected)
{
	struct asker *askers[TOGETHER];
	char path[32];

	for (unsigned i = 0; i < TOGETHER; i++)
		askers[i] = asker_open(fixture);
	hold_keeper(fixture);
	for (unsigned i = 0; i < TOGETHER; i++) {
		path_of(i, path);
		send_set(askers[i], path, value);
	}
	let_keeper(fixture);
	for (unsigned i = 0; i < TOGETHER; i++) {
		assert_int_equal(asker_receive(fixture, askers[i]), expected);
		if (expected == MORTISE_IO)
			assert_non_null(strstr(askers[i]->text, "the store could not be"));
		asker_close(askers[i]);
	}
	failing->is_frozen = false;
}

static unsigned count_lines(
	const struct keeper_fixture *fixture, const char *path, const char *result)
{
	char *text = keeper_log(fixture), named[64], ending[64];
	unsigned count = 0;

	snprintf(named, sizeof named, "\"op\":\"set\"");
	snprintf(ending, sizeof ending, "\"result\":\"%s\"", result);
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		count += strstr(line, named) && strstr(line, path) && strstr(line, ending);
	free(text);
	return count;
}

static void sets_that_come_together_share_a_commit(void **state)
{
	struct keeper_fixture *fixture = *state;
	char path[32];
	unsigned again = 0;
	int syncs;

	set_together(fixture, "warm", MORTISE_OK);
	/* Where it is busy turns end by the clock; without groups each set syncs each time. */
	do {
		int before = failing->synced;
		set_together(fixture, "shared", MORTISE_OK);
		syncs = failing->synced - before;
	} while (syncs > TOGETHER / 2 && ++again < 20);
	assert_in_range(syncs, 1, TOGETHER / 2);
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < TOGETHER; i++) {
			path_of(i, path);
			assert_value(fixture, path, "shared");
			assert_int_equal(count_lines(fixture, path, "ok"), 2 + again);
		}
		assert_is_whole(fixture, "a value");
	}
}

static void where_their_commit_fails_none_is_set_and_the_log_says_so_of_each(void **state)
{
	struct keeper_fixture *fixture = *state;
	char path[32];

	failing->syncs = EVER;
	set_together(fixture, "lost", MORTISE_IO);
	failing->syncs = 0;
	for (unsigned i = 0; i < TOGETHER; i++) {
		path_of(i, path);
		struct asker *asker = asker_open(fixture);
		assert_int_equal(ask_get(fixture, asker, path, NULL), MORTISE_NOT_FOUND);
		asker_close(asker);
		assert_int_equal(count_lines(fixture, path, "ok"), 0);
		assert_int_equal(count_lines(fixture, path, "io"), 1);
	}
	set_together(fixture, "kept", MORTISE_OK);
	for (unsigned i = 0; i < TOGETHER; i++) {
		path_of(i, path);
		assert_value(fixture, path, "kept");
		assert_int_equal(count_lines(fixture, path, "ok"), 1);
	}
	assert_is_whole(fixture, "a value");
}

/* In a turn of sets there is nothing else that their failure could take along. */
static void what_comes_between_them_finds_the_disk_as_it_is(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *first = asker_open(fixture), *reader = asker_open(fixture),
		     *last = asker_open(fixture);

	failing->syncs = EVER;
	hold_keeper(fixture);
	send_set(first, PATH, "lost");
	begin_get(reader, PATH);
	asker_send(reader);
	send_set(last, PATH, "lost, too");
	let_keeper(fixture);
	assert_int_equal(asker_receive(fixture, first), MORTISE_IO);
	assert_int_equal(asker_receive(fixture, reader), MORTISE_OK);
	assert_null(memmem(reader->in, reader->size, "lost", 4));
	assert_non_null(memmem(reader->in, reader->size, "a value", 7));
	assert_int_equal(asker_receive(fixture, last), MORTISE_IO);
	failing->is_frozen = false;
	failing->syncs = 0;
	assert_int_equal(set(fixture, "kept"), MORTISE_OK);
	assert_value(fixture, PATH, "kept");
	asker_close(first);
	asker_close(reader);
	asker_close(last);
	assert_is_whole(fixture, "kept");
}

/* The store has them, and nobody was told: they are on record as soon as the log can be written. */
static void where_the_log_cannot_be_written_their_lines_are_owed(void **state)
{
	struct keeper_fixture *fixture = *state;
	char path[32];

	keeper_stop_log(fixture);
	set_together(fixture, "done", MORTISE_BUSY);
	keeper_mend_log(fixture);
	await_fact(fixture, "audit", "ok");
	for (unsigned i = 0; i < TOGETHER; i++) {
		path_of(i, path);
		assert_value(fixture, path, "done");
		assert_int_equal(count_lines(fixture, path, "ok"), 1);
	}
}

/* ---- a store that is being made ---- */

/* Without the recovery key it would be its hardware's for good, and nobody could make another. */
static void assert_key_is_told(struct keeper_fixture *fixture)
{
	struct asker *asker;

	assert_int_equal(init(fixture), MORTISE_OK);
	keeper_await_state(fixture, "unsealed");
	assert_int_equal(keeper_stop(fixture), 0);
	keeper_start(fixture);
	keeper_await_state(fixture, "unsealed");
	asker = asker_open(fixture);
	assert_int_equal(ask_plain(fixture, asker, WIRE_SEAL), MORTISE_OK);
	if (ask_recover(fixture, asker, fixture->recovery) != MORTISE_OK)
		fail_msg("the key that init told: %s", asker->text);
	asker_close(asker);
}

static void the_key_of_a_store_is_told_where_the_write_that_made_it_is_said_to_have_failed(
	void **state)
{
	failing->commits = 1;
	assert_key_is_told(*state);
}

static void the_key_of_a_store_is_told_where_it_cannot_be_read_at_once(void **state)
{
	failing->looks = 1;
	assert_key_is_told(*state);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			the_key_of_a_store_is_told_where_the_write_that_made_it_is_said_to_have_failed,
			set_up_empty, tear_down),
		cmocka_unit_test_setup_teardown(
			the_key_of_a_store_is_told_where_it_cannot_be_read_at_once, set_up_empty,
			tear_down),
		TEST(a_stand_in_whose_end_a_full_disk_put_off_ends_with_its_line_once_there_is_room),
		TEST(a_seal_after_a_rekey_whose_last_write_failed_leaves_a_store_that_opens),
		TEST(damage_that_was_acknowledged_is_not_told_again_for_a_write_that_failed),
		TEST(each_line_of_a_large_change_is_owed_behind_one_that_is_owed_already),
		TEST(a_failed_sync_drops_no_key_and_asks_no_hardware),
		TEST(while_the_disk_fails_values_are_served_and_status_says_why),
		TEST(a_disk_that_is_well_again_is_noticed_without_a_change),
		TEST(an_older_copy_in_its_place_is_sealed_with_what_is_true),
		TEST(a_policy_that_is_in_the_store_though_its_write_failed_is_in_force),
		TEST(after_space_was_freed_the_first_change_is_done),
		TEST(a_log_that_can_be_written_again_is_said_to_be_without_a_request),
		TEST(a_line_that_is_owed_keeps_nobody_from_the_status),
		TEST(sets_that_come_together_share_a_commit),
		TEST(where_their_commit_fails_none_is_set_and_the_log_says_so_of_each),
		TEST(what_comes_between_them_finds_the_disk_as_it_is),
		TEST(where_the_log_cannot_be_written_their_lines_are_owed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
