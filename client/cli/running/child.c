/* SPDX-License-Identifier: ISC */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child_signals.h"
#include "client.h"
#include "output.h"

#define QUIET_MS    50   /* behind its end: then whoever holds the output is another */
#define PATIENCE_MS 1000 /* and how long it may go on writing before that */

/* The statuses that shells have for a command that cannot be run. */
enum { CANNOT_RUN = 126, NO_COMMAND = 127 };

/* What is polled beside the streams. */
enum { LINK = EXEC_STREAM_COUNT, KEYS, PLACES };

/* Whom handlers hand signals on to. */
static struct child_run *volatile running;

/* --- In the command */

static bool give(const struct child_given *given)
{
	char number[16];
	int descriptor = given->descriptor;

	if (!given->text && descriptor < 0)
		return unsetenv(given->name) == 0;
	if (given->text)
		return setenv(given->name, given->text, 1) == 0;
	(void)snprintf(number, sizeof number, "%d", descriptor);
	return fcntl(descriptor, F_SETFD, 0) == 0 && lseek(descriptor, 0, SEEK_SET) == 0 &&
	       setenv(given->name, number, 1) == 0;
}

int child_become(const struct child *child)
{
	(void)setrlimit(RLIMIT_CORE, &child->core);
	(void)execvpe(child->arguments[0], child->arguments,
		child->variables ? child->variables : environ);
	return errno;
}

/* Where gpg-agent is told which terminal to ask at, it is to be the one whose keys arrive. */
static void name_terminal(const struct child *child)
{
	static const char label[] = "GPG_TTY=";
	static char variable[sizeof label + PATH_MAX];
	char **at = child->variables ? (char **)(uintptr_t)child->variables : environ;

	memcpy(variable, label, sizeof label);
	if (ttyname_r(STDOUT_FILENO, variable + strlen(label), PATH_MAX) != 0)
		return;
	for (; *at; at++)
		if (strncmp(*at, label, strlen(label)) == 0)
			*at = variable;
}

struct becoming {
	const struct child *child;
	int report;
};

static void become(void *context)
{
	const struct becoming *becoming = context;
	const struct child *child = becoming->child;
	bool is_ready = true;
	int error;

	for (int i = 0; i < child->given_count && is_ready; i++)
		is_ready = give(&child->given[i]);
	if (is_ready && child->output_to_errors)
		is_ready = dup2(STDERR_FILENO, STDOUT_FILENO) >= 0;
	if (is_ready && child->streams)
		is_ready = exec_streams_give(child->streams);
	if (is_ready && child->streams && exec_streams_want_session(child->streams))
		name_terminal(child);
	(void)prctl(PR_SET_PDEATHSIG, child->death_signal);
	child_signals_as_before();
	error = is_ready ? child_become(child) : errno;
	if (write(becoming->report, &error, sizeof error) != sizeof error)
		_exit(CANNOT_RUN);
	_exit(NO_COMMAND);
}

/* errno of an exec that failed; 0: it runs, and the pipe is closed by that. */
static int hear(int report)
{
	int error = 0;
	ssize_t got;

	do
		got = read(report, &error, sizeof error);
	while (got < 0 && errno == EINTR);
	return got == sizeof error ? error : 0;
}

/* --- Its start */

static void hand_on(int number, const siginfo_t *info, bool is_to_group)
{
	const struct child_run *run = running;

	if (run->session.link < 0 && info->si_code == SI_QUEUE)
		(void)sigqueue(run->pid, number, info->si_value);
	else if (run->session.link < 0)
		(void)kill(run->pid, number);
	else if (number != SIGCONT) /* when it goes on it may have to change its place, too */
		child_session_signal(&run->session, number, info, is_to_group);
}

static void forget(void *context)
{
	const struct becoming *becoming = context;

	if (becoming->child->forget)
		becoming->child->forget(becoming->child->context);
}

/*
 * CMD comes to the front of its terminal at once where a person sits before it; else when it wants
 * to read or set it, which the kernel tells. Others of a pipeline may have a use for the keys.
 */
static bool begins_in_front(const struct child_run *run)
{
	struct stat input;
	bool is_file = fstat(STDIN_FILENO, &input) == 0 && S_ISREG(input.st_mode);

	return child_terminal_is_front(&run->terminal) && !child_terminal_is_raw(&run->terminal) &&
	       (run->child->streams->list[0].has_input || is_file);
}

static int start_session(struct child_run *run, struct becoming *becoming)
{
	const struct exec_stream *stream = &run->child->streams->list[0];
	struct child_session_start start = {
		.terminal = stream->given, .become = become, .forget = forget, .context = becoming};
	int error;

	child_terminal_open(stream->target, &run->terminal);
	start.is_front = begins_in_front(run);
	if (start.is_front)
		child_terminal_take(&run->terminal, stream->from);
	error = child_session_start(&start, &run->session);
	run->pid = run->session.leader;
	if (error != 0)
		child_terminal_give_back(&run->terminal);
	return error;
}

static int start(struct child_run *run, struct becoming *becoming)
{
	const struct exec_streams *streams = run->child->streams;

	if (streams && exec_streams_want_session(streams))
		return start_session(run, becoming);
	run->pid = fork();
	if (run->pid == 0)
		become(becoming);
	return run->pid < 0 ? errno : 0;
}

/* One that could not be run has ended by now. */
static void clean_up(struct child_run *run)
{
	child_signals_stop_handing();
	if (run->session.link >= 0) {
		child_terminal_give_back(&run->terminal);
		child_session_end(&run->session);
	} else if (!run->is_over) {
		while (waitpid(run->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	child_terminal_close(&run->terminal);
	child_signals_give_back();
}

int child_start(const struct child *child, struct child_run *out_run)
{
	struct child_run *run = out_run;
	struct becoming becoming = {.child = child};
	int report[2], error;

	*run = (struct child_run){.child = child, .session.link = -1, .terminal.fd = -1};
	if (pipe2(report, O_CLOEXEC) != 0)
		return errno;
	becoming.report = report[1];
	(void)prctl(PR_SET_DUMPABLE, 0); /* exec makes the command dumpable again */
	child_signals_take();
	child_signals_witness(child->forget, child->context);
	error = start(run, &becoming);
	(void)close(report[1]);
	run->is_commands = error == 0;
	if (run->is_commands) {
		running = run;
		child_signals_let(hand_on, run->session.link < 0, &run->waiting);
		error = hear(report[0]);
	}
	(void)close(report[0]);
	if (child->streams)
		exec_streams_let_go(child->streams);
	if (run->is_commands && error != 0)
		clean_up(run);
	else if (error != 0)
		child_signals_give_back();
	return error;
}

int child_fail(const struct cli *cli, const char *name, int error)
{
	bool is_missing = error == ENOENT || error == ENOTDIR;

	return output_fail_with(cli, is_missing ? NO_COMMAND : CANNOT_RUN, "exec",
		"%s: %s; it is looked for in PATH, unless it has a / in it", name,
		is_missing ? "no such command" : strerror(error));
}

/* --- Stopping with it */

/* What it wrote before it stopped is to be seen before the shell's prompt. */
static void pump_ready(struct exec_streams *streams)
{
	for (int i = 0; i < EXEC_STREAM_COUNT && streams; i++) {
		struct exec_stream *stream = &streams->list[i];
		struct pollfd ready = {.fd = stream->from, .events = POLLIN};

		for (int rounds = 0; rounds < 16 && stream->from >= 0; rounds++) {
			if (poll(&ready, 1, 0) <= 0)
				break;
			exec_stream_pump(stream);
		}
	}
}

static int inner(const struct child_run *run)
{
	return run->child->streams->list[0].from;
}

static bool is_in_front(void)
{
	for (int fd = 0; fd < 3; fd++)
		if (tcgetpgrp(fd) == getpgrp())
			return true;
	return false;
}

/* In mortise's group the command goes on by whatever lets mortise go on. */
static void stop_with_command(const struct child_run *run, int number)
{
	pump_ready(run->child->streams);
	if (run->child->streams)
		exec_streams_follow_modes(run->child->streams);
	if (child_signals_is_stop_wanted() || is_in_front())
		(void)child_signals_stop(number, false, 0);
}

/* Where mortise is, the command is to be: in front, with its keys, or behind. */
static bool take_place(struct child_run *run)
{
	bool is_front = child_terminal_is_front(&run->terminal);

	run->is_stopped = false;
	if (is_front && inner(run) >= 0)
		child_terminal_take(&run->terminal, inner(run));
	return is_front;
}

static void go_on(struct child_run *run)
{
	child_session_continue(&run->session, take_place(run));
}

/*
 * The terminal wants to stop it, or it has stopped itself: as without mortise, all of mortise's
 * group stops. Where nobody is who could let that go on, it must not stay stopped.
 */
static void stop_with_session(struct child_run *run, int number)
{
	bool wants_terminal = number == SIGTTIN || number == SIGTTOU;

	run->is_stopped = true;
	pump_ready(run->child->streams);
	if (wants_terminal && child_terminal_is_front(&run->terminal)) {
		go_on(run);
		return;
	}
	child_terminal_note(&run->terminal, inner(run));
	child_terminal_give_back(&run->terminal);
	/* Who lets the command alone go on does so behind. */
	child_session_place(&run->session, false);
	/* Asked again: a shell that puts mortise in front now would be told of one more stop. */
	if (wants_terminal && child_terminal_is_front(&run->terminal)) {
		go_on(run);
		return;
	}
	if (child_signals_stop(number, number != SIGSTOP, run->session.leader))
		return; /* the news of that comes */
	if (wants_terminal) {
		run->is_stopped = false;
		child_session_continue(&run->session, true); /* to wait for keys that do not come */
	} else if (number != SIGSTOP)
		go_on(run);
}

/* --- Its end */

static void end(struct child_run *run, int wait_status)
{
	run->is_over = true;
	run->over_ms = client_now_ms();
	run->wait_status = wait_status;
	child_signals_stop_handing();
	run->terminal.count = 0;
	if (run->session.link >= 0)
		child_terminal_note(&run->terminal, inner(run));
}

/* No signal is handed on between the end and the knowledge of it: the number may be another's. */
static void reap(struct child_run *run)
{
	sigset_t all, before;
	int status = 0;
	pid_t pid;

	do {
		(void)sigfillset(&all);
		(void)sigprocmask(SIG_SETMASK, &all, &before);
		pid = waitpid(run->pid, &status, WNOHANG | WUNTRACED);
		if (pid == run->pid && !WIFSTOPPED(status))
			end(run, status);
		(void)sigprocmask(SIG_SETMASK, &before, NULL);
		if (pid == run->pid && WIFSTOPPED(status))
			stop_with_command(run, WSTOPSIG(status));
	} while (pid == run->pid && !run->is_over);
}

/* As the first process of a container mortise has all orphans. */
static void reap_orphans(void)
{
	siginfo_t info = {0};

	if (getpid() != 1)
		return;
	while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid > 0) {
		if (info.si_pid == running->pid)
			return;
		(void)waitpid(info.si_pid, NULL, WNOHANG);
		info.si_pid = 0;
	}
}

static void hear_session(struct child_run *run)
{
	int number = 0;

	while (!run->is_over) {
		switch (child_session_hear(&run->session, &number)) {
		case CHILD_SESSION_NOTHING:
			return;
		case CHILD_SESSION_STOPPED:
			stop_with_session(run, number);
			break;
		case CHILD_SESSION_WENT_ON:
			if (run->is_stopped)
				child_session_place(&run->session, take_place(run));
			break;
		case CHILD_SESSION_ENDED:
			end(run, number);
			break;
		case CHILD_SESSION_LOST:
			end(run, SIGHUP); /* which the kernel has sent it */
			break;
		}
	}
}

/* --- Meanwhile */

/* The keys are gone for good: so is the command's terminal, as without mortise. */
static void hang_up(struct child_run *run)
{
	run->is_hung_up = true;
	child_session_hang_up(&run->session);
	child_terminal_give_back(&run->terminal);
	exec_stream_end(&run->child->streams->list[0]);
}

/* What means a signal to the command means it to the rest of mortise's group, too. */
static void pass_keys(struct child_run *run)
{
	bool is_commands = child_session_has_keys(&run->session, inner(run));
	int number = child_terminal_pass(&run->terminal, inner(run));

	if (number != 0 && is_commands)
		child_signals_tell_group(number);
}

/* Mortise was stopped, and its command was not; others may have set the terminal meanwhile. */
static void let_on(struct child_run *run, bool is_group)
{
	run->terminal.is_taken = false;
	if (run->session.is_front && inner(run) >= 0 && child_terminal_is_front(&run->terminal))
		child_terminal_take(&run->terminal, inner(run));
	child_session_signal(&run->session, SIGCONT, NULL, is_group);
}

/* Of its own terminal's size the kernel tells who is in front there, and nobody of that of errors.
 */
static void resize(const struct child_run *run)
{
	const struct exec_streams *streams = run->child->streams;

	if (!exec_streams_resize(streams))
		return;
	if (run->session.link < 0 && streams->list[1].is_terminal)
		(void)kill(run->pid, SIGWINCH);
	else if (run->session.link >= 0 && !run->session.is_front)
		child_session_signal(&run->session, SIGWINCH, NULL, true);
}

static void refresh(struct child_run *run)
{
	struct child_signals_news news = child_signals_news(&run->waiting);
	bool has_session = run->session.link >= 0;

	if (news.is_resized && run->child->streams && !run->is_over)
		resize(run);
	if (news.is_continued && has_session && !run->is_over) {
		if (run->is_stopped)
			go_on(run);
		else if (news.continued_by != run->session.leader)
			let_on(run, news.is_group_continued);
	}
	if (has_session && inner(run) < 0 && !run->is_over && !run->is_hung_up)
		hang_up(run);
	if (news.is_child_changed && !has_session)
		reap(run);
	if (news.is_child_changed)
		reap_orphans();
}

/* Waits once, and moves what there is. False: nothing came within the time. */
static bool move(struct child_run *run, int timeout_ms)
{
	struct timespec limit = {timeout_ms / 1000, timeout_ms % 1000 * 1000000L};
	struct exec_streams *streams = run->child->streams;
	struct pollfd ready[PLACES];
	int count;

	for (int i = 0; i < PLACES; i++)
		ready[i] = (struct pollfd){.fd = -1, .events = POLLIN};
	for (int i = 0; i < EXEC_STREAM_COUNT && streams; i++)
		ready[i].fd = streams->list[i].from;
	if (run->terminal.count > 0)
		ready[0].events |= POLLOUT;
	else if (run->terminal.is_taken && !run->is_over)
		ready[KEYS].fd = run->terminal.fd;
	ready[LINK].fd = run->is_over ? -1 : run->session.link;
	count = ppoll(ready, PLACES, timeout_ms < 0 ? NULL : &limit, &run->waiting);
	if (count <= 0)
		return count != 0;
	if (ready[LINK].revents != 0) /* before its terminal is gone */
		hear_session(run);
	if ((ready[0].revents & POLLOUT) != 0)
		pass_keys(run);
	for (int i = 0; i < EXEC_STREAM_COUNT; i++)
		if ((ready[i].revents & ~POLLOUT) != 0 && streams->list[i].from >= 0)
			exec_stream_pump(&streams->list[i]);
	if (ready[KEYS].revents != 0 && !child_terminal_read(&run->terminal))
		hang_up(run);
	return true;
}

static bool are_open(const struct child_run *run)
{
	return run->child->streams && exec_streams_are_open(run->child->streams);
}

static bool is_someone_waiting(const struct child_run *run)
{
	const struct exec_streams *streams = run->child->streams;

	for (int i = 0; i < EXEC_STREAM_COUNT && streams; i++)
		if (streams->list[i].is_waiting && streams->list[i].from >= 0)
			return true;
	return false;
}

static void show(struct child_run *run)
{
	struct exec_streams *streams = run->child->streams;

	for (int i = 0; i < EXEC_STREAM_COUNT && streams; i++)
		if (streams->list[i].is_waiting && streams->list[i].from >= 0)
			exec_stream_show(&streams->list[i]);
}

/* Masks what others still write, for as long as they hold the output, like the command's own. */
static void leave_behind(struct child_run *run)
{
	if (!are_open(run) || fork() != 0)
		return;
	(void)signal(SIGPIPE, SIG_IGN);
	(void)close(STDIN_FILENO);
	(void)sigemptyset(&run->waiting);
	while (are_open(run))
		(void)move(run, -1);
	exec_streams_done(run->child->streams);
	_exit(0);
}

struct child_end child_wait(struct child_run *run)
{
	struct child_end result = {0};
	bool has_come;

	if (run->session.link < 0)
		reap(run);
	for (;;) {
		bool is_waiting = is_someone_waiting(run);

		refresh(run);
		if (run->is_over &&
			(!are_open(run) || client_now_ms() - run->over_ms > PATIENCE_MS))
			break;
		has_come = move(run, run->is_over || is_waiting ? QUIET_MS : -1);
		if (!has_come && run->is_over)
			break;
		if (!has_come)
			show(run);
	}
	if (run->child->streams)
		exec_streams_follow_modes(run->child->streams);
	clean_up(run);
	leave_behind(run);
	result.asked = child_signals_asked();
	result.signal = WIFSIGNALED(run->wait_status) ? WTERMSIG(run->wait_status) : 0;
	result.status = result.signal != 0 ? 128 + result.signal : WEXITSTATUS(run->wait_status);
	return result;
}

struct child_end child_run(const struct child *child)
{
	struct child_run run;
	struct child_end end = {.error = child_start(child, &run)};

	if (end.error == 0)
		return child_wait(&run);
	end.status = end.error == ENOENT || end.error == ENOTDIR ? NO_COMMAND : CANNOT_RUN;
	return end;
}
