/* SPDX-License-Identifier: ISC */
/* Files that others wrote for the TPM slot: keys in PEM, signatures in JSON. No TPM is needed. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mortise_test.h"
#include "tpm2_policy.h"
#include "tpm2_signatures.h"

#define HEX8             "0123abcd"
#define HEX64            HEX8 HEX8 HEX8 HEX8 HEX8 HEX8 HEX8 HEX8
#define POLICY           "ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000"
#define ENTRY            "{\"pcrs\":[11],\"pkfp\":\"" HEX64 "\",\"pol\":\"" POLICY "\",\"sig\":\"AAEC\"}"
#define FILE_OF(entries) "{\"sha256\":[" entries "]}"

static uint8_t print[TPM2_PRINT_SIZE];
static struct tpm2_signatures signatures;

static bool parse(const char *text)
{
	tpm2_signatures_free(&signatures);
	for (size_t i = 0; i < TPM2_PRINT_SIZE; i++)
		print[i] = (const uint8_t[]){0x01, 0x23, 0xab, 0xcd}[i % 4];
	tpm2_signatures_parse(text, strlen(text), print, &signatures);
	assert_true(signatures.count > 0 || signatures.trouble[0] != '\0');
	return strstr(signatures.trouble, "not JSON") == NULL;
}

static int forget(void **state)
{
	(void)state;
	tpm2_signatures_free(&signatures);
	return 0;
}

static size_t entries_in(const char *text)
{
	assert_true(parse(text));
	return signatures.count;
}

static void an_entry_is_read_as_systemd_measure_writes_it(void **state)
{
	(void)state;
	assert_int_equal(entries_in(FILE_OF(ENTRY)), 1);
	assert_int_equal(signatures.list[0].pcrs, 1u << 11);
	assert_int_equal(signatures.list[0].size, 3);
	assert_memory_equal(signatures.list[0].bytes, "\0\1\2", 3);
	assert_int_equal(signatures.list[0].policy[1], 0xff);
	assert_int_equal(signatures.list[0].policy[2], 0);
}

static void a_bank_that_is_not_used_is_named_and_so_is_another_key(void **state)
{
	(void)state;
	assert_int_equal(entries_in("{\"sha1\":[" ENTRY "],\"sha256\":[]}"), 0);
	assert_non_null(strstr(signatures.trouble, "for the bank sha1 only"));
	assert_non_null(strstr(signatures.trouble, "--bank=sha256"));
	assert_int_equal(entries_in("{\"sha1\":[" ENTRY "],\"sha256\":[" ENTRY "]}"), 1);
	assert_int_equal(entries_in("{\"" HEX64 "\":[" ENTRY "]}"), 0);
	assert_int_equal(entries_in(FILE_OF("{\"pcrs\":[11],\"pkfp\":\"" POLICY
					    "\",\"pol\":\"" POLICY "\",\"sig\":\"AAEC\"}")),
		0);
	assert_string_equal(signatures.trouble, "nothing signed by the PCR key");
}

static void other_keys_are_passed_over(void **state)
{
	(void)state;
	assert_int_equal(entries_in(FILE_OF("{\"pcrs\":[11],\"pkfp\":\"" POLICY
					    "\",\"pol\":\"" POLICY "\",\"sig\":\"AAEC\"}," ENTRY)),
		1);
}

static void what_is_not_understood_is_passed_over(void **state)
{
#define WITH(pcrs, pkfp, pol, sig)                                                                 \
	"{\"pcrs\":" pcrs ",\"pkfp\":" pkfp ",\"pol\":" pol ",\"sig\":" sig "}"
#define GOOD_PRINT "\"" HEX64 "\""
#define GOOD_POL   "\"" POLICY "\""
	static const char *const wrong[] = {
		"1",
		"null",
		"[]",
		"{}",
		"\"text\"",
		WITH("[]", GOOD_PRINT, GOOD_POL, "\"AAEC\""),
		WITH("[24]", GOOD_PRINT, GOOD_POL, "\"AAEC\""),
		WITH("[-1]", GOOD_PRINT, GOOD_POL, "\"AAEC\""),
		WITH("[4294967296]", GOOD_PRINT, GOOD_POL, "\"AAEC\""),
		WITH("[1.5]", GOOD_PRINT, GOOD_POL, "\"AAEC\""),
		WITH("[\"11\"]", GOOD_PRINT, GOOD_POL, "\"AAEC\""),
		WITH("11", GOOD_PRINT, GOOD_POL, "\"AAEC\""),
		WITH("[11]", "\"" HEX8 "\"", GOOD_POL, "\"AAEC\""),
		WITH("[11]", "\"" HEX64 "00\"", GOOD_POL, "\"AAEC\""),
		WITH("[11]", GOOD_PRINT, "\"" HEX8 "\"", "\"AAEC\""),
		WITH("[11]", GOOD_PRINT, "7", "\"AAEC\""),
		WITH("[11]", GOOD_PRINT, GOOD_POL, "\"\""),
		WITH("[11]", GOOD_PRINT, GOOD_POL, "\"AAE\""),
		WITH("[11]", GOOD_PRINT, GOOD_POL, "\"A*EC\""),
		WITH("[11]", GOOD_PRINT, GOOD_POL, "null"),
	};

	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		char text[1024];

		snprintf(text, sizeof text, FILE_OF("%s," ENTRY), wrong[i]);
		assert_int_equal(entries_in(text), 1);
		assert_int_equal(signatures.list[0].size, 3);
	}
}

static void a_signature_longer_than_any_is_passed_over(void **state)
{
	char text[2048], long_text[801];

	(void)state;
	memset(long_text, 'A', 800);
	long_text[800] = '\0';
	snprintf(text, sizeof text,
		FILE_OF("{\"pcrs\":[11],\"pkfp\":\"" HEX64 "\",\"pol\":\"" POLICY
			"\",\"sig\":\"%s\"}," ENTRY),
		long_text);
	assert_int_equal(entries_in(text), 1);
	assert_int_equal(signatures.list[0].size, 3);
}

static void what_is_no_object_is_no_file_of_signatures(void **state)
{
	static const char *const wrong[] = {"", "{", "[]", "1", "{\"sha256\":[}", "\xff\xfe",
		"{\"a\":1,\"a\":2}", "{\"sha256\":[]} more", "{\"sha256\":\"\\u0000\"}"};

	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		assert_false(parse(wrong[i]));
	/* What is wrong with it is said in the library's words. */
	assert_false(parse("{\"sha256\":[{\"pcrs\":[99999999999999999999]}]}"));
	assert_non_null(strstr(signatures.trouble, "too big integer"));
	assert_false(parse("{\"sha256\":[],\"sha256\":[]}"));
	assert_non_null(strstr(signatures.trouble, "duplicate"));
	assert_int_equal(entries_in("{}"), 0);
	assert_int_equal(entries_in("{\"sha256\":{}}"), 0);
	assert_int_equal(entries_in("{\"sha256\":null}"), 0);
}

static void depth_is_bounded_and_number_is_not(void **state)
{
	size_t size = 200000;
	char *text = malloc(size + 1);

	(void)state;
	assert_non_null(text);
	memset(text, '[', size);
	text[size] = '\0';
	assert_false(parse(text));
	size = (size_t)snprintf(text, size, "{\"sha256\":[" ENTRY);
	for (int i = 0; i < 500; i++)
		size += (size_t)snprintf(text + size, 200001 - size, "," ENTRY);
	snprintf(text + size, 200001 - size, "]}");
	assert_int_equal(entries_in(text), 501);
	free(text);
}

static void entries_that_are_none_take_no_memory(void **state)
{
	size_t room = 1000000, size;
	char *text = malloc(room);

	(void)state;
	assert_non_null(text);
	size = (size_t)snprintf(text, room, "{\"sha256\":[" ENTRY);
	while (size < room - 5)
		size += (size_t)snprintf(text + size, room - size, ",0");
	snprintf(text + size, room - size, "]}");
	assert_int_equal(entries_in(text), 1);
	assert_in_range(malloc_usable_size(signatures.list), sizeof signatures.list[0],
		2 * sizeof signatures.list[0]);
	free(text);
}

/* Runs a command of openssl that writes to standard output. */
static struct token_bytes openssl(const char *arguments, char buffer[TOKEN_PEM_MAX + 1])
{
	char command[512];
	FILE *file;
	size_t size;

	snprintf(command, sizeof command, "exec 2>/dev/null; %s", arguments);
	file = popen(command, "re");
	assert_non_null(file);
	size = fread(buffer, 1, TOKEN_PEM_MAX + 1, file);
	assert_int_equal(pclose(file), 0);
	return (struct token_bytes){(const uint8_t *)buffer, size};
}

#define RSA    "openssl genrsa 2048 | "
#define EC     "openssl ecparam -genkey -noout -name "
#define PUBOUT " | openssl pkey -pubout"

static void keys_are_taken_or_what_they_are_is_said(void **state)
{
	static const struct {
		const char *commands, *wrong; /* NULL: nothing is */
	} cases[] = {
		{RSA "openssl pkey -pubout", NULL},
		{"openssl genrsa 3072" PUBOUT, NULL},
		{"openssl genrsa 4096" PUBOUT, NULL},
		{RSA "openssl rsa -RSAPublicKey_out", NULL},
		{RSA "openssl pkey -pubout | sed 's/$/\\r/'", NULL},
		{RSA "openssl pkey -pubout -text", NULL},
		{"(echo 'Our key:'; echo; " RSA "openssl pkey -pubout)", NULL},
		{"printf '\\357\\273\\277# key\\n'; " RSA "openssl pkey -pubout", NULL},
		{EC "prime256v1" PUBOUT, NULL},
		{EC "secp384r1" PUBOUT, NULL},
		{EC "secp521r1" PUBOUT, NULL},
		{EC "prime256v1 | openssl ec -pubout -conv_form compressed", NULL},
		{EC "prime256v1 -param_enc explicit" PUBOUT, NULL},
		{"openssl genrsa 1024" PUBOUT, "of another size than 2048"},
		{"openssl genrsa 2056" PUBOUT, "of another size than 2048"},
		{"openssl genrsa -3 2048" PUBOUT, "another exponent"},
		{EC "secp256k1" PUBOUT, "on another curve"},
		{"openssl genpkey -algorithm ed25519" PUBOUT, "neither RSA nor EC"},
		{"openssl genpkey -algorithm rsa-pss" PUBOUT, "neither RSA nor EC"},
		/* The secret half has no business here. */
		{"openssl genrsa 2048", "a private key"},
		{"openssl genrsa -traditional 2048", "a private key"},
		{"openssl genrsa -aes128 -passout pass:x 2048", "a private key"},
		{"openssl genrsa -traditional -aes128 -passout pass:x 2048", "a private key"},
		{EC "prime256v1", "a private key"},
		{"openssl ecparam -name prime256v1 -genkey", "another kind than PUBLIC KEY"},
		{"openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=x -keyout /dev/null",
			"openssl x509 -in FILE -noout -pubkey"},
		{"openssl req -new -newkey rsa:2048 -nodes -subj /CN=x -keyout /dev/null",
			"a certificate"},
		{RSA "openssl pkey -pubout >k$$; cat k$$ k$$; rm k$$", "more than one block"},
		{RSA "openssl pkey -pubout -outform DER", "no PEM"},
		{"printf ''", "no PEM"},
		{"printf 'ssh-rsa AAAAB3NzaC1yc2E= us@host'", "no PEM"},
		{"head -c 2049 /dev/zero", "too long"},
		{"printf -- '-----BEGIN PUBLIC KEY-----\\nAAAA\\n-----END PUBLIC KEY-----\\n'",
			"a broken public key"},
	};
	char buffer[TOKEN_PEM_MAX + 1];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct token_bytes pem = openssl(cases[i].commands, buffer);
		struct tpm2_key key;
		const char *wrong = tpm2_key_read(&pem, &key);

		if ((wrong == NULL) != (cases[i].wrong == NULL) ||
			(wrong != NULL && strstr(wrong, cases[i].wrong) == NULL))
			fail_msg("%s: %s", cases[i].commands, wrong != NULL ? wrong : "taken");
		if (wrong == NULL)
			assert_true(tpm2_key_is_fit(&key));
	}
}

static void a_cut_key_is_refused_at_every_length(void **state)
{
	char buffer[TOKEN_PEM_MAX + 1];
	struct token_bytes pem = openssl("openssl genrsa 2048 | openssl pkey -pubout", buffer);
	size_t body = pem.size - strlen("-----\n");
	struct tpm2_key key;

	(void)state;
	for (pem.size = 0; pem.size <= body; pem.size++)
		assert_non_null(tpm2_key_read(&pem, &key));
}

static void a_signature_must_have_the_keys_form(void **state)
{
	static const uint8_t der[] = {0x30, 6, 2, 1, 1, 2, 1, 2}, bytes[TPM2_SIGNATURE_SIZE + 1];
	struct tpm2_key rsa = {0}, ecc = {0};
	TPMT_SIGNATURE signature;

	(void)state;
	rsa.public.publicArea.type = TPM2_ALG_RSA;
	rsa.public.publicArea.unique.rsa.size = 256;
	ecc.public.publicArea.type = TPM2_ALG_ECC;
	ecc.public.publicArea.unique.ecc.x.size = 32;
	assert_true(tpm2_key_signature(&rsa, bytes, 256, &signature));
	assert_false(tpm2_key_signature(&rsa, bytes, 255, &signature));
	assert_false(tpm2_key_signature(&rsa, bytes, 257, &signature));
	assert_false(tpm2_key_signature(&rsa, bytes, sizeof bytes, &signature));
	assert_true(tpm2_key_signature(&ecc, der, sizeof der, &signature));
	assert_int_equal(signature.signature.ecdsa.signatureS.buffer[31], 2);
	assert_false(tpm2_key_signature(&ecc, der, sizeof der - 1, &signature));
	assert_false(tpm2_key_signature(&ecc, bytes, 64, &signature));
	assert_false(tpm2_key_signature(&ecc, bytes, 0, &signature));
}

static void a_number_too_large_for_p256_is_refused(void **state)
{
	/* r has 33 bytes, of which the first is 1; s is 1. */
	uint8_t der[40] = {0x30, 38, 2, 33, 1, [37] = 2, 1, 1};
	struct tpm2_key ecc = {
		.public.publicArea = {.type = TPM2_ALG_ECC, .unique.ecc.x.size = 32}};
	TPMT_SIGNATURE signature;

	(void)state;
	assert_false(tpm2_key_signature(&ecc, der, sizeof der, &signature));
	/* The control: with a zero there it is a number of 32 bytes. */
	der[4] = 0;
	der[5] = 0x80;
	assert_true(tpm2_key_signature(&ecc, der, sizeof der, &signature));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_entry_is_read_as_systemd_measure_writes_it),
		cmocka_unit_test(a_bank_that_is_not_used_is_named_and_so_is_another_key),
		cmocka_unit_test(other_keys_are_passed_over),
		cmocka_unit_test(what_is_not_understood_is_passed_over),
		cmocka_unit_test(a_signature_longer_than_any_is_passed_over),
		cmocka_unit_test(what_is_no_object_is_no_file_of_signatures),
		cmocka_unit_test(depth_is_bounded_and_number_is_not),
		cmocka_unit_test(entries_that_are_none_take_no_memory),
		cmocka_unit_test(keys_are_taken_or_what_they_are_is_said),
		cmocka_unit_test(a_cut_key_is_refused_at_every_length),
		cmocka_unit_test(a_signature_must_have_the_keys_form),
		cmocka_unit_test(a_number_too_large_for_p256_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, forget);
}
