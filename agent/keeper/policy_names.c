/* SPDX-License-Identifier: ISC */
#include "policy_names.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "log.h"

#define PERIOD_MS 600000
#define RETRY_MS  10000 /* where the monitor has no time to be asked */
#define NAMES_MAX 8     /* told by name */

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void policy_names_watch(struct policy_names *names, struct policy *policy, bool is_fresh)
{
	*names = (struct policy_names){
		.policy = policy, .due_ms = is_fresh ? now_ms() + PERIOD_MS : 0};
}

void policy_names_forget(struct policy_names *names)
{
	policy_lookup_abandon(names->lookup);
	*names = (struct policy_names){.policy = NULL};
}

/* The disabled rules so far; several may have one name to blame. */
struct summary {
	size_t rules, names;
	const struct policy_name *told[NAMES_MAX];
	char text[768];
};

static void add_disabled(void *context, const struct policy_disabled *disabled)
{
	struct summary *summary = context;
	const struct policy_name *name = disabled->name;
	size_t used = strlen(summary->text), known = summary->names;

	summary->rules++;
	for (size_t i = 0; i < known && i < NAMES_MAX; i++)
		if (summary->told[i] == name)
			return;
	summary->names++;
	if (known > NAMES_MAX)
		return;
	if (known == NAMES_MAX) {
		snprintf(summary->text + used, sizeof summary->text - used, ", and more");
		return;
	}
	summary->told[known] = name;
	snprintf(summary->text + used, sizeof summary->text - used, "%s%s %.60s (%s)",
		known ? ", " : "", name->kind == POLICY_USER ? "user" : "group", name->name,
		disabled->state == POLICY_NAME_GONE ? "gone" : "another id now");
}

/* What is said once is said again when it changes, and when it is over. */
static void summarise(struct policy_names *names)
{
	struct summary summary = {.rules = 0};

	policy_disabled(names->policy, add_disabled, &summary);
	if (summary.rules != names->disabled_rules || strcmp(summary.text, names->text) != 0) {
		if (summary.rules)
			log_warning("names of the policy changed: %s; %zu %s disabled until the "
				    "policy is applied again",
				summary.text, summary.rules,
				summary.rules == 1 ? "rule is" : "rules are");
		else
			log_info("the policy's names mean again what they did: no rule is "
				 "disabled");
	}
	names->disabled_rules = summary.rules;
	memcpy(names->text, summary.text, sizeof names->text);
}

static void on_found(void *context, const struct looked_up *found)
{
	struct policy_names *names = context;

	names->lookup = NULL;
	for (size_t i = 0; i < policy_name_count(names->policy); i++) {
		uint32_t id = 0;
		if (found[i].status == MORTISE_NOT_FOUND)
			policy_name_became(names->policy, i, POLICY_NAME_GONE);
		else if (found[i].status == MORTISE_OK && policy_pinned(names->policy, i, &id))
			policy_name_became(names->policy, i,
				found[i].id == id ? POLICY_NAME_SAME : POLICY_NAME_CHANGED);
	}
	summarise(names);
}

void policy_names_upkeep(struct policy_names *names, struct monitor_link *monitor)
{
	uint64_t now = now_ms();

	if (!names->policy || names->lookup || now < names->due_ms)
		return;
	names->due_ms = now + PERIOD_MS;
	if (policy_name_count(names->policy) == 0)
		return;
	if (policy_lookup_start(monitor, names->policy, on_found, names, &names->lookup) !=
		MORTISE_OK)
		names->due_ms = now + RETRY_MS;
}
