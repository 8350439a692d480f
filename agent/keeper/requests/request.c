/* SPDX-License-Identifier: ISC */
#include "request.h"

#include <poll.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "exchange.h"
#include "log.h"
#include "path.h"
#include "policy_record.h"
#include "refusal.h"

#define TAG(name) WIRE_TAG_##name

/* All authority there is. The verb counts where the policy is asked, here or by the handler. */
static const struct operation operations[] = {
	{WIRE_HELLO, "hello", ANYONE, 0, WHILE_SEALED, WIRE_TAGS(TAG(CHALLENGE)), request_hello},
	{WIRE_STATUS, "status", ANYONE, 0, WHILE_SEALED, NULL, request_status},
	{WIRE_WHOAMI, "whoami", ANYONE, 0, WHILE_SEALED, NULL, request_whoami},
	{WIRE_INIT, "init", OPERATOR, 0, WHILE_SEALED | CHANGES | RECORDED,
		WIRE_TAGS(TAG(SLOT_KIND), TAG(DRY_RUN), TAG(COUNTER), TAG(PIN), TAG(URI), TAG(PCRS),
			TAG(PUBLIC_KEY)),
		request_init},
	{WIRE_UNSEAL, "unseal", OPERATOR, 0, WHILE_SEALED | CHANGES | RECORDED | FREES_ROOM,
		WIRE_TAGS(TAG(NUMBER), TAG(RECOVERY), TAG(SLOT_KIND), TAG(PIN), TAG(SHARES)),
		request_unseal},
	{WIRE_SEAL, "seal", VERB_ALONE, VERB_ADMIN, WHILE_SEALED | CHANGES | RECORDED | FREES_ROOM,
		WIRE_TAGS(TAG(UNTIL_BOOT), TAG(DRY_RUN)), request_seal},
	{WIRE_GET, "get", EACH_PATH, VERB_READ, RECORDED,
		WIRE_TAGS(TAG(PATHS), TAG(VERSION), TAG(LABEL)), request_get},
	{WIRE_SET, "set", VERB_ON_PATH, VERB_WRITE, CHANGES | RECORDED,
		WIRE_TAGS(TAG(PATH), TAG(VALUE), TAG(TOKEN), TAG(EXPECT), TAG(IF_CHANGED),
			TAG(DRY_RUN), TAG(NOTE)),
		request_set},
	{WIRE_LIST, "list", EACH_PATH, VERB_LIST, RECORDED | FREES_ROOM,
		WIRE_TAGS(TAG(PREFIX), TAG(CURSOR)), request_list},
	{WIRE_SHOW, "show", VERB_ON_PATH, VERB_LIST, RECORDED | FREES_ROOM, WIRE_TAGS(TAG(PATH)),
		request_show},
	{WIRE_DELETE, "delete", VERB_ON_PATH, VERB_DELETE, CHANGES | RECORDED | FREES_ROOM,
		WIRE_TAGS(TAG(PATH), TAG(DRY_RUN)), request_delete},
	{WIRE_UNDELETE, "undelete", VERB_ON_PATH, VERB_DELETE, CHANGES | RECORDED,
		WIRE_TAGS(TAG(PATH), TAG(DRY_RUN)), request_undelete},
	{WIRE_META, "meta", VERB_ON_PATH, VERB_WRITE, CHANGES | RECORDED,
		WIRE_TAGS(TAG(PATH), TAG(DRY_RUN), TAG(TOTAL), TAG(META), TAG(NOTE), TAG(MAX_AGE),
			TAG(HOOK)),
		request_meta},
	{WIRE_MOVE, "move", VERB_ON_PATH, VERB_WRITE, CHANGES | RECORDED,
		WIRE_TAGS(TAG(PATH), TAG(TOKEN), TAG(NAME), TAG(DRY_RUN)), request_move},
	{WIRE_ROLLBACK, "rollback", VERB_ON_PATH, VERB_WRITE, CHANGES | RECORDED,
		WIRE_TAGS(TAG(PATH), TAG(VERSION), TAG(TOKEN), TAG(EXPECT), TAG(DRY_RUN)),
		request_rollback},
	{WIRE_DESTROY, "destroy", VERB_ON_PATH, VERB_DELETE, CHANGES | RECORDED | FREES_ROOM,
		WIRE_TAGS(TAG(PATH), TAG(VERSION), TAG(DRY_RUN), TAG(FORCE)), request_destroy},
	{WIRE_SET_BATCH, "set-batch", EACH_PATH, VERB_WRITE, CHANGES | RECORDED,
		WIRE_TAGS(TAG(ITEMS), TAG(TOKEN), TAG(IF_CHANGED), TAG(DRY_RUN), TAG(NOTE)),
		request_set_batch},
	{WIRE_WATCH, "watch", EACH_PATH, VERB_READ, RECORDED, WIRE_TAGS(TAG(ITEMS), TAG(NUMBER)),
		request_watch},
	{WIRE_ROTATE, "rotate", VERB_ON_PATH, VERB_ROTATE, CHANGES | RECORDED,
		WIRE_TAGS(
			TAG(PATH), TAG(VERSION), TAG(VALUE), TAG(TOKEN), TAG(NUMBER), TAG(DRY_RUN)),
		request_rotate},
	{WIRE_HYGIENE, "hygiene", VERB_ALONE, VERB_ADMIN, RECORDED,
		WIRE_TAGS(TAG(CURSOR), TAG(TIME)), request_hygiene},
	{WIRE_POLICY_STAGE, "policy-stage", VERB_ALONE, VERB_ADMIN, FREES_ROOM,
		WIRE_TAGS(TAG(NAME), TAG(OFFSET), TAG(CHUNK)), request_policy_stage},
	{WIRE_POLICY_APPLY, "policy-apply", VERB_ALONE, VERB_ADMIN, CHANGES | RECORDED | FREES_ROOM,
		WIRE_TAGS(TAG(TOKEN), TAG(EXPECT), TAG(DRY_RUN), TAG(FORCE)), request_policy_apply},
	{WIRE_POLICY_SHOW, "policy-show", VERB_ALONE, VERB_ADMIN, RECORDED | FREES_ROOM,
		WIRE_TAGS(TAG(VERSION), TAG(OFFSET)), request_policy_show},
	{WIRE_POLICY_CHECK, "policy-check", VERB_ALONE, VERB_ADMIN, RECORDED,
		WIRE_TAGS(WIRE_TAGS_SUPPOSED, TAG(TIME), TAG(VERB), TAG(PATH)),
		request_policy_check},
	{WIRE_POLICY_WHO, "policy-who", VERB_ALONE, VERB_ADMIN, RECORDED,
		WIRE_TAGS(TAG(PATH), TAG(VERB), TAG(CURSOR)), request_policy_who},
	{WIRE_POLICY_MAY, "policy-may", VERB_ALONE, VERB_ADMIN, RECORDED,
		WIRE_TAGS(WIRE_TAGS_SUPPOSED, TAG(CURSOR)), request_policy_may},
	{WIRE_POLICY_ROLLBACK, "policy-rollback", VERB_ALONE, VERB_ADMIN,
		CHANGES | RECORDED | FREES_ROOM,
		WIRE_TAGS(TAG(VERSION), TAG(TOKEN), TAG(EXPECT), TAG(DRY_RUN), TAG(FORCE)),
		request_policy_rollback},
	{WIRE_POLICY_RESET, "policy-reset", OPERATOR, 0, CHANGES | RECORDED | FREES_ROOM,
		WIRE_TAGS(TAG(TOKEN), TAG(EXPECT), TAG(RECOVERY), TAG(DRY_RUN)),
		request_policy_reset},
	{WIRE_AUDIT_SHOW, "audit-show", VERB_ALONE, VERB_AUDIT, RECORDED | FREES_ROOM,
		WIRE_TAGS(TAG(OFFSET)), request_audit_show},
	{WIRE_AUDIT_VERIFY, "audit-verify", VERB_ALONE, VERB_AUDIT, RECORDED | FREES_ROOM,
		WIRE_TAGS(TAG(CURSOR)), request_audit_verify},
	{WIRE_AUDIT_KEY, "audit-key", VERB_ALONE, VERB_AUDIT, RECORDED, NULL, request_audit_key},
	{WIRE_AUDIT_ACKNOWLEDGE, "audit-acknowledge", VERB_ALONE, VERB_ADMIN,
		CHANGES | RECORDED | FREES_ROOM, WIRE_TAGS(TAG(NOTE), TAG(DRY_RUN)),
		request_audit_acknowledge},
	{WIRE_BACKUP, "backup", VERB_ALONE, VERB_ADMIN, RECORDED | FREES_ROOM,
		WIRE_TAGS(TAG(OFFSET)), request_backup},
	{WIRE_BACKUP_STAGE, "backup-stage", OPERATOR, 0, WHILE_SEALED,
		WIRE_TAGS(TAG(OFFSET), TAG(CHUNK)), request_backup_stage},
	{WIRE_BACKUP_VERIFY, "backup-verify", OPERATOR, 0, WHILE_SEALED | RECORDED,
		WIRE_TAGS(TAG(CURSOR), TAG(RECOVERY), TAG(SHARES)), request_backup_verify},
	{WIRE_RECOVER, "recover", OPERATOR, 0, WHILE_SEALED | CHANGES | RECORDED,
		WIRE_TAGS(TAG(NUMBER), TAG(RECOVERY), TAG(SLOT_KIND), TAG(DRY_RUN), TAG(PIN),
			TAG(URI), TAG(PCRS), TAG(PUBLIC_KEY), TAG(SHARES), TAG(COUNTER)),
		request_recover},
	{WIRE_VERIFY, "verify", VERB_ALONE, VERB_ADMIN, RECORDED | FREES_ROOM,
		WIRE_TAGS(TAG(CURSOR)), request_verify},
	{WIRE_REKEY, "rekey", VERB_ALONE, VERB_ADMIN, CHANGES | RECORDED,
		WIRE_TAGS(TAG(CURSOR), TAG(DRY_RUN), TAG(REENCRYPT)), request_rekey},
	{WIRE_SLOT_LIST, "slot-list", VERB_ALONE, VERB_ADMIN, RECORDED, NULL, request_slot_list},
	{WIRE_SLOT_ADD, "slot-add", VERB_ALONE, VERB_ADMIN, CHANGES | RECORDED,
		WIRE_TAGS(TAG(NUMBER), TAG(SLOT_KIND), TAG(DRY_RUN), TAG(PIN), TAG(URI), TAG(PCRS),
			TAG(PUBLIC_KEY), TAG(THRESHOLD)),
		request_slot_add},
	{WIRE_SLOT_REMOVE, "slot-remove", VERB_ALONE, VERB_ADMIN, CHANGES | RECORDED,
		WIRE_TAGS(TAG(NUMBER), TAG(DRY_RUN)), request_slot_remove},
	{WIRE_SLOT_TEST, "slot-test", VERB_ALONE, VERB_ADMIN, CHANGES | RECORDED,
		WIRE_TAGS(TAG(NUMBER), TAG(RECOVERY), TAG(PIN), TAG(SHARES)), request_slot_test},
	{WIRE_SLOT_RESEAL, "slot-reseal", VERB_ALONE, VERB_ADMIN, CHANGES | RECORDED,
		WIRE_TAGS(TAG(NUMBER), TAG(DRY_RUN), TAG(PIN)), request_slot_reseal},
	{WIRE_SLOT_SUSPEND, "slot-suspend", VERB_ALONE, VERB_ADMIN, CHANGES | RECORDED,
		WIRE_TAGS(TAG(NUMBER), TAG(DRY_RUN), TAG(PIN), TAG(BOOTS)), request_slot_suspend},
	{WIRE_SLOT_CHANGE_PIN, "slot-change-pin", VERB_ALONE, VERB_ADMIN, CHANGES | RECORDED,
		WIRE_TAGS(TAG(NUMBER), TAG(DRY_RUN), TAG(PIN)), request_slot_change_pin},
	{WIRE_CLOCK_ACCEPT, "clock-accept", VERB_ALONE, VERB_ADMIN, CHANGES | RECORDED,
		WIRE_TAGS(TAG(NOTE), TAG(DRY_RUN)), request_clock_accept},
	{WIRE_DOCTOR, "doctor", VERB_ALONE, VERB_ADMIN, WHILE_SEALED | RECORDED | FREES_ROOM,
		WIRE_TAGS(TAG(NUMBER)), request_doctor},
};

static const struct operation *operation_of(uint16_t opcode)
{
	for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++)
		if (operations[i].opcode == opcode)
			return &operations[i];
	return NULL;
}

/* PATH, if the operation names one. */
static enum mortise_status take_path(struct exchange *exchange)
{
	const struct wire_field *path = wire_field_of(exchange->request, WIRE_TAG_PATH);

	if (path->bytes)
		return exchange_path(exchange, path, exchange->path);
	if (exchange->operation->authority == VERB_ON_PATH)
		return exchange_fail(exchange, MORTISE_INVALID, "the request names no path");
	return MORTISE_OK;
}

/* Is it a further part of what this connection has begun? All parts are one use of a rule. */
static bool goes_on(const struct exchange *exchange)
{
	const struct requester *from = exchange->from;
	bool has_place = wire_has(exchange->request, WIRE_TAG_CURSOR) ||
			 wire_has(exchange->request, WIRE_TAG_OFFSET);

	switch (exchange->operation->opcode) {
	case WIRE_AUDIT_VERIFY:
		return has_place && from->check;
	case WIRE_POLICY_STAGE:
		return from->staging != NULL;
	case WIRE_BACKUP:
		return from->page_of == WIRE_BACKUP;
	default:
		return has_place && from->page_of == exchange->operation->opcode;
	}
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
		/* While sealed there is no policy to ask. */
		if (operation_has(operation, WHILE_SEALED) && !exchange->agent->policy)
			decision.allowed = exchange_is_operator(exchange);
		break;
	}
	if (decision.rule) {
		snprintf(exchange->rule_name, sizeof exchange->rule_name, "%s", decision.rule);
		exchange->rule = exchange->rule_name;
	}
	if (!decision.allowed)
		return exchange_deny(exchange);
	return goes_on(exchange) ? MORTISE_OK : exchange_take(exchange, &decision);
}

static enum mortise_status check_state(struct exchange *exchange)
{
	enum lifecycle_state state = lifecycle_state(exchange->agent->lifecycle);

	if (operation_has(exchange->operation, WHILE_SEALED) || state == LIFECYCLE_UNSEALED)
		return MORTISE_OK;
	if (state == LIFECYCLE_UNINITIALISED)
		return exchange_fail(exchange, MORTISE_SEALED,
			"not initialised yet; an operator can run: mortise init");
	if (exchange_is_operator(exchange) && lifecycle_reason(exchange->agent->lifecycle)[0])
		return exchange_fail(exchange, MORTISE_SEALED, "%s",
			lifecycle_reason(exchange->agent->lifecycle));
	return exchange_fail(exchange, MORTISE_SEALED, "sealed");
}

/*
 * Where disks are full, others leave alone what administrators need in order to free some room: the
 * end of the log's reserve, and the last of the store's disk. No line either: there is no room.
 */
static enum mortise_status check_room(struct exchange *exchange)
{
	const struct operation *operation = exchange->operation;
	uint64_t free_bytes;

	if (operation->authority != ANYONE && audit_is_scarce(exchange->agent->audit) &&
		!(operation_has(operation, FREES_ROOM) && exchange_is_administrator(exchange))) {
		exchange->is_silent = true;
		return exchange_fail(exchange, MORTISE_BUSY,
			"the audit log's disk is full, and what is left is for administrators who "
			"free some space");
	}
	if (verbs_take_room(operation->verb) &&
		lifecycle_disk_is_low(exchange->agent->lifecycle, &free_bytes) &&
		!exchange_is_administrator(exchange))
		return exchange_fail(exchange, MORTISE_BUSY,
			"the store's disk has %llu KiB left, which are for administrators, so "
			"nothing is changed; one of them can free some space",
			(unsigned long long)free_bytes / 1024);
	return MORTISE_OK;
}

/* Nothing is changed, whatever the handler does. */
static enum mortise_status rehearse(struct exchange *exchange)
{
	lifecycle_rehearse(exchange->agent->lifecycle, true);
	enum mortise_status status = exchange->operation->handler(exchange);
	lifecycle_rehearse(exchange->agent->lifecycle, false);
	return status;
}

/* What frees room may have what was kept for it. */
static enum mortise_status handle(struct exchange *exchange)
{
	const struct operation *operation = exchange->operation;
	struct lifecycle *lifecycle = exchange->agent->lifecycle;

	TRY(exchange_flag(exchange, WIRE_TAG_DRY_RUN, &exchange->is_dry_run));
	if (exchange->is_dry_run)
		return rehearse(exchange);
	if (!operation_has(operation, FREES_ROOM) || !operation_has(operation, CHANGES) ||
		!exchange_is_administrator(exchange))
		return operation->handler(exchange);
	lifecycle_lend_reserve(lifecycle, true);
	enum mortise_status status = operation->handler(exchange);
	lifecycle_lend_reserve(lifecycle, false);
	return status;
}

/*
 * What could not be written may be by now, so nobody is refused for what was true a while ago. But
 * an emergency seal takes nothing out; its line is owed.
 */
static enum mortise_status look_again(struct exchange *exchange)
{
	struct agent *agent = exchange->agent;

	if (!operation_has(exchange->operation, CHANGES) ||
		exchange->operation->opcode == WIRE_SEAL)
		return MORTISE_OK;
	if (lifecycle_is_unsure(agent->lifecycle)) {
		lifecycle_look_again(agent->lifecycle);
		TRY(check_state(exchange));
		TRY(check_authority(exchange)); /* the policy may be another */
	}
	if (audit_report(agent->audit).is_failing)
		audit_look_again(agent->audit);
	if (audit_report(agent->audit).is_failing)
		return exchange_fail(exchange, MORTISE_BUSY,
			"the audit log can't be written, so nothing is changed; free some space");
	if (!owed_has_room(&agent->owed))
		return exchange_fail(
			exchange, MORTISE_BUSY, "too many lines wait for the audit log; try again");
	return MORTISE_OK;
}

static enum mortise_status run(struct exchange *exchange)
{
	const struct operation *operation = exchange->operation;

	if (!wire_has_fields(exchange->request, NULL, operation->tags))
		return exchange_fail(exchange, MORTISE_INVALID, "a field that %s does not take",
			operation->name);
	TRY(take_path(exchange));
	TRY(check_state(exchange));
	TRY(check_room(exchange));
	if (operation_has(operation, RECORDED))
		TRY(exchange_check_lines(exchange));
	TRY(check_authority(exchange));
	TRY(look_again(exchange));
	return handle(exchange);
}

/* What tells callers of themselves, or looks at another policy than the one in force. */
static bool wants_all_facts(enum wire_opcode opcode)
{
	switch (opcode) {
	case WIRE_WHOAMI:
	case WIRE_POLICY_CHECK:
	case WIRE_POLICY_MAY:
	case WIRE_POLICY_APPLY:
	case WIRE_POLICY_ROLLBACK:
		return true;
	default:
		return false;
	}
}

unsigned request_needs(const struct agent *agent, const struct requester *from)
{
	return agent->policy ? policy_needs(agent->policy, &from->caller.subject) : 0;
}

bool request_wants_exe(struct agent *agent, struct requester *from, uint16_t opcode)
{
	const struct operation *operation = operation_of(opcode);

	if (!operation || !evidence_may_await_exe(agent->evidence, &from->caller))
		return false;
	if (wants_all_facts(operation->opcode))
		return true;
	if (!agent->policy || operation->opcode == WIRE_HELLO || operation->authority == OPERATOR ||
		(operation->opcode == WIRE_STATUS && requester_is_operator(agent, from)))
		return false;
	return requester_wants_exe(agent, from);
}

/* With the time after which it is worth trying again, where that is known. */
static size_t refuse(uint32_t request_id, enum mortise_status status,
	const struct exchange *exchange, uint8_t *reply, size_t capacity)
{
	struct wire_writer writer;

	if (status != MORTISE_BUSY || exchange->wait_ms == 0)
		return refusal_write(request_id, status, exchange->text, reply, capacity);
	wire_begin(&writer, reply, capacity, (uint16_t)status, request_id);
	wire_put_text(&writer, WIRE_TAG_TEXT, exchange->text);
	wire_put_number(&writer, WIRE_TAG_NUMBER, exchange->wait_ms);
	return wire_finish(&writer);
}

static size_t finish(
	struct exchange *exchange, enum mortise_status status, uint8_t *reply, size_t capacity)
{
	uint32_t request_id = exchange->request->request_id;
	size_t size = 0;

	if ((operation_has(exchange->operation, RECORDED) || status == MORTISE_DENIED) &&
		!exchange->is_silent)
		exchange_record(exchange, exchange->path, strlen(exchange->path), exchange->version,
			exchange->rule, status);
	if (status == MORTISE_OK)
		size = wire_finish(exchange->reply);
	if (size)
		return size;
	sodium_memzero(reply, exchange->reply->size); /* values that now stay here */
	if (status == MORTISE_OK)
		return refusal_write(request_id, MORTISE_INVALID,
			"the answer is larger than a frame; ask for less at once", reply, capacity);
	return refuse(request_id, status, exchange, reply, capacity);
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
		.number = ++agent->requests,
		.now = clock_now()};

	if (!exchange.operation)
		return refusal_write(request->request_id, MORTISE_INVALID,
			"this agent does not know that request", reply, capacity);
	wire_begin(&writer, reply, capacity, MORTISE_OK, request->request_id);
	enum mortise_status status = run(&exchange);
	return exchange.is_pending ? 0 : finish(&exchange, status, reply, capacity);
}
