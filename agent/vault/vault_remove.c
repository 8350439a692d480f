/* SPDX-License-Identifier: ISC */
/* Versions and secrets that go for good. */
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "vault_revision.h"

#define LOOKED_AT 1000 /* secrets, in one vault_purge() */

static enum mortise_status leave_no_copy(struct vault *vault)
{
	enum mortise_status status;

	do
		status = store_truncate_log(vault->store);
	while (status != MORTISE_OK && vault_found_room(vault));
	return status;
}

enum mortise_status vault_destroy(struct vault *vault, const char *path, uint64_t version,
	bool is_dry_run, struct vault_outcome *out_outcome)
{
	const struct entry *before = vault_find(vault, path);
	CLEANUP(revision_done) struct revision revision = {.wipes = true};

	if (!before)
		return MORTISE_NOT_FOUND;
	TRY(revision_begin(vault, before, &revision));
	revision.wipes = true;
	if (before->current == version && !before->is_deleted)
		return MORTISE_CONFLICT;
	const struct vault_outcome outcome = {version, revision_remove(&revision, version)};
	if (!outcome.changed && (version == 0 || version > revision.head.last))
		return MORTISE_NOT_FOUND;
	if (outcome.changed && !is_dry_run)
		TRY(revision_commit(vault, &revision, 1));
	/* Also where it is gone: whoever was told of a failure tries again. */
	if (!is_dry_run)
		TRY(leave_no_copy(vault));
	*out_outcome = outcome;
	return MORTISE_OK;
}

static enum mortise_status wipe(struct store *store, void *context)
{
	const struct entry *entry = context;

	return store_wipe_secret(store, entry->id);
}

static enum mortise_status remove_entry(struct vault *vault, const struct entry *entry)
{
	struct index_change change = {.removed_id = entry->id};

	TRY(vault_commit(vault, &change, wipe, (void *)(uintptr_t)entry));
	for (size_t i = 0; i < entry->version_count; i++)
		cache_forget(vault->cache, entry->id, entry->versions[i].number);
	vault_count_change(vault, entry, NULL);
	index_remove(vault->index, entry->id);
	return MORTISE_OK;
}

enum mortise_status vault_destroy_all(
	struct vault *vault, const char *path, bool is_dry_run, struct vault_outcome *out_outcome)
{
	const struct entry *entry = vault_find(vault, path);

	if (!entry)
		return MORTISE_NOT_FOUND;
	if (!entry->is_deleted)
		return MORTISE_CONFLICT;
	const struct vault_outcome outcome = {entry->current, true};
	if (!is_dry_run) {
		TRY(remove_entry(vault, entry));
		TRY(leave_no_copy(vault));
	}
	*out_outcome = outcome;
	return MORTISE_OK;
}

static enum mortise_status set_deletion_time(
	struct vault *vault, const struct entry *entry, uint64_t now_us)
{
	CLEANUP(revision_done) struct revision revision = {.wipes = false};

	TRY(revision_begin(vault, entry, &revision));
	revision.head.deleted_us = now_us;
	return revision_commit(vault, &revision, 1);
}

enum mortise_status vault_purge(struct vault *vault, uint64_t now_us, uint64_t keep_us,
	uint8_t cursor[ID_SIZE], char out_path[VAULT_PATH_SIZE], uint64_t *out_version)
{
	const struct entry *entry = NULL;
	struct vault_head head;

	for (unsigned i = 0; i < LOOKED_AT; i++) {
		entry = index_next(vault->index, cursor);
		if (!entry) {
			memset(cursor, 0, ID_SIZE);
			return MORTISE_NOT_FOUND;
		}
		memcpy(cursor, entry->id, ID_SIZE);
		if (!entry->is_deleted)
			continue;
		TRY(head_open(vault, entry, &head));
		if (head.deleted_us == VAULT_TIME_UNKNOWN)
			return set_deletion_time(vault, entry, now_us) == MORTISE_OK
				       ? MORTISE_NOT_FOUND
				       : MORTISE_IO;
		if (head.deleted_us >= now_us || now_us - head.deleted_us <= keep_us)
			continue;
		TRY(remove_entry(vault, entry));
		memcpy(out_path, head.path, sizeof head.path);
		*out_version = head.current;
		return MORTISE_OK;
	}
	return MORTISE_NOT_FOUND;
}
