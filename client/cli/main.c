/* SPDX-License-Identifier: ISC */
/* main: the table of commands, and the one path by which each of them runs. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "args.h"
#include "ask.h"
#include "child_signals.h"
#include "cli.h"
#include "output.h"

/* What --help prints, from the tables of commands and options. */

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
		if (!command || exits[i].is_for_all || has_exit(command, exits[i].number))
			printf("  %-3d %s\n", exits[i].number, exits[i].text);
}

static void print_options(const struct option *options)
{
	for (; options && options->name; options++) {
		char left[64], letter[8] = "";

		if (options->letter != 0)
			(void)snprintf(letter, sizeof letter, "-%c, ", options->letter);
		(void)snprintf(left, sizeof left, "%s--%s%s%s", letter, options->name,
			options->argument ? "=" : "", options->argument ? options->argument : "");
		printf("  %-24s %s\n", left, options->help);
	}
}

/* commands ends with NULL. */
static void help_overview(const struct command *const *commands)
{
	puts("usage: mortise [OPTIONS] COMMAND [OPTIONS]\n\ncommands:");
	for (; *commands; commands++)
		if (!(*commands)->is_hidden)
			printf("  %-24s %s\n", (*commands)->name, (*commands)->summary);
	puts("\noptions everywhere:");
	print_options(args_global_options);
	puts("  --dry-run, --yes         where something changes");
	print_exits(NULL);
	puts("\nmore: mortise COMMAND --help, mortise(1)");
}

static void help_command(const struct command *command)
{
	printf("usage: mortise %s [OPTIONS]%s%s\n%s\n", command->name,
		command->operands[0] != '\0' ? " " : "", command->operands, command->summary);
	puts("\noptions:");
	print_options(command->options);
	if (command->changes_something)
		print_options(args_change_options);
	print_options(args_global_options);
	if (command->notes)
		printf("\n%s\n", command->notes);
	printf("\nexamples:\n%s\n", command->examples);
	printf("\nmore: mortise-%.*s(1)\n", (int)strcspn(command->name, " "), command->name);
	print_exits(command);
}

#ifndef MORTISE_VERSION
#define MORTISE_VERSION "0.1.0"
#endif

#define ADDRESS(name) &command_##name,

static const struct command *const commands[] = {CLI_COMMANDS(ADDRESS) NULL};

/* What stdio still holds may fail to be written. */
static int finish_output(int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	output_note("cannot write to standard output");
	return CLI_IO;
}

static int run(struct cli *cli)
{
	enum mortise_status status;
	int ending;

	if (cli->command->is_hidden)
		return finish_output(cli->command->run(cli));
	status = client_new(cli->socket_path, &cli->agent);
	if (status != MORTISE_OK)
		ending = output_fail(cli, status, "%s", mortise_message(cli->agent));
	else {
		mortise_set_deadline(cli->agent, CLIENT_DEADLINE_MS, cli->wait_ms);
		ending = cli->command->run(cli);
	}
	mortise_close(cli->agent);
	return finish_output(ending);
}

/*
 * Where a standard descriptor is closed, the agent's socket must not take its number. Neither
 * reading nor writing works with what does, and exec leaves the place empty again.
 */
static void keep_places(void)
{
	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			(void)open("/dev/null",
				(fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) | O_CLOEXEC);
}

int main(int argc, char **argv)
{
	struct rlimit before, no_core;
	struct cli cli;
	int status;

	(void)getrlimit(RLIMIT_CORE, &before);
	no_core = (struct rlimit){0, before.rlim_max}; /* so that exec can mend it */
	(void)setrlimit(RLIMIT_CORE, &no_core);
	keep_places();
	output_init();
	const char **operands = calloc((size_t)argc + 1, sizeof *operands);
	if (!operands)
		return CLI_IO;
	status = args_parse(&cli, commands, argc, argv, operands);
	cli.core_before = before;
	if (status == CLI_DONE && cli.wants_version)
		status = finish_output(puts("mortise " MORTISE_VERSION) < 0 ? CLI_IO : CLI_DONE);
	else if (status == CLI_DONE && cli.wants_help) {
		if (cli.command)
			help_command(cli.command);
		else
			help_overview(commands);
		status = finish_output(CLI_DONE);
	} else if (status == CLI_DONE)
		status = run(&cli);
	free(operands);
	if (cli.ends_by != 0)
		child_signals_die_of(cli.ends_by);
	return status;
}
