/* SPDX-License-Identifier: ISC */
/*
 * tpm2_blob: what a TPM slot keeps on the disk: the sealed object in the TPM's own two
 * parts, and the SRK it hangs under.
 * Packs and unpacks; talks to no TPM.
 *
 *	u16 version (little-endian) | TPM2B_PUBLIC | TPM2B_PRIVATE | TPM2B_PUBLIC of the SRK
 */
#ifndef MORTISE_TPM2_BLOB_H
#define MORTISE_TPM2_BLOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tss2/tss2_tpm2_types.h>

#include "token.h"

#define TPM2_BLOB_VERSION 1

/* fixedTPM: it cannot be exported. noDA: with no PIN, and power cuts would lock it. */
#define TPM2_BLOB_ATTRIBUTES                                                                       \
	(TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_NODA |                       \
		TPMA_OBJECT_USERWITHAUTH)

struct tpm2_blob {
	TPM2B_PUBLIC public;
	TPM2B_PRIVATE private;
	TPM2B_PUBLIC srk;
};

bool tpm2_blob_pack(const struct tpm2_blob *blob, uint8_t bytes[TOKEN_BLOB_MAX], size_t *out_size);

/* False unless bytes are exactly what tpm2_blob_pack() writes for a sealed object of ours. */
bool tpm2_blob_unpack(const uint8_t *bytes, size_t size, struct tpm2_blob *out_blob);

#endif
