/* SPDX-License-Identifier: ISC */
/* dev: a command with an agent of its own, for tests of programs that ask one. */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "args.h"
#include "array.h"
#include "ask.h"
#include "child.h"
#include "dev_agent.h"
#include "envfile.h"
#include "exec.h"
#include "input.h"
#include "output.h"
#include "progress.h"

/* A .env file as secrets of the environment dev: DB_PASSWORD is dev/db-password. */

struct dev_value {
	char path[MORTISE_PATH_MAX + 1];
	const char *text; /* in input */
	int line;
};

struct dev_values {
	struct dev_value *list;
	size_t count;
	struct input *input;
};

struct reading {
	const struct cli *cli;
	const char *name; /* of the file */
	struct dev_values *values;
};

/* False: no path has this name in it. */
static bool make_path(const char *name, char path[MORTISE_PATH_MAX + 1])
{
	int size = snprintf(path, MORTISE_PATH_MAX + 1, DEV_ENVIRONMENT "/%s", name);

	for (char *at = path; *at != '\0'; at++) {
		if (*at >= 'A' && *at <= 'Z')
			*at = (char)(*at - 'A' + 'a');
		else if (*at == '_')
			*at = '-';
	}
	return size <= MORTISE_PATH_MAX && path[sizeof DEV_ENVIRONMENT] != '-';
}

static int refuse(
	const struct reading *reading, const struct envfile_entry *entry, const char *wrong)
{
	return output_fail(reading->cli, MORTISE_REJECTED, "%s:%d: %s %s", reading->name,
		entry->line, entry->name, wrong);
}

static int refuse_double(const struct reading *reading, const struct envfile_entry *entry,
	const struct dev_value *first)
{
	char wrong[MORTISE_PATH_MAX + 64];

	(void)snprintf(wrong, sizeof wrong, "would be %s, and so is line %d; leave one out",
		first->path, first->line);
	return refuse(reading, entry, wrong);
}

static int take(void *context, const struct envfile_entry *entry)
{
	const struct reading *reading = context;
	struct dev_values *values = reading->values;
	struct dev_value value = {.text = entry->value, .line = entry->line}, *list;

	if (!make_path(entry->name, value.path))
		return refuse(reading, entry,
			"gives no path: it must begin with a letter and have at most 251 bytes");
	if (strncmp(entry->value, ENVFILE_REFERENCE, strlen(ENVFILE_REFERENCE)) == 0)
		return refuse(reading, entry,
			"names a secret instead of having a value; a dev agent has none yet");
	for (size_t i = 0; i < values->count; i++)
		if (strcmp(values->list[i].path, value.path) == 0)
			return refuse_double(reading, entry, &values->list[i]);
	list = array_room(values->list, values->count, sizeof *list);
	if (!list)
		return output_fail(reading->cli, MORTISE_IO, "out of memory");
	values->list = list;
	list[values->count++] = value;
	return CLI_DONE;
}

/* values starts zeroed. CLI_DONE, or an exit status after the error. */
static int dev_values_read(const struct cli *cli, const char *name, struct dev_values *values)
{
	struct reading reading = {cli, name, values};

	return envfile_input_read(cli, name, &values->input, take, &reading);
}

/* Wipes. */
static void dev_values_done(struct dev_values *values)
{
	free(values->list);
	input_free(&values->input);
	*values = (struct dev_values){0};
}

#define INIT_DEADLINE_MS 30000
#define VARIABLE         "MORTISE_SOCKET"

/* The recovery key in the answer is wiped with it: nobody needs one here. */
static enum mortise_status initialise(struct cli *cli, const char *kind)
{
	struct wire_message reply;
	enum mortise_status status;

	wire_put_text(client_begin(cli->agent, WIRE_INIT), WIRE_TAG_SLOT_KIND, kind);
	status = client_call(cli->agent, &reply);
	if (status == MORTISE_OK)
		client_wipe(cli->agent);
	return status;
}

static int make_store(struct cli *cli, const struct dev_agent *agent)
{
	static const char next[] = "so this agent has only a recovery key that nobody knows";
	enum mortise_status status = MORTISE_HARDWARE;

	if (agent->swtpm[0] == '\0')
		output_note("swtpm is not installed, %s", next);
	else {
		status = initialise(cli, "tpm2");
		if (status == MORTISE_HARDWARE)
			output_note(
				"swtpm does not work (%s), %s", mortise_message(cli->agent), next);
	}
	if (status == MORTISE_HARDWARE)
		status = initialise(cli, "none");
	if (status == MORTISE_OK)
		return CLI_DONE;
	return output_fail(
		cli, status, "the agent cannot make its store: %s", mortise_message(cli->agent));
}

static void tell_of_memory(struct cli *cli)
{
	char memory[WIRE_TEXT_MAX];

	if (ask_fact(cli, "memory", memory, sizeof memory) == MORTISE_OK &&
		strncmp(memory, "NOT LOCKED", strlen("NOT LOCKED")) == 0)
		output_note("memory cannot be locked here (RLIMIT_MEMLOCK), so this agent's values "
			    "may be swapped out");
}

static int load(struct cli *cli, const struct dev_values *values)
{
	struct progress progress = progress_begin();
	enum mortise_status status = MORTISE_OK;
	struct wire_message reply;
	size_t i = 0;

	for (; i < values->count && status == MORTISE_OK; i++) {
		const struct dev_value *value = &values->list[i];
		struct wire_writer *writer = client_begin(cli->agent, WIRE_SET);

		progress_show(&progress, "mortise: %zu of %zu secrets", i, values->count);
		wire_put_text(writer, WIRE_TAG_PATH, value->path);
		wire_put(writer, WIRE_TAG_VALUE, value->text, strlen(value->text));
		status = client_put_token(cli->agent);
		if (status == MORTISE_OK)
			status = client_call(cli->agent, &reply);
	}
	progress_clear(&progress);
	client_wipe(cli->agent);
	return status == MORTISE_OK ? CLI_DONE : ask_fail(cli, status, values->list[i - 1].path);
}

static int prepare(struct cli *cli, const struct dev_agent *agent, const struct dev_values *values)
{
	enum mortise_status status;
	int ending = dev_agent_await(cli, agent);

	if (ending != CLI_DONE)
		return ending;
	mortise_close(cli->agent);
	status = client_new(agent->socket, &cli->agent);
	if (status != MORTISE_OK)
		return output_fail(cli, status, "%s", mortise_message(cli->agent));
	mortise_set_deadline(cli->agent, INIT_DEADLINE_MS, 0);
	ending = make_store(cli, agent);
	if (ending != CLI_DONE)
		return ending;
	tell_of_memory(cli);
	return load(cli, values);
}

static int run_command(struct cli *cli, const struct child *command)
{
	struct child_run run;
	struct child_end end;
	int error = child_start(command, &run);

	if (error == 0) {
		end = child_wait(&run);
		cli->ends_by = end.signal;
		return end.status;
	}
	if (run.is_commands)
		return child_fail(cli, command->arguments[0], error);
	return output_fail(cli, MORTISE_IO, "cannot make a process: %s", strerror(error));
}

/* A shell takes SIGHUP for the end of its terminal; it would ignore SIGTERM. */
static int run_shell(struct cli *cli, struct child *command)
{
	const char *named = getenv("SHELL");
	char shell[PATH_MAX] = "/bin/sh", *arguments[] = {shell, NULL};

	if (named && named[0] == '/' && strlen(named) < sizeof shell)
		memcpy(shell, named, strlen(named) + 1);
	command->arguments = arguments;
	command->death_signal = SIGHUP;
	if (isatty(STDIN_FILENO))
		output_note("this shell has an agent of its own, which ends with it");
	return run_command(cli, command);
}

static int run(struct cli *cli, struct dev_agent *agent)
{
	struct exec_variable variable = {
		.name = (char[]){VARIABLE}, .literal = agent->socket, .item = EXEC_PLAN_LITERAL};
	const struct exec_plan plan = {.variables = &variable, .count = 1};
	struct exec_environment environment;
	int ending;

	if (exec_environment_make(&plan, false, &environment) != MORTISE_OK)
		return output_fail(
			cli, MORTISE_IO, "cannot make the environment: %s", strerror(errno));
	struct child command = {.arguments = cli->argv + cli->operands_at,
		.variables = environment.variables,
		.core = cli->core_before,
		.death_signal = SIGTERM};
	ending = cli->operand_count > 0 ? run_command(cli, &command) : run_shell(cli, &command);
	exec_environment_done(&environment);
	return ending;
}

static int dev(struct cli *cli)
{
	const char *name = args_value(cli, "env-file");
	struct dev_values values = {0};
	struct dev_agent agent;
	int ending;

	if (cli->socket_path)
		return output_fail(cli, MORTISE_INVALID,
			"dev makes an agent with a socket of its own; leave out --socket");
	if (cli->given_count > 1)
		return output_fail(cli, MORTISE_INVALID, "--env-file can be given once");
	/* The guard is forked before there are values in this process. */
	ending = dev_agent_begin(cli, &agent);
	if (ending != CLI_DONE)
		return ending;
	if (name)
		ending = dev_values_read(cli, name, &values);
	if (ending == CLI_DONE)
		ending = prepare(cli, &agent, &values);
	dev_values_done(&values);
	mortise_close(cli->agent);
	cli->agent = NULL;
	if (ending == CLI_DONE)
		ending = run(cli, &agent);
	if (!dev_agent_stop(&agent) && ending == CLI_DONE)
		output_note("the agent ended before the command did");
	return ending;
}

static const struct option options[] = {
	{"env-file", 0, "F",
		"DB_PASSWORD=... of a .env file is dev/db-password; - is standard input"},
	{0},
};

const struct command command_dev = {
	.name = "dev",
	.operands = "[--] [CMD [ARG...]]",
	.summary = "run a command, or a shell, with a throw-away agent",
	.options = options,
	.most = INT_MAX,
	.ends_options = true,
	.exits = {CLI_REJECTED},
	.notes =
		"For tests: the agent has a TPM in software (swtpm, if it is installed), and CMD\n"
		"finds it by MORTISE_SOCKET. You may do everything there, @/ stands for dev/, and\n"
		"when CMD ends nothing is left of it. It guards nothing: whoever is you can read\n"
		"what it holds, and memory that cannot be locked is not.\n"
		"The exit status is CMD's, 126 or 127 if it cannot be run; a signal that ended "
		"CMD\n"
		"ends mortise, too. The statuses below come only before CMD starts.",
	.examples = "  mortise dev -- make test\n"
		    "  mortise dev --env-file=test.env -- mortise get @/db-password\n"
		    "  mortise dev",
	.run = dev,
};
