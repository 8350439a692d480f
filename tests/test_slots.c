/* SPDX-License-Identifier: ISC */
#include <string.h>

#include <sodium.h>

#include "mortise_test.h"
#include "records.h"
#include "slots.h"
#include "wire.h"

static const uint8_t store_a[ID_SIZE] = {1}, store_b[ID_SIZE] = {2};
static const struct slot_identity identity_a = {store_a, 3, 4};
static const uint8_t blob[] = "what the TPM keeps outside itself";

struct fixture {
	struct secret *h, *master_key, *label_key;
	uint8_t record[SLOT_RECORD_MAX];
	size_t size;
};

static struct slot_making making_of(const struct fixture *fixture)
{
	static const struct slot_hints hints = {.flags = SLOT_HAS_PIN,
		.created_us = 1,
		.opened_us = 2,
		.tested_us = UINT64_MAX,
		.pcrs = 1 << 7 | 1 << 11,
		.of = 4,
		.boots = 5,
		.ends_us = 6,
		.pcr_key = {(const uint8_t *)"a key", 5},
		.uri = {(const uint8_t *)"pkcs11:token=t", 14},
		.boot = {(const uint8_t *)"a boot", 6}};

	return (struct slot_making){.kind = SLOT_KIND_TPM2,
		.h = fixture->h,
		.blob = {blob, sizeof blob},
		.hints = &hints,
		.master_key = fixture->master_key,
		.label_key = fixture->label_key};
}

static int set_up(void **state)
{
	static struct fixture fixture;

	if (secret_pool_open(65536) != MORTISE_OK ||
		secret_random(KEY_SIZE, &fixture.h) != MORTISE_OK ||
		secret_random(KEY_SIZE, &fixture.master_key) != MORTISE_OK ||
		secret_random(KEY_SIZE, &fixture.label_key) != MORTISE_OK)
		return -1;
	struct slot_making making = making_of(&fixture);
	*state = &fixture;
	return slot_make(&identity_a, &making, fixture.record, &fixture.size) == MORTISE_OK ? 0
											    : -1;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	secret_drop(&fixture->h);
	secret_drop(&fixture->master_key);
	secret_drop(&fixture->label_key);
	secret_pool_close();
	return 0;
}

static enum mortise_status read_slot(const struct fixture *fixture, struct slot *out_slot)
{
	return slot_read((struct store_bytes){fixture->record, fixture->size}, out_slot);
}

static enum mortise_status open_as(
	const struct fixture *fixture, const struct slot_identity *identity)
{
	CLEANUP(secret_drop) struct secret *opened = NULL;
	struct slot slot;

	assert_int_equal(read_slot(fixture, &slot), MORTISE_OK);
	enum mortise_status status = slot_open(identity, &slot, fixture->h, &opened);
	if (status == MORTISE_OK)
		assert_true(secret_equals(opened, fixture->master_key));
	else
		assert_null(opened);
	return status;
}

static void a_slot_gives_the_master_key_back(void **state)
{
	assert_int_equal(open_as(*state, &identity_a), MORTISE_OK);
}

static void a_record_tells_what_was_put_in(void **state)
{
	struct slot slot;

	assert_int_equal(read_slot(*state, &slot), MORTISE_OK);
	assert_string_equal(slot.kind, SLOT_KIND_TPM2);
	assert_string_equal(slot.key_id, "");
	assert_int_equal(slot.blob.size, sizeof blob);
	assert_memory_equal(slot.blob.bytes, blob, sizeof blob);
}

static void a_recovery_slot_names_its_key(void **state)
{
	struct fixture *fixture = *state;
	struct slot_making making = making_of(fixture);
	struct slot slot;

	making.kind = SLOT_KIND_RECOVERY;
	making.key_id = "K7QF";
	making.blob = (struct store_bytes){NULL, 0};
	assert_int_equal(
		slot_make(&identity_a, &making, fixture->record, &fixture->size), MORTISE_OK);
	assert_int_equal(read_slot(fixture, &slot), MORTISE_OK);
	assert_string_equal(slot.kind, SLOT_KIND_RECOVERY);
	assert_string_equal(slot.key_id, "K7QF");
	assert_int_equal(slot.blob.size, 0);
	assert_int_equal(open_as(fixture, &identity_a), MORTISE_OK);
}

static void another_h_is_denied(void **state)
{
	struct fixture *fixture = *state;

	fixture->h->bytes[0] ^= 1;
	assert_int_equal(open_as(fixture, &identity_a), MORTISE_DENIED);
}

static void an_h_of_another_size_opens_nothing(void **state)
{
	struct fixture *fixture = *state;

	secret_drop(&fixture->h);
	assert_int_equal(secret_random(KEY_SIZE - 1, &fixture->h), MORTISE_OK);
	assert_int_not_equal(open_as(fixture, &identity_a), MORTISE_OK);
}

static void a_slot_of_another_store_is_refused(void **state)
{
	struct slot_identity identity = identity_a;

	identity.store = store_b;
	assert_int_equal(open_as(*state, &identity), MORTISE_INTEGRITY);
}

static void a_slot_under_another_number_is_refused(void **state)
{
	struct slot_identity identity = identity_a;

	identity.id = 4;
	assert_int_equal(open_as(*state, &identity), MORTISE_INTEGRITY);
}

static void a_slot_of_another_epoch_is_refused(void **state)
{
	struct slot_identity identity = identity_a;

	identity.epoch = 3;
	assert_int_equal(open_as(*state, &identity), MORTISE_INTEGRITY);
}

static void every_truncated_record_is_refused(void **state)
{
	struct fixture *fixture = *state;
	struct slot slot;

	for (size_t size = 0; size < fixture->size; size++)
		assert_int_equal(slot_read((struct store_bytes){fixture->record, size}, &slot),
			MORTISE_INTEGRITY);
	assert_int_equal(slot_read((struct store_bytes){NULL, 0}, &slot), MORTISE_INTEGRITY);
}

/*
 * Of a record's flipped bit three things may come: it is no record any more, it does not open,
 * or it is in what only the token or the tally can judge (kind, blob, the sealed public half).
 */
static bool is_judged_elsewhere(const struct slot *before, const struct slot *after)
{
	const struct slot_hints *a = &before->hints, *b = &after->hints;

	return strcmp(before->kind, after->kind) != 0 ||
	       memcmp(a, b, offsetof(struct slot_hints, pcr_key)) != 0 ||
	       a->pcr_key.size != b->pcr_key.size || a->uri.size != b->uri.size ||
	       a->boot.size != b->boot.size ||
	       memcmp(a->pcr_key.bytes, b->pcr_key.bytes, a->pcr_key.size) != 0 ||
	       memcmp(a->uri.bytes, b->uri.bytes, a->uri.size) != 0 ||
	       memcmp(a->boot.bytes, b->boot.bytes, a->boot.size) != 0 ||
	       (after->blob.size == before->blob.size &&
		       memcmp(before->blob.bytes, after->blob.bytes, after->blob.size) != 0) ||
	       memcmp(before->public_half.bytes, after->public_half.bytes,
		       after->public_half.size) != 0;
}

static void a_flipped_bit_never_opens_as_something_else(void **state)
{
	struct fixture *fixture = *state;
	uint8_t flipped[SLOT_RECORD_MAX];
	struct slot before, after;

	assert_int_equal(read_slot(fixture, &before), MORTISE_OK);
	for (size_t bit = 0; bit < fixture->size * 8; bit++) {
		CLEANUP(secret_drop) struct secret *opened = NULL;
		memcpy(flipped, fixture->record, fixture->size);
		flipped[bit / 8] ^= (uint8_t)(1u << bit % 8);
		if (slot_read((struct store_bytes){flipped, fixture->size}, &after) != MORTISE_OK)
			continue;
		enum mortise_status status = slot_open(&identity_a, &after, fixture->h, &opened);
		if (status == MORTISE_OK) {
			assert_true(is_judged_elsewhere(&before, &after));
			assert_true(secret_equals(opened, fixture->master_key));
		} else {
			assert_int_equal(status, MORTISE_DENIED);
		}
	}
}

/* What a record is made of; all else is zeros. */
struct parts {
	const char *kind, *key_id;
	size_t salt, half, box;
	unsigned request_id;
};

static enum mortise_status read_parts(const struct parts *parts)
{
	const uint8_t zeros[256] = {0};
	uint8_t record[1024];
	struct wire_writer writer;
	struct slot slot;

	wire_begin(&writer, record, sizeof record, 1, parts->request_id);
	wire_put_text(&writer, RECORD_TAG_SLOT_KIND, parts->kind);
	if (parts->key_id)
		wire_put_text(&writer, RECORD_TAG_KEY_ID, parts->key_id);
	wire_put(&writer, RECORD_TAG_SALT, zeros, parts->salt);
	wire_put(&writer, RECORD_TAG_PUBLIC, zeros, parts->half);
	wire_put(&writer, RECORD_TAG_BOX, zeros, parts->box);
	size_t size = wire_finish(&writer);
	assert_int_not_equal(size, 0);
	return slot_read((struct store_bytes){record, size}, &slot);
}

static enum mortise_status read_with(const char *kind, const char *key_id, unsigned request_id)
{
	return read_parts(&(struct parts){kind, key_id, 16, 72, 112, request_id});
}

static void parts_of_a_wrong_size_are_refused(void **state)
{
	static const struct parts parts[] = {
		{"tpm2", NULL, 15, 72, 112, 0},
		{"tpm2", NULL, 17, 72, 112, 0},
		{"tpm2", NULL, 16, 71, 112, 0},
		{"tpm2", NULL, 16, 73, 112, 0},
		{"tpm2", NULL, 16, 72, 111, 0},
		{"tpm2", NULL, 16, 72, 113, 0},
		{"tpm2", NULL, 16, 72, 0, 0},
	};

	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
		assert_int_equal(read_parts(&parts[i]), MORTISE_INTEGRITY);
}

static void words_that_would_confuse_a_terminal_are_refused(void **state)
{
	assert_int_equal(read_with("recovery", "K7QF", 0), MORTISE_OK);
	assert_int_equal(read_with("recovery", "\033[2J", 0), MORTISE_INTEGRITY);
	assert_int_equal(read_with("recovery", "", 0), MORTISE_INTEGRITY);
	assert_int_equal(read_with("recovery", "K7QFX", 0), MORTISE_INTEGRITY);
	assert_int_equal(read_with("tp\nm2", NULL, 0), MORTISE_INTEGRITY);
	assert_int_equal(read_with("", NULL, 0), MORTISE_INTEGRITY);
	assert_int_equal(read_with("sixteen-letters-", NULL, 0), MORTISE_INTEGRITY);
}

static void what_a_record_leaves_unused_must_be_zero(void **state)
{
	assert_int_equal(read_with("tpm2", NULL, 1), MORTISE_INTEGRITY);
}

static void a_record_that_is_too_large_is_refused(void **state)
{
	struct fixture *fixture = *state;
	static uint8_t large[SLOT_RECORD_MAX], record[2 * SLOT_RECORD_MAX];
	struct slot_making making = making_of(fixture);
	struct wire_writer writer;
	struct slot slot;
	size_t size = 77;

	making.blob = (struct store_bytes){large, sizeof large};
	assert_int_equal(slot_make(&identity_a, &making, record, &size), MORTISE_INVALID);
	assert_int_equal(size, 77);

	assert_int_equal(read_slot(fixture, &slot), MORTISE_OK);
	wire_begin(&writer, record, sizeof record, 1, 0);
	wire_put_text(&writer, RECORD_TAG_SLOT_KIND, slot.kind);
	wire_put(&writer, RECORD_TAG_BLOB, large, sizeof large);
	wire_put(&writer, RECORD_TAG_SALT, slot.salt, sizeof slot.salt);
	wire_put(&writer, RECORD_TAG_PUBLIC, slot.public_half.bytes, slot.public_half.size);
	wire_put(&writer, RECORD_TAG_BOX, slot.box.bytes, slot.box.size);
	size = wire_finish(&writer);
	assert_int_not_equal(size, 0);
	assert_int_equal(slot_read((struct store_bytes){record, size}, &slot), MORTISE_INTEGRITY);
}

static void no_key_stands_in_the_clear_in_a_record(void **state)
{
	struct fixture *fixture = *state;
	CLEANUP(secret_drop) struct secret *secret_half = NULL;
	uint8_t public_half[32];
	struct slot slot;

	assert_int_equal(read_slot(fixture, &slot), MORTISE_OK);
	assert_int_equal(
		envelope_pair(fixture->h, slot.salt, &secret_half, public_half), MORTISE_OK);
	const void *const hidden[] = {public_half, secret_half->bytes, fixture->h->bytes,
		fixture->master_key->bytes, fixture->label_key->bytes};
	for (size_t i = 0; i < sizeof hidden / sizeof hidden[0]; i++)
		assert_null(memmem(fixture->record, fixture->size, hidden[i], 16));
}

static void the_master_key_finds_the_public_half_again(void **state)
{
	struct fixture *fixture = *state;
	CLEANUP(secret_drop) struct secret *secret_half = NULL;
	struct envelope_binding place = {ENVELOPE_SLOT_PUBLIC, store_a, 0, 3, 4};
	uint8_t public_half[32], kept[32];
	struct slot slot;

	assert_int_equal(read_slot(fixture, &slot), MORTISE_OK);
	assert_int_equal(
		envelope_pair(fixture->h, slot.salt, &secret_half, public_half), MORTISE_OK);
	assert_int_equal(envelope_open_into(fixture->label_key, &place, slot.public_half.bytes,
				 slot.public_half.size, kept),
		MORTISE_OK);
	assert_memory_equal(kept, public_half, sizeof kept);
}

static void two_slots_of_one_h_share_nothing(void **state)
{
	struct fixture *fixture = *state;
	struct slot_making making = making_of(fixture);
	uint8_t record[SLOT_RECORD_MAX];
	struct slot first, second;
	size_t size;

	assert_int_equal(slot_make(&identity_a, &making, record, &size), MORTISE_OK);
	assert_int_equal(read_slot(fixture, &first), MORTISE_OK);
	assert_int_equal(slot_read((struct store_bytes){record, size}, &second), MORTISE_OK);
	assert_memory_not_equal(first.salt, second.salt, sizeof first.salt);
	assert_memory_not_equal(first.box.bytes, second.box.bytes, 32);
}

static void a_master_key_or_h_of_another_size_makes_no_slot(void **state)
{
	struct fixture *fixture = *state;
	CLEANUP(secret_drop) struct secret *small = NULL;
	struct slot_making making = making_of(fixture);
	size_t size = 77;

	assert_int_equal(secret_random(KEY_SIZE - 1, &small), MORTISE_OK);
	making.master_key = small;
	assert_int_equal(slot_make(&identity_a, &making, fixture->record, &size), MORTISE_INVALID);
	making = making_of(fixture);
	making.h = small;
	assert_int_not_equal(slot_make(&identity_a, &making, fixture->record, &size), MORTISE_OK);
	assert_int_equal(size, 77);
}

static struct slot_resealing resealing_of(const struct fixture *fixture,
	const struct secret *master_key, const struct secret *label_key)
{
	return (struct slot_resealing){.old = identity_a,
		.new = {store_a, identity_a.id, identity_a.epoch + 1},
		.old_label_key = fixture->label_key,
		.master_key = master_key,
		.label_key = label_key};
}

static void a_slot_made_anew_opens_the_new_key_and_is_else_as_it_was(void **state)
{
	struct fixture *fixture = *state;
	CLEANUP(secret_drop) struct secret *fresh = NULL;
	CLEANUP(secret_drop) struct secret *label_key = NULL;
	CLEANUP(secret_drop) struct secret *opened = NULL;
	uint8_t record[SLOT_RECORD_MAX];
	struct slot was, is;
	size_t size = 0;

	assert_int_equal(secret_random(KEY_SIZE, &fresh), MORTISE_OK);
	assert_int_equal(secret_random(KEY_SIZE, &label_key), MORTISE_OK);
	const struct slot_resealing resealing = resealing_of(fixture, fresh, label_key);
	assert_int_equal(
		slot_reseal(&resealing, (struct store_bytes){fixture->record, fixture->size},
			record, &size),
		MORTISE_OK);
	assert_int_equal(read_slot(fixture, &was), MORTISE_OK);
	assert_int_equal(slot_read((struct store_bytes){record, size}, &is), MORTISE_OK);
	assert_string_equal(is.kind, was.kind);
	assert_int_equal(is.blob.size, was.blob.size);
	assert_memory_equal(is.blob.bytes, was.blob.bytes, is.blob.size);
	assert_memory_equal(is.salt, was.salt, ID_SIZE);
	assert_int_equal(slot_open(&identity_a, &is, fixture->h, &opened), MORTISE_INTEGRITY);
	assert_int_equal(slot_open(&resealing.new, &is, fixture->h, &opened), MORTISE_OK);
	assert_true(secret_equals(opened, fresh));
}

static void a_slot_is_made_anew_only_with_its_own_label_key_and_identity(void **state)
{
	struct fixture *fixture = *state;
	const struct store_bytes record = {fixture->record, fixture->size};
	uint8_t out[SLOT_RECORD_MAX];
	size_t size = 77;

	for (unsigned wrong = 0; wrong < 5; wrong++) {
		struct slot_resealing resealing =
			resealing_of(fixture, fixture->master_key, fixture->label_key);
		if (wrong == 0)
			resealing.old_label_key = fixture->h;
		if (wrong == 1)
			resealing.old.epoch++;
		if (wrong == 2)
			resealing.old.id++;
		if (wrong == 3)
			resealing.old.store = store_b;
		assert_int_equal(
			slot_reseal(&resealing,
				wrong == 4 ? (struct store_bytes){record.bytes, record.size - 1}
					   : record,
				out, &size),
			MORTISE_INTEGRITY);
		assert_int_equal(size, 77);
	}
}

static void hints_come_back_as_they_went_and_can_be_changed_alone(void **state)
{
	struct fixture *fixture = *state;
	uint8_t record[SLOT_RECORD_MAX];
	struct slot before, after;
	size_t size = 0;

	assert_int_equal(read_slot(fixture, &before), MORTISE_OK);
	assert_int_equal(before.hints.flags, SLOT_HAS_PIN);
	assert_int_equal(before.hints.pcrs, 1 << 7 | 1 << 11);
	assert_true(before.hints.tested_us == UINT64_MAX);
	assert_int_equal(before.hints.uri.size, 14);
	assert_memory_equal(before.hints.uri.bytes, "pkcs11:token=t", 14);
	struct slot_hints hints = before.hints;
	hints.flags = SLOT_STAGED;
	hints.of = 0;
	hints.uri = (struct store_bytes){NULL, 0};
	assert_int_equal(slot_hint(&before, &hints, record, &size), MORTISE_OK);
	assert_int_equal(slot_read((struct store_bytes){record, size}, &after), MORTISE_OK);
	assert_int_equal(after.hints.flags, SLOT_STAGED);
	assert_int_equal(after.hints.of, 0);
	assert_null(after.hints.uri.bytes);
	assert_memory_equal(after.box.bytes, before.box.bytes, before.box.size);
	assert_memory_equal(
		after.public_half.bytes, before.public_half.bytes, before.public_half.size);
	assert_memory_equal(after.salt, before.salt, ID_SIZE);
	assert_int_equal(after.blob.size, before.blob.size);
}

static void hints_that_are_too_large_for_a_record_make_none(void **state)
{
	static const uint8_t bytes[SLOT_RECORD_MAX] = {0};
	struct fixture *fixture = *state;
	struct slot_making making = making_of(fixture);
	uint8_t record[SLOT_RECORD_MAX];
	size_t size = 7;

	making.blob = (struct store_bytes){bytes, sizeof bytes};
	assert_int_equal(slot_make(&identity_a, &making, record, &size), MORTISE_INVALID);
	assert_int_equal(size, 7);
}

static void an_escrow_slot_is_opened_by_the_key_whose_public_half_it_got(void **state)
{
	struct fixture *fixture = *state;
	struct slot_making making = making_of(fixture);
	uint8_t half[SLOT_PUBLIC_SIZE], record[SLOT_RECORD_MAX];
	CLEANUP(secret_drop) struct secret *opened = NULL;
	CLEANUP(secret_drop) struct secret *other = NULL;
	struct slot slot;
	size_t size = 0;

	assert_int_equal(slot_escrow_half(fixture->h, half), MORTISE_OK);
	making.h = NULL;
	making.escrow_half = half;
	making.kind = SLOT_KIND_ESCROW;
	assert_int_equal(slot_make(&identity_a, &making, record, &size), MORTISE_OK);
	assert_int_equal(slot_read((struct store_bytes){record, size}, &slot), MORTISE_OK);
	assert_int_equal(secret_random(KEY_SIZE, &other), MORTISE_OK);
	assert_int_equal(slot_open(&identity_a, &slot, other, &opened), MORTISE_DENIED);
	assert_int_equal(slot_open(&identity_a, &slot, fixture->h, &opened), MORTISE_OK);
	assert_true(secret_equals(opened, fixture->master_key));
}

static void an_escrow_half_to_which_anybody_has_the_key_is_refused(void **state)
{
	static const uint8_t low_order[][SLOT_PUBLIC_SIZE] = {{0}, {1}};
	struct fixture *fixture = *state;
	struct slot_making making = making_of(fixture);
	uint8_t record[SLOT_RECORD_MAX];
	size_t size = 7;

	making.h = NULL;
	for (size_t i = 0; i < 2; i++) {
		making.escrow_half = low_order[i];
		assert_int_equal(slot_make(&identity_a, &making, record, &size), MORTISE_INVALID);
	}
	assert_int_equal(size, 7);
}

int main(void)
{
#define IN_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		IN_FIXTURE(a_slot_gives_the_master_key_back),
		IN_FIXTURE(hints_come_back_as_they_went_and_can_be_changed_alone),
		IN_FIXTURE(hints_that_are_too_large_for_a_record_make_none),
		IN_FIXTURE(an_escrow_slot_is_opened_by_the_key_whose_public_half_it_got),
		IN_FIXTURE(an_escrow_half_to_which_anybody_has_the_key_is_refused),
		IN_FIXTURE(a_record_tells_what_was_put_in),
		IN_FIXTURE(a_recovery_slot_names_its_key),
		IN_FIXTURE(another_h_is_denied),
		IN_FIXTURE(an_h_of_another_size_opens_nothing),
		IN_FIXTURE(a_slot_of_another_store_is_refused),
		IN_FIXTURE(a_slot_under_another_number_is_refused),
		IN_FIXTURE(a_slot_of_another_epoch_is_refused),
		IN_FIXTURE(every_truncated_record_is_refused),
		IN_FIXTURE(a_flipped_bit_never_opens_as_something_else),
		IN_FIXTURE(parts_of_a_wrong_size_are_refused),
		IN_FIXTURE(words_that_would_confuse_a_terminal_are_refused),
		IN_FIXTURE(what_a_record_leaves_unused_must_be_zero),
		IN_FIXTURE(a_record_that_is_too_large_is_refused),
		IN_FIXTURE(no_key_stands_in_the_clear_in_a_record),
		IN_FIXTURE(the_master_key_finds_the_public_half_again),
		IN_FIXTURE(two_slots_of_one_h_share_nothing),
		IN_FIXTURE(a_master_key_or_h_of_another_size_makes_no_slot),
		IN_FIXTURE(a_slot_made_anew_opens_the_new_key_and_is_else_as_it_was),
		IN_FIXTURE(a_slot_is_made_anew_only_with_its_own_label_key_and_identity),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
