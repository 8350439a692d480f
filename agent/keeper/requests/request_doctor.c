/* SPDX-License-Identifier: ISC */
/*
 * doctor: what only the agent knows and STATUS does not say: its files and the room around them as
 * it finds them, its limits, and what a slot's hardware says of itself. Facts; what is wrong with
 * them is for the client to say.
 */
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "backup.h"
#include "exchange.h"

#define NAME_MAX_BYTES 40
#define MISSING_MAX    900 /* bytes; what does not fit is counted */

static void put_named_number(
	struct wire_writer *reply, const char *what, const char *part, uint64_t number)
{
	char name[NAME_MAX_BYTES];

	snprintf(name, sizeof name, "%s_%s", what, part);
	put_number_fact(reply, name, number);
}

/* A file or directory: who may, and how full its disk is. What cannot be had is left out. */
static void put_place(struct wire_writer *reply, const char *what, const char *path)
{
	struct statvfs disk;
	struct stat found;

	if (strlen(path) < WIRE_TEXT_MAX)
		put_text_fact(reply, what, path);
	if (stat(path, &found) == 0) {
		put_named_number(reply, what, "mode", found.st_mode & 07777);
		put_named_number(reply, what, "uid", found.st_uid);
	}
	if (statvfs(path, &disk) == 0 && disk.f_blocks > 0) {
		put_named_number(reply, what, "free_bytes", disk.f_bavail * disk.f_frsize);
		put_named_number(reply, what, "disk_bytes", disk.f_blocks * disk.f_frsize);
	}
}

static void put_agent(struct exchange *exchange)
{
	const struct agent *agent = exchange->agent;
	struct wire_writer *reply = exchange->reply;
	char names[WIRE_TEXT_MAX];
	struct rlimit locked;

	put_number_fact(reply, "agent_uid", agent->agent_uid);
	put_place(reply, "store_directory", agent->store_directory);
	put_place(reply, "audit_log", agent->audit_log);
	size_t strangers =
		backup_strangers(lifecycle_backup(agent->lifecycle), names, sizeof names);
	if (strangers) {
		put_text_fact(reply, "store_strangers", names);
		put_number_fact(reply, "store_strangers_count", strangers);
	}
	quota_describe_nearly_used(agent, names, sizeof names);
	if (names[0])
		put_text_fact(reply, "quotas_nearly_used", names);
	if (getrlimit(RLIMIT_MEMLOCK, &locked) == 0 && locked.rlim_cur != RLIM_INFINITY)
		put_number_fact(reply, "memlock_bytes", locked.rlim_cur);
}

/* ---- what the policy hands out ---- */

/* Can a unit be handed it, as far as the store goes? What cannot be read now may be there. */
static bool has_value(struct vault *vault, const char *path)
{
	const struct vault_choice current = {VAULT_CURRENT, 0};
	CLEANUP(secret_drop) struct secret *value = NULL;
	uint64_t version = 0;

	enum mortise_status status = vault_read(vault, path, &current, &value, &version);
	return status == MORTISE_OK ? value->size > 0 : status != MORTISE_NOT_FOUND;
}

/* "dbpass (prod/db/password), and 3 more" */
static void put_credentials(struct exchange *exchange)
{
	const struct policy *policy = exchange->agent->policy;
	struct vault *vault = lifecycle_vault(exchange->agent->lifecycle);
	struct policy_credential_section section;
	char text[WIRE_TEXT_MAX] = "";
	size_t used = 0, more = 0, count = 0;

	for (size_t i = 0; policy && vault && policy_credential_section(policy, i, &section); i++) {
		count++;
		if (has_value(vault, section.path))
			continue;
		if (used + strlen(section.title) + strlen(section.path) > MISSING_MAX) {
			more++;
			continue;
		}
		used += (size_t)snprintf(text + used, sizeof text - used, "%s%s (%s)",
			used ? ", " : "", section.title, section.path);
	}
	if (more)
		snprintf(text + used, sizeof text - used, ", and %zu more", more);
	if (count)
		put_number_fact(exchange->reply, "credentials", count);
	if (text[0])
		put_text_fact(exchange->reply, "credentials_without_value", text);
}

/* ---- a slot's hardware ---- */

static const struct {
	unsigned flag;
	const char *name;
} flags[] = {
	{TOKEN_HEALTH_OWNER_AUTH, "owner_auth"},
	{TOKEN_HEALTH_OWNER_OFF, "owner_disabled"},
	{TOKEN_HEALTH_LOCKOUT_AUTH, "lockout_auth"},
	{TOKEN_HEALTH_LOCKED, "locked"},
	{TOKEN_HEALTH_TRIES_LOW, "tries_low"},
	{TOKEN_HEALTH_LAST_TRY, "last_try"},
	{TOKEN_HEALTH_WANTS_PIN, "wants_pin"},
	{TOKEN_HEALTH_SRK_COUNTS, "srk_counts_tries"},
	{TOKEN_HEALTH_UNBOUND, "unbound"},
};

static void put_health(struct wire_writer *reply, const void *context)
{
	const struct slot_health *health = context;
	const struct token_health *says = &health->says;
	size_t list = wire_list_begin(reply, WIRE_TAG_ITEMS);

	if (health->fault != TOKEN_FAULT_NONE)
		put_text_fact(reply, "fault", health->text);
	for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++)
		if (says->flags & flags[i].flag)
			put_number_fact(reply, flags[i].name, 1);
	if (says->tries_max) {
		put_number_fact(reply, "tries_failed", says->tries_failed);
		put_number_fact(reply, "tries_max", says->tries_max);
		put_number_fact(reply, "try_back_s", says->back_s);
	}
	if (says->idle_pcrs)
		put_pcrs_fact(reply, "idle_pcrs", says->idle_pcrs);
	if (health->is_pin_doubted)
		put_number_fact(reply, "pin_failed", 1);
	wire_list_end(reply, list);
}

static void on_health(void *context, enum mortise_status status, const struct slot_health *health)
{
	pending_finish(context, status, status == MORTISE_OK ? "" : "sealed meanwhile", put_health,
		health);
}

static enum mortise_status ask_hardware(struct exchange *exchange)
{
	struct pending *pending = NULL;

	if (wire_number(exchange->request, WIRE_TAG_NUMBER, &exchange->version) != MORTISE_OK)
		return exchange_fail(exchange, MORTISE_INVALID, "a slot's id is a number");
	TRY(pending_new(exchange, NULL, NULL, &pending));
	pending->version = exchange->version;
	enum mortise_status status = slot_health(lifecycle_slot_worker(exchange->agent->lifecycle),
		exchange->version, on_health, pending);
	if (status == MORTISE_OK)
		return status;
	pending_abandon(exchange, pending);
	if (status == MORTISE_BUSY)
		return exchange_fail(exchange, status,
			"the hardware is being asked something else just now; try again");
	if (status == MORTISE_NOT_FOUND)
		return exchange_fail(exchange, status, "no slot %llu; see: mortise slot list",
			(unsigned long long)exchange->version);
	if (status == MORTISE_CONFLICT)
		return exchange_fail(exchange, status, "slot %llu is no hardware",
			(unsigned long long)exchange->version);
	return status;
}

enum mortise_status request_doctor(struct exchange *exchange)
{
	if (wire_has(exchange->request, WIRE_TAG_NUMBER))
		return ask_hardware(exchange);
	size_t list = wire_list_begin(exchange->reply, WIRE_TAG_ITEMS);
	put_agent(exchange);
	put_credentials(exchange);
	wire_list_end(exchange->reply, list);
	return MORTISE_OK;
}
