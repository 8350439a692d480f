/* SPDX-License-Identifier: ISC */
/* policy_text: parts of a compiled rule in words. Private to this folder. */
#ifndef MORTISE_POLICY_TEXT_H
#define MORTISE_POLICY_TEXT_H

#include <stdio.h>

#include "policy_rules.h"

/* A text that grows; begin, print to file, end. */
struct text {
	FILE *file;
	char *at; /* after text_end(); free(3) it */
	size_t size;
};

enum mortise_status text_begin(struct text *text) MUST_USE;
/* MORTISE_BUSY without memory; then there is nothing to free. */
enum mortise_status text_end(struct text *text) MUST_USE;
/* For CLEANUP; also of a text that was never ended. */
void text_drop(struct text *text);

/* "read list" */
void text_verbs(FILE *file, unsigned verbs);

/* The values, as in a rule; ids by name where the policy has one. */
void text_values(FILE *file, const struct policy *policy, const struct condition *condition);

/*
 * Whom a rule is about, by the first of its attributes that says: "backup", "uid 34",
 * "group dba", "unit a.service", "label ...", "socket ...", "exe ...", "everybody".
 */
void text_principal(FILE *file, const struct policy *policy, const struct rule *rule);

/*
 * "group dba, hours 02:30-04:30, at most 20/h": all but secret and that first attribute. False
 * if that is nothing.
 */
bool text_conditions(FILE *file, const struct policy *policy, const struct rule *rule);

/* All that a rule says but its name, alike for rules that say the same. */
void text_canonical(FILE *file, const struct policy *policy, const struct rule *rule);

/* The attribute of text_principal(); ATTRIBUTE_COUNT for everybody. */
enum attribute rule_principal(const struct rule *rule);

/* A rule's copy with one of the principal's values, and with one pattern (NULL: all). */
struct narrowed {
	struct rule rule;
	struct condition conditions[ATTRIBUTE_COUNT + 1];
};

void rule_narrow(const struct rule *rule, uint32_t value, const char *pattern,
	struct narrowed *out_narrowed);

/* How many values the principal has, at least 1. */
uint32_t rule_principal_count(const struct rule *rule);

#endif
