/* SPDX-License-Identifier: ISC */
/*
 * backup: copies of the store on their way out and in, as files beside it.
 * At most one each way, of one owner (a connection); another is told to wait. A copy is
 * ciphertext, as the store is. What comes in is hostile until a master key has opened it and its
 * tally was found right.
 * Knows nothing of callers, hardware or how a master key is had.
 */
#ifndef MORTISE_BACKUP_H
#define MORTISE_BACKUP_H

#include "vault.h"

#define BACKUP_SIZE_MAX ((uint64_t)64 << 30)

struct backup;

/* Removes what an earlier process left. directory is borrowed. */
enum mortise_status backup_new(const char *directory, struct backup **out_backup) MUST_USE;
void backup_free(struct backup *backup);
/* The connection ended: its copies go. */
void backup_forget(struct backup *backup, const void *owner);
/* The store is about to be closed: a copy being made of it ends. */
void backup_store_closing(struct backup *backup);

/*
 * Makes some more of a copy of store, beginning one if owner has none. In bytes; it is whole when
 * both are equal. MORTISE_BUSY while it is another owner's.
 */
enum mortise_status backup_copy(struct backup *backup, const void *owner, struct store *store,
	uint64_t *out_done, uint64_t *out_total) MUST_USE;
/* Bytes of a whole copy; 0 at its end. MORTISE_NOT_FOUND if owner has none. */
enum mortise_status backup_read(struct backup *backup, const void *owner, uint64_t offset,
	uint8_t *buffer, size_t size, size_t *out_size) MUST_USE;

/*
 * Takes in what comes next; offset 0 begins anew. MORTISE_INVALID out of order; MORTISE_REJECTED
 * above BACKUP_SIZE_MAX, where what came in before stays.
 */
enum mortise_status backup_write(struct backup *backup, const void *owner, uint64_t offset,
	struct store_bytes chunk) MUST_USE;
/* What came in, as a store; it stays backup's. MORTISE_NOT_FOUND, MORTISE_INTEGRITY. */
enum mortise_status backup_store(struct backup *backup, const void *owner, struct store **out_store)
	MUST_USE;
/* Opens it as a vault, which stays backup's. MORTISE_INTEGRITY: it is not what mortise wrote. */
enum mortise_status backup_unlock(struct backup *backup, const void *owner,
	const struct secret *master_key, struct vault **out_vault) MUST_USE;
/* The vault that was unlocked; NULL: none. */
struct vault *backup_vault(struct backup *backup, const void *owner);

/*
 * What came in takes the store's place, whose file stays as store.db.replaced. The store is
 * closed. MORTISE_IO.
 */
enum mortise_status backup_adopt(struct backup *backup, const void *owner) MUST_USE;

/*
 * The path of the store that was replaced, if it is still there: it opens with the keys that it
 * was made with, whatever a rekey has changed since.
 */
bool backup_replaced(const struct backup *backup, char *out_path, size_t size) MUST_USE;

/*
 * What else lies beside the store that is none of the agent's files: the number of those, and their
 * names, by blanks, as far as they fit, with '?' for what is no plain character.
 */
size_t backup_strangers(const struct backup *backup, char *out_names, size_t size);

#endif
