/* SPDX-License-Identifier: ISC */
/*
 * listen: the socket that clients connect to, made here or passed by the service manager.
 * Either way: AF_UNIX, SOCK_SEQPACKET (SOCK_STREAM for service managers), listening, SO_PASSCRED,
 * non-blocking, close-on-exec. Accepts no connection and reads no byte. Call it with the store's
 * lock held: only that makes sure that a socket which refuses connections is stale.
 */
#ifndef MORTISE_LISTEN_H
#define MORTISE_LISTEN_H

#include <stdbool.h>
#include <sys/types.h>
#include <sys/un.h>

#include "directory.h"
#include "status.h"

#define LISTEN_FIRST_FD 3 /* where the service manager's descriptors start: sd_listen_fds(3) */

/* Who may connect: the socket file's mode, and its group unless that is (gid_t)-1. */
struct listen_access {
	mode_t mode;
	gid_t gid;
	bool is_stream; /* SOCK_STREAM */
};

struct listener {
	int fd;
	int directory_fd;                                     /* -1: adopted, and never removed */
	char name[sizeof((struct sockaddr_un *)0)->sun_path]; /* in the directory */
	dev_t device;                                         /* which file is ours to remove */
	ino_t inode;
};

/*
 * Makes the socket, its mode exact whatever the umask, and its directory where it is absent;
 * replaces a stale one. MORTISE_CONFLICT if something listens there, MORTISE_REJECTED, MORTISE_IO.
 */
enum mortise_status listen_open(const char *path, const struct listen_access *access,
	const struct owner *owner, struct listener *out_listener, struct refusal *out_refusal)
	MUST_USE;

/* Takes over a socket that it passed, checked. MORTISE_REJECTED with out_refusal. */
enum mortise_status listen_adopt(int fd, bool is_stream, struct listener *out_listener,
	struct refusal *out_refusal) MUST_USE;

/* Whose it is: of a socket that was passed, the uid of the service manager; else our own. */
uid_t listen_made_by(const struct listener *listener);

/* Was it passed by the service manager, and at another path than that? */
bool listen_is_elsewhere(const struct listener *listener, const char *path);

/* Closes it; a socket that we made is removed unless another has taken its place. */
void listen_close(struct listener *listener);

#endif
