/* SPDX-License-Identifier: ISC */
#include "vault.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "vault_rows.h"

static const struct entry *find(const struct vault *vault, const char *path)
{
	uint8_t path_hash[ENVELOPE_HASH];

	envelope_hash(vault->keyring.key[KEY_INDEX], path, strlen(path), path_hash);
	return index_find(vault->index, path_hash);
}

/* The version that a choice means: the one before the current may have any lower number. */
static const struct entry_version *choose(
	const struct entry *entry, const struct vault_choice *choice)
{
	switch (choice->selector) {
	case VAULT_CURRENT:
		return entry_version(entry, entry->current);
	case VAULT_NUMBER:
		return entry_version(entry, choice->number);
	case VAULT_PREVIOUS:
		for (size_t i = entry->version_count; i > 0; i--)
			if (entry->versions[i - 1].number < entry->current)
				return &entry->versions[i - 1];
		break;
	}
	return NULL;
}

/* A version's ciphertext, from the cache or the disk. */
static enum mortise_status fetch(struct vault *vault, const struct entry *entry,
	const struct entry_version *version, struct store_bytes *out_sealed)
{
	uint64_t number = version->number;
	uint8_t *bytes = NULL;
	size_t size = 0;
	struct store_bytes sealed = cache_get(vault->cache, entry->id, number);

	if (!sealed.bytes) {
		TRY(store_value(
			vault->store, entry->id, number, version->value_epoch, &bytes, &size));
		cache_put(vault->cache, entry->id, number, bytes, size);
		sealed = cache_get(vault->cache, entry->id, number);
	}
	if (!sealed.bytes)
		return MORTISE_BUSY;
	*out_sealed = sealed;
	return MORTISE_OK;
}

bool vault_is_stale(const struct vault *vault)
{
	return vault->is_stale;
}

size_t vault_count(const struct vault *vault)
{
	return index_count(vault->index);
}

const uint8_t *vault_uuid(const struct vault *vault)
{
	return vault->meta.uuid;
}

uint64_t vault_epoch(const struct vault *vault)
{
	return vault->meta.epoch;
}

enum mortise_status vault_read(struct vault *vault, const char *path,
	const struct vault_choice *choice, struct secret **out_value, uint64_t *out_version)
{
	const struct entry *entry = find(vault, path);
	struct store_bytes sealed;

	if (!entry || entry->is_deleted)
		return MORTISE_NOT_FOUND;
	const struct entry_version *version = choose(entry, choice);
	if (!version)
		return MORTISE_NOT_FOUND;
	TRY(fetch(vault, entry, version, &sealed));
	enum mortise_status status = value_open(vault, entry->id, version, sealed, out_value);
	if (status == MORTISE_INTEGRITY)
		cache_forget(vault->cache, entry->id, version->number);
	TRY(status);
	*out_version = version->number;
	return MORTISE_OK;
}

/* A new version on its way to the disk. */
struct writing {
	struct entry *entry; /* as it will be */
	struct vault_head head;
	uint64_t number;
	uint8_t wrapped_key[STORE_KEY_SIZE];
	uint8_t info[INFO_SEALED_MAX];
	size_t info_size;
	uint8_t *value; /* encrypted */
	size_t value_size;
	uint64_t pruned, pruned_epoch; /* the version that makes room; 0: none */
};

static void writing_done(struct writing *writing)
{
	entry_free(writing->entry);
	free(writing->value);
}

static enum mortise_status encrypt(
	const struct vault *vault, const struct vault_write *write, struct writing *writing)
{
	const uint8_t *id = writing->entry->id;
	struct version_info info = {
		.shown = {writing->number, write->time_us, write->size, write->uid}};

	TRY(value_seal(vault, id, writing->number, (struct store_bytes){write->value, write->size},
		writing->wrapped_key, &writing->value));
	writing->value_size = write->size + ENVELOPE_OVERHEAD;
	memcpy(info.token, write->token, sizeof info.token);
	return info_seal(vault, id, &info, writing->info, &writing->info_size);
}

enum mortise_status entry_complete(
	const struct vault *vault, struct entry *entry, const struct vault_head *head)
{
	uint8_t sealed[HEAD_SEALED_MAX];
	size_t size = 0;

	TRY(head_seal(vault, entry->id, head, sealed, &size));
	TRY(entry_set_head(entry, sealed, size));
	entry->current = head->current;
	entry->is_deleted = head->deleted_us != 0;
	index_digest(vault->index, entry);
	return MORTISE_OK;
}

/* The entry as it is, or a new one for this path. */
static enum mortise_status start(const struct vault *vault, const struct vault_write *write,
	const struct entry *before, struct writing *writing)
{
	uint8_t id[ID_SIZE], path_hash[ENVELOPE_HASH];

	if (before) {
		TRY(head_open(vault, before, &writing->head));
		return entry_clone(before, &writing->entry);
	}
	randombytes_buf(id, sizeof id);
	envelope_hash(vault->keyring.key[KEY_INDEX], write->path, strlen(write->path), path_hash);
	memcpy(writing->head.path, write->path, strlen(write->path) + 1);
	writing->head.created_us = write->time_us;
	return entry_new(id, path_hash, &writing->entry);
}

static struct store_version row_of(const struct vault *vault, const struct writing *writing)
{
	return (struct store_version){writing->number, vault->meta.epoch, writing->wrapped_key,
		{writing->info, writing->info_size}};
}

static enum mortise_status prepare(const struct vault *vault, const struct vault_write *write,
	const struct entry *before, struct writing *writing)
{
	TRY(start(vault, write, before, writing));
	struct entry *entry = writing->entry;
	size_t count = entry->version_count;
	writing->number = count ? entry->versions[count - 1].number + 1 : 1;
	TRY(encrypt(vault, write, writing));
	if (count >= VAULT_KEEP_VERSIONS) {
		writing->pruned = entry->versions[0].number;
		writing->pruned_epoch = entry->versions[0].value_epoch;
		entry_remove_version(entry, 0);
	}
	const struct store_version row = row_of(vault, writing);
	TRY(entry_add_version(entry, &row));
	writing->head.current = writing->number;
	writing->head.deleted_us = 0;
	return entry_complete(vault, entry, &writing->head);
}

static enum mortise_status put_writing(struct store *store, void *context)
{
	const struct writing *writing = context;
	const struct entry *entry = writing->entry;
	const struct store_version row = entry_row(entry_version(entry, writing->number));

	TRY(store_put_secret(store, entry->id, entry->path_hash,
		(struct store_bytes){entry->head, entry->head_size}));
	if (writing->pruned) {
		TRY(store_delete_version(store, entry->id, writing->pruned));
		TRY(store_delete_value(store, entry->id, writing->pruned, writing->pruned_epoch));
	}
	TRY(store_put_version(store, entry->id, &row));
	return store_put_value(
		store, entry->id, &row, (struct store_bytes){writing->value, writing->value_size});
}

/* The version that a write with this token made, if it is kept still; 0: none. */
static enum mortise_status find_token(const struct vault *vault, const struct entry *entry,
	const uint8_t token[WIRE_TOKEN_SIZE], uint64_t *out_number)
{
	uint64_t number = 0;

	for (size_t i = entry ? entry->version_count : 0; i > 0 && !number; i--) {
		struct version_info info;
		TRY(info_open(vault, entry->id, &entry->versions[i - 1], &info));
		if (sodium_memcmp(info.token, token, sizeof info.token) == 0)
			number = info.shown.number;
	}
	*out_number = number;
	return MORTISE_OK;
}

/* Is the secret there, with this very value? */
static enum mortise_status is_same(
	struct vault *vault, const struct vault_write *write, bool *out_same)
{
	CLEANUP(secret_drop) struct secret *value = NULL;
	const struct vault_choice current = {VAULT_CURRENT, 0};
	uint64_t version;
	enum mortise_status status = vault_read(vault, write->path, &current, &value, &version);

	if (status == MORTISE_OK)
		*out_same = value->size == write->size &&
			    sodium_memcmp(value->bytes, write->value, write->size) == 0;
	else if (status == MORTISE_NOT_FOUND)
		*out_same = false;
	else
		return status;
	return MORTISE_OK;
}

static uint64_t version_seen(const struct entry *entry)
{
	return entry && !entry->is_deleted ? entry->current : 0;
}

uint64_t vault_current(const struct vault *vault, const char *path)
{
	return version_seen(find(vault, path));
}

uint64_t vault_changes(const struct vault *vault)
{
	return vault->changes;
}

static enum mortise_status commit_writing(struct vault *vault, struct writing *writing)
{
	struct index_change change = {.entry = writing->entry};

	TRY(index_reserve(vault->index, writing->entry->id));
	TRY(vault_commit(vault, &change, put_writing, writing));
	if (writing->pruned)
		cache_forget(vault->cache, writing->entry->id, writing->pruned);
	index_swap(vault->index, writing->entry);
	writing->entry = NULL;
	return MORTISE_OK;
}

/* A token seen before comes first: what it did may be why the other conditions fail now. */
enum mortise_status vault_write(
	struct vault *vault, const struct vault_write *write, struct vault_outcome *out_outcome)
{
	const struct entry *before = find(vault, write->path);
	CLEANUP(writing_done) struct writing writing = {0};
	struct vault_outcome outcome = {0, true};
	bool same = false;

	if (write->size > MORTISE_VALUE_MAX)
		return MORTISE_INVALID;
	TRY(find_token(vault, before, write->token, &outcome.version));
	if (outcome.version) {
		*out_outcome = outcome;
		return MORTISE_OK;
	}
	if (write->has_expected_version && write->expected_version != version_seen(before))
		return MORTISE_CONFLICT;
	if (write->only_if_changed)
		TRY(is_same(vault, write, &same));
	if (same) {
		*out_outcome = (struct vault_outcome){before->current, false};
		return MORTISE_OK;
	}
	TRY(prepare(vault, write, before, &writing));
	outcome.version = writing.number;
	if (!write->is_dry_run)
		TRY(commit_writing(vault, &writing));
	*out_outcome = outcome;
	return MORTISE_OK;
}

static enum mortise_status put_head(struct store *store, void *context)
{
	const struct entry *entry = context;

	return store_put_secret(store, entry->id, entry->path_hash,
		(struct store_bytes){entry->head, entry->head_size});
}

enum mortise_status vault_set_deleted(struct vault *vault, const char *path, bool is_deleted,
	bool is_dry_run, uint64_t time_us, struct vault_outcome *out_outcome)
{
	const struct entry *before = find(vault, path);
	CLEANUP(entry_drop) struct entry *entry = NULL;
	struct vault_head head;

	if (!before)
		return MORTISE_NOT_FOUND;
	const struct vault_outcome outcome = {before->current, before->is_deleted != is_deleted};
	if (outcome.changed && !is_dry_run) {
		TRY(head_open(vault, before, &head));
		head.deleted_us = is_deleted ? time_us : 0;
		TRY(entry_clone(before, &entry));
		TRY(entry_complete(vault, entry, &head));
		struct index_change change = {.entry = entry};
		TRY(vault_commit(vault, &change, put_head, entry));
		index_swap(vault->index, entry);
		entry = NULL;
	}
	*out_outcome = outcome;
	return MORTISE_OK;
}

enum mortise_status vault_next(struct vault *vault, const uint8_t *after, uint8_t out_id[ID_SIZE],
	struct vault_head *out_head)
{
	const struct entry *entry = index_next(vault->index, after);

	if (!entry)
		return MORTISE_NOT_FOUND;
	TRY(head_open(vault, entry, out_head));
	memcpy(out_id, entry->id, ID_SIZE);
	return MORTISE_OK;
}

enum mortise_status vault_show(struct vault *vault, const char *path, struct vault_head *out_head,
	struct vault_version out_versions[VAULT_KEEP_VERSIONS], size_t *out_count)
{
	const struct entry *entry = find(vault, path);
	struct vault_version versions[VAULT_KEEP_VERSIONS];
	struct vault_head head;
	size_t count = 0;

	if (!entry)
		return MORTISE_NOT_FOUND;
	TRY(head_open(vault, entry, &head));
	for (size_t i = 0; i < entry->version_count && count < VAULT_KEEP_VERSIONS; i++) {
		struct version_info info;
		TRY(info_open(vault, entry->id, &entry->versions[i], &info));
		versions[count++] = info.shown;
	}
	memcpy(out_versions, versions, count * sizeof versions[0]);
	*out_head = head;
	*out_count = count;
	return MORTISE_OK;
}
