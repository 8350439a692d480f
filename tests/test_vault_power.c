/* SPDX-License-Identifier: ISC */
/*
 * The power fails (FAULTS row 10). A layer beneath the store's own notes what is written to the
 * disk and when it is synced. A disk may have kept, of what was written since the last sync of a
 * file, any part in any order, by sectors. MORTISE_TEST_STATES of such disks are made, by the
 * choices of MORTISE_TEST_SEED.
 */
#include <fcntl.h>

#include <sys/stat.h>

#include "crash_fixture.h"

#define SECTOR 512
#define STATES 3000

enum file { STORE, LOG, FILES };
static const char *const suffix_of[FILES] = {"", "-wal"};

enum what { WRITE, SIZE, SYNC, STEP };

struct event {
	enum what what;
	enum file file;
	size_t at, size; /* of a write; the size alone of SIZE */
	uint8_t *bytes;
};

static struct event *events;
static size_t event_count;
static bool is_noting;

static void note(enum what what, enum file file, size_t at, const void *bytes, size_t size)
{
	if (!is_noting)
		return;
	events = realloc(events, (event_count + 1) * sizeof *events);
	assert_non_null(events);
	struct event *event = &events[event_count++];
	*event = (struct event){what, file, at, size, NULL};
	if (bytes) {
		event->bytes = malloc(size);
		assert_non_null(event->bytes);
		memcpy(event->bytes, bytes, size);
	}
}

/* The layer: a VFS that is the default one, so that the store's stands upon it. */

static sqlite3_vfs layer;
static sqlite3_io_methods methods[FILES];
static const sqlite3_io_methods *below[FILES];
static int (*open_below)(sqlite3_vfs *, const char *, sqlite3_file *, int, int *);

static int write_noted(
	enum file which, sqlite3_file *file, const void *bytes, int size, sqlite3_int64 at)
{
	note(WRITE, which, (size_t)at, bytes, (size_t)size);
	return below[which]->xWrite(file, bytes, size, at);
}

static int write_store(sqlite3_file *file, const void *bytes, int size, sqlite3_int64 at)
{
	return write_noted(STORE, file, bytes, size, at);
}

static bool is_full_behind_header;

static int write_log(sqlite3_file *file, const void *bytes, int size, sqlite3_int64 at)
{
	if (is_full_behind_header && at > 0)
		return SQLITE_FULL;
	return write_noted(LOG, file, bytes, size, at);
}

static int cut_store(sqlite3_file *file, sqlite3_int64 size)
{
	note(SIZE, STORE, 0, NULL, (size_t)size);
	return below[STORE]->xTruncate(file, size);
}

static int cut_log(sqlite3_file *file, sqlite3_int64 size)
{
	note(SIZE, LOG, 0, NULL, (size_t)size);
	return below[LOG]->xTruncate(file, size);
}

static int sync_store(sqlite3_file *file, int flags)
{
	note(SYNC, STORE, 0, NULL, 0);
	return below[STORE]->xSync(file, flags);
}

static int sync_log(sqlite3_file *file, int flags)
{
	note(SYNC, LOG, 0, NULL, 0);
	return below[LOG]->xSync(file, flags);
}

static int open_noted(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out)
{
	int code = open_below(vfs, name, file, flags, out);
	enum file which = flags & SQLITE_OPEN_MAIN_DB ? STORE : LOG;

	if (code != SQLITE_OK || !(flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL)))
		return code;
	below[which] = file->pMethods;
	methods[which] = *below[which];
	methods[which].xWrite = which == STORE ? write_store : write_log;
	methods[which].xTruncate = which == STORE ? cut_store : cut_log;
	methods[which].xSync = which == STORE ? sync_store : sync_log;
	file->pMethods = &methods[which];
	return code;
}

static int put_layer(void **state)
{
	sqlite3_vfs *system = sqlite3_vfs_find(NULL);

	layer = *system;
	layer.zName = "noted";
	layer.pNext = NULL;
	open_below = system->xOpen;
	layer.xOpen = open_noted;
	(void)state;
	return sqlite3_vfs_register(&layer, 1) == SQLITE_OK ? 0 : -1;
}

/* What a disk has of a file. */
struct image {
	uint8_t *bytes;
	size_t size, room;
};

static void image_resize(struct image *image, size_t size)
{
	if (size > image->room) {
		image->room = size * 2;
		image->bytes = realloc(image->bytes, image->room);
		assert_non_null(image->bytes);
	}
	if (size > image->size)
		memset(image->bytes + image->size, 0, size - image->size);
	image->size = size;
}

static void image_put(struct image *image, size_t at, const uint8_t *bytes, size_t size)
{
	if (at + size > image->size)
		image_resize(image, at + size);
	memcpy(image->bytes + at, bytes, size);
}

static void image_copy(struct image *to, const struct image *from)
{
	to->size = 0;
	image_resize(to, from->size);
	if (from->size)
		memcpy(to->bytes, from->bytes, from->size);
}

static void image_apply(struct image *image, const struct event *event)
{
	if (event->what == WRITE)
		image_put(image, event->at, event->bytes, event->size);
	else if (event->what == SIZE)
		image_resize(image, event->size);
}

static uint64_t chance;

/* Numbers below n (Knuth's MMIX generator). */
static unsigned chosen(unsigned n)
{
	chance = chance * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)(chance >> 33) % n;
}

/* What a disk has of what was not synced; the last ones by sectors of each write. */
enum mood { NOTHING, ALL, SOME, NOT_THE_FIRST, TORN, BEFORE_A_PLACE, BEHIND_A_PLACE, MOODS };

static void image_tear(struct image *image, const struct event *event, enum mood mood)
{
	size_t place = chosen((unsigned)event->size);

	for (size_t from = 0; from < event->size;) {
		size_t to = (event->at + from) / SECTOR * SECTOR + SECTOR - event->at;
		if (to > event->size)
			to = event->size;
		if (mood == TORN ? chosen(2) : mood == BEFORE_A_PLACE ? to <= place : from >= place)
			image_put(image, event->at + from, event->bytes + from, to - from);
		from = to;
	}
}

static bool is_kept(enum mood mood, bool is_first)
{
	switch (mood) {
	case NOTHING:
		return false;
	case ALL:
		return true;
	case NOT_THE_FIRST:
		return !is_first;
	default:
		return chosen(2);
	}
}

/* Of events from `from` to before `to` that are of this file. */
static void image_guess(struct image *image, enum file file, size_t from, size_t to, enum mood mood)
{
	bool is_first = true;

	for (size_t i = from; i < to; i++) {
		const struct event *event = &events[i];
		if (event->file != file || (event->what != WRITE && event->what != SIZE))
			continue;
		if (event->what == WRITE && mood >= TORN)
			image_tear(image, event, mood);
		else if (is_kept(mood, is_first))
			image_apply(image, event);
		is_first = false;
	}
}

static void image_write(struct fixture *fixture, enum file which, const struct image *image)
{
	char path[96];

	snprintf(path, sizeof path, "%s%s", fixture->path, suffix_of[which]);
	FILE *file = fopen(path, "wb");
	assert_non_null(file);
	if (image->size)
		assert_int_equal(fwrite(image->bytes, 1, image->size, file), image->size);
	assert_int_equal(fclose(file), 0);
}

static void image_read(struct fixture *fixture, struct image *image)
{
	FILE *file = fopen(fixture->path, "rb");

	assert_non_null(file);
	fseek(file, 0, SEEK_END);
	image_resize(image, (size_t)ftell(file));
	rewind(file);
	assert_int_equal(fread(image->bytes, 1, image->size, file), image->size);
	fclose(file);
}

/* What has to be nowhere once it is destroyed: a value and its wrapped key. */
struct gone {
	uint8_t *value;
	size_t size;
	uint8_t wrapped[ENTRY_KEY_SIZE];
};

static void take_gone(struct fixture *fixture, struct gone *out_gone)
{
	CLEANUP(entry_drop) struct entry *entry = entry_of(fixture, CRASH_GONE);
	const struct store_place place = entry_place(entry, &entry->versions[0]);

	assert_int_equal(
		store_value(fixture->store, &place, &out_gone->value, &out_gone->size), MORTISE_OK);
	memcpy(out_gone->wrapped, entry->versions[0].wrapped_key, ENTRY_KEY_SIZE);
}

static bool has_gone(const struct image *image, const struct gone *gone)
{
	return image->size &&
	       (memmem(image->bytes, image->size, gone->value, gone->size) ||
		       memmem(image->bytes, image->size, gone->wrapped, ENTRY_KEY_SIZE));
}

static void live(struct fixture *fixture, struct crash_story *story)
{
	crash_tell(fixture, &story->after[0]);
	is_noting = true;
	for (unsigned step = 0; step < CRASH_STEPS; step++) {
		assert_int_equal(crash_step(fixture, step), MORTISE_OK);
		note(STEP, FILES, 0, NULL, 0);
		crash_tell(fixture, &story->after[step + 1]);
	}
	is_noting = false;
}

/* It fails before event `at`: what each file has for sure, and from which event on it is open. */
static void fail_at(const struct image base[FILES], size_t at, struct image out_images[FILES],
	size_t out_open_from[FILES], unsigned *out_steps)
{
	*out_steps = 0;
	for (enum file file = STORE; file < FILES; file++) {
		out_open_from[file] = 0;
		image_copy(&out_images[file], &base[file]);
		for (size_t i = 0; i < at; i++)
			if (events[i].what == SYNC && events[i].file == file)
				out_open_from[file] = i;
		for (size_t i = 0; i < out_open_from[file]; i++)
			if (events[i].file == file)
				image_apply(&out_images[file], &events[i]);
	}
	for (size_t i = 0; i < at; i++)
		*out_steps += events[i].what == STEP;
}

static void what_was_acknowledged_outlives_the_power(void **state)
{
	static struct crash_story story;
	static struct image base[FILES], disk[FILES];
	struct fixture *fixture = *state;
	struct gone gone = {0};
	size_t open_from[FILES];
	unsigned states = crash_number("MORTISE_TEST_STATES", STATES), steps, with_gone = 0;

	chance = crash_number("MORTISE_TEST_SEED", 1);
	take_gone(fixture, &gone);
	close_all(fixture);
	image_read(fixture, &base[STORE]);
	assert_true(has_gone(&base[STORE], &gone));
	assert_int_equal(reopen(fixture), MORTISE_OK);
	live(fixture, &story);
	close_all(fixture);
	print_message("%zu writes, cuts, syncs and steps\n", event_count);
	assert_true(event_count > 100);
	for (unsigned i = 0; i < states; i++) {
		/* Every place in every mood, then in mixed ones. */
		size_t at = i % (event_count + 1), round = i / (event_count + 1);
		fail_at(base, at, disk, open_from, &steps);
		for (enum file file = STORE; file < FILES; file++) {
			image_guess(&disk[file], file, open_from[file], at,
				(enum mood)(round < MOODS ? round : chosen(MOODS)));
			image_write(fixture, file, &disk[file]);
			with_gone += has_gone(&disk[file], &gone);
			if (steps >= CRASH_GONE_FROM && has_gone(&disk[file], &gone))
				fail_msg("state %u: what was destroyed is in store.db%s", i,
					suffix_of[file]);
		}
		crash_assert_opens(fixture, &story, steps);
		close_all(fixture);
	}
	assert_true(with_gone > 0);
	free(gone.value);
}

static long size_of_log(const struct fixture *fixture)
{
	struct stat status;
	char path[96];

	snprintf(path, sizeof path, "%s-wal", fixture->path);
	assert_int_equal(stat(path, &status), 0);
	return (long)status.st_size;
}

/* As on a file system that writes in another place, and has none. */
static void a_log_that_cannot_be_overwritten_is_cut_and_that_is_synced(void **state)
{
	struct fixture *fixture = *state;
	size_t before = event_count;

	assert_int_equal(set(fixture, "prod/a", "one more"), MORTISE_OK);
	assert_true(size_of_log(fixture) > 0);
	is_noting = is_full_behind_header = true;
	assert_int_equal(vault_forget_old(fixture->vault), MORTISE_OK);
	is_noting = is_full_behind_header = false;
	assert_int_equal(size_of_log(fixture), 0);
	assert_true(event_count > before + 2);
	assert_int_equal(events[event_count - 2].what, SIZE);
	assert_int_equal(events[event_count - 2].size, 0);
	assert_int_equal(events[event_count - 1].what, SYNC);
	assert_int_equal(events[event_count - 1].file, LOG);
	assert_int_equal(set(fixture, "prod/a", "and one"), MORTISE_OK);
	assert_int_equal(reopen(fixture), MORTISE_OK);
	assert_value(fixture, "prod/a", 0, "and one");
}

static int forget(void **state)
{
	(void)state;
	for (size_t i = 0; i < event_count; i++)
		free(events[i].bytes);
	free(events);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			what_was_acknowledged_outlives_the_power, set_up_secrets, tear_down),
		cmocka_unit_test_setup_teardown(
			a_log_that_cannot_be_overwritten_is_cut_and_that_is_synced, set_up_secrets,
			tear_down),
	};

	return cmocka_run_group_tests(tests, put_layer, forget);
}
