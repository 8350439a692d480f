/* SPDX-License-Identifier: ISC */
#include "vault_revision.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vault_commit.h"
#include "vault_rekey.h"

enum mortise_status revision_begin(
	const struct vault *vault, struct entry *before, struct revision *revision)
{
	*revision = (struct revision){.before = entry_hold(before), .number = before->number};
	entry_part(before, &revision->parts);
	return head_open(vault, before, &revision->head);
}

enum mortise_status revision_begin_new(const struct vault *vault, const char *path,
	uint64_t time_us, size_t others, struct revision *revision)
{
	*revision = (struct revision){
		.number = vault->meta.last + 1 + others, .head.created_us = time_us};
	if (revision->number > STORE_NUMBER_MAX)
		return MORTISE_CONFLICT;
	path_hash(vault, path, revision->parts.path_hash);
	snprintf(revision->head.path, sizeof revision->head.path, "%s", path);
	return MORTISE_OK;
}

void revision_done(struct revision *revision)
{
	entry_drop(&revision->before);
	entry_drop(&revision->after);
	sodium_memzero(&revision->head, sizeof revision->head);
	free(revision->value);
	revision->value = NULL;
}

/* A number is never given twice, though its version is gone. */
static uint64_t next_number(const struct revision *revision)
{
	size_t count = revision->parts.version_count;
	uint64_t highest = count ? revision->parts.versions[count - 1].number : 0;

	return (highest > revision->head.last ? highest : revision->head.last) + 1;
}

enum mortise_status revision_add(
	const struct vault *vault, const struct vault_write *write, struct revision *revision)
{
	uint64_t number = next_number(revision);
	struct entry_version version = {.number = number,
		.wrapped_key = revision->wrapped_key,
		.info = {revision->info, 0}};
	struct version_info info = {.shown = {number, write->time_us, write->size, write->uid, ""}};

	memcpy(info.token, write->token, sizeof info.token);
	if (write->note)
		snprintf(info.shown.note, sizeof info.shown.note, "%s", write->note);
	version.said = info_said(&info);
	TRY(store_new_place(vault->store, &version.place));
	TRY(info_seal(vault, revision->number, &info, revision->info, &version.info.size));
	TRY(value_seal(vault, revision->number, number,
		(struct store_bytes){write->value, write->size}, revision->wrapped_key,
		&revision->value));
	revision->value_size = write->size + ENVELOPE_OVERHEAD;
	TRY(entry_parts_add(&revision->parts, &version));
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
	struct entry_parts *parts = &revision->parts;
	size_t position = 0;

	while (position < parts->version_count && parts->versions[position].number != number)
		position++;
	if (position == parts->version_count)
		return false;
	entry_parts_remove(parts, position);
	forget(&revision->head.current, number);
	forget(&revision->head.previous, number);
	forget(&revision->head.pending, number);
	return true;
}

void revision_prune(struct revision *revision)
{
	const struct vault_head *head = &revision->head;
	struct entry_parts *parts = &revision->parts;
	uint64_t keep = head->metadata.keep ? head->metadata.keep : VAULT_KEEP_VERSIONS;

	for (size_t i = 0; i < parts->version_count && parts->version_count > keep;) {
		uint64_t number = parts->versions[i].number;
		if (number == head->current || number == head->previous || number == head->pending)
			i++;
		else
			entry_parts_remove(parts, i);
	}
}

static enum mortise_status put_removals(struct vault *vault, const struct revision *revision)
{
	const struct entry *before = revision->before;

	for (size_t i = 0; before && i < before->version_count; i++) {
		const struct entry_version *version = &before->versions[i];
		const struct store_place place = entry_place(before, version);
		if (!entry_version(revision->after, version->number))
			TRY(store_delete_value(vault->store, &place));
	}
	return revision->wipes ? rekey_wipe(vault, revision->number, revision->after) : MORTISE_OK;
}

static enum mortise_status put_revision(struct vault *vault, const struct revision *revision)
{
	const struct entry *after = revision->after;

	TRY(store_put_secret(vault->store, vault->meta.epoch, after->number,
		(struct store_bytes){after->record, after->record_size}));
	TRY(put_removals(vault, revision));
	if (!revision->added)
		return MORTISE_OK;
	const struct store_place place = entry_place(after, entry_version(after, revision->added));
	return store_put_value(
		vault->store, &place, (struct store_bytes){revision->value, revision->value_size});
}

struct revisions {
	struct vault *vault;
	const struct revision *each;
	size_t count;
};

static enum mortise_status put_all(struct store *store, void *context)
{
	const struct revisions *revisions = context;

	(void)store;
	for (size_t i = 0; i < revisions->count; i++)
		TRY(put_revision(revisions->vault, &revisions->each[i]));
	return MORTISE_OK;
}

/* What is committed comes into force; it cannot fail. */
static void take_in(struct vault *vault, struct revision *revision, const struct index_row *row)
{
	struct entry *before = revision->before, *after = revision->after;

	for (size_t i = 0; before && i < before->version_count; i++)
		if (!entry_version(after, before->versions[i].number))
			cache_forget_value(
				vault->cache, before->number, before->versions[i].number);
	if (revision->joins)
		vault_note_undo(vault, before, after);
	vault_count_change(vault, before, after, revision->head.path);
	index_put(vault->index, row);
	cache_put_entry(vault->cache, revision->after);
	if (revision->added) {
		cache_put_value(vault->cache, after->number, revision->added, revision->value,
			revision->value_size);
		revision->value = NULL;
	}
	if (revision->wipes)
		rekey_forget(vault, after->number);
}

static int compare_numbers(const void *one, const void *other)
{
	const struct index_row *a = one, *b = other;

	return a->number < b->number ? -1 : a->number > b->number;
}

static void release(struct index_row **rows)
{
	free(*rows);
}

enum mortise_status revision_commit(struct vault *vault, struct revision *revisions, size_t count)
{
	CLEANUP(release) struct index_row *rows = calloc(2 * count, sizeof *rows);
	struct revisions all = {vault, revisions, count};

	if (!rows)
		return MORTISE_BUSY;
	struct index_row *sorted = rows + count;
	for (size_t i = 0; i < count; i++) {
		struct revision *revision = &revisions[i];
		TRY(entry_complete(vault, revision->number, &revision->parts, &revision->head,
			&revision->after));
		TRY(index_reserve(vault->index, revision->number, count));
		rows[i] = entry_row(vault, revision->after);
	}
	memcpy(sorted, rows, count * sizeof *rows);
	qsort(sorted, count, sizeof *sorted, compare_numbers);
	struct index_change change = {.rows = sorted, .row_count = count};
	TRY((revisions->joins ? vault_join : vault_commit)(vault, &change, put_all, &all));
	for (size_t i = 0; i < count; i++)
		take_in(vault, &revisions[i], &rows[i]);
	return MORTISE_OK;
}
