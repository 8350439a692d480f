/* SPDX-License-Identifier: ISC */
/* Seals bound to PCR values, with and without a PIN. */
#include <stdio.h>
#include <string.h>

#include "mortise_test.h"
#include "tpm2_blob.h"
#include "tpm2_link.h"
#include "tpm2_seal.h"
#include "tpm2_srk.h"
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

static void a_changed_pcr_is_named_and_the_pin_not_tried(void **state)
{
	struct tpm_fixture tpm;
	struct tap_fixture tap;
	struct slot_sealed sealed;

	(void)state;
	start_or_skip(&tpm);
	CLEANUP(secret_drop) struct secret *pin = slot_pin(right);
	assert_int_equal(slot_seal_at(tpm.tcti, pin, PCR(7) | PCR(11), &sealed), TOKEN_FAULT_NONE);
	assert_int_equal(slot_open_with_pin(tpm.tcti, &sealed, right), TOKEN_FAULT_NONE);
	assert_int_equal(slot_open_with_pin(tpm.tcti, &sealed, "wrong"), TOKEN_FAULT_WRONG_PIN);
	assert_int_equal(tpm_shell(&tpm, tpm.tcti,
				 "tpm2_pcrextend 11:sha256=$(printf x | sha256sum | cut -c1-64)"),
		0);
	tap_start(&tpm, "changed", 0, 0, &tap);
	assert_int_equal(slot_open_with_pin(tap.tcti, &sealed, right), TOKEN_FAULT_OTHER_PCRS);
	tap_stop(&tap);
	assert_string_equal(slot_detail, "not as it was at the enrolment: PCR 11");
	assert_int_equal(tap_count_of(&tap, "Unseal"), 0);
	assert_int_equal(tpm_failed_tries(&tpm), 1);
	assert_nothing_is_left(&tpm);
	secret_drop(&sealed.h);
	tpm_stop(&tpm);
}

static void all_pcrs_at_once_fit_into_a_blob(void **state)
{
	struct slot_sealed sealed;

	(void)state;
	need_slot();
	assert_int_equal(slot_seal_at(slot.tpm.tcti, NULL, 0xffffff, &sealed), TOKEN_FAULT_NONE);
	assert_int_equal(slot_open_at_pin(slot.tpm.tcti, &sealed, NULL), TOKEN_FAULT_NONE);
	assert_nothing_is_left(&slot.tpm);
	secret_drop(&sealed.h);
	assert_int_equal(
		slot_seal_at(slot.tpm.tcti, NULL, PCR(24), &sealed), TOKEN_FAULT_UNFIT_WISH);
}

static void a_bank_that_is_not_active_is_named(void **state)
{
	struct tpm_fixture tpm;
	struct slot_sealed sealed;

	(void)state;
	start_or_skip(&tpm);
	assert_int_equal(tpm_shell(&tpm, tpm.tcti,
				 "tpm2_pcrallocate sha1:all+sha256:none >/dev/null && "
				 "tpm2_shutdown -c && swtpm_ioctl --unix tpm.sock.ctrl -i && "
				 "tpm2_startup -c"),
		0);
	assert_int_equal(slot_seal_at(tpm.tcti, NULL, PCR(7), &sealed), TOKEN_FAULT_UNSUPPORTED);
	assert_non_null(strstr(slot_detail, "SHA-256 bank is not active for PCR 7"));
	assert_int_equal(slot_seal_at(tpm.tcti, NULL, 0, &sealed), TOKEN_FAULT_NONE);
	secret_drop(&sealed.h);
	tpm_stop(&tpm);
}

/* One opens; a PIN without policy, an empty policy and another object do not. */
static void an_enrolment_tries_what_must_not_open(void **state)
{
	CLEANUP(secret_drop) struct secret *pin = NULL;
	struct slot_sealed sealed;
	struct tap_fixture tap;

	(void)state;
	need_slot();
	pin = slot_pin(right);
	/* A TPM answers the first use of a PIN since it was started with RETRY. */
	assert_int_equal(slot_seal_at(slot.tpm.tcti, pin, 0, &sealed), TOKEN_FAULT_NONE);
	secret_drop(&sealed.h);
	tap_start(&slot.tpm, "prove", 0, 0, &tap);
	assert_int_equal(slot_seal_at(tap.tcti, pin, PCR(7), &sealed), TOKEN_FAULT_NONE);
	tap_stop(&tap);
	assert_int_equal(tap_count_of(&tap, "Unseal"), 4);
	assert_int_equal(tap_count_of(&tap, "Create"), 2);
	/* For the opening, for the other object, and with values that are not the TPM's. */
	assert_int_equal(tap_count_of(&tap, "PolicyPCR"), 3);
	assert_int_equal(tpm_failed_tries(&slot.tpm), 0);
	secret_drop(&sealed.h);
}

/* What an enrolment proves, here against a seal for which it does not hold. */
static void a_seal_that_opens_without_its_policy_is_found_out(void **state)
{
	const struct token_options options = slot_options(slot.tpm.tcti);
	struct token_failure failure = {0};
	CLEANUP(tpm2_disconnect) struct tpm2 tpm = {0};
	CLEANUP(secret_drop) struct secret *h = NULL;
	struct tpm2_blob blob = {0};
	const TPM2B_AUTH no_auth = {0};

	(void)state;
	need_slot();
	assert_int_equal(tpm2_connect(&options, &failure, &tpm), MORTISE_OK);
	assert_int_equal(tpm2_srk_trust(&tpm, &blob.srk), MORTISE_OK);
	assert_int_equal(secret_random(KEY_SIZE, &h), MORTISE_OK);
	assert_int_equal(tpm2_seal_create(&tpm, h, &no_auth, &blob), MORTISE_OK);
	assert_int_equal(tpm2_seal_prove_shut(&tpm, &blob, &no_auth), MORTISE_OK);
	/* Sealed without a policy, and now it is said to have one. */
	blob.policy.pcrs = PCR(7);
	assert_int_equal(tpm2_pcrs_read(&tpm, PCR(7), &blob.policy.values), MORTISE_OK);
	assert_int_equal(tpm2_seal_prove_shut(&tpm, &blob, &no_auth), MORTISE_HARDWARE);
	assert_int_equal(failure.fault, TOKEN_FAULT_MALFORMED);
	assert_string_equal(failure.detail, "the TPM opens a seal whose policy is not fulfilled");
}

static void what_the_disk_says_of_the_policy_must_be_the_seals(void **state)
{
	CLEANUP(secret_drop) struct secret *pin = NULL;
	struct token_bytes bytes;
	struct tpm2_blob blob;
	struct slot_sealed sealed;
	uint8_t packed[TOKEN_BLOB_MAX];
	size_t size;

	(void)state;
	need_slot();
	pin = slot_pin(right);
	assert_int_equal(slot_seal_at(slot.tpm.tcti, pin, PCR(7), &sealed), TOKEN_FAULT_NONE);
	secret_drop(&sealed.h);
	bytes = (struct token_bytes){sealed.blob, sealed.size};
	for (unsigned i = 0; i < 4; i++) {
		assert_true(tpm2_blob_unpack(&bytes, &blob));
		if (i == 0)
			blob.policy.has_pin = false;
		if (i == 1)
			blob.policy.pcrs = 0;
		if (i == 2)
			blob.policy.pcrs = PCR(8);
		if (i == 3)
			blob.policy.values.value[7][31] ^= 1;
		assert_true(tpm2_blob_pack(&blob, packed, &size));
		assert_false(tpm2_blob_unpack(&(struct token_bytes){packed, size}, &blob));
	}
}

static void an_open_under_pcrs_costs_at_most_nine_commands(void **state)
{
	CLEANUP(secret_drop) struct secret *pin = NULL;
	struct slot_sealed sealed;
	struct tap_fixture tap;

	(void)state;
	need_slot();
	pin = slot_pin(right);
	assert_int_equal(slot_seal_at(slot.tpm.tcti, pin, PCR(7), &sealed), TOKEN_FAULT_NONE);
	tap_start(&slot.tpm, "pcr-count", 0, 0, &tap);
	assert_int_equal(slot_open_at_pin(tap.tcti, &sealed, pin), TOKEN_FAULT_NONE);
	tap_stop(&tap);
	assert_int_equal(tap_count(&tap), 9);
	secret_drop(&sealed.h);
}

/* PCR_CHANGED comes when a PCR changes between PolicyPCR and Unseal. */
static void a_pcr_that_changes_under_the_policy_is_asked_again(void **state)
{
	struct slot_sealed sealed;
	struct tap_fixture tap;

	(void)state;
	need_slot();
	assert_int_equal(slot_seal_at(slot.tpm.tcti, NULL, PCR(7), &sealed), TOKEN_FAULT_NONE);
	tap_start_for(&slot.tpm, "pcr-changed", TPM2_RC_PCR_CHANGED, 2, TPM2_CC_Unseal, &tap);
	assert_int_equal(slot_open_at_pin(tap.tcti, &sealed, NULL), TOKEN_FAULT_NONE);
	tap_stop(&tap);
	assert_int_equal(tap_count_of(&tap, "Unseal"), 3);
	assert_int_equal(tap_count_of(&tap, "PolicyPCR"), 3);
	assert_nothing_is_left(&slot.tpm);
	secret_drop(&sealed.h);
}

/* readpublic of the loaded object, as tpm2-tools see it. */
static void tpm2_tools_see_the_attributes_that_were_asked_for(void **state)
{
	static const struct {
		const char *pin;
		uint32_t pcrs;
		const char *expected;
	} cases[] = {
		{NULL, 0, "fixedtpm|fixedparent|userwithauth|noda"},
		{"1234", 0, "fixedtpm|fixedparent|userwithauth"},
		{NULL, PCR(7), "fixedtpm|fixedparent|noda"},
		{"1234", PCR(7), "fixedtpm|fixedparent"},
	};

	(void)state;
	need_slot();
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		CLEANUP(secret_drop)
		struct secret *pin = cases[i].pin == NULL ? NULL : slot_pin(cases[i].pin);
		struct slot_sealed sealed;
		char script[512], path[160];
		FILE *file;

		assert_int_equal(
			slot_seal_at(slot.tpm.tcti, pin, cases[i].pcrs, &sealed), TOKEN_FAULT_NONE);
		snprintf(path, sizeof path, "%s/blob", slot.tpm.directory);
		file = fopen(path, "we");
		assert_non_null(file);
		assert_int_equal(fwrite(sealed.blob, 1, sealed.size, file), sealed.size);
		fclose(file);
		snprintf(script, sizeof script,
			"size() { echo $((2 + 0x$(xxd -s $1 -l 2 -p blob))); }\n"
			"cut_out() { tail -c +$(($1 + 1)) blob | head -c $2; }\n"
			"a=$(size 2); b=$(size $((2 + a)))\n"
			"cut_out 2 $a >b.pub; cut_out $((2 + a)) $b >b.priv\n"
			"tpm2_load -C 0x81000001 -u b.pub -r b.priv -c b.ctx >load.log || exit 3\n"
			"tpm2_readpublic -c b.ctx | grep -qx '  value: %s'; found=$?\n"
			"tpm2_flushcontext -t; exit $found",
			cases[i].expected);
		assert_int_equal(tpm_shell(&slot.tpm, slot.tpm.tcti, script), 0);
		secret_drop(&sealed.h);
	}
	assert_int_equal(tpm_shell(&slot.tpm, slot.tpm.tcti,
				 "test \"$(tpm2_getcap handles-persistent)\" = '- 0x81000001'"),
		0);
	assert_nothing_is_left(&slot.tpm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_changed_pcr_is_named_and_the_pin_not_tried),
		cmocka_unit_test(all_pcrs_at_once_fit_into_a_blob),
		cmocka_unit_test(a_bank_that_is_not_active_is_named),
		cmocka_unit_test(an_enrolment_tries_what_must_not_open),
		cmocka_unit_test(a_seal_that_opens_without_its_policy_is_found_out),
		cmocka_unit_test(what_the_disk_says_of_the_policy_must_be_the_seals),
		cmocka_unit_test(an_open_under_pcrs_costs_at_most_nine_commands),
		cmocka_unit_test(a_pcr_that_changes_under_the_policy_is_asked_again),
		cmocka_unit_test(tpm2_tools_see_the_attributes_that_were_asked_for),
	};

	return cmocka_run_group_tests(tests, slot_set_up, slot_tear_down);
}
