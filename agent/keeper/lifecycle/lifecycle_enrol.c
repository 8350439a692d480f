/* SPDX-License-Identifier: ISC */
/* A seal is made by one sealer and proved by another, which knows nothing of the first. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "advice.h"
#include "lifecycle_parts.h"

void enrolment_end(struct lifecycle *lifecycle)
{
	struct enrolment *enrolment = lifecycle->enrolment;

	lifecycle->enrolment = NULL;
	if (!enrolment)
		return;
	secret_drop(&enrolment->pin);
	secret_drop(&enrolment->h);
	free(enrolment);
}

static void fail(struct lifecycle *lifecycle, const struct sealer_answer *answer)
{
	struct advice_about about = {.operation = lifecycle->making       ? ADVICE_INIT
						  : lifecycle->recovering ? ADVICE_RECOVER
									  : ADVICE_MAKE};
	char text[500];

	advice_describe(&about, answer, text, sizeof text);
	lifecycle->enrolment->done(lifecycle, answer->status, text);
}

static void on_proved(void *context, struct sealer_answer *answer)
{
	struct lifecycle *lifecycle = context;
	struct enrolment *enrolment = lifecycle->enrolment;

	if (answer->status != MORTISE_OK)
		fail(lifecycle, answer);
	else if (!secret_equals(answer->h, enrolment->h))
		enrolment->done(lifecycle, MORTISE_HARDWARE,
			"the hardware gave back something else than it was given; do not use it");
	else
		enrolment->done(lifecycle, MORTISE_OK, "");
}

static void on_enrolled(void *context, struct sealer_answer *answer)
{
	struct lifecycle *lifecycle = context;
	struct enrolment *enrolment = lifecycle->enrolment;

	if (answer->status != MORTISE_OK || answer->blob.size > sizeof enrolment->blob) {
		fail(lifecycle, answer);
		return;
	}
	enrolment->h = secret_take(&answer->h);
	enrolment->blob_size = answer->blob.size;
	memcpy(enrolment->blob, answer->blob.bytes, answer->blob.size);
	if (answer->uri.size)
		snprintf(enrolment->uri, sizeof enrolment->uri, "%.*s", (int)answer->uri.size,
			(const char *)answer->uri.bytes);
	if (sealer_open(lifecycle->parts.sealer, enrolment->kind,
		    (struct store_bytes){enrolment->blob, enrolment->blob_size}, enrolment->pin,
		    on_proved, lifecycle) != MORTISE_OK)
		enrolment->done(
			lifecycle, MORTISE_BUSY, "no second sealer could be started; try again");
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

enum mortise_status enrolment_begin(struct lifecycle *lifecycle, const char *kind,
	const struct token_wish *wish,
	void (*done)(struct lifecycle *lifecycle, enum mortise_status status, const char *text))
{
	if (lifecycle->enrolment)
		return MORTISE_BUSY;
	struct enrolment *enrolment = calloc(1, sizeof *enrolment);
	if (!enrolment)
		return MORTISE_BUSY;
	lifecycle->enrolment = enrolment;
	snprintf(enrolment->kind, sizeof enrolment->kind, "%s", kind);
	enrolment->done = done;
	enum mortise_status status = copy_wish(enrolment, wish);
	if (status == MORTISE_OK)
		status = sealer_enrol(lifecycle->parts.sealer, kind, wish, on_enrolled, lifecycle);
	if (status != MORTISE_OK)
		enrolment_end(lifecycle);
	return status;
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
