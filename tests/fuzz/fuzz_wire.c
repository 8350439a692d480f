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
	for (unsigned tag = 1; tag < WIRE_TAG_LIMIT; tag++) {
		struct wire_list list = wire_list_of(message, (enum wire_tag)tag);
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
	for (unsigned tag = 1; tag < WIRE_TAG_LIMIT; tag++)
		if (wire_has(&message, (enum wire_tag)tag))
			wire_put(&writer, (enum wire_tag)tag, message.field[tag].bytes,
				message.field[tag].size);
	if (wire_finish(&writer) != size || memcmp(copy, bytes, size) != 0)
		abort();
	return 0;
}
