/* SPDX-License-Identifier: ISC */
#include "dev_agent.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "output.h"

#define OPEN_MAX 16 /* descriptors while a tree is removed */

/* That of another user is what sudo leaves in the environment. */
static bool is_own_directory(const char *path)
{
	struct stat facts;

	return path && path[0] == '/' && stat(path, &facts) == 0 && S_ISDIR(facts.st_mode) &&
	       facts.st_uid == geteuid() && access(path, W_OK) == 0;
}

static bool name_below(const char *parent, struct dev_directory *out_directory)
{
	char resolved[PATH_MAX]; /* mortised follows no link */
	uint64_t random = 0;
	int size;

	if (!realpath(parent, resolved) || getrandom(&random, sizeof random, 0) != sizeof random)
		return false;
	size = snprintf(out_directory->path, sizeof out_directory->path, "%s/mortise-dev.%012llx",
		strcmp(resolved, "/") == 0 ? "" : resolved,
		(unsigned long long)random & 0xffffffffffffULL);
	errno = ENAMETOOLONG;
	return size > 0 && (size_t)size < sizeof out_directory->path;
}

/*
 * A name that nobody has, in XDG_RUNTIME_DIR, TMPDIR or /tmp; makes nothing. CLI_DONE, or an exit
 * status after the error.
 */
static int dev_directory_choose(const struct cli *cli, struct dev_directory *out_directory)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR"), *parent = getenv("TMPDIR");

	if (is_own_directory(runtime) && name_below(runtime, out_directory))
		return CLI_DONE;
	if (!parent || parent[0] == '\0')
		parent = "/tmp";
	if (name_below(parent, out_directory))
		return CLI_DONE;
	return output_fail(cli, MORTISE_IO,
		"no directory for the agent below %s: %s; set TMPDIR to a short path of an "
		"existing directory",
		parent, strerror(errno));
}

/* Makes it, for this user alone. False with errno. */
static bool dev_directory_make(const struct dev_directory *directory)
{
	return mkdir(directory->path, 0700) == 0;
}

static int remove_one(const char *path, const struct stat *facts, int kind, struct FTW *where)
{
	(void)facts;
	(void)kind;
	(void)where;
	(void)remove(path); /* what stays keeps its directory */
	return 0;
}

/*
 * With all that is in it. False while something is left. Not FTW_MOUNT: on an overlay files have
 * other devices than their directory.
 */
static bool dev_directory_remove(const struct dev_directory *directory)
{
	(void)nftw(directory->path, remove_one, OPEN_MAX, FTW_DEPTH | FTW_PHYS);
	return access(directory->path, F_OK) != 0;
}

/* The guard: the process that answers for a throw-away agent. */

/* What it sends once: the agent answers, or why not. */
struct dev_guard_report {
	bool is_ready;
	char text[512];
};

#ifndef MORTISE_MORTISED_PATH
#define MORTISE_MORTISED_PATH "/usr/sbin/mortised"
#endif

#define START_DEADLINE_MS 20000
#define ABOVE_ALL_PLACES  16 /* descriptors are moved away from where others are to go */
#define LOG_TAIL          400
#define LINK_FD           3
#define NAME_SIZE         128

struct guard {
	struct dev_agent *agent;
	pid_t mortised, swtpm; /* 0: not started */
	int ready;             /* mortised says here that it answers; -1: not started */
};

static void name_file(const struct guard *guard, const char *name, char path[NAME_SIZE])
{
	(void)snprintf(path, NAME_SIZE, "%s/%s", guard->agent->directory.path, name);
}

static _Noreturn void end(struct guard *guard, int status)
{
	if (guard->mortised > 0)
		(void)kill(guard->mortised, SIGKILL);
	if (guard->swtpm > 0)
		(void)kill(guard->swtpm, SIGKILL);
	while (wait(NULL) > 0 || errno == EINTR) /* orphans too: the keeper, a sealer */
		;
	(void)dev_directory_remove(&guard->agent->directory);
	_exit(status);
}

static void report(bool is_ready, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void report(bool is_ready, const char *format, ...)
{
	struct dev_guard_report report = {.is_ready = is_ready};
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(report.text, sizeof report.text, format, arguments);
	va_end(arguments);
	(void)send(LINK_FD, &report, sizeof report, MSG_NOSIGNAL);
}

static _Noreturn void fail(struct guard *guard, const char *what)
{
	report(false, "%s: %s", what, strerror(errno));
	end(guard, 1);
}

/* A terminal's signals are for CMD. Nobody who reads what CMD writes waits for the guard. */
static void stand_aside(int link)
{
	static const int ignored[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE, SIGTSTP, 0};
	int nowhere;

	(void)setsid();
	for (const int *number = ignored; *number != 0; number++)
		(void)signal(*number, SIG_IGN);
	if (link != LINK_FD)
		(void)dup3(link, LINK_FD, O_CLOEXEC);
	(void)close_range(LINK_FD + 1, ~0u, 0);
	nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		(void)dup2(nowhere, fd);
	(void)close(nowhere);
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1);
}

/*
 * Starts a program that ends with the guard; its errors go to a file. kept: a descriptor that it
 * gets at the place 3, the next ones behind it.
 */
static pid_t spawn(const struct guard *guard, const char *log, const int kept[2],
	char *const *arguments, char *const *environment)
{
	pid_t parent = getpid(), child = fork();
	char path[NAME_SIZE];

	if (child != 0)
		return child;
	name_file(guard, log, path);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent ||
		dup2(open(path, O_WRONLY | O_CREAT | O_APPEND, 0600), STDERR_FILENO) < 0)
		_exit(1);
	for (int i = 0; i < 2; i++)
		if (kept[i] >= 0 && dup2(kept[i], LINK_FD + i) < 0)
			_exit(1);
	(void)close_range(LINK_FD + (kept[1] >= 0 ? 2 : 1), ~0u, 0);
	for (int number = 1; number < NSIG; number++)
		(void)signal(number, SIG_DFL);
	(void)execve(arguments[0], arguments, environment);
	(void)dprintf(STDERR_FILENO, "%s: %s\n", arguments[0], strerror(errno));
	_exit(127);
}

/* Listening before there is a TPM: who connects early waits. */
static int listen_at(const struct guard *guard, const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), moved;

	(void)snprintf(address.sun_path, sizeof address.sun_path, "%s/%s",
		guard->agent->directory.path, name);
	moved = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, ABOVE_ALL_PLACES);
	(void)close(fd);
	if (moved >= 0 && bind(moved, (const struct sockaddr *)&address, sizeof address) == 0 &&
		listen(moved, 4) == 0)
		return moved;
	return -1;
}

static bool start_swtpm(struct guard *guard)
{
	const int kept[2] = {listen_at(guard, "tpm.sock"), listen_at(guard, "tpm.sock.ctrl")};
	char state[NAME_SIZE + 8] = "dir=";
	char *arguments[] = {guard->agent->swtpm, (char[]){"socket"}, (char[]){"--tpm2"},
		(char[]){"--tpmstate"}, state, (char[]){"--server"}, (char[]){"type=unixio,fd=3"},
		(char[]){"--ctrl"}, (char[]){"type=unixio,fd=4"}, (char[]){"--flags"},
		(char[]){"not-need-init,startup-clear"}, NULL};

	if (kept[0] < 0 || kept[1] < 0)
		return false;
	name_file(guard, "tpm", state + strlen(state));
	if (mkdir(state + strlen("dir="), 0700) != 0)
		return false;
	guard->swtpm = spawn(guard, "swtpm.log", kept, arguments, environ);
	(void)close(kept[0]);
	(void)close(kept[1]);
	return guard->swtpm > 0;
}

static bool write_configuration(const struct guard *guard, const char *path)
{
	const char *directory = guard->agent->directory.path;
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int size = fd < 0 ? -1
			  : dprintf(fd,
				    "[agent]\nsocket = %s\nstore = %s/store\n"
				    "audit-log = %s/log/audit.log\nenvironment = " DEV_ENVIRONMENT
				    "\ninsecure-memory = yes\n[tpm2]\ntcti = "
				    "swtpm:path=%s/tpm.sock\n",
				    guard->agent->socket, directory, directory, directory);

	return size > 0 && close(fd) == 0;
}

static bool start_mortised(struct guard *guard)
{
	char path[NAME_SIZE];
	char *arguments[] = {(char[]){MORTISE_MORTISED_PATH}, (char[]){"-c"}, path,
		(char[]){"--ready-fd=3"}, NULL};
	char *environment[] = {(char[]){"PATH=/usr/bin:/bin"}, NULL};
	int pair[2], kept[2] = {-1, -1};

	name_file(guard, "mortised.conf", path);
	if (!write_configuration(guard, path) || pipe2(pair, O_CLOEXEC) != 0)
		return false;
	kept[0] = fcntl(pair[1], F_DUPFD_CLOEXEC, ABOVE_ALL_PLACES);
	guard->ready = pair[0];
	guard->mortised = spawn(guard, "mortised.log", kept, arguments, environment);
	(void)close(pair[1]);
	(void)close(kept[0]);
	return guard->mortised > 0;
}

/* The last line of mortised's errors says why. */
static _Noreturn void fail_with_log(struct guard *guard)
{
	char path[NAME_SIZE], text[LOG_TAIL + 1] = "";
	ssize_t size;
	int fd;

	name_file(guard, "mortised.log", path);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && lseek(fd, -LOG_TAIL, SEEK_END) < 0)
		(void)lseek(fd, 0, SEEK_SET);
	size = fd >= 0 ? read(fd, text, LOG_TAIL) : 0;
	while (size > 0 && text[size - 1] == '\n')
		text[--size] = '\0';
	const char *line = strrchr(text, '\n');
	line = line ? line + 1 : text;
	report(false, "%s", line[0] != '\0' ? line : "it says nothing within 20 seconds");
	end(guard, 1);
}

static void await_mortised(struct guard *guard)
{
	struct pollfd ready[2] = {
		{.fd = LINK_FD, .events = POLLIN}, {.fd = guard->ready, .events = POLLIN}};
	char byte = 0;

	if (poll(ready, 2, START_DEADLINE_MS) <= 0)
		fail_with_log(guard);
	if (ready[0].revents != 0)
		end(guard, 0);
	if (read(guard->ready, &byte, 1) != 1 || byte != '\n')
		fail_with_log(guard);
	(void)close(guard->ready);
}

/* Until one of both ends that it stands between. */
static _Noreturn void hold(struct guard *guard)
{
	int process = (int)syscall(SYS_pidfd_open, guard->mortised, 0);
	struct pollfd ends[2] = {
		{.fd = LINK_FD, .events = POLLIN}, {.fd = process, .events = POLLIN}};

	while (poll(ends, 2, -1) < 0)
		if (errno != EINTR)
			break;
	end(guard, ends[0].revents != 0 ? 0 : 1);
}

/* In a process of its own. link: when its other end is closed, all ends. */
static _Noreturn void dev_guard_run(struct dev_agent *agent, int link)
{
	struct guard guard = {.agent = agent, .ready = -1};

	stand_aside(link);
	if (!dev_directory_make(&agent->directory))
		fail(&guard, agent->directory.path);
	if (agent->swtpm[0] != '\0' && !start_swtpm(&guard))
		fail(&guard, "swtpm");
	if (!start_mortised(&guard))
		fail(&guard, "mortised");
	await_mortised(&guard);
	report(true, "ready");
	hold(&guard);
}

/* What a guard leaves behind that was killed: its agent's last moments. */
#define REMOVE_TRIES    200
#define REMOVE_PAUSE_MS 10

static void find_swtpm(char path[PATH_MAX])
{
	const char *at = getenv("PATH");

	for (at = at ? at : "/usr/bin:/bin"; *at != '\0'; at += *at == ':') {
		size_t size = strcspn(at, ":");
		int written = snprintf(path, PATH_MAX, "%.*s/swtpm", (int)size, at);

		if (*at == '/' && written < PATH_MAX && access(path, X_OK) == 0)
			return;
		at += size;
	}
	path[0] = '\0';
}

int dev_agent_begin(const struct cli *cli, struct dev_agent *out_agent)
{
	struct dev_agent agent = {.link = -1};
	int pair[2], status = dev_directory_choose(cli, &agent.directory);

	if (status != CLI_DONE)
		return status;
	(void)snprintf(agent.socket, sizeof agent.socket, "%s/mortise.sock", agent.directory.path);
	find_swtpm(agent.swtpm);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return output_fail(cli, MORTISE_IO, "cannot make a socket: %s", strerror(errno));
	agent.link = pair[0];
	agent.guard = fork();
	if (agent.guard == 0)
		dev_guard_run(&agent, pair[1]);
	(void)close(pair[1]);
	if (agent.guard < 0) {
		(void)close(pair[0]);
		return output_fail(cli, MORTISE_IO, "cannot make a process: %s", strerror(errno));
	}
	*out_agent = agent;
	return CLI_DONE;
}

int dev_agent_await(const struct cli *cli, const struct dev_agent *agent)
{
	struct dev_guard_report report;
	ssize_t size;

	do
		size = recv(agent->link, &report, sizeof report, 0);
	while (size < 0 && errno == EINTR);
	if (size != sizeof report)
		return output_fail(cli, MORTISE_IO, "the agent was ended while it started");
	if (report.is_ready)
		return CLI_DONE;
	report.text[sizeof report.text - 1] = '\0';
	return output_fail(cli, MORTISE_IO, "the agent cannot start: %s", report.text);
}

bool dev_agent_stop(struct dev_agent *agent)
{
	int status = 0;

	(void)close(agent->link);
	while (waitpid(agent->guard, &status, 0) < 0 && errno == EINTR)
		;
	for (int i = 0; !dev_directory_remove(&agent->directory) && i < REMOVE_TRIES; i++)
		(void)poll(NULL, 0, REMOVE_PAUSE_MS);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
