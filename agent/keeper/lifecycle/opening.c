/* SPDX-License-Identifier: ISC */
#include "opening.h"

#include "clock.h"
#include "log.h"

/* Keeps the vault only if what else is needed can be had from it. */
enum mortise_status opening_accept(struct opening *opening, struct vault *vault)
{
	struct holding *holding = opening->holding;
	const char *reason = "the store cannot be used";
	enum mortise_status status = holding->hooks.opened(holding->hooks.context, vault, &reason);

	if (status != MORTISE_OK) {
		anchor_detach(holding->anchor);
		vault_close(vault);
		holding_explain(holding, "%s", reason);
		return status;
	}
	holding->vault = vault;
	holding->attempts = 0;
	opening->slot_us = clock_now().least_us;
	holding_set_state(holding, LIFECYCLE_UNSEALED);
	slices_begin(opening->slices);
	slices_count(opening->slices);
	return MORTISE_OK;
}

static void tell(struct opening *opening, enum mortise_status status)
{
	opening_opened *opened = opening->opened;

	opening->opened = NULL;
	opened(opening->context, status);
}

static struct vault *take_candidate(struct opening *opening)
{
	struct vault *vault = opening->candidate;

	opening->candidate = NULL;
	opening->waits = false;
	return vault;
}

static void on_checked(
	void *context, enum mortise_status status, enum token_fault fault, const char *text)
{
	struct opening *opening = context;
	struct vault *vault = take_candidate(opening);

	if (status == MORTISE_OK) {
		status = opening_accept(opening, vault);
	} else {
		vault_close(vault);
		opening->may_pass = status == MORTISE_HARDWARE && token_fault_is_passing(fault);
		holding_explain(opening->holding, "%s", text);
	}
	tell(opening, status == MORTISE_CONFLICT ? MORTISE_INTEGRITY : status);
}

void opening_check(struct opening *opening)
{
	struct holding *holding = opening->holding;
	enum mortise_status status =
		anchor_check(holding->anchor, opening->candidate, on_checked, opening);

	opening->waits = status == MORTISE_BUSY && sealer_is_busy(holding->sealer);
	if (opening->waits)
		holding_try_later(holding);
	if (opening->waits || status == MORTISE_OK)
		return;
	struct vault *vault = take_candidate(opening);
	if (status == MORTISE_NOT_FOUND) {
		status = opening_accept(opening, vault);
	} else {
		vault_close(vault);
		holding_explain(holding, "the store's anchor cannot be asked: %s",
			mortise_status_text(status));
	}
	tell(opening, status);
}

void opening_cancel(struct opening *opening)
{
	if (!opening->candidate)
		return;
	anchor_cancel(opening->holding->anchor);
	vault_close(take_candidate(opening));
	opening->opened = NULL;
}

/* Only a proof of damage is called so; for the rest it says what was lacking. */
static enum mortise_status explain_unopened(
	struct opening *opening, enum mortise_status status, bool fits)
{
	if (fits && (status == MORTISE_INTEGRITY || status == MORTISE_NOT_FOUND)) {
		holding_explain(opening->holding,
			"the store is not what mortise wrote last (%s): it was edited, damaged or "
			"mixed; restore it from a backup: mortise recover --backup=FILE",
			status == MORTISE_INTEGRITY ? "the tally does not match"
						    : mortise_status_text(status));
	} else if (status == MORTISE_BUSY || status == MORTISE_IO) {
		holding_explain_lack(opening->holding, status);
	}
	return status;
}

static enum mortise_status open_vault(struct opening *opening, const struct kept_slot *kept,
	const struct secret *h, struct vault **out_vault, bool *out_fits)
{
	CLEANUP(secret_drop) struct secret *master_key = NULL;
	struct store_meta meta;

	*out_fits = false;
	TRY(store_meta(opening->holding->store, &meta));
	struct slot_identity identity = {meta.uuid, kept->id, meta.epoch};
	TRY(slot_open(&identity, &kept->copy.slot, h, &master_key));
	*out_fits = true;
	return vault_open(opening->holding->store, master_key, out_vault);
}

enum mortise_status opening_begin(struct opening *opening, const struct kept_slot *kept,
	const struct secret *h, opening_opened *opened, void *context, bool *out_fits)
{
	struct vault *vault = NULL;

	*out_fits = false;
	if (opening->candidate)
		return MORTISE_BUSY;
	enum mortise_status status = open_vault(opening, kept, h, &vault, out_fits);
	if (status != MORTISE_OK)
		return explain_unopened(opening, status, *out_fits);
	opening->candidate = vault;
	opening->opened = opened;
	opening->context = context;
	opening->slot = kept->id;
	opening->may_pass = false;
	opening_check(opening);
	return MORTISE_OK;
}

void opening_close(struct opening *opening)
{
	struct holding *holding = opening->holding;
	bool was_unsure = holding_is_unsure(holding);

	slices_end(opening->slices);
	slot_work_cancel(opening->worker);
	passing_stop(opening->passing);
	holding->hooks.closing(holding->hooks.context);
	anchor_detach(holding->anchor);
	vault_close(holding->vault);
	holding->vault = NULL;
	holding->is_unsure = false;
	/* The write that failed may have been done, and made another epoch the store's. */
	if (was_unsure) {
		backup_store_closing(holding->backup);
		holding->slots_are_old = true;
		if (store_reopen(holding->store) != MORTISE_OK)
			store_shut(holding->store); /* it is opened when it is needed */
	}
}

/*
 * A store that could not be written: it is opened anew with the keys that are here, so that nobody
 * has to come with a PIN, a token or a key for a disk that failed once.
 */

/* A rekey's last commit may be what failed: then the slots are others. */
static enum mortise_status read_anew(struct opening *opening)
{
	struct holding *holding = opening->holding;
	const struct lifecycle_hooks *hooks = &holding->hooks;

	backup_store_closing(holding->backup);
	TRY(store_reopen(holding->store));
	TRY(holding_load_slots(holding));
	TRY(vault_reload(holding->vault));
	return hooks->reread(hooks->context, holding->vault);
}

static void go_on(struct opening *opening)
{
	opening->holding->is_unsure = false;
	log_warning("a write to the store failed; it was opened anew, and is what it was");
	holding_explain(opening->holding, "%s", "");
	slices_begin(opening->slices);
	slices_count(opening->slices);
	passing_look(opening->passing);
}

static void wait_for_disk(struct opening *opening, enum mortise_status status, bool is_news)
{
	char text[400];

	if (!is_news)
		return;
	store_describe_lack(opening->holding->store, status, text, sizeof text);
	log_error("a write to the store failed, and it cannot be opened anew: %s", text);
	holding_explain(opening->holding,
		"a write failed, and nothing is written for now, but the keys stay: %s; it is "
		"opened anew by itself as soon as that is possible",
		text);
}

static void seal_other(struct opening *opening)
{
	struct holding *holding = opening->holding;

	opening_close(opening);
	holding_set_state(holding, LIFECYCLE_SEALED);
	holding_explain(holding,
		"after a write that failed the store on the disk is neither what it was nor what "
		"that write was to make of it: the disk lost writes, or somebody changed it; look "
		"at the disk, then restore a backup: mortise recover --backup=FILE; or take the "
		"store as it is: mortise unseal");
	holding_record(holding, "unsealed", MORTISE_INTEGRITY, holding->reason);
}

void opening_look_again(struct opening *opening)
{
	struct holding *holding = opening->holding;
	bool is_news = !holding->is_unsure;

	if (!holding_is_unsure(holding))
		return;
	holding->is_unsure = true;
	enum mortise_status status = read_anew(opening);
	if (status == MORTISE_OK)
		go_on(opening);
	else if (status == MORTISE_BUSY || status == MORTISE_IO)
		wait_for_disk(opening, status, is_news);
	else
		seal_other(opening);
}

bool opening_is_under_way(const struct opening *opening)
{
	return opening->candidate != NULL;
}
