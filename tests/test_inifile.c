/* SPDX-License-Identifier: ISC */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "inifile.h"
#include "mortise_test.h"

/* What a visitor saw, a line each: "2:1 rule/title" or "3:1:9 key=value". */
struct record {
	char text[2048];
	size_t visits, refuse_at; /* 0: never */
};

static struct inifile_error error;

static enum mortise_status note(
	void *context, const struct inifile_entry *entry, struct inifile_error *out_error)
{
	struct record *record = context;
	size_t used = strlen(record->text);
	char *at = record->text + used;

	if (++record->visits == record->refuse_at)
		return inifile_refuse(out_error, entry->line, entry->column, "not %s", "this");
	if (entry->key == NULL)
		(void)snprintf(at, sizeof record->text - used, "%u:%u %s/%s\n", entry->line,
			entry->column, entry->section, entry->title);
	else
		(void)snprintf(at, sizeof record->text - used, "%u:%u:%u %s=%s\n", entry->line,
			entry->column, entry->value_column, entry->key, entry->value);
	return MORTISE_OK;
}

static void reads_sized(const char *text, size_t size, const char *expected)
{
	struct record record = {0};

	assert_int_equal(inifile_read(text, size, note, &record, &error), MORTISE_OK);
	assert_string_equal(record.text, expected);
}

static void reads(const char *text, const char *expected)
{
	reads_sized(text, strlen(text), expected);
}

/* The text lies in its own memory, so that AddressSanitizer sees a byte read too many. */
static void refuses_sized(const char *text, size_t size, unsigned line, unsigned column)
{
	struct record record = {0};
	char *copy = malloc(size);

	assert_non_null(copy);
	memcpy(copy, text, size);
	memset(&error, 0, sizeof error);
	assert_int_equal(inifile_read(copy, size, note, &record, &error), MORTISE_REJECTED);
	free(copy);
	if (error.line != line || error.column != column)
		fail_msg("expected %u:%u, not %u:%u: %s", line, column, error.line, error.column,
			error.text);
	assert_true(error.text[0] != '\0');
}

static void refuses(const char *text, unsigned line, unsigned column)
{
	refuses_sized(text, strlen(text), line, column);
}

static void headers_and_entries_come_with_their_places(void **state)
{
	(void)state;
	reads("[rule nightly-backup]\nallow  = read\nuser=backup\n",
		"1:1 rule/nightly-backup\n2:1:10 allow=read\n3:1:6 user=backup\n");
}

static void an_empty_text_has_no_entries(void **state)
{
	(void)state;
	reads("", "");
	reads_sized(NULL, 0, "");
	reads("\n\n \t\n", "");
}

static void a_section_without_entries_is_visited(void **state)
{
	(void)state;
	reads("[a]\n[b c]\n", "1:1 a/\n2:1 b/c\n");
}

static void the_last_line_needs_no_newline(void **state)
{
	(void)state;
	reads("[a]\nk = v", "1:1 a/\n2:1:5 k=v\n");
	reads("[a]", "1:1 a/\n");
}

static void a_title_starts_after_the_first_blanks(void **state)
{
	(void)state;
	reads("[rule  a b ]\n", "1:1 rule/a b\n");
}

static void a_long_title_is_not_cut(void **state)
{
	char text[256] = "[rule ", expected[256] = "1:1 rule/";
	char title[101];

	(void)state;
	memset(title, 'x', 100);
	title[100] = '\0';
	(void)snprintf(text, sizeof text, "[rule %s]\nk=v\n", title);
	(void)snprintf(expected, sizeof expected, "1:1 rule/%s\n2:1:3 k=v\n", title);
	reads(text, expected);
}

static void comments_start_a_line_or_follow_a_blank(void **state)
{
	(void)state;
	reads("; one\n# two\n  ; three\n[a] ; four\nk = v ; five\nl = v;w\nm = #v\n",
		"4:1 a/\n5:1:5 k=v\n6:1:5 l=v;w\n7:1:5 m=#v\n");
}

static void a_comment_may_hold_other_letters_than_ascii(void **state)
{
	(void)state;
	reads("; f\xc3\xbcr\n[a]\nk = v ; \xc3\xbc\n", "2:1 a/\n3:1:5 k=v\n");
}

static void an_empty_value_is_handed_on(void **state)
{
	(void)state;
	reads("[a]\nk =\nl = ; none\n", "1:1 a/\n2:1:4 k=\n3:1:4 l=\n");
}

static void a_value_may_hold_what_separates_elsewhere(void **state)
{
	(void)state;
	reads("[a]\nk = a=b:c [d]\n", "1:1 a/\n2:1:5 k=a=b:c [d]\n");
}

static void an_indented_entry_is_an_entry(void **state)
{
	(void)state;
	reads("[a]\n  k = v\n\tl = w\n", "1:1 a/\n2:3:7 k=v\n3:2:6 l=w\n");
}

static void a_key_may_stand_in_two_sections(void **state)
{
	(void)state;
	reads("[a]\nk=1\n[b]\nk=2\n", "1:1 a/\n2:1:3 k=1\n3:1 b/\n4:1:3 k=2\n");
}

static void a_continuation_line_is_refused(void **state)
{
	(void)state;
	refuses("[a]\nk = v\n  w\n", 3, 4);
}

static void a_colon_for_an_equals_sign_is_refused(void **state)
{
	(void)state;
	refuses("[a]\nkey: value\n", 2, 4);
	refuses("[a]\nkey: a=b\n", 2, 4);
}

static void junk_is_refused(void **state)
{
	(void)state;
	refuses("[a]\nkey\n", 2, 4);
	refuses("[a]\n= v\n", 2, 1);
	refuses("[a]\nk v = w\n", 2, 3);
	refuses("[a]\nk ; = w\n", 2, 2);
	refuses("[a]\n!\n", 2, 1);
}

static void an_entry_before_the_first_section_is_refused(void **state)
{
	(void)state;
	refuses("\nk = v\n", 2, 1);
}

static void a_key_twice_in_a_section_is_refused(void **state)
{
	(void)state;
	refuses("[a]\nk = 1\nkk = 2\n k = 3\n", 4, 2);
}

static void a_section_twice_is_refused(void **state)
{
	(void)state;
	refuses("[rule a]\n[rule b]\n [rule  a ]\n", 3, 2);
}

static void too_many_keys_in_a_section_are_refused(void **state)
{
	char text[1024] = "[a]\n";

	(void)state;
	for (int i = 0; i <= INIFILE_KEYS_MAX; i++)
		(void)snprintf(text + strlen(text), sizeof text - strlen(text), "k%d=\n", i);
	refuses(text, INIFILE_KEYS_MAX + 2, 1);
}

static void a_broken_header_is_refused(void **state)
{
	(void)state;
	refuses("[rule a\n", 1, 8);
	refuses("[rule ;a]\n", 1, 6);
	refuses("[]\n", 1, 2);
	refuses("[ a]\n", 1, 2);
	refuses("[a] b\n", 1, 4);
	refuses("[a];b\n", 1, 4);
	refuses("[a] # b\n", 1, 4);
	refuses("[a]]\n", 1, 4);
}

static void a_nul_is_refused_wherever_it_stands(void **state)
{
	(void)state;
	refuses_sized("[a]\nk = v\0w\n", 12, 2, 6);
	refuses_sized("; \0\n", 4, 1, 3);
	refuses_sized("[a\0]\n", 5, 1, 3);
	refuses_sized("\0", 1, 1, 1);
}

static void control_bytes_are_refused(void **state)
{
	(void)state;
	refuses("[a]\r\n", 1, 4);
	assert_non_null(strstr(error.text, "carriage return"));
	refuses("; \x1b[2J\n", 1, 3);
	refuses("[a]\nk = \x7f\n", 2, 5);
}

static void other_letters_than_ascii_are_refused_outside_comments(void **state)
{
	(void)state;
	refuses("[a]\nk = \xc3\xbc\n", 2, 5);
	refuses("\xef\xbb\xbf[a]\n", 1, 1);
	refuses("[\xc3\xbc]\n", 1, 2);
}

static void a_line_of_4096_bytes_is_the_longest(void **state)
{
	char text[INIFILE_LINE_MAX + 16] = "[a]\nk = ";
	struct record record = {0};

	(void)state;
	memset(text + 8, 'v', INIFILE_LINE_MAX - 4);
	assert_int_equal(
		inifile_read(text, 4 + INIFILE_LINE_MAX, note, &record, &error), MORTISE_OK);
	assert_int_equal(record.visits, 2);
	assert_non_null(strstr(record.text, "2:1:5 k=vvvv"));
	text[4 + INIFILE_LINE_MAX] = 'v';
	refuses_sized(text, 4 + INIFILE_LINE_MAX + 1, 2, INIFILE_LINE_MAX + 1);
}

static void a_whole_long_value_is_handed_on(void **state)
{
	char text[1024] = "[a]\nk = ", expected[1024] = "1:1 a/\n2:1:5 k=";

	(void)state;
	memset(text + strlen(text), 'v', 600);
	memset(expected + strlen(expected), 'v', 600);
	expected[strlen(expected)] = '\n';
	reads(text, expected);
}

static void what_the_visitor_refuses_ends_the_reading(void **state)
{
	static const char text[] = "[a]\nk=1\nl=2\n[b]\n";
	struct record record = {.refuse_at = 2};

	(void)state;
	assert_int_equal(inifile_read(text, strlen(text), note, &record, &error), MORTISE_REJECTED);
	assert_int_equal(record.visits, 2);
	assert_int_equal(error.line, 2);
	assert_string_equal(error.text, "not this");
}

static void a_text_cut_at_any_byte_is_read_or_refused(void **state)
{
	static const char text[] = "; c\n[rule a] ; c\nallow = read\n\tuser\t= x ; y\n[b]\n";

	(void)state;
	for (size_t size = 0; size < sizeof text; size++) {
		struct record record = {0};
		char *copy = malloc(size + (size == 0));
		enum mortise_status status;

		assert_non_null(copy);
		memcpy(copy, text, size);
		status = inifile_read(copy, size, note, &record, &error);
		free(copy);
		assert_true(status == MORTISE_OK || status == MORTISE_REJECTED);
	}
}

static void a_description_is_printable_and_names_the_place(void **state)
{
	struct inifile_error fault = {3, 9, "bad \x1b[2J\xc3\xbc"};
	char text[64], small[8];

	(void)state;
	inifile_describe("f\n.conf", &fault, text, sizeof text);
	assert_string_equal(text, "f?.conf:3:9: bad ?[2J??");
	inifile_describe("f", &fault, small, sizeof small);
	assert_string_equal(small, "f:3:9: ");
	fault.line = 0;
	inifile_describe("f", &fault, text, sizeof text);
	assert_string_equal(text, "f: bad ?[2J??");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(headers_and_entries_come_with_their_places),
		cmocka_unit_test(an_empty_text_has_no_entries),
		cmocka_unit_test(a_section_without_entries_is_visited),
		cmocka_unit_test(the_last_line_needs_no_newline),
		cmocka_unit_test(a_title_starts_after_the_first_blanks),
		cmocka_unit_test(a_long_title_is_not_cut),
		cmocka_unit_test(comments_start_a_line_or_follow_a_blank),
		cmocka_unit_test(a_comment_may_hold_other_letters_than_ascii),
		cmocka_unit_test(an_empty_value_is_handed_on),
		cmocka_unit_test(a_value_may_hold_what_separates_elsewhere),
		cmocka_unit_test(an_indented_entry_is_an_entry),
		cmocka_unit_test(a_key_may_stand_in_two_sections),
		cmocka_unit_test(a_continuation_line_is_refused),
		cmocka_unit_test(a_colon_for_an_equals_sign_is_refused),
		cmocka_unit_test(junk_is_refused),
		cmocka_unit_test(an_entry_before_the_first_section_is_refused),
		cmocka_unit_test(a_key_twice_in_a_section_is_refused),
		cmocka_unit_test(a_section_twice_is_refused),
		cmocka_unit_test(too_many_keys_in_a_section_are_refused),
		cmocka_unit_test(a_broken_header_is_refused),
		cmocka_unit_test(a_nul_is_refused_wherever_it_stands),
		cmocka_unit_test(control_bytes_are_refused),
		cmocka_unit_test(other_letters_than_ascii_are_refused_outside_comments),
		cmocka_unit_test(a_line_of_4096_bytes_is_the_longest),
		cmocka_unit_test(a_whole_long_value_is_handed_on),
		cmocka_unit_test(what_the_visitor_refuses_ends_the_reading),
		cmocka_unit_test(a_text_cut_at_any_byte_is_read_or_refused),
		cmocka_unit_test(a_description_is_printable_and_names_the_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
