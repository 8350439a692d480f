/* SPDX-License-Identifier: ISC */
#include "server.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <sodium.h>

#include "server_connection.h"

#define ACCEPTS_PER_TURN 128
/* Until the answers leave: whoever waits for somebody else's request waits for no more of them. */
#define TURN_US 1000

/* What every client of a turn is told whose audit lines could not be written. */
static void refuse(const struct answer *answer)
{
	uint8_t frame[256];
	size_t size = request_refuse(answer->request_id, MORTISE_BUSY,
		"the audit log can't be written, so nothing is released; free some space", frame,
		sizeof frame);

	connection_send(answer->connection, frame, size);
}

static void deliver(struct server *server, const struct answer *answer, bool is_on_record)
{
	struct connection *connection = answer->connection;

	if (!connection->is_closing && is_on_record)
		connection_send(connection, server->arena->bytes + answer->offset, answer->size);
	else if (!connection->is_closing)
		refuse(answer);
	connection->answers--;
	if (connection->is_closing || connection->is_refused)
		connection_close(connection);
}

/* The same, and the time that it takes is charged to who asked. */
static uint64_t deliver_at_cost(
	struct server *server, const struct answer *answer, bool is_on_record, uint64_t began_us)
{
	struct connection *connection = answer->connection;

	connection->answers++;
	deliver(server, answer, is_on_record);
	uint64_t ended_us = clock_steady_us();
	crowd_charge_place(server->crowd, &connection->place, ended_us - began_us);
	if (--connection->answers == 0 && connection->is_closing)
		connection_close(connection);
	return ended_us;
}

/* Are the turn's lines on record? What is not is not released. */
static bool end_turn(struct server *server)
{
	size_t count = server->answer_count;
	struct owed *owed = &server->agent->owed;

	owed_append(owed, server->agent->audit);
	bool is_on_record = audit_flush(server->agent->audit) == MORTISE_OK;
	owed_settle(owed, is_on_record);
	server->answer_count = 0;
	uint64_t now_us = clock_steady_us();
	for (size_t i = 0; i < count; i++)
		now_us = deliver_at_cost(server, &server->answers[i], is_on_record, now_us);
	sodium_memzero(server->arena->bytes, server->arena_used);
	server->arena_used = 0;
	if (server->agent->turn_ended)
		server->agent->turn_ended(server->agent->credentials, is_on_record);
	return is_on_record;
}

void server_end_turn(struct server *server)
{
	(void)end_turn(server);
}

bool server_take_turn(struct server *server)
{
	uint64_t began_us = clock_steady_us(), now_us = began_us;
	struct place *place;

	while (now_us - began_us < TURN_US && (place = crowd_next(server->crowd, now_us))) {
		connection_take_frame(connection_at(place));
		uint64_t ended_us = clock_steady_us();
		crowd_charge(server->crowd, ended_us - now_us);
		now_us = ended_us;
	}
	return crowd_is_waiting(server->crowd);
}

/* An answer's line is older than the answer: where the turn is cut, it stands before the cut. */
void server_add_answer(struct server *server, struct connection *connection, uint32_t request_id,
	const uint8_t *frame, size_t size)
{
	bool is_full = server->answer_count == TURN_ANSWERS ||
		       server->arena_used + size > server->arena->size;
	struct answer answer = {connection, request_id, 0, size};

	connection->answers++;
	if (is_full && !end_turn(server)) {
		deliver(server, &answer, false);
		return;
	}
	answer.offset = server->arena_used;
	memcpy(server->arena->bytes + answer.offset, frame, size);
	server->arena_used += size;
	server->answers[server->answer_count++] = answer;
}

/*
 * Answers a request that was pending; frames are read again. It may be called while another
 * connection's answer is in the scratch, so it has room of its own.
 */
static void answer_pending(void *context, struct requester *to,
	size_t (*build)(struct wire_writer *reply, void *context), void *build_context)
{
	struct server *server = context;
	struct connection *connection = (struct connection *)to;
	CLEANUP(secret_drop) struct secret *room = NULL;
	struct wire_message answer;

	if (secret_new(WIRE_FRAME_MAX, &room) != MORTISE_OK) {
		connection_close(connection);
		return;
	}
	struct wire_writer writer = {.bytes = room->bytes, .capacity = room->size};
	size_t size = build(&writer, build_context);
	if (wire_parse(room->bytes, size, &answer) != MORTISE_OK ||
		(!connection->blocked && event_add(&connection->readable, NULL) != 0)) {
		connection_close(connection);
		return;
	}
	connection->place.is_busy = connection->blocked;
	server_add_answer(server, connection, answer.request_id, room->bytes, size);
}

static size_t count_connections(void *context)
{
	const struct server *server = context;

	return server->count;
}

static bool is_waiting(void *context, const struct requester *from)
{
	const struct connection *connection = (const struct connection *)from;
	struct pollfd end = {.fd = connection->descriptor, .events = POLLRDHUP};

	(void)context;
	return poll(&end, 1, 0) == 0;
}

static void forget_unread(void *context)
{
	struct server *server = context;
	struct connection *next;

	server_end_turn(server);
	for (struct connection *at = server->connections; at; at = next) {
		next = at->next;
		if (at->blocked)
			connection_close(at);
	}
}

/* Out of descriptors: takes one connection with the spare and closes it, so that it knows. */
static void shed(struct server *server, int listener)
{
	if (server->spare < 0)
		return;
	close(server->spare);
	int descriptor = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (descriptor >= 0)
		close(descriptor);
	server->spare = dup(listener);
}

static void on_arrival(evutil_socket_t listener, short what, void *context)
{
	const struct doorway *doorway = context;
	struct server *server = doorway->server;

	(void)what;
	for (unsigned i = 0; i < ACCEPTS_PER_TURN; i++) {
		int descriptor = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (descriptor < 0 && (errno == EMFILE || errno == ENFILE))
			shed(server, listener);
		if (descriptor < 0)
			return;
		connection_open(server, descriptor, &doorway->entrance);
	}
}

static const struct entrance *find_entrance(void *context, const char *name)
{
	const struct server *server = context;

	for (size_t i = 0; i < server->listener_count; i++)
		if (strcmp(server->listeners[i].entrance.name, name) == 0)
			return &server->listeners[i].entrance;
	return NULL;
}

enum mortise_status server_new(struct event_base *base, struct agent *agent,
	unsigned connections_max, struct server **out_server)
{
	struct server *server = calloc(1, sizeof *server);

	if (!server)
		return MORTISE_BUSY;
	server->base = base;
	server->agent = agent;
	server->maximum = connections_max;
	server->spare = -1;
	enum mortise_status status = crowd_new(&server->crowd);
	if (status == MORTISE_OK)
		status = secret_new(WIRE_FRAME_MAX, &server->frame);
	if (status == MORTISE_OK)
		status = secret_new(WIRE_FRAME_MAX, &server->scratch);
	if (status == MORTISE_OK)
		status = secret_new(ARENA_BYTES, &server->arena);
	if (status != MORTISE_OK) {
		server_free(server);
		return status;
	}
	agent->server = server;
	agent->answer = answer_pending;
	agent->connections = count_connections;
	agent->is_waiting = is_waiting;
	agent->forget_unread = forget_unread;
	agent->find_entrance = find_entrance;
	*out_server = server;
	return MORTISE_OK;
}

void server_free(struct server *server)
{
	if (!server)
		return;
	while (server->connections)
		connection_close(server->connections);
	for (size_t i = 0; i < server->listener_count; i++) {
		close(event_get_fd(server->listeners[i].event));
		event_free(server->listeners[i].event);
	}
	if (server->spare >= 0)
		close(server->spare);
	secret_drop(&server->frame);
	secret_drop(&server->scratch);
	secret_drop(&server->arena);
	crowd_free(server->crowd);
	free(server);
}

enum mortise_status server_listen(
	struct server *server, int descriptor, const struct entrance *entrance)
{
	if (server->listener_count == PROCESS_LISTENERS_MAX)
		return MORTISE_INVALID;
	struct doorway *doorway = &server->listeners[server->listener_count];
	struct event *event =
		event_new(server->base, descriptor, EV_READ | EV_PERSIST, on_arrival, doorway);
	if (!event || event_add(event, NULL) != 0) {
		if (event)
			event_free(event);
		return MORTISE_BUSY;
	}
	*doorway = (struct doorway){server, event, *entrance};
	server->listener_count++;
	if (server->spare < 0)
		server->spare = dup(descriptor);
	return MORTISE_OK;
}
