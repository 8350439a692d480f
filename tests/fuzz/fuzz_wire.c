/* SPDX-License-Identifier: ISC */
/*
 * libFuzzer on wire: what is accepted must be written back byte for byte, and lists must be
 * walked without leaving the frame.
 */
#include <stdlib.h>
#include <string.h>

#include "wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void walk(const struct wire_message *message)
{
	for (unsigned at = 0; at < message->count; at++) {
		struct wire_list list = wire_list_of(message, message->tag[at]);
		struct wire_message inner;
		struct wire_field item;
		volatile uint8_t sum = 0;

		while (wire_list_next(&list, &item)) {
			for (size_t i = 0; i < item.size; i++)
				sum = (uint8_t)(sum + item.bytes[i]);
			if (wire_parse_fields(item.bytes, item.size, &inner) == MORTISE_OK &&
				inner.code != 0)
				abort();
		}
		if (wire_list_is_whole(&list) != (list.at == list.end))
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static uint8_t copy[WIRE_FRAME_MAX];
	struct wire_message message;
	struct wire_writer writer;

	if (wire_parse(bytes, size, &message) != MORTISE_OK)
		return 0;
	walk(&message);
	wire_begin(&writer, copy, sizeof copy, message.code, message.request_id);
	for (unsigned i = 0; i < message.count; i++) {
		if (wire_field_of(&message, message.tag[i]) != &message.field[i])
			abort();
		wire_put(&writer, message.tag[i], message.field[i].bytes, message.field[i].size);
	}
	if (wire_finish(&writer) != size || memcmp(copy, bytes, size) != 0)
		abort();
	return 0;
}
