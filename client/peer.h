/* SPDX-License-Identifier: ISC */
/*
 * peer: is the server behind a socket one that may be asked?
 * It is if it runs as root, as the caller, or as the user to whom an administrator gave the
 * directory of the socket: one that nobody else can write to, reached only through directories
 * in which no third user can put anything. A name below /tmp therefore proves nothing.
 */
#ifndef MORTISE_PEER_H
#define MORTISE_PEER_H

#include <stdbool.h>
#include <sys/types.h>

bool peer_is_trusted(const char *socket_path, uid_t server, uid_t caller);

#endif
