/* SPDX-License-Identifier: ISC */
/*
 * tpm2_pcrs: values of the SHA-256 bank of PCRs, and the policy that asks for them
 * (TPM 2.0 Part 3, 23.7).
 * Knows nothing of seals or signatures.
 */
#ifndef MORTISE_TPM2_PCRS_H
#define MORTISE_TPM2_PCRS_H

#include "tpm2_link.h"

#define TPM2_PCRS        24
#define TPM2_DIGEST_SIZE 32

/* Of which only those in a mask (bit n: PCR n) are of interest. */
struct tpm2_pcr_values {
	uint8_t value[TPM2_PCRS][TPM2_DIGEST_SIZE];
};

/* TOKEN_FAULT_UNSUPPORTED where the bank is not active. mask is not 0. */
enum mortise_status tpm2_pcrs_read(
	struct tpm2 *tpm, uint32_t mask, struct tpm2_pcr_values *out_values) MUST_USE;

/* What PolicyPCR makes of a policy digest, computed here. */
void tpm2_pcrs_extend(
	uint32_t mask, const struct tpm2_pcr_values *values, uint8_t policy[TPM2_DIGEST_SIZE]);

/* PolicyPCR in session; the fault is refusal if the TPM's values are others. */
enum mortise_status tpm2_pcrs_require(struct tpm2 *tpm, ESYS_TR session, uint32_t mask,
	const struct tpm2_pcr_values *values, enum token_fault refusal) MUST_USE;

/*
 * The same, where values are known to be wrong: MORTISE_OK if the TPM says that they are not
 * its own.
 */
enum mortise_status tpm2_pcrs_expect_refusal(struct tpm2 *tpm, ESYS_TR session, uint32_t mask,
	const struct tpm2_pcr_values *values) MUST_USE;

/*
 * Those of mask whose value is all zeros or all ones: as the TPM starts with, and nothing was
 * measured into them.
 */
uint32_t tpm2_pcrs_idle(uint32_t mask, const struct tpm2_pcr_values *values);

/* "7 11" */
void tpm2_pcrs_name(uint32_t mask, char *text, size_t size);

#endif
