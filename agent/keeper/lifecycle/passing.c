/* SPDX-License-Identifier: ISC */
#include "passing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "log.h"

#define OPENED_STALE_US (86400 * (uint64_t)1000000) /* a restart loop writes no slot */
#define DOUBT_CHECK_US  UINT64_C(60000000)
#define ENDS_CHECK_S    3600 /* the clock may be set meanwhile */

static void put_on_record(struct passing *passing, const char *operation,
	enum mortise_status status, const char *note)
{
	holding_record(passing->holding, operation, status, note);
	if (status == MORTISE_OK)
		log_info("%s", note);
	else
		log_warning("%s: %s", note, mortise_status_text(status));
}

/*
 * In steps, each of which leaves a store that opens: the staged slot becomes one to stay, which
 * names still what it replaced; that goes; then the name does.
 */
static enum mortise_status replace_old(
	struct passing *passing, uint64_t id, struct slot_hints *hints)
{
	uint64_t old = hints->of;

	if (hints->flags & SLOT_STAGED) {
		hints->flags &= ~(uint64_t)SLOT_STAGED;
		hints->opened_us = passing->opened_us;
		TRY(vault_hint_slot(passing->holding->vault, id, hints));
	}
	enum mortise_status status = slot_remove(passing->worker, old);
	if (status != MORTISE_OK && status != MORTISE_NOT_FOUND)
		return status;
	hints->of = 0;
	return vault_hint_slot(passing->holding->vault, id, hints);
}

/* For the slot that opened. */
static void promote(struct passing *passing, uint64_t id)
{
	CLEANUP(slot_copy_done) struct slot_copy copy = {.record = NULL};

	if (vault_slot(passing->holding->vault, id, &copy) != MORTISE_OK)
		return;
	struct slot_hints hints = copy.slot.hints;
	char note[120];
	snprintf(note, sizeof note, "slot %llu has opened and replaces slot %llu",
		(unsigned long long)id, (unsigned long long)hints.of);
	if (hints.of && !(hints.flags & SLOT_STAND_IN))
		put_on_record(passing, "slot-reseal", replace_old(passing, id, &hints), note);
	else if (passing->opened_us - hints.opened_us > OPENED_STALE_US) {
		hints.opened_us = passing->opened_us;
		(void)!vault_date_slot(passing->holding->vault, id, &hints); /* for people */
	}
}

static enum mortise_status drop_stand_in(
	struct passing *passing, uint64_t id, const struct slot *slot, const char *why)
{
	char note[120];

	snprintf(note, sizeof note, "slot %llu stands in for slot %llu no more: %s",
		(unsigned long long)id, (unsigned long long)slot->hints.of, why);
	enum mortise_status status = vault_remove_slot(passing->holding->vault, id);
	put_on_record(passing, "slot-suspend", status, note);
	return status;
}

/* The reseal took the stand-in's place; where it failed, the stand-in stays until it ends. */
static void on_resealed(void *context, enum mortise_status status, const char *text, uint64_t id)
{
	char note[400];

	if (status == MORTISE_OK)
		snprintf(note, sizeof note, "a suspended slot is resealed, as slot %llu",
			(unsigned long long)id);
	else
		snprintf(note, sizeof note, "a suspended slot could not be resealed: %.300s", text);
	put_on_record(context, "slot-reseal", status, note);
}

/* A boot has used it. */
static void use_boot(struct passing *passing, uint64_t id, const struct slot *slot, uint64_t opened,
	const char *boot)
{
	struct slot_hints hints = slot->hints;

	if (hints.boots > 1) {
		hints.boots--;
		hints.boot = (struct store_bytes){(const uint8_t *)boot, strlen(boot)};
		if (vault_hint_slot(passing->holding->vault, id, &hints) != MORTISE_OK)
			log_warning("slot %llu stands in for slot %llu, and that this boot has "
				    "used it could not be noted: it may open in one boot more",
				(unsigned long long)id, (unsigned long long)hints.of);
		return;
	}
	if (opened != id) {
		(void)!drop_stand_in(passing, id, slot, "it was not needed"); /* its time ends */
		return;
	}
	if (slot_work_reseal(passing->worker, hints.of, NULL, on_resealed, passing) != MORTISE_OK)
		log_warning("slot %llu cannot be resealed by itself; run: mortise slot reseal %llu",
			(unsigned long long)hints.of, (unsigned long long)hints.of);
}

static void look_at_stand_in(
	struct passing *passing, uint64_t id, uint64_t opened, const char *boot)
{
	CLEANUP(slot_copy_done) struct slot_copy copy = {.record = NULL};

	if (vault_slot(passing->holding->vault, id, &copy) != MORTISE_OK ||
		!(copy.slot.hints.flags & SLOT_STAND_IN))
		return;
	bool is_this_boot =
		copy.slot.hints.boot.size == strlen(boot) &&
		memcmp(copy.slot.hints.boot.bytes, boot, copy.slot.hints.boot.size) == 0;
	if (!is_this_boot)
		use_boot(passing, id, &copy.slot, opened, boot);
}

void passing_after_opening(struct passing *passing, uint64_t opened, uint64_t opened_us)
{
	char boot[SLOT_BOOT_SIZE];

	holding_boot_id(boot);
	passing->opened_us = opened_us;
	promote(passing, opened);
	for (uint64_t id = 0; (id = vault_next_slot(passing->holding->vault, id));)
		look_at_stand_in(passing, id, opened, boot);
	holding_keep_slots(passing->holding);
	passing_look(passing);
}

/* One whose time is over, by a clock that is not believed or on a disk that takes no write, is
 * looked at again soon. */
static uint64_t next_end(uint64_t next_us, uint64_t ends_us, uint64_t now)
{
	uint64_t left_us = ends_us > now ? ends_us - now : DOUBT_CHECK_US;

	return left_us < next_us ? left_us : next_us;
}

/* Removes the stand-ins whose time is over, and comes back for the others. */
void passing_look(struct passing *passing)
{
	struct holding *holding = passing->holding;
	const struct clock_now clock = clock_now();
	uint64_t now = clock.least_us, next_us = UINT64_MAX;
	bool is_changed = false;

	passing->seen = holding->slot_changes;
	if (!holding->vault)
		return;
	event_del(passing->ends);
	for (uint64_t id = 0; (id = vault_next_slot(holding->vault, id));) {
		CLEANUP(slot_copy_done) struct slot_copy copy = {.record = NULL};
		if (vault_slot(holding->vault, id, &copy) != MORTISE_OK ||
			!(copy.slot.hints.flags & SLOT_STAND_IN))
			continue;
		if (copy.slot.hints.ends_us <= now && clock.is_believed &&
			drop_stand_in(passing, id, &copy.slot, "its time is over") == MORTISE_OK) {
			is_changed = true;
		} else {
			next_us = next_end(next_us, copy.slot.hints.ends_us, now);
		}
	}
	if (is_changed)
		holding_keep_slots(holding);
	if (next_us == UINT64_MAX)
		return;
	struct timeval delay = {.tv_sec = (time_t)(next_us / 1000000) + 1};
	if (delay.tv_sec > ENDS_CHECK_S)
		delay.tv_sec = ENDS_CHECK_S;
	event_add(passing->ends, &delay);
}

void passing_upkeep(struct passing *passing)
{
	if (passing->seen != passing->holding->slot_changes)
		passing_look(passing);
}

void passing_stop(struct passing *passing)
{
	event_del(passing->ends);
}

static void on_end(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	passing_look(context);
}

enum mortise_status passing_init(struct passing *passing, struct event_base *base,
	struct holding *holding, struct slot_worker *worker)
{
	passing->holding = holding;
	passing->worker = worker;
	passing->ends = evtimer_new(base, on_end, passing);
	return passing->ends ? MORTISE_OK : MORTISE_BUSY;
}

void passing_done(struct passing *passing)
{
	if (passing->ends)
		event_free(passing->ends);
}
