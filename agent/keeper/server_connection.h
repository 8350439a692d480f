/* SPDX-License-Identifier: ISC */
/*
 * server_connection: what server.c (listening, turns) and server_connection.c (one
 * connection's frames) share. Nobody else includes it.
 */
#ifndef MORTISE_SERVER_CONNECTION_H
#define MORTISE_SERVER_CONNECTION_H

#include <event2/event_struct.h>

#include "crowd.h"
#include "server.h"

#define TURN_ANSWERS   256
#define ARENA_BYTES    (5 * WIRE_FRAME_MAX)
#define BLOCKED_BYTES  (8 * WIRE_FRAME_MAX) /* answers that wait for clients to read */
#define UNREAD_SECONDS 10                   /* until a client that does not read is dropped */

struct connection {
	struct requester requester; /* first: a requester is its connection */
	struct place place;
	struct server *server;
	int descriptor;
	struct event readable, writable;
	struct secret *blocked; /* the answer that the client has no room for */
	struct connection *previous, *next;
	bool is_refused; /* the kernel does not say who it is: told so once, and closed */
	bool has_waited_for_look, has_waited_for_exe; /* before its next frame: once each */
	bool is_closing;  /* freed when no answer of this turn holds it any more */
	unsigned answers; /* in this turn, and 1 while a frame is handled */
};

struct answer {
	struct connection *connection;
	uint32_t request_id;
	size_t offset, size; /* in the arena */
};

struct doorway {
	struct server *server;
	struct event *event;
	struct entrance entrance;
};

struct server {
	struct event_base *base;
	struct agent *agent;
	struct doorway listeners[PROCESS_LISTENERS_MAX];
	size_t listener_count;
	int spare; /* a descriptor to give up when there are no more */
	struct connection *connections;
	size_t count, maximum;
	struct crowd *crowd;
	size_t blocked_bytes;
	struct secret *frame;   /* the frame being read */
	struct secret *scratch; /* the answer being written */
	struct secret *arena;   /* the turn's answers */
	size_t arena_used;
	struct answer answers[TURN_ANSWERS];
	size_t answer_count;
};

/* Makes a connection of an accepted descriptor. */
void connection_open(struct server *server, int descriptor, const struct entrance *entrance);
/* Reads and handles the frame that was heard of. */
void connection_take_frame(struct connection *connection);
/* Whose place it is. */
struct connection *connection_at(struct place *place);
/* Closes now, or at the turn's end if an answer of this turn is for it. */
void connection_close(struct connection *connection);
/* Sends a frame, or keeps it until the client reads; closes the connection if it can't. */
void connection_send(struct connection *connection, const uint8_t *frame, size_t size);

/* Keeps a copy of an answer for the turn's end, ending the turn first if there is no room. */
void server_add_answer(struct server *server, struct connection *connection, uint32_t request_id,
	const uint8_t *frame, size_t size);

#endif
