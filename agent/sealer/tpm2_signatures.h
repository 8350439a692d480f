/* SPDX-License-Identifier: ISC */
/*
 * tpm2_signatures: tpm2-pcr-signature.json, which comes with a kernel and says under which PCR
 * values its maker wants things to open. The format is systemd-measure(1)'s:
 *
 *	{"sha256": [{"pcrs": [11], "pkfp": "hex", "pol": "hex", "sig": "base64"}, ...], ...}
 *
 * pkfp is the print of the signing key (tpm2_key.h), pol a policy digest of one PolicyPCR, sig
 * the signature of the SHA-256 of pol's bytes. Nothing here is believed: the TPM verifies the
 * signature. What is not for our key, or not understood, is passed over. Other banks are of no use:
 * they are signed over another hash, and a key whose name is by SHA-256 authorises none of it
 * (TPM 2.0 Part 3, 23.16).
 */
#ifndef MORTISE_TPM2_SIGNATURES_H
#define MORTISE_TPM2_SIGNATURES_H

#include "tpm2_key.h"
#include "tpm2_pcrs.h"

#define TPM2_SIGNATURES_FILE_MAX 1048576 /* systemd-measure writes 700 bytes for each phase */

struct tpm2_signature {
	uint32_t pcrs; /* not 0 */
	uint8_t policy[TPM2_DIGEST_SIZE];
	uint8_t bytes[TPM2_SIGNATURE_SIZE];
	size_t size;
};

struct tpm2_signatures {
	char path[512];    /* where they come from, or were looked for in vain */
	char trouble[128]; /* why there are none by our key; "" if there are some */
	struct tpm2_signature *list;
	size_t count;
};

/*
 * Those by the key with this print. path NULL: the first that is there of the places where systemd
 * looks. To be freed even if there are none.
 */
void tpm2_signatures_load(const char *path, const uint8_t print[TPM2_PRINT_SIZE],
	struct tpm2_signatures *out_signatures);

/* From text, for tests and fuzzing. */
void tpm2_signatures_parse(const char *text, size_t size, const uint8_t print[TPM2_PRINT_SIZE],
	struct tpm2_signatures *out_signatures);

/* For CLEANUP. */
void tpm2_signatures_free(struct tpm2_signatures *signatures);

#endif
