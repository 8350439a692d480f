/* SPDX-License-Identifier: ISC */
#include "spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
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
static enum mortise_status tie_to(pid_t monitor)
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

/*
 * is_confined: LeakSanitizer wants to trace a process that keeps it from that. word: one more of
 * the environment, or NULL.
 */
static void run(const char *program, char **arguments, bool is_confined, char *word)
{
	static char journal[64];
	char *environment[6] = {(char[]){"PATH=" SPAWN_PATH}, (char[]){"LANG=C"}};
	const char *stream = getenv("JOURNAL_STREAM");
	size_t count = 2;

	if (stream && snprintf(journal, sizeof journal, "JOURNAL_STREAM=%s", stream) <
			      (int)sizeof journal)
		environment[count++] = journal;
#if defined(UNDER_ASAN)
	if (is_confined)
		environment[count++] = (char[]){"ASAN_OPTIONS=detect_leaks=0"};
#else
	(void)is_confined;
#endif
	environment[count++] = word;
	environment[count] = NULL;
	execve(program, arguments, environment);
}

/* What a service manager gave the monitor for its witness is nobody else's. */
static enum mortise_status pass_no_capability(void)
{
	return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == 0 ? MORTISE_OK
									     : MORTISE_IO;
}

static void run_keeper(const char *program, const struct identity *identity, int fd, pid_t monitor)
{
	char *arguments[] = {(char[]){"mortised: keeper"}, (char[]){"--keeper"}, NULL};

	spawn_keep_only(fd);
	allow_all_descriptors();
	if (spawn_become(identity) != MORTISE_OK || tie_to(monitor) != MORTISE_OK ||
		pass_no_capability() != MORTISE_OK)
		return;
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	run(program, arguments, true, NULL);
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

#define TRACING CAP_TO_MASK(CAP_SYS_PTRACE)

/* Root would get them all back by executing a program; who may not change the set has less. */
static void bound_capabilities(bool may_trace)
{
	for (unsigned long capability = 0; capability < 64; capability++) {
		if (capability != CAP_SYS_PTRACE || !may_trace)
			(void)prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
	}
}

/* A service manager that gave no capability may have taken capset(2) as well. */
static bool has_none(const struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3])
{
	return (data[0].effective | data[0].permitted | data[0].inheritable | data[1].effective |
		       data[1].permitted | data[1].inheritable) == 0;
}

/* Of what there is, CAP_SYS_PTRACE goes on to the program; so it is an ambient one. */
static enum mortise_status pass_tracing(bool may_trace)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};
	uint32_t kept;

	TRY(pass_no_capability());
	if (syscall(SYS_capget, &header, data) != 0)
		return MORTISE_IO;
	if (has_none(data))
		return MORTISE_OK;
	kept = may_trace ? data[0].permitted & TRACING : 0;
	data[0] = (struct __user_cap_data_struct){kept, kept, kept};
	data[1] = (struct __user_cap_data_struct){0};
	if (syscall(SYS_capset, &header, data) != 0)
		return MORTISE_IO;
	if (kept != 0 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SYS_PTRACE, 0, 0) != 0)
		return MORTISE_IO;
	return MORTISE_OK;
}

static void run_witness(
	const char *program, const struct identity *identity, bool may_trace, int fd, pid_t monitor)
{
	char *arguments[] = {(char[]){"mortised: witness"}, (char[]){"--witness"}, NULL};

	spawn_keep_only(fd);
	bound_capabilities(may_trace);
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0 || spawn_become(identity) != MORTISE_OK ||
		pass_tracing(may_trace) != MORTISE_OK || tie_to(monitor) != MORTISE_OK)
		return;
	run(program, arguments, true, NULL);
}

enum mortise_status spawn_witness(const char *program, const struct identity *identity,
	bool may_trace, pid_t *out_pid, int *out_fd)
{
	CLEANUP(close_drop) int ours = -1, theirs = -1;
	pid_t monitor = getpid(), child;

	TRY(make_pair(&ours, &theirs));
	child = spawn_fork();
	if (child == 0) {
		run_witness(program, identity, may_trace, theirs, monitor);
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

#define SEALER_ARGUMENTS 16

/* What is made before the fork: afterwards nothing may be allocated. */
struct sealer_words {
	char *arguments[SEALER_ARGUMENTS]; /* the last is NULL; all but the first are freed */
	size_t count;
	char *environment; /* "MORTISE_PKCS11_ENV=..." or NULL */
};

static void free_words(struct sealer_words *words)
{
	for (size_t i = 1; i < words->count; i++)
		free(words->arguments[i]);
	free(words->environment);
}

/* An option whose value is NULL is left out. */
static enum mortise_status add_option(
	struct sealer_words *words, const char *name, const char *value)
{
	if (!value)
		return MORTISE_OK;
	if (words->count + 1 >= SEALER_ARGUMENTS)
		return MORTISE_IO;
	if (asprintf(&words->arguments[words->count], "--%s=%s", name, value) < 0) {
		words->arguments[words->count] = NULL;
		return MORTISE_IO;
	}
	words->count++;
	return MORTISE_OK;
}

/* The environment is not shown to everybody, as arguments are. */
static enum mortise_status write_words(
	const struct sealer_command *command, struct sealer_words *words)
{
	static char name[] = "mortise-sealer";
	char deadline[16], notes[16];

	words->arguments[words->count++] = name;
	snprintf(deadline, sizeof deadline, "%d", command->deadline_ms);
	snprintf(notes, sizeof notes, "%d", NOTES_FD);
	TRY(add_option(words, "tcti", command->tcti));
	TRY(add_option(words, "deadline-ms", deadline));
	TRY(add_option(words, "notes-fd", notes));
	TRY(add_option(words, "pcr-signature", command->pcr_signature));
	TRY(add_option(words, "pkcs11-modules", command->pkcs11_modules));
	TRY(add_option(words, "pkcs11-pin-file", command->pkcs11_pin_file));
	TRY(add_option(words, "insecure-memory", command->has_insecure_memory ? "yes" : NULL));
	if (command->pkcs11_env &&
		asprintf(&words->environment, "MORTISE_PKCS11_ENV=%s", command->pkcs11_env) < 0) {
		words->environment = NULL;
		return MORTISE_IO;
	}
	return MORTISE_OK;
}

static void run_sealer(const struct sealer_command *command, struct sealer_words *words,
	const struct identity *identity, int fd, pid_t monitor)
{
	if (place_descriptors(fd, command->notes_fd) != MORTISE_OK)
		return;
	if (become(identity, identity->groups, identity->group_count) != MORTISE_OK ||
		tie_to(monitor) != MORTISE_OK || pass_no_capability() != MORTISE_OK)
		return;
	run(command->program, words->arguments, false, words->environment);
}

enum mortise_status spawn_sealer(const struct sealer_command *command,
	const struct identity *identity, pid_t *out_pid, int *out_fd)
{
	CLEANUP(close_drop) int ours = -1, theirs = -1;
	CLEANUP(free_words) struct sealer_words words = {0};
	pid_t monitor = getpid(), child;

	TRY(write_words(command, &words));
	TRY(make_pair(&ours, &theirs));
	child = spawn_fork();
	if (child == 0) {
		run_sealer(command, &words, identity, theirs, monitor);
		_exit(SPAWN_EXIT_NO_RUN);
	}
	if (child < 0)
		return MORTISE_IO;
	*out_pid = child;
	*out_fd = ours;
	ours = -1;
	return MORTISE_OK;
}
