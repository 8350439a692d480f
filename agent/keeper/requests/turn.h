/* SPDX-License-Identifier: ISC */
/*
 * turn: the end of a turn, which is a millisecond of requests: what they changed is on the disk,
 * then their lines are in the log, and only then do their answers leave. Whoever brings requests
 * ends it.
 */
#ifndef MORTISE_TURN_H
#define MORTISE_TURN_H

#include "request.h"

/*
 * Sets that come one after another in a turn share a commit, and in their turn is nothing else.
 * Must the turn end before a request of this opcode is handled?
 */
bool turn_must_end(const struct agent *agent, uint16_t opcode);
/* Is there a change in this turn that is not on the disk yet? */
bool turn_has_group(const struct agent *agent);
/*
 * The end of a turn: its changes are on the disk, and then its lines in the log. Anything but
 * MORTISE_OK: none of its answers leaves, and the text says why ("": as refusal_words()).
 */
enum mortise_status turn_end(struct agent *agent, const char **out_text) MUST_USE;

#endif
