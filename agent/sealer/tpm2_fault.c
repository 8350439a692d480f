/* SPDX-License-Identifier: ISC */
/*
 * Response codes: TPM 2.0 Part 2, 6.6. Those with bit 7 (format one) carry the number of
 * the handle, session or parameter, which does not matter here.
 */
#include "tpm2_fault.h"

#include <stddef.h>

#include <tss2/tss2_tpm2_types.h>

#define FORMAT_ONE_MASK (TPM2_RC_FMT1 | 0x3f) /* without the number */

static const struct {
	TSS2_RC rc;
	enum token_fault fault;
} tpm_faults[] = {
	{TPM2_RC_RETRY, TOKEN_FAULT_BUSY},
	{TPM2_RC_YIELDED, TOKEN_FAULT_BUSY},
	{TPM2_RC_TESTING, TOKEN_FAULT_BUSY},
	{TPM2_RC_CANCELED, TOKEN_FAULT_BUSY},
	{TPM2_RC_NV_RATE, TOKEN_FAULT_BUSY},
	{TPM2_RC_NV_UNAVAILABLE, TOKEN_FAULT_BUSY},
	{TPM2_RC_PCR_CHANGED, TOKEN_FAULT_BUSY},
	/* Another program flushed our session, or persisted an SRK before us. */
	{TPM2_RC_REFERENCE_H0, TOKEN_FAULT_BUSY},
	{TPM2_RC_REFERENCE_H1, TOKEN_FAULT_BUSY},
	{TPM2_RC_REFERENCE_S0, TOKEN_FAULT_BUSY},
	{TPM2_RC_NV_DEFINED, TOKEN_FAULT_BUSY},
	{TPM2_RC_LOCKOUT, TOKEN_FAULT_LOCKOUT},
	{TPM2_RC_FAILURE, TOKEN_FAULT_FAILURE_MODE},
	{TPM2_RC_CONTEXT_GAP, TOKEN_FAULT_FULL},
	{TPM2_RC_OBJECT_MEMORY, TOKEN_FAULT_FULL},
	{TPM2_RC_SESSION_MEMORY, TOKEN_FAULT_FULL},
	{TPM2_RC_MEMORY, TOKEN_FAULT_FULL},
	{TPM2_RC_SESSION_HANDLES, TOKEN_FAULT_FULL},
	{TPM2_RC_OBJECT_HANDLES, TOKEN_FAULT_FULL},
	{TPM2_RC_NV_SPACE, TOKEN_FAULT_FULL},
	{TPM2_RC_COMMAND_CODE, TOKEN_FAULT_UNSUPPORTED},
	{TPM2_RC_INITIALIZE, TOKEN_FAULT_OTHER},
};

static bool is_from_tpm(TSS2_RC rc)
{
	TSS2_RC layer = rc & TSS2_RC_LAYER_MASK;

	return layer == TSS2_TPM_RC_LAYER || layer == TSS2_RESMGR_TPM_RC_LAYER;
}

static enum token_fault tpm_fault(TSS2_RC rc, enum token_fault refusal)
{
	for (size_t i = 0; i < sizeof tpm_faults / sizeof *tpm_faults; i++) {
		if (tpm_faults[i].rc == rc)
			return tpm_faults[i].fault;
	}
	return refusal;
}

/* The codes that the layers above the TPM share. */
static enum token_fault library_fault(TSS2_RC rc)
{
	switch (rc & ~TSS2_RC_LAYER_MASK) {
	case TSS2_BASE_RC_MALFORMED_RESPONSE:
	case TSS2_BASE_RC_INSUFFICIENT_RESPONSE:
	case TSS2_BASE_RC_INSUFFICIENT_BUFFER:
	case TSS2_BASE_RC_RSP_AUTH_FAILED:
	case TSS2_BASE_RC_BAD_SIZE:
		return TOKEN_FAULT_MALFORMED;
	case TSS2_BASE_RC_NO_CONNECTION:
	case TSS2_BASE_RC_IO_ERROR:
		return TOKEN_FAULT_ABSENT;
	default:
		return TOKEN_FAULT_OTHER;
	}
}

enum token_fault tpm2_fault_of(TSS2_RC rc, enum token_fault refusal)
{
	enum token_fault fault;

	if (rc == TSS2_RC_SUCCESS)
		return TOKEN_FAULT_NONE;
	if (is_from_tpm(rc))
		return tpm_fault(rc & ~TSS2_RC_LAYER_MASK, refusal);
	fault = library_fault(rc);
	/* What the unmarshalling of an answer does not like came from the TPM. */
	if (fault == TOKEN_FAULT_OTHER && (rc & TSS2_RC_LAYER_MASK) == TSS2_MU_RC_LAYER)
		return TOKEN_FAULT_MALFORMED;
	return fault;
}

bool tpm2_fault_is(TSS2_RC rc, TSS2_RC code)
{
	if (!is_from_tpm(rc))
		return false;
	rc &= ~TSS2_RC_LAYER_MASK;
	return ((rc & TPM2_RC_FMT1) != 0 ? rc & FORMAT_ONE_MASK : rc) == code;
}
