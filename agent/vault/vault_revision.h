/* SPDX-License-Identifier: ISC */
/*
 * vault_revision: a secret on its way from one state to the next: what is to change is put
 * together in memory, then committed, alone or with others, then taken into the index.
 * Shared by the vault_*.c that write secrets; nobody else includes it.
 */
#ifndef MORTISE_VAULT_REVISION_H
#define MORTISE_VAULT_REVISION_H

#include "vault_rows.h"

struct revision {
	struct entry *before;     /* NULL: a new secret */
	uint64_t number;          /* of the secret */
	struct entry_parts parts; /* as it will be; of before, and of the buffers below */
	struct vault_head head;   /* as it will be */
	uint64_t added;           /* number of a new version; 0: none */
	uint8_t wrapped_key[ENTRY_KEY_SIZE], info[INFO_SEALED_MAX];
	uint8_t *value; /* of it, encrypted */
	size_t value_size;
	bool wipes;          /* what is removed goes from rows of other epochs, too */
	bool joins;          /* it is on the disk with the group: see vault_join() */
	struct entry *after; /* once it is complete */
};

/* A secret that is there. */
enum mortise_status revision_begin(
	const struct vault *vault, struct entry *before, struct revision *revision) MUST_USE;
/* One that is not; `others` new ones were begun for the same commit. */
enum mortise_status revision_begin_new(const struct vault *vault, const char *path,
	uint64_t time_us, size_t others, struct revision *revision) MUST_USE;
void revision_done(struct revision *revision);

/* Gives it a new version, which is not the current one yet. */
enum mortise_status revision_add(const struct vault *vault, const struct vault_write *write,
	struct revision *revision) MUST_USE;
/* Makes a version the current one. */
void revision_make_current(struct revision *revision, uint64_t number);
/* Takes a version away, and what the head says of it. False: there is none. */
bool revision_remove(struct revision *revision, uint64_t number);
/* Takes away the oldest versions that need not be kept. */
void revision_prune(struct revision *revision);

/* All of them in one transaction. Each is of another secret; one that joins comes alone. */
enum mortise_status revision_commit(struct vault *vault, struct revision *revisions, size_t count)
	MUST_USE;

#endif
