/* SPDX-License-Identifier: ISC */
/* list: the paths that one may see, sorted; without -r the next level only, like ls. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "args.h"
#include "ask.h"
#include "listing.h"
#include "output.h"
#include "when.h"

static bool is_folded(const struct listing_entry *entry)
{
	return entry->path[strlen(entry->path) - 1] == '/';
}

static bool is_due(const struct listing_entry *entry, uint64_t now_us)
{
	return entry->due_us && entry->due_us <= now_us;
}

/* Leaves out and folds what is not asked for. */
static void choose(const struct cli *cli, const char *prefix, struct listing *listing)
{
	bool is_due_wanted = args_has(cli, "due");
	size_t kept = 0;

	for (size_t i = 0; i < listing->count; i++) {
		if (listing->entries[i].is_deleted && !args_has(cli, "deleted"))
			continue;
		if (is_due_wanted && !is_due(&listing->entries[i], listing->now_us))
			continue;
		listing->entries[kept++] = listing->entries[i];
	}
	listing->count = kept;
	if (!args_has(cli, "recursive") && !is_due_wanted)
		listing_fold(listing, prefix);
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
	if (object != NULL && entry->due_us)
		(void)json_object_set_new(object, "due", json_string(created));
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
	struct listing listing = {0};
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
		choose(cli, prefix.text, &listing);
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
