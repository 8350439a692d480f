/* SPDX-License-Identifier: ISC */
/*
 * Where a restarted agent goes on: the stored state names a signed line, and from it the log
 * must lead to its end without a break. What was found is said in a `joint` line.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit_chain.h"
#include "clock.h"

/* Our key may have signed one checkpoint that the store never heard of, but no more. */
static enum mortise_status check_successor(struct audit_check *check, const struct audit_keys *keys)
{
	uint8_t next[AUDIT_KEY_SIZE];

	if (check->checkpoints.count == 0)
		return MORTISE_OK;
	if (check->checkpoints.count > 1)
		return audit_check_lack(check, "the log is newer than the store's keys");
	TRY(audit_public_half(keys->next, next));
	if (memcmp(check->key, next, AUDIT_KEY_SIZE) != 0)
		return audit_check_lack(
			check, "a checkpoint names a key that the store does not have");
	return MORTISE_OK;
}

static enum mortise_status examine(struct audit *audit, const uint8_t *uuid,
	const struct audit_keys *keys, struct audit_check *check)
{
	uint8_t key[AUDIT_KEY_SIZE];
	struct audit_route route = {&keys->at, uuid, key, false};

	TRY(audit_public_half(keys->current, key));
	TRY(audit_follow(audit, &route, check));
	return check_successor(check, keys);
}

static void describe(const struct audit *audit, const struct audit_check *check,
	uint64_t signed_sequence, char *note, size_t size)
{
	int length = 0;

	note[0] = '\0';
	if (check->has_failed)
		length = snprintf(note, size, "DAMAGED: %s; ", check->complaint);
	if (audit->torn_bytes > 0)
		length += snprintf(note + length, size - (size_t)length,
			"a torn line of %" PRIu64 " bytes was cut off; ", audit->torn_bytes);
	if (!check->has_failed && audit->at_open.sequence > signed_sequence)
		length += snprintf(note + length, size - (size_t)length,
			"%" PRIu64 " lines behind the last checkpoint; ",
			audit->at_open.sequence - signed_sequence);
	if (length > 2)
		note[length - 2] = '\0';
}

static enum mortise_status join(struct audit *audit, const char *note)
{
	struct audit_event event = {
		.time_us = clock_now().wall_us, .operation = "joint", .note = note};

	if (note[0] == '\0')
		return MORTISE_OK;
	audit_put(audit, &event, NULL);
	return audit_flush(audit);
}

/*
 * The signed line of the state is in the log and may be relied on. In a damaged log there is
 * none, and what is written from now on begins with the joint at joint_offset.
 */
static void install(
	struct audit *audit, const struct audit_keys *keys, bool is_damaged, uint64_t joint_offset)
{
	memcpy(audit->first_key, keys->first_key, AUDIT_KEY_SIZE);
	audit->has_first_key = true;
	audit->anchor = keys->at;
	audit->signed_sequence = keys->at.sequence;
	if (is_damaged) {
		audit->anchor = audit->committed;
		audit->anchor.offset = joint_offset;
		audit->signed_sequence = 0;
	}
	audit->torn_bytes = 0;
	audit->at_open.sequence = 0;
	audit->attempt_us = 0;
	if (audit->phase == AUDIT_HANDED)
		audit->phase = AUDIT_IDLE;
}

/*
 * The log says that the current key is used up: goes on with the next one, as if the
 * checkpoint had been made by this process and were on its way to the disk.
 */
static enum mortise_status skip_used_key(
	struct audit_keys *keys, const struct audit_check *check, struct secret **out_state)
{
	CLEANUP(secret_drop) struct secret *seed = NULL, *state = NULL;

	TRY(secret_random(32, &seed));
	TRY(secret_new(AUDIT_STATE_SIZE, &state));
	keys->at = check->checkpoints.at;
	keys->current = keys->next;
	keys->next = seed->bytes;
	audit_state_pack(state, keys);
	*out_state = secret_take(&state);
	return audit_state_parse(*out_state, keys);
}

/* A line's text has no bare quote, so that this stands nowhere else. */
static bool has_vouched(const uint8_t *text, size_t size)
{
	static const char *const marks[] = {
		"\"op\":\"genesis\"", "\"op\":\"checkpoint\"", "\"op\":\"joint\""};

	for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++)
		if (memmem(text, size, marks[i], strlen(marks[i])))
			return true;
	return false;
}

enum mortise_status audit_find_vouched(const struct audit *audit)
{
	uint8_t *chunk = malloc(AUDIT_CHUNK_SIZE);
	enum mortise_status status = chunk ? MORTISE_OK : MORTISE_BUSY;
	bool is_found = false;
	size_t size = 1;

	for (uint64_t offset = 0; status == MORTISE_OK && size > 0 && !is_found; offset += size) {
		status = audit_read(audit, offset, chunk, AUDIT_CHUNK_SIZE, &size);
		is_found = status == MORTISE_OK && has_vouched(chunk, size);
	}
	free(chunk);
	TRY(status);
	return is_found ? MORTISE_OK : MORTISE_NOT_FOUND;
}

const struct audit_gap *audit_gap(const struct audit *audit)
{
	return &audit->gap;
}

/* The joint, if it tells of damage, is the last line. */
static void note_gap(
	struct audit *audit, const struct audit_check *check, const uint8_t key[AUDIT_KEY_SIZE])
{
	audit->gap = (struct audit_gap){.sequence = 0};
	if (!check->has_failed)
		return;
	audit->gap.sequence = audit->committed.sequence;
	memcpy(audit->gap.head, audit->committed.head, AUDIT_HASH_SIZE);
	memcpy(audit->gap.key, key, AUDIT_KEY_SIZE);
	(void)snprintf(audit->gap.why, sizeof audit->gap.why, "%s", check->complaint);
}

static enum mortise_status take_over(struct audit *audit, struct audit_keys *keys,
	struct audit_check *check, const struct secret *stored)
{
	CLEANUP(secret_drop) struct secret *state = NULL, *handed = NULL;
	bool skips = !check->has_failed && check->checkpoints.count == 1;
	struct audit_position before = keys->at;
	uint64_t offset = audit->committed.offset;
	uint8_t key[AUDIT_KEY_SIZE];
	char note[512];

	if (skips) {
		TRY(skip_used_key(keys, check, &state));
		TRY(secret_copy(state->bytes, state->size, &handed));
	} else {
		TRY(secret_copy(stored->bytes, stored->size, &state));
	}
	describe(audit, check, keys->at.sequence, note, sizeof note);
	TRY(audit_public_half(keys->current, key));
	TRY(join(audit, note));
	note_gap(audit, check, key);
	install(audit, keys, check->has_failed, offset);
	audit_succeed(audit, &state, &handed);
	if (!skips)
		return MORTISE_OK;
	audit->anchor = before;
	/* If this fails the next audit_checkpoint_begin() tries again. */
	if (audit->phase != AUDIT_SYNCING && audit_harden(audit) != MORTISE_OK)
		audit->is_failing = true;
	return MORTISE_OK;
}

enum mortise_status audit_attach(
	struct audit *audit, const uint8_t uuid[16], const struct secret *state)
{
	struct audit_check check = {0};
	struct audit_keys keys;
	enum mortise_status status;

	TRY(audit_state_parse(state, &keys));
	TRY(audit_settle_turn(audit));
	status = examine(audit, uuid, &keys, &check);
	if (status != MORTISE_OK && !check.has_failed)
		return status;
	TRY(take_over(audit, &keys, &check, state));
	memcpy(audit->uuid, uuid, AUDIT_UUID_SIZE);
	return MORTISE_OK;
}
