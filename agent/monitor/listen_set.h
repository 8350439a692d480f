/* SPDX-License-Identifier: ISC */
/*
 * listen_set: all sockets of a configuration, each made here or passed by the service manager.
 * What it passes is told apart by name: LISTEN_FDNAMES, sd_listen_fds_with_names(3).
 */
#ifndef MORTISE_LISTEN_SET_H
#define MORTISE_LISTEN_SET_H

#include "listen.h"
#include "processes.h"

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
