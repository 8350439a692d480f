/* SPDX-License-Identifier: ISC */
#include "help.h"

#include <stdio.h>
#include <string.h>

#include "args.h"

static const struct {
	int number;
	const char *text;
	bool is_for_all;
} exits[] = {
	{CLI_DONE, "done", true},
	{CLI_FOUND, "a check found something", false},
	{CLI_USAGE, "usage", true},
	{CLI_INTEGRITY, "integrity failure", false},
	{CLI_NOT_FOUND, "no such secret, or version", false},
	{CLI_UNREACHABLE, "no agent", true},
	{CLI_CONFLICT, "conflict", false},
	{CLI_IO, "I/O or hardware", true},
	{CLI_TRY_AGAIN, "sealed or busy", true},
	{CLI_DENIED, "denied", true},
	{CLI_REJECTED, "bad configuration or policy", false},
};

static bool has_exit(const struct command *command, int number)
{
	for (size_t i = 0; i < sizeof command->exits / sizeof command->exits[0]; i++)
		if (command->exits[i] == number)
			return true;
	return false;
}

/* command: NULL for all of them. */
static void print_exits(const struct command *command)
{
	puts("\nexit status:");
	for (size_t i = 0; i < sizeof exits / sizeof exits[0]; i++)
		if (command == NULL || exits[i].is_for_all || has_exit(command, exits[i].number))
			printf("  %-3d %s\n", exits[i].number, exits[i].text);
}

static void print_options(const struct option *options)
{
	for (; options != NULL && options->name != NULL; options++) {
		char left[64], letter[8] = "";

		if (options->letter != 0)
			(void)snprintf(letter, sizeof letter, "-%c, ", options->letter);
		(void)snprintf(left, sizeof left, "%s--%s%s%s", letter, options->name,
			options->argument != NULL ? "=" : "",
			options->argument != NULL ? options->argument : "");
		printf("  %-24s %s\n", left, options->help);
	}
}

void help_overview(const struct command *const *commands)
{
	puts("usage: mortise [OPTIONS] COMMAND [OPTIONS]\n\ncommands:");
	for (; *commands != NULL; commands++)
		if (!(*commands)->is_hidden)
			printf("  %-24s %s\n", (*commands)->name, (*commands)->summary);
	puts("\noptions everywhere:");
	print_options(args_global_options);
	puts("  --dry-run, --yes         where something changes");
	print_exits(NULL);
	puts("\nmore: mortise COMMAND --help, mortise(1)");
}

void help_command(const struct command *command)
{
	printf("usage: mortise %s [OPTIONS]%s%s\n%s\n", command->name,
		command->operands[0] != '\0' ? " " : "", command->operands, command->summary);
	puts("\noptions:");
	print_options(command->options);
	if (command->changes_something)
		print_options(args_change_options);
	print_options(args_global_options);
	if (command->notes != NULL)
		printf("\n%s\n", command->notes);
	printf("\nexamples:\n%s\n", command->examples);
	printf("\nmore: mortise-%.*s(1)\n", (int)strcspn(command->name, " "), command->name);
	print_exits(command);
}
