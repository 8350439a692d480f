/* SPDX-License-Identifier: ISC */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "mortise_test.h"
#include "policy.h"
#include "processes.h"

#define WEB "[socket web]\npath = /run/web/sock\n"

static struct config config;
static struct config_error error;

static void reads(const char *text)
{
	if (config_parse("c", text, strlen(text), &config, &error) != MORTISE_OK)
		fail_msg("%s", error.text);
}

static void refuses(const char *text, const char *expected)
{
	struct config untouched = {.hardware_deadline_ms = 4711};

	assert_int_equal(
		config_parse("c", text, strlen(text), &untouched, &error), MORTISE_REJECTED);
	assert_int_equal(untouched.hardware_deadline_ms, 4711);
	if (strncmp(error.text, expected, strlen(expected)) != 0)
		fail_msg("expected %s..., not %s", expected, error.text);
}

static void a_socket_has_a_name_a_path_and_verbs(void **state)
{
	reads(WEB "verbs = read list\n[socket ci-2]\nverbs = write\nmode = 0640\ngroup = ci\n"
		  "path = /run/ci/sock\n");
	assert_int_equal(config.socket_count, 2);
	assert_string_equal(config.sockets[0].name, "web");
	assert_string_equal(config.sockets[0].path, "/run/web/sock");
	assert_int_equal(config.sockets[0].verbs, VERB_READ | VERB_LIST);
	assert_int_equal(config.sockets[0].mode, 0);
	assert_null(config.sockets[0].group);
	assert_int_equal(config.sockets[1].verbs, VERB_WRITE);
	assert_int_equal(config.sockets[1].mode, 0640);
	assert_string_equal(config.sockets[1].group, "ci");
	config_done(&config);
}

static void the_verbs_are_the_policys(void **state)
{
	for (unsigned bit = VERB_READ; bit <= VERB_ADMIN; bit *= 2) {
		char text[128];

		snprintf(text, sizeof text, WEB "verbs = %s\n", verb_name((enum verb)bit));
		reads(text);
		assert_int_equal(config.sockets[0].verbs, bit);
		config_done(&config);
	}
}

static void what_is_no_list_of_verbs_is_refused(void **state)
{
	static const char *const verbs[] = {"", "reed", "read,list", "read read", "all", "READ"};

	for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
		char text[128];

		snprintf(text, sizeof text, WEB "verbs = %s\n", verbs[i]);
		refuses(text, "c:3:");
	}
}

static void a_mode_is_octal_and_nobody_executes(void **state)
{
	static const char *const modes[] = {
		"", "0", "000", "0777", "1660", "4660", "66", "0668", "rw-rw----", "00660", "-660"};

	for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
		char text[128];

		snprintf(text, sizeof text, WEB "verbs = read\nmode = %s\n", modes[i]);
		refuses(text, "c:4:");
	}
}

static void a_name_is_plain_and_not_mains(void **state)
{
	refuses("[socket]\n", "c:1:1: expected [socket NAME]");
	refuses("[socket main]\n", "c:1:1: expected [socket NAME]");
	refuses("[socket a b]\n", "c:1:1: expected [socket NAME]");
	refuses("[socket a:b]\n", "c:1:1: expected [socket NAME]");
	refuses("[socket .a]\n", "c:1:1: expected [socket NAME]");
	refuses("[socket 01234567890123456789012345678901234567890123456789012345678901234]\n",
		"c:1:1: expected [socket NAME], a NAME of 1 to 64 letters");
}

static void a_socket_without_path_or_verbs_is_refused(void **state)
{
	refuses("[socket web]\nverbs = read\n", "c:1:1: [socket web] needs path");
	refuses(WEB, "c:1:1: [socket web] needs verbs");
	refuses("[socket web]\n", "c:1:1: [socket web] needs path");
}

static void a_path_is_absolute_and_no_others(void **state)
{
	refuses("[socket web]\nverbs = read\npath = run/x\n", "c:3:8: expected an absolute path");
	refuses("[agent]\nsocket = /run/web/sock\n" WEB "verbs = read\n",
		"c:3:1: [socket web]: another socket has this path already");
	refuses(WEB "verbs = read\n[agent]\nsocket = /run/web/sock\n",
		"c:1:1: [socket web]: another socket has this path already");
	refuses(WEB "verbs = read\n[socket ci]\npath = /run/web/sock\nverbs = read\n",
		"c:4:1: [socket ci]: another socket has this path already");
}

static void an_unknown_key_is_refused(void **state)
{
	refuses(WEB "verb = read\n", "c:3:1: unknown key 'verb' in [socket]; expected path");
}

static void so_many_sockets_and_no_more(void **state)
{
	char text[4096];
	size_t used = 0;

	for (int i = 0; i <= CONFIG_SOCKETS_MAX; i++) {
		used += (size_t)snprintf(text + used, sizeof text - used,
			"[socket s%d]\npath = /run/s%d\nverbs = read\n", i, i);
		if (i < CONFIG_SOCKETS_MAX) {
			reads(text);
			assert_int_equal(config.socket_count, i + 1);
			config_done(&config);
		}
	}
	refuses(text, "c:46:1: at most 15 sections");
	assert_true(CONFIG_SOCKETS_MAX + 2 <= PROCESS_LISTENERS_MAX);
}

static void the_switches_for_evidence_are_yes_or_no(void **state)
{
	reads("[agent]\nrequire-pidfd = yes\nexe-evidence = yes\n");
	assert_true(config.requires_pidfd);
	assert_true(config.has_exe_evidence);
	config_done(&config);
	reads("[agent]\nrequire-pidfd = no\n");
	assert_false(config.requires_pidfd);
	assert_false(config.has_exe_evidence);
	config_done(&config);
	refuses("[agent]\nrequire-pidfd = true\n", "c:2:17: expected yes or no");
	refuses("[agent]\nexe-evidence =\n", "c:2:");
}

static void without_the_section_credentials_are_handed_out_at_no_socket_of_ours(void **state)
{
	reads("");
	assert_false(config.credentials.is_wanted);
	assert_string_equal(config.credentials.path, "/run/mortise/credentials.sock");
	assert_int_equal(config.credentials.wait_ms, 60000);
	config_done(&config);
}

static void credentials_have_a_socket_a_mode_and_a_wait(void **state)
{
	reads("[credentials]\n");
	assert_true(config.credentials.is_wanted);
	assert_string_equal(config.credentials.path, "/run/mortise/credentials.sock");
	assert_int_equal(config.credentials.mode, 0600);
	assert_int_equal(config.credentials.wait_ms, 60000);
	config_done(&config);
	reads("[credentials]\npath = /run/c\nmode = 0666\nwait = 0\n");
	assert_string_equal(config.credentials.path, "/run/c");
	assert_int_equal(config.credentials.mode, 0666);
	assert_int_equal(config.credentials.wait_ms, 0);
	config_done(&config);
}

static void what_credentials_do_not_take_is_refused(void **state)
{
	refuses("[credentials]\npath = c\n", "c:2:8: expected an absolute path");
	refuses("[credentials]\nmode = 0700\n", "c:2:8: expected a mode");
	refuses("[credentials]\nwait = -1\n", "c:2:8: expected seconds from 0 to 600");
	refuses("[credentials]\nwait = 601\n", "c:2:8: expected seconds from 0 to 600");
	refuses("[credentials]\nwait =\n", "c:2:");
	refuses("[credentials]\nverbs = read\n",
		"c:2:1: unknown key 'verbs' in [credentials]; expected path, mode or wait");
	refuses("[credentials x]\n", "c:1:1: unknown section 'credentials x'");
}

static void nothing_else_is_at_the_socket_of_credentials_or_has_its_name(void **state)
{
	refuses("[credentials]\npath = /run/mortise/mortise.sock\n",
		"c: [credentials]: path is that of [agent]'s socket");
	refuses(WEB "verbs = read\n[credentials]\npath = /run/web/sock\n",
		"c:1:1: [socket web]: another socket has this path already");
	refuses("[socket credentials]\npath = /run/c\nverbs = read\n",
		"c:1:1: expected [socket NAME]");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_socket_has_a_name_a_path_and_verbs),
		cmocka_unit_test(the_verbs_are_the_policys),
		cmocka_unit_test(what_is_no_list_of_verbs_is_refused),
		cmocka_unit_test(a_mode_is_octal_and_nobody_executes),
		cmocka_unit_test(a_name_is_plain_and_not_mains),
		cmocka_unit_test(a_socket_without_path_or_verbs_is_refused),
		cmocka_unit_test(a_path_is_absolute_and_no_others),
		cmocka_unit_test(an_unknown_key_is_refused),
		cmocka_unit_test(so_many_sockets_and_no_more),
		cmocka_unit_test(the_switches_for_evidence_are_yes_or_no),
		cmocka_unit_test(
			without_the_section_credentials_are_handed_out_at_no_socket_of_ours),
		cmocka_unit_test(credentials_have_a_socket_a_mode_and_a_wait),
		cmocka_unit_test(what_credentials_do_not_take_is_refused),
		cmocka_unit_test(nothing_else_is_at_the_socket_of_credentials_or_has_its_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
