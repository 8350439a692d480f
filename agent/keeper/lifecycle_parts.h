/* SPDX-License-Identifier: ISC */
/*
 * lifecycle_parts: what lifecycle.c (state, seal, unseal) and lifecycle_init.c (making a
 * store) share. Nobody else includes it.
 */
#ifndef MORTISE_LIFECYCLE_PARTS_H
#define MORTISE_LIFECYCLE_PARTS_H

#include <event2/event.h>

#include "lifecycle.h"
#include "slots.h"

#define SLOTS_MAX 8

/* A slot's record, kept while sealed: what is needed to ask for its h. */
struct kept_slot {
	uint64_t id;
	uint8_t *record;
	size_t size;
};

struct lifecycle {
	struct lifecycle_parts parts;
	struct store *store;
	struct vault *vault;
	struct backup *backup;
	enum lifecycle_state state;
	uint64_t since_us;
	char reason[512];
	char recovery_id[RECOVERY_ID_SIZE];

	struct kept_slot slots[SLOTS_MAX];
	size_t slot_count;
	size_t slot_asked; /* index of the slot whose hardware is being asked */
	struct event *retry;
	unsigned attempts;

	lifecycle_done *done; /* of the operation under way; NULL: nobody waits */
	void *context;
	struct making *making; /* an init under way */
};

void lifecycle_set_state(struct lifecycle *lifecycle, enum lifecycle_state state);
/* Sets the reason and tells the hooks. */
void lifecycle_explain(struct lifecycle *lifecycle, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Ends the operation that somebody waits for, if so. */
void lifecycle_finish(struct lifecycle *lifecycle, enum mortise_status status, const char *text,
	const struct secret *recovery);
void lifecycle_forget_slots(struct lifecycle *lifecycle);
/* The record was checked when it was kept. */
struct slot lifecycle_slot_of(const struct kept_slot *kept);
/* NULL: the store has none. */
const struct kept_slot *lifecycle_recovery_slot(const struct lifecycle *lifecycle);
/* What the store keeps of an admin's seal. */
void lifecycle_hold_word(bool until_boot, char out_word[STORE_HOLD_MAX]);
/* Reads the slots of the store. */
enum mortise_status lifecycle_load_slots(struct lifecycle *lifecycle) MUST_USE;
/*
 * Opens the vault with a slot's h. MORTISE_DENIED if it is not the slot's; for anything else the
 * reason says why not.
 */
enum mortise_status lifecycle_open_with(
	struct lifecycle *lifecycle, const struct kept_slot *kept, const struct secret *h) MUST_USE;
/* What a failed answer of the sealer means, in one line with what to do next. */
void lifecycle_describe(const struct sealer_answer *answer, char *buffer, size_t size);
void making_free(struct making *making);

#endif
