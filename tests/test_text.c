/* SPDX-License-Identifier: ISC */
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

#include "log.h"
#include "mortise_test.h"
#include "text.h"

static bool is_line(const char *text)
{
	return text_is_line(text, strlen(text));
}

static void a_line_is_utf8_without_what_steers(void **state)
{
	(void)state;
	assert_true(text_is_line("", 0));
	assert_true(is_line("backup of M\xc3\xa4rz, 3 \xe2\x82\xac, \xf0\x9f\x94\x91"));
	assert_false(is_line("a\tb"));
	assert_false(is_line("a\nb"));
	assert_false(is_line("\x7f"));
	assert_false(is_line("a\xc2\x9b"
			     "31m"));
	assert_true(is_line("\xc2\xa0"));
	assert_false(text_is_line("a\0b", 3));
}

static void what_turns_text_around_is_in_no_line(void **state)
{
	char text[4];

	(void)state;
	for (uint32_t point = 0x2000; point <= 0x206f; point++) {
		bool turns = point == 0x200e || point == 0x200f ||
			     (point >= 0x2028 && point <= 0x202e) ||
			     (point >= 0x2066 && point <= 0x2069);

		snprintf(text, sizeof text, "\xe2%c%c", (int)(0x80 | (point >> 6 & 0x3f)),
			(int)(0x80 | (point & 0x3f)));
		assert_int_equal(is_line(text), !turns);
	}
	assert_false(is_line("\xd8\x9c"));
}

static void what_is_no_utf8_is_in_no_line(void **state)
{
	static const char *const texts[] = {"\xff", "caf\xe9", "\xc3", "a\xe2\x82", "\xc0\xaf",
		"\xe0\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80", "\x80"};

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		assert_false(is_line(texts[i]));
}

static void the_c_library_agrees_on_what_a_character_is(void **state)
{
	unsigned char bytes[4] = {0, 0, 0x80, 0xbf};

	(void)state;
	if (setlocale(LC_CTYPE, "C.UTF-8") == NULL)
		skip(); /* there is no locale C.UTF-8 */
	for (uint32_t pair = 1 << 8; pair <= 0xffff; pair++) {
		mbstate_t shift = {0};
		uint32_t point = 0;
		wchar_t wide = 0;

		bytes[0] = (unsigned char)(pair >> 8);
		bytes[1] = (unsigned char)pair;
		size_t length = mbrtowc(&wide, (const char *)bytes, sizeof bytes, &shift);
		size_t size = text_character(bytes, sizeof bytes, &point);
		if (length > sizeof bytes || wide > 0x10ffff) { /* glibc takes more than there is */
			assert_int_equal(size, 0);
			continue;
		}
		assert_int_equal(size, length);
		assert_int_equal(point, wide);
	}
}

/* What is written to standard error while the log is asked to write this. */
static void log_to_pipe(const char *text, char *out_line, size_t size)
{
	int ends[2], before = dup(STDERR_FILENO);

	assert_int_equal(pipe(ends), 0);
	dup2(ends[1], STDERR_FILENO);
	log_info("%s", text);
	dup2(before, STDERR_FILENO);
	ssize_t got = read(ends[0], out_line, size - 1);
	assert_true(got > 0);
	out_line[got] = '\0';
	close(ends[0]);
	close(ends[1]);
	close(before);
}

static void a_line_of_the_agents_log_steers_no_terminal(void **state)
{
	char line[128];

	(void)state;
	log_to_pipe("a\x1b[2J b\xc2\x9b"
		    "31m c\xe2\x80\xae d\x9b e\n f\xc3\xa9",
		line, sizeof line);
	assert_non_null(strstr(line, "a?[2J b??31m c??? d? e? f\xc3\xa9\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_is_utf8_without_what_steers),
		cmocka_unit_test(what_turns_text_around_is_in_no_line),
		cmocka_unit_test(what_is_no_utf8_is_in_no_line),
		cmocka_unit_test(the_c_library_agrees_on_what_a_character_is),
		cmocka_unit_test(a_line_of_the_agents_log_steers_no_terminal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
