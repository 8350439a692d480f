/* SPDX-License-Identifier: ISC */
#include "slot_work.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "advice.h"
#include "enrolment.h"
#include "log.h"

/* What a failed answer about a slot of the open vault means: what happened; what next. */
static void describe_test(struct slot_worker *worker, uint64_t id,
	const struct sealer_answer *answer, char *buffer, size_t size)
{
	CLEANUP(slot_copy_done) struct slot_copy copy = {.record = NULL};
	struct advice_about about = {.operation = ADVICE_TEST,
		.slot = id,
		.has_anchor = anchor_report(worker->holding->anchor).exists};

	if (vault_slot(worker->holding->vault, id, &copy) == MORTISE_OK &&
		(copy.slot.hints.flags & SLOT_STAGED))
		about.slot = copy.slot.hints.of;
	advice_describe(&about, answer, buffer, size);
}

/* ---- a slot's hardware asked for its state ---- */

struct health_question {
	struct slot_worker *worker;
	uint64_t of;
	slot_health_done *done;
	void *context;
};

static void end_question(
	struct slot_worker *worker, enum mortise_status status, const struct slot_health *health)
{
	struct health_question *question = worker->health;

	worker->health = NULL;
	if (!question)
		return;
	sealer_forget(worker->holding->sealer, question);
	question->done(question->context, status, health);
	free(question);
}

static void on_health(void *context, struct sealer_answer *answer)
{
	struct health_question *question = context;
	struct slot_worker *worker = question->worker;
	char text[500] = "";
	struct slot_health health = {
		.fault = answer->fault,
		.text = text,
		.says = answer->health,
		.is_pin_doubted = holding_pin_is_noted(worker->holding, question->of),
	};

	if (answer->status != MORTISE_OK) {
		describe_test(worker, question->of, answer, text, sizeof text);
		if (health.fault == TOKEN_FAULT_NONE)
			health.fault = TOKEN_FAULT_OTHER;
	}
	end_question(worker, MORTISE_OK, &health);
}

static void release_question(struct health_question **question)
{
	free(*question);
}

enum mortise_status slot_health(
	struct slot_worker *worker, uint64_t id, slot_health_done *done, void *context)
{
	struct holding *holding = worker->holding;
	CLEANUP(slot_copy_done) struct slot_copy copy = {.record = NULL};

	if (!holding->vault)
		return MORTISE_SEALED;
	if (worker->work || worker->health)
		return MORTISE_BUSY;
	TRY(vault_slot(holding->vault, id, &copy));
	if (!slot_is_hardware(&copy.slot))
		return MORTISE_CONFLICT;
	CLEANUP(release_question) struct health_question *question = calloc(1, sizeof *question);
	if (!question)
		return MORTISE_BUSY;
	*question = (struct health_question){worker, id, done, context};
	TRY(sealer_health(holding->sealer, copy.slot.kind, copy.slot.blob, on_health, question));
	worker->health = question;
	question = NULL;
	return MORTISE_OK;
}

/* ---- work on a slot ---- */

enum slot_task { TASK_ADD, TASK_RESEAL, TASK_SUSPEND, TASK_CHANGE_PIN, TASK_TEST };

struct slot_work {
	struct slot_worker *worker;
	enum slot_task task;
	uint64_t of; /* the slot it is about; 0: a new one */
	uint64_t boots;
	struct enrolment *enrolment; /* NULL: a test, or not begun */
	slot_done *done;
	void *context;
};

static void drop_work(struct slot_worker *worker)
{
	struct slot_work *work = worker->work;

	worker->work = NULL;
	if (!work)
		return;
	sealer_forget(worker->holding->sealer, work);
	enrolment_drop(&work->enrolment);
	free(work);
}

/* The work is gone before its requester is told: who may have another. */
static void end(
	struct slot_worker *worker, enum mortise_status status, const char *text, uint64_t id)
{
	slot_done *done = worker->work->done;
	void *context = worker->work->context;

	drop_work(worker);
	done(context, status, text, id);
}

void slot_work_cancel(struct slot_worker *worker)
{
	if (worker->work)
		end(worker, MORTISE_SEALED, "sealed meanwhile", 0);
	end_question(worker, MORTISE_SEALED, NULL);
}

/*
 * Of one slot there is at most one staged successor, and one stand-in: the newest. A reseal ends a
 * suspension.
 */
static void remove_rivals(struct slot_worker *worker, uint64_t newest, const struct slot_hints *of)
{
	struct holding *holding = worker->holding;

	for (uint64_t id = 0; (id = vault_next_slot(holding->vault, id));) {
		CLEANUP(slot_copy_done) struct slot_copy copy = {.record = NULL};
		if (vault_slot(holding->vault, id, &copy) == MORTISE_OK && id != newest &&
			slot_is_passing(&copy.slot) && copy.slot.hints.of == of->of &&
			((of->flags & SLOT_STAGED) || (copy.slot.hints.flags & SLOT_STAND_IN)))
			/* One that stays is asked as well, and goes with the slot that it is for.
			 */
			(void)!vault_remove_slot(holding->vault, id);
	}
}

static enum mortise_status keep_date(struct slot_worker *worker, uint64_t id, uint64_t *out_us)
{
	CLEANUP(slot_copy_done) struct slot_copy copy = {.record = NULL};

	TRY(vault_slot(worker->holding->vault, id, &copy));
	*out_us = copy.slot.hints.created_us;
	return MORTISE_OK;
}

static enum mortise_status put_made(struct slot_worker *worker, uint64_t *out_id)
{
	const struct slot_work *work = worker->work;
	const struct enrolment *enrolment = work->enrolment;
	struct slot_hints hints = enrolment_hints(enrolment);
	char boot[SLOT_BOOT_SIZE];

	if (work->task == TASK_RESEAL || work->task == TASK_SUSPEND)
		hints.of = work->of;
	if (work->task == TASK_RESEAL)
		hints.flags |= SLOT_STAGED;
	if (work->task == TASK_SUSPEND) {
		holding_boot_id(boot);
		hints.flags |= SLOT_STAND_IN;
		hints.boots = work->boots;
		hints.ends_us = hints.created_us + SLOT_SUSPEND_S * (uint64_t)1000000;
		hints.boot = (struct store_bytes){(const uint8_t *)boot, strlen(boot)};
	}
	if (work->task == TASK_CHANGE_PIN)
		TRY(keep_date(worker, work->of, &hints.created_us));
	struct slot_making slot = {.kind = enrolment->kind,
		.h = enrolment->h,
		.blob = {enrolment->blob, enrolment->blob_size},
		.hints = &hints};
	uint64_t place = work->task == TASK_CHANGE_PIN ? work->of : 0;
	TRY(vault_put_slot(worker->holding->vault, place, &slot, out_id));
	if (hints.of)
		remove_rivals(worker, *out_id, &hints);
	return MORTISE_OK;
}

static_assert(VAULT_SLOTS_MAX == 16, "what on_enrolled() says");

static void on_enrolled(void *context, enum mortise_status status, const char *text)
{
	struct slot_work *work = context;
	struct slot_worker *worker = work->worker;
	uint64_t id = 0;

	if (status == MORTISE_OK) {
		status = put_made(worker, &id);
		text = status == MORTISE_CONFLICT
			       ? "a store has at most 16 slots; remove one first: mortise "
				 "slot remove"
		       : status == MORTISE_OK ? ""
					      : "the slot could not be written to the store";
		holding_keep_slots(worker->holding);
	}
	end(worker, status, text, id);
}

static enum mortise_status new_work(struct slot_worker *worker, enum slot_task task, uint64_t of,
	slot_done *done, void *context)
{
	if (!worker->holding->vault)
		return MORTISE_SEALED;
	if (worker->work)
		return MORTISE_BUSY;
	struct slot_work *work = calloc(1, sizeof *work);
	if (!work)
		return MORTISE_BUSY;
	work->worker = worker;
	work->task = task;
	work->of = of;
	work->done = done;
	work->context = context;
	worker->work = work;
	return MORTISE_OK;
}

static enum mortise_status begin(struct slot_worker *worker, enum slot_task task, uint64_t of,
	const char *kind, const struct token_wish *wish, slot_done *done, void *context)
{
	TRY(new_work(worker, task, of, done, context));
	struct slot_work *work = worker->work;
	enum mortise_status status = enrolment_new(worker->holding->sealer, kind, wish, ADVICE_MAKE,
		on_enrolled, work, &work->enrolment);
	if (status != MORTISE_OK)
		drop_work(worker);
	return status;
}

enum mortise_status slot_work_add(struct slot_worker *worker, const char *kind,
	const struct token_wish *wish, slot_done *done, void *context)
{
	return begin(worker, TASK_ADD, 0, kind, wish, done, context);
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

static enum mortise_status begin_anew(struct slot_worker *worker, enum slot_task task, uint64_t id,
	uint64_t boots, const struct secret *pin, slot_done *done, void *context)
{
	CLEANUP(slot_copy_done) struct slot_copy copy = {.record = NULL};
	char uri[TOKEN_URI_MAX + 1];

	if (!worker->holding->vault)
		return MORTISE_SEALED;
	TRY(vault_slot(worker->holding->vault, id, &copy));
	TRY(check_slot(&copy.slot, pin));
	struct token_wish wish = wish_of(&copy.slot, pin, uri);
	if (task == TASK_SUSPEND && !wish.pcrs)
		return MORTISE_CONFLICT;
	if (task == TASK_SUSPEND)
		wish.pcrs = 0;
	if (task == TASK_CHANGE_PIN && (!pin || !slot_kind(&copy.slot)->changes_pin))
		return MORTISE_CONFLICT;
	TRY(begin(worker, task, id, copy.slot.kind, &wish, done, context));
	worker->work->boots = boots;
	return MORTISE_OK;
}

enum mortise_status slot_work_reseal(struct slot_worker *worker, uint64_t id,
	const struct secret *pin, slot_done *done, void *context)
{
	return begin_anew(worker, TASK_RESEAL, id, 0, pin, done, context);
}

enum mortise_status slot_work_suspend(struct slot_worker *worker, uint64_t id, uint64_t boots,
	const struct secret *pin, slot_done *done, void *context)
{
	return begin_anew(worker, TASK_SUSPEND, id, boots, pin, done, context);
}

enum mortise_status slot_work_change_pin(struct slot_worker *worker, uint64_t id,
	const struct secret *pin, slot_done *done, void *context)
{
	return begin_anew(worker, TASK_CHANGE_PIN, id, 0, pin, done, context);
}

/* ---- tests ---- */

/* The date is no part of the proof: if it cannot be written, the slot opens all the same. */
static void note_test(struct slot_worker *worker, uint64_t id)
{
	struct holding *holding = worker->holding;
	CLEANUP(slot_copy_done) struct slot_copy copy = {.record = NULL};

	if (vault_slot(holding->vault, id, &copy) != MORTISE_OK)
		return;
	copy.slot.hints.tested_us = clock_now().least_us;
	if (vault_date_slot(holding->vault, id, &copy.slot.hints) == MORTISE_OK)
		holding_keep_slots(holding);
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
	struct slot_worker *worker = work->worker;
	uint64_t id = work->of;
	char text[500] = "";

	enum mortise_status status = answer->status;
	if (status != MORTISE_OK)
		describe_test(worker, id, answer, text, sizeof text);
	else if ((status = vault_try_slot(worker->holding->vault, id, answer->h)) != MORTISE_OK)
		describe_untried(id, status, text, sizeof text);
	if (status == MORTISE_OK)
		note_test(worker, id);
	end(worker, status == MORTISE_DENIED ? MORTISE_INTEGRITY : status, text,
		status == MORTISE_OK ? id : 0);
}

enum mortise_status slot_work_test(struct slot_worker *worker, uint64_t id,
	const struct secret *pin, slot_done *done, void *context)
{
	struct holding *holding = worker->holding;
	CLEANUP(slot_copy_done) struct slot_copy copy = {.record = NULL};

	if (!holding->vault)
		return MORTISE_SEALED;
	TRY(vault_slot(holding->vault, id, &copy));
	if (!slot_is_hardware(&copy.slot))
		return MORTISE_CONFLICT;
	if (((copy.slot.hints.flags & SLOT_HAS_PIN) != 0) != (pin != NULL))
		return MORTISE_INVALID;
	TRY(new_work(worker, TASK_TEST, id, done, context));
	enum mortise_status status = sealer_open(
		holding->sealer, copy.slot.kind, copy.slot.blob, pin, on_tested, worker->work);
	if (status != MORTISE_OK)
		drop_work(worker);
	return status;
}

enum mortise_status slot_test_typed(
	struct slot_worker *worker, uint64_t id, const struct secret *key)
{
	if (!worker->holding->vault)
		return MORTISE_SEALED;
	TRY(vault_try_slot(worker->holding->vault, id, key));
	note_test(worker, id);
	return MORTISE_OK;
}

/* ---- what needs no hardware ---- */

enum mortise_status slot_add_typed(
	struct slot_worker *worker, const struct slot_typed *typed, uint64_t *out_id)
{
	struct holding *holding = worker->holding;
	struct slot_hints hints = {.created_us = clock_now().least_us,
		.shares = typed->shares,
		.threshold = typed->threshold};
	struct slot_making slot = {.kind = typed->kind,
		.key_id = typed->key_id,
		.h = typed->key,
		.escrow_half = typed->escrow_half,
		.hints = &hints};

	if (!holding->vault)
		return MORTISE_SEALED;
	TRY(vault_put_slot(holding->vault, 0, &slot, out_id));
	holding_keep_slots(holding);
	return MORTISE_OK;
}

/* Its id may be another's soon: what is under way for it ends, and what is noted of its PIN is
 * void. */
static void forget_slot(struct slot_worker *worker, uint64_t id)
{
	if (worker->work && worker->work->of == id)
		end(worker, MORTISE_CONFLICT, "the slot was removed meanwhile", 0);
	if (holding_note_pin(worker->holding, id, false) != MORTISE_OK)
		log_warning("slot %llu: what is noted of its PIN could not be removed",
			(unsigned long long)id);
}

enum mortise_status slot_remove(struct slot_worker *worker, uint64_t id)
{
	struct holding *holding = worker->holding;

	if (!holding->vault)
		return MORTISE_SEALED;
	TRY(vault_remove_slot(holding->vault, id));
	forget_slot(worker, id);
	for (uint64_t other = 0; (other = vault_next_slot(holding->vault, other));) {
		CLEANUP(slot_copy_done) struct slot_copy copy = {.record = NULL};
		if (vault_slot(holding->vault, other, &copy) == MORTISE_OK &&
			slot_is_passing(&copy.slot) && copy.slot.hints.of == id)
			/* What is left of it opens the store, and `slot list` shows it. */
			(void)!vault_remove_slot(holding->vault, other);
	}
	holding_keep_slots(holding);
	return MORTISE_OK;
}
