/* SPDX-License-Identifier: ISC */
/* watch: one long request after another, over restarts of the agent. */
#include <string.h>

#include "client.h"

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
	const struct wire_field *path = &item->field[WIRE_TAG_PATH];
	uint64_t status, version = 0;

	if (path->bytes == NULL || wire_number(item, WIRE_TAG_STATUS, &status) != MORTISE_OK ||
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

static enum mortise_status ask(struct mortise *agent, struct mortise_watched *watched, size_t count,
	int limit_ms, size_t *changed)
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
	enum mortise_status status = ask(agent, watched, count, limit_ms, changed);
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
		status = ask(agent, watched, count, 0, &changed);
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
