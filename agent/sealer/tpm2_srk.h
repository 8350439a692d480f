/* SPDX-License-Identifier: ISC */
/*
 * tpm2_srk: the persistent storage root key at 0x81000001, parent of every seal.
 * Any type of asymmetric key will do, if the TPM made it and it never leaves: a planted
 * software key would be accepted for salting, and give the session away.
 */
#ifndef MORTISE_TPM2_SRK_H
#define MORTISE_TPM2_SRK_H

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

#endif
