/* SPDX-License-Identifier: ISC */
/* What becomes of secrets and versions: also in the middle of a rekey, and on the disk. */
#include "vault_fixture.h"

#define NO_TIME 0 /* a slice of one secret */
#define EVER    100000

/* Calls of the vault into the store fail where a test wants it (--wrap), and were not done. */
static unsigned calls, fail_at; /* 0: none */

static bool must_fail(void)
{
	return ++calls == fail_at;
}

#define FAILING(name, parameters, arguments)                                                       \
	enum mortise_status __real_##name parameters;                                              \
	enum mortise_status __wrap_##name parameters;                                              \
	enum mortise_status __wrap_##name parameters                                               \
	{                                                                                          \
		return must_fail() ? MORTISE_IO : __real_##name arguments;                         \
	}

FAILING(store_begin, (struct store * store), (store))
FAILING(store_truncate_log, (struct store * store), (store))
FAILING(store_put_meta, (struct store * store, const struct store_meta *meta), (store, meta))
FAILING(store_put_secret,
	(struct store * store, uint64_t epoch, uint64_t number, struct store_bytes record),
	(store, epoch, number, record))
FAILING(store_delete_secret, (struct store * store, uint64_t epoch, uint64_t number),
	(store, epoch, number))
FAILING(store_secret,
	(struct store * store, uint64_t epoch, uint64_t number, uint8_t **bytes, size_t *size),
	(store, epoch, number, bytes, size))
FAILING(store_put_value,
	(struct store * store, const struct store_place *place, struct store_bytes value),
	(store, place, value))
FAILING(store_delete_value, (struct store * store, const struct store_place *place), (store, place))

static void work(struct fixture *fixture)
{
	for (unsigned i = 0; vault_has_work(fixture->vault); i++) {
		assert_true(i < EVER);
		assert_int_equal(vault_work(fixture->vault, NO_TIME), MORTISE_OK);
	}
}

/* Slices of one secret each until `count` secrets are done. */
static void begin(struct fixture *fixture, bool reencrypt, uint64_t count)
{
	assert_int_equal(vault_rekey(fixture->vault, reencrypt), MORTISE_OK);
	for (unsigned i = 0; vault_rekey_progress(fixture->vault).done < count; i++) {
		assert_true(i < EVER);
		assert_int_equal(vault_work(fixture->vault, NO_TIME), MORTISE_OK);
	}
	assert_true(vault_rekey_progress(fixture->vault).is_rekeying);
}

static void verify(struct fixture *fixture)
{
	char complaint[VAULT_PATH_SIZE + 96];
	size_t values;

	if (verify_all(fixture, &values, complaint, sizeof complaint) != MORTISE_OK)
		fail_msg("%s", complaint);
}

/* What is on disk opens, and is whole. */
static void assert_opens(struct fixture *fixture)
{
	assert_int_equal(reopen_by_slot(fixture, 1), MORTISE_OK);
	work(fixture);
	verify(fixture);
}

static struct vault_write text_write(struct fixture *fixture, const char *path, const char *value)
{
	struct vault_write write = a_write(fixture, path, value, strlen(value));

	write.uid = 7;
	return write;
}

static uint64_t put_pending(struct fixture *fixture, const char *path, const char *value)
{
	struct vault_write write = text_write(fixture, path, value);
	struct vault_outcome outcome = {0, false};

	write.is_pending = true;
	assert_int_equal(vault_write(fixture->vault, &write, &outcome), MORTISE_OK);
	assert_true(outcome.changed);
	return outcome.version;
}

static struct vault_head head_of(struct fixture *fixture, const char *path)
{
	static struct vault_version versions[VAULT_VERSIONS_MAX];
	struct vault_head head;
	size_t count;

	assert_int_equal(vault_show(fixture->vault, path, &head, versions, &count), MORTISE_OK);
	return head;
}

static enum mortise_status rollback(
	struct fixture *fixture, const char *path, uint64_t to, struct vault_outcome *out_outcome)
{
	const struct vault_write write = text_write(fixture, path, "");

	return vault_rollback(fixture->vault, &write, to, out_outcome);
}

static enum mortise_status move(struct fixture *fixture, const char *from, const char *to)
{
	uint8_t token[WIRE_TOKEN_SIZE] = {9};
	struct vault_outcome outcome;

	memcpy(token, &(uint64_t){++fixture->writes}, sizeof fixture->writes);
	return vault_move(fixture->vault, from, to, token, &outcome);
}

static enum mortise_status destroy(struct fixture *fixture, const char *path, uint64_t version)
{
	struct vault_outcome outcome;

	return vault_destroy(fixture->vault, path, version, &outcome);
}

static enum mortise_status delete_secret(struct fixture *fixture, const char *path)
{
	struct vault_outcome outcome;

	return vault_set_deleted(fixture->vault, path, true, 5000, &outcome);
}

static enum mortise_status destroy_all(struct fixture *fixture, const char *path)
{
	struct vault_outcome outcome;

	return vault_destroy_all(fixture->vault, path, &outcome);
}

static void read_label(struct fixture *fixture, enum vault_selector selector, const char *expected)
{
	const struct vault_choice choice = {selector, 0};
	CLEANUP(secret_drop) struct secret *value = NULL;
	uint64_t version;
	enum mortise_status status =
		vault_read(fixture->vault, "prod/a", &choice, &value, &version);

	if (!expected) {
		assert_int_equal(status, MORTISE_NOT_FOUND);
		return;
	}
	assert_int_equal(status, MORTISE_OK);
	assert_int_equal(value->size, strlen(expected));
	assert_memory_equal(value->bytes, expected, value->size);
}

static void a_pending_version_is_stored_and_the_current_one_stays(void **state)
{
	struct fixture *fixture = *state;

	read_label(fixture, VAULT_PENDING, NULL);
	assert_int_equal(put_pending(fixture, "prod/a", "to come"), 3);
	read_label(fixture, VAULT_CURRENT, "prod/a 2");
	read_label(fixture, VAULT_PREVIOUS, "prod/a 1");
	read_label(fixture, VAULT_PENDING, "to come");
	assert_opens(fixture);
	read_label(fixture, VAULT_CURRENT, "prod/a 2");
	read_label(fixture, VAULT_PENDING, "to come");
}

static void a_promoted_version_is_current_and_the_one_before_previous(void **state)
{
	struct fixture *fixture = *state;
	struct vault_outcome outcome;

	(void)put_pending(fixture, "prod/a", "to come");
	assert_int_equal(set(fixture, "prod/a", "meanwhile"), MORTISE_OK);
	assert_int_equal(vault_promote(fixture->vault, "prod/a", 3, &outcome), MORTISE_OK);
	assert_true(outcome.changed);
	read_label(fixture, VAULT_CURRENT, "to come");
	read_label(fixture, VAULT_PREVIOUS, "meanwhile");
	read_label(fixture, VAULT_PENDING, NULL);
	assert_int_equal(vault_promote(fixture->vault, "prod/a", 3, &outcome), MORTISE_OK);
	assert_false(outcome.changed);
	assert_int_equal(set(fixture, "prod/a", "after"), MORTISE_OK);
	assert_value(fixture, "prod/a", 5, "after");
	read_label(fixture, VAULT_PREVIOUS, "to come");
	assert_opens(fixture);
	read_label(fixture, VAULT_PREVIOUS, "to come");
}

static void only_what_is_pending_is_promoted(void **state)
{
	struct fixture *fixture = *state;
	struct vault_outcome outcome;

	assert_int_equal(vault_promote(fixture->vault, "prod/a", 1, &outcome), MORTISE_CONFLICT);
	assert_int_equal(vault_promote(fixture->vault, "prod/a", 0, &outcome), MORTISE_CONFLICT);
	assert_int_equal(vault_promote(fixture->vault, "prod/x", 1, &outcome), MORTISE_NOT_FOUND);
	(void)put_pending(fixture, "prod/a", "to come");
	assert_int_equal(vault_promote(fixture->vault, "prod/a", 4, &outcome), MORTISE_CONFLICT);
	vault_rehearse(fixture->vault, true);
	assert_int_equal(vault_promote(fixture->vault, "prod/a", 3, &outcome), MORTISE_OK);
	vault_rehearse(fixture->vault, false);
	read_label(fixture, VAULT_CURRENT, "prod/a 2");
}

static void there_is_one_pending_version_of_a_secret_that_is_there(void **state)
{
	struct fixture *fixture = *state;
	struct vault_write write = text_write(fixture, "prod/x", "value");
	struct vault_outcome outcome;

	write.is_pending = true;
	assert_int_equal(vault_write(fixture->vault, &write, &outcome), MORTISE_NOT_FOUND);
	(void)put_pending(fixture, "prod/a", "to come");
	write.path = "prod/a";
	assert_int_equal(vault_write(fixture->vault, &write, &outcome), MORTISE_CONFLICT);
	assert_int_equal(delete_secret(fixture, "prod/b"), MORTISE_OK);
	write.path = "prod/b";
	assert_int_equal(vault_write(fixture->vault, &write, &outcome), MORTISE_NOT_FOUND);
}

static void a_dropped_version_is_gone_and_its_number_is_not_given_again(void **state)
{
	struct fixture *fixture = *state;
	struct vault_outcome outcome;

	(void)put_pending(fixture, "prod/a", "to come");
	assert_int_equal(
		vault_drop_pending(fixture->vault, "prod/a", 2, &outcome), MORTISE_CONFLICT);
	assert_int_equal(vault_drop_pending(fixture->vault, "prod/a", 3, &outcome), MORTISE_OK);
	assert_true(outcome.changed);
	assert_unreadable(fixture, "prod/a", 3, MORTISE_NOT_FOUND);
	assert_int_equal(vault_drop_pending(fixture->vault, "prod/a", 3, &outcome), MORTISE_OK);
	assert_false(outcome.changed);
	assert_opens(fixture);
	assert_int_equal(put_pending(fixture, "prod/a", "again"), 4);
}

static void a_version_that_was_promoted_or_never_given_cannot_be_dropped(void **state)
{
	static const uint64_t versions[] = {0, 1, 2, 3, 4, UINT64_MAX};
	struct fixture *fixture = *state;
	struct vault_outcome outcome;

	assert_int_equal(put_pending(fixture, "prod/a", "to come"), 3);
	assert_int_equal(vault_promote(fixture->vault, "prod/a", 3, &outcome), MORTISE_OK);
	for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++)
		for (int is_rehearsal = 0; is_rehearsal < 2; is_rehearsal++) {
			vault_rehearse(fixture->vault, is_rehearsal);
			assert_int_equal(
				vault_drop_pending(fixture->vault, "prod/a", versions[i], &outcome),
				MORTISE_CONFLICT);
		}
	vault_rehearse(fixture->vault, false);
	assert_value(fixture, "prod/a", 3, "to come");
}

static void what_is_labelled_is_never_pruned(void **state)
{
	struct fixture *fixture = *state;
	struct vault_metadata metadata = {.keep = 1};
	struct vault_outcome outcome;
	char value[16];

	assert_int_equal(
		vault_set_metadata(fixture->vault, "prod/a", &metadata, &outcome), MORTISE_OK);
	(void)put_pending(fixture, "prod/a", "to come");
	for (unsigned i = 0; i < 20; i++) {
		snprintf(value, sizeof value, "%u", i);
		assert_int_equal(set(fixture, "prod/a", value), MORTISE_OK);
	}
	read_label(fixture, VAULT_PENDING, "to come");
	read_label(fixture, VAULT_CURRENT, "19");
	read_label(fixture, VAULT_PREVIOUS, "18");
	assert_unreadable(fixture, "prod/a", 21, MORTISE_NOT_FOUND);
	assert_unreadable(fixture, "prod/a", 1, MORTISE_NOT_FOUND);
	assert_opens(fixture);
}

static void a_secret_keeps_as_many_versions_as_is_said_of_it(void **state)
{
	static struct vault_version versions[VAULT_VERSIONS_MAX];
	struct fixture *fixture = *state;
	struct vault_metadata metadata = {.keep = VAULT_KEEP_MAX};
	struct vault_outcome outcome;
	struct vault_head head;
	size_t count = 0;

	assert_int_equal(
		vault_set_metadata(fixture->vault, "prod/a", &metadata, &outcome), MORTISE_OK);
	for (unsigned i = 0; i < VAULT_KEEP_MAX + 5; i++)
		assert_int_equal(set(fixture, "prod/a", "value"), MORTISE_OK);
	assert_int_equal(vault_show(fixture->vault, "prod/a", &head, versions, &count), MORTISE_OK);
	assert_int_equal(count, VAULT_KEEP_MAX);
	metadata.keep = 4;
	assert_int_equal(
		vault_set_metadata(fixture->vault, "prod/a", &metadata, &outcome), MORTISE_OK);
	assert_int_equal(set(fixture, "prod/a", "value"), MORTISE_OK);
	assert_int_equal(vault_show(fixture->vault, "prod/a", &head, versions, &count), MORTISE_OK);
	assert_int_equal(count, 4);
	assert_opens(fixture);
}

static void a_rollback_is_a_new_version_with_the_old_value(void **state)
{
	static struct vault_version versions[VAULT_VERSIONS_MAX];
	struct fixture *fixture = *state;
	struct vault_outcome outcome;
	struct vault_head head;
	size_t count = 0;

	assert_int_equal(rollback(fixture, "prod/a", 1, &outcome), MORTISE_OK);
	assert_int_equal(outcome.version, 3);
	assert_value(fixture, "prod/a", 0, "prod/a 1");
	assert_int_equal(vault_show(fixture->vault, "prod/a", &head, versions, &count), MORTISE_OK);
	assert_string_equal(versions[2].note, "rollback to version 1");
	assert_int_equal(versions[2].uid, 7);
	assert_int_equal(head.previous, 2);
	assert_int_equal(rollback(fixture, "prod/a", 3, &outcome), MORTISE_OK);
	assert_false(outcome.changed);
	assert_int_equal(rollback(fixture, "prod/a", 9, &outcome), MORTISE_NOT_FOUND);
	assert_int_equal(rollback(fixture, "prod/x", 1, &outcome), MORTISE_NOT_FOUND);
}

static void a_rollback_that_is_repeated_is_done_once(void **state)
{
	struct fixture *fixture = *state;
	const struct vault_write write = text_write(fixture, "prod/a", "");
	struct vault_outcome outcome;

	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(set(fixture, "prod/a", "value"), MORTISE_OK);
	/* Version 1 makes room for its own copy. */
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(vault_rollback(fixture->vault, &write, 1, &outcome), MORTISE_OK);
		assert_int_equal(outcome.version, 11);
	}
	assert_unreadable(fixture, "prod/a", 1, MORTISE_NOT_FOUND);
	assert_value(fixture, "prod/a", 0, "prod/a 1");
}

static void a_moved_secret_is_there_with_all_its_versions_and_not_here(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(move(fixture, "prod/a", "prod/new"), MORTISE_OK);
	assert_unreadable(fixture, "prod/a", 0, MORTISE_NOT_FOUND);
	assert_value(fixture, "prod/new", 1, "prod/a 1");
	assert_value(fixture, "prod/new", 0, "prod/a 2");
	assert_int_equal(set(fixture, "prod/a", "another"), MORTISE_OK);
	assert_value(fixture, "prod/a", 1, "another");
	assert_opens(fixture);
	assert_value(fixture, "prod/new", 0, "prod/a 2");
	assert_value(fixture, "prod/a", 0, "another");
}

static void nothing_is_moved_onto_what_is_there_though_deleted(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(move(fixture, "prod/a", "prod/b"), MORTISE_CONFLICT);
	assert_int_equal(delete_secret(fixture, "prod/b"), MORTISE_OK);
	assert_int_equal(move(fixture, "prod/a", "prod/b"), MORTISE_CONFLICT);
	assert_int_equal(move(fixture, "prod/a", "prod/a"), MORTISE_CONFLICT);
	assert_int_equal(move(fixture, "prod/b", "prod/x"), MORTISE_NOT_FOUND);
	assert_int_equal(move(fixture, "prod/x", "prod/y"), MORTISE_NOT_FOUND);
	assert_value(fixture, "prod/a", 0, "prod/a 2");
}

static void a_move_that_is_repeated_is_done_once(void **state)
{
	const uint8_t token[WIRE_TOKEN_SIZE] = {3}, other[WIRE_TOKEN_SIZE] = {4};
	struct fixture *fixture = *state;
	struct vault_outcome outcome;

	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(vault_move(fixture->vault, "prod/a", "prod/n", token, &outcome),
			MORTISE_OK);
	assert_int_equal(
		vault_move(fixture->vault, "prod/a", "prod/n", other, &outcome), MORTISE_NOT_FOUND);
}

static void what_is_said_of_a_secret_is_kept_and_no_version_made(void **state)
{
	struct fixture *fixture = *state;
	struct vault_metadata metadata = {.note = "for the shop",
		.hook = "/usr/local/libexec/rotate-db",
		.max_age_s = 90 * 86400,
		.keep = 20,
		.pairs = {{"owner", "payments"}, {"ticket", "a=b"}},
		.pair_count = 2};
	struct vault_outcome outcome;

	assert_int_equal(
		vault_set_metadata(fixture->vault, "prod/a", &metadata, &outcome), MORTISE_OK);
	assert_true(outcome.changed);
	assert_int_equal(
		vault_set_metadata(fixture->vault, "prod/a", &metadata, &outcome), MORTISE_OK);
	assert_false(outcome.changed);
	assert_opens(fixture);
	struct vault_head head = head_of(fixture, "prod/a");
	assert_int_equal(head.current, 2);
	assert_int_equal(head.current_created_us, 1000);
	assert_string_equal(head.metadata.note, metadata.note);
	assert_string_equal(head.metadata.hook, metadata.hook);
	assert_int_equal(head.metadata.max_age_s, metadata.max_age_s);
	assert_int_equal(head.metadata.keep, 20);
	assert_int_equal(head.metadata.pair_count, 2);
	assert_string_equal(head.metadata.pairs[1].key, "ticket");
	assert_string_equal(head.metadata.pairs[1].value, "a=b");
}

/* As many as are kept and one pending, each with the longest note. */
static void write_versions(struct fixture *fixture, const char *path)
{
	char note[VAULT_NOTE_MAX + 1] = "";

	memset(note, 'n', VAULT_NOTE_MAX);
	for (unsigned i = 0; i < VAULT_KEEP_MAX + 2; i++) {
		struct vault_write write = text_write(fixture, path, "value");
		struct vault_outcome outcome;
		write.note = note;
		write.is_pending = i == 2;
		assert_int_equal(vault_write(fixture->vault, &write, &outcome), MORTISE_OK);
	}
}

static size_t count_versions(struct fixture *fixture, const char *path)
{
	static struct vault_version versions[VAULT_VERSIONS_MAX];
	struct vault_head head;
	size_t count = 0;

	assert_int_equal(vault_show(fixture->vault, path, &head, versions, &count), MORTISE_OK);
	return count;
}

/* As large as all of it may be: it fits the head and the row, and a rekey takes it along. */
static void all_that_can_be_said_fits(void **state)
{
	static struct vault_metadata metadata;
	struct fixture *fixture = *state;
	struct vault_outcome outcome;
	char path[VAULT_PATH_SIZE];

	memset(path, 'p', sizeof path - 1);
	path[sizeof path - 1] = '\0';
	metadata = (struct vault_metadata){
		.max_age_s = 3153600000, .keep = VAULT_KEEP_MAX, .pair_count = VAULT_PAIRS_MAX};
	memset(metadata.note, 'n', VAULT_NOTE_MAX);
	memset(metadata.hook, '/', VAULT_HOOK_MAX);
	for (unsigned i = 0; i < VAULT_PAIRS_MAX; i++) {
		memset(metadata.pairs[i].key, 'a' + (int)i, VAULT_KEY_MAX);
		memset(metadata.pairs[i].value, 'v', VAULT_PAIR_VALUE_MAX);
	}
	assert_int_equal(move(fixture, "prod/a", path), MORTISE_OK);
	assert_int_equal(vault_set_metadata(fixture->vault, path, &metadata, &outcome), MORTISE_OK);
	write_versions(fixture, path);
	assert_int_equal(count_versions(fixture, path), VAULT_KEEP_MAX);
	assert_int_equal(delete_secret(fixture, path), MORTISE_OK);
	assert_int_equal(vault_rekey(fixture->vault, false), MORTISE_OK);
	work(fixture);
	assert_opens(fixture);
	assert_int_equal(count_versions(fixture, path), VAULT_KEEP_MAX);
	assert_int_equal(head_of(fixture, path).metadata.pair_count, VAULT_PAIRS_MAX);
}

static void what_is_out_of_bounds_is_not_said(void **state)
{
	static const struct vault_metadata wrong[] = {
		{.keep = VAULT_KEEP_MAX + 1},
		{.max_age_s = UINT64_MAX},
		{.note = "two\nlines"},
		{.hook = "not/absolute"},
		{.hook = "/bin/\x1b[31m"},
		{.pairs = {{"", "x"}}, .pair_count = 1},
		{.pairs = {{"Owner", "x"}}, .pair_count = 1},
		{.pairs = {{"a", "x\x7f"}}, .pair_count = 1},
		{.pairs = {{"b", "x"}, {"a", "y"}}, .pair_count = 2},
		{.pairs = {{"a", "x"}, {"a", "y"}}, .pair_count = 2},
		{.pair_count = VAULT_PAIRS_MAX + 1},
	};
	struct fixture *fixture = *state;
	struct vault_outcome outcome;

	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
		assert_int_equal(vault_set_metadata(fixture->vault, "prod/a", &wrong[i], &outcome),
			MORTISE_INVALID);
}

static void many_values_are_set_at_once_or_none(void **state)
{
	struct fixture *fixture = *state;
	struct vault_outcome outcomes[4];
	struct vault_write writes[4];

	for (unsigned i = 0; i < 4; i++)
		writes[i] = text_write(
			fixture, (const char *[]){"prod/a", "x/1", "x/2", "x/3"}[i], "together");
	writes[3].has_expected_version = true;
	writes[3].expected_version = 1;
	assert_int_equal(vault_write_all(fixture->vault, writes, 4, outcomes), MORTISE_CONFLICT);
	assert_unreadable(fixture, "x/1", 0, MORTISE_NOT_FOUND);
	writes[3].expected_version = 0;
	for (unsigned i = 0; i < 2; i++) { /* twice: done once */
		assert_int_equal(vault_write_all(fixture->vault, writes, 4, outcomes), MORTISE_OK);
		assert_int_equal(outcomes[0].version, 3);
		assert_int_equal(outcomes[3].version, 1);
	}
	writes[1].path = writes[2].path;
	assert_int_equal(vault_write_all(fixture->vault, writes, 4, outcomes), MORTISE_INVALID);
	assert_int_equal(vault_write_all(fixture->vault, writes, 0, outcomes), MORTISE_INVALID);
	assert_opens(fixture);
	assert_value(fixture, "x/3", 1, "together");
	assert_value(fixture, "prod/a", 3, "together");
}

/* They are neighbours in the index, whose nodes fill up with one commit. */
static void as_many_as_a_frame_may_have_are_set_at_once(void **state)
{
	static struct vault_outcome outcomes[WIRE_SETS_MAX];
	static struct vault_write writes[WIRE_SETS_MAX];
	static char paths[WIRE_SETS_MAX][16];
	struct fixture *fixture = *state;

	for (unsigned round = 0; round < 4; round++) {
		for (unsigned i = 0; i < WIRE_SETS_MAX; i++) {
			snprintf(paths[i], sizeof paths[i], "m/%u-%u", i, round);
			writes[i] = text_write(fixture, paths[i], paths[i]);
		}
		assert_int_equal(vault_write_all(fixture->vault, writes, WIRE_SETS_MAX, outcomes),
			MORTISE_OK);
	}
	assert_opens(fixture);
	assert_int_equal(vault_count(fixture->vault), 4 * WIRE_SETS_MAX + FIXTURE_PATHS);
	assert_value(fixture, "m/255-3", 0, "m/255-3");
}

static void the_current_version_is_destroyed_only_of_a_deleted_secret(void **state)
{
	struct fixture *fixture = *state;
	struct vault_outcome outcome;

	assert_int_equal(destroy(fixture, "prod/a", 2), MORTISE_CONFLICT);
	assert_int_equal(destroy(fixture, "prod/a", 3), MORTISE_NOT_FOUND);
	assert_int_equal(destroy(fixture, "prod/a", 0), MORTISE_NOT_FOUND);
	assert_int_equal(destroy(fixture, "prod/x", 1), MORTISE_NOT_FOUND);
	assert_int_equal(delete_secret(fixture, "prod/a"), MORTISE_OK);
	assert_int_equal(destroy(fixture, "prod/a", 2), MORTISE_OK);
	assert_int_equal(
		vault_set_deleted(fixture->vault, "prod/a", false, 0, &outcome), MORTISE_CONFLICT);
	assert_int_equal(set(fixture, "prod/a", "another"), MORTISE_OK);
	assert_value(fixture, "prod/a", 3, "another");
	read_label(fixture, VAULT_PREVIOUS, "prod/a 1");
	assert_opens(fixture);
}

static void a_destroyed_version_is_gone_and_the_others_are_there(void **state)
{
	struct fixture *fixture = *state;
	struct vault_outcome outcome;

	vault_rehearse(fixture->vault, true);
	assert_int_equal(vault_destroy(fixture->vault, "prod/a", 1, &outcome), MORTISE_OK);
	vault_rehearse(fixture->vault, false);
	assert_value(fixture, "prod/a", 1, "prod/a 1");
	assert_int_equal(destroy(fixture, "prod/a", 1), MORTISE_OK);
	assert_unreadable(fixture, "prod/a", 1, MORTISE_NOT_FOUND);
	assert_value(fixture, "prod/a", 2, "prod/a 2");
	assert_int_equal(vault_destroy(fixture->vault, "prod/a", 1, &outcome), MORTISE_OK);
	assert_false(outcome.changed);
	assert_opens(fixture);
}

static void a_deleted_secret_is_destroyed_whole(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(destroy_all(fixture, "prod/a"), MORTISE_CONFLICT);
	assert_int_equal(destroy_all(fixture, "prod/x"), MORTISE_NOT_FOUND);
	assert_int_equal(delete_secret(fixture, "prod/a"), MORTISE_OK);
	assert_int_equal(destroy_all(fixture, "prod/a"), MORTISE_OK);
	assert_int_equal(destroy_all(fixture, "prod/a"), MORTISE_NOT_FOUND);
	assert_int_equal(vault_count(fixture->vault), FIXTURE_PATHS - 1);
	assert_int_equal(set(fixture, "prod/a", "anew"), MORTISE_OK);
	assert_value(fixture, "prod/a", 1, "anew");
	assert_opens(fixture);
	assert_value(fixture, "prod/a", 1, "anew");
}

static void what_was_deleted_before_a_time_is_purged_and_nothing_else(void **state)
{
	struct fixture *fixture = *state;
	char path[VAULT_PATH_SIZE];
	struct vault_outcome outcome;
	uint64_t cursor = 0, version;

	assert_int_equal(
		vault_set_deleted(fixture->vault, "prod/a", true, 100, &outcome), MORTISE_OK);
	assert_int_equal(
		vault_set_deleted(fixture->vault, "prod/b", true, 200, &outcome), MORTISE_OK);
	assert_int_equal(vault_purge(fixture->vault, 1100, 1000, &cursor, path, &version),
		MORTISE_NOT_FOUND);
	assert_int_equal(cursor, 0);
	assert_int_equal(
		vault_purge(fixture->vault, 1200, 1000, &cursor, path, &version), MORTISE_OK);
	assert_string_equal(path, "prod/a");
	assert_int_equal(version, 2);
	assert_int_equal(vault_purge(fixture->vault, 1200, 1000, &cursor, path, &version),
		MORTISE_NOT_FOUND);
	assert_int_equal(vault_count(fixture->vault), 2);
	assert_int_equal(
		vault_set_deleted(fixture->vault, "prod/b", false, 0, &outcome), MORTISE_OK);
	assert_opens(fixture);
}

/* More secrets than one look takes lie between the two that go. */
static void a_look_at_many_secrets_goes_on_where_it_stopped_and_comes_to_the_end(void **state)
{
	enum { AT_ONCE = 256, BATCHES = 68 };
	static char names[AT_ONCE][16];
	static struct vault_write writes[AT_ONCE];
	static struct vault_outcome outcomes[AT_ONCE];
	struct fixture *fixture = *state;
	char path[VAULT_PATH_SIZE];
	struct vault_outcome outcome;
	uint64_t cursor = 0, version;
	unsigned looks = 0, purged = 0;

	for (unsigned i = 0; i < BATCHES; i++) {
		for (unsigned j = 0; j < AT_ONCE; j++) {
			(void)snprintf(names[j], sizeof names[j], "many/%u", i * AT_ONCE + j);
			writes[j] = text_write(fixture, names[j], "value");
		}
		assert_int_equal(
			vault_write_all(fixture->vault, writes, AT_ONCE, outcomes), MORTISE_OK);
	}
	assert_int_equal(
		vault_set_deleted(fixture->vault, "prod/a", true, 100, &outcome), MORTISE_OK);
	assert_int_equal(vault_set_deleted(fixture->vault, names[AT_ONCE - 1], true, 100, &outcome),
		MORTISE_OK);
	do {
		enum mortise_status status =
			vault_purge(fixture->vault, 2000, 1000, &cursor, path, &version);
		looks += status == MORTISE_NOT_FOUND;
		purged += status == MORTISE_OK;
		assert_true(status != MORTISE_OK ||
			    strcmp(path, purged == 1 ? "prod/a" : names[AT_ONCE - 1]) == 0);
	} while (cursor != 0);
	assert_int_equal(purged, 2);
	assert_int_equal(looks, 2);
}

static void what_was_deleted_at_an_unknown_time_counts_from_the_next_look(void **state)
{
	struct fixture *fixture = *state;
	char path[VAULT_PATH_SIZE];
	struct vault_outcome outcome;
	uint64_t cursor = 0, version;

	assert_int_equal(
		vault_set_deleted(fixture->vault, "prod/a", true, VAULT_TIME_UNKNOWN, &outcome),
		MORTISE_OK);
	for (int i = 0; i < 3; i++) {
		do
			assert_int_equal(
				vault_purge(fixture->vault, 5000, 1000, &cursor, path, &version),
				MORTISE_NOT_FOUND);
		while (cursor != 0);
	}
	assert_opens(fixture);
	assert_int_equal(vault_purge(fixture->vault, 6000, 1000, &cursor, path, &version),
		MORTISE_NOT_FOUND);
	assert_int_equal(
		vault_purge(fixture->vault, 6001, 1000, &cursor, path, &version), MORTISE_OK);
	assert_string_equal(path, "prod/a");
}

static void a_secret_made_after_others_has_a_higher_number_and_keeps_it(void **state)
{
	static const char *const paths[] = {"x/c", "prod/a", "x/a", "x/b"};
	struct fixture *fixture = *state;
	struct vault_write writes[4];
	struct vault_outcome outcomes[4];

	assert_true(number_of(fixture, "prod/a") < number_of(fixture, "prod/b"));
	assert_true(number_of(fixture, "prod/b") < number_of(fixture, "prod/c"));
	for (unsigned i = 0; i < 4; i++)
		writes[i] = text_write(fixture, paths[i], "together");
	assert_int_equal(vault_write_all(fixture->vault, writes, 4, outcomes), MORTISE_OK);
	assert_true(number_of(fixture, "prod/c") < number_of(fixture, "x/c"));
	assert_true(number_of(fixture, "x/c") < number_of(fixture, "x/a"));
	assert_true(number_of(fixture, "x/a") < number_of(fixture, "x/b"));
	const uint64_t number = number_of(fixture, "prod/b");
	assert_int_equal(set(fixture, "prod/b", "newer"), MORTISE_OK);
	assert_int_equal(move(fixture, "prod/b", "x/d"), MORTISE_OK);
	assert_int_equal(delete_secret(fixture, "x/d"), MORTISE_OK);
	assert_int_equal(set(fixture, "x/d", "back again"), MORTISE_OK);
	assert_int_equal(vault_rekey(fixture->vault, false), MORTISE_OK);
	work(fixture);
	assert_opens(fixture);
	assert_int_equal(number_of(fixture, "x/d"), number);
}

/* Nor where the one that had it was the last, and the agent was started anew since. */
static void the_number_of_a_destroyed_secret_is_never_given_again(void **state)
{
	struct fixture *fixture = *state;
	uint64_t highest = number_of(fixture, "prod/c");

	assert_int_equal(delete_secret(fixture, "prod/c"), MORTISE_OK);
	assert_int_equal(destroy_all(fixture, "prod/c"), MORTISE_OK);
	for (unsigned i = 0; i < 4; i++) {
		if (i == 1)
			assert_opens(fixture);
		if (i == 2)
			assert_int_equal(vault_rekey(fixture->vault, true), MORTISE_OK);
		work(fixture);
		if (i == 3)
			assert_opens(fixture);
		assert_int_equal(set(fixture, "prod/c", "anew"), MORTISE_OK);
		const uint64_t number = number_of(fixture, "prod/c");
		assert_true(number > highest);
		highest = number;
		assert_int_equal(delete_secret(fixture, "prod/c"), MORTISE_OK);
		assert_int_equal(destroy_all(fixture, "prod/c"), MORTISE_OK);
	}
	assert_int_equal(vault_epoch(fixture->vault), 2);
	assert_opens(fixture);
}

/* A secret's record, as it is on the disk. */
static struct store_bytes record_of(struct fixture *fixture, const char *path)
{
	uint8_t *record = NULL;
	size_t size = 0;

	assert_int_equal(store_secret(fixture->store, vault_epoch(fixture->vault),
				 number_of(fixture, path), &record, &size),
		MORTISE_OK);
	return (struct store_bytes){record, size};
}

/* Writes it past the vault, as somebody would who holds the disk; without bytes: it is gone. */
static void plant(struct fixture *fixture, uint64_t number, struct store_bytes record)
{
	const uint64_t epoch = vault_epoch(fixture->vault);

	assert_int_equal(store_begin(fixture->store), MORTISE_OK);
	assert_int_equal(record.bytes ? store_put_secret(fixture->store, epoch, number, record)
				      : store_delete_secret(fixture->store, epoch, number),
		MORTISE_OK);
	assert_int_equal(store_commit(fixture->store), MORTISE_OK);
}

/* That row is refused whatever is asked of its secret, and the others are served. */
static void assert_row_is_refused(struct fixture *fixture, const char *path)
{
	struct vault_version versions[VAULT_VERSIONS_MAX];
	struct vault_head head;
	size_t count;

	assert_unreadable(fixture, path, 0, MORTISE_INTEGRITY);
	assert_unreadable(fixture, path, 1, MORTISE_INTEGRITY);
	assert_int_equal(
		vault_show(fixture->vault, path, &head, versions, &count), MORTISE_INTEGRITY);
	assert_int_equal(set(fixture, path, "over it"), MORTISE_INTEGRITY);
	assert_int_equal(move(fixture, path, "prod/x"), MORTISE_INTEGRITY);
	assert_int_equal(destroy(fixture, path, 1), MORTISE_INTEGRITY);
	assert_int_equal(delete_secret(fixture, path), MORTISE_INTEGRITY);
	assert_value(fixture, "prod/b", 0, "prod/b 2");
	assert_int_equal(set(fixture, "prod/z", "elsewhere"), MORTISE_OK);
}

/* The tally is of all rows; each is held against it whenever it comes from the disk. */
static void a_row_that_is_in_memory_no_more_is_checked_when_it_is_read_again(void **state)
{
	struct fixture *fixture = *state;
	const uint64_t number = number_of(fixture, "prod/a");
	struct store_bytes older = record_of(fixture, "prod/a");

	assert_int_equal(set(fixture, "prod/a", "prod/a 3"), MORTISE_OK);
	struct store_bytes right = record_of(fixture, "prod/a");
	struct store_bytes other = record_of(fixture, "prod/c");
	uint8_t *changed = malloc(right.size);
	assert_non_null(changed);
	memcpy(changed, right.bytes, right.size);
	changed[right.size / 2] ^= 1;
	const struct store_bytes wrong[] = {{changed, right.size}, older, other,
		{right.bytes, right.size - 1}, {right.bytes, 1}, {NULL, 0}};
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		assert_int_equal(reopen(fixture), MORTISE_OK); /* nothing is in memory */
		plant(fixture, number, wrong[i]);
		assert_row_is_refused(fixture, "prod/a");
		plant(fixture, number, right);
		assert_value(fixture, "prod/a", 0, "prod/a 3");
		assert_value(fixture, "prod/a", 1, "prod/a 1");
	}
	assert_opens(fixture);
	free((void *)(uintptr_t)older.bytes);
	free((void *)(uintptr_t)right.bytes);
	free((void *)(uintptr_t)other.bytes);
	free(changed);
}

/* Ciphertext and wrapped key of a version, as they lie on the disk. */
struct bytes_on_disk {
	uint8_t keys[2][ENTRY_KEY_SIZE], values[2][64];
	size_t epochs, value_size;
};

/* The row of a secret as it is in an epoch's half of the table; NULL: it is not there. */
static struct entry *entry_in(struct fixture *fixture, uint64_t epoch, uint64_t number)
{
	struct entry *entry = NULL;
	uint8_t *record = NULL;
	size_t size = 0;
	enum mortise_status status = store_secret(fixture->store, epoch, number, &record, &size);

	if (status == MORTISE_NOT_FOUND)
		return NULL;
	assert_int_equal(status, MORTISE_OK);
	assert_int_equal(entry_take(number, record, size, &entry), MORTISE_OK);
	return entry;
}

static void take_bytes(struct fixture *fixture, const struct entry *entry,
	const struct entry_version *version, struct bytes_on_disk *bytes)
{
	const struct store_place place = entry_place(entry, version);
	uint8_t *value = NULL;

	memcpy(bytes->keys[bytes->epochs], version->wrapped_key, ENTRY_KEY_SIZE);
	assert_int_equal(
		store_value(fixture->store, &place, &value, &bytes->value_size), MORTISE_OK);
	assert_true(bytes->value_size <= sizeof bytes->values[0]);
	memcpy(bytes->values[bytes->epochs++], value, bytes->value_size);
	free(value);
}

/* Of this epoch's rows and of those that a rekey has made beside them. */
static struct bytes_on_disk find_bytes(struct fixture *fixture, const char *path, uint64_t version)
{
	const uint64_t number = number_of(fixture, path), epoch = vault_epoch(fixture->vault);
	struct bytes_on_disk bytes = {.epochs = 0};

	for (uint64_t i = 0; i < 2; i++) {
		CLEANUP(entry_drop) struct entry *entry = entry_in(fixture, epoch + i, number);
		const struct entry_version *found = entry ? entry_version(entry, version) : NULL;
		if (found)
			take_bytes(fixture, entry, found, &bytes);
	}
	assert_true(bytes.epochs >= 1);
	return bytes;
}

static bool disk_has(const struct fixture *fixture, const void *bytes, size_t size)
{
	return file_has(fixture, "", bytes, size) || file_has(fixture, "-wal", bytes, size);
}

static void assert_on_disk(
	const struct fixture *fixture, const struct bytes_on_disk *bytes, bool expected)
{
	for (size_t i = 0; i < bytes->epochs; i++) {
		assert_int_equal(disk_has(fixture, bytes->keys[i], ENTRY_KEY_SIZE), expected);
		assert_int_equal(disk_has(fixture, bytes->values[i], bytes->value_size), expected);
	}
}

static void a_destroyed_version_is_in_no_file(void **state)
{
	struct fixture *fixture = *state;
	const struct bytes_on_disk bytes = find_bytes(fixture, "prod/a", 1);

	assert_on_disk(fixture, &bytes, true);
	assert_int_equal(destroy(fixture, "prod/a", 1), MORTISE_OK);
	assert_on_disk(fixture, &bytes, false);
}

static void a_destroyed_secret_is_in_no_file(void **state)
{
	struct fixture *fixture = *state;
	const struct bytes_on_disk one = find_bytes(fixture, "prod/a", 1);
	const struct bytes_on_disk two = find_bytes(fixture, "prod/a", 2);

	assert_int_equal(delete_secret(fixture, "prod/a"), MORTISE_OK);
	assert_on_disk(fixture, &two, true);
	assert_int_equal(destroy_all(fixture, "prod/a"), MORTISE_OK);
	assert_on_disk(fixture, &one, false);
	assert_on_disk(fixture, &two, false);
}

/* The pages of a table are split and filled anew: no copy of a row may be left behind. */
static void of_many_destroyed_versions_none_is_in_a_file(void **state)
{
	enum { MANY = 150 };
	static struct bytes_on_disk bytes[MANY];
	struct fixture *fixture = *state;
	char path[32];

	for (unsigned i = 0; i < MANY * 2; i++) {
		snprintf(path, sizeof path, "many/%u", i / 2);
		assert_int_equal(set(fixture, path, path), MORTISE_OK);
	}
	for (unsigned i = 0; i < MANY; i++) {
		snprintf(path, sizeof path, "many/%u", i);
		bytes[i] = find_bytes(fixture, path, 1);
	}
	for (unsigned i = 0; i < MANY; i++) {
		snprintf(path, sizeof path, "many/%u", i);
		assert_int_equal(destroy(fixture, path, 1), MORTISE_OK);
		assert_on_disk(fixture, &bytes[i], false);
	}
	assert_opens(fixture);
}

/* A row that is larger than a page goes on in others, which are filled anew with each change. */
static void of_a_row_of_many_pages_a_destroyed_version_is_in_no_file(void **state)
{
	struct fixture *fixture = *state;
	struct vault_metadata metadata = {.keep = VAULT_KEEP_MAX};
	struct vault_outcome outcome;
	unsigned found = 0;

	assert_int_equal(
		vault_set_metadata(fixture->vault, "prod/a", &metadata, &outcome), MORTISE_OK);
	write_versions(fixture, "prod/a");
	for (uint64_t version = 40; version < 60; version++) {
		const struct bytes_on_disk bytes = find_bytes(fixture, "prod/a", version);
		/* It need not stand in one piece. */
		found += disk_has(fixture, bytes.keys[0], ENTRY_KEY_SIZE);
		assert_true(disk_has(fixture, bytes.values[0], bytes.value_size));
		assert_int_equal(destroy(fixture, "prod/a", version), MORTISE_OK);
		assert_on_disk(fixture, &bytes, false);
	}
	assert_true(found > 10);
	assert_opens(fixture);
	assert_int_equal(count_versions(fixture, "prod/a"), VAULT_KEEP_MAX - 20);
}

/* Values that are on the disk, of whichever epoch. */
static unsigned count_values(struct fixture *fixture, uint64_t number)
{
	struct store_place places[64];
	unsigned count = 0, found = 0;

	assert_int_equal(store_next_values(fixture->store, 0, 64, places, &count), MORTISE_OK);
	assert_true(count < 64);
	for (unsigned i = 0; i < count; i++)
		found += places[i].secret == number;
	return found;
}

static void assert_no_row_beside(struct fixture *fixture, uint64_t number)
{
	const uint64_t epoch = vault_epoch(fixture->vault) + 1;
	CLEANUP(entry_drop) struct entry *entry = entry_in(fixture, epoch, number);

	assert_null(entry);
}

/* Rows of the next epoch have the same data key, wrapped anew, or another for the same value. */
static void destroy_in_a_rekey(struct fixture *fixture, bool reencrypt, size_t done)
{
	char value[32];

	begin(fixture, reencrypt, done);
	for (size_t i = 0; i < FIXTURE_PATHS; i++) {
		const uint64_t number = number_of(fixture, fixture_paths[i]);
		const struct bytes_on_disk bytes = find_bytes(fixture, fixture_paths[i], 1);
		assert_int_equal(bytes.epochs, i < done ? 2 : 1);
		assert_int_equal(count_values(fixture, number), i < done && reencrypt ? 4 : 2);
		assert_on_disk(fixture, &bytes, true);
		assert_int_equal(destroy(fixture, fixture_paths[i], 1), MORTISE_OK);
		assert_on_disk(fixture, &bytes, false);
		assert_no_row_beside(fixture, number);
		assert_int_equal(count_values(fixture, number), 1);
		snprintf(value, sizeof value, "%s 2", fixture_paths[i]);
		assert_value(fixture, fixture_paths[i], 2, value);
	}
	work(fixture);
	assert_int_equal(vault_epoch(fixture->vault), 2);
	assert_opens(fixture);
	for (size_t i = 0; i < FIXTURE_PATHS; i++)
		assert_unreadable(fixture, fixture_paths[i], 1, MORTISE_NOT_FOUND);
	assert_value(fixture, "prod/a", 2, "prod/a 2");
}

static void a_version_destroyed_during_a_rekey_is_in_no_file(void **state)
{
	destroy_in_a_rekey(*state, false, 2);
}

static void a_version_destroyed_during_a_reencryption_is_in_no_file(void **state)
{
	destroy_in_a_rekey(*state, true, 2);
}

static void destroy_all_in_a_rekey(struct fixture *fixture, bool reencrypt)
{
	begin(fixture, reencrypt, 2);
	for (size_t i = 0; i < FIXTURE_PATHS; i++) {
		const uint64_t number = number_of(fixture, fixture_paths[i]);
		const struct bytes_on_disk one = find_bytes(fixture, fixture_paths[i], 1);
		const struct bytes_on_disk two = find_bytes(fixture, fixture_paths[i], 2);
		assert_int_equal(delete_secret(fixture, fixture_paths[i]), MORTISE_OK);
		assert_on_disk(fixture, &one, true);
		assert_int_equal(destroy_all(fixture, fixture_paths[i]), MORTISE_OK);
		assert_on_disk(fixture, &one, false);
		assert_on_disk(fixture, &two, false);
		assert_no_row_beside(fixture, number);
		assert_int_equal(count_values(fixture, number), 0);
	}
	assert_int_equal(set(fixture, "prod/a", "anew"), MORTISE_OK);
	work(fixture);
	assert_int_equal(vault_epoch(fixture->vault), 2);
	assert_opens(fixture);
	assert_int_equal(vault_count(fixture->vault), 1);
	assert_value(fixture, "prod/a", 1, "anew");
}

static void a_secret_destroyed_during_a_rekey_leaves_neither_row_nor_value(void **state)
{
	destroy_all_in_a_rekey(*state, false);
}

static void a_secret_destroyed_during_a_reencryption_leaves_neither_row_nor_value(void **state)
{
	destroy_all_in_a_rekey(*state, true);
}

/* The rows of the epoch before are still there then, until they are swept. */
static void a_version_destroyed_after_a_rekey_is_in_no_file(void **state)
{
	struct fixture *fixture = *state;
	const struct bytes_on_disk old = find_bytes(fixture, "prod/a", 1);

	assert_int_equal(vault_rekey(fixture->vault, true), MORTISE_OK);
	while (vault_epoch(fixture->vault) == 1)
		assert_int_equal(vault_work(fixture->vault, NO_TIME), MORTISE_OK);
	assert_true(vault_has_work(fixture->vault));
	assert_on_disk(fixture, &old, true);
	assert_int_equal(destroy(fixture, "prod/a", 1), MORTISE_OK);
	assert_on_disk(fixture, &old, false);
	assert_no_row_beside(fixture, number_of(fixture, "prod/a"));
	assert_int_equal(count_values(fixture, number_of(fixture, "prod/a")), 1);
	work(fixture);
	assert_opens(fixture);
}

/* What a rekey that came to nothing has made lies there until it is swept. */
static void a_version_destroyed_after_a_rekey_that_was_cut_off_is_in_no_file(void **state)
{
	struct fixture *fixture = *state;

	begin(fixture, true, 2);
	assert_int_equal(reopen(fixture), MORTISE_OK);
	assert_true(vault_has_work(fixture->vault));
	const struct bytes_on_disk bytes = find_bytes(fixture, "prod/a", 1);
	assert_int_equal(bytes.epochs, 2);
	assert_int_equal(destroy(fixture, "prod/a", 1), MORTISE_OK);
	assert_on_disk(fixture, &bytes, false);
	assert_no_row_beside(fixture, number_of(fixture, "prod/a"));
	assert_int_equal(count_values(fixture, number_of(fixture, "prod/a")), 1);
	work(fixture);
	assert_opens(fixture);
	assert_value(fixture, "prod/a", 0, "prod/a 2");
}

/* After each slice of a rekey secrets change places, go and come. */
static void live_through_a_rekey(struct fixture *fixture, bool reencrypt)
{
	char from[32], to[32], value[32];

	for (unsigned i = 0; i < 12; i++) {
		snprintf(from, sizeof from, "many/%u", i);
		assert_int_equal(set(fixture, from, from), MORTISE_OK);
	}
	assert_int_equal(vault_rekey(fixture->vault, reencrypt), MORTISE_OK);
	unsigned i = 0;
	for (; vault_has_work(fixture->vault); i++) {
		assert_true(i < EVER);
		assert_int_equal(vault_work(fixture->vault, NO_TIME), MORTISE_OK);
		/* Two change places. */
		snprintf(from, sizeof from, "many/%u", i % 12);
		snprintf(to, sizeof to, "many/%u", (i * 7 + 1) % 12);
		if (strcmp(from, to) != 0) {
			assert_int_equal(move(fixture, from, "many/x"), MORTISE_OK);
			assert_int_equal(move(fixture, to, from), MORTISE_OK);
			assert_int_equal(move(fixture, "many/x", to), MORTISE_OK);
		}
		/* One goes, and another comes to its place. */
		assert_int_equal(delete_secret(fixture, "prod/b"), MORTISE_OK);
		assert_int_equal(destroy_all(fixture, "prod/b"), MORTISE_OK);
		snprintf(value, sizeof value, "b %u", i);
		assert_int_equal(set(fixture, "prod/b", value), MORTISE_OK);
		/* A number is given anew after its version was destroyed? It must not be. */
		(void)put_pending(fixture, "prod/c", value);
		const uint64_t pending = head_of(fixture, "prod/c").pending;
		assert_int_equal(pending, i + 3);
		assert_int_equal(destroy(fixture, "prod/c", pending), MORTISE_OK);
	}
	assert_int_equal(vault_epoch(fixture->vault), 2);
	verify(fixture);
	assert_opens(fixture);
	assert_int_equal(vault_count(fixture->vault), 12 + FIXTURE_PATHS);
	assert_value(fixture, "prod/b", 1, value);
	assert_value(fixture, "prod/c", 2, "prod/c 2");
	for (unsigned j = 0; j < 12; j++) {
		CLEANUP(secret_drop) struct secret *found = NULL;
		snprintf(from, sizeof from, "many/%u", j);
		assert_int_equal(get_version(fixture, from, 0, &found), MORTISE_OK);
	}
}

static void what_moves_goes_and_comes_meanwhile_survives_a_rekey(void **state)
{
	live_through_a_rekey(*state, false);
}

static void what_moves_goes_and_comes_meanwhile_survives_a_reencryption(void **state)
{
	live_through_a_rekey(*state, true);
}

/* One of each; those that fail may be done again. */
static enum mortise_status live_once(struct fixture *fixture)
{
	const uint8_t token[WIRE_TOKEN_SIZE] = {42};
	struct vault_metadata metadata = {.note = "said"};
	struct vault_write writes[2] = {
		text_write(fixture, "prod/a", "new"), text_write(fixture, "prod/n", "new")};
	struct vault_outcome outcomes[2];

	TRY(vault_write_all(fixture->vault, writes, 2, outcomes));
	TRY(vault_set_metadata(fixture->vault, "prod/a", &metadata, outcomes));
	TRY(rollback(fixture, "prod/a", 1, outcomes));
	TRY(vault_move(fixture->vault, "prod/b", "prod/m", token, outcomes));
	TRY(destroy(fixture, "prod/m", 1));
	TRY(delete_secret(fixture, "prod/c"));
	return destroy_all(fixture, "prod/c");
}

static void a_call_of_the_store_that_fails_leaves_what_was_or_what_is_to_be(void **state)
{
	unsigned failed = 0, passed = 0;

	/* With new data keys and without, and with no row done by then, one, or two. */
	for (unsigned n = 1; passed < 6; n++) {
		assert_int_equal(tear_down(state), 0);
		assert_int_equal(set_up_secrets(state), 0);
		struct fixture *fixture = *state;
		begin(fixture, n % 2, n % 3);
		calls = 0;
		fail_at = n;
		enum mortise_status status = live_once(fixture);
		fail_at = 0;
		passed = status == MORTISE_OK ? passed + 1 : 0;
		if (status == MORTISE_OK) {
			assert_true(calls < n);
			continue;
		}
		failed++;
		assert_int_equal(status, MORTISE_IO);
		assert_false(vault_is_stale(fixture->vault));
		verify(fixture);
		assert_int_equal(set(fixture, "prod/z", "it goes on"), MORTISE_OK);
		work(fixture);
		assert_opens(fixture);
		assert_value(fixture, "prod/z", 0, "it goes on");
	}
	assert_true(failed > 30);
}

static void what_a_failing_disk_left_in_the_log_goes_when_it_can(void **state)
{
	struct fixture *fixture = *state;
	const struct bytes_on_disk bytes = find_bytes(fixture, "prod/a", 1);

	calls = 0;
	fail_at = 5; /* begin, secret, value, meta, truncate */
	assert_int_equal(destroy(fixture, "prod/a", 1), MORTISE_IO);
	fail_at = 0;
	assert_unreadable(fixture, "prod/a", 1, MORTISE_NOT_FOUND);
	assert_on_disk(fixture, &bytes, true);
	assert_int_equal(destroy(fixture, "prod/a", 1), MORTISE_OK);
	assert_on_disk(fixture, &bytes, false);
}

#define IN_VAULT(test) cmocka_unit_test_setup_teardown(test, set_up_secrets, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_VAULT(a_pending_version_is_stored_and_the_current_one_stays),
		IN_VAULT(a_promoted_version_is_current_and_the_one_before_previous),
		IN_VAULT(only_what_is_pending_is_promoted),
		IN_VAULT(there_is_one_pending_version_of_a_secret_that_is_there),
		IN_VAULT(a_version_that_was_promoted_or_never_given_cannot_be_dropped),
		IN_VAULT(a_dropped_version_is_gone_and_its_number_is_not_given_again),
		IN_VAULT(what_is_labelled_is_never_pruned),
		IN_VAULT(a_secret_keeps_as_many_versions_as_is_said_of_it),
		IN_VAULT(a_rollback_is_a_new_version_with_the_old_value),
		IN_VAULT(a_rollback_that_is_repeated_is_done_once),
		IN_VAULT(a_moved_secret_is_there_with_all_its_versions_and_not_here),
		IN_VAULT(nothing_is_moved_onto_what_is_there_though_deleted),
		IN_VAULT(a_move_that_is_repeated_is_done_once),
		IN_VAULT(what_is_said_of_a_secret_is_kept_and_no_version_made),
		IN_VAULT(all_that_can_be_said_fits),
		IN_VAULT(what_is_out_of_bounds_is_not_said),
		IN_VAULT(many_values_are_set_at_once_or_none),
		IN_VAULT(as_many_as_a_frame_may_have_are_set_at_once),
		IN_VAULT(the_current_version_is_destroyed_only_of_a_deleted_secret),
		IN_VAULT(a_destroyed_version_is_gone_and_the_others_are_there),
		IN_VAULT(a_deleted_secret_is_destroyed_whole),
		IN_VAULT(what_was_deleted_before_a_time_is_purged_and_nothing_else),
		IN_VAULT(a_look_at_many_secrets_goes_on_where_it_stopped_and_comes_to_the_end),
		IN_VAULT(what_was_deleted_at_an_unknown_time_counts_from_the_next_look),
		IN_VAULT(a_secret_made_after_others_has_a_higher_number_and_keeps_it),
		IN_VAULT(the_number_of_a_destroyed_secret_is_never_given_again),
		IN_VAULT(a_row_that_is_in_memory_no_more_is_checked_when_it_is_read_again),
		IN_VAULT(a_destroyed_version_is_in_no_file),
		IN_VAULT(a_destroyed_secret_is_in_no_file),
		IN_VAULT(of_many_destroyed_versions_none_is_in_a_file),
		IN_VAULT(of_a_row_of_many_pages_a_destroyed_version_is_in_no_file),
		IN_VAULT(a_version_destroyed_during_a_rekey_is_in_no_file),
		IN_VAULT(a_version_destroyed_during_a_reencryption_is_in_no_file),
		IN_VAULT(a_secret_destroyed_during_a_rekey_leaves_neither_row_nor_value),
		IN_VAULT(a_secret_destroyed_during_a_reencryption_leaves_neither_row_nor_value),
		IN_VAULT(a_version_destroyed_after_a_rekey_is_in_no_file),
		IN_VAULT(a_version_destroyed_after_a_rekey_that_was_cut_off_is_in_no_file),
		IN_VAULT(what_moves_goes_and_comes_meanwhile_survives_a_rekey),
		IN_VAULT(what_moves_goes_and_comes_meanwhile_survives_a_reencryption),
		IN_VAULT(a_call_of_the_store_that_fails_leaves_what_was_or_what_is_to_be),
		IN_VAULT(what_a_failing_disk_left_in_the_log_goes_when_it_can),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
