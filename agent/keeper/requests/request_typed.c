/* SPDX-License-Identifier: ISC */
#include "request_typed.h"

#include <stdio.h>
#include <string.h>

#include "shares.h"
#include "slot_kinds.h"

#define PCRS_ALL 0xffffffu

enum mortise_status exchange_pin(struct exchange *exchange, struct secret **out_pin)
{
	const struct wire_field *pin = wire_field_of(exchange->request, WIRE_TAG_PIN);

	if (!wire_has(exchange->request, WIRE_TAG_PIN))
		return MORTISE_OK;
	if (pin->size == 0 || pin->size > TOKEN_PIN_MAX)
		return exchange_fail(
			exchange, MORTISE_INVALID, "a PIN has 1 to %d bytes", TOKEN_PIN_MAX);
	return secret_copy(pin->bytes, pin->size, out_pin);
}

enum mortise_status exchange_recovery(struct exchange *exchange, struct secret **out_key)
{
	const struct wire_field *typed = wire_field_of(exchange->request, WIRE_TAG_RECOVERY);
	unsigned group = 0;

	enum mortise_status status = recovery_parse(
		typed->bytes ? (const char *)typed->bytes : "", typed->size, out_key, &group);
	if (status == MORTISE_INVALID && group)
		return exchange_fail(
			exchange, status, "a typing error in group %u of the recovery key", group);
	if (status == MORTISE_INVALID)
		return exchange_fail(exchange, status,
			"a recovery key has %u groups of five letters or digits",
			(unsigned)RECOVERY_GROUPS);
	return status;
}

struct pile {
	struct share shares[SHARES_MAX];
	unsigned count;
};

static void pile_done(struct pile *pile)
{
	for (unsigned i = 0; i < pile->count; i++)
		share_done(&pile->shares[i]);
}

/* The newest share against those before it. */
static enum mortise_status check_share(struct exchange *exchange, const struct pile *pile)
{
	const struct share *share = &pile->shares[pile->count - 1], *first = &pile->shares[0];

	if (share->number == 0)
		return exchange_fail(exchange, MORTISE_INVALID,
			"share %u is no share, but an escrow key's public half", pile->count);
	if (strcmp(share->key_id, first->key_id) != 0 || share->threshold != first->threshold)
		return exchange_fail(exchange, MORTISE_INVALID,
			"share %u is of another key (id %s) than the first (id %s)", pile->count,
			share->key_id, first->key_id);
	for (unsigned i = 0; i + 1 < pile->count; i++)
		if (pile->shares[i].number == share->number)
			return exchange_fail(exchange, MORTISE_INVALID,
				"share %u is there twice: it is number %u; type another one",
				pile->count, share->number);
	return MORTISE_OK;
}

static enum mortise_status add_share(
	struct exchange *exchange, const struct wire_field *typed, struct pile *pile)
{
	unsigned group = 0;

	if (pile->count == SHARES_MAX)
		return exchange_fail(exchange, MORTISE_INVALID, "more than %d shares", SHARES_MAX);
	enum mortise_status status = share_read(
		(const char *)typed->bytes, typed->size, &pile->shares[pile->count], &group);
	if (status == MORTISE_INVALID && group)
		return exchange_fail(exchange, status, "a typing error in group %u of share %u",
			group, pile->count + 1);
	if (status == MORTISE_INVALID)
		return exchange_fail(exchange, status,
			"share %u has not the %u groups of five letters or digits of a share",
			pile->count + 1, (unsigned)SHARE_GROUPS);
	TRY(status);
	pile->count++;
	return check_share(exchange, pile);
}

static enum mortise_status join(
	struct exchange *exchange, struct secret **out_key, unsigned *out_missing)
{
	struct wire_list list = wire_list_of(exchange->request, WIRE_TAG_SHARES);
	CLEANUP(pile_done) struct pile pile = {.count = 0};
	struct wire_field typed;

	while (wire_list_next(&list, &typed))
		TRY(add_share(exchange, &typed, &pile));
	if (!wire_list_is_whole(&list) || pile.count == 0)
		return exchange_fail(exchange, MORTISE_INVALID, "there is no share in the request");
	if (pile.count < pile.shares[0].threshold) {
		*out_missing = pile.shares[0].threshold - pile.count;
		return MORTISE_OK;
	}
	enum mortise_status status = shares_join(pile.shares, pile.count, out_key);
	if (status == MORTISE_DENIED)
		return exchange_fail(exchange, status,
			"these shares do not make the key %s: one of them is of another set",
			pile.shares[0].key_id);
	return status;
}

enum mortise_status exchange_typed(
	struct exchange *exchange, struct secret **out_key, unsigned *out_missing)
{
	*out_missing = 0;
	if (wire_has(exchange->request, WIRE_TAG_SHARES))
		return join(exchange, out_key, out_missing);
	return exchange_recovery(exchange, out_key);
}

void asked_seal_done(struct asked_seal *asked)
{
	secret_drop(&asked->pin);
}

/* By the names of its attributes (RFC 7512, 2.3); a value may have any word in it. */
static bool has_pin(const char *uri)
{
	static const char *const names[] = {"pin-value=", "pin-source=", "pinfile="};

	for (const char *at = uri; (at = strpbrk(at, ":;?&"));) {
		at++;
		for (size_t i = 0; i < sizeof names / sizeof *names; i++)
			if (strncmp(at, names[i], strlen(names[i])) == 0)
				return true;
	}
	return false;
}

/* A PIN in a URI would be kept with it, on disk and in the clear. */
static enum mortise_status read_uri(struct exchange *exchange, struct asked_seal *asked)
{
	if (wire_field_of(exchange->request, WIRE_TAG_URI)->size > TOKEN_URI_MAX)
		return exchange_fail(exchange, MORTISE_INVALID,
			"a token's URI has at most %d bytes", TOKEN_URI_MAX);
	if (wire_text(exchange->request, WIRE_TAG_URI, asked->uri, sizeof asked->uri) !=
			MORTISE_OK ||
		strncmp(asked->uri, "pkcs11:", 7) != 0)
		return exchange_fail(exchange, MORTISE_INVALID,
			"a token is named by a URI like pkcs11:token=NAME (RFC 7512)");
	for (const char *at = asked->uri; *at; at++)
		if (*at <= ' ' || *at > '~')
			return exchange_fail(exchange, MORTISE_INVALID,
				"in a pkcs11: URI a blank is written as %%20, and so is all "
				"that is not plain ASCII; p11tool --list-token-urls has it right");
	if (has_pin(asked->uri))
		return exchange_fail(exchange, MORTISE_INVALID,
			"no PIN belongs in a URI; use --pin-file=F, or a terminal");
	asked->wish.uri = asked->uri;
	return MORTISE_OK;
}

static enum mortise_status read_pcrs(struct exchange *exchange, struct asked_seal *asked)
{
	const struct wire_field *key = wire_field_of(exchange->request, WIRE_TAG_PUBLIC_KEY);
	uint64_t pcrs = 0;

	if (wire_has(exchange->request, WIRE_TAG_PCRS) &&
		(wire_number(exchange->request, WIRE_TAG_PCRS, &pcrs) != MORTISE_OK || pcrs == 0 ||
			pcrs > PCRS_ALL))
		return exchange_fail(exchange, MORTISE_INVALID, "PCRs are 0 to 23");
	if (key->size > TOKEN_PEM_MAX)
		return exchange_fail(exchange, MORTISE_INVALID,
			"a PCR key has at most %d bytes; leave only the key in the file",
			TOKEN_PEM_MAX);
	if (wire_has(exchange->request, WIRE_TAG_PUBLIC_KEY) && key->size == 0)
		return exchange_fail(
			exchange, MORTISE_INVALID, "the PCR key is no public key in PEM");
	asked->wish.pcrs = (uint32_t)pcrs;
	asked->wish.pcr_key = (struct token_bytes){key->bytes, key->size};
	return MORTISE_OK;
}

/* Whether there is to be an anchor: where there is a counter, but for COUNTER 0. */
static enum mortise_status read_counter(
	struct exchange *exchange, bool has_counter, struct asked_seal *asked)
{
	uint64_t counter = 0;

	asked->has_anchor = has_counter && !wire_has(exchange->request, WIRE_TAG_COUNTER);
	if (wire_has(exchange->request, WIRE_TAG_COUNTER) &&
		(wire_number(exchange->request, WIRE_TAG_COUNTER, &counter) != MORTISE_OK ||
			counter != 0))
		return exchange_fail(
			exchange, MORTISE_INVALID, "a counter is made, or with 0 it is not");
	return MORTISE_OK;
}

enum mortise_status exchange_seal(struct exchange *exchange, struct asked_seal *asked)
{
	const struct wire_message *request = exchange->request;
	bool has_pcrs = wire_has(request, WIRE_TAG_PCRS) || wire_has(request, WIRE_TAG_PUBLIC_KEY);
	bool has_uri = wire_has(request, WIRE_TAG_URI);
	char words[SLOT_KIND_WORDS_SIZE];

	if (wire_text(request, WIRE_TAG_SLOT_KIND, asked->kind, sizeof asked->kind) != MORTISE_OK)
		return exchange_fail(
			exchange, MORTISE_INVALID, "the request names no kind of slot");
	const struct slot_kind *kind = slot_kind_of(asked->kind);
	bool is_hardware = kind && kind->is_hardware;
	if (!is_hardware && strcmp(asked->kind, "none") != 0)
		return exchange_fail(exchange, MORTISE_INVALID, "a slot's kind is %s",
			slot_kind_words("none", words));
	if (has_uri != (is_hardware && kind->has_uri) ||
		(has_pcrs && !(is_hardware && kind->has_pcrs)) ||
		(wire_has(request, WIRE_TAG_PIN) && !is_hardware))
		return exchange_fail(exchange, MORTISE_INVALID,
			"PCRs are a TPM's, a URI is a PKCS #11 token's, and a PIN is for one of "
			"them");
	TRY(exchange_pin(exchange, &asked->pin));
	asked->wish.pin = asked->pin;
	TRY(read_counter(exchange, is_hardware && kind->has_pcrs, asked));
	TRY(read_pcrs(exchange, asked));
	return has_uri ? read_uri(exchange, asked) : MORTISE_OK;
}
