/* SPDX-License-Identifier: ISC */
/*
 * reserve: room on a disk for whoever has to free some.
 * A file of blocks that nobody needs. While the disk is full it is made shorter, piece by piece,
 * and what gave them up has the room. Knows nothing of what the room is for, nor who may have it.
 * Another process on a full disk may be faster: then the next piece goes.
 */
#ifndef MORTISE_RESERVE_H
#define MORTISE_RESERVE_H

#include <stdbool.h>
#include <stdint.h>

#include "status.h"

#define RESERVE_NAME  "reserve"
#define RESERVE_MAX   4194304 /* bytes; never more than the RESERVE_SHARE-th part of the disk */
#define RESERVE_SHARE 16
#define RESERVE_PIECE 65536

struct reserve;

/* That of DIRECTORY, as large as it was left; it is not made before it is filled. MORTISE_BUSY. */
enum mortise_status reserve_new(const char *directory, struct reserve **out_reserve) MUST_USE;
/* The file stays. NULL is allowed. */
void reserve_free(struct reserve *reserve);

/* Makes it as large as it may be and the disk allows; to be called again when some time has gone.
 */
void reserve_fill(struct reserve *reserve);
/* Gives the disk a piece of it. False: there is nothing left. */
bool reserve_spend(struct reserve *reserve);
/* How many bytes of the disk it holds. */
uint64_t reserve_held(const struct reserve *reserve);

/*
 * Is less free for the agent's user than RESERVE_MAX (or the disk's RESERVE_SHARE-th part, which is
 * less on a small disk)? False also where that cannot be known: a write will tell.
 */
bool reserve_disk_is_low(const struct reserve *reserve, uint64_t *out_free);

#endif
