/* SPDX-License-Identifier: ISC */
/* What a lifecycle keeps of the store while it is sealed: slots, and an admin's seal. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lifecycle_parts.h"

#define HOLD_FOREVER "sealed"
#define HOLD_BOOT    "boot " /* and the boot's id */

void lifecycle_forget_slots(struct lifecycle *lifecycle)
{
	for (size_t i = 0; i < lifecycle->slot_count; i++)
		free(lifecycle->slots[i].record);
	lifecycle->slot_count = 0;
}

static enum mortise_status keep_slot(
	void *context, enum store_item kind, uint64_t number, struct store_bytes body)
{
	struct lifecycle *lifecycle = context;
	struct kept_slot *kept = &lifecycle->slots[lifecycle->slot_count];
	struct slot slot;

	if (kind != STORE_SLOT)
		return MORTISE_OK;
	if (lifecycle->slot_count == SLOTS_MAX || body.size > SLOT_RECORD_MAX)
		return MORTISE_INTEGRITY;
	TRY(slot_read(body, &slot));
	kept->record = malloc(body.size);
	if (!kept->record)
		return MORTISE_BUSY;
	memcpy(kept->record, body.bytes, body.size);
	kept->size = body.size;
	kept->id = number;
	lifecycle->slot_count++;
	if (strcmp(slot.kind, SLOT_KIND_RECOVERY) == 0)
		memcpy(lifecycle->recovery_id, slot.key_id, sizeof slot.key_id);
	return MORTISE_OK;
}

enum mortise_status lifecycle_load_slots(struct lifecycle *lifecycle)
{
	lifecycle_forget_slots(lifecycle);
	return store_each_item(lifecycle->store, keep_slot, lifecycle);
}

/* The record was checked when it was kept. */
struct slot lifecycle_slot_of(const struct kept_slot *kept)
{
	struct slot slot = {0};

	if (slot_read((struct store_bytes){kept->record, kept->size}, &slot) != MORTISE_OK)
		slot = (struct slot){0};
	return slot;
}

const struct kept_slot *lifecycle_recovery_slot(const struct lifecycle *lifecycle)
{
	for (size_t i = 0; i < lifecycle->slot_count; i++)
		if (strcmp(lifecycle_slot_of(&lifecycle->slots[i]).kind, SLOT_KIND_RECOVERY) == 0)
			return &lifecycle->slots[i];
	return NULL;
}

enum mortise_status lifecycle_check_recovery(
	const struct lifecycle *lifecycle, const struct secret *recovery_key)
{
	const struct kept_slot *kept = lifecycle_recovery_slot(lifecycle);
	CLEANUP(secret_drop) struct secret *master_key = NULL;
	struct store_meta meta;

	if (!kept)
		return MORTISE_NOT_FOUND;
	TRY(store_meta(lifecycle->store, &meta));
	struct slot slot = lifecycle_slot_of(kept);
	struct slot_identity identity = {meta.uuid, kept->id, meta.epoch};
	return slot_open(&identity, &slot, recovery_key, &master_key);
}

/* The kernel's id of this boot, or "" where it has none. */
static void read_boot_id(char out_id[64])
{
	int descriptor = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t size = descriptor >= 0 ? read(descriptor, out_id, 63) : 0;

	if (descriptor >= 0)
		close(descriptor);
	out_id[size > 0 ? size : 0] = '\0';
	out_id[strcspn(out_id, "\n")] = '\0';
}

/* Does an admin's seal still hold? One that cannot be read does. */
bool lifecycle_is_held(const struct lifecycle *lifecycle)
{
	char word[STORE_HOLD_MAX], boot[64];

	if (store_hold(lifecycle->store, word) != MORTISE_OK)
		return true;
	if (strncmp(word, HOLD_BOOT, strlen(HOLD_BOOT)) != 0)
		return word[0] != '\0';
	read_boot_id(boot);
	return strcmp(word + strlen(HOLD_BOOT), boot) == 0;
}

/* A boot that has no id cannot be told from the next: then the seal holds for good. */
void lifecycle_hold_word(bool until_boot, char out_word[STORE_HOLD_MAX])
{
	char boot[64];

	read_boot_id(boot);
	if (until_boot && boot[0])
		snprintf(out_word, STORE_HOLD_MAX, HOLD_BOOT "%s", boot);
	else
		snprintf(out_word, STORE_HOLD_MAX, HOLD_FOREVER);
}
