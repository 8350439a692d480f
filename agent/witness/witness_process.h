/* SPDX-License-Identifier: ISC */
/*
 * witness_process: what the witness's process can't do. It has CAP_SYS_PTRACE, which would be any
 * process's memory: so it can open nothing that could be read or written, read one descriptor,
 * write to one, and start nothing. Knows nothing of programs or questions.
 */
#ifndef MORTISE_WITNESS_PROCESS_H
#define MORTISE_WITNESS_PROCESS_H

#include "status.h"

#define WITNESS_MOUNTS_FD 4 /* the mounts of its own namespace, opened before the filter */

/*
 * Descriptors: PROCESS_FD and WITNESS_MOUNTS_FD, and no others. No capability but CAP_SYS_PTRACE,
 * if there is that; no core, nobody's to trace; it ends with its parent; a filter that ends it at
 * any other call than those of its work. MORTISE_IO with errno.
 */
enum mortise_status witness_process_confine(void) MUST_USE;

#endif
