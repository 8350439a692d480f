/* SPDX-License-Identifier: ISC */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exchange.h"
#include "log.h"
#include "recovery.h"
#include "sandbox.h"

enum mortise_status request_hello(struct exchange *exchange)
{
	const struct wire_field *challenge = &exchange->request->field[WIRE_TAG_CHALLENGE];
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

/* By what callers are known, on this kernel and in this configuration. */
static void put_evidence(
	struct wire_writer *reply, const struct agent *agent, const struct caller *caller)
{
	put_text_fact(reply, "evidence", caller_evidence_name(caller->evidence));
	put_text_fact(reply, "evidence_unit", evidence_of_units(caller));
	put_text_fact(reply, "evidence_exe", evidence_of_exes(agent->evidence));
	put_text_fact(reply, "evidence_label", evidence_of_labels(caller));
}

/* What only those who look after the agent are told. */
static void put_admin_facts(struct exchange *exchange)
{
	const struct agent *agent = exchange->agent;
	struct wire_writer *reply = exchange->reply;
	struct audit_report report = audit_report(agent->audit);
	struct vault *vault = lifecycle_vault(agent->lifecycle);

	if (lifecycle_reason(agent->lifecycle)[0])
		put_text_fact(reply, "reason", lifecycle_reason(agent->lifecycle));
	if (lifecycle_recovery_id(agent->lifecycle)[0])
		put_text_fact(reply, "recovery_key_id", lifecycle_recovery_id(agent->lifecycle));
	if (vault) {
		put_uuid(reply, vault_uuid(vault));
		put_number_fact(reply, "secrets", vault_count(vault));
		put_number_fact(reply, "key_epoch", vault_epoch(vault));
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
	put_text_fact(reply, "audit",
		report.is_failing      ? "failing: nothing is released"
		: report.is_on_reserve ? "disk full: on its reserve"
				       : "ok");
	put_evidence(reply, agent, &exchange->from->caller);
	put_text_fact(reply, "memory", describe_memory());
	put_text_fact(reply, "sandbox", sandbox_description());
	put_number_fact(reply, "connections", agent->connections(agent->server));
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
		lifecycle_first_policy(agent->first_uid, first.policy, sizeof first.policy);
		log_info("a new store was made; recovery key %s", first.key_id);
	} else if (status == MORTISE_OK) {
		status = MORTISE_IO;
	}
	pending_finish(pending, status, text, put_first_answer, &first);
}

static bool is_wanted(void *context)
{
	const struct pending *pending = context;

	return pending->from && pending->agent->is_waiting(pending->agent->server, pending->from);
}

/* The slot's kind as the client names it; NULL for "none". */
static enum mortise_status read_kind(
	struct exchange *exchange, char *buffer, size_t size, const char **out_kind)
{
	if (wire_text(exchange->request, WIRE_TAG_SLOT_KIND, buffer, size) != MORTISE_OK ||
		(strcmp(buffer, "none") != 0 && strcmp(buffer, "tpm2") != 0))
		return exchange_fail(exchange, MORTISE_INVALID, "a slot's kind is tpm2 or none");
	*out_kind = strcmp(buffer, "none") == 0 ? NULL : buffer;
	return MORTISE_OK;
}

enum mortise_status request_init(struct exchange *exchange)
{
	struct lifecycle *lifecycle = exchange->agent->lifecycle;
	struct pending *pending = NULL;
	const char *kind = NULL;
	bool is_dry_run = false;
	char buffer[16];

	TRY(exchange_flag(exchange, WIRE_TAG_DRY_RUN, &is_dry_run));
	TRY(read_kind(exchange, buffer, sizeof buffer, &kind));
	if (lifecycle_state(lifecycle) != LIFECYCLE_UNINITIALISED)
		return exchange_fail(exchange, MORTISE_CONFLICT,
			"there is a store already; see: mortise status");
	if (is_dry_run) {
		wire_put_number(exchange->reply, WIRE_TAG_CHANGED, 1);
		return MORTISE_OK;
	}
	TRY(pending_new(exchange, NULL, NULL, &pending));
	enum mortise_status status =
		lifecycle_init(lifecycle, kind, is_wanted, on_initialised, pending);
	if (status != MORTISE_OK) {
		pending_abandon(exchange, pending);
		return exchange_fail(
			exchange, status, "the agent is busy with another init; try again");
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

enum mortise_status exchange_recovery(struct exchange *exchange, struct secret **out_key)
{
	const struct wire_field *typed = &exchange->request->field[WIRE_TAG_RECOVERY];
	unsigned group = 0;

	enum mortise_status status = recovery_parse(
		typed->bytes ? (const char *)typed->bytes : "", typed->size, out_key, &group);
	if (status == MORTISE_INVALID && group)
		return exchange_fail(
			exchange, status, "a typing error in group %u of the recovery key", group);
	if (status == MORTISE_INVALID)
		return exchange_fail(exchange, status,
			"a recovery key has %d groups of five letters or digits", RECOVERY_GROUPS);
	return status;
}

static enum mortise_status unseal_by_recovery(struct exchange *exchange)
{
	struct lifecycle *lifecycle = exchange->agent->lifecycle;
	CLEANUP(secret_drop) struct secret *key = NULL;

	TRY(exchange_recovery(exchange, &key));
	enum mortise_status status = lifecycle_recover(lifecycle, key);
	if (status == MORTISE_DENIED)
		return exchange_fail(exchange, status,
			"not the recovery key of this store, whose key id is %s",
			lifecycle_recovery_id(lifecycle));
	if (status != MORTISE_OK)
		return exchange_fail(exchange, status, "%s", lifecycle_reason(lifecycle));
	wire_put_number(exchange->reply, WIRE_TAG_CHANGED, 1);
	return MORTISE_OK;
}

enum mortise_status request_unseal(struct exchange *exchange)
{
	struct lifecycle *lifecycle = exchange->agent->lifecycle;
	struct pending *pending = NULL;

	if (lifecycle_state(lifecycle) == LIFECYCLE_UNINITIALISED)
		return exchange_fail(
			exchange, MORTISE_CONFLICT, "nothing to unseal yet; run: mortise init");
	if (lifecycle_state(lifecycle) == LIFECYCLE_UNSEALED) {
		wire_put_number(exchange->reply, WIRE_TAG_CHANGED, 0);
		return MORTISE_OK;
	}
	if (wire_has(exchange->request, WIRE_TAG_RECOVERY))
		return unseal_by_recovery(exchange);
	TRY(pending_new(exchange, NULL, NULL, &pending));
	enum mortise_status status = lifecycle_unseal(lifecycle, on_unsealed, pending);
	if (status != MORTISE_OK) {
		pending_abandon(exchange, pending);
		return exchange_fail(
			exchange, status, "somebody else is unsealing just now; try again");
	}
	return MORTISE_OK;
}

enum mortise_status request_seal(struct exchange *exchange)
{
	bool until_boot = false, is_dry_run = false;

	TRY(exchange_flag(exchange, WIRE_TAG_UNTIL_BOOT, &until_boot));
	TRY(exchange_flag(exchange, WIRE_TAG_DRY_RUN, &is_dry_run));
	bool changed = lifecycle_state(exchange->agent->lifecycle) != LIFECYCLE_SEALED ||
		       !lifecycle_is_held(exchange->agent->lifecycle);
	if (!is_dry_run) {
		TRY(lifecycle_seal(exchange->agent->lifecycle, until_boot));
		exchange->agent->forget_unread(exchange->agent->server);
		log_info("sealed by uid %u%s", exchange->from->caller.subject.uid,
			until_boot ? ", until the next boot" : "");
	}
	wire_put_number(exchange->reply, WIRE_TAG_CHANGED, changed);
	return MORTISE_OK;
}
