/* SPDX-License-Identifier: ISC */
/* Blobs that a disk may bring back: none but the right one opens. */
#include <stdlib.h>
#include <string.h>

#include "mortise_test.h"
#include "tpm2_blob.h"
#include "tpm_slot.h"

static void need_slot(void)
{
	if (!slot.is_there)
		skip();
}

static void a_cut_blob_is_refused_at_every_length(void **state)
{
	struct token_options options = slot_options(slot.tpm.tcti);

	(void)state;
	need_slot();
	for (size_t size = 0; size < slot.blob_size; size++) {
		CLEANUP(secret_drop) struct secret *h = NULL;
		uint8_t *blob = malloc(size + 1);

		assert_non_null(blob);
		memcpy(blob, slot.blob, size);
		assert_int_equal(slot_try_open(&options, blob, size, &h), TOKEN_FAULT_MALFORMED);
		free(blob);
	}
}

static void a_longer_blob_is_refused(void **state)
{
	CLEANUP(secret_drop) struct secret *h = NULL;
	struct token_options options = slot_options(slot.tpm.tcti);
	uint8_t blob[TOKEN_BLOB_MAX] = {0};

	(void)state;
	need_slot();
	memcpy(blob, slot.blob, slot.blob_size);
	assert_int_equal(
		slot_try_open(&options, blob, slot.blob_size + 1, &h), TOKEN_FAULT_MALFORMED);
	assert_int_equal(slot_try_open(&options, blob, sizeof blob, &h), TOKEN_FAULT_MALFORMED);
}

static void a_flipped_bit_is_refused_in_every_byte(void **state)
{
	struct token_options options = slot_options(slot.tpm.tcti);

	(void)state;
	need_slot();
	for (size_t i = 0; i < slot.blob_size; i++) {
		CLEANUP(secret_drop) struct secret *h = NULL;
		uint8_t blob[TOKEN_BLOB_MAX];
		enum token_fault fault;

		memcpy(blob, slot.blob, slot.blob_size);
		blob[i] = (uint8_t)(blob[i] ^ 1u << i % 8);
		fault = slot_try_open(&options, blob, slot.blob_size, &h);
		assert_true(fault == TOKEN_FAULT_MALFORMED || fault == TOKEN_FAULT_REFUSED ||
			    fault == TOKEN_FAULT_OTHER_SRK || fault == TOKEN_FAULT_UNFIT_SRK);
		assert_null(h);
	}
	assert_nothing_is_left(&slot.tpm);
}

static void a_sealed_object_with_other_attributes_is_not_ours(void **state)
{
	struct tpm2_blob blob = {0};
	uint8_t bytes[TOKEN_BLOB_MAX];
	size_t size;

	(void)state;
	need_slot();
	assert_true(tpm2_blob_unpack(&(struct token_bytes){slot.blob, slot.blob_size}, &blob));
	blob.public.publicArea.objectAttributes &= ~TPMA_OBJECT_NODA;
	assert_true(tpm2_blob_pack(&blob, bytes, &size));
	assert_false(tpm2_blob_unpack(&(struct token_bytes){bytes, size}, &blob));
}

static void a_recorded_srk_that_is_not_fit_is_not_salted_to(void **state)
{
	static const TPMA_OBJECT needed[] = {TPMA_OBJECT_FIXEDTPM, TPMA_OBJECT_FIXEDPARENT,
		TPMA_OBJECT_SENSITIVEDATAORIGIN, TPMA_OBJECT_RESTRICTED, TPMA_OBJECT_DECRYPT,
		TPMA_OBJECT_SIGN_ENCRYPT};
	struct token_options options = slot_options(slot.tpm.tcti);

	(void)state;
	need_slot();
	for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
		CLEANUP(secret_drop) struct secret *h = NULL;
		struct tpm2_blob blob = {0};
		uint8_t bytes[TOKEN_BLOB_MAX];
		size_t size;

		assert_true(
			tpm2_blob_unpack(&(struct token_bytes){slot.blob, slot.blob_size}, &blob));
		blob.srk.publicArea.objectAttributes ^= needed[i];
		assert_true(tpm2_blob_pack(&blob, bytes, &size));
		assert_int_equal(slot_try_open(&options, bytes, size, &h), TOKEN_FAULT_UNFIT_SRK);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_cut_blob_is_refused_at_every_length),
		cmocka_unit_test(a_longer_blob_is_refused),
		cmocka_unit_test(a_flipped_bit_is_refused_in_every_byte),
		cmocka_unit_test(a_sealed_object_with_other_attributes_is_not_ours),
		cmocka_unit_test(a_recorded_srk_that_is_not_fit_is_not_salted_to),
	};

	return cmocka_run_group_tests(tests, slot_set_up, slot_tear_down);
}
