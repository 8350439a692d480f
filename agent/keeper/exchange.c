/* SPDX-License-Identifier: ISC */
#include "exchange.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "log.h"
#include "path.h"
#include "rate.h"

#define FACT_ROUNDS   4 /* as many as there are facts */
#define LOOK_AGAIN_MS 1000

static const char dry_run_note[] = "dry run";

enum mortise_status exchange_fail(
	struct exchange *exchange, enum mortise_status status, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(exchange->text, sizeof exchange->text, format, arguments);
	va_end(arguments);
	return status;
}

static const char *trouble_of(const struct exchange *exchange)
{
	const struct caller *caller = &exchange->from->caller;

	return caller->exe_trouble ? caller->exe_trouble : caller->trouble;
}

/* A rule might allow it: who asks was not looked at, so nobody is denied for good. */
static enum mortise_status put_off(struct exchange *exchange)
{
	exchange->wait_ms = LOOK_AGAIN_MS;
	return exchange_fail(exchange, MORTISE_BUSY,
		"who asks could not be found out: %s; try again", trouble_of(exchange));
}

enum mortise_status exchange_deny(struct exchange *exchange)
{
	if (trouble_of(exchange) && exchange->operation->authority != OPERATOR)
		return put_off(exchange);
	if (exchange->operation->authority == OPERATOR)
		return exchange_fail(exchange, MORTISE_DENIED,
			"denied: it is for operators; ask root, or who is in the group that "
			"operators names in mortised.conf");
	if (exchange->operation->authority == VERB_ALONE)
		return exchange_fail(exchange, MORTISE_DENIED, "denied: it needs the verb %s",
			verb_name(exchange->operation->verb));
	return exchange_fail(exchange, MORTISE_DENIED, "denied, or no such secret for you");
}

/* Each round tells the policy more, so that it may need less. */
void requester_gather(struct agent *agent, struct requester *from, const struct policy *policy)
{
	(void)requester_needs(agent, from, policy);
}

unsigned requester_needs(struct agent *agent, struct requester *from, const struct policy *policy)
{
	unsigned needed = policy_needs(policy, &from->caller.subject);

	for (unsigned round = 0; needed && round < FACT_ROUNDS; round++) {
		evidence_gather(agent->evidence, &from->caller, needed);
		needed = policy_needs(policy, &from->caller.subject);
	}
	return needed;
}

time_t policy_time(const struct clock_now *now)
{
	return now->is_believed ? (time_t)(now->wall_us / 1000000) : POLICY_TIME_UNKNOWN;
}

struct decision exchange_may(const struct exchange *exchange, enum verb verb, const char *path)
{
	const struct decision denied = {.allowed = false};

	if (!exchange->agent->policy || !(exchange->from->entrance->verbs & verb))
		return denied;
	requester_gather(exchange->agent, exchange->from, exchange->agent->policy);
	return policy_decide(exchange->agent->policy, &exchange->from->caller.subject, verb, path,
		policy_time(&exchange->now));
}

enum mortise_status exchange_take(struct exchange *exchange, const struct decision *decision)
{
	const struct rate_use use = {.rule = decision->rule_number,
		.uid = exchange->from->caller.subject.uid,
		.request = exchange->number,
		.now_ms = clock_steady_us() / 1000};
	uint64_t wait_ms = 0;

	if (decision->rate.count == 0 ||
		rate_take(exchange->agent->rates, &decision->rate, &use, &wait_ms) == MORTISE_OK)
		return MORTISE_OK;
	exchange->wait_ms = wait_ms;
	return exchange_fail(exchange, MORTISE_BUSY,
		"more often than the policy's rate for you; try again in %llu s",
		(unsigned long long)((wait_ms + 999) / 1000));
}

bool requester_is_operator(const struct agent *agent, const struct requester *from)
{
	const struct caller *caller = &from->caller;

	return from->entrance->is_main &&
	       (caller->subject.uid == 0 || caller->subject.uid == agent->agent_uid ||
		       (agent->operators_gid != UINT32_MAX &&
			       caller_has_group(caller, agent->operators_gid)));
}

bool exchange_is_operator(const struct exchange *exchange)
{
	return requester_is_operator(exchange->agent, exchange->from);
}

bool exchange_is_administrator(const struct exchange *exchange)
{
	return exchange_is_operator(exchange) || exchange_may(exchange, VERB_ADMIN, NULL).allowed;
}

/* What the audit log has a line of: of one caller's so many denials in a minute, not of more. */
static void log_denial(const struct audit_event *event, const char *unit)
{
	bool has_path = event->path && path_is_valid(event->path, event->path_size);

	log_warning("denied: %s%s%.*s for uid %u (pid %u%s%.80s)%s%.64s", event->operation,
		has_path ? " " : "", has_path ? (int)event->path_size : 0,
		has_path ? event->path : "", event->uid, event->pid, unit[0] ? ", " : "", unit,
		event->rule ? " by rule " : "", event->rule ? event->rule : "");
}

/*
 * A change is made already: its line is kept until it is on record. True of a denial that the
 * operator's log is to have, too.
 */
static bool put_line(
	struct agent *agent, const struct operation *operation, const struct audit_event *event)
{
	bool has_line = audit_append(agent->audit, event);

	if (operation->changes && event->result == MORTISE_OK && event->note != dry_run_note)
		owed_add(&agent->owed, event);
	return has_line && event->result == MORTISE_DENIED;
}

static const char *unit_of(const struct agent *agent, struct caller *caller)
{
	const struct fact *unit = &caller->subject.unit;

	evidence_gather(agent->evidence, caller, 1u << ATTRIBUTE_UNIT);
	return unit->state == FACT_KNOWN ? unit->text : "";
}

/*
 * What a policy allows has its line each time, and may be done as often as somebody likes: this is
 * how many lines a uid may have, so that it cannot fill the log's disk. Refusals cost their author
 * nothing, for they are counted together (audit.h), nor does what operators do.
 */
static const struct rate_limit lines_of_a_uid = {15000, 60};

static struct rate_use line_of(const struct exchange *exchange)
{
	return (struct rate_use){
		.uid = exchange->from->caller.subject.uid, .now_ms = clock_steady_us() / 1000};
}

enum mortise_status exchange_check_lines(struct exchange *exchange)
{
	const struct rate_use use = line_of(exchange);

	if (!exchange->agent->lines || exchange_is_operator(exchange) ||
		!rate_is_spent(exchange->agent->lines, &lines_of_a_uid, &use, &exchange->wait_ms))
		return MORTISE_OK;
	return exchange_fail(exchange, MORTISE_BUSY,
		"more than %u lines of you in the audit log within a minute; try again in %llu s, "
		"or "
		"ask less often",
		lines_of_a_uid.count, (unsigned long long)((exchange->wait_ms + 999) / 1000));
}

static void count_line(const struct exchange *exchange, enum mortise_status result)
{
	const struct rate_use use = line_of(exchange);

	if (result == MORTISE_OK && exchange->agent->lines && !exchange_is_operator(exchange))
		rate_spend(exchange->agent->lines, &lines_of_a_uid, &use, 1);
}

static void record(const struct exchange *exchange, const struct audit_event *event)
{
	struct caller *caller = &exchange->from->caller;
	struct audit_event whole = *event;

	evidence_gather_login(caller);
	whole.has_caller = true;
	whole.uid = caller->subject.uid;
	whole.gid = caller->gid;
	whole.pid = caller->pid;
	whole.login_uid = caller->login_uid;
	whole.session = caller->session;
	count_line(exchange, event->result);
	if (put_line(exchange->agent, exchange->operation, &whole))
		log_denial(&whole, unit_of(exchange->agent, caller));
}

void exchange_record(const struct exchange *exchange, const char *path, size_t path_size,
	uint64_t version, const char *rule, enum mortise_status result)
{
	struct audit_event event = {
		.time_us = exchange->now.wall_us,
		.operation = exchange->operation->name,
		.path = path_size ? path : NULL,
		.path_size = path_size,
		.version = exchange->is_dry_run ? 0 : version,
		.rule = rule,
		.result = result,
		.note = exchange->is_dry_run ? dry_run_note : exchange->note,
	};

	record(exchange, &event);
}

void exchange_go_on(struct exchange *exchange, const void *cursor, size_t size)
{
	struct requester *from = exchange->from;

	exchange->is_silent = from->page_of == exchange->operation->opcode &&
			      memcmp(from->page, cursor, size) == 0;
	from->page_of = 0; /* each page once */
}

void exchange_next_page(struct exchange *exchange, const void *cursor, size_t size)
{
	exchange->from->page_of = (uint16_t)exchange->operation->opcode;
	memcpy(exchange->from->page, cursor, size);
}

enum mortise_status exchange_path(struct exchange *exchange, const struct wire_field *field,
	char out_path[MORTISE_PATH_MAX + 1])
{
	if (!path_is_valid((const char *)field->bytes, field->size))
		return exchange_fail(exchange, MORTISE_INVALID,
			"not a path: 1 to 8 segments of a-z 0-9 . _ - joined by '/', each starting "
			"with a letter or digit, at most %d bytes",
			MORTISE_PATH_MAX);
	memcpy(out_path, field->bytes, field->size);
	out_path[field->size] = '\0';
	return MORTISE_OK;
}

enum mortise_status exchange_flag(struct exchange *exchange, enum wire_tag tag, bool *out_flag)
{
	uint64_t number = 0;

	if (wire_has(exchange->request, tag) &&
		wire_number(exchange->request, tag, &number) != MORTISE_OK)
		number = 2;
	if (number > 1)
		return exchange_fail(exchange, MORTISE_INVALID, "a flag is 0 or 1");
	*out_flag = number == 1;
	if (tag == WIRE_TAG_DRY_RUN)
		exchange->is_dry_run = *out_flag;
	return MORTISE_OK;
}

void requester_done(struct requester *requester)
{
	if (requester->pending)
		requester->pending->from = NULL;
	requester->pending = NULL;
	policy_staging_free(requester->staging);
	if (requester->backup)
		backup_forget(requester->backup, requester);
	audit_check_free(requester->check);
	free(requester->gaps);
	hygiene_free(requester->hygiene);
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
	pending->is_dry_run = exchange->is_dry_run;
	pending->is_silent = exchange->is_silent;
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
		return request_refuse(id, building->status, building->text, buffer, capacity);
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
		.time_us = clock_now().wall_us,
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
		.note = pending->is_dry_run ? dry_run_note : NULL,
	};

	if (pending->operation->is_recorded && !pending->is_silent &&
		put_line(agent, pending->operation, &event))
		log_denial(&event, "");
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

void put_pcrs_fact(struct wire_writer *reply, const char *name, uint64_t pcrs)
{
	char text[100] = "";
	size_t used = 0;

	for (unsigned i = 0; i < 24; i++)
		if (pcrs >> i & 1)
			used += (size_t)snprintf(
				text + used, sizeof text - used, "%s%u", used ? "," : "", i);
	put_text_fact(reply, name, text);
}

void put_number_fact(struct wire_writer *reply, const char *name, uint64_t number)
{
	size_t item = wire_item_begin(reply);

	wire_put_text(reply, WIRE_TAG_NAME, name);
	wire_put_number(reply, WIRE_TAG_NUMBER, number);
	wire_item_end(reply, item);
}

void put_time_fact(struct wire_writer *reply, const char *name, uint64_t time_us)
{
	size_t item = wire_item_begin(reply);

	wire_put_text(reply, WIRE_TAG_NAME, name);
	wire_put_number(reply, WIRE_TAG_TIME, time_us);
	wire_item_end(reply, item);
}
