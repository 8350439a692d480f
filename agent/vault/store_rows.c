/* SPDX-License-Identifier: ISC */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store_db.h"

enum mortise_status store_meta(struct store *store, struct store_meta *out_meta)
{
	sqlite3_stmt *statement = store_statement(store, GET_META);
	struct store_meta meta;
	int code = sqlite3_step(statement);
	enum mortise_status status = MORTISE_INTEGRITY;

	if (code == SQLITE_ROW) {
		struct store_bytes uuid = store_column_bytes(statement, 1);
		struct store_bytes tally = store_column_bytes(statement, 4);
		if (store_column_number(statement, 0) == STORE_FORMAT &&
			uuid.size == STORE_ID_SIZE && tally.size == STORE_HASH_SIZE) {
			memcpy(meta.uuid, uuid.bytes, STORE_ID_SIZE);
			memcpy(meta.tally, tally.bytes, STORE_HASH_SIZE);
			meta.epoch = store_column_number(statement, 2);
			meta.generation = store_column_number(statement, 3);
			status = MORTISE_OK;
		}
	} else {
		status = code == SQLITE_DONE ? MORTISE_NOT_FOUND : store_judge(store, code);
	}
	sqlite3_reset(statement);
	if (status == MORTISE_OK)
		*out_meta = meta;
	return status;
}

enum mortise_status store_put_meta(struct store *store, const struct store_meta *meta)
{
	sqlite3_stmt *statement = store_statement(store, PUT_META);

	store_bind_number(statement, 1, STORE_FORMAT);
	store_bind_bytes(statement, 2, meta->uuid, STORE_ID_SIZE);
	store_bind_number(statement, 3, meta->epoch);
	store_bind_number(statement, 4, meta->generation);
	store_bind_bytes(statement, 5, meta->tally, STORE_HASH_SIZE);
	TRY(store_finish(store, statement));
	store->epoch = meta->epoch;
	return MORTISE_OK;
}

enum mortise_status store_put_item(
	struct store *store, enum store_item kind, uint64_t number, struct store_bytes body)
{
	sqlite3_stmt *statement = store_statement(store, PUT_ITEM);

	if (body.size > STORE_ITEM_MAX)
		return MORTISE_INVALID;
	store_bind_number(statement, 1, kind);
	store_bind_number(statement, 2, number);
	store_bind_bytes(statement, 3, body.bytes, body.size);
	return store_finish(store, statement);
}

enum mortise_status store_delete_item(struct store *store, enum store_item kind, uint64_t number)
{
	sqlite3_stmt *statement = store_statement(store, DELETE_ITEM);

	store_bind_number(statement, 1, kind);
	store_bind_number(statement, 2, number);
	return store_finish(store, statement);
}

enum mortise_status store_put_secret(struct store *store, const uint8_t id[STORE_ID_SIZE],
	const uint8_t path_hash[STORE_HASH_SIZE], struct store_bytes head)
{
	sqlite3_stmt *statement = store_statement(store, PUT_SECRET);

	store_bind_bytes(statement, 1, id, STORE_ID_SIZE);
	store_bind_bytes(statement, 2, path_hash, STORE_HASH_SIZE);
	store_bind_bytes(statement, 3, head.bytes, head.size);
	return store_finish(store, statement);
}

enum mortise_status store_put_version(
	struct store *store, const uint8_t id[STORE_ID_SIZE], const struct store_version *version)
{
	sqlite3_stmt *statement = store_statement(store, PUT_VERSION);

	store_bind_bytes(statement, 1, id, STORE_ID_SIZE);
	store_bind_number(statement, 2, version->number);
	store_bind_bytes(statement, 3, version->wrapped_key, STORE_KEY_SIZE);
	store_bind_bytes(statement, 4, version->info.bytes, version->info.size);
	store_bind_number(statement, 5, version->value_epoch);
	return store_finish(store, statement);
}

enum mortise_status store_put_value(struct store *store, const uint8_t id[STORE_ID_SIZE],
	const struct store_version *version, struct store_bytes value)
{
	sqlite3_stmt *statement = store_statement(store, PUT_VALUE);

	store_bind_bytes(statement, 1, id, STORE_ID_SIZE);
	store_bind_number(statement, 2, version->number);
	store_bind_bytes(statement, 3, value.bytes, value.size);
	store_bind_number(statement, 4, version->value_epoch);
	return store_finish(store, statement);
}

enum mortise_status store_delete_version(
	struct store *store, const uint8_t id[STORE_ID_SIZE], uint64_t number)
{
	sqlite3_stmt *statement = store_statement(store, DELETE_VERSION);

	store_bind_bytes(statement, 1, id, STORE_ID_SIZE);
	store_bind_number(statement, 2, number);
	return store_finish(store, statement);
}

enum mortise_status store_delete_value(
	struct store *store, const uint8_t id[STORE_ID_SIZE], uint64_t number, uint64_t value_epoch)
{
	sqlite3_stmt *statement = store_statement(store, DELETE_VALUE);

	store_bind_bytes(statement, 1, id, STORE_ID_SIZE);
	store_bind_number(statement, 2, number);
	store_bind_number(statement, 3, value_epoch);
	return store_finish(store, statement);
}

/* Visits the rows of a prepared statement. */
static enum mortise_status each(struct store *store, sqlite3_stmt *statement,
	enum mortise_status (*row)(sqlite3_stmt *, void *), void *context)
{
	enum mortise_status status = MORTISE_OK;
	int code = SQLITE_DONE;

	while (status == MORTISE_OK && (code = sqlite3_step(statement)) == SQLITE_ROW)
		status = row(statement, context);
	if (status == MORTISE_OK && code != SQLITE_DONE)
		status = store_judge(store, code);
	store_rest(statement);
	return status;
}

/* The bounds of the ids that start with first..last: lower <= id < upper. */
struct range {
	uint8_t lower[1], upper[STORE_ID_SIZE + 1];
	size_t lower_size, upper_size;
};

static void bind_range(
	sqlite3_stmt *statement, uint8_t first, uint8_t last, struct range *out_range)
{
	memset(out_range->upper, 0xff, sizeof out_range->upper);
	out_range->lower[0] = first;
	out_range->lower_size = first > 0;
	out_range->upper_size = sizeof out_range->upper;
	if (last < 255) {
		out_range->upper[0] = (uint8_t)(last + 1);
		out_range->upper_size = 1;
	}
	store_bind_bytes(statement, 1, out_range->lower, out_range->lower_size);
	store_bind_bytes(statement, 2, out_range->upper, out_range->upper_size);
}

/* All means all: a hostile file has ids that no range would find. */
static sqlite3_stmt *ranged(struct store *store, enum statement all, enum statement each_of_range,
	uint8_t first, uint8_t last, struct range *out_range)
{
	sqlite3_stmt *statement = store_statement(store, each_of_range);

	if (first == 0 && last == 255)
		return store_statement(store, all);
	bind_range(statement, first, last, out_range);
	return statement;
}

struct item_walk {
	store_item_visit *visit;
	void *context;
};

static enum mortise_status item_row(sqlite3_stmt *statement, void *context)
{
	const struct item_walk *walk = context;
	uint64_t kind = store_column_number(statement, 0);
	struct store_bytes body = store_column_bytes(statement, 2);

	if (kind < STORE_SLOT || kind > STORE_ITEM_LAST || body.size > STORE_ITEM_MAX)
		return MORTISE_INTEGRITY;
	return walk->visit(
		walk->context, (enum store_item)kind, store_column_number(statement, 1), body);
}

enum mortise_status store_each_item(struct store *store, store_item_visit *visit, void *context)
{
	struct item_walk walk = {visit, context};

	return each(store, store_statement(store, EACH_ITEM), item_row, &walk);
}

struct secret_walk {
	store_secret_visit *visit;
	void *context;
};

static enum mortise_status secret_row(sqlite3_stmt *statement, void *context)
{
	const struct secret_walk *walk = context;
	struct store_bytes id = store_column_bytes(statement, 0);
	struct store_bytes path_hash = store_column_bytes(statement, 1);
	struct store_bytes head = store_column_bytes(statement, 2);

	if (id.size != STORE_ID_SIZE || path_hash.size != STORE_HASH_SIZE ||
		head.size > STORE_HEAD_MAX)
		return MORTISE_INTEGRITY;
	return walk->visit(walk->context, id.bytes, path_hash.bytes, head);
}

enum mortise_status store_each_secret(
	struct store *store, uint8_t first, uint8_t last, store_secret_visit *visit, void *context)
{
	struct secret_walk walk = {visit, context};
	struct range range;

	return each(store, ranged(store, ALL_SECRETS, EACH_SECRET, first, last, &range), secret_row,
		&walk);
}

struct version_walk {
	store_version_visit *visit;
	void *context;
};

static enum mortise_status version_row(sqlite3_stmt *statement, void *context)
{
	const struct version_walk *walk = context;
	struct store_bytes id = store_column_bytes(statement, 0);
	struct store_bytes key = store_column_bytes(statement, 2);
	struct store_bytes info = store_column_bytes(statement, 3);

	if (id.size != STORE_ID_SIZE || key.size != STORE_KEY_SIZE || info.size > STORE_INFO_MAX)
		return MORTISE_INTEGRITY;
	const struct store_version version = {store_column_number(statement, 1),
		store_column_number(statement, 4), key.bytes, info};
	return walk->visit(walk->context, id.bytes, &version);
}

enum mortise_status store_each_version(
	struct store *store, uint8_t first, uint8_t last, store_version_visit *visit, void *context)
{
	struct version_walk walk = {visit, context};
	struct range range;

	return each(store, ranged(store, ALL_VERSIONS, EACH_VERSION, first, last, &range),
		version_row, &walk);
}

/* Steps to the one row of a SELECT and copies its first column. */
static enum mortise_status copy_blob(struct store *store, sqlite3_stmt *statement, size_t size_max,
	uint8_t **out_bytes, size_t *out_size)
{
	int code = sqlite3_step(statement);

	if (code == SQLITE_DONE)
		return MORTISE_NOT_FOUND;
	if (code != SQLITE_ROW)
		return store_judge(store, code);
	struct store_bytes blob = store_column_bytes(statement, 0);
	if (!blob.size || blob.size > size_max)
		return MORTISE_INTEGRITY;
	uint8_t *bytes = malloc(blob.size);
	if (!bytes)
		return MORTISE_BUSY;
	memcpy(bytes, blob.bytes, blob.size);
	*out_bytes = bytes;
	*out_size = blob.size;
	return MORTISE_OK;
}

enum mortise_status store_item(struct store *store, enum store_item kind, uint64_t number,
	uint8_t **out_bytes, size_t *out_size)
{
	sqlite3_stmt *statement = store_statement(store, GET_ITEM);

	store_bind_number(statement, 1, kind);
	store_bind_number(statement, 2, number);
	enum mortise_status status =
		copy_blob(store, statement, STORE_ITEM_MAX, out_bytes, out_size);
	sqlite3_reset(statement);
	return status;
}

enum mortise_status store_value(struct store *store, const uint8_t id[STORE_ID_SIZE],
	uint64_t number, uint64_t value_epoch, uint8_t **out_bytes, size_t *out_size)
{
	sqlite3_stmt *statement = store_statement(store, GET_VALUE);

	store_bind_bytes(statement, 1, id, STORE_ID_SIZE);
	store_bind_number(statement, 2, number);
	store_bind_number(statement, 3, value_epoch);
	enum mortise_status status =
		copy_blob(store, statement, STORE_VALUE_MAX, out_bytes, out_size);
	store_rest(statement);
	return status == MORTISE_NOT_FOUND ? MORTISE_INTEGRITY : status;
}

enum mortise_status store_count_values(
	struct store *store, uint8_t first, uint8_t last, uint64_t *out_count)
{
	sqlite3_stmt *statement = store_statement(store, COUNT_VALUES);
	struct range range;

	bind_range(statement, first, last, &range);
	int code = sqlite3_step(statement);
	enum mortise_status status = code == SQLITE_ROW ? MORTISE_OK : store_judge(store, code);
	if (status == MORTISE_OK)
		*out_count = store_column_number(statement, 0);
	store_rest(statement);
	return status;
}

enum mortise_status store_hold(struct store *store, char out_word[STORE_HOLD_MAX])
{
	sqlite3_stmt *statement = store_statement(store, GET_HOLD);
	enum mortise_status status = MORTISE_OK;
	int code = sqlite3_step(statement);

	if (code == SQLITE_ROW) {
		const char *text = (const char *)sqlite3_column_text(statement, 0);
		if (text && strlen(text) < STORE_HOLD_MAX)
			snprintf(out_word, STORE_HOLD_MAX, "%s", text);
		else if (!text && sqlite3_errcode(store->db) == SQLITE_NOMEM)
			status = store_judge(store, SQLITE_NOMEM);
		else
			status = MORTISE_INTEGRITY;
	} else if (code == SQLITE_DONE) {
		out_word[0] = '\0';
	} else {
		status = store_judge(store, code);
	}
	sqlite3_reset(statement);
	return status;
}

enum mortise_status store_set_hold(struct store *store, const char *word)
{
	if (store->is_frozen)
		return MORTISE_CONFLICT;
	sqlite3_stmt *statement = store_statement(store, PUT_HOLD);

	sqlite3_bind_text(statement, 1, word, -1, SQLITE_STATIC);
	return store_finish(store, statement);
}

/* Rows of other epochs than the store's: what a rekey writes first and leaves behind. */

/* Items last: they are few, and while one is there a sweep is known to be unfinished. */
static const struct {
	enum statement find, sweep;
} tables[] = {
	{OTHER_VERSIONS, SWEEP_VERSIONS},
	{OTHER_SECRETS, SWEEP_SECRETS},
	{OTHER_ITEMS, SWEEP_ITEMS},
};

#define TABLES (sizeof tables / sizeof tables[0])

void store_use_epoch(struct store *store, uint64_t epoch)
{
	store->epoch = epoch;
}

/* An epoch that is not the store's, and of which the table has rows. */
static enum mortise_status find_other(
	struct store *store, enum statement which, bool *out_found, uint64_t *out_epoch)
{
	sqlite3_stmt *statement = store_statement(store, which);
	int code = sqlite3_step(statement);
	enum mortise_status status = MORTISE_OK;

	*out_found = code == SQLITE_ROW;
	if (code == SQLITE_ROW)
		*out_epoch = store_column_number(statement, 0);
	else if (code != SQLITE_DONE)
		status = store_judge(store, code);
	sqlite3_reset(statement);
	return status;
}

enum mortise_status store_has_leftovers(struct store *store, bool *out_has)
{
	bool found = false;
	uint64_t epoch = 0;

	for (size_t i = 0; i < TABLES && !found; i++)
		TRY(find_other(store, tables[i].find, &found, &epoch));
	*out_has = found;
	return MORTISE_OK;
}

enum mortise_status store_sweep(struct store *store, unsigned limit, unsigned *out_count)
{
	bool found = false;
	uint64_t epoch = 0;
	size_t i = 0;

	for (; i < TABLES && !found; i++)
		TRY(find_other(store, tables[i].find, &found, &epoch));
	if (!found) {
		*out_count = 0;
		return MORTISE_OK;
	}
	sqlite3_stmt *statement = store_statement(store, tables[i - 1].sweep);
	store_bind_number(statement, 1, epoch);
	store_bind_number(statement, 2, limit);
	TRY(store_finish(store, statement));
	*out_count = (unsigned)sqlite3_changes(store->db);
	return MORTISE_OK;
}

static enum mortise_status wipe(
	struct store *store, enum statement which, const uint8_t *id, uint64_t number)
{
	sqlite3_stmt *statement = store_statement(store, which);

	store_bind_bytes(statement, 1, id, STORE_ID_SIZE);
	if (number)
		store_bind_number(statement, 2, number);
	return store_finish(store, statement);
}

enum mortise_status store_delete_secret(struct store *store, const uint8_t id[STORE_ID_SIZE])
{
	return wipe(store, DELETE_SECRET, id, 0);
}

enum mortise_status store_wipe_version(
	struct store *store, const uint8_t id[STORE_ID_SIZE], uint64_t number)
{
	TRY(wipe(store, WIPE_VERSION, id, number));
	return wipe(store, WIPE_VALUE, id, number);
}

enum mortise_status store_wipe_secret(struct store *store, const uint8_t id[STORE_ID_SIZE])
{
	TRY(wipe(store, WIPE_VERSIONS, id, 0));
	TRY(wipe(store, WIPE_VALUES, id, 0));
	return wipe(store, WIPE_SECRET, id, 0);
}

static enum mortise_status take_place(sqlite3_stmt *statement, struct store_place *out_place)
{
	struct store_bytes id = store_column_bytes(statement, 0);

	if (id.size != STORE_ID_SIZE)
		return MORTISE_INTEGRITY;
	memcpy(out_place->id, id.bytes, STORE_ID_SIZE);
	out_place->number = store_column_number(statement, 1);
	out_place->value_epoch = store_column_number(statement, 2);
	return MORTISE_OK;
}

enum mortise_status store_next_values(struct store *store, const struct store_place *after,
	unsigned limit, struct store_place *out_places, unsigned *out_count)
{
	sqlite3_stmt *statement = store_statement(store, NEXT_VALUES);
	enum mortise_status status = MORTISE_OK;
	unsigned count = 0;
	int code = SQLITE_DONE;

	store_bind_bytes(statement, 1, after->id, STORE_ID_SIZE);
	store_bind_number(statement, 2, after->number);
	store_bind_number(statement, 3, after->value_epoch);
	store_bind_number(statement, 4, limit);
	while (status == MORTISE_OK && count < limit &&
		(code = sqlite3_step(statement)) == SQLITE_ROW)
		status = take_place(statement, &out_places[count++]);
	if (status == MORTISE_OK && code != SQLITE_DONE && code != SQLITE_ROW)
		status = store_judge(store, code);
	store_rest(statement);
	if (status == MORTISE_OK)
		*out_count = count;
	return status;
}
