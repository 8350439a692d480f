/* SPDX-License-Identifier: ISC */
/*
 * spawn: forks the monitor's children and makes them what they are before they run a program:
 * their descriptors and nothing else, their user, default signals, a small environment, no new
 * privileges, and the end of the monitor as their own.
 * Knows nothing of frames or of when a child should run. Logs nothing.
 */
#ifndef MORTISE_SPAWN_H
#define MORTISE_SPAWN_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "status.h"

#define SPAWN_GROUPS_MAX  256
#define SPAWN_EXIT_NO_RUN 127 /* as a shell says: the program could not be run */
#define SPAWN_PATH        "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* As whom the children run. */
struct identity {
	bool differs; /* from the monitor, which is root then; else nothing is changed */
	uid_t uid;
	gid_t gid;
	gid_t groups[SPAWN_GROUPS_MAX]; /* the sealer's (tss); the keeper gets gid alone */
	size_t group_count;
};

struct sealer_command {
	const char *program;
	bool has_insecure_memory; /* it may go on where no memory can be locked */
	const char *tcti;
	const char *pkcs11_modules; /* as in struct token_options */
	const char *pkcs11_env;
	const char *pkcs11_pin_file;
	int deadline_ms;
	const char *pcr_signature; /* NULL: the sealer looks where systemd keeps it */
	int notes_fd;              /* a memfd, the sealer's descriptor 4 */
};

/*
 * fork(), with default handlers and nothing blocked in the child: a signal that arrives early
 * must not run the monitor's handlers there. -1 with errno.
 */
pid_t spawn_fork(void) MUST_USE;

/* In a child: puts fd at 3 and closes everything above. */
void spawn_keep_only(int fd);

/* In a child: takes the identity on, with its own group only. */
enum mortise_status spawn_become(const struct identity *identity) MUST_USE;

/* Starts program as the keeper; *out_fd is the monitor's end of its socket. MORTISE_IO. */
enum mortise_status spawn_keeper(
	const char *program, const struct identity *identity, pid_t *out_pid, int *out_fd) MUST_USE;

/*
 * Starts program as a witness, who may trace, and has CAP_SYS_PTRACE if the monitor has it, or not;
 * *out_fd is the keeper's end of its socket. MORTISE_IO.
 */
enum mortise_status spawn_witness(const char *program, const struct identity *identity,
	bool may_trace, pid_t *out_pid, int *out_fd) MUST_USE;

/* Starts a sealer; *out_fd is the keeper's end of its socket. MORTISE_IO. */
enum mortise_status spawn_sealer(const struct sealer_command *command,
	const struct identity *identity, pid_t *out_pid, int *out_fd) MUST_USE;

#endif
