/* SPDX-License-Identifier: ISC */
/*
 * The turn. chain runs ahead with every line; committed is where it stood when the turn
 * began, and where it goes back to if any of the turn's lines does not reach the kernel.
 */
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
	if (audit == NULL)
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

void audit_close(struct audit *audit)
{
	if (audit == NULL)
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

static enum mortise_status write_out(struct audit *audit)
{
	if (audit->used == 0)
		return MORTISE_OK;
	TRY(audit_file_write(&audit->file, audit->written, audit->buffer, audit->used));
	audit->written += audit->used;
	audit->used = 0;
	return MORTISE_OK;
}

void audit_put(
	struct audit *audit, const struct audit_event *event, const struct audit_proof *proof)
{
	char *line;
	size_t size = 0;

	if (AUDIT_TURN_SIZE - audit->used < AUDIT_LINE_MAX && write_out(audit) != MORTISE_OK)
		audit->has_turn_failed = true;
	if (audit->has_turn_failed)
		return;
	line = audit->buffer + audit->used;
	audit_clock_set(&audit->clock, event->time_us);
	audit->clock.is_doubtful = !clock_is_believed();
	if (audit->chain.sequence < UINT64_MAX)
		size = audit_line_format(line, &audit->clock, audit->chain.sequence + 1, event,
			proof, audit->chain.head);
	if (size == 0) {
		audit->has_turn_failed = true;
		return;
	}
	audit->used += size;
	audit->chain.offset += size;
	audit->chain.sequence++;
	audit_line_hash(line, size - 1, audit->chain.head);
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

static void commit(struct audit *audit)
{
	audit->committed = audit->chain;
	if (audit->denials.has_changed) {
		audit->denials.has_changed = false;
		audit->denials_committed = audit->denials;
	}
}

static void roll_back(struct audit *audit)
{
	audit->chain = audit->committed;
	audit->written = audit->committed.offset;
	audit->used = 0;
	audit_file_cut(&audit->file, audit->committed.offset);
	if (audit->denials.has_changed)
		audit->denials = audit->denials_committed;
}

enum mortise_status audit_flush_to(struct audit *audit, bool disk)
{
	bool is_empty = audit->chain.offset == audit->committed.offset;
	enum mortise_status status = audit->has_turn_failed ? MORTISE_IO : write_out(audit);

	if (status == MORTISE_OK && disk && !is_empty)
		status = audit_file_sync(&audit->file);
	if (status == MORTISE_OK)
		commit(audit);
	else
		roll_back(audit);
	if (!is_empty || status != MORTISE_OK)
		audit->is_failing = status != MORTISE_OK;
	audit->has_turn_failed = false;
	return status == MORTISE_OK ? MORTISE_OK : MORTISE_BUSY;
}

enum mortise_status audit_flush(struct audit *audit)
{
	return audit_flush_to(audit, audit->sync_always);
}

enum mortise_status audit_settle_turn(struct audit *audit)
{
	enum mortise_status status = audit_flush(audit);

	audit->has_turn_failed = status != MORTISE_OK;
	return status;
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

static enum mortise_status check_line_start(const struct audit *audit, uint64_t offset)
{
	char before;
	size_t size;

	if (offset > audit->committed.offset)
		return MORTISE_INVALID;
	if (offset == 0)
		return MORTISE_OK;
	TRY(audit_file_read(&audit->file, offset - 1, &before, 1, &size));
	if (size == 0)
		return MORTISE_INTEGRITY;
	return before == '\n' ? MORTISE_OK : MORTISE_INVALID;
}

enum mortise_status audit_read(const struct audit *audit, uint64_t offset, uint8_t *buffer,
	size_t capacity, size_t *out_size)
{
	uint64_t left;
	const uint8_t *end;
	size_t size;

	TRY(check_line_start(audit, offset));
	left = audit->committed.offset - offset;
	if (left == 0) {
		*out_size = 0;
		return MORTISE_OK;
	}
	if (capacity < AUDIT_LINE_MAX)
		return MORTISE_INVALID;
	TRY(audit_file_read(
		&audit->file, offset, buffer, left < capacity ? (size_t)left : capacity, &size));
	end = memrchr(buffer, '\n', size);
	if (end == NULL)
		return MORTISE_INTEGRITY;
	*out_size = (size_t)(end - buffer) + 1;
	return MORTISE_OK;
}
