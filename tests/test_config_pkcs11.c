/* SPDX-License-Identifier: ISC */
/* The section [pkcs11] of mortised.conf. */
#include <stdio.h>
#include <string.h>

#include "config.h"
#include "mortise_test.h"

static struct config config;

static void reads(const char *lines)
{
	struct config_error error;
	char text[8192];

	snprintf(text, sizeof text, "[pkcs11]\n%s\n", lines);
	if (config_parse("c", text, strlen(text), &config, &error) != MORTISE_OK)
		fail_msg("%s", error.text);
}

static void refuses(const char *line, const char *expected)
{
	struct config_error error = {""};
	char text[8192];

	snprintf(text, sizeof text, "[pkcs11]\n%s\n", line);
	assert_int_equal(config_parse("c", text, strlen(text), &config, &error), MORTISE_REJECTED);
	if (strncmp(error.text, expected, strlen(expected)) != 0)
		fail_msg("expected %s..., not %s", expected, error.text);
}

static void every_key_is_read(void **state)
{
	(void)state;
	reads("modules = /usr/lib/a.so   /b.so ; here\nenv = A=1 _B2= C=a=b\npin-file = /p");
	assert_string_equal(config.pkcs11_modules, "/usr/lib/a.so /b.so");
	assert_string_equal(config.pkcs11_env, "A=1 _B2= C=a=b");
	assert_string_equal(config.pkcs11_pin_file, "/p");
	config_done(&config);
	assert_null(config.pkcs11_modules);
}

static void without_the_section_there_is_nothing_to_load(void **state)
{
	(void)state;
	reads("");
	assert_null(config.pkcs11_modules);
	assert_null(config.pkcs11_env);
	assert_null(config.pkcs11_pin_file);
	config_done(&config);
}

static void an_unknown_key_is_refused(void **state)
{
	(void)state;
	refuses("module = /a.so",
		"c:2:1: unknown key 'module' in [pkcs11]; expected modules, env or pin-file");
	refuses("pin = 1234", "c:2:1: unknown key 'pin' in [pkcs11]");
}

static void a_module_is_an_absolute_path(void **state)
{
	static const char *const wrong[] = {"", "a.so", "/a.so b.so", "/a.so,/b.so/", "/a/../b.so",
		"p11-kit-trust.so", "/a /b /c /d /e /f /g /h /i", "file:/a.so"};

	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		char line[128];

		snprintf(line, sizeof line, "modules = %s", wrong[i]);
		refuses(line, "c:2:");
	}
	reads("modules = /a /b /c /d /e /f /g /h");
	config_done(&config);
}

static void a_word_of_the_environment_is_an_assignment(void **state)
{
	static const char *const wrong[] = {
		"", "A", "A=1 B", "=1", "1A=1", "A-B=1", "A =1", "A.B=1", "A='b c'"};

	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		char line[64];

		snprintf(line, sizeof line, "env = %s", wrong[i]);
		refuses(line, "c:2:");
	}
}

static void the_limits_of_words_are_named_when_they_are_reached(void **state)
{
	static char line[4096];
	size_t used = 0;

	(void)state;
	used = (size_t)snprintf(line, sizeof line, "env =");
	for (int i = 0; i < 32; i++)
		used += (size_t)snprintf(line + used, sizeof line - used, " A%d=1", i);
	reads(line);
	config_done(&config);
	snprintf(line + used, sizeof line - used, " B=1");
	refuses(line, "c:2:7: expected NAME=VALUE words, at most 32, each of at most 1023 bytes");
	snprintf(line, sizeof line, "env = A=%01021d", 1);
	reads(line);
	config_done(&config);
	snprintf(line, sizeof line, "env = A=%01022d", 1);
	refuses(line, "c:2:7: expected NAME=VALUE words, at most 32, each of at most 1023 bytes");
	refuses("modules = /a /b /c /d /e /f /g /h /i",
		"c:2:11: expected absolute paths of PKCS #11 modules, at most 8,");
	snprintf(line, sizeof line, "modules = /%01023d", 1);
	refuses(line, "c:2:11: expected absolute paths of PKCS #11 modules, at most 8, each of at "
		      "most 1023");
}

static void a_pin_file_is_an_absolute_path(void **state)
{
	(void)state;
	refuses("pin-file = pin", "c:2:12: ");
	refuses("pin-file = /a/../pin", "c:2:12: ");
	refuses("pin-file = -", "c:2:12: ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_key_is_read),
		cmocka_unit_test(without_the_section_there_is_nothing_to_load),
		cmocka_unit_test(an_unknown_key_is_refused),
		cmocka_unit_test(a_module_is_an_absolute_path),
		cmocka_unit_test(a_word_of_the_environment_is_an_assignment),
		cmocka_unit_test(the_limits_of_words_are_named_when_they_are_reached),
		cmocka_unit_test(a_pin_file_is_an_absolute_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
