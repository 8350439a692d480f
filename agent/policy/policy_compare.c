/* SPDX-License-Identifier: ISC */
/*
 * Two policies, taken apart into what each rule says of one principal and one pattern. Rules
 * that both have in the same words are left out at once.
 */
#include "policy_answers.h"

#include <stdlib.h>
#include <string.h>

#include "policy_cover.h"
#include "policy_index.h"
#include "policy_text.h"

#define COMPARISONS_MAX 2000000 /* half a second or so */

struct phrase {
	char *text; /* canonical */
	uint32_t rule;
};

struct phrases {
	const struct policy *policy;
	struct phrase *items; /* sorted by text */
	size_t count;
};

struct comparing {
	policy_change_visit *visit;
	void *context;
	size_t lines;
	unsigned long comparisons;
};

static void drop_phrases(struct phrases *phrases)
{
	for (size_t i = 0; i < phrases->count; i++)
		free(phrases->items[i].text);
	free(phrases->items);
}

static int compare_phrases(const void *left, const void *right)
{
	const struct phrase *a = left, *b = right;
	int order = strcmp(a->text, b->text);

	return order != 0 ? order : (a->rule > b->rule) - (a->rule < b->rule);
}

static enum mortise_status read_phrases(const struct policy *policy, struct phrases *phrases)
{
	phrases->policy = policy;
	phrases->items = calloc(policy->rule_count + 1, sizeof *phrases->items);
	if (!phrases->items)
		return MORTISE_BUSY;
	for (size_t i = 0; i < policy->rule_count; i++) {
		CLEANUP(text_drop) struct text text = {0};

		TRY(text_begin(&text));
		text_canonical(text.file, policy, &policy->rules[i]);
		TRY(text_end(&text));
		phrases->items[phrases->count++] = (struct phrase){text.at, (uint32_t)i};
		text.at = NULL;
	}
	qsort(phrases->items, phrases->count, sizeof *phrases->items, compare_phrases);
	return MORTISE_OK;
}

static int compare_texts(const void *left, const void *right)
{
	const struct phrase *a = left, *b = right;

	return strcmp(a->text, b->text);
}

static bool has_phrase(const struct phrases *phrases, const struct phrase *phrase)
{
	return bsearch(phrase, phrases->items, phrases->count, sizeof *phrase, compare_texts) !=
	       NULL;
}

/* What the rules of a policy say of a part. */
struct covering {
	struct comparing *comparing;
	const struct policy *policy;
	const struct policy *after; /* that must still have the whole; NULL: no matter */
	const struct rule *part;
	unsigned verbs; /* of the part, found so far */
};

/* Does it cover the part, for verbs that none covered yet? Then those are given. */
static unsigned verbs_covered(struct covering *covering, const struct rule *rule)
{
	struct rule of_verbs = *covering->part;

	of_verbs.verbs &= rule->verbs;
	if (covering->comparing->comparisons++ > COMPARISONS_MAX ||
		rule->is_deny != covering->part->is_deny ||
		(of_verbs.verbs & ~covering->verbs) == 0 || !rate_covers(rule, covering->part) ||
		!rule_covers(rule, &of_verbs))
		return 0;
	return of_verbs.verbs;
}

static void cover(void *context, uint32_t number)
{
	struct covering *covering = context;

	covering->verbs |= verbs_covered(covering, &covering->policy->rules[number]);
}

/* Those of the verbs that some rule of the same kind covers. */
static unsigned find_covered(
	struct comparing *comparing, const struct policy *policy, const struct rule *part)
{
	struct covering covering = {.comparing = comparing, .policy = policy, .part = part};

	policy_index_find_covering(policy, part, cover, &covering);
	return covering.verbs;
}

/* Of a rule, what it says of the part's principal, by its first pattern that covers the part. */
static void restrict_to(const struct rule *rule, const struct rule *part, struct narrowed *out)
{
	const struct condition *secret = rule_condition(rule, ATTRIBUTE_SECRET);
	const struct condition *asked = rule_condition(part, ATTRIBUTE_SECRET);
	const struct condition *principal = rule_condition(part, rule_principal(part));
	const char *pattern = NULL;

	out->rule = *rule;
	out->rule.conditions = out->conditions;
	memcpy(out->conditions, rule->conditions, rule->condition_count * sizeof *rule->conditions);
	if (principal && rule_condition(rule, principal->attribute))
		*rule_condition(&out->rule, principal->attribute) = *principal;
	for (uint32_t i = 0; secret && i < secret->value_count; i++) {
		struct condition *narrow = rule_condition(&out->rule, ATTRIBUTE_SECRET);

		pattern = condition_text(secret, pattern);
		*narrow = *secret;
		narrow->texts = pattern;
		narrow->value_count = 1;
		if (condition_covers(narrow, asked))
			return;
	}
}

static void keep(void *context, uint32_t number)
{
	struct covering *covering = context;
	const struct rule *rule = &covering->policy->rules[number];
	unsigned verbs = verbs_covered(covering, rule);
	struct narrowed whole;

	if (verbs == 0)
		return;
	restrict_to(rule, covering->part, &whole);
	covering->verbs |= verbs & find_covered(covering->comparing, covering->after, &whole.rule);
}

/*
 * Those verbs of a part of after that are no news: before has a rule that covers it, of which
 * nothing was lost. Where something was, both what it was and what is left of it are told.
 */
static unsigned find_kept(struct comparing *comparing, const struct policy *before,
	const struct policy *after, const struct rule *part)
{
	struct covering covering = {
		.comparing = comparing, .policy = before, .after = after, .part = part};

	policy_index_find_covering(before, part, keep, &covering);
	return covering.verbs;
}

static const char *says(bool is_deny, bool is_new)
{
	if (is_deny)
		return is_new ? "is now denied to" : "is no longer denied to";
	return is_new ? "may now" : "may no longer";
}

static enum mortise_status say(struct comparing *comparing, const struct policy *policy,
	const struct rule *part, unsigned verbs, bool is_new)
{
	CLEANUP(text_drop) struct text text = {0};
	const struct condition *secret = rule_condition(part, ATTRIBUTE_SECRET);
	long before;

	TRY(text_begin(&text));
	text_principal(text.file, policy, part);
	(void)fprintf(text.file, ": %s ", says(part->is_deny, is_new));
	text_verbs(text.file, verbs);
	if (secret) {
		(void)fputc(' ', text.file);
		text_values(text.file, policy, secret);
	}
	(void)fputs(" (", text.file);
	before = ftell(text.file);
	text_conditions(text.file, policy, part);
	(void)fputs(")", text.file);
	if (ftell(text.file) == before + 1)
		(void)fseek(text.file, before - 2, SEEK_SET);
	(void)fputc('\0', text.file);
	TRY(text_end(&text));
	comparing->lines++;
	comparing->visit(comparing->context, text.at);
	return MORTISE_OK;
}

static enum mortise_status tell_part(struct comparing *comparing, const struct policy *policy,
	const struct policy *other, const struct rule *part, bool is_new)
{
	unsigned known = is_new ? find_kept(comparing, other, policy, part)
				: find_covered(comparing, other, part);
	unsigned verbs = part->verbs & ~known;

	if (verbs == 0 || comparing->comparisons > COMPARISONS_MAX)
		return MORTISE_OK;
	return say(comparing, policy, part, verbs, is_new);
}

static enum mortise_status tell_rule(struct comparing *comparing, const struct policy *policy,
	const struct policy *other, const struct rule *rule, bool is_new)
{
	const struct condition *secret = rule_condition(rule, ATTRIBUTE_SECRET);
	uint32_t patterns = secret ? secret->value_count : 1;

	for (uint32_t i = 0; i < rule_principal_count(rule); i++) {
		const char *pattern = NULL;

		for (uint32_t j = 0; j < patterns && comparing->lines < POLICY_CHANGES_MAX; j++) {
			struct narrowed part;

			pattern = secret ? condition_text(secret, pattern) : NULL;
			rule_narrow(rule, i, pattern, &part);
			TRY(tell_part(comparing, policy, other, &part.rule, is_new));
		}
	}
	return MORTISE_OK;
}

static enum mortise_status tell_rules(struct comparing *comparing, const struct phrases *phrases,
	const struct phrases *others, bool is_new)
{
	for (size_t i = 0; i < phrases->count; i++) {
		const struct phrase *phrase = &phrases->items[i];

		if (comparing->comparisons <= COMPARISONS_MAX && !has_phrase(others, phrase))
			TRY(tell_rule(comparing, phrases->policy, others->policy,
				&phrases->policy->rules[phrase->rule], is_new));
	}
	return MORTISE_OK;
}

static bool has_credential(const struct policy *policy, const struct credential *credential)
{
	bool has_user = rule_condition(&credential->rule, ATTRIBUTE_USER) != NULL;

	for (size_t i = 0; i < policy->credential_count; i++) {
		const struct credential *other = &policy->credentials[i];

		if (strcmp(other->id, credential->id) == 0 &&
			(rule_condition(&other->rule, ATTRIBUTE_USER) != NULL) == has_user &&
			rule_covers(&other->rule, &credential->rule))
			return true;
	}
	return false;
}

static enum mortise_status tell_credential(struct comparing *comparing, const struct policy *policy,
	const struct credential *credential, bool is_new)
{
	CLEANUP(text_drop) struct text text = {0};
	const struct rule *rule = &credential->rule;
	const struct condition *user = rule_condition(rule, ATTRIBUTE_USER);

	TRY(text_begin(&text));
	(void)fputs("unit ", text.file);
	text_values(text.file, policy, rule_condition(rule, ATTRIBUTE_UNIT));
	if (user) {
		(void)fputs(" of ", text.file);
		text_values(text.file, policy, user);
	}
	(void)fprintf(text.file, ": %s have credential %s, ", says(false, is_new), credential->id);
	text_values(text.file, policy, rule_condition(rule, ATTRIBUTE_SECRET));
	TRY(text_end(&text));
	comparing->lines++;
	comparing->visit(comparing->context, text.at);
	return MORTISE_OK;
}

static enum mortise_status tell_credentials(struct comparing *comparing,
	const struct policy *policy, const struct policy *other, bool is_new)
{
	for (size_t i = 0; i < policy->credential_count; i++)
		if (comparing->lines < POLICY_CHANGES_MAX &&
			!has_credential(other, &policy->credentials[i]))
			TRY(tell_credential(comparing, policy, &policy->credentials[i], is_new));
	return MORTISE_OK;
}

static bool has_quota(const struct policy *policy, const struct quota *quota)
{
	for (size_t i = 0; i < policy->quota_count; i++) {
		const struct quota *other = &policy->quotas[i];

		if (strcmp(other->rule.origin->title, quota->rule.origin->title) == 0 &&
			other->size_max == quota->size_max &&
			other->secrets_max == quota->secrets_max &&
			rule_covers(&other->rule, &quota->rule) &&
			rule_covers(&quota->rule, &other->rule))
			return true;
	}
	return false;
}

/* "quota dev: dev-*, of each of the users ci, at most 1000 secrets, at most 16777216 bytes" */
static enum mortise_status tell_quota(struct comparing *comparing, const struct policy *policy,
	const struct quota *quota, bool is_new)
{
	const struct condition *secret = rule_condition(&quota->rule, ATTRIBUTE_SECRET);
	const struct condition *user = rule_condition(&quota->rule, ATTRIBUTE_USER);
	CLEANUP(text_drop) struct text text = {0};

	TRY(text_begin(&text));
	(void)fprintf(text.file, "quota %s: ", quota->rule.origin->title);
	if (secret)
		text_values(text.file, policy, secret);
	else
		(void)fputs("all secrets", text.file);
	if (user) {
		(void)fputs(", of each of the users ", text.file);
		text_values(text.file, policy, user);
	}
	if (quota->secrets_max != 0)
		(void)fprintf(text.file, ", at most %llu secrets",
			(unsigned long long)quota->secrets_max);
	if (quota->size_max != 0)
		(void)fprintf(
			text.file, ", at most %llu bytes", (unsigned long long)quota->size_max);
	(void)fputs(is_new ? "" : ": no longer", text.file);
	TRY(text_end(&text));
	comparing->lines++;
	comparing->visit(comparing->context, text.at);
	return MORTISE_OK;
}

static enum mortise_status tell_quotas(struct comparing *comparing, const struct policy *policy,
	const struct policy *other, bool is_new)
{
	for (size_t i = 0; i < policy->quota_count; i++)
		if (comparing->lines < POLICY_CHANGES_MAX && !has_quota(other, &policy->quotas[i]))
			TRY(tell_quota(comparing, policy, &policy->quotas[i], is_new));
	return MORTISE_OK;
}

enum mortise_status policy_compare(const struct policy *before, const struct policy *after,
	policy_change_visit *visit, void *context)
{
	CLEANUP(drop_phrases) struct phrases old = {0};
	CLEANUP(drop_phrases) struct phrases new = {0};
	struct comparing comparing = {.visit = visit, .context = context};

	TRY(read_phrases(before, &old));
	TRY(read_phrases(after, &new));
	TRY(tell_rules(&comparing, &old, &new, false));
	TRY(tell_credentials(&comparing, before, after, false));
	TRY(tell_quotas(&comparing, before, after, false));
	TRY(tell_rules(&comparing, &new, &old, true));
	TRY(tell_credentials(&comparing, after, before, true));
	TRY(tell_quotas(&comparing, after, before, true));
	if (comparing.comparisons > COMPARISONS_MAX)
		visit(context, POLICY_NOT_COMPARED);
	else if (comparing.lines >= POLICY_CHANGES_MAX)
		visit(context, POLICY_NOT_LISTED);
	return MORTISE_OK;
}
