/* SPDX-License-Identifier: ISC */
/* What requests that write secrets have in common. */
#include <string.h>

#include "exchange.h"
#include "text.h"

enum mortise_status exchange_token(struct exchange *exchange, const uint8_t **out_token)
{
	const struct wire_field *token = &exchange->request->field[WIRE_TAG_TOKEN];

	if (token->size != WIRE_TOKEN_SIZE)
		return exchange_fail(exchange, MORTISE_INVALID,
			"a write needs a token of %d random bytes", WIRE_TOKEN_SIZE);
	*out_token = token->bytes;
	return MORTISE_OK;
}

enum mortise_status exchange_line(
	struct exchange *exchange, enum wire_tag tag, char *out_line, size_t size_max)
{
	const struct wire_field *field = &exchange->request->field[tag];

	if (field->size > size_max)
		return exchange_fail(exchange, MORTISE_INVALID,
			"a text of more than %zu bytes; shorten it", size_max);
	if (!text_is_line(field->bytes, field->size))
		return exchange_fail(exchange, MORTISE_INVALID,
			"a text is one line of UTF-8, without control characters and what turns "
			"text around");
	if (field->size)
		memcpy(out_line, field->bytes, field->size);
	out_line[field->size] = '\0';
	return MORTISE_OK;
}

enum mortise_status exchange_reason(struct exchange *exchange)
{
	TRY(exchange_line(exchange, WIRE_TAG_NOTE, exchange->reason, VAULT_NOTE_MAX));
	if (exchange->reason[0] == '\0')
		return exchange_fail(exchange, MORTISE_INVALID,
			"a note is wanted, which says why; it goes on record");
	exchange->note = exchange->reason;
	return MORTISE_OK;
}

enum mortise_status exchange_begin_write(struct exchange *exchange, struct vault_write *write)
{
	const struct wire_message *request = exchange->request;
	const uint8_t *token = NULL;

	TRY(exchange_token(exchange, &token));
	memcpy(write->token, token, WIRE_TOKEN_SIZE);
	write->uid = exchange->from->caller.subject.uid;
	write->time_us = exchange->now.least_us;
	write->has_expected_version = wire_has(request, WIRE_TAG_EXPECT);
	if (write->has_expected_version)
		TRY(wire_number(request, WIRE_TAG_EXPECT, &write->expected_version));
	return MORTISE_OK;
}

enum mortise_status exchange_fail_expected(struct exchange *exchange, uint64_t expected)
{
	return exchange_fail(exchange, MORTISE_CONFLICT,
		"the current version is not %llu; look at it and try again",
		(unsigned long long)expected);
}

enum mortise_status exchange_explain(struct exchange *exchange, enum mortise_status status)
{
	if (status == MORTISE_NOT_FOUND)
		return exchange_fail(exchange, status, "no such secret");
	return status;
}

void exchange_outcome(struct exchange *exchange, const struct vault_outcome *outcome)
{
	exchange->version = outcome->version;
	wire_put_number(exchange->reply, WIRE_TAG_VERSION, outcome->version);
	wire_put_number(exchange->reply, WIRE_TAG_CHANGED, outcome->changed);
}
