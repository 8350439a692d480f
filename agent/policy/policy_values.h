/* SPDX-License-Identifier: ISC */
/*
 * policy_values: the values of a rule's keys, into the draft of that rule.
 * Private to policy_parse.c. Each function takes an entry of the current rule, whose value's
 * words are verbs, patterns or accounts; MORTISE_REJECTED with error, or MORTISE_BUSY.
 */
#ifndef MORTISE_POLICY_VALUES_H
#define MORTISE_POLICY_VALUES_H

#include "inifile.h"
#include "policy_rules.h"

struct place {
	unsigned line, column; /* line 0: nowhere */
};

/* What a rule said so far; it is complete when the next header or the file's end comes. */
struct draft {
	const struct origin *origin; /* NULL: no rule begun */
	struct rule rule;
	struct condition conditions[ATTRIBUTE_COUNT]; /* value_count 0: not said */
	struct place nobody;                          /* where the rule names nobody */
};

struct parsing {
	struct policy *policy;
	const char *file; /* its name, kept by the policy */
	struct draft draft;
	void *titles, *names; /* trees of struct origin and struct name, see tsearch(3) */
};

enum mortise_status policy_values_verbs(struct parsing *parsing, const struct inifile_entry *entry,
	struct inifile_error *error) MUST_USE;
enum mortise_status policy_values_secret(struct parsing *parsing, const struct inifile_entry *entry,
	struct inifile_error *error) MUST_USE;
enum mortise_status policy_values_accounts(struct parsing *parsing,
	const struct inifile_entry *entry, struct inifile_error *error) MUST_USE;

#endif
