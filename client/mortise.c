/* SPDX-License-Identifier: ISC */
#include "mortise.h"

#include <string.h>

#include "client.h"
#include "connection.h"

enum mortise_status mortise_open(const char *socket_path, struct mortise **out_agent)
{
	TRY(client_new(socket_path, out_agent));
	return connection_ready(*out_agent, client_now_ms() + CLIENT_DEADLINE_MS);
}

void mortise_set_deadline(struct mortise *agent, int deadline_ms, int wait_ms)
{
	agent->deadline_ms = deadline_ms;
	agent->wait_ms = wait_ms;
}

/* The one item of a get of one path; anything else is not what was asked for. */
static enum mortise_status only_item(
	struct mortise *agent, const struct wire_message *reply, struct wire_message *out_item)
{
	struct wire_list items = wire_list_of(reply, WIRE_TAG_ITEMS);
	struct wire_message item;
	struct wire_field field;
	uint64_t status;

	if (!wire_list_next(&items, &field) || items.at != items.end ||
		wire_parse_fields(field.bytes, field.size, &item) != MORTISE_OK ||
		wire_number(&item, WIRE_TAG_STATUS, &status) != MORTISE_OK ||
		status > MORTISE_REJECTED ||
		(status == MORTISE_OK && !wire_has(&item, WIRE_TAG_VALUE)))
		return client_fail(agent, MORTISE_IO, "the agent's reply is malformed");
	if (status != MORTISE_OK)
		return client_fail_as(agent, (enum mortise_status)status, &item);
	*out_item = item;
	return MORTISE_OK;
}

static enum mortise_status get(
	struct mortise *agent, const char *path, void *buffer, size_t buffer_size, size_t *out_size)
{
	struct wire_writer *writer = client_begin(agent, WIRE_GET);
	size_t mark = wire_list_begin(writer, WIRE_TAG_PATHS);
	struct wire_message reply, item = {0};
	const struct wire_field *value;

	wire_item_put(writer, path, strlen(path));
	wire_list_end(writer, mark);
	TRY(client_call(agent, &reply));
	TRY(only_item(agent, &reply, &item));
	value = &item.field[WIRE_TAG_VALUE];
	*out_size = value->size;
	if (value->size > buffer_size)
		return client_fail(agent, MORTISE_INVALID,
			"the value has %zu bytes, more than there is room for", value->size);
	if (value->size > 0)
		memcpy(buffer, value->bytes, value->size);
	return MORTISE_OK;
}

enum mortise_status mortise_get(
	struct mortise *agent, const char *path, void *buffer, size_t buffer_size, size_t *out_size)
{
	enum mortise_status status = get(agent, path, buffer, buffer_size, out_size);

	client_wipe(agent);
	return status;
}

static enum mortise_status set(struct mortise *agent, const char *path, const void *value,
	size_t size, uint64_t *out_version)
{
	struct wire_writer *writer = client_begin(agent, WIRE_SET);
	struct wire_message reply;
	uint64_t version;

	if (size > MORTISE_VALUE_MAX)
		return client_fail(
			agent, MORTISE_INVALID, "a value has at most %d bytes", MORTISE_VALUE_MAX);
	wire_put_text(writer, WIRE_TAG_PATH, path);
	wire_put(writer, WIRE_TAG_VALUE, value, size);
	TRY(client_put_token(agent));
	TRY(client_call(agent, &reply));
	if (wire_number(&reply, WIRE_TAG_VERSION, &version) != MORTISE_OK)
		return client_fail(agent, MORTISE_IO, "the agent's reply is malformed");
	if (out_version != NULL)
		*out_version = version;
	return MORTISE_OK;
}

enum mortise_status mortise_set(struct mortise *agent, const char *path, const void *value,
	size_t size, uint64_t *out_version)
{
	enum mortise_status status = set(agent, path, value, size, out_version);

	client_wipe(agent);
	return status;
}

void mortise_wipe(void *buffer, size_t size)
{
	if (size > 0)
		explicit_bzero(buffer, size);
}

const char *mortise_message(const struct mortise *agent)
{
	return agent == NULL ? "out of memory" : agent->message;
}
