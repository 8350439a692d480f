/* SPDX-License-Identifier: ISC */
/* cli: what the command makes of words, times, newlines and cgroups. */
#include <stdlib.h>
#include <string.h>

#include "args.h"
#include "ask.h"
#include "input.h"
#include "mortise_test.h"
#include "suggest.h"
#include "when.h"

static const struct command *const commands[] = {
	&command_get, &command_set, &command_policy_check, &command_delete, &command_exec, NULL};

static struct cli cli;

/* argv ends with NULL. The error goes to standard error. */
static int parse(char **argv)
{
	static const char *operands[16];
	int argc = 0;

	while (argv[argc] != NULL)
		argc++;
	return args_parse(&cli, commands, argc, argv, operands);
}

#define PARSE(...) parse((char *[]){"mortise", __VA_ARGS__, NULL})

static void options_stand_before_and_after_the_command(void **state)
{
	(void)state;
	assert_int_equal(PARSE("--json", "get", "a/b", "--socket=/s", "--wait", "2"), CLI_DONE);
	assert_true(cli.is_json);
	assert_ptr_equal(cli.command, &command_get);
	assert_string_equal(cli.socket_path, "/s");
	assert_int_equal(cli.wait_ms, 2000);
	assert_int_equal(cli.operand_count, 1);
	assert_string_equal(cli.operands[0], "a/b");
}

static void version_is_the_commands_own_option_behind_get(void **state)
{
	(void)state;
	assert_int_equal(PARSE("get", "--version=3", "a/b"), CLI_DONE);
	assert_string_equal(args_value(&cli, "version"), "3");
	assert_false(cli.wants_version);
	assert_int_equal(PARSE("--version"), CLI_DONE);
	assert_true(cli.wants_version);
}

static void two_words_can_be_one_command(void **state)
{
	(void)state;
	assert_int_equal(PARSE("policy", "--json", "check", "read", "a/b"), CLI_DONE);
	assert_ptr_equal(cli.command, &command_policy_check);
	assert_int_equal(cli.operand_count, 2);
	assert_int_equal(PARSE("policy"), CLI_USAGE);
	assert_int_equal(PARSE("policy", "chekc"), CLI_USAGE);
}

static void nothing_behind_two_dashes_is_an_option(void **state)
{
	(void)state;
	assert_int_equal(PARSE("get", "--", "--json"), CLI_DONE);
	assert_false(cli.is_json);
	assert_string_equal(cli.operands[0], "--json");
}

static void behind_the_command_of_exec_everything_is_its_own(void **state)
{
	(void)state;
	assert_int_equal(
		PARSE("exec", "-e", "A=b/c", "--clean-env", "ls", "-e", "--json", "--", "x"),
		CLI_DONE);
	assert_false(cli.is_json);
	assert_string_equal(args_value(&cli, "env"), "A=b/c");
	assert_int_equal(cli.operand_count, 5);
	assert_int_equal(cli.operands_at, 5);
	assert_string_equal(cli.argv[cli.operands_at], "ls");
	assert_int_equal(PARSE("exec", "--json", "--", "--odd", "--help"), CLI_DONE);
	assert_true(cli.is_json);
	assert_false(cli.wants_help);
	assert_string_equal(cli.argv[cli.operands_at], "--odd");
	assert_int_equal(PARSE("exec", "--clean-env"), CLI_USAGE);
}

static void a_value_as_argument_is_refused(void **state)
{
	(void)state;
	assert_int_equal(PARSE("set", "a/b"), CLI_DONE);
	assert_int_equal(PARSE("set", "a/b", "hunter2"), CLI_USAGE);
}

static void unknown_and_malformed_options_are_refused(void **state)
{
	(void)state;
	assert_int_equal(PARSE("get", "--jsno", "a"), CLI_USAGE);
	assert_int_equal(PARSE("get", "--json=1", "a"), CLI_USAGE);
	assert_int_equal(PARSE("get", "a", "--socket"), CLI_USAGE);
	assert_int_equal(PARSE("get", "a", "--wait=-1"), CLI_USAGE);
	assert_int_equal(PARSE("get", "--dry-run", "a"), CLI_USAGE);
	assert_int_equal(PARSE("delete", "--dry-run", "a"), CLI_DONE);
	assert_true(cli.is_dry_run);
}

static void missing_operands_are_refused_unless_help_is_asked_for(void **state)
{
	(void)state;
	assert_int_equal(PARSE("get"), CLI_USAGE);
	assert_int_equal(PARSE("get", "--help"), CLI_DONE);
	assert_true(cli.wants_help);
	assert_int_equal(PARSE("delete", "a", "b"), CLI_USAGE);
}

static void a_number_is_digits_that_fit(void **state)
{
	uint64_t number = 0;

	(void)state;
	assert_true(args_number("18446744073709551615", &number));
	assert_true(number == UINT64_MAX);
	assert_false(args_number("18446744073709551616", &number));
	assert_false(args_number("", &number));
	assert_false(args_number("-1", &number));
	assert_false(args_number("1 ", &number));
}

static const char *nearest(const char *word)
{
	struct suggest suggest = {.word = word};

	suggest_consider(&suggest, "status");
	suggest_consider(&suggest, "unseal");
	suggest_consider(&suggest, "seal");
	suggest_consider(&suggest, "get");
	suggest_consider(&suggest, "policy who");
	return suggest.found;
}

static void a_near_miss_is_recognised_and_a_far_one_is_not(void **state)
{
	(void)state;
	assert_string_equal(nearest("stauts"), "status");
	assert_string_equal(nearest("sael"), "seal");
	assert_null(nearest("frobnicate"));
	assert_null(nearest("read"));
	assert_null(nearest("go"));
	assert_null(nearest("policy rm"));
	assert_string_equal(nearest("policy whoo"), "policy who");
	assert_int_equal(suggest_distance("abc", "acb"), 1);
	assert_int_equal(suggest_distance("", "abc"), 3);
}

static void each_word_of_other_programs_is_there_once_and_leads_somewhere(void **state)
{
	(void)state;
	for (const struct suggest_word *at = suggest_words; at->word != NULL; at++) {
		assert_ptr_equal(suggest_find(at->word), at);
		assert_true(at->command != NULL || at->why != NULL);
	}
	assert_string_equal(suggest_find("read")->command, "get");
	assert_null(suggest_find("get"));
}

static void durations_have_units(void **state)
{
	int ms = 0;

	(void)state;
	assert_true(when_parse_duration("1.5", &ms));
	assert_int_equal(ms, 1500);
	assert_true(when_parse_duration("2m", &ms));
	assert_int_equal(ms, 120000);
	assert_false(when_parse_duration("", &ms));
	assert_false(when_parse_duration("5x", &ms));
	assert_false(when_parse_duration("1.", &ms));
	assert_false(when_parse_duration("-5", &ms));
	assert_false(when_parse_duration("99999999d", &ms));
	assert_false(when_parse_duration("30d", &ms));
	assert_false(when_parse_duration("999999999999999999999999", &ms));
}

static void a_span_of_days_is_never_taken_for_seconds(void **state)
{
	uint64_t seconds = 0;

	(void)state;
	assert_true(when_parse_seconds("90d", &seconds));
	assert_int_equal(seconds, 90 * 86400);
	assert_true(when_parse_seconds("30s", &seconds));
	assert_int_equal(seconds, 30);
	assert_false(when_parse_seconds("90", &seconds));
	assert_false(when_parse_seconds("1.5", &seconds));
	assert_false(when_parse_seconds("", &seconds));
	assert_int_equal(seconds, 30);
}

static void a_time_that_was_is_not_to_come(void **state)
{
	uint64_t time_us = 0;

	(void)state;
	assert_true(when_parse_past("1d", &time_us));
	assert_true(time_us < when_now_us());
	assert_true(when_parse_past("2001-02-03", &time_us));
	assert_false(when_parse_past("2999-01-01", &time_us));
	assert_false(when_parse_past("90", &time_us));
}

static void times_are_local_or_utc_or_so_long_ago(void **state)
{
	uint64_t time_us = 0;
	char text[WHEN_TEXT_SIZE];

	(void)state;
	(void)setenv("TZ", "CET-1", 1);
	assert_true(when_parse_time("2026-11-23T14:03:11Z", 0, &time_us));
	assert_true(time_us == UINT64_C(1795442591000000));
	when_format_utc(time_us + 5, text);
	assert_string_equal(text, "2026-11-23T14:03:11.000005Z");
	when_format_local(time_us, text);
	assert_string_equal(text, "2026-11-23 15:03:11");
	assert_true(when_parse_time("2026-11-23 15:03", 0, &time_us));
	assert_true(time_us == UINT64_C(1795442580000000));
	assert_true(when_parse_time("2h", UINT64_C(7200000001), &time_us));
	assert_true(time_us == 1);
}

static void what_is_no_time_is_refused(void **state)
{
	static const char *const texts[] = {"", "yesterday", "2026-13-01", "2026-02-30", "5",
		"2026-11-23 14", "2026-11-23 14:03 ", "2026-1-2", "2026-11-23T14:03:11+01"};
	uint64_t time_us = 0;

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		assert_false(when_parse_time(texts[i], UINT64_C(1795442591000000), &time_us));
}

static bool is_line(const void *bytes, size_t size)
{
	struct input *input = input_new();
	bool result;

	assert_non_null(input);
	memcpy(input->bytes, bytes, size);
	input->size = size;
	result = input_is_line(input);
	input_free(&input);
	return result;
}

static void only_printable_text_with_a_newline_is_a_line(void **state)
{
	(void)state;
	assert_true(is_line("hunter2\n", 8));
	assert_true(is_line("\n", 1));
	assert_true(is_line("gr\xc3\xbc\n", 5));
	assert_false(is_line("hunter2", 7));
	assert_false(is_line("", 0));
	assert_false(is_line("a\nb\n", 4));
	assert_false(is_line("a\0b\n", 4));
	assert_false(is_line("a\r\n", 3));
	assert_false(is_line("\xff\xfe\n", 3));
}

static void the_unit_is_the_first_part_that_is_no_slice(void **state)
{
	char unit[64];

	(void)state;
	caller_unit("0::/system.slice/cron.service\n", unit, sizeof unit);
	assert_string_equal(unit, "cron.service");
	caller_unit("0::/user.slice/user-1.slice/user@1.service/app.slice/x.service\n", unit,
		sizeof unit);
	assert_string_equal(unit, "user@1.service");
	caller_unit("2:cpu:/a.service\n1:name=systemd:/b.service\n", unit, sizeof unit);
	assert_string_equal(unit, "b.service");
	caller_unit("0::/\n", unit, sizeof unit);
	assert_string_equal(unit, "");
	caller_unit("0::/docker/x.service\n", unit, sizeof unit);
	assert_string_equal(unit, "");
	caller_unit("", unit, sizeof unit);
	assert_string_equal(unit, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_stand_before_and_after_the_command),
		cmocka_unit_test(version_is_the_commands_own_option_behind_get),
		cmocka_unit_test(two_words_can_be_one_command),
		cmocka_unit_test(nothing_behind_two_dashes_is_an_option),
		cmocka_unit_test(behind_the_command_of_exec_everything_is_its_own),
		cmocka_unit_test(a_value_as_argument_is_refused),
		cmocka_unit_test(unknown_and_malformed_options_are_refused),
		cmocka_unit_test(missing_operands_are_refused_unless_help_is_asked_for),
		cmocka_unit_test(a_number_is_digits_that_fit),
		cmocka_unit_test(a_near_miss_is_recognised_and_a_far_one_is_not),
		cmocka_unit_test(each_word_of_other_programs_is_there_once_and_leads_somewhere),
		cmocka_unit_test(durations_have_units),
		cmocka_unit_test(a_span_of_days_is_never_taken_for_seconds),
		cmocka_unit_test(times_are_local_or_utc_or_so_long_ago),
		cmocka_unit_test(a_time_that_was_is_not_to_come),
		cmocka_unit_test(what_is_no_time_is_refused),
		cmocka_unit_test(only_printable_text_with_a_newline_is_a_line),
		cmocka_unit_test(the_unit_is_the_first_part_that_is_no_slice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
