/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include "evidence_fixture.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

static void a_unit_is_read_from_the_callers_cgroup(void **state)
{
	struct peer *peer = *state;

	NEEDS_ROOT();
	peer_unit(peer, "backup.service");
	peer_identify(peer);
	assert_string_equal(peer_fact(peer, ATTRIBUTE_UNIT), "backup.service system.slice");
}

static void a_unit_is_gathered_once_for_a_caller(void **state)
{
	struct peer *peer = *state;

	NEEDS_ROOT();
	peer_unit(peer, "backup.service");
	peer_identify(peer);
	peer_fact(peer, ATTRIBUTE_UNIT);
	peer_unit(peer, "other.service");
	assert_string_equal(peer_fact(peer, ATTRIBUTE_UNIT), "backup.service system.slice");
	assert_int_equal(evidence_unit_reads(peer->evidence), 1);
}

static void only_what_is_asked_for_is_gathered(void **state)
{
	struct peer *peer = *state;

	peer_identify(peer);
	evidence_gather(peer->evidence, &peer->caller, 1u << ATTRIBUTE_LABEL);
	assert_int_equal(peer->caller.subject.unit.state, FACT_UNGATHERED);
	assert_int_equal(peer->caller.subject.exe.state, FACT_UNGATHERED);
	assert_int_equal(evidence_unit_reads(peer->evidence), 0);
}

static void the_next_connection_from_a_cgroup_needs_no_look_at_proc(void **state)
{
	struct peer *peer = *state;

	NEEDS_ROOT();
	kernel_word.cgroup_id = 4242;
	peer_unit(peer, "backup.service");
	peer_identify(peer);
	peer_fact(peer, ATTRIBUTE_UNIT);
	if (peer->caller.cgroup_id == 0)
		skip(); /* this kernel has no numbers of cgroups (PIDFD_GET_INFO, Linux 6.13) */
	for (int i = 0; i < 3; i++) {
		peer_identify(peer);
		assert_string_equal(peer_fact(peer, ATTRIBUTE_UNIT), "backup.service system.slice");
	}
	assert_int_equal(evidence_unit_reads(peer->evidence), 1);
}

static void another_cgroup_is_another_look(void **state)
{
	struct peer *peer = *state;

	NEEDS_ROOT();
	for (uint64_t id = 1; id <= 2; id++) {
		kernel_word.cgroup_id = id << 32 | 256; /* they share a place in the cache */
		peer_unit(peer, id == 1 ? "a.service" : "b.service");
		peer_identify(peer);
		assert_string_equal(peer_fact(peer, ATTRIBUTE_UNIT),
			id == 1 ? "a.service system.slice" : "b.service system.slice");
	}
	assert_int_equal(evidence_unit_reads(peer->evidence), 2);
}

static void a_unit_of_the_old_hierarchy_is_not_remembered_by_the_new_ones_id(void **state)
{
	struct peer *peer = *state;

	NEEDS_ROOT();
	kernel_word.cgroup_id = 1;
	peer_proc(peer, "cgroup", "1:name=systemd:/system.slice/a.service\n0::/\n");
	peer_identify(peer);
	assert_string_equal(peer_fact(peer, ATTRIBUTE_UNIT), "a.service system.slice");
	peer_proc(peer, "cgroup", "1:name=systemd:/system.slice/b.service\n0::/\n");
	peer_identify(peer);
	assert_string_equal(peer_fact(peer, ATTRIBUTE_UNIT), "b.service system.slice");
}

static void a_unit_is_not_remembered_if_the_caller_was_moved_meanwhile(void **state)
{
	struct peer *peer = *state;

	NEEDS_ROOT();
	kernel_word.cgroup_id = 4242;
	kernel_word.next_cgroup_id = 4243;
	peer_unit(peer, "a.service");
	peer_identify(peer);
	peer_fact(peer, ATTRIBUTE_UNIT);
	kernel_word.next_cgroup_id = 0;
	peer_unit(peer, "b.service");
	peer_identify(peer);
	assert_string_equal(peer_fact(peer, ATTRIBUTE_UNIT), "b.service system.slice");
}

/* Of another text as long, and of a longer one that names the same unit. */
static void a_unit_that_is_another_at_the_second_look_is_not_known(void **state)
{
	static const char *const moved[] = {"0::/system.slice/b.service\n",
		"0::/system.slice/a.service\n1:name=systemd:/system.slice/a.service\n",
		"0::/system.slice/a.servicf\n"};
	struct peer *peer = *state;

	NEEDS_ROOT();
	for (size_t i = 0; i < sizeof moved / sizeof moved[0]; i++) {
		peer_unit(peer, "a.service");
		peer_identify(peer);
		peer_proc_next(peer, "cgroup", moved[i]);
		assert_null(peer_fact(peer, ATTRIBUTE_UNIT));
		assert_int_equal(kernel_word.next_file[0], '\0');
	}
	peer_unit(peer, "a.service");
	peer_identify(peer);
	assert_string_equal(peer_fact(peer, ATTRIBUTE_UNIT), "a.service system.slice");
}

static void nothing_is_known_of_a_caller_that_has_ended(void **state)
{
	struct peer *peer = *state;

	kernel_word.label = "system_u:system_r:backup_t:s0";
	peer_witness(peer, "/usr/bin/restic");
	peer_identify(peer);
	peer_kill(peer);
	assert_null(peer_fact(peer, ATTRIBUTE_UNIT));
	assert_null(peer_fact(peer, ATTRIBUTE_EXE));
	evidence_gather_login(&peer->caller);
	assert_int_equal(peer->caller.login_uid, UINT32_MAX);
}

/* Its files are still there, and its cgroup. */
static void nothing_is_read_of_a_caller_that_nobody_has_waited_for(void **state)
{
	struct peer *peer = *state;
	siginfo_t info;

	NEEDS_ROOT();
	peer_unit(peer, "backup.service");
	peer_proc(peer, "loginuid", "1000");
	peer_identify(peer);
	assert_int_equal(kill(peer->pid, SIGKILL), 0);
	assert_int_equal(waitid(P_PID, (id_t)peer->pid, &info, WEXITED | WNOWAIT), 0);
	assert_null(peer_fact(peer, ATTRIBUTE_UNIT));
	evidence_gather_login(&peer->caller);
	assert_int_equal(peer->caller.login_uid, UINT32_MAX);
}

static void a_remembered_unit_does_not_serve_a_caller_that_has_ended(void **state)
{
	struct peer *peer = *state;

	NEEDS_ROOT();
	kernel_word.cgroup_id = 4242;
	peer_unit(peer, "backup.service");
	peer_identify(peer);
	assert_non_null(peer_fact(peer, ATTRIBUTE_UNIT));
	peer_identify(peer);
	peer_kill(peer);
	assert_null(peer_fact(peer, ATTRIBUTE_UNIT));
}

static void units_work_on_a_kernel_without_cgroup_ids(void **state)
{
	struct peer *peer = *state;

	NEEDS_ROOT();
	kernel_word.has_no_info = true;
	peer_unit(peer, "backup.service");
	for (int i = 0; i < 2; i++) {
		peer_identify(peer);
		assert_string_equal(peer_fact(peer, ATTRIBUTE_UNIT), "backup.service system.slice");
	}
	assert_int_equal(evidence_unit_reads(peer->evidence), 2);
	assert_string_equal(evidence_describe(peer->evidence, &peer->caller, ATTRIBUTE_UNIT),
		"cgroup in /proc");
}

static void a_caller_not_pinned_yet_has_no_facts_from_proc(void **state)
{
	struct peer *peer = *state;

	kernel_word.option = SO_PEERPIDFD;
	kernel_word.error = ENOPROTOOPT;
	peer_identify(peer);
	assert_false(peer->caller.is_pinned);
	assert_null(peer_fact(peer, ATTRIBUTE_UNIT));
}

static void the_witness_says_which_program_runs(void **state)
{
	struct peer *peer = *state;

	peer_witness(peer, "/usr/bin/restic");
	peer_identify(peer);
	assert_string_equal(peer_fact(peer, ATTRIBUTE_EXE), "/usr/bin/restic");
	assert_string_equal(
		evidence_describe(peer->evidence, &peer->caller, ATTRIBUTE_EXE), "witness");
}

/* It is replaced, and the next one is not asked about that user's processes again. */
static void a_witness_that_hangs_is_waited_for_once(void **state)
{
	struct peer *peer = *state;

	peer_witness(peer, NULL);
	for (int i = 0; i < 50; i++) {
		peer_identify(peer);
		assert_null(peer_fact(peer, ATTRIBUTE_EXE));
		assert_non_null(peer->caller.exe_trouble);
	}
	assert_int_equal(evidence_witness(peer->evidence).late, 1);
	assert_int_equal(evidence_witness(peer->evidence).late_pid, peer->caller.pid);
}

static void who_is_gone_when_the_witness_answers_is_told_nothing(void **state)
{
	struct peer *peer = *state;

	peer_witness(peer, "/usr/bin/restic");
	peer_identify(peer);
	assert_true(evidence_await_exe(peer->evidence, &peer->caller, NULL, NULL));
	caller_done(&peer->caller);
	peer_identify(peer);
	assert_string_equal(peer_fact(peer, ATTRIBUTE_EXE), "/usr/bin/restic");
}

static void a_program_of_a_caller_that_has_ended_is_not_known(void **state)
{
	struct peer *peer = *state;

	peer_witness(peer, "/usr/bin/restic");
	peer_identify(peer);
	peer_kill(peer);
	assert_null(peer_fact(peer, ATTRIBUTE_EXE));
}

static void login_uid_and_session_are_read(void **state)
{
	struct peer *peer = *state;

	NEEDS_ROOT();
	peer_proc(peer, "loginuid", "1000");
	peer_proc(peer, "sessionid", "17");
	peer_identify(peer);
	evidence_gather_login(&peer->caller);
	assert_int_equal(peer->caller.login_uid, 1000);
	assert_int_equal(peer->caller.session, 17);
}

static void without_a_login_there_is_no_session(void **state)
{
	struct peer *peer = *state;

	NEEDS_ROOT();
	peer_proc(peer, "loginuid", "4294967295");
	peer_proc(peer, "sessionid", "17");
	peer_identify(peer);
	evidence_gather_login(&peer->caller);
	assert_int_equal(peer->caller.login_uid, UINT32_MAX);
	assert_int_equal(peer->caller.session, UINT32_MAX);
}

static void what_is_no_login_uid_is_none(void **state)
{
	static const char *const texts[] = {
		"", "-1", " 7", "7x", "4294967296", "99999999999999999"};
	struct peer *peer = *state;

	NEEDS_ROOT();
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		peer_proc(peer, "loginuid", texts[i]);
		peer_identify(peer);
		evidence_gather_login(&peer->caller);
		assert_int_equal(peer->caller.login_uid, UINT32_MAX);
	}
}

#define WITH_PEER(name) cmocka_unit_test_setup_teardown(name, set_up_peer, tear_down_peer)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_PEER(a_unit_is_read_from_the_callers_cgroup),
		WITH_PEER(a_unit_is_gathered_once_for_a_caller),
		WITH_PEER(only_what_is_asked_for_is_gathered),
		WITH_PEER(the_next_connection_from_a_cgroup_needs_no_look_at_proc),
		WITH_PEER(another_cgroup_is_another_look),
		WITH_PEER(a_unit_of_the_old_hierarchy_is_not_remembered_by_the_new_ones_id),
		WITH_PEER(a_unit_is_not_remembered_if_the_caller_was_moved_meanwhile),
		WITH_PEER(a_unit_that_is_another_at_the_second_look_is_not_known),
		WITH_PEER(nothing_is_known_of_a_caller_that_has_ended),
		WITH_PEER(nothing_is_read_of_a_caller_that_nobody_has_waited_for),
		WITH_PEER(a_remembered_unit_does_not_serve_a_caller_that_has_ended),
		WITH_PEER(units_work_on_a_kernel_without_cgroup_ids),
		WITH_PEER(a_caller_not_pinned_yet_has_no_facts_from_proc),
		WITH_PEER(the_witness_says_which_program_runs),
		WITH_PEER(a_witness_that_hangs_is_waited_for_once),
		WITH_PEER(who_is_gone_when_the_witness_answers_is_told_nothing),
		WITH_PEER(a_program_of_a_caller_that_has_ended_is_not_known),
		WITH_PEER(login_uid_and_session_are_read),
		WITH_PEER(without_a_login_there_is_no_session),
		WITH_PEER(what_is_no_login_uid_is_none),
	};

	return cmocka_run_group_tests(tests, set_up_namespace, NULL);
}
