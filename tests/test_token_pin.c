/* SPDX-License-Identifier: ISC */
/* Seals with a PIN. */
#include <stdio.h>
#include <string.h>

#include "mortise_test.h"
#include "tpm_slot.h"

#define PCR(n) (1u << (n))

static const char right[] = "a PIN of 19 letters";

static void need_slot(void)
{
	if (!slot.is_there)
		skip();
}

static void start_or_skip(struct tpm_fixture *tpm)
{
	if (!tpm_start(tpm))
		skip();
}

static void only_the_right_pin_opens(void **state)
{
	struct tpm_fixture tpm;
	struct slot_sealed sealed;

	(void)state;
	start_or_skip(&tpm);
	CLEANUP(secret_drop) struct secret *pin = slot_pin(right);
	assert_int_equal(slot_seal_at(tpm.tcti, pin, 0, &sealed), TOKEN_FAULT_NONE);
	assert_int_equal(slot_open_with_pin(tpm.tcti, &sealed, right), TOKEN_FAULT_NONE);
	assert_int_equal(
		slot_open_with_pin(tpm.tcti, &sealed, "another PIN"), TOKEN_FAULT_WRONG_PIN);
	assert_int_equal(slot_open_with_pin(tpm.tcti, &sealed, right), TOKEN_FAULT_NONE);
	assert_nothing_is_left(&tpm);
	secret_drop(&sealed.h);
	tpm_stop(&tpm);
}

static void without_the_pin_the_tpm_is_not_asked(void **state)
{
	CLEANUP(secret_drop) struct secret *pin = NULL;
	struct slot_sealed sealed;
	struct tap_fixture tap;

	(void)state;
	need_slot();
	pin = slot_pin(right);
	assert_int_equal(slot_seal_at(slot.tpm.tcti, pin, 0, &sealed), TOKEN_FAULT_NONE);
	tap_start(&slot.tpm, "no-pin", 0, 0, &tap);
	assert_int_equal(slot_open_at_pin(tap.tcti, &sealed, NULL), TOKEN_FAULT_NO_PIN);
	tap_stop(&tap);
	assert_int_equal(tap_count(&tap), 0);
	secret_drop(&sealed.h);
}

static void a_wrong_pin_is_tried_once_and_counts_once(void **state)
{
	struct tpm_fixture tpm;
	struct tap_fixture tap;
	struct slot_sealed sealed;

	(void)state;
	start_or_skip(&tpm);
	CLEANUP(secret_drop) struct secret *pin = slot_pin(right);
	assert_int_equal(slot_seal_at(tpm.tcti, pin, 0, &sealed), TOKEN_FAULT_NONE);
	assert_int_equal(tpm_failed_tries(&tpm), 0);
	tap_start(&tpm, "once", 0, 0, &tap);
	assert_int_equal(slot_open_with_pin(tap.tcti, &sealed, "wrong"), TOKEN_FAULT_WRONG_PIN);
	tap_stop(&tap);
	assert_int_equal(tap_count_of(&tap, "Unseal"), 1);
	assert_int_equal(tpm_failed_tries(&tpm), 1);
	secret_drop(&sealed.h);
	tpm_stop(&tpm);
}

static void wrong_pins_lock_the_tpm_for_pins_and_for_nothing_else(void **state)
{
	struct tpm_fixture tpm;
	struct tap_fixture tap;
	struct slot_sealed with_pin, plain;

	(void)state;
	start_or_skip(&tpm);
	CLEANUP(secret_drop) struct secret *pin = slot_pin(right);
	assert_int_equal(slot_seal_at(tpm.tcti, pin, PCR(7), &with_pin), TOKEN_FAULT_NONE);
	assert_int_equal(slot_seal_at(tpm.tcti, NULL, 0, &plain), TOKEN_FAULT_NONE);
	assert_int_equal(
		tpm_shell(&tpm, tpm.tcti, "tpm2_dictionarylockout -s -n 2 -t 1000 -l 1000"), 0);
	assert_int_equal(slot_open_with_pin(tpm.tcti, &with_pin, "1"), TOKEN_FAULT_WRONG_PIN);
	assert_int_equal(slot_open_with_pin(tpm.tcti, &with_pin, "2"), TOKEN_FAULT_WRONG_PIN);
	tap_start(&tpm, "locked", 0, 0, &tap);
	assert_int_equal(slot_open_with_pin(tap.tcti, &with_pin, right), TOKEN_FAULT_LOCKOUT);
	tap_stop(&tap);
	assert_int_equal(tap_count_of(&tap, "Unseal"), 1);
	assert_int_equal(slot_open_at_pin(tpm.tcti, &plain, NULL), TOKEN_FAULT_NONE);
	assert_int_equal(tpm_shell(&tpm, tpm.tcti, "tpm2_dictionarylockout -c"), 0);
	assert_int_equal(slot_open_with_pin(tpm.tcti, &with_pin, right), TOKEN_FAULT_NONE);
	secret_drop(&with_pin.h);
	secret_drop(&plain.h);
	tpm_stop(&tpm);
}

static void pins_of_any_length_and_bytes_are_told_apart(void **state)
{
	static const uint8_t bytes[TOKEN_PIN_MAX] = "0123456789abcdef0123456789abcdef0123456789";
	static const size_t sizes[] = {1, 31, 32, 33, 44, TOKEN_PIN_MAX};
	struct tpm_fixture tpm;

	(void)state;
	start_or_skip(&tpm);
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		CLEANUP(secret_drop) struct secret *pin = slot_pin_of(bytes, sizes[i]);
		CLEANUP(secret_drop) struct secret *other = slot_pin_of(bytes, sizes[i]);
		CLEANUP(secret_drop) struct secret *longer = NULL;
		struct slot_sealed sealed;

		other->bytes[sizes[i] - 1] ^= 1;
		assert_int_equal(slot_seal_at(tpm.tcti, pin, 0, &sealed), TOKEN_FAULT_NONE);
		assert_int_equal(slot_open_at_pin(tpm.tcti, &sealed, pin), TOKEN_FAULT_NONE);
		assert_int_equal(slot_open_at_pin(tpm.tcti, &sealed, other), TOKEN_FAULT_WRONG_PIN);
		if (sizes[i] < 32) {
			/* A zero at the end is a byte of the PIN, though a TPM would drop it. */
			uint8_t with_zero[TOKEN_PIN_MAX] = {0};

			memcpy(with_zero, bytes, sizes[i]);
			longer = slot_pin_of(with_zero, sizes[i] + 1);
			assert_int_equal(
				slot_open_at_pin(tpm.tcti, &sealed, longer), TOKEN_FAULT_WRONG_PIN);
		}
		assert_int_equal(tpm_shell(&tpm, tpm.tcti, "tpm2_dictionarylockout -c"), 0);
		secret_drop(&sealed.h);
	}
	tpm_stop(&tpm);
}

static void a_pin_that_is_not_asked_for_changes_nothing(void **state)
{
	const struct token_options options = slot_options(slot.tpm.tcti);
	CLEANUP(secret_drop) struct secret *pin = NULL;
	CLEANUP(secret_drop) struct secret *h = NULL;

	(void)state;
	need_slot();
	pin = slot_pin("whatever");
	assert_int_equal(
		slot_open_pin(&options, slot.blob, slot.blob_size, pin, &h), TOKEN_FAULT_NONE);
	assert_true(secret_equals(h, slot.h));
}

static void no_capture_shows_a_pin_or_what_it_protects(void **state)
{
	CLEANUP(secret_drop) struct secret *pin = NULL;
	struct slot_sealed sealed[2];
	struct tap_fixture tap;

	(void)state;
	need_slot();
	pin = slot_pin(right);
	tap_start(&slot.tpm, "pin-sniff", 0, 0, &tap);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(slot_seal_at(tap.tcti, pin, i == 0 ? 0 : PCR(7), &sealed[i]),
			TOKEN_FAULT_NONE);
		assert_int_equal(slot_open_with_pin(tap.tcti, &sealed[i], right), TOKEN_FAULT_NONE);
	}
	/* The control: a password session shows it. */
	assert_int_equal(tpm_shell(&slot.tpm, tap.tcti,
				 "{ printf x | tpm2_create -C 0x81000001 -p 'in the clear' -i- "
				 "-u p.pub -r p.priv; } >/dev/null"),
		0);
	tap_stop(&tap);
	assert_true(tap_has(&tap, (const uint8_t *)"in the clear", 12));
	assert_false(tap_has(&tap, (const uint8_t *)right, 6));
	assert_false(tap_has(&tap, (const uint8_t *)right + 6, 6));
	for (unsigned i = 0; i < 2; i++) {
		for (size_t at = 0; at + 8 <= KEY_SIZE; at += 8)
			assert_false(tap_has(&tap, sealed[i].h->bytes + at, 8));
		secret_drop(&sealed[i].h);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_the_right_pin_opens),
		cmocka_unit_test(without_the_pin_the_tpm_is_not_asked),
		cmocka_unit_test(a_wrong_pin_is_tried_once_and_counts_once),
		cmocka_unit_test(wrong_pins_lock_the_tpm_for_pins_and_for_nothing_else),
		cmocka_unit_test(pins_of_any_length_and_bytes_are_told_apart),
		cmocka_unit_test(a_pin_that_is_not_asked_for_changes_nothing),
		cmocka_unit_test(no_capture_shows_a_pin_or_what_it_protects),
	};

	return cmocka_run_group_tests(tests, slot_set_up, slot_tear_down);
}
