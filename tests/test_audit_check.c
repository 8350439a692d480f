/* SPDX-License-Identifier: ISC */
/* The reader's side: every kind of tampering with every record is named (FAULTS, row 22). */
#include <sodium.h>

#include "audit_line.h"
#include "audit_fixture.h"

#define LINES_MAX 64

struct log_text {
	char *text;
	size_t size;
	size_t count;
	char *line[LINES_MAX + 1]; /* [0] is line 1; the one after the last is the end */
	uint8_t key[32];
};

/* 50 lines: 2 before the genesis, checkpoints at 16, 31 and 47. */
static struct log_text make_log(struct fixture *fixture)
{
	struct log_text log = {0};

	open_log(fixture);
	put(fixture, 2);
	begin_chain(fixture);
	put(fixture, 12);
	make_checkpoint(fixture);
	put(fixture, 14);
	make_checkpoint(fixture);
	put(fixture, 15);
	make_checkpoint(fixture);
	put(fixture, 3);
	assert_true(audit_public_key(fixture->audit, log.key));
	log.text = read_log(fixture, &log.size);
	for (char *at = log.text; at < log.text + log.size; at = strchr(at, '\n') + 1)
		log.line[log.count++] = at;
	log.line[log.count] = log.text + log.size;
	assert_int_equal(log.count, 50);
	return log;
}

static size_t line_size(const struct log_text *log, size_t index)
{
	return (size_t)(log->line[index + 1] - log->line[index]);
}

/* The lines of log in the order of indices. */
static char *compose(const struct log_text *log, const size_t *indices, size_t count)
{
	char *text = calloc(1, log->size + 2 * AUDIT_LINE_MAX), *at = text;

	assert_non_null(text);
	for (size_t i = 0; i < count; i++)
		at = mempcpy(at, log->line[indices[i]], line_size(log, indices[i]));
	return text;
}

static void assert_named(const struct fixture *fixture, const struct log_text *log,
	const char *text, size_t size, size_t number)
{
	char complaint[256], expected[32];
	enum mortise_status status = verify_text(text, size, log->key, fixture->audit, complaint);

	(void)snprintf(expected, sizeof expected, "line %zu", number);
	if (status != MORTISE_INTEGRITY || strncmp(complaint, expected, strlen(expected)) != 0 ||
		(complaint[strlen(expected)] != ' ' && complaint[strlen(expected)] != ':')) {
		print_error("%s expected, not: %s\n", expected, complaint);
		fail();
	}
}

static void an_untouched_log_passes(void **state)
{
	struct fixture *fixture = *state;
	struct log_text log = make_log(fixture);

	assert_sound(fixture);
	free(log.text);
}

static void an_edited_byte_anywhere_is_named(void **state)
{
	struct fixture *fixture = *state;
	struct log_text log = make_log(fixture);

	for (size_t i = 0; i < log.count; i++) {
		for (char *at = log.line[i]; at < log.line[i + 1]; at++) {
			char before = *at;

			*at = before == '1' ? '2' : before == 'a' ? 'b' : (char)(before ^ 1);
			assert_named(fixture, &log, log.text, log.size, i + 1);
			*at = before;
		}
	}
	free(log.text);
}

static void a_deleted_line_is_named(void **state)
{
	struct fixture *fixture = *state;
	struct log_text log = make_log(fixture);

	for (size_t gone = 0; gone < log.count; gone++) {
		size_t order[LINES_MAX], count = 0;
		char *text;

		for (size_t i = 0; i < log.count; i++)
			if (i != gone)
				order[count++] = i;
		text = compose(&log, order, count);
		assert_named(fixture, &log, text, strlen(text), gone + 1);
		free(text);
	}
	free(log.text);
}

static void a_duplicated_line_is_named(void **state)
{
	struct fixture *fixture = *state;
	struct log_text log = make_log(fixture);

	for (size_t twice = 0; twice < log.count; twice++) {
		size_t order[LINES_MAX + 1], count = 0;
		char *text;

		for (size_t i = 0; i < log.count; i++) {
			order[count++] = i;
			if (i == twice)
				order[count++] = i;
		}
		text = compose(&log, order, count);
		assert_named(fixture, &log, text, strlen(text), twice + 2);
		free(text);
	}
	free(log.text);
}

static void swapped_lines_are_named(void **state)
{
	struct fixture *fixture = *state;
	struct log_text log = make_log(fixture);

	for (size_t first = 0; first + 1 < log.count; first++) {
		size_t order[LINES_MAX];
		char *text;

		for (size_t i = 0; i < log.count; i++)
			order[i] = i;
		order[first] = first + 1;
		order[first + 1] = first;
		text = compose(&log, order, log.count);
		assert_named(fixture, &log, text, strlen(text), first + 1);
		free(text);
	}
	free(log.text);
}

static void a_cut_tail_is_named(void **state)
{
	struct fixture *fixture = *state;
	struct log_text log = make_log(fixture);

	for (size_t left = 0; left < log.count; left++) {
		size_t size = (size_t)(log.line[left] - log.text);

		assert_named(fixture, &log, log.text, size, left + 1);
		assert_named(fixture, &log, log.text, size + 10, left + 1);
	}
	free(log.text);
}

static void lines_the_agent_did_not_write_are_named(void **state)
{
	struct fixture *fixture = *state;
	struct log_text log = make_log(fixture);
	struct audit *live = fixture->audit;
	struct fixture other = *fixture;

	(void)snprintf(other.path, sizeof other.path, "%s/other", other.directory);
	write_log(&other, log.text, log.size);
	open_log(&other);
	put(&other, 1);
	free(log.text);
	log.text = read_log(&other, &log.size);
	fixture->audit = live;
	assert_named(fixture, &log, log.text, log.size, 51);
	close_log(&other);
	assert_int_equal(unlink(other.path), 0);
	free(log.text);
}

/* What anyone can do who may write the file: make every hash fit again. */
static void chain_again(struct log_text *log, size_t from)
{
	for (size_t i = from; i + 1 < log->count; i++) {
		char *prev = strstr(log->line[i + 1], "\"prev\":\"") + 8;
		uint8_t hash[32];
		char hex[65];

		(void)crypto_generichash(
			hash, sizeof hash, (uint8_t *)log->line[i], line_size(log, i) - 1, NULL, 0);
		memcpy(prev, sodium_bin2hex(hex, sizeof hex, hash, sizeof hash), 64);
	}
}

static void an_edit_with_the_hashes_made_to_fit_fails_at_the_next_checkpoint(void **state)
{
	static const size_t edited[] = {1, 2, 15, 16, 20, 29, 31, 45};
	static const size_t named[] = {16, 16, 16, 31, 31, 31, 47, 47};
	struct fixture *fixture = *state;
	struct log_text log = make_log(fixture);
	char *copy = malloc(log.size);

	memcpy(copy, log.text, log.size);
	for (size_t i = 0; i < sizeof edited / sizeof *edited; i++) {
		char *time = strstr(log.line[edited[i] - 1], "\"time\":\"") + 8;

		time[3]++;
		chain_again(&log, edited[i] - 1);
		assert_named(fixture, &log, log.text, log.size,
			edited[i] == 16 || edited[i] == 31 ? edited[i] : named[i]);
		memcpy(log.text, copy, log.size);
	}
	free(copy);
	free(log.text);
}

/* Signs the checkpoint in text anew, and rightly, with the key of this seed. */
static void sign_again(char *text, size_t size, const uint8_t *seed)
{
	uint8_t key[32], secret_key[64], signature[64], bytes[AUDIT_STATEMENT_SIZE];
	struct audit_statement statement = {.uuid = uuid};
	struct audit_line line;
	char hex[129];

	assert_int_equal(audit_line_parse(text, size, &line), MORTISE_OK);
	statement.sequence = line.sequence;
	statement.prev = line.prev;
	statement.time = line.time;
	statement.next = line.next;
	audit_statement_pack(&statement, bytes);
	(void)crypto_sign_seed_keypair(key, secret_key, seed);
	(void)crypto_sign_detached(signature, NULL, bytes, sizeof bytes, secret_key);
	memcpy(strstr(text, "\"key\":\"") + 7, sodium_bin2hex(hex, sizeof hex, key, 32), 64);
	memcpy(strstr(text, "\"sig\":\"") + 7, sodium_bin2hex(hex, sizeof hex, signature, 64), 128);
}

/* Whoever has today's keys edits a record, makes all hashes fit and signs what follows. */
static void todays_keys_cannot_sign_an_earlier_checkpoint(void **state)
{
	struct fixture *fixture = *state;
	struct log_text log = make_log(fixture);

	strstr(log.line[44], "\"time\":\"")[11]++;
	chain_again(&log, 44);
	sign_again(log.line[46], line_size(&log, 46) - 1, fixture->state->bytes + 56);
	chain_again(&log, 46);
	assert_named(fixture, &log, log.text, log.size, 47);
	free(log.text);
}

static void a_checkpoint_of_another_chain_is_named(void **state)
{
	struct fixture *fixture = *state;
	struct log_text log = make_log(fixture);
	char *successor = strstr(log.line[30], "\"next\":\"") + 8;

	memcpy(successor, strstr(log.line[15], "\"next\":\"") + 8, 64);
	chain_again(&log, 30);
	assert_named(fixture, &log, log.text, log.size, 31);
	free(log.text);
}

static void another_first_key_finds_no_genesis(void **state)
{
	struct fixture *fixture = *state;
	struct log_text log = make_log(fixture);
	char complaint[256];

	log.key[0] ^= 1;
	assert_int_equal(verify_text(log.text, log.size, log.key, fixture->audit, complaint),
		MORTISE_INTEGRITY);
	assert_non_null(strstr(complaint, "no genesis"));
	free(log.text);
}

static void a_second_genesis_behind_ours_is_named(void **state)
{
	struct fixture *fixture = *state;
	struct log_text log = make_log(fixture);

	free(log.text);
	secret_drop(&fixture->state);
	begin_chain(fixture);
	log.text = read_log(fixture, &log.size);
	assert_named(fixture, &log, log.text, log.size, 51);
	free(log.text);
}

static void the_size_of_portions_does_not_matter(void **state)
{
	struct fixture *fixture = *state;
	struct log_text log = make_log(fixture);
	struct audit_check *check = NULL;

	assert_int_equal(audit_check_new(log.key, &check), MORTISE_OK);
	for (size_t i = 0; i < log.count; i++)
		assert_int_equal(
			audit_check_feed(check, (uint8_t *)log.line[i], line_size(&log, i)),
			MORTISE_OK);
	assert_int_equal(audit_check_end(check, fixture->audit), MORTISE_OK);
	assert_int_equal(audit_check_lines(check), 50);
	assert_int_equal(audit_check_checkpoints(check), 3);
	audit_check_free(check);
	free(log.text);
}

static void a_check_that_failed_stays_failed(void **state)
{
	struct fixture *fixture = *state;
	struct log_text log = make_log(fixture);
	struct audit_check *check = NULL;

	assert_int_equal(audit_check_new(log.key, &check), MORTISE_OK);
	assert_int_equal(audit_check_feed(check, (const uint8_t *)"{}\n", 3), MORTISE_INTEGRITY);
	assert_int_equal(audit_check_feed(check, (uint8_t *)log.text, log.size), MORTISE_INTEGRITY);
	assert_int_equal(audit_check_end(check, fixture->audit), MORTISE_INTEGRITY);
	audit_check_free(check);
	free(log.text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_untouched_log_passes),
		TEST(an_edited_byte_anywhere_is_named),
		TEST(a_deleted_line_is_named),
		TEST(a_duplicated_line_is_named),
		TEST(swapped_lines_are_named),
		TEST(a_cut_tail_is_named),
		TEST(lines_the_agent_did_not_write_are_named),
		TEST(an_edit_with_the_hashes_made_to_fit_fails_at_the_next_checkpoint),
		TEST(todays_keys_cannot_sign_an_earlier_checkpoint),
		TEST(a_checkpoint_of_another_chain_is_named),
		TEST(another_first_key_finds_no_genesis),
		TEST(a_second_genesis_behind_ours_is_named),
		TEST(the_size_of_portions_does_not_matter),
		TEST(a_check_that_failed_stays_failed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
