/* SPDX-License-Identifier: ISC */
/* From names to ids, and the index by which a decision finds the few rules it needs. */
#include "policy_rules.h"

#include <stdlib.h>

#include "inifile.h"

static const char *kind_text(enum policy_name_kind kind)
{
	return kind == POLICY_USER ? "user" : "group";
}

static enum mortise_status refuse_unpinned(
	const struct policy_name *seen, struct policy_error *out_error)
{
	struct inifile_error error;
	enum mortise_status status = inifile_refuse(&error, seen->line, seen->column,
		"no such %s '%.200s'", kind_text(seen->kind), seen->name);

	inifile_describe(seen->file, &error, out_error->text, sizeof out_error->text);
	return status;
}

static enum mortise_status refuse_nobody(
	const struct origin *origin, const struct name *name, struct policy_error *out_error)
{
	struct inifile_error error;
	enum mortise_status status = inifile_refuse(&error, origin->line, origin->column,
		"rule '%s' allows %s '%.100s', whose id %u is nobody's", origin->title,
		kind_text(name->seen.kind), name->seen.name, name->id);

	inifile_describe(origin->file, &error, out_error->text, sizeof out_error->text);
	return status;
}

static enum mortise_status check_names(const struct policy *policy, struct policy_error *out_error)
{
	for (size_t i = 0; i < policy->name_count; i++)
		if (!policy->names[i]->is_pinned)
			return refuse_unpinned(&policy->names[i]->seen, out_error);
	return MORTISE_OK;
}

/* Ids that were written as numbers were checked where they stand. */
static enum mortise_status check_nobody(const struct policy *policy, const struct origin *origin,
	const struct condition *condition, struct policy_error *out_error)
{
	for (uint32_t i = 0; i < condition->unpinned_count; i++) {
		const struct name *name = policy->names[condition->ids[i]];

		if (id_is_nobody(name->id))
			return refuse_nobody(origin, name, out_error);
	}
	return MORTISE_OK;
}

static enum mortise_status check_rules(const struct policy *policy, struct policy_error *out_error)
{
	for (size_t i = 0; i < policy->rule_count; i++) {
		const struct rule *rule = &policy->rules[i];

		if (rule->is_deny)
			continue;
		for (uint16_t j = 0; j < rule->condition_count; j++)
			TRY(check_nobody(policy, rule->origin, &rule->conditions[j], out_error));
	}
	return MORTISE_OK;
}

static void pin_condition(const struct policy *policy, struct condition *condition)
{
	if (condition == NULL)
		return;
	for (uint32_t i = 0; i < condition->unpinned_count; i++)
		condition->ids[i] = policy->names[condition->ids[i]]->id;
	condition->unpinned_count = 0;
	qsort(condition->ids, condition->value_count, sizeof(uint32_t), id_compare);
}

static int compare_entries(const void *left, const void *right)
{
	const struct id_entry *a = left, *b = right;

	if (a->id != b->id)
		return a->id < b->id ? -1 : 1;
	return (a->rule > b->rule) - (a->rule < b->rule);
}

/* Multiplying by 2^32 over the golden ratio spreads ids that follow one another. */
static size_t slot_of(const struct id_index *index, uint32_t id)
{
	return (uint32_t)(id * UINT32_C(2654435769)) >> (32 - index->slot_bits);
}

/* The slot that holds id's first entry, or else the empty one where that would go. */
static size_t find_slot(const struct id_index *index, uint32_t id)
{
	size_t mask = ((size_t)1 << index->slot_bits) - 1;
	size_t slot = slot_of(index, id);

	while (index->slots[slot] < index->entry_count &&
		index->entries[index->slots[slot]].id != id)
		slot = (slot + 1) & mask;
	return slot;
}

size_t id_index_find(const struct id_index *index, uint32_t id)
{
	return index->entry_count == 0 ? 0 : index->slots[find_slot(index, id)];
}

static size_t count_ids(const struct id_index *index)
{
	size_t count = 0;

	for (size_t i = 0; i < index->entry_count; i++)
		count += i == 0 || index->entries[i].id != index->entries[i - 1].id;
	return count;
}

/* At most half of the slots are taken, so that find_slot() ends, and soon. */
static enum mortise_status fill_slots(struct id_index *index)
{
	size_t id_count = count_ids(index);
	size_t slot_count;

	index->slot_bits = 1;
	while (((size_t)1 << index->slot_bits) < 2 * id_count)
		index->slot_bits++;
	slot_count = (size_t)1 << index->slot_bits;
	index->slots = reallocarray(NULL, slot_count, sizeof *index->slots);
	if (index->slots == NULL)
		return MORTISE_BUSY;
	for (size_t i = 0; i < slot_count; i++)
		index->slots[i] = (uint32_t)index->entry_count;
	for (size_t i = 0; i < index->entry_count; i++) {
		size_t slot = find_slot(index, index->entries[i].id);

		if (index->slots[slot] == index->entry_count)
			index->slots[slot] = (uint32_t)i;
	}
	return MORTISE_OK;
}

/* Where a rule is looked for: by user if it names one, else by group, else (NULL) always. */
static const struct condition *key_of(
	struct policy *policy, const struct rule *rule, struct id_index **out_index)
{
	const struct condition *user = rule_condition(rule, ATTRIBUTE_USER);

	*out_index = user != NULL ? &policy->by_user : &policy->by_group;
	return user != NULL ? user : rule_condition(rule, ATTRIBUTE_GROUP);
}

static void enter(struct policy *policy, uint32_t number)
{
	struct id_index *index;
	const struct condition *key = key_of(policy, &policy->rules[number], &index);

	if (key == NULL) {
		policy->for_all[policy->for_all_count++] = number;
		return;
	}
	for (uint32_t i = 0; i < key->value_count; i++)
		index->entries[index->entry_count++] =
			(struct id_entry){.id = key->ids[i], .rule = number};
}

static enum mortise_status make_room(struct policy *policy)
{
	size_t for_all = 0, in_index[2] = {0, 0};

	for (size_t i = 0; i < policy->rule_count; i++) {
		struct id_index *index;
		const struct condition *key = key_of(policy, &policy->rules[i], &index);

		if (key == NULL)
			for_all++;
		else
			in_index[index == &policy->by_group] += key->value_count;
	}
	policy->for_all = calloc(for_all + 1, sizeof *policy->for_all);
	policy->by_user.entries = calloc(in_index[0] + 1, sizeof(struct id_entry));
	policy->by_group.entries = calloc(in_index[1] + 1, sizeof(struct id_entry));
	if (policy->for_all == NULL || policy->by_user.entries == NULL ||
		policy->by_group.entries == NULL)
		return MORTISE_BUSY;
	return MORTISE_OK;
}

static enum mortise_status finish_index(struct id_index *index)
{
	qsort(index->entries, index->entry_count, sizeof *index->entries, compare_entries);
	return fill_slots(index);
}

enum mortise_status policy_compile(struct policy *policy, struct policy_error *out_error)
{
	TRY(check_names(policy, out_error));
	TRY(check_rules(policy, out_error));
	policy_drop_index(policy);
	TRY(make_room(policy));
	for (size_t i = 0; i < policy->rule_count; i++) {
		pin_condition(policy, rule_condition(&policy->rules[i], ATTRIBUTE_USER));
		pin_condition(policy, rule_condition(&policy->rules[i], ATTRIBUTE_GROUP));
		enter(policy, (uint32_t)i);
	}
	TRY(finish_index(&policy->by_user));
	return finish_index(&policy->by_group);
}
