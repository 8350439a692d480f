/* SPDX-License-Identifier: ISC */
/* entry and index, with the tally over them. */
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "index.h"
#include "mortise_test.h"

static const struct store_meta meta_a = {{1}, 2, 3, {0}};
static const uint8_t wrapped_key[STORE_KEY_SIZE] = {5};

struct fixture {
	struct secret *key;
	struct index *index;
};

static int set_up(void **state)
{
	static struct fixture fixture;

	if (secret_pool_open(65536) != MORTISE_OK ||
		secret_random(KEY_SIZE, &fixture.key) != MORTISE_OK ||
		index_new(fixture.key, &fixture.index) != MORTISE_OK)
		return -1;
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

static enum mortise_status add(struct entry *entry, uint64_t number, struct store_bytes info)
{
	const struct store_version version = {number, 1, wrapped_key, info};

	return entry_add_version(entry, &version);
}

/* Row number n: its id and path hash are made of n; versions 1 to `versions`. */
static struct entry *an_entry(unsigned n, const char *head, unsigned versions)
{
	uint8_t id[STORE_ID_SIZE], path_hash[STORE_HASH_SIZE];
	struct entry *entry = NULL;

	crypto_generichash(id, sizeof id, (const uint8_t *)&n, sizeof n, NULL, 0);
	crypto_generichash(path_hash, sizeof path_hash, (const uint8_t *)&n, sizeof n, NULL, 0);
	assert_int_equal(entry_new(id, path_hash, &entry), MORTISE_OK);
	assert_int_equal(entry_set_head(entry, (const uint8_t *)head, strlen(head)), MORTISE_OK);
	for (unsigned i = 1; i <= versions; i++)
		assert_int_equal(add(entry, i, text("info")), MORTISE_OK);
	return entry;
}

static void swap_in(struct index *index, struct entry *entry)
{
	index_digest(index, entry);
	assert_int_equal(index_reserve(index, entry->id), MORTISE_OK);
	index_swap(index, entry);
}

struct root {
	uint8_t bytes[STORE_HASH_SIZE];
};

static struct root root_of(const struct index *index, const struct index_change *change)
{
	struct root root;

	index_root(index, &meta_a, change, root.bytes);
	return root;
}

static bool is_same(struct root a, struct root b)
{
	return memcmp(a.bytes, b.bytes, STORE_HASH_SIZE) == 0;
}

static void versions_are_added_in_ascending_order_only(void **state)
{
	struct entry *entry = an_entry(1, "head", 2);

	assert_int_equal(add(entry, 0, text("")), MORTISE_INTEGRITY);
	assert_int_equal(add(entry, 2, text("")), MORTISE_INTEGRITY);
	assert_int_equal(add(entry, 1, text("")), MORTISE_INTEGRITY);
	assert_int_equal(add(entry, UINT64_MAX, text("")), MORTISE_OK);
	assert_int_equal(entry->version_count, 3);
	entry_free(entry);
}

static void versions_are_bounded(void **state)
{
	struct entry *entry = an_entry(1, "head", STORE_VERSIONS_MAX);

	assert_int_equal(add(entry, 5000, text("")), MORTISE_INTEGRITY);
	entry_free(entry);
}

static void a_version_is_found_by_its_number(void **state)
{
	struct entry *entry = an_entry(1, "head", 3);

	entry_remove_version(entry, 0);
	assert_null(entry_version(entry, 1));
	assert_int_equal(entry_version(entry, 2)->number, 2);
	assert_int_equal(entry_version(entry, 3)->number, 3);
	assert_null(entry_version(entry, 0));
	entry_remove_version(entry, 1);
	entry_remove_version(entry, 0);
	assert_int_equal(entry->version_count, 0);
	assert_null(entry_version(entry, 2));
	entry_free(entry);
}

static void a_clone_is_equal_and_of_its_own(void **state)
{
	struct fixture *fixture = *state;
	struct entry *entry = an_entry(1, "head", 3), *clone = NULL;

	entry->current = 2;
	entry->is_deleted = true;
	assert_int_equal(entry_clone(entry, &clone), MORTISE_OK);
	index_digest(fixture->index, entry);
	index_digest(fixture->index, clone);
	assert_memory_equal(entry->digest, clone->digest, STORE_HASH_SIZE);
	assert_int_equal(clone->current, 2);
	assert_true(clone->is_deleted);
	entry_free(entry);
	assert_memory_equal(clone->head, "head", 4);
	assert_memory_equal(clone->versions[2].info, "info", 4);
	entry_free(clone);
	entry_free(NULL);
}

/* Each byte and number of a row, changed in turn. */
static void a_rows_digest_covers_all_of_it(void **state)
{
	const struct index *index = ((struct fixture *)*state)->index;
	struct entry *entry = an_entry(1, "head", 2);
	uint8_t before[STORE_HASH_SIZE];
	uint8_t *const parts[] = {entry->id, entry->id + 15, entry->path_hash,
		entry->path_hash + 31, entry->head, entry->head + 3, entry->versions[0].wrapped_key,
		entry->versions[1].wrapped_key + 71, entry->versions[0].info,
		entry->versions[1].info + 3, (uint8_t *)&entry->versions[1].number,
		(uint8_t *)&entry->versions[1].value_epoch};

	index_digest(index, entry);
	memcpy(before, entry->digest, sizeof before);
	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
		*parts[i] ^= 4;
		index_digest(index, entry);
		assert_memory_not_equal(entry->digest, before, STORE_HASH_SIZE);
		*parts[i] ^= 4;
	}
	entry_remove_version(entry, 1);
	index_digest(index, entry);
	assert_memory_not_equal(entry->digest, before, STORE_HASH_SIZE);
	entry_free(entry);
}

/* The other row's head holds all that follows the first one's, but for the sizes. */
static void bytes_cannot_move_between_fields_of_a_row(void **state)
{
	const struct index *index = ((struct fixture *)*state)->index;
	static const uint8_t info[12] = "info",
			     numbers[24] = {1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1};
	struct entry *one = an_entry(1, "head", 0), *other = an_entry(1, "", 0);
	uint8_t head[4 + sizeof numbers + STORE_KEY_SIZE + 4];

	assert_int_equal(add(one, 1, (struct store_bytes){info, sizeof info}), MORTISE_OK);
	memcpy(head, "head", 4);
	memcpy(head + 4, numbers, sizeof numbers);
	memcpy(head + 4 + sizeof numbers, wrapped_key, STORE_KEY_SIZE);
	memcpy(head + sizeof head - 4, "info", 4);
	assert_int_equal(entry_set_head(other, head, sizeof head), MORTISE_OK);
	index_digest(index, one);
	index_digest(index, other);
	assert_memory_not_equal(one->digest, other->digest, STORE_HASH_SIZE);
	entry_free(one);
	entry_free(other);
}

static void every_row_is_found_and_walked_in_the_order_of_ids(void **state)
{
	struct index *index = ((struct fixture *)*state)->index;
	const struct entry *entry = NULL, *before = NULL;
	unsigned count = 0;

	/* More than twice the first table, so that it grows. */
	for (unsigned n = 0; n < 3000; n++)
		swap_in(index, an_entry(n, "head", 1));
	assert_int_equal(index_count(index), 3000);
	for (unsigned n = 0; n < 3100; n++) {
		struct entry *asked = an_entry(n, "", 0);
		entry = index_find(index, asked->path_hash);
		assert_int_equal(entry != NULL, n < 3000);
		if (entry)
			assert_memory_equal(entry->id, asked->id, STORE_ID_SIZE);
		entry_free(asked);
	}
	while ((entry = index_next(index, before ? before->id : NULL))) {
		if (before)
			assert_true(memcmp(before->id, entry->id, STORE_ID_SIZE) < 0);
		before = entry;
		count++;
	}
	assert_int_equal(count, 3000);
}

static void an_empty_index_has_no_next(void **state)
{
	const struct index *index = ((struct fixture *)*state)->index;
	uint8_t last[STORE_ID_SIZE];

	memset(last, 0xff, sizeof last);
	assert_null(index_next(index, NULL));
	assert_null(index_next(index, last));
}

static void a_row_that_is_swapped_in_replaces_the_one_with_its_id(void **state)
{
	struct index *index = ((struct fixture *)*state)->index;

	swap_in(index, an_entry(1, "old", 1));
	struct entry *newer = an_entry(1, "new", 2);
	swap_in(index, newer);
	assert_int_equal(index_count(index), 1);
	assert_ptr_equal(index_find(index, newer->path_hash), newer);
	assert_ptr_equal(index_next(index, NULL), newer);
}

static void a_mark_changes_what_is_in_the_clear_only(void **state)
{
	struct index *index = ((struct fixture *)*state)->index;
	struct entry *entry = an_entry(1, "head", 1), *other = an_entry(2, "head", 1);

	swap_in(index, entry);
	struct root before = root_of(index, NULL);
	index_mark(index, entry->id, &(struct index_marks){1, 0, 0, true});
	index_mark(index, other->id, &(struct index_marks){7, 0, 0, true});
	assert_int_equal(entry->current, 1);
	assert_true(entry->is_deleted);
	assert_true(is_same(before, root_of(index, NULL)));
	entry_free(other);
}

static void the_root_foretold_is_the_root_that_comes(void **state)
{
	struct index *index = ((struct fixture *)*state)->index;

	for (unsigned n = 0; n < 600; n++) {
		/* Rows new and replaced, in full and in empty buckets. */
		struct entry *entry = an_entry(n % 400, n < 400 ? "head" : "newer", 1);
		index_digest(index, entry);
		struct index_change change = {.entry = entry};
		struct root before = root_of(index, NULL);
		struct root foretold = root_of(index, &change);
		assert_false(is_same(before, foretold));
		assert_true(is_same(before, root_of(index, NULL)));
		swap_in(index, entry);
		assert_true(is_same(foretold, root_of(index, NULL)));
	}
}

static void the_root_foretold_for_items_comes_true(void **state)
{
	struct index *index = ((struct fixture *)*state)->index;

	for (unsigned n = 0; n < 200; n++) {
		enum store_item kind = (enum store_item)(1 + n % 3);
		uint64_t number = 1 + n * 7 % 11;
		struct store_bytes body = n % 5 ? text("body") : (struct store_bytes){NULL, 0};
		struct index_change change = {.kind = kind, .number = number, .body = body};
		struct root foretold = root_of(index, &change);
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
	struct index *index = fixture->index, *other = NULL;

	assert_int_equal(index_new(fixture->key, &other), MORTISE_OK);
	for (unsigned n = 0; n < 300; n++) {
		swap_in(index, an_entry(n, "head", 1));
		swap_in(other, an_entry(299 - n, "head", 1));
	}
	for (unsigned n = 0; n < 20; n++) {
		assert_int_equal(index_put_item(index, STORE_POLICY, n + 1, text("p")), MORTISE_OK);
		assert_int_equal(
			index_put_item(other, STORE_POLICY, 20 - n, text("p")), MORTISE_OK);
	}
	assert_true(is_same(root_of(index, NULL), root_of(other, NULL)));
	index_free(other);
}

static void a_filled_index_is_as_one_that_grew(void **state)
{
	struct fixture *fixture = *state;
	struct entry *entries[2000];
	struct index *grown = NULL;

	assert_int_equal(index_new(fixture->key, &grown), MORTISE_OK);
	for (unsigned n = 0; n < 2000; n++) {
		entries[n] = an_entry(n, "head", 1);
		index_digest(fixture->index, entries[n]);
		swap_in(grown, an_entry(1999 - n, "head", 1));
	}
	assert_int_equal(index_fill(fixture->index, entries, 2000), MORTISE_OK);
	assert_null(entries[0]);
	assert_null(entries[1999]);
	assert_int_equal(index_count(fixture->index), 2000);
	assert_true(is_same(root_of(fixture->index, NULL), root_of(grown, NULL)));
	index_free(grown);
}

static void a_row_more_or_less_or_other_changes_the_root(void **state)
{
	struct fixture *fixture = *state;
	struct root roots[4];

	for (unsigned way = 0; way < 4; way++) {
		struct index *index = NULL;
		assert_int_equal(index_new(fixture->key, &index), MORTISE_OK);
		swap_in(index, an_entry(1, "head", 1));
		if (way != 1)
			swap_in(index, an_entry(2, way == 2 ? "HEAD" : "head", 1));
		if (way == 3)
			swap_in(index, an_entry(3, "head", 1));
		roots[way] = root_of(index, NULL);
		index_free(index);
	}
	for (unsigned i = 0; i < 4; i++)
		for (unsigned j = 0; j < i; j++)
			assert_false(is_same(roots[i], roots[j]));
}

static void the_root_covers_the_identity_of_the_store(void **state)
{
	const struct index *index = ((struct fixture *)*state)->index;
	struct root before = root_of(index, NULL), after;
	struct store_meta metas[3] = {meta_a, meta_a, meta_a};

	metas[0].uuid[15] ^= 1;
	metas[1].epoch++;
	metas[2].generation++;
	for (unsigned i = 0; i < 3; i++) {
		index_root(index, &metas[i], NULL, after.bytes);
		assert_false(is_same(before, after));
	}
}

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
	struct root roots[5];

	for (unsigned i = 0; i < 5; i++) {
		roots[i] = root_of(index, &changes[i]);
		assert_false(is_same(roots[i], root_of(index, NULL)));
		for (unsigned j = 0; j < i; j++)
			assert_false(is_same(roots[i], roots[j]));
	}
}

static void the_root_depends_on_the_key(void **state)
{
	struct fixture *fixture = *state;
	CLEANUP(secret_drop) struct secret *key = NULL;
	struct index *other = NULL;

	assert_int_equal(secret_random(KEY_SIZE, &key), MORTISE_OK);
	assert_int_equal(index_new(key, &other), MORTISE_OK);
	assert_false(is_same(root_of(fixture->index, NULL), root_of(other, NULL)));
	index_free(other);
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

static void nothing_can_be_freed(void **state)
{
	index_free(NULL);
}

int main(void)
{
#define IN_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		IN_FIXTURE(versions_are_added_in_ascending_order_only),
		IN_FIXTURE(versions_are_bounded),
		IN_FIXTURE(a_version_is_found_by_its_number),
		IN_FIXTURE(a_clone_is_equal_and_of_its_own),
		IN_FIXTURE(a_rows_digest_covers_all_of_it),
		IN_FIXTURE(bytes_cannot_move_between_fields_of_a_row),
		IN_FIXTURE(every_row_is_found_and_walked_in_the_order_of_ids),
		IN_FIXTURE(an_empty_index_has_no_next),
		IN_FIXTURE(a_row_that_is_swapped_in_replaces_the_one_with_its_id),
		IN_FIXTURE(a_mark_changes_what_is_in_the_clear_only),
		IN_FIXTURE(the_root_foretold_is_the_root_that_comes),
		IN_FIXTURE(the_root_foretold_for_items_comes_true),
		IN_FIXTURE(the_root_does_not_depend_on_the_order_of_writes),
		IN_FIXTURE(a_filled_index_is_as_one_that_grew),
		IN_FIXTURE(a_row_more_or_less_or_other_changes_the_root),
		IN_FIXTURE(the_root_covers_the_identity_of_the_store),
		IN_FIXTURE(the_root_covers_kind_number_and_body_of_an_item),
		IN_FIXTURE(the_root_depends_on_the_key),
		IN_FIXTURE(items_are_known_by_kind_number_and_body),
		IN_FIXTURE(items_are_walked_by_number_within_their_kind),
		IN_FIXTURE(nothing_can_be_freed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
