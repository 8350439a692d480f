/* SPDX-License-Identifier: ISC */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exchange.h"

#define VERIFY_BYTES (4 * 1024 * 1024) /* of log checked for one frame */

/* It is not the store, which refusal_words() means. */
static enum mortise_status explain_unread(struct exchange *exchange, enum mortise_status status)
{
	if (status == MORTISE_IO)
		return exchange_fail(
			exchange, status, "the audit log could not be read; look at its disk");
	return status;
}

enum mortise_status request_audit_show(struct exchange *exchange)
{
	struct audit *audit = exchange->agent->audit;
	uint8_t chunk[WIRE_CHUNK_MAX];
	char damage[320];
	uint64_t offset = 0;
	size_t size = 0;

	if (wire_has(exchange->request, WIRE_TAG_OFFSET))
		TRY(wire_number(exchange->request, WIRE_TAG_OFFSET, &offset));
	exchange_go_on(exchange, &offset, sizeof offset);
	enum mortise_status status = audit_read(audit, offset, chunk, sizeof chunk, &size);
	if (status == MORTISE_INVALID)
		return exchange_fail(exchange, status, "no line of the log starts there");
	if (status != MORTISE_OK)
		return explain_unread(exchange, status);
	offset += size;
	exchange_next_page(exchange, &offset, sizeof offset);
	if (request_damage_text(exchange->agent, damage, sizeof damage))
		wire_put_text(exchange->reply, WIRE_TAG_TEXT, damage);
	wire_put(exchange->reply, WIRE_TAG_CHUNK, chunk, size);
	wire_put_number(exchange->reply, WIRE_TAG_OFFSET, offset);
	wire_put_number(exchange->reply, WIRE_TAG_TOTAL, audit_report(audit).size_bytes);
	return MORTISE_OK;
}

enum mortise_status request_audit_key(struct exchange *exchange)
{
	uint8_t key[32];

	if (!audit_public_key(exchange->agent->audit, key))
		return exchange_fail(exchange, MORTISE_NOT_FOUND, "the log has no key yet");
	wire_put(exchange->reply, WIRE_TAG_CHUNK, key, sizeof key);
	return MORTISE_OK;
}

static void drop_check(struct requester *from)
{
	audit_check_free(from->check);
	free(from->gaps);
	from->check = NULL;
	from->gaps = NULL;
}

/* Starts anew without a cursor; goes on, over the same connection, with one. */
static enum mortise_status start_check(struct exchange *exchange)
{
	struct vault *vault = lifecycle_vault(exchange->agent->lifecycle);
	struct requester *from = exchange->from;
	uint8_t key[32];
	uint64_t cursor = 0;
	size_t count = 0;

	if (wire_has(exchange->request, WIRE_TAG_CURSOR)) {
		exchange->is_silent = true;
		const struct wire_field *field = wire_field_of(exchange->request, WIRE_TAG_CURSOR);
		if (!from->check || field->size != sizeof cursor)
			return exchange_fail(
				exchange, MORTISE_INVALID, "not a cursor of this connection");
		memcpy(&cursor, field->bytes, sizeof cursor);
		return cursor == from->check_offset ? MORTISE_OK : MORTISE_INVALID;
	}
	drop_check(from);
	from->check_offset = 0;
	if (!audit_public_key(exchange->agent->audit, key))
		return exchange_fail(exchange, MORTISE_NOT_FOUND, "the log has no key yet");
	TRY(request_allowed_gaps(vault, &from->gaps, &count));
	TRY(audit_check_new(key, &from->check));
	audit_check_allow(from->check, vault_uuid(vault), from->gaps, count);
	return MORTISE_OK;
}

/* Checks some of the log; *out_end at its end. */
static enum mortise_status check_some(struct exchange *exchange, bool *out_end)
{
	struct requester *from = exchange->from;
	uint64_t stop = from->check_offset + VERIFY_BYTES;
	uint8_t chunk[WIRE_CHUNK_MAX];
	enum mortise_status status = MORTISE_OK;
	size_t size = 1;

	while (status == MORTISE_OK && from->check_offset < stop && size) {
		status = audit_read(
			exchange->agent->audit, from->check_offset, chunk, sizeof chunk, &size);
		if (status != MORTISE_OK)
			return explain_unread(exchange, status);
		status = audit_check_feed(from->check, chunk, size);
		from->check_offset += size;
	}
	*out_end = size == 0;
	if (status == MORTISE_OK && *out_end)
		status = audit_check_end(from->check, exchange->agent->audit);
	if (status == MORTISE_INTEGRITY)
		return exchange_fail(exchange, status, "%s", audit_check_complaint(from->check));
	return status;
}

enum mortise_status request_audit_verify(struct exchange *exchange)
{
	struct requester *from = exchange->from;
	struct wire_writer *reply = exchange->reply;
	char gaps[WIRE_TEXT_MAX];
	bool at_end = false;

	TRY(start_check(exchange));
	enum mortise_status status = check_some(exchange, &at_end);
	if (status == MORTISE_OK) {
		if (at_end && audit_check_gaps(from->check) > 0) {
			request_name_gaps(
				lifecycle_vault(exchange->agent->lifecycle), gaps, sizeof gaps);
			wire_put_text(reply, WIRE_TAG_TEXT, gaps);
		}
		if (!at_end)
			wire_put(reply, WIRE_TAG_CURSOR, &from->check_offset,
				sizeof from->check_offset);
		wire_put_number(reply, WIRE_TAG_NUMBER, audit_check_checkpoints(from->check));
		if (!at_end)
			wire_put_number(reply, WIRE_TAG_MORE, 1);
		wire_put_number(reply, WIRE_TAG_DONE, from->check_offset);
		wire_put_number(
			reply, WIRE_TAG_TOTAL, audit_report(exchange->agent->audit).size_bytes);
	}
	if (status != MORTISE_OK)
		exchange->is_silent = false;
	if (status != MORTISE_OK || at_end)
		drop_check(from);
	return status;
}

enum mortise_status request_verify(struct exchange *exchange)
{
	return exchange_verify(exchange, lifecycle_vault(exchange->agent->lifecycle));
}
