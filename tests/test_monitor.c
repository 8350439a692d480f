/* SPDX-License-Identifier: ISC */
/* A keeper's life, its sealers and witnesses, names, stops, reloads. */
#include "monitor_fixture.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "monitor_fake.h"

static void a_keeper_gets_a_clean_state(void **state)
{
	monitor_start(*state, "state");
	assert_told(*state, "READY=1\nSTATUS=fds 3 nnp 1 death 9 pipe 1 hup 1 blocked 0 files 1 "
			    "env clean");
}

static void a_keeper_gets_the_configuration_and_the_listener(void **state)
{
	struct monitor_fixture *fixture = *state;
	char expected[256];

	monitor_start(fixture, "configuration");
	snprintf(expected, sizeof expected,
		"READY=1\nSTATUS=%s /audit.log flags 5 listens 1 agent 1 first 1 operators 1",
		fixture->base);
	assert_told(fixture, expected);
}

static void the_starter_is_told_once_it_is_ready(void **state)
{
	struct monitor_fixture *fixture = *state;
	char bytes[2];

	monitor_start(fixture, "calm");
	close(fixture->ready[1]);
	fixture->ready[1] = -1;
	assert_int_equal(read(fixture->ready[0], bytes, sizeof bytes), 1);
	assert_int_equal(bytes[0], '\n');
	assert_int_equal(read(fixture->ready[0], bytes, 1), 0);
}

static void a_state_stays_one_line(void **state)
{
	monitor_start(*state, "lines");
	assert_told(*state, "READY=1\nSTATUS=one?READY=0?");
	assert_told(*state, "STATUS=two");
}

static bool has_pin_flag(const struct monitor_fixture *fixture)
{
	char path[128];

	snprintf(path, sizeof path, "%s/waits-for-pin", fixture->base);
	return access(path, F_OK) == 0;
}

static void a_file_is_there_while_a_pin_is_waited_for(void **state)
{
	struct monitor_fixture *fixture = *state;

	fixture->settings.runtime_directory = fixture->base;
	monitor_start(fixture, "pin");
	assert_told(fixture, "READY=1\nSTATUS=waits");
	assert_true(has_pin_flag(fixture));
}

static void it_is_gone_when_none_is(void **state)
{
	struct monitor_fixture *fixture = *state;

	fixture->settings.runtime_directory = fixture->base;
	monitor_start(fixture, "pin and then none");
	assert_told(fixture, "READY=1\nSTATUS=waits");
	assert_told(fixture, "STATUS=open");
	assert_false(has_pin_flag(fixture));
}

static void where_it_cannot_be_made_all_else_goes_on(void **state)
{
	struct monitor_fixture *fixture = *state;

	fixture->settings.runtime_directory = "/nowhere";
	monitor_start(fixture, "pin and then none");
	assert_told(fixture, "READY=1\nSTATUS=waits");
	assert_told(fixture, "STATUS=open");
}

static void a_keeper_that_crashes_is_started_again(void **state)
{
	assert_survives(*state, "crash");
}

static void a_keeper_that_hangs_up_is_replaced(void **state)
{
	assert_survives(*state, "hangup");
}

static void garbage_ends_the_keeper(void **state)
{
	assert_survives(*state, "garbage");
}

static void a_frame_of_the_greatest_size_that_is_garbage_ends_it_too(void **state)
{
	assert_survives(*state, "huge");
}

static void an_unknown_opcode_ends_the_keeper(void **state)
{
	assert_survives(*state, "opcode");
}

static void an_opcode_of_the_monitor_ends_the_keeper(void **state)
{
	assert_survives(*state, "configure");
}

static void a_field_out_of_place_ends_the_keeper(void **state)
{
	assert_survives(*state, "field");
}

static void a_torn_list_of_names_ends_the_keeper(void **state)
{
	assert_survives(*state, "torn");
}

static void a_ready_without_text_ends_the_keeper(void **state)
{
	assert_survives(*state, "textless");
}

static void a_keeper_that_cannot_work_ends_the_monitor(void **state)
{
	static const struct {
		const char *scenario;
		int status;
	} cases[] = {{"exit-78", 78}, {"exit-73", 73}, {"exit-65", 65}};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		monitor_start(*state, cases[i].scenario);
		assert_int_equal(monitor_exit_status(*state), cases[i].status);
	}
}

/* 0 + 40 + 80 + 100 + 100: the lower bound is all that a loaded machine keeps. */
static void restarts_slow_down(void **state)
{
	struct monitor_fixture *fixture = *state;
	char text[2048];
	int64_t begun = monitor_now_ms();

	fixture->settings.timing.restart_first_ms = 40;
	fixture->settings.timing.restart_max_ms = 100;
	monitor_start(fixture, "dies-often");
	for (int i = 0; i < 6; i++)
		monitor_read_datagram(fixture, text, sizeof text);
	assert_true(monitor_now_ms() - begun >= 320);
}

static void a_keeper_that_lived_long_is_restarted_at_once(void **state)
{
	struct monitor_fixture *fixture = *state;
	char text[2048];
	int64_t begun = monitor_now_ms();

	fixture->settings.timing.restart_first_ms = PATIENCE_MS;
	fixture->settings.timing.restart_max_ms = PATIENCE_MS;
	fixture->settings.timing.healthy_ms = 0;
	monitor_start(fixture, "dies-often");
	for (int i = 0; i < 6; i++)
		monitor_read_datagram(fixture, text, sizeof text);
	assert_true(monitor_now_ms() - begun < PATIENCE_MS);
}

static void a_sealer_gets_its_arguments_and_two_descriptors(void **state)
{
	monitor_start(*state, "spawn");
	assert_told(*state, "READY=1\nSTATUS=mortise-sealer --tcti=swtpm:path=/x "
			    "--deadline-ms=60000 --notes-fd=4 fds 3 4 notes 1 nnp 1");
}

static void a_sealer_gets_what_it_needs_for_tokens(void **state)
{
	struct monitor_fixture *fixture = *state;

	fixture->config.pkcs11_modules = (char *)(uintptr_t) "/a.so /b.so";
	fixture->config.pkcs11_pin_file = (char *)(uintptr_t) "/pin";
	fixture->config.pkcs11_env = (char *)(uintptr_t) "A=1 B=2";
	monitor_start(fixture, "spawn");
	assert_told(fixture,
		"READY=1\nSTATUS=mortise-sealer --tcti=swtpm:path=/x --deadline-ms=60000 "
		"--notes-fd=4 --pkcs11-modules=/a.so /b.so --pkcs11-pin-file=/pin "
		"fds 3 4 notes 1 nnp 1 env A=1 B=2");
}

static void a_sealer_is_told_where_the_signatures_are(void **state)
{
	struct monitor_fixture *fixture = *state;

	fixture->config.pcr_signature = (char *)(uintptr_t) "/p/s.json";
	monitor_start(fixture, "spawn");
	assert_told(fixture, "READY=1\nSTATUS=mortise-sealer --tcti=swtpm:path=/x "
			     "--deadline-ms=60000 --notes-fd=4 --pcr-signature=/p/s.json "
			     "fds 3 4 notes 1 nnp 1");
}

static void one_request_for_a_sealer_waits_and_no_more(void **state)
{
	char expected[64];

	monitor_start(*state, "spawn-three");
	snprintf(expected, sizeof expected, "READY=1\nSTATUS=third %d", MORTISE_BUSY);
	assert_told(*state, expected);
}

static void a_sealer_follows_when_the_one_before_has_ended(void **state)
{
	monitor_start(*state, "spawn-in-turn");
	assert_told(*state, "READY=1\nSTATUS=a second sealer");
}

static void a_sealer_that_hangs_is_killed(void **state)
{
	struct monitor_fixture *fixture = *state;

	fixture->config.tcti = (char *)(uintptr_t) "hang";
	fixture->config.hardware_deadline_ms = 10;
	fixture->settings.timing.sealer_grace_ms = 10;
	monitor_start(fixture, "spawn");
	assert_told(fixture, "READY=1\nSTATUS=the sealer died");
}

/* It would be waited for far longer than this test waits. */
static void a_sealer_goes_with_its_keeper(void **state)
{
	struct monitor_fixture *fixture = *state;

	fixture->config.tcti = (char *)(uintptr_t) "hang";
	fixture->config.hardware_deadline_ms = 20 * PATIENCE_MS;
	monitor_start(fixture, "spawn-and-die");
	assert_told(fixture, "READY=1\nSTATUS=a sealer of its own");
}

static void a_sealer_that_cannot_be_run_is_told_by_its_socket(void **state)
{
	struct monitor_fixture *fixture = *state;

	fixture->settings.sealer_program = "/nonexistent";
	monitor_start(fixture, "spawn");
	assert_told(fixture, "READY=1\nSTATUS=the sealer died");
}

static void a_witness_is_run_with_one_descriptor_and_an_empty_environment(void **state)
{
	struct monitor_fixture *fixture = *state;

	fixture->config.has_exe_evidence = true;
	monitor_start(fixture, "witness");
	assert_told(fixture, "READY=1\nSTATUS=fds 3 nnp 1 death 9 env clean");
}

static void a_witness_is_killed_for_the_next_one(void **state)
{
	struct monitor_fixture *fixture = *state;

	fixture->config.has_exe_evidence = true;
	monitor_start(fixture, "witness-again");
	assert_told(fixture, "READY=1\nSTATUS=replaced");
}

static void however_many_are_asked_for_one_is_left(void **state)
{
	struct monitor_fixture *fixture = *state;

	fixture->config.has_exe_evidence = true;
	monitor_start(fixture, "witnesses");
	assert_told(fixture, "READY=1\nSTATUS=forty");
}

static void a_place_for_a_witness_that_there_is_not_ends_the_keeper(void **state)
{
	assert_survives(*state, "witness-nowhere");
}

static void likewise_one_beyond_the_last(void **state)
{
	assert_survives(*state, "witness-beyond");
}

static void names_are_resolved(void **state)
{
	monitor_start(*state, "resolve");
	assert_told(*state, "READY=1\nSTATUS=root is 0");
}

static void too_many_names_get_an_answer(void **state)
{
	char expected[64];

	monitor_start(*state, "resolve-many");
	snprintf(expected, sizeof expected, "READY=1\nSTATUS=too many: %d", MORTISE_INVALID);
	assert_told(*state, expected);
}

static void a_stop_ends_keeper_and_monitor(void **state)
{
	struct monitor_fixture *fixture = *state;

	monitor_start(fixture, "calm");
	assert_told(fixture, "READY=1\nSTATUS=calm");
	kill(fixture->monitor, SIGINT);
	assert_told(fixture, "STOPPING=1");
	assert_int_equal(monitor_exit_status(fixture), 0);
}

static void a_keeper_that_does_not_stop_is_killed(void **state)
{
	struct monitor_fixture *fixture = *state;

	fixture->settings.timing.stop_ms = 20;
	monitor_start(fixture, "deaf");
	assert_told(fixture, "READY=1\nSTATUS=deaf");
	kill(fixture->monitor, SIGTERM);
	assert_int_equal(monitor_exit_status(fixture), 0);
}

static void a_stop_between_two_keepers_ends_the_monitor(void **state)
{
	struct monitor_fixture *fixture = *state;
	char text[2048];

	fixture->settings.timing.restart_first_ms = PATIENCE_MS;
	monitor_start(fixture, "dies-often");
	monitor_read_datagram(fixture, text, sizeof text);
	monitor_read_datagram(fixture, text, sizeof text);
	kill(fixture->monitor, SIGTERM);
	assert_int_equal(monitor_exit_status(fixture), 0);
}

static void a_storm_of_hangups_changes_nothing(void **state)
{
	struct monitor_fixture *fixture = *state;

	monitor_start(fixture, "calm");
	assert_told(fixture, "READY=1\nSTATUS=calm");
	for (int i = 0; i < 1000; i++)
		kill(fixture->monitor, SIGHUP);
	kill(fixture->monitor, SIGTERM);
	assert_told(fixture, "STOPPING=1");
	assert_int_equal(monitor_exit_status(fixture), 0);
}

static void stop_in_a_storm(struct monitor_fixture *fixture)
{
	static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
	siginfo_t gone = {.si_pid = 0};

	monitor_start(fixture, "calm");
	assert_told(fixture, "READY=1\nSTATUS=calm");
	kill(fixture->monitor, SIGTERM);
	for (size_t i = 0; gone.si_pid == 0; i++) {
		kill(fixture->monitor, numbers[i % 3]);
		assert_int_equal(
			waitid(P_PID, (id_t)fixture->monitor, &gone, WEXITED | WNOHANG | WNOWAIT),
			0);
	}
	assert_int_equal(monitor_exit_status(fixture), 0);
	assert_told(fixture, "STOPPING=1");
}

/* It ends by its own exit, whenever the next signal comes. */
static void a_storm_of_stops_is_one_stop(void **state)
{
	for (int round = 0; round < 20; round++)
		stop_in_a_storm(*state);
}

static void a_stop_lets_the_sealer_tidy_up(void **state)
{
	struct monitor_fixture *fixture = *state;
	char tcti[128], text[2048];

	snprintf(tcti, sizeof tcti, "tidies:%s", fixture->mark);
	fixture->config.tcti = tcti;
	monitor_start(fixture, "spawn");
	monitor_read_datagram(fixture, text, sizeof text);
	kill(fixture->monitor, SIGTERM);
	assert_int_equal(monitor_exit_status(fixture), 0);
	assert_int_equal(access(fixture->mark, F_OK), 0);
}

static void a_stop_does_not_wait_for_a_sealer_that_hangs(void **state)
{
	struct monitor_fixture *fixture = *state;
	char text[2048];

	fixture->config.tcti = (char[]){"hang"};
	fixture->settings.timing.stop_ms = 20;
	monitor_start(fixture, "spawn-three");
	monitor_read_datagram(fixture, text, sizeof text);
	kill(fixture->monitor, SIGTERM);
	assert_int_equal(monitor_exit_status(fixture), 0);
}

/* A witness's capability comes to the monitor as an ambient one. */
static void a_sealer_gets_no_ambient_capability(void **state)
{
	struct monitor_fixture *fixture = *state;
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct before[2], raised[2];

	assert_int_equal(syscall(SYS_capget, &header, before), 0);
	if ((before[0].permitted & CAP_TO_MASK(CAP_SYS_PTRACE)) == 0)
		skip(); /* needs CAP_SYS_PTRACE */
	memcpy(raised, before, sizeof raised);
	raised[0].inheritable |= CAP_TO_MASK(CAP_SYS_PTRACE);
	assert_int_equal(syscall(SYS_capset, &header, raised), 0);
	assert_int_equal(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SYS_PTRACE, 0, 0), 0);
	fixture->config.tcti = (char[]){"capabilities"};
	monitor_start(fixture, "spawn");
	assert_int_equal(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0), 0);
	assert_int_equal(syscall(SYS_capset, &header, before), 0);
	assert_told(fixture, "READY=1\nSTATUS=ambient 0");
}

static enum mortise_status read_again(void *context)
{
	static char changed[] = "changed";
	struct monitor_fixture *fixture = context;

	fixture->config.environment = changed;
	return MORTISE_OK;
}

static enum mortise_status read_in_vain(void *context)
{
	(void)context;
	return MORTISE_REJECTED;
}

static void assert_reloading(struct monitor_fixture *fixture)
{
	char text[2048];

	monitor_read_datagram(fixture, text, sizeof text);
	assert_int_equal(strncmp(text, "RELOADING=1\nMONOTONIC_USEC=", 27), 0);
}

static void a_hangup_hands_the_new_configuration_to_the_keeper_that_runs(void **state)
{
	struct monitor_fixture *fixture = *state;

	fixture->settings.reload = read_again;
	fixture->settings.context = fixture;
	monitor_start(fixture, "listens");
	assert_told(fixture, "READY=1\nSTATUS=listens");
	kill(fixture->monitor, SIGHUP);
	assert_reloading(fixture);
	assert_told(fixture, "READY=1\nSTATUS=listens");
	assert_told(fixture, "STATUS=changed");
}

static void a_configuration_that_is_wrong_does_not_reach_the_keeper(void **state)
{
	struct monitor_fixture *fixture = *state;

	fixture->settings.reload = read_in_vain;
	monitor_start(fixture, "listens");
	assert_told(fixture, "READY=1\nSTATUS=listens");
	kill(fixture->monitor, SIGHUP);
	assert_reloading(fixture);
	assert_told(fixture, "READY=1\nSTATUS=listens");
	kill(fixture->monitor, SIGTERM);
	assert_told(fixture, "STOPPING=1");
}

static void the_watchdog_hears_of_each_sign_of_life_of_the_keeper(void **state)
{
	struct monitor_fixture *fixture = *state;

	fixture->settings.has_watchdog = true;
	monitor_start(fixture, "lines");
	assert_told(fixture, "WATCHDOG=1");
	assert_told(fixture, "READY=1\nSTATUS=one?READY=0?");
	assert_told(fixture, "WATCHDOG=1");
	assert_told(fixture, "STATUS=two");
}

static int test_all(void)
{
	const struct CMUnitTest tests[] = {
		MONITOR_TEST(a_file_is_there_while_a_pin_is_waited_for),
		MONITOR_TEST(it_is_gone_when_none_is),
		MONITOR_TEST(where_it_cannot_be_made_all_else_goes_on),
		MONITOR_TEST(a_keeper_gets_a_clean_state),
		MONITOR_TEST(a_keeper_gets_the_configuration_and_the_listener),
		MONITOR_TEST(the_starter_is_told_once_it_is_ready),
		MONITOR_TEST(a_state_stays_one_line),
		MONITOR_TEST(a_keeper_that_crashes_is_started_again),
		MONITOR_TEST(a_keeper_that_hangs_up_is_replaced),
		MONITOR_TEST(garbage_ends_the_keeper),
		MONITOR_TEST(a_frame_of_the_greatest_size_that_is_garbage_ends_it_too),
		MONITOR_TEST(an_unknown_opcode_ends_the_keeper),
		MONITOR_TEST(an_opcode_of_the_monitor_ends_the_keeper),
		MONITOR_TEST(a_field_out_of_place_ends_the_keeper),
		MONITOR_TEST(a_torn_list_of_names_ends_the_keeper),
		MONITOR_TEST(a_ready_without_text_ends_the_keeper),
		MONITOR_TEST(a_keeper_that_cannot_work_ends_the_monitor),
		MONITOR_TEST(restarts_slow_down),
		MONITOR_TEST(a_keeper_that_lived_long_is_restarted_at_once),
		MONITOR_TEST(a_sealer_gets_its_arguments_and_two_descriptors),
		MONITOR_TEST(a_sealer_gets_what_it_needs_for_tokens),
		MONITOR_TEST(a_sealer_is_told_where_the_signatures_are),
		MONITOR_TEST(one_request_for_a_sealer_waits_and_no_more),
		MONITOR_TEST(a_sealer_follows_when_the_one_before_has_ended),
		MONITOR_TEST(a_sealer_that_hangs_is_killed),
		MONITOR_TEST(a_sealer_goes_with_its_keeper),
		MONITOR_TEST(a_sealer_that_cannot_be_run_is_told_by_its_socket),
		MONITOR_TEST(a_witness_is_run_with_one_descriptor_and_an_empty_environment),
		MONITOR_TEST(a_witness_is_killed_for_the_next_one),
		MONITOR_TEST(however_many_are_asked_for_one_is_left),
		MONITOR_TEST(a_place_for_a_witness_that_there_is_not_ends_the_keeper),
		MONITOR_TEST(likewise_one_beyond_the_last),
		MONITOR_TEST(names_are_resolved),
		MONITOR_TEST(too_many_names_get_an_answer),
		MONITOR_TEST(a_stop_ends_keeper_and_monitor),
		MONITOR_TEST(a_keeper_that_does_not_stop_is_killed),
		MONITOR_TEST(a_stop_between_two_keepers_ends_the_monitor),
		MONITOR_TEST(a_storm_of_stops_is_one_stop),
		MONITOR_TEST(a_stop_lets_the_sealer_tidy_up),
		MONITOR_TEST(a_stop_does_not_wait_for_a_sealer_that_hangs),
		MONITOR_TEST(a_sealer_gets_no_ambient_capability),
		MONITOR_TEST(a_storm_of_hangups_changes_nothing),
		MONITOR_TEST(a_hangup_hands_the_new_configuration_to_the_keeper_that_runs),
		MONITOR_TEST(a_configuration_that_is_wrong_does_not_reach_the_keeper),
		MONITOR_TEST(the_watchdog_hears_of_each_sign_of_life_of_the_keeper),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
	int status = monitor_fake(argc, argv);

	return status >= 0 ? status : test_all();
}
