/* SPDX-License-Identifier: ISC */
#include "tpm2_seal.h"

#include <string.h>

#include <sodium.h>

#include "tpm2_link.h"
#include "tpm2_srk.h"

/* Sends h and the PIN encrypted by the session. */
static TSS2_RC create(struct tpm2 *tpm, const struct secret *h, const TPM2B_AUTH *auth,
	const TPM2B_PUBLIC *public, TPM2B_PRIVATE **out_private, TPM2B_PUBLIC **out_public)
{
	const TPM2B_DATA no_info = {0};
	const TPML_PCR_SELECTION no_pcrs = {0};
	TPM2B_SENSITIVE_CREATE sensitive = {.sensitive = {*auth, {.size = KEY_SIZE}}};
	TSS2_RC rc;

	memcpy(sensitive.sensitive.data.buffer, h->bytes, KEY_SIZE);
	rc = Esys_Create(tpm->esys, tpm->srk, tpm2_session(tpm), ESYS_TR_NONE, ESYS_TR_NONE,
		&sensitive, public, &no_info, &no_pcrs, out_private, out_public, NULL, NULL, NULL);
	sodium_memzero(&sensitive, sizeof sensitive);
	return rc;
}

enum mortise_status tpm2_seal_create(
	struct tpm2 *tpm, const struct secret *h, const TPM2B_AUTH *auth, struct tpm2_blob *blob)
{
	TPM2B_PUBLIC wanted = {
		.publicArea =
			{
				.type = TPM2_ALG_KEYEDHASH,
				.nameAlg = TPM2_ALG_SHA256,
				.objectAttributes = tpm2_policy_attributes(&blob->policy),
				.parameters.keyedHashDetail.scheme.scheme = TPM2_ALG_NULL,
			},
	};
	TPM2B_PUBLIC *public = NULL;
	TPM2B_PRIVATE *private = NULL;
	TSS2_RC rc;

	if (!tpm2_policy_digest(&blob->policy, &wanted.publicArea.authPolicy))
		return tpm2_fail(tpm, TOKEN_FAULT_UNSUPPORTED, "the PCR key has no name");
	rc = create(tpm, h, auth, &wanted, &private, &public);
	TRY(tpm2_check(tpm, rc, "Create", tpm2_srk_fault(rc, TOKEN_FAULT_UNFIT_SRK)));
	blob->public = *public;
	blob->private = *private;
	Esys_Free(public);
	Esys_Free(private);
	if (!tpm2_blob_is_as_asked(blob))
		return tpm2_fail(tpm, TOKEN_FAULT_MALFORMED, "Create: not what was asked for");
	return MORTISE_OK;
}

static enum mortise_status load(
	struct tpm2 *tpm, const struct tpm2_blob *blob, const TPM2B_AUTH *auth, ESYS_TR *out_object)
{
	ESYS_TR object;
	TSS2_RC rc = Esys_Load(tpm->esys, tpm->srk, tpm2_session(tpm), ESYS_TR_NONE, ESYS_TR_NONE,
		&blob->private, &blob->public, &object);

	TRY(tpm2_check(tpm, rc, "Load", tpm2_srk_fault(rc, TOKEN_FAULT_REFUSED)));
	TRY(tpm2_track(tpm, object));
	TRY(tpm2_check(
		tpm, Esys_TR_SetAuth(tpm->esys, object, auth), "authorisation", TOKEN_FAULT_OTHER));
	*out_object = object;
	return MORTISE_OK;
}

static bool is_about_the_pin(const struct tpm2_blob *blob, TSS2_RC rc)
{
	return blob->policy.has_pin &&
	       (tpm2_fault_is(rc, TPM2_RC_AUTH_FAIL) || tpm2_fault_is(rc, TPM2_RC_BAD_AUTH));
}

/* The one place where what Esys_Unseal() returns is seen: copied, wiped, freed. */
static enum mortise_status unseal(struct tpm2 *tpm, const struct tpm2_blob *blob, ESYS_TR object,
	ESYS_TR session, struct secret **out_h)
{
	TPM2B_SENSITIVE_DATA *opened = NULL;
	TSS2_RC rc = Esys_Unseal(tpm->esys, object, session, ESYS_TR_NONE, ESYS_TR_NONE, &opened);
	enum mortise_status status;

	TRY(tpm2_check(tpm, rc, "Unseal",
		is_about_the_pin(blob, rc) ? TOKEN_FAULT_WRONG_PIN : TOKEN_FAULT_REFUSED));
	status = opened->size == KEY_SIZE
			 ? secret_copy(opened->buffer, KEY_SIZE, out_h)
			 : tpm2_fail(tpm, TOKEN_FAULT_MALFORMED, "Unseal: not 32 bytes");
	sodium_memzero(opened, sizeof *opened);
	Esys_Free(opened);
	return status;
}

/* The session is gone with the command that it authorised, unless that failed. */
static enum mortise_status unseal_by_policy(
	struct tpm2 *tpm, const struct tpm2_blob *blob, ESYS_TR object, struct secret **out_h)
{
	TPM2_HANDLE handle;
	ESYS_TR session;

	TRY(tpm2_policy_fulfil(tpm, &blob->policy, &session));
	TRY(tpm2_check(tpm, Esys_TR_GetTpmHandle(tpm->esys, session, &handle), "policy session",
		TOKEN_FAULT_OTHER));
	TRY(unseal(tpm, blob, object, session, out_h));
	tpm2_forget(tpm, handle);
	return MORTISE_OK;
}

enum mortise_status tpm2_seal_open(struct tpm2 *tpm, const struct tpm2_blob *blob,
	const TPM2B_AUTH *auth, struct secret **out_h)
{
	CLEANUP(secret_drop) struct secret *h = NULL;
	ESYS_TR object;

	TRY(load(tpm, blob, auth, &object));
	if (tpm2_policy_is_needed(&blob->policy))
		TRY(unseal_by_policy(tpm, blob, object, &h));
	else
		TRY(unseal(tpm, blob, object, tpm2_session(tpm), &h));
	tpm2_flush(tpm, object);
	*out_h = secret_take(&h);
	return MORTISE_OK;
}

/* MORTISE_OK if the TPM does not open object by session, and says so with the code expected. */
static enum mortise_status expect_shut(
	struct tpm2 *tpm, ESYS_TR object, ESYS_TR session, TSS2_RC expected)
{
	TPM2B_SENSITIVE_DATA *opened = NULL;
	TSS2_RC rc = Esys_Unseal(tpm->esys, object, session, ESYS_TR_NONE, ESYS_TR_NONE, &opened);

	if (tpm2_fault_is(rc, expected))
		return MORTISE_OK;
	TRY(tpm2_check(tpm, rc, "Unseal", TOKEN_FAULT_OTHER));
	sodium_memzero(opened, sizeof *opened);
	Esys_Free(opened);
	return tpm2_fail(
		tpm, TOKEN_FAULT_MALFORMED, "the TPM opens a seal whose policy is not fulfilled");
}

/* Neither the PIN alone opens it, nor a policy session in which nothing was shown. */
static enum mortise_status prove_policy_is_needed(
	struct tpm2 *tpm, const struct tpm2_blob *blob, const TPM2B_AUTH *auth)
{
	ESYS_TR object, session;

	TRY(load(tpm, blob, auth, &object));
	TRY(expect_shut(tpm, object, tpm2_session(tpm), TPM2_RC_AUTH_UNAVAILABLE));
	TRY(tpm2_start_policy(tpm, &session));
	TRY(expect_shut(tpm, object, session, TPM2_RC_POLICY_FAIL));
	tpm2_flush(tpm, session);
	tpm2_flush(tpm, object);
	return MORTISE_OK;
}

/* An object like blob's, but for another policy: it must not open as blob's does. */
static enum mortise_status prove_other_is_shut(
	struct tpm2 *tpm, const struct tpm2_blob *blob, const TPM2B_AUTH *auth)
{
	struct tpm2_blob other = {.srk = blob->srk, .policy = tpm2_policy_other(&blob->policy)};
	CLEANUP(secret_drop) struct secret *content = NULL;
	ESYS_TR object, session;

	TRY(secret_random(KEY_SIZE, &content));
	TRY(tpm2_seal_create(tpm, content, auth, &other));
	TRY(load(tpm, &other, auth, &object));
	TRY(tpm2_policy_fulfil(tpm, &blob->policy, &session));
	TRY(expect_shut(tpm, object, session, TPM2_RC_POLICY_FAIL));
	tpm2_flush(tpm, session);
	tpm2_flush(tpm, object);
	return MORTISE_OK;
}

static enum mortise_status prove_values_are_compared(
	struct tpm2 *tpm, const struct tpm2_policy *policy)
{
	const struct tpm2_policy other = tpm2_policy_other(policy);
	ESYS_TR session;

	TRY(tpm2_start_policy(tpm, &session));
	TRY(tpm2_pcrs_expect_refusal(tpm, session, other.pcrs, &other.values));
	tpm2_flush(tpm, session);
	return MORTISE_OK;
}

/*
 * A wrong PCR value, without an extend that would lock others out until the next boot. There are
 * two ways in which a seal could open under other values than its own, and both are tried:
 *
 *	an opening says which values it expects, and the TPM compares them with its own: so it
 *	is told values that are not its own, and must refuse;
 *
 *	an opening that says nothing gets a policy digest of the TPM's values, and the TPM
 *	compares that with the object's: so an object is sealed to values that are not the
 *	TPM's, with the same attributes and PIN, and must stay shut for a session in which the
 *	TPM's own values were shown. It is to the values of now what our seal is to others.
 *
 * For a signed policy the other object is one for another key. The codes are those which say
 * that the policy is the reason: a seal that fails for another reason proves nothing.
 */
enum mortise_status tpm2_seal_prove_shut(
	struct tpm2 *tpm, const struct tpm2_blob *blob, const TPM2B_AUTH *auth)
{
	if (!tpm2_policy_is_needed(&blob->policy))
		return MORTISE_OK;
	TRY(prove_policy_is_needed(tpm, blob, auth));
	if (blob->policy.pcrs != 0)
		TRY(prove_values_are_compared(tpm, &blob->policy));
	return prove_other_is_shut(tpm, blob, auth);
}
