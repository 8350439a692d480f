/* SPDX-License-Identifier: ISC */
#include <string.h>

#include "client.h"

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
	if (out_version)
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
	return !agent ? "out of memory" : agent->message;
}

/* Values of one moment, each with a result of its own. */

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
	const struct wire_field *value = wire_field_of(item, WIRE_TAG_VALUE);

	wanted->size = value->size;
	(void)!wire_number(item, WIRE_TAG_VERSION, &wanted->version); /* absent: it stays 0 */
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

/* One long request after another, over restarts of the agent. */

#define PIECE_MS 600000 /* the agent answers by then, changed or not */

static enum mortise_status malformed(struct mortise *agent)
{
	return client_fail(agent, MORTISE_IO, "the agent's reply is malformed");
}

static bool is_path(const struct wire_field *field, const char *path)
{
	return field->size == strlen(path) && memcmp(field->bytes, path, field->size) == 0;
}

/* Sets all that have this path: one may be watched twice. */
static enum mortise_status take_item(struct mortise *agent, const struct wire_message *item,
	struct mortise_watched *watched, size_t count, size_t *changed)
{
	const struct wire_field *path = wire_field_of(item, WIRE_TAG_PATH);
	uint64_t status, version = 0;

	if (!path->bytes || wire_number(item, WIRE_TAG_STATUS, &status) != MORTISE_OK ||
		(status != MORTISE_DENIED &&
			wire_number(item, WIRE_TAG_VERSION, &version) != MORTISE_OK))
		return malformed(agent);
	if (status == MORTISE_DENIED)
		return client_fail(agent, MORTISE_DENIED, "%.*s: denied, or no such secret for you",
			(int)path->size, (const char *)path->bytes);
	for (size_t i = 0; i < count; i++) {
		if (watched[i].version == version || !is_path(path, watched[i].path))
			continue;
		watched[i].version = version;
		watched[i].has_changed = 1;
		++*changed;
	}
	return MORTISE_OK;
}

static enum mortise_status take_reply(struct mortise *agent, const struct wire_message *reply,
	struct mortise_watched *watched, size_t count, size_t *changed)
{
	struct wire_list items = wire_list_of(reply, WIRE_TAG_ITEMS);
	struct wire_message item;
	struct wire_field field;

	while (wire_list_next(&items, &field)) {
		if (wire_parse_fields(field.bytes, field.size, &item) != MORTISE_OK)
			return malformed(agent);
		TRY(take_item(agent, &item, watched, count, changed));
	}
	return wire_list_is_whole(&items) ? MORTISE_OK : malformed(agent);
}

static enum mortise_status ask_watched(struct mortise *agent, struct mortise_watched *watched,
	size_t count, int limit_ms, size_t *changed)
{
	struct wire_writer *writer = client_begin(agent, WIRE_WATCH);
	size_t list = wire_list_begin(writer, WIRE_TAG_ITEMS);
	struct wire_message reply;

	for (size_t i = 0; i < count; i++) {
		size_t item = wire_item_begin(writer);

		wire_put_text(writer, WIRE_TAG_PATH, watched[i].path);
		wire_put_number(writer, WIRE_TAG_VERSION, watched[i].version);
		wire_item_end(writer, item);
	}
	wire_list_end(writer, list);
	wire_put_number(writer, WIRE_TAG_NUMBER, (uint64_t)limit_ms);
	TRY(client_call(agent, &reply));
	return take_reply(agent, &reply, watched, count, changed);
}

/* The agent's limit, and beyond it what a call may take: an agent that is gone may come back. */
static enum mortise_status ask_patiently(struct mortise *agent, struct mortise_watched *watched,
	size_t count, int limit_ms, size_t *changed)
{
	int wait_ms = agent->wait_ms;

	agent->wait_ms = limit_ms + agent->deadline_ms;
	enum mortise_status status = ask_watched(agent, watched, count, limit_ms, changed);
	agent->wait_ms = wait_ms;
	return status;
}

/* What a longer wait may mend. A server that is not to be trusted is found out at once. */
static bool may_pass(
	const struct mortise *agent, enum mortise_status status, int64_t began_ms, int limit_ms)
{
	if (status == MORTISE_SEALED || status == MORTISE_BUSY)
		return true;
	return status == MORTISE_UNREACHABLE &&
	       (agent->fault != CLIENT_FAULT_NONE || client_now_ms() - began_ms >= limit_ms);
}

enum mortise_status mortise_watch(struct mortise *agent, struct mortise_watched *watched,
	size_t count, int timeout_ms, size_t *out_changed)
{
	int64_t until_ms = client_now_ms() + timeout_ms;
	enum mortise_status status = MORTISE_OK;
	size_t changed = 0;

	if (count == 0 || count > WIRE_WATCH_MAX)
		return client_fail(
			agent, MORTISE_INVALID, "1 to %d secrets are watched", WIRE_WATCH_MAX);
	for (size_t i = 0; i < count; i++)
		watched[i].has_changed = 0;
	if (timeout_ms == 0)
		status = ask_watched(agent, watched, count, 0, &changed);
	while (timeout_ms != 0 && changed == 0) {
		int64_t began_ms = client_now_ms(), left_ms = until_ms - began_ms;
		int limit_ms = timeout_ms > 0 && left_ms < PIECE_MS ? (int)left_ms : PIECE_MS;

		if (limit_ms <= 0)
			break;
		status = ask_patiently(agent, watched, count, limit_ms, &changed);
		if (status != MORTISE_OK && !may_pass(agent, status, began_ms, limit_ms))
			return status;
	}
	if (status == MORTISE_OK)
		*out_changed = changed;
	return status;
}
