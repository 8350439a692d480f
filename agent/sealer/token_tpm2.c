/* SPDX-License-Identifier: ISC */
/*
 * Seals and counters of a TPM 2.0 for the sealer. An opening costs six commands: ReadPublic,
 * StartAuthSession, Load, Unseal and two FlushContext; a counter read in the same run one more,
 * NV_Read; PCRs two more, StartAuthSession and PolicyPCR; a signed policy another five, PCR_Read,
 * LoadExternal, VerifySignature, PolicyAuthorize and FlushContext; a PIN on top of PCRs one,
 * PolicyAuthValue, and otherwise none.
 */
#include <sodium.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "token.h"
#include "tpm2_blob.h"
#include "tpm2_counter.h"
#include "tpm2_link.h"
#include "tpm2_seal.h"
#include "tpm2_srk.h"

/* What a TPM tells everybody of its lockout and its owner (TPM 2.0 Part 2, 6.13). */

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

static void judge_owner(struct token_health *health)
{
	if (health->tries_failed > 0)
		health->flags |= TOKEN_HEALTH_TRIES_LOW;
	if (health->tries_max > 0 && health->tries_failed + 1 >= health->tries_max)
		health->flags |= TOKEN_HEALTH_LAST_TRY;
}

/* One command; changes nothing. */
static enum mortise_status tpm2_health_read(struct tpm2 *tpm, struct token_health *out_health)
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
	judge_owner(&health);
	*out_health = health;
	return MORTISE_OK;
}

/* On the stack of the calls below, for as long as they run. */
static void wipe_auth(TPM2B_AUTH *auth)
{
	sodium_memzero(auth, sizeof *auth);
}

static enum mortise_status refuse(
	struct token_result *result, enum token_fault fault, const char *detail)
{
	result->failure.fault = fault;
	snprintf(result->failure.detail, sizeof result->failure.detail, "%s", detail);
	return MORTISE_HARDWARE;
}

/* BLAKE2b-256 of 32 bytes from the TPM, with the kernel's as key: as good as the better. */
static enum mortise_status mix(
	struct tpm2 *tpm, const uint8_t entropy[KEY_SIZE], struct secret **out_h)
{
	CLEANUP(secret_drop) struct secret *h = NULL;
	TPM2B_DIGEST *random = NULL;
	bool is_whole;

	TRY(secret_new(KEY_SIZE, &h));
	TRY(tpm2_check(tpm,
		Esys_GetRandom(tpm->esys, tpm2_session(tpm), ESYS_TR_NONE, ESYS_TR_NONE, KEY_SIZE,
			&random),
		"GetRandom", TOKEN_FAULT_OTHER));
	is_whole = random->size == KEY_SIZE;
	crypto_generichash(h->bytes, KEY_SIZE, random->buffer, random->size, entropy, KEY_SIZE);
	sodium_memzero(random, sizeof *random);
	Esys_Free(random);
	if (!is_whole)
		return tpm2_fail(tpm, TOKEN_FAULT_MALFORMED, "GetRandom: not 32 bytes");
	*out_h = secret_take(&h);
	return MORTISE_OK;
}

struct sealing {
	const struct token_wish *wish; /* of an enrolment */
	const uint8_t *entropy;        /* of an enrolment */
	TPM2B_AUTH auth;
	struct tpm2_blob blob;
	struct secret *h;
};

static void sealing_done(struct sealing *sealing)
{
	wipe_auth(&sealing->auth);
	secret_drop(&sealing->h);
}

static enum mortise_status enrol_once(struct tpm2 *tpm, void *context)
{
	struct sealing *sealing = context;
	CLEANUP(secret_drop) struct secret *h = NULL;
	CLEANUP(secret_drop) struct secret *again = NULL;

	TRY(tpm2_srk_trust(tpm, &sealing->blob.srk));
	TRY(tpm2_policy_make(tpm, sealing->wish, &sealing->blob.policy));
	TRY(mix(tpm, sealing->entropy, &h));
	TRY(tpm2_seal_create(tpm, h, &sealing->auth, &sealing->blob));
	TRY(tpm2_seal_open(tpm, &sealing->blob, &sealing->auth, &again));
	if (!secret_equals(h, again))
		return tpm2_fail(
			tpm, TOKEN_FAULT_MALFORMED, "Unseal: not what was sealed a moment ago");
	TRY(tpm2_seal_prove_shut(tpm, &sealing->blob, &sealing->auth));
	sealing->h = secret_take(&h);
	return MORTISE_OK;
}

static enum mortise_status enrol(struct token_run *run, const struct token_wish *wish,
	const uint8_t entropy[KEY_SIZE], struct token_result *out_result)
{
	CLEANUP(sealing_done) struct sealing sealing = {.wish = wish, .entropy = entropy};
	uint8_t packed[TOKEN_BLOB_MAX];
	size_t packed_size;

	if (wish->uri)
		return refuse(out_result, TOKEN_FAULT_UNFIT_WISH, "a TPM has no URI");
	if (wish->pcrs >> TPM2_PCRS != 0)
		return refuse(out_result, TOKEN_FAULT_UNFIT_WISH, "a TPM has PCRs 0 to 23");
	if (wish->pin)
		tpm2_policy_pin(wish->pin, &sealing.auth);
	TRY(tpm2_run_do(run, enrol_once, &sealing, &out_result->failure));
	if (!tpm2_blob_pack(&sealing.blob, packed, &packed_size))
		return refuse(
			out_result, TOKEN_FAULT_UNSUPPORTED, "the sealed object is too large");
	memcpy(out_result->blob, packed, packed_size);
	out_result->blob_size = packed_size;
	out_result->h = secret_take(&sealing.h);
	return MORTISE_OK;
}

static enum mortise_status open_once(struct tpm2 *tpm, void *context)
{
	struct sealing *sealing = context;

	TRY(tpm2_srk_require(tpm, &sealing->blob.srk));
	return tpm2_seal_open(tpm, &sealing->blob, &sealing->auth, &sealing->h);
}

/* A PIN that the slot does not ask for changes nothing. */
static enum mortise_status open_blob(
	struct token_run *run, const struct token_opening *opening, struct token_result *out_result)
{
	CLEANUP(sealing_done) struct sealing sealing = {0};

	if (!tpm2_blob_unpack(&opening->blob, &sealing.blob))
		return refuse(out_result, TOKEN_FAULT_MALFORMED,
			"the sealed blob in the store is not one of ours");
	if (sealing.blob.policy.has_pin) {
		if (!opening->pin)
			return refuse(out_result, TOKEN_FAULT_NO_PIN, "none was given");
		tpm2_policy_pin(opening->pin, &sealing.auth);
	}
	TRY(tpm2_run_do(run, open_once, &sealing, &out_result->failure));
	out_result->h = secret_take(&sealing.h);
	return MORTISE_OK;
}

struct checking {
	struct tpm2_blob blob;
	struct token_health health;
};

static enum mortise_status check_once(struct tpm2 *tpm, void *context)
{
	struct checking *checking = context;

	TRY(tpm2_srk_require(tpm, &checking->blob.srk));
	return tpm2_health_read(tpm, &checking->health);
}

/* What the slot asks for, apart from its TPM. */
static void judge(const struct tpm2_blob *blob, struct token_health *health)
{
	const struct tpm2_policy *policy = &blob->policy;

	health->idle_pcrs = tpm2_pcrs_idle(policy->pcrs, &policy->values);
	if (policy->has_pin)
		health->flags |= TOKEN_HEALTH_WANTS_PIN;
	if (tpm2_srk_counts_tries(&blob->srk))
		health->flags |= TOKEN_HEALTH_SRK_COUNTS;
	if (!policy->has_pin && !policy->has_key && policy->pcrs == health->idle_pcrs)
		health->flags |= TOKEN_HEALTH_UNBOUND;
}

/* The storage root key must be the slot's; whether the seal opens takes an opening to know. */
static enum mortise_status check_health(
	struct token_run *run, const struct token_bytes *blob, struct token_result *out_result)
{
	struct checking checking = {0};

	if (!tpm2_blob_unpack(blob, &checking.blob))
		return refuse(out_result, TOKEN_FAULT_MALFORMED,
			"the sealed blob in the store is not one of ours");
	TRY(tpm2_run_do(run, check_once, &checking, &out_result->failure));
	judge(&checking.blob, &checking.health);
	out_result->health = checking.health;
	return MORTISE_OK;
}

struct counting {
	const struct token_anchor *anchor;
	TPM2B_AUTH auth;
	struct tpm2_place place;
	uint64_t count;
};

static void counting_done(struct counting *counting)
{
	wipe_auth(&counting->auth);
}

static enum mortise_status anchor_once(struct tpm2 *tpm, void *context)
{
	struct counting *counting = context;
	const TPM2B_AUTH *auth = &counting->auth;
	struct tpm2_place *place = &counting->place;

	switch (counting->anchor->action) {
	case TOKEN_ANCHOR_DEFINE:
		return tpm2_counter_define(tpm, auth, place, &counting->count);
	case TOKEN_ANCHOR_READ:
		return tpm2_counter_read(tpm, auth, place, &counting->count);
	case TOKEN_ANCHOR_INCREMENT:
		return tpm2_counter_increment(
			tpm, auth, place, counting->anchor->expected, &counting->count);
	case TOKEN_ANCHOR_REMOVE:
		return tpm2_counter_remove(tpm, auth, place);
	}
	return MORTISE_INVALID;
}

/* The place goes out of the call only if there is one to tell. */
static enum mortise_status put_place(
	const struct tpm2_place *place, struct token_result *out_result)
{
	uint8_t packed[TOKEN_BLOB_MAX];
	size_t packed_size;

	if (!tpm2_place_pack(place, packed, &packed_size))
		return refuse(out_result, TOKEN_FAULT_UNSUPPORTED, "the place is too large");
	memcpy(out_result->blob, packed, packed_size);
	out_result->blob_size = packed_size;
	return MORTISE_OK;
}

static enum mortise_status use_anchor(
	struct token_run *run, const struct token_anchor *anchor, struct token_result *out_result)
{
	CLEANUP(counting_done) struct counting counting = {.anchor = anchor};

	if (anchor->auth->size != KEY_SIZE)
		return MORTISE_INVALID;
	if (anchor->action != TOKEN_ANCHOR_DEFINE &&
		!tpm2_place_unpack(&anchor->place, &counting.place))
		return refuse(out_result, TOKEN_FAULT_MALFORMED,
			"the anchor's place in the store is not one of ours");
	counting.auth.size = KEY_SIZE;
	memcpy(counting.auth.buffer, anchor->auth->bytes, KEY_SIZE);
	TRY(tpm2_run_do(run, anchor_once, &counting, &out_result->failure));
	if (anchor->action == TOKEN_ANCHOR_DEFINE)
		TRY(put_place(&counting.place, out_result));
	out_result->counter = counting.count;
	return MORTISE_OK;
}

const struct token token_tpm2 = {
	.kind = "tpm2",
	.enrol = enrol,
	.open = open_blob,
	.health = check_health,
	.anchor = use_anchor,
	.end = tpm2_run_end,
};
