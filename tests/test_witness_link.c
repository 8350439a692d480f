/* SPDX-License-Identifier: ISC */
/* witness_link alone: the test is the monitor that starts witnesses, and each witness. */
#include <string.h>

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "monitor_link.h"
#include "mortise_test.h"
#include "processes.h"
#include "wire.h"
#include "witness_link.h"

#define LONG_MS 3600000
#define ALICE   1000u
#define BOB     1001u
#define CAROL   1002u
#define RESTIC  "/usr/bin/restic"
#define ASKERS  8

struct asker {
	struct witness_question question;
	unsigned answers, number; /* the how manieth it was */
	char path[64];
	const char *trouble;
};

static struct {
	struct event_base *base;
	struct monitor_link *monitor;
	struct witness_link *link;
	struct witness_timing timing;
	int ours, theirs, witness; /* the test's end of the newest witness; -1: none */
	int other;                 /* of the one before, where there are two */
	struct wire_message question;
	struct asker askers[ASKERS];
	unsigned answers;
} fixture;

static uint8_t in[WIRE_FRAME_MAX], out[WIRE_FRAME_MAX];

static void on_lost(void *context)
{
	(void)context;
}

static const struct monitor_hooks hooks = {.lost = on_lost};

static void start_many(unsigned seats, int patience_ms)
{
	fixture.timing = (struct witness_timing){seats, patience_ms, LONG_MS, LONG_MS, 1, 2};
	assert_int_equal(
		witness_link_new(fixture.base, fixture.monitor, &fixture.timing, &fixture.link),
		MORTISE_OK);
}

static void start(int patience_ms)
{
	start_many(1, patience_ms);
}

static int set_up(void **state)
{
	int pair[2];

	(void)state;
	memset(&fixture, 0, sizeof fixture);
	fixture.witness = fixture.other = -1;
	fixture.base = event_base_new();
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return -1;
	fixture.ours = pair[0];
	fixture.theirs = pair[1];
	return monitor_link_new(fixture.base, pair[1], &hooks, NULL, &fixture.monitor) == MORTISE_OK
		       ? 0
		       : -1;
}

static void close_witness(void)
{
	if (fixture.witness >= 0)
		close(fixture.witness);
	fixture.witness = -1;
}

static int tear_down(void **state)
{
	(void)state;
	witness_link_free(fixture.link);
	monitor_link_free(fixture.monitor);
	close(fixture.ours);
	close(fixture.theirs);
	close_witness();
	if (fixture.other >= 0)
		close(fixture.other);
	event_base_free(fixture.base);
	return 0;
}

static void turn(void)
{
	event_base_loop(fixture.base, EVLOOP_NONBLOCK);
}

/* Does the keeper ask for a witness? Waits until it does. */
static uint32_t await_fetch(void)
{
	struct wire_message asked;
	ssize_t size;

	while ((size = recv(fixture.ours, in, sizeof in, MSG_DONTWAIT)) < 0)
		assert_int_equal(event_base_loop(fixture.base, EVLOOP_ONCE), 0);
	assert_int_equal(wire_parse(in, (size_t)size, &asked), MORTISE_OK);
	assert_int_equal(asked.code, PROCESS_WITNESS);
	return asked.request_id;
}

static bool is_fetched(void)
{
	turn();
	return recv(fixture.ours, in, sizeof in, MSG_DONTWAIT | MSG_PEEK) > 0;
}

static void answer_fetch(uint32_t id, uint16_t code, int descriptor)
{
	_Alignas(struct cmsghdr) char room[CMSG_SPACE(sizeof(int))] = {0};
	struct wire_writer writer;

	wire_begin(&writer, out, sizeof out, code, id);
	struct iovec part = {out, wire_finish(&writer)};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	if (descriptor >= 0) {
		message.msg_control = room;
		message.msg_controllen = sizeof room;
		struct cmsghdr *header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(header), &descriptor, sizeof(int));
	}
	assert_true(sendmsg(fixture.ours, &message, 0) > 0);
	turn();
}

static void give_witness(void)
{
	uint32_t id = await_fetch();
	int pair[2];

	close_witness();
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
	fixture.witness = pair[0];
	answer_fetch(id, MORTISE_OK, pair[1]);
	close(pair[1]);
}

static void on_answered(void *context, const char *path, const char *trouble)
{
	struct asker *asker = context;

	asker->answers++;
	asker->number = ++fixture.answers;
	asker->trouble = trouble;
	if (path)
		(void)snprintf(asker->path, sizeof asker->path, "%s", path);
}

/* Whoever it is has its number as its pid. */
static struct asker *ask(unsigned number, uint32_t uid)
{
	struct asker *asker = &fixture.askers[number];
	const char *trouble = NULL;

	asker->question = (struct witness_question){.opcode = WITNESS_EXE,
		.pid = number,
		.uid = uid,
		.answered = on_answered,
		.context = asker};
	if (witness_ask(fixture.link, &asker->question, &trouble) != MORTISE_OK)
		asker->trouble = trouble;
	return asker;
}

/* About whom the witness is asked next; 0: about nobody now. */
static uint32_t hear(void)
{
	uint64_t pid = 0;
	ssize_t size;

	turn();
	size = recv(fixture.witness, in, sizeof in, MSG_DONTWAIT);
	if (size < 0)
		return 0;
	assert_int_equal(wire_parse(in, (size_t)size, &fixture.question), MORTISE_OK);
	assert_int_equal(fixture.question.code, WITNESS_EXE);
	assert_int_equal(wire_number(&fixture.question, PROCESS_TAG_NUMBER, &pid), MORTISE_OK);
	return (uint32_t)pid;
}

static void say(uint32_t id, uint16_t code, const char *path)
{
	struct wire_writer writer;

	wire_begin(&writer, out, sizeof out, code, id);
	if (path)
		wire_put_text(&writer, PROCESS_TAG_TEXT, path);
	assert_true(send(fixture.witness, out, wire_finish(&writer), MSG_NOSIGNAL) > 0);
	turn();
}

static void answer(const char *path)
{
	say(fixture.question.request_id, path ? MORTISE_OK : MORTISE_NOT_FOUND, path);
}

static void await(const struct asker *asker)
{
	while (!asker->answers)
		assert_int_equal(event_base_loop(fixture.base, EVLOOP_ONCE), 0);
	assert_int_equal(asker->answers, 1);
}

static void an_answer_goes_to_who_asked(void **state)
{
	(void)state;
	start(LONG_MS);
	give_witness();
	struct asker *asker = ask(1, ALICE);
	assert_int_equal(hear(), 1);
	assert_int_equal(asker->answers, 0);
	answer(RESTIC);
	assert_int_equal(asker->answers, 1);
	assert_string_equal(asker->path, RESTIC);
	assert_null(asker->trouble);
	asker = ask(2, ALICE);
	assert_int_equal(hear(), 2);
	answer(NULL);
	assert_int_equal(asker->answers, 1);
	assert_string_equal(asker->path, "");
	assert_null(asker->trouble);
	assert_int_equal(witness_report(fixture.link).late + witness_report(fixture.link).ended, 0);
}

static void what_is_asked_before_there_is_a_witness_waits_for_it(void **state)
{
	(void)state;
	start(LONG_MS);
	struct asker *asker = ask(1, ALICE);
	assert_false(witness_report(fixture.link).is_there);
	give_witness();
	assert_true(witness_report(fixture.link).is_there);
	assert_int_equal(hear(), 1);
	answer(RESTIC);
	assert_string_equal(asker->path, RESTIC);
}

static void one_question_is_under_way_at_a_time(void **state)
{
	(void)state;
	start(LONG_MS);
	give_witness();
	ask(1, ALICE);
	ask(2, BOB);
	assert_int_equal(hear(), 1);
	assert_int_equal(hear(), 0);
	answer(RESTIC);
	assert_int_equal(hear(), 2);
}

static void a_late_witness_is_replaced_and_the_others_are_answered_by_the_next(void **state)
{
	(void)state;
	start(50);
	give_witness();
	struct asker *stuck = ask(1, ALICE), *other = ask(2, BOB);
	assert_int_equal(hear(), 1);
	await(stuck);
	assert_string_equal(stuck->path, "");
	assert_non_null(stuck->trouble);
	assert_int_equal(other->answers, 0);
	assert_false(witness_report(fixture.link).is_there);
	fixture.timing.patience_ms = LONG_MS;
	give_witness();
	assert_int_equal(hear(), 2);
	answer(RESTIC);
	assert_string_equal(other->path, RESTIC);
	struct witness_report report = witness_report(fixture.link);
	assert_int_equal(report.late, 1);
	assert_int_equal(report.ended, 0);
	assert_int_equal(report.late_pid, 1);
	assert_int_equal(report.late_uid, ALICE);
}

static void a_late_answer_reaches_nobody(void **state)
{
	(void)state;
	start(50);
	give_witness();
	struct asker *stuck = ask(1, ALICE);
	assert_int_equal(hear(), 1);
	uint32_t earlier = fixture.question.request_id;
	await(stuck);
	int old = fcntl(fixture.witness, F_DUPFD_CLOEXEC, 0);
	fixture.timing.patience_ms = LONG_MS;
	give_witness();
	struct asker *other = ask(2, BOB);
	assert_int_equal(hear(), 2);
	assert_int_not_equal(fixture.question.request_id, earlier);
	struct wire_writer writer;
	wire_begin(&writer, out, sizeof out, MORTISE_OK, earlier);
	wire_put_text(&writer, PROCESS_TAG_TEXT, "/usr/bin/old");
	assert_true(send(old, out, wire_finish(&writer), MSG_NOSIGNAL) < 0);
	assert_int_equal(errno, EPIPE);
	close(old);
	/* Nor does one by a new witness that tells it again. */
	say(earlier, MORTISE_OK, "/usr/bin/old");
	assert_int_equal(other->answers, 0);
	give_witness();
	assert_int_equal(hear(), 2);
	answer(RESTIC);
	assert_string_equal(other->path, RESTIC);
}

static void about_whom_one_was_late_is_not_asked_for_a_while(void **state)
{
	(void)state;
	start(50);
	give_witness();
	await(ask(1, ALICE));
	fixture.timing.patience_ms = LONG_MS;
	give_witness();
	struct asker *again = ask(2, ALICE);
	assert_non_null(again->trouble);
	assert_int_equal(hear(), 0);
	assert_int_equal(again->answers, 0); /* refused by witness_ask() itself */
	struct asker *other = ask(3, BOB);
	assert_int_equal(hear(), 3);
	answer(RESTIC);
	assert_string_equal(other->path, RESTIC);
}

static void of_more_uids_than_can_be_held_off_the_first_is_asked_again(void **state)
{
	(void)state;
	start(1);
	for (uint32_t uid = 1; uid <= 65; uid++) {
		give_witness();
		fixture.askers[0].answers = 0;
		await(ask(0, uid));
		if (uid == 64)
			assert_non_null(ask(1, 1)->trouble);
	}
	fixture.timing.patience_ms = LONG_MS;
	give_witness();
	assert_non_null(ask(1, 2)->trouble);
	ask(2, 1);
	assert_int_equal(hear(), 2);
}

static void so_it_is_where_who_asked_has_hung_up(void **state)
{
	(void)state;
	start(50);
	give_witness();
	struct asker *stuck = ask(1, ALICE);
	assert_int_equal(hear(), 1);
	witness_forget(&stuck->question);
	uint32_t id = await_fetch();
	assert_int_equal(stuck->answers, 0);
	assert_int_equal(witness_report(fixture.link).late_uid, ALICE);
	assert_non_null(ask(2, ALICE)->trouble);
	answer_fetch(id, MORTISE_BUSY, -1);
}

static void all_who_wait_of_that_user_are_told_at_once_and_cost_no_further_witness(void **state)
{
	struct asker *waiting[3];

	(void)state;
	start(50);
	give_witness();
	for (unsigned i = 0; i < 3; i++)
		waiting[i] = ask(i + 1, ALICE);
	struct asker *other = ask(4, BOB);
	await(waiting[0]);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(waiting[i]->answers, 1);
		assert_non_null(waiting[i]->trouble);
	}
	fixture.timing.patience_ms = LONG_MS;
	give_witness();
	assert_int_equal(hear(), 4);
	answer(RESTIC);
	assert_int_equal(other->answers, 1);
	assert_int_equal(hear(), 0);
	assert_int_equal(witness_report(fixture.link).late, 1);
}

static void who_has_hung_up_is_told_nothing_and_the_next_is_asked(void **state)
{
	(void)state;
	start(LONG_MS);
	give_witness();
	struct asker *gone = ask(1, ALICE), *waits = ask(2, ALICE), *last = ask(3, BOB);
	assert_int_equal(hear(), 1);
	witness_forget(&gone->question);
	witness_forget(&waits->question);
	answer(RESTIC);
	assert_int_equal(gone->answers + waits->answers, 0);
	assert_int_equal(hear(), 3);
	answer(RESTIC);
	assert_int_equal(last->answers, 1);
}

static void a_user_with_many_questions_waits_behind_who_has_one(void **state)
{
	(void)state;
	start(LONG_MS);
	give_witness();
	for (unsigned i = 1; i <= 4; i++)
		ask(i, ALICE);
	ask(5, BOB);
	ask(6, CAROL);
	static const uint32_t order[] = {1, 5, 6, 2, 3, 4};
	for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
		assert_int_equal(hear(), order[i]);
		if (i == 3)
			ask(7, BOB);
		answer(RESTIC);
		if (i == 3) {
			assert_int_equal(hear(), 7);
			answer(RESTIC);
		}
	}
}

static void a_witness_that_dies_is_replaced_and_asked_again(void **state)
{
	(void)state;
	start(LONG_MS);
	give_witness();
	struct asker *asker = ask(1, ALICE);
	assert_int_equal(hear(), 1);
	close_witness();
	give_witness();
	assert_int_equal(asker->answers, 0);
	assert_int_equal(hear(), 1);
	answer(RESTIC);
	assert_string_equal(asker->path, RESTIC);
	assert_int_equal(witness_report(fixture.link).ended, 1);
}

static void a_question_that_kills_two_is_not_asked_a_third(void **state)
{
	(void)state;
	start(LONG_MS);
	give_witness();
	struct asker *asker = ask(1, ALICE), *other = ask(2, BOB);
	assert_int_equal(hear(), 1);
	close_witness();
	give_witness();
	/* The other's turn comes first. */
	assert_int_equal(hear(), 2);
	answer(RESTIC);
	assert_int_equal(hear(), 1);
	close_witness();
	await(asker);
	assert_non_null(asker->trouble);
	give_witness();
	assert_int_equal(hear(), 0);
	assert_int_equal(other->answers, 1);
}

static void one_that_says_what_it_was_not_asked_is_replaced(void **state)
{
	static const char torn[] = "\1\0\0\0";

	(void)state;
	start(LONG_MS);
	for (unsigned i = 0; i < 4; i++) {
		give_witness();
		if (i == 0)
			say(1, MORTISE_OK, RESTIC);
		if (i == 1)
			assert_true(send(fixture.witness, torn, sizeof torn, 0) > 0);
		if (i == 2) {
			memset(out, 'x', 9000);
			assert_true(send(fixture.witness, out, 9000, 0) > 0);
		}
		if (i < 3)
			fixture.askers[0].answers = 0;
	}
	assert_int_equal(witness_report(fixture.link).ended, 3);
	struct asker *asker = ask(1, ALICE);
	assert_int_equal(hear(), 1);
	answer(RESTIC);
	assert_string_equal(asker->path, RESTIC);
}

/* The two witnesses; the first is in fixture.other. */
static void start_two(int patience_ms)
{
	start_many(2, patience_ms);
	give_witness();
	fixture.other = fixture.witness;
	fixture.witness = -1;
	give_witness();
}

static void swap(void)
{
	int other = fixture.other;

	fixture.other = fixture.witness;
	fixture.witness = other;
}

static void while_one_is_stuck_the_other_answers(void **state)
{
	(void)state;
	start_two(LONG_MS);
	struct asker *stuck = ask(1, ALICE), *other = ask(2, BOB), *third = ask(3, CAROL);
	assert_int_equal(hear(), 2);
	answer(RESTIC);
	assert_int_equal(hear(), 3);
	answer(RESTIC);
	assert_int_equal(other->answers + third->answers, 2);
	assert_int_equal(stuck->answers, 0);
	swap();
	assert_int_equal(hear(), 1);
	answer(RESTIC);
	assert_int_equal(stuck->answers, 1);
}

static void nobody_keeps_two_of_them_waiting(void **state)
{
	(void)state;
	start_two(LONG_MS);
	ask(1, ALICE);
	ask(2, ALICE);
	ask(3, ALICE);
	assert_int_equal(hear(), 0);
	struct asker *other = ask(4, BOB);
	assert_int_equal(hear(), 4);
	answer(RESTIC);
	assert_int_equal(other->answers, 1);
	assert_int_equal(hear(), 0);
	swap();
	assert_int_equal(hear(), 1);
	answer(RESTIC);
	assert_int_equal(hear(), 2);
}

static void a_path_that_is_none_is_none(void **state)
{
	(void)state;
	start(LONG_MS);
	give_witness();
	struct asker *asker = ask(1, ALICE);
	assert_int_equal(hear(), 1);
	answer("restic");
	assert_int_equal(asker->answers, 1);
	assert_string_equal(asker->path, "");
	asker = ask(2, ALICE);
	assert_int_equal(hear(), 2);
	say(fixture.question.request_id, MORTISE_OK, NULL);
	assert_int_equal(asker->answers, 1);
	assert_string_equal(asker->path, "");
}

/* Each is asked for behind a longer rest; who asks meanwhile is told so at last. */
static void where_none_can_be_started_nobody_waits_for_ever(void **state)
{
	(void)state;
	start(LONG_MS);
	struct asker *asker = ask(1, ALICE);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(asker->answers, 0);
		answer_fetch(await_fetch(), MORTISE_IO, -1);
	}
	await(asker);
	assert_non_null(asker->trouble);
	fixture.timing.rest_max_ms = LONG_MS;
	fixture.timing.rest_first_ms = LONG_MS;
	answer_fetch(await_fetch(), MORTISE_IO, -1);
	assert_non_null(ask(2, BOB)->trouble);
	assert_false(is_fetched());
}

static void a_monitor_that_says_nothing_is_waited_for_no_longer_than_a_witness(void **state)
{
	(void)state;
	start(50);
	struct asker *asker = ask(1, ALICE);
	uint32_t id = await_fetch();
	await(asker);
	assert_non_null(asker->trouble);
	asker = ask(2, ALICE);
	await(asker);
	assert_non_null(asker->trouble);
	answer_fetch(id, MORTISE_BUSY, -1);
}

static void what_cannot_be_listened_to_is_no_witness_and_nor_is_what_comes_in_its_place(
	void **state)
{
	int file = open("/dev/null", O_RDWR | O_CLOEXEC), other; /* which epoll(7) refuses */

	(void)state;
	start(LONG_MS);
	answer_fetch(await_fetch(), MORTISE_OK, file);
	assert_false(witness_report(fixture.link).is_there);
	other = dup(fixture.ours); /* has its number now */
	answer_fetch(await_fetch(), MORTISE_IO, -1);
	assert_false(witness_report(fixture.link).is_there);
	give_witness();
	assert_true(witness_report(fixture.link).is_there);
	close(other);
	close(file);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_answer_goes_to_who_asked),
		TEST(what_is_asked_before_there_is_a_witness_waits_for_it),
		TEST(one_question_is_under_way_at_a_time),
		TEST(a_late_witness_is_replaced_and_the_others_are_answered_by_the_next),
		TEST(a_late_answer_reaches_nobody),
		TEST(about_whom_one_was_late_is_not_asked_for_a_while),
		TEST(of_more_uids_than_can_be_held_off_the_first_is_asked_again),
		TEST(so_it_is_where_who_asked_has_hung_up),
		TEST(all_who_wait_of_that_user_are_told_at_once_and_cost_no_further_witness),
		TEST(who_has_hung_up_is_told_nothing_and_the_next_is_asked),
		TEST(a_user_with_many_questions_waits_behind_who_has_one),
		TEST(a_witness_that_dies_is_replaced_and_asked_again),
		TEST(a_question_that_kills_two_is_not_asked_a_third),
		TEST(one_that_says_what_it_was_not_asked_is_replaced),
		TEST(while_one_is_stuck_the_other_answers),
		TEST(nobody_keeps_two_of_them_waiting),
		TEST(a_path_that_is_none_is_none),
		TEST(where_none_can_be_started_nobody_waits_for_ever),
		TEST(what_cannot_be_listened_to_is_no_witness_and_nor_is_what_comes_in_its_place),
		TEST(a_monitor_that_says_nothing_is_waited_for_no_longer_than_a_witness),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
