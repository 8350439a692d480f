/* SPDX-License-Identifier: ISC */
/*
 * Places where the audit log was damaged: items that are not encrypted, for they are wanted while
 * the vault is sealed; then they are words of whoever can write the disk, and afterwards the
 * tally vouches for them.
 */
#include <stdlib.h>
#include <string.h>

#include "vault_rows.h"

#define RECORD_GAP   7 /* of docs/store.md */
#define GAP_SIZE_MAX 1024

static void release(uint8_t **bytes)
{
	free(*bytes);
}

static bool take_bytes(const struct wire_message *record, enum wire_tag tag, uint8_t out_bytes[32])
{
	const struct wire_field *field = &record->field[tag];

	if (!field->bytes || field->size != 32)
		return false;
	memcpy(out_bytes, field->bytes, 32);
	return true;
}

static enum mortise_status parse(struct store_bytes body, struct vault_gap *out_gap)
{
	struct vault_gap gap = {.sequence = 0};
	struct wire_message record;
	uint64_t uid = 0;

	if (wire_parse(body.bytes, body.size, &record) != MORTISE_OK || record.code != RECORD_GAP ||
		wire_text(&record, WIRE_TAG_TEXT, gap.why, sizeof gap.why) != MORTISE_OK ||
		wire_number(&record, WIRE_TAG_VERSION, &gap.sequence) != MORTISE_OK ||
		wire_number(&record, WIRE_TAG_TIME, &gap.found_us) != MORTISE_OK ||
		!take_bytes(&record, WIRE_TAG_BLOB, gap.head) ||
		!take_bytes(&record, WIRE_TAG_PUBLIC, gap.key))
		return MORTISE_INTEGRITY;
	if (wire_has(&record, WIRE_TAG_DONE) &&
		(wire_number(&record, WIRE_TAG_DONE, &gap.acknowledged_us) != MORTISE_OK ||
			wire_number(&record, WIRE_TAG_NUMBER, &uid) != MORTISE_OK ||
			wire_text(&record, WIRE_TAG_NOTE, gap.note, sizeof gap.note) != MORTISE_OK))
		return MORTISE_INTEGRITY;
	gap.uid = (uint32_t)uid;
	*out_gap = gap;
	return MORTISE_OK;
}

static size_t write_record(const struct vault_gap *gap, uint8_t buffer[GAP_SIZE_MAX])
{
	struct wire_writer writer;

	wire_begin(&writer, buffer, GAP_SIZE_MAX, RECORD_GAP, 0);
	wire_put_text(&writer, WIRE_TAG_TEXT, gap->why);
	wire_put_number(&writer, WIRE_TAG_VERSION, gap->sequence);
	if (gap->acknowledged_us)
		wire_put_number(&writer, WIRE_TAG_NUMBER, gap->uid);
	wire_put_number(&writer, WIRE_TAG_TIME, gap->found_us);
	if (gap->acknowledged_us)
		wire_put_number(&writer, WIRE_TAG_DONE, gap->acknowledged_us);
	wire_put(&writer, WIRE_TAG_BLOB, gap->head, sizeof gap->head);
	wire_put(&writer, WIRE_TAG_PUBLIC, gap->key, sizeof gap->key);
	if (gap->acknowledged_us)
		wire_put_text(&writer, WIRE_TAG_NOTE, gap->note);
	return wire_finish(&writer);
}

static enum mortise_status put(struct vault *vault, uint64_t number, const struct vault_gap *gap)
{
	uint8_t record[GAP_SIZE_MAX];
	size_t size = write_record(gap, record);

	if (size == 0)
		return MORTISE_INVALID;
	return vault_commit_item(vault, STORE_GAP, number, (struct store_bytes){record, size});
}

/* Room for one more: the oldest that was acknowledged goes. MORTISE_CONFLICT if none was. */
static enum mortise_status make_room(struct vault *vault)
{
	uint64_t number = 0, count = 0, oldest = 0;

	while ((number = index_next_item(vault->index, STORE_GAP, number))) {
		struct vault_gap gap;

		count++;
		TRY(vault_gap(vault, number, &gap));
		if (oldest == 0 && gap.acknowledged_us)
			oldest = number;
	}
	if (count < VAULT_GAPS_MAX)
		return MORTISE_OK;
	return oldest ? vault_commit_item(vault, STORE_GAP, oldest, (struct store_bytes){NULL, 0})
		      : MORTISE_CONFLICT;
}

enum mortise_status vault_add_gap(struct vault *vault, const struct vault_gap *gap)
{
	TRY(make_room(vault));
	return put(vault, index_last_item(vault->index, STORE_GAP) + 1, gap);
}

enum mortise_status vault_acknowledge_gap(
	struct vault *vault, uint64_t number, const struct vault_gap *gap)
{
	if (index_next_item(vault->index, STORE_GAP, number - 1) != number)
		return MORTISE_NOT_FOUND;
	return put(vault, number, gap);
}

uint64_t vault_next_gap(const struct vault *vault, uint64_t after)
{
	return index_next_item(vault->index, STORE_GAP, after);
}

enum mortise_status vault_gap(struct vault *vault, uint64_t number, struct vault_gap *out_gap)
{
	CLEANUP(release) uint8_t *bytes = NULL;
	size_t size = 0;

	TRY(vault_item(vault, STORE_GAP, number, &bytes, &size));
	return parse((struct store_bytes){bytes, size}, out_gap);
}

struct gap_walk {
	vault_gap_visit *visit;
	void *context;
};

/* What is none while the store is sealed is passed over: the tally will say so. */
static enum mortise_status visit_item(
	void *context, enum store_item kind, uint64_t number, struct store_bytes body)
{
	const struct gap_walk *walk = context;
	struct vault_gap gap;

	(void)number;
	if (kind == STORE_GAP && parse(body, &gap) == MORTISE_OK)
		walk->visit(walk->context, &gap);
	return MORTISE_OK;
}

enum mortise_status vault_gaps_while_sealed(
	struct store *store, vault_gap_visit *visit, void *context)
{
	struct gap_walk walk = {visit, context};

	return store_each_item(store, visit_item, &walk);
}
