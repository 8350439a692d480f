/* SPDX-License-Identifier: ISC */
/* exec: a command with secrets in its environment, and none of them in its output. */
#include "exec.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "args.h"
#include "array.h"
#include "child.h"
#include "memory_file.h"
#include "output.h"

/* What is left of an environment that is cleaned, besides LC_*. */
static const char *const kept[] = {
	"HOME", "LANG", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER", NULL};

static bool is_kept(const char *variable)
{
	size_t size = strcspn(variable, "=");

	for (const char *const *name = kept; *name; name++)
		if (strlen(*name) == size && strncmp(*name, variable, size) == 0)
			return true;
	return strncmp(variable, "LC_", 3) == 0;
}

static bool is_replaced(const struct exec_plan *plan, const char *variable)
{
	size_t size = strcspn(variable, "=");

	for (size_t i = 0; i < plan->count; i++)
		if (strlen(plan->variables[i].name) == size &&
			strncmp(plan->variables[i].name, variable, size) == 0)
			return true;
	return false;
}

static enum mortise_status put(struct exec_environment *environment, const char *name,
	size_t name_size, const void *value, size_t size)
{
	char *variable = malloc(name_size + size + 2);

	if (!variable || environment->count + 1 >= environment->capacity) {
		free(variable);
		errno = ENOMEM;
		return MORTISE_IO;
	}
	memcpy(variable, name, name_size);
	variable[name_size] = '=';
	if (size > 0)
		memcpy(variable + name_size + 1, value, size);
	variable[name_size + 1 + size] = '\0';
	environment->variables[environment->count++] = variable;
	return MORTISE_OK;
}

static enum mortise_status inherit(
	const struct exec_plan *plan, bool is_clean, struct exec_environment *environment)
{
	for (char **variable = environ; *variable; variable++) {
		size_t size = strcspn(*variable, "=");

		if ((is_clean && !is_kept(*variable)) || (*variable)[size] == '\0' ||
			is_replaced(plan, *variable))
			continue;
		TRY(put(environment, *variable, size, *variable + size + 1,
			strlen(*variable + size + 1)));
	}
	return MORTISE_OK;
}

static enum mortise_status put_descriptor(struct exec_environment *environment,
	const struct exec_variable *variable, const struct fetched *value)
{
	int *descriptors = array_room(
		environment->descriptors, environment->descriptor_count, sizeof *descriptors);
	char path[MEMORY_FILE_PATH_SIZE];
	int fd;

	if (!descriptors)
		return MORTISE_IO;
	environment->descriptors = descriptors;
	fd = memory_file_new(variable->name);
	if (fd < 0)
		return MORTISE_IO;
	descriptors[environment->descriptor_count++] = fd;
	TRY(memory_file_fill(fd, value->bytes, value->size));
	if (fcntl(fd, F_SETFD, 0) != 0)
		return MORTISE_IO;
	memory_file_path(fd, path);
	return put(environment, variable->name, strlen(variable->name), path, strlen(path));
}

static enum mortise_status put_variable(struct exec_environment *environment,
	const struct exec_plan *plan, const struct exec_variable *variable)
{
	const struct fetched *value;

	if (variable->item == EXEC_PLAN_LITERAL)
		return put(environment, variable->name, strlen(variable->name), variable->literal,
			strlen(variable->literal));
	value = exec_plan_value(plan, variable);
	if (variable->is_descriptor)
		return put_descriptor(environment, variable, value);
	return put(environment, variable->name, strlen(variable->name), value->bytes, value->size);
}

static enum mortise_status make(
	const struct exec_plan *plan, bool is_clean, struct exec_environment *environment)
{
	size_t capacity = plan->count + 1;

	for (char **variable = environ; *variable; variable++)
		capacity++;
	environment->variables = calloc(capacity, sizeof *environment->variables);
	if (!environment->variables)
		return MORTISE_IO;
	environment->capacity = capacity;
	TRY(inherit(plan, is_clean, environment));
	for (size_t i = 0; i < plan->count; i++)
		TRY(put_variable(environment, plan, &plan->variables[i]));
	return MORTISE_OK;
}

enum mortise_status exec_environment_make(
	const struct exec_plan *plan, bool is_clean, struct exec_environment *out_environment)
{
	struct exec_environment environment = {0};
	enum mortise_status status = make(plan, is_clean, &environment);
	int error = errno;

	if (status == MORTISE_OK)
		*out_environment = environment;
	else
		exec_environment_done(&environment);
	errno = error;
	return status;
}

void exec_environment_done(struct exec_environment *environment)
{
	for (size_t i = 0; i < environment->count; i++) {
		mortise_wipe(environment->variables[i], strlen(environment->variables[i]));
		free(environment->variables[i]);
	}
	free(environment->variables);
	for (size_t i = 0; i < environment->descriptor_count; i++)
		(void)close(environment->descriptors[i]);
	free(environment->descriptors);
	*environment = (struct exec_environment){0};
}

static int fail_system(const struct cli *cli, const char *what)
{
	return output_fail(cli, MORTISE_IO, "cannot make %s: %s", what, strerror(errno));
}

/* Nothing of the secrets is left here but what the mask needs. */
static void forget(struct cli *cli, struct exec_plan *plan)
{
	exec_plan_done(cli, plan);
	mortise_close(cli->agent);
	cli->agent = NULL;
}

static int run_instead(
	struct cli *cli, struct exec_plan *plan, struct exec_environment *environment)
{
	const struct child command = {.arguments = cli->argv + cli->operands_at,
		.variables = environment->variables,
		.core = cli->core_before};
	int error;

	forget(cli, plan);
	error = child_become(&command);
	exec_environment_done(environment);
	return child_fail(cli, cli->operands[0], error);
}

/* Of a file or a pipe nobody would notice that it is not what CMD wrote. */
static void tell_of_marks(const struct exec_streams *streams)
{
	unsigned long long output = exec_streams_replaced(streams, 0);
	unsigned long long errors = exec_streams_replaced(streams, 1);
	char text[2][48] = {"", ""};

	if (output > 0)
		(void)snprintf(text[0], sizeof text[0], "%llu in the output", output);
	if (errors > 0)
		(void)snprintf(text[1], sizeof text[1], "%s%llu in the errors",
			output > 0 ? " and " : "", errors);
	if (output + errors > 0)
		output_note("values replaced by marks: %s%s; with --no-mask it stays as it is",
			text[0], text[1]);
}

/* A command that did well while its output was lost has not done well. */
static int settle(int ending, const struct exec_streams *streams)
{
	for (int i = 0; i < EXEC_STREAM_COUNT; i++) {
		int error = streams->list[i].error;

		if (error == 0 || error == EPIPE)
			continue;
		output_note("cannot write the command's %s: %s", i == 0 ? "output" : "errors",
			strerror(error));
		if (ending == CLI_DONE)
			ending = CLI_IO;
	}
	return ending;
}

/* What is left of the secrets. */
struct rest {
	struct exec_environment *environment;
	struct mask **mask;
	struct exec_streams *streams;
};

static void forget_rest(void *context)
{
	struct rest *rest = context;

	exec_environment_done(rest->environment);
	exec_streams_done(rest->streams);
	mask_free(rest->mask);
}

/* How CMD ended is how mortise ends, unless its output is lost. */
static int finish(struct cli *cli, const struct child_end *end, const struct exec_streams *streams)
{
	(void)signal(SIGPIPE, SIG_IGN); /* nobody may listen to what mortise has to say */
	tell_of_marks(streams);
	cli->ends_by = end->signal;
	return settle(end->status, streams);
}

static int run_masked(struct cli *cli, struct exec_plan *plan, struct exec_environment *environment,
	struct mask **mask)
{
	struct exec_streams streams;
	struct rest rest = {environment, mask, &streams};
	const struct child command = {.arguments = cli->argv + cli->operands_at,
		.variables = environment->variables,
		.core = cli->core_before,
		.death_signal = SIGKILL,
		.streams = &streams,
		.forget = forget_rest,
		.context = &rest};
	struct child_end end;
	struct child_run run;
	int ending, error;

	if (exec_streams_open(*mask, &streams) != MORTISE_OK) {
		ending = fail_system(cli, "a pipe or pseudo-terminal");
		exec_environment_done(environment);
		return ending;
	}
	forget(cli, plan);
	error = child_start(&command, &run);
	exec_environment_done(environment);
	errno = error;
	if (error == 0) {
		end = child_wait(&run);
		ending = finish(cli, &end, &streams);
	} else
		ending = run.is_commands ? child_fail(cli, cli->operands[0], error)
					 : fail_system(cli, "a process");
	exec_streams_done(&streams);
	return ending;
}

static int run(struct cli *cli, struct exec_plan *plan)
{
	struct exec_environment environment;
	struct mask *mask = NULL;
	int status = exec_mask_make(cli, plan, &mask);

	if (status != CLI_DONE)
		return status;
	if (exec_environment_make(plan, args_has(cli, "clean-env"), &environment) != MORTISE_OK)
		status = fail_system(cli, "the environment");
	else if (args_has(cli, "no-mask"))
		status = run_instead(cli, plan, &environment);
	else
		status = run_masked(cli, plan, &environment, &mask);
	mask_free(&mask);
	return status;
}

static int exec(struct cli *cli)
{
	struct exec_plan plan = {0};
	int status = exec_plan_make(cli, &plan);

	if (status == CLI_DONE)
		status = run(cli, &plan);
	if (cli->agent)
		exec_plan_done(cli, &plan);
	return status;
}

static const struct option options[] = {
	{"env", 'e', "N=PATH", "variable N has the value of PATH[#FIELD]; may be repeated"},
	{"fd", 0, "N=PATH", "variable N names a file, in memory only, that has the value"},
	{"env-file", 0, "F", "variables of a .env file, mortise:PATH[#FIELD] replaced"},
	{"env-from", 0, "PREFIX/", "all right below PREFIX/: db-password as DB_PASSWORD"},
	{"clean-env", 0, NULL, "nothing else but HOME, LANG, LC_*, PATH, TERM and the like"},
	{"mask", 0, "N,..", "mask these variables' values, though they look like names"},
	{"plain", 0, "N,..", "do not mask these variables' values, and say nothing of it"},
	{"no-mask", 0, NULL, "become CMD, and leave its output alone"},
	{0},
};

const struct command command_exec = {
	.name = "exec",
	.operands = "[--] CMD [ARG...]",
	.summary = "run a command with secrets in its environment, masked in its output",
	.options = options,
	.least = 1,
	.most = INT_MAX,
	.ends_options = true,
	.verb = "read",
	.exits = {CLI_INTEGRITY, CLI_NOT_FOUND, CLI_REJECTED},
	.notes = "CMD starts when all values are there, of one moment, or not at all. Where it "
		 "prints\n"
		 "a value, plain or as base64, URLs, JSON, XML or shells spell it, its output has\n"
		 "[mortise:PATH]; values under 8 bytes are not masked, nor is what looks like a\n"
		 "name in a secret named like one (db-user). Services that are told of sockets or\n"
		 "say when they are ready want --no-mask: then CMD is the same process.\n"
		 "The exit status is CMD's, 126 or 127 if it cannot be run; a signal that ended "
		 "CMD\n"
		 "ends mortise, too. The statuses below come only before CMD starts.",
	.examples = "  mortise exec -e PGPASSWORD=prod/db/password -- pg_dump -h db shop\n"
		    "  mortise exec --fd KEY=prod/tls/key -- sh -c 'openssl rsa -in $KEY -check'\n"
		    "  mortise exec --env-file=app.env --wait=300 -- bin/app",
	.run = exec,
};
