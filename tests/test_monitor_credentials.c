/* SPDX-License-Identifier: ISC */
/* Connections of service managers, which the monitor holds until they are answered. */
#include "monitor_fixture.h"

#include <poll.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "monitor_fake.h"

static int connect_manager(struct monitor_fixture *fixture)
{
	struct sockaddr_un address;
	socklen_t size = sizeof address;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(
		getsockname(fixture->credentials_fd, (struct sockaddr *)&address, &size), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, size), 0);
	fixture->settings.listener_count = 2;
	return fd;
}

/* Reads to the end; counts what is no zero. */
static size_t take(int fd, size_t *out_others)
{
	static uint8_t bytes[65536];
	size_t size = 0;
	ssize_t got;

	*out_others = 0;
	while ((got = read(fd, bytes, sizeof bytes)) > 0) {
		size += (size_t)got;
		for (ssize_t i = 0; i < got; i++)
			*out_others += bytes[i] != 0;
	}
	assert_int_equal(got, 0);
	close(fd);
	return size;
}

static void assert_refused_behind(int fd, size_t others)
{
	size_t found;

	assert_true(take(fd, &found) > 1024 * 1024);
	assert_int_equal(found, others);
}

static void assert_whole(int fd)
{
	size_t others;

	assert_int_equal(take(fd, &others), 6);
	assert_int_equal(others, 6);
}

static void where_nobody_waits_the_keeper_is_told_so(void **state)
{
	struct monitor_fixture *fixture = *state;
	char expected[64];

	snprintf(expected, sizeof expected, "READY=1\nSTATUS=none: %d", MORTISE_NOT_FOUND);
	fixture->settings.listener_count = 2;
	monitor_start(fixture, "accept-none");
	assert_told(fixture, expected);
}

static void without_a_listener_for_them_nobody_waits(void **state)
{
	struct monitor_fixture *fixture = *state;
	char expected[64];

	snprintf(expected, sizeof expected, "READY=1\nSTATUS=none: %d", MORTISE_NOT_FOUND);
	monitor_start(fixture, "accept-none");
	assert_told(fixture, expected);
}

static void what_is_released_as_delivered_is_closed(void **state)
{
	int fd = connect_manager(*state);

	monitor_start(*state, "answers whole released lives");
	assert_told(*state, "READY=1\nSTATUS=answered");
	/* The fake keeper has it open, too. */
	kill(((struct monitor_fixture *)*state)->monitor, SIGTERM);
	assert_whole(fd);
}

static void what_is_released_as_not_delivered_is_refused(void **state)
{
	int fd = connect_manager(*state);
	size_t others = 1;

	monitor_start(*state, "answers declined");
	assert_true(take(fd, &others) > 1024 * 1024);
	assert_int_equal(others, 0);
}

static void what_a_keeper_leaves_at_its_end_is_refused(void **state)
{
	int fd = connect_manager(*state);

	monitor_start(*state, "answers");
	assert_refused_behind(fd, 0);
	assert_told(*state, "READY=1\nSTATUS=again");
}

static void so_it_is_behind_a_part_of_a_value(void **state)
{
	int fd = connect_manager(*state);

	monitor_start(*state, "answers part");
	assert_refused_behind(fd, 2);
}

static void so_it_is_behind_a_whole_one_that_was_not_released(void **state)
{
	int fd = connect_manager(*state);

	monitor_start(*state, "answers whole");
	assert_refused_behind(fd, 6);
}

/* Whether the first keeper has ended and nobody has taken notice yet. */
static bool is_first_a_zombie(const struct monitor_fixture *fixture)
{
	char path[64], text[256] = "";
	FILE *file = fopen(fixture->mark, "re");
	int pid = 0;

	assert_non_null(file);
	assert_int_equal(fscanf(file, "%d", &pid), 1);
	fclose(file);
	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	file = fopen(path, "re");
	assert_non_null(file);
	assert_non_null(fgets(text, sizeof text, file));
	fclose(file);
	return strstr(text, ") Z ") != NULL;
}

static void what_a_keeper_released_last_counts_though_it_has_ended(void **state)
{
	struct monitor_fixture *fixture = *state;
	int fd = connect_manager(fixture), status;

	monitor_start(fixture, "answers whole stops released");
	assert_int_equal(waitpid(fixture->monitor, &status, WUNTRACED), fixture->monitor);
	assert_true(WIFSTOPPED(status));
	while (!is_first_a_zombie(fixture))
		poll(NULL, 0, 1);
	kill(fixture->monitor, SIGCONT);
	assert_whole(fd);
	assert_told(fixture, "READY=1\nSTATUS=much to read");
	assert_told(fixture, "STATUS=again");
}

static void a_release_of_what_is_not_held_ends_the_keeper(void **state)
{
	int fd = connect_manager(*state);

	monitor_start(*state, "answers whole released twice");
	assert_whole(fd);
	assert_told(*state, "READY=1\nSTATUS=again");
}

static void a_release_without_a_number_ends_the_keeper(void **state)
{
	assert_survives(*state, "release");
}

static void a_keeper_that_asks_for_ever_gets_no_more_than_its_share(void **state)
{
	struct monitor_fixture *fixture = *state;
	char expected[64];
	int fds[CREDENTIAL_HELD_MAX + 2];
	size_t others;

	for (size_t i = 0; i < CREDENTIAL_HELD_MAX + 2; i++)
		fds[i] = connect_manager(fixture);
	snprintf(expected, sizeof expected, "STATUS=busy after %d", CREDENTIAL_HELD_MAX);
	fixture->settings.timing.refusals_ms = PATIENCE_MS;
	monitor_start(fixture, "accept-all");
	assert_told(fixture, "READY=1\nSTATUS=first");
	assert_told(fixture, expected);
	kill(fixture->monitor, SIGTERM);
	for (size_t i = 0; i < CREDENTIAL_HELD_MAX; i++)
		assert_true(take(fds[i], &others) > 1024 * 1024 || geteuid() != 0);
	assert_int_equal(monitor_exit_status(fixture), 0);
	close(fds[CREDENTIAL_HELD_MAX]);
	close(fds[CREDENTIAL_HELD_MAX + 1]);
}

static void at_a_stop_refusals_are_finished_behind_the_keeper(void **state)
{
	struct monitor_fixture *fixture = *state;
	int fd = connect_manager(fixture);

	monitor_start(fixture, "answers part lives");
	assert_told(fixture, "READY=1\nSTATUS=answered");
	kill(fixture->monitor, SIGTERM);
	assert_refused_behind(fd, 2);
	assert_int_equal(monitor_exit_status(fixture), 0);
}

static void a_stop_does_not_wait_for_who_does_not_read(void **state)
{
	struct monitor_fixture *fixture = *state;
	int fd = connect_manager(fixture);
	int64_t begun = monitor_now_ms();

	fixture->settings.timing.refusals_ms = 20;
	fixture->settings.timing.unread_ms = 2 * PATIENCE_MS;
	monitor_start(fixture, "answers lives");
	assert_told(fixture, "READY=1\nSTATUS=answered");
	kill(fixture->monitor, SIGTERM);
	assert_int_equal(monitor_exit_status(fixture), 0);
	assert_true(monitor_now_ms() - begun < PATIENCE_MS);
	close(fd);
}

static void a_keeper_that_cannot_work_leaves_nobody_without_a_refusal(void **state)
{
	struct monitor_fixture *fixture = *state;
	int fd = connect_manager(fixture);

	monitor_start(fixture, "answers final");
	assert_refused_behind(fd, 0);
	assert_int_equal(monitor_exit_status(fixture), 78);
}

static int test_all(void)
{
	const struct CMUnitTest tests[] = {
		MONITOR_TEST(where_nobody_waits_the_keeper_is_told_so),
		MONITOR_TEST(without_a_listener_for_them_nobody_waits),
		MONITOR_TEST(what_is_released_as_delivered_is_closed),
		MONITOR_TEST(what_is_released_as_not_delivered_is_refused),
		MONITOR_TEST(what_a_keeper_leaves_at_its_end_is_refused),
		MONITOR_TEST(so_it_is_behind_a_part_of_a_value),
		MONITOR_TEST(so_it_is_behind_a_whole_one_that_was_not_released),
		MONITOR_TEST(what_a_keeper_released_last_counts_though_it_has_ended),
		MONITOR_TEST(a_release_of_what_is_not_held_ends_the_keeper),
		MONITOR_TEST(a_release_without_a_number_ends_the_keeper),
		MONITOR_TEST(a_keeper_that_asks_for_ever_gets_no_more_than_its_share),
		MONITOR_TEST(at_a_stop_refusals_are_finished_behind_the_keeper),
		MONITOR_TEST(a_stop_does_not_wait_for_who_does_not_read),
		MONITOR_TEST(a_keeper_that_cannot_work_leaves_nobody_without_a_refusal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
	int status = monitor_fake(argc, argv);

	return status >= 0 ? status : test_all();
}
