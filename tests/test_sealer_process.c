/* SPDX-License-Identifier: ISC */
/* What the sealer's process cannot do; each in a child of its own. */
#include <errno.h>
#include <linux/capability.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mortise_test.h"
#include "sealer_process.h"

#define DEADLINE_MS 60000

/* Exit status, or minus the signal, of what a confined child does. */
static int confined(int (*act)(void), bool is_narrow)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		if (!sealer_process_confine(DEADLINE_MS) ||
			(is_narrow && !(sealer_process_narrow() && sealer_process_narrow())))
			_exit(99);
		_exit(act());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static int run_true(void)
{
	execl("/bin/true", "true", (char *)NULL);
	return 1;
}

static int fork_once(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return pid < 0 ? errno : 0;
}

static void *nothing(void *context)
{
	return context;
}

static int start_thread(void)
{
	pthread_t thread;

	return pthread_create(&thread, NULL, nothing, NULL) == 0 ? pthread_join(thread, NULL) : 1;
}

static int trace(void)
{
	return (int)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static long forbidden; /* a call, whose arguments are such that nothing comes of it */

static int call_it(void)
{
	(void)syscall(forbidden, -1L, NULL, NULL, NULL, NULL, NULL);
	return 0;
}

static int capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3];
	const uint32_t for_files = 1u << CAP_DAC_OVERRIDE | 1u << CAP_DAC_READ_SEARCH;

	if (syscall(SYS_capget, &header, sets) != 0)
		return 1;
	return ((sets[0].permitted | sets[0].effective) & ~for_files) == 0 &&
			       sets[1].permitted == 0 && sets[0].inheritable == 0
		       ? 0
		       : 2;
}

static int environment(void)
{
	return getenv("SECRET") == NULL && getenv("PATH") != NULL ? 0 : 1;
}

static void for_tpm2_no_program_is_run(void **state)
{
	(void)state;
	assert_int_equal(confined(run_true, true), -SIGSYS);
}

static void for_tpm2_no_process_is_started_but_threads_are(void **state)
{
	(void)state;
	assert_int_equal(confined(fork_once, true), EPERM);
	assert_int_equal(confined(start_thread, true), 0);
}

static void for_a_vendors_module_both_may_be(void **state)
{
	(void)state;
	assert_int_equal(confined(run_true, false), 0);
	assert_int_equal(confined(fork_once, false), 0);
}

static void nobody_is_traced(void **state)
{
	(void)state;
	assert_int_equal(confined(trace, false), -SIGSYS);
}

static void what_no_library_for_hardware_calls_is_the_end(void **state)
{
	static const long calls[] = {SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev,
		SYS_pidfd_getfd, SYS_bpf, SYS_perf_event_open, SYS_userfaultfd, SYS_io_uring_setup,
		SYS_kexec_load, SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_mount,
		SYS_move_mount, SYS_open_tree, SYS_fsopen, SYS_unshare, SYS_setns, SYS_chroot,
		SYS_pivot_root, SYS_open_by_handle_at};

	(void)state;
	for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
		forbidden = calls[i];
		int end = confined(call_it, false);
		if (end != -SIGSYS)
			fail_msg("call %ld: %d", forbidden, end);
	}
}

static void no_capability_is_kept_but_for_files(void **state)
{
	(void)state;
	assert_int_equal(confined(capabilities, false), 0);
}

static void the_environment_is_empty(void **state)
{
	(void)state;
	assert_int_equal(setenv("SECRET", "x", 1), 0);
	assert_int_equal(confined(environment, false), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(for_tpm2_no_program_is_run),
		cmocka_unit_test(for_tpm2_no_process_is_started_but_threads_are),
		cmocka_unit_test(for_a_vendors_module_both_may_be),
		cmocka_unit_test(nobody_is_traced),
		cmocka_unit_test(what_no_library_for_hardware_calls_is_the_end),
		cmocka_unit_test(no_capability_is_kept_but_for_files),
		cmocka_unit_test(the_environment_is_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
