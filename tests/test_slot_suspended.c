/* SPDX-License-Identifier: ISC */
/* Slots that are suspended, and what becomes of them at the next boot. */
#include "slots_fixture.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

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
	assert_int_equal(slots_made(asker, ASK(WIRE_SLOT_ADD, .kind = "tpm2", .pcrs = PCR_7)), 2);
	assert_int_equal(ASK(WIRE_SLOT_SUSPEND, .slot = 1), MORTISE_CONFLICT);
	assert_int_equal(ASK(WIRE_SLOT_SUSPEND, .slot = 2, .boots = 11), MORTISE_INVALID);
	assert_int_equal(slots_made(asker, ASK(WIRE_SLOT_SUSPEND, .slot = 2, .boots = 1)), 3);
	asker_close(asker);
	/* In this boot it opens nothing, and a restart does not use it up. */
	fake_tpm.pcr_value = 1;
	keeper_restart(fixture);
	assert_sealed_because(fixture, "slot 2: the TPM expects other PCR values");
	fake_tpm.pcr_value = 0;
	keeper_restart(fixture);
	keeper_await_state(fixture, "unsealed");
	assert_slots(fixture, "1 recovery ready, 2 tpm2 ready, 3 tpm2 stand-in of 2");
	/* After the update it does. */
	fake_tpm.pcr_value = 1;
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

	assert_int_equal(slots_made(asker, ASK(WIRE_SLOT_ADD, .kind = "tpm2")), 2);
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

	assert_int_equal(slots_made(asker, ASK(WIRE_SLOT_ADD, .kind = "tpm2", .pin = "1234")), 2);
	fixture->play = play_silent;
	fixture->questions = 0;
	struct wire_writer *writer = asker_begin(changing, WIRE_SLOT_CHANGE_PIN);
	wire_put_number(writer, WIRE_TAG_NUMBER, 2);
	wire_put_text(writer, WIRE_TAG_PIN, "4321");
	asker_send(changing);
	keeper_await_questions(fixture, 1);
	assert_int_equal(ASK(WIRE_SLOT_REMOVE, .slot = 2), MORTISE_OK);
	uint64_t id = slots_made(asker, ASK(WIRE_SLOT_ADD, .kind = "recovery"));
	text_of(&asker->reply, WIRE_TAG_RECOVERY, key, sizeof key);
	fixture->play = play_tpm;
	play_tpm(fixture, &(struct wire_message){.code = SEALER_ENROL});
	snprintf(fake_tpm.seals[fake_tpm.count - 1].pin, sizeof fake_tpm.seals[0].pin, "4321");
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
	assert_int_equal(slots_made(asker, ASK(WIRE_SLOT_ADD, .kind = "tpm2", .pcrs = PCR_7)), 2);
	assert_int_equal(slots_made(asker, ASK(WIRE_SLOT_SUSPEND, .slot = 2, .boots = 10)), 3);
	asker_close(asker);
	fake_tpm.pcr_value = 1;
	ahead_s = SLOT_SUSPEND_S + 60;
	restart_in_boot(fixture, "second");
	ahead_s = 0;
	assert_sealed_because(fixture, "slot 2: the TPM expects other PCR values");
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
	assert_int_equal(slots_made(asker, ASK(WIRE_SLOT_ADD, .kind = "tpm2", .pcrs = PCR_7)), 2);
	assert_int_equal(slots_made(asker, ASK(WIRE_SLOT_SUSPEND, .slot = 2, .boots = 2)), 3);
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
	const struct CMUnitTest tests[] = {
		WITH_SLOTS(a_suspended_slot_opens_once_in_the_next_boot_and_is_resealed),
		WITH_SLOTS(a_slot_that_was_removed_while_it_was_resealed_opens_nothing),
		WITH_SLOTS(a_key_that_was_added_in_the_place_of_a_removed_slot_stays_its_own),
		WITH_SLOTS(a_suspended_slot_opens_nothing_once_its_time_is_over),
		WITH_SLOTS(a_suspension_that_was_not_needed_ends_with_the_next_boot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
