/* SPDX-License-Identifier: ISC */
#include "args.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "output.h"
#include "suggest.h"
#include "when.h"

#define WORD_MAX 40

const struct option args_global_options[] = {
	{"socket", 0, "F", "the agent's socket (MORTISE_SOCKET)"},
	{"json", 0, NULL, "print one JSON object, errors too"},
	{"wait", 0, "S", "wait up to S seconds for an absent or sealed agent (MORTISE_WAIT)"},
	{"help", 'h', NULL, "say how to use the command"},
	{"version", 0, NULL, "print the version"},
	{0},
};

const struct option args_change_options[] = {
	{"dry-run", 'n', NULL, "say what would change, and change nothing"},
	{"yes", 'y', NULL, "do not ask"},
	{0},
};

static int refuse_word(
	const struct cli *cli, const struct command *const *commands, const char *word)
{
	const struct suggest_word *other = suggest_find(word);
	struct suggest nearest = {.word = word};

	for (; *commands; commands++)
		if (!(*commands)->is_hidden && !suggest_is_grave((*commands)->name))
			suggest_consider(&nearest, (*commands)->name);
	if (other && other->why)
		return output_fail(
			cli, MORTISE_INVALID, "unknown command '%s'; %s", word, other->why);
	if (other)
		nearest.found = other->command;
	if (nearest.found)
		return output_fail(cli, MORTISE_INVALID,
			"unknown command '%s'; did you mean: mortise %s", word, nearest.found);
	return output_fail(cli, MORTISE_INVALID, "unknown command '%s'; see: mortise --help", word);
}

static const struct option *find(const struct option *options, const char *name, size_t size)
{
	for (; options && options->name; options++)
		if (strlen(options->name) == size && memcmp(options->name, name, size) == 0)
			return options;
	return NULL;
}

static const struct option *find_letter(const struct option *options, char letter)
{
	for (; options && options->name; options++)
		if (options->letter == letter)
			return options;
	return NULL;
}

void args_tables(const struct command *command, const struct option *out_tables[3])
{

	out_tables[0] = command ? command->options : NULL;
	out_tables[1] = command && command->changes_something ? args_change_options : NULL;
	out_tables[2] = args_global_options;
}

const struct option *args_find(const struct cli *cli, const char *argument)
{
	const struct option *tables[3], *found = NULL;

	args_tables(cli->command, tables);
	for (int i = 0; i < 3 && !found; i++) {
		if (argument[1] == '-')
			found = find(tables[i], argument + 2, strcspn(argument + 2, "="));
		else if (argument[2] == '\0')
			found = find_letter(tables[i], argument[1]);
	}
	return found;
}

/* Never repeats what follows '=': it may be a secret. */
static int refuse_option(const struct cli *cli, const char *argument)
{
	const struct option *tables[3];
	const char *name = cli->command ? cli->command->name : "";
	char word[WORD_MAX + 1] = "";
	struct suggest nearest = {0};

	(void)snprintf(word, sizeof word, "%.*s", (int)strcspn(argument, "="), argument);
	nearest.word = word + strspn(word, "-");
	args_tables(cli->command, tables);
	for (int i = 0; i < 3; i++)
		for (const struct option *at = tables[i]; at && at->name; at++)
			suggest_consider(&nearest, at->name);
	if (nearest.found)
		return output_fail(cli, MORTISE_INVALID, "unknown option %s; did you mean --%s",
			word, nearest.found);
	return output_fail(cli, MORTISE_INVALID, "unknown option %s; see: mortise%s%s --help", word,
		name[0] != '\0' ? " " : "", name);
}

static int take_wait(struct cli *cli, const char *source, const char *text)
{
	if (when_parse_duration(text, &cli->wait_ms))
		return CLI_DONE;
	return output_fail(
		cli, MORTISE_INVALID, "%s wants seconds, like 30, or a duration like 5m", source);
}

static int take_global(struct cli *cli, const struct option *option, const char *value)
{
	if (strcmp(option->name, "wait") == 0)
		return take_wait(cli, "--wait", value);
	if (strcmp(option->name, "socket") == 0)
		cli->socket_path = value;
	else if (strcmp(option->name, "json") == 0)
		cli->is_json = true;
	else if (strcmp(option->name, "help") == 0)
		cli->wants_help = true;
	else if (strcmp(option->name, "version") == 0)
		cli->wants_version = true;
	else if (strcmp(option->name, "dry-run") == 0)
		cli->is_dry_run = true;
	else
		cli->is_yes = true;
	return CLI_DONE;
}

static bool is_in(const struct option *option, const struct option *options)
{
	for (; options->name; options++)
		if (options == option)
			return true;
	return false;
}

/* Takes the option at argv[*at] and its value, which may be the next argument. */
static int take_option(struct cli *cli, int argc, char *const *argv, int *at)
{
	const char *argument = argv[*at], *equals = strchr(argument, '='), *value = NULL;
	const struct option *option = args_find(cli, argument);

	if (!option)
		return refuse_option(cli, argument);
	if (equals && !option->argument)
		return output_fail(cli, MORTISE_INVALID, "--%s takes no value", option->name);
	if (option->argument) {
		if (!equals && *at + 1 >= argc)
			return output_fail(cli, MORTISE_INVALID, "--%s wants a value: --%s=%s",
				option->name, option->name, option->argument);
		value = equals ? equals + 1 : argv[++*at];
	}
	if (is_in(option, args_global_options) || is_in(option, args_change_options))
		return take_global(cli, option, value);
	if (cli->given_count == CLI_GIVEN_MAX)
		return output_fail(
			cli, MORTISE_INVALID, "at most %d options at once", CLI_GIVEN_MAX);
	cli->given[cli->given_count].option = option;
	cli->given[cli->given_count++].value = value;
	return CLI_DONE;
}

/* A command's name is one word, or two with a group's name first. */
static int take_word(struct cli *cli, const struct command *const *commands, const char **group,
	const char *word)
{
	char name[2 * WORD_MAX + 2];
	bool begins_group = false;

	(void)snprintf(name, sizeof name, "%s%s%.*s", *group ? *group : "",
		*group != NULL ? " " : "", WORD_MAX, word);
	for (const struct command *const *at = commands; *at; at++) {
		size_t size = strlen(name);

		if (strcmp((*at)->name, name) == 0)
			cli->command = *at;
		else if (strncmp((*at)->name, name, size) == 0 && (*at)->name[size] == ' ')
			begins_group = true;
	}
	if (cli->command)
		return CLI_DONE;
	if (!begins_group)
		return refuse_word(cli, commands, name);
	*group = word;
	return CLI_DONE;
}

static bool asks_for_json(int argc, char *const *argv)
{
	for (int at = 1; at < argc && strcmp(argv[at], "--") != 0; at++)
		if (strcmp(argv[at], "--json") == 0)
			return true;
	return false;
}

/* True if all that follows is the operand's own, "--json" too. */
static bool take_operand(struct cli *cli, int at)
{
	cli->operands[cli->operand_count++] = cli->argv[at];
	if (!cli->command->ends_options || cli->operand_count > 1)
		return false;
	cli->operands_at = at;
	cli->is_json = asks_for_json(at, cli->argv);
	return true;
}

static int check_counts(const struct cli *cli, const char *group)
{
	const struct command *command = cli->command;

	if (cli->wants_help || cli->wants_version)
		return CLI_DONE;
	if (!command && group)
		return output_fail(cli, MORTISE_INVALID, "%s what? see: mortise --help", group);
	if (!command)
		return output_fail(cli, MORTISE_INVALID, "no command; see: mortise --help");
	if (command->surplus && cli->operand_count > command->most)
		return output_fail(cli, MORTISE_INVALID, "%s", command->surplus);
	if (cli->operand_count > command->most && strstr(command->operands, "..."))
		return output_fail(cli, MORTISE_INVALID, "%d are too many: at most %d %s at once",
			cli->operand_count, command->most, command->operands);
	if (cli->operand_count < command->least || cli->operand_count > command->most)
		return output_fail(cli, MORTISE_INVALID, "usage: mortise %s [OPTIONS] %s",
			command->name, command->operands);
	return CLI_DONE;
}

/* A command line on its way through the tables. */
struct line {
	const struct command *const *commands;
	int argc;
	char *const *argv;
	const char *group; /* of a name of two words, the first */
	bool is_ended;     /* no option follows */
};

/* Takes argv[*at], and what belongs to it. */
static int take_argument(struct cli *cli, struct line *line, int *at)
{
	const char *argument = line->argv[*at];

	if (!line->is_ended && strcmp(argument, "--") == 0) {
		line->is_ended = true;
		cli->behind_at = *at + 1;
		cli->operands_before = cli->operand_count;
	} else if (!line->is_ended && argument[0] == '-' && argument[1] != '\0')
		return take_option(cli, line->argc, line->argv, at);
	else if (!cli->command && strcmp(argument, "help") == 0)
		cli->wants_help = true;
	else if (!cli->command)
		return take_word(cli, line->commands, &line->group, argument);
	else
		line->is_ended |= take_operand(cli, *at);
	return CLI_DONE;
}

int args_parse(struct cli *cli, const struct command *const *commands, int argc, char *const *argv,
	const char **operands)
{
	struct line line = {.commands = commands, .argc = argc, .argv = argv};
	const char *wait = getenv("MORTISE_WAIT");

	*cli = (struct cli){.commands = commands,
		.operands = operands,
		.argv = argv,
		.is_json = asks_for_json(argc, argv)};
	if (wait && wait[0] != '\0' && take_wait(cli, "MORTISE_WAIT", wait) != CLI_DONE)
		return CLI_USAGE;
	for (int at = 1; at < argc; at++) {
		int status = take_argument(cli, &line, &at);

		if (status != CLI_DONE)
			return status;
	}
	return check_counts(cli, line.group);
}

bool args_locate(struct cli *cli, const struct command *const *commands, int argc,
	char *const *argv, const char **operands, struct args_place *out_place)
{
	struct line line = {.commands = commands, .argc = argc, .argv = argv};
	const char *word = argv[argc - 1];
	int at;

	*cli = (struct cli){
		.commands = commands, .operands = operands, .argv = argv, .is_quiet = true};
	for (at = 1; at < argc - 1; at++)
		if (take_argument(cli, &line, &at) != CLI_DONE)
			return false;
	*out_place = (struct args_place){.group = line.group};
	if (at == argc) { /* the option before took it for its value */
		out_place->option = args_find(cli, argv[argc - 2]);
	} else if (!line.is_ended && word[0] == '-') {
		out_place->is_option = true;
		out_place->option = strchr(word, '=') ? args_find(cli, word) : NULL;
	}
	return true;
}

const char *args_value(const struct cli *cli, const char *name)
{
	for (int at = cli->given_count; at-- > 0;)
		if (strcmp(cli->given[at].option->name, name) == 0)
			return cli->given[at].value;
	return NULL;
}

bool args_has(const struct cli *cli, const char *name)
{
	for (int at = 0; at < cli->given_count; at++)
		if (strcmp(cli->given[at].option->name, name) == 0)
			return true;
	return false;
}

bool args_number(const char *text, uint64_t *out_number)
{
	uint64_t number = 0;

	if (*text == '\0')
		return false;
	for (; *text != '\0'; text++) {
		unsigned digit = (unsigned)(*text - '0');

		if (*text < '0' || *text > '9' || number > (UINT64_MAX - digit) / 10)
			return false;
		number = number * 10 + digit;
	}
	*out_number = number;
	return true;
}

int args_number_of(const struct cli *cli, const char *name, uint64_t least, uint64_t fallback,
	uint64_t *out_number)
{
	const char *text = args_value(cli, name);
	uint64_t number = fallback;

	if (text && (!args_number(text, &number) || number < least))
		return output_fail(cli, MORTISE_INVALID, "--%s wants a number from %llu on", name,
			(unsigned long long)least);
	*out_number = number;
	return CLI_DONE;
}

bool args_is_unit(const char *text, size_t size)
{
	static const char *const types[] = {"service", "scope", "slice", "socket", "mount", "swap"};
	size_t at = size, i = 0;

	while (at > 0 && text[at - 1] != '.')
		at--;
	while (i < sizeof types / sizeof types[0] &&
		(strlen(types[i]) != size - at || memcmp(types[i], text + at, size - at) != 0))
		i++;
	return at >= 2 && i < sizeof types / sizeof types[0] && !memchr(text, '/', size) &&
	       !memchr(text, ' ', size);
}
