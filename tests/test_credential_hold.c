/* SPDX-License-Identifier: ISC */
/* The test is everybody: the loop, who connects, and the keeper that answers or does not. */

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "credential_hold.h"
#include "mortise_test.h"

#define ENOUGH    (1024 * 1024 + 1) /* more than systemd takes */
#define LONG_MS   60000
#define SHORT_MS  20
#define ALICE     1000
#define ONE_USERS 4 /* refusals that a user may leave unread */

struct fixture {
	struct event_base *base;
	struct credential_hold *hold;
	int listener;
	unsigned emptied;
};

static struct fixture fixture;

static void on_emptied(void *context)
{
	struct fixture *at = context;

	at->emptied++;
}

static int set_up_for(int unread_ms)
{
	struct sockaddr_un autobind = {.sun_family = AF_UNIX};

	fixture = (struct fixture){.base = event_base_new()};
	fixture.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fixture.base == NULL ||
		bind(fixture.listener, (struct sockaddr *)&autobind, sizeof(sa_family_t)) != 0 ||
		listen(fixture.listener, 2 * CREDENTIAL_HELD_MAX) != 0)
		return -1;
	return credential_hold_new(fixture.base, unread_ms, on_emptied, &fixture, &fixture.hold) ==
			       MORTISE_OK
		       ? 0
		       : -1;
}

static int set_up(void **state)
{
	(void)state;
	return set_up_for(LONG_MS);
}

static int set_up_impatient(void **state)
{
	(void)state;
	return set_up_for(SHORT_MS);
}

static int tear_down(void **state)
{
	(void)state;
	credential_hold_free(fixture.hold);
	event_base_free(fixture.base);
	close(fixture.listener);
	return 0;
}

static int connect_one(void)
{
	struct sockaddr_un address;
	socklen_t size = sizeof address;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_int_equal(getsockname(fixture.listener, (struct sockaddr *)&address, &size), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, size), 0);
	return fd;
}

static int connect_as(uid_t uid)
{
	assert_int_equal(seteuid(uid), 0);
	int fd = connect_one();
	assert_int_equal(seteuid(0), 0);
	return fd;
}

static uint64_t accept_one(int *out_descriptor)
{
	uint64_t number = 0;

	assert_int_equal(
		credential_hold_accept(fixture.hold, fixture.listener, &number, out_descriptor),
		MORTISE_OK);
	return number;
}

/* Accepts and refuses the next in the queue. */
static void refuse_one(void)
{
	int descriptor;
	uint64_t number = accept_one(&descriptor);

	assert_int_equal(credential_hold_release(fixture.hold, number, false), MORTISE_OK);
}

/* What comes until the end, while the loop turns. Closes. */
static size_t take(int fd, size_t *out_others)
{
	static uint8_t bytes[65536];
	size_t size = 0;
	ssize_t got;

	*out_others = 0;
	while ((got = read(fd, bytes, sizeof bytes)) != 0) {
		if (got < 0 && errno != EAGAIN)
			fail_msg("read: %s", strerror(errno));
		for (ssize_t i = 0; i < got; i++)
			*out_others += bytes[i] != 0;
		size += got > 0 ? (size_t)got : 0;
		event_base_loop(fixture.base, EVLOOP_NONBLOCK);
	}
	close(fd);
	return size;
}

static void assert_refused_behind(int fd, size_t others)
{
	size_t found = 0, size = take(fd, &found);

	if (size < ENOUGH || found != others)
		fail_msg("%zu bytes, %zu of them no zeros", size, found);
}

static void where_nobody_waits_nothing_is_found(void **state)
{
	uint64_t number;
	int descriptor;

	assert_int_equal(
		credential_hold_accept(fixture.hold, fixture.listener, &number, &descriptor),
		MORTISE_NOT_FOUND);
	assert_true(credential_hold_is_empty(fixture.hold));
}

static void what_was_delivered_is_closed_and_nothing_comes_behind_it(void **state)
{
	int fd = connect_one(), descriptor;
	uint64_t number = accept_one(&descriptor);
	size_t others;

	assert_int_equal(send(descriptor, "s3cret", 6, 0), 6);
	assert_false(credential_hold_is_empty(fixture.hold));
	assert_int_equal(fixture.emptied, 0);
	assert_int_equal(credential_hold_release(fixture.hold, number, true), MORTISE_OK);
	assert_int_equal(take(fd, &others), 6);
	assert_true(credential_hold_is_empty(fixture.hold));
	assert_int_equal(fixture.emptied, 1);
}

static void what_was_not_delivered_is_more_than_systemd_takes(void **state)
{
	int fd = connect_one();

	refuse_one();
	assert_refused_behind(fd, 0);
	assert_int_equal(fixture.emptied, 1);
}

static void so_it_is_behind_a_part_of_a_value(void **state)
{
	int fd = connect_one(), descriptor;
	uint64_t number = accept_one(&descriptor);

	assert_int_equal(send(descriptor, "s3c", 3, 0), 3);
	assert_int_equal(credential_hold_release(fixture.hold, number, false), MORTISE_OK);
	assert_refused_behind(fd, 3);
}

static void the_largest_value_has_room_at_once(void **state)
{
	static const uint8_t value[65536];
	int fd = connect_one(), descriptor;
	uint64_t number = accept_one(&descriptor);
	size_t others;

	assert_int_equal(send(descriptor, value, sizeof value, MSG_DONTWAIT), sizeof value);
	assert_int_equal(credential_hold_release(fixture.hold, number, true), MORTISE_OK);
	assert_int_equal(take(fd, &others), sizeof value);
}

static void a_number_names_one_connection_and_never_another(void **state)
{
	int first = connect_one(), second = connect_one(), descriptor;
	uint64_t one = accept_one(&descriptor), two = accept_one(&descriptor);

	assert_true(one != 0 && two != 0 && one != two);
	assert_int_equal(credential_hold_release(fixture.hold, one, true), MORTISE_OK);
	assert_int_equal(credential_hold_release(fixture.hold, one, true), MORTISE_NOT_FOUND);
	int third = connect_one();
	uint64_t three = accept_one(&descriptor);
	assert_true(three != one && three != two);
	assert_int_equal(credential_hold_release(fixture.hold, one, false), MORTISE_NOT_FOUND);
	assert_int_equal(credential_hold_release(fixture.hold, 0, true), MORTISE_NOT_FOUND);
	close(first);
	close(second);
	close(third);
}

/* Else a keeper that was taken over could make an empty credential of a refusal. */
static void what_is_refused_cannot_be_released_any_more(void **state)
{
	int fd = connect_one(), descriptor;
	uint64_t number = accept_one(&descriptor);

	assert_int_equal(credential_hold_release(fixture.hold, number, false), MORTISE_OK);
	assert_int_equal(credential_hold_release(fixture.hold, number, true), MORTISE_NOT_FOUND);
	assert_int_equal(credential_hold_release(fixture.hold, 0, true), MORTISE_NOT_FOUND);
	assert_refused_behind(fd, 0);
}

static void all_that_are_held_are_refused_and_counted(void **state)
{
	int fds[4], descriptor;
	size_t others;

	for (size_t i = 0; i < 4; i++)
		fds[i] = connect_one();
	uint64_t delivered = accept_one(&descriptor);
	assert_int_equal(credential_hold_release(fixture.hold, delivered, true), MORTISE_OK);
	refuse_one();
	(void)accept_one(&descriptor);
	(void)accept_one(&descriptor);
	assert_int_equal(credential_hold_refuse_all(fixture.hold), 2);
	assert_int_equal(take(fds[0], &others), 0);
	for (size_t i = 1; i < 4; i++)
		assert_refused_behind(fds[i], 0);
	assert_int_equal(credential_hold_refuse_all(fixture.hold), 0);
}

static void beyond_so_many_they_stay_in_the_queue_until_there_is_a_place(void **state)
{
	int fds[CREDENTIAL_HELD_MAX + 1], descriptor;
	uint64_t numbers[CREDENTIAL_HELD_MAX], number;

	for (size_t i = 0; i <= CREDENTIAL_HELD_MAX; i++)
		fds[i] = connect_one();
	for (size_t i = 0; i < CREDENTIAL_HELD_MAX; i++)
		numbers[i] = accept_one(&descriptor);
	assert_int_equal(
		credential_hold_accept(fixture.hold, fixture.listener, &number, &descriptor),
		MORTISE_BUSY);
	assert_int_equal(credential_hold_release(fixture.hold, numbers[7], true), MORTISE_OK);
	(void)accept_one(&descriptor);
	for (size_t i = 0; i <= CREDENTIAL_HELD_MAX; i++)
		close(fds[i]);
}

static void who_never_reads_is_dropped_in_time(void **state)
{
	int fd = connect_one();

	refuse_one();
	while (!fixture.emptied)
		event_base_loop(fixture.base, EVLOOP_ONCE);
	close(fd);
}

static void who_is_gone_is_dropped_at_once(void **state)
{
	int fd = connect_one();

	close(fd);
	refuse_one();
	assert_int_equal(fixture.emptied, 1);
	fd = connect_one();
	refuse_one();
	close(fd);
	while (fixture.emptied < 2)
		event_base_loop(fixture.base, EVLOOP_ONCE);
}

static void in_a_hurry_all_end_within_that_time_and_who_reads_is_refused_whole(void **state)
{
	int reads = connect_one(), never = connect_one(), held = connect_one(), descriptor;

	refuse_one();
	refuse_one();
	(void)accept_one(&descriptor);
	credential_hold_hurry(fixture.hold, 1000);
	assert_refused_behind(reads, 0);
	assert_refused_behind(held, 0);
	credential_hold_hurry(fixture.hold, SHORT_MS);
	while (!fixture.emptied)
		event_base_loop(fixture.base, EVLOOP_ONCE);
	close(never);
}

static void of_a_user_s_unread_refusals_the_eldest_goes(void **state)
{
	int fds[ONE_USERS + 1];
	size_t others;

	(void)state;
	if (geteuid() != 0)
		skip(); /* needs root */
	for (size_t i = 0; i <= ONE_USERS; i++) {
		fds[i] = connect_as(ALICE);
		refuse_one();
	}
	assert_true(take(fds[0], &others) < ENOUGH);
	for (size_t i = 1; i <= ONE_USERS; i++)
		assert_refused_behind(fds[i], 0);
}

/* Users that read nothing, as many as fit: whoever has a place is refused whole, and root, too. */
static void no_state_of_others_makes_a_refusal_an_empty_answer(void **state)
{
	int fds[CREDENTIAL_HELD_MAX], descriptor;
	uint64_t number;

	(void)state;
	if (geteuid() != 0)
		skip(); /* needs root */
	for (size_t i = 0; i < CREDENTIAL_HELD_MAX - 2; i++) {
		fds[i] = connect_as(ALICE + (uid_t)(i / ONE_USERS));
		refuse_one();
	}
	int bob = connect_as(ALICE - 1), root = connect_one(), waiting = connect_as(ALICE - 2);
	refuse_one();
	refuse_one();
	assert_int_equal(
		credential_hold_accept(fixture.hold, fixture.listener, &number, &descriptor),
		MORTISE_BUSY);
	assert_refused_behind(bob, 0);
	assert_refused_behind(root, 0);
	refuse_one();
	assert_refused_behind(waiting, 0);
	for (size_t i = 0; i < CREDENTIAL_HELD_MAX - 2; i++)
		assert_refused_behind(fds[i], 0);
}

/* What the keeper holds of a user is within what he may leave unread, so that its end harms none.
 */
static void at_a_keeper_s_end_a_user_s_units_are_refused_too(void **state)
{
	int fds[ONE_USERS], descriptor;

	if (geteuid() != 0)
		skip(); /* needs root */
	for (size_t i = 0; i < ONE_USERS; i++) {
		fds[i] = connect_as(ALICE);
		(void)accept_one(&descriptor);
	}
	assert_int_equal(credential_hold_refuse_all(fixture.hold), ONE_USERS);
	for (size_t i = 0; i < ONE_USERS; i++)
		assert_refused_behind(fds[i], 0);
}

#define WITH(set_up, name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH(set_up, where_nobody_waits_nothing_is_found),
		WITH(set_up, what_was_delivered_is_closed_and_nothing_comes_behind_it),
		WITH(set_up, what_was_not_delivered_is_more_than_systemd_takes),
		WITH(set_up, so_it_is_behind_a_part_of_a_value),
		WITH(set_up, the_largest_value_has_room_at_once),
		WITH(set_up, a_number_names_one_connection_and_never_another),
		WITH(set_up, what_is_refused_cannot_be_released_any_more),
		WITH(set_up, all_that_are_held_are_refused_and_counted),
		WITH(set_up, beyond_so_many_they_stay_in_the_queue_until_there_is_a_place),
		WITH(set_up_impatient, who_never_reads_is_dropped_in_time),
		WITH(set_up, who_is_gone_is_dropped_at_once),
		WITH(set_up, in_a_hurry_all_end_within_that_time_and_who_reads_is_refused_whole),
		WITH(set_up, of_a_user_s_unread_refusals_the_eldest_goes),
		WITH(set_up, no_state_of_others_makes_a_refusal_an_empty_answer),
		WITH(set_up, at_a_keeper_s_end_a_user_s_units_are_refused_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
