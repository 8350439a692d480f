/* SPDX-License-Identifier: ISC */
#include "caller.h"

#include <errno.h>
#include <poll.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proc.h"

#define OVERFLOW_ID    65534u
#define PROC_FILE_SIZE 1024

/* Debian 12's headers are older than these (asm-generic/socket.h; uapi/linux/pidfd.h, 6.13). */
#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

struct pidfd_facts {
	uint64_t mask;
	uint64_t cgroup_id; /* never used twice while the system runs: fs/kernfs/dir.c */
	uint32_t pid, tgid, ppid;
	uint32_t ruid, rgid, euid, egid, suid, sgid, fsuid, fsgid;
	int32_t exit_code;
};

#define FACTS_PID       1u
#define FACTS_IDS       2u
#define FACTS_CGROUP    4u
#define PIDFD_GET_FACTS _IOWR(0xFF, 11, struct pidfd_facts)

static bool is_alive(int pidfd)
{
	struct pollfd wait = {.fd = pidfd, .events = POLLIN};

	return poll(&wait, 1, 0) == 0;
}

/*
 * Real and effective ids from /proc, for kernels that do not tell by pidfd. They stand near its
 * start, and the list of groups behind them is as long as a process likes. MORTISE_BUSY: not now.
 */
static enum mortise_status read_proc_ids(
	uint32_t pid, uint32_t *ruid, uint32_t *euid, uint32_t *rgid, uint32_t *egid)
{
	char text[PROC_FILE_SIZE];
	size_t size = 0;
	enum mortise_status status = proc_read_start(pid, "status", text, sizeof text - 1, &size);

	if (status != MORTISE_OK)
		return status == MORTISE_BUSY ? status : MORTISE_DENIED;
	text[size] = '\0';
	const char *uids = strstr(text, "\nUid:\t"), *gids = strstr(text, "\nGid:\t");
	if (!uids || !gids || sscanf(uids, "\nUid:\t%u\t%u", ruid, euid) != 2 ||
		sscanf(gids, "\nGid:\t%u\t%u", rgid, egid) != 2)
		return MORTISE_DENIED;
	return MORTISE_OK;
}

bool caller_is_alive(const struct caller *caller)
{
	return caller->pidfd >= 0 && is_alive(caller->pidfd);
}

uint64_t caller_cgroup_id(const struct caller *caller)
{
	struct pidfd_facts facts = {.mask = FACTS_PID | FACTS_CGROUP};

	if (caller->pidfd < 0 || ioctl(caller->pidfd, PIDFD_GET_FACTS, &facts) != 0 ||
		!(facts.mask & FACTS_CGROUP) || facts.tgid != caller->pid)
		return 0;
	return facts.cgroup_id;
}

/* A set-uid program speaks for somebody else than who runs it. */
static enum mortise_status check_ids(struct caller *caller)
{
	struct pidfd_facts facts = {.mask = FACTS_PID | FACTS_IDS | FACTS_CGROUP};

	if (caller->pidfd >= 0 && ioctl(caller->pidfd, PIDFD_GET_FACTS, &facts) == 0 &&
		(facts.mask & FACTS_IDS)) {
		if (facts.tgid != caller->pid)
			return MORTISE_DENIED;
		caller->cgroup_id = facts.mask & FACTS_CGROUP ? facts.cgroup_id : 0;
	} else {
		TRY(read_proc_ids(caller->pid, &facts.ruid, &facts.euid, &facts.rgid, &facts.egid));
		/* Read by its number: was it still that process? */
		if (caller->pidfd >= 0 && !is_alive(caller->pidfd))
			return MORTISE_DENIED;
	}
	if (facts.ruid != facts.euid || facts.rgid != facts.egid ||
		facts.euid != caller->subject.uid)
		return MORTISE_DENIED;
	return MORTISE_OK;
}

/*
 * The supplementary groups as they were at connect(), and the primary one. Of so many that they
 * would be a load to others none is had: no allow by group matches then, and every deny.
 */
static enum mortise_status read_groups(int descriptor, struct caller *caller)
{
	uint32_t groups[CALLER_GROUPS_MAX];
	socklen_t size = sizeof groups;

	if (getsockopt(descriptor, SOL_SOCKET, SO_PEERGROUPS, groups, &size) != 0)
		return errno == ERANGE && size > sizeof groups ? MORTISE_OK : MORTISE_DENIED;
	size_t count = size / sizeof *groups;
	caller->groups = calloc(count + 1, sizeof *groups);
	if (!caller->groups)
		return MORTISE_BUSY;
	caller->groups[0] = caller->gid;
	memcpy(caller->groups + 1, groups, count * sizeof *groups);
	caller->subject.groups = caller->groups;
	caller->subject.group_count = count + 1;
	return MORTISE_OK;
}

static enum mortise_status identify(int descriptor, struct caller *caller)
{
	struct ucred peer;
	socklen_t size = sizeof peer;

	if (getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 ||
		size != sizeof peer || peer.pid <= 0 || peer.uid == OVERFLOW_ID ||
		peer.uid == UINT32_MAX || peer.gid == UINT32_MAX)
		return MORTISE_DENIED;
	caller->pid = (uint32_t)peer.pid;
	caller->subject.uid = peer.uid;
	caller->gid = peer.gid;
	size = sizeof caller->pidfd;
	if (getsockopt(descriptor, SOL_SOCKET, SO_PEERPIDFD, &caller->pidfd, &size) == 0) {
		caller->evidence = CALLER_PEERPIDFD;
		caller->is_pinned = true;
		enum mortise_status status = check_ids(caller);
		caller->owes_ids = status == MORTISE_BUSY;
		if (!caller->owes_ids)
			TRY(status);
	} else {
		caller->pidfd = -1;
		caller->evidence = CALLER_HELLO;
		if (errno != ENOPROTOOPT)
			return errno == EMFILE || errno == ENFILE ? MORTISE_BUSY : MORTISE_DENIED;
	}
	return read_groups(descriptor, caller);
}

enum mortise_status caller_identify(int descriptor, struct caller *out_caller)
{
	struct caller caller = {.pidfd = -1, .descriptor = descriptor};
	enum mortise_status status = identify(descriptor, &caller);

	if (status != MORTISE_OK) {
		caller_done(&caller);
		return status;
	}
	*out_caller = caller;
	return MORTISE_OK;
}

enum mortise_status caller_confirm(struct caller *caller)
{
	if (caller->owes_ids)
		TRY(check_ids(caller));
	caller->owes_ids = false;
	return MORTISE_OK;
}

void caller_done(struct caller *caller)
{
	if (caller->pidfd >= 0)
		close(caller->pidfd);
	caller->pidfd = -1;
	witness_forget(&caller->question);
	free(caller->groups);
	for (size_t i = 0; i < FACT_COUNT; i++) {
		free(caller->texts[i]);
		caller->texts[i] = NULL;
	}
	caller->groups = NULL;
	caller->subject = (struct subject){.uid = caller->subject.uid};
}

enum mortise_status caller_check_sender(const struct caller *caller, const struct ucred *sender)
{
	if (!sender || sender->pid <= 0 || (uint32_t)sender->pid != caller->pid ||
		sender->uid != caller->subject.uid || sender->gid != caller->gid)
		return MORTISE_DENIED;
	if (caller->pidfd >= 0 && !is_alive(caller->pidfd))
		return MORTISE_DENIED;
	return MORTISE_OK;
}

enum mortise_status caller_greet(struct caller *caller)
{
	if (caller->pidfd >= 0)
		return MORTISE_DENIED;
	caller->pidfd = (int)syscall(SYS_pidfd_open, (pid_t)caller->pid, 0);
	if (caller->pidfd < 0)
		return MORTISE_DENIED;
	randombytes_buf(caller->challenge, sizeof caller->challenge);
	return MORTISE_OK;
}

enum mortise_status caller_pin(struct caller *caller, const uint8_t *answer, size_t size)
{
	if (caller->is_pinned || caller->pidfd < 0 || size != sizeof caller->challenge ||
		sodium_memcmp(answer, caller->challenge, size) != 0)
		return MORTISE_DENIED;
	TRY(check_ids(caller));
	caller->is_pinned = true;
	return MORTISE_OK;
}

const char *caller_evidence_name(enum caller_evidence evidence)
{
	return evidence == CALLER_PEERPIDFD ? "pidfd" : "hello";
}

bool caller_kernel_names(void)
{
	int pair[2], pidfd = -1;
	socklen_t size = sizeof pidfd;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return false;
	bool is_named = getsockopt(pair[0], SOL_SOCKET, SO_PEERPIDFD, &pidfd, &size) == 0;
	if (is_named)
		close(pidfd);
	close(pair[0]);
	close(pair[1]);
	return is_named;
}

bool caller_has_group(const struct caller *caller, uint32_t gid)
{
	for (size_t i = 0; i < caller->subject.group_count; i++)
		if (caller->subject.groups[i] == gid)
			return true;
	return false;
}
