/* SPDX-License-Identifier: ISC */
/* generate: what a specification allows comes out, evenly, and nothing else. */
#include <stdio.h>
#include <string.h>

#include "generate.h"
#include "mortise_test.h"

static struct input *value;

static struct generate spec(const char *text)
{
	struct generate generate;
	const char *wrong = generate_parse(text, &generate);

	if (wrong != NULL)
		print_error("%s: %s\n", text, wrong);
	assert_null(wrong);
	return generate;
}

static const char *make(const char *text)
{
	struct generate generate = spec(text);

	assert_int_equal(generate_value(&generate, value), MORTISE_OK);
	value->bytes[value->size] = '\0';
	return (const char *)value->bytes;
}

static bool has_one_of(const char *text, const char *characters)
{
	return strpbrk(text, characters) != NULL;
}

static void a_password_has_a_character_of_every_class(void **state)
{
	(void)state;
	for (int i = 0; i < 300; i++) {
		const char *text = make("password:4");

		assert_int_equal(strlen(text), 4);
		assert_true(has_one_of(text, "abcdefghijklmnopqrstuvwxyz"));
		assert_true(has_one_of(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"));
		assert_true(has_one_of(text, "0123456789"));
		assert_true(has_one_of(text, "!#$%&()*+-./:;<=>?@[]^_{|}~"));
	}
}

static void classes_and_characters_are_left_out(void **state)
{
	(void)state;
	for (int i = 0; i < 50; i++) {
		assert_false(has_one_of(make("password:200,no-symbols,exclude=0O1l"),
			"0O1l!#$%&()*+-./:;<=>?@[]^_{|}~"));
		assert_int_equal(
			strspn(make("password:100,no-lower,no-upper,no-symbols"), "0123456789"),
			100);
		assert_int_equal(strspn(make("password:100,no-lower,no-upper,symbols=-_,exclude=9"),
					 "-_012345678"),
			100);
	}
}

static bool has_form(const char *text, const char *form)
{
	for (; *form != '\0'; form++, text++)
		if (*form == 'h'       ? strchr("0123456789abcdef", *text) == NULL || *text == '\0'
			: *form == 'v' ? strchr("89ab", *text) == NULL
				       : *text != *form)
			return false;
	return *text == '\0';
}

static void every_kind_has_its_form(void **state)
{
	const char *text;

	(void)state;
	assert_true(has_form(make("uuid"), "hhhhhhhh-hhhh-4hhh-vhhh-hhhhhhhhhhhh"));
	assert_true(has_form(make("hex:8"), "hhhhhhhhhhhhhhhh"));
	assert_int_equal(strlen(make("hex")), 64);
	assert_int_equal(strlen(make("base64:48")), 64);
	assert_null(strchr(make("base64:48"), '='));
	text = make("base64:49");
	assert_int_equal(strlen(text), 68);
	assert_string_equal(text + 66, "==");
	assert_non_null(strchr("AQgw", text[65]));
	text = make("base64:50");
	assert_string_equal(text + 67, "=");
	assert_non_null(strchr("AEIMQUYcgkosw048", text[66]));
	assert_int_equal(strlen(make("words:6")), 6 * 5 + 5);
	text = make("words:4,separator=.");
	assert_int_equal(text[5], '.');
	assert_int_equal(strspn(text, "abdefghiklmnoprstuvwz."), 23);
	assert_int_equal(strlen(make("password")), 32);
}

static void entropy_is_what_the_choice_is_worth(void **state)
{
	char text[64];
	struct generate generate = spec("password:32");

	(void)state;
	generate_describe(&generate, text, sizeof text);
	assert_string_equal(text, "32 characters, 207 bits");       /* 32 log2(89) = 207.2 */
	assert_int_equal(spec("password:32,no-symbols").bits, 190); /* 32 log2(62) = 190.5 */
	assert_int_equal(spec("password:20,no-lower,no-upper,no-symbols").bits, 66);
	/* 2 * 10 * 26 strings of 1296 have a letter and a digit: 9.02 bits, not 10.3. */
	assert_int_equal(spec("password:2,no-upper,no-symbols").bits, 9);
	assert_int_equal(spec("hex:32").bits, 256);
	assert_int_equal(spec("base64:48").bits, 384);
	assert_int_equal(spec("uuid").bits, 122);
	assert_int_equal(spec("words:6").bits, 99); /* 6 log2(102400) = 99.9 */
	generate = spec("uuid");
	generate_describe(&generate, text, sizeof text);
	assert_string_equal(text, "a UUID, 122 bits");
}

/* Chi-squared of counts that should be even; its mean is categories - 1. */
static double chi_squared(const unsigned *counts, unsigned categories, unsigned draws)
{
	double expected = (double)draws / categories, sum = 0;

	for (unsigned i = 0; i < categories; i++)
		sum += (counts[i] - expected) * (counts[i] - expected) / expected;
	return sum;
}

/* 41 characters: a remainder without rejection would prefer the first ones. */
static void every_character_is_equally_likely(void **state)
{
	unsigned counts[256] = {0}, even[64], categories = 0;
	double found;

	(void)state;
	for (int i = 0; i < 200; i++) {
		const char *text = make("password:1000,no-digits,no-symbols,exclude=ABCDEFGHIJK");

		for (int at = 0; at < 1000; at++)
			counts[(uint8_t)text[at]]++;
	}
	for (int c = 0; c < 256; c++)
		if (counts[c] > 0)
			even[categories++] = counts[c];
	assert_int_equal(categories, 41);
	found = chi_squared(even, categories, 200000);
	print_message("# chi-squared of 40 degrees: %.1f\n", found);
	assert_true(found > 10 && found < 95); /* outside by chance: once in 10^6 */
}

/* Of all strings of two classes, those with both: no position and no class is preferred. */
static void strings_that_have_all_classes_are_equally_likely(void **state)
{
	unsigned counts[8] = {0};
	double found;

	(void)state;
	for (int i = 0; i < 40000; i++) {
		const char *text = make("password:2,no-upper,no-symbols,exclude="
					"cdefghijklmnopqrstuvwxyz23456789");
		bool is_letter_first = text[0] >= 'a';
		char letter = is_letter_first ? text[0] : text[1];
		char digit = is_letter_first ? text[1] : text[0];

		counts[4 * is_letter_first + 2 * (letter - 'a') + (digit - '0')]++;
	}
	found = chi_squared(counts, 8, 40000);
	print_message("# chi-squared of 7 degrees: %.1f\n", found);
	assert_true(found < 40);
}

static void syllables_are_equally_likely(void **state)
{
	static const char vowels[] = "aeiou";
	unsigned counts[5] = {0};

	(void)state;
	for (int i = 0; i < 100; i++) {
		const char *text = make("words:1000");

		for (int word = 0; word < 1000; word++)
			counts[strchr(vowels, text[6 * word + 1]) - vowels]++;
	}
	assert_true(chi_squared(counts, 5, 100000) < 45);
}

static void what_is_no_specification_is_refused(void **state)
{
	static const char *const texts[] = {"", "passwort:32", "password:", "password:0",
		"password:1025", "password:-1", "password:32x", "password:99999999999",
		"password:3", "password:32,", "password:32,no-vowels", "password:32,exclude=",
		"password:32,symbols=", "password:32,symbols= ", "hex:32,no-digits", "uuid:4",
		"uuid,x", "words:6,separator=", "words:6,separator=ab", "words:6,separator=\n",
		"password:32,no-lower,no-upper,no-digits,no-symbols",
		"password:32,no-lower,no-upper,no-symbols,exclude=012345678", ":32", ",",
		"hex,hex"};
	struct generate before = spec("uuid"), generate = before;

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		if (generate_parse(texts[i], &generate) == NULL)
			fail_msg("'%s' was taken", texts[i]);
	assert_memory_equal(&generate, &before, sizeof before);
}

static int make_room(void **state)
{
	(void)state;
	value = input_new();
	return value == NULL ? -1 : 0;
}

static int release_room(void **state)
{
	(void)state;
	input_free(&value);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_password_has_a_character_of_every_class),
		cmocka_unit_test(classes_and_characters_are_left_out),
		cmocka_unit_test(every_kind_has_its_form),
		cmocka_unit_test(entropy_is_what_the_choice_is_worth),
		cmocka_unit_test(every_character_is_equally_likely),
		cmocka_unit_test(strings_that_have_all_classes_are_equally_likely),
		cmocka_unit_test(syllables_are_equally_likely),
		cmocka_unit_test(what_is_no_specification_is_refused),
	};

	return cmocka_run_group_tests(tests, make_room, release_room);
}
