/* SPDX-License-Identifier: ISC */
#include "unsealing.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "advice.h"
#include "clock.h"
#include "log.h"

/* ---- the turn ---- */

/* A slot and what is staged or stands in for it want the same PIN. */
static uint64_t family_of(const struct kept_slot *kept)
{
	const struct slot *slot = &kept->copy.slot;

	return slot_is_passing(slot) && slot->hints.of ? slot->hints.of : kept->id;
}

/* First what is staged, else it would never be tried; stand-ins last, and only where they may. */
static unsigned rank_of(const struct slot *slot, const char *boot)
{
	const struct slot_hints *hints = &slot->hints;

	if (!slot_is_hardware(slot))
		return 0;
	if (hints->flags & SLOT_STAGED)
		return 1;
	if (!(hints->flags & SLOT_STAND_IN))
		return 2;
	bool is_this_boot = hints->boot.size == strlen(boot) &&
			    memcmp(hints->boot.bytes, boot, hints->boot.size) == 0;
	const struct clock_now now = clock_now();
	bool is_over = now.is_believed && hints->ends_us <= now.wall_us;
	return !is_this_boot && !is_over ? 3 : 0;
}

static void order_slots(struct unsealing *unsealing)
{
	struct turn *turn = &unsealing->turn;
	char boot[SLOT_BOOT_SIZE];

	holding_boot_id(boot);
	turn->count = turn->at = 0;
	for (unsigned rank = 1; rank <= 3; rank++)
		for (size_t i = 0; i < unsealing->holding->slot_count; i++) {
			if (rank_of(&unsealing->holding->slots[i].copy.slot, boot) == rank)
				turn->order[turn->count++] = i;
		}
}

/* Adds to the reason what one slot came to. */
static void explain_slot(struct unsealing *unsealing, uint64_t id, const char *text)
{
	struct holding *holding = unsealing->holding;
	char before[sizeof holding->reason];

	snprintf(before, sizeof before, "%s", holding->reason);
	holding_explain(holding, "%.*s%sslot %llu: %s", (int)sizeof before / 2, before,
		before[0] ? "; " : "", (unsigned long long)id, text);
}

/* The PIN, if it is this slot's to have. */
static const struct secret *pin_for(struct turn *turn, const struct kept_slot *kept)
{
	const struct slot *slot = &kept->copy.slot;

	if (!turn->pin || (turn->pin_kind[0] && strcmp(turn->pin_kind, slot->kind) != 0))
		return NULL;
	if (!turn->pin_for && (slot->hints.flags & SLOT_HAS_PIN))
		turn->pin_for = family_of(kept);
	bool fits = turn->pin_for == kept->id || turn->pin_for == family_of(kept);
	return fits ? turn->pin : NULL;
}

/* A token whose PIN is in a file may be locked by a restart loop; a TPM's is typed only. */
static bool risks_a_pin(const struct slot *slot, const struct secret *pin)
{
	return pin || slot_kind(slot)->is_found_first;
}

/* Which way in somebody has used, or the agent by itself. */
static void record_opened(const struct unsealing *unsealing, const char *how)
{
	const struct holding *holding = unsealing->holding;
	uint64_t id = unsealing->opening->slot;
	const char *kind = "gone";
	char note[128];

	for (size_t i = 0; i < holding->slot_count; i++)
		if (holding->slots[i].id == id)
			kind = holding->slots[i].copy.slot.kind;
	snprintf(note, sizeof note, "by slot %llu (%s), %s", (unsigned long long)id, kind, how);
	holding_record(holding, "unsealed", MORTISE_OK, note);
}

/* An attempt that nobody asked for, and that came to the same as the one before, is no news. */
static void record(struct unsealing *unsealing, enum mortise_status status, bool is_attended)
{
	struct holding *holding = unsealing->holding;
	bool is_news = is_attended || strcmp(unsealing->recorded, holding->reason) != 0;

	static_assert(sizeof unsealing->recorded == sizeof unsealing->holding->reason,
		"no part of a reason is compared");
	memcpy(unsealing->recorded, unsealing->holding->reason, sizeof unsealing->recorded);
	if (status == MORTISE_OK)
		record_opened(unsealing, is_attended ? "asked for" : "by itself");
	else if (is_news)
		holding_record(holding, "unsealed", status, holding->reason);
}

static void begin_turn(struct unsealing *unsealing, bool is_attended);

static void on_unsealed(struct unsealing *unsealing, enum mortise_status status)
{
	bool is_attended = unsealing->turn.is_attended;
	struct turn next = unsealing->next;

	unsealing->next = (struct turn){0};
	unsealing->pin_slot = status == MORTISE_OK ? 0 : unsealing->turn.wants_pin;
	unsealing_end_turn(unsealing);
	if (status != MORTISE_OK && next.pin) {
		unsealing->turn = next;
		begin_turn(unsealing, true);
		return;
	}
	secret_drop(&next.pin);
	if (status != MORTISE_OK)
		holding_set_state(unsealing->holding, LIFECYCLE_SEALED);
	record(unsealing, status, is_attended);
	if (status == MORTISE_OK)
		passing_after_opening(
			unsealing->passing, unsealing->opening->slot, unsealing->opening->slot_us);
	waiter_tell(&unsealing->asked, status, unsealing->holding->reason, NULL);
}

static void ask_next_slot(struct unsealing *unsealing);

static void go_on(struct unsealing *unsealing)
{
	unsealing->turn.is_found = false;
	unsealing->turn.at++;
	ask_next_slot(unsealing);
}

/* Somebody who types it, or types it again, could open this one. */
static void want_pin(struct unsealing *unsealing, const struct kept_slot *kept)
{
	struct turn *turn = &unsealing->turn;

	if ((kept->copy.slot.hints.flags & SLOT_HAS_PIN) && turn->wants_pin == 0)
		turn->wants_pin = family_of(kept);
}

/* Was the PIN tried, and is it not known to have been right? */
static bool doubts_pin(const struct sealer_answer *answer)
{
	if (answer->status == MORTISE_BUSY)
		return !answer->is_unsent;
	return answer->status == MORTISE_HARDWARE &&
	       (answer->fault == TOKEN_FAULT_WRONG_PIN || answer->fault == TOKEN_FAULT_LOCKOUT ||
		       answer->fault == TOKEN_FAULT_DIED || answer->fault == TOKEN_FAULT_TIMEOUT ||
		       answer->fault == TOKEN_FAULT_MALFORMED);
}

/* As the reason says. */
static void try_what_may_pass(struct unsealing *unsealing, enum mortise_status status)
{
	if (status == MORTISE_BUSY || status == MORTISE_IO || unsealing->opening->may_pass)
		holding_try_later(unsealing->holding);
}

static void on_opened(void *context, enum mortise_status status)
{
	struct unsealing *unsealing = context;

	on_unsealed(unsealing, status);
	try_what_may_pass(unsealing, status);
}

/* A slot's h is not what the slot was made with: the next may be right. */
static void open_by(struct unsealing *unsealing, struct sealer_answer *answer)
{
	const struct kept_slot *kept =
		&unsealing->holding->slots[unsealing->turn.order[unsealing->turn.at]];
	bool fits = false;
	enum mortise_status status =
		opening_begin(unsealing->opening, kept, answer->h, on_opened, unsealing, &fits);

	if (status == MORTISE_OK)
		return;
	if (fits || status == MORTISE_BUSY || status == MORTISE_IO) {
		on_opened(unsealing, status);
		return;
	}
	unsealing->turn.is_foreign = true;
	char text[200];
	snprintf(text, sizeof text,
		"it opened, but does not belong to this store; run: mortise unseal --recovery (key "
		"id %.80s)",
		unsealing->holding->recovery_id);
	explain_slot(unsealing, kept->id, text);
	go_on(unsealing);
}

/* What the hardware of a slot came to, and whether it is worth another try. */
static void fail_slot(struct unsealing *unsealing, const struct kept_slot *kept,
	const struct sealer_answer *answer)
{
	bool mends = answer->status != MORTISE_HARDWARE || token_fault_is_passing(answer->fault);
	bool is_doubted = mends && holding_pin_is_noted(unsealing->holding, kept->id);
	const uint64_t of = kept->copy.slot.hints.of;
	struct advice_about about = {.operation = ADVICE_UNSEAL, .slot = of ? of : kept->id};
	char told[500], text[600];

	advice_describe(&about, answer, told, sizeof told);
	snprintf(text, sizeof text, "%s%s", told,
		is_doubted ? "; its PIN may have been tried, and is not tried again by itself"
		: mends    ? "; it is tried again by itself"
			   : "");
	explain_slot(unsealing, kept->id, text);
	unsealing->turn.may_pass |= mends && !is_doubted;
	want_pin(unsealing, kept);
	go_on(unsealing);
}

/* The slot that is being asked; NULL: a key was typed meanwhile, or it was sealed. */
static const struct kept_slot *asked_slot(const struct unsealing *unsealing)
{
	const struct turn *turn = &unsealing->turn;

	if (unsealing->holding->state != LIFECYCLE_UNSEALING || turn->at >= turn->count)
		return NULL;
	return &unsealing->holding->slots[turn->order[turn->at]];
}

static void on_slot_answer(void *context, struct sealer_answer *answer)
{
	struct unsealing *unsealing = context;
	struct turn *turn = &unsealing->turn;
	const struct kept_slot *kept = asked_slot(unsealing);

	/* Whoever wants to know it by now. */
	if (!doubts_pin(answer) &&
		holding_note_pin(unsealing->holding, unsealing->asked_id, false) != MORTISE_OK)
		log_warning("slot %llu: that its PIN was right could not be noted",
			(unsigned long long)unsealing->asked_id);
	if (!kept)
		return;
	turn->was_asked = true;
	if (answer->status == MORTISE_OK) {
		open_by(unsealing, answer);
		return;
	}
	if (doubts_pin(answer))
		secret_drop(&turn->pin);
	fail_slot(unsealing, kept, answer);
}

/* A module that crashes or hangs before it has a token was given no PIN. */
static void on_token_found(void *context, struct sealer_answer *answer)
{
	struct unsealing *unsealing = context;
	const struct kept_slot *kept = asked_slot(unsealing);

	if (!kept)
		return;
	unsealing->turn.was_asked = true;
	unsealing->turn.is_found = answer->status == MORTISE_OK;
	if (unsealing->turn.is_found)
		ask_next_slot(unsealing);
	else
		fail_slot(unsealing, kept, answer);
}

static bool fail_to_start(struct unsealing *unsealing, const struct kept_slot *kept)
{
	explain_slot(unsealing, kept->id,
		sealer_is_busy(unsealing->holding->sealer)
			? "the hardware still has what was asked before; it is tried again"
			: "no sealer could be started: memory or processes are short; it is tried "
			  "again");
	unsealing->turn.may_pass = true;
	return false;
}

/* A PIN that failed once is not tried again by itself; not known to have failed is no reason. */
static bool may_try_unasked(struct unsealing *unsealing, const struct kept_slot *kept)
{
	bool is_noted = false;
	enum mortise_status status = holding_find_pin(unsealing->holding, kept->id, &is_noted);
	char text[400];

	if (status == MORTISE_BUSY || status == MORTISE_IO) {
		store_describe_lack(unsealing->holding->store, status, text, sizeof text);
		explain_slot(unsealing, kept->id, text);
		unsealing->turn.may_pass = true;
		return false;
	}
	if (status == MORTISE_OK && !is_noted)
		return true;
	explain_slot(unsealing, kept->id,
		"its PIN failed, and is not tried again by itself; mend [pkcs11] pin-file, then "
		"run: mortise unseal");
	return false;
}

/* Starts asking; false if this slot is to be left out, and the reason says why. */
static bool ask_slot(struct unsealing *unsealing, const struct kept_slot *kept)
{
	struct holding *holding = unsealing->holding;
	const struct slot *slot = &kept->copy.slot;
	const struct secret *pin = pin_for(&unsealing->turn, kept);

	if ((slot->hints.flags & SLOT_HAS_PIN) && !pin) {
		explain_slot(unsealing, kept->id, "it waits for its PIN; run: mortise unseal");
		want_pin(unsealing, kept);
		return false;
	}
	if (!unsealing->turn.is_attended && !may_try_unasked(unsealing, kept))
		return false;
	if (slot_kind(slot)->is_found_first && !unsealing->turn.is_found)
		return sealer_health(holding->sealer, slot->kind, slot->blob, on_token_found,
			       unsealing) == MORTISE_OK ||
		       fail_to_start(unsealing, kept);
	if (risks_a_pin(slot, pin) && holding_note_pin(holding, kept->id, true) != MORTISE_OK) {
		explain_slot(unsealing, kept->id,
			"its PIN is not tried, since the store's disk cannot be written");
		unsealing->turn.may_pass = true;
		return false;
	}
	unsealing->asked_id = kept->id;
	if (sealer_open(holding->sealer, slot->kind, slot->blob, pin, on_slot_answer, unsealing) ==
		MORTISE_OK)
		return true;
	/* A note that stays keeps the PIN from being tried by itself, and from nothing else. */
	(void)!holding_note_pin(holding, kept->id, false);
	return fail_to_start(unsealing, kept);
}

/* Asks the hardware of the next slot that has any; without one, that is the end of it. */
static void ask_next_slot(struct unsealing *unsealing)
{
	struct holding *holding = unsealing->holding;
	struct turn *turn = &unsealing->turn;

	for (; turn->at < turn->count; turn->at++, turn->is_found = false)
		if (ask_slot(unsealing, &holding->slots[turn->order[turn->at]]))
			return;
	if (holding->slot_count == 0)
		holding_explain(holding, "the store was edited or damaged: it has no slot; "
					 "restore it from a backup: mortise recover --backup=FILE");
	else if (!holding->reason[0])
		holding_explain(holding,
			"this store has no hardware slot; run: mortise unseal --recovery (key id "
			"%s)",
			holding->recovery_id);
	bool may_pass = turn->may_pass;
	on_unsealed(unsealing, turn->is_foreign || holding->slot_count == 0 ? MORTISE_INTEGRITY
			       : may_pass && !turn->was_asked               ? MORTISE_BUSY
									    : MORTISE_HARDWARE);
	if (may_pass)
		holding_try_later(holding);
}

static void begin_turn(struct unsealing *unsealing, bool is_attended)
{
	struct holding *holding = unsealing->holding;

	holding_try_no_more(holding);
	unsealing->turn.is_attended = is_attended;
	unsealing->turn.may_pass = unsealing->turn.was_asked = unsealing->turn.is_foreign = false;
	unsealing->turn.wants_pin = 0;
	unsealing->turn.is_found = false;
	order_slots(unsealing);
	holding->reason[0] = '\0';
	holding_set_state(holding, LIFECYCLE_UNSEALING);
	ask_next_slot(unsealing);
}

void unsealing_end_turn(struct unsealing *unsealing)
{
	secret_drop(&unsealing->turn.pin);
	secret_drop(&unsealing->next.pin);
	unsealing->turn = unsealing->next = (struct turn){0};
}

/* ---- who asks for it ---- */

void unsealing_start(struct unsealing *unsealing)
{
	struct holding *holding = unsealing->holding;

	if (holding->state == LIFECYCLE_UNINITIALISED)
		return;
	bool holds = true;
	enum mortise_status status = holding_have_store(holding);
	bool is_there = status == MORTISE_OK;
	if (is_there)
		status = holding_find_seal(holding, &holds);
	if (status == MORTISE_BUSY || status == MORTISE_IO) {
		holding_explain_lack(holding, status);
		holding_try_later(holding);
	} else if (!is_there) {
		holding_explain(holding,
			"the store was edited or damaged: its slots cannot be read (%s); "
			"restore it from a backup: mortise recover --backup=FILE",
			mortise_status_text(status));
	} else if (status != MORTISE_OK || holds) {
		holding_explain(holding, "sealed by an admin; run: mortise unseal");
	} else {
		begin_turn(unsealing, false);
	}
}

static enum mortise_status keep_pin(struct turn *turn, const struct lifecycle_pin *pin)
{
	secret_drop(&turn->pin);
	TRY(secret_copy(pin->pin->bytes, pin->pin->size, &turn->pin));
	snprintf(turn->pin_kind, sizeof turn->pin_kind, "%s", pin->kind ? pin->kind : "");
	turn->pin_for = pin->slot;
	return MORTISE_OK;
}

enum mortise_status unsealing_ask(
	struct unsealing *unsealing, const struct lifecycle_pin *pin, const struct waiter *waiter)
{
	struct holding *holding = unsealing->holding;

	if (holding->state == LIFECYCLE_UNINITIALISED)
		return MORTISE_CONFLICT;
	if (holding->state == LIFECYCLE_UNSEALED || unsealing->asked.done)
		return MORTISE_BUSY;
	TRY(holding_have_store(holding));
	/* With a PIN it is another question than the one being asked, and has its turn behind it.
	 */
	struct turn *turn =
		holding->state == LIFECYCLE_SEALED ? &unsealing->turn : &unsealing->next;
	if (pin->pin)
		TRY(keep_pin(turn, pin));
	enum mortise_status status = holding_lift_seal(holding);
	if (status != MORTISE_OK) {
		secret_drop(&turn->pin);
		return status;
	}
	unsealing->asked = *waiter;
	if (holding->state == LIFECYCLE_SEALED)
		begin_turn(unsealing, true);
	return MORTISE_OK;
}

/* No turn at the hardware is left, nor a PIN for one that nobody waits for. */
static void on_typed_opened(void *context, enum mortise_status status)
{
	struct unsealing *unsealing = context;
	struct holding *holding = unsealing->holding;

	unsealing_end_turn(unsealing);
	if (status != MORTISE_OK) {
		holding_set_state(holding, LIFECYCLE_SEALED);
		waiter_tell(&unsealing->typed, status, holding->reason, NULL);
		/* Whose turn at the hardware the key has ended waits no more, either. */
		waiter_tell(&unsealing->asked, status, holding->reason, NULL);
		try_what_may_pass(unsealing, status);
		return;
	}
	unsealing->pin_slot = 0;
	holding_try_no_more(holding);
	record_opened(unsealing, "typed");
	/* Unsealed it is; a seal that could not be taken back comes back with the next start. */
	if (holding_lift_seal(holding) != MORTISE_OK)
		log_warning("an admin's seal could not be taken back; run: mortise unseal, again");
	passing_after_opening(
		unsealing->passing, unsealing->opening->slot, unsealing->opening->slot_us);
	waiter_tell(&unsealing->typed, MORTISE_OK, "", NULL);
	waiter_tell(&unsealing->asked, MORTISE_OK, "", NULL);
}

/* Tries the typed slots with h: MORTISE_OK, what is wrong with the store, or MORTISE_DENIED. */
static enum mortise_status open_typed(struct unsealing *unsealing, const struct secret *h)
{
	struct holding *holding = unsealing->holding;
	enum mortise_status result = MORTISE_NOT_FOUND;

	for (size_t i = 0; i < holding->slot_count; i++) {
		bool fits = false;
		if (slot_is_hardware(&holding->slots[i].copy.slot))
			continue;
		enum mortise_status status = opening_begin(unsealing->opening, &holding->slots[i],
			h, on_typed_opened, unsealing, &fits);
		if (status == MORTISE_OK || fits || status == MORTISE_BUSY || status == MORTISE_IO)
			return status;
		if (result != MORTISE_INTEGRITY)
			result = status;
	}
	return result;
}

enum mortise_status unsealing_type(
	struct unsealing *unsealing, const struct secret *key, const struct waiter *waiter)
{
	struct holding *holding = unsealing->holding;

	if (holding->state == LIFECYCLE_UNINITIALISED || holding->state == LIFECYCLE_UNSEALED)
		return MORTISE_CONFLICT;
	if (unsealing->typed.done || opening_is_under_way(unsealing->opening))
		return MORTISE_BUSY;
	TRY(holding_have_store(holding));
	unsealing->typed = *waiter;
	enum mortise_status status = open_typed(unsealing, key);
	if (status != MORTISE_OK) {
		unsealing->typed = (struct waiter){.done = NULL};
		return status;
	}
	/* The age is being checked: what the hardware says now comes too late. */
	if (opening_is_under_way(unsealing->opening)) {
		unsealing_end_turn(unsealing);
		holding_set_state(holding, LIFECYCLE_UNSEALING);
	}
	return MORTISE_OK;
}

bool unsealing_is_awaited(const struct unsealing *unsealing)
{
	return unsealing->asked.done || unsealing->typed.done;
}

void unsealing_stop(struct unsealing *unsealing)
{
	unsealing_end_turn(unsealing);
	unsealing->pin_slot = 0;
}

void unsealing_give_up(struct unsealing *unsealing, enum mortise_status status, const char *text)
{
	waiter_tell(&unsealing->asked, status, text, NULL);
	waiter_tell(&unsealing->typed, status, text, NULL);
}
