/* SPDX-License-Identifier: ISC */
#include "keeper_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <seccomp.h>

#include "caller.h"

#define MANY_GROUPS 100

/* A listener of the test's own: caller.c is asked directly, in this process or in a child of it. */
struct door {
	char path[64];
	int listener;
};

static int set_up(void **state)
{
	static struct door door;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int on = 1;

	snprintf(door.path, sizeof door.path, "/tmp/mortise-caller-XXXXXX");
	int file = mkstemp(door.path);
	close(file);
	unlink(door.path);
	memcpy(address.sun_path, door.path, sizeof door.path);
	door.listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (setsockopt(door.listener, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0 ||
		bind(door.listener, (struct sockaddr *)&address, sizeof address) != 0 ||
		chmod(door.path, 0666) != 0 || listen(door.listener, 8) != 0)
		return -1;
	*state = &door;
	return 0;
}

static int tear_down(void **state)
{
	struct door *door = *state;

	become_root();
	close(door->listener);
	unlink(door->path);
	return 0;
}

static int knock(const struct door *door)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	memcpy(address.sun_path, door->path, sizeof door->path);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
	return fd;
}

struct pair {
	int ours, theirs;
};

static struct pair meet(const struct door *door)
{
	struct pair pair = {.theirs = knock(door)};

	pair.ours = accept(door->listener, NULL, NULL);
	assert_true(pair.ours >= 0);
	return pair;
}

static void part(struct pair pair)
{
	close(pair.ours);
	close(pair.theirs);
}

/* Runs a test in a child, whose filters, ids and namespaces end with it; its status is a line. */
static void in_a_child(void (*run)(const struct door *door), const struct door *door)
{
	int status;

	fflush(NULL);
	pid_t child = fork();
	if (child == 0) {
		run(door);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip(); /* no namespaces for us here */
	if (WEXITSTATUS(status))
		fail_msg("line %d and 0 to 3 times 250", WEXITSTATUS(status));
}

/* cmocka's asserts jump into the parent's stack; a child says by its status where it failed. */
#define MUST(condition)                                                                            \
	do {                                                                                       \
		if (!(condition))                                                                  \
			_exit(__LINE__ % 250 == 77 ? 78 : __LINE__ % 250);                         \
	} while (0)

static void the_kernel_says_who_connected(void **state)
{
	struct pair pair = meet(*state);
	struct caller caller;

	NEEDS_NAMES();
	assert_int_equal(caller_identify(pair.ours, &caller), MORTISE_OK);
	assert_int_equal(caller.pid, getpid());
	assert_int_equal(caller.subject.uid, getuid());
	assert_int_equal(caller.gid, getgid());
	assert_true(caller.is_pinned);
	assert_int_equal(caller.evidence, CALLER_PEERPIDFD);
	assert_true(caller_has_group(&caller, getgid()));
	assert_false(caller_has_group(&caller, 987654));
	caller_done(&caller);
	assert_int_equal(caller.pidfd, -1);
	part(pair);
}

static void a_frame_of_the_connector_is_accepted(void **state)
{
	struct pair pair = meet(*state);
	const struct ucred self = {getpid(), getuid(), getgid()};
	struct caller caller;

	assert_int_equal(caller_identify(pair.ours, &caller), MORTISE_OK);
	assert_int_equal(caller_check_sender(&caller, &self), MORTISE_OK);
	caller_done(&caller);
	part(pair);
}

static void a_frame_without_credentials_is_denied(void **state)
{
	struct pair pair = meet(*state);
	struct caller caller;

	assert_int_equal(caller_identify(pair.ours, &caller), MORTISE_OK);
	assert_int_equal(caller_check_sender(&caller, NULL), MORTISE_DENIED);
	caller_done(&caller);
	part(pair);
}

static void a_sender_that_differs_in_anything_is_denied(void **state)
{
	const struct ucred others[] = {
		{getpid() + 1, getuid(), getgid()},
		{0, getuid(), getgid()},
		{-1, getuid(), getgid()},
		{getpid(), getuid() + 1, getgid()},
		{getpid(), getuid(), getgid() + 1},
	};
	struct pair pair = meet(*state);
	struct caller caller;

	assert_int_equal(caller_identify(pair.ours, &caller), MORTISE_OK);
	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
		assert_int_equal(caller_check_sender(&caller, &others[i]), MORTISE_DENIED);
	caller_done(&caller);
	part(pair);
}

/* A child that connected, was identified by its parent, and is gone. */
static void a_connector_that_died_is_denied_though_its_socket_lives(void **state)
{
	struct door *door = *state;
	int go[2], status, fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	struct caller caller;

	NEEDS_NAMES();
	assert_int_equal(pipe(go), 0);
	pid_t child = fork();
	if (child == 0) {
		struct sockaddr_un address = {.sun_family = AF_UNIX};
		char byte;
		memcpy(address.sun_path, door->path, sizeof door->path);
		MUST(connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
		close(go[1]);
		_exit(read(go[0], &byte, 1) == 0 ? 0 : 1);
	}
	close(go[0]);
	int ours = accept(door->listener, NULL, NULL);
	assert_int_equal(caller_identify(ours, &caller), MORTISE_OK);
	const struct ucred sender = {child, getuid(), getgid()};
	assert_int_equal(caller_check_sender(&caller, &sender), MORTISE_OK);
	close(go[1]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(caller_check_sender(&caller, &sender), MORTISE_DENIED);
	caller_done(&caller);
	close(ours);
	close(fd);
}

static void a_connector_that_was_gone_at_once_is_denied(void **state)
{
	struct door *door = *state;
	int status;
	struct caller caller;

	NEEDS_NAMES();
	pid_t child = fork();
	if (child == 0) {
		(void)knock(door);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	int ours = accept(door->listener, NULL, NULL);
	assert_int_equal(caller_identify(ours, &caller), MORTISE_DENIED);
	close(ours);
}

static void groups_are_those_of_connect_however_many(void **state)
{
	struct door *door = *state;
	gid_t groups[MANY_GROUPS];
	struct caller caller;

	NEEDS_ROOT();
	for (unsigned i = 0; i < MANY_GROUPS; i++)
		groups[i] = 20000 + i;
	assert_int_equal(setgroups(MANY_GROUPS, groups), 0);
	struct pair pair = meet(door);
	assert_int_equal(setgroups(0, NULL), 0);
	assert_int_equal(caller_identify(pair.ours, &caller), MORTISE_OK);
	assert_int_equal(caller.subject.group_count, MANY_GROUPS + 1);
	for (unsigned i = 0; i < MANY_GROUPS; i++)
		assert_true(caller_has_group(&caller, 20000 + i));
	assert_true(caller_has_group(&caller, getgid()));
	caller_done(&caller);
	part(pair);
}

static void a_thousand_and_24_groups_are_all_there_and_of_more_none(void **state)
{
	static gid_t groups[65536];
	struct caller caller;

	NEEDS_ROOT();
	for (unsigned i = 0; i < 65536; i++)
		groups[i] = 30000 + i;
	for (unsigned count = 1023; count <= 65536; count += count < 1025 ? 1 : 65536 - 1025) {
		assert_int_equal(setgroups(count, groups), 0);
		struct pair pair = meet(*state);
		assert_int_equal(caller_identify(pair.ours, &caller), MORTISE_OK);
		assert_int_equal(caller.subject.group_count, count <= 1024 ? count + 1 : 0);
		assert_int_equal(caller_has_group(&caller, 30000 + count - 1), count <= 1024);
		assert_int_equal(caller_has_group(&caller, 30000), count <= 1024);
		assert_int_equal(caller.gid, getegid());
		caller_done(&caller);
		part(pair);
	}
	assert_int_equal(setgroups(0, NULL), 0);
}

/* Real and effective ids as a set-uid or set-gid program has them. */
static void connect_as(
	const struct door *door, uid_t real_uid, uid_t uid, gid_t real_gid, gid_t gid)
{
	struct caller caller;

	MUST(setgroups(0, NULL) == 0 && setresgid(real_gid, gid, 0) == 0 &&
		setresuid(real_uid, uid, 0) == 0);
	struct pair pair = meet(door);
	MUST(caller_identify(pair.ours, &caller) == MORTISE_DENIED);
}

static void connect_set_uid(const struct door *door)
{
	connect_as(door, ALICE, 0, 0, 0);
}

static void connect_set_gid(const struct door *door)
{
	connect_as(door, ALICE, ALICE, ALICE, BACKUP);
}

static void a_set_uid_program_is_denied(void **state)
{
	NEEDS_ROOT();
	NEEDS_NAMES();
	in_a_child(connect_set_uid, *state);
}

static void a_set_gid_program_is_denied(void **state)
{
	NEEDS_ROOT();
	NEEDS_NAMES();
	in_a_child(connect_set_gid, *state);
}

/* ---- kernels that lack something ---- */

static void fail_call(int call, unsigned argument, uint64_t value, int error)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	struct scmp_arg_cmp compare = {argument, SCMP_CMP_MASKED_EQ, 0xffff, value};

	MUST(filter && seccomp_rule_add_array(
			       filter, SCMP_ACT_ERRNO((unsigned)error), call, 1, &compare) == 0);
	MUST(seccomp_load(filter) == 0);
	seccomp_release(filter);
}

static void identify_by_proc(const struct door *door)
{
	struct caller caller;

	fail_call(SCMP_SYS(ioctl), 1, 0xff0b, ENOTTY);
	struct pair pair = meet(door);
	MUST(caller_identify(pair.ours, &caller) == MORTISE_OK && caller.is_pinned);
	if (getuid() == 0)
		connect_set_uid(door);
}

static void without_pidfd_info_the_ids_come_from_proc(void **state)
{
	NEEDS_NAMES();
	in_a_child(identify_by_proc, *state);
}

/* Their list stands in the same file, behind the ids. */
static void identify_by_proc_in_many_groups(const struct door *door)
{
	static gid_t groups[65536];

	for (unsigned i = 0; i < 65536; i++)
		groups[i] = 100000 + i;
	MUST(setgroups(65536, groups) == 0);
	identify_by_proc(door);
}

static void without_pidfd_info_the_ids_are_found_before_however_many_groups(void **state)
{
	NEEDS_ROOT();
	NEEDS_NAMES();
	in_a_child(identify_by_proc_in_many_groups, *state);
}

static void identify_without_proc(const struct door *door)
{
	struct caller caller;

	fail_call(SCMP_SYS(ioctl), 1, 0xff0b, ENOTTY);
	struct pair pair = meet(door);
	fail_call(SCMP_SYS(openat), 2, O_RDONLY, EACCES); /* the mask leaves O_CLOEXEC out */
	MUST(caller_identify(pair.ours, &caller) == MORTISE_DENIED);
}

static void without_pidfd_info_and_proc_it_is_denied(void **state)
{
	NEEDS_NAMES();
	in_a_child(identify_without_proc, *state);
}

static void identify_with_failing_peerpidfd(const struct door *door)
{
	struct caller caller;
	struct pair pair = meet(door);

	fail_call(SCMP_SYS(getsockopt), 2, 77, EMFILE);
	MUST(caller_identify(pair.ours, &caller) == MORTISE_BUSY);
}

static void identify_with_broken_peerpidfd(const struct door *door)
{
	struct caller caller;
	struct pair pair = meet(door);

	fail_call(SCMP_SYS(getsockopt), 2, 77, EIO);
	MUST(caller_identify(pair.ours, &caller) == MORTISE_DENIED);
}

static void a_pidfd_that_cannot_be_had_now_is_not_a_kernel_without_it(void **state)
{
	in_a_child(identify_with_failing_peerpidfd, *state);
	in_a_child(identify_with_broken_peerpidfd, *state);
}

static void identify_with_failing_peercred(const struct door *door)
{
	struct caller caller;
	struct pair pair = meet(door);

	fail_call(SCMP_SYS(getsockopt), 2, SO_PEERCRED, EIO);
	MUST(caller_identify(pair.ours, &caller) == MORTISE_DENIED);
}

static void identify_with_failing_groups(const struct door *door)
{
	struct caller caller;
	struct pair pair = meet(door);

	fail_call(SCMP_SYS(getsockopt), 2, SO_PEERGROUPS, EIO);
	MUST(caller_identify(pair.ours, &caller) == MORTISE_DENIED);
}

static void a_look_up_that_fails_denies(void **state)
{
	in_a_child(identify_with_failing_peercred, *state);
	in_a_child(identify_with_failing_groups, *state);
}

static void greet_and_pin(const struct door *door)
{
	struct caller caller, other;
	uint8_t wrong[CALLER_CHALLENGE_SIZE];

	fail_call(SCMP_SYS(getsockopt), 2, 77, ENOPROTOOPT);
	struct pair pair = meet(door), second = meet(door);
	MUST(caller_identify(pair.ours, &caller) == MORTISE_OK);
	MUST(caller_identify(second.ours, &other) == MORTISE_OK);
	MUST(!caller.is_pinned && caller.pidfd == -1 && caller.evidence == CALLER_HELLO);
	MUST(caller_pin(&caller, caller.challenge, sizeof caller.challenge) == MORTISE_DENIED);
	MUST(caller_greet(&caller) == MORTISE_OK && caller_greet(&other) == MORTISE_OK);
	MUST(caller_greet(&caller) == MORTISE_DENIED);
	MUST(memcmp(caller.challenge, other.challenge, sizeof wrong) != 0);
	MUST(caller_pin(&caller, NULL, 0) == MORTISE_DENIED);
	MUST(caller_pin(&caller, caller.challenge, sizeof wrong - 1) == MORTISE_DENIED);
	memcpy(wrong, caller.challenge, sizeof wrong);
	wrong[15] ^= 1;
	MUST(caller_pin(&caller, wrong, sizeof wrong) == MORTISE_DENIED);
	MUST(caller_pin(&caller, other.challenge, sizeof wrong) == MORTISE_DENIED);
	MUST(!caller.is_pinned);
	MUST(caller_pin(&caller, caller.challenge, sizeof wrong) == MORTISE_OK);
	MUST(caller.is_pinned);
	MUST(caller_pin(&caller, caller.challenge, sizeof wrong) == MORTISE_DENIED);
	caller_done(&caller);
	caller_done(&other);
}

static void without_peerpidfd_only_the_challenge_pins(void **state)
{
	in_a_child(greet_and_pin, *state);
}

static void greet_set_uid(const struct door *door)
{
	struct caller caller;

	fail_call(SCMP_SYS(getsockopt), 2, 77, ENOPROTOOPT);
	MUST(setresuid(ALICE, 0, 0) == 0);
	struct pair pair = meet(door);
	MUST(caller_identify(pair.ours, &caller) == MORTISE_OK);
	MUST(caller_greet(&caller) == MORTISE_OK);
	MUST(caller_pin(&caller, caller.challenge, sizeof caller.challenge) == MORTISE_DENIED);
	MUST(!caller.is_pinned);
}

static void a_set_uid_program_is_denied_by_the_challenge_too(void **state)
{
	NEEDS_ROOT();
	in_a_child(greet_set_uid, *state);
}

/* ---- the agent in namespaces of its own ---- */

static void identify_in_user_namespace(const struct door *door)
{
	struct caller caller;

	if (unshare(CLONE_NEWUSER) != 0)
		_exit(77);
	struct pair pair = meet(door);
	MUST(caller_identify(pair.ours, &caller) == MORTISE_DENIED);
}

static void an_unmapped_user_is_denied(void **state)
{
	in_a_child(identify_in_user_namespace, *state);
}

/* The child of unshare(CLONE_NEWPID) is the agent; its parent, outside, is the caller. */
static void identify_in_pid_namespace(const struct door *door)
{
	struct caller caller;
	int status, fd = -1;

	if (unshare(CLONE_NEWPID) != 0)
		_exit(77);
	fd = knock(door);
	pid_t agent = fork();
	if (agent == 0) {
		int ours = accept(door->listener, NULL, NULL);
		MUST(caller_identify(ours, &caller) == MORTISE_DENIED);
		fail_call(SCMP_SYS(getsockopt), 2, 77, ENOPROTOOPT);
		_exit(caller_identify(ours, &caller) == MORTISE_DENIED ? 0 : 1);
	}
	MUST(waitpid(agent, &status, 0) == agent);
	MUST(status == 0);
	close(fd);
}

static void a_process_of_another_pid_namespace_is_denied(void **state)
{
	NEEDS_ROOT();
	in_a_child(identify_in_pid_namespace, *state);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_kernel_says_who_connected),
		TEST(a_frame_of_the_connector_is_accepted),
		TEST(a_frame_without_credentials_is_denied),
		TEST(a_sender_that_differs_in_anything_is_denied),
		TEST(a_connector_that_died_is_denied_though_its_socket_lives),
		TEST(a_connector_that_was_gone_at_once_is_denied),
		TEST(groups_are_those_of_connect_however_many),
		TEST(a_thousand_and_24_groups_are_all_there_and_of_more_none),
		TEST(a_set_uid_program_is_denied),
		TEST(a_set_gid_program_is_denied),
		TEST(without_pidfd_info_the_ids_come_from_proc),
		TEST(without_pidfd_info_the_ids_are_found_before_however_many_groups),
		TEST(without_pidfd_info_and_proc_it_is_denied),
		TEST(a_pidfd_that_cannot_be_had_now_is_not_a_kernel_without_it),
		TEST(a_look_up_that_fails_denies),
		TEST(without_peerpidfd_only_the_challenge_pins),
		TEST(a_set_uid_program_is_denied_by_the_challenge_too),
		TEST(an_unmapped_user_is_denied),
		TEST(a_process_of_another_pid_namespace_is_denied),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
