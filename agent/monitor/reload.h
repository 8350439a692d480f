/* SPDX-License-Identifier: ISC */
/*
 * reload: a configuration that was read again, under an agent that runs.
 * What monitor and keeper can take over as they are is taken over: operators, environment,
 * require-pidfd, [tpm2] and [pkcs11]. Sockets, directories, the user, audit-sync and the witness
 * belong to a process from its start on and wait for a restart.
 * Reads no file and logs nothing.
 */
#ifndef MORTISE_RELOAD_H
#define MORTISE_RELOAD_H

#include "config.h"

#define RELOAD_LATER_SIZE 256

/*
 * Moves what can change from fresh to running; fresh gets what was there before and is still to
 * be freed. *out_later: keys that differ and wait for a restart, ", " between them; "" if none do.
 */
void reload_take_over(
	struct config *running, struct config *fresh, char out_later[RELOAD_LATER_SIZE]);

#endif
