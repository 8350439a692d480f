/* SPDX-License-Identifier: ISC */
/*
 * A rekey: the rows of the next epoch are written beside those of this one, in many small
 * transactions, and kept in an index of their own. What is written meanwhile is done again. One
 * transaction then makes the next epoch the store's. Until then nothing reads its rows.
 */
#include "vault_rekey.h"

#include <stdlib.h>
#include <string.h>

#include "slots.h"

/* How a rekey makes rows and items anew, on disk and in the next epoch's index. */

static void release(uint8_t **bytes)
{
	free(*bytes);
}

/* The value under a data key of the next epoch, in a row of its own. */
static enum mortise_status reencrypt(struct vault *vault, const uint8_t id[ID_SIZE],
	const struct entry_version *version, struct store_version *row, uint8_t *wrapped_key)
{
	struct vault *next = vault->rekey->next;
	CLEANUP(secret_drop) struct secret *value = NULL;
	CLEANUP(release) uint8_t *old = NULL;
	CLEANUP(release) uint8_t *sealed = NULL;
	size_t size = 0;

	TRY(store_value(vault->store, id, version->number, version->value_epoch, &old, &size));
	TRY(value_open(vault, id, version, (struct store_bytes){old, size}, &value));
	TRY(value_seal(next, id, version->number, (struct store_bytes){value->bytes, value->size},
		wrapped_key, &sealed));
	row->value_epoch = next->meta.epoch;
	return store_put_value(vault->store, id, row,
		(struct store_bytes){sealed, value->size + ENVELOPE_OVERHEAD});
}

static enum mortise_status redo_version(
	struct vault *vault, const struct entry_version *version, struct entry *fresh)
{
	struct vault *next = vault->rekey->next;
	uint8_t wrapped_key[STORE_KEY_SIZE], info_sealed[INFO_SEALED_MAX];
	struct store_version row = {
		version->number, version->value_epoch, wrapped_key, {info_sealed, 0}};
	struct version_info info;

	TRY(info_open(vault, fresh->id, version, &info));
	TRY(info_seal(next, fresh->id, &info, info_sealed, &row.info.size));
	if (vault->rekey->reencrypts)
		TRY(reencrypt(vault, fresh->id, version, &row, wrapped_key));
	else
		TRY(data_key_rewrap(vault, next, fresh->id, version, wrapped_key));
	TRY(store_put_version(vault->store, fresh->id, &row));
	return entry_add_version(fresh, &row);
}

/* A version never changes: one that was done before is done. */
static enum mortise_status redo_versions(struct vault *vault, const struct entry *entry,
	const struct entry *made, struct entry *fresh)
{
	for (size_t i = 0; i < entry->version_count; i++) {
		const struct entry_version *done =
			made ? entry_version(made, entry->versions[i].number) : NULL;
		if (!done) {
			TRY(redo_version(vault, &entry->versions[i], fresh));
			continue;
		}
		const struct store_version row = entry_row(done);
		TRY(entry_add_version(fresh, &row));
	}
	return MORTISE_OK;
}

/* Versions that were done and have been destroyed since. */
static enum mortise_status undo_versions(
	struct vault *vault, const struct entry *entry, const struct entry *made)
{
	for (size_t i = 0; made && i < made->version_count; i++) {
		const struct entry_version *version = &made->versions[i];
		if (entry_version(entry, version->number))
			continue;
		TRY(store_delete_version(vault->store, entry->id, version->number));
		if (vault->rekey->reencrypts)
			TRY(store_delete_value(
				vault->store, entry->id, version->number, version->value_epoch));
	}
	return MORTISE_OK;
}

/* One secret, as it is now; the bucket's digest is left for later. */
static enum mortise_status redo(struct vault *vault, const struct entry *entry)
{
	struct vault *next = vault->rekey->next;
	const struct entry *made = index_get(next->index, entry->id);
	CLEANUP(entry_drop) struct entry *fresh = NULL;
	uint8_t path_hash[ENVELOPE_HASH];
	struct vault_head head;

	TRY(head_open(vault, entry, &head));
	envelope_hash(next->keyring.key[KEY_INDEX], head.path, strlen(head.path), path_hash);
	TRY(entry_new(entry->id, path_hash, &fresh));
	TRY(redo_versions(vault, entry, made, fresh));
	TRY(undo_versions(vault, entry, made));
	TRY(entry_complete(next, fresh, &head));
	TRY(store_put_secret(vault->store, fresh->id, fresh->path_hash,
		(struct store_bytes){fresh->head, fresh->head_size}));
	TRY(index_reserve(next->index, fresh->id));
	index_place(next->index, fresh);
	fresh = NULL;
	return MORTISE_OK;
}

/* A row that was done and is gone since. */
static enum mortise_status undo(struct vault *vault, const struct entry *made)
{
	struct vault *next = vault->rekey->next;

	for (size_t i = 0; i < made->version_count; i++) {
		const struct entry_version *version = &made->versions[i];
		TRY(store_delete_version(vault->store, made->id, version->number));
		if (vault->rekey->reencrypts)
			TRY(store_delete_value(
				vault->store, made->id, version->number, version->value_epoch));
	}
	TRY(store_delete_secret(vault->store, made->id));
	index_remove(next->index, made->id);
	return MORTISE_OK;
}

/*
 * Rows that are gone, or have another path by now: that one's place may be another row's, which
 * is done again, too. So they make room first.
 */
static enum mortise_status undo_stale(struct vault *vault, const uint8_t *id)
{
	struct vault *next = vault->rekey->next;
	const struct entry *entry = index_get(vault->index, id);
	const struct entry *made = index_get(next->index, id);
	uint8_t path_hash[ENVELOPE_HASH];
	struct vault_head head;

	if (!made)
		return MORTISE_OK;
	if (!entry)
		return undo(vault, made);
	TRY(head_open(vault, entry, &head));
	envelope_hash(next->keyring.key[KEY_INDEX], head.path, strlen(head.path), path_hash);
	if (memcmp(path_hash, made->path_hash, sizeof path_hash) == 0)
		return MORTISE_OK;
	return undo(vault, made);
}

static enum mortise_status redo_again(struct vault *vault)
{
	struct rekey *rekey = vault->rekey;

	for (size_t i = 0; i < rekey->again_count; i++)
		TRY(undo_stale(vault, rekey->again[i]));
	for (; rekey->again_count > 0; rekey->again_count--) {
		const uint8_t *id = rekey->again[rekey->again_count - 1];
		const struct entry *entry = index_get(vault->index, id);
		if (entry)
			TRY(redo(vault, entry));
		index_settle(rekey->next->index, id[0]);
	}
	return MORTISE_OK;
}

/* The next row that was not done once; NULL: none. */
static const struct entry *redo_next_row(const struct vault *vault)
{
	const struct rekey *rekey = vault->rekey;

	return index_next(vault->index, rekey->has_begun ? rekey->after : NULL);
}

/*
 * A bucket's digest is made once it is behind us, not with each of its rows. As many rows as were
 * written ahead of us are done whatever the time: who makes secrets without end would keep a rekey
 * from its own.
 */
static enum mortise_status redo_onwards(struct vault *vault, uint64_t until_us)
{
	struct rekey *rekey = vault->rekey;
	const struct entry *entry;

	while ((entry = redo_next_row(vault))) {
		TRY(redo(vault, entry));
		if (rekey->has_begun && rekey->after[0] != entry->id[0])
			index_settle(rekey->next->index, rekey->after[0]);
		memcpy(rekey->after, entry->id, ID_SIZE);
		rekey->has_begun = true;
		rekey->done++;
		if (rekey->ahead)
			rekey->ahead--;
		else if (!vault_has_time(until_us))
			break;
	}
	if (rekey->has_begun)
		index_settle(rekey->next->index, rekey->after[0]);
	return MORTISE_OK;
}

/* Rows that were written since they were done, and others until the time is over. */
static enum mortise_status redo_rows(struct vault *vault, uint64_t until_us)
{
	store_use_epoch(vault->store, vault->rekey->next->meta.epoch);
	enum mortise_status status = redo_again(vault);
	if (status == MORTISE_OK)
		status = redo_onwards(vault, until_us);
	store_use_epoch(vault->store, vault->meta.epoch);
	return status;
}

static enum mortise_status put_next_item(
	struct vault *vault, enum store_item kind, uint64_t number, struct store_bytes body)
{
	struct vault *next = vault->rekey->next;

	store_use_epoch(vault->store, next->meta.epoch);
	enum mortise_status status = store_put_item(vault->store, kind, number, body);
	store_use_epoch(vault->store, vault->meta.epoch);
	TRY(status);
	return index_put_item(next->index, kind, number, body);
}

static enum mortise_status seal_next_item(
	struct vault *vault, enum store_item kind, uint64_t number, struct store_bytes plain)
{
	struct vault *next = vault->rekey->next;
	struct envelope_binding place = item_binding(next, kind, number);
	CLEANUP(release) uint8_t *sealed = malloc(plain.size + ENVELOPE_OVERHEAD);

	if (!sealed)
		return MORTISE_BUSY;
	envelope_seal(item_key(next, kind), &place, plain.bytes, plain.size, sealed);
	return put_next_item(
		vault, kind, number, (struct store_bytes){sealed, plain.size + ENVELOPE_OVERHEAD});
}

/* The next policy to be done; 0: none. */
static uint64_t redo_next_policy(const struct vault *vault)
{
	return index_next_item(vault->index, STORE_POLICY, vault->rekey->policies_done);
}

static enum mortise_status redo_policy(struct vault *vault, uint64_t number)
{
	CLEANUP(release) uint8_t *policy = NULL;
	uint64_t version = 0;
	size_t size = 0;

	TRY(vault_policy(vault, number, &policy, &size, &version));
	TRY(seal_next_item(vault, STORE_POLICY, number, (struct store_bytes){policy, size}));
	vault->rekey->policies_done = number;
	return MORTISE_OK;
}

/* Policies that were done and are kept no longer. */
static enum mortise_status undo_policies(struct vault *vault)
{
	struct vault *next = vault->rekey->next;
	uint64_t oldest = index_next_item(vault->index, STORE_POLICY, 0), number = 0;

	while ((number = index_next_item(next->index, STORE_POLICY, number)) && number < oldest) {
		store_use_epoch(vault->store, next->meta.epoch);
		enum mortise_status status = store_delete_item(vault->store, STORE_POLICY, number);
		store_use_epoch(vault->store, vault->meta.epoch);
		TRY(status);
		index_delete_item(next->index, STORE_POLICY, number);
	}
	return MORTISE_OK;
}

static enum mortise_status redo_slot(struct vault *vault, uint64_t number)
{
	const struct vault *next = vault->rekey->next;
	const struct slot_resealing resealing = {
		.old = {vault->meta.uuid, number, vault->meta.epoch},
		.new = {next->meta.uuid, number, next->meta.epoch},
		.old_label_key = vault->keyring.key[KEY_LABEL],
		.master_key = next->keyring.key[KEY_MASTER],
		.label_key = next->keyring.key[KEY_LABEL],
	};
	CLEANUP(release) uint8_t *record = NULL;
	uint8_t fresh[SLOT_RECORD_MAX];
	size_t size = 0;

	TRY(vault_item(vault, STORE_SLOT, number, &record, &size));
	TRY(slot_reseal(&resealing, (struct store_bytes){record, size}, fresh, &size));
	return put_next_item(vault, STORE_SLOT, number, (struct store_bytes){fresh, size});
}

static enum mortise_status redo_audit_state(struct vault *vault)
{
	CLEANUP(secret_drop) struct secret *state = NULL;

	TRY(vault_audit_state(vault, &state));
	return seal_next_item(vault, STORE_AUDIT, index_last_item(vault->index, STORE_AUDIT),
		(struct store_bytes){state->bytes, state->size});
}

static enum mortise_status redo_anchor(struct vault *vault)
{
	CLEANUP(secret_drop) struct secret *anchor = NULL;
	enum mortise_status status = vault_anchor(vault, &anchor);

	if (status == MORTISE_NOT_FOUND)
		return MORTISE_OK;
	TRY(status);
	return seal_next_item(vault, STORE_ANCHOR, index_last_item(vault->index, STORE_ANCHOR),
		(struct store_bytes){anchor->bytes, anchor->size});
}

/* Items that no key has anything to do with. */
static enum mortise_status redo_plain(struct vault *vault, enum store_item kind)
{
	uint64_t number = 0;

	while ((number = index_next_item(vault->index, kind, number))) {
		CLEANUP(release) uint8_t *body = NULL;
		size_t size = 0;

		TRY(vault_item(vault, kind, number, &body, &size));
		TRY(put_next_item(vault, kind, number, (struct store_bytes){body, size}));
	}
	return MORTISE_OK;
}

/* All that is no policy, and what of the policies is not kept any more. */
static enum mortise_status redo_items(struct vault *vault)
{
	uint64_t slot = 0;

	while ((slot = index_next_item(vault->index, STORE_SLOT, slot)))
		TRY(redo_slot(vault, slot));
	TRY(redo_audit_state(vault));
	TRY(redo_anchor(vault));
	TRY(redo_plain(vault, STORE_FLOOR));
	TRY(redo_plain(vault, STORE_GAP));
	return undo_policies(vault);
}

/* Mixed with the old key, in case the kernel's randomness is weak; it says nothing of it. */
static enum mortise_status make_master_key(const struct vault *vault, struct secret **out_key)
{
	CLEANUP(secret_drop) struct secret *random = NULL;

	TRY(secret_random(KEY_SIZE, &random));
	return envelope_mix(random, vault->keyring.key[KEY_MASTER], out_key);
}

enum mortise_status vault_rekey(struct vault *vault, bool reencrypt)
{
	CLEANUP(secret_drop) struct secret *master_key = NULL;
	CLEANUP(rekey_free) struct rekey *rekey = NULL;
	struct store_meta meta = vault->meta;

	if (vault->is_stale)
		return MORTISE_IO;
	if (vault_has_work(vault))
		return MORTISE_BUSY;
	rekey = calloc(1, sizeof *rekey);
	if (!rekey)
		return MORTISE_BUSY;
	rekey->reencrypts = reencrypt;
	meta.epoch++;
	TRY(make_master_key(vault, &master_key));
	TRY(vault_make(vault->store, master_key, &meta, &rekey->next));
	TRY(index_make_room(rekey->next->index, vault_count(vault)));
	/* Rows that somebody with the disk has put there must not become the store's. */
	vault->sweep = (struct sweep){.is_due = true, .takes_values = true};
	vault->rekey = rekey;
	rekey = NULL;
	return MORTISE_OK;
}

struct vault_progress vault_rekey_progress(const struct vault *vault)
{
	const struct rekey *rekey = vault->rekey;
	uint64_t total = vault_count(vault);

	if (!rekey)
		return (struct vault_progress){false, total, total};
	return (struct vault_progress){true, rekey->done < total ? rekey->done : total, total};
}

/* What may change at any time and is little, and the one row that says which epoch it is. */
static enum mortise_status put_last(struct vault *vault)
{
	struct vault *next = vault->rekey->next;

	TRY(redo_items(vault));
	next->meta.generation = vault->meta.generation > vault->target_generation
					? vault->meta.generation
					: vault->target_generation;
	index_root(next->index, &next->meta, NULL, next->meta.tally);
	return store_put_meta(vault->store, &next->meta);
}

/* The next epoch is on disk: it takes the old one's place in memory, whose keys go at once. */
static void take_over(struct vault *vault)
{
	struct rekey *rekey = vault->rekey;
	struct vault *next = rekey->next, old = *vault;

	vault->keyring = next->keyring;
	vault->index = next->index;
	vault->meta = next->meta;
	next->index = old.index;
	next->keyring = old.keyring;
	keyring_done(&next->keyring);
	if (rekey->reencrypts) {
		vault->cache = next->cache;
		next->cache = old.cache;
	}
	vault->sweep = (struct sweep){.is_due = true, .takes_values = rekey->reencrypts};
	vault->retired = next;
	vault->rekey = NULL;
	vault->commits++;
	vault->weighty_commits++;
	rekey->next = NULL;
	rekey_free(&rekey);
}

static enum mortise_status flip(struct vault *vault)
{
	TRY(store_begin(vault->store));
	enum mortise_status status = put_last(vault);
	if (status == MORTISE_OK) {
		vault->attempt = (struct attempt){vault->rekey->next->meta, true, true};
		status = store_commit(vault->store);
		vault->is_stale = status != MORTISE_OK && !store_is_full(vault->store);
	}
	if (status != MORTISE_OK) {
		store_rollback(vault->store);
		store_use_epoch(vault->store, vault->meta.epoch);
		return status;
	}
	take_over(vault);
	return MORTISE_OK;
}

static enum mortise_status redo_some(struct vault *vault, uint64_t until_us)
{
	uint64_t policy;

	/* They may be large; but two, so that one that is applied in each turn is overtaken. */
	for (unsigned i = 0; i < 2 && (policy = redo_next_policy(vault)); i++)
		TRY(redo_policy(vault, policy));
	return redo_rows(vault, until_us);
}

/* Those who write without end must not keep a rekey from its end: it comes in the same slice. */
static enum mortise_status rekey_slice(struct vault *vault, uint64_t until_us)
{
	const struct rekey *rekey = vault->rekey;

	if (rekey->is_failing)
		return MORTISE_BUSY;
	TRY(vault_begin_slice(vault));
	TRY(vault_end_slice(vault, redo_some(vault, until_us)));
	if (rekey->again_count || redo_next_policy(vault) || redo_next_row(vault))
		return MORTISE_OK;
	return flip(vault);
}

/* Work that is done in slices: a rekey, and what is to be removed before and after one. */

#define AT_ONCE 32 /* rows looked at or deleted between two looks at the clock */

static bool is_owned(const struct vault *vault, const struct store_place *place)
{
	const struct entry *entry = index_get(vault->index, place->id);
	const struct entry_version *version = entry ? entry_version(entry, place->number) : NULL;

	return version && version->value_epoch == place->value_epoch;
}

/* A row that is no value ends the search: `verify` will name what is behind it. */
static enum mortise_status sweep_values(struct vault *vault)
{
	struct sweep *sweep = &vault->sweep;
	struct store_place places[AT_ONCE];
	unsigned count = 0;
	enum mortise_status status =
		store_next_values(vault->store, &sweep->after, AT_ONCE, places, &count);

	if (status != MORTISE_OK && status != MORTISE_INTEGRITY)
		return status;
	for (unsigned i = 0; i < count; i++)
		if (!is_owned(vault, &places[i]))
			TRY(store_delete_value(vault->store, places[i].id, places[i].number,
				places[i].value_epoch));
	if (count)
		sweep->after = places[count - 1];
	/* Who writes the last row in every turn must not keep it from its end. */
	sweep->takes_values = count == AT_ONCE;
	return MORTISE_OK;
}

static enum mortise_status sweep_some(struct vault *vault, uint64_t until_us, bool *out_more)
{
	unsigned count = 1;

	do {
		if (vault->sweep.takes_values)
			TRY(sweep_values(vault));
		else
			TRY(store_sweep(vault->store, AT_ONCE, &count));
	} while (count && vault_has_time(until_us));
	*out_more = count > 0;
	return MORTISE_OK;
}

/* What is removed need not be on disk before the log is emptied, which syncs it. */
static enum mortise_status sweep_slice(struct vault *vault, uint64_t until_us)
{
	const struct sweep before = vault->sweep;
	bool has_more = true;

	TRY(vault_begin_slice(vault));
	enum mortise_status status = vault_end_slice(vault, sweep_some(vault, until_us, &has_more));
	if (status != MORTISE_OK)
		vault->sweep = before; /* so are the rows */
	TRY(status);
	if (has_more)
		return MORTISE_OK;
	TRY(store_truncate_log(vault->store));
	vault->sweep = (struct sweep){.is_due = false};
	return MORTISE_OK;
}

/* Memory first, which must not wait for a disk that fails. */
static void drain_retired(struct vault *vault)
{
	if (index_drain(vault->retired->index))
		return;
	vault_close(vault->retired);
	vault->retired = NULL;
}

enum mortise_status vault_work(struct vault *vault, unsigned budget_us)
{
	uint64_t until_us = vault_until(budget_us);
	enum mortise_status status = MORTISE_OK;

	if (vault->is_stale)
		return MORTISE_IO;
	if (vault->retired)
		drain_retired(vault);
	else if (vault->sweep.is_due)
		status = sweep_slice(vault, until_us);
	else if (vault->rekey)
		status = rekey_slice(vault, until_us);
	if (status != MORTISE_OK)
		rekey_drop(vault);
	return status;
}
