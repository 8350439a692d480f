/* SPDX-License-Identifier: ISC */
/*
 * listen: the socket that clients connect to, made here or passed by the service manager.
 * Either way: AF_UNIX, SOCK_SEQPACKET, listening, SO_PASSCRED, non-blocking, close-on-exec.
 * Accepts no connection and reads no byte. Call it with the store's lock held: only that makes
 * sure that a socket which refuses connections is stale.
 */
#ifndef MORTISE_LISTEN_H
#define MORTISE_LISTEN_H

#include <stdbool.h>
#include <sys/types.h>
#include <sys/un.h>

#include "directory.h"
#include "status.h"

#define LISTEN_FIRST_FD 3 /* where the service manager's descriptors start: sd_listen_fds(3) */

struct listener {
	int fd;
	int directory_fd;                                     /* -1: adopted, and never removed */
	char name[sizeof((struct sockaddr_un *)0)->sun_path]; /* in the directory */
	dev_t device;                                         /* which file is ours to remove */
	ino_t inode;
};

/*
 * Makes the socket, mode 0666 whatever the umask, and its directory where it is absent; replaces
 * a stale one. MORTISE_CONFLICT if something listens there, MORTISE_REJECTED, MORTISE_IO.
 */
enum mortise_status listen_open(const char *path, const struct owner *owner,
	struct listener *out_listener, struct refusal *out_refusal) MUST_USE;

/* Did the service manager pass descriptors to this very process (LISTEN_PID)? */
bool listen_was_passed(void);

/*
 * Takes over what it passed: exactly one socket, checked. Reads LISTEN_FDS.
 * MORTISE_REJECTED with out_refusal.
 */
enum mortise_status listen_adopt(struct listener *out_listener, struct refusal *out_refusal)
	MUST_USE;

/* Closes it; a socket that we made is removed unless another has taken its place. */
void listen_close(struct listener *listener);

#endif
