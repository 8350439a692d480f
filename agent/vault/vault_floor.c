/* SPDX-License-Identifier: ISC */
/*
 * The clock's floor: an item that is not encrypted, since it is wanted while the vault is sealed.
 * Then it is a word of whoever can write the disk; once the vault is open the tally vouches for it.
 */
#include <stdlib.h>

#include "vault_rows.h"

#define FLOOR_NUMBER   1
#define FLOOR_SIZE_MAX 128
#define RECORD_FLOOR   6 /* of docs/store.md */

static void release(uint8_t **bytes)
{
	free(*bytes);
}

static enum mortise_status parse(const uint8_t *bytes, size_t size, struct clock_floor *out_floor)
{
	struct clock_floor floor = {.wall_us = 0};
	struct wire_message record;

	if (wire_parse(bytes, size, &record) != MORTISE_OK || record.code != RECORD_FLOOR ||
		wire_text(&record, WIRE_TAG_TEXT, floor.boot, sizeof floor.boot) != MORTISE_OK ||
		wire_number(&record, WIRE_TAG_NUMBER, &floor.steady_us) != MORTISE_OK ||
		wire_number(&record, WIRE_TAG_TIME, &floor.wall_us) != MORTISE_OK)
		return MORTISE_INTEGRITY;
	*out_floor = floor;
	return MORTISE_OK;
}

enum mortise_status vault_set_floor(struct vault *vault, const struct clock_floor *floor)
{
	uint8_t record[FLOOR_SIZE_MAX];
	struct wire_writer writer;

	wire_begin(&writer, record, sizeof record, RECORD_FLOOR, 0);
	wire_put_text(&writer, WIRE_TAG_TEXT, floor->boot);
	wire_put_number(&writer, WIRE_TAG_NUMBER, floor->steady_us);
	wire_put_number(&writer, WIRE_TAG_TIME, floor->wall_us);
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
	return parse(bytes, size, out_floor);
}

enum mortise_status vault_floor_while_sealed(struct store *store, struct clock_floor *out_floor)
{
	CLEANUP(release) uint8_t *bytes = NULL;
	size_t size = 0;

	TRY(store_item(store, STORE_FLOOR, FLOOR_NUMBER, &bytes, &size));
	return parse(bytes, size, out_floor);
}
