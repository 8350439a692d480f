/* SPDX-License-Identifier: ISC */
#include "vault.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "vault_commit.h"
#include "vault_rekey.h"
#include "vault_rows.h"

#define CACHE_BYTES (96 * 1024 * 1024)

/* ---- in memory ---- */

enum mortise_status vault_make(struct store *store, const struct secret *master_key,
	const struct store_meta *meta, struct vault **out_vault)
{
	struct vault *vault = calloc(1, sizeof *vault);

	if (!vault)
		return MORTISE_BUSY;
	vault->store = store;
	vault->meta = *meta;
	enum mortise_status status = keyring_derive(master_key, &vault->keyring);
	if (status == MORTISE_OK)
		status = index_new(vault->keyring.key[KEY_TALLY], &vault->index);
	if (status == MORTISE_OK)
		status = cache_new(CACHE_BYTES, &vault->cache);
	if (status != MORTISE_OK) {
		vault_close(vault);
		return status;
	}
	*out_vault = vault;
	return MORTISE_OK;
}

void rekey_free(struct rekey **rekey)
{
	if (!*rekey)
		return;
	vault_close((*rekey)->next);
	free((*rekey)->again);
	free(*rekey);
	*rekey = NULL;
}

void rekey_drop(struct vault *vault)
{
	struct rekey *rekey = vault->rekey;

	if (!rekey)
		return;
	vault->rekey = NULL;
	vault->retired = rekey->next; /* no other: a rekey begins after the last one's end */
	rekey->next = NULL;
	rekey_free(&rekey);
	vault->sweep = (struct sweep){.is_due = true, .takes_values = true};
}

void vault_close(struct vault *vault)
{
	if (!vault)
		return;
	vault_drop_group(vault);
	rekey_drop(vault);
	(void)!vault_count_by(vault, NULL, NULL); /* to stop takes no memory */
	vault_close(vault->retired);
	cache_free(vault->cache);
	index_free(vault->index);
	keyring_done(&vault->keyring);
	free(vault);
}

bool vault_has_work(const struct vault *vault)
{
	return vault->rekey || vault->sweep.is_due || vault->retired;
}

/* ---- reading ---- */

const struct entry_version *vault_choose(
	const struct entry *entry, const struct vault_choice *choice)
{
	switch (choice->selector) {
	case VAULT_CURRENT:
		return entry_version(entry, entry->current);
	case VAULT_PREVIOUS:
		return entry_version(entry, entry->previous);
	case VAULT_PENDING:
		return entry_version(entry, entry->pending);
	case VAULT_NUMBER:
		return entry_version(entry, choice->number);
	}
	return NULL;
}

/* A version's ciphertext, from the cache or the disk. */
static enum mortise_status fetch(struct vault *vault, const struct entry *entry,
	const struct entry_version *version, struct store_bytes *out_sealed)
{
	struct store_bytes sealed = cache_value(vault->cache, entry->number, version->number);

	if (!sealed.bytes) {
		const struct store_place place = entry_place(entry, version);
		uint8_t *bytes = NULL;
		size_t size = 0;
		TRY(store_value(vault->store, &place, &bytes, &size));
		cache_put_value(vault->cache, entry->number, version->number, bytes, size);
		sealed = cache_value(vault->cache, entry->number, version->number);
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
	CLEANUP(entry_drop) struct entry *entry = NULL;
	struct store_bytes sealed;

	TRY(vault_find(vault, path, &entry));
	if (entry->is_deleted)
		return MORTISE_NOT_FOUND;
	const struct entry_version *version = vault_choose(entry, choice);
	if (!version)
		return MORTISE_NOT_FOUND;
	TRY(fetch(vault, entry, version, &sealed));
	enum mortise_status status = value_open(vault, entry->number, version, sealed, out_value);
	if (status == MORTISE_INTEGRITY)
		cache_forget_value(vault->cache, entry->number, version->number);
	TRY(status);
	*out_version = version->number;
	return MORTISE_OK;
}

uint64_t vault_current(const struct vault *vault, const char *path)
{
	struct index_row row;

	return vault_row(vault, path, &row) && !row.is_deleted ? row.current : 0;
}

uint64_t vault_changes(const struct vault *vault)
{
	return vault->changes;
}

enum mortise_status vault_fingerprint(struct vault *vault, const char *path,
	uint8_t out_fingerprint[ENVELOPE_HASH], bool *out_empty)
{
	CLEANUP(secret_drop) struct secret *value = NULL;
	const struct vault_choice current = {VAULT_CURRENT, 0};
	uint64_t version;

	TRY(vault_read(vault, path, &current, &value, &version));
	envelope_hash(vault->keyring.key[KEY_TWIN], value->bytes, value->size, out_fingerprint);
	*out_empty = value->size == 0;
	return MORTISE_OK;
}

/* When the current version was made: asked for where it can be too old. */
static enum mortise_status find_age(
	const struct vault *vault, const struct entry *entry, struct vault_head *head)
{
	const struct entry_version *version = entry_version(entry, entry->current);
	struct version_info info;

	if (!head->metadata.max_age_s || !version)
		return MORTISE_OK;
	TRY(info_open(vault, entry->number, version, &info));
	head->current_created_us = info.shown.created_us;
	return MORTISE_OK;
}

enum mortise_status vault_next(
	struct vault *vault, uint64_t after, uint64_t *out_number, struct vault_head *out_head)
{
	CLEANUP(entry_drop) struct entry *entry = NULL;
	struct index_row row;
	struct vault_head head;

	if (!index_next(vault->index, after, &row))
		return MORTISE_NOT_FOUND;
	TRY(vault_glance(vault, row.number, &entry));
	TRY(head_open(vault, entry, &head));
	TRY(find_age(vault, entry, &head));
	*out_number = row.number;
	*out_head = head;
	return MORTISE_OK;
}

enum mortise_status vault_head(struct vault *vault, uint64_t number, struct vault_head *out_head)
{
	CLEANUP(entry_drop) struct entry *entry = NULL;

	TRY(vault_entry(vault, number, &entry));
	return head_open(vault, entry, out_head);
}

enum mortise_status vault_show(struct vault *vault, const char *path, struct vault_head *out_head,
	struct vault_version out_versions[VAULT_VERSIONS_MAX], size_t *out_count)
{
	CLEANUP(entry_drop) struct entry *entry = NULL;
	struct vault_version versions[VAULT_VERSIONS_MAX];
	struct vault_head head;
	size_t count = 0;

	TRY(vault_find(vault, path, &entry));
	TRY(head_open(vault, entry, &head));
	TRY(find_age(vault, entry, &head));
	for (size_t i = 0; i < entry->version_count && count < VAULT_VERSIONS_MAX; i++) {
		struct version_info info;
		TRY(info_open(vault, entry->number, &entry->versions[i], &info));
		versions[count++] = info.shown;
	}
	memcpy(out_versions, versions, count * sizeof versions[0]);
	*out_head = head;
	*out_count = count;
	return MORTISE_OK;
}
