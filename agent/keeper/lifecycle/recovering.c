/* SPDX-License-Identifier: ISC */
#include "recovering.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "enrolment.h"
#include "log.h"

/* What a recovery has got so far. */
struct recovery {
	struct waiter waiter;
	const void *owner; /* of what came in; NULL: it is about the store that is here */
	bool has_anchor;
	struct secret *master_key;
	struct vault *vault;         /* ours, unless there is an owner: then it is the backup's */
	struct enrolment *enrolment; /* of new hardware; NULL: none */
	uint64_t generation, was;
	uint64_t added, removed;
	char note[256];
};

void recovering_done(struct recovering *recovering)
{
	struct recovery *recovery = recovering->recovery;

	recovering->recovery = NULL;
	if (!recovery)
		return;
	enrolment_drop(&recovery->enrolment);
	vault_close(recovery->vault);
	secret_drop(&recovery->master_key);
	free(recovery);
}

static void end(struct recovering *recovering, enum mortise_status status, const char *text)
{
	struct holding *holding = recovering->holding;
	struct waiter waiter = recovering->recovery->waiter;
	char kept[512];

	snprintf(kept, sizeof kept, "%s", text);
	if (status == MORTISE_OK) {
		holding_record(holding, "recovered", status, kept);
		log_info("recovered: %s", kept);
	} else if (holding->state == LIFECYCLE_UNSEALING) {
		holding_set_state(holding, LIFECYCLE_SEALED);
		holding_try_later(holding); /* as before it */
	}
	recovering_done(recovering);
	waiter_tell(&waiter, status, kept, NULL);
}

void recovering_cancel(struct recovering *recovering)
{
	if (recovering->recovery)
		end(recovering, MORTISE_SEALED, "sealed meanwhile");
}

bool recovering_is_under_way(const struct recovering *recovering)
{
	return recovering->recovery != NULL;
}

/* The backup may have gone with its connection. */
static struct vault *vault_of(struct recovering *recovering)
{
	const struct recovery *recovery = recovering->recovery;

	return recovery->owner ? backup_vault(recovering->holding->backup, recovery->owner)
			       : recovery->vault;
}

static enum mortise_status put_slot(struct recovering *recovering, struct vault *vault)
{
	const struct enrolment *enrolment = recovering->recovery->enrolment;

	if (!enrolment)
		return MORTISE_OK;
	struct slot_hints hints = enrolment_hints(enrolment);
	const struct slot_making slot = {.kind = enrolment->kind,
		.h = enrolment->h,
		.blob = {enrolment->blob, enrolment->blob_size},
		.hints = &hints};
	return vault_put_slot(vault, 0, &slot, &recovering->recovery->added);
}

/* NULL: none */
static const struct secret *new_anchor(const struct recovery *recovery)
{
	return recovery->enrolment ? recovery->enrolment->anchor : NULL;
}

static enum mortise_status put_anchor(struct recovering *recovering, struct vault *vault)
{
	struct recovery *recovery = recovering->recovery;
	CLEANUP(secret_drop) struct secret *old = NULL;

	if (new_anchor(recovery)) {
		recovery->generation = recovery->enrolment->generation;
		return vault_set_anchor(vault, new_anchor(recovery), recovery->generation);
	}
	recovery->generation = recovery->was;
	enum mortise_status status = vault_anchor(vault, &old);
	if (status == MORTISE_NOT_FOUND)
		return MORTISE_OK;
	TRY(status);
	return vault_set_anchor(vault, NULL, recovery->generation);
}

/* What opened before is another TPM's or token's by now, or would open an old copy. */
static enum mortise_status remove_hardware(struct recovering *recovering, struct vault *vault)
{
	struct recovery *recovery = recovering->recovery;

	for (uint64_t id = 0; (id = vault_next_slot(vault, id));) {
		CLEANUP(slot_copy_done) struct slot_copy copy = {.record = NULL};
		TRY(vault_slot(vault, id, &copy));
		if (id == recovery->added || !slot_is_hardware(&copy.slot))
			continue;
		TRY(vault_remove_slot(vault, id));
		recovery->removed++;
	}
	return MORTISE_OK;
}

/* From here on the copy that came in is the store. */
static enum mortise_status adopt(struct recovering *recovering)
{
	struct holding *holding = recovering->holding;
	struct recovery *recovery = recovering->recovery;

	backup_store_closing(holding->backup);
	store_shut(holding->store);
	enum mortise_status adopted = backup_adopt(holding->backup, recovery->owner);
	recovery->owner = NULL;
	/* Whichever of the two it is now, the agent goes on with it. */
	TRY(store_reopen(holding->store));
	TRY(adopted);
	return vault_open(holding->store, recovery->master_key, &recovery->vault);
}

static void describe(struct recovery *recovery, bool was_backup)
{
	snprintf(recovery->note, sizeof recovery->note,
		"%s%llu hardware slot%s out, %s; generation %llu, now %llu%s",
		was_backup ? "from a backup; " : "", (unsigned long long)recovery->removed,
		recovery->removed == 1 ? "" : "s", recovery->added ? "one in" : "none in",
		(unsigned long long)recovery->was, (unsigned long long)recovery->generation,
		new_anchor(recovery) ? " with a new anchor" : ", no anchor");
}

static enum mortise_status change(struct recovering *recovering, struct vault *vault)
{
	TRY(put_slot(recovering, vault));
	TRY(put_anchor(recovering, vault));
	return remove_hardware(recovering, vault);
}

static void apply(struct recovering *recovering)
{
	struct holding *holding = recovering->holding;
	struct recovery *recovery = recovering->recovery;
	struct vault *vault = vault_of(recovering);
	bool was_backup = recovery->owner != NULL;

	if (!vault) {
		end(recovering, MORTISE_CONFLICT,
			"the backup is gone with its connection; try again");
		return;
	}
	enum mortise_status status = change(recovering, vault);
	if (status == MORTISE_OK && was_backup)
		status = adopt(recovering);
	if (status == MORTISE_OK)
		status = holding_load_slots(holding);
	if (status == MORTISE_OK && new_anchor(recovery))
		status = anchor_attach(holding->anchor, recovery->vault);
	if (status != MORTISE_OK) {
		holding->slots_are_old = true; /* whichever store it is now */
		end(recovering, status, "the store could not be changed; run the same again");
		return;
	}
	describe(recovery, was_backup);
	vault = recovery->vault;
	recovery->vault = NULL;
	status = opening_accept(recovering->opening, vault);
	if (status == MORTISE_OK)
		unsealing_stop(recovering->unsealing);
	if (status == MORTISE_OK)
		(void)clock_accept(); /* a backup knows an old time; whoever restores it, this one
				       */
	if (status == MORTISE_OK && holding_lift_seal(holding) != MORTISE_OK)
		log_warning("an admin's seal could not be taken back; run: mortise unseal, again");
	end(recovering, status, status == MORTISE_OK ? recovery->note : holding->reason);
}

static void on_counter(void *context, enum mortise_status status, const char *text)
{
	struct recovering *recovering = context;

	if (status == MORTISE_OK)
		apply(recovering);
	else
		end(recovering, status, text);
}

static void on_enrolled(void *context, enum mortise_status status, const char *text)
{
	struct recovering *recovering = context;
	struct recovery *recovery = recovering->recovery;

	if (status != MORTISE_OK)
		end(recovering, status, text);
	else if (!recovery->has_anchor)
		apply(recovering);
	else if (enrolment_add_counter(recovery->enrolment, ADVICE_RECOVER_COUNTER, on_counter) !=
		 MORTISE_OK)
		end(recovering, MORTISE_BUSY,
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

enum mortise_status recovering_find_key(
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

static enum mortise_status open_store(struct recovering *recovering, const struct secret *key)
{
	const struct holding *holding = recovering->holding;
	struct recovery *recovery = recovering->recovery;
	struct store *store = holding->store;
	struct vault *vault = NULL;

	if (recovery->owner)
		TRY(backup_store(holding->backup, recovery->owner, &store));
	TRY(recovering_find_key(store, key, &recovery->master_key));
	if (recovery->owner)
		TRY(backup_unlock(holding->backup, recovery->owner, recovery->master_key, &vault));
	else
		TRY(vault_open(store, recovery->master_key, &recovery->vault));
	recovery->was = vault_age(vault ? vault : recovery->vault).generation;
	return MORTISE_OK;
}

enum mortise_status recovering_begin(struct recovering *recovering,
	const struct recovery_wish *wish, const struct waiter *waiter)
{
	struct holding *holding = recovering->holding;
	bool is_here = holding->state != LIFECYCLE_UNINITIALISED;
	struct recovery *recovery = calloc(1, sizeof *recovery);

	if (!recovery)
		return MORTISE_BUSY;
	recovery->waiter = *waiter;
	recovery->owner = wish->owner;
	recovery->has_anchor = wish->has_anchor;
	recovering->recovery = recovery;
	enum mortise_status status = wish->owner ? MORTISE_OK : holding_have_store(holding);
	if (status == MORTISE_OK)
		status = open_store(recovering, wish->key);
	if (status == MORTISE_OK && wish->kind && !wish->is_dry_run)
		status = enrolment_new(holding->sealer, wish->kind, wish->seal, ADVICE_RECOVER,
			on_enrolled, recovering, &recovery->enrolment);
	if (status != MORTISE_OK || wish->is_dry_run) {
		recovering_done(recovering);
		return status;
	}
	holding_try_no_more(holding);
	unsealing_end_turn(recovering->unsealing);
	if (is_here)
		holding_set_state(holding, LIFECYCLE_UNSEALING);
	if (!wish->kind)
		apply(recovering);
	return MORTISE_OK;
}
