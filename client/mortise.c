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
