/* SPDX-License-Identifier: ISC */
/*
 * Checkpoints. Key n signs and names the public half of key n+1, which the stored state has
 * already; key n+2 is made up. Once the line is written key n is wiped, and once it is on
 * disk the state with n+1 and n+2 is handed out. A crash in between leaves a stored state
 * with n and n+1, and a log that says that n is used up.
 *
 * The state, AUDIT_STATE_SIZE bytes, numbers little-endian:
 *
 *	0   8 "mortaud1"
 *	8   u64 sequence of the newest checkpoint (or genesis) line
 *	16  u64 offset of that line's first byte
 *	24  32 hash of that line
 *	56  32 seed of the key that signs next
 *	88  32 seed of the key after it
 *	120 32 public half of the first key of all
 */
#include <sodium.h>
#include <string.h>

#include "audit_chain.h"
#include "clock.h"
#include "little_endian.h"

#define SEED_SIZE       32
#define SECRET_KEY_SIZE 64
#define MINUTE_US       UINT64_C(60000000)

static const char magic[] = "mortaud1";

enum state_layout {
	AT_MAGIC = 0,
	AT_SEQUENCE = 8,
	AT_OFFSET = 16,
	AT_HEAD = 24,
	AT_CURRENT = 56,
	AT_NEXT = 88,
	AT_FIRST = 120,
};

void audit_state_pack(struct secret *state, const struct audit_keys *keys)
{
	memcpy(state->bytes + AT_MAGIC, magic, sizeof magic - 1);
	le64_put(state->bytes + AT_SEQUENCE, keys->at.sequence);
	le64_put(state->bytes + AT_OFFSET, keys->at.offset);
	memcpy(state->bytes + AT_HEAD, keys->at.head, AUDIT_HASH_SIZE);
	memcpy(state->bytes + AT_CURRENT, keys->current, SEED_SIZE);
	memcpy(state->bytes + AT_NEXT, keys->next, SEED_SIZE);
	memcpy(state->bytes + AT_FIRST, keys->first_key, AUDIT_KEY_SIZE);
}

enum mortise_status audit_state_parse(const struct secret *state, struct audit_keys *out_keys)
{
	struct audit_keys keys;

	if (state->size != AUDIT_STATE_SIZE ||
		memcmp(state->bytes + AT_MAGIC, magic, sizeof magic - 1) != 0)
		return MORTISE_INTEGRITY;
	keys.at.sequence = le64_get(state->bytes + AT_SEQUENCE);
	keys.at.offset = le64_get(state->bytes + AT_OFFSET);
	memcpy(keys.at.head, state->bytes + AT_HEAD, AUDIT_HASH_SIZE);
	keys.current = state->bytes + AT_CURRENT;
	keys.next = state->bytes + AT_NEXT;
	keys.first_key = state->bytes + AT_FIRST;
	if (keys.at.sequence == 0 || keys.at.offset > INT64_MAX ||
		sodium_is_zero(keys.current, SEED_SIZE) || sodium_is_zero(keys.next, SEED_SIZE) ||
		sodium_memcmp(keys.current, keys.next, SEED_SIZE) == 0 ||
		crypto_core_ed25519_is_valid_point(keys.first_key) != 1)
		return MORTISE_INTEGRITY;
	*out_keys = keys;
	return MORTISE_OK;
}

enum mortise_status audit_public_half(const uint8_t *seed, uint8_t *out_key)
{
	CLEANUP(secret_drop) struct secret *secret_key = NULL;

	TRY(secret_new(SECRET_KEY_SIZE, &secret_key));
	return crypto_sign_seed_keypair(out_key, secret_key->bytes, seed) == 0 ? MORTISE_OK
									       : MORTISE_IO;
}

/* With the key that the signature can be checked with. */
static enum mortise_status sign_statement(const uint8_t *seed,
	const struct audit_statement *statement, uint8_t *out_key, uint8_t *out_signature)
{
	CLEANUP(secret_drop) struct secret *secret_key = NULL;
	uint8_t bytes[AUDIT_STATEMENT_SIZE];

	TRY(secret_new(SECRET_KEY_SIZE, &secret_key));
	audit_statement_pack(statement, bytes);
	if (crypto_sign_seed_keypair(out_key, secret_key->bytes, seed) != 0 ||
		crypto_sign_detached(out_signature, NULL, bytes, sizeof bytes, secret_key->bytes) !=
			0)
		return MORTISE_IO;
	return MORTISE_OK;
}

/* A line that carries a proof, in the file; where it stands. The turn is empty. */
static enum mortise_status write_proof(struct audit *audit, const struct audit_event *event,
	const struct audit_proof *proof, struct audit_position *out_at)
{
	uint64_t offset = audit->committed.offset;
	/* What a genesis begins must be found again by a store that remembers it. */
	bool disk = audit->sync_always || proof->uuid;

	audit_put(audit, event, proof);
	TRY(audit_flush_to(audit, disk));
	*out_at = audit->committed;
	out_at->offset = offset;
	return MORTISE_OK;
}

void audit_succeed(struct audit *audit, struct secret **state, struct secret **handed)
{
	secret_free(audit->state);
	secret_free(audit->handed);
	audit->state = secret_take(state);
	audit->handed = secret_take(handed);
}

static void adopt(struct audit *audit, const uint8_t *uuid, const struct audit_keys *keys)
{
	memmove(audit->uuid, uuid, AUDIT_UUID_SIZE);
	memcpy(audit->first_key, keys->first_key, AUDIT_KEY_SIZE);
	audit->has_first_key = true;
	audit->anchor = keys->at;
	audit->signed_sequence = keys->at.sequence;
}

enum mortise_status audit_begin_chain(
	struct audit *audit, const uint8_t uuid[16], struct secret **out_state)
{
	CLEANUP(secret_drop) struct secret *seeds = NULL, *state = NULL, *given = NULL;
	uint8_t key[AUDIT_KEY_SIZE];
	struct audit_event event = {.time_us = clock_now().wall_us, .operation = "genesis"};
	struct audit_proof proof = {.uuid = uuid, .key = key};
	struct audit_keys keys = {.first_key = key};
	struct secret *none = NULL;

	if (audit->phase == AUDIT_SYNCING)
		return MORTISE_CONFLICT;
	TRY(secret_random(2 * SEED_SIZE, &seeds));
	TRY(secret_new(AUDIT_STATE_SIZE, &state));
	TRY(secret_new(AUDIT_STATE_SIZE, &given));
	TRY(audit_public_half(seeds->bytes, key));
	TRY(audit_settle_turn(audit));
	TRY(write_proof(audit, &event, &proof, &keys.at));
	keys.current = seeds->bytes;
	keys.next = seeds->bytes + SEED_SIZE;
	audit_state_pack(state, &keys);
	audit_state_pack(given, &keys);
	audit_succeed(audit, &state, &none);
	adopt(audit, uuid, &keys);
	audit->phase = AUDIT_IDLE;
	audit->is_requested = true;
	*out_state = secret_take(&given);
	return MORTISE_OK;
}

void audit_detach(struct audit *audit)
{
	secret_drop(&audit->state);
	secret_drop(&audit->handed);
	if (audit->phase == AUDIT_HANDED)
		audit->phase = AUDIT_IDLE;
}

/* The turn is empty and keys are attached. */
static enum mortise_status sign(struct audit *audit, uint64_t now_us)
{
	CLEANUP(secret_drop) struct secret *seed = NULL, *state = NULL, *handed = NULL;
	uint8_t key[AUDIT_KEY_SIZE], next[AUDIT_KEY_SIZE], signature[AUDIT_SIGNATURE_SIZE];
	struct audit_event event = {.time_us = now_us, .operation = "checkpoint"};
	struct audit_proof proof = {.key = key, .next = next, .signature = signature};
	struct audit_statement statement = {.uuid = audit->uuid,
		.sequence = audit->committed.sequence + 1,
		.prev = audit->committed.head,
		.time = audit->clock.text,
		.next = next};
	struct audit_keys keys;

	TRY(secret_random(SEED_SIZE, &seed));
	TRY(secret_new(AUDIT_STATE_SIZE, &state));
	TRY(secret_new(AUDIT_STATE_SIZE, &handed));
	TRY(audit_state_parse(audit->state, &keys));
	TRY(audit_public_half(keys.next, next));
	audit_clock_set(&audit->clock, now_us);
	TRY(sign_statement(keys.current, &statement, key, signature));
	TRY(write_proof(audit, &event, &proof, &keys.at));
	audit->signed_sequence = keys.at.sequence;
	audit->is_requested = false;
	keys.current = keys.next;
	keys.next = seed->bytes;
	audit_state_pack(state, &keys);
	audit_state_pack(handed, &keys);
	audit_succeed(audit, &state, &handed);
	return audit_harden(audit);
}

/* What fdatasync failed on may be gone from memory as well, so it is checked on the way. */
static enum mortise_status rewrite(struct audit *audit)
{
	struct audit_check check;
	struct audit_route route = {.from = &audit->anchor, .rewrite = true};

	TRY(audit_file_reopen(&audit->file));
	return audit_follow(audit, &route, &check);
}

enum mortise_status audit_harden(struct audit *audit)
{
	bool is_again = audit->phase == AUDIT_UNSYNCED;

	audit->phase = AUDIT_UNSYNCED;
	if (is_again)
		TRY(rewrite(audit));
	if (audit->sync_always)
		TRY(audit_file_sync(&audit->file));
	audit_syncer_begin(&audit->syncer, audit->sync_always ? -1 : audit->file.fd);
	audit->phase = AUDIT_SYNCING;
	return MORTISE_OK;
}

bool audit_checkpoint_is_due(const struct audit *audit, uint64_t now_us)
{
	uint64_t lines = audit->committed.sequence - audit->signed_sequence;
	bool is_minute_gone = now_us < audit->attempt_us || now_us - audit->attempt_us >= MINUTE_US;

	if (audit_denials_wait(audit, now_us))
		return true;
	if (!audit->state)
		return false;
	if (audit->phase == AUDIT_UNSYNCED)
		return is_minute_gone;
	return audit->phase == AUDIT_IDLE && lines > 0 &&
	       (audit->is_requested || is_minute_gone || lines >= AUDIT_LINES_PER_CHECKPOINT);
}

void audit_request_checkpoint(struct audit *audit)
{
	audit->is_requested = true;
}

enum mortise_status audit_checkpoint_begin(struct audit *audit, uint64_t now_us)
{
	audit_denials_settle(audit);
	TRY(audit_settle_turn(audit));
	if (!audit->state || audit->phase == AUDIT_SYNCING || audit->phase == AUDIT_HANDED)
		return MORTISE_OK;
	audit->attempt_us = now_us;
	if (audit->phase == AUDIT_UNSYNCED)
		return audit_harden(audit);
	if (audit->committed.sequence == audit->signed_sequence)
		return MORTISE_OK;
	return sign(audit, now_us);
}

int audit_descriptor(const struct audit *audit)
{
	return audit->syncer.event;
}

enum mortise_status audit_checkpoint_end(struct audit *audit, struct secret **out_state)
{
	enum mortise_status status = audit_syncer_end(&audit->syncer);
	struct audit_keys keys;

	if (status == MORTISE_BUSY)
		return status;
	if (status != MORTISE_OK) {
		audit->file.needs_reopen = true;
		audit->phase = AUDIT_UNSYNCED;
		return status;
	}
	audit->phase = AUDIT_IDLE;
	if (!audit->handed)
		return MORTISE_BUSY;
	TRY(audit_state_parse(audit->handed, &keys));
	audit->anchor = keys.at;
	audit->phase = AUDIT_HANDED;
	*out_state = secret_take(&audit->handed);
	return MORTISE_OK;
}

void audit_checkpoint_stored(struct audit *audit)
{
	if (audit->phase == AUDIT_HANDED)
		audit->phase = AUDIT_IDLE;
}
