/* SPDX-License-Identifier: ISC */
#include <stdlib.h>

#include "backup.h"
#include "exchange.h"

static enum mortise_status fail_busy(struct exchange *exchange)
{
	return exchange_fail(
		exchange, MORTISE_BUSY, "somebody else is making a backup just now; try again");
}

/* The copy grows by as much as a turn can spare. */
static enum mortise_status make_more(struct exchange *exchange)
{
	uint64_t done = 0, total = 0;
	enum mortise_status status =
		lifecycle_copy(exchange->agent->lifecycle, exchange->from, &done, &total);

	if (status == MORTISE_BUSY)
		return fail_busy(exchange);
	if (status == MORTISE_IO)
		return exchange_fail(exchange, status,
			"the copy could not be made in the store's directory: is its disk full?");
	TRY(status);
	exchange->from->backup = lifecycle_backup(exchange->agent->lifecycle);
	/* Many requests make one backup, which has one line: its first. */
	exchange_go_on(exchange, "copy", 4);
	exchange_next_page(exchange, "copy", 4);
	wire_put_number(exchange->reply, WIRE_TAG_DONE, done);
	wire_put_number(exchange->reply, WIRE_TAG_TOTAL, total);
	return MORTISE_OK;
}

static enum mortise_status read_more(struct exchange *exchange, uint64_t offset)
{
	uint8_t *chunk = malloc(WIRE_CHUNK_MAX);
	size_t size = 0;

	if (!chunk)
		return MORTISE_BUSY;
	exchange_go_on(exchange, "copy", 4);
	exchange_next_page(exchange, "copy", 4);
	enum mortise_status status = backup_read(lifecycle_backup(exchange->agent->lifecycle),
		exchange->from, offset, chunk, WIRE_CHUNK_MAX, &size);
	if (status == MORTISE_OK) {
		wire_put(exchange->reply, WIRE_TAG_CHUNK, chunk, size);
		if (size)
			wire_put_number(exchange->reply, WIRE_TAG_MORE, 1);
	}
	free(chunk);
	if (status == MORTISE_NOT_FOUND)
		return exchange_fail(exchange, MORTISE_INVALID,
			"no copy is whole on this connection; it was made anew or taken away");
	return status;
}

enum mortise_status request_backup(struct exchange *exchange)
{
	uint64_t offset = 0;

	if (!wire_has(exchange->request, WIRE_TAG_OFFSET))
		return make_more(exchange);
	TRY(wire_number(exchange->request, WIRE_TAG_OFFSET, &offset));
	return read_more(exchange, offset);
}
