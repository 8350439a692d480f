/* SPDX-License-Identifier: ISC */
#include <stdlib.h>
#include <string.h>

#include "exchange.h"
#include "policy_staging.h"
#include "text.h"

#define STAGING_MAX (16 * 1024 * 1024)

void policy_staging_free(struct policy_staging *staging)
{
	if (!staging)
		return;
	for (size_t i = 0; i < staging->in.count; i++)
		free(staging->texts[i]);
	free(staging->record);
	free(staging);
}

/* The file that is being uploaded: a new one where the offset is 0. */
static enum mortise_status open_file(struct exchange *exchange, struct policy_staging *staging,
	uint64_t offset, struct policy_file **out_file)
{
	char name[POLICY_FILE_NAME_MAX];

	if (wire_text(exchange->request, WIRE_TAG_NAME, name, sizeof name) != MORTISE_OK ||
		!name[0])
		return exchange_fail(exchange, MORTISE_INVALID, "a policy file needs a name");
	if (!text_is_line(name, strlen(name)))
		return exchange_fail(exchange, MORTISE_INVALID,
			"a policy file's name is UTF-8, without control characters and what turns "
			"text around");
	if (offset == 0) {
		if (staging->in.count == POLICY_FILES_MAX)
			return exchange_fail(exchange, MORTISE_INVALID, "at most %d policy files",
				POLICY_FILES_MAX);
		memcpy(staging->in.names[staging->in.count], name, sizeof name);
		staging->in.files[staging->in.count] =
			(struct policy_file){staging->in.names[staging->in.count], "", 0};
		staging->texts[staging->in.count] = NULL;
		staging->in.count++;
	}
	struct policy_file *file =
		staging->in.count ? &staging->in.files[staging->in.count - 1] : NULL;
	if (!file || strcmp(file->name, name) != 0 || file->size != offset)
		return exchange_fail(
			exchange, MORTISE_INVALID, "a policy file comes in order, from its start");
	*out_file = file;
	return MORTISE_OK;
}

enum mortise_status request_policy_stage(struct exchange *exchange)
{
	const struct wire_field *chunk = &exchange->request->field[WIRE_TAG_CHUNK];
	struct policy_staging *staging = exchange->from->staging;
	struct policy_file *file = NULL;
	uint64_t offset = 0;

	if (!staging)
		staging = exchange->from->staging = calloc(1, sizeof *staging);
	if (!staging)
		return MORTISE_BUSY;
	TRY(wire_number(exchange->request, WIRE_TAG_OFFSET, &offset));
	if (chunk->size > WIRE_CHUNK_MAX || staging->total + chunk->size > STAGING_MAX)
		return exchange_fail(exchange, MORTISE_INVALID,
			"a policy is at most %d bytes, in chunks of at most %d", STAGING_MAX,
			WIRE_CHUNK_MAX);
	TRY(open_file(exchange, staging, offset, &file));
	char **text = &staging->texts[staging->in.count - 1];
	char *grown = realloc(*text, file->size + chunk->size + 1);
	if (!grown)
		return MORTISE_BUSY;
	if (chunk->size)
		memcpy(grown + file->size, chunk->bytes, chunk->size);
	*text = grown;
	file->text = grown;
	file->size += chunk->size;
	staging->total += chunk->size;
	return MORTISE_OK;
}

enum mortise_status request_policy_show(struct exchange *exchange)
{
	struct vault *vault = lifecycle_vault(exchange->agent->lifecycle);
	uint64_t version = 0, offset = 0;
	uint8_t *record = NULL;
	size_t record_size = 0, size = 0;
	char *text = NULL;

	if (wire_has(exchange->request, WIRE_TAG_VERSION))
		TRY(wire_number(exchange->request, WIRE_TAG_VERSION, &version));
	if (wire_has(exchange->request, WIRE_TAG_OFFSET))
		TRY(wire_number(exchange->request, WIRE_TAG_OFFSET, &offset));
	enum mortise_status status = vault_policy(vault, version, &record, &record_size, &version);
	if (status == MORTISE_NOT_FOUND)
		return exchange_fail(exchange, status, "no such policy version is kept");
	TRY(status);
	exchange_go_on(exchange, (uint64_t[]){version, offset}, 2 * sizeof version);
	status = policy_record_text(record, record_size, &text, &size);
	free(record);
	TRY(status);
	if (offset > size)
		offset = size;
	size_t part = size - offset > WIRE_CHUNK_MAX ? WIRE_CHUNK_MAX : size - offset;
	wire_put_number(exchange->reply, WIRE_TAG_VERSION, version);
	wire_put(exchange->reply, WIRE_TAG_CHUNK, text + offset, part);
	exchange_next_page(exchange, (uint64_t[]){version, offset + part}, 2 * sizeof version);
	if (offset + part < size)
		wire_put_number(exchange->reply, WIRE_TAG_MORE, 1);
	wire_put_number(exchange->reply, WIRE_TAG_TOTAL, size);
	free(text);
	return MORTISE_OK;
}
