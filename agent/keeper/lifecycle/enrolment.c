/* SPDX-License-Identifier: ISC */
#include "enrolment.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "anchor.h"
#include "clock.h"

void enrolment_drop(struct enrolment **enrolment)
{
	struct enrolment *dropped = *enrolment;

	*enrolment = NULL;
	if (!dropped)
		return;
	sealer_forget(dropped->sealer, dropped);
	secret_drop(&dropped->pin);
	secret_drop(&dropped->h);
	secret_drop(&dropped->anchor_auth);
	secret_drop(&dropped->anchor);
	free(dropped);
}

static void tell(struct enrolment *enrolment, enum mortise_status status, const char *text)
{
	enrolment->done(enrolment->context, status, text);
}

static void fail(struct enrolment *enrolment, const struct sealer_answer *answer)
{
	struct advice_about about = {.operation = enrolment->operation};
	char text[500];

	advice_describe(&about, answer, text, sizeof text);
	tell(enrolment, answer->status, text);
}

static void on_proved(void *context, struct sealer_answer *answer)
{
	struct enrolment *enrolment = context;

	if (answer->status != MORTISE_OK)
		fail(enrolment, answer);
	else if (!secret_equals(answer->h, enrolment->h))
		tell(enrolment, MORTISE_HARDWARE,
			"the hardware gave back something else than it was given; do not use it");
	else
		tell(enrolment, MORTISE_OK, "");
}

static void on_enrolled(void *context, struct sealer_answer *answer)
{
	struct enrolment *enrolment = context;

	if (answer->status != MORTISE_OK || answer->blob.size > sizeof enrolment->blob) {
		fail(enrolment, answer);
		return;
	}
	enrolment->h = secret_take(&answer->h);
	enrolment->blob_size = answer->blob.size;
	memcpy(enrolment->blob, answer->blob.bytes, answer->blob.size);
	if (answer->uri.size)
		snprintf(enrolment->uri, sizeof enrolment->uri, "%.*s", (int)answer->uri.size,
			(const char *)answer->uri.bytes);
	if (sealer_open(enrolment->sealer, enrolment->kind,
		    (struct store_bytes){enrolment->blob, enrolment->blob_size}, enrolment->pin,
		    on_proved, enrolment) != MORTISE_OK)
		tell(enrolment, MORTISE_BUSY, "no second sealer could be started; try again");
}

/* The wish may be gone before the sealer answers. */
static enum mortise_status copy_wish(struct enrolment *enrolment, const struct token_wish *wish)
{
	if (wish->pcr_key.size > sizeof enrolment->pcr_key ||
		(wish->uri && strlen(wish->uri) >= sizeof enrolment->uri) ||
		(wish->pin && (wish->pin->size == 0 || wish->pin->size > TOKEN_PIN_MAX)))
		return MORTISE_INVALID;
	enrolment->pcrs = wish->pcrs;
	enrolment->pcr_key_size = wish->pcr_key.size;
	if (wish->pcr_key.size)
		memcpy(enrolment->pcr_key, wish->pcr_key.bytes, wish->pcr_key.size);
	snprintf(enrolment->uri, sizeof enrolment->uri, "%s", wish->uri ? wish->uri : "");
	if (wish->pin)
		TRY(secret_copy(wish->pin->bytes, wish->pin->size, &enrolment->pin));
	return MORTISE_OK;
}

enum mortise_status enrolment_new(struct sealer_link *sealer, const char *kind,
	const struct token_wish *wish, enum advice_operation operation, enrolment_done *done,
	void *context, struct enrolment **out_enrolment)
{
	CLEANUP(enrolment_drop) struct enrolment *enrolment = calloc(1, sizeof *enrolment);

	if (!enrolment)
		return MORTISE_BUSY;
	enrolment->sealer = sealer;
	enrolment->operation = operation;
	enrolment->done = done;
	enrolment->context = context;
	snprintf(enrolment->kind, sizeof enrolment->kind, "%s", kind);
	TRY(copy_wish(enrolment, wish));
	TRY(sealer_enrol(sealer, kind, wish, on_enrolled, enrolment));
	*out_enrolment = enrolment;
	enrolment = NULL;
	return MORTISE_OK;
}

static void on_counter(void *context, struct sealer_answer *answer)
{
	struct enrolment *enrolment = context;

	if (answer->status != MORTISE_OK) {
		fail(enrolment, answer);
		return;
	}
	enrolment->generation = answer->counter;
	enum mortise_status status = anchor_write_state(
		enrolment->kind, enrolment->anchor_auth, answer->blob, &enrolment->anchor);
	tell(enrolment, status, status == MORTISE_OK ? "" : mortise_status_text(status));
}

enum mortise_status enrolment_add_counter(
	struct enrolment *enrolment, enum advice_operation operation, enrolment_done *done)
{
	struct token_anchor question = {.action = TOKEN_ANCHOR_DEFINE};

	TRY(secret_random(KEY_SIZE, &enrolment->anchor_auth));
	question.auth = enrolment->anchor_auth;
	enrolment->operation = operation;
	enrolment->done = done;
	return sealer_anchor(enrolment->sealer, enrolment->kind, &question, on_counter, enrolment);
}

struct slot_hints enrolment_hints(const struct enrolment *enrolment)
{
	return (struct slot_hints){
		.flags = enrolment->pin ? SLOT_HAS_PIN : 0,
		.created_us = clock_now().least_us,
		.tested_us = clock_now().least_us,
		.pcrs = enrolment->pcrs,
		.pcr_key = {enrolment->pcr_key, enrolment->pcr_key_size},
		.uri = {(const uint8_t *)enrolment->uri, strlen(enrolment->uri)},
	};
}
