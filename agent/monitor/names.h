/* SPDX-License-Identifier: ISC */
/*
 * names: what the host's name services know of users and groups.
 * "No such name" and "could not be asked" are two answers, never one. The keeper's questions are
 * answered by a child of the monitor: a name service may hang, and its modules are others' code.
 * A name of digits is an id, and is one even where no entry has it.
 */
#ifndef MORTISE_NAMES_H
#define MORTISE_NAMES_H

#include <stdint.h>
#include <sys/types.h>

#include "spawn.h"
#include "status.h"
#include "wire.h"

#define NAMES_PER_REQUEST 64
#define NAMES_GROUPS_MAX  16384 /* ids of groups in one answer */
#define NAMES_DEADLINE_S  10
#define NAMES_LOGIN_MAX   256

struct names_user {
	uid_t uid;
	gid_t gid;                   /* (gid_t)-1 for an id without an entry */
	char login[NAMES_LOGIN_MAX]; /* "" for an id without an entry */
};

/* MORTISE_NOT_FOUND: for certain no such name. MORTISE_IO: could not be asked. */
enum mortise_status names_find_user(const char *name, struct names_user *out_user) MUST_USE;
enum mortise_status names_find_group(const char *name, gid_t *out_gid) MUST_USE;

/*
 * All groups of a user, the primary one among them; none for an id without an entry. At most
 * capacity; MORTISE_IO beyond.
 */
enum mortise_status names_groups(
	const struct names_user *user, gid_t *groups, size_t capacity, size_t *out_count) MUST_USE;

/*
 * Checks a RESOLVE request without asking anybody. MORTISE_INVALID for malformed lists,
 * MORTISE_REJECTED for more than NAMES_PER_REQUEST names.
 */
enum mortise_status names_check(const struct wire_message *request) MUST_USE;

/*
 * Answers a checked request (processes.h) into a frame. MORTISE_IO if it does not fit or there is
 * no memory.
 */
enum mortise_status names_answer(const struct wire_message *request, uint8_t *frame,
	size_t capacity, size_t *out_size) MUST_USE;

/*
 * Forks a child that answers a checked request on socket_fd by itself, as the identity, and
 * exits with 0 if it could, within NAMES_DEADLINE_S. MORTISE_IO if there can be no child.
 */
enum mortise_status names_start(const struct wire_message *request, int socket_fd,
	const struct identity *identity, pid_t *out_pid) MUST_USE;

#endif
