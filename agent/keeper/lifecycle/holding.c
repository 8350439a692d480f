/* SPDX-License-Identifier: ISC */
#include "holding.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"

#define RETRY_FIRST_MS 200u
#define RETRY_MAX_MS   30000u
#define HOLD_FOREVER   "sealed"
#define HOLD_BOOT      "boot " /* and the boot's id */
#define PINS           ";pins"

void waiter_tell(struct waiter *waiter, enum mortise_status status, const char *text,
	const struct secret *recovery)
{
	const struct waiter told = *waiter;

	*waiter = (struct waiter){.done = NULL};
	if (told.done)
		told.done(told.context, status, text, recovery);
}

enum mortise_status holding_init(struct holding *holding, struct event_base *base,
	const char *directory, int anchor_window_s, event_callback_fn retry, void *context)
{
	holding->since_us = clock_now().least_us;
	holding->retry = evtimer_new(base, retry, context);
	if (!holding->retry)
		return MORTISE_BUSY;
	TRY(backup_new(directory, &holding->backup));
	TRY(anchor_new(holding->sealer, anchor_window_s, &holding->anchor));
	return reserve_new(directory, &holding->reserve);
}

/* Until the vault is open, what the disk says of the time has to do. */
static void find_floor(struct store *store)
{
	struct clock_floor floor;

	if (vault_floor_while_sealed(store, &floor) == MORTISE_OK)
		clock_set_floor(&floor);
}

enum mortise_status holding_open(struct holding *holding, const char *directory)
{
	struct store_meta meta;

	TRY(store_open(directory, &holding->store));
	enum mortise_status status = store_meta(holding->store, &meta);
	holding->state = LIFECYCLE_UNINITIALISED;
	if (status == MORTISE_NOT_FOUND)
		return MORTISE_OK;
	TRY(status);
	holding->state = LIFECYCLE_SEALED;
	find_floor(holding->store);
	return holding_load_slots(holding);
}

static void drop_slots(struct kept_slot *slots, size_t count)
{
	for (size_t i = 0; i < count; i++)
		slot_copy_done(&slots[i].copy);
}

void holding_done(struct holding *holding)
{
	if (holding->retry)
		event_free(holding->retry);
	drop_slots(holding->slots, holding->slot_count);
	backup_free(holding->backup);
	anchor_free(holding->anchor);
	store_close(holding->store);
	reserve_free(holding->reserve);
}

/* ---- where it stands ---- */

void holding_set_state(struct holding *holding, enum lifecycle_state state)
{
	holding->state = state;
	holding->since_us = clock_now().least_us;
	if (state == LIFECYCLE_UNSEALED)
		holding->reason[0] = '\0';
	holding->hooks.changed(holding->hooks.context);
}

void holding_explain(struct holding *holding, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(holding->reason, sizeof holding->reason, format, arguments);
	va_end(arguments);
	holding->hooks.changed(holding->hooks.context);
}

void holding_explain_lack(struct holding *holding, enum mortise_status status)
{
	char text[400];

	store_describe_lack(holding->store, status, text, sizeof text);
	holding_explain(holding, "%s", text);
}

void holding_record(const struct holding *holding, const char *operation,
	enum mortise_status result, const char *note)
{
	holding->hooks.record(holding->hooks.context, operation, result, note);
}

void holding_try_later(struct holding *holding)
{
	unsigned shift = holding->attempts < 8 ? holding->attempts : 8;
	unsigned delay_ms = RETRY_FIRST_MS << shift;
	struct timeval delay = {0};

	if (delay_ms > RETRY_MAX_MS)
		delay_ms = RETRY_MAX_MS;
	holding->attempts++;
	delay.tv_sec = delay_ms / 1000;
	delay.tv_usec = delay_ms % 1000 * 1000;
	event_add(holding->retry, &delay);
}

void holding_try_no_more(struct holding *holding)
{
	event_del(holding->retry);
}

bool holding_is_unsure(const struct holding *holding)
{
	return holding->vault && (holding->is_unsure || vault_is_stale(holding->vault));
}

/* ---- what is kept of the store ---- */

enum mortise_status holding_have_store(struct holding *holding)
{
	enum mortise_status status = MORTISE_OK;

	if (!store_is_open(holding->store)) {
		status = store_reopen(holding->store);
		holding->slots_are_old = true;
	}
	if (status == MORTISE_OK)
		status = holding_have_slots(holding);
	if (status == MORTISE_BUSY || status == MORTISE_IO)
		holding_explain_lack(holding, status);
	return status;
}

/* Slots being read, to take the place of those that were kept when all of them are there. */
struct loading {
	struct kept_slot slots[VAULT_SLOTS_MAX];
	size_t count;
	char recovery_id[HOLDING_RECOVERY_ID];
};

static void loading_done(struct loading *loading)
{
	drop_slots(loading->slots, loading->count);
}

static enum mortise_status keep_slot(
	void *context, enum store_item kind, uint64_t number, struct store_bytes body)
{
	struct loading *loading = context;
	struct kept_slot *kept = &loading->slots[loading->count];

	if (kind != STORE_SLOT)
		return MORTISE_OK;
	if (loading->count == VAULT_SLOTS_MAX)
		return MORTISE_INTEGRITY;
	TRY(slot_copy_read(body, &kept->copy));
	kept->id = number;
	loading->count++;
	const struct slot *slot = &kept->copy.slot;
	size_t used = strlen(loading->recovery_id);
	if (!slot_is_hardware(slot) && slot->key_id[0])
		snprintf(loading->recovery_id + used, sizeof loading->recovery_id - used, "%s%s",
			used ? " " : "", slot->key_id);
	return MORTISE_OK;
}

enum mortise_status holding_load_slots(struct holding *holding)
{
	CLEANUP(loading_done) struct loading loading = {.count = 0};

	TRY(store_each_item(holding->store, keep_slot, &loading));
	drop_slots(holding->slots, holding->slot_count);
	memcpy(holding->slots, loading.slots, sizeof loading.slots);
	holding->slot_count = loading.count;
	memcpy(holding->recovery_id, loading.recovery_id, sizeof loading.recovery_id);
	loading.count = 0;
	return MORTISE_OK;
}

void holding_keep_slots(struct holding *holding)
{
	holding->slots_are_old = holding_load_slots(holding) != MORTISE_OK;
	holding->slot_changes++;
}

enum mortise_status holding_have_slots(struct holding *holding)
{
	if (holding->slots_are_old)
		TRY(holding_load_slots(holding));
	holding->slots_are_old = false;
	return MORTISE_OK;
}

bool holding_describe_slots(const struct holding *holding, char *buffer, size_t size)
{
	size_t used = 0;

	for (size_t i = 0; i < holding->slot_count && used + 60 < size; i++) {
		const struct slot *slot = &holding->slots[i].copy.slot;
		used += (size_t)snprintf(buffer + used, size - used, "%s%llu %s%s%s",
			used ? ", " : "", (unsigned long long)holding->slots[i].id, slot->kind,
			slot->hints.flags & SLOT_HAS_PIN ? " with a PIN" : "",
			slot->hints.flags & SLOT_STAGED     ? " (staged)"
			: slot->hints.flags & SLOT_STAND_IN ? " (stand-in)"
							    : "");
	}
	return used > 0;
}

enum mortise_status holding_check_recovery(struct holding *holding, const struct secret *key)
{
	enum mortise_status result = MORTISE_NOT_FOUND;
	struct store_meta meta;

	TRY(holding_have_slots(holding));
	TRY(store_meta(holding->store, &meta));
	for (size_t i = 0; i < holding->slot_count; i++) {
		CLEANUP(secret_drop) struct secret *master_key = NULL;
		const struct slot *slot = &holding->slots[i].copy.slot;
		struct slot_identity identity = {meta.uuid, holding->slots[i].id, meta.epoch};
		if (slot_is_hardware(slot))
			continue;
		result = slot_open(&identity, slot, key, &master_key);
		if (result != MORTISE_DENIED && result != MORTISE_INTEGRITY)
			return result;
	}
	return result;
}

void holding_boot_id(char out_id[SLOT_BOOT_SIZE])
{
	static_assert(CLOCK_BOOT_SIZE <= SLOT_BOOT_SIZE, "a boot's id must fit a slot");

	clock_boot_id(out_id);
}

/*
 * The store's word: an admin's seal, and behind PINS the slots whose PIN is being tried, or was in
 * vain, each with a blank before it.
 */
struct word {
	char hold[STORE_HOLD_MAX];
	char pins[STORE_HOLD_MAX];
};

static enum mortise_status read_word(const struct holding *holding, struct word *out_word)
{
	char text[STORE_HOLD_MAX];

	TRY(store_hold(holding->store, text));
	char *pins = strstr(text, PINS);
	snprintf(out_word->pins, sizeof out_word->pins, "%s", pins ? pins + strlen(PINS) : "");
	if (pins)
		*pins = '\0';
	snprintf(out_word->hold, sizeof out_word->hold, "%s", text);
	return MORTISE_OK;
}

/* A few bytes, on which a seal and a PIN's tries depend: the reserve is theirs, too. */
static enum mortise_status put_word(struct holding *holding, const char *text)
{
	enum mortise_status status;

	do
		status = store_set_hold(holding->store, text);
	while (status != MORTISE_OK && store_is_full(holding->store) &&
		reserve_spend(holding->reserve));
	return status;
}

static enum mortise_status write_word(struct holding *holding, const struct word *word)
{
	char text[2 * STORE_HOLD_MAX];
	int size = snprintf(
		text, sizeof text, "%s%s%s", word->hold, word->pins[0] ? PINS : "", word->pins);

	if (size < 0 || size >= STORE_HOLD_MAX)
		return MORTISE_INVALID;
	return put_word(holding, text);
}

enum mortise_status holding_find_seal(const struct holding *holding, bool *out_holds)
{
	struct word word;
	char boot[SLOT_BOOT_SIZE];

	TRY(read_word(holding, &word));
	holding_boot_id(boot);
	*out_holds = strncmp(word.hold, HOLD_BOOT, strlen(HOLD_BOOT)) != 0
			     ? word.hold[0] != '\0'
			     : strcmp(word.hold + strlen(HOLD_BOOT), boot) == 0;
	return MORTISE_OK;
}

/* A boot that has no id cannot be told from the next: then the seal holds for good. */
static void seal_word(bool until_boot, char out_word[STORE_HOLD_MAX])
{
	char boot[SLOT_BOOT_SIZE];

	holding_boot_id(boot);
	if (until_boot && boot[0])
		snprintf(out_word, STORE_HOLD_MAX, HOLD_BOOT "%s", boot);
	else
		snprintf(out_word, STORE_HOLD_MAX, HOLD_FOREVER);
}

bool holding_is_sealed_so(const struct holding *holding, bool until_boot)
{
	char wanted[STORE_HOLD_MAX];
	struct word word;

	seal_word(until_boot, wanted);
	return read_word(holding, &word) == MORTISE_OK && strcmp(word.hold, wanted) == 0;
}

static enum mortise_status set_seal(struct holding *holding, const char *hold)
{
	struct word word;

	/* A seal must be possible whatever was there; else the notes of PINs must not be lost. */
	enum mortise_status status = read_word(holding, &word);
	if (status == MORTISE_BUSY && hold[0] == '\0')
		return status;
	if (status != MORTISE_OK)
		word = (struct word){.pins = ""};
	snprintf(word.hold, sizeof word.hold, "%s", hold);
	status = write_word(holding, &word);
	return status == MORTISE_INVALID ? put_word(holding, hold) : status;
}

enum mortise_status holding_put_seal(struct holding *holding, bool until_boot)
{
	char word[STORE_HOLD_MAX];

	seal_word(until_boot, word);
	return set_seal(holding, word);
}

enum mortise_status holding_lift_seal(struct holding *holding)
{
	return set_seal(holding, "");
}

/* Where " 12" stands among " 1 12 3"; NULL: nowhere. */
static char *find_pin(char *pins, const char *slot)
{
	size_t size = strlen(slot);

	for (char *at = pins; (at = strstr(at, slot)); at += size)
		if (at[size] == ' ' || at[size] == '\0')
			return at;
	return NULL;
}

enum mortise_status holding_note_pin(struct holding *holding, uint64_t slot, bool is_noted)
{
	char name[24];
	struct word word;

	TRY(read_word(holding, &word));
	snprintf(name, sizeof name, " %llu", (unsigned long long)slot);
	char *at = find_pin(word.pins, name);
	if (is_noted == (at != NULL))
		return MORTISE_OK;
	size_t used = strlen(word.pins);
	if (is_noted)
		snprintf(word.pins + used, sizeof word.pins - used, "%s", name);
	else
		memmove(at, at + strlen(name), strlen(at + strlen(name)) + 1);
	return write_word(holding, &word);
}

enum mortise_status holding_find_pin(const struct holding *holding, uint64_t slot, bool *out_noted)
{
	char name[24];
	struct word word;

	TRY(read_word(holding, &word));
	snprintf(name, sizeof name, " %llu", (unsigned long long)slot);
	*out_noted = find_pin(word.pins, name) != NULL;
	return MORTISE_OK;
}

bool holding_pin_is_noted(const struct holding *holding, uint64_t slot)
{
	bool is_noted = true;

	return holding_find_pin(holding, slot, &is_noted) != MORTISE_OK || is_noted;
}
