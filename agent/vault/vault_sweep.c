/* SPDX-License-Identifier: ISC */
/* Work that is done in slices: a rekey, and what is to be removed before and after one. */
#include <time.h>

#include "vault_rows.h"

#define AT_ONCE 32 /* rows looked at or deleted between two looks at the clock */

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t vault_until(unsigned budget_us)
{
	return now_us() + budget_us;
}

bool vault_has_time(uint64_t until_us)
{
	return now_us() < until_us;
}

static bool is_owned(const struct vault *vault, const struct store_place *place)
{
	const struct entry *entry = index_get(vault->index, place->id);
	const struct entry_version *version = entry ? entry_version(entry, place->number) : NULL;

	return version && version->value_epoch == place->value_epoch;
}

/* A row that is no value ends the search: `verify` will name what is behind it. */
static enum mortise_status sweep_values(struct vault *vault)
{
	struct sweep *sweep = &vault->sweep;
	struct store_place places[AT_ONCE];
	unsigned count = 0;
	enum mortise_status status =
		store_next_values(vault->store, &sweep->after, AT_ONCE, places, &count);

	if (status != MORTISE_OK && status != MORTISE_INTEGRITY)
		return status;
	for (unsigned i = 0; i < count; i++)
		if (!is_owned(vault, &places[i]))
			TRY(store_delete_value(vault->store, places[i].id, places[i].number,
				places[i].value_epoch));
	if (count)
		sweep->after = places[count - 1];
	/* Who writes the last row in every turn must not keep it from its end. */
	sweep->takes_values = count == AT_ONCE;
	return MORTISE_OK;
}

static enum mortise_status sweep_some(struct vault *vault, uint64_t until_us, bool *out_more)
{
	unsigned count = 1;

	do {
		if (vault->sweep.takes_values)
			TRY(sweep_values(vault));
		else
			TRY(store_sweep(vault->store, AT_ONCE, &count));
	} while (count && vault_has_time(until_us));
	*out_more = count > 0;
	return MORTISE_OK;
}

/* What is removed need not be on disk before the log is emptied, which syncs it. */
enum mortise_status sweep_slice(struct vault *vault, uint64_t until_us)
{
	const struct sweep before = vault->sweep;
	bool has_more = true;

	TRY(vault_begin_slice(vault));
	enum mortise_status status = vault_end_slice(vault, sweep_some(vault, until_us, &has_more));
	if (status != MORTISE_OK)
		vault->sweep = before; /* so are the rows */
	TRY(status);
	if (has_more)
		return MORTISE_OK;
	TRY(store_truncate_log(vault->store));
	vault->sweep = (struct sweep){.is_due = false};
	return MORTISE_OK;
}

enum mortise_status vault_begin_slice(struct vault *vault)
{
	TRY(store_set_synced(vault->store, false));
	enum mortise_status status = store_begin(vault->store);
	if (status != MORTISE_OK)
		vault->is_stale = store_set_synced(vault->store, true) != MORTISE_OK;
	return status;
}

/* Writes that are acknowledged must not meet a store that does not sync. */
enum mortise_status vault_end_slice(struct vault *vault, enum mortise_status status)
{
	if (status == MORTISE_OK) {
		status = store_commit(vault->store);
		vault->is_stale = status != MORTISE_OK && !store_is_full(vault->store);
	}
	if (status != MORTISE_OK)
		store_rollback(vault->store);
	if (store_set_synced(vault->store, true) != MORTISE_OK) {
		vault->is_stale = true;
		return MORTISE_IO;
	}
	return status;
}

bool vault_has_work(const struct vault *vault)
{
	return vault->rekey || vault->sweep.is_due || vault->retired;
}

/* Memory first, which must not wait for a disk that fails. */
static void drain_retired(struct vault *vault)
{
	if (index_drain(vault->retired->index))
		return;
	vault_close(vault->retired);
	vault->retired = NULL;
}

enum mortise_status vault_work(struct vault *vault, unsigned budget_us)
{
	uint64_t until_us = vault_until(budget_us);
	enum mortise_status status = MORTISE_OK;

	if (vault->is_stale)
		return MORTISE_IO;
	if (vault->retired)
		drain_retired(vault);
	else if (vault->sweep.is_due)
		status = sweep_slice(vault, until_us);
	else if (vault->rekey)
		status = rekey_slice(vault, until_us);
	if (status != MORTISE_OK)
		rekey_drop(vault);
	return status;
}
