/* SPDX-License-Identifier: ISC */
#include <string.h>

#include <sodium.h>

#include "envelope.h"
#include "mortise_test.h"

#define PLAIN_SIZE  24
#define SEALED_SIZE (PLAIN_SIZE + ENVELOPE_OVERHEAD)

static const uint8_t plain[PLAIN_SIZE] = "four and twenty letters";
static const uint8_t store_a[ID_SIZE] = {1}, store_b[ID_SIZE] = {2};
static const struct envelope_binding place_a = {ENVELOPE_HEAD, store_a, 3, 5, 6};

struct fixture {
	struct secret *key;
	uint8_t sealed[SEALED_SIZE];
};

static int set_up(void **state)
{
	static struct fixture fixture;

	if (secret_pool_open(65536) != MORTISE_OK ||
		secret_random(KEY_SIZE, &fixture.key) != MORTISE_OK)
		return -1;
	envelope_seal(fixture.key, &place_a, plain, sizeof plain, fixture.sealed);
	*state = &fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	secret_drop(&fixture->key);
	secret_pool_close();
	return 0;
}

static enum mortise_status open_at(
	const struct fixture *fixture, const struct envelope_binding *place)
{
	CLEANUP(secret_drop) struct secret *opened = NULL;
	enum mortise_status status = envelope_open(
		fixture->key, place, fixture->sealed, sizeof fixture->sealed, &opened);

	if (status != MORTISE_OK)
		assert_null(opened);
	return status;
}

static void what_was_sealed_opens_in_its_place(void **state)
{
	const struct fixture *fixture = *state;
	CLEANUP(secret_drop) struct secret *opened = NULL;
	uint8_t buffer[PLAIN_SIZE];

	assert_int_equal(envelope_open(fixture->key, &place_a, fixture->sealed,
				 sizeof fixture->sealed, &opened),
		MORTISE_OK);
	assert_int_equal(opened->size, sizeof plain);
	assert_memory_equal(opened->bytes, plain, sizeof plain);
	assert_int_equal(envelope_open_into(fixture->key, &place_a, fixture->sealed,
				 sizeof fixture->sealed, buffer),
		MORTISE_OK);
	assert_memory_equal(buffer, plain, sizeof plain);
}

static void nothing_at_all_can_be_sealed(void **state)
{
	const struct fixture *fixture = *state;
	CLEANUP(secret_drop) struct secret *opened = NULL;
	uint8_t sealed[ENVELOPE_OVERHEAD];

	envelope_seal(fixture->key, &place_a, NULL, 0, sealed);
	assert_int_equal(
		envelope_open(fixture->key, &place_a, sealed, sizeof sealed, &opened), MORTISE_OK);
	assert_int_equal(opened->size, 0);
}

static void no_ciphertext_is_valid_as_another_kind(void **state)
{
	struct envelope_binding place = place_a;

	for (int kind = ENVELOPE_VALUE; kind <= ENVELOPE_SLOT_PUBLIC; kind++) {
		place.kind = (enum envelope_kind)kind;
		assert_int_equal(open_at(*state, &place),
			kind == ENVELOPE_HEAD ? MORTISE_OK : MORTISE_INTEGRITY);
	}
}

static void no_ciphertext_is_valid_in_another_store(void **state)
{
	struct envelope_binding place = place_a;

	place.store = store_b;
	assert_int_equal(open_at(*state, &place), MORTISE_INTEGRITY);
}

static void no_ciphertext_is_valid_in_another_row(void **state)
{
	struct envelope_binding place = place_a;

	place.row = 4;
	assert_int_equal(open_at(*state, &place), MORTISE_INTEGRITY);
	place.row = 0;
	assert_int_equal(open_at(*state, &place), MORTISE_INTEGRITY);
	for (unsigned bit = 0; bit < 64; bit++) {
		place.row = 3 ^ (UINT64_C(1) << bit);
		assert_int_equal(open_at(*state, &place), MORTISE_INTEGRITY);
	}
	place.row = 3;
	assert_int_equal(open_at(*state, &place), MORTISE_OK);
}

static void no_ciphertext_is_valid_for_another_version_or_epoch(void **state)
{
	struct envelope_binding place = place_a;

	place.version = 6;
	assert_int_equal(open_at(*state, &place), MORTISE_INTEGRITY);
	place.epoch = 5;
	assert_int_equal(open_at(*state, &place), MORTISE_INTEGRITY);
	place.version = 5;
	assert_int_equal(open_at(*state, &place), MORTISE_INTEGRITY);
	place.version = 5 + (UINT64_C(1) << 63);
	place.epoch = 6;
	assert_int_equal(open_at(*state, &place), MORTISE_INTEGRITY);
}

/* Three numbers stand side by side in a binding: none is another. */
static void the_numbers_of_a_place_cannot_change_places(void **state)
{
	const struct envelope_binding others[] = {{ENVELOPE_HEAD, store_a, 5, 3, 6},
		{ENVELOPE_HEAD, store_a, 6, 5, 3}, {ENVELOPE_HEAD, store_a, 3, 6, 5},
		{ENVELOPE_HEAD, store_a, 5, 6, 3}, {ENVELOPE_HEAD, store_a, 6, 3, 5}};

	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
		assert_int_equal(open_at(*state, &others[i]), MORTISE_INTEGRITY);
}

static void no_ciphertext_opens_with_another_key(void **state)
{
	struct fixture *fixture = *state;

	fixture->key->bytes[31] ^= 1;
	assert_int_equal(open_at(fixture, &place_a), MORTISE_INTEGRITY);
	fixture->key->bytes[31] ^= 1;
	assert_int_equal(open_at(fixture, &place_a), MORTISE_OK);
}

static void every_flipped_bit_is_noticed(void **state)
{
	struct fixture *fixture = *state;

	for (size_t bit = 0; bit < sizeof fixture->sealed * 8; bit++) {
		fixture->sealed[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(open_at(fixture, &place_a), MORTISE_INTEGRITY);
		fixture->sealed[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
}

static void every_truncation_is_noticed(void **state)
{
	const struct fixture *fixture = *state;
	uint8_t buffer[PLAIN_SIZE];

	for (size_t size = 0; size < sizeof fixture->sealed; size++) {
		struct secret *opened = NULL;
		assert_int_equal(
			envelope_open(fixture->key, &place_a, fixture->sealed, size, &opened),
			MORTISE_INTEGRITY);
		assert_null(opened);
		assert_int_equal(
			envelope_open_into(fixture->key, &place_a, fixture->sealed, size, buffer),
			MORTISE_INTEGRITY);
	}
}

static void no_two_sealings_share_a_nonce(void **state)
{
	const struct fixture *fixture = *state;
	static uint8_t nonces[2000][24];
	uint8_t sealed[SEALED_SIZE];

	for (size_t i = 0; i < 2000; i++) {
		envelope_seal(fixture->key, &place_a, plain, sizeof plain, sealed);
		memcpy(nonces[i], sealed, sizeof nonces[i]);
		for (size_t j = 0; j < i; j++)
			assert_memory_not_equal(nonces[i], nonces[j], sizeof nonces[i]);
	}
}

static void each_purpose_has_its_own_key(void **state)
{
	const struct fixture *fixture = *state;
	struct keyring keyring, again;

	assert_int_equal(keyring_derive(fixture->key, &keyring), MORTISE_OK);
	assert_int_equal(keyring_derive(fixture->key, &again), MORTISE_OK);
	assert_true(secret_equals(keyring.key[KEY_MASTER], fixture->key));
	for (unsigned i = 1; i < KEY_PURPOSES; i++) {
		assert_true(secret_equals(keyring.key[i], again.key[i]));
		assert_false(secret_equals(keyring.key[i], fixture->key));
		for (unsigned j = 1; j < i; j++)
			assert_false(secret_equals(keyring.key[i], keyring.key[j]));
	}
	keyring_done(&keyring);
	keyring_done(&again);
}

/* Stores written by an earlier mortise must open: these bytes never change. */
static void the_derivation_of_keys_never_changes(void **state)
{
	CLEANUP(secret_drop) struct secret *master_key = NULL;
	struct keyring keyring;
	char hex[2 * KEY_SIZE + 1];

	assert_int_equal(secret_new(KEY_SIZE, &master_key), MORTISE_OK);
	assert_int_equal(keyring_derive(master_key, &keyring), MORTISE_OK);
	sodium_bin2hex(hex, sizeof hex, keyring.key[KEY_WRAP]->bytes, KEY_SIZE);
	assert_string_equal(
		hex, "e8b260ad0e6ac317962ee6acd0d10f10776fbcde73e721dacce722fde894e6ad");
	sodium_bin2hex(hex, sizeof hex, keyring.key[KEY_TWIN]->bytes, KEY_SIZE);
	assert_string_equal(
		hex, "d5079a20afb2a230e859d9b7bd58ba1e7ac946f5a4a57364e555969f027cb404");
	keyring_done(&keyring);
}

static void a_master_key_of_another_size_is_refused(void **state)
{
	CLEANUP(secret_drop) struct secret *key = NULL;
	struct keyring keyring = {0};

	assert_int_equal(secret_random(KEY_SIZE - 1, &key), MORTISE_OK);
	assert_int_equal(keyring_derive(key, &keyring), MORTISE_INTEGRITY);
	assert_null(keyring.key[KEY_WRAP]);
}

static void without_room_nothing_is_opened_and_nothing_leaks(void **state)
{
	const struct fixture *fixture = *state;
	CLEANUP(secret_drop) struct secret *filler = NULL;
	struct keyring keyring = {0};

	/* Room for three keys and no more. */
	assert_int_equal(secret_new(secret_pool_room() - 3 * 64, &filler), MORTISE_OK);
	size_t room = secret_pool_room();
	assert_int_equal(keyring_derive(fixture->key, &keyring), MORTISE_BUSY);
	assert_null(keyring.key[KEY_WRAP]);
	assert_int_equal(secret_pool_room(), room);
}

static void a_hash_depends_on_its_key_and_on_every_byte(void **state)
{
	const struct fixture *fixture = *state;
	CLEANUP(secret_drop) struct secret *other = NULL;
	uint8_t hash[3][ENVELOPE_HASH];

	assert_int_equal(secret_random(KEY_SIZE, &other), MORTISE_OK);
	envelope_hash(fixture->key, "prod/a", 6, hash[0]);
	envelope_hash(fixture->key, "prod/b", 6, hash[1]);
	envelope_hash(other, "prod/a", 6, hash[2]);
	assert_memory_not_equal(hash[0], hash[1], ENVELOPE_HASH);
	assert_memory_not_equal(hash[0], hash[2], ENVELOPE_HASH);
}

static void a_mix_depends_on_both_its_inputs(void **state)
{
	const struct fixture *fixture = *state;
	CLEANUP(secret_drop) struct secret *other = NULL;
	CLEANUP(secret_drop) struct secret *ab = NULL;
	CLEANUP(secret_drop) struct secret *ba = NULL;
	CLEANUP(secret_drop) struct secret *aa = NULL;

	assert_int_equal(secret_random(KEY_SIZE, &other), MORTISE_OK);
	assert_int_equal(envelope_mix(fixture->key, other, &ab), MORTISE_OK);
	assert_int_equal(envelope_mix(other, fixture->key, &ba), MORTISE_OK);
	assert_int_equal(envelope_mix(fixture->key, fixture->key, &aa), MORTISE_OK);
	assert_false(secret_equals(ab, ba));
	assert_false(secret_equals(ab, aa));
}

static void a_pair_depends_on_h_and_on_the_salt(void **state)
{
	const struct fixture *fixture = *state;
	const uint8_t salt_a[ID_SIZE] = {1}, salt_b[ID_SIZE] = {2};
	uint8_t public_half[2][32];

	for (unsigned i = 0; i < 2; i++) {
		CLEANUP(secret_drop) struct secret *half = NULL;
		assert_int_equal(
			envelope_pair(fixture->key, i ? salt_b : salt_a, &half, public_half[i]),
			MORTISE_OK);
		assert_int_equal(half->size, KEY_SIZE);
	}
	assert_memory_not_equal(public_half[0], public_half[1], 32);
}

static void an_h_of_another_size_makes_no_pair(void **state)
{
	CLEANUP(secret_drop) struct secret *h = NULL;
	struct secret *half = NULL;
	const uint8_t salt[ID_SIZE] = {0};
	uint8_t public_half[32];

	assert_int_equal(secret_random(KEY_SIZE + 1, &h), MORTISE_OK);
	assert_int_equal(envelope_pair(h, salt, &half, public_half), MORTISE_INTEGRITY);
	assert_null(half);
}

static void a_box_opens_only_with_its_key_and_only_whole(void **state)
{
	const struct fixture *fixture = *state;
	const uint8_t salt_a[ID_SIZE] = {1}, salt_b[ID_SIZE] = {2};
	CLEANUP(secret_drop) struct secret *mine = NULL;
	CLEANUP(secret_drop) struct secret *other = NULL;
	CLEANUP(secret_drop) struct secret *opened = NULL;
	struct secret *never = NULL;
	uint8_t my_half[32], other_half[32], box[KEY_SIZE + ENVELOPE_BOX];

	assert_int_equal(envelope_pair(fixture->key, salt_a, &mine, my_half), MORTISE_OK);
	assert_int_equal(envelope_pair(fixture->key, salt_b, &other, other_half), MORTISE_OK);
	assert_int_equal(envelope_box(my_half, fixture->key, box), MORTISE_OK);
	assert_int_equal(envelope_unbox(my_half, mine, box, sizeof box, &opened), MORTISE_OK);
	assert_true(secret_equals(opened, fixture->key));
	assert_int_equal(
		envelope_unbox(other_half, other, box, sizeof box, &never), MORTISE_INTEGRITY);
	for (size_t size = 0; size < sizeof box; size++)
		assert_int_equal(
			envelope_unbox(my_half, mine, box, size, &never), MORTISE_INTEGRITY);
	for (size_t i = 0; i < sizeof box; i++) {
		box[i] ^= 1;
		assert_int_equal(
			envelope_unbox(my_half, mine, box, sizeof box, &never), MORTISE_INTEGRITY);
		box[i] ^= 1;
	}
	assert_null(never);
}

static void a_public_half_of_low_order_gets_no_box(void **state)
{
	const struct fixture *fixture = *state;
	const uint8_t zero[32] = {0};
	uint8_t box[KEY_SIZE + ENVELOPE_BOX];

	assert_int_equal(envelope_box(zero, fixture->key, box), MORTISE_INTEGRITY);
}

int main(void)
{
#define IN_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		IN_FIXTURE(what_was_sealed_opens_in_its_place),
		IN_FIXTURE(nothing_at_all_can_be_sealed),
		IN_FIXTURE(no_ciphertext_is_valid_as_another_kind),
		IN_FIXTURE(no_ciphertext_is_valid_in_another_store),
		IN_FIXTURE(no_ciphertext_is_valid_in_another_row),
		IN_FIXTURE(no_ciphertext_is_valid_for_another_version_or_epoch),
		IN_FIXTURE(the_numbers_of_a_place_cannot_change_places),
		IN_FIXTURE(no_ciphertext_opens_with_another_key),
		IN_FIXTURE(every_flipped_bit_is_noticed),
		IN_FIXTURE(every_truncation_is_noticed),
		IN_FIXTURE(no_two_sealings_share_a_nonce),
		IN_FIXTURE(each_purpose_has_its_own_key),
		IN_FIXTURE(the_derivation_of_keys_never_changes),
		IN_FIXTURE(a_master_key_of_another_size_is_refused),
		IN_FIXTURE(without_room_nothing_is_opened_and_nothing_leaks),
		IN_FIXTURE(a_hash_depends_on_its_key_and_on_every_byte),
		IN_FIXTURE(a_mix_depends_on_both_its_inputs),
		IN_FIXTURE(a_pair_depends_on_h_and_on_the_salt),
		IN_FIXTURE(an_h_of_another_size_makes_no_pair),
		IN_FIXTURE(a_box_opens_only_with_its_key_and_only_whole),
		IN_FIXTURE(a_public_half_of_low_order_gets_no_box),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
