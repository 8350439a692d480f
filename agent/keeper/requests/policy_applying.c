/* SPDX-License-Identifier: ISC */
#include "policy_applying.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "log.h"
#include "policy.h"
#include "policy_answers.h"
#include "policy_record.h"
#include "rate.h"
#include "wire.h"

/*
 * What a new policy changes and what is odd about it, ready for an answer and bounded to fit one
 * beside other fields. The items are those of docs/protocol.md.
 */

#define CHANGES_SIZE  49152 /* bytes of items */
#define WARNINGS_SIZE 32768
#define PROGRAMS_SIZE 16384
#define ITEM_ROOM     128 /* for headers and numbers of an item */
#define TEXT_SIZE     1000
#define RECORDED_MAX  200                /* changes in the log */
#define GAINS_KEPT    (RECORDED_MAX / 2) /* for certain, however much goes */

/* Lines of one kind: those that fit, and how many do not. */
struct section {
	size_t size, used, left_out;
};

/* Changes for the log, as many as could be wanted there. */
struct changes {
	char *texts[RECORDED_MAX];
	size_t count, all;
};

struct policy_findings {
	uint8_t bytes[CHANGES_SIZE + WARNINGS_SIZE + PROGRAMS_SIZE + 4096];
	struct wire_writer writer;
	struct section changes, warnings, programs;
	struct changes losses, gains;
	bool is_cut;    /* there are more changes than were told */
	char exe[4097]; /* the program that the next warning asks to be looked at; "": none */
};

/* Copies what fits, and no half a character. */
static void cut(char text[TEXT_SIZE], const char *line)
{
	size_t size = strlen(line);

	if (size >= TEXT_SIZE) {
		size = TEXT_SIZE - 4;
		while (size && ((unsigned char)line[size] & 0xc0) == 0x80)
			size--;
		memcpy(text + size, "...", 4);
		memcpy(text, line, size);
		return;
	}
	memcpy(text, line, size + 1);
}

static bool has_room(struct section *section, size_t size)
{
	if (section->used + size + ITEM_ROOM > section->size) {
		section->left_out++;
		return false;
	}
	section->used += size + ITEM_ROOM;
	return true;
}

static void keep_change(struct policy_findings *findings, const char *text)
{
	bool is_gain = strstr(text, ": may now ") || strstr(text, ": is no longer denied to ");
	struct changes *changes = is_gain ? &findings->gains : &findings->losses;

	if (strcmp(text, POLICY_NOT_COMPARED) == 0 || strcmp(text, POLICY_NOT_LISTED) == 0) {
		findings->is_cut = true;
		return;
	}
	changes->all++;
	char *kept = changes->count < RECORDED_MAX ? strdup(text) : NULL;
	if (kept)
		changes->texts[changes->count++] = kept;
}

static void put_change(struct policy_findings *findings, const char *text)
{
	if (!has_room(&findings->changes, strlen(text)))
		return;
	size_t item = wire_item_begin(&findings->writer);
	wire_put_text(&findings->writer, WIRE_TAG_TEXT, text);
	wire_item_end(&findings->writer, item);
}

static void add_change(void *context, const char *line)
{
	struct policy_findings *findings = context;
	char text[TEXT_SIZE];

	cut(text, line);
	keep_change(findings, text);
	put_change(findings, text);
}

/* Files are out of the keeper's reach: who asks looks at the program, if the warning has one. */
static bool ask_to_look(void *context, const char *exe)
{
	struct policy_findings *findings = context;

	if (strlen(exe) >= sizeof findings->exe)
		return false;
	memcpy(findings->exe, exe, strlen(exe) + 1);
	return true;
}

static void put_warning(struct policy_findings *findings, const char *text, const char *file,
	unsigned line, unsigned column)
{
	struct wire_writer *writer = &findings->writer;
	size_t item = wire_item_begin(writer);

	wire_put_text(writer, WIRE_TAG_TEXT, text);
	wire_put_text(writer, WIRE_TAG_NAME, file);
	wire_put_number(writer, WIRE_TAG_NUMBER, line);
	if (findings->exe[0])
		wire_put_text(writer, WIRE_TAG_CHUNK, findings->exe);
	wire_put_number(writer, WIRE_TAG_OFFSET, column);
	wire_item_end(writer, item);
}

static void add_warning(void *context, const struct policy_warning *warning)
{
	struct policy_findings *findings = context;
	struct section *section = findings->exe[0] ? &findings->programs : &findings->warnings;
	char text[TEXT_SIZE];

	cut(text, warning->text);
	if (has_room(section, strlen(text) + strlen(warning->file) + strlen(findings->exe)))
		put_warning(findings, text, warning->file, warning->line, warning->column);
	findings->exe[0] = '\0';
}

static void tell_left_out(struct policy_findings *findings)
{
	char text[TEXT_SIZE];

	if (findings->warnings.left_out) {
		snprintf(text, sizeof text, "and %zu more warnings", findings->warnings.left_out);
		put_warning(findings, text, "", 0, 0);
	}
	if (findings->programs.left_out) {
		snprintf(text, sizeof text, "%zu more programs were not looked at",
			findings->programs.left_out);
		put_warning(findings, text, "", 0, 0);
	}
}

static enum mortise_status gather(struct policy_findings *findings, const struct policy *before,
	const struct policy *after, time_t now)
{
	const struct policy_warning_options options = {
		.now = now, .is_script = ask_to_look, .context = findings};
	char text[64];

	TRY(policy_compare(before, after, add_change, findings));
	if (findings->changes.left_out) {
		snprintf(text, sizeof text, "and %zu more changes", findings->changes.left_out);
		findings->changes.size += sizeof text + ITEM_ROOM;
		put_change(findings, text);
	}
	TRY(policy_warnings(after, &options, add_warning, findings));
	tell_left_out(findings);
	return MORTISE_OK;
}

/* NULL is allowed. */
static void policy_findings_free(struct policy_findings *findings)
{
	for (size_t i = 0; findings && i < findings->losses.count; i++)
		free(findings->losses.texts[i]);
	for (size_t i = 0; findings && i < findings->gains.count; i++)
		free(findings->gains.texts[i]);
	free(findings);
}

/* MORTISE_BUSY without memory. */
static enum mortise_status policy_findings_new(const struct policy *before,
	const struct policy *after, time_t now, struct policy_findings **out_findings)
{
	struct policy_findings *findings = calloc(1, sizeof *findings);

	if (!findings)
		return MORTISE_BUSY;
	findings->changes.size = CHANGES_SIZE;
	findings->warnings.size = WARNINGS_SIZE;
	findings->programs.size = PROGRAMS_SIZE;
	findings->writer =
		(struct wire_writer){.bytes = findings->bytes, .capacity = sizeof findings->bytes};
	enum mortise_status status = gather(findings, before, after, now);
	if (status != MORTISE_OK) {
		policy_findings_free(findings);
		return status;
	}
	*out_findings = findings;
	return MORTISE_OK;
}

struct recording {
	const struct pending *pending;
	uint64_t version;
};

static void record_change(const struct recording *recording, const char *text)
{
	char note[TEXT_SIZE + 32];

	(void)snprintf(note, sizeof note, "version %llu: %s",
		(unsigned long long)recording->version, text);
	pending_record_part(recording->pending, "policy-change", note);
}

/*
 * A line of the log for each of the changes: what was allowed before and is not now, or was not.
 * What comes has its lines however much goes. Where the log's disk is full one line counts them.
 */
static void policy_findings_record(
	const struct policy_findings *findings, const struct recording *recording)
{
	const struct changes *losses = &findings->losses, *gains = &findings->gains;
	bool is_scarce = audit_is_scarce(recording->pending->agent->audit);
	size_t room = is_scarce ? 0 : RECORDED_MAX, lost = 0, gained = 0;
	size_t kept = gains->count < GAINS_KEPT ? gains->count : GAINS_KEPT;
	char text[96];

	for (; lost < losses->count && lost + kept < room; lost++)
		record_change(recording, losses->texts[lost]);
	for (; gained < gains->count && lost + gained < room; gained++)
		record_change(recording, gains->texts[gained]);
	size_t more = losses->all + gains->all - lost - gained;
	if (!more && !findings->is_cut)
		return;
	(void)snprintf(text, sizeof text, "and %s%zu more %s", findings->is_cut ? "at least " : "",
		more, more == 1 ? "change" : "changes");
	record_change(recording, text);
}

/* Puts ITEMS. */
static void policy_findings_put(const struct policy_findings *findings, struct wire_writer *reply)
{
	wire_put(reply, WIRE_TAG_ITEMS, findings->writer.bytes, findings->writer.size);
}

#define WEEK_S (7 * 86400)

struct applying {
	struct applying_wish wish;
	struct pending *pending;
	struct policy_staging *staging;
	struct policy *policy;
	struct policy_lookup *lookup; /* under way, or done */
	uint32_t *ids;                /* by name */
	uint32_t uid;
	struct clock_now now;
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
	char text[512]; /* what else to know; "" */
	struct policy_findings *findings;
};

static void put_applied(struct wire_writer *reply, const void *context)
{
	const struct applied *applied = context;

	if (applied->text[0])
		wire_put_text(reply, WIRE_TAG_TEXT, applied->text);
	wire_put_number(reply, WIRE_TAG_VERSION, applied->version);
	if (applied->findings)
		policy_findings_put(applied->findings, reply);
	wire_put_number(reply, WIRE_TAG_CHANGED, applied->changed);
	wire_put_number(reply, WIRE_TAG_NUMBER, applied->rules);
}

void applying_put_repeated(struct exchange *exchange)
{
	const struct applied applied = {.version = exchange->agent->policy_version,
		.rules = policy_rule_count(exchange->agent->policy)};

	put_applied(exchange->reply, &applied);
}

static enum mortise_status store_policy(
	struct applying *applying, struct vault *vault, uint64_t *out_version)
{
	struct policy_source source = {applying->staging->in.files, applying->staging->in.count,
		applying->policy, applying->ids, {0}, applying->uid, applying->now.least_us};
	struct store_bytes record = {NULL, 0};

	memcpy(source.token, applying->wish.token, sizeof source.token);
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

static bool may_admin(const struct applying *applying, const struct policy *policy)
{
	struct requester *from = applying->pending->from;

	requester_gather(applying->pending->agent, from, policy);
	return policy_decide(
		policy, &from->caller.subject, VERB_ADMIN, NULL, policy_time(&applying->now))
		.allowed;
}

/* The policy in force may have changed while names were looked up. */
static enum mortise_status check_base(struct applying *applying)
{
	const struct agent *agent = applying->pending->agent;

	if (!applying->pending->from)
		return MORTISE_BUSY;
	if (applying->wish.has_base && applying->wish.base != agent->policy_version) {
		snprintf(applying->error.text, sizeof applying->error.text,
			"the policy in force is version %llu, no longer %llu; look again",
			(unsigned long long)agent->policy_version,
			(unsigned long long)applying->wish.base);
		return MORTISE_CONFLICT;
	}
	if (!applying->wish.by_operators && !may_admin(applying, agent->policy))
		return MORTISE_DENIED;
	return MORTISE_OK;
}

static_assert(POLICY_ADMINS_MAX == 1000, "what why_no_admin() says");

/* "": whoever applies keeps admin, and somebody has it a week later, too. */
static const char *why_no_admin(const struct applying *applying)
{
	time_t now = (time_t)(applying->now.least_us / 1000000);

	bool is_kept = may_admin(applying, applying->policy), is_whole = true;

	if (policy_has_admin(applying->policy, is_kept ? now + WEEK_S : now, &is_whole))
		return is_kept ? "" : "this policy would take the verb admin from you";
	if (!is_whole)
		return is_kept ? "of those whom this policy allows admin, none of the first 1000 "
				 "has it in a week's time, and no more were looked at"
			       : "of those whom this policy allows admin, none of the first 1000 "
				 "has it, and no more were looked at";
	return is_kept ? "in a week's time this policy would leave no administrator"
		       : "this policy would leave no administrator";
}

/* An operator who resets has the recovery key, and takes nothing from himself. */
static enum mortise_status keep_admin(struct applying *applying, struct applied *applied)
{
	const char *why = applying->wish.by_operators ? "" : why_no_admin(applying);

	if (!why[0])
		return MORTISE_OK;
	if (!applying->wish.is_forced) {
		snprintf(applying->error.text, sizeof applying->error.text,
			"%s; add a rule that allows it (the one in force: mortise policy show), or "
			"use --force",
			why);
		return MORTISE_REJECTED;
	}
	snprintf(applied->text, sizeof applied->text,
		"%s, which was forced; an operator with the recovery key can run: mortise policy "
		"reset",
		why);
	return MORTISE_OK;
}

static void tell_blind_rules(const struct applying *applying, struct applied *applied)
{
	size_t count = policy_exe_rule_count(applying->policy), used = strlen(applied->text);

	if (count && !evidence_has_witness(applying->pending->agent->evidence))
		snprintf(applied->text + used, sizeof applied->text - used,
			"%s%zu %s an exe, which cannot be had: allows by exe allow nothing and "
			"denies by exe deny every program; set exe-evidence = yes in [agent]",
			used ? "; " : "", count, count == 1 ? "rule names" : "rules name");
}

static void drop_rates(struct rate_table **rates)
{
	rate_free(*rates);
}

/* The new policy is stored first, then it is in force. */
static enum mortise_status put_in_force(
	struct applying *applying, struct vault *vault, struct applied *applied)
{
	struct agent *agent = applying->pending->agent;
	CLEANUP(drop_rates) struct rate_table *rates = NULL;

	TRY(rate_new(RATE_PAIRS_MAX, &rates));
	/* A quota, or who may write, may be what fills the disk. */
	lifecycle_lend_reserve(agent->lifecycle, true);
	enum mortise_status status = store_policy(applying, vault, &applied->version);
	lifecycle_lend_reserve(agent->lifecycle, false);
	TRY(status);
	rate_free(agent->rates);
	agent->rates = rates;
	rates = NULL;
	policy_names_forget(&agent->names);
	policy_free(agent->policy);
	agent->policy = applying->policy;
	applying->policy = NULL;
	agent->policy_version = applied->version;
	if (quota_begin(agent, vault) == MORTISE_OK)
		lifecycle_count(agent->lifecycle);
	policy_names_watch(&agent->names, agent->policy, true);
	audit_request_checkpoint(agent->audit);
	log_info("policy version %llu applied by uid %u: %zu %s",
		(unsigned long long)applied->version, applying->uid, applied->rules,
		applied->rules == 1 ? "rule" : "rules");
	return MORTISE_OK;
}

/* Every name is known. */
static enum mortise_status apply(struct applying *applying, struct applied *applied)
{
	struct agent *agent = applying->pending->agent;
	struct vault *vault = lifecycle_vault(agent->lifecycle);

	if (!vault)
		return MORTISE_SEALED;
	for (size_t i = 0; i < policy_name_count(applying->policy); i++)
		policy_pin(applying->policy, i, applying->ids[i]);
	TRY(policy_compile(applying->policy, &applying->error));
	TRY(check_base(applying));
	TRY(keep_admin(applying, applied));
	tell_blind_rules(applying, applied);
	TRY(policy_findings_new(agent->policy, applying->policy,
		(time_t)(applying->now.least_us / 1000000), &applied->findings));
	applied->rules = policy_rule_count(applying->policy);
	applied->changed = true;
	applied->version = agent->policy_version + 1;
	if (applying->wish.is_dry_run)
		return MORTISE_OK;
	TRY(put_in_force(applying, vault, applied));
	policy_findings_record(
		applied->findings, &(struct recording){applying->pending, applied->version});
	return MORTISE_OK;
}

static void finish(struct applying *applying)
{
	struct applied applied = {.findings = NULL};
	enum mortise_status status = apply(applying, &applied);
	char text[sizeof applying->error.text];

	memcpy(text, applying->error.text, sizeof text);
	pending_finish(applying->pending, status, text, put_applied, &applied);
	policy_findings_free(applied.findings);
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

/* A name that does not exist is told before one that could not be asked for. */
static void on_names(void *context, const struct looked_up *found)
{
	struct applying *applying = context;
	size_t count = policy_name_count(applying->policy), failed = count;

	for (size_t i = 0; i < count; i++) {
		applying->ids[i] = found[i].id;
		if (found[i].status != MORTISE_OK &&
			(failed == count || (found[i].status == MORTISE_NOT_FOUND &&
						    found[failed].status != MORTISE_NOT_FOUND)))
			failed = i;
	}
	if (failed < count)
		refuse_name(applying, failed, found[failed].status);
	else
		finish(applying);
}

static enum mortise_status parse(struct exchange *exchange, struct applying *applying)
{
	const struct policy_files *in = &applying->staging->in;
	struct policy_error error;
	enum mortise_status status = policy_parse(in->files, in->count, &applying->policy, &error);

	if (status == MORTISE_REJECTED)
		return exchange_fail(exchange, status, "%s", error.text);
	TRY(status);
	applying->ids = calloc(policy_name_count(applying->policy) + 1, sizeof *applying->ids);
	return applying->ids ? MORTISE_OK : MORTISE_BUSY;
}

static enum mortise_status begin(struct exchange *exchange, struct applying *applying)
{
	TRY(parse(exchange, applying));
	TRY(pending_new(exchange, applying, applying_free, &applying->pending));
	if (policy_name_count(applying->policy) == 0) {
		finish(applying);
		return MORTISE_OK;
	}
	return policy_lookup_start(
		exchange->agent->monitor, applying->policy, on_names, applying, &applying->lookup);
}

enum mortise_status applying_start(
	struct exchange *exchange, const struct applying_wish *wish, struct policy_staging *staging)
{
	struct applying *applying = calloc(1, sizeof *applying);

	if (!applying) {
		policy_staging_free(staging);
		return MORTISE_BUSY;
	}
	*applying = (struct applying){.wish = *wish,
		.staging = staging,
		.uid = exchange->from->caller.subject.uid,
		.now = exchange->now};
	enum mortise_status status = begin(exchange, applying);
	if (status == MORTISE_OK)
		return MORTISE_OK;
	if (exchange->is_pending)
		pending_abandon(exchange, applying->pending);
	else
		applying_free(applying);
	return status;
}
