/* SPDX-License-Identifier: ISC */
#include "policy_lookup.h"

#include <stdlib.h>
#include <string.h>

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
	TRY(wire_number(&fields, WIRE_TAG_STATUS, &status));
	if (status != MORTISE_OK) {
		out_found->status = status == MORTISE_NOT_FOUND ? MORTISE_NOT_FOUND : MORTISE_IO;
		return MORTISE_OK;
	}
	if (wire_number(&fields, WIRE_TAG_NUMBER, &id) != MORTISE_OK || id >= UINT32_MAX)
		return MORTISE_IO;
	*out_found = (struct looked_up){MORTISE_OK, (uint32_t)id};
	return MORTISE_OK;
}

/* The answer's items are in the order of the batch. */
static enum mortise_status take_batch(
	struct policy_lookup *lookup, const struct wire_message *answer)
{
	struct wire_list list = wire_list_of(answer, WIRE_TAG_ITEMS);

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
	size_t list =
		wire_list_begin(writer, kind == POLICY_USER ? WIRE_TAG_USERS : WIRE_TAG_GROUPS);

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

void policy_lookup_abandon(struct policy_lookup *lookup)
{
	if (lookup)
		lookup->policy = NULL;
}
