/* SPDX-License-Identifier: ISC */
/*
 * A child that a module forks would hold the keeper's socket open, and the keeper would wait for
 * an answer long after the sealer is dead. So a child has no socket and dies with its parent; a
 * program it starts gets no socket either. A module that goes around libc's fork() could still
 * have it: the modules are root's choice, and this is against clumsy ones.
 */
#include "pkcs11_surroundings.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "processes.h"

#define BLANKS        " \t"
#define WORD_MAX_SIZE 1024

static pid_t sealer;

static void in_a_child(void)
{
	close(PROCESS_FD);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != sealer)
		_exit(EXIT_FAILURE);
}

static bool silence(void)
{
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	bool is_done;

	if (null_fd < 0)
		return false;
	is_done = dup2(null_fd, STDIN_FILENO) >= 0 && dup2(null_fd, STDOUT_FILENO) >= 0 &&
		  dup2(null_fd, STDERR_FILENO) >= 0;
	close(null_fd);
	return is_done;
}

static bool set_word(const char *word, size_t size)
{
	char pair[WORD_MAX_SIZE], *value;

	if (size >= sizeof pair) {
		errno = E2BIG;
		return false;
	}
	memcpy(pair, word, size);
	pair[size] = '\0';
	value = strchr(pair, '=');
	if (value == NULL) {
		errno = EINVAL;
		return false;
	}
	*value++ = '\0';
	return setenv(pair, value, 1) == 0;
}

static bool set_environment(const char *words)
{
	if (clearenv() != 0)
		return false;
	while (words != NULL && *(words += strspn(words, BLANKS)) != '\0') {
		size_t size = strcspn(words, BLANKS);

		if (!set_word(words, size))
			return false;
		words += size;
	}
	return true;
}

bool pkcs11_surround(const struct token_options *options)
{
	if (sealer != 0)
		return true;
	sealer = getpid();
	/* Notes are about TPMs. */
	if (options->notes_fd >= 0)
		close(options->notes_fd);
	return silence() && set_environment(options->pkcs11_env) &&
	       fcntl(PROCESS_FD, F_SETFD, FD_CLOEXEC) == 0 &&
	       pthread_atfork(NULL, NULL, in_a_child) == 0;
}
