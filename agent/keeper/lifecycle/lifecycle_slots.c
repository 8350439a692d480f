/* SPDX-License-Identifier: ISC */
/* What a lifecycle keeps of the store while it is sealed: slots, an admin's seal, failed PINs. */
#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lifecycle_parts.h"

#define HOLD_FOREVER "sealed"
#define HOLD_BOOT    "boot " /* and the boot's id */
#define PINS         ";pins"

void lifecycle_forget_slots(struct lifecycle *lifecycle)
{
	for (size_t i = 0; i < lifecycle->slot_count; i++)
		free(lifecycle->slots[i].record);
	lifecycle->slot_count = 0;
}

/* Slots being read, to take the place of those that were kept when all of them are there. */
struct loading {
	struct kept_slot slots[SLOTS_MAX];
	size_t count;
	char recovery_id[sizeof((struct lifecycle *)0)->recovery_id];
};

static void loading_done(struct loading *loading)
{
	for (size_t i = 0; i < loading->count; i++)
		free(loading->slots[i].record);
}

static enum mortise_status keep_slot(
	void *context, enum store_item kind, uint64_t number, struct store_bytes body)
{
	struct loading *loading = context;
	struct kept_slot *kept = &loading->slots[loading->count];
	struct slot slot;

	if (kind != STORE_SLOT)
		return MORTISE_OK;
	if (loading->count == SLOTS_MAX || body.size > SLOT_RECORD_MAX)
		return MORTISE_INTEGRITY;
	TRY(slot_read(body, &slot));
	kept->record = malloc(body.size);
	if (!kept->record)
		return MORTISE_BUSY;
	memcpy(kept->record, body.bytes, body.size);
	kept->size = body.size;
	kept->id = number;
	loading->count++;
	size_t used = strlen(loading->recovery_id);
	if (!slot_is_hardware(&slot) && slot.key_id[0])
		snprintf(loading->recovery_id + used, sizeof loading->recovery_id - used, "%s%s",
			used ? " " : "", slot.key_id);
	return MORTISE_OK;
}

enum mortise_status lifecycle_load_slots(struct lifecycle *lifecycle)
{
	CLEANUP(loading_done) struct loading loading = {.count = 0};

	TRY(store_each_item(lifecycle->store, keep_slot, &loading));
	lifecycle_forget_slots(lifecycle);
	memcpy(lifecycle->slots, loading.slots, sizeof loading.slots);
	lifecycle->slot_count = loading.count;
	memcpy(lifecycle->recovery_id, loading.recovery_id, sizeof loading.recovery_id);
	loading.count = 0;
	return MORTISE_OK;
}

void lifecycle_keep_slots(struct lifecycle *lifecycle)
{
	lifecycle->slots_are_old = lifecycle_load_slots(lifecycle) != MORTISE_OK;
}

enum mortise_status lifecycle_have_slots(struct lifecycle *lifecycle)
{
	if (lifecycle->slots_are_old)
		TRY(lifecycle_load_slots(lifecycle));
	lifecycle->slots_are_old = false;
	return MORTISE_OK;
}

/* The record was checked when it was kept. */
struct slot lifecycle_slot_of(const struct kept_slot *kept)
{
	struct slot slot = {0};

	if (slot_read((struct store_bytes){kept->record, kept->size}, &slot) != MORTISE_OK)
		slot = (struct slot){0};
	return slot;
}

bool lifecycle_slots(const struct lifecycle *lifecycle, char *buffer, size_t size)
{
	size_t used = 0;

	for (size_t i = 0; i < lifecycle->slot_count && used + 60 < size; i++) {
		const struct slot slot = lifecycle_slot_of(&lifecycle->slots[i]);
		used += (size_t)snprintf(buffer + used, size - used, "%s%llu %s%s%s",
			used ? ", " : "", (unsigned long long)lifecycle->slots[i].id, slot.kind,
			slot.hints.flags & SLOT_HAS_PIN ? " with a PIN" : "",
			slot.hints.flags & SLOT_STAGED     ? " (staged)"
			: slot.hints.flags & SLOT_STAND_IN ? " (stand-in)"
							   : "");
	}
	return used > 0;
}

enum mortise_status lifecycle_check_recovery(
	struct lifecycle *lifecycle, const struct secret *recovery_key)
{
	enum mortise_status result = MORTISE_NOT_FOUND;
	struct store_meta meta;

	TRY(lifecycle_have_slots(lifecycle));
	TRY(store_meta(lifecycle->store, &meta));
	for (size_t i = 0; i < lifecycle->slot_count; i++) {
		CLEANUP(secret_drop) struct secret *master_key = NULL;
		const struct slot slot = lifecycle_slot_of(&lifecycle->slots[i]);
		struct slot_identity identity = {meta.uuid, lifecycle->slots[i].id, meta.epoch};
		if (slot_is_hardware(&slot))
			continue;
		result = slot_open(&identity, &slot, recovery_key, &master_key);
		if (result != MORTISE_DENIED && result != MORTISE_INTEGRITY)
			return result;
	}
	return result;
}

void lifecycle_boot_id(char out_id[SLOT_BOOT_SIZE])
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

static enum mortise_status read_word(const struct lifecycle *lifecycle, struct word *out_word)
{
	char text[STORE_HOLD_MAX];

	TRY(store_hold(lifecycle->store, text));
	char *pins = strstr(text, PINS);
	snprintf(out_word->pins, sizeof out_word->pins, "%s", pins ? pins + strlen(PINS) : "");
	if (pins)
		*pins = '\0';
	snprintf(out_word->hold, sizeof out_word->hold, "%s", text);
	return MORTISE_OK;
}

/* A few bytes, on which a seal and a PIN's tries depend: the reserve is theirs, too. */
static enum mortise_status put_word(struct lifecycle *lifecycle, const char *text)
{
	enum mortise_status status;

	do
		status = store_set_hold(lifecycle->store, text);
	while (status != MORTISE_OK && store_is_full(lifecycle->store) &&
		reserve_spend(lifecycle->reserve));
	return status;
}

static enum mortise_status write_word(struct lifecycle *lifecycle, const struct word *word)
{
	char text[2 * STORE_HOLD_MAX];
	int size = snprintf(
		text, sizeof text, "%s%s%s", word->hold, word->pins[0] ? PINS : "", word->pins);

	if (size < 0 || size >= STORE_HOLD_MAX)
		return MORTISE_INVALID;
	return put_word(lifecycle, text);
}

enum mortise_status lifecycle_find_hold(const struct lifecycle *lifecycle, bool *out_holds)
{
	struct word word;
	char boot[SLOT_BOOT_SIZE];

	TRY(read_word(lifecycle, &word));
	lifecycle_boot_id(boot);
	*out_holds = strncmp(word.hold, HOLD_BOOT, strlen(HOLD_BOOT)) != 0
			     ? word.hold[0] != '\0'
			     : strcmp(word.hold + strlen(HOLD_BOOT), boot) == 0;
	return MORTISE_OK;
}

bool lifecycle_is_held(const struct lifecycle *lifecycle)
{
	bool holds = true;

	return lifecycle_find_hold(lifecycle, &holds) != MORTISE_OK || holds;
}

bool lifecycle_is_held_so(const struct lifecycle *lifecycle, bool until_boot)
{
	char wanted[STORE_HOLD_MAX];
	struct word word;

	lifecycle_hold_word(until_boot, wanted);
	return read_word(lifecycle, &word) == MORTISE_OK && strcmp(word.hold, wanted) == 0;
}

enum mortise_status lifecycle_set_hold(struct lifecycle *lifecycle, const char *hold)
{
	struct word word;

	/* A seal must be possible whatever was there; else the notes of PINs must not be lost. */
	enum mortise_status status = read_word(lifecycle, &word);
	if (status == MORTISE_BUSY && hold[0] == '\0')
		return status;
	if (status != MORTISE_OK)
		word = (struct word){.pins = ""};
	snprintf(word.hold, sizeof word.hold, "%s", hold);
	status = write_word(lifecycle, &word);
	return status == MORTISE_INVALID ? put_word(lifecycle, hold) : status;
}

/* A boot that has no id cannot be told from the next: then the seal holds for good. */
void lifecycle_hold_word(bool until_boot, char out_word[STORE_HOLD_MAX])
{
	char boot[SLOT_BOOT_SIZE];

	lifecycle_boot_id(boot);
	if (until_boot && boot[0])
		snprintf(out_word, STORE_HOLD_MAX, HOLD_BOOT "%s", boot);
	else
		snprintf(out_word, STORE_HOLD_MAX, HOLD_FOREVER);
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

enum mortise_status lifecycle_note_pin(struct lifecycle *lifecycle, uint64_t slot, bool is_noted)
{
	char name[24];
	struct word word;

	TRY(read_word(lifecycle, &word));
	snprintf(name, sizeof name, " %llu", (unsigned long long)slot);
	char *at = find_pin(word.pins, name);
	if (is_noted == (at != NULL))
		return MORTISE_OK;
	size_t used = strlen(word.pins);
	if (is_noted)
		snprintf(word.pins + used, sizeof word.pins - used, "%s", name);
	else
		memmove(at, at + strlen(name), strlen(at + strlen(name)) + 1);
	return write_word(lifecycle, &word);
}

enum mortise_status lifecycle_find_pin(
	const struct lifecycle *lifecycle, uint64_t slot, bool *out_noted)
{
	char name[24];
	struct word word;

	TRY(read_word(lifecycle, &word));
	snprintf(name, sizeof name, " %llu", (unsigned long long)slot);
	*out_noted = find_pin(word.pins, name) != NULL;
	return MORTISE_OK;
}

bool lifecycle_pin_is_noted(const struct lifecycle *lifecycle, uint64_t slot)
{
	bool is_noted = true;

	return lifecycle_find_pin(lifecycle, slot, &is_noted) != MORTISE_OK || is_noted;
}
