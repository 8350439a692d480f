/* SPDX-License-Identifier: ISC */
/* rotate: a new value for a secret, by way of its hook. */
#include <stdio.h>
#include <string.h>

#include "args.h"
#include "input.h"
#include "output.h"
#include "rotate_due.h"

/* Says whether the old value is still the current one: that decides what to do next. */
static int fail(struct cli *cli, const struct rotation *rotation)
{
	const char *path = rotation->path.text;
	unsigned long long before = rotation->before;
	char next[MORTISE_PATH_MAX + 160] = "";

	if (rotation->step == NULL &&
		(rotation->status == MORTISE_REJECTED || rotation->status == MORTISE_IO))
		return output_fail(cli, rotation->status, "%s: %s", path, rotation->text);
	if (rotation->step == NULL)
		return ask_fail(cli, rotation->status, path);
	if (rotation->version != 0)
		(void)snprintf(next, sizeof next,
			"the new value stays pending, and mortise rotate %s goes on with it", path);
	else
		(void)snprintf(next, sizeof next, "nothing was stored");
	cli->ends_by = rotation->signal;
	if (rotation->signal != 0)
		return output_fail_with(cli, 128 + rotation->signal, "interrupted",
			"%s: step %s: %s; version %llu is still the current one; %s", path,
			rotation->step, rotation->text, before, next);
	if (rotation->status == MORTISE_OK)
		return output_fail_with(cli, CLI_FOUND, "hook",
			"%s: step %s failed: %s; version %llu is still the current one; %s", path,
			rotation->step, rotation->text, before, next);
	return output_fail(cli, rotation->status,
		"%s: step %s failed: %s; version %llu was the current one; %s", path,
		rotation->step, rotation->text, before, next);
}

static int report(const struct cli *cli, const struct rotation *rotation)
{
	const char *path = rotation->path.text;
	const char *how = rotation->was_pending ? ", going on with the one that was pending" : "";

	if (cli->is_json)
		return output_json(json_pack("{s:s, s:o, s:b, s:b, s:b}", "path", path, "version",
			output_json_number(rotation->version), "changed", 1, "resumed",
			rotation->was_pending, "dry_run", cli->is_dry_run));
	if (cli->is_dry_run)
		printf("%s: would be rotated%s\n", path, how);
	else
		printf("%s: version %llu%s\n", path, (unsigned long long)rotation->version, how);
	return CLI_DONE;
}

static int abort_one(struct cli *cli, struct rotation *rotation)
{
	const char *path = rotation->path.text;

	if (!cli->is_dry_run &&
		!input_confirm(cli, "Drop the pending value, though its hook may have put it to "
				    "use already?"))
		return output_fail(cli, MORTISE_INVALID, "nothing was dropped");
	if (!rotation_abort(cli, rotation))
		return ask_fail(cli, rotation->status, path);
	if (cli->is_json)
		return output_json(json_pack("{s:s, s:o, s:b, s:b}", "path", path, "version",
			output_json_number(rotation->version), "changed", rotation->was_pending,
			"dry_run", cli->is_dry_run));
	if (!rotation->was_pending)
		printf("%s: nothing is pending\n", path);
	else
		printf("%s: version %llu, which was pending, %s\n", path,
			(unsigned long long)rotation->version,
			cli->is_dry_run ? "would be dropped" : "is dropped");
	return CLI_DONE;
}

static int read_generate(const struct cli *cli, struct generate *generate)
{
	const char *text = args_value(cli, "generate");
	const char *wrong = text != NULL ? generate_parse(text, generate) : NULL;

	if (wrong != NULL)
		return output_fail(
			cli, MORTISE_INVALID, "--generate: %s; see: mortise set --help", wrong);
	if (text != NULL && generate->bits < GENERATE_STRONG_BITS)
		return output_fail(cli, MORTISE_INVALID,
			"--generate: %u bits can be guessed, %d are wanted; make it longer",
			generate->bits, GENERATE_STRONG_BITS);
	return CLI_DONE;
}

static int rotate(struct cli *cli)
{
	bool is_due = args_has(cli, "due"), is_abort = args_has(cli, "abort");
	struct rotation rotation = {.status = MORTISE_OK};
	struct generate generate;
	int ending = read_generate(cli, &generate);

	if (ending != CLI_DONE)
		return ending;
	if (args_has(cli, "generate"))
		rotation.generate = &generate;
	if (is_due == (cli->operand_count == 1) || (is_abort && (is_due || rotation.generate)))
		return output_fail(cli, MORTISE_INVALID, "usage: mortise rotate [OPTIONS] %s",
			cli->command->operands);
	if (is_due)
		return rotate_due(cli, rotation.generate);
	ending = ask_expand(cli, cli->operands[0], &rotation.path);
	if (ending != CLI_DONE)
		return ending;
	if (is_abort)
		return abort_one(cli, &rotation);
	return rotation_run(cli, &rotation) ? report(cli, &rotation) : fail(cli, &rotation);
}

static const struct option options[] = {
	{"due", 0, NULL,
		"all secrets that are older than their max-age, and go on after a failure"},
	{"generate", 'g', "SPEC", "the new value is a random one; see mortise set --help"},
	{"abort", 0, NULL, "drop a value that an interrupted rotation left pending"},
	{0},
};

const struct command command_rotate = {
	.name = "rotate",
	.operands = "PATH | --due | --abort PATH",
	.summary = "give a secret a new value, by its hook, without an outage",
	.options = options,
	.least = 0,
	.most = 1,
	.changes_something = true,
	.verb = "rotate",
	.exits = {CLI_FOUND, CLI_NOT_FOUND, CLI_CONFLICT, CLI_INTEGRITY, CLI_REJECTED},
	.notes = "The secret's hook (mortise meta --hook=FILE PATH) is run as HOOK STEP PATH, by "
		 "whoever\n"
		 "runs this:\n"
		 "  create  may write a new value to the file MORTISE_PENDING; if it writes none, "
		 "it\n"
		 "          is a password of 32 characters. Not run with --generate\n"
		 "  set     takes the new value to where it is used\n"
		 "  test    tries it there\n"
		 "  finish  says the last yes; then the new value is the current one\n"
		 "The variable MORTISE_PENDING names a file in memory that has the new value,\n"
		 "MORTISE_CURRENT one with the current value, for who may read it. They can be "
		 "read\n"
		 "as often as you like. A step that fails leaves the current value as it was, and\n"
		 "the new one pending in the agent: the next run goes on with set, so steps must\n"
		 "bear repeating.\n"
		 "What was current can be had with mortise get --label=previous. Exit status 1: a "
		 "step of\n"
		 "a hook failed.",
	.examples = "  mortise rotate prod/db/password\n"
		    "  mortise rotate --generate=hex:32 prod/app/session-key\n"
		    "  mortise rotate --due --wait=5m",
	.run = rotate,
};
