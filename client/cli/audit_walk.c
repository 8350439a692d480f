/* SPDX-License-Identifier: ISC */
#include "audit_walk.h"

#include <string.h>

#include "ask.h"

static enum mortise_status take_chunk(
	struct cli *cli, const struct wire_field *chunk, audit_walk_take *take, void *context)
{
	const char *at = (const char *)chunk->bytes, *end = at + chunk->size;

	while (at < end) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));

		if (newline == NULL)
			return client_fail(
				cli->agent, MORTISE_IO, "the agent's reply is malformed");
		TRY(take(context, at, (size_t)(newline - at)));
		at = newline + 1;
	}
	return MORTISE_OK;
}

enum mortise_status audit_walk(
	struct cli *cli, audit_walk_take *take, void *context, char out_damage[WIRE_TEXT_MAX])
{
	uint64_t offset = 0, next = 0, total = UINT64_MAX;

	do {
		struct wire_writer *writer = client_begin(cli->agent, WIRE_AUDIT_SHOW);
		struct wire_message reply;

		offset = next;
		wire_put_number(writer, WIRE_TAG_OFFSET, offset);
		TRY(client_call(cli->agent, &reply));
		if (out_damage != NULL &&
			wire_text(&reply, WIRE_TAG_TEXT, out_damage, WIRE_TEXT_MAX) != MORTISE_OK)
			out_damage[0] = '\0';
		TRY(take_chunk(cli, &reply.field[WIRE_TAG_CHUNK], take, context));
		next = ask_number(&reply, WIRE_TAG_OFFSET, offset);
		if (total == UINT64_MAX)
			total = ask_number(&reply, WIRE_TAG_TOTAL, 0);
	} while (next > offset && next < total);
	return MORTISE_OK;
}
