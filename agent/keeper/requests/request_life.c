/* SPDX-License-Identifier: ISC */
/* What becomes of secrets and their versions: meta, move, rollback, destroy. */
#include <stdlib.h>
#include <string.h>

#include "exchange.h"

static struct vault *vault_of(const struct exchange *exchange)
{
	return lifecycle_vault(exchange->agent->lifecycle);
}

/* Another verb or path than the operation's own. */
static enum mortise_status also_may(struct exchange *exchange, enum verb verb, const char *path)
{
	const struct decision decision = exchange_may(exchange, verb, path);

	return decision.allowed ? exchange_take(exchange, &decision) : exchange_deny(exchange);
}

/* Where the pair with this key stands, or would. */
static size_t place_of(const struct vault_metadata *metadata, const char *key, bool *out_found)
{
	size_t i = 0;
	int order = 1;

	while (i < metadata->pair_count && (order = strcmp(metadata->pairs[i].key, key)) < 0)
		i++;
	*out_found = i < metadata->pair_count && order == 0;
	return i;
}

static enum mortise_status change_pair(
	struct exchange *exchange, const struct wire_field *item, struct vault_metadata *metadata)
{
	const uint8_t *equals = item->size ? memchr(item->bytes, '=', item->size) : NULL;
	size_t key_size = equals ? (size_t)(equals - item->bytes) : item->size;
	size_t value_size = equals ? item->size - key_size - 1 : 0;
	struct vault_pair pair = {"", ""}, *pairs = metadata->pairs;
	bool found = false;

	if (key_size > VAULT_KEY_MAX || value_size > VAULT_PAIR_VALUE_MAX ||
		(item->size && memchr(item->bytes, '\0', item->size)))
		return exchange_fail(exchange, MORTISE_INVALID,
			"a key has at most %d bytes, its value %d, and neither a NUL",
			VAULT_KEY_MAX, VAULT_PAIR_VALUE_MAX);
	memcpy(pair.key, item->bytes, key_size);
	if (value_size)
		memcpy(pair.value, equals + 1, value_size);
	size_t at = place_of(metadata, pair.key, &found);
	size_t behind = metadata->pair_count - at;
	if (!equals && found) {
		memmove(pairs + at, pairs + at + 1, (behind - 1) * sizeof *pairs);
		metadata->pair_count--;
	}
	if (!equals)
		return MORTISE_OK;
	if (!found && metadata->pair_count == VAULT_PAIRS_MAX)
		return exchange_fail(
			exchange, MORTISE_INVALID, "at most %d keys of your own", VAULT_PAIRS_MAX);
	if (!found) {
		memmove(pairs + at + 1, pairs + at, behind * sizeof *pairs);
		metadata->pair_count++;
	}
	pairs[at] = pair;
	return MORTISE_OK;
}

static enum mortise_status change_pairs(struct exchange *exchange, struct vault_metadata *metadata)
{
	struct wire_list list = wire_list_of(exchange->request, WIRE_TAG_META);
	struct wire_field item;

	while (wire_list_next(&list, &item))
		TRY(change_pair(exchange, &item, metadata));
	if (!wire_list_is_whole(&list))
		return exchange_fail(exchange, MORTISE_INVALID, "META is a list of KEY=VALUE");
	return MORTISE_OK;
}

/* What the request names is replaced; "" and 0 take it away. */
static enum mortise_status change_metadata(
	struct exchange *exchange, struct vault_metadata *metadata)
{
	const struct wire_message *request = exchange->request;

	if (wire_has(request, WIRE_TAG_TOTAL) &&
		wire_number(request, WIRE_TAG_TOTAL, &metadata->keep) != MORTISE_OK)
		return MORTISE_INVALID;
	if (wire_has(request, WIRE_TAG_MAX_AGE) &&
		wire_number(request, WIRE_TAG_MAX_AGE, &metadata->max_age_s) != MORTISE_OK)
		return MORTISE_INVALID;
	if (wire_has(request, WIRE_TAG_NOTE))
		TRY(exchange_line(exchange, WIRE_TAG_NOTE, metadata->note, VAULT_NOTE_MAX));
	if (wire_has(request, WIRE_TAG_HOOK))
		TRY(exchange_line(exchange, WIRE_TAG_HOOK, metadata->hook, VAULT_HOOK_MAX));
	return change_pairs(exchange, metadata);
}

enum mortise_status request_meta(struct exchange *exchange)
{
	struct vault_metadata metadata;
	struct vault_outcome outcome;

	/* Whoever rotates runs the hook, root's timer among them: no writer may choose it. */
	if (wire_has(exchange->request, WIRE_TAG_HOOK) &&
		!exchange_may(exchange, VERB_ADMIN, NULL).allowed)
		return exchange_fail(exchange, MORTISE_DENIED,
			"denied: to set a hook, which others will run, needs the verb admin");
	TRY(exchange_explain(
		exchange, vault_metadata(vault_of(exchange), exchange->path, &metadata)));
	TRY(change_metadata(exchange, &metadata));
	enum mortise_status status =
		vault_set_metadata(vault_of(exchange), exchange->path, &metadata, &outcome);
	if (status == MORTISE_INVALID)
		return exchange_fail(exchange, status,
			"a key is of a-z 0-9 _ -, text one line of UTF-8, a hook an absolute path, "
			"at most "
			"%d "
			"versions are kept, and an age is at most 100 years",
			VAULT_KEEP_MAX);
	TRY(exchange_explain(exchange, status));
	exchange_outcome(exchange, &outcome);
	return MORTISE_OK;
}

/* As much as the get, set and delete that it replaces. */
static enum mortise_status may_move(struct exchange *exchange, const char *new_path)
{
	enum mortise_status status = also_may(exchange, VERB_READ, exchange->path);

	if (status == MORTISE_OK)
		status = also_may(exchange, VERB_DELETE, exchange->path);
	if (status == MORTISE_OK)
		status = also_may(exchange, VERB_WRITE, new_path);
	return status;
}

static enum mortise_status move(struct exchange *exchange, const char *new_path)
{
	struct vault_outcome outcome;
	const uint8_t *token = NULL;

	TRY(exchange_token(exchange, &token));
	TRY(may_move(exchange, new_path));
	TRY(exchange_keep_moved(exchange, new_path));
	enum mortise_status status =
		vault_move(vault_of(exchange), exchange->path, new_path, token, &outcome);
	if (status == MORTISE_CONFLICT)
		return exchange_fail(exchange, status,
			"%s is there already, or was deleted; destroy it first, or choose another "
			"path",
			new_path);
	TRY(exchange_explain(exchange, status));
	exchange_outcome(exchange, &outcome);
	return MORTISE_OK;
}

/* Both paths are on record, each in a line. */
enum mortise_status request_move(struct exchange *exchange)
{
	const struct wire_field *name = wire_field_of(exchange->request, WIRE_TAG_NAME);
	char new_path[MORTISE_PATH_MAX + 1];

	if (!name->bytes)
		return exchange_fail(exchange, MORTISE_INVALID, "the request names no new path");
	TRY(exchange_path(exchange, name, new_path));
	enum mortise_status status = move(exchange, new_path);
	exchange_record(exchange, new_path, strlen(new_path), exchange->version, NULL, status);
	return status;
}

/* Of a version's value; 0: there is none, as the rollback will say. */
static size_t size_of(const struct exchange *exchange, uint64_t number)
{
	struct vault_version versions[VAULT_VERSIONS_MAX];
	struct vault_head head;
	size_t count = 0;

	if (vault_show(vault_of(exchange), exchange->path, &head, versions, &count) != MORTISE_OK)
		return 0;
	for (size_t i = 0; i < count; i++)
		if (versions[i].number == number)
			return (size_t)versions[i].size_bytes;
	return 0;
}

enum mortise_status request_rollback(struct exchange *exchange)
{
	struct vault_write write = {.path = exchange->path};
	struct vault_outcome outcome;
	uint64_t to = 0;

	if (wire_number(exchange->request, WIRE_TAG_VERSION, &to) != MORTISE_OK)
		return exchange_fail(exchange, MORTISE_INVALID, "which version's value?");
	TRY(exchange_begin_write(exchange, &write));
	write.uid = exchange->from->caller.subject.uid;
	write.size = size_of(exchange, to);
	TRY(exchange_keep_one(exchange, &write));
	enum mortise_status status = vault_rollback(vault_of(exchange), &write, to, &outcome);
	if (status == MORTISE_CONFLICT)
		return exchange_fail_expected(exchange, write.expected_version);
	if (status == MORTISE_NOT_FOUND)
		return exchange_fail(exchange, status, "no such secret, or no such version of it");
	TRY(exchange_explain(exchange, status));
	exchange_outcome(exchange, &outcome);
	return MORTISE_OK;
}

static enum mortise_status explain_destroy(
	struct exchange *exchange, enum mortise_status status, bool is_all)
{
	if (status == MORTISE_CONFLICT && is_all)
		return exchange_fail(
			exchange, status, "it is not deleted; first run: mortise delete");
	if (status == MORTISE_CONFLICT)
		return exchange_fail(exchange, status,
			"it is the current version; set another value first, or delete the secret");
	if (status == MORTISE_NOT_FOUND)
		return exchange_fail(exchange, status, "no such secret, or no such version of it");
	/* What is left of it in the write-ahead log goes as soon as that can be written. */
	if (status != MORTISE_OK)
		exchange->agent->upkeep.has_old_keys = true;
	return exchange_explain(exchange, status);
}

/* The answer leaves after the bytes are overwritten. */
enum mortise_status request_destroy(struct exchange *exchange)
{
	struct vault *vault = vault_of(exchange);
	bool is_all = false;
	struct vault_outcome outcome;
	uint64_t version = 0;

	TRY(exchange_flag(exchange, WIRE_TAG_FORCE, &is_all));
	bool has_version = wire_number(exchange->request, WIRE_TAG_VERSION, &version) == MORTISE_OK;
	if (has_version == is_all)
		return exchange_fail(exchange, MORTISE_INVALID,
			"destroy one version, or all of a deleted secret");
	enum mortise_status status =
		is_all ? vault_destroy_all(vault, exchange->path, &outcome)
		       : vault_destroy(vault, exchange->path, version, &outcome);
	TRY(explain_destroy(exchange, status, is_all));
	exchange_outcome(exchange, &outcome);
	return MORTISE_OK;
}

/*
 * Rotate: a value to come is stored beside the current one, and takes its place or goes. Who may
 * rotate a secret need not be allowed to read or write it: it is told the value that is pending,
 * which it could have replaced by its own, and never the current one.
 */

/* NUMBER: what is to be done. */
enum step { STEP_LOOK, STEP_BEGIN, STEP_PROMOTE, STEP_ABORT, STEPS };

static const char *const notes[STEPS] = {"look", "begin", "promote", "abort"};

static enum mortise_status explain(struct exchange *exchange, enum mortise_status status)
{
	if (status == MORTISE_CONFLICT)
		return exchange_fail(exchange, status,
			"that value is not pending: another one is, or it was promoted or dropped; "
			"see: mortise show");
	return exchange_explain(exchange, status);
}

static enum mortise_status put_pending_value(struct exchange *exchange, uint64_t pending)
{
	CLEANUP(secret_drop) struct secret *value = NULL;
	const struct vault_choice choice = {VAULT_PENDING, 0};
	struct vault *vault = lifecycle_vault(exchange->agent->lifecycle);
	uint64_t version = 0;

	TRY(vault_read(vault, exchange->path, &choice, &value, &version));
	if (version != pending)
		return MORTISE_INTEGRITY;
	exchange->version = version;
	wire_put(exchange->reply, WIRE_TAG_VALUE, value->bytes, value->size);
	return MORTISE_OK;
}

/* What somebody needs to know who goes on with a rotation, or begins one. */
static enum mortise_status look(struct exchange *exchange)
{
	struct vault *vault = lifecycle_vault(exchange->agent->lifecycle);
	struct vault_version versions[VAULT_VERSIONS_MAX];
	struct wire_writer *reply = exchange->reply;
	struct vault_head head;
	size_t count = 0;

	TRY(explain(exchange, vault_show(vault, exchange->path, &head, versions, &count)));
	if (head.deleted_us)
		return explain(exchange, MORTISE_NOT_FOUND);
	wire_put_number(reply, WIRE_TAG_VERSION, head.current);
	if (head.pending) {
		TRY(put_pending_value(exchange, head.pending));
		wire_put_number(reply, WIRE_TAG_NUMBER, head.pending);
	}
	/* So that nobody need ask for a current value that is denied. */
	if (exchange_may(exchange, VERB_READ, exchange->path).allowed)
		wire_put_text(reply, WIRE_TAG_VERB, verb_name(VERB_READ));
	if (head.metadata.hook[0])
		wire_put_text(reply, WIRE_TAG_HOOK, head.metadata.hook);
	return MORTISE_OK;
}

static enum mortise_status begin(struct exchange *exchange, struct vault_outcome *outcome)
{
	const struct wire_message *request = exchange->request;
	const struct wire_field *value = wire_field_of(request, WIRE_TAG_VALUE);
	const struct wire_field *token = wire_field_of(request, WIRE_TAG_TOKEN);

	if (!value->bytes || value->size > MORTISE_VALUE_MAX)
		return exchange_fail(
			exchange, MORTISE_INVALID, "a value is 0 to %d bytes", MORTISE_VALUE_MAX);
	if (token->size != WIRE_TOKEN_SIZE)
		return exchange_fail(exchange, MORTISE_INVALID,
			"a write needs a token of %d random bytes", WIRE_TOKEN_SIZE);
	struct vault_write write = {
		.path = exchange->path,
		.value = value->bytes,
		.size = value->size,
		.is_pending = true,
		.uid = exchange->from->caller.subject.uid,
		.time_us = exchange->now.least_us,
	};
	memcpy(write.token, token->bytes, sizeof write.token);
	TRY(exchange_keep_one(exchange, &write));
	return vault_write(lifecycle_vault(exchange->agent->lifecycle), &write, outcome);
}

static enum mortise_status end(
	struct exchange *exchange, uint64_t step, struct vault_outcome *outcome)
{
	struct vault *vault = lifecycle_vault(exchange->agent->lifecycle);
	uint64_t version = 0;

	if (wire_number(exchange->request, WIRE_TAG_VERSION, &version) != MORTISE_OK)
		return exchange_fail(
			exchange, MORTISE_INVALID, "the request names no pending version");
	if (step == STEP_PROMOTE)
		return vault_promote(vault, exchange->path, version, outcome);
	return vault_drop_pending(vault, exchange->path, version, outcome);
}

enum mortise_status request_rotate(struct exchange *exchange)
{
	struct vault_outcome outcome = {0};
	uint64_t step = STEPS;

	if (wire_number(exchange->request, WIRE_TAG_NUMBER, &step) != MORTISE_OK || step >= STEPS)
		return exchange_fail(exchange, MORTISE_INVALID, "not a step of a rotation");
	exchange->note = notes[step];
	if (step == STEP_LOOK)
		return look(exchange);
	enum mortise_status status =
		step == STEP_BEGIN ? begin(exchange, &outcome) : end(exchange, step, &outcome);
	if (exchange->text[0])
		return status;
	TRY(explain(exchange, status));
	exchange_outcome(exchange, &outcome);
	return MORTISE_OK;
}
