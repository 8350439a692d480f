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
		struct store_bytes tally = store_column_bytes(statement, 5);
		if (store_column_number(statement, 0) == STORE_FORMAT &&
			uuid.size == STORE_ID_SIZE && tally.size == STORE_HASH_SIZE) {
			memcpy(meta.uuid, uuid.bytes, STORE_ID_SIZE);
			memcpy(meta.tally, tally.bytes, STORE_HASH_SIZE);
			meta.epoch = store_column_number(statement, 2);
			meta.generation = store_column_number(statement, 3);
			meta.last = store_column_number(statement, 4);
			status = meta.last <= STORE_NUMBER_MAX ? MORTISE_OK : MORTISE_INTEGRITY;
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
	store_bind_number(statement, 5, meta->last);
	store_bind_bytes(statement, 6, meta->tally, STORE_HASH_SIZE);
	TRY(store_finish(store, statement));
	store->next_epoch = meta->epoch;
	return MORTISE_OK;
}

enum mortise_status store_put_item(struct store *store, uint64_t epoch, enum store_item kind,
	uint64_t number, struct store_bytes body)
{
	sqlite3_stmt *statement = store_statement(store, PUT_ITEM);

	if (body.size > STORE_ITEM_MAX)
		return MORTISE_INVALID;
	store_bind_number(statement, 1, epoch);
	store_bind_number(statement, 2, kind);
	store_bind_number(statement, 3, number);
	store_bind_bytes(statement, 4, body.bytes, body.size);
	return store_finish(store, statement);
}

enum mortise_status store_delete_item(
	struct store *store, uint64_t epoch, enum store_item kind, uint64_t number)
{
	sqlite3_stmt *statement = store_statement(store, DELETE_ITEM);

	store_bind_number(statement, 1, epoch);
	store_bind_number(statement, 2, kind);
	store_bind_number(statement, 3, number);
	return store_finish(store, statement);
}

/* The row before an epoch's first: secrets of even epochs are in one half, of odd ones in the
 * other. */
static uint64_t half_of(uint64_t epoch)
{
	return (epoch & 1) << 62;
}

enum mortise_status store_put_secret(
	struct store *store, uint64_t epoch, uint64_t number, struct store_bytes record)
{
	sqlite3_stmt *statement = store_statement(store, PUT_SECRET);

	if (number == 0 || number > STORE_NUMBER_MAX || record.size > STORE_RECORD_MAX)
		return MORTISE_INVALID;
	store_bind_number(statement, 1, half_of(epoch) + number);
	store_bind_bytes(statement, 2, record.bytes, record.size);
	return store_finish(store, statement);
}

enum mortise_status store_delete_secret(struct store *store, uint64_t epoch, uint64_t number)
{
	sqlite3_stmt *statement = store_statement(store, DELETE_SECRET);

	store_bind_number(statement, 1, half_of(epoch) + number);
	return store_finish(store, statement);
}

static void bind_place(sqlite3_stmt *statement, const struct store_place *place)
{
	store_bind_number(statement, 1, place->place);
	store_bind_number(statement, 2, place->secret);
	store_bind_number(statement, 3, place->version);
}

enum mortise_status store_find_last_place(struct store *store)
{
	sqlite3_stmt *statement = store_statement(store, LAST_VALUE);
	int code = sqlite3_step(statement);
	enum mortise_status status = code == SQLITE_ROW ? MORTISE_OK : store_judge(store, code);

	/* Where the end of the table is damaged what is there can be read, and nothing be added. */
	if (status == MORTISE_OK)
		store->last_place = store_column_number(statement, 0);
	else if (status == MORTISE_INTEGRITY)
		store->last_place = STORE_PLACE_MAX;
	store_rest(statement);
	return status == MORTISE_INTEGRITY ? MORTISE_OK : status;
}

enum mortise_status store_new_place(struct store *store, uint64_t *out_place)
{
	if (store->last_place >= STORE_PLACE_MAX)
		return MORTISE_INTEGRITY;
	*out_place = ++store->last_place;
	return MORTISE_OK;
}

uint64_t store_last_place(const struct store *store)
{
	return store->last_place;
}

enum mortise_status store_put_value(
	struct store *store, const struct store_place *place, struct store_bytes value)
{
	sqlite3_stmt *statement = store_statement(store, PUT_VALUE);

	bind_place(statement, place);
	store_bind_bytes(statement, 4, value.bytes, value.size);
	return store_finish(store, statement);
}

enum mortise_status store_delete_value(struct store *store, const struct store_place *place)
{
	sqlite3_stmt *statement = store_statement(store, DELETE_VALUE);

	bind_place(statement, place);
	return store_finish(store, statement);
}

static struct {
	void (*call)(void *context); /* NULL: none */
	void *context;
	unsigned rows;
} pulse;

void store_set_pulse(unsigned rows, void (*call)(void *context), void *context)
{
	pulse.call = call;
	pulse.context = context;
	pulse.rows = rows;
}

/* Visits the rows of a prepared statement. */
static enum mortise_status each(struct store *store, sqlite3_stmt *statement,
	enum mortise_status (*row)(sqlite3_stmt *, void *), void *context)
{
	enum mortise_status status = MORTISE_OK;
	int code = SQLITE_DONE;
	unsigned rows = 0;

	while (status == MORTISE_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
		status = row(statement, context);
		if (pulse.call && ++rows % pulse.rows == 0)
			pulse.call(pulse.context);
	}
	if (status == MORTISE_OK && code != SQLITE_DONE)
		status = store_judge(store, code);
	store_rest(statement);
	return status;
}

struct item_walk {
	store_item_visit *visit;
	void *context;
	uint64_t kind, number; /* of the item before */
	unsigned count;
};

static enum mortise_status item_row(sqlite3_stmt *statement, void *context)
{
	struct item_walk *walk = context;
	uint64_t kind = store_column_number(statement, 0);
	uint64_t number = store_column_number(statement, 1);
	struct store_bytes body = store_column_bytes(statement, 2);
	bool is_next = walk->count == 0 || kind > walk->kind ||
		       (kind == walk->kind && (int64_t)number > (int64_t)walk->number);

	/* In a file that was edited a table can be read for ever. */
	if (kind < STORE_SLOT || kind > STORE_ITEM_LAST || body.size > STORE_ITEM_MAX || !is_next ||
		++walk->count > STORE_ITEMS_MAX)
		return MORTISE_INTEGRITY;
	walk->kind = kind;
	walk->number = number;
	return walk->visit(walk->context, (enum store_item)kind, number, body);
}

enum mortise_status store_each_item(struct store *store, store_item_visit *visit, void *context)
{
	struct item_walk walk = {.visit = visit, .context = context};
	sqlite3_stmt *statement = store_statement(store, EACH_ITEM);

	store_bind_number(statement, 1, store->epoch);
	return each(store, statement, item_row, &walk);
}

struct secret_walk {
	uint64_t half;
	store_secret_visit *visit;
	void *context;
};

static enum mortise_status secret_row(sqlite3_stmt *statement, void *context)
{
	const struct secret_walk *walk = context;
	uint64_t number = store_column_number(statement, 0) - walk->half;
	struct store_bytes record = store_column_bytes(statement, 1);

	if (number == 0 || number > STORE_NUMBER_MAX || record.size == 0 ||
		record.size > STORE_RECORD_MAX)
		return MORTISE_INTEGRITY;
	return walk->visit(walk->context, number, record);
}

enum mortise_status store_each_secret(struct store *store, uint64_t after, uint64_t limit,
	store_secret_visit *visit, void *context)
{
	const struct secret_walk walk = {half_of(store->epoch), visit, context};
	sqlite3_stmt *statement = store_statement(store, EACH_SECRET);

	if (after > STORE_NUMBER_MAX)
		after = STORE_NUMBER_MAX;
	store_bind_number(statement, 1, walk.half + after);
	store_bind_number(statement, 2, walk.half + STORE_NUMBER_MAX);
	store_bind_number(statement, 3, limit);
	return each(store, statement, secret_row, (void *)(uintptr_t)&walk);
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

	store_bind_number(statement, 1, store->epoch);
	store_bind_number(statement, 2, kind);
	store_bind_number(statement, 3, number);
	enum mortise_status status =
		copy_blob(store, statement, STORE_ITEM_MAX, out_bytes, out_size);
	store_rest(statement);
	return status;
}

enum mortise_status store_secret(
	struct store *store, uint64_t epoch, uint64_t number, uint8_t **out_bytes, size_t *out_size)
{
	sqlite3_stmt *statement = store_statement(store, GET_SECRET);

	store_bind_number(statement, 1, half_of(epoch) + number);
	enum mortise_status status =
		copy_blob(store, statement, STORE_RECORD_MAX, out_bytes, out_size);
	store_rest(statement);
	return status;
}

enum mortise_status store_value(
	struct store *store, const struct store_place *place, uint8_t **out_bytes, size_t *out_size)
{
	sqlite3_stmt *statement = store_statement(store, GET_VALUE);

	bind_place(statement, place);
	enum mortise_status status =
		copy_blob(store, statement, STORE_VALUE_MAX, out_bytes, out_size);
	store_rest(statement);
	return status == MORTISE_NOT_FOUND ? MORTISE_INTEGRITY : status;
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

/* A statement that finds or sweeps what is not the store's; which parameter is a sweep's limit. */
static sqlite3_stmt *of_others(struct store *store, enum statement which, unsigned *out_limit_at)
{
	bool is_of_secrets = which == OTHER_SECRETS || which == SWEEP_SECRETS;
	sqlite3_stmt *statement = store_statement(store, which);

	store_bind_number(statement, 1, is_of_secrets ? half_of(store->epoch) + 1 : store->epoch);
	if (is_of_secrets)
		store_bind_number(statement, 2, half_of(store->epoch) + STORE_NUMBER_MAX);
	*out_limit_at = is_of_secrets ? 3 : 2;
	return statement;
}

static enum mortise_status has_row(struct store *store, sqlite3_stmt *statement, bool *out_has)
{
	int code = sqlite3_step(statement);
	enum mortise_status status = MORTISE_OK;

	if (code != SQLITE_ROW && code != SQLITE_DONE)
		status = store_judge(store, code);
	store_rest(statement);
	if (status == MORTISE_OK)
		*out_has = code == SQLITE_ROW;
	return status;
}

enum mortise_status store_has_leftovers(struct store *store, bool *out_has)
{
	bool has = false;
	unsigned limit_at;

	TRY(has_row(store, of_others(store, OTHER_SECRETS, &limit_at), &has));
	if (!has)
		TRY(has_row(store, of_others(store, OTHER_ITEMS, &limit_at), &has));
	*out_has = has;
	return MORTISE_OK;
}

/* Items last: they are few, and while one is there a sweep is known to be unfinished. */
enum mortise_status store_sweep(struct store *store, unsigned limit, unsigned *out_count)
{
	static const enum statement order[] = {SWEEP_SECRETS, SWEEP_ITEMS};
	unsigned count = 0, limit_at;

	for (size_t i = 0; i < sizeof order / sizeof order[0] && count == 0; i++) {
		sqlite3_stmt *statement = of_others(store, order[i], &limit_at);
		store_bind_number(statement, (int)limit_at, limit);
		TRY(store_finish(store, statement));
		count = (unsigned)sqlite3_changes(store->db);
	}
	*out_count = count;
	return MORTISE_OK;
}

enum mortise_status store_has_strays(struct store *store, bool *out_has)
{
	return has_row(store, store_statement(store, STRAY_VALUES), out_has);
}

enum mortise_status store_sweep_strays(struct store *store, unsigned limit, unsigned *out_count)
{
	sqlite3_stmt *statement = store_statement(store, SWEEP_STRAYS);

	store_bind_number(statement, 1, limit);
	TRY(store_finish(store, statement));
	*out_count = (unsigned)sqlite3_changes(store->db);
	return MORTISE_OK;
}

enum mortise_status store_next_values(struct store *store, uint64_t after, unsigned limit,
	struct store_place *out_places, unsigned *out_count)
{
	sqlite3_stmt *statement = store_statement(store, NEXT_VALUES);
	enum mortise_status status = MORTISE_OK;
	unsigned count = 0;
	int code = SQLITE_DONE;

	store_bind_number(statement, 1, after);
	store_bind_number(statement, 2, limit);
	for (; count < limit && (code = sqlite3_step(statement)) == SQLITE_ROW; count++) {
		out_places[count] = (struct store_place){store_column_number(statement, 0),
			store_column_number(statement, 1), store_column_number(statement, 2)};
		/* In a file that was edited they may come in any order. */
		if ((int64_t)out_places[count].place <= (int64_t)after)
			status = MORTISE_INTEGRITY;
		after = out_places[count].place;
	}
	if (code != SQLITE_DONE && code != SQLITE_ROW)
		status = store_judge(store, code);
	store_rest(statement);
	if (status == MORTISE_OK)
		*out_count = count;
	return status;
}
