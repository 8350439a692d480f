/* SPDX-License-Identifier: ISC */
/* Who keeps how much: what is counted follows every change, and is the same as counted anew. */
#include "vault_fixture.h"

#define ALL     0 /* everybody's */
#define BELOW_A 1 /* each user's, below a/ */

static size_t classify(void *context, uint32_t uid, const char *path,
	struct census_class out_classes[VAULT_CLASSES_MAX])
{
	size_t count = 0;

	(void)context;
	out_classes[count++] = (struct census_class){ALL, UINT32_MAX};
	if (strncmp(path, "a/", 2) == 0)
		out_classes[count++] = (struct census_class){BELOW_A, uid};
	return count;
}

static void count_all(struct fixture *fixture)
{
	assert_int_equal(vault_count_by(fixture->vault, classify, NULL), MORTISE_OK);
	while (vault_is_counting(fixture->vault))
		assert_int_equal(vault_count_slice(fixture->vault, 0), MORTISE_OK);
}

static struct census_sum sum_of(struct fixture *fixture, uint32_t number, uint32_t uid)
{
	const struct census_class class_of = {number, uid};
	struct census_sum sum = {0};

	assert_int_equal(vault_counted(fixture->vault, &class_of, &sum), MORTISE_OK);
	return sum;
}

static void assert_sum(struct fixture *fixture, uint32_t number, uint32_t uid, uint64_t versions,
	uint64_t bytes, uint64_t secrets)
{
	const struct census_sum sum = sum_of(fixture, number, uid);

	assert_int_equal(sum.size_bytes, versions * VAULT_VERSION_COST + bytes);
	assert_int_equal(sum.secrets, secrets);
}

static void set_as(struct fixture *fixture, uint32_t uid, const char *path, size_t size)
{
	static const uint8_t bytes[MORTISE_VALUE_MAX];
	struct vault_write write = a_write(fixture, path, bytes, size);
	struct vault_outcome outcome;

	write.uid = uid;
	assert_int_equal(vault_write(fixture->vault, &write, &outcome), MORTISE_OK);
}

static void nothing_is_told_before_all_is_counted(void **state)
{
	struct fixture *fixture = *state;
	const struct census_class class_of = {ALL, UINT32_MAX};
	struct census_sum sum;

	assert_int_equal(vault_counted(fixture->vault, &class_of, &sum), MORTISE_BUSY);
	set_as(fixture, 1, "a/x", 100);
	set_as(fixture, 1, "a/y", 100);
	assert_int_equal(vault_count_by(fixture->vault, classify, NULL), MORTISE_OK);
	for (unsigned i = 0; i < 2; i++) {
		assert_true(vault_is_counting(fixture->vault));
		assert_int_equal(vault_counted(fixture->vault, &class_of, &sum), MORTISE_BUSY);
		assert_int_equal(vault_count_slice(fixture->vault, 0), MORTISE_OK);
	}
	assert_int_equal(vault_count_slice(fixture->vault, 0), MORTISE_OK);
	assert_false(vault_is_counting(fixture->vault));
	assert_sum(fixture, ALL, UINT32_MAX, 2, 200, 2);
}

static void every_version_counts_for_who_made_it_and_a_secret_for_who_made_the_eldest(void **state)
{
	struct fixture *fixture = *state;

	count_all(fixture);
	set_as(fixture, 1, "a/x", 100);
	set_as(fixture, 2, "a/x", 30);
	set_as(fixture, 2, "b/x", 7);
	assert_sum(fixture, ALL, UINT32_MAX, 3, 137, 2);
	assert_sum(fixture, BELOW_A, 1, 1, 100, 1);
	assert_sum(fixture, BELOW_A, 2, 1, 30, 0);
	assert_sum(fixture, BELOW_A, 3, 0, 0, 0);
}

static void what_goes_is_counted_no_more_and_what_is_deleted_is(void **state)
{
	struct fixture *fixture = *state;
	struct vault_outcome outcome;

	count_all(fixture);
	for (unsigned i = 0; i < VAULT_KEEP_VERSIONS + 3; i++)
		set_as(fixture, 1, "a/x", 10);
	assert_sum(fixture, BELOW_A, 1, VAULT_KEEP_VERSIONS, 10 * VAULT_KEEP_VERSIONS, 1);
	assert_int_equal(vault_destroy(fixture->vault, "a/x", 5, &outcome), MORTISE_OK);
	assert_sum(fixture, BELOW_A, 1, VAULT_KEEP_VERSIONS - 1, 10 * (VAULT_KEEP_VERSIONS - 1), 1);
	assert_int_equal(
		vault_set_deleted(fixture->vault, "a/x", true, 1000, &outcome), MORTISE_OK);
	assert_sum(fixture, BELOW_A, 1, VAULT_KEEP_VERSIONS - 1, 10 * (VAULT_KEEP_VERSIONS - 1), 1);
	assert_int_equal(vault_destroy_all(fixture->vault, "a/x", &outcome), MORTISE_OK);
	assert_sum(fixture, BELOW_A, 1, 0, 0, 0);
	assert_sum(fixture, ALL, UINT32_MAX, 0, 0, 0);
}

static void a_moved_secret_counts_where_it_is(void **state)
{
	const uint8_t token[WIRE_TOKEN_SIZE] = {9}, other[WIRE_TOKEN_SIZE] = {8};
	struct fixture *fixture = *state;
	struct vault_outcome outcome;

	count_all(fixture);
	set_as(fixture, 1, "b/x", 100);
	assert_int_equal(vault_move(fixture->vault, "b/x", "a/x", token, &outcome), MORTISE_OK);
	assert_sum(fixture, BELOW_A, 1, 1, 100, 1);
	assert_sum(fixture, ALL, UINT32_MAX, 1, 100, 1);
	assert_int_equal(vault_move(fixture->vault, "a/x", "b/y", other, &outcome), MORTISE_OK);
	assert_sum(fixture, BELOW_A, 1, 0, 0, 0);
	assert_sum(fixture, ALL, UINT32_MAX, 1, 100, 1);
}

static void change_something(struct fixture *fixture, unsigned step)
{
	struct vault_outcome outcome;
	char path[16];

	(void)snprintf(path, sizeof path, "a/%u", step * 7 % 40);
	if (step % 5 == 4 &&
		vault_set_deleted(fixture->vault, path, true, 1, &outcome) == MORTISE_OK)
		assert_int_equal(vault_destroy_all(fixture->vault, path, &outcome), MORTISE_OK);
	else
		set_as(fixture, step % 3, path, step);
}

/* Before, behind and at the place that the counting has reached; and it goes on over a rekey. */
static void what_changes_while_it_is_counted_is_counted_once(void **state)
{
	struct fixture *fixture = *state;
	struct census_sum found[4];

	for (unsigned i = 0; i < 40; i++)
		set_as(fixture, 1, (char[8]){'a', '/', (char)('0' + i / 10), (char)('0' + i % 10)},
			5);
	assert_int_equal(vault_count_by(fixture->vault, classify, NULL), MORTISE_OK);
	for (unsigned i = 0; i < 60; i++) {
		change_something(fixture, i);
		assert_int_equal(vault_count_slice(fixture->vault, 0), MORTISE_OK);
	}
	while (vault_is_counting(fixture->vault))
		assert_int_equal(vault_count_slice(fixture->vault, 0), MORTISE_OK);
	assert_int_equal(vault_rekey(fixture->vault, false), MORTISE_OK);
	for (unsigned i = 60; vault_has_work(fixture->vault); i++) {
		assert_int_equal(vault_work(fixture->vault, 100), MORTISE_OK);
		change_something(fixture, i);
	}
	for (uint32_t i = 0; i < 4; i++)
		found[i] = i < 3 ? sum_of(fixture, BELOW_A, i) : sum_of(fixture, ALL, UINT32_MAX);
	count_all(fixture);
	for (uint32_t i = 0; i < 4; i++) {
		const struct census_sum again =
			i < 3 ? sum_of(fixture, BELOW_A, i) : sum_of(fixture, ALL, UINT32_MAX);
		assert_true(again.secrets > 0 || i < 3);
		assert_int_equal(again.size_bytes, found[i].size_bytes);
		assert_int_equal(again.secrets, found[i].secrets);
	}
}

int main(void)
{
#define IN_VAULT(test) cmocka_unit_test_setup_teardown(test, set_up_vault, tear_down)
	const struct CMUnitTest tests[] = {
		IN_VAULT(nothing_is_told_before_all_is_counted),
		IN_VAULT(every_version_counts_for_who_made_it_and_a_secret_for_who_made_the_eldest),
		IN_VAULT(what_goes_is_counted_no_more_and_what_is_deleted_is),
		IN_VAULT(a_moved_secret_counts_where_it_is),
		IN_VAULT(what_changes_while_it_is_counted_is_counted_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
