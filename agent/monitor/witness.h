/* SPDX-License-Identifier: ISC */
/*
 * witness: a process that tells the keeper which program a process runs (processes.h, EXE).
 * The keeper cannot look itself: /proc/PID/exe of other users needs CAP_SYS_PTRACE, and
 * Landlock refuses it to whoever is confined, whatever his capabilities. The witness has that
 * one capability, the agent's user, and a socket; it reads numbers only, and opens nothing that
 * could be written or read.
 */
#ifndef MORTISE_WITNESS_H
#define MORTISE_WITNESS_H

#include <stdint.h>
#include <sys/types.h>

#include "spawn.h"
#include "status.h"

#define WITNESS_PATH_SIZE 4096

/* Forks a witness that serves socket_fd until that or the monitor ends. MORTISE_IO. */
enum mortise_status witness_start(int socket_fd, const struct identity *identity, pid_t *out_pid)
	MUST_USE;

/*
 * The path of the program that pid runs, if that path leads to this very file here too: in a
 * mount namespace of his own anybody can put any file at any path. MORTISE_NOT_FOUND.
 */
enum mortise_status witness_look(uint32_t pid, char out_path[WITNESS_PATH_SIZE]) MUST_USE;

#endif
