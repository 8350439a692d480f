/* SPDX-License-Identifier: ISC */
/*
 * sandbox_syscalls: the list of system calls that the keeper may make, as a seccomp filter.
 * Part of sandbox; nobody else includes it.
 */
#ifndef MORTISE_SANDBOX_SYSCALLS_H
#define MORTISE_SANDBOX_SYSCALLS_H

#include "status.h"

/* Loads the filter into every thread of the process. MORTISE_IO with errno. */
enum mortise_status sandbox_syscalls_load(void) MUST_USE;

#endif
