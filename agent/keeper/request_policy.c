/* SPDX-License-Identifier: ISC */
/* The ways in which a policy comes: files that were staged, a version that is kept, the first. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exchange.h"
#include "policy_applying.h"
#include "policy_staging.h"

#define FIRST_POLICY_SIZE 512

static enum mortise_status read_wish(struct exchange *exchange, struct applying_wish *wish)
{
	const struct wire_field *token = &exchange->request->field[WIRE_TAG_TOKEN];

	TRY(exchange_flag(exchange, WIRE_TAG_DRY_RUN, &wish->is_dry_run));
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
	snprintf(staging->in.names[0], sizeof staging->in.names[0], LIFECYCLE_FIRST_POLICY);
	staging->in.files[0] = (struct policy_file){staging->in.names[0], text,
		lifecycle_first_policy(exchange->agent->first_uid, text, FIRST_POLICY_SIZE)};
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
