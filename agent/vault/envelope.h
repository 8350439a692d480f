/* SPDX-License-Identifier: ISC */
/*
 * envelope: the cryptography of the store, all of it libsodium's.
 * XChaCha20-Poly1305-IETF with random nonces for every wrap, keyed BLAKE2b for every hash,
 * crypto_kdf for every key below the master key, crypto_box_seal towards a slot.
 * Every ciphertext is bound to what it is and where it stands: none is valid elsewhere.
 * Knows nothing of tables, slots' hardware or policy.
 */
#ifndef MORTISE_ENVELOPE_H
#define MORTISE_ENVELOPE_H

#include <stddef.h>
#include <stdint.h>

#include "secret.h"
#include "status.h"

#define ENVELOPE_OVERHEAD 40 /* nonce 24, tag 16 */
#define ENVELOPE_HASH     32
#define ENVELOPE_BOX      48 /* what crypto_box_seal adds */
#define ID_SIZE           16

/* The keys below the master key; the numbers are crypto_kdf's subkey ids and never change. */
enum key_purpose {
	KEY_MASTER = 0, /* the master key itself: what a new slot will be given */
	KEY_WRAP = 1,   /* wraps data keys */
	KEY_INDEX = 2,  /* path -> path hash */
	KEY_LABEL = 3,  /* encrypts names and metadata */
	KEY_TALLY = 4,  /* the hash tree */
	KEY_AUDIT = 5,  /* the audit log's signing keys at rest */
	KEY_TWIN = 6,   /* equal-value fingerprints */
	KEY_PURPOSES = 7,
};

struct keyring {
	struct secret *key[KEY_PURPOSES]; /* by purpose */
};

enum mortise_status keyring_derive(const struct secret *master_key, struct keyring *out_keyring)
	MUST_USE;
void keyring_done(struct keyring *keyring);

/* What a ciphertext is; the numbers never change. */
enum envelope_kind {
	ENVELOPE_VALUE = 1,
	ENVELOPE_DATA_KEY = 2,
	ENVELOPE_HEAD = 3,
	ENVELOPE_VERSION_INFO = 4,
	ENVELOPE_POLICY = 5,
	ENVELOPE_AUDIT_STATE = 6,
	ENVELOPE_SLOT_PUBLIC = 7,
	ENVELOPE_ANCHOR = 8,
};

/* Where a ciphertext stands: the associated data of its encryption. */
struct envelope_binding {
	enum envelope_kind kind;
	const uint8_t *store; /* ID_SIZE bytes */
	uint64_t row;         /* a secret's number; 0: the store as a whole */
	uint64_t version;
	uint64_t epoch; /* 0 for a value, which outlives a rekey */
};

/* Writes size + ENVELOPE_OVERHEAD bytes. */
void envelope_seal(const struct secret *key, const struct envelope_binding *binding,
	const uint8_t *plain, size_t size, uint8_t *out_sealed);

/* MORTISE_INTEGRITY if it was not sealed with this key for this place. */
enum mortise_status envelope_open(const struct secret *key, const struct envelope_binding *binding,
	const uint8_t *sealed, size_t sealed_size, struct secret **out_plain) MUST_USE;

/*
 * The same into a buffer of sealed_size - ENVELOPE_OVERHEAD bytes, for what is no secret; on
 * failure the buffer is zeros or as it was.
 */
enum mortise_status envelope_open_into(const struct secret *key,
	const struct envelope_binding *binding, const uint8_t *sealed, size_t sealed_size,
	uint8_t *out_plain) MUST_USE;

/* Keyed BLAKE2b-256 of bytes. */
void envelope_hash(
	const struct secret *key, const void *bytes, size_t size, uint8_t out_hash[ENVELOPE_HASH]);

/* BLAKE2b(key a, b): mixes independent inputs, any of which may be weak. */
enum mortise_status envelope_mix(
	const struct secret *a, const struct secret *b, struct secret **out_mixed) MUST_USE;

/* An X25519 secret key, BLAKE2b(key h, salt), and its public half. */
enum mortise_status envelope_pair(const struct secret *h, const uint8_t salt[ID_SIZE],
	struct secret **out_secret_key, uint8_t out_public_key[32]) MUST_USE;

/* crypto_box_seal: writes size + ENVELOPE_BOX bytes. */
enum mortise_status envelope_box(
	const uint8_t public_key[32], const struct secret *plain, uint8_t *out_box) MUST_USE;
/* MORTISE_INTEGRITY if it is not for this key. */
enum mortise_status envelope_unbox(const uint8_t public_key[32], const struct secret *secret_key,
	const uint8_t *box, size_t box_size, struct secret **out_plain) MUST_USE;

#endif
