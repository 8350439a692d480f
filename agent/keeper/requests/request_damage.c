/* SPDX-License-Identifier: ISC */
/*
 * Damage of the audit log is a state: what an unseal found is kept in the store, and told of, until
 * an admin has said that he knows. It ends no service: the chain goes on behind it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exchange.h"
#include "log.h"

/* The clock's floor between restarts, and an admin's word for the time. */

#define KEEP_US UINT64_C(3600000000) /* a floor is kept again when it is newer by so much */

void request_clock_found(struct vault *vault)
{
	struct clock_floor floor;

	/* What this process knows may be newer, or an admin's word. */
	if (vault_floor(vault, &floor) == MORTISE_OK && clock_report().floor_us == 0)
		clock_set_floor(&floor);
}

static enum mortise_status keep(struct agent *agent, uint64_t newer_us)
{
	struct vault *vault = lifecycle_vault(agent->lifecycle);
	struct clock_floor floor;

	if (!vault || !clock_take_floor(newer_us, &floor))
		return MORTISE_OK;
	return vault_set_floor(vault, &floor);
}

void request_clock_keep(struct agent *agent)
{
	if (keep(agent, 1) != MORTISE_OK)
		log_warning("the newest time that was confirmed could not be stored");
}

static void tell_of_clock(const struct clock_report *clock)
{
	if (clock->verdict == CLOCK_BELIEVED)
		log_info("the clock is believed again");
	else
		log_warning("the clock is not believed: it is %s; rules with hours or an expiry "
			    "deny, and nothing is purged, until it is synchronised or right; "
			    "or run: mortise clock accept",
			clock_verdict_text(clock->verdict));
}

void request_clock_upkeep(struct agent *agent)
{
	const struct clock_report clock = clock_report();

	if (clock.verdict != agent->told_clock)
		tell_of_clock(&clock);
	agent->told_clock = clock.verdict;
	if (keep(agent, KEEP_US) != MORTISE_OK)
		log_warning("the newest time that was confirmed could not be stored");
}

enum mortise_status request_clock_accept(struct exchange *exchange)
{
	struct agent *agent = exchange->agent;

	TRY(exchange_reason(exchange));
	if (clock_report().verdict == CLOCK_EARLY)
		return exchange_fail(exchange, MORTISE_CONFLICT,
			"the clock is before mortise was written; set it first");
	bool changes = clock_report().verdict != CLOCK_BELIEVED;
	if (changes && !exchange->is_dry_run) {
		(void)clock_accept();
		TRY(keep(agent, 0));
	}
	wire_put_number(exchange->reply, WIRE_TAG_CHANGED, changes);
	return MORTISE_OK;
}

#define NEXT                                                                                       \
	"look with mortise audit verify, and when it is understood: mortise audit acknowledge "    \
	"--note=WHY"

/* The newest one's words stand for all. */
static void count(void *context, const struct vault_gap *gap)
{
	struct damage *damage = context;

	if (gap->acknowledged_us)
		return;
	damage->open++;
	if (gap->found_us < damage->since_us && damage->open > 1)
		return;
	damage->since_us = gap->found_us;
	snprintf(damage->why, sizeof damage->why, "%s", gap->why);
}

/* What cannot be read now is no reason to end an alarm. */
static void recount(struct damage *damage, struct vault *vault)
{
	struct damage fresh = *damage;
	struct vault_gap gap;

	fresh.open = 0;
	for (uint64_t at = 0; (at = vault_next_gap(vault, at));) {
		enum mortise_status status = vault_gap(vault, at, &gap);
		if (status == MORTISE_BUSY || status == MORTISE_IO)
			return;
		if (status == MORTISE_OK)
			count(&fresh, &gap);
	}
	if (fresh.unstored.sequence)
		count(&fresh, &fresh.unstored);
	*damage = fresh;
}

static void tell(const struct damage *damage)
{
	if (damage->open)
		log_error("the audit log is DAMAGED: %s; " NEXT, damage->why);
}

/* What can be said without the keys; the next unseal says it better. */
static void look_without_keys(struct agent *agent)
{
	const struct vault_gap gap = {.found_us = clock_now().least_us,
		.why = "the log has no line that a key vouched for"};

	if (lifecycle_state(agent->lifecycle) != LIFECYCLE_UNINITIALISED &&
		audit_find_vouched(agent->audit) == MORTISE_NOT_FOUND)
		count(&agent->damage, &gap);
}

void request_damage_while_sealed(struct agent *agent)
{
	agent->damage.open = 0;
	lifecycle_gaps_while_sealed(agent->lifecycle, count, &agent->damage);
	look_without_keys(agent);
	tell(&agent->damage);
}

static void store(struct damage *damage, struct vault *vault)
{
	if (damage->unstored.sequence == 0)
		return;
	enum mortise_status status = vault_add_gap(vault, &damage->unstored);
	if (status == MORTISE_OK || status == MORTISE_CONFLICT)
		damage->unstored.sequence = 0; /* or there are more than enough to be told of */
}

void request_damage_read(struct agent *agent, struct vault *vault)
{
	uint64_t before = agent->damage.open;

	store(&agent->damage, vault);
	recount(&agent->damage, vault);
	if (agent->damage.open != before)
		tell(&agent->damage);
}

void request_damage_look(struct agent *agent, struct vault *vault)
{
	const struct audit_gap *gap = audit_gap(agent->audit);
	struct damage *damage = &agent->damage;
	uint64_t before = damage->open;

	if (gap->sequence) {
		damage->unstored = (struct vault_gap){
			.sequence = gap->sequence, .found_us = clock_now().least_us};
		memcpy(damage->unstored.head, gap->head, sizeof gap->head);
		memcpy(damage->unstored.key, gap->key, sizeof gap->key);
		snprintf(damage->unstored.why, sizeof damage->unstored.why, "%s", gap->why);
	}
	store(damage, vault);
	recount(damage, vault);
	if (damage->open != before || gap->sequence)
		tell(damage);
}

void request_damage_upkeep(struct agent *agent)
{
	struct vault *vault = lifecycle_vault(agent->lifecycle);

	if (vault)
		store(&agent->damage, vault);
}

bool request_damage_text(const struct agent *agent, char *out_text, size_t size)
{
	if (agent->damage.open == 0)
		return false;
	snprintf(out_text, size, "DAMAGED: %s", agent->damage.why);
	return true;
}

static enum mortise_status acknowledge_all(
	struct exchange *exchange, struct vault *vault, uint64_t *out_count)
{
	struct vault_gap gap;

	*out_count = 0;
	for (uint64_t at = 0; (at = vault_next_gap(vault, at));) {
		TRY(vault_gap(vault, at, &gap));
		if (gap.acknowledged_us)
			continue;
		++*out_count;
		gap.acknowledged_us = exchange->now.least_us;
		gap.uid = exchange->from->caller.subject.uid;
		memcpy(gap.note, exchange->reason, sizeof gap.note);
		if (!exchange->is_dry_run)
			TRY(vault_acknowledge_gap(vault, at, &gap));
	}
	return MORTISE_OK;
}

enum mortise_status request_audit_acknowledge(struct exchange *exchange)
{
	struct agent *agent = exchange->agent;
	struct vault *vault = lifecycle_vault(agent->lifecycle);
	uint64_t acknowledged = 0;

	TRY(exchange_reason(exchange));
	if (agent->damage.unstored.sequence)
		return exchange_fail(exchange, MORTISE_BUSY,
			"what was damaged could not be stored yet: is the disk full? try again");
	TRY(acknowledge_all(exchange, vault, &acknowledged));
	recount(&agent->damage, vault);
	if (acknowledged && !exchange->is_dry_run)
		log_info("the damage of the audit log was acknowledged by uid %u",
			exchange->from->caller.subject.uid);
	wire_put_number(exchange->reply, WIRE_TAG_CHANGED, acknowledged > 0);
	wire_put_number(exchange->reply, WIRE_TAG_NUMBER, acknowledged);
	return MORTISE_OK;
}

/* ---- what `audit verify` may go past ---- */

static void drop_gaps(struct audit_gap **gaps)
{
	free(*gaps);
}

enum mortise_status request_allowed_gaps(
	struct vault *vault, struct audit_gap **out_gaps, size_t *out_count)
{
	CLEANUP(drop_gaps) struct audit_gap *gaps = calloc(VAULT_GAPS_MAX, sizeof *gaps);
	struct vault_gap gap;
	size_t found = 0;

	if (!gaps)
		return MORTISE_BUSY;
	for (uint64_t at = 0; found < VAULT_GAPS_MAX && (at = vault_next_gap(vault, at));) {
		/* One that is left out would be told of as damage, though somebody knows it. */
		TRY(vault_gap(vault, at, &gap));
		if (!gap.acknowledged_us)
			continue;
		gaps[found].sequence = gap.sequence;
		memcpy(gaps[found].head, gap.head, sizeof gap.head);
		memcpy(gaps[found].key, gap.key, sizeof gap.key);
		found++;
	}
	*out_gaps = gaps;
	gaps = NULL;
	*out_count = found;
	return MORTISE_OK;
}

void request_name_gaps(struct vault *vault, char *out_text, size_t size)
{
	struct vault_gap gap;
	size_t used = 0;

	out_text[0] = '\0';
	for (uint64_t at = 0; (at = vault_next_gap(vault, at));)
		if (vault_gap(vault, at, &gap) == MORTISE_OK && gap.acknowledged_us && used < size)
			used += (size_t)snprintf(out_text + used, size - used,
				"%sbefore sequence %llu: %s (acknowledged by uid %u: %s)",
				used ? "; " : "", (unsigned long long)gap.sequence, gap.why,
				gap.uid, gap.note);
}
