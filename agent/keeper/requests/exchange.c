/* SPDX-License-Identifier: ISC */
#include "exchange.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "little_endian.h"
#include "log.h"
#include "path.h"
#include "rate.h"
#include "policy_record.h"
#include "refusal.h"
#include "text.h"
#include "turn.h"

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

	return caller->exe_trouble ? caller->exe_trouble
	       : caller->trouble   ? caller->trouble
				   : caller->lack;
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

bool requester_wants_exe(struct agent *agent, struct requester *from)
{
	return agent->policy && evidence_may_await_exe(agent->evidence, &from->caller) &&
	       (requester_needs(agent, from, agent->policy) & 1u << ATTRIBUTE_EXE) != 0;
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
 * A change is made already: its line is kept until it is on record. Of one that shares a commit it
 * is not known yet what comes of it. True of a denial that the operator's log is to have, too.
 */
static bool put_line(
	struct agent *agent, const struct operation *operation, const struct audit_event *event)
{
	bool is_change = operation_has(operation, CHANGES) && event->result == MORTISE_OK &&
			 event->note != dry_run_note;

	if (is_change && turn_has_group(agent)) {
		owed_await(&agent->owed, event);
		return false;
	}
	bool has_line = audit_append(agent->audit, event);
	if (is_change)
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

static const char *known(const struct fact *fact)
{
	bool is_said = fact->state == FACT_KNOWN && strcmp(fact->text, SUBJECT_UNSAID) != 0;

	return is_said && fact->text[0] != '\0' ? fact->text : NULL;
}

struct audit_facts requester_facts(const struct caller *caller)
{
	const struct subject *subject = &caller->subject;

	return (struct audit_facts){
		known(&subject->unit), known(&subject->exe), known(&subject->label)};
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
	whole.facts = requester_facts(caller);
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

#define VERIFY_US        5000 /* of one page */
#define VERIFY_ROWS_DONE (UINT64_C(1) << 63)

/* The cursor is whatever the client sends: a wrong one checks less, of the client's own question.
 */
static enum mortise_status take_check(struct exchange *exchange, struct vault_check *check)
{
	const struct wire_field *cursor = wire_field_of(exchange->request, WIRE_TAG_CURSOR);

	if (!cursor->bytes)
		return MORTISE_OK;
	if (cursor->size != REQUEST_PAGE_SIZE)
		return exchange_fail(exchange, MORTISE_INVALID, "not a cursor of this agent");
	uint64_t secret = le64_get(cursor->bytes);
	if ((secret & ~VERIFY_ROWS_DONE) > STORE_NUMBER_MAX)
		return exchange_fail(exchange, MORTISE_INVALID, "not a cursor of this agent");
	*check = (struct vault_check){secret & ~VERIFY_ROWS_DONE, le64_get(cursor->bytes + 8),
		(secret & VERIFY_ROWS_DONE) != 0, false};
	exchange_go_on(exchange, cursor->bytes, cursor->size);
	return MORTISE_OK;
}

static void put_check(struct exchange *exchange, const struct vault_check *check)
{
	uint8_t cursor[REQUEST_PAGE_SIZE];

	le64_put(cursor, check->secret | (check->are_rows_done ? VERIFY_ROWS_DONE : 0));
	le64_put(cursor + 8, check->place);
	exchange_next_page(exchange, cursor, sizeof cursor);
	wire_put(exchange->reply, WIRE_TAG_CURSOR, cursor, sizeof cursor);
}

enum mortise_status exchange_verify(struct exchange *exchange, struct vault *vault)
{
	struct wire_writer *reply = exchange->reply;
	struct vault_check check = {0};
	char complaint[VAULT_PATH_SIZE + 96];
	size_t values = 0;

	TRY(take_check(exchange, &check));
	enum mortise_status status =
		vault_verify(vault, &check, VERIFY_US, &values, complaint, sizeof complaint);
	if (status != MORTISE_OK) {
		exchange->is_silent = false;
		return exchange_fail(exchange, status, "%s", complaint);
	}
	const struct vault_progress progress = vault_verify_progress(vault, &check);
	if (!check.is_done)
		put_check(exchange, &check);
	wire_put_number(reply, WIRE_TAG_NUMBER, values);
	if (!check.is_done)
		wire_put_number(reply, WIRE_TAG_MORE, 1);
	wire_put_number(reply, WIRE_TAG_DONE, progress.done);
	wire_put_number(reply, WIRE_TAG_TOTAL, progress.total);
	return MORTISE_OK;
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

enum mortise_status exchange_flag(struct exchange *exchange, unsigned tag, bool *out_flag)
{
	uint64_t number = 0;

	if (wire_has(exchange->request, tag) &&
		wire_number(exchange->request, tag, &number) != MORTISE_OK)
		number = 2;
	if (number > 1)
		return exchange_fail(exchange, MORTISE_INVALID, "a flag is 0 or 1");
	*out_flag = number == 1;
	return MORTISE_OK;
}

void hung_drop(struct hung *hung)
{
	if (hung->state)
		hung->drop(hung->state);
	*hung = (struct hung){NULL, NULL};
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
	hung_drop(&requester->hygiene);
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
	pending->facts = requester_facts(caller);
	audit_facts_keep(&pending->facts, &pending->facts_room);
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
		return refusal_write(id, building->status, building->text, buffer, capacity);
	wire_begin(reply, buffer, capacity, MORTISE_OK, id);
	if (building->put_fields)
		building->put_fields(reply, building->context);
	return wire_finish(reply);
}

static struct audit_event event_of(const struct pending *pending, enum mortise_status status)
{
	return (struct audit_event){
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
		.facts = pending->facts,
		.result = status,
		.note = pending->is_dry_run ? dry_run_note : NULL,
	};
}

void pending_record_part(const struct pending *pending, const char *operation, const char *note)
{
	struct agent *agent = pending->agent;
	struct audit_event event = event_of(pending, MORTISE_OK);

	event.operation = operation;
	event.note = note;
	audit_append(agent->audit, &event);
	owed_add(&agent->owed, &event);
}

void pending_finish(struct pending *pending, enum mortise_status status, const char *text,
	void (*put_fields)(struct wire_writer *reply, const void *context), const void *context)
{
	struct agent *agent = pending->agent;
	struct building building = {pending, status, text, put_fields, context};
	struct audit_event event = event_of(pending, status);

	if (operation_has(pending->operation, RECORDED) && !pending->is_silent &&
		put_line(agent, pending->operation, &event))
		log_denial(&event, "");
	if (pending->from)
		agent->outlet.answer(agent->outlet.context, pending->from, build, &building);
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

/* What requests that write secrets have in common. */

enum mortise_status exchange_token(struct exchange *exchange, const uint8_t **out_token)
{
	const struct wire_field *token = wire_field_of(exchange->request, WIRE_TAG_TOKEN);

	if (token->size != WIRE_TOKEN_SIZE)
		return exchange_fail(exchange, MORTISE_INVALID,
			"a write needs a token of %d random bytes", WIRE_TOKEN_SIZE);
	*out_token = token->bytes;
	return MORTISE_OK;
}

enum mortise_status exchange_line(
	struct exchange *exchange, unsigned tag, char *out_line, size_t size_max)
{
	const struct wire_field *field = wire_field_of(exchange->request, tag);

	if (field->size > size_max)
		return exchange_fail(exchange, MORTISE_INVALID,
			"a text of more than %zu bytes; shorten it", size_max);
	if (!text_is_line(field->bytes, field->size))
		return exchange_fail(exchange, MORTISE_INVALID,
			"a text is one line of UTF-8, without control characters and what turns "
			"text around");
	if (field->size)
		memcpy(out_line, field->bytes, field->size);
	out_line[field->size] = '\0';
	return MORTISE_OK;
}

enum mortise_status exchange_reason(struct exchange *exchange)
{
	TRY(exchange_line(exchange, WIRE_TAG_NOTE, exchange->reason, VAULT_NOTE_MAX));
	if (exchange->reason[0] == '\0')
		return exchange_fail(exchange, MORTISE_INVALID,
			"a note is wanted, which says why; it goes on record");
	exchange->note = exchange->reason;
	return MORTISE_OK;
}

enum mortise_status exchange_begin_write(struct exchange *exchange, struct vault_write *write)
{
	const struct wire_message *request = exchange->request;
	const uint8_t *token = NULL;

	TRY(exchange_token(exchange, &token));
	memcpy(write->token, token, WIRE_TOKEN_SIZE);
	write->uid = exchange->from->caller.subject.uid;
	write->time_us = exchange->now.least_us;
	write->has_expected_version = wire_has(request, WIRE_TAG_EXPECT);
	if (write->has_expected_version)
		TRY(wire_number(request, WIRE_TAG_EXPECT, &write->expected_version));
	return MORTISE_OK;
}

enum mortise_status exchange_fail_expected(struct exchange *exchange, uint64_t expected)
{
	return exchange_fail(exchange, MORTISE_CONFLICT,
		"the current version is not %llu; look at it and try again",
		(unsigned long long)expected);
}

enum mortise_status exchange_explain(struct exchange *exchange, enum mortise_status status)
{
	if (status == MORTISE_NOT_FOUND)
		return exchange_fail(exchange, status, "no such secret");
	return status;
}

void exchange_outcome(struct exchange *exchange, const struct vault_outcome *outcome)
{
	exchange->version = outcome->version;
	wire_put_number(exchange->reply, WIRE_TAG_VERSION, outcome->version);
	wire_put_number(exchange->reply, WIRE_TAG_CHANGED, outcome->changed);
}

/* What may be kept, by the policy's quotas. */

#define COUNTED_IN_MS 200 /* when it is worth asking again */

static size_t classify(void *context, uint32_t uid, const char *path,
	struct census_class out_classes[VAULT_CLASSES_MAX])
{
	const struct agent *agent = context;
	size_t count = 0;

	for (size_t i = 0; agent->policy && i < policy_quota_count(agent->policy); i++)
		if (policy_quota_counts(agent->policy, i, uid, path))
			out_classes[count++] = (struct census_class){(uint32_t)i,
				policy_quota_at(agent->policy, i).is_each_users ? uid : UINT32_MAX};
	return count;
}

static_assert(POLICY_QUOTAS_MAX < VAULT_CLASSES_MAX, "a class for each quota, and the default's");

enum mortise_status quota_begin(struct agent *agent, struct vault *vault)
{
	return vault_count_by(vault, classify, agent);
}

static enum mortise_status refuse(struct exchange *exchange, const char *path,
	const struct policy_quota *quota, const struct census_sum *kept)
{
	bool is_size = quota->size_max && kept->size_bytes > quota->size_max;

	return exchange_fail(exchange, MORTISE_DENIED,
		"%s: it would be more than the quota %s allows (%llu %s%s); destroy what is not "
		"needed, or ask an administrator",
		path, quota->title,
		(unsigned long long)(is_size ? quota->size_max : quota->secrets_max),
		is_size ? "bytes, old versions and deleted secrets counted" : "secrets",
		quota->is_each_users ? ", for each user" : "");
}

static enum mortise_status claim(struct exchange *exchange, struct census *claims, const char *path,
	const struct census_class *class_of, const struct census_sum *sum)
{
	const struct agent *agent = exchange->agent;
	const struct policy_quota quota = policy_quota_at(agent->policy, class_of->number);
	struct vault *vault = lifecycle_vault(agent->lifecycle);
	struct census_sum kept = {0};

	if (quota.is_default && exchange_is_administrator(exchange))
		return MORTISE_OK;
	if (vault_counted(vault, class_of, &kept) != MORTISE_OK) {
		/* Without memory it was not begun. */
		if (!vault_is_counting(vault) && quota_begin(exchange->agent, vault) == MORTISE_OK)
			lifecycle_count(agent->lifecycle);
		exchange->wait_ms = COUNTED_IN_MS;
		return exchange_fail(exchange, MORTISE_BUSY,
			"what users keep is still being counted, after an unseal or a new policy");
	}
	TRY(census_add(claims, class_of, sum));
	const struct census_sum claimed = census_sum_of(claims, class_of);
	kept.size_bytes += claimed.size_bytes;
	kept.secrets += claimed.secrets;
	if ((quota.size_max && kept.size_bytes > quota.size_max) ||
		(quota.secrets_max && kept.secrets > quota.secrets_max))
		return refuse(exchange, path, &quota, &kept);
	return MORTISE_OK;
}

enum mortise_status exchange_keep(
	struct exchange *exchange, struct census *claims, const struct vault_write *write)
{
	struct vault *vault = lifecycle_vault(exchange->agent->lifecycle);
	const struct census_sum sum = {
		write->size + VAULT_VERSION_COST, !vault_has(vault, write->path)};
	struct census_class classes[VAULT_CLASSES_MAX];

	if (vault_was_written(vault, write))
		return MORTISE_OK;
	size_t count = classify(exchange->agent, write->uid, write->path, classes);
	for (size_t i = 0; i < count; i++)
		TRY(claim(exchange, claims, write->path, &classes[i], &sum));
	return MORTISE_OK;
}

static void drop_census(struct census **census)
{
	census_free(*census);
}

enum mortise_status exchange_keep_one(struct exchange *exchange, const struct vault_write *write)
{
	CLEANUP(drop_census) struct census *claims = NULL;

	TRY(census_new(&claims));
	return exchange_keep(exchange, claims, write);
}

/* A version counts anew where its new path has a class that the old one has not. */
enum mortise_status exchange_keep_moved(struct exchange *exchange, const char *new_path)
{
	struct vault *vault = lifecycle_vault(exchange->agent->lifecycle);
	struct census_class old[VAULT_CLASSES_MAX], new[VAULT_CLASSES_MAX];
	CLEANUP(drop_census) struct census *claims = NULL;
	struct vault_version versions[VAULT_VERSIONS_MAX];
	struct vault_head head;
	size_t count = 0;

	TRY(census_new(&claims));
	enum mortise_status status = vault_show(vault, exchange->path, &head, versions, &count);
	if (status == MORTISE_NOT_FOUND)
		return MORTISE_OK; /* the move itself will say so */
	TRY(status);
	for (size_t i = 0; i < count; i++) {
		const struct census_sum sum = {versions[i].size_bytes + VAULT_VERSION_COST, i == 0};
		size_t olds = classify(exchange->agent, versions[i].uid, exchange->path, old);
		size_t news = classify(exchange->agent, versions[i].uid, new_path, new);
		for (size_t j = 0, at = 0; j < news; j++) {
			while (at < olds && old[at].number < new[j].number)
				at++;
			if (at == olds || old[at].number != new[j].number)
				TRY(claim(exchange, claims, new_path, &new[j], &sum));
		}
	}
	return MORTISE_OK;
}

/* ---- for doctor ---- */

#define NEARLY_PERCENT 90

struct telling {
	const struct policy *policy;
	char *text;
	size_t used, size;
};

static unsigned percent(uint64_t kept, uint64_t most)
{
	return most ? (unsigned)(100.0 * (double)kept / (double)most) : 0;
}

static void tell(void *context, const struct census_class *class_of, const struct census_sum *sum)
{
	struct telling *telling = context;
	const struct policy_quota quota = policy_quota_at(telling->policy, class_of->number);
	unsigned by_size = percent(sum->size_bytes, quota.size_max);
	unsigned by_number = percent(sum->secrets, quota.secrets_max);
	char whose[32] = "";

	if ((by_size < NEARLY_PERCENT && by_number < NEARLY_PERCENT) ||
		(quota.is_default && class_of->uid == 0))
		return;
	if (class_of->uid != UINT32_MAX)
		snprintf(whose, sizeof whose, " of uid %u", class_of->uid);
	int more = snprintf(telling->text + telling->used, telling->size - telling->used,
		"%s%s%s (%u %%)", telling->used ? ", " : "", quota.title, whose,
		by_size > by_number ? by_size : by_number);
	if (more > 0 && (size_t)more < telling->size - telling->used)
		telling->used += (size_t)more;
	else
		telling->text[telling->used] = '\0';
}

void quota_describe_nearly_used(const struct agent *agent, char *out_text, size_t size)
{
	const struct vault *vault = lifecycle_vault(agent->lifecycle);
	struct telling telling = {.policy = agent->policy, .text = out_text, .size = size};

	out_text[0] = '\0';
	if (vault && agent->policy)
		vault_counted_each(vault, tell, &telling);
}
