/* SPDX-License-Identifier: ISC */
#include <string.h>

#include "config.h"
#include "mortise_test.h"

static struct config running, fresh;
static char later[CONFIG_LATER_SIZE];

static void parse(const char *text, struct config *out_config)
{
	struct config_error error;

	assert_int_equal(config_parse("t", text, strlen(text), out_config, &error), MORTISE_OK);
}

static void take_over(const char *before, const char *after)
{
	parse(before, &running);
	parse(after, &fresh);
	config_take_over(&running, &fresh, later);
}

static int tear_down(void **state)
{
	(void)state;
	config_done(&running);
	config_done(&fresh);
	return 0;
}

static void an_equal_file_leaves_nothing_to_be_done(void **state)
{
	const char text[] = "[agent]\nuser = a\n[socket web]\npath = /run/w\nverbs = read\n";

	(void)state;
	take_over(text, text);
	assert_string_equal(later, "");
}

static void what_can_change_does(void **state)
{
	(void)state;
	take_over("[agent]\noperators = old\n",
		"[agent]\nenvironment = prod\nrequire-pidfd = yes\n"
		"[tpm2]\ntcti = tabrmd\ndeadline = 7\n[pkcs11]\nmodules = /m.so\n");
	assert_string_equal(later, "");
	assert_null(running.operators);
	assert_string_equal(running.environment, "prod");
	assert_string_equal(running.tcti, "tabrmd");
	assert_string_equal(running.pkcs11_modules, "/m.so");
	assert_int_equal(running.hardware_deadline_ms, 7000);
	assert_true(running.requires_pidfd);
}

static void what_needs_a_restart_stays_and_is_named(void **state)
{
	(void)state;
	take_over("", "[agent]\nsocket = /a\nstore = /b\naudit-log = /c/d\nuser = e\n"
		      "audit-sync = always\nexe-evidence = yes\n"
		      "[credentials]\nmode = 0660\nwait = 5\n"
		      "[socket web]\npath = /run/w\nverbs = read\n");
	assert_string_equal(later,
		"socket, store, audit-log, user, audit-sync, exe-evidence, [credentials], "
		"[socket NAME]");
	assert_string_equal(running.store, "/var/lib/mortise");
	assert_null(running.user);
	assert_false(running.has_exe_evidence);
	assert_int_equal(running.socket_count, 0);
}

static void a_listener_with_other_verbs_waits_for_a_restart(void **state)
{
	(void)state;
	take_over("[socket web]\npath = /run/w\nverbs = read\n",
		"[socket web]\npath = /run/w\nverbs = read list\n");
	assert_string_equal(later, "[socket NAME]");
}

#define TEST(name) cmocka_unit_test_teardown(name, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_equal_file_leaves_nothing_to_be_done),
		TEST(what_can_change_does),
		TEST(what_needs_a_restart_stays_and_is_named),
		TEST(a_listener_with_other_verbs_waits_for_a_restart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
