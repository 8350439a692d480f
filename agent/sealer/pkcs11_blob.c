/* SPDX-License-Identifier: ISC */
#include "pkcs11_blob.h"

#include <string.h>

#define FLAG_PIN 1

#define AT_IDENTITY 4
#define AT_KEY_ID   (AT_IDENTITY + PKCS11_IDENTITY_SIZE)

size_t pkcs11_body_size(enum pkcs11_mechanism mechanism)
{
	switch (mechanism) {
	case PKCS11_AES_GCM:
		return PKCS11_GCM_IV_SIZE + PKCS11_GCM_SIZE;
	case PKCS11_OAEP_SHA256:
	case PKCS11_OAEP_SHA1:
		return PKCS11_RSA_SIZE;
	case PKCS11_ECDH:
		return 2 * PKCS11_POINT_SIZE + PKCS11_BOX_SIZE;
	default:
		return 0;
	}
}

void pkcs11_blob_header(const struct pkcs11_blob *blob, uint8_t out_header[PKCS11_HEADER_SIZE])
{
	out_header[0] = PKCS11_BLOB_VERSION;
	out_header[1] = 0;
	out_header[2] = (uint8_t)blob->mechanism;
	out_header[3] = blob->needs_pin ? FLAG_PIN : 0;
	memcpy(out_header + AT_IDENTITY, blob->identity, PKCS11_IDENTITY_SIZE);
	memcpy(out_header + AT_KEY_ID, blob->key_id, PKCS11_KEY_ID_SIZE);
}

size_t pkcs11_blob_pack(const struct pkcs11_blob *blob, uint8_t out_bytes[TOKEN_BLOB_MAX])
{
	size_t body_size = pkcs11_body_size(blob->mechanism);

	pkcs11_blob_header(blob, out_bytes);
	memcpy(out_bytes + PKCS11_HEADER_SIZE, blob->body, body_size);
	return PKCS11_HEADER_SIZE + body_size;
}

bool pkcs11_blob_unpack(const uint8_t *bytes, size_t size, struct pkcs11_blob *out_blob)
{
	struct pkcs11_blob blob = {0};
	size_t body_size;

	if (size < PKCS11_HEADER_SIZE || bytes[0] != PKCS11_BLOB_VERSION || bytes[1] != 0 ||
		(bytes[3] & ~FLAG_PIN) != 0)
		return false;
	blob.mechanism = (enum pkcs11_mechanism)bytes[2];
	body_size = pkcs11_body_size(blob.mechanism);
	if (body_size == 0 || size != PKCS11_HEADER_SIZE + body_size)
		return false;
	blob.needs_pin = bytes[3] == FLAG_PIN;
	memcpy(blob.identity, bytes + AT_IDENTITY, PKCS11_IDENTITY_SIZE);
	memcpy(blob.key_id, bytes + AT_KEY_ID, PKCS11_KEY_ID_SIZE);
	memcpy(blob.body, bytes + PKCS11_HEADER_SIZE, body_size);
	*out_blob = blob;
	return true;
}
