/* SPDX-License-Identifier: ISC */
/* The ways in which a policy comes: files that were staged, a version that is kept, the first. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exchange.h"
#include "policy_applying.h"
#include "policy_record.h"
#include "text.h"

#define FIRST_POLICY_SIZE 512

static enum mortise_status read_wish(struct exchange *exchange, struct applying_wish *wish)
{
	const struct wire_field *token = wire_field_of(exchange->request, WIRE_TAG_TOKEN);

	wish->is_dry_run = exchange->is_dry_run;
	TRY(exchange_flag(exchange, WIRE_TAG_FORCE, &wish->is_forced));
	if (token->size != WIRE_TOKEN_SIZE)
		return exchange_fail(exchange, MORTISE_INVALID,
			"a write needs a token of %d random bytes", WIRE_TOKEN_SIZE);
	memcpy(wish->token, token->bytes, sizeof wish->token);
	wish->has_base = wire_has(exchange->request, WIRE_TAG_EXPECT);
	return wish->has_base ? wire_number(exchange->request, WIRE_TAG_EXPECT, &wish->base)
			      : MORTISE_OK;
}

/* Was this very apply done already, on a connection that was lost? */
static bool is_repeated(struct exchange *exchange, const uint8_t *token)
{
	uint8_t *record = NULL;
	uint64_t version = 0;
	size_t size = 0;

	if (vault_policy(lifecycle_vault(exchange->agent->lifecycle), 0, &record, &size,
		    &version) != MORTISE_OK)
		return false;
	bool repeated = policy_record_has_token(record, size, token);
	free(record);
	return repeated;
}

enum mortise_status request_policy_apply(struct exchange *exchange)
{
	struct applying_wish wish = {.base = 0};
	struct policy_staging *staging = exchange->from->staging;

	TRY(read_wish(exchange, &wish));
	if (is_repeated(exchange, wish.token)) {
		applying_put_repeated(exchange);
		return MORTISE_OK;
	}
	if (!staging)
		return exchange_fail(
			exchange, MORTISE_INVALID, "no policy file was sent over this connection");
	exchange->from->staging = NULL;
	return applying_start(exchange, &wish, staging);
}

/* Without VERSION it is the one before the one in force. */
static enum mortise_status load_kept(
	struct exchange *exchange, uint64_t version, struct policy_staging *staging)
{
	struct vault *vault = lifecycle_vault(exchange->agent->lifecycle);
	size_t size = 0;

	if (version == 0)
		return exchange_fail(exchange, MORTISE_NOT_FOUND,
			"there is no earlier version of the policy; see: mortise policy show");
	enum mortise_status status =
		vault_policy(vault, version, &staging->record, &size, &version);
	if (status == MORTISE_NOT_FOUND)
		return exchange_fail(exchange, status, "policy version %llu is not kept",
			(unsigned long long)version);
	TRY(status);
	return policy_record_files(staging->record, size, &staging->in);
}

enum mortise_status request_policy_rollback(struct exchange *exchange)
{
	uint64_t version = exchange->agent->policy_version - 1;
	struct applying_wish wish = {.base = 0};

	TRY(read_wish(exchange, &wish));
	if (wire_has(exchange->request, WIRE_TAG_VERSION))
		TRY(wire_number(exchange->request, WIRE_TAG_VERSION, &version));
	if (is_repeated(exchange, wish.token)) {
		applying_put_repeated(exchange);
		return MORTISE_OK;
	}
	struct policy_staging *staging = calloc(1, sizeof *staging);
	if (!staging)
		return MORTISE_BUSY;
	enum mortise_status status = load_kept(exchange, version, staging);
	if (status == MORTISE_OK)
		return applying_start(exchange, &wish, staging);
	policy_staging_free(staging);
	return status;
}

static enum mortise_status check_key(struct exchange *exchange)
{
	CLEANUP(secret_drop) struct secret *key = NULL;

	TRY(exchange_recovery(exchange, &key));
	enum mortise_status status = lifecycle_check_recovery(exchange->agent->lifecycle, key);
	if (status == MORTISE_DENIED)
		return exchange_fail(exchange, status,
			"not the recovery key of this store; type the one with the key id %s",
			lifecycle_recovery_id(exchange->agent->lifecycle));
	return status;
}

static enum mortise_status stage_first(struct exchange *exchange, struct policy_staging *staging)
{
	char *text = staging->texts[0] = malloc(FIRST_POLICY_SIZE);

	if (!text)
		return MORTISE_BUSY;
	snprintf(staging->in.names[0], sizeof staging->in.names[0], MAKING_FIRST_POLICY);
	staging->in.files[0] = (struct policy_file){staging->in.names[0], text,
		making_first_policy(exchange->agent->first_uid, text, FIRST_POLICY_SIZE)};
	staging->in.count = 1;
	return MORTISE_OK;
}

enum mortise_status request_policy_reset(struct exchange *exchange)
{
	struct applying_wish wish = {.by_operators = true};

	TRY(read_wish(exchange, &wish));
	TRY(check_key(exchange));
	if (is_repeated(exchange, wish.token)) {
		applying_put_repeated(exchange);
		return MORTISE_OK;
	}
	struct policy_staging *staging = calloc(1, sizeof *staging);
	if (!staging)
		return MORTISE_BUSY;
	enum mortise_status status = stage_first(exchange, staging);
	if (status == MORTISE_OK)
		return applying_start(exchange, &wish, staging);
	policy_staging_free(staging);
	return status;
}

#define STAGING_MAX (16 * 1024 * 1024)

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
	const struct wire_field *chunk = wire_field_of(exchange->request, WIRE_TAG_CHUNK);
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
