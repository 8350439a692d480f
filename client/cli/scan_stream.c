/* SPDX-License-Identifier: ISC */
#include "scan_stream.h"

#include <string.h>
#include <sys/mman.h>

/* Small enough to stay in a processor's cache between reading and searching. */
#define PIECE_SIZE 262144
#define COUNT_RUN  65535

enum mortise_status scan_stream_init(struct scan_stream *stream, const struct scan_match *match,
	scan_stream_found *found, void *context)
{
	size_t held = scan_match_longest(match) + scan_match_behind(match);
	size_t capacity = PIECE_SIZE + 4 * held + SCAN_MATCH_PADDING;
	void *buffer =
		mmap(NULL, capacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (buffer == MAP_FAILED)
		return MORTISE_IO;
	(void)madvise(buffer, capacity, MADV_DONTDUMP);
	*stream = (struct scan_stream){.match = match,
		.found = found,
		.context = context,
		.buffer = buffer,
		.capacity = capacity - SCAN_MATCH_PADDING};
	return MORTISE_OK;
}

void scan_stream_done(struct scan_stream *stream)
{
	if (stream->buffer == NULL)
		return;
	mortise_wipe(stream->buffer, stream->capacity);
	(void)munmap(stream->buffer, stream->capacity + SCAN_MATCH_PADDING);
	stream->buffer = NULL;
}

void scan_stream_begin(struct scan_stream *stream)
{
	stream->fill = stream->next = stream->counted = 0;
	stream->offset = stream->lines = 0;
}

/* In short counters, so that the compiler can do many bytes at once. */
static uint64_t count_newlines(const uint8_t *bytes, size_t size)
{
	uint64_t count = 0;

	while (size > 0) {
		size_t run = size < COUNT_RUN ? size : COUNT_RUN;
		uint16_t in_run = 0;

		for (size_t i = 0; i < run; i++)
			in_run = (uint16_t)(in_run + (bytes[i] == '\n'));
		count += in_run;
		bytes += run;
		size -= run;
	}
	return count;
}

static void count_up_to(struct scan_stream *stream, size_t at)
{
	if (at <= stream->counted)
		return;
	stream->lines += count_newlines(stream->buffer + stream->counted, at - stream->counted);
	stream->counted = at;
}

static void take_match(void *context, uint32_t tag, size_t at)
{
	struct scan_stream *stream = context;
	uint64_t lines;

	count_up_to(stream, at);
	lines = stream->lines - count_newlines(stream->buffer + at, stream->counted - at);
	stream->found(stream->context, tag, stream->offset + at, lines + 1);
}

/* Drops what the search is done with. */
static void make_room(struct scan_stream *stream)
{
	size_t behind = scan_match_behind(stream->match);
	size_t drop = stream->next > behind ? stream->next - behind : 0;

	drop = drop < stream->fill ? drop : stream->fill;
	count_up_to(stream, drop);
	memmove(stream->buffer, stream->buffer + drop, stream->fill - drop);
	stream->offset += drop;
	stream->fill -= drop;
	stream->next -= drop;
	stream->counted -= drop;
}

uint8_t *scan_stream_room(struct scan_stream *stream, size_t *out_size)
{
	if (stream->capacity - stream->fill < PIECE_SIZE)
		make_room(stream);
	*out_size = stream->capacity - stream->fill;
	*out_size = *out_size < PIECE_SIZE ? *out_size : PIECE_SIZE;
	return stream->buffer + stream->fill;
}

static void search(struct scan_stream *stream, bool is_last)
{
	stream->next = scan_match_search(stream->match, stream->buffer, stream->fill, stream->next,
		is_last, take_match, stream);
}

void scan_stream_take(struct scan_stream *stream, size_t size)
{
	stream->fill += size;
	search(stream, false);
}

void scan_stream_end(struct scan_stream *stream)
{
	search(stream, true);
}

uint64_t scan_stream_total(const struct scan_stream *stream)
{
	return stream->offset + stream->fill;
}
