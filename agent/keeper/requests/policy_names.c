/* SPDX-License-Identifier: ISC */
#include "policy_names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "log.h"
#include "processes.h"

#define BATCH_MAX 64 /* names asked of the monitor at once */

struct policy_lookup {
	struct monitor_link *monitor;
	const struct policy *policy; /* NULL: abandoned */
	policy_lookup_done *done;
	void *context;
	struct looked_up *found; /* by name */
	size_t asked;            /* names before this one are known */
	size_t batch[BATCH_MAX];
	size_t batch_size;
};

static void lookup_free(struct policy_lookup *lookup)
{
	free(lookup->found);
	free(lookup);
}

static enum mortise_status take_item(struct wire_list *list, struct looked_up *out_found)
{
	struct wire_message fields;
	struct wire_field item;
	uint64_t status = 0, id = 0;

	if (!wire_list_next(list, &item) ||
		wire_parse_fields(item.bytes, item.size, &fields) != MORTISE_OK)
		return MORTISE_IO;
	TRY(wire_number(&fields, PROCESS_TAG_STATUS, &status));
	if (status != MORTISE_OK) {
		out_found->status = status == MORTISE_NOT_FOUND ? MORTISE_NOT_FOUND : MORTISE_IO;
		return MORTISE_OK;
	}
	if (wire_number(&fields, PROCESS_TAG_NUMBER, &id) != MORTISE_OK || id >= UINT32_MAX)
		return MORTISE_IO;
	*out_found = (struct looked_up){MORTISE_OK, (uint32_t)id};
	return MORTISE_OK;
}

/* The answer's items are in the order of the batch. */
static enum mortise_status take_batch(
	struct policy_lookup *lookup, const struct wire_message *answer)
{
	struct wire_list list = wire_list_of(answer, PROCESS_TAG_ITEMS);

	for (size_t i = 0; i < lookup->batch_size; i++)
		if (take_item(&list, &lookup->found[lookup->batch[i]]) != MORTISE_OK)
			return MORTISE_IO;
	return MORTISE_OK;
}

static enum mortise_status ask(struct policy_lookup *lookup);

/* Where a whole batch has no answer, the rest is not asked for: nothing is known of it. */
static void on_names(void *context, const struct wire_message *answer, int descriptor)
{
	struct policy_lookup *lookup = context;

	(void)descriptor;
	if (!lookup->policy) {
		lookup_free(lookup);
		return;
	}
	if (answer && answer->code == MORTISE_OK && take_batch(lookup, answer) == MORTISE_OK &&
		lookup->asked < policy_name_count(lookup->policy) && ask(lookup) == MORTISE_OK)
		return;
	lookup->done(lookup->context, lookup->found);
	lookup_free(lookup);
}

/* Puts the batch's names of one kind. */
static void put_names(struct policy_lookup *lookup, struct wire_writer *writer,
	enum policy_name_kind kind, size_t last)
{
	size_t list = wire_list_begin(
		writer, kind == POLICY_USER ? PROCESS_TAG_USERS : PROCESS_TAG_GROUPS);

	for (size_t i = lookup->asked; i < last; i++) {
		struct policy_name name = policy_name_at(lookup->policy, i);
		if (name.kind != kind)
			continue;
		wire_item_put(writer, name.name, strlen(name.name));
		lookup->batch[lookup->batch_size++] = i;
	}
	wire_list_end(writer, list);
}

static enum mortise_status ask(struct policy_lookup *lookup)
{
	struct wire_writer *writer = monitor_begin(lookup->monitor, PROCESS_RESOLVE);
	size_t left = policy_name_count(lookup->policy) - lookup->asked;
	size_t last = lookup->asked + (left > BATCH_MAX ? BATCH_MAX : left);

	lookup->batch_size = 0;
	put_names(lookup, writer, POLICY_USER, last);
	put_names(lookup, writer, POLICY_GROUP, last);
	lookup->asked = last;
	return monitor_ask(lookup->monitor, MONITOR_ANSWER_LIMIT_S, on_names, lookup);
}

enum mortise_status policy_lookup_start(struct monitor_link *monitor, const struct policy *policy,
	policy_lookup_done *done, void *context, struct policy_lookup **out_lookup)
{
	size_t count = policy_name_count(policy);
	struct policy_lookup *lookup = calloc(1, sizeof *lookup);

	if (!lookup)
		return MORTISE_BUSY;
	*lookup = (struct policy_lookup){.monitor = monitor,
		.policy = policy,
		.done = done,
		.context = context,
		.found = calloc(count + 1, sizeof *lookup->found)};
	for (size_t i = 0; lookup->found && i < count; i++)
		lookup->found[i].status = MORTISE_IO;
	enum mortise_status status = lookup->found ? ask(lookup) : MORTISE_BUSY;
	if (status != MORTISE_OK) {
		lookup_free(lookup);
		return status;
	}
	*out_lookup = lookup;
	return MORTISE_OK;
}

/* The policy goes: nobody is told any more. Not from within done(); NULL is allowed. */
static void policy_lookup_abandon(struct policy_lookup *lookup)
{
	if (lookup)
		lookup->policy = NULL;
}

#define PERIOD_MS 600000
#define RETRY_MS  10000 /* where the monitor has no time to be asked */
#define NAMES_MAX 8     /* told by name */

void policy_names_watch(struct policy_names *names, struct policy *policy, bool is_fresh)
{
	*names = (struct policy_names){
		.policy = policy, .due_ms = is_fresh ? clock_steady_us() / 1000 + PERIOD_MS : 0};
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
	uint64_t now = clock_steady_us() / 1000;

	if (!names->policy || names->lookup || now < names->due_ms)
		return;
	names->due_ms = now + PERIOD_MS;
	if (policy_name_count(names->policy) == 0)
		return;
	if (policy_lookup_start(monitor, names->policy, on_found, names, &names->lookup) !=
		MORTISE_OK)
		names->due_ms = now + RETRY_MS;
}
