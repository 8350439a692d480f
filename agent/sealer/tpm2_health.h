/* SPDX-License-Identifier: ISC */
/* tpm2_health: what a TPM tells everybody of its lockout and its owner (TPM 2.0 Part 2, 6.13). */
#ifndef MORTISE_TPM2_HEALTH_H
#define MORTISE_TPM2_HEALTH_H

#include "tpm2_link.h"

/* One command; changes nothing. */
enum mortise_status tpm2_health_read(struct tpm2 *tpm, struct token_health *out_health) MUST_USE;

#endif
