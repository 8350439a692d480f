/* SPDX-License-Identifier: ISC */
/* New versions of secrets, one or many at once. */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vault_revision.h"

/* The version that a write with this token made, if it is kept still; 0: none. */
static enum mortise_status find_token(const struct vault *vault, struct entry *entry,
	const uint8_t token[WIRE_TOKEN_SIZE], uint64_t *out_number)
{
	uint64_t number = 0;

	for (size_t i = entry ? entry->version_count : 0; i > 0 && !number; i--) {
		struct entry_version *version = &entry->versions[i - 1];
		TRY(info_say(vault, entry->number, version));
		if (sodium_memcmp(version->said.token, token, WIRE_TOKEN_SIZE) == 0)
			number = version->number;
	}
	*out_number = number;
	return MORTISE_OK;
}

bool vault_has(const struct vault *vault, const char *path)
{
	struct index_row row;

	return vault_row(vault, path, &row);
}

bool vault_was_written(struct vault *vault, const struct vault_write *write)
{
	CLEANUP(entry_drop) struct entry *entry = NULL;
	uint64_t number = 0;

	return vault_look_up(vault, write->path, &entry) == MORTISE_OK &&
	       find_token(vault, entry, write->token, &number) == MORTISE_OK && number != 0;
}

/* Is the secret there, with this very value? */
static enum mortise_status is_same(
	struct vault *vault, const struct vault_write *write, bool *out_same)
{
	CLEANUP(secret_drop) struct secret *value = NULL;
	const struct vault_choice current = {VAULT_CURRENT, 0};
	uint64_t version;
	enum mortise_status status = vault_read(vault, write->path, &current, &value, &version);

	if (status == MORTISE_OK)
		*out_same = value->size == write->size &&
			    sodium_memcmp(value->bytes, write->value, write->size) == 0;
	else if (status == MORTISE_NOT_FOUND)
		*out_same = false;
	else
		return status;
	return MORTISE_OK;
}

static uint64_t version_seen(const struct entry *entry)
{
	return entry && !entry->is_deleted ? entry->current : 0;
}

static enum mortise_status check_pending(const struct entry *before)
{
	if (!before || before->is_deleted)
		return MORTISE_NOT_FOUND;
	return before->pending ? MORTISE_CONFLICT : MORTISE_OK;
}

static enum mortise_status prepare(struct vault *vault, const struct vault_write *write,
	struct entry *before, size_t others, struct revision *revision)
{
	if (write->is_pending)
		TRY(check_pending(before));
	if (before)
		TRY(revision_begin(vault, before, revision));
	else
		TRY(revision_begin_new(vault, write->path, write->time_us, others, revision));
	revision->joins = write->joins;
	TRY(revision_add(vault, write, revision));
	if (write->is_pending) {
		revision->head.pending = revision->added;
	} else {
		revision_make_current(revision, revision->added);
		revision->head.deleted_us = 0;
	}
	revision_prune(revision);
	return MORTISE_OK;
}

/*
 * What a write comes to; *out_writes is false where nothing is to be done. A token seen before
 * comes first: what it did may be why the other conditions fail now. `others` new secrets are made
 * with it.
 */
static enum mortise_status consider(struct vault *vault, const struct vault_write *write,
	size_t others, struct revision *revision, struct vault_outcome *out_outcome,
	bool *out_writes)
{
	CLEANUP(entry_drop) struct entry *before = NULL;
	struct vault_outcome outcome = {0, true};
	bool same = false;

	if (write->size > MORTISE_VALUE_MAX ||
		(write->note && strlen(write->note) > VAULT_NOTE_MAX))
		return MORTISE_INVALID;
	TRY(vault_look_up(vault, write->path, &before));
	TRY(find_token(vault, before, write->token, &outcome.version));
	bool is_done = outcome.version != 0;
	if (!is_done && write->has_expected_version &&
		write->expected_version != version_seen(before))
		return MORTISE_CONFLICT;
	if (!is_done && write->only_if_changed)
		TRY(is_same(vault, write, &same));
	if (same)
		outcome = (struct vault_outcome){before->current, false};
	if (!is_done && !same) {
		TRY(prepare(vault, write, before, others, revision));
		outcome.version = revision->added;
	}
	*out_outcome = outcome;
	*out_writes = !is_done && !same && !vault->is_rehearsal;
	return MORTISE_OK;
}

enum mortise_status vault_write(
	struct vault *vault, const struct vault_write *write, struct vault_outcome *out_outcome)
{
	CLEANUP(revision_done) struct revision revision = {0};
	struct vault_outcome outcome;
	bool writes = false;

	TRY(consider(vault, write, 0, &revision, &outcome, &writes));
	if (writes)
		TRY(revision_commit(vault, &revision, 1));
	*out_outcome = outcome;
	return MORTISE_OK;
}

enum mortise_status vault_rollback(struct vault *vault, const struct vault_write *write,
	uint64_t to, struct vault_outcome *out_outcome)
{
	const struct vault_choice choice = {VAULT_NUMBER, to};
	CLEANUP(secret_drop) struct secret *value = NULL;
	CLEANUP(entry_drop) struct entry *before = NULL;
	struct vault_outcome outcome = {0, true};
	struct vault_write rewrite = *write;
	char note[64];
	uint64_t version = 0;

	TRY(vault_look_up(vault, write->path, &before));
	/* First, since that version may have made room for the new one. */
	TRY(find_token(vault, before, write->token, &outcome.version));
	if (!outcome.version && version_seen(before) == to)
		outcome = (struct vault_outcome){to, false};
	if (!outcome.version) {
		TRY(vault_read(vault, write->path, &choice, &value, &version));
		snprintf(note, sizeof note, "rollback to version %llu", (unsigned long long)to);
		rewrite.value = value->bytes;
		rewrite.size = value->size;
		rewrite.note = note;
		TRY(vault_write(vault, &rewrite, &outcome));
	}
	*out_outcome = outcome;
	return MORTISE_OK;
}

struct batch {
	struct revision *revisions;
	size_t capacity, count;
	size_t fresh; /* of new secrets */
};

static void batch_done(struct batch *batch)
{
	for (size_t i = 0; i < batch->capacity; i++)
		revision_done(&batch->revisions[i]);
	free(batch->revisions);
}

static bool has_path_twice(const struct vault_write *writes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < i; j++)
			if (strcmp(writes[i].path, writes[j].path) == 0)
				return true;
	return false;
}

enum mortise_status vault_write_all(struct vault *vault, const struct vault_write *writes,
	size_t count, struct vault_outcome *out_outcomes)
{
	CLEANUP(batch_done) struct batch batch = {0};
	struct vault_outcome outcomes[WIRE_SETS_MAX];

	if (count == 0 || count > WIRE_SETS_MAX || has_path_twice(writes, count))
		return MORTISE_INVALID;
	batch.revisions = calloc(count, sizeof *batch.revisions);
	if (!batch.revisions)
		return MORTISE_BUSY;
	batch.capacity = count;
	for (size_t i = 0; i < count; i++) {
		struct revision *revision = &batch.revisions[batch.count];
		bool is_written = false;
		TRY(consider(vault, &writes[i], batch.fresh, revision, &outcomes[i], &is_written));
		batch.fresh += is_written && !revision->before;
		if (is_written)
			batch.count++;
		else
			revision_done(revision);
	}
	if (batch.count)
		TRY(revision_commit(vault, batch.revisions, batch.count));
	memcpy(out_outcomes, outcomes, count * sizeof outcomes[0]);
	return MORTISE_OK;
}
