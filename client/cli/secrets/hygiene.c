/* SPDX-License-Identifier: ISC */
#include "hygiene.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "args.h"
#include "array.h"
#include "audit_filter.h"
#include "audit_log.h"
#include "list.h"
#include "output.h"
#include "progress.h"
#include "when.h"

/* Which of the secrets that one may list were ever read, by the audit log. */

struct hygiene_secret {
	char path[MORTISE_PATH_MAX + 1];
	bool is_read;
};

struct hygiene_log {
	struct hygiene_secret *secrets; /* by path */
	size_t count;
};

struct walk {
	struct progress *progress;
	struct hygiene_log *log;
	unsigned long long lines;
};

static int by_path(const void *one, const void *other)
{
	return strcmp(((const struct hygiene_secret *)one)->path,
		((const struct hygiene_secret *)other)->path);
}

static void note_read(struct hygiene_log *log, const json_t *record)
{
	const char *path = audit_text_of(record, "path");
	struct hygiene_secret key = {.is_read = false}, *found;

	if (!audit_is_reading(record) || strlen(path) > MORTISE_PATH_MAX)
		return;
	memcpy(key.path, path, strlen(path) + 1);
	found = bsearch(&key, log->secrets, log->count, sizeof key, by_path);
	if (found)
		found->is_read = true;
}

/* Is it worth taking apart? Most lines of most logs are gets. */
static bool may_be_reading(const char *line, size_t size)
{
	static const char get[] = "\"op\":\"get\"", credential[] = "\"op\":\"credential\"";

	return memmem(line, size, get, sizeof get - 1) ||
	       memmem(line, size, credential, sizeof credential - 1);
}

static enum mortise_status take_line(void *context, const char *line, size_t size)
{
	struct walk *walk = context;

	progress_show(walk->progress, "looked through %llu lines of the audit log", ++walk->lines);
	if (!may_be_reading(line, size))
		return MORTISE_OK;
	json_t *record = json_loadb(line, size, 0, NULL);
	note_read(walk->log, record);
	json_decref(record);
	return MORTISE_OK;
}

static enum mortise_status list_secrets(struct cli *cli, struct hygiene_log *log)
{
	struct listing listing = {0};
	enum mortise_status status = listing_collect(cli, "", &listing);

	if (status == MORTISE_OK && listing.count > 0) {
		log->secrets = calloc(listing.count, sizeof *log->secrets);
		if (!log->secrets)
			status = client_fail(cli->agent, MORTISE_IO, "out of memory");
	}
	for (size_t i = 0; i < listing.count && status == MORTISE_OK; i++)
		if (!listing.entries[i].is_deleted)
			snprintf(log->secrets[log->count++].path, MORTISE_PATH_MAX + 1, "%s",
				listing.entries[i].path);
	listing_done(&listing);
	return status;
}

static enum mortise_status hygiene_log_collect(
	struct cli *cli, struct progress *progress, struct hygiene_log *log)
{
	struct walk walk = {progress, log, 0};

	TRY(list_secrets(cli, log));
	if (log->count > 0)
		qsort(log->secrets, log->count, sizeof log->secrets[0], by_path);
	return audit_walk(cli, take_line, &walk, NULL);
}

static void hygiene_log_done(struct hygiene_log *log)
{
	free(log->secrets);
	*log = (struct hygiene_log){0};
}

static json_t *describe(const struct hygiene_finding *finding)
{
	json_t *object = json_pack("{s:s, s:o}", "kind", hygiene_word(finding->kind), "path",
		output_json_said(finding->path));
	char made[WHEN_TEXT_SIZE];

	if (object && finding->group != 0)
		(void)json_object_set_new(object, "group", output_json_number(finding->group));
	when_format_utc(finding->made_us, made);
	if (object && finding->made_us != 0)
		(void)json_object_set_new(object, "made", json_string(made));
	return object;
}

static int print_json(const struct hygiene *hygiene)
{
	json_t *findings = json_array();

	for (size_t i = 0; i < hygiene->count; i++)
		(void)json_array_append_new(findings, describe(&hygiene->findings[i]));
	return output_json(
		json_pack("{s:o, s:b}", "findings", findings, "log_examined", hygiene->has_log));
}

static bool is_beside(const struct hygiene_finding *one, const struct hygiene_finding *other)
{
	return one->group != 0 && one->kind == other->kind && one->group == other->group;
}

/* A line a secret, and one for all that share a value. */
static void print_findings(const struct hygiene *hygiene)
{
	for (size_t i = 0; i < hygiene->count; i++) {
		const struct hygiene_finding *finding = &hygiene->findings[i];
		char made[WHEN_TEXT_SIZE];

		if (i > 0 && is_beside(finding, finding - 1)) {
			(void)putchar(' ');
		} else
			printf("%s%s: ", i > 0 ? "\n" : "", hygiene_text(finding->kind));
		output_text(finding->path);
		when_format_local(finding->made_us, made);
		if (finding->made_us != 0)
			printf(", of %s", made);
	}
	if (hygiene->count > 0)
		(void)putchar('\n');
}

static int hygiene(struct cli *cli)
{
	struct hygiene found = {0};
	uint64_t older_than_us;
	int ending = hygiene_read_age(cli, &older_than_us);

	if (ending != CLI_DONE)
		return ending;
	enum mortise_status status = hygiene_collect(cli, older_than_us, &found);
	if (status != MORTISE_OK) {
		hygiene_done(&found);
		return ask_fail(cli, status, NULL);
	}
	ending = found.count > 0 ? CLI_FOUND : CLI_DONE;
	if (!found.has_log)
		output_note("what was never read is not known: it needs the verb audit, too");
	if (cli->is_json && print_json(&found) != CLI_DONE)
		ending = CLI_IO;
	if (!cli->is_json)
		print_findings(&found);
	if (!cli->is_json && found.count == 0)
		output_note("%llu secrets were examined: nothing was found",
			(unsigned long long)found.examined);
	hygiene_done(&found);
	return ending;
}

static const struct option options[] = {
	{"older-than", 0, "TIME", "also values older than that, like 90d"},
	{0},
};

const struct command command_hygiene = {
	.name = "hygiene",
	.operands = "",
	.summary = "find values that are used twice, too old, or never read",
	.options = options,
	.verb = "admin",
	.exits = {CLI_FOUND, CLI_INTEGRITY, CLI_CONFLICT},
	.notes =
		"The agent compares fingerprints under a key of its own, and tells which secrets "
		"share "
		"a\n"
		"value; neither values nor fingerprints leave it. Empty values are left out. What "
		"was "
		"never\n"
		"read is seen in the audit log, by the present path, and needs the verbs audit and "
		"list.\n"
		"Exit status 1: something was found.",
	.examples = "  mortise hygiene\n"
		    "  mortise hygiene --older-than=365d --json",
	.run = hygiene,
};

#define CURSOR_MAX 64

static const struct {
	const char *word, *text;
} kinds[HYGIENE_KINDS] = {
	[HYGIENE_ENVIRONMENTS] = {"environments", "one value in several environments"},
	[HYGIENE_REUSED] = {"reused", "one value for several secrets"},
	[HYGIENE_OVERDUE] = {"overdue", "older than its max-age"},
	[HYGIENE_OLD] = {"old", "older than asked for"},
	[HYGIENE_NEVER_READ] = {"never_read", "never read, as far as the log goes back"},
};

const char *hygiene_text(enum hygiene_kind kind)
{
	return kinds[kind].text;
}

const char *hygiene_word(enum hygiene_kind kind)
{
	return kinds[kind].word;
}

int hygiene_read_age(const struct cli *cli, uint64_t *out_older_than_us)
{
	const char *text = args_value(cli, "older-than");

	*out_older_than_us = 0;
	if (text && !when_parse_past(text, out_older_than_us))
		return output_fail(cli, MORTISE_INVALID,
			"--older-than wants how long ago, like 90d, or a time like 2026-01-31");
	return CLI_DONE;
}

static enum mortise_status add(
	struct cli *cli, struct hygiene *hygiene, const struct hygiene_finding *finding)
{
	struct hygiene_finding *findings =
		array_room(hygiene->findings, hygiene->count, sizeof *findings);

	if (!findings)
		return client_fail(cli->agent, MORTISE_IO, "out of memory");
	hygiene->findings = findings;
	hygiene->findings[hygiene->count++] = *finding;
	return MORTISE_OK;
}

/* One that shares a value has NUMBER, one that is old TIME. */
static enum mortise_status take_item(
	struct cli *cli, const struct wire_message *item, struct hygiene *hygiene)
{
	struct hygiene_finding finding = {.kind = HYGIENE_REUSED};

	finding.group = ask_number(item, WIRE_TAG_NUMBER, 0);
	finding.made_us = ask_number(item, WIRE_TAG_TIME, 0);
	if (finding.group == 0)
		finding.kind = wire_has(item, WIRE_TAG_MAX_AGE) ? HYGIENE_OVERDUE : HYGIENE_OLD;
	if (wire_text(item, WIRE_TAG_PATH, finding.path, sizeof finding.path) != MORTISE_OK)
		return client_fail(cli->agent, MORTISE_IO, "the agent's reply is malformed");
	return add(cli, hygiene, &finding);
}

struct cursor {
	uint8_t bytes[CURSOR_MAX];
	size_t size;
};

static enum mortise_status take_page(struct cli *cli, const struct wire_message *reply,
	struct cursor *cursor, struct hygiene *hygiene)
{
	const struct wire_field *next = wire_field_of(reply, WIRE_TAG_CURSOR);
	struct wire_list items = wire_list_of(reply, WIRE_TAG_ITEMS);
	struct wire_message item;

	while (ask_next(&items, &item))
		TRY(take_item(cli, &item, hygiene));
	if (!wire_list_is_whole(&items) ||
		(ask_flag(reply, WIRE_TAG_MORE) &&
			(next->size == 0 || next->size > sizeof cursor->bytes)))
		return client_fail(cli->agent, MORTISE_IO, "the agent's reply is malformed");
	cursor->size = ask_flag(reply, WIRE_TAG_MORE) ? next->size : 0;
	if (cursor->size > 0)
		memcpy(cursor->bytes, next->bytes, cursor->size);
	return MORTISE_OK;
}

/* Over one connection: what was seen so far is the agent's to remember. */
static enum mortise_status ask_pages(
	struct cli *cli, uint64_t older_than_us, struct progress *progress, struct hygiene *hygiene)
{
	struct cursor cursor = {.size = 0};

	do {
		struct wire_writer *writer = client_begin(cli->agent, WIRE_HYGIENE);
		struct wire_message reply;

		if (cursor.size > 0)
			wire_put(writer, WIRE_TAG_CURSOR, cursor.bytes, cursor.size);
		wire_put_number(writer, WIRE_TAG_TIME, older_than_us);
		TRY(client_call(cli->agent, &reply));
		TRY(take_page(cli, &reply, &cursor, hygiene));
		hygiene->examined = ask_number(&reply, WIRE_TAG_DONE, 0);
		progress_show(progress, "examined %llu of %llu secrets",
			(unsigned long long)ask_number(&reply, WIRE_TAG_DONE, 0),
			(unsigned long long)ask_number(&reply, WIRE_TAG_TOTAL, 0));
	} while (cursor.size > 0);
	return MORTISE_OK;
}

static size_t environment_size(const char *path)
{
	return strcspn(path, "/");
}

static bool is_same_environment(const char *one, const char *other)
{
	size_t size = environment_size(one);

	return size == environment_size(other) && strncmp(one, other, size) == 0;
}

static int by_worth(const void *one, const void *other)
{
	const struct hygiene_finding *a = one, *b = other;

	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	if (a->group != b->group)
		return a->group < b->group ? -1 : 1;
	return strcmp(a->path, b->path);
}

static void sort(struct hygiene *hygiene)
{
	if (hygiene->count > 0)
		qsort(hygiene->findings, hygiene->count, sizeof hygiene->findings[0], by_worth);
}

/* The findings are in order, those of a group side by side; one alone shares with nobody now. */
static void judge_groups(struct hygiene *hygiene)
{
	size_t end, kept = 0;

	for (size_t at = 0; at < hygiene->count; at = end) {
		struct hygiene_finding *first = &hygiene->findings[at];
		bool is_across = false;

		for (end = at + 1; end < hygiene->count && first->group != 0 &&
				   hygiene->findings[end].group == first->group;
			end++)
			is_across = is_across ||
				    !is_same_environment(first->path, hygiene->findings[end].path);
		if (first->group != 0 && end - at == 1)
			continue;
		for (size_t i = at; i < end; i++) {
			hygiene->findings[kept] = hygiene->findings[i];
			if (is_across)
				hygiene->findings[kept].kind = HYGIENE_ENVIRONMENTS;
			kept++;
		}
	}
	hygiene->count = kept;
	sort(hygiene);
}

/* Who has not the verb audit, or may list nothing, still learns the rest. */
static enum mortise_status add_never_read(
	struct cli *cli, struct progress *progress, struct hygiene *hygiene)
{
	struct hygiene_log log = {0};
	enum mortise_status status = hygiene_log_collect(cli, progress, &log);

	hygiene->has_log = status == MORTISE_OK;
	for (size_t i = 0; i < log.count && status == MORTISE_OK; i++) {
		struct hygiene_finding finding = {.kind = HYGIENE_NEVER_READ};

		if (log.secrets[i].is_read)
			continue;
		memcpy(finding.path, log.secrets[i].path, sizeof finding.path);
		status = add(cli, hygiene, &finding);
	}
	hygiene_log_done(&log);
	return status == MORTISE_DENIED ? MORTISE_OK : status;
}

enum mortise_status hygiene_collect(
	struct cli *cli, uint64_t older_than_us, struct hygiene *hygiene)
{
	struct progress progress = progress_begin();
	enum mortise_status status = client_pin(cli->agent);

	if (status == MORTISE_OK)
		status = ask_pages(cli, older_than_us, &progress, hygiene);
	client_unpin(cli->agent);
	if (status == MORTISE_OK) {
		sort(hygiene);
		judge_groups(hygiene);
	}
	if (status == MORTISE_OK && !hygiene->leaves_out_log)
		status = add_never_read(cli, &progress, hygiene);
	progress_clear(&progress);
	return status;
}

void hygiene_done(struct hygiene *hygiene)
{
	free(hygiene->findings);
	*hygiene = (struct hygiene){0};
}
