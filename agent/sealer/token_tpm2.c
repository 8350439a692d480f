/* SPDX-License-Identifier: ISC */
/*
 * h is sealed as a keyedhash object under the SRK (TPM 2.0 Part 1, 27.5), with an empty
 * authorisation: whoever can ask this TPM while it is on can open it. Opening costs six
 * commands: ReadPublic, StartAuthSession, Load, Unseal and two FlushContext.
 */
#include "token.h"

#include <stdbool.h>
#include <string.h>
#include <time.h>

#include <sodium.h>

#include "tpm2_blob.h"
#include "tpm2_link.h"
#include "tpm2_srk.h"

#define PAUSE_FIRST_MS 10
#define PAUSE_MAX_MS   500

static const TPM2B_PUBLIC seal_template = {
	.publicArea =
		{
			.type = TPM2_ALG_KEYEDHASH,
			.nameAlg = TPM2_ALG_SHA256,
			.objectAttributes = TPM2_BLOB_ATTRIBUTES,
			.parameters.keyedHashDetail.scheme.scheme = TPM2_ALG_NULL,
		},
};

/* BLAKE2b-256 of 32 bytes from the TPM, with the kernel's as key: as good as the better. */
static enum mortise_status mix(
	struct tpm2 *tpm, const uint8_t entropy[KEY_SIZE], struct secret **out_h)
{
	CLEANUP(secret_drop) struct secret *h = NULL;
	TPM2B_DIGEST *random = NULL;
	bool is_whole;

	TRY(secret_new(KEY_SIZE, &h));
	TRY(tpm2_check(tpm,
		Esys_GetRandom(
			tpm->esys, tpm->session, ESYS_TR_NONE, ESYS_TR_NONE, KEY_SIZE, &random),
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

/* Sends h encrypted by the session. */
static enum mortise_status seal(struct tpm2 *tpm, const struct secret *h, struct tpm2_blob *blob)
{
	const TPM2B_DATA no_info = {0};
	const TPML_PCR_SELECTION no_pcrs = {0};
	TPM2B_SENSITIVE_CREATE sensitive = {.sensitive.data.size = KEY_SIZE};
	TPM2B_PUBLIC *public = NULL;
	TPM2B_PRIVATE *private = NULL;
	TSS2_RC rc;

	memcpy(sensitive.sensitive.data.buffer, h->bytes, KEY_SIZE);
	rc = Esys_Create(tpm->esys, tpm->srk, tpm->session, ESYS_TR_NONE, ESYS_TR_NONE, &sensitive,
		&seal_template, &no_info, &no_pcrs, &private, &public, NULL, NULL, NULL);
	sodium_memzero(&sensitive, sizeof sensitive);
	TRY(tpm2_check(tpm, rc, "Create", TOKEN_FAULT_UNFIT_SRK));
	blob->public = *public;
	blob->private = *private;
	Esys_Free(public);
	Esys_Free(private);
	return MORTISE_OK;
}

/* The one place where what Esys_Unseal() returns is seen: copied, wiped, freed. */
static enum mortise_status unseal(struct tpm2 *tpm, ESYS_TR object, struct secret **out_h)
{
	TPM2B_SENSITIVE_DATA *opened = NULL;
	enum mortise_status status;

	TRY(tpm2_check(tpm,
		Esys_Unseal(tpm->esys, object, tpm->session, ESYS_TR_NONE, ESYS_TR_NONE, &opened),
		"Unseal", TOKEN_FAULT_REFUSED));
	status = opened->size == KEY_SIZE
			 ? secret_copy(opened->buffer, KEY_SIZE, out_h)
			 : tpm2_fail(tpm, TOKEN_FAULT_MALFORMED, "Unseal: not 32 bytes");
	sodium_memzero(opened, sizeof *opened);
	Esys_Free(opened);
	return status;
}

static enum mortise_status load_and_unseal(
	struct tpm2 *tpm, const struct tpm2_blob *blob, struct secret **out_h)
{
	ESYS_TR object;

	TRY(tpm2_check(tpm,
		Esys_Load(tpm->esys, tpm->srk, tpm->session, ESYS_TR_NONE, ESYS_TR_NONE,
			&blob->private, &blob->public, &object),
		"Load", TOKEN_FAULT_REFUSED));
	TRY(tpm2_track(tpm, object));
	return unseal(tpm, object, out_h);
}

struct request {
	const uint8_t *entropy; /* of an enrolment; NULL: open blob */
	struct tpm2_blob *blob;
};

static enum mortise_status enrol_once(
	struct tpm2 *tpm, struct request *request, struct secret **out_h)
{
	CLEANUP(secret_drop) struct secret *h = NULL;
	CLEANUP(secret_drop) struct secret *again = NULL;

	TRY(tpm2_srk_find(tpm, &request->blob->srk));
	TRY(tpm2_srk_use(tpm, &request->blob->srk));
	TRY(tpm2_start_session(tpm));
	TRY(mix(tpm, request->entropy, &h));
	TRY(seal(tpm, h, request->blob));
	TRY(load_and_unseal(tpm, request->blob, &again));
	if (!secret_equals(h, again))
		return tpm2_fail(
			tpm, TOKEN_FAULT_MALFORMED, "Unseal: not what was sealed a moment ago");
	*out_h = secret_take(&h);
	return MORTISE_OK;
}

static enum mortise_status open_once(
	struct tpm2 *tpm, struct request *request, struct secret **out_h)
{
	TRY(tpm2_srk_use(tpm, &request->blob->srk));
	TRY(tpm2_srk_confirm(tpm, &request->blob->srk));
	TRY(tpm2_start_session(tpm));
	return load_and_unseal(tpm, request->blob, out_h);
}

static enum mortise_status attempt(const struct token_options *options, struct request *request,
	struct secret **out_h, struct token_failure *failure)
{
	CLEANUP(tpm2_disconnect) struct tpm2 tpm = {0};

	TRY(tpm2_connect(options, failure, &tpm));
	return request->entropy != NULL ? enrol_once(&tpm, request, out_h)
					: open_once(&tpm, request, out_h);
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void pause_for(int pause_ms)
{
	struct timespec pause = {.tv_nsec = (long)pause_ms * 1000000};

	nanosleep(&pause, NULL);
}

/* Room and time come back by themselves; an absent device or a lockout do not so soon. */
static bool is_worth_a_pause(enum token_fault fault)
{
	return fault == TOKEN_FAULT_BUSY || fault == TOKEN_FAULT_FULL;
}

/*
 * Begins anew each time, connection and sessions included: after a retry code one does not
 * know what the TPM still holds. ESYS has itself sent the command five times by then.
 */
static enum mortise_status run(const struct token_options *options, struct request *request,
	struct secret **out_h, struct token_failure *out_failure)
{
	int64_t deadline = now_ms() + options->deadline_ms;
	int pause_ms = PAUSE_FIRST_MS;

	for (;;) {
		struct token_failure failure = {0};
		enum mortise_status status = attempt(options, request, out_h, &failure);

		if (status == MORTISE_OK)
			return MORTISE_OK;
		if (!is_worth_a_pause(failure.fault) || now_ms() + pause_ms >= deadline) {
			*out_failure = failure;
			return status;
		}
		pause_for(pause_ms);
		pause_ms = pause_ms * 2 < PAUSE_MAX_MS ? pause_ms * 2 : PAUSE_MAX_MS;
	}
}

static enum mortise_status enrol(struct token_run *place, const struct token_wish *wish,
	const uint8_t entropy[KEY_SIZE], struct token_result *out_result)
{
	struct tpm2_blob sealed = {0};
	struct request request = {.entropy = entropy, .blob = &sealed};
	CLEANUP(secret_drop) struct secret *h = NULL;
	uint8_t packed[TOKEN_BLOB_MAX];
	size_t packed_size;

	if (wish->pin != NULL || wish->pcrs != 0 || wish->pcr_key.size > 0 || wish->uri != NULL) {
		out_result->failure = (struct token_failure){
			TOKEN_FAULT_UNSUPPORTED, "no PIN, PCRs or URI with this build"};
		return MORTISE_HARDWARE;
	}
	TRY(run(&place->options, &request, &h, &out_result->failure));
	if (!tpm2_blob_pack(&sealed, packed, &packed_size)) {
		out_result->failure = (struct token_failure){
			TOKEN_FAULT_UNSUPPORTED, "the sealed object is too large"};
		return MORTISE_HARDWARE;
	}
	memcpy(out_result->blob, packed, packed_size);
	out_result->blob_size = packed_size;
	out_result->h = secret_take(&h);
	return MORTISE_OK;
}

static enum mortise_status open_blob(struct token_run *place, const struct token_opening *opening,
	struct token_result *out_result)
{
	struct tpm2_blob sealed;
	struct request request = {.blob = &sealed};

	if (!tpm2_blob_unpack(opening->blob.bytes, opening->blob.size, &sealed)) {
		out_result->failure = (struct token_failure){
			TOKEN_FAULT_MALFORMED, "the sealed blob in the store is not one of ours"};
		return MORTISE_HARDWARE;
	}
	return run(&place->options, &request, &out_result->h, &out_result->failure);
}

/* Each call connects and disconnects by itself: nothing is open between them. */
static void end(struct token_run *place)
{
	(void)place;
}

const struct token token_tpm2 = {
	.kind = "tpm2",
	.enrol = enrol,
	.open = open_blob,
	.end = end,
};
