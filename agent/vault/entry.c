/* SPDX-License-Identifier: ISC */
#include "entry.h"

#include <stdlib.h>
#include <string.h>

#include "records.h"
#include "wire.h"

#define RECORD_SECRET 8 /* of docs/store.md */

static void release(uint8_t **bytes)
{
	free(*bytes);
}

static enum mortise_status take_version(
	const struct wire_field *item, uint64_t above, struct entry_version *out_version)
{
	struct entry_version version = {.number = 0};
	struct wire_message fields;

	if (wire_parse_fields(item->bytes, item->size, &fields) != MORTISE_OK ||
		!wire_has_fields(&fields,
			WIRE_TAGS(RECORD_TAG_VERSION, RECORD_TAG_PLACE, RECORD_TAG_INFO,
				RECORD_TAG_WRAPPED),
			NULL) ||
		wire_number(&fields, RECORD_TAG_VERSION, &version.number) != MORTISE_OK ||
		wire_number(&fields, RECORD_TAG_PLACE, &version.place) != MORTISE_OK ||
		wire_field_of(&fields, RECORD_TAG_WRAPPED)->size != ENTRY_KEY_SIZE ||
		version.number <= above || version.number > ENTRY_NUMBER_MAX ||
		version.place == 0 || version.place > STORE_PLACE_MAX)
		return MORTISE_INTEGRITY;
	version.wrapped_key = wire_field_of(&fields, RECORD_TAG_WRAPPED)->bytes;
	const struct wire_field *info = wire_field_of(&fields, RECORD_TAG_INFO);
	version.info = (struct store_bytes){info->bytes, info->size};
	*out_version = version;
	return MORTISE_OK;
}

static enum mortise_status parse(
	const uint8_t *record, size_t size, struct wire_message *out_message, size_t *out_versions)
{
	struct wire_field item;
	size_t count = 0;

	if (wire_parse(record, size, out_message) != MORTISE_OK ||
		out_message->code != RECORD_SECRET || out_message->request_id != 0 ||
		!wire_has_fields(out_message,
			WIRE_TAGS(RECORD_TAG_ITEMS, RECORD_TAG_HEAD, RECORD_TAG_PATH_HASH), NULL) ||
		wire_field_of(out_message, RECORD_TAG_PATH_HASH)->size != INDEX_PATH_SIZE)
		return MORTISE_INTEGRITY;
	struct wire_list list = wire_list_of(out_message, RECORD_TAG_ITEMS);
	while (wire_list_next(&list, &item))
		count++;
	if (!wire_list_is_whole(&list) || count > ENTRY_VERSIONS_MAX)
		return MORTISE_INTEGRITY;
	*out_versions = count;
	return MORTISE_OK;
}

/* The record is at a place that stays. */
static enum mortise_status fill(struct entry *entry, const struct wire_message *message)
{
	const struct wire_field *head = wire_field_of(message, RECORD_TAG_HEAD);
	struct wire_list list = wire_list_of(message, RECORD_TAG_ITEMS);
	struct wire_field item;
	uint64_t above = 0;

	memcpy(entry->path_hash, wire_field_of(message, RECORD_TAG_PATH_HASH)->bytes,
		INDEX_PATH_SIZE);
	entry->head = (struct store_bytes){head->bytes, head->size};
	for (size_t i = 0; wire_list_next(&list, &item); i++) {
		TRY(take_version(&item, above, &entry->versions[i]));
		above = entry->versions[i].number;
	}
	return MORTISE_OK;
}

enum mortise_status entry_take(
	uint64_t number, uint8_t *record, size_t size, struct entry **out_entry)
{
	CLEANUP(release) uint8_t *owned = record;
	CLEANUP(entry_drop) struct entry *entry = NULL;
	struct wire_message message;
	size_t count = 0;

	TRY(parse(record, size, &message, &count));
	entry = calloc(1, sizeof *entry + count * sizeof *entry->versions);
	if (!entry)
		return MORTISE_BUSY;
	entry->holders = 1;
	entry->number = number;
	entry->record = owned;
	owned = NULL;
	entry->record_size = size;
	entry->version_count = count;
	TRY(fill(entry, &message));
	*out_entry = entry;
	entry = NULL;
	return MORTISE_OK;
}

static size_t write_record(const struct entry_parts *parts, uint8_t *buffer, size_t capacity)
{
	struct wire_writer writer;

	wire_begin(&writer, buffer, capacity, RECORD_SECRET, 0);
	size_t list = wire_list_begin(&writer, RECORD_TAG_ITEMS);
	for (size_t i = 0; i < parts->version_count; i++) {
		const struct entry_version *version = &parts->versions[i];
		size_t item = wire_item_begin(&writer);
		wire_put_number(&writer, RECORD_TAG_VERSION, version->number);
		wire_put_number(&writer, RECORD_TAG_PLACE, version->place);
		wire_put(&writer, RECORD_TAG_INFO, version->info.bytes, version->info.size);
		wire_put(&writer, RECORD_TAG_WRAPPED, version->wrapped_key, ENTRY_KEY_SIZE);
		wire_item_end(&writer, item);
	}
	wire_list_end(&writer, list);
	wire_put(&writer, RECORD_TAG_HEAD, parts->head.bytes, parts->head.size);
	wire_put(&writer, RECORD_TAG_PATH_HASH, parts->path_hash, INDEX_PATH_SIZE);
	return wire_finish(&writer);
}

/* Enough, whatever is between the fields. */
static size_t room_for(const struct entry_parts *parts)
{
	size_t room = 128 + parts->head.size + INDEX_PATH_SIZE;

	for (size_t i = 0; i < parts->version_count; i++)
		room += 64 + parts->versions[i].info.size + ENTRY_KEY_SIZE;
	return room;
}

enum mortise_status entry_new(
	uint64_t number, const struct entry_parts *parts, struct entry **out_entry)
{
	size_t room = room_for(parts);
	uint8_t *record = malloc(room);

	if (!record)
		return MORTISE_BUSY;
	size_t size = write_record(parts, record, room);
	if (!size || size > STORE_RECORD_MAX) {
		free(record);
		return MORTISE_INVALID;
	}
	TRY(entry_take(number, record, size, out_entry));
	for (size_t i = 0; i < parts->version_count; i++)
		(*out_entry)->versions[i].said = parts->versions[i].said;
	return MORTISE_OK;
}

struct entry *entry_hold(struct entry *entry)
{
	entry->holders++;
	return entry;
}

void entry_drop(struct entry **entry)
{
	struct entry *gone = *entry;

	*entry = NULL;
	if (!gone || --gone->holders > 0)
		return;
	free(gone->record);
	free(gone);
}

const struct entry_version *entry_version(const struct entry *entry, uint64_t number)
{
	for (size_t i = entry->version_count; i > 0; i--)
		if (entry->versions[i - 1].number == number)
			return &entry->versions[i - 1];
	return NULL;
}

struct store_place entry_place(const struct entry *entry, const struct entry_version *version)
{
	return (struct store_place){version->place, entry->number, version->number};
}

size_t entry_size(const struct entry *entry)
{
	return sizeof *entry + entry->version_count * sizeof *entry->versions + entry->record_size;
}

void entry_part(const struct entry *entry, struct entry_parts *out_parts)
{
	memcpy(out_parts->path_hash, entry->path_hash, sizeof out_parts->path_hash);
	out_parts->head = entry->head;
	out_parts->version_count = entry->version_count;
	memcpy(out_parts->versions, entry->versions,
		entry->version_count * sizeof out_parts->versions[0]);
}

enum mortise_status entry_parts_add(struct entry_parts *parts, const struct entry_version *version)
{
	if (parts->version_count == ENTRY_VERSIONS_MAX)
		return MORTISE_CONFLICT;
	parts->versions[parts->version_count++] = *version;
	return MORTISE_OK;
}

void entry_parts_remove(struct entry_parts *parts, size_t position)
{
	parts->version_count--;
	memmove(parts->versions + position, parts->versions + position + 1,
		(parts->version_count - position) * sizeof parts->versions[0]);
}
