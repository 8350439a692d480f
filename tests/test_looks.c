/* SPDX-License-Identifier: ISC */
/* Who waits for a witness, and who does not: the keeper, with witnesses that the test plays. */
#include "keeper_fixture.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "witness_link.h"

#define RESTIC "/usr/bin/restic"
#define PLAIN                                                                                      \
	"[rule first]\nallow = read list write delete rotate audit admin\nsecret = **\nuser = 0\n"
/* Everybody's unit matters, so everybody is looked at. */
#define FIRST  PLAIN "[rule unit]\ndeny = read\nsecret = other/**\nunit = nobody.service\n"
#define ALICES "[rule alice]\nallow = read\nsecret = prod/**\nuser = 1000\n"
#define BY_EXE ALICES "exe = " RESTIC "\n"

bool __wrap_proc_knows(uint32_t pid, const char *name);

bool __wrap_proc_knows(uint32_t pid, const char *name)
{
	return false;
}

enum mortise_status __real_proc_read(
	uint32_t pid, const char *name, char *text, size_t capacity, size_t *out_size);
enum mortise_status __wrap_proc_read(
	uint32_t pid, const char *name, char *text, size_t capacity, size_t *out_size);

enum mortise_status __real_proc_read_start(
	uint32_t pid, const char *name, char *text, size_t capacity, size_t *out_size);
enum mortise_status __wrap_proc_read_start(
	uint32_t pid, const char *name, char *text, size_t capacity, size_t *out_size);

/* As a witness has done that looked. */
static void bring_into_memory(uint32_t pid, const char *name)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/%u/%s", pid, name);
	close(open(path, O_RDONLY | O_CLOEXEC));
}

enum mortise_status __wrap_proc_read(
	uint32_t pid, const char *name, char *text, size_t capacity, size_t *out_size)
{
	bring_into_memory(pid, name);
	return __real_proc_read(pid, name, text, capacity, out_size);
}

enum mortise_status __wrap_proc_read_start(
	uint32_t pid, const char *name, char *text, size_t capacity, size_t *out_size)
{
	bring_into_memory(pid, name);
	return __real_proc_read_start(pid, name, text, capacity, out_size);
}

/* So that what is late here is late for want of an answer, and not of processors. */
static void be_patient(void)
{
	witness_usual_timing.patience_ms = 3600000;
}

static void be_impatient(void)
{
	witness_usual_timing.patience_ms = 20;
	witness_usual_timing.hold_first_ms = 3600000;
}

static int set_up_by(void **state, void (*before)(void))
{
	struct keeper_fixture *fixture = keeper_prepare();

	*state = fixture;
	fixture->flags |= PROCESS_HAS_WITNESS | PROCESS_EXE_EVIDENCE;
	fixture->before = before;
	fixture->exe = RESTIC;
	keeper_start(fixture);
	keeper_init(fixture);
	keeper_put(fixture, "prod/x", "value");
	keeper_apply(fixture, FIRST);
	return 0;
}

static int set_up(void **state)
{
	return set_up_by(state, be_patient);
}

static int set_up_impatient(void **state)
{
	return set_up_by(state, be_impatient);
}

/* Whoever is known by another's ids must have them when the keeper accepts it. */
static void be(uint32_t uid)
{
	if (uid)
		become(uid, DBA_GROUP);
	else
		become_root();
}

static uint64_t get_as(struct keeper_fixture *fixture, uint32_t uid, struct wire_message *out_item)
{
	static uint8_t kept[4096];
	struct wire_field field;
	uint64_t status = 99;

	be(uid);
	struct asker *asker = asker_open(fixture);
	begin_get(asker, "prod/x");
	assert_int_equal(asker_call(fixture, asker), MORTISE_OK);
	be(0);
	struct wire_list items = wire_list_of(&asker->reply, WIRE_TAG_ITEMS);
	assert_true(wire_list_next(&items, &field));
	assert_true(field.size <= sizeof kept);
	memcpy(kept, field.bytes, field.size);
	assert_int_equal(wire_parse_fields(kept, field.size, out_item), MORTISE_OK);
	assert_int_equal(wire_number(out_item, WIRE_TAG_STATUS, &status), MORTISE_OK);
	asker_close(asker);
	return status;
}

/* Until the keeper has read what was sent. */
static void await_read(const struct asker *asker)
{
	int unread = 1;

	for (unsigned ms = 0; unread; ms++) {
		assert_true(ms < 60000);
		usleep(1000);
		assert_int_equal(ioctl(asker->fd, SIOCOUTQ, &unread), 0);
	}
}

/* One of ALICE's, whose question to a witness has no answer yet. */
static struct asker *hold_alice(struct keeper_fixture *fixture)
{
	unsigned looks = fixture->looks;

	NEEDS_NAMES(); /* a greeting is looked at, too, and comes first */
	be(ALICE);
	struct asker *alice = asker_open(fixture);
	fixture->holds_questions = 1;
	(void)asker_begin(alice, WIRE_WHOAMI);
	asker_send(alice);
	keeper_await_looks(fixture, looks + 1);
	be(0);
	return alice;
}

static void while_one_is_looked_at_all_others_are_answered(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct wire_message item;

	NEEDS_ROOT();
	struct asker *alice = hold_alice(fixture);
	for (int i = 0; i < 3; i++)
		assert_int_equal(get_as(fixture, 0, &item), MORTISE_OK);
	assert_int_equal(fixture->fetches, PROCESS_WITNESSES); /* and nobody was late */
	keeper_answer_question(fixture);
	assert_int_equal(asker_receive(fixture, alice), MORTISE_OK);
	asker_close(alice);
}

static void a_connection_is_looked_at_once(void **state)
{
	struct keeper_fixture *fixture = *state;

	NEEDS_ROOT();
	unsigned looks = fixture->looks, exes = fixture->exes;
	be(ALICE);
	struct asker *alice = asker_open(fixture);
	for (int i = 0; i < 5; i++)
		assert_int_equal(ask_plain(fixture, alice, WIRE_WHOAMI), MORTISE_OK);
	be(0);
	assert_int_equal(fixture->looks, looks + 1);
	assert_int_equal(fixture->exes, exes + 1);
	asker_close(alice);
}

static void whose_unit_no_rule_depends_on_is_not_looked_at_for_it(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct wire_message item;

	NEEDS_ROOT();
	keeper_apply(fixture, PLAIN ALICES);
	unsigned looks = fixture->looks;
	assert_int_equal(get_as(fixture, ALICE, &item), MORTISE_OK);
	assert_int_equal(fixture->looks, looks);
	keeper_apply(fixture, PLAIN ALICES "unit = nobody.service\n");
	looks = fixture->looks;
	assert_int_equal(get_as(fixture, BACKUP, &item), MORTISE_DENIED);
	assert_int_equal(fixture->looks, looks);
	assert_int_equal(get_as(fixture, ALICE, &item), MORTISE_DENIED);
	assert_int_equal(fixture->looks, looks + 1);
}

static void who_needs_no_program_is_asked_about_none(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct wire_message item;

	NEEDS_ROOT();
	keeper_apply(fixture, FIRST ALICES);
	unsigned exes = fixture->exes;
	assert_int_equal(get_as(fixture, ALICE, &item), MORTISE_OK);
	assert_int_equal(get_as(fixture, BACKUP, &item), MORTISE_DENIED);
	assert_int_equal(fixture->exes, exes);
}

static void a_rule_by_exe_asks_about_whom_it_concerns(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct wire_message item;

	NEEDS_ROOT();
	keeper_apply(fixture, FIRST BY_EXE);
	unsigned exes = fixture->exes;
	assert_int_equal(get_as(fixture, ALICE, &item), MORTISE_OK);
	assert_int_equal(fixture->exes, exes + 1);
	fixture->exe = "/usr/bin/other";
	assert_int_equal(get_as(fixture, ALICE, &item), MORTISE_DENIED);
	fixture->exe = NULL;
	assert_int_equal(get_as(fixture, ALICE, &item), MORTISE_DENIED);
}

static void who_hangs_up_while_it_is_looked_at_is_forgotten(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct wire_message item;

	NEEDS_ROOT();
	struct asker *alice = hold_alice(fixture);
	asker_close(alice);
	assert_int_equal(get_as(fixture, 0, &item), MORTISE_OK);
	keeper_answer_question(fixture);
	assert_int_equal(get_as(fixture, 0, &item), MORTISE_OK);
	assert_int_equal(get_as(fixture, ALICE, &item), MORTISE_DENIED);
}

/* Its rule asks for what nobody asked about it before. */
static void a_watch_goes_on_under_a_policy_that_wants_its_program(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct wire_field field;
	struct wire_message told;
	uint64_t status = 99;

	NEEDS_ROOT();
	keeper_apply(fixture, FIRST ALICES);
	unsigned looks = fixture->looks, exes = fixture->exes;
	be(ALICE);
	struct asker *alice = asker_open(fixture);
	struct wire_writer *writer = asker_begin(alice, WIRE_WATCH);
	size_t list = wire_list_begin(writer, WIRE_TAG_ITEMS), item = wire_item_begin(writer);
	wire_put_text(writer, WIRE_TAG_PATH, "prod/x");
	wire_put_number(writer, WIRE_TAG_VERSION, 1);
	wire_item_end(writer, item);
	wire_list_end(writer, list);
	asker_send(alice);
	keeper_await_looks(fixture, looks + 1);
	await_read(alice);
	be(0);
	keeper_apply(fixture, FIRST BY_EXE);
	keeper_await_exes(fixture, exes + 2); /* root's to apply it, and alice's */
	keeper_put(fixture, "prod/x", "another");
	assert_int_equal(asker_receive(fixture, alice), MORTISE_OK);
	struct wire_list items = wire_list_of(&alice->reply, WIRE_TAG_ITEMS);
	assert_true(wire_list_next(&items, &field));
	assert_int_equal(wire_parse_fields(field.bytes, field.size, &told), MORTISE_OK);
	assert_int_equal(wire_number(&told, WIRE_TAG_STATUS, &status), MORTISE_OK);
	assert_int_equal(status, MORTISE_OK);
	asker_close(alice);
}

static void whom_a_late_witness_kept_out_is_told_so_and_to_try_again(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct wire_message item;
	uint64_t wait_ms = 0;
	char text[WIRE_TEXT_MAX];

	NEEDS_ROOT();
	keeper_apply(fixture, FIRST BY_EXE);
	unsigned fetches = fixture->fetches;
	fixture->holds_questions = 1;
	assert_int_equal(get_as(fixture, ALICE, &item), MORTISE_BUSY);
	assert_int_equal(wire_text(&item, WIRE_TAG_TEXT, text, sizeof text), MORTISE_OK);
	assert_non_null(strstr(text, "who asks could not be found out: the witness"));
	assert_int_equal(wire_number(&item, WIRE_TAG_NUMBER, &wait_ms), MORTISE_OK);
	assert_true(wait_ms > 0);
	assert_int_equal(fixture->fetches, fetches + 1);
	fixture->holds_questions = 0;
	char replaced[256];
	keeper_fact(fixture, "witness_late", replaced);
	assert_non_null(strstr(replaced, "of uid 1000"));
}

#define WITH_WITNESSES(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down_keeper)
#define IMPATIENT(name)      cmocka_unit_test_setup_teardown(name, set_up_impatient, tear_down_keeper)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_WITNESSES(while_one_is_looked_at_all_others_are_answered),
		WITH_WITNESSES(a_connection_is_looked_at_once),
		WITH_WITNESSES(whose_unit_no_rule_depends_on_is_not_looked_at_for_it),
		WITH_WITNESSES(who_needs_no_program_is_asked_about_none),
		WITH_WITNESSES(a_rule_by_exe_asks_about_whom_it_concerns),
		WITH_WITNESSES(who_hangs_up_while_it_is_looked_at_is_forgotten),
		WITH_WITNESSES(a_watch_goes_on_under_a_policy_that_wants_its_program),
		IMPATIENT(whom_a_late_witness_kept_out_is_told_so_and_to_try_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
