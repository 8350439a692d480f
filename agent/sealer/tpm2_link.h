/* SPDX-License-Identifier: ISC */
/*
 * tpm2_link: one connection to a TPM 2.0, with what it opened there.
 * Connects through the three TCTIs that are allowed, starts the salted session, turns the
 * libraries' codes into enum token_fault, and flushes on disconnecting whatever was tracked.
 * Knows nothing of keys, seals or blobs. Runs in the sealer only.
 */
#ifndef MORTISE_TPM2_LINK_H
#define MORTISE_TPM2_LINK_H

#include <stdbool.h>
#include <stddef.h>

#include <tss2/tss2_esys.h>

#include "token.h"

#define TPM2_OPEN_MAX 8

struct tpm2 {
	const struct token_options *options;
	struct token_failure *failure; /* the caller's */
	TSS2_TCTI_CONTEXT *tcti;
	ESYS_CONTEXT *esys;
	ESYS_TR srk;
	TPM2B_PUBLIC srk_public; /* once there is a session */
	ESYS_TR session;         /* to be had by tpm2_session() */
	bool is_final;           /* of a failure: nothing changes by trying again */
	bool has_manager;        /* a resource manager stands between: it flushes by itself */
	TPM2_HANDLE open[TPM2_OPEN_MAX];
	size_t open_count;
};

/*
 * Fills *tpm, which is to be disconnected even after a failure. Without a resource manager
 * it flushes first what a killed predecessor noted.
 */
enum mortise_status tpm2_connect(const struct token_options *options, struct token_failure *failure,
	struct tpm2 *tpm) MUST_USE;

/* Flushes and closes; for CLEANUP. */
void tpm2_disconnect(struct tpm2 *tpm);

/* Notes that object, a session or a transient object, is to be flushed. */
enum mortise_status tpm2_track(struct tpm2 *tpm, ESYS_TR object) MUST_USE;

/* Flushes what was tracked, and forgets its authorisation. */
void tpm2_flush(struct tpm2 *tpm, ESYS_TR object);

/* The TPM has flushed it by itself, as it does with a session used for the last time. */
void tpm2_forget(struct tpm2 *tpm, TPM2_HANDLE handle);

/*
 * tpm->session: HMAC, salted to tpm->srk, encrypting the first parameter both ways (TPM 2.0
 * Part 1, 19.6 and 21).
 */
enum mortise_status tpm2_start_session(struct tpm2 *tpm) MUST_USE;

/*
 * tpm->session, ready to encrypt, for the next command and no other. To be asked for each: after
 * a command that failed ESYS 3.2.1 leaves a session with no attributes, and what was to be
 * encrypted would go in the clear. ESYS_TR_NONE, with which no command works, on failure.
 */
ESYS_TR tpm2_session(const struct tpm2 *tpm) MUST_USE;

/*
 * A policy session, salted and tracked, that encrypts what the TPM answers. It ends with the
 * command that it authorises.
 */
enum mortise_status tpm2_start_policy(struct tpm2 *tpm, ESYS_TR *out_session) MUST_USE;

/*
 * MORTISE_OK, or MORTISE_HARDWARE with tpm->failure saying what did not work and why.
 * refusal is the fault if the TPM works but will not do it.
 */
enum mortise_status tpm2_check(
	struct tpm2 *tpm, TSS2_RC rc, const char *what, enum token_fault refusal) MUST_USE;

/* MORTISE_HARDWARE, with a failure that no library reported. */
enum mortise_status tpm2_fail(struct tpm2 *tpm, enum token_fault fault, const char *detail)
	MUST_USE;

#endif
