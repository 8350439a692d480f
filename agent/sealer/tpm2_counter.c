/* SPDX-License-Identifier: ISC */
#include "tpm2_counter.h"

#include <inttypes.h>
#include <stdio.h>

#include "tpm2_link.h"
#include "tpm2_srk.h"

#define HANDLES (TPM2_COUNTER_LAST - TPM2_COUNTER_FIRST + 1)

/* What the TPM says of a hierarchy: its password is another, or it is disabled. */
static bool is_about_the_owner(TSS2_RC rc)
{
	return tpm2_fault_is(rc, TPM2_RC_BAD_AUTH) || tpm2_fault_is(rc, TPM2_RC_AUTH_FAIL) ||
	       tpm2_fault_is(rc, TPM2_RC_HIERARCHY);
}

/* Behind the handles that follow one another from *handle on; is there a gap, or no more? */
static enum mortise_status skip_used(struct tpm2 *tpm, TPM2_HANDLE *handle, bool *out_is_free)
{
	TPMS_CAPABILITY_DATA *said = NULL;
	TPMI_YES_NO more = TPM2_NO;
	uint32_t at = 0;

	TRY(tpm2_check(tpm,
		Esys_GetCapability(tpm->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
			TPM2_CAP_HANDLES, *handle, HANDLES, &more, &said),
		"GetCapability", TOKEN_FAULT_OTHER));
	if (said->capability == TPM2_CAP_HANDLES) {
		const TPML_HANDLE *handles = &said->data.handles;

		for (; at < handles->count && handles->handle[at] == *handle; at++)
			++*handle;
		*out_is_free = at < handles->count || more == TPM2_NO || at == 0;
	}
	Esys_Free(said);
	return MORTISE_OK;
}

/* Of the handles in use, which the TPM names in rising order, up to 254 at a time, the first gap.
 */
static enum mortise_status find_free(struct tpm2 *tpm, TPM2_HANDLE *out_handle)
{
	TPM2_HANDLE free_handle = TPM2_COUNTER_FIRST;
	bool is_free = false;

	while (!is_free && free_handle <= TPM2_COUNTER_LAST) {
		is_free = true;
		TRY(skip_used(tpm, &free_handle, &is_free));
	}
	if (free_handle > TPM2_COUNTER_LAST) {
		tpm->is_final = true;
		return tpm2_fail(tpm, TOKEN_FAULT_FULL,
			"no free handle for a counter in 0x01836d00 to 0x01836dff");
	}
	*out_handle = free_handle;
	return MORTISE_OK;
}

/* The index as an object of ESYS, as it was when place was packed: nothing is asked. */
static enum mortise_status use(struct tpm2 *tpm, const TPM2B_NV_PUBLIC *counter,
	const TPM2B_AUTH *auth, ESYS_TR *out_index)
{
	TPM2B_NAME name;
	ESYS_TR index;

	if (!tpm2_name_of_index(&counter->nvPublic, &name))
		return tpm2_fail(tpm, TOKEN_FAULT_MALFORMED, "the counter has no name");
	TRY(tpm2_check(tpm, tpm2_name_make_index(tpm->esys, counter, &name, &index), "counter",
		TOKEN_FAULT_OTHER));
	TRY(tpm2_check(tpm, Esys_TR_SetAuth(tpm->esys, index, auth), "counter", TOKEN_FAULT_OTHER));
	*out_index = index;
	return MORTISE_OK;
}

static enum mortise_status define(struct tpm2 *tpm, const TPM2B_AUTH *auth,
	const TPM2B_NV_PUBLIC *counter, ESYS_TR *out_index)
{
	TSS2_RC rc = Esys_NV_DefineSpace(tpm->esys, ESYS_TR_RH_OWNER, tpm2_session(tpm),
		ESYS_TR_NONE, ESYS_TR_NONE, auth, counter, out_index);

	if (tpm2_fault_is(rc, TPM2_RC_NV_SPACE)) {
		tpm->is_final = true;
		return tpm2_fail(tpm, TOKEN_FAULT_FULL, "the TPM has no NV space for a counter");
	}
	return tpm2_check(tpm, rc, "NV_DefineSpace",
		is_about_the_owner(rc) ? TOKEN_FAULT_OWNER_AUTH : TOKEN_FAULT_UNSUPPORTED);
}

static enum mortise_status count_up(struct tpm2 *tpm, ESYS_TR index)
{
	return tpm2_check(tpm,
		Esys_NV_Increment(
			tpm->esys, index, index, tpm2_session(tpm), ESYS_TR_NONE, ESYS_TR_NONE),
		"NV_Increment", TOKEN_FAULT_NO_COUNTER);
}

static enum mortise_status read_count(struct tpm2 *tpm, ESYS_TR index, uint64_t *out_count)
{
	TPM2B_MAX_NV_BUFFER *bytes = NULL;
	uint64_t count = 0;
	TSS2_RC rc = Esys_NV_Read(tpm->esys, index, index, tpm2_session(tpm), ESYS_TR_NONE,
		ESYS_TR_NONE, sizeof count, 0, &bytes);
	bool is_whole;

	/* Whatever it does not like about the index: it is not the counter that we made. */
	TRY(tpm2_check(tpm, rc, "NV_Read", TOKEN_FAULT_NO_COUNTER));
	is_whole = bytes->size == sizeof count;
	for (size_t i = 0; is_whole && i < sizeof count; i++)
		count = count << 8 | bytes->buffer[i];
	Esys_Free(bytes);
	if (!is_whole || count == 0)
		return tpm2_fail(tpm, TOKEN_FAULT_MALFORMED, "NV_Read: not a count");
	*out_count = count;
	return MORTISE_OK;
}

static enum mortise_status remove_index(struct tpm2 *tpm, ESYS_TR index)
{
	TSS2_RC rc = Esys_NV_UndefineSpace(
		tpm->esys, ESYS_TR_RH_OWNER, index, tpm2_session(tpm), ESYS_TR_NONE, ESYS_TR_NONE);

	return tpm2_check(tpm, rc, "NV_UndefineSpace",
		is_about_the_owner(rc) ? TOKEN_FAULT_OWNER_AUTH : TOKEN_FAULT_NO_COUNTER);
}

static enum mortise_status define_free(
	struct tpm2 *tpm, const TPM2B_AUTH *auth, TPM2B_NV_PUBLIC *out_counter)
{
	TPM2B_NV_PUBLIC counter;
	TPM2_HANDLE handle = 0;
	ESYS_TR index = ESYS_TR_NONE;

	TRY(find_free(tpm, &handle));
	counter = tpm2_place_counter(handle, false);
	TRY(define(tpm, auth, &counter, &index));
	*out_counter = counter;
	return tpm2_check(tpm, Esys_TR_Close(tpm->esys, &index), "counter", TOKEN_FAULT_OTHER);
}

/* What was done is noted in place, so that an attempt goes on where the one before stopped. */
enum mortise_status tpm2_counter_define(
	struct tpm2 *tpm, const TPM2B_AUTH *auth, struct tpm2_place *place, uint64_t *out_count)
{
	ESYS_TR index = ESYS_TR_NONE;

	TRY(tpm2_srk_trust(tpm, &place->srk));
	if (place->counter.nvPublic.nvIndex == 0)
		TRY(define_free(tpm, auth, &place->counter));
	TRY(use(tpm, &place->counter, auth, &index));
	if ((place->counter.nvPublic.attributes & TPMA_NV_WRITTEN) == 0) {
		TRY(count_up(tpm, index));
		place->counter = tpm2_place_counter(place->counter.nvPublic.nvIndex, true);
	}
	return read_count(tpm, index, out_count);
}

enum mortise_status tpm2_counter_read(struct tpm2 *tpm, const TPM2B_AUTH *auth,
	const struct tpm2_place *place, uint64_t *out_count)
{
	ESYS_TR index = ESYS_TR_NONE;

	TRY(tpm2_srk_require(tpm, &place->srk));
	TRY(use(tpm, &place->counter, auth, &index));
	return read_count(tpm, index, out_count);
}

/* It goes up by one and nothing else: Part 3, 31.8. */
enum mortise_status tpm2_counter_increment(struct tpm2 *tpm, const TPM2B_AUTH *auth,
	const struct tpm2_place *place, uint64_t expected, uint64_t *out_count)
{
	char detail[96];
	uint64_t count;
	ESYS_TR index;

	TRY(tpm2_srk_require(tpm, &place->srk));
	TRY(use(tpm, &place->counter, auth, &index));
	TRY(read_count(tpm, index, &count));
	if (count != expected) {
		snprintf(detail, sizeof detail,
			"the counter stands at %" PRIu64 ", not at %" PRIu64, count, expected);
		return tpm2_fail(tpm, TOKEN_FAULT_OTHER_COUNT, detail);
	}
	TRY(count_up(tpm, index));
	*out_count = count + 1;
	return MORTISE_OK;
}

/* The owner may remove any index: so it is made sure first that it is ours. */
enum mortise_status tpm2_counter_remove(
	struct tpm2 *tpm, const TPM2B_AUTH *auth, const struct tpm2_place *place)
{
	uint64_t count;
	ESYS_TR index;

	TRY(tpm2_srk_require(tpm, &place->srk));
	TRY(use(tpm, &place->counter, auth, &index));
	TRY(read_count(tpm, index, &count));
	return remove_index(tpm, index);
}
