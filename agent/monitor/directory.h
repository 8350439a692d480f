/* SPDX-License-Identifier: ISC */
/*
 * directory: the agent's directories, checked from the root down before anything in them is
 * trusted, and the lock that keeps a second agent out of a store.
 * No component may be a link; each may be owned by root, by whoever runs the monitor, or by the
 * agent's user only, and be writable by nobody else (a sticky directory such as /tmp may be a
 * parent, never the last). What is returned is a descriptor of the very directory that was
 * checked. Logs nothing.
 */
#ifndef MORTISE_DIRECTORY_H
#define MORTISE_DIRECTORY_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

#include "status.h"

/* Why a directory, a lock or a socket was refused; one line. */
struct refusal {
	char text[2 * PATH_MAX];
};

/* The user as whom the keeper runs. */
struct owner {
	uid_t uid;
	gid_t gid;
};

enum directory_kind {
	DIRECTORY_STORE,  /* 0700, the agent user's, closed to everybody else */
	DIRECTORY_AUDIT,  /* 0750, the agent user's */
	DIRECTORY_SOCKET, /* 0755, the monitor's, or the agent user's, or root's */
};

/*
 * Checks the absolute path and, with may_create, makes its last component where it is absent.
 * The descriptor is the caller's. MORTISE_REJECTED, MORTISE_IO, or MORTISE_NOT_FOUND where only
 * the last component is absent, each with out_refusal.
 */
enum mortise_status directory_open(const char *path, enum directory_kind kind,
	const struct owner *owner, bool may_create, int *out_fd, struct refusal *out_refusal)
	MUST_USE;

/* The directory part of an absolute path. MORTISE_REJECTED if there is none or it is too long. */
enum mortise_status directory_of(const char *path, char out_directory[PATH_MAX]) MUST_USE;

/*
 * Takes the file `lock` in the directory, for as long as the descriptor is open, and writes the
 * caller's pid into it. Follows nothing that a hostile owner of the directory may have put there.
 * MORTISE_CONFLICT if another process holds it, MORTISE_REJECTED, MORTISE_IO.
 */
enum mortise_status directory_lock(int directory_fd, const char *path, const struct owner *owner,
	int *out_lock_fd, struct refusal *out_refusal) MUST_USE;

/* Says why in out_refusal and returns status. */
enum mortise_status refuse(enum mortise_status status, struct refusal *out_refusal,
	const char *format, ...) __attribute__((format(printf, 3, 4)));

/* For CLEANUP: closes a descriptor unless it is -1. */
void close_drop(int *fd);

#endif
