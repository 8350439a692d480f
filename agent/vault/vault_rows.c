/* SPDX-License-Identifier: ISC */
#include "vault_rows.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "records.h"

/* The first field of a record says which it is, as a frame's code does. */
enum record { RECORD_HEAD = 2, RECORD_INFO = 3 };

/* What is in each, as docs/store.md has it. */
#define HEAD_NEEDED RECORD_TAG_PATH, RECORD_TAG_VERSION, RECORD_TAG_TIME
#define HEAD_POSSIBLE                                                                              \
	RECORD_TAG_TOKEN, RECORD_TAG_NUMBER, RECORD_TAG_OFFSET, RECORD_TAG_DONE, RECORD_TAG_TOTAL, \
		RECORD_TAG_DELETED, RECORD_TAG_META, RECORD_TAG_NOTE, RECORD_TAG_MAX_AGE,          \
		RECORD_TAG_HOOK
#define INFO_NEEDED   RECORD_TAG_TOKEN, RECORD_TAG_NUMBER, RECORD_TAG_TIME, RECORD_TAG_TOTAL
#define INFO_POSSIBLE RECORD_TAG_NOTE

static struct envelope_binding row_binding(
	const struct vault *vault, enum envelope_kind kind, uint64_t secret, uint64_t version)
{
	uint64_t epoch = kind == ENVELOPE_VALUE ? 0 : vault->meta.epoch;

	return (struct envelope_binding){kind, vault->meta.uuid, secret, version, epoch};
}

struct envelope_binding item_binding(
	const struct vault *vault, enum store_item kind, uint64_t number)
{
	enum envelope_kind envelope = kind == STORE_POLICY   ? ENVELOPE_POLICY
				      : kind == STORE_ANCHOR ? ENVELOPE_ANCHOR
							     : ENVELOPE_AUDIT_STATE;

	return (struct envelope_binding){envelope, vault->meta.uuid, 0, number, vault->meta.epoch};
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

enum mortise_status head_seal(const struct vault *vault, uint64_t secret,
	const struct vault_head *head, uint8_t out_sealed[HEAD_SEALED_MAX], size_t *out_size)
{
	struct envelope_binding place = row_binding(vault, ENVELOPE_HEAD, secret, 0);
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

/* A record of its kind, of the version that we know (0), with no field that we do not know. */
static bool is_record(const struct wire_message *record, enum record code, const uint16_t needed[],
	const uint16_t possible[])
{
	return record->code == code && record->request_id == 0 &&
	       wire_has_fields(record, needed, possible);
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
	struct envelope_binding place = row_binding(vault, ENVELOPE_HEAD, entry->number, 0);
	CLEANUP(secret_drop) struct secret *plain = NULL;
	struct wire_message record;
	struct vault_head head = {0};

	if (entry->head.size > HEAD_SEALED_MAX)
		return MORTISE_INTEGRITY;
	TRY(envelope_open(vault->keyring.key[KEY_LABEL], &place, entry->head.bytes,
		entry->head.size, &plain));
	if (wire_parse(plain->bytes, plain->size, &record) != MORTISE_OK ||
		!is_record(
			&record, RECORD_HEAD, WIRE_TAGS(HEAD_NEEDED), WIRE_TAGS(HEAD_POSSIBLE)) ||
		take_head(&record, &head) != MORTISE_OK)
		return MORTISE_INTEGRITY;
	*out_head = head;
	return MORTISE_OK;
}

struct entry_said info_said(const struct version_info *info)
{
	struct entry_said said = {true, info->shown.uid, info->shown.size_bytes, {0}};

	memcpy(said.token, info->token, sizeof said.token);
	return said;
}

enum mortise_status info_seal(const struct vault *vault, uint64_t secret,
	const struct version_info *info, uint8_t out_sealed[INFO_SEALED_MAX], size_t *out_size)
{
	struct envelope_binding place =
		row_binding(vault, ENVELOPE_VERSION_INFO, secret, info->shown.number);
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
	sodium_memzero(plain, sizeof plain);
	*out_size = size + ENVELOPE_OVERHEAD;
	return MORTISE_OK;
}

enum mortise_status info_open(const struct vault *vault, uint64_t secret,
	const struct entry_version *version, struct version_info *out_info)
{
	struct envelope_binding place =
		row_binding(vault, ENVELOPE_VERSION_INFO, secret, version->number);
	CLEANUP(secret_drop) struct secret *plain = NULL;
	struct version_info info = {.shown.number = version->number};
	struct wire_message record;
	uint64_t uid = 0;

	if (version->info.size > INFO_SEALED_MAX)
		return MORTISE_INTEGRITY;
	TRY(envelope_open(vault->keyring.key[KEY_LABEL], &place, version->info.bytes,
		version->info.size, &plain));
	if (wire_parse(plain->bytes, plain->size, &record) != MORTISE_OK ||
		!is_record(
			&record, RECORD_INFO, WIRE_TAGS(INFO_NEEDED), WIRE_TAGS(INFO_POSSIBLE)) ||
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

enum mortise_status info_say(
	const struct vault *vault, uint64_t secret, struct entry_version *version)
{
	struct version_info info;

	if (version->said.is_known)
		return MORTISE_OK;
	TRY(info_open(vault, secret, version, &info));
	version->said = info_said(&info);
	return MORTISE_OK;
}

enum mortise_status value_open(const struct vault *vault, uint64_t secret,
	const struct entry_version *version, struct store_bytes sealed, struct secret **out_value)
{
	struct envelope_binding key_place =
		row_binding(vault, ENVELOPE_DATA_KEY, secret, version->number);
	struct envelope_binding place = row_binding(vault, ENVELOPE_VALUE, secret, version->number);
	CLEANUP(secret_drop) struct secret *data_key = NULL;

	TRY(envelope_open(vault->keyring.key[KEY_WRAP], &key_place, version->wrapped_key,
		ENTRY_KEY_SIZE, &data_key));
	return envelope_open(data_key, &place, sealed.bytes, sealed.size, out_value);
}

enum mortise_status value_seal(const struct vault *vault, uint64_t secret, uint64_t version,
	struct store_bytes plain, uint8_t out_wrapped_key[ENTRY_KEY_SIZE], uint8_t **out_sealed)
{
	struct envelope_binding key_place = row_binding(vault, ENVELOPE_DATA_KEY, secret, version);
	struct envelope_binding place = row_binding(vault, ENVELOPE_VALUE, secret, version);
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
	uint64_t secret, const struct entry_version *version,
	uint8_t out_wrapped_key[ENTRY_KEY_SIZE])
{
	struct envelope_binding from =
		row_binding(vault, ENVELOPE_DATA_KEY, secret, version->number);
	struct envelope_binding to = row_binding(other, ENVELOPE_DATA_KEY, secret, version->number);
	CLEANUP(secret_drop) struct secret *data_key = NULL;

	TRY(envelope_open(vault->keyring.key[KEY_WRAP], &from, version->wrapped_key, ENTRY_KEY_SIZE,
		&data_key));
	if (data_key->size != KEY_SIZE)
		return MORTISE_INTEGRITY;
	envelope_seal(
		other->keyring.key[KEY_WRAP], &to, data_key->bytes, KEY_SIZE, out_wrapped_key);
	return MORTISE_OK;
}

/* ---- rows, found and made ---- */

void path_hash(const struct vault *vault, const char *path, uint8_t out_hash[INDEX_PATH_SIZE])
{
	uint8_t hash[ENVELOPE_HASH];

	envelope_hash(vault->keyring.key[KEY_INDEX], path, strlen(path), hash);
	memcpy(out_hash, hash, INDEX_PATH_SIZE);
}

bool vault_row(const struct vault *vault, const char *path, struct index_row *out_row)
{
	uint8_t hash[INDEX_PATH_SIZE];

	path_hash(vault, path, hash);
	return index_find(vault->index, hash, out_row);
}

enum mortise_status entry_mark(
	const struct vault *vault, struct entry *entry, struct vault_head *out_head)
{
	TRY(head_open(vault, entry, out_head));
	entry->current = out_head->current;
	entry->previous = out_head->previous;
	entry->pending = out_head->pending;
	entry->is_deleted = out_head->deleted_us != 0;
	return MORTISE_OK;
}

static enum mortise_status read_entry(
	struct vault *vault, const struct index_row *row, bool is_kept, struct entry **out_entry)
{
	CLEANUP(entry_drop) struct entry *entry = NULL;
	uint8_t digest[STORE_HASH_SIZE], *record = NULL;
	struct vault_head head;
	size_t size = 0;

	enum mortise_status status =
		store_secret(vault->store, vault->meta.epoch, row->number, &record, &size);
	if (status == MORTISE_NOT_FOUND)
		return MORTISE_INTEGRITY;
	TRY(status);
	index_digest(vault->index, row->number, (struct store_bytes){record, size}, digest);
	if (sodium_memcmp(digest, row->digest, sizeof digest) != 0) {
		free(record);
		return MORTISE_INTEGRITY;
	}
	TRY(entry_take(row->number, record, size, &entry));
	TRY(entry_mark(vault, entry, &head));
	if (is_kept)
		cache_put_entry(vault->cache, entry);
	*out_entry = entry;
	entry = NULL;
	return MORTISE_OK;
}

static enum mortise_status get_entry(
	struct vault *vault, uint64_t number, bool is_kept, struct entry **out_entry)
{
	struct entry *cached = cache_entry(vault->cache, number);
	struct index_row row;

	if (!cached && !index_get(vault->index, number, &row))
		return MORTISE_NOT_FOUND;
	if (!cached)
		return read_entry(vault, &row, is_kept, out_entry);
	*out_entry = entry_hold(cached);
	return MORTISE_OK;
}

enum mortise_status vault_entry(struct vault *vault, uint64_t number, struct entry **out_entry)
{
	return get_entry(vault, number, true, out_entry);
}

enum mortise_status vault_glance(struct vault *vault, uint64_t number, struct entry **out_entry)
{
	return get_entry(vault, number, false, out_entry);
}

enum mortise_status vault_find(struct vault *vault, const char *path, struct entry **out_entry)
{
	struct index_row row;

	return vault_row(vault, path, &row) ? vault_entry(vault, row.number, out_entry)
					    : MORTISE_NOT_FOUND;
}

enum mortise_status vault_look_up(struct vault *vault, const char *path, struct entry **out_entry)
{
	*out_entry = NULL;
	enum mortise_status status = vault_find(vault, path, out_entry);

	return status == MORTISE_NOT_FOUND ? MORTISE_OK : status;
}

enum mortise_status vault_owns(struct vault *vault, const struct store_place *place, bool *out_owns)
{
	CLEANUP(entry_drop) struct entry *entry = NULL;
	enum mortise_status status = vault_glance(vault, place->secret, &entry);

	if (status != MORTISE_OK && status != MORTISE_NOT_FOUND)
		return status;
	const struct entry_version *version = entry ? entry_version(entry, place->version) : NULL;
	*out_owns = version && version->place == place->place;
	return MORTISE_OK;
}

enum mortise_status entry_complete(const struct vault *vault, uint64_t number,
	struct entry_parts *parts, const struct vault_head *head, struct entry **out_entry)
{
	uint8_t sealed[HEAD_SEALED_MAX];
	struct entry *entry = NULL;
	size_t size = 0;

	TRY(head_seal(vault, number, head, sealed, &size));
	parts->head = (struct store_bytes){sealed, size};
	enum mortise_status status = entry_new(number, parts, &entry);
	parts->head = (struct store_bytes){NULL, 0};
	TRY(status);
	entry->current = head->current;
	entry->previous = head->previous;
	entry->pending = head->pending;
	entry->is_deleted = head->deleted_us != 0;
	*out_entry = entry;
	return MORTISE_OK;
}

struct index_row entry_row(const struct vault *vault, const struct entry *entry)
{
	struct index_row row = {entry->number, entry->current, entry->is_deleted, {0}, {0}};

	memcpy(row.path_hash, entry->path_hash, sizeof row.path_hash);
	index_digest(vault->index, entry->number,
		(struct store_bytes){entry->record, entry->record_size}, row.digest);
	return row;
}

/* ---- how long something goes on ---- */

uint64_t vault_until(unsigned budget_us)
{
	return clock_steady_us() + budget_us;
}

bool vault_has_time(uint64_t until_us)
{
	return clock_steady_us() < until_us;
}
