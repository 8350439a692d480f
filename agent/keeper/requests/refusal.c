/* SPDX-License-Identifier: ISC */
#include "refusal.h"

#include "wire.h"

const char *refusal_words(enum mortise_status status)
{
	return status == MORTISE_IO
		       ? "the store could not be read or written; is the disk full or failing?"
		       : mortise_status_text(status);
}

size_t refusal_write(uint32_t request_id, enum mortise_status status, const char *text,
	uint8_t *reply, size_t capacity)
{
	struct wire_writer writer;

	wire_begin(&writer, reply, capacity, (uint16_t)status, request_id);
	wire_put_text(&writer, WIRE_TAG_TEXT, text[0] ? text : refusal_words(status));
	return wire_finish(&writer);
}
