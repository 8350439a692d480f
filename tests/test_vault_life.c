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
	(struct store * store, const uint8_t *id, const uint8_t *hash, struct store_bytes head),
	(store, id, hash, head))
FAILING(store_put_version,
	(struct store * store, const uint8_t *id, const struct store_version *version),
	(store, id, version))
FAILING(store_put_value,
	(struct store * store, const uint8_t *id, const struct store_version *version,
		struct store_bytes value),
	(store, id, version, value))
FAILING(store_wipe_version, (struct store * store, const uint8_t *id, uint64_t number),
	(store, id, number))
FAILING(store_wipe_secret, (struct store * store, const uint8_t *id), (store, id))

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
	char complaint[320];
	size_t values;

	for (unsigned bucket = 0; bucket < 256; bucket++)
		if (vault_verify(fixture->vault, bucket, &values, complaint, sizeof complaint) !=
			MORTISE_OK)
			fail_msg("bucket %u: %s", bucket, complaint);
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

/* As large as all of it may be: it fits the head, and a rekey takes it along. */
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
	assert_int_equal(delete_secret(fixture, path), MORTISE_OK);
	assert_int_equal(vault_rekey(fixture->vault, false), MORTISE_OK);
	work(fixture);
	assert_opens(fixture);
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

/* They all may fall into one bucket of the index. */
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
	uint8_t cursor[ID_SIZE] = {0};
	char path[VAULT_PATH_SIZE];
	struct vault_outcome outcome;
	uint64_t version;

	assert_int_equal(
		vault_set_deleted(fixture->vault, "prod/a", true, 100, &outcome), MORTISE_OK);
	assert_int_equal(
		vault_set_deleted(fixture->vault, "prod/b", true, 200, &outcome), MORTISE_OK);
	assert_int_equal(
		vault_purge(fixture->vault, 1100, 1000, cursor, path, &version), MORTISE_NOT_FOUND);
	assert_int_equal(
		vault_purge(fixture->vault, 1200, 1000, cursor, path, &version), MORTISE_OK);
	assert_string_equal(path, "prod/a");
	assert_int_equal(version, 2);
	assert_int_equal(
		vault_purge(fixture->vault, 1200, 1000, cursor, path, &version), MORTISE_NOT_FOUND);
	assert_int_equal(vault_count(fixture->vault), 2);
	assert_int_equal(
		vault_set_deleted(fixture->vault, "prod/b", false, 0, &outcome), MORTISE_OK);
	assert_opens(fixture);
}

static void what_was_deleted_at_an_unknown_time_counts_from_the_next_look(void **state)
{
	struct fixture *fixture = *state;
	static const uint8_t start[ID_SIZE];
	uint8_t cursor[ID_SIZE] = {0};
	char path[VAULT_PATH_SIZE];
	struct vault_outcome outcome;
	uint64_t version;

	assert_int_equal(
		vault_set_deleted(fixture->vault, "prod/a", true, VAULT_TIME_UNKNOWN, &outcome),
		MORTISE_OK);
	for (int i = 0; i < 3; i++) {
		do
			assert_int_equal(
				vault_purge(fixture->vault, 5000, 1000, cursor, path, &version),
				MORTISE_NOT_FOUND);
		while (memcmp(cursor, start, sizeof cursor) != 0);
	}
	assert_opens(fixture);
	assert_int_equal(
		vault_purge(fixture->vault, 6000, 1000, cursor, path, &version), MORTISE_NOT_FOUND);
	assert_int_equal(
		vault_purge(fixture->vault, 6001, 1000, cursor, path, &version), MORTISE_OK);
	assert_string_equal(path, "prod/a");
}

/* Ciphertext and wrapped key of a version, as they lie on the disk. */
struct bytes_on_disk {
	uint8_t id[ID_SIZE], keys[2][STORE_KEY_SIZE], values[2][64];
	uint64_t number;
	size_t epochs, value_size;
	struct store *store;
};

static enum mortise_status take_version(
	void *context, const uint8_t id[ID_SIZE], const struct store_version *version)
{
	struct bytes_on_disk *bytes = context;
	uint8_t *value = NULL;
	size_t size = 0;

	if (memcmp(id, bytes->id, ID_SIZE) != 0 || version->number != bytes->number)
		return MORTISE_OK;
	memcpy(bytes->keys[bytes->epochs], version->wrapped_key, STORE_KEY_SIZE);
	TRY(store_value(bytes->store, id, version->number, version->value_epoch, &value, &size));
	assert_true(size <= sizeof bytes->values[0]);
	memcpy(bytes->values[bytes->epochs++], value, size);
	bytes->value_size = size;
	free(value);
	return MORTISE_OK;
}

/* Of this epoch's rows and of those that a rekey has made beside them. */
static struct bytes_on_disk find_bytes(struct fixture *fixture, const char *path, uint64_t number)
{
	struct bytes_on_disk bytes = {.number = number, .store = fixture->store};
	const uint8_t *after = NULL;
	struct vault_head head;

	do
		assert_int_equal(vault_next(fixture->vault, after, bytes.id, &head), MORTISE_OK);
	while ((after = bytes.id) && strcmp(head.path, path) != 0);
	for (uint64_t i = 0; i < 2; i++) {
		store_use_epoch(fixture->store, vault_epoch(fixture->vault) + i);
		assert_int_equal(store_each_version(fixture->store, 0, 255, take_version, &bytes),
			MORTISE_OK);
	}
	store_use_epoch(fixture->store, vault_epoch(fixture->vault));
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
		assert_int_equal(disk_has(fixture, bytes->keys[i], STORE_KEY_SIZE), expected);
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

/* Rows of the next epoch have the same data key, wrapped anew, or another for the same value. */
static void destroy_in_a_rekey(struct fixture *fixture, bool reencrypt, uint64_t count)
{
	begin(fixture, reencrypt, count);
	for (size_t i = 0; i < FIXTURE_PATHS; i++) {
		const struct bytes_on_disk bytes = find_bytes(fixture, fixture_paths[i], 1);
		assert_on_disk(fixture, &bytes, true);
		assert_int_equal(destroy(fixture, fixture_paths[i], 1), MORTISE_OK);
		assert_on_disk(fixture, &bytes, false);
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
	work(fixture);
	assert_opens(fixture);
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
	unsigned failed = 0;

	for (unsigned n = 1;; n++) {
		assert_int_equal(tear_down(state), 0);
		assert_int_equal(set_up_secrets(state), 0);
		struct fixture *fixture = *state;
		begin(fixture, n % 2, n % 3);
		calls = 0;
		fail_at = n;
		enum mortise_status status = live_once(fixture);
		fail_at = 0;
		if (status == MORTISE_OK) {
			assert_true(calls < n);
			break;
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
	assert_true(failed > 25);
}

static void what_a_failing_disk_left_in_the_log_goes_when_it_can(void **state)
{
	struct fixture *fixture = *state;
	const struct bytes_on_disk bytes = find_bytes(fixture, "prod/a", 1);

	calls = 0;
	fail_at = 5; /* begin, secret, wipe, meta, truncate */
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
		IN_VAULT(what_was_deleted_at_an_unknown_time_counts_from_the_next_look),
		IN_VAULT(a_destroyed_version_is_in_no_file),
		IN_VAULT(a_destroyed_secret_is_in_no_file),
		IN_VAULT(of_many_destroyed_versions_none_is_in_a_file),
		IN_VAULT(a_version_destroyed_during_a_rekey_is_in_no_file),
		IN_VAULT(a_version_destroyed_during_a_reencryption_is_in_no_file),
		IN_VAULT(a_version_destroyed_after_a_rekey_is_in_no_file),
		IN_VAULT(what_moves_goes_and_comes_meanwhile_survives_a_rekey),
		IN_VAULT(what_moves_goes_and_comes_meanwhile_survives_a_reencryption),
		IN_VAULT(a_call_of_the_store_that_fails_leaves_what_was_or_what_is_to_be),
		IN_VAULT(what_a_failing_disk_left_in_the_log_goes_when_it_can),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
