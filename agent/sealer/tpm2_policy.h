/* SPDX-License-Identifier: ISC */
/*
 * tpm2_policy: what must be true before a seal opens: a PIN, PCR values, a signature over them.
 * Works out the policy digest of a wish here, without the TPM's word, and fulfils it in a policy
 * session (TPM 2.0 Part 3, 23). The order is PolicyAuthorize, which replaces what was before it,
 * then PolicyPCR, then PolicyAuthValue. A PIN alone needs no policy.
 * Knows nothing of the sealed object.
 */
#ifndef MORTISE_TPM2_POLICY_H
#define MORTISE_TPM2_POLICY_H

#include "tpm2_key.h"
#include "tpm2_pcrs.h"

struct tpm2_policy {
	bool has_pin;
	bool has_key;
	uint32_t pcrs;                 /* bit n: PCR n */
	struct tpm2_pcr_values values; /* of those */
	struct tpm2_key key;           /* if has_key */
};

/* Does it take a policy session, or is an authorisation value all? */
bool tpm2_policy_is_needed(const struct tpm2_policy *policy);

/* The attributes of an object under it. */
TPMA_OBJECT tpm2_policy_attributes(const struct tpm2_policy *policy);

/* Empty if none is needed. False for a key that has no name. */
bool tpm2_policy_digest(const struct tpm2_policy *policy, TPM2B_DIGEST *out_digest);

/*
 * Reads the PCRs of now and the key of wish. TOKEN_FAULT_UNSUPPORTED for a PEM that is none, and
 * for a bank that is not active.
 */
enum mortise_status tpm2_policy_make(
	struct tpm2 *tpm, const struct token_wish *wish, struct tpm2_policy *out_policy) MUST_USE;

/* A policy that asks for something else: it must not be fulfilled when policy is. */
struct tpm2_policy tpm2_policy_other(const struct tpm2_policy *policy);

/*
 * Fulfils it in a new session. TOKEN_FAULT_OTHER_PCRS; TOKEN_FAULT_NO_SIGNATURE;
 * TOKEN_FAULT_OWNER_AUTH if the owner hierarchy, where the key is loaded, is disabled.
 */
enum mortise_status tpm2_policy_fulfil(
	struct tpm2 *tpm, const struct tpm2_policy *policy, ESYS_TR *out_session) MUST_USE;

/* SHA-256 of a PIN where the TPM has no room for it as it is, see the source. */
void tpm2_policy_pin(const struct secret *pin, TPM2B_AUTH *out_auth);

#endif
