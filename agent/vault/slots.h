/* SPDX-License-Identifier: ISC */
/*
 * slots: ways back to the master key, as records of the store.
 * A slot has an X25519 pair whose secret half is BLAKE2b(key h, salt): h is what a TPM or a token
 * seals, or what the recovery key is. The master key is encrypted to the public half, with the
 * store's UUID, the slot and the epoch inside; the public half is itself encrypted under the
 * master key, so that a disk alone shows no public key to attack and a rekey needs no hardware.
 * Of an escrow slot only the public half was ever here: its salt is the same in all stores.
 * Knows nothing of how h is kept.
 */
#ifndef MORTISE_SLOTS_H
#define MORTISE_SLOTS_H

#include "slot_kinds.h"
#include "envelope.h"
#include "recovery.h"
#include "store.h"

#define SLOT_RECORD_MAX  8192
#define SLOT_PUBLIC_SIZE 32
#define SLOT_BOOT_SIZE   40

enum slot_flag {
	SLOT_HAS_PIN = 1,  /* one that is typed; a token's pin-file needs none */
	SLOT_STAGED = 2,   /* replaces the slot `of` once it has opened */
	SLOT_STAND_IN = 4, /* opens without PCRs, for the slot `of`, in another boot than `boot` */
};

/*
 * What is known of a slot beside its keys. Until the store is open these are words of whoever can
 * write the disk: they say what to try and in which order, and never what is right. The tally
 * covers them: a store with edited ones does not stay open. A record that is made anew towards
 * its public half keeps them byte for byte.
 */
struct slot_hints {
	uint64_t flags;
	uint64_t created_us, opened_us, tested_us; /* 0: never */
	uint64_t pcrs;                             /* bit n: bound to PCR n */
	uint64_t shares, threshold;
	uint64_t of;      /* another slot, see the flags */
	uint64_t boots;   /* a stand-in's: so many are left */
	uint64_t ends_us; /* a stand-in's */
	struct store_bytes pcr_key, uri, boot;
};

struct slot_identity {
	const uint8_t *store; /* UUID, ID_SIZE bytes */
	uint64_t id;
	uint64_t epoch;
};

/* A record taken apart; blob, box and hints point into it. */
struct slot {
	char kind[SLOT_KIND_SIZE];
	char key_id[RECOVERY_ID_SIZE]; /* of what is typed: recovery, shares, escrow; else "" */
	uint8_t salt[ID_SIZE];
	struct store_bytes blob; /* what the token keeps outside itself; empty for recovery */
	struct store_bytes box;
	struct store_bytes public_half;
	struct slot_hints hints;
};

/* MORTISE_INTEGRITY for anything that slot_make() did not write. */
enum mortise_status slot_read(struct store_bytes record, struct slot *out_slot) MUST_USE;

/* A slot, and the record that its bytes point into, malloc'ed. */
struct slot_copy {
	uint8_t *record;
	struct slot slot;
};

/* As slot_read(), of a copy of the record. MORTISE_BUSY. */
enum mortise_status slot_copy_read(struct store_bytes record, struct slot_copy *out_copy) MUST_USE;
void slot_copy_done(struct slot_copy *copy);

/* Does hardware open it, or a key that somebody types? */
bool slot_is_hardware(const struct slot *slot);
/* What is true of its kind; of one that is not known that it is hardware. */
const struct slot_kind *slot_kind(const struct slot *slot);
/* Is it there for a while only, beside another? */
bool slot_is_passing(const struct slot *slot);

struct slot_making {
	const char *kind;
	const char *key_id;         /* NULL: none */
	const struct secret *h;     /* NULL: escrow_half is given */
	const uint8_t *escrow_half; /* SLOT_PUBLIC_SIZE bytes */
	struct store_bytes blob;
	const struct slot_hints *hints;
	const struct secret *master_key;
	const struct secret *label_key; /* encrypts the public half */
};

/*
 * Writes a record of at most SLOT_RECORD_MAX bytes. MORTISE_INVALID if it would be larger, or for
 * an escrow_half to which nothing can be encrypted.
 */
enum mortise_status slot_make(const struct slot_identity *identity,
	const struct slot_making *making, uint8_t record[SLOT_RECORD_MAX], size_t *out_size)
	MUST_USE;

/* The same slot with other hints. */
enum mortise_status slot_hint(const struct slot *slot, const struct slot_hints *hints,
	uint8_t out_record[SLOT_RECORD_MAX], size_t *out_size) MUST_USE;

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
/* The public half, for escrow slots anywhere, of the pair that a recovery key derives. */
enum mortise_status slot_escrow_half(
	const struct secret *recovery_key, uint8_t out_half[SLOT_PUBLIC_SIZE]) MUST_USE;

#endif
