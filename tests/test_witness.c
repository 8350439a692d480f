/* SPDX-License-Identifier: ISC */
/* What the witness looks at, what it passes over, and what its process cannot do. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mortise_test.h"
#include "processes.h"
#include "witness_look.h"
#include "witness_process.h"

/* ---- mounts ---- */

static enum mount_verdict judge(const char *line, const char *path)
{
	return mount_judge(line, strlen(line), path);
}

static void a_path_on_what_a_program_serves_is_known_by_its_mount(void **state)
{
	static const char sshfs[] =
		"95 28 0:51 / /home/a/m rw,nosuid shared:7 master:3 - fuse.sshfs a:/ rw,user_id=1";
	static const struct {
		const char *path;
		enum mount_verdict verdict;
	} cases[] = {{"/home/a/m/program", MOUNT_SERVED}, {"/home/a/m", MOUNT_SERVED},
		{"/home/a/m2/program", MOUNT_ELSEWHERE}, {"/home/a", MOUNT_ELSEWHERE},
		{"/home/a/", MOUNT_ELSEWHERE}, {"/usr/bin/true", MOUNT_ELSEWHERE}};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		assert_int_equal(judge(sshfs, cases[i].path), cases[i].verdict);
	assert_int_equal(judge("1 0 0:2 / /m rw - fuse x rw", "/m/x"), MOUNT_SERVED);
	assert_int_equal(judge("1 0 0:2 / /m rw - fuseblk /dev/sda rw", "/m/x"), MOUNT_SERVED);
	assert_int_equal(judge("1 0 0:2 / /m rw - ext4 fuse rw", "/m/x"), MOUNT_ON_THE_WAY);
	assert_int_equal(judge("1 0 8:1 / / rw,relatime - fuse x rw", "/any"), MOUNT_SERVED);
	assert_int_equal(judge("1 0 8:1 / / rw,relatime - xfs x rw", "/any"), MOUNT_ON_THE_WAY);
}

static void a_place_with_blanks_and_backslashes_is_read(void **state)
{
	(void)state;
	assert_int_equal(
		judge("1 0 0:2 / /a\\040b\\134c rw - fuse x rw", "/a b\\c/p"), MOUNT_SERVED);
	assert_int_equal(judge("1 0 0:2 / /a\\040b rw - fuse x rw", "/a\\040b/p"), MOUNT_ELSEWHERE);
	assert_int_equal(judge("1 0 0:2 / /a\\04 rw - fuse x rw", "/a\\04/p"), MOUNT_SERVED);
}

static void a_line_that_is_not_the_kernels_is_unreadable(void **state)
{
	static const char *const lines[] = {"", "1", "1 0 8:1 /", "1 0 8:1 / /", "1 0 8:1 / / rw",
		"1 0 8:1 / / rw -", "1 0 8:1 / / rw - ", "1 0 8:1 / x rw - ext4 a b",
		"1 0  8:1 / / rw - ext4 a b", "1 0 8:1 / / rw x:1"};

	(void)state;
	for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
		assert_int_equal(judge(lines[i], "/x"), MOUNT_UNREADABLE);
}

static int file_of(const char *text, size_t size)
{
	int fd = memfd_create("mounts", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, size), size);
	return fd;
}

/* More lines than are read at once, and the one that counts at the end. */
static void a_long_list_is_read_to_its_end(void **state)
{
	static char text[400000];
	size_t used = 0;

	(void)state;
	while (used < 300000)
		used += (size_t)snprintf(text + used, sizeof text - used,
			"36 35 98:0 /r /var/lib/containers/%zu rw,noatime - overlay o "
			"rw,lowerdir=%0200d\n",
			used, 1);
	int fd = file_of(text, used);
	assert_int_equal(mounts_check(fd, "/srv/m/x"), MORTISE_OK);
	close(fd);
	used += (size_t)snprintf(
		text + used, sizeof text - used, "37 35 0:9 / /srv/m rw - fuse x rw\n");
	fd = file_of(text, used);
	assert_int_equal(mounts_check(fd, "/srv/m/x"), MORTISE_DENIED);
	assert_int_equal(
		mounts_check(fd, "/srv/m/x"), MORTISE_DENIED); /* from its beginning again */
	assert_int_equal(mounts_check(fd, "/srv/x"), MORTISE_OK);
	close(fd);
}

static void what_cannot_be_read_whole_is_no_list(void **state)
{
	static char line[40000];
	int fd;

	(void)state;
	fd = file_of("", 0);
	assert_int_equal(mounts_check(fd, "/x"), MORTISE_IO);
	close(fd);
	fd = file_of("1 0 8:1 / / rw - ext4 a b", 25); /* torn */
	assert_int_equal(mounts_check(fd, "/x"), MORTISE_IO);
	close(fd);
	memset(line, 'x', sizeof line);
	fd = file_of(line, sizeof line);
	assert_int_equal(mounts_check(fd, "/x"), MORTISE_IO);
	close(fd);
	assert_int_equal(mounts_check(-1, "/x"), MORTISE_IO);
}

/* ---- programs ---- */

struct place {
	char directory[64], program[128], link[128];
	int mounts;
	pid_t pid;
};

static int set_up(void **state)
{
	struct place *place = calloc(1, sizeof *place);

	assert_non_null(place);
	snprintf(place->directory, sizeof place->directory, "/tmp/test_witness.XXXXXX");
	assert_non_null(mkdtemp(place->directory));
	snprintf(place->program, sizeof place->program, "%s/program", place->directory);
	snprintf(place->link, sizeof place->link, "%s/link", place->directory);
	place->mounts = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	assert_true(place->mounts >= 0);
	*state = place;
	return 0;
}

static int tear_down(void **state)
{
	struct place *place = *state;

	if (place->pid > 0) {
		kill(place->pid, SIGKILL);
		waitpid(place->pid, NULL, 0);
	}
	unlink(place->program);
	unlink(place->link);
	close(place->mounts);
	assert_int_equal(rmdir(place->directory), 0);
	free(place);
	return 0;
}

static void copy_sleep(const char *to)
{
	char bytes[4096];
	ssize_t got;
	int from = open("/usr/bin/sleep", O_RDONLY | O_CLOEXEC);
	int fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);

	assert_true(from >= 0 && fd >= 0);
	while ((got = read(from, bytes, sizeof bytes)) > 0)
		assert_int_equal(write(fd, bytes, (size_t)got), got);
	close(from);
	close(fd);
}

/* Until it is that program, and no longer this one. */
static void run_program(struct place *place)
{
	char link[64], path[256];
	int end[2];

	assert_int_equal(pipe2(end, O_CLOEXEC), 0);
	place->pid = fork();
	assert_true(place->pid >= 0);
	if (place->pid == 0) {
		execl(place->program, "program", "600", (char *)NULL);
		_exit(1);
	}
	close(end[1]);
	assert_int_equal(read(end[0], link, 1), 0);
	close(end[0]);
	snprintf(link, sizeof link, "/proc/%d/exe", (int)place->pid);
	assert_true(readlink(link, path, sizeof path) > 0);
}

static void the_program_that_runs_is_found(void **state)
{
	struct place *place = *state;
	char path[WITNESS_PATH_SIZE];

	copy_sleep(place->program);
	run_program(place);
	assert_int_equal(witness_look(place->mounts, (uint32_t)place->pid, path), MORTISE_OK);
	assert_string_equal(path, place->program);
}

static void one_that_was_removed_or_replaced_is_not(void **state)
{
	struct place *place = *state;
	char path[WITNESS_PATH_SIZE] = "as it was";

	copy_sleep(place->program);
	run_program(place);
	assert_int_equal(unlink(place->program), 0);
	assert_int_equal(
		witness_look(place->mounts, (uint32_t)place->pid, path), MORTISE_NOT_FOUND);
	copy_sleep(place->program);
	assert_int_equal(
		witness_look(place->mounts, (uint32_t)place->pid, path), MORTISE_NOT_FOUND);
	assert_string_equal(path, "as it was");
}

/* Its own path is another one now; what stands in its place leads there, but is not it. */
static void a_path_over_a_link_is_not_walked(void **state)
{
	struct place *place = *state;
	char path[WITNESS_PATH_SIZE];

	copy_sleep(place->program);
	run_program(place);
	assert_int_equal(witness_look(place->mounts, (uint32_t)place->pid, path), MORTISE_OK);
	/* /proc/PID/exe says "program (deleted)": nothing has that name but this link. */
	assert_int_equal(link(place->program, place->link), 0);
	assert_int_equal(unlink(place->program), 0);
	char deleted[160];
	snprintf(deleted, sizeof deleted, "%s (deleted)", place->program);
	assert_int_equal(symlink(place->link, deleted), 0);
	assert_int_equal(
		witness_look(place->mounts, (uint32_t)place->pid, path), MORTISE_NOT_FOUND);
	assert_int_equal(unlink(deleted), 0);
}

static void of_nobody_nothing_is_found(void **state)
{
	struct place *place = *state;
	char path[WITNESS_PATH_SIZE];

	assert_int_equal(witness_look(place->mounts, INT32_MAX, path), MORTISE_NOT_FOUND);
	assert_int_equal(witness_look(place->mounts, 2, path),
		MORTISE_NOT_FOUND); /* a thread of the kernel */
}

static void without_the_list_of_mounts_nothing_is_found(void **state)
{
	char path[WITNESS_PATH_SIZE];

	(void)state;
	assert_int_equal(witness_look(-1, (uint32_t)getpid(), path), MORTISE_NOT_FOUND);
}

/* ---- the process ---- */

/* Exit status, or minus the signal, of what a confined child does. */
static int confined(int (*act)(void))
{
	int pair[2], status;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (dup2(pair[1], PROCESS_FD) < 0 || witness_process_confine() != MORTISE_OK)
			_exit(99);
		(void)syscall(SYS_exit_group, act()); /* a sanitizer's _exit() does more */
	}
	close(pair[0]);
	close(pair[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static uint32_t whom;

static int look(void)
{
	char path[WITNESS_PATH_SIZE];

	return witness_look(WITNESS_MOUNTS_FD, whom, path) == MORTISE_OK ? 0 : 1;
}

static int open_to_read(void)
{
	return openat(AT_FDCWD, "/proc/self/mem", O_RDONLY | O_CLOEXEC);
}

static int open_to_write(void)
{
	return openat(AT_FDCWD, "/proc/self/mem", O_RDWR | O_CLOEXEC);
}

static int read_another(void)
{
	char byte;

	return (int)pread(openat(AT_FDCWD, "/", O_PATH | O_CLOEXEC), &byte, 1, 0);
}

static int close_the_list(void)
{
	return close(WITNESS_MOUNTS_FD);
}

static int close_the_socket(void)
{
	return close(PROCESS_FD);
}

static int send_elsewhere(void)
{
	return (int)send(openat(AT_FDCWD, "/", O_PATH | O_CLOEXEC), "x", 1, MSG_NOSIGNAL);
}

static long forbidden; /* a call, whose arguments are such that nothing comes of it */

static int call_it(void)
{
	(void)syscall(forbidden, -1L, NULL, NULL, NULL, NULL, NULL);
	return 0;
}

static void its_work_is_allowed(void **state)
{
	(void)state;
	whom = (uint32_t)getpid();
	assert_int_equal(confined(look), 0);
}

static void it_opens_nothing_to_read_or_write(void **state)
{
	(void)state;
	assert_int_equal(confined(open_to_read), -SIGSYS);
	assert_int_equal(confined(open_to_write), -SIGSYS);
}

static void it_reads_and_sends_by_its_two_descriptors_and_keeps_them(void **state)
{
	(void)state;
	assert_int_equal(confined(read_another), -SIGSYS);
	assert_int_equal(confined(send_elsewhere), -SIGSYS);
	assert_int_equal(confined(close_the_list), -SIGSYS);
	assert_int_equal(confined(close_the_socket), -SIGSYS);
}

static void no_other_call_is_allowed(void **state)
{
	static const long calls[] = {SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev,
		SYS_pidfd_getfd, SYS_pidfd_open, SYS_execve, SYS_clone, SYS_socket, SYS_sendmsg,
		SYS_recvmsg, SYS_read, SYS_write, SYS_openat2, SYS_dup3, SYS_fcntl, SYS_ioctl,
		SYS_mmap, SYS_mprotect, SYS_kill, SYS_tgkill, SYS_capset, SYS_prctl, SYS_unlinkat,
		SYS_fstatfs, SYS_io_uring_setup, SYS_getpid};

	(void)state;
	for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
		forbidden = calls[i];
		if (confined(call_it) != -SIGSYS)
			fail_msg("call %ld is allowed", calls[i]);
	}
}

#define WITH_PLACE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_path_on_what_a_program_serves_is_known_by_its_mount),
		cmocka_unit_test(a_place_with_blanks_and_backslashes_is_read),
		cmocka_unit_test(a_line_that_is_not_the_kernels_is_unreadable),
		cmocka_unit_test(a_long_list_is_read_to_its_end),
		cmocka_unit_test(what_cannot_be_read_whole_is_no_list),
		WITH_PLACE(the_program_that_runs_is_found),
		WITH_PLACE(one_that_was_removed_or_replaced_is_not),
		WITH_PLACE(a_path_over_a_link_is_not_walked),
		WITH_PLACE(of_nobody_nothing_is_found),
		WITH_PLACE(without_the_list_of_mounts_nothing_is_found),
		cmocka_unit_test(its_work_is_allowed),
		cmocka_unit_test(it_opens_nothing_to_read_or_write),
		cmocka_unit_test(it_reads_and_sends_by_its_two_descriptors_and_keeps_them),
		cmocka_unit_test(no_other_call_is_allowed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
