/* SPDX-License-Identifier: ISC */
/* Rows of other epochs than the store's: what a rekey writes first and leaves behind. */
#include "store_db.h"

#include <string.h>

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
