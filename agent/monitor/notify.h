/* SPDX-License-Identifier: ISC */
/*
 * notify: one datagram to the service manager, as sd_notify(3) describes it.
 */
#ifndef MORTISE_NOTIFY_H
#define MORTISE_NOTIFY_H

#include <stdbool.h>

#include "status.h"

/*
 * socket_path: absolute, or '@' and an abstract name; NULL: there is nobody to tell, and
 * MORTISE_OK. Never waits. text is lines of VARIABLE=value. MORTISE_INVALID, MORTISE_IO.
 */
enum mortise_status notify_send(const char *socket_path, const char *text) MUST_USE;

/*
 * An empty file that is there for as long as a slot waits for its PIN, so that a unit of systemd
 * (mortise-ask-pin.path) can ask for it with a right that the agent has not. The directory is the
 * service manager's to make and, when the agent has ended, to remove.
 */

#define PIN_FLAG_NAME "waits-for-pin"

/* Makes or removes it; it may be so already. directory NULL: nothing to do. MORTISE_IO, errno. */
enum mortise_status pin_flag_set(const char *directory, bool is_up) MUST_USE;

#endif
