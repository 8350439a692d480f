/* SPDX-License-Identifier: ISC */
/*
 * server: connections, frames and loop turns of the keeper.
 * Whose frames are there stands in a line (crowd.h); a turn handles one of each connection, until
 * its time is over. Answers are collected in locked memory; at the
 * turn's end the audit lines are written with one write, and only then do the answers leave. A
 * connection whose sender is not its connector, or whose client does not read, is closed.
 * Descriptors sent along are dropped by the kernel: there is no room for them.
 * Knows nothing of what requests mean.
 */
#ifndef MORTISE_SERVER_H
#define MORTISE_SERVER_H

#include <event2/event.h>

#include "request.h"

struct server;

/* Bytes of secret pool that a server needs for itself and its answers. */
#define SERVER_POOL_BYTES (3 * 1024 * 1024)

/* Sets the agent's calls into the server. connections_max is for all callers together. */
enum mortise_status server_new(struct event_base *base, struct agent *agent,
	unsigned connections_max, struct server **out_server) MUST_USE;
void server_free(struct server *server);

/*
 * Takes over a listening SOCK_SEQPACKET socket with SO_PASSCRED set. entrance is copied. Out of
 * room: MORTISE_INVALID.
 */
enum mortise_status server_listen(
	struct server *server, int descriptor, const struct entrance *entrance) MUST_USE;

/*
 * Handles frames that are there, for a millisecond or so and at least one: uids in turn (crowd.h).
 * True: some are left, for the next turn.
 */
bool server_take_turn(struct server *server);

/* Ends a turn: writes the audit lines, sends the answers, wipes them. */
void server_end_turn(struct server *server);

#endif
