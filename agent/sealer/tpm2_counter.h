/* SPDX-License-Identifier: ISC */
/*
 * tpm2_counter: an NV counter of the TPM (TPM 2.0 Part 3, 31), the anchor of a store.
 * It only goes up, also when it is removed and made again: a counter starts beyond all that the
 * TPM ever had. Who does not know its authorisation can remove it (the owner can) but not count
 * it up, nor put one in its place that answers as it does.
 * Which count is right is not known here.
 */
#ifndef MORTISE_TPM2_COUNTER_H
#define MORTISE_TPM2_COUNTER_H

#include "tpm2_blob.h"
#include "tpm2_link.h"

/*
 * Defines a counter at a free handle of ours and counts it up once, so that it has a value.
 * *place: zeros, or what an attempt before left there, which was interrupted.
 * TOKEN_FAULT_OWNER_AUTH, TOKEN_FAULT_FULL.
 */
enum mortise_status tpm2_counter_define(struct tpm2 *tpm, const TPM2B_AUTH *auth,
	struct tpm2_place *place, uint64_t *out_count) MUST_USE;

/* TOKEN_FAULT_NO_COUNTER if it is gone, or is one that does not know auth. */
enum mortise_status tpm2_counter_read(struct tpm2 *tpm, const TPM2B_AUTH *auth,
	const struct tpm2_place *place, uint64_t *out_count) MUST_USE;

/* TOKEN_FAULT_OTHER_COUNT unless it stands at expected. */
enum mortise_status tpm2_counter_increment(struct tpm2 *tpm, const TPM2B_AUTH *auth,
	const struct tpm2_place *place, uint64_t expected, uint64_t *out_count) MUST_USE;

/* Only a counter that can be read with auth. */
enum mortise_status tpm2_counter_remove(
	struct tpm2 *tpm, const TPM2B_AUTH *auth, const struct tpm2_place *place) MUST_USE;

#endif
