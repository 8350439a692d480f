/* SPDX-License-Identifier: ISC */
/* policy_index: finds the few rules that may concern a subject. Private to this folder. */
#ifndef MORTISE_POLICY_INDEX_H
#define MORTISE_POLICY_INDEX_H

#include "policy_rules.h"

/* Called with each rule; a rule may come more than once. */
typedef void policy_index_visit(void *context, uint32_t rule);

/* Enters all rules, whose ids are known. What a failure leaves is dropped with the policy. */
enum mortise_status policy_index_build(struct policy *policy) MUST_USE;
void policy_index_drop(struct policy *policy);

/* The attribute by which a rule is found; ATTRIBUTE_COUNT for for_all. */
enum attribute policy_index_key(const struct rule *rule);

/* Rules that have id among the values of user or group. */
void policy_index_find_id(const struct policy *policy, enum attribute attribute, uint32_t id,
	policy_index_visit *visit, void *context);

/*
 * Rules that may have one of the names (joined by blanks, unless the fact is a single one) among
 * the texts of that fact.
 */
void policy_index_find_text(const struct policy *policy, enum attribute attribute,
	const char *names, policy_index_visit *visit, void *context);

/* All rules that may match the subject, and those it has no ids and facts for. */
void policy_index_find(const struct policy *policy, const struct subject *subject,
	policy_index_visit *visit, void *context);

/* All rules that may cover the given one, which need not be of this policy. */
void policy_index_find_covering(const struct policy *policy, const struct rule *rule,
	policy_index_visit *visit, void *context);

#endif
