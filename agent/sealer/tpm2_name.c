/* SPDX-License-Identifier: ISC */
#include "tpm2_name.h"

#include <string.h>

#include <openssl/evp.h>
#include <tss2/tss2_mu.h>

/* The tags in what Esys_TR_Serialize() writes; systemd keeps such bytes on disk too. */
#define ESYS_KIND_KEY   1
#define ESYS_KIND_INDEX 2

#define SERIAL_MAX (sizeof(TPM2B_PUBLIC) + sizeof(TPM2B_NV_PUBLIC) + sizeof(TPM2B_NAME) + 16)

static const EVP_MD *find_hash(TPMI_ALG_HASH algorithm)
{
	switch (algorithm) {
	case TPM2_ALG_SHA256:
		return EVP_sha256();
	case TPM2_ALG_SHA384:
		return EVP_sha384();
	case TPM2_ALG_SHA512:
		return EVP_sha512();
	default:
		return NULL;
	}
}

/* The hash behind the algorithm's number. */
static bool name(TPMI_ALG_HASH algorithm, const uint8_t *bytes, size_t size, TPM2B_NAME *out_name)
{
	const EVP_MD *hash = find_hash(algorithm);
	TPM2B_NAME made = {0};
	unsigned hash_size = 0;

	made.name[0] = (uint8_t)(algorithm >> 8);
	made.name[1] = (uint8_t)algorithm;
	if (hash == NULL || EVP_Digest(bytes, size, made.name + 2, &hash_size, hash, NULL) != 1)
		return false;
	made.size = (uint16_t)(2 + hash_size);
	*out_name = made;
	return true;
}

bool tpm2_name_of_key(const TPMT_PUBLIC *key, TPM2B_NAME *out_name)
{
	uint8_t bytes[sizeof *key];
	size_t size = 0;

	return Tss2_MU_TPMT_PUBLIC_Marshal(key, bytes, sizeof bytes, &size) == TSS2_RC_SUCCESS &&
	       name(key->nameAlg, bytes, size, out_name);
}

bool tpm2_name_of_index(const TPMS_NV_PUBLIC *index, TPM2B_NAME *out_name)
{
	uint8_t bytes[sizeof *index];
	size_t size = 0;

	return Tss2_MU_TPMS_NV_PUBLIC_Marshal(index, bytes, sizeof bytes, &size) ==
		       TSS2_RC_SUCCESS &&
	       name(index->nameAlg, bytes, size, out_name);
}

bool tpm2_name_equals(const TPM2B_NAME *a, const TPM2B_NAME *b)
{
	return a->size == b->size && memcmp(a->name, b->name, a->size) == 0;
}

/*
 * The form of Esys_TR_Serialize(): handle, name, kind, public area. Built here rather than
 * asked for, since ESYS takes the key it encrypts the salt to from this and nothing else.
 */
static TSS2_RC begin(
	TPM2_HANDLE handle, const TPM2B_NAME *name, uint32_t kind, uint8_t *buffer, size_t *size)
{
	TSS2_RC rc = Tss2_MU_UINT32_Marshal(handle, buffer, SERIAL_MAX, size);

	if (rc == TSS2_RC_SUCCESS)
		rc = Tss2_MU_TPM2B_NAME_Marshal(name, buffer, SERIAL_MAX, size);
	if (rc == TSS2_RC_SUCCESS)
		rc = Tss2_MU_UINT32_Marshal(kind, buffer, SERIAL_MAX, size);
	return rc;
}

TSS2_RC tpm2_name_make_key(ESYS_CONTEXT *esys, TPM2_HANDLE handle, const TPM2B_PUBLIC *key,
	const TPM2B_NAME *name, ESYS_TR *out_object)
{
	uint8_t bytes[SERIAL_MAX];
	size_t size = 0;
	TSS2_RC rc = begin(handle, name, ESYS_KIND_KEY, bytes, &size);

	if (rc == TSS2_RC_SUCCESS)
		rc = Tss2_MU_TPM2B_PUBLIC_Marshal(key, bytes, sizeof bytes, &size);
	return rc == TSS2_RC_SUCCESS ? Esys_TR_Deserialize(esys, bytes, size, out_object) : rc;
}

TSS2_RC tpm2_name_make_index(ESYS_CONTEXT *esys, const TPM2B_NV_PUBLIC *index,
	const TPM2B_NAME *name, ESYS_TR *out_object)
{
	uint8_t bytes[SERIAL_MAX];
	size_t size = 0;
	TSS2_RC rc = begin(index->nvPublic.nvIndex, name, ESYS_KIND_INDEX, bytes, &size);

	if (rc == TSS2_RC_SUCCESS)
		rc = Tss2_MU_TPM2B_NV_PUBLIC_Marshal(index, bytes, sizeof bytes, &size);
	return rc == TSS2_RC_SUCCESS ? Esys_TR_Deserialize(esys, bytes, size, out_object) : rc;
}
