/* SPDX-License-Identifier: ISC */
/* get: values of one moment, each with a result of its own. */
#include <string.h>

#include "client.h"

static enum mortise_status ask(struct mortise *agent, const struct mortise_wanted *wanted,
	size_t count, struct wire_message *out_reply)
{
	struct wire_writer *writer = client_begin(agent, WIRE_GET);
	size_t list = wire_list_begin(writer, WIRE_TAG_PATHS);

	for (size_t i = 0; i < count; i++)
		wire_item_put(writer, wanted[i].path, strlen(wanted[i].path));
	wire_list_end(writer, list);
	return client_call(agent, out_reply);
}

/* The next item of a reply, if it is one. */
static bool next_item(
	struct wire_list *items, struct wire_message *out_item, enum mortise_status *out_status)
{
	struct wire_field field;
	uint64_t status;

	if (!wire_list_next(items, &field) ||
		wire_parse_fields(field.bytes, field.size, out_item) != MORTISE_OK ||
		wire_number(out_item, WIRE_TAG_STATUS, &status) != MORTISE_OK ||
		status > MORTISE_REJECTED ||
		(status == MORTISE_OK && !wire_has(out_item, WIRE_TAG_VALUE)))
		return false;
	*out_status = (enum mortise_status)status;
	return true;
}

/* Before anything of it is believed. */
static bool is_answer(const struct wire_message *reply, size_t count)
{
	struct wire_list items = wire_list_of(reply, WIRE_TAG_ITEMS);
	enum mortise_status status;
	struct wire_message item;

	while (count > 0 && next_item(&items, &item, &status))
		count--;
	return count == 0 && items.at == items.end;
}

static enum mortise_status take_value(
	struct mortise *agent, const struct wire_message *item, struct mortise_wanted *wanted)
{
	const struct wire_field *value = &item->field[WIRE_TAG_VALUE];

	wanted->size = value->size;
	(void)!wire_number(item, WIRE_TAG_VERSION, &wanted->version);
	if (value->size > wanted->buffer_size)
		return client_fail(agent, MORTISE_INVALID,
			"the value has %zu bytes, more than there is room for", value->size);
	if (value->size > 0)
		memcpy(wanted->buffer, value->bytes, value->size);
	return MORTISE_OK;
}

/* The message is that of the first that fails. */
static enum mortise_status take_all(struct mortise *agent, const struct wire_message *reply,
	struct mortise_wanted *wanted, size_t count)
{
	enum mortise_status first = MORTISE_OK;
	char message[sizeof agent->message];
	struct wire_list items = wire_list_of(reply, WIRE_TAG_ITEMS);
	struct wire_message item;

	for (size_t i = 0; i < count && next_item(&items, &item, &wanted[i].status); i++) {
		wanted[i].status = wanted[i].status == MORTISE_OK
					   ? take_value(agent, &item, &wanted[i])
					   : client_fail_as(agent, wanted[i].status, &item);
		if (first != MORTISE_OK || wanted[i].status == MORTISE_OK)
			continue;
		first = wanted[i].status;
		memcpy(message, agent->message, sizeof message);
	}
	if (first != MORTISE_OK)
		memcpy(agent->message, message, sizeof message);
	return first;
}

static enum mortise_status fail_all(
	struct mortise_wanted *wanted, size_t count, enum mortise_status status)
{
	for (size_t i = 0; i < count; i++)
		wanted[i].status = status;
	return status;
}

static enum mortise_status get_each(
	struct mortise *agent, struct mortise_wanted *wanted, size_t count)
{
	struct wire_message reply;
	enum mortise_status status = ask(agent, wanted, count, &reply);

	if (status != MORTISE_OK)
		return fail_all(wanted, count, status);
	if (!is_answer(&reply, count))
		return fail_all(wanted, count,
			client_fail(agent, MORTISE_IO, "the agent's reply is malformed"));
	return take_all(agent, &reply, wanted, count);
}

enum mortise_status mortise_get_each(
	struct mortise *agent, struct mortise_wanted *wanted, size_t count)
{
	if (count == 0 || count > WIRE_BATCH_MAX)
		return client_fail(
			agent, MORTISE_INVALID, "1 to %d secrets at once", WIRE_BATCH_MAX);
	for (size_t i = 0; i < count; i++) {
		wanted[i].size = 0;
		wanted[i].version = 0;
	}
	enum mortise_status status = get_each(agent, wanted, count);
	client_wipe(agent);
	return status;
}

enum mortise_status mortise_get(
	struct mortise *agent, const char *path, void *buffer, size_t buffer_size, size_t *out_size)
{
	struct mortise_wanted wanted = {.path = path, .buffer = buffer, .buffer_size = buffer_size};
	enum mortise_status status = mortise_get_each(agent, &wanted, 1);

	if (status == MORTISE_OK || wanted.size > buffer_size)
		*out_size = wanted.size;
	return status;
}
