/* SPDX-License-Identifier: ISC */
/* A vault in memory: made, and closed with the rekey that hangs on it. */
#include <stdlib.h>

#include "vault_rekey.h"

#define CACHE_BYTES (32 * 1024 * 1024)

enum mortise_status vault_make(struct store *store, const struct secret *master_key,
	const struct store_meta *meta, struct vault **out_vault)
{
	struct vault *vault = calloc(1, sizeof *vault);

	if (!vault)
		return MORTISE_BUSY;
	vault->store = store;
	vault->meta = *meta;
	enum mortise_status status = keyring_derive(master_key, &vault->keyring);
	if (status == MORTISE_OK)
		status = index_new(vault->keyring.key[KEY_TALLY], &vault->index);
	if (status == MORTISE_OK)
		status = cache_new(CACHE_BYTES, &vault->cache);
	if (status != MORTISE_OK) {
		vault_close(vault);
		return status;
	}
	*out_vault = vault;
	return MORTISE_OK;
}

void rekey_free(struct rekey **rekey)
{
	if (!*rekey)
		return;
	vault_close((*rekey)->next);
	free((*rekey)->again);
	free(*rekey);
	*rekey = NULL;
}

void rekey_drop(struct vault *vault)
{
	struct rekey *rekey = vault->rekey;

	if (!rekey)
		return;
	vault->rekey = NULL;
	vault->retired = rekey->next; /* no other: a rekey begins after the last one's end */
	rekey->next = NULL;
	rekey_free(&rekey);
	vault->sweep = (struct sweep){.is_due = true, .takes_values = true};
}

void vault_close(struct vault *vault)
{
	if (!vault)
		return;
	rekey_drop(vault);
	(void)!vault_count_by(vault, NULL, NULL); /* to stop takes no memory */
	vault_close(vault->retired);
	cache_free(vault->cache);
	index_free(vault->index);
	keyring_done(&vault->keyring);
	free(vault);
}

bool vault_has_work(const struct vault *vault)
{
	return vault->rekey || vault->sweep.is_due || vault->retired;
}
