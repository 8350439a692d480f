/* SPDX-License-Identifier: ISC */
/* envfile: lines of a .env file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "envfile.h"
#include "mortise_test.h"

static struct envfile file;
static struct envfile_entry entry;
static char text[512];

static void begin_bytes(const char *content, size_t size)
{
	memcpy(text, content, size);
	envfile_begin(&file, text, size);
}

static void begin(const char *content)
{
	begin_bytes(content, strlen(content));
}

static void assert_entry(const char *name, const char *value)
{
	assert_int_equal(envfile_next(&file, &entry), MORTISE_OK);
	assert_string_equal(entry.name, name);
	assert_string_equal(entry.value, value);
}

static void assert_end(void)
{
	assert_int_equal(envfile_next(&file, &entry), MORTISE_NOT_FOUND);
}

static void assert_wrong(const char *content, int line, const char *wrong)
{
	enum mortise_status status;

	begin(content);
	while ((status = envfile_next(&file, &entry)) == MORTISE_OK)
		;
	assert_int_equal(status, MORTISE_REJECTED);
	assert_int_equal(file.line, line);
	assert_non_null(strstr(file.wrong, wrong));
}

static void names_and_values_stand_on_lines(void **state)
{
	(void)state;
	begin("A=one\nB_2=two words = 3\n\n  C=\nexport D=x\nexport=y");
	assert_entry("A", "one");
	assert_entry("B_2", "two words = 3");
	assert_entry("C", "");
	assert_entry("D", "x");
	assert_entry("export", "y");
	assert_end();
}

static void comments_stand_behind_a_blank(void **state)
{
	(void)state;
	begin("# A=1\n  # B=2\nC=3 # three\nD=a#b\nE=#f\nF= # nothing\nG=\"x\" # y\n#");
	assert_entry("C", "3");
	assert_entry("D", "a#b");
	assert_entry("E", "#f");
	assert_entry("F", "");
	assert_entry("G", "x");
	assert_end();
}

static void quotes_keep_blanks_and_newlines(void **state)
{
	(void)state;
	begin("A=' a # b '\nB='line 1\nline \"2\"\\n'\nC=\"a\\n\\t\\\"\\\\\\$x\\q\n$y\"\nD=it's");
	assert_entry("A", " a # b ");
	assert_entry("B", "line 1\nline \"2\"\\n");
	assert_int_equal(entry.line, 2);
	assert_entry("C", "a\n\t\"\\$x\\q\n$y");
	assert_int_equal(entry.line, 4);
	assert_entry("D", "it's");
	assert_int_equal(entry.line, 6);
	assert_end();
}

static void lines_may_end_as_on_windows(void **state)
{
	(void)state;
	begin("A=1\r\n\r\nB='2'\r\nC=3\r\n");
	assert_entry("A", "1");
	assert_entry("B", "2");
	assert_entry("C", "3");
	assert_end();
}

static void what_is_wrong_is_named_with_its_line(void **state)
{
	(void)state;
	assert_wrong("A=1\nB\n", 2, "NAME=VALUE");
	assert_wrong("A=1\n\n2B=3\n", 3, "letter first");
	assert_wrong("A B=1", 1, "NAME=VALUE");
	assert_wrong("=1", 1, "letter first");
	assert_wrong("A-B=1", 1, "letters");
	assert_wrong("\nA='x\ny", 3, "not closed");
	assert_wrong("A=\"x", 1, "not closed");
	assert_wrong("A=\"x\\", 1, "not closed");
	assert_wrong("A='x'y", 1, "behind the closing quote");
	begin_bytes("A=1\nB=\0x\n", 9);
	assert_int_equal(envfile_next(&file, &entry), MORTISE_REJECTED);
}

/* As import --rewrite uses it: what stands there is replaced, and nothing else. */
static void an_entry_says_where_its_value_stands(void **state)
{
	static const struct {
		const char *text, *before, *behind;
	} cases[] = {
		{"A=one\n", "A=", "\n"},
		{"A=one # note\n", "A=", " # note\n"},
		{"A= \tone\r\n", "A= \t", "\r\n"},
		{"A=\"v\"#note\n", "A=\"", "\"#note\n"},
		{"A='v' \t# note", "A='", "' \t# note"},
		{"A=\"a\\\"b\nc\"\r\n", "A=\"", "\"\r\n"},
		{"A=\n", "A=", "\n"},
		{"A= # note\n", "A=", " # note\n"},
		{"A=\t#note", "A=", "\t#note"},
		{"A=#note", "A=", ""},
		{"A=\"\"#note", "A=\"", "\"#note"},
		{"A=  ", "A=", "  "},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		begin(cases[i].text);
		assert_int_equal(envfile_next(&file, &entry), MORTISE_OK);
		assert_int_equal(entry.from, strlen(cases[i].before));
		assert_string_equal(cases[i].text + entry.to, cases[i].behind);
		assert_end();
	}
}

static void a_byte_order_mark_is_passed_over(void **state)
{
	(void)state;
	begin("\xef\xbb\xbf"
	      "A=1\n");
	assert_entry("A", "1");
	assert_int_equal(entry.from, 5);
	assert_end();
	assert_wrong("A=1\n\xef\xbb\xbf"
		     "B=1\n",
		2, "letters");
}

static void a_name_is_a_path_with_small_letters_and_back(void **state)
{
	char path[MORTISE_PATH_MAX + 2], name[MORTISE_PATH_MAX + 1], longest[260];

	(void)state;
	assert_true(envfile_path_of("prod/app", "DB_Password2", path));
	assert_string_equal(path, "prod/app/db-password2");
	envfile_name_of("prod/app/db-password.key", name);
	assert_string_equal(name, "DB_PASSWORD_KEY");
	assert_false(envfile_path_of("prod", "_A", path));
	memset(longest, 'A', sizeof longest);
	longest[MORTISE_PATH_MAX - 5] = '\0';
	assert_true(envfile_path_of("prod", longest, path));
	longest[MORTISE_PATH_MAX - 5] = 'A';
	longest[MORTISE_PATH_MAX - 4] = '\0';
	assert_false(envfile_path_of("prod", longest, path));
}

static void an_empty_file_has_nothing(void **state)
{
	(void)state;
	begin("");
	assert_end();
	begin("\n\n  \n");
	assert_end();
}

/* The sanitizer looks on while any bytes are read. */
static void any_bytes_are_read_or_refused(void **state)
{
	static const char letters[] = "A=\"'\\\n\r #x\0e";

	(void)state;
	srand(1);
	for (int round = 0; round < 20000; round++) {
		size_t size = (size_t)(rand() % 30);
		char *content = malloc(size + 1);
		enum mortise_status status;

		for (size_t i = 0; i < size; i++)
			content[i] = letters[rand() % (int)sizeof letters];
		envfile_begin(&file, content, size);
		while ((status = envfile_next(&file, &entry)) == MORTISE_OK)
			assert_true(strlen(entry.name) + strlen(entry.value) < size);
		assert_true(status == MORTISE_NOT_FOUND || status == MORTISE_REJECTED);
		free(content);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_and_values_stand_on_lines),
		cmocka_unit_test(comments_stand_behind_a_blank),
		cmocka_unit_test(quotes_keep_blanks_and_newlines),
		cmocka_unit_test(lines_may_end_as_on_windows),
		cmocka_unit_test(what_is_wrong_is_named_with_its_line),
		cmocka_unit_test(an_entry_says_where_its_value_stands),
		cmocka_unit_test(a_byte_order_mark_is_passed_over),
		cmocka_unit_test(a_name_is_a_path_with_small_letters_and_back),
		cmocka_unit_test(an_empty_file_has_nothing),
		cmocka_unit_test(any_bytes_are_read_or_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
