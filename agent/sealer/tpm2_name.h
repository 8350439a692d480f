/* SPDX-License-Identifier: ISC */
/*
 * tpm2_name: what a TPM calls a key or an NV index: the hash of its public area (TPM 2.0
 * Part 1, 16), and ESYS objects made of a public area that was kept, without asking the TPM.
 * The name goes into the HMAC of every command: a TPM that holds something else under the same
 * handle cannot answer rightly.
 */
#ifndef MORTISE_TPM2_NAME_H
#define MORTISE_TPM2_NAME_H

#include <stdbool.h>

#include <tss2/tss2_esys.h>

/* False for a name algorithm that is none of SHA-256, SHA-384 and SHA-512. */
bool tpm2_name_of_key(const TPMT_PUBLIC *key, TPM2B_NAME *out_name);
bool tpm2_name_of_index(const TPMS_NV_PUBLIC *index, TPM2B_NAME *out_name);

bool tpm2_name_equals(const TPM2B_NAME *a, const TPM2B_NAME *b);

/* Without a word to the TPM. */
TSS2_RC tpm2_name_make_key(ESYS_CONTEXT *esys, TPM2_HANDLE handle, const TPM2B_PUBLIC *key,
	const TPM2B_NAME *name, ESYS_TR *out_object);
TSS2_RC tpm2_name_make_index(ESYS_CONTEXT *esys, const TPM2B_NV_PUBLIC *index,
	const TPM2B_NAME *name, ESYS_TR *out_object);

#endif
