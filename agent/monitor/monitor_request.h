/* SPDX-License-Identifier: ISC */
/*
 * monitor_request: what the keeper asks for. The keeper may have been taken over by a client: its
 * authority is a table, and everything else ends it.
 */
#ifndef MORTISE_MONITOR_REQUEST_H
#define MORTISE_MONITOR_REQUEST_H

#include "monitor_state.h"

/* The keeper's state for the service manager, behind lines that say more: "READY=1\n", "". */
void monitor_tell_manager(struct monitor *monitor, const char *before);
void monitor_request(struct monitor *monitor, const struct wire_message *message);
void monitor_resolver_ended(
	struct monitor *monitor, struct monitor_resolver *resolver, int wait_status);

#endif
