/* SPDX-License-Identifier: ISC */
/*
 * vault_rows: what vault.c (secrets), vault_open.c (opening, verifying) and vault_items.c
 * (policy, audit state) share: the open vault, and how heads, version infos and items are
 * encrypted. Nobody else includes it.
 */
#ifndef MORTISE_VAULT_ROWS_H
#define MORTISE_VAULT_ROWS_H

#include "cache.h"
#include "index.h"
#include "vault.h"

struct vault {
	struct store *store;
	struct keyring keyring;
	struct store_meta meta;
	struct index *index;
	struct cache *cache;
	uint64_t target_generation;        /* what commits raise the generation to */
	uint64_t commits, weighty_commits; /* see struct vault_age */
	bool is_stale;
	bool is_nested; /* the caller holds the transaction */
};

/* The encrypted metadata of one version. */
struct version_info {
	struct vault_version shown;
	uint8_t token[WIRE_TOKEN_SIZE];
};

#define HEAD_SEALED_MAX (512 + ENVELOPE_OVERHEAD)
#define INFO_SEALED_MAX (128 + ENVELOPE_OVERHEAD)

enum mortise_status head_seal(const struct vault *vault, const uint8_t id[ID_SIZE],
	const struct vault_head *head, uint8_t out_sealed[HEAD_SEALED_MAX], size_t *out_size)
	MUST_USE;
enum mortise_status head_open(
	const struct vault *vault, const struct entry *entry, struct vault_head *out_head) MUST_USE;
enum mortise_status info_seal(const struct vault *vault, const uint8_t id[ID_SIZE],
	const struct version_info *info, uint8_t out_sealed[INFO_SEALED_MAX], size_t *out_size)
	MUST_USE;
enum mortise_status info_open(const struct vault *vault, const uint8_t id[ID_SIZE],
	const struct entry_version *version, struct version_info *out_info) MUST_USE;

/* The value of one version, unwrapped and decrypted. */
enum mortise_status value_open(const struct vault *vault, const uint8_t id[ID_SIZE],
	const struct entry_version *version, struct store_bytes sealed, struct secret **out_value)
	MUST_USE;

/* Where policy and audit state stand. */
struct envelope_binding item_binding(
	const struct vault *vault, enum store_item kind, uint64_t number);

/*
 * One transaction: the tally's new root and meta, and whatever write_rows puts. Rolled back on
 * failure; marks the vault stale if the commit itself failed.
 */
enum mortise_status vault_commit(struct vault *vault, const struct index_change *change,
	enum mortise_status (*write_rows)(struct store *, void *), void *context) MUST_USE;

#endif
