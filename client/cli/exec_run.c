/* SPDX-License-Identifier: ISC */
#include "exec_run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client.h"
#include "output.h"

#define QUIET_MS    50   /* behind CMD's end: then whoever holds the output is another */
#define PATIENCE_MS 1000 /* and how long it may go on writing before that */

static const int forwarded[] = {
	SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM, SIGCONT, SIGTSTP, 0};

/* The statuses that shells have for a command that cannot be run. */
enum { CANNOT_RUN = 126, NO_COMMAND = 127 };

/* What handlers see and tell. */
static volatile sig_atomic_t command_pid, is_child_changed, is_resized;

struct run {
	pid_t child;
	bool is_over;
	int ending;
	int64_t over_ms;
	struct exec_streams *streams;
	sigset_t waiting; /* the signals blocked while nothing else is done */
};

/* What the terminal sends goes to the whole process group: CMD has it already. */
static void forward(int number, siginfo_t *info, void *context)
{
	int error = errno;

	(void)context;
	if (command_pid > 0 && info->si_code != SI_KERNEL)
		(void)kill((pid_t)command_pid, number);
	errno = error;
}

static void take_note(int number)
{
	if (number == SIGWINCH)
		is_resized = 1;
	else
		is_child_changed = 1;
}

static void handle(int number, bool is_forwarded)
{
	struct sigaction action = {.sa_flags = SA_RESTART}, before;

	if (is_forwarded) {
		action.sa_sigaction = forward;
		action.sa_flags |= SA_SIGINFO;
	} else
		action.sa_handler = take_note;
	(void)sigfillset(&action.sa_mask);
	if (sigaction(number, NULL, &before) == 0 &&
		(!is_forwarded || before.sa_handler != SIG_IGN))
		(void)sigaction(number, &action, NULL);
}

int exec_run_fail(const struct cli *cli, const char *name, int error)
{
	bool is_missing = error == ENOENT || error == ENOTDIR;

	return output_fail_with(cli, is_missing ? NO_COMMAND : CANNOT_RUN, "exec",
		"%s: %s; it is looked for in PATH, unless it has a / in it", name,
		is_missing ? "no such command" : strerror(error));
}

int exec_run_instead(const struct exec_command *command)
{
	(void)setrlimit(RLIMIT_CORE, &command->core);
	(void)execvpe(command->arguments[0], command->arguments, command->variables);
	return errno;
}

/* Handlers fall back to the default by themselves when CMD starts; what is ignored does not. */
static _Noreturn void become_command(const struct exec_command *command,
	const struct exec_streams *streams, const struct sigaction *pipe_before,
	const sigset_t *mask_before, int report)
{
	struct sigaction fallback = {.sa_handler = SIG_DFL}, before;
	int error;

	for (const int *number = forwarded; *number != 0; number++)
		if (sigaction(*number, NULL, &before) == 0 && before.sa_handler != SIG_IGN)
			(void)sigaction(*number, &fallback, NULL);
	(void)sigaction(SIGPIPE, pipe_before, NULL);
	(void)sigprocmask(SIG_SETMASK, mask_before, NULL);
	(void)prctl(PR_SET_PDEATHSIG, command->death_signal);
	error = exec_streams_give(streams) ? exec_run_instead(command) : errno;
	(void)!write(report, &error, sizeof error);
	_exit(127);
}

/* errno of an exec that failed; 0: CMD runs, and the pipe is closed by that. */
static int hear(int report)
{
	int error = 0;
	ssize_t got;

	do
		got = read(report, &error, sizeof error);
	while (got < 0 && errno == EINTR);
	return got == sizeof error ? error : 0;
}

int exec_run_start(const struct exec_command *command, struct exec_streams *streams,
	pid_t *out_child, bool *out_is_commands)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN}, pipe_before;
	sigset_t all, before, noted;
	int report[2], error;
	pid_t child;

	*out_is_commands = false;
	if (pipe2(report, O_CLOEXEC) != 0)
		return errno;
	(void)sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, &before);
	(void)sigaction(SIGPIPE, &ignore, &pipe_before);
	for (const int *number = forwarded; *number != 0; number++)
		handle(*number, true);
	handle(SIGCHLD, false);
	handle(SIGWINCH, false);
	child = fork();
	error = errno;
	if (child == 0)
		become_command(command, streams, &pipe_before, &before, report[1]);
	command_pid = child > 0 ? child : 0;
	noted = before;
	(void)sigaddset(&noted, SIGCHLD);
	(void)sigaddset(&noted, SIGWINCH);
	(void)sigprocmask(SIG_SETMASK, &noted, NULL);
	(void)close(report[1]);
	if (child > 0) {
		*out_is_commands = true;
		error = hear(report[0]);
		*out_child = child;
	}
	(void)close(report[0]);
	exec_streams_let_go(streams);
	(void)prctl(PR_SET_DUMPABLE, 0);
	return error;
}

static bool is_in_front(void)
{
	for (int fd = 0; fd < 3; fd++)
		if (tcgetpgrp(fd) == getpgrp())
			return true;
	return false;
}

/* A shell that put the job aside gets its terminal back when the whole job has stopped. */
static void stop_too(const struct run *run)
{
	struct sigaction fallback = {.sa_handler = SIG_DFL};
	sigset_t stop;

	if (!is_in_front())
		return;
	(void)sigemptyset(&stop);
	(void)sigaddset(&stop, SIGTSTP);
	(void)sigaction(SIGTSTP, &fallback, NULL);
	(void)sigprocmask(SIG_UNBLOCK, &stop, NULL);
	(void)raise(SIGTSTP);
	handle(SIGTSTP, true);
	(void)kill(run->child, SIGCONT);
}

/* What CMD wrote before it stopped is to be seen before the shell's prompt. */
static void pump_ready(struct exec_streams *streams)
{
	for (int i = 0; i < EXEC_STREAM_COUNT; i++) {
		struct exec_stream *stream = &streams->list[i];
		struct pollfd ready = {.fd = stream->from, .events = POLLIN};

		for (int rounds = 0; rounds < 16 && stream->from >= 0; rounds++) {
			if (poll(&ready, 1, 0) <= 0)
				break;
			exec_stream_pump(stream);
		}
	}
}

static void take_changes(struct run *run)
{
	int status;

	is_child_changed = 0;
	while (!run->is_over && waitpid(run->child, &status, WNOHANG | WUNTRACED) == run->child) {
		if (WIFSTOPPED(status)) {
			pump_ready(run->streams);
			exec_streams_follow_modes(run->streams);
			stop_too(run);
			continue;
		}
		command_pid = 0;
		run->is_over = true;
		run->over_ms = client_now_ms();
		run->ending = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	}
}

/* Waits once, and pumps. False: nothing came within the time. */
static bool pump_all(struct run *run, int timeout_ms)
{
	struct timespec limit = {timeout_ms / 1000, timeout_ms % 1000 * 1000000L};
	struct pollfd ready[EXEC_STREAM_COUNT];
	int count;

	for (int i = 0; i < EXEC_STREAM_COUNT; i++)
		ready[i] = (struct pollfd){.fd = run->streams->list[i].from, .events = POLLIN};
	count = ppoll(ready, EXEC_STREAM_COUNT, timeout_ms < 0 ? NULL : &limit, &run->waiting);
	for (int i = 0; i < EXEC_STREAM_COUNT && count > 0; i++)
		if (ready[i].fd >= 0 && ready[i].revents != 0)
			exec_stream_pump(&run->streams->list[i]);
	return count != 0;
}

static bool is_someone_waiting(const struct exec_streams *streams)
{
	return (streams->list[0].is_waiting && streams->list[0].from >= 0) ||
	       (streams->list[1].is_waiting && streams->list[1].from >= 0);
}

static void show(struct exec_streams *streams)
{
	for (int i = 0; i < EXEC_STREAM_COUNT; i++)
		if (streams->list[i].is_waiting && streams->list[i].from >= 0)
			exec_stream_show(&streams->list[i]);
}

/* Masks what others still write, for as long as they hold the output, like CMD's own. */
static void leave_behind(struct run *run)
{
	struct sigaction fallback = {.sa_handler = SIG_DFL};

	if (!exec_streams_are_open(run->streams) || fork() != 0)
		return;
	for (const int *number = forwarded; *number != 0; number++)
		(void)sigaction(*number, &fallback, NULL);
	(void)close(STDIN_FILENO);
	for (int i = 0; i < EXEC_STREAM_COUNT; i++)
		run->streams->list[i].is_terminal = false; /* the shell's, by now */
	while (exec_streams_are_open(run->streams))
		(void)pump_all(run, -1);
	exec_streams_done(run->streams);
	_exit(0);
}

static void refresh(struct run *run)
{
	if (is_resized) {
		is_resized = 0;
		exec_streams_resize(run->streams);
		if (command_pid > 0)
			(void)kill(run->child, SIGWINCH);
	}
	if (is_child_changed)
		take_changes(run);
}

int exec_run_wait(pid_t child, struct exec_streams *streams)
{
	struct run run = {.child = child, .streams = streams};

	(void)sigprocmask(SIG_SETMASK, NULL, &run.waiting);
	(void)sigdelset(&run.waiting, SIGCHLD);
	(void)sigdelset(&run.waiting, SIGWINCH);
	is_child_changed = 1;
	for (;;) {
		bool is_waiting = is_someone_waiting(streams), has_come;

		refresh(&run);
		if (run.is_over && (!exec_streams_are_open(streams) ||
					   client_now_ms() - run.over_ms > PATIENCE_MS))
			break;
		has_come = pump_all(&run, run.is_over || is_waiting ? QUIET_MS : -1);
		if (!has_come && run.is_over)
			break;
		if (!has_come)
			show(streams);
	}
	exec_streams_follow_modes(streams);
	leave_behind(&run);
	return run.ending;
}
