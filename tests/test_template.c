/* SPDX-License-Identifier: ISC */
/* template: text and secrets in turn, and what is neither. */
#include <stdlib.h>
#include <string.h>

#include "mortise_test.h"
#include "template.h"

static struct template template;
static struct template_part part;
static char text[512];

static void begin(const char *content)
{
	memcpy(text, content, strlen(content));
	template_begin(&template, text, strlen(content));
}

static void assert_part(bool is_secret, const char *expected)
{
	assert_int_equal(template_next(&template, &part), MORTISE_OK);
	assert_int_equal(part.is_secret, is_secret);
	assert_int_equal(part.size, strlen(expected));
	assert_memory_equal(part.text, expected, part.size);
	if (is_secret)
		assert_int_equal(part.text[part.size], '\0');
}

static void assert_end(void)
{
	assert_int_equal(template_next(&template, &part), MORTISE_NOT_FOUND);
}

static void assert_wrong(const char *content, int line, const char *wrong)
{
	enum mortise_status status;

	begin(content);
	while ((status = template_next(&template, &part)) == MORTISE_OK)
		;
	assert_int_equal(status, MORTISE_REJECTED);
	assert_int_equal(template.line, line);
	assert_non_null(strstr(template.wrong, wrong));
}

static void text_and_secrets_come_in_turn(void **state)
{
	(void)state;
	begin("a = {{ secret \"prod/a#b\" }};\n{{secret\"prod/c\"}}{{\n secret\t\"d\"\n}}");
	assert_part(false, "a = ");
	assert_part(true, "prod/a#b");
	assert_part(false, ";\n");
	assert_part(true, "prod/c");
	assert_part(true, "d");
	assert_end();
}

static void a_text_without_directives_is_one_part(void **state)
{
	(void)state;
	begin("{ } }} { {\n");
	assert_part(false, "{ } }} { {\n");
	assert_end();
	begin("");
	assert_end();
}

static void two_braces_are_written_as_a_string(void **state)
{
	(void)state;
	begin("{{ \"{{\" }} x }}");
	assert_part(false, "{{");
	assert_part(false, " x }}");
	assert_end();
}

static void what_is_no_directive_is_named_with_its_line(void **state)
{
	(void)state;
	assert_wrong("a\n{{ sceret \"x\" }}", 2, "'sceret'");
	assert_wrong("\n\n{{ env \"x\" }}", 3, "'env'");
	assert_wrong("{{ secret x }}", 1, "double quotes");
	assert_wrong("{{ }}", 1, "double quotes");
	assert_wrong("{{", 1, "double quotes");
	assert_wrong("{{ secret \"x", 1, "not closed");
	assert_wrong("{{ secret \"x\n\" }}", 1, "not closed");
	assert_wrong("{{ secret \"x\" | upper }}", 1, "}} is wanted");
	assert_wrong("{{ secret \"x\" }", 1, "}} is wanted");
	assert_wrong("{{ secret \"x\"", 1, "}} is wanted");
}

/* The sanitizer looks on while any bytes are read. */
static void any_bytes_are_read_or_refused(void **state)
{
	static const char *const pieces[] = {"{{", "}}", "\"", "secret", " ", "\n", "x", "{", ""};

	(void)state;
	srand(1);
	for (int round = 0; round < 20000; round++) {
		char *content = NULL;
		size_t size = 0;
		enum mortise_status status;

		for (int i = rand() % 12; i > 0; i--) {
			const char *piece = pieces[rand() % 9];
			size_t piece_size = *piece == '\0' ? 1 : strlen(piece);

			content = realloc(content, size + piece_size);
			memcpy(content + size, piece, piece_size);
			size += piece_size;
		}
		template_begin(&template, content, size);
		while ((status = template_next(&template, &part)) == MORTISE_OK)
			assert_true(part.text >= content && part.size <= size);
		assert_true(status == MORTISE_NOT_FOUND || status == MORTISE_REJECTED);
		free(content);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_and_secrets_come_in_turn),
		cmocka_unit_test(a_text_without_directives_is_one_part),
		cmocka_unit_test(two_braces_are_written_as_a_string),
		cmocka_unit_test(what_is_no_directive_is_named_with_its_line),
		cmocka_unit_test(any_bytes_are_read_or_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
