/* SPDX-License-Identifier: ISC */
#include "request_credential.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "exchange.h"
#include "refusal.h"
#include "subject.h"

#define UNIT_BIT    (1u << ATTRIBUTE_UNIT)
#define FACT_ROUNDS 4 /* as many as there are facts */

struct wish {
	struct agent *agent;
	struct caller *caller;
	const struct credential_address *address;
	const char *path, *rule; /* the policy's; NULL */
	struct clock_now now;
	uint64_t version;
	char *why;
};

static enum mortise_status fail(struct wish *wish, enum mortise_status status, const char *format,
	...) __attribute__((format(printf, 3, 4)));

static enum mortise_status fail(
	struct wish *wish, enum mortise_status status, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(wish->why, CREDENTIAL_WHY_SIZE, format, arguments);
	va_end(arguments);
	return status;
}

static bool is_first(const char *names, const char *prefix, const char *name)
{
	size_t prefix_size = strlen(prefix), size = strlen(name);

	return strncmp(names, prefix, prefix_size) == 0 &&
	       strncmp(names + prefix_size, name, size) == 0 &&
	       (names[prefix_size + size] == ' ' || names[prefix_size + size] == '\0');
}

/*
 * Root's manager is the system's: the unit must be the system's unit. A user's manager is below
 * his user@UID.service; the unit must be the one below that.
 */
static bool is_in_unit(const char *names, uint32_t uid, const char *unit)
{
	char manager[32];
	const char *own;

	if (uid == 0)
		return is_first(names, "", unit);
	snprintf(manager, sizeof manager, "user@%u.service", uid);
	own = strstr(names, " user:");
	return is_first(names, "", manager) && own && is_first(own + 1, "user:", unit);
}

/* systemd connects from a child that is in the unit's cgroup already. */
static enum mortise_status check_unit(struct wish *wish)
{
	struct caller *caller = wish->caller;
	const struct fact *fact = &caller->subject.unit;

	evidence_gather(wish->agent->evidence, caller, UNIT_BIT);
	if (fact->state != FACT_KNOWN)
		return fail(wish, MORTISE_DENIED, "in which unit it is cannot be found out");
	if (!is_in_unit(fact->text, caller->subject.uid, wish->address->unit))
		return fail(wish, MORTISE_DENIED, "who asks is in %.200s", fact->text);
	return MORTISE_OK;
}

static unsigned needs(struct agent *agent, struct caller *caller)
{
	caller->subject.socket = (struct fact){FACT_KNOWN, SUBJECT_SOCKET_CREDENTIALS};
	unsigned needed = policy_needs(agent->policy, &caller->subject);
	for (unsigned round = 0; needed && round < FACT_ROUNDS; round++) {
		evidence_gather(agent->evidence, caller, needed);
		needed = policy_needs(agent->policy, &caller->subject);
	}
	return needed;
}

bool request_credential_wants_exe(struct agent *agent, struct caller *caller)
{
	return agent->policy && evidence_may_await_exe(agent->evidence, caller) &&
	       (needs(agent, caller) & 1u << ATTRIBUTE_EXE) != 0;
}

/* A deny counts for the unit's own name, and for all that is known of who connects. */
static enum mortise_status ask_policy(struct wish *wish)
{
	const struct policy *policy = wish->agent->policy;
	struct caller *caller = wish->caller;
	struct subject claimed;
	struct decision decision;
	time_t now = policy_time(&wish->now);

	(void)needs(wish->agent, caller);
	claimed = caller->subject;
	claimed.unit = (struct fact){FACT_KNOWN, wish->address->unit};
	decision = policy_credential(policy, &claimed, wish->address->id, now, &wish->path);
	wish->rule = decision.rule;
	if (!decision.allowed && decision.rule)
		return fail(wish, MORTISE_DENIED, "rule %s denies it", decision.rule);
	if (!decision.allowed)
		return fail(wish, MORTISE_DENIED, "no [credential] section has it for this unit%s",
			caller->subject.uid ? " of that user" : "");
	decision = policy_decide(policy, &caller->subject, VERB_READ, wish->path, now);
	if (!decision.allowed && decision.rule) {
		wish->rule = decision.rule;
		return fail(wish, MORTISE_DENIED, "rule %s denies it", decision.rule);
	}
	return MORTISE_OK;
}

/* To systemd an empty credential is what it has when nothing came. */
static enum mortise_status read_value(struct wish *wish, struct secret **out_value)
{
	const struct vault_choice current = {VAULT_CURRENT, 0};
	CLEANUP(secret_drop) struct secret *value = NULL;
	enum mortise_status status = vault_read(lifecycle_vault(wish->agent->lifecycle), wish->path,
		&current, &value, &wish->version);

	if (status == MORTISE_NOT_FOUND)
		return fail(
			wish, status, "section %s names a secret that does not exist", wish->rule);
	if (status != MORTISE_OK)
		return fail(wish, status, "%s", refusal_words(status));
	if (value->size == 0)
		return fail(wish, MORTISE_REJECTED, "the value is empty");
	*out_value = secret_take(&value);
	return MORTISE_OK;
}

static enum mortise_status judge(struct wish *wish, struct secret **out_value)
{
	enum lifecycle_state state = lifecycle_state(wish->agent->lifecycle);

	if (!wish->address)
		return fail(wish, MORTISE_INVALID, "its address names no unit and credential");
	if (state == LIFECYCLE_UNINITIALISED)
		return fail(wish, MORTISE_SEALED, "not initialised; run: mortise init");
	if (state != LIFECYCLE_UNSEALED || !wish->agent->policy)
		return fail(wish, MORTISE_SEALED, "sealed");
	TRY(check_unit(wish));
	TRY(ask_policy(wish));
	return read_value(wish, out_value);
}

static void put_on_record(const struct wish *wish, enum mortise_status result)
{
	struct caller *caller = wish->caller;
	const struct credential_address *address = wish->address;
	char note[CREDENTIAL_WHY_SIZE + 256];

	snprintf(note, sizeof note, "%s%s%s%s%s", address ? address->id : "",
		address ? " for " : "", address ? address->unit : "",
		address && wish->why[0] ? ": " : "", wish->why);
	evidence_gather_login(caller);
	audit_append(wish->agent->audit, &(struct audit_event){
						 .time_us = wish->now.wall_us,
						 .operation = "credential",
						 .has_caller = true,
						 .uid = caller->subject.uid,
						 .gid = caller->gid,
						 .pid = caller->pid,
						 .login_uid = caller->login_uid,
						 .session = caller->session,
						 .path = wish->path,
						 .path_size = wish->path ? strlen(wish->path) : 0,
						 .version = wish->version,
						 .rule = wish->rule,
						 .facts = requester_facts(caller),
						 .result = result,
						 .note = note,
					 });
}

enum mortise_status request_credential(struct agent *agent, struct caller *caller,
	const struct credential_address *address, struct secret **out_value,
	char out_why[CREDENTIAL_WHY_SIZE])
{
	char why[CREDENTIAL_WHY_SIZE] = "";
	struct wish wish = {.agent = agent,
		.caller = caller,
		.address = address,
		.now = clock_now(),
		.why = why};
	enum mortise_status status = judge(&wish, out_value);

	put_on_record(&wish, status);
	if (status != MORTISE_OK)
		memcpy(out_why, why, sizeof why);
	return status;
}

#define RANDOM_DIGITS 16 /* at most: leading zeros are left out */

/* A file's name that may also be a descriptor's (systemd's credential_name_valid). */
static bool is_id(const char *id, size_t size)
{
	if (size == 0 || (id[0] == '.' && (size == 1 || (size == 2 && id[1] == '.'))))
		return false;
	for (size_t i = 0; i < size; i++)
		if (id[i] < ' ' || id[i] > '~' || id[i] == '/' || id[i] == ':')
			return false;
	return true;
}

static size_t count_digits(const char *text, const char *end)
{
	size_t count = 0;

	while (text + count < end && text[count] != '\0' && strchr("0123456789abcdef", text[count]))
		count++;
	return count;
}

enum mortise_status credential_address_read(
	const struct sockaddr_un *address, socklen_t size, struct credential_address *out_address)
{
	static const char middle[] = "/unit/";
	const size_t start = offsetof(struct sockaddr_un, sun_path), skip = sizeof middle - 1;
	const char *at = address->sun_path + 1, *end, *slash;
	size_t digits;

	if (address->sun_family != AF_UNIX || size <= start + 1 || size > sizeof *address ||
		address->sun_path[0] != '\0')
		return MORTISE_REJECTED;
	end = address->sun_path + (size - start);
	digits = count_digits(at, end);
	at += digits;
	if (digits == 0 || digits > RANDOM_DIGITS || (size_t)(end - at) <= skip ||
		memcmp(at, middle, skip) != 0)
		return MORTISE_REJECTED;
	at += skip;
	slash = memchr(at, '/', (size_t)(end - at));
	if (!slash || !unit_name_is_valid(at, (size_t)(slash - at)) ||
		!is_id(slash + 1, (size_t)(end - slash - 1)))
		return MORTISE_REJECTED;
	*out_address = (struct credential_address){{0}, {0}};
	memcpy(out_address->unit, at, (size_t)(slash - at));
	memcpy(out_address->id, slash + 1, (size_t)(end - slash - 1));
	return MORTISE_OK;
}
