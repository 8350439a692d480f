/* SPDX-License-Identifier: ISC */
#include "server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <sodium.h>

#include "server_connection.h"

#define ACCEPTS_PER_TURN 128
/* One uid, unless it is root, may have so many parts of all connections. */
#define SHARE_OF_ONE_UID 2

void server_add_answer(struct server *server, struct connection *connection, uint32_t request_id,
	const uint8_t *frame, size_t size)
{
	if (server->answer_count == TURN_ANSWERS || server->arena_used + size > server->arena->size)
		server_end_turn(server);
	if (connection->is_closing)
		return;
	memcpy(server->arena->bytes + server->arena_used, frame, size);
	server->answers[server->answer_count++] =
		(struct answer){connection, request_id, server->arena_used, size};
	server->arena_used += size;
	connection->answers++;
}

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

	connection->answers--;
	if (connection->is_closing)
		connection_close(connection);
	else if (is_on_record)
		connection_send(connection, server->arena->bytes + answer->offset, answer->size);
	else
		refuse(answer);
}

void server_end_turn(struct server *server)
{
	size_t count = server->answer_count;
	bool is_on_record = audit_flush(server->agent->audit) == MORTISE_OK;

	server->answer_count = 0;
	for (size_t i = 0; i < count; i++)
		deliver(server, &server->answers[i], is_on_record);
	sodium_memzero(server->arena->bytes, server->arena_used);
	server->arena_used = 0;
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
		event_add(connection->readable, NULL) != 0) {
		connection_close(connection);
		return;
	}
	server_add_answer(server, connection, answer.request_id, room->bytes, size);
}

static size_t count_connections(void *context)
{
	const struct server *server = context;

	return server->count;
}

/* Has this uid its share already? Counting is cheap beside an accept, and rare beside reads. */
static bool is_greedy(const struct server *server, uint32_t uid)
{
	size_t count = 0;

	if (uid == 0 || server->count < server->maximum / SHARE_OF_ONE_UID)
		return false;
	for (const struct connection *at = server->connections; at; at = at->next)
		count += at->requester.caller.subject.uid == uid;
	return count >= server->maximum / SHARE_OF_ONE_UID;
}

static uint32_t uid_of(int descriptor)
{
	struct ucred peer = {.uid = UINT32_MAX};
	socklen_t size = sizeof peer;

	if (getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
		return UINT32_MAX;
	return peer.uid;
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
		if (server->count >= server->maximum || is_greedy(server, uid_of(descriptor)))
			close(descriptor);
		else
			connection_open(server, descriptor, &doorway->entrance);
	}
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
	enum mortise_status status = secret_new(WIRE_FRAME_MAX, &server->frame);
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
	free(server);
}

enum mortise_status server_listen(
	struct server *server, int descriptor, const struct entrance *entrance)
{
	if (server->listener_count == PROCESS_LISTENERS_MAX)
		return MORTISE_INVALID;
	struct doorway *doorway = &server->listeners[server->listener_count];
	struct event *event = event_new(
		server->base, descriptor, EV_READ | EV_PERSIST, on_arrival, doorway);
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
