/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sodium.h>

#include "mortise_test.h"
#include "secret.h"

#define POOL_SIZE   65536
#define GRANULE     64
#define HEADER_SIZE sizeof(struct secret)
#define NOBODY      65534

static int set_up(void **state)
{
	(void)state;
	return sodium_init() >= 0 && secret_pool_open(POOL_SIZE) == MORTISE_OK ? 0 : -1;
}

static struct secret *new_secret(size_t size)
{
	struct secret *secret = NULL;

	assert_int_equal(secret_new(size, &secret), MORTISE_OK);
	return secret;
}

static size_t whole_pool(void)
{
	return POOL_SIZE - HEADER_SIZE;
}

static bool is_zero(const struct secret *secret)
{
	return sodium_is_zero(secret->bytes, secret->size) == 1;
}

/* The kernel reads for us, and says EFAULT where a read of our own would be the end. */
static bool is_readable(const void *at)
{
	int ends[2];
	ssize_t written;

	assert_int_equal(pipe(ends), 0);
	written = write(ends[1], at, 1);
	if (written < 0)
		assert_int_equal(errno, EFAULT);
	close(ends[0]);
	close(ends[1]);
	return written == 1;
}

/* How a child ends that does something wrong. */
static int signal_of(void (*wrong)(void *), void *argument)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		const struct rlimit no_core = {0};

		setrlimit(RLIMIT_CORE, &no_core);
		wrong(argument);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void a_new_secret_is_zero_and_has_its_size(void **state)
{
	static const size_t sizes[] = {0, 1, 32, 55, 56, 57, 66000 - 2000};

	(void)state;
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		struct secret *secret = new_secret(sizes[i]);

		assert_int_equal(secret->size, sizes[i]);
		assert_true(is_zero(secret));
		assert_int_equal((uintptr_t)secret % GRANULE, 0);
		secret_free(secret);
	}
}

static void a_freed_secret_is_wiped(void **state)
{
	struct secret *secret = new_secret(whole_pool());

	(void)state;
	memset(secret->bytes, 0xa5, secret->size);
	secret_free(secret);
	secret = new_secret(whole_pool());
	assert_true(is_zero(secret));
	secret_free(secret);
}

static void a_full_pool_says_busy_and_recovers(void **state)
{
	struct secret *all = new_secret(whole_pool());
	struct secret *more = NULL;

	(void)state;
	assert_int_equal(secret_pool_room(), 0);
	assert_int_equal(secret_new(0, &more), MORTISE_BUSY);
	assert_null(more);
	secret_free(all);
	assert_int_equal(secret_pool_room(), whole_pool());
	secret_free(new_secret(whole_pool()));
}

static void a_size_beyond_the_pool_is_busy_too(void **state)
{
	struct secret *secret = NULL;

	(void)state;
	assert_int_equal(secret_new(whole_pool() + 1, &secret), MORTISE_BUSY);
	assert_int_equal(secret_new(SIZE_MAX, &secret), MORTISE_BUSY);
	assert_null(secret);
}

static void without_a_pool_there_are_no_secrets(void **state)
{
	struct secret *secret = NULL;

	secret_pool_close();
	assert_int_equal(secret_new(1, &secret), MORTISE_BUSY);
	assert_string_equal(secret_pool_protection(), "none");
	assert_int_equal(secret_pool_room(), 0);
	secret_pool_close();
	assert_int_equal(set_up(state), 0);
}

static void a_second_pool_is_refused(void **state)
{
	(void)state;
	assert_int_equal(secret_pool_open(POOL_SIZE), MORTISE_IO);
	secret_free(new_secret(whole_pool()));
}

static struct secret *of_granules(size_t count)
{
	return new_secret(count * GRANULE - sizeof(struct secret));
}

static void room_across_the_point_of_search_is_found(void **state)
{
	struct secret *hole = of_granules(1), *second = of_granules(1), *third = of_granules(2);
	struct secret *rest = new_secret(secret_pool_room());

	(void)state;
	secret_free(hole);
	secret_free(third);
	third = of_granules(2);
	/* The search now begins at the second, and what is wanted at the hole before it. */
	secret_free(second);
	assert_ptr_equal(of_granules(2), hole);
	secret_free(hole);
	secret_free(third);
	secret_free(rest);
	secret_free(new_secret(whole_pool()));
}

static void what_was_given_back_last_is_used_again_first(void **state)
{
	struct secret *key = of_granules(1), *value = of_granules(5);

	(void)state;
	secret_free(key);
	secret_free(value);
	assert_ptr_equal(of_granules(1), key);
	assert_ptr_equal(of_granules(5), value);
	secret_free(key);
	secret_free(value);
}

static void shrinking_gives_back_whole_granules_and_wipes(void **state)
{
	struct secret *secret = new_secret(whole_pool());
	struct secret *rest;

	(void)state;
	memset(secret->bytes, 0xa5, secret->size);
	secret_shrink(secret, 100);
	assert_int_equal(secret->size, 100);
	assert_int_equal(secret->bytes[99], 0xa5);
	assert_int_equal(secret_pool_room(), POOL_SIZE - 2 * GRANULE - HEADER_SIZE);
	rest = new_secret(secret_pool_room());
	assert_true(is_zero(rest));
	secret_free(rest);
	secret_shrink(secret, 0);
	secret_shrink(secret, 0);
	secret_free(secret);
	assert_int_equal(secret_pool_room(), whole_pool());
}

static void a_copy_holds_the_bytes(void **state)
{
	struct secret *secret = NULL;

	(void)state;
	assert_int_equal(secret_copy("swordfish", 9, &secret), MORTISE_OK);
	assert_int_equal(secret->size, 9);
	assert_memory_equal(secret->bytes, "swordfish", 9);
	secret_drop(&secret);
	assert_null(secret);
	assert_int_equal(secret_copy(NULL, 0, &secret), MORTISE_OK);
	secret_drop(&secret);
	secret_drop(&secret);
}

static void random_secrets_differ(void **state)
{
	struct secret *a = NULL, *b = NULL;

	(void)state;
	assert_int_equal(secret_random(KEY_SIZE, &a), MORTISE_OK);
	assert_int_equal(secret_random(KEY_SIZE, &b), MORTISE_OK);
	assert_false(secret_equals(a, b));
	assert_false(is_zero(a));
	secret_free(a);
	secret_free(b);
}

static void equal_means_size_and_bytes(void **state)
{
	struct secret *a = NULL, *b = NULL, *longer = NULL;

	(void)state;
	assert_int_equal(secret_copy("abc", 3, &a), MORTISE_OK);
	assert_int_equal(secret_copy("abc", 3, &b), MORTISE_OK);
	assert_int_equal(secret_copy("abc", 4, &longer), MORTISE_OK);
	assert_true(secret_equals(a, b) && !secret_equals(a, longer));
	b->bytes[2] = 'd';
	assert_false(secret_equals(a, b));
	secret_free(a);
	secret_free(b);
	secret_free(longer);
}

static void taking_leaves_nothing_behind(void **state)
{
	struct secret *secret = new_secret(1);

	(void)state;
	secret_free(secret_take(&secret));
	assert_null(secret);
	secret_free(NULL);
}

static void free_it(void *secret)
{
	secret_free(secret);
}

static void freeing_twice_aborts(void **state)
{
	struct secret *secret = new_secret(10);

	(void)state;
	secret_free(secret);
	assert_int_equal(signal_of(free_it, secret), SIGABRT);
}

static void freeing_a_foreign_pointer_aborts(void **state)
{
	_Alignas(GRANULE) uint8_t foreign[GRANULE] = {0};
	struct secret *secret = new_secret(200);

	(void)state;
	assert_int_equal(signal_of(free_it, foreign), SIGABRT);
	assert_int_equal(signal_of(free_it, (uint8_t *)secret + GRANULE), SIGABRT);
	assert_int_equal(signal_of(free_it, (uint8_t *)secret + 8), SIGABRT);
	assert_int_equal(signal_of(free_it, (uint8_t *)secret + POOL_SIZE), SIGABRT);
	secret_free(secret);
}

static void the_pages_around_the_pool_cannot_be_touched(void **state)
{
	struct secret *secret = new_secret(whole_pool());
	const uint8_t *first = (const uint8_t *)secret;

	(void)state;
	assert_true(is_readable(first) && is_readable(first + POOL_SIZE - 1));
	assert_false(is_readable(first - 1) || is_readable(first + POOL_SIZE));
	secret_free(secret);
}

static void read_or_abort(void *secret)
{
	if (!is_readable(secret))
		abort();
}

static void a_child_does_not_inherit_the_pool(void **state)
{
	struct secret *secret = new_secret(10);

	(void)state;
	assert_int_equal(signal_of(read_or_abort, &state), 0);
	assert_int_equal(signal_of(read_or_abort, secret), SIGABRT);
	secret_free(secret);
}

/* The flags of the mapping that begins at address: proc(5), VmFlags. */
static bool has_flags(const void *address, const char *first, const char *second)
{
	FILE *maps = fopen("/proc/self/smaps", "re");
	bool is_ours = false, is_found = false;
	char line[512];

	assert_non_null(maps);
	while (!is_found && fgets(line, sizeof line, maps) != NULL) {
		unsigned long from, to;

		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			is_ours = from == (unsigned long)address;
		is_found = is_ours && strncmp(line, "VmFlags:", 8) == 0;
	}
	fclose(maps);
	return is_found && strstr(line, first) != NULL && strstr(line, second) != NULL;
}

static void the_pool_is_locked_and_not_dumped(void **state)
{
	struct secret *secret = new_secret(whole_pool());

	(void)state;
	assert_string_not_equal(secret_pool_protection(), "none");
	assert_true(has_flags(secret, " lo", " dd"));
	assert_true(has_flags(secret, " dc", " dd"));
	secret_free(secret);
}

/* From here on nothing can be locked. */
static void lose_memlock(void)
{
	const struct rlimit nothing = {0};

	secret_pool_close();
	if (setrlimit(RLIMIT_MEMLOCK, &nothing) != 0)
		abort();
	if (geteuid() == 0 &&
		(setgroups(0, NULL) != 0 || setgid(NOBODY) != 0 || setuid(NOBODY) != 0))
		abort();
}

static void expect_refusal(void *unused)
{
	(void)unused;
	lose_memlock();
	errno = 0;
	if (secret_pool_open(POOL_SIZE) != MORTISE_IO || errno == 0)
		abort();
}

static void memory_that_cannot_be_locked_is_refused(void **state)
{
	secret_pool_close();
	assert_int_equal(signal_of(expect_refusal, NULL), 0);
	assert_int_equal(set_up(state), 0);
}

static void expect_an_unlocked_pool(void *unused)
{
	struct secret *secret;

	(void)unused;
	lose_memlock();
	if (secret_pool_open_anyhow(POOL_SIZE) != MORTISE_OK ||
		strcmp(secret_pool_protection(), "none") != 0)
		abort();
	secret = new_secret(whole_pool());
	if (!has_flags(secret, " dc", " dd"))
		abort();
	secret_free(secret);
	secret_pool_close();
}

static void only_who_asks_for_it_gets_memory_that_is_not_locked(void **state)
{
	secret_pool_close();
	assert_int_equal(signal_of(expect_an_unlocked_pool, NULL), 0);
	assert_int_equal(secret_pool_open_anyhow(POOL_SIZE), MORTISE_OK);
	assert_string_not_equal(secret_pool_protection(), "none");
	secret_pool_close();
	assert_int_equal(set_up(state), 0);
}

static void any_order_of_use_keeps_secrets_apart(void **state)
{
	struct secret *held[64] = {0};

	(void)state;
	for (int round = 0; round < 20000; round++) {
		size_t i = randombytes_uniform(64);
		uint8_t mark = (uint8_t)(i + 1);

		if (held[i] != NULL) {
			for (size_t at = 0; at < held[i]->size; at++)
				assert_int_equal(held[i]->bytes[at], mark);
			if (round % 3 == 0)
				secret_shrink(
					held[i], randombytes_uniform((uint32_t)held[i]->size + 1));
			else
				secret_drop(&held[i]);
		} else if (secret_new(randombytes_uniform(3000), &held[i]) == MORTISE_OK) {
			assert_true(is_zero(held[i]));
			memset(held[i]->bytes, mark, held[i]->size);
		}
	}
	for (size_t i = 0; i < 64; i++)
		secret_drop(&held[i]);
	secret_free(new_secret(whole_pool()));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_secret_is_zero_and_has_its_size),
		cmocka_unit_test(a_freed_secret_is_wiped),
		cmocka_unit_test(a_full_pool_says_busy_and_recovers),
		cmocka_unit_test(a_size_beyond_the_pool_is_busy_too),
		cmocka_unit_test(without_a_pool_there_are_no_secrets),
		cmocka_unit_test(a_second_pool_is_refused),
		cmocka_unit_test(room_across_the_point_of_search_is_found),
		cmocka_unit_test(what_was_given_back_last_is_used_again_first),
		cmocka_unit_test(shrinking_gives_back_whole_granules_and_wipes),
		cmocka_unit_test(a_copy_holds_the_bytes),
		cmocka_unit_test(random_secrets_differ),
		cmocka_unit_test(equal_means_size_and_bytes),
		cmocka_unit_test(taking_leaves_nothing_behind),
		cmocka_unit_test(freeing_twice_aborts),
		cmocka_unit_test(freeing_a_foreign_pointer_aborts),
		cmocka_unit_test(the_pages_around_the_pool_cannot_be_touched),
		cmocka_unit_test(a_child_does_not_inherit_the_pool),
		cmocka_unit_test(the_pool_is_locked_and_not_dumped),
		cmocka_unit_test(memory_that_cannot_be_locked_is_refused),
		cmocka_unit_test(only_who_asks_for_it_gets_memory_that_is_not_locked),
		cmocka_unit_test(any_order_of_use_keeps_secrets_apart),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
