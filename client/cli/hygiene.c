/* SPDX-License-Identifier: ISC */
#include "hygiene.h"

#include <stdlib.h>
#include <string.h>

#include "args.h"
#include "hygiene_log.h"
#include "output.h"
#include "progress.h"
#include "when.h"

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
	if (text != NULL && !when_parse_past(text, out_older_than_us))
		return output_fail(cli, MORTISE_INVALID,
			"--older-than wants how long ago, like 90d, or a time like 2026-01-31");
	return CLI_DONE;
}

static enum mortise_status add(
	struct cli *cli, struct hygiene *hygiene, const struct hygiene_finding *finding)
{
	size_t capacity = hygiene->capacity == 0 ? 64 : hygiene->capacity * 2;

	if (hygiene->count == hygiene->capacity) {
		struct hygiene_finding *findings =
			reallocarray(hygiene->findings, capacity, sizeof *findings);

		if (findings == NULL)
			return client_fail(cli->agent, MORTISE_IO, "out of memory");
		hygiene->findings = findings;
		hygiene->capacity = capacity;
	}
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
	const struct wire_field *next = &reply->field[WIRE_TAG_CURSOR];
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

static int compare(const void *one, const void *other)
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
		qsort(hygiene->findings, hygiene->count, sizeof hygiene->findings[0], compare);
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
