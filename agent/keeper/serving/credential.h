/* SPDX-License-Identifier: ISC */
/*
 * credential: hands units their credentials: the far end of systemd's LoadCredential=.
 * systemd connects, sends nothing, and takes whatever comes until the end; a connection that is
 * only closed is an empty credential to it, with which it starts the unit. So
 * - nobody is accepted who cannot be answered at once: who comes while the agent is sealed waits
 *   in the kernel's queue, where neither the end of this keeper nor the next one's start harms;
 * - the monitor accepts, and holds each connection until this keeper has released it. What is not
 *   released as delivered the monitor refuses, whatever became of this keeper. So it is with an
 *   empty value, which systemd could not tell from none.
 * Not one byte of a peer is read. A value leaves in one piece, behind its audit line.
 */
#ifndef MORTISE_CREDENTIAL_H
#define MORTISE_CREDENTIAL_H

#include <event2/event.h>

#include "request.h"

struct credentials;

/* Bytes of secret pool for the values of one turn. */
#define CREDENTIAL_POOL_BYTES (320 * 1024)

/*
 * Takes over a listening SOCK_STREAM socket. wait_ms: how long, while sealed, the first in the
 * queue waits before all in it are refused. Sets the agent's turn_ended. MORTISE_BUSY.
 */
enum mortise_status credential_new(struct event_base *base, struct agent *agent, int listener,
	unsigned wait_ms, struct credentials **out_credentials) MUST_USE;

/* The agent's state changed: who waits may be answered now. NULL is allowed. */
void credential_look_again(struct credentials *credentials);

/* Asks for no more. Who was asked for is still answered: then it is idle. NULL is allowed. */
void credential_stop(struct credentials *credentials);
bool credential_is_idle(const struct credentials *credentials);

/* What is not released by now the monitor refuses. NULL is allowed. */
void credential_free(struct credentials *credentials);

#endif
