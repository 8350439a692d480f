/* SPDX-License-Identifier: ISC */
/*
 * request_credential: one service manager's wish for one credential of one of its units, from
 * evidence to value, and on record. Knows nothing of sockets: credential.c brings wishes.
 */
#ifndef MORTISE_REQUEST_CREDENTIAL_H
#define MORTISE_REQUEST_CREDENTIAL_H

#include "credential_address.h"
#include "request.h"

#define CREDENTIAL_WHY_SIZE 512

/* Has to be found out first which program asks? Then evidence_await_exe() comes before the rest. */
bool request_credential_wants_exe(struct agent *agent, struct caller *caller);

/*
 * address is what the caller claims; NULL: nothing that could be read. The value may leave when
 * the turn's audit lines are written. Else out_why is one line, and never says of the value
 * more than that there is none to be handed over.
 */
enum mortise_status request_credential(struct agent *agent, struct caller *caller,
	const struct credential_address *address, struct secret **out_value,
	char out_why[CREDENTIAL_WHY_SIZE]) MUST_USE;

#endif
