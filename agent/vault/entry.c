/* SPDX-License-Identifier: ISC */
#include "entry.h"

#include <stdlib.h>
#include <string.h>

/* A copy of size bytes, malloc'ed; at least one byte, so that NULL means out of memory. */
static uint8_t *copy(const uint8_t *bytes, size_t size)
{
	uint8_t *made = malloc(size ? size : 1);

	if (made && size)
		memcpy(made, bytes, size);
	return made;
}

enum mortise_status entry_new(const uint8_t id[STORE_ID_SIZE],
	const uint8_t path_hash[STORE_HASH_SIZE], struct entry **out_entry)
{
	struct entry *entry = calloc(1, sizeof *entry);

	if (!entry)
		return MORTISE_BUSY;
	memcpy(entry->id, id, STORE_ID_SIZE);
	memcpy(entry->path_hash, path_hash, STORE_HASH_SIZE);
	*out_entry = entry;
	return MORTISE_OK;
}

enum mortise_status entry_clone(const struct entry *entry, struct entry **out_entry)
{
	CLEANUP(entry_drop) struct entry *made = NULL;

	TRY(entry_new(entry->id, entry->path_hash, &made));
	made->current = entry->current;
	made->previous = entry->previous;
	made->pending = entry->pending;
	made->is_deleted = entry->is_deleted;
	TRY(entry_set_head(made, entry->head, entry->head_size));
	for (size_t i = 0; i < entry->version_count; i++) {
		const struct store_version version = entry_row(&entry->versions[i]);
		TRY(entry_add_version(made, &version));
	}
	*out_entry = made;
	made = NULL;
	return MORTISE_OK;
}

enum mortise_status entry_set_head(struct entry *entry, const uint8_t *head, size_t size)
{
	uint8_t *made = copy(head, size);

	if (!made)
		return MORTISE_BUSY;
	free(entry->head);
	entry->head = made;
	entry->head_size = size;
	return MORTISE_OK;
}

struct store_version entry_row(const struct entry_version *version)
{
	return (struct store_version){version->number, version->value_epoch, version->wrapped_key,
		{version->info, version->info_size}};
}

enum mortise_status entry_add_version(struct entry *entry, const struct store_version *row)
{
	size_t count = entry->version_count;

	if (count >= STORE_VERSIONS_MAX || row->number == 0 ||
		(count && entry->versions[count - 1].number >= row->number))
		return MORTISE_INTEGRITY;
	void *versions = reallocarray(entry->versions, count + 1, sizeof *entry->versions);
	if (!versions)
		return MORTISE_BUSY;
	entry->versions = versions;
	uint8_t *made = copy(row->info.bytes, row->info.size);
	if (!made)
		return MORTISE_BUSY;
	struct entry_version *version = &entry->versions[count];
	version->number = row->number;
	version->value_epoch = row->value_epoch;
	version->info = made;
	version->info_size = row->info.size;
	memcpy(version->wrapped_key, row->wrapped_key, STORE_KEY_SIZE);
	entry->version_count++;
	return MORTISE_OK;
}

void entry_remove_version(struct entry *entry, size_t position)
{
	free(entry->versions[position].info);
	entry->version_count--;
	memmove(entry->versions + position, entry->versions + position + 1,
		(entry->version_count - position) * sizeof *entry->versions);
}

const struct entry_version *entry_version(const struct entry *entry, uint64_t number)
{
	for (size_t i = entry->version_count; i > 0; i--)
		if (entry->versions[i - 1].number == number)
			return &entry->versions[i - 1];
	return NULL;
}

void entry_free(struct entry *entry)
{
	if (!entry)
		return;
	for (size_t i = 0; i < entry->version_count; i++)
		free(entry->versions[i].info);
	free(entry->versions);
	free(entry->head);
	free(entry);
}

void entry_drop(struct entry **entry)
{
	entry_free(*entry);
	*entry = NULL;
}
