/* SPDX-License-Identifier: ISC */
/* audit_log: who asked for what, from the agent's log; and the key that checks it. */
#include "audit_log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "accounts.h"
#include "args.h"
#include "ask.h"
#include "audit_filter.h"
#include "output.h"
#include "when.h"

static enum mortise_status take_chunk(
	struct cli *cli, const struct wire_field *chunk, audit_walk_take *take, void *context)
{
	const char *at = (const char *)chunk->bytes, *end = at + chunk->size;

	while (at < end) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));

		if (!newline)
			return client_fail(
				cli->agent, MORTISE_IO, "the agent's reply is malformed");
		TRY(take(context, at, (size_t)(newline - at)));
		at = newline + 1;
	}
	return MORTISE_OK;
}

/* From *offset on, to where the log ended when it was asked first; there *offset is then. */
static enum mortise_status walk_from(struct cli *cli, uint64_t *offset, audit_walk_take *take,
	void *context, char out_damage[WIRE_TEXT_MAX])
{
	uint64_t before = 0, total = UINT64_MAX;

	do {
		struct wire_writer *writer = client_begin(cli->agent, WIRE_AUDIT_SHOW);
		struct wire_message reply;

		before = *offset;
		wire_put_number(writer, WIRE_TAG_OFFSET, before);
		TRY(client_call(cli->agent, &reply));
		if (out_damage &&
			wire_text(&reply, WIRE_TAG_TEXT, out_damage, WIRE_TEXT_MAX) != MORTISE_OK)
			out_damage[0] = '\0';
		TRY(take_chunk(cli, wire_field_of(&reply, WIRE_TAG_CHUNK), take, context));
		*offset = ask_number(&reply, WIRE_TAG_OFFSET, before);
		if (total == UINT64_MAX)
			total = ask_number(&reply, WIRE_TAG_TOTAL, 0);
	} while (*offset > before && *offset < total);
	return MORTISE_OK;
}

enum mortise_status audit_walk(
	struct cli *cli, audit_walk_take *take, void *context, char out_damage[WIRE_TEXT_MAX])
{
	uint64_t offset = 0;

	return walk_from(cli, &offset, take, context, out_damage);
}

#define PUBLIC_KEY_SIZE 32
#define FOLLOW_S        1

struct view {
	const struct cli *cli;
	struct audit_filter filter;
	bool is_utc, is_reverse, follows;
	bool has_failed; /* to print */
	json_t *kept;    /* an array; NULL: each record is printed at once */
	json_int_t uid;  /* whose name is in user */
	char user[64];
};

/* Records of one caller tend to follow each other: the last name is kept. */
static const char *user_of(struct view *view, json_int_t uid)
{
	const struct passwd *entry;

	if (view->user[0] != '\0' && view->uid == uid)
		return view->user;
	entry = accounts_user_of((uid_t)uid);
	view->uid = uid;
	(void)snprintf(view->user, sizeof view->user, "%s", entry ? entry->pw_name : "uid");
	return view->user;
}

static void print_part(const char *before, const char *text)
{
	if (text[0] == '\0')
		return;
	fputs(before, stdout);
	output_text(text);
}

static void print_line(struct view *view, const json_t *record)
{
	const json_t *uid = json_object_get(record, "uid");
	const json_t *version = json_object_get(record, "version");
	char when[WHEN_TEXT_SIZE];

	(view->is_utc ? when_format_utc_second : when_format_local)(audit_time_of(record), when);
	printf("%s%s #%lld", when, audit_is_doubtful(record) ? "(?)" : "",
		(long long)json_integer_value(json_object_get(record, "seq")));
	if (json_is_integer(uid))
		printf(" %s(%lld)", user_of(view, json_integer_value(uid)),
			(long long)json_integer_value(uid));
	print_part(" ", audit_text_of(record, "op"));
	print_part(" ", audit_text_of(record, "path"));
	if (json_is_integer(version))
		printf(" v%lld", (long long)json_integer_value(version));
	print_part(": ", audit_text_of(record, "result"));
	print_part(", rule ", audit_text_of(record, "rule"));
	print_part(", in ", audit_text_of(record, "unit"));
	print_part(", by ", audit_text_of(record, "exe"));
	print_part(", ", audit_text_of(record, "note"));
	(void)putchar('\n');
}

static void print_record(struct view *view, json_t *record)
{
	if (!view->cli->is_json)
		print_line(view, record);
	else
		view->has_failed |= output_json(json_incref(record)) != CLI_DONE;
}

static enum mortise_status take_record(void *context, const char *line, size_t size)
{
	struct view *view = context;
	json_t *record = json_loadb(line, size, 0, NULL);

	if (!json_is_object(record)) {
		json_decref(record);
		return client_fail(view->cli->agent, MORTISE_INTEGRITY,
			"a line of the audit log is no JSON; run: mortise audit verify");
	}
	if (!audit_filter_takes(&view->filter, record)) {
		json_decref(record);
		return MORTISE_OK;
	}
	if (!view->kept) {
		print_record(view, record);
		json_decref(record);
		return MORTISE_OK;
	}
	if (json_array_append_new(view->kept, record) != 0)
		return client_fail(view->cli->agent, MORTISE_IO, "out of memory");
	if (view->filter.last > 0 && json_array_size(view->kept) > view->filter.last)
		(void)json_array_remove(view->kept, 0);
	return MORTISE_OK;
}

/* An admin has sealed it, or it is busy: it may go on. */
static bool is_passing(enum mortise_status status)
{
	return status == MORTISE_SEALED || status == MORTISE_BUSY;
}

static void print_kept(struct view *view)
{
	size_t count = json_array_size(view->kept);

	for (size_t i = 0; i < count; i++)
		print_record(
			view, json_array_get(view->kept, view->is_reverse ? count - 1 - i : i));
}

static json_t *reversed(const json_t *array)
{
	json_t *other = json_array();

	for (size_t i = json_array_size(array); i > 0; i--)
		if (json_array_append(other, json_array_get(array, i - 1)) != 0) {
			json_decref(other);
			return NULL;
		}
	return other;
}

static int finish(struct view *view, const char *damage)
{
	if (view->cli->is_json)
		return output_json(json_pack("{s:o, s:o*}", "records",
			view->is_reverse ? reversed(view->kept) : json_incref(view->kept), "damage",
			damage[0] != '\0' ? json_string(damage) : NULL));
	print_kept(view);
	(void)fflush(stdout);
	if (damage[0] != '\0')
		output_note("the log is %s; see: mortise audit verify", damage);
	return CLI_DONE;
}

/* The records of one look, printed. False: nobody takes them. */
static bool put_out(struct view *view)
{
	if (view->kept) /* --last is of what was there */
		print_kept(view);
	json_decref(view->kept);
	view->kept = NULL;
	return !view->has_failed && fflush(stdout) == 0 && !ferror(stdout);
}

/* Ends by a signal, when the agent does, or when nobody takes what it prints. */
static int follow(struct cli *cli, struct view *view)
{
	char damage[WIRE_TEXT_MAX] = "", told[WIRE_TEXT_MAX] = "";
	enum mortise_status status = MORTISE_OK;
	uint64_t offset = 0;
	bool has_begun = false;

	while (status == MORTISE_OK || (has_begun && is_passing(status))) {
		status = walk_from(cli, &offset, take_record, view, damage);
		has_begun |= status == MORTISE_OK;
		if (!put_out(view))
			return output_fail(cli, MORTISE_IO, "standard output takes no more");
		if (strcmp(damage, told) != 0 && damage[0])
			output_note("the log is %s; see: mortise audit verify", damage);
		memcpy(told, damage, sizeof told);
		if (status == MORTISE_OK || is_passing(status))
			(void)sleep(FOLLOW_S);
	}
	return ask_fail(cli, status, NULL);
}

static int check_follow(const struct cli *cli, const struct view *view)
{
	if (view->follows && view->is_reverse)
		return output_fail(cli, MORTISE_INVALID,
			"--follow has no newest record to begin with; leave --reverse out");
	if (view->follows && view->filter.until_us)
		return output_fail(cli, MORTISE_INVALID,
			"what --follow waits for comes after --until; leave one of them out");
	return CLI_DONE;
}

static int show(struct cli *cli)
{
	char damage[WIRE_TEXT_MAX] = "";
	struct view view = {.cli = cli,
		.is_utc = args_has(cli, "utc"),
		.is_reverse = args_has(cli, "reverse"),
		.follows = args_has(cli, "follow")};
	int ending = audit_filter_read(cli, &view.filter);

	if (ending == CLI_DONE)
		ending = check_follow(cli, &view);
	if (ending != CLI_DONE)
		return ending;
	if ((cli->is_json && !view.follows) || view.filter.last > 0 || view.is_reverse)
		view.kept = json_array();
	if (view.follows)
		return follow(cli, &view);
	enum mortise_status status = audit_walk(cli, take_record, &view, damage);
	ending = status == MORTISE_OK ? finish(&view, damage) : ask_fail(cli, status, NULL);
	json_decref(view.kept);
	return ending;
}

static int public_key(struct cli *cli)
{
	const struct wire_field *key;
	struct wire_message reply;
	enum mortise_status status;
	char hex[2 * PUBLIC_KEY_SIZE + 1];

	(void)client_begin(cli->agent, WIRE_AUDIT_KEY);
	status = client_call(cli->agent, &reply);
	if (status != MORTISE_OK)
		return ask_fail(cli, status, NULL);
	key = wire_field_of(&reply, WIRE_TAG_CHUNK);
	if (key->size != PUBLIC_KEY_SIZE)
		return ask_fail_malformed(cli);
	for (size_t i = 0; i < PUBLIC_KEY_SIZE; i++)
		(void)snprintf(hex + 2 * i, 3, "%02x", key->bytes[i]);
	if (cli->is_json)
		return output_json(json_pack("{s:s}", "public_key", hex));
	puts(hex);
	return CLI_DONE;
}

static int acknowledge(struct cli *cli)
{
	const char *note = args_value(cli, "note");
	struct wire_message reply;

	if (!note)
		return output_fail(cli, MORTISE_INVALID,
			"what was damaged, and why is that known? say it with --note=TEXT; it goes "
			"on record");
	struct wire_writer *writer = client_begin(cli->agent, WIRE_AUDIT_ACKNOWLEDGE);
	if (cli->is_dry_run)
		wire_put_number(writer, WIRE_TAG_DRY_RUN, 1);
	wire_put_text(writer, WIRE_TAG_NOTE, note);
	enum mortise_status status = client_call(cli->agent, &reply);
	if (status != MORTISE_OK)
		return ask_fail(cli, status, NULL);
	uint64_t count = ask_number(&reply, WIRE_TAG_NUMBER, 0);
	if (cli->is_json)
		return output_json(json_pack("{s:b, s:b, s:o}", "changed", count > 0, "dry_run",
			cli->is_dry_run, "gaps", output_json_number(count)));
	if (count == 0)
		puts("there is no damage that nobody has acknowledged");
	else
		printf("%llu %s: %s\n", (unsigned long long)count, count == 1 ? "gap" : "gaps",
			cli->is_dry_run ? "would be acknowledged" : "acknowledged");
	return CLI_DONE;
}

static const struct option show_options[] = {
	{"last", 0, "N", "only the last N of what is shown"},
	{"user", 'u', "U", "only requests of this user, by name or number"},
	{"path", 0, "PATH", "only requests for this secret, or those of a pattern: 'prod/**'"},
	{"op", 0, "O", "only this operation: get, set, seal, ..."},
	{"result", 0, "R", "only what came to this: ok, denied, not-found, ..."},
	{"unit", 0, "UNIT", "only requests from within this unit, as far as it is known"},
	{"rule", 0, "RULE", "only what this rule decided"},
	{"since", 0, "TIME", "only from this time on, or from so long ago: 2h"},
	{"until", 0, "TIME", "only up to this time"},
	{"reverse", 0, NULL, "the newest first"},
	{"follow", 'f', NULL, "go on with what comes; with --json a record on each line"},
	{"utc", 0, NULL, "times in UTC"},
	{0},
};

const struct command command_audit_show = {
	.name = "audit show",
	.operands = "",
	.summary = "print who asked for what, and what came of it",
	.options = show_options,
	.verb = "audit",
	.exits = {CLI_INTEGRITY},
	.examples = "  mortise audit show --last=20\n"
		    "  mortise audit show --since=1d --path='prod/db/*' --result=denied\n"
		    "  mortise audit show --follow --user=backup",
	.run = show,
};

static const struct option acknowledge_options[] = {
	{"note", 0, "TEXT", "what was damaged, and why that is known; on record"},
	{0},
};

const struct command command_audit_acknowledge = {
	.name = "audit acknowledge",
	.operands = "",
	.summary = "say that the damage of the audit log is known",
	.options = acknowledge_options,
	.changes_something = true,
	.verb = "admin",
	.notes = "Ends what status, doctor and the agent's log say of it. audit verify then goes\n"
		 "on behind the damage, and names it; a line that was changed stays a bad record.",
	.examples = "  mortise audit acknowledge --note='disk full on the 3rd; see ticket 812'",
	.run = acknowledge,
};

const struct command command_audit_public_key = {
	.name = "audit public-key",
	.operands = "",
	.summary = "print the log's first public key; keep it on another host",
	.verb = "audit",
	.examples = "  mortise audit public-key",
	.run = public_key,
};
