/* SPDX-License-Identifier: ISC */
/*
 * tpm2_seal: h as a keyedhash object under the SRK (TPM 2.0 Part 1, 27.5): made, opened, and
 * shown to stay shut.
 * The run's session must be there (tpm2_srk_trust, tpm2_srk_require).
 */
#ifndef MORTISE_TPM2_SEAL_H
#define MORTISE_TPM2_SEAL_H

#include "tpm2_blob.h"
#include "tpm2_link.h"

/* Seals h as blob->policy says; auth is the PIN's, or empty. Fills the object's two parts. */
enum mortise_status tpm2_seal_create(struct tpm2 *tpm, const struct secret *h,
	const TPM2B_AUTH *auth, struct tpm2_blob *blob) MUST_USE;

/*
 * TOKEN_FAULT_REFUSED, TOKEN_FAULT_WRONG_PIN (tried once), TOKEN_FAULT_LOCKOUT,
 * TOKEN_FAULT_OTHER_PCRS, TOKEN_FAULT_NO_SIGNATURE.
 */
enum mortise_status tpm2_seal_open(struct tpm2 *tpm, const struct tpm2_blob *blob,
	const TPM2B_AUTH *auth, struct secret **out_h) MUST_USE;

/* Shows that it does not open where blob->policy is not fulfilled; see the source. */
enum mortise_status tpm2_seal_prove_shut(
	struct tpm2 *tpm, const struct tpm2_blob *blob, const TPM2B_AUTH *auth) MUST_USE;

#endif
