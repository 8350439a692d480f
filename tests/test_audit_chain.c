/* SPDX-License-Identifier: ISC */
/* Checkpoints, their keys, and crashes between any two steps of them. */
#include <sodium.h>

#include "audit_line.h"
#include "audit_fixture.h"

static void start_chain(struct fixture *fixture)
{
	open_log(fixture);
	begin_chain(fixture);
	put(fixture, 3);
}

/* As after a crash: what is in the file and what was stored, nothing else. */
static void restart(struct fixture *fixture)
{
	close_log(fixture);
	open_log(fixture);
	assert_int_equal(audit_attach(fixture->audit, uuid, fixture->state), MORTISE_OK);
	assert_int_equal(audit_flush(fixture->audit), MORTISE_OK);
}

static void a_chain_of_checkpoints_verifies(void **state)
{
	struct fixture *fixture = *state;

	start_chain(fixture);
	for (unsigned i = 0; i < 5; i++) {
		put(fixture, 4);
		make_checkpoint(fixture);
		assert_int_equal(audit_report(fixture->audit).lines_unsigned, 0);
	}
	put(fixture, 2);
	assert_int_equal(audit_report(fixture->audit).lines_unsigned, 2);
	assert_sound(fixture);
}

static void lines_before_the_genesis_belong_to_the_chain(void **state)
{
	struct fixture *fixture = *state;

	open_log(fixture);
	put(fixture, 3);
	begin_chain(fixture);
	put(fixture, 1);
	make_checkpoint(fixture);
	assert_sound(fixture);
}

static void a_second_store_may_begin_in_an_old_log(void **state)
{
	struct fixture *fixture = *state;

	start_chain(fixture);
	make_checkpoint(fixture);
	close_log(fixture);
	secret_drop(&fixture->state);
	start_chain(fixture);
	make_checkpoint(fixture);
	assert_sound(fixture);
}

static void without_keys_there_is_no_checkpoint(void **state)
{
	struct fixture *fixture = *state;
	struct secret *given = NULL;
	uint8_t key[32];

	open_log(fixture);
	put(fixture, 2000);
	audit_request_checkpoint(fixture->audit);
	assert_false(audit_checkpoint_is_due(fixture->audit, NOON_US));
	assert_int_equal(audit_checkpoint_begin(fixture->audit, NOON_US), MORTISE_OK);
	assert_int_equal(audit_checkpoint_end(fixture->audit, &given), MORTISE_BUSY);
	assert_false(audit_public_key(fixture->audit, key));
	assert_int_equal(count_lines(fixture), 2000);
}

static void a_checkpoint_is_due_after_a_minute_1000_lines_or_a_request(void **state)
{
	struct fixture *fixture = *state;

	start_chain(fixture);
	make_checkpoint(fixture);
	assert_false(audit_checkpoint_is_due(fixture->audit, NOON_US + 10 * MINUTE_US));
	put(fixture, 999);
	assert_false(audit_checkpoint_is_due(fixture->audit, NOON_US + 59 * SECOND_US));
	assert_true(audit_checkpoint_is_due(fixture->audit, NOON_US + MINUTE_US));
	put(fixture, 1);
	assert_true(audit_checkpoint_is_due(fixture->audit, NOON_US));
	make_checkpoint(fixture);
	put(fixture, 1);
	assert_false(audit_checkpoint_is_due(fixture->audit, NOON_US));
	audit_request_checkpoint(fixture->audit);
	assert_true(audit_checkpoint_is_due(fixture->audit, NOON_US));
}

static void no_checkpoint_is_made_before_the_last_ones_state_is_stored(void **state)
{
	struct fixture *fixture = *state;

	start_chain(fixture);
	assert_int_equal(audit_checkpoint_begin(fixture->audit, NOON_US), MORTISE_OK);
	put(fixture, 1);
	assert_int_equal(audit_checkpoint_begin(fixture->audit, NOON_US), MORTISE_OK);
	secret_drop(&fixture->state);
	assert_int_equal(end_checkpoint(fixture, &fixture->state), MORTISE_OK);
	assert_false(audit_checkpoint_is_due(fixture->audit, NOON_US + MINUTE_US));
	assert_int_equal(audit_checkpoint_begin(fixture->audit, NOON_US), MORTISE_OK);
	assert_int_equal(audit_report(fixture->audit).lines, 6);
	audit_checkpoint_stored(fixture->audit);
	make_checkpoint(fixture);
	assert_sound(fixture);
}

static void after_a_clean_end_there_is_no_joint(void **state)
{
	struct fixture *fixture = *state;

	start_chain(fixture);
	make_checkpoint(fixture);
	restart(fixture);
	assert_false(log_contains(fixture, "\"op\":\"joint\""));
	put(fixture, 1);
	make_checkpoint(fixture);
	assert_sound(fixture);
}

static void lines_behind_the_last_checkpoint_are_joined(void **state)
{
	struct fixture *fixture = *state;

	start_chain(fixture);
	make_checkpoint(fixture);
	put(fixture, 2);
	restart(fixture);
	assert_true(log_contains(fixture, "\"op\":\"joint\",\"result\":\"ok\",\"note\":\"2 lines "
					  "behind the last checkpoint\""));
	audit_detach(fixture->audit);
	assert_int_equal(audit_attach(fixture->audit, uuid, fixture->state), MORTISE_OK);
	assert_int_equal(count_lines(fixture), 8);
	make_checkpoint(fixture);
	assert_sound(fixture);
}

static void a_torn_line_is_joined(void **state)
{
	struct fixture *fixture = *state;

	start_chain(fixture);
	make_checkpoint(fixture);
	put(fixture, 1);
	close_log(fixture);
	{
		struct stat status;

		assert_int_equal(stat(fixture->path, &status), 0);
		assert_int_equal(truncate(fixture->path, status.st_size - 5), 0);
	}
	restart(fixture);
	assert_true(log_contains(fixture, "\"note\":\"a torn line of "));
	make_checkpoint(fixture);
	assert_sound(fixture);
}

static void a_seal_and_unseal_in_one_life_need_no_joint(void **state)
{
	struct fixture *fixture = *state;

	start_chain(fixture);
	make_checkpoint(fixture);
	audit_detach(fixture->audit);
	put(fixture, 5);
	assert_int_equal(audit_attach(fixture->audit, uuid, fixture->state), MORTISE_OK);
	assert_int_equal(audit_flush(fixture->audit), MORTISE_OK);
	assert_false(log_contains(fixture, "joint"));
	make_checkpoint(fixture);
	assert_sound(fixture);
}

/* The line is written, the state is not stored: at whatever point the agent died. */
static void a_crash_within_a_checkpoint_is_survived(void **state)
{
	struct fixture *fixture = *state;

	start_chain(fixture);
	make_checkpoint(fixture);
	for (unsigned i = 0; i < 3; i++) {
		struct secret *lost = NULL;

		put(fixture, 2);
		assert_int_equal(audit_checkpoint_begin(fixture->audit, NOON_US), MORTISE_OK);
		if (i > 0) {
			assert_int_equal(end_checkpoint(fixture, &lost), MORTISE_OK);
			secret_free(lost);
		}
		put(fixture, i);
		restart(fixture);
		assert_false(audit_checkpoint_is_due(fixture->audit, UINT64_MAX));
		store_checkpoint(fixture);
		put(fixture, 1);
		make_checkpoint(fixture);
	}
	assert_sound(fixture);
}

static void crashes_in_a_row_are_survived(void **state)
{
	struct fixture *fixture = *state;

	start_chain(fixture);
	assert_int_equal(audit_checkpoint_begin(fixture->audit, NOON_US), MORTISE_OK);
	for (unsigned i = 0; i < 4; i++)
		restart(fixture);
	store_checkpoint(fixture);
	put(fixture, 1);
	make_checkpoint(fixture);
	assert_sound(fixture);
}

static void keys_detached_during_a_checkpoint_are_found_again(void **state)
{
	struct fixture *fixture = *state;
	struct secret *none = NULL;

	start_chain(fixture);
	assert_int_equal(audit_checkpoint_begin(fixture->audit, NOON_US), MORTISE_OK);
	audit_detach(fixture->audit);
	assert_int_equal(end_checkpoint(fixture, &none), MORTISE_BUSY);
	assert_int_equal(audit_attach(fixture->audit, uuid, fixture->state), MORTISE_OK);
	assert_int_equal(audit_flush(fixture->audit), MORTISE_OK);
	store_checkpoint(fixture);
	put(fixture, 1);
	make_checkpoint(fixture);
	assert_sound(fixture);
}

static void a_failed_fdatasync_gives_no_state_and_is_made_good(void **state)
{
	struct fixture *fixture = *state;
	struct secret *none = NULL;
	uint64_t lines;

	start_chain(fixture);
	make_checkpoint(fixture);
	put(fixture, 300);
	syncs_to_fail = 1;
	assert_int_equal(audit_checkpoint_begin(fixture->audit, NOON_US), MORTISE_OK);
	assert_int_equal(end_checkpoint(fixture, &none), MORTISE_IO);
	assert_null(none);
	put(fixture, 300);
	lines = audit_report(fixture->audit).lines;
	assert_false(audit_checkpoint_is_due(fixture->audit, NOON_US));
	assert_true(audit_checkpoint_is_due(fixture->audit, NOON_US + MINUTE_US));
	make_checkpoint(fixture);
	assert_int_equal(audit_report(fixture->audit).lines, lines);
	make_checkpoint(fixture);
	assert_int_equal(audit_report(fixture->audit).lines, lines + 1);
	assert_sound(fixture);
}

static void what_a_failed_fdatasync_lost_is_noticed(void **state)
{
	struct fixture *fixture = *state;
	struct secret *none = NULL;
	size_t size;
	char *text;

	start_chain(fixture);
	make_checkpoint(fixture);
	put(fixture, 30);
	syncs_to_fail = 1;
	assert_int_equal(audit_checkpoint_begin(fixture->audit, NOON_US), MORTISE_OK);
	assert_int_equal(end_checkpoint(fixture, &none), MORTISE_IO);
	text = read_log(fixture, &size);
	memset(text + size - 1000, 0, 500);
	write_log(fixture, text, size);
	free(text);
	assert_int_equal(audit_checkpoint_begin(fixture->audit, NOON_US), MORTISE_INTEGRITY);
	assert_int_equal(audit_checkpoint_end(fixture->audit, &none), MORTISE_BUSY);
}

static void with_sync_always_a_failed_checkpoint_leaves_no_trace(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(audit_open(fixture->path, true, &fixture->audit), MORTISE_OK);
	begin_chain(fixture);
	put(fixture, 2);
	make_checkpoint(fixture);
	put(fixture, 2);
	syncs_to_fail = 1;
	assert_int_equal(audit_checkpoint_begin(fixture->audit, NOON_US), MORTISE_BUSY);
	assert_int_equal(count_lines(fixture), 6);
	make_checkpoint(fixture);
	assert_sound(fixture);
}

static void a_genesis_that_is_not_on_disk_begins_nothing(void **state)
{
	struct fixture *fixture = *state;
	uint8_t key[32];

	open_log(fixture);
	syncs_to_fail = 1;
	assert_int_equal(audit_begin_chain(fixture->audit, uuid, &fixture->state), MORTISE_BUSY);
	assert_null(fixture->state);
	assert_false(audit_public_key(fixture->audit, key));
	assert_int_equal(count_lines(fixture), 0);
	begin_chain(fixture);
	assert_sound(fixture);
}

/* With a gap that somebody has acknowledged. */
static enum mortise_status verify_past(
	const struct fixture *fixture, const struct audit_gap *gap, size_t *out_gaps)
{
	struct audit_check *check = NULL;
	uint8_t key[32];
	size_t size;
	char *text = read_log(fixture, &size);

	assert_true(audit_public_key(fixture->audit, key));
	assert_int_equal(audit_check_new(key, &check), MORTISE_OK);
	audit_check_allow(check, uuid, gap, 1);
	enum mortise_status status = audit_check_feed(check, (const uint8_t *)text, size);
	if (status == MORTISE_OK)
		status = audit_check_end(check, fixture->audit);
	*out_gaps = audit_check_gaps(check);
	audit_check_free(check);
	free(text);
	return status;
}

/* Nobody is let past by another joint's gap, or by a key that somebody likes. */
static void assert_gap_is_that_one(const struct fixture *fixture, const struct audit_gap *gap)
{
	struct audit_gap other = *gap;
	size_t gaps;

	other.sequence++;
	assert_int_equal(verify_past(fixture, &other, &gaps), MORTISE_INTEGRITY);
	other = *gap;
	other.head[31] ^= 1;
	assert_int_equal(verify_past(fixture, &other, &gaps), MORTISE_INTEGRITY);
	other = *gap;
	other.key[0] ^= 1;
	assert_int_equal(verify_past(fixture, &other, &gaps), MORTISE_INTEGRITY);
}

/* passes: once it is acknowledged the chain verifies, for no line that is left was changed. */
static void assert_damage_is_told(
	struct fixture *fixture, const char *text, size_t size, bool passes)
{
	char complaint[256];
	size_t gaps = 0;

	close_log(fixture);
	write_log(fixture, text, size);
	restart(fixture);
	assert_true(
		log_contains(fixture, "\"op\":\"joint\",\"result\":\"ok\",\"note\":\"DAMAGED: "));
	struct audit_gap gap = *audit_gap(fixture->audit);
	assert_int_not_equal(gap.sequence, 0);
	assert_true(log_contains(fixture, gap.why));
	put(fixture, 1);
	make_checkpoint(fixture);
	assert_int_equal(verify_log(fixture, complaint), MORTISE_INTEGRITY);
	restart(fixture);
	assert_int_equal(audit_gap(fixture->audit)->sequence, 0);
	put(fixture, 1);
	make_checkpoint(fixture);
	assert_int_equal(
		verify_past(fixture, &gap, &gaps), passes ? MORTISE_OK : MORTISE_INTEGRITY);
	assert_int_equal(gaps, passes ? 1 : 0);
	assert_gap_is_that_one(fixture, &gap);
}

static void a_missing_log_is_damage(void **state)
{
	struct fixture *fixture = *state;

	start_chain(fixture);
	make_checkpoint(fixture);
	assert_damage_is_told(fixture, "", 0, true);
}

static void without_keys_a_log_that_no_key_vouched_for_is_told(void **state)
{
	struct fixture *fixture = *state;

	open_log(fixture);
	assert_int_equal(audit_find_vouched(fixture->audit), MORTISE_NOT_FOUND);
	put(fixture, 600); /* more than is read at once */
	assert_int_equal(audit_find_vouched(fixture->audit), MORTISE_NOT_FOUND);
	begin_chain(fixture);
	assert_int_equal(audit_find_vouched(fixture->audit), MORTISE_OK);
	put(fixture, 1);
	make_checkpoint(fixture);
	close_log(fixture);
	write_log(fixture, "", 0);
	restart(fixture); /* which writes a joint */
	assert_int_equal(audit_find_vouched(fixture->audit), MORTISE_OK);
}

/* Its mark cannot be written by those who write notes. */
static void no_note_looks_like_a_line_that_a_key_vouched_for(void **state)
{
	struct audit_event event = request_at(NOON_US);
	struct fixture *fixture = *state;

	open_log(fixture);
	event.note = event.path = "\"op\":\"joint\"";
	event.path_size = strlen(event.path);
	audit_append(fixture->audit, &event);
	assert_int_equal(audit_flush(fixture->audit), MORTISE_OK);
	assert_int_equal(audit_find_vouched(fixture->audit), MORTISE_NOT_FOUND);
}

static void a_log_cut_before_its_last_checkpoint_is_damage(void **state)
{
	struct fixture *fixture = *state;
	size_t size;
	char *text;

	start_chain(fixture);
	text = read_log(fixture, &size);
	put(fixture, 1);
	make_checkpoint(fixture);
	put(fixture, 2);
	assert_damage_is_told(fixture, text, size, true);
	free(text);
}

static void an_edit_behind_the_last_checkpoint_is_damage(void **state)
{
	struct fixture *fixture = *state;
	size_t size;
	char *text, *pid;

	start_chain(fixture);
	make_checkpoint(fixture);
	put(fixture, 2);
	text = read_log(fixture, &size);
	pid = strstr(strstr(text, "\"op\":\"checkpoint\""), "\"pid\":8");
	assert_non_null(pid);
	pid[6] = '9';
	assert_damage_is_told(fixture, text, size, false);
	free(text);
}

static void a_store_that_is_older_than_the_log_is_damage(void **state)
{
	struct fixture *fixture = *state;
	struct secret *old = NULL;
	size_t size;
	char *text;

	start_chain(fixture);
	assert_int_equal(
		secret_copy(fixture->state->bytes, fixture->state->size, &old), MORTISE_OK);
	make_checkpoint(fixture);
	put(fixture, 1);
	make_checkpoint(fixture);
	secret_free(fixture->state);
	fixture->state = old;
	text = read_log(fixture, &size);
	assert_damage_is_told(fixture, text, size, true);
	free(text);
}

/* By someone who stole the stored keys: signs with the right one, names one of his own. */
static void a_checkpoint_that_names_a_foreign_key_is_damage(void **state)
{
	struct fixture *fixture = *state;
	uint8_t key[32], next[32], secret_key[64], prev[32], signature[64];
	uint8_t bytes[AUDIT_STATEMENT_SIZE];
	struct audit_clock clock = {0};
	struct audit_event event = {.operation = "checkpoint"};
	struct audit_proof proof = {.key = key, .next = next, .signature = signature};
	struct audit_statement statement = {uuid, 5, prev, clock.text, next};
	char *text, *last;
	size_t size;

	start_chain(fixture);
	text = read_log(fixture, &size);
	last = strrchr(text, '{');
	audit_line_hash(last, strlen(last) - 1, prev);
	(void)crypto_sign_keypair(next, secret_key);
	(void)crypto_sign_seed_keypair(key, secret_key, fixture->state->bytes + 56);
	audit_clock_set(&clock, NOON_US);
	audit_statement_pack(&statement, bytes);
	(void)crypto_sign_detached(signature, NULL, bytes, sizeof bytes, secret_key);
	size += audit_line_format(text + size, &clock, 5, &event, &proof, prev);
	assert_damage_is_told(fixture, text, size, true);
	free(text);
}

static void a_malformed_state_is_refused_and_nothing_changes(void **state)
{
	static const size_t spoiled[] = {0, 7, 23};
	struct fixture *fixture = *state;
	struct secret *bad = NULL;

	start_chain(fixture);
	for (size_t i = 0; i < sizeof spoiled / sizeof *spoiled; i++) {
		assert_int_equal(
			secret_copy(fixture->state->bytes, AUDIT_STATE_SIZE, &bad), MORTISE_OK);
		bad->bytes[spoiled[i]] ^= 0xff;
		assert_int_equal(audit_attach(fixture->audit, uuid, bad), MORTISE_INTEGRITY);
		secret_drop(&bad);
	}
	assert_int_equal(
		secret_copy(fixture->state->bytes, AUDIT_STATE_SIZE - 1, &bad), MORTISE_OK);
	assert_int_equal(audit_attach(fixture->audit, uuid, bad), MORTISE_INTEGRITY);
	secret_drop(&bad);
	assert_int_equal(secret_copy(fixture->state->bytes, AUDIT_STATE_SIZE, &bad), MORTISE_OK);
	memcpy(bad->bytes + 88, bad->bytes + 56, 32);
	assert_int_equal(audit_attach(fixture->audit, uuid, bad), MORTISE_INTEGRITY);
	memcpy(bad->bytes + 88, fixture->state->bytes + 88, 32);
	memset(bad->bytes + 120, 0, 32);
	assert_int_equal(audit_attach(fixture->audit, uuid, bad), MORTISE_INTEGRITY);
	secret_drop(&bad);
	make_checkpoint(fixture);
	assert_sound(fixture);
}

static void a_state_holds_no_key_that_has_signed(void **state)
{
	struct fixture *fixture = *state;
	uint8_t used[32];

	start_chain(fixture);
	memcpy(used, fixture->state->bytes + 56, sizeof used);
	make_checkpoint(fixture);
	assert_int_equal(fixture->state->size, AUDIT_STATE_SIZE);
	assert_null(memmem(fixture->state->bytes, AUDIT_STATE_SIZE, used, sizeof used));
}

static void a_full_pool_costs_a_checkpoint_but_no_key(void **state)
{
	struct fixture *fixture = *state;
	struct secret *hogs[4096];
	size_t count = 0;

	start_chain(fixture);
	while (count < 4096 && secret_new(16, &hogs[count]) == MORTISE_OK)
		count++;
	assert_int_equal(audit_checkpoint_begin(fixture->audit, NOON_US), MORTISE_BUSY);
	assert_int_equal(audit_attach(fixture->audit, uuid, fixture->state), MORTISE_BUSY);
	while (count > 0)
		secret_free(hogs[--count]);
	make_checkpoint(fixture);
	assert_sound(fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_chain_of_checkpoints_verifies),
		TEST(lines_before_the_genesis_belong_to_the_chain),
		TEST(a_second_store_may_begin_in_an_old_log),
		TEST(without_keys_there_is_no_checkpoint),
		TEST(a_checkpoint_is_due_after_a_minute_1000_lines_or_a_request),
		TEST(no_checkpoint_is_made_before_the_last_ones_state_is_stored),
		TEST(after_a_clean_end_there_is_no_joint),
		TEST(lines_behind_the_last_checkpoint_are_joined),
		TEST(a_torn_line_is_joined),
		TEST(a_seal_and_unseal_in_one_life_need_no_joint),
		TEST(a_crash_within_a_checkpoint_is_survived),
		TEST(crashes_in_a_row_are_survived),
		TEST(keys_detached_during_a_checkpoint_are_found_again),
		TEST(a_failed_fdatasync_gives_no_state_and_is_made_good),
		TEST(what_a_failed_fdatasync_lost_is_noticed),
		TEST(with_sync_always_a_failed_checkpoint_leaves_no_trace),
		TEST(a_genesis_that_is_not_on_disk_begins_nothing),
		TEST(a_missing_log_is_damage),
		TEST(without_keys_a_log_that_no_key_vouched_for_is_told),
		TEST(no_note_looks_like_a_line_that_a_key_vouched_for),
		TEST(a_log_cut_before_its_last_checkpoint_is_damage),
		TEST(an_edit_behind_the_last_checkpoint_is_damage),
		TEST(a_store_that_is_older_than_the_log_is_damage),
		TEST(a_checkpoint_that_names_a_foreign_key_is_damage),
		TEST(a_malformed_state_is_refused_and_nothing_changes),
		TEST(a_state_holds_no_key_that_has_signed),
		TEST(a_full_pool_costs_a_checkpoint_but_no_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
