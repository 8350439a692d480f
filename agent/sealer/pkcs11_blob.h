/* SPDX-License-Identifier: ISC */
/*
 * pkcs11_blob: what a PKCS #11 slot keeps on the disk: which token, which key on it, and what
 * that key protects.
 * Packs and unpacks; talks to no token. All is of fixed size, so that nothing in it is a length.
 *
 *	u16 version (little-endian) | u8 mechanism | u8 flags (1: wants a PIN)
 *	| label 32 | manufacturer 32 | model 16 | serial 16	as in CK_TOKEN_INFO
 *	| key id 16						these are the header; then the body:
 *
 *	AES-GCM		iv 12 | h encrypted 32 | tag 16
 *	RSA-OAEP	h encrypted 256
 *	ECDH		the key's point 65 | the other point 65 | nonce 24 | h encrypted 48
 */
#ifndef MORTISE_PKCS11_BLOB_H
#define MORTISE_PKCS11_BLOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "token.h"

#define PKCS11_BLOB_VERSION 1

#define PKCS11_KEY_ID_SIZE   16
#define PKCS11_IDENTITY_SIZE (32 + 32 + 16 + 16)
#define PKCS11_HEADER_SIZE   (4 + PKCS11_IDENTITY_SIZE + PKCS11_KEY_ID_SIZE)

#define PKCS11_AES_SIZE      32
#define PKCS11_GCM_IV_SIZE   12
#define PKCS11_GCM_TAG_SIZE  16
#define PKCS11_GCM_SIZE      (KEY_SIZE + PKCS11_GCM_TAG_SIZE)
#define PKCS11_RSA_SIZE      256
#define PKCS11_POINT_SIZE    65 /* uncompressed, of P-256 */
#define PKCS11_BOX_SIZE      (24 + KEY_SIZE + 16)
#define PKCS11_BODY_MAX_SIZE PKCS11_RSA_SIZE

/* The numbers stand on disks. A file names one of these and no parameters. */
enum pkcs11_mechanism {
	PKCS11_AES_GCM = 1,
	PKCS11_OAEP_SHA256 = 2,
	PKCS11_OAEP_SHA1 = 3,
	PKCS11_ECDH = 4,
};

struct pkcs11_blob {
	enum pkcs11_mechanism mechanism;
	bool needs_pin;
	uint8_t identity[PKCS11_IDENTITY_SIZE];
	uint8_t key_id[PKCS11_KEY_ID_SIZE];
	uint8_t body[PKCS11_BODY_MAX_SIZE]; /* pkcs11_body_size() of them count */
};

/* 0 for what is no mechanism. */
size_t pkcs11_body_size(enum pkcs11_mechanism mechanism);

/* The blob's first bytes: what is authenticated along with h where the mechanism can. */
void pkcs11_blob_header(const struct pkcs11_blob *blob, uint8_t out_header[PKCS11_HEADER_SIZE]);

/* The size of all. */
size_t pkcs11_blob_pack(const struct pkcs11_blob *blob, uint8_t out_bytes[TOKEN_BLOB_MAX]);

/* False unless bytes are exactly what pkcs11_blob_pack() writes. */
bool pkcs11_blob_unpack(const uint8_t *bytes, size_t size, struct pkcs11_blob *out_blob) MUST_USE;

#endif
