/* SPDX-License-Identifier: ISC */
#include "keeper_fixture.h"

#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define BIG 65536

static uint8_t big[BIG];
static volatile unsigned *named; /* how often the kernel named a connection to the keeper */

/* Before libc's, for libevent in the keeper. */
__attribute__((visibility("default"))) int epoll_wait(
	int fd, struct epoll_event *events, int maximum, int timeout_ms)
{
	long count = syscall(SYS_epoll_pwait, fd, events, maximum, timeout_ms, NULL, 0);

	if (count > 0)
		*named += (unsigned)count;
	return (int)count;
}

static void put_big(struct keeper_fixture *fixture, const char *path)
{
	struct asker *asker = asker_open(fixture);

	for (size_t i = 0; i < sizeof big; i++)
		big[i] = (uint8_t)(i * 31);
	assert_int_equal(ask_set(fixture, asker, path, big, sizeof big), MORTISE_OK);
	asker_close(asker);
}

static void assert_serves(struct keeper_fixture *fixture)
{
	struct asker *asker = asker_open(fixture);

	assert_int_equal(ask_plain(fixture, asker, WIRE_WHOAMI), MORTISE_OK);
	asker_close(asker);
}

/* A client that was shed tries again. */
static void await_service(struct keeper_fixture *fixture)
{
	uint16_t code;

	do {
		struct asker *asker = asker_open(fixture);
		code = ask_plain(fixture, asker, WIRE_WHOAMI);
		asker_close(asker);
	} while (code == ASKER_CLOSED);
	assert_int_equal(code, MORTISE_OK);
}

static unsigned count_descriptors(const struct keeper_fixture *fixture)
{
	unsigned count = 0;
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/fd", (int)fixture->pid);
	DIR *directory = opendir(path);
	assert_non_null(directory);
	while (readdir(directory))
		count++;
	closedir(directory);
	return count;
}

/* The value of a get's answer that was received. */
static void assert_big(const struct asker *asker)
{
	struct wire_list list = wire_list_of(&asker->reply, WIRE_TAG_ITEMS);
	struct wire_message fields;
	struct wire_field item;

	assert_true(wire_list_next(&list, &item));
	assert_int_equal(wire_parse_fields(item.bytes, item.size, &fields), MORTISE_OK);
	assert_int_equal(wire_field_of(&fields, WIRE_TAG_VALUE)->size, sizeof big);
	assert_memory_equal(wire_field_of(&fields, WIRE_TAG_VALUE)->bytes, big, sizeof big);
}

static void await_end(struct keeper_fixture *fixture, int fd)
{
	struct pollfd entry = {.fd = fd, .events = POLLRDHUP};

	(void)fixture;
	assert_int_equal(poll(&entry, 1, 30000), 1);
}

#define MALFORMED "\"result\":\"invalid\",\"note\":\"a malformed frame\""
#define TOO_LARGE "\"result\":\"invalid\",\"note\":\"a message too large, or with descriptors\""
#define NO_ROOM   "\"result\":\"busy\",\"note\":\"no room for it\""

static size_t count_in_log(const struct keeper_fixture *fixture, const char *words)
{
	char *text = keeper_log(fixture);
	size_t count = 0;

	for (const char *at = text; (at = strstr(at, words)) != NULL; at++)
		count++;
	free(text);
	return count;
}

static void a_frame_that_is_none_ends_its_connection_and_no_other(void **state)
{
	static const struct {
		const char *bytes;
		size_t size;
	} broken[] = {
		{"\x01", 1},
		{"\x01\0\x02\0\x01\0\0\0\0\0\0", 11},
		{"\x01\0\x02\0\x01\0\0\0\x01\0\0\0", 12},
		{"\x01\0\x02\0\x01\0\0\0\xff\xff\xff\xff", 12},
		{"\x02\0\x02\0\x01\0\0\0\0\0\0\0", 12},
		{"\x01\0\x02\0\x01\0\0\0\0\0\0\0\0", 13},
		{"\x01\0\x10\0\x01\0\0\0\x06\0\0\0\x04\0\xff\xff\xff\xff", 18},
		{"\x01\0\x10\0\x01\0\0\0\x06\0\0\0\0\0\0\0\0\0", 18},
		{"\x01\0\x10\0\x01\0\0\0\x06\0\0\0\0\x02\0\0\0\0", 18},
		{"\x01\0\x10\0\x01\0\0\0\x0c\0\0\0\x05\0\0\0\0\0\x04\0\0\0\0\0", 24},
		{"\x01\0\x10\0\x01\0\0\0\x0c\0\0\0\x04\0\0\0\0\0\x04\0\0\0\0\0", 24},
	};
	struct keeper_fixture *fixture = *state;

	for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
		struct asker *asker = asker_open(fixture);
		assert_int_equal(send(asker->fd, broken[i].bytes, broken[i].size, 0),
			(ssize_t)broken[i].size);
		assert_int_equal(asker_receive(fixture, asker), ASKER_CLOSED);
		asker_close(asker);
		assert_serves(fixture);
		/* Of one uid in a minute ten have a line. */
		size_t recorded = count_in_log(fixture, MALFORMED);
		assert_true(recorded == i + 1 || recorded >= 10);
	}
}

static void an_empty_message_ends_its_connection(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	assert_int_equal(send(asker->fd, "", 0, 0), 0);
	assert_int_equal(asker_receive(fixture, asker), ASKER_CLOSED);
	asker_close(asker);
	assert_serves(fixture);
}

static void a_frame_above_the_limit_ends_its_connection(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);
	static uint8_t frame[WIRE_FRAME_MAX + 1];

	/* What is left of it after the cut would be a whole frame. */
	memcpy(frame, "\x01\0\x02\0\x01\0\0\0\xf4\xff\x01\0\x07\0\xee\xff\x01\0", 18);
	assert_int_equal(send(asker->fd, frame, sizeof frame, 0), sizeof frame);
	assert_int_equal(asker_receive(fixture, asker), ASKER_CLOSED);
	asker_close(asker);
	assert_serves(fixture);
	assert_int_equal(count_in_log(fixture, TOO_LARGE), 1);
}

static void the_largest_frame_is_read(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);
	static uint8_t value[WIRE_FRAME_MAX - WIRE_HEADER_SIZE - 6];

	wire_put(asker_begin(asker, WIRE_STATUS), WIRE_TAG_VALUE, value, sizeof value);
	assert_int_equal(asker->writer.size, WIRE_FRAME_MAX);
	assert_int_equal(asker_call(fixture, asker), MORTISE_INVALID);
	assert_int_equal(ask_plain(fixture, asker, WIRE_STATUS), MORTISE_OK);
	asker_close(asker);
}

static void descriptors_sent_along_stay_with_nobody(void **state)
{
	static _Alignas(struct cmsghdr) char room[CMSG_SPACE(253 * sizeof(int))];
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);
	int descriptors[253];

	assert_int_equal(ask_plain(fixture, asker, WIRE_WHOAMI), MORTISE_OK);
	unsigned before = count_descriptors(fixture);
	(void)asker_begin(asker, WIRE_STATUS);
	struct iovec part = {asker->out, wire_finish(&asker->writer)};
	struct msghdr message = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = room,
		.msg_controllen = sizeof room};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof descriptors);
	for (size_t i = 0; i < 253; i++)
		descriptors[i] = asker->fd;
	memcpy(CMSG_DATA(header), descriptors, sizeof descriptors);
	assert_true(sendmsg(asker->fd, &message, 0) > 0);
	assert_int_equal(asker_receive(fixture, asker), ASKER_CLOSED);
	asker_close(asker);
	assert_serves(fixture);
	assert_int_equal(count_in_log(fixture, TOO_LARGE), 1);
	assert_true(count_descriptors(fixture) <= before);
}

static void a_child_has_no_authority_over_its_parents_connection(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);
	int status;

	assert_int_equal(ask_plain(fixture, asker, WIRE_WHOAMI), MORTISE_OK);
	(void)asker_begin(asker, WIRE_WHOAMI);
	pid_t child = fork();
	if (child == 0) {
		asker_send(asker);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(asker_receive(fixture, asker), ASKER_CLOSED);
	asker_close(asker);
}

/* The frame was sent by the connector itself, but when it is read nobody lives to be asked. */
static void a_connector_that_died_is_not_answered(void **state)
{
	struct keeper_fixture *fixture = *state;
	int pipe_end[2], status;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pipe_end), 0);
	pid_t child = fork();
	if (child == 0) {
		_Alignas(struct cmsghdr) char room[CMSG_SPACE(sizeof(int))] = {0};
		struct iovec part = {"", 1};
		struct msghdr message = {.msg_iov = &part,
			.msg_iovlen = 1,
			.msg_control = room,
			.msg_controllen = sizeof room};
		struct asker *asker = asker_open(fixture);
		if (ask_plain(fixture, asker, WIRE_WHOAMI) != MORTISE_OK)
			_exit(1);
		kill(fixture->pid, SIGSTOP);
		begin_get(asker, "prod/x");
		asker_send(asker);
		struct cmsghdr *header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(header), &asker->fd, sizeof(int));
		_exit(sendmsg(pipe_end[1], &message, 0) == 1 ? 0 : 2);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	kill(fixture->pid, SIGCONT);
	_Alignas(struct cmsghdr) char room[CMSG_SPACE(sizeof(int))] = {0};
	char byte;
	struct iovec part = {&byte, 1};
	struct msghdr message = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = room,
		.msg_controllen = sizeof room};
	int inherited;
	assert_int_equal(recvmsg(pipe_end[0], &message, 0), 1);
	memcpy(&inherited, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof inherited);
	keeper_pump(fixture, inherited);
	assert_int_equal(recv(inherited, &byte, 1, 0), 0);
	assert_serves(fixture);
	assert_false(keeper_log_has(fixture, "prod/x"));
	close(inherited);
	close(pipe_end[0]);
	close(pipe_end[1]);
}

static void answers_that_do_not_fit_wait_and_arrive(void **state)
{
	struct keeper_fixture *fixture = *state;
	put_big(fixture, "prod/big");
	struct asker *asker = asker_open(fixture);

	begin_get(asker, "prod/big");
	for (unsigned i = 0; i < 12; i++)
		asker_send(asker);
	assert_serves(fixture);
	for (unsigned i = 0; i < 12; i++) {
		assert_int_equal(asker_receive(fixture, asker), MORTISE_OK);
		assert_big(asker);
	}
	assert_int_equal(ask_plain(fixture, asker, WIRE_WHOAMI), MORTISE_OK);
	asker_close(asker);
}

static void a_client_that_never_reads_is_disconnected_and_holds_up_nobody(void **state)
{
	struct keeper_fixture *fixture = *state;
	put_big(fixture, "prod/big");
	struct asker *asker = asker_open(fixture);

	begin_get(asker, "prod/big");
	for (unsigned i = 0; i < 12; i++)
		asker_send(asker);
	assert_serves(fixture);
	await_end(fixture, asker->fd);
	asker_close(asker);
	assert_serves(fixture);
}

static void answers_that_wait_are_bounded_for_all_clients_together(void **state)
{
	struct keeper_fixture *fixture = *state;
	put_big(fixture, "prod/big");
	struct asker *askers[24];
	struct pollfd entries[24];
	unsigned ended = 0;

	for (unsigned i = 0; i < 24; i++) {
		askers[i] = asker_open(fixture);
		begin_get(askers[i], "prod/big");
		for (unsigned j = 0; j < 8; j++)
			asker_send(askers[i]);
		assert_serves(fixture);
	}
	for (unsigned i = 0; i < 24; i++)
		entries[i] = (struct pollfd){.fd = askers[i]->fd, .events = POLLRDHUP};
	assert_true(poll(entries, 24, 5000) > 0); /* long before UNREAD_SECONDS */
	for (unsigned i = 0; i < 24; i++) {
		ended += entries[i].revents != 0;
		asker_close(askers[i]);
	}
	assert_in_range(ended, 1, 23);
	assert_serves(fixture);
}

static void out_of_descriptors_it_sheds_and_recovers(void **state)
{
	struct keeper_fixture *fixture = *state;
	int connections[30];

	NEEDS_ROOT();
	assert_serves(fixture);
	const struct rlimit few = {count_descriptors(fixture) + 4, 20000};
	struct rlimit before;
	assert_int_equal(prlimit(fixture->pid, RLIMIT_NOFILE, &few, &before), 0);
	for (unsigned i = 0; i < 30; i++)
		connections[i] = keeper_connect(fixture);
	await_end(fixture, connections[29]);
	for (unsigned i = 0; i < 30; i++)
		close(connections[i]);
	await_service(fixture);
	assert_int_equal(prlimit(fixture->pid, RLIMIT_NOFILE, &before, NULL), 0);
	assert_serves(fixture);
}

/* Places of an agent that may open few files. */
#define PLACES 16

static void allow_few_connections(void)
{
	const struct rlimit few = {100, 100};

	(void)setrlimit(RLIMIT_NOFILE, &few);
}

static void be(uint32_t uid)
{
	if (uid == 0)
		become_root();
	else
		become(uid, DBA_GROUP);
}

/* So many that the next connection needs another's place. */
static void fill(
	struct keeper_fixture *fixture, uint32_t uid, struct asker *askers[], unsigned count)
{
	be(uid);
	for (unsigned i = 0; i < count; i++) {
		askers[i] = asker_open(fixture);
		assert_int_equal(ask_plain(fixture, askers[i], WIRE_WHOAMI), MORTISE_OK);
	}
	become_root();
}

static bool has_ended(const struct asker *asker)
{
	struct pollfd entry = {.fd = asker->fd, .events = POLLRDHUP};

	return poll(&entry, 1, 0) == 1;
}

static void close_all(struct asker *askers[], unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		asker_close(askers[i]);
}

static void restart_with_few_places(struct keeper_fixture *fixture)
{
	assert_int_equal(keeper_stop(fixture), 0);
	fixture->before = allow_few_connections;
	keeper_start(fixture);
	keeper_await_state(fixture, "uninitialised");
}

static void one_user_may_have_what_others_leave_and_gives_it_back(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *askers[PLACES], *others[PLACES / 2];
	unsigned ended = 0;

	NEEDS_ROOT();
	restart_with_few_places(fixture);
	fill(fixture, ALICE, askers, PLACES);
	/* The first is the one that was quiet for longest, but it asks now. */
	be(ALICE);
	assert_int_equal(ask_plain(fixture, askers[0], WIRE_WHOAMI), MORTISE_OK);
	become_root();
	fill(fixture, BACKUP, others, PLACES / 2);
	for (unsigned i = 0; i < PLACES; i++)
		ended += has_ended(askers[i]);
	assert_int_equal(ended, PLACES / 2);
	assert_false(has_ended(askers[0]));
	assert_true(has_ended(askers[1]));
	/* Now both have as many, and who wants more than that has to wait. */
	be(BACKUP);
	struct asker *one_more = asker_open(fixture);
	assert_int_equal(ask_plain(fixture, one_more, WIRE_WHOAMI), ASKER_CLOSED);
	become_root();
	assert_serves(fixture);
	assert_int_equal(count_in_log(fixture, NO_ROOM), 1);
	close_all(askers, PLACES);
	close_all(others, PLACES / 2);
	asker_close(one_more);
}

static void however_many_uids_crowd_in_root_is_served(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *askers[2 * PLACES];

	NEEDS_ROOT();
	restart_with_few_places(fixture);
	for (unsigned i = 0; i < 2 * PLACES; i++) {
		become(2000 + i, 2000 + i);
		askers[i] = asker_open(fixture);
		(void)ask_plain(fixture, askers[i], WIRE_WHOAMI);
		become_root();
	}
	assert_serves(fixture);
	close_all(askers, 2 * PLACES);
}

static void operators_crowd_out_no_more_than_half(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *askers[PLACES], *other[1];

	NEEDS_ROOT();
	restart_with_few_places(fixture);
	fill(fixture, 0, askers, PLACES);
	fill(fixture, ALICE, other, 1);
	assert_true(has_ended(askers[0]));
	assert_false(has_ended(askers[1]));
	close_all(askers, PLACES);
	close_all(other, 1);
}

/* Set-uid programs of one user, which say nothing and so are never told that they are refused. */
static void callers_that_are_refused_cannot_take_all_connections(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *other[1];
	int connections[PLACES];

	NEEDS_ROOT();
	restart_with_few_places(fixture);
	assert_int_equal(setresuid(ALICE, BACKUP, 0), 0);
	for (unsigned i = 0; i < PLACES; i++)
		connections[i] = keeper_connect(fixture);
	become_root();
	fill(fixture, ALICE, other, 1);
	await_end(fixture, connections[0]);
	close_all(other, 1);
	for (unsigned i = 0; i < PLACES; i++)
		close(connections[i]);
}

static void three_hundred_clients_are_answered_in_one_go(void **state)
{
	struct keeper_fixture *fixture = *state;
	static struct asker *askers[300];

	NEEDS_NAMES(); /* a keeper that stands still greets nobody */
	keeper_put(fixture, "prod/x", "value");
	kill(fixture->pid, SIGSTOP);
	for (unsigned i = 0; i < 300; i++) {
		askers[i] = asker_open(fixture);
		begin_get(askers[i], "prod/x");
		asker_send(askers[i]);
		asker_send(askers[i]);
	}
	size_t lines = keeper_log_lines(fixture);
	kill(fixture->pid, SIGCONT);
	for (unsigned i = 0; i < 300; i++) {
		assert_int_equal(asker_receive(fixture, askers[i]), MORTISE_OK);
		assert_int_equal(asker_receive(fixture, askers[i]), MORTISE_OK);
	}
	assert_true(keeper_log_lines(fixture) >= lines + 600);
	for (unsigned i = 0; i < 300; i++)
		asker_close(askers[i]);
}

/* ---- turns ---- */

#define MANY  120
#define CROWD 300

/* Whoever asks: all of these, and behind them one. */
struct queue {
	uint32_t first_uid, step; /* 0: all are the first's */
	uint32_t uid;             /* of the one behind */
};

/* Lines of the log behind the first so many bytes that come before one of uid. */
static unsigned lines_before(struct keeper_fixture *fixture, size_t behind_bytes, uint32_t uid)
{
	char *log = keeper_log(fixture), wanted[48];
	unsigned count = 0;

	snprintf(wanted, sizeof wanted, "\"op\":\"get\",\"uid\":%u,", uid);
	const char *end = strstr(log + behind_bytes, wanted);
	assert_non_null(end);
	for (const char *at = log + behind_bytes; at < end; at++)
		count += *at == '\n';
	free(log);
	return count;
}

static size_t log_size(struct keeper_fixture *fixture)
{
	char *log = keeper_log(fixture);
	size_t size = strlen(log);

	free(log);
	return size;
}

/* Each asks once, all while the keeper is stopped. */
static unsigned serve_round(struct keeper_fixture *fixture, struct queue queue,
	struct asker *askers[MANY], struct asker *last)
{
	size_t lines = log_size(fixture);
	kill(fixture->pid, SIGSTOP);
	for (unsigned i = 0; i < MANY; i++) {
		be(queue.first_uid + i * queue.step);
		begin_get(askers[i], "prod/x");
		asker_send(askers[i]);
		become_root();
	}
	be(queue.uid);
	begin_get(last, "prod/x");
	asker_send(last);
	become_root();
	kill(fixture->pid, SIGCONT);
	for (unsigned i = 0; i < MANY; i++)
		assert_int_equal(asker_receive(fixture, askers[i]), MORTISE_OK);
	assert_int_equal(asker_receive(fixture, last), MORTISE_OK);
	return lines_before(fixture, lines, queue.uid);
}

/*
 * How many of a queue are served before the last. The least of several rounds: where another
 * process has the processor while somebody is served, he is charged for it in the next.
 */
static unsigned served_before(struct keeper_fixture *fixture, struct queue queue)
{
	struct asker *askers[MANY], *last;
	unsigned least = MANY;

	keeper_put(fixture, "prod/x", "value");
	keeper_apply(fixture, "[rule admin]\nallow = admin read write list\nsecret = **\nuser = 0\n"
			      "[rule all]\nallow = read\nsecret = **\ngroup = dba\n");
	for (unsigned i = 0; i < MANY; i++) {
		uint32_t uid = queue.first_uid + i * queue.step;
		fill(fixture, uid, &askers[i], 1);
	}
	fill(fixture, queue.uid, &last, 1);
	/* At first libevent hears of 32 at a time; in the third round of all at once. */
	for (unsigned round = 0; round < 8; round++) {
		unsigned before = serve_round(fixture, queue, askers, last);
		if (round >= 2 && before < least)
			least = before;
	}
	close_all(askers, MANY);
	close_all(&last, 1);
	return least;
}

static void who_asks_once_does_not_wait_for_who_asks_by_many_connections(void **state)
{
	struct keeper_fixture *fixture = *state;

	NEEDS_ROOT();
	assert_in_range(served_before(fixture, (struct queue){ALICE, 0, BACKUP}), 0, MANY / 4);
}

static void an_operator_does_not_wait_for_however_many_uids(void **state)
{
	struct keeper_fixture *fixture = *state;

	NEEDS_ROOT();
	assert_in_range(served_before(fixture, (struct queue){2000, 1, 0}), 0, MANY / 4);
}

static void nobody_waits_for_an_operator_with_many_connections(void **state)
{
	struct keeper_fixture *fixture = *state;

	NEEDS_ROOT();
	assert_in_range(served_before(fixture, (struct queue){0, 0, ALICE}), 0, MANY / 4);
}

/* So many big answers at once that the turn's memory is full in the midst of them. */
static void ask_at_once(struct keeper_fixture *fixture, struct asker **askers, unsigned count)
{
	kill(fixture->pid, SIGSTOP);
	for (unsigned i = 0; i < count; i++) {
		begin_get(askers[i], "prod/big");
		asker_send(askers[i]);
	}
	kill(fixture->pid, SIGCONT);
}

static void who_waits_in_line_is_not_named_at_each_turn(void **state)
{
	struct keeper_fixture *fixture = *state;
	static struct asker *askers[CROWD];

	put_big(fixture, "prod/big");
	fill(fixture, 0, askers, CROWD);
	for (unsigned round = 0; round < 3; round++) {
		*named = 0;
		ask_at_once(fixture, askers, CROWD);
		for (unsigned i = 0; i < CROWD; i++)
			assert_int_equal(asker_receive(fixture, askers[i]), MORTISE_OK);
		/* As it asks, and once more while it waits. A few are no connections. */
		assert_in_range(*named, CROWD, 2 * CROWD + 20);
	}
	close_all(askers, CROWD);
}

static void nothing_leaves_a_turn_that_was_cut_while_the_log_cannot_be_written(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *askers[20];

	NEEDS_ROOT();
	put_big(fixture, "prod/big");
	for (unsigned i = 0; i < 20; i++) {
		askers[i] = asker_open(fixture);
		assert_int_equal(ask_plain(fixture, askers[i], WIRE_WHOAMI), MORTISE_OK);
	}
	keeper_stop_log(fixture);
	for (unsigned count = 8; count <= 20; count++) {
		ask_at_once(fixture, askers, count);
		for (unsigned i = 0; i < count; i++)
			assert_int_equal(asker_receive(fixture, askers[i]), MORTISE_BUSY);
	}
	keeper_mend_log(fixture);
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(ask_get(fixture, askers[i], "prod/big", NULL), MORTISE_OK);
		asker_close(askers[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_KEEPER(a_frame_that_is_none_ends_its_connection_and_no_other),
		WITH_KEEPER(an_empty_message_ends_its_connection),
		WITH_KEEPER(a_frame_above_the_limit_ends_its_connection),
		WITH_KEEPER(the_largest_frame_is_read),
		WITH_KEEPER(descriptors_sent_along_stay_with_nobody),
		WITH_KEEPER(a_child_has_no_authority_over_its_parents_connection),
		WITH_STORE(a_connector_that_died_is_not_answered),
		WITH_STORE(answers_that_do_not_fit_wait_and_arrive),
		WITH_STORE(a_client_that_never_reads_is_disconnected_and_holds_up_nobody),
		WITH_STORE(answers_that_wait_are_bounded_for_all_clients_together),
		WITH_KEEPER(out_of_descriptors_it_sheds_and_recovers),
		WITH_KEEPER(one_user_may_have_what_others_leave_and_gives_it_back),
		WITH_KEEPER(however_many_uids_crowd_in_root_is_served),
		WITH_KEEPER(operators_crowd_out_no_more_than_half),
		WITH_KEEPER(callers_that_are_refused_cannot_take_all_connections),
		WITH_STORE(three_hundred_clients_are_answered_in_one_go),
		WITH_STORE(who_asks_once_does_not_wait_for_who_asks_by_many_connections),
		WITH_STORE(an_operator_does_not_wait_for_however_many_uids),
		WITH_STORE(nobody_waits_for_an_operator_with_many_connections),
		WITH_STORE(who_waits_in_line_is_not_named_at_each_turn),
		WITH_STORE(nothing_leaves_a_turn_that_was_cut_while_the_log_cannot_be_written),
	};

	void *shared = mmap(
		NULL, sizeof *named, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return EXIT_FAILURE;
	named = shared;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
