/* SPDX-License-Identifier: ISC */
/*
 * libFuzzer on the reader of .env files, and on what import --rewrite makes of one: any bytes are
 * read or refused; every chosen value has become a reference to its path, every other one is what
 * it was, and no byte beside the values has changed.
 */
#include <stdlib.h>
#include <string.h>

#include "envfile.h"
#include "import.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static const struct cli quiet = {.is_quiet = true};

static void require(bool is_true)
{
	if (!is_true)
		abort();
}

static enum mortise_status append(void *context, const void *bytes, size_t size)
{
	struct input *text = context;

	require(size <= sizeof text->bytes - 1 - text->size);
	memcpy(text->bytes + text->size, bytes, size);
	text->size += size;
	return MORTISE_OK;
}

static bool read_text(struct import_file *file, const uint8_t *bytes, size_t size)
{
	*file = (struct import_file){.name = "-", .text = input_new(), .parsed = input_new()};
	require(file->text != NULL && file->parsed != NULL);
	require(append(file->text, bytes, size) == MORTISE_OK);
	return import_file_parse(&quiet, file) == CLI_DONE;
}

/* Values stand one behind the other, each in the text; a plain one is there byte for byte. */
static void check_places(const struct import_file *file)
{
	size_t end = 0;

	for (size_t i = 0; i < file->count; i++) {
		const struct import_entry *entry = &file->entries[i];

		require(entry->from >= end && entry->from <= entry->to &&
			entry->to <= file->text->size);
		require(strlen(entry->value) <= entry->to - entry->from);
		require(envfile_is_name(entry->name, strlen(entry->name)));
		end = entry->to;
	}
}

/* Those of which the first byte says so, and that make a path. */
static void choose(struct import_file *file, unsigned what)
{
	for (size_t i = 0; i < file->count; i++) {
		struct import_entry *entry = &file->entries[i];

		entry->is_chosen = !import_file_is_reference(entry) && (what >> (i % 8) & 1) != 0 &&
				   envfile_path_of("p", entry->name, entry->path);
	}
}

static void check_rewritten(const struct import_file *file)
{
	struct import_file again;
	struct input *text = input_new();

	require(text != NULL);
	if (import_file_rewritten_size(file) > MORTISE_VALUE_MAX) {
		input_free(&text);
		return;
	}
	require(import_file_put(file, append, text) == MORTISE_OK);
	require(text->size == import_file_rewritten_size(file));
	require(read_text(&again, text->bytes, text->size) && again.count == file->count);
	for (size_t i = 0; i < file->count; i++) {
		const struct import_entry *before = &file->entries[i], *after = &again.entries[i];

		require(strcmp(before->name, after->name) == 0);
		if (!before->is_chosen)
			require(strcmp(before->value, after->value) == 0);
		else
			require(import_file_is_reference(after) &&
				strcmp(after->value + strlen(ENVFILE_REFERENCE), before->path) ==
					0);
	}
	import_file_done(&again);
	input_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct import_file file;

	if (size == 0 || size > MORTISE_VALUE_MAX)
		return 0;
	if (read_text(&file, bytes + 1, size - 1)) {
		check_places(&file);
		choose(&file, bytes[0]);
		check_rewritten(&file);
	}
	import_file_done(&file);
	return 0;
}
