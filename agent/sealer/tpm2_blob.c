/* SPDX-License-Identifier: ISC */
#include "tpm2_blob.h"

#include <string.h>

#include <tss2/tss2_mu.h>

#define VERSION_SIZE 2

bool tpm2_blob_pack(const struct tpm2_blob *blob, uint8_t bytes[TOKEN_BLOB_MAX], size_t *out_size)
{
	size_t size = VERSION_SIZE;

	if (Tss2_MU_TPM2B_PUBLIC_Marshal(&blob->public, bytes, TOKEN_BLOB_MAX, &size) !=
			TSS2_RC_SUCCESS ||
		Tss2_MU_TPM2B_PRIVATE_Marshal(&blob->private, bytes, TOKEN_BLOB_MAX, &size) !=
			TSS2_RC_SUCCESS ||
		Tss2_MU_TPM2B_PUBLIC_Marshal(&blob->srk, bytes, TOKEN_BLOB_MAX, &size) !=
			TSS2_RC_SUCCESS)
		return false;
	bytes[0] = TPM2_BLOB_VERSION;
	bytes[1] = 0;
	*out_size = size;
	return true;
}

static bool unmarshal(const uint8_t *bytes, size_t size, struct tpm2_blob *blob)
{
	size_t offset = VERSION_SIZE;

	return Tss2_MU_TPM2B_PUBLIC_Unmarshal(bytes, size, &offset, &blob->public) ==
		       TSS2_RC_SUCCESS &&
	       Tss2_MU_TPM2B_PRIVATE_Unmarshal(bytes, size, &offset, &blob->private) ==
		       TSS2_RC_SUCCESS &&
	       Tss2_MU_TPM2B_PUBLIC_Unmarshal(bytes, size, &offset, &blob->srk) ==
		       TSS2_RC_SUCCESS &&
	       offset == size;
}

/* The unmarshalling is lenient about inner sizes; writing the result anew is not. */
static bool is_canonical(const struct tpm2_blob *blob, const uint8_t *bytes, size_t size)
{
	uint8_t again[TOKEN_BLOB_MAX];
	size_t again_size;

	return tpm2_blob_pack(blob, again, &again_size) && again_size == size &&
	       memcmp(again, bytes, size) == 0;
}

static bool is_sealed_object(const TPMT_PUBLIC *object)
{
	return object->type == TPM2_ALG_KEYEDHASH && object->nameAlg == TPM2_ALG_SHA256 &&
	       object->objectAttributes == TPM2_BLOB_ATTRIBUTES &&
	       object->parameters.keyedHashDetail.scheme.scheme == TPM2_ALG_NULL;
}

bool tpm2_blob_unpack(const uint8_t *bytes, size_t size, struct tpm2_blob *out_blob)
{
	struct tpm2_blob blob = {0};

	if (size < VERSION_SIZE || size > TOKEN_BLOB_MAX || !unmarshal(bytes, size, &blob) ||
		!is_canonical(&blob, bytes, size) || !is_sealed_object(&blob.public.publicArea))
		return false;
	*out_blob = blob;
	return true;
}
