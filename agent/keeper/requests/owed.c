/* SPDX-License-Identifier: ISC */
#include "owed.h"

#include <stdio.h>
#include <string.h>

#include "wire.h"

bool owed_has_room(const struct owed *owed)
{
	return owed->count + WIRE_SETS_MAX <= OWED_MAX;
}

#define LATE "late: "

/* NULL: there was no room, for which nobody has looked. */
static struct owed_line *add(struct owed *owed, const struct audit_event *event)
{
	if (owed->count == OWED_MAX)
		return NULL;
	struct owed_line *line = &owed->lines[owed->count++];
	line->event = *event;
	line->is_waiting = false;
	snprintf(line->note, sizeof line->note, LATE "%s",
		event->note ? event->note : "the log could not be written");
	line->event.note = line->note;
	snprintf(line->path, sizeof line->path, "%s", event->path ? event->path : "");
	snprintf(line->rule, sizeof line->rule, "%s", event->rule ? event->rule : "");
	line->event.path = event->path ? line->path : NULL;
	line->event.rule = event->rule ? line->rule : NULL;
	audit_facts_keep(&line->event.facts, &line->facts);
	return line;
}

void owed_add(struct owed *owed, const struct audit_event *event)
{
	(void)add(owed, event);
}

void owed_await(struct owed *owed, const struct audit_event *event)
{
	struct owed_line *line = add(owed, event);

	if (!line)
		return;
	line->is_waiting = true;
	line->has_note = event->note != NULL;
}

void owed_settle(struct owed *owed, struct audit *audit, enum mortise_status status)
{
	size_t kept = owed->count;

	for (size_t i = owed->late; i < owed->count; i++) {
		struct owed_line *line = &owed->lines[i];
		struct audit_event event = line->event;
		if (!line->is_waiting)
			continue;
		event.result = status;
		event.note = line->has_note ? line->note + strlen(LATE) : NULL;
		audit_append(audit, &event);
		line->is_waiting = false;
		if (status != MORTISE_OK && kept > i)
			kept = i; /* in their turn there is nothing else */
	}
	owed->count = kept;
}

/*
 * What earlier turns could not write. Not while the log is known to fail, since a turn of requests
 * that need no line would fail with it.
 */
static bool append_late(struct owed *owed, struct audit *audit)
{
	if (owed->late == 0)
		return false;
	if (audit_report(audit).is_failing)
		audit_look_again(audit);
	if (audit_report(audit).is_failing)
		return false;
	for (size_t i = 0; i < owed->late; i++)
		audit_append(audit, &owed->lines[i].event);
	return true;
}

enum mortise_status owed_flush(struct owed *owed, struct audit *audit)
{
	bool is_tried = append_late(owed, audit);
	enum mortise_status status = audit_flush(audit);

	if (status == MORTISE_OK)
		owed->count = is_tried ? 0 : owed->late;
	owed->late = owed->count;
	return status;
}
