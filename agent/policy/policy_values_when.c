/* SPDX-License-Identifier: ISC */
/* Values that are times, and how often. */
#include "policy_values.h"

#include <string.h>

#include "policy_when.h"

enum mortise_status policy_values_hours(
	struct parsing *parsing, const struct inifile_entry *entry, struct inifile_error *error)
{
	struct condition *condition = policy_values_condition(parsing, entry, ATTRIBUTE_HOURS);
	struct word word = {0};
	uint32_t count, i = 0;

	TRY(policy_values_count(entry, &count, error));
	condition->hours = policy_keep(parsing->policy, count * sizeof(struct hours));
	if (condition->hours == NULL)
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
	struct word word;

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
	struct word word;
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
