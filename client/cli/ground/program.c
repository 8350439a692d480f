/* SPDX-License-Identifier: ISC */
#include "program.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* Reads on beyond what there is room for, so that nobody waits at a pipe that is full. */
static void read_all(int fd, struct program_said *said)
{
	char rest[4096];
	size_t used = 0;
	ssize_t got;

	for (;;) {
		size_t room = sizeof said->text - 1 - used;

		got = room > 0 ? read(fd, said->text + used, room) : read(fd, rest, sizeof rest);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		used += room > 0 ? (size_t)got : 0;
	}
	said->text[used] = '\0';
}

static int spawn(const char *const *argv, enum program_stream stream, int to, pid_t *out_child)
{
	int other = stream == PROGRAM_OUTPUT ? STDERR_FILENO : STDOUT_FILENO;
	posix_spawn_file_actions_t actions;

	if (posix_spawn_file_actions_init(&actions) != 0)
		return -1;
	(void)posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	(void)posix_spawn_file_actions_addopen(&actions, other, "/dev/null", O_WRONLY, 0);
	(void)posix_spawn_file_actions_adddup2(&actions, to, (int)stream);
	int result = posix_spawnp(
		out_child, argv[0], &actions, NULL, (char *const *)(const void *)argv, environ);
	(void)posix_spawn_file_actions_destroy(&actions);
	return result == 0 ? 0 : -1;
}

int program_run(const char *const *argv, enum program_stream stream, struct program_said *out_said)
{
	int ends[2], status = 0;
	pid_t child;

	out_said->text[0] = '\0';
	if (pipe2(ends, O_CLOEXEC) != 0)
		return -1;
	int spawned = spawn(argv, stream, ends[1], &child);
	(void)close(ends[1]);
	if (spawned == 0)
		read_all(ends[0], out_said);
	(void)close(ends[0]);
	if (spawned != 0)
		return -1;
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
