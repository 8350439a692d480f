/* SPDX-License-Identifier: ISC */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static const int ending_signals[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, 0};

static bool give(const struct child_given *given)
{
	char number[16];
	int descriptor = given->descriptor;

	if (given->text == NULL && descriptor < 0)
		return unsetenv(given->name) == 0;
	if (given->text != NULL)
		return setenv(given->name, given->text, 1) == 0;
	(void)snprintf(number, sizeof number, "%d", descriptor);
	return fcntl(descriptor, F_SETFD, 0) == 0 && lseek(descriptor, 0, SEEK_SET) == 0 &&
	       setenv(given->name, number, 1) == 0;
}

static _Noreturn void become(const struct child *child, const sigset_t *mask, int report)
{
	bool is_ready = true;
	int error;

	for (int i = 0; i < child->given_count && is_ready; i++)
		is_ready = give(&child->given[i]);
	if (is_ready && child->output_to_errors)
		is_ready = dup2(STDERR_FILENO, STDOUT_FILENO) >= 0;
	if (is_ready) {
		(void)setrlimit(RLIMIT_CORE, &child->core);
		(void)sigprocmask(SIG_SETMASK, mask, NULL);
		(void)execvp(child->arguments[0], child->arguments);
	}
	error = errno;
	(void)!write(report, &error, sizeof error);
	_exit(CHILD_CANNOT_RUN);
}

/* What a terminal sends goes to the whole process group: the command has it already. */
static void await(pid_t pid, const sigset_t *signals, struct child_end *end)
{
	siginfo_t info;
	int status;

	while (waitpid(pid, &status, WNOHANG) != pid) {
		int number = sigwaitinfo(signals, &info);

		if (number <= 0 || number == SIGCHLD)
			continue;
		end->signal = number;
		if (info.si_code != SI_KERNEL)
			(void)kill(pid, number);
	}
	end->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int hear(int report)
{
	int error = 0;
	ssize_t got;

	do
		got = read(report, &error, sizeof error);
	while (got < 0 && errno == EINTR);
	return got == sizeof error ? error : 0;
}

static void fail(struct child_end *end, int error)
{
	end->error = error;
	end->status = error == ENOENT || error == ENOTDIR ? CHILD_NO_COMMAND : CHILD_CANNOT_RUN;
}

static void start(const struct child *child, const sigset_t *signals, const sigset_t *before,
	const int report[2], struct child_end *end)
{
	pid_t pid = fork();

	if (pid == 0)
		become(child, before, report[1]);
	if (pid < 0)
		fail(end, errno);
	(void)close(report[1]);
	if (pid < 0)
		return;
	int error = hear(report[0]);
	await(pid, signals, end);
	if (error != 0)
		fail(end, error);
}

struct child_end child_run(const struct child *child)
{
	struct sigaction ordinary = {.sa_handler = SIG_DFL}, chld_before, one;
	struct child_end end = {0};
	sigset_t signals, before;
	int report[2];

	if (pipe2(report, O_CLOEXEC) != 0) {
		fail(&end, errno);
		return end;
	}
	(void)sigemptyset(&signals);
	(void)sigaddset(&signals, SIGCHLD);
	for (const int *number = ending_signals; *number != 0; number++)
		if (sigaction(*number, NULL, &one) == 0 && one.sa_handler != SIG_IGN)
			(void)sigaddset(&signals, *number);
	(void)sigaction(SIGCHLD, &ordinary, &chld_before);
	(void)sigprocmask(SIG_BLOCK, &signals, &before);
	start(child, &signals, &before, report, &end);
	(void)close(report[0]);
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	(void)sigaction(SIGCHLD, &chld_before, NULL);
	return end;
}
