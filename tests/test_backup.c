/* SPDX-License-Identifier: ISC */
#include "vault_fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "backup.h"

static int me, other; /* owners are told apart by their addresses */

struct taken {
	uint8_t *bytes;
	size_t size;
};

static void drop_taken(struct taken *taken)
{
	free(taken->bytes);
}

static struct backup *begin(struct fixture *fixture)
{
	struct backup *backup = NULL;

	assert_int_equal(backup_new(fixture->directory, &backup), MORTISE_OK);
	return backup;
}

/* Runs a copy to its end; each step but the first sets something, too. */
static unsigned copy_all(struct fixture *fixture, struct backup *backup, bool is_written)
{
	uint64_t done = 0, total = 0;
	unsigned steps = 0;

	do {
		assert_int_equal(
			backup_copy(backup, &me, fixture->store, &done, &total), MORTISE_OK);
		if (is_written)
			assert_int_equal(
				set(fixture, "prod/late", "written meanwhile"), MORTISE_OK);
		steps++;
	} while (done < total);
	return steps;
}

static struct taken take(struct backup *backup)
{
	struct taken taken = {malloc(16 << 20), 0};
	size_t size = 0;

	do {
		assert_int_equal(backup_read(backup, &me, taken.size, taken.bytes + taken.size,
					 65536, &size),
			MORTISE_OK);
		taken.size += size;
	} while (size);
	return taken;
}

static void give(struct backup *backup, const struct taken *taken)
{
	for (size_t at = 0; at < taken->size; at += 65536) {
		size_t size = taken->size - at < 65536 ? taken->size - at : 65536;
		assert_int_equal(backup_write(backup, &me, at,
					 (struct store_bytes){taken->bytes + at, size}),
			MORTISE_OK);
	}
}

static void fill(struct fixture *fixture, unsigned count)
{
	static char value[4000];
	char path[32];

	memset(value, 'v', sizeof value - 1);
	for (unsigned i = 0; i < count; i++) {
		snprintf(path, sizeof path, "prod/n%u", i);
		assert_int_equal(set(fixture, path, value), MORTISE_OK);
	}
}

static void a_copy_comes_back_as_the_same_store(void **state)
{
	struct fixture *fixture = *state;
	struct backup *backup = begin(fixture);
	struct vault *vault = NULL;

	assert_int_equal(set(fixture, "prod/a", "value"), MORTISE_OK);
	(void)copy_all(fixture, backup, false);
	CLEANUP(drop_taken) struct taken taken = take(backup);
	give(backup, &taken);
	assert_int_equal(backup_unlock(backup, &me, fixture->master_key, &vault), MORTISE_OK);
	assert_int_equal(vault_count(vault), 1);
	backup_free(backup);
}

static void a_copy_made_under_writes_is_of_one_moment(void **state)
{
	struct fixture *fixture = *state;
	struct backup *backup = begin(fixture);
	struct vault *vault = NULL;

	fill(fixture, 200);
	assert_true(copy_all(fixture, backup, true) > 3);
	CLEANUP(drop_taken) struct taken taken = take(backup);
	give(backup, &taken);
	assert_int_equal(backup_unlock(backup, &me, fixture->master_key, &vault), MORTISE_OK);
	assert_in_range(vault_count(vault), 200, 201);
	backup_free(backup);
}

static void any_byte_changed_on_the_way_is_noticed(void **state)
{
	struct fixture *fixture = *state;
	struct backup *backup = begin(fixture);
	unsigned noticed = 0, tried = 0;

	fill(fixture, 20);
	(void)copy_all(fixture, backup, false);
	CLEANUP(drop_taken) struct taken taken = take(backup);
	for (size_t at = 0; at < taken.size; at += 997, tried++) {
		struct vault_check check = {0};
		struct vault *vault = NULL;
		size_t values = 0;
		char complaint[320];
		taken.bytes[at] ^= 0x20;
		give(backup, &taken);
		enum mortise_status status =
			backup_unlock(backup, &me, fixture->master_key, &vault);
		while (status == MORTISE_OK && !check.is_done)
			status = vault_verify(
				vault, &check, 0, &values, complaint, sizeof complaint);
		noticed += status != MORTISE_OK;
		taken.bytes[at] ^= 0x20;
		/* Bytes that belong to nothing may change; what is read is right all the same. */
		if (status == MORTISE_OK)
			assert_int_equal(vault_count(vault), 20);
	}
	assert_true(noticed > tried / 2 && tried > 20);
	backup_free(backup);
}

static void a_torn_copy_is_no_store(void **state)
{
	struct fixture *fixture = *state;
	struct backup *backup = begin(fixture);
	struct vault *vault = NULL;

	fill(fixture, 20);
	(void)copy_all(fixture, backup, false);
	CLEANUP(drop_taken) struct taken taken = take(backup);
	taken.size /= 2;
	give(backup, &taken);
	assert_int_not_equal(backup_unlock(backup, &me, fixture->master_key, &vault), MORTISE_OK);
	backup_free(backup);
}

static void another_store_is_not_opened_by_this_key(void **state)
{
	struct fixture *fixture = *state;
	CLEANUP(secret_drop) struct secret *key = NULL;
	struct backup *backup = begin(fixture);
	struct vault *vault = NULL;

	assert_int_equal(secret_random(KEY_SIZE, &key), MORTISE_OK);
	(void)copy_all(fixture, backup, false);
	CLEANUP(drop_taken) struct taken taken = take(backup);
	give(backup, &taken);
	assert_int_equal(backup_unlock(backup, &me, key, &vault), MORTISE_INTEGRITY);
	assert_null(vault);
	backup_free(backup);
}

static void a_copy_is_its_owners_alone(void **state)
{
	struct fixture *fixture = *state;
	struct backup *backup = begin(fixture);
	uint64_t done = 0, total = 0;
	uint8_t buffer[16];
	size_t size = 0;

	(void)copy_all(fixture, backup, false);
	assert_int_equal(backup_copy(backup, &other, fixture->store, &done, &total), MORTISE_BUSY);
	assert_int_equal(
		backup_read(backup, &other, 0, buffer, sizeof buffer, &size), MORTISE_NOT_FOUND);
	assert_int_equal(backup_write(backup, &me, 0, bytes_of("x")), MORTISE_OK);
	assert_int_equal(backup_write(backup, &other, 0, bytes_of("x")), MORTISE_BUSY);
	backup_forget(backup, &me);
	assert_int_equal(backup_write(backup, &other, 0, bytes_of("x")), MORTISE_OK);
	backup_free(backup);
}

static void what_comes_in_comes_in_order(void **state)
{
	struct fixture *fixture = *state;
	struct backup *backup = begin(fixture);

	assert_int_equal(backup_write(backup, &me, 1, bytes_of("x")), MORTISE_INVALID);
	assert_int_equal(backup_write(backup, &me, 0, bytes_of("xy")), MORTISE_OK);
	assert_int_equal(backup_write(backup, &me, 1, bytes_of("x")), MORTISE_INVALID);
	backup_free(backup);
}

/* That it is so large is said: no byte of these is there to be read. */
static void more_than_64_gib_are_refused_as_too_large(void **state)
{
	struct fixture *fixture = *state;
	struct backup *backup = begin(fixture);
	const struct store_bytes large = {(const uint8_t *)"", BACKUP_SIZE_MAX};

	assert_int_equal(backup_write(backup, &me, 0, bytes_of("xy")), MORTISE_OK);
	assert_int_equal(backup_write(backup, &me, 2, large), MORTISE_REJECTED);
	assert_int_equal(backup_write(backup, &me, UINT64_MAX, bytes_of("x")), MORTISE_REJECTED);
	assert_int_equal(backup_write(backup, &me, 2, bytes_of("z")), MORTISE_OK);
	backup_free(backup);
}

static unsigned count_files(const char *directory)
{
	DIR *stream = opendir(directory);
	unsigned count = 0;

	assert_non_null(stream);
	for (const struct dirent *entry; (entry = readdir(stream));)
		count += entry->d_name[0] != '.';
	closedir(stream);
	return count;
}

static void what_a_killed_agent_left_is_removed(void **state)
{
	struct fixture *fixture = *state;
	char path[96];
	unsigned before = count_files(fixture->directory);

	snprintf(path, sizeof path, "%s/outgoing.db-journal", fixture->directory);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	snprintf(path, sizeof path, "%s/incoming.db", fixture->directory);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	struct backup *backup = begin(fixture);
	assert_int_equal(count_files(fixture->directory), before);
	(void)copy_all(fixture, backup, false);
	assert_int_equal(backup_write(backup, &me, 0, bytes_of("x")), MORTISE_OK);
	backup_free(backup);
	assert_int_equal(count_files(fixture->directory), before);
}

static void a_copy_under_way_ends_with_its_store(void **state)
{
	struct fixture *fixture = *state;
	struct backup *backup = begin(fixture);
	uint64_t done = 0, total = 0;

	fill(fixture, 200);
	assert_int_equal(backup_copy(backup, &me, fixture->store, &done, &total), MORTISE_OK);
	assert_true(done < total);
	backup_store_closing(backup);
	assert_int_equal(reopen(fixture), MORTISE_OK);
	(void)copy_all(fixture, backup, false);
	backup_free(backup);
}

static void what_is_adopted_takes_the_stores_place_and_the_old_stays_aside(void **state)
{
	struct fixture *fixture = *state;
	struct backup *backup = begin(fixture);
	struct vault *vault = NULL;
	struct stat status;
	char path[96], told[96];

	assert_int_equal(set(fixture, "prod/a", "then"), MORTISE_OK);
	(void)copy_all(fixture, backup, false);
	CLEANUP(drop_taken) struct taken taken = take(backup);
	assert_int_equal(set(fixture, "prod/b", "later"), MORTISE_OK);
	give(backup, &taken);
	assert_int_equal(backup_unlock(backup, &me, fixture->master_key, &vault), MORTISE_OK);
	close_all(fixture);
	assert_int_equal(backup_adopt(backup, &me), MORTISE_OK);
	assert_int_equal(reopen(fixture), MORTISE_OK);
	assert_int_equal(vault_count(fixture->vault), 1);
	snprintf(path, sizeof path, "%s.replaced", fixture->path);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0600);
	assert_true(backup_replaced(backup, told, sizeof told));
	assert_string_equal(told, path);
	unlink(path);
	assert_false(backup_replaced(backup, told, sizeof told));
	backup_free(backup);
}

static void make_file(const struct fixture *fixture, const char *name)
{
	char path[128];

	snprintf(path, sizeof path, "%s/%s", fixture->directory, name);
	FILE *file = fopen(path, "we");
	assert_non_null(file);
	fclose(file);
}

static void remove_file(const struct fixture *fixture, const char *name)
{
	char path[128];

	snprintf(path, sizeof path, "%s/%s", fixture->directory, name);
	assert_int_equal(unlink(path), 0);
}

static void what_lies_beside_the_store_and_is_not_its_own_is_named(void **state)
{
	static const char *const own[] = {
		"lock", "store.db.replaced", "outgoing.db", "incoming.db-journal"};
	static const char *const strange[] = {"store.db.bak", "store.db~", "a\033[1m\n"};
	struct fixture *fixture = *state;
	struct backup *backup = begin(fixture);
	char names[64];

	assert_int_equal(set(fixture, "prod/a", "x"), MORTISE_OK); /* there is a log beside it */
	for (size_t i = 0; i < 4; i++)
		make_file(fixture, own[i]);
	assert_int_equal(backup_strangers(backup, names, sizeof names), 0);
	assert_string_equal(names, "");
	for (size_t i = 0; i < 3; i++)
		make_file(fixture, strange[i]);
	assert_int_equal(backup_strangers(backup, names, sizeof names), 3);
	assert_non_null(strstr(names, "store.db.bak"));
	assert_non_null(strstr(names, "store.db~"));
	assert_non_null(strstr(names, "a?[1m?"));
	assert_int_equal(backup_strangers(backup, names, 10), 3);
	assert_true(strlen(names) < 10);
	for (size_t i = 0; i < 3; i++)
		remove_file(fixture, strange[i]);
	backup_free(backup);
	remove_file(fixture, "lock");
	remove_file(fixture, "store.db.replaced");
}

static void nothing_is_adopted_unopened(void **state)
{
	struct fixture *fixture = *state;
	struct backup *backup = begin(fixture);

	assert_int_equal(backup_write(backup, &me, 0, bytes_of("x")), MORTISE_OK);
	assert_int_equal(backup_adopt(backup, &me), MORTISE_NOT_FOUND);
	assert_int_equal(reopen(fixture), MORTISE_OK);
	backup_free(backup);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_vault, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_copy_comes_back_as_the_same_store),
		TEST(a_copy_made_under_writes_is_of_one_moment),
		TEST(any_byte_changed_on_the_way_is_noticed),
		TEST(a_torn_copy_is_no_store),
		TEST(another_store_is_not_opened_by_this_key),
		TEST(a_copy_is_its_owners_alone),
		TEST(what_comes_in_comes_in_order),
		TEST(more_than_64_gib_are_refused_as_too_large),
		TEST(what_a_killed_agent_left_is_removed),
		TEST(a_copy_under_way_ends_with_its_store),
		TEST(what_is_adopted_takes_the_stores_place_and_the_old_stays_aside),
		TEST(what_lies_beside_the_store_and_is_not_its_own_is_named),
		TEST(nothing_is_adopted_unopened),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
