/* SPDX-License-Identifier: ISC */
#include "index_tally.h"

#include <stdlib.h>
#include <string.h>

static int order_items(const struct item_digest *item, enum store_item kind, uint64_t number)
{
	if (item->kind != kind)
		return item->kind < kind ? -1 : 1;
	return item->number < number ? -1 : item->number > number;
}

/* Where the item stands, or would. */
static size_t item_position(
	const struct index *index, enum store_item kind, uint64_t number, bool *out_found)
{
	size_t i = 0;

	while (i < index->item_count && order_items(&index->items[i], kind, number) < 0)
		i++;
	*out_found = i < index->item_count && order_items(&index->items[i], kind, number) == 0;
	return i;
}

static void digest_item(const struct index *index, enum store_item kind, uint64_t number,
	struct store_bytes body, uint8_t out_digest[STORE_HASH_SIZE])
{
	crypto_generichash_state state;

	tally_begin(index, &state, TALLY_ITEM);
	tally_number(&state, kind);
	tally_number(&state, number);
	tally_sized(&state, body.bytes, body.size);
	crypto_generichash_final(&state, out_digest, STORE_HASH_SIZE);
}

enum mortise_status index_put_item(
	struct index *index, enum store_item kind, uint64_t number, struct store_bytes body)
{
	bool found = false;
	size_t position = item_position(index, kind, number, &found);

	if (!found && index->item_count == index->item_capacity) {
		size_t capacity = index->item_capacity ? index->item_capacity * 2 : 16;
		void *items = reallocarray(index->items, capacity, sizeof *index->items);
		if (!items)
			return MORTISE_BUSY;
		index->items = items;
		index->item_capacity = capacity;
	}
	struct item_digest *item = &index->items[position];
	if (!found) {
		memmove(item + 1, item, (index->item_count - position) * sizeof *item);
		index->item_count++;
	}
	item->kind = kind;
	item->number = number;
	digest_item(index, kind, number, body, item->digest);
	return MORTISE_OK;
}

void index_delete_item(struct index *index, enum store_item kind, uint64_t number)
{
	bool found = false;
	size_t position = item_position(index, kind, number, &found);

	if (!found)
		return;
	index->item_count--;
	memmove(index->items + position, index->items + position + 1,
		(index->item_count - position) * sizeof *index->items);
}

bool index_has_item(
	const struct index *index, enum store_item kind, uint64_t number, struct store_bytes body)
{
	uint8_t digest[STORE_HASH_SIZE];
	bool found = false;
	size_t position = item_position(index, kind, number, &found);

	if (!found)
		return false;
	digest_item(index, kind, number, body, digest);
	return sodium_memcmp(digest, index->items[position].digest, STORE_HASH_SIZE) == 0;
}

uint64_t index_last_item(const struct index *index, enum store_item kind)
{
	uint64_t last = 0;

	for (size_t i = 0; i < index->item_count; i++)
		if (index->items[i].kind == kind)
			last = index->items[i].number;
	return last;
}

uint64_t index_next_item(const struct index *index, enum store_item kind, uint64_t after)
{
	for (size_t i = 0; i < index->item_count; i++)
		if (index->items[i].kind == kind && index->items[i].number > after)
			return index->items[i].number;
	return 0;
}

static void hash_item(crypto_generichash_state *state, const struct item_digest *item)
{
	tally_number(state, item->kind);
	tally_number(state, item->number);
	crypto_generichash_update(state, item->digest, STORE_HASH_SIZE);
}

/* All items in order, with the changed one put, replaced or left out. */
void tally_items(const struct index *index, const struct index_change *change,
	crypto_generichash_state *state)
{
	bool found = false;
	size_t position = index->item_count + 1;
	struct item_digest changed = {0};

	if (change && change->kind) {
		position = item_position(index, change->kind, change->number, &found);
		changed.kind = change->kind;
		changed.number = change->number;
		if (change->body.bytes)
			digest_item(
				index, change->kind, change->number, change->body, changed.digest);
	}
	for (size_t i = 0; i <= index->item_count; i++) {
		if (i == position && change->body.bytes)
			hash_item(state, &changed);
		if (i < index->item_count && !(i == position && found))
			hash_item(state, &index->items[i]);
	}
}
