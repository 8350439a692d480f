/* SPDX-License-Identifier: ISC */
/* monitor_keeper: the keeper's life: its start, its configuration, its end, and the next one. */
#ifndef MORTISE_MONITOR_KEEPER_H
#define MORTISE_MONITOR_KEEPER_H

#include "monitor_state.h"

void monitor_keeper_start(struct monitor *monitor);
/* Tells a keeper that runs what has changed. */
void monitor_keeper_configure(struct monitor *monitor);
void monitor_keeper_ended(struct monitor *monitor, int wait_status);

#endif
