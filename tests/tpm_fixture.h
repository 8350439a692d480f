/* SPDX-License-Identifier: ISC */
/*
 * tpm_fixture: software TPMs for tests, each in a private directory, any number at a time.
 * MORTISE_TEST_SOURCE is the repository's root and MORTISE_TEST_BUILD holds tpm_tap.
 */
#ifndef MORTISE_TPM_FIXTURE_H
#define MORTISE_TPM_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct tpm_fixture {
	pid_t wrapper; /* with-tpm */
	int hold;      /* the TPM lives until this is closed */
	pid_t swtpm;
	char directory[96];
	char tcti[128];
};

struct tap_fixture {
	pid_t pid;
	char tcti[128];
	char log[128];
};

/* False where there is no swtpm: the test is skipped. */
bool tpm_start(struct tpm_fixture *out_tpm);
void tpm_stop(struct tpm_fixture *tpm);

/* Puts a tap before the TPM; the first refusals commands are answered with code. */
void tap_start(const struct tpm_fixture *tpm, const char *name, uint32_t code, unsigned refusals,
	struct tap_fixture *out_tap);

/* Refuses those commands only that have this code (TPM2_CC_...). */
void tap_start_for(const struct tpm_fixture *tpm, const char *name, uint32_t code,
	unsigned refusals, uint32_t command, struct tap_fixture *out_tap);

/* A tap that lies. */
void tap_start_lying(const struct tpm_fixture *tpm, const char *name, unsigned long seed,
	struct tap_fixture *out_tap);
void tap_stop(struct tap_fixture *tap);
unsigned tap_count(const struct tap_fixture *tap);

/* How many of the commands were name ("Unseal"). */
unsigned tap_count_of(const struct tap_fixture *tap, const char *name);
bool tap_has(const struct tap_fixture *tap, const uint8_t *bytes, size_t size);

/* Runs a shell script in the TPM's directory, with tpm2-tools going to tcti; its exit status. */
int tpm_shell(const struct tpm_fixture *tpm, const char *tcti, const char *script);

#endif
