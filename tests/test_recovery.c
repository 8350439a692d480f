/* SPDX-License-Identifier: ISC */
#include <ctype.h>
#include <string.h>

#include "mortise_test.h"
#include "recovery.h"

#define ROUNDS      20
#define GROUP_SIZE  5
#define LETTERS     (RECOVERY_GROUPS * GROUP_SIZE)
#define GROUP_OF(i) ((unsigned)(i) / GROUP_SIZE + 1)

static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

static int set_up(void **state)
{
	(void)state;
	return secret_pool_open(65536) == MORTISE_OK ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	secret_pool_close();
	return 0;
}

/* A random key and its letters, without separators. */
static struct secret *a_key(char out_letters[LETTERS + 1])
{
	CLEANUP(secret_drop) struct secret *text = NULL;
	struct secret *key = NULL;
	size_t count = 0;

	assert_int_equal(secret_random(KEY_SIZE, &key), MORTISE_OK);
	assert_int_equal(recovery_print(key, &text), MORTISE_OK);
	assert_int_equal(text->size, RECOVERY_TEXT_SIZE);
	assert_int_equal(text->bytes[RECOVERY_TEXT_SIZE - 1], 0);
	for (size_t i = 0; text->bytes[i]; i++)
		if (text->bytes[i] != '-')
			out_letters[count++] = (char)text->bytes[i];
	assert_int_equal(count, LETTERS);
	out_letters[LETTERS] = '\0';
	return key;
}

static void spell_a_key(char out_letters[LETTERS + 1])
{
	struct secret *key = a_key(out_letters);

	secret_drop(&key);
}

static void assert_parses(const char *text, const struct secret *expected)
{
	CLEANUP(secret_drop) struct secret *key = NULL;
	unsigned group = 77;

	assert_int_equal(recovery_parse(text, strlen(text), &key, &group), MORTISE_OK);
	assert_true(secret_equals(key, expected));
	assert_int_equal(group, 77);
}

static void assert_names_group(const char *text, size_t size, unsigned expected)
{
	struct secret *key = NULL;
	unsigned group = 77;

	assert_int_equal(recovery_parse(text, size, &key, &group), MORTISE_INVALID);
	assert_null(key);
	assert_int_equal(group, expected);
}

static void random_keys_come_back_as_they_went(void **state)
{
	for (unsigned round = 0; round < 500; round++) {
		CLEANUP(secret_drop) struct secret *text = NULL;
		char letters[LETTERS + 1];
		CLEANUP(secret_drop) struct secret *key = a_key(letters);
		assert_int_equal(recovery_print(key, &text), MORTISE_OK);
		assert_parses((const char *)text->bytes, key);
		assert_parses(letters, key);
	}
}

static void extreme_keys_come_back_too(void **state)
{
	for (int byte = 0; byte <= 255; byte += 255) {
		CLEANUP(secret_drop) struct secret *key = NULL;
		CLEANUP(secret_drop) struct secret *text = NULL;
		assert_int_equal(secret_new(KEY_SIZE, &key), MORTISE_OK);
		memset(key->bytes, byte, key->size);
		assert_int_equal(recovery_print(key, &text), MORTISE_OK);
		assert_parses((const char *)text->bytes, key);
	}
}

/* What is on paper must still open a store many versions later. */
static void the_letters_for_a_key_never_change(void **state)
{
	CLEANUP(secret_drop) struct secret *key = NULL;
	CLEANUP(secret_drop) struct secret *text = NULL;

	assert_int_equal(secret_new(KEY_SIZE, &key), MORTISE_OK);
	for (unsigned i = 0; i < KEY_SIZE; i++)
		key->bytes[i] = (uint8_t)(7 * i + 1);
	assert_int_equal(recovery_print(key, &text), MORTISE_OK);
	assert_string_equal((const char *)text->bytes,
		"0440N-Y5GXF-4GNK1-4EA0V-8X75N-AQ33Q-D9RQE-GZW6T-HPA9B-Q8N9X-P2VV8-XHECH-TFD0P");
}

static void every_wrong_letter_is_noticed_and_its_group_named(void **state)
{
	for (unsigned round = 0; round < ROUNDS; round++) {
		char letters[LETTERS + 1];

		spell_a_key(letters);
		for (size_t i = 0; i < LETTERS; i++) {
			char right = letters[i];
			for (const char *wrong = alphabet; *wrong; wrong++) {
				letters[i] = *wrong;
				if (*wrong != right)
					assert_names_group(letters, LETTERS, GROUP_OF(i));
			}
			letters[i] = right;
		}
	}
}

static void every_byte_outside_the_alphabet_is_noticed(void **state)
{
	char letters[LETTERS + 1];

	spell_a_key(letters);

	for (int byte = 0; byte < 256; byte++) {
		if (isalnum(byte) && byte != 'U' && byte != 'u')
			continue;
		char right = letters[12];
		letters[12] = (char)byte;
		if (byte && strchr("- \n\r", byte))
			assert_names_group(letters, LETTERS, 0);
		else
			assert_names_group(letters, LETTERS, 3);
		letters[12] = right;
	}
}

static void every_two_neighbours_that_change_places_are_noticed(void **state)
{
	for (unsigned round = 0; round < ROUNDS; round++) {
		char letters[LETTERS + 1];

		spell_a_key(letters);
		for (size_t i = 0; i + 1 < LETTERS; i++) {
			char first = letters[i], second = letters[i + 1];
			if (first == second)
				continue;
			letters[i] = second;
			letters[i + 1] = first;
			assert_names_group(letters, LETTERS, GROUP_OF(i));
			letters[i] = first;
			letters[i + 1] = second;
		}
	}
}

static void any_two_letters_of_a_group_that_change_places_are_noticed(void **state)
{
	for (unsigned round = 0; round < ROUNDS; round++) {
		char letters[LETTERS + 1];

		spell_a_key(letters);
		for (size_t i = 0; i < LETTERS; i++)
			for (size_t j = i + 1; j < LETTERS && GROUP_OF(j) == GROUP_OF(i); j++) {
				char first = letters[i], second = letters[j];
				if (first == second)
					continue;
				letters[i] = second;
				letters[j] = first;
				assert_names_group(letters, LETTERS, GROUP_OF(i));
				letters[i] = first;
				letters[j] = second;
			}
	}
}

static void swap_groups(char *letters, size_t a, size_t b)
{
	char kept[GROUP_SIZE];

	memcpy(kept, letters + a * GROUP_SIZE, GROUP_SIZE);
	memcpy(letters + a * GROUP_SIZE, letters + b * GROUP_SIZE, GROUP_SIZE);
	memcpy(letters + b * GROUP_SIZE, kept, GROUP_SIZE);
}

static void every_two_groups_that_change_places_are_noticed(void **state)
{
	for (unsigned round = 0; round < ROUNDS; round++) {
		char letters[LETTERS + 1];

		spell_a_key(letters);
		for (size_t a = 0; a < RECOVERY_GROUPS; a++)
			for (size_t b = a + 1; b < RECOVERY_GROUPS; b++) {
				swap_groups(letters, a, b);
				assert_names_group(letters, LETTERS, (unsigned)a + 1);
				swap_groups(letters, a, b);
			}
	}
}

static void a_group_written_twice_for_another_is_noticed(void **state)
{
	char letters[LETTERS + 1];

	spell_a_key(letters);

	memcpy(letters + 3 * GROUP_SIZE, letters + 2 * GROUP_SIZE, GROUP_SIZE);
	assert_names_group(letters, LETTERS, 4);
}

static void a_letter_left_out_or_put_in_is_noticed(void **state)
{
	char letters[LETTERS + 1], typed[LETTERS + 2];
	spell_a_key(letters);

	for (size_t i = 0; i < LETTERS; i++) {
		memcpy(typed, letters, i);
		memcpy(typed + i, letters + i + 1, LETTERS - i - 1);
		assert_names_group(typed, LETTERS - 1, 0);
		memcpy(typed, letters, i + 1);
		memcpy(typed + i + 1, letters + i, LETTERS - i);
		assert_names_group(typed, LETTERS + 1, 0);
	}
}

static void nothing_and_far_too_much_are_refused(void **state)
{
	static char much[100000];

	memset(much, '0', sizeof much);
	assert_names_group("", 0, 0);
	assert_names_group("-----", 5, 0);
	assert_names_group(much, sizeof much, 0);
}

static void small_letters_and_lookalikes_are_taken(void **state)
{
	for (unsigned round = 0; round < 50; round++) {
		char letters[LETTERS + 1], typed[LETTERS + 1];
		CLEANUP(secret_drop) struct secret *key = a_key(letters);
		for (unsigned way = 0; way < 4; way++) {
			for (size_t i = 0; i <= LETTERS; i++) {
				char c = letters[i];
				if (c == '0')
					c = way & 1 ? 'O' : '0';
				if (c == '1')
					c = "1ILi"[way];
				typed[i] = way & 2 ? (char)tolower(c) : c;
			}
			assert_parses(typed, key);
		}
	}
}

static void separators_may_stand_anywhere(void **state)
{
	char letters[LETTERS + 1], typed[4 * LETTERS + 1];
	CLEANUP(secret_drop) struct secret *key = a_key(letters);
	size_t size = 0;

	for (size_t i = 0; i < LETTERS; i++) {
		typed[size++] = letters[i];
		typed[size++] = "- \n\r"[i % 4];
		typed[size++] = ' ';
	}
	typed[size] = '\0';
	assert_parses(typed, key);
}

static void bits_that_no_key_has_are_refused(void **state)
{
	CLEANUP(secret_drop) struct secret *key = NULL;
	CLEANUP(secret_drop) struct secret *text = NULL;
	char *last;

	/* The 52nd digit holds one bit of the key; group 13's check goes along with it. */
	assert_int_equal(secret_new(KEY_SIZE, &key), MORTISE_OK);
	assert_int_equal(recovery_print(key, &text), MORTISE_OK);
	last = (char *)text->bytes + RECOVERY_TEXT_SIZE - 3;
	last[0] = '1';
	for (const char *check = alphabet; *check; check++) {
		last[1] = *check;
		assert_names_group((const char *)text->bytes, RECOVERY_TEXT_SIZE - 1, 13);
	}
}

static void a_key_of_another_size_is_not_printed(void **state)
{
	CLEANUP(secret_drop) struct secret *key = NULL;
	struct secret *text = NULL;

	assert_int_equal(secret_random(KEY_SIZE - 1, &key), MORTISE_OK);
	assert_int_equal(recovery_print(key, &text), MORTISE_INVALID);
	assert_null(text);
}

static void the_name_of_a_key_is_four_letters_and_its_own(void **state)
{
	char letters[LETTERS + 1], id[RECOVERY_ID_SIZE], again[RECOVERY_ID_SIZE];
	CLEANUP(secret_drop) struct secret *key = a_key(letters);

	recovery_id(key, id);
	recovery_id(key, again);
	assert_int_equal(strspn(id, alphabet), 4);
	assert_int_equal(id[4], 0);
	assert_string_equal(id, again);
	key->bytes[0] ^= 1;
	recovery_id(key, again);
	assert_string_not_equal(id, again);
}

static void without_room_nothing_is_parsed_and_nothing_leaks(void **state)
{
	char letters[LETTERS + 1];

	spell_a_key(letters);
	CLEANUP(secret_drop) struct secret *filler = NULL;
	struct secret *parsed = NULL;
	unsigned group = 77;

	assert_int_equal(secret_new(secret_pool_room() - 3 * 64, &filler), MORTISE_OK);
	size_t room = secret_pool_room();
	assert_int_equal(recovery_parse(letters, LETTERS, &parsed, &group), MORTISE_BUSY);
	assert_null(parsed);
	assert_int_equal(secret_pool_room(), room);
}

int main(void)
{
#define IN_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		IN_FIXTURE(random_keys_come_back_as_they_went),
		IN_FIXTURE(extreme_keys_come_back_too),
		IN_FIXTURE(the_letters_for_a_key_never_change),
		IN_FIXTURE(every_wrong_letter_is_noticed_and_its_group_named),
		IN_FIXTURE(every_byte_outside_the_alphabet_is_noticed),
		IN_FIXTURE(every_two_neighbours_that_change_places_are_noticed),
		IN_FIXTURE(any_two_letters_of_a_group_that_change_places_are_noticed),
		IN_FIXTURE(every_two_groups_that_change_places_are_noticed),
		IN_FIXTURE(a_group_written_twice_for_another_is_noticed),
		IN_FIXTURE(a_letter_left_out_or_put_in_is_noticed),
		IN_FIXTURE(nothing_and_far_too_much_are_refused),
		IN_FIXTURE(small_letters_and_lookalikes_are_taken),
		IN_FIXTURE(separators_may_stand_anywhere),
		IN_FIXTURE(bits_that_no_key_has_are_refused),
		IN_FIXTURE(a_key_of_another_size_is_not_printed),
		IN_FIXTURE(the_name_of_a_key_is_four_letters_and_its_own),
		IN_FIXTURE(without_room_nothing_is_parsed_and_nothing_leaks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
