/* SPDX-License-Identifier: ISC */
/* audit_log: who asked for what, from the agent's log; and the key that checks it. */
#include "audit_log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accounts.h"
#include "args.h"
#include "ask.h"
#include "output.h"
#include "suggest.h"
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

enum mortise_status audit_walk(
	struct cli *cli, audit_walk_take *take, void *context, char out_damage[WIRE_TEXT_MAX])
{
	uint64_t offset = 0, next = 0, total = UINT64_MAX;

	do {
		struct wire_writer *writer = client_begin(cli->agent, WIRE_AUDIT_SHOW);
		struct wire_message reply;

		offset = next;
		wire_put_number(writer, WIRE_TAG_OFFSET, offset);
		TRY(client_call(cli->agent, &reply));
		if (out_damage &&
			wire_text(&reply, WIRE_TAG_TEXT, out_damage, WIRE_TEXT_MAX) != MORTISE_OK)
			out_damage[0] = '\0';
		TRY(take_chunk(cli, wire_field_of(&reply, WIRE_TAG_CHUNK), take, context));
		next = ask_number(&reply, WIRE_TAG_OFFSET, offset);
		if (total == UINT64_MAX)
			total = ask_number(&reply, WIRE_TAG_TOTAL, 0);
	} while (next > offset && next < total);
	return MORTISE_OK;
}

#define PUBLIC_KEY_SIZE 32

struct filter {
	const char *path, *operation;
	bool has_user, has_since;
	json_int_t uid;
	uint64_t since_us, last; /* last 0: all */
};

struct view {
	const struct cli *cli;
	struct filter filter;
	json_t *kept;   /* an array; NULL: each record is printed at once */
	json_int_t uid; /* whose name is in user */
	char user[64];
};

/* Every `op` that the agent writes: docs/audit.md says what each is. */
static const char *const operations[] = {"audit-acknowledge", "audit-key", "audit-show",
	"audit-verify", "backup", "backup-stage", "backup-verify", "checkpoint", "clock-accept",
	"connect", "credential", "delete", "denials", "destroy", "doctor", "genesis", "get",
	"hello", "hygiene", "init", "joint", "list", "meta", "move", "policy-apply", "policy-check",
	"policy-may", "policy-reset", "policy-rollback", "policy-show", "policy-stage",
	"policy-who", "purged", "recover", "recovered", "rekey", "rekeyed", "rollback", "rotate",
	"seal", "set", "set-batch", "show", "slot-add", "slot-change-pin", "slot-list",
	"slot-remove", "slot-reseal", "slot-suspend", "slot-test", "start", "status", "stop",
	"undelete", "unseal", "unsealed", "verify", "watch", "whoami", NULL};

static bool is_operation(const char *word)
{
	for (size_t i = 0; operations[i]; i++)
		if (strcmp(operations[i], word) == 0)
			return true;
	return false;
}

/* The commands have blanks where the log has dashes. */
static int refuse_operation(const struct cli *cli, const char *word)
{
	struct suggest nearest = {.word = word};

	for (size_t i = 0; operations[i]; i++)
		suggest_consider(&nearest, operations[i]);
	if (nearest.found)
		return output_fail(cli, MORTISE_INVALID,
			"--op=%s: no operation has that name; did you mean %s", word,
			nearest.found);
	return output_fail(cli, MORTISE_INVALID,
		"--op=%s: no operation has that name; see: man mortise-audit", word);
}

static int read_filter(struct cli *cli, struct filter *out_filter)
{
	struct filter filter = {
		.path = args_value(cli, "path"), .operation = args_value(cli, "op")};
	const char *user = args_value(cli, "user"), *since = args_value(cli, "since");
	const struct passwd *entry = user ? accounts_user(user) : NULL;
	uint64_t uid = 0;

	if (user && !entry && (!args_number(user, &uid) || uid > UINT32_MAX))
		return output_fail(cli, MORTISE_INVALID, "no user '%s' on this host", user);
	filter.has_user = user != NULL;
	filter.uid = entry ? (json_int_t)entry->pw_uid : (json_int_t)uid;
	filter.has_since = since != NULL;
	if (since && !when_parse_past(since, &filter.since_us))
		return output_fail(cli, MORTISE_INVALID,
			"--since wants a time that was, like '2026-11-23 14:03' or "
			"2026-11-23T13:03:00Z, or how long ago, like 90m, 2h or 1d");
	if (filter.operation && !is_operation(filter.operation))
		return refuse_operation(cli, filter.operation);
	if (args_number_of(cli, "last", 1, 0, &filter.last) != CLI_DONE)
		return CLI_USAGE;
	*out_filter = filter;
	return CLI_DONE;
}

static const char *text_of(const json_t *record, const char *name)
{
	const char *text = json_string_value(json_object_get(record, name));

	return text ? text : "";
}

static uint64_t time_of(const json_t *record)
{
	char text[WHEN_TEXT_SIZE] = "";
	uint64_t time_us = 0;

	/* Down to the second: "2026-11-23T14:03:11.123456Z" */
	(void)snprintf(text, sizeof text, "%.19sZ", text_of(record, "time"));
	return when_parse_time(text, 0, &time_us) ? time_us : 0;
}

/* The agent did not believe the clock. */
static bool is_doubtful(const json_t *record)
{
	return text_of(record, "clock")[0] != '\0';
}

static bool is_wanted(const struct filter *filter, const json_t *record)
{
	const json_t *uid = json_object_get(record, "uid");

	if (filter->has_user && (!json_is_integer(uid) || json_integer_value(uid) != filter->uid))
		return false;
	if (filter->path && strcmp(filter->path, text_of(record, "path")) != 0)
		return false;
	if (filter->operation && strcmp(filter->operation, text_of(record, "op")) != 0)
		return false;
	/* When it really was is not known: better one line too many. */
	return !filter->has_since || is_doubtful(record) || time_of(record) >= filter->since_us;
}

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

static void print_record(struct view *view, const json_t *record)
{
	const json_t *uid = json_object_get(record, "uid");
	const json_t *version = json_object_get(record, "version");
	char when[WHEN_TEXT_SIZE];

	when_format_local(time_of(record), when);
	printf("%s%s #%lld", when, is_doubtful(record) ? "(?)" : "",
		(long long)json_integer_value(json_object_get(record, "seq")));
	if (json_is_integer(uid))
		printf(" %s(%lld)", user_of(view, json_integer_value(uid)),
			(long long)json_integer_value(uid));
	print_part(" ", text_of(record, "op"));
	print_part(" ", text_of(record, "path"));
	if (json_is_integer(version))
		printf(" v%lld", (long long)json_integer_value(version));
	print_part(": ", text_of(record, "result"));
	print_part(", rule ", text_of(record, "rule"));
	print_part(", ", text_of(record, "note"));
	(void)putchar('\n');
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
	if (!is_wanted(&view->filter, record)) {
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

static int finish(struct view *view, const char *damage)
{
	size_t index;
	json_t *record;

	if (view->cli->is_json)
		return output_json(json_pack("{s:O, s:o*}", "records", view->kept, "damage",
			damage[0] != '\0' ? json_string(damage) : NULL));
	json_array_foreach(view->kept, index, record) print_record(view, record);
	(void)fflush(stdout);
	if (damage[0] != '\0')
		output_note("the log is %s; see: mortise audit verify", damage);
	return CLI_DONE;
}

static int show(struct cli *cli)
{
	char damage[WIRE_TEXT_MAX] = "";
	struct view view = {.cli = cli};
	enum mortise_status status;
	struct ask_path path;
	int ending = read_filter(cli, &view.filter);

	if (ending == CLI_DONE && view.filter.path) {
		ending = ask_expand(cli, view.filter.path, &path);
		view.filter.path = path.text;
		if (ending == CLI_DONE && !ask_looks_like_path(path.text))
			ending = output_fail(cli, MORTISE_INVALID,
				"--path=%s: no path; see: mortise list -r", path.text);
	}
	if (ending != CLI_DONE)
		return ending;
	if (cli->is_json || view.filter.last > 0)
		view.kept = json_array();
	status = audit_walk(cli, take_record, &view, damage);
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
	{"path", 0, "PATH", "only requests for this secret"},
	{"op", 0, "O", "only this operation: get, set, seal, ..."},
	{"since", 0, "TIME", "only from this time on, or from so long ago: 2h"},
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
		    "  mortise audit show --since=1d --path=prod/db/password",
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
