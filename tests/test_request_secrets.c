/* SPDX-License-Identifier: ISC */
/* Values and lists, the log and the store's check, as clients see them. */
#include "keeper_fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIRST                                                                                      \
	"[rule first]\nallow = read list write delete rotate audit admin\nsecret = **\nuser = 0\n"

static uint8_t big[MORTISE_VALUE_MAX + 1];

/* A keeper forked later has a copy of the test's memory: each test has bytes of its own. */
static void fill(unsigned step)
{
	for (size_t i = 0; i < sizeof big; i++)
		big[i] = (uint8_t)(i * step + 1);
}

static void values_of_every_size_come_back_as_they_were_set(void **state)
{
	const size_t sizes[] = {0, 1, 255, 4096, 65535, 65536};
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);
	struct wire_field value;

	fill(7);
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		assert_int_equal(ask_set(fixture, asker, "prod/x", big, sizes[i]), MORTISE_OK);
		assert_int_equal(ask_get(fixture, asker, "prod/x", &value), MORTISE_OK);
		assert_int_equal(value.size, sizes[i]);
		if (sizes[i])
			assert_memory_equal(value.bytes, big, sizes[i]);
	}
	assert_int_equal(ask_set(fixture, asker, "prod/x", big, sizeof big), MORTISE_INVALID);
	asker_close(asker);
}

static void begin_batch(struct asker *asker, unsigned count, const char *path)
{
	struct wire_writer *writer = asker_begin(asker, WIRE_GET);
	size_t list = wire_list_begin(writer, WIRE_TAG_PATHS);

	for (unsigned i = 0; i < count; i++)
		wire_item_put(writer, path, strlen(path));
	wire_list_end(writer, list);
}

static void a_path_that_one_request_names_again_has_one_line(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	keeper_put(fixture, "prod/x", "value");
	keeper_put(fixture, "prod/y", "value");
	size_t lines = keeper_log_lines(fixture);
	begin_batch(asker, WIRE_BATCH_MAX, "prod/x");
	assert_int_equal(asker_call(fixture, asker), MORTISE_OK);
	assert_int_equal(keeper_log_lines(fixture), lines + 1);
	struct wire_writer *writer = asker_begin(asker, WIRE_GET);
	size_t list = wire_list_begin(writer, WIRE_TAG_PATHS);
	for (unsigned i = 0; i < 3; i++) {
		wire_item_put(writer, "prod/x", 6);
		wire_item_put(writer, "prod/y", 6);
	}
	wire_list_end(writer, list);
	assert_int_equal(asker_call(fixture, asker), MORTISE_OK);
	assert_int_equal(keeper_log_lines(fixture), lines + 3);
	asker_close(asker);
}

static void a_batch_is_of_as_many_paths_as_one_import_stores(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	assert_int_equal(WIRE_BATCH_MAX, WIRE_SETS_MAX);
	keeper_put(fixture, "prod/x", "value");
	begin_batch(asker, WIRE_BATCH_MAX, "prod/x");
	assert_int_equal(asker_call(fixture, asker), MORTISE_OK);
	begin_batch(asker, WIRE_BATCH_MAX + 1, "prod/x");
	assert_int_equal(asker_call(fixture, asker), MORTISE_INVALID);
	begin_batch(asker, 0, "prod/x");
	assert_int_equal(asker_call(fixture, asker), MORTISE_INVALID);
	asker_close(asker);
}

static bool memory_has(const struct keeper_fixture *fixture, const void *needle, size_t size)
{
	static uint8_t chunk[1 << 20];
	char path[64], line[512];
	bool found = false;

	snprintf(path, sizeof path, "/proc/%d/mem", (int)fixture->pid);
	int memory = open(path, O_RDONLY);
	assert_true(memory >= 0);
	snprintf(path, sizeof path, "/proc/%d/maps", (int)fixture->pid);
	FILE *maps = fopen(path, "re");
	assert_non_null(maps);
	while (!found && fgets(line, sizeof line, maps)) {
		unsigned long long at, end;
		char writable;
		if (sscanf(line, "%llx-%llx r%c", &at, &end, &writable) != 3 || writable != 'w' ||
			end - at > (1ULL << 32))
			continue;
		for (; at < end && !found; at += sizeof chunk - 64) {
			size_t want = end - at < sizeof chunk ? (size_t)(end - at) : sizeof chunk;
			ssize_t got = pread(memory, chunk, want, (off_t)at);
			found = got > 0 && memmem(chunk, (size_t)got, needle, size);
		}
	}
	(void)fclose(maps);
	close(memory);
	return found;
}

/* memfd_secret keeps even root out: there the scan would find nothing, and says so. */
static void values_of_an_answer_too_large_for_a_frame_are_wiped(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);
	static uint8_t twisted[64];
	char protection[256];

	NEEDS_ROOT();
	keeper_fact(fixture, "memory", protection);
	if (strcmp(protection, "memfd_secret") == 0) {
		asker_close(asker);
		skip(); /* memfd_secret keeps even root from looking: see -Dmemfd_secret=false */
	}
	fill(11);
	assert_int_equal(ask_set(fixture, asker, "prod/x", big, 65536), MORTISE_OK);
	begin_batch(asker, 3, "prod/x");
	assert_int_equal(asker_call(fixture, asker), MORTISE_INVALID);
	assert_int_equal(asker->size < 200, 1);
	memcpy(twisted, big + 60000, sizeof twisted);
	assert_false(memory_has(fixture, twisted, sizeof twisted));
	asker_close(asker);
}

static void an_answer_too_large_for_a_frame_is_refused(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	fill(13);
	assert_int_equal(ask_set(fixture, asker, "prod/x", big, 65536), MORTISE_OK);
	begin_batch(asker, 2, "prod/x");
	assert_int_equal(asker_call(fixture, asker), MORTISE_INVALID);
	assert_true(asker->size < 200);
	asker_close(asker);
}

static uint16_t set_if_changed(
	struct keeper_fixture *fixture, struct asker *asker, const char *value)
{
	static uint8_t token[WIRE_TOKEN_SIZE];
	struct wire_writer *writer = asker_begin(asker, WIRE_SET);

	token[0]++;
	wire_put_text(writer, WIRE_TAG_PATH, "prod/x");
	wire_put_text(writer, WIRE_TAG_VALUE, value);
	wire_put(writer, WIRE_TAG_TOKEN, token, sizeof token);
	wire_put_number(writer, WIRE_TAG_IF_CHANGED, 1);
	wire_put_number(writer, WIRE_TAG_DRY_RUN, 1);
	return asker_call(fixture, asker);
}

static void whoever_may_only_write_cannot_guess_a_value(void **state)
{
	struct keeper_fixture *fixture = *state;

	NEEDS_ROOT();
	keeper_put(fixture, "prod/x", "1234");
	keeper_apply(fixture, FIRST "[rule w]\nallow = write\nsecret = prod/x\nuser = alice\n");
	become(ALICE, ALICE);
	struct asker *asker = asker_open(fixture);
	assert_int_equal(set_if_changed(fixture, asker, "1234"), MORTISE_DENIED);
	assert_int_equal(set_if_changed(fixture, asker, "9999"), MORTISE_DENIED);
	assert_int_equal(ask_set(fixture, asker, "prod/x", "5678", 4), MORTISE_OK);
	become_root();
	asker_close(asker);
}

static void versions_and_labels_choose(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	keeper_put(fixture, "prod/x", "first value");
	keeper_put(fixture, "prod/x", "second value");
	begin_get(asker, "prod/x");
	wire_put_text(&asker->writer, WIRE_TAG_LABEL, "previous");
	assert_int_equal(asker_call(fixture, asker), MORTISE_OK);
	assert_non_null(memmem(asker->in, asker->size, "first value", 11));
	begin_get(asker, "prod/x");
	wire_put_number(&asker->writer, WIRE_TAG_VERSION, 1);
	assert_int_equal(asker_call(fixture, asker), MORTISE_OK);
	assert_non_null(memmem(asker->in, asker->size, "first value", 11));
	begin_get(asker, "prod/x");
	wire_put_text(&asker->writer, WIRE_TAG_LABEL, "latest");
	assert_int_equal(asker_call(fixture, asker), MORTISE_INVALID);
	begin_get(asker, "prod/x");
	wire_put_number(&asker->writer, WIRE_TAG_VERSION, 1);
	wire_put_text(&asker->writer, WIRE_TAG_LABEL, "previous");
	assert_int_equal(asker_call(fixture, asker), MORTISE_INVALID);
	asker_close(asker);
}

/* Alice reads different secrets without end; root and Bob are not concerned. */
static void a_uid_has_so_many_lines_a_minute_and_others_are_not_concerned(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *root = asker_open(fixture), *alice;
	struct stat before, after;
	uint16_t code = MORTISE_OK;
	unsigned answered = 0;

	NEEDS_ROOT();
	for (unsigned i = 0; i < 64; i++)
		keeper_put(fixture, (char[8]){'a', '/', (char)('a' + i / 8), (char)('a' + i % 8)},
			"v");
	keeper_apply(fixture, FIRST "[rule a]\nallow = read\nsecret = a/*\nuser = 1000 1001\n");
	assert_int_equal(ask_plain(fixture, root, WIRE_WHOAMI), MORTISE_OK);
	assert_int_equal(stat(fixture->audit_log, &before), 0);
	become(ALICE, ALICE);
	alice = asker_open(fixture);
	for (; code == MORTISE_OK && answered < 1000; answered += code == MORTISE_OK) {
		struct wire_writer *writer = asker_begin(alice, WIRE_GET);
		size_t list = wire_list_begin(writer, WIRE_TAG_PATHS);
		for (unsigned i = 0; i < 64; i++)
			wire_item_put(writer,
				(char[8]){'a', '/', (char)('a' + i / 8), (char)('a' + i % 8)}, 4);
		wire_list_end(writer, list);
		code = asker_call(fixture, alice);
	}
	assert_int_equal(code, MORTISE_BUSY);
	assert_non_null(strstr(alice->text, "more than 15000 lines of you"));
	assert_true(wire_has(&alice->reply, WIRE_TAG_NUMBER));
	assert_true(answered >= 15000 / 64);
	become_root();
	asker_close(alice);
	assert_int_equal(stat(fixture->audit_log, &after), 0);
	assert_in_range(after.st_size - before.st_size, 1000000, 10000000);
	assert_int_equal(ask_get(fixture, root, "a/aa", NULL), MORTISE_OK);
	asker_close(root);
	become(ALICE + 1, ALICE + 1);
	alice = asker_open(fixture);
	assert_int_equal(ask_get(fixture, alice, "a/aa", NULL), MORTISE_OK);
	become_root();
	asker_close(alice);
}

/* ---- lists ---- */

static void put_thousand(struct keeper_fixture *fixture)
{
	struct asker *asker = asker_open(fixture);
	char path[32];

	for (unsigned i = 0; i < 1000; i++) {
		snprintf(path, sizeof path, "%s/%04u", i % 4 ? "prod" : "hidden", i);
		assert_int_equal(ask_set(fixture, asker, path, "v", 1), MORTISE_OK);
	}
	asker_close(asker);
}

/* Walks a list to its end; how many entries were there, none of them hidden. */
static unsigned walk(struct keeper_fixture *fixture, struct asker *asker, const char *prefix,
	unsigned *out_hidden)
{
	uint8_t cursor[8];
	bool goes_on = false;
	unsigned count = 0;

	*out_hidden = 0;
	do {
		struct wire_writer *writer = asker_begin(asker, WIRE_LIST);
		struct wire_field item;
		if (goes_on)
			wire_put(writer, WIRE_TAG_CURSOR, cursor, sizeof cursor);
		if (prefix)
			wire_put_text(writer, WIRE_TAG_PREFIX, prefix);
		assert_int_equal(asker_call(fixture, asker), MORTISE_OK);
		struct wire_list list = wire_list_of(&asker->reply, WIRE_TAG_ITEMS);
		for (; wire_list_next(&list, &item); count++)
			*out_hidden += memmem(item.bytes, item.size, "hidden", 6) != NULL;
		assert_true(wire_list_is_whole(&list));
		goes_on = wire_has(&asker->reply, WIRE_TAG_MORE);
		if (goes_on)
			memcpy(cursor, wire_field_of(&asker->reply, WIRE_TAG_CURSOR)->bytes,
				sizeof cursor);
	} while (goes_on);
	return count;
}

static void a_list_of_a_thousand_shows_each_once_and_hides_what_is_hidden(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);
	unsigned hidden = 0;

	NEEDS_ROOT();
	put_thousand(fixture);
	assert_int_equal(walk(fixture, asker, NULL, &hidden), 1000);
	assert_int_equal(hidden, 250);
	assert_int_equal(walk(fixture, asker, "hidden", &hidden), 250);
	assert_int_equal(walk(fixture, asker, "prod/0001", &hidden), 1);
	assert_int_equal(walk(fixture, asker, "pro", &hidden), 0);
	asker_close(asker);
	keeper_apply(fixture, FIRST "[rule l]\nallow = list\nsecret = prod/**\nuser = alice\n");
	become(ALICE, ALICE);
	asker = asker_open(fixture);
	assert_int_equal(walk(fixture, asker, NULL, &hidden), 750);
	assert_int_equal(hidden, 0);
	assert_int_equal(walk(fixture, asker, "hidden", &hidden), 0);
	become_root();
	asker_close(asker);
}

static void a_list_that_starts_in_the_middle_stands_in_the_log(void **state)
{
	static const uint8_t start[8];
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	NEEDS_ROOT();
	wire_put(asker_begin(asker, WIRE_LIST), WIRE_TAG_CURSOR, start, sizeof start);
	assert_int_equal(asker_call(fixture, asker), MORTISE_OK);
	assert_last_line(fixture, "\"op\":\"list\",\"uid\":0,\"gid\":0,\"result\":\"ok\"");
	wire_put_text(asker_begin(asker, WIRE_LIST), WIRE_TAG_CURSOR, "short");
	assert_int_equal(asker_call(fixture, asker), MORTISE_INVALID);
	wire_put_text(asker_begin(asker, WIRE_LIST), WIRE_TAG_PREFIX, "prod/");
	assert_int_equal(asker_call(fixture, asker), MORTISE_INVALID);
	asker_close(asker);
}

static void a_policy_read_from_its_middle_stands_in_the_log(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	NEEDS_ROOT();
	assert_int_equal(ask_plain(fixture, asker, WIRE_POLICY_SHOW), MORTISE_OK);
	assert_int_equal(ask_get(fixture, asker, "prod/x", NULL), MORTISE_NOT_FOUND);
	wire_put_number(asker_begin(asker, WIRE_POLICY_SHOW), WIRE_TAG_OFFSET, 1);
	assert_int_equal(asker_call(fixture, asker), MORTISE_OK);
	assert_last_line(fixture,
		"\"op\":\"policy-show\",\"uid\":0,\"gid\":0,\"rule\":\"first\",\"result\":\"ok\"");
	asker_close(asker);
}

/* ---- the log ---- */

static uint64_t number(const struct asker *asker, unsigned tag)
{
	uint64_t value = 0;

	assert_int_equal(wire_number(&asker->reply, tag, &value), MORTISE_OK);
	return value;
}

static uint16_t show_log(struct keeper_fixture *fixture, struct asker *asker, uint64_t offset)
{
	wire_put_number(asker_begin(asker, WIRE_AUDIT_SHOW), WIRE_TAG_OFFSET, offset);
	return asker_call(fixture, asker);
}

static void the_log_is_shown_in_whole_lines_with_one_line_for_all_pages(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	assert_int_equal(show_log(fixture, asker, 0), MORTISE_OK);
	const struct wire_field *chunk = wire_field_of(&asker->reply, WIRE_TAG_CHUNK);
	assert_int_equal(chunk->bytes[chunk->size - 1], '\n');
	uint64_t next = number(asker, WIRE_TAG_OFFSET);
	assert_int_equal(next, chunk->size);
	assert_int_equal(show_log(fixture, asker, next), MORTISE_OK);
	size_t lines = keeper_log_lines(fixture);
	next = number(asker, WIRE_TAG_OFFSET);
	assert_int_equal(show_log(fixture, asker, next), MORTISE_OK);
	assert_int_equal(show_log(fixture, asker, next), MORTISE_OK);
	assert_in_range(keeper_log_lines(fixture), lines, lines + 1);
	assert_int_equal(show_log(fixture, asker, 1), MORTISE_INVALID);
	assert_int_equal(show_log(fixture, asker, 1 << 30), MORTISE_INVALID);
	asker_close(asker);
}

static void an_untouched_log_verifies(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	assert_int_equal(ask_plain(fixture, asker, WIRE_AUDIT_VERIFY), MORTISE_OK);
	assert_false(wire_has(&asker->reply, WIRE_TAG_MORE));
	assert_int_equal(ask_plain(fixture, asker, WIRE_AUDIT_KEY), MORTISE_OK);
	assert_int_equal(wire_field_of(&asker->reply, WIRE_TAG_CHUNK)->size, 32);
	wire_put_text(asker_begin(asker, WIRE_AUDIT_VERIFY), WIRE_TAG_CURSOR, "12345678");
	assert_int_equal(asker_call(fixture, asker), MORTISE_INVALID);
	asker_close(asker);
}

static void an_edited_log_does_not_verify(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	keeper_put(fixture, "prod/x", "v");
	int fd = open(fixture->audit_log, O_WRONLY);
	assert_int_equal(pwrite(fd, "9", 1, 30), 1);
	close(fd);
	assert_int_equal(ask_plain(fixture, asker, WIRE_AUDIT_VERIFY), MORTISE_INTEGRITY);
	assert_non_null(strstr(asker->text, "line 1: "));
	asker_close(asker);
}

static void the_store_verifies_page_by_page(void **state)
{
	static const uint8_t beyond[16] = {[5] = 1}, rows_done[16] = {[7] = 0x80};
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	keeper_put(fixture, "prod/x", "v");
	keeper_put(fixture, "prod/y", "v");
	uint64_t values = 0;
	uint16_t code = ask_plain(fixture, asker, WIRE_VERIFY);
	while (code == MORTISE_OK && wire_has(&asker->reply, WIRE_TAG_MORE)) {
		uint8_t cursor[16];
		values += number(asker, WIRE_TAG_NUMBER);
		memcpy(cursor, wire_field_of(&asker->reply, WIRE_TAG_CURSOR)->bytes, sizeof cursor);
		wire_put(asker_begin(asker, WIRE_VERIFY), WIRE_TAG_CURSOR, cursor, sizeof cursor);
		code = asker_call(fixture, asker);
	}
	assert_int_equal(code, MORTISE_OK);
	assert_int_equal(values + number(asker, WIRE_TAG_NUMBER), 2);
	assert_int_equal(number(asker, WIRE_TAG_DONE), number(asker, WIRE_TAG_TOTAL));
	wire_put(asker_begin(asker, WIRE_VERIFY), WIRE_TAG_CURSOR, rows_done, sizeof rows_done);
	assert_int_equal(asker_call(fixture, asker), MORTISE_OK);
	assert_int_equal(number(asker, WIRE_TAG_NUMBER), 0);
	wire_put(asker_begin(asker, WIRE_VERIFY), WIRE_TAG_CURSOR, "\0", 1);
	assert_int_equal(asker_call(fixture, asker), MORTISE_INVALID);
	wire_put(asker_begin(asker, WIRE_VERIFY), WIRE_TAG_CURSOR, beyond, sizeof beyond);
	assert_int_equal(asker_call(fixture, asker), MORTISE_INVALID);
	asker_close(asker);
}

static void after_a_kill_everything_that_was_answered_is_there(void **state)
{
	struct keeper_fixture *fixture = *state;

	keeper_put(fixture, "prod/x", "value");
	kill(fixture->pid, SIGKILL);
	assert_int_equal(keeper_reap(fixture), 128 + SIGKILL);
	keeper_start(fixture);
	struct asker *asker = asker_open(fixture);
	assert_int_equal(ask_recover(fixture, asker, fixture->recovery), MORTISE_OK);
	assert_int_equal(ask_get(fixture, asker, "prod/x", NULL), MORTISE_OK);
	assert_int_equal(ask_plain(fixture, asker, WIRE_AUDIT_VERIFY), MORTISE_OK);
	asker_close(asker);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_STORE(values_of_every_size_come_back_as_they_were_set),
		WITH_STORE(a_batch_is_of_as_many_paths_as_one_import_stores),
		WITH_STORE(a_path_that_one_request_names_again_has_one_line),
		WITH_STORE(a_uid_has_so_many_lines_a_minute_and_others_are_not_concerned),
		WITH_STORE(values_of_an_answer_too_large_for_a_frame_are_wiped),
		WITH_STORE(an_answer_too_large_for_a_frame_is_refused),
		WITH_STORE(versions_and_labels_choose),
		WITH_STORE(whoever_may_only_write_cannot_guess_a_value),
		WITH_STORE(a_list_of_a_thousand_shows_each_once_and_hides_what_is_hidden),
		WITH_STORE(a_list_that_starts_in_the_middle_stands_in_the_log),
		WITH_STORE(a_policy_read_from_its_middle_stands_in_the_log),
		WITH_STORE(the_log_is_shown_in_whole_lines_with_one_line_for_all_pages),
		WITH_STORE(an_untouched_log_verifies),
		WITH_STORE(an_edited_log_does_not_verify),
		WITH_STORE(the_store_verifies_page_by_page),
		WITH_STORE(after_a_kill_everything_that_was_answered_is_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
