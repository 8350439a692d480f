/* SPDX-License-Identifier: ISC */
/*
 * tpm2_signatures: tpm2-pcr-signature.json, which comes with a kernel and says under which PCR
 * values its maker wants things to open. The format is systemd-measure(1)'s:
 *
 *	{"sha256": [{"pcrs": [11], "pkfp": "hex", "pol": "hex", "sig": "base64"}, ...], ...}
 *
 * pkfp is the SHA-256 of the signing key's SubjectPublicKeyInfo, pol a policy digest of one
 * PolicyPCR, sig the signature of the SHA-256 of pol's bytes. Nothing here is believed: the TPM
 * verifies the signature. What is not for our key, or not understood, is passed over.
 */
#ifndef MORTISE_TPM2_SIGNATURES_H
#define MORTISE_TPM2_SIGNATURES_H

#include "tpm2_key.h"
#include "tpm2_pcrs.h"

#define TPM2_SIGNATURES_MAX 64 /* by one key; further ones are passed over */

struct tpm2_signature {
	uint32_t pcrs; /* not 0 */
	uint8_t policy[TPM2_DIGEST_SIZE];
	uint8_t bytes[TPM2_SIGNATURE_SIZE];
	size_t size;
};

struct tpm2_signatures {
	char path[1024]; /* where they come from, or were looked for in vain */
	bool is_there;   /* there is such a file */
	bool is_json;
	struct tpm2_signature list[TPM2_SIGNATURES_MAX];
	size_t count;
};

/*
 * Those by the key with this print. path NULL: the first that is there in /etc/systemd,
 * /run/systemd and /usr/lib/systemd, where systemd looks too.
 */
void tpm2_signatures_load(const char *path, const uint8_t print[TPM2_PRINT_SIZE],
	struct tpm2_signatures *out_signatures);

/* From text, for tests and fuzzing. False if it is not JSON. */
bool tpm2_signatures_parse(const char *text, size_t size, const uint8_t print[TPM2_PRINT_SIZE],
	struct tpm2_signatures *out_signatures);

#endif
