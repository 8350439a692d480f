/* SPDX-License-Identifier: ISC */
/* encodings: what other programs make of a value is among its forms. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "encodings.h"

#define FORMS_MAX 256

static struct {
	char *bytes;
	size_t size;
} forms[FORMS_MAX];
static int count;

static enum mortise_status take(void *context, const struct encodings_form *form)
{
	assert_null(context);
	assert_true(count < FORMS_MAX);
	forms[count].bytes = calloc(1, form->size + 1);
	memcpy(forms[count].bytes, form->bytes, form->size);
	forms[count++].size = form->size;
	return MORTISE_OK;
}

static void make(const void *value, size_t size)
{
	while (count > 0)
		free(forms[--count].bytes);
	assert_int_equal(encodings_each(value, size, take, NULL), MORTISE_OK);
}

static bool has(const char *text)
{
	for (int i = 0; i < count; i++)
		if (forms[i].size == strlen(text) &&
			memcmp(forms[i].bytes, text, strlen(text)) == 0)
			return true;
	return false;
}

static void the_value_itself_comes_first(void **state)
{
	(void)state;
	make("hun\0ter2", 8);
	assert_int_equal(forms[0].size, 8);
	assert_memory_equal(forms[0].bytes, "hun\0ter2", 8);
}

static void base64_is_found_at_all_three_alignments(void **state)
{
	(void)state;
	make("hunter2hunter2", 14);
	/* printf hunter2hunter2 | base64; with "x" and "xx" before it; with "yyy" behind it */
	assert_true(has("aHVudGVyMmh1bnRlcjI="));
	assert_true(has("aHVudGVyMmh1bnRlcjI"));
	assert_true(has("h1bnRlcjJodW50ZXIy"));    /* eGh1bnRlcjJodW50ZXIy */
	assert_true(has("odW50ZXIyaHVudGVyMg==")); /* eHhodW50ZXIyaHVudGVyMg== */
	assert_true(has("aHVudGVyMmh1bnRlcj"));    /* aHVudGVyMmh1bnRlcjJ5eXk= */
}

static void base64url_has_its_own_digits(void **state)
{
	(void)state;
	make("\xfb\xff\xfe\xfb\xff\xfe\xfb\xff\xfe", 9);
	assert_true(has("+//++//++//+"));
	assert_true(has("-__--__--__-"));
}

static void base64_is_found_in_lines_of_64_and_76(void **state)
{
	char value[61];

	(void)state;
	memset(value, 0, sizeof value);
	make(value, sizeof value - 4);
	assert_true(has(
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\nAAAAAAAAAAAA"));
	make(value, sizeof value);
	assert_true(
		has("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
		    "\r\nAAAAAA=="));
}

static void hex_is_found_in_both_cases(void **state)
{
	(void)state;
	make("\xc3\xbcn\0ab/z", 8);
	assert_true(has("c3bc6e0061622f7a"));
	assert_true(has("C3BC6E0061622F7A"));
}

static void percent_encoding_is_found_as_several_encoders_write_it(void **state)
{
	(void)state;
	make("a b/c~d(e)\xc3\xbc", 12);
	assert_true(has("a%20b%2Fc~d%28e%29%C3%BC")); /* RFC 3986 */
	assert_true(has("a%20b%2fc~d%28e%29%c3%bc"));
	assert_true(has("a%20b/c~d%28e%29%C3%BC"));   /* Python's quote() */
	assert_true(has("a%20b%2Fc~d(e)%C3%BC"));     /* encodeURIComponent() */
	assert_true(has("a+b%2Fc%7Ed%28e%29%C3%BC")); /* a form */
}

static void a_json_string_is_found_as_several_encoders_write_it(void **state)
{
	(void)state;
	make("\"\\/\n\x01<\xc3\xbc\xf0\x9f\x98\x80", 12);
	assert_true(has("\\\"\\\\/\\n\\u0001<\xc3\xbc\xf0\x9f\x98\x80"));
	assert_true(has("\\\"\\\\/\\n\\u0001<\\u00fc\\ud83d\\ude00"));
	assert_true(has("\\\"\\\\/\\n\\u0001<\\u00FC\\uD83D\\uDE00"));
	assert_true(has("\\\"\\\\\\/\\n\\u0001<\\u00fc\\ud83d\\ude00"));
	assert_true(has("\\\"\\\\/\\n\\u0001\\u003c\xc3\xbc\xf0\x9f\x98\x80"));
}

static void several_lines_are_found_with_crlf_and_without_the_last_newline(void **state)
{
	(void)state;
	make("line one\nline two\n", 18);
	assert_true(has("line one\nline two\n"));
	assert_true(has("line one\r\nline two\r\n"));
	assert_true(has("line one\nline two"));
	assert_true(has("line one\\nline two"));
	assert_true(has("bGluZSBvbmUKbGluZSB0d28="));
}

static void a_value_under_8_bytes_has_no_forms(void **state)
{
	(void)state;
	make("hunter2", 7);
	assert_int_equal(count, 0);
	make("", 0);
	assert_int_equal(count, 0);
}

/* Every byte of the largest value grows to six, and the sanitizer looks on. */
static void the_largest_value_has_room(void **state)
{
	uint8_t *value = calloc(1, MORTISE_VALUE_MAX);

	(void)state;
	make(value, MORTISE_VALUE_MAX);
	for (int i = 0; i < count; i++)
		assert_true(forms[i].size >= ENCODINGS_VALUE_MIN);
	memset(value, '\n', MORTISE_VALUE_MAX);
	make(value, MORTISE_VALUE_MAX);
	memset(value, 0xff, MORTISE_VALUE_MAX);
	make(value, MORTISE_VALUE_MAX);
	make("", 0);
	free(value);
}

static void no_form_of_any_8_bytes_is_under_8(void **state)
{
	uint8_t value[8];

	(void)state;
	srand(1);
	for (int round = 0; round < 2000; round++) {
		for (size_t i = 0; i < sizeof value; i++)
			value[i] = (uint8_t)rand();
		make(value, sizeof value);
		assert_true(count > 0);
		for (int i = 0; i < count; i++)
			assert_true(forms[i].size >= 8);
	}
	make("", 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_value_itself_comes_first),
		cmocka_unit_test(base64_is_found_at_all_three_alignments),
		cmocka_unit_test(base64url_has_its_own_digits),
		cmocka_unit_test(base64_is_found_in_lines_of_64_and_76),
		cmocka_unit_test(hex_is_found_in_both_cases),
		cmocka_unit_test(percent_encoding_is_found_as_several_encoders_write_it),
		cmocka_unit_test(a_json_string_is_found_as_several_encoders_write_it),
		cmocka_unit_test(several_lines_are_found_with_crlf_and_without_the_last_newline),
		cmocka_unit_test(a_value_under_8_bytes_has_no_forms),
		cmocka_unit_test(the_largest_value_has_room),
		cmocka_unit_test(no_form_of_any_8_bytes_is_under_8),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
