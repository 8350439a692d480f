/* SPDX-License-Identifier: ISC */
#include "lifecycle.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"

#define FILL_US UINT64_C(1000000) /* between two looks at the disk */

/* Each knows those above it. */
struct lifecycle {
	struct holding holding;
	struct slot_worker worker;
	struct passing passing;
	struct slices slices;
	struct opening opening;
	struct unsealing unsealing;
	struct making making;
	struct recovering recovering;
	uint64_t filled_us; /* when the reserve was, of CLOCK_MONOTONIC; 0: never */
};

enum lifecycle_state lifecycle_state(const struct lifecycle *lifecycle)
{
	return lifecycle->holding.state;
}

const char *lifecycle_state_name(const struct lifecycle *lifecycle)
{
	static const char *const names[] = {"uninitialised", "sealed", "unsealing", "unsealed"};

	return names[lifecycle->holding.state];
}

struct vault *lifecycle_vault(const struct lifecycle *lifecycle)
{
	return lifecycle->holding.vault;
}

const char *lifecycle_reason(const struct lifecycle *lifecycle)
{
	return lifecycle->holding.reason;
}

uint64_t lifecycle_since(const struct lifecycle *lifecycle)
{
	return lifecycle->holding.since_us;
}

const char *lifecycle_recovery_id(const struct lifecycle *lifecycle)
{
	return lifecycle->holding.recovery_id;
}

bool lifecycle_slots(const struct lifecycle *lifecycle, char *buffer, size_t size)
{
	return holding_describe_slots(&lifecycle->holding, buffer, size);
}

uint64_t lifecycle_waits_for_pin(const struct lifecycle *lifecycle)
{
	bool is_open = lifecycle->holding.state == LIFECYCLE_UNSEALED;

	return is_open ? 0 : lifecycle->unsealing.pin_slot;
}

struct slot_worker *lifecycle_slot_worker(struct lifecycle *lifecycle)
{
	return &lifecycle->worker;
}

uint64_t lifecycle_slot_opened_us(const struct lifecycle *lifecycle, uint64_t id)
{
	return lifecycle->opening.slot == id ? lifecycle->opening.slot_us : 0;
}

struct backup *lifecycle_backup(const struct lifecycle *lifecycle)
{
	return lifecycle->holding.backup;
}

enum mortise_status lifecycle_copy(
	struct lifecycle *lifecycle, const void *owner, uint64_t *out_done, uint64_t *out_total)
{
	const struct holding *holding = &lifecycle->holding;

	if (!holding->vault)
		return MORTISE_SEALED;
	return backup_copy(holding->backup, owner, holding->store, out_done, out_total);
}

struct anchor_report lifecycle_anchor(const struct lifecycle *lifecycle)
{
	return anchor_report(lifecycle->holding.anchor);
}

/* ---- what is under way ---- */

/* An init or a recovery opens the store by itself. */
static bool opens_otherwise(const struct lifecycle *lifecycle)
{
	return making_is_under_way(&lifecycle->making) ||
	       recovering_is_under_way(&lifecycle->recovering);
}

enum mortise_status lifecycle_init(struct lifecycle *lifecycle, const struct making_wish *wish,
	lifecycle_done *done, void *context)
{
	if (lifecycle->holding.state != LIFECYCLE_UNINITIALISED)
		return MORTISE_CONFLICT;
	if (opens_otherwise(lifecycle))
		return MORTISE_BUSY;
	return making_begin(&lifecycle->making, wish, &(struct waiter){done, context});
}

void lifecycle_start(struct lifecycle *lifecycle)
{
	if (lifecycle->holding.state != LIFECYCLE_UNINITIALISED)
		unsealing_start(&lifecycle->unsealing);
}

enum mortise_status lifecycle_unseal(struct lifecycle *lifecycle, const struct lifecycle_pin *pin,
	lifecycle_done *done, void *context)
{
	if (lifecycle->holding.state == LIFECYCLE_UNINITIALISED)
		return MORTISE_CONFLICT;
	if (lifecycle->holding.state == LIFECYCLE_UNSEALED || opens_otherwise(lifecycle))
		return MORTISE_BUSY;
	return unsealing_ask(&lifecycle->unsealing, pin, &(struct waiter){done, context});
}

enum mortise_status lifecycle_unseal_typed(struct lifecycle *lifecycle,
	const struct secret *recovery_key, lifecycle_done *done, void *context)
{
	if (lifecycle->holding.state == LIFECYCLE_UNINITIALISED ||
		lifecycle->holding.state == LIFECYCLE_UNSEALED)
		return MORTISE_CONFLICT;
	if (opens_otherwise(lifecycle))
		return MORTISE_BUSY;
	return unsealing_type(&lifecycle->unsealing, recovery_key, &(struct waiter){done, context});
}

bool lifecycle_is_opening(const struct lifecycle *lifecycle)
{
	return unsealing_is_awaited(&lifecycle->unsealing) ||
	       opening_is_under_way(&lifecycle->opening) || making_is_under_way(&lifecycle->making);
}

bool lifecycle_is_busy(const struct lifecycle *lifecycle)
{
	return opens_otherwise(lifecycle) || opening_is_under_way(&lifecycle->opening) ||
	       sealer_is_busy(lifecycle->holding.sealer);
}

enum mortise_status lifecycle_recover(struct lifecycle *lifecycle, const struct recovery_wish *wish,
	lifecycle_done *done, void *context)
{
	bool is_here = lifecycle->holding.state != LIFECYCLE_UNINITIALISED;

	if (lifecycle->holding.state == LIFECYCLE_UNSEALED || (!is_here && !wish->owner))
		return MORTISE_CONFLICT;
	if (lifecycle_is_busy(lifecycle))
		return MORTISE_BUSY;
	return recovering_begin(&lifecycle->recovering, wish, &(struct waiter){done, context});
}

enum mortise_status lifecycle_check_recovery(
	struct lifecycle *lifecycle, const struct secret *recovery_key)
{
	return holding_check_recovery(&lifecycle->holding, recovery_key);
}

void lifecycle_count(struct lifecycle *lifecycle)
{
	slices_count(&lifecycle->slices);
}

enum mortise_status lifecycle_rekey(struct lifecycle *lifecycle, bool reencrypt)
{
	return slices_rekey(&lifecycle->slices, reencrypt);
}

struct lifecycle_rekeying lifecycle_rekeying(const struct lifecycle *lifecycle)
{
	return slices_rekeying(&lifecycle->slices);
}

bool lifecycle_is_unsure(const struct lifecycle *lifecycle)
{
	return holding_is_unsure(&lifecycle->holding);
}

void lifecycle_look_again(struct lifecycle *lifecycle)
{
	opening_look_again(&lifecycle->opening);
}

/* ---- an admin's seal ---- */

bool lifecycle_is_held(const struct lifecycle *lifecycle)
{
	bool holds = true;

	return holding_find_seal(&lifecycle->holding, &holds) != MORTISE_OK || holds;
}

bool lifecycle_is_held_so(const struct lifecycle *lifecycle, bool until_boot)
{
	return holding_is_sealed_so(&lifecycle->holding, until_boot);
}

enum mortise_status lifecycle_seal(struct lifecycle *lifecycle, bool until_boot)
{
	struct holding *holding = &lifecycle->holding;

	if (holding->state == LIFECYCLE_UNINITIALISED)
		return MORTISE_CONFLICT;
	TRY(holding_put_seal(holding, until_boot));
	unsealing_stop(&lifecycle->unsealing);
	opening_cancel(&lifecycle->opening);
	making_cancel(&lifecycle->making);
	recovering_cancel(&lifecycle->recovering);
	holding_try_no_more(holding);
	if (holding->vault)
		opening_close(&lifecycle->opening);
	/* Pruned versions go from the disk now; if not, SQLite overwrites them later. */
	(void)!store_truncate_log(holding->store);
	holding_set_state(holding, LIFECYCLE_SEALED);
	holding_explain(holding, "sealed by an admin; run: mortise unseal");
	unsealing_give_up(&lifecycle->unsealing, MORTISE_SEALED, "sealed meanwhile");
	return MORTISE_OK;
}

/* ---- the disk ---- */

/* Looking at the disk costs little, but upkeep is done at every turn. */
static void fill_reserve(struct lifecycle *lifecycle)
{
	uint64_t steady_us = clock_steady_us();

	if (lifecycle->filled_us && steady_us - lifecycle->filled_us < FILL_US)
		return;
	lifecycle->filled_us = steady_us;
	reserve_fill(lifecycle->holding.reserve);
}

void lifecycle_upkeep(struct lifecycle *lifecycle)
{
	passing_upkeep(&lifecycle->passing);
	anchor_upkeep(lifecycle->holding.anchor);
	fill_reserve(lifecycle);
}

void lifecycle_lend_reserve(struct lifecycle *lifecycle, bool is_lent)
{
	struct holding *holding = &lifecycle->holding;

	if (holding->vault)
		vault_lend(holding->vault, is_lent ? holding->reserve : NULL);
	/* What it did not need goes back before anybody else has it. */
	if (!is_lent)
		reserve_fill(holding->reserve);
}

void lifecycle_rehearse(struct lifecycle *lifecycle, bool is_rehearsal)
{
	struct holding *holding = &lifecycle->holding;

	if (holding->vault)
		vault_rehearse(holding->vault, is_rehearsal);
	store_freeze(holding->store, is_rehearsal);
}

bool lifecycle_disk_is_low(const struct lifecycle *lifecycle, uint64_t *out_free)
{
	return reserve_disk_is_low(lifecycle->holding.reserve, out_free) &&
	       store_unused(lifecycle->holding.store) < RESERVE_MAX;
}

void lifecycle_gaps_while_sealed(
	const struct lifecycle *lifecycle, vault_gap_visit *visit, void *context)
{
	/* What cannot be read now is found when the vault opens. */
	if (lifecycle->holding.state != LIFECYCLE_UNINITIALISED)
		(void)!vault_gaps_while_sealed(lifecycle->holding.store, visit, context);
}

/* ---- its own beginning and end ---- */

/* That the file is not ours is the usual reason. */
static void explain_store(const char *directory, enum mortise_status status)
{
	char path[4096];

	snprintf(path, sizeof path, "%s/store.db", directory);
	if (status == MORTISE_IO && access(path, R_OK | W_OK) != 0)
		log_error("%s: %s; give the file to the agent's user, with mode 0600", path,
			strerror(errno));
	else if (status == MORTISE_REJECTED)
		log_error("%s: made by another version of mortise, in a format that this one does "
			  "not read; use that version, or take its values along (take-values: "
			  "docs/operations.md), or move the store away and run: mortise init",
			path);
	else if (status == MORTISE_BUSY || status == MORTISE_IO)
		log_error("%s: %s", path, store_describe_open());
	else
		log_error("%s: not a usable store: %s", path, mortise_status_text(status));
}

/* An admin may have sealed it meanwhile, or the key that was typed was not enough to end his seal.
 */
static void on_retry(evutil_socket_t fd, short what, void *context)
{
	struct lifecycle *lifecycle = context;

	(void)fd;
	(void)what;
	if (lifecycle->opening.waits)
		opening_check(&lifecycle->opening);
	else if (lifecycle->holding.state == LIFECYCLE_SEALED)
		unsealing_start(&lifecycle->unsealing);
}

#define ROWS_A_PULSE 100 /* seconds, where each has to be looked for on a slow disk */

static enum mortise_status set_up(struct lifecycle *lifecycle, const struct lifecycle_parts *parts)
{
	struct holding *holding = &lifecycle->holding;

	holding->hooks = parts->hooks;
	store_set_pulse(ROWS_A_PULSE, holding->hooks.reading, holding->hooks.context);
	holding->sealer = parts->sealer;
	holding->audit = parts->audit;
	lifecycle->worker.holding = holding;
	lifecycle->opening = (struct opening){.holding = holding,
		.worker = &lifecycle->worker,
		.passing = &lifecycle->passing,
		.slices = &lifecycle->slices};
	lifecycle->unsealing = (struct unsealing){
		.holding = holding, .opening = &lifecycle->opening, .passing = &lifecycle->passing};
	lifecycle->making = (struct making){
		.holding = holding, .opening = &lifecycle->opening, .first_uid = parts->first_uid};
	lifecycle->recovering = (struct recovering){.holding = holding,
		.opening = &lifecycle->opening,
		.unsealing = &lifecycle->unsealing};
	TRY(passing_init(&lifecycle->passing, parts->base, holding, &lifecycle->worker));
	TRY(slices_init(&lifecycle->slices, parts->base, holding));
	TRY(holding_init(holding, parts->base, parts->store_directory, parts->anchor_window_s,
		on_retry, lifecycle));
	return holding_open(holding, parts->store_directory);
}

enum mortise_status lifecycle_new(
	const struct lifecycle_parts *parts, struct lifecycle **out_lifecycle)
{
	struct lifecycle *lifecycle = calloc(1, sizeof *lifecycle);

	if (!lifecycle)
		return MORTISE_BUSY;
	enum mortise_status status = set_up(lifecycle, parts);
	if (status != MORTISE_OK) {
		explain_store(parts->store_directory, status);
		lifecycle_free(lifecycle);
		return status;
	}
	*out_lifecycle = lifecycle;
	return MORTISE_OK;
}

void lifecycle_free(struct lifecycle *lifecycle)
{
	if (!lifecycle)
		return;
	opening_cancel(&lifecycle->opening);
	if (lifecycle->holding.vault)
		opening_close(&lifecycle->opening);
	making_done(&lifecycle->making);
	recovering_done(&lifecycle->recovering);
	unsealing_end_turn(&lifecycle->unsealing);
	passing_done(&lifecycle->passing);
	slices_done(&lifecycle->slices);
	holding_done(&lifecycle->holding);
	free(lifecycle);
}
