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

#endif
