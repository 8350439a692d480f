/* SPDX-License-Identifier: ISC */
#include "load_frames.h"

#include <string.h>

#define PATH       "sec/00000000"
#define PATH_SIZE  (sizeof PATH - 1)
#define DIGITS     8
#define VALUE_SIZE 256

static void write_get(struct pattern *get)
{
	struct wire_writer writer;
	size_t list;

	wire_begin(&writer, get->bytes, sizeof get->bytes, WIRE_GET, 1);
	list = wire_list_begin(&writer, WIRE_TAG_PATHS);
	wire_item_put(&writer, PATH, PATH_SIZE);
	get->path_digits = writer.size - DIGITS;
	wire_list_end(&writer, list);
	get->size = wire_finish(&writer);
}

/* The version is 1: nobody but the load has set these secrets, and once. */
static void write_got(struct pattern *got, const uint8_t *value)
{
	struct wire_writer writer;
	size_t list, item;

	wire_begin(&writer, got->bytes, sizeof got->bytes, MORTISE_OK, 1);
	list = wire_list_begin(&writer, WIRE_TAG_ITEMS);
	item = wire_item_begin(&writer);
	wire_put_number(&writer, WIRE_TAG_VERSION, 1);
	wire_put(&writer, WIRE_TAG_VALUE, value, VALUE_SIZE);
	got->value_digits = writer.size - VALUE_SIZE;
	wire_put_number(&writer, WIRE_TAG_STATUS, MORTISE_OK);
	wire_item_end(&writer, item);
	wire_list_end(&writer, list);
	got->size = wire_finish(&writer);
}

static void write_set(struct pattern *set, const uint8_t *value)
{
	static const uint8_t token[WIRE_TOKEN_SIZE] = {0};
	struct wire_writer writer;

	wire_begin(&writer, set->bytes, sizeof set->bytes, WIRE_SET, 1);
	wire_put(&writer, WIRE_TAG_PATH, PATH, PATH_SIZE);
	set->path_digits = writer.size - DIGITS;
	wire_put(&writer, WIRE_TAG_VALUE, value, VALUE_SIZE);
	set->value_digits = writer.size - VALUE_SIZE;
	wire_put(&writer, WIRE_TAG_TOKEN, token, sizeof token);
	set->size = wire_finish(&writer);
}

bool patterns_init(struct patterns *patterns)
{
	uint8_t value[VALUE_SIZE];

	memset(value, 'v', sizeof value);
	*patterns = (struct patterns){0};
	write_get(&patterns->get);
	write_got(&patterns->got, value);
	write_set(&patterns->set, value);
	return patterns->get.size != 0 && patterns->got.size != 0 && patterns->set.size != 0;
}

static void put_digits(uint8_t *at, unsigned number)
{
	for (unsigned i = DIGITS; i > 0; number /= 10)
		at[--i] = (uint8_t)('0' + number % 10);
}

void pattern_set_number(struct pattern *pattern, unsigned number)
{
	if (pattern->path_digits != 0)
		put_digits(pattern->bytes + pattern->path_digits, number);
	if (pattern->value_digits != 0)
		put_digits(pattern->bytes + pattern->value_digits, number);
}

size_t frame_answer_greet(const uint8_t *frame, size_t size, uint8_t *hello, size_t hello_capacity)
{
	struct wire_message message;
	struct wire_writer writer;

	if (wire_parse(frame, size, &message) != MORTISE_OK || message.code != WIRE_GREET)
		return 0;
	wire_begin(&writer, hello, hello_capacity, WIRE_HELLO, 1);
	wire_put(&writer, WIRE_TAG_CHALLENGE, wire_field_of(&message, WIRE_TAG_CHALLENGE)->bytes,
		wire_field_of(&message, WIRE_TAG_CHALLENGE)->size);
	return wire_finish(&writer);
}
