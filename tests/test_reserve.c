/* SPDX-License-Identifier: ISC */
/* Room that is kept on the store's disk, and what a vault does with it when the disk is full. */
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "reserve.h"
#include "vault_fixture.h"

#define DISK_SIZE (8 * 1024 * 1024)

static struct reserve *reserve;

static int set_up_disk(void **state)
{
	if (set_up(state) != 0)
		return -1;
	struct fixture *fixture = *state;
	return geteuid() == 0 ? mount("none", fixture->directory, "tmpfs", MS_NOSUID, "size=8m")
			      : 0;
}

static int tear_down_disk(void **state)
{
	struct fixture *fixture = *state;

	reserve_free(reserve);
	reserve = NULL;
	close_all(fixture);
	if (geteuid() == 0 && umount2(fixture->directory, MNT_DETACH) != 0)
		return -1;
	return tear_down(state);
}

#define NEEDS_DISK()                                                                               \
	do {                                                                                       \
		if (geteuid() != 0)                                                                \
			skip(); /* needs root */                                                   \
	} while (0)

static void path_of(const struct fixture *fixture, const char *name, char out_path[96])
{
	assert_true(snprintf(out_path, 96, "%s/%s", fixture->directory, name) < 96);
}

static uint64_t disk_left(const struct fixture *fixture)
{
	struct statvfs disk;

	assert_int_equal(statvfs(fixture->directory, &disk), 0);
	return (uint64_t)disk.f_bavail * disk.f_frsize;
}

/* But for so many bytes. */
static void fill_disk(const struct fixture *fixture, uint64_t left)
{
	char path[96];

	path_of(fixture, "ballast", path);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(
		posix_fallocate(fd, lseek(fd, 0, SEEK_END), (off_t)(disk_left(fixture) - left)), 0);
	assert_int_equal(close(fd), 0);
}

static void it_holds_a_sixteenth_of_a_small_disk(void **state)
{
	const struct fixture *fixture = *state;

	NEEDS_DISK();
	assert_int_equal(reserve_new(fixture->directory, &reserve), MORTISE_OK);
	assert_int_equal(reserve_held(reserve), 0);
	reserve_fill(reserve);
	assert_int_equal(reserve_held(reserve), DISK_SIZE / RESERVE_SHARE);
	reserve_fill(reserve);
	assert_int_equal(disk_left(fixture), DISK_SIZE - DISK_SIZE / RESERVE_SHARE);
}

static void it_holds_so_much_and_no_more_of_a_large_one(void **state)
{
	const struct fixture *fixture = *state;

	NEEDS_DISK();
	assert_int_equal(
		mount("none", fixture->directory, "tmpfs", MS_REMOUNT | MS_NOSUID, "size=1g"), 0);
	assert_int_equal(reserve_new(fixture->directory, &reserve), MORTISE_OK);
	reserve_fill(reserve);
	assert_int_equal(reserve_held(reserve), RESERVE_MAX);
}

static void it_is_spent_piece_by_piece_until_nothing_is_left(void **state)
{
	const struct fixture *fixture = *state;

	NEEDS_DISK();
	assert_int_equal(
		mount("none", fixture->directory, "tmpfs", MS_REMOUNT | MS_NOSUID, "size=64m"), 0);
	assert_int_equal(reserve_new(fixture->directory, &reserve), MORTISE_OK);
	reserve_fill(reserve);
	fill_disk(fixture, 0);
	for (uint64_t left = RESERVE_PIECE; left <= RESERVE_MAX; left += RESERVE_PIECE) {
		assert_true(reserve_spend(reserve));
		assert_int_equal(disk_left(fixture), left);
	}
	assert_false(reserve_spend(reserve));
	assert_int_equal(reserve_held(reserve), 0);
}

static void it_is_there_after_a_restart_and_filled_again_as_far_as_the_disk_allows(void **state)
{
	const struct fixture *fixture = *state;

	NEEDS_DISK();
	assert_int_equal(
		mount("none", fixture->directory, "tmpfs", MS_REMOUNT | MS_NOSUID, "size=64m"), 0);
	assert_int_equal(reserve_new(fixture->directory, &reserve), MORTISE_OK);
	reserve_fill(reserve);
	fill_disk(fixture, 0);
	reserve_free(reserve);
	assert_int_equal(reserve_new(fixture->directory, &reserve), MORTISE_OK);
	assert_int_equal(reserve_held(reserve), RESERVE_MAX);
	while (reserve_spend(reserve))
		;
	fill_disk(fixture, 2 * RESERVE_PIECE + 4096);
	reserve_fill(reserve);
	assert_int_equal(reserve_held(reserve), 2 * RESERVE_PIECE);
}

static void what_is_no_file_of_ours_alone_is_left_alone(void **state)
{
	const struct fixture *fixture = *state;
	char path[96], other[96];
	struct stat status;

	NEEDS_DISK();
	path_of(fixture, RESERVE_NAME, path);
	path_of(fixture, "other", other);
	int fd = open(other, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, "precious", 8), 8);
	assert_int_equal(close(fd), 0);
	for (unsigned kind = 0; kind < 3; kind++) {
		assert_int_equal(kind == 0   ? symlink(other, path)
				 : kind == 1 ? link(other, path)
					     : mkfifo(path, 0600),
			0);
		assert_int_equal(reserve_new(fixture->directory, &reserve), MORTISE_OK);
		reserve_fill(reserve);
		assert_false(reserve_spend(reserve));
		reserve_free(reserve);
		reserve = NULL;
		assert_int_equal(unlink(path), 0);
	}
	assert_int_equal(stat(other, &status), 0);
	assert_int_equal(status.st_size, 8);
	assert_int_equal(unlink(other), 0);
}

static void a_disk_is_low_when_less_is_free_than_is_to_be_held(void **state)
{
	const struct fixture *fixture = *state;
	uint64_t left = 0;

	NEEDS_DISK();
	assert_int_equal(reserve_new(fixture->directory, &reserve), MORTISE_OK);
	fill_disk(fixture, DISK_SIZE / RESERVE_SHARE);
	assert_false(reserve_disk_is_low(reserve, &left));
	fill_disk(fixture, DISK_SIZE / RESERVE_SHARE - 4096);
	assert_true(reserve_disk_is_low(reserve, &left));
	assert_int_equal(left, DISK_SIZE / RESERVE_SHARE - 4096);
}

/* With a reserve beside it, a deleted and a current secret, and not a byte free. */
static void make_full(struct fixture *fixture)
{
	struct vault_outcome outcome;

	assert_int_equal(
		mount("none", fixture->directory, "tmpfs", MS_REMOUNT | MS_NOSUID, "size=64m"), 0);
	assert_int_equal(store_open(fixture->directory, &fixture->store), MORTISE_OK);
	assert_int_equal(create(fixture), MORTISE_OK);
	assert_int_equal(reopen(fixture), MORTISE_OK);
	assert_int_equal(set(fixture, "prod/x", "v"), MORTISE_OK);
	assert_int_equal(set(fixture, "prod/y", "v"), MORTISE_OK);
	assert_int_equal(
		vault_set_deleted(fixture->vault, "prod/y", true, 1, &outcome), MORTISE_OK);
	assert_int_equal(vault_forget_old(fixture->vault), MORTISE_OK);
	assert_int_equal(reserve_new(fixture->directory, &reserve), MORTISE_OK);
	reserve_fill(reserve);
	fill_disk(fixture, 0);
}

/* A log that was emptied has blocks, which take some changes; what cannot be done then. */
static bool change_until_full(struct fixture *fixture)
{
	enum mortise_status status = MORTISE_OK;
	struct vault_outcome outcome;
	bool is_deleted = false;

	for (unsigned i = 0; i < 1000 && status == MORTISE_OK; i++) {
		is_deleted = !is_deleted;
		status = vault_set_deleted(fixture->vault, "prod/x", is_deleted, 1, &outcome);
	}
	assert_int_equal(status, MORTISE_IO);
	return is_deleted;
}

static void on_a_full_disk_a_vault_takes_of_the_reserve_that_was_lent_and_of_no_other(void **state)
{
	struct fixture *fixture = *state;
	struct vault_outcome outcome;

	NEEDS_DISK();
	make_full(fixture);
	bool is_deleted = change_until_full(fixture);
	vault_lend(fixture->vault, reserve);
	assert_int_equal(
		vault_set_deleted(fixture->vault, "prod/x", is_deleted, 1, &outcome), MORTISE_OK);
	assert_in_range(reserve_held(reserve), 1, RESERVE_MAX - RESERVE_PIECE);
	assert_int_equal(vault_destroy_all(fixture->vault, "prod/y", &outcome), MORTISE_OK);
	vault_lend(fixture->vault, NULL);
	fill_disk(fixture, 0);
	change_until_full(fixture);
	assert_false(vault_is_stale(fixture->vault));
}

static void a_reserve_that_does_not_do_is_spent_and_the_refusal_is_clean(void **state)
{
	struct fixture *fixture = *state;
	struct store_bytes policy = {calloc(1, 2 * RESERVE_MAX), 2 * RESERVE_MAX};
	uint64_t version = 0;

	NEEDS_DISK();
	make_full(fixture);
	vault_lend(fixture->vault, reserve);
	assert_int_equal(vault_set_policy(fixture->vault, policy, &version), MORTISE_IO);
	assert_int_equal(reserve_held(reserve), 0);
	assert_false(vault_is_stale(fixture->vault));
	policy.size = 1000;
	assert_int_equal(vault_set_policy(fixture->vault, policy, &version), MORTISE_OK);
	free((void *)(uintptr_t)policy.bytes);
}

int main(void)
{
#define ON_DISK(test) cmocka_unit_test_setup_teardown(test, set_up_disk, tear_down_disk)
	const struct CMUnitTest tests[] = {
		ON_DISK(it_holds_a_sixteenth_of_a_small_disk),
		ON_DISK(it_holds_so_much_and_no_more_of_a_large_one),
		ON_DISK(it_is_spent_piece_by_piece_until_nothing_is_left),
		ON_DISK(it_is_there_after_a_restart_and_filled_again_as_far_as_the_disk_allows),
		ON_DISK(what_is_no_file_of_ours_alone_is_left_alone),
		ON_DISK(a_disk_is_low_when_less_is_free_than_is_to_be_held),
		ON_DISK(on_a_full_disk_a_vault_takes_of_the_reserve_that_was_lent_and_of_no_other),
		ON_DISK(a_reserve_that_does_not_do_is_spent_and_the_refusal_is_clean),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
