/* SPDX-License-Identifier: ISC */
/* Seals that open under PCR values which a key has signed: kernels may change, not any kernel. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mortise_test.h"
#include "tpm2_link.h"
#include "tpm_slot.h"

#define NEW_KERNEL "tpm2_pcrextend 11:sha256=$(printf x | sha256sum | cut -c1-64)"

/* One TPM, with keys in its directory, and a seal that wants them. */
struct signed_slot {
	struct tpm_fixture tpm;
	char json[160];
	uint8_t pem[TOKEN_PEM_MAX];
	size_t pem_size;
	uint8_t blob[TOKEN_BLOB_MAX];
	size_t size;
	struct secret *h;
};

static int shell(const struct signed_slot *at, const char *script)
{
	char command[1024];

	snprintf(command, sizeof command, "sign() { %s/swtpm-test/tools/sign_pcrs \"$@\"; }\n%s",
		getenv("MORTISE_TEST_SOURCE"), script);
	return tpm_shell(&at->tpm, at->tpm.tcti, command);
}

static void begin(struct signed_slot *out, const char *make_key)
{
	char path[160];
	FILE *file;

	*out = (struct signed_slot){0};
	if (!tpm_start(&out->tpm))
		skip();
	snprintf(out->json, sizeof out->json, "%s/sig.json", out->tpm.directory);
	assert_int_equal(shell(out, make_key), 0);
	assert_int_equal(shell(out, "openssl pkey -in key.pem -pubout -out key.pub"), 0);
	snprintf(path, sizeof path, "%s/key.pub", out->tpm.directory);
	file = fopen(path, "re");
	assert_non_null(file);
	out->pem_size = fread(out->pem, 1, sizeof out->pem, file);
	fclose(file);
}

static void begin_rsa(struct signed_slot *out)
{
	begin(out, "openssl genrsa -out key.pem 2048 2>openssl.log");
}

static void end(struct signed_slot *at)
{
	assert_nothing_is_left(&at->tpm);
	secret_drop(&at->h);
	tpm_stop(&at->tpm);
}

static struct token_options options_of(const struct signed_slot *at, const char *tcti)
{
	struct token_options options = slot_options(tcti);

	options.pcr_signature = at->json;
	return options;
}

static enum token_fault seal(struct signed_slot *at, const struct secret *pin, uint32_t pcrs)
{
	const struct token_options options = options_of(at, at->tpm.tcti);
	const struct token_wish wish = {
		.pin = pin, .pcrs = pcrs, .pcr_key = {at->pem, at->pem_size}};

	secret_drop(&at->h);
	return slot_enrol_wish(&options, &wish, at->blob, &at->size, &at->h);
}

static enum token_fault open_at(
	const struct signed_slot *at, const char *tcti, const struct secret *pin)
{
	const struct token_options options = options_of(at, tcti);
	CLEANUP(secret_drop) struct secret *h = NULL;
	enum token_fault fault = slot_open_pin(&options, at->blob, at->size, pin, &h);

	if (fault == TOKEN_FAULT_NONE)
		assert_true(secret_equals(h, at->h));
	return fault;
}

static enum token_fault open_it(const struct signed_slot *at)
{
	return open_at(at, at->tpm.tcti, NULL);
}

static void check_kernel_updates(const char *make_key)
{
	struct signed_slot at;

	begin(&at, make_key);
	assert_int_equal(shell(&at, "sign key.pem 11 >sig.json"), 0);
	assert_int_equal(seal(&at, NULL, 0), TOKEN_FAULT_NONE);
	assert_int_equal(open_it(&at), TOKEN_FAULT_NONE);
	/* Another kernel, first without, then with a signature of its own. */
	assert_int_equal(shell(&at, NEW_KERNEL), 0);
	assert_int_equal(open_it(&at), TOKEN_FAULT_NO_SIGNATURE);
	assert_non_null(strstr(slot_detail, "nothing signed for what is in PCR 11 now"));
	assert_int_equal(shell(&at, "cp sig.json old.json; sign key.pem 11 old.json >sig.json"), 0);
	assert_int_equal(open_it(&at), TOKEN_FAULT_NONE);
	end(&at);
}

static void a_kernel_update_opens_if_it_is_signed_with_rsa(void **state)
{
	(void)state;
	check_kernel_updates("openssl genrsa -out key.pem 2048 2>openssl.log");
}

static void a_kernel_update_opens_if_it_is_signed_with_ecdsa(void **state)
{
	(void)state;
	check_kernel_updates("openssl ecparam -name prime256v1 -genkey -noout -out key.pem");
}

static void a_signature_by_another_key_does_not_open(void **state)
{
	struct signed_slot at;

	(void)state;
	begin_rsa(&at);
	assert_int_equal(shell(&at, "sign key.pem 11 >sig.json"), 0);
	assert_int_equal(seal(&at, NULL, 0), TOKEN_FAULT_NONE);
	assert_int_equal(
		shell(&at, NEW_KERNEL " && openssl genrsa -out other.pem 2048 2>log && "
				      "cp sig.json mine.json && sign other.pem 11 >sig.json"),
		0);
	assert_int_equal(open_it(&at), TOKEN_FAULT_NO_SIGNATURE);
	assert_non_null(strstr(slot_detail, "nothing signed by the PCR key"));
	/* The same, with our key's print on it. */
	assert_int_equal(
		shell(&at, "print=$(sed 's/.*pkfp\":\"\\([0-9a-f]*\\).*/\\1/' mine.json) && "
			   "sed -i \"s/\\(pkfp\\\":\\\"\\)[0-9a-f]*/\\1$print/\" sig.json"),
		0);
	assert_int_equal(open_it(&at), TOKEN_FAULT_NO_SIGNATURE);
	assert_non_null(strstr(slot_detail, "nothing signed for"));
	/* And with a true one behind the false one. */
	assert_int_equal(
		shell(&at, "cp sig.json false.json; sign key.pem 11 false.json >sig.json"), 0);
	assert_int_equal(open_it(&at), TOKEN_FAULT_NONE);
	end(&at);
}

static void without_a_file_of_signatures_it_is_named(void **state)
{
	struct signed_slot at;

	(void)state;
	begin_rsa(&at);
	assert_int_equal(seal(&at, NULL, 0), TOKEN_FAULT_NO_SIGNATURE);
	assert_non_null(strstr(slot_detail, "sig.json: cannot be read: No such file"));
	assert_int_equal(shell(&at, "sign key.pem 11 >sig.json"), 0);
	assert_int_equal(seal(&at, NULL, 0), TOKEN_FAULT_NONE);
	assert_int_equal(shell(&at, "mkfifo f && mv f sig.json"), 0);
	assert_int_equal(open_it(&at), TOKEN_FAULT_NO_SIGNATURE);
	assert_non_null(strstr(slot_detail, "no regular file"));
	assert_int_equal(shell(&at, "rm sig.json; head -c 1048577 /dev/zero >sig.json"), 0);
	assert_int_equal(open_it(&at), TOKEN_FAULT_NO_SIGNATURE);
	assert_non_null(strstr(slot_detail, "larger than 1 MiB"));
	assert_int_equal(shell(&at, "rm sig.json; echo '{' >sig.json"), 0);
	assert_int_equal(open_it(&at), TOKEN_FAULT_NO_SIGNATURE);
	assert_non_null(strstr(slot_detail, "not JSON"));
	end(&at);
}

static void a_pin_and_literal_pcrs_go_with_a_signature(void **state)
{
	CLEANUP(secret_drop) struct secret *pin = NULL;
	CLEANUP(secret_drop) struct secret *wrong = NULL;
	struct signed_slot at;

	(void)state;
	begin_rsa(&at);
	assert_int_equal(secret_copy("1234", 4, &pin), MORTISE_OK);
	assert_int_equal(secret_copy("1235", 4, &wrong), MORTISE_OK);
	assert_int_equal(shell(&at, "sign key.pem 11,12 >sig.json"), 0);
	assert_int_equal(seal(&at, pin, 1u << 7), TOKEN_FAULT_NONE);
	assert_int_equal(open_at(&at, at.tpm.tcti, pin), TOKEN_FAULT_NONE);
	assert_int_equal(open_at(&at, at.tpm.tcti, wrong), TOKEN_FAULT_WRONG_PIN);
	assert_int_equal(open_it(&at), TOKEN_FAULT_NO_PIN);
	assert_int_equal(shell(&at, NEW_KERNEL " && sign key.pem 11,12 >sig.json"), 0);
	assert_int_equal(open_at(&at, at.tpm.tcti, pin), TOKEN_FAULT_NONE);
	assert_int_equal(
		shell(&at, "tpm2_pcrextend 7:sha256=$(printf x | sha256sum | cut -c1-64)"), 0);
	assert_int_equal(open_at(&at, at.tpm.tcti, pin), TOKEN_FAULT_OTHER_PCRS);
	end(&at);
}

static void what_is_no_key_is_refused(void **state)
{
	struct signed_slot at;

	(void)state;
	begin_rsa(&at);
	at.pem[at.pem_size / 2] ^= 1;
	at.pem[10] ^= 1;
	assert_int_equal(seal(&at, NULL, 0), TOKEN_FAULT_UNFIT_WISH);
	assert_non_null(strstr(slot_detail, "the PCR key is no PEM"));
	end(&at);
}

static void an_owner_hierarchy_that_is_disabled_is_named(void **state)
{
	struct signed_slot at;

	(void)state;
	begin_rsa(&at);
	assert_int_equal(shell(&at, "sign key.pem 11 >sig.json"), 0);
	assert_int_equal(seal(&at, NULL, 0), TOKEN_FAULT_NONE);
	assert_int_equal(shell(&at, "tpm2_changeauth -c owner word"), 0);
	assert_int_equal(open_it(&at), TOKEN_FAULT_NONE);
	assert_int_equal(shell(&at, "tpm2_hierarchycontrol -C p shEnable clear >/dev/null"), 0);
	/* The SRK is of that hierarchy, and gone with it. */
	assert_int_equal(open_it(&at), TOKEN_FAULT_NO_SRK);
	end(&at);
}

static void an_open_under_a_signature_costs_thirteen_commands(void **state)
{
	struct signed_slot at;
	struct tap_fixture tap;

	(void)state;
	begin_rsa(&at);
	assert_int_equal(shell(&at, "sign key.pem 11 >sig.json"), 0);
	assert_int_equal(seal(&at, NULL, 0), TOKEN_FAULT_NONE);
	tap_start(&at.tpm, "signed", 0, 0, &tap);
	assert_int_equal(open_at(&at, tap.tcti, NULL), TOKEN_FAULT_NONE);
	tap_stop(&tap);
	/* An anchor in the same run makes it fourteen. */
	assert_int_equal(tap_count(&tap), 13);
	end(&at);
}

static void what_can_be_had_where_systemd_keeps_it_needs_no_option(void **state)
{
	struct token_options options;
	CLEANUP(secret_drop) struct secret *h = NULL;
	struct signed_slot at;

	(void)state;
	begin_rsa(&at);
	assert_int_equal(shell(&at, "sign key.pem 11 >sig.json"), 0);
	assert_int_equal(seal(&at, NULL, 0), TOKEN_FAULT_NONE);
	options = slot_options(at.tpm.tcti);
	/* No such file on a machine that runs tests, or one by another's key. */
	assert_int_equal(slot_try_open(&options, at.blob, at.size, &h), TOKEN_FAULT_NO_SIGNATURE);
	assert_non_null(strstr(slot_detail, "tpm2-pcr-signature.json"));
	assert_non_null(strstr(slot_detail, "/usr/local/lib/systemd"));
	end(&at);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_kernel_update_opens_if_it_is_signed_with_rsa),
		cmocka_unit_test(a_kernel_update_opens_if_it_is_signed_with_ecdsa),
		cmocka_unit_test(a_signature_by_another_key_does_not_open),
		cmocka_unit_test(without_a_file_of_signatures_it_is_named),
		cmocka_unit_test(a_pin_and_literal_pcrs_go_with_a_signature),
		cmocka_unit_test(what_is_no_key_is_refused),
		cmocka_unit_test(an_owner_hierarchy_that_is_disabled_is_named),
		cmocka_unit_test(an_open_under_a_signature_costs_thirteen_commands),
		cmocka_unit_test(what_can_be_had_where_systemd_keeps_it_needs_no_option),
	};

	return cmocka_run_group_tests(tests, slot_set_up, slot_tear_down);
}
