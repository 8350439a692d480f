/* SPDX-License-Identifier: ISC */
#include "spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "directory.h"
#include "processes.h"

#if defined(__SANITIZE_ADDRESS__)
#define UNDER_ASAN
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define UNDER_ASAN
#endif
#endif

#define NOTES_FD (PROCESS_FD + 1)

/* Descriptors are first moved out of the way of the places they go to. */
#define ABOVE_ALL_PLACES 16

pid_t spawn_fork(void)
{
	sigset_t all, before, none;
	pid_t child;

	sigfillset(&all);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &all, &before);
	child = fork();
	if (child == 0) {
		for (int number = 1; number < NSIG; number++)
			signal(number, SIG_DFL); /* fails for KILL, STOP and libc's own */
		sigprocmask(SIG_SETMASK, &none, NULL);
	} else {
		sigprocmask(SIG_SETMASK, &before, NULL);
	}
	return child;
}

void spawn_keep_only(int fd)
{
	if (fd == PROCESS_FD)
		fcntl(fd, F_SETFD, 0);
	else
		dup2(fd, PROCESS_FD);
	close_range(PROCESS_FD + 1, ~0u, 0);
}

static enum mortise_status become(
	const struct identity *identity, const gid_t *groups, size_t group_count)
{
	uid_t uid = identity->uid;
	gid_t gid = identity->gid;

	if (!identity->differs)
		return MORTISE_OK;
	if (setgroups(group_count, groups) != 0 || setresgid(gid, gid, gid) != 0 ||
		setresuid(uid, uid, uid) != 0)
		return MORTISE_IO;
	return MORTISE_OK;
}

enum mortise_status spawn_become(const struct identity *identity)
{
	return become(identity, &identity->gid, 1);
}

/* After the ids have changed: the kernel forgets the death signal when they do. */
enum mortise_status spawn_tie_to(pid_t monitor)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return MORTISE_IO;
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
		return MORTISE_IO;
	return getppid() == monitor ? MORTISE_OK : MORTISE_IO;
}

static void allow_all_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

/* for_keeper: LeakSanitizer wants to trace a process that the sandbox keeps from it. */
static void run(const char *program, char **arguments, bool for_keeper)
{
	static char journal[64];
	char *environment[5] = {(char[]){"PATH=" SPAWN_PATH}, (char[]){"LANG=C"}};
	const char *stream = getenv("JOURNAL_STREAM");
	size_t count = 2;

	if (stream != NULL && snprintf(journal, sizeof journal, "JOURNAL_STREAM=%s", stream) <
				      (int)sizeof journal)
		environment[count++] = journal;
#if defined(UNDER_ASAN)
	if (for_keeper)
		environment[count++] = (char[]){"ASAN_OPTIONS=detect_leaks=0"};
#else
	(void)for_keeper;
#endif
	environment[count] = NULL;
	execve(program, arguments, environment);
}

static void run_keeper(const char *program, const struct identity *identity, int fd, pid_t monitor)
{
	char *arguments[] = {(char[]){"mortised: keeper"}, (char[]){"--keeper"}, NULL};

	spawn_keep_only(fd);
	allow_all_descriptors();
	if (spawn_become(identity) != MORTISE_OK || spawn_tie_to(monitor) != MORTISE_OK)
		return;
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	run(program, arguments, true);
}

static enum mortise_status make_pair(int *out_ours, int *out_theirs)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return MORTISE_IO;
	*out_ours = pair[0];
	*out_theirs = pair[1];
	return MORTISE_OK;
}

enum mortise_status spawn_keeper(
	const char *program, const struct identity *identity, pid_t *out_pid, int *out_fd)
{
	CLEANUP(close_drop) int ours = -1, theirs = -1;
	pid_t monitor = getpid(), child;

	TRY(make_pair(&ours, &theirs));
	if (fcntl(ours, F_SETFL, O_NONBLOCK) != 0)
		return MORTISE_IO;
	child = spawn_fork();
	if (child == 0) {
		run_keeper(program, identity, theirs, monitor);
		_exit(SPAWN_EXIT_NO_RUN);
	}
	if (child < 0)
		return MORTISE_IO;
	*out_pid = child;
	*out_fd = ours;
	ours = -1;
	return MORTISE_OK;
}

/* Whatever a vendor's library prints to standard output goes nowhere. */
static enum mortise_status place_descriptors(int socket_fd, int notes_fd)
{
	int socket_high = fcntl(socket_fd, F_DUPFD, ABOVE_ALL_PLACES);
	int notes_high = fcntl(notes_fd, F_DUPFD, ABOVE_ALL_PLACES);
	int null_fd = open("/dev/null", O_RDWR);

	if (socket_high < 0 || notes_high < 0 || null_fd < 0)
		return MORTISE_IO;
	if (dup2(null_fd, STDIN_FILENO) < 0 || dup2(null_fd, STDOUT_FILENO) < 0 ||
		dup2(socket_high, PROCESS_FD) < 0 || dup2(notes_high, NOTES_FD) < 0)
		return MORTISE_IO;
	return close_range(NOTES_FD + 1, ~0u, 0) == 0 ? MORTISE_OK : MORTISE_IO;
}

static void run_sealer(const struct sealer_command *command, char **arguments,
	const struct identity *identity, int fd, pid_t monitor)
{
	if (place_descriptors(fd, command->notes_fd) != MORTISE_OK)
		return;
	if (become(identity, identity->groups, identity->group_count) != MORTISE_OK ||
		spawn_tie_to(monitor) != MORTISE_OK)
		return;
	run(command->program, arguments, false);
}

static void free_text(char **text)
{
	free(*text);
}

enum mortise_status spawn_sealer(const struct sealer_command *command,
	const struct identity *identity, pid_t *out_pid, int *out_fd)
{
	CLEANUP(close_drop) int ours = -1, theirs = -1;
	CLEANUP(free_text) char *tcti = NULL;
	CLEANUP(free_text) char *pcr_signature = NULL;
	char deadline[32], notes[32];
	char *arguments[] = {(char[]){"mortise-sealer"}, NULL, deadline, notes, NULL, NULL};
	pid_t monitor = getpid(), child;

	snprintf(deadline, sizeof deadline, "--deadline-ms=%d", command->deadline_ms);
	snprintf(notes, sizeof notes, "--notes-fd=%d", NOTES_FD);
	if (asprintf(&tcti, "--tcti=%s", command->tcti) < 0)
		return MORTISE_IO;
	arguments[1] = tcti;
	if (command->pcr_signature != NULL) {
		if (asprintf(&pcr_signature, "--pcr-signature=%s", command->pcr_signature) < 0)
			return MORTISE_IO;
		arguments[4] = pcr_signature;
	}
	TRY(make_pair(&ours, &theirs));
	child = spawn_fork();
	if (child == 0) {
		run_sealer(command, arguments, identity, theirs, monitor);
		_exit(SPAWN_EXIT_NO_RUN);
	}
	if (child < 0)
		return MORTISE_IO;
	*out_pid = child;
	*out_fd = ours;
	ours = -1;
	return MORTISE_OK;
}
