/* SPDX-License-Identifier: ISC */
#include "slots.h"

#include <sodium.h>
#include <string.h>

#include "wire.h"

#define RECORD_SLOT 1

/* In the box: store 16 | slot id 8 | epoch 8 | master key 32 */
#define PAYLOAD_SIZE (ID_SIZE + 8 + 8 + KEY_SIZE)
#define PUBLIC_SIZE  32

static void write_identity(const struct slot_identity *identity, uint8_t *out)
{
	memcpy(out, identity->store, ID_SIZE);
	envelope_put_u64(out + ID_SIZE, identity->id);
	envelope_put_u64(out + ID_SIZE + 8, identity->epoch);
}

static struct store_bytes bytes_of(const struct wire_message *record, enum wire_tag tag)
{
	return (struct store_bytes){record->field[tag].bytes, record->field[tag].size};
}

/* Words that may be shown to a person: nothing in them moves a terminal's cursor. */
static bool is_word(const char *text)
{
	size_t size =
		strspn(text, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");

	return size > 0 && text[size] == '\0';
}

enum mortise_status slot_read(struct store_bytes record, struct slot *out_slot)
{
	const uint64_t allowed = WIRE_ALLOW(WIRE_TAG_SLOT_KIND) | WIRE_ALLOW(WIRE_TAG_KEY_ID) |
				 WIRE_ALLOW(WIRE_TAG_BLOB) | WIRE_ALLOW(WIRE_TAG_SALT) |
				 WIRE_ALLOW(WIRE_TAG_PUBLIC) | WIRE_ALLOW(WIRE_TAG_BOX);
	struct wire_message fields;
	struct slot slot = {0};

	if (record.size > SLOT_RECORD_MAX ||
		wire_parse(record.bytes, record.size, &fields) != MORTISE_OK ||
		fields.code != RECORD_SLOT || fields.request_id || (fields.present & ~allowed))
		return MORTISE_INTEGRITY;
	slot.blob = bytes_of(&fields, WIRE_TAG_BLOB);
	slot.box = bytes_of(&fields, WIRE_TAG_BOX);
	slot.public_half = bytes_of(&fields, WIRE_TAG_PUBLIC);
	struct store_bytes salt = bytes_of(&fields, WIRE_TAG_SALT);
	if (wire_text(&fields, WIRE_TAG_SLOT_KIND, slot.kind, sizeof slot.kind) != MORTISE_OK ||
		!is_word(slot.kind) || salt.size != ID_SIZE ||
		slot.box.size != PAYLOAD_SIZE + ENVELOPE_BOX ||
		slot.public_half.size != PUBLIC_SIZE + ENVELOPE_OVERHEAD)
		return MORTISE_INTEGRITY;
	if (wire_has(&fields, WIRE_TAG_KEY_ID) && (wire_text(&fields, WIRE_TAG_KEY_ID, slot.key_id,
							   sizeof slot.key_id) != MORTISE_OK ||
							  !is_word(slot.key_id)))
		return MORTISE_INTEGRITY;
	memcpy(slot.salt, salt.bytes, ID_SIZE);
	*out_slot = slot;
	return MORTISE_OK;
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

enum mortise_status slot_make(const struct slot_identity *identity,
	const struct slot_making *making, uint8_t record[SLOT_RECORD_MAX], size_t *out_size)
{
	CLEANUP(secret_drop) struct secret *secret_half = NULL;
	uint8_t salt[ID_SIZE], public_half[PUBLIC_SIZE];
	uint8_t box[PAYLOAD_SIZE + ENVELOPE_BOX], sealed_public[PUBLIC_SIZE + ENVELOPE_OVERHEAD];
	struct envelope_binding place = {
		ENVELOPE_SLOT_PUBLIC, identity->store, NULL, identity->id, identity->epoch};
	struct wire_writer writer;

	if (making->master_key->size != KEY_SIZE)
		return MORTISE_INVALID;
	randombytes_buf(salt, sizeof salt);
	TRY(envelope_pair(making->h, salt, &secret_half, public_half));
	TRY(box_master_key(identity, making->master_key, public_half, box));
	envelope_seal(making->label_key, &place, public_half, sizeof public_half, sealed_public);

	wire_begin(&writer, record, SLOT_RECORD_MAX, RECORD_SLOT, 0);
	wire_put_text(&writer, WIRE_TAG_SLOT_KIND, making->kind);
	if (making->key_id)
		wire_put_text(&writer, WIRE_TAG_KEY_ID, making->key_id);
	wire_put(&writer, WIRE_TAG_BLOB, making->blob.bytes, making->blob.size);
	wire_put(&writer, WIRE_TAG_SALT, salt, sizeof salt);
	wire_put(&writer, WIRE_TAG_PUBLIC, sealed_public, sizeof sealed_public);
	wire_put(&writer, WIRE_TAG_BOX, box, sizeof box);
	size_t size = wire_finish(&writer);
	if (!size)
		return MORTISE_INVALID;
	*out_size = size;
	return MORTISE_OK;
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
	fields.field[WIRE_TAG_PUBLIC] = (struct wire_field){public_half.bytes, public_half.size};
	fields.field[WIRE_TAG_BOX] = (struct wire_field){box.bytes, box.size};
	wire_begin(&writer, out_record, SLOT_RECORD_MAX, RECORD_SLOT, 0);
	for (unsigned tag = 1; tag < WIRE_TAG_LIMIT; tag++)
		if (wire_has(&fields, (enum wire_tag)tag))
			wire_put(&writer, (enum wire_tag)tag, fields.field[tag].bytes,
				fields.field[tag].size);
	return wire_finish(&writer);
}

enum mortise_status slot_reseal(const struct slot_resealing *resealing, struct store_bytes record,
	uint8_t out_record[SLOT_RECORD_MAX], size_t *out_size)
{
	const struct slot_identity *old = &resealing->old, *new = &resealing->new;
	uint8_t public_half[PUBLIC_SIZE], sealed_public[PUBLIC_SIZE + ENVELOPE_OVERHEAD];
	uint8_t box[PAYLOAD_SIZE + ENVELOPE_BOX];
	struct envelope_binding place = {
		ENVELOPE_SLOT_PUBLIC, old->store, NULL, old->id, old->epoch};
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
