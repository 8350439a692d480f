/* SPDX-License-Identifier: ISC */
/* encodings: what other programs make of a value is among its forms. */
#include <stdlib.h>
#include <string.h>

#include "encodings.h"
#include "mortise_test.h"

#define FORMS_MAX 1024

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

/* What the programs of swtpm-test/tests/e2e_spellings.py write, in short. */
static void signs_are_found_as_files_and_shells_write_them(void **state)
{
	static const char *const forms_wanted[] = {
		"a&amp;b&lt;c'd\"e%f$g\\h:i=j",          /* XML */
		"a&amp;b&lt;c&#x27;d&quot;e%f$g\\h:i=j", /* HTML */
		"a\\u0026b\\u003cc'd\\\"e%f$g\\\\h:i=j", /* JSON by Go */
		"a&b<c''d\"e%f$g\\h:i=j",                /* SQL, YAML */
		"a&b<c'd\"\"e%f$g\\h:i=j",               /* CSV */
		"a&b<c'\\''d\"e%f$g\\h:i=j",             /* shells */
		"a&b<c'\"'\"'d\"e%f$g\\h:i=j",
		"a&b<c'd\\\"e%f\\$g\\\\h:i=j",
		"a\\&b\\<c\\'d\\\"e%f\\$g\\\\h:i=j",
		"a&b<c'd\"e\\%f$g\\h:i=j", /* crontab */
		"a&b<c'\\''d\"e\\%f$g\\h:i=j",
		"a&b<c'd\\\"e%%f$g\\\\h:i=j",  /* a unit */
		"a&b<c'd\"e%f$$g\\h:i=j",      /* compose */
		"a&b<c'd\"e%f$g\\\\h\\:i=j",   /* .pgpass */
		"a&b<c'd\"e%f$g\\\\h\\:i\\=j", /* .properties */
		"a\\x26b\\x3cc\\x27d\\x22e\\x25f\\x24g\\x5ch:i\\x3dj",
	};

	(void)state;
	make("a&b<c'd\"e%f$g\\h:i=j", 19);
	for (size_t i = 0; i < sizeof forms_wanted / sizeof forms_wanted[0]; i++)
		assert_true(has(forms_wanted[i]));
	make("~abc~def", 8);
	assert_true(has("\\~abc~def"));
	make("ab:~c=~d~", 9); /* bash: as in PATH=~/bin:~/sbin */
	assert_true(has("ab:\\~c=\\~d~"));
	make("abc$d$'ef", 9); /* zsh's (qqq) */
	assert_true(has("abc\\$d$'ef"));
	make("a''bc'''", 8);
	assert_true(has("a'\"''\"'bc'\"'''\"")); /* dash */
}

static bool has_bytes(const char *bytes, size_t size)
{
	for (int i = 0; i < count; i++)
		if (forms[i].size == size && memcmp(forms[i].bytes, bytes, size) == 0)
			return true;
	return false;
}

static void what_is_beyond_ascii_is_found_as_bytes_and_numbers(void **state)
{
	(void)state;
	make("\t\x1b\xc3\xa4\xf0\x9f\x98\x80", 8);
	assert_true(has("\\t\\E\xc3\xa4\xf0\x9f\x98\x80"));
	assert_true(has("\\t\\E\\303\\244\\360\\237\\230\\200"));
	assert_true(has("\\t\\x1b\\xc3\\xa4\\xf0\\x9f\\x98\\x80"));
	assert_true(has("\\t\\e\\xE4\\U0001F600"));
	assert_true(has("\t\x1b&#228;&#128512;"));
	assert_true(has("&#9;\x1b&#xE4;&#x1F600;"));
	assert_true(has("\\t\\u001B\\u00E4\\uD83D\\uDE00"));
	make("\xc3\xa4\xf0\x9f\x98\x80zz", 8);
	assert_true(has_bytes("\xe4\0\x3d\xd8\x00\xdez\0z\0", 10));
	assert_true(has_bytes("\0\xe4\xd8\x3d\xde\x00\0z\0z", 10));
	make("\xff\xff\xff\xff\xff\xff\xff'", 8);
	assert_true(has("\xff\xff\xff\xff\xff\xff\xff''"));
	assert_true(has("\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\'"));
}

static void lines_are_found_indented(void **state)
{
	(void)state;
	make("one's\n\ntwo\nthree\n", 17);
	assert_true(has("one's\n\n  two\n  three\n"));
	assert_true(has("one's\n\n         two\n         three"));
	assert_true(has("one''s\n\n\n    two\n\n    three\n\n"));
}

/* They are masked at no cost, and most secrets are of these. */
static void a_value_of_letters_and_digits_is_written_alike_everywhere(void **state)
{
	(void)state;
	make("hunter2hunter2", 14);
	assert_in_range(count, 8, 50);
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
	memset(value, '\'', MORTISE_VALUE_MAX);
	make(value, MORTISE_VALUE_MAX);
	for (size_t i = 0; i < MORTISE_VALUE_MAX; i++)
		value[i] = i % 2 == 0 ? '\n' : '\'';
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
		cmocka_unit_test(signs_are_found_as_files_and_shells_write_them),
		cmocka_unit_test(what_is_beyond_ascii_is_found_as_bytes_and_numbers),
		cmocka_unit_test(lines_are_found_indented),
		cmocka_unit_test(a_value_of_letters_and_digits_is_written_alike_everywhere),
		cmocka_unit_test(several_lines_are_found_with_crlf_and_without_the_last_newline),
		cmocka_unit_test(a_value_under_8_bytes_has_no_forms),
		cmocka_unit_test(the_largest_value_has_room),
		cmocka_unit_test(no_form_of_any_8_bytes_is_under_8),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
