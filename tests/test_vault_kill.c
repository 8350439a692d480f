/* SPDX-License-Identifier: ISC */
/*
 * SIGKILL at a system call (FAULTS row 9): a process makes the steps of crash_fixture.h under
 * ptrace(2), and is killed at one entry or exit of a system call. MORTISE_TEST_KILLS of these are
 * tried, one after the other and as far apart as that allows; 0: all of them.
 */
#include <limits.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "crash_fixture.h"

#define KILLS 300

static void make_steps(struct fixture *fixture, const uint8_t *key, int tell_fd)
{
	/* The pool does not outlive a fork. */
	if (secret_pool_open(POOL_SIZE) != MORTISE_OK ||
		secret_copy(key, KEY_SIZE, &fixture->master_key) != MORTISE_OK ||
		reopen(fixture) != MORTISE_OK || ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
		_exit(1);
	raise(SIGSTOP);
	for (unsigned step = 0; step < CRASH_STEPS; step++)
		if (crash_step(fixture, step) != MORTISE_OK || write(tell_fd, "", 1) != 1)
			_exit(1);
	_exit(0);
}

/* Kills it at the stop with this number; out: how many there were, if it ended before. */
static bool kill_at(pid_t pid, unsigned long number, unsigned long *out_stops)
{
	int result = 0;

	assert_int_equal(waitpid(pid, &result, 0), pid);
	assert_true(WIFSTOPPED(result));
	for (unsigned long stop = 0; stop < number; stop++) {
		assert_int_equal(ptrace(PTRACE_SYSCALL, pid, NULL, NULL), 0);
		assert_int_equal(waitpid(pid, &result, 0), pid);
		if (WIFEXITED(result)) {
			assert_int_equal(WEXITSTATUS(result), 0);
			*out_stops = stop;
			return false;
		}
		assert_true(WIFSTOPPED(result) && WSTOPSIG(result) == SIGTRAP);
	}
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &result, 0), pid);
	assert_true(WIFSIGNALED(result));
	return true;
}

struct keys {
	uint8_t master[KEY_SIZE], h[2][KEY_SIZE];
};

static void put_keys_away(struct fixture *fixture, struct keys *out_keys)
{
	memcpy(out_keys->master, fixture->master_key->bytes, KEY_SIZE);
	for (size_t i = 0; i < 2; i++)
		memcpy(out_keys->h[i], fixture->h[i]->bytes, KEY_SIZE);
	drop_keys(fixture);
	secret_pool_close();
}

static void take_keys(struct fixture *fixture, const struct keys *keys)
{
	assert_int_equal(secret_pool_open(POOL_SIZE), MORTISE_OK);
	assert_int_equal(secret_copy(keys->master, KEY_SIZE, &fixture->master_key), MORTISE_OK);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(secret_copy(keys->h[i], KEY_SIZE, &fixture->h[i]), MORTISE_OK);
}

/* Puts the store back to what it was. */
static void begin_anew(struct fixture *fixture, const char *copy)
{
	char log[96];

	close_all(fixture);
	snprintf(log, sizeof log, "%s-wal", fixture->path);
	unlink(log);
	copy_file(copy, fixture->path);
}

/* One process; out: the steps that it told, and the stops that it had if it was not killed. */
static bool kill_one(struct fixture *fixture, unsigned long number, unsigned *out_steps,
	unsigned long *out_stops)
{
	char told[CRASH_STEPS];
	struct keys keys;
	int fds[2];

	put_keys_away(fixture, &keys);
	assert_int_equal(pipe(fds), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		make_steps(fixture, keys.master, fds[1]);
	close(fds[1]);
	bool was_killed = kill_at(pid, number, out_stops);
	ssize_t count = read(fds[0], told, sizeof told);
	close(fds[0]);
	assert_in_range(count, 0, CRASH_STEPS);
	*out_steps = (unsigned)count;
	take_keys(fixture, &keys);
	return was_killed;
}

static void tell_story(struct fixture *fixture, struct crash_story *out_story)
{
	crash_tell(fixture, &out_story->after[0]);
	for (unsigned step = 0; step < CRASH_STEPS; step++) {
		assert_int_equal(crash_step(fixture, step), MORTISE_OK);
		crash_tell(fixture, &out_story->after[step + 1]);
	}
}

static void a_kill_at_any_system_call_loses_nothing_acknowledged(void **state)
{
	static struct crash_story story;
	struct fixture *fixture = *state;
	unsigned kills = crash_number("MORTISE_TEST_KILLS", KILLS), steps = 0;
	unsigned long stops = 0, others = 0;
	struct keys first;
	char copy[96];

	memcpy(first.master, fixture->master_key->bytes, KEY_SIZE);
	close_all(fixture);
	snprintf(copy, sizeof copy, "%s.copy", fixture->path);
	copy_file(fixture->path, copy);
	assert_int_equal(reopen(fixture), MORTISE_OK);
	tell_story(fixture, &story);
	begin_anew(fixture, copy);
	assert_false(kill_one(fixture, ULONG_MAX, &steps, &stops));
	assert_int_equal(steps, CRASH_STEPS);
	assert_true(stops > 200);
	print_message("%lu entries and exits of system calls\n", stops);
	for (unsigned i = 0; i < (kills ? kills : stops); i++) {
		begin_anew(fixture, copy);
		secret_drop(&fixture->master_key);
		assert_int_equal(
			secret_copy(first.master, KEY_SIZE, &fixture->master_key), MORTISE_OK);
		/* Fewer system calls, where the time that slices take is another: over is over. */
		if (kill_one(fixture, kills ? i * stops / kills : i, &steps, &others))
			crash_assert_opens(fixture, &story, steps);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_kill_at_any_system_call_loses_nothing_acknowledged, set_up_secrets,
			tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
