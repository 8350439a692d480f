/* SPDX-License-Identifier: ISC */
/*
 * policy_when: hours, days and instants as rules write them, and whether they hold.
 * Times are of the zone that tzset(3) set, or of UTC with a Z. Hours follow the wall clock:
 * what the clock skips in spring does not happen, what it repeats in autumn happens twice.
 */
#ifndef MORTISE_POLICY_WHEN_H
#define MORTISE_POLICY_WHEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define MINUTES_OF_DAY 1440u

/* From a minute of the day to before another; across midnight where that is not later. */
struct hours {
	uint16_t from, to; /* to: 1 to 1440 */
	bool is_utc;
};

/* One instant, taken apart when first asked. */
struct clock {
	time_t now;
	bool is_split[2]; /* the host's zone, UTC */
	struct tm split[2];
};

/* "02:30-04:30", "22:00-01:00Z", "00:00-24:00"; false for anything else. */
bool when_read_hours(const char *word, size_t size, struct hours *out_hours);

/* "mon", "mon-fri", "sat-mon"; out_days: bit 0 for Sunday and so on, as in tm_wday. */
bool when_read_days(const char *word, size_t size, uint8_t *out_days);

/* "2026-12-31", "2026-12-31T18:00", "2026-12-31T18:00:30", each with or without Z. */
bool when_read_instant(const char *word, size_t size, time_t *out_instant);

bool when_in_hours(const struct hours *hours, size_t count, struct clock *clock);

/*
 * Hours across midnight belong to the day on which they begin; the day is that of the hours'
 * zone, of the host's where there are no hours (count 0).
 */
bool when_on_days(uint8_t days, const struct hours *hours, size_t count, struct clock *clock);

/* Is an hour of a day a part of another's? Both in one zone. */
bool when_hours_cover(const struct hours *wide, const struct hours *narrow);

/* When the clocks of the host's zone change. Private to this folder. */

#define CLOCK_CHANGES_MAX 8

struct clock_change {
	time_t at;
	unsigned from, to;          /* minutes of the day that are skipped, or come twice */
	int year, month, day, wday; /* of the day that has them */
	bool is_skipped;
};

/* The changes within a year from now. */
size_t clock_changes(time_t now, struct clock_change changes[CLOCK_CHANGES_MAX]);

/* Do the hours, on those days (0: all), have any of those minutes? */
bool clock_change_meets(
	const struct clock_change *change, const struct hours *hours, unsigned days);

#endif
