/* SPDX-License-Identifier: ISC */
/*
 * A rekey: the rows of the next epoch are written beside those of this one, in many small
 * transactions, and kept in an index of their own. What is written meanwhile is done again. One
 * transaction then makes the next epoch the store's. Until then nothing reads its rows.
 */
#include <stdlib.h>
#include <string.h>

#include "vault_rekey.h"

static void free_rekey(struct rekey **rekey)
{
	if (!*rekey)
		return;
	vault_close((*rekey)->next);
	free((*rekey)->again);
	free(*rekey);
	*rekey = NULL;
}

/* Mixed with the old key, in case the kernel's randomness is weak; it says nothing of it. */
static enum mortise_status make_master_key(const struct vault *vault, struct secret **out_key)
{
	CLEANUP(secret_drop) struct secret *random = NULL;

	TRY(secret_random(KEY_SIZE, &random));
	return envelope_mix(random, vault->keyring.key[KEY_MASTER], out_key);
}

enum mortise_status vault_rekey(struct vault *vault, bool reencrypt)
{
	CLEANUP(secret_drop) struct secret *master_key = NULL;
	CLEANUP(free_rekey) struct rekey *rekey = NULL;
	struct store_meta meta = vault->meta;

	if (vault->is_stale)
		return MORTISE_IO;
	if (vault_has_work(vault))
		return MORTISE_BUSY;
	rekey = calloc(1, sizeof *rekey);
	if (!rekey)
		return MORTISE_BUSY;
	rekey->reencrypts = reencrypt;
	meta.epoch++;
	TRY(make_master_key(vault, &master_key));
	TRY(vault_make(vault->store, master_key, &meta, &rekey->next));
	TRY(index_make_room(rekey->next->index, vault_count(vault)));
	/* Rows that somebody with the disk has put there must not become the store's. */
	vault->sweep = (struct sweep){.is_due = true, .takes_values = true};
	vault->rekey = rekey;
	rekey = NULL;
	return MORTISE_OK;
}

void rekey_drop(struct vault *vault)
{
	struct rekey *rekey = vault->rekey;

	if (!rekey)
		return;
	vault->rekey = NULL;
	vault->retired = rekey->next; /* no other: a rekey begins after the last one's end */
	rekey->next = NULL;
	free_rekey(&rekey);
	vault->sweep = (struct sweep){.is_due = true, .takes_values = true};
}

struct vault_progress vault_rekey_progress(const struct vault *vault)
{
	const struct rekey *rekey = vault->rekey;
	uint64_t total = vault_count(vault);

	if (!rekey)
		return (struct vault_progress){false, total, total};
	return (struct vault_progress){true, rekey->done < total ? rekey->done : total, total};
}

void rekey_touch(struct vault *vault, const uint8_t id[ID_SIZE])
{
	struct rekey *rekey = vault->rekey;

	if (!rekey || !rekey->has_begun)
		return;
	if (memcmp(id, rekey->after, ID_SIZE) > 0) {
		rekey->ahead++;
		return;
	}
	if (rekey->again_count == rekey->again_capacity) {
		size_t capacity = rekey->again_capacity ? rekey->again_capacity * 2 : 16;
		void *again = reallocarray(rekey->again, capacity, ID_SIZE);
		if (!again) {
			rekey->is_failing = true;
			return;
		}
		rekey->again = again;
		rekey->again_capacity = capacity;
	}
	memcpy(rekey->again[rekey->again_count++], id, ID_SIZE);
}

/* What may change at any time and is little, and the one row that says which epoch it is. */
static enum mortise_status put_last(struct vault *vault)
{
	struct vault *next = vault->rekey->next;

	TRY(redo_items(vault));
	next->meta.generation = vault->meta.generation > vault->target_generation
					? vault->meta.generation
					: vault->target_generation;
	index_root(next->index, &next->meta, NULL, next->meta.tally);
	return store_put_meta(vault->store, &next->meta);
}

/* The next epoch is on disk: it takes the old one's place in memory, whose keys go at once. */
static void take_over(struct vault *vault)
{
	struct rekey *rekey = vault->rekey;
	struct vault *next = rekey->next, old = *vault;

	vault->keyring = next->keyring;
	vault->index = next->index;
	vault->meta = next->meta;
	next->index = old.index;
	next->keyring = old.keyring;
	keyring_done(&next->keyring);
	if (rekey->reencrypts) {
		vault->cache = next->cache;
		next->cache = old.cache;
	}
	vault->sweep = (struct sweep){.is_due = true, .takes_values = rekey->reencrypts};
	vault->retired = next;
	vault->rekey = NULL;
	vault->commits++;
	vault->weighty_commits++;
	rekey->next = NULL;
	free_rekey(&rekey);
}

static enum mortise_status flip(struct vault *vault)
{
	TRY(store_begin(vault->store));
	enum mortise_status status = put_last(vault);
	if (status == MORTISE_OK) {
		vault->attempt = (struct attempt){vault->rekey->next->meta, true, true};
		status = store_commit(vault->store);
		vault->is_stale = status != MORTISE_OK && !store_is_full(vault->store);
	}
	if (status != MORTISE_OK) {
		store_rollback(vault->store);
		store_use_epoch(vault->store, vault->meta.epoch);
		return status;
	}
	take_over(vault);
	return MORTISE_OK;
}

static enum mortise_status redo_some(struct vault *vault, uint64_t until_us)
{
	uint64_t policy;

	/* They may be large; but two, so that one that is applied in each turn is overtaken. */
	for (unsigned i = 0; i < 2 && (policy = redo_next_policy(vault)); i++)
		TRY(redo_policy(vault, policy));
	return redo_rows(vault, until_us);
}

/* Those who write without end must not keep a rekey from its end: it comes in the same slice. */
enum mortise_status rekey_slice(struct vault *vault, uint64_t until_us)
{
	const struct rekey *rekey = vault->rekey;

	if (rekey->is_failing)
		return MORTISE_BUSY;
	TRY(vault_begin_slice(vault));
	TRY(vault_end_slice(vault, redo_some(vault, until_us)));
	if (rekey->again_count || redo_next_policy(vault) || redo_next_row(vault))
		return MORTISE_OK;
	return flip(vault);
}
