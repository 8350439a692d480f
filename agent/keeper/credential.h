/* SPDX-License-Identifier: ISC */
/*
 * credential: hands units their credentials: the far end of systemd's LoadCredential=.
 * systemd connects, sends nothing, and takes whatever comes until the end; a connection that is
 * only closed is an empty credential to it, with which it starts the unit. So
 * - nobody is accepted who cannot be answered at once: who comes while the agent is sealed waits
 *   in the kernel's queue, where neither the end of this keeper nor the next one's start harms;
 * - a refusal is more bytes than systemd takes for a credential (1 MiB): the unit then fails with
 *   243/CREDENTIALS. So it is with an empty value, which systemd could not tell from none.
 * Not one byte of a peer is read. A value leaves in one piece, behind its audit line.
 */
#ifndef MORTISE_CREDENTIAL_H
#define MORTISE_CREDENTIAL_H

#include <event2/event.h>

#include "request.h"

struct credentials;

/* Bytes of secret pool for the values of one turn. */
#define CREDENTIAL_POOL_BYTES (320 * 1024)
/* Refusals that peers have not read yet, and so descriptors. */
#define CREDENTIAL_REFUSALS_MAX 32

/*
 * Takes over a listening SOCK_STREAM socket. wait_ms: how long, while sealed, the first in the
 * queue waits before all in it are refused. Sets the agent's turn_ended. MORTISE_BUSY.
 */
enum mortise_status credential_new(struct event_base *base, struct agent *agent, int listener,
	unsigned wait_ms, struct credentials **out_credentials) MUST_USE;

/* The agent's state changed: who waits may be answered now. NULL is allowed. */
void credential_look_again(struct credentials *credentials);

/* Finishes refusals, for as long as that may take at a stop. NULL is allowed. */
void credential_free(struct credentials *credentials);

#endif
