/* SPDX-License-Identifier: ISC */
/*
 * connection: the socket of a struct mortise, with a deadline on everything.
 * Knows the server's identity and whole frames; knows nothing of requests. Failures set the
 * message and agent->fault, and close the socket: a late reply must not meet a later request.
 */
#ifndef MORTISE_CONNECTION_H
#define MORTISE_CONNECTION_H

#include "client.h"

/*
 * Makes sure of a connection that this very process made, to a server that is to be trusted.
 * MORTISE_UNREACHABLE.
 */
enum mortise_status connection_ready(struct mortise *agent, int64_t until_ms) MUST_USE;

/* Sends one frame. MORTISE_UNREACHABLE, or MORTISE_IO if the kernel refuses its size. */
enum mortise_status connection_send(
	struct mortise *agent, const uint8_t *frame, size_t size, int64_t until_ms) MUST_USE;

/* Receives one frame into agent->reply. MORTISE_UNREACHABLE; MORTISE_IO if it is too large. */
enum mortise_status connection_receive(struct mortise *agent, int64_t until_ms) MUST_USE;

void connection_close(struct mortise *agent);

#endif
