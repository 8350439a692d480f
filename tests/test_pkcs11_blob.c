/* SPDX-License-Identifier: ISC */
/* What a PKCS #11 slot keeps on the disk, and what return values mean. */
#include <string.h>

#include "mortise_test.h"
#include "pkcs11_link.h"

static const enum pkcs11_mechanism mechanisms[] = {
	PKCS11_AES_GCM, PKCS11_OAEP_SHA256, PKCS11_OAEP_SHA1, PKCS11_ECDH};

#define MECHANISMS (sizeof mechanisms / sizeof *mechanisms)

static size_t pack(enum pkcs11_mechanism mechanism, uint8_t bytes[TOKEN_BLOB_MAX])
{
	struct pkcs11_blob blob = {.mechanism = mechanism, .needs_pin = true};

	memset(blob.identity, 'i', sizeof blob.identity);
	memset(blob.key_id, 'k', sizeof blob.key_id);
	memset(blob.body, 'b', sizeof blob.body);
	return pkcs11_blob_pack(&blob, bytes);
}

static bool unpacks(const uint8_t *bytes, size_t size)
{
	struct pkcs11_blob blob = {.mechanism = PKCS11_ECDH};
	bool is_one = pkcs11_blob_unpack(bytes, size, &blob);

	if (!is_one)
		assert_int_equal(blob.mechanism, PKCS11_ECDH);
	return is_one;
}

static void what_is_packed_is_unpacked(void **state)
{
	uint8_t bytes[TOKEN_BLOB_MAX], again[TOKEN_BLOB_MAX];
	struct pkcs11_blob blob;

	(void)state;
	for (size_t i = 0; i < MECHANISMS; i++) {
		size_t size = pack(mechanisms[i], bytes);

		assert_true(pkcs11_blob_unpack(bytes, size, &blob));
		assert_int_equal(blob.mechanism, mechanisms[i]);
		assert_true(blob.needs_pin);
		assert_int_equal(pkcs11_blob_pack(&blob, again), size);
		assert_memory_equal(bytes, again, size);
	}
}

static void the_header_is_the_first_part_of_the_blob(void **state)
{
	uint8_t bytes[TOKEN_BLOB_MAX], header[PKCS11_HEADER_SIZE];
	struct pkcs11_blob blob;

	(void)state;
	assert_true(pkcs11_blob_unpack(bytes, pack(PKCS11_AES_GCM, bytes), &blob));
	pkcs11_blob_header(&blob, header);
	assert_memory_equal(bytes, header, sizeof header);
}

static void another_size_is_refused(void **state)
{
	uint8_t bytes[TOKEN_BLOB_MAX] = {0};

	(void)state;
	for (size_t i = 0; i < MECHANISMS; i++) {
		size_t right = pack(mechanisms[i], bytes);

		for (size_t size = 0; size <= TOKEN_BLOB_MAX; size++)
			assert_int_equal(unpacks(bytes, size), size == right);
	}
}

static void another_version_or_flag_is_refused(void **state)
{
	uint8_t bytes[TOKEN_BLOB_MAX];

	(void)state;
	for (size_t at = 0; at < 4; at++) {
		size_t size = pack(PKCS11_AES_GCM, bytes);
		uint8_t right = bytes[at];

		for (unsigned byte = 0; byte < 256; byte++) {
			bytes[at] = (uint8_t)byte;
			if (at == 2 || (at == 3 && byte == 0) || byte == right)
				continue;
			assert_false(unpacks(bytes, size));
		}
	}
}

/* The kinds of OAEP are of one size, so they can be taken for one another, and then do not open. */
static void a_mechanism_that_is_none_of_ours_is_refused(void **state)
{
	uint8_t bytes[TOKEN_BLOB_MAX];

	(void)state;
	for (size_t i = 0; i < MECHANISMS; i++) {
		size_t size = pack(mechanisms[i], bytes);

		for (unsigned byte = 0; byte < 256; byte++) {
			bytes[2] = (uint8_t)byte;
			assert_int_equal(unpacks(bytes, size),
				size == PKCS11_HEADER_SIZE +
						pkcs11_body_size((enum pkcs11_mechanism)byte));
		}
	}
	assert_int_equal(pkcs11_body_size((enum pkcs11_mechanism)0), 0);
	assert_int_equal(pkcs11_body_size((enum pkcs11_mechanism)5), 0);
}

static void values_become_faults(void **state)
{
	(void)state;
	assert_int_equal(pkcs11_fault_of(CKR_OK, TOKEN_FAULT_OTHER), TOKEN_FAULT_NONE);
	assert_int_equal(
		pkcs11_fault_of(CKR_PIN_INCORRECT, TOKEN_FAULT_OTHER), TOKEN_FAULT_WRONG_PIN);
	assert_int_equal(pkcs11_fault_of(CKR_PIN_LOCKED, TOKEN_FAULT_OTHER), TOKEN_FAULT_LOCKOUT);
	assert_int_equal(
		pkcs11_fault_of(CKR_DEVICE_REMOVED, TOKEN_FAULT_OTHER), TOKEN_FAULT_ABSENT);
	assert_int_equal(pkcs11_fault_of(CKR_DEVICE_ERROR, TOKEN_FAULT_REFUSED), TOKEN_FAULT_OTHER);
}

static void a_value_that_says_no_more_than_no_is_a_refusal(void **state)
{
	(void)state;
	assert_int_equal(
		pkcs11_fault_of(CKR_GENERAL_ERROR, TOKEN_FAULT_REFUSED), TOKEN_FAULT_REFUSED);
	assert_int_equal(
		pkcs11_fault_of(CKR_FUNCTION_FAILED, TOKEN_FAULT_REFUSED), TOKEN_FAULT_REFUSED);
	assert_int_equal(pkcs11_fault_of(0x80001234, TOKEN_FAULT_REFUSED), TOKEN_FAULT_REFUSED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_packed_is_unpacked),
		cmocka_unit_test(the_header_is_the_first_part_of_the_blob),
		cmocka_unit_test(another_size_is_refused),
		cmocka_unit_test(another_version_or_flag_is_refused),
		cmocka_unit_test(a_mechanism_that_is_none_of_ours_is_refused),
		cmocka_unit_test(values_become_faults),
		cmocka_unit_test(a_value_that_says_no_more_than_no_is_a_refusal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
