/* SPDX-License-Identifier: ISC */
#include <stdlib.h>
#include <string.h>

#include "slots.h"
#include "vault_rows.h"

static struct slot_identity identity_of(const struct vault *vault, uint64_t id)
{
	return (struct slot_identity){vault->meta.uuid, id, vault->meta.epoch};
}

static void release(uint8_t **bytes)
{
	free(*bytes);
}

uint64_t vault_next_slot(const struct vault *vault, uint64_t after)
{
	return index_next_item(vault->index, STORE_SLOT, after);
}

enum mortise_status vault_slot(
	struct vault *vault, uint64_t id, uint8_t **out_record, size_t *out_size)
{
	return id ? vault_item(vault, STORE_SLOT, id, out_record, out_size) : MORTISE_NOT_FOUND;
}

static size_t count_slots(const struct vault *vault)
{
	size_t count = 0;

	for (uint64_t id = 0; (id = vault_next_slot(vault, id));)
		count++;
	return count;
}

enum mortise_status vault_put_slot(
	struct vault *vault, uint64_t id, const struct slot_making *making, uint64_t *out_id)
{
	uint64_t number = id ? id : index_last_item(vault->index, STORE_SLOT) + 1;
	struct slot_identity identity = identity_of(vault, number);
	struct slot_making slot = *making;
	uint8_t record[SLOT_RECORD_MAX];
	size_t size = 0;

	if (id && index_next_item(vault->index, STORE_SLOT, id - 1) != id)
		return MORTISE_NOT_FOUND;
	if (!id && count_slots(vault) >= VAULT_SLOTS_MAX)
		return MORTISE_CONFLICT;
	slot.master_key = vault->keyring.key[KEY_MASTER];
	slot.label_key = vault->keyring.key[KEY_LABEL];
	TRY(slot_make(&identity, &slot, record, &size));
	TRY(vault_commit_item(vault, STORE_SLOT, number, (struct store_bytes){record, size}));
	/* What was there before opens no more, from the log neither. */
	if (id)
		(void)!store_truncate_log(vault->store);
	*out_id = number;
	return MORTISE_OK;
}

enum mortise_status vault_hint_slot(
	struct vault *vault, uint64_t id, const struct slot_hints *hints)
{
	CLEANUP(release) uint8_t *record = NULL;
	uint8_t hinted[SLOT_RECORD_MAX];
	size_t size = 0;
	struct slot slot;

	TRY(vault_slot(vault, id, &record, &size));
	TRY(slot_read((struct store_bytes){record, size}, &slot));
	TRY(slot_hint(&slot, hints, hinted, &size));
	return vault_commit_item(vault, STORE_SLOT, id, (struct store_bytes){hinted, size});
}

/* Would a slot that is there to stay remain without this one? */
static enum mortise_status find_another(struct vault *vault, uint64_t but, bool *out_found)
{
	for (uint64_t id = 0; (id = vault_next_slot(vault, id));) {
		CLEANUP(release) uint8_t *record = NULL;
		size_t size = 0;
		struct slot slot;
		TRY(vault_slot(vault, id, &record, &size));
		TRY(slot_read((struct store_bytes){record, size}, &slot));
		if (id != but && !slot_is_passing(&slot)) {
			*out_found = true;
			return MORTISE_OK;
		}
	}
	return MORTISE_OK;
}

enum mortise_status vault_remove_slot(struct vault *vault, uint64_t id)
{
	bool found = false;

	if (!id || index_next_item(vault->index, STORE_SLOT, id - 1) != id)
		return MORTISE_NOT_FOUND;
	TRY(find_another(vault, id, &found));
	if (!found)
		return MORTISE_CONFLICT;
	TRY(vault_commit_item(vault, STORE_SLOT, id, (struct store_bytes){NULL, 0}));
	(void)!store_truncate_log(vault->store);
	return MORTISE_OK;
}

enum mortise_status vault_try_slot(struct vault *vault, uint64_t id, const struct secret *h)
{
	struct slot_identity identity = identity_of(vault, id);
	CLEANUP(secret_drop) struct secret *master_key = NULL;
	CLEANUP(release) uint8_t *record = NULL;
	size_t size = 0;
	struct slot slot;

	TRY(vault_slot(vault, id, &record, &size));
	TRY(slot_read((struct store_bytes){record, size}, &slot));
	TRY(slot_open(&identity, &slot, h, &master_key));
	return secret_equals(master_key, vault->keyring.key[KEY_MASTER]) ? MORTISE_OK
									 : MORTISE_INTEGRITY;
}

const struct secret *vault_master_key(const struct vault *vault)
{
	return vault->keyring.key[KEY_MASTER];
}
