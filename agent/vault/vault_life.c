/* SPDX-License-Identifier: ISC */
/* What becomes of a secret that is there: hidden, moved, described, and which version is current.
 */
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "text.h"
#include "vault_commit.h"
#include "vault_rekey.h"
#include "vault_revision.h"

#define MAX_AGE_MAX_S (100ull * 365 * 86400)

/* One that is not deleted. MORTISE_NOT_FOUND. */
static enum mortise_status find_live(
	struct vault *vault, const char *path, struct entry **out_entry)
{
	struct index_row row;

	if (!vault_row(vault, path, &row) || row.is_deleted)
		return MORTISE_NOT_FOUND;
	return vault_entry(vault, row.number, out_entry);
}

enum mortise_status vault_set_deleted(struct vault *vault, const char *path, bool is_deleted,
	uint64_t time_us, struct vault_outcome *out_outcome)
{
	CLEANUP(entry_drop) struct entry *before = NULL;
	CLEANUP(revision_done) struct revision revision = {0};

	TRY(vault_find(vault, path, &before));
	const struct vault_outcome outcome = {before->current, before->is_deleted != is_deleted};
	if (outcome.changed && !is_deleted && !before->current)
		return MORTISE_CONFLICT;
	if (outcome.changed && !vault->is_rehearsal) {
		TRY(revision_begin(vault, before, &revision));
		revision.head.deleted_us = is_deleted ? time_us : 0;
		TRY(revision_commit(vault, &revision, 1));
	}
	*out_outcome = outcome;
	return MORTISE_OK;
}

enum mortise_status vault_promote(
	struct vault *vault, const char *path, uint64_t version, struct vault_outcome *out_outcome)
{
	CLEANUP(entry_drop) struct entry *before = NULL;
	CLEANUP(revision_done) struct revision revision = {0};

	TRY(find_live(vault, path, &before));
	if (version == 0 || (before->current != version && before->pending != version))
		return MORTISE_CONFLICT;
	const struct vault_outcome outcome = {version, before->current != version};
	if (outcome.changed && !vault->is_rehearsal) {
		TRY(revision_begin(vault, before, &revision));
		revision_make_current(&revision, version);
		TRY(revision_commit(vault, &revision, 1));
	}
	*out_outcome = outcome;
	return MORTISE_OK;
}

/* A version that is there was promoted, or written as any other; one never given was no version. */
static bool was_dropped(const struct vault *vault, const struct entry *entry, uint64_t version)
{
	struct vault_head head;

	for (size_t i = 0; i < entry->version_count; i++)
		if (entry->versions[i].number == version)
			return false;
	return version != 0 && head_open(vault, entry, &head) == MORTISE_OK && version <= head.last;
}

enum mortise_status vault_drop_pending(
	struct vault *vault, const char *path, uint64_t version, struct vault_outcome *out_outcome)
{
	CLEANUP(entry_drop) struct entry *before = NULL;
	CLEANUP(revision_done) struct revision revision = {0};

	TRY(vault_find(vault, path, &before));
	if (before->pending ? before->pending != version : !was_dropped(vault, before, version))
		return MORTISE_CONFLICT;
	const struct vault_outcome outcome = {before->current, before->pending != 0};
	if (outcome.changed && !vault->is_rehearsal) {
		TRY(revision_begin(vault, before, &revision));
		if (!revision_remove(&revision, version))
			return MORTISE_INTEGRITY;
		TRY(revision_commit(vault, &revision, 1));
	}
	*out_outcome = outcome;
	return MORTISE_OK;
}

/* Has the move with this token been made? */
static enum mortise_status is_moved(const struct vault *vault, const struct entry *there,
	const uint8_t token[WIRE_TOKEN_SIZE], bool *out_moved)
{
	struct vault_head head;

	TRY(head_open(vault, there, &head));
	*out_moved = sodium_memcmp(head.token, token, sizeof head.token) == 0;
	return MORTISE_OK;
}

static enum mortise_status give_path(const struct vault *vault, const char *path,
	const uint8_t token[WIRE_TOKEN_SIZE], struct revision *revision)
{
	path_hash(vault, path, revision->parts.path_hash);
	if (strlen(path) >= sizeof revision->head.path)
		return MORTISE_INVALID;
	memcpy(revision->head.path, path, strlen(path) + 1);
	memcpy(revision->head.token, token, sizeof revision->head.token);
	return MORTISE_OK;
}

enum mortise_status vault_move(struct vault *vault, const char *path, const char *new_path,
	const uint8_t token[WIRE_TOKEN_SIZE], struct vault_outcome *out_outcome)
{
	CLEANUP(entry_drop) struct entry *there = NULL;
	CLEANUP(entry_drop) struct entry *before = NULL;
	CLEANUP(revision_done) struct revision revision = {0};
	bool is_done = false;

	TRY(vault_look_up(vault, new_path, &there));
	if (there)
		TRY(is_moved(vault, there, token, &is_done));
	if (is_done) {
		*out_outcome = (struct vault_outcome){there->current, true};
		return MORTISE_OK;
	}
	TRY(find_live(vault, path, &before));
	if (there)
		return MORTISE_CONFLICT;
	const struct vault_outcome outcome = {before->current, true};
	TRY(revision_begin(vault, before, &revision));
	TRY(give_path(vault, new_path, token, &revision));
	if (!vault->is_rehearsal)
		TRY(revision_commit(vault, &revision, 1));
	*out_outcome = outcome;
	return MORTISE_OK;
}

/* At most so long. */
static bool is_line(const char *text, size_t size_max)
{
	size_t size = strnlen(text, size_max + 1);

	return size <= size_max && text_is_line(text, size);
}

static bool is_pair(const struct vault_pair *pair)
{
	size_t size = strnlen(pair->key, sizeof pair->key);

	return size > 0 && size <= VAULT_KEY_MAX &&
	       strspn(pair->key, "abcdefghijklmnopqrstuvwxyz0123456789_-") == size &&
	       is_line(pair->value, VAULT_PAIR_VALUE_MAX);
}

static bool is_valid(const struct vault_metadata *metadata)
{
	for (size_t i = 0; i < metadata->pair_count && i < VAULT_PAIRS_MAX; i++)
		if (!is_pair(&metadata->pairs[i]) ||
			(i && strcmp(metadata->pairs[i - 1].key, metadata->pairs[i].key) >= 0))
			return false;
	return metadata->pair_count <= VAULT_PAIRS_MAX && metadata->keep <= VAULT_KEEP_MAX &&
	       metadata->max_age_s <= MAX_AGE_MAX_S && is_line(metadata->note, VAULT_NOTE_MAX) &&
	       is_line(metadata->hook, VAULT_HOOK_MAX) &&
	       (!metadata->hook[0] || metadata->hook[0] == '/');
}

static bool is_same(const struct vault_metadata *a, const struct vault_metadata *b)
{
	for (size_t i = 0; i < a->pair_count && i < b->pair_count; i++)
		if (strcmp(a->pairs[i].key, b->pairs[i].key) != 0 ||
			strcmp(a->pairs[i].value, b->pairs[i].value) != 0)
			return false;
	return a->pair_count == b->pair_count && a->keep == b->keep &&
	       a->max_age_s == b->max_age_s && strcmp(a->note, b->note) == 0 &&
	       strcmp(a->hook, b->hook) == 0;
}

enum mortise_status vault_metadata(
	struct vault *vault, const char *path, struct vault_metadata *out_metadata)
{
	CLEANUP(entry_drop) struct entry *entry = NULL;
	struct vault_head head;

	TRY(find_live(vault, path, &entry));
	TRY(head_open(vault, entry, &head));
	*out_metadata = head.metadata;
	return MORTISE_OK;
}

enum mortise_status vault_set_metadata(struct vault *vault, const char *path,
	const struct vault_metadata *metadata, struct vault_outcome *out_outcome)
{
	CLEANUP(entry_drop) struct entry *before = NULL;
	CLEANUP(revision_done) struct revision revision = {0};

	if (!is_valid(metadata))
		return MORTISE_INVALID;
	TRY(find_live(vault, path, &before));
	TRY(revision_begin(vault, before, &revision));
	const struct vault_outcome outcome = {
		before->current, !is_same(&revision.head.metadata, metadata)};
	revision.head.metadata = *metadata;
	if (outcome.changed && !vault->is_rehearsal)
		TRY(revision_commit(vault, &revision, 1));
	*out_outcome = outcome;
	return MORTISE_OK;
}

/* Versions and secrets that go for good. */

#define LOOKED_AT  16384 /* numbers, in one vault_purge() */
#define LOOKING_US 1000  /* and for so long at what is deleted */

static enum mortise_status leave_no_copy(struct vault *vault)
{
	enum mortise_status status;

	do
		status = store_truncate_log(vault->store);
	while (status != MORTISE_OK && vault_found_room(vault));
	return status;
}

enum mortise_status vault_destroy(
	struct vault *vault, const char *path, uint64_t version, struct vault_outcome *out_outcome)
{
	CLEANUP(entry_drop) struct entry *before = NULL;
	CLEANUP(revision_done) struct revision revision = {0};

	TRY(vault_find(vault, path, &before));
	TRY(revision_begin(vault, before, &revision));
	revision.wipes = true;
	if (before->current == version && !before->is_deleted)
		return MORTISE_CONFLICT;
	const struct vault_outcome outcome = {version, revision_remove(&revision, version)};
	if (!outcome.changed && (version == 0 || version > revision.head.last))
		return MORTISE_NOT_FOUND;
	if (outcome.changed && !vault->is_rehearsal)
		TRY(revision_commit(vault, &revision, 1));
	/* Also where it is gone: whoever was told of a failure tries again. */
	if (!vault->is_rehearsal)
		TRY(leave_no_copy(vault));
	*out_outcome = outcome;
	return MORTISE_OK;
}

struct wiping {
	struct vault *vault;
	const struct entry *entry;
};

static enum mortise_status wipe(struct store *store, void *context)
{
	const struct wiping *wiping = context;
	const struct entry *entry = wiping->entry;

	for (size_t i = 0; i < entry->version_count; i++) {
		const struct store_place place = entry_place(entry, &entry->versions[i]);
		TRY(store_delete_value(store, &place));
	}
	TRY(rekey_wipe(wiping->vault, entry->number, NULL));
	return store_delete_secret(store, wiping->vault->meta.epoch, entry->number);
}

static enum mortise_status remove_entry(struct vault *vault, struct entry *entry)
{
	struct index_change change = {.removed = entry->number};
	struct wiping wiping = {vault, entry};

	TRY(vault_commit(vault, &change, wipe, &wiping));
	for (size_t i = 0; i < entry->version_count; i++)
		cache_forget_value(vault->cache, entry->number, entry->versions[i].number);
	cache_forget_entry(vault->cache, entry->number);
	vault_count_change(vault, entry, NULL, NULL);
	index_remove(vault->index, entry->number);
	rekey_forget(vault, entry->number);
	return MORTISE_OK;
}

enum mortise_status vault_destroy_all(
	struct vault *vault, const char *path, struct vault_outcome *out_outcome)
{
	CLEANUP(entry_drop) struct entry *entry = NULL;

	TRY(vault_find(vault, path, &entry));
	if (!entry->is_deleted)
		return MORTISE_CONFLICT;
	const struct vault_outcome outcome = {entry->current, true};
	if (!vault->is_rehearsal) {
		TRY(remove_entry(vault, entry));
		TRY(leave_no_copy(vault));
	}
	*out_outcome = outcome;
	return MORTISE_OK;
}

static enum mortise_status set_deletion_time(
	struct vault *vault, struct entry *entry, uint64_t now_us)
{
	CLEANUP(revision_done) struct revision revision = {.wipes = false};

	TRY(revision_begin(vault, entry, &revision));
	revision.head.deleted_us = now_us;
	return revision_commit(vault, &revision, 1);
}

/* What becomes of a deleted secret; MORTISE_NOT_FOUND: it stays for now. One commit is enough. */
static enum mortise_status purge(struct vault *vault, struct entry *entry, uint64_t now_us,
	uint64_t keep_us, struct vault_head *head, bool *out_has_committed)
{
	TRY(head_open(vault, entry, head));
	if (head->deleted_us == VAULT_TIME_UNKNOWN) {
		*out_has_committed = true;
		return set_deletion_time(vault, entry, now_us) == MORTISE_OK ? MORTISE_NOT_FOUND
									     : MORTISE_IO;
	}
	if (head->deleted_us >= now_us || now_us - head->deleted_us <= keep_us)
		return MORTISE_NOT_FOUND;
	*out_has_committed = true;
	return remove_entry(vault, entry);
}

enum mortise_status vault_purge(struct vault *vault, uint64_t now_us, uint64_t keep_us,
	uint64_t *cursor, char out_path[VAULT_PATH_SIZE], uint64_t *out_version)
{
	enum mortise_status status = MORTISE_NOT_FOUND;
	uint64_t until_us = vault_until(LOOKING_US), to = *cursor + LOOKED_AT;
	bool has_committed = false;
	struct vault_head head;
	struct index_row row;

	while (status == MORTISE_NOT_FOUND && !has_committed && vault_has_time(until_us)) {
		CLEANUP(entry_drop) struct entry *entry = NULL;
		if (!index_next_deleted(vault->index, *cursor, to, &row)) {
			*cursor = to < vault->meta.last ? to : 0;
			return MORTISE_NOT_FOUND;
		}
		*cursor = row.number;
		status = vault_glance(vault, row.number, &entry);
		if (status == MORTISE_IO)
			status = MORTISE_NOT_FOUND; /* behind it there are others */
		else if (status == MORTISE_OK)
			status = purge(vault, entry, now_us, keep_us, &head, &has_committed);
	}
	TRY(status);
	memcpy(out_path, head.path, sizeof head.path);
	*out_version = head.current;
	return MORTISE_OK;
}
