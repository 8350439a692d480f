/* SPDX-License-Identifier: ISC */
#include "when.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define MICROS UINT64_C(1000000)

uint64_t when_now_us(void)
{
	struct timespec now = {0};

	(void)clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * MICROS + (uint64_t)now.tv_nsec / 1000;
}

static bool is_digit(char character)
{
	return character >= '0' && character <= '9';
}

/* Seconds in a unit; 0 for what is none. */
static uint64_t unit_of(const char *text)
{
	static const struct {
		const char *name;
		uint64_t seconds;
	} units[] = {{"", 1}, {"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}};

	for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
		if (strcmp(text, units[i].name) == 0)
			return units[i].seconds;
	return 0;
}

/* Milliseconds, at most limit. */
static bool parse_span(const char *text, uint64_t limit, uint64_t *out_ms)
{
	uint64_t ms = 0, scale = 1000;

	if (!is_digit(*text))
		return false;
	for (; is_digit(*text); text++) {
		ms = ms * 10 + (uint64_t)(*text - '0') * 1000;
		if (ms > limit)
			return false;
	}
	if (*text == '.') {
		if (!is_digit(*++text))
			return false;
		for (; is_digit(*text) && scale > 1; text++) {
			scale /= 10;
			ms += (uint64_t)(*text - '0') * scale;
		}
	}
	if (unit_of(text) == 0 || ms > limit / unit_of(text))
		return false;
	*out_ms = ms * unit_of(text);
	return true;
}

/* Days or seconds? Nobody guesses. */
static bool has_unit(const char *text)
{
	return text[0] != '\0' && !is_digit(text[strlen(text) - 1]);
}

bool when_parse_duration(const char *text, int *out_ms)
{
	uint64_t ms;

	if (!parse_span(text, INT_MAX, &ms))
		return false;
	*out_ms = (int)ms;
	return true;
}

bool when_parse_seconds(const char *text, uint64_t *out_seconds)
{
	uint64_t ms;

	if (!has_unit(text) || !parse_span(text, UINT64_MAX / 1000000, &ms) || ms % 1000 != 0)
		return false;
	*out_seconds = ms / 1000;
	return true;
}

void when_format_seconds(uint64_t seconds, char out_text[WHEN_TEXT_SIZE])
{
	static const char units[] = {'d', 'h', 'm', 's'};
	static const uint64_t sizes[] = {86400, 3600, 60, 1};
	size_t i = 0;

	while (seconds == 0 || seconds % sizes[i] != 0)
		if (++i == sizeof sizes / sizeof sizes[0] - 1)
			break;
	(void)snprintf(out_text, WHEN_TEXT_SIZE, "%llu%c", (unsigned long long)(seconds / sizes[i]),
		units[i]);
}

static bool parse_span_ago(const char *text, uint64_t now_us, uint64_t *out_time_us)
{
	const uint64_t limit_ms = UINT64_MAX / 1000000;
	uint64_t ms;

	if (!has_unit(text) || !parse_span(text, limit_ms, &ms) || ms > now_us / 1000)
		return false;
	*out_time_us = now_us - ms * 1000;
	return true;
}

/* strptime() alone takes blanks and single digits anywhere; a time has one spelling here. */
static const char *parse_clock(const char *text, struct tm *clock)
{
	static const char *const shapes[] = {
		"dddd-dd-ddTdd:dd:dd", "dddd-dd-ddTdd:dd", "dddd-dd-dd"};
	static const char *const formats[] = {"%Y-%m-%d%n%H:%M:%S", "%Y-%m-%d%n%H:%M", "%Y-%m-%d"};

	for (int i = 0; i < 3; i++) {
		char copy[32] = "";
		size_t size = strlen(shapes[i]);
		const char *end;

		if (strlen(text) < size)
			continue;
		memcpy(copy, text, size);
		for (size_t at = 0; at < size; at++)
			if (is_digit(copy[at]))
				copy[at] = 'd';
			else if (at == 10 && copy[at] == ' ')
				copy[at] = 'T';
		if (strcmp(copy, shapes[i]) != 0)
			continue;
		memcpy(copy, text, size);
		if (size > 10)
			copy[10] = ' ';
		end = strptime(copy, formats[i], clock);
		return end && *end == '\0' ? text + size : NULL;
	}
	return NULL;
}

bool when_parse_past(const char *text, uint64_t *out_time_us)
{
	uint64_t now_us = when_now_us(), time_us;

	if (!when_parse_time(text, now_us, &time_us) || time_us > now_us)
		return false;
	*out_time_us = time_us;
	return true;
}

bool when_parse_time(const char *text, uint64_t now_us, uint64_t *out_time_us)
{
	struct tm clock = {.tm_isdst = -1};
	const char *end = parse_clock(text, &clock);
	int day = clock.tm_mday;
	time_t seconds;

	if (!end)
		return parse_span_ago(text, now_us, out_time_us);
	if (strcmp(end, "Z") == 0)
		seconds = timegm(&clock);
	else if (*end == '\0')
		seconds = mktime(&clock);
	else
		return false;
	if (seconds < 0 || clock.tm_mday != day)
		return false;
	*out_time_us = (uint64_t)seconds * MICROS;
	return true;
}

/* clock may be NULL: there is no such time. */
static void format(const struct tm *clock, const char *zone, char out_text[WHEN_TEXT_SIZE])
{
	char text[WHEN_TEXT_SIZE];

	if (!clock || strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", clock) == 0)
		memcpy(out_text, "?", 2);
	else
		(void)snprintf(out_text, WHEN_TEXT_SIZE, "%.30s%s", text, zone);
}

void when_format_local(uint64_t time_us, char out_text[WHEN_TEXT_SIZE])
{
	time_t seconds = (time_t)(time_us / MICROS);
	struct tm clock;

	format(localtime_r(&seconds, &clock), "", out_text);
}

void when_format_utc_second(uint64_t time_us, char out_text[WHEN_TEXT_SIZE])
{
	time_t seconds = (time_t)(time_us / MICROS);
	struct tm clock;

	format(gmtime_r(&seconds, &clock), "Z", out_text);
}

void when_format_utc(uint64_t time_us, char out_text[WHEN_TEXT_SIZE])
{
	time_t seconds = (time_t)(time_us / MICROS);
	char text[WHEN_TEXT_SIZE] = "?";
	struct tm clock;

	if (gmtime_r(&seconds, &clock))
		(void)strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &clock);
	(void)snprintf(out_text, WHEN_TEXT_SIZE, "%.31s.%06uZ", text, (unsigned)(time_us % MICROS));
}
