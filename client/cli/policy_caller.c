/* SPDX-License-Identifier: ISC */
#include "policy_caller.h"

#include <stdio.h>
#include <string.h>

#include "args.h"
#include "output.h"

/* One that is given twice counts twice; blanks would make two of one. */
static int read_groups(const struct cli *cli, char *groups, size_t size)
{
	size_t used = 0;

	for (int i = 0; i < cli->given_count; i++) {
		const char *value = cli->given[i].value;

		if (strcmp(cli->given[i].option->name, "group") != 0)
			continue;
		if (value[0] == '\0' || strpbrk(value, " \t") != NULL)
			return output_fail(
				cli, MORTISE_INVALID, "--group=%s: not a group's name", value);
		if (used + strlen(value) + 2 > size)
			return output_fail(cli, MORTISE_INVALID,
				"the names of all groups have at most %zu bytes", size - 1);
		used += (size_t)snprintf(
			groups + used, size - used, "%s%s", used > 0 ? " " : "", value);
	}
	return CLI_DONE;
}

/* A service and its slices, as the kernel has them; "?" for what cannot be found out. */
static bool is_unit(const char *text)
{
	static const char *const types[] = {"service", "scope", "slice", "socket", "mount", "swap"};

	if (strcmp(text, "?") == 0)
		return true;
	for (text += strspn(text, " "); *text != '\0'; text += strspn(text, " ")) {
		size_t size = strcspn(text, " "), at = size, i = 0;

		while (at > 0 && text[at - 1] != '.')
			at--;
		while (i < sizeof types / sizeof types[0] &&
			(strlen(types[i]) != size - at ||
				memcmp(types[i], text + at, size - at) != 0))
			i++;
		if (at < 2 || i == sizeof types / sizeof types[0] ||
			memchr(text, '/', size) != NULL)
			return false;
		text += size;
	}
	return true;
}

/* What no process could have would be denied, and read as if a rule had done it. */
static int check_facts(const struct cli *cli, const struct policy_caller *caller)
{
	const char *unit = caller->unit, *exe = caller->exe;

	if (unit != NULL && !is_unit(unit))
		return output_fail(cli, MORTISE_INVALID,
			"--unit=%s: a unit's whole name is wanted, such as backup.service", unit);
	if (exe != NULL && exe[0] != '/' && strcmp(exe, "?") != 0)
		return output_fail(
			cli, MORTISE_INVALID, "--exe=%s: a program's absolute path is wanted", exe);
	return CLI_DONE;
}

int policy_caller_read(const struct cli *cli, struct policy_caller *out_caller)
{
	struct policy_caller caller = {
		.user = args_value(cli, "user"),
		.unit = args_value(cli, "unit"),
		.exe = args_value(cli, "exe"),
		.label = args_value(cli, "label"),
		.listener = args_value(cli, "listener"),
	};
	int ending = read_groups(cli, caller.groups, sizeof caller.groups);

	if (ending == CLI_DONE)
		ending = check_facts(cli, &caller);
	if (ending == CLI_DONE)
		*out_caller = caller;
	return ending;
}

static void put(struct wire_writer *writer, enum wire_tag tag, const char *text)
{
	if (text != NULL)
		wire_put_text(writer, tag, text);
}

void policy_caller_put_label(struct wire_writer *writer, const struct policy_caller *caller)
{
	put(writer, WIRE_TAG_LABEL, caller->label);
}

void policy_caller_put_names(struct wire_writer *writer, const struct policy_caller *caller)
{
	put(writer, WIRE_TAG_NAME, caller->listener);
	put(writer, WIRE_TAG_USER, caller->user);
	put(writer, WIRE_TAG_GROUP, caller->groups[0] != '\0' ? caller->groups : NULL);
}

void policy_caller_put_facts(struct wire_writer *writer, const struct policy_caller *caller)
{
	put(writer, WIRE_TAG_UNIT, caller->unit);
	put(writer, WIRE_TAG_EXE, caller->exe);
}
