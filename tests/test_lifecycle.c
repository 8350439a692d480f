/* SPDX-License-Identifier: ISC */
/* Init, unseal and seal of a whole keeper, with sealers that lie, die and dawdle. */
#include "lifecycle_fixture.h"

#include <sqlite3.h>
#include <sys/socket.h>
#include <time.h>

static void init_makes_a_store_that_opens_by_its_hardware(void **state)
{
	struct keeper_fixture *fixture = *state;

	keeper_put(fixture, "prod/x", "value");
	keeper_restart(fixture);
	keeper_await_state(fixture, "unsealed");
	struct asker *asker = asker_open(fixture);
	assert_int_equal(ask_get(fixture, asker, "prod/x", NULL), MORTISE_OK);
	assert_int_equal(ask_init(fixture, asker, "tpm2"), MORTISE_CONFLICT);
	asker_close(asker);
}

static void a_dry_run_of_init_makes_nothing(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);
	struct wire_writer *writer = asker_begin(asker, WIRE_INIT);
	char fact[256];

	wire_put_text(writer, WIRE_TAG_SLOT_KIND, "tpm2");
	wire_put_number(writer, WIRE_TAG_DRY_RUN, 1);
	assert_int_equal(asker_call(fixture, asker), MORTISE_OK);
	keeper_fact(fixture, "state", fact);
	assert_string_equal(fact, "uninitialised");
	assert_int_equal(fixture->spawns, 0);
	asker_close(asker);
}

static void a_slot_of_an_unknown_kind_is_refused(void **state)
{
	struct asker *asker = asker_open(*state);

	assert_int_equal(ask_init(*state, asker, "floppy"), MORTISE_INVALID);
	assert_int_equal(ask_init(*state, asker, "recovery"), MORTISE_INVALID);
	assert_int_equal(ask_plain(*state, asker, WIRE_INIT), MORTISE_INVALID);
	asker_close(asker);
}

/* ---- sealers that cannot be trusted ---- */

static void play_other_h(struct keeper_fixture *fixture, const struct wire_message *request)
{
	if (request->code == SEALER_OPEN)
		fixture->h[0] ^= 1;
	play_honest(fixture, request);
}

static void play_garbage(struct keeper_fixture *fixture, const struct wire_message *request)
{
	(void)request;
	(void)!send(fixture->sealer, "garbage", 7, MSG_NOSIGNAL);
}

static void play_refusal(struct keeper_fixture *fixture, const struct wire_message *request)
{
	(void)request;
	keeper_fail_sealer(fixture, TOKEN_FAULT_LOCKOUT, "TPM_RC_LOCKOUT\n\x1b[31m");
}

static void play_twice(struct keeper_fixture *fixture, const struct wire_message *request)
{
	play_honest(fixture, request);
	if (request->code == SEALER_ENROL)
		play_honest(fixture, request);
}

/* An init that fails says why, and leaves an agent that can be initialised. */
static void assert_init_fails(struct keeper_fixture *fixture,
	void (*play)(struct keeper_fixture *fixture, const struct wire_message *request),
	const char *part)
{
	struct asker *asker = asker_open(fixture);

	fixture->play = play;
	assert_int_equal(ask_init(fixture, asker, "tpm2"), MORTISE_HARDWARE);
	if (!strstr(asker->text, part))
		fail_msg("'%s' is not in '%s'", part, asker->text);
	fixture->play = play_honest;
	assert_int_equal(ask_init(fixture, asker, "tpm2"), MORTISE_OK);
	asker_close(asker);
}

static void init_refuses_hardware_that_gives_back_something_else(void **state)
{
	assert_init_fails(*state, play_other_h, "something else");
}

static void init_survives_a_sealer_that_talks_garbage(void **state)
{
	assert_init_fails(*state, play_garbage, token_fault_text(TOKEN_FAULT_MALFORMED));
}

static void init_survives_a_sealer_that_dies(void **state)
{
	assert_init_fails(*state, play_death, token_fault_text(TOKEN_FAULT_DIED));
}

static void init_says_what_the_hardware_said_and_what_to_do(void **state)
{
	assert_init_fails(*state, play_refusal, "mortise init --no-hardware");
}

static void init_survives_a_monitor_without_sealers(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	fixture->spawn_answer = MORTISE_IO;
	assert_int_equal(ask_init(fixture, asker, "tpm2"), MORTISE_HARDWARE);
	fixture->spawn_answer = MORTISE_OK;
	assert_int_equal(ask_init(fixture, asker, "tpm2"), MORTISE_OK);
	asker_close(asker);
}

static void a_second_answer_of_a_sealer_is_nobodys(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	fixture->play = play_twice;
	assert_int_equal(ask_init(fixture, asker, "tpm2"), MORTISE_OK);
	asker_close(asker);
}

static void what_hardware_said_reaches_admins_as_one_printable_line(void **state)
{
	struct keeper_fixture *fixture = *state;

	restart_before(fixture, play_refusal);
	assert_sealed_because(fixture, "TPM_RC_LOCKOUT[31m");
}

static void each_fault_becomes_a_reason_with_advice(void **state)
{
	struct keeper_fixture *fixture = *state;

	restart_before(fixture, play_refusal);
	assert_sealed_because(fixture, "mortise unseal --recovery");
	restart_before(fixture, play_garbage);
	assert_sealed_because(fixture, token_fault_text(TOKEN_FAULT_MALFORMED));
	restart_before(fixture, play_death);
	assert_sealed_because(fixture, token_fault_text(TOKEN_FAULT_DIED));
}

static void another_h_than_that_of_init_opens_nothing(void **state)
{
	struct keeper_fixture *fixture = *state;

	restart_before(fixture, play_other_h);
	assert_sealed_because(fixture, fixture->key_id);
}

static enum token_fault fault_at_boot;

static void play_fault_twice(struct keeper_fixture *fixture, const struct wire_message *request)
{
	if (fixture->questions <= 2)
		keeper_fail_sealer(fixture, fault_at_boot, "");
	else
		play_honest(fixture, request);
}

static void each_fault_that_can_mend_itself_is_tried_again_and_no_other(void **state)
{
	struct keeper_fixture *fixture = *state;
	unsigned tried_again = 0;

	for (int fault = TOKEN_FAULT_NONE + 1; fault < TOKEN_FAULT_COUNT; fault++) {
		fault_at_boot = (enum token_fault)fault;
		restart_before(fixture, play_fault_twice);
		assert_sealed_because(fixture, token_fault_text(fault_at_boot));
		if (token_fault_is_passing(fault_at_boot)) {
			assert_sealed_because(fixture, "; it is tried again by itself");
			keeper_await_state(fixture, "unsealed");
			assert_true(fixture->questions >= 3);
			tried_again++;
			continue;
		}
		assert_null(strstr(fixture->state, "tried again by itself"));
		struct asker *asker = asker_open(fixture);
		assert_int_equal(ask_plain(fixture, asker, WIRE_UNSEAL), MORTISE_HARDWARE);
		assert_int_equal(fixture->questions, 2);
		assert_int_equal(ask_plain(fixture, asker, WIRE_UNSEAL), MORTISE_OK);
		asker_close(asker);
	}
	assert_int_equal(tried_again, 13);
}

/* 200, 400, 800 and 1600 ms; the lower bound is all that a loaded machine keeps. */
static void what_is_tried_again_is_so_less_and_less_often(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct timespec first, last;

	restart_before(fixture, play_absence);
	keeper_await_questions(fixture, 1);
	clock_gettime(CLOCK_MONOTONIC, &first);
	keeper_await_questions(fixture, 5);
	clock_gettime(CLOCK_MONOTONIC, &last);
	assert_true(
		(last.tv_sec - first.tv_sec) * 1000 + (last.tv_nsec - first.tv_nsec) / 1000000 >=
		2700);
}

/* What an admin's seal says on the disk is now this. */
static void spoil_hold(struct keeper_fixture *fixture, const char *word)
{
	char file[128], command[512];
	sqlite3 *store = NULL;

	snprintf(file, sizeof file, "%s/store.db", fixture->store);
	snprintf(command, sizeof command, "INSERT OR REPLACE INTO hold VALUES(1, %s)", word);
	assert_int_equal(sqlite3_open(file, &store), SQLITE_OK);
	assert_int_equal(sqlite3_exec(store, command, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(store), SQLITE_OK);
}

static void a_seal_that_cannot_be_read_holds_until_an_operator_unseals(void **state)
{
	static const char *const words[] = {
		"printf('%.*c', 400, 'x')", "'no word of ours'", "'boot'", "'\n'"};
	struct keeper_fixture *fixture = *state;

	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
		assert_int_equal(keeper_stop(fixture), 0);
		spoil_hold(fixture, words[i]);
		fixture->questions = 0;
		keeper_start(fixture);
		struct asker *asker = asker_open(fixture);
		assert_int_equal(ask_get(fixture, asker, "prod/x", NULL), MORTISE_SEALED);
		assert_string_equal(
			fixture->state, "sealed: sealed by an admin; run: mortise unseal");
		assert_int_equal(fixture->questions, 0);
		assert_int_equal(ask_plain(fixture, asker, WIRE_UNSEAL), MORTISE_OK);
		asker_close(asker);
		keeper_restart(fixture);
		keeper_await_state(fixture, "unsealed");
	}
}

static void what_is_tried_again_and_comes_to_the_same_is_one_line_in_the_log(void **state)
{
	struct keeper_fixture *fixture = *state;
	unsigned lines = 0;
	char fact[256];

	fault_at_boot = TOKEN_FAULT_ABSENT;
	restart_before(fixture, play_fault_twice);
	keeper_await_state(fixture, "unsealed");
	keeper_fact(fixture, "state", fact); /* behind the lines that are due */
	char *log = keeper_log(fixture);
	for (const char *at = log; (at = strstr(at, "\"op\":\"unsealed\"")); at++)
		lines++;
	free(log);
	/* In vain, of which there were two, and then with success. */
	assert_int_equal(lines, 2);
	assert_true(keeper_log_has(fixture, "no TPM answers"));
}

/* ---- two at once ---- */

static void a_second_init_meanwhile_is_told_to_wait(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *first = asker_open(fixture), *second = asker_open(fixture);

	fixture->play = play_silent;
	begin_init(first);
	asker_send_read(first);
	keeper_await_questions(fixture, 1);
	assert_int_equal(ask_init(fixture, second, "tpm2"), MORTISE_BUSY);
	assert_int_equal(ask_init(fixture, second, "none"), MORTISE_BUSY);
	play_death(fixture, NULL);
	assert_int_equal(asker_receive(fixture, first), MORTISE_HARDWARE);
	asker_close(first);
	asker_close(second);
}

static void a_client_that_left_during_init_harms_nobody(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	fixture->play = play_silent;
	begin_init(asker);
	asker_send(asker);
	keeper_await_questions(fixture, 1);
	asker_close(asker);
	play_death(fixture, NULL);
	asker = asker_open(fixture);
	while (!keeper_log_has(fixture, "\"op\":\"init\""))
		assert_int_equal(ask_plain(fixture, asker, WIRE_STATUS), MORTISE_OK);
	assert_true(keeper_log_has(fixture, "\"result\":\"hardware\""));
	fixture->play = play_honest;
	assert_int_equal(ask_init(fixture, asker, "tpm2"), MORTISE_OK);
	asker_close(asker);
}

static void frames_behind_a_pending_request_wait_for_it(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	fixture->play = play_silent;
	begin_init(asker);
	asker_send(asker);
	(void)asker_begin(asker, WIRE_STATUS);
	asker_send(asker);
	keeper_await_questions(fixture, 1);
	play_death(fixture, NULL);
	asker->last_id--;
	assert_int_equal(asker_receive(fixture, asker), MORTISE_HARDWARE);
	asker->last_id++;
	assert_int_equal(asker_receive(fixture, asker), MORTISE_OK);
	asker_close(asker);
}

static void recovery_wins_over_hardware_that_dawdles(void **state)
{
	struct keeper_fixture *fixture = *state;

	restart_before(fixture, play_silent);
	keeper_await_questions(fixture, 1);
	struct asker *waiting = asker_open(fixture), *asker = asker_open(fixture);
	(void)asker_begin(waiting, WIRE_UNSEAL);
	asker_send_read(waiting);
	assert_int_equal(ask_recover(fixture, asker, fixture->recovery), MORTISE_OK);
	assert_int_equal(asker_receive(fixture, waiting), MORTISE_OK);
	keeper_fail_sealer(fixture, TOKEN_FAULT_LOCKOUT, "too late");
	assert_int_equal(ask_set(fixture, asker, "prod/x", "v", 1), MORTISE_OK);
	keeper_await_state(fixture, "unsealed");
	asker_close(asker);
	asker_close(waiting);
}

/* ---- the anchor ---- */

static void an_old_copy_is_refused_and_named_by_both_numbers(void **state)
{
	struct keeper_fixture *fixture = *state;

	fixture->counter += 2;
	restart_before(fixture, play_honest);
	assert_sealed_because(fixture, "old copy of the store");
	assert_sealed_because(fixture, "counter says 3");
}

static void an_old_copy_is_refused_to_the_recovery_key_too(void **state)
{
	struct keeper_fixture *fixture = *state;

	fixture->counter += 2;
	restart_before(fixture, play_honest);
	assert_sealed_because(fixture, "old copy of the store");
	struct asker *asker = asker_open(fixture);
	assert_int_equal(ask_recover(fixture, asker, fixture->recovery), MORTISE_INTEGRITY);
	assert_non_null(strstr(asker->text, "mortise recover"));
	asker_close(asker);
	keeper_await_state(fixture, "sealed: ");
}

static void a_key_that_is_typed_waits_for_the_anchor(void **state)
{
	struct keeper_fixture *fixture = *state;

	restart_before(fixture, play_silent);
	keeper_await_questions(fixture, 1);
	struct asker *asker = asker_open(fixture);
	wire_put_text(asker_begin(asker, WIRE_UNSEAL), WIRE_TAG_RECOVERY, fixture->recovery);
	asker_send_read(asker);
	keeper_fail_sealer(fixture, TOKEN_FAULT_LOCKOUT, "too late");
	fixture->play = play_honest;
	assert_int_equal(asker_receive(fixture, asker), MORTISE_OK);
	asker_close(asker);
	keeper_await_state(fixture, "unsealed");
}

static void a_seal_while_the_anchor_is_asked_is_the_last_word(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture), *typist = asker_open(fixture);

	assert_int_equal(ask_seal(fixture, false), MORTISE_OK);
	fixture->play = play_silent;
	fixture->questions = 0;
	wire_put_text(asker_begin(typist, WIRE_UNSEAL), WIRE_TAG_RECOVERY, fixture->recovery);
	asker_send(typist);
	keeper_await_questions(fixture, 1);
	assert_int_equal(ask_plain(fixture, asker, WIRE_SEAL), MORTISE_OK);
	assert_int_equal(asker_receive(fixture, typist), MORTISE_SEALED);
	assert_sealed_because(fixture, "sealed by an admin");
	asker_close(typist);
	asker_close(asker);
}

/* The hardware's answer comes when nobody wants it any more: well or badly, it changes nothing. */
static void a_seal_while_a_recovery_waits_for_hardware_is_the_last_word(void **state)
{
	struct keeper_fixture *fixture = *state;

	for (int is_well = 0; is_well < 2; is_well++) {
		struct asker *asker = asker_open(fixture), *typist = asker_open(fixture);
		assert_int_equal(ask_seal(fixture, false), MORTISE_OK);
		fixture->play = play_silent;
		fixture->questions = 0;
		struct wire_writer *writer = asker_begin(typist, WIRE_RECOVER);
		wire_put_text(writer, WIRE_TAG_RECOVERY, fixture->recovery);
		wire_put_text(writer, WIRE_TAG_SLOT_KIND, "tpm2");
		asker_send(typist);
		keeper_await_questions(fixture, 1);
		assert_int_equal(ask_plain(fixture, asker, WIRE_SEAL), MORTISE_OK);
		assert_int_equal(asker_receive(fixture, typist), MORTISE_SEALED);
		if (is_well)
			play_honest(fixture, &(struct wire_message){.code = SEALER_ENROL});
		else
			keeper_fail_sealer(fixture, TOKEN_FAULT_LOCKOUT, "too late");
		assert_int_equal(ask_plain(fixture, asker, WIRE_STATUS), MORTISE_OK);
		assert_sealed_because(fixture, "sealed by an admin");
		asker_close(typist);
		asker_close(asker);
	}
}

static void so_it_is_while_the_doctor_asks_a_slots_hardware(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture), *doctor = asker_open(fixture);

	fixture->play = play_silent;
	fixture->questions = 0;
	wire_put_number(asker_begin(doctor, WIRE_DOCTOR), WIRE_TAG_NUMBER, 1);
	asker_send(doctor);
	keeper_await_questions(fixture, 1);
	assert_int_equal(ask_plain(fixture, asker, WIRE_SEAL), MORTISE_OK);
	assert_int_equal(asker_receive(fixture, doctor), MORTISE_SEALED);
	keeper_fail_sealer(fixture, TOKEN_FAULT_LOCKOUT, "too late");
	assert_int_equal(ask_plain(fixture, asker, WIRE_STATUS), MORTISE_OK);
	assert_sealed_because(fixture, "sealed by an admin");
	asker_close(doctor);
	asker_close(asker);
}

/* ---- seal ---- */

static void a_seal_holds_over_a_restart_until_unseal(void **state)
{
	struct keeper_fixture *fixture = *state;

	assert_int_equal(ask_seal(fixture, false), MORTISE_OK);
	assert_sealed_because(fixture, "sealed by an admin");
	unsigned spawns = fixture->spawns;
	keeper_restart(fixture);
	assert_sealed_because(fixture, "sealed by an admin");
	assert_int_equal(fixture->spawns, spawns);
	struct asker *asker = asker_open(fixture);
	assert_int_equal(ask_get(fixture, asker, "prod/x", NULL), MORTISE_SEALED);
	assert_int_equal(ask_plain(fixture, asker, WIRE_UNSEAL), MORTISE_OK);
	asker_close(asker);
	keeper_restart(fixture);
	keeper_await_state(fixture, "unsealed");
}

static uint64_t seal_changes(struct keeper_fixture *fixture, bool until_boot)
{
	struct asker *asker = asker_open(fixture);
	struct wire_writer *writer = asker_begin(asker, WIRE_SEAL);
	uint64_t changed = 99;

	if (until_boot)
		wire_put_number(writer, WIRE_TAG_UNTIL_BOOT, 1);
	assert_int_equal(asker_call(fixture, asker), MORTISE_OK);
	assert_int_equal(wire_number(&asker->reply, WIRE_TAG_CHANGED, &changed), MORTISE_OK);
	asker_close(asker);
	return changed;
}

static void a_seal_for_another_time_is_a_change(void **state)
{
	struct keeper_fixture *fixture = *state;

	assert_int_equal(seal_changes(fixture, false), 1);
	assert_int_equal(seal_changes(fixture, false), 0);
	assert_int_equal(seal_changes(fixture, true), 1);
	assert_int_equal(seal_changes(fixture, true), 0);
	assert_int_equal(seal_changes(fixture, false), 1);
}

static void a_seal_until_boot_holds_over_a_restart_of_this_boot(void **state)
{
	struct keeper_fixture *fixture = *state;

	assert_int_equal(ask_seal(fixture, true), MORTISE_OK);
	keeper_restart(fixture);
	assert_sealed_because(fixture, "sealed by an admin");
}

static void recovery_ends_a_seal(void **state)
{
	struct keeper_fixture *fixture = *state;

	assert_int_equal(ask_seal(fixture, false), MORTISE_OK);
	struct asker *asker = asker_open(fixture);
	assert_int_equal(ask_recover(fixture, asker, fixture->recovery), MORTISE_OK);
	asker_close(asker);
	keeper_restart(fixture);
	keeper_await_state(fixture, "unsealed");
}

/* Who reads the log later wants to know which way in was used. */
static void each_unseal_has_its_slot_and_how_it_came_on_record(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);
	char fact[256];

	assert_int_equal(ask_seal(fixture, false), MORTISE_OK);
	assert_int_equal(ask_plain(fixture, asker, WIRE_UNSEAL), MORTISE_OK);
	assert_true(keeper_log_has(fixture, "\"note\":\"by slot 1 (tpm2), asked for\""));
	assert_int_equal(ask_seal(fixture, false), MORTISE_OK);
	assert_int_equal(ask_recover(fixture, asker, fixture->recovery), MORTISE_OK);
	assert_true(keeper_log_has(fixture, "\"note\":\"by slot 2 (recovery), typed\""));
	asker_close(asker);
	assert_false(keeper_log_has(fixture, "by itself"));
	keeper_restart(fixture);
	keeper_await_state(fixture, "unsealed");
	keeper_fact(fixture, "state", fact); /* behind the lines that are due */
	assert_true(keeper_log_has(fixture, "\"note\":\"by slot 1 (tpm2), by itself\""));
}

/* ---- the recovery key ---- */

static void a_typing_error_names_its_group(void **state)
{
	struct keeper_fixture *fixture = *state;
	char typed[128];

	assert_int_equal(ask_seal(fixture, false), MORTISE_OK);
	struct asker *asker = asker_open(fixture);
	for (unsigned group = 1; group <= 13; group++) {
		char expected[64];
		memcpy(typed, fixture->recovery, sizeof typed);
		char *at = typed + (group - 1) * 6;
		*at = *at == '7' ? '8' : '7';
		snprintf(expected, sizeof expected, "group %u ", group);
		assert_int_equal(ask_recover(fixture, asker, typed), MORTISE_INVALID);
		assert_non_null(strstr(asker->text, expected));
	}
	assert_int_equal(ask_recover(fixture, asker, "7"), MORTISE_INVALID);
	assert_int_equal(ask_recover(fixture, asker, ""), MORTISE_INVALID);
	asker_close(asker);
}

/* A whole, well-typed key: of another store. */
static void another_stores_recovery_key_is_denied_and_the_reason_stays(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct keeper_fixture *other = keeper_prepare();
	void *other_state = other;

	keeper_start(other);
	struct asker *asker = asker_open(other);
	assert_int_equal(ask_init(other, asker, "none"), MORTISE_OK);
	asker_close(asker);
	assert_int_equal(ask_seal(fixture, false), MORTISE_OK);
	asker = asker_open(fixture);
	assert_int_equal(ask_recover(fixture, asker, other->recovery), MORTISE_DENIED);
	assert_non_null(strstr(asker->text, fixture->key_id));
	asker_close(asker);
	assert_sealed_because(fixture, "sealed by an admin");
	assert_int_equal(tear_down_keeper(&other_state), 0);
}

#define WITHOUT_ANCHOR(name)                                                                       \
	cmocka_unit_test_setup_teardown(name, set_up_without_anchor, tear_down_keeper)
#define WITH_HARDWARE(name) cmocka_unit_test_setup_teardown(name, set_up_hardware, tear_down_keeper)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_HARDWARE(init_makes_a_store_that_opens_by_its_hardware),
		WITH_KEEPER(a_dry_run_of_init_makes_nothing),
		WITH_KEEPER(a_slot_of_an_unknown_kind_is_refused),
		WITH_KEEPER(init_refuses_hardware_that_gives_back_something_else),
		WITH_KEEPER(init_survives_a_sealer_that_talks_garbage),
		WITH_KEEPER(init_survives_a_sealer_that_dies),
		WITH_KEEPER(init_says_what_the_hardware_said_and_what_to_do),
		WITH_KEEPER(init_survives_a_monitor_without_sealers),
		WITH_KEEPER(a_second_answer_of_a_sealer_is_nobodys),
		WITH_HARDWARE(what_hardware_said_reaches_admins_as_one_printable_line),
		WITH_HARDWARE(each_fault_becomes_a_reason_with_advice),
		WITH_HARDWARE(another_h_than_that_of_init_opens_nothing),
		WITH_HARDWARE(each_fault_that_can_mend_itself_is_tried_again_and_no_other),
		WITH_HARDWARE(what_is_tried_again_is_so_less_and_less_often),
		WITH_HARDWARE(a_seal_that_cannot_be_read_holds_until_an_operator_unseals),
		WITH_HARDWARE(what_is_tried_again_and_comes_to_the_same_is_one_line_in_the_log),
		WITH_KEEPER(a_second_init_meanwhile_is_told_to_wait),
		WITH_KEEPER(a_client_that_left_during_init_harms_nobody),
		WITH_KEEPER(frames_behind_a_pending_request_wait_for_it),
		WITHOUT_ANCHOR(recovery_wins_over_hardware_that_dawdles),
		WITH_HARDWARE(an_old_copy_is_refused_and_named_by_both_numbers),
		WITH_HARDWARE(an_old_copy_is_refused_to_the_recovery_key_too),
		WITH_HARDWARE(a_key_that_is_typed_waits_for_the_anchor),
		WITH_HARDWARE(a_seal_while_the_anchor_is_asked_is_the_last_word),
		WITH_HARDWARE(a_seal_while_a_recovery_waits_for_hardware_is_the_last_word),
		WITH_HARDWARE(so_it_is_while_the_doctor_asks_a_slots_hardware),
		WITH_HARDWARE(a_seal_holds_over_a_restart_until_unseal),
		WITH_HARDWARE(a_seal_for_another_time_is_a_change),
		WITH_HARDWARE(a_seal_until_boot_holds_over_a_restart_of_this_boot),
		WITH_HARDWARE(recovery_ends_a_seal),
		WITH_HARDWARE(each_unseal_has_its_slot_and_how_it_came_on_record),
		WITH_HARDWARE(a_typing_error_names_its_group),
		WITH_HARDWARE(another_stores_recovery_key_is_denied_and_the_reason_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
