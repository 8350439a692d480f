/* SPDX-License-Identifier: ISC */
/* Slots as they are listed, added, removed, tested and resealed. */
#include "slots_fixture.h"

#include <signal.h>

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
	assert_int_equal(slots_seal(fixture, asker), MORTISE_OK);
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
	assert_int_equal(slots_made(asker, ASK(WIRE_SLOT_ADD, .kind = "tpm2")), 2);
	assert_int_equal(slots_made(asker, ASK(WIRE_SLOT_TEST, .slot = 2)), 2);
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
	assert_int_equal(slots_made(asker, ASK(WIRE_SLOT_ADD, .kind = "tpm2")), 2);
	assert_int_equal(ASK(WIRE_SLOT_REMOVE, .slot = 1), MORTISE_OK);
	/* A staged slot has not shown yet that it opens. */
	assert_int_equal(slots_made(asker, ASK(WIRE_SLOT_RESEAL, .slot = 2)), 3);
	assert_int_equal(ASK(WIRE_SLOT_REMOVE, .slot = 2), MORTISE_CONFLICT);
	assert_int_equal(ASK(WIRE_SLOT_REMOVE, .slot = 3), MORTISE_OK);
	assert_slots(fixture, "2 tpm2 ready");
	asker_close(asker);
}

static void hardware_that_lies_makes_no_slot(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	assert_int_equal(slots_made(asker, ASK(WIRE_SLOT_ADD, .kind = "tpm2")), 2);
	fake_tpm.lies = true;
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
		slots_made(asker, ASK(WIRE_SLOT_ADD, .kind = "tpm2", .pin = "1234", .pcrs = PCR_7)),
		2);
	for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++)
		for (unsigned at = 1; at <= 2; at++) {
			fake_tpm.dies_at = at;
			assert_int_equal(
				slots_ask(fixture, asker, steps[i].opcode, &steps[i].asking),
				MORTISE_HARDWARE);
			assert_int_equal(fake_tpm.dies_at, 0);
			assert_slots(fixture, "1 recovery ready, 2 tpm2 ready");
		}
	assert_int_equal(slots_made(asker, ASK(WIRE_SLOT_TEST, .slot = 2, .pin = "1234")), 2);
	asker_close(asker);
}

/* SIGKILL when the sealer has been asked; the store opens by every slot that there was. */
static void a_keeper_killed_at_any_question_leaves_a_store_that_opens(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	assert_int_equal(slots_made(asker, ASK(WIRE_SLOT_ADD, .kind = "tpm2")), 2);
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

	assert_int_equal(slots_made(asker, ASK(WIRE_SLOT_ADD, .kind = "tpm2", .pcrs = PCR_7)), 2);
	fake_tpm.pcr_value = 1;
	assert_int_equal(slots_made(asker, ASK(WIRE_SLOT_RESEAL, .slot = 2)), 3);
	assert_slots(fixture, "1 recovery ready, 2 tpm2 ready, 3 tpm2 staged of 2");
	/* Another one takes its place, and the values go back: the old slot is what opens. */
	assert_int_equal(slots_made(asker, ASK(WIRE_SLOT_RESEAL, .slot = 2)), 4);
	assert_slots(fixture, "1 recovery ready, 2 tpm2 ready, 4 tpm2 staged of 2");
	asker_close(asker);
	fake_tpm.pcr_value = 0;
	keeper_restart(fixture);
	keeper_await_state(fixture, "unsealed");
	assert_slots(fixture, "1 recovery ready, 2 tpm2 ready, 4 tpm2 staged of 2");
	fake_tpm.pcr_value = 1;
	keeper_restart(fixture);
	keeper_await_state(fixture, "unsealed");
	assert_slots(fixture, "1 recovery ready, 4 tpm2 ready");
	assert_true(keeper_log_has(fixture, "slot 4 has opened and replaces slot 2"));
}

static void a_staged_slot_is_tried_though_the_old_one_would_open(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	assert_int_equal(slots_made(asker, ASK(WIRE_SLOT_ADD, .kind = "tpm2")), 2);
	assert_int_equal(slots_made(asker, ASK(WIRE_SLOT_RESEAL, .slot = 2)), 3);
	asker_close(asker);
	keeper_restart(fixture);
	keeper_await_state(fixture, "unsealed");
	assert_slots(fixture, "1 recovery ready, 3 tpm2 ready");
}

static void other_pcr_values_are_named_with_their_slot_and_the_way_on(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	assert_int_equal(slots_made(asker, ASK(WIRE_SLOT_ADD, .kind = "tpm2", .pcrs = PCR_7)), 2);
	asker_close(asker);
	fake_tpm.pcr_value = 1;
	keeper_restart(fixture);
	assert_sealed_because(fixture, "slot 2: the TPM expects other PCR values");
	assert_sealed_because(fixture, "mortise unseal --recovery, then: mortise slot reseal 2");
}

static void a_slot_that_fails_does_not_stop_the_next(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	assert_int_equal(slots_made(asker, ASK(WIRE_SLOT_ADD, .kind = "tpm2", .pcrs = PCR_7)), 2);
	assert_int_equal(slots_made(asker, ASK(WIRE_SLOT_ADD, .kind = "tpm2")), 3);
	asker_close(asker);
	fake_tpm.pcr_value = 1;
	keeper_restart(fixture);
	keeper_await_state(fixture, "unsealed");
	/* One whose h is another's fails likewise. */
	fake_tpm.seals[0].pcr_value = 1;
	fake_tpm.seals[0].h[5] ^= 1;
	keeper_restart(fixture);
	keeper_await_state(fixture, "unsealed");
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

	assert_int_equal(slots_made(asker, ASK(WIRE_SLOT_ADD, .kind = "recovery-shares", .slot = 5,
						   .threshold = 3)),
		2);
	struct wire_list list = wire_list_of(&asker->reply, WIRE_TAG_SHARES);
	while (wire_list_next(&list, &item))
		memcpy(texts[count++], item.bytes, item.size);
	assert_int_equal(count, 5);
	assert_int_equal(slots_seal(fixture, asker), MORTISE_OK);
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
	assert_int_equal(slots_made(asker, ASK(WIRE_SLOT_ADD, .kind = "escrow", .half = half)), 2);
	assert_int_equal(
		ASK(WIRE_SLOT_TEST, .slot = 2, .recovery = fixture->recovery), MORTISE_DENIED);
	assert_int_equal(ASK(WIRE_SLOT_TEST, .slot = 2, .recovery = key), MORTISE_OK);
	assert_int_equal(slots_seal(fixture, asker), MORTISE_OK);
	assert_int_equal(ask_recover(fixture, asker, half), MORTISE_INVALID);
	assert_int_equal(ask_recover(fixture, asker, key), MORTISE_OK);
	assert_int_equal(ASK(WIRE_SLOT_REMOVE, .slot = 2), MORTISE_OK);
	assert_int_equal(slots_seal(fixture, asker), MORTISE_OK);
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
	struct store_meta meta;
	struct slot slot;
	size_t size = 0;

	assert_int_equal(slots_made(asker, ASK(WIRE_SLOT_ADD, .kind = "tpm2")), 2);
	asker_close(asker);
	assert_int_equal(keeper_stop(fixture), 0);
	assert_int_equal(store_open(fixture->store, &store), MORTISE_OK);
	assert_int_equal(store_meta(store, &meta), MORTISE_OK);
	assert_int_equal(store_each_item(store, copy_record, &record), MORTISE_OK);
	assert_int_equal(slot_read(record, &slot), MORTISE_OK);
	slot.hints.created_us++;
	assert_int_equal(slot_hint(&slot, &slot.hints, edited, &size), MORTISE_OK);
	assert_int_equal(store_begin(store), MORTISE_OK);
	assert_int_equal(store_put_item(store, meta.epoch, STORE_SLOT, 2,
				 (struct store_bytes){edited, size}),
		MORTISE_OK);
	assert_int_equal(store_commit(store), MORTISE_OK);
	store_close(store);
	keeper_start(fixture);
	assert_sealed_because(fixture, "the tally does not match");
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
	assert_int_equal(slots_seal(fixture, other), MORTISE_OK);
	assert_int_equal(asker_receive(fixture, asker), MORTISE_SEALED);
	assert_int_equal(ask_recover(fixture, other, fixture->recovery), MORTISE_OK);
	/* Now the sealer answers, for somebody who has been told that it is off. */
	fixture->play = play_tpm;
	struct wire_writer *writer = keeper_begin_sealer(MORTISE_OK);
	uint8_t blob = (uint8_t)fake_tpm.count++;
	wire_put(writer, PROCESS_TAG_KEY, fake_tpm.seals[blob].h, KEY_SIZE);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_SLOTS(slots_are_an_admins_and_an_unsealed_agents),
		WITH_SLOTS(a_slot_that_is_added_opens_the_store_alone),
		WITH_SLOTS(the_last_slot_that_stays_cannot_be_removed),
		WITH_SLOTS(hardware_that_lies_makes_no_slot),
		WITH_SLOTS(a_sealer_that_dies_at_any_step_changes_no_slot),
		WITH_SLOTS(a_keeper_killed_at_any_question_leaves_a_store_that_opens),
		WITH_SLOTS(a_reseal_stays_beside_the_old_slot_until_it_has_opened),
		WITH_SLOTS(a_staged_slot_is_tried_though_the_old_one_would_open),
		WITH_SLOTS(other_pcr_values_are_named_with_their_slot_and_the_way_on),
		WITH_SLOTS(a_slot_that_fails_does_not_stop_the_next),
		WITH_SLOTS(shares_are_typed_one_after_another_until_there_are_enough),
		WITH_SLOTS(an_escrow_slot_opens_by_the_key_that_was_made_elsewhere),
		WITH_SLOTS(a_slot_whose_hints_were_edited_on_disk_opens_no_store),
		WITH_SLOTS(a_seal_by_an_admin_ends_the_work_on_a_slot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
