/* SPDX-License-Identifier: ISC */
/*
 * tpm2_run: a run's connection to the TPM. It stays between the calls of a run, with its session,
 * and is begun anew when the TPM asks to try again, until the run's deadline.
 * Knows nothing of what is done with it.
 */
#ifndef MORTISE_TPM2_RUN_H
#define MORTISE_TPM2_RUN_H

#include "tpm2_link.h"

/*
 * One attempt; may be called several times, each time after a failure of the TPM that passes by
 * itself, with a new connection.
 */
typedef enum mortise_status tpm2_attempt(struct tpm2 *tpm, void *context);

enum mortise_status tpm2_run_do(struct token_run *run, tpm2_attempt *attempt, void *context,
	struct token_failure *out_failure) MUST_USE;

void tpm2_run_end(struct token_run *run);

#endif
