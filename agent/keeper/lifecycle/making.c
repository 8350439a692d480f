/* SPDX-License-Identifier: ISC */
#include "making.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "enrolment.h"
#include "policy_record.h"
#include "verbs.h"

#define POLICY_TEXT_SIZE 512

/* What an init has got so far. */
struct new_store {
	bool (*is_wanted)(void *context);
	bool has_anchor;
	struct waiter waiter;
	uint8_t uuid[ID_SIZE];
	struct enrolment *enrolment; /* of the hardware; NULL: none */
	struct secret *master_key;
	struct secret *recovery_key;
	struct secret *recovery_text;
	struct secret *audit_state;
	struct keyring keyring;
	uint8_t records[2][SLOT_RECORD_MAX];
};

static void new_store_free(struct new_store *new)
{
	if (!new)
		return;
	secret_drop(&new->master_key);
	secret_drop(&new->recovery_key);
	secret_drop(&new->recovery_text);
	secret_drop(&new->audit_state);
	keyring_done(&new->keyring);
	enrolment_drop(&new->enrolment);
	free(new);
}

static void end(struct making *making, enum mortise_status status, const char *text)
{
	struct new_store *new = making->new;
	struct waiter waiter = new->waiter;

	making->new = NULL;
	waiter_tell(&waiter, status, text, status == MORTISE_OK ? new->recovery_text : NULL);
	new_store_free(new);
}

size_t making_first_policy(uint32_t uid, char *buffer, size_t size)
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
static enum mortise_status make_keys(struct new_store *new)
{
	CLEANUP(secret_drop) struct secret *random = NULL;

	randombytes_buf(new->uuid, sizeof new->uuid);
	new->uuid[6] = (uint8_t)((new->uuid[6] & 0x0f) | 0x40); /* RFC 9562, 5.4 */
	new->uuid[8] = (uint8_t)((new->uuid[8] & 0x3f) | 0x80);
	TRY(secret_random(KEY_SIZE, &new->recovery_key));
	TRY(secret_random(KEY_SIZE, &random));
	if (new->enrolment)
		TRY(envelope_mix(random, new->enrolment->h, &new->master_key));
	else
		new->master_key = secret_take(&random);
	return keyring_derive(new->master_key, &new->keyring);
}

static enum mortise_status make_slot(
	struct new_store *new, struct vault_origin *origin, struct slot_making *slot)
{
	size_t at = origin->slot_count;
	struct slot_identity identity = {new->uuid, at + 1, 1};
	size_t size = 0;

	slot->master_key = new->master_key;
	slot->label_key = new->keyring.key[KEY_LABEL];
	TRY(slot_make(&identity, slot, new->records[at], &size));
	origin->slots[at].id = at + 1;
	origin->slots[at].record = (struct store_bytes){new->records[at], size};
	origin->slot_count++;
	return MORTISE_OK;
}

static enum mortise_status make_slots(struct new_store *new, struct vault_origin *origin)
{
	const struct enrolment *enrolment = new->enrolment;
	char key_id[RECOVERY_ID_SIZE];
	struct slot_hints hints = {.created_us = clock_now().least_us};
	struct slot_making recovery = {.kind = SLOT_KIND_RECOVERY,
		.key_id = key_id,
		.h = new->recovery_key,
		.hints = &hints};

	if (enrolment) {
		struct slot_hints wished = enrolment_hints(enrolment);
		struct slot_making slot = {.kind = enrolment->kind,
			.h = enrolment->h,
			.blob = {enrolment->blob, enrolment->blob_size},
			.hints = &wished};
		TRY(make_slot(new, origin, &slot));
	}
	recovery_id(new->recovery_key, key_id);
	return make_slot(new, origin, &recovery);
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

static enum mortise_status make_store(struct making *making)
{
	const struct holding *holding = making->holding;
	struct new_store *new = making->new;
	struct vault_origin origin = {.uuid = new->uuid};
	char text[POLICY_TEXT_SIZE];
	uint8_t record[POLICY_TEXT_SIZE + 256];
	struct policy_file file = {MAKING_FIRST_POLICY, text, 0};

	file.size = making_first_policy(making->first_uid, text, sizeof text);
	TRY(make_keys(new));
	TRY(make_slots(new, &origin));
	TRY(recovery_print(new->recovery_key, &new->recovery_text));
	struct policy_source source = {.files = &file, .file_count = 1};
	randombytes_buf(source.token, sizeof source.token);
	TRY(policy_record_write(&source, record, sizeof record, &origin.policy.size));
	TRY(audit_begin_chain(holding->audit, new->uuid, &new->audit_state));
	TRY(audit_flush(holding->audit));
	origin.policy.bytes = record;
	origin.master_key = new->master_key;
	origin.audit_state = new->audit_state;
	if (new->enrolment) {
		origin.anchor = new->enrolment->anchor;
		origin.generation = new->enrolment->generation;
	}
	return create(holding->store, &origin);
}

/* The log was given them before there was a vault to close. */
static void drop_log_keys(struct making *making)
{
	const struct lifecycle_hooks *hooks = &making->holding->hooks;

	hooks->closing(hooks->context);
}

static void on_opened(void *context, enum mortise_status status)
{
	struct making *making = context;

	if (status == MORTISE_OK) {
		(void)clock_accept(); /* whoever makes a store is there, and sees the time */
		end(making, MORTISE_OK, "");
		return;
	}
	drop_log_keys(making);
	if (making->holding->state == LIFECYCLE_SEALED) {
		/* It is made, and whoever has its key can open it; it does so by itself, too. */
		holding_try_later(making->holding);
		end(making, MORTISE_OK, "");
		return;
	}
	end(making, status,
		"the store could not be made; see the agent's log, then run: mortise init");
}

/* The store is opened as after a restart: by what is on disk and the slot just made. */
static void make_and_open(struct making *making)
{
	struct holding *holding = making->holding;
	struct new_store *new = making->new;
	enum mortise_status status = make_store(making);

	if (status == MORTISE_OK) {
		holding->state = LIFECYCLE_SEALED;
		holding->slots_are_old = true;
		status = holding_have_slots(holding);
	}
	if (status == MORTISE_OK) {
		const struct secret *h = new->enrolment ? new->enrolment->h : new->recovery_key;
		bool fits = false;
		status = opening_begin(
			making->opening, &holding->slots[0], h, on_opened, making, &fits);
	}
	if (status != MORTISE_OK)
		on_opened(making, status);
}

/* A store of which nobody would ever have the recovery key is not made. */
static bool is_still_wanted(struct making *making)
{
	if (making->new->is_wanted(making->new->waiter.context))
		return true;
	end(making, MORTISE_CONFLICT, "nobody waits for the recovery key any more");
	return false;
}

static void on_counter(void *context, enum mortise_status status, const char *text)
{
	struct making *making = context;

	if (status != MORTISE_OK)
		end(making, status, text);
	else if (is_still_wanted(making))
		make_and_open(making);
}

static void on_enrolled(void *context, enum mortise_status status, const char *text)
{
	struct making *making = context;
	struct new_store *new = making->new;

	if (status != MORTISE_OK) {
		end(making, status, text);
		return;
	}
	if (!is_still_wanted(making))
		return;
	if (!new->has_anchor)
		make_and_open(making);
	else if (enrolment_add_counter(new->enrolment, ADVICE_INIT_COUNTER, on_counter) !=
		 MORTISE_OK)
		end(making, MORTISE_BUSY, "the sealer could not be asked for a counter; try again");
}

enum mortise_status making_begin(
	struct making *making, const struct making_wish *wish, const struct waiter *waiter)
{
	struct new_store *new = calloc(1, sizeof *new);

	if (!new)
		return MORTISE_BUSY;
	new->is_wanted = wish->is_wanted;
	new->has_anchor = wish->has_anchor;
	new->waiter = *waiter;
	making->new = new;
	if (!wish->kind) {
		make_and_open(making);
		return MORTISE_OK;
	}
	enum mortise_status status = enrolment_new(making->holding->sealer, wish->kind, wish->seal,
		ADVICE_INIT, on_enrolled, making, &new->enrolment);
	if (status != MORTISE_OK)
		making_done(making);
	return status;
}

void making_done(struct making *making)
{
	new_store_free(making->new);
	making->new = NULL;
}

bool making_is_under_way(const struct making *making)
{
	return making->new != NULL;
}

/* Before its check ends it is made already, and whoever has its key can open it. */
void making_cancel(struct making *making)
{
	if (!making->new)
		return;
	drop_log_keys(making);
	end(making, MORTISE_OK, "");
}
