/* SPDX-License-Identifier: ISC */
#include "policy_rules.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_BLOCK_SIZE 65536

struct arena_block {
	struct arena_block *next;
	size_t size, used;
	alignas(max_align_t) unsigned char bytes[];
};

bool id_is_nobody(uint32_t id)
{
	return id == ID_OVERFLOW || id == ID_INVALID;
}

int id_compare(const void *left, const void *right)
{
	const uint32_t *a = left, *b = right;

	return (*a > *b) - (*a < *b);
}

void *policy_keep(struct policy *policy, size_t size)
{
	struct arena_block *block = policy->arena;
	size_t rounded = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
	void *room;

	if (block == NULL || block->size - block->used < rounded) {
		size_t block_size = rounded > ARENA_BLOCK_SIZE ? rounded : ARENA_BLOCK_SIZE;

		block = calloc(1, sizeof *block + block_size);
		if (block == NULL)
			return NULL;
		block->size = block_size;
		block->next = policy->arena;
		policy->arena = block;
	}
	room = block->bytes + block->used;
	block->used += rounded;
	return room;
}

const char *policy_keep_text(struct policy *policy, const char *text, size_t size)
{
	char *copy = policy_keep(policy, size + 1);

	if (copy != NULL)
		memcpy(copy, text, size);
	return copy;
}

void *policy_grow(void *items, size_t count, size_t *capacity, size_t size)
{
	size_t wanted = count < 32 ? 32 : 2 * count;
	void *grown;

	if (count < *capacity)
		return items;
	grown = reallocarray(items, wanted, size);
	if (grown != NULL)
		*capacity = wanted;
	return grown;
}

size_t policy_name_count(const struct policy *policy)
{
	return policy->name_count;
}

struct policy_name policy_name_at(const struct policy *policy, size_t index)
{
	return policy->names[index]->seen;
}

void policy_pin(struct policy *policy, size_t index, uint32_t id)
{
	if (index >= policy->name_count)
		return;
	policy->names[index]->id = id;
	policy->names[index]->is_pinned = true;
}

size_t policy_rule_count(const struct policy *policy)
{
	return policy->rule_count;
}

struct condition *rule_condition(const struct rule *rule, enum attribute attribute)
{
	for (uint16_t i = 0; i < rule->condition_count; i++)
		if (rule->conditions[i].attribute == attribute)
			return &rule->conditions[i];
	return NULL;
}

static void clear_index(struct id_index *index)
{
	free(index->entries);
	free(index->slots);
	*index = (struct id_index){0};
}

void policy_drop_index(struct policy *policy)
{
	clear_index(&policy->by_user);
	clear_index(&policy->by_group);
	free(policy->for_all);
	policy->for_all = NULL;
	policy->for_all_count = 0;
}

void policy_free(struct policy *policy)
{
	if (policy == NULL)
		return;
	while (policy->arena != NULL) {
		struct arena_block *block = policy->arena;

		policy->arena = block->next;
		free(block);
	}
	policy_drop_index(policy);
	free(policy->names);
	free(policy->rules);
	free(policy);
}
