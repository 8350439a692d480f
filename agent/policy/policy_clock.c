/* SPDX-License-Identifier: ISC */
#include "policy_clock.h"

#define YEAR_S (366 * 86400)
#define STEP_S (6 * 3600)

static long offset_at(time_t at)
{
	struct tm split;

	return localtime_r(&at, &split) != NULL ? split.tm_gmtoff : 0;
}

/* The first instant after `from` with another offset; up to `to` there is exactly one change. */
static time_t find_change(time_t from, time_t to)
{
	long before = offset_at(from);

	while (to - from > 1) {
		time_t middle = from + (to - from) / 2;

		if (offset_at(middle) == before)
			from = middle;
		else
			to = middle;
	}
	return to;
}

/* On the wall, the minutes between both readings of one instant. */
static struct clock_change describe(time_t at)
{
	long before = offset_at(at - 1), after = offset_at(at);
	time_t first = at + (before < after ? before : after);
	long length = before < after ? after - before : before - after;
	struct clock_change change = {.at = at, .is_skipped = after > before};
	struct tm split;

	if (gmtime_r(&first, &split) == NULL)
		return change;
	change.from = (unsigned)(60 * split.tm_hour + split.tm_min);
	change.to = change.from + (unsigned)(length / 60);
	change.year = split.tm_year + 1900;
	change.month = split.tm_mon + 1;
	change.day = split.tm_mday;
	change.wday = split.tm_wday;
	return change;
}

size_t clock_changes(time_t now, struct clock_change changes[CLOCK_CHANGES_MAX])
{
	size_t count = 0;

	for (time_t at = now; at < now + YEAR_S && count < CLOCK_CHANGES_MAX; at += STEP_S)
		if (offset_at(at) != offset_at(at + STEP_S))
			changes[count++] = describe(find_change(at, at + STEP_S));
	return count;
}

static bool overlap(unsigned from, unsigned to, const struct clock_change *change)
{
	return from < change->to && change->from < to;
}

bool clock_change_meets(const struct clock_change *change, const struct hours *hours, unsigned days)
{
	unsigned today = days == 0 || days >> change->wday & 1;
	unsigned yesterday = days == 0 || days >> (change->wday + 6) % 7 & 1;

	if (hours->is_utc)
		return false;
	if (hours->to > hours->from)
		return today && overlap(hours->from, hours->to, change);
	return (today && overlap(hours->from, MINUTES_OF_DAY, change)) ||
	       (yesterday && overlap(0, hours->to, change));
}
