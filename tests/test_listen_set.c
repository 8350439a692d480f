/* SPDX-License-Identifier: ISC */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "listen.h"
#include "mortise_test.h"

#define WANTED   3
#define REJECTED "r"

struct fixture {
	char base[32], paths[WANTED][64];
	struct listen_wanted wanted[WANTED];
	struct owner us;
};

static int set_up(void **state)
{
	static const char *const names[WANTED] = {"main", "web", "ci"};
	struct fixture *fixture = calloc(1, sizeof *fixture);

	assert_non_null(fixture);
	snprintf(fixture->base, sizeof fixture->base, "/tmp/test_listen_set.XXXXXX");
	assert_non_null(mkdtemp(fixture->base));
	for (size_t i = 0; i < WANTED; i++) {
		snprintf(fixture->paths[i], sizeof fixture->paths[i], "%s/run%zu/sock",
			fixture->base, i);
		fixture->wanted[i] = (struct listen_wanted){names[i], fixture->paths[i],
			{0600 | (mode_t)(i * 0022), (gid_t)-1, false}, false};
	}
	fixture->us = (struct owner){geteuid(), getegid()};
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	char command[64];

	snprintf(command, sizeof command, "rm -rf '%s'", fixture->base);
	int result = system(command);
	free(fixture);
	return result;
}

static int passed_type = SOCK_SEQPACKET;

/* Descriptors 3 and on: listening sockets bound to /base/0, /base/1... */
static void place_sockets(const struct fixture *fixture, int count)
{
	for (int i = 0; i < count; i++) {
		struct sockaddr_un address = {.sun_family = AF_UNIX};
		int fd = socket(AF_UNIX, passed_type, 0);

		snprintf(address.sun_path, sizeof address.sun_path, "%s/%d", fixture->base, i);
		if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
			listen(fd, 1) != 0)
			_exit(90);
		if (fd != LISTEN_FIRST_FD + i) {
			dup2(fd, LISTEN_FIRST_FD + i);
			close(fd);
		}
	}
}

/* "2--": the main socket was adopted from /base/2, the others were made; '.': there is none. */
static void describe(const struct listen_set *set, char *text)
{
	for (size_t i = 0; i < set->count; i++) {
		struct sockaddr_un address = {.sun_family = AF_UNIX};
		socklen_t size = sizeof address;

		if (set->listeners[i].fd < 0) {
			*text++ = '.';
			continue;
		}
		if (getsockname(set->listeners[i].fd, (struct sockaddr *)&address, &size) != 0)
			_exit(91);
		char last = address.sun_path[strlen(address.sun_path) - 1];
		*text++ = set->listeners[i].directory_fd >= 0 ? '-' : last;
	}
	*text = '\0';
}

/* What becomes of so many passed sockets with these names; as a word, see above. */
static void gives(const struct fixture *fixture, int count, const char *names, const char *expected)
{
	char text[16] = REJECTED, number[16];
	int ends[2], status;

	assert_int_equal(pipe(ends), 0);
	pid_t child = fork();
	if (child == 0) {
		struct refusal refusal;
		struct listen_set set;
		int out = fcntl(ends[1], F_DUPFD, 50);

		close_range(3, 49, 0);
		place_sockets(fixture, count);
		snprintf(number, sizeof number, "%d", (int)getpid());
		setenv("LISTEN_PID", number, 1);
		snprintf(number, sizeof number, "%d", count);
		setenv("LISTEN_FDS", number, 1);
		if (names)
			setenv("LISTEN_FDNAMES", names, 1);
		if (listen_set_open(fixture->wanted, WANTED, &fixture->us, &set, &refusal) ==
			MORTISE_OK) {
			describe(&set, text);
			listen_set_close(&set);
		}
		_exit(write(out, text, sizeof text) == sizeof text ? 0 : 92);
	}
	close(ends[1]);
	assert_int_equal(read(ends[0], text, sizeof text), sizeof text);
	close(ends[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	for (int i = 0; i < count; i++) {
		snprintf(number, sizeof number, "%d", i);
		char path[64];
		snprintf(path, sizeof path, "%s/%d", fixture->base, i);
		assert_int_equal(unlink(path), 0);
	}
	if (strcmp(text, expected) != 0)
		fail_msg("%d named %s: %s, not %s", count, names ? names : "nothing", text,
			expected);
}

static void all_are_made_with_their_modes(void **state)
{
	struct fixture *fixture = *state;
	struct listen_set set;
	struct refusal refusal;
	struct stat about;

	unsetenv("LISTEN_PID");
	assert_int_equal(
		listen_set_open(fixture->wanted, WANTED, &fixture->us, &set, &refusal), MORTISE_OK);
	for (size_t i = 0; i < WANTED; i++) {
		assert_int_equal(lstat(fixture->paths[i], &about), 0);
		assert_int_equal(about.st_mode & 07777, fixture->wanted[i].access.mode);
	}
	listen_set_close(&set);
	assert_int_equal(access(fixture->paths[0], F_OK), -1);
}

static void none_is_left_where_one_cannot_be_made(void **state)
{
	struct fixture *fixture = *state;
	struct listen_set set;
	struct refusal refusal;

	unsetenv("LISTEN_PID");
	fixture->wanted[2].path = "/nowhere/at/all";
	assert_int_not_equal(
		listen_set_open(fixture->wanted, WANTED, &fixture->us, &set, &refusal), MORTISE_OK);
	assert_int_equal(access(fixture->paths[0], F_OK), -1);
	assert_int_equal(access(fixture->paths[1], F_OK), -1);
}

static void a_socket_is_given_to_its_group(void **state)
{
	struct fixture *fixture = *state;
	struct listen_set set;
	struct refusal refusal;
	struct stat about;

	if (geteuid() != 0)
		skip();
	unsetenv("LISTEN_PID");
	fixture->wanted[1].access = (struct listen_access){0660, 37, false};
	assert_int_equal(
		listen_set_open(fixture->wanted, WANTED, &fixture->us, &set, &refusal), MORTISE_OK);
	assert_int_equal(lstat(fixture->paths[1], &about), 0);
	assert_int_equal(about.st_gid, 37);
	assert_int_equal(about.st_mode & 07777, 0660);
	listen_set_close(&set);
}

static void passed_sockets_are_told_apart_by_name(void **state)
{
	gives(*state, 3, "main:web:ci", "012");
	gives(*state, 3, "ci:main:web", "120");
	gives(*state, 2, "ci:mortise.socket", "1-0");
	gives(*state, 1, "web", "-0-");
	gives(*state, 1, "mortised.socket", "0--");
}

static void a_single_one_without_a_name_is_the_main_one(void **state)
{
	gives(*state, 1, NULL, "0--");
	gives(*state, 2, NULL, REJECTED);
}

static void a_name_that_nobody_knows_is_refused(void **state)
{
	gives(*state, 1, "unknown", REJECTED);
	gives(*state, 1, "wbe", REJECTED);
	gives(*state, 2, "main:wbe", REJECTED);
	gives(*state, 1, "", REJECTED);
	gives(*state, 2, "main", REJECTED);
	gives(*state, 2, "main:", REJECTED);
	gives(*state, 1, "mai", REJECTED);
}

static void more_sockets_than_there_can_be_are_refused(void **state)
{
	struct listen_set set;
	struct refusal refusal;
	char number[16];

	snprintf(number, sizeof number, "%d", (int)getpid());
	setenv("LISTEN_PID", number, 1);
	setenv("LISTEN_FDS", "18", 1);
	assert_int_equal(listen_set_open(((struct fixture *)*state)->wanted, WANTED,
				 &((struct fixture *)*state)->us, &set, &refusal),
		MORTISE_REJECTED);
	assert_string_equal(refusal.text, "LISTEN_FDS=18: expected 1 to 17 sockets");
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
}

static void a_name_twice_is_refused(void **state)
{
	gives(*state, 2, "web:web", REJECTED);
	gives(*state, 2, "main:mortise.socket", REJECTED);
}

static void a_socket_that_is_only_passed_is_taken_and_never_made(void **state)
{
	struct fixture *fixture = *state;

	fixture->wanted[2].access.is_stream = true;
	fixture->wanted[2].is_only_passed = true;
	gives(fixture, 1, "main", "0-.");
	passed_type = SOCK_STREAM;
	gives(fixture, 1, "ci", "--0");
	passed_type = SOCK_SEQPACKET;
	assert_int_equal(access(fixture->paths[2], F_OK), -1);
}

static void a_socket_of_another_type_is_refused(void **state)
{
	struct fixture *fixture = *state;

	fixture->wanted[2].access.is_stream = true;
	gives(fixture, 1, "ci", REJECTED);
	passed_type = SOCK_STREAM;
	gives(fixture, 1, "web", REJECTED);
	gives(fixture, 1, "main", REJECTED);
	passed_type = SOCK_SEQPACKET;
}

static void a_stream_socket_is_made_as_one(void **state)
{
	struct fixture *fixture = *state;
	struct listen_set set;
	struct refusal refusal;
	int type = 0;
	socklen_t size = sizeof type;

	unsetenv("LISTEN_PID");
	fixture->wanted[2].access.is_stream = true;
	assert_int_equal(
		listen_set_open(fixture->wanted, WANTED, &fixture->us, &set, &refusal), MORTISE_OK);
	assert_int_equal(getsockopt(set.listeners[2].fd, SOL_SOCKET, SO_TYPE, &type, &size), 0);
	assert_int_equal(type, SOCK_STREAM);
	listen_set_close(&set);
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_FIXTURE(all_are_made_with_their_modes),
		WITH_FIXTURE(none_is_left_where_one_cannot_be_made),
		WITH_FIXTURE(a_socket_is_given_to_its_group),
		WITH_FIXTURE(passed_sockets_are_told_apart_by_name),
		WITH_FIXTURE(a_single_one_without_a_name_is_the_main_one),
		WITH_FIXTURE(a_name_that_nobody_knows_is_refused),
		WITH_FIXTURE(more_sockets_than_there_can_be_are_refused),
		WITH_FIXTURE(a_name_twice_is_refused),
		WITH_FIXTURE(a_socket_that_is_only_passed_is_taken_and_never_made),
		WITH_FIXTURE(a_socket_of_another_type_is_refused),
		WITH_FIXTURE(a_stream_socket_is_made_as_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
