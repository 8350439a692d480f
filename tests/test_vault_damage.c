/* SPDX-License-Identifier: ISC */
/* Damage to the file (FAULTS row 15), and a keeper that is killed (row 9). */
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "vault_fixture.h"

#define FLIPS       900
#define KILL_ROUNDS 100
#define TORN_ROUNDS 100

/* Row 15. Every value is right or refused; returns how many were read. */
static unsigned assert_right_or_refused(struct fixture *fixture)
{
	unsigned read = 0;

	if (reopen(fixture) != MORTISE_OK)
		return 0;
	for (size_t i = 0; i < FIXTURE_PATHS; i++)
		for (unsigned number = 0; number <= 2; number++) {
			CLEANUP(secret_drop) struct secret *value = NULL;
			char expected[32];
			snprintf(expected, sizeof expected, "%s %u", fixture_paths[i],
				number ? number : 2);
			enum mortise_status status =
				get_version(fixture, fixture_paths[i], number, &value);
			if (status != MORTISE_OK) {
				assert_true(status == MORTISE_INTEGRITY || status == MORTISE_IO);
				continue;
			}
			assert_int_equal(value->size, strlen(expected));
			assert_memory_equal(value->bytes, expected, value->size);
			read++;
		}
	return read;
}

static void write_file(const char *path, const uint8_t *bytes, size_t size)
{
	int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(file >= 0);
	assert_int_equal(write(file, bytes, size), size);
	close(file);
}

static void a_flipped_byte_gives_never_a_wrong_value(void **state)
{
	struct fixture *fixture = *state;
	static uint8_t right[200000], flipped[200000];
	char log[96];
	unsigned refused = 0, whole = 0;

	close_all(fixture);
	FILE *file = fopen(fixture->path, "rb");
	size_t size = fread(right, 1, sizeof right, file);
	fclose(file);
	assert_in_range(size, 4096, sizeof right - 1);
	snprintf(log, sizeof log, "%s-wal", fixture->path);
	for (unsigned i = 0; i < FLIPS; i++) {
		/* The file's header, then each page's, then bytes that say something anywhere. */
		size_t at = i < 100 ? i : (i - 100) / 8 * 4096 + (i - 100) % 8;
		if (at >= size) {
			at = (size_t)i * 7919 % size;
			while (!right[at])
				at = (at + 1) % size;
		}
		memcpy(flipped, right, size);
		flipped[at] ^= (uint8_t)(1u << i % 8);
		close_all(fixture);
		unlink(log);
		write_file(fixture->path, flipped, size);
		unsigned read = assert_right_or_refused(fixture);
		refused += read == 0;
		whole += read == 3 * FIXTURE_PATHS;
	}
	/* Both happen, or else the test flips nothing or opens nothing. */
	assert_true(refused > FLIPS / 10);
	assert_true(whole > FLIPS / 10);
}

static void a_file_cut_short_gives_never_a_wrong_value(void **state)
{
	struct fixture *fixture = *state;
	char copy[96];

	close_all(fixture);
	snprintf(copy, sizeof copy, "%s.copy", fixture->path);
	copy_file(fixture->path, copy);
	FILE *file = fopen(copy, "rb");
	fseek(file, 0, SEEK_END);
	long size = ftell(file);
	fclose(file);
	for (long cut = 1; cut < size; cut += 1511) {
		copy_file(copy, fixture->path);
		assert_int_equal(truncate(fixture->path, cut), 0);
		assert_int_equal(assert_right_or_refused(fixture), 0);
		close_all(fixture);
	}
}

/* What the child says once a write is done. */
struct acknowledged {
	uint32_t path, number;
};

/* How a child dies: by our hand after some acknowledged writes, or by its own at one of SQLite's.
 */
struct death {
	unsigned acks, moment;
	unsigned file_write; /* 0: by our hand */
};

static unsigned file_writes_left;

/* In place of SQLite's pwrite: the last one stays half done. */
static ssize_t write_and_die(int file, const void *bytes, size_t size, off_t at)
{
	if (file_writes_left > 0 && --file_writes_left == 0) {
		if (pwrite(file, bytes, size / 2, at) > 0)
			raise(SIGKILL);
		_exit(1);
	}
	return pwrite(file, bytes, size, at);
}

static void open_in_child(
	struct fixture *fixture, const uint8_t *key, uint64_t out_current[FIXTURE_PATHS])
{
	struct vault_version versions[VAULT_VERSIONS_MAX];
	struct vault_head head;
	size_t count;

	/* The pool does not outlive a fork. */
	if (secret_pool_open(POOL_SIZE) != MORTISE_OK ||
		secret_copy(key, KEY_SIZE, &fixture->master_key) != MORTISE_OK ||
		reopen(fixture) != MORTISE_OK)
		_exit(1);
	for (size_t i = 0; i < FIXTURE_PATHS; i++) {
		if (vault_show(fixture->vault, fixture_paths[i], &head, versions, &count) !=
			MORTISE_OK)
			_exit(1);
		out_current[i] = head.current;
	}
}

/* Goes on from what is on disk and writes without end, now and then emptying the log. */
static void write_until_killed(struct fixture *fixture, const uint8_t *key, int acks)
{
	uint64_t current[FIXTURE_PATHS];
	struct vault_outcome outcome;
	char value[64];

	open_in_child(fixture, key, current);
	for (uint32_t i = 0;; i = (i + 1) % FIXTURE_PATHS) {
		snprintf(value, sizeof value, "%s %llu", fixture_paths[i],
			(unsigned long long)++current[i]);
		struct vault_write write_now =
			a_write(fixture, fixture_paths[i], value, strlen(value));
		memcpy(write_now.token + 8, &current[i], 8);
		struct acknowledged ack = {i, (uint32_t)current[i]};
		if (vault_write(fixture->vault, &write_now, &outcome) != MORTISE_OK ||
			outcome.version != current[i] ||
			write(acks, &ack, sizeof ack) != sizeof ack)
			_exit(1);
		if (current[i] % 4 == 0 && store_truncate_log(fixture->store) != MORTISE_OK)
			_exit(1);
	}
}

/* Lets a child write until it dies, and takes note of what it told. */
static void kill_a_writer(struct fixture *fixture, const uint8_t *key, const struct death *death,
	uint64_t last[FIXTURE_PATHS])
{
	struct acknowledged ack;
	int acks[2], result = 0;

	assert_int_equal(pipe(acks), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		close(acks[0]);
		file_writes_left = death->file_write;
		write_until_killed(fixture, key, acks[1]);
	}
	close(acks[1]);
	for (unsigned told = 0; told < death->acks; told++) {
		assert_int_equal(read(acks[0], &ack, sizeof ack), sizeof ack);
		last[ack.path] = ack.number;
	}
	for (volatile unsigned moment = death->moment; moment > 0; moment--)
		;
	if (!death->file_write)
		assert_int_equal(kill(pid, SIGKILL), 0);
	while (read(acks[0], &ack, sizeof ack) == sizeof ack)
		last[ack.path] = ack.number;
	assert_int_equal(waitpid(pid, &result, 0), pid);
	assert_true(WIFSIGNALED(result));
	close(acks[0]);
}

/* Each path has the version last told, or the one after it, which was under way. */
static void assert_acknowledged(struct fixture *fixture, uint64_t last[FIXTURE_PATHS])
{
	unsigned under_way = 0;

	for (size_t i = 0; i < FIXTURE_PATHS; i++) {
		CLEANUP(secret_drop) struct secret *value = NULL;
		const struct vault_choice current = {VAULT_CURRENT, 0};
		char expected[64];
		uint64_t version = 0;
		assert_int_equal(
			vault_read(fixture->vault, fixture_paths[i], &current, &value, &version),
			MORTISE_OK);
		under_way += version == last[i] + 1;
		assert_in_range(version, last[i], last[i] + 1);
		snprintf(expected, sizeof expected, "%s %llu", fixture_paths[i],
			(unsigned long long)version);
		assert_int_equal(value->size, strlen(expected));
		assert_memory_equal(value->bytes, expected, value->size);
		last[i] = version;
	}
	assert_in_range(under_way, 0, 1);
}

/* One child lives and dies; what it acknowledged is there. */
static void survive(
	struct fixture *fixture, const struct death *death, uint64_t last[FIXTURE_PATHS])
{
	uint8_t key[KEY_SIZE];

	memcpy(key, fixture->master_key->bytes, KEY_SIZE);
	close_all(fixture);
	drop_keys(fixture);
	secret_pool_close();
	kill_a_writer(fixture, key, death, last);
	assert_int_equal(secret_pool_open(POOL_SIZE), MORTISE_OK);
	assert_int_equal(secret_copy(key, KEY_SIZE, &fixture->master_key), MORTISE_OK);
	assert_int_equal(reopen(fixture), MORTISE_OK);
	assert_acknowledged(fixture, last);
}

static void a_kill_at_any_moment_loses_no_acknowledged_write(void **state)
{
	uint64_t last[FIXTURE_PATHS] = {2, 2, 2};

	for (unsigned round = 0; round < KILL_ROUNDS; round++) {
		struct death death = {round % 7, round * 7919 % 200000, 0};
		survive(*state, &death, last);
	}
	assert_true(last[0] + last[1] + last[2] > KILL_ROUNDS);
}

/* Commits and checkpoints alike, each torn at one of its writes. */
static void a_kill_amid_any_write_to_the_file_loses_no_acknowledged_write(void **state)
{
	sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
	uint64_t last[FIXTURE_PATHS] = {2, 2, 2};

	for (size_t i = 0; i < 2; i++)
		assert_int_equal(vfs->xSetSystemCall(vfs, i ? "pwrite64" : "pwrite",
					 (sqlite3_syscall_ptr)write_and_die),
			SQLITE_OK);
	for (unsigned number = 1; number <= TORN_ROUNDS; number++) {
		struct death death = {0, 0, number};
		survive(*state, &death, last);
	}
	assert_int_equal(vfs->xSetSystemCall(vfs, NULL, NULL), SQLITE_OK);
}

int main(void)
{
#define IN_VAULT(test) cmocka_unit_test_setup_teardown(test, set_up_secrets, tear_down)
	const struct CMUnitTest tests[] = {
		IN_VAULT(a_flipped_byte_gives_never_a_wrong_value),
		IN_VAULT(a_file_cut_short_gives_never_a_wrong_value),
		IN_VAULT(a_kill_at_any_moment_loses_no_acknowledged_write),
		IN_VAULT(a_kill_amid_any_write_to_the_file_loses_no_acknowledged_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
