/* SPDX-License-Identifier: ISC */
#include <string.h>

#include <event2/event.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "monitor_link.h"
#include "mortise_test.h"
#include "processes.h"

struct fixture {
	struct event_base *base;
	struct monitor_link *link;
	int ours, theirs; /* the monitor's end, the link's */
	unsigned answers, nulls, losses, configured;
	uint16_t code;
	int descriptor;
};

static struct fixture fixture;

static void on_lost(void *context)
{
	struct fixture *at = context;

	at->losses++;
}

static void on_configured(void *context, const struct wire_message *frame)
{
	struct fixture *at = context;

	(void)frame;
	at->configured++;
}

static const struct monitor_hooks hooks = {on_lost, on_configured};

static void on_answer(void *context, const struct wire_message *answer, int descriptor)
{
	struct fixture *at = context;

	at->answers++;
	at->nulls += answer == NULL;
	at->code = answer ? answer->code : 0;
	at->descriptor = descriptor;
}

static int set_up(void **state)
{
	int pair[2];

	fixture = (struct fixture){.descriptor = -1};
	fixture.base = event_base_new();
	if (!fixture.base || socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) != 0)
		return -1;
	fixture.ours = pair[0];
	fixture.theirs = pair[1];
	*state = &fixture;
	return monitor_link_new(fixture.base, pair[1], &hooks, &fixture, &fixture.link) ==
			       MORTISE_OK
		       ? 0
		       : -1;
}

static int tear_down(void **state)
{
	(void)state;
	monitor_link_free(fixture.link);
	if (fixture.ours >= 0)
		close(fixture.ours);
	close(fixture.theirs);
	event_base_free(fixture.base);
	return 0;
}

static uint32_t read_id(void)
{
	static uint8_t frame[WIRE_FRAME_MAX];
	ssize_t size = recv(fixture.ours, frame, sizeof frame, MSG_DONTWAIT);
	struct wire_message message;

	assert_true(size > 0);
	assert_int_equal(wire_parse(frame, (size_t)size, &message), MORTISE_OK);
	return message.request_id;
}

/* Sends a frame with so many descriptors and lets the link handle it. */
static void send_frame(uint16_t code, uint32_t id, unsigned descriptors)
{
	_Alignas(struct cmsghdr) char room[CMSG_SPACE(2 * sizeof(int))] = {0};
	uint8_t frame[64];
	struct wire_writer writer;
	const int sent[2] = {fixture.ours, fixture.ours};

	wire_begin(&writer, frame, sizeof frame, code, id);
	struct iovec part = {frame, wire_finish(&writer)};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	if (descriptors) {
		message.msg_control = room;
		message.msg_controllen = CMSG_SPACE(descriptors * sizeof(int));
		struct cmsghdr *header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(descriptors * sizeof(int));
		memcpy(CMSG_DATA(header), sent, descriptors * sizeof(int));
	}
	assert_true(sendmsg(fixture.ours, &message, 0) > 0);
	event_base_loop(fixture.base, EVLOOP_NONBLOCK);
}

static void answer(uint32_t id, unsigned descriptors)
{
	send_frame(MORTISE_OK, id, descriptors);
}

static void ask(void)
{
	(void)monitor_begin(fixture.link, 600);
	assert_int_equal(monitor_ask(fixture.link, 0, on_answer, &fixture), MORTISE_OK);
}

static void an_answer_reaches_whoever_asked_once(void **state)
{
	(void)state;
	ask();
	uint32_t id = read_id();
	answer(id, 0);
	assert_int_equal(fixture.answers, 1);
	assert_int_equal(fixture.descriptor, -1);
	answer(id, 0);
	assert_int_equal(fixture.answers, 1);
}

static void answers_may_come_in_any_order(void **state)
{
	(void)state;
	ask();
	ask();
	uint32_t first = read_id(), second = read_id();
	assert_true(first != second && first != 0 && second != 0);
	answer(second, 0);
	answer(first, 0);
	assert_int_equal(fixture.answers, 2);
}

static void an_answer_that_nobody_asked_for_is_dropped_with_its_descriptor(void **state)
{
	(void)state;
	int before = dup(fixture.ours);
	close(before);
	answer(4711, 1);
	answer(0, 1);
	int after = dup(fixture.ours);
	assert_int_equal(after, before);
	close(after);
	assert_int_equal(fixture.answers, 0);
	assert_int_equal(fixture.losses, 0);
}

static void a_later_configuration_is_handed_on_and_nothing_else_is(void **state)
{
	(void)state;
	send_frame(PROCESS_CONFIGURE, 0, 0);
	assert_int_equal(fixture.configured, 1);
	send_frame(PROCESS_READY, 0, 0);
	assert_int_equal(fixture.configured, 1);
	assert_int_equal(fixture.answers, 0);
}

static void one_descriptor_is_handed_over(void **state)
{
	(void)state;
	ask();
	answer(read_id(), 1);
	assert_true(fixture.descriptor >= 0);
	assert_int_equal(fcntl(fixture.descriptor, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	close(fixture.descriptor);
}

static void of_two_descriptors_the_second_stays_with_nobody(void **state)
{
	(void)state;
	int before = dup(fixture.ours);
	close(before);
	ask();
	answer(read_id(), 2);
	assert_int_equal(fixture.descriptor, before);
	close(fixture.descriptor);
	int after = dup(fixture.ours);
	assert_int_equal(after, before);
	close(after);
}

static void more_questions_than_there_is_room_for_are_refused(void **state)
{
	unsigned asked = 0;

	(void)state;
	for (;; asked++) {
		(void)monitor_begin(fixture.link, 600);
		if (monitor_ask(fixture.link, 0, on_answer, &fixture) != MORTISE_OK)
			break;
	}
	assert_in_range(asked, 1, 64);
	assert_int_equal(fixture.answers, 0);
	answer(read_id(), 0);
	ask();
}

static void a_question_that_does_not_fit_is_refused(void **state)
{
	static const uint8_t bytes[WIRE_FRAME_MAX];
	(void)state;
	wire_put(monitor_begin(fixture.link, 600), PROCESS_TAG_TEXT, bytes, 65536);
	assert_int_equal(monitor_ask(fixture.link, 0, on_answer, &fixture), MORTISE_INVALID);
	assert_int_equal(fixture.answers, 0);
}

static void the_end_of_the_monitor_answers_everybody_and_is_told_once(void **state)
{
	(void)state;
	ask();
	ask();
	close(fixture.ours);
	fixture.ours = -1;
	event_base_loop(fixture.base, EVLOOP_NONBLOCK);
	event_base_loop(fixture.base, EVLOOP_NONBLOCK);
	assert_int_equal(fixture.answers, 2);
	assert_int_equal(fixture.nulls, 2);
	assert_int_equal(fixture.losses, 1);
}

static void a_monitor_that_talks_garbage_is_lost(void **state)
{
	(void)state;
	ask();
	assert_int_equal(send(fixture.ours, "garbage", 7, 0), 7);
	event_base_loop(fixture.base, EVLOOP_NONBLOCK);
	assert_int_equal(fixture.nulls, 1);
	assert_int_equal(fixture.losses, 1);
}

static void a_monitor_that_does_not_read_makes_busy(void **state)
{
	static const uint8_t bytes[16000];
	enum mortise_status status = MORTISE_OK;

	(void)state;
	for (unsigned i = 0; i < 1000 && status == MORTISE_OK; i++) {
		wire_put(monitor_begin(fixture.link, 600), PROCESS_TAG_TEXT, bytes, sizeof bytes);
		status = monitor_tell(fixture.link);
	}
	assert_int_equal(status, MORTISE_BUSY);
	(void)monitor_begin(fixture.link, 600);
	assert_int_equal(monitor_ask(fixture.link, 0, on_answer, &fixture), MORTISE_BUSY);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* Whoever asked at the same time without a limit waits on. */
static void a_monitor_that_is_late_is_waited_for_no_more(void **state)
{
	(void)state;
	ask();
	uint32_t patient = read_id();
	(void)monitor_begin(fixture.link, 600);
	assert_int_equal(monitor_ask(fixture.link, 1, on_answer, &fixture), MORTISE_OK);
	uint32_t late = read_id();
	while (fixture.answers == 0)
		event_base_loop(fixture.base, EVLOOP_ONCE);
	assert_int_equal(fixture.nulls, 1);
	assert_int_equal(fixture.losses, 0);
	answer(late, 1);
	assert_int_equal(fixture.answers, 1);
	answer(patient, 0);
	assert_int_equal(fixture.answers, 2);
	assert_int_equal(fixture.nulls, 1);
}

static void an_answer_in_time_is_the_only_one(void **state)
{
	(void)state;
	(void)monitor_begin(fixture.link, 600);
	assert_int_equal(monitor_ask(fixture.link, 1, on_answer, &fixture), MORTISE_OK);
	answer(read_id(), 0);
	ask();
	(void)monitor_begin(fixture.link, 600);
	assert_int_equal(monitor_ask(fixture.link, 1, on_answer, &fixture), MORTISE_OK);
	while (fixture.nulls == 0)
		event_base_loop(fixture.base, EVLOOP_ONCE);
	assert_int_equal(fixture.answers, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_answer_reaches_whoever_asked_once),
		TEST(answers_may_come_in_any_order),
		TEST(an_answer_that_nobody_asked_for_is_dropped_with_its_descriptor),
		TEST(a_later_configuration_is_handed_on_and_nothing_else_is),
		TEST(one_descriptor_is_handed_over),
		TEST(of_two_descriptors_the_second_stays_with_nobody),
		TEST(more_questions_than_there_is_room_for_are_refused),
		TEST(a_question_that_does_not_fit_is_refused),
		TEST(the_end_of_the_monitor_answers_everybody_and_is_told_once),
		TEST(a_monitor_that_talks_garbage_is_lost),
		TEST(a_monitor_that_does_not_read_makes_busy),
		TEST(a_monitor_that_is_late_is_waited_for_no_more),
		TEST(an_answer_in_time_is_the_only_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
