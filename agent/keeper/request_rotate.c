/* SPDX-License-Identifier: ISC */
/*
 * rotate: a value to come is stored beside the current one, and takes its place or goes. Who may
 * rotate a secret need not be allowed to read or write it: it is told the value that is pending,
 * which it could have replaced by its own, and never the current one.
 */
#include <string.h>

#include "exchange.h"

/* NUMBER: what is to be done. */
enum step { STEP_LOOK, STEP_BEGIN, STEP_PROMOTE, STEP_ABORT, STEPS };

static const char *const notes[STEPS] = {"look", "begin", "promote", "abort"};

static enum mortise_status explain(struct exchange *exchange, enum mortise_status status)
{
	if (status == MORTISE_CONFLICT)
		return exchange_fail(exchange, status,
			"that value is not pending: another one is, or it was promoted or dropped; "
			"see: mortise show");
	return exchange_explain(exchange, status);
}

static enum mortise_status put_pending_value(struct exchange *exchange, uint64_t pending)
{
	CLEANUP(secret_drop) struct secret *value = NULL;
	const struct vault_choice choice = {VAULT_PENDING, 0};
	struct vault *vault = lifecycle_vault(exchange->agent->lifecycle);
	uint64_t version = 0;

	TRY(vault_read(vault, exchange->path, &choice, &value, &version));
	if (version != pending)
		return MORTISE_INTEGRITY;
	exchange->version = version;
	wire_put(exchange->reply, WIRE_TAG_VALUE, value->bytes, value->size);
	return MORTISE_OK;
}

/* What somebody needs to know who goes on with a rotation, or begins one. */
static enum mortise_status look(struct exchange *exchange)
{
	struct vault *vault = lifecycle_vault(exchange->agent->lifecycle);
	struct vault_version versions[VAULT_VERSIONS_MAX];
	struct wire_writer *reply = exchange->reply;
	struct vault_head head;
	size_t count = 0;

	TRY(explain(exchange, vault_show(vault, exchange->path, &head, versions, &count)));
	if (head.deleted_us)
		return explain(exchange, MORTISE_NOT_FOUND);
	wire_put_number(reply, WIRE_TAG_VERSION, head.current);
	if (head.pending) {
		TRY(put_pending_value(exchange, head.pending));
		wire_put_number(reply, WIRE_TAG_NUMBER, head.pending);
	}
	/* So that nobody need ask for a current value that is denied. */
	if (exchange_may(exchange, VERB_READ, exchange->path).allowed)
		wire_put_text(reply, WIRE_TAG_VERB, verb_name(VERB_READ));
	if (head.metadata.hook[0])
		wire_put_text(reply, WIRE_TAG_HOOK, head.metadata.hook);
	return MORTISE_OK;
}

static enum mortise_status begin(struct exchange *exchange, struct vault_outcome *outcome)
{
	const struct wire_message *request = exchange->request;
	const struct wire_field *value = &request->field[WIRE_TAG_VALUE];
	const struct wire_field *token = &request->field[WIRE_TAG_TOKEN];

	if (!value->bytes || value->size > MORTISE_VALUE_MAX)
		return exchange_fail(
			exchange, MORTISE_INVALID, "a value is 0 to %d bytes", MORTISE_VALUE_MAX);
	if (token->size != WIRE_TOKEN_SIZE)
		return exchange_fail(exchange, MORTISE_INVALID,
			"a write needs a token of %d random bytes", WIRE_TOKEN_SIZE);
	struct vault_write write = {
		.path = exchange->path,
		.value = value->bytes,
		.size = value->size,
		.is_dry_run = exchange->is_dry_run,
		.is_pending = true,
		.uid = exchange->from->caller.subject.uid,
		.time_us = exchange->now.least_us,
	};
	memcpy(write.token, token->bytes, sizeof write.token);
	TRY(exchange_keep_one(exchange, &write));
	return vault_write(lifecycle_vault(exchange->agent->lifecycle), &write, outcome);
}

static enum mortise_status end(
	struct exchange *exchange, uint64_t step, struct vault_outcome *outcome)
{
	struct vault *vault = lifecycle_vault(exchange->agent->lifecycle);
	uint64_t version = 0;

	if (wire_number(exchange->request, WIRE_TAG_VERSION, &version) != MORTISE_OK)
		return exchange_fail(
			exchange, MORTISE_INVALID, "the request names no pending version");
	if (step == STEP_PROMOTE)
		return vault_promote(vault, exchange->path, version, exchange->is_dry_run, outcome);
	return vault_drop_pending(vault, exchange->path, version, exchange->is_dry_run, outcome);
}

enum mortise_status request_rotate(struct exchange *exchange)
{
	struct vault_outcome outcome = {0};
	bool is_dry_run = false;
	uint64_t step = STEPS;

	if (wire_number(exchange->request, WIRE_TAG_NUMBER, &step) != MORTISE_OK || step >= STEPS)
		return exchange_fail(exchange, MORTISE_INVALID, "not a step of a rotation");
	exchange->note = notes[step];
	TRY(exchange_flag(exchange, WIRE_TAG_DRY_RUN, &is_dry_run));
	if (step == STEP_LOOK)
		return look(exchange);
	enum mortise_status status =
		step == STEP_BEGIN ? begin(exchange, &outcome) : end(exchange, step, &outcome);
	if (exchange->text[0])
		return status;
	TRY(explain(exchange, status));
	exchange_outcome(exchange, &outcome);
	return MORTISE_OK;
}
