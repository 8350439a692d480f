/* SPDX-License-Identifier: ISC */
/* needles: the leftmost, the longest, and what may become one; beside the plainest search. */
#include <stdlib.h>
#include <string.h>

#include "mask.h"
#include "mortise_test.h"

#define COUNT_MAX 40

struct string {
	uint8_t bytes[64];
	size_t size;
};

static struct needles *of(int count, const char *const *texts)
{
	struct needles *needles;

	assert_int_equal(needles_new(&needles), MORTISE_OK);
	for (int i = 0; i < count; i++)
		assert_int_equal(needles_add(needles, (const uint8_t *)texts[i], strlen(texts[i]),
					 (uint32_t)i),
			MORTISE_OK);
	assert_int_equal(needles_prepare(needles), MORTISE_OK);
	return needles;
}

#define OF(...)                                                                                    \
	of(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *), (const char *[]){__VA_ARGS__})

static struct needles_hit find(const struct needles *needles, const char *text, bool is_end)
{
	struct needles_hit hit = {0};

	assert_true(needles_find(needles, (const uint8_t *)text, strlen(text), 0, is_end, &hit));
	return hit;
}

static void finds_the_leftmost(void **state)
{
	struct needles *needles = OF("password", "hunter22");
	struct needles_hit hit = find(needles, "a hunter22 and a password", false);

	(void)state;
	assert_int_equal(hit.offset, 2);
	assert_int_equal(hit.size, 8);
	assert_int_equal(hit.owner, 1);
	assert_false(hit.is_partial);
	needles_free(&needles);
}

static void finds_the_longest_of_those_that_begin_there(void **state)
{
	struct needles *needles = OF("password", "password-and-more", "password-and");
	struct needles_hit hit = find(needles, "my password-and-more.", false);

	(void)state;
	assert_int_equal(hit.owner, 1);
	assert_int_equal(hit.size, 17);
	needles_free(&needles);
}

static void waits_for_a_longer_one_until_the_end(void **state)
{
	struct needles *needles = OF("password", "password-and-more");

	(void)state;
	assert_true(find(needles, "my password-and", false).is_partial);
	assert_int_equal(find(needles, "my password-and", false).offset, 3);
	assert_int_equal(find(needles, "my password-and", true).owner, 0);
	assert_false(find(needles, "my password-any", false).is_partial);
	needles_free(&needles);
}

static void a_tail_of_one_byte_may_be_a_beginning(void **state)
{
	struct needles *needles = OF("password");
	struct needles_hit hit;

	(void)state;
	hit = find(needles, "so: p", false);
	assert_true(hit.is_partial);
	assert_int_equal(hit.offset, 4);
	assert_false(needles_find(needles, (const uint8_t *)"so: p", 5, 0, true, &hit));
	assert_false(needles_find(needles, (const uint8_t *)"so: q", 5, 0, false, &hit));
	assert_false(needles_find(needles, (const uint8_t *)"", 0, 0, false, &hit));
	needles_free(&needles);
}

static void the_least_owner_of_a_string_is_named(void **state)
{
	struct needles *needles;

	(void)state;
	assert_int_equal(needles_new(&needles), MORTISE_OK);
	assert_int_equal(needles_add(needles, (const uint8_t *)"password", 8, 7), MORTISE_OK);
	assert_int_equal(needles_add(needles, (const uint8_t *)"passworx", 8, 1), MORTISE_OK);
	assert_int_equal(needles_add(needles, (const uint8_t *)"password", 8, 3), MORTISE_OK);
	assert_int_equal(needles_prepare(needles), MORTISE_OK);
	assert_int_equal(find(needles, "password", false).owner, 3);
	needles_free(&needles);
}

static void less_than_8_bytes_are_refused(void **state)
{
	struct needles *needles;

	(void)state;
	assert_int_equal(needles_new(&needles), MORTISE_OK);
	assert_int_equal(needles_add(needles, (const uint8_t *)"hunter2", 7, 0), MORTISE_INVALID);
	needles_free(&needles);
	needles_free(&needles);
}

static void nothing_is_found_without_needles(void **state)
{
	struct needles *needles = OF("password");
	struct needles *none;
	struct needles_hit hit;

	(void)state;
	assert_int_equal(needles_new(&none), MORTISE_OK);
	assert_int_equal(needles_prepare(none), MORTISE_OK);
	assert_false(needles_find(none, (const uint8_t *)"password", 8, 0, false, &hit));
	assert_int_equal(needles_longest(none), 0);
	assert_int_equal(needles_longest(needles), 8);
	needles_free(&none);
	needles_free(&needles);
}

/* The plainest search there is. */
static bool find_plainly(const struct string *strings, int count, const uint8_t *text, size_t size,
	size_t from, bool is_end, struct needles_hit *out_hit)
{
	for (size_t at = from; at < size; at++) {
		struct needles_hit hit = {.offset = at};

		for (int i = 0; i < count; i++) {
			size_t left = size - at, least = strings[i].size;

			if (least > left)
				least = left;
			if (memcmp(strings[i].bytes, text + at, least) != 0)
				continue;
			if (strings[i].size > left)
				hit.is_partial |= !is_end;
			else if (strings[i].size > hit.size) {
				hit.size = strings[i].size;
				hit.owner = (uint32_t)i;
			}
		}
		if (hit.is_partial || hit.size > 0) {
			*out_hit = hit;
			return true;
		}
	}
	return false;
}

/* Few letters, so that strings are beginnings, ends and parts of others and of the text. */
static uint8_t letter(int letters)
{
	return (uint8_t)(rand() % letters == 0 ? 0 : rand() % letters + 'a');
}

/* Each letter up to run times. */
static void fill(uint8_t *bytes, size_t size, int letters, int run)
{
	for (size_t at = 0; at < size;) {
		uint8_t one = letter(letters);

		for (int left = rand() % run + 1; left > 0 && at < size; left--)
			bytes[at++] = one;
	}
}

static void run_one(int count_max, int letters, int run)
{
	static struct string strings[COUNT_MAX];
	static uint8_t text[400];
	int count = rand() % count_max + 1;
	size_t size = (size_t)rand() % sizeof text, from = (size_t)rand() % (size + 1);
	struct needles *needles;

	assert_int_equal(needles_new(&needles), MORTISE_OK);
	fill(text, size, letters, run);
	for (int i = 0; i < count; i++) {
		strings[i].size = (size_t)(8 + rand() % (rand() % 2 ? 3 : 40));
		fill(strings[i].bytes, strings[i].size, letters, run);
		assert_int_equal(
			needles_add(needles, strings[i].bytes, strings[i].size, (uint32_t)i),
			MORTISE_OK);
	}
	assert_int_equal(needles_prepare(needles), MORTISE_OK);
	for (int is_end = 0; is_end < 2; is_end++) {
		struct needles_hit found = {0}, expected = {0};
		bool is_found = needles_find(needles, text, size, from, is_end, &found);

		assert_int_equal(is_found,
			find_plainly(strings, count, text, size, from, is_end, &expected));
		if (!is_found)
			continue;
		assert_int_equal(found.offset, expected.offset);
		assert_int_equal(found.is_partial, expected.is_partial);
		if (!found.is_partial) {
			assert_int_equal(found.size, expected.size);
			assert_int_equal(found.owner, expected.owner);
		}
	}
	needles_free(&needles);
}

static void finds_what_the_plainest_search_finds(void **state)
{
	(void)state;
	srand(1);
	for (int round = 0; round < 6000; round++)
		run_one(COUNT_MAX, round % 4 + 1, 1);
}

static void finds_the_same_in_long_runs(void **state)
{
	(void)state;
	srand(2);
	for (int round = 0; round < 12000; round++)
		run_one(3, round % 3 + 2, round % 60 + 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_the_leftmost),
		cmocka_unit_test(finds_the_longest_of_those_that_begin_there),
		cmocka_unit_test(waits_for_a_longer_one_until_the_end),
		cmocka_unit_test(a_tail_of_one_byte_may_be_a_beginning),
		cmocka_unit_test(the_least_owner_of_a_string_is_named),
		cmocka_unit_test(less_than_8_bytes_are_refused),
		cmocka_unit_test(nothing_is_found_without_needles),
		cmocka_unit_test(finds_what_the_plainest_search_finds),
		cmocka_unit_test(finds_the_same_in_long_runs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
