/* SPDX-License-Identifier: ISC */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "advice.h"
#include "enrolment.h"
#include "lifecycle_parts.h"
#include "policy_record.h"
#include "verbs.h"

#define POLICY_TEXT_SIZE 512

/* What an init under way has got so far. */
struct making {
	bool (*is_wanted)(void *context);
	uint8_t uuid[ID_SIZE];
	struct enrolment *enrolment; /* of the hardware; NULL: none */
	bool has_anchor;
	struct secret *anchor_auth;
	struct secret *anchor; /* once its counter is made; NULL: none */
	uint64_t generation;
	struct secret *master_key;
	struct secret *recovery_key;
	struct secret *recovery_text;
	struct secret *audit_state;
	struct keyring keyring;
	uint8_t records[2][SLOT_RECORD_MAX];
};

void making_free(struct making *making)
{
	if (!making)
		return;
	secret_drop(&making->master_key);
	secret_drop(&making->recovery_key);
	secret_drop(&making->recovery_text);
	secret_drop(&making->audit_state);
	secret_drop(&making->anchor_auth);
	secret_drop(&making->anchor);
	keyring_done(&making->keyring);
	enrolment_drop(&making->enrolment);
	free(making);
}

static void end(struct lifecycle *lifecycle, enum mortise_status status, const char *text,
	const struct secret *recovery)
{
	struct making *making = lifecycle->making;

	lifecycle->making = NULL;
	lifecycle_finish(lifecycle, status, text, recovery);
	making_free(making);
}

size_t lifecycle_first_policy(uint32_t uid, char *buffer, size_t size)
{
	char verbs[VERB_WORDS_SIZE] = "";
	size_t used = 0;

	for (size_t i = 0; i < VERB_COUNT; i++)
		used += (size_t)snprintf(verbs + used, sizeof verbs - used, "%s%s", used ? " " : "",
			verb_rows[i].name);
	int length = snprintf(buffer, size,
		"; The first policy: uid %u may do everything, and nobody else anything.\n"
		"; Put it beside your own rules, edit it down, and: mortise policy apply\n"
		"[rule first]\n"
		"allow  = %s\n"
		"secret = **\n"
		"user   = %u\n"
		"socket = main    ; a container's root has the same uid, but a socket of its own\n",
		uid, verbs, uid);

	return length > 0 ? (size_t)length : 0;
}

/* Random, and mixed with what the hardware gave, in case one of the two is weak. */
static enum mortise_status make_keys(struct making *making)
{
	CLEANUP(secret_drop) struct secret *random = NULL;

	randombytes_buf(making->uuid, sizeof making->uuid);
	making->uuid[6] = (uint8_t)((making->uuid[6] & 0x0f) | 0x40); /* RFC 9562, 5.4 */
	making->uuid[8] = (uint8_t)((making->uuid[8] & 0x3f) | 0x80);
	TRY(secret_random(KEY_SIZE, &making->recovery_key));
	TRY(secret_random(KEY_SIZE, &random));
	if (making->enrolment)
		TRY(envelope_mix(random, making->enrolment->h, &making->master_key));
	else
		making->master_key = secret_take(&random);
	return keyring_derive(making->master_key, &making->keyring);
}

static enum mortise_status make_slot(
	struct making *making, struct vault_origin *origin, struct slot_making *slot)
{
	size_t at = origin->slot_count;
	struct slot_identity identity = {making->uuid, at + 1, 1};
	size_t size = 0;

	slot->master_key = making->master_key;
	slot->label_key = making->keyring.key[KEY_LABEL];
	TRY(slot_make(&identity, slot, making->records[at], &size));
	origin->slots[at].id = at + 1;
	origin->slots[at].record = (struct store_bytes){making->records[at], size};
	origin->slot_count++;
	return MORTISE_OK;
}

static enum mortise_status make_slots(struct making *making, struct vault_origin *origin)
{
	const struct enrolment *enrolment = making->enrolment;
	char key_id[RECOVERY_ID_SIZE];
	struct slot_hints hints = {.created_us = clock_now().least_us};
	struct slot_making recovery = {.kind = SLOT_KIND_RECOVERY,
		.key_id = key_id,
		.h = making->recovery_key,
		.hints = &hints};

	if (enrolment) {
		struct slot_hints wished = enrolment_hints(enrolment);
		struct slot_making slot = {.kind = enrolment->kind,
			.h = enrolment->h,
			.blob = {enrolment->blob, enrolment->blob_size},
			.hints = &wished};
		TRY(make_slot(making, origin, &slot));
	}
	recovery_id(making->recovery_key, key_id);
	return make_slot(making, origin, &recovery);
}

/* A write that failed may have been done: then the store is there, and its key must be told. */
static enum mortise_status create(struct store *store, const struct vault_origin *origin)
{
	enum mortise_status status = vault_create(store, origin);
	struct store_meta meta;

	if (status == MORTISE_IO && store_reopen(store) == MORTISE_OK &&
		store_meta(store, &meta) == MORTISE_OK &&
		memcmp(meta.uuid, origin->uuid, sizeof meta.uuid) == 0)
		return MORTISE_OK;
	return status;
}

static enum mortise_status make_store(struct lifecycle *lifecycle)
{
	struct making *making = lifecycle->making;
	struct vault_origin origin = {.uuid = making->uuid};
	char text[POLICY_TEXT_SIZE];
	uint8_t record[POLICY_TEXT_SIZE + 256];
	struct policy_file file = {LIFECYCLE_FIRST_POLICY, text, 0};

	file.size = lifecycle_first_policy(lifecycle->parts.first_uid, text, sizeof text);
	TRY(make_keys(making));
	TRY(make_slots(making, &origin));
	TRY(recovery_print(making->recovery_key, &making->recovery_text));
	struct policy_source source = {.files = &file, .file_count = 1};
	randombytes_buf(source.token, sizeof source.token);
	TRY(policy_record_write(&source, record, sizeof record, &origin.policy.size));
	TRY(audit_begin_chain(lifecycle->parts.audit, making->uuid, &making->audit_state));
	TRY(audit_flush(lifecycle->parts.audit));
	origin.policy.bytes = record;
	origin.master_key = making->master_key;
	origin.audit_state = making->audit_state;
	origin.anchor = making->anchor;
	origin.generation = making->generation;
	return create(lifecycle->store, &origin);
}

static void on_opened(struct lifecycle *lifecycle, enum mortise_status status)
{
	if (status == MORTISE_OK) {
		(void)clock_accept(); /* whoever makes a store is there, and sees the time */
		end(lifecycle, MORTISE_OK, "", lifecycle->making->recovery_text);
		return;
	}
	audit_detach(lifecycle->parts.audit);
	if (lifecycle->state == LIFECYCLE_SEALED) {
		/* It is made, and whoever has its key can open it; it does so by itself, too. */
		lifecycle_try_later(lifecycle);
		end(lifecycle, MORTISE_OK, "", lifecycle->making->recovery_text);
		return;
	}
	end(lifecycle, status,
		"the store could not be made; see the agent's log, then run: mortise init", NULL);
}

/* The store is opened as after a restart: by what is on disk and the slot just made. */
static void make_and_open(struct lifecycle *lifecycle)
{
	struct making *making = lifecycle->making;
	enum mortise_status status = make_store(lifecycle);

	if (status == MORTISE_OK) {
		lifecycle->state = LIFECYCLE_SEALED;
		lifecycle->slots_are_old = true;
		status = lifecycle_have_slots(lifecycle);
	}
	if (status == MORTISE_OK) {
		const struct secret *h =
			making->enrolment ? making->enrolment->h : making->recovery_key;
		bool fits = false;
		status = lifecycle_open_with(lifecycle, &lifecycle->slots[0], h, on_opened, &fits);
	}
	if (status != MORTISE_OK)
		on_opened(lifecycle, status);
}

/* A store of which nobody would ever have the recovery key is not made. */
static bool is_still_wanted(struct lifecycle *lifecycle)
{
	if (lifecycle->making->is_wanted(lifecycle->context))
		return true;
	end(lifecycle, MORTISE_CONFLICT, "nobody waits for the recovery key any more", NULL);
	return false;
}

static void on_counter(void *context, struct sealer_answer *answer)
{
	struct lifecycle *lifecycle = context;
	struct making *making = lifecycle->making;
	struct advice_about about = {.operation = ADVICE_INIT_COUNTER};
	char text[500];

	enum mortise_status status = answer->status;
	if (status == MORTISE_OK)
		status = anchor_write_state(making->enrolment->kind, making->anchor_auth,
			answer->blob, &making->anchor);
	if (answer->status != MORTISE_OK) {
		advice_describe(&about, answer, text, sizeof text);
		end(lifecycle, status, text, NULL);
		return;
	}
	if (status != MORTISE_OK) {
		end(lifecycle, status, mortise_status_text(status), NULL);
		return;
	}
	making->generation = answer->counter;
	if (is_still_wanted(lifecycle))
		make_and_open(lifecycle);
}

static enum mortise_status make_counter(struct lifecycle *lifecycle)
{
	struct making *making = lifecycle->making;
	struct token_anchor question = {.action = TOKEN_ANCHOR_DEFINE};

	TRY(secret_random(KEY_SIZE, &making->anchor_auth));
	question.auth = making->anchor_auth;
	return sealer_anchor(
		lifecycle->parts.sealer, making->enrolment->kind, &question, on_counter, lifecycle);
}

static void on_enrolled(void *context, enum mortise_status status, const char *text)
{
	struct lifecycle *lifecycle = context;
	struct making *making = lifecycle->making;

	if (status != MORTISE_OK) {
		end(lifecycle, status, text, NULL);
		return;
	}
	if (!is_still_wanted(lifecycle))
		return;
	if (!making->has_anchor)
		make_and_open(lifecycle);
	else if (make_counter(lifecycle) != MORTISE_OK)
		end(lifecycle, MORTISE_BUSY,
			"the sealer could not be asked for a counter; try again", NULL);
}

enum mortise_status lifecycle_init(struct lifecycle *lifecycle, const char *kind,
	const struct token_wish *wish, bool has_anchor, bool (*is_wanted)(void *context),
	lifecycle_done *done, void *context)
{
	if (lifecycle->state != LIFECYCLE_UNINITIALISED)
		return MORTISE_CONFLICT;
	if (lifecycle->done || lifecycle->making)
		return MORTISE_BUSY;
	struct making *making = calloc(1, sizeof *making);
	if (!making)
		return MORTISE_BUSY;
	making->is_wanted = is_wanted;
	making->has_anchor = has_anchor;
	lifecycle->making = making;
	lifecycle->done = done;
	lifecycle->context = context;
	if (!kind) {
		make_and_open(lifecycle);
		return MORTISE_OK;
	}
	enum mortise_status status = enrolment_new(lifecycle->parts.sealer, kind, wish, ADVICE_INIT,
		on_enrolled, lifecycle, &making->enrolment);
	if (status != MORTISE_OK) {
		lifecycle->done = NULL;
		lifecycle->making = NULL;
		making_free(making);
	}
	return status;
}
