/* SPDX-License-Identifier: ISC */
/*
 * cache: rows and ciphertexts of values lately read, so that a read needs no disk.
 * Bounded in bytes. A row in it was found to be the one that the tally is of; a value is as
 * untrusted as the disk it came from.
 */
#ifndef MORTISE_CACHE_H
#define MORTISE_CACHE_H

#include "entry.h"

struct cache;

enum mortise_status cache_new(size_t budget_bytes, struct cache **out_cache) MUST_USE;
void cache_free(struct cache *cache);

/* NULL: it is not there. Held by the cache; the next call to it may drop it. */
struct entry *cache_entry(const struct cache *cache, uint64_t number);
/* Holds it, or lets it be; takes the place of one with its number, and evicts others for it. */
void cache_put_entry(struct cache *cache, struct entry *entry);
void cache_forget_entry(struct cache *cache, uint64_t number);

/* NULL bytes if it is not there. Valid until the next call. */
struct store_bytes cache_value(const struct cache *cache, uint64_t secret, uint64_t version);
/* Takes malloc'ed bytes over, whether it keeps them or not; evicts others for them. */
void cache_put_value(
	struct cache *cache, uint64_t secret, uint64_t version, uint8_t *bytes, size_t size);
void cache_forget_value(struct cache *cache, uint64_t secret, uint64_t version);

#endif
