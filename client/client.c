/* SPDX-License-Identifier: ISC */
#include "client.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "peer.h"
#include "shown.h"

#define FULL_QUEUE_PAUSE_MS 10

static_assert(CLIENT_SOCKET_MAX + 1 == sizeof((struct sockaddr_un *)NULL)->sun_path,
	"a socket's path must fit its address");

static void connection_close(struct mortise *agent)
{
	if (agent->fd >= 0)
		(void)close(agent->fd);
	agent->fd = -1;
}

static enum mortise_status lose(struct mortise *agent)
{
	connection_close(agent);
	agent->fault = CLIENT_FAULT_LOST;
	return client_fail(agent, MORTISE_UNREACHABLE,
		"the agent at %s closed the connection; it may be restarting, or have no place for "
		"more",
		agent->socket_path);
}

static enum mortise_status run_out(struct mortise *agent)
{
	connection_close(agent);
	return client_fail(agent, MORTISE_UNREACHABLE,
		"the agent at %s did not answer in time; its log says why (journalctl -u mortised)",
		agent->socket_path);
}

/* Waits for events, or for nothing but the time if fd is -1. False when the time is over. */
static bool await(int fd, short events, int64_t until_ms)
{
	for (;;) {
		struct pollfd entry = {.fd = fd, .events = events};
		int64_t left_ms = until_ms - client_now_ms();
		int ready;

		if (left_ms <= 0)
			return false;
		ready = poll(&entry, 1, left_ms > 60000 ? 60000 : (int)left_ms);
		if (ready > 0 || (ready < 0 && errno != EINTR))
			return true;
	}
}

static enum mortise_status know_server(struct mortise *agent)
{
	struct ucred server = {0};
	socklen_t size = sizeof server;

	if (getsockopt(agent->fd, SOL_SOCKET, SO_PEERCRED, &server, &size) != 0 ||
		size != sizeof server)
		return client_fail(agent, MORTISE_UNREACHABLE,
			"the kernel does not say who serves %s", agent->socket_path);
	if (peer_is_trusted(agent->socket_path, server.uid, geteuid()))
		return MORTISE_OK;
	return client_fail(agent, MORTISE_UNREACHABLE,
		"%s is served by uid %u, which is neither root, nor you, nor the owner of a "
		"directory that only it can write to; it was not asked",
		agent->socket_path, (unsigned)server.uid);
}

/* A Unix socket whose queue is full says EAGAIN, and poll() does not tell when that ends. */
static enum mortise_status reach(struct mortise *agent, int64_t until_ms)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	memcpy(address.sun_path, agent->socket_path, sizeof address.sun_path);
	while (connect(agent->fd, (const struct sockaddr *)&address, sizeof address) != 0) {
		int64_t pause_end_ms = client_now_ms() + FULL_QUEUE_PAUSE_MS;

		if (errno == EINTR)
			continue;
		if (errno == EAGAIN && pause_end_ms < until_ms) {
			(void)await(-1, 0, pause_end_ms);
			continue;
		}
		if (errno == ENOENT || errno == ECONNREFUSED || errno == EAGAIN)
			agent->fault = CLIENT_FAULT_ABSENT;
		return client_fail(agent, MORTISE_UNREACHABLE, "no agent answers at %s: %m",
			agent->socket_path);
	}
	return know_server(agent);
}

enum mortise_status connection_ready(struct mortise *agent, int64_t until_ms)
{
	enum mortise_status status;

	agent->fault = CLIENT_FAULT_NONE;
	if (agent->fd >= 0 && agent->connector == getpid())
		return MORTISE_OK;
	connection_close(agent);
	if (agent->is_pinned)
		return client_fail(agent, MORTISE_UNREACHABLE,
			"the connection to the agent was lost in the middle; begin again");
	agent->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (agent->fd < 0)
		return client_fail(agent, MORTISE_UNREACHABLE, "cannot make a socket: %m");
	agent->connector = getpid();
	status = reach(agent, until_ms);
	if (status != MORTISE_OK)
		connection_close(agent);
	return status;
}

/* Sends one frame. MORTISE_UNREACHABLE, or MORTISE_IO if the kernel refuses its size. */
static enum mortise_status connection_send(
	struct mortise *agent, const uint8_t *frame, size_t size, int64_t until_ms)
{
	while (send(agent->fd, frame, size, MSG_NOSIGNAL) < 0) {
		if (errno == EINTR)
			continue;
		if (errno == EPIPE || errno == ECONNRESET)
			return lose(agent);
		if (errno != EAGAIN)
			return client_fail(agent, MORTISE_IO, "cannot send to the agent: %m");
		if (!await(agent->fd, POLLOUT, until_ms))
			return run_out(agent);
	}
	return MORTISE_OK;
}

/* No room for control messages: the kernel drops whatever descriptors came along. */
/* Receives one frame into agent->reply. MORTISE_UNREACHABLE; MORTISE_IO if it is too large. */
static enum mortise_status connection_receive(struct mortise *agent, int64_t until_ms)
{
	for (;;) {
		ssize_t got = recv(agent->fd, agent->reply, WIRE_FRAME_MAX, MSG_TRUNC);

		if (got > 0) {
			agent->reply_size = got > WIRE_FRAME_MAX ? WIRE_FRAME_MAX : (size_t)got;
			if (got <= WIRE_FRAME_MAX)
				return MORTISE_OK;
			connection_close(agent);
			return client_fail(agent, MORTISE_IO, "the agent's reply is too large");
		}
		if (got == 0 || errno == ECONNRESET)
			return lose(agent);
		if (errno == EAGAIN) {
			if (!await(agent->fd, POLLIN, until_ms))
				return run_out(agent);
		} else if (errno != EINTR) {
			connection_close(agent);
			return client_fail(agent, MORTISE_IO, "cannot hear from the agent: %m");
		}
	}
}

#define CHALLENGE_SIZE 16
#define HELLO_SIZE     64
#define FIRST_PAUSE_MS 50
#define LAST_PAUSE_MS  1000
#define LAST_TRY_MS    50 /* at least, for the last attempt: a host may be busy */

int64_t client_now_ms(void)
{
	struct timespec now = {0};

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

enum mortise_status client_fail(
	struct mortise *agent, enum mortise_status status, const char *format, ...)
{
	char text[sizeof agent->message];
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	(void)shown_text(text, strlen(text), agent->message, sizeof agent->message);
	return status;
}

/* Pages of their own, so that locking them locks nothing else; both attempts may fail. */
static uint8_t *map_frame(void)
{
	void *frame = mmap(
		NULL, WIRE_FRAME_MAX, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (frame == MAP_FAILED)
		return NULL;
	(void)mlock2(frame, WIRE_FRAME_MAX, MLOCK_ONFAULT);
	(void)madvise(frame, WIRE_FRAME_MAX, MADV_DONTDUMP);
	return frame;
}

static enum mortise_status choose_socket(struct mortise *agent, const char *socket_path)
{
	if (!socket_path)
		socket_path = secure_getenv("MORTISE_SOCKET");
	if (!socket_path || socket_path[0] == '\0')
		socket_path = CLIENT_SOCKET_DEFAULT;
	if (strlen(socket_path) > CLIENT_SOCKET_MAX)
		return client_fail(agent, MORTISE_INVALID, "a socket's path has at most %d bytes",
			CLIENT_SOCKET_MAX);
	memcpy(agent->socket_path, socket_path, strlen(socket_path) + 1);
	return MORTISE_OK;
}

enum mortise_status client_new(const char *socket_path, struct mortise **out_agent)
{
	struct mortise *agent = calloc(1, sizeof *agent);

	*out_agent = NULL;
	if (!agent)
		return MORTISE_IO;
	agent->fd = -1;
	agent->deadline_ms = CLIENT_DEADLINE_MS;
	agent->request = map_frame();
	agent->reply = map_frame();
	if (!agent->request || !agent->reply) {
		mortise_close(agent);
		return MORTISE_IO;
	}
	*out_agent = agent;
	return choose_socket(agent, socket_path);
}

void mortise_close(struct mortise *agent)
{
	if (!agent)
		return;
	connection_close(agent);
	if (agent->request && agent->reply)
		client_wipe(agent);
	if (agent->request)
		(void)munmap(agent->request, WIRE_FRAME_MAX);
	if (agent->reply)
		(void)munmap(agent->reply, WIRE_FRAME_MAX);
	free(agent);
}

void client_wipe(struct mortise *agent)
{
	explicit_bzero(agent->request, agent->writer.size);
	explicit_bzero(agent->reply, agent->reply_size);
	agent->reply_size = 0;
	agent->writer = (struct wire_writer){.failed = true};
}

struct wire_writer *client_begin(struct mortise *agent, enum wire_opcode opcode)
{
	client_wipe(agent);
	agent->opcode = opcode;
	agent->request_id = ++agent->last_id;
	wire_begin(&agent->writer, agent->request, WIRE_FRAME_MAX, (uint16_t)opcode,
		agent->request_id);
	return &agent->writer;
}

enum mortise_status client_put_token(struct mortise *agent)
{
	uint8_t token[WIRE_TOKEN_SIZE];
	ssize_t got;

	do
		got = getrandom(token, sizeof token, 0);
	while (got < 0 && errno == EINTR);
	if (got != sizeof token)
		return client_fail(agent, MORTISE_IO, "the kernel gives no random bytes");
	wire_put(&agent->writer, WIRE_TAG_TOKEN, token, sizeof token);
	return MORTISE_OK;
}

static enum mortise_status misunderstand(struct mortise *agent)
{
	connection_close(agent);
	return client_fail(agent, MORTISE_IO,
		"the agent's reply is malformed; is it of another version of mortise?");
}

static enum mortise_status transfer(struct mortise *agent, const uint8_t *frame, size_t size,
	uint32_t request_id, int64_t until_ms, struct wire_message *out_reply)
{
	struct wire_message reply;

	TRY(connection_send(agent, frame, size, until_ms));
	TRY(connection_receive(agent, until_ms));
	if (wire_parse(agent->reply, agent->reply_size, &reply) != MORTISE_OK ||
		reply.request_id != request_id)
		return misunderstand(agent);
	*out_reply = reply;
	return MORTISE_OK;
}

enum mortise_status client_fail_as(
	struct mortise *agent, enum mortise_status status, const struct wire_message *said)
{
	char text[WIRE_TEXT_MAX];

	if (wire_text(said, WIRE_TAG_TEXT, text, sizeof text) == MORTISE_OK && text[0] != '\0')
		return client_fail(agent, status, "%s", text);
	return client_fail(agent, status, "%s", mortise_status_text(status));
}

/* How long a BUSY one says to wait. */
static int64_t put_off_of(const struct wire_message *said)
{
	uint64_t ms;

	return wire_number(said, WIRE_TAG_NUMBER, &ms) == MORTISE_OK && ms <= INT32_MAX
		       ? (int64_t)ms
		       : 0;
}

/* Of a GET each value has a status of its own: the longest that one of them says to wait. */
static int64_t put_off_of_items(const struct wire_message *reply)
{
	struct wire_list items = wire_list_of(reply, WIRE_TAG_ITEMS);
	struct wire_message item;
	struct wire_field field;
	int64_t longest = 0;
	uint64_t status;

	while (wire_list_next(&items, &field))
		if (wire_parse_fields(field.bytes, field.size, &item) == MORTISE_OK &&
			wire_number(&item, WIRE_TAG_STATUS, &status) == MORTISE_OK &&
			status == MORTISE_BUSY && put_off_of(&item) > longest)
			longest = put_off_of(&item);
	return longest;
}

/* The reply's code as a status; its text, if any, becomes the message. */
static enum mortise_status settle(
	struct mortise *agent, const struct wire_message *reply, struct wire_message *out_reply)
{
	enum mortise_status status = (enum mortise_status)reply->code;

	if (reply->code > MORTISE_REJECTED)
		return misunderstand(agent);
	agent->put_off_ms = 0;
	if (status == MORTISE_BUSY)
		agent->put_off_ms = put_off_of(reply);
	if (status == MORTISE_OK && agent->opcode == WIRE_GET)
		agent->put_off_ms = put_off_of_items(reply);
	if (status == MORTISE_OK) {
		*out_reply = *reply;
		return MORTISE_OK;
	}
	return client_fail_as(agent, status, reply);
}

/* Sends the challenge back: the kernel then names the sender of a second frame. */
static enum mortise_status say_hello(struct mortise *agent, const struct wire_field *challenge,
	int64_t until_ms, struct wire_message *out_answer)
{
	struct wire_writer writer;
	uint8_t frame[HELLO_SIZE];
	uint32_t hello_id = ++agent->last_id;
	size_t size;

	wire_begin(&writer, frame, sizeof frame, WIRE_HELLO, hello_id);
	wire_put(&writer, WIRE_TAG_CHALLENGE, challenge->bytes, challenge->size);
	size = wire_finish(&writer);
	return transfer(agent, frame, size, hello_id, until_ms, out_answer);
}

/* Until this is over, the agent has done nothing of the request. */
static enum mortise_status greet(
	struct mortise *agent, const struct wire_message *reply, int64_t until_ms)
{
	const struct wire_field *challenge = wire_field_of(reply, WIRE_TAG_CHALLENGE);
	struct wire_message answer;
	enum mortise_status status;

	if (!wire_has(reply, WIRE_TAG_CHALLENGE) || challenge->size != CHALLENGE_SIZE)
		return misunderstand(agent);
	status = say_hello(agent, challenge, until_ms, &answer);
	if (status == MORTISE_UNREACHABLE && agent->fault == CLIENT_FAULT_LOST)
		agent->fault = CLIENT_FAULT_UNDONE;
	TRY(status);
	if (answer.code == MORTISE_OK)
		return MORTISE_OK;
	connection_close(agent);
	if (answer.code == MORTISE_DENIED)
		return client_fail(agent, MORTISE_DENIED, "the agent cannot tell who is asking");
	return settle(agent, &answer, &answer);
}

static enum mortise_status exchange(
	struct mortise *agent, size_t size, int64_t until_ms, struct wire_message *out_reply)
{
	struct wire_message reply;

	agent->put_off_ms = 0;
	TRY(connection_ready(agent, until_ms));
	TRY(transfer(agent, agent->request, size, agent->request_id, until_ms, &reply));
	if (reply.code == WIRE_GREET) {
		TRY(greet(agent, &reply, until_ms));
		TRY(transfer(agent, agent->request, size, agent->request_id, until_ms, &reply));
	}
	return settle(agent, &reply, out_reply);
}

/*
 * Everything but these may be done twice, or carries a token. A second init would only say
 * that the store exists, and what was staged went with the connection.
 */
static bool may_repeat(const struct mortise *agent)
{
	if (agent->fault == CLIENT_FAULT_UNDONE)
		return true;
	return agent->fault == CLIENT_FAULT_LOST && agent->opcode != WIRE_INIT &&
	       agent->opcode != WIRE_POLICY_STAGE && agent->opcode != WIRE_POLICY_APPLY;
}

static bool may_wait(const struct mortise *agent, enum mortise_status status)
{
	if (status == MORTISE_SEALED || status == MORTISE_BUSY ||
		(status == MORTISE_OK && agent->put_off_ms > 0))
		return true;
	return status == MORTISE_UNREACHABLE &&
	       (agent->fault == CLIENT_FAULT_ABSENT || may_repeat(agent));
}

/*
 * Sleeps for a while, doubling it, or for as long as the agent says; false if no time is left for
 * another attempt.
 */
static bool back_off(const struct mortise *agent, int *pause_ms, int64_t until_ms)
{
	int64_t left_ms = until_ms - client_now_ms();
	int now_ms = *pause_ms < left_ms / 2 ? *pause_ms : (int)(left_ms / 2);

	if (agent->put_off_ms > 0) {
		if (agent->put_off_ms >= left_ms)
			return false;
		(void)poll(NULL, 0, (int)agent->put_off_ms);
		return true;
	}
	if (left_ms < 2 * LAST_TRY_MS)
		return false;
	(void)poll(NULL, 0, now_ms);
	*pause_ms = *pause_ms * 2 < LAST_PAUSE_MS ? *pause_ms * 2 : LAST_PAUSE_MS;
	return true;
}

static int64_t budget_end_ms(const struct mortise *agent)
{
	return client_now_ms() + (agent->wait_ms > 0 ? agent->wait_ms : agent->deadline_ms);
}

static enum mortise_status call_patiently(
	struct mortise *agent, size_t size, int64_t until_ms, struct wire_message *out_reply)
{
	int pause_ms = FIRST_PAUSE_MS;

	for (;;) {
		enum mortise_status status = exchange(agent, size, until_ms, out_reply);

		if (status == MORTISE_UNREACHABLE && may_repeat(agent))
			status = exchange(agent, size, until_ms, out_reply);
		if (agent->wait_ms <= 0 || !may_wait(agent, status) ||
			!back_off(agent, &pause_ms, until_ms))
			return status;
	}
}

enum mortise_status client_call(struct mortise *agent, struct wire_message *out_reply)
{
	size_t size = wire_finish(&agent->writer);
	enum mortise_status status = MORTISE_INVALID;

	out_reply->count = 0;
	if (size == 0)
		(void)client_fail(agent, status, "the request does not fit one frame");
	else
		status = call_patiently(agent, size, budget_end_ms(agent), out_reply);
	explicit_bzero(agent->request, agent->writer.size);
	agent->writer.failed = true;
	return status;
}

enum mortise_status client_pin(struct mortise *agent)
{
	int64_t until_ms = budget_end_ms(agent);
	int pause_ms = FIRST_PAUSE_MS;
	enum mortise_status status;

	agent->put_off_ms = 0;
	for (;;) {
		status = connection_ready(agent, until_ms);
		if (agent->wait_ms <= 0 || !may_wait(agent, status) ||
			!back_off(agent, &pause_ms, until_ms))
			break;
	}
	agent->is_pinned = status == MORTISE_OK;
	return status;
}

void client_unpin(struct mortise *agent)
{
	agent->is_pinned = false;
}
