/* SPDX-License-Identifier: ISC */
#include "tpm2_pcrs.h"

#include <stdio.h>
#include <string.h>

#include <sodium.h>
#include <tss2/tss2_mu.h>

#include "tpm2_link.h"

static TPML_PCR_SELECTION select_pcrs(uint32_t mask)
{
	return (TPML_PCR_SELECTION){
		.count = 1,
		.pcrSelections[0] =
			{
				.hash = TPM2_ALG_SHA256,
				.sizeofSelect = 3,
				.pcrSelect = {(uint8_t)mask, (uint8_t)(mask >> 8),
					(uint8_t)(mask >> 16)},
			},
	};
}

static uint32_t mask_of(const TPML_PCR_SELECTION *selection)
{
	const TPMS_PCR_SELECTION *bank = &selection->pcrSelections[0];

	if (selection->count != 1 || bank->hash != TPM2_ALG_SHA256 || bank->sizeofSelect != 3)
		return 0;
	return (uint32_t)bank->pcrSelect[0] | (uint32_t)bank->pcrSelect[1] << 8 |
	       (uint32_t)bank->pcrSelect[2] << 16;
}

void tpm2_pcrs_name(uint32_t mask, char *text, size_t size)
{
	size_t used = 0;

	text[0] = '\0';
	for (unsigned i = 0; i < TPM2_PCRS && used < size; i++) {
		if ((mask >> i & 1) != 0)
			used += (size_t)snprintf(
				text + used, size - used, used == 0 ? "%u" : " %u", i);
	}
}

static bool is_all(const uint8_t value[TPM2_DIGEST_SIZE], uint8_t byte)
{
	for (size_t i = 0; i < TPM2_DIGEST_SIZE; i++)
		if (value[i] != byte)
			return false;
	return true;
}

uint32_t tpm2_pcrs_idle(uint32_t mask, const struct tpm2_pcr_values *values)
{
	uint32_t idle = 0;

	for (unsigned i = 0; i < TPM2_PCRS; i++)
		if (is_all(values->value[i], 0) || is_all(values->value[i], 0xff))
			idle |= mask & 1u << i;
	return idle;
}

/* The TPM gives up to eight at a time, lowest first, and leaves out those it does not have. */
static enum mortise_status take(
	struct tpm2 *tpm, uint32_t got, const TPML_DIGEST *digests, struct tpm2_pcr_values *values)
{
	unsigned next = 0;

	for (unsigned i = 0; i < TPM2_PCRS; i++) {
		if ((got >> i & 1) == 0)
			continue;
		if (next == digests->count || digests->digests[next].size != TPM2_DIGEST_SIZE)
			return tpm2_fail(tpm, TOKEN_FAULT_MALFORMED, "PCR_Read: no SHA-256 value");
		memcpy(values->value[i], digests->digests[next++].buffer, TPM2_DIGEST_SIZE);
	}
	return MORTISE_OK;
}

static enum mortise_status read_some(
	struct tpm2 *tpm, uint32_t wanted, uint32_t *out_got, struct tpm2_pcr_values *values)
{
	const TPML_PCR_SELECTION selection = select_pcrs(wanted);
	TPML_PCR_SELECTION *selected = NULL;
	TPML_DIGEST *digests = NULL;
	enum mortise_status status;
	uint32_t got;

	TRY(tpm2_check(tpm,
		Esys_PCR_Read(tpm->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &selection, NULL,
			&selected, &digests),
		"PCR_Read", TOKEN_FAULT_UNSUPPORTED));
	got = mask_of(selected);
	if ((got & ~wanted) != 0)
		status = tpm2_fail(tpm, TOKEN_FAULT_MALFORMED, "PCR_Read: not what was asked");
	else
		status = take(tpm, got, digests, values);
	Esys_Free(selected);
	Esys_Free(digests);
	*out_got = got;
	return status;
}

enum mortise_status tpm2_pcrs_read(
	struct tpm2 *tpm, uint32_t mask, struct tpm2_pcr_values *out_values)
{
	struct tpm2_pcr_values values = {0};
	char names[80], detail[160];
	uint32_t left = mask, got;

	while (left != 0) {
		TRY(read_some(tpm, left, &got, &values));
		if (got == 0) {
			tpm2_pcrs_name(left, names, sizeof names);
			snprintf(detail, sizeof detail,
				"the TPM's SHA-256 bank is not active for PCR %s: see the "
				"firmware's setup",
				names);
			return tpm2_fail(tpm, TOKEN_FAULT_UNSUPPORTED, detail);
		}
		left &= ~got;
	}
	*out_values = values;
	return MORTISE_OK;
}

static void digest_values(
	uint32_t mask, const struct tpm2_pcr_values *values, uint8_t out_digest[TPM2_DIGEST_SIZE])
{
	crypto_hash_sha256_state state;

	crypto_hash_sha256_init(&state);
	for (unsigned i = 0; i < TPM2_PCRS; i++) {
		if ((mask >> i & 1) != 0)
			crypto_hash_sha256_update(&state, values->value[i], TPM2_DIGEST_SIZE);
	}
	crypto_hash_sha256_final(&state, out_digest);
}

/* H(policy | TPM_CC_PolicyPCR | selection | H(values)) */
void tpm2_pcrs_extend(
	uint32_t mask, const struct tpm2_pcr_values *values, uint8_t policy[TPM2_DIGEST_SIZE])
{
	const uint8_t head[] = {0, 0, 0x01, 0x7f, 0, 0, 0, 1, 0, 0x0b, 3, (uint8_t)mask,
		(uint8_t)(mask >> 8), (uint8_t)(mask >> 16)};
	crypto_hash_sha256_state state;
	uint8_t digest[TPM2_DIGEST_SIZE];

	digest_values(mask, values, digest);
	crypto_hash_sha256_init(&state);
	crypto_hash_sha256_update(&state, policy, TPM2_DIGEST_SIZE);
	crypto_hash_sha256_update(&state, head, sizeof head);
	crypto_hash_sha256_update(&state, digest, sizeof digest);
	crypto_hash_sha256_final(&state, policy);
}

static TSS2_RC policy_pcr(
	struct tpm2 *tpm, ESYS_TR session, uint32_t mask, const struct tpm2_pcr_values *values)
{
	const TPML_PCR_SELECTION selection = select_pcrs(mask);
	TPM2B_DIGEST digest = {.size = TPM2_DIGEST_SIZE};

	digest_values(mask, values, digest.buffer);
	return Esys_PolicyPCR(
		tpm->esys, session, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &digest, &selection);
}

/* Which ones, for the operator; what is read after the refusal may be different again. */
static enum mortise_status name_changed(
	struct tpm2 *tpm, uint32_t mask, const struct tpm2_pcr_values *expected)
{
	struct tpm2_pcr_values now;
	uint32_t changed = 0;
	char names[80], detail[160];

	if (tpm2_pcrs_read(tpm, mask, &now) != MORTISE_OK)
		now = *expected;
	for (unsigned i = 0; i < TPM2_PCRS; i++) {
		if ((mask >> i & 1) != 0 &&
			memcmp(now.value[i], expected->value[i], TPM2_DIGEST_SIZE) != 0)
			changed |= 1u << i;
	}
	tpm2_pcrs_name(changed, names, sizeof names);
	snprintf(detail, sizeof detail, "not as it was at the enrolment: PCR %s",
		changed != 0 ? names : "unknown");
	return tpm2_fail(tpm, TOKEN_FAULT_OTHER_PCRS, detail);
}

enum mortise_status tpm2_pcrs_require(struct tpm2 *tpm, ESYS_TR session, uint32_t mask,
	const struct tpm2_pcr_values *values, enum token_fault refusal)
{
	TSS2_RC rc = policy_pcr(tpm, session, mask, values);
	enum mortise_status status = tpm2_check(tpm, rc, "PolicyPCR", TOKEN_FAULT_OTHER);

	if (!tpm2_fault_is(rc, TPM2_RC_VALUE))
		return status;
	if (refusal == TOKEN_FAULT_OTHER_PCRS)
		return name_changed(tpm, mask, values);
	return tpm2_fail(tpm, refusal, "PolicyPCR: other values");
}

enum mortise_status tpm2_pcrs_expect_refusal(
	struct tpm2 *tpm, ESYS_TR session, uint32_t mask, const struct tpm2_pcr_values *values)
{
	TSS2_RC rc = policy_pcr(tpm, session, mask, values);

	if (tpm2_fault_is(rc, TPM2_RC_VALUE))
		return MORTISE_OK;
	TRY(tpm2_check(tpm, rc, "PolicyPCR", TOKEN_FAULT_OTHER));
	return tpm2_fail(tpm, TOKEN_FAULT_MALFORMED, "PolicyPCR: accepts values that no PCR has");
}
