/* SPDX-License-Identifier: ISC */
/* An answer of the hardware, or of a disk, that comes when the world has changed. */
#include "lifecycle_fixture.h"

#include <time.h>

static void play_no_counter(struct keeper_fixture *fixture, const struct wire_message *request)
{
	if (request->code != SEALER_ANCHOR)
		play_honest(fixture, request);
}

/* As is_wanted() promises; nobody would ever have that store's recovery key. */
static void a_client_that_left_while_the_counter_is_made_leaves_no_store(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);
	char fact[256];

	fixture->play = play_no_counter;
	begin_init(asker);
	asker_send(asker);
	keeper_await_questions(fixture, 3);
	asker_close(asker);
	asker = asker_open(fixture);
	assert_int_equal(ask_plain(fixture, asker, WIRE_STATUS), MORTISE_OK);
	struct wire_writer *writer = keeper_begin_sealer(MORTISE_OK);
	wire_put_text(writer, PROCESS_TAG_BLOB, "the place");
	wire_put_number(writer, PROCESS_TAG_COUNTER, ++fixture->counter);
	fixture->play = play_honest;
	keeper_send_sealer(fixture, writer);
	while (!keeper_log_has(fixture, "\"op\":\"init\""))
		assert_int_equal(ask_plain(fixture, asker, WIRE_STATUS), MORTISE_OK);
	keeper_fact(fixture, "state", fact);
	assert_string_equal(fact, "uninitialised");
	asker_close(asker);
}

static void play_death_at_a_look_at_the_counter(
	struct keeper_fixture *fixture, const struct wire_message *request)
{
	uint64_t action = 0;

	if (request->code == SEALER_ANCHOR &&
		wire_number(request, PROCESS_TAG_NUMBER, &action) == MORTISE_OK &&
		action == TOKEN_ANCHOR_READ)
		play_death(fixture, request);
	else
		play_honest(fixture, request);
}

/* Its key is told, and it opens by itself once the hardware answers. */
static void init_survives_a_sealer_that_dies_when_the_store_is_made(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	fixture->play = play_death_at_a_look_at_the_counter;
	assert_int_equal(ask_init(fixture, asker, "tpm2"), MORTISE_OK);
	fixture->play = play_honest;
	keeper_await_state(fixture, "unsealed");
	asker_close(asker);
}

static void play_silence_at_a_look_at_the_counter(
	struct keeper_fixture *fixture, const struct wire_message *request)
{
	uint64_t action = 0;

	if (request->code != SEALER_ANCHOR ||
		wire_number(request, PROCESS_TAG_NUMBER, &action) != MORTISE_OK ||
		action != TOKEN_ANCHOR_READ)
		play_honest(fixture, request);
}

/* The store is made by then, and nothing but that key opens it on another board. */
static void init_tells_its_key_though_it_is_sealed_while_the_store_is_opened(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *maker = asker_open(fixture), *asker = asker_open(fixture);
	char key[128];

	fixture->play = play_silence_at_a_look_at_the_counter;
	begin_init(maker);
	asker_send(maker);
	keeper_await_questions(fixture, 4);
	assert_int_equal(ask_plain(fixture, asker, WIRE_SEAL), MORTISE_OK);
	assert_int_equal(asker_receive(fixture, maker), MORTISE_OK);
	assert_int_equal(wire_text(&maker->reply, WIRE_TAG_RECOVERY, key, sizeof key), MORTISE_OK);
	keeper_fail_sealer(fixture, TOKEN_FAULT_LOCKOUT, "too late");
	assert_sealed_because(fixture, "sealed by an admin");
	fixture->play = play_honest;
	struct wire_writer *writer = asker_begin(asker, WIRE_RECOVER);
	wire_put_text(writer, WIRE_TAG_RECOVERY, key);
	wire_put_text(writer, WIRE_TAG_SLOT_KIND, "none");
	assert_int_equal(asker_call(fixture, asker), MORTISE_OK);
	keeper_await_state(fixture, "unsealed");
	asker_close(maker);
	asker_close(asker);
}

static void who_waits_for_hardware_is_told_when_a_typed_key_was_in_vain(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *waiting, *typist, *third;

	fixture->counter += 2; /* it is an old copy */
	restart_before(fixture, play_silent);
	keeper_await_questions(fixture, 1);
	waiting = asker_open(fixture);
	typist = asker_open(fixture);
	third = asker_open(fixture);
	(void)asker_begin(waiting, WIRE_UNSEAL);
	asker_send_read(waiting);
	wire_put_text(asker_begin(typist, WIRE_UNSEAL), WIRE_TAG_RECOVERY, fixture->recovery);
	asker_send_read(typist);
	keeper_fail_sealer(fixture, TOKEN_FAULT_LOCKOUT, "too late");
	fixture->play = play_honest;
	assert_int_equal(asker_receive(fixture, typist), MORTISE_INTEGRITY);
	if (ask_plain(fixture, third, WIRE_UNSEAL) == MORTISE_BUSY)
		fail_msg("nobody unseals, but: %s", third->text);
	assert_int_equal(asker_receive(fixture, waiting), MORTISE_INTEGRITY);
	asker_close(waiting);
	asker_close(typist);
	asker_close(third);
}

static unsigned opens;

static void play_and_count(struct keeper_fixture *fixture, const struct wire_message *request)
{
	opens += request->code == SEALER_OPEN;
	play_honest(fixture, request);
}

/* A PIN is tried for who typed it, and for nobody else. */
static void a_pin_is_not_kept_for_later_when_a_typed_key_was_in_vain(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *waiting, *typist, *third;

	assert_int_equal(ask_seal(fixture, false), MORTISE_OK);
	fixture->counter += 2; /* it is an old copy */
	fixture->play = play_silent;
	fixture->questions = 0;
	waiting = asker_open(fixture);
	typist = asker_open(fixture);
	third = asker_open(fixture);
	wire_put_text(asker_begin(typist, WIRE_UNSEAL), WIRE_TAG_RECOVERY, fixture->recovery);
	asker_send(typist);
	keeper_await_questions(fixture, 1); /* the counter's */
	wire_put_text(asker_begin(waiting, WIRE_UNSEAL), WIRE_TAG_PIN, "1234");
	asker_send_read(waiting);
	fixture->play = play_and_count;
	struct wire_writer *writer = keeper_begin_sealer(MORTISE_OK);
	wire_put_number(writer, PROCESS_TAG_COUNTER, fixture->counter);
	keeper_send_sealer(fixture, writer);
	assert_int_equal(asker_receive(fixture, typist), MORTISE_INTEGRITY);
	assert_int_equal(asker_receive(fixture, waiting), MORTISE_INTEGRITY);
	opens = 0;
	assert_int_equal(ask_plain(fixture, third, WIRE_UNSEAL), MORTISE_INTEGRITY);
	assert_int_equal(opens, 1);
	asker_close(waiting);
	asker_close(typist);
	asker_close(third);
}

/* Begins a recovery without an anchor, which waits for its hardware. */
static struct asker *begin_recovery(struct keeper_fixture *fixture)
{
	struct asker *asker = asker_open(fixture);

	assert_int_equal(ask_seal(fixture, false), MORTISE_OK);
	fixture->play = play_silent;
	fixture->questions = 0;
	struct wire_writer *writer = asker_begin(asker, WIRE_RECOVER);
	wire_put_text(writer, WIRE_TAG_RECOVERY, fixture->recovery);
	wire_put_text(writer, WIRE_TAG_SLOT_KIND, "tpm2");
	wire_put_number(writer, WIRE_TAG_COUNTER, 0);
	asker_send(asker);
	keeper_await_questions(fixture, 1);
	fixture->play = play_honest;
	return asker;
}

static void who_unseals_while_a_recovery_is_under_way_does_not_wait_for_ever(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *recovering = begin_recovery(fixture);
	struct asker *waiting = asker_open(fixture), *third = asker_open(fixture);

	(void)asker_begin(waiting, WIRE_UNSEAL);
	asker_send_read(waiting);
	keeper_fail_sealer(fixture, TOKEN_FAULT_LOCKOUT, "");
	assert_int_equal(asker_receive(fixture, recovering), MORTISE_HARDWARE);
	if (ask_plain(fixture, third, WIRE_UNSEAL) == MORTISE_BUSY)
		fail_msg("nobody unseals, but: %s", third->text);
	(void)asker_receive(fixture, waiting);
	asker_close(recovering);
	asker_close(waiting);
	asker_close(third);
}

static void what_was_set_while_a_recovery_was_under_way_stays(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *recovering = begin_recovery(fixture), *asker = asker_open(fixture);

	bool is_open = ask_recover(fixture, asker, fixture->recovery) == MORTISE_OK;
	if (is_open)
		assert_int_equal(ask_set(fixture, asker, "prod/x", "v", 1), MORTISE_OK);
	play_honest(fixture, &(struct wire_message){.code = SEALER_ENROL});
	(void)asker_receive(fixture, recovering);
	if (is_open)
		assert_int_equal(ask_get(fixture, asker, "prod/x", NULL), MORTISE_OK);
	asker_close(asker);
	asker_close(recovering);
	keeper_restart(fixture);
	while (strncmp(fixture->state, "unsealed", 8) != 0 && !strstr(fixture->state, "sealed: "))
		keeper_serve(fixture);
	assert_string_equal(fixture->state, "unsealed");
}

static void play_no_answer_about_the_counter(
	struct keeper_fixture *fixture, const struct wire_message *request)
{
	if (request->code == SEALER_ANCHOR)
		keeper_fail_sealer(fixture, TOKEN_FAULT_ABSENT, "");
	else
		play_honest(fixture, request);
}

/* Who typed the key was told that it is sealed still. */
static void an_admins_seal_holds_though_a_typed_key_could_not_be_checked(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);
	char fact[256];

	assert_int_equal(ask_seal(fixture, false), MORTISE_OK);
	fixture->play = play_no_answer_about_the_counter;
	assert_int_equal(ask_recover(fixture, asker, fixture->recovery), MORTISE_HARDWARE);
	fixture->play = play_honest;
	for (time_t end = time(NULL) + 4; time(NULL) < end;) {
		keeper_fact(fixture, "state", fact);
		assert_string_equal(fact, "sealed");
	}
	asker_close(asker);
}

/* The state says so before and after. */
static void hardware_is_tried_again_as_it_was_said_though_a_recovery_failed(void **state)
{
	struct keeper_fixture *fixture = *state;
	uint16_t code;

	restart_before(fixture, play_absence);
	assert_sealed_because(fixture, "; it is tried again by itself");
	struct asker *asker = asker_open(fixture);
	do {
		struct wire_writer *writer = asker_begin(asker, WIRE_RECOVER);
		wire_put_text(writer, WIRE_TAG_RECOVERY, fixture->recovery);
		wire_put_text(writer, WIRE_TAG_SLOT_KIND, "tpm2");
		code = asker_call(fixture, asker);
	} while (code == MORTISE_BUSY);
	assert_int_equal(code, MORTISE_HARDWARE);
	assert_sealed_because(fixture, "; it is tried again by itself");
	fixture->play = play_honest;
	for (time_t end = time(NULL) + 35; strncmp(fixture->state, "unsealed", 8) != 0;) {
		if (time(NULL) > end)
			fail_msg("it is not tried again: %s", fixture->state);
		keeper_serve(fixture);
	}
	asker_close(asker);
}

/* The other's store, as a backup on its way in. */
static void bring_store(
	struct keeper_fixture *fixture, struct asker *asker, struct keeper_fixture *other)
{
	static uint8_t chunk[WIRE_CHUNK_MAX];
	struct asker *from = asker_open(other);
	uint64_t done = 0, total = 1;

	while (done < total) {
		assert_int_equal(ask_plain(other, from, WIRE_BACKUP), MORTISE_OK);
		assert_int_equal(wire_number(&from->reply, WIRE_TAG_DONE, &done), MORTISE_OK);
		assert_int_equal(wire_number(&from->reply, WIRE_TAG_TOTAL, &total), MORTISE_OK);
	}
	for (uint64_t at = 0;;) {
		wire_put_number(asker_begin(from, WIRE_BACKUP), WIRE_TAG_OFFSET, at);
		assert_int_equal(asker_call(other, from), MORTISE_OK);
		size_t size = wire_field_of(&from->reply, WIRE_TAG_CHUNK)->size;
		if (size == 0)
			break;
		memcpy(chunk, wire_field_of(&from->reply, WIRE_TAG_CHUNK)->bytes, size);
		struct wire_writer *writer = asker_begin(asker, WIRE_BACKUP_STAGE);
		wire_put(writer, WIRE_TAG_CHUNK, chunk, size);
		wire_put_number(writer, WIRE_TAG_OFFSET, at);
		assert_int_equal(asker_call(fixture, asker), MORTISE_OK);
		at += size;
	}
	asker_close(from);
}

/* Whichever store it is then, its key opens it: here the old one's file cannot be put aside. */
static void after_a_recovery_that_failed_half_way_a_key_opens_the_store(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct keeper_fixture *other = keeper_prepare();
	void *other_state = other;
	char command[256];

	keeper_start(other);
	keeper_init(other);
	struct asker *asker = asker_open(fixture);
	assert_int_equal(ask_seal(fixture, false), MORTISE_OK);
	bring_store(fixture, asker, other);
	snprintf(command, sizeof command, "mkdir -p '%s/store.db.replaced/x'", fixture->store);
	assert_int_equal(system(command), 0);
	struct wire_writer *writer = asker_begin(asker, WIRE_RECOVER);
	wire_put_number(writer, WIRE_TAG_NUMBER, 1);
	wire_put_text(writer, WIRE_TAG_RECOVERY, other->recovery);
	wire_put_text(writer, WIRE_TAG_SLOT_KIND, "none");
	assert_int_equal(asker_call(fixture, asker), MORTISE_IO);
	uint16_t old = ask_recover(fixture, asker, fixture->recovery);
	uint16_t new =
		old == MORTISE_OK ? MORTISE_OK : ask_recover(fixture, asker, other->recovery);
	if (old != MORTISE_OK && new != MORTISE_OK)
		fail_msg("neither key opens it: %s", asker->text);
	asker_close(asker);
	assert_int_equal(tear_down_keeper(&other_state), 0);
}

/* Or two vaults would be open, and whoever made one of them had the key of a file put aside. */
static void an_init_while_a_backup_is_recovered_is_told_to_wait(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct keeper_fixture *other = keeper_prepare();
	void *other_state = other;

	keeper_start(other);
	keeper_init(other);
	struct asker *asker = asker_open(fixture), *maker = asker_open(fixture);
	bring_store(fixture, asker, other);
	fixture->play = play_silent;
	fixture->questions = 0;
	struct wire_writer *writer = asker_begin(asker, WIRE_RECOVER);
	wire_put_number(writer, WIRE_TAG_NUMBER, 1);
	wire_put_text(writer, WIRE_TAG_RECOVERY, other->recovery);
	wire_put_text(writer, WIRE_TAG_SLOT_KIND, "tpm2");
	asker_send_read(asker);
	keeper_await_questions(fixture, 1);
	assert_int_equal(ask_init(fixture, maker, "none"), MORTISE_BUSY);
	assert_int_equal(ask_init(fixture, maker, "tpm2"), MORTISE_BUSY);
	fixture->play = play_honest;
	play_death(fixture, NULL);
	assert_int_equal(asker_receive(fixture, asker), MORTISE_HARDWARE);
	assert_int_equal(ask_init(fixture, maker, "none"), MORTISE_OK);
	asker_close(maker);
	asker_close(asker);
	assert_int_equal(tear_down_keeper(&other_state), 0);
}

static void a_policy_counts_the_anchor_up_at_once(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);
	uint64_t before = fixture->counter;
	char text[256];

	keeper_apply(fixture, "[rule a]\nallow = admin read write list\nsecret = **\nuser = 0\n");
	do
		keeper_fact(fixture, "anchor_counter", text);
	while (strtoull(text, NULL, 10) == before);
	assert_int_equal(fixture->counter, before + 1);
	keeper_fact(fixture, "anchor", text);
	assert_string_equal(text, "ok");
	asker_close(asker);
}

static void a_second_unseal_meanwhile_is_told_to_wait(void **state)
{
	struct keeper_fixture *fixture = *state;

	restart_before(fixture, play_silent);
	keeper_await_questions(fixture, 1);
	struct asker *first = asker_open(fixture), *second = asker_open(fixture);
	(void)asker_begin(first, WIRE_UNSEAL);
	asker_send_read(first);
	assert_int_equal(ask_plain(fixture, second, WIRE_UNSEAL), MORTISE_BUSY);
	fixture->play = play_honest;
	play_death(fixture, NULL);
	assert_int_equal(asker_receive(fixture, first), MORTISE_HARDWARE);
	asker_close(first);
	asker_close(second);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_KEEPER(a_client_that_left_while_the_counter_is_made_leaves_no_store),
		WITH_KEEPER(init_survives_a_sealer_that_dies_when_the_store_is_made),
		WITH_KEEPER(init_tells_its_key_though_it_is_sealed_while_the_store_is_opened),
		WITH_HARDWARE(who_waits_for_hardware_is_told_when_a_typed_key_was_in_vain),
		WITH_HARDWARE(a_pin_is_not_kept_for_later_when_a_typed_key_was_in_vain),
		WITHOUT_ANCHOR(who_unseals_while_a_recovery_is_under_way_does_not_wait_for_ever),
		WITHOUT_ANCHOR(what_was_set_while_a_recovery_was_under_way_stays),
		WITH_HARDWARE(an_admins_seal_holds_though_a_typed_key_could_not_be_checked),
		WITH_HARDWARE(hardware_is_tried_again_as_it_was_said_though_a_recovery_failed),
		WITH_STORE(after_a_recovery_that_failed_half_way_a_key_opens_the_store),
		WITH_KEEPER(an_init_while_a_backup_is_recovered_is_told_to_wait),
		WITH_HARDWARE(a_policy_counts_the_anchor_up_at_once),
		WITH_HARDWARE(a_second_unseal_meanwhile_is_told_to_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
