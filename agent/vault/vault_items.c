/* SPDX-License-Identifier: ISC */
#include <stdlib.h>
#include <string.h>

#include "vault_rows.h"

#define POLICIES_KEPT 10
#define AUDIT_NUMBER  1
#define ANCHOR_NUMBER 1

struct putting {
	enum store_item kind;
	uint64_t number;
	struct store_bytes body;
};

static enum mortise_status put_item(struct store *store, void *context)
{
	const struct putting *putting = context;

	if (!putting->body.bytes)
		return store_delete_item(store, putting->kind, putting->number);
	return store_put_item(store, putting->kind, putting->number, putting->body);
}

enum mortise_status vault_commit_item(
	struct vault *vault, enum store_item kind, uint64_t number, struct store_bytes body)
{
	struct index_change change = {.kind = kind, .number = number, .body = body};
	struct putting putting = {kind, number, body};

	TRY(vault_commit(vault, &change, put_item, &putting));
	if (!body.bytes)
		index_delete_item(vault->index, kind, number);
	else if (index_put_item(vault->index, kind, number, body) != MORTISE_OK)
		vault->is_stale = true; /* committed, but our index lacks it */
	return MORTISE_OK;
}

const struct secret *item_key(const struct vault *vault, enum store_item kind)
{
	return vault->keyring.key[kind == STORE_AUDIT ? KEY_AUDIT : KEY_LABEL];
}

static enum mortise_status seal_item(
	struct vault *vault, enum store_item kind, uint64_t number, struct store_bytes plain)
{
	struct envelope_binding place = item_binding(vault, kind, number);
	size_t size = plain.size + ENVELOPE_OVERHEAD;
	uint8_t *sealed = malloc(size);

	if (!sealed)
		return MORTISE_BUSY;
	envelope_seal(item_key(vault, kind), &place, plain.bytes, plain.size, sealed);
	enum mortise_status status =
		vault_commit_item(vault, kind, number, (struct store_bytes){sealed, size});
	free(sealed);
	return status;
}

enum mortise_status vault_item(struct vault *vault, enum store_item kind, uint64_t number,
	uint8_t **out_bytes, size_t *out_size)
{
	uint8_t *bytes = NULL;
	size_t size = 0;

	if (index_next_item(vault->index, kind, number - 1) != number)
		return MORTISE_NOT_FOUND;
	enum mortise_status status = store_item(vault->store, kind, number, &bytes, &size);
	if (status == MORTISE_NOT_FOUND)
		return MORTISE_INTEGRITY;
	TRY(status);
	if (size < ENVELOPE_OVERHEAD ||
		!index_has_item(vault->index, kind, number, (struct store_bytes){bytes, size})) {
		free(bytes);
		return MORTISE_INTEGRITY;
	}
	*out_bytes = bytes;
	*out_size = size;
	return MORTISE_OK;
}

static void release(uint8_t **bytes)
{
	free(*bytes);
}

enum mortise_status vault_policy(struct vault *vault, uint64_t version, uint8_t **out_policy,
	size_t *out_size, uint64_t *out_version)
{
	uint64_t number = version ? version : index_last_item(vault->index, STORE_POLICY);
	CLEANUP(release) uint8_t *sealed = NULL;
	size_t sealed_size = 0;

	if (number == 0)
		return MORTISE_NOT_FOUND;
	TRY(vault_item(vault, STORE_POLICY, number, &sealed, &sealed_size));
	struct envelope_binding place = item_binding(vault, STORE_POLICY, number);
	CLEANUP(release) uint8_t *plain = malloc(sealed_size - ENVELOPE_OVERHEAD + 1);
	if (!plain)
		return MORTISE_BUSY;
	TRY(envelope_open_into(vault->keyring.key[KEY_LABEL], &place, sealed, sealed_size, plain));
	*out_size = sealed_size - ENVELOPE_OVERHEAD;
	*out_version = number;
	*out_policy = plain;
	plain = NULL;
	return MORTISE_OK;
}

/* A policy that is applied counts even where an old one cannot be forgotten. */
static void forget_old_policies(struct vault *vault, uint64_t newest)
{
	uint64_t oldest = index_next_item(vault->index, STORE_POLICY, 0);

	if (oldest && oldest + POLICIES_KEPT <= newest &&
		vault_commit_item(vault, STORE_POLICY, oldest, (struct store_bytes){NULL, 0}) !=
			MORTISE_OK)
		vault->is_stale = true;
}

enum mortise_status vault_set_policy(
	struct vault *vault, struct store_bytes policy, uint64_t *out_version)
{
	uint64_t number = index_last_item(vault->index, STORE_POLICY) + 1;

	TRY(seal_item(vault, STORE_POLICY, number, policy));
	forget_old_policies(vault, number);
	*out_version = number;
	return MORTISE_OK;
}

static enum mortise_status open_item(
	struct vault *vault, enum store_item kind, uint64_t number, struct secret **out_plain)
{
	CLEANUP(release) uint8_t *sealed = NULL;
	size_t size = 0;

	TRY(vault_item(vault, kind, number, &sealed, &size));
	struct envelope_binding place = item_binding(vault, kind, number);
	return envelope_open(item_key(vault, kind), &place, sealed, size, out_plain);
}

enum mortise_status vault_audit_state(struct vault *vault, struct secret **out_state)
{
	return open_item(vault, STORE_AUDIT, AUDIT_NUMBER, out_state);
}

enum mortise_status vault_set_audit_state(struct vault *vault, const struct secret *state)
{
	return seal_item(
		vault, STORE_AUDIT, AUDIT_NUMBER, (struct store_bytes){state->bytes, state->size});
}

struct vault_age vault_age(const struct vault *vault)
{
	return (struct vault_age){vault->meta.generation, vault->commits, vault->weighty_commits};
}

void vault_set_target_generation(struct vault *vault, uint64_t target)
{
	vault->target_generation = target;
}

static enum mortise_status put_nothing(struct store *store, void *context)
{
	(void)store;
	(void)context;
	return MORTISE_OK;
}

enum mortise_status vault_raise_generation(struct vault *vault)
{
	return vault_commit(vault, NULL, put_nothing, NULL);
}

/* A new anchor starts where its counter stands, which may be below the one before. */
enum mortise_status vault_set_anchor(
	struct vault *vault, const struct secret *anchor, uint64_t generation)
{
	uint64_t before = vault->meta.generation, target = vault->target_generation;
	struct store_bytes plain = {anchor ? anchor->bytes : NULL, anchor ? anchor->size : 0};

	vault->meta.generation = 0;
	vault->target_generation = generation;
	enum mortise_status status =
		anchor ? seal_item(vault, STORE_ANCHOR, ANCHOR_NUMBER, plain)
		       : vault_commit_item(vault, STORE_ANCHOR, ANCHOR_NUMBER, plain);
	if (status != MORTISE_OK) {
		vault->meta.generation = before;
		vault->target_generation = target;
	}
	return status;
}

enum mortise_status vault_anchor(struct vault *vault, struct secret **out_anchor)
{
	return open_item(vault, STORE_ANCHOR, ANCHOR_NUMBER, out_anchor);
}

enum mortise_status vault_forget_old(struct vault *vault)
{
	return store_truncate_log(vault->store);
}
