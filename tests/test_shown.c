/* SPDX-License-Identifier: ISC */
/* shown: what steers a terminal is spelled out, all else is as it was; libc says what UTF-8 is. */
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "mortise_test.h"
#include "shown.h"

static const char *shown(const char *text)
{
	static char out[256];

	assert_true(shown_text(text, strlen(text), out, sizeof out) < sizeof out);
	return out;
}

static void what_steers_no_terminal_is_as_it_was(void **state)
{
	(void)state;
	assert_string_equal(shown("prod/db: it's \"a\" \\x2d b"), "prod/db: it's \"a\" \\x2d b");
	assert_string_equal(shown("p\xc3\xa4sse \xe2\x82\xac \xf0\x9f\x94\x91"),
		"p\xc3\xa4sse \xe2\x82\xac \xf0\x9f\x94\x91");
	assert_string_equal(shown(""), "");
}

static void control_characters_are_spelled_out(void **state)
{
	(void)state;
	assert_string_equal(shown("a\x1b[2Jb\nc\td\x7f"), "a\\u001b[2Jb\\u000ac\\u0009d\\u007f");
	assert_string_equal(shown("\xc2\x80\xc2\x9b"
				  "1m\xc2\x9f\xc2\xa0"),
		"\\u0080\\u009b1m\\u009f\xc2\xa0");
}

static void what_turns_a_text_around_is_spelled_out(void **state)
{
	(void)state;
	assert_string_equal(shown("\xe2\x80\xae"
				  "a\xe2\x81\xa6\xd8\x9c\xe2\x80\x8f\xe2\x80\xa8"),
		"\\u202ea\\u2066\\u061c\\u200f\\u2028");
	assert_string_equal(shown("\xe2\x80\xa7\xe2\x80\xaf\xe2\x81\xa5\xe2\x81\xaa"),
		"\xe2\x80\xa7\xe2\x80\xaf\xe2\x81\xa5\xe2\x81\xaa");
}

static void bytes_that_are_no_utf_8_are_spelled_out_and_nothing_is_lost(void **state)
{
	(void)state;
	assert_string_equal(shown("a\x9b"
				  "31m\xff"),
		"a\\x9b31m\\xff");
	assert_string_equal(shown("\xc3"), "\\xc3");
	assert_string_equal(shown("\xe2\x82z"), "\\xe2\\x82z");
	assert_string_equal(shown("\xc0\xaf\xed\xa0\x80\xf4\x90\x80\x80"),
		"\\xc0\\xaf\\xed\\xa0\\x80\\xf4\\x90\\x80\\x80");
}

static void a_nul_is_a_character_like_another(void **state)
{
	char out[32];

	(void)state;
	assert_int_equal(shown_text("a\0b", 3, out, sizeof out), 8);
	assert_string_equal(out, "a\\u0000b");
}

static void what_does_not_fit_ends_behind_a_whole_piece(void **state)
{
	char out[8];

	(void)state;
	assert_int_equal(shown_text("abcd\x1b", 5, out, sizeof out), 10);
	assert_string_equal(out, "abcd");
	assert_int_equal(shown_text("abcd\x1b!", 6, out, sizeof out), 11);
	assert_string_equal(out, "abcd");
	assert_int_equal(shown_text("abcd\xe2\x82\xac\xe2\x82\xac", 10, out, sizeof out), 10);
	assert_string_equal(out, "abcd\xe2\x82\xac");
	assert_int_equal(shown_text("abc", 3, NULL, 0), 3);
}

/* Is it a character of the C library's, too? */
static void judge(const unsigned char *bytes, size_t size)
{
	char piece[SHOWN_PIECE_MAX];
	mbstate_t shift = {0};
	wchar_t point = 0;
	size_t length = mbrtowc(&point, (const char *)bytes, size, &shift);
	size_t taken = shown_take(bytes, size, piece);

	if (length == 0) /* the NUL */
		length = 1;
	if (length > size || point > 0x10ffff) { /* glibc takes more than there is */
		assert_int_equal(taken, 1);
		assert_int_equal(piece[1], 'x');
		return;
	}
	assert_int_equal(taken, length);
	bool is_itself = strlen(piece) == length && memcmp(piece, bytes, length) == 0;
	assert_true(is_itself || strlen(piece) == 6);
	if (is_itself)
		assert_true((uint32_t)point >= 0x20 && point != 0x7f &&
			    !(point >= 0x80 && point < 0xa0));
}

static void the_c_library_agrees_on_what_a_character_is(void **state)
{
	unsigned char bytes[4];

	(void)state;
	if (setlocale(LC_CTYPE, "C.UTF-8") == NULL)
		skip(); /* there is no locale C.UTF-8 */
	for (uint32_t pair = 0; pair <= 0xffff; pair++) {
		bytes[0] = (unsigned char)(pair >> 8);
		bytes[1] = (unsigned char)pair;
		bytes[2] = 0x80;
		bytes[3] = 0xbf;
		for (size_t size = 1; size <= 4; size++)
			judge(bytes, size);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_steers_no_terminal_is_as_it_was),
		cmocka_unit_test(control_characters_are_spelled_out),
		cmocka_unit_test(what_turns_a_text_around_is_spelled_out),
		cmocka_unit_test(bytes_that_are_no_utf_8_are_spelled_out_and_nothing_is_lost),
		cmocka_unit_test(a_nul_is_a_character_like_another),
		cmocka_unit_test(what_does_not_fit_ends_behind_a_whole_piece),
		cmocka_unit_test(the_c_library_agrees_on_what_a_character_is),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
