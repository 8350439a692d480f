/* SPDX-License-Identifier: ISC */
#include "policy_index.h"

#include <stdlib.h>
#include <string.h>

#include "array.h"

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
	if (!index->slots)
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

enum attribute policy_index_key(const struct rule *rule)
{
	enum attribute found = ATTRIBUTE_COUNT;

	for (unsigned i = ATTRIBUTE_USER; i < ATTRIBUTE_FACTS_END; i++) {
		const struct fact_row *row = fact_row((enum attribute)i);

		if (!rule_condition(rule, (enum attribute)i))
			continue;
		if (!row || row->shared[0] != '\0')
			return (enum attribute)i;
		if (found == ATTRIBUTE_COUNT)
			found = (enum attribute)i;
	}
	return found;
}

/* FNV-1a; who chooses the texts is who may change the policy. */
static uint32_t hash(const char *text, size_t size, char end)
{
	uint32_t value = UINT32_C(2166136261);

	for (size_t i = 0; i < size; i++)
		value = (value ^ (unsigned char)text[i]) * UINT32_C(16777619);
	return (value ^ (unsigned char)end) * UINT32_C(16777619);
}

/* A pattern goes by what stands before its '@', and a star. */
static uint32_t hash_value(const char *value)
{
	if (!strchr(value, '*'))
		return hash(value, strlen(value), '\0');
	return hash(value, strcspn(value, "@"), '*');
}

static enum mortise_status add_entry(struct id_index *index, uint32_t id, uint32_t rule)
{
	struct id_entry *entries = array_room(index->entries, index->entry_count, sizeof *entries);

	if (!entries)
		return MORTISE_BUSY;
	index->entries = entries;
	entries[index->entry_count++] = (struct id_entry){id, rule};
	return MORTISE_OK;
}

static enum mortise_status add_to(struct rule_list *list, uint32_t rule)
{
	uint32_t *rules = array_room(list->rules, list->count, sizeof *rules);

	if (!rules)
		return MORTISE_BUSY;
	list->rules = rules;
	rules[list->count++] = rule;
	return MORTISE_OK;
}

static enum mortise_status enter(struct policy *policy, uint32_t number)
{
	const struct rule *rule = &policy->rules[number];
	enum attribute key = policy_index_key(rule);
	const struct condition *condition;
	const char *text = NULL;

	for (uint8_t i = 0; i < rule->condition_count; i++)
		policy->has_facts |= (1u << rule->conditions[i].attribute & SUBJECT_FACTS) != 0;
	if (key == ATTRIBUTE_COUNT)
		return add_to(&policy->for_all, number);
	condition = rule_condition(rule, key);
	for (uint32_t i = 0; i < condition->value_count; i++) {
		uint32_t id;

		if (key == ATTRIBUTE_USER || key == ATTRIBUTE_GROUP)
			id = condition->ids[i];
		else
			id = hash_value(text = condition_text(condition, text));
		TRY(add_entry(&policy->by[key], id, number));
	}
	return rule->is_deny ? add_to(&policy->denies_by[key], number) : MORTISE_OK;
}

enum mortise_status policy_index_build(struct policy *policy)
{
	for (size_t i = 0; i < policy->rule_count; i++)
		TRY(enter(policy, (uint32_t)i));
	for (size_t i = 0; i < ATTRIBUTE_COUNT; i++) {
		struct id_index *index = &policy->by[i];

		if (index->entry_count == 0)
			continue;
		qsort(index->entries, index->entry_count, sizeof *index->entries, compare_entries);
		TRY(fill_slots(index));
	}
	return MORTISE_OK;
}

void policy_index_drop(struct policy *policy)
{
	for (size_t i = 0; i < ATTRIBUTE_COUNT; i++) {
		free(policy->by[i].entries);
		free(policy->by[i].slots);
		free(policy->denies_by[i].rules);
		policy->by[i] = (struct id_index){0};
		policy->denies_by[i] = (struct rule_list){0};
	}
	free(policy->for_all.rules);
	policy->for_all = (struct rule_list){0};
}

void policy_index_find_id(const struct policy *policy, enum attribute attribute, uint32_t id,
	policy_index_visit *visit, void *context)
{
	const struct id_index *index = &policy->by[attribute];

	if (index->entry_count == 0)
		return;
	for (size_t i = index->slots[find_slot(index, id)];
		i < index->entry_count && index->entries[i].id == id; i++)
		visit(context, index->entries[i].rule);
}

static void find_name(const struct policy *policy, enum attribute attribute, const char *name,
	size_t size, policy_index_visit *visit, void *context)
{
	const char *at = memchr(name, '@', size);

	policy_index_find_id(policy, attribute, hash(name, size, '\0'), visit, context);
	if (at && fact_row(attribute)->has_patterns)
		policy_index_find_id(
			policy, attribute, hash(name, (size_t)(at - name), '*'), visit, context);
}

void policy_index_find_text(const struct policy *policy, enum attribute attribute,
	const char *names, policy_index_visit *visit, void *context)
{
	bool is_one = fact_row(attribute)->is_single;

	if (policy->by[attribute].entry_count == 0)
		return;
	while (*names != '\0') {
		size_t size = is_one ? strlen(names) : strcspn(names, " ");

		find_name(policy, attribute, names, size, visit, context);
		names += size + (names[size] == ' ');
	}
}

static void find_list(const struct rule_list *list, policy_index_visit *visit, void *context)
{
	for (size_t i = 0; i < list->count; i++)
		visit(context, list->rules[i]);
}

static void find_fact(const struct policy *policy, const struct subject *subject,
	enum attribute attribute, policy_index_visit *visit, void *context)
{
	const struct fact *fact = subject_fact(subject, attribute);

	if (fact->state == FACT_KNOWN)
		policy_index_find_text(policy, attribute, fact->text, visit, context);
	else
		find_list(&policy->denies_by[attribute], visit, context);
}

void policy_index_find(const struct policy *policy, const struct subject *subject,
	policy_index_visit *visit, void *context)
{
	find_list(&policy->for_all, visit, context);
	policy_index_find_id(policy, ATTRIBUTE_USER, subject->uid, visit, context);
	for (size_t i = 0; i < subject->group_count; i++)
		policy_index_find_id(policy, ATTRIBUTE_GROUP, subject->groups[i], visit, context);
	if (subject->group_count == 0)
		find_list(&policy->denies_by[ATTRIBUTE_GROUP], visit, context);
	for (unsigned i = ATTRIBUTE_FACTS; i < ATTRIBUTE_FACTS_END; i++)
		find_fact(policy, subject, (enum attribute)i, visit, context);
}

/* What covers a rule is found by one value of each of its attributes, or is for all. */
void policy_index_find_covering(const struct policy *policy, const struct rule *rule,
	policy_index_visit *visit, void *context)
{
	find_list(&policy->for_all, visit, context);
	for (uint8_t i = 0; i < rule->condition_count; i++) {
		const struct condition *condition = &rule->conditions[i];

		if (condition->attribute == ATTRIBUTE_USER ||
			condition->attribute == ATTRIBUTE_GROUP)
			policy_index_find_id(
				policy, condition->attribute, condition->ids[0], visit, context);
		else if (fact_row(condition->attribute))
			policy_index_find_text(
				policy, condition->attribute, condition->texts, visit, context);
	}
}
