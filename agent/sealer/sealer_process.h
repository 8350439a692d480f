/* SPDX-License-Identifier: ISC */
/*
 * sealer_process: what the sealer's process can't do, and when it ends if all else fails.
 * Knows nothing of tokens.
 */
#ifndef MORTISE_SEALER_PROCESS_H
#define MORTISE_SEALER_PROCESS_H

#include <stdbool.h>

/* Is there a socket of the keeper's on descriptor 3? */
bool sealer_process_has_keeper(void);

/*
 * Dies with the monitor and soon after the deadline; leaves no core; is nobody's to trace and
 * traces nobody; gains nothing by exec; finds nothing in its environment; has no capability but
 * what root needs to open a device or a token's files. False with errno.
 */
bool sealer_process_confine(int deadline_ms);

/*
 * And starts no program and no process; threads it may. For kinds of slots whose libraries are
 * known: a vendor's module is not asked to do without. May be called again.
 */
bool sealer_process_narrow(void);

#endif
