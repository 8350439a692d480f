/* SPDX-License-Identifier: ISC */
#include "vault_commit.h"

#include <stdlib.h>

#include "array.h"
#include "vault_rekey.h"

static enum mortise_status write_all(
	struct vault *vault, const struct store_meta *meta, vault_put *put, void *context)
{
	if (!vault->is_nested)
		TRY(store_begin(vault->store));
	TRY(put(vault->store, context));
	TRY(store_put_meta(vault->store, meta));
	if (vault->is_nested)
		return MORTISE_OK;
	enum mortise_status status = store_commit(vault->store);
	vault->is_stale = status != MORTISE_OK && !store_is_full(vault->store);
	return status;
}

/* The log's keys change every minute: an old copy of them alone harms nobody but its taker. */
static bool raises_generation(const struct index_change *change)
{
	return !change || change->row_count ||
	       (change->kind != STORE_AUDIT && change->kind != STORE_FLOOR);
}

/* The secret with this number has a new state. */
static void note_row(struct vault *vault, uint64_t number)
{
	struct rekey *rekey = vault->rekey;

	if (!rekey || !rekey->after)
		return;
	if (number > rekey->after) {
		rekey->ahead++;
		return;
	}
	void *again = array_room(rekey->again, rekey->again_count, sizeof *rekey->again);
	if (!again) {
		rekey->is_failing = true;
		return;
	}
	rekey->again = again;
	rekey->again[rekey->again_count++] = number;
}

/* A rekey under way does again what has changed. */
static void touch(struct vault *vault, const struct index_change *change)
{
	if (change->row_count || change->removed)
		vault->changes++;
	for (size_t i = 0; i < change->row_count; i++)
		note_row(vault, change->rows[i].number);
	if (change->removed)
		note_row(vault, change->removed);
}

bool vault_found_room(const struct vault *vault)
{
	return store_is_full(vault->store) && vault->lent && !vault->is_nested &&
	       reserve_spend(vault->lent);
}

void vault_rehearse(struct vault *vault, bool is_rehearsal)
{
	vault->is_rehearsal = is_rehearsal;
	store_freeze(vault->store, is_rehearsal);
}

void vault_lend(struct vault *vault, struct reserve *reserve)
{
	vault->lent = reserve;
}

/* What the store is after this change, but for its tally. */
static struct attempt attempt_of(const struct vault *vault, const struct index_change *change)
{
	struct attempt attempt = {vault->meta, raises_generation(change),
		change && !change->is_slight &&
			(change->kind == STORE_SLOT || change->kind == STORE_POLICY)};
	struct store_meta *meta = &attempt.meta;

	if (attempt.raises && meta->generation < vault->target_generation)
		meta->generation = vault->target_generation;
	if (change && change->row_count && change->rows[change->row_count - 1].number > meta->last)
		meta->last = change->rows[change->row_count - 1].number;
	return attempt;
}

/* The change is made: vault->attempt is what the vault is of. */
static void come_into_force(struct vault *vault, const struct index_change *change)
{
	vault->meta = vault->attempt.meta;
	if (change)
		touch(vault, change);
	vault->commits += vault->attempt.raises;
	vault->weighty_commits += vault->attempt.is_weighty;
}

/* ---- groups ---- */

static void forget_undos(struct group *group)
{
	for (size_t i = 0; i < group->count; i++) {
		entry_drop(&group->undos[i].before);
		entry_drop(&group->undos[i].after);
	}
	free(group->undos);
	group->undos = NULL;
	group->count = 0;
	group->is_open = false;
}

static void take_back(struct vault *vault, const struct undo *undo)
{
	const struct entry *before = undo->before, *after = undo->after;

	for (size_t i = 0; i < after->version_count; i++)
		if (!before || !entry_version(before, after->versions[i].number))
			cache_forget_value(vault->cache, after->number, after->versions[i].number);
	vault_count_change(vault, undo->after, undo->before, NULL);
	if (before) {
		index_put(vault->index, &undo->row);
		cache_put_entry(vault->cache, undo->before);
	} else {
		index_remove(vault->index, after->number);
		cache_forget_entry(vault->cache, after->number);
	}
}

/* Nobody was told of what was in it: in memory, too, everything is as before, the last one first.
 */
static void fail_group(struct vault *vault, enum mortise_status status)
{
	struct group *group = &vault->group;

	store_rollback(vault->store);
	for (size_t i = group->count; i > 0; i--)
		take_back(vault, &group->undos[i - 1]);
	vault->meta = group->meta;
	vault->changes++;
	group->failure = status;
	forget_undos(group);
}

static enum mortise_status end_group(struct vault *vault)
{
	struct group *group = &vault->group;

	if (!group->is_open)
		return group->failure;
	index_root(vault->index, &vault->meta, NULL, vault->meta.tally);
	vault->attempt.meta = vault->meta;
	enum mortise_status status = store_put_meta(vault->store, &vault->meta);
	if (status == MORTISE_OK) {
		status = store_commit(vault->store);
		vault->is_stale = status != MORTISE_OK && !store_is_full(vault->store);
	}
	if (status != MORTISE_OK)
		fail_group(vault, status);
	else
		forget_undos(group);
	return status;
}

enum mortise_status vault_end_group(struct vault *vault)
{
	enum mortise_status status = end_group(vault);

	vault->group.failure = MORTISE_OK;
	return status;
}

bool vault_has_group(const struct vault *vault)
{
	return vault->group.is_open || vault->group.failure != MORTISE_OK;
}

void vault_drop_group(struct vault *vault)
{
	if (vault->group.is_open)
		store_rollback(vault->store);
	forget_undos(&vault->group);
}

void vault_note_undo(struct vault *vault, struct entry *before, struct entry *after)
{
	struct group *group = &vault->group;
	struct undo *undo = &group->undos[group->count++];

	*undo = (struct undo){.after = entry_hold(after)};
	if (before && index_get(vault->index, before->number, &undo->row))
		undo->before = entry_hold(before);
}

static enum mortise_status open_group(struct vault *vault)
{
	struct group *group = &vault->group;

	TRY(group->failure);
	void *undos = array_room(group->undos, group->count, sizeof *group->undos);
	if (!undos)
		return MORTISE_BUSY;
	group->undos = undos;
	if (group->is_open)
		return MORTISE_OK;
	TRY(store_begin(vault->store));
	group->is_open = true;
	group->meta = vault->meta;
	return MORTISE_OK;
}

/*
 * What cannot be put for a reason of its own, as where its row is damaged, is no reason to take
 * back what others have written.
 */
static enum mortise_status put_marked(struct vault *vault, vault_put *put, void *context)
{
	bool has_others = vault->group.count > 0;
	enum mortise_status status = has_others ? store_mark(vault->store) : MORTISE_OK;

	if (status == MORTISE_OK) {
		status = put(vault->store, context);
		if (has_others && store_unmark(vault->store, status == MORTISE_OK) == MORTISE_OK)
			return status;
		if (has_others && status == MORTISE_OK)
			status = MORTISE_IO;
	}
	if (status != MORTISE_OK && has_others)
		fail_group(vault, status);
	else if (status != MORTISE_OK)
		vault_drop_group(vault);
	return status;
}

enum mortise_status vault_join(
	struct vault *vault, const struct index_change *change, vault_put *put, void *context)
{
	if (vault->is_stale)
		return MORTISE_IO;
	TRY(open_group(vault));
	struct attempt attempt = attempt_of(vault, change);
	TRY(put_marked(vault, put, context));
	vault->attempt = attempt;
	come_into_force(vault, change);
	return MORTISE_OK;
}

/* ---- alone ---- */

enum mortise_status vault_commit(
	struct vault *vault, const struct index_change *change, vault_put *put, void *context)
{
	enum mortise_status status;

	if (vault->is_stale)
		return MORTISE_IO;
	TRY(end_group(vault));
	vault->attempt = attempt_of(vault, change);
	index_root(vault->index, &vault->attempt.meta, change, vault->attempt.meta.tally);
	do {
		status = write_all(vault, &vault->attempt.meta, put, context);
		if (status != MORTISE_OK)
			store_rollback(vault->store);
	} while (status != MORTISE_OK && vault_found_room(vault));
	TRY(status);
	come_into_force(vault, change);
	return MORTISE_OK;
}

/* ---- slices ---- */

enum mortise_status vault_begin_slice(struct vault *vault)
{
	TRY(end_group(vault));
	TRY(store_set_synced(vault->store, false));
	enum mortise_status status = store_begin(vault->store);
	if (status != MORTISE_OK)
		vault->is_stale = store_set_synced(vault->store, true) != MORTISE_OK;
	return status;
}

/* Writes that are acknowledged must not meet a store that does not sync. */
enum mortise_status vault_end_slice(struct vault *vault, enum mortise_status status)
{
	if (status == MORTISE_OK) {
		status = store_commit(vault->store);
		vault->is_stale = status != MORTISE_OK && !store_is_full(vault->store);
	}
	if (status != MORTISE_OK)
		store_rollback(vault->store);
	if (store_set_synced(vault->store, true) != MORTISE_OK) {
		vault->is_stale = true;
		return MORTISE_IO;
	}
	return status;
}
