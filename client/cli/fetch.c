/* SPDX-License-Identifier: ISC */
#include "fetch.h"

#include <string.h>

#include "output.h"

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
	if (hash != NULL) {
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
	if (version->label != NULL)
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
	item->bytes = reply->field[WIRE_TAG_VALUE].bytes;
	item->size = reply->field[WIRE_TAG_VALUE].size;
	return item->field != NULL ? pick_field(cli, item) : MORTISE_OK;
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
