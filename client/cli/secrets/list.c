/* SPDX-License-Identifier: ISC */
/* list: the paths that one may see, sorted; without -r the next level only, like ls. */
#include "list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "args.h"
#include "array.h"
#include "ask.h"
#include "output.h"
#include "when.h"

#define CURSOR_MAX 512
#define UNSETTLED  4096 /* and twice what is settled */

struct cursor {
	uint8_t bytes[CURSOR_MAX];
	size_t size;
};

static bool grow(struct listing *listing)
{
	struct listing_entry *entries =
		array_room(listing->entries, listing->count, sizeof *entries);

	if (entries)
		listing->entries = entries;
	return entries != NULL;
}

/* Is it the prefix itself, or below it? */
static bool is_below(const char *path, const char *prefix)
{
	size_t size = strlen(prefix);

	return size == 0 ||
	       (strncmp(path, prefix, size) == 0 && (path[size] == '/' || path[size] == '\0'));
}

static uint64_t due_of(const struct wire_message *item)
{
	uint64_t age_s = ask_number(item, WIRE_TAG_MAX_AGE, 0);
	uint64_t made_us = ask_number(item, WIRE_TAG_NUMBER, 0);

	return age_s && made_us ? made_us + age_s * 1000000 : 0;
}

static enum mortise_status read_entry(
	const struct cli *cli, const struct wire_message *item, struct listing_entry *out_entry)
{
	char path[MORTISE_PATH_MAX + 1];

	if (wire_text(item, WIRE_TAG_PATH, path, sizeof path) != MORTISE_OK)
		return client_fail(cli->agent, MORTISE_IO, "the agent's reply is malformed");
	*out_entry = (struct listing_entry){.path = strdup(path),
		.version = ask_number(item, WIRE_TAG_VERSION, 0),
		.created_us = ask_number(item, WIRE_TAG_TIME, 0),
		.due_us = due_of(item),
		.is_deleted = ask_flag(item, WIRE_TAG_DELETED)};
	return out_entry->path ? MORTISE_OK : client_fail(cli->agent, MORTISE_IO, "out of memory");
}

/* Takes the entry over, or forgets it. */
static void add(struct listing *listing, const struct listing_entry *entry, const char *prefix)
{
	if (!is_below(entry->path, prefix) ||
		(listing->takes && !listing->takes(listing->context, listing, entry))) {
		free(entry->path);
		return;
	}
	listing->entries[listing->count++] = *entry;
	if (listing->takes && listing->count >= 2 * listing->settled + UNSETTLED)
		listing_settle(listing);
}

static enum mortise_status add_items(const struct cli *cli, const struct wire_message *reply,
	const char *prefix, struct listing *listing)
{
	struct wire_list items = wire_list_of(reply, WIRE_TAG_ITEMS);
	struct wire_message item;

	while (ask_next(&items, &item)) {
		struct listing_entry entry;

		if (!grow(listing))
			return client_fail(cli->agent, MORTISE_IO, "out of memory");
		TRY(read_entry(cli, &item, &entry));
		add(listing, &entry, prefix);
	}
	if (!wire_list_is_whole(&items))
		return client_fail(cli->agent, MORTISE_IO, "the agent's reply is malformed");
	return MORTISE_OK;
}

static enum mortise_status take_cursor(
	struct cli *cli, const struct wire_message *reply, struct cursor *cursor)
{
	const struct wire_field *field = wire_field_of(reply, WIRE_TAG_CURSOR);

	cursor->size = 0;
	if (!ask_flag(reply, WIRE_TAG_MORE))
		return MORTISE_OK;
	if (field->size == 0 || field->size > sizeof cursor->bytes)
		return client_fail(cli->agent, MORTISE_IO, "the agent's reply is malformed");
	memcpy(cursor->bytes, field->bytes, field->size);
	cursor->size = field->size;
	return MORTISE_OK;
}

enum mortise_status listing_collect(struct cli *cli, const char *prefix, struct listing *listing)
{
	struct cursor cursor = {.size = 0};

	do {
		struct wire_writer *writer = client_begin(cli->agent, WIRE_LIST);
		struct wire_message reply;

		if (cursor.size > 0)
			wire_put(writer, WIRE_TAG_CURSOR, cursor.bytes, cursor.size);
		if (prefix[0] != '\0')
			wire_put_text(writer, WIRE_TAG_PREFIX, prefix);
		TRY(client_call(cli->agent, &reply));
		listing->now_us = ask_number(&reply, WIRE_TAG_TIME, 0);
		TRY(add_items(cli, &reply, prefix, listing));
		TRY(take_cursor(cli, &reply, &cursor));
	} while (cursor.size > 0);
	return MORTISE_OK;
}

void listing_fold(const struct listing_entry *entry, const char *prefix)
{
	size_t size = strlen(prefix);
	char *below = entry->path + size, *slash;

	below += size > 0 && *below == '/';
	slash = strchr(below, '/');
	if (slash)
		slash[1] = '\0';
}

static int compare(const void *one, const void *other)
{
	return strcmp(((const struct listing_entry *)one)->path,
		((const struct listing_entry *)other)->path);
}

void listing_settle(struct listing *listing)
{
	struct listing_entry *entries = listing->entries;
	size_t kept = 0;

	if (listing->count > 0)
		qsort(entries, listing->count, sizeof *entries, compare);
	for (size_t i = 0; i < listing->count; i++)
		if (kept > 0 && compare(&entries[kept - 1], &entries[i]) == 0)
			free(entries[i].path);
		else
			entries[kept++] = entries[i];
	listing->count = listing->settled = kept;
}

void listing_done(struct listing *listing)
{
	for (size_t i = 0; i < listing->count; i++)
		free(listing->entries[i].path);
	free(listing->entries);
	*listing = (struct listing){0};
}

static bool is_folded(const struct listing_entry *entry)
{
	return entry->path[strlen(entry->path) - 1] == '/';
}

static bool is_due(const struct listing_entry *entry, uint64_t now_us)
{
	return entry->due_us && entry->due_us <= now_us;
}

struct choice {
	const struct cli *cli;
	const char *prefix;
};

/* Leaves out and folds what is not asked for. */
static bool choose(void *context, const struct listing *listing, const struct listing_entry *entry)
{
	const struct choice *choice = context;
	bool is_due_wanted = args_has(choice->cli, "due");

	if (entry->is_deleted && !args_has(choice->cli, "deleted"))
		return false;
	if (is_due_wanted && !is_due(entry, listing->now_us))
		return false;
	if (!args_has(choice->cli, "recursive") && !is_due_wanted)
		listing_fold(entry, choice->prefix);
	return true;
}

static json_t *describe(const struct listing_entry *entry)
{
	char created[WHEN_TEXT_SIZE];
	json_t *object;

	if (is_folded(entry))
		return json_pack(
			"{s:o, s:b}", "path", output_json_said(entry->path), "directory", 1);
	when_format_utc(entry->created_us, created);
	object = json_pack("{s:o, s:o, s:s}", "path", output_json_said(entry->path), "version",
		output_json_number(entry->version), "created", created);
	when_format_utc(entry->due_us, created);
	if (object && entry->due_us)
		(void)json_object_set_new(object, "due", json_string(created));
	if (object && entry->is_deleted)
		(void)json_object_set_new(object, "deleted", json_true());
	return object;
}

static int print(const struct cli *cli, const struct listing *listing)
{
	json_t *list;

	if (!cli->is_json) {
		for (size_t i = 0; i < listing->count; i++) {
			output_text(listing->entries[i].path);
			puts(listing->entries[i].is_deleted && !is_folded(&listing->entries[i])
					? " (deleted)"
					: "");
		}
		return CLI_DONE;
	}
	list = json_array();
	for (size_t i = 0; i < listing->count; i++)
		if (json_array_append_new(list, describe(&listing->entries[i])) != 0) {
			json_decref(list);
			return output_json(NULL);
		}
	return output_json(json_pack("{s:o}", "secrets", list));
}

static int list(struct cli *cli)
{
	struct ask_path prefix = {""};
	struct choice choice = {cli, prefix.text};
	struct listing listing = {.takes = choose, .context = &choice};
	enum mortise_status status;
	int ending = CLI_DONE;
	size_t size;

	if (cli->operand_count == 1)
		ending = ask_expand(cli, cli->operands[0], &prefix);
	if (ending != CLI_DONE)
		return ending;
	size = strlen(prefix.text);
	if (size > 0 && prefix.text[size - 1] == '/')
		prefix.text[size - 1] = '\0';
	status = listing_collect(cli, prefix.text, &listing);
	if (status == MORTISE_OK) {
		listing_settle(&listing);
		if (listing.count == 0 && size > 0 && !cli->is_json)
			output_note("nothing that you may see is below %s", prefix.text);
		ending = print(cli, &listing);
	} else {
		ending = ask_fail(cli, status, prefix.text[0] != '\0' ? prefix.text : NULL);
	}
	listing_done(&listing);
	return ending;
}

static const struct option options[] = {
	{"recursive", 'r', NULL, "all levels"},
	{"deleted", 0, NULL, "deleted secrets too"},
	{"due", 0, NULL, "only those, of all levels, whose value is older than their max-age"},
	{0},
};

const struct command command_list = {
	.name = "list",
	.operands = "[PREFIX]",
	.summary = "list the secrets that you may see, without values",
	.options = options,
	.most = 1,
	.verb = "list",
	.notes = "A name that ends with '/' stands for everything below it.",
	.examples = "  mortise list\n"
		    "  mortise list -r prod/db\n"
		    "  mortise list --due",
	.run = list,
};
