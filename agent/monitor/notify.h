/* SPDX-License-Identifier: ISC */
/*
 * notify: one datagram to the service manager, as sd_notify(3) describes it.
 */
#ifndef MORTISE_NOTIFY_H
#define MORTISE_NOTIFY_H

#include "status.h"

/*
 * socket_path: absolute, or '@' and an abstract name; NULL: there is nobody to tell, and
 * MORTISE_OK. Never waits. text is lines of VARIABLE=value. MORTISE_INVALID, MORTISE_IO.
 */
enum mortise_status notify_send(const char *socket_path, const char *text) MUST_USE;

#endif
