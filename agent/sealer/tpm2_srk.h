/* SPDX-License-Identifier: ISC */
/*
 * tpm2_srk: the persistent storage root key at 0x81000001, parent of every seal.
 * Any type of asymmetric key will do, if the TPM made it and it never leaves: a planted
 * software key would be accepted for salting, and give the session away.
 */
#ifndef MORTISE_TPM2_SRK_H
#define MORTISE_TPM2_SRK_H

#include <stdbool.h>
#include <tss2/tss2_esys.h>

#include "tpm2_link.h"

#define TPM2_SRK_HANDLE 0x81000001

/*
 * Starts the run's session, salted to the key at 0x81000001, if there is none yet, and gives
 * that key's public area; makes and persists an ECC P-256 key where there is none. Trust on
 * first use: for enrolling only.
 */
enum mortise_status tpm2_srk_trust(struct tpm2 *tpm, TPM2B_PUBLIC *out_public) MUST_USE;

/*
 * Starts the run's session, salted to the recorded key and no other, whatever the TPM says; or
 * makes sure that the run has one for that key. TOKEN_FAULT_OTHER_SRK, TOKEN_FAULT_NO_SRK.
 */
enum mortise_status tpm2_srk_require(struct tpm2 *tpm, const TPM2B_PUBLIC *recorded) MUST_USE;

/* Of a command that uses the key: TOKEN_FAULT_SRK_AUTH if it has a password, else refusal. */
enum token_fault tpm2_srk_fault(TSS2_RC rc, enum token_fault refusal);

/* Is it subject to dictionary-attack protection, so that power cuts count? */
bool tpm2_srk_counts_tries(const TPM2B_PUBLIC *srk);

/*
 * What a TPM calls a key or an NV index: the hash of its public area (TPM 2.0 Part 1, 16), and ESYS
 * objects made of a public area that was kept, without asking the TPM. The name goes into the HMAC
 * of every command: a TPM that holds something else under the same handle cannot answer rightly.
 */

/* False for a name algorithm that is none of SHA-256, SHA-384 and SHA-512. */
bool tpm2_name_of_key(const TPMT_PUBLIC *key, TPM2B_NAME *out_name);
bool tpm2_name_of_index(const TPMS_NV_PUBLIC *index, TPM2B_NAME *out_name);
TSS2_RC tpm2_name_make_index(ESYS_CONTEXT *esys, const TPM2B_NV_PUBLIC *index,
	const TPM2B_NAME *name, ESYS_TR *out_object);

#endif
