/* SPDX-License-Identifier: ISC */
/* list: the paths that one may see, sorted; without -r the next level only, like ls. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "args.h"
#include "ask.h"
#include "output.h"
#include "when.h"

struct entry {
	char path[MORTISE_PATH_MAX + 2]; /* with a '/' at its end it stands for all below */
	uint64_t version, created_us;
	bool is_deleted;
};

struct listing {
	const struct cli *cli;
	const char *prefix;
	struct entry *entries;
	size_t count, capacity;
};

static bool grow(struct listing *listing)
{
	size_t capacity = listing->capacity == 0 ? 256 : listing->capacity * 2;
	struct entry *entries;

	if (listing->count < listing->capacity)
		return true;
	entries = reallocarray(listing->entries, capacity, sizeof *entries);
	if (entries == NULL)
		return false;
	listing->entries = entries;
	listing->capacity = capacity;
	return true;
}

/* Is it the prefix itself, or below it? */
static bool is_below(const char *path, const char *prefix)
{
	size_t size = strlen(prefix);

	return size == 0 ||
	       (strncmp(path, prefix, size) == 0 && (path[size] == '/' || path[size] == '\0'));
}

/* Cuts what is deeper than the next level. */
static void fold(struct entry *entry, const char *prefix)
{
	size_t skip = strlen(prefix);
	char *slash;

	skip += skip > 0 && entry->path[skip] == '/';
	slash = strchr(entry->path + skip, '/');
	if (slash != NULL)
		slash[1] = '\0';
}

static enum mortise_status add_item(void *context, const struct wire_message *item)
{
	struct listing *listing = context;
	const struct cli *cli = listing->cli;
	struct entry *entry;

	if (!grow(listing))
		return client_fail(cli->agent, MORTISE_IO, "out of memory");
	entry = &listing->entries[listing->count];
	TRY(ask_take_path(cli, item, entry->path));
	entry->version = ask_number(item, WIRE_TAG_VERSION, 0);
	entry->created_us = ask_number(item, WIRE_TAG_TIME, 0);
	entry->is_deleted = ask_flag(item, WIRE_TAG_DELETED);
	if (!is_below(entry->path, listing->prefix) ||
		(entry->is_deleted && !args_has(cli, "deleted")))
		return MORTISE_OK;
	if (!args_has(cli, "recursive"))
		fold(entry, listing->prefix);
	listing->count++;
	return MORTISE_OK;
}

static int compare(const void *one, const void *other)
{
	return strcmp(((const struct entry *)one)->path, ((const struct entry *)other)->path);
}

static bool is_folded(const struct entry *entry)
{
	return entry->path[strlen(entry->path) - 1] == '/';
}

/* Sorts, and keeps one of each. */
static void settle(struct listing *listing)
{
	size_t kept = 0;

	if (listing->count == 0)
		return;
	qsort(listing->entries, listing->count, sizeof *listing->entries, compare);
	for (size_t i = 1; i < listing->count; i++)
		if (compare(&listing->entries[kept], &listing->entries[i]) != 0)
			listing->entries[++kept] = listing->entries[i];
	listing->count = kept + 1;
}

static json_t *describe(const struct entry *entry)
{
	char created[WHEN_TEXT_SIZE];
	json_t *object;

	if (is_folded(entry))
		return json_pack("{s:s, s:b}", "path", entry->path, "directory", 1);
	when_format_utc(entry->created_us, created);
	object = json_pack("{s:s, s:o, s:s}", "path", entry->path, "version",
		output_json_number(entry->version), "created", created);
	if (object != NULL && entry->is_deleted)
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
	struct listing listing = {.cli = cli, .prefix = prefix.text};
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
	status = ask_list(cli, prefix.text, add_item, &listing);
	if (status == MORTISE_OK) {
		settle(&listing);
		ending = print(cli, &listing);
	} else {
		ending = ask_fail(cli, status, prefix.text[0] != '\0' ? prefix.text : NULL);
	}
	free(listing.entries);
	return ending;
}

static const struct option options[] = {
	{"recursive", 'r', NULL, "all levels"},
	{"deleted", 0, NULL, "deleted secrets too"},
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
		    "  mortise list -r prod/db",
	.run = list,
};
