/* SPDX-License-Identifier: ISC */
#include "listing.h"

#include <stdlib.h>
#include <string.h>

#include "ask.h"

#define CURSOR_MAX 512

struct cursor {
	uint8_t bytes[CURSOR_MAX];
	size_t size;
};

static bool grow(struct listing *listing)
{
	size_t capacity = listing->capacity == 0 ? 256 : listing->capacity * 2;
	struct listing_entry *entries;

	if (listing->count < listing->capacity)
		return true;
	entries = reallocarray(listing->entries, capacity, sizeof *entries);
	if (entries == NULL)
		return false;
	listing->entries = entries;
	listing->capacity = capacity;
	return true;
}

/* Is it the prefix itself, or below it? */
static bool is_below(const char *path, const char *prefix)
{
	size_t size = strlen(prefix);

	return size == 0 ||
	       (strncmp(path, prefix, size) == 0 && (path[size] == '/' || path[size] == '\0'));
}

static uint64_t due_of(const struct wire_message *item)
{
	uint64_t age_s = ask_number(item, WIRE_TAG_MAX_AGE, 0);
	uint64_t made_us = ask_number(item, WIRE_TAG_NUMBER, 0);

	return age_s && made_us ? made_us + age_s * 1000000 : 0;
}

static enum mortise_status add_items(const struct cli *cli, const struct wire_message *reply,
	const char *prefix, struct listing *listing)
{
	struct wire_list items = wire_list_of(reply, WIRE_TAG_ITEMS);
	struct wire_message item;

	while (ask_next(&items, &item)) {
		struct listing_entry *entry;

		if (!grow(listing))
			return client_fail(cli->agent, MORTISE_IO, "out of memory");
		entry = &listing->entries[listing->count];
		if (wire_text(&item, WIRE_TAG_PATH, entry->path, MORTISE_PATH_MAX + 1) !=
			MORTISE_OK)
			return client_fail(
				cli->agent, MORTISE_IO, "the agent's reply is malformed");
		entry->version = ask_number(&item, WIRE_TAG_VERSION, 0);
		entry->created_us = ask_number(&item, WIRE_TAG_TIME, 0);
		entry->due_us = due_of(&item);
		entry->is_deleted = ask_flag(&item, WIRE_TAG_DELETED);
		if (is_below(entry->path, prefix))
			listing->count++;
	}
	if (!wire_list_is_whole(&items))
		return client_fail(cli->agent, MORTISE_IO, "the agent's reply is malformed");
	return MORTISE_OK;
}

static enum mortise_status take_cursor(
	struct cli *cli, const struct wire_message *reply, struct cursor *cursor)
{
	const struct wire_field *field = &reply->field[WIRE_TAG_CURSOR];

	cursor->size = 0;
	if (!ask_flag(reply, WIRE_TAG_MORE))
		return MORTISE_OK;
	if (field->size == 0 || field->size > sizeof cursor->bytes)
		return client_fail(cli->agent, MORTISE_IO, "the agent's reply is malformed");
	memcpy(cursor->bytes, field->bytes, field->size);
	cursor->size = field->size;
	return MORTISE_OK;
}

enum mortise_status listing_collect(struct cli *cli, const char *prefix, struct listing *listing)
{
	struct cursor cursor = {.size = 0};

	do {
		struct wire_writer *writer = client_begin(cli->agent, WIRE_LIST);
		struct wire_message reply;

		if (cursor.size > 0)
			wire_put(writer, WIRE_TAG_CURSOR, cursor.bytes, cursor.size);
		if (prefix[0] != '\0')
			wire_put_text(writer, WIRE_TAG_PREFIX, prefix);
		TRY(client_call(cli->agent, &reply));
		listing->now_us = ask_number(&reply, WIRE_TAG_TIME, 0);
		TRY(add_items(cli, &reply, prefix, listing));
		TRY(take_cursor(cli, &reply, &cursor));
	} while (cursor.size > 0);
	return MORTISE_OK;
}

void listing_fold(struct listing *listing, const char *prefix)
{
	size_t size = strlen(prefix);

	for (size_t i = 0; i < listing->count; i++) {
		char *below = listing->entries[i].path + size, *slash;

		below += size > 0 && *below == '/';
		slash = strchr(below, '/');
		if (slash != NULL)
			slash[1] = '\0';
	}
}

static int compare(const void *one, const void *other)
{
	return strcmp(((const struct listing_entry *)one)->path,
		((const struct listing_entry *)other)->path);
}

void listing_settle(struct listing *listing)
{
	size_t kept = 0;

	if (listing->count == 0)
		return;
	qsort(listing->entries, listing->count, sizeof *listing->entries, compare);
	for (size_t i = 1; i < listing->count; i++)
		if (compare(&listing->entries[kept], &listing->entries[i]) != 0)
			listing->entries[++kept] = listing->entries[i];
	listing->count = kept + 1;
}

void listing_done(struct listing *listing)
{
	free(listing->entries);
	*listing = (struct listing){0};
}
