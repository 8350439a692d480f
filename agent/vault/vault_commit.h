/* SPDX-License-Identifier: ISC */
/*
 * vault_commit: how a vault is changed: in transactions of their own, in one that writes of a turn
 * share (a group), and in slices that are acknowledged to nobody.
 * Shared by the vault_*.c that write; nobody else includes it.
 */
#ifndef MORTISE_VAULT_COMMIT_H
#define MORTISE_VAULT_COMMIT_H

#include "vault_rows.h"

/* Puts the rows of a change into the store's transaction. */
typedef enum mortise_status vault_put(struct store *store, void *context);

/*
 * One transaction: the tally's new root and meta, and whatever put puts. Rolled back on
 * failure; marks the vault stale if the commit itself failed. A group that is open ends first.
 */
enum mortise_status vault_commit(struct vault *vault, const struct index_change *change,
	vault_put *put, void *context) MUST_USE;
/*
 * The same in the group, which it opens where there is none: on the disk it is after
 * vault_end_group(). What fails is taken back alone, or, where the disk failed, with all of the
 * group. Room for one vault_note_undo() is there.
 */
enum mortise_status vault_join(struct vault *vault, const struct index_change *change,
	vault_put *put, void *context) MUST_USE;
/* What has joined makes after of before (NULL: a new secret); before the index has it. */
void vault_note_undo(struct vault *vault, struct entry *before, struct entry *after);
/* The vault closes: what is open of a group was acknowledged to nobody. */
void vault_drop_group(struct vault *vault);

/* A transaction that takes part in nothing acknowledged: it is not synced. */
enum mortise_status vault_begin_slice(struct vault *vault) MUST_USE;
/* Commits it, or rolls it back where it failed (status) or fails now. */
enum mortise_status vault_end_slice(struct vault *vault, enum mortise_status status) MUST_USE;
/* Did it fail for want of room, and is there some now? Then it is to be tried again. */
bool vault_found_room(const struct vault *vault);

#endif
