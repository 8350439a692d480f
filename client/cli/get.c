/* SPDX-License-Identifier: ISC */
/* get: values out. All of them are there before the first byte is written. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "args.h"
#include "ask.h"
#include "input.h"
#include "output.h"

struct wanted {
	const char *given;
	struct ask_path path;
	const char *field; /* of a JSON value; NULL: all of the value */
	uint64_t version;
	const uint8_t *bytes; /* in the agent's reply, or in document */
	size_t size;
	json_t *document;
};

struct batch {
	struct wanted wanted[WIRE_BATCH_MAX];
	int count;
};

static void drop(struct batch *batch)
{
	for (int i = 0; i < batch->count; i++)
		json_decref(batch->wanted[i].document);
}

static int expand(struct cli *cli, struct batch *batch)
{
	if (cli->operand_count > WIRE_BATCH_MAX)
		return output_fail(
			cli, MORTISE_INVALID, "at most %d paths in one get", WIRE_BATCH_MAX);
	for (int i = 0; i < cli->operand_count; i++) {
		struct wanted *wanted = &batch->wanted[i];
		char *hash;
		int status = ask_expand(cli, cli->operands[i], &wanted->path);

		if (status != CLI_DONE)
			return status;
		wanted->given = cli->operands[i];
		hash = strchr(wanted->path.text, '#');
		if (hash != NULL) {
			*hash = '\0';
			wanted->field = strchr(wanted->given, '#') + 1;
		}
	}
	batch->count = cli->operand_count;
	return CLI_DONE;
}

static int request(struct cli *cli, const struct batch *batch, struct wire_message *out_reply)
{
	const char *label = args_value(cli, "label");
	struct wire_writer *writer;
	enum mortise_status status;
	uint64_t version;
	size_t mark;

	if (args_number_of(cli, "version", 0, &version) != CLI_DONE)
		return CLI_USAGE;
	if (label != NULL && args_has(cli, "version"))
		return output_fail(cli, MORTISE_INVALID, "either --version or --label");
	writer = client_begin(cli->agent, WIRE_GET);
	mark = wire_list_begin(writer, WIRE_TAG_PATHS);
	for (int i = 0; i < batch->count; i++)
		wire_item_put(
			writer, batch->wanted[i].path.text, strlen(batch->wanted[i].path.text));
	wire_list_end(writer, mark);
	if (args_has(cli, "version"))
		wire_put_number(writer, WIRE_TAG_VERSION, version);
	if (label != NULL)
		wire_put_text(writer, WIRE_TAG_LABEL, label);
	status = client_call(cli->agent, out_reply);
	if (status != MORTISE_OK)
		return ask_fail(cli, status, batch->count == 1 ? batch->wanted[0].path.text : NULL);
	return CLI_DONE;
}

static int pick_field(const struct cli *cli, struct wanted *wanted)
{
	const json_t *string;

	wanted->document = json_loadb((const char *)wanted->bytes, wanted->size,
		JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
	if (!json_is_object(wanted->document))
		return output_fail(cli, MORTISE_NOT_FOUND,
			"%s: the value is no JSON object; get it without #%s", wanted->path.text,
			wanted->field);
	string = json_object_get(wanted->document, wanted->field);
	if (!json_is_string(string))
		return output_fail(cli, MORTISE_NOT_FOUND, "%s: its JSON has no string named %s",
			wanted->path.text, wanted->field);
	wanted->bytes = (const uint8_t *)json_string_value(string);
	wanted->size = json_string_length(string);
	return CLI_DONE;
}

static int take_item(const struct cli *cli, const struct wire_message *item, struct wanted *wanted)
{
	uint64_t status = ask_number(item, WIRE_TAG_STATUS, UINT64_MAX);

	if (status > MORTISE_REJECTED || (status == MORTISE_OK && !wire_has(item, WIRE_TAG_VALUE)))
		return ask_fail_malformed(cli);
	if (status != MORTISE_OK) {
		(void)client_fail_as(cli->agent, (enum mortise_status)status, item);
		return ask_fail(cli, (enum mortise_status)status, wanted->path.text);
	}
	wanted->version = ask_number(item, WIRE_TAG_VERSION, 0);
	wanted->bytes = item->field[WIRE_TAG_VALUE].bytes;
	wanted->size = item->field[WIRE_TAG_VALUE].size;
	return wanted->field != NULL ? pick_field(cli, wanted) : CLI_DONE;
}

static int take_reply(const struct cli *cli, const struct wire_message *reply, struct batch *batch)
{
	struct wire_list items = wire_list_of(reply, WIRE_TAG_ITEMS);
	struct wire_message item;

	for (int i = 0; i < batch->count; i++) {
		int status;

		if (!ask_next(&items, &item))
			return ask_fail_malformed(cli);
		status = take_item(cli, &item, &batch->wanted[i]);
		if (status != CLI_DONE)
			return status;
	}
	return wire_list_is_whole(&items) ? CLI_DONE : ask_fail_malformed(cli);
}

static json_t *describe(const struct wanted *wanted)
{
	json_t *value = output_json_text(wanted->bytes, wanted->size);
	const char *name = "value";
	json_t *object;

	if (value == NULL) {
		name = "value_base64";
		value = output_json_base64(wanted->bytes, wanted->size);
	}
	object = json_pack("{s:s, s:o, s:o}", "path", wanted->path.text, "version",
		output_json_number(wanted->version), name, value);
	if (object != NULL && wanted->field != NULL)
		(void)json_object_set_new(object, "field", json_string(wanted->field));
	return object;
}

static json_t *describe_all(const struct batch *batch)
{
	json_t *list = json_array();

	for (int i = 0; i < batch->count; i++)
		if (json_array_append_new(list, describe(&batch->wanted[i])) != 0) {
			json_decref(list);
			return NULL;
		}
	return json_pack("{s:o}", "secrets", list);
}

static enum mortise_status write_values(int fd, const struct batch *batch)
{
	for (int i = 0; i < batch->count; i++) {
		TRY(output_write(fd, batch->wanted[i].bytes, batch->wanted[i].size));
		if (batch->count > 1)
			TRY(output_write(fd, "\n", 1));
	}
	return MORTISE_OK;
}

static int deliver(const struct cli *cli, const struct batch *batch)
{
	const char *name = args_value(cli, "out");
	enum mortise_status status;
	struct input_file file;
	int error;

	if (cli->is_json)
		return output_json(describe_all(batch));
	if (name == NULL)
		name = "-";
	status = input_file_begin(name, &file);
	if (status == MORTISE_OK) {
		status = write_values(file.fd, batch);
		if (status == MORTISE_OK)
			status = input_file_commit(&file);
		error = errno;
		input_file_abandon(&file);
		errno = error;
	}
	if (status == MORTISE_OK)
		return CLI_DONE;
	return output_fail(cli, status, "cannot write to %s: %s",
		strcmp(name, "-") == 0 ? "standard output" : name, strerror(errno));
}

static int get(struct cli *cli)
{
	struct batch batch = {.count = 0};
	struct wire_message reply;
	int status;

	if (cli->is_json && args_has(cli, "out"))
		return output_fail(cli, MORTISE_INVALID, "either --json or --out");
	status = expand(cli, &batch);
	if (status == CLI_DONE)
		status = request(cli, &batch, &reply);
	if (status == CLI_DONE)
		status = take_reply(cli, &reply, &batch);
	if (status == CLI_DONE)
		status = deliver(cli, &batch);
	drop(&batch);
	return status;
}

static const struct option options[] = {
	{"version", 0, "N", "that version, not the current one"},
	{"label", 0, "L", "current or previous"},
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
		"of a value that is a JSON object. Nothing is printed unless all can be had.",
	.examples = "  mortise get prod/db/password\n"
		    "  mortise get @/db/credentials#user @/db/credentials#password\n"
		    "  mortise get --out=/run/backup/key prod/backup/key",
	.run = get,
};
