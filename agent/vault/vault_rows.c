/* SPDX-License-Identifier: ISC */
#include "vault_rows.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "clock.h"
#include "records.h"
#include "vault_rekey.h"

/* The first field of a record says which it is, as a frame's code does. */
enum record { RECORD_HEAD = 2, RECORD_INFO = 3 };

static struct envelope_binding row_binding(const struct vault *vault, enum envelope_kind kind,
	const uint8_t id[ID_SIZE], uint64_t version)
{
	uint64_t epoch = kind == ENVELOPE_VALUE ? 0 : vault->meta.epoch;

	return (struct envelope_binding){kind, vault->meta.uuid, id, version, epoch};
}

struct envelope_binding item_binding(
	const struct vault *vault, enum store_item kind, uint64_t number)
{
	enum envelope_kind envelope = kind == STORE_POLICY   ? ENVELOPE_POLICY
				      : kind == STORE_ANCHOR ? ENVELOPE_ANCHOR
							     : ENVELOPE_AUDIT_STATE;

	return (struct envelope_binding){
		envelope, vault->meta.uuid, NULL, number, vault->meta.epoch};
}

static void put_if(struct wire_writer *writer, unsigned tag, uint64_t number)
{
	if (number)
		wire_put_number(writer, tag, number);
}

static void put_pairs(struct wire_writer *writer, const struct vault_metadata *metadata)
{
	char text[VAULT_KEY_MAX + VAULT_PAIR_VALUE_MAX + 2];

	if (!metadata->pair_count)
		return;
	size_t mark = wire_list_begin(writer, RECORD_TAG_META);
	for (size_t i = 0; i < metadata->pair_count; i++) {
		const struct vault_pair *pair = &metadata->pairs[i];
		int size = snprintf(text, sizeof text, "%s=%s", pair->key, pair->value);
		wire_item_put(writer, text, (size_t)size);
	}
	wire_list_end(writer, mark);
}

static void put_head(struct wire_writer *writer, const struct vault_head *head)
{
	const struct vault_metadata *metadata = &head->metadata;

	wire_put_text(writer, RECORD_TAG_PATH, head->path);
	wire_put_number(writer, RECORD_TAG_VERSION, head->current);
	if (!sodium_is_zero(head->token, sizeof head->token))
		wire_put(writer, RECORD_TAG_TOKEN, head->token, sizeof head->token);
	put_if(writer, RECORD_TAG_NUMBER, head->previous);
	put_if(writer, RECORD_TAG_OFFSET, head->pending);
	wire_put_number(writer, RECORD_TAG_TIME, head->created_us);
	put_if(writer, RECORD_TAG_DONE, head->last);
	put_if(writer, RECORD_TAG_TOTAL, metadata->keep);
	put_if(writer, RECORD_TAG_DELETED, head->deleted_us);
	put_pairs(writer, metadata);
	if (metadata->note[0])
		wire_put_text(writer, RECORD_TAG_NOTE, metadata->note);
	put_if(writer, RECORD_TAG_MAX_AGE, metadata->max_age_s);
	if (metadata->hook[0])
		wire_put_text(writer, RECORD_TAG_HOOK, metadata->hook);
}

enum mortise_status head_seal(const struct vault *vault, const uint8_t id[ID_SIZE],
	const struct vault_head *head, uint8_t out_sealed[HEAD_SEALED_MAX], size_t *out_size)
{
	struct envelope_binding place = row_binding(vault, ENVELOPE_HEAD, id, 0);
	CLEANUP(secret_drop) struct secret *plain = NULL;
	struct wire_writer writer;

	TRY(secret_new(HEAD_SEALED_MAX - ENVELOPE_OVERHEAD, &plain));
	wire_begin(&writer, plain->bytes, plain->size, RECORD_HEAD, 0);
	put_head(&writer, head);
	size_t size = wire_finish(&writer);
	if (!size)
		return MORTISE_INVALID;
	envelope_seal(vault->keyring.key[KEY_LABEL], &place, plain->bytes, size, out_sealed);
	*out_size = size + ENVELOPE_OVERHEAD;
	return MORTISE_OK;
}

static enum mortise_status take_number(
	const struct wire_message *record, unsigned tag, uint64_t *out_number)
{
	return wire_has(record, tag) ? wire_number(record, tag, out_number) : MORTISE_OK;
}

static enum mortise_status take_text(
	const struct wire_message *record, unsigned tag, char *buffer, size_t size)
{
	return wire_has(record, tag) ? wire_text(record, tag, buffer, size) : MORTISE_OK;
}

static enum mortise_status take_pair(const struct wire_field *item, struct vault_pair *out_pair)
{
	const uint8_t *equals = item->size ? memchr(item->bytes, '=', item->size) : NULL;
	size_t key_size = equals ? (size_t)(equals - item->bytes) : 0;

	if (!equals || key_size > VAULT_KEY_MAX || item->size - key_size - 1 > VAULT_PAIR_VALUE_MAX)
		return MORTISE_INVALID;
	memcpy(out_pair->key, item->bytes, key_size);
	out_pair->key[key_size] = '\0';
	memcpy(out_pair->value, equals + 1, item->size - key_size - 1);
	out_pair->value[item->size - key_size - 1] = '\0';
	return MORTISE_OK;
}

static enum mortise_status take_metadata(
	const struct wire_message *record, struct vault_metadata *metadata)
{
	struct wire_list list = wire_list_of(record, RECORD_TAG_META);
	struct wire_field item;

	for (; wire_list_next(&list, &item); metadata->pair_count++) {
		if (metadata->pair_count == VAULT_PAIRS_MAX)
			return MORTISE_INVALID;
		TRY(take_pair(&item, &metadata->pairs[metadata->pair_count]));
	}
	if (!wire_list_is_whole(&list))
		return MORTISE_INVALID;
	TRY(take_number(record, RECORD_TAG_TOTAL, &metadata->keep));
	TRY(take_number(record, RECORD_TAG_MAX_AGE, &metadata->max_age_s));
	TRY(take_text(record, RECORD_TAG_NOTE, metadata->note, sizeof metadata->note));
	return take_text(record, RECORD_TAG_HOOK, metadata->hook, sizeof metadata->hook);
}

static enum mortise_status take_head(const struct wire_message *record, struct vault_head *head)
{
	const struct wire_field *token = wire_field_of(record, RECORD_TAG_TOKEN);

	TRY(wire_text(record, RECORD_TAG_PATH, head->path, sizeof head->path));
	TRY(wire_number(record, RECORD_TAG_VERSION, &head->current));
	TRY(wire_number(record, RECORD_TAG_TIME, &head->created_us));
	TRY(take_number(record, RECORD_TAG_NUMBER, &head->previous));
	TRY(take_number(record, RECORD_TAG_OFFSET, &head->pending));
	TRY(take_number(record, RECORD_TAG_DONE, &head->last));
	TRY(take_number(record, RECORD_TAG_DELETED, &head->deleted_us));
	if (token->size == sizeof head->token)
		memcpy(head->token, token->bytes, sizeof head->token);
	return take_metadata(record, &head->metadata);
}

enum mortise_status head_open(
	const struct vault *vault, const struct entry *entry, struct vault_head *out_head)
{
	struct envelope_binding place = row_binding(vault, ENVELOPE_HEAD, entry->id, 0);
	CLEANUP(secret_drop) struct secret *plain = NULL;
	struct wire_message record;
	struct vault_head head = {0};

	TRY(envelope_open(
		vault->keyring.key[KEY_LABEL], &place, entry->head, entry->head_size, &plain));
	if (wire_parse(plain->bytes, plain->size, &record) != MORTISE_OK ||
		record.code != RECORD_HEAD || take_head(&record, &head) != MORTISE_OK)
		return MORTISE_INTEGRITY;
	*out_head = head;
	return MORTISE_OK;
}

enum mortise_status info_seal(const struct vault *vault, const uint8_t id[ID_SIZE],
	const struct version_info *info, uint8_t out_sealed[INFO_SEALED_MAX], size_t *out_size)
{
	struct envelope_binding place =
		row_binding(vault, ENVELOPE_VERSION_INFO, id, info->shown.number);
	uint8_t plain[INFO_SEALED_MAX - ENVELOPE_OVERHEAD];
	struct wire_writer writer;

	wire_begin(&writer, plain, sizeof plain, RECORD_INFO, 0);
	wire_put(&writer, RECORD_TAG_TOKEN, info->token, sizeof info->token);
	wire_put_number(&writer, RECORD_TAG_NUMBER, info->shown.uid);
	wire_put_number(&writer, RECORD_TAG_TIME, info->shown.created_us);
	wire_put_number(&writer, RECORD_TAG_TOTAL, info->shown.size_bytes);
	if (info->shown.note[0])
		wire_put_text(&writer, RECORD_TAG_NOTE, info->shown.note);
	size_t size = wire_finish(&writer);
	if (!size)
		return MORTISE_INVALID;
	envelope_seal(vault->keyring.key[KEY_LABEL], &place, plain, size, out_sealed);
	*out_size = size + ENVELOPE_OVERHEAD;
	return MORTISE_OK;
}

enum mortise_status info_open(const struct vault *vault, const uint8_t id[ID_SIZE],
	const struct entry_version *version, struct version_info *out_info)
{
	struct envelope_binding place =
		row_binding(vault, ENVELOPE_VERSION_INFO, id, version->number);
	CLEANUP(secret_drop) struct secret *plain = NULL;
	struct version_info info = {.shown.number = version->number};
	struct wire_message record;
	uint64_t uid = 0;

	TRY(envelope_open(
		vault->keyring.key[KEY_LABEL], &place, version->info, version->info_size, &plain));
	if (wire_parse(plain->bytes, plain->size, &record) != MORTISE_OK ||
		record.code != RECORD_INFO ||
		wire_field_of(&record, RECORD_TAG_TOKEN)->size != WIRE_TOKEN_SIZE ||
		wire_number(&record, RECORD_TAG_NUMBER, &uid) != MORTISE_OK ||
		wire_number(&record, RECORD_TAG_TIME, &info.shown.created_us) != MORTISE_OK ||
		wire_number(&record, RECORD_TAG_TOTAL, &info.shown.size_bytes) != MORTISE_OK ||
		take_text(&record, RECORD_TAG_NOTE, info.shown.note, sizeof info.shown.note) !=
			MORTISE_OK)
		return MORTISE_INTEGRITY;
	memcpy(info.token, wire_field_of(&record, RECORD_TAG_TOKEN)->bytes, WIRE_TOKEN_SIZE);
	info.shown.uid = (uint32_t)uid;
	*out_info = info;
	return MORTISE_OK;
}

enum mortise_status value_open(const struct vault *vault, const uint8_t id[ID_SIZE],
	const struct entry_version *version, struct store_bytes sealed, struct secret **out_value)
{
	struct envelope_binding key_place =
		row_binding(vault, ENVELOPE_DATA_KEY, id, version->number);
	struct envelope_binding place = row_binding(vault, ENVELOPE_VALUE, id, version->number);
	CLEANUP(secret_drop) struct secret *data_key = NULL;

	TRY(envelope_open(vault->keyring.key[KEY_WRAP], &key_place, version->wrapped_key,
		STORE_KEY_SIZE, &data_key));
	return envelope_open(data_key, &place, sealed.bytes, sealed.size, out_value);
}

enum mortise_status value_seal(const struct vault *vault, const uint8_t id[ID_SIZE],
	uint64_t number, struct store_bytes plain, uint8_t out_wrapped_key[STORE_KEY_SIZE],
	uint8_t **out_sealed)
{
	struct envelope_binding key_place = row_binding(vault, ENVELOPE_DATA_KEY, id, number);
	struct envelope_binding place = row_binding(vault, ENVELOPE_VALUE, id, number);
	CLEANUP(secret_drop) struct secret *data_key = NULL;

	TRY(secret_random(KEY_SIZE, &data_key));
	uint8_t *sealed = malloc(plain.size + ENVELOPE_OVERHEAD);
	if (!sealed)
		return MORTISE_BUSY;
	envelope_seal(data_key, &place, plain.bytes, plain.size, sealed);
	envelope_seal(vault->keyring.key[KEY_WRAP], &key_place, data_key->bytes, KEY_SIZE,
		out_wrapped_key);
	*out_sealed = sealed;
	return MORTISE_OK;
}

enum mortise_status data_key_rewrap(const struct vault *vault, const struct vault *other,
	const uint8_t id[ID_SIZE], const struct entry_version *version,
	uint8_t out_wrapped_key[STORE_KEY_SIZE])
{
	struct envelope_binding from = row_binding(vault, ENVELOPE_DATA_KEY, id, version->number);
	struct envelope_binding to = row_binding(other, ENVELOPE_DATA_KEY, id, version->number);
	CLEANUP(secret_drop) struct secret *data_key = NULL;

	TRY(envelope_open(vault->keyring.key[KEY_WRAP], &from, version->wrapped_key, STORE_KEY_SIZE,
		&data_key));
	if (data_key->size != KEY_SIZE)
		return MORTISE_INTEGRITY;
	envelope_seal(
		other->keyring.key[KEY_WRAP], &to, data_key->bytes, KEY_SIZE, out_wrapped_key);
	return MORTISE_OK;
}

/* How a vault is changed: in transactions, and in slices that are acknowledged to nobody. */

static enum mortise_status write_all(struct vault *vault, const struct store_meta *meta,
	enum mortise_status (*write_rows)(struct store *, void *), void *context)
{
	if (!vault->is_nested)
		TRY(store_begin(vault->store));
	TRY(write_rows(vault->store, context));
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
	return !change || change->entry ||
	       (change->kind != STORE_AUDIT && change->kind != STORE_FLOOR);
}

/* The entry with this id has a new state. */
static void note_row(struct vault *vault, const uint8_t id[ID_SIZE])
{
	struct rekey *rekey = vault->rekey;

	if (!rekey || !rekey->has_begun)
		return;
	if (memcmp(id, rekey->after, ID_SIZE) > 0) {
		rekey->ahead++;
		return;
	}
	void *again = array_room(rekey->again, rekey->again_count, ID_SIZE);
	if (!again) {
		rekey->is_failing = true;
		return;
	}
	rekey->again = again;
	memcpy(rekey->again[rekey->again_count++], id, ID_SIZE);
}

/* A rekey under way does again what has changed. */
static void touch(struct vault *vault, const struct index_change *change)
{
	if (change->entry || change->entry_count || change->removed_id)
		vault->changes++;
	if (change->entry)
		note_row(vault, change->entry->id);
	for (size_t i = 0; i < change->entry_count; i++)
		note_row(vault, change->entries[i]->id);
	if (change->removed_id)
		note_row(vault, change->removed_id);
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

enum mortise_status vault_commit(struct vault *vault, const struct index_change *change,
	enum mortise_status (*write_rows)(struct store *, void *), void *context)
{
	struct attempt attempt = {vault->meta, raises_generation(change),
		change && !change->is_slight &&
			(change->kind == STORE_SLOT || change->kind == STORE_POLICY)};
	struct store_meta *meta = &attempt.meta;
	enum mortise_status status;

	if (vault->is_stale)
		return MORTISE_IO;
	if (attempt.raises && meta->generation < vault->target_generation)
		meta->generation = vault->target_generation;
	index_root(vault->index, meta, change, meta->tally);
	vault->attempt = attempt;
	do {
		status = write_all(vault, meta, write_rows, context);
		if (status != MORTISE_OK)
			store_rollback(vault->store);
	} while (status != MORTISE_OK && vault_found_room(vault));
	TRY(status);
	vault->meta = *meta;
	if (change)
		touch(vault, change);
	vault->commits += attempt.raises;
	vault->weighty_commits += attempt.is_weighty;
	return MORTISE_OK;
}

/* ---- slices ---- */

uint64_t vault_until(unsigned budget_us)
{
	return clock_steady_us() + budget_us;
}

bool vault_has_time(uint64_t until_us)
{
	return clock_steady_us() < until_us;
}

enum mortise_status vault_begin_slice(struct vault *vault)
{
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
