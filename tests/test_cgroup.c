/* SPDX-License-Identifier: ISC */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "evidence.h"
#include "mortise_test.h"

#define OTHERS "8:pids:/user.slice\n4:memory:/fake.service\n1:cpu,cpuacct:/system.slice\n"

static struct cgroup_unit unit;

/* A copy without a NUL at its end, so that a sanitizer sees who reads on. */
static enum mortise_status reads(const char *text, size_t size)
{
	char *copy = malloc(size + 1);
	enum mortise_status status;

	assert_non_null(copy);
	char *exact = copy + 1;
	memcpy(exact, text, size);
	memset(&unit, 0x55, sizeof unit);
	status = cgroup_read(exact, size, &unit);
	free(copy);
	return status;
}

static void gives(const char *text, const char *names)
{
	assert_int_equal(reads(text, strlen(text)), MORTISE_OK);
	assert_string_equal(unit.names, names);
}

static void cannot_be_had(const char *text)
{
	assert_int_equal(reads(text, strlen(text)), MORTISE_REJECTED);
	assert_int_equal(unit.names[0], 0x55);
}

static void a_unified_path_gives_the_unit(void **state)
{
	gives("0::/system.slice/backup.service\n", "backup.service system.slice");
	assert_true(unit.is_unified);
}

static void the_old_systemd_hierarchy_gives_the_unit(void **state)
{
	gives(OTHERS "9:name=systemd:/system.slice/backup.service\n0::/\n",
		"backup.service system.slice");
	assert_false(unit.is_unified);
	gives("1:name=systemd:/init.scope\n", "init.scope");
}

static void a_hybrid_counts_where_both_say_the_same(void **state)
{
	gives(OTHERS "1:name=systemd:/system.slice/a.service\n0::/system.slice/a.service/own\n",
		"a.service system.slice");
	assert_true(unit.is_unified);
}

static void a_hybrid_that_disagrees_cannot_be_had(void **state)
{
	cannot_be_had("1:name=systemd:/system.slice/a.service\n0::/system.slice/b.service\n");
	cannot_be_had("1:name=systemd:/system.slice/a.service\n0::/b.slice/a.service\n");
	cannot_be_had("1:name=systemd:/nobody-knows\n0::/system.slice/b.service\n");
	cannot_be_had("1:name=systemd:/system.slice/b.service\n0::/docker/1234\n");
}

static void a_hierarchy_left_at_its_root_is_kept_by_nobody(void **state)
{
	gives("9:name=systemd:/\n0::/system.slice/a.service\n", "a.service system.slice");
	assert_true(unit.is_unified);
	cannot_be_had("9:name=systemd:/\n0::/\n");
	cannot_be_had("0::/\n");
}

static void other_hierarchies_do_not_count(void **state)
{
	cannot_be_had(OTHERS);
	cannot_be_had("1:memory:/system.slice/a.service\n");
	cannot_be_had("1:name=systemd2:/system.slice/a.service\n");
	cannot_be_had("1:name=other:/system.slice/a.service\n0::/\n");
	cannot_be_had("1:cpu,name=systemd:/system.slice/a.service\n");
}

static void a_cgroup_made_below_a_unit_belongs_to_the_unit(void **state)
{
	gives("0::/system.slice/mine.service/system.slice/backup.service\n",
		"mine.service system.slice");
	gives("0::/user.slice/user-7.slice/session-3.scope/backup.service\n",
		"session-3.scope user-7.slice user.slice");
}

static void units_of_user_managers_are_told_apart(void **state)
{
	gives("0::/user.slice/user-1000.slice/user@1000.service/app.slice/backup.service\n",
		"user@1000.service user-1000.slice user.slice user:backup.service user:app.slice");
	gives("0::/user.slice/user-1000.slice/user@1000.service/x\n",
		"user@1000.service user-1000.slice user.slice");
}

static void names_stay_as_systemd_writes_them(void **state)
{
	gives("0::/system.slice/system-job.slice/job@7.service\n",
		"job@7.service system-job.slice system.slice");
	gives("0::/system.slice/dev-disk\\x2dby.swap\n", "dev-disk\\x2dby.swap system.slice");
	gives("0::/system.slice/_cpu.service\n", "cpu.service system.slice");
}

static void what_lies_outside_or_is_gone_cannot_be_had(void **state)
{
	cannot_be_had("0::/../system.slice/a.service\n");
	cannot_be_had("0::/system.slice/a.service (deleted)\n");
	cannot_be_had("0::/docker/0123456789abcdef\n");
	cannot_be_had("0::/user.slice\n");
}

static void malformed_texts_cannot_be_had(void **state)
{
	static const char nul[] = "0::/system.slice/a.service\n\0\n";

	cannot_be_had("");
	cannot_be_had("\n");
	cannot_be_had("0::/system.slice/a.service");
	cannot_be_had("0::/system.slice/a.service\n1:pids:/");
	cannot_be_had("0:/system.slice/a.service\n");
	cannot_be_had("0::system.slice/a.service\n");
	cannot_be_had("0::\n");
	cannot_be_had("::/system.slice/a.service\n");
	cannot_be_had("1::/system.slice/a.service\n");
	cannot_be_had("00::/system.slice/a.service\n");
	cannot_be_had("0::/system.slice//a.service\n");
	cannot_be_had("0::/system.slice/a.service\n0::/system.slice/a.service\n");
	cannot_be_had("1:name=systemd:/a.service\n2:name=systemd:/a.service\n");
	cannot_be_had("garbage\n0::/system.slice/a.service\n");
	assert_int_equal(reads(nul, sizeof nul - 1), MORTISE_REJECTED);
}

static void a_text_or_path_too_long_cannot_be_had(void **state)
{
	char text[CGROUP_TEXT_MAX + 64];
	size_t used = (size_t)snprintf(text, sizeof text, "0::/a.service/");

	memset(text + used, 'x', 4090);
	memcpy(text + used + 4090, "\n", 2);
	cannot_be_had(text);
	used = (size_t)snprintf(text, sizeof text, "0::/a.service\n");
	while (used + 10 < sizeof text)
		used += (size_t)snprintf(text + used, sizeof text - used, "1:pids:/\n");
	cannot_be_had(text);
}

/* Whatever is cut off or changed: never another unit than the one there was. */
static void no_cut_and_no_changed_byte_makes_another_unit(void **state)
{
	static const char whole[] = "9:name=systemd:/system.slice/a.service\n"
				    "0::/system.slice/a.service\n";
	char text[sizeof whole];

	for (size_t size = 0; size < sizeof whole - 1; size++)
		if (reads(whole, size) == MORTISE_OK)
			assert_string_equal(unit.names, "a.service system.slice");
	for (size_t i = 0; i < sizeof whole - 1; i++) {
		memcpy(text, whole, sizeof whole);
		text[i] ^= 1;
		if (reads(text, sizeof whole - 1) == MORTISE_OK &&
			strstr(unit.names, "a.service") == NULL)
			fail_msg("byte %zu makes it %s", i, unit.names);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_unified_path_gives_the_unit),
		cmocka_unit_test(the_old_systemd_hierarchy_gives_the_unit),
		cmocka_unit_test(a_hybrid_counts_where_both_say_the_same),
		cmocka_unit_test(a_hybrid_that_disagrees_cannot_be_had),
		cmocka_unit_test(a_hierarchy_left_at_its_root_is_kept_by_nobody),
		cmocka_unit_test(other_hierarchies_do_not_count),
		cmocka_unit_test(a_cgroup_made_below_a_unit_belongs_to_the_unit),
		cmocka_unit_test(units_of_user_managers_are_told_apart),
		cmocka_unit_test(names_stay_as_systemd_writes_them),
		cmocka_unit_test(what_lies_outside_or_is_gone_cannot_be_had),
		cmocka_unit_test(malformed_texts_cannot_be_had),
		cmocka_unit_test(a_text_or_path_too_long_cannot_be_had),
		cmocka_unit_test(no_cut_and_no_changed_byte_makes_another_unit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
