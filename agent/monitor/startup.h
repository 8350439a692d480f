/* SPDX-License-Identifier: ISC */
/*
 * startup: what the monitor does to itself before it trusts anything: it forgets what whoever
 * started it left behind, raises its limits, and finds out as whom its children run.
 */
#ifndef MORTISE_STARTUP_H
#define MORTISE_STARTUP_H

#include <stdbool.h>

#include "directory.h"
#include "spawn.h"
#include "status.h"

/*
 * umask 0077, default handlers for all signals but PIPE and XFSZ (ignored), nothing blocked,
 * standard input /dev/null, no descriptor above 2 but the passed_count ones that the service
 * manager passed (from 3 on) and kept_fd (-1: none; none of those), an environment of PATH,
 * LANG=C and what of JOURNAL_STREAM, LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES there was.
 * MORTISE_IO with errno.
 */
enum mortise_status startup_clean(size_t passed_count, int kept_fd) MUST_USE;

/* No core; 16 MiB of locked memory where that can be had. MORTISE_IO with errno. */
enum mortise_status startup_set_limits(void) MUST_USE;

/*
 * user: a name or a number; NULL: whoever runs this. may_differ: accept a user that we could not
 * become, since nothing will be run. MORTISE_REJECTED, or MORTISE_IO where the name service
 * fails, with out_refusal.
 */
enum mortise_status startup_find_identity(const char *user, bool may_differ,
	struct identity *out_identity, struct refusal *out_refusal) MUST_USE;

#endif
