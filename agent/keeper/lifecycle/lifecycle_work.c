/* SPDX-License-Identifier: ISC */
#include "lifecycle_work.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "advice.h"
#include "enrolment.h"
#include "lifecycle_parts.h"
#include "log.h"

/* ---- a slot's hardware asked for its state ---- */

struct health_question {
	struct lifecycle *lifecycle;
	uint64_t of;
	slot_health_done *done;
	void *context;
};

static void end_question(
	struct lifecycle *lifecycle, enum mortise_status status, const struct slot_health *health)
{
	struct health_question *question = lifecycle->health;

	lifecycle->health = NULL;
	if (!question)
		return;
	sealer_forget(lifecycle->parts.sealer, question);
	question->done(question->context, status, health);
	free(question);
}

static void on_health(void *context, struct sealer_answer *answer)
{
	struct health_question *question = context;
	struct lifecycle *lifecycle = question->lifecycle;
	char text[500] = "";
	struct slot_health health = {
		.fault = answer->fault,
		.text = text,
		.says = answer->health,
		.is_pin_doubted = lifecycle_pin_is_noted(lifecycle, question->of),
	};

	if (answer->status != MORTISE_OK) {
		lifecycle_describe_test(lifecycle, question->of, answer, text, sizeof text);
		if (health.fault == TOKEN_FAULT_NONE)
			health.fault = TOKEN_FAULT_OTHER;
	}
	end_question(lifecycle, MORTISE_OK, &health);
}

static void release_question(struct health_question **question)
{
	free(*question);
}

enum mortise_status slot_health(
	struct lifecycle *lifecycle, uint64_t id, slot_health_done *done, void *context)
{
	CLEANUP(slot_copy_done) struct slot_copy copy = {.record = NULL};

	if (!lifecycle->vault)
		return MORTISE_SEALED;
	if (lifecycle->work || lifecycle->health)
		return MORTISE_BUSY;
	TRY(vault_slot(lifecycle->vault, id, &copy));
	if (!slot_is_hardware(&copy.slot))
		return MORTISE_CONFLICT;
	CLEANUP(release_question) struct health_question *question = calloc(1, sizeof *question);
	if (!question)
		return MORTISE_BUSY;
	*question = (struct health_question){lifecycle, id, done, context};
	TRY(sealer_health(
		lifecycle->parts.sealer, copy.slot.kind, copy.slot.blob, on_health, question));
	lifecycle->health = question;
	question = NULL;
	return MORTISE_OK;
}

enum slot_task { TASK_ADD, TASK_RESEAL, TASK_SUSPEND, TASK_CHANGE_PIN, TASK_TEST };

/* ---- work on a slot ---- */

struct slot_work {
	struct lifecycle *lifecycle;
	enum slot_task task;
	uint64_t of; /* the slot it is about; 0: a new one */
	uint64_t boots;
	struct enrolment *enrolment; /* NULL: a test, or not begun */
	slot_done *done;
	void *context;
};

static void drop_work(struct lifecycle *lifecycle)
{
	struct slot_work *work = lifecycle->work;

	lifecycle->work = NULL;
	if (!work)
		return;
	sealer_forget(lifecycle->parts.sealer, work);
	enrolment_drop(&work->enrolment);
	free(work);
}

/* The work is gone before its requester is told: who may have another. */
static void end(
	struct lifecycle *lifecycle, enum mortise_status status, const char *text, uint64_t id)
{
	slot_done *done = lifecycle->work->done;
	void *context = lifecycle->work->context;

	drop_work(lifecycle);
	done(context, status, text, id);
}

void slot_work_cancel(struct lifecycle *lifecycle)
{
	if (lifecycle->work)
		end(lifecycle, MORTISE_SEALED, "sealed meanwhile", 0);
	end_question(lifecycle, MORTISE_SEALED, NULL);
}

/* After a change: what will be asked when it is sealed, and what ends when. */
static void take_up_slots(struct lifecycle *lifecycle)
{
	lifecycle_keep_slots(lifecycle);
	lifecycle_look_at_ends(lifecycle);
}

/*
 * Of one slot there is at most one staged successor, and one stand-in: the newest. A reseal ends a
 * suspension.
 */
static void remove_rivals(struct lifecycle *lifecycle, uint64_t newest, const struct slot_hints *of)
{
	for (uint64_t id = 0; (id = vault_next_slot(lifecycle->vault, id));) {
		CLEANUP(slot_copy_done) struct slot_copy copy = {.record = NULL};
		if (vault_slot(lifecycle->vault, id, &copy) == MORTISE_OK && id != newest &&
			slot_is_passing(&copy.slot) && copy.slot.hints.of == of->of &&
			((of->flags & SLOT_STAGED) || (copy.slot.hints.flags & SLOT_STAND_IN)))
			/* One that stays is asked as well, and goes with the slot that it is for.
			 */
			(void)!vault_remove_slot(lifecycle->vault, id);
	}
}

static enum mortise_status keep_date(struct lifecycle *lifecycle, uint64_t id, uint64_t *out_us)
{
	CLEANUP(slot_copy_done) struct slot_copy copy = {.record = NULL};

	TRY(vault_slot(lifecycle->vault, id, &copy));
	*out_us = copy.slot.hints.created_us;
	return MORTISE_OK;
}

static enum mortise_status put_made(struct lifecycle *lifecycle, uint64_t *out_id)
{
	const struct slot_work *work = lifecycle->work;
	const struct enrolment *enrolment = work->enrolment;
	struct slot_hints hints = enrolment_hints(enrolment);
	char boot[SLOT_BOOT_SIZE];

	if (work->task == TASK_RESEAL || work->task == TASK_SUSPEND)
		hints.of = work->of;
	if (work->task == TASK_RESEAL)
		hints.flags |= SLOT_STAGED;
	if (work->task == TASK_SUSPEND) {
		lifecycle_boot_id(boot);
		hints.flags |= SLOT_STAND_IN;
		hints.boots = work->boots;
		hints.ends_us = hints.created_us + SLOT_SUSPEND_S * (uint64_t)1000000;
		hints.boot = (struct store_bytes){(const uint8_t *)boot, strlen(boot)};
	}
	if (work->task == TASK_CHANGE_PIN)
		TRY(keep_date(lifecycle, work->of, &hints.created_us));
	struct slot_making slot = {.kind = enrolment->kind,
		.h = enrolment->h,
		.blob = {enrolment->blob, enrolment->blob_size},
		.hints = &hints};
	uint64_t place = work->task == TASK_CHANGE_PIN ? work->of : 0;
	TRY(vault_put_slot(lifecycle->vault, place, &slot, out_id));
	if (hints.of)
		remove_rivals(lifecycle, *out_id, &hints);
	return MORTISE_OK;
}

static_assert(VAULT_SLOTS_MAX == 16, "what on_enrolled() says");

static void on_enrolled(void *context, enum mortise_status status, const char *text)
{
	struct slot_work *work = context;
	struct lifecycle *lifecycle = work->lifecycle;
	uint64_t id = 0;

	if (status == MORTISE_OK) {
		status = put_made(lifecycle, &id);
		text = status == MORTISE_CONFLICT
			       ? "a store has at most 16 slots; remove one first: mortise "
				 "slot remove"
		       : status == MORTISE_OK ? ""
					      : "the slot could not be written to the store";
		take_up_slots(lifecycle);
	}
	end(lifecycle, status, text, id);
}

static enum mortise_status new_work(struct lifecycle *lifecycle, enum slot_task task, uint64_t of,
	slot_done *done, void *context)
{
	if (!lifecycle->vault)
		return MORTISE_SEALED;
	if (lifecycle->work)
		return MORTISE_BUSY;
	struct slot_work *work = calloc(1, sizeof *work);
	if (!work)
		return MORTISE_BUSY;
	work->lifecycle = lifecycle;
	work->task = task;
	work->of = of;
	work->done = done;
	work->context = context;
	lifecycle->work = work;
	return MORTISE_OK;
}

static enum mortise_status begin(struct lifecycle *lifecycle, enum slot_task task, uint64_t of,
	const char *kind, const struct token_wish *wish, slot_done *done, void *context)
{
	TRY(new_work(lifecycle, task, of, done, context));
	struct slot_work *work = lifecycle->work;
	enum mortise_status status = enrolment_new(lifecycle->parts.sealer, kind, wish, ADVICE_MAKE,
		on_enrolled, work, &work->enrolment);
	if (status != MORTISE_OK)
		drop_work(lifecycle);
	return status;
}

enum mortise_status slot_work_add(struct lifecycle *lifecycle, const char *kind,
	const struct token_wish *wish, slot_done *done, void *context)
{
	return begin(lifecycle, TASK_ADD, 0, kind, wish, done, context);
}

/* What a slot was made with, from its hints; uri has room for TOKEN_URI_MAX + 1. */
static struct token_wish wish_of(const struct slot *slot, const struct secret *pin, char *uri)
{
	const struct slot_hints *hints = &slot->hints;
	struct token_wish wish = {.pin = pin, .pcrs = (uint32_t)hints->pcrs};

	wish.pcr_key = (struct token_bytes){hints->pcr_key.bytes, hints->pcr_key.size};
	if (hints->uri.size) {
		memcpy(uri, hints->uri.bytes, hints->uri.size);
		uri[hints->uri.size] = '\0';
		wish.uri = uri;
	}
	return wish;
}

/* A hardware slot that is there to stay, and a PIN exactly if it has one. */
static enum mortise_status check_slot(const struct slot *slot, const struct secret *pin)
{
	if (!slot_is_hardware(slot) || slot_is_passing(slot))
		return MORTISE_CONFLICT;
	return ((slot->hints.flags & SLOT_HAS_PIN) != 0) == (pin != NULL) ? MORTISE_OK
									  : MORTISE_INVALID;
}

static enum mortise_status begin_anew(struct lifecycle *lifecycle, enum slot_task task, uint64_t id,
	uint64_t boots, const struct secret *pin, slot_done *done, void *context)
{
	CLEANUP(slot_copy_done) struct slot_copy copy = {.record = NULL};
	char uri[TOKEN_URI_MAX + 1];

	if (!lifecycle->vault)
		return MORTISE_SEALED;
	TRY(vault_slot(lifecycle->vault, id, &copy));
	TRY(check_slot(&copy.slot, pin));
	struct token_wish wish = wish_of(&copy.slot, pin, uri);
	if (task == TASK_SUSPEND && !wish.pcrs)
		return MORTISE_CONFLICT;
	if (task == TASK_SUSPEND)
		wish.pcrs = 0;
	if (task == TASK_CHANGE_PIN && (!pin || !slot_kind(&copy.slot)->changes_pin))
		return MORTISE_CONFLICT;
	TRY(begin(lifecycle, task, id, copy.slot.kind, &wish, done, context));
	lifecycle->work->boots = boots;
	return MORTISE_OK;
}

enum mortise_status slot_work_reseal(struct lifecycle *lifecycle, uint64_t id,
	const struct secret *pin, slot_done *done, void *context)
{
	return begin_anew(lifecycle, TASK_RESEAL, id, 0, pin, done, context);
}

enum mortise_status slot_work_suspend(struct lifecycle *lifecycle, uint64_t id, uint64_t boots,
	const struct secret *pin, slot_done *done, void *context)
{
	return begin_anew(lifecycle, TASK_SUSPEND, id, boots, pin, done, context);
}

enum mortise_status slot_work_change_pin(struct lifecycle *lifecycle, uint64_t id,
	const struct secret *pin, slot_done *done, void *context)
{
	return begin_anew(lifecycle, TASK_CHANGE_PIN, id, 0, pin, done, context);
}

/* ---- tests ---- */

void lifecycle_describe_test(struct lifecycle *lifecycle, uint64_t id,
	const struct sealer_answer *answer, char *buffer, size_t size)
{
	CLEANUP(slot_copy_done) struct slot_copy copy = {.record = NULL};
	struct advice_about about = {.operation = ADVICE_TEST,
		.slot = id,
		.has_anchor = anchor_report(lifecycle->anchor).exists};

	if (vault_slot(lifecycle->vault, id, &copy) == MORTISE_OK &&
		(copy.slot.hints.flags & SLOT_STAGED))
		about.slot = copy.slot.hints.of;
	advice_describe(&about, answer, buffer, size);
}

/* The date is no part of the proof: if it cannot be written, the slot opens all the same. */
static void note_test(struct lifecycle *lifecycle, uint64_t id)
{
	CLEANUP(slot_copy_done) struct slot_copy copy = {.record = NULL};

	if (vault_slot(lifecycle->vault, id, &copy) != MORTISE_OK)
		return;
	copy.slot.hints.tested_us = clock_now().least_us;
	if (vault_hint_slot(lifecycle->vault, id, &copy.slot.hints) == MORTISE_OK)
		lifecycle_keep_slots(lifecycle);
}

static void describe_untried(uint64_t id, enum mortise_status status, char *text, size_t size)
{
	if (status == MORTISE_DENIED || status == MORTISE_INTEGRITY)
		snprintf(text, size,
			"the hardware opened, but not this slot; run: mortise slot remove %llu, "
			"then: mortise slot add",
			(unsigned long long)id);
	else
		snprintf(text, size, "the hardware opened, but slot %llu could not be tried: %s",
			(unsigned long long)id, mortise_status_text(status));
}

static void on_tested(void *context, struct sealer_answer *answer)
{
	const struct slot_work *work = context;
	struct lifecycle *lifecycle = work->lifecycle;
	uint64_t id = work->of;
	char text[500] = "";

	enum mortise_status status = answer->status;
	if (status != MORTISE_OK)
		lifecycle_describe_test(lifecycle, id, answer, text, sizeof text);
	else if ((status = vault_try_slot(lifecycle->vault, id, answer->h)) != MORTISE_OK)
		describe_untried(id, status, text, sizeof text);
	if (status == MORTISE_OK)
		note_test(lifecycle, id);
	end(lifecycle, status == MORTISE_DENIED ? MORTISE_INTEGRITY : status, text,
		status == MORTISE_OK ? id : 0);
}

enum mortise_status slot_work_test(struct lifecycle *lifecycle, uint64_t id,
	const struct secret *pin, slot_done *done, void *context)
{
	CLEANUP(slot_copy_done) struct slot_copy copy = {.record = NULL};

	if (!lifecycle->vault)
		return MORTISE_SEALED;
	TRY(vault_slot(lifecycle->vault, id, &copy));
	if (!slot_is_hardware(&copy.slot))
		return MORTISE_CONFLICT;
	if (((copy.slot.hints.flags & SLOT_HAS_PIN) != 0) != (pin != NULL))
		return MORTISE_INVALID;
	TRY(new_work(lifecycle, TASK_TEST, id, done, context));
	enum mortise_status status = sealer_open(lifecycle->parts.sealer, copy.slot.kind,
		copy.slot.blob, pin, on_tested, lifecycle->work);
	if (status != MORTISE_OK)
		drop_work(lifecycle);
	return status;
}

enum mortise_status slot_test_typed(
	struct lifecycle *lifecycle, uint64_t id, const struct secret *key)
{
	if (!lifecycle->vault)
		return MORTISE_SEALED;
	TRY(vault_try_slot(lifecycle->vault, id, key));
	note_test(lifecycle, id);
	return MORTISE_OK;
}

/* ---- what needs no hardware ---- */

enum mortise_status slot_add_typed(
	struct lifecycle *lifecycle, const struct slot_typed *typed, uint64_t *out_id)
{
	struct slot_hints hints = {.created_us = clock_now().least_us,
		.shares = typed->shares,
		.threshold = typed->threshold};
	struct slot_making slot = {.kind = typed->kind,
		.key_id = typed->key_id,
		.h = typed->key,
		.escrow_half = typed->escrow_half,
		.hints = &hints};

	if (!lifecycle->vault)
		return MORTISE_SEALED;
	TRY(vault_put_slot(lifecycle->vault, 0, &slot, out_id));
	take_up_slots(lifecycle);
	return MORTISE_OK;
}

/* Its id may be another's soon: what is under way for it ends, and what is noted of its PIN is
 * void. */
static void forget_slot(struct lifecycle *lifecycle, uint64_t id)
{
	if (lifecycle->work && lifecycle->work->of == id)
		end(lifecycle, MORTISE_CONFLICT, "the slot was removed meanwhile", 0);
	if (lifecycle_note_pin(lifecycle, id, false) != MORTISE_OK)
		log_warning("slot %llu: what is noted of its PIN could not be removed",
			(unsigned long long)id);
}

enum mortise_status slot_remove(struct lifecycle *lifecycle, uint64_t id)
{
	if (!lifecycle->vault)
		return MORTISE_SEALED;
	TRY(vault_remove_slot(lifecycle->vault, id));
	forget_slot(lifecycle, id);
	for (uint64_t other = 0; (other = vault_next_slot(lifecycle->vault, other));) {
		CLEANUP(slot_copy_done) struct slot_copy copy = {.record = NULL};
		if (vault_slot(lifecycle->vault, other, &copy) == MORTISE_OK &&
			slot_is_passing(&copy.slot) && copy.slot.hints.of == id)
			/* What is left of it opens the store, and `slot list` shows it. */
			(void)!vault_remove_slot(lifecycle->vault, other);
	}
	take_up_slots(lifecycle);
	return MORTISE_OK;
}

uint64_t slot_opened_us(const struct lifecycle *lifecycle, uint64_t id)
{
	return lifecycle->opened_id == id ? lifecycle->opened_us : 0;
}
