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
#include <stdint.h>
#include <tss2/tss2_common.h>
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

/*
 * What a response code of the TPM or of tpm2-tss means to an operator. A pure function of the code.
 */

/* refusal: what it is if the TPM itself answered, with a code that has no fault of its own. */
enum token_fault tpm2_fault_of(TSS2_RC rc, enum token_fault refusal);

/* Is rc the TPM's own word, and this code, whichever handle, session or parameter it is about? */
bool tpm2_fault_is(TSS2_RC rc, TSS2_RC code);

/*
 * Which sessions and objects of a TPM are ours, on a memfd that successive sealers share. A sealer
 * that was killed leaves its handles there, and the next one flushes them: a TPM has three object
 * slots and few sessions. The file is sixteen u32 of this machine, 0 meaning none. It is not
 * believed: only handles of sessions and of transient objects come out. One sealer runs at a time.
 * A descriptor of -1 keeps no notes.
 */

#define TPM2_NOTES_MAX 16

void tpm2_notes_add(int fd, uint32_t handle);
void tpm2_notes_remove(int fd, uint32_t handle);

/* How many were written to out_handles. */
size_t tpm2_notes_read(int fd, uint32_t out_handles[TPM2_NOTES_MAX]);

/*
 * A run's connection to the TPM. It stays between the calls of a run, with its session, and is
 * begun anew when the TPM asks to try again, until the run's deadline. Knows nothing of what is
 * done with it.
 */

/*
 * One attempt; may be called several times, each time after a failure of the TPM that passes by
 * itself, with a new connection.
 */
typedef enum mortise_status tpm2_attempt(struct tpm2 *tpm, void *context);

enum mortise_status tpm2_run_do(struct token_run *run, tpm2_attempt *attempt, void *context,
	struct token_failure *out_failure) MUST_USE;

void tpm2_run_end(struct token_run *run);

#endif
