/* SPDX-License-Identifier: ISC */
/* rekey: begun by one request, and looked at by those with its cursor. It goes on without them. */
#include <string.h>

#include "exchange.h"

#define CURSOR_SIZE 8

/* How it stands with the rekey that makes this epoch. */
static void put_page(struct exchange *exchange, const struct lifecycle_rekeying *rekeying)
{
	struct wire_writer *reply = exchange->reply;
	uint8_t cursor[CURSOR_SIZE];

	envelope_put_u64(cursor, rekeying->epoch);
	if (rekeying->is_under_way) {
		exchange_next_page(exchange, cursor, sizeof cursor);
		wire_put(reply, WIRE_TAG_CURSOR, cursor, sizeof cursor);
	}
	wire_put_number(reply, WIRE_TAG_CHANGED, 1);
	wire_put_number(reply, WIRE_TAG_NUMBER, rekeying->epoch);
	if (rekeying->is_under_way)
		wire_put_number(reply, WIRE_TAG_MORE, 1);
	wire_put_number(reply, WIRE_TAG_DONE, rekeying->done);
	wire_put_number(reply, WIRE_TAG_TOTAL, rekeying->total);
}

static enum mortise_status explain(struct exchange *exchange, enum mortise_status status)
{
	switch (status) {
	case MORTISE_INTEGRITY:
		return exchange_fail(exchange, status,
			"a secret on disk is not what was set, so the old key stays; which one "
			"says: mortise verify");
	case MORTISE_IO:
		return exchange_fail(exchange, status,
			"the store could not be written, so the old key stays; is the disk full or "
			"failing?");
	case MORTISE_BUSY:
		return exchange_fail(
			exchange, status, "out of memory, so the old key stays; try again");
	default:
		return exchange_fail(exchange, status, "the rekey was dropped; the old key stays");
	}
}

/* Whoever asks after a restart of the agent is told by the epoch of the store what became of it. */
static enum mortise_status go_on(struct exchange *exchange, const struct wire_field *cursor)
{
	struct lifecycle *lifecycle = exchange->agent->lifecycle;
	struct lifecycle_rekeying rekeying = lifecycle_rekeying(lifecycle);
	uint64_t epoch = 0;

	if (cursor->size != CURSOR_SIZE)
		return exchange_fail(exchange, MORTISE_INVALID, "not a cursor of this agent");
	for (unsigned i = 0; i < CURSOR_SIZE; i++)
		epoch |= (uint64_t)cursor->bytes[i] << (8 * i);
	exchange_go_on(exchange, cursor->bytes, CURSOR_SIZE);
	if (epoch != rekeying.epoch) {
		rekeying.epoch = epoch;
		rekeying.is_under_way = false;
		rekeying.status = epoch <= vault_epoch(lifecycle_vault(lifecycle))
					  ? MORTISE_OK
					  : MORTISE_CONFLICT;
	}
	if (!rekeying.is_under_way && rekeying.status != MORTISE_OK) {
		exchange->is_silent = false;
		return explain(exchange, rekeying.status);
	}
	put_page(exchange, &rekeying);
	return MORTISE_OK;
}

enum mortise_status request_rekey(struct exchange *exchange)
{
	const struct wire_field *cursor = &exchange->request->field[WIRE_TAG_CURSOR];
	struct lifecycle *lifecycle = exchange->agent->lifecycle;
	bool reencrypt = false, is_dry_run = false;

	TRY(exchange_flag(exchange, WIRE_TAG_REENCRYPT, &reencrypt));
	TRY(exchange_flag(exchange, WIRE_TAG_DRY_RUN, &is_dry_run));
	if (cursor->bytes)
		return go_on(exchange, cursor);
	if (is_dry_run) {
		wire_put_number(exchange->reply, WIRE_TAG_CHANGED, 1);
		wire_put_number(
			exchange->reply, WIRE_TAG_TOTAL, vault_count(lifecycle_vault(lifecycle)));
		return MORTISE_OK;
	}
	enum mortise_status status = lifecycle_rekey(lifecycle, reencrypt);
	if (status == MORTISE_BUSY)
		return exchange_fail(exchange, status,
			"a rekey is under way, or what one left is being removed; see: mortise "
			"status");
	TRY(status);
	const struct lifecycle_rekeying rekeying = lifecycle_rekeying(lifecycle);
	put_page(exchange, &rekeying);
	return MORTISE_OK;
}
