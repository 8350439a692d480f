/* SPDX-License-Identifier: ISC */
#include "tpm2_srk.h"

#include <stdio.h>
#include <string.h>

#include <sodium.h>
#include <tss2/tss2_mu.h>

#include "tpm2_fault.h"

/* fixedTPM and its like cannot be claimed by a key that was made elsewhere: Part 1, 25. */
#define MUST_HAVE                                                                                  \
	(TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN |        \
		TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT)

/* The tag of a key in what Esys_TR_Serialize() writes; systemd keeps such bytes on disk too. */
#define ESYS_KIND_KEY 1

/* The EK template with an SRK's attributes: TCG TPM v2.0 Provisioning Guidance, 7.5.1. */
static const TPM2B_PUBLIC template = {
	.publicArea =
		{
			.type = TPM2_ALG_ECC,
			.nameAlg = TPM2_ALG_SHA256,
			.objectAttributes = MUST_HAVE | TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_NODA,
			.parameters.eccDetail =
				{
					.symmetric =
						{
							.algorithm = TPM2_ALG_AES,
							.keyBits.aes = 128,
							.mode.aes = TPM2_ALG_CFB,
						},
					.scheme.scheme = TPM2_ALG_NULL,
					.curveID = TPM2_ECC_NIST_P256,
					.kdf.scheme = TPM2_ALG_NULL,
				},
			.unique.ecc = {.x.size = 32, .y.size = 32},
		},
};

static bool is_fit(const TPMT_PUBLIC *key)
{
	return (key->type == TPM2_ALG_RSA || key->type == TPM2_ALG_ECC) &&
	       (key->objectAttributes & MUST_HAVE) == MUST_HAVE &&
	       (key->objectAttributes & TPMA_OBJECT_SIGN_ENCRYPT) == 0;
}

/* SHA-256 or SHA-512 of the public area behind the algorithm's number: Part 1, 16. */
static bool compute_name(const TPMT_PUBLIC *key, TPM2B_NAME *out_name)
{
	uint8_t bytes[sizeof *key];
	TPM2B_NAME name = {.size = 2};
	size_t size = 0;

	if (Tss2_MU_TPMT_PUBLIC_Marshal(key, bytes, sizeof bytes, &size) != TSS2_RC_SUCCESS)
		return false;
	name.name[0] = (uint8_t)(key->nameAlg >> 8);
	name.name[1] = (uint8_t)key->nameAlg;
	if (key->nameAlg == TPM2_ALG_SHA256) {
		crypto_hash_sha256(name.name + 2, bytes, size);
		name.size += crypto_hash_sha256_BYTES;
	} else if (key->nameAlg == TPM2_ALG_SHA512) {
		crypto_hash_sha512(name.name + 2, bytes, size);
		name.size += crypto_hash_sha512_BYTES;
	} else {
		return false;
	}
	*out_name = name;
	return true;
}

static bool is_same_name(const TPM2B_NAME *a, const TPM2B_NAME *b)
{
	return a->size == b->size && memcmp(a->name, b->name, a->size) == 0;
}

static enum mortise_status compute_fit_name(
	struct tpm2 *tpm, const TPMT_PUBLIC *key, TPM2B_NAME *out_name)
{
	char detail[96];

	if (!is_fit(key)) {
		snprintf(detail, sizeof detail, "0x81000001: type 0x%04x, attributes 0x%08x",
			key->type, key->objectAttributes);
		return tpm2_fail(tpm, TOKEN_FAULT_UNFIT_SRK, detail);
	}
	if (!compute_name(key, out_name)) {
		snprintf(detail, sizeof detail, "0x81000001: name algorithm 0x%04x", key->nameAlg);
		return tpm2_fail(tpm, TOKEN_FAULT_UNFIT_SRK, detail);
	}
	return MORTISE_OK;
}

/* What the TPM says about object, if it does not contradict itself. */
static enum mortise_status read_public(
	struct tpm2 *tpm, ESYS_TR object, TPM2B_PUBLIC *out_public, TPM2B_NAME *out_name)
{
	TPM2B_PUBLIC *public = NULL;
	TPM2B_NAME *name = NULL;
	TSS2_RC rc = Esys_ReadPublic(
		tpm->esys, object, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &public, &name, NULL);

	if (tpm2_fault_is_handle(rc))
		return tpm2_fail(tpm, TOKEN_FAULT_NO_SRK, "0x81000001: no such handle");
	TRY(tpm2_check(tpm, rc, "ReadPublic", TOKEN_FAULT_OTHER));
	*out_public = *public;
	*out_name = *name;
	Esys_Free(public);
	Esys_Free(name);
	return MORTISE_OK;
}

static enum mortise_status persist_new(struct tpm2 *tpm)
{
	const TPM2B_SENSITIVE_CREATE no_auth = {0};
	const TPM2B_DATA no_info = {0};
	const TPML_PCR_SELECTION no_pcrs = {0};
	ESYS_TR primary, persistent;
	TSS2_RC rc = Esys_CreatePrimary(tpm->esys, ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD, ESYS_TR_NONE,
		ESYS_TR_NONE, &no_auth, &template, &no_info, &no_pcrs, &primary, NULL, NULL, NULL,
		NULL);
	/* A parameter it does not like is the template; a handle or session is the owner. */
	bool is_template = (rc & TPM2_RC_FMT1) != 0 && (rc & TPM2_RC_P) != 0;

	TRY(tpm2_check(tpm, rc, "CreatePrimary",
		is_template ? TOKEN_FAULT_UNSUPPORTED : TOKEN_FAULT_OWNER_AUTH));
	TRY(tpm2_track(tpm, primary));
	return tpm2_check(tpm,
		Esys_EvictControl(tpm->esys, ESYS_TR_RH_OWNER, primary, ESYS_TR_PASSWORD,
			ESYS_TR_NONE, ESYS_TR_NONE, TPM2_SRK_HANDLE, &persistent),
		"EvictControl", TOKEN_FAULT_OWNER_AUTH);
}

static enum mortise_status look_up(struct tpm2 *tpm, ESYS_TR *out_object, bool *out_is_there)
{
	TSS2_RC rc = Esys_TR_FromTPMPublic(
		tpm->esys, TPM2_SRK_HANDLE, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, out_object);

	if (!tpm2_fault_is_handle(rc))
		TRY(tpm2_check(tpm, rc, "ReadPublic", TOKEN_FAULT_OTHER));
	*out_is_there = rc == TSS2_RC_SUCCESS;
	return MORTISE_OK;
}

enum mortise_status tpm2_srk_find(struct tpm2 *tpm, TPM2B_PUBLIC *out_public)
{
	TPM2B_PUBLIC public;
	TPM2B_NAME said, computed;
	ESYS_TR object;
	bool is_there;

	TRY(look_up(tpm, &object, &is_there));
	if (!is_there) {
		TRY(persist_new(tpm));
		TRY(look_up(tpm, &object, &is_there));
	}
	if (!is_there)
		return tpm2_fail(tpm, TOKEN_FAULT_NO_SRK, "0x81000001: gone after EvictControl");
	TRY(read_public(tpm, object, &public, &said));
	TRY(tpm2_check(tpm, Esys_TR_Close(tpm->esys, &object), "close", TOKEN_FAULT_OTHER));
	TRY(compute_fit_name(tpm, &public.publicArea, &computed));
	if (!is_same_name(&said, &computed))
		return tpm2_fail(tpm, TOKEN_FAULT_MALFORMED, "ReadPublic: name and key differ");
	*out_public = public;
	return MORTISE_OK;
}

/*
 * The form of Esys_TR_Serialize(): handle, name, kind, public area. Built here rather than
 * asked for, since ESYS takes the key it encrypts the salt to from this and nothing else.
 */
static TSS2_RC serialize(const TPM2B_PUBLIC *public, const TPM2B_NAME *name, uint8_t *buffer,
	size_t capacity, size_t *size)
{
	TSS2_RC rc = Tss2_MU_UINT32_Marshal(TPM2_SRK_HANDLE, buffer, capacity, size);

	if (rc == TSS2_RC_SUCCESS)
		rc = Tss2_MU_TPM2B_NAME_Marshal(name, buffer, capacity, size);
	if (rc == TSS2_RC_SUCCESS)
		rc = Tss2_MU_UINT32_Marshal(ESYS_KIND_KEY, buffer, capacity, size);
	if (rc == TSS2_RC_SUCCESS)
		rc = Tss2_MU_TPM2B_PUBLIC_Marshal(public, buffer, capacity, size);
	return rc;
}

enum mortise_status tpm2_srk_use(struct tpm2 *tpm, const TPM2B_PUBLIC *recorded)
{
	uint8_t bytes[sizeof *recorded + sizeof(TPM2B_NAME) + 16];
	size_t size = 0;
	TPM2B_NAME name;

	TRY(compute_fit_name(tpm, &recorded->publicArea, &name));
	TRY(tpm2_check(tpm, serialize(recorded, &name, bytes, sizeof bytes, &size), "SRK",
		TOKEN_FAULT_MALFORMED));
	return tpm2_check(tpm, Esys_TR_Deserialize(tpm->esys, bytes, size, &tpm->srk), "SRK",
		TOKEN_FAULT_OTHER);
}

/* The same names are the same keys, since both names were computed here. */
enum mortise_status tpm2_srk_confirm(struct tpm2 *tpm, const TPM2B_PUBLIC *recorded)
{
	TPM2B_PUBLIC public;
	TPM2B_NAME said, computed, expected;

	TRY(compute_fit_name(tpm, &recorded->publicArea, &expected));
	TRY(read_public(tpm, tpm->srk, &public, &said));
	if (!compute_name(&public.publicArea, &computed) || !is_same_name(&computed, &expected))
		return tpm2_fail(
			tpm, TOKEN_FAULT_OTHER_SRK, "0x81000001: not the key of the enrolment");
	if (!is_same_name(&said, &computed))
		return tpm2_fail(tpm, TOKEN_FAULT_MALFORMED, "ReadPublic: name and key differ");
	return MORTISE_OK;
}
