/* SPDX-License-Identifier: ISC */
/*
 * credential_hold: connections of service managers, from accept() until they are answered.
 * To systemd a connection that is only closed is an empty credential, with which it starts the
 * unit. So each is held here beside the keeper, whose end may come at any instant, and is closed
 * only when its value is known to have left whole. Every other one is refused: it gets more zeros
 * than systemd takes for a credential (1 MiB), be it behind a value or a part of one; the unit
 * then fails with 243/CREDENTIALS.
 * Reads no byte of a peer, never blocks, and knows nothing of who may have what.
 */
#ifndef MORTISE_CREDENTIAL_HOLD_H
#define MORTISE_CREDENTIAL_HOLD_H

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "status.h"

/*
 * Connections that are not answered, or whose peers have not read their refusal yet; of one user
 * but root 4 of these. Beyond them the next ones wait in the listener's queue.
 */
#define CREDENTIAL_HELD_MAX 128

struct credential_hold;

/*
 * unread_ms: how long a peer may leave its refusal unread. emptied is called whenever the last
 * connection is closed. MORTISE_BUSY.
 */
enum mortise_status credential_hold_new(struct event_base *base, int unread_ms,
	void (*emptied)(void *context), void *context, struct credential_hold **out_hold) MUST_USE;

/*
 * Accepts one. *out_number names it until it is released and no other one ever after;
 * *out_descriptor stays the hold's. MORTISE_NOT_FOUND: nobody waits. MORTISE_BUSY: it can't be
 * accepted now, and stays in the listener's queue.
 */
enum mortise_status credential_hold_accept(struct credential_hold *hold, int listener,
	uint64_t *out_number, int *out_descriptor) MUST_USE;

/* Closes what was delivered whole, and refuses what was not. MORTISE_NOT_FOUND: no such one. */
enum mortise_status credential_hold_release(
	struct credential_hold *hold, uint64_t number, bool is_delivered) MUST_USE;

/* Refuses all that are not released: whoever was to answer them is gone. How many there were. */
size_t credential_hold_refuse_all(struct credential_hold *hold);

/* The same, and every refusal ends within that time, read or not. */
void credential_hold_hurry(struct credential_hold *hold, int within_ms);

bool credential_hold_is_empty(const struct credential_hold *hold);

/* Closes what is left. NULL is allowed. */
void credential_hold_free(struct credential_hold *hold);

#endif
