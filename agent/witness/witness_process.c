/* SPDX-License-Identifier: ISC */
#include "witness_process.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "processes.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

#if defined(__has_feature)
#define HAS_FEATURE(name) __has_feature(name)
#else
#define HAS_FEATURE(name) 0
#endif
/* Which needs memory and calls of its own, whenever it likes. */
#if defined(__SANITIZE_ADDRESS__) || HAS_FEATURE(address_sanitizer)
#define UNDER_SANITIZER true
#else
#define UNDER_SANITIZER false
#endif

/* Allowed where (argument & mask) compares so with value. */
struct narrow {
	int call;
	unsigned argument;
	enum scmp_compare compare;
	uint64_t mask_or_value, value;
};

#define WHOLE UINT32_MAX

/* A descriptor of O_PATH can be neither read nor written, whatever else is asked for (open(2)). */
static const struct narrow narrowed[] = {
	{SCMP_SYS(openat), 2, SCMP_CMP_MASKED_EQ, O_PATH, O_PATH},
	{SCMP_SYS(recvfrom), 0, SCMP_CMP_MASKED_EQ, WHOLE, PROCESS_FD},
	{SCMP_SYS(sendto), 0, SCMP_CMP_MASKED_EQ, WHOLE, PROCESS_FD},
	{SCMP_SYS(pread64), 0, SCMP_CMP_MASKED_EQ, WHOLE, WITNESS_MOUNTS_FD},
	/* Else another file could take the place of one of these two. */
	{SCMP_SYS(close), 0, SCMP_CMP_LT, PROCESS_FD, 0},
	{SCMP_SYS(close), 0, SCMP_CMP_GT, WITNESS_MOUNTS_FD, 0},
};

static const int allowed[] = {SCMP_SYS(readlinkat), SCMP_SYS(statx), SCMP_SYS(exit_group)};

static int fill(scmp_filter_ctx filter)
{
	int result = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);

	for (size_t i = 0; result == 0 && i < COUNT(allowed); i++)
		result = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, allowed[i], 0, NULL);
	for (size_t i = 0; result == 0 && i < COUNT(narrowed); i++) {
		const struct narrow *rule = &narrowed[i];
		struct scmp_arg_cmp compare = {
			rule->argument, rule->compare, rule->mask_or_value, rule->value};

		result = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, rule->call, 1, &compare);
	}
	return result;
}

static enum mortise_status load_filter(void)
{
	scmp_filter_ctx filter;
	int result;

	if (UNDER_SANITIZER)
		return MORTISE_OK;
	filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	if (!filter) {
		errno = ENOMEM;
		return MORTISE_IO;
	}
	result = fill(filter);
	if (result == 0)
		result = seccomp_load(filter);
	seccomp_release(filter);
	errno = -result;
	return result == 0 ? MORTISE_OK : MORTISE_IO;
}

/* Of what there is, CAP_SYS_PTRACE: without it, the programs of its own user only. */
static enum mortise_status keep_one_capability(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct held[_LINUX_CAPABILITY_U32S_3] = {0};
	struct __user_cap_data_struct kept[_LINUX_CAPABILITY_U32S_3] = {0};

	if (syscall(SYS_capget, &header, held) != 0)
		return MORTISE_IO;
	if (memcmp(held, kept, sizeof held) == 0)
		return MORTISE_OK; /* and capset(2) may have been taken from it */
	kept[0].permitted = held[0].permitted & CAP_TO_MASK(CAP_SYS_PTRACE);
	kept[0].effective = kept[0].permitted;
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0)
		return MORTISE_IO;
	return syscall(SYS_capset, &header, kept) == 0 ? MORTISE_OK : MORTISE_IO;
}

static enum mortise_status keep_two_descriptors(void)
{
	int mounts = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);

	if (mounts < 0 ||
		(mounts != WITNESS_MOUNTS_FD && dup3(mounts, WITNESS_MOUNTS_FD, O_CLOEXEC) < 0))
		return MORTISE_IO;
	if (close_range(0, PROCESS_FD - 1, 0) != 0 ||
		close_range(WITNESS_MOUNTS_FD + 1, ~0u, 0) != 0)
		return MORTISE_IO;
	return MORTISE_OK;
}

enum mortise_status witness_process_confine(void)
{
	const struct rlimit no_core = {0, 0};
	pid_t parent = getppid();

	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 || getppid() != parent)
		return MORTISE_IO;
	TRY(keep_one_capability());
	if (setrlimit(RLIMIT_CORE, &no_core) != 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 ||
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return MORTISE_IO;
	(void)prctl(PR_SET_NAME, "witness", 0, 0, 0);
	TRY(keep_two_descriptors());
	return load_filter();
}
