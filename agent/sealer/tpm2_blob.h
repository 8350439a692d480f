/* SPDX-License-Identifier: ISC */
/*
 * tpm2_blob: what a TPM slot keeps on the disk: the sealed object in the TPM's own two
 * parts, the SRK it hangs under, and what must be true before it opens.
 * And what an anchor keeps: the counter's public area, and the SRK that a session is salted to.
 * Packs and unpacks; talks to no TPM.
 *
 *	seal:   u16 version | TPM2B_PUBLIC | TPM2B_PRIVATE | TPM2B_PUBLIC of the SRK |
 *	        u8 what (1: a PIN, 2: a PCR key) | u32 PCRs | 32 bytes for each PCR, lowest first |
 *	        of a PCR key: 32 bytes (its print), TPM2B_PUBLIC
 *	anchor: u16 version | TPM2B_NV_PUBLIC | TPM2B_PUBLIC of the SRK
 *
 * Numbers outside of the TPM's own structures are little-endian.
 */
#ifndef MORTISE_TPM2_BLOB_H
#define MORTISE_TPM2_BLOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tss2/tss2_tpm2_types.h>

#include "token.h"
#include "tpm2_policy.h"

#define TPM2_BLOB_VERSION 1

/* The owner's range is 0x01800000 to 0x01bfffff; these 256 of it are mortise's. */
#define TPM2_COUNTER_FIRST 0x01836d00
#define TPM2_COUNTER_LAST  0x01836dff

struct tpm2_blob {
	TPM2B_PUBLIC public;
	TPM2B_PRIVATE private;
	TPM2B_PUBLIC srk;
	struct tpm2_policy policy;
};

struct tpm2_place {
	TPM2B_NV_PUBLIC counter;
	TPM2B_PUBLIC srk;
};

/* The public area of a counter of ours at handle, written or not yet. */
TPM2B_NV_PUBLIC tpm2_place_counter(TPM2_HANDLE handle, bool is_written);

bool tpm2_blob_pack(const struct tpm2_blob *blob, uint8_t bytes[TOKEN_BLOB_MAX], size_t *out_size);

/*
 * False unless bytes are exactly what tpm2_blob_pack() writes for a sealed object of ours, and
 * its policy is the one of the object.
 */
bool tpm2_blob_unpack(const struct token_bytes *bytes, struct tpm2_blob *out_blob);

/* Does the object have the attributes and the policy of blob->policy, as it was asked for? */
bool tpm2_blob_is_as_asked(const struct tpm2_blob *blob);

bool tpm2_place_pack(
	const struct tpm2_place *place, uint8_t bytes[TOKEN_BLOB_MAX], size_t *out_size);

/* False unless bytes are exactly what tpm2_place_pack() writes for a counter of ours. */
bool tpm2_place_unpack(const struct token_bytes *bytes, struct tpm2_place *out_place);

#endif
