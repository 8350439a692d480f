/* SPDX-License-Identifier: ISC */
#include "sealer_process.h"

#include <errno.h>
#include <linux/capability.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "processes.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

#if defined(__has_feature)
#define HAS_FEATURE(name) __has_feature(name)
#else
#define HAS_FEATURE(name) 0
#endif
/* Whose search for leaks is a process that traces this one. */
#if defined(__SANITIZE_ADDRESS__) || HAS_FEATURE(address_sanitizer)
#define UNDER_SANITIZER true
#else
#define UNDER_SANITIZER false
#endif

#define ALARM_GRACE_MS 1000 /* the keeper kills at the deadline; this is if the keeper can't */

bool sealer_process_has_keeper(void)
{
	int type;
	socklen_t size = sizeof type;

	return getsockopt(PROCESS_FD, SOL_SOCKET, SO_TYPE, &type, &size) == 0 &&
	       type == SOCK_SEQPACKET;
}

static bool start_alarm(int deadline_ms)
{
	int total_ms = deadline_ms + ALARM_GRACE_MS;
	struct itimerval timer = {
		.it_value = {.tv_sec = total_ms / 1000, .tv_usec = total_ms % 1000 * 1000},
	};
	sigset_t none;

	sigemptyset(&none);
	return signal(SIGALRM, SIG_DFL) != SIG_ERR && sigprocmask(SIG_SETMASK, &none, NULL) == 0 &&
	       setitimer(ITIMER_REAL, &timer, NULL) == 0;
}

static bool confine(void)
{
	const struct rlimit no_core = {0};
	pid_t parent = getppid();

	return prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent &&
	       setrlimit(RLIMIT_CORE, &no_core) == 0 && prctl(PR_SET_DUMPABLE, 0) == 0 &&
	       prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
}

/* Nothing of the environment steers the libraries; tpm2-tss would log to standard error. */
static bool clean_environment(void)
{
	return clearenv() == 0 && setenv("TSS2_LOG", "all+none", 1) == 0 &&
	       setenv("PATH", "/usr/bin:/bin", 1) == 0;
}

/* Root without them is held to a file's mode, and /dev/tpmrm0 belongs to tss. */
/* Who has none needs no leave to give some up: capset(2) is forbidden in mortised.service. */
static bool drop_capabilities(void)
{
	const uint32_t kept = 1u << CAP_DAC_OVERRIDE | 1u << CAP_DAC_READ_SEARCH;
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {0};

	if (syscall(SYS_capget, &header, sets) != 0)
		return false;
	if ((sets[0].permitted & ~kept) == 0 && sets[0].inheritable == 0 &&
		(sets[1].permitted | sets[1].inheritable) == 0)
		return true;
	sets[0].effective &= kept;
	sets[0].permitted &= kept;
	sets[0].inheritable = 0;
	sets[1] = (struct __user_cap_data_struct){0};
	return syscall(SYS_capset, &header, sets) == 0;
}

/* What no library for hardware calls. */
static const int never[] = {
	SCMP_SYS(ptrace),
	SCMP_SYS(process_vm_readv),
	SCMP_SYS(process_vm_writev),
	SCMP_SYS(pidfd_getfd),
	SCMP_SYS(bpf),
	SCMP_SYS(perf_event_open),
	SCMP_SYS(userfaultfd),
	SCMP_SYS(io_uring_setup),
	SCMP_SYS(kexec_load),
	SCMP_SYS(kexec_file_load),
	SCMP_SYS(init_module),
	SCMP_SYS(finit_module),
	SCMP_SYS(delete_module),
	SCMP_SYS(mount),
	SCMP_SYS(move_mount),
	SCMP_SYS(open_tree),
	SCMP_SYS(fsopen),
	SCMP_SYS(unshare),
	SCMP_SYS(setns),
	SCMP_SYS(chroot),
	SCMP_SYS(pivot_root),
	SCMP_SYS(open_by_handle_at),
};

static const int programs[] = {SCMP_SYS(execve), SCMP_SYS(execveat)};

static const int processes[] = {SCMP_SYS(fork), SCMP_SYS(vfork)};

/* 0 or a negative errno, as libseccomp's. A call that this machine does not have is no matter. */
static int add(scmp_filter_ctx filter, uint32_t action, const int *calls, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		int result = seccomp_rule_add(filter, action, calls[i], 0);

		if (result < 0 && result != -EDOM)
			return result;
	}
	return 0;
}

static int forbid_tracing(scmp_filter_ctx filter)
{
	return add(filter, SCMP_ACT_KILL_PROCESS, never, COUNT(never));
}

/* clone3 keeps its flags in memory, where a filter can't see; libc then takes clone. */
static int forbid_processes(scmp_filter_ctx filter)
{
	const int clone3_call = SCMP_SYS(clone3);
	int result = add(filter, SCMP_ACT_KILL_PROCESS, programs, COUNT(programs));

	if (result == 0)
		result = add(filter, SCMP_ACT_ERRNO(EPERM), processes, COUNT(processes));
	if (result == 0)
		result = add(filter, SCMP_ACT_ERRNO(ENOSYS), &clone3_call, 1);
	if (result == 0)
		result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
			SCMP_A0_64(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
	return result;
}

static bool load(int (*fill)(scmp_filter_ctx filter))
{
	scmp_filter_ctx filter;
	int result;

	if (UNDER_SANITIZER)
		return true;
	filter = seccomp_init(SCMP_ACT_ALLOW);
	if (!filter) {
		errno = ENOMEM;
		return false;
	}
	result = fill(filter);
	if (result == 0)
		result = seccomp_load(filter);
	seccomp_release(filter);
	errno = -result;
	return result == 0;
}

bool sealer_process_confine(int deadline_ms)
{
	return confine() && clean_environment() && start_alarm(deadline_ms) &&
	       drop_capabilities() && load(forbid_tracing);
}

bool sealer_process_narrow(void)
{
	static bool is_narrow;

	if (!is_narrow)
		is_narrow = load(forbid_processes);
	return is_narrow;
}
