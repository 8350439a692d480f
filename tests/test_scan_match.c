/* SPDX-License-Identifier: ISC */
/* scan_match, scan_stream: what a naive search finds is found, however the text is cut. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mortise_test.h"
#include "scan_reader.h"

#define FOUND_MAX  200000
#define TEXT_MAX   1200000
#define STRING_MAX 64

struct hit {
	uint64_t offset, line;
	uint32_t tag;
};

struct hits {
	struct hit *hit;
	size_t count;
};

static struct hits ours, theirs;
static uint8_t *text;
static uint64_t seed;

static uint32_t any(uint32_t limit)
{
	seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (uint32_t)(seed >> 33) % limit;
}

static void note(void *context, uint32_t tag, uint64_t offset, uint64_t line)
{
	struct hits *hits = context;

	assert_true(hits->count < FOUND_MAX);
	hits->hit[hits->count++] = (struct hit){.offset = offset, .line = line, .tag = tag};
}

static void note_place(void *context, uint32_t tag, size_t at)
{
	note(context, tag, at, 0);
}

static int compare(const void *one, const void *other)
{
	const struct hit *a = one, *b = other;

	if (a->offset != b->offset)
		return a->offset < b->offset ? -1 : 1;
	return a->tag < b->tag ? -1 : a->tag > b->tag;
}

static void assert_same_hits(void)
{
	qsort(ours.hit, ours.count, sizeof *ours.hit, compare);
	qsort(theirs.hit, theirs.count, sizeof *theirs.hit, compare);
	assert_int_equal(ours.count, theirs.count);
	for (size_t i = 0; i < ours.count; i++) {
		assert_int_equal(ours.hit[i].offset, theirs.hit[i].offset);
		assert_int_equal(ours.hit[i].tag, theirs.hit[i].tag);
		assert_int_equal(ours.hit[i].line, theirs.hit[i].line);
	}
}

/* The strings of one search, kept here too. */
static struct {
	uint8_t *bytes;
	size_t size;
} strings[STRING_MAX];
static uint32_t string_count;
static struct scan_match *match;
static bool is_prepared;

static void add(const void *bytes, size_t size)
{
	strings[string_count].bytes = malloc(size);
	assert_non_null(strings[string_count].bytes);
	memcpy(strings[string_count].bytes, bytes, size);
	strings[string_count].size = size;
	assert_int_equal(scan_match_add(match, bytes, size, string_count), MORTISE_OK);
	string_count++;
}

static void search_naively(size_t size)
{
	uint64_t line = 1;

	theirs.count = 0;
	for (size_t at = 0; at < size; at++) {
		for (uint32_t i = 0; i < string_count; i++)
			if (size - at >= strings[i].size &&
				memcmp(text + at, strings[i].bytes, strings[i].size) == 0)
				note(&theirs, i, at, line);
		line += text[at] == '\n';
	}
}

/* In pieces of 1 to largest bytes. */
static void search_in_pieces(struct scan_stream *stream, size_t size, uint32_t largest)
{
	size_t at = 0, room;

	ours.count = 0;
	scan_stream_begin(stream);
	while (at < size) {
		size_t piece = 1 + any(largest);
		uint8_t *bytes = scan_stream_room(stream, &room);

		assert_true(room >= 65536);
		piece = piece < room ? piece : room;
		piece = piece < size - at ? piece : size - at;
		memcpy(bytes, text + at, piece);
		scan_stream_take(stream, piece);
		at += piece;
	}
	scan_stream_end(stream);
	assert_int_equal(scan_stream_total(stream), size);
}

static void search_both_ways(size_t size, uint32_t largest)
{
	struct scan_stream stream;

	if (!is_prepared)
		assert_int_equal(scan_match_prepare(match), MORTISE_OK);
	is_prepared = true;
	assert_int_equal(scan_stream_init(&stream, match, note, &ours), MORTISE_OK);
	search_naively(size);
	search_in_pieces(&stream, size, largest);
	assert_same_hits();
	search_in_pieces(&stream, size, 1);
	assert_same_hits();
	scan_stream_done(&stream);
}

static void fill_text(size_t size, uint32_t letters)
{
	for (size_t i = 0; i < size; i++)
		text[i] = (uint8_t)(any(40) == 0 ? '\n' : 'a' + any(letters));
}

static int begin(void **state)
{
	(void)state;
	is_prepared = false;
	match = scan_match_new();
	return match == NULL ? -1 : 0;
}

static int end(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < string_count; i++)
		free(strings[i].bytes);
	string_count = 0;
	scan_match_free(&match);
	return 0;
}

/* Strings cut out of the text, of two letters, so that many overlap and many nearly occur. */
static void whatever_occurs_is_found_wherever_the_text_is_cut(void **state)
{
	static const size_t shortest[] = {8, 9, 11, 12, 15, 16, 20, 24, 40};

	for (size_t round = 0; round < 3 * sizeof shortest / sizeof shortest[0]; round++) {
		size_t size = 3000 + any(3000);

		seed = 1000 + round;
		fill_text(size, round % 3 == 0 ? 1 : 2);
		for (int i = 0; i < 30; i++) {
			size_t length = shortest[round / 3] + any(30);

			add(text + any((uint32_t)(size - length)), length);
		}
		search_both_ways(size, 1 + any(500));
		assert_true(ours.count >= 30);
		(void)end(state);
		(void)begin(state);
	}
}

static void long_strings_are_told_apart_by_their_last_byte(void **state)
{
	uint8_t bytes[5000];

	(void)state;
	seed = 7;
	fill_text(60000, 3);
	memcpy(bytes, text + 20000, sizeof bytes);
	add(bytes, sizeof bytes);
	bytes[sizeof bytes - 1] = 'z';
	add(bytes, sizeof bytes);
	memcpy(text + 40000, bytes, sizeof bytes);
	bytes[SCAN_MATCH_KEPT] = 'z';
	add(bytes, sizeof bytes);
	search_both_ways(60000, 3000);
	assert_int_equal(ours.count, 2);
}

static void the_first_and_the_last_bytes_of_a_text_count(void **state)
{
	(void)state;
	add("abcdefgh", 8);
	add("12345678", 8);
	memcpy(text, "abcdefgh12345678", 16);
	search_both_ways(16, 3);
	assert_int_equal(ours.count, 2);
	search_both_ways(15, 3);
	assert_int_equal(ours.count, 1);
	search_both_ways(7, 3);
	assert_int_equal(ours.count, 0);
	search_both_ways(0, 3);
	assert_int_equal(ours.count, 0);
}

static void the_end_of_a_text_may_be_at_any_byte(void **state)
{
	(void)state;
	memset(text, 'x', 64);
	add("12345678", 8);
	for (size_t lead = 0; lead < 40; lead++) {
		memcpy(text + lead, "12345678", 8);
		search_both_ways(lead + 8, 7);
		assert_int_equal(ours.count, 1);
		memset(text, 'x', 64);
	}
}

static void any_byte_may_be_in_a_string(void **state)
{
	(void)state;
	for (size_t i = 0; i < 4096; i++)
		text[i] = (uint8_t)any(256);
	memset(text + 1000, 0, 100);
	memset(text + 2000, 0xff, 100);
	add("\0\0\0\0\0\0\0\0\0\0\0", 11);
	add("\xff\xff\xff\xff\xff\xff\xff\xff", 8);
	add(text + 3000, 32);
	add(text + 3001, 31);
	search_both_ways(4096, 77);
	assert_true(ours.count >= 185);
}

static void equal_strings_are_all_reported(void **state)
{
	(void)state;
	add("the same value", 14);
	add("the same value", 14);
	memcpy(text, "\n\nxx the same value\n", 20);
	search_both_ways(20, 5);
	assert_int_equal(ours.count, 2);
	assert_int_equal(ours.hit[0].line, 3);
	assert_int_equal(ours.hit[0].offset, 5);
}

/* A thousand connection strings begin alike, as do keys in PEM. */
static void a_common_beginning_is_no_window(void **state)
{
	char bytes[] = "postgres://app:0000000@db.example.org/app";

	(void)state;
	for (int i = 0; i < 40; i++) {
		bytes[15] = (char)('0' + i / 10);
		bytes[18] = (char)('0' + i % 10);
		add(bytes, sizeof bytes - 1);
	}
	for (size_t at = 0; at + 41 < 20000; at += 41)
		memcpy(text + at, "postgres://app:1003000@db.example.org/app", 41);
	search_both_ways(20000, 2000);
	assert_true(ours.count == 20000 / 41 - (20000 % 41 == 0));
}

/* As forms of one value do: they share what is kept. */
static void strings_of_one_beginning_are_all_found(void **state)
{
	static const size_t sizes[] = {300, SCAN_MATCH_KEPT, 100, SCAN_MATCH_KEPT + 1, 301};
	uint8_t bytes[301];

	(void)state;
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (uint8_t)('a' + any(26));
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
		add(bytes, sizes[i]);
	memset(text, '.', 6000);
	memcpy(text + 1000, bytes, sizeof bytes - 1);
	memcpy(text + 5900, bytes, 100);
	search_both_ways(6000, 500);
	assert_int_equal(ours.count, 4 + 3);
}

/* However a value is written, its letters and digits stay: that piece is kept, and once for all. */
static void a_long_string_is_found_by_a_piece_in_its_middle(void **state)
{
	static const char *const signs[] = {"<&>'", "&lt;&amp;&gt;'", "\\<\\&\\>\\'", "<&>''"};
	char piece[41] = "", bytes[4][400];
	size_t sizes[4], at = 10;

	(void)state;
	for (size_t i = 0; i < sizeof piece - 1; i++)
		piece[i] = (char)('a' + any(26));
	memset(text, '.', 6000);
	for (int i = 0; i < 4; i++) {
		sizes[i] = (size_t)snprintf(bytes[i], sizeof bytes[i], "%sab%s%s%s%0100d", signs[i],
			signs[i], piece, signs[i], i);
		add(bytes[i], sizes[i]);
		memcpy(text + at, bytes[i], sizes[i]);
		at += sizes[i] + 3;
	}
	memcpy(text + at, bytes[0], sizes[0] - 1); /* a wrong end */
	at += sizes[0];
	memcpy(text + at, bytes[0] + 1, sizes[0] - 1); /* a wrong beginning */
	memcpy(text, bytes[0] + 14, 9);
	memcpy(text + 5950, bytes[0], 50);
	search_both_ways(6000, 13);
	assert_int_equal(ours.count, 4);
	search_both_ways(6000, 4000);
	assert_int_equal(ours.count, 4);
}

/* What lies before that piece must still be there when a buffer makes room. */
static void a_piece_far_behind_its_beginning_is_found_in_every_buffer(void **state)
{
	char bytes[1000];

	(void)state;
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = i < 900 || i >= 940 ? "!<>&"[any(4)] : (char)('a' + any(26));
	add(bytes, sizeof bytes);
	for (size_t at = 0; at + sizeof bytes < TEXT_MAX; at += sizeof bytes + 1) {
		memcpy(text + at, bytes, sizeof bytes);
		text[at + sizeof bytes] = '\n';
	}
	search_both_ways(TEXT_MAX - 1001, 60000);
	assert_in_range(ours.count, TEXT_MAX / 1001 - 2, TEXT_MAX / 1001);
}

/* So many that the window is a shorter one. */
static void some_of_very_many_strings_are_found(void **state)
{
	size_t used = 0;

	(void)state;
	for (uint32_t i = 0; i < 70000; i++) {
		uint8_t bytes[24];

		for (size_t at = 0; at < sizeof bytes; at++)
			bytes[at] = (uint8_t)any(256);
		assert_int_equal(scan_match_add(match, bytes, sizeof bytes, i), MORTISE_OK);
		if (i % 700 != 0)
			continue;
		memcpy(text + used + i % 13, bytes, sizeof bytes);
		used += sizeof bytes + 13;
	}
	assert_int_equal(scan_match_prepare(match), MORTISE_OK);
	ours.count = 0;
	(void)scan_match_search(match, text, used, 0, true, note_place, &ours);
	assert_int_equal(ours.count, 100);
	for (size_t i = 0; i < ours.count; i++)
		assert_int_equal(ours.hit[i].tag % 700, 0);
}

static void a_text_of_many_buffers_has_right_offsets_and_lines(void **state)
{
	(void)state;
	seed = 99;
	fill_text(TEXT_MAX, 20);
	for (int i = 0; i < 20; i++)
		add(text + any(TEXT_MAX - 300), 16 + any(280));
	search_both_ways(TEXT_MAX, 300000);
	assert_true(ours.count >= 20);
	assert_true(ours.hit[ours.count - 1].line > 1000);
}

static void what_is_too_short_is_refused_and_nothing_finds_nothing(void **state)
{
	(void)state;
	assert_int_equal(scan_match_add(match, (const uint8_t *)"1234567", 7, 0), MORTISE_INVALID);
	memcpy(text, "1234567812345678", 16);
	search_both_ways(16, 4);
	assert_int_equal(ours.count, 0);
}

static int make_room(void **state)
{
	(void)state;
	text = malloc(TEXT_MAX);
	ours.hit = calloc(FOUND_MAX, sizeof *ours.hit);
	theirs.hit = calloc(FOUND_MAX, sizeof *theirs.hit);
	return text == NULL || ours.hit == NULL || theirs.hit == NULL ? -1 : 0;
}

static int release_room(void **state)
{
	(void)state;
	free(text);
	free(ours.hit);
	free(theirs.hit);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			whatever_occurs_is_found_wherever_the_text_is_cut, begin, end),
		cmocka_unit_test_setup_teardown(
			long_strings_are_told_apart_by_their_last_byte, begin, end),
		cmocka_unit_test_setup_teardown(
			the_first_and_the_last_bytes_of_a_text_count, begin, end),
		cmocka_unit_test_setup_teardown(the_end_of_a_text_may_be_at_any_byte, begin, end),
		cmocka_unit_test_setup_teardown(any_byte_may_be_in_a_string, begin, end),
		cmocka_unit_test_setup_teardown(equal_strings_are_all_reported, begin, end),
		cmocka_unit_test_setup_teardown(a_common_beginning_is_no_window, begin, end),
		cmocka_unit_test_setup_teardown(strings_of_one_beginning_are_all_found, begin, end),
		cmocka_unit_test_setup_teardown(
			a_long_string_is_found_by_a_piece_in_its_middle, begin, end),
		cmocka_unit_test_setup_teardown(
			a_piece_far_behind_its_beginning_is_found_in_every_buffer, begin, end),
		cmocka_unit_test_setup_teardown(some_of_very_many_strings_are_found, begin, end),
		cmocka_unit_test_setup_teardown(
			a_text_of_many_buffers_has_right_offsets_and_lines, begin, end),
		cmocka_unit_test_setup_teardown(
			what_is_too_short_is_refused_and_nothing_finds_nothing, begin, end),
	};

	return cmocka_run_group_tests(tests, make_room, release_room);
}
