/* SPDX-License-Identifier: ISC */
#include "rotation.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fetch.h"
#include "memory_file.h"
#include "rotate_hook.h"

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
	const struct wire_field *value = &reply.field[WIRE_TAG_VALUE];
	if (rotation->was_pending && (value->bytes == NULL || value->size > MORTISE_VALUE_MAX))
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
	if (value == NULL)
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

	if (generate == NULL && !ask_hook(work))
		return false;
	if (generate == NULL && work->value->size > 0)
		return true;
	if (generate == NULL && generate_parse("password:32", &password) == NULL)
		generate = &password;
	if (generate == NULL || generate_value(generate, work->value) != MORTISE_OK)
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

bool rotation_run(struct cli *cli, struct rotation *rotation)
{
	CLEANUP(work_done)
	struct work work = {.cli = cli,
		.rotation = rotation,
		.value = input_new(),
		.hook = {.current_fd = -1},
		.pending_fd = -1};

	return work.value == NULL ? fail(rotation, MORTISE_IO, NULL, "out of memory") : run(&work);
}

bool rotation_abort(struct cli *cli, struct rotation *rotation)
{
	CLEANUP(work_done)
	struct work work = {.cli = cli,
		.rotation = rotation,
		.value = input_new(),
		.hook = {.current_fd = -1},
		.pending_fd = -1};

	if (work.value == NULL)
		return fail(rotation, MORTISE_IO, NULL, "out of memory");
	return look(&work) && (!rotation->was_pending || end(&work, STEP_ABORT, "abort"));
}
