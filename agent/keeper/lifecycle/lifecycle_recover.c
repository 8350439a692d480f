/* SPDX-License-Identifier: ISC */
/*
 * One way back, whatever happened: another board, a cleared TPM, an old copy, a backup. The typed
 * key opens the store, new hardware is enrolled, and what is there no more goes. Each step is a
 * transaction that leaves a store which the typed key opens: it can be done again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "advice.h"
#include "enrolment.h"
#include "lifecycle_parts.h"
#include "log.h"

struct recovering {
	struct lifecycle *lifecycle;
	lifecycle_done *done;
	void *context;
	const void *owner; /* of what came in; NULL: it is about the store that is here */
	bool has_anchor;
	struct secret *master_key;
	struct vault *vault;         /* ours, unless there is an owner: then it is the backup's */
	struct enrolment *enrolment; /* of new hardware; NULL: none */
	struct secret *anchor_auth, *anchor;
	uint64_t generation, was;
	uint64_t added, removed;
	char note[256];
};

void recovering_free(struct lifecycle *lifecycle)
{
	struct recovering *recovering = lifecycle->recovering;

	lifecycle->recovering = NULL;
	if (!recovering)
		return;
	sealer_forget(lifecycle->parts.sealer, recovering);
	enrolment_drop(&recovering->enrolment);
	vault_close(recovering->vault);
	secret_drop(&recovering->master_key);
	secret_drop(&recovering->anchor_auth);
	secret_drop(&recovering->anchor);
	free(recovering);
}

static void end(struct lifecycle *lifecycle, enum mortise_status status, const char *text)
{
	const struct lifecycle_hooks *hooks = &lifecycle->parts.hooks;
	struct recovering *recovering = lifecycle->recovering;
	lifecycle_done *done = recovering->done;
	void *context = recovering->context;
	char kept[512];

	snprintf(kept, sizeof kept, "%s", text);
	if (status == MORTISE_OK) {
		hooks->record(hooks->context, "recovered", status, kept);
		log_info("recovered: %s", kept);
	} else if (lifecycle->state == LIFECYCLE_UNSEALING) {
		lifecycle_set_state(lifecycle, LIFECYCLE_SEALED);
		lifecycle_try_later(lifecycle); /* as before it */
	}
	recovering_free(lifecycle);
	done(context, status, kept, NULL);
}

void lifecycle_cancel_recovery(struct lifecycle *lifecycle)
{
	if (lifecycle->recovering)
		end(lifecycle, MORTISE_SEALED, "sealed meanwhile");
}

/* The backup may have gone with its connection. */
static struct vault *vault_of(struct lifecycle *lifecycle)
{
	const struct recovering *recovering = lifecycle->recovering;

	return recovering->owner ? backup_vault(lifecycle->backup, recovering->owner)
				 : recovering->vault;
}

static enum mortise_status put_slot(struct lifecycle *lifecycle, struct vault *vault)
{
	const struct enrolment *enrolment = lifecycle->recovering->enrolment;

	if (!enrolment)
		return MORTISE_OK;
	struct slot_hints hints = enrolment_hints(enrolment);
	const struct slot_making slot = {.kind = enrolment->kind,
		.h = enrolment->h,
		.blob = {enrolment->blob, enrolment->blob_size},
		.hints = &hints};
	return vault_put_slot(vault, 0, &slot, &lifecycle->recovering->added);
}

static enum mortise_status put_anchor(struct lifecycle *lifecycle, struct vault *vault)
{
	struct recovering *recovering = lifecycle->recovering;
	CLEANUP(secret_drop) struct secret *old = NULL;

	if (recovering->anchor)
		return vault_set_anchor(vault, recovering->anchor, recovering->generation);
	recovering->generation = recovering->was;
	enum mortise_status status = vault_anchor(vault, &old);
	if (status == MORTISE_NOT_FOUND)
		return MORTISE_OK;
	TRY(status);
	return vault_set_anchor(vault, NULL, recovering->generation);
}

/* What opened before is another TPM's or token's by now, or would open an old copy. */
static enum mortise_status remove_hardware(struct lifecycle *lifecycle, struct vault *vault)
{
	struct recovering *recovering = lifecycle->recovering;

	for (uint64_t id = 0; (id = vault_next_slot(vault, id));) {
		CLEANUP(slot_copy_done) struct slot_copy copy = {.record = NULL};
		TRY(vault_slot(vault, id, &copy));
		if (id == recovering->added || !slot_is_hardware(&copy.slot))
			continue;
		TRY(vault_remove_slot(vault, id));
		recovering->removed++;
	}
	return MORTISE_OK;
}

/* From here on the copy that came in is the store. */
static enum mortise_status adopt(struct lifecycle *lifecycle)
{
	struct recovering *recovering = lifecycle->recovering;

	backup_store_closing(lifecycle->backup);
	store_shut(lifecycle->store);
	enum mortise_status adopted = backup_adopt(lifecycle->backup, recovering->owner);
	recovering->owner = NULL;
	/* Whichever of the two it is now, the agent goes on with it. */
	TRY(store_reopen(lifecycle->store));
	TRY(adopted);
	return vault_open(lifecycle->store, recovering->master_key, &recovering->vault);
}

static void describe(struct recovering *recovering, bool was_backup)
{
	snprintf(recovering->note, sizeof recovering->note,
		"%s%llu hardware slot%s out, %s; generation %llu, now %llu%s",
		was_backup ? "from a backup; " : "", (unsigned long long)recovering->removed,
		recovering->removed == 1 ? "" : "s", recovering->added ? "one in" : "none in",
		(unsigned long long)recovering->was, (unsigned long long)recovering->generation,
		recovering->anchor ? " with a new anchor" : ", no anchor");
}

static enum mortise_status change(struct lifecycle *lifecycle, struct vault *vault)
{
	TRY(put_slot(lifecycle, vault));
	TRY(put_anchor(lifecycle, vault));
	return remove_hardware(lifecycle, vault);
}

static void apply(struct lifecycle *lifecycle)
{
	struct recovering *recovering = lifecycle->recovering;
	struct vault *vault = vault_of(lifecycle);
	bool was_backup = recovering->owner != NULL;

	if (!vault) {
		end(lifecycle, MORTISE_CONFLICT,
			"the backup is gone with its connection; try again");
		return;
	}
	enum mortise_status status = change(lifecycle, vault);
	if (status == MORTISE_OK && was_backup)
		status = adopt(lifecycle);
	if (status == MORTISE_OK)
		status = lifecycle_load_slots(lifecycle);
	if (status == MORTISE_OK && recovering->anchor)
		status = anchor_attach(lifecycle->anchor, recovering->vault);
	if (status != MORTISE_OK) {
		lifecycle->slots_are_old = true; /* whichever store it is now */
		end(lifecycle, status, "the store could not be changed; run the same again");
		return;
	}
	describe(recovering, was_backup);
	vault = recovering->vault;
	recovering->vault = NULL;
	status = lifecycle_accept(lifecycle, vault);
	if (status == MORTISE_OK)
		(void)clock_accept(); /* a backup knows an old time; whoever restores it, this one
				       */
	if (status == MORTISE_OK && lifecycle_set_hold(lifecycle, "") != MORTISE_OK)
		log_warning("an admin's seal could not be taken back; run: mortise unseal, again");
	end(lifecycle, status, status == MORTISE_OK ? recovering->note : lifecycle->reason);
}

static void on_counter(void *context, struct sealer_answer *answer)
{
	struct recovering *recovering = context;
	struct lifecycle *lifecycle = recovering->lifecycle;
	struct advice_about about = {.operation = ADVICE_RECOVER_COUNTER};
	enum mortise_status status = answer->status;
	char text[500];

	if (status == MORTISE_OK)
		status = anchor_write_state(recovering->enrolment->kind, recovering->anchor_auth,
			answer->blob, &recovering->anchor);
	if (answer->status != MORTISE_OK) {
		advice_describe(&about, answer, text, sizeof text);
		end(lifecycle, status, text);
		return;
	}
	if (status != MORTISE_OK) {
		end(lifecycle, status, mortise_status_text(status));
		return;
	}
	recovering->generation = answer->counter;
	apply(lifecycle);
}

static enum mortise_status make_counter(struct lifecycle *lifecycle)
{
	struct recovering *recovering = lifecycle->recovering;
	struct token_anchor question = {.action = TOKEN_ANCHOR_DEFINE};

	TRY(secret_random(KEY_SIZE, &recovering->anchor_auth));
	question.auth = recovering->anchor_auth;
	return sealer_anchor(lifecycle->parts.sealer, recovering->enrolment->kind, &question,
		on_counter, recovering);
}

static void on_enrolled(void *context, enum mortise_status status, const char *text)
{
	struct recovering *recovering = context;
	struct lifecycle *lifecycle = recovering->lifecycle;

	if (status != MORTISE_OK)
		end(lifecycle, status, text);
	else if (!recovering->has_anchor)
		apply(lifecycle);
	else if (make_counter(lifecycle) != MORTISE_OK)
		end(lifecycle, MORTISE_BUSY,
			"the sealer could not be asked for a counter; try again");
}

struct finding {
	struct slot_identity identity;
	const struct secret *key;
	struct secret *master_key;
	enum mortise_status status;
};

static enum mortise_status try_slot(
	void *context, enum store_item kind, uint64_t number, struct store_bytes body)
{
	struct finding *finding = context;
	struct slot slot;

	if (kind != STORE_SLOT || finding->master_key)
		return MORTISE_OK;
	TRY(slot_read(body, &slot));
	finding->identity.id = number;
	if (!slot_is_hardware(&slot))
		finding->status =
			slot_open(&finding->identity, &slot, finding->key, &finding->master_key);
	/* Not tried is not: another key. */
	return finding->status == MORTISE_BUSY ? MORTISE_BUSY : MORTISE_OK;
}

enum mortise_status lifecycle_find_master_key(
	struct store *store, const struct secret *key, struct secret **out_master_key)
{
	struct finding finding = {.key = key, .status = MORTISE_NOT_FOUND};
	struct store_meta meta;

	TRY(store_meta(store, &meta));
	finding.identity = (struct slot_identity){meta.uuid, 0, meta.epoch};
	enum mortise_status status = store_each_item(store, try_slot, &finding);
	if (status != MORTISE_OK || !finding.master_key) {
		secret_drop(&finding.master_key);
		return status != MORTISE_OK ? status : finding.status;
	}
	*out_master_key = finding.master_key;
	return MORTISE_OK;
}

static enum mortise_status open_store(struct lifecycle *lifecycle, const struct secret *key)
{
	struct recovering *recovering = lifecycle->recovering;
	struct store *store = lifecycle->store;
	struct vault *vault = NULL;

	if (recovering->owner)
		TRY(backup_store(lifecycle->backup, recovering->owner, &store));
	TRY(lifecycle_find_master_key(store, key, &recovering->master_key));
	if (recovering->owner)
		TRY(backup_unlock(
			lifecycle->backup, recovering->owner, recovering->master_key, &vault));
	else
		TRY(vault_open(store, recovering->master_key, &recovering->vault));
	recovering->was = vault_age(vault ? vault : recovering->vault).generation;
	return MORTISE_OK;
}

bool lifecycle_is_busy(const struct lifecycle *lifecycle)
{
	return lifecycle->recovering || lifecycle->candidate || lifecycle->making ||
	       sealer_is_busy(lifecycle->parts.sealer);
}

enum mortise_status lifecycle_recover(struct lifecycle *lifecycle, const struct recovery_wish *wish,
	lifecycle_done *done, void *context)
{
	bool is_here = lifecycle->state != LIFECYCLE_UNINITIALISED;

	if (lifecycle->state == LIFECYCLE_UNSEALED || (!is_here && !wish->owner))
		return MORTISE_CONFLICT;
	if (lifecycle_is_busy(lifecycle))
		return MORTISE_BUSY;
	struct recovering *recovering = calloc(1, sizeof *recovering);
	if (!recovering)
		return MORTISE_BUSY;
	recovering->lifecycle = lifecycle;
	recovering->done = done;
	recovering->context = context;
	recovering->owner = wish->owner;
	recovering->has_anchor = wish->has_anchor;
	lifecycle->recovering = recovering;
	enum mortise_status status = wish->owner ? MORTISE_OK : lifecycle_have_store(lifecycle);
	if (status == MORTISE_OK)
		status = open_store(lifecycle, wish->key);
	if (status == MORTISE_OK && wish->kind && !wish->is_dry_run)
		status = enrolment_new(lifecycle->parts.sealer, wish->kind, wish->seal,
			ADVICE_RECOVER, on_enrolled, recovering, &recovering->enrolment);
	if (status != MORTISE_OK || wish->is_dry_run) {
		recovering_free(lifecycle);
		return status;
	}
	event_del(lifecycle->retry);
	lifecycle_end_turn(lifecycle);
	if (is_here)
		lifecycle_set_state(lifecycle, LIFECYCLE_UNSEALING);
	if (!wish->kind)
		apply(lifecycle);
	return MORTISE_OK;
}
