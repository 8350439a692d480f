/* SPDX-License-Identifier: ISC */
/*
 * entry: one secret's row, with its versions, still encrypted: the record that the store keeps,
 * and what stands where in it. It never changes, but that whoever made it says what its head says;
 * who holds it keeps it. What infos say may become known while it is held.
 * Knows nothing of keys, nor of who has it.
 */
#ifndef MORTISE_ENTRY_H
#define MORTISE_ENTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "index.h"
#include "store.h"
#include "wire.h"

#define ENTRY_KEY_SIZE     72        /* a wrapped data key */
#define ENTRY_VERSIONS_MAX 128       /* of one secret */
#define ENTRY_NUMBER_MAX   INT64_MAX /* of a version */

/* What the info of a version says, once somebody with the key has read it. */
struct entry_said {
	bool is_known;
	uint32_t uid;
	uint64_t size_bytes;
	uint8_t token[WIRE_TOKEN_SIZE];
};

struct entry_version {
	uint64_t number;
	uint64_t place;             /* of its value */
	const uint8_t *wrapped_key; /* ENTRY_KEY_SIZE bytes */
	struct store_bytes info;    /* encrypted */
	struct entry_said said;
};

/* What a record says. */
struct entry_parts {
	uint8_t path_hash[INDEX_PATH_SIZE];
	struct store_bytes head;                           /* encrypted */
	struct entry_version versions[ENTRY_VERSIONS_MAX]; /* by number */
	size_t version_count;
};

struct entry {
	uint64_t number;
	uint64_t current;           /* the version that is served; 0: none */
	uint64_t previous, pending; /* the one served before; the one to come; 0: none */
	bool is_deleted;
	unsigned holders;
	uint8_t path_hash[INDEX_PATH_SIZE];
	uint8_t *record;
	size_t record_size;
	struct store_bytes head;
	size_t version_count;
	struct entry_version versions[];
};

/*
 * The record of a secret: what its parts say, put together. MORTISE_INVALID: too much;
 * MORTISE_INTEGRITY: it would be none.
 */
enum mortise_status entry_new(
	uint64_t number, const struct entry_parts *parts, struct entry **out_entry) MUST_USE;
/*
 * Takes a malloc'ed record over, whatever comes of it. MORTISE_INTEGRITY: it is none. What its head
 * says is not known yet.
 */
enum mortise_status entry_take(
	uint64_t number, uint8_t *record, size_t size, struct entry **out_entry) MUST_USE;

struct entry *entry_hold(struct entry *entry);
void entry_drop(struct entry **entry); /* also for CLEANUP */

/* NULL: it has none of this number. */
const struct entry_version *entry_version(const struct entry *entry, uint64_t number);
/* The value of a version: where it stands. */
struct store_place entry_place(const struct entry *entry, const struct entry_version *version);
/* Bytes in memory. */
size_t entry_size(const struct entry *entry);

/* To parts, which stay the entry's, and are changed there. */
void entry_part(const struct entry *entry, struct entry_parts *out_parts);
/* MORTISE_CONFLICT: there are ENTRY_VERSIONS_MAX; its number must be above all others. */
enum mortise_status entry_parts_add(struct entry_parts *parts, const struct entry_version *version)
	MUST_USE;
void entry_parts_remove(struct entry_parts *parts, size_t position);

#endif
