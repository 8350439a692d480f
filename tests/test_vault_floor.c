/* SPDX-License-Identifier: ISC */
/* The clock's floor in a store: read while sealed, vouched for once it is open. */
#include "vault_fixture.h"

static const struct clock_floor floor_of_old = {
	UINT64_C(1795000000000000), 12345678, "0f0e0d0c-0b0a-0908-0706-050403020100"};

static void assert_same(const struct clock_floor *one, const struct clock_floor *other)
{
	assert_int_equal(one->wall_us, other->wall_us);
	assert_int_equal(one->steady_us, other->steady_us);
	assert_string_equal(one->boot, other->boot);
}

static void a_floor_is_read_while_sealed_and_after_it(void **state)
{
	struct fixture *fixture = *state;
	struct clock_floor found;

	assert_int_equal(vault_floor(fixture->vault, &found), MORTISE_NOT_FOUND);
	assert_int_equal(vault_set_floor(fixture->vault, &floor_of_old), MORTISE_OK);
	assert_int_equal(vault_floor(fixture->vault, &found), MORTISE_OK);
	assert_same(&found, &floor_of_old);
	assert_int_equal(vault_floor_while_sealed(fixture->store, &found), MORTISE_OK);
	assert_same(&found, &floor_of_old);
	assert_int_equal(reopen(fixture), MORTISE_OK);
	assert_int_equal(vault_floor(fixture->vault, &found), MORTISE_OK);
	assert_same(&found, &floor_of_old);
}

static void a_later_word_replaces_it_whatever_it_says(void **state)
{
	struct fixture *fixture = *state;
	struct clock_floor earlier = floor_of_old, found;

	earlier.wall_us -= 1000000;
	assert_int_equal(vault_set_floor(fixture->vault, &floor_of_old), MORTISE_OK);
	assert_int_equal(vault_set_floor(fixture->vault, &earlier), MORTISE_OK);
	assert_int_equal(reopen(fixture), MORTISE_OK);
	assert_int_equal(vault_floor(fixture->vault, &found), MORTISE_OK);
	assert_same(&found, &earlier);
}

static void a_floor_that_was_changed_taken_away_or_made_up_is_no_store_of_ours(void **state)
{
	struct fixture *fixture = *state;

	edit(fixture, "INSERT INTO item VALUES(1, 5, 1, x'00')");
	assert_int_equal(reopen(fixture), MORTISE_INTEGRITY);
	edit(fixture, "DELETE FROM item WHERE kind = 5");
	assert_int_equal(reopen(fixture), MORTISE_OK);
	assert_int_equal(vault_set_floor(fixture->vault, &floor_of_old), MORTISE_OK);
	edit(fixture, "UPDATE item SET body = zeroblob(12) WHERE kind = 5");
	assert_int_equal(reopen(fixture), MORTISE_INTEGRITY);
	edit(fixture, "DELETE FROM item WHERE kind = 5");
	assert_int_equal(reopen(fixture), MORTISE_INTEGRITY);
}

static void what_is_no_floor_is_none_while_sealed_either(void **state)
{
	struct fixture *fixture = *state;
	struct clock_floor found = floor_of_old;

	edit(fixture, "INSERT INTO item VALUES(1, 5, 1, x'0100060000000000ffffffff')");
	assert_int_equal(store_open(fixture->directory, &fixture->store), MORTISE_OK);
	assert_int_equal(vault_floor_while_sealed(fixture->store, &found), MORTISE_INTEGRITY);
	assert_same(&found, &floor_of_old);
}

/* Each other field is there: the code alone says what it is. */
static void a_record_of_another_kind_is_no_floor_while_sealed(void **state)
{
	struct fixture *fixture = *state;
	struct clock_floor found = {.wall_us = 0};

	assert_int_equal(vault_set_floor(fixture->vault, &floor_of_old), MORTISE_OK);
	edit(fixture, "UPDATE item SET body = CAST(x'01000700' || substr(body, 5) AS BLOB) "
		      "WHERE kind = 5");
	assert_int_equal(store_open(fixture->directory, &fixture->store), MORTISE_OK);
	assert_int_equal(vault_floor_while_sealed(fixture->store, &found), MORTISE_INTEGRITY);
	close_all(fixture);
	edit(fixture, "UPDATE item SET body = CAST(x'01000600' || substr(body, 5) AS BLOB) "
		      "WHERE kind = 5");
	assert_int_equal(store_open(fixture->directory, &fixture->store), MORTISE_OK);
	assert_int_equal(vault_floor_while_sealed(fixture->store, &found), MORTISE_OK);
	assert_same(&found, &floor_of_old);
}

static void a_rekey_takes_it_along(void **state)
{
	struct fixture *fixture = *state;
	struct clock_floor found;

	assert_int_equal(vault_set_floor(fixture->vault, &floor_of_old), MORTISE_OK);
	assert_int_equal(vault_rekey(fixture->vault, false), MORTISE_OK);
	while (vault_has_work(fixture->vault))
		assert_int_equal(vault_work(fixture->vault, 100000), MORTISE_OK);
	assert_int_equal(vault_floor(fixture->vault, &found), MORTISE_OK);
	assert_same(&found, &floor_of_old);
	assert_int_equal(reopen_by_slot(fixture, 2), MORTISE_OK);
	assert_int_equal(vault_floor(fixture->vault, &found), MORTISE_OK);
	assert_same(&found, &floor_of_old);
}

static void a_floor_is_no_commit_that_an_anchor_counts(void **state)
{
	struct fixture *fixture = *state;
	uint64_t commits = vault_age(fixture->vault).commits;

	assert_int_equal(vault_set_floor(fixture->vault, &floor_of_old), MORTISE_OK);
	assert_int_equal(vault_age(fixture->vault).commits, commits);
	assert_int_equal(set(fixture, "prod/a", "x"), MORTISE_OK);
	assert_int_equal(vault_age(fixture->vault).commits, commits + 1);
}

#define IN_VAULT(name) cmocka_unit_test_setup_teardown(name, set_up_vault, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_VAULT(a_floor_is_read_while_sealed_and_after_it),
		IN_VAULT(a_later_word_replaces_it_whatever_it_says),
		IN_VAULT(a_floor_that_was_changed_taken_away_or_made_up_is_no_store_of_ours),
		IN_VAULT(what_is_no_floor_is_none_while_sealed_either),
		IN_VAULT(a_record_of_another_kind_is_no_floor_while_sealed),
		IN_VAULT(a_rekey_takes_it_along),
		IN_VAULT(a_floor_is_no_commit_that_an_anchor_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
