/* SPDX-License-Identifier: ISC */
#include "owed.h"

#include <stdio.h>

#include "wire.h"

bool owed_has_room(const struct owed *owed)
{
	return owed->count + WIRE_SETS_MAX <= OWED_MAX;
}

void owed_add(struct owed *owed, const struct audit_event *event)
{
	if (owed->count == OWED_MAX)
		return;
	struct owed_line *line = &owed->lines[owed->count++];
	line->event = *event;
	snprintf(line->note, sizeof line->note, "late: %s",
		event->note ? event->note : "the log could not be written");
	line->event.note = line->note;
	snprintf(line->path, sizeof line->path, "%s", event->path ? event->path : "");
	snprintf(line->rule, sizeof line->rule, "%s", event->rule ? event->rule : "");
	line->event.path = event->path ? line->path : NULL;
	line->event.rule = event->rule ? line->rule : NULL;
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
