/* SPDX-License-Identifier: ISC */
/*
 * policy_values: the values of a rule's keys, into the draft of that rule.
 * Private to policy_parse.c. Each function takes an entry of the current section, whose
 * value's words are what its name says; MORTISE_REJECTED with error, or MORTISE_BUSY.
 */
#ifndef MORTISE_POLICY_VALUES_H
#define MORTISE_POLICY_VALUES_H

#include "inifile.h"
#include "policy_rules.h"

struct place {
	unsigned line, column; /* line 0: nowhere */
};

enum section { SECTION_RULE, SECTION_CREDENTIAL, SECTION_QUOTA };
#define SECTIONS 3

/* What a section said so far; it is complete when the next header or the file's end comes. */
struct draft {
	const struct origin *origin; /* NULL: no rule begun */
	struct rule rule;
	enum section section;
	struct quota quota;                           /* but for its rule */
	const char *id;                               /* of a credential; NULL: its title */
	struct condition conditions[ATTRIBUTE_COUNT]; /* value_count 0: not said */
	struct place nobody;                          /* where the rule names nobody */
};

struct parsing {
	struct policy *policy;
	const char *file; /* its name, kept by the policy */
	struct draft draft;
	void *titles[SECTIONS]; /* trees of struct origin, see tsearch(3) */
	void *names;            /* and of struct name */
};

/* What makes a rule, a credential or a quota complete; the last is judged in policy_quota.c. */
typedef enum mortise_status policy_check_draft(
	const struct draft *draft, struct inifile_error *error) MUST_USE;
policy_check_draft policy_check_quota;

typedef enum mortise_status policy_values_read(struct parsing *parsing,
	const struct inifile_entry *entry, struct inifile_error *error) MUST_USE;

policy_values_read policy_values_verbs, policy_values_accounts;
policy_values_read policy_values_secret, policy_values_fact;
policy_values_read policy_values_hours, policy_values_days, policy_values_expires,
	policy_values_rate;
policy_values_read policy_values_credential_secret, policy_values_credential_id;
policy_values_read policy_values_quota_size, policy_values_quota_secrets;

/* One of the words of a value. */
struct word {
	const char *at;
	int size;
	unsigned column;
};

/* Starts with a word of zeros. */
bool policy_values_next(const struct inifile_entry *entry, struct word *word);

/* "expected ..., not '...'" */
enum mortise_status policy_values_refuse(const struct inifile_entry *entry, const struct word *word,
	const char *expected, struct inifile_error *error) MUST_USE;

/* The same of a value that may also be too long: then that is what is said. */
enum mortise_status policy_values_refuse_one(const struct inifile_entry *entry,
	const struct word *word, int most, const char *expected, struct inifile_error *error)
	MUST_USE;

/* At least one. */
enum mortise_status policy_values_count(const struct inifile_entry *entry, uint32_t *out_count,
	struct inifile_error *error) MUST_USE;

/* Exactly one, for a key that takes no more. */
enum mortise_status policy_values_one(const struct inifile_entry *entry, struct word *out_word,
	struct inifile_error *error) MUST_USE;

/* The draft's condition, told where it stands. */
struct condition *policy_values_condition(
	struct parsing *parsing, const struct inifile_entry *entry, enum attribute attribute);

#endif
