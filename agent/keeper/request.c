/* SPDX-License-Identifier: ISC */
#include "request.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "exchange.h"
#include "log.h"
#include "path.h"
#include "policy_record.h"

#define TAG(name) WIRE_ALLOW(WIRE_TAG_##name)

#define FACT_ROUNDS        4 /* as many as there are facts */
#define RETRY_US           1000000 /* between attempts to store an audit checkpoint */
#define LAST_CHECKPOINT_MS 2000

/* All authority there is. The verb counts only where the authority asks the policy. */
static const struct operation operations[] = {
	{WIRE_HELLO, "hello", ANYONE, 0, TAG(CHALLENGE), true, false, false, request_hello},
	{WIRE_STATUS, "status", ANYONE, 0, 0, true, false, false, request_status},
	{WIRE_WHOAMI, "whoami", ANYONE, 0, 0, true, false, false, request_whoami},
	{WIRE_INIT, "init", OPERATOR, 0, TAG(SLOT_KIND) | TAG(DRY_RUN), true, true, true,
		request_init},
	{WIRE_UNSEAL, "unseal", OPERATOR, 0, TAG(RECOVERY), true, true, true, request_unseal},
	{WIRE_SEAL, "seal", VERB_ALONE, VERB_ADMIN, TAG(UNTIL_BOOT) | TAG(DRY_RUN), false, true,
		true, request_seal},
	{WIRE_GET, "get", EACH_PATH, VERB_READ, TAG(PATHS) | TAG(VERSION) | TAG(LABEL), false,
		false, true, request_get},
	{WIRE_SET, "set", VERB_ON_PATH, VERB_WRITE,
		TAG(PATH) | TAG(VALUE) | TAG(TOKEN) | TAG(EXPECT) | TAG(IF_CHANGED) | TAG(DRY_RUN),
		false, true, true, request_set},
	{WIRE_LIST, "list", EACH_PATH, VERB_LIST, TAG(PREFIX) | TAG(CURSOR), false, false, true,
		request_list},
	{WIRE_SHOW, "show", VERB_ON_PATH, VERB_LIST, TAG(PATH), false, false, true, request_show},
	{WIRE_DELETE, "delete", VERB_ON_PATH, VERB_DELETE, TAG(PATH) | TAG(DRY_RUN), false, true,
		true, request_delete},
	{WIRE_UNDELETE, "undelete", VERB_ON_PATH, VERB_DELETE, TAG(PATH) | TAG(DRY_RUN), false,
		true, true, request_undelete},
	{WIRE_POLICY_STAGE, "policy-stage", VERB_ALONE, VERB_ADMIN,
		TAG(NAME) | TAG(OFFSET) | TAG(CHUNK), false, false, false, request_policy_stage},
	{WIRE_POLICY_APPLY, "policy-apply", VERB_ALONE, VERB_ADMIN, TAG(TOKEN) | TAG(DRY_RUN),
		false, true, true, request_policy_apply},
	{WIRE_POLICY_SHOW, "policy-show", VERB_ALONE, VERB_ADMIN, TAG(VERSION) | TAG(OFFSET), false,
		false, true, request_policy_show},
	{WIRE_POLICY_CHECK, "policy-check", VERB_ALONE, VERB_ADMIN,
		TAG(USER) | TAG(GROUP) | TAG(VERB) | TAG(PATH), false, false, true,
		request_policy_check},
	{WIRE_AUDIT_SHOW, "audit-show", VERB_ALONE, VERB_AUDIT, TAG(OFFSET), false, false, true,
		request_audit_show},
	{WIRE_AUDIT_VERIFY, "audit-verify", VERB_ALONE, VERB_AUDIT, TAG(CURSOR), false, false, true,
		request_audit_verify},
	{WIRE_AUDIT_KEY, "audit-key", VERB_ALONE, VERB_AUDIT, 0, false, false, true,
		request_audit_key},
	{WIRE_VERIFY, "verify", VERB_ALONE, VERB_ADMIN, TAG(CURSOR), false, false, true,
		request_verify},
};

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static const struct operation *operation_of(uint16_t opcode)
{
	for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++)
		if (operations[i].opcode == opcode)
			return &operations[i];
	return NULL;
}

enum mortise_status exchange_fail(
	struct exchange *exchange, enum mortise_status status, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(exchange->text, sizeof exchange->text, format, arguments);
	va_end(arguments);
	return status;
}

/* Each round tells the policy more, so that it may need less. */
static void gather_facts(const struct exchange *exchange)
{
	struct caller *caller = &exchange->from->caller;
	unsigned needed = policy_needs(exchange->agent->policy, &caller->subject);

	for (unsigned round = 0; needed && round < FACT_ROUNDS; round++) {
		evidence_gather(exchange->agent->evidence, caller, needed);
		needed = policy_needs(exchange->agent->policy, &caller->subject);
	}
}

struct decision exchange_may(const struct exchange *exchange, enum verb verb, const char *path)
{
	const struct decision denied = {.allowed = false};

	if (!exchange->agent->policy || !(exchange->from->entrance->verbs & verb))
		return denied;
	gather_facts(exchange);
	return policy_decide(exchange->agent->policy, &exchange->from->caller.subject, verb, path,
		(time_t)(exchange->now_us / 1000000));
}

bool exchange_is_operator(const struct exchange *exchange)
{
	const struct agent *agent = exchange->agent;
	const struct caller *caller = &exchange->from->caller;

	return exchange->from->entrance->is_main &&
		(caller->subject.uid == 0 || caller->subject.uid == agent->agent_uid ||
			(agent->operators_gid != UINT32_MAX &&
				caller_has_group(caller, agent->operators_gid)));
}

static void record(struct agent *agent, struct caller *caller, const struct audit_event *event)
{
	struct audit_event whole = *event;

	evidence_gather_login(caller);
	whole.has_caller = true;
	whole.uid = caller->subject.uid;
	whole.gid = caller->gid;
	whole.pid = caller->pid;
	whole.login_uid = caller->login_uid;
	whole.session = caller->session;
	audit_append(agent->audit, &whole);
}

void exchange_record(const struct exchange *exchange, const char *path, size_t path_size,
	uint64_t version, const char *rule, enum mortise_status result)
{
	struct audit_event event = {
		.time_us = exchange->now_us,
		.operation = exchange->operation->name,
		.path = path_size ? path : NULL,
		.path_size = path_size,
		.version = version,
		.rule = rule,
		.result = result,
	};

	record(exchange->agent, &exchange->from->caller, &event);
}

static enum mortise_status deny(struct exchange *exchange)
{
	return exchange_fail(exchange, MORTISE_DENIED, "denied, or no such secret for you");
}

/* PATH, if the operation names one; a name that is none is refused, never mended. */
static enum mortise_status take_path(struct exchange *exchange)
{
	const struct wire_field *path = &exchange->request->field[WIRE_TAG_PATH];

	if (!(exchange->operation->tags & TAG(PATH)) || !path->bytes)
		return exchange->operation->authority == VERB_ON_PATH
			? exchange_fail(exchange, MORTISE_INVALID, "the request names no path")
			: MORTISE_OK;
	if (!path_is_valid((const char *)path->bytes, path->size))
		return exchange_fail(exchange, MORTISE_INVALID,
			"not a path: 1 to 8 segments of a-z 0-9 . _ - joined by '/', each starting "
			"with a letter or digit, at most %d bytes",
			MORTISE_PATH_MAX);
	memcpy(exchange->path, path->bytes, path->size);
	exchange->path[path->size] = '\0';
	return MORTISE_OK;
}

static enum mortise_status check_authority(struct exchange *exchange)
{
	const struct operation *operation = exchange->operation;
	struct decision decision = {.allowed = false};

	switch (operation->authority) {
	case ANYONE:
	case EACH_PATH:
		return MORTISE_OK;
	case OPERATOR:
		decision.allowed = exchange_is_operator(exchange);
		break;
	case VERB_ON_PATH:
		decision = exchange_may(exchange, operation->verb, exchange->path);
		break;
	case VERB_ALONE:
		decision = exchange_may(exchange, operation->verb, NULL);
		break;
	}
	if (decision.rule) {
		snprintf(exchange->rule_name, sizeof exchange->rule_name, "%s", decision.rule);
		exchange->rule = exchange->rule_name;
	}
	return decision.allowed ? MORTISE_OK : deny(exchange);
}

static enum mortise_status check_state(struct exchange *exchange)
{
	enum lifecycle_state state = lifecycle_state(exchange->agent->lifecycle);

	if (exchange->operation->while_sealed || state == LIFECYCLE_UNSEALED)
		return MORTISE_OK;
	if (state == LIFECYCLE_UNINITIALISED)
		return exchange_fail(exchange, MORTISE_SEALED,
			"not initialised yet; an operator can run: mortise init");
	if (exchange_is_operator(exchange) && lifecycle_reason(exchange->agent->lifecycle)[0])
		return exchange_fail(exchange, MORTISE_SEALED, "%s",
			lifecycle_reason(exchange->agent->lifecycle));
	return exchange_fail(exchange, MORTISE_SEALED, "sealed");
}

static enum mortise_status run(struct exchange *exchange)
{
	const struct operation *operation = exchange->operation;

	if (exchange->request->present & ~operation->tags)
		return exchange_fail(exchange, MORTISE_INVALID, "a field that %s does not take",
			operation->name);
	TRY(take_path(exchange));
	TRY(check_state(exchange));
	TRY(check_authority(exchange));
	if (operation->changes && audit_report(exchange->agent->audit).is_failing)
		return exchange_fail(exchange, MORTISE_BUSY,
			"the audit log can't be written, so nothing is changed; free some space");
	return operation->handler(exchange);
}

static size_t finish(struct exchange *exchange, enum mortise_status status, uint8_t *reply,
	size_t capacity)
{
	uint32_t request_id = exchange->request->request_id;
	size_t size = 0;

	if (exchange->operation->is_recorded && !exchange->is_silent)
		exchange_record(exchange, exchange->path, strlen(exchange->path),
			exchange->version, exchange->rule, status);
	if (status == MORTISE_OK)
		size = wire_finish(exchange->reply);
	if (size)
		return size;
	if (status == MORTISE_OK)
		return request_refuse(request_id, MORTISE_INVALID,
			"the answer is larger than a frame; ask for less at once", reply, capacity);
	return request_refuse(request_id, status,
		exchange->text[0] ? exchange->text : mortise_status_text(status), reply, capacity);
}

size_t request_handle(struct agent *agent, struct requester *from,
	const struct wire_message *request, uint8_t *reply, size_t capacity)
{
	struct wire_writer writer;
	struct exchange exchange = {.agent = agent,
		.from = from,
		.operation = operation_of(request->code),
		.request = request,
		.reply = &writer,
		.now_us = now_us()};

	if (!exchange.operation)
		return request_refuse(request->request_id, MORTISE_INVALID,
			"this agent does not know that request", reply, capacity);
	wire_begin(&writer, reply, capacity, MORTISE_OK, request->request_id);
	enum mortise_status status = run(&exchange);
	return exchange.is_pending ? 0 : finish(&exchange, status, reply, capacity);
}

size_t request_refuse(uint32_t request_id, enum mortise_status status, const char *text,
	uint8_t *reply, size_t capacity)
{
	struct wire_writer writer;

	wire_begin(&writer, reply, capacity, (uint16_t)status, request_id);
	wire_put_text(&writer, WIRE_TAG_TEXT, text);
	return wire_finish(&writer);
}

void requester_done(struct requester *requester)
{
	if (requester->pending)
		requester->pending->from = NULL;
	requester->pending = NULL;
	policy_staging_free(requester->staging);
	audit_check_free(requester->check);
	caller_done(&requester->caller);
}

enum mortise_status pending_new(struct exchange *exchange, void *context,
	void (*release)(void *context), struct pending **out_pending)
{
	struct pending *pending = calloc(1, sizeof *pending);
	struct caller *caller = &exchange->from->caller;

	if (!pending)
		return MORTISE_BUSY;
	evidence_gather_login(caller);
	*pending = (struct pending){
		.agent = exchange->agent,
		.from = exchange->from,
		.operation = exchange->operation,
		.request_id = exchange->request->request_id,
		.uid = caller->subject.uid,
		.gid = caller->gid,
		.pid = caller->pid,
		.login_uid = caller->login_uid,
		.session = caller->session,
		.context = context,
		.release = release,
	};
	memcpy(pending->path, exchange->path, sizeof pending->path);
	memcpy(pending->rule_name, exchange->rule_name, sizeof pending->rule_name);
	exchange->from->pending = pending;
	exchange->is_pending = true;
	*out_pending = pending;
	return MORTISE_OK;
}

static void pending_free(struct pending *pending)
{
	if (pending->from)
		pending->from->pending = NULL;
	if (pending->release)
		pending->release(pending->context);
	free(pending);
}

void pending_abandon(struct exchange *exchange, struct pending *pending)
{
	exchange->is_pending = false;
	pending_free(pending);
}

struct building {
	const struct pending *pending;
	enum mortise_status status;
	const char *text;
	void (*put_fields)(struct wire_writer *reply, const void *context);
	const void *context;
};

static size_t build(struct wire_writer *reply, void *context)
{
	const struct building *building = context;
	uint8_t *buffer = reply->bytes;
	size_t capacity = reply->capacity;
	uint32_t id = building->pending->request_id;

	if (building->status != MORTISE_OK)
		return request_refuse(id, building->status,
			building->text[0] ? building->text : mortise_status_text(building->status),
			buffer, capacity);
	wire_begin(reply, buffer, capacity, MORTISE_OK, id);
	if (building->put_fields)
		building->put_fields(reply, building->context);
	return wire_finish(reply);
}

void pending_finish(struct pending *pending, enum mortise_status status, const char *text,
	void (*put_fields)(struct wire_writer *reply, const void *context), const void *context)
{
	struct agent *agent = pending->agent;
	struct building building = {pending, status, text, put_fields, context};
	struct audit_event event = {
		.time_us = now_us(),
		.operation = pending->operation->name,
		.has_caller = true,
		.uid = pending->uid,
		.gid = pending->gid,
		.pid = pending->pid,
		.login_uid = pending->login_uid,
		.session = pending->session,
		.path = pending->path[0] ? pending->path : NULL,
		.path_size = strlen(pending->path),
		.version = pending->version,
		.rule = pending->rule_name[0] ? pending->rule_name : NULL,
		.result = status,
	};

	if (pending->operation->is_recorded)
		audit_append(agent->audit, &event);
	if (pending->from)
		agent->answer(agent->server, pending->from, build, &building);
	pending_free(pending);
}

void put_text_fact(struct wire_writer *reply, const char *name, const char *text)
{
	size_t item = wire_item_begin(reply);

	wire_put_text(reply, WIRE_TAG_TEXT, text);
	wire_put_text(reply, WIRE_TAG_NAME, name);
	wire_item_end(reply, item);
}

void put_number_fact(struct wire_writer *reply, const char *name, uint64_t number)
{
	size_t item = wire_item_begin(reply);

	wire_put_text(reply, WIRE_TAG_NAME, name);
	wire_put_number(reply, WIRE_TAG_NUMBER, number);
	wire_item_end(reply, item);
}

void request_record(void *context, const char *operation, enum mortise_status result, const char *note)
{
	struct agent *agent = context;
	struct audit_event event = {.time_us = now_us(),
		.operation = operation,
		.result = result,
		.note = note && note[0] ? note : NULL};

	audit_append(agent->audit, &event);
}

enum mortise_status request_vault_opened(
	void *context, struct vault *vault, const char **out_reason)
{
	struct agent *agent = context;
	CLEANUP(secret_drop) struct secret *state = NULL;
	struct policy *policy = NULL;
	uint8_t *record_bytes = NULL;
	size_t size = 0;
	uint64_t version = 0;

	*out_reason = "the policy in the store cannot be read";
	TRY(vault_policy(vault, 0, &record_bytes, &size, &version));
	enum mortise_status status = policy_record_compile(record_bytes, size, &policy);
	free(record_bytes);
	TRY(status);
	*out_reason = "the audit log's keys in the store do not fit";
	status = vault_audit_state(vault, &state);
	if (status == MORTISE_OK)
		status = audit_attach(agent->audit, vault_uuid(vault), state);
	if (status != MORTISE_OK) {
		policy_free(policy);
		return status;
	}
	agent->policy = policy;
	agent->policy_version = version;
	audit_request_checkpoint(agent->audit);
	return MORTISE_OK;
}

void request_vault_closing(void *context)
{
	struct agent *agent = context;

	request_checkpoint_last(agent);
	secret_drop(&agent->audit_state);
	audit_detach(agent->audit);
	policy_free(agent->policy);
	agent->policy = NULL;
}

/* Keeps the state until it is in the store: without it the log's keys would be lost. */
static void store_audit_state(struct agent *agent)
{
	struct vault *vault = lifecycle_vault(agent->lifecycle);

	if (!agent->audit_state || !vault)
		return;
	enum mortise_status status = vault_set_audit_state(vault, agent->audit_state);
	if (status != MORTISE_OK) {
		log_warning("an audit checkpoint could not be stored, it is tried again: %s",
			mortise_status_text(status));
		return;
	}
	secret_drop(&agent->audit_state);
	audit_checkpoint_stored(agent->audit);
}

void request_checkpoint_done(struct agent *agent)
{
	enum mortise_status status = audit_checkpoint_end(agent->audit, &agent->audit_state);

	if (status == MORTISE_OK)
		store_audit_state(agent);
	else if (status != MORTISE_BUSY)
		log_warning("the audit log is not safely on disk: %s", mortise_status_text(status));
}

void request_upkeep(struct agent *agent)
{
	struct vault *vault = lifecycle_vault(agent->lifecycle);
	uint64_t now = now_us();

	if (vault && vault_is_stale(vault)) {
		lifecycle_reopen(agent->lifecycle);
		return;
	}
	if (agent->audit_state && now - agent->audit_retry_us > RETRY_US) {
		agent->audit_retry_us = now;
		store_audit_state(agent);
	}
	if (audit_checkpoint_is_due(agent->audit, now) &&
		audit_checkpoint_begin(agent->audit, now) == MORTISE_IO)
		log_warning("the audit log could not be checkpointed");
}

void request_checkpoint_last(struct agent *agent)
{
	struct pollfd done = {.fd = audit_descriptor(agent->audit), .events = POLLIN};

	if (!lifecycle_vault(agent->lifecycle) || agent->audit_state)
		return;
	audit_request_checkpoint(agent->audit);
	if (audit_flush(agent->audit) == MORTISE_OK &&
		audit_checkpoint_begin(agent->audit, now_us()) == MORTISE_OK &&
		poll(&done, 1, LAST_CHECKPOINT_MS) == 1)
		request_checkpoint_done(agent);
}
