/* SPDX-License-Identifier: ISC */
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox_syscalls.h"

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

enum mortise_status sandbox_enter(void)
{
	TRY(sandbox_syscalls_load());
	entered = true;
	return MORTISE_OK;
}
