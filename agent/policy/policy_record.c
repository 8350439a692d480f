/* SPDX-License-Identifier: ISC */
#include "policy_record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "records.h"

#define RECORD_POLICY 4

#define FIELD_ROOM 64 /* for headers and numbers, a file or a name */

size_t policy_record_room(const struct policy_source *source)
{
	size_t room = 256;

	for (size_t i = 0; i < source->file_count; i++)
		room += strlen(source->files[i].name) + source->files[i].size + FIELD_ROOM;
	for (size_t i = 0; source->policy && i < policy_name_count(source->policy); i++)
		room += strlen(policy_name_at(source->policy, i).name) + FIELD_ROOM;
	return room;
}

static void put_files(struct wire_writer *writer, const struct policy_source *source)
{
	size_t list = wire_list_begin(writer, RECORD_TAG_ITEMS);

	for (size_t i = 0; i < source->file_count; i++) {
		size_t item = wire_item_begin(writer);
		wire_put_text(writer, RECORD_TAG_NAME, source->files[i].name);
		wire_put(writer, RECORD_TAG_CHUNK, source->files[i].text, source->files[i].size);
		wire_item_end(writer, item);
	}
	wire_list_end(writer, list);
}

static void put_names(struct wire_writer *writer, const struct policy_source *source,
	enum policy_name_kind kind, unsigned tag)
{
	size_t list = wire_list_begin(writer, tag);

	for (size_t i = 0; source->policy && i < policy_name_count(source->policy); i++) {
		struct policy_name name = policy_name_at(source->policy, i);
		if (name.kind != kind)
			continue;
		size_t item = wire_item_begin(writer);
		wire_put_text(writer, RECORD_TAG_NAME, name.name);
		wire_put_number(writer, RECORD_TAG_NUMBER, source->ids[i]);
		wire_item_end(writer, item);
	}
	wire_list_end(writer, list);
}

enum mortise_status policy_record_write(
	const struct policy_source *source, uint8_t *buffer, size_t capacity, size_t *out_size)
{
	struct wire_writer writer;

	wire_begin(&writer, buffer, capacity, RECORD_POLICY, 0);
	put_files(&writer, source);
	wire_put(&writer, RECORD_TAG_TOKEN, source->token, sizeof source->token);
	wire_put_number(&writer, RECORD_TAG_NUMBER, source->uid);
	wire_put_number(&writer, RECORD_TAG_TIME, source->time_us);
	put_names(&writer, source, POLICY_USER, RECORD_TAG_USERS);
	put_names(&writer, source, POLICY_GROUP, RECORD_TAG_GROUPS);
	size_t size = wire_finish(&writer);
	if (!size)
		return MORTISE_INVALID;
	*out_size = size;
	return MORTISE_OK;
}

static enum mortise_status parse(const uint8_t *record, size_t size, struct wire_message *out)
{
	struct wire_message message;

	if (wire_parse(record, size, &message) != MORTISE_OK || message.code != RECORD_POLICY ||
		wire_field_of(&message, RECORD_TAG_TOKEN)->size != WIRE_TOKEN_SIZE)
		return MORTISE_INTEGRITY;
	*out = message;
	return MORTISE_OK;
}

static enum mortise_status read_files(const struct wire_message *record, struct policy_files *files)
{
	struct wire_list list = wire_list_of(record, RECORD_TAG_ITEMS);
	struct wire_field item;

	files->count = 0;
	while (wire_list_next(&list, &item)) {
		struct wire_message fields;
		size_t at = files->count;
		if (at == POLICY_FILES_MAX ||
			wire_parse_fields(item.bytes, item.size, &fields) != MORTISE_OK ||
			wire_text(&fields, RECORD_TAG_NAME, files->names[at],
				POLICY_FILE_NAME_MAX) != MORTISE_OK)
			return MORTISE_INTEGRITY;
		struct wire_field text = *wire_field_of(&fields, RECORD_TAG_CHUNK);
		files->files[at] = (struct policy_file){
			files->names[at], text.bytes ? (const char *)text.bytes : "", text.size};
		files->count++;
	}
	return wire_list_is_whole(&list) ? MORTISE_OK : MORTISE_INTEGRITY;
}

/* Pins were written in the order of the policy's names of that kind. */
static enum mortise_status pin(struct policy *policy, const struct wire_message *record,
	enum policy_name_kind kind, unsigned tag)
{
	struct wire_list list = wire_list_of(record, tag);
	struct wire_field item;

	for (size_t i = 0; i < policy_name_count(policy); i++) {
		struct policy_name name = policy_name_at(policy, i);
		struct wire_message fields;
		uint64_t id = 0;
		if (name.kind != kind)
			continue;
		if (!wire_list_next(&list, &item) ||
			wire_parse_fields(item.bytes, item.size, &fields) != MORTISE_OK ||
			wire_number(&fields, RECORD_TAG_NUMBER, &id) != MORTISE_OK ||
			wire_field_of(&fields, RECORD_TAG_NAME)->size != strlen(name.name) ||
			memcmp(wire_field_of(&fields, RECORD_TAG_NAME)->bytes, name.name,
				strlen(name.name)) != 0 ||
			id > UINT32_MAX)
			return MORTISE_INTEGRITY;
		policy_pin(policy, i, (uint32_t)id);
	}
	return list.at == list.end ? MORTISE_OK : MORTISE_INTEGRITY;
}

/* What would be refused today was never written. */
static enum mortise_status as_written(enum mortise_status status)
{
	return status == MORTISE_REJECTED ? MORTISE_INTEGRITY : status;
}

static void drop_policy(struct policy **policy)
{
	policy_free(*policy);
}

static void release(struct policy_files **files)
{
	free(*files);
}

enum mortise_status policy_record_compile(
	const uint8_t *record, size_t size, struct policy **out_policy)
{
	CLEANUP(release) struct policy_files *files = calloc(1, sizeof *files);
	CLEANUP(drop_policy) struct policy *policy = NULL;
	struct policy_error error;
	struct wire_message message;

	if (!files)
		return MORTISE_BUSY;
	TRY(parse(record, size, &message));
	TRY(read_files(&message, files));
	TRY(as_written(policy_parse(files->files, files->count, &policy, &error)));
	TRY(pin(policy, &message, POLICY_USER, RECORD_TAG_USERS));
	TRY(pin(policy, &message, POLICY_GROUP, RECORD_TAG_GROUPS));
	TRY(as_written(policy_compile(policy, &error)));
	*out_policy = policy;
	policy = NULL;
	return MORTISE_OK;
}

enum mortise_status policy_record_files(
	const uint8_t *record, size_t size, struct policy_files *out_files)
{
	struct wire_message message;

	TRY(parse(record, size, &message));
	return read_files(&message, out_files);
}

bool policy_record_has_token(
	const uint8_t *record, size_t size, const uint8_t token[WIRE_TOKEN_SIZE])
{
	struct wire_message message;

	return parse(record, size, &message) == MORTISE_OK &&
	       memcmp(wire_field_of(&message, RECORD_TAG_TOKEN)->bytes, token, WIRE_TOKEN_SIZE) ==
		       0;
}

enum mortise_status policy_record_text(
	const uint8_t *record, size_t size, char **out_text, size_t *out_size)
{
	CLEANUP(release) struct policy_files *files = calloc(1, sizeof *files);
	size_t room = size + 1, used = 0;

	if (!files)
		return MORTISE_BUSY;
	TRY(policy_record_files(record, size, files));
	room += files->count * FIELD_ROOM;
	char *text = malloc(room);
	if (!text)
		return MORTISE_BUSY;
	for (size_t i = 0; i < files->count; i++) {
		const struct policy_file *file = &files->files[i];
		used += (size_t)snprintf(
			text + used, room - used, "%s; file: %s\n", i ? "\n" : "", file->name);
		memcpy(text + used, file->text, file->size);
		used += file->size;
	}
	*out_text = text;
	*out_size = used;
	return MORTISE_OK;
}

void policy_staging_free(struct policy_staging *staging)
{
	if (!staging)
		return;
	for (size_t i = 0; i < staging->in.count; i++)
		free(staging->texts[i]);
	free(staging->record);
	free(staging);
}
