/* SPDX-License-Identifier: ISC */
/*
 * cache: ciphertexts of values lately read, so that a read needs no disk.
 * Bounded in bytes; what is in it is as untrusted as the disk it came from.
 */
#ifndef MORTISE_CACHE_H
#define MORTISE_CACHE_H

#include <stdbool.h>

#include "store.h"

struct cache;

enum mortise_status cache_new(size_t budget_bytes, struct cache **out_cache) MUST_USE;
void cache_free(struct cache *cache);

/* NULL bytes if it is not there. Valid until the next cache_put() or cache_forget(). */
struct store_bytes cache_get(
	const struct cache *cache, const uint8_t id[STORE_ID_SIZE], uint64_t number);

/* Takes malloc'ed bytes over, whether it keeps them or not; evicts others for them. */
void cache_put(struct cache *cache, const uint8_t id[STORE_ID_SIZE], uint64_t number,
	uint8_t *bytes, size_t size);

void cache_forget(struct cache *cache, const uint8_t id[STORE_ID_SIZE], uint64_t number);

#endif
