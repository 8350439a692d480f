/* SPDX-License-Identifier: ISC */
/*
 * tpm2_key: the public key that signs PCR policies, from PEM to what a TPM takes, and its
 * signatures from the form of openssl and systemd-measure to a TPM's.
 * RSA of 2048 to 4096 bits with PKCS #1 v1.5, or ECDSA on P-256, P-384 or P-521; SHA-256. In PEM
 * as SubjectPublicKeyInfo or RSAPublicKey. Talks to no TPM.
 */
#ifndef MORTISE_TPM2_KEY_H
#define MORTISE_TPM2_KEY_H

#include <stdbool.h>

#include <tss2/tss2_tpm2_types.h>

#include "token.h"

#define TPM2_PRINT_SIZE     32
#define TPM2_SIGNATURE_SIZE 512

struct tpm2_key {
	TPM2B_PUBLIC public;
	/* pkfp: SHA-256 of a DER RSAPublicKey (RFC 8017, A.1.1), or of an uncompressed point. */
	uint8_t print[TPM2_PRINT_SIZE];
};

/*
 * NULL, or what the bytes are instead of exactly one public key of these kinds: "a certificate;
 * take the key out: ...".
 */
const char *tpm2_key_read(const struct token_bytes *pem, struct tpm2_key *out_key) MUST_USE;

/* Is it what tpm2_key_read() makes, as far as a look at it tells? */
bool tpm2_key_is_fit(const struct tpm2_key *key);

bool tpm2_key_signature(const struct tpm2_key *key, const uint8_t *bytes, size_t size,
	TPMT_SIGNATURE *out_signature);

#endif
