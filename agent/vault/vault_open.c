/* SPDX-License-Identifier: ISC */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vault_commit.h"

#define FIRST_EPOCH 1

static void drop_vault(struct vault **vault)
{
	vault_close(*vault);
}

static enum mortise_status load_item(
	void *context, enum store_item kind, uint64_t number, struct store_bytes body)
{
	struct vault *vault = context;

	return index_put_item(vault->index, kind, number, body);
}

/* A copy, for a record that is a visit's own. */
static enum mortise_status copy_entry(
	uint64_t number, struct store_bytes record, struct entry **out_entry)
{
	uint8_t *copy = malloc(record.size ? record.size : 1);

	if (!copy)
		return MORTISE_BUSY;
	memcpy(copy, record.bytes, record.size);
	return entry_take(number, copy, record.size, out_entry);
}

/* The name in the head is the one that is hashed beside it, and no other row has it. */
static enum mortise_status check_name(
	const struct vault *vault, const struct entry *entry, const struct vault_head *head)
{
	uint8_t hash[INDEX_PATH_SIZE];
	struct index_row other;

	path_hash(vault, head->path, hash);
	if (sodium_memcmp(hash, entry->path_hash, sizeof hash) != 0 ||
		index_find(vault->index, hash, &other))
		return MORTISE_INTEGRITY;
	return MORTISE_OK;
}

struct loading {
	struct vault *vault;
	uint64_t above; /* the number of the row before */
};

static enum mortise_status load_secret(void *context, uint64_t number, struct store_bytes record)
{
	struct loading *loading = context;
	struct vault *vault = loading->vault;
	CLEANUP(entry_drop) struct entry *entry = NULL;
	struct vault_head head;

	/* An edited file can have a number twice, whatever its schema says. */
	if (number <= loading->above || number > vault->meta.last)
		return MORTISE_INTEGRITY;
	TRY(copy_entry(number, record, &entry));
	TRY(entry_mark(vault, entry, &head));
	TRY(check_name(vault, entry, &head));
	const struct index_row row = entry_row(vault, entry);
	TRY(index_reserve(vault->index, number, 1));
	index_put(vault->index, &row);
	loading->above = number;
	return MORTISE_OK;
}

static enum mortise_status load_all(struct vault *vault)
{
	struct loading loading = {vault, 0};

	TRY(store_each_item(vault->store, load_item, vault));
	return store_each_secret(vault->store, 0, STORE_NUMBER_MAX, load_secret, &loading);
}

static enum mortise_status check_root(struct vault *vault, const struct store_meta *meta)
{
	uint8_t root[STORE_HASH_SIZE];

	index_root(vault->index, &vault->meta, NULL, root);
	return sodium_memcmp(root, meta->tally, sizeof root) == 0 ? MORTISE_OK : MORTISE_INTEGRITY;
}

enum mortise_status vault_load(struct store *store, const struct secret *master_key,
	const struct store_meta *meta, struct vault **out_vault)
{
	CLEANUP(drop_vault) struct vault *vault = NULL;

	TRY(vault_make(store, master_key, meta, &vault));
	TRY(load_all(vault));
	TRY(check_root(vault, meta));
	TRY(store_has_leftovers(store, &vault->sweep.is_due));
	vault->sweep.takes_values = vault->sweep.is_due;
	*out_vault = vault;
	vault = NULL;
	return MORTISE_OK;
}

enum mortise_status vault_open(
	struct store *store, const struct secret *master_key, struct vault **out_vault)
{
	struct store_meta meta;

	TRY(store_meta(store, &meta));
	return vault_load(store, master_key, &meta, out_vault);
}

static enum mortise_status put_origin(struct store *store, void *context)
{
	const struct vault_origin *origin = context;

	for (size_t i = 0; i < origin->slot_count; i++)
		TRY(store_put_item(store, FIRST_EPOCH, STORE_SLOT, origin->slots[i].id,
			origin->slots[i].record));
	return store_set_hold(store, "");
}

static enum mortise_status fill(struct vault *vault, const struct vault_origin *origin)
{
	uint64_t version = 0;

	for (size_t i = 0; i < origin->slot_count; i++)
		TRY(index_put_item(
			vault->index, STORE_SLOT, origin->slots[i].id, origin->slots[i].record));
	TRY(vault_set_audit_state(vault, origin->audit_state));
	if (origin->anchor)
		TRY(vault_set_anchor(vault, origin->anchor, origin->generation));
	TRY(vault_set_policy(vault, origin->policy, &version));
	return vault_commit(vault, NULL, put_origin, (void *)(uintptr_t)origin);
}

enum mortise_status vault_create(struct store *store, const struct vault_origin *origin)
{
	CLEANUP(drop_vault) struct vault *vault = NULL;
	struct store_meta meta = {.epoch = FIRST_EPOCH};

	enum mortise_status found = store_meta(store, &meta);
	if (found != MORTISE_NOT_FOUND)
		return found == MORTISE_OK ? MORTISE_CONFLICT : found;
	memcpy(meta.uuid, origin->uuid, ID_SIZE);
	TRY(vault_make(store, origin->master_key, &meta, &vault));
	vault->is_nested = true;
	TRY(store_begin(store));
	enum mortise_status status = fill(vault, origin);
	if (status == MORTISE_OK)
		status = store_commit(store);
	if (status != MORTISE_OK)
		store_rollback(store);
	return status;
}

/* ---- read again ---- */

#define ROWS_AT_ONCE   32 /* between two looks at the clock */
#define VALUES_AT_ONCE 256

struct verifying {
	struct vault *vault;
	struct vault_check *check;
	size_t values;
	bool has_row;
	char *complaint;
	size_t complaint_size;
};

/* Its path, if the row on disk or the cache has a head that is its own; else its number. */
static void complain(const struct verifying *verifying, uint64_t number, const struct entry *entry,
	const char *what)
{
	const struct entry *cached = cache_entry(verifying->vault->cache, number);
	struct vault_head head;

	if ((entry && head_open(verifying->vault, entry, &head) == MORTISE_OK) ||
		(cached && head_open(verifying->vault, cached, &head) == MORTISE_OK))
		snprintf(
			verifying->complaint, verifying->complaint_size, "%s: %s", head.path, what);
	else
		snprintf(verifying->complaint, verifying->complaint_size, "secret number %llu: %s",
			(unsigned long long)number, what);
}

/* Every value of an entry, from the disk and not from the cache. */
static enum mortise_status verify_values(struct verifying *verifying, struct entry *entry)
{
	struct vault *vault = verifying->vault;

	for (size_t i = 0; i < entry->version_count; i++) {
		CLEANUP(secret_drop) struct secret *value = NULL;
		const struct entry_version *version = &entry->versions[i];
		const struct store_place place = entry_place(entry, version);
		struct store_bytes sealed = {NULL, 0};
		uint8_t *bytes = NULL;
		char what[96];
		enum mortise_status status =
			store_value(vault->store, &place, &bytes, &sealed.size);
		sealed.bytes = bytes;
		if (status == MORTISE_OK)
			status = value_open(vault, entry->number, version, sealed, &value);
		free(bytes);
		snprintf(what, sizeof what, "version %llu is not the value that was set",
			(unsigned long long)version->number);
		if (status == MORTISE_INTEGRITY)
			complain(verifying, entry->number, entry, what);
		TRY(status);
		verifying->values++;
	}
	return MORTISE_OK;
}

/* The next row on disk is the next one in memory. */
static enum mortise_status verify_row(void *context, uint64_t number, struct store_bytes record)
{
	struct verifying *verifying = context;
	struct vault *vault = verifying->vault;
	CLEANUP(entry_drop) struct entry *entry = NULL;
	uint8_t digest[STORE_HASH_SIZE];
	struct index_row row;
	bool is_known = index_next(vault->index, verifying->check->secret, &row);

	enum mortise_status status = copy_entry(number, record, &entry);
	if (status == MORTISE_BUSY)
		return status;
	if (is_known && row.number < number) {
		complain(verifying, row.number, NULL, "its row is not on disk");
		return MORTISE_INTEGRITY;
	}
	if (!is_known || row.number > number) {
		complain(verifying, number, entry, "a row on disk that was never written");
		return MORTISE_INTEGRITY;
	}
	index_digest(vault->index, number, record, digest);
	if (status != MORTISE_OK || sodium_memcmp(digest, row.digest, sizeof digest) != 0) {
		complain(verifying, number, entry,
			"its row on disk is not the one that was written");
		return MORTISE_INTEGRITY;
	}
	TRY(verify_values(verifying, entry));
	verifying->check->secret = number;
	verifying->has_row = true;
	return MORTISE_OK;
}

struct item_check {
	const struct vault *vault;
	size_t found;
};

static enum mortise_status verify_item(
	void *context, enum store_item kind, uint64_t number, struct store_bytes body)
{
	struct item_check *check = context;

	check->found++;
	return index_has_item(check->vault->index, kind, number, body) ? MORTISE_OK
								       : MORTISE_INTEGRITY;
}

/* Slots, policies and audit state on disk, against the tally: none changed, added or missing. */
static enum mortise_status verify_items(struct vault *vault)
{
	struct item_check check = {vault, 0};
	size_t known = 0;

	TRY(store_each_item(vault->store, verify_item, &check));
	for (enum store_item kind = STORE_SLOT; kind <= STORE_ITEM_LAST; kind++) {
		uint64_t number = 0;
		while ((number = index_next_item(vault->index, kind, number)))
			known++;
	}
	return check.found == known ? MORTISE_OK : MORTISE_INTEGRITY;
}

static enum mortise_status verify_meta(struct vault *vault)
{
	const struct store_meta *known = &vault->meta;
	struct store_meta meta;
	enum mortise_status status = store_meta(vault->store, &meta);

	if (status == MORTISE_NOT_FOUND)
		return MORTISE_INTEGRITY;
	TRY(status);
	if (sodium_memcmp(meta.uuid, known->uuid, sizeof meta.uuid) != 0 ||
		meta.epoch != known->epoch || meta.generation != known->generation ||
		meta.last != known->last)
		return MORTISE_INTEGRITY;
	return check_root(vault, &meta);
}

static enum mortise_status verify_identity(
	struct vault *vault, char *out_complaint, size_t complaint_size)
{
	enum mortise_status status = verify_meta(vault);

	if (status == MORTISE_OK)
		status = verify_items(vault);
	if (status == MORTISE_INTEGRITY)
		snprintf(out_complaint, complaint_size,
			"the tally, a slot, a policy, the audit state or the clock's floor on disk "
			"was "
			"changed");
	return status;
}

/* One, which may have many large values: between two rows the clock is looked at. */
static enum mortise_status verify_next_row(struct verifying *verifying)
{
	struct vault *vault = verifying->vault;
	struct index_row row;

	verifying->has_row = false;
	TRY(store_each_secret(vault->store, verifying->check->secret, 1, verify_row, verifying));
	if (verifying->has_row)
		return MORTISE_OK;
	if (index_next(vault->index, verifying->check->secret, &row)) {
		complain(verifying, row.number, NULL, "its row is not on disk");
		return MORTISE_INTEGRITY;
	}
	verifying->check->are_rows_done = true;
	return MORTISE_OK;
}

static enum mortise_status verify_no_strays(struct verifying *verifying)
{
	bool has = false;

	TRY(store_has_strays(verifying->vault->store, &has));
	if (!has)
		return MORTISE_OK;
	snprintf(verifying->complaint, verifying->complaint_size,
		"a value on disk was never written: it stands where none is put");
	return MORTISE_INTEGRITY;
}

/* Values that belong to no version: nobody would read them, but they were not written here. */
static enum mortise_status verify_places(struct verifying *verifying)
{
	struct vault_check *check = verifying->check;
	struct vault *vault = verifying->vault;
	struct store_place places[VALUES_AT_ONCE];
	unsigned count = 0;

	/* Those of a rekey, under way or left, are no version's yet, or no longer. */
	if (vault_has_work(vault)) {
		check->is_done = true;
		return MORTISE_OK;
	}
	if (!check->place)
		TRY(verify_no_strays(verifying));
	TRY(store_next_values(vault->store, check->place, VALUES_AT_ONCE, places, &count));
	for (unsigned i = 0; i < count; i++) {
		bool is_owned = false;
		TRY(vault_owns(vault, &places[i], &is_owned));
		if (!is_owned) {
			snprintf(verifying->complaint, verifying->complaint_size,
				"the value at place %llu was never written, or is left of one that "
				"was removed",
				(unsigned long long)places[i].place);
			return MORTISE_INTEGRITY;
		}
	}
	if (count)
		check->place = places[count - 1].place;
	check->is_done = count < VALUES_AT_ONCE;
	return MORTISE_OK;
}

static enum mortise_status verify_some(struct verifying *verifying)
{
	struct vault_check *check = verifying->check;

	if (check->secret == 0 && !check->are_rows_done)
		TRY(verify_identity(
			verifying->vault, verifying->complaint, verifying->complaint_size));
	snprintf(verifying->complaint, verifying->complaint_size,
		"the store's rows do not fit together");
	return check->are_rows_done ? verify_places(verifying) : verify_next_row(verifying);
}

enum mortise_status vault_verify(struct vault *vault, struct vault_check *check, unsigned budget_us,
	size_t *out_values, char *out_complaint, size_t complaint_size)
{
	struct verifying verifying = {vault, check, 0, false, out_complaint, complaint_size};
	uint64_t until_us = vault_until(budget_us);
	enum mortise_status status;

	do
		status = verify_some(&verifying);
	while (status == MORTISE_OK && !check->is_done && vault_has_time(until_us));
	if (status != MORTISE_OK && status != MORTISE_INTEGRITY)
		store_describe_lack(vault->store, status, out_complaint, complaint_size);
	if (status == MORTISE_OK)
		*out_values = verifying.values;
	return status;
}

struct vault_progress vault_verify_progress(
	const struct vault *vault, const struct vault_check *check)
{
	uint64_t rows = vault->meta.last, values = store_last_place(vault->store);

	return (struct vault_progress){false,
		check->is_done ? rows + values
			       : (check->are_rows_done ? rows : check->secret) + check->place,
		rows + values};
}

/* ---- opened anew ---- */

/*
 * A vault after a commit that failed: its keys are here, and only what is on disk is unknown. The
 * tally says which store that is, so no hardware and no anchor has to.
 */

static bool is_same(const struct store_meta *meta, const struct store_meta *other)
{
	return memcmp(meta->uuid, other->uuid, sizeof meta->uuid) == 0 &&
	       meta->epoch == other->epoch && meta->generation == other->generation &&
	       meta->last == other->last &&
	       sodium_memcmp(meta->tally, other->tally, sizeof meta->tally) == 0;
}

/* A rekey whose last commit failed was dropped since, but the next epoch's keys are not gone. */
static const struct secret *key_of(const struct vault *vault, uint64_t epoch)
{
	if (epoch == vault->meta.epoch)
		return vault->keyring.key[KEY_MASTER];
	return vault->retired ? vault->retired->keyring.key[KEY_MASTER] : NULL;
}

/* What was read takes the place of what was in memory, in the same struct: others point to it. */
static void take_over(struct vault *vault, struct vault *fresh)
{
	const struct vault old = *vault;

	vault->keyring = fresh->keyring;
	vault->meta = fresh->meta;
	vault->index = fresh->index;
	vault->cache = fresh->cache;
	vault->sweep = fresh->sweep;
	vault->is_stale = false;
	vault->changes++;
	vault_count_again(vault);
	fresh->keyring = old.keyring;
	fresh->index = old.index;
	fresh->cache = old.cache;
}

enum mortise_status vault_reload(struct vault *vault)
{
	CLEANUP(drop_vault) struct vault *fresh = NULL;
	const struct attempt attempt = vault->attempt;
	struct store_meta meta;

	enum mortise_status status = store_meta(vault->store, &meta);
	if (status == MORTISE_NOT_FOUND)
		return MORTISE_INTEGRITY;
	TRY(status);
	bool is_old = is_same(&meta, &vault->meta), is_new = is_same(&meta, &attempt.meta);
	const struct secret *master_key = key_of(vault, meta.epoch);
	if ((!is_old && !is_new) || !master_key)
		return MORTISE_INTEGRITY;
	rekey_drop(vault);
	TRY(vault_load(vault->store, master_key, &meta, &fresh));
	take_over(vault, fresh);
	vault->commits += !is_old && attempt.raises;
	vault->weighty_commits += !is_old && attempt.is_weighty;
	return MORTISE_OK;
}
