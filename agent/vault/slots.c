/* SPDX-License-Identifier: ISC */
#include "slots.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "little_endian.h"
#include "records.h"
#include "wire.h"

#define RECORD_SLOT 1

/* In the box: store 16 | slot id 8 | epoch 8 | master key 32 */
#define PAYLOAD_SIZE (ID_SIZE + 8 + 8 + KEY_SIZE)
#define PUBLIC_SIZE  SLOT_PUBLIC_SIZE

/* An escrow key is made before it is known which stores it will open. */
static const uint8_t escrow_salt[ID_SIZE] = {
	'm', 'o', 'r', 't', 'i', 's', 'e', '-', 'e', 's', 'c', 'r', 'o', 'w', '-', '1'};

static void write_identity(const struct slot_identity *identity, uint8_t *out)
{
	memcpy(out, identity->store, ID_SIZE);
	le64_put(out + ID_SIZE, identity->id);
	le64_put(out + ID_SIZE + 8, identity->epoch);
}

static struct store_bytes bytes_of(const struct wire_message *record, unsigned tag)
{
	const struct wire_field *field = wire_field_of(record, tag);

	return (struct store_bytes){field->bytes, field->size};
}

/* Words that may be shown to a person: nothing in them moves a terminal's cursor. */
static bool is_word(const char *text)
{
	size_t size =
		strspn(text, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-");

	return size > 0 && text[size] == '\0';
}

/* ---- hints: a list of items, NAME and NUMBER or VALUE; zeros are left out ---- */

static const struct {
	const char *name;
	size_t at;
} numbers[] = {
	{"flags", offsetof(struct slot_hints, flags)},
	{"created", offsetof(struct slot_hints, created_us)},
	{"opened", offsetof(struct slot_hints, opened_us)},
	{"tested", offsetof(struct slot_hints, tested_us)},
	{"pcrs", offsetof(struct slot_hints, pcrs)},
	{"shares", offsetof(struct slot_hints, shares)},
	{"threshold", offsetof(struct slot_hints, threshold)},
	{"of", offsetof(struct slot_hints, of)},
	{"boots", offsetof(struct slot_hints, boots)},
	{"ends", offsetof(struct slot_hints, ends_us)},
};

static const struct {
	const char *name;
	size_t at;
	size_t most;
} texts[] = {
	{"pcr-key", offsetof(struct slot_hints, pcr_key), 2048},
	{"uri", offsetof(struct slot_hints, uri), 1024},
	{"boot", offsetof(struct slot_hints, boot), SLOT_BOOT_SIZE - 1},
};

#define NUMBERS (sizeof numbers / sizeof numbers[0])
#define TEXTS   (sizeof texts / sizeof texts[0])

static enum mortise_status read_hint(const struct wire_message *item, struct slot_hints *hints)
{
	const struct wire_field *value = wire_field_of(item, RECORD_TAG_VALUE);
	char name[16];

	if (wire_text(item, RECORD_TAG_NAME, name, sizeof name) != MORTISE_OK)
		return MORTISE_INTEGRITY;
	for (size_t i = 0; i < NUMBERS; i++) {
		uint64_t *number = (uint64_t *)((uint8_t *)hints + numbers[i].at);
		if (strcmp(name, numbers[i].name) == 0)
			return *number == 0 && wire_number(item, RECORD_TAG_NUMBER, number) ==
						       MORTISE_OK
				       ? MORTISE_OK
				       : MORTISE_INTEGRITY;
	}
	for (size_t i = 0; i < TEXTS; i++) {
		struct store_bytes *text = (struct store_bytes *)((uint8_t *)hints + texts[i].at);
		if (strcmp(name, texts[i].name) != 0)
			continue;
		if (text->bytes || value->size == 0 || value->size > texts[i].most)
			return MORTISE_INTEGRITY;
		*text = (struct store_bytes){value->bytes, value->size};
		return MORTISE_OK;
	}
	return MORTISE_INTEGRITY;
}

static enum mortise_status read_hints(const struct wire_message *record, struct slot_hints *hints)
{
	struct wire_list list = wire_list_of(record, RECORD_TAG_ITEMS);
	struct wire_field field;
	struct wire_message item;

	while (wire_list_next(&list, &field)) {
		if (wire_parse_fields(field.bytes, field.size, &item) != MORTISE_OK)
			return MORTISE_INTEGRITY;
		TRY(read_hint(&item, hints));
	}
	return wire_list_is_whole(&list) ? MORTISE_OK : MORTISE_INTEGRITY;
}

static void put_hints(struct wire_writer *writer, const struct slot_hints *hints)
{
	size_t list = wire_list_begin(writer, RECORD_TAG_ITEMS);

	for (size_t i = 0; i < NUMBERS; i++) {
		uint64_t number = 0;
		memcpy(&number, (const uint8_t *)hints + numbers[i].at, sizeof number);
		if (number == 0)
			continue;
		size_t item = wire_item_begin(writer);
		wire_put_text(writer, RECORD_TAG_NAME, numbers[i].name);
		wire_put_number(writer, RECORD_TAG_NUMBER, number);
		wire_item_end(writer, item);
	}
	for (size_t i = 0; i < TEXTS; i++) {
		struct store_bytes text;
		memcpy(&text, (const uint8_t *)hints + texts[i].at, sizeof text);
		if (text.size == 0)
			continue;
		size_t item = wire_item_begin(writer);
		wire_put(writer, RECORD_TAG_VALUE, text.bytes, text.size);
		wire_put_text(writer, RECORD_TAG_NAME, texts[i].name);
		wire_item_end(writer, item);
	}
	wire_list_end(writer, list);
}

/* ---- records ---- */

enum mortise_status slot_read(struct store_bytes record, struct slot *out_slot)
{
	const uint16_t *allowed =
		WIRE_TAGS(RECORD_TAG_ITEMS, RECORD_TAG_SLOT_KIND, RECORD_TAG_KEY_ID,
			RECORD_TAG_BLOB, RECORD_TAG_SALT, RECORD_TAG_PUBLIC, RECORD_TAG_BOX);
	struct wire_message fields;
	struct slot slot = {0};

	if (record.size > SLOT_RECORD_MAX ||
		wire_parse(record.bytes, record.size, &fields) != MORTISE_OK ||
		fields.code != RECORD_SLOT || fields.request_id ||
		!wire_has_fields(&fields, NULL, allowed))
		return MORTISE_INTEGRITY;
	slot.blob = bytes_of(&fields, RECORD_TAG_BLOB);
	slot.box = bytes_of(&fields, RECORD_TAG_BOX);
	slot.public_half = bytes_of(&fields, RECORD_TAG_PUBLIC);
	struct store_bytes salt = bytes_of(&fields, RECORD_TAG_SALT);
	if (wire_text(&fields, RECORD_TAG_SLOT_KIND, slot.kind, sizeof slot.kind) != MORTISE_OK ||
		!is_word(slot.kind) || salt.size != ID_SIZE ||
		slot.box.size != PAYLOAD_SIZE + ENVELOPE_BOX ||
		slot.public_half.size != PUBLIC_SIZE + ENVELOPE_OVERHEAD)
		return MORTISE_INTEGRITY;
	if (wire_has(&fields, RECORD_TAG_KEY_ID) &&
		(wire_text(&fields, RECORD_TAG_KEY_ID, slot.key_id, sizeof slot.key_id) !=
				MORTISE_OK ||
			!is_word(slot.key_id)))
		return MORTISE_INTEGRITY;
	TRY(read_hints(&fields, &slot.hints));
	memcpy(slot.salt, salt.bytes, ID_SIZE);
	*out_slot = slot;
	return MORTISE_OK;
}

enum mortise_status slot_copy_read(struct store_bytes record, struct slot_copy *out_copy)
{
	CLEANUP(slot_copy_done) struct slot_copy copy = {.record = NULL};

	if (record.size == 0 || record.size > SLOT_RECORD_MAX)
		return MORTISE_INTEGRITY;
	copy.record = malloc(record.size);
	if (!copy.record)
		return MORTISE_BUSY;
	memcpy(copy.record, record.bytes, record.size);
	TRY(slot_read((struct store_bytes){copy.record, record.size}, &copy.slot));
	*out_copy = copy;
	copy.record = NULL;
	return MORTISE_OK;
}

void slot_copy_done(struct slot_copy *copy)
{
	free(copy->record);
	*copy = (struct slot_copy){.record = NULL};
}

const struct slot_kind *slot_kind(const struct slot *slot)
{
	static const struct slot_kind stranger = {.name = "", .is_hardware = true};
	const struct slot_kind *kind = slot_kind_of(slot->kind);

	return kind ? kind : &stranger;
}

bool slot_is_hardware(const struct slot *slot)
{
	return slot_kind(slot)->is_hardware;
}

bool slot_is_passing(const struct slot *slot)
{
	return (slot->hints.flags & (SLOT_STAGED | SLOT_STAND_IN)) != 0;
}

/* The record of slot, whose kind, salt, blob, box, public half and hints are given. */
static enum mortise_status write_record(
	const struct slot *slot, uint8_t record[SLOT_RECORD_MAX], size_t *out_size)
{
	struct wire_writer writer;

	wire_begin(&writer, record, SLOT_RECORD_MAX, RECORD_SLOT, 0);
	put_hints(&writer, &slot->hints);
	wire_put_text(&writer, RECORD_TAG_SLOT_KIND, slot->kind);
	if (slot->key_id[0])
		wire_put_text(&writer, RECORD_TAG_KEY_ID, slot->key_id);
	wire_put(&writer, RECORD_TAG_BLOB, slot->blob.bytes, slot->blob.size);
	wire_put(&writer, RECORD_TAG_SALT, slot->salt, sizeof slot->salt);
	wire_put(&writer, RECORD_TAG_PUBLIC, slot->public_half.bytes, slot->public_half.size);
	wire_put(&writer, RECORD_TAG_BOX, slot->box.bytes, slot->box.size);
	size_t size = wire_finish(&writer);
	if (!size)
		return MORTISE_INVALID;
	*out_size = size;
	return MORTISE_OK;
}

enum mortise_status slot_hint(const struct slot *slot, const struct slot_hints *hints,
	uint8_t out_record[SLOT_RECORD_MAX], size_t *out_size)
{
	struct slot hinted = *slot;

	hinted.hints = *hints;
	return write_record(&hinted, out_record, out_size);
}

static enum mortise_status box_master_key(const struct slot_identity *identity,
	const struct secret *master_key, const uint8_t public_key[PUBLIC_SIZE],
	uint8_t out_box[PAYLOAD_SIZE + ENVELOPE_BOX])
{
	CLEANUP(secret_drop) struct secret *payload = NULL;

	TRY(secret_new(PAYLOAD_SIZE, &payload));
	write_identity(identity, payload->bytes);
	memcpy(payload->bytes + PAYLOAD_SIZE - KEY_SIZE, master_key->bytes, KEY_SIZE);
	return envelope_box(public_key, payload, out_box);
}

/* The public half and the salt that leads to it. */
static enum mortise_status derive_public(const struct slot_making *making,
	uint8_t out_salt[ID_SIZE], uint8_t out_public[PUBLIC_SIZE])
{
	CLEANUP(secret_drop) struct secret *secret_half = NULL;

	if (making->h) {
		randombytes_buf(out_salt, ID_SIZE);
		return envelope_pair(making->h, out_salt, &secret_half, out_public);
	}
	memcpy(out_salt, escrow_salt, ID_SIZE);
	memcpy(out_public, making->escrow_half, PUBLIC_SIZE);
	return MORTISE_OK;
}

enum mortise_status slot_make(const struct slot_identity *identity,
	const struct slot_making *making, uint8_t record[SLOT_RECORD_MAX], size_t *out_size)
{
	uint8_t public_half[PUBLIC_SIZE];
	uint8_t box[PAYLOAD_SIZE + ENVELOPE_BOX], sealed_public[PUBLIC_SIZE + ENVELOPE_OVERHEAD];
	struct envelope_binding place = {
		ENVELOPE_SLOT_PUBLIC, identity->store, 0, identity->id, identity->epoch};
	struct slot slot = {.blob = making->blob,
		.box = {box, sizeof box},
		.public_half = {sealed_public, sizeof sealed_public},
		.hints = *making->hints};

	if (making->master_key->size != KEY_SIZE || strlen(making->kind) >= sizeof slot.kind)
		return MORTISE_INVALID;
	memcpy(slot.kind, making->kind, strlen(making->kind) + 1);
	if (making->key_id)
		memcpy(slot.key_id, making->key_id, sizeof slot.key_id);
	TRY(derive_public(making, slot.salt, public_half));
	enum mortise_status status = box_master_key(identity, making->master_key, public_half, box);
	if (status != MORTISE_OK)
		return status == MORTISE_INTEGRITY ? MORTISE_INVALID : status;
	envelope_seal(making->label_key, &place, public_half, sizeof public_half, sealed_public);
	return write_record(&slot, record, out_size);
}

enum mortise_status slot_escrow_half(
	const struct secret *recovery_key, uint8_t out_half[SLOT_PUBLIC_SIZE])
{
	CLEANUP(secret_drop) struct secret *secret_half = NULL;

	return envelope_pair(recovery_key, escrow_salt, &secret_half, out_half);
}

enum mortise_status slot_open(const struct slot_identity *identity, const struct slot *slot,
	const struct secret *h, struct secret **out_master_key)
{
	CLEANUP(secret_drop) struct secret *secret_half = NULL;
	CLEANUP(secret_drop) struct secret *payload = NULL;
	uint8_t public_half[PUBLIC_SIZE], expected[PAYLOAD_SIZE - KEY_SIZE];

	TRY(envelope_pair(h, slot->salt, &secret_half, public_half));
	enum mortise_status status =
		envelope_unbox(public_half, secret_half, slot->box.bytes, slot->box.size, &payload);
	if (status == MORTISE_INTEGRITY)
		return MORTISE_DENIED;
	TRY(status);
	write_identity(identity, expected);
	if (payload->size != PAYLOAD_SIZE ||
		sodium_memcmp(payload->bytes, expected, sizeof expected) != 0)
		return MORTISE_INTEGRITY;
	return secret_copy(payload->bytes + PAYLOAD_SIZE - KEY_SIZE, KEY_SIZE, out_master_key);
}

/* All fields as they were, but for the two that the master key is in. */
static size_t copy_record(struct store_bytes record, struct store_bytes public_half,
	struct store_bytes box, uint8_t out_record[SLOT_RECORD_MAX])
{
	struct wire_message fields;
	struct wire_writer writer;

	if (wire_parse(record.bytes, record.size, &fields) != MORTISE_OK)
		return 0;
	wire_begin(&writer, out_record, SLOT_RECORD_MAX, RECORD_SLOT, 0);
	for (unsigned i = 0; i < fields.count; i++) {
		unsigned tag = fields.tag[i];
		struct store_bytes bytes = tag == RECORD_TAG_PUBLIC ? public_half
					   : tag == RECORD_TAG_BOX  ? box
								    : bytes_of(&fields, tag);

		wire_put(&writer, tag, bytes.bytes, bytes.size);
	}
	return wire_finish(&writer);
}

enum mortise_status slot_reseal(const struct slot_resealing *resealing, struct store_bytes record,
	uint8_t out_record[SLOT_RECORD_MAX], size_t *out_size)
{
	const struct slot_identity *old = &resealing->old, *new = &resealing->new;
	uint8_t public_half[PUBLIC_SIZE], sealed_public[PUBLIC_SIZE + ENVELOPE_OVERHEAD];
	uint8_t box[PAYLOAD_SIZE + ENVELOPE_BOX];
	struct envelope_binding place = {ENVELOPE_SLOT_PUBLIC, old->store, 0, old->id, old->epoch};
	struct slot slot;

	if (resealing->master_key->size != KEY_SIZE)
		return MORTISE_INVALID;
	TRY(slot_read(record, &slot));
	TRY(envelope_open_into(resealing->old_label_key, &place, slot.public_half.bytes,
		slot.public_half.size, public_half));
	TRY(box_master_key(new, resealing->master_key, public_half, box));
	place.version = new->id;
	place.epoch = new->epoch;
	envelope_seal(resealing->label_key, &place, public_half, sizeof public_half, sealed_public);
	size_t size = copy_record(record, (struct store_bytes){sealed_public, sizeof sealed_public},
		(struct store_bytes){box, sizeof box}, out_record);
	if (!size)
		return MORTISE_INTEGRITY;
	*out_size = size;
	return MORTISE_OK;
}
