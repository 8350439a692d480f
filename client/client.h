/* SPDX-License-Identifier: ISC */
/*
 * client: one request at a time to the agent, for libmortise and for the command.
 * Connects, knows its server, greets, waits and repeats; knows nothing of what requests mean,
 * but which of them must not be repeated. The frames' memory belongs to struct mortise, and a
 * reply's fields point into it until the next client_begin() or client_wipe().
 * Not exported from the shared library.
 */
#ifndef MORTISE_CLIENT_H
#define MORTISE_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "status.h"
#include "wire.h"

#define CLIENT_SOCKET_DEFAULT "/run/mortise/mortise.sock"
#define CLIENT_SOCKET_MAX     107 /* bytes in sun_path, without its NUL */
#define CLIENT_DEADLINE_MS    10000

/* What lies behind a MORTISE_UNREACHABLE: whether waiting or repeating can help. */
enum client_fault {
	CLIENT_FAULT_NONE,
	CLIENT_FAULT_ABSENT, /* nobody listens: nothing was sent */
	CLIENT_FAULT_UNDONE, /* the connection broke before the request was taken */
	CLIENT_FAULT_LOST,   /* the connection broke: the request may have been done */
};

struct mortise {
	char socket_path[CLIENT_SOCKET_MAX + 1];
	int fd;          /* -1: not connected */
	pid_t connector; /* the process that connected fd */
	bool is_pinned;
	enum client_fault fault;
	int deadline_ms, wait_ms;
	int64_t put_off_ms;  /* so long the agent says to wait; 0: it does not say */
	uint32_t request_id; /* of the frame in request, however often it is sent */
	uint32_t last_id;
	enum wire_opcode opcode;
	struct wire_writer writer;
	uint8_t *request, *reply; /* WIRE_FRAME_MAX bytes each */
	size_t reply_size;
	char message[WIRE_TEXT_MAX];
};

/*
 * Like mortise_open(), but does not connect yet: the first call will, and wait if it may.
 * MORTISE_INVALID, or MORTISE_IO without memory.
 */
enum mortise_status client_new(const char *socket_path, struct mortise **out_agent) MUST_USE;

/*
 * Connects now if that is not done, and keeps this connection: until client_unpin() a call
 * that would need another one fails. For what the agent remembers by connection.
 */
enum mortise_status client_pin(struct mortise *agent) MUST_USE;
void client_unpin(struct mortise *agent);

/* Wipes the last exchange and begins a request; the caller puts its fields, then calls. */
struct wire_writer *client_begin(struct mortise *agent, enum wire_opcode opcode);

/* Puts TOKEN: random bytes that make a write happen once. MORTISE_IO. */
enum mortise_status client_put_token(struct mortise *agent) MUST_USE;

/*
 * Sends what was begun and wipes it. The reply's code if it is not MORTISE_OK, and then
 * mortise_message() says why; *out_reply only with MORTISE_OK.
 */
enum mortise_status client_call(struct mortise *agent, struct wire_message *out_reply) MUST_USE;

/* Wipes both frames. */
void client_wipe(struct mortise *agent);

/* Sets the message, without control characters, and returns status. */
enum mortise_status client_fail(struct mortise *agent, enum mortise_status status,
	const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The same, with the TEXT of a reply or of one of its items, or else what the status means. */
enum mortise_status client_fail_as(
	struct mortise *agent, enum mortise_status status, const struct wire_message *said);

/* Milliseconds of the monotonic clock; it starts anywhere. */
int64_t client_now_ms(void);

/*
 * The socket of a struct mortise, with a deadline on everything. Knows the server's identity and
 * whole frames; knows nothing of requests. Failures set the message and agent->fault, and close the
 * socket: a late reply must not meet a later request.
 */

/*
 * Makes sure of a connection that this very process made, to a server that is to be trusted.
 * MORTISE_UNREACHABLE.
 */
enum mortise_status connection_ready(struct mortise *agent, int64_t until_ms) MUST_USE;

#endif
