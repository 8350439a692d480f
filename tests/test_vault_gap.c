/* SPDX-License-Identifier: ISC */
/* Damage of the audit log in a store: read while sealed, vouched for once it is open. */
#include "vault_fixture.h"

static struct vault_gap a_gap(uint64_t sequence)
{
	return (struct vault_gap){.sequence = sequence,
		.head = {1, 2, 3},
		.key = {4, 5, 6},
		.why = "the log lacks its last signed line",
		.found_us = 1000 + sequence};
}

static void acknowledge(struct vault_gap *gap)
{
	gap->acknowledged_us = 5000;
	gap->uid = 34;
	/* As long as a note may be: it fits beside all else. */
	memset(gap->note, 'n', VAULT_NOTE_MAX);
	memset(gap->why, 'w', sizeof gap->why - 1);
}

static void assert_same(const struct vault_gap *one, const struct vault_gap *other)
{
	assert_int_equal(one->sequence, other->sequence);
	assert_memory_equal(one->head, other->head, sizeof one->head);
	assert_memory_equal(one->key, other->key, sizeof one->key);
	assert_string_equal(one->why, other->why);
	assert_int_equal(one->found_us, other->found_us);
	assert_int_equal(one->acknowledged_us, other->acknowledged_us);
	assert_int_equal(one->uid, other->uid);
	assert_string_equal(one->note, other->note);
}

struct seen {
	size_t count;
	struct vault_gap last;
};

static void see(void *context, const struct vault_gap *gap)
{
	struct seen *seen = context;

	seen->count++;
	seen->last = *gap;
}

static void assert_seen_while_sealed(struct fixture *fixture, const struct vault_gap *gap)
{
	struct seen seen = {.count = 0};

	assert_int_equal(vault_gaps_while_sealed(fixture->store, see, &seen), MORTISE_OK);
	assert_int_equal(seen.count, gap ? 1 : 0);
	if (gap)
		assert_same(&seen.last, gap);
}

static void assert_kept(struct fixture *fixture, uint64_t number, const struct vault_gap *gap)
{
	struct vault_gap found;

	assert_int_equal(vault_gap(fixture->vault, number, &found), MORTISE_OK);
	assert_same(&found, gap);
}

static void a_gap_is_read_while_sealed_and_after_it(void **state)
{
	struct fixture *fixture = *state;
	struct vault_gap gap = a_gap(7);

	assert_int_equal(vault_next_gap(fixture->vault, 0), 0);
	assert_seen_while_sealed(fixture, NULL);
	assert_int_equal(vault_add_gap(fixture->vault, &gap), MORTISE_OK);
	assert_seen_while_sealed(fixture, &gap);
	assert_int_equal(reopen(fixture), MORTISE_OK);
	assert_int_equal(vault_next_gap(fixture->vault, 0), 1);
	assert_kept(fixture, 1, &gap);
	acknowledge(&gap);
	assert_int_equal(vault_acknowledge_gap(fixture->vault, 2, &gap), MORTISE_NOT_FOUND);
	assert_int_equal(vault_acknowledge_gap(fixture->vault, 1, &gap), MORTISE_OK);
	assert_int_equal(vault_next_gap(fixture->vault, 1), 0);
	assert_seen_while_sealed(fixture, &gap);
	assert_int_equal(reopen(fixture), MORTISE_OK);
	assert_kept(fixture, 1, &gap);
}

static void only_what_was_acknowledged_makes_room_the_oldest_first(void **state)
{
	struct fixture *fixture = *state;
	struct vault_gap gap = a_gap(2);

	for (uint64_t i = 1; i <= VAULT_GAPS_MAX; i++) {
		const struct vault_gap one = a_gap(i);

		assert_int_equal(vault_add_gap(fixture->vault, &one), MORTISE_OK);
	}
	const struct vault_gap more = a_gap(100);
	assert_int_equal(vault_add_gap(fixture->vault, &more), MORTISE_CONFLICT);
	acknowledge(&gap);
	assert_int_equal(vault_acknowledge_gap(fixture->vault, 9, &gap), MORTISE_OK);
	assert_int_equal(vault_acknowledge_gap(fixture->vault, 2, &gap), MORTISE_OK);
	assert_int_equal(vault_add_gap(fixture->vault, &more), MORTISE_OK);
	assert_int_equal(vault_next_gap(fixture->vault, 1), 3);
	assert_int_equal(vault_next_gap(fixture->vault, 8), 9);
	assert_kept(fixture, VAULT_GAPS_MAX + 1, &more);
	assert_int_equal(reopen(fixture), MORTISE_OK);
	assert_kept(fixture, VAULT_GAPS_MAX + 1, &more);
}

static void a_gap_that_was_changed_taken_away_or_made_up_is_no_store_of_ours(void **state)
{
	struct fixture *fixture = *state;
	const struct vault_gap gap = a_gap(7);

	edit(fixture, "INSERT INTO item VALUES(1, 6, 1, x'00')");
	assert_int_equal(reopen(fixture), MORTISE_INTEGRITY);
	edit(fixture, "DELETE FROM item WHERE kind = 6");
	assert_int_equal(reopen(fixture), MORTISE_OK);
	assert_int_equal(vault_add_gap(fixture->vault, &gap), MORTISE_OK);
	edit(fixture, "UPDATE item SET body = zeroblob(12) WHERE kind = 6");
	assert_int_equal(reopen(fixture), MORTISE_INTEGRITY);
	edit(fixture, "DELETE FROM item WHERE kind = 6");
	assert_int_equal(reopen(fixture), MORTISE_INTEGRITY);
}

/* Whoever has the disk can cut a record anywhere: what is none is passed over, and no more is read.
 */
static void what_is_no_gap_is_none_while_sealed_either(void **state)
{
	struct fixture *fixture = *state;
	struct vault_gap gap = a_gap(7);
	struct seen seen = {.count = 0};
	char statement[96];

	acknowledge(&gap);
	assert_int_equal(vault_add_gap(fixture->vault, &gap), MORTISE_OK);
	edit(fixture, "UPDATE item SET body = substr(body, 1, length(body) - 1) WHERE kind = 6");
	for (unsigned i = 0; i < 40; i++) {
		assert_int_equal(store_open(fixture->directory, &fixture->store), MORTISE_OK);
		assert_int_equal(vault_gaps_while_sealed(fixture->store, see, &seen), MORTISE_OK);
		assert_int_equal(seen.count, 0);
		close_all(fixture);
		snprintf(statement, sizeof statement,
			"UPDATE item SET body = substr(body, 1, max(1, length(body) - %u)) WHERE "
			"kind = 6",
			i);
		edit(fixture, statement);
	}
}

/* Each other field is there: the code alone says what it is. */
static void a_record_of_another_kind_is_no_gap_while_sealed(void **state)
{
	struct fixture *fixture = *state;
	const struct vault_gap gap = a_gap(7);

	assert_int_equal(vault_add_gap(fixture->vault, &gap), MORTISE_OK);
	edit(fixture, "UPDATE item SET body = CAST(x'01000600' || substr(body, 5) AS BLOB) "
		      "WHERE kind = 6");
	assert_int_equal(store_open(fixture->directory, &fixture->store), MORTISE_OK);
	assert_seen_while_sealed(fixture, NULL);
	close_all(fixture);
	edit(fixture, "UPDATE item SET body = CAST(x'01000700' || substr(body, 5) AS BLOB) "
		      "WHERE kind = 6");
	assert_int_equal(store_open(fixture->directory, &fixture->store), MORTISE_OK);
	assert_seen_while_sealed(fixture, &gap);
}

static void a_rekey_takes_all_of_them_along(void **state)
{
	struct fixture *fixture = *state;
	const struct vault_gap gaps[] = {a_gap(7), a_gap(8)};

	for (size_t i = 0; i < 2; i++)
		assert_int_equal(vault_add_gap(fixture->vault, &gaps[i]), MORTISE_OK);
	assert_int_equal(vault_rekey(fixture->vault, false), MORTISE_OK);
	while (vault_has_work(fixture->vault))
		assert_int_equal(vault_work(fixture->vault, 100000), MORTISE_OK);
	assert_kept(fixture, 1, &gaps[0]);
	assert_int_equal(reopen_by_slot(fixture, 2), MORTISE_OK);
	assert_kept(fixture, 1, &gaps[0]);
	assert_kept(fixture, 2, &gaps[1]);
}

#define IN_VAULT(name) cmocka_unit_test_setup_teardown(name, set_up_vault, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_VAULT(a_gap_is_read_while_sealed_and_after_it),
		IN_VAULT(only_what_was_acknowledged_makes_room_the_oldest_first),
		IN_VAULT(a_gap_that_was_changed_taken_away_or_made_up_is_no_store_of_ours),
		IN_VAULT(what_is_no_gap_is_none_while_sealed_either),
		IN_VAULT(a_record_of_another_kind_is_no_gap_while_sealed),
		IN_VAULT(a_rekey_takes_all_of_them_along),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
