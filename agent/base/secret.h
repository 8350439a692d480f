/* SPDX-License-Identifier: ISC */
/*
 * secret: the only place where plaintext and keys live in the agent.
 * One pool for the process, mapped once: not swapped, not dumped, not inherited by a
 * fork, invisible to the kernel's own mappings where memfd_secret exists; guard pages
 * at both ends; every secret is wiped when it is freed.
 * Knows nothing of what it holds. Not thread-safe: the event loop's thread owns it.
 */
#ifndef MORTISE_SECRET_H
#define MORTISE_SECRET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "status.h"

#define KEY_SIZE 32

struct secret {
	size_t size;
	uint8_t bytes[];
};

/* What keeps the pool out of swap and dumps, for `status`: "memfd_secret", "mlock" or "none". */
const char *secret_pool_protection(void);

/*
 * Maps a pool of about size_bytes. MORTISE_IO where the memory cannot be locked
 * (RLIMIT_MEMLOCK) or a pool is open already, with errno set.
 */
enum mortise_status secret_pool_open(size_t size_bytes) MUST_USE;

/* The same, but what cannot be locked is then not: for an agent that holds nothing of worth. */
enum mortise_status secret_pool_open_anyhow(size_t size_bytes) MUST_USE;

/* Wipes and unmaps; every secret is gone. */
void secret_pool_close(void);

/* Bytes that one more secret_new() could have in the best case. */
size_t secret_pool_room(void);

/* size zero bytes. MORTISE_BUSY if the pool is full: the caller answers "try again". */
enum mortise_status secret_new(size_t size, struct secret **out_secret) MUST_USE;

/* A copy of what lies elsewhere; the caller wipes the original. */
enum mortise_status secret_copy(const void *bytes, size_t size, struct secret **out_secret)
	MUST_USE;

/* size bytes from the kernel's random number generator. */
enum mortise_status secret_random(size_t size, struct secret **out_secret) MUST_USE;

/* Gives back the room behind the first size bytes, wiped. A larger size aborts. */
void secret_shrink(struct secret *secret, size_t size);

/*
 * Wipes and gives back; NULL is allowed. Aborts on what is not a secret in use: then memory
 * is corrupt, or was freed twice.
 */
void secret_free(struct secret *secret);

/* For CLEANUP: frees *secret and nulls it. */
void secret_drop(struct secret **secret);

/* Marks a move: returns *secret and leaves NULL behind. */
struct secret *secret_take(struct secret **secret);

/* Constant time in the contents; sizes are not secret. */
bool secret_equals(const struct secret *a, const struct secret *b);

#endif
