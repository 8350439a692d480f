/* SPDX-License-Identifier: ISC */
/* The TPM back end against software TPMs: enrol, open, and the SRK. */
#include <stdio.h>
#include <string.h>

#include "mortise_test.h"
#include "tpm_slot.h"

#define SRK_END 5 /* bytes of a plain blob behind the SRK's public area */

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

static void what_is_sealed_opens_again_and_again(void **state)
{
	(void)state;
	need_slot();
	assert_int_equal(slot.h->size, KEY_SIZE);
	for (int i = 0; i < 4; i++)
		assert_int_equal(slot_open_at(slot.tpm.tcti), TOKEN_FAULT_NONE);
}

static void the_same_entropy_gives_another_h(void **state)
{
	CLEANUP(secret_drop) struct secret *h = NULL;
	uint8_t blob[TOKEN_BLOB_MAX];
	size_t size;

	(void)state;
	need_slot();
	assert_int_equal(slot_enrol_at(slot.tpm.tcti, blob, &size, &h), TOKEN_FAULT_NONE);
	assert_false(secret_equals(h, slot.h));
}

static void nothing_is_left_in_the_tpm(void **state)
{
	CLEANUP(secret_drop) struct secret *h = NULL;
	uint8_t blob[TOKEN_BLOB_MAX];
	struct token_options options = slot_options(slot.tpm.tcti);

	(void)state;
	need_slot();
	assert_int_equal(slot_open_at(slot.tpm.tcti), TOKEN_FAULT_NONE);
	assert_nothing_is_left(&slot.tpm);
	memcpy(blob, slot.blob, slot.blob_size);
	blob[100] ^= 1;
	assert_int_not_equal(slot_try_open(&options, blob, slot.blob_size, &h), TOKEN_FAULT_NONE);
	assert_nothing_is_left(&slot.tpm);
	assert_int_equal(slot_try_enrol(slot.tpm.tcti), TOKEN_FAULT_NONE);
	assert_nothing_is_left(&slot.tpm);
}

static void an_open_costs_at_most_eight_commands(void **state)
{
	struct tap_fixture tap;

	(void)state;
	need_slot();
	tap_start(&slot.tpm, "count", 0, 0, &tap);
	assert_int_equal(slot_open_at(tap.tcti), TOKEN_FAULT_NONE);
	tap_stop(&tap);
	assert_in_range(tap_count(&tap), 1, 8);
}

static void neither_h_nor_the_tpms_random_bytes_cross_the_bus_in_clear(void **state)
{
	CLEANUP(secret_drop) struct secret *h = NULL;
	struct token_options options;
	struct tap_fixture tap;
	uint8_t blob[TOKEN_BLOB_MAX];
	size_t size;

	(void)state;
	need_slot();
	tap_start(&slot.tpm, "sniff", 0, 0, &tap);
	options = slot_options(tap.tcti);
	assert_int_equal(slot_enrol_at(tap.tcti, blob, &size, &h), TOKEN_FAULT_NONE);
	secret_drop(&h);
	assert_int_equal(slot_try_open(&options, blob, size, &h), TOKEN_FAULT_NONE);
	assert_int_equal(tpm_shell(&slot.tpm, tap.tcti,
				 "printf 'a value in clear' | tpm2_create -C 0x81000001 -i- "
				 "-u clear.pub -r clear.priv >/dev/null"),
		0);
	tap_stop(&tap);
	/* The controls: what is not encrypted is found. */
	assert_true(tap_has(&tap, (const uint8_t *)"a value in clear", 16));
	assert_true(tap_has(&tap, blob + size - SRK_END - KEY_SIZE, KEY_SIZE));
	for (size_t i = 0; i + 8 <= KEY_SIZE; i += 8)
		assert_false(tap_has(&tap, h->bytes + i, 8));
}

static void another_tpm_is_told_from_a_cleared_one(void **state)
{
	struct tpm_fixture other;

	(void)state;
	need_slot();
	start_or_skip(&other);
	assert_int_equal(slot_open_at(other.tcti), TOKEN_FAULT_NO_SRK);
	assert_int_equal(slot_try_enrol(other.tcti), TOKEN_FAULT_NONE);
	assert_int_equal(slot_open_at(other.tcti), TOKEN_FAULT_OTHER_SRK);
	assert_int_equal(tpm_shell(&other, other.tcti, "tpm2_clear -c p"), 0);
	assert_int_equal(slot_open_at(other.tcti), TOKEN_FAULT_NO_SRK);
	assert_nothing_is_left(&other);
	tpm_stop(&other);
}

/* As tpm2-tools make one, by the TCG's templates or others: whatever is there first. */
static void an_srk_made_by_another_program_is_used(void **state)
{
	static const char *const ways[] = {"-G rsa2048", "-G ecc256", "-G ecc384",
		"-G ecc256 -g sha384", "-G rsa2048 -g sha384", "-G rsa2048 -g sha512",
		"-G rsa3072"};

	(void)state;
	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
		CLEANUP(secret_drop) struct secret *h = NULL;
		CLEANUP(secret_drop) struct secret *again = NULL;
		struct token_options options;
		struct tpm_fixture tpm;
		uint8_t blob[TOKEN_BLOB_MAX];
		char script[512];
		size_t size;

		start_or_skip(&tpm);
		options = slot_options(tpm.tcti);
		snprintf(script, sizeof script,
			"{ tpm2_createprimary -C o %s -c p.ctx && "
			"tpm2_evictcontrol -C o -c p.ctx 0x81000001 && "
			"tpm2_flushcontext -t; } >/dev/null && "
			"tpm2_readpublic -c 0x81000001 >before",
			ways[i]);
		assert_int_equal(tpm_shell(&tpm, tpm.tcti, script), 0);
		assert_int_equal(slot_enrol_at(tpm.tcti, blob, &size, &h), TOKEN_FAULT_NONE);
		assert_int_equal(slot_try_open(&options, blob, size, &again), TOKEN_FAULT_NONE);
		assert_true(secret_equals(h, again));
		assert_int_equal(
			tpm_shell(&tpm, tpm.tcti, "tpm2_readpublic -c 0x81000001 | cmp - before"),
			0);
		tpm_stop(&tpm);
	}
}

/* A key made in software that claims all it can, imported and put where the SRK was. */
static void a_planted_software_key_is_refused(void **state)
{
	CLEANUP(secret_drop) struct secret *h = NULL;
	struct tpm_fixture tpm;
	struct tap_fixture tap;
	struct token_options options;
	uint8_t blob[TOKEN_BLOB_MAX];
	size_t size;

	(void)state;
	start_or_skip(&tpm);
	options = slot_options(tpm.tcti);
	assert_int_equal(slot_enrol_at(tpm.tcti, blob, &size, &h), TOKEN_FAULT_NONE);
	secret_drop(&h);
	assert_int_equal(
		tpm_shell(&tpm, tpm.tcti,
			"{ openssl genrsa -out key.pem 2048 && tpm2_createprimary -C o -c p.ctx && "
			"tpm2_import -C p.ctx -G rsa2048:null:aes128cfb -i key.pem "
			"-a 'restricted|decrypt|userwithauth|noda' -u k.pub -r k.priv && "
			"tpm2_flushcontext -t && tpm2_load -C p.ctx -u k.pub -r k.priv -c k.ctx && "
			"tpm2_evictcontrol -C o -c 0x81000001 && "
			"tpm2_evictcontrol -C o -c k.ctx 0x81000001 && "
			"tpm2_flushcontext -t; } >planted.log 2>&1 || { cat planted.log; false; }"),
		0);
	assert_int_equal(slot_try_open(&options, blob, size, &h), TOKEN_FAULT_OTHER_SRK);
	tap_start(&tpm, "tap", 0, 0, &tap);
	assert_int_equal(slot_try_enrol(tap.tcti), TOKEN_FAULT_UNFIT_SRK);
	tap_stop(&tap);
	/* Two ReadPublic; no session was salted to it, no seal tried. */
	assert_int_equal(tap_count(&tap), 2);
	tpm_stop(&tpm);
}

static void an_srk_with_a_name_of_sha1_is_named(void **state)
{
	struct tpm_fixture tpm;

	(void)state;
	start_or_skip(&tpm);
	assert_int_equal(tpm_shell(&tpm, tpm.tcti,
				 "{ tpm2_createprimary -C o -g sha1 -c p.ctx && "
				 "tpm2_evictcontrol -C o -c p.ctx 0x81000001 && "
				 "tpm2_flushcontext -t; } >/dev/null"),
		0);
	assert_int_equal(slot_try_enrol(tpm.tcti), TOKEN_FAULT_UNFIT_SRK);
	assert_string_equal(slot_detail, "0x81000001: name algorithm 0x0004");
	tpm_stop(&tpm);
}

static void an_owner_password_matters_only_without_an_srk(void **state)
{
	struct tpm_fixture tpm;

	(void)state;
	start_or_skip(&tpm);
	assert_int_equal(tpm_shell(&tpm, tpm.tcti, "tpm2_changeauth -c owner word"), 0);
	assert_int_equal(slot_try_enrol(tpm.tcti), TOKEN_FAULT_OWNER_AUTH);
	assert_nothing_is_left(&tpm);
	assert_int_equal(tpm_shell(&tpm, tpm.tcti, "tpm2_changeauth -c owner -p word"), 0);
	assert_int_equal(slot_try_enrol(tpm.tcti), TOKEN_FAULT_NONE);
	assert_int_equal(tpm_shell(&tpm, tpm.tcti, "tpm2_changeauth -c owner word"), 0);
	assert_int_equal(slot_try_enrol(tpm.tcti), TOKEN_FAULT_NONE);
	tpm_stop(&tpm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_sealed_opens_again_and_again),
		cmocka_unit_test(the_same_entropy_gives_another_h),
		cmocka_unit_test(nothing_is_left_in_the_tpm),
		cmocka_unit_test(an_open_costs_at_most_eight_commands),
		cmocka_unit_test(neither_h_nor_the_tpms_random_bytes_cross_the_bus_in_clear),
		cmocka_unit_test(another_tpm_is_told_from_a_cleared_one),
		cmocka_unit_test(an_srk_made_by_another_program_is_used),
		cmocka_unit_test(an_srk_with_a_name_of_sha1_is_named),
		cmocka_unit_test(a_planted_software_key_is_refused),
		cmocka_unit_test(an_owner_password_matters_only_without_an_srk),
	};

	return cmocka_run_group_tests(tests, slot_set_up, slot_tear_down);
}
