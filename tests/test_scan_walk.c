/* SPDX-License-Identifier: ISC */
/* scan_walk, scan_reader, scan_report: what a walk reads, leaves out and says. */
#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mortise_test.h"
#include "scan_walk.h"

#define VALUE      "correct-horse-battery"
#define VALUE_SIZE (sizeof VALUE - 1)

static struct scan_secret secret = {.path = (char[]){"prod/db/password"}, .current = 2};
static struct scan_value value = {.version = 2};
static struct scan_values values;
static struct scan_report report;
static struct scan_reader reader;
static const struct cli cli = {.is_json = true};
static char directory[] = "/tmp/mortise-scan-walk.XXXXXX";

static const char *at(const char *name)
{
	static char path[256];

	(void)snprintf(path, sizeof path, "%s/%s", directory, name);
	return path;
}

static void put(const char *name, const void *bytes, size_t size)
{
	FILE *file = fopen(at(name), "w");

	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, size, file), size);
	assert_int_equal(fclose(file), 0);
}

#define PUT(name, literal) put(name, literal, sizeof(literal) - 1)

/* What gzip(1) would make of it, cut after limit bytes. */
static void put_packed(const char *name, const char *text, size_t limit)
{
	gzFile file = gzopen(at(name), "wb");

	assert_non_null(file);
	assert_int_equal(gzwrite(file, text, (unsigned)strlen(text)), strlen(text));
	assert_int_equal(gzclose(file), Z_OK);
	if (limit > 0)
		assert_int_equal(truncate(at(name), (off_t)limit), 0);
}

static void walk(const char *name)
{
	scan_walk(&reader, at(name));
}

static const json_t *finding(size_t index)
{
	const json_t *object = json_array_get(report.findings, index);

	assert_non_null(object);
	return object;
}

static const char *text_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static json_int_t number_of(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static void a_finding_names_file_line_byte_secret_and_version(void **state)
{
	static const char text[] = "one\ntwo " VALUE "\n" VALUE;

	(void)state;
	put("file", text, sizeof text - 1);
	walk("file");
	assert_int_equal(json_array_size(report.findings), 2);
	assert_string_equal(text_of(finding(0), "file"), at("file"));
	assert_int_equal(number_of(finding(0), "line"), 2);
	assert_int_equal(number_of(finding(0), "offset"), 8);
	assert_int_equal(number_of(finding(1), "line"), 3);
	assert_string_equal(text_of(finding(0), "secret"), "prod/db/password");
	assert_int_equal(number_of(finding(0), "version"), 2);
	assert_string_equal(text_of(finding(0), "encoding"), "as it is");
	assert_int_equal(report.texts, 1);
	assert_int_equal(report.bytes, sizeof text - 1);
}

static void a_tree_is_read_in_order_and_whole(void **state)
{
	(void)state;
	assert_int_equal(mkdir(at("b"), 0700), 0);
	assert_int_equal(mkdir(at("b/c"), 0700), 0);
	PUT("b/c/deep", VALUE);
	PUT("b/a", VALUE);
	PUT("z", "nothing");
	walk("");
	assert_int_equal(json_array_size(report.findings), 2);
	assert_non_null(strstr(text_of(finding(0), "file"), "/b/a"));
	assert_non_null(strstr(text_of(finding(1), "file"), "/b/c/deep"));
	assert_int_equal(report.texts, 3);
	assert_int_equal(report.unreadable, 0);
}

static void links_in_a_tree_are_not_followed_and_a_named_one_is(void **state)
{
	(void)state;
	assert_int_equal(mkdir(at("tree"), 0700), 0);
	assert_int_equal(mkdir(at("outside"), 0700), 0);
	PUT("outside/file", VALUE);
	assert_int_equal(symlink("../outside", at("tree/directory")), 0);
	assert_int_equal(symlink("../outside/file", at("tree/file")), 0);
	walk("tree");
	assert_int_equal(report.found, 0);
	assert_int_equal(report.unreadable, 0);
	walk("tree/file");
	assert_int_equal(report.found, 1);
	walk("tree/directory");
	assert_int_equal(report.found, 2);
}

static void what_would_block_or_never_end_is_left_out(void **state)
{
	(void)state;
	assert_int_equal(mkfifo(at("fifo"), 0600), 0);
	walk("");
	assert_int_equal(report.special, 1);
	scan_walk(&reader, "/proc");
	assert_int_equal(report.special, 2);
	assert_int_equal(report.unreadable, 0);
	scan_walk(&reader, "/dev/zero");
	assert_int_equal(report.unreadable, 1);
}

static void what_cannot_be_read_is_named_and_the_walk_goes_on(void **state)
{
	(void)state;
	PUT("a", VALUE);
	PUT("b", VALUE);
	assert_int_equal(chmod(directory, 0755), 0);
	assert_int_equal(chmod(at("a"), 0), 0);
	assert_true(geteuid() != 0 || seteuid(65534) == 0);
	walk("");
	assert_true(getuid() != 0 || seteuid(0) == 0);
	assert_int_equal(report.found, 1);
	assert_int_equal(report.unreadable, 1);
	assert_string_equal(text_of(json_array_get(report.failures, 0), "file"), at("a"));
}

static void what_is_not_there_is_named(void **state)
{
	(void)state;
	walk("none");
	assert_int_equal(report.unreadable, 1);
	assert_string_equal(
		text_of(json_array_get(report.failures, 0), "message"), strerror(ENOENT));
	assert_int_equal(scan_report_finish(&report), CLI_IO);
}

static void what_was_found_counts_more_than_what_was_not_read(void **state)
{
	(void)state;
	walk("none");
	PUT("file", VALUE);
	walk("file");
	assert_int_equal(scan_report_finish(&report), CLI_FOUND);
}

static void what_is_compressed_is_unpacked_by_its_first_bytes(void **state)
{
	(void)state;
	put_packed("any-name", "first\n " VALUE " last", 0);
	walk("any-name");
	assert_int_equal(json_array_size(report.findings), 1);
	assert_int_equal(number_of(finding(0), "line"), 2);
	assert_int_equal(number_of(finding(0), "offset"), 7);
	assert_true(json_is_true(json_object_get(finding(0), "unpacked")));
	assert_int_equal(report.unreadable, 0);
}

static void append(const char *to, const char *from)
{
	char bytes[4096];
	FILE *file = fopen(at(from), "r");
	size_t size = fread(bytes, 1, sizeof bytes, file);

	assert_int_equal(fclose(file), 0);
	file = fopen(at(to), "a");
	assert_int_equal(fwrite(bytes, 1, size, file), size);
	assert_int_equal(fclose(file), 0);
}

/* What follows a member as it is was searched as it is. */
static void every_member_counts_and_so_does_what_follows(void **state)
{
	(void)state;
	put_packed("one", "nothing here, ", 0);
	put_packed("two", VALUE " in the second", 0);
	PUT("tail", "\0\0 tail " VALUE);
	append("one", "two");
	append("one", "tail");
	walk("one");
	assert_int_equal(json_array_size(report.findings), 2);
	assert_int_equal(report.unreadable, 0);
	for (size_t i = 0; i < 2; i++)
		if (json_is_true(json_object_get(finding(i), "unpacked")))
			assert_int_equal(number_of(finding(i), "offset"), 14);
}

static void damaged_gzip_is_named_after_what_could_be_searched(void **state)
{
	(void)state;
	put_packed("cut", VALUE " and more", 35);
	walk("cut");
	assert_int_equal(report.unreadable, 1);
	assert_int_equal(report.found, 1);
	PUT("damaged", "\x1f\x8b\x08 is no gzip at all " VALUE);
	walk("damaged");
	assert_int_equal(report.unreadable, 2);
	assert_int_equal(report.found, 2);
	PUT("short", "\x1f\x8b");
	walk("short");
	assert_int_equal(report.unreadable, 2);
}

static void of_many_findings_in_one_place_the_first_are_listed(void **state)
{
	FILE *file = fopen(at("log"), "w");

	(void)state;
	for (int i = 0; i < 1000; i++)
		fprintf(file, "%d %s\n", i, VALUE);
	assert_int_equal(fclose(file), 0);
	walk("log");
	assert_int_equal(report.found, 1000);
	assert_int_equal(json_array_size(report.findings), 100);
	assert_int_equal(number_of(finding(99), "line"), 100);
}

static void one_place_is_one_finding_in_whatever_form_it_ends(void **state)
{
	(void)state;
	PUT("file", "Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5IQ==");
	walk("file");
	assert_int_equal(report.found, 1);
	assert_string_equal(text_of(finding(0), "encoding"), "base64");
}

static void a_name_that_is_no_text_is_base64(void **state)
{
	(void)state;
	PUT("\xff", VALUE);
	walk("\xff");
	assert_null(json_object_get(finding(0), "file"));
	assert_non_null(json_object_get(finding(0), "file_base64"));
}

/* ---- what is said to a person ---- */

/* Steers a terminal in every way that there is: C0, DEL, C1 as a byte and in UTF-8, a line's end, a
 * turn. */
#define STEERS                                                                                     \
	"\033]0;title\a\177\x9b"                                                                   \
	"2J\xc2\x9b\r\n\xe2\x80\xae"

static int others[2], caught[2];

static void redirect(void)
{
	for (int i = 0; i < 2; i++) {
		fflush(i == 0 ? stdout : stderr);
		others[i] = dup(i + 1);
		caught[i] = memfd_create("caught", MFD_CLOEXEC);
		assert_true(others[i] >= 0 && caught[i] >= 0 && dup2(caught[i], i + 1) >= 0);
	}
}

/* What was written since. */
static const char *take_back(int which)
{
	static char texts[2][65536];

	fflush(which == 0 ? stdout : stderr);
	assert_true(dup2(others[which], which + 1) >= 0);
	assert_int_equal(close(others[which]), 0);
	ssize_t size = pread(caught[which], texts[which], sizeof texts[which] - 1, 0);
	assert_in_range(size, 1, sizeof texts[which] - 2); /* and it is all there was */
	texts[which][size] = '\0';
	assert_int_equal(close(caught[which]), 0);
	return texts[which];
}

/* Not as it is, and spelled out so often: nothing is left out. */
static void assert_spelled_out(const char *text, unsigned count)
{
	unsigned escapes = 0;

	for (const unsigned char *at = (const unsigned char *)text; *at != '\0'; at++)
		if ((*at < ' ' && *at != '\n') || *at >= 0x7f)
			fail_msg("a byte 0x%02x", *at); /* it would steer this terminal */
	for (const char *at = text; (at = strstr(at, "\\u001b]0;title\\u0007\\u007f\\x9b2J\\u009b"
						     "\\u000d\\u000a\\u202e"));
		at++)
		escapes++;
	assert_int_equal(escapes, count);
}

/* 101 findings have 100 lines, and one that counts the others. */
static void say_all_of(void)
{
	static const struct scan_place in_history = {
		.file = "f" STEERS, .git = "g" STEERS, .commit = "0123456789ab"};
	FILE *file = fopen(at("many" STEERS), "w");

	assert_non_null(file);
	for (int i = 0; i < 101; i++)
		fprintf(file, "%s\n", VALUE);
	assert_int_equal(fclose(file), 0);
	walk("many" STEERS);
	put_packed("packed" STEERS, VALUE " and more", 35);
	walk("packed" STEERS);
	walk("none" STEERS);
	scan_report_begin(&report, &in_history);
	scan_report_found(&report, 0, 1, 1);
	scan_report_unreadable_here(&report, "why" STEERS);
	scan_report_unreadable(&report, "history" STEERS, "why" STEERS);
	(void)scan_report_finish(&report);
}

static void no_foreign_name_steers_the_terminal(void **state)
{
	static const struct cli to_a_person = {.is_json = false};

	(void)state;
	report.cli = &to_a_person;
	redirect();
	say_all_of();
	const char *out = take_back(0), *err = take_back(1);
	assert_spelled_out(out, 101 + 1 + 2);
	assert_spelled_out(err, 1 + 1 + 3 + 2);
}

static void no_foreign_name_steers_the_terminal_while_it_goes_on(void **state)
{
	struct progress progress = {.began_ms = -60000, .shown_ms = -60000};
	char text[1024] = "";
	int ours, terminal, before = dup(STDERR_FILENO);

	(void)state;
	assert_int_equal(openpty(&ours, &terminal, NULL, NULL, NULL), 0);
	fflush(stderr);
	assert_true(before >= 0 && dup2(terminal, STDERR_FILENO) >= 0);
	progress_show(&progress, "%s: searched", "history" STEERS);
	fflush(stderr);
	assert_true(dup2(before, STDERR_FILENO) >= 0);
	assert_true(read(ours, text, sizeof text - 1) > 0);
	static const char clear[] = "\r\033[K";
	assert_memory_equal(text, clear, sizeof clear - 1);
	assert_spelled_out(text + sizeof clear - 1, 1);
	close(ours);
	close(terminal);
	close(before);
}

static int begin(void **state)
{
	(void)state;
	(void)strcpy(strrchr(directory, '.'), ".XXXXXX");
	if (mkdtemp(directory) == NULL)
		return -1;
	values = (struct scan_values){.match = scan_match_new(),
		.secrets = &secret,
		.secret_count = 1,
		.values = &value,
		.value_count = 1,
		.names = {"as it is", "base64"},
		.name_count = 2};
	assert_int_equal(
		scan_match_add(values.match, (const uint8_t *)VALUE, VALUE_SIZE, 0), MORTISE_OK);
	assert_int_equal(scan_match_add(values.match,
				 (const uint8_t *)"Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5", 28, 1),
		MORTISE_OK);
	assert_int_equal(scan_match_add(values.match,
				 (const uint8_t *)"Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5I", 29, 1),
		MORTISE_OK);
	assert_int_equal(scan_match_prepare(values.match), MORTISE_OK);
	scan_report_init(&report, &cli, &values);
	return scan_reader_init(&reader, &report) == MORTISE_OK ? 0 : -1;
}

static int end(void **state)
{
	char command[64];

	(void)state;
	scan_reader_done(&reader);
	scan_report_done(&report);
	scan_match_free(&values.match);
	(void)snprintf(command, sizeof command, "rm -rf %s", directory);
	return system(command);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_finding_names_file_line_byte_secret_and_version),
		TEST(a_tree_is_read_in_order_and_whole),
		TEST(links_in_a_tree_are_not_followed_and_a_named_one_is),
		TEST(what_would_block_or_never_end_is_left_out),
		TEST(what_cannot_be_read_is_named_and_the_walk_goes_on),
		TEST(what_is_not_there_is_named),
		TEST(what_was_found_counts_more_than_what_was_not_read),
		TEST(what_is_compressed_is_unpacked_by_its_first_bytes),
		TEST(every_member_counts_and_so_does_what_follows),
		TEST(damaged_gzip_is_named_after_what_could_be_searched),
		TEST(of_many_findings_in_one_place_the_first_are_listed),
		TEST(one_place_is_one_finding_in_whatever_form_it_ends),
		TEST(a_name_that_is_no_text_is_base64),
		TEST(no_foreign_name_steers_the_terminal),
		TEST(no_foreign_name_steers_the_terminal_while_it_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
