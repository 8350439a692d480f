/* SPDX-License-Identifier: ISC */
#include "tpm2_health.h"

#include <stdint.h>

#define PROPERTIES (TPM2_PT_LOCKOUT_RECOVERY - TPM2_PT_PERMANENT + 1)

static unsigned flags_of_permanent(uint32_t bits)
{
	return (bits & TPMA_PERMANENT_OWNERAUTHSET ? TOKEN_HEALTH_OWNER_AUTH : 0u) |
	       (bits & TPMA_PERMANENT_LOCKOUTAUTHSET ? TOKEN_HEALTH_LOCKOUT_AUTH : 0u) |
	       (bits & TPMA_PERMANENT_INLOCKOUT ? TOKEN_HEALTH_LOCKED : 0u);
}

static void take(const TPMS_TAGGED_PROPERTY *said, struct token_health *health)
{
	switch (said->property) {
	case TPM2_PT_PERMANENT:
		health->flags |= flags_of_permanent(said->value);
		break;
	case TPM2_PT_STARTUP_CLEAR:
		if ((said->value & TPMA_STARTUP_CLEAR_SHENABLE) == 0)
			health->flags |= TOKEN_HEALTH_OWNER_OFF;
		break;
	case TPM2_PT_LOCKOUT_COUNTER:
		health->tries_failed = said->value;
		break;
	case TPM2_PT_MAX_AUTH_FAIL:
		health->tries_max = said->value;
		break;
	case TPM2_PT_LOCKOUT_INTERVAL:
		health->back_s = said->value;
		break;
	default:
		break;
	}
}

static void judge(struct token_health *health)
{
	if (health->tries_failed > 0)
		health->flags |= TOKEN_HEALTH_TRIES_LOW;
	if (health->tries_max > 0 && health->tries_failed + 1 >= health->tries_max)
		health->flags |= TOKEN_HEALTH_LAST_TRY;
}

enum mortise_status tpm2_health_read(struct tpm2 *tpm, struct token_health *out_health)
{
	struct token_health health = {0};
	TPMS_CAPABILITY_DATA *said = NULL;
	TPMI_YES_NO more;

	TRY(tpm2_check(tpm,
		Esys_GetCapability(tpm->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
			TPM2_CAP_TPM_PROPERTIES, TPM2_PT_PERMANENT, PROPERTIES, &more, &said),
		"GetCapability", TOKEN_FAULT_OTHER));
	if (said->capability == TPM2_CAP_TPM_PROPERTIES) {
		const TPML_TAGGED_TPM_PROPERTY *list = &said->data.tpmProperties;

		for (uint32_t i = 0; i < list->count && i < TPM2_MAX_TPM_PROPERTIES; i++)
			take(&list->tpmProperty[i], &health);
	}
	Esys_Free(said);
	judge(&health);
	*out_health = health;
	return MORTISE_OK;
}
