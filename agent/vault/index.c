/* SPDX-License-Identifier: ISC */
#include "index.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "little_endian.h"

#define FAN_OUT_BITS 4
#define FAN_OUT      16 /* children of a node; rows of a node of level 0 */
#define LEVELS_MAX   10 /* 16^10 numbers: STORE_NUMBER_MAX and 0 */

/* In a table's slot: the number below, above it the first bits of the path's hash. */
#define NUMBER_BITS 40
#define MARK_BITS   24
#define NUMBER_MASK ((UINT64_C(1) << NUMBER_BITS) - 1)
#define DELETED_BIT (UINT64_C(1) << 63)

_Static_assert(STORE_NUMBER_MAX == NUMBER_MASK, "a number fits into a slot, and into the tree");

/* A row as it is kept: its number is its place. */
struct row {
	uint8_t digest[STORE_HASH_SIZE];
	uint8_t path_hash[INDEX_PATH_SIZE];
	uint64_t current; /* and DELETED_BIT */
};

/*
 * Of level 0 it has rows, those that are there side by side; of another, children. Node n of level
 * l is over the numbers from n * 16^(l + 1) on.
 */
struct node {
	uint8_t digest[STORE_HASH_SIZE];
	uint16_t present; /* a bit for each place: a row, or a child below which there is one */
	uint8_t room;     /* rows that there is memory for */
	bool is_changed;  /* the digest is not of what is below it now */
	union {
		struct row *rows;
		struct node **children; /* FAN_OUT of them, NULL where nothing ever was */
	};
};

struct item_digest {
	enum store_item kind;
	uint64_t number;
	uint8_t digest[STORE_HASH_SIZE];
};

struct index {
	const struct secret *tally_key;
	struct node *top; /* NULL: nothing yet */
	unsigned level;   /* of top */
	size_t count;
	uint64_t *by_path; /* open addressing; path hashes are uniform already; 0: empty */
	size_t mask;
	struct item_digest *items; /* by kind and number */
	size_t item_count;
};

/* First byte of every hash input: no digest of one kind can stand for another. */
enum tally_kind { TALLY_ROW = 1, TALLY_NODE = 2, TALLY_ITEM = 3, TALLY_ROOT = 4 };

/* ---- hashing ---- */

static void tally_begin(
	const struct index *index, crypto_generichash_state *state, enum tally_kind kind)
{
	uint8_t first = (uint8_t)kind;

	crypto_generichash_init(state, index->tally_key->bytes, KEY_SIZE, STORE_HASH_SIZE);
	crypto_generichash_update(state, &first, 1);
}

static void tally_number(crypto_generichash_state *state, uint64_t number)
{
	uint8_t bytes[8];

	le64_put(bytes, number);
	crypto_generichash_update(state, bytes, sizeof bytes);
}

/* The size, then the bytes. */
static void tally_sized(crypto_generichash_state *state, const uint8_t *bytes, size_t size)
{
	tally_number(state, size);
	crypto_generichash_update(state, bytes, size);
}

void index_digest(const struct index *index, uint64_t number, struct store_bytes record,
	uint8_t out_digest[STORE_HASH_SIZE])
{
	crypto_generichash_state state;

	tally_begin(index, &state, TALLY_ROW);
	tally_number(&state, number);
	tally_sized(&state, record.bytes, record.size);
	crypto_generichash_final(&state, out_digest, STORE_HASH_SIZE);
}

/* ---- items: slots, policies, audit state ---- */

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

	if (!found) {
		void *items = array_room(index->items, index->item_count, sizeof *index->items);
		if (!items)
			return MORTISE_BUSY;
		index->items = items;
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
static void tally_items(const struct index *index, const struct index_change *change,
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

/* ---- the tree ---- */

static unsigned place_in(uint64_t number, unsigned level)
{
	return number >> (level * FAN_OUT_BITS) & (FAN_OUT - 1);
}

/* The level of the node that is over all numbers up to last. */
static unsigned level_over(uint64_t last)
{
	unsigned level = 0;

	while (level + 1 < LEVELS_MAX && last >> ((level + 1) * FAN_OUT_BITS))
		level++;
	return level;
}

static bool has(const struct node *node, unsigned place)
{
	return (node->present >> place & 1) != 0;
}

/* How many rows stand before this place. */
static unsigned position_of(const struct node *node, unsigned place)
{
	return (unsigned)__builtin_popcount(node->present & ((1U << place) - 1));
}

static struct node *node_new(unsigned level)
{
	struct node *node = calloc(1, sizeof *node);

	if (node && level > 0)
		node->children = calloc(FAN_OUT, sizeof(struct node *));
	if (node && level > 0 && !node->children) {
		free(node);
		return NULL;
	}
	return node;
}

static void node_free(struct node *node, unsigned level)
{
	if (!node)
		return;
	for (unsigned i = 0; level > 0 && i < FAN_OUT; i++)
		node_free(node->children[i], level - 1);
	if (level > 0)
		free(node->children);
	else
		free(node->rows);
	free(node);
}

/* The nodes above a number, from the top down to that of level 0; NULL: there is none. */
struct path {
	struct node *at[LEVELS_MAX];
};

static struct node *walk(const struct index *index, uint64_t number, struct path *out_path)
{
	struct node *node = index->top;

	if (!node || number >> ((index->level + 1) * FAN_OUT_BITS))
		return NULL;
	for (unsigned level = index->level; node && level > 0; level--) {
		if (out_path)
			out_path->at[level] = node;
		node = node->children[place_in(number, level)];
	}
	if (out_path)
		out_path->at[0] = node;
	return node;
}

static const struct row *row_of(const struct index *index, uint64_t number)
{
	const struct node *node = walk(index, number, NULL);
	unsigned place = place_in(number, 0);

	return node && has(node, place) ? &node->rows[position_of(node, place)] : NULL;
}

static struct index_row describe(uint64_t number, const struct row *row)
{
	struct index_row shown = {.number = number,
		.current = row->current & ~DELETED_BIT,
		.is_deleted = (row->current & DELETED_BIT) != 0};

	memcpy(shown.digest, row->digest, sizeof shown.digest);
	memcpy(shown.path_hash, row->path_hash, sizeof shown.path_hash);
	return shown;
}

bool index_get(const struct index *index, uint64_t number, struct index_row *out_row)
{
	const struct row *row = row_of(index, number);

	if (row)
		*out_row = describe(number, row);
	return row != NULL;
}

struct search {
	uint64_t from, to;
	bool is_of_deleted; /* only */
};

static bool fits(const struct search *search, const struct node *leaf, unsigned place)
{
	return !search->is_of_deleted ||
	       (leaf->rows[position_of(leaf, place)].current & DELETED_BIT) != 0;
}

/* The lowest number below this node that is searched for; 0: none. */
static uint64_t first_below(
	const struct node *node, unsigned level, uint64_t node_number, const struct search *search)
{
	uint64_t found = 0;

	for (unsigned i = 0; i < FAN_OUT && !found; i++) {
		uint64_t below = node_number * FAN_OUT + i;
		uint64_t first = below << (level * FAN_OUT_BITS);
		uint64_t last = ((below + 1) << (level * FAN_OUT_BITS)) - 1;

		if (first > search->to)
			break;
		if (!has(node, i) || last < search->from)
			continue;
		if (level > 0)
			found = first_below(node->children[i], level - 1, below, search);
		else if (fits(search, node, i))
			found = below;
	}
	return found;
}

static bool find_first(
	const struct index *index, const struct search *search, struct index_row *out_row)
{
	uint64_t number = index->top && search->from <= search->to
				  ? first_below(index->top, index->level, 0, search)
				  : 0;

	return number && index_get(index, number, out_row);
}

bool index_next(const struct index *index, uint64_t after, struct index_row *out_row)
{
	const struct search search = {.from = after + 1, .to = STORE_NUMBER_MAX};

	return after < STORE_NUMBER_MAX && find_first(index, &search, out_row);
}

bool index_next_deleted(
	const struct index *index, uint64_t after, uint64_t to, struct index_row *out_row)
{
	const struct search search = {.from = after + 1, .to = to, .is_of_deleted = true};

	return after < STORE_NUMBER_MAX && find_first(index, &search, out_row);
}

/* ---- by path ---- */

/* What of a path's hash stands in a slot. */
static uint64_t mark_of(const uint8_t path_hash[INDEX_PATH_SIZE])
{
	uint64_t mark = (uint64_t)path_hash[0] << 16 | (uint64_t)path_hash[1] << 8 | path_hash[2];

	return mark << NUMBER_BITS;
}

/* Where a search for what is in a slot begins: what a table has more than marks there are is room.
 */
static size_t home_of(const struct index *index, uint64_t slot)
{
	return (size_t)(((slot >> NUMBER_BITS) * (index->mask + 1)) >> MARK_BITS);
}

/* Where the path stands, or the empty slot where it would. Hashes under a key are no secret. */
static size_t slot_of(const struct index *index, const uint8_t path_hash[INDEX_PATH_SIZE])
{
	uint64_t mark = mark_of(path_hash);
	size_t slot = home_of(index, mark);

	for (; index->by_path[slot]; slot = (slot + 1) & index->mask) {
		if ((index->by_path[slot] & ~NUMBER_MASK) != mark)
			continue;
		const struct row *row = row_of(index, index->by_path[slot] & NUMBER_MASK);
		if (row && memcmp(row->path_hash, path_hash, INDEX_PATH_SIZE) == 0)
			break;
	}
	return slot;
}

bool index_find(const struct index *index, const uint8_t path_hash[INDEX_PATH_SIZE],
	struct index_row *out_row)
{
	uint64_t number = index->by_path[slot_of(index, path_hash)] & NUMBER_MASK;

	return number && index_get(index, number, out_row);
}

size_t index_count(const struct index *index)
{
	return index->count;
}

static enum mortise_status grow_table(struct index *index, size_t size)
{
	uint64_t *old = index->by_path;
	size_t old_size = index->count ? index->mask + 1 : 0;
	uint64_t *table = calloc(size, sizeof *table);

	if (!table)
		return MORTISE_BUSY;
	index->by_path = table;
	index->mask = size - 1;
	for (size_t i = 0; i < old_size; i++) {
		size_t slot = home_of(index, old[i]);
		while (old[i] && table[slot])
			slot = (slot + 1) & index->mask;
		if (old[i])
			table[slot] = old[i];
	}
	free(old);
	return MORTISE_OK;
}

/* Takes a row out of the table; those behind it that were pushed on by it move up. */
static void unhash(struct index *index, uint64_t number, const struct row *row)
{
	size_t hole = slot_of(index, row->path_hash);

	if ((index->by_path[hole] & NUMBER_MASK) != number)
		return; /* another one has this path by now */
	for (size_t slot = (hole + 1) & index->mask; index->by_path[slot];
		slot = (slot + 1) & index->mask) {
		size_t home = home_of(index, index->by_path[slot]);
		if (((slot - home) & index->mask) < ((slot - hole) & index->mask))
			continue; /* it stands between its place and the hole's */
		index->by_path[hole] = index->by_path[slot];
		hole = slot;
	}
	index->by_path[hole] = 0;
}

/* ---- rows that come and go ---- */

/* A tree that is higher, with the old one as its first part. */
static enum mortise_status raise_top(struct index *index)
{
	struct node *top = node_new(index->level + 1);

	if (!top)
		return MORTISE_BUSY;
	top->children[0] = index->top;
	top->present = index->top->present != 0;
	top->is_changed = true;
	index->top = top;
	index->level++;
	return MORTISE_OK;
}

static enum mortise_status make_nodes(struct index *index, uint64_t number, struct node **out_node)
{
	if (!index->top)
		index->top = node_new(0);
	if (!index->top)
		return MORTISE_BUSY;
	while (level_over(number) > index->level)
		TRY(raise_top(index));
	struct node *node = index->top;
	for (unsigned level = index->level; level > 0; level--) {
		struct node **child = &node->children[place_in(number, level)];
		if (!*child)
			*child = node_new(level - 1);
		if (!*child)
			return MORTISE_BUSY;
		node = *child;
	}
	*out_node = node;
	return MORTISE_OK;
}

enum mortise_status index_reserve(struct index *index, uint64_t number, size_t count)
{
	struct node *node = NULL;

	if (number == 0 || number > STORE_NUMBER_MAX)
		return MORTISE_INVALID;
	TRY(make_nodes(index, number, &node));
	unsigned held = (unsigned)__builtin_popcount(node->present);
	if (!has(node, place_in(number, 0)) && held + count > node->room) {
		unsigned room = node->room ? node->room : 1;
		while (room < FAN_OUT && room < held + count)
			room *= 2;
		void *rows = reallocarray(node->rows, room, sizeof *node->rows);
		if (!rows)
			return MORTISE_BUSY;
		node->rows = rows;
		node->room = (uint8_t)room;
	}
	size_t size = index->mask + 1;
	while ((index->count + count) * 4 > (size - 1) * 3)
		size *= 2;
	return size > index->mask + 1 ? grow_table(index, size) : MORTISE_OK;
}

void index_put(struct index *index, const struct index_row *row)
{
	struct path path;
	struct node *node = walk(index, row->number, &path);
	unsigned place = place_in(row->number, 0), position = position_of(node, place);
	struct row *kept = &node->rows[position];

	if (has(node, place)) {
		unhash(index, row->number, kept);
	} else {
		memmove(kept + 1, kept,
			((unsigned)__builtin_popcount(node->present) - position) * sizeof *kept);
		index->count++;
	}
	kept->current = row->current | (row->is_deleted ? DELETED_BIT : 0);
	memcpy(kept->digest, row->digest, sizeof kept->digest);
	memcpy(kept->path_hash, row->path_hash, sizeof kept->path_hash);
	for (unsigned level = 0; level <= index->level; level++) {
		path.at[level]->present |= (uint16_t)(1U << place_in(row->number, level));
		path.at[level]->is_changed = true;
	}
	index->by_path[slot_of(index, row->path_hash)] = mark_of(row->path_hash) | row->number;
}

void index_remove(struct index *index, uint64_t number)
{
	struct path path;
	struct node *node = walk(index, number, &path);
	unsigned place = place_in(number, 0);

	if (!node || !has(node, place))
		return;
	unsigned position = position_of(node, place);
	unsigned behind = (unsigned)__builtin_popcount(node->present) - position - 1;
	unhash(index, number, &node->rows[position]);
	memmove(node->rows + position, node->rows + position + 1, behind * sizeof *node->rows);
	index->count--;
	bool is_gone = true; /* with all that was below */
	for (unsigned level = 0; level <= index->level; level++) {
		struct node *above = path.at[level];
		if (is_gone && level > 0) {
			struct node **child = &above->children[place_in(number, level)];
			node_free(*child, level - 1);
			*child = NULL;
		}
		if (is_gone)
			above->present &= (uint16_t) ~(1U << place_in(number, level));
		is_gone = is_gone && !above->present;
		above->is_changed = true;
	}
}

enum mortise_status index_new(const struct secret *tally_key, struct index **out_index)
{
	struct index *index = calloc(1, sizeof *index);

	if (!index)
		return MORTISE_BUSY;
	index->mask = 1023;
	index->by_path = calloc(index->mask + 1, sizeof *index->by_path);
	if (!index->by_path) {
		free(index);
		return MORTISE_BUSY;
	}
	index->tally_key = tally_key;
	*out_index = index;
	return MORTISE_OK;
}

void index_free(struct index *index)
{
	if (!index)
		return;
	node_free(index->top, index->level);
	free(index->by_path);
	free(index->items);
	free(index);
}

#define DRAINED_LEVEL 2 /* of what is freed at once: 4,096 rows */

/* Frees a part that is small enough; false: there was none. */
static bool drain_below(struct node *node, unsigned level)
{
	for (unsigned i = 0; i < FAN_OUT; i++) {
		if (!node->children[i])
			continue;
		if (level - 1 > DRAINED_LEVEL && drain_below(node->children[i], level - 1))
			return true;
		node_free(node->children[i], level - 1);
		node->children[i] = NULL;
		return true;
	}
	return false;
}

bool index_drain(struct index *index)
{
	return index->top && index->level > DRAINED_LEVEL && drain_below(index->top, index->level);
}

/* ---- the tally ---- */

/* What becomes of some rows, by number: they are replaced, or come; or one goes. */
struct swaps {
	const struct index_row *rows;
	size_t count;
	uint64_t removed; /* 0: none */
};

/* Those up to a number, from those that are left. */
static struct swaps take_swaps(struct swaps *left, uint64_t last)
{
	struct swaps taken = {left->rows, 0, 0};

	while (left->count && left->rows[0].number <= last) {
		left->rows++;
		left->count--;
		taken.count++;
	}
	if (left->removed && left->removed <= last) {
		taken.removed = left->removed;
		left->removed = 0;
	}
	return taken;
}

static const struct swaps no_swaps;

static void digest_present(const struct index *index, unsigned level, uint64_t number,
	unsigned present, const uint8_t (*digests)[STORE_HASH_SIZE],
	uint8_t out_digest[STORE_HASH_SIZE])
{
	size_t count = (size_t)__builtin_popcount(present);
	crypto_generichash_state state;

	tally_begin(index, &state, TALLY_NODE);
	tally_number(&state, level);
	tally_number(&state, number);
	tally_number(&state, present);
	crypto_generichash_update(&state, digests[0], count * STORE_HASH_SIZE);
	crypto_generichash_final(&state, out_digest, STORE_HASH_SIZE);
}

static bool digest_node(const struct index *index, struct node *node, unsigned level,
	uint64_t number, struct swaps swaps, uint8_t out_digest[STORE_HASH_SIZE]);

/* The digest of a row or node at a place of a node, which may be NULL; false: there is none. */
static bool digest_child(const struct index *index, const struct node *node, unsigned level,
	uint64_t number, unsigned place, const struct swaps *swaps,
	uint8_t out_digest[STORE_HASH_SIZE])
{
	bool is_there = node && has(node, place);

	if (level > 0)
		return digest_node(index, node ? node->children[place] : NULL, level - 1,
			number * FAN_OUT + place, *swaps, out_digest);
	if (swaps->count) {
		memcpy(out_digest, swaps->rows[0].digest, STORE_HASH_SIZE);
		return true;
	}
	if (swaps->removed || !is_there)
		return false;
	memcpy(out_digest, node->rows[position_of(node, place)].digest, STORE_HASH_SIZE);
	return true;
}

/* As it will be with swaps; without any, a digest that was made anew is kept. */
static bool digest_node(const struct index *index, struct node *node, unsigned level,
	uint64_t number, struct swaps swaps, uint8_t out_digest[STORE_HASH_SIZE])
{
	uint8_t digests[FAN_OUT][STORE_HASH_SIZE];
	bool is_as_it_was = !swaps.count && !swaps.removed;
	unsigned present = 0, count = 0;

	if (is_as_it_was && (!node || !node->present))
		return false;
	if (is_as_it_was && !node->is_changed) {
		memcpy(out_digest, node->digest, STORE_HASH_SIZE);
		return true;
	}
	for (unsigned i = 0; i < FAN_OUT; i++) {
		uint64_t last = ((number * FAN_OUT + i + 1) << (level * FAN_OUT_BITS)) - 1;
		const struct swaps below = take_swaps(&swaps, last);
		if (digest_child(index, node, level, number, i, &below, digests[count])) {
			present |= 1U << i;
			count++;
		}
	}
	if (!present)
		return false;
	digest_present(index, level, number, present, digests, out_digest);
	if (is_as_it_was) {
		memcpy(node->digest, out_digest, STORE_HASH_SIZE);
		node->is_changed = false;
	}
	return true;
}

void index_settle(struct index *index)
{
	uint8_t digest[STORE_HASH_SIZE];

	(void)digest_node(index, index->top, index->level, 0, no_swaps, digest);
}

/*
 * The node over all numbers up to last, or zeros. The tree may be higher, for a change that came to
 * nothing; or lower, where the highest rows are gone.
 */
static void digest_tree(struct index *index, uint64_t last, const struct swaps *swaps,
	uint8_t out_digest[STORE_HASH_SIZE])
{
	unsigned over = level_over(last), level = index->level;
	struct node *node = index->top;
	uint8_t below[1][STORE_HASH_SIZE];

	for (; node && level > over; level--)
		node = node->children[0];
	if (!digest_node(index, node, level, 0, *swaps, out_digest)) {
		memset(out_digest, 0, STORE_HASH_SIZE);
		return;
	}
	for (; level < over; level++) {
		memcpy(below[0], out_digest, STORE_HASH_SIZE);
		digest_present(index, level + 1, 0, 1, below, out_digest);
	}
}

void index_root(struct index *index, const struct store_meta *meta,
	const struct index_change *change, uint8_t out_root[STORE_HASH_SIZE])
{
	const struct swaps swaps =
		change ? (struct swaps){change->rows, change->row_count, change->removed}
		       : no_swaps;
	crypto_generichash_state state;
	uint8_t digest[STORE_HASH_SIZE];

	index_settle(index);
	digest_tree(index, meta->last, &swaps, digest);
	tally_begin(index, &state, TALLY_ROOT);
	tally_number(&state, STORE_FORMAT);
	crypto_generichash_update(&state, meta->uuid, STORE_ID_SIZE);
	tally_number(&state, meta->epoch);
	tally_number(&state, meta->generation);
	tally_number(&state, meta->last);
	tally_items(index, change, &state);
	crypto_generichash_update(&state, digest, STORE_HASH_SIZE);
	crypto_generichash_final(&state, out_root, STORE_HASH_SIZE);
}
