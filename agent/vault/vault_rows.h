/* SPDX-License-Identifier: ISC */
/*
 * vault_rows: the open vault, and how heads, version infos, values and items are encrypted.
 * Below all that reads and writes secrets, items and slots; nobody else includes it.
 */
#ifndef MORTISE_VAULT_ROWS_H
#define MORTISE_VAULT_ROWS_H

#include "cache.h"
#include "entry.h"
#include "index.h"
#include "reserve.h"
#include "vault.h"

/* Rows of other epochs are removed in slices. */
struct sweep {
	bool is_due;
	bool takes_values; /* first those that no version calls its own */
	uint64_t after;    /* the last place that was looked at */
};

/* The last commit, as it was to be. */
struct attempt {
	struct store_meta meta;
	bool raises, is_weighty; /* see struct vault_age */
};

/* A row that is written and not on the disk yet. Both are held. */
struct undo {
	struct entry *before, *after; /* before NULL: a new secret */
	struct index_row row;         /* of before */
};

/* Writes that come to the disk together: in one transaction, which is open. */
struct group {
	bool is_open;
	enum mortise_status failure; /* of one that was taken back, and nobody was told */
	struct store_meta meta;      /* as it was before */
	struct undo *undos;
	size_t count;
};

struct vault {
	struct store *store;
	struct keyring keyring;
	struct store_meta meta;
	struct index *index;
	struct cache *cache;
	uint64_t target_generation;        /* what commits raise the generation to */
	uint64_t commits, weighty_commits; /* see struct vault_age */
	uint64_t changes;                  /* commits that concerned a secret */
	bool is_stale;
	struct attempt attempt; /* what the store may be as well while it is stale */
	struct group group;
	bool is_nested;       /* the caller holds the transaction */
	bool is_rehearsal;    /* see vault_rehearse() */
	struct reserve *lent; /* what a full disk may take of; NULL: nothing. Not the vault's */

	struct counting *counting; /* who keeps how much; NULL: nobody wants to know */

	struct rekey *rekey;   /* under way; NULL: none */
	struct sweep sweep;    /* of rows of other epochs */
	struct vault *retired; /* what the epoch before had in memory, on its way out; NULL: none */
};

/* The encrypted metadata of one version. */
struct version_info {
	struct vault_version shown;
	uint8_t token[WIRE_TOKEN_SIZE];
};

#define HEAD_SEALED_MAX (6144 + ENVELOPE_OVERHEAD)
#define INFO_SEALED_MAX (512 + ENVELOPE_OVERHEAD)

/* What is in memory of a secret. False: there is none. */
bool vault_row(const struct vault *vault, const char *path, struct index_row *out_row);
/* Its row, from the cache or the disk, if the tally is of it. MORTISE_NOT_FOUND. */
enum mortise_status vault_entry(struct vault *vault, uint64_t number, struct entry **out_entry)
	MUST_USE;
/* The same for who goes through all rows: what others read stays in the cache. */
enum mortise_status vault_glance(struct vault *vault, uint64_t number, struct entry **out_entry)
	MUST_USE;
/* The same by path. */
enum mortise_status vault_find(struct vault *vault, const char *path, struct entry **out_entry)
	MUST_USE;
/* The same; but NULL where there is none. */
enum mortise_status vault_look_up(struct vault *vault, const char *path, struct entry **out_entry)
	MUST_USE;
/* Is this where the value of a version stands that there is? */
enum mortise_status vault_owns(struct vault *vault, const struct store_place *place, bool *out_owns)
	MUST_USE;
/* The version that a choice means; NULL: none. */
const struct entry_version *vault_choose(
	const struct entry *entry, const struct vault_choice *choice);

/* The hash of a path, as the index has it. */
void path_hash(const struct vault *vault, const char *path, uint8_t out_hash[INDEX_PATH_SIZE]);

/* A vault of meta's epoch with its keys and an empty index. */
enum mortise_status vault_make(struct store *store, const struct secret *master_key,
	const struct store_meta *meta, struct vault **out_vault) MUST_USE;
/* And with all rows. MORTISE_INTEGRITY if they are not those of meta's tally. */
enum mortise_status vault_load(struct store *store, const struct secret *master_key,
	const struct store_meta *meta, struct vault **out_vault) MUST_USE;

enum mortise_status head_seal(const struct vault *vault, uint64_t secret,
	const struct vault_head *head, uint8_t out_sealed[HEAD_SEALED_MAX], size_t *out_size)
	MUST_USE;
enum mortise_status head_open(
	const struct vault *vault, const struct entry *entry, struct vault_head *out_head) MUST_USE;
enum mortise_status info_seal(const struct vault *vault, uint64_t secret,
	const struct version_info *info, uint8_t out_sealed[INFO_SEALED_MAX], size_t *out_size)
	MUST_USE;
enum mortise_status info_open(const struct vault *vault, uint64_t secret,
	const struct entry_version *version, struct version_info *out_info) MUST_USE;
struct entry_said info_said(const struct version_info *info);
/* The same of what writes and counts ask for, and only once of each version while it is held. */
enum mortise_status info_say(
	const struct vault *vault, uint64_t secret, struct entry_version *version) MUST_USE;

/* The value of one version, unwrapped and decrypted. */
enum mortise_status value_open(const struct vault *vault, uint64_t secret,
	const struct entry_version *version, struct store_bytes sealed, struct secret **out_value)
	MUST_USE;

/* A new data key, wrapped, and with it the value, malloc'ed: plain's size + ENVELOPE_OVERHEAD. */
enum mortise_status value_seal(const struct vault *vault, uint64_t secret, uint64_t version,
	struct store_bytes plain, uint8_t out_wrapped_key[ENTRY_KEY_SIZE], uint8_t **out_sealed)
	MUST_USE;
/* The data key of a version, wrapped anew for another vault. */
enum mortise_status data_key_rewrap(const struct vault *vault, const struct vault *other,
	uint64_t secret, const struct entry_version *version,
	uint8_t out_wrapped_key[ENTRY_KEY_SIZE]) MUST_USE;

/* What a row says in its head, where a read needs it. MORTISE_INTEGRITY: it is another's. */
enum mortise_status entry_mark(
	const struct vault *vault, struct entry *entry, struct vault_head *out_head) MUST_USE;
/* A row: parts, of which the head is encrypted here. */
enum mortise_status entry_complete(const struct vault *vault, uint64_t number,
	struct entry_parts *parts, const struct vault_head *head, struct entry **out_entry)
	MUST_USE;
/* What the index has of it. */
struct index_row entry_row(const struct vault *vault, const struct entry *entry);

/* Where policy and audit state stand. */
struct envelope_binding item_binding(
	const struct vault *vault, enum store_item kind, uint64_t number);

/* A policy, audit state or slot as it is on disk, if the tally covers it. malloc'ed. */
enum mortise_status vault_item(struct vault *vault, enum store_item kind, uint64_t number,
	uint8_t **out_bytes, size_t *out_size) MUST_USE;
/* The key that such an item is encrypted with. */
const struct secret *item_key(const struct vault *vault, enum store_item kind);

/* Ends a rekey that is under way; what it wrote is removed in slices. */
void rekey_drop(struct vault *vault);
/* A row, with its path, comes (before NULL), changes or goes (after NULL); before the index has it.
 */
void vault_count_change(
	struct vault *vault, struct entry *before, struct entry *after, const char *path);
/* The rows are not those that were counted. */
void vault_count_again(struct vault *vault);
/* Until when something may go on, in CLOCK_MONOTONIC; and is that not over yet? */
uint64_t vault_until(unsigned budget_us);
bool vault_has_time(uint64_t until_us);
/* Puts, replaces or (without a body) deletes one item, on disk and in the tally. */
enum mortise_status vault_commit_item(struct vault *vault, enum store_item kind, uint64_t number,
	struct store_bytes body) MUST_USE;

#endif
