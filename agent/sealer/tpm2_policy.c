/* SPDX-License-Identifier: ISC */
#include "tpm2_policy.h"

#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "tpm2_link.h"
#include "tpm2_srk.h"
#include "tpm2_signatures.h"

bool tpm2_policy_is_needed(const struct tpm2_policy *policy)
{
	return policy->has_key || policy->pcrs != 0;
}

/*
 * fixedTPM: it cannot be exported. noDA: with no PIN, and power cuts would lock it.
 * Without userWithAuth nothing but the policy opens it.
 */
TPMA_OBJECT tpm2_policy_attributes(const struct tpm2_policy *policy)
{
	TPMA_OBJECT attributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT;

	if (!policy->has_pin)
		attributes |= TPMA_OBJECT_NODA;
	if (!tpm2_policy_is_needed(policy))
		attributes |= TPMA_OBJECT_USERWITHAUTH;
	return attributes;
}

/* H(policy | command | more) */
static void extend(
	uint8_t policy[TPM2_DIGEST_SIZE], TPM2_CC command, const uint8_t *more, size_t size)
{
	const uint8_t code[] = {(uint8_t)(command >> 24), (uint8_t)(command >> 16),
		(uint8_t)(command >> 8), (uint8_t)command};
	crypto_hash_sha256_state state;

	crypto_hash_sha256_init(&state);
	crypto_hash_sha256_update(&state, policy, TPM2_DIGEST_SIZE);
	crypto_hash_sha256_update(&state, code, sizeof code);
	crypto_hash_sha256_update(&state, more, size);
	crypto_hash_sha256_final(&state, policy);
}

bool tpm2_policy_digest(const struct tpm2_policy *policy, TPM2B_DIGEST *out_digest)
{
	TPM2B_DIGEST digest = {0};
	TPM2B_NAME name;

	if (!tpm2_policy_is_needed(policy)) {
		*out_digest = digest;
		return true;
	}
	digest.size = TPM2_DIGEST_SIZE;
	if (policy->has_key) {
		if (!tpm2_name_of_key(&policy->key.public.publicArea, &name))
			return false;
		extend(digest.buffer, TPM2_CC_PolicyAuthorize, name.name, name.size);
		/* Once more over an empty policyRef: Part 3, 23.16. */
		crypto_hash_sha256(digest.buffer, digest.buffer, TPM2_DIGEST_SIZE);
	}
	if (policy->pcrs != 0)
		tpm2_pcrs_extend(policy->pcrs, &policy->values, digest.buffer);
	if (policy->has_pin)
		extend(digest.buffer, TPM2_CC_PolicyAuthValue, NULL, 0);
	*out_digest = digest;
	return true;
}

static enum mortise_status read_key(
	struct tpm2 *tpm, const struct token_wish *wish, struct tpm2_policy *policy)
{
	char detail[sizeof tpm->failure->detail];
	const char *wrong = policy->has_key ? tpm2_key_read(&wish->pcr_key, &policy->key) : NULL;

	if (!wrong)
		return MORTISE_OK;
	(void)snprintf(detail, sizeof detail, "the PCR key is %s", wrong);
	return tpm2_fail(tpm, TOKEN_FAULT_UNFIT_WISH, detail);
}

enum mortise_status tpm2_policy_make(
	struct tpm2 *tpm, const struct token_wish *wish, struct tpm2_policy *out_policy)
{
	struct tpm2_policy policy = {
		.has_pin = wish->pin != NULL,
		.has_key = wish->pcr_key.size > 0,
		.pcrs = wish->pcrs,
	};

	TRY(read_key(tpm, wish, &policy));
	if (policy.pcrs != 0)
		TRY(tpm2_pcrs_read(tpm, policy.pcrs, &policy.values));
	*out_policy = policy;
	return MORTISE_OK;
}

struct tpm2_policy tpm2_policy_other(const struct tpm2_policy *policy)
{
	struct tpm2_policy other = *policy;

	for (unsigned i = 0; i < TPM2_PCRS; i++)
		other.values.value[i][0] ^= 1;
	/* The last byte of an RSA modulus's first 32, or of a point's x: they share their place. */
	if (other.pcrs == 0)
		other.key.public.publicArea.unique.rsa.buffer[TPM2_DIGEST_SIZE - 1] ^= 1;
	return other;
}

/*
 * A PIN is the object's authorisation value as it stands, as for any other program, unless it
 * is longer than the object's name algorithm makes a digest, or ends in a zero byte, which a TPM
 * would drop (Part 1, 19.6.4.3): then its SHA-256 is. ESYS drops zeros as the TPM does.
 */
void tpm2_policy_pin(const struct secret *pin, TPM2B_AUTH *out_auth)
{
	*out_auth = (TPM2B_AUTH){0};
	if (pin->size <= TPM2_DIGEST_SIZE && pin->bytes[pin->size - 1] != 0) {
		out_auth->size = (uint16_t)pin->size;
		memcpy(out_auth->buffer, pin->bytes, pin->size);
		return;
	}
	out_auth->size = TPM2_DIGEST_SIZE;
	crypto_hash_sha256(out_auth->buffer, pin->bytes, pin->size);
}

static bool fits(const struct tpm2_signature *entry, const struct tpm2_pcr_values *now)
{
	uint8_t policy[TPM2_DIGEST_SIZE] = {0};

	tpm2_pcrs_extend(entry->pcrs, now, policy);
	return memcmp(policy, entry->policy, sizeof policy) == 0;
}

/* TOKEN_FAULT_NO_SIGNATURE: not signed by this key after all. */
static enum mortise_status verify(struct tpm2 *tpm, const struct tpm2_key *key, ESYS_TR object,
	const struct tpm2_signature *entry, TPMT_TK_VERIFIED **out_ticket)
{
	TPM2B_DIGEST digest = {.size = TPM2_DIGEST_SIZE};
	TPMT_SIGNATURE signature;

	if (!tpm2_key_signature(key, entry->bytes, entry->size, &signature))
		return tpm2_fail(tpm, TOKEN_FAULT_NO_SIGNATURE, "a signature of another form");
	crypto_hash_sha256(digest.buffer, entry->policy, TPM2_DIGEST_SIZE);
	return tpm2_check(tpm,
		Esys_VerifySignature(tpm->esys, object, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
			&digest, &signature, out_ticket),
		"VerifySignature", TOKEN_FAULT_NO_SIGNATURE);
}

/* With the ticket of the owner hierarchy: one of the null hierarchy is no ticket. */
static enum mortise_status load_key(
	struct tpm2 *tpm, const struct tpm2_key *key, ESYS_TR *out_object)
{
	TSS2_RC rc = Esys_LoadExternal(tpm->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, NULL,
		&key->public, ESYS_TR_RH_OWNER, out_object);
	bool is_hierarchy = tpm2_fault_is(rc, TPM2_RC_HIERARCHY);

	TRY(tpm2_check(tpm, rc, "LoadExternal of the PCR key",
		is_hierarchy ? TOKEN_FAULT_OWNER_AUTH : TOKEN_FAULT_UNSUPPORTED));
	return tpm2_track(tpm, *out_object);
}

static enum mortise_status no_signature(
	struct tpm2 *tpm, const struct tpm2_signatures *signatures, uint32_t pcrs)
{
	char detail[sizeof tpm->failure->detail], names[80];

	tpm2_pcrs_name(pcrs, names, sizeof names);
	if (signatures->count == 0)
		(void)snprintf(
			detail, sizeof detail, "%.120s: %s", signatures->path, signatures->trouble);
	else
		(void)snprintf(detail, sizeof detail,
			"%.120s: nothing signed for what is in PCR %s now", signatures->path,
			names);
	return tpm2_fail(tpm, TOKEN_FAULT_NO_SIGNATURE, detail);
}

/* Of the entries that fit the PCRs of now, the first that the key has signed. */
static enum mortise_status find_signed(struct tpm2 *tpm, const struct tpm2_key *key,
	const struct tpm2_signatures *signatures, const struct tpm2_pcr_values *now, ESYS_TR object,
	size_t *out_index, TPMT_TK_VERIFIED **out_ticket)
{
	uint32_t pcrs = 0;

	for (size_t i = 0; i < signatures->count; i++) {
		const struct tpm2_signature *entry = &signatures->list[i];
		enum mortise_status status;

		pcrs |= entry->pcrs;
		if (!fits(entry, now))
			continue;
		status = verify(tpm, key, object, entry, out_ticket);
		if (status == MORTISE_OK)
			*out_index = i;
		if (status == MORTISE_OK || tpm->failure->fault != TOKEN_FAULT_NO_SIGNATURE)
			return status;
	}
	return no_signature(tpm, signatures, pcrs);
}

/* PolicyPCR of what the key has signed, then PolicyAuthorize makes the key's policy of it. */
static enum mortise_status authorize(struct tpm2 *tpm, const struct tpm2_key *key,
	const struct tpm2_signature *entry, const struct tpm2_pcr_values *now,
	const TPMT_TK_VERIFIED *ticket, ESYS_TR session)
{
	TPM2B_DIGEST approved = {.size = TPM2_DIGEST_SIZE};
	const TPM2B_NONCE no_reference = {0};
	TPM2B_NAME name;

	memcpy(approved.buffer, entry->policy, TPM2_DIGEST_SIZE);
	if (!tpm2_name_of_key(&key->public.publicArea, &name))
		return tpm2_fail(tpm, TOKEN_FAULT_MALFORMED, "the PCR key has no name");
	/* A PCR that has changed since it was read: again, from the start. */
	TRY(tpm2_pcrs_require(tpm, session, entry->pcrs, now, TOKEN_FAULT_BUSY));
	return tpm2_check(tpm,
		Esys_PolicyAuthorize(tpm->esys, session, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
			&approved, &no_reference, &name, ticket),
		"PolicyAuthorize", TOKEN_FAULT_NO_SIGNATURE);
}

static enum mortise_status fulfil_signed(
	struct tpm2 *tpm, const struct tpm2_key *key, ESYS_TR session)
{
	CLEANUP(tpm2_signatures_free) struct tpm2_signatures signatures;
	struct tpm2_pcr_values now;
	TPMT_TK_VERIFIED *ticket = NULL;
	enum mortise_status status;
	uint32_t pcrs = 0;
	size_t index = 0;
	ESYS_TR object;

	tpm2_signatures_load(tpm->options->pcr_signature, key->print, &signatures);
	for (size_t i = 0; i < signatures.count; i++)
		pcrs |= signatures.list[i].pcrs;
	if (pcrs == 0)
		return no_signature(tpm, &signatures, pcrs);
	TRY(tpm2_pcrs_read(tpm, pcrs, &now));
	TRY(load_key(tpm, key, &object));
	TRY(find_signed(tpm, key, &signatures, &now, object, &index, &ticket));
	tpm2_flush(tpm, object);
	status = authorize(tpm, key, &signatures.list[index], &now, ticket, session);
	Esys_Free(ticket);
	return status;
}

enum mortise_status tpm2_policy_fulfil(
	struct tpm2 *tpm, const struct tpm2_policy *policy, ESYS_TR *out_session)
{
	ESYS_TR session;

	TRY(tpm2_start_policy(tpm, &session));
	if (policy->has_key)
		TRY(fulfil_signed(tpm, &policy->key, session));
	if (policy->pcrs != 0)
		TRY(tpm2_pcrs_require(
			tpm, session, policy->pcrs, &policy->values, TOKEN_FAULT_OTHER_PCRS));
	if (policy->has_pin)
		TRY(tpm2_check(tpm,
			Esys_PolicyAuthValue(
				tpm->esys, session, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE),
			"PolicyAuthValue", TOKEN_FAULT_OTHER));
	*out_session = session;
	return MORTISE_OK;
}
