/* SPDX-License-Identifier: ISC */
/*
 * policy_rules: what policy_parse.c builds and policy.c decides by. Nobody else includes it.
 * A rule is verbs and a short list of conditions, all of which must hold; a further
 * attribute is one more kind of condition.
 */
#ifndef MORTISE_POLICY_RULES_H
#define MORTISE_POLICY_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy.h"

#define ID_OVERFLOW 65534u
#define ID_INVALID  UINT32_MAX

enum attribute { ATTRIBUTE_SECRET, ATTRIBUTE_USER, ATTRIBUTE_GROUP, ATTRIBUTE_COUNT };

struct condition {
	enum attribute attribute;
	uint32_t value_count;
	/*
	 * Before policy_compile() so many of ids, the first ones, are numbers of names;
	 * afterwards all are ids, in ascending order.
	 */
	uint32_t unpinned_count;
	union {
		const char *patterns; /* one after the other, each with its NUL */
		uint32_t *ids;
	};
};

struct origin {
	const char *title, *file;
	unsigned line, column;
};

struct rule {
	const struct origin *origin;
	struct condition *conditions;
	uint16_t condition_count;
	uint8_t verbs;
	bool is_deny;
};

struct name {
	struct policy_name seen;
	uint32_t number; /* its place among the policy's names */
	uint32_t id;
	bool is_pinned;
};

struct arena_block;

/* Finds the rules that name an id: a hash table over entries sorted by id, then by rule. */
struct id_index {
	struct id_entry {
		uint32_t id, rule;
	} * entries;
	size_t entry_count;
	uint32_t *slots; /* numbers of entries, 1 << slot_bits of them */
	unsigned slot_bits;
};

struct policy {
	struct arena_block *arena; /* all strings, conditions, origins and names */
	struct rule *rules;
	size_t rule_count, rule_capacity;
	struct name **names;
	size_t name_count, name_capacity;
	struct id_index by_user;  /* rules with a user */
	struct id_index by_group; /* rules with a group and no user */
	uint32_t *for_all;        /* rules with neither, ascending */
	size_t for_all_count;
};

/* size bytes of zeros for the policy's life, aligned for anything; NULL without memory. */
void *policy_keep(struct policy *policy, size_t size);

/* A copy of size bytes and a NUL, likewise. */
const char *policy_keep_text(struct policy *policy, const char *text, size_t size);

/*
 * Makes room for one more item of size bytes behind count: items, perhaps elsewhere, or NULL
 * without memory, and then they stay where they were.
 */
void *policy_grow(void *items, size_t count, size_t *capacity, size_t size) MUST_USE;

/* Frees what policy_compile() built. */
void policy_drop_index(struct policy *policy);

/* The rule's condition of that kind, or NULL. */
struct condition *rule_condition(const struct rule *rule, enum attribute attribute);

/* The number of the first entry for id; entry_count if there is none. */
size_t id_index_find(const struct id_index *index, uint32_t id);

bool id_is_nobody(uint32_t id);

/* For qsort and bsearch over uint32_t. */
int id_compare(const void *left, const void *right);

#endif
