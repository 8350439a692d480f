/* SPDX-License-Identifier: ISC */
/*
 * signal_probe LOG handle|default|go-on [child]
 * Writes to LOG which signals it gets, a line each: "P 15" itself, "C 15" a child in its group.
 * handle: it has a handler for all that one can have one for; go-on: for SIGCONT alone. With the
 * last real-time signal it ends, with 7. The first line is how signals were set when it started.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static int log_fd;
static char own = 'P';

static void note(int number)
{
	int error = errno;
	char line[16];
	int size = snprintf(line, sizeof line, "%c %d\n", own, number);

	if (write(log_fd, line, (size_t)size) != size)
		_exit(1);
	if (number == SIGRTMAX && own == 'P')
		_exit(7);
	errno = error;
}

/* "0-31" of each word: what the C library keeps for itself is no affair of ours. */
static void describe(const char *word)
{
	char path[] = "/proc/self/status", line[256];
	FILE *status = fopen(path, "re");

	while (status != NULL && fgets(line, sizeof line, status) != NULL)
		if (strncmp(line, word, strlen(word)) == 0 && write(log_fd, line, strlen(line)) < 0)
			_exit(1);
	if (status != NULL)
		(void)fclose(status);
}

static int is_left_alone(int number)
{
	return number == SIGKILL || number == SIGSTOP || number == SIGSEGV || number == SIGBUS ||
	       number == SIGFPE || number == SIGILL || number == SIGTRAP || number == SIGSYS ||
	       number == SIGTTIN || number == SIGTTOU;
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = note, .sa_flags = SA_RESTART};
	sigset_t all, before;
	pid_t parent = getpid();

	if (argc < 3 ||
		(log_fd = open(argv[1], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666)) < 0)
		return 64;
	(void)sigfillset(&all);
	(void)sigfillset(&action.sa_mask);
	(void)sigprocmask(SIG_SETMASK, &all, &before);
	describe("SigIgn");
	for (int number = 1; number <= SIGRTMAX && strcmp(argv[2], "default") != 0; number++)
		if (!is_left_alone(number) && (number == SIGCONT || argv[2][0] == 'h'))
			(void)sigaction(number, &action, NULL);
	if (argc > 3 && fork() == 0) {
		own = 'C';
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(0);
	}
	if (write(log_fd, own == 'P' ? "P ready\n" : "C ready\n", 8) != 8)
		return 1;
	(void)sigprocmask(SIG_SETMASK, argv[2][0] == 'h' ? &(sigset_t){0} : &before, NULL);
	for (;;)
		(void)pause();
}
