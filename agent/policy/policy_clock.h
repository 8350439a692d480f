/* SPDX-License-Identifier: ISC */
/* policy_clock: when the clocks of the host's zone change. Private to this folder. */
#ifndef MORTISE_POLICY_CLOCK_H
#define MORTISE_POLICY_CLOCK_H

#include "policy_when.h"

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
