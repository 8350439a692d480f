/* SPDX-License-Identifier: ISC */
/* rotate: a new value for a secret, by way of its hook. */
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "args.h"
#include "ask.h"
#include "child.h"
#include "cli.h"
#include "fetch.h"
#include "generate.h"
#include "input.h"
#include "list.h"
#include "memory_file.h"
#include "output.h"

/*
 * One secret's way to a new value: create, set, test, finish, and only then is the new version the
 * current one. Whatever fails before leaves the current version as it was; the value to come then
 * stays pending in the agent, and the next run goes on with `set`. Prints nothing.
 */

struct rotation {
	struct ask_path path;
	const struct generate *generate; /* NULL: the hook's create step, or a password */
	uint64_t before, version;        /* current at first; the new one */
	bool was_pending, has_hook;
	const char *step;           /* that failed; NULL: none did, or none was begun */
	enum mortise_status status; /* of the agent; MORTISE_OK: it was the hook */
	char text[WIRE_TEXT_MAX];   /* what went wrong; "": nothing */
	int signal;                 /* that mortise was to end by meanwhile; 0: none */
};

/*
 * The executable that carries a new value to where it is used. It is run as whoever runs mortise,
 * so it must be one that nobody else could have put there. "HOOK STEP PATH", with the files
 * MORTISE_PENDING and MORTISE_CURRENT, and their descriptors MORTISE_PENDING_FD and
 * MORTISE_CURRENT_FD: nothing secret is in its arguments or environment.
 */

struct rotate_hook {
	const char *file, *path; /* of the executable; of the secret */
	int current_fd;          /* sealed; -1: it has none */
};

/* In a directory with the sticky bit, others can't replace what is not theirs. */
static bool is_closed(const struct stat *facts)
{
	bool is_sticky = S_ISDIR(facts->st_mode) && (facts->st_mode & S_ISVTX) != 0;

	return (facts->st_uid == 0 || facts->st_uid == geteuid()) &&
	       ((facts->st_mode & (S_IWGRP | S_IWOTH)) == 0 || is_sticky ||
		       S_ISLNK(facts->st_mode));
}

/* The file and each directory above it, as the name spells them. */
static bool is_way_closed(const char *file)
{
	char prefix[PATH_MAX];
	size_t size = strlen(file);
	struct stat facts;

	if (size >= sizeof prefix)
		return false;
	memcpy(prefix, file, size + 1);
	for (size_t end = size; end > 0; end--) {
		if (file[end] != '/' && file[end] != '\0')
			continue;
		prefix[end] = '\0';
		if (lstat(prefix, &facts) != 0 || !is_closed(&facts))
			return false;
	}
	return lstat("/", &facts) == 0 && is_closed(&facts);
}

/* Can it be run, and by nobody's choice but root's or the caller's? Else what is wrong with it. */
static bool rotate_hook_check(const char *file, char *out_wrong, size_t size)
{
	char resolved[PATH_MAX];
	struct stat facts;
	const char *wrong = NULL;

	if (file[0] != '/')
		wrong = "is not an absolute path";
	else if (!realpath(file, resolved) || stat(resolved, &facts) != 0)
		wrong = strerror(errno);
	else if (!S_ISREG(facts.st_mode) || access(resolved, X_OK) != 0)
		wrong = "is not an executable file";
	else if (!is_way_closed(file) || !is_way_closed(resolved))
		wrong = "could have been put there by others: it and each directory above it must "
			"be root's or yours, and not writable by group or others";
	if (wrong)
		(void)snprintf(out_wrong, size, "the hook %s: %s", file, wrong);
	return !wrong;
}

/* A descriptor that is given, and its path; nothing of one that is not there. */
static void give(struct child *child, const char *fd_name, const char *path_name, int fd,
	char path[MEMORY_FILE_PATH_SIZE])
{
	if (fd >= 0)
		memory_file_path(fd, path);
	child->given[child->given_count++] = (struct child_given){fd_name, NULL, fd};
	child->given[child->given_count++] =
		(struct child_given){path_name, fd >= 0 ? path : NULL, -1};
}

/* Its standard output is mortise's standard error. */
static struct child_end rotate_hook_run(
	const struct cli *cli, const struct rotate_hook *hook, const char *step, int pending_fd)
{
	char *const arguments[] = {
		(char *)(uintptr_t)hook->file,
		(char *)(uintptr_t)step,
		(char *)(uintptr_t)hook->path,
		NULL,
	};
	char pending[MEMORY_FILE_PATH_SIZE], current[MEMORY_FILE_PATH_SIZE];
	struct child child = {
		.arguments = arguments,
		.output_to_errors = true,
		.core = cli->core_before,
	};

	give(&child, "MORTISE_PENDING_FD", "MORTISE_PENDING", pending_fd, pending);
	give(&child, "MORTISE_CURRENT_FD", "MORTISE_CURRENT", hook->current_fd, current);
	if (cli->socket_path)
		child.given[child.given_count++] =
			(struct child_given){"MORTISE_SOCKET", cli->socket_path, -1};
	return child_run(&child);
}

#define HOOK_SIZE 256
/* What runs outside may have taken the new value already: the agent may take its time. */
#define PATIENCE_MS 30000

enum { STEP_LOOK, STEP_BEGIN, STEP_PROMOTE, STEP_ABORT };

/* What is held while the steps run. */
struct work {
	struct cli *cli;
	struct rotation *rotation;
	struct input *value;
	bool may_read;
	char file[HOOK_SIZE];
	struct rotate_hook hook;
	int pending_fd;
};

static bool fail(struct rotation *rotation, enum mortise_status status, const char *step,
	const char *format, ...) __attribute__((format(printf, 4, 5)));

static bool fail(struct rotation *rotation, enum mortise_status status, const char *step,
	const char *format, ...)
{
	va_list arguments;

	rotation->status = status;
	rotation->step = step;
	va_start(arguments, format);
	(void)vsnprintf(rotation->text, sizeof rotation->text, format, arguments);
	va_end(arguments);
	return false;
}

static bool fail_agent(struct work *work, enum mortise_status status, const char *step)
{
	return fail(work->rotation, status, step, "%s", mortise_message(work->cli->agent));
}

static struct wire_writer *begin(struct work *work)
{
	struct wire_writer *writer = client_begin(work->cli->agent, WIRE_ROTATE);

	wire_put_text(writer, WIRE_TAG_PATH, work->rotation->path.text);
	return writer;
}

static bool look(struct work *work)
{
	struct rotation *rotation = work->rotation;
	struct wire_writer *writer = begin(work);
	struct wire_message reply;

	wire_put_number(writer, WIRE_TAG_NUMBER, STEP_LOOK);
	enum mortise_status status = client_call(work->cli->agent, &reply);
	if (status != MORTISE_OK)
		return fail_agent(work, status, NULL);
	rotation->before = ask_number(&reply, WIRE_TAG_VERSION, 0);
	rotation->version = ask_number(&reply, WIRE_TAG_NUMBER, 0);
	rotation->was_pending = rotation->version != 0;
	work->may_read = wire_has(&reply, WIRE_TAG_VERB);
	if (wire_has(&reply, WIRE_TAG_HOOK) &&
		wire_text(&reply, WIRE_TAG_HOOK, work->file, sizeof work->file) != MORTISE_OK)
		return fail(rotation, MORTISE_IO, NULL, "the agent's reply is malformed");
	rotation->has_hook = work->file[0] != '\0';
	const struct wire_field *value = wire_field_of(&reply, WIRE_TAG_VALUE);
	if (rotation->was_pending && (!value->bytes || value->size > MORTISE_VALUE_MAX))
		return fail(rotation, MORTISE_IO, NULL, "the agent's reply is malformed");
	work->value->size = value->size;
	if (value->size > 0)
		memcpy(work->value->bytes, value->bytes, value->size);
	client_wipe(work->cli->agent);
	return true;
}

/* For the hook: who may not read it has none. */
static bool fetch_current(struct work *work)
{
	struct rotation *rotation = work->rotation;
	size_t size = 0;

	if (!work->may_read || rotation->before == 0)
		return true;
	CLEANUP(input_free) struct input *value = input_new();
	if (!value)
		return fail(rotation, MORTISE_IO, NULL, "out of memory");
	enum mortise_status status = mortise_get(
		work->cli->agent, rotation->path.text, value->bytes, MORTISE_VALUE_MAX, &size);
	if (status != MORTISE_OK)
		return fail_agent(work, status, NULL);
	work->hook.current_fd = memory_file_new("current");
	if (work->hook.current_fd < 0 ||
		memory_file_fill(work->hook.current_fd, value->bytes, size) != MORTISE_OK)
		return fail(rotation, MORTISE_IO, NULL, "cannot make a file in memory: %s",
			strerror(errno));
	return true;
}

static bool run_hook(struct work *work, const char *step, int pending_fd)
{
	struct rotation *rotation = work->rotation;
	struct child_end end = rotate_hook_run(work->cli, &work->hook, step, pending_fd);

	rotation->signal = end.asked;
	if (end.error != 0)
		return fail(rotation, MORTISE_OK, step, "the hook %s: %s", work->file,
			strerror(end.error));
	if (end.status != 0)
		return fail(rotation, MORTISE_OK, step, "the hook %s: exit status %d", work->file,
			end.status);
	if (end.asked != 0)
		return fail(rotation, MORTISE_OK, step, "interrupted");
	return true;
}

/* A hook that writes nothing leaves it to mortise. One line loses its newline, as for `set`. */
static bool ask_hook(struct work *work)
{
	struct input *value = work->value;
	int fd = memory_file_new("create");
	bool is_done = fd >= 0 && run_hook(work, "create", fd);
	enum mortise_status status = is_done ? memory_file_read(fd, value) : MORTISE_OK;

	if (fd < 0 || status == MORTISE_IO)
		is_done = fail(work->rotation, MORTISE_IO, "create",
			"cannot make or read a file in memory: %s", strerror(errno));
	else if (status == MORTISE_INVALID)
		is_done = fail(work->rotation, MORTISE_OK, "create",
			"the hook wrote more than a value may have, %d bytes", MORTISE_VALUE_MAX);
	if (fd >= 0)
		(void)close(fd);
	if (is_done && input_is_line(value))
		value->size--;
	return is_done;
}

static bool make_value(struct work *work)
{
	const struct generate *generate = work->rotation->generate;
	struct generate password;

	if (!generate && !ask_hook(work))
		return false;
	if (!generate && work->value->size > 0)
		return true;
	if (!generate && !generate_parse("password:32", &password))
		generate = &password;
	if (!generate || generate_value(generate, work->value) != MORTISE_OK)
		return fail(
			work->rotation, MORTISE_IO, "create", "the kernel gives no random bytes");
	return true;
}

/* From here on the value is in the agent, and a later run finds it there. */
static bool create(struct work *work)
{
	struct wire_writer *writer;
	struct wire_message reply;

	if (work->rotation->was_pending)
		return true;
	if (!make_value(work))
		return false;
	writer = begin(work);
	wire_put(writer, WIRE_TAG_VALUE, work->value->bytes, work->value->size);
	enum mortise_status status = client_put_token(work->cli->agent);
	wire_put_number(writer, WIRE_TAG_NUMBER, STEP_BEGIN);
	if (status == MORTISE_OK)
		status = client_call(work->cli->agent, &reply);
	if (status != MORTISE_OK)
		return fail_agent(work, status, "create");
	work->rotation->version = ask_number(&reply, WIRE_TAG_VERSION, 0);
	return true;
}

static bool use_value(struct work *work)
{
	work->pending_fd = memory_file_new("pending");
	if (work->pending_fd < 0 || memory_file_fill(work->pending_fd, work->value->bytes,
					    work->value->size) != MORTISE_OK)
		return fail(work->rotation, MORTISE_IO, "set", "cannot make a file in memory: %s",
			strerror(errno));
	return run_hook(work, "set", work->pending_fd) &&
	       run_hook(work, "test", work->pending_fd) &&
	       run_hook(work, "finish", work->pending_fd);
}

static bool end(struct work *work, uint64_t step, const char *name)
{
	struct wire_writer *writer = begin(work);
	struct wire_message reply;

	wire_put_number(writer, WIRE_TAG_VERSION, work->rotation->version);
	wire_put_number(writer, WIRE_TAG_NUMBER, step);
	if (work->cli->is_dry_run)
		wire_put_number(writer, WIRE_TAG_DRY_RUN, 1);
	enum mortise_status status = client_call(work->cli->agent, &reply);
	return status == MORTISE_OK || fail_agent(work, status, name);
}

static bool check_hook(struct work *work)
{
	struct rotation *rotation = work->rotation;
	char wrong[WIRE_TEXT_MAX];

	if (!rotation->has_hook)
		return fail(rotation, MORTISE_REJECTED, NULL,
			"it has no hook to take a new value to where it is used; an admin can run: "
			"mortise meta --hook=FILE %s",
			rotation->path.text);
	work->hook.file = work->file;
	work->hook.path = rotation->path.text;
	return rotate_hook_check(work->file, wrong, sizeof wrong) ||
	       fail(rotation, MORTISE_REJECTED, NULL, "%s", wrong);
}

static bool run(struct work *work)
{
	struct cli *cli = work->cli;
	int patience_ms = cli->wait_ms > PATIENCE_MS ? cli->wait_ms : PATIENCE_MS;
	bool is_done;

	if (!look(work) || !check_hook(work))
		return false;
	if (cli->is_dry_run)
		return true;
	if (!fetch_current(work))
		return false;
	mortise_set_deadline(cli->agent, CLIENT_DEADLINE_MS, patience_ms);
	is_done = create(work) && use_value(work) && end(work, STEP_PROMOTE, "promote");
	mortise_set_deadline(cli->agent, CLIENT_DEADLINE_MS, cli->wait_ms);
	return is_done;
}

static void work_done(struct work *work)
{
	if (work->hook.current_fd >= 0)
		(void)close(work->hook.current_fd);
	if (work->pending_fd >= 0)
		(void)close(work->pending_fd);
	client_wipe(work->cli->agent);
	input_free(&work->value);
}

/* True if the secret has its new version (or would have, in a dry run). */
static bool rotation_run(struct cli *cli, struct rotation *rotation)
{
	CLEANUP(work_done)
	struct work work = {.cli = cli,
		.rotation = rotation,
		.value = input_new(),
		.hook = {.current_fd = -1},
		.pending_fd = -1};

	return !work.value ? fail(rotation, MORTISE_IO, NULL, "out of memory") : run(&work);
}

/* Takes the pending value away. False with what went wrong; none is no error: version is 0. */
static bool rotation_abort(struct cli *cli, struct rotation *rotation)
{
	CLEANUP(work_done)
	struct work work = {.cli = cli,
		.rotation = rotation,
		.value = input_new(),
		.hook = {.current_fd = -1},
		.pending_fd = -1};

	if (!work.value)
		return fail(rotation, MORTISE_IO, NULL, "out of memory");
	return look(&work) && (!rotation->was_pending || end(&work, STEP_ABORT, "abort"));
}

/* Every secret that is overdue and that one may rotate. */

struct tally {
	json_t *rotated, *failed; /* NULL unless --json */
	unsigned failures, no_hook;
};

static void put(json_t *array, json_t *object)
{
	if (array && object)
		(void)json_array_append_new(array, object);
}

static void tell_done(const struct cli *cli, const struct rotation *rotation, struct tally *tally)
{
	put(tally->rotated, !tally->rotated
				    ? NULL
				    : json_pack("{s:s, s:o}", "path", rotation->path.text,
					      "version", output_json_number(rotation->version)));
	if (cli->is_json)
		return;
	if (cli->is_dry_run)
		printf("%s: would be rotated\n", rotation->path.text);
	else
		printf("%s: version %llu\n", rotation->path.text,
			(unsigned long long)rotation->version);
	(void)fflush(stdout);
}

/* Of who may not rotate it a secret is none of his business, due or not. */
static void tell_failure(const struct rotation *rotation, struct tally *tally)
{
	if (rotation->status == MORTISE_DENIED && !rotation->step)
		return;
	if (rotation->status == MORTISE_REJECTED && !rotation->has_hook) {
		tally->no_hook++;
		return;
	}
	tally->failures++;
	if (rotation->step)
		output_note("%s: step %s: %s", rotation->path.text, rotation->step, rotation->text);
	else
		output_note("%s: %s", rotation->path.text, rotation->text);
	if (tally->failed)
		put(tally->failed, json_pack("{s:s, s:s?, s:s}", "path", rotation->path.text,
					   "step", rotation->step, "message", rotation->text));
}

/* 0, or the signal that ends it. */
static int rotate_all(struct cli *cli, const struct listing *listing,
	const struct generate *generate, struct tally *tally)
{
	for (size_t i = 0; i < listing->count; i++) {
		const struct listing_entry *entry = &listing->entries[i];
		struct rotation rotation = {.generate = generate};

		snprintf(rotation.path.text, sizeof rotation.path.text, "%s", entry->path);
		if (rotation_run(cli, &rotation))
			tell_done(cli, &rotation, tally);
		else
			tell_failure(&rotation, tally);
		if (rotation.signal != 0)
			return rotation.signal;
	}
	return 0;
}

struct due {
	bool has_any; /* that one may list, due or not */
};

static bool take_due(
	void *context, const struct listing *listing, const struct listing_entry *entry)
{
	struct due *due = context;

	due->has_any = true;
	return !entry->is_deleted && entry->due_us != 0 && entry->due_us <= listing->now_us;
}

/* Goes on after a failure, which it tells; the exit status is then 1. generate may be NULL. */
static int rotate_due(struct cli *cli, const struct generate *generate)
{
	struct due due = {.has_any = false};
	struct listing listing = {.takes = take_due, .context = &due};
	struct tally tally = {0};
	enum mortise_status status = listing_collect(cli, "", &listing);
	int signal = 0, ending;

	if (status == MORTISE_OK && !due.has_any)
		output_note(
			"there is no secret that you may list; what is to be rotated here needs "
			"a rule with: allow = list rotate");
	if (status != MORTISE_OK) {
		listing_done(&listing);
		return ask_fail(cli, status, NULL);
	}
	if (cli->is_json) {
		tally.rotated = json_array();
		tally.failed = json_array();
	}
	signal = rotate_all(cli, &listing, generate, &tally);
	listing_done(&listing);
	if (tally.no_hook > 0)
		output_note("due, but without a hook: %u; see: mortise list --due", tally.no_hook);
	ending = tally.failures > 0 ? CLI_FOUND : CLI_DONE;
	if (cli->is_json && output_json(json_pack("{s:b, s:b, s:o, s:o}", "changed",
				    json_array_size(tally.rotated) > 0 && !cli->is_dry_run,
				    "dry_run", cli->is_dry_run, "rotated", tally.rotated, "failed",
				    tally.failed)) != CLI_DONE)
		return CLI_IO;
	cli->ends_by = signal;
	return signal != 0 ? 128 + signal : ending;
}

/* Says whether the old value is still the current one: that decides what to do next. */
static int fail_at(struct cli *cli, const struct rotation *rotation)
{
	const char *path = rotation->path.text;
	unsigned long long before = rotation->before;
	char next[MORTISE_PATH_MAX + 160] = "";

	if (!rotation->step &&
		(rotation->status == MORTISE_REJECTED || rotation->status == MORTISE_IO))
		return output_fail(cli, rotation->status, "%s: %s", path, rotation->text);
	if (!rotation->step)
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
	const char *wrong = text ? generate_parse(text, generate) : NULL;

	if (wrong)
		return output_fail(
			cli, MORTISE_INVALID, "--generate: %s; see: mortise set --help", wrong);
	if (text && generate->bits < GENERATE_STRONG_BITS)
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
	return rotation_run(cli, &rotation) ? report(cli, &rotation) : fail_at(cli, &rotation);
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
