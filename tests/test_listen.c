/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "listen.h"
#include "mortise_test.h"

#define STRANGER 12345

static const struct listen_access for_all = {0666, (gid_t)-1, false};

struct fixture {
	char base[32];
	char store[64], socket_directory[64], socket[64];
	struct owner us;
	struct refusal refusal;
	mode_t umask_before;
};

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof *fixture);

	if (fixture == NULL)
		return -1;
	snprintf(fixture->base, sizeof fixture->base, "/tmp/test_listen.XXXXXX");
	if (mkdtemp(fixture->base) == NULL)
		return -1;
	snprintf(fixture->store, sizeof fixture->store, "%s/store", fixture->base);
	snprintf(fixture->socket_directory, sizeof fixture->socket_directory, "%s/run",
		fixture->base);
	snprintf(fixture->socket, sizeof fixture->socket, "%s/run/agent.sock", fixture->base);
	fixture->us = (struct owner){geteuid(), getegid()};
	fixture->umask_before = umask(0);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	char command[128];
	int result;

	umask(fixture->umask_before);
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	snprintf(command, sizeof command, "rm -rf '%s'", fixture->base);
	result = system(command);
	free(fixture);
	return result;
}

static mode_t mode_of(const char *path)
{
	struct stat about;

	assert_int_equal(lstat(path, &about), 0);
	return about.st_mode & 07777;
}

static enum mortise_status open_store(struct fixture *fixture, int *out_fd)
{
	return directory_open(
		fixture->store, DIRECTORY_STORE, &fixture->us, true, out_fd, &fixture->refusal);
}

static void assert_store_is(struct fixture *fixture, enum mortise_status expected, const char *why)
{
	int fd = -7;

	assert_int_equal(open_store(fixture, &fd), expected);
	assert_int_equal(fd, -7);
	assert_non_null(strstr(fixture->refusal.text, why));
}

static void a_missing_store_is_made_0700_whatever_the_umask(void **state)
{
	struct fixture *fixture = *state;
	int fd = -1;

	assert_int_equal(open_store(fixture, &fd), MORTISE_OK);
	assert_int_equal(mode_of(fixture->store), 0700);
	close(fd);
}

static void a_missing_audit_directory_is_made_0750(void **state)
{
	struct fixture *fixture = *state;
	int fd = -1;

	umask(0777);
	assert_int_equal(directory_open(fixture->store, DIRECTORY_AUDIT, &fixture->us, true, &fd,
				 &fixture->refusal),
		MORTISE_OK);
	assert_int_equal(mode_of(fixture->store), 0750);
	close(fd);
}

static void a_check_makes_nothing(void **state)
{
	struct fixture *fixture = *state;
	int fd = -1;

	assert_int_equal(directory_open(fixture->store, DIRECTORY_STORE, &fixture->us, false, &fd,
				 &fixture->refusal),
		MORTISE_NOT_FOUND);
	assert_int_equal(access(fixture->store, F_OK), -1);
}

static void a_missing_parent_is_refused(void **state)
{
	struct fixture *fixture = *state;

	snprintf(fixture->store, sizeof fixture->store, "%s/no/store", fixture->base);
	assert_store_is(fixture, MORTISE_REJECTED, "No such file");
}

static void a_link_to_a_store_is_refused(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(mkdir(fixture->socket_directory, 0700), 0);
	assert_int_equal(symlink("run", fixture->store), 0);
	assert_store_is(fixture, MORTISE_REJECTED, "a link");
}

static void a_link_among_the_parents_is_refused(void **state)
{
	struct fixture *fixture = *state;
	char link[96];

	snprintf(link, sizeof link, "%s/link", fixture->base);
	assert_int_equal(symlink(".", link), 0);
	snprintf(fixture->store, sizeof fixture->store, "%s/link/store", fixture->base);
	assert_store_is(fixture, MORTISE_REJECTED, "a link");
}

static void a_file_in_place_of_the_store_is_refused(void **state)
{
	struct fixture *fixture = *state;
	int fd = open(fixture->store, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	close(fd);
	assert_store_is(fixture, MORTISE_REJECTED, "not a directory");
}

static void a_store_open_to_the_group_is_refused(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(mkdir(fixture->store, 0710), 0);
	assert_store_is(fixture, MORTISE_REJECTED, "chmod 0700");
}

static void a_store_open_to_the_world_is_refused(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(mkdir(fixture->store, 0701), 0);
	assert_store_is(fixture, MORTISE_REJECTED, "open to others");
}

static void a_parent_writable_by_the_world_is_refused(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(chmod(fixture->base, 0777), 0);
	assert_store_is(fixture, MORTISE_REJECTED, "others may write there (mode 0777)");
}

static void a_sticky_parent_is_accepted(void **state)
{
	struct fixture *fixture = *state;
	int fd = -1;

	assert_int_equal(chmod(fixture->base, 01777), 0);
	assert_int_equal(open_store(fixture, &fd), MORTISE_OK);
	close(fd);
}

static void a_sticky_directory_is_no_place_for_the_socket(void **state)
{
	struct fixture *fixture = *state;
	struct listener listener;

	assert_int_equal(mkdir(fixture->socket_directory, 0700), 0);
	assert_int_equal(chmod(fixture->socket_directory, 01777), 0);
	assert_int_equal(
		listen_open(fixture->socket, &for_all, &fixture->us, &listener, &fixture->refusal),
		MORTISE_REJECTED);
}

static void a_store_of_another_user_is_refused(void **state)
{
	struct fixture *fixture = *state;

	if (geteuid() != 0)
		skip();
	assert_int_equal(mkdir(fixture->store, 0700), 0);
	assert_int_equal(chown(fixture->store, STRANGER, STRANGER), 0);
	assert_store_is(fixture, MORTISE_REJECTED, "owned by uid 12345");
}

static void a_store_of_root_is_refused_where_the_agent_is_another(void **state)
{
	struct fixture *fixture = *state;

	if (geteuid() != 0)
		skip();
	assert_int_equal(mkdir(fixture->store, 0700), 0);
	fixture->us.uid = STRANGER;
	assert_store_is(fixture, MORTISE_REJECTED, "owned by uid 0");
}

static void a_parent_of_another_user_is_refused(void **state)
{
	struct fixture *fixture = *state;

	if (geteuid() != 0)
		skip();
	assert_int_equal(chown(fixture->base, STRANGER, STRANGER), 0);
	assert_store_is(fixture, MORTISE_REJECTED, "who could replace");
}

static void a_parent_writable_by_another_users_group_is_refused(void **state)
{
	struct fixture *fixture = *state;

	if (geteuid() != 0)
		skip();
	fixture->us = (struct owner){STRANGER, STRANGER};
	assert_int_equal(chown(fixture->base, STRANGER, STRANGER + 1), 0);
	assert_int_equal(chmod(fixture->base, 0770), 0);
	assert_store_is(fixture, MORTISE_REJECTED, "others may write");
}

static void a_new_store_belongs_to_the_agents_user(void **state)
{
	struct fixture *fixture = *state;
	struct stat about;
	int fd = -1;

	if (geteuid() != 0)
		skip();
	fixture->us = (struct owner){STRANGER, STRANGER};
	assert_int_equal(open_store(fixture, &fd), MORTISE_OK);
	assert_int_equal(fstat(fd, &about), 0);
	assert_int_equal(about.st_uid, STRANGER);
	assert_int_equal(about.st_gid, STRANGER);
	close(fd);
}

static void what_is_no_absolute_path_is_refused(void **state)
{
	static const char *const paths[] = {"", "/", "store", "./store", "/tmp/", "/tmp//x",
		"/tmp/./x", "/tmp/../x", "/tmp/.."};
	struct fixture *fixture = *state;
	int fd = -7;

	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
		assert_int_equal(directory_open(paths[i], DIRECTORY_STORE, &fixture->us, true, &fd,
					 &fixture->refusal),
			MORTISE_REJECTED);
	assert_int_equal(fd, -7);
}

/* The lock of the store in a child, as another agent would take it. */
static enum mortise_status lock_in_a_child(struct fixture *fixture, int directory_fd)
{
	pid_t child = fork();
	int status = -1, fd;

	if (child == 0)
		_exit((int)directory_lock(
			directory_fd, fixture->store, &fixture->us, &fd, &fixture->refusal));
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return (enum mortise_status)WEXITSTATUS(status);
}

static void a_second_agent_is_told_who_holds_the_lock(void **state)
{
	struct fixture *fixture = *state;
	int directory_fd = -1, first = -1, second = -7;
	char expected[256];

	assert_int_equal(open_store(fixture, &directory_fd), MORTISE_OK);
	assert_int_equal(directory_lock(directory_fd, fixture->store, &fixture->us, &first,
				 &fixture->refusal),
		MORTISE_OK);
	assert_int_equal(directory_lock(directory_fd, fixture->store, &fixture->us, &second,
				 &fixture->refusal),
		MORTISE_CONFLICT);
	assert_int_equal(second, -7);
	snprintf(expected, sizeof expected, "%s is in use by another mortised (pid %d)",
		fixture->store, (int)getpid());
	assert_string_equal(fixture->refusal.text, expected);
	assert_int_equal(lock_in_a_child(fixture, directory_fd), MORTISE_CONFLICT);
	close(first);
	close(directory_fd);
}

static const char *made_anew; /* a file that is unlinked and made anew before it can be locked */

/* It stands before libc's for all that is linked statically. */
int flock(int fd, int operation)
{
	if (made_anew) {
		assert_int_equal(unlink(made_anew), 0);
		close(open(made_anew, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
		made_anew = NULL;
	}
	return (int)syscall(SYS_flock, fd, operation);
}

static void a_lock_on_a_file_that_is_there_no_more_does_not_count(void **state)
{
	struct fixture *fixture = *state;
	int directory_fd = -1, fd = -7;
	char lock[128];

	assert_int_equal(open_store(fixture, &directory_fd), MORTISE_OK);
	snprintf(lock, sizeof lock, "%s/lock", fixture->store);
	assert_int_equal(close(open(lock, O_WRONLY | O_CREAT | O_CLOEXEC, 0600)), 0);
	made_anew = lock;
	assert_int_equal(
		directory_lock(directory_fd, fixture->store, &fixture->us, &fd, &fixture->refusal),
		MORTISE_CONFLICT);
	assert_null(made_anew);
	assert_int_equal(fd, -7);
	assert_int_equal(
		directory_lock(directory_fd, fixture->store, &fixture->us, &fd, &fixture->refusal),
		MORTISE_OK);
	close(fd);
	close(directory_fd);
}

static void a_lock_ends_with_its_process(void **state)
{
	struct fixture *fixture = *state;
	int directory_fd = -1;

	assert_int_equal(open_store(fixture, &directory_fd), MORTISE_OK);
	assert_int_equal(lock_in_a_child(fixture, directory_fd), MORTISE_OK);
	assert_int_equal(lock_in_a_child(fixture, directory_fd), MORTISE_OK);
	close(directory_fd);
}

static void assert_lock_is_refused(struct fixture *fixture, int directory_fd)
{
	int fd = -7;

	assert_int_equal(
		directory_lock(directory_fd, fixture->store, &fixture->us, &fd, &fixture->refusal),
		MORTISE_REJECTED);
	assert_int_equal(fd, -7);
}

static void a_lock_that_is_a_link_is_refused_and_its_target_untouched(void **state)
{
	struct fixture *fixture = *state;
	char target[96];
	int directory_fd = -1;

	snprintf(target, sizeof target, "%s/target", fixture->base);
	assert_int_equal(open_store(fixture, &directory_fd), MORTISE_OK);
	assert_int_equal(symlinkat("../target", directory_fd, "lock"), 0);
	assert_lock_is_refused(fixture, directory_fd);
	assert_int_equal(access(target, F_OK), -1);
	close(directory_fd);
}

static void a_lock_that_is_another_name_of_a_file_is_refused(void **state)
{
	struct fixture *fixture = *state;
	char target[96];
	int directory_fd = -1, fd;

	snprintf(target, sizeof target, "%s/target", fixture->base);
	fd = open(target, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, "kept", 4), 4);
	assert_int_equal(open_store(fixture, &directory_fd), MORTISE_OK);
	assert_int_equal(linkat(AT_FDCWD, target, directory_fd, "lock", 0), 0);
	assert_lock_is_refused(fixture, directory_fd);
	assert_int_equal(lseek(fd, 0, SEEK_END), 4);
	close(fd);
	close(directory_fd);
}

static void a_lock_that_is_a_fifo_is_refused_at_once(void **state)
{
	struct fixture *fixture = *state;
	int directory_fd = -1;

	assert_int_equal(open_store(fixture, &directory_fd), MORTISE_OK);
	assert_int_equal(mkfifoat(directory_fd, "lock", 0600), 0);
	assert_lock_is_refused(fixture, directory_fd);
	close(directory_fd);
}

static struct listener open_listener(struct fixture *fixture)
{
	struct listener listener = {.fd = -1};

	assert_int_equal(
		listen_open(fixture->socket, &for_all, &fixture->us, &listener, &fixture->refusal),
		MORTISE_OK);
	return listener;
}

static void the_modes_are_exact_under_umask_0(void **state)
{
	struct fixture *fixture = *state;
	struct listener listener = open_listener(fixture);

	assert_int_equal(mode_of(fixture->socket_directory), 0755);
	assert_int_equal(mode_of(fixture->socket), 0666);
	listen_close(&listener);
}

static void the_modes_are_exact_under_umask_0777(void **state)
{
	struct fixture *fixture = *state;
	struct listener listener;

	umask(0777);
	listener = open_listener(fixture);
	assert_int_equal(mode_of(fixture->socket_directory), 0755);
	assert_int_equal(mode_of(fixture->socket), 0666);
	assert_int_equal(umask(0), 0777);
	listen_close(&listener);
}

static int option_of(int fd, int option)
{
	int value = -1;
	socklen_t size = sizeof value;

	assert_int_equal(getsockopt(fd, SOL_SOCKET, option, &value, &size), 0);
	return value;
}

static void the_socket_listens_and_passes_credentials(void **state)
{
	struct listener listener = open_listener(*state);

	assert_int_equal(option_of(listener.fd, SO_TYPE), SOCK_SEQPACKET);
	assert_int_equal(option_of(listener.fd, SO_ACCEPTCONN), 1);
	assert_int_equal(option_of(listener.fd, SO_PASSCRED), 1);
	assert_true((fcntl(listener.fd, F_GETFL) & O_NONBLOCK) != 0);
	assert_true((fcntl(listener.fd, F_GETFD) & FD_CLOEXEC) != 0);
	listen_close(&listener);
}

static void closing_removes_the_socket(void **state)
{
	struct fixture *fixture = *state;
	struct listener listener = open_listener(fixture);

	listen_close(&listener);
	assert_int_equal(access(fixture->socket, F_OK), -1);
	assert_int_equal(listener.fd, -1);
}

static void closing_leaves_what_took_its_place(void **state)
{
	struct fixture *fixture = *state;
	struct listener listener = open_listener(fixture);
	int fd;

	assert_int_equal(unlink(fixture->socket), 0);
	fd = open(fixture->socket, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	close(fd);
	listen_close(&listener);
	assert_int_equal(access(fixture->socket, F_OK), 0);
}

static void a_stale_socket_is_replaced(void **state)
{
	struct fixture *fixture = *state;
	struct listener stale = open_listener(fixture), listener;

	close(stale.fd);
	close(stale.directory_fd);
	listener = open_listener(fixture);
	listen_close(&listener);
}

static void a_socket_in_use_is_left_alone(void **state)
{
	struct fixture *fixture = *state;
	struct listener first = open_listener(fixture), second = {.fd = -7};

	assert_int_equal(
		listen_open(fixture->socket, &for_all, &fixture->us, &second, &fixture->refusal),
		MORTISE_CONFLICT);
	assert_int_equal(second.fd, -7);
	assert_int_equal(access(fixture->socket, F_OK), 0);
	listen_close(&first);
}

static void a_stream_socket_in_use_is_left_alone(void **state)
{
	struct fixture *fixture = *state;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct listener listener;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(mkdir(fixture->socket_directory, 0755), 0);
	snprintf(address.sun_path, sizeof address.sun_path, "%s", fixture->socket);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(
		listen_open(fixture->socket, &for_all, &fixture->us, &listener, &fixture->refusal),
		MORTISE_CONFLICT);
	close(fd);
}

static void a_file_in_place_of_the_socket_is_left_alone(void **state)
{
	struct fixture *fixture = *state;
	struct listener listener;

	assert_int_equal(mkdir(fixture->socket_directory, 0755), 0);
	assert_int_equal(symlink("elsewhere", fixture->socket), 0);
	assert_int_equal(
		listen_open(fixture->socket, &for_all, &fixture->us, &listener, &fixture->refusal),
		MORTISE_REJECTED);
	assert_int_equal(unlink(fixture->socket), 0);
}

static void a_path_too_long_for_a_socket_is_refused(void **state)
{
	struct fixture *fixture = *state;
	struct listener listener;
	char path[200];

	memset(path, 'x', sizeof path - 1);
	path[sizeof path - 1] = '\0';
	path[0] = '/';
	assert_int_equal(listen_open(path, &for_all, &fixture->us, &listener, &fixture->refusal),
		MORTISE_REJECTED);
	assert_non_null(strstr(fixture->refusal.text, "at most 107 bytes"));
}

/* Runs body in a child in which fd stands where the service manager would have put it. */
static int adopt_in_a_child(int fd, const char *count, struct fixture *fixture)
{
	const struct listen_wanted wanted[] = {
		{"main", fixture->socket, {0666, (gid_t)-1, false}, false}};
	pid_t child = fork();
	struct listen_set set;
	char pid[16];
	int status = -1;

	if (child == 0) {
		dup2(fd, LISTEN_FIRST_FD);
		snprintf(pid, sizeof pid, "%d", (int)getpid());
		setenv("LISTEN_PID", pid, 1);
		setenv("LISTEN_FDS", count, 1);
		if (!listen_was_passed())
			_exit(100);
		status = (int)listen_set_open(wanted, 1, &fixture->us, &set, &fixture->refusal);
		if (status == MORTISE_OK && option_of(set.listeners[0].fd, SO_PASSCRED) != 1)
			_exit(101);
		if (status == MORTISE_OK)
			listen_set_close(&set);
		_exit(status);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int bound_socket(struct fixture *fixture, int type)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, type, 0);

	snprintf(address.sun_path, sizeof address.sun_path, "%s/passed", fixture->base);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
	return fd;
}

static void a_passed_socket_is_adopted_and_not_removed(void **state)
{
	struct fixture *fixture = *state;
	int fd = bound_socket(fixture, SOCK_SEQPACKET);
	char path[96];

	assert_int_equal(listen(fd, 5), 0);
	assert_int_equal(adopt_in_a_child(fd, "1", fixture), MORTISE_OK);
	snprintf(path, sizeof path, "%s/passed", fixture->base);
	assert_int_equal(access(path, F_OK), 0);
	close(fd);
}

static void a_passed_stream_socket_is_refused(void **state)
{
	struct fixture *fixture = *state;
	int fd = bound_socket(fixture, SOCK_STREAM);

	assert_int_equal(listen(fd, 5), 0);
	assert_int_equal(adopt_in_a_child(fd, "1", fixture), MORTISE_REJECTED);
	close(fd);
}

static void a_passed_socket_that_does_not_listen_is_refused(void **state)
{
	struct fixture *fixture = *state;
	int fd = bound_socket(fixture, SOCK_SEQPACKET);

	assert_int_equal(adopt_in_a_child(fd, "1", fixture), MORTISE_REJECTED);
	close(fd);
}

static void a_passed_file_is_refused(void **state)
{
	assert_int_equal(adopt_in_a_child(STDIN_FILENO, "1", *state), MORTISE_REJECTED);
}

static void other_numbers_of_sockets_are_refused(void **state)
{
	static const char *const counts[] = {"0", "2", "-1", "", "1x", "99999999999999999999"};
	struct fixture *fixture = *state;
	int fd = bound_socket(fixture, SOCK_SEQPACKET);

	assert_int_equal(listen(fd, 5), 0);
	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
		assert_int_equal(adopt_in_a_child(fd, counts[i], fixture), MORTISE_REJECTED);
	close(fd);
}

static void what_was_passed_to_another_process_is_not_ours(void **state)
{
	(void)state;
	setenv("LISTEN_FDS", "1", 1);
	setenv("LISTEN_PID", "1", 1);
	assert_false(listen_was_passed());
	unsetenv("LISTEN_PID");
	assert_false(listen_was_passed());
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_FIXTURE(a_missing_store_is_made_0700_whatever_the_umask),
		WITH_FIXTURE(a_missing_audit_directory_is_made_0750),
		WITH_FIXTURE(a_check_makes_nothing),
		WITH_FIXTURE(a_missing_parent_is_refused),
		WITH_FIXTURE(a_link_to_a_store_is_refused),
		WITH_FIXTURE(a_link_among_the_parents_is_refused),
		WITH_FIXTURE(a_file_in_place_of_the_store_is_refused),
		WITH_FIXTURE(a_store_open_to_the_group_is_refused),
		WITH_FIXTURE(a_store_open_to_the_world_is_refused),
		WITH_FIXTURE(a_parent_writable_by_the_world_is_refused),
		WITH_FIXTURE(a_sticky_parent_is_accepted),
		WITH_FIXTURE(a_sticky_directory_is_no_place_for_the_socket),
		WITH_FIXTURE(a_store_of_another_user_is_refused),
		WITH_FIXTURE(a_store_of_root_is_refused_where_the_agent_is_another),
		WITH_FIXTURE(a_parent_of_another_user_is_refused),
		WITH_FIXTURE(a_parent_writable_by_another_users_group_is_refused),
		WITH_FIXTURE(a_new_store_belongs_to_the_agents_user),
		WITH_FIXTURE(what_is_no_absolute_path_is_refused),
		WITH_FIXTURE(a_second_agent_is_told_who_holds_the_lock),
		WITH_FIXTURE(a_lock_on_a_file_that_is_there_no_more_does_not_count),
		WITH_FIXTURE(a_lock_ends_with_its_process),
		WITH_FIXTURE(a_lock_that_is_a_link_is_refused_and_its_target_untouched),
		WITH_FIXTURE(a_lock_that_is_another_name_of_a_file_is_refused),
		WITH_FIXTURE(a_lock_that_is_a_fifo_is_refused_at_once),
		WITH_FIXTURE(the_modes_are_exact_under_umask_0),
		WITH_FIXTURE(the_modes_are_exact_under_umask_0777),
		WITH_FIXTURE(the_socket_listens_and_passes_credentials),
		WITH_FIXTURE(closing_removes_the_socket),
		WITH_FIXTURE(closing_leaves_what_took_its_place),
		WITH_FIXTURE(a_stale_socket_is_replaced),
		WITH_FIXTURE(a_socket_in_use_is_left_alone),
		WITH_FIXTURE(a_stream_socket_in_use_is_left_alone),
		WITH_FIXTURE(a_file_in_place_of_the_socket_is_left_alone),
		WITH_FIXTURE(a_path_too_long_for_a_socket_is_refused),
		WITH_FIXTURE(a_passed_socket_is_adopted_and_not_removed),
		WITH_FIXTURE(a_passed_stream_socket_is_refused),
		WITH_FIXTURE(a_passed_socket_that_does_not_listen_is_refused),
		WITH_FIXTURE(a_passed_file_is_refused),
		WITH_FIXTURE(other_numbers_of_sockets_are_refused),
		WITH_FIXTURE(what_was_passed_to_another_process_is_not_ours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
