/* SPDX-License-Identifier: ISC */
/*
 * A vault after a commit that failed: its keys are here, and only what is on disk is unknown. The
 * tally says which store that is, so no hardware and no anchor has to.
 */
#include <sodium.h>
#include <string.h>

#include "vault_rows.h"

static void drop_vault(struct vault **vault)
{
	vault_close(*vault);
}

static bool is_same(const struct store_meta *meta, const struct store_meta *other)
{
	return memcmp(meta->uuid, other->uuid, sizeof meta->uuid) == 0 &&
	       meta->epoch == other->epoch && meta->generation == other->generation &&
	       sodium_memcmp(meta->tally, other->tally, sizeof meta->tally) == 0;
}

/* A rekey whose last commit failed was dropped since, but the next epoch's keys are not gone. */
static const struct secret *key_of(const struct vault *vault, uint64_t epoch)
{
	if (epoch == vault->meta.epoch)
		return vault->keyring.key[KEY_MASTER];
	return vault->retired ? vault->retired->keyring.key[KEY_MASTER] : NULL;
}

/* What was read takes the place of what was in memory, in the same struct: others point to it. */
static void take_over(struct vault *vault, struct vault *fresh)
{
	const struct vault old = *vault;

	vault->keyring = fresh->keyring;
	vault->meta = fresh->meta;
	vault->index = fresh->index;
	vault->cache = fresh->cache;
	vault->sweep = fresh->sweep;
	vault->is_stale = false;
	vault->changes++;
	vault_count_again(vault);
	fresh->keyring = old.keyring;
	fresh->index = old.index;
	fresh->cache = old.cache;
}

enum mortise_status vault_reload(struct vault *vault)
{
	CLEANUP(drop_vault) struct vault *fresh = NULL;
	const struct attempt attempt = vault->attempt;
	struct store_meta meta;

	enum mortise_status status = store_meta(vault->store, &meta);
	if (status == MORTISE_NOT_FOUND)
		return MORTISE_INTEGRITY;
	TRY(status);
	bool is_old = is_same(&meta, &vault->meta), is_new = is_same(&meta, &attempt.meta);
	const struct secret *master_key = key_of(vault, meta.epoch);
	if ((!is_old && !is_new) || !master_key)
		return MORTISE_INTEGRITY;
	rekey_drop(vault);
	TRY(vault_load(vault->store, master_key, &meta, &fresh));
	take_over(vault, fresh);
	vault->commits += !is_old && attempt.raises;
	vault->weighty_commits += !is_old && attempt.is_weighty;
	return MORTISE_OK;
}
