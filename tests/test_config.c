/* SPDX-License-Identifier: ISC */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"
#include "mortise_test.h"

static struct config config;
static struct config_error error;

static void reads(const char *text)
{
	if (config_parse("c", text, strlen(text), &config, &error) != MORTISE_OK)
		fail_msg("%s", error.text);
}

/* expected: the beginning of the message, the place before all */
static void refuses(const char *text, const char *expected)
{
	struct config untouched = {.hardware_deadline_ms = 4711};

	memset(&error, 0, sizeof error);
	assert_int_equal(
		config_parse("c", text, strlen(text), &untouched, &error), MORTISE_REJECTED);
	assert_int_equal(untouched.hardware_deadline_ms, 4711);
	assert_null(untouched.socket);
	if (strncmp(error.text, expected, strlen(expected)) != 0)
		fail_msg("expected %s..., not %s", expected, error.text);
}

static void refuses_value(const char *section, const char *key, const char *value)
{
	char text[2048], place[48];

	(void)snprintf(text, sizeof text, "[%s]\n%s = %s\n", section, key, value);
	(void)snprintf(place, sizeof place, "c:2:%zu: ", strlen(key) + 3 + (*value != '\0'));
	refuses(text, place);
}

static void an_empty_file_means_defaults(void **state)
{
	(void)state;
	reads("");
	assert_string_equal(config.socket, "/run/mortise/mortise.sock");
	assert_string_equal(config.store, "/var/lib/mortise");
	assert_string_equal(config.audit_log, "/var/log/mortise/audit.log");
	assert_string_equal(config.tcti, "device:/dev/tpmrm0");
	assert_null(config.pcr_signature);
	assert_int_equal(config.hardware_deadline_ms, 30000);
	assert_null(config.user);
	assert_null(config.operators);
	assert_null(config.environment);
	assert_false(config.audit_sync_always);
	config_done(&config);
}

static void every_key_is_read(void **state)
{
	(void)state;
	reads("[agent]\nsocket = /s\nstore = /a/b.c ; here\naudit-log = /l\nuser = mortise\n"
	      "operators = wheel\nenvironment = prod\naudit-sync = always\n"
	      "[tpm2]\ntcti = swtpm:path=/t/s\ndeadline = 600\npcr-signature = /p/s.json\n");
	assert_string_equal(config.socket, "/s");
	assert_string_equal(config.store, "/a/b.c");
	assert_string_equal(config.audit_log, "/l");
	assert_string_equal(config.user, "mortise");
	assert_string_equal(config.operators, "wheel");
	assert_string_equal(config.environment, "prod");
	assert_true(config.audit_sync_always);
	assert_string_equal(config.tcti, "swtpm:path=/t/s");
	assert_string_equal(config.pcr_signature, "/p/s.json");
	assert_int_equal(config.hardware_deadline_ms, 600000);
	config_done(&config);
}

static void insecure_memory_goes_with_a_tpm_in_software_only(void **state)
{
	(void)state;
	reads("[tpm2]\ntcti = swtpm:path=/t/s\n[agent]\ninsecure-memory = yes\n");
	assert_true(config.has_insecure_memory);
	config_done(&config);
	reads("[agent]\ninsecure-memory = no\n");
	assert_false(config.has_insecure_memory);
	config_done(&config);
	refuses("[agent]\ninsecure-memory = yes\n", "c: insecure-memory = yes is for throw-away");
	refuses("[agent]\ninsecure-memory = yes\n[tpm2]\ntcti = device:/dev/tpm0\n",
		"c: insecure-memory = yes is for throw-away");
	refuses("[agent]\ninsecure-memory = true\n", "c:2:");
}

static void a_config_may_be_done_twice(void **state)
{
	(void)state;
	reads("[agent]\nuser = a\n");
	config_done(&config);
	assert_null(config.user);
	config_done(&config);
}

static void an_unknown_key_is_refused_with_its_line(void **state)
{
	(void)state;
	refuses("[agent]\n\n sockt = /s\n",
		"c:3:2: unknown key 'sockt' in [agent]; expected socket, store, audit-log, user, "
		"operators, environment, audit-sync, require-pidfd, "
		"exe-evidence, insecure-memory or deleted-keep");
	refuses("[tpm2]\nsocket = /s\n",
		"c:2:1: unknown key 'socket' in [tpm2]; expected tcti, deadline, "
		"anchor-window or pcr-signature");
}

static void an_unknown_section_is_refused(void **state)
{
	(void)state;
	refuses("[agents]\n",
		"c:1:1: unknown section 'agents'; expected [agent], [tpm2], [pkcs11], "
		"[credentials] or [socket NAME]");
	refuses("[agent one]\n", "c:1:1: unknown section 'agent one'; expected");
}

static void a_window_of_no_time_is_refused(void **state)
{
	(void)state;
	refuses("[tpm2]\nanchor-window = 0\n", "c:2:17: expected seconds from 1 to 86400, not '0'");
}

static void a_later_mistake_leaves_nothing_behind(void **state)
{
	(void)state;
	refuses("[agent]\nsocket = /s\nuser = a\nuser = b\n", "c:4:1: ");
	refuses("[agent]\nsocket = /s\n[agent]\n", "c:3:1: ");
}

static void paths_are_absolute_and_written_in_one_way(void **state)
{
	static const char *const keys[] = {"socket", "store", "audit-log"};
	static const char *const paths[] = {
		"", "s", "./s", "/", "//s", "/a//s", "/a/../s", "/a/..", "/a/./s", "/.", "/a/"};

	(void)state;
	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
		for (size_t j = 0; j < sizeof paths / sizeof paths[0]; j++)
			refuses_value("agent", keys[i], paths[j]);
	reads("[agent]\nstore = /a/..b/.c/d..\n");
	config_done(&config);
}

static void a_socket_has_107_bytes_at_most(void **state)
{
	char text[256];

	(void)state;
	(void)snprintf(text, sizeof text, "[agent]\nsocket = /%0106d\n", 0);
	reads(text);
	assert_int_equal(strlen(config.socket), 107);
	config_done(&config);
	(void)snprintf(text, sizeof text, "[agent]\nsocket = /%0107d\n", 0);
	refuses(text, "c:2:10: 'socket' has at most 107 bytes, and this 108");
}

static void other_paths_have_1023_bytes_at_most(void **state)
{
	char text[2048];

	(void)state;
	(void)snprintf(text, sizeof text, "[agent]\nstore = /%01022d\n", 0);
	reads(text);
	config_done(&config);
	(void)snprintf(text, sizeof text, "[agent]\nstore = /%01023d\n", 0);
	refuses(text, "c:2:9: 'store' has at most 1023 bytes, and this 1024");
}

static void an_environment_is_one_segment_of_a_path(void **state)
{
	(void)state;
	refuses_value("agent", "environment", "");
	refuses_value("agent", "environment", "prod/db");
	refuses_value("agent", "environment", "Prod");
	refuses_value("agent", "environment", "*");
	refuses_value("agent", "environment", "a b");
}

static void user_and_operators_are_one_name(void **state)
{
	static const char *const names[] = {"", "a b", "a,b", "a:b", "/a"};

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		refuses_value("agent", "user", names[i]);
		refuses_value("agent", "operators", names[i]);
	}
}

static void refuses_long(const char *section, const char *key, const char *start, int most)
{
	char text[4096], expected[128];

	(void)snprintf(text, sizeof text, "[%s]\n%s = %s%0*d\n", section, key, start,
		most - (int)strlen(start), 1);
	reads(text);
	config_done(&config);
	(void)snprintf(text, sizeof text, "[%s]\n%s = %s%0*d\n", section, key, start,
		most + 1 - (int)strlen(start), 1);
	(void)snprintf(expected, sizeof expected, "c:2:%zu: '%s' has at most %d bytes, and this %d",
		strlen(key) + 4, key, most, most + 1);
	refuses(text, expected);
}

static void an_account_has_255_bytes_at_most(void **state)
{
	(void)state;
	refuses_long("agent", "user", "u", 255);
	refuses_long("agent", "operators", "g", 255);
}

static void a_tcti_has_1023_bytes_at_most(void **state)
{
	(void)state;
	refuses_long("tpm2", "tcti", "device:/dev/", 1023);
	refuses_long("tpm2", "tcti", "swtpm:path=/", 1023);
}

static void audit_sync_is_checkpoint_or_always(void **state)
{
	(void)state;
	refuses_value("agent", "audit-sync", "");
	refuses_value("agent", "audit-sync", "never");
	reads("[agent]\naudit-sync = checkpoint\n");
	assert_false(config.audit_sync_always);
	config_done(&config);
}

static void a_deadline_is_1_to_600_seconds(void **state)
{
	static const char *const deadlines[] = {
		"", "0", "601", "-1", "1s", "1.5", "0x10", "1000000000000"};

	(void)state;
	for (size_t i = 0; i < sizeof deadlines / sizeof deadlines[0]; i++)
		refuses_value("tpm2", "deadline", deadlines[i]);
	reads("[tpm2]\ndeadline = 1\n");
	assert_int_equal(config.hardware_deadline_ms, 1000);
	config_done(&config);
}

static void a_tcti_is_one_of_three(void **state)
{
	static const char *const good[] = {"device:/dev/tpm0", "tabrmd",
		"tabrmd:", "tabrmd:bus_type=system,", "tabrmd:bus_name=a.b-c_D,bus_type=system",
		"swtpm:path=/a"};
	static const char *const bad[] = {"", "device", "device:", "device:tpm0", "device:/a/../b",
		"tabrmdx", "tabrmd:x", "tabrmd:bus_type=session",
		"tabrmd:bus_name=", "tabrmd:bus_name=a/b", "tabrmd:bus_name=a,,",
		"tabrmd:bus_type=systems", "swtpm:path=/a,port=5", "swtpm:host=a", "swtpm:path=a",
		"mssim", "/lib/evil.so"};
	char text[128];

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		(void)snprintf(text, sizeof text, "[tpm2]\ntcti = %s\n", good[i]);
		reads(text);
		assert_string_equal(config.tcti, good[i]);
		config_done(&config);
	}
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		refuses_value("tpm2", "tcti", bad[i]);
}

static void a_text_cut_at_any_byte_is_read_or_refused(void **state)
{
	static const char text[] = "[agent]\nsocket = /s\nuser = u ; c\n[tpm2]\ntcti = tabrmd\n"
				   "deadline = 60\n";

	(void)state;
	for (size_t size = 0; size < sizeof text; size++) {
		char *copy = malloc(size + (size == 0));
		enum mortise_status status;

		assert_non_null(copy);
		memcpy(copy, text, size);
		status = config_parse("c", copy, size, &config, &error);
		free(copy);
		assert_true(status == MORTISE_OK || status == MORTISE_REJECTED);
		if (status == MORTISE_OK)
			config_done(&config);
	}
}

/* A private directory, in it the file "c" with a good configuration. */
struct files {
	char directory[64], path[80];
};

static int make_files(void **state)
{
	struct files *files = calloc(1, sizeof *files);
	FILE *stream;

	if (files == NULL)
		return -1;
	*state = files;
	(void)snprintf(files->directory, sizeof files->directory, "/tmp/mortise-config-XXXXXX");
	if (mkdtemp(files->directory) == NULL)
		return -1;
	(void)snprintf(files->path, sizeof files->path, "%s/c", files->directory);
	stream = fopen(files->path, "w");
	if (stream == NULL || fputs("[agent]\nuser = filed\n", stream) < 0 || fclose(stream) != 0)
		return -1;
	return chmod(files->path, 0644);
}

static int remove_files(void **state)
{
	struct files *files = *state;

	(void)remove(files->path);
	(void)rmdir(files->directory);
	free(files);
	return 0;
}

static void a_file_is_read(void **state)
{
	struct files *files = *state;

	assert_int_equal(config_load(files->path, &config, &error), MORTISE_OK);
	assert_string_equal(config.user, "filed");
	config_done(&config);
}

static void a_missing_file_is_not_found(void **state)
{
	struct files *files = *state;

	assert_int_equal(unlink(files->path), 0);
	assert_int_equal(config_load(files->path, &config, &error), MORTISE_NOT_FOUND);
}

static void a_mistake_in_a_file_names_the_file(void **state)
{
	struct files *files = *state;
	FILE *stream = fopen(files->path, "w");
	char expected[128];

	assert_non_null(stream);
	(void)fputs("[agent]\nuser =\n", stream);
	assert_int_equal(fclose(stream), 0);
	assert_int_equal(config_load(files->path, &config, &error), MORTISE_REJECTED);
	(void)snprintf(expected, sizeof expected, "%s:2:7: expected one name, not ''", files->path);
	assert_string_equal(error.text, expected);
}

static void a_file_that_others_may_write_is_refused(void **state)
{
	struct files *files = *state;

	assert_int_equal(chmod(files->path, 0664), 0);
	assert_int_equal(config_load(files->path, &config, &error), MORTISE_REJECTED);
	assert_non_null(strstr(error.text, "chmod go-w"));
	assert_int_equal(chmod(files->path, 0646), 0);
	assert_int_equal(config_load(files->path, &config, &error), MORTISE_REJECTED);
}

static void a_file_of_somebody_else_is_refused(void **state)
{
	struct files *files = *state;

	if (geteuid() != 0)
		skip();
	assert_int_equal(chown(files->path, 34, 34), 0);
	assert_int_equal(config_load(files->path, &config, &error), MORTISE_REJECTED);
	assert_non_null(strstr(error.text, "owner"));
}

static void what_is_no_regular_file_is_refused(void **state)
{
	struct files *files = *state;

	assert_int_equal(unlink(files->path), 0);
	assert_int_equal(mkfifo(files->path, 0600), 0);
	assert_int_equal(config_load(files->path, &config, &error), MORTISE_REJECTED);
	assert_int_equal(config_load(files->directory, &config, &error), MORTISE_REJECTED);
}

static void a_huge_file_is_refused(void **state)
{
	struct files *files = *state;

	assert_int_equal(truncate(files->path, 1048577), 0);
	assert_int_equal(config_load(files->path, &config, &error), MORTISE_REJECTED);
	assert_non_null(strstr(error.text, "at most 1 MiB"));
}

#define WITH_FILES(test) cmocka_unit_test_setup_teardown(test, make_files, remove_files)

static void a_deleted_secret_is_kept_for_days_or_forever(void **state)
{
	static const char *const wrong[] = {"", "30", "0d", "3651d", "12345d", "1.5d", "-1d", "d",
		"30 d", "4294967297d", "never"};

	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
		refuses_value("agent", "deleted-keep", wrong[i]);
	reads("[agent]\n");
	assert_int_equal(config.deleted_keep_days, 30);
	config_done(&config);
	reads("[agent]\ndeleted-keep = 3650d\n");
	assert_int_equal(config.deleted_keep_days, 3650);
	config_done(&config);
	reads("[agent]\ndeleted-keep = forever\n");
	assert_int_equal(config.deleted_keep_days, 0);
	config_done(&config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_file_means_defaults),
		cmocka_unit_test(every_key_is_read),
		cmocka_unit_test(insecure_memory_goes_with_a_tpm_in_software_only),
		cmocka_unit_test(a_config_may_be_done_twice),
		cmocka_unit_test(an_unknown_key_is_refused_with_its_line),
		cmocka_unit_test(an_unknown_section_is_refused),
		cmocka_unit_test(a_window_of_no_time_is_refused),
		cmocka_unit_test(a_later_mistake_leaves_nothing_behind),
		cmocka_unit_test(paths_are_absolute_and_written_in_one_way),
		cmocka_unit_test(a_socket_has_107_bytes_at_most),
		cmocka_unit_test(other_paths_have_1023_bytes_at_most),
		cmocka_unit_test(an_environment_is_one_segment_of_a_path),
		cmocka_unit_test(user_and_operators_are_one_name),
		cmocka_unit_test(an_account_has_255_bytes_at_most),
		cmocka_unit_test(a_tcti_has_1023_bytes_at_most),
		cmocka_unit_test(audit_sync_is_checkpoint_or_always),
		cmocka_unit_test(a_deadline_is_1_to_600_seconds),
		cmocka_unit_test(a_tcti_is_one_of_three),
		cmocka_unit_test(a_deleted_secret_is_kept_for_days_or_forever),
		cmocka_unit_test(a_text_cut_at_any_byte_is_read_or_refused),
		WITH_FILES(a_file_is_read),
		WITH_FILES(a_missing_file_is_not_found),
		WITH_FILES(a_mistake_in_a_file_names_the_file),
		WITH_FILES(a_file_that_others_may_write_is_refused),
		WITH_FILES(a_file_of_somebody_else_is_refused),
		WITH_FILES(what_is_no_regular_file_is_refused),
		WITH_FILES(a_huge_file_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
