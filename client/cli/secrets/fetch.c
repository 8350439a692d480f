/* SPDX-License-Identifier: ISC */
#include "fetch.h"

#include <string.h>

#include "args.h"
#include "output.h"
#include "output_file.h"

void fetch_drop(struct cli *cli, struct fetch *fetch)
{
	for (int i = 0; i < fetch->count; i++)
		json_decref(fetch->items[i].document);
	fetch->count = 0;
	client_wipe(cli->agent);
}

int fetch_add(struct cli *cli, struct fetch *fetch, const char *given)
{
	struct fetched item = {.given = given};
	char *hash;
	int status;

	if (fetch->count == WIRE_BATCH_MAX)
		return output_fail(cli, MORTISE_INVALID, "at most %d paths in one %s",
			WIRE_BATCH_MAX, cli->command->name);
	status = ask_expand(cli, given, &item.path);
	if (status != CLI_DONE)
		return status;
	hash = strchr(item.path.text, '#');
	if (hash) {
		*hash = '\0';
		item.field = strchr(given, '#') + 1;
	}
	fetch->items[fetch->count++] = item;
	return CLI_DONE;
}

static int request(struct cli *cli, const struct fetch *fetch, const struct fetch_version *version,
	struct wire_message *out_reply)
{
	struct wire_writer *writer = client_begin(cli->agent, WIRE_GET);
	size_t mark = wire_list_begin(writer, WIRE_TAG_PATHS);
	enum mortise_status status;

	for (int i = 0; i < fetch->count; i++)
		wire_item_put(writer, fetch->items[i].path.text, strlen(fetch->items[i].path.text));
	wire_list_end(writer, mark);
	if (version->has_number)
		wire_put_number(writer, WIRE_TAG_VERSION, version->number);
	if (version->label)
		wire_put_text(writer, WIRE_TAG_LABEL, version->label);
	status = client_call(cli->agent, out_reply);
	if (status != MORTISE_OK)
		return ask_fail(cli, status, fetch->count == 1 ? fetch->items[0].path.text : NULL);
	return CLI_DONE;
}

static enum mortise_status pick_field(const struct cli *cli, struct fetched *item)
{
	const json_t *string;

	item->document = json_loadb((const char *)item->bytes, item->size,
		JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
	if (!json_is_object(item->document))
		return client_fail(cli->agent, MORTISE_NOT_FOUND,
			"the value is no JSON object; ask for it without #%s", item->field);
	string = json_object_get(item->document, item->field);
	if (!json_is_string(string))
		return client_fail(cli->agent, MORTISE_NOT_FOUND,
			"its JSON has no string named %s; ask for it without #%s", item->field,
			item->field);
	item->bytes = (const uint8_t *)json_string_value(string);
	item->size = json_string_length(string);
	return MORTISE_OK;
}

/* The item's own failure, in words with the agent's connection. */
static enum mortise_status take_item(
	const struct cli *cli, const struct wire_message *reply, struct fetched *item)
{
	uint64_t status = ask_number(reply, WIRE_TAG_STATUS, UINT64_MAX);

	if (status > MORTISE_REJECTED || (status == MORTISE_OK && !wire_has(reply, WIRE_TAG_VALUE)))
		return client_fail(cli->agent, MORTISE_IO, "%s", ask_malformed);
	if (status != MORTISE_OK)
		return client_fail_as(cli->agent, (enum mortise_status)status, reply);
	item->version = ask_number(reply, WIRE_TAG_VERSION, 0);
	item->bytes = wire_field_of(reply, WIRE_TAG_VALUE)->bytes;
	item->size = wire_field_of(reply, WIRE_TAG_VALUE)->size;
	return item->field ? pick_field(cli, item) : MORTISE_OK;
}

static int fetch_all(
	struct cli *cli, struct fetch *fetch, const struct fetch_version *version, bool is_each)
{
	struct wire_message reply, item;
	struct wire_list items;
	int ending;

	if (fetch->count == 0)
		return CLI_DONE;
	ending = request(cli, fetch, version, &reply);
	if (ending != CLI_DONE)
		return ending;
	items = wire_list_of(&reply, WIRE_TAG_ITEMS);
	for (int i = 0; i < fetch->count; i++) {
		struct fetched *fetched = &fetch->items[i];

		if (!ask_next(&items, &item))
			return ask_fail_malformed(cli);
		fetched->status = take_item(cli, &item, fetched);
		if (fetched->status != MORTISE_OK && !is_each)
			return ask_fail(cli, fetched->status, fetched->path.text);
	}
	return wire_list_is_whole(&items) ? CLI_DONE : ask_fail_malformed(cli);
}

int fetch_values(struct cli *cli, struct fetch *fetch, const struct fetch_version *version)
{
	return fetch_all(cli, fetch, version, false);
}

int fetch_each(struct cli *cli, struct fetch *fetch, const struct fetch_version *version)
{
	return fetch_all(cli, fetch, version, true);
}

/* Values out. All of them are there before the first byte is written. */

static int choose_version(const struct cli *cli, struct fetch_version *out_version)
{
	struct fetch_version version = {
		.has_number = args_has(cli, "version"), .label = args_value(cli, "label")};

	if (args_number_of(cli, "version", 1, 0, &version.number) != CLI_DONE)
		return CLI_USAGE;
	if (version.label && version.has_number)
		return output_fail(cli, MORTISE_INVALID, "either --version or --label");
	*out_version = version;
	return CLI_DONE;
}

static json_t *describe_failure(const struct fetched *item)
{
	return json_pack("{s:s, s:s, s:i, s:s}", "path", item->path.text, "error",
		output_word(item->status), "status", output_exit(item->status), "message",
		mortise_status_text(item->status));
}

static json_t *describe_value(const struct fetched *item)
{
	json_t *value = output_json_text(item->bytes, item->size);
	const char *name = "value";
	json_t *object;

	if (!value) {
		name = "value_base64";
		value = output_json_base64(item->bytes, item->size);
	}
	object = json_pack("{s:s, s:o, s:o}", "path", item->path.text, "version",
		output_json_number(item->version), name, value);
	return object;
}

static json_t *describe(const struct fetched *item)
{
	json_t *object = item->status == MORTISE_OK ? describe_value(item) : describe_failure(item);

	if (object && item->field)
		(void)json_object_set_new(object, "field", json_string(item->field));
	return object;
}

static json_t *describe_all(const struct fetch *fetch)
{
	json_t *list = json_array();

	for (int i = 0; i < fetch->count; i++)
		if (json_array_append_new(list, describe(&fetch->items[i])) != 0) {
			json_decref(list);
			return NULL;
		}
	return json_pack("{s:o}", "secrets", list);
}

static enum mortise_status write_values(int fd, const void *context)
{
	const struct fetch *fetch = context;

	for (int i = 0; i < fetch->count; i++) {
		TRY(output_write(fd, fetch->items[i].bytes, fetch->items[i].size));
		if (fetch->count > 1)
			TRY(output_write(fd, "\n", 1));
	}
	return MORTISE_OK;
}

/* The exit status of the first that could not be had. */
static int print_each(const struct fetch *fetch)
{
	int ending = output_json(describe_all(fetch));

	for (int i = 0; i < fetch->count && ending == CLI_DONE; i++)
		ending = output_exit(fetch->items[i].status);
	return ending;
}

static int get(struct cli *cli)
{
	bool is_each = args_has(cli, "each");
	struct fetch_version version;
	struct fetch fetch = {.count = 0};
	int status;

	if (cli->is_json && args_has(cli, "out"))
		return output_fail(cli, MORTISE_INVALID, "either --json or --out");
	if (is_each && !cli->is_json)
		return output_fail(cli, MORTISE_INVALID, "--each goes with --json");
	status = choose_version(cli, &version);
	for (int i = 0; i < cli->operand_count && status == CLI_DONE; i++)
		status = fetch_add(cli, &fetch, cli->operands[i]);
	if (status == CLI_DONE)
		status = is_each ? fetch_each(cli, &fetch, &version)
				 : fetch_values(cli, &fetch, &version);
	if (status == CLI_DONE)
		status = cli->is_json ? print_each(&fetch)
				      : output_file_write(
						cli, args_value(cli, "out"), write_values, &fetch);
	fetch_drop(cli, &fetch);
	return status;
}

static const struct option options[] = {
	{"version", 0, "N", "that version, not the current one"},
	{"label", 0, "L", "current, previous or pending"},
	{"each", 0, NULL, "with --json: what can be had, and why the rest cannot"},
	{"out", 'o', "F", "into a file (0600, all at once) instead of standard output"},
	{0},
};

const struct command command_get = {
	.name = "get",
	.operands = "PATH[#FIELD]...",
	.summary = "print values",
	.options = options,
	.least = 1,
	.most = WIRE_BATCH_MAX,
	.verb = "read",
	.exits = {CLI_INTEGRITY, CLI_NOT_FOUND},
	.notes =
		"One value is printed byte for byte, several one on a line. #FIELD picks a string\n"
		"of a value that is a JSON object. Nothing is printed unless all can be had, or "
		"with\n"
		"--each, where each has its own result, and the first failure is the exit status.",
	.examples = "  mortise get prod/db/password\n"
		    "  mortise get @/db/credentials#user @/db/credentials#password\n"
		    "  mortise get --json --each prod/db/password prod/s3/key\n"
		    "  mortise get --out=/run/backup/key prod/backup/key",
	.run = get,
};
