/* SPDX-License-Identifier: ISC */
/*
 * mask: a stream passes through, and where a secret's value stands in it, in any of its common
 * encodings and cut into any pieces, a mark like [mortise:prod/db/password] comes out instead.
 * All other bytes come out as they went in, and at once, unless they may be the beginning of a
 * value: those are held back until it shows. Reads and writes no descriptors.
 */
#ifndef MORTISE_CLI_MASK_H
#define MORTISE_CLI_MASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "status.h"

#define MASK_CHUNK 262144 /* bytes that a stream takes at least at a time */

/* What is looked for, in any number of streams. */
struct mask;
/* One stream, with what it holds back. */
struct mask_stream;

typedef enum mortise_status (*mask_write)(void *context, const void *bytes, size_t size);

/* MORTISE_IO without memory. */
enum mortise_status mask_new(struct mask **out_mask) MUST_USE;
/* Wipes; NULL is allowed. Its streams end before. */
void mask_free(struct mask **mask);

/*
 * A value to mask, and what its mark names. Values under ENCODINGS_VALUE_MIN bytes are not masked,
 * and false is put in *out_is_masked. MORTISE_IO without memory.
 */
enum mortise_status mask_add(struct mask *mask, const char *name, const uint8_t *value, size_t size,
	bool *out_is_masked) MUST_USE;
/* After the last value, before the first stream. MORTISE_IO without memory. */
enum mortise_status mask_prepare(struct mask *mask) MUST_USE;

enum mortise_status mask_open(const struct mask *mask, struct mask_stream **out_stream) MUST_USE;
/* Wipes; NULL is allowed. */
void mask_close(struct mask_stream **stream);

/* How many values it has replaced so far. */
uint64_t mask_replaced(const struct mask_stream *stream);

/* Where the next bytes are to be put: there is room for MASK_CHUNK or more. */
uint8_t *mask_room(struct mask_stream *stream, size_t *out_size);

/*
 * size bytes were put there. Writes what is sure; at the end of the stream all. What write
 * returns if it fails; then the rest of the bytes is lost.
 */
enum mortise_status mask_pass(struct mask_stream *stream, size_t size, bool is_end,
	mask_write write, void *context) MUST_USE;

/*
 * For a person who waits in front of it: writes what is held back, if it is up to most bytes.
 * They still count as the beginning of a value.
 */
enum mortise_status mask_show_held(
	struct mask_stream *stream, size_t most, mask_write write, void *context) MUST_USE;

/*
 * Where does any of many byte strings occur in a text that comes in pieces? The leftmost one, and
 * of those that begin there the longest. Keeps no text: whoever reads a stream keeps what a partial
 * hit begins with, and asks again with more behind it. Knows nothing of secrets but that its
 * strings are to be wiped.
 */

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
