/* SPDX-License-Identifier: ISC */
#include "vault_rows.h"

#include <stdlib.h>
#include <string.h>

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
	enum envelope_kind envelope = kind == STORE_POLICY ? ENVELOPE_POLICY : ENVELOPE_AUDIT_STATE;

	return (struct envelope_binding){
		envelope, vault->meta.uuid, NULL, number, vault->meta.epoch};
}

enum mortise_status head_seal(const struct vault *vault, const uint8_t id[ID_SIZE],
	const struct vault_head *head, uint8_t out_sealed[HEAD_SEALED_MAX], size_t *out_size)
{
	struct envelope_binding place = row_binding(vault, ENVELOPE_HEAD, id, 0);
	CLEANUP(secret_drop) struct secret *plain = NULL;
	struct wire_writer writer;

	TRY(secret_new(HEAD_SEALED_MAX - ENVELOPE_OVERHEAD, &plain));
	wire_begin(&writer, plain->bytes, plain->size, RECORD_HEAD, 0);
	wire_put_text(&writer, WIRE_TAG_PATH, head->path);
	wire_put_number(&writer, WIRE_TAG_VERSION, head->current);
	wire_put_number(&writer, WIRE_TAG_TIME, head->created_us);
	if (head->deleted_us)
		wire_put_number(&writer, WIRE_TAG_DELETED, head->deleted_us);
	size_t size = wire_finish(&writer);
	if (!size)
		return MORTISE_INVALID;
	envelope_seal(vault->keyring.key[KEY_LABEL], &place, plain->bytes, size, out_sealed);
	*out_size = size + ENVELOPE_OVERHEAD;
	return MORTISE_OK;
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
		record.code != RECORD_HEAD ||
		wire_text(&record, WIRE_TAG_PATH, head.path, sizeof head.path) != MORTISE_OK ||
		wire_number(&record, WIRE_TAG_VERSION, &head.current) != MORTISE_OK ||
		wire_number(&record, WIRE_TAG_TIME, &head.created_us) != MORTISE_OK)
		return MORTISE_INTEGRITY;
	if (wire_has(&record, WIRE_TAG_DELETED) &&
		wire_number(&record, WIRE_TAG_DELETED, &head.deleted_us) != MORTISE_OK)
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
	wire_put(&writer, WIRE_TAG_TOKEN, info->token, sizeof info->token);
	wire_put_number(&writer, WIRE_TAG_NUMBER, info->shown.uid);
	wire_put_number(&writer, WIRE_TAG_TIME, info->shown.created_us);
	wire_put_number(&writer, WIRE_TAG_TOTAL, info->shown.size_bytes);
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
		record.field[WIRE_TAG_TOKEN].size != WIRE_TOKEN_SIZE ||
		wire_number(&record, WIRE_TAG_NUMBER, &uid) != MORTISE_OK ||
		wire_number(&record, WIRE_TAG_TIME, &info.shown.created_us) != MORTISE_OK ||
		wire_number(&record, WIRE_TAG_TOTAL, &info.shown.size_bytes) != MORTISE_OK)
		return MORTISE_INTEGRITY;
	memcpy(info.token, record.field[WIRE_TAG_TOKEN].bytes, WIRE_TOKEN_SIZE);
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

enum mortise_status vault_commit(struct vault *vault, const struct index_change *change,
	enum mortise_status (*write_rows)(struct store *, void *), void *context)
{
	struct store_meta meta = vault->meta;

	if (vault->is_stale)
		return MORTISE_IO;
	index_root(vault->index, &meta, change, meta.tally);
	enum mortise_status status = write_all(vault, &meta, write_rows, context);
	if (status != MORTISE_OK) {
		store_rollback(vault->store);
		return status;
	}
	vault->meta = meta;
	if (!change || !change->entry)
		return MORTISE_OK;
	vault->changes++;
	rekey_touch(vault, change->entry->id);
	return MORTISE_OK;
}
