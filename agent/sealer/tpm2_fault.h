/* SPDX-License-Identifier: ISC */
/*
 * tpm2_fault: what a response code of the TPM or of tpm2-tss means to an operator.
 * A pure function of the code.
 */
#ifndef MORTISE_TPM2_FAULT_H
#define MORTISE_TPM2_FAULT_H

#include <stdbool.h>

#include <tss2/tss2_common.h>

#include "token.h"

/* refusal: what it is if the TPM itself answered, with a code that has no fault of its own. */
enum token_fault tpm2_fault_of(TSS2_RC rc, enum token_fault refusal);

/* Is rc the TPM's own word, and this code, whichever handle, session or parameter it is about? */
bool tpm2_fault_is(TSS2_RC rc, TSS2_RC code);

#endif
