/* SPDX-License-Identifier: ISC */
/*
 * needles: where does any of many byte strings occur in a text that comes in pieces?
 * The leftmost one, and of those that begin there the longest. Keeps no text: whoever reads a
 * stream keeps what a partial hit begins with, and asks again with more behind it.
 * Knows nothing of secrets but that its strings are to be wiped.
 */
#ifndef MORTISE_CLI_NEEDLES_H
#define MORTISE_CLI_NEEDLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "status.h"

#define NEEDLES_SIZE_MIN 8

struct needles;

struct needles_hit {
	size_t offset, size;
	uint32_t owner;
	bool is_partial; /* the rest of the text may be the beginning of one; no size, no owner */
};

/* MORTISE_IO without memory. */
enum mortise_status needles_new(struct needles **out_needles) MUST_USE;
/* Wipes; NULL is allowed. */
void needles_free(struct needles **needles);

/*
 * Copies a string; owner is any number. The same string may have several owners, and a hit then
 * names the least of them. MORTISE_INVALID if it is too short; MORTISE_IO without memory.
 */
enum mortise_status needles_add(
	struct needles *needles, const uint8_t *bytes, size_t size, uint32_t owner) MUST_USE;

/* Between the last needles_add() and the first needles_find(). MORTISE_IO without memory. */
enum mortise_status needles_prepare(struct needles *needles) MUST_USE;

/* Bytes in the longest; a partial hit has fewer behind it. */
size_t needles_longest(const struct needles *needles);

/*
 * The first that begins at or behind from. Until is_end, one that may go on behind the end of the
 * text is a partial hit, also where a shorter one is there in full. False: there is none, and what
 * comes later cannot make one that begins in this text.
 */
bool needles_find(const struct needles *needles, const uint8_t *text, size_t size, size_t from,
	bool is_end, struct needles_hit *out_hit);

#endif
