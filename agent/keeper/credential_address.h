/* SPDX-License-Identifier: ISC */
/*
 * credential_address: for which unit and credential systemd connects: it says so in the address
 * to which it binds its own end before it connects (systemd.exec(5), LoadCredential=):
 *	NUL random-in-hex "/unit/" unit "/" id
 * Pure. Anybody can bind such an address: what it says is a claim.
 */
#ifndef MORTISE_CREDENTIAL_ADDRESS_H
#define MORTISE_CREDENTIAL_ADDRESS_H

#include <sys/socket.h>
#include <sys/un.h>

#include "status.h"

struct credential_address {
	char unit[sizeof(((struct sockaddr_un *)0)->sun_path)]; /* a valid unit's name */
	char id[sizeof(((struct sockaddr_un *)0)->sun_path)];   /* printable ASCII */
};

/* size: as getpeername() gave it. MORTISE_REJECTED for anything that systemd would not bind. */
enum mortise_status credential_address_read(const struct sockaddr_un *address, socklen_t size,
	struct credential_address *out_address) MUST_USE;

#endif
