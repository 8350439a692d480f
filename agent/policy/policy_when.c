/* SPDX-License-Identifier: ISC */
#include "policy_when.h"

#include <string.h>

static const char day_names[7][4] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};

struct text {
	const char *at, *end;
};

static bool take_byte(struct text *text, char byte)
{
	if (text->at == text->end || *text->at != byte)
		return false;
	text->at++;
	return true;
}

/* Exactly so many digits, their number at most max. */
static bool take_number(struct text *text, int digits, unsigned max, unsigned *out_number)
{
	unsigned number = 0;

	for (int i = 0; i < digits; i++, text->at++) {
		if (text->at == text->end || *text->at < '0' || *text->at > '9')
			return false;
		number = 10 * number + (unsigned)(*text->at - '0');
	}
	*out_number = number;
	return number <= max;
}

static bool take_time(struct text *text, unsigned *out_minute)
{
	unsigned hour, minute;

	if (!take_number(text, 2, 24, &hour) || !take_byte(text, ':') ||
		!take_number(text, 2, 59, &minute))
		return false;
	*out_minute = 60 * hour + minute;
	return *out_minute <= MINUTES_OF_DAY;
}

bool when_read_hours(const char *word, size_t size, struct hours *out_hours)
{
	struct text text = {word, word + size};
	unsigned from, to;
	bool is_utc;

	if (!take_time(&text, &from) || !take_byte(&text, '-') || !take_time(&text, &to))
		return false;
	is_utc = take_byte(&text, 'Z');
	if (text.at != text.end || from == to || from == MINUTES_OF_DAY)
		return false;
	if (to == 0)
		to = MINUTES_OF_DAY;
	*out_hours = (struct hours){(uint16_t)from, (uint16_t)to, is_utc};
	return true;
}

static bool take_day(struct text *text, unsigned *out_day)
{
	for (unsigned day = 0; day < 7 && text->end - text->at >= 3; day++)
		if (memcmp(text->at, day_names[day], 3) == 0) {
			text->at += 3;
			*out_day = day;
			return true;
		}
	return false;
}

bool when_read_days(const char *word, size_t size, uint8_t *out_days)
{
	struct text text = {word, word + size};
	unsigned from, to, days = 0;

	if (!take_day(&text, &from))
		return false;
	to = from;
	if (take_byte(&text, '-') && (!take_day(&text, &to) || to == from))
		return false;
	if (text.at != text.end)
		return false;
	for (unsigned day = from; day != to; day = (day + 1) % 7)
		days |= 1u << day;
	*out_days = (uint8_t)(days | 1u << to);
	return true;
}

static bool take_date(struct text *text, struct tm *date)
{
	unsigned year, month, day;

	if (!take_number(text, 4, 2999, &year) || year < 1970 || !take_byte(text, '-') ||
		!take_number(text, 2, 12, &month) || month == 0 || !take_byte(text, '-') ||
		!take_number(text, 2, 31, &day) || day == 0)
		return false;
	date->tm_year = (int)year - 1900;
	date->tm_mon = (int)month - 1;
	date->tm_mday = (int)day;
	return true;
}

static bool take_clock(struct text *text, struct tm *date)
{
	unsigned minute, second = 0;

	if (!take_time(text, &minute) || minute == MINUTES_OF_DAY)
		return false;
	if (take_byte(text, ':') && !take_number(text, 2, 59, &second))
		return false;
	date->tm_hour = (int)(minute / 60);
	date->tm_min = (int)(minute % 60);
	date->tm_sec = (int)second;
	return true;
}

bool when_read_instant(const char *word, size_t size, time_t *out_instant)
{
	struct text text = {word, word + size};
	struct tm date = {.tm_isdst = -1}, made;
	bool is_utc;
	time_t instant;

	if (!take_date(&text, &date) || (take_byte(&text, 'T') && !take_clock(&text, &date)))
		return false;
	is_utc = take_byte(&text, 'Z');
	if (text.at != text.end)
		return false;
	made = date;
	instant = is_utc ? timegm(&made) : mktime(&made);
	if (made.tm_mday != date.tm_mday || made.tm_mon != date.tm_mon)
		return false;
	*out_instant = instant;
	return true;
}

static const struct tm *split(struct clock *clock, bool is_utc)
{
	struct tm *broken = &clock->split[is_utc];

	if (!clock->is_split[is_utc]) {
		clock->is_split[is_utc] = true;
		if (!(is_utc ? gmtime_r(&clock->now, broken) : localtime_r(&clock->now, broken)))
			*broken = (struct tm){0};
	}
	return broken;
}

static bool crosses_midnight(const struct hours *hours)
{
	return hours->to <= hours->from;
}

static bool contains(const struct hours *hours, unsigned minute)
{
	if (crosses_midnight(hours))
		return minute >= hours->from || minute < hours->to;
	return minute >= hours->from && minute < hours->to;
}

static unsigned minute_of(const struct tm *time)
{
	return (unsigned)(60 * time->tm_hour + time->tm_min);
}

bool when_in_hours(const struct hours *hours, size_t count, struct clock *clock)
{
	for (size_t i = 0; i < count; i++)
		if (contains(&hours[i], minute_of(split(clock, hours[i].is_utc))))
			return true;
	return false;
}

bool when_on_days(uint8_t days, const struct hours *hours, size_t count, struct clock *clock)
{
	if (!when_in_hours(hours, count, clock))
		return days >> split(clock, false)->tm_wday & 1;
	for (size_t i = 0; i < count; i++) {
		const struct tm *time = split(clock, hours[i].is_utc);
		unsigned minute = minute_of(time);
		bool is_tail = crosses_midnight(&hours[i]) && minute < hours[i].to;

		if (contains(&hours[i], minute) && days >> (time->tm_wday + 6 * is_tail) % 7 & 1)
			return true;
	}
	return false;
}

bool when_hours_cover(const struct hours *wide, const struct hours *narrow)
{
	unsigned length = (narrow->to + MINUTES_OF_DAY - narrow->from - 1) % MINUTES_OF_DAY + 1;
	unsigned room = (wide->to + MINUTES_OF_DAY - wide->from - 1) % MINUTES_OF_DAY + 1;
	unsigned start = (narrow->from + MINUTES_OF_DAY - wide->from) % MINUTES_OF_DAY;

	return wide->is_utc == narrow->is_utc && (room == MINUTES_OF_DAY || start + length <= room);
}

#define YEAR_S (366 * 86400)
#define STEP_S (6 * 3600)

static long offset_at(time_t at)
{
	struct tm split;

	return localtime_r(&at, &split) ? split.tm_gmtoff : 0;
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

	if (!gmtime_r(&first, &split))
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
