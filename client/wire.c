/* SPDX-License-Identifier: ISC */
#include "wire.h"

#include <string.h>

#include "little_endian.h"

#define FIELD_HEADER_SIZE 6
#define ITEM_HEADER_SIZE  4
#define NO_FIELD_HERE     UINT16_MAX /* as last_tag: between a list's items nothing may be put */

void wire_begin(struct wire_writer *writer, uint8_t *buffer, size_t capacity, uint16_t code,
	uint32_t request_id)
{
	*writer = (struct wire_writer){
		.bytes = buffer,
		.capacity = capacity < WIRE_RECORD_MAX ? capacity : WIRE_RECORD_MAX,
		.size = WIRE_HEADER_SIZE,
		.failed = capacity < WIRE_HEADER_SIZE,
	};
	if (writer->failed)
		return;
	le16_put(buffer, WIRE_VERSION);
	le16_put(buffer + 2, code);
	le32_put(buffer + 4, request_id);
	le32_put(buffer + 8, 0);
}

/* Room for size more bytes, or NULL with the writer failed. */
static uint8_t *reserve(struct wire_writer *writer, size_t size)
{
	uint8_t *at;

	if (writer->failed || size > writer->capacity - writer->size) {
		writer->failed = true;
		return NULL;
	}
	at = writer->bytes + writer->size;
	writer->size += size;
	return at;
}

static uint8_t *reserve_field(struct wire_writer *writer, unsigned tag, size_t size)
{
	uint8_t *at;

	if (tag >= WIRE_TAG_LIMIT || tag <= writer->last_tag || size > WIRE_RECORD_MAX)
		writer->failed = true;
	at = reserve(writer, FIELD_HEADER_SIZE + size);
	if (!at)
		return NULL;
	le16_put(at, (uint16_t)tag);
	le32_put(at + 2, (uint32_t)size);
	writer->last_tag = (uint16_t)tag;
	return at + FIELD_HEADER_SIZE;
}

void wire_put(struct wire_writer *writer, unsigned tag, const void *bytes, size_t size)
{
	uint8_t *at = reserve_field(writer, tag, size);

	if (at && size > 0)
		memcpy(at, bytes, size);
}

void wire_put_text(struct wire_writer *writer, unsigned tag, const char *text)
{
	wire_put(writer, tag, text, strlen(text));
}

void wire_put_number(struct wire_writer *writer, unsigned tag, uint64_t number)
{
	uint8_t bytes[8];

	le64_put(bytes, number);
	wire_put(writer, tag, bytes, sizeof bytes);
}

/* The mark is where the field's header stands: its tag is the outer run's last one. */
size_t wire_list_begin(struct wire_writer *writer, unsigned tag)
{
	size_t mark = writer->size;

	if (!reserve_field(writer, tag, 0))
		return 0;
	writer->last_tag = NO_FIELD_HERE;
	return mark;
}

void wire_list_end(struct wire_writer *writer, size_t mark)
{
	if (writer->failed)
		return;
	le32_put(writer->bytes + mark + 2, (uint32_t)(writer->size - mark - FIELD_HEADER_SIZE));
	writer->last_tag = le16_get(writer->bytes + mark);
}

void wire_item_put(struct wire_writer *writer, const void *bytes, size_t size)
{
	uint8_t *at;

	if (size > WIRE_RECORD_MAX)
		writer->failed = true;
	at = reserve(writer, ITEM_HEADER_SIZE + size);
	if (!at)
		return;
	le32_put(at, (uint32_t)size);
	if (size > 0)
		memcpy(at + ITEM_HEADER_SIZE, bytes, size);
}

size_t wire_item_begin(struct wire_writer *writer)
{
	size_t mark = writer->size;

	if (!reserve(writer, ITEM_HEADER_SIZE))
		return 0;
	writer->last_tag = 0;
	return mark;
}

void wire_item_end(struct wire_writer *writer, size_t mark)
{
	if (writer->failed)
		return;
	le32_put(writer->bytes + mark, (uint32_t)(writer->size - mark - ITEM_HEADER_SIZE));
	writer->last_tag = NO_FIELD_HERE;
}

size_t wire_finish(struct wire_writer *writer)
{
	if (writer->failed || writer->last_tag == NO_FIELD_HERE) {
		writer->failed = true;
		return 0;
	}
	le32_put(writer->bytes + 8, (uint32_t)(writer->size - WIRE_HEADER_SIZE));
	return writer->size;
}

static enum mortise_status parse_run(const uint8_t *at, size_t size, struct wire_message *message)
{
	unsigned last_tag = 0;

	while (size > 0) {
		unsigned tag;
		uint32_t field_size;

		if (size < FIELD_HEADER_SIZE)
			return MORTISE_INVALID;
		tag = le16_get(at);
		field_size = le32_get(at + 2);
		at += FIELD_HEADER_SIZE;
		size -= FIELD_HEADER_SIZE;
		if (tag <= last_tag || tag >= WIRE_TAG_LIMIT || field_size > size ||
			message->count == WIRE_FIELDS_MAX)
			return MORTISE_INVALID;
		message->tag[message->count] = (uint16_t)tag;
		message->field[message->count++] = (struct wire_field){at, field_size};
		last_tag = tag;
		at += field_size;
		size -= field_size;
	}
	return MORTISE_OK;
}

/* A message that is not whole has no fields. */
static enum mortise_status parse_message(
	const uint8_t *at, size_t size, struct wire_message *message)
{
	enum mortise_status status;

	message->count = 0;
	status = parse_run(at, size, message);
	if (status != MORTISE_OK)
		message->count = 0;
	return status;
}

enum mortise_status wire_parse(const uint8_t *frame, size_t size, struct wire_message *out_message)
{
	out_message->count = 0;
	if (size < WIRE_HEADER_SIZE || size > WIRE_RECORD_MAX || le16_get(frame) != WIRE_VERSION ||
		le32_get(frame + 8) != size - WIRE_HEADER_SIZE)
		return MORTISE_INVALID;
	out_message->code = le16_get(frame + 2);
	out_message->request_id = le32_get(frame + 4);
	return parse_message(frame + WIRE_HEADER_SIZE, size - WIRE_HEADER_SIZE, out_message);
}

uint16_t wire_code(const uint8_t header[WIRE_HEADER_SIZE])
{
	return le16_get(header + 2);
}

enum mortise_status wire_parse_fields(
	const uint8_t *fields, size_t size, struct wire_message *out_message)
{
	out_message->code = 0;
	out_message->request_id = 0;
	return parse_message(fields, size, out_message);
}

const struct wire_field *wire_field_of(const struct wire_message *message, unsigned tag)
{
	static const struct wire_field none;

	for (unsigned i = 0; i < message->count && message->tag[i] <= tag; i++)
		if (message->tag[i] == tag)
			return &message->field[i];
	return &none;
}

static bool is_in(unsigned tag, const uint16_t tags[])
{
	for (; tags && *tags != 0; tags++)
		if (*tags == tag)
			return true;
	return false;
}

bool wire_has_fields(
	const struct wire_message *message, const uint16_t needed[], const uint16_t possible[])
{
	for (unsigned i = 0; i < message->count; i++)
		if (!is_in(message->tag[i], needed) && !is_in(message->tag[i], possible))
			return false;
	for (; needed && *needed != 0; needed++)
		if (!wire_has(message, *needed))
			return false;
	return true;
}

enum mortise_status wire_number(
	const struct wire_message *message, unsigned tag, uint64_t *out_number)
{
	const struct wire_field *field = wire_field_of(message, tag);

	if (!field->bytes || field->size != 8)
		return MORTISE_INVALID;
	*out_number = le64_get(field->bytes);
	return MORTISE_OK;
}

enum mortise_status wire_text(
	const struct wire_message *message, unsigned tag, char *buffer, size_t buffer_size)
{
	const struct wire_field *field = wire_field_of(message, tag);

	if (!field->bytes || field->size >= buffer_size || memchr(field->bytes, 0, field->size))
		return MORTISE_INVALID;
	memcpy(buffer, field->bytes, field->size);
	buffer[field->size] = '\0';
	return MORTISE_OK;
}

struct wire_list wire_list_of(const struct wire_message *message, unsigned tag)
{
	const struct wire_field *field = wire_field_of(message, tag);

	if (!field->bytes)
		return (struct wire_list){0};
	return (struct wire_list){.at = field->bytes, .end = field->bytes + field->size};
}

bool wire_list_next(struct wire_list *list, struct wire_field *out_item)
{
	size_t left = (size_t)(list->end - list->at);
	uint32_t size;

	if (left < ITEM_HEADER_SIZE)
		return false;
	size = le32_get(list->at);
	if (size > left - ITEM_HEADER_SIZE)
		return false;
	*out_item = (struct wire_field){.bytes = list->at + ITEM_HEADER_SIZE, .size = size};
	list->at += ITEM_HEADER_SIZE + size;
	return true;
}

bool wire_list_is_whole(const struct wire_list *list)
{
	return list->at == list->end;
}
