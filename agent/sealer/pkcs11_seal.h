/* SPDX-License-Identifier: ISC */
/*
 * pkcs11_seal: h protected by a key on a token, in one of three ways, and back.
 *
 *	AES-GCM   h encrypted on the token; what the blob says of token and key is authenticated
 *	RSA-OAEP  h encrypted on the token; with SHA-256, or SHA-1 where it has no other
 *	ECDH      the token agrees on a secret with a point whose private half is gone; BLAKE2b
 *	          of that and both points encrypts h, with XChaCha20-Poly1305 as above
 */
#ifndef MORTISE_PKCS11_SEAL_H
#define MORTISE_PKCS11_SEAL_H

#include "pkcs11_key.h"

/*
 * With a key just made; tried on the spot. *blob has identity, key id and needs_pin, and is given
 * mechanism and body. TOKEN_FAULT_UNSUPPORTED if this token won't.
 */
enum mortise_status pkcs11_seal(struct pkcs11 *token, const struct pkcs11_key *key,
	enum pkcs11_kind kind, const struct secret *h, struct pkcs11_blob *blob) MUST_USE;

/* With a key that was found. */
enum mortise_status pkcs11_unseal(struct pkcs11 *token, const struct pkcs11_key *key,
	const struct pkcs11_blob *blob, struct secret **out_h) MUST_USE;

#endif
