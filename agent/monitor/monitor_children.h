/* SPDX-License-Identifier: ISC */
/* monitor_children: the monitor's other children, and the credentials that it holds open. */
#ifndef MORTISE_MONITOR_CHILDREN_H
#define MORTISE_MONITOR_CHILDREN_H

#include "monitor_state.h"

/* ---- credentials that the keeper is owed an answer for ---- */

void monitor_credential_accept(struct monitor *monitor, const struct wire_message *message);
void monitor_credential_release(struct monitor *monitor, const struct wire_message *message);
/* Before its socket is closed. */
void monitor_credential_keeper_ended(struct monitor *monitor);

/* ---- witnesses ---- */

void monitor_witness_start(struct monitor *monitor, const struct wire_message *message);
void monitor_witness_kill(struct monitor *monitor);
/* Nothing happens if pid was none. */
void monitor_witness_ended(struct monitor *monitor, pid_t pid, int wait_status);

/* ---- sealers: one at a time, each with a deadline ---- */

void monitor_sealer_start(struct monitor *monitor, uint32_t request_id);
void monitor_sealer_kill(struct monitor *monitor);
void monitor_sealer_overdue(evutil_socket_t fd, short what, void *context);
void monitor_sealer_ended(struct monitor *monitor, int wait_status);

#endif
