/* SPDX-License-Identifier: ISC */
/* Slots with a PIN: who is asked for it, and how often it is tried. */
#include "slots_fixture.h"

#include <signal.h>

static void a_slot_with_a_pin_waits_for_it_and_is_not_tried_without(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);
	char fact[256];

	assert_int_equal(slots_made(asker, ASK(WIRE_SLOT_ADD, .kind = "tpm2", .pin = "1234")), 2);
	asker_close(asker);
	fake_tpm.opened = 0;
	keeper_restart(fixture);
	assert_sealed_because(fixture, "slot 2: it waits for its PIN");
	keeper_fact(fixture, "pin_slot", fact);
	assert_string_equal(fact, "2");
	assert_int_equal(fake_tpm.opened, 0);
	asker = asker_open(fixture);
	assert_int_equal(ask_plain(fixture, asker, WIRE_UNSEAL), MORTISE_HARDWARE);
	assert_int_equal(fake_tpm.opened, 0);
	assert_int_equal(ASK(WIRE_UNSEAL, .pin = "1234"), MORTISE_OK);
	assert_int_equal(fake_tpm.opened, 1);
	asker_close(asker);
}

static void assert_waits_for(struct keeper_fixture *fixture, const char *slot)
{
	char fact[256];

	keeper_fact(fixture, "pin_slot", fact);
	assert_string_equal(fact, slot);
}

static void it_waits_until_the_pin_is_right_or_an_admin_wants_it_sealed(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	assert_int_equal(slots_made(asker, ASK(WIRE_SLOT_ADD, .kind = "tpm2", .pin = "1234")), 2);
	assert_waits_for(fixture, "");
	asker_close(asker);
	keeper_restart(fixture);
	assert_sealed_because(fixture, "slot 2: it waits for its PIN");
	asker = asker_open(fixture);
	assert_int_equal(ASK(WIRE_UNSEAL, .pin = "0000"), MORTISE_HARDWARE);
	assert_waits_for(fixture, "2");
	assert_int_equal(slots_seal(fixture, asker), MORTISE_OK);
	assert_waits_for(fixture, "");
	assert_int_equal(ASK(WIRE_UNSEAL, .pin = "0000"), MORTISE_HARDWARE);
	assert_waits_for(fixture, "2");
	assert_int_equal(ASK(WIRE_UNSEAL, .pin = "1234"), MORTISE_OK);
	assert_waits_for(fixture, "");
	asker_close(asker);
}

/* systemd would go on asking for the PIN of an agent that is open. */
static void it_waits_for_none_where_another_slot_has_opened(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	assert_int_equal(slots_made(asker, ASK(WIRE_SLOT_ADD, .kind = "tpm2", .pin = "1234")), 2);
	assert_int_equal(slots_made(asker, ASK(WIRE_SLOT_ADD, .kind = "tpm2")), 3);
	asker_close(asker);
	keeper_restart(fixture);
	keeper_await_state(fixture, "unsealed");
	assert_waits_for(fixture, "");
}

static void a_wrong_pin_is_tried_once_and_at_one_slot_only(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	assert_int_equal(slots_made(asker, ASK(WIRE_SLOT_ADD, .kind = "tpm2", .pin = "1234")), 2);
	assert_int_equal(slots_made(asker, ASK(WIRE_SLOT_ADD, .kind = "tpm2", .pin = "5678")), 3);
	assert_int_equal(slots_seal(fixture, asker), MORTISE_OK);
	assert_int_equal(ASK(WIRE_UNSEAL, .pin = "0000"), MORTISE_HARDWARE);
	assert_non_null(strstr(asker->text, "slot 2: the PIN is wrong, and was tried once"));
	assert_int_equal(fake_tpm.wrong_pins, 1);
	assert_int_equal(ASK(WIRE_UNSEAL, .pin = "5678", .slot = 3), MORTISE_OK);
	assert_int_equal(fake_tpm.wrong_pins, 1);
	asker_close(asker);
}

/* A slot and what replaces or stands in for it have one PIN, and a TPM counts each try. */
static void a_wrong_pin_is_tried_once_though_a_slot_has_others_beside_it(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	assert_int_equal(
		slots_made(asker, ASK(WIRE_SLOT_ADD, .kind = "tpm2", .pin = "1234", .pcrs = PCR_7)),
		2);
	/* The one that was staged has opened and is named then. */
	for (uint64_t slot = 2; slot <= 4; slot += 2) {
		assert_int_equal(slots_made(asker, ASK(WIRE_SLOT_SUSPEND, .slot = slot,
							   .pin = "1234", .boots = 1)),
			slot + 1);
		assert_int_equal(
			slots_made(asker, ASK(WIRE_SLOT_RESEAL, .slot = slot, .pin = "1234")),
			slot + 2);
		assert_int_equal(slots_seal(fixture, asker), MORTISE_OK);
		fake_tpm.opened = fake_tpm.wrong_pins = 0;
		assert_int_equal(ASK(WIRE_UNSEAL, .pin = "0000", .slot = slot == 2 ? 0 : slot),
			MORTISE_HARDWARE);
		assert_int_equal(fake_tpm.wrong_pins, 1);
		assert_int_equal(fake_tpm.opened, 1);
		assert_int_equal(ASK(WIRE_UNSEAL, .pin = "1234"), MORTISE_OK);
		assert_int_equal(fake_tpm.wrong_pins, 1);
	}
	asker_close(asker);
}

static void a_changed_pin_opens_and_the_old_one_does_not(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	assert_int_equal(slots_made(asker, ASK(WIRE_SLOT_ADD, .kind = "tpm2", .pin = "1234")), 2);
	assert_int_equal(ASK(WIRE_SLOT_CHANGE_PIN, .slot = 2), MORTISE_INVALID);
	assert_int_equal(ASK(WIRE_SLOT_CHANGE_PIN, .slot = 1), MORTISE_CONFLICT);
	assert_int_equal(slots_made(asker, ASK(WIRE_SLOT_CHANGE_PIN, .slot = 2, .pin = "5678")), 2);
	assert_slots(fixture, "1 recovery ready, 2 tpm2 ready");
	assert_int_equal(slots_seal(fixture, asker), MORTISE_OK);
	assert_int_equal(ASK(WIRE_UNSEAL, .pin = "1234"), MORTISE_HARDWARE);
	assert_int_equal(ASK(WIRE_UNSEAL, .pin = "5678"), MORTISE_OK);
	asker_close(asker);
}

/* A token's PIN is in a file that the sealer reads: the keeper sees none. */
static void a_token_whose_pin_failed_is_not_tried_again_by_a_restart(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	assert_int_equal(
		slots_made(asker, ASK(WIRE_SLOT_ADD, .kind = "pkcs11", .uri = "pkcs11:token=t")),
		2);
	asker_close(asker);
	snprintf(fake_tpm.seals[0].pin, sizeof fake_tpm.seals[0].pin, "the file has another");
	fake_tpm.opened = 0;
	for (unsigned i = 0; i < 5; i++) {
		keeper_restart(fixture);
		assert_sealed_because(fixture, i ? "its PIN failed" : "the PIN is wrong");
		assert_int_equal(fake_tpm.opened, 1);
	}
	asker = asker_open(fixture);
	assert_int_equal(ask_plain(fixture, asker, WIRE_UNSEAL), MORTISE_HARDWARE);
	assert_int_equal(fake_tpm.opened, 2);
	fake_tpm.seals[0].pin[0] = '\0';
	assert_int_equal(ask_plain(fixture, asker, WIRE_UNSEAL), MORTISE_OK);
	asker_close(asker);
	keeper_restart(fixture);
	keeper_await_state(fixture, "unsealed");
}

static void a_keeper_killed_while_a_pin_is_tried_does_not_try_it_again(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	assert_int_equal(
		slots_made(asker, ASK(WIRE_SLOT_ADD, .kind = "pkcs11", .uri = "pkcs11:token=t")),
		2);
	asker_close(asker);
	assert_int_equal(keeper_stop(fixture), 0);
	fixture->play = play_silence_behind_health;
	fixture->questions = 0;
	keeper_start(fixture);
	keeper_await_questions(fixture, 2);
	kill(fixture->pid, SIGKILL);
	(void)keeper_reap(fixture);
	fixture->play = play_tpm;
	keeper_start(fixture);
	assert_sealed_because(fixture, "its PIN failed");
	assert_int_equal(fixture->questions, 2);
}

/* What is noted of a PIN is noted of the slot that is gone. */
static void a_new_token_is_tried_though_the_pin_of_the_one_before_it_failed(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	assert_int_equal(
		slots_made(asker, ASK(WIRE_SLOT_ADD, .kind = "pkcs11", .uri = "pkcs11:token=t")),
		2);
	asker_close(asker);
	snprintf(fake_tpm.seals[0].pin, sizeof fake_tpm.seals[0].pin, "the file has another");
	keeper_restart(fixture);
	assert_sealed_because(fixture, "the PIN is wrong");
	asker = asker_open(fixture);
	assert_int_equal(ask_recover(fixture, asker, fixture->recovery), MORTISE_OK);
	assert_int_equal(ASK(WIRE_SLOT_REMOVE, .slot = 2), MORTISE_OK);
	uint64_t id = slots_made(
		asker, ASK(WIRE_SLOT_ADD, .kind = "pkcs11", .uri = "pkcs11:token=other"));
	assert_int_equal(slots_made(asker, ASK(WIRE_SLOT_TEST, .slot = id)), id);
	asker_close(asker);
	keeper_restart(fixture);
	while (strncmp(fixture->state, "unsealed", 8) != 0 && !strstr(fixture->state, "sealed: "))
		keeper_serve(fixture);
	assert_string_equal(fixture->state, "unsealed");
}

/* The token answers rightly, but somebody has typed a key meanwhile. */
static void a_pin_that_was_right_opens_the_next_time_though_its_answer_came_late(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);
	struct wire_message late = {.code = SEALER_OPEN,
		.count = 1,
		.tag = {PROCESS_TAG_BLOB},
		.field = {{(const uint8_t *)"\0", 1}}};

	assert_int_equal(
		slots_made(asker, ASK(WIRE_SLOT_ADD, .kind = "pkcs11", .uri = "pkcs11:token=t")),
		2);
	asker_close(asker);
	assert_int_equal(keeper_stop(fixture), 0);
	fixture->play = play_silence_behind_health;
	fixture->questions = 0;
	keeper_start(fixture);
	keeper_await_questions(fixture, 2);
	asker = asker_open(fixture);
	assert_int_equal(ask_recover(fixture, asker, fixture->recovery), MORTISE_OK);
	play_tpm(fixture, &late);
	fixture->play = play_tpm;
	assert_int_equal(slots_made(asker, ASK(WIRE_SLOT_TEST, .slot = 2)), 2);
	asker_close(asker);
	keeper_restart(fixture);
	while (strncmp(fixture->state, "unsealed", 8) != 0 && !strstr(fixture->state, "sealed: "))
		keeper_serve(fixture);
	assert_string_equal(fixture->state, "unsealed");
}

/* Which of a token's questions a module crashes at, and how often. */
static uint16_t dying_question;
static unsigned deaths;

static void play_deaths(struct keeper_fixture *fixture, const struct wire_message *request)
{
	if (request->code == dying_question && deaths > 0) {
		deaths--;
		play_death(fixture, request);
	} else {
		play_tpm(fixture, request);
	}
}

static void a_module_that_crashes_is_tried_again_unless_a_pin_may_have_been(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	assert_int_equal(
		slots_made(asker, ASK(WIRE_SLOT_ADD, .kind = "pkcs11", .uri = "pkcs11:token=t")),
		2);
	asker_close(asker);
	fixture->play = play_deaths;
	dying_question = SEALER_HEALTH;
	deaths = 3;
	keeper_restart(fixture);
	assert_sealed_because(fixture, "the sealer died");
	assert_sealed_because(fixture, "it is tried again by itself");
	keeper_await_state(fixture, "unsealed");
	assert_int_equal(deaths, 0);
	dying_question = SEALER_OPEN;
	deaths = 3;
	keeper_restart(fixture);
	assert_sealed_because(
		fixture, "its PIN may have been tried, and is not tried again by itself");
	assert_int_equal(deaths, 2);
	keeper_restart(fixture);
	assert_sealed_because(fixture, "its PIN failed");
	assert_int_equal(deaths, 2);
}

/* The first question waits for the test. */
static void play_tpm_behind_silence(
	struct keeper_fixture *fixture, const struct wire_message *request)
{
	if (fixture->questions > 1)
		play_tpm(fixture, request);
}

static void a_pin_that_is_typed_while_hardware_is_asked_has_its_turn_behind_that(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	assert_int_equal(slots_made(asker, ASK(WIRE_SLOT_ADD, .kind = "tpm2", .pcrs = PCR_7)), 2);
	assert_int_equal(slots_made(asker, ASK(WIRE_SLOT_ADD, .kind = "tpm2", .pin = "1234")), 3);
	asker_close(asker);
	fake_tpm.pcr_value = 1;
	for (unsigned i = 0; i < 2; i++) {
		fixture->play = play_tpm_behind_silence;
		fixture->questions = 0;
		keeper_restart(fixture);
		keeper_await_questions(fixture, 1);
		asker = asker_open(fixture);
		wire_put_text(asker_begin(asker, WIRE_UNSEAL), WIRE_TAG_PIN, i ? "1234" : "4321");
		asker_send_read(asker);
		struct asker *second = asker_open(fixture);
		assert_int_equal(
			slots_ask(fixture, second, WIRE_UNSEAL, &(struct asking){.pin = "1234"}),
			MORTISE_BUSY);
		asker_close(second);
		keeper_fail_sealer(fixture, TOKEN_FAULT_OTHER_PCRS, "");
		assert_int_equal(asker_receive(fixture, asker), i ? MORTISE_OK : MORTISE_HARDWARE);
		asker_close(asker);
	}
	assert_int_equal(fake_tpm.wrong_pins, 1);
}

static void a_pin_in_a_uri_and_other_wishes_that_make_no_sense_are_refused(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);
	static const struct asking wrong[] = {
		{.kind = "pkcs11"},
		{.kind = "pkcs11", .uri = "token=t"},
		{.kind = "pkcs11", .uri = "pkcs11:token=t?pin-value=1234"},
		{.kind = "pkcs11", .uri = "pkcs11:token=t?pin-source=file:/x"},
		{.kind = "pkcs11", .uri = "pkcs11:token=t?module-name=m&pin-value=1"},
		{.kind = "pkcs11", .uri = "pkcs11:?pinfile=/x"},
		{.kind = "pkcs11", .uri = "pkcs11:token=B\xc3\xbcro"},
		{.kind = "pkcs11", .uri = "pkcs11:token=a b"},
		{.kind = "pkcs11", .uri = "pkcs11:token=t", .pcrs = PCR_7},
		{.kind = "tpm2", .uri = "pkcs11:token=t"},
		{.kind = "tpm2", .pcrs = 1u << 24},
		{.kind = "tpm2", .pin = ""},
		{.kind = "tpm2",
			.pin = "12345678901234567890123456789012345678901234567890123456789"
			       "012345"},
		{.kind = "tpm2", .threshold = 2},
		{.kind = "recovery", .pin = "1"},
		{.kind = "recovery-shares", .slot = 5},
		{.kind = "recovery-shares", .slot = 5, .threshold = 1},
		{.kind = "recovery-shares", .slot = 5, .threshold = 6},
		{.kind = "recovery-shares", .slot = 17, .threshold = 6},
		{.kind = "escrow"},
		{.kind = "escrow", .half = "nonsense"},
		{.kind = "none"},
		{.kind = "floppy"},
		{.kind = NULL},
	};

	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
		if (slots_ask(fixture, asker, WIRE_SLOT_ADD, &wrong[i]) != MORTISE_INVALID)
			fail_msg("wish %zu was taken", i);
	assert_int_equal(fixture->spawns, 0);
	assert_slots(fixture, "1 recovery ready");
	asker_close(asker);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_SLOTS(a_slot_with_a_pin_waits_for_it_and_is_not_tried_without),
		WITH_SLOTS(it_waits_until_the_pin_is_right_or_an_admin_wants_it_sealed),
		WITH_SLOTS(it_waits_for_none_where_another_slot_has_opened),
		WITH_SLOTS(a_wrong_pin_is_tried_once_and_at_one_slot_only),
		WITH_SLOTS(a_wrong_pin_is_tried_once_though_a_slot_has_others_beside_it),
		WITH_SLOTS(a_changed_pin_opens_and_the_old_one_does_not),
		WITH_SLOTS(a_token_whose_pin_failed_is_not_tried_again_by_a_restart),
		WITH_SLOTS(a_keeper_killed_while_a_pin_is_tried_does_not_try_it_again),
		WITH_SLOTS(a_pin_that_was_right_opens_the_next_time_though_its_answer_came_late),
		WITH_SLOTS(a_module_that_crashes_is_tried_again_unless_a_pin_may_have_been),
		WITH_SLOTS(a_pin_that_is_typed_while_hardware_is_asked_has_its_turn_behind_that),
		WITH_SLOTS(a_pin_in_a_uri_and_other_wishes_that_make_no_sense_are_refused),
		WITH_SLOTS(a_new_token_is_tried_though_the_pin_of_the_one_before_it_failed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
