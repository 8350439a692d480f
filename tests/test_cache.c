/* SPDX-License-Identifier: ISC */
#include <stdlib.h>
#include <string.h>

#include "cache.h"
#include "mortise_test.h"

#define BUDGET 1000

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

/* Ids as the cache sees them: random bytes, here made from a number. */
static const uint8_t *id_of(unsigned number)
{
	static uint8_t id[STORE_ID_SIZE];

	for (unsigned i = 0; i < STORE_ID_SIZE; i++)
		id[i] = (uint8_t)((number * 2654435761u) >> (i % 4 * 8));
	memcpy(id + 12, &number, sizeof number);
	return id;
}

static void put(struct cache *cache, unsigned row, uint64_t version, uint8_t fill, size_t size)
{
	uint8_t *bytes = malloc(size);

	assert_non_null(bytes);
	memset(bytes, fill, size);
	cache_put(cache, id_of(row), version, bytes, size);
}

/* What it holds is right or absent; returns its size, 0 for absent. */
static size_t size_of(const struct cache *cache, unsigned row, uint64_t version, uint8_t fill)
{
	struct store_bytes found = cache_get(cache, id_of(row), version);

	if (!found.bytes)
		return 0;
	for (size_t i = 0; i < found.size; i++)
		assert_int_equal(found.bytes[i], fill);
	return found.size;
}

static void what_was_put_is_found(void **state)
{
	put(*state, 1, 1, 'a', 10);
	assert_int_equal(size_of(*state, 1, 1, 'a'), 10);
}

static void nothing_is_found_for_another_row_or_version(void **state)
{
	put(*state, 1, 1, 'a', 10);
	assert_int_equal(size_of(*state, 1, 2, 'a'), 0);
	assert_int_equal(size_of(*state, 2, 1, 'a'), 0);
}

static void a_second_put_replaces_the_first(void **state)
{
	put(*state, 1, 1, 'a', 10);
	put(*state, 1, 1, 'b', 20);
	assert_int_equal(size_of(*state, 1, 1, 'b'), 20);
}

static void rows_that_share_a_place_are_not_mixed_up(void **state)
{
	uint8_t first[STORE_ID_SIZE] = {1, 5, 6, 1}, second[STORE_ID_SIZE] = {2, 5, 6, 2};
	uint8_t *bytes = calloc(1, 8), *more = calloc(1, 9);

	cache_put(*state, first, 1, bytes, 8);
	cache_put(*state, second, 1, more, 9);
	assert_null(cache_get(*state, first, 1).bytes);
	assert_int_equal(cache_get(*state, second, 1).size, 9);
	cache_forget(*state, first, 1);
	assert_int_equal(cache_get(*state, second, 1).size, 9);
}

static void versions_that_share_a_place_are_not_mixed_up(void **state)
{
	put(*state, 1, 1, 'a', 10);
	assert_int_equal(size_of(*state, 1, 65537, 'a'), 0);
	cache_forget(*state, id_of(1), 65537);
	assert_int_equal(size_of(*state, 1, 1, 'a'), 10);
	put(*state, 1, 65537, 'b', 11);
	assert_int_equal(size_of(*state, 1, 1, 'a'), 0);
	assert_int_equal(size_of(*state, 1, 65537, 'b'), 11);
}

static void what_is_forgotten_is_gone(void **state)
{
	put(*state, 1, 1, 'a', 10);
	cache_forget(*state, id_of(1), 2);
	assert_int_equal(size_of(*state, 1, 1, 'a'), 10);
	cache_forget(*state, id_of(1), 1);
	assert_int_equal(size_of(*state, 1, 1, 'a'), 0);
	cache_forget(*state, id_of(1), 1);
}

static void more_than_the_budget_is_not_kept(void **state)
{
	put(*state, 1, 1, 'a', BUDGET + 1);
	assert_int_equal(size_of(*state, 1, 1, 'a'), 0);
	put(*state, 1, 1, 'a', BUDGET);
	assert_int_equal(size_of(*state, 1, 1, 'a'), BUDGET);
}

static void the_budget_is_never_exceeded_and_the_newest_stays(void **state)
{
	for (unsigned i = 1; i <= 200; i++) {
		size_t total = 0;
		put(*state, i, 1, (uint8_t)i, 100 + i % 50);
		assert_int_equal(size_of(*state, i, 1, (uint8_t)i), 100 + i % 50);
		for (unsigned j = 1; j <= i; j++)
			total += size_of(*state, j, 1, (uint8_t)j);
		assert_true(total <= BUDGET);
	}
}

static void room_that_is_given_back_can_be_had_again(void **state)
{
	for (unsigned i = 0; i < 100; i++) {
		put(*state, i, 1, 'a', BUDGET);
		cache_forget(*state, id_of(i), 1);
	}
	put(*state, 7, 1, 'a', BUDGET / 2);
	put(*state, 8, 1, 'b', BUDGET / 2);
	assert_int_equal(size_of(*state, 7, 1, 'a'), BUDGET / 2);
	assert_int_equal(size_of(*state, 8, 1, 'b'), BUDGET / 2);
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
		IN_FIXTURE(nothing_is_found_for_another_row_or_version),
		IN_FIXTURE(a_second_put_replaces_the_first),
		IN_FIXTURE(rows_that_share_a_place_are_not_mixed_up),
		IN_FIXTURE(versions_that_share_a_place_are_not_mixed_up),
		IN_FIXTURE(what_is_forgotten_is_gone),
		IN_FIXTURE(more_than_the_budget_is_not_kept),
		IN_FIXTURE(the_budget_is_never_exceeded_and_the_newest_stays),
		IN_FIXTURE(room_that_is_given_back_can_be_had_again),
		IN_FIXTURE(nothing_can_be_freed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
