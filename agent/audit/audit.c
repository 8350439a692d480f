/* SPDX-License-Identifier: ISC */
#include "audit.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "audit_chain.h"
#include "clock.h"

static enum mortise_status find_end(struct audit *audit)
{
	struct audit_position end = {0};
	uint64_t torn = 0;

	TRY(audit_file_find_end(&audit->file, &end, &torn));
	audit->at_open = audit->committed = audit->chain = end;
	audit->written = end.offset;
	audit->signed_sequence = end.sequence;
	audit->torn_bytes = torn;
	if (torn > 0)
		audit_file_cut(&audit->file, end.offset);
	return MORTISE_OK;
}

static enum mortise_status open_parts(struct audit *audit, const char *path)
{
	TRY(audit_file_open(path, &audit->file));
	TRY(find_end(audit));
	return audit_syncer_start(&audit->syncer);
}

enum mortise_status audit_open(const char *path, bool sync_always, struct audit **out_audit)
{
	struct audit *audit;
	enum mortise_status status;

	if (sodium_init() < 0)
		return MORTISE_IO;
	audit = calloc(1, sizeof *audit);
	if (!audit)
		return MORTISE_BUSY;
	audit->file.fd = -1;
	audit->sync_always = sync_always;
	status = open_parts(audit, path);
	if (status != MORTISE_OK) {
		audit_file_close(&audit->file);
		free(audit);
		return status;
	}
	*out_audit = audit;
	return MORTISE_OK;
}

static const char *keep(const char *text, char room[AUDIT_FACT_SIZE])
{
	if (!text)
		return NULL;
	size_t size = strnlen(text, AUDIT_FACT_SIZE - 1);
	memcpy(room, text, size);
	room[size] = '\0';
	return room;
}

void audit_facts_keep(struct audit_facts *facts, struct audit_facts_room *room)
{
	facts->unit = keep(facts->unit, room->unit);
	facts->exe = keep(facts->exe, room->exe);
	facts->label = keep(facts->label, room->label);
}

void audit_close(struct audit *audit)
{
	if (!audit)
		return;
	/* What cannot be written any more has not been released either. */
	audit_denials_settle(audit);
	if (audit_flush(audit) != MORTISE_OK)
		audit->is_failing = true;
	audit_detach(audit);
	audit_syncer_stop(&audit->syncer);
	audit_file_close(&audit->file);
	free(audit);
}

bool audit_append(struct audit *audit, const struct audit_event *event)
{
	if (audit_role_of(event->operation, strlen(event->operation)) != AUDIT_EVENT) {
		audit->has_turn_failed = true;
		return true;
	}
	if (audit_denials_absorb(audit, event))
		return false;
	audit_put(audit, event, NULL);
	return true;
}

void audit_look_again(struct audit *audit)
{
	if (!audit->is_failing && audit->file.is_on_reserve)
		audit_file_look_again(&audit->file, audit->written);
	if (audit->is_failing && !audit->has_turn_failed)
		audit->is_failing = audit_file_try(&audit->file, audit->written,
					    audit->sync_always) != MORTISE_OK;
}

struct audit_report audit_report(const struct audit *audit)
{
	return (struct audit_report){
		.lines = audit->committed.sequence,
		.lines_unsigned = audit->committed.sequence - audit->signed_sequence,
		.size_bytes = audit->committed.offset,
		.is_failing = audit->is_failing,
		.is_unsynced = audit->phase == AUDIT_UNSYNCED,
		.is_on_reserve = audit->file.is_on_reserve,
		.is_scarce = audit_file_is_scarce(&audit->file, audit->chain.offset),
	};
}

bool audit_is_scarce(struct audit *audit)
{
	if (audit_report(audit).is_scarce)
		audit_file_look_again(&audit->file, audit->chain.offset);
	return audit_report(audit).is_scarce;
}

bool audit_public_key(const struct audit *audit, uint8_t out_key[32])
{
	if (audit->has_first_key)
		memcpy(out_key, audit->first_key, AUDIT_KEY_SIZE);
	return audit->has_first_key;
}

bool audit_is_in_place(const struct audit *audit)
{
	return audit_file_is_in_place(&audit->file);
}
