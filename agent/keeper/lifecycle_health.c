/* SPDX-License-Identifier: ISC */
#include <stdlib.h>

#include "lifecycle_parts.h"

static void release(uint8_t **bytes)
{
	free(*bytes);
}

static void on_health(void *context, struct sealer_answer *answer)
{
	struct lifecycle *lifecycle = context;
	slot_health_done *done = lifecycle->health_done;
	char text[500] = "";
	struct slot_health health = {
		.fault = answer->fault,
		.text = text,
		.says = answer->health,
		.is_pin_doubted = lifecycle_pin_is_noted(lifecycle, lifecycle->health_of),
	};

	if (answer->status != MORTISE_OK) {
		lifecycle_describe_test(lifecycle, lifecycle->health_of, answer, text, sizeof text);
		if (health.fault == TOKEN_FAULT_NONE)
			health.fault = TOKEN_FAULT_OTHER;
	}
	lifecycle->health_done = NULL;
	done(lifecycle->health_context, &health);
}

enum mortise_status slot_health(
	struct lifecycle *lifecycle, uint64_t id, slot_health_done *done, void *context)
{
	CLEANUP(release) uint8_t *record = NULL;
	struct slot slot;

	if (!lifecycle->vault)
		return MORTISE_SEALED;
	if (lifecycle->work || lifecycle->enrolment || lifecycle->health_done)
		return MORTISE_BUSY;
	TRY(lifecycle_vault_slot(lifecycle, id, &record, &slot));
	if (!slot_is_hardware(&slot))
		return MORTISE_CONFLICT;
	TRY(sealer_health(lifecycle->parts.sealer, slot.kind, slot.blob, on_health, lifecycle));
	lifecycle->health_done = done;
	lifecycle->health_context = context;
	lifecycle->health_of = id;
	return MORTISE_OK;
}
