/* SPDX-License-Identifier: ISC */
/*
 * A refusal of any kind (denied, invalid, sealed...) costs its author nothing, so it must not fill
 * the disk either: of each caller's in a calendar minute ten get a line, and the rest one line
 * with their number. An account may have thousands of uids, so 64 are told apart, those who come
 * first; all others are counted together, and have as many lines as the 64.
 */
#include "audit_chain.h"

#include <stdio.h>

#define LINES_PER_MINUTE 10
#define LINES_OF_OTHERS  (LINES_PER_MINUTE * AUDIT_DENIERS)
#define MINUTE_US        UINT64_C(60000000)

/* Its time is that of the last denial it counts, so that "this minute" is true. */
static void put_count(struct audit *audit, struct audit_denier *denier)
{
	bool are_others = denier == &audit->denials.others;
	char note[64];
	struct audit_event event = {.time_us = denier->last_us,
		.operation = "denials",
		.has_caller = !are_others,
		.uid = denier->uid,
		.result = MORTISE_DENIED,
		.note = note};

	if (denier->counted == 0)
		return;
	(void)snprintf(note, sizeof note, "%u more denials%s in this minute", denier->counted,
		are_others ? " of other users" : "");
	denier->counted = 0;
	audit->denials.has_changed = true;
	audit_put(audit, &event, NULL);
}

void audit_denials_settle(struct audit *audit)
{
	for (size_t i = 0; i < audit->denials.count; i++)
		put_count(audit, &audit->denials.deniers[i]);
	put_count(audit, &audit->denials.others);
}

static void begin_minute(struct audit *audit, uint64_t minute)
{
	if (audit->denials.minute == minute)
		return;
	audit_denials_settle(audit);
	audit->denials.minute = minute;
	audit->denials.count = 0;
	audit->denials.others = (struct audit_denier){0};
	audit->denials.has_changed = true;
}

static struct audit_denier *find(struct audit *audit, uint32_t uid)
{
	struct audit_denials *denials = &audit->denials;

	for (size_t i = 0; i < denials->count; i++)
		if (denials->deniers[i].uid == uid)
			return &denials->deniers[i];
	if (denials->count == AUDIT_DENIERS)
		return &denials->others;
	denials->deniers[denials->count] = (struct audit_denier){.uid = uid};
	return &denials->deniers[denials->count++];
}

bool audit_denials_absorb(struct audit *audit, const struct audit_event *event)
{
	struct audit_denier *denier;

	if (audit->denials.count > 0)
		begin_minute(audit, event->time_us / MINUTE_US);
	if (event->result == MORTISE_OK || !event->has_caller)
		return false;
	audit->denials.minute = event->time_us / MINUTE_US;
	denier = find(audit, event->uid);
	audit->denials.has_changed = true;
	if (denier->seen <
		(denier == &audit->denials.others ? LINES_OF_OTHERS : LINES_PER_MINUTE)) {
		denier->seen++;
		return false;
	}
	if (denier->counted == UINT32_MAX)
		put_count(audit, denier);
	denier->counted++;
	denier->last_us = event->time_us;
	return true;
}

bool audit_denials_wait(const struct audit *audit, uint64_t now_us)
{
	if (audit->denials.minute == now_us / MINUTE_US)
		return false;
	for (size_t i = 0; i < audit->denials.count; i++)
		if (audit->denials.deniers[i].counted > 0)
			return true;
	return audit->denials.others.counted > 0;
}
