/* SPDX-License-Identifier: ISC */
#include "tpm2_srk.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <tss2/tss2_mu.h>

/* The tags in what Esys_TR_Serialize() writes; systemd keeps such bytes on disk too. */
#define ESYS_KIND_KEY   1
#define ESYS_KIND_INDEX 2

#define SERIAL_MAX (sizeof(TPM2B_PUBLIC) + sizeof(TPM2B_NV_PUBLIC) + sizeof(TPM2B_NAME) + 16)

static const EVP_MD *find_hash(TPMI_ALG_HASH algorithm)
{
	switch (algorithm) {
	case TPM2_ALG_SHA256:
		return EVP_sha256();
	case TPM2_ALG_SHA384:
		return EVP_sha384();
	case TPM2_ALG_SHA512:
		return EVP_sha512();
	default:
		return NULL;
	}
}

/* The hash behind the algorithm's number. */
static bool name(TPMI_ALG_HASH algorithm, const uint8_t *bytes, size_t size, TPM2B_NAME *out_name)
{
	const EVP_MD *hash = find_hash(algorithm);
	TPM2B_NAME made = {0};
	unsigned hash_size = 0;

	made.name[0] = (uint8_t)(algorithm >> 8);
	made.name[1] = (uint8_t)algorithm;
	if (!hash || EVP_Digest(bytes, size, made.name + 2, &hash_size, hash, NULL) != 1)
		return false;
	made.size = (uint16_t)(2 + hash_size);
	*out_name = made;
	return true;
}

bool tpm2_name_of_key(const TPMT_PUBLIC *key, TPM2B_NAME *out_name)
{
	uint8_t bytes[sizeof *key];
	size_t size = 0;

	return Tss2_MU_TPMT_PUBLIC_Marshal(key, bytes, sizeof bytes, &size) == TSS2_RC_SUCCESS &&
	       name(key->nameAlg, bytes, size, out_name);
}

bool tpm2_name_of_index(const TPMS_NV_PUBLIC *index, TPM2B_NAME *out_name)
{
	uint8_t bytes[sizeof *index];
	size_t size = 0;

	return Tss2_MU_TPMS_NV_PUBLIC_Marshal(index, bytes, sizeof bytes, &size) ==
		       TSS2_RC_SUCCESS &&
	       name(index->nameAlg, bytes, size, out_name);
}

static bool tpm2_name_equals(const TPM2B_NAME *a, const TPM2B_NAME *b)
{
	return a->size == b->size && memcmp(a->name, b->name, a->size) == 0;
}

/*
 * The form of Esys_TR_Serialize(): handle, name, kind, public area. Built here rather than
 * asked for, since ESYS takes the key it encrypts the salt to from this and nothing else.
 */
static TSS2_RC begin(
	TPM2_HANDLE handle, const TPM2B_NAME *name, uint32_t kind, uint8_t *buffer, size_t *size)
{
	TSS2_RC rc = Tss2_MU_UINT32_Marshal(handle, buffer, SERIAL_MAX, size);

	if (rc == TSS2_RC_SUCCESS)
		rc = Tss2_MU_TPM2B_NAME_Marshal(name, buffer, SERIAL_MAX, size);
	if (rc == TSS2_RC_SUCCESS)
		rc = Tss2_MU_UINT32_Marshal(kind, buffer, SERIAL_MAX, size);
	return rc;
}

/* Without a word to the TPM. */
static TSS2_RC tpm2_name_make_key(ESYS_CONTEXT *esys, TPM2_HANDLE handle, const TPM2B_PUBLIC *key,
	const TPM2B_NAME *name, ESYS_TR *out_object)
{
	uint8_t bytes[SERIAL_MAX];
	size_t size = 0;
	TSS2_RC rc = begin(handle, name, ESYS_KIND_KEY, bytes, &size);

	if (rc == TSS2_RC_SUCCESS)
		rc = Tss2_MU_TPM2B_PUBLIC_Marshal(key, bytes, sizeof bytes, &size);
	return rc == TSS2_RC_SUCCESS ? Esys_TR_Deserialize(esys, bytes, size, out_object) : rc;
}

TSS2_RC tpm2_name_make_index(ESYS_CONTEXT *esys, const TPM2B_NV_PUBLIC *index,
	const TPM2B_NAME *name, ESYS_TR *out_object)
{
	uint8_t bytes[SERIAL_MAX];
	size_t size = 0;
	TSS2_RC rc = begin(index->nvPublic.nvIndex, name, ESYS_KIND_INDEX, bytes, &size);

	if (rc == TSS2_RC_SUCCESS)
		rc = Tss2_MU_TPM2B_NV_PUBLIC_Marshal(index, bytes, sizeof bytes, &size);
	return rc == TSS2_RC_SUCCESS ? Esys_TR_Deserialize(esys, bytes, size, out_object) : rc;
}

/* fixedTPM and its like cannot be claimed by a key that was made elsewhere: Part 1, 25. */
#define MUST_HAVE                                                                                  \
	(TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN |        \
		TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT)

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

static enum mortise_status compute_fit_name(
	struct tpm2 *tpm, const TPMT_PUBLIC *key, TPM2B_NAME *out_name)
{
	char detail[96];

	if (!is_fit(key)) {
		snprintf(detail, sizeof detail, "0x81000001: type 0x%04x, attributes 0x%08x",
			key->type, key->objectAttributes);
		return tpm2_fail(tpm, TOKEN_FAULT_UNFIT_SRK, detail);
	}
	if (!tpm2_name_of_key(key, out_name)) {
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

	if (tpm2_fault_is(rc, TPM2_RC_HANDLE))
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

	if (!tpm2_fault_is(rc, TPM2_RC_HANDLE))
		TRY(tpm2_check(tpm, rc, "ReadPublic", TOKEN_FAULT_OTHER));
	*out_is_there = rc == TSS2_RC_SUCCESS;
	return MORTISE_OK;
}

/* Trust on first use. */
static enum mortise_status find(struct tpm2 *tpm, TPM2B_PUBLIC *out_public)
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
	if (!tpm2_name_equals(&said, &computed))
		return tpm2_fail(tpm, TOKEN_FAULT_MALFORMED, "ReadPublic: name and key differ");
	*out_public = public;
	return MORTISE_OK;
}

/*
 * Makes tpm->srk of a recorded public area, so that a session is salted to that key and no
 * other, whatever the TPM says. Sends nothing.
 */
static enum mortise_status use(struct tpm2 *tpm, const TPM2B_PUBLIC *recorded)
{
	TPM2B_NAME name;

	TRY(compute_fit_name(tpm, &recorded->publicArea, &name));
	return tpm2_check(tpm,
		tpm2_name_make_key(tpm->esys, TPM2_SRK_HANDLE, recorded, &name, &tpm->srk), "SRK",
		TOKEN_FAULT_MALFORMED);
}

/* The same names are the same keys, since both names were computed here. */
static enum mortise_status confirm(struct tpm2 *tpm, const TPM2B_PUBLIC *recorded)
{
	TPM2B_PUBLIC public;
	TPM2B_NAME said, computed, expected;

	TRY(compute_fit_name(tpm, &recorded->publicArea, &expected));
	TRY(read_public(tpm, tpm->srk, &public, &said));
	if (!tpm2_name_of_key(&public.publicArea, &computed) ||
		!tpm2_name_equals(&computed, &expected))
		return tpm2_fail(
			tpm, TOKEN_FAULT_OTHER_SRK, "0x81000001: not the key of the enrolment");
	if (!tpm2_name_equals(&said, &computed))
		return tpm2_fail(tpm, TOKEN_FAULT_MALFORMED, "ReadPublic: name and key differ");
	return MORTISE_OK;
}

/* One run deals with one SRK, and what was confirmed holds while the session does. */
static enum mortise_status enter(struct tpm2 *tpm, const TPM2B_PUBLIC *recorded)
{
	TRY(tpm2_start_session(tpm));
	tpm->srk_public = *recorded;
	return MORTISE_OK;
}

enum mortise_status tpm2_srk_trust(struct tpm2 *tpm, TPM2B_PUBLIC *out_public)
{
	TPM2B_PUBLIC public;

	if (tpm->session == ESYS_TR_NONE) {
		TRY(find(tpm, &public));
		TRY(use(tpm, &public));
		TRY(enter(tpm, &public));
	}
	*out_public = tpm->srk_public;
	return MORTISE_OK;
}

enum mortise_status tpm2_srk_require(struct tpm2 *tpm, const TPM2B_PUBLIC *recorded)
{
	TPM2B_NAME name, expected;

	if (tpm->session == ESYS_TR_NONE) {
		TRY(use(tpm, recorded));
		TRY(confirm(tpm, recorded));
		return enter(tpm, recorded);
	}
	TRY(compute_fit_name(tpm, &recorded->publicArea, &expected));
	TRY(compute_fit_name(tpm, &tpm->srk_public.publicArea, &name));
	if (!tpm2_name_equals(&name, &expected))
		return tpm2_fail(
			tpm, TOKEN_FAULT_OTHER_SRK, "0x81000001: not the key of the enrolment");
	return MORTISE_OK;
}

enum token_fault tpm2_srk_fault(TSS2_RC rc, enum token_fault refusal)
{
	return tpm2_fault_is(rc, TPM2_RC_AUTH_FAIL) || tpm2_fault_is(rc, TPM2_RC_BAD_AUTH)
		       ? TOKEN_FAULT_SRK_AUTH
		       : refusal;
}

bool tpm2_srk_counts_tries(const TPM2B_PUBLIC *srk)
{
	return (srk->publicArea.objectAttributes & TPMA_OBJECT_NODA) == 0;
}
