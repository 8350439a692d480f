/* SPDX-License-Identifier: ISC */
#include "scan_reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

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
	if (!stream->buffer)
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

#define GZIP_WINDOW (15 + 16) /* the largest, with gzip's header and checksum */
#define BLOCK_HEAD  16

static const uint8_t magic[] = {0x1f, 0x8b, 8};

/* How texts begin that hide what is in them; of what is unpacked, gzip once more. */
static const struct {
	const char *bytes;
	size_t size;
} opaque[] = {
#define STARTS(text)                                                                               \
	{                                                                                          \
		text, sizeof(text) - 1                                                             \
	}
	STARTS("\x1f\x8b\x08"),
	STARTS("\xfd"
	       "7zXZ"),
	STARTS("\x28\xb5\x2f\xfd"), /* zstd */
	STARTS("BZh"), STARTS("PK\x03\x04"), STARTS("7z\xbc\xaf\x27\x1c"),
	STARTS("\x04\x22\x4d\x18"),                          /* lz4 */
	STARTS("LZIP"), STARTS("\x1f\x9d"),                  /* compress */
	STARTS("Rar!\x1a"), STARTS("%PDF-"), STARTS("hsqs"), /* squashfs */
	STARTS("age-encryption.org/"), STARTS("-----BEGIN AGE ENCRYPTE"),
	STARTS("-----BEGIN PGP MESSAGE"), STARTS("Salted__"), /* openssl enc */
	STARTS("U2FsdGVkX1"), STARTS("$ANSIBLE_VAULT"), STARTS("LUKS\xba\xbe"),
	STARTS("\x00GITCRYPT\x00"), STARTS("\x03\xd9\xa2\x9a"), /* KeePass */
#undef STARTS
};

/* zlib's window holds what it unpacked: its memory is wiped. The size stands before each block. */
static void *allocate(void *context, unsigned count, unsigned size)
{
	size_t whole = (size_t)count * size + BLOCK_HEAD;
	uint8_t *block = calloc(1, whole);

	(void)context;
	if (!block)
		return NULL;
	memcpy(block, &whole, sizeof whole);
	return block + BLOCK_HEAD;
}

static void release(void *context, void *bytes)
{
	uint8_t *block = (uint8_t *)bytes - BLOCK_HEAD;
	size_t whole;

	(void)context;
	memcpy(&whole, block, sizeof whole);
	mortise_wipe(block, whole);
	free(block);
}

enum mortise_status scan_reader_init(struct scan_reader *reader, struct scan_report *report)
{
	const struct scan_match *match = report->values->match;

	*reader = (struct scan_reader){.report = report};
	reader->zlib.zalloc = allocate;
	reader->zlib.zfree = release;
	TRY(scan_stream_init(&reader->plain, match, scan_report_found, report));
	if (scan_stream_init(&reader->unpacked, match, scan_report_found, report) == MORTISE_OK &&
		inflateInit2(&reader->zlib, GZIP_WINDOW) == Z_OK)
		reader->has_zlib = true;
	if (reader->has_zlib)
		return MORTISE_OK;
	scan_reader_done(reader);
	return MORTISE_IO;
}

void scan_reader_done(struct scan_reader *reader)
{
	if (reader->has_zlib)
		(void)inflateEnd(&reader->zlib);
	reader->has_zlib = false;
	scan_stream_done(&reader->plain);
	scan_stream_done(&reader->unpacked);
}

void scan_reader_begin(struct scan_reader *reader, const struct scan_place *place)
{
	scan_report_begin(reader->report, place);
	scan_stream_begin(&reader->plain);
	scan_stream_begin(&reader->unpacked);
	reader->packing = SCAN_UNKNOWN;
	reader->head_size = reader->start.size = reader->unpacked_start.size = 0;
}

static void note_start(struct scan_start *start, const uint8_t *bytes, size_t size)
{
	size_t room = sizeof start->bytes - start->size;

	size = size < room ? size : room;
	memcpy(start->bytes + start->size, bytes, size);
	start->size += size;
}

static bool is_opaque(const struct scan_start *start, bool is_unpacked)
{
	for (size_t i = is_unpacked ? 0 : 1; i < sizeof opaque / sizeof opaque[0]; i++)
		if (start->size >= opaque[i].size &&
			memcmp(start->bytes, opaque[i].bytes, opaque[i].size) == 0)
			return true;
	return false;
}

uint8_t *scan_reader_room(struct scan_reader *reader, size_t *out_size)
{
	return scan_stream_room(&reader->plain, out_size);
}

static void search_unpacked(struct scan_reader *reader, size_t size)
{
	reader->report->is_unpacked = true;
	note_start(&reader->unpacked_start, reader->unpacked.buffer + reader->unpacked.fill, size);
	scan_stream_take(&reader->unpacked, size);
	reader->report->is_unpacked = false;
}

/* One member, as far as it is there; how many bytes of it were taken. */
static size_t unpack(struct scan_reader *reader, uint8_t *bytes, size_t size)
{
	z_stream *zlib = &reader->zlib;
	size_t room;
	int result;

	zlib->next_in = bytes;
	zlib->avail_in = (unsigned)size;
	do {
		zlib->next_out = scan_stream_room(&reader->unpacked, &room);
		zlib->avail_out = (unsigned)room;
		result = inflate(zlib, Z_NO_FLUSH);
		search_unpacked(reader, room - zlib->avail_out);
	} while (result == Z_OK);
	if (result == Z_STREAM_END)
		reader->packing = SCAN_BETWEEN;
	else if (result != Z_BUF_ERROR) /* which means: more, please */
		reader->packing = SCAN_DAMAGED;
	return size - zlib->avail_in;
}

/* Collects what may be a member's first bytes; how many bytes were taken. */
static size_t look_for_member(struct scan_reader *reader, const uint8_t *bytes, size_t size)
{
	size_t taken = 0;

	while (taken < size && reader->head_size < sizeof magic &&
		bytes[taken] == magic[reader->head_size])
		reader->head[reader->head_size++] = bytes[taken++];
	if (reader->head_size == sizeof magic) {
		reader->packing = SCAN_PACKED;
		reader->head_size = 0;
		(void)inflateReset(&reader->zlib);
		(void)unpack(reader, reader->head, sizeof magic);
	} else if (taken < size) {
		reader->packing = SCAN_PLAIN;
	}
	return taken;
}

static bool may_be_packed(const struct scan_reader *reader)
{
	return reader->packing != SCAN_PLAIN && reader->packing != SCAN_DAMAGED;
}

void scan_reader_take(struct scan_reader *reader, size_t size)
{
	uint8_t *bytes = reader->plain.buffer + reader->plain.fill;

	note_start(&reader->start, bytes, size);
	scan_stream_take(&reader->plain, size);
	while (size > 0 && may_be_packed(reader)) {
		size_t taken = reader->packing == SCAN_PACKED
				       ? unpack(reader, bytes, size)
				       : look_for_member(reader, bytes, size);

		bytes += taken;
		size -= taken;
	}
}

const char *scan_reader_end(struct scan_reader *reader)
{
	scan_stream_end(&reader->plain);
	reader->report->is_unpacked = true;
	scan_stream_end(&reader->unpacked);
	reader->report->is_unpacked = false;
	reader->report->opaque +=
		is_opaque(&reader->start, false) || is_opaque(&reader->unpacked_start, true);
	explicit_bzero(&reader->start, sizeof reader->start);
	explicit_bzero(&reader->unpacked_start, sizeof reader->unpacked_start);
	scan_report_end(reader->report,
		scan_stream_total(&reader->plain) + scan_stream_total(&reader->unpacked));
	if (reader->packing == SCAN_DAMAGED)
		return "it begins like gzip and is damaged; the rest was searched as it is";
	if (reader->packing == SCAN_PACKED)
		return "its gzip data end too early; what there is was searched";
	return NULL;
}

int scan_reader_drain(
	struct scan_reader *reader, int fd, const struct scan_place *place, const char **out_why)
{
	struct scan_report *report = reader->report;
	int error = 0;

	scan_reader_begin(reader, place);
	for (;;) {
		size_t room;
		uint8_t *bytes = scan_reader_room(reader, &room);
		ssize_t got = read(fd, bytes, room);

		if (got == 0)
			break;
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			error = errno;
			break;
		}
		scan_reader_take(reader, (size_t)got);
		progress_show(&report->progress, "searched %llu texts, %llu MiB: found %llu",
			(unsigned long long)report->texts,
			(unsigned long long)(report->bytes + scan_stream_total(&reader->plain)) >>
				20,
			(unsigned long long)report->found);
	}
	*out_why = scan_reader_end(reader);
	return error;
}
