/* SPDX-License-Identifier: ISC */
/* The file: what is opened and what is not, torn ends, disks that are full or fail. */
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "audit_fixture.h"

#include "audit_file.h"

static void the_log_is_created_0640_whatever_the_umask(void **state)
{
	struct fixture *fixture = *state;
	mode_t before = umask(0777);
	struct stat status;

	open_log(fixture);
	(void)umask(before);
	assert_int_equal(stat(fixture->path, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0640);
}

static void assert_not_opened(struct fixture *fixture, enum mortise_status expected)
{
	struct audit *untouched = (struct audit *)fixture, *audit = untouched;

	assert_int_equal(audit_open(fixture->path, false, &audit), expected);
	assert_ptr_equal(audit, untouched);
}

static void a_link_is_refused(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(symlink("/tmp/nowhere", fixture->path), 0);
	assert_not_opened(fixture, MORTISE_REJECTED);
}

static void a_fifo_is_refused(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(mkfifo(fixture->path, 0640), 0);
	assert_not_opened(fixture, MORTISE_REJECTED);
}

static void a_directory_is_refused(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(mkdir(fixture->path, 0750), 0);
	assert_not_opened(fixture, MORTISE_REJECTED);
	assert_int_equal(rmdir(fixture->path), 0);
}

static void a_log_that_others_may_write_is_refused(void **state)
{
	struct fixture *fixture = *state;

	write_log(fixture, "", 0);
	assert_int_equal(chmod(fixture->path, 0660), 0);
	assert_not_opened(fixture, MORTISE_REJECTED);
	assert_int_equal(chmod(fixture->path, 0602), 0);
	assert_not_opened(fixture, MORTISE_REJECTED);
}

static void a_log_of_another_owner_is_refused(void **state)
{
	struct fixture *fixture = *state;

	if (geteuid() != 0)
		skip();
	write_log(fixture, "", 0);
	assert_int_equal(chown(fixture->path, 12345, (gid_t)-1), 0);
	assert_not_opened(fixture, MORTISE_REJECTED);
}

static void a_missing_directory_is_an_error(void **state)
{
	struct fixture *fixture = *state;

	(void)snprintf(fixture->path, sizeof fixture->path, "%s/no/log", fixture->directory);
	assert_not_opened(fixture, MORTISE_IO);
}

static void a_file_that_is_no_log_is_refused_and_left_alone(void **state)
{
	struct fixture *fixture = *state;

	write_log(fixture, "root:x:0:0\n", 11);
	assert_not_opened(fixture, MORTISE_REJECTED);
	write_log(fixture, "no newline", 10);
	assert_not_opened(fixture, MORTISE_REJECTED);
	assert_true(log_contains(fixture, "no newline"));
}

static void a_second_writer_is_refused(void **state)
{
	struct fixture *fixture = *state;

	open_log(fixture);
	assert_not_opened(fixture, MORTISE_CONFLICT);
}

static void a_last_line_torn_anywhere_is_cut(void **state)
{
	struct fixture *fixture = *state;
	size_t size, start;
	char *text;

	open_log(fixture);
	put(fixture, 3);
	close_log(fixture);
	text = read_log(fixture, &size);
	start = (size_t)((char *)memrchr(text, '\n', size - 1) - text) + 1;
	for (size_t cut = start; cut < size; cut++) {
		write_log(fixture, text, cut);
		open_log(fixture);
		assert_int_equal(audit_report(fixture->audit).lines, 2);
		assert_int_equal(audit_report(fixture->audit).size_bytes, start);
		put(fixture, 1);
		assert_int_equal(count_lines(fixture), 3);
		close_log(fixture);
	}
	free(text);
}

static void an_only_line_torn_anywhere_is_cut(void **state)
{
	struct fixture *fixture = *state;
	size_t size;
	char *text;

	open_log(fixture);
	put(fixture, 1);
	close_log(fixture);
	text = read_log(fixture, &size);
	for (size_t cut = 0; cut < size; cut++) {
		write_log(fixture, text, cut);
		open_log(fixture);
		assert_int_equal(audit_report(fixture->audit).size_bytes, 0);
		close_log(fixture);
	}
	free(text);
}

static void zeros_at_the_end_are_cut(void **state)
{
	struct fixture *fixture = *state;
	struct audit_report before;
	struct stat status;

	open_log(fixture);
	put(fixture, 5);
	before = audit_report(fixture->audit);
	close_log(fixture);
	assert_int_equal(truncate(fixture->path, (off_t)before.size_bytes + 300000), 0);
	open_log(fixture);
	assert_int_equal(audit_report(fixture->audit).size_bytes, before.size_bytes);
	assert_int_equal(audit_report(fixture->audit).lines, 5);
	assert_int_equal(stat(fixture->path, &status), 0);
	assert_int_equal(status.st_size, before.size_bytes);
}

static void more_than_a_mib_behind_the_last_line_is_refused_and_left_alone(void **state)
{
	struct fixture *fixture = *state;
	const off_t mib = AUDIT_TORN_MAX + AUDIT_LINE_MAX;
	struct audit_report before;
	struct stat status;

	open_log(fixture);
	put(fixture, 5);
	before = audit_report(fixture->audit);
	close_log(fixture);
	assert_int_equal(truncate(fixture->path, (off_t)before.size_bytes + mib), 0);
	assert_not_opened(fixture, MORTISE_REJECTED);
	assert_int_equal(stat(fixture->path, &status), 0);
	assert_int_equal(status.st_size, (off_t)before.size_bytes + mib);
	assert_int_equal(truncate(fixture->path, (off_t)before.size_bytes + AUDIT_TORN_MAX), 0);
	open_log(fixture);
	assert_int_equal(audit_report(fixture->audit).lines, 5);
}

static void a_failed_fdatasync_takes_the_turn_back(void **state)
{
	struct fixture *fixture = *state;
	struct audit_event event = request_at(NOON_US);

	assert_int_equal(audit_open(fixture->path, true, &fixture->audit), MORTISE_OK);
	put(fixture, 2);
	syncs_to_fail = 1;
	audit_append(fixture->audit, &event);
	assert_int_equal(audit_flush(fixture->audit), MORTISE_BUSY);
	assert_true(audit_report(fixture->audit).is_failing);
	assert_int_equal(count_lines(fixture), 2);
	put(fixture, 1);
	assert_false(audit_report(fixture->audit).is_failing);
	begin_chain(fixture);
	assert_sound(fixture);
}

static void after_a_failed_fdatasync_the_file_must_be_the_same(void **state)
{
	struct fixture *fixture = *state;
	struct audit_event event = request_at(NOON_US);

	assert_int_equal(audit_open(fixture->path, true, &fixture->audit), MORTISE_OK);
	put(fixture, 2);
	syncs_to_fail = 1;
	audit_append(fixture->audit, &event);
	assert_int_equal(audit_flush(fixture->audit), MORTISE_BUSY);
	assert_int_equal(unlink(fixture->path), 0);
	write_log(fixture, "", 0);
	audit_append(fixture->audit, &event);
	assert_int_equal(audit_flush(fixture->audit), MORTISE_BUSY);
	assert_int_equal(count_lines(fixture), 0);
}

/* In a child, since a lowered limit does not come back. 0 if all went as it should. */
static int write_against_a_limit(struct fixture *fixture)
{
	struct rlimit limit = {20000, 20000};
	struct audit_event event = request_at(NOON_US);
	struct audit_report report;

	(void)signal(SIGXFSZ, SIG_IGN);
	if (setrlimit(RLIMIT_FSIZE, &limit) != 0 ||
		audit_open(fixture->path, false, &fixture->audit) != MORTISE_OK)
		return 1;
	for (unsigned i = 0; i < 10; i++)
		audit_append(fixture->audit, &event);
	if (audit_flush(fixture->audit) != MORTISE_OK)
		return 2;
	for (unsigned i = 0; i < 3000; i++)
		audit_append(fixture->audit, &event);
	if (audit_flush(fixture->audit) != MORTISE_BUSY)
		return 3;
	report = audit_report(fixture->audit);
	if (!report.is_failing || report.lines != 10 || count_lines(fixture) != 10)
		return 4;
	audit_append(fixture->audit, &event);
	if (audit_flush(fixture->audit) != MORTISE_OK || audit_report(fixture->audit).is_failing)
		return 5;
	return count_lines(fixture) == 11 ? 0 : 6;
}

static void a_file_size_limit_fails_the_turn_and_no_more(void **state)
{
	struct fixture *fixture = *state;
	pid_t child = fork();
	int status;

	if (child == 0)
		_exit(write_against_a_limit(fixture));
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(count_lines(fixture), 11);
}

/* Writes turns until one fails; how many lines were accepted. */
static unsigned fill_with_lines(struct fixture *fixture)
{
	struct audit_event event = request_at(NOON_US);
	unsigned lines = 0;

	for (; lines < 100000; lines += 100) {
		for (unsigned i = 0; i < 100; i++)
			audit_append(fixture->audit, &event);
		if (audit_flush(fixture->audit) != MORTISE_OK)
			break;
	}
	return lines;
}

static void fill_disk(const char *path)
{
	char block[4096] = {1};
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	while (write(fd, block, sizeof block) > 0)
		;
	assert_int_equal(close(fd), 0);
}

static void a_full_disk_uses_the_reserve_then_fails_then_recovers(void **state)
{
	struct fixture *fixture = *state;
	char filler[96];
	unsigned lines;

	if (geteuid() != 0 ||
		mount("none", fixture->directory, "tmpfs", MS_NOSUID | MS_NODEV, "size=3m") != 0)
		skip();
	(void)snprintf(filler, sizeof filler, "%s/filler", fixture->directory);
	open_log(fixture);
	put(fixture, 10);
	fill_disk(filler);
	lines = fill_with_lines(fixture);
	assert_in_range(lines, 2000, 5000);
	assert_true(audit_report(fixture->audit).is_on_reserve);
	assert_true(audit_report(fixture->audit).is_failing);
	assert_int_equal(count_lines(fixture), 10 + lines);
	assert_int_equal(unlink(filler), 0);
	put(fixture, 1);
	assert_false(audit_report(fixture->audit).is_on_reserve);
	assert_false(audit_report(fixture->audit).is_failing);
	begin_chain(fixture);
	assert_sound(fixture);
	close_log(fixture);
	assert_int_equal(umount2(fixture->directory, 0), 0);
}

/* Lines until what is left of the reserve is for administrators. */
static unsigned lines_until_scarce(struct fixture *fixture)
{
	unsigned lines = 0;

	for (; !audit_report(fixture->audit).is_scarce; lines++)
		put(fixture, 1);
	return lines;
}

static void the_last_of_the_reserve_is_told_also_after_a_restart(void **state)
{
	struct fixture *fixture = *state;
	char filler[96];
	unsigned lines;

	if (geteuid() != 0 ||
		mount("none", fixture->directory, "tmpfs", MS_NOSUID | MS_NODEV, "size=3m") != 0)
		skip();
	(void)snprintf(filler, sizeof filler, "%s/filler", fixture->directory);
	open_log(fixture);
	put(fixture, 10);
	assert_false(audit_report(fixture->audit).is_scarce);
	fill_disk(filler);
	lines = lines_until_scarce(fixture);
	assert_in_range(lines, 1500, 4000);
	close_log(fixture);
	open_log(fixture);
	put(fixture, 1);
	assert_true(audit_report(fixture->audit).is_on_reserve);
	assert_true(audit_report(fixture->audit).is_scarce);
	assert_in_range(fill_with_lines(fixture), 500, 1300);
	assert_int_equal(unlink(filler), 0);
	put(fixture, 1);
	assert_false(audit_report(fixture->audit).is_scarce);
	close_log(fixture);
	assert_int_equal(umount2(fixture->directory, 0), 0);
}

static void it_is_scarce_no_more_as_soon_as_there_is_room(void **state)
{
	struct fixture *fixture = *state;
	char filler[96];

	if (geteuid() != 0 ||
		mount("none", fixture->directory, "tmpfs", MS_NOSUID | MS_NODEV, "size=3m") != 0)
		skip();
	(void)snprintf(filler, sizeof filler, "%s/filler", fixture->directory);
	open_log(fixture);
	put(fixture, 10);
	fill_disk(filler);
	(void)lines_until_scarce(fixture);
	assert_true(audit_is_scarce(fixture->audit));
	assert_int_equal(unlink(filler), 0);
	assert_false(audit_is_scarce(fixture->audit));
	close_log(fixture);
	assert_int_equal(umount2(fixture->directory, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_log_is_created_0640_whatever_the_umask),
		TEST(a_link_is_refused),
		TEST(a_fifo_is_refused),
		TEST(a_directory_is_refused),
		TEST(a_log_that_others_may_write_is_refused),
		TEST(a_log_of_another_owner_is_refused),
		TEST(a_missing_directory_is_an_error),
		TEST(a_file_that_is_no_log_is_refused_and_left_alone),
		TEST(a_second_writer_is_refused),
		TEST(a_last_line_torn_anywhere_is_cut),
		TEST(an_only_line_torn_anywhere_is_cut),
		TEST(zeros_at_the_end_are_cut),
		TEST(more_than_a_mib_behind_the_last_line_is_refused_and_left_alone),
		TEST(a_failed_fdatasync_takes_the_turn_back),
		TEST(after_a_failed_fdatasync_the_file_must_be_the_same),
		TEST(a_file_size_limit_fails_the_turn_and_no_more),
		TEST(a_full_disk_uses_the_reserve_then_fails_then_recovers),
		TEST(the_last_of_the_reserve_is_told_also_after_a_restart),
		TEST(it_is_scarce_no_more_as_soon_as_there_is_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
