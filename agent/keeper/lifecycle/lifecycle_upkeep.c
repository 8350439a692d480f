/* SPDX-License-Identifier: ISC */
/* What becomes of staged slots and stand-ins: when something has opened, and when time is over. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lifecycle_parts.h"
#include "log.h"

#define OPENED_STALE_US (86400 * (uint64_t)1000000) /* a restart loop writes no slot */
#define DOUBT_CHECK_US  UINT64_C(60000000)
#define ENDS_CHECK_S    3600 /* the clock may be set meanwhile */

static void put_on_record(struct lifecycle *lifecycle, const char *operation,
	enum mortise_status status, const char *note)
{
	const struct lifecycle_hooks *hooks = &lifecycle->parts.hooks;

	hooks->record(hooks->context, operation, status, note);
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
	struct lifecycle *lifecycle, uint64_t id, struct slot_hints *hints)
{
	uint64_t old = hints->of;

	if (hints->flags & SLOT_STAGED) {
		hints->flags &= ~(uint64_t)SLOT_STAGED;
		hints->opened_us = lifecycle->opened_us;
		TRY(vault_hint_slot(lifecycle->vault, id, hints));
	}
	enum mortise_status status = slot_remove(lifecycle, old);
	if (status != MORTISE_OK && status != MORTISE_NOT_FOUND)
		return status;
	hints->of = 0;
	return vault_hint_slot(lifecycle->vault, id, hints);
}

/* For the slot that opened. */
static void promote(struct lifecycle *lifecycle, uint64_t id)
{
	CLEANUP(slot_copy_done) struct slot_copy copy = {.record = NULL};

	if (vault_slot(lifecycle->vault, id, &copy) != MORTISE_OK)
		return;
	struct slot_hints hints = copy.slot.hints;
	char note[120];
	snprintf(note, sizeof note, "slot %llu has opened and replaces slot %llu",
		(unsigned long long)id, (unsigned long long)hints.of);
	if (hints.of && !(hints.flags & SLOT_STAND_IN))
		put_on_record(lifecycle, "slot-reseal", replace_old(lifecycle, id, &hints), note);
	else if (lifecycle->opened_us - hints.opened_us > OPENED_STALE_US) {
		hints.opened_us = lifecycle->opened_us;
		(void)!vault_hint_slot(lifecycle->vault, id, &hints); /* a date for people */
	}
}

static enum mortise_status drop_stand_in(
	struct lifecycle *lifecycle, uint64_t id, const struct slot *slot, const char *why)
{
	char note[120];

	snprintf(note, sizeof note, "slot %llu stands in for slot %llu no more: %s",
		(unsigned long long)id, (unsigned long long)slot->hints.of, why);
	enum mortise_status status = vault_remove_slot(lifecycle->vault, id);
	put_on_record(lifecycle, "slot-suspend", status, note);
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
static void use_boot(struct lifecycle *lifecycle, uint64_t id, const struct slot *slot,
	uint64_t opened, const char *boot)
{
	struct slot_hints hints = slot->hints;

	if (hints.boots > 1) {
		hints.boots--;
		hints.boot = (struct store_bytes){(const uint8_t *)boot, strlen(boot)};
		if (vault_hint_slot(lifecycle->vault, id, &hints) != MORTISE_OK)
			log_warning("slot %llu stands in for slot %llu, and that this boot has "
				    "used it could not be noted: it may open in one boot more",
				(unsigned long long)id, (unsigned long long)hints.of);
		return;
	}
	if (opened != id) {
		(void)!drop_stand_in(lifecycle, id, slot, "it was not needed"); /* its time ends */
		return;
	}
	if (slot_work_reseal(lifecycle, hints.of, NULL, on_resealed, lifecycle) != MORTISE_OK)
		log_warning("slot %llu cannot be resealed by itself; run: mortise slot reseal %llu",
			(unsigned long long)hints.of, (unsigned long long)hints.of);
}

static void look_at_stand_in(
	struct lifecycle *lifecycle, uint64_t id, uint64_t opened, const char *boot)
{
	CLEANUP(slot_copy_done) struct slot_copy copy = {.record = NULL};

	if (vault_slot(lifecycle->vault, id, &copy) != MORTISE_OK ||
		!(copy.slot.hints.flags & SLOT_STAND_IN))
		return;
	bool is_this_boot =
		copy.slot.hints.boot.size == strlen(boot) &&
		memcmp(copy.slot.hints.boot.bytes, boot, copy.slot.hints.boot.size) == 0;
	if (!is_this_boot)
		use_boot(lifecycle, id, &copy.slot, opened, boot);
}

void lifecycle_after_opening(struct lifecycle *lifecycle, uint64_t opened)
{
	char boot[SLOT_BOOT_SIZE];

	lifecycle_boot_id(boot);
	promote(lifecycle, opened);
	for (uint64_t id = 0; (id = vault_next_slot(lifecycle->vault, id));)
		look_at_stand_in(lifecycle, id, opened, boot);
	lifecycle_keep_slots(lifecycle);
	lifecycle_arm_ends(lifecycle);
}

/* One whose time is over, by a clock that is not believed or on a disk that takes no write, is
 * looked at again soon. */
static uint64_t next_end(uint64_t next_us, uint64_t ends_us, uint64_t now)
{
	uint64_t left_us = ends_us > now ? ends_us - now : DOUBT_CHECK_US;

	return left_us < next_us ? left_us : next_us;
}

/* Removes the stand-ins whose time is over, and comes back for the others. */
void lifecycle_arm_ends(struct lifecycle *lifecycle)
{
	const struct clock_now clock = clock_now();
	uint64_t now = clock.least_us, next_us = UINT64_MAX;
	bool is_changed = false;

	if (!lifecycle->vault)
		return;
	event_del(lifecycle->ends);
	for (uint64_t id = 0; (id = vault_next_slot(lifecycle->vault, id));) {
		CLEANUP(slot_copy_done) struct slot_copy copy = {.record = NULL};
		if (vault_slot(lifecycle->vault, id, &copy) != MORTISE_OK ||
			!(copy.slot.hints.flags & SLOT_STAND_IN))
			continue;
		if (copy.slot.hints.ends_us <= now && clock.is_believed &&
			drop_stand_in(lifecycle, id, &copy.slot, "its time is over") ==
				MORTISE_OK) {
			is_changed = true;
		} else {
			next_us = next_end(next_us, copy.slot.hints.ends_us, now);
		}
	}
	if (is_changed)
		lifecycle_keep_slots(lifecycle);
	if (next_us == UINT64_MAX)
		return;
	struct timeval delay = {.tv_sec = (time_t)(next_us / 1000000) + 1};
	if (delay.tv_sec > ENDS_CHECK_S)
		delay.tv_sec = ENDS_CHECK_S;
	event_add(lifecycle->ends, &delay);
}
