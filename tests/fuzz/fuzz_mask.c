/* SPDX-License-Identifier: ISC */
/*
 * libFuzzer on mask, beside the plainest way to do the same: at each place the longest of all
 * forms that stands there. The input says the values, the text with forms of them in it, and
 * where the text is cut; every byte that comes out must be what the plain way makes.
 */
#include <stdlib.h>
#include <string.h>

#include "encodings.h"
#include "mask.h"

#define VALUES_MAX 3
#define VALUE_MAX  24
#define FORMS_MAX  2048
#define TEXT_MAX   80000

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

struct text {
	uint8_t bytes[TEXT_MAX];
	size_t size;
};

static struct form {
	uint8_t bytes[VALUE_MAX * 8 + 8];
	size_t size;
	int owner;
} forms[FORMS_MAX];
static int form_count, owner;

static struct text in, out, expected;

struct input {
	const uint8_t *at, *end;
};

static unsigned next(struct input *input)
{
	return input->at < input->end ? *input->at++ : 0;
}

static void put(struct text *text, const void *bytes, size_t size)
{
	if (text->size + size > TEXT_MAX)
		abort();
	memcpy(text->bytes + text->size, bytes, size);
	text->size += size;
}

static enum mortise_status append(void *context, const void *bytes, size_t size)
{
	put(context, bytes, size);
	return MORTISE_OK;
}

static enum mortise_status keep(void *context, const struct encodings_form *form)
{
	(void)context;
	if (form_count == FORMS_MAX || form->size > sizeof forms[0].bytes)
		abort();
	memcpy(forms[form_count].bytes, form->bytes, form->size);
	forms[form_count].size = form->size;
	forms[form_count++].owner = owner;
	return MORTISE_OK;
}

static void add_values(struct input *input, struct mask *mask)
{
	unsigned count = next(input) % VALUES_MAX + 1;

	form_count = 0;
	for (owner = 0; owner < (int)count; owner++) {
		uint8_t value[VALUE_MAX];
		size_t size = next(input) % (VALUE_MAX + 1);
		char name[2] = {(char)('A' + owner), '\0'};
		bool is_masked;

		for (size_t i = 0; i < size; i++)
			value[i] = (uint8_t)next(input);
		if (encodings_each(value, size, keep, NULL) != MORTISE_OK ||
			mask_add(mask, name, value, size, &is_masked) != MORTISE_OK ||
			is_masked != (size >= ENCODINGS_VALUE_MIN))
			abort();
	}
}

/* A piece of a form, a whole one, or a byte of the input's own. */
static void add_piece(struct input *input)
{
	unsigned what = next(input);
	const struct form *form =
		form_count > 0 ? &forms[next(input) % (unsigned)form_count] : NULL;

	if (form == NULL || what % 4 == 0) {
		uint8_t byte = (uint8_t)next(input);

		put(&in, &byte, 1);
	} else if (what % 4 == 1)
		put(&in, form->bytes, next(input) % form->size);
	else
		put(&in, form->bytes, form->size);
}

static void mask_plainly(void)
{
	for (size_t at = 0; at < in.size;) {
		const struct form *best = NULL;
		char mark[] = "[mortise:A]";

		for (int i = 0; i < form_count; i++)
			if (forms[i].size <= in.size - at &&
				memcmp(forms[i].bytes, in.bytes + at, forms[i].size) == 0 &&
				(best == NULL || forms[i].size > best->size))
				best = &forms[i];
		if (best == NULL) {
			put(&expected, in.bytes + at++, 1);
			continue;
		}
		mark[9] = (char)('A' + best->owner);
		put(&expected, mark, sizeof mark - 1);
		at += best->size;
	}
}

static void mask_in_pieces(struct input *cuts, const struct mask *mask)
{
	struct mask_stream *stream;
	size_t at = 0, room;

	if (mask_open(mask, &stream) != MORTISE_OK)
		abort();
	for (;;) {
		size_t piece = cuts->at < cuts->end ? next(cuts) % 32 : 1000;
		bool is_end = piece >= in.size - at;

		piece = is_end ? in.size - at : piece;
		memcpy(mask_room(stream, &room), in.bytes + at, piece);
		if (room < MASK_CHUNK || mask_pass(stream, piece, is_end, append, &out))
			abort();
		at += piece;
		if (is_end)
			break;
	}
	mask_close(&stream);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct input input = {bytes, bytes + size}, cuts = {bytes, bytes + size};
	struct mask *mask;

	in.size = out.size = expected.size = 0;
	if (mask_new(&mask) != MORTISE_OK)
		abort();
	add_values(&input, mask);
	if (mask_prepare(mask) != MORTISE_OK)
		abort();
	for (int pieces = 0; input.at < input.end && pieces < 100; pieces++)
		add_piece(&input);
	mask_plainly();
	mask_in_pieces(&cuts, mask);
	if (out.size != expected.size || memcmp(out.bytes, expected.bytes, out.size) != 0)
		abort();
	mask_free(&mask);
	return 0;
}
