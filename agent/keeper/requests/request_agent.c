/* SPDX-License-Identifier: ISC */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backup.h"
#include "exchange.h"
#include "log.h"
#include "recovery.h"
#include "request_typed.h"

enum mortise_status request_hello(struct exchange *exchange)
{
	const struct wire_field *challenge = wire_field_of(exchange->request, WIRE_TAG_CHALLENGE);
	struct caller *caller = &exchange->from->caller;

	if (caller->is_pinned)
		return MORTISE_OK;
	if (caller_pin(caller, challenge->bytes, challenge->size) != MORTISE_OK)
		return exchange_fail(exchange, MORTISE_DENIED, "not the challenge that was sent");
	return MORTISE_OK;
}

static const char *describe_memory(void)
{
	const char *protection = secret_pool_protection();

	return strcmp(protection, "none") != 0
		       ? protection
		       : "NOT LOCKED (insecure-memory = yes): keys and values may be swapped out";
}

static void put_uuid(struct wire_writer *reply, const uint8_t uuid[ID_SIZE])
{
	char text[40], *at = text;

	for (unsigned i = 0; i < ID_SIZE; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*at++ = '-';
		snprintf(at, 3, "%02x", uuid[i]);
		at += 2;
	}
	put_text_fact(reply, "store", text);
}

/* Were witnesses replaced, why, and about whom was the last one late? */
static void put_witness(struct wire_writer *reply, const struct evidence *evidence)
{
	const struct witness_report report = evidence_witness(evidence);
	char text[160];

	if (!report.is_there && report.is_wanted)
		put_text_fact(reply, "witness", "none: one is to be started");
	if (report.late + report.ended == 0)
		return;
	put_number_fact(reply, "witness_replaced", report.late + report.ended);
	put_time_fact(reply, "witness_replaced_last", report.replaced_us);
	if (!report.late)
		return;
	snprintf(text, sizeof text, "%u, the last about pid %u of uid %u", report.late,
		report.late_pid, report.late_uid);
	put_text_fact(reply, "witness_late", text);
}

/* By what callers are known, on this kernel and in this configuration. */
static void put_evidence(
	struct wire_writer *reply, const struct agent *agent, const struct caller *caller)
{
	put_text_fact(reply, "evidence", caller_evidence_name(caller->evidence));
	put_text_fact(reply, "evidence_user", evidence_of_users(agent->evidence));
	for (unsigned i = ATTRIBUTE_FACTS; i < ATTRIBUTE_FACTS_END; i++) {
		const char *source = evidence_describe(agent->evidence, caller, (enum attribute)i);
		char name[32];

		snprintf(name, sizeof name, "evidence_%s", attribute_name((enum attribute)i));
		if (source)
			put_text_fact(reply, name, source);
	}
	put_witness(reply, agent->evidence);
}

static void put_rekeying(struct exchange *exchange)
{
	const struct lifecycle_rekeying rekeying = lifecycle_rekeying(exchange->agent->lifecycle);
	char text[64];

	if (!rekeying.is_under_way)
		return;
	snprintf(text, sizeof text, "%llu of %llu secrets%s", (unsigned long long)rekeying.done,
		(unsigned long long)rekeying.total,
		rekeying.is_removing ? "; removing the old key's rows" : "");
	put_text_fact(exchange->reply, "rekey", text);
}

static void put_anchor(struct exchange *exchange)
{
	struct anchor_report report = lifecycle_anchor(exchange->agent->lifecycle);
	struct wire_writer *reply = exchange->reply;

	put_text_fact(reply, "anchor",
		!report.exists        ? "none: an old copy of the store would not be noticed"
		: report.complaint[0] ? report.complaint
				      : "ok");
	if (!report.exists)
		return;
	put_number_fact(reply, "anchor_counter", report.counter);
	put_number_fact(reply, "anchor_generation", report.generation);
	put_number_fact(reply, "anchor_lag_s", report.lag_s);
	put_number_fact(reply, "anchor_increments", report.increments);
	put_number_fact(reply, "anchor_budget", report.budget);
}

static void put_clock(struct wire_writer *reply)
{
	const struct clock_report clock = clock_report();
	char text[256];

	snprintf(text, sizeof text, "%s%s", clock.verdict == CLOCK_BELIEVED ? "" : "not believed: ",
		clock_verdict_text(clock.verdict));
	put_text_fact(reply, "clock", text);
	put_time_fact(reply, "clock_time", clock.wall_us);
	if (clock.floor_us)
		put_time_fact(reply, "clock_confirmed", clock.floor_us);
	put_text_fact(reply, "clock_synchronised", clock.is_synchronised ? "yes" : "no");
}

static void put_audit(
	struct wire_writer *reply, const struct agent *agent, const struct audit_report *report)
{
	char damage[320];
	bool is_damaged = request_damage_text(agent, damage, sizeof damage);

	put_text_fact(reply, "audit",
		report->is_failing         ? "failing: nothing is released"
		: agent->upkeep.told_moved ? "MOVED: lines go to a file that is not in its place"
		: is_damaged               ? damage
		: report->is_unsynced      ? "not safely on the disk: it is written again"
		: report->is_scarce ? "disk full: what is left of its reserve is for administrators"
		: report->is_on_reserve ? "disk full: on its reserve"
					: "ok");
	if (is_damaged)
		put_time_fact(reply, "audit_damaged_since", agent->damage.since_us);
}

/* What only those who look after the agent are told. */
static void put_admin_facts(struct exchange *exchange)
{
	const struct agent *agent = exchange->agent;
	struct wire_writer *reply = exchange->reply;
	struct audit_report report = audit_report(agent->audit);
	char slots[256], replaced[WIRE_TEXT_MAX];
	struct vault *vault = lifecycle_vault(agent->lifecycle);

	if (lifecycle_reason(agent->lifecycle)[0])
		put_text_fact(reply, "reason", lifecycle_reason(agent->lifecycle));
	if (lifecycle_recovery_id(agent->lifecycle)[0])
		put_text_fact(reply, "recovery_key_id", lifecycle_recovery_id(agent->lifecycle));
	if (lifecycle_slots(agent->lifecycle, slots, sizeof slots))
		put_text_fact(reply, "slots", slots);
	uint64_t waiting = lifecycle_waits_for_pin(agent->lifecycle);
	if (waiting) {
		snprintf(slots, sizeof slots, "%llu", (unsigned long long)waiting);
		put_text_fact(reply, "pin_slot", slots);
	}
	if (vault) {
		put_uuid(reply, vault_uuid(vault));
		put_number_fact(reply, "secrets", vault_count(vault));
		put_number_fact(reply, "key_epoch", vault_epoch(vault));
		put_rekeying(exchange);
		put_anchor(exchange);
		put_number_fact(reply, "policy_version", agent->policy_version);
		put_number_fact(reply, "policy_rules", policy_rule_count(agent->policy));
		if (agent->names.disabled_rules) {
			put_number_fact(
				reply, "policy_rules_disabled", agent->names.disabled_rules);
			put_text_fact(reply, "policy_names_changed", agent->names.text);
		}
	}
	put_number_fact(reply, "audit_lines", report.lines);
	put_number_fact(reply, "audit_lines_unsigned", report.lines_unsigned);
	put_audit(reply, agent, &report);
	if (backup_replaced(lifecycle_backup(agent->lifecycle), replaced, sizeof replaced))
		put_text_fact(reply, "store_replaced", replaced);
	put_clock(reply);
	put_evidence(reply, agent, &exchange->from->caller);
	put_text_fact(reply, "memory", describe_memory());
	put_text_fact(reply, "sandbox", agent->sandbox);
	put_number_fact(reply, "connections", agent->outlet.connections(agent->outlet.context));
}

enum mortise_status request_status(struct exchange *exchange)
{
	const struct agent *agent = exchange->agent;
	struct wire_writer *reply = exchange->reply;
	size_t list = wire_list_begin(reply, WIRE_TAG_ITEMS);

	put_text_fact(reply, "state", lifecycle_state_name(agent->lifecycle));
	put_time_fact(reply, "since", lifecycle_since(agent->lifecycle));
	put_text_fact(reply, "version", MORTISE_VERSION);
	if (agent->environment[0])
		put_text_fact(reply, "environment", agent->environment);
	if (exchange->from->entrance->is_main &&
		(exchange_is_operator(exchange) ||
			exchange_may(exchange, VERB_ADMIN, NULL).allowed))
		put_admin_facts(exchange);
	wire_list_end(reply, list);
	return MORTISE_OK;
}

/* As many as fit a line: a caller may be in thousands. */
static void put_groups(struct wire_writer *reply, const struct caller *caller)
{
	char text[WIRE_TEXT_MAX] = "";
	size_t used = 0;

	for (size_t i = 1; i < caller->subject.group_count && used + 12 < sizeof text; i++)
		used += (size_t)snprintf(text + used, sizeof text - used, "%s%u", used ? " " : "",
			caller->subject.groups[i]);
	if (caller->subject.group_count == 0)
		snprintf(text, sizeof text, "more than %u: no rule allows by them",
			CALLER_GROUPS_MAX);
	put_text_fact(reply, "groups", text);
}

static void put_facts(struct wire_writer *reply, const struct subject *subject)
{
	for (enum attribute one = 0; one < ATTRIBUTE_COUNT; one++) {
		const struct fact *fact = subject_fact(subject, one);

		if (fact && fact->state == FACT_KNOWN && strlen(fact->text) < WIRE_TEXT_MAX)
			put_text_fact(reply, attribute_name(one), fact->text);
	}
}

enum mortise_status request_whoami(struct exchange *exchange)
{
	struct caller *caller = &exchange->from->caller;
	struct wire_writer *reply = exchange->reply;
	size_t list = wire_list_begin(reply, WIRE_TAG_ITEMS);

	evidence_gather(exchange->agent->evidence, caller, SUBJECT_FACTS);
	evidence_gather_login(caller);
	put_number_fact(reply, "uid", caller->subject.uid);
	put_number_fact(reply, "gid", caller->gid);
	put_groups(reply, caller);
	put_number_fact(reply, "pid", caller->pid);
	put_text_fact(reply, "evidence", caller_evidence_name(caller->evidence));
	put_facts(reply, &caller->subject);
	if (caller->login_uid != UINT32_MAX)
		put_number_fact(reply, "login_uid", caller->login_uid);
	if (caller->session != UINT32_MAX)
		put_number_fact(reply, "session", caller->session);
	wire_list_end(reply, list);
	return MORTISE_OK;
}

struct first_answer {
	const struct secret *recovery;
	char key_id[RECOVERY_ID_SIZE];
	char policy[512];
};

static void put_first_answer(struct wire_writer *reply, const void *context)
{
	const struct first_answer *first = context;

	wire_put_text(reply, WIRE_TAG_TEXT, first->policy);
	wire_put_number(reply, WIRE_TAG_CHANGED, 1);
	wire_put_text(reply, WIRE_TAG_RECOVERY, (const char *)first->recovery->bytes);
	wire_put_text(reply, WIRE_TAG_KEY_ID, first->key_id);
}

static void on_initialised(
	void *context, enum mortise_status status, const char *text, const struct secret *recovery)
{
	struct pending *pending = context;
	struct agent *agent = pending->agent;
	struct first_answer first = {.recovery = recovery};

	if (status == MORTISE_OK && recovery) {
		snprintf(first.key_id, sizeof first.key_id, "%s",
			lifecycle_recovery_id(agent->lifecycle));
		making_first_policy(agent->first_uid, first.policy, sizeof first.policy);
		log_info("a new store was made; recovery key %s", first.key_id);
	} else if (status == MORTISE_OK) {
		status = MORTISE_IO;
	}
	pending_finish(pending, status, text, put_first_answer, &first);
}

static bool is_wanted(void *context)
{
	const struct pending *pending = context;

	const struct outlet *outlet = &pending->agent->outlet;

	return pending->from && outlet->is_waiting(outlet->context, pending->from);
}

enum mortise_status request_init(struct exchange *exchange)
{
	struct lifecycle *lifecycle = exchange->agent->lifecycle;
	CLEANUP(asked_seal_done) struct asked_seal asked = {.pin = NULL};
	struct pending *pending = NULL;

	TRY(exchange_seal(exchange, &asked));
	if (lifecycle_state(lifecycle) != LIFECYCLE_UNINITIALISED)
		return exchange_fail(exchange, MORTISE_CONFLICT,
			"there is a store already; see: mortise status");
	if (exchange->is_dry_run) {
		wire_put_number(exchange->reply, WIRE_TAG_CHANGED, 1);
		return MORTISE_OK;
	}
	const struct making_wish wish = {
		.kind = strcmp(asked.kind, "none") == 0 ? NULL : asked.kind,
		.seal = &asked.wish,
		.has_anchor = asked.has_anchor,
		.is_wanted = is_wanted};
	TRY(pending_new(exchange, NULL, NULL, &pending));
	enum mortise_status status = lifecycle_init(lifecycle, &wish, on_initialised, pending);
	if (status != MORTISE_OK) {
		pending_abandon(exchange, pending);
		return exchange_fail(exchange, status,
			"the agent is busy with another init or with a recover; try again");
	}
	return MORTISE_OK;
}

static void put_changed(struct wire_writer *reply, const void *context)
{
	(void)context;
	wire_put_number(reply, WIRE_TAG_CHANGED, 1);
}

static void on_unsealed(
	void *context, enum mortise_status status, const char *text, const struct secret *recovery)
{
	(void)recovery;
	pending_finish(context, status, text, put_changed, NULL);
}

static enum mortise_status explain_typed(struct exchange *exchange, enum mortise_status status)
{
	const struct lifecycle *lifecycle = exchange->agent->lifecycle;

	if (status == MORTISE_DENIED)
		return exchange_fail(exchange, status,
			"not the recovery key of this store; type the one with the key id %s",
			lifecycle_recovery_id(lifecycle));
	if (status == MORTISE_NOT_FOUND)
		return exchange_fail(exchange, status,
			"this store has no slot for a key that is typed; see: mortise status");
	if (status == MORTISE_BUSY && lifecycle_is_opening(lifecycle))
		return exchange_fail(
			exchange, status, "somebody else is unsealing just now; try again");
	return exchange_fail(exchange, status, "%s", lifecycle_reason(lifecycle));
}

static enum mortise_status unseal_by_recovery(struct exchange *exchange)
{
	CLEANUP(secret_drop) struct secret *key = NULL;
	struct pending *pending = NULL;
	unsigned missing = 0;

	TRY(exchange_typed(exchange, &key, &missing));
	if (missing) {
		exchange->is_silent = true; /* nothing has been tried yet */
		wire_put_number(exchange->reply, WIRE_TAG_CHANGED, 0);
		wire_put_number(exchange->reply, WIRE_TAG_NUMBER, missing);
		return MORTISE_OK;
	}
	TRY(pending_new(exchange, NULL, NULL, &pending));
	enum mortise_status status =
		lifecycle_unseal_typed(exchange->agent->lifecycle, key, on_unsealed, pending);
	if (status == MORTISE_OK)
		return MORTISE_OK;
	pending_abandon(exchange, pending);
	return explain_typed(exchange, status);
}

/* The PIN, and for which slot it is: by kind, by id, or for the first that wants one. */
static enum mortise_status read_unseal_pin(
	struct exchange *exchange, struct secret **out_pin, char kind[16], uint64_t *out_slot)
{
	TRY(exchange_pin(exchange, out_pin));
	if (wire_has(exchange->request, WIRE_TAG_SLOT_KIND) &&
		wire_text(exchange->request, WIRE_TAG_SLOT_KIND, kind, 16) != MORTISE_OK)
		return exchange_fail(exchange, MORTISE_INVALID, "no kind of slot has that name");
	if (wire_has(exchange->request, WIRE_TAG_NUMBER) &&
		wire_number(exchange->request, WIRE_TAG_NUMBER, out_slot) != MORTISE_OK)
		return exchange_fail(exchange, MORTISE_INVALID, "a slot's id is a number");
	return MORTISE_OK;
}

static enum mortise_status unseal_by_hardware(struct exchange *exchange)
{
	CLEANUP(secret_drop) struct secret *secret = NULL;
	struct lifecycle_pin pin = {.pin = NULL};
	struct pending *pending = NULL;
	char kind[16] = "";

	TRY(read_unseal_pin(exchange, &secret, kind, &pin.slot));
	pin.pin = secret;
	pin.kind = kind;
	TRY(pending_new(exchange, NULL, NULL, &pending));
	enum mortise_status status =
		lifecycle_unseal(exchange->agent->lifecycle, &pin, on_unsealed, pending);
	if (status != MORTISE_OK) {
		pending_abandon(exchange, pending);
		if (status == MORTISE_BUSY && !lifecycle_is_opening(exchange->agent->lifecycle))
			return exchange_fail(exchange, status,
				"there is too little memory for it; free some, then try again");
		if (status != MORTISE_BUSY)
			return status;
		return exchange_fail(
			exchange, status, "somebody else is unsealing just now; try again");
	}
	return MORTISE_OK;
}

enum mortise_status request_unseal(struct exchange *exchange)
{
	struct lifecycle *lifecycle = exchange->agent->lifecycle;

	if (lifecycle_state(lifecycle) == LIFECYCLE_UNINITIALISED)
		return exchange_fail(
			exchange, MORTISE_CONFLICT, "nothing to unseal yet; run: mortise init");
	if (lifecycle_state(lifecycle) == LIFECYCLE_UNSEALED) {
		wire_put_number(exchange->reply, WIRE_TAG_CHANGED, 0);
		return MORTISE_OK;
	}
	if (wire_has(exchange->request, WIRE_TAG_RECOVERY) ||
		wire_has(exchange->request, WIRE_TAG_SHARES))
		return unseal_by_recovery(exchange);
	return unseal_by_hardware(exchange);
}

enum mortise_status request_seal(struct exchange *exchange)
{
	bool until_boot = false;

	TRY(exchange_flag(exchange, WIRE_TAG_UNTIL_BOOT, &until_boot));
	if (lifecycle_state(exchange->agent->lifecycle) == LIFECYCLE_UNINITIALISED)
		return exchange_fail(
			exchange, MORTISE_CONFLICT, "there is no store to seal; run: mortise init");
	bool changed = lifecycle_state(exchange->agent->lifecycle) != LIFECYCLE_SEALED ||
		       !lifecycle_is_held_so(exchange->agent->lifecycle, until_boot);
	if (!exchange->is_dry_run) {
		TRY(lifecycle_seal(exchange->agent->lifecycle, until_boot));
		exchange->agent->outlet.forget_unread(exchange->agent->outlet.context);
		log_info("sealed by uid %u%s", exchange->from->caller.subject.uid,
			until_boot ? ", until the next boot" : "");
	}
	wire_put_number(exchange->reply, WIRE_TAG_CHANGED, changed);
	return MORTISE_OK;
}
