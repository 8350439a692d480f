/* SPDX-License-Identifier: ISC */
/*
 * scan_stream: one file, or whatever comes in pieces, searched as a whole: what lies across two
 * pieces is found too, with its offset and line. One stream's memory serves one file after
 * another; it is wiped, for whatever is searched may hold values. Knows nothing of files.
 */
#ifndef MORTISE_CLI_SCAN_STREAM_H
#define MORTISE_CLI_SCAN_STREAM_H

#include "scan_match.h"

/* offset counts from 0, line from 1. */
typedef void scan_stream_found(void *context, uint32_t tag, uint64_t offset, uint64_t line);

struct scan_stream {
	const struct scan_match *match;
	scan_stream_found *found;
	void *context;
	uint8_t *buffer;
	size_t capacity, fill;
	size_t next;     /* where the search goes on */
	size_t counted;  /* newlines before here are in lines */
	uint64_t offset; /* of buffer[0] */
	uint64_t lines;
};

/* match is prepared. MORTISE_IO without memory. */
enum mortise_status scan_stream_init(struct scan_stream *stream, const struct scan_match *match,
	scan_stream_found *found, void *context) MUST_USE;
void scan_stream_done(struct scan_stream *stream);

/* Another text from its start. */
void scan_stream_begin(struct scan_stream *stream);

/* Where the next piece goes: *out_size bytes, at least 64 KiB. */
uint8_t *scan_stream_room(struct scan_stream *stream, size_t *out_size);
/* So many bytes were put there. */
void scan_stream_take(struct scan_stream *stream, size_t size);
/* That was all. */
void scan_stream_end(struct scan_stream *stream);

/* Bytes of this text so far. */
uint64_t scan_stream_total(const struct scan_stream *stream);

#endif
