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
#include "processes.h"
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

/*
 * All sockets of a configuration, each made here or passed by the service manager. What it passes
 * is told apart by name: LISTEN_FDNAMES, sd_listen_fds_with_names(3).
 */

struct listen_wanted {
	const char *name; /* the first one's is "main" */
	const char *path;
	struct listen_access access;
	bool is_only_passed; /* taken if it was passed, and never made: then there is none */
};

struct listen_set {
	struct listener listeners[PROCESS_LISTENERS_MAX]; /* in the order wanted; fd -1: none */
	size_t count;
};

/* Did the service manager pass descriptors to this very process (LISTEN_PID)? */
bool listen_was_passed(void);

/* How many descriptors the service manager passed to this process; 0 if none, or no number. */
size_t listen_set_passed(void);

/*
 * Opens them all or none. A passed socket is taken for the wanted one of its name; "main" is also
 * called mortise.socket and mortised.socket, as systemd names what has no FileDescriptorName=,
 * and a single one without a name. MORTISE_REJECTED if one passed is wanted by nobody, is there
 * twice or is not fit; for what was not passed see listen_open().
 */
enum mortise_status listen_set_open(const struct listen_wanted *wanted, size_t count,
	const struct owner *owner, struct listen_set *out_set, struct refusal *out_refusal)
	MUST_USE;

void listen_set_close(struct listen_set *set);

#endif
