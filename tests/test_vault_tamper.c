/* SPDX-License-Identifier: ISC */
/* Somebody edits the store, closed or below a vault that is open: FAULTS row 16. */
#include "vault_fixture.h"

/* Of set_up_secrets(): prod/a, prod/b and prod/c are the secrets 1, 2 and 3 of epoch 1. */
#define EPOCH 1
#define HALF  "4611686018427387904"
#define ROW_1 "4611686018427387905"
#define ROW_2 "4611686018427387906"
#define ROW_3 "4611686018427387907"
#define ROW_4 "4611686018427387908"
#define ROW_9 "4611686018427387913"

static void keep_copy(struct fixture *fixture, const char *suffix)
{
	char copy[96];

	close_all(fixture);
	snprintf(copy, sizeof copy, "%s%s", fixture->path, suffix);
	copy_file(fixture->path, copy);
}

static void take_copy_back(struct fixture *fixture)
{
	char copy[96];

	close_all(fixture);
	snprintf(copy, sizeof copy, "%s.copy", fixture->path);
	copy_file(copy, fixture->path);
	assert_int_equal(reopen(fixture), MORTISE_OK);
}

static void assert_edit_is_noticed(struct fixture *fixture, const char *text)
{
	keep_copy(fixture, ".copy");
	sql(fixture, text);
	if (reopen(fixture) != MORTISE_INTEGRITY)
		fail_msg("not noticed: %s", text);
	assert_null(fixture->vault);
	take_copy_back(fixture);
}

static void assert_edits_are_noticed(
	struct fixture *fixture, const char *const *texts, size_t count)
{
	for (size_t i = 0; i < count; i++)
		assert_edit_is_noticed(fixture, texts[i]);
}

#define ASSERT_NOTICED(fixture, texts)                                                             \
	assert_edits_are_noticed(fixture, texts, sizeof texts / sizeof texts[0])

static void an_edit_that_changes_nothing_is_none(void **state)
{
	struct fixture *fixture = *state;
	char complaint[320];
	size_t values = 0;

	edit(fixture, "UPDATE secret SET record=record; UPDATE item SET body=body; VACUUM");
	assert_int_equal(reopen(fixture), MORTISE_OK);
	assert_value(fixture, "prod/a", 0, "prod/a 2");
	assert_int_equal(verify_all(fixture, &values, complaint, sizeof complaint), MORTISE_OK);
	assert_int_equal(values, 6);
}

static void rows_swapped_or_with_another_number_are_noticed(void **state)
{
	static const char *const texts[] = {
		/* two exchange their numbers, all move on by one, one takes a free number */
		"UPDATE secret SET number=" ROW_9 " WHERE number=" ROW_1 ";"
		"UPDATE secret SET number=" ROW_1 " WHERE number=" ROW_2 ";"
		"UPDATE secret SET number=" ROW_2 " WHERE number=" ROW_9,
		"CREATE TEMP TABLE t AS SELECT * FROM secret; DELETE FROM secret;"
		"INSERT INTO secret SELECT " HALF "+1+(number-" HALF ")%3, record FROM t",
		"UPDATE secret SET number=" ROW_4 " WHERE number=" ROW_3,
		"UPDATE secret SET number=" ROW_4 " WHERE number=" ROW_3 "; UPDATE meta SET last=4",
		/* one record for two */
		"UPDATE secret SET record=(SELECT record FROM secret WHERE number=" ROW_1
		") WHERE number=" ROW_2,
	};

	ASSERT_NOTICED(*state, texts);
}

static void rows_deleted_are_noticed(void **state)
{
	static const char *const texts[] = {
		"DELETE FROM secret WHERE number=" ROW_1,
		"DELETE FROM secret WHERE number=" ROW_2,
		"DELETE FROM secret WHERE number=" ROW_3,
		"DELETE FROM secret WHERE number=" ROW_3 "; UPDATE meta SET last=2",
		"DELETE FROM secret WHERE number=" ROW_1 "; DELETE FROM value WHERE secret=1",
		"DELETE FROM secret",
		"DELETE FROM secret; DELETE FROM value; UPDATE meta SET last=0",
	};

	ASSERT_NOTICED(*state, texts);
}

static void rows_added_in_this_half_are_noticed(void **state)
{
	static const char *const texts[] = {
		/* a path twice */
		"INSERT INTO secret SELECT " ROW_4 ", record FROM secret WHERE number=" ROW_1,
		"INSERT INTO secret SELECT " ROW_4 ", record FROM secret WHERE number=" ROW_1
		"; UPDATE meta SET last=4",
		"INSERT INTO secret SELECT " HALF
		"+1099511627775, record FROM secret WHERE number=" ROW_1,
		"INSERT INTO secret SELECT " HALF
		"+1099511627775, record FROM secret WHERE number=" ROW_1
		"; UPDATE meta SET last=1099511627775",
		/* none of ours */
		"INSERT INTO secret VALUES(" ROW_4 ", x'00'); UPDATE meta SET last=4",
		"INSERT INTO secret VALUES(" ROW_4 ", randomblob(400)); UPDATE meta SET last=4",
		"INSERT INTO secret VALUES(" ROW_4 ", zeroblob(131072)); UPDATE meta SET last=4",
		"INSERT INTO secret VALUES(" ROW_4 ", zeroblob(131073)); UPDATE meta SET last=4",
	};

	ASSERT_NOTICED(*state, texts);
}

static void a_row_without_a_byte_is_noticed(void **state)
{
	static const char *const texts[] = {
		"INSERT INTO secret VALUES(" ROW_4 ", x''); UPDATE meta SET last=4",
		"UPDATE secret SET record=x'' WHERE number=" ROW_2,
	};

	ASSERT_NOTICED(*state, texts);
}

static void rows_that_were_moved_out_of_this_half_are_noticed(void **state)
{
	static const char *const texts[] = {
		"UPDATE secret SET number=1 WHERE number=" ROW_1,
		"UPDATE secret SET number=number-" HALF,
		"UPDATE secret SET number=0 WHERE number=" ROW_3,
		"UPDATE secret SET number=-number WHERE number=" ROW_3,
		"UPDATE secret SET number=" HALF " WHERE number=" ROW_3,
		"UPDATE secret SET number=number+1099511627776 WHERE number=" ROW_3,
		"UPDATE secret SET number=9223372036854775807 WHERE number=" ROW_3,
	};

	ASSERT_NOTICED(*state, texts);
}

static unsigned count(const struct fixture *fixture, const char *text)
{
	sqlite3_stmt *statement = NULL;
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open(fixture->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, text, -1, &statement, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
	unsigned found = (unsigned)sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	return found;
}

static void assert_all_is_sound(struct fixture *fixture)
{
	char complaint[320] = "";
	size_t values = 0;

	if (verify_all(fixture, &values, complaint, sizeof complaint) != MORTISE_OK)
		fail_msg("%s", complaint);
	assert_int_equal(values, 6);
	assert_value(fixture, "prod/a", 0, "prod/a 2");
	assert_value(fixture, "prod/c", 1, "prod/c 1");
}

/* It is a leftover, and goes as those of a rekey do. */
static void what_is_in_the_other_half_is_no_part_of_the_store(void **state)
{
	struct fixture *fixture = *state;

	edit(fixture, "INSERT INTO secret SELECT number-" HALF ", record FROM secret;"
		      "INSERT INTO secret VALUES(77, x'00'), (1099511627775, zeroblob(200000));"
		      "INSERT INTO secret VALUES(0, x''), (" HALF ", x'00'), (-5, x'00'), "
		      "(" HALF "+1099511627776, x'00'), (9223372036854775807, x'00');"
		      "INSERT INTO item SELECT 2, kind, number, body FROM item;"
		      "INSERT INTO item VALUES(0, 99, 1, x'');"
		      "INSERT INTO value SELECT place+100, 77, version, bytes FROM value");
	assert_int_equal(reopen(fixture), MORTISE_OK);
	assert_true(vault_has_work(fixture->vault));
	assert_int_equal(vault_count(fixture->vault), 3);
	assert_all_is_sound(fixture);
	while (vault_has_work(fixture->vault))
		assert_int_equal(vault_work(fixture->vault, 0), MORTISE_OK);
	assert_all_is_sound(fixture);
	close_all(fixture);
	assert_int_equal(count(fixture, "SELECT count(*) FROM secret"), 3);
	assert_int_equal(count(fixture, "SELECT count(*) FROM value"), 6);
	assert_int_equal(count(fixture, "SELECT count(*) FROM item WHERE epoch<>1"), 0);
	assert_int_equal(reopen(fixture), MORTISE_OK);
	assert_false(vault_has_work(fixture->vault));
	assert_all_is_sound(fixture);
}

static void items_edited_are_noticed(void **state)
{
	static const char *const texts[] = {
		"DELETE FROM item WHERE kind=1 AND number=1",
		"DELETE FROM item WHERE kind=2",
		"DELETE FROM item WHERE kind=3",
		"UPDATE item SET epoch=2 WHERE kind=2",
		"INSERT INTO item VALUES(1, 1, 3, x'00')",
		"INSERT INTO item VALUES(1, 1, 0, x'')",
		"INSERT INTO item SELECT 1, 2, 2, body FROM item WHERE kind=2",
		"INSERT INTO item SELECT 1, 3, 2, body FROM item WHERE kind=3",
		"UPDATE item SET body=x'00' WHERE kind=1 AND number=1",
		"UPDATE item SET body=x'' WHERE kind=2",
		"UPDATE item SET body=randomblob(length(body)) WHERE kind=3",
		"UPDATE item SET number=7 WHERE kind=1 AND number=2",
		"UPDATE item SET kind=2, number=2 WHERE kind=3",
		"UPDATE item SET body=(SELECT body FROM item i WHERE i.kind=1 AND "
		"i.number=3-item.number)"
		" WHERE kind=1",
	};

	ASSERT_NOTICED(*state, texts);
}

static void an_edited_identity_is_noticed(void **state)
{
	static const char *const texts[] = {
		"UPDATE meta SET generation=generation+1",
		"UPDATE meta SET epoch=0",
		"UPDATE meta SET epoch=2",
		"UPDATE meta SET epoch=3", /* has its secrets in the same half */
		"UPDATE meta SET epoch=3; UPDATE item SET epoch=3",
		"UPDATE meta SET epoch=2; UPDATE item SET epoch=2;"
		"UPDATE secret SET number=number-" HALF,
		"UPDATE meta SET uuid=zeroblob(16)",
		"UPDATE meta SET tally=zeroblob(32)",
		"UPDATE meta SET format=2",
		"UPDATE meta SET format=4",
		"UPDATE meta SET last=last-1",
		"UPDATE meta SET last=last+1",
		"UPDATE meta SET last=0",
		"UPDATE meta SET last=1000000", /* a tree that is higher */
		"UPDATE meta SET last=1099511627775",
		"UPDATE meta SET last=1099511627776",
		"UPDATE meta SET last=-1",
	};

	ASSERT_NOTICED(*state, texts);
}

/* A number that was given and is gone is part of the tally, too: none is given twice. */
static void the_last_number_is_kept_though_its_secret_is_gone(void **state)
{
	struct fixture *fixture = *state;
	struct vault_outcome outcome;

	assert_int_equal(set(fixture, "prod/d", "prod/d 1"), MORTISE_OK);
	assert_int_equal(
		vault_set_deleted(fixture->vault, "prod/d", true, 5, &outcome), MORTISE_OK);
	assert_int_equal(vault_destroy_all(fixture->vault, "prod/d", &outcome), MORTISE_OK);
	assert_edit_is_noticed(fixture, "UPDATE meta SET last=3");
	assert_int_equal(set(fixture, "prod/e", "prod/e 1"), MORTISE_OK);
	assert_int_equal(number_of(fixture, "prod/e"), 5);
}

/* Writes, and then takes back one part of the write from a copy made before. */
static void a_row_rolled_back_is_noticed(void **state)
{
	static const char *const parts[] = {
		"UPDATE secret SET record=(SELECT record FROM old.secret s WHERE "
		"s.number=secret.number)",
		("UPDATE secret SET record=(SELECT record FROM old.secret s WHERE "
		 "s.number=secret.number); DELETE FROM value WHERE version=3"),
		("UPDATE secret SET record=(SELECT record FROM old.secret s WHERE "
		 "s.number=secret.number); UPDATE meta SET tally=(SELECT tally FROM old.meta)"),
		"REPLACE INTO item SELECT * FROM old.item WHERE kind=3",
		"UPDATE meta SET tally=(SELECT tally FROM old.meta)",
	};
	struct fixture *fixture = *state;
	CLEANUP(secret_drop) struct secret *audit_state = NULL;
	char text[512];

	keep_copy(fixture, ".old");
	assert_int_equal(reopen(fixture), MORTISE_OK);
	assert_int_equal(set(fixture, "prod/a", "prod/a 3"), MORTISE_OK);
	assert_int_equal(secret_random(32, &audit_state), MORTISE_OK);
	assert_int_equal(vault_set_audit_state(fixture->vault, audit_state), MORTISE_OK);
	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
		snprintf(text, sizeof text, "ATTACH '%s.old' AS old; %s", fixture->path, parts[i]);
		assert_edit_is_noticed(fixture, text);
	}
}

/* Each of two rows is one that was written, and says in its head that it is prod/a. */
static void a_destroyed_row_that_is_back_is_noticed_also_beside_its_successor(void **state)
{
	struct fixture *fixture = *state;
	struct vault_outcome outcome;
	char text[512];

	keep_copy(fixture, ".old");
	assert_int_equal(reopen(fixture), MORTISE_OK);
	assert_int_equal(
		vault_set_deleted(fixture->vault, "prod/a", true, 5, &outcome), MORTISE_OK);
	assert_int_equal(vault_destroy_all(fixture->vault, "prod/a", &outcome), MORTISE_OK);
	snprintf(text, sizeof text,
		"ATTACH '%s.old' AS old; INSERT INTO secret SELECT * FROM old.secret WHERE "
		"number=" ROW_1,
		fixture->path);
	assert_edit_is_noticed(fixture, text);
	assert_int_equal(set(fixture, "prod/a", "prod/a, anew"), MORTISE_OK);
	assert_edit_is_noticed(fixture, text);
	assert_value(fixture, "prod/a", 0, "prod/a, anew");
}

/* A secret's record, as it is on disk; malloc'ed. */
static struct store_bytes record_of(struct fixture *fixture, uint64_t number)
{
	uint8_t *bytes = NULL;
	size_t size = 0;

	assert_int_equal(store_secret(fixture->store, EPOCH, number, &bytes, &size), MORTISE_OK);
	return (struct store_bytes){bytes, size};
}

static void release(struct store_bytes *bytes)
{
	free((void *)(uintptr_t)bytes->bytes);
}

static void put_record(struct fixture *fixture, uint64_t number, struct store_bytes record)
{
	assert_int_equal(store_put_secret(fixture->store, EPOCH, number, record), MORTISE_OK);
}

static enum mortise_status open_vault(struct fixture *fixture)
{
	vault_close(fixture->vault);
	fixture->vault = NULL;
	return vault_open(fixture->store, fixture->master_key, &fixture->vault);
}

/* With this record in place of the right one. */
static void assert_record_is_noticed(struct fixture *fixture, struct store_bytes record)
{
	for (uint64_t number = 1; number <= FIXTURE_PATHS; number++) {
		CLEANUP(release) struct store_bytes right = record_of(fixture, number);
		put_record(fixture, number, record);
		assert_int_equal(open_vault(fixture), MORTISE_INTEGRITY);
		assert_null(fixture->vault);
		put_record(fixture, number, right);
	}
}

#define STRIDE 11 /* less than any field: in each of them a byte is flipped */

static void a_record_with_a_flipped_byte_is_noticed(void **state)
{
	struct fixture *fixture = *state;
	CLEANUP(release) struct store_bytes record = record_of(fixture, 2);
	uint8_t *bytes = (uint8_t *)(uintptr_t)record.bytes;

	for (size_t i = 0; i < record.size + STRIDE; i += STRIDE) {
		size_t at = i < record.size ? i : record.size - 1;
		bytes[at] ^= (uint8_t)(1U << i % 8);
		put_record(fixture, 2, record);
		if (open_vault(fixture) != MORTISE_INTEGRITY)
			fail_msg("byte %zu of %zu", at, record.size);
		bytes[at] ^= (uint8_t)(1U << i % 8);
	}
	put_record(fixture, 2, record);
	assert_int_equal(open_vault(fixture), MORTISE_OK);
	assert_all_is_sound(fixture);
}

static void a_record_cut_short_or_extended_is_noticed(void **state)
{
	static uint8_t bytes[STORE_RECORD_MAX];
	struct fixture *fixture = *state;
	CLEANUP(release) struct store_bytes record = record_of(fixture, 1);
	const size_t sizes[] = {1, 11, 12, record.size / 2, record.size - 1, record.size + 1,
		record.size + 6, 2 * record.size, sizeof bytes};

	memcpy(bytes, record.bytes, record.size);
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
		assert_record_is_noticed(fixture, (struct store_bytes){bytes, sizes[i]});
	assert_int_equal(open_vault(fixture), MORTISE_OK);
	assert_all_is_sound(fixture);
}

/* Of a row's cell in the file: SQLite's varint of HALF + number has nine bytes. */
static void renumber(struct fixture *fixture, uint8_t number, uint8_t other)
{
	static uint8_t file[200000];
	uint8_t row[] = {0xa0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, number};

	close_all(fixture);
	FILE *in = fopen(fixture->path, "rb");
	assert_non_null(in);
	size_t size = fread(file, 1, sizeof file, in);
	fclose(in);
	assert_in_range(size, 4096, sizeof file - 1);
	uint8_t *found = memmem(file, size, row, sizeof row);
	assert_non_null(found);
	found[sizeof row - 1] = other;
	assert_null(memmem(file, size, row, sizeof row));
	FILE *out = fopen(fixture->path, "wb");
	assert_non_null(out);
	assert_int_equal(fwrite(file, 1, size, out), size);
	assert_int_equal(fclose(out), 0);
}

/* What SQLite forbids, a file edited byte by byte can hold. */
static void a_number_on_several_rows_is_refused_without_a_crash(void **state)
{
	struct fixture *fixture = *state;

	keep_copy(fixture, ".copy");
	for (uint8_t other = 1; other <= 3; other++) {
		renumber(fixture, other % 3 + 1, other);
		assert_int_equal(reopen(fixture), MORTISE_INTEGRITY);
		take_copy_back(fixture);
	}
}

/* Each of them opens as the secret's own, and under another path: the later one hides the other. */
static void an_older_row_with_the_same_number_is_refused(void **state)
{
	static const uint8_t token[WIRE_TOKEN_SIZE] = {1};
	struct fixture *fixture = *state;
	CLEANUP(release) struct store_bytes older = record_of(fixture, 1);
	struct vault_outcome outcome;

	assert_int_equal(
		vault_move(fixture->vault, "prod/a", "prod/z", token, &outcome), MORTISE_OK);
	CLEANUP(release) struct store_bytes newer = record_of(fixture, 1);
	keep_copy(fixture, ".copy");
	for (unsigned newer_first = 0; newer_first < 2; newer_first++) {
		assert_int_equal(store_open(fixture->directory, &fixture->store), MORTISE_OK);
		put_record(fixture, 1, newer_first ? newer : older);
		put_record(fixture, 4, newer_first ? older : newer);
		renumber(fixture, 4, 1);
		assert_int_equal(reopen(fixture), MORTISE_INTEGRITY);
		take_copy_back(fixture);
		close_all(fixture);
	}
}

/* ---- values, and a vault that is open ---- */

static void assert_complaint(struct fixture *fixture, const char *expected)
{
	char complaint[320];
	size_t values = 0;

	assert_int_equal(
		verify_all(fixture, &values, complaint, sizeof complaint), MORTISE_INTEGRITY);
	if (!strstr(complaint, expected))
		fail_msg("'%s' is not about '%s'", complaint, expected);
}

/* A value's ciphertext, as it is on disk; malloc'ed. */
static struct store_bytes value_of(struct fixture *fixture, const struct store_place *place)
{
	uint8_t *bytes = NULL;
	size_t size = 0;

	assert_int_equal(store_value(fixture->store, place, &bytes, &size), MORTISE_OK);
	return (struct store_bytes){bytes, size};
}

static void put_value(
	struct fixture *fixture, const struct store_place *place, struct store_bytes value)
{
	assert_int_equal(store_delete_value(fixture->store, place), MORTISE_OK);
	assert_int_equal(store_put_value(fixture->store, place, value), MORTISE_OK);
}

/* Version 2 of prod/a is refused by all who read it, and nothing else is. */
static void assert_only_a_2_is_refused(struct fixture *fixture)
{
	assert_unreadable(fixture, "prod/a", 0, MORTISE_INTEGRITY);
	assert_unreadable(fixture, "prod/a", 2, MORTISE_INTEGRITY);
	assert_value(fixture, "prod/a", 1, "prod/a 1");
	assert_value(fixture, "prod/b", 0, "prod/b 2");
	assert_complaint(fixture, "prod/a: version 2");
}

static void swapped_or_edited_values_are_never_given_out(void **state)
{
	struct fixture *fixture = *state;
	const struct store_place place = place_of(fixture, "prod/a", 2),
				 previous_place = place_of(fixture, "prod/a", 1),
				 other_place = place_of(fixture, "prod/b", 2);
	CLEANUP(release) struct store_bytes right = value_of(fixture, &place);
	CLEANUP(release) struct store_bytes previous = value_of(fixture, &previous_place);
	CLEANUP(release) struct store_bytes other = value_of(fixture, &other_place);
	uint8_t *bytes = (uint8_t *)(uintptr_t)right.bytes;

	bytes[right.size - 1] ^= 1;
	const struct store_bytes wrong[] = {
		right, previous, other, {bytes, right.size - 1}, {bytes, 1}, {bytes, 0}};
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		put_value(fixture, &place, wrong[i]);
		assert_int_equal(reopen(fixture), MORTISE_OK);
		assert_only_a_2_is_refused(fixture);
	}
	bytes[right.size - 1] ^= 1;
	put_value(fixture, &place, right);
	assert_int_equal(reopen(fixture), MORTISE_OK);
	assert_all_is_sound(fixture);
}

static void a_value_with_another_place_secret_or_version_is_never_given_out(void **state)
{
	static const char *const texts[] = {
		"UPDATE value SET place=place+100 WHERE secret=1 AND version=2",
		"UPDATE value SET place=0 WHERE secret=1 AND version=2",
		"UPDATE value SET place=-place WHERE secret=1 AND version=2",
		"UPDATE value SET place=4611686018427387903 WHERE secret=1 AND version=2",
		"UPDATE value SET secret=2 WHERE secret=1 AND version=2",
		"UPDATE value SET secret=9 WHERE secret=1 AND version=2",
		"UPDATE value SET secret=-1 WHERE secret=1 AND version=2",
		"UPDATE value SET version=1 WHERE secret=1 AND version=2",
		"UPDATE value SET version=7 WHERE secret=1 AND version=2",
		/* another's stands where it did */
		("DELETE FROM value WHERE secret=1 AND version=2; INSERT INTO value SELECT 4, 1, "
		 "2, "
		 "bytes FROM value WHERE secret=2 AND version=2"),
	};
	struct fixture *fixture = *state;

	assert_int_equal(place_of(fixture, "prod/a", 2).place, 4);
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		keep_copy(fixture, ".copy");
		sql(fixture, texts[i]);
		assert_int_equal(reopen(fixture), MORTISE_OK);
		assert_only_a_2_is_refused(fixture);
		take_copy_back(fixture);
	}
	assert_all_is_sound(fixture);
}

static void two_values_that_exchanged_their_places_are_never_given_out(void **state)
{
	struct fixture *fixture = *state;
	char text[320];

	snprintf(text, sizeof text,
		"UPDATE value SET place=-1 WHERE place=%llu;"
		"UPDATE value SET place=%llu WHERE place=%llu;"
		"UPDATE value SET place=%llu WHERE place=-1",
		(unsigned long long)place_of(fixture, "prod/a", 1).place,
		(unsigned long long)place_of(fixture, "prod/a", 1).place,
		(unsigned long long)place_of(fixture, "prod/a", 2).place,
		(unsigned long long)place_of(fixture, "prod/a", 2).place);
	edit(fixture, text);
	assert_int_equal(reopen(fixture), MORTISE_OK);
	assert_unreadable(fixture, "prod/a", 1, MORTISE_INTEGRITY);
	assert_unreadable(fixture, "prod/a", 2, MORTISE_INTEGRITY);
	assert_value(fixture, "prod/b", 0, "prod/b 2");
	assert_complaint(fixture, "prod/a: version 1");
}

static void a_value_changed_under_a_running_vault_is_never_given_out(void **state)
{
	struct fixture *fixture = *state;
	const struct store_place place = place_of(fixture, "prod/a", 2),
				 other_place = place_of(fixture, "prod/b", 2);
	CLEANUP(release) struct store_bytes other = value_of(fixture, &other_place);

	assert_int_equal(reopen(fixture), MORTISE_OK); /* nothing of it is in memory */
	put_value(fixture, &place, other);
	assert_only_a_2_is_refused(fixture);
	assert_int_equal(store_delete_value(fixture->store, &place), MORTISE_OK);
	assert_only_a_2_is_refused(fixture);
}

/* What was written lately is in memory; but whoever asks about the disk is told of the disk. */
static void a_value_that_is_in_memory_is_given_out_and_verify_reads_the_disk(void **state)
{
	struct fixture *fixture = *state;
	const struct store_place place = place_of(fixture, "prod/a", 2);

	put_value(fixture, &place, bytes_of("not what was set"));
	assert_value(fixture, "prod/a", 2, "prod/a 2");
	assert_complaint(fixture, "prod/a: version 2");
	assert_int_equal(reopen(fixture), MORTISE_OK);
	assert_only_a_2_is_refused(fixture);
}

/* A bad block that is mended must not stay in the cache. */
static void a_value_that_is_right_again_is_read_again(void **state)
{
	struct fixture *fixture = *state;
	const struct store_place place = place_of(fixture, "prod/a", 1);
	CLEANUP(release) struct store_bytes right = value_of(fixture, &place);
	uint8_t *bytes = (uint8_t *)(uintptr_t)right.bytes;

	assert_int_equal(reopen(fixture), MORTISE_OK);
	bytes[0] ^= 1;
	put_value(fixture, &place, right);
	assert_unreadable(fixture, "prod/a", 1, MORTISE_INTEGRITY);
	bytes[0] ^= 1;
	put_value(fixture, &place, right);
	assert_value(fixture, "prod/a", 1, "prod/a 1");
}

static void a_row_that_is_right_again_is_read_again(void **state)
{
	struct fixture *fixture = *state;
	CLEANUP(release) struct store_bytes right = record_of(fixture, 1);

	assert_int_equal(reopen(fixture), MORTISE_OK);
	put_record(fixture, 1, bytes_of("x"));
	assert_unreadable(fixture, "prod/a", 0, MORTISE_INTEGRITY);
	put_record(fixture, 1, right);
	assert_value(fixture, "prod/a", 0, "prod/a 2");
}

static void a_missing_value_is_noticed(void **state)
{
	struct fixture *fixture = *state;

	edit(fixture, "DELETE FROM value WHERE version=1");
	assert_int_equal(reopen(fixture), MORTISE_OK);
	assert_unreadable(fixture, "prod/b", 1, MORTISE_INTEGRITY);
	assert_value(fixture, "prod/b", 2, "prod/b 2");
	assert_complaint(fixture, "version 1");
}

static void assert_value_is_noticed_by_verify(struct fixture *fixture, const char *text)
{
	keep_copy(fixture, ".copy");
	sql(fixture, text);
	assert_int_equal(reopen(fixture), MORTISE_OK);
	assert_complaint(fixture, "never written");
	assert_value(fixture, "prod/b", 2, "prod/b 2");
	take_copy_back(fixture);
}

static void a_value_too_many_is_noticed_by_verify(void **state)
{
	static const char *const texts[] = {
		"INSERT INTO value SELECT 100, secret, 9, bytes FROM value WHERE place=1",
		"INSERT INTO value SELECT 100, secret, version, bytes FROM value WHERE place=1",
		"INSERT INTO value SELECT 100, 77, version, bytes FROM value WHERE place=1",
		"INSERT INTO value VALUES(4611686018427387903, -1, -1, x'')",
		"INSERT INTO value VALUES(9223372036854775807, 0, 0, x'')",
	};

	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		assert_value_is_noticed_by_verify(*state, texts[i]);
}

static void a_value_too_many_before_the_first_place_is_noticed_by_verify(void **state)
{
	static const char *const texts[] = {
		"INSERT INTO value SELECT 0, secret, version, bytes FROM value WHERE place=1",
		"INSERT INTO value SELECT -1, secret, version, bytes FROM value WHERE place=1",
		"INSERT INTO value VALUES(-9223372036854775807-1, 1, 1, x'00')",
	};

	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		assert_value_is_noticed_by_verify(*state, texts[i]);
}

/* Puts it in place of the row of prod/a and says what is wrong there. */
static void assert_row_complaint(
	struct fixture *fixture, struct store_bytes record, const char *expected)
{
	CLEANUP(release) struct store_bytes right = record_of(fixture, 1);

	put_record(fixture, 1, record);
	assert_complaint(fixture, expected);
	put_record(fixture, 1, right);
}

static void a_row_changed_under_a_running_vault_is_noticed_by_verify(void **state)
{
	struct fixture *fixture = *state;
	CLEANUP(release) struct store_bytes record = record_of(fixture, 1);
	uint8_t *bytes = (uint8_t *)(uintptr_t)record.bytes;
	const size_t places[] = {0, record.size / 2, record.size - 1};

	assert_row_complaint(fixture, bytes_of("x"), "prod/a: its row on disk is not the one");
	for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
		bytes[places[i]] ^= 1;
		assert_row_complaint(fixture, record, "prod/a: its row on disk is not the one");
		bytes[places[i]] ^= 1;
	}
	put_record(fixture, 1, bytes_of("x"));
	assert_value(fixture, "prod/a", 0, "prod/a 2"); /* from memory */
	put_record(fixture, 1, record);
	assert_all_is_sound(fixture);
}

/* The path hash comes last in a record, and before it the head with its tag. */
#define BEHIND_HEAD (6 + INDEX_PATH_SIZE)

static void a_row_whose_head_was_changed_has_the_path_that_is_in_memory(void **state)
{
	struct fixture *fixture = *state;
	CLEANUP(release) struct store_bytes record = record_of(fixture, 1);
	CLEANUP(release) struct store_bytes other = record_of(fixture, 2);
	uint8_t *bytes = (uint8_t *)(uintptr_t)record.bytes;

	bytes[record.size - BEHIND_HEAD - 1] ^= 1;
	assert_row_complaint(fixture, record, "prod/a: its row on disk is not the one");
	assert_row_complaint(fixture, other, "prod/a: its row on disk is not the one");
}

static void a_row_whose_path_nobody_knows_any_more_is_named_by_its_number(void **state)
{
	struct fixture *fixture = *state;
	CLEANUP(release) struct store_bytes record = record_of(fixture, 1);
	CLEANUP(release) struct store_bytes other = record_of(fixture, 2);
	uint8_t *bytes = (uint8_t *)(uintptr_t)record.bytes;

	assert_int_equal(reopen(fixture), MORTISE_OK); /* nothing is in memory */
	bytes[0] ^= 1;
	assert_row_complaint(fixture, record, "secret number 1: its row on disk is not the one");
	bytes[0] ^= 1;
	bytes[record.size - BEHIND_HEAD - 1] ^= 1;
	assert_row_complaint(fixture, record, "secret number 1: its row on disk is not the one");
	bytes[record.size - BEHIND_HEAD - 1] ^= 1;
	assert_row_complaint(fixture, other, "secret number 1: its row on disk is not the one");
	/* With a head that is its own, it says its path itself. */
	bytes[record.size - 1] ^= 1;
	assert_row_complaint(fixture, record, "prod/a: its row on disk is not the one");
	put_record(fixture, 1, other);
	assert_unreadable(fixture, "prod/a", 0, MORTISE_INTEGRITY);
	assert_value(fixture, "prod/b", 0, "prod/b 2");
}

static void an_older_row_under_a_running_vault_is_noticed(void **state)
{
	struct fixture *fixture = *state;
	CLEANUP(release) struct store_bytes older = record_of(fixture, 1);

	assert_int_equal(set(fixture, "prod/a", "prod/a 3"), MORTISE_OK);
	assert_int_equal(reopen(fixture), MORTISE_OK);
	assert_row_complaint(fixture, older, "prod/a: its row on disk is not the one");
	put_record(fixture, 1, older);
	assert_unreadable(fixture, "prod/a", 0, MORTISE_INTEGRITY);
	assert_unreadable(fixture, "prod/a", 2, MORTISE_INTEGRITY);
}

static void a_row_deleted_under_a_running_vault_is_noticed_by_verify(void **state)
{
	struct fixture *fixture = *state;
	char expected[80];

	for (uint64_t number = 1; number <= FIXTURE_PATHS; number++) {
		CLEANUP(release) struct store_bytes right = record_of(fixture, number);
		assert_int_equal(store_delete_secret(fixture->store, EPOCH, number), MORTISE_OK);
		snprintf(expected, sizeof expected, "%s: its row is not on disk",
			fixture_paths[number - 1]);
		assert_complaint(fixture, expected);
		put_record(fixture, number, right);
	}
	assert_int_equal(reopen(fixture), MORTISE_OK); /* nothing is in memory */
	assert_int_equal(store_delete_secret(fixture->store, EPOCH, 2), MORTISE_OK);
	assert_complaint(fixture, "secret number 2: its row is not on disk");
	assert_unreadable(fixture, "prod/b", 0, MORTISE_INTEGRITY);
	assert_int_equal(store_delete_secret(fixture->store, EPOCH, 1), MORTISE_OK);
	assert_int_equal(store_delete_secret(fixture->store, EPOCH, 3), MORTISE_OK);
	assert_complaint(fixture, "secret number 1: its row is not on disk");
}

static void a_row_added_under_a_running_vault_is_noticed_by_verify(void **state)
{
	static const uint64_t numbers[] = {4, 77, STORE_NUMBER_MAX};
	struct fixture *fixture = *state;
	char expected[80];

	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
		put_record(fixture, numbers[i], bytes_of("x"));
		snprintf(expected, sizeof expected,
			"secret number %llu: a row on disk that was never written",
			(unsigned long long)numbers[i]);
		assert_complaint(fixture, expected);
		assert_int_equal(
			store_delete_secret(fixture->store, EPOCH, numbers[i]), MORTISE_OK);
	}
	assert_all_is_sound(fixture);
}

static void a_destroyed_row_that_is_back_under_a_running_vault_is_noticed_by_verify(void **state)
{
	struct fixture *fixture = *state;
	CLEANUP(release) struct store_bytes destroyed = record_of(fixture, 2);
	struct vault_outcome outcome;

	assert_int_equal(
		vault_set_deleted(fixture->vault, "prod/b", true, 5, &outcome), MORTISE_OK);
	assert_int_equal(vault_destroy_all(fixture->vault, "prod/b", &outcome), MORTISE_OK);
	put_record(fixture, 2, destroyed);
	assert_complaint(fixture, "prod/b: a row on disk that was never written");
	assert_unreadable(fixture, "prod/b", 0, MORTISE_NOT_FOUND);
}

static void a_row_in_the_other_half_under_a_running_vault_is_nobodys(void **state)
{
	struct fixture *fixture = *state;

	for (uint64_t number = 1; number <= 4; number++)
		assert_int_equal(store_put_secret(fixture->store, EPOCH + 1, number, bytes_of("x")),
			MORTISE_OK);
	assert_all_is_sound(fixture);
	assert_int_equal(reopen(fixture), MORTISE_OK);
	assert_true(vault_has_work(fixture->vault));
	assert_all_is_sound(fixture);
}

static void items_changed_under_a_running_vault_are_noticed(void **state)
{
	struct fixture *fixture = *state;
	struct secret *audit_state = NULL;
	uint8_t *policy = NULL;
	uint64_t version;
	size_t size;

	assert_int_equal(
		store_put_item(fixture->store, EPOCH, STORE_POLICY, 1, bytes_of("x")), MORTISE_OK);
	assert_int_equal(
		vault_policy(fixture->vault, 0, &policy, &size, &version), MORTISE_INTEGRITY);
	assert_complaint(fixture, "policy");
	assert_int_equal(store_delete_item(fixture->store, EPOCH, STORE_POLICY, 1), MORTISE_OK);
	assert_int_equal(
		vault_policy(fixture->vault, 0, &policy, &size, &version), MORTISE_INTEGRITY);
	assert_complaint(fixture, "policy");
	assert_int_equal(store_delete_item(fixture->store, EPOCH, STORE_AUDIT, 1), MORTISE_OK);
	assert_int_equal(vault_audit_state(fixture->vault, &audit_state), MORTISE_INTEGRITY);
	assert_null(policy);
	assert_null(audit_state);
}

static void an_older_audit_state_under_a_running_vault_is_refused(void **state)
{
	struct fixture *fixture = *state;
	CLEANUP(secret_drop) struct secret *newer = NULL;
	struct secret *read = NULL;
	uint8_t *older = NULL;
	size_t size = 0;

	assert_int_equal(store_item(fixture->store, STORE_AUDIT, 1, &older, &size), MORTISE_OK);
	assert_int_equal(secret_random(64, &newer), MORTISE_OK);
	assert_int_equal(vault_set_audit_state(fixture->vault, newer), MORTISE_OK);
	assert_int_equal(store_put_item(fixture->store, EPOCH, STORE_AUDIT, 1,
				 (struct store_bytes){older, size}),
		MORTISE_OK);
	free(older);
	assert_int_equal(vault_audit_state(fixture->vault, &read), MORTISE_INTEGRITY);
	assert_null(read);
}

static void a_slot_deleted_under_a_running_vault_is_noticed_by_verify(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(store_delete_item(fixture->store, EPOCH, STORE_SLOT, 2), MORTISE_OK);
	assert_complaint(fixture, "slot");
}

static void an_identity_changed_under_a_running_vault_is_noticed_by_verify(void **state)
{
	struct fixture *fixture = *state;
	struct store_meta meta, edited;

	assert_int_equal(store_meta(fixture->store, &meta), MORTISE_OK);
	for (unsigned i = 0; i < 4; i++) {
		edited = meta;
		edited.generation += i == 0;
		edited.epoch += i == 1;
		edited.tally[0] ^= i == 2;
		edited.last += i == 3;
		assert_int_equal(store_put_meta(fixture->store, &edited), MORTISE_OK);
		assert_complaint(fixture, "tally");
	}
	assert_int_equal(store_put_meta(fixture->store, &meta), MORTISE_OK);
	assert_all_is_sound(fixture);
}

/* Of 270 secrets: 17 nodes above the rows, 2 above those, and the top. */
#define MANY 270

static void set_many(struct fixture *fixture, const char *value)
{
	static const size_t count = MANY - FIXTURE_PATHS;
	char path[32];

	for (size_t i = 0; i < count; i++) {
		snprintf(path, sizeof path, "many/%zu", i);
		assert_int_equal(set(fixture, path, value), MORTISE_OK);
	}
}

/* Edits what is below one node. */
static void assert_node_is_noticed(
	struct fixture *fixture, uint64_t size, uint64_t place, const char *what)
{
	char text[1024];

	snprintf(text, sizeof text,
		"ATTACH '%s.old' AS old; CREATE TEMP TABLE below AS SELECT number FROM secret "
		"WHERE number-" HALF " BETWEEN %llu AND %llu; %s",
		fixture->path, (unsigned long long)(size * place),
		(unsigned long long)(size * (place + 1) - 1), what);
	assert_edit_is_noticed(fixture, text);
}

static void assert_nodes_are_noticed(struct fixture *fixture, uint64_t size, uint64_t place)
{
	assert_node_is_noticed(fixture, size, place,
		"UPDATE secret SET record=CAST(substr(record,1,length(record)-1)||CASE "
		"substr(record,-1) WHEN x'00' THEN x'01' ELSE x'00' END AS BLOB) "
		"WHERE number=(SELECT max(number) FROM below)");
	assert_node_is_noticed(fixture, size, place,
		"DELETE FROM secret WHERE number IN (SELECT number FROM below)");
	assert_node_is_noticed(fixture, size, place,
		"UPDATE secret SET record=(SELECT record FROM old.secret s WHERE "
		"s.number=secret.number) WHERE number IN (SELECT number FROM below)");
}

/* Whole nodes of the lowest level exchange their places. */
static void assert_swap_is_noticed(struct fixture *fixture, uint64_t place)
{
	assert_node_is_noticed(fixture, 16, place,
		"UPDATE secret SET number=-number WHERE number IN (SELECT number FROM below);"
		"UPDATE secret SET number=number-16 WHERE number IN "
		"(SELECT number+16 FROM below);"
		"UPDATE secret SET number=16-number WHERE number<0");
}

static void what_is_below_each_node_is_noticed(void **state)
{
	struct fixture *fixture = *state;

	set_many(fixture, "one");
	keep_copy(fixture, ".old");
	assert_int_equal(reopen(fixture), MORTISE_OK);
	set_many(fixture, "two");
	for (size_t i = 0; i < FIXTURE_PATHS; i++)
		assert_int_equal(set(fixture, fixture_paths[i], "three"), MORTISE_OK);
	for (uint64_t size = 16; size <= 4096; size *= 16)
		for (uint64_t place = 0; place * size <= MANY; place++)
			assert_nodes_are_noticed(fixture, size, place);
	for (uint64_t place = 0; (place + 1) * 16 <= MANY; place++)
		assert_swap_is_noticed(fixture, place);
}

/* The page of a table, where it has but one. */
static long page_of(const struct fixture *fixture, const char *table)
{
	sqlite3_stmt *statement = NULL;
	sqlite3 *db = NULL;
	char text[96];

	snprintf(text, sizeof text, "SELECT rootpage FROM sqlite_schema WHERE name='%s'", table);
	assert_int_equal(sqlite3_open(fixture->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, text, -1, &statement, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
	long page = sqlite3_column_int(statement, 0);
	sqlite3_finalize(statement);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	return page;
}

/* Exchanges its first two rows: SQLite file format, 1.6. */
static void put_out_of_order(struct fixture *fixture, const char *table)
{
	close_all(fixture);
	long at = (page_of(fixture, table) - 1) * 4096;
	uint8_t header[8], pointers[4];
	FILE *file = fopen(fixture->path, "r+b");

	assert_non_null(file);
	assert_int_equal(fseek(file, at, SEEK_SET), 0);
	assert_int_equal(fread(header, 1, sizeof header, file), sizeof header);
	assert_true(header[0] == 10 || header[0] == 13); /* a leaf */
	assert_int_equal(fread(pointers, 1, sizeof pointers, file), sizeof pointers);
	const uint8_t swapped[4] = {pointers[2], pointers[3], pointers[0], pointers[1]};
	assert_int_equal(fseek(file, at + 8, SEEK_SET), 0);
	assert_int_equal(fwrite(swapped, 1, sizeof swapped, file), sizeof swapped);
	assert_int_equal(fclose(file), 0);
}

static void rows_that_are_out_of_order_are_refused(void **state)
{
	struct fixture *fixture = *state;
	struct store_place places[8];
	char complaint[320];
	unsigned count;
	size_t values;

	keep_copy(fixture, ".copy");
	put_out_of_order(fixture, "secret");
	assert_int_equal(reopen(fixture), MORTISE_INTEGRITY);
	take_copy_back(fixture);
	put_out_of_order(fixture, "item");
	assert_int_equal(reopen(fixture), MORTISE_INTEGRITY);
	take_copy_back(fixture);
	put_out_of_order(fixture, "value");
	assert_int_equal(reopen(fixture), MORTISE_OK);
	assert_int_equal(
		store_next_values(fixture->store, 0, 8, places, &count), MORTISE_INTEGRITY);
	assert_int_equal(
		verify_all(fixture, &values, complaint, sizeof complaint), MORTISE_INTEGRITY);
}

int main(void)
{
#define IN_VAULT(test) cmocka_unit_test_setup_teardown(test, set_up_secrets, tear_down)
	const struct CMUnitTest tests[] = {
		IN_VAULT(an_edit_that_changes_nothing_is_none),
		IN_VAULT(rows_swapped_or_with_another_number_are_noticed),
		IN_VAULT(rows_deleted_are_noticed),
		IN_VAULT(rows_added_in_this_half_are_noticed),
		IN_VAULT(a_row_without_a_byte_is_noticed),
		IN_VAULT(rows_that_were_moved_out_of_this_half_are_noticed),
		IN_VAULT(what_is_in_the_other_half_is_no_part_of_the_store),
		IN_VAULT(items_edited_are_noticed),
		IN_VAULT(an_edited_identity_is_noticed),
		IN_VAULT(the_last_number_is_kept_though_its_secret_is_gone),
		IN_VAULT(a_row_rolled_back_is_noticed),
		IN_VAULT(a_destroyed_row_that_is_back_is_noticed_also_beside_its_successor),
		IN_VAULT(a_record_with_a_flipped_byte_is_noticed),
		IN_VAULT(what_is_below_each_node_is_noticed),
		IN_VAULT(rows_that_are_out_of_order_are_refused),
		IN_VAULT(a_record_cut_short_or_extended_is_noticed),
		IN_VAULT(a_number_on_several_rows_is_refused_without_a_crash),
		IN_VAULT(an_older_row_with_the_same_number_is_refused),
		IN_VAULT(swapped_or_edited_values_are_never_given_out),
		IN_VAULT(a_value_with_another_place_secret_or_version_is_never_given_out),
		IN_VAULT(two_values_that_exchanged_their_places_are_never_given_out),
		IN_VAULT(a_value_changed_under_a_running_vault_is_never_given_out),
		IN_VAULT(a_value_that_is_in_memory_is_given_out_and_verify_reads_the_disk),
		IN_VAULT(a_value_that_is_right_again_is_read_again),
		IN_VAULT(a_row_that_is_right_again_is_read_again),
		IN_VAULT(a_missing_value_is_noticed),
		IN_VAULT(a_value_too_many_is_noticed_by_verify),
		IN_VAULT(a_value_too_many_before_the_first_place_is_noticed_by_verify),
		IN_VAULT(a_row_changed_under_a_running_vault_is_noticed_by_verify),
		IN_VAULT(a_row_whose_head_was_changed_has_the_path_that_is_in_memory),
		IN_VAULT(a_row_whose_path_nobody_knows_any_more_is_named_by_its_number),
		IN_VAULT(an_older_row_under_a_running_vault_is_noticed),
		IN_VAULT(a_row_deleted_under_a_running_vault_is_noticed_by_verify),
		IN_VAULT(a_row_added_under_a_running_vault_is_noticed_by_verify),
		IN_VAULT(a_destroyed_row_that_is_back_under_a_running_vault_is_noticed_by_verify),
		IN_VAULT(a_row_in_the_other_half_under_a_running_vault_is_nobodys),
		IN_VAULT(items_changed_under_a_running_vault_are_noticed),
		IN_VAULT(an_older_audit_state_under_a_running_vault_is_refused),
		IN_VAULT(a_slot_deleted_under_a_running_vault_is_noticed_by_verify),
		IN_VAULT(an_identity_changed_under_a_running_vault_is_noticed_by_verify),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
