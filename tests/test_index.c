/* SPDX-License-Identifier: ISC */
/* index, with the tally over it; beside it a model of both, made from docs/store.md alone. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "index.h"
#include "mortise_test.h"

static const struct store_meta meta_a = {.uuid = {1}, .epoch = 2, .generation = 3, .last = 5000};

/* The first and the last numbers that a tree of each height has. */
static const uint64_t edges[] = {1, 2, 15, 16, 17, 255, 256, 257, 4095, 4096, 65535, 65536,
	(1 << 20) - 1, 1 << 20, (1 << 24) - 1, 1 << 24, (1 << 28) - 1, 1 << 28,
	(UINT64_C(1) << 32) - 1, UINT64_C(1) << 32, (UINT64_C(1) << 36) - 1, UINT64_C(1) << 36,
	STORE_NUMBER_MAX - 1, STORE_NUMBER_MAX};

#define EDGES (sizeof edges / sizeof edges[0])

struct hash {
	uint8_t bytes[STORE_HASH_SIZE];
};

/* ---- the model: lists, of which every hash is made anew ---- */

#define MODEL_ROWS  512
#define MODEL_ITEMS 40

struct model_item {
	uint64_t kind, number;
	struct hash digest;
};

struct model {
	const struct secret *key;
	struct store_meta meta;
	struct index_row rows[MODEL_ROWS]; /* by number */
	size_t row_count;
	struct model_item items[MODEL_ITEMS]; /* by kind and number */
	size_t item_count;
};

/* What is hashed. */
struct input {
	uint8_t bytes[4096];
	size_t size;
};

static void add(struct input *input, const void *bytes, size_t size)
{
	assert_true(size <= sizeof input->bytes - input->size);
	memcpy(input->bytes + input->size, bytes, size);
	input->size += size;
}

static void add_number(struct input *input, uint64_t number)
{
	uint8_t bytes[8];

	for (unsigned i = 0; i < 8; i++)
		bytes[i] = (uint8_t)(number >> (8 * i));
	add(input, bytes, sizeof bytes);
}

static void begin(struct input *input, uint8_t kind)
{
	input->size = 0;
	add(input, &kind, 1);
}

static struct hash hash_of(const struct secret *key, const struct input *input)
{
	struct hash hash;

	crypto_generichash(
		hash.bytes, sizeof hash.bytes, input->bytes, input->size, key->bytes, KEY_SIZE);
	return hash;
}

static struct hash row_digest(const struct secret *key, uint64_t number, struct store_bytes record)
{
	struct input input;

	begin(&input, 1);
	add_number(&input, number);
	add_number(&input, record.size);
	add(&input, record.bytes, record.size);
	return hash_of(key, &input);
}

static struct hash item_digest(
	const struct secret *key, uint64_t kind, uint64_t number, struct store_bytes body)
{
	struct input input;

	begin(&input, 3);
	add_number(&input, kind);
	add_number(&input, number);
	add_number(&input, body.size);
	add(&input, body.bytes, body.size);
	return hash_of(key, &input);
}

/* Of a node: a row or another node. */
struct child {
	uint64_t place;
	struct hash digest;
};

/* Children become the nodes of a level, in place; how many there are. */
static size_t fold(const struct model *model, unsigned level, struct child *children, size_t count)
{
	size_t folded = 0, end = 0;

	for (size_t i = 0; i < count; i = end) {
		uint64_t place = children[i].place / 16, mask = 0;
		struct input input;
		for (end = i; end < count && children[end].place / 16 == place; end++)
			mask |= UINT64_C(1) << children[end].place % 16;
		begin(&input, 2);
		add_number(&input, level);
		add_number(&input, place);
		add_number(&input, mask);
		for (size_t j = i; j < end; j++)
			add(&input, children[j].digest.bytes, STORE_HASH_SIZE);
		children[folded++] = (struct child){place, hash_of(model->key, &input)};
	}
	return folded;
}

static struct hash model_top(const struct model *model)
{
	static struct child children[MODEL_ROWS];
	size_t count = model->row_count;
	uint64_t reach = 1;

	if (!count)
		return (struct hash){{0}};
	for (size_t i = 0; i < count; i++) {
		children[i].place = model->rows[i].number;
		memcpy(children[i].digest.bytes, model->rows[i].digest, STORE_HASH_SIZE);
	}
	for (unsigned level = 0; reach <= model->meta.last; level++, reach *= 16)
		count = fold(model, level, children, count);
	assert_int_equal(count, 1);
	assert_int_equal(children[0].place, 0);
	return children[0].digest;
}

static struct hash model_root(const struct model *model)
{
	const struct hash top = model_top(model);
	struct input input;

	begin(&input, 4);
	add_number(&input, STORE_FORMAT);
	add(&input, model->meta.uuid, STORE_ID_SIZE);
	add_number(&input, model->meta.epoch);
	add_number(&input, model->meta.generation);
	add_number(&input, model->meta.last);
	for (size_t i = 0; i < model->item_count; i++) {
		add_number(&input, model->items[i].kind);
		add_number(&input, model->items[i].number);
		add(&input, model->items[i].digest.bytes, STORE_HASH_SIZE);
	}
	add(&input, top.bytes, STORE_HASH_SIZE);
	return hash_of(model->key, &input);
}

static void model_remove(struct model *model, uint64_t number)
{
	size_t kept = 0;

	for (size_t i = 0; i < model->row_count; i++)
		if (model->rows[i].number != number)
			model->rows[kept++] = model->rows[i];
	model->row_count = kept;
}

static void model_put(struct model *model, const struct index_row *row)
{
	size_t i;

	model_remove(model, row->number);
	assert_true(model->row_count < MODEL_ROWS);
	for (i = model->row_count++; i > 0 && model->rows[i - 1].number > row->number; i--)
		model->rows[i] = model->rows[i - 1];
	model->rows[i] = *row;
}

static bool is_before(const struct model_item *item, uint64_t kind, uint64_t number)
{
	return item->kind < kind || (item->kind == kind && item->number < number);
}

static void model_delete_item(struct model *model, uint64_t kind, uint64_t number)
{
	size_t kept = 0;

	for (size_t i = 0; i < model->item_count; i++)
		if (model->items[i].kind != kind || model->items[i].number != number)
			model->items[kept++] = model->items[i];
	model->item_count = kept;
}

static void model_put_item(
	struct model *model, uint64_t kind, uint64_t number, struct store_bytes body)
{
	size_t i;

	model_delete_item(model, kind, number);
	assert_true(model->item_count < MODEL_ITEMS);
	for (i = model->item_count++; i > 0 && !is_before(&model->items[i - 1], kind, number); i--)
		model->items[i] = model->items[i - 1];
	model->items[i] =
		(struct model_item){kind, number, item_digest(model->key, kind, number, body)};
}

/* ---- fixture ---- */

struct fixture {
	struct secret *key;
	struct index *index;
	struct model model;
	uint64_t random;
};

static void begin_again(struct fixture *fixture)
{
	index_free(fixture->index);
	fixture->index = NULL;
	assert_int_equal(index_new(fixture->key, &fixture->index), MORTISE_OK);
	fixture->model = (struct model){.key = fixture->key, .meta = meta_a};
	fixture->model.meta.last = 0;
}

static int set_up(void **state)
{
	static struct fixture fixture;

	fixture = (struct fixture){.random = 88172645463325252};
	if (secret_pool_open(65536) != MORTISE_OK ||
		secret_random(KEY_SIZE, &fixture.key) != MORTISE_OK)
		return -1;
	begin_again(&fixture);
	*state = &fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	index_free(fixture->index);
	secret_drop(&fixture->key);
	secret_pool_close();
	return 0;
}

static struct store_bytes text(const char *bytes)
{
	return (struct store_bytes){(const uint8_t *)bytes, strlen(bytes)};
}

static void hash_path(uint64_t path, uint8_t out_hash[INDEX_PATH_SIZE])
{
	crypto_generichash(out_hash, INDEX_PATH_SIZE, (const uint8_t *)&path, sizeof path, NULL, 0);
}

static struct index_row a_row_on(
	const struct fixture *fixture, uint64_t number, uint64_t path, const char *record)
{
	const struct hash digest = row_digest(fixture->key, number, text(record));
	struct index_row row = {.number = number, .current = 1};

	hash_path(path, row.path_hash);
	memcpy(row.digest, digest.bytes, sizeof row.digest);
	return row;
}

/* Its path is made of its number. */
static struct index_row a_row(const struct fixture *fixture, uint64_t number, const char *record)
{
	return a_row_on(fixture, number, number, record);
}

static void put(struct index *index, const struct index_row *row)
{
	assert_int_equal(index_reserve(index, row->number, 1), MORTISE_OK);
	index_put(index, row);
}

static void put_new(const struct fixture *fixture, uint64_t number, const char *record)
{
	const struct index_row row = a_row(fixture, number, record);

	put(fixture->index, &row);
}

static void assert_same_row(const struct index_row *row, const struct index_row *expected)
{
	assert_int_equal(row->number, expected->number);
	assert_int_equal(row->current, expected->current);
	assert_int_equal(row->is_deleted, expected->is_deleted);
	assert_memory_equal(row->path_hash, expected->path_hash, INDEX_PATH_SIZE);
	assert_memory_equal(row->digest, expected->digest, STORE_HASH_SIZE);
}

/* 0: none. */
static uint64_t number_on(const struct index *index, uint64_t path)
{
	uint8_t hash[INDEX_PATH_SIZE];
	struct index_row row;

	hash_path(path, hash);
	return index_find(index, hash, &row) ? row.number : 0;
}

static struct hash root_with(
	struct index *index, const struct store_meta *meta, const struct index_change *change)
{
	struct hash root;

	index_root(index, meta, change, root.bytes);
	return root;
}

static struct hash root_of(struct index *index, const struct index_change *change)
{
	return root_with(index, &meta_a, change);
}

static bool is_same(struct hash a, struct hash b)
{
	return memcmp(a.bytes, b.bytes, STORE_HASH_SIZE) == 0;
}

static void assert_all_differ(const struct hash *roots, size_t count)
{
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < i; j++)
			assert_false(is_same(roots[i], roots[j]));
}

/* The index is as the model is; the root of both. */
static struct hash compare(const struct fixture *fixture)
{
	const struct model *model = &fixture->model;
	const struct hash root = model_root(model);
	struct index_row row = {.number = 0}, found;

	assert_true(is_same(root, root_with(fixture->index, &model->meta, NULL)));
	assert_int_equal(index_count(fixture->index), model->row_count);
	for (size_t i = 0; i < model->row_count; i++) {
		assert_true(index_next(fixture->index, row.number, &row));
		assert_same_row(&row, &model->rows[i]);
		assert_true(index_get(fixture->index, row.number, &found));
		assert_same_row(&found, &row);
		assert_true(index_find(fixture->index, row.path_hash, &found));
		assert_same_row(&found, &row);
	}
	assert_false(index_next(fixture->index, row.number, &found));
	return root;
}

static void apply_rows(struct fixture *fixture, const struct index_change *change)
{
	struct index_row old, found;

	for (size_t i = 0; i < change->row_count; i++) {
		const struct index_row *row = &change->rows[i];
		bool was_there = index_get(fixture->index, row->number, &old);
		model_put(&fixture->model, row);
		index_put(fixture->index, row);
		if (was_there && memcmp(old.path_hash, row->path_hash, INDEX_PATH_SIZE) != 0)
			assert_false(index_find(fixture->index, old.path_hash, &found));
	}
}

static void apply(struct fixture *fixture, const struct index_change *change)
{
	struct index_row old, found;

	apply_rows(fixture, change);
	if (change->removed && index_get(fixture->index, change->removed, &old)) {
		model_remove(&fixture->model, change->removed);
		index_remove(fixture->index, change->removed);
		assert_false(index_get(fixture->index, change->removed, &found));
		assert_false(index_find(fixture->index, old.path_hash, &found));
	}
	if (change->kind && change->body.bytes) {
		model_put_item(&fixture->model, change->kind, change->number, change->body);
		assert_int_equal(
			index_put_item(fixture->index, change->kind, change->number, change->body),
			MORTISE_OK);
	} else if (change->kind) {
		model_delete_item(&fixture->model, change->kind, change->number);
		index_delete_item(fixture->index, change->kind, change->number);
	}
}

/* Of index and model; no path is in two rows. The root that was foretold comes. */
static void change_both(struct fixture *fixture, const struct index_change *change)
{
	struct store_meta *meta = &fixture->model.meta;
	uint64_t highest = change->row_count ? change->rows[change->row_count - 1].number : 0;

	if (highest > meta->last)
		meta->last = highest;
	for (size_t i = 0; i < change->row_count; i++)
		assert_int_equal(
			index_reserve(fixture->index, change->rows[i].number, change->row_count),
			MORTISE_OK);
	struct hash before = root_with(fixture->index, meta, NULL);
	struct hash foretold = root_with(fixture->index, meta, change);
	assert_true(is_same(before, root_with(fixture->index, meta, NULL)));
	apply(fixture, change);
	assert_true(is_same(foretold, compare(fixture)));
}

static void put_in_both(struct fixture *fixture, uint64_t number, const char *record)
{
	const struct index_row row = a_row(fixture, number, record);

	change_both(fixture, &(struct index_change){.rows = &row, .row_count = 1});
}

static void remove_from_both(struct fixture *fixture, uint64_t number)
{
	change_both(fixture, &(struct index_change){.removed = number});
}

/* ---- rows ---- */

static void a_rows_digest_covers_its_number_and_every_byte(void **state)
{
	const struct fixture *fixture = *state;
	uint8_t bytes[100], before[STORE_HASH_SIZE], digest[STORE_HASH_SIZE];
	const struct store_bytes record = {bytes, sizeof bytes};

	memset(bytes, 'r', sizeof bytes);
	index_digest(fixture->index, 7, record, before);
	const struct hash expected = row_digest(fixture->key, 7, record);
	assert_memory_equal(before, expected.bytes, STORE_HASH_SIZE);
	for (size_t bit = 0; bit < 8 * sizeof bytes; bit++) {
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		index_digest(fixture->index, 7, record, digest);
		assert_memory_not_equal(digest, before, STORE_HASH_SIZE);
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	for (unsigned bit = 0; bit < 64; bit++) {
		index_digest(fixture->index, 7 ^ (UINT64_C(1) << bit), record, digest);
		assert_memory_not_equal(digest, before, STORE_HASH_SIZE);
	}
	for (size_t size = 0; size < sizeof bytes; size++) {
		index_digest(fixture->index, 7, (struct store_bytes){bytes, size}, digest);
		assert_memory_not_equal(digest, before, STORE_HASH_SIZE);
	}
}

static void a_row_is_as_it_was_put(void **state)
{
	const struct fixture *fixture = *state;
	struct index_row row = a_row(fixture, 9, "record"), found;

	for (unsigned i = 0; i < 4; i++) {
		row.current = i < 2 ? 0 : (UINT64_C(1) << 62) + 5;
		row.is_deleted = i % 2;
		put(fixture->index, &row);
		assert_true(index_get(fixture->index, 9, &found));
		assert_same_row(&found, &row);
		assert_true(index_next(fixture->index, 8, &found));
		assert_same_row(&found, &row);
		assert_true(index_find(fixture->index, row.path_hash, &found));
		assert_same_row(&found, &row);
	}
}

static void every_row_is_found_and_walked_in_the_order_of_numbers(void **state)
{
	const struct fixture *fixture = *state;
	struct index_row row = {.number = 0};

	/* More than twice the first table, so that it grows. */
	for (unsigned n = 0; n < 3000; n++)
		put_new(fixture, 1 + n * 1009 % 3000, "record");
	assert_int_equal(index_count(fixture->index), 3000);
	for (uint64_t n = 1; n < 3100; n++) {
		assert_int_equal(number_on(fixture->index, n), n <= 3000 ? n : 0);
		assert_int_equal(index_get(fixture->index, n, &row), n <= 3000);
	}
	row.number = 0;
	for (uint64_t n = 1; n <= 3000; n++) {
		assert_true(index_next(fixture->index, row.number, &row));
		assert_int_equal(row.number, n);
	}
	assert_false(index_next(fixture->index, row.number, &row));
}

static void the_next_row_may_be_far_away(void **state)
{
	const struct fixture *fixture = *state;
	struct index_row row;

	for (size_t i = 0; i < EDGES; i++) {
		put_new(fixture, edges[i], "record");
		for (size_t j = 0; j <= i; j++) {
			uint64_t before = j ? edges[j - 1] : 0;
			assert_true(index_next(fixture->index, before, &row));
			assert_int_equal(row.number, edges[j]);
			assert_true(index_next(fixture->index, edges[j] - 1, &row));
			assert_int_equal(row.number, edges[j]);
		}
		assert_false(index_next(fixture->index, edges[i], &row));
	}
}

/* Every range between two edges: the first in it that is marked, as a look at all of them says. */
static void the_next_deleted_row_is_found_in_a_range_and_no_other(void **state)
{
	const struct fixture *fixture = *state;
	struct index_row row;

	for (size_t i = 0; i < EDGES; i++) {
		row = a_row(fixture, edges[i], "record");
		row.is_deleted = i % 3 == 1;
		put(fixture->index, &row);
	}
	for (size_t from = 0; from < EDGES; from++)
		for (size_t to = 0; to < EDGES; to++) {
			size_t i = from + 1;
			while (i <= to && i % 3 != 1)
				i++;
			bool is_there = i <= to;
			assert_int_equal(
				index_next_deleted(fixture->index, edges[from], edges[to], &row),
				is_there);
			if (is_there)
				assert_int_equal(row.number, edges[i]);
			if (is_there)
				assert_true(row.is_deleted);
		}
	assert_false(index_next_deleted(fixture->index, UINT64_MAX, UINT64_MAX, &row));
}

static void an_empty_index_has_no_next(void **state)
{
	const struct index *index = ((struct fixture *)*state)->index;
	struct index_row row;

	assert_false(index_next(index, 0, &row));
	assert_false(index_next(index, STORE_NUMBER_MAX, &row));
	assert_false(index_next(index, UINT64_MAX, &row));
	assert_false(index_next_deleted(index, 0, UINT64_MAX, &row));
	assert_int_equal(index_count(index), 0);
}

static void what_is_not_there_is_not_found_and_leaves_the_output_alone(void **state)
{
	const struct fixture *fixture = *state;
	const struct index_row other = a_row(fixture, 3, "record");
	struct index_row row = {.number = 77};

	for (unsigned i = 0; i < 2; i++) {
		assert_false(index_get(fixture->index, 0, &row));
		assert_false(index_get(fixture->index, 3, &row));
		assert_false(index_get(fixture->index, 16, &row));
		assert_false(index_get(fixture->index, STORE_NUMBER_MAX, &row));
		assert_false(index_get(fixture->index, STORE_NUMBER_MAX + 1, &row));
		assert_false(index_get(fixture->index, UINT64_MAX, &row));
		assert_false(index_find(fixture->index, other.path_hash, &row));
		assert_false(index_next(fixture->index, 2, &row));
		assert_int_equal(row.number, 77);
		put_new(fixture, 2, "record");
	}
}

static void numbers_that_no_secret_has_are_refused(void **state)
{
	struct fixture *fixture = *state;

	put_in_both(fixture, 1, "record");
	assert_int_equal(index_reserve(fixture->index, 0, 1), MORTISE_INVALID);
	assert_int_equal(index_reserve(fixture->index, STORE_NUMBER_MAX + 1, 1), MORTISE_INVALID);
	assert_int_equal(index_reserve(fixture->index, UINT64_MAX, 1), MORTISE_INVALID);
	index_remove(fixture->index, 0);
	index_remove(fixture->index, STORE_NUMBER_MAX + 1);
	index_remove(fixture->index, UINT64_MAX);
	compare(fixture);
}

static void a_row_that_is_put_replaces_the_one_with_its_number(void **state)
{
	const struct fixture *fixture = *state;
	const struct index_row newer = a_row(fixture, 1, "newer");
	struct index_row row;

	put_new(fixture, 1, "old");
	put(fixture->index, &newer);
	assert_int_equal(index_count(fixture->index), 1);
	assert_true(index_find(fixture->index, newer.path_hash, &row));
	assert_same_row(&row, &newer);
	assert_true(index_next(fixture->index, 0, &row));
	assert_same_row(&row, &newer);
	assert_false(index_next(fixture->index, 1, &row));
}

static void a_row_that_is_removed_is_gone_and_no_other(void **state)
{
	struct fixture *fixture = *state;

	for (uint64_t n = 1; n <= 40; n++)
		put_in_both(fixture, n, "record");
	for (uint64_t n = 1; n <= 40; n += 3) {
		remove_from_both(fixture, n);
		remove_from_both(fixture, n); /* not there, and no error */
		assert_int_equal(number_on(fixture->index, n), 0);
		assert_int_equal(number_on(fixture->index, n - 1), n - 1);
	}
	for (uint64_t n = 1; n <= 40; n++)
		put_in_both(fixture, n, "again");
}

/* ---- by path ---- */

/* Two rows, then each with another path; `first` of these comes first. */
static void put_anew(struct fixture *fixture, const struct index_row before[2],
	const struct index_row after[2], unsigned first)
{
	begin_again(fixture);
	put(fixture->index, &before[0]);
	put(fixture->index, &before[1]);
	put(fixture->index, &after[first]);
	put(fixture->index, &after[!first]);
}

static void a_path_moves_from_one_row_to_another(void **state)
{
	struct fixture *fixture = *state;
	const struct index_row before[2] = {a_row_on(fixture, 1, 10, "one"),
		a_row_on(fixture, 2, 20, "two")},
			       after[2] = {a_row_on(fixture, 1, 30, "one, moved"),
				       a_row_on(fixture, 2, 10, "two, moved")};

	for (unsigned first = 0; first < 2; first++) {
		put_anew(fixture, before, after, first);
		assert_int_equal(number_on(fixture->index, 10), 2);
		assert_int_equal(number_on(fixture->index, 20), 0);
		assert_int_equal(number_on(fixture->index, 30), 1);
		index_remove(fixture->index, 1);
		assert_int_equal(number_on(fixture->index, 30), 0);
		assert_int_equal(number_on(fixture->index, 10), 2);
		index_remove(fixture->index, 2);
		assert_int_equal(number_on(fixture->index, 10), 0);
	}
}

static void two_rows_swap_their_paths(void **state)
{
	struct fixture *fixture = *state;
	const struct index_row before[2] = {a_row_on(fixture, 1, 10, "one"),
		a_row_on(fixture, 2, 20, "two")},
			       after[2] = {a_row_on(fixture, 1, 20, "one, moved"),
				       a_row_on(fixture, 2, 10, "two, moved")};

	for (unsigned first = 0; first < 2; first++) {
		put_anew(fixture, before, after, first);
		assert_int_equal(number_on(fixture->index, 10), 2);
		assert_int_equal(number_on(fixture->index, 20), 1);
	}
}

static void a_row_that_goes_leaves_a_path_that_is_anothers_by_now(void **state)
{
	const struct fixture *fixture = *state;
	const struct index_row one = a_row_on(fixture, 1, 10, "one"),
			       two = a_row_on(fixture, 2, 10, "two");

	put(fixture->index, &one);
	put(fixture->index, &two);
	index_remove(fixture->index, 1);
	assert_int_equal(number_on(fixture->index, 10), 2);
}

/* All begin in the table's last place or in its first, and many push on the others. */
static struct index_row a_row_in_a_crowd(const struct fixture *fixture, uint64_t number)
{
	struct index_row row = a_row(fixture, number, "record");

	memset(row.path_hash, number % 2 ? 0xff : 0, 3);
	return row;
}

static void paths_whose_hashes_begin_alike_are_not_mixed_up(void **state)
{
	const struct fixture *fixture = *state;
	struct index_row found;

	for (uint64_t n = 1; n <= 300; n++) {
		const struct index_row row = a_row_in_a_crowd(fixture, n);
		assert_false(index_find(fixture->index, row.path_hash, &found));
		put(fixture->index, &row);
	}
	for (uint64_t gone = 1; gone <= 300; gone++) {
		index_remove(fixture->index, 1 + gone * 7 % 300);
		for (uint64_t n = 1; n <= 300; n++) {
			const struct index_row row = a_row_in_a_crowd(fixture, n);
			bool is_there = index_get(fixture->index, n, &found);
			assert_int_equal(
				index_find(fixture->index, row.path_hash, &found), is_there);
			if (is_there)
				assert_same_row(&found, &row);
		}
	}
	assert_int_equal(index_count(fixture->index), 0);
}

/* ---- the root ---- */

static void the_root_covers_no_more_of_a_row_than_its_digest(void **state)
{
	const struct fixture *fixture = *state;
	struct index_row row = a_row(fixture, 1, "record");

	put(fixture->index, &row);
	struct hash before = root_of(fixture->index, NULL);
	row.current = 7;
	row.is_deleted = true;
	hash_path(1000, row.path_hash);
	put(fixture->index, &row);
	assert_true(is_same(before, root_of(fixture->index, NULL)));
}

static void the_root_foretold_is_the_root_that_comes(void **state)
{
	const struct fixture *fixture = *state;

	for (unsigned n = 0; n < 600; n++) {
		/* Rows new and replaced, in full and in empty nodes. */
		const struct index_row row =
			a_row(fixture, 1 + n * 3 % 400, n < 400 ? "record" : "newer");
		struct index_change change = {.rows = &row, .row_count = 1};
		assert_int_equal(index_reserve(fixture->index, row.number, 1), MORTISE_OK);
		struct hash before = root_of(fixture->index, NULL);
		struct hash foretold = root_of(fixture->index, &change);
		assert_false(is_same(before, foretold));
		assert_true(is_same(before, root_of(fixture->index, NULL)));
		index_put(fixture->index, &row);
		assert_true(is_same(foretold, root_of(fixture->index, NULL)));
	}
}

static void the_root_foretold_for_a_row_that_goes_comes_true(void **state)
{
	const struct fixture *fixture = *state;

	for (uint64_t n = 1; n <= 300; n++)
		put_new(fixture, n, "record");
	put_new(fixture, 5000, "far away, and alone in its node");
	for (uint64_t n = 0; n < 301; n++) {
		uint64_t number = n ? 1 + n * 7 % 300 : 5000;
		struct index_change change = {.removed = number};
		struct hash before = root_of(fixture->index, NULL);
		struct hash foretold = root_of(fixture->index, &change);
		assert_false(is_same(before, foretold));
		assert_true(is_same(before, root_of(fixture->index, NULL)));
		index_remove(fixture->index, number);
		assert_true(is_same(foretold, root_of(fixture->index, NULL)));
	}
	assert_int_equal(index_count(fixture->index), 0);
}

static void the_root_foretold_for_many_rows_at_once_comes_true(void **state)
{
	struct fixture *fixture = *state;
	static const uint64_t steps[] = {1, 2, 3, 16, 17, 300, 4096, 1 << 20, UINT64_C(1) << 32};
	struct index_row rows[40];
	struct index_change change = {.rows = rows, .row_count = 40};

	put_in_both(fixture, 3, "replaced in some");
	put_in_both(fixture, 33, "replaced in some");
	for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
		for (uint64_t n = 0; n < 40; n++)
			rows[n] = a_row(fixture, 1 + n * steps[i], i % 2 ? "odd" : "even");
		change_both(fixture, &change);
	}
}

static void the_root_foretold_for_rows_and_an_item_comes_true(void **state)
{
	struct fixture *fixture = *state;
	const struct index_row row = a_row(fixture, 5, "record");

	change_both(fixture, &(struct index_change){.rows = &row,
				     .row_count = 1,
				     .kind = STORE_AUDIT,
				     .number = 1,
				     .body = text("state")});
	change_both(fixture,
		&(struct index_change){
			.removed = 5, .kind = STORE_AUDIT, .number = 1, .body = {NULL, 0}});
}

static void the_root_foretold_for_items_comes_true(void **state)
{
	struct index *index = ((struct fixture *)*state)->index;

	for (unsigned n = 0; n < 200; n++) {
		enum store_item kind = (enum store_item)(1 + n % 3);
		uint64_t number = 1 + n * 7 % 11;
		struct store_bytes body = n % 5 ? text("body") : (struct store_bytes){NULL, 0};
		struct index_change change = {.kind = kind, .number = number, .body = body};
		struct hash foretold = root_of(index, &change);
		if (body.bytes)
			assert_int_equal(index_put_item(index, kind, number, body), MORTISE_OK);
		else
			index_delete_item(index, kind, number);
		assert_true(is_same(foretold, root_of(index, NULL)));
	}
}

static void the_root_does_not_depend_on_the_order_of_writes(void **state)
{
	struct fixture *fixture = *state;
	struct hash roots[3];

	for (unsigned way = 0; way < 3; way++) {
		begin_again(fixture);
		for (uint64_t n = 0; n < 300; n++) {
			uint64_t number = way == 0 ? n : way == 1 ? 299 - n : n * 101 % 300;
			put_new(fixture, number + 1, "record");
			if (way == 2) /* nor on when the nodes are made anew */
				index_settle(fixture->index);
		}
		for (uint64_t n = 0; n < 20; n++)
			assert_int_equal(index_put_item(fixture->index, STORE_POLICY,
						 way ? 20 - n : n + 1, text("p")),
				MORTISE_OK);
		roots[way] = root_of(fixture->index, NULL);
	}
	assert_true(is_same(roots[0], roots[1]));
	assert_true(is_same(roots[0], roots[2]));
}

static void a_row_that_came_and_went_leaves_the_root_as_it_was(void **state)
{
	const struct fixture *fixture = *state;

	for (uint64_t n = 10; n <= 300; n += 10)
		put_new(fixture, n, "record");
	struct hash before = root_of(fixture->index, NULL);
	for (uint64_t n = 1; n < 5000; n += 7) {
		struct index_row row;
		if (index_get(fixture->index, n, &row))
			continue;
		put_new(fixture, n, "record");
		assert_false(is_same(before, root_of(fixture->index, NULL)));
		index_remove(fixture->index, n);
		assert_true(is_same(before, root_of(fixture->index, NULL)));
	}
}

static void a_row_more_or_less_or_other_changes_the_root(void **state)
{
	struct fixture *fixture = *state;
	struct hash roots[4];

	for (unsigned way = 0; way < 4; way++) {
		begin_again(fixture);
		put_new(fixture, 1, "record");
		if (way != 1)
			put_new(fixture, 2, way == 2 ? "RECORD" : "record");
		if (way == 3)
			put_new(fixture, 3, "record");
		roots[way] = root_of(fixture->index, NULL);
	}
	assert_all_differ(roots, 4);
}

/* Digests that do not depend on the number, so that it is the tree which has to. */
static void digests_that_are_swapped_or_elsewhere_change_the_root(void **state)
{
	struct fixture *fixture = *state;
	static const struct {
		uint64_t numbers[2];
		const char *records[2];
	} ways[] = {
		{{1, 2}, {"a", "b"}},
		{{1, 2}, {"b", "a"}},
		{{1, 3}, {"a", "b"}},
		{{2, 3}, {"a", "b"}},
		{{1, 17}, {"a", "b"}},
		{{1, 17}, {"b", "a"}},
		{{1, 18}, {"a", "b"}},
		{{17, 33}, {"a", "b"}},
		{{1, 33}, {"a", "b"}},
		{{1, 257}, {"a", "b"}},
		{{257, 513}, {"a", "b"}},
		{{1, 4097}, {"a", "b"}},
		{{1, 4097}, {"b", "a"}},
	};
	struct hash roots[sizeof ways / sizeof ways[0]];

	for (size_t way = 0; way < sizeof ways / sizeof ways[0]; way++) {
		begin_again(fixture);
		for (unsigned i = 0; i < 2; i++) {
			struct index_row row = a_row(fixture, ways[way].numbers[i], "");
			struct hash digest =
				row_digest(fixture->key, 0, text(ways[way].records[i]));
			memcpy(row.digest, digest.bytes, sizeof row.digest);
			put(fixture->index, &row);
		}
		roots[way] = root_of(fixture->index, NULL);
	}
	assert_all_differ(roots, sizeof ways / sizeof ways[0]);
}

static void every_row_counts_for_the_root(void **state)
{
	const struct fixture *fixture = *state;
	struct hash roots[2 * 70 + 1];
	size_t count = 0;

	for (uint64_t n = 1; n <= 70; n++)
		put_new(fixture, n * n, "record");
	roots[count++] = root_of(fixture->index, NULL);
	for (uint64_t n = 1; n <= 70; n++) {
		const struct index_row row = a_row(fixture, n * n, "other");
		roots[count++] = root_of(
			fixture->index, &(struct index_change){.rows = &row, .row_count = 1});
		roots[count++] = root_of(fixture->index, &(struct index_change){.removed = n * n});
	}
	assert_all_differ(roots, count);
}

static void the_root_covers_the_identity_of_the_store(void **state)
{
	const struct fixture *fixture = *state;
	struct store_meta metas[6] = {meta_a, meta_a, meta_a, meta_a, meta_a, meta_a};
	struct hash roots[6];

	metas[1].uuid[15] ^= 1;
	metas[2].epoch++;
	metas[3].generation++;
	metas[4].last++;
	metas[5].last = STORE_NUMBER_MAX;
	for (unsigned with_rows = 0; with_rows < 2; with_rows++) {
		for (unsigned i = 0; i < 6; i++)
			roots[i] = root_with(fixture->index, &metas[i], NULL);
		assert_all_differ(roots, 6);
		put_new(fixture, 1, "record");
	}
}

static void the_root_depends_on_the_key(void **state)
{
	const struct fixture *fixture = *state;
	CLEANUP(secret_drop) struct secret *key = NULL;
	struct index *other = NULL;
	uint8_t digests[2][STORE_HASH_SIZE];

	assert_int_equal(secret_random(KEY_SIZE, &key), MORTISE_OK);
	assert_int_equal(index_new(key, &other), MORTISE_OK);
	assert_false(is_same(root_of(fixture->index, NULL), root_of(other, NULL)));
	index_digest(fixture->index, 1, text("record"), digests[0]);
	index_digest(other, 1, text("record"), digests[1]);
	assert_memory_not_equal(digests[0], digests[1], STORE_HASH_SIZE);
	const struct index_row row = a_row(fixture, 1, "record");
	put(fixture->index, &row);
	put(other, &row);
	assert_false(is_same(root_of(fixture->index, NULL), root_of(other, NULL)));
	index_free(other);
}

/* ---- the tree's height ---- */

static void the_tree_grows_with_the_numbers(void **state)
{
	struct fixture *fixture = *state;

	compare(fixture);
	for (size_t i = 0; i < EDGES; i++)
		put_in_both(fixture, edges[i], "record");
	for (size_t i = 0; i < EDGES; i++)
		put_in_both(fixture, edges[i], "newer");
}

static void high_numbers_may_come_before_low_ones(void **state)
{
	struct fixture *fixture = *state;

	for (size_t i = EDGES; i > 0; i--)
		put_in_both(fixture, edges[i - 1], "record");
	for (size_t i = EDGES; i > 0; i--)
		remove_from_both(fixture, edges[i - 1]);
}

static void a_row_may_be_alone_in_a_tree_of_any_height(void **state)
{
	struct fixture *fixture = *state;

	for (size_t i = 0; i < EDGES; i++) {
		begin_again(fixture);
		put_in_both(fixture, edges[i], "record");
		for (size_t j = i; j < EDGES; j++) {
			fixture->model.meta.last = edges[j];
			compare(fixture);
			put_in_both(fixture, edges[i], "newer");
		}
		remove_from_both(fixture, edges[i]);
	}
}

/* The tree is as high as the highest number that ever was wants it, though its row is gone. */
static void the_top_stays_where_it_was_as_the_highest_rows_go(void **state)
{
	struct fixture *fixture = *state;

	for (size_t i = 0; i < EDGES; i++)
		put_in_both(fixture, edges[i], "record");
	for (size_t i = EDGES; i > 0; i--)
		remove_from_both(fixture, edges[i - 1]);
	struct hash emptied = root_with(fixture->index, &fixture->model.meta, NULL);
	begin_again(fixture);
	fixture->model.meta.last = STORE_NUMBER_MAX;
	assert_true(is_same(emptied, compare(fixture)));
	put_in_both(fixture, 3, "the tree is lower than the highest number");
}

static void a_reserve_that_comes_to_nothing_leaves_the_root_as_it_was(void **state)
{
	struct fixture *fixture = *state;

	for (unsigned rows = 0; rows < 3; rows++) {
		for (size_t i = 0; i < EDGES; i++) {
			assert_int_equal(
				index_reserve(fixture->index, edges[i], 1 + i), MORTISE_OK);
			compare(fixture);
			index_settle(fixture->index);
			compare(fixture);
		}
		put_in_both(fixture, rows ? 40 : 3, "record");
	}
	put_in_both(fixture, 4096, "record");
	put_in_both(fixture, 65536, "record");
	remove_from_both(fixture, 65536);
}

/* ---- index and model ---- */

struct spread {
	unsigned count;
	uint64_t stride;
};

static unsigned dice(struct fixture *fixture, size_t sides)
{
	fixture->random ^= fixture->random << 13;
	fixture->random ^= fixture->random >> 7;
	fixture->random ^= fixture->random << 17;
	return (unsigned)((fixture->random >> 11) % sides);
}

/* Of two paths that are the number's own. */
static struct index_row a_random_row(struct fixture *fixture, uint64_t number)
{
	char record[32];

	snprintf(record, sizeof record, "record %u", dice(fixture, 1000));
	struct index_row row = a_row_on(fixture, number, 2 * number + dice(fixture, 2), record);
	row.current = dice(fixture, 4);
	row.is_deleted = dice(fixture, 4) == 0;
	return row;
}

/* By number: side by side, or a few apart. */
static size_t some_random_rows(struct fixture *fixture, const struct spread *spread,
	unsigned reached, struct index_row *rows, size_t limit)
{
	unsigned step = 1 + dice(fixture, 3);
	size_t count = 0;

	for (unsigned at = dice(fixture, reached); at < reached && count < limit; at += step)
		rows[count++] = a_random_row(fixture, (1 + at) * spread->stride);
	return count;
}

static void change_something(struct fixture *fixture, const struct spread *spread, unsigned reached)
{
	struct model *model = &fixture->model;
	struct index_change change = {.kind = 0};
	struct index_row rows[24];
	unsigned what = dice(fixture, 16);

	if (what < 5)
		change.row_count = some_random_rows(fixture, spread, reached, rows, 1);
	else if (what < 9)
		change.row_count = some_random_rows(fixture, spread, reached, rows, 24);
	else if (what < 14 && model->row_count)
		change.removed = model->rows[dice(fixture, model->row_count)].number;
	else
		assert_int_equal(index_reserve(fixture->index,
					 (1 + dice(fixture, spread->count)) * spread->stride,
					 dice(fixture, 40)),
			MORTISE_OK);
	change.rows = rows;
	if (dice(fixture, 4) == 0) {
		change.kind = (enum store_item)(1 + dice(fixture, 3));
		change.number = 1 + dice(fixture, 12);
		change.body = dice(fixture, 3) ? text("body") : (struct store_bytes){NULL, 0};
	}
	change_both(fixture, &change);
}

static void change_at_random(struct fixture *fixture, const struct spread *spread)
{
	const unsigned changes = 300;

	begin_again(fixture);
	for (unsigned i = 0; i < changes; i++)
		change_something(fixture, spread, 1 + (spread->count - 1) * i / changes);
	while (fixture->model.row_count)
		remove_from_both(fixture,
			fixture->model.rows[dice(fixture, fixture->model.row_count)].number);
}

static void after_every_change_the_index_is_as_the_model_side_by_side(void **state)
{
	change_at_random(*state, &(struct spread){16, 1});
	change_at_random(*state, &(struct spread){40, 1});
	change_at_random(*state, &(struct spread){500, 1});
}

static void after_every_change_the_index_is_as_the_model_far_apart(void **state)
{
	change_at_random(*state, &(struct spread){300, 5});
	change_at_random(*state, &(struct spread){300, 16});
	change_at_random(*state, &(struct spread){300, 4097});
	change_at_random(*state, &(struct spread){300, STORE_NUMBER_MAX / 300});
}

/* ---- items ---- */

static void the_root_covers_kind_number_and_body_of_an_item(void **state)
{
	struct index *index = ((struct fixture *)*state)->index;
	const struct index_change changes[] = {
		{.kind = STORE_SLOT, .number = 1, .body = text("body")},
		{.kind = STORE_POLICY, .number = 1, .body = text("body")},
		{.kind = STORE_SLOT, .number = 2, .body = text("body")},
		{.kind = STORE_SLOT, .number = 1, .body = text("BODY")},
		{.kind = STORE_SLOT, .number = 1, .body = text("")},
	};
	struct hash roots[6];

	roots[5] = root_of(index, NULL);
	for (unsigned i = 0; i < 5; i++)
		roots[i] = root_of(index, &changes[i]);
	assert_all_differ(roots, 6);
}

static void items_are_known_by_kind_number_and_body(void **state)
{
	struct index *index = ((struct fixture *)*state)->index;

	assert_int_equal(index_put_item(index, STORE_SLOT, 3, text("a")), MORTISE_OK);
	assert_true(index_has_item(index, STORE_SLOT, 3, text("a")));
	assert_false(index_has_item(index, STORE_SLOT, 3, text("b")));
	assert_false(index_has_item(index, STORE_SLOT, 2, text("a")));
	assert_false(index_has_item(index, STORE_AUDIT, 3, text("a")));
	assert_int_equal(index_put_item(index, STORE_SLOT, 3, text("b")), MORTISE_OK);
	assert_true(index_has_item(index, STORE_SLOT, 3, text("b")));
	index_delete_item(index, STORE_SLOT, 3);
	index_delete_item(index, STORE_SLOT, 3);
	assert_false(index_has_item(index, STORE_SLOT, 3, text("b")));
}

static void items_are_walked_by_number_within_their_kind(void **state)
{
	struct index *index = ((struct fixture *)*state)->index;

	assert_int_equal(index_last_item(index, STORE_POLICY), 0);
	assert_int_equal(index_next_item(index, STORE_POLICY, 0), 0);
	assert_int_equal(index_put_item(index, STORE_POLICY, 9, text("a")), MORTISE_OK);
	assert_int_equal(index_put_item(index, STORE_POLICY, 2, text("a")), MORTISE_OK);
	assert_int_equal(index_put_item(index, STORE_AUDIT, 1, text("a")), MORTISE_OK);
	assert_int_equal(index_put_item(index, STORE_SLOT, 5, text("a")), MORTISE_OK);
	assert_int_equal(index_last_item(index, STORE_POLICY), 9);
	assert_int_equal(index_next_item(index, STORE_POLICY, 0), 2);
	assert_int_equal(index_next_item(index, STORE_POLICY, 2), 9);
	assert_int_equal(index_next_item(index, STORE_POLICY, 9), 0);
}

/* ---- the end of an index ---- */

static void a_large_index_is_drained_in_parts(void **state)
{
	const struct fixture *fixture = *state;
	unsigned parts = 0;

	for (uint64_t n = 1; n <= 20000; n++)
		put_new(fixture, n * 5, "record");
	put_new(fixture, STORE_NUMBER_MAX, "record");
	while (index_drain(fixture->index))
		parts++;
	assert_in_range(parts, 20001 / 4096, 200);
	assert_false(index_drain(fixture->index));
}

static void an_index_that_is_drained_halfway_can_be_freed(void **state)
{
	struct fixture *fixture = *state;

	for (uint64_t n = 1; n <= 5000; n++)
		put_new(fixture, n * 20, "record");
	assert_true(index_drain(fixture->index));
	assert_true(index_drain(fixture->index));
	begin_again(fixture);
}

static void a_small_index_is_freed_at_once(void **state)
{
	const struct fixture *fixture = *state;

	assert_false(index_drain(fixture->index));
	for (uint64_t n = 1; n <= 100; n++)
		put_new(fixture, n, "record");
	assert_false(index_drain(fixture->index));
}

static void nothing_can_be_freed(void **state)
{
	index_free(NULL);
}

int main(void)
{
#define IN_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		IN_FIXTURE(a_rows_digest_covers_its_number_and_every_byte),
		IN_FIXTURE(a_row_is_as_it_was_put),
		IN_FIXTURE(every_row_is_found_and_walked_in_the_order_of_numbers),
		IN_FIXTURE(the_next_row_may_be_far_away),
		IN_FIXTURE(the_next_deleted_row_is_found_in_a_range_and_no_other),
		IN_FIXTURE(an_empty_index_has_no_next),
		IN_FIXTURE(what_is_not_there_is_not_found_and_leaves_the_output_alone),
		IN_FIXTURE(numbers_that_no_secret_has_are_refused),
		IN_FIXTURE(a_row_that_is_put_replaces_the_one_with_its_number),
		IN_FIXTURE(a_row_that_is_removed_is_gone_and_no_other),
		IN_FIXTURE(a_path_moves_from_one_row_to_another),
		IN_FIXTURE(two_rows_swap_their_paths),
		IN_FIXTURE(a_row_that_goes_leaves_a_path_that_is_anothers_by_now),
		IN_FIXTURE(paths_whose_hashes_begin_alike_are_not_mixed_up),
		IN_FIXTURE(the_root_covers_no_more_of_a_row_than_its_digest),
		IN_FIXTURE(the_root_foretold_is_the_root_that_comes),
		IN_FIXTURE(the_root_foretold_for_a_row_that_goes_comes_true),
		IN_FIXTURE(the_root_foretold_for_many_rows_at_once_comes_true),
		IN_FIXTURE(the_root_foretold_for_rows_and_an_item_comes_true),
		IN_FIXTURE(the_root_foretold_for_items_comes_true),
		IN_FIXTURE(the_root_does_not_depend_on_the_order_of_writes),
		IN_FIXTURE(a_row_that_came_and_went_leaves_the_root_as_it_was),
		IN_FIXTURE(a_row_more_or_less_or_other_changes_the_root),
		IN_FIXTURE(digests_that_are_swapped_or_elsewhere_change_the_root),
		IN_FIXTURE(every_row_counts_for_the_root),
		IN_FIXTURE(the_root_covers_the_identity_of_the_store),
		IN_FIXTURE(the_root_depends_on_the_key),
		IN_FIXTURE(the_tree_grows_with_the_numbers),
		IN_FIXTURE(high_numbers_may_come_before_low_ones),
		IN_FIXTURE(a_row_may_be_alone_in_a_tree_of_any_height),
		IN_FIXTURE(the_top_stays_where_it_was_as_the_highest_rows_go),
		IN_FIXTURE(a_reserve_that_comes_to_nothing_leaves_the_root_as_it_was),
		IN_FIXTURE(after_every_change_the_index_is_as_the_model_side_by_side),
		IN_FIXTURE(after_every_change_the_index_is_as_the_model_far_apart),
		IN_FIXTURE(the_root_covers_kind_number_and_body_of_an_item),
		IN_FIXTURE(items_are_known_by_kind_number_and_body),
		IN_FIXTURE(items_are_walked_by_number_within_their_kind),
		IN_FIXTURE(a_large_index_is_drained_in_parts),
		IN_FIXTURE(an_index_that_is_drained_halfway_can_be_freed),
		IN_FIXTURE(a_small_index_is_freed_at_once),
		IN_FIXTURE(nothing_can_be_freed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
