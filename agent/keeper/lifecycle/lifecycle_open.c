/* SPDX-License-Identifier: ISC */
/* From a slot's h to a vault that serves: the slot, the tally, the anchor, policy and log keys. */
#include "lifecycle_parts.h"
#include "log.h"

/* Keeps the vault only if what else is needed can be had from it. */
enum mortise_status lifecycle_accept(struct lifecycle *lifecycle, struct vault *vault)
{
	const char *reason = "the store cannot be used";
	enum mortise_status status =
		lifecycle->parts.hooks.opened(lifecycle->parts.hooks.context, vault, &reason);

	if (status != MORTISE_OK) {
		anchor_detach(lifecycle->anchor);
		vault_close(vault);
		lifecycle_explain(lifecycle, "%s", reason);
		return status;
	}
	lifecycle->vault = vault;
	lifecycle->attempts = 0;
	lifecycle->opened_us = clock_now().least_us;
	lifecycle_set_state(lifecycle, LIFECYCLE_UNSEALED);
	lifecycle_begin_work(lifecycle);
	lifecycle_count(lifecycle);
	return MORTISE_OK;
}

static void tell(struct lifecycle *lifecycle, enum mortise_status status)
{
	lifecycle_opened *opened = lifecycle->opened;

	lifecycle->opened = NULL;
	opened(lifecycle, status);
}

static struct vault *take_candidate(struct lifecycle *lifecycle)
{
	struct vault *vault = lifecycle->candidate;

	lifecycle->candidate = NULL;
	lifecycle->check_waits = false;
	return vault;
}

static void on_checked(
	void *context, enum mortise_status status, enum token_fault fault, const char *text)
{
	struct lifecycle *lifecycle = context;
	struct vault *vault = take_candidate(lifecycle);

	if (status == MORTISE_OK) {
		status = lifecycle_accept(lifecycle, vault);
	} else {
		vault_close(vault);
		lifecycle->check_may_pass =
			status == MORTISE_HARDWARE && token_fault_is_passing(fault);
		lifecycle_explain(lifecycle, "%s", text);
	}
	tell(lifecycle, status == MORTISE_CONFLICT ? MORTISE_INTEGRITY : status);
}

void lifecycle_check_age(struct lifecycle *lifecycle)
{
	enum mortise_status status =
		anchor_check(lifecycle->anchor, lifecycle->candidate, on_checked, lifecycle);

	lifecycle->check_waits = status == MORTISE_BUSY && sealer_is_busy(lifecycle->parts.sealer);
	if (lifecycle->check_waits)
		lifecycle_try_later(lifecycle);
	if (lifecycle->check_waits || status == MORTISE_OK)
		return;
	struct vault *vault = take_candidate(lifecycle);
	if (status == MORTISE_NOT_FOUND) {
		status = lifecycle_accept(lifecycle, vault);
	} else {
		vault_close(vault);
		lifecycle_explain(lifecycle, "the store's anchor cannot be asked: %s",
			mortise_status_text(status));
	}
	tell(lifecycle, status);
}

void lifecycle_drop_candidate(struct lifecycle *lifecycle)
{
	if (!lifecycle->candidate)
		return;
	anchor_cancel(lifecycle->anchor);
	vault_close(take_candidate(lifecycle));
	lifecycle->opened = NULL;
}

/* Only a proof of damage is called so; for the rest it says what was lacking. */
static enum mortise_status explain_unopened(
	struct lifecycle *lifecycle, enum mortise_status status, bool fits)
{
	if (fits && (status == MORTISE_INTEGRITY || status == MORTISE_NOT_FOUND)) {
		lifecycle_explain(lifecycle,
			"the store is not what mortise wrote last (%s): it was edited, damaged or "
			"mixed; restore it from a backup: mortise recover --backup=FILE",
			status == MORTISE_INTEGRITY ? "the tally does not match"
						    : mortise_status_text(status));
	} else if (status == MORTISE_BUSY || status == MORTISE_IO) {
		lifecycle_explain_lack(lifecycle, status);
	}
	return status;
}

static enum mortise_status open_vault(struct lifecycle *lifecycle, const struct kept_slot *kept,
	const struct secret *h, struct vault **out_vault, bool *out_fits)
{
	CLEANUP(secret_drop) struct secret *master_key = NULL;
	struct slot slot = lifecycle_slot_of(kept);
	struct store_meta meta;

	*out_fits = false;
	TRY(store_meta(lifecycle->store, &meta));
	struct slot_identity identity = {meta.uuid, kept->id, meta.epoch};
	TRY(slot_open(&identity, &slot, h, &master_key));
	*out_fits = true;
	return vault_open(lifecycle->store, master_key, out_vault);
}

enum mortise_status lifecycle_open_with(struct lifecycle *lifecycle, const struct kept_slot *kept,
	const struct secret *h, lifecycle_opened *opened, bool *out_fits)
{
	struct vault *vault = NULL;

	*out_fits = false;
	if (lifecycle->candidate)
		return MORTISE_BUSY;
	enum mortise_status status = open_vault(lifecycle, kept, h, &vault, out_fits);
	if (status != MORTISE_OK)
		return explain_unopened(lifecycle, status, *out_fits);
	lifecycle->candidate = vault;
	lifecycle->opened = opened;
	lifecycle->opened_id = kept->id;
	lifecycle->check_may_pass = false;
	lifecycle_check_age(lifecycle);
	return MORTISE_OK;
}

void lifecycle_close_vault(struct lifecycle *lifecycle)
{
	bool was_unsure = lifecycle_is_unsure(lifecycle);

	lifecycle_end_work(lifecycle);
	slot_work_cancel(lifecycle);
	event_del(lifecycle->ends);
	lifecycle->parts.hooks.closing(lifecycle->parts.hooks.context);
	anchor_detach(lifecycle->anchor);
	vault_close(lifecycle->vault);
	lifecycle->vault = NULL;
	lifecycle->is_unsure = false;
	/* The write that failed may have been done, and made another epoch the store's. */
	if (was_unsure) {
		backup_store_closing(lifecycle->backup);
		lifecycle->slots_are_old = true;
		if (store_reopen(lifecycle->store) != MORTISE_OK)
			store_shut(lifecycle->store); /* it is opened when it is needed */
	}
}

/*
 * A store that could not be written: it is opened anew with the keys that are here, so that nobody
 * has to come with a PIN, a token or a key for a disk that failed once.
 */

enum mortise_status lifecycle_have_store(struct lifecycle *lifecycle)
{
	enum mortise_status status = MORTISE_OK;

	if (!store_is_open(lifecycle->store)) {
		status = store_reopen(lifecycle->store);
		lifecycle->slots_are_old = true;
	}
	if (status == MORTISE_OK)
		status = lifecycle_have_slots(lifecycle);
	if (status == MORTISE_BUSY || status == MORTISE_IO)
		lifecycle_explain_lack(lifecycle, status);
	return status;
}

/* A rekey's last commit may be what failed: then the slots are others. */
static enum mortise_status read_anew(struct lifecycle *lifecycle)
{
	const struct lifecycle_hooks *hooks = &lifecycle->parts.hooks;

	backup_store_closing(lifecycle->backup);
	TRY(store_reopen(lifecycle->store));
	TRY(lifecycle_load_slots(lifecycle));
	TRY(vault_reload(lifecycle->vault));
	return hooks->reread(hooks->context, lifecycle->vault);
}

static void go_on(struct lifecycle *lifecycle)
{
	lifecycle->is_unsure = false;
	log_warning("a write to the store failed; it was opened anew, and is what it was");
	lifecycle_explain(lifecycle, "%s", "");
	lifecycle_begin_work(lifecycle);
	lifecycle_count(lifecycle);
	lifecycle_arm_ends(lifecycle);
}

static void wait_for_disk(struct lifecycle *lifecycle, enum mortise_status status, bool is_news)
{
	char text[400];

	if (!is_news)
		return;
	store_describe_lack(lifecycle->store, status, text, sizeof text);
	log_error("a write to the store failed, and it cannot be opened anew: %s", text);
	lifecycle_explain(lifecycle,
		"a write failed, and nothing is written for now, but the keys stay: %s; it is "
		"opened anew by itself as soon as that is possible",
		text);
}

static void seal_other(struct lifecycle *lifecycle)
{
	const struct lifecycle_hooks *hooks = &lifecycle->parts.hooks;

	lifecycle_close_vault(lifecycle);
	lifecycle_set_state(lifecycle, LIFECYCLE_SEALED);
	lifecycle_explain(lifecycle,
		"after a write that failed the store on the disk is neither what it was nor what "
		"that write was to make of it: the disk lost writes, or somebody changed it; look "
		"at the disk, then restore a backup: mortise recover --backup=FILE; or take the "
		"store as it is: mortise unseal");
	hooks->record(hooks->context, "unsealed", MORTISE_INTEGRITY, lifecycle->reason);
}

void lifecycle_look_again(struct lifecycle *lifecycle)
{
	bool is_news = !lifecycle->is_unsure;

	if (!lifecycle_is_unsure(lifecycle))
		return;
	lifecycle->is_unsure = true;
	enum mortise_status status = read_anew(lifecycle);
	if (status == MORTISE_OK)
		go_on(lifecycle);
	else if (status == MORTISE_BUSY || status == MORTISE_IO)
		wait_for_disk(lifecycle, status, is_news);
	else
		seal_other(lifecycle);
}
