/* SPDX-License-Identifier: ISC */
/*
 * slots: ways back to the master key, as records of the store.
 * A slot has an X25519 pair whose secret half is BLAKE2b(key h, salt): h is what a TPM seals or
 * what the recovery key is. The master key is encrypted to the public half, with the store's
 * UUID, the slot and the epoch inside; the public half is itself encrypted under the master
 * key, so that a disk alone shows no public key to attack and a rekey needs no hardware.
 * Knows nothing of how h is kept.
 */
#ifndef MORTISE_SLOTS_H
#define MORTISE_SLOTS_H

#include "envelope.h"
#include "recovery.h"
#include "store.h"

#define SLOT_KIND_SIZE     16
#define SLOT_KIND_TPM2     "tpm2"
#define SLOT_KIND_RECOVERY "recovery"
#define SLOT_RECORD_MAX    8192

struct slot_identity {
	const uint8_t *store; /* UUID, ID_SIZE bytes */
	uint64_t id;
	uint64_t epoch;
};

/* A record taken apart; blob and box point into it. */
struct slot {
	char kind[SLOT_KIND_SIZE];
	char key_id[RECOVERY_ID_SIZE]; /* of a recovery slot; else "" */
	uint8_t salt[ID_SIZE];
	struct store_bytes blob; /* what the token keeps outside itself; empty for recovery */
	struct store_bytes box;
	struct store_bytes public_half;
};

/* MORTISE_INTEGRITY for anything that slot_make() did not write. */
enum mortise_status slot_read(struct store_bytes record, struct slot *out_slot) MUST_USE;

struct slot_making {
	const char *kind;
	const char *key_id; /* NULL: none */
	const struct secret *h;
	struct store_bytes blob;
	const struct secret *master_key;
	const struct secret *label_key; /* encrypts the public half */
};

/* Writes a record of at most SLOT_RECORD_MAX bytes. */
enum mortise_status slot_make(const struct slot_identity *identity,
	const struct slot_making *making, uint8_t record[SLOT_RECORD_MAX], size_t *out_size)
	MUST_USE;

/*
 * The master key, if h opens the box and the box is of this store, slot and epoch;
 * MORTISE_DENIED for another h, MORTISE_INTEGRITY for another identity.
 */
enum mortise_status slot_open(const struct slot_identity *identity, const struct slot *slot,
	const struct secret *h, struct secret **out_master_key) MUST_USE;

/* A new master key for a slot whose h is not at hand. */
struct slot_resealing {
	struct slot_identity old, new; /* of one slot: only the epochs differ */
	const struct secret *old_label_key;
	const struct secret *master_key, *label_key; /* the new ones */
};

/*
 * Makes the slot's record anew: master_key encrypted to its public half, all else as it was.
 * MORTISE_INTEGRITY for a record that was not made for the old identity and label key.
 */
enum mortise_status slot_reseal(const struct slot_resealing *resealing, struct store_bytes record,
	uint8_t out_record[SLOT_RECORD_MAX], size_t *out_size) MUST_USE;

#endif
