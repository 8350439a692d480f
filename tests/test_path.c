/* SPDX-License-Identifier: ISC */
#include <string.h>

#include "mortise.h"
#include "mortise_test.h"
#include "path.h"

static bool is_path(const char *path)
{
	return path_is_valid(path, strlen(path));
}

static bool is_pattern(const char *pattern)
{
	return pattern_is_valid(pattern, strlen(pattern));
}

static void segments_of_the_alphabet_make_a_path(void **state)
{
	(void)state;
	assert_true(is_path("prod"));
	assert_true(is_path("prod/db/password"));
	assert_true(is_path("0/a-b/c_d/e.f"));
	assert_true(is_path("a../b"));
}

static void an_empty_path_is_refused(void **state)
{
	(void)state;
	assert_false(is_path(""));
	assert_false(path_is_valid(NULL, 0));
}

static void empty_segments_are_refused(void **state)
{
	(void)state;
	assert_false(is_path("/prod"));
	assert_false(is_path("prod/"));
	assert_false(is_path("prod//db"));
	assert_false(is_path("/"));
}

static void segments_that_start_with_a_mark_are_refused(void **state)
{
	(void)state;
	assert_false(is_path(".."));
	assert_false(is_path("prod/../ca"));
	assert_false(is_path("prod/./db"));
	assert_false(is_path("prod/.db"));
	assert_false(is_path("-prod"));
	assert_false(is_path("prod/_db"));
}

static void every_byte_outside_the_alphabet_is_refused(void **state)
{
	static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz0123456789._-/";

	(void)state;
	for (int byte = 0; byte < 256; byte++) {
		char path[] = {'a', (char)byte, 'b'};
		bool expected = byte != 0 && strchr(alphabet, byte) != NULL;

		assert_int_equal(path_is_valid(path, sizeof path), expected);
	}
}

static void a_path_of_255_bytes_is_the_longest(void **state)
{
	char path[MORTISE_PATH_MAX + 1];

	(void)state;
	memset(path, 'a', sizeof path);
	assert_true(path_is_valid(path, MORTISE_PATH_MAX));
	assert_false(path_is_valid(path, MORTISE_PATH_MAX + 1));
}

static void eight_segments_are_the_most(void **state)
{
	(void)state;
	assert_true(is_path("a/b/c/d/e/f/g/h"));
	assert_false(is_path("a/b/c/d/e/f/g/h/i"));
}

static void stars_may_stand_anywhere_in_a_pattern(void **state)
{
	(void)state;
	assert_true(is_pattern("**"));
	assert_true(is_pattern("*"));
	assert_true(is_pattern("prod/*/key"));
	assert_true(is_pattern("prod/db-*"));
	assert_true(is_pattern("*.pem/**"));
	assert_true(is_pattern("prod/db"));
}

static void three_stars_in_a_row_are_refused(void **state)
{
	(void)state;
	assert_false(is_pattern("***"));
	assert_false(is_pattern("prod/a***"));
	assert_true(is_pattern("**a**"));
}

static void a_pattern_is_otherwise_like_a_path(void **state)
{
	(void)state;
	assert_false(is_pattern(""));
	assert_false(is_pattern("/**"));
	assert_false(is_pattern("prod/"));
	assert_false(is_pattern("prod//*"));
	assert_false(is_pattern("Prod/*"));
	assert_false(is_pattern("prod/.*"));
	assert_false(is_pattern("prod/[ab]"));
	assert_false(is_pattern("prod/?"));
}

static void a_star_is_no_path(void **state)
{
	(void)state;
	assert_false(is_path("prod/*"));
	assert_false(is_path("**"));
}

static void a_pattern_without_stars_matches_itself_alone(void **state)
{
	(void)state;
	assert_true(pattern_matches("prod/db", "prod/db"));
	assert_false(pattern_matches("prod/db", "prod/db2"));
	assert_false(pattern_matches("prod/db", "prod/d"));
	assert_false(pattern_matches("prod/db", "prod"));
}

static void a_star_stays_in_its_segment(void **state)
{
	(void)state;
	assert_true(pattern_matches("prod/*", "prod/db"));
	assert_false(pattern_matches("prod/*", "prod/db/key"));
	assert_false(pattern_matches("*", "prod/db"));
	assert_true(pattern_matches("prod/*/key", "prod/db/key"));
	assert_false(pattern_matches("prod/*/key", "prod/a/b/key"));
	assert_true(pattern_matches("prod/db*", "prod/db"));
	assert_true(pattern_matches("prod/*b*d", "prod/abcd"));
}

static void two_stars_cross_segments(void **state)
{
	(void)state;
	assert_true(pattern_matches("**", "prod"));
	assert_true(pattern_matches("**", "prod/db/key"));
	assert_true(pattern_matches("prod/**", "prod/db/key"));
	assert_true(pattern_matches("**/key", "prod/db/key"));
	assert_true(pattern_matches("prod**", "production/db"));
	assert_true(pattern_matches("prod/**/key", "prod/a/b/key"));
}

static void two_stars_do_not_swallow_a_slash_that_is_written(void **state)
{
	(void)state;
	assert_false(pattern_matches("prod/**", "prod"));
	assert_false(pattern_matches("prod/**", "production/db"));
	assert_false(pattern_matches("prod/**/key", "prod/key"));
}

static void a_star_tries_again_after_two_stars(void **state)
{
	(void)state;
	assert_true(pattern_matches("**/a*c", "x/ab/ac"));
	assert_true(pattern_matches("**a*b/c", "a/ab/a/ab/c"));
	assert_false(pattern_matches("**a*b/c", "a/a/b/c"));
}

static void a_hostile_pattern_takes_no_longer_than_the_product(void **state)
{
	char pattern[MORTISE_PATH_MAX + 1] = "";
	char path[MORTISE_PATH_MAX + 1] = "";

	(void)state;
	for (size_t i = 0; i + 5 < sizeof pattern; i += 5)
		memcpy(pattern + i, "**a*a", 6);
	memset(path, 'a', MORTISE_PATH_MAX);
	assert_true(pattern_is_valid(pattern, strlen(pattern)));
	for (int i = 0; i < 100; i++)
		assert_true(pattern_matches(pattern, path));
	path[MORTISE_PATH_MAX - 1] = 'b';
	for (int i = 0; i < 100; i++)
		assert_false(pattern_matches(pattern, path));
}

/* What the header says, word for word, and as slow as that. */
static bool naive_matches(const char *pattern, const char *path)
{
	bool across = pattern[0] == '*' && pattern[1] == '*';

	if (*pattern == '\0')
		return *path == '\0';
	if (*pattern != '*')
		return *pattern == *path && naive_matches(pattern + 1, path + 1);
	if (naive_matches(pattern + (across ? 2 : 1), path))
		return true;
	return *path != '\0' && (across || *path != '/') && naive_matches(pattern, path + 1);
}

static bool naive_is_valid(const char *name, size_t size, bool may_star)
{
	size_t slashes = 0;

	if (size < 1 || size > 255 || name[size - 1] == '/')
		return false;
	for (size_t i = 0; i < size; i++) {
		bool starts = i == 0 || name[i - 1] == '/';
		bool is_mark = name[i] != '\0' && strchr("._-", name[i]) != NULL;
		bool is_letter = name[i] != '\0' &&
				 strchr("abcdefghijklmnopqrstuvwxyz0123456789", name[i]) != NULL;

		slashes += name[i] == '/';
		if (!(is_letter || (name[i] == '*' && may_star) || (is_mark && !starts) ||
			    (name[i] == '/' && !starts)))
			return false;
		if (i >= 2 && memcmp(name + i - 2, "***", 3) == 0)
			return false;
	}
	return slashes < 8;
}

/* The same sequence each time, so that a failure can be repeated. */
static uint32_t draw(uint32_t *seed, uint32_t below)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed % below;
}

static size_t draw_name(uint32_t *seed, const char *letters, uint32_t size_max, char *name)
{
	size_t size = draw(seed, size_max + 1);

	for (size_t i = 0; i < size; i++)
		name[i] = letters[draw(seed, (uint32_t)strlen(letters))];
	name[size] = '\0';
	return size;
}

static void validity_agrees_with_a_naive_model(void **state)
{
	char name[32];
	uint32_t seed = 20261123;

	(void)state;
	for (int i = 0; i < 300000; i++) {
		size_t size = draw_name(&seed, "aaaaab9/*.A", 20, name);

		assert_int_equal(path_is_valid(name, size), naive_is_valid(name, size, false));
		assert_int_equal(pattern_is_valid(name, size), naive_is_valid(name, size, true));
	}
}

static void matching_agrees_with_a_naive_model(void **state)
{
	char pattern[16], path[16];
	uint32_t seed = 4711;
	int tried = 0, matched = 0;

	(void)state;
	while (tried < 300000) {
		size_t pattern_size = draw_name(&seed, "ab*/*", 10, pattern);
		size_t path_size = draw_name(&seed, "abab/", 10, path);

		if (!pattern_is_valid(pattern, pattern_size) || !path_is_valid(path, path_size))
			continue;
		tried++;
		matched += pattern_matches(pattern, path);
		if (pattern_matches(pattern, path) != naive_matches(pattern, path))
			fail_msg("pattern %s, path %s", pattern, path);
	}
	assert_in_range(matched, tried / 50, tried);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(segments_of_the_alphabet_make_a_path),
		cmocka_unit_test(an_empty_path_is_refused),
		cmocka_unit_test(empty_segments_are_refused),
		cmocka_unit_test(segments_that_start_with_a_mark_are_refused),
		cmocka_unit_test(every_byte_outside_the_alphabet_is_refused),
		cmocka_unit_test(a_path_of_255_bytes_is_the_longest),
		cmocka_unit_test(eight_segments_are_the_most),
		cmocka_unit_test(stars_may_stand_anywhere_in_a_pattern),
		cmocka_unit_test(three_stars_in_a_row_are_refused),
		cmocka_unit_test(a_pattern_is_otherwise_like_a_path),
		cmocka_unit_test(a_star_is_no_path),
		cmocka_unit_test(a_pattern_without_stars_matches_itself_alone),
		cmocka_unit_test(a_star_stays_in_its_segment),
		cmocka_unit_test(two_stars_cross_segments),
		cmocka_unit_test(two_stars_do_not_swallow_a_slash_that_is_written),
		cmocka_unit_test(a_star_tries_again_after_two_stars),
		cmocka_unit_test(a_hostile_pattern_takes_no_longer_than_the_product),
		cmocka_unit_test(validity_agrees_with_a_naive_model),
		cmocka_unit_test(matching_agrees_with_a_naive_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
