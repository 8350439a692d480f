/* SPDX-License-Identifier: ISC */
/*
 * mask: no value comes through, and no other byte is changed. The tests build a text of pieces
 * whose masked form is known, cut it at random places, and compare every byte; fuzz_mask does the
 * same with what a fuzzer thinks of.
 */
#include <stdlib.h>
#include <string.h>

#include "encodings.h"
#include "mask.h"
#include "mortise_test.h"

#define TEXT_MAX  400000
#define FORMS_MAX 1024

struct text {
	uint8_t bytes[TEXT_MAX];
	size_t size;
};

static struct text in, expected, out;

static enum mortise_status append(void *context, const void *bytes, size_t size)
{
	struct text *text = context;

	assert_true(text->size + size <= TEXT_MAX);
	memcpy(text->bytes + text->size, bytes, size);
	text->size += size;
	return MORTISE_OK;
}

static void add(struct mask *mask, const char *name, const void *value, size_t size)
{
	bool is_masked;

	assert_int_equal(mask_add(mask, name, value, size, &is_masked), MORTISE_OK);
	assert_int_equal(is_masked, size >= ENCODINGS_VALUE_MIN);
}

static struct mask *mask_of(const char *name, const char *value)
{
	struct mask *mask;

	assert_int_equal(mask_new(&mask), MORTISE_OK);
	add(mask, name, value, strlen(value));
	assert_int_equal(mask_prepare(mask), MORTISE_OK);
	return mask;
}

static struct mask_stream *open_stream(const struct mask *mask)
{
	struct mask_stream *stream;

	assert_int_equal(mask_open(mask, &stream), MORTISE_OK);
	in.size = expected.size = out.size = 0;
	return stream;
}

static void feed(struct mask_stream *stream, const void *bytes, size_t size, bool is_end)
{
	size_t room;
	uint8_t *at = mask_room(stream, &room);

	assert_true(room >= MASK_CHUNK && size <= room);
	if (size > 0)
		memcpy(at, bytes, size);
	assert_int_equal(mask_pass(stream, size, is_end, append, &out), MORTISE_OK);
}

static void assert_out(const char *text)
{
	assert_int_equal(out.size, strlen(text));
	assert_memory_equal(out.bytes, text, out.size);
}

static void a_value_cut_in_two_is_masked(void **state)
{
	struct mask *mask = mask_of("prod/pw", "hunter2hunter2");
	struct mask_stream *stream = open_stream(mask);

	(void)state;
	feed(stream, "it is hunter2", 13, false);
	assert_out("it is ");
	feed(stream, "hunter2!", 8, false);
	assert_out("it is [mortise:prod/pw]!");
	feed(stream, "hunt", 4, true);
	assert_out("it is [mortise:prod/pw]!hunt");
	mask_close(&stream);
	mask_free(&mask);
}

static void what_cannot_become_a_value_comes_out_at_once(void **state)
{
	struct mask *mask = mask_of("prod/pw", "hunter2hunter2");
	struct mask_stream *stream = open_stream(mask);

	(void)state;
	feed(stream, "name: ", 6, false);
	assert_out("name: ");
	feed(stream, "hunter2x", 8, false);
	assert_out("name: hunter2x");
	mask_close(&stream);
	mask_free(&mask);
}

static void a_person_sees_a_few_held_bytes_and_the_value_is_masked_all_the_same(void **state)
{
	struct mask *mask = mask_of("p", "hunter2hunter2");
	struct mask_stream *stream = open_stream(mask);

	(void)state;
	feed(stream, "> hun", 5, false);
	assert_out("> ");
	assert_int_equal(mask_show_held(stream, 3, append, &out), MORTISE_OK);
	assert_out("> hun");
	feed(stream, "ter2", 4, false);
	assert_int_equal(mask_show_held(stream, 3, append, &out), MORTISE_OK);
	assert_out("> hun");
	feed(stream, "hunter2.", 8, false);
	assert_out("> hun[mortise:p].");
	feed(stream, "hu", 2, false);
	assert_int_equal(mask_show_held(stream, 3, append, &out), MORTISE_OK);
	assert_int_equal(mask_show_held(stream, 3, append, &out), MORTISE_OK);
	feed(stream, "man", 3, false);
	assert_out("> hun[mortise:p].human");
	mask_close(&stream);
	mask_free(&mask);
}

static void of_two_values_the_longer_one_is_named(void **state)
{
	struct mask *mask;
	struct mask_stream *stream;

	(void)state;
	assert_int_equal(mask_new(&mask), MORTISE_OK);
	add(mask, "short", "password", 8);
	add(mask, "long", "password-and-more", 17);
	add(mask, "tiny", "pass", 4);
	assert_int_equal(mask_prepare(mask), MORTISE_OK);
	stream = open_stream(mask);
	feed(stream, "password-and", 12, false);
	assert_out("");
	feed(stream, "-more password-any pass", 23, true);
	assert_out("[mortise:long] [mortise:short]-any pass");
	mask_close(&stream);
	mask_free(&mask);
}

static void each_value_that_is_replaced_is_counted(void **state)
{
	struct mask *mask = mask_of("p", "hunter2hunter2");
	struct mask_stream *stream = open_stream(mask), *other;

	(void)state;
	assert_int_equal(mask_replaced(stream), 0);
	feed(stream, "hunter2hunter2 hunter2hunter2, hunter2", 38, false);
	assert_int_equal(mask_replaced(stream), 2);
	feed(stream, "hunter2 aHVudGVyMmh1bnRlcjI= hunter", 35, true);
	assert_int_equal(mask_replaced(stream), 4);
	assert_int_equal(mask_open(mask, &other), MORTISE_OK);
	assert_int_equal(mask_replaced(other), 0);
	mask_close(&other);
	mask_close(&stream);
	mask_free(&mask);
}

static enum mortise_status refuse(void *context, const void *bytes, size_t size)
{
	return MORTISE_IO;
}

static void a_write_that_fails_is_told(void **state)
{
	struct mask *mask = mask_of("p", "hunter2hunter2");
	struct mask_stream *stream = open_stream(mask);
	size_t room;

	(void)state;
	memcpy(mask_room(stream, &room), "abc", 3);
	assert_int_equal(mask_pass(stream, 3, false, refuse, NULL), MORTISE_IO);
	mask_close(&stream);
	mask_free(&mask);
}

/* --- Random texts */

static struct {
	uint8_t *bytes;
	size_t size;
} forms[FORMS_MAX];
static int form_count;

static enum mortise_status keep(void *context, const struct encodings_form *form)
{
	(void)context;
	assert_true(form_count < FORMS_MAX);
	forms[form_count].bytes = malloc(form->size);
	memcpy(forms[form_count].bytes, form->bytes, form->size);
	forms[form_count++].size = form->size;
	return MORTISE_OK;
}

static void forget_forms(void)
{
	while (form_count > 0)
		free(forms[--form_count].bytes);
}

/*
 * Values are of bytes 0x80 to 0xbf, what is between them of others: nothing is masked by chance.
 * But encoded they are of letters, so what is between is of bytes that no encoding has.
 */
static void add_noise(void)
{
	static const char letters[] = "\x01\x02#~~~~;;\xff\xc0\x7f|}{";
	int size = rand() % 30 + 1;

	for (int i = 0; i < size; i++) {
		const char *letter = &letters[rand() % (int)(sizeof letters - 1)];

		append(&in, letter, 1);
		append(&expected, letter, 1);
	}
}

static void run_one(size_t value_size)
{
	static uint8_t value[5000];
	struct mask *mask;
	struct mask_stream *stream;
	size_t at = 0;

	for (size_t i = 0; i < value_size; i++)
		value[i] = (uint8_t)(value_size % 2 ? 0x80 + rand() % 64 : 'a' + rand() % 26);
	if (value_size % 4 == 0)
		value[value_size / 2] = '\n';
	assert_int_equal(encodings_each(value, value_size, keep, NULL), MORTISE_OK);
	assert_int_equal(mask_new(&mask), MORTISE_OK);
	add(mask, "x", value, value_size);
	assert_int_equal(mask_prepare(mask), MORTISE_OK);
	stream = open_stream(mask);
	for (int i = 0; i < 12; i++) {
		int chosen = rand() % form_count;

		add_noise();
		append(&in, forms[chosen].bytes, forms[chosen].size);
		append(&expected, "[mortise:x]", 11);
	}
	add_noise();
	while (at < in.size) {
		size_t piece = (size_t)(rand() % (rand() % 2 ? 3 : 3000) + 1);

		piece = piece < in.size - at ? piece : in.size - at;
		feed(stream, in.bytes + at, piece, false);
		at += piece;
	}
	feed(stream, NULL, 0, true);
	assert_int_equal(out.size, expected.size);
	assert_memory_equal(out.bytes, expected.bytes, out.size);
	mask_close(&stream);
	mask_free(&mask);
	forget_forms();
}

static void no_encoding_comes_through_wherever_it_is_cut(void **state)
{
	(void)state;
	srand(2);
	for (int round = 0; round < 400; round++)
		run_one((size_t)(8 + rand() % (round % 20 == 0 ? 3000 : 40)));
}

static void a_text_without_values_stays_as_it_is(void **state)
{
	struct mask *mask = mask_of("p", "aaaaaaaab");
	struct mask_stream *stream;

	(void)state;
	srand(3);
	for (int round = 0; round < 200; round++) {
		stream = open_stream(mask);
		for (int i = 0; i < 300; i++) {
			char letter = rand() % 5 == 0 ? 'c' : 'a';

			append(&in, &letter, 1);
			feed(stream, &letter, 1, i == 299);
		}
		assert_int_equal(out.size, in.size);
		assert_memory_equal(out.bytes, in.bytes, in.size);
		mask_close(&stream);
	}
	mask_free(&mask);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_value_cut_in_two_is_masked),
		cmocka_unit_test(what_cannot_become_a_value_comes_out_at_once),
		cmocka_unit_test(
			a_person_sees_a_few_held_bytes_and_the_value_is_masked_all_the_same),
		cmocka_unit_test(of_two_values_the_longer_one_is_named),
		cmocka_unit_test(each_value_that_is_replaced_is_counted),
		cmocka_unit_test(a_write_that_fails_is_told),
		cmocka_unit_test(no_encoding_comes_through_wherever_it_is_cut),
		cmocka_unit_test(a_text_without_values_stays_as_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
