/* SPDX-License-Identifier: ISC */
/* What the vault does in slices: a rekey, and removing what one has left. */
#include <stdio.h>

#include "lifecycle_parts.h"
#include "log.h"

#define SLICE_US 1000
#define PAUSE_S  1 /* after a slice that failed: it may be a full disk */

static void schedule(struct lifecycle *lifecycle, time_t delay_s)
{
	const struct timeval delay = {delay_s, 0};

	event_add(lifecycle->vault_work, &delay);
}

/* What is on record of a rekey's end. */
static void end_rekey(struct lifecycle *lifecycle, enum mortise_status status)
{
	const struct lifecycle_hooks *hooks = &lifecycle->parts.hooks;
	struct lifecycle_rekeying *rekeying = &lifecycle->rekeying;
	char note[128];

	rekeying->is_under_way = false;
	rekeying->status = status;
	if (status == MORTISE_OK)
		snprintf(note, sizeof note, "key epoch %llu", (unsigned long long)rekeying->epoch);
	else
		snprintf(note, sizeof note, "dropped: the key of epoch %llu stays",
			(unsigned long long)(rekeying->epoch - 1));
	log_info("rekey: %s", note);
	hooks->record(hooks->context, "rekeyed", status, note);
	audit_request_checkpoint(lifecycle->parts.audit);
}

/* Of a rekey whose commit failed the store now says whether it was done. */
void lifecycle_begin_work(struct lifecycle *lifecycle)
{
	const struct lifecycle_rekeying *rekeying = &lifecycle->rekeying;

	if (rekeying->is_under_way && vault_epoch(lifecycle->vault) < rekeying->epoch)
		end_rekey(lifecycle, MORTISE_IO);
	if (vault_has_work(lifecycle->vault))
		schedule(lifecycle, 0);
	else if (rekeying->is_under_way)
		end_rekey(lifecycle, MORTISE_OK);
}

/* The next start removes what is left; with the old key, if the new one is not the store's yet. */
void lifecycle_end_work(struct lifecycle *lifecycle)
{
	event_del(lifecycle->vault_work);
	if (!lifecycle->rekeying.is_under_way || lifecycle_is_unsure(lifecycle))
		return;
	bool is_done = vault_epoch(lifecycle->vault) == lifecycle->rekeying.epoch;
	end_rekey(lifecycle, is_done ? MORTISE_OK : MORTISE_SEALED);
}

enum mortise_status lifecycle_rekey(struct lifecycle *lifecycle, bool reencrypt)
{
	if (lifecycle->state != LIFECYCLE_UNSEALED)
		return MORTISE_SEALED;
	TRY(vault_rekey(lifecycle->vault, reencrypt));
	lifecycle->rekeying = (struct lifecycle_rekeying){
		.is_under_way = true, .epoch = vault_epoch(lifecycle->vault) + 1};
	schedule(lifecycle, 0);
	return MORTISE_OK;
}

struct lifecycle_rekeying lifecycle_rekeying(const struct lifecycle *lifecycle)
{
	struct lifecycle_rekeying rekeying = lifecycle->rekeying;

	if (lifecycle->vault) {
		const struct vault_progress progress = vault_rekey_progress(lifecycle->vault);
		rekeying.done = progress.done;
		rekeying.total = progress.total;
		rekeying.is_removing = rekeying.is_under_way && !progress.is_rekeying;
	}
	return rekeying;
}

/* The store is of another epoch: its slots are others. */
static bool keeps_slots(struct lifecycle *lifecycle)
{
	if (lifecycle_load_slots(lifecycle) == MORTISE_OK)
		return true;
	log_error("the slots cannot be read after a rekey; the store is opened anew");
	lifecycle->is_unsure = true;
	return false;
}

/* What waits behind it has its turn when all is counted. */
static void count_some(struct lifecycle *lifecycle)
{
	struct vault *vault = lifecycle->vault;
	enum mortise_status status = vault_count_slice(vault, SLICE_US);

	if (status != MORTISE_OK)
		log_warning("what users keep cannot be counted, it is tried again: %s",
			mortise_status_text(status));
	if (vault_is_counting(vault) || vault_has_work(vault))
		schedule(lifecycle, status == MORTISE_OK ? 0 : PAUSE_S);
}

void lifecycle_count(struct lifecycle *lifecycle)
{
	if (lifecycle->vault && vault_is_counting(lifecycle->vault))
		count_some(lifecycle);
}

void lifecycle_on_work(evutil_socket_t fd, short what, void *context)
{
	struct lifecycle *lifecycle = context;
	struct vault *vault = lifecycle->vault;
	struct lifecycle_rekeying *rekeying = &lifecycle->rekeying;

	(void)fd;
	(void)what;
	if (!vault)
		return;
	if (vault_is_counting(vault)) {
		count_some(lifecycle);
		return;
	}
	uint64_t epoch = vault_epoch(vault);
	enum mortise_status status = vault_work(vault, SLICE_US);
	if (vault_epoch(vault) != epoch && !keeps_slots(lifecycle))
		return;
	if (lifecycle_is_unsure(lifecycle))
		return; /* it is opened anew */
	if (status != MORTISE_OK)
		log_warning("rekey: %s", mortise_status_text(status));
	if (rekeying->is_under_way && status != MORTISE_OK && vault_epoch(vault) < rekeying->epoch)
		end_rekey(lifecycle, status);
	if (vault_has_work(vault))
		schedule(lifecycle, status == MORTISE_OK ? 0 : PAUSE_S);
	else if (rekeying->is_under_way)
		end_rekey(lifecycle, MORTISE_OK);
}
