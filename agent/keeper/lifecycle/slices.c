/* SPDX-License-Identifier: ISC */
#include "slices.h"

#include <stdio.h>

#include "log.h"

#define SLICE_US 1000
#define PAUSE_S  1 /* after a slice that failed: it may be a full disk */

static void schedule(struct slices *slices, time_t delay_s)
{
	const struct timeval delay = {delay_s, 0};

	event_add(slices->next, &delay);
}

/* What is on record of a rekey's end. */
static void end_rekey(struct slices *slices, enum mortise_status status)
{
	struct lifecycle_rekeying *rekeying = &slices->rekeying;
	char note[128];

	rekeying->is_under_way = false;
	rekeying->status = status;
	if (status == MORTISE_OK)
		snprintf(note, sizeof note, "key epoch %llu", (unsigned long long)rekeying->epoch);
	else
		snprintf(note, sizeof note, "dropped: the key of epoch %llu stays",
			(unsigned long long)(rekeying->epoch - 1));
	log_info("rekey: %s", note);
	holding_record(slices->holding, "rekeyed", status, note);
	audit_request_checkpoint(slices->holding->audit);
}

/* Of a rekey whose commit failed the store now says whether it was done. */
void slices_begin(struct slices *slices)
{
	const struct lifecycle_rekeying *rekeying = &slices->rekeying;

	if (rekeying->is_under_way && vault_epoch(slices->holding->vault) < rekeying->epoch)
		end_rekey(slices, MORTISE_IO);
	if (vault_has_work(slices->holding->vault))
		schedule(slices, 0);
	else if (rekeying->is_under_way)
		end_rekey(slices, MORTISE_OK);
}

/* The next start removes what is left; with the old key, if the new one is not the store's yet. */
void slices_end(struct slices *slices)
{
	event_del(slices->next);
	if (!slices->rekeying.is_under_way || holding_is_unsure(slices->holding))
		return;
	bool is_done = vault_epoch(slices->holding->vault) == slices->rekeying.epoch;
	end_rekey(slices, is_done ? MORTISE_OK : MORTISE_SEALED);
}

enum mortise_status slices_rekey(struct slices *slices, bool reencrypt)
{
	struct holding *holding = slices->holding;

	if (holding->state != LIFECYCLE_UNSEALED)
		return MORTISE_SEALED;
	TRY(vault_rekey(holding->vault, reencrypt));
	slices->rekeying = (struct lifecycle_rekeying){
		.is_under_way = true, .epoch = vault_epoch(holding->vault) + 1};
	schedule(slices, 0);
	return MORTISE_OK;
}

struct lifecycle_rekeying slices_rekeying(const struct slices *slices)
{
	struct lifecycle_rekeying rekeying = slices->rekeying;

	if (slices->holding->vault) {
		const struct vault_progress progress = vault_rekey_progress(slices->holding->vault);
		rekeying.done = progress.done;
		rekeying.total = progress.total;
		rekeying.is_removing = rekeying.is_under_way && !progress.is_rekeying;
	}
	return rekeying;
}

/* The store is of another epoch: its slots are others. */
static bool keeps_slots(struct slices *slices)
{
	if (holding_load_slots(slices->holding) == MORTISE_OK)
		return true;
	log_error("the slots cannot be read after a rekey; the store is opened anew");
	slices->holding->is_unsure = true;
	return false;
}

/* What waits behind it has its turn when all is counted. */
static void count_some(struct slices *slices)
{
	struct vault *vault = slices->holding->vault;
	enum mortise_status status = vault_count_slice(vault, SLICE_US);

	if (status != MORTISE_OK)
		log_warning("what users keep cannot be counted, it is tried again: %s",
			mortise_status_text(status));
	if (vault_is_counting(vault) || vault_has_work(vault))
		schedule(slices, status == MORTISE_OK ? 0 : PAUSE_S);
}

void slices_count(struct slices *slices)
{
	if (slices->holding->vault && vault_is_counting(slices->holding->vault))
		count_some(slices);
}

static void on_slice(evutil_socket_t fd, short what, void *context)
{
	struct slices *slices = context;
	struct vault *vault = slices->holding->vault;
	struct lifecycle_rekeying *rekeying = &slices->rekeying;

	(void)fd;
	(void)what;
	if (!vault)
		return;
	if (vault_is_counting(vault)) {
		count_some(slices);
		return;
	}
	uint64_t epoch = vault_epoch(vault);
	enum mortise_status status = vault_work(vault, SLICE_US);
	if (vault_epoch(vault) != epoch && !keeps_slots(slices))
		return;
	if (holding_is_unsure(slices->holding))
		return; /* it is opened anew */
	if (status != MORTISE_OK)
		log_warning("rekey: %s", mortise_status_text(status));
	if (rekeying->is_under_way && status != MORTISE_OK && vault_epoch(vault) < rekeying->epoch)
		end_rekey(slices, status);
	if (vault_has_work(vault))
		schedule(slices, status == MORTISE_OK ? 0 : PAUSE_S);
	else if (rekeying->is_under_way)
		end_rekey(slices, MORTISE_OK);
}

enum mortise_status slices_init(
	struct slices *slices, struct event_base *base, struct holding *holding)
{
	slices->holding = holding;
	slices->next = evtimer_new(base, on_slice, slices);
	return slices->next ? MORTISE_OK : MORTISE_BUSY;
}

void slices_done(struct slices *slices)
{
	if (slices->next)
		event_free(slices->next);
}
