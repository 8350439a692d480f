/* SPDX-License-Identifier: ISC */
#include "policy_cover.h"

#include <stdlib.h>
#include <string.h>

#define PATTERN_ROOM 257 /* of 255 bytes, and both ends */

/*
 * Both walks are over pairs of places in two patterns, row by row: row[j] says whether from
 * here and j on they fit. In the walks '**' counts as one token.
 */
static size_t token_size(const char *at)
{
	return at[0] == '*' && at[1] == '*' ? 2 : 1;
}

static bool is_across(const char *at)
{
	return at[0] == '*' && at[1] == '*';
}

/* Can the star at `star` take the token at `at`, whatever that stands for? */
static bool takes(const char *star, const char *at)
{
	return is_across(star) || (*at != '/' && !is_across(at));
}

static bool fit(const char *wide, const char *narrow, const bool *after, const bool *row, size_t j,
	size_t next)
{
	if (*wide == '*')
		return after[j] || (*narrow != '\0' && takes(wide, narrow) && row[next]);
	return *narrow != '\0' && *wide == *narrow && after[next];
}

/* A star of narrow is a letter of its own here, which only a star of wide can take. */
bool pattern_covers(const char *wide, const char *narrow)
{
	bool rows[2][PATTERN_ROOM + 2] = {0};
	size_t wide_size = strlen(wide), size = strlen(narrow);
	bool *after = rows[0], *row = rows[1];

	if (wide_size >= PATTERN_ROOM || size >= PATTERN_ROOM)
		return false;
	after[size] = true;
	for (size_t i = wide_size; i-- > 0;) {
		bool *spare = after;

		if (i > 0 && is_across(wide + i - 1))
			i--;
		for (size_t j = size + 1; j-- > 0;)
			row[j] = fit(
				wide + i, narrow + j, after, row, j, j + token_size(narrow + j));
		after = row;
		row = spare;
	}
	return after[0];
}

/* One of the two is a star, and takes nothing, or what the other says next. */
static bool meet_star(const char *a, const char *b, const bool *after, const bool *row, size_t j)
{
	size_t size = token_size(b);

	if (*a == '*' && (after[j] || (*b != '\0' && (*b == '*' || takes(a, b)) && row[j + size])))
		return true;
	return *b == '*' &&
	       (row[j + size] || (*a != '\0' && (*a == '*' || takes(b, a)) && after[j]));
}

bool patterns_meet(const char *a, const char *b)
{
	bool rows[2][PATTERN_ROOM + 2] = {0};
	size_t a_size = strlen(a), size = strlen(b);
	bool *after = rows[0], *row = rows[1];

	if (a_size >= PATTERN_ROOM || size >= PATTERN_ROOM)
		return true;
	for (size_t i = a_size + 1; i-- > 0;) {
		bool *spare = after;

		if (i > 0 && is_across(a + i - 1))
			i--;
		for (size_t j = size + 1; j-- > 0;) {
			if (a[i] == '*' || b[j] == '*')
				row[j] = meet_star(a + i, b + j, after, row, j);
			else
				row[j] = a[i] == b[j] && (a[i] == '\0' || after[j + 1]);
		}
		after = row;
		row = spare;
	}
	return after[0];
}

static bool text_covers(enum attribute attribute, const char *wide, const char *narrow)
{
	if (attribute == ATTRIBUTE_SECRET ||
		(fact_row(attribute) && fact_row(attribute)->has_patterns))
		return pattern_covers(wide, narrow);
	return strcmp(wide, narrow) == 0;
}

static bool some_text_covers(const struct condition *wide, const char *narrow)
{
	const char *text = NULL;

	for (uint32_t i = 0; i < wide->value_count; i++) {
		text = condition_text(wide, text);
		if (text_covers(wide->attribute, text, narrow))
			return true;
	}
	return false;
}

static bool texts_cover(const struct condition *wide, const struct condition *narrow)
{
	const char *text = NULL;

	for (uint32_t i = 0; i < narrow->value_count; i++) {
		text = condition_text(narrow, text);
		if (!some_text_covers(wide, text))
			return false;
	}
	return true;
}

static bool ids_cover(const struct condition *wide, const struct condition *narrow)
{
	for (uint32_t i = 0; i < narrow->value_count; i++)
		if (!bsearch(&narrow->ids[i], wide->ids, wide->value_count, sizeof(uint32_t),
			    id_compare))
			return false;
	return true;
}

static bool hours_cover(const struct condition *wide, const struct condition *narrow)
{
	for (uint32_t i = 0; i < narrow->value_count; i++) {
		bool is_covered = false;

		for (uint32_t j = 0; j < wide->value_count && !is_covered; j++)
			is_covered = when_hours_cover(&wide->hours[j], &narrow->hours[i]);
		if (!is_covered)
			return false;
	}
	return true;
}

bool condition_covers(const struct condition *wide, const struct condition *narrow)
{
	if (!wide)
		return true;
	if (!narrow)
		return wide->attribute == ATTRIBUTE_SECRET && some_text_covers(wide, "**");
	switch (wide->attribute) {
	case ATTRIBUTE_USER:
	case ATTRIBUTE_GROUP:
		return ids_cover(wide, narrow);
	case ATTRIBUTE_HOURS:
		return hours_cover(wide, narrow);
	case ATTRIBUTE_DAYS:
		return (narrow->days & ~(unsigned)wide->days) == 0;
	case ATTRIBUTE_EXPIRES:
		return wide->expires >= narrow->expires;
	default:
		return texts_cover(wide, narrow);
	}
}

/* What day it is depends on the hours: it is only certain where both have the same ones. */
static bool times_cover(const struct rule *wide, const struct rule *narrow)
{
	const struct condition *hours = rule_condition(wide, ATTRIBUTE_HOURS);
	const struct condition *others = rule_condition(narrow, ATTRIBUTE_HOURS);

	if (!rule_condition(wide, ATTRIBUTE_DAYS))
		return true;
	if (!hours || !others)
		return hours == others;
	return hours_cover(hours, others) && hours_cover(others, hours) &&
	       hours->value_count == 1 && others->value_count == 1;
}

bool rule_covers(const struct rule *wide, const struct rule *narrow)
{
	if (narrow->verbs & ~(unsigned)wide->verbs)
		return false;
	for (int i = 0; i < ATTRIBUTE_COUNT; i++)
		if (!condition_covers(rule_condition(wide, (enum attribute)i),
			    rule_condition(narrow, (enum attribute)i)))
			return false;
	return times_cover(wide, narrow);
}

bool rate_covers(const struct rule *wide, const struct rule *narrow)
{
	uint64_t left = (uint64_t)wide->rate.count * narrow->rate.period_s;
	uint64_t right = (uint64_t)narrow->rate.count * wide->rate.period_s;

	if (wide->rate.count == 0 || narrow->rate.count == 0)
		return wide->rate.count == 0;
	return left >= right && wide->rate.count >= narrow->rate.count;
}

static bool texts_meet(const struct condition *a, const struct condition *b)
{
	const char *left = NULL;

	for (uint32_t i = 0; i < a->value_count; i++) {
		const char *right = NULL;

		left = condition_text(a, left);
		for (uint32_t j = 0; j < b->value_count; j++) {
			right = condition_text(b, right);
			if (patterns_meet(left, right))
				return true;
		}
	}
	return false;
}

/* Two units may both be one caller's, as may two groups and two labels. */
static bool conditions_meet(const struct condition *a, const struct condition *b)
{
	if (!a || !b)
		return true;
	if (fact_row(a->attribute))
		return !fact_row(a->attribute)->is_single || texts_meet(a, b);
	switch (a->attribute) {
	case ATTRIBUTE_USER:
		for (uint32_t i = 0; i < a->value_count; i++)
			if (bsearch(&a->ids[i], b->ids, b->value_count, sizeof(uint32_t),
				    id_compare))
				return true;
		return false;
	case ATTRIBUTE_SECRET:
		return texts_meet(a, b);
	default:
		return true;
	}
}

bool rules_meet(const struct rule *a, const struct rule *b)
{
	if ((a->verbs & b->verbs) == 0)
		return false;
	for (int i = 0; i < ATTRIBUTE_COUNT; i++)
		if (!conditions_meet(rule_condition(a, (enum attribute)i),
			    rule_condition(b, (enum attribute)i)))
			return false;
	return true;
}
