/* SPDX-License-Identifier: ISC */
/*
 * tpm_slot: a slot enrolled on a software TPM that the tests of a program share, and ways
 * to enrol and open that check what holds for every call.
 */
#ifndef MORTISE_TPM_SLOT_H
#define MORTISE_TPM_SLOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "secret.h"
#include "token.h"
#include "tpm_fixture.h"

struct tpm_slot {
	struct tpm_fixture tpm;
	bool is_there; /* false without swtpm */
	uint8_t blob[TOKEN_BLOB_MAX];
	size_t blob_size;
	struct secret *h;
};

extern struct tpm_slot slot;

/* For cmocka: the pool, the TPM and the slot. */
int slot_set_up(void **state);
int slot_tear_down(void **state);

/* Five seconds, no notes. */
struct token_options slot_options(const char *tcti);

/* The fault, or TOKEN_FAULT_NONE. */
enum token_fault slot_try_open(const struct token_options *options, const uint8_t *blob,
	size_t size, struct secret **out_h);
enum token_fault slot_enrol_at(
	const char *tcti, uint8_t blob[TOKEN_BLOB_MAX], size_t *out_size, struct secret **out_h);
enum token_fault slot_try_enrol(const char *tcti);

/* As wished; TOKEN_FAULT_NONE, or the fault with its detail in slot_detail. */
enum token_fault slot_enrol_wish(const struct token_options *options, const struct token_wish *wish,
	uint8_t blob[TOKEN_BLOB_MAX], size_t *out_size, struct secret **out_h);
enum token_fault slot_open_pin(const struct token_options *options, const uint8_t *blob,
	size_t size, const struct secret *pin, struct secret **out_h);
extern char slot_detail[256];

/* The fault of opening the shared slot; if there is none, h was right. */
enum token_fault slot_open_with(const struct token_options *options);
enum token_fault slot_open_at(const char *tcti);

/* A seal of a test's own, with its h. */
struct slot_sealed {
	uint8_t blob[TOKEN_BLOB_MAX];
	size_t size;
	struct secret *h;
};

struct secret *slot_pin_of(const void *bytes, size_t size);
struct secret *slot_pin(const char *text);
enum token_fault slot_seal_at(
	const char *tcti, const struct secret *pin, uint32_t pcrs, struct slot_sealed *out);

/* If it opens, h must be right. */
enum token_fault slot_open_at_pin(
	const char *tcti, const struct slot_sealed *sealed, const struct secret *pin);
enum token_fault slot_open_with_pin(
	const char *tcti, const struct slot_sealed *sealed, const char *text);

/* What the TPM counts towards a lockout. */
unsigned tpm_failed_tries(const struct tpm_fixture *tpm);

/* Are there transient objects or loaded sessions? */
bool tpm_holds_something(const struct tpm_fixture *tpm);
void assert_nothing_is_left(const struct tpm_fixture *tpm);

#endif
