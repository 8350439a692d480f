/* SPDX-License-Identifier: ISC */
#include "mortise_test.h"
#include "tpm_slot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#define DEADLINE_MS 5000

struct tpm_slot slot;
char slot_detail[256];

static const uint8_t entropy[KEY_SIZE] = "thirty-two bytes of the kernel";

struct token_options slot_options(const char *tcti)
{
	return (struct token_options){.tcti = tcti, .deadline_ms = DEADLINE_MS, .notes_fd = -1};
}

static enum token_fault fault_of(enum mortise_status status, const struct token_result *result)
{
	slot_detail[0] = '\0';
	if (status == MORTISE_OK)
		return TOKEN_FAULT_NONE;
	assert_int_equal(status, MORTISE_HARDWARE);
	assert_int_not_equal(result->failure.fault, TOKEN_FAULT_NONE);
	assert_true(result->failure.detail[0] != '\0');
	assert_null(result->h);
	assert_int_equal(result->blob_size, 0);
	snprintf(slot_detail, sizeof slot_detail, "%s", result->failure.detail);
	return result->failure.fault;
}

enum token_fault slot_open_pin(const struct token_options *options, const uint8_t *blob,
	size_t size, const struct secret *pin, struct secret **out_h)
{
	struct token_run run = {.options = *options};
	struct token_opening opening = {.blob = {blob, size}, .pin = pin};
	struct token_result result = {0};
	enum mortise_status status = token_tpm2.open(&run, &opening, &result);

	token_tpm2.end(&run);
	*out_h = result.h;
	return fault_of(status, &result);
}

enum token_fault slot_try_open(const struct token_options *options, const uint8_t *blob,
	size_t size, struct secret **out_h)
{
	return slot_open_pin(options, blob, size, NULL, out_h);
}

enum token_fault slot_open_with(const struct token_options *options)
{
	CLEANUP(secret_drop) struct secret *h = NULL;
	enum token_fault fault = slot_try_open(options, slot.blob, slot.blob_size, &h);

	if (fault == TOKEN_FAULT_NONE)
		assert_true(secret_equals(h, slot.h));
	else
		assert_null(h);
	return fault;
}

enum token_fault slot_open_at(const char *tcti)
{
	struct token_options options = slot_options(tcti);

	return slot_open_with(&options);
}

enum token_fault slot_enrol_wish(const struct token_options *options, const struct token_wish *wish,
	uint8_t blob[TOKEN_BLOB_MAX], size_t *out_size, struct secret **out_h)
{
	struct token_run run = {.options = *options};
	struct token_result result = {0};
	enum mortise_status status = token_tpm2.enrol(&run, wish, entropy, &result);

	token_tpm2.end(&run);
	*out_h = result.h;
	memcpy(blob, result.blob, result.blob_size);
	*out_size = result.blob_size;
	return fault_of(status, &result);
}

enum token_fault slot_enrol_at(
	const char *tcti, uint8_t blob[TOKEN_BLOB_MAX], size_t *out_size, struct secret **out_h)
{
	const struct token_options options = slot_options(tcti);
	const struct token_wish plain = {0};

	return slot_enrol_wish(&options, &plain, blob, out_size, out_h);
}

enum token_fault slot_try_enrol(const char *tcti)
{
	CLEANUP(secret_drop) struct secret *h = NULL;
	uint8_t blob[TOKEN_BLOB_MAX];
	size_t size;

	return slot_enrol_at(tcti, blob, &size, &h);
}

struct secret *slot_pin_of(const void *bytes, size_t size)
{
	struct secret *pin = NULL;

	assert_int_equal(secret_copy(bytes, size, &pin), MORTISE_OK);
	return pin;
}

struct secret *slot_pin(const char *text)
{
	return slot_pin_of(text, strlen(text));
}

enum token_fault slot_seal_at(
	const char *tcti, const struct secret *pin, uint32_t pcrs, struct slot_sealed *out)
{
	const struct token_options options = slot_options(tcti);
	const struct token_wish wish = {.pin = pin, .pcrs = pcrs};

	return slot_enrol_wish(&options, &wish, out->blob, &out->size, &out->h);
}

enum token_fault slot_open_at_pin(
	const char *tcti, const struct slot_sealed *sealed, const struct secret *pin)
{
	const struct token_options options = slot_options(tcti);
	CLEANUP(secret_drop) struct secret *h = NULL;
	enum token_fault fault = slot_open_pin(&options, sealed->blob, sealed->size, pin, &h);

	if (fault == TOKEN_FAULT_NONE)
		assert_true(secret_equals(h, sealed->h));
	return fault;
}

enum token_fault slot_open_with_pin(
	const char *tcti, const struct slot_sealed *sealed, const char *text)
{
	CLEANUP(secret_drop) struct secret *pin = slot_pin(text);

	return slot_open_at_pin(tcti, sealed, pin);
}

unsigned tpm_failed_tries(const struct tpm_fixture *tpm)
{
	int status = tpm_shell(tpm, tpm->tcti,
		"exit $(( $(tpm2_getcap properties-variable | "
		"sed -n 's/^TPM2_PT_LOCKOUT_COUNTER: *//p') ))");

	assert_in_range(status, 0, 100);
	return (unsigned)status;
}

bool tpm_holds_something(const struct tpm_fixture *tpm)
{
	int status = tpm_shell(tpm, tpm->tcti,
		"objects=$(tpm2_getcap handles-transient) || exit 2\n"
		"sessions=$(tpm2_getcap handles-loaded-session) || exit 2\n"
		"test -z \"$objects$sessions\"");

	assert_in_range(status, 0, 1);
	return status == 1;
}

void assert_nothing_is_left(const struct tpm_fixture *tpm)
{
	assert_false(tpm_holds_something(tpm));
}

int slot_set_up(void **state)
{
	(void)state;
	if (setenv("TSS2_LOG", "all+none", 1) != 0 || sodium_init() < 0 ||
		secret_pool_open(65536) != MORTISE_OK)
		return -1;
	slot.is_there = tpm_start(&slot.tpm);
	if (!slot.is_there)
		return 0;
	return slot_enrol_at(slot.tpm.tcti, slot.blob, &slot.blob_size, &slot.h) == TOKEN_FAULT_NONE
		       ? 0
		       : -1;
}

int slot_tear_down(void **state)
{
	(void)state;
	tpm_stop(&slot.tpm);
	secret_pool_close();
	return 0;
}
