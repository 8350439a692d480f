/* SPDX-License-Identifier: ISC */
#include "mask.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "encodings.h"
#include "needles.h"

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

	if (mask == NULL || needles_new(&mask->needles) != MORTISE_OK) {
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
	if (gone == NULL)
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
	char **marks = reallocarray(mask->marks, mask->count + 1, sizeof *marks);
	char *mark;

	if (marks == NULL)
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

	if (stream == NULL)
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
	if (*stream != NULL)
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
