/* SPDX-License-Identifier: ISC */
#include <stdlib.h>
#include <string.h>

#include "cache.h"
#include "mortise_test.h"

#define BUDGET 4000

/* Numbers so far apart have the same slot: half of the slots are for rows, half for values. */
#define SLOTS_OF_A_KIND 65536

static int set_up(void **state)
{
	struct cache *cache = NULL;

	if (cache_new(BUDGET, &cache) != MORTISE_OK)
		return -1;
	*state = cache;
	return 0;
}

static int tear_down(void **state)
{
	cache_free(*state);
	return 0;
}

static void put(struct cache *cache, uint64_t secret, uint64_t version, uint8_t fill, size_t size)
{
	uint8_t *bytes = malloc(size);

	assert_non_null(bytes);
	memset(bytes, fill, size);
	cache_put_value(cache, secret, version, bytes, size);
}

/* What it holds is right or absent; returns its size, 0 for absent. */
static size_t size_of(const struct cache *cache, uint64_t secret, uint64_t version, uint8_t fill)
{
	struct store_bytes found = cache_value(cache, secret, version);

	if (!found.bytes)
		return 0;
	for (size_t i = 0; i < found.size; i++)
		assert_int_equal(found.bytes[i], fill);
	return found.size;
}

/* A row whose head has so many bytes. */
static struct entry *an_entry(uint64_t number, size_t head_size)
{
	static const uint8_t head[2 * BUDGET];
	struct entry_parts parts = {.head = {head, head_size}};
	struct entry *entry = NULL;

	assert_true(head_size <= sizeof head);
	assert_int_equal(entry_new(number, &parts, &entry), MORTISE_OK);
	return entry;
}

/* One that only the cache holds. */
static void put_entry(struct cache *cache, uint64_t number, size_t head_size)
{
	CLEANUP(entry_drop) struct entry *entry = an_entry(number, head_size);

	cache_put_entry(cache, entry);
}

/* Likewise; 0 for absent. */
static size_t entry_size_of(const struct cache *cache, uint64_t number)
{
	const struct entry *entry = cache_entry(cache, number);

	if (!entry)
		return 0;
	assert_int_equal(entry->number, number);
	return entry_size(entry);
}

/* ---- values ---- */

static void what_was_put_is_found(void **state)
{
	put(*state, 1, 1, 'a', 10);
	assert_int_equal(size_of(*state, 1, 1, 'a'), 10);
}

static void nothing_is_found_for_another_secret_or_version(void **state)
{
	put(*state, 1, 1, 'a', 10);
	assert_int_equal(size_of(*state, 1, 2, 'a'), 0);
	assert_int_equal(size_of(*state, 2, 1, 'a'), 0);
	assert_null(cache_entry(*state, 1));
}

static void a_second_put_replaces_the_first(void **state)
{
	put(*state, 1, 1, 'a', 10);
	put(*state, 1, 1, 'b', 20);
	assert_int_equal(size_of(*state, 1, 1, 'b'), 20);
}

static void values_that_share_a_slot_are_not_mixed_up(void **state)
{
	const uint64_t others[][2] = {
		{1 + SLOTS_OF_A_KIND, 1}, {1, 1 + SLOTS_OF_A_KIND}, {1 + 40503, 0x10000}};

	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
		uint64_t secret = others[i][0], version = others[i][1];
		put(*state, 1, 1, 'a', 10);
		assert_int_equal(size_of(*state, secret, version, 'a'), 0);
		cache_forget_value(*state, secret, version);
		assert_int_equal(size_of(*state, 1, 1, 'a'), 10);
		put(*state, secret, version, 'b', 11);
		assert_int_equal(size_of(*state, 1, 1, 'a'), 0);
		assert_int_equal(size_of(*state, secret, version, 'b'), 11);
		cache_forget_value(*state, 1, 1);
		assert_int_equal(size_of(*state, secret, version, 'b'), 11);
	}
}

static void what_is_forgotten_is_gone(void **state)
{
	put(*state, 1, 1, 'a', 10);
	cache_forget_value(*state, 1, 2);
	assert_int_equal(size_of(*state, 1, 1, 'a'), 10);
	cache_forget_value(*state, 1, 1);
	assert_int_equal(size_of(*state, 1, 1, 'a'), 0);
	cache_forget_value(*state, 1, 1);
}

static void more_than_the_budget_is_not_kept(void **state)
{
	put(*state, 1, 1, 'a', BUDGET + 1);
	assert_int_equal(size_of(*state, 1, 1, 'a'), 0);
	put(*state, 1, 1, 'a', BUDGET);
	assert_int_equal(size_of(*state, 1, 1, 'a'), BUDGET);
	put(*state, 1, 1, 'b', BUDGET + 1);
	assert_int_equal(size_of(*state, 1, 1, 'b'), 0);
}

static void room_that_is_given_back_can_be_had_again(void **state)
{
	for (unsigned i = 1; i <= 100; i++) {
		put(*state, i, 1, 'a', BUDGET);
		cache_forget_value(*state, i, 1);
		put_entry(*state, i, BUDGET / 2);
		cache_forget_entry(*state, i);
	}
	put(*state, 7, 1, 'a', BUDGET / 2);
	put(*state, 8, 1, 'b', BUDGET / 2);
	assert_int_equal(size_of(*state, 7, 1, 'a'), BUDGET / 2);
	assert_int_equal(size_of(*state, 8, 1, 'b'), BUDGET / 2);
}

/* ---- rows ---- */

static void an_entry_that_was_put_is_found_and_held(void **state)
{
	CLEANUP(entry_drop) struct entry *entry = an_entry(1, 10);

	cache_put_entry(*state, entry);
	assert_ptr_equal(cache_entry(*state, 1), entry);
	assert_int_equal(entry->holders, 2);
	assert_null(cache_entry(*state, 2));
	assert_int_equal(size_of(*state, 1, 1, 0), 0);
	cache_forget_entry(*state, 2);
	assert_ptr_equal(cache_entry(*state, 1), entry);
	cache_forget_entry(*state, 1);
	assert_null(cache_entry(*state, 1));
	assert_int_equal(entry->holders, 1);
	cache_forget_entry(*state, 1);
}

static void an_entry_takes_the_place_of_the_one_with_its_number(void **state)
{
	CLEANUP(entry_drop) struct entry *old = an_entry(1, 10);
	CLEANUP(entry_drop) struct entry *newer = an_entry(1, 20);

	cache_put_entry(*state, old);
	cache_put_entry(*state, newer);
	assert_ptr_equal(cache_entry(*state, 1), newer);
	assert_int_equal(old->holders, 1);
	assert_int_equal(old->head.size, 10);
}

static void an_entry_that_is_put_twice_is_held_once(void **state)
{
	CLEANUP(entry_drop) struct entry *entry = an_entry(1, 10);

	put(*state, 2, 1, 'a', BUDGET - entry_size(entry));
	for (unsigned i = 0; i < 100; i++)
		cache_put_entry(*state, entry);
	assert_int_equal(entry->holders, 2);
	assert_int_equal(size_of(*state, 2, 1, 'a'), BUDGET - entry_size(entry));
}

static void an_entry_that_somebody_holds_outlives_its_eviction(void **state)
{
	CLEANUP(entry_drop) struct entry *entry = an_entry(1, 10);

	cache_put_entry(*state, entry);
	put(*state, 2, 1, 'a', BUDGET);
	assert_null(cache_entry(*state, 1));
	assert_int_equal(entry->holders, 1);
	assert_int_equal(entry->number, 1);
	assert_int_equal(entry->head.size, 10);
	assert_int_equal(entry->head.bytes[9], 0);
}

static void an_entry_that_somebody_holds_outlives_the_cache(void **state)
{
	CLEANUP(entry_drop) struct entry *entry = an_entry(1, 10);
	struct cache *cache = NULL;

	assert_int_equal(cache_new(BUDGET, &cache), MORTISE_OK);
	cache_put_entry(cache, entry);
	put_entry(cache, 2, 10);
	put(cache, 1, 1, 'a', 10);
	cache_free(cache);
	assert_int_equal(entry->holders, 1);
	assert_int_equal(entry->head.size, 10);
}

static void an_entry_that_is_larger_than_the_budget_is_let_be(void **state)
{
	CLEANUP(entry_drop) struct entry *entry = an_entry(1, BUDGET);

	put_entry(*state, 1, 10);
	put_entry(*state, 2, 10);
	cache_put_entry(*state, entry);
	assert_null(cache_entry(*state, 1)); /* nor is the old one there, which it replaces */
	assert_int_equal(entry->holders, 1);
	assert_non_null(cache_entry(*state, 2));
}

static void rows_that_share_a_slot_are_not_mixed_up(void **state)
{
	const uint64_t other = 1 + SLOTS_OF_A_KIND;

	put_entry(*state, 1, 10);
	assert_null(cache_entry(*state, other));
	cache_forget_entry(*state, other);
	assert_int_not_equal(entry_size_of(*state, 1), 0);
	put_entry(*state, other, 20);
	assert_null(cache_entry(*state, 1));
	assert_int_not_equal(entry_size_of(*state, other), 0);
	cache_forget_entry(*state, 1);
	assert_int_not_equal(entry_size_of(*state, other), 0);
}

/* ---- both ---- */

static void a_row_and_its_values_are_forgotten_each_by_itself(void **state)
{
	put_entry(*state, 1, 10);
	put(*state, 1, 1, 'a', 10);
	put(*state, 1, 2, 'b', 11);
	cache_forget_value(*state, 1, 1);
	assert_int_not_equal(entry_size_of(*state, 1), 0);
	assert_int_equal(size_of(*state, 1, 2, 'b'), 11);
	cache_forget_entry(*state, 1);
	assert_int_equal(size_of(*state, 1, 2, 'b'), 11);
}

static void a_value_never_takes_the_place_of_its_own_row(void **state)
{
	static const uint64_t secrets[] = {1, 2, 255, 40503, 65535, 65536, 65537, 131071, 131072,
		UINT64_C(1) << 39, STORE_NUMBER_MAX};
	struct cache *cache = NULL;

	assert_int_equal(cache_new(1 << 20, &cache), MORTISE_OK);
	for (size_t i = 0; i < sizeof secrets / sizeof secrets[0]; i++) {
		put_entry(cache, secrets[i], 10);
		for (uint64_t version = 1; version <= 2000; version++)
			put(cache, secrets[i], version, 'a', 1);
		put(cache, secrets[i], UINT64_MAX, 'a', 1);
		assert_int_not_equal(entry_size_of(cache, secrets[i]), 0);
		put_entry(cache, secrets[i], 20);
		assert_int_equal(size_of(cache, secrets[i], UINT64_MAX, 'a'), 1);
		assert_int_equal(size_of(cache, secrets[i], 2000, 'a'), 1);
	}
	cache_free(cache);
}

static size_t total_of(const struct cache *cache, uint64_t last)
{
	size_t total = 0;

	for (uint64_t i = 1; i <= last; i++)
		total += size_of(cache, i, 1, (uint8_t)i) + entry_size_of(cache, i);
	return total;
}

static void the_budget_is_never_exceeded_and_the_newest_stays(void **state)
{
	for (uint64_t i = 1; i <= 200; i++) {
		put(*state, i, 1, (uint8_t)i, 400 + i % 50);
		assert_int_equal(size_of(*state, i, 1, (uint8_t)i), 400 + i % 50);
		assert_true(total_of(*state, i) <= BUDGET);
		put_entry(*state, i, 300 + i % 40);
		assert_int_not_equal(entry_size_of(*state, i), 0);
		assert_true(total_of(*state, i) <= BUDGET);
	}
	/* And it is used. */
	assert_true(total_of(*state, 200) > BUDGET / 2);
}

static void rows_and_values_give_way_to_each_other(void **state)
{
	CLEANUP(entry_drop) struct entry *least = an_entry(10, 0);

	for (uint64_t i = 1; i <= 5; i++)
		put_entry(*state, i, 100);
	assert_int_not_equal(total_of(*state, 5), 0);
	put(*state, 9, 1, 9, BUDGET);
	assert_int_equal(total_of(*state, 5), 0);
	assert_int_equal(total_of(*state, 9), BUDGET);
	put_entry(*state, 10, BUDGET - entry_size(least));
	assert_int_equal(total_of(*state, 9), 0);
	assert_int_equal(entry_size_of(*state, 10), BUDGET);
}

static void nothing_can_be_freed(void **state)
{
	cache_free(NULL);
}

int main(void)
{
#define IN_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		IN_FIXTURE(what_was_put_is_found),
		IN_FIXTURE(nothing_is_found_for_another_secret_or_version),
		IN_FIXTURE(a_second_put_replaces_the_first),
		IN_FIXTURE(values_that_share_a_slot_are_not_mixed_up),
		IN_FIXTURE(what_is_forgotten_is_gone),
		IN_FIXTURE(more_than_the_budget_is_not_kept),
		IN_FIXTURE(room_that_is_given_back_can_be_had_again),
		IN_FIXTURE(an_entry_that_was_put_is_found_and_held),
		IN_FIXTURE(an_entry_takes_the_place_of_the_one_with_its_number),
		IN_FIXTURE(an_entry_that_is_put_twice_is_held_once),
		IN_FIXTURE(an_entry_that_somebody_holds_outlives_its_eviction),
		IN_FIXTURE(an_entry_that_somebody_holds_outlives_the_cache),
		IN_FIXTURE(an_entry_that_is_larger_than_the_budget_is_let_be),
		IN_FIXTURE(rows_that_share_a_slot_are_not_mixed_up),
		IN_FIXTURE(a_row_and_its_values_are_forgotten_each_by_itself),
		IN_FIXTURE(a_value_never_takes_the_place_of_its_own_row),
		IN_FIXTURE(the_budget_is_never_exceeded_and_the_newest_stays),
		IN_FIXTURE(rows_and_values_give_way_to_each_other),
		IN_FIXTURE(nothing_can_be_freed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
