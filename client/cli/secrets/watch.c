/* SPDX-License-Identifier: ISC */
/* watch: a line, or a command, whenever a secret has another current version. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "args.h"
#include "ask.h"
#include "child.h"
#include "output.h"

#define FOR_EVER (-1)

struct watch {
	struct cli *cli;
	struct ask_path paths[WIRE_WATCH_MAX];
	struct mortise_watched watched[WIRE_WATCH_MAX];
	size_t count;
	char *const *command; /* NULL: none */
};

/* Paths stand before "--", or all of them do. */
static int read_operands(struct cli *cli, struct watch *watch)
{
	int count = cli->behind_at > 0 ? cli->operands_before : cli->operand_count;

	if (cli->behind_at > 0)
		watch->command = cli->argv + cli->behind_at;
	if (count == 0 || (watch->command && !watch->command[0]))
		return output_fail(cli, MORTISE_INVALID, "usage: mortise watch [OPTIONS] %s",
			cli->command->operands);
	if (count > WIRE_WATCH_MAX)
		return output_fail(
			cli, MORTISE_INVALID, "at most %d paths can be watched", WIRE_WATCH_MAX);
	for (int i = 0; i < count; i++) {
		int ending = ask_expand(cli, cli->operands[i], &watch->paths[i]);

		if (ending != CLI_DONE)
			return ending;
		watch->watched[i].path = watch->paths[i].text;
	}
	watch->count = (size_t)count;
	return CLI_DONE;
}

static int print_change(const struct cli *cli, const struct mortise_watched *watched)
{
	if (cli->is_json)
		return output_json(json_pack("{s:s, s:o}", "path", watched->path, "version",
			watched->version != 0 ? output_json_number(watched->version)
					      : json_null()));
	if (watched->version != 0)
		printf("%s: version %llu\n", watched->path, (unsigned long long)watched->version);
	else
		printf("%s: no longer there\n", watched->path);
	return CLI_DONE;
}

/* Whoever reads the lines gets each at once; where nobody does any more, there is no use. */
static int print_changes(const struct watch *watch)
{
	for (size_t i = 0; i < watch->count; i++) {
		if (!watch->watched[i].has_changed)
			continue;
		int ending = print_change(watch->cli, &watch->watched[i]);
		if (ending != CLI_DONE)
			return ending;
	}
	if (fflush(stdout) == 0)
		return CLI_DONE;
	return output_fail(
		watch->cli, MORTISE_IO, "cannot write to standard output: %s", strerror(errno));
}

/* The paths that changed, for CMD; names are no secrets. */
static void name_changes(const struct watch *watch, char *names, size_t size)
{
	size_t used = 0;

	names[0] = '\0';
	for (size_t i = 0; i < watch->count; i++)
		if (watch->watched[i].has_changed)
			used += (size_t)snprintf(names + used, size - used, "%s%s",
				used > 0 ? " " : "", watch->watched[i].path);
}

/* A signal that came while CMD ran ends the watch when CMD has ended. */
static int run_command(const struct watch *watch, int *out_ending)
{
	char names[WIRE_WATCH_MAX * (MORTISE_PATH_MAX + 1) + 1];
	const struct child child = {
		.arguments = watch->command,
		.given = {{"MORTISE_CHANGED", names, -1}},
		.given_count = 1,
		.core = watch->cli->core_before,
	};
	struct child_end end;

	name_changes(watch, names, sizeof names);
	end = child_run(&child);
	*out_ending = end.status;
	if (end.error != 0)
		return child_fail(watch->cli, watch->command[0], end.error);
	if (end.asked != 0)
		watch->cli->ends_by = end.asked;
	else if (args_has(watch->cli, "once"))
		watch->cli->ends_by = end.signal;
	if (end.asked != 0)
		return 128 + end.asked;
	if (end.status != 0 && !args_has(watch->cli, "once"))
		output_note("%s: exit status %d; still watching", watch->command[0], end.status);
	return CLI_DONE;
}

/* A denial's message begins with its path. */
static int fail(const struct watch *watch, enum mortise_status status)
{
	char path[MORTISE_PATH_MAX + 2] = "";
	const char *message = mortise_message(watch->cli->agent);
	size_t size = strcspn(message, ":");

	if (status != MORTISE_DENIED || size >= sizeof path)
		return ask_fail(watch->cli, status, NULL);
	memcpy(path, message, size);
	path[size] = '\0';
	return ask_fail(watch->cli, status, path);
}

/* Waits (or only looks, for 0 ms), and does what is to be done then. */
static int step(struct watch *watch, int timeout_ms, bool acts, int *out_ending)
{
	size_t changed = 0;
	enum mortise_status status = mortise_watch(
		watch->cli->agent, watch->watched, watch->count, timeout_ms, &changed);

	*out_ending = CLI_DONE;
	if (status != MORTISE_OK)
		return fail(watch, status);
	if (!acts)
		return CLI_DONE;
	return watch->command ? run_command(watch, out_ending) : print_changes(watch);
}

static int watch(struct cli *cli)
{
	bool is_initial = args_has(cli, "initial"), is_once = args_has(cli, "once");
	struct watch watch = {.cli = cli};
	int ending = read_operands(cli, &watch), command_ending = CLI_DONE;

	if (ending == CLI_DONE)
		ending = step(&watch, 0, is_initial, &command_ending);
	if (ending != CLI_DONE || (is_once && is_initial))
		return ending != CLI_DONE ? ending : command_ending;
	do
		ending = step(&watch, FOR_EVER, true, &command_ending);
	while (ending == CLI_DONE && !is_once);
	return ending != CLI_DONE ? ending : command_ending;
}

static const struct option options[] = {
	{"initial", 0, NULL, "run CMD, or print the versions, at the start, too"},
	{"once", 0, NULL, "end after the first time, with CMD's exit status"},
	{0},
};

const struct command command_watch = {
	.name = "watch",
	.operands = "PATH... [-- CMD [ARG...]]",
	.summary = "run a command, or print a line, whenever a secret changes",
	.options = options,
	.least = 1,
	.most = INT_MAX,
	.verb = "read",
	.notes =
		"It waits in the agent, without polling, for another current version: a new one, a "
		"rollback,\n"
		"a deletion, or a secret that was not there. It is told versions, never values: "
		"CMD gets\n"
		"those, and finds the paths that changed in MORTISE_CHANGED, by blanks. While CMD "
		"runs,\n"
		"and while the agent restarts or is sealed, no change is lost: the last of several "
		"counts.\n"
		"A signal ends it; while CMD runs, CMD gets the signal, and the watch ends by it "
		"when CMD\n"
		"has ended. It ends with 77 when one of the paths may not be read, or not any "
		"more. With\n"
		"--json each line is an object.",
	.examples =
		"  mortise watch prod/tls/key -- systemctl reload nginx\n"
		"  mortise watch --initial --wait=5m prod/app/env -- /usr/local/sbin/render-app\n"
		"  mortise watch --once prod/db/password",
	.run = watch,
};
