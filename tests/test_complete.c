/* SPDX-License-Identifier: ISC */
/* complete: what may stand for the last word of a line, as the tables of commands have it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "args.h"
#include "complete.h"
#include "mortise_test.h"

static const struct command *const commands[] = {&command_get, &command_set, &command_list,
	&command_move, &command_exec, &command_watch, &command_policy_check, &command_policy_apply,
	&command_rotate, &command_import, &command_audit_show, &command_complete, NULL};

static char said[4096];

/* words ends with NULL. What is written, with an agent that is not there. */
static const char *say(char **words)
{
	struct cli cli = {.commands = commands, .socket_path = "/nonexistent/socket"};
	FILE *out = fmemopen(said, sizeof said, "w");
	int count = 0;

	while (words[count] != NULL)
		count++;
	memset(said, 0, sizeof said);
	complete_line(&cli, words, count, out);
	assert_int_equal(fclose(out), 0);
	return said;
}

#define SAY(...) say((char *[]){__VA_ARGS__, NULL})

static enum complete_kind operand(const struct command *command, int index)
{
	return complete_kind_of_operand(command, index);
}

static enum complete_kind value(const char *argument)
{
	return complete_kind_of_value(&(struct option){.name = "x", .argument = argument});
}

static void an_operand_is_what_its_word_in_the_help_says(void **state)
{
	(void)state;
	assert_int_equal(operand(&command_get, 0), COMPLETE_PATH);
	assert_int_equal(operand(&command_get, 7), COMPLETE_PATH);
	assert_int_equal(operand(&command_move, 0), COMPLETE_PATH);
	assert_int_equal(operand(&command_move, 1), COMPLETE_PATH);
	assert_int_equal(operand(&command_list, 0), COMPLETE_PREFIX);
	assert_int_equal(operand(&command_import, 0), COMPLETE_FILE);
	assert_int_equal(operand(&command_import, 1), COMPLETE_PREFIX);
	assert_int_equal(operand(&command_policy_check, 0), COMPLETE_VERB);
	assert_int_equal(operand(&command_policy_check, 1), COMPLETE_PATH);
	assert_int_equal(operand(&command_policy_apply, 0), COMPLETE_FILE);
	assert_int_equal(operand(&command_exec, 0), COMPLETE_COMMAND);
	assert_int_equal(operand(&command_rotate, 0), COMPLETE_PATH);
}

static void there_are_no_more_operands_than_a_command_takes(void **state)
{
	(void)state;
	assert_int_equal(operand(&command_set, 0), COMPLETE_PATH);
	assert_int_equal(operand(&command_set, 1), COMPLETE_NOTHING);
	assert_int_equal(operand(&command_rotate, 1), COMPLETE_NOTHING);
	assert_int_equal(operand(&command_audit_show, 0), COMPLETE_NOTHING);
}

static void a_value_is_what_its_word_in_the_help_says(void **state)
{
	(void)state;
	assert_int_equal(value("F"), COMPLETE_FILE);
	assert_int_equal(value("DIR"), COMPLETE_DIRECTORY);
	assert_int_equal(value("U"), COMPLETE_USER);
	assert_int_equal(value("G"), COMPLETE_GROUP);
	assert_int_equal(value("N=PATH"), COMPLETE_PATH);
	assert_int_equal(value("PREFIX/"), COMPLETE_PREFIX);
	assert_int_equal(value("KEY=VALUE"), COMPLETE_NOTHING);
	assert_int_equal(value("N"), COMPLETE_NOTHING);
	assert_int_equal(value(NULL), COMPLETE_NOTHING);
}

static void names_come_a_word_at_a_time_and_the_hidden_one_never(void **state)
{
	(void)state;
	assert_string_equal(SAY("policy"), "policy\n");
	assert_string_equal(SAY("p"), "policy\n");
	assert_non_null(strstr(SAY("policy", ""), "check\tsay whether"));
	assert_non_null(strstr(SAY("policy", ""), "\napply\t"));
	assert_null(strstr(SAY("policy", ""), "get"));
	assert_non_null(strstr(SAY(""), "get\t"));
	assert_null(strstr(SAY(""), "complete"));
}

static void options_are_the_commands_and_everybodys(void **state)
{
	(void)state;
	assert_string_equal(SAY("get", "--l"), "--label=\tcurrent, previous or pending\n");
	assert_non_null(strstr(SAY("get", "-"), "--json\t"));
	assert_null(strstr(SAY("get", "-"), "--dry-run"));
	assert_non_null(strstr(SAY("move", "-"), "--dry-run\t"));
	assert_non_null(strstr(SAY("--js"), "--json\t"));
	assert_string_equal(SAY("get", "-o"),
		"-o\tinto a file (0600, all at once) instead of standard output\n");
}

static void an_option_that_another_hides_is_not_offered_twice(void **state)
{
	(void)state;
	assert_string_equal(
		SAY("get", "--versi"), "--version=\tthat version, not the current one\n");
	assert_string_equal(SAY("set", "--versi"), "--version\tprint the version\n");
}

static void files_are_left_to_the_shell(void **state)
{
	(void)state;
	assert_string_equal(SAY("set", "--from-file=x"), "files 12\n");
	assert_string_equal(SAY("set", "-f", "x"), "files 0\n");
	assert_string_equal(SAY("--socket", ""), "files 0\n");
	assert_string_equal(SAY("policy", "apply", ""), "files 0\n");
}

static void a_command_line_of_its_own_begins_behind_the_options(void **state)
{
	(void)state;
	assert_string_equal(SAY("exec", "l"), "command 1\n");
	assert_string_equal(SAY("exec", "-e", "A=b/c", "--", "ls", "-"), "command 4\n");
	assert_string_equal(SAY("exec", "ls", "-"), "command 1\n");
	assert_string_equal(SAY("watch", "a/b", "--", ""), "command 3\n");
	assert_string_equal(SAY("get", "--", "--js"), "");
}

static void verbs_stand_once(void **state)
{
	(void)state;
	assert_string_equal(SAY("policy", "check", "r"), "read\nrotate\n");
	assert_string_equal(SAY("policy", "check", "w"), "write\n");
}

static void what_is_wrong_or_not_to_be_had_is_left_out(void **state)
{
	(void)state;
	assert_string_equal(SAY("get", "prod/"), "");
	assert_string_equal(SAY("get", "--odd", "-"), "");
	assert_string_equal(SAY("gte", ""), "");
	assert_string_equal(SAY("get", "@"), "@/\tthe agent's environment\n");
	assert_string_equal(say((char *[]){NULL}), "");
}

int main(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(an_operand_is_what_its_word_in_the_help_says),
		cmocka_unit_test(there_are_no_more_operands_than_a_command_takes),
		cmocka_unit_test(a_value_is_what_its_word_in_the_help_says),
		cmocka_unit_test(names_come_a_word_at_a_time_and_the_hidden_one_never),
		cmocka_unit_test(options_are_the_commands_and_everybodys),
		cmocka_unit_test(an_option_that_another_hides_is_not_offered_twice),
		cmocka_unit_test(files_are_left_to_the_shell),
		cmocka_unit_test(a_command_line_of_its_own_begins_behind_the_options),
		cmocka_unit_test(verbs_stand_once),
		cmocka_unit_test(what_is_wrong_or_not_to_be_had_is_left_out),
	};

	return cmocka_run_group_tests(all, NULL, NULL);
}
