/* SPDX-License-Identifier: ISC */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exchange.h"
#include "log.h"
#include "policy_staging.h"
#include "processes.h"
#include "rate.h"

#define BATCH_MAX 64 /* names asked of the monitor at once */

/* An apply on its way: parsed, its names being asked for. */
struct applying {
	struct pending *pending;
	struct policy_staging *staging;
	struct policy *policy;
	uint32_t *ids; /* by name */
	size_t asked;  /* names before this one are known */
	size_t batch[BATCH_MAX];
	size_t batch_size;
	uint8_t token[WIRE_TOKEN_SIZE];
	uint32_t uid;
	uint64_t time_us;
	bool is_dry_run;
	struct policy_error error;
};

static void applying_free(void *context)
{
	struct applying *applying = context;

	policy_staging_free(applying->staging);
	policy_free(applying->policy);
	free(applying->ids);
	free(applying);
}

struct applied {
	uint64_t version;
	size_t rules;
	bool changed;
	size_t blind_rules; /* that name an exe, where that cannot be had */
};

static void put_applied(struct wire_writer *reply, const void *context)
{
	const struct applied *applied = context;
	char text[256];

	(void)snprintf(text, sizeof text,
		"%zu rules name an exe, which cannot be had: their allows allow nothing and their "
		"denies deny every program; set exe-evidence = yes in [agent]",
		applied->blind_rules);
	if (applied->blind_rules)
		wire_put_text(reply, WIRE_TAG_TEXT, text);
	wire_put_number(reply, WIRE_TAG_VERSION, applied->version);
	wire_put_number(reply, WIRE_TAG_CHANGED, applied->changed);
	wire_put_number(reply, WIRE_TAG_NUMBER, applied->rules);
}

static enum mortise_status store_policy(
	struct applying *applying, struct vault *vault, uint64_t *out_version)
{
	struct policy_source source = {applying->staging->files, applying->staging->count,
		applying->policy, applying->ids, {0}, applying->uid, applying->time_us};
	struct store_bytes record = {NULL, 0};

	memcpy(source.token, applying->token, sizeof source.token);
	size_t room = policy_record_room(&source);
	uint8_t *bytes = malloc(room);
	if (!bytes)
		return MORTISE_BUSY;
	record.bytes = bytes;
	enum mortise_status status = policy_record_write(&source, bytes, room, &record.size);
	if (status == MORTISE_OK)
		status = vault_set_policy(vault, record, out_version);
	free(bytes);
	return status;
}

/* Nobody locks themselves out: whoever applies a policy may still apply the next. */
static enum mortise_status keep_admin(struct applying *applying)
{
	struct requester *from = applying->pending->from;

	if (!from)
		return MORTISE_BUSY;
	/* The policy in force may have changed while names were looked up. */
	if (!policy_decide(applying->pending->agent->policy, &from->caller.subject, VERB_ADMIN,
		    NULL, (time_t)(applying->time_us / 1000000))
			.allowed)
		return MORTISE_DENIED;
	requester_gather(applying->pending->agent, from, applying->policy);
	if (policy_decide(applying->policy, &from->caller.subject, VERB_ADMIN, NULL,
		    (time_t)(applying->time_us / 1000000))
			.allowed)
		return MORTISE_OK;
	snprintf(applying->error.text, sizeof applying->error.text,
		"this policy would take the verb admin from you (uid %u); add a rule that allows "
		"it",
		applying->uid);
	return MORTISE_REJECTED;
}

static void drop_rates(struct rate_table **rates)
{
	rate_free(*rates);
}

/* Every name is known: the new policy is stored first, then it is in force. */
static enum mortise_status apply(struct applying *applying, struct applied *applied)
{
	struct agent *agent = applying->pending->agent;
	struct vault *vault = lifecycle_vault(agent->lifecycle);
	CLEANUP(drop_rates) struct rate_table *rates = NULL;

	if (!vault)
		return MORTISE_SEALED;
	for (size_t i = 0; i < policy_name_count(applying->policy); i++)
		policy_pin(applying->policy, i, applying->ids[i]);
	TRY(policy_compile(applying->policy, &applying->error));
	TRY(keep_admin(applying));
	applied->rules = policy_rule_count(applying->policy);
	if (!evidence_has_witness(agent->evidence))
		applied->blind_rules = policy_exe_rule_count(applying->policy);
	applied->changed = true;
	if (applying->is_dry_run) {
		applied->version = agent->policy_version + 1;
		return MORTISE_OK;
	}
	TRY(rate_new(RATE_PAIRS_MAX, &rates));
	TRY(store_policy(applying, vault, &applied->version));
	rate_free(agent->rates);
	agent->rates = rates;
	rates = NULL;
	policy_free(agent->policy);
	agent->policy = applying->policy;
	applying->policy = NULL;
	agent->policy_version = applied->version;
	audit_request_checkpoint(agent->audit);
	log_info("policy version %llu applied by uid %u: %zu rules",
		(unsigned long long)applied->version, applying->uid, applied->rules);
	return MORTISE_OK;
}

static void finish_apply(struct applying *applying)
{
	struct applied applied = {0};
	enum mortise_status status = apply(applying, &applied);
	char text[sizeof applying->error.text];

	snprintf(text, sizeof text, "%s", applying->error.text);
	pending_finish(applying->pending, status, text, put_applied, &applied);
}

static void refuse_name(struct applying *applying, size_t index, enum mortise_status status)
{
	struct policy_name name = policy_name_at(applying->policy, index);
	const char *kind = name.kind == POLICY_USER ? "user" : "group";
	char text[WIRE_TEXT_MAX];

	if (status == MORTISE_NOT_FOUND)
		snprintf(text, sizeof text, "%s:%u:%u: no such %s '%s'", name.file, name.line,
			name.column, kind, name.name);
	else
		snprintf(text, sizeof text,
			"the name service could not be asked for %s '%s'; try again", kind,
			name.name);
	pending_finish(applying->pending,
		status == MORTISE_NOT_FOUND ? MORTISE_REJECTED : MORTISE_BUSY, text, NULL, NULL);
}

/* The answer's items are in the order of the batch. Gives the first name that failed. */
static enum mortise_status take_ids(
	struct applying *applying, const struct wire_message *answer, size_t *out_index)
{
	struct wire_list list = wire_list_of(answer, WIRE_TAG_ITEMS);
	struct wire_field item;

	for (size_t i = 0; i < applying->batch_size; i++) {
		struct wire_message fields;
		uint64_t status = MORTISE_IO, id = 0;
		*out_index = applying->batch[i];
		if (!wire_list_next(&list, &item) ||
			wire_parse_fields(item.bytes, item.size, &fields) != MORTISE_OK ||
			wire_number(&fields, WIRE_TAG_STATUS, &status) != MORTISE_OK)
			return MORTISE_IO;
		if (status != MORTISE_OK)
			return status == MORTISE_NOT_FOUND ? MORTISE_NOT_FOUND : MORTISE_IO;
		if (wire_number(&fields, WIRE_TAG_NUMBER, &id) != MORTISE_OK || id >= UINT32_MAX)
			return MORTISE_IO;
		applying->ids[applying->batch[i]] = (uint32_t)id;
	}
	return MORTISE_OK;
}

static enum mortise_status ask_names(struct applying *applying);

static void on_names(void *context, const struct wire_message *answer, int descriptor)
{
	struct applying *applying = context;
	size_t index = applying->batch[0];
	enum mortise_status status = MORTISE_IO;

	(void)descriptor;
	if (answer && answer->code == MORTISE_OK)
		status = take_ids(applying, answer, &index);
	if (status != MORTISE_OK)
		refuse_name(applying, index, status);
	else if (applying->asked == policy_name_count(applying->policy))
		finish_apply(applying);
	else if (ask_names(applying) != MORTISE_OK)
		pending_finish(applying->pending, MORTISE_BUSY, "", NULL, NULL);
}

/* Puts the batch's names of one kind. */
static void put_names(struct applying *applying, struct wire_writer *writer,
	enum policy_name_kind kind, enum wire_tag tag, size_t first, size_t last)
{
	size_t list = wire_list_begin(writer, tag);

	for (size_t i = first; i < last; i++) {
		struct policy_name name = policy_name_at(applying->policy, i);
		if (name.kind != kind)
			continue;
		wire_item_put(writer, name.name, strlen(name.name));
		applying->batch[applying->batch_size++] = i;
	}
	wire_list_end(writer, list);
}

static enum mortise_status ask_names(struct applying *applying)
{
	struct monitor_link *monitor = applying->pending->agent->monitor;
	struct wire_writer *writer = monitor_begin(monitor, PROCESS_RESOLVE);
	size_t count = policy_name_count(applying->policy), first = applying->asked;
	size_t last = count - first > BATCH_MAX ? first + BATCH_MAX : count;

	applying->batch_size = 0;
	put_names(applying, writer, POLICY_USER, WIRE_TAG_USERS, first, last);
	put_names(applying, writer, POLICY_GROUP, WIRE_TAG_GROUPS, first, last);
	applying->asked = last;
	return monitor_ask(monitor, on_names, applying);
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

static enum mortise_status parse_staged(struct exchange *exchange, struct applying *applying)
{
	const struct policy_staging *staging = applying->staging;
	struct policy_error error;
	enum mortise_status status =
		policy_parse(staging->files, staging->count, &applying->policy, &error);

	if (status == MORTISE_REJECTED)
		return exchange_fail(exchange, status, "%s", error.text);
	TRY(status);
	applying->ids = calloc(policy_name_count(applying->policy) + 1, sizeof *applying->ids);
	return applying->ids ? MORTISE_OK : MORTISE_BUSY;
}

static enum mortise_status start_apply(struct exchange *exchange, struct applying *applying)
{
	struct pending *pending = NULL;
	enum mortise_status status = parse_staged(exchange, applying);

	if (status == MORTISE_OK)
		status = pending_new(exchange, applying, applying_free, &pending);
	if (status != MORTISE_OK) {
		applying_free(applying);
		return status;
	}
	applying->pending = pending;
	if (policy_name_count(applying->policy) == 0) {
		finish_apply(applying);
		return MORTISE_OK;
	}
	status = ask_names(applying);
	if (status != MORTISE_OK)
		pending_abandon(exchange, pending);
	return status;
}

enum mortise_status request_policy_apply(struct exchange *exchange)
{
	const struct wire_field *token = &exchange->request->field[WIRE_TAG_TOKEN];
	struct applied applied = {exchange->agent->policy_version,
		policy_rule_count(exchange->agent->policy), false, 0};
	bool is_dry_run = false;

	TRY(exchange_flag(exchange, WIRE_TAG_DRY_RUN, &is_dry_run));
	if (token->size != WIRE_TOKEN_SIZE)
		return exchange_fail(exchange, MORTISE_INVALID,
			"a write needs a token of %d random bytes", WIRE_TOKEN_SIZE);
	if (is_repeated(exchange, token->bytes)) {
		put_applied(exchange->reply, &applied);
		return MORTISE_OK;
	}
	if (!exchange->from->staging)
		return exchange_fail(
			exchange, MORTISE_INVALID, "no policy file was sent over this connection");
	struct applying *applying = calloc(1, sizeof *applying);
	if (!applying)
		return MORTISE_BUSY;
	applying->staging = exchange->from->staging;
	exchange->from->staging = NULL;
	memcpy(applying->token, token->bytes, sizeof applying->token);
	applying->uid = exchange->from->caller.subject.uid;
	applying->time_us = exchange->now_us;
	applying->is_dry_run = is_dry_run;
	return start_apply(exchange, applying);
}
