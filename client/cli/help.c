/* SPDX-License-Identifier: ISC */
#include "help.h"

#include <stdio.h>
#include <string.h>

#include "args.h"

static const char exits[] = "  0   done\n"
			    "  1   a check found something\n"
			    "  64  usage              65  integrity failure\n"
			    "  66  no such secret     69  no agent\n"
			    "  73  conflict           74  I/O or hardware\n"
			    "  75  sealed or busy     77  denied\n"
			    "  78  bad configuration or policy\n";

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
		printf("  %-24s %s\n", (*commands)->name, (*commands)->summary);
	puts("\noptions everywhere:");
	print_options(args_global_options);
	puts("  --dry-run, --yes         where something changes");
	printf("\nexit status:\n%s\nmore: mortise COMMAND --help\n", exits);
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
	printf("\nexamples:\n%s\n\nexit status:\n%s", command->examples, exits);
}
