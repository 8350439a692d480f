/* SPDX-License-Identifier: ISC */
/* slot list, add, remove, test, reseal, suspend, change-pin. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exchange.h"
#include "little_endian.h"
#include "request_typed.h"
#include "slots.h"

#define SLOT_BOOTS_MAX 10

/* The slot that is meant; its id stands in the audit line as the version. */
static enum mortise_status read_slot(struct exchange *exchange, struct slot_copy *out_copy)
{
	struct vault *vault = lifecycle_vault(exchange->agent->lifecycle);

	if (wire_number(exchange->request, WIRE_TAG_NUMBER, &exchange->version) != MORTISE_OK)
		return exchange_fail(exchange, MORTISE_INVALID, "the request names no slot");
	enum mortise_status status = vault_slot(vault, exchange->version, out_copy);
	if (status == MORTISE_NOT_FOUND)
		return exchange_fail(exchange, status, "no slot %llu; see: mortise slot list",
			(unsigned long long)exchange->version);
	return status;
}

/* What would be said of it, if it is to be a dry run: then that is all. */
static bool is_told_only(struct exchange *exchange)
{
	if (exchange->is_dry_run)
		wire_put_number(exchange->reply, WIRE_TAG_CHANGED, 1);
	return exchange->is_dry_run;
}

/* ---- list ---- */

static void put_text_of(struct wire_writer *reply, const char *name, struct store_bytes bytes)
{
	char text[WIRE_TEXT_MAX];

	if (bytes.size == 0)
		return;
	snprintf(text, sizeof text, "%.*s", (int)bytes.size, (const char *)bytes.bytes);
	put_text_fact(reply, name, text);
}

static void put_state(struct wire_writer *reply, const struct slot_hints *hints)
{
	put_text_fact(reply, "state",
		hints->flags & SLOT_STAGED     ? "staged"
		: hints->flags & SLOT_STAND_IN ? "stand-in"
					       : "ready");
	if (hints->of)
		put_number_fact(reply, "of", hints->of);
	if (hints->boots)
		put_number_fact(reply, "boots", hints->boots);
	if (hints->ends_us)
		put_time_fact(reply, "ends", hints->ends_us);
}

static void put_dates(struct wire_writer *reply, const struct slot_hints *hints, uint64_t opened_us)
{
	if (hints->created_us)
		put_time_fact(reply, "created", hints->created_us);
	if (opened_us || hints->opened_us)
		put_time_fact(reply, "opened", opened_us ? opened_us : hints->opened_us);
	if (hints->tested_us)
		put_time_fact(reply, "tested", hints->tested_us);
}

static void put_slot(
	struct wire_writer *reply, uint64_t id, const struct slot *slot, uint64_t opened_us)
{
	const struct slot_hints *hints = &slot->hints;
	size_t item = wire_item_begin(reply);
	size_t facts = wire_list_begin(reply, WIRE_TAG_ITEMS);

	put_number_fact(reply, "id", id);
	put_text_fact(reply, "kind", slot->kind);
	if (slot->key_id[0])
		put_text_fact(reply, "key_id", slot->key_id);
	put_state(reply, hints);
	if (hints->flags & SLOT_HAS_PIN)
		put_text_fact(reply, "pin", "typed");
	if (hints->pcrs)
		put_pcrs_fact(reply, "pcrs", hints->pcrs);
	if (hints->pcr_key.size)
		put_text_fact(reply, "pcr_policy", "signed");
	put_text_of(reply, "uri", hints->uri);
	if (hints->shares) {
		put_number_fact(reply, "shares", hints->shares);
		put_number_fact(reply, "threshold", hints->threshold);
	}
	put_dates(reply, hints, opened_us);
	wire_list_end(reply, facts);
	wire_item_end(reply, item);
}

enum mortise_status request_slot_list(struct exchange *exchange)
{
	struct lifecycle *lifecycle = exchange->agent->lifecycle;
	struct vault *vault = lifecycle_vault(lifecycle);
	size_t list = wire_list_begin(exchange->reply, WIRE_TAG_ITEMS);

	for (uint64_t id = 0; (id = vault_next_slot(vault, id));) {
		CLEANUP(slot_copy_done) struct slot_copy copy = {.record = NULL};
		TRY(vault_slot(vault, id, &copy));
		put_slot(exchange->reply, id, &copy.slot, lifecycle_slot_opened_us(lifecycle, id));
	}
	wire_list_end(exchange->reply, list);
	return MORTISE_OK;
}

/* ---- what takes hardware ---- */

static void put_slot_id(struct wire_writer *reply, const void *context)
{
	const uint64_t *id = context;

	wire_put_number(reply, WIRE_TAG_CHANGED, 1);
	wire_put_number(reply, WIRE_TAG_NUMBER, *id);
}

void request_slot_done(void *context, enum mortise_status status, const char *text, uint64_t id)
{
	struct pending *pending = context;

	if (id)
		pending->version = id;
	pending_finish(pending, status, text, put_slot_id, &id);
}

/* The work could not be begun. */
static enum mortise_status refuse(
	struct exchange *exchange, struct pending *pending, enum mortise_status status)
{
	pending_abandon(exchange, pending);
	if (status == MORTISE_BUSY)
		return exchange_fail(exchange, status,
			"the hardware is being asked something else just now; try again");
	return status;
}

static enum mortise_status check_pin(
	struct exchange *exchange, const struct slot *slot, const struct secret *pin)
{
	bool has_pin = (slot->hints.flags & SLOT_HAS_PIN) != 0;

	if (has_pin && !pin)
		return exchange_fail(exchange, MORTISE_INVALID,
			"slot %llu has a PIN; give it on a terminal or with --tpm2-pin-file=F",
			(unsigned long long)exchange->version);
	if (!has_pin && pin)
		return exchange_fail(exchange, MORTISE_INVALID,
			"slot %llu has no PIN; run it without one",
			(unsigned long long)exchange->version);
	return MORTISE_OK;
}

/* A hardware slot that is there to stay, with its PIN. */
static enum mortise_status read_hardware(
	struct exchange *exchange, struct slot_copy *out_copy, struct secret **out_pin)
{
	TRY(read_slot(exchange, out_copy));
	TRY(exchange_pin(exchange, out_pin));
	if (!slot_is_hardware(&out_copy->slot))
		return exchange_fail(exchange, MORTISE_CONFLICT,
			"slot %llu is no hardware: only a key that is typed opens it; see: mortise "
			"slot list",
			(unsigned long long)exchange->version);
	return check_pin(exchange, &out_copy->slot, *out_pin);
}

static enum mortise_status read_lasting(
	struct exchange *exchange, struct slot_copy *out_copy, struct secret **out_pin)
{
	TRY(read_hardware(exchange, out_copy, out_pin));
	if (slot_is_passing(&out_copy->slot))
		return exchange_fail(exchange, MORTISE_CONFLICT,
			"slot %llu is there for slot %llu only; name that one",
			(unsigned long long)exchange->version,
			(unsigned long long)out_copy->slot.hints.of);
	return MORTISE_OK;
}

enum mortise_status request_slot_reseal(struct exchange *exchange)
{
	CLEANUP(secret_drop) struct secret *pin = NULL;
	CLEANUP(slot_copy_done) struct slot_copy copy = {.record = NULL};
	struct pending *pending = NULL;

	TRY(read_lasting(exchange, &copy, &pin));
	if (is_told_only(exchange))
		return MORTISE_OK;
	TRY(pending_new(exchange, NULL, NULL, &pending));
	enum mortise_status status =
		slot_work_reseal(lifecycle_slot_worker(exchange->agent->lifecycle),
			exchange->version, pin, request_slot_done, pending);
	return status == MORTISE_OK ? status : refuse(exchange, pending, status);
}

enum mortise_status request_slot_suspend(struct exchange *exchange)
{
	CLEANUP(secret_drop) struct secret *pin = NULL;
	CLEANUP(slot_copy_done) struct slot_copy copy = {.record = NULL};
	struct pending *pending = NULL;
	uint64_t boots = 1;

	TRY(read_lasting(exchange, &copy, &pin));
	if (wire_has(exchange->request, WIRE_TAG_BOOTS) &&
		(wire_number(exchange->request, WIRE_TAG_BOOTS, &boots) != MORTISE_OK ||
			boots == 0 || boots > SLOT_BOOTS_MAX))
		return exchange_fail(
			exchange, MORTISE_INVALID, "boots are 1 to %d", SLOT_BOOTS_MAX);
	if (!copy.slot.hints.pcrs)
		return exchange_fail(exchange, MORTISE_CONFLICT,
			"slot %llu is bound to no PCR values; there is nothing to suspend",
			(unsigned long long)exchange->version);
	if (is_told_only(exchange))
		return MORTISE_OK;
	TRY(pending_new(exchange, NULL, NULL, &pending));
	enum mortise_status status =
		slot_work_suspend(lifecycle_slot_worker(exchange->agent->lifecycle),
			exchange->version, boots, pin, request_slot_done, pending);
	return status == MORTISE_OK ? status : refuse(exchange, pending, status);
}

enum mortise_status request_slot_change_pin(struct exchange *exchange)
{
	CLEANUP(secret_drop) struct secret *pin = NULL;
	CLEANUP(slot_copy_done) struct slot_copy copy = {.record = NULL};
	struct pending *pending = NULL;

	TRY(read_lasting(exchange, &copy, &pin));
	if (!slot_kind(&copy.slot)->changes_pin)
		return exchange_fail(exchange, MORTISE_CONFLICT,
			"a token keeps its PIN itself; change it with the token's own tool");
	if (!pin)
		return exchange_fail(exchange, MORTISE_CONFLICT,
			"slot %llu has no PIN to change; add a slot with --tpm2-pin-file=F",
			(unsigned long long)exchange->version);
	if (is_told_only(exchange))
		return MORTISE_OK;
	TRY(pending_new(exchange, NULL, NULL, &pending));
	enum mortise_status status =
		slot_work_change_pin(lifecycle_slot_worker(exchange->agent->lifecycle),
			exchange->version, pin, request_slot_done, pending);
	return status == MORTISE_OK ? status : refuse(exchange, pending, status);
}

static enum mortise_status test_typed(struct exchange *exchange)
{
	CLEANUP(secret_drop) struct secret *key = NULL;
	unsigned missing = 0;

	TRY(exchange_typed(exchange, &key, &missing));
	if (missing) {
		exchange->is_silent = true; /* nothing has been tried yet */
		wire_put_number(exchange->reply, WIRE_TAG_CHANGED, 0);
		wire_put_number(exchange->reply, WIRE_TAG_NUMBER, missing);
		return MORTISE_OK;
	}
	enum mortise_status status = slot_test_typed(
		lifecycle_slot_worker(exchange->agent->lifecycle), exchange->version, key);
	if (status == MORTISE_DENIED)
		return exchange_fail(exchange, status, "that key does not open slot %llu",
			(unsigned long long)exchange->version);
	TRY(status);
	wire_put_number(exchange->reply, WIRE_TAG_CHANGED, 1);
	return MORTISE_OK;
}

enum mortise_status request_slot_test(struct exchange *exchange)
{
	CLEANUP(secret_drop) struct secret *pin = NULL;
	CLEANUP(slot_copy_done) struct slot_copy copy = {.record = NULL};
	struct pending *pending = NULL;

	TRY(read_slot(exchange, &copy));
	if (!slot_is_hardware(&copy.slot)) {
		if (!wire_has(exchange->request, WIRE_TAG_RECOVERY) &&
			!wire_has(exchange->request, WIRE_TAG_SHARES))
			return exchange_fail(exchange, MORTISE_INVALID,
				"slot %llu opens by a key that is typed (key id %s); use "
				"--recovery-file=F or a terminal",
				(unsigned long long)exchange->version, copy.slot.key_id);
		return test_typed(exchange);
	}
	TRY(exchange_pin(exchange, &pin));
	TRY(check_pin(exchange, &copy.slot, pin));
	TRY(pending_new(exchange, NULL, NULL, &pending));
	enum mortise_status status =
		slot_work_test(lifecycle_slot_worker(exchange->agent->lifecycle), exchange->version,
			pin, request_slot_done, pending);
	return status == MORTISE_OK ? status : refuse(exchange, pending, status);
}

enum mortise_status request_slot_remove(struct exchange *exchange)
{
	CLEANUP(slot_copy_done) struct slot_copy copy = {.record = NULL};

	TRY(read_slot(exchange, &copy));
	if (is_told_only(exchange))
		return MORTISE_OK;
	enum mortise_status status =
		slot_remove(lifecycle_slot_worker(exchange->agent->lifecycle), exchange->version);
	if (status == MORTISE_CONFLICT)
		return exchange_fail(exchange, status,
			"slot %llu is the last one: without it nothing opens the store; add "
			"another first",
			(unsigned long long)exchange->version);
	TRY(status);
	wire_put_number(exchange->reply, WIRE_TAG_CHANGED, 1);
	return MORTISE_OK;
}

/* Rekey: begun by one request, and looked at by those with its cursor. It goes on without them. */

#define CURSOR_SIZE 8

/* How it stands with the rekey that makes this epoch. */
static void put_page(struct exchange *exchange, const struct lifecycle_rekeying *rekeying)
{
	struct wire_writer *reply = exchange->reply;
	uint8_t cursor[CURSOR_SIZE];

	le64_put(cursor, rekeying->epoch);
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
	epoch = le64_get(cursor->bytes);
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
	const struct wire_field *cursor = wire_field_of(exchange->request, WIRE_TAG_CURSOR);
	struct lifecycle *lifecycle = exchange->agent->lifecycle;
	bool reencrypt = false;

	TRY(exchange_flag(exchange, WIRE_TAG_REENCRYPT, &reencrypt));
	if (cursor->bytes)
		return go_on(exchange, cursor);
	if (exchange->is_dry_run) {
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
