/* SPDX-License-Identifier: ISC */
/* Words, verbs and accounts. */
#include "policy_values.h"

#include <search.h>
#include <stdio.h>
#include <string.h>

#include "array.h"
#include "path.h"
#include "policy_when.h"

bool policy_values_next(const struct inifile_entry *entry, struct word *word)
{
	const char *at = word->at ? word->at + word->size : entry->value;

	at += strspn(at, " \t");
	if (*at == '\0')
		return false;
	word->at = at;
	word->size = (int)strcspn(at, " \t");
	word->column = entry->value_column + (unsigned)(at - entry->value);
	return true;
}

enum mortise_status policy_values_refuse(const struct inifile_entry *entry, const struct word *word,
	const char *expected, struct inifile_error *error)
{
	bool has_comma = memchr(word->at, ',', (size_t)word->size) != NULL;

	return inifile_refuse(error, entry->line, word->column, "expected %s, not '%.*s'%s",
		expected, word->size < 80 ? word->size : 80, word->at,
		has_comma ? "; blanks separate values" : "");
}

enum mortise_status policy_values_refuse_one(const struct inifile_entry *entry,
	const struct word *word, int most, const char *expected, struct inifile_error *error)
{
	if (word->size <= most)
		return policy_values_refuse(entry, word, expected, error);
	return inifile_refuse(error, entry->line, word->column,
		"a value of '%s' has at most %d bytes, and this one %d", entry->key, most,
		word->size);
}

enum mortise_status policy_values_count(
	const struct inifile_entry *entry, uint32_t *out_count, struct inifile_error *error)
{
	struct word word = {0};
	uint32_t count = 0;

	while (policy_values_next(entry, &word))
		if (++count > POLICY_VALUES_MAX)
			return inifile_refuse(error, entry->line, word.column,
				"more than %d values for '%s'", POLICY_VALUES_MAX, entry->key);
	if (count == 0)
		return inifile_refuse(error, entry->line, entry->value_column,
			"expected a value after '%s ='", entry->key);
	*out_count = count;
	return MORTISE_OK;
}

enum mortise_status policy_values_one(
	const struct inifile_entry *entry, struct word *out_word, struct inifile_error *error)
{
	struct word word = {0}, next;
	uint32_t count;

	TRY(policy_values_count(entry, &count, error));
	(void)policy_values_next(entry, &word);
	next = word;
	if (policy_values_next(entry, &next))
		return inifile_refuse(error, entry->line, next.column,
			"expected one value for '%s', not several", entry->key);
	*out_word = word;
	return MORTISE_OK;
}

struct condition *policy_values_condition(
	struct parsing *parsing, const struct inifile_entry *entry, enum attribute attribute)
{
	struct condition *condition = &parsing->draft.conditions[attribute];

	condition->attribute = attribute;
	condition->line = entry->line;
	condition->column = entry->value_column;
	return condition;
}

enum mortise_status policy_values_verbs(
	struct parsing *parsing, const struct inifile_entry *entry, struct inifile_error *error)
{
	struct rule *rule = &parsing->draft.rule;
	struct word word = {0};
	uint32_t count;

	if (rule->verbs != 0)
		return inifile_refuse(error, entry->line, entry->column,
			"expected one allow or one deny in a rule, not both");
	TRY(policy_values_count(entry, &count, error));
	while (policy_values_next(entry, &word)) {
		enum verb verb = verb_of_word(word.at, (size_t)word.size);
		char words[VERB_WORDS_SIZE], expected[VERB_WORDS_SIZE + 16];

		if (verb == 0) {
			(void)snprintf(expected, sizeof expected, "a verb (%s)",
				verb_words(verbs_all(), "or", words));
			return policy_values_refuse(entry, &word, expected, error);
		}
		rule->verbs |= (uint8_t)verb;
	}
	rule->is_deny = strcmp(entry->key, "deny") == 0;
	return MORTISE_OK;
}

static bool is_number(const struct word *word)
{
	return strspn(word->at, "0123456789") >= (size_t)word->size;
}

/* Decimal, without leading zeros, which some tools would read as octal. */
static bool read_id(const struct word *word, uint32_t *out_id)
{
	uint64_t id = 0;

	if (word->size > 10 || (word->at[0] == '0' && word->size > 1))
		return false;
	for (int i = 0; i < word->size; i++)
		id = 10 * id + (uint64_t)(word->at[i] - '0');
	if (id > UINT32_MAX)
		return false;
	*out_id = (uint32_t)id;
	return true;
}

static bool is_account_name(const struct word *word)
{
	return word->size <= POLICY_NAME_MAX && !strchr("+-", word->at[0]) &&
	       strcspn(word->at, ",:/*%=\"'") >= (size_t)word->size;
}

static int compare_names(const void *left, const void *right)
{
	const struct name *a = left, *b = right;

	if (a->seen.kind != b->seen.kind)
		return a->seen.kind < b->seen.kind ? -1 : 1;
	return strcmp(a->seen.name, b->seen.name);
}

static enum mortise_status add_name(
	struct parsing *parsing, const struct name *seen, uint32_t *out_number)
{
	struct policy *policy = parsing->policy;
	struct name *name = policy_keep(policy, sizeof *name);
	struct name **names;

	if (!name)
		return MORTISE_BUSY;
	*name = *seen;
	name->number = (uint32_t)policy->name_count;
	name->seen.name = policy_keep_text(policy, seen->seen.name, strlen(seen->seen.name));
	if (!name->seen.name)
		return MORTISE_BUSY;
	names = array_room(policy->names, policy->name_count, sizeof(struct name *));
	if (!names)
		return MORTISE_BUSY;
	policy->names = names;
	if (!tsearch(name, &parsing->names, compare_names))
		return MORTISE_BUSY;
	policy->names[policy->name_count++] = name;
	*out_number = name->number;
	return MORTISE_OK;
}

static enum mortise_status number_name(
	struct parsing *parsing, const struct name *seen, uint32_t *out_number)
{
	struct name *const *node = tfind(seen, &parsing->names, compare_names);

	if (!node)
		return add_name(parsing, seen, out_number);
	*out_number = (*node)->number;
	return MORTISE_OK;
}

static enum mortise_status read_name(struct parsing *parsing, const struct inifile_entry *entry,
	const struct word *word, uint32_t *out_number)
{
	char text[POLICY_NAME_MAX + 1];
	struct name seen = {.seen.name = text, .seen.file = parsing->file};

	(void)snprintf(text, sizeof text, "%.*s", word->size, word->at);
	seen.seen.kind = strcmp(entry->key, "user") == 0 ? POLICY_USER : POLICY_GROUP;
	seen.seen.line = entry->line;
	seen.seen.column = word->column;
	return number_name(parsing, &seen, out_number);
}

static enum mortise_status read_account(struct parsing *parsing, const struct inifile_entry *entry,
	const struct word *word, uint32_t *out_value, struct inifile_error *error)
{
	bool is_nobody = word->size == 6 && memcmp(word->at, "nobody", 6) == 0;

	if (is_number(word)) {
		if (!read_id(word, out_value))
			return policy_values_refuse(entry, word,
				"an id from 0 to 4294967295 without leading zeros", error);
		is_nobody = id_is_nobody(*out_value);
	} else {
		if (!is_account_name(word))
			return policy_values_refuse_one(
				entry, word, POLICY_NAME_MAX, "a name or an id", error);
		TRY(read_name(parsing, entry, word, out_value));
	}
	if (is_nobody && parsing->draft.nobody.line == 0)
		parsing->draft.nobody = (struct place){entry->line, word->column};
	return MORTISE_OK;
}

/* Numbers go to the end, so that the names' numbers come first. */
enum mortise_status policy_values_accounts(
	struct parsing *parsing, const struct inifile_entry *entry, struct inifile_error *error)
{
	bool is_user = strcmp(entry->key, "user") == 0;
	struct condition *condition =
		policy_values_condition(parsing, entry, is_user ? ATTRIBUTE_USER : ATTRIBUTE_GROUP);
	struct word word = {0};
	uint32_t value, count, unpinned = 0, pinned = 0;

	TRY(policy_values_count(entry, &count, error));
	condition->ids = policy_keep(parsing->policy, count * sizeof(uint32_t));
	if (!condition->ids)
		return MORTISE_BUSY;
	while (policy_values_next(entry, &word)) {
		TRY(read_account(parsing, entry, &word, &value, error));
		if (is_number(&word))
			condition->ids[count - ++pinned] = value;
		else
			condition->ids[unpinned++] = value;
	}
	condition->names = policy_keep(parsing->policy, unpinned * sizeof(uint32_t) + 1);
	if (!condition->names)
		return MORTISE_BUSY;
	memcpy(condition->names, condition->ids, unpinned * sizeof(uint32_t));
	condition->name_count = condition->unpinned_count = unpinned;
	condition->value_count = count;
	return MORTISE_OK;
}

/* Values that are texts: paths of secrets, and facts. */

typedef bool is_value(const char *text, size_t size);

static enum mortise_status read_texts(struct parsing *parsing, const struct inifile_entry *entry,
	struct condition *condition, is_value *is_valid, int most, const char *expected,
	struct inifile_error *error)
{
	struct word word = {0};
	uint32_t count;
	char *texts, *at;

	TRY(policy_values_count(entry, &count, error));
	at = texts = policy_keep(parsing->policy, strlen(entry->value) + 1);
	if (!texts)
		return MORTISE_BUSY;
	while (policy_values_next(entry, &word)) {
		if (!is_valid(word.at, (size_t)word.size))
			return policy_values_refuse_one(entry, &word, most, expected, error);
		memcpy(at, word.at, (size_t)word.size);
		at += word.size + 1;
	}
	condition->texts = texts;
	condition->value_count = count;
	return MORTISE_OK;
}

enum mortise_status policy_values_secret(
	struct parsing *parsing, const struct inifile_entry *entry, struct inifile_error *error)
{
	return read_texts(parsing, entry, policy_values_condition(parsing, entry, ATTRIBUTE_SECRET),
		pattern_is_valid, MORTISE_PATH_MAX,
		"a secret's path or a pattern such as prod/db/*", error);
}

enum mortise_status policy_values_fact(
	struct parsing *parsing, const struct inifile_entry *entry, struct inifile_error *error)
{
	enum attribute attribute = fact_of_name(entry->key);
	const struct fact_row *row = fact_row(attribute);

	return read_texts(parsing, entry, policy_values_condition(parsing, entry, attribute),
		row->is_value, row->value_max, row->value_text, error);
}

enum mortise_status policy_values_credential_secret(
	struct parsing *parsing, const struct inifile_entry *entry, struct inifile_error *error)
{
	struct word word = {0};

	TRY(policy_values_one(entry, &word, error));
	return read_texts(parsing, entry, policy_values_condition(parsing, entry, ATTRIBUTE_SECRET),
		path_is_valid, MORTISE_PATH_MAX, "the path of one secret", error);
}

enum mortise_status policy_values_credential_id(
	struct parsing *parsing, const struct inifile_entry *entry, struct inifile_error *error)
{
	struct word word = {0};

	TRY(policy_values_one(entry, &word, error));
	if (word.size > POLICY_NAME_MAX || memchr(word.at, '/', (size_t)word.size) != NULL ||
		word.at[0] == '.')
		return policy_values_refuse_one(
			entry, &word, POLICY_NAME_MAX, "a credential's id", error);
	parsing->draft.id = policy_keep_text(parsing->policy, word.at, (size_t)word.size);
	return parsing->draft.id != NULL ? MORTISE_OK : MORTISE_BUSY;
}

/* Values that are times, and how often. */

enum mortise_status policy_values_hours(
	struct parsing *parsing, const struct inifile_entry *entry, struct inifile_error *error)
{
	struct condition *condition = policy_values_condition(parsing, entry, ATTRIBUTE_HOURS);
	struct word word = {0};
	uint32_t count, i = 0;

	TRY(policy_values_count(entry, &count, error));
	condition->hours = policy_keep(parsing->policy, count * sizeof(struct hours));
	if (!condition->hours)
		return MORTISE_BUSY;
	while (policy_values_next(entry, &word))
		if (!when_read_hours(word.at, (size_t)word.size, &condition->hours[i++]))
			return policy_values_refuse(
				entry, &word, "hours such as 02:30-04:30 or 22:00-01:00Z", error);
	condition->value_count = count;
	return MORTISE_OK;
}

enum mortise_status policy_values_days(
	struct parsing *parsing, const struct inifile_entry *entry, struct inifile_error *error)
{
	struct condition *condition = policy_values_condition(parsing, entry, ATTRIBUTE_DAYS);
	struct word word = {0};
	uint32_t count;
	uint8_t days;

	TRY(policy_values_count(entry, &count, error));
	while (policy_values_next(entry, &word)) {
		if (!when_read_days(word.at, (size_t)word.size, &days))
			return policy_values_refuse(
				entry, &word, "days such as mon, sat or mon-fri", error);
		condition->days |= days;
	}
	condition->value_count = 1;
	return MORTISE_OK;
}

enum mortise_status policy_values_expires(
	struct parsing *parsing, const struct inifile_entry *entry, struct inifile_error *error)
{
	struct condition *condition = policy_values_condition(parsing, entry, ATTRIBUTE_EXPIRES);
	struct word word = {0};

	TRY(policy_values_one(entry, &word, error));
	if (!when_read_instant(word.at, (size_t)word.size, &condition->expires))
		return policy_values_refuse(entry, &word,
			"a date such as 2026-12-31 or a time such as 2026-12-31T18:00Z", error);
	condition->value_count = 1;
	return MORTISE_OK;
}

static uint32_t period_of(const char *unit, size_t size)
{
	static const struct {
		const char *unit;
		uint32_t period_s;
	} periods[] = {{"/min", 60}, {"/h", 3600}, {"/d", 86400}};

	for (size_t i = 0; i < sizeof periods / sizeof periods[0]; i++)
		if (strlen(periods[i].unit) == size && memcmp(unit, periods[i].unit, size) == 0)
			return periods[i].period_s;
	return 0;
}

enum mortise_status policy_values_rate(
	struct parsing *parsing, const struct inifile_entry *entry, struct inifile_error *error)
{
	struct rate_limit rate = {0};
	struct word word = {0};
	size_t digits;

	TRY(policy_values_one(entry, &word, error));
	digits = strspn(word.at, "0123456789");
	for (size_t i = 0; i < digits && rate.count <= POLICY_RATE_MAX; i++)
		rate.count = 10 * rate.count + (uint32_t)(word.at[i] - '0');
	if (digits <= (size_t)word.size && word.at[0] != '0')
		rate.period_s = period_of(word.at + digits, (size_t)word.size - digits);
	if (rate.period_s == 0 || rate.count == 0 || rate.count > POLICY_RATE_MAX)
		return policy_values_refuse(
			entry, &word, "a rate such as 20/h, 3/min or 1000000/d", error);
	parsing->draft.rule.rate = rate;
	return MORTISE_OK;
}
