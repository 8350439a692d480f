/* SPDX-License-Identifier: ISC */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exchange.h"
#include "log.h"
#include "path.h"
#include "policy_record.h"
#include "processes.h"

#define STAGING_MAX (16 * 1024 * 1024)
#define BATCH_MAX   64 /* names asked of the monitor at once */

/* Files being uploaded over one connection. */
struct policy_staging {
	struct policy_file files[POLICY_FILES_MAX];
	char names[POLICY_FILES_MAX][POLICY_FILE_NAME_MAX];
	char *texts[POLICY_FILES_MAX];
	size_t count, total;
};

void policy_staging_free(struct policy_staging *staging)
{
	if (!staging)
		return;
	for (size_t i = 0; i < staging->count; i++)
		free(staging->texts[i]);
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
	for (const char *at = name; *at; at++)
		if (*at < ' ' || *at == 127)
			return exchange_fail(exchange, MORTISE_INVALID,
				"a policy file's name has no control characters");
	if (offset == 0) {
		if (staging->count == POLICY_FILES_MAX)
			return exchange_fail(exchange, MORTISE_INVALID,
				"at most %d policy files", POLICY_FILES_MAX);
		memcpy(staging->names[staging->count], name, sizeof name);
		staging->files[staging->count] =
			(struct policy_file){staging->names[staging->count], "", 0};
		staging->texts[staging->count] = NULL;
		staging->count++;
	}
	struct policy_file *file = staging->count ? &staging->files[staging->count - 1] : NULL;
	if (!file || strcmp(file->name, name) != 0 || file->size != offset)
		return exchange_fail(exchange, MORTISE_INVALID,
			"a policy file comes in order, from its start");
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
	char **text = &staging->texts[staging->count - 1];
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

/* An apply on its way: parsed, its names being asked for. */
struct applying {
	struct pending *pending;
	struct policy_staging *staging;
	struct policy *policy;
	uint32_t *ids;       /* by name */
	size_t asked;        /* names before this one are known */
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
	enum mortise_status status =
		policy_record_write(&source, bytes, room, &record.size);
	if (status == MORTISE_OK)
		status = vault_set_policy(vault, record, out_version);
	free(bytes);
	return status;
}

/* Every name is known: the new policy is stored first, then it is in force. */
static enum mortise_status apply(struct applying *applying, struct applied *applied)
{
	struct agent *agent = applying->pending->agent;
	struct vault *vault = lifecycle_vault(agent->lifecycle);

	if (!vault)
		return MORTISE_SEALED;
	for (size_t i = 0; i < policy_name_count(applying->policy); i++)
		policy_pin(applying->policy, i, applying->ids[i]);
	TRY(policy_compile(applying->policy, &applying->error));
	applied->rules = policy_rule_count(applying->policy);
	if (!evidence_has_witness(agent->evidence))
		applied->blind_rules = policy_exe_rule_count(applying->policy);
	applied->changed = true;
	if (applying->is_dry_run) {
		applied->version = agent->policy_version + 1;
		return MORTISE_OK;
	}
	TRY(store_policy(applying, vault, &applied->version));
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
	applying->is_dry_run = wire_has(exchange->request, WIRE_TAG_DRY_RUN);
	return start_apply(exchange, applying);
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
	exchange->is_silent = offset != 0;
	enum mortise_status status =
		vault_policy(vault, version, &record, &record_size, &version);
	if (status == MORTISE_NOT_FOUND)
		return exchange_fail(exchange, status, "no such policy version is kept");
	TRY(status);
	status = policy_record_text(record, record_size, &text, &size);
	free(record);
	TRY(status);
	if (offset > size)
		offset = size;
	size_t part = size - offset > WIRE_CHUNK_MAX ? WIRE_CHUNK_MAX : size - offset;
	wire_put_number(exchange->reply, WIRE_TAG_VERSION, version);
	wire_put(exchange->reply, WIRE_TAG_CHUNK, text + offset, part);
	if (offset + part < size)
		wire_put_number(exchange->reply, WIRE_TAG_MORE, 1);
	wire_put_number(exchange->reply, WIRE_TAG_TOTAL, size);
	free(text);
	return MORTISE_OK;
}

/* `policy check` for somebody else: the names are being asked for. */
struct checking {
	struct pending *pending;
	enum verb verb;
	char path[MORTISE_PATH_MAX + 1];
	char user[64], group[64];
	uint32_t uid; /* of the caller, where no user is named */
	uint32_t *groups;
	size_t group_count;
};

static void checking_free(void *context)
{
	struct checking *checking = context;

	free(checking->groups);
	free(checking);
}

struct verdict {
	struct decision decision;
	char text[512];
};

static void put_verdict(struct wire_writer *reply, const void *context)
{
	const struct verdict *verdict = context;

	wire_put_text(reply, WIRE_TAG_TEXT, verdict->text);
	wire_put_number(reply, WIRE_TAG_NUMBER, verdict->decision.allowed);
	if (verdict->decision.rule)
		wire_put_text(reply, WIRE_TAG_RULE, verdict->decision.rule);
}

static void judge(const struct checking *checking, const struct exchange *asked,
	struct verdict *verdict)
{
	const char *path = checking->path[0] ? checking->path : NULL;
	const struct subject subject = {.uid = checking->uid, .groups = checking->groups,
		.group_count = checking->group_count};

	verdict->decision = policy_decide(asked->agent->policy, &subject, checking->verb, path,
		(time_t)(asked->now_us / 1000000));
	snprintf(verdict->text, sizeof verdict->text, "uid %u %s %s%s%s: %s%s", checking->uid,
		verdict->decision.allowed ? "may" : "may not", verb_name(checking->verb),
		path ? " " : "", path ? path : "",
		verdict->decision.rule ? "rule " : "no rule allows it",
		verdict->decision.rule ? verdict->decision.rule : "");
}

static enum mortise_status add_groups(struct checking *checking, const struct wire_field *ids)
{
	size_t count = ids->size / sizeof(uint32_t);
	void *groups = reallocarray(checking->groups, checking->group_count + count + 1,
		sizeof *checking->groups);

	if (!groups)
		return MORTISE_BUSY;
	checking->groups = groups;
	for (size_t i = 0; i < count; i++) {
		const uint8_t *at = ids->bytes + i * sizeof(uint32_t);
		checking->groups[checking->group_count++] = (uint32_t)at[0] |
			(uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
	}
	return MORTISE_OK;
}

/* One looked-up name: a user's id and groups, or a group's id. */
static enum mortise_status take_name(struct checking *checking, struct wire_list *list, bool is_user)
{
	struct wire_message fields;
	struct wire_field item;
	uint64_t status = MORTISE_IO, id = 0;

	if (!wire_list_next(list, &item) ||
		wire_parse_fields(item.bytes, item.size, &fields) != MORTISE_OK ||
		wire_number(&fields, WIRE_TAG_STATUS, &status) != MORTISE_OK)
		return MORTISE_IO;
	if (status != MORTISE_OK)
		return status == MORTISE_NOT_FOUND ? MORTISE_NOT_FOUND : MORTISE_IO;
	if (wire_number(&fields, WIRE_TAG_NUMBER, &id) != MORTISE_OK || id > UINT32_MAX)
		return MORTISE_IO;
	TRY(add_groups(checking, &fields.field[WIRE_TAG_IDS]));
	if (is_user)
		checking->uid = (uint32_t)id;
	else
		checking->groups[checking->group_count++] = (uint32_t)id;
	return MORTISE_OK;
}

static void on_checked_names(void *context, const struct wire_message *answer, int descriptor)
{
	struct checking *checking = context;
	struct pending *pending = checking->pending;
	struct exchange asked = {.agent = pending->agent};
	struct verdict verdict = {0};
	struct wire_list list = {NULL, NULL};
	enum mortise_status status = MORTISE_IO;

	(void)descriptor;
	if (answer && answer->code == MORTISE_OK) {
		list = wire_list_of(answer, WIRE_TAG_ITEMS);
		status = checking->user[0] ? take_name(checking, &list, true) : MORTISE_OK;
		if (status == MORTISE_OK && checking->group[0])
			status = take_name(checking, &list, false);
	}
	if (status == MORTISE_OK && !pending->agent->policy)
		status = MORTISE_SEALED;
	if (status == MORTISE_OK) {
		asked.now_us = (uint64_t)time(NULL) * 1000000;
		judge(checking, &asked, &verdict);
	}
	pending_finish(pending, status == MORTISE_NOT_FOUND ? MORTISE_INVALID : status,
		status == MORTISE_NOT_FOUND ? "no such user or group on this host" : "",
		put_verdict, &verdict);
}

static enum mortise_status ask_for(struct exchange *exchange, struct checking *checking)
{
	struct monitor_link *monitor = exchange->agent->monitor;

	TRY(pending_new(exchange, checking, checking_free, &checking->pending));
	struct wire_writer *writer = monitor_begin(monitor, PROCESS_RESOLVE);
	size_t list = wire_list_begin(writer, WIRE_TAG_USERS);
	if (checking->user[0])
		wire_item_put(writer, checking->user, strlen(checking->user));
	wire_list_end(writer, list);
	list = wire_list_begin(writer, WIRE_TAG_GROUPS);
	if (checking->group[0])
		wire_item_put(writer, checking->group, strlen(checking->group));
	wire_list_end(writer, list);
	return monitor_ask(monitor, on_checked_names, checking);
}

static enum mortise_status read_checking(struct exchange *exchange, struct checking *checking)
{
	const struct wire_message *request = exchange->request;
	const struct subject *subject = &exchange->from->caller.subject;
	char verb[16];

	if (wire_text(request, WIRE_TAG_VERB, verb, sizeof verb) != MORTISE_OK ||
		!(checking->verb = verb_of_name(verb)))
		return exchange_fail(exchange, MORTISE_INVALID,
			"a verb is read, list, write, delete, rotate, audit or admin");
	if ((wire_has(request, WIRE_TAG_USER) &&
		    wire_text(request, WIRE_TAG_USER, checking->user, sizeof checking->user)) ||
		(wire_has(request, WIRE_TAG_GROUP) &&
			wire_text(request, WIRE_TAG_GROUP, checking->group,
				sizeof checking->group)))
		return exchange_fail(exchange, MORTISE_INVALID, "not a user's or group's name");
	memcpy(checking->path, exchange->path, sizeof checking->path);
	checking->uid = subject->uid;
	if (checking->user[0])
		return MORTISE_OK;
	checking->groups = calloc(subject->group_count + 2, sizeof *checking->groups);
	if (!checking->groups)
		return MORTISE_BUSY;
	memcpy(checking->groups, subject->groups,
		subject->group_count * sizeof *checking->groups);
	checking->group_count = subject->group_count;
	return MORTISE_OK;
}

enum mortise_status request_policy_check(struct exchange *exchange)
{
	struct checking *checking = calloc(1, sizeof *checking);
	struct verdict verdict = {0};

	if (!checking)
		return MORTISE_BUSY;
	enum mortise_status status = read_checking(exchange, checking);
	if (status == MORTISE_OK && (checking->user[0] || checking->group[0])) {
		status = ask_for(exchange, checking);
		if (status == MORTISE_OK)
			return MORTISE_OK;
		if (exchange->is_pending) {
			pending_abandon(exchange, checking->pending);
			return status;
		}
	} else if (status == MORTISE_OK) {
		judge(checking, exchange, &verdict);
		put_verdict(exchange->reply, &verdict);
	}
	checking_free(checking);
	return status;
}
