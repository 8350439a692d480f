/* SPDX-License-Identifier: ISC */
#include <string.h>

#include <sodium.h>

#include "mortise_test.h"
#include "shares.h"

#define COUNT     5
#define THRESHOLD 3
#define LETTERS   (SHARE_TEXT_SIZE - 1)

struct fixture {
	struct secret *key;
	struct share shares[COUNT];
};

static int set_up(void **state)
{
	static struct fixture fixture;

	*state = &fixture;
	if (secret_pool_open(1 << 18) != MORTISE_OK ||
		secret_random(KEY_SIZE, &fixture.key) != MORTISE_OK)
		return -1;
	return shares_split(fixture.key, COUNT, THRESHOLD, fixture.shares) == MORTISE_OK ? 0 : -1;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	for (unsigned i = 0; i < COUNT; i++)
		share_done(&fixture->shares[i]);
	secret_drop(&fixture->key);
	secret_pool_close();
	return 0;
}

/* The shares of the bits of a mask, joined. */
static enum mortise_status join_some(
	const struct fixture *fixture, unsigned mask, struct secret **out_key)
{
	struct share some[COUNT];
	size_t count = 0;

	for (unsigned i = 0; i < COUNT; i++)
		if (mask >> i & 1)
			some[count++] = fixture->shares[i];
	return shares_join(some, count, out_key);
}

static void any_k_shares_give_the_key_and_fewer_are_refused(void **state)
{
	const struct fixture *fixture = *state;

	for (unsigned mask = 0; mask < 1u << COUNT; mask++) {
		CLEANUP(secret_drop) struct secret *key = NULL;
		bool enough = __builtin_popcount(mask) >= THRESHOLD;
		assert_int_equal(
			join_some(fixture, mask, &key), enough ? MORTISE_OK : MORTISE_INVALID);
		if (enough)
			assert_true(secret_equals(key, fixture->key));
		else
			assert_null(key);
	}
}

/* As if the threshold on the paper had been changed: the mathematics does not give in. */
static void k_less_one_shares_give_no_key_even_if_they_say_they_are_enough(void **state)
{
	struct fixture *fixture = *state;

	for (unsigned i = 0; i < COUNT; i++)
		fixture->shares[i].threshold = 2;
	for (unsigned mask = 0; mask < 1u << COUNT; mask++) {
		CLEANUP(secret_drop) struct secret *key = NULL;
		if (__builtin_popcount(mask) != 2)
			continue;
		assert_int_equal(join_some(fixture, mask, &key), MORTISE_DENIED);
		assert_null(key);
	}
}

static void no_share_has_the_key_in_it_and_no_two_are_alike(void **state)
{
	const struct fixture *fixture = *state;

	for (unsigned i = 0; i < COUNT; i++) {
		assert_false(secret_equals(fixture->shares[i].part, fixture->key));
		for (unsigned other = 0; other < i; other++)
			assert_false(secret_equals(
				fixture->shares[i].part, fixture->shares[other].part));
	}
}

static void the_same_key_is_split_otherwise_each_time(void **state)
{
	const struct fixture *fixture = *state;
	struct share again[COUNT];

	assert_int_equal(shares_split(fixture->key, COUNT, THRESHOLD, again), MORTISE_OK);
	for (unsigned i = 0; i < COUNT; i++) {
		assert_false(secret_equals(again[i].part, fixture->shares[i].part));
		share_done(&again[i]);
	}
}

static void shares_that_do_not_belong_together_are_refused(void **state)
{
	struct fixture *fixture = *state;
	CLEANUP(secret_drop) struct secret *key = NULL;
	struct share some[THRESHOLD] = {fixture->shares[0], fixture->shares[1], fixture->shares[1]};

	assert_int_equal(shares_join(some, THRESHOLD, &key), MORTISE_INVALID);
	some[2] = fixture->shares[2];
	some[2].key_id[0] = some[2].key_id[0] == 'A' ? 'B' : 'A';
	assert_int_equal(shares_join(some, THRESHOLD, &key), MORTISE_INVALID);
	some[2] = fixture->shares[2];
	some[2].number = 0;
	assert_int_equal(shares_join(some, THRESHOLD, &key), MORTISE_INVALID);
	some[2] = fixture->shares[2];
	some[2].threshold = 2;
	assert_int_equal(shares_join(some, THRESHOLD, &key), MORTISE_INVALID);
	some[2] = fixture->shares[2];
	some[2].part->bytes[7] ^= 1;
	assert_int_equal(shares_join(some, THRESHOLD, &key), MORTISE_DENIED);
	assert_null(key);
}

static void numbers_that_make_no_scheme_are_refused(void **state)
{
	const struct fixture *fixture = *state;
	static const unsigned wrong[][2] = {
		{0, 0}, {1, 1}, {5, 1}, {5, 6}, {5, 0}, {SHARES_MAX + 1, 2}, {255, 255}};
	struct share shares[SHARES_MAX];

	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
		assert_int_equal(shares_split(fixture->key, wrong[i][0], wrong[i][1], shares),
			MORTISE_INVALID);
}

/* ---- typing ---- */

static void print(const struct share *share, char text[SHARE_TEXT_SIZE])
{
	struct secret *printed = NULL;

	assert_int_equal(share_print(share, &printed), MORTISE_OK);
	memcpy(text, printed->bytes, SHARE_TEXT_SIZE);
	assert_int_equal(strlen(text), LETTERS);
	secret_drop(&printed);
}

static void a_share_comes_back_as_it_was_printed(void **state)
{
	const struct fixture *fixture = *state;

	for (unsigned i = 0; i < COUNT; i++) {
		char text[SHARE_TEXT_SIZE], id[RECOVERY_ID_SIZE];
		struct share share;
		unsigned group = 99;
		print(&fixture->shares[i], text);
		assert_int_equal(share_read(text, LETTERS, &share, &group), MORTISE_OK);
		assert_int_equal(share.number, i + 1);
		assert_int_equal(share.threshold, THRESHOLD);
		recovery_id(fixture->key, id);
		assert_string_equal(share.key_id, id);
		assert_true(secret_equals(share.part, fixture->shares[i].part));
		share_done(&share);
	}
}

/* The text is refused, and the wrong group is the one named. */
static void assert_wrong(const char *text, unsigned expected)
{
	struct share share;
	unsigned group = 99;

	assert_int_equal(share_read(text, LETTERS, &share, &group), MORTISE_INVALID);
	assert_int_equal(group, expected);
}

static void every_wrong_letter_is_noticed_and_its_group_named(void **state)
{
	const struct fixture *fixture = *state;
	char text[SHARE_TEXT_SIZE];

	print(&fixture->shares[4], text);
	for (unsigned at = 0; at < LETTERS; at++) {
		char right = text[at];
		if (right == '-')
			continue;
		for (const char *other = GROUPS_ALPHABET; *other; other++) {
			text[at] = *other;
			if (*other != right)
				assert_wrong(text, at / 6 + 1);
		}
		text[at] = right;
	}
}

static void every_two_neighbours_and_groups_that_change_places_are_noticed(void **state)
{
	const struct fixture *fixture = *state;
	char right[SHARE_TEXT_SIZE], text[SHARE_TEXT_SIZE];

	print(&fixture->shares[0], right);
	for (unsigned at = 0; at + 1 < LETTERS; at++) {
		memcpy(text, right, sizeof text);
		if (text[at] == '-' || text[at + 1] == '-' || text[at] == text[at + 1])
			continue;
		text[at] = right[at + 1];
		text[at + 1] = right[at];
		assert_wrong(text, at / 6 + 1);
	}
	for (unsigned a = 0; a < SHARE_GROUPS; a++)
		for (unsigned b = a + 1; b < SHARE_GROUPS; b++) {
			memcpy(text, right, sizeof text);
			memcpy(text + a * 6, right + b * 6, 5);
			memcpy(text + b * 6, right + a * 6, 5);
			if (memcmp(text + a * 6, right + a * 6, 5) == 0)
				continue;
			struct share share;
			unsigned group = 99;
			assert_int_equal(
				share_read(text, LETTERS, &share, &group), MORTISE_INVALID);
			assert_true(group >= 1 && group <= SHARE_GROUPS);
		}
}

static void a_group_of_another_share_is_noticed(void **state)
{
	const struct fixture *fixture = *state;
	char first[SHARE_TEXT_SIZE], second[SHARE_TEXT_SIZE], text[SHARE_TEXT_SIZE];

	print(&fixture->shares[0], first);
	print(&fixture->shares[1], second);
	for (unsigned group = 2; group < SHARE_GROUPS; group++) {
		memcpy(text, first, sizeof text);
		memcpy(text + group * 6, second + group * 6, 5);
		if (memcmp(text, first, sizeof text) != 0)
			assert_wrong(text, group + 1);
	}
}

static void a_recovery_key_is_no_share_and_a_share_no_recovery_key(void **state)
{
	const struct fixture *fixture = *state;
	CLEANUP(secret_drop) struct secret *key = NULL;
	CLEANUP(secret_drop) struct secret *printed = NULL;
	char text[SHARE_TEXT_SIZE];
	struct share share;
	unsigned group = 99;

	assert_int_equal(recovery_print(fixture->key, &printed), MORTISE_OK);
	assert_int_equal(
		share_read((const char *)printed->bytes, printed->size - 1, &share, &group),
		MORTISE_INVALID);
	assert_int_equal(group, 0);
	print(&fixture->shares[0], text);
	assert_int_equal(recovery_parse(text, LETTERS, &key, &group), MORTISE_INVALID);
	assert_int_equal(group, 0);
}

static void heads_that_no_share_has_are_refused(void **state)
{
	const struct fixture *fixture = *state;
	static const unsigned heads[][2] = {
		{0, 1}, {1, 0}, {1, 1}, {SHARES_MAX + 1, 2}, {2, SHARES_MAX + 1}, {255, 255}};

	for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
		struct share share = fixture->shares[0];
		char text[SHARE_TEXT_SIZE];
		share.number = heads[i][0];
		share.threshold = heads[i][1];
		print(&share, text);
		assert_wrong(text, 1);
	}
}

static void without_room_nothing_is_split_and_nothing_leaks(void **state)
{
	const struct fixture *fixture = *state;
	struct secret *filler[4096];
	struct share shares[COUNT];
	size_t count = 0;

	while (count < 4096 && secret_new(KEY_SIZE, &filler[count]) == MORTISE_OK)
		count++;
	secret_drop(&filler[--count]);
	size_t room = secret_pool_room();
	assert_int_equal(shares_split(fixture->key, COUNT, THRESHOLD, shares), MORTISE_BUSY);
	assert_int_equal(secret_pool_room(), room);
	while (count)
		secret_drop(&filler[--count]);
}

int main(void)
{
#define IN_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		IN_FIXTURE(any_k_shares_give_the_key_and_fewer_are_refused),
		IN_FIXTURE(k_less_one_shares_give_no_key_even_if_they_say_they_are_enough),
		IN_FIXTURE(no_share_has_the_key_in_it_and_no_two_are_alike),
		IN_FIXTURE(the_same_key_is_split_otherwise_each_time),
		IN_FIXTURE(shares_that_do_not_belong_together_are_refused),
		IN_FIXTURE(numbers_that_make_no_scheme_are_refused),
		IN_FIXTURE(a_share_comes_back_as_it_was_printed),
		IN_FIXTURE(every_wrong_letter_is_noticed_and_its_group_named),
		IN_FIXTURE(every_two_neighbours_and_groups_that_change_places_are_noticed),
		IN_FIXTURE(a_group_of_another_share_is_noticed),
		IN_FIXTURE(a_recovery_key_is_no_share_and_a_share_no_recovery_key),
		IN_FIXTURE(heads_that_no_share_has_are_refused),
		IN_FIXTURE(without_room_nothing_is_split_and_nothing_leaks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
