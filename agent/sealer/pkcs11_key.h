/* SPDX-License-Identifier: ISC */
/*
 * pkcs11_key: the key that mortise makes on a token for a slot: an AES-256, an RSA-2048 or a P-256
 * key that was never outside and cannot get out, with a random CKA_ID and the label "mortise".
 * What a token says of a key is checked each time the key is used.
 */
#ifndef MORTISE_PKCS11_KEY_H
#define MORTISE_PKCS11_KEY_H

#include "pkcs11_link.h"

/* Key and mechanism belong together; the two kinds of OAEP share a key. */
enum pkcs11_kind { PKCS11_AES, PKCS11_RSA, PKCS11_EC, PKCS11_KINDS };

struct pkcs11_key {
	CK_OBJECT_HANDLE handle; /* secret or private */
	CK_OBJECT_HANDLE public; /* of a pair just made; else 0 */
};

enum pkcs11_kind pkcs11_kind_of(enum pkcs11_mechanism mechanism);

/* Bit of each kind whose mechanisms the token lists. */
enum mortise_status pkcs11_key_kinds(struct pkcs11 *token, unsigned *out_kinds) MUST_USE;

/* TOKEN_FAULT_UNSUPPORTED if this token won't. */
enum mortise_status pkcs11_key_make(struct pkcs11 *token, enum pkcs11_kind kind,
	const uint8_t id[PKCS11_KEY_ID_SIZE], struct pkcs11_key *out_key) MUST_USE;

/* A P-256 pair that goes with the session, for its public half. */
enum mortise_status pkcs11_key_make_passing(struct pkcs11 *token, struct pkcs11_key *out_key)
	MUST_USE;

/* The one key of that kind and id, if it is as we make them. */
enum mortise_status pkcs11_key_find(struct pkcs11 *token, enum pkcs11_kind kind,
	const uint8_t id[PKCS11_KEY_ID_SIZE], struct pkcs11_key *out_key) MUST_USE;

/* Whatever of ours has that id; a failure changes nothing in token->failure. */
void pkcs11_key_destroy(struct pkcs11 *token, const uint8_t id[PKCS11_KEY_ID_SIZE]);

/* The uncompressed point of the public half of a pair just made. */
enum mortise_status pkcs11_key_point(struct pkcs11 *token, const struct pkcs11_key *key,
	uint8_t out_point[PKCS11_POINT_SIZE]) MUST_USE;

/* An attribute of exactly size bytes. */
enum mortise_status pkcs11_key_read(struct pkcs11 *token, CK_OBJECT_HANDLE object,
	CK_ATTRIBUTE_TYPE type, void *out_bytes, size_t size) MUST_USE;

#endif
