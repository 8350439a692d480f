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
#include "vault_commit.h"

/* How a rekey makes rows and items anew, on disk and in the next epoch's index. */

static void release(uint8_t **bytes)
{
	free(*bytes);
}

/* The value under a data key of the next epoch, at a place of its own. */
static enum mortise_status reencrypt(struct vault *vault, const struct entry *entry,
	const struct entry_version *version, struct redone *redone, uint64_t *out_place)
{
	const struct store_place from = entry_place(entry, version);
	CLEANUP(secret_drop) struct secret *value = NULL;
	CLEANUP(release) uint8_t *old = NULL;
	CLEANUP(release) uint8_t *sealed = NULL;
	struct store_place to = from;
	size_t size = 0;

	TRY(store_value(vault->store, &from, &old, &size));
	TRY(value_open(vault, entry->number, version, (struct store_bytes){old, size}, &value));
	TRY(value_seal(vault->rekey->next, entry->number, version->number,
		(struct store_bytes){value->bytes, value->size}, redone->wrapped_key, &sealed));
	TRY(store_new_place(vault->store, &to.place));
	*out_place = to.place;
	return store_put_value(
		vault->store, &to, (struct store_bytes){sealed, value->size + ENVELOPE_OVERHEAD});
}

static enum mortise_status redo_version(
	struct vault *vault, const struct entry *entry, const struct entry_version *version)
{
	struct rekey *rekey = vault->rekey;
	struct redone *redone = &rekey->redone[rekey->parts.version_count];
	struct entry_version fresh = {.number = version->number,
		.place = version->place,
		.wrapped_key = redone->wrapped_key,
		.info = {redone->info, 0}};
	struct version_info info;

	TRY(info_open(vault, entry->number, version, &info));
	TRY(info_seal(rekey->next, entry->number, &info, redone->info, &fresh.info.size));
	if (rekey->reencrypts)
		TRY(reencrypt(vault, entry, version, redone, &fresh.place));
	else
		TRY(data_key_rewrap(
			vault, rekey->next, entry->number, version, redone->wrapped_key));
	return entry_parts_add(&rekey->parts, &fresh);
}

/* A version never changes: one that was done before is done. */
static enum mortise_status redo_versions(
	struct vault *vault, const struct entry *entry, const struct entry *made)
{
	for (size_t i = 0; i < entry->version_count; i++) {
		const struct entry_version *done =
			made ? entry_version(made, entry->versions[i].number) : NULL;
		if (done)
			TRY(entry_parts_add(&vault->rekey->parts, done));
		else
			TRY(redo_version(vault, entry, &entry->versions[i]));
	}
	return MORTISE_OK;
}

/* Values of versions that were done and are gone since. */
static enum mortise_status undo_versions(
	struct vault *vault, const struct entry *entry, const struct entry *made)
{
	for (size_t i = 0; vault->rekey->reencrypts && made && i < made->version_count; i++) {
		const struct store_place place = entry_place(made, &made->versions[i]);
		if (!entry_version(entry, place.version))
			TRY(store_delete_value(vault->store, &place));
	}
	return MORTISE_OK;
}

/* What was made of a secret before; NULL: nothing yet. */
static enum mortise_status find_made(struct vault *vault, uint64_t number, struct entry **out_made)
{
	*out_made = NULL;
	enum mortise_status status = vault_glance(vault->rekey->next, number, out_made);

	return status == MORTISE_NOT_FOUND ? MORTISE_OK : status;
}

static enum mortise_status put_redone(
	struct vault *vault, uint64_t number, const struct vault_head *head)
{
	struct vault *next = vault->rekey->next;
	CLEANUP(entry_drop) struct entry *fresh = NULL;

	TRY(entry_complete(next, number, &vault->rekey->parts, head, &fresh));
	TRY(store_put_secret(vault->store, next->meta.epoch, number,
		(struct store_bytes){fresh->record, fresh->record_size}));
	TRY(index_reserve(next->index, number, 1));
	const struct index_row row = entry_row(next, fresh);
	index_put(next->index, &row);
	cache_forget_entry(next->cache, number); /* it has the row before this one */
	return MORTISE_OK;
}

/* One secret, as it is now. */
static enum mortise_status redo(struct vault *vault, uint64_t number)
{
	struct rekey *rekey = vault->rekey;
	CLEANUP(entry_drop) struct entry *entry = NULL;
	CLEANUP(entry_drop) struct entry *made = NULL;
	struct vault_head head;

	TRY(vault_glance(vault, number, &entry));
	TRY(find_made(vault, number, &made));
	TRY(head_open(vault, entry, &head));
	rekey->parts = (struct entry_parts){.version_count = 0};
	path_hash(rekey->next, head.path, rekey->parts.path_hash);
	TRY(redo_versions(vault, entry, made));
	TRY(undo_versions(vault, entry, made));
	return put_redone(vault, number, &head);
}

static enum mortise_status redo_again(struct vault *vault)
{
	struct rekey *rekey = vault->rekey;
	struct index_row row;

	for (; rekey->again_count > 0; rekey->again_count--) {
		uint64_t number = rekey->again[rekey->again_count - 1];
		/* Of what is gone whoever removed it has removed this, too (rekey_wipe). */
		if (index_get(vault->index, number, &row))
			TRY(redo(vault, number));
	}
	return MORTISE_OK;
}

/* Is there a row that was not done once? */
static bool has_next_row(const struct vault *vault, uint64_t *out_number)
{
	struct index_row row = {.number = 0};
	bool has = index_next(vault->index, vault->rekey->after, &row);

	*out_number = row.number;
	return has;
}

/*
 * As many rows as were written ahead of us are done whatever the time: who makes secrets without
 * end would keep a rekey from its own.
 */
static enum mortise_status redo_onwards(struct vault *vault, uint64_t until_us)
{
	struct rekey *rekey = vault->rekey;
	uint64_t number;

	while (has_next_row(vault, &number)) {
		TRY(redo(vault, number));
		rekey->after = number;
		rekey->done++;
		if (rekey->ahead)
			rekey->ahead--;
		else if (!vault_has_time(until_us))
			break;
	}
	return MORTISE_OK;
}

/* Rows that were written since they were done, and others until the time is over. */
static enum mortise_status redo_rows(struct vault *vault, uint64_t until_us)
{
	TRY(redo_again(vault));
	TRY(redo_onwards(vault, until_us));
	index_settle(vault->rekey->next->index); /* not all of it at the end */
	return MORTISE_OK;
}

/* The rows of the other half are those of a rekey, under way, dropped or over. */
static enum mortise_status wipe_values(
	struct vault *vault, const struct entry *other, const struct entry *after)
{
	for (size_t i = 0; i < other->version_count; i++) {
		const struct store_place place = entry_place(other, &other->versions[i]);
		const struct entry_version *kept =
			after ? entry_version(after, place.version) : NULL;
		if (!kept || kept->place != place.place)
			TRY(store_delete_value(vault->store, &place));
	}
	return MORTISE_OK;
}

enum mortise_status rekey_wipe(struct vault *vault, uint64_t number, const struct entry *after)
{
	uint64_t other_epoch = vault->meta.epoch + 1; /* or the one before: they share a half */
	CLEANUP(entry_drop) struct entry *other = NULL;
	uint8_t *record = NULL;
	size_t size = 0;

	if (!vault_has_work(vault))
		return MORTISE_OK;
	enum mortise_status status =
		store_secret(vault->store, other_epoch, number, &record, &size);
	if (status == MORTISE_NOT_FOUND)
		return MORTISE_OK;
	if (status == MORTISE_OK)
		status = entry_take(number, record, size, &other);
	/* What is none of ours has no values either. */
	if (status != MORTISE_INTEGRITY)
		TRY(status);
	if (other)
		TRY(wipe_values(vault, other, after));
	return store_delete_secret(vault->store, other_epoch, number);
}

void rekey_forget(struct vault *vault, uint64_t number)
{
	if (!vault->rekey)
		return;
	cache_forget_entry(vault->rekey->next->cache, number);
	index_remove(vault->rekey->next->index, number);
}

static enum mortise_status put_next_item(
	struct vault *vault, enum store_item kind, uint64_t number, struct store_bytes body)
{
	struct vault *next = vault->rekey->next;

	TRY(store_put_item(vault->store, next->meta.epoch, kind, number, body));
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
		TRY(store_delete_item(vault->store, next->meta.epoch, STORE_POLICY, number));
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
	TRY(index_reserve(rekey->next->index, 1, vault_count(vault)));
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
	if (index_count(next->index) != index_count(vault->index))
		return MORTISE_INTEGRITY; /* cannot be: but nothing else would say so */
	next->meta.generation = vault->meta.generation > vault->target_generation
					? vault->meta.generation
					: vault->target_generation;
	next->meta.last = vault->meta.last;
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
	vault->cache = next->cache; /* the old one's rows are of the old epoch */
	next->cache = old.cache;
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
	uint64_t number;

	if (rekey->is_failing)
		return MORTISE_BUSY;
	TRY(vault_begin_slice(vault));
	TRY(vault_end_slice(vault, redo_some(vault, until_us)));
	if (rekey->again_count || redo_next_policy(vault) || has_next_row(vault, &number))
		return MORTISE_OK;
	return flip(vault);
}

/* Work that is done in slices: a rekey, and what is to be removed before and after one. */

#define AT_ONCE 32 /* rows looked at or deleted between two looks at the clock */

static enum mortise_status sweep_values(struct vault *vault)
{
	struct sweep *sweep = &vault->sweep;
	struct store_place places[AT_ONCE];
	unsigned count = 0;

	if (!sweep->after)
		TRY(store_sweep_strays(vault->store, AT_ONCE, &count));
	if (count)
		return MORTISE_OK;
	enum mortise_status found =
		store_next_values(vault->store, sweep->after, AT_ONCE, places, &count);
	/* What cannot be walked ends the search: `verify` will name it. */
	sweep->takes_values = false;
	if (found == MORTISE_INTEGRITY)
		return MORTISE_OK;
	TRY(found);
	for (unsigned i = 0; i < count; i++) {
		bool is_owned = false;
		enum mortise_status status = vault_owns(vault, &places[i], &is_owned);
		if (status == MORTISE_INTEGRITY)
			continue; /* `verify` will name the row */
		TRY(status);
		if (!is_owned)
			TRY(store_delete_value(vault->store, &places[i]));
	}
	if (count)
		sweep->after = places[count - 1].place;
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
	return store_find_last_place(vault->store);
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
