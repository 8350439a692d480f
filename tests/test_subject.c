/* SPDX-License-Identifier: ISC */
#include <string.h>

#include "mortise_test.h"
#include "subject.h"

static void unit_is(const char *cgroup, const char *expected)
{
	char names[512] = "untouched";

	assert_int_equal(subject_unit(cgroup, names, sizeof names), MORTISE_OK);
	assert_string_equal(names, expected);
}

static void there_is_no_unit(const char *cgroup)
{
	char names[512] = "untouched";

	assert_int_equal(subject_unit(cgroup, names, sizeof names), MORTISE_REJECTED);
	assert_string_equal(names, "untouched");
}

static void a_system_unit_comes_with_its_slices(void **state)
{
	(void)state;
	unit_is("/init.scope", "init.scope");
	unit_is("/system.slice/backup.service", "backup.service system.slice");
	unit_is("/a.slice/a-b.slice/backup@db.service", "backup@db.service a-b.slice a.slice");
	unit_is("/user.slice/user-1000.slice/session-3.scope",
		"session-3.scope user-1000.slice user.slice");
}

static void what_a_unit_makes_below_itself_is_ignored(void **state)
{
	(void)state;
	unit_is("/system.slice/docker.service/backup.service", "docker.service system.slice");
	unit_is("/machine.slice/machine-x.scope/payload/system.slice/backup.service",
		"machine-x.scope machine.slice");
	unit_is("/system.slice/docker.service/../..//x", "docker.service system.slice");
}

static void a_user_manager_s_units_are_marked(void **state)
{
	(void)state;
	unit_is("/user.slice/user-1000.slice/user@1000.service/app.slice/foo.service",
		"user@1000.service user-1000.slice user.slice user:foo.service user:app.slice");
	unit_is("/user.slice/user-1000.slice/user@1000.service/init.scope",
		"user@1000.service user-1000.slice user.slice user:init.scope");
}

static void a_user_cannot_make_a_system_unit(void **state)
{
	(void)state;
	unit_is("/user.slice/user-7.slice/user@7.service/system.slice/backup.service",
		"user@7.service user-7.slice user.slice user:backup.service user:system.slice");
	unit_is("/user.slice/user-7.slice/user@7.service/user@0.service/a.service",
		"user@7.service user-7.slice user.slice user:user@0.service");
	unit_is("/user.slice/user-7.slice/user@7.service/x y.service",
		"user@7.service user-7.slice user.slice");
	unit_is("/user.slice/user-7.slice/user@7.service",
		"user@7.service user-7.slice user.slice");
	unit_is("/system.slice/user@x.service/a.service", "user@x.service system.slice");
}

static void what_systemd_escaped_is_unescaped(void **state)
{
	(void)state;
	unit_is("/system.slice/_cgroup.service", "cgroup.service system.slice");
	unit_is("/system.slice/__x.service", "_x.service system.slice");
}

static void what_is_no_unit_is_refused(void **state)
{
	static const char *const paths[] = {"", "/", "/system.slice", "/../a.service", "a.service",
		"//a.service", "/lxc/x", "/system.slice/.service", "/system.slice/a b.service",
		"/system.slice/a.timer", "/x/a.service", "/system.slice/a@.service", "/@x.service",
		"/system.slice/a*.service"};

	(void)state;
	for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
		there_is_no_unit(paths[i]);
}

static void names_that_do_not_fit_are_refused(void **state)
{
	char names[28] = "x";

	(void)state;
	assert_int_equal(subject_unit("/system.slice/backup.service", names, 27), MORTISE_REJECTED);
	assert_string_equal(names, "x");
	assert_int_equal(subject_unit("/system.slice/backup.service", names, 28), MORTISE_OK);
}

static void label_is(const char *peersec, const char *expected)
{
	char names[256] = "";

	assert_int_equal(
		subject_label(peersec, strlen(peersec) + 1, names, sizeof names), MORTISE_OK);
	assert_string_equal(names, expected);
}

static void an_selinux_label_has_its_type_as_a_name(void **state)
{
	(void)state;
	label_is("system_u:system_r:backup_t:s0", "system_u:system_r:backup_t:s0 backup_t");
	label_is("u_u:r_r:t_t:s0-s0:c0.c1023", "u_u:r_r:t_t:s0-s0:c0.c1023 t_t");
	label_is("u:r:t", "u:r:t t");
}

static void an_apparmor_label_has_no_type(void **state)
{
	(void)state;
	label_is("/usr/sbin/cron (enforce)", "/usr/sbin/cron");
	label_is("/usr/sbin/cron (enforce)\n", "/usr/sbin/cron");
	label_is("unconfined", "unconfined");
	label_is(":lxd:a:backup_t:b", ":lxd:a:backup_t:b");
	label_is("lxd//x:a:backup_t:b", "lxd//x:a:backup_t:b");
}

static void a_label_that_confines_nothing_is_refused(void **state)
{
	static const char *const labels[] = {
		"", "x (complain)", "x (kill) (enforce)", "x\x01", " (enforce)", "a b"};
	char names[64] = "x";

	(void)state;
	for (size_t i = 0; i < sizeof labels / sizeof labels[0]; i++)
		assert_int_equal(subject_label(labels[i], strlen(labels[i]), names, sizeof names),
			MORTISE_REJECTED);
	assert_int_equal(subject_label("u:r:type_t:s0", 13, names, 20), MORTISE_REJECTED);
	assert_string_equal(names, "x");
}

static bool is_pattern(const char *text)
{
	return unit_pattern_is_valid(text, strlen(text));
}

static void stars_stand_only_in_an_instance(void **state)
{
	(void)state;
	assert_true(is_pattern("backup@*.service"));
	assert_true(is_pattern("backup@db-*-*.service"));
	assert_true(is_pattern("user:backup@*.service"));
	assert_true(is_pattern("dev-x\\x2dy.swap"));
	assert_true(is_pattern("a.b.scope"));
	assert_false(is_pattern("backup*.service"));
	assert_false(is_pattern("*.service"));
	assert_false(is_pattern("*@a.service"));
	assert_false(is_pattern("backup@**.service"));
	assert_false(is_pattern("backup@a.*"));
	assert_false(is_pattern("backup@.service"));
	assert_false(is_pattern("backup"));
	assert_false(is_pattern("user:"));
	assert_false(is_pattern("-.slice"));
	assert_false(is_pattern("backup.timer"));
	assert_false(is_pattern("a/b.service"));
}

static bool matches(const char *pattern, const char *name)
{
	return unit_pattern_matches(pattern, name, strlen(name));
}

static void a_star_is_any_run_of_bytes(void **state)
{
	(void)state;
	assert_true(matches("b@*.service", "b@x.service"));
	assert_true(matches("b@*.service", "b@x.service.service"));
	assert_true(matches("b@*a*b.service", "b@abab.service"));
	assert_false(matches("b@*a*b.service", "b@baba.service"));
	assert_false(matches("b@*.service", "b@x.scope"));
	assert_false(matches("b@*.service", "c@x.service"));
	assert_true(unit_pattern_matches("a.service", "a.service b.slice", 9));
	assert_false(unit_pattern_matches("a.service", "a.servic", 8));
}

static void supposes(enum attribute attribute, const char *text, const char *expected)
{
	char names[64] = "x";

	assert_int_equal(subject_suppose(attribute, text, names, sizeof names),
		expected ? MORTISE_OK : MORTISE_REJECTED);
	assert_string_equal(names, expected ? expected : "x");
}

static void a_fact_may_be_supposed_as_people_write_it(void **state)
{
	(void)state;
	supposes(ATTRIBUTE_UNIT, " a.service \t x.slice ", "a.service x.slice");
	supposes(ATTRIBUTE_UNIT, "/x.slice/a.service/y", "a.service x.slice");
	supposes(ATTRIBUTE_LABEL, "u:r:x_t:s0", "u:r:x_t:s0 x_t");
	supposes(ATTRIBUTE_LABEL, "x_t", "x_t");
	supposes(ATTRIBUTE_EXE, "/bin/a b", "/bin/a b");
	supposes(ATTRIBUTE_SOCKET, "web", "web");
}

static void what_can_be_no_fact_is_not_supposed(void **state)
{
	char text[65] = "";

	(void)state;
	memset(text, 'a', sizeof text - 1);
	supposes(ATTRIBUTE_UNIT, "", NULL);
	supposes(ATTRIBUTE_UNIT, " \t", NULL);
	supposes(ATTRIBUTE_UNIT, "/x", NULL);
	supposes(ATTRIBUTE_UNIT, text, NULL);
	supposes(ATTRIBUTE_LABEL, "a b", NULL);
	supposes(ATTRIBUTE_EXE, "", NULL);
	supposes(ATTRIBUTE_EXE, text, NULL);
	supposes(ATTRIBUTE_EXE, text + 1, text + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_system_unit_comes_with_its_slices),
		cmocka_unit_test(what_a_unit_makes_below_itself_is_ignored),
		cmocka_unit_test(a_user_manager_s_units_are_marked),
		cmocka_unit_test(a_user_cannot_make_a_system_unit),
		cmocka_unit_test(what_systemd_escaped_is_unescaped),
		cmocka_unit_test(what_is_no_unit_is_refused),
		cmocka_unit_test(names_that_do_not_fit_are_refused),
		cmocka_unit_test(an_selinux_label_has_its_type_as_a_name),
		cmocka_unit_test(an_apparmor_label_has_no_type),
		cmocka_unit_test(a_label_that_confines_nothing_is_refused),
		cmocka_unit_test(stars_stand_only_in_an_instance),
		cmocka_unit_test(a_star_is_any_run_of_bytes),
		cmocka_unit_test(a_fact_may_be_supposed_as_people_write_it),
		cmocka_unit_test(what_can_be_no_fact_is_not_supposed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
