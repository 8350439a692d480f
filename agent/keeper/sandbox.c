/* SPDX-License-Identifier: ISC */
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FILTER_ROOM (4 * 1024 * 1024)

/*
 * The list of system calls that the keeper may make, as a seccomp filter. Part of sandbox; nobody
 * else includes it.
 */

#define COUNT(array) (sizeof(array) / sizeof *(array))

#if defined(__has_feature)
#define HAS_FEATURE(name) __has_feature(name)
#else
#define HAS_FEATURE(name) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) ||                               \
	HAS_FEATURE(address_sanitizer) || HAS_FEATURE(memory_sanitizer) ||                         \
	HAS_FEATURE(thread_sanitizer)
#define UNDER_SANITIZER
#endif

/* What nobody calls by mistake. */
static const int fatal[] = {
	SCMP_SYS(execve),
	SCMP_SYS(execveat),
	SCMP_SYS(ptrace),
	SCMP_SYS(process_vm_readv),
	SCMP_SYS(process_vm_writev),
	SCMP_SYS(pidfd_getfd),
	SCMP_SYS(socket),
	SCMP_SYS(connect),
	SCMP_SYS(bind),
	SCMP_SYS(listen),
	SCMP_SYS(bpf),
	SCMP_SYS(perf_event_open),
	SCMP_SYS(userfaultfd),
	SCMP_SYS(io_uring_setup),
	SCMP_SYS(io_uring_enter),
	SCMP_SYS(io_uring_register),
	SCMP_SYS(kexec_load),
	SCMP_SYS(kexec_file_load),
	SCMP_SYS(reboot),
	SCMP_SYS(init_module),
	SCMP_SYS(finit_module),
	SCMP_SYS(delete_module),
	SCMP_SYS(mount),
	SCMP_SYS(umount2),
	SCMP_SYS(move_mount),
	SCMP_SYS(open_tree),
	SCMP_SYS(fsopen),
	SCMP_SYS(fsconfig),
	SCMP_SYS(fsmount),
	SCMP_SYS(fspick),
	SCMP_SYS(mount_setattr),
	SCMP_SYS(pivot_root),
	SCMP_SYS(chroot),
	SCMP_SYS(unshare),
	SCMP_SYS(setns),
	SCMP_SYS(open_by_handle_at),
	SCMP_SYS(keyctl),
	SCMP_SYS(add_key),
	SCMP_SYS(request_key),
	SCMP_SYS(swapon),
	SCMP_SYS(swapoff),
	SCMP_SYS(iopl),
	SCMP_SYS(ioperm),
};

static const int allowed[] = {
	/* files: SQLite, the audit log, /proc; Landlock says which */
	SCMP_SYS(openat),
	SCMP_SYS(openat2), /* proc.c */
	SCMP_SYS(close),
	SCMP_SYS(close_range),
	SCMP_SYS(read),
	SCMP_SYS(write),
	SCMP_SYS(readv),
	SCMP_SYS(writev),
	SCMP_SYS(pread64),
	SCMP_SYS(pwrite64),
	SCMP_SYS(preadv),
	SCMP_SYS(pwritev),
	SCMP_SYS(lseek),
	SCMP_SYS(ftruncate),
	SCMP_SYS(fallocate),
	SCMP_SYS(fsync),
	SCMP_SYS(fdatasync),
	SCMP_SYS(sync_file_range),
	SCMP_SYS(flock),
	SCMP_SYS(stat),
	SCMP_SYS(lstat),
	SCMP_SYS(fstat),
	SCMP_SYS(newfstatat),
	SCMP_SYS(statx),
	SCMP_SYS(statfs),
	SCMP_SYS(fstatfs),
	SCMP_SYS(access),
	SCMP_SYS(faccessat),
	SCMP_SYS(faccessat2),
	SCMP_SYS(readlink),
	SCMP_SYS(readlinkat),
	SCMP_SYS(getdents64),
	SCMP_SYS(getcwd),
	SCMP_SYS(unlink),
	SCMP_SYS(unlinkat),
	SCMP_SYS(rename),
	SCMP_SYS(renameat),
	SCMP_SYS(renameat2),
	SCMP_SYS(fchmod),
	SCMP_SYS(fchown),
	SCMP_SYS(umask),
	SCMP_SYS(dup),
	SCMP_SYS(dup3),
	SCMP_SYS(pipe2),
	/* connections that were accepted */
	SCMP_SYS(accept),
	SCMP_SYS(accept4),
	SCMP_SYS(recvfrom),
	SCMP_SYS(recvmsg),
	SCMP_SYS(sendto),
	SCMP_SYS(sendmsg),
	SCMP_SYS(getsockopt),
	SCMP_SYS(setsockopt),
	SCMP_SYS(getsockname),
	SCMP_SYS(getpeername),
	SCMP_SYS(shutdown),
	SCMP_SYS(pidfd_open),
	/* the loop */
	SCMP_SYS(epoll_create1),
	SCMP_SYS(epoll_ctl),
	SCMP_SYS(epoll_wait),
	SCMP_SYS(epoll_pwait),
	SCMP_SYS(epoll_pwait2),
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(select),
	SCMP_SYS(pselect6),
	SCMP_SYS(eventfd2),
	SCMP_SYS(timerfd_create),
	SCMP_SYS(timerfd_settime),
	SCMP_SYS(timerfd_gettime),
	SCMP_SYS(signalfd4),
	/* time, memory, threads that run already */
	SCMP_SYS(clock_gettime),
	SCMP_SYS(clock_getres),
	SCMP_SYS(adjtimex), /* to read whether it is synchronised; to set it takes CAP_SYS_TIME */
	SCMP_SYS(clock_adjtime),
	SCMP_SYS(clock_nanosleep),
	SCMP_SYS(nanosleep),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(time),
	SCMP_SYS(times),
	SCMP_SYS(brk),
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(madvise),
	SCMP_SYS(msync),
	SCMP_SYS(mincore),
	SCMP_SYS(mlock),
	SCMP_SYS(mlock2),
	SCMP_SYS(munlock),
	SCMP_SYS(membarrier),
	SCMP_SYS(futex),
	SCMP_SYS(rseq),
	SCMP_SYS(set_robust_list),
	SCMP_SYS(get_robust_list),
	SCMP_SYS(sched_yield),
	SCMP_SYS(sched_getaffinity),
	SCMP_SYS(getcpu),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(rt_sigpending),
	SCMP_SYS(rt_sigtimedwait),
	SCMP_SYS(rt_sigsuspend),
	SCMP_SYS(sigaltstack),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
	/* what a process may know of itself */
	SCMP_SYS(getpid),
	SCMP_SYS(gettid),
	SCMP_SYS(getppid),
	SCMP_SYS(getuid),
	SCMP_SYS(geteuid),
	SCMP_SYS(getgid),
	SCMP_SYS(getegid),
	SCMP_SYS(getgroups),
	SCMP_SYS(getresuid),
	SCMP_SYS(getresgid),
	SCMP_SYS(getrlimit),
	SCMP_SYS(getrusage),
	SCMP_SYS(sysinfo),
	SCMP_SYS(uname),
	SCMP_SYS(getrandom),
	SCMP_SYS(capget),
#if defined(UNDER_SANITIZER)
	SCMP_SYS(clone),
	SCMP_SYS(clone3),
	SCMP_SYS(wait4),
	SCMP_SYS(prctl),
	SCMP_SYS(open),
#endif
};

/* Allowed where (argument & mask) == value. */
struct narrow {
	int call;
	unsigned argument;
	uint64_t mask, value;
};

#define INT_MASK UINT64_C(0xffffffff)

static const struct narrow narrowed[] = {
	{SCMP_SYS(mmap), 2, PROT_EXEC, 0},
	{SCMP_SYS(mprotect), 2, PROT_EXEC, 0},
	{SCMP_SYS(prlimit64), 2, UINT64_MAX, 0}, /* no new limits */
	{SCMP_SYS(kill), 1, INT_MASK, 0},        /* signal 0 only: does it live? */
	{SCMP_SYS(pidfd_send_signal), 1, INT_MASK, 0},
	{SCMP_SYS(ioctl), 1, INT_MASK, TCGETS},
	{SCMP_SYS(ioctl), 1, INT_MASK, FIONREAD},
	/* PIDFD_GET_INFO is _IOWR(0xff, 11, ...); its size bits change with the kernel. */
	{SCMP_SYS(ioctl), 1, 0xffff, 0xff0b},
	{SCMP_SYS(fcntl), 1, INT_MASK, F_GETFD},
	{SCMP_SYS(fcntl), 1, INT_MASK, F_SETFD},
	{SCMP_SYS(fcntl), 1, INT_MASK, F_GETFL},
	{SCMP_SYS(fcntl), 1, INT_MASK, F_SETFL},
	{SCMP_SYS(fcntl), 1, INT_MASK, F_DUPFD},
	{SCMP_SYS(fcntl), 1, INT_MASK, F_DUPFD_CLOEXEC},
	{SCMP_SYS(fcntl), 1, INT_MASK, F_GETLK},
	{SCMP_SYS(fcntl), 1, INT_MASK, F_SETLK},
	{SCMP_SYS(fcntl), 1, INT_MASK, F_SETLKW},
	{SCMP_SYS(fcntl), 1, INT_MASK, F_OFD_GETLK},
	{SCMP_SYS(fcntl), 1, INT_MASK, F_OFD_SETLK},
	{SCMP_SYS(fcntl), 1, INT_MASK, F_OFD_SETLKW},
};

static enum mortise_status check(int result)
{
	if (result >= 0)
		return MORTISE_OK;
	errno = -result;
	return MORTISE_IO;
}

/* A call that this architecture does not have needs no rule. */
static enum mortise_status check_rule(int result)
{
	return result == -EDOM ? MORTISE_OK : check(result);
}

static enum mortise_status add_all(
	scmp_filter_ctx filter, uint32_t action, const int *calls, size_t count)
{
	for (size_t i = 0; i < count; i++)
		TRY(check_rule(seccomp_rule_add_array(filter, action, calls[i], 0, NULL)));
	return MORTISE_OK;
}

static enum mortise_status add_narrowed(scmp_filter_ctx filter)
{
	for (size_t i = 0; i < COUNT(narrowed); i++) {
		const struct narrow *rule = &narrowed[i];
		struct scmp_arg_cmp compare = {
			rule->argument, SCMP_CMP_MASKED_EQ, rule->mask, rule->value};

		TRY(check_rule(
			seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, rule->call, 1, &compare)));
	}
	return MORTISE_OK;
}

/* abort() signals itself. */
static enum mortise_status add_own_signals(scmp_filter_ctx filter)
{
	struct scmp_arg_cmp self = {0, SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0};

	return check_rule(
		seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, &self));
}

static enum mortise_status fill(scmp_filter_ctx filter)
{
	TRY(check(seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS)));
	TRY(check(seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1)));
	TRY(check(seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2)));
	TRY(add_all(filter, SCMP_ACT_KILL_PROCESS, fatal, COUNT(fatal)));
	TRY(add_all(filter, SCMP_ACT_ALLOW, allowed, COUNT(allowed)));
	TRY(add_narrowed(filter));
	return add_own_signals(filter);
}

/* Loads the filter into every thread of the process. MORTISE_IO with errno. */
static enum mortise_status sandbox_syscalls_load(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	enum mortise_status status;

	if (!filter) {
		errno = ENOMEM;
		return MORTISE_IO;
	}
	status = fill(filter);
	if (status == MORTISE_OK)
		status = check(seccomp_load(filter));
	seccomp_release(filter);
	return status;
}

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule       445
#define SYS_landlock_restrict_self  446
#endif

/* include/uapi/linux/landlock.h, declared here because Debian 12's knows ABI 2 only. */
#define LANDLOCK_WANT_VERSION 1u
#define LANDLOCK_PATH_BENEATH 1
#define LANDLOCK_ABI_REFER    2
#define LANDLOCK_ABI_TRUNCATE 3
#define LANDLOCK_ABI_TCP      4
#define LANDLOCK_ABI_IOCTL    5
#define LANDLOCK_ABI_SCOPE    6

#define FS_WRITE_FILE  (UINT64_C(1) << 1)
#define FS_READ_FILE   (UINT64_C(1) << 2)
#define FS_READ_DIR    (UINT64_C(1) << 3)
#define FS_REMOVE_FILE (UINT64_C(1) << 5)
#define FS_MAKE_REG    (UINT64_C(1) << 8)
#define FS_ABI_1       ((UINT64_C(1) << 13) - 1)
#define FS_REFER       (UINT64_C(1) << 13)
#define FS_TRUNCATE    (UINT64_C(1) << 14)
#define FS_IOCTL       (UINT64_C(1) << 15)
#define NET_TCP        UINT64_C(3) /* bind, connect */
#define SCOPE_ALL      UINT64_C(3) /* abstract sockets, signals */

#define FS_PROC      (FS_READ_FILE | FS_READ_DIR)
#define FS_DIRECTORY (FS_PROC | FS_WRITE_FILE | FS_REMOVE_FILE | FS_MAKE_REG)

struct ruleset {
	uint64_t handled_fs;
	uint64_t handled_net; /* from ABI 4 on */
	uint64_t scoped;      /* from ABI 6 on */
};

struct path_beneath {
	uint64_t allowed;
	int32_t parent_fd;
} __attribute__((packed));

static bool confined, entered;

const char *sandbox_description(void)
{
	if (entered)
		return confined ? "seccomp, landlock" : "seccomp";
	return confined ? "landlock" : "none";
}

/* Without CAP_SETPCAP the bounding set stays: harmless under NO_NEW_PRIVS and without exec. */
static enum mortise_status drop_bounding_set(void)
{
	for (unsigned long capability = 0; capability < 64; capability++) {
		if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0)
			continue;
		return errno == EINVAL || errno == EPERM ? MORTISE_OK : MORTISE_IO;
	}
	return MORTISE_OK;
}

/* A service manager that gave none may have taken capset(2) as well. */
static enum mortise_status drop_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct held[_LINUX_CAPABILITY_U32S_3] = {0};
	const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};

	TRY(drop_bounding_set());
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0 ||
		syscall(SYS_capget, &header, held) != 0)
		return MORTISE_IO;
	if (memcmp(held, none, sizeof held) == 0)
		return MORTISE_OK;
	return syscall(SYS_capset, &header, none) == 0 ? MORTISE_OK : MORTISE_IO;
}

enum mortise_status sandbox_prepare(void)
{
	const struct rlimit no_core = {0, 0};

	if (setrlimit(RLIMIT_CORE, &no_core) != 0)
		return MORTISE_IO;
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
		return MORTISE_IO;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return MORTISE_IO;
	return drop_capabilities();
}

static uint64_t rights_of_abi(long abi)
{
	uint64_t rights = FS_ABI_1;

	if (abi >= LANDLOCK_ABI_REFER)
		rights |= FS_REFER;
	if (abi >= LANDLOCK_ABI_TRUNCATE)
		rights |= FS_TRUNCATE;
	if (abi >= LANDLOCK_ABI_IOCTL)
		rights |= FS_IOCTL;
	return rights;
}

static size_t ruleset_size(long abi)
{
	if (abi >= LANDLOCK_ABI_SCOPE)
		return sizeof(struct ruleset);
	return abi >= LANDLOCK_ABI_TCP ? offsetof(struct ruleset, scoped)
				       : offsetof(struct ruleset, handled_net);
}

static enum mortise_status allow(int ruleset, const char *directory, uint64_t rights)
{
	struct path_beneath rule = {.allowed = rights};
	long added;

	rule.parent_fd = open(directory, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (rule.parent_fd < 0)
		return MORTISE_IO;
	added = syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_PATH_BENEATH, &rule, 0);
	close(rule.parent_fd);
	return added == 0 ? MORTISE_OK : MORTISE_IO;
}

static enum mortise_status restrict_files(
	int ruleset, uint64_t handled, const char *store_directory, const char *audit_directory)
{
	uint64_t writable = (FS_DIRECTORY | FS_TRUNCATE) & handled;

	TRY(allow(ruleset, store_directory, writable));
	TRY(allow(ruleset, audit_directory, writable));
	TRY(allow(ruleset, "/proc", FS_PROC));
	if (syscall(SYS_landlock_restrict_self, ruleset, 0) != 0)
		return MORTISE_IO;
	return MORTISE_OK;
}

enum mortise_status sandbox_confine(const char *store_directory, const char *audit_directory)
{
	struct ruleset attributes = {.handled_net = NET_TCP, .scoped = SCOPE_ALL};
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_WANT_VERSION);
	enum mortise_status status;
	long ruleset;

	if (abi < 1) /* not built in, or switched off at boot */
		return errno == ENOSYS || errno == EOPNOTSUPP ? MORTISE_OK : MORTISE_IO;
	attributes.handled_fs = rights_of_abi(abi);
	ruleset = syscall(SYS_landlock_create_ruleset, &attributes, ruleset_size(abi), 0);
	if (ruleset < 0)
		return MORTISE_IO;
	status = restrict_files(
		(int)ruleset, attributes.handled_fs, store_directory, audit_directory);
	close((int)ruleset);
	confined = confined || status == MORTISE_OK;
	return status;
}

/*
 * libseccomp 2.5 reads through a pointer that is NULL where its own malloc() fails
 * (seccomp_load(), src/gen_bpf.c): without room for what it makes it is not asked.
 */
static enum mortise_status find_room(void)
{
	void *room =
		mmap(NULL, FILTER_ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (room == MAP_FAILED)
		return MORTISE_IO;
	return munmap(room, FILTER_ROOM) == 0 ? MORTISE_OK : MORTISE_IO;
}

enum mortise_status sandbox_enter(void)
{
	TRY(find_room());
	TRY(sandbox_syscalls_load());
	entered = true;
	return MORTISE_OK;
}
