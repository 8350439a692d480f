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
	line->event.note = NULL;
	snprintf(line->path, sizeof line->path, "%s", event->path ? event->path : "");
	snprintf(line->rule, sizeof line->rule, "%s", event->rule ? event->rule : "");
	line->event.path = event->path ? line->path : NULL;
	line->event.rule = event->rule ? line->rule : NULL;
}

void owed_append(struct owed *owed, struct audit *audit)
{
	owed->is_tried = false;
	if (owed->late == 0)
		return;
	if (audit_report(audit).is_failing)
		audit_look_again(audit);
	if (audit_report(audit).is_failing)
		return;
	owed->is_tried = true;
	for (size_t i = 0; i < owed->late; i++) {
		owed->lines[i].event.note = "late: the log could not be written";
		audit_append(audit, &owed->lines[i].event);
	}
}

void owed_settle(struct owed *owed, bool is_on_record)
{
	if (is_on_record)
		owed->count = owed->is_tried ? 0 : owed->late;
	owed->late = owed->count;
}
