/* SPDX-License-Identifier: ISC */
/*
 * sandbox: after this, the keeper can do what it needs and nothing else.
 * No exec, no new socket, no ptrace, no file but the store's and the log's directories and
 * a read-only /proc (Landlock where the kernel has it); all capabilities dropped; no core,
 * not dumpable, no new privileges. In order: sandbox_prepare(), sandbox_confine(), threads,
 * sandbox_enter(). What needs /etc (time zone) or a name service comes before.
 */
#ifndef MORTISE_SANDBOX_H
#define MORTISE_SANDBOX_H

#include "status.h"

/* What is in force, for `status`: "seccomp, landlock", "seccomp" or "none". */
const char *sandbox_description(void);

/* First thing in a process that will hold keys: no core, not dumpable, caps dropped. */
enum mortise_status sandbox_prepare(void) MUST_USE;

/*
 * Files: from now on only those in the two directories, and /proc to read. Before the first
 * thread is started: Landlock binds the calling thread and those it starts, no others. What is
 * already open stays open. A kernel without Landlock is no error. MORTISE_IO with errno.
 */
enum mortise_status sandbox_confine(const char *store_directory, const char *audit_directory)
	MUST_USE;

/*
 * System calls, for all threads; last thing before the first client byte. Those that an
 * attacker would want (execve, ptrace, socket, connect, ...) kill the process; others outside
 * the list get EPERM, new threads among them. MORTISE_IO with errno if the kernel refuses.
 */
enum mortise_status sandbox_enter(void) MUST_USE;

#endif
