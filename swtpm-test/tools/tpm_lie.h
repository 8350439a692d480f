/* SPDX-License-Identifier: ISC */
/*
 * tpm_lie: answers of a TPM that are none: changed bits, sizes, codes and lengths, at random but
 * the same for the same seed. For tpm_tap.
 */
#ifndef MORTISE_TPM_LIE_H
#define MORTISE_TPM_LIE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void tpm_lie_begin(uint64_t seed);
bool tpm_lie_is_on(void);

/* Changes about one answer of eight, in place; the new size, at most room. */
size_t tpm_lie(uint8_t *answer, size_t size, size_t room);

#endif
