/* SPDX-License-Identifier: ISC */
#include <fcntl.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lifecycle_parts.h"
#include "log.h"

#define FILL_US UINT64_C(1000000) /* between two looks at the disk */

enum lifecycle_state lifecycle_state(const struct lifecycle *lifecycle)
{
	return lifecycle->state;
}

const char *lifecycle_state_name(const struct lifecycle *lifecycle)
{
	static const char *const names[] = {"uninitialised", "sealed", "unsealing", "unsealed"};

	return names[lifecycle->state];
}

struct vault *lifecycle_vault(const struct lifecycle *lifecycle)
{
	return lifecycle->vault;
}

const char *lifecycle_reason(const struct lifecycle *lifecycle)
{
	return lifecycle->reason;
}

uint64_t lifecycle_since(const struct lifecycle *lifecycle)
{
	return lifecycle->since_us;
}

const char *lifecycle_recovery_id(const struct lifecycle *lifecycle)
{
	return lifecycle->recovery_id;
}

uint64_t lifecycle_waits_for_pin(const struct lifecycle *lifecycle)
{
	return lifecycle->pin_slot;
}

struct backup *lifecycle_backup(const struct lifecycle *lifecycle)
{
	return lifecycle->backup;
}

enum mortise_status lifecycle_copy(
	struct lifecycle *lifecycle, const void *owner, uint64_t *out_done, uint64_t *out_total)
{
	if (!lifecycle->vault)
		return MORTISE_SEALED;
	return backup_copy(lifecycle->backup, owner, lifecycle->store, out_done, out_total);
}

struct anchor_report lifecycle_anchor(const struct lifecycle *lifecycle)
{
	return anchor_report(lifecycle->anchor);
}

/* Looking at the disk costs little, but upkeep is done at every turn. */
static void fill_reserve(struct lifecycle *lifecycle)
{
	uint64_t steady_us = clock_steady_us();

	if (lifecycle->filled_us && steady_us - lifecycle->filled_us < FILL_US)
		return;
	lifecycle->filled_us = steady_us;
	reserve_fill(lifecycle->reserve);
}

void lifecycle_upkeep(struct lifecycle *lifecycle)
{
	anchor_upkeep(lifecycle->anchor);
	fill_reserve(lifecycle);
}

void lifecycle_lend_reserve(struct lifecycle *lifecycle, bool is_lent)
{
	if (lifecycle->vault)
		vault_lend(lifecycle->vault, is_lent ? lifecycle->reserve : NULL);
	/* What it did not need goes back before anybody else has it. */
	if (!is_lent)
		reserve_fill(lifecycle->reserve);
}

void lifecycle_rehearse(struct lifecycle *lifecycle, bool is_rehearsal)
{
	if (lifecycle->vault)
		vault_rehearse(lifecycle->vault, is_rehearsal);
	store_freeze(lifecycle->store, is_rehearsal);
}

bool lifecycle_disk_is_low(const struct lifecycle *lifecycle, uint64_t *out_free)
{
	return reserve_disk_is_low(lifecycle->reserve, out_free) &&
	       store_unused(lifecycle->store) < RESERVE_MAX;
}

enum mortise_status lifecycle_seal(struct lifecycle *lifecycle, bool until_boot)
{
	char word[STORE_HOLD_MAX];

	if (lifecycle->state == LIFECYCLE_UNINITIALISED)
		return MORTISE_CONFLICT;
	lifecycle_hold_word(until_boot, word);
	TRY(lifecycle_set_hold(lifecycle, word));
	event_del(lifecycle->retry);
	lifecycle_end_turn(lifecycle);
	lifecycle->pin_slot = 0;
	lifecycle_drop_candidate(lifecycle);
	lifecycle_cancel_recovery(lifecycle);
	event_del(lifecycle->retry);
	if (lifecycle->vault)
		lifecycle_close_vault(lifecycle);
	/* Pruned versions go from the disk now; if not, SQLite overwrites them later. */
	(void)!store_truncate_log(lifecycle->store);
	lifecycle_set_state(lifecycle, LIFECYCLE_SEALED);
	lifecycle_explain(lifecycle, "sealed by an admin; run: mortise unseal");
	lifecycle_finish(lifecycle, MORTISE_SEALED, "sealed meanwhile", NULL);
	lifecycle_finish_typed(lifecycle, MORTISE_SEALED, "sealed meanwhile");
	return MORTISE_OK;
}

/* Until the vault is open, what the disk says of the time has to do. */
static void find_floor(struct store *store)
{
	struct clock_floor floor;

	if (vault_floor_while_sealed(store, &floor) == MORTISE_OK)
		clock_set_floor(&floor);
}

void lifecycle_gaps_while_sealed(
	const struct lifecycle *lifecycle, vault_gap_visit *visit, void *context)
{
	/* What cannot be read now is found when the vault opens. */
	if (lifecycle->state != LIFECYCLE_UNINITIALISED)
		(void)!vault_gaps_while_sealed(lifecycle->store, visit, context);
}

static enum mortise_status open_store(struct lifecycle *lifecycle)
{
	struct store_meta meta;

	TRY(store_open(lifecycle->parts.store_directory, &lifecycle->store));
	enum mortise_status status = store_meta(lifecycle->store, &meta);
	lifecycle->state = LIFECYCLE_UNINITIALISED;
	if (status == MORTISE_NOT_FOUND)
		return MORTISE_OK;
	TRY(status);
	lifecycle->state = LIFECYCLE_SEALED;
	find_floor(lifecycle->store);
	return lifecycle_load_slots(lifecycle);
}

/* That the file is not ours is the usual reason. */
static void explain_store(const char *directory, enum mortise_status status)
{
	char path[4096];

	snprintf(path, sizeof path, "%s/store.db", directory);
	if (status == MORTISE_IO && access(path, R_OK | W_OK) != 0)
		log_error("%s: %s; give the file to the agent's user, with mode 0600", path,
			strerror(errno));
	else if (status == MORTISE_REJECTED)
		log_error(
			"%s: made by another version of mortise, in a format that this one does "
			"not read; use that version, or move the store away and run: mortise init",
			path);
	else if (status == MORTISE_BUSY || status == MORTISE_IO)
		log_error("%s: %s", path, store_describe_open());
	else
		log_error("%s: not a usable store: %s", path, mortise_status_text(status));
}

static void on_retry(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	lifecycle_retry(context);
}

static void on_end(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	lifecycle_arm_ends(context);
}

enum mortise_status lifecycle_new(
	const struct lifecycle_parts *parts, struct lifecycle **out_lifecycle)
{
	struct lifecycle *lifecycle = calloc(1, sizeof *lifecycle);

	if (!lifecycle)
		return MORTISE_BUSY;
	lifecycle->parts = *parts;
	lifecycle->since_us = clock_now().least_us;
	lifecycle->retry = evtimer_new(parts->base, on_retry, lifecycle);
	lifecycle->ends = evtimer_new(parts->base, on_end, lifecycle);
	lifecycle->vault_work = evtimer_new(parts->base, lifecycle_on_work, lifecycle);
	enum mortise_status status =
		lifecycle->retry && lifecycle->ends && lifecycle->vault_work
			? backup_new(parts->store_directory, &lifecycle->backup)
			: MORTISE_BUSY;
	if (status == MORTISE_OK)
		status = anchor_new(parts->sealer, parts->anchor_window_s, &lifecycle->anchor);
	if (status == MORTISE_OK)
		status = reserve_new(parts->store_directory, &lifecycle->reserve);
	if (status == MORTISE_OK)
		status = open_store(lifecycle);
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
	lifecycle_drop_candidate(lifecycle);
	if (lifecycle->vault)
		lifecycle_close_vault(lifecycle);
	if (lifecycle->retry)
		event_free(lifecycle->retry);
	if (lifecycle->ends)
		event_free(lifecycle->ends);
	if (lifecycle->vault_work)
		event_free(lifecycle->vault_work);
	making_free(lifecycle->making);
	recovering_free(lifecycle);
	lifecycle_end_turn(lifecycle);
	lifecycle_forget_slots(lifecycle);
	backup_free(lifecycle->backup);
	anchor_free(lifecycle->anchor);
	store_close(lifecycle->store);
	reserve_free(lifecycle->reserve);
	free(lifecycle);
}
