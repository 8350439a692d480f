/* SPDX-License-Identifier: ISC */
#include "mask.h"

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "encodings.h"

#define NEEDLES_SIZE_MIN 8

/*
 * A string of 8 bytes or more has, at every fifth place of a text, one of its first five groups of
 * four bytes. So it is enough to look at every fifth place, in a table of such groups; only where
 * that says "perhaps" are the strings themselves compared, sorted by their first 8 bytes. Memory
 * grows with the strings, not with an automaton's states, and most of a text is never read. A run
 * of one byte, in which every place looks like the beginning of a string that begins with a run, is
 * skipped up to where the longest such beginning fits.
 */

#define GROUP          4
#define STRIDE         (NEEDLES_SIZE_MIN - GROUP + 1)
#define BITS_MIN       15
#define BITS_MAX       24
#define BITS_PER_GROUP 16

struct needle {
	uint64_t head; /* the first 8 bytes: in memory's order they sort as numbers */
	size_t at, size;
	uint32_t owner;
};

struct needles {
	struct needle *list;
	size_t count, capacity;
	uint8_t *bytes;
	size_t size, room;
	size_t longest,
		longest_run; /* bytes; the latter of one kind, at the beginning of a string */
	bool has_uniform;    /* one that is nothing but a run: it may stand anywhere in one */
	int bits;
	uint8_t *groups, *heads; /* a bit for each group at any of the places; at the first */
};

static void drop(void *block, size_t size)
{
	if (block)
		mortise_wipe(block, size);
	free(block);
}

/* Twice the room, and nothing left behind; a realloc() would leave a copy. */
static void *grow(void *block, size_t size, size_t new_size)
{
	void *larger = malloc(new_size);

	if (!larger)
		return NULL;
	if (size > 0)
		memcpy(larger, block, size);
	drop(block, size);
	return larger;
}

enum mortise_status needles_new(struct needles **out_needles)
{
	struct needles *needles = calloc(1, sizeof *needles);

	if (!needles)
		return MORTISE_IO;
	*out_needles = needles;
	return MORTISE_OK;
}

static size_t table_size(const struct needles *needles)
{
	return (size_t)1 << (needles->bits - 3);
}

void needles_free(struct needles **needles)
{
	struct needles *gone = *needles;

	*needles = NULL;
	if (!gone)
		return;
	drop(gone->list, gone->capacity * sizeof *gone->list);
	drop(gone->bytes, gone->room);
	if (gone->groups)
		drop(gone->groups, table_size(gone));
	if (gone->heads)
		drop(gone->heads, table_size(gone));
	free(gone);
}

static uint64_t head_of(const uint8_t *bytes)
{
	uint64_t head;

	memcpy(&head, bytes, sizeof head);
	return be64toh(head);
}

static enum mortise_status make_room(struct needles *needles, size_t size)
{
	size_t room = needles->room > 0 ? needles->room : 4096;
	size_t capacity = needles->capacity > 0 ? needles->capacity * 2 : 64;
	void *larger;

	while (room - needles->size < size)
		room *= 2;
	if (room > needles->room) {
		larger = grow(needles->bytes, needles->size, room);
		if (!larger)
			return MORTISE_IO;
		needles->bytes = larger;
		needles->room = room;
	}
	if (needles->count < needles->capacity)
		return MORTISE_OK;
	larger = grow(needles->list, needles->count * sizeof *needles->list,
		capacity * sizeof *needles->list);
	if (!larger)
		return MORTISE_IO;
	needles->list = larger;
	needles->capacity = capacity;
	return MORTISE_OK;
}

enum mortise_status needles_add(
	struct needles *needles, const uint8_t *bytes, size_t size, uint32_t owner)
{
	if (size < NEEDLES_SIZE_MIN)
		return MORTISE_INVALID;
	TRY(make_room(needles, size));
	memcpy(needles->bytes + needles->size, bytes, size);
	needles->list[needles->count++] =
		(struct needle){head_of(bytes), needles->size, size, owner};
	needles->size += size;
	if (size > needles->longest)
		needles->longest = size;
	return MORTISE_OK;
}

size_t needles_longest(const struct needles *needles)
{
	return needles->longest;
}

/* By their beginning, the longest first; equal ones side by side. */
static int compare(const void *left, const void *right, void *context)
{
	const struct needle *one = left, *other = right;
	const uint8_t *bytes = context;
	int order;

	if (one->head != other->head)
		return one->head < other->head ? -1 : 1;
	if (one->size != other->size)
		return one->size > other->size ? -1 : 1;
	order = memcmp(bytes + one->at, bytes + other->at, one->size);
	if (order != 0 || one->owner == other->owner)
		return order;
	return one->owner < other->owner ? -1 : 1;
}

/* Keeps one of each, that of the least owner. */
static void forget_doubles(struct needles *needles)
{
	size_t kept = 0;

	for (size_t i = 1; i < needles->count; i++) {
		const struct needle *last = &needles->list[kept], *next = &needles->list[i];

		if (last->size != next->size || last->head != next->head ||
			memcmp(needles->bytes + last->at, needles->bytes + next->at, next->size))
			needles->list[++kept] = *next;
	}
	if (needles->count > 0)
		needles->count = kept + 1;
}

static uint32_t place_of(const struct needles *needles, const uint8_t *group)
{
	uint32_t number;

	memcpy(&number, group, sizeof number);
	return number * UINT32_C(2654435761) >> (32 - needles->bits);
}

static bool is_set(const uint8_t *table, uint32_t place)
{
	return (table[place >> 3] >> (place & 7) & 1) != 0;
}

static void set(uint8_t *table, uint32_t place)
{
	table[place >> 3] = (uint8_t)(table[place >> 3] | 1U << (place & 7));
}

/* How many bytes are like the first. */
static size_t run_of(const uint8_t *bytes, size_t size)
{
	uint64_t same = UINT64_C(0x0101010101010101) * bytes[0];
	size_t at = 0;

	while (size - at >= sizeof same && memcmp(bytes + at, &same, sizeof same) == 0)
		at += sizeof same;
	while (at < size && bytes[at] == bytes[0])
		at++;
	return at;
}

static void measure_runs(struct needles *needles)
{
	for (size_t i = 0; i < needles->count; i++) {
		size_t size = needles->list[i].size;
		size_t run = run_of(needles->bytes + needles->list[i].at, size);

		needles->has_uniform |= run == size;
		if (run > needles->longest_run)
			needles->longest_run = run;
	}
}

enum mortise_status needles_prepare(struct needles *needles)
{
	if (needles->count > 0)
		qsort_r(needles->list, needles->count, sizeof *needles->list, compare,
			needles->bytes);
	forget_doubles(needles);
	measure_runs(needles);
	needles->bits = BITS_MIN;
	while (needles->bits < BITS_MAX &&
		(size_t)1 << needles->bits < needles->count * STRIDE * BITS_PER_GROUP)
		needles->bits++;
	needles->groups = calloc(1, table_size(needles));
	needles->heads = calloc(1, table_size(needles));
	if (!needles->groups || !needles->heads)
		return MORTISE_IO;
	for (size_t i = 0; i < needles->count; i++) {
		const uint8_t *bytes = needles->bytes + needles->list[i].at;

		set(needles->heads, place_of(needles, bytes));
		for (size_t at = 0; at < STRIDE; at++)
			set(needles->groups, place_of(needles, bytes + at));
	}
	return MORTISE_OK;
}

/* The first whose beginning is not less than head; count if there is none. */
static size_t first_from(const struct needles *needles, uint64_t head)
{
	size_t low = 0, high = needles->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (needles->list[middle].head < head)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The last bytes differ sooner than the middle, in strings that begin like the text. */
static bool is_equal(const struct needles *needles, const struct needle *needle,
	const uint8_t *text, size_t size)
{
	const uint8_t *bytes = needles->bytes + needle->at;

	return bytes[size - 1] == text[size - 1] && memcmp(bytes, text, size) == 0;
}

/* At a place with at least 8 bytes behind it: the longest come first. */
static bool find_here(const struct needles *needles, const uint8_t *text, size_t size, bool is_end,
	struct needles_hit *out_hit)
{
	uint64_t head = head_of(text);

	for (size_t i = first_from(needles, head); i < needles->count; i++) {
		const struct needle *needle = &needles->list[i];

		if (needle->head != head)
			return false;
		if (needle->size > size && is_end)
			continue;
		if (!is_equal(needles, needle, text, needle->size < size ? needle->size : size))
			continue;
		out_hit->is_partial = needle->size > size;
		out_hit->size = out_hit->is_partial ? 0 : needle->size;
		out_hit->owner = out_hit->is_partial ? 0 : needle->owner;
		return true;
	}
	return false;
}

/* Fewer than 8 bytes: does any begin like that? */
static bool may_begin(const struct needles *needles, const uint8_t *text, size_t size)
{
	uint8_t least[NEEDLES_SIZE_MIN] = {0}, most[NEEDLES_SIZE_MIN];
	size_t found;

	memset(most, 0xff, sizeof most);
	memcpy(least, text, size);
	memcpy(most, text, size);
	found = first_from(needles, head_of(least));
	return found < needles->count && needles->list[found].head <= head_of(most);
}

/* From a group that a string may have to the string; the group is one of its first five. */
static bool look_around(const struct needles *needles, const uint8_t *text, size_t size,
	size_t first, size_t last, bool is_end, struct needles_hit *out_hit)
{
	for (size_t at = first; at <= last && at + NEEDLES_SIZE_MIN <= size; at++)
		if (is_set(needles->heads, place_of(needles, text + at)) &&
			find_here(needles, text + at, size - at, is_end, out_hit)) {
			out_hit->offset = at;
			return true;
		}
	return false;
}

/* How many places from first on begin nothing, as a run goes on behind them; end is of that run. */
static size_t count_barren(
	const struct needles *needles, const uint8_t *text, size_t size, size_t first, size_t *end)
{
	if (needles->has_uniform || text[first] != text[first + NEEDLES_SIZE_MIN - 1])
		return 0;
	if (first >= *end)
		*end = first + run_of(text + first, size - first);
	return *end - first > needles->longest_run ? *end - first - needles->longest_run : 0;
}

bool needles_find(const struct needles *needles, const uint8_t *text, size_t size, size_t from,
	bool is_end, struct needles_hit *out_hit)
{
	size_t at, first = from, run_end = 0;

	if (needles->count == 0)
		return false;
	for (at = from + STRIDE - 1; at + GROUP <= size; at += STRIDE) {
		if (!is_set(needles->groups, place_of(needles, text + at)))
			continue;
		first = at - (STRIDE - 1);
		if (count_barren(needles, text, size, first, &run_end) >= STRIDE) {
			at = run_end - needles->longest_run - 1;
			continue;
		}
		if (look_around(needles, text, size, first, at, is_end, out_hit))
			return true;
	}
	first = from;
	if (is_end)
		return false;
	if (size >= NEEDLES_SIZE_MIN && size - (NEEDLES_SIZE_MIN - 1) > first)
		first = size - (NEEDLES_SIZE_MIN - 1);
	for (at = first; at < size; at++)
		if (may_begin(needles, text + at, size - at)) {
			*out_hit = (struct needles_hit){.offset = at, .is_partial = true};
			return true;
		}
	return false;
}

#define GATHERED  65536 /* short pieces of the output, before they are written together */
#define WORTH_ONE 8192  /* a piece of so many bytes is written as it stands, not copied */

struct mask {
	struct needles *needles;
	char **marks;
	uint32_t count;
};

struct mask_stream {
	const struct mask *mask;
	size_t room;
	size_t held;  /* bytes at the beginning of text that may become a value */
	size_t shown; /* how many of them have been written all the same */
	size_t pending;
	uint64_t replaced;
	uint8_t out[GATHERED]; /* short pieces, on their way together */
	uint8_t text[];
};

enum mortise_status mask_new(struct mask **out_mask)
{
	struct mask *mask = calloc(1, sizeof *mask);

	if (!mask || needles_new(&mask->needles) != MORTISE_OK) {
		free(mask);
		return MORTISE_IO;
	}
	*out_mask = mask;
	return MORTISE_OK;
}

void mask_free(struct mask **mask)
{
	struct mask *gone = *mask;

	*mask = NULL;
	if (!gone)
		return;
	needles_free(&gone->needles);
	for (uint32_t i = 0; i < gone->count; i++)
		free(gone->marks[i]);
	free(gone->marks);
	free(gone);
}

static enum mortise_status take(void *context, const struct encodings_form *form)
{
	const struct mask *mask = context;

	return needles_add(mask->needles, form->bytes, form->size, mask->count - 1);
}

enum mortise_status mask_add(
	struct mask *mask, const char *name, const uint8_t *value, size_t size, bool *out_is_masked)
{
	char **marks = array_room(mask->marks, mask->count, sizeof *marks);
	char *mark;

	if (!marks)
		return MORTISE_IO;
	mask->marks = marks;
	if (asprintf(&mark, "[mortise:%s]", name) < 0)
		return MORTISE_IO;
	mask->marks[mask->count++] = mark;
	*out_is_masked = size >= ENCODINGS_VALUE_MIN;
	return encodings_each(value, size, take, mask);
}

enum mortise_status mask_prepare(struct mask *mask)
{
	return needles_prepare(mask->needles);
}

enum mortise_status mask_open(const struct mask *mask, struct mask_stream **out_stream)
{
	size_t room = needles_longest(mask->needles) + MASK_CHUNK;
	struct mask_stream *stream = malloc(sizeof *stream + room);

	if (!stream)
		return MORTISE_IO;
	stream->mask = mask;
	stream->room = room;
	stream->held = stream->shown = stream->pending = 0;
	stream->replaced = 0;
	*out_stream = stream;
	return MORTISE_OK;
}

void mask_close(struct mask_stream **stream)
{
	if (*stream)
		mortise_wipe(*stream, sizeof **stream + (*stream)->room);
	free(*stream);
	*stream = NULL;
}

uint64_t mask_replaced(const struct mask_stream *stream)
{
	return stream->replaced;
}

uint8_t *mask_room(struct mask_stream *stream, size_t *out_size)
{
	*out_size = stream->room - stream->held;
	return stream->text + stream->held;
}

static enum mortise_status flush(struct mask_stream *stream, mask_write write, void *context)
{
	size_t size = stream->pending;

	stream->pending = 0;
	return size > 0 ? write(context, stream->out, size) : MORTISE_OK;
}

static enum mortise_status emit(
	struct mask_stream *stream, const void *bytes, size_t size, mask_write write, void *context)
{
	if (size >= WORTH_ONE || size > sizeof stream->out - stream->pending)
		TRY(flush(stream, write, context));
	if (size >= WORTH_ONE)
		return write(context, bytes, size);
	memcpy(stream->out + stream->pending, bytes, size);
	stream->pending += size;
	return MORTISE_OK;
}

/* The text up to end, but what is shown already. */
static enum mortise_status emit_text(
	struct mask_stream *stream, size_t from, size_t end, mask_write write, void *context)
{
	size_t shown = stream->shown > from ? stream->shown : from;

	if (shown >= end)
		return MORTISE_OK;
	return emit(stream, stream->text + shown, end - shown, write, context);
}

enum mortise_status mask_pass(
	struct mask_stream *stream, size_t size, bool is_end, mask_write write, void *context)
{
	const struct mask *mask = stream->mask;
	size_t total = stream->held + size, at = 0;
	struct needles_hit hit = {.is_partial = false};

	stream->held = 0;
	while (!hit.is_partial && at < total) {
		if (!needles_find(mask->needles, stream->text, total, at, is_end, &hit))
			hit = (struct needles_hit){.offset = total, .is_partial = true};
		TRY(emit_text(stream, at, hit.offset, write, context));
		at = hit.offset;
		if (!hit.is_partial) {
			const char *mark = mask->marks[hit.owner];

			TRY(emit(stream, mark, strlen(mark), write, context));
			stream->replaced++;
			at += hit.size;
		}
	}
	TRY(flush(stream, write, context));
	stream->shown = stream->shown > at ? stream->shown - at : 0;
	stream->held = total - at;
	memmove(stream->text, stream->text + at, stream->held);
	return MORTISE_OK;
}

enum mortise_status mask_show_held(
	struct mask_stream *stream, size_t most, mask_write write, void *context)
{
	if (stream->held > most || stream->shown >= stream->held)
		return MORTISE_OK;
	TRY(emit_text(stream, 0, stream->held, write, context));
	TRY(flush(stream, write, context));
	stream->shown = stream->held;
	return MORTISE_OK;
}
