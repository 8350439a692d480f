/* SPDX-License-Identifier: ISC */
/* What the vault says of current versions without their values: numbers, changes, fingerprints. */
#include <sodium.h>

#include "vault_fixture.h"

static uint64_t put(struct fixture *fixture, const char *path, const char *value)
{
	struct vault_write write = a_write(fixture, path, (const uint8_t *)value, strlen(value));
	struct vault_outcome outcome = {0, false};

	assert_int_equal(vault_write(fixture->vault, &write, &outcome), MORTISE_OK);
	return outcome.version;
}

static void fingerprint_of(
	struct fixture *fixture, const char *path, uint8_t out_fingerprint[ENVELOPE_HASH])
{
	bool is_empty = true;

	assert_int_equal(
		vault_fingerprint(fixture->vault, path, out_fingerprint, &is_empty), MORTISE_OK);
	assert_false(is_empty);
}

static void equal_values_and_no_others_have_equal_fingerprints(void **state)
{
	uint8_t one[ENVELOPE_HASH], same[ENVELOPE_HASH], other[ENVELOPE_HASH];
	struct fixture *fixture = *state;

	put(fixture, "prod/x", "value");
	put(fixture, "dev/x", "value");
	put(fixture, "prod/y", "valuf");
	fingerprint_of(fixture, "prod/x", one);
	fingerprint_of(fixture, "dev/x", same);
	fingerprint_of(fixture, "prod/y", other);
	assert_memory_equal(one, same, sizeof one);
	assert_memory_not_equal(one, other, sizeof one);
}

static void a_fingerprint_is_no_plain_hash_of_the_value(void **state)
{
	uint8_t one[ENVELOPE_HASH], plain[ENVELOPE_HASH];
	struct fixture *fixture = *state;

	put(fixture, "prod/x", "value");
	fingerprint_of(fixture, "prod/x", one);
	crypto_generichash(plain, sizeof plain, (const uint8_t *)"value", 5, NULL, 0);
	assert_memory_not_equal(one, plain, sizeof one);
}

static void what_is_deleted_or_absent_has_no_fingerprint_and_no_current_version(void **state)
{
	uint8_t fingerprint[ENVELOPE_HASH] = {7}, before = fingerprint[0];
	struct fixture *fixture = *state;
	struct vault_outcome outcome;
	bool is_empty;

	put(fixture, "prod/x", "value");
	assert_int_equal(
		vault_set_deleted(fixture->vault, "prod/x", true, 1, &outcome), MORTISE_OK);
	assert_int_equal(vault_fingerprint(fixture->vault, "prod/x", fingerprint, &is_empty),
		MORTISE_NOT_FOUND);
	assert_int_equal(vault_fingerprint(fixture->vault, "prod/none", fingerprint, &is_empty),
		MORTISE_NOT_FOUND);
	assert_int_equal(fingerprint[0], before);
	assert_int_equal(vault_current(fixture->vault, "prod/x"), 0);
	assert_int_equal(vault_current(fixture->vault, "prod/none"), 0);
}

static void every_commit_that_concerns_a_secret_is_counted_and_no_other(void **state)
{
	struct fixture *fixture = *state;
	struct vault_outcome outcome;
	uint64_t before = vault_changes(fixture->vault), version = 0;

	put(fixture, "prod/x", "value");
	assert_int_equal(vault_current(fixture->vault, "prod/x"), 1);
	assert_true(vault_changes(fixture->vault) != before);
	before = vault_changes(fixture->vault);
	assert_int_equal(
		vault_set_policy(fixture->vault, bytes_of("[rule second]"), &version), MORTISE_OK);
	assert_int_equal(vault_changes(fixture->vault), before);
	assert_int_equal(
		vault_set_deleted(fixture->vault, "prod/x", true, 1, &outcome), MORTISE_OK);
	assert_true(vault_changes(fixture->vault) != before);
	before = vault_changes(fixture->vault);
	assert_int_equal(vault_destroy_all(fixture->vault, "prod/x", &outcome), MORTISE_OK);
	assert_true(vault_changes(fixture->vault) != before);
}

static void a_head_is_found_by_its_number(void **state)
{
	struct fixture *fixture = *state;
	struct vault_head found;

	put(fixture, "prod/x", "value");
	put(fixture, "prod/y", "value");
	assert_int_equal(
		vault_head(fixture->vault, number_of(fixture, "prod/x"), &found), MORTISE_OK);
	assert_string_equal(found.path, "prod/x");
	assert_int_equal(vault_head(fixture->vault, number_of(fixture, "prod/y") + 1, &found),
		MORTISE_NOT_FOUND);
	assert_int_equal(vault_head(fixture->vault, 0, &found), MORTISE_NOT_FOUND);
	assert_string_equal(found.path, "prod/x");
}

int main(void)
{
#define IN_VAULT(test) cmocka_unit_test_setup_teardown(test, set_up_vault, tear_down)
	const struct CMUnitTest tests[] = {
		IN_VAULT(equal_values_and_no_others_have_equal_fingerprints),
		IN_VAULT(a_fingerprint_is_no_plain_hash_of_the_value),
		IN_VAULT(what_is_deleted_or_absent_has_no_fingerprint_and_no_current_version),
		IN_VAULT(every_commit_that_concerns_a_secret_is_counted_and_no_other),
		IN_VAULT(a_head_is_found_by_its_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
