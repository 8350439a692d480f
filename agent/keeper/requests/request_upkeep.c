/* SPDX-License-Identifier: ISC */
#include <inttypes.h>
#include <poll.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "backup.h"
#include "exchange.h"
#include "log.h"
#include "policy_record.h"
#include "rate.h"

#define RETRY_US           1000000 /* between attempts to store an audit checkpoint */
#define LAST_CHECKPOINT_MS 2000
#define LAST_CHECKPOINTS   3
#define FORGET_US          1000000
#define PURGE_US           60000000

/* What the agent has done by itself is done: its line is kept until it is on record. */
static void put_done(struct agent *agent, const struct audit_event *event)
{
	audit_append(agent->audit, event);
	if (event->result == MORTISE_OK)
		owed_add(&agent->owed, event);
}

void request_record(
	void *context, const char *operation, enum mortise_status result, const char *note)
{
	struct agent *agent = context;
	struct audit_event event = {.time_us = clock_now().wall_us,
		.operation = operation,
		.result = result,
		.note = note && note[0] ? note : NULL};

	put_done(agent, &event);
}

void request_record_refused(struct agent *agent, const struct refused *refused)
{
	struct ucred peer = {.uid = UINT32_MAX, .gid = UINT32_MAX};
	socklen_t size = sizeof peer;
	struct audit_event event = {.time_us = clock_now().wall_us,
		.operation = "connect",
		.has_caller = true,
		.login_uid = UINT32_MAX,
		.session = UINT32_MAX,
		.result = refused->result,
		.note = refused->note};

	if (audit_is_scarce(agent->audit))
		return; /* what room there is left is for administrators */
	if (refused->sender)
		peer = *refused->sender;
	else
		(void)getsockopt(refused->descriptor, SOL_SOCKET, SO_PEERCRED, &peer, &size);
	event.uid = peer.uid;
	event.gid = peer.gid;
	event.pid = (uint32_t)peer.pid;
	audit_append(agent->audit, &event);
}

void request_record_unknown(struct agent *agent, int descriptor, const struct ucred *sender)
{
	request_record_refused(agent, &(struct refused){descriptor, sender, MORTISE_DENIED, NULL});
}

static void tell_of_replaced(const struct agent *agent)
{
	char path[1024];

	if (backup_replaced(lifecycle_backup(agent->lifecycle), path, sizeof path))
		log_warning("%s, which a recovery replaced, opens with the keys of then; when "
			    "nothing of it is missed, destroy it: shred -u %s",
			path, path);
}

/* Only what was proved to be wrong is called so. */
static const char *reason_of(enum mortise_status status, const char *wrong)
{
	return status == MORTISE_BUSY
		       ? "there is too little memory to open the store; free some, it "
			 "is tried again"
	       : status == MORTISE_IO
		       ? "the store could not be read; look at its disk, it is tried "
			 "again"
		       : wrong;
}

static enum mortise_status read_policy(
	struct vault *vault, struct policy **out_policy, uint64_t *out_version)
{
	uint8_t *record_bytes = NULL;
	size_t size = 0;

	TRY(vault_policy(vault, 0, &record_bytes, &size, out_version));
	enum mortise_status status = policy_record_compile(record_bytes, size, out_policy);
	free(record_bytes);
	return status;
}

enum mortise_status request_vault_opened(
	void *context, struct vault *vault, const char **out_reason)
{
	struct agent *agent = context;
	CLEANUP(secret_drop) struct secret *state = NULL;
	struct policy *policy = NULL;
	struct rate_table *rates = NULL, *lines = NULL;
	uint64_t version = 0;

	enum mortise_status status = read_policy(vault, &policy, &version);
	*out_reason = reason_of(status, "the policy in the store cannot be read");
	TRY(status);
	status = vault_audit_state(vault, &state);
	if (status == MORTISE_OK)
		status = rate_new(RATE_PAIRS_MAX, &rates);
	if (status == MORTISE_OK)
		status = rate_new(RATE_PAIRS_MAX, &lines);
	if (status == MORTISE_OK)
		status = quota_begin(agent, vault);
	*out_reason = reason_of(status, "the audit log's keys in the store do not fit");
	if (status == MORTISE_OK) {
		status = audit_attach(agent->audit, vault_uuid(vault), state);
		if (status == MORTISE_BUSY || status == MORTISE_IO)
			*out_reason = "the audit log can't be read or written: its disk is full or "
				      "failing, or memory is short; free some, it is tried again";
	}
	if (status != MORTISE_OK) {
		rate_free(rates);
		rate_free(lines);
		policy_free(policy);
		return status;
	}
	request_clock_found(vault);
	request_damage_look(agent, vault);
	tell_of_replaced(agent);
	agent->policy = policy;
	agent->rates = rates;
	agent->lines = lines;
	agent->policy_version = version;
	policy_names_watch(&agent->names, policy, false);
	audit_request_checkpoint(agent->audit);
	return MORTISE_OK;
}

static void record_reread_policy(struct agent *agent)
{
	char note[80];

	(void)snprintf(note, sizeof note, "version %" PRIu64 ": in force, though its apply failed",
		agent->policy_version);
	log_warning("a policy is in force though its apply failed: version %" PRIu64,
		agent->policy_version);
	request_record(agent, "policy-change", MORTISE_OK, note);
}

/* A policy whose write failed may be in the store all the same. */
enum mortise_status request_vault_reread(void *context, struct vault *vault)
{
	struct agent *agent = context;
	struct policy *policy = NULL;
	struct rate_table *rates = NULL;
	uint64_t version = 0;

	TRY(read_policy(vault, &policy, &version));
	enum mortise_status status = rate_new(RATE_PAIRS_MAX, &rates);
	if (status != MORTISE_OK || version == agent->policy_version) {
		rate_free(rates);
		policy_free(policy);
	} else {
		rate_free(agent->rates);
		policy_names_forget(&agent->names);
		policy_free(agent->policy);
		agent->policy = policy;
		agent->rates = rates;
		agent->policy_version = version;
		policy_names_watch(&agent->names, policy, false);
		record_reread_policy(agent);
	}
	request_damage_read(agent, vault);
	return status;
}

void request_vault_closing(void *context)
{
	struct agent *agent = context;

	request_end_watches(agent);
	request_clock_keep(agent);
	request_checkpoint_last(agent);
	secret_drop(&agent->upkeep.audit_state);
	audit_detach(agent->audit);
	policy_names_forget(&agent->names);
	policy_free(agent->policy);
	agent->policy = NULL;
	rate_free(agent->rates);
	rate_free(agent->lines);
	agent->rates = agent->lines = NULL;
}

/* Keeps the state until it is in the store: without it the log's keys would be lost. */
static void store_audit_state(struct agent *agent)
{
	struct vault *vault = lifecycle_vault(agent->lifecycle);

	if (!agent->upkeep.audit_state || !vault)
		return;
	enum mortise_status status = vault_set_audit_state(vault, agent->upkeep.audit_state);
	if (status != MORTISE_OK) {
		log_warning("an audit checkpoint could not be stored, it is tried again: %s",
			mortise_status_text(status));
		return;
	}
	secret_drop(&agent->upkeep.audit_state);
	audit_checkpoint_stored(agent->audit);
	agent->upkeep.has_old_keys = true;
}

/*
 * A key that has signed must not be found by whoever takes the host later. Emptying the
 * write-ahead log at each checkpoint would cost reads their time when there are hundreds a
 * second, so it is done once a second.
 */
static void forget_old_keys(struct agent *agent)
{
	struct vault *vault = lifecycle_vault(agent->lifecycle);
	uint64_t now = clock_steady_us();

	if (!agent->upkeep.has_old_keys || !vault || now - agent->upkeep.forgot_us < FORGET_US)
		return;
	agent->upkeep.forgot_us = now;
	agent->upkeep.has_old_keys = vault_forget_old(vault) != MORTISE_OK;
}

void request_checkpoint_done(struct agent *agent)
{
	enum mortise_status status = audit_checkpoint_end(agent->audit, &agent->upkeep.audit_state);

	if (status == MORTISE_OK)
		store_audit_state(agent);
	else if (status != MORTISE_BUSY)
		log_warning("the audit log is not safely on disk: %s", mortise_status_text(status));
}

/*
 * The audit log's disk is somebody's to look after before reads fail. Where it was full or failed
 * it is looked at once a second, so that nobody is told of what is over.
 */
static void tell_of_audit(struct agent *agent, uint64_t steady_us)
{
	struct audit_report report = audit_report(agent->audit);

	if ((report.is_failing || report.is_on_reserve) &&
		steady_us - agent->upkeep.log_tried_us > RETRY_US) {
		agent->upkeep.log_tried_us = steady_us;
		audit_look_again(agent->audit);
		report = audit_report(agent->audit);
	}

	if (report.is_failing && !agent->upkeep.told_failing)
		log_error("the audit log can't be written: nothing is released until it can");
	else if (report.is_scarce && !agent->upkeep.told_scarce)
		log_warning("the audit log's disk is full, and what is left of its reserve is for "
			    "administrators: free some space");
	else if (report.is_on_reserve && !agent->upkeep.told_reserve)
		log_warning("the audit log's disk is full; it is on its reserve: free some space");
	else if ((agent->upkeep.told_failing && !report.is_failing) ||
		 (agent->upkeep.told_reserve && !report.is_on_reserve))
		log_info("the audit log is %s",
			report.is_on_reserve ? "on its reserve again" : "written as usual again");
	agent->upkeep.told_failing = report.is_failing;
	agent->upkeep.told_reserve = report.is_on_reserve;
	agent->upkeep.told_scarce = report.is_scarce;
}

/* Once a second: nobody else would hear of it before the next start. */
static void tell_of_moved(struct agent *agent, uint64_t steady_us)
{
	if (agent->upkeep.moved_looked_us && steady_us - agent->upkeep.moved_looked_us < RETRY_US)
		return;
	agent->upkeep.moved_looked_us = steady_us;
	bool is_moved = !audit_is_in_place(agent->audit);
	if (is_moved && !agent->upkeep.told_moved)
		log_error("the audit log was moved away or removed, and lines still go there: "
			  "put it back, or restart the agent");
	else if (!is_moved && agent->upkeep.told_moved)
		log_info("the audit log is in its place again");
	agent->upkeep.told_moved = is_moved;
}

static void record_purge(struct agent *agent, const char *path, uint64_t version, uint64_t now)
{
	struct audit_event event = {.time_us = now,
		.operation = "purged",
		.path = path,
		.path_size = strlen(path),
		.version = version,
		.result = MORTISE_OK};

	put_done(agent, &event);
}

static bool may_purge(const struct agent *agent, const struct clock_now *now)
{
	bool is_resting = !agent->upkeep.purge_cursor && agent->upkeep.purged_us &&
			  clock_steady_us() - agent->upkeep.purged_us < PURGE_US;

	return lifecycle_vault(agent->lifecycle) && agent->upkeep.deleted_keep_us &&
	       now->is_believed && !audit_report(agent->audit).is_failing && !is_resting;
}

/* Once a minute all secrets are looked at, some in each turn; at most one goes in a turn. */
static void purge_deleted(struct agent *agent, const struct clock_now *now)
{
	struct vault *vault = lifecycle_vault(agent->lifecycle);
	uint64_t *cursor = &agent->upkeep.purge_cursor;
	char path[VAULT_PATH_SIZE];
	uint64_t version = 0;

	if (!may_purge(agent, now))
		return;
	agent->upkeep.purged_us = clock_steady_us();
	enum mortise_status status = vault_purge(
		vault, now->wall_us, agent->upkeep.deleted_keep_us, cursor, path, &version);
	if (status == MORTISE_NOT_FOUND)
		return;
	if (status != MORTISE_OK) {
		/* Behind a row that is damaged there are others. */
		if (status != MORTISE_INTEGRITY)
			*cursor = 0;
		log_warning("a deleted secret could not be purged, it is tried again: %s",
			mortise_status_text(status));
		return;
	}
	agent->upkeep.has_old_keys = true; /* what was deleted is in the write-ahead log, too */
	record_purge(agent, path, version, now->wall_us);
}

/* A disk that fails is looked at once a second, beside what a change finds (request.c). */
static bool is_unsure(struct agent *agent, uint64_t steady_us)
{
	if (!lifecycle_is_unsure(agent->lifecycle)) {
		agent->upkeep.looked_again_us = 0;
		return false;
	}
	if (!agent->upkeep.looked_again_us ||
		steady_us - agent->upkeep.looked_again_us > RETRY_US) {
		agent->upkeep.looked_again_us = steady_us;
		lifecycle_look_again(agent->lifecycle);
	}
	return lifecycle_is_unsure(agent->lifecycle);
}

/* Between turns: that it failed is no reason to refuse the turn that comes. */
static void begin_checkpoint(struct agent *agent, uint64_t now_us)
{
	if (!audit_checkpoint_is_due(agent->audit, now_us))
		return;
	enum mortise_status status = audit_checkpoint_begin(agent->audit, now_us);
	if (status == MORTISE_IO)
		log_warning("the audit log could not be checkpointed");
	/* No request is in this turn: what failed in it must not refuse the next one's. */
	if (status != MORTISE_OK)
		(void)!owed_flush(&agent->owed, agent->audit);
}

void request_upkeep(struct agent *agent)
{
	const struct clock_now now = clock_now();
	uint64_t steady_us = clock_steady_us();

	tell_of_audit(agent, steady_us);
	tell_of_moved(agent, steady_us);
	request_clock_upkeep(agent);
	request_damage_upkeep(agent);
	if (is_unsure(agent, steady_us))
		return;
	lifecycle_upkeep(agent->lifecycle);
	if (agent->upkeep.audit_state && steady_us - agent->upkeep.audit_retry_us > RETRY_US) {
		agent->upkeep.audit_retry_us = steady_us;
		store_audit_state(agent);
	}
	purge_deleted(agent, &now);
	forget_old_keys(agent);
	policy_names_upkeep(&agent->names, agent->monitor);
	begin_checkpoint(agent, now.wall_us);
}

void request_checkpoint_last(struct agent *agent)
{
	struct pollfd done = {.fd = audit_descriptor(agent->audit), .events = POLLIN};

	if (!lifecycle_vault(agent->lifecycle))
		return;
	store_audit_state(agent); /* what failed a moment ago must not be lost with the vault */
	/* One may be under way, which does not cover the last lines: then another is made. */
	for (unsigned i = 0; i < LAST_CHECKPOINTS && !agent->upkeep.audit_state; i++) {
		audit_request_checkpoint(agent->audit);
		if (audit_checkpoint_begin(agent->audit, clock_now().wall_us) != MORTISE_OK ||
			poll(&done, 1, LAST_CHECKPOINT_MS) != 1)
			break;
		request_checkpoint_done(agent);
		if (audit_report(agent->audit).lines_unsigned == 0)
			break;
	}
	agent->upkeep.forgot_us = 0;
	forget_old_keys(agent);
}
