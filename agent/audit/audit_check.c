/* SPDX-License-Identifier: ISC */
/*
 * The reader's side of the chain. Every line's hash and number is checked from the first one;
 * signatures from the genesis line that has our first key. What stands before it (refusals of
 * an agent not yet initialised, or the log of an earlier store) is covered by the first
 * checkpoint behind it.
 *
 * Where a line does not hold the hash of the one before, either may have been edited. The
 * line that follows tells which, so the verdict waits for it.
 */
#include <inttypes.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit_chain.h"

enum mortise_status audit_check_new(const uint8_t first_key[32], struct audit_check **out_check)
{
	struct audit_check *check;

	if (sodium_init() < 0)
		return MORTISE_IO;
	check = calloc(1, sizeof *check);
	if (!check)
		return MORTISE_BUSY;
	memcpy(check->first_key, first_key, AUDIT_KEY_SIZE);
	*out_check = check;
	return MORTISE_OK;
}

void audit_check_free(struct audit_check *check)
{
	free(check);
}

void audit_check_resume(struct audit_check *check, const struct audit_position *end,
	const uint8_t *uuid, const uint8_t *key)
{
	*check = (struct audit_check){.end = *end, .lines = end->sequence};
	if (!key)
		return;
	memcpy(check->uuid, uuid, AUDIT_UUID_SIZE);
	memcpy(check->key, key, AUDIT_KEY_SIZE);
	check->has_genesis = true;
}

__attribute__((format(printf, 3, 4))) static enum mortise_status complain(
	struct audit_check *check, uint64_t sequence, const char *format, ...)
{
	size_t size = sizeof check->complaint;
	int length = snprintf(check->complaint, size, "line %" PRIu64, check->lines);
	va_list arguments;

	if (sequence > 0)
		length += snprintf(check->complaint + length, size - (size_t)length,
			" (sequence %" PRIu64 ")", sequence);
	length += snprintf(check->complaint + length, size - (size_t)length, ": ");
	va_start(arguments, format);
	(void)vsnprintf(check->complaint + length, size - (size_t)length, format, arguments);
	va_end(arguments);
	check->has_failed = true;
	return MORTISE_INTEGRITY;
}

/* follows: what comes next has the hash of the suspect line, so that line is as written. */
static enum mortise_status settle_suspect(struct audit_check *check, bool follows)
{
	uint64_t sequence = check->end.sequence;

	if (!follows)
		return complain(check, sequence,
			"changed, or the line before it: it does not hold that line's hash");
	check->lines--;
	return complain(check, sequence - 1, "changed: the next line holds another hash of it");
}

static enum mortise_status check_genesis(struct audit_check *check, const struct audit_line *line)
{
	if (check->has_genesis)
		return complain(check, line->sequence, "another store begins here");
	if (memcmp(line->key, check->first_key, AUDIT_KEY_SIZE) != 0)
		return MORTISE_OK;
	memcpy(check->uuid, line->uuid, AUDIT_UUID_SIZE);
	memcpy(check->key, line->key, AUDIT_KEY_SIZE);
	check->has_genesis = true;
	return MORTISE_OK;
}

static enum mortise_status check_checkpoint(
	struct audit_check *check, const struct audit_line *line)
{
	uint8_t bytes[AUDIT_STATEMENT_SIZE];
	struct audit_statement statement = {.uuid = check->uuid,
		.sequence = line->sequence,
		.prev = line->prev,
		.time = line->time,
		.next = line->next};

	if (!check->has_genesis)
		return MORTISE_OK;
	if (memcmp(line->key, check->key, AUDIT_KEY_SIZE) != 0)
		return complain(check, line->sequence,
			"a checkpoint with another key than the one before it named");
	audit_statement_pack(&statement, bytes);
	if (crypto_sign_verify_detached(line->signature, bytes, sizeof bytes, line->key) != 0)
		return complain(check, line->sequence,
			"wrong signature: this line, or one since checkpoint %" PRIu64
			", was changed",
			check->checkpoints.at.sequence);
	memcpy(check->key, line->next, AUDIT_KEY_SIZE);
	return MORTISE_OK;
}

void audit_check_allow(struct audit_check *check, const uint8_t uuid[16],
	const struct audit_gap *gaps, size_t count)
{
	memcpy(check->gap_uuid, uuid, AUDIT_UUID_SIZE);
	check->gaps = gaps;
	check->gap_count = count;
}

size_t audit_check_gaps(const struct audit_check *check)
{
	return check->gaps_passed;
}

/* Behind it the chain is that of the key that signs next. */
static bool pass_gap(struct audit_check *check, const struct audit_line *line)
{
	for (size_t i = 0; i < check->gap_count; i++) {
		const struct audit_gap *gap = &check->gaps[i];

		if (gap->sequence != line->sequence ||
			memcmp(gap->head, check->joint, AUDIT_HASH_SIZE) != 0)
			continue;
		memcpy(check->uuid, check->gap_uuid, AUDIT_UUID_SIZE);
		memcpy(check->key, gap->key, AUDIT_KEY_SIZE);
		check->has_genesis = true;
		check->gaps_passed++;
		return true;
	}
	return false;
}

static enum mortise_status check_joint(struct audit_check *check, const struct audit_line *line)
{
	static const char damaged[] = "DAMAGED";
	size_t size = sizeof damaged - 1;

	if (line->note_size < size || memcmp(line->note, damaged, size) != 0 ||
		pass_gap(check, line) || !check->has_genesis)
		return MORTISE_OK;
	return complain(check, line->sequence, "the agent found a damaged log: %.*s",
		(int)line->note_size, line->note);
}

static enum mortise_status check_role(struct audit_check *check, const struct audit_line *line)
{
	switch (line->role) {
	case AUDIT_GENESIS:
		return check_genesis(check, line);
	case AUDIT_CHECKPOINT:
		return check_checkpoint(check, line);
	case AUDIT_JOINT:
		return check_joint(check, line);
	case AUDIT_EVENT:
	case AUDIT_DENIALS:
		return MORTISE_OK;
	}
	return MORTISE_OK;
}

static enum mortise_status check_place(struct audit_check *check, const struct audit_line *line)
{
	if (line->sequence != check->end.sequence + 1)
		return complain(check, line->sequence, "sequence %" PRIu64 " was expected",
			check->end.sequence + 1);
	if (memcmp(line->prev, check->end.head, AUDIT_HASH_SIZE) == 0)
		return check_role(check, line);
	if (line->sequence == 1)
		return complain(check, 1, "changed: the first line follows none");
	check->is_suspect = true;
	return MORTISE_OK;
}

/* size is without the newline. */
static enum mortise_status check_line(struct audit_check *check, const char *text, size_t size)
{
	struct audit_line line;
	bool is_line = audit_line_parse(text, size, &line) == MORTISE_OK;
	uint64_t start = check->end.offset;

	if (check->is_suspect)
		return settle_suspect(
			check, is_line && memcmp(line.prev, check->end.head, AUDIT_HASH_SIZE) == 0);
	check->lines++;
	if (!is_line)
		return complain(check, 0, "not a line of the audit log");
	if (line.role == AUDIT_JOINT)
		audit_line_hash(text, size, check->joint);
	TRY(check_place(check, &line));
	check->end.offset += size + 1;
	check->end.sequence = line.sequence;
	audit_line_hash(text, size, check->end.head);
	if (line.role == AUDIT_CHECKPOINT) {
		check->checkpoints.count++;
		check->checkpoints.at = check->end;
		check->checkpoints.at.offset = start;
	}
	return MORTISE_OK;
}

enum mortise_status audit_check_feed(struct audit_check *check, const uint8_t *lines, size_t size)
{
	const char *at = (const char *)lines, *end = at + size;

	if (check->has_failed)
		return MORTISE_INTEGRITY;
	while (at < end) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));

		if (!newline) {
			check->lines++;
			return complain(check, 0, "not a whole line");
		}
		TRY(check_line(check, at, (size_t)(newline - at)));
		at = newline + 1;
	}
	return MORTISE_OK;
}

enum mortise_status audit_check_compare(struct audit_check *check, const struct audit *audit)
{
	const struct audit_position *live = audit ? &audit->committed : &check->end;
	bool is_live_head = audit && live->sequence == check->end.sequence &&
			    memcmp(live->head, check->end.head, AUDIT_HASH_SIZE) == 0;

	if (check->has_failed)
		return MORTISE_INTEGRITY;
	if (check->is_suspect)
		return settle_suspect(check, is_live_head);
	if (check->end.sequence < live->sequence) {
		check->lines++;
		return complain(check, check->end.sequence + 1,
			"missing: the agent has written up to sequence %" PRIu64, live->sequence);
	}
	if (check->end.sequence > live->sequence || (audit && !is_live_head))
		return complain(check, check->end.sequence, "not what the agent has written");
	return MORTISE_OK;
}

enum mortise_status audit_check_end(struct audit_check *check, const struct audit *audit)
{
	TRY(audit_check_compare(check, audit));
	if (!check->has_genesis)
		return complain(check, 0, "no genesis line has this first key");
	return MORTISE_OK;
}

const char *audit_check_complaint(const struct audit_check *check)
{
	return check->complaint;
}

uint64_t audit_check_lines(const struct audit_check *check)
{
	return check->lines;
}

uint64_t audit_check_checkpoints(const struct audit_check *check)
{
	return check->checkpoints.count;
}

/* ---- following the log ---- */

enum mortise_status audit_check_lack(struct audit_check *check, const char *text)
{
	(void)snprintf(check->complaint, sizeof check->complaint, "%s", text);
	check->has_failed = true;
	return MORTISE_INTEGRITY;
}

/* The line at `from`, up to and with its newline. */
static enum mortise_status find_start(const struct audit *audit, const struct audit_position *from,
	uint64_t *out_offset, struct audit_check *check)
{
	static const char missing[] = "the log lacks its last signed line";
	char line[AUDIT_LINE_MAX];
	uint8_t hash[AUDIT_HASH_SIZE];
	const char *newline;
	size_t size;

	if (from->offset >= audit->committed.offset)
		return audit_check_lack(check, missing);
	TRY(audit_file_read(&audit->file, from->offset, line, sizeof line, &size));
	newline = memchr(line, '\n', size);
	if (!newline)
		return audit_check_lack(check, missing);
	audit_line_hash(line, (size_t)(newline - line), hash);
	if (memcmp(hash, from->head, AUDIT_HASH_SIZE) != 0)
		return audit_check_lack(check, missing);
	*out_offset = from->offset + (uint64_t)(newline - line) + 1;
	return MORTISE_OK;
}

static enum mortise_status feed_rest(
	struct audit *audit, uint8_t *chunk, bool rewrite, struct audit_check *check)
{
	size_t size;

	for (uint64_t offset = check->end.offset;; offset += size) {
		enum mortise_status status =
			audit_read(audit, offset, chunk, AUDIT_CHUNK_SIZE, &size);

		if (status == MORTISE_INVALID || status == MORTISE_INTEGRITY)
			return audit_check_lack(check, "the log is shorter than what was written");
		TRY(status);
		if (size == 0)
			return MORTISE_OK;
		TRY(audit_check_feed(check, chunk, size));
		if (rewrite)
			TRY(audit_file_write(&audit->file, offset, chunk, size));
	}
}

/* The line at `from` itself is of the lines to be written again. */
static enum mortise_status follow_in(struct audit *audit, const struct audit_route *route,
	uint8_t *chunk, struct audit_check *check)
{
	struct audit_position start = *route->from;

	TRY(find_start(audit, route->from, &start.offset, check));
	audit_check_resume(check, &start, route->uuid, route->key);
	if (route->rewrite) {
		size_t size;

		TRY(audit_file_read(&audit->file, route->from->offset, chunk,
			(size_t)(start.offset - route->from->offset), &size));
		TRY(audit_file_write(&audit->file, route->from->offset, chunk, size));
	}
	TRY(feed_rest(audit, chunk, route->rewrite, check));
	return audit_check_compare(check, audit);
}

enum mortise_status audit_follow(
	struct audit *audit, const struct audit_route *route, struct audit_check *check)
{
	uint8_t *chunk = malloc(AUDIT_CHUNK_SIZE);
	enum mortise_status status;

	*check = (struct audit_check){0};
	if (!chunk)
		return MORTISE_BUSY;
	status = follow_in(audit, route, chunk, check);
	free(chunk);
	return status;
}
