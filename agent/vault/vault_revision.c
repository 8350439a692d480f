/* SPDX-License-Identifier: ISC */
#include "vault_revision.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum mortise_status revision_begin(
	const struct vault *vault, const struct entry *before, struct revision *revision)
{
	*revision = (struct revision){.before = before};
	TRY(head_open(vault, before, &revision->head));
	return entry_clone(before, &revision->after);
}

enum mortise_status revision_begin_new(
	const struct vault *vault, const char *path, uint64_t time_us, struct revision *revision)
{
	uint8_t id[ID_SIZE], path_hash[ENVELOPE_HASH];

	*revision = (struct revision){.head.created_us = time_us};
	randombytes_buf(id, sizeof id);
	envelope_hash(vault->keyring.key[KEY_INDEX], path, strlen(path), path_hash);
	snprintf(revision->head.path, sizeof revision->head.path, "%s", path);
	return entry_new(id, path_hash, &revision->after);
}

void revision_done(struct revision *revision)
{
	entry_free(revision->after);
	free(revision->value);
	revision->after = NULL;
	revision->value = NULL;
}

/* A number is never given twice, though its version is gone. */
static uint64_t next_number(const struct revision *revision)
{
	const struct entry *entry = revision->after;
	size_t count = entry->version_count;
	uint64_t highest = count ? entry->versions[count - 1].number : 0;

	return (highest > revision->head.last ? highest : revision->head.last) + 1;
}

enum mortise_status revision_add(
	const struct vault *vault, const struct vault_write *write, struct revision *revision)
{
	const uint8_t *id = revision->after->id;
	uint64_t number = next_number(revision);
	uint8_t wrapped_key[STORE_KEY_SIZE], sealed[INFO_SEALED_MAX];
	struct store_version row = {number, vault->meta.epoch, wrapped_key, {sealed, 0}};
	struct version_info info = {.shown = {number, write->time_us, write->size, write->uid, ""}};

	memcpy(info.token, write->token, sizeof info.token);
	if (write->note)
		snprintf(info.shown.note, sizeof info.shown.note, "%s", write->note);
	TRY(info_seal(vault, id, &info, sealed, &row.info.size));
	TRY(value_seal(vault, id, number, (struct store_bytes){write->value, write->size},
		wrapped_key, &revision->value));
	revision->value_size = write->size + ENVELOPE_OVERHEAD;
	TRY(entry_add_version(revision->after, &row));
	revision->added = number;
	revision->head.last = number;
	return MORTISE_OK;
}

void revision_make_current(struct revision *revision, uint64_t number)
{
	if (revision->head.current)
		revision->head.previous = revision->head.current;
	if (revision->head.pending == number)
		revision->head.pending = 0;
	revision->head.current = number;
}

static void forget(uint64_t *label, uint64_t number)
{
	if (*label == number)
		*label = 0;
}

bool revision_remove(struct revision *revision, uint64_t number)
{
	struct entry *entry = revision->after;
	size_t position = 0;

	while (position < entry->version_count && entry->versions[position].number != number)
		position++;
	if (position == entry->version_count)
		return false;
	/* A store of an earlier build does not say it. */
	if (revision->head.last < entry->versions[entry->version_count - 1].number)
		revision->head.last = entry->versions[entry->version_count - 1].number;
	entry_remove_version(entry, position);
	forget(&revision->head.current, number);
	forget(&revision->head.previous, number);
	forget(&revision->head.pending, number);
	return true;
}

void revision_prune(struct revision *revision)
{
	const struct vault_head *head = &revision->head;
	struct entry *entry = revision->after;
	uint64_t keep = head->metadata.keep ? head->metadata.keep : VAULT_KEEP_VERSIONS;

	for (size_t i = 0; i < entry->version_count && entry->version_count > keep;) {
		uint64_t number = entry->versions[i].number;
		if (number == head->current || number == head->previous || number == head->pending)
			i++;
		else
			entry_remove_version(entry, i);
	}
}

static enum mortise_status put_removals(struct store *store, const struct revision *revision)
{
	const struct entry *before = revision->before;

	for (size_t i = 0; before && i < before->version_count; i++) {
		const struct entry_version *version = &before->versions[i];
		if (entry_version(revision->after, version->number))
			continue;
		if (revision->wipes) {
			TRY(store_wipe_version(store, before->id, version->number));
			continue;
		}
		TRY(store_delete_version(store, before->id, version->number));
		TRY(store_delete_value(store, before->id, version->number, version->value_epoch));
	}
	return MORTISE_OK;
}

static enum mortise_status put_revision(struct store *store, const struct revision *revision)
{
	const struct entry *entry = revision->after;

	TRY(store_put_secret(store, entry->id, entry->path_hash,
		(struct store_bytes){entry->head, entry->head_size}));
	TRY(put_removals(store, revision));
	if (!revision->added)
		return MORTISE_OK;
	const struct store_version row = entry_row(entry_version(entry, revision->added));
	TRY(store_put_version(store, entry->id, &row));
	return store_put_value(store, entry->id, &row,
		(struct store_bytes){revision->value, revision->value_size});
}

struct revisions {
	const struct revision *each;
	size_t count;
};

static enum mortise_status put_all(struct store *store, void *context)
{
	const struct revisions *revisions = context;

	for (size_t i = 0; i < revisions->count; i++)
		TRY(put_revision(store, &revisions->each[i]));
	return MORTISE_OK;
}

/* What is committed comes into force; it cannot fail. */
static void take_in(struct vault *vault, struct revision *revision)
{
	const struct entry *before = revision->before;

	for (size_t i = 0; before && i < before->version_count; i++)
		if (!entry_version(revision->after, before->versions[i].number))
			cache_forget(vault->cache, before->id, before->versions[i].number);
	vault_count_change(vault, before, revision->after);
	index_swap(vault->index, revision->after);
	revision->before = NULL;
	revision->after = NULL;
}

static int compare_ids(const void *one, const void *other)
{
	const struct entry *const *a = one, *const *b = other;

	return memcmp((*a)->id, (*b)->id, ID_SIZE);
}

static void release(const struct entry ***entries)
{
	free(*entries);
}

enum mortise_status revision_commit(struct vault *vault, struct revision *revisions, size_t count)
{
	CLEANUP(release) const struct entry **entries = calloc(count, sizeof *entries);
	struct revisions all = {revisions, count};

	if (!entries)
		return MORTISE_BUSY;
	for (size_t i = 0; i < count; i++) {
		TRY(entry_complete(vault, revisions[i].after, &revisions[i].head));
		TRY(index_reserve_many(vault->index, revisions[i].after->id, count));
		entries[i] = revisions[i].after;
	}
	qsort(entries, count, sizeof *entries, compare_ids);
	struct index_change change = {.entries = entries, .entry_count = count};
	TRY(vault_commit(vault, &change, put_all, &all));
	for (size_t i = 0; i < count; i++)
		take_in(vault, &revisions[i]);
	return MORTISE_OK;
}
