/* SPDX-License-Identifier: ISC */
/*
 * scan_reader: one text as it is, and, where it begins like the gzip format (RFC 1952), also
 * what is compressed in it. What is packed or encrypted in a way that it cannot undo is counted.
 * Whoever reads puts pieces in; findings go to the report.
 */
#ifndef MORTISE_CLI_SCAN_READER_H
#define MORTISE_CLI_SCAN_READER_H

#include <zlib.h>

#include "scan_match.h"
#include "scan_report.h"

/*
 * One file, or whatever comes in pieces, searched as a whole: what lies across two pieces is found
 * too, with its offset and line. One stream's memory serves one file after another; it is wiped,
 * for whatever is searched may hold values. Knows nothing of files.
 */

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

#define SCAN_START_SIZE 24

enum scan_packing {
	SCAN_UNKNOWN, /* less than a magic number was seen */
	SCAN_PLAIN,   /* or what follows the compressed part */
	SCAN_PACKED,
	SCAN_BETWEEN, /* one member has ended; another may begin */
	SCAN_DAMAGED,
};

/* The first bytes of a text, by which its format is known. */
struct scan_start {
	uint8_t bytes[SCAN_START_SIZE];
	size_t size;
};

struct scan_reader {
	struct scan_report *report;
	struct scan_stream plain, unpacked;
	enum scan_packing packing;
	bool has_zlib;
	z_stream zlib;
	uint8_t head[3]; /* the first bytes, as long as they are too few to tell */
	size_t head_size;
	struct scan_start start, unpacked_start;
};

/* MORTISE_IO without memory. */
enum mortise_status scan_reader_init(struct scan_reader *reader, struct scan_report *report)
	MUST_USE;
void scan_reader_done(struct scan_reader *reader);

void scan_reader_begin(struct scan_reader *reader, const struct scan_place *place);
uint8_t *scan_reader_room(struct scan_reader *reader, size_t *out_size);
void scan_reader_take(struct scan_reader *reader, size_t size);
/* NULL, or what was wrong with what is compressed. */
const char *scan_reader_end(struct scan_reader *reader);

/* All that can be read from fd. 0, or errno; why is NULL, or as above. */
int scan_reader_drain(
	struct scan_reader *reader, int fd, const struct scan_place *place, const char **out_why);

#endif
