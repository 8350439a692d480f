/* SPDX-License-Identifier: ISC */
/* exec_mask: what is a name and no secret. */
#include <stdlib.h>
#include <string.h>

#include "exec_plan.h"
#include "mortise_test.h"

static bool is_word(const char *path, const char *field, const char *value)
{
	return exec_mask_is_word(path, field, (const uint8_t *)value, strlen(value));
}

static void a_name_in_a_secret_that_is_named_so_is_no_secret(void **state)
{
	(void)state;
	assert_true(is_word("prod/db-user", NULL, "shopadmin"));
	assert_true(is_word("prod/db/user", NULL, "Shop-Admin"));
	assert_true(is_word("prod/app.pguser", NULL, "backup2"));
	assert_true(is_word("prod/db_host", NULL, "db1.example.org"));
	assert_true(is_word("prod/db/host", NULL, "10.20.30.40"));
	assert_true(is_word("prod/db/dbname", NULL, "shop_production"));
	assert_true(is_word("prod/s3/region", NULL, "eu-central-1"));
	assert_true(is_word("prod/mail", "username", "app@example.org"));
	assert_true(is_word("prod/mail", "smtp_login", "app@example.org"));
}

static void whatever_it_looks_like_a_secret_that_is_named_otherwise_is_one(void **state)
{
	(void)state;
	assert_false(is_word("prod/db/password", NULL, "shopadmin"));
	assert_false(is_word("prod/db/user-password", NULL, "shopadmin"));
	assert_false(is_word("prod/user/token", NULL, "shopadmin"));
	assert_false(is_word("prod/db/user", "password", "shopadmin"));
	assert_false(is_word("prod/passport", NULL, "shopadmin"));
	assert_false(is_word("prod/db", NULL, "shopadmin"));
	assert_false(is_word("user", "", "shopadmin"));
	assert_false(is_word("prod/superuser", NULL, "shopadmin"));
}

static void whatever_it_is_named_what_looks_like_no_name_is_a_secret(void **state)
{
	static const char *const values[] = {"k9XwT2mQ7vB4nL6z", "hunter2hunter2",
		"AKIAIOSFODNN7EXAMPLE", "correct horse battery", "4f1c0a9be2", "p@ssw0rd!",
		"12345678", "shopAdmin", "postgres://app:pw@host/db", "host:5432", "", "admin12345",
		"-admin", "admin-",
		"a-name-of-rather-many-letters-that-goes-on-for-more-than-sixty-four-bytes"};

	(void)state;
	for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
		assert_false(is_word("prod/db/user", NULL, values[i]));
	assert_false(exec_mask_is_word("user", NULL, (const uint8_t *)"shop\0admin", 10));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_in_a_secret_that_is_named_so_is_no_secret),
		cmocka_unit_test(whatever_it_looks_like_a_secret_that_is_named_otherwise_is_one),
		cmocka_unit_test(whatever_it_is_named_what_looks_like_no_name_is_a_secret),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
