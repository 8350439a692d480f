/* SPDX-License-Identifier: ISC */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backup.h"
#include "exchange.h"
#include "request_typed.h"

#define OTHER_FORMAT                                                                               \
	"it was made by another version of mortise, in a format that this one does not read; use " \
	"that version, or take its values along (take-values: docs/operations.md)"

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
			"the copy could not be made in the store's directory; is its disk full?");
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

/* ---- what comes in ---- */

static struct backup *backup_of(struct exchange *exchange)
{
	return exchange->from->backup = lifecycle_backup(exchange->agent->lifecycle);
}

enum mortise_status request_backup_stage(struct exchange *exchange)
{
	const struct wire_field *chunk = wire_field_of(exchange->request, WIRE_TAG_CHUNK);
	uint64_t offset = 0;

	TRY(wire_number(exchange->request, WIRE_TAG_OFFSET, &offset));
	if (chunk->size == 0 || chunk->size > WIRE_CHUNK_MAX)
		return exchange_fail(exchange, MORTISE_INVALID,
			"a backup comes in chunks of 1 to %d bytes", WIRE_CHUNK_MAX);
	enum mortise_status status = backup_write(backup_of(exchange), exchange->from, offset,
		(struct store_bytes){chunk->bytes, chunk->size});
	if (status == MORTISE_BUSY)
		return exchange_fail(
			exchange, status, "somebody else is bringing in a backup; try again");
	if (status == MORTISE_INVALID)
		return exchange_fail(exchange, status, "a backup comes in order, from its start");
	if (status == MORTISE_REJECTED)
		return exchange_fail(exchange, MORTISE_INVALID, "a backup is at most %u GiB",
			(unsigned)(BACKUP_SIZE_MAX >> 30));
	if (status == MORTISE_IO)
		return exchange_fail(exchange, status,
			"the backup could not be written into the store's directory: is its disk "
			"full?");
	return status;
}

static enum mortise_status fail_backup(struct exchange *exchange, enum mortise_status status)
{
	if (status == MORTISE_NOT_FOUND)
		return exchange_fail(exchange, status,
			"no backup was sent over this connection, or no key opens it");
	if (status == MORTISE_DENIED)
		return exchange_fail(exchange, status,
			"not the recovery key of that backup; it takes one that opened the store "
			"when the "
			"backup was made");
	if (status == MORTISE_REJECTED)
		return exchange_fail(exchange, MORTISE_INTEGRITY, OTHER_FORMAT);
	if (status == MORTISE_INTEGRITY)
		return exchange_fail(exchange, MORTISE_INTEGRITY,
			"not a backup of a mortise store as it was made: cut short, damaged or "
			"edited");
	return status;
}

/* By the key that was typed, or by our own if it is of the store that is open here. */
static enum mortise_status find_key(
	struct exchange *exchange, struct store *store, struct secret **out_key)
{
	struct vault *vault = lifecycle_vault(exchange->agent->lifecycle);
	CLEANUP(secret_drop) struct secret *typed = NULL;
	unsigned missing = 0;

	if (!wire_has(exchange->request, WIRE_TAG_RECOVERY) &&
		!wire_has(exchange->request, WIRE_TAG_SHARES)) {
		if (!vault)
			return exchange_fail(exchange, MORTISE_SEALED,
				"sealed: a backup is looked at with its recovery key then; use "
				"--recovery");
		return secret_copy(vault_master_key(vault)->bytes, KEY_SIZE, out_key);
	}
	TRY(exchange_typed(exchange, &typed, &missing));
	if (missing)
		return exchange_fail(
			exchange, MORTISE_INVALID, "%u more shares are needed at once", missing);
	return recovering_find_key(store, typed, out_key);
}

static enum mortise_status open_backup(struct exchange *exchange)
{
	CLEANUP(secret_drop) struct secret *key = NULL;
	struct backup *backup = backup_of(exchange);
	struct store *store = NULL;
	struct vault *vault = NULL;

	enum mortise_status status = backup_store(backup, exchange->from, &store);
	if (status == MORTISE_OK)
		status = find_key(exchange, store, &key);
	if (status != MORTISE_OK)
		return exchange->text[0] ? status : fail_backup(exchange, status);
	status = backup_unlock(backup, exchange->from, key, &vault);
	if (status == MORTISE_INTEGRITY && !wire_has(exchange->request, WIRE_TAG_RECOVERY))
		return exchange_fail(exchange, status,
			"this agent's key does not open it: it is of another store, of before a "
			"rekey, or damaged; use --recovery");
	return status == MORTISE_OK ? MORTISE_OK : fail_backup(exchange, status);
}

enum mortise_status request_backup_verify(struct exchange *exchange)
{
	if (!wire_has(exchange->request, WIRE_TAG_CURSOR))
		TRY(open_backup(exchange));
	struct vault *vault = backup_vault(backup_of(exchange), exchange->from);
	return vault ? exchange_verify(exchange, vault) : fail_backup(exchange, MORTISE_NOT_FOUND);
}

static void put_recovered(struct wire_writer *reply, const void *context)
{
	wire_put_text(reply, WIRE_TAG_TEXT, context);
	wire_put_number(reply, WIRE_TAG_CHANGED, 1);
}

static void on_recovered(
	void *context, enum mortise_status status, const char *text, const struct secret *recovery)
{
	(void)recovery;
	pending_finish(context, status, text, put_recovered, text);
}

static enum mortise_status explain(struct exchange *exchange, enum mortise_status status)
{
	struct lifecycle *lifecycle = exchange->agent->lifecycle;

	switch (status) {
	case MORTISE_DENIED:
		return exchange_fail(exchange, status,
			"not the recovery key of that store; type the one with its key id (mortise "
			"status)");
	case MORTISE_NOT_FOUND:
		return exchange_fail(exchange, status,
			"no backup was sent over this connection, or the store has no slot for a "
			"key that is typed");
	case MORTISE_CONFLICT:
		return exchange_fail(exchange, status,
			lifecycle_state(lifecycle) == LIFECYCLE_UNSEALED
				? "it is unsealed; to go back to a backup run first: mortise seal; "
				  "its slots are changed by: mortise slot add"
				: "there is no store here; use --backup=F, or run: mortise init");
	case MORTISE_BUSY:
		return exchange_fail(exchange, status,
			lifecycle_is_busy(lifecycle)
				? "the hardware is being asked just now; try again"
				: "there is too little memory for it; free some, then try again");
	case MORTISE_REJECTED:
		return exchange_fail(exchange, MORTISE_INTEGRITY, OTHER_FORMAT);
	case MORTISE_INTEGRITY:
		return exchange_fail(exchange, MORTISE_INTEGRITY,
			"the store is not what mortise wrote: damaged, cut short or edited; "
			"recover it from a backup: mortise recover --backup=F");
	default:
		return status;
	}
}

static enum mortise_status begin(
	struct exchange *exchange, struct recovery_wish *wish, struct asked_seal *asked)
{
	struct pending *pending = NULL;

	wish->kind = strcmp(asked->kind, "none") == 0 ? NULL : asked->kind;
	wish->seal = &asked->wish;
	wish->has_anchor = asked->has_anchor;
	if (!wish->is_dry_run)
		TRY(pending_new(exchange, NULL, NULL, &pending));
	enum mortise_status status =
		lifecycle_recover(exchange->agent->lifecycle, wish, on_recovered, pending);
	if (status == MORTISE_OK) {
		if (wish->is_dry_run)
			wire_put_number(exchange->reply, WIRE_TAG_CHANGED, 1);
		return MORTISE_OK;
	}
	if (pending)
		pending_abandon(exchange, pending);
	return explain(exchange, status);
}

enum mortise_status request_recover(struct exchange *exchange)
{
	CLEANUP(asked_seal_done) struct asked_seal asked = {.pin = NULL};
	CLEANUP(secret_drop) struct secret *key = NULL;
	struct recovery_wish wish = {.owner = NULL};
	unsigned missing = 0;
	bool is_backup = false;

	TRY(exchange_flag(exchange, WIRE_TAG_NUMBER, &is_backup));
	wish.is_dry_run = exchange->is_dry_run;
	TRY(exchange_seal(exchange, &asked));
	TRY(exchange_typed(exchange, &key, &missing));
	if (missing) {
		exchange->is_silent = true; /* nothing has been tried yet */
		wire_put_number(exchange->reply, WIRE_TAG_CHANGED, 0);
		wire_put_number(exchange->reply, WIRE_TAG_NUMBER, missing);
		return MORTISE_OK;
	}
	wish.key = key;
	wish.owner = is_backup ? exchange->from : NULL;
	return begin(exchange, &wish, &asked);
}
