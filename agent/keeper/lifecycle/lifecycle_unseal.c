/* SPDX-License-Identifier: ISC */
/* The way to the master key: hardware slots in turn, or a key that somebody types. */
#include <stdio.h>
#include <string.h>

#include "advice.h"
#include "lifecycle_parts.h"
#include "log.h"

/* ---- the turn ---- */

static struct slot slot_at(const struct lifecycle *lifecycle, size_t index)
{
	return lifecycle_slot_of(&lifecycle->slots[index]);
}

/* A slot and what is staged or stands in for it want the same PIN. */
static uint64_t family_of(const struct kept_slot *kept, const struct slot *slot)
{
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

static void order_slots(struct lifecycle *lifecycle)
{
	struct turn *turn = &lifecycle->turn;
	char boot[SLOT_BOOT_SIZE];

	lifecycle_boot_id(boot);
	turn->count = turn->at = 0;
	for (unsigned rank = 1; rank <= 3; rank++)
		for (size_t i = 0; i < lifecycle->slot_count; i++) {
			const struct slot slot = slot_at(lifecycle, i);
			if (rank_of(&slot, boot) == rank)
				turn->order[turn->count++] = i;
		}
}

/* Adds to the reason what one slot came to. */
static void explain_slot(struct lifecycle *lifecycle, uint64_t id, const char *text)
{
	char before[sizeof lifecycle->reason];

	snprintf(before, sizeof before, "%s", lifecycle->reason);
	lifecycle_explain(lifecycle, "%.*s%sslot %llu: %s", (int)sizeof before / 2, before,
		before[0] ? "; " : "", (unsigned long long)id, text);
}

/* The PIN, if it is this slot's to have. */
static const struct secret *pin_for(
	struct turn *turn, const struct kept_slot *kept, const struct slot *slot)
{
	if (!turn->pin || (turn->pin_kind[0] && strcmp(turn->pin_kind, slot->kind) != 0))
		return NULL;
	if (!turn->pin_for && (slot->hints.flags & SLOT_HAS_PIN))
		turn->pin_for = family_of(kept, slot);
	bool fits = turn->pin_for == kept->id || turn->pin_for == family_of(kept, slot);
	return fits ? turn->pin : NULL;
}

/* A token whose PIN is in a file may be locked by a restart loop; a TPM's is typed only. */
static bool risks_a_pin(const struct slot *slot, const struct secret *pin)
{
	return pin || slot_kind(slot)->is_found_first;
}

/* An attempt that nobody asked for, and that came to the same as the one before, is no news. */
static void record(struct lifecycle *lifecycle, enum mortise_status status, bool is_attended)
{
	const struct lifecycle_hooks *hooks = &lifecycle->parts.hooks;
	bool is_news = status == MORTISE_OK || is_attended ||
		       strcmp(lifecycle->recorded, lifecycle->reason) != 0;

	memcpy(lifecycle->recorded, lifecycle->reason, sizeof lifecycle->recorded);
	if (is_news)
		hooks->record(hooks->context, "unsealed", status, lifecycle->reason);
}

static void on_unsealed(struct lifecycle *lifecycle, enum mortise_status status)
{
	bool is_attended = lifecycle->turn.is_attended;
	struct turn next = lifecycle->next;

	lifecycle->next = (struct turn){0};
	lifecycle->pin_slot = lifecycle->turn.wants_pin;
	lifecycle_end_turn(lifecycle);
	if (status != MORTISE_OK && next.pin) {
		lifecycle->turn = next;
		lifecycle_begin_turn(lifecycle, true);
		return;
	}
	secret_drop(&next.pin);
	if (status != MORTISE_OK)
		lifecycle_set_state(lifecycle, LIFECYCLE_SEALED);
	record(lifecycle, status, is_attended);
	if (status == MORTISE_OK)
		lifecycle_after_opening(lifecycle, lifecycle->opened_id);
	lifecycle_finish(lifecycle, status, lifecycle->reason, NULL);
}

static void ask_next_slot(struct lifecycle *lifecycle);

static void go_on(struct lifecycle *lifecycle)
{
	lifecycle->turn.is_found = false;
	lifecycle->turn.at++;
	ask_next_slot(lifecycle);
}

/* Somebody who types it, or types it again, could open this one. */
static void want_pin(struct lifecycle *lifecycle, const struct kept_slot *kept)
{
	const struct slot slot = lifecycle_slot_of(kept);
	struct turn *turn = &lifecycle->turn;

	if ((slot.hints.flags & SLOT_HAS_PIN) && turn->wants_pin == 0)
		turn->wants_pin = family_of(kept, &slot);
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
static void try_what_may_pass(struct lifecycle *lifecycle, enum mortise_status status)
{
	if (status == MORTISE_BUSY || status == MORTISE_IO || lifecycle->check_may_pass)
		lifecycle_try_later(lifecycle);
}

static void on_opened(struct lifecycle *lifecycle, enum mortise_status status)
{
	on_unsealed(lifecycle, status);
	try_what_may_pass(lifecycle, status);
}

/* A slot's h is not what the slot was made with: the next may be right. */
static void open_by(struct lifecycle *lifecycle, struct sealer_answer *answer)
{
	const struct kept_slot *kept = &lifecycle->slots[lifecycle->turn.order[lifecycle->turn.at]];
	bool fits = false;
	enum mortise_status status =
		lifecycle_open_with(lifecycle, kept, answer->h, on_opened, &fits);

	if (status == MORTISE_OK)
		return;
	if (fits || status == MORTISE_BUSY || status == MORTISE_IO) {
		on_opened(lifecycle, status);
		return;
	}
	lifecycle->turn.is_foreign = true;
	char text[200];
	snprintf(text, sizeof text,
		"it opened, but does not belong to this store; run: mortise unseal --recovery (key "
		"id %.80s)",
		lifecycle->recovery_id);
	explain_slot(lifecycle, kept->id, text);
	go_on(lifecycle);
}

/* What the hardware of a slot came to, and whether it is worth another try. */
static void fail_slot(struct lifecycle *lifecycle, const struct kept_slot *kept,
	const struct sealer_answer *answer)
{
	bool mends = answer->status != MORTISE_HARDWARE || token_fault_is_passing(answer->fault);
	bool is_doubted = mends && lifecycle_pin_is_noted(lifecycle, kept->id);
	struct slot slot = lifecycle_slot_of(kept);
	struct advice_about about = {
		.operation = ADVICE_UNSEAL, .slot = slot.hints.of ? slot.hints.of : kept->id};
	char told[500], text[600];

	advice_describe(&about, answer, told, sizeof told);
	snprintf(text, sizeof text, "%s%s", told,
		is_doubted ? "; its PIN may have been tried, and is not tried again by itself"
		: mends    ? "; it is tried again by itself"
			   : "");
	explain_slot(lifecycle, kept->id, text);
	lifecycle->turn.may_pass |= mends && !is_doubted;
	want_pin(lifecycle, kept);
	go_on(lifecycle);
}

/* The slot that is being asked; NULL: a key was typed meanwhile, or it was sealed. */
static const struct kept_slot *asked_slot(const struct lifecycle *lifecycle)
{
	const struct turn *turn = &lifecycle->turn;

	if (lifecycle->state != LIFECYCLE_UNSEALING || turn->at >= turn->count)
		return NULL;
	return &lifecycle->slots[turn->order[turn->at]];
}

static void on_slot_answer(void *context, struct sealer_answer *answer)
{
	struct lifecycle *lifecycle = context;
	struct turn *turn = &lifecycle->turn;
	const struct kept_slot *kept = asked_slot(lifecycle);

	/* Whoever wants to know it by now. */
	if (!doubts_pin(answer) &&
		lifecycle_note_pin(lifecycle, lifecycle->asked_id, false) != MORTISE_OK)
		log_warning("slot %llu: that its PIN was right could not be noted",
			(unsigned long long)lifecycle->asked_id);
	if (!kept)
		return;
	turn->was_asked = true;
	if (answer->status == MORTISE_OK) {
		open_by(lifecycle, answer);
		return;
	}
	if (doubts_pin(answer))
		secret_drop(&turn->pin);
	fail_slot(lifecycle, kept, answer);
}

/* A module that crashes or hangs before it has a token was given no PIN. */
static void on_token_found(void *context, struct sealer_answer *answer)
{
	struct lifecycle *lifecycle = context;
	const struct kept_slot *kept = asked_slot(lifecycle);

	if (!kept)
		return;
	lifecycle->turn.was_asked = true;
	lifecycle->turn.is_found = answer->status == MORTISE_OK;
	if (lifecycle->turn.is_found)
		ask_next_slot(lifecycle);
	else
		fail_slot(lifecycle, kept, answer);
}

static bool fail_to_start(struct lifecycle *lifecycle, const struct kept_slot *kept)
{
	explain_slot(lifecycle, kept->id,
		sealer_is_busy(lifecycle->parts.sealer)
			? "the hardware still has what was asked before; it is tried again"
			: "no sealer could be started: memory or processes are short; it is tried "
			  "again");
	lifecycle->turn.may_pass = true;
	return false;
}

/* A PIN that failed once is not tried again by itself; not known to have failed is no reason. */
static bool may_try_unasked(struct lifecycle *lifecycle, const struct kept_slot *kept)
{
	bool is_noted = false;
	enum mortise_status status = lifecycle_find_pin(lifecycle, kept->id, &is_noted);
	char text[400];

	if (status == MORTISE_BUSY || status == MORTISE_IO) {
		store_describe_lack(lifecycle->store, status, text, sizeof text);
		explain_slot(lifecycle, kept->id, text);
		lifecycle->turn.may_pass = true;
		return false;
	}
	if (status == MORTISE_OK && !is_noted)
		return true;
	explain_slot(lifecycle, kept->id,
		"its PIN failed, and is not tried again by itself; mend [pkcs11] pin-file, then "
		"run: mortise unseal");
	return false;
}

/* Starts asking; false if this slot is to be left out, and the reason says why. */
static bool ask_slot(struct lifecycle *lifecycle, const struct kept_slot *kept)
{
	const struct slot slot = lifecycle_slot_of(kept);
	const struct secret *pin = pin_for(&lifecycle->turn, kept, &slot);

	if ((slot.hints.flags & SLOT_HAS_PIN) && !pin) {
		explain_slot(lifecycle, kept->id, "it waits for its PIN; run: mortise unseal");
		want_pin(lifecycle, kept);
		return false;
	}
	if (!lifecycle->turn.is_attended && !may_try_unasked(lifecycle, kept))
		return false;
	if (slot_kind(&slot)->is_found_first && !lifecycle->turn.is_found)
		return sealer_health(lifecycle->parts.sealer, slot.kind, slot.blob, on_token_found,
			       lifecycle) == MORTISE_OK ||
		       fail_to_start(lifecycle, kept);
	if (risks_a_pin(&slot, pin) &&
		lifecycle_note_pin(lifecycle, kept->id, true) != MORTISE_OK) {
		explain_slot(lifecycle, kept->id,
			"its PIN is not tried, since the store's disk cannot be written");
		lifecycle->turn.may_pass = true;
		return false;
	}
	lifecycle->asked_id = kept->id;
	if (sealer_open(lifecycle->parts.sealer, slot.kind, slot.blob, pin, on_slot_answer,
		    lifecycle) == MORTISE_OK)
		return true;
	/* A note that stays keeps the PIN from being tried by itself, and from nothing else. */
	(void)!lifecycle_note_pin(lifecycle, kept->id, false);
	return fail_to_start(lifecycle, kept);
}

/* Asks the hardware of the next slot that has any; without one, that is the end of it. */
static void ask_next_slot(struct lifecycle *lifecycle)
{
	struct turn *turn = &lifecycle->turn;

	for (; turn->at < turn->count; turn->at++, turn->is_found = false)
		if (ask_slot(lifecycle, &lifecycle->slots[turn->order[turn->at]]))
			return;
	if (lifecycle->slot_count == 0)
		lifecycle_explain(lifecycle,
			"the store was edited or damaged: it has no slot; "
			"restore it from a backup: mortise recover --backup=FILE");
	else if (!lifecycle->reason[0])
		lifecycle_explain(lifecycle,
			"this store has no hardware slot; run: mortise unseal --recovery (key id "
			"%s)",
			lifecycle->recovery_id);
	bool may_pass = turn->may_pass;
	on_unsealed(lifecycle, turn->is_foreign || lifecycle->slot_count == 0 ? MORTISE_INTEGRITY
			       : may_pass && !turn->was_asked                 ? MORTISE_BUSY
									      : MORTISE_HARDWARE);
	if (may_pass)
		lifecycle_try_later(lifecycle);
}

void lifecycle_begin_turn(struct lifecycle *lifecycle, bool is_attended)
{
	event_del(lifecycle->retry);
	lifecycle->turn.is_attended = is_attended;
	lifecycle->turn.may_pass = lifecycle->turn.was_asked = lifecycle->turn.is_foreign = false;
	lifecycle->turn.wants_pin = 0;
	lifecycle->turn.is_found = false;
	order_slots(lifecycle);
	lifecycle->reason[0] = '\0';
	lifecycle_set_state(lifecycle, LIFECYCLE_UNSEALING);
	ask_next_slot(lifecycle);
}

void lifecycle_end_turn(struct lifecycle *lifecycle)
{
	secret_drop(&lifecycle->turn.pin);
	secret_drop(&lifecycle->next.pin);
	lifecycle->turn = lifecycle->next = (struct turn){0};
}

/* An admin may have sealed it meanwhile, or the key that was typed was not enough to end his seal.
 */
void lifecycle_retry(struct lifecycle *lifecycle)
{
	if (lifecycle->check_waits)
		lifecycle_check_age(lifecycle);
	else if (lifecycle->state == LIFECYCLE_SEALED)
		lifecycle_start(lifecycle);
}

/* ---- who asks for it ---- */

void lifecycle_start(struct lifecycle *lifecycle)
{
	if (lifecycle->state == LIFECYCLE_UNINITIALISED)
		return;
	bool holds = true;
	enum mortise_status status = lifecycle_have_store(lifecycle);
	bool is_there = status == MORTISE_OK;
	if (is_there)
		status = lifecycle_find_hold(lifecycle, &holds);
	if (status == MORTISE_BUSY || status == MORTISE_IO) {
		lifecycle_explain_lack(lifecycle, status);
		lifecycle_try_later(lifecycle);
	} else if (!is_there) {
		lifecycle_explain(lifecycle,
			"the store was edited or damaged: its slots cannot be read (%s); "
			"restore it from a backup: mortise recover --backup=FILE",
			mortise_status_text(status));
	} else if (status != MORTISE_OK || holds) {
		lifecycle_explain(lifecycle, "sealed by an admin; run: mortise unseal");
	} else {
		lifecycle_begin_turn(lifecycle, false);
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

enum mortise_status lifecycle_unseal(struct lifecycle *lifecycle, const struct lifecycle_pin *pin,
	lifecycle_done *done, void *context)
{
	if (lifecycle->state == LIFECYCLE_UNINITIALISED)
		return MORTISE_CONFLICT;
	if (lifecycle->state == LIFECYCLE_UNSEALED || lifecycle->done || lifecycle->recovering)
		return MORTISE_BUSY;
	TRY(lifecycle_have_store(lifecycle));
	/* With a PIN it is another question than the one being asked, and has its turn behind it.
	 */
	struct turn *turn =
		lifecycle->state == LIFECYCLE_SEALED ? &lifecycle->turn : &lifecycle->next;
	if (pin->pin)
		TRY(keep_pin(turn, pin));
	enum mortise_status status = lifecycle_set_hold(lifecycle, "");
	if (status != MORTISE_OK) {
		secret_drop(&turn->pin);
		return status;
	}
	lifecycle->done = done;
	lifecycle->context = context;
	if (lifecycle->state == LIFECYCLE_SEALED)
		lifecycle_begin_turn(lifecycle, true);
	return MORTISE_OK;
}

void lifecycle_finish_typed(
	struct lifecycle *lifecycle, enum mortise_status status, const char *text)
{
	lifecycle_done *done = lifecycle->typed_done;

	lifecycle->typed_done = NULL;
	if (done)
		done(lifecycle->typed_context, status, text, NULL);
}

/* No turn at the hardware is left, nor a PIN for one that nobody waits for. */
static void on_typed_opened(struct lifecycle *lifecycle, enum mortise_status status)
{
	lifecycle_end_turn(lifecycle);
	if (status != MORTISE_OK) {
		lifecycle_set_state(lifecycle, LIFECYCLE_SEALED);
		lifecycle_finish_typed(lifecycle, status, lifecycle->reason);
		/* Whose turn at the hardware the key has ended waits no more, either. */
		lifecycle_finish(lifecycle, status, lifecycle->reason, NULL);
		try_what_may_pass(lifecycle, status);
		return;
	}
	event_del(lifecycle->retry);
	/* Unsealed it is; a seal that could not be taken back comes back with the next start. */
	if (lifecycle_set_hold(lifecycle, "") != MORTISE_OK)
		log_warning("an admin's seal could not be taken back; run: mortise unseal, again");
	lifecycle_after_opening(lifecycle, lifecycle->opened_id);
	lifecycle_finish_typed(lifecycle, MORTISE_OK, "");
	lifecycle_finish(lifecycle, MORTISE_OK, "", NULL);
}

/* Tries the typed slots with h: MORTISE_OK, what is wrong with the store, or MORTISE_DENIED. */
static enum mortise_status open_typed(struct lifecycle *lifecycle, const struct secret *h)
{
	enum mortise_status result = MORTISE_NOT_FOUND;

	for (size_t i = 0; i < lifecycle->slot_count; i++) {
		const struct slot slot = slot_at(lifecycle, i);
		bool fits = false;
		if (slot_is_hardware(&slot))
			continue;
		enum mortise_status status = lifecycle_open_with(
			lifecycle, &lifecycle->slots[i], h, on_typed_opened, &fits);
		if (status == MORTISE_OK || fits || status == MORTISE_BUSY || status == MORTISE_IO)
			return status;
		if (result != MORTISE_INTEGRITY)
			result = status;
	}
	return result;
}

bool lifecycle_is_opening(const struct lifecycle *lifecycle)
{
	return lifecycle->typed_done || lifecycle->candidate || lifecycle->done;
}

enum mortise_status lifecycle_unseal_typed(struct lifecycle *lifecycle,
	const struct secret *recovery_key, lifecycle_done *done, void *context)
{
	if (lifecycle->state == LIFECYCLE_UNINITIALISED || lifecycle->state == LIFECYCLE_UNSEALED)
		return MORTISE_CONFLICT;
	if (lifecycle->typed_done || lifecycle->candidate || lifecycle->recovering)
		return MORTISE_BUSY;
	TRY(lifecycle_have_store(lifecycle));
	lifecycle->typed_done = done;
	lifecycle->typed_context = context;
	enum mortise_status status = open_typed(lifecycle, recovery_key);
	if (status != MORTISE_OK) {
		lifecycle->typed_done = NULL;
		return status;
	}
	/* The age is being checked: what the hardware says now comes too late. */
	if (lifecycle->candidate) {
		lifecycle_end_turn(lifecycle);
		lifecycle_set_state(lifecycle, LIFECYCLE_UNSEALING);
	}
	return MORTISE_OK;
}
