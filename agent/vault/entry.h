/* SPDX-License-Identifier: ISC */
/*
 * entry: one secret's row in memory, with its versions, still encrypted.
 * Knows nothing of keys, nor of the index that holds it.
 */
#ifndef MORTISE_ENTRY_H
#define MORTISE_ENTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store.h"

struct entry_version {
	uint64_t number;
	uint64_t value_epoch; /* when its data key was made */
	uint8_t wrapped_key[STORE_KEY_SIZE];
	uint8_t *info; /* encrypted */
	size_t info_size;
};

/* One secret. Owned by the index once it is swapped in. */
struct entry {
	uint8_t id[STORE_ID_SIZE];
	uint8_t path_hash[STORE_HASH_SIZE];
	uint8_t digest[STORE_HASH_SIZE];
	uint64_t current;           /* the version that is served; 0: none */
	uint64_t previous, pending; /* the one served before; the one to come; 0: none */
	bool is_deleted;
	uint8_t *head; /* encrypted */
	size_t head_size;
	struct entry_version *versions; /* by number */
	size_t version_count;
};

enum mortise_status entry_new(const uint8_t id[STORE_ID_SIZE],
	const uint8_t path_hash[STORE_HASH_SIZE], struct entry **out_entry) MUST_USE;
enum mortise_status entry_clone(const struct entry *entry, struct entry **out_entry) MUST_USE;
enum mortise_status entry_set_head(struct entry *entry, const uint8_t *head, size_t size) MUST_USE;
/* Its number must be above all others of the entry. */
enum mortise_status entry_add_version(struct entry *entry, const struct store_version *version)
	MUST_USE;
/* The version's row; valid as long as the version. */
struct store_version entry_row(const struct entry_version *version);
void entry_remove_version(struct entry *entry, size_t position);
const struct entry_version *entry_version(const struct entry *entry, uint64_t number);
void entry_free(struct entry *entry);
void entry_drop(struct entry **entry); /* for CLEANUP */

#endif
