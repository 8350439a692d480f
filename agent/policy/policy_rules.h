/* SPDX-License-Identifier: ISC */
/*
 * policy_rules: what policy_parse.c builds and policy.c decides by. Only this folder sees it.
 * A rule is verbs and a short list of conditions, all of which must hold; a further
 * attribute is one more kind of condition.
 */
#ifndef MORTISE_POLICY_RULES_H
#define MORTISE_POLICY_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy.h"
#include "policy_when.h"

#define ID_OVERFLOW 65534u
#define ID_INVALID  UINT32_MAX
#define NO_RULE     UINT32_MAX

struct condition {
	enum attribute attribute;
	uint32_t value_count;
	/*
	 * Before policy_compile() so many of ids, the first ones, are numbers of names;
	 * afterwards all are ids, in ascending order.
	 */
	uint32_t unpinned_count;
	uint32_t name_count;
	uint32_t *names; /* numbers of the names among the values */
	unsigned line, column;
	union {
		const char *texts; /* secret, facts: one after the other, each with its NUL */
		uint32_t *ids;     /* user, group */
		struct hours *hours;
		uint8_t days;
		time_t expires;
	};
};

struct origin {
	const char *title, *file;
	unsigned line, column;
};

struct rule {
	const struct origin *origin;
	struct condition *conditions;
	struct rate_limit rate;
	uint8_t condition_count;
	uint8_t verbs;
	bool is_deny;
};

/* A [credential]: as a rule that allows reading, with the id it goes by. */
struct credential {
	struct rule rule;
	const char *id;
};

/* A [quota]: whose and which secrets count, as a rule says that. */
struct quota {
	struct rule rule;
	uint64_t size_max, secrets_max; /* 0: no bound */
};

struct name {
	struct policy_name seen;
	uint32_t number; /* its place among the policy's names */
	uint32_t id;
	bool is_pinned;
	enum policy_name_state state;
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

struct rule_list {
	uint32_t *rules; /* ascending */
	size_t count;
};

/*
 * Each rule is in one index, by the first of these attributes it has: user, group, a fact that
 * tells who it is, any other fact; and in for_all if it has none. Those by text are found by a hash
 * of the text; a deny besides by its attribute, for callers of whom that cannot be had.
 */
struct policy {
	struct arena_block *arena; /* all strings, conditions, origins and names */
	struct rule *rules;
	size_t rule_count;
	struct credential *credentials;
	size_t credential_count;
	struct quota *quotas;
	size_t quota_count;
	struct name **names;
	size_t name_count;
	struct id_index by[ATTRIBUTE_COUNT];
	struct rule_list denies_by[ATTRIBUTE_COUNT];
	struct rule_list for_all;
	bool has_facts; /* a rule asks for more than uid and groups */
	bool is_compiled;
};

/* size bytes of zeros for the policy's life, aligned for anything; NULL without memory. */
void *policy_keep(struct policy *policy, size_t size);

/* Frees all that was kept. */
void policy_keep_nothing(struct policy *policy);

/* A copy of size bytes and a NUL, likewise. */
const char *policy_keep_text(struct policy *policy, const char *text, size_t size);

/* The rule's condition of that kind, or NULL. */
struct condition *rule_condition(const struct rule *rule, enum attribute attribute);

/* Is one of the allow's names not what it was? Then out_name is the first such. */
bool rule_is_disabled(
	const struct policy *policy, const struct rule *rule, const struct name **out_name);

/* Does it count no more: its time is over, or a name disabled it? */
bool rule_is_over(const struct policy *policy, const struct rule *rule, time_t now);

/* The first text of the condition, then each next one. */
const char *condition_text(const struct condition *condition, const char *before);

bool id_is_nobody(uint32_t id);

/* For qsort and bsearch over uint32_t. */
int id_compare(const void *left, const void *right);

/* Whether a rule's conditions hold for a question. Private to this folder. */

struct question {
	const struct subject *subject;
	enum verb verb;
	const char *path;
	struct clock clock;
};

enum holding { HOLDS, FAILS, UNKNOWN };

/* UNKNOWN where the subject's ids or facts do not say, or the time is not known. */
enum holding condition_holds(
	const struct rule *rule, const struct condition *condition, struct question *question);

/* All conditions hold, and a deny's may be unknown. Names do not matter. */
bool rule_matches(const struct rule *rule, struct question *question);

bool texts_match_path(const struct condition *condition, const char *path);

#endif
