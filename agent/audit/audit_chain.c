/* SPDX-License-Identifier: ISC */
/*
 * The turn. chain runs ahead with every line; committed is where it stood when the turn
 * began, and where it goes back to if any of the turn's lines does not reach the kernel.
 */
#include "audit_chain.h"

#include <string.h>

#include "clock.h"

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
	if (!end)
		return MORTISE_INTEGRITY;
	*out_size = (size_t)(end - buffer) + 1;
	return MORTISE_OK;
}
