/* SPDX-License-Identifier: ISC */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "vault_rows.h"

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

/* Rows being read: versions wait in `rows` until the heads come, both in the order of ids. */
struct loading {
	struct vault *vault;
	struct entry **rows;
	size_t count;
	size_t filled; /* rows before this one have their versions */
};

static void loading_done(struct loading *loading)
{
	for (size_t i = 0; i < loading->count; i++)
		entry_free(loading->rows[i]);
	free(loading->rows);
}

static enum mortise_status load_secret(void *context, const uint8_t id[STORE_ID_SIZE],
	const uint8_t path_hash[STORE_HASH_SIZE], struct store_bytes head)
{
	struct loading *loading = context;
	CLEANUP(entry_drop) struct entry *entry = NULL;

	/* A hostile file can hold an id twice, whatever its schema says. */
	if (loading->count && memcmp(loading->rows[loading->count - 1]->id, id, STORE_ID_SIZE) >= 0)
		return MORTISE_INTEGRITY;
	void *rows = array_room(loading->rows, loading->count, sizeof(struct entry *));
	if (!rows)
		return MORTISE_BUSY;
	loading->rows = rows;
	TRY(entry_new(id, path_hash, &entry));
	TRY(entry_set_head(entry, head.bytes, head.size));
	loading->rows[loading->count++] = entry;
	entry = NULL;
	return MORTISE_OK;
}

static enum mortise_status load_version(
	void *context, const uint8_t id[STORE_ID_SIZE], const struct store_version *version)
{
	struct loading *loading = context;

	while (loading->filled < loading->count &&
		memcmp(loading->rows[loading->filled]->id, id, STORE_ID_SIZE) < 0)
		loading->filled++;
	if (loading->filled == loading->count ||
		memcmp(loading->rows[loading->filled]->id, id, STORE_ID_SIZE) != 0)
		return MORTISE_INTEGRITY;
	return entry_add_version(loading->rows[loading->filled], version);
}

/* The rows of a range of ids, each with its digest. */
static enum mortise_status load_rows(
	struct vault *vault, uint8_t first, uint8_t last, struct loading *loading)
{
	loading->vault = vault;
	TRY(store_each_secret(vault->store, first, last, load_secret, loading));
	TRY(store_each_version(vault->store, first, last, load_version, loading));
	for (size_t i = 0; i < loading->count; i++)
		index_digest(vault->index, loading->rows[i]);
	return MORTISE_OK;
}

static enum mortise_status load_all(struct vault *vault)
{
	CLEANUP(loading_done) struct loading loading = {0};

	TRY(store_each_item(vault->store, load_item, vault));
	TRY(load_rows(vault, 0, 255, &loading));
	return index_fill(vault->index, loading.rows, loading.count);
}

static enum mortise_status check_root(const struct vault *vault, const struct store_meta *meta)
{
	uint8_t root[STORE_HASH_SIZE];

	index_root(vault->index, &vault->meta, NULL, root);
	return sodium_memcmp(root, meta->tally, sizeof root) == 0 ? MORTISE_OK : MORTISE_INTEGRITY;
}

/*
 * What a get needs of a head is kept beside it in the clear: the current version's number and
 * whether the secret is deleted. It comes after the tally was found right.
 */
static enum mortise_status read_heads(struct vault *vault)
{
	const struct entry *entry = NULL;

	while ((entry = index_next(vault->index, entry ? entry->id : NULL))) {
		uint8_t path_hash[ENVELOPE_HASH];
		struct vault_head head;
		TRY(head_open(vault, entry, &head));
		envelope_hash(
			vault->keyring.key[KEY_INDEX], head.path, strlen(head.path), path_hash);
		if (sodium_memcmp(path_hash, entry->path_hash, sizeof path_hash) != 0)
			return MORTISE_INTEGRITY;
		const struct index_marks marks = {
			head.current, head.previous, head.pending, head.deleted_us != 0};
		index_mark(vault->index, entry->id, &marks);
	}
	return MORTISE_OK;
}

enum mortise_status vault_load(struct store *store, const struct secret *master_key,
	const struct store_meta *meta, struct vault **out_vault)
{
	CLEANUP(drop_vault) struct vault *vault = NULL;

	TRY(vault_make(store, master_key, meta, &vault));
	TRY(load_all(vault));
	TRY(check_root(vault, meta));
	TRY(read_heads(vault));
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
		TRY(store_put_item(
			store, STORE_SLOT, origin->slots[i].id, origin->slots[i].record));
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
	struct store_meta meta = {.epoch = 1};

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

/* One bucket's rows on disk, against those in memory. */
static enum mortise_status verify_rows(struct vault *vault, const struct loading *loading,
	unsigned bucket, char *out_complaint, size_t complaint_size)
{
	const uint8_t before[STORE_ID_SIZE] = {(uint8_t)bucket};
	const struct entry *entry = NULL;
	size_t i = 0;

	/* An id of zeros behind its first byte is as likely as a wrong guess of a key. */
	for (entry = index_next(vault->index, before); entry && entry->id[0] == bucket;
		entry = index_next(vault->index, entry->id), i++) {
		if (i >= loading->count || sodium_memcmp(entry->digest, loading->rows[i]->digest,
						   STORE_HASH_SIZE) != 0) {
			struct vault_head head;
			TRY(head_open(vault, entry, &head));
			snprintf(out_complaint, complaint_size,
				"%s: its row on disk is not the one that was written", head.path);
			return MORTISE_INTEGRITY;
		}
	}
	if (i == loading->count)
		return MORTISE_OK;
	snprintf(out_complaint, complaint_size, "bucket %u has a row that was never written",
		bucket);
	return MORTISE_INTEGRITY;
}

/* Every value of an entry, from the disk and not from the cache. */
static enum mortise_status verify_values(struct vault *vault, const struct entry *entry,
	size_t *values, char *out_complaint, size_t complaint_size)
{
	for (size_t i = 0; i < entry->version_count; i++) {
		CLEANUP(secret_drop) struct secret *value = NULL;
		struct store_bytes sealed = {NULL, 0};
		uint8_t *bytes = NULL;
		enum mortise_status status =
			store_value(vault->store, entry->id, entry->versions[i].number,
				entry->versions[i].value_epoch, &bytes, &sealed.size);
		sealed.bytes = bytes;
		if (status == MORTISE_OK)
			status = value_open(vault, entry->id, &entry->versions[i], sealed, &value);
		free(bytes);
		if (status == MORTISE_INTEGRITY) {
			struct vault_head head;
			TRY(head_open(vault, entry, &head));
			snprintf(out_complaint, complaint_size,
				"%s: version %llu is not the value that was set", head.path,
				(unsigned long long)entry->versions[i].number);
		}
		TRY(status);
		(*values)++;
	}
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
		meta.epoch != known->epoch || meta.generation != known->generation)
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

/* Values that belong to no version: nobody would read them, but they were not written here. */
static enum mortise_status verify_no_more_values(struct vault *vault, unsigned bucket,
	size_t values, char *out_complaint, size_t complaint_size)
{
	uint64_t found = 0;

	/* Those of a rekey, under way or left, are no version's yet, or no longer. */
	if (vault_has_work(vault))
		return MORTISE_OK;
	TRY(store_count_values(vault->store, (uint8_t)bucket, (uint8_t)bucket, &found));
	if (found == values)
		return MORTISE_OK;
	snprintf(out_complaint, complaint_size, "bucket %u has a value that was never written",
		bucket);
	return MORTISE_INTEGRITY;
}

static enum mortise_status verify_bucket(struct vault *vault, unsigned bucket, size_t *out_values,
	char *out_complaint, size_t complaint_size)
{
	CLEANUP(loading_done) struct loading loading = {0};
	size_t values = 0;

	snprintf(out_complaint, complaint_size, "the store's rows do not fit together");
	if (bucket == 0)
		TRY(verify_identity(vault, out_complaint, complaint_size));
	TRY(load_rows(vault, (uint8_t)bucket, (uint8_t)bucket, &loading));
	TRY(verify_rows(vault, &loading, bucket, out_complaint, complaint_size));
	for (size_t i = 0; i < loading.count; i++)
		TRY(verify_values(vault, loading.rows[i], &values, out_complaint, complaint_size));
	TRY(verify_no_more_values(vault, bucket, values, out_complaint, complaint_size));
	*out_values = values;
	return MORTISE_OK;
}

enum mortise_status vault_verify(struct vault *vault, unsigned bucket, size_t *out_values,
	char *out_complaint, size_t complaint_size)
{
	enum mortise_status status =
		verify_bucket(vault, bucket, out_values, out_complaint, complaint_size);

	if (status != MORTISE_OK && status != MORTISE_INTEGRITY)
		store_describe_lack(vault->store, status, out_complaint, complaint_size);
	return status;
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
