/* SPDX-License-Identifier: ISC */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mortise_test.h"
#include "sandbox.h"

/* What a probe says; anything from 64 on is a probe that could not be made. */
enum { PASSED = 0, FAILED = 1, NO_SANDBOX = 64 };

static char base[] = "/tmp/test_sandbox.XXXXXX";
static char store[64], audit[64];

typedef int probe(void);

static int enter_and(probe *body)
{
	if (sandbox_prepare() != MORTISE_OK || sandbox_confine(store, audit) != MORTISE_OK ||
		sandbox_enter() != MORTISE_OK)
		return NO_SANDBOX;
	return body();
}

/* The wait status of a child that ran body inside the sandbox. */
static int status_of(probe *body)
{
	pid_t child = fork();
	int status = -1;

	if (child == 0)
		_exit(enter_and(body));
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

static void assert_passes(probe *body)
{
	int status = status_of(body);

	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), PASSED);
}

static void assert_kills(probe *body)
{
	int status = status_of(body);

	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSYS);
}

static int passed(bool so)
{
	return so ? PASSED : FAILED;
}

static bool has_landlock(void)
{
	return syscall(444, NULL, 0, 1) > 0;
}

static bool status_says(const char *line)
{
	char text[8192];
	int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof text - 1);

	if (size < 0)
		return false;
	text[size] = '\0';
	close(fd);
	return strstr(text, line) != NULL;
}

static int run_a_program(void)
{
	char *arguments[] = {(char[]){"true"}, NULL};

	execve("/bin/true", arguments, NULL);
	return FAILED;
}

static void running_a_program_kills(void **state)
{
	(void)state;
	assert_kills(run_a_program);
}

static int run_by_descriptor(void)
{
	syscall(SYS_execveat, 2, "", NULL, NULL, 0);
	return FAILED;
}

static void running_a_descriptor_kills(void **state)
{
	(void)state;
	assert_kills(run_by_descriptor);
}

static int make_socket(void)
{
	(void)socket(AF_UNIX, SOCK_STREAM, 0);
	return FAILED;
}

static void making_a_socket_kills(void **state)
{
	(void)state;
	assert_kills(make_socket);
}

static int trace_a_parent(void)
{
	ptrace(PTRACE_ATTACH, getppid(), NULL, NULL);
	return FAILED;
}

static void tracing_kills(void **state)
{
	(void)state;
	assert_kills(trace_a_parent);
}

static int read_other_memory(void)
{
	syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0);
	return FAILED;
}

static void reading_other_memory_kills(void **state)
{
	(void)state;
	assert_kills(read_other_memory);
}

static int make_io_uring(void)
{
	syscall(SYS_io_uring_setup, 1, NULL);
	return FAILED;
}

static void an_io_uring_kills(void **state)
{
	(void)state;
	assert_kills(make_io_uring);
}

static int make_socketpair(void)
{
	int pair[2];

	return passed(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0 && errno == EPERM);
}

static void a_call_outside_the_list_gets_eperm(void **state)
{
	(void)state;
	assert_passes(make_socketpair);
}

static int fork_once(void)
{
	long child = syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, 0);

	return passed(child < 0 && errno == EPERM);
}

static void a_fork_gets_eperm(void **state)
{
	(void)state;
#if defined(__SANITIZE_ADDRESS__)
	skip();
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
	skip();
#endif
#endif
	assert_passes(fork_once);
}

static int map_code(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return passed(page == MAP_FAILED && errno == EPERM);
}

static void new_code_cannot_be_mapped(void **state)
{
	(void)state;
	assert_passes(map_code);
}

static int make_memory_executable(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return FAILED;
	return passed(mprotect(page, 4096, PROT_READ | PROT_EXEC) != 0 && errno == EPERM);
}

static void memory_cannot_become_code(void **state)
{
	(void)state;
	assert_passes(make_memory_executable);
}

static int signal_the_parent(void)
{
	return passed(kill(getppid(), SIGUSR1) != 0 && errno == EPERM);
}

/* The filter comes before the kernel finds nobody there; Landlock, where it knows signals, behind.
 */
static int signal_nobody(void)
{
	const pid_t nobody = 0x7ffffffe;

	if (kill(nobody, 0) == 0 || errno != ESRCH ||
		syscall(SYS_pidfd_send_signal, -1, 0, NULL, 0) == 0 || errno != EBADF)
		return FAILED;
	for (int signal = 1; signal <= 64; signal++) {
		if (kill(nobody, signal) == 0 || errno != EPERM)
			return FAILED;
		if (syscall(SYS_pidfd_send_signal, -1, signal, NULL, 0) == 0 || errno != EPERM)
			return FAILED;
	}
	return PASSED;
}

static void nobody_else_can_be_signalled(void **state)
{
	(void)state;
	assert_passes(signal_the_parent);
	assert_passes(signal_nobody);
}

static int abort_itself(void)
{
	abort();
}

static void an_abort_still_aborts(void **state)
{
	int status = status_of(abort_itself);

	(void)state;
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
}

static int raise_a_limit(void)
{
	const struct rlimit limit = {0, 0};

	return passed(setrlimit(RLIMIT_CORE, &limit) != 0 && errno == EPERM);
}

static void limits_cannot_be_changed(void **state)
{
	(void)state;
	assert_passes(raise_a_limit);
}

static int open_passwd(void)
{
	return passed(open("/etc/passwd", O_RDONLY | O_CLOEXEC) < 0 && errno == EACCES);
}

static void a_file_elsewhere_cannot_be_opened(void **state)
{
	(void)state;
	if (!has_landlock())
		skip();
	assert_passes(open_passwd);
}

static int write_to_proc(void)
{
	return passed(open("/proc/self/comm", O_WRONLY | O_CLOEXEC) < 0 && errno == EACCES);
}

static void proc_cannot_be_written(void **state)
{
	(void)state;
	if (!has_landlock())
		skip();
	assert_passes(write_to_proc);
}

static int read_status(void)
{
	return passed(status_says("\nPid:"));
}

static void proc_can_be_read(void **state)
{
	(void)state;
	assert_passes(read_status);
}

static int make_a_link(void)
{
	return passed(symlinkat("/etc/passwd", AT_FDCWD, store) != 0 && errno == EPERM);
}

static void no_link_can_be_made(void **state)
{
	(void)state;
	assert_passes(make_a_link);
}

static int write_in(const char *directory)
{
	char path[128];
	int fd;

	snprintf(path, sizeof path, "%s/file", directory);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, "text", 4) != 4 || ftruncate(fd, 0) != 0 || fsync(fd) != 0)
		return FAILED;
	if (fallocate(fd, 0, 0, 4096) != 0 && errno != EOPNOTSUPP)
		return FAILED;
	close(fd);
	return passed(unlink(path) == 0);
}

static int write_in_store(void)
{
	return write_in(store);
}

static void the_store_can_be_written(void **state)
{
	(void)state;
	assert_passes(write_in_store);
}

static int write_in_audit(void)
{
	return write_in(audit);
}

static void the_log_can_be_written(void **state)
{
	(void)state;
	assert_passes(write_in_audit);
}

static int use_sqlite(void)
{
	static const char script[] = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
				     "CREATE TABLE t (x BLOB) STRICT; INSERT INTO t VALUES (x'00');"
				     "PRAGMA wal_checkpoint(TRUNCATE); DELETE FROM t; VACUUM;";
	char path[128];
	sqlite3 *db = NULL;
	int result;

	snprintf(path, sizeof path, "%s/store.db", store);
	if (sqlite3_open(path, &db) != SQLITE_OK)
		return FAILED;
	sqlite3_exec(db, "PRAGMA temp_store=MEMORY", NULL, NULL, NULL);
	result = sqlite3_exec(db, script, NULL, NULL, NULL);
	return passed(result == SQLITE_OK && sqlite3_close(db) == SQLITE_OK);
}

static void sqlite_works_inside(void **state)
{
	(void)state;
	assert_passes(use_sqlite);
}

static int look_at_core_limit(void)
{
	struct rlimit limit;

	return passed(
		getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_cur == 0 && limit.rlim_max == 0);
}

static void there_is_no_core(void **state)
{
	(void)state;
	assert_passes(look_at_core_limit);
}

/* In a child that is prepared only: prctl is not on the list. */
static int prepared_and(probe *body)
{
	pid_t child = fork();
	int status = -1;

	if (child == 0)
		_exit(sandbox_prepare() == MORTISE_OK ? body() : NO_SANDBOX);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int look_at_dumpable(void)
{
	return passed(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0);
}

static void the_process_is_not_dumpable(void **state)
{
	(void)state;
	assert_int_equal(prepared_and(look_at_dumpable), PASSED);
}

static int look_at_capabilities(void)
{
	return passed(status_says("\nCapInh:\t0000000000000000\nCapPrm:\t0000000000000000\n"
				  "CapEff:\t0000000000000000\n") &&
		      status_says("\nCapAmb:\t0000000000000000\n"));
}

static void no_capability_is_left(void **state)
{
	(void)state;
	assert_passes(look_at_capabilities);
}

static int look_at_bounding_set(void)
{
	return passed(status_says("\nCapBnd:\t0000000000000000\n"));
}

static void the_bounding_set_is_empty_where_permitted(void **state)
{
	(void)state;
	if (geteuid() != 0 || prctl(PR_CAPBSET_READ, 8 /* CAP_SETPCAP */, 0, 0, 0) != 1)
		skip();
	assert_passes(look_at_bounding_set);
}

static int look_at_privileges(void)
{
	return passed(status_says("\nNoNewPrivs:\t1\n") && status_says("\nSeccomp:\t2\n"));
}

static void no_new_privileges_and_a_filter_are_set(void **state)
{
	(void)state;
	assert_passes(look_at_privileges);
}

static pthread_barrier_t turn;

static void *wait_then_open(void *context)
{
	int *result = context;

	pthread_barrier_wait(&turn);
	*result = open("/etc/passwd", O_RDONLY | O_CLOEXEC) < 0 && symlink("a", "b") != 0 &&
				  errno == EPERM
			  ? PASSED
			  : FAILED;
	return NULL;
}

/* The order of the header: confine, thread, enter. */
static int start_a_thread_between(void)
{
	pthread_t thread;
	int result = FAILED;

	if (sandbox_prepare() != MORTISE_OK || sandbox_confine(store, audit) != MORTISE_OK)
		return NO_SANDBOX;
	pthread_barrier_init(&turn, NULL, 2);
	if (pthread_create(&thread, NULL, wait_then_open, &result) != 0)
		return NO_SANDBOX;
	if (sandbox_enter() != MORTISE_OK)
		return NO_SANDBOX;
	pthread_barrier_wait(&turn);
	pthread_join(thread, NULL);
	return result;
}

static void a_thread_of_before_is_bound_too(void **state)
{
	pid_t child;
	int status = -1;

	(void)state;
	if (!has_landlock())
		skip();
	child = fork();
	if (child == 0)
		_exit(start_a_thread_between());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), PASSED);
}

static int confine_to_nothing(void)
{
	return passed(sandbox_confine("/nonexistent", audit) == MORTISE_IO && errno == ENOENT);
}

static void a_missing_directory_is_refused(void **state)
{
	(void)state;
	if (!has_landlock())
		skip();
	assert_int_equal(prepared_and(confine_to_nothing), PASSED);
}

static int describe(void)
{
	return passed(strcmp(sandbox_description(), "seccomp, landlock") == 0);
}

static int describe_without_landlock(void)
{
	return passed(strcmp(sandbox_description(), "seccomp") == 0);
}

static void the_description_says_what_is_in_force(void **state)
{
	(void)state;
	assert_string_equal(sandbox_description(), "none");
	assert_passes(has_landlock() ? describe : describe_without_landlock);
}

static int make_directories(void **state)
{
	(void)state;
	if (mkdtemp(base) == NULL)
		return -1;
	snprintf(store, sizeof store, "%s/store", base);
	snprintf(audit, sizeof audit, "%s/audit", base);
	return mkdir(store, 0700) != 0 || mkdir(audit, 0700) != 0;
}

static int remove_directories(void **state)
{
	char path[128];

	(void)state;
	snprintf(path, sizeof path, "%s/store.db", store);
	unlink(path);
	return rmdir(store) != 0 || rmdir(audit) != 0 || rmdir(base) != 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(running_a_program_kills),
		cmocka_unit_test(running_a_descriptor_kills),
		cmocka_unit_test(making_a_socket_kills),
		cmocka_unit_test(tracing_kills),
		cmocka_unit_test(reading_other_memory_kills),
		cmocka_unit_test(an_io_uring_kills),
		cmocka_unit_test(a_call_outside_the_list_gets_eperm),
		cmocka_unit_test(a_fork_gets_eperm),
		cmocka_unit_test(new_code_cannot_be_mapped),
		cmocka_unit_test(memory_cannot_become_code),
		cmocka_unit_test(nobody_else_can_be_signalled),
		cmocka_unit_test(an_abort_still_aborts),
		cmocka_unit_test(limits_cannot_be_changed),
		cmocka_unit_test(a_file_elsewhere_cannot_be_opened),
		cmocka_unit_test(proc_cannot_be_written),
		cmocka_unit_test(proc_can_be_read),
		cmocka_unit_test(no_link_can_be_made),
		cmocka_unit_test(the_store_can_be_written),
		cmocka_unit_test(the_log_can_be_written),
		cmocka_unit_test(sqlite_works_inside),
		cmocka_unit_test(there_is_no_core),
		cmocka_unit_test(the_process_is_not_dumpable),
		cmocka_unit_test(no_capability_is_left),
		cmocka_unit_test(the_bounding_set_is_empty_where_permitted),
		cmocka_unit_test(no_new_privileges_and_a_filter_are_set),
		cmocka_unit_test(a_thread_of_before_is_bound_too),
		cmocka_unit_test(a_missing_directory_is_refused),
		cmocka_unit_test(the_description_says_what_is_in_force),
	};

	return cmocka_run_group_tests(tests, make_directories, remove_directories);
}
