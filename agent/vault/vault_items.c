/* SPDX-License-Identifier: ISC */
#include <stdlib.h>
#include <string.h>

#include "records.h"
#include "slots.h"
#include "vault_commit.h"

static struct slot_identity identity_of(const struct vault *vault, uint64_t id)
{
	return (struct slot_identity){vault->meta.uuid, id, vault->meta.epoch};
}

static void release(uint8_t **bytes)
{
	free(*bytes);
}

uint64_t vault_next_slot(const struct vault *vault, uint64_t after)
{
	return index_next_item(vault->index, STORE_SLOT, after);
}

enum mortise_status vault_slot(struct vault *vault, uint64_t id, struct slot_copy *out_copy)
{
	CLEANUP(release) uint8_t *record = NULL;
	size_t size = 0;

	if (!id)
		return MORTISE_NOT_FOUND;
	TRY(vault_item(vault, STORE_SLOT, id, &record, &size));
	TRY(slot_read((struct store_bytes){record, size}, &out_copy->slot));
	out_copy->record = record;
	record = NULL;
	return MORTISE_OK;
}

static size_t count_slots(const struct vault *vault)
{
	size_t count = 0;

	for (uint64_t id = 0; (id = vault_next_slot(vault, id));)
		count++;
	return count;
}

enum mortise_status vault_put_slot(
	struct vault *vault, uint64_t id, const struct slot_making *making, uint64_t *out_id)
{
	uint64_t number = id ? id : index_last_item(vault->index, STORE_SLOT) + 1;
	struct slot_identity identity = identity_of(vault, number);
	struct slot_making slot = *making;
	uint8_t record[SLOT_RECORD_MAX];
	size_t size = 0;

	if (id && index_next_item(vault->index, STORE_SLOT, id - 1) != id)
		return MORTISE_NOT_FOUND;
	if (!id && count_slots(vault) >= VAULT_SLOTS_MAX)
		return MORTISE_CONFLICT;
	slot.master_key = vault->keyring.key[KEY_MASTER];
	slot.label_key = vault->keyring.key[KEY_LABEL];
	TRY(slot_make(&identity, &slot, record, &size));
	TRY(vault_commit_item(vault, STORE_SLOT, number, (struct store_bytes){record, size}));
	/* What was there before opens no more, from the log neither; if that fails SQLite writes
	 * over it later. */
	if (id)
		(void)!store_truncate_log(vault->store);
	*out_id = number;
	return MORTISE_OK;
}

/* Would a slot that is there to stay remain without this one? */
static enum mortise_status find_another(struct vault *vault, uint64_t but, bool *out_found)
{
	for (uint64_t id = 0; (id = vault_next_slot(vault, id));) {
		CLEANUP(slot_copy_done) struct slot_copy copy = {.record = NULL};
		TRY(vault_slot(vault, id, &copy));
		if (id != but && !slot_is_passing(&copy.slot)) {
			*out_found = true;
			return MORTISE_OK;
		}
	}
	return MORTISE_OK;
}

enum mortise_status vault_remove_slot(struct vault *vault, uint64_t id)
{
	bool found = false;

	if (!id || index_next_item(vault->index, STORE_SLOT, id - 1) != id)
		return MORTISE_NOT_FOUND;
	TRY(find_another(vault, id, &found));
	if (!found)
		return MORTISE_CONFLICT;
	TRY(vault_commit_item(vault, STORE_SLOT, id, (struct store_bytes){NULL, 0}));
	/* It is gone for all who read the store; if this fails SQLite writes over it later. */
	(void)!store_truncate_log(vault->store);
	return MORTISE_OK;
}

enum mortise_status vault_try_slot(struct vault *vault, uint64_t id, const struct secret *h)
{
	struct slot_identity identity = identity_of(vault, id);
	CLEANUP(secret_drop) struct secret *master_key = NULL;
	CLEANUP(slot_copy_done) struct slot_copy copy = {.record = NULL};

	TRY(vault_slot(vault, id, &copy));
	TRY(slot_open(&identity, &copy.slot, h, &master_key));
	return secret_equals(master_key, vault->keyring.key[KEY_MASTER]) ? MORTISE_OK
									 : MORTISE_INTEGRITY;
}

const struct secret *vault_master_key(const struct vault *vault)
{
	return vault->keyring.key[KEY_MASTER];
}

#define POLICIES_KEPT 10
#define AUDIT_NUMBER  1
#define ANCHOR_NUMBER 1

struct putting {
	uint64_t epoch;
	enum store_item kind;
	uint64_t number;
	struct store_bytes body;
};

static enum mortise_status put_item(struct store *store, void *context)
{
	const struct putting *putting = context;

	if (!putting->body.bytes)
		return store_delete_item(store, putting->epoch, putting->kind, putting->number);
	return store_put_item(store, putting->epoch, putting->kind, putting->number, putting->body);
}

static enum mortise_status commit_item(struct vault *vault, const struct index_change *change)
{
	struct putting putting = {vault->meta.epoch, change->kind, change->number, change->body};

	TRY(vault_commit(vault, change, put_item, &putting));
	if (!change->body.bytes)
		index_delete_item(vault->index, change->kind, change->number);
	else if (index_put_item(vault->index, change->kind, change->number, change->body) !=
		 MORTISE_OK)
		vault->is_stale = true; /* committed, but our index lacks it */
	return MORTISE_OK;
}

enum mortise_status vault_commit_item(
	struct vault *vault, enum store_item kind, uint64_t number, struct store_bytes body)
{
	return commit_item(
		vault, &(struct index_change){.kind = kind, .number = number, .body = body});
}

static enum mortise_status commit_hints(struct vault *vault, uint64_t id, const struct slot *slot,
	const struct slot_hints *hints, bool is_slight)
{
	uint8_t hinted[SLOT_RECORD_MAX];
	size_t size = 0;

	TRY(slot_hint(slot, hints, hinted, &size));
	return commit_item(vault, &(struct index_change){.kind = STORE_SLOT,
					  .number = id,
					  .body = {hinted, size},
					  .is_slight = is_slight});
}

enum mortise_status vault_hint_slot(
	struct vault *vault, uint64_t id, const struct slot_hints *hints)
{
	CLEANUP(slot_copy_done) struct slot_copy copy = {.record = NULL};

	TRY(vault_slot(vault, id, &copy));
	return commit_hints(vault, id, &copy.slot, hints, false);
}

enum mortise_status vault_date_slot(
	struct vault *vault, uint64_t id, const struct slot_hints *hints)
{
	CLEANUP(slot_copy_done) struct slot_copy copy = {.record = NULL};

	TRY(vault_slot(vault, id, &copy));
	struct slot_hints dates = copy.slot.hints;
	dates.opened_us = hints->opened_us;
	dates.tested_us = hints->tested_us;
	return commit_hints(vault, id, &copy.slot, &dates, true);
}

const struct secret *item_key(const struct vault *vault, enum store_item kind)
{
	return vault->keyring.key[kind == STORE_AUDIT ? KEY_AUDIT : KEY_LABEL];
}

static enum mortise_status seal_item(
	struct vault *vault, enum store_item kind, uint64_t number, struct store_bytes plain)
{
	struct envelope_binding place = item_binding(vault, kind, number);
	size_t size = plain.size + ENVELOPE_OVERHEAD;
	uint8_t *sealed = malloc(size);

	if (!sealed)
		return MORTISE_BUSY;
	envelope_seal(item_key(vault, kind), &place, plain.bytes, plain.size, sealed);
	enum mortise_status status =
		vault_commit_item(vault, kind, number, (struct store_bytes){sealed, size});
	free(sealed);
	return status;
}

enum mortise_status vault_item(struct vault *vault, enum store_item kind, uint64_t number,
	uint8_t **out_bytes, size_t *out_size)
{
	uint8_t *bytes = NULL;
	size_t size = 0;

	if (index_next_item(vault->index, kind, number - 1) != number)
		return MORTISE_NOT_FOUND;
	enum mortise_status status = store_item(vault->store, kind, number, &bytes, &size);
	if (status == MORTISE_NOT_FOUND)
		return MORTISE_INTEGRITY;
	TRY(status);
	if (size < ENVELOPE_OVERHEAD ||
		!index_has_item(vault->index, kind, number, (struct store_bytes){bytes, size})) {
		free(bytes);
		return MORTISE_INTEGRITY;
	}
	*out_bytes = bytes;
	*out_size = size;
	return MORTISE_OK;
}

enum mortise_status vault_policy(struct vault *vault, uint64_t version, uint8_t **out_policy,
	size_t *out_size, uint64_t *out_version)
{
	uint64_t number = version ? version : index_last_item(vault->index, STORE_POLICY);
	CLEANUP(release) uint8_t *sealed = NULL;
	size_t sealed_size = 0;

	if (number == 0)
		return MORTISE_NOT_FOUND;
	TRY(vault_item(vault, STORE_POLICY, number, &sealed, &sealed_size));
	struct envelope_binding place = item_binding(vault, STORE_POLICY, number);
	CLEANUP(release) uint8_t *plain = malloc(sealed_size - ENVELOPE_OVERHEAD + 1);
	if (!plain)
		return MORTISE_BUSY;
	TRY(envelope_open_into(vault->keyring.key[KEY_LABEL], &place, sealed, sealed_size, plain));
	*out_size = sealed_size - ENVELOPE_OVERHEAD;
	*out_version = number;
	*out_policy = plain;
	plain = NULL;
	return MORTISE_OK;
}

/* A policy that is applied counts even where an old one cannot be forgotten. */
static void forget_old_policies(struct vault *vault, uint64_t newest)
{
	uint64_t oldest = index_next_item(vault->index, STORE_POLICY, 0);

	if (oldest && oldest + POLICIES_KEPT <= newest &&
		vault_commit_item(vault, STORE_POLICY, oldest, (struct store_bytes){NULL, 0}) !=
			MORTISE_OK)
		vault->is_stale = true;
}

enum mortise_status vault_set_policy(
	struct vault *vault, struct store_bytes policy, uint64_t *out_version)
{
	uint64_t number = index_last_item(vault->index, STORE_POLICY) + 1;

	TRY(seal_item(vault, STORE_POLICY, number, policy));
	forget_old_policies(vault, number);
	*out_version = number;
	return MORTISE_OK;
}

static enum mortise_status open_item(
	struct vault *vault, enum store_item kind, uint64_t number, struct secret **out_plain)
{
	CLEANUP(release) uint8_t *sealed = NULL;
	size_t size = 0;

	TRY(vault_item(vault, kind, number, &sealed, &size));
	struct envelope_binding place = item_binding(vault, kind, number);
	return envelope_open(item_key(vault, kind), &place, sealed, size, out_plain);
}

enum mortise_status vault_audit_state(struct vault *vault, struct secret **out_state)
{
	return open_item(vault, STORE_AUDIT, AUDIT_NUMBER, out_state);
}

enum mortise_status vault_set_audit_state(struct vault *vault, const struct secret *state)
{
	return seal_item(
		vault, STORE_AUDIT, AUDIT_NUMBER, (struct store_bytes){state->bytes, state->size});
}

struct vault_age vault_age(const struct vault *vault)
{
	return (struct vault_age){vault->meta.generation, vault->commits, vault->weighty_commits};
}

void vault_set_target_generation(struct vault *vault, uint64_t target)
{
	vault->target_generation = target;
}

static enum mortise_status put_nothing(struct store *store, void *context)
{
	(void)store;
	(void)context;
	return MORTISE_OK;
}

enum mortise_status vault_raise_generation(struct vault *vault)
{
	return vault_commit(vault, NULL, put_nothing, NULL);
}

/* A new anchor starts where its counter stands, which may be below the one before. */
enum mortise_status vault_set_anchor(
	struct vault *vault, const struct secret *anchor, uint64_t generation)
{
	uint64_t before = vault->meta.generation, target = vault->target_generation;
	struct store_bytes plain = {anchor ? anchor->bytes : NULL, anchor ? anchor->size : 0};

	vault->meta.generation = 0;
	vault->target_generation = generation;
	enum mortise_status status =
		anchor ? seal_item(vault, STORE_ANCHOR, ANCHOR_NUMBER, plain)
		       : vault_commit_item(vault, STORE_ANCHOR, ANCHOR_NUMBER, plain);
	if (status != MORTISE_OK) {
		vault->meta.generation = before;
		vault->target_generation = target;
	}
	return status;
}

enum mortise_status vault_anchor(struct vault *vault, struct secret **out_anchor)
{
	return open_item(vault, STORE_ANCHOR, ANCHOR_NUMBER, out_anchor);
}

enum mortise_status vault_forget_old(struct vault *vault)
{
	return store_truncate_log(vault->store);
}

/*
 * The clock's floor: an item that is not encrypted, since it is wanted while the vault is sealed.
 * Then it is a word of whoever can write the disk; once the vault is open the tally vouches for it.
 */

#define FLOOR_NUMBER   1
#define FLOOR_SIZE_MAX 128
#define RECORD_FLOOR   6 /* of docs/store.md */

static enum mortise_status parse_floor(
	const uint8_t *bytes, size_t size, struct clock_floor *out_floor)
{
	struct clock_floor floor = {.wall_us = 0};
	struct wire_message record;

	if (wire_parse(bytes, size, &record) != MORTISE_OK || record.code != RECORD_FLOOR ||
		wire_text(&record, RECORD_TAG_TEXT, floor.boot, sizeof floor.boot) != MORTISE_OK ||
		wire_number(&record, RECORD_TAG_NUMBER, &floor.steady_us) != MORTISE_OK ||
		wire_number(&record, RECORD_TAG_TIME, &floor.wall_us) != MORTISE_OK)
		return MORTISE_INTEGRITY;
	*out_floor = floor;
	return MORTISE_OK;
}

enum mortise_status vault_set_floor(struct vault *vault, const struct clock_floor *floor)
{
	uint8_t record[FLOOR_SIZE_MAX];
	struct wire_writer writer;

	wire_begin(&writer, record, sizeof record, RECORD_FLOOR, 0);
	wire_put_text(&writer, RECORD_TAG_TEXT, floor->boot);
	wire_put_number(&writer, RECORD_TAG_NUMBER, floor->steady_us);
	wire_put_number(&writer, RECORD_TAG_TIME, floor->wall_us);
	size_t size = wire_finish(&writer);
	if (size == 0)
		return MORTISE_INVALID;
	return vault_commit_item(
		vault, STORE_FLOOR, FLOOR_NUMBER, (struct store_bytes){record, size});
}

enum mortise_status vault_floor(struct vault *vault, struct clock_floor *out_floor)
{
	CLEANUP(release) uint8_t *bytes = NULL;
	size_t size = 0;

	TRY(vault_item(vault, STORE_FLOOR, FLOOR_NUMBER, &bytes, &size));
	return parse_floor(bytes, size, out_floor);
}

enum mortise_status vault_floor_while_sealed(struct store *store, struct clock_floor *out_floor)
{
	CLEANUP(release) uint8_t *bytes = NULL;
	size_t size = 0;

	TRY(store_item(store, STORE_FLOOR, FLOOR_NUMBER, &bytes, &size));
	return parse_floor(bytes, size, out_floor);
}

/*
 * Places where the audit log was damaged: items that are not encrypted, for they are wanted while
 * the vault is sealed; then they are words of whoever can write the disk, and afterwards the tally
 * vouches for them.
 */

#define RECORD_GAP   7 /* of docs/store.md */
#define GAP_SIZE_MAX 1024

static bool take_bytes(const struct wire_message *record, unsigned tag, uint8_t out_bytes[32])
{
	const struct wire_field *field = wire_field_of(record, tag);

	if (!field->bytes || field->size != 32)
		return false;
	memcpy(out_bytes, field->bytes, 32);
	return true;
}

static enum mortise_status parse_gap(struct store_bytes body, struct vault_gap *out_gap)
{
	struct vault_gap gap = {.sequence = 0};
	struct wire_message record;
	uint64_t uid = 0;

	if (wire_parse(body.bytes, body.size, &record) != MORTISE_OK || record.code != RECORD_GAP ||
		wire_text(&record, RECORD_TAG_TEXT, gap.why, sizeof gap.why) != MORTISE_OK ||
		wire_number(&record, RECORD_TAG_VERSION, &gap.sequence) != MORTISE_OK ||
		wire_number(&record, RECORD_TAG_TIME, &gap.found_us) != MORTISE_OK ||
		!take_bytes(&record, RECORD_TAG_BLOB, gap.head) ||
		!take_bytes(&record, RECORD_TAG_PUBLIC, gap.key))
		return MORTISE_INTEGRITY;
	if (wire_has(&record, RECORD_TAG_DONE) &&
		(wire_number(&record, RECORD_TAG_DONE, &gap.acknowledged_us) != MORTISE_OK ||
			wire_number(&record, RECORD_TAG_NUMBER, &uid) != MORTISE_OK ||
			wire_text(&record, RECORD_TAG_NOTE, gap.note, sizeof gap.note) !=
				MORTISE_OK))
		return MORTISE_INTEGRITY;
	gap.uid = (uint32_t)uid;
	*out_gap = gap;
	return MORTISE_OK;
}

static size_t write_record(const struct vault_gap *gap, uint8_t buffer[GAP_SIZE_MAX])
{
	struct wire_writer writer;

	wire_begin(&writer, buffer, GAP_SIZE_MAX, RECORD_GAP, 0);
	wire_put_text(&writer, RECORD_TAG_TEXT, gap->why);
	wire_put_number(&writer, RECORD_TAG_VERSION, gap->sequence);
	if (gap->acknowledged_us)
		wire_put_number(&writer, RECORD_TAG_NUMBER, gap->uid);
	wire_put_number(&writer, RECORD_TAG_TIME, gap->found_us);
	if (gap->acknowledged_us)
		wire_put_number(&writer, RECORD_TAG_DONE, gap->acknowledged_us);
	wire_put(&writer, RECORD_TAG_BLOB, gap->head, sizeof gap->head);
	wire_put(&writer, RECORD_TAG_PUBLIC, gap->key, sizeof gap->key);
	if (gap->acknowledged_us)
		wire_put_text(&writer, RECORD_TAG_NOTE, gap->note);
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
	return parse_gap((struct store_bytes){bytes, size}, out_gap);
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
	if (kind == STORE_GAP && parse_gap(body, &gap) == MORTISE_OK)
		walk->visit(walk->context, &gap);
	return MORTISE_OK;
}

enum mortise_status vault_gaps_while_sealed(
	struct store *store, vault_gap_visit *visit, void *context)
{
	struct gap_walk walk = {visit, context};

	return store_each_item(store, visit_item, &walk);
}
