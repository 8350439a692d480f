/* SPDX-License-Identifier: ISC */
/*
 * Slots of a whole keeper. The sealer is a small TPM in this test: it knows PINs and one PCR, and
 * it can lie or die at any question.
 */
#include "keeper_fixture.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "slot_work.h"
#include "slots.h"

#define SEALS_MAX 64
#define PCR_7     (1u << 7)

struct seal {
	uint8_t h[KEY_SIZE];
	char pin[TOKEN_PIN_MAX + 1];
	uint64_t pcrs;
	unsigned pcr_value;
};

static struct {
	struct seal seals[SEALS_MAX];
	size_t count;
	unsigned pcr_value;
	unsigned opened, wrong_pins; /* questions */
	unsigned dies_at;            /* of all questions from now on; 0: never */
	bool lies;
} tpm;

static void text_of(const struct wire_message *request, unsigned tag, char *text, size_t size)
{
	if (!wire_has(request, tag) || wire_text(request, tag, text, size) != MORTISE_OK)
		text[0] = '\0';
}

static void seal_anew(struct keeper_fixture *fixture, const struct wire_message *request)
{
	struct seal *seal = &tpm.seals[tpm.count];
	struct wire_writer *writer = keeper_begin_sealer(MORTISE_OK);
	uint8_t blob = (uint8_t)tpm.count++;

	assert_true(tpm.count < SEALS_MAX);
	memset(seal->h, 0x40 + blob, sizeof seal->h);
	text_of(request, PROCESS_TAG_PIN, seal->pin, sizeof seal->pin);
	if (wire_has(request, PROCESS_TAG_PCRS))
		assert_int_equal(wire_number(request, PROCESS_TAG_PCRS, &seal->pcrs), MORTISE_OK);
	seal->pcr_value = tpm.pcr_value;
	if (wire_has(request, PROCESS_TAG_URI))
		wire_put_text(writer, PROCESS_TAG_URI, "pkcs11:token=t?module-path=/m.so");
	wire_put(writer, PROCESS_TAG_KEY, seal->h, sizeof seal->h);
	wire_put(writer, PROCESS_TAG_BLOB, &blob, 1);
	keeper_send_sealer(fixture, writer);
}

static void open_seal(struct keeper_fixture *fixture, const struct wire_message *request)
{
	const struct seal *seal = &tpm.seals[wire_field_of(request, PROCESS_TAG_BLOB)->bytes[0]];
	char pin[TOKEN_PIN_MAX + 1];

	tpm.opened++;
	text_of(request, PROCESS_TAG_PIN, pin, sizeof pin);
	if (seal->pcrs && seal->pcr_value != tpm.pcr_value) {
		keeper_fail_sealer(fixture, TOKEN_FAULT_OTHER_PCRS, "");
	} else if (strcmp(seal->pin, pin) != 0) {
		tpm.wrong_pins++;
		keeper_fail_sealer(fixture, TOKEN_FAULT_WRONG_PIN, "");
	} else {
		struct wire_writer *writer = keeper_begin_sealer(MORTISE_OK);
		uint8_t h[KEY_SIZE];
		memcpy(h, seal->h, sizeof h);
		h[0] ^= tpm.lies;
		wire_put(writer, PROCESS_TAG_KEY, h, sizeof h);
		keeper_send_sealer(fixture, writer);
	}
}

static void play_health(struct keeper_fixture *fixture)
{
	struct wire_writer *writer = keeper_begin_sealer(MORTISE_OK);

	wire_put_number(writer, PROCESS_TAG_NUMBER, 0);
	wire_put(writer, PROCESS_TAG_IDS, (uint8_t[4 * HEALTH_IDS]){0}, 4 * HEALTH_IDS);
	keeper_send_sealer(fixture, writer);
}

static void play_silence_behind_health(
	struct keeper_fixture *fixture, const struct wire_message *request)
{
	if (request->code == SEALER_HEALTH)
		play_health(fixture);
}

static void play_tpm(struct keeper_fixture *fixture, const struct wire_message *request)
{
	if (tpm.dies_at && --tpm.dies_at == 0)
		play_death(fixture, request);
	else if (request->code == SEALER_ENROL)
		seal_anew(fixture, request);
	else if (request->code == SEALER_HEALTH)
		play_health(fixture);
	else
		open_seal(fixture, request);
}

static int set_up(void **state)
{
	memset(&tpm, 0, sizeof tpm);
	if (set_up_store(state) != 0)
		return -1;
	((struct keeper_fixture *)*state)->play = play_tpm;
	return 0;
}

/* ---- asking ---- */

struct asking {
	uint64_t slot, pcrs, boots, threshold;
	const char *kind, *pin, *uri, *recovery, *half;
	bool is_dry_run;
};

static uint16_t ask(struct keeper_fixture *fixture, struct asker *asker, uint16_t opcode,
	const struct asking *asking)
{
	struct wire_writer *writer = asker_begin(asker, opcode);

	if (asking->slot)
		wire_put_number(writer, WIRE_TAG_NUMBER, asking->slot);
	if (asking->recovery)
		wire_put_text(writer, WIRE_TAG_RECOVERY, asking->recovery);
	if (asking->kind)
		wire_put_text(writer, WIRE_TAG_SLOT_KIND, asking->kind);
	if (asking->is_dry_run)
		wire_put_number(writer, WIRE_TAG_DRY_RUN, 1);
	if (asking->pin)
		wire_put_text(writer, WIRE_TAG_PIN, asking->pin);
	if (asking->uri)
		wire_put_text(writer, WIRE_TAG_URI, asking->uri);
	if (asking->pcrs)
		wire_put_number(writer, WIRE_TAG_PCRS, asking->pcrs);
	if (asking->half)
		wire_put_text(writer, WIRE_TAG_PUBLIC_KEY, asking->half);
	if (asking->threshold)
		wire_put_number(writer, WIRE_TAG_THRESHOLD, asking->threshold);
	if (asking->boots)
		wire_put_number(writer, WIRE_TAG_BOOTS, asking->boots);
	return asker_call(fixture, asker);
}

#define ASK(opcode, ...) ask(fixture, asker, opcode, &(struct asking){__VA_ARGS__})

/* Must succeed; the slot that was made. */
static uint64_t made(struct asker *asker, uint16_t code)
{
	uint64_t id = 0;

	if (code != MORTISE_OK)
		fail_msg("status %u: %s", code, asker->text);
	assert_int_equal(wire_number(&asker->reply, WIRE_TAG_NUMBER, &id), MORTISE_OK);
	return id;
}

/* The list as "1 recovery ready, 2 tpm2 staged of 1". */
static void assert_slots(struct keeper_fixture *fixture, const char *expected)
{
	struct asker *asker = asker_open(fixture);
	char text[1024] = "", part[256];
	struct wire_field item, fact;

	assert_int_equal(ask_plain(fixture, asker, WIRE_SLOT_LIST), MORTISE_OK);
	struct wire_list list = wire_list_of(&asker->reply, WIRE_TAG_ITEMS);
	while (wire_list_next(&list, &item)) {
		struct wire_message slot, fields;
		char kind[32] = "", state[32] = "", name[32];
		uint64_t id = 0, of = 0;
		assert_int_equal(wire_parse_fields(item.bytes, item.size, &slot), MORTISE_OK);
		struct wire_list facts = wire_list_of(&slot, WIRE_TAG_ITEMS);
		while (wire_list_next(&facts, &fact)) {
			assert_int_equal(
				wire_parse_fields(fact.bytes, fact.size, &fields), MORTISE_OK);
			text_of(&fields, WIRE_TAG_NAME, name, sizeof name);
			if (strcmp(name, "kind") == 0)
				text_of(&fields, WIRE_TAG_TEXT, kind, sizeof kind);
			if (strcmp(name, "state") == 0)
				text_of(&fields, WIRE_TAG_TEXT, state, sizeof state);
			if (strcmp(name, "id") == 0)
				(void)!wire_number(&fields, WIRE_TAG_NUMBER, &id);
			if (strcmp(name, "of") == 0)
				(void)!wire_number(&fields, WIRE_TAG_NUMBER, &of);
		}
		snprintf(
			part, sizeof part, "%s%d %s %s", text[0] ? ", " : "", (int)id, kind, state);
		strncat(text, part, sizeof text - strlen(text) - 1);
		snprintf(part, sizeof part, " of %d", (int)of);
		if (of)
			strncat(text, part, sizeof text - strlen(text) - 1);
	}
	assert_string_equal(text, expected);
	asker_close(asker);
}

/* What it told when it was sealed last: by now it may be trying again. */
static void assert_reason(struct keeper_fixture *fixture, const char *part)
{
	keeper_await_state(fixture, "sealed: ");
	if (!strstr(fixture->state, part))
		fail_msg("'%s' is not in '%s'", part, fixture->state);
}

static uint16_t seal(struct keeper_fixture *fixture, struct asker *asker)
{
	return ask_plain(fixture, asker, WIRE_SEAL);
}

/* ---- tests ---- */

static void slots_are_an_admins_and_an_unsealed_agents(void **state)
{
	struct keeper_fixture *fixture = *state;
	static const uint16_t opcodes[] = {WIRE_SLOT_LIST, WIRE_SLOT_ADD, WIRE_SLOT_REMOVE,
		WIRE_SLOT_TEST, WIRE_SLOT_RESEAL, WIRE_SLOT_SUSPEND, WIRE_SLOT_CHANGE_PIN};

	NEEDS_ROOT();
	become(ALICE, ALICE);
	struct asker *alice = asker_open(fixture);
	for (size_t i = 0; i < sizeof opcodes / sizeof opcodes[0]; i++)
		assert_int_equal(ask_plain(fixture, alice, opcodes[i]), MORTISE_DENIED);
	asker_close(alice);
	become_root();
	struct asker *asker = asker_open(fixture);
	assert_int_equal(seal(fixture, asker), MORTISE_OK);
	for (size_t i = 0; i < sizeof opcodes / sizeof opcodes[0]; i++)
		assert_int_equal(ask_plain(fixture, asker, opcodes[i]), MORTISE_SEALED);
	asker_close(asker);
}

static void a_slot_that_is_added_opens_the_store_alone(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	assert_int_equal(ASK(WIRE_SLOT_ADD, .kind = "tpm2", .is_dry_run = true), MORTISE_OK);
	assert_slots(fixture, "1 recovery ready");
	assert_int_equal(made(asker, ASK(WIRE_SLOT_ADD, .kind = "tpm2")), 2);
	assert_int_equal(made(asker, ASK(WIRE_SLOT_TEST, .slot = 2)), 2);
	assert_int_equal(ASK(WIRE_SLOT_REMOVE, .slot = 1), MORTISE_OK);
	asker_close(asker);
	keeper_restart(fixture);
	keeper_await_state(fixture, "unsealed");
	assert_slots(fixture, "2 tpm2 ready");
}

static void the_last_slot_that_stays_cannot_be_removed(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	assert_int_equal(ASK(WIRE_SLOT_REMOVE, .slot = 1), MORTISE_CONFLICT);
	assert_int_equal(ASK(WIRE_SLOT_REMOVE, .slot = 9), MORTISE_NOT_FOUND);
	assert_int_equal(made(asker, ASK(WIRE_SLOT_ADD, .kind = "tpm2")), 2);
	assert_int_equal(ASK(WIRE_SLOT_REMOVE, .slot = 1), MORTISE_OK);
	/* A staged slot has not shown yet that it opens. */
	assert_int_equal(made(asker, ASK(WIRE_SLOT_RESEAL, .slot = 2)), 3);
	assert_int_equal(ASK(WIRE_SLOT_REMOVE, .slot = 2), MORTISE_CONFLICT);
	assert_int_equal(ASK(WIRE_SLOT_REMOVE, .slot = 3), MORTISE_OK);
	assert_slots(fixture, "2 tpm2 ready");
	asker_close(asker);
}

static void hardware_that_lies_makes_no_slot(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	assert_int_equal(made(asker, ASK(WIRE_SLOT_ADD, .kind = "tpm2")), 2);
	tpm.lies = true;
	assert_int_equal(ASK(WIRE_SLOT_ADD, .kind = "tpm2"), MORTISE_HARDWARE);
	assert_non_null(strstr(asker->text, "something else"));
	assert_int_equal(ASK(WIRE_SLOT_TEST, .slot = 2), MORTISE_INTEGRITY);
	assert_int_equal(ASK(WIRE_SLOT_RESEAL, .slot = 2), MORTISE_HARDWARE);
	assert_slots(fixture, "1 recovery ready, 2 tpm2 ready");
	asker_close(asker);
}

static void a_sealer_that_dies_at_any_step_changes_no_slot(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);
	static const struct {
		uint16_t opcode;
		struct asking asking;
	} steps[] = {
		{WIRE_SLOT_ADD, {.kind = "tpm2"}},
		{WIRE_SLOT_RESEAL, {.slot = 2, .pin = "1234"}},
		{WIRE_SLOT_SUSPEND, {.slot = 2, .pin = "1234"}},
		{WIRE_SLOT_CHANGE_PIN, {.slot = 2, .pin = "5678"}},
	};

	assert_int_equal(
		made(asker, ASK(WIRE_SLOT_ADD, .kind = "tpm2", .pin = "1234", .pcrs = PCR_7)), 2);
	for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++)
		for (unsigned at = 1; at <= 2; at++) {
			tpm.dies_at = at;
			assert_int_equal(ask(fixture, asker, steps[i].opcode, &steps[i].asking),
				MORTISE_HARDWARE);
			assert_int_equal(tpm.dies_at, 0);
			assert_slots(fixture, "1 recovery ready, 2 tpm2 ready");
		}
	assert_int_equal(made(asker, ASK(WIRE_SLOT_TEST, .slot = 2, .pin = "1234")), 2);
	asker_close(asker);
}

/* SIGKILL when the sealer has been asked; the store opens by every slot that there was. */
static void a_keeper_killed_at_any_question_leaves_a_store_that_opens(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	assert_int_equal(made(asker, ASK(WIRE_SLOT_ADD, .kind = "tpm2")), 2);
	asker_close(asker);
	for (unsigned at = 1; at <= 2; at++) {
		asker = asker_open(fixture);
		fixture->play = at == 1 ? play_silent : play_tpm;
		fixture->questions = 0;
		wire_put_number(asker_begin(asker, WIRE_SLOT_RESEAL), WIRE_TAG_NUMBER, 2);
		asker_send(asker);
		keeper_await_questions(fixture, 1);
		fixture->play = play_silent;
		if (at == 2)
			keeper_await_questions(fixture, 2);
		kill(fixture->pid, SIGKILL);
		(void)keeper_reap(fixture);
		asker_close(asker);
		fixture->play = play_tpm;
		keeper_start(fixture);
		keeper_await_state(fixture, "unsealed");
		assert_slots(fixture, "1 recovery ready, 2 tpm2 ready");
	}
}

static void a_reseal_stays_beside_the_old_slot_until_it_has_opened(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	assert_int_equal(made(asker, ASK(WIRE_SLOT_ADD, .kind = "tpm2", .pcrs = PCR_7)), 2);
	tpm.pcr_value = 1;
	assert_int_equal(made(asker, ASK(WIRE_SLOT_RESEAL, .slot = 2)), 3);
	assert_slots(fixture, "1 recovery ready, 2 tpm2 ready, 3 tpm2 staged of 2");
	/* Another one takes its place, and the values go back: the old slot is what opens. */
	assert_int_equal(made(asker, ASK(WIRE_SLOT_RESEAL, .slot = 2)), 4);
	assert_slots(fixture, "1 recovery ready, 2 tpm2 ready, 4 tpm2 staged of 2");
	asker_close(asker);
	tpm.pcr_value = 0;
	keeper_restart(fixture);
	keeper_await_state(fixture, "unsealed");
	assert_slots(fixture, "1 recovery ready, 2 tpm2 ready, 4 tpm2 staged of 2");
	tpm.pcr_value = 1;
	keeper_restart(fixture);
	keeper_await_state(fixture, "unsealed");
	assert_slots(fixture, "1 recovery ready, 4 tpm2 ready");
	assert_true(keeper_log_has(fixture, "slot 4 has opened and replaces slot 2"));
}

static void a_staged_slot_is_tried_though_the_old_one_would_open(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	assert_int_equal(made(asker, ASK(WIRE_SLOT_ADD, .kind = "tpm2")), 2);
	assert_int_equal(made(asker, ASK(WIRE_SLOT_RESEAL, .slot = 2)), 3);
	asker_close(asker);
	keeper_restart(fixture);
	keeper_await_state(fixture, "unsealed");
	assert_slots(fixture, "1 recovery ready, 3 tpm2 ready");
}

static void other_pcr_values_are_named_with_their_slot_and_the_way_on(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	assert_int_equal(made(asker, ASK(WIRE_SLOT_ADD, .kind = "tpm2", .pcrs = PCR_7)), 2);
	asker_close(asker);
	tpm.pcr_value = 1;
	keeper_restart(fixture);
	assert_reason(fixture, "slot 2: the TPM expects other PCR values");
	assert_reason(fixture, "mortise unseal --recovery, then: mortise slot reseal 2");
}

static void a_slot_that_fails_does_not_stop_the_next(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	assert_int_equal(made(asker, ASK(WIRE_SLOT_ADD, .kind = "tpm2", .pcrs = PCR_7)), 2);
	assert_int_equal(made(asker, ASK(WIRE_SLOT_ADD, .kind = "tpm2")), 3);
	asker_close(asker);
	tpm.pcr_value = 1;
	keeper_restart(fixture);
	keeper_await_state(fixture, "unsealed");
	/* One whose h is another's fails likewise. */
	tpm.seals[0].pcr_value = 1;
	tpm.seals[0].h[5] ^= 1;
	keeper_restart(fixture);
	keeper_await_state(fixture, "unsealed");
}

/* ---- PINs ---- */

static void a_slot_with_a_pin_waits_for_it_and_is_not_tried_without(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);
	char fact[256];

	assert_int_equal(made(asker, ASK(WIRE_SLOT_ADD, .kind = "tpm2", .pin = "1234")), 2);
	asker_close(asker);
	tpm.opened = 0;
	keeper_restart(fixture);
	assert_reason(fixture, "slot 2: it waits for its PIN");
	keeper_fact(fixture, "pin_slot", fact);
	assert_string_equal(fact, "2");
	assert_int_equal(tpm.opened, 0);
	asker = asker_open(fixture);
	assert_int_equal(ask_plain(fixture, asker, WIRE_UNSEAL), MORTISE_HARDWARE);
	assert_int_equal(tpm.opened, 0);
	assert_int_equal(ASK(WIRE_UNSEAL, .pin = "1234"), MORTISE_OK);
	assert_int_equal(tpm.opened, 1);
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

	assert_int_equal(made(asker, ASK(WIRE_SLOT_ADD, .kind = "tpm2", .pin = "1234")), 2);
	assert_waits_for(fixture, "");
	asker_close(asker);
	keeper_restart(fixture);
	assert_reason(fixture, "slot 2: it waits for its PIN");
	asker = asker_open(fixture);
	assert_int_equal(ASK(WIRE_UNSEAL, .pin = "0000"), MORTISE_HARDWARE);
	assert_waits_for(fixture, "2");
	assert_int_equal(seal(fixture, asker), MORTISE_OK);
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

	assert_int_equal(made(asker, ASK(WIRE_SLOT_ADD, .kind = "tpm2", .pin = "1234")), 2);
	assert_int_equal(made(asker, ASK(WIRE_SLOT_ADD, .kind = "tpm2")), 3);
	asker_close(asker);
	keeper_restart(fixture);
	keeper_await_state(fixture, "unsealed");
	assert_waits_for(fixture, "");
}

static void a_wrong_pin_is_tried_once_and_at_one_slot_only(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	assert_int_equal(made(asker, ASK(WIRE_SLOT_ADD, .kind = "tpm2", .pin = "1234")), 2);
	assert_int_equal(made(asker, ASK(WIRE_SLOT_ADD, .kind = "tpm2", .pin = "5678")), 3);
	assert_int_equal(seal(fixture, asker), MORTISE_OK);
	assert_int_equal(ASK(WIRE_UNSEAL, .pin = "0000"), MORTISE_HARDWARE);
	assert_non_null(strstr(asker->text, "slot 2: the PIN is wrong, and was tried once"));
	assert_int_equal(tpm.wrong_pins, 1);
	assert_int_equal(ASK(WIRE_UNSEAL, .pin = "5678", .slot = 3), MORTISE_OK);
	assert_int_equal(tpm.wrong_pins, 1);
	asker_close(asker);
}

/* A slot and what replaces or stands in for it have one PIN, and a TPM counts each try. */
static void a_wrong_pin_is_tried_once_though_a_slot_has_others_beside_it(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	assert_int_equal(
		made(asker, ASK(WIRE_SLOT_ADD, .kind = "tpm2", .pin = "1234", .pcrs = PCR_7)), 2);
	/* The one that was staged has opened and is named then. */
	for (uint64_t slot = 2; slot <= 4; slot += 2) {
		assert_int_equal(made(asker, ASK(WIRE_SLOT_SUSPEND, .slot = slot, .pin = "1234",
						     .boots = 1)),
			slot + 1);
		assert_int_equal(
			made(asker, ASK(WIRE_SLOT_RESEAL, .slot = slot, .pin = "1234")), slot + 2);
		assert_int_equal(seal(fixture, asker), MORTISE_OK);
		tpm.opened = tpm.wrong_pins = 0;
		assert_int_equal(ASK(WIRE_UNSEAL, .pin = "0000", .slot = slot == 2 ? 0 : slot),
			MORTISE_HARDWARE);
		assert_int_equal(tpm.wrong_pins, 1);
		assert_int_equal(tpm.opened, 1);
		assert_int_equal(ASK(WIRE_UNSEAL, .pin = "1234"), MORTISE_OK);
		assert_int_equal(tpm.wrong_pins, 1);
	}
	asker_close(asker);
}

static void a_changed_pin_opens_and_the_old_one_does_not(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	assert_int_equal(made(asker, ASK(WIRE_SLOT_ADD, .kind = "tpm2", .pin = "1234")), 2);
	assert_int_equal(ASK(WIRE_SLOT_CHANGE_PIN, .slot = 2), MORTISE_INVALID);
	assert_int_equal(ASK(WIRE_SLOT_CHANGE_PIN, .slot = 1), MORTISE_CONFLICT);
	assert_int_equal(made(asker, ASK(WIRE_SLOT_CHANGE_PIN, .slot = 2, .pin = "5678")), 2);
	assert_slots(fixture, "1 recovery ready, 2 tpm2 ready");
	assert_int_equal(seal(fixture, asker), MORTISE_OK);
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
		made(asker, ASK(WIRE_SLOT_ADD, .kind = "pkcs11", .uri = "pkcs11:token=t")), 2);
	asker_close(asker);
	snprintf(tpm.seals[0].pin, sizeof tpm.seals[0].pin, "the file has another");
	tpm.opened = 0;
	for (unsigned i = 0; i < 5; i++) {
		keeper_restart(fixture);
		assert_reason(fixture, i ? "its PIN failed" : "the PIN is wrong");
		assert_int_equal(tpm.opened, 1);
	}
	asker = asker_open(fixture);
	assert_int_equal(ask_plain(fixture, asker, WIRE_UNSEAL), MORTISE_HARDWARE);
	assert_int_equal(tpm.opened, 2);
	tpm.seals[0].pin[0] = '\0';
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
		made(asker, ASK(WIRE_SLOT_ADD, .kind = "pkcs11", .uri = "pkcs11:token=t")), 2);
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
	assert_reason(fixture, "its PIN failed");
	assert_int_equal(fixture->questions, 2);
}

/* What is noted of a PIN is noted of the slot that is gone. */
static void a_new_token_is_tried_though_the_pin_of_the_one_before_it_failed(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	assert_int_equal(
		made(asker, ASK(WIRE_SLOT_ADD, .kind = "pkcs11", .uri = "pkcs11:token=t")), 2);
	asker_close(asker);
	snprintf(tpm.seals[0].pin, sizeof tpm.seals[0].pin, "the file has another");
	keeper_restart(fixture);
	assert_reason(fixture, "the PIN is wrong");
	asker = asker_open(fixture);
	assert_int_equal(ask_recover(fixture, asker, fixture->recovery), MORTISE_OK);
	assert_int_equal(ASK(WIRE_SLOT_REMOVE, .slot = 2), MORTISE_OK);
	uint64_t id =
		made(asker, ASK(WIRE_SLOT_ADD, .kind = "pkcs11", .uri = "pkcs11:token=other"));
	assert_int_equal(made(asker, ASK(WIRE_SLOT_TEST, .slot = id)), id);
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
		made(asker, ASK(WIRE_SLOT_ADD, .kind = "pkcs11", .uri = "pkcs11:token=t")), 2);
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
	assert_int_equal(made(asker, ASK(WIRE_SLOT_TEST, .slot = 2)), 2);
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
		made(asker, ASK(WIRE_SLOT_ADD, .kind = "pkcs11", .uri = "pkcs11:token=t")), 2);
	asker_close(asker);
	fixture->play = play_deaths;
	dying_question = SEALER_HEALTH;
	deaths = 3;
	keeper_restart(fixture);
	assert_reason(fixture, "the sealer died");
	assert_reason(fixture, "it is tried again by itself");
	keeper_await_state(fixture, "unsealed");
	assert_int_equal(deaths, 0);
	dying_question = SEALER_OPEN;
	deaths = 3;
	keeper_restart(fixture);
	assert_reason(fixture, "its PIN may have been tried, and is not tried again by itself");
	assert_int_equal(deaths, 2);
	keeper_restart(fixture);
	assert_reason(fixture, "its PIN failed");
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

	assert_int_equal(made(asker, ASK(WIRE_SLOT_ADD, .kind = "tpm2", .pcrs = PCR_7)), 2);
	assert_int_equal(made(asker, ASK(WIRE_SLOT_ADD, .kind = "tpm2", .pin = "1234")), 3);
	asker_close(asker);
	tpm.pcr_value = 1;
	for (unsigned i = 0; i < 2; i++) {
		fixture->play = play_tpm_behind_silence;
		fixture->questions = 0;
		keeper_restart(fixture);
		keeper_await_questions(fixture, 1);
		asker = asker_open(fixture);
		wire_put_text(asker_begin(asker, WIRE_UNSEAL), WIRE_TAG_PIN, i ? "1234" : "4321");
		asker_send_read(asker);
		struct asker *second = asker_open(fixture);
		assert_int_equal(ask(fixture, second, WIRE_UNSEAL, &(struct asking){.pin = "1234"}),
			MORTISE_BUSY);
		asker_close(second);
		keeper_fail_sealer(fixture, TOKEN_FAULT_OTHER_PCRS, "");
		assert_int_equal(asker_receive(fixture, asker), i ? MORTISE_OK : MORTISE_HARDWARE);
		asker_close(asker);
	}
	assert_int_equal(tpm.wrong_pins, 1);
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
		if (ask(fixture, asker, WIRE_SLOT_ADD, &wrong[i]) != MORTISE_INVALID)
			fail_msg("wish %zu was taken", i);
	assert_int_equal(fixture->spawns, 0);
	assert_slots(fixture, "1 recovery ready");
	asker_close(asker);
}

/* ---- what is typed ---- */

static uint16_t unseal_with_shares(struct keeper_fixture *fixture, struct asker *asker,
	char texts[][128], size_t count, uint64_t *out_missing)
{
	struct wire_writer *writer = asker_begin(asker, WIRE_UNSEAL);
	size_t list = wire_list_begin(writer, WIRE_TAG_SHARES);

	for (size_t i = 0; i < count; i++)
		wire_item_put(writer, texts[i], strlen(texts[i]));
	wire_list_end(writer, list);
	uint16_t code = asker_call(fixture, asker);
	*out_missing = 0;
	if (code == MORTISE_OK && wire_has(&asker->reply, WIRE_TAG_NUMBER))
		assert_int_equal(
			wire_number(&asker->reply, WIRE_TAG_NUMBER, out_missing), MORTISE_OK);
	return code;
}

static void shares_are_typed_one_after_another_until_there_are_enough(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);
	char texts[5][128] = {""};
	struct wire_field item;
	uint64_t missing = 0;
	size_t count = 0;

	assert_int_equal(made(asker, ASK(WIRE_SLOT_ADD, .kind = "recovery-shares", .slot = 5,
					     .threshold = 3)),
		2);
	struct wire_list list = wire_list_of(&asker->reply, WIRE_TAG_SHARES);
	while (wire_list_next(&list, &item))
		memcpy(texts[count++], item.bytes, item.size);
	assert_int_equal(count, 5);
	assert_int_equal(seal(fixture, asker), MORTISE_OK);
	size_t lines = keeper_log_lines(fixture);
	assert_int_equal(unseal_with_shares(fixture, asker, texts, 1, &missing), MORTISE_OK);
	assert_int_equal(missing, 2);
	assert_int_equal(unseal_with_shares(fixture, asker, texts, 2, &missing), MORTISE_OK);
	assert_int_equal(missing, 1);
	assert_int_equal(keeper_log_lines(fixture), lines);
	memcpy(texts[2], texts[0], 128);
	assert_int_equal(unseal_with_shares(fixture, asker, texts, 3, &missing), MORTISE_INVALID);
	assert_non_null(strstr(asker->text, "share 3 is there twice"));
	memcpy(texts[2], texts[4], 128);
	texts[2][60] = texts[2][60] == '7' ? '8' : '7';
	assert_int_equal(unseal_with_shares(fixture, asker, texts, 3, &missing), MORTISE_INVALID);
	assert_non_null(strstr(asker->text, "group 11 of share 3"));
	memcpy(texts[2], texts[4], 128);
	assert_int_equal(unseal_with_shares(fixture, asker, texts, 3, &missing), MORTISE_OK);
	assert_int_equal(missing, 0);
	keeper_await_state(fixture, "unsealed");
	asker_close(asker);
}

static void an_escrow_slot_opens_by_the_key_that_was_made_elsewhere(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);
	char key[128], half[128];

	assert_int_equal(ASK(WIRE_SLOT_ADD, .kind = "escrow-key"), MORTISE_OK);
	text_of(&asker->reply, WIRE_TAG_RECOVERY, key, sizeof key);
	text_of(&asker->reply, WIRE_TAG_PUBLIC_KEY, half, sizeof half);
	assert_slots(fixture, "1 recovery ready");
	assert_int_equal(ASK(WIRE_SLOT_ADD, .kind = "escrow", .half = key), MORTISE_INVALID);
	assert_int_equal(made(asker, ASK(WIRE_SLOT_ADD, .kind = "escrow", .half = half)), 2);
	assert_int_equal(
		ASK(WIRE_SLOT_TEST, .slot = 2, .recovery = fixture->recovery), MORTISE_DENIED);
	assert_int_equal(ASK(WIRE_SLOT_TEST, .slot = 2, .recovery = key), MORTISE_OK);
	assert_int_equal(seal(fixture, asker), MORTISE_OK);
	assert_int_equal(ask_recover(fixture, asker, half), MORTISE_INVALID);
	assert_int_equal(ask_recover(fixture, asker, key), MORTISE_OK);
	assert_int_equal(ASK(WIRE_SLOT_REMOVE, .slot = 2), MORTISE_OK);
	assert_int_equal(seal(fixture, asker), MORTISE_OK);
	assert_int_equal(ask_recover(fixture, asker, key), MORTISE_DENIED);
	assert_int_equal(ask_recover(fixture, asker, fixture->recovery), MORTISE_OK);
	asker_close(asker);
}

/* ---- the disk ---- */

static enum mortise_status copy_record(
	void *context, enum store_item kind, uint64_t number, struct store_bytes body)
{
	struct store_bytes *record = context;

	if (kind == STORE_SLOT && number == 2) {
		record->bytes = memcpy(malloc(body.size), body.bytes, body.size);
		record->size = body.size;
	}
	return MORTISE_OK;
}

static void a_slot_whose_hints_were_edited_on_disk_opens_no_store(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);
	uint8_t edited[SLOT_RECORD_MAX];
	struct store_bytes record = {NULL, 0};
	struct store *store = NULL;
	struct slot slot;
	size_t size = 0;

	assert_int_equal(made(asker, ASK(WIRE_SLOT_ADD, .kind = "tpm2")), 2);
	asker_close(asker);
	assert_int_equal(keeper_stop(fixture), 0);
	assert_int_equal(store_open(fixture->store, &store), MORTISE_OK);
	assert_int_equal(store_each_item(store, copy_record, &record), MORTISE_OK);
	assert_int_equal(slot_read(record, &slot), MORTISE_OK);
	slot.hints.created_us++;
	assert_int_equal(slot_hint(&slot, &slot.hints, edited, &size), MORTISE_OK);
	assert_int_equal(store_begin(store), MORTISE_OK);
	assert_int_equal(store_put_item(store, STORE_SLOT, 2, (struct store_bytes){edited, size}),
		MORTISE_OK);
	assert_int_equal(store_commit(store), MORTISE_OK);
	store_close(store);
	keeper_start(fixture);
	assert_reason(fixture, "the tally does not match");
	free((void *)(uintptr_t)record.bytes);
}

static void a_seal_by_an_admin_ends_the_work_on_a_slot(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture), *other = asker_open(fixture);

	fixture->play = play_silent;
	wire_put_text(asker_begin(asker, WIRE_SLOT_ADD), WIRE_TAG_SLOT_KIND, "tpm2");
	asker_send(asker);
	keeper_await_questions(fixture, 1);
	assert_int_equal(ask_plain(fixture, other, WIRE_SLOT_LIST), MORTISE_OK);
	wire_put_text(asker_begin(other, WIRE_SLOT_ADD), WIRE_TAG_SLOT_KIND, "tpm2");
	assert_int_equal(asker_call(fixture, other), MORTISE_BUSY);
	assert_int_equal(seal(fixture, other), MORTISE_OK);
	assert_int_equal(asker_receive(fixture, asker), MORTISE_SEALED);
	assert_int_equal(ask_recover(fixture, other, fixture->recovery), MORTISE_OK);
	/* Now the sealer answers, for somebody who has been told that it is off. */
	fixture->play = play_tpm;
	struct wire_writer *writer = keeper_begin_sealer(MORTISE_OK);
	uint8_t blob = (uint8_t)tpm.count++;
	wire_put(writer, PROCESS_TAG_KEY, tpm.seals[blob].h, KEY_SIZE);
	wire_put(writer, PROCESS_TAG_BLOB, &blob, 1);
	keeper_send_sealer(fixture, writer);
	uint16_t code;
	do {
		wire_put_text(asker_begin(other, WIRE_SLOT_ADD), WIRE_TAG_SLOT_KIND, "tpm2");
		code = asker_call(fixture, other);
	} while (code == MORTISE_BUSY);
	assert_int_equal(code, MORTISE_OK);
	assert_slots(fixture, "1 recovery ready, 2 tpm2 ready");
	asker_close(asker);
	asker_close(other);
}

/* ---- suspended ---- */

static time_t ahead_s; /* of the clocks, for a keeper that is started then */

/* It stands before libc's for all that is linked statically. */
int clock_gettime(clockid_t id, struct timespec *out_now)
{
	int result = (int)syscall(SYS_clock_gettime, id, out_now);

	if (result == 0)
		out_now->tv_sec += ahead_s;
	return result;
}

static char boot_file[64];

/* In the keeper's process: another boot, as far as it can see. */
static void boot_anew(void)
{
	if (boot_file[0] && (unshare(CLONE_NEWNS) != 0 ||
				    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
				    mount(boot_file, "/proc/sys/kernel/random/boot_id", NULL,
					    MS_BIND, NULL) != 0))
		_exit(77);
}

/* Restarts the keeper in a boot of that name; false where there are no namespaces. */
static bool restart_in_boot(struct keeper_fixture *fixture, const char *name)
{
	assert_int_equal(keeper_stop(fixture), 0);
	snprintf(boot_file, sizeof boot_file, "%.50s/boot", fixture->directory);
	FILE *file = fopen(boot_file, "w");
	assert_non_null(file);
	fprintf(file, "%s\n", name);
	fclose(file);
	fixture->before = boot_anew;
	keeper_start(fixture);
	return true;
}

static void a_suspended_slot_opens_once_in_the_next_boot_and_is_resealed(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	NEEDS_ROOT();
	if (unshare(CLONE_NEWNS) != 0) {
		print_message("needs mount namespaces\n");
		skip();
	}
	assert_int_equal(made(asker, ASK(WIRE_SLOT_ADD, .kind = "tpm2", .pcrs = PCR_7)), 2);
	assert_int_equal(ASK(WIRE_SLOT_SUSPEND, .slot = 1), MORTISE_CONFLICT);
	assert_int_equal(ASK(WIRE_SLOT_SUSPEND, .slot = 2, .boots = 11), MORTISE_INVALID);
	assert_int_equal(made(asker, ASK(WIRE_SLOT_SUSPEND, .slot = 2, .boots = 1)), 3);
	asker_close(asker);
	/* In this boot it opens nothing, and a restart does not use it up. */
	tpm.pcr_value = 1;
	keeper_restart(fixture);
	assert_reason(fixture, "slot 2: the TPM expects other PCR values");
	tpm.pcr_value = 0;
	keeper_restart(fixture);
	keeper_await_state(fixture, "unsealed");
	assert_slots(fixture, "1 recovery ready, 2 tpm2 ready, 3 tpm2 stand-in of 2");
	/* After the update it does. */
	tpm.pcr_value = 1;
	fixture->questions = 0;
	restart_in_boot(fixture, "second");
	keeper_await_state(fixture, "unsealed");
	keeper_await_questions(fixture, 4);
	assert_slots(fixture, "1 recovery ready, 2 tpm2 ready, 4 tpm2 staged of 2");
	assert_true(keeper_log_has(fixture, "a suspended slot is resealed, as slot 4"));
	restart_in_boot(fixture, "third");
	keeper_await_state(fixture, "unsealed");
	assert_slots(fixture, "1 recovery ready, 4 tpm2 ready");
}

/* What opened the store no longer must not come back by an answer that took its time. */
static void a_slot_that_was_removed_while_it_was_resealed_opens_nothing(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture), *resealing = asker_open(fixture);

	assert_int_equal(made(asker, ASK(WIRE_SLOT_ADD, .kind = "tpm2")), 2);
	fixture->play = play_silent;
	fixture->questions = 0;
	wire_put_number(asker_begin(resealing, WIRE_SLOT_RESEAL), WIRE_TAG_NUMBER, 2);
	asker_send(resealing);
	keeper_await_questions(fixture, 1);
	assert_int_equal(ASK(WIRE_SLOT_REMOVE, .slot = 2), MORTISE_OK);
	fixture->play = play_tpm;
	play_tpm(fixture, &(struct wire_message){.code = SEALER_ENROL});
	uint16_t code = asker_receive(fixture, resealing);
	assert_slots(fixture, "1 recovery ready");
	assert_int_not_equal(code, MORTISE_OK);
	asker_close(asker);
	asker_close(resealing);
}

/* Its id is the next one's, who was told that he has it. */
static void a_key_that_was_added_in_the_place_of_a_removed_slot_stays_its_own(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture), *changing = asker_open(fixture);
	char key[128];

	assert_int_equal(made(asker, ASK(WIRE_SLOT_ADD, .kind = "tpm2", .pin = "1234")), 2);
	fixture->play = play_silent;
	fixture->questions = 0;
	struct wire_writer *writer = asker_begin(changing, WIRE_SLOT_CHANGE_PIN);
	wire_put_number(writer, WIRE_TAG_NUMBER, 2);
	wire_put_text(writer, WIRE_TAG_PIN, "4321");
	asker_send(changing);
	keeper_await_questions(fixture, 1);
	assert_int_equal(ASK(WIRE_SLOT_REMOVE, .slot = 2), MORTISE_OK);
	uint64_t id = made(asker, ASK(WIRE_SLOT_ADD, .kind = "recovery"));
	text_of(&asker->reply, WIRE_TAG_RECOVERY, key, sizeof key);
	fixture->play = play_tpm;
	play_tpm(fixture, &(struct wire_message){.code = SEALER_ENROL});
	snprintf(tpm.seals[tpm.count - 1].pin, sizeof tpm.seals[0].pin, "4321");
	(void)asker_receive(fixture, changing);
	assert_int_equal(ASK(WIRE_SLOT_TEST, .slot = id, .recovery = key), MORTISE_OK);
	asker_close(asker);
	asker_close(changing);
}

/* Whoever keeps the host from booting keeps nothing open: without PCRs it is a day's affair. */
static void a_suspended_slot_opens_nothing_once_its_time_is_over(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	NEEDS_ROOT();
	assert_int_equal(made(asker, ASK(WIRE_SLOT_ADD, .kind = "tpm2", .pcrs = PCR_7)), 2);
	assert_int_equal(made(asker, ASK(WIRE_SLOT_SUSPEND, .slot = 2, .boots = 10)), 3);
	asker_close(asker);
	tpm.pcr_value = 1;
	ahead_s = SLOT_SUSPEND_S + 60;
	restart_in_boot(fixture, "second");
	ahead_s = 0;
	assert_reason(fixture, "slot 2: the TPM expects other PCR values");
	assert_null(strstr(fixture->state, "slot 3"));
	/* It is the time that makes the difference. */
	ahead_s = SLOT_SUSPEND_S - 600;
	restart_in_boot(fixture, "third");
	ahead_s = 0;
	keeper_await_state(fixture, "unsealed");
}

static void a_suspension_that_was_not_needed_ends_with_the_next_boot(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	NEEDS_ROOT();
	assert_int_equal(made(asker, ASK(WIRE_SLOT_ADD, .kind = "tpm2", .pcrs = PCR_7)), 2);
	assert_int_equal(made(asker, ASK(WIRE_SLOT_SUSPEND, .slot = 2, .boots = 2)), 3);
	asker_close(asker);
	restart_in_boot(fixture, "second");
	keeper_await_state(fixture, "unsealed");
	assert_slots(fixture, "1 recovery ready, 2 tpm2 ready, 3 tpm2 stand-in of 2");
	restart_in_boot(fixture, "third");
	keeper_await_state(fixture, "unsealed");
	assert_slots(fixture, "1 recovery ready, 2 tpm2 ready");
	assert_true(keeper_log_has(fixture, "slot 3 stands in for slot 2 no more"));
}

int main(void)
{
#define IN_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down_keeper)
	const struct CMUnitTest tests[] = {
		IN_FIXTURE(slots_are_an_admins_and_an_unsealed_agents),
		IN_FIXTURE(a_slot_that_is_added_opens_the_store_alone),
		IN_FIXTURE(the_last_slot_that_stays_cannot_be_removed),
		IN_FIXTURE(hardware_that_lies_makes_no_slot),
		IN_FIXTURE(a_sealer_that_dies_at_any_step_changes_no_slot),
		IN_FIXTURE(a_keeper_killed_at_any_question_leaves_a_store_that_opens),
		IN_FIXTURE(a_reseal_stays_beside_the_old_slot_until_it_has_opened),
		IN_FIXTURE(a_staged_slot_is_tried_though_the_old_one_would_open),
		IN_FIXTURE(other_pcr_values_are_named_with_their_slot_and_the_way_on),
		IN_FIXTURE(a_slot_that_fails_does_not_stop_the_next),
		IN_FIXTURE(a_slot_with_a_pin_waits_for_it_and_is_not_tried_without),
		IN_FIXTURE(it_waits_until_the_pin_is_right_or_an_admin_wants_it_sealed),
		IN_FIXTURE(it_waits_for_none_where_another_slot_has_opened),
		IN_FIXTURE(a_wrong_pin_is_tried_once_and_at_one_slot_only),
		IN_FIXTURE(a_wrong_pin_is_tried_once_though_a_slot_has_others_beside_it),
		IN_FIXTURE(a_changed_pin_opens_and_the_old_one_does_not),
		IN_FIXTURE(a_token_whose_pin_failed_is_not_tried_again_by_a_restart),
		IN_FIXTURE(a_keeper_killed_while_a_pin_is_tried_does_not_try_it_again),
		IN_FIXTURE(a_pin_that_was_right_opens_the_next_time_though_its_answer_came_late),
		IN_FIXTURE(a_module_that_crashes_is_tried_again_unless_a_pin_may_have_been),
		IN_FIXTURE(a_pin_that_is_typed_while_hardware_is_asked_has_its_turn_behind_that),
		IN_FIXTURE(a_pin_in_a_uri_and_other_wishes_that_make_no_sense_are_refused),
		IN_FIXTURE(shares_are_typed_one_after_another_until_there_are_enough),
		IN_FIXTURE(an_escrow_slot_opens_by_the_key_that_was_made_elsewhere),
		IN_FIXTURE(a_slot_whose_hints_were_edited_on_disk_opens_no_store),
		IN_FIXTURE(a_seal_by_an_admin_ends_the_work_on_a_slot),
		IN_FIXTURE(a_suspended_slot_opens_once_in_the_next_boot_and_is_resealed),
		IN_FIXTURE(a_slot_that_was_removed_while_it_was_resealed_opens_nothing),
		IN_FIXTURE(a_key_that_was_added_in_the_place_of_a_removed_slot_stays_its_own),
		IN_FIXTURE(a_new_token_is_tried_though_the_pin_of_the_one_before_it_failed),
		IN_FIXTURE(a_suspended_slot_opens_nothing_once_its_time_is_over),
		IN_FIXTURE(a_suspension_that_was_not_needed_ends_with_the_next_boot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
