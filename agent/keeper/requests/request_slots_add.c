/* SPDX-License-Identifier: ISC */
/* slot add: hardware, recovery keys, shares, escrow; and the making of an escrow key. */
#include <stdio.h>
#include <string.h>

#include "exchange.h"
#include "request_typed.h"
#include "shares.h"
#include "slots.h"

#define ESCROW_KEY "escrow-key" /* a kind for which a pair is made, and no slot */

/* A key that has just been made: told once, and forgotten. */
struct new_key {
	struct secret *key;
	struct secret *text;
	char id[RECOVERY_ID_SIZE];
};

static void new_key_done(struct new_key *key)
{
	secret_drop(&key->key);
	secret_drop(&key->text);
}

static enum mortise_status make_key(struct new_key *key)
{
	TRY(secret_random(KEY_SIZE, &key->key));
	recovery_id(key->key, key->id);
	return recovery_print(key->key, &key->text);
}

/* Adds a slot for what is typed, in the words of who asked. */
static enum mortise_status add_typed(struct exchange *exchange, const struct slot_typed *typed)
{
	enum mortise_status status = slot_add_typed(
		lifecycle_slot_worker(exchange->agent->lifecycle), typed, &exchange->version);

	if (status == MORTISE_CONFLICT)
		return exchange_fail(exchange, status,
			"a store has at most %d slots; remove one first: mortise slot remove",
			VAULT_SLOTS_MAX);
	if (status == MORTISE_INVALID)
		return exchange_fail(
			exchange, status, "nothing can be encrypted to that public key");
	TRY(status);
	wire_put_number(exchange->reply, WIRE_TAG_CHANGED, 1);
	wire_put_number(exchange->reply, WIRE_TAG_NUMBER, exchange->version);
	return MORTISE_OK;
}

static enum mortise_status add_recovery(struct exchange *exchange)
{
	CLEANUP(new_key_done) struct new_key key = {.key = NULL};
	struct slot_typed typed = {.kind = SLOT_KIND_RECOVERY, .key_id = key.id};

	TRY(make_key(&key));
	typed.key = key.key;
	TRY(add_typed(exchange, &typed));
	wire_put_text(exchange->reply, WIRE_TAG_RECOVERY, (const char *)key.text->bytes);
	wire_put_text(exchange->reply, WIRE_TAG_KEY_ID, key.id);
	return MORTISE_OK;
}

static void put_shares(struct wire_writer *reply, struct secret *const *texts, unsigned count)
{
	size_t list = wire_list_begin(reply, WIRE_TAG_SHARES);

	for (unsigned i = 0; i < count; i++)
		wire_item_put(reply, texts[i]->bytes, SHARE_TEXT_SIZE - 1);
	wire_list_end(reply, list);
}

/* The texts of all shares, before there is a slot that needs them. */
static enum mortise_status print_shares(
	const struct secret *key, unsigned count, unsigned threshold, struct secret **texts)
{
	struct share shares[SHARES_MAX];
	enum mortise_status status = shares_split(key, count, threshold, shares);

	TRY(status);
	for (unsigned i = 0; i < count; i++) {
		if (status == MORTISE_OK)
			status = share_print(&shares[i], &texts[i]);
		share_done(&shares[i]);
	}
	return status;
}

static enum mortise_status add_split(
	struct exchange *exchange, unsigned count, unsigned threshold, struct secret **texts)
{
	CLEANUP(new_key_done) struct new_key key = {.key = NULL};
	struct slot_typed typed = {.kind = SLOT_KIND_SHARES,
		.key_id = key.id,
		.shares = count,
		.threshold = threshold};

	TRY(make_key(&key));
	TRY(print_shares(key.key, count, threshold, texts));
	typed.key = key.key;
	TRY(add_typed(exchange, &typed));
	wire_put_text(exchange->reply, WIRE_TAG_KEY_ID, key.id);
	put_shares(exchange->reply, texts, count);
	return MORTISE_OK;
}

static enum mortise_status add_shares(struct exchange *exchange)
{
	struct secret *texts[SHARES_MAX] = {NULL};
	uint64_t count = 0, threshold = 0;

	if (wire_number(exchange->request, WIRE_TAG_NUMBER, &count) != MORTISE_OK ||
		wire_number(exchange->request, WIRE_TAG_THRESHOLD, &threshold) != MORTISE_OK ||
		count > SHARES_MAX || threshold < 2 || threshold > count)
		return exchange_fail(exchange, MORTISE_INVALID,
			"at most %d shares, of which at least 2 and no more than all are needed",
			SHARES_MAX);
	enum mortise_status status =
		add_split(exchange, (unsigned)count, (unsigned)threshold, texts);
	for (unsigned i = 0; i < SHARES_MAX; i++)
		secret_drop(&texts[i]);
	return status;
}

static void drop_share(struct share *share)
{
	share_done(share);
}

static enum mortise_status add_escrow(struct exchange *exchange)
{
	const struct wire_field *text = wire_field_of(exchange->request, WIRE_TAG_PUBLIC_KEY);
	CLEANUP(drop_share) struct share half = {.part = NULL};
	unsigned group = 0;

	enum mortise_status status =
		share_read((const char *)text->bytes, text->size, &half, &group);
	if (status == MORTISE_INVALID && group)
		return exchange_fail(exchange, status,
			"a typing error in group %u of the escrow key's public half", group);
	if (status == MORTISE_INVALID || (status == MORTISE_OK && half.number))
		return exchange_fail(exchange, MORTISE_INVALID,
			"that is no escrow key's public half; make one with: mortise slot "
			"escrow-key");
	TRY(status);
	struct slot_typed typed = {
		.kind = SLOT_KIND_ESCROW, .key_id = half.key_id, .escrow_half = half.part->bytes};
	TRY(add_typed(exchange, &typed));
	wire_put_text(exchange->reply, WIRE_TAG_KEY_ID, half.key_id);
	return MORTISE_OK;
}

/* For other hosts: nothing of it stays here. */
static enum mortise_status make_escrow_key(struct exchange *exchange)
{
	CLEANUP(new_key_done) struct new_key key = {.key = NULL};
	CLEANUP(drop_share) struct share half = {.number = 0};
	CLEANUP(secret_drop) struct secret *text = NULL;

	TRY(make_key(&key));
	memcpy(half.key_id, key.id, sizeof half.key_id);
	TRY(secret_new(SLOT_PUBLIC_SIZE, &half.part));
	TRY(slot_escrow_half(key.key, half.part->bytes));
	TRY(share_print(&half, &text));
	wire_put_number(exchange->reply, WIRE_TAG_CHANGED, 0);
	wire_put_text(exchange->reply, WIRE_TAG_RECOVERY, (const char *)key.text->bytes);
	wire_put_text(exchange->reply, WIRE_TAG_KEY_ID, key.id);
	wire_put_text(exchange->reply, WIRE_TAG_PUBLIC_KEY, (const char *)text->bytes);
	return MORTISE_OK;
}

static enum mortise_status add_hardware(struct exchange *exchange, const struct asked_seal *asked)
{
	struct pending *pending = NULL;

	TRY(pending_new(exchange, NULL, NULL, &pending));
	enum mortise_status status =
		slot_work_add(lifecycle_slot_worker(exchange->agent->lifecycle), asked->kind,
			&asked->wish, request_slot_done, pending);
	if (status == MORTISE_OK)
		return status;
	pending_abandon(exchange, pending);
	return exchange_fail(exchange, status,
		status == MORTISE_BUSY ? "the hardware is being asked something else just now; try "
					 "again"
				       : "the sealer cannot be asked that");
}

static const struct {
	const char *kind;
	const uint16_t *tags;
	enum mortise_status (*add)(struct exchange *exchange);
} typed_kinds[] = {
	{SLOT_KIND_RECOVERY, WIRE_TAGS(WIRE_TAG_DRY_RUN), add_recovery},
	{SLOT_KIND_SHARES, WIRE_TAGS(WIRE_TAG_NUMBER, WIRE_TAG_DRY_RUN, WIRE_TAG_THRESHOLD),
		add_shares},
	{SLOT_KIND_ESCROW, WIRE_TAGS(WIRE_TAG_DRY_RUN, WIRE_TAG_PUBLIC_KEY), add_escrow},
	{ESCROW_KEY, WIRE_TAGS(WIRE_TAG_DRY_RUN), make_escrow_key},
};

enum mortise_status request_slot_add(struct exchange *exchange)
{
	const struct wire_message *request = exchange->request;
	CLEANUP(asked_seal_done) struct asked_seal asked = {.pin = NULL};
	char kind[SLOT_KIND_SIZE];

	if (wire_text(request, WIRE_TAG_SLOT_KIND, kind, sizeof kind) != MORTISE_OK)
		return exchange_fail(
			exchange, MORTISE_INVALID, "the request names no kind of slot");
	for (size_t i = 0; i < sizeof typed_kinds / sizeof typed_kinds[0]; i++) {
		if (strcmp(kind, typed_kinds[i].kind) != 0)
			continue;
		if (!wire_has_fields(request, WIRE_TAGS(WIRE_TAG_SLOT_KIND), typed_kinds[i].tags))
			return exchange_fail(exchange, MORTISE_INVALID,
				"a field that a slot of kind %s does not take", kind);
		if (!exchange->is_dry_run)
			return typed_kinds[i].add(exchange);
		wire_put_number(exchange->reply, WIRE_TAG_CHANGED, 1);
		return MORTISE_OK;
	}
	if (wire_has(request, WIRE_TAG_NUMBER) || wire_has(request, WIRE_TAG_THRESHOLD) ||
		strcmp(kind, "none") == 0)
		return exchange_fail(exchange, MORTISE_INVALID,
			"a slot is of kind tpm2, pkcs11, recovery, recovery-shares or escrow");
	TRY(exchange_seal(exchange, &asked));
	if (!exchange->is_dry_run)
		return add_hardware(exchange, &asked);
	wire_put_number(exchange->reply, WIRE_TAG_CHANGED, 1);
	return MORTISE_OK;
}
