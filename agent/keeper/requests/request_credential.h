/* SPDX-License-Identifier: ISC */
/*
 * request_credential: one service manager's wish for one credential of one of its units, from
 * evidence to value, and on record. Knows nothing of sockets: credential.c brings wishes.
 */
#ifndef MORTISE_REQUEST_CREDENTIAL_H
#define MORTISE_REQUEST_CREDENTIAL_H

#include <sys/socket.h>
#include <sys/un.h>

#include "request.h"
#include "status.h"

/*
 * For which unit and credential systemd connects: it says so in the address to which it binds its
 * own end before it connects (systemd.exec(5), LoadCredential=):  NUL random-in-hex "/unit/" unit
 * "/" id Pure. Anybody can bind such an address: what it says is a claim.
 */

struct credential_address {
	char unit[sizeof(((struct sockaddr_un *)0)->sun_path)]; /* a valid unit's name */
	char id[sizeof(((struct sockaddr_un *)0)->sun_path)];   /* printable ASCII */
};

/* size: as getpeername() gave it. MORTISE_REJECTED for anything that systemd would not bind. */
enum mortise_status credential_address_read(const struct sockaddr_un *address, socklen_t size,
	struct credential_address *out_address) MUST_USE;

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
