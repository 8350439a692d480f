/* SPDX-License-Identifier: ISC */
#include "mortise_test.h"
#include "rate.h"

#define MINUTE 60000u

static const struct rate_limit hourly = {20, 3600};
static struct rate_table *table;

static int set_up(void **state)
{
	(void)state;
	return rate_new(RATE_PAIRS_MAX, &table) == MORTISE_OK ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	rate_free(table);
	return 0;
}

static bool take(uint32_t rule, uint32_t uid, uint64_t now_ms)
{
	uint64_t wait_ms = 0;
	enum mortise_status status =
		rate_take(table, &hourly, &(struct rate_use){rule, uid, 0, now_ms}, &wait_ms);

	assert_true((status == MORTISE_OK) == (wait_ms == 0));
	return status == MORTISE_OK;
}

static void a_bucket_holds_its_count_and_no_more(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++)
		assert_true(take(1, 34, 1000));
	assert_false(take(1, 34, 1000));
}

static void an_empty_bucket_says_when_the_next_one_comes(void **state)
{
	uint64_t wait_ms = 0;

	(void)state;
	for (int i = 0; i < 20; i++)
		assert_true(take(1, 34, 1000));
	assert_int_equal(
		rate_take(table, &hourly, &(struct rate_use){1, 34, 0, 1000 + MINUTE}, &wait_ms),
		MORTISE_BUSY);
	assert_int_equal(wait_ms, 2 * MINUTE);
	assert_false(take(1, 34, 1000 + 3 * MINUTE - 1));
	assert_true(take(1, 34, 1000 + 3 * MINUTE));
	assert_false(take(1, 34, 1000 + 3 * MINUTE));
}

static void a_bucket_is_full_after_its_period(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++)
		assert_true(take(1, 34, 0));
	for (int i = 0; i < 20; i++)
		assert_true(take(1, 34, 60 * MINUTE));
	assert_false(take(1, 34, 60 * MINUTE));
}

static void a_denied_attempt_costs_nothing(void **state)
{
	(void)state;
	for (int i = 0; i < 100; i++)
		(void)take(1, 34, 0);
	assert_true(take(1, 34, 3 * MINUTE));
}

static void a_request_takes_one_however_often_it_asks(void **state)
{
	uint64_t wait_ms = 0;

	(void)state;
	for (uint64_t request = 1; request <= 20; request++)
		for (int i = 0; i < 64; i++) {
			struct rate_use use = {1, 34, request, 1000};
			assert_int_equal(rate_take(table, &hourly, &use, &wait_ms), MORTISE_OK);
		}
	for (int i = 0; i < 2; i++) {
		struct rate_use use = {1, 34, 21, 1000};
		assert_int_equal(rate_take(table, &hourly, &use, &wait_ms), MORTISE_BUSY);
	}
	/* By another rule, or for another, it is a use of its own. */
	struct rate_use other = {2, 34, 20, 1000};
	assert_int_equal(rate_take(table, &hourly, &other, &wait_ms), MORTISE_OK);
	assert_int_equal(rate_count(table), 2);
}

static void each_rule_and_each_uid_has_its_own(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++)
		assert_true(take(1, 34, 0));
	assert_false(take(1, 34, 0));
	assert_true(take(1, 35, 0));
	assert_true(take(2, 34, 0));
	assert_int_equal(rate_count(table), 3);
}

static void no_limit_takes_nothing(void **state)
{
	static const struct rate_limit none = {0, 0};
	uint64_t wait_ms;

	(void)state;
	assert_int_equal(
		rate_take(table, &none, &(struct rate_use){1, 34, 0, 0}, &wait_ms), MORTISE_OK);
	assert_int_equal(rate_count(table), 0);
}

static void a_clock_that_goes_back_fills_nothing(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++)
		assert_true(take(1, 34, 10 * MINUTE));
	assert_false(take(1, 34, 0));
}

static void full_buckets_are_forgotten(void **state)
{
	(void)state;
	for (uint32_t uid = 0; uid < 100000; uid++)
		assert_true(take(1, uid, 4 * (uint64_t)uid * MINUTE));
	assert_true(rate_count(table) < 64);
}

static void many_pairs_are_kept_apart(void **state)
{
	(void)state;
	for (int round = 0; round < 20; round++)
		for (uint32_t uid = 0; uid < 5000; uid++)
			assert_true(take(uid % 7, uid, 1));
	for (uint32_t uid = 0; uid < 5000; uid++)
		assert_false(take(uid % 7, uid, 1));
	assert_int_equal(rate_count(table), 5000);
}

static void a_crowded_table_refuses_newcomers_and_keeps_the_rest(void **state)
{
	struct rate_table *small;
	uint64_t wait_ms = 0;

	(void)state;
	assert_int_equal(rate_new(2, &small), MORTISE_OK);
	assert_int_equal(
		rate_take(small, &hourly, &(struct rate_use){1, 1, 0, 0}, &wait_ms), MORTISE_OK);
	assert_int_equal(
		rate_take(small, &hourly, &(struct rate_use){1, 2, 0, 0}, &wait_ms), MORTISE_OK);
	assert_int_equal(
		rate_take(small, &hourly, &(struct rate_use){1, 3, 0, 0}, &wait_ms), MORTISE_BUSY);
	assert_int_not_equal(wait_ms, 0);
	assert_int_equal(
		rate_take(small, &hourly, &(struct rate_use){1, 2, 0, 0}, &wait_ms), MORTISE_OK);
	assert_int_equal(
		rate_take(small, &hourly, &(struct rate_use){1, 3, 0, 7 * MINUTE}, &wait_ms),
		MORTISE_OK);
	rate_free(small);
}

static void the_highest_rate_still_counts(void **state)
{
	static const struct rate_limit limit = {POLICY_RATE_MAX, 60};
	uint64_t wait_ms;

	(void)state;
	for (int i = 0; i < POLICY_RATE_MAX; i++)
		assert_int_equal(rate_take(table, &limit, &(struct rate_use){1, 1, 0, 0}, &wait_ms),
			MORTISE_OK);
	assert_int_equal(
		rate_take(table, &limit, &(struct rate_use){1, 1, 0, 0}, &wait_ms), MORTISE_BUSY);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static void what_was_done_is_spent_though_it_was_not_there_and_fills_first(void **state)
{
	const struct rate_use use = {.rule = 1, .uid = 1, .now_ms = MINUTE};
	struct rate_use later = use;
	uint64_t wait_ms = 0;

	(void)state;
	assert_false(rate_is_spent(table, &hourly, &use, &wait_ms));
	rate_spend(table, &hourly, &use, 20);
	assert_false(rate_is_spent(table, &hourly, &use, &wait_ms));
	rate_spend(table, &hourly, &use, 10);
	assert_true(rate_is_spent(table, &hourly, &use, &wait_ms));
	assert_int_equal(wait_ms, 30 * MINUTE);
	later.now_ms += wait_ms - 1;
	assert_true(rate_is_spent(table, &hourly, &later, &wait_ms));
	later.now_ms++;
	assert_false(rate_is_spent(table, &hourly, &later, &wait_ms));
	later.uid = 2;
	assert_false(rate_is_spent(table, &hourly, &later, &wait_ms));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_bucket_holds_its_count_and_no_more),
		TEST(an_empty_bucket_says_when_the_next_one_comes),
		TEST(a_bucket_is_full_after_its_period),
		TEST(a_denied_attempt_costs_nothing),
		TEST(a_request_takes_one_however_often_it_asks),
		TEST(each_rule_and_each_uid_has_its_own),
		TEST(no_limit_takes_nothing),
		TEST(a_clock_that_goes_back_fills_nothing),
		TEST(full_buckets_are_forgotten),
		TEST(many_pairs_are_kept_apart),
		TEST(a_crowded_table_refuses_newcomers_and_keeps_the_rest),
		TEST(the_highest_rate_still_counts),
		TEST(what_was_done_is_spent_though_it_was_not_there_and_fills_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
