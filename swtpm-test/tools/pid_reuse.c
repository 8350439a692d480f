/* SPDX-License-Identifier: ISC */
/*
 * pid_reuse SOCKET ROUNDS HEIR_UID: in each round a process connects and ends, another one gets its
 * pid (ns_last_pid, so in a pid namespace and as root) and speaks on its connection. Prints how
 * many heirs there were and how many were answered; to be told that one is denied, as somebody
 * unknown is, is no answer. All share one table of descriptors.
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define DENIED         2
#define GREET          256
#define CHALLENGE_SIZE 16

static const uint8_t status_frame[12] = {1, 0, 2, 0, 1};
static const char *path;
static unsigned long heir_uid;
static int connection;

static pid_t fork_sharing(void)
{
	return (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
}

static void set_last_pid(int control, pid_t pid)
{
	char text[16];
	int size = snprintf(text, sizeof text, "%d", (int)pid);

	if (pwrite(control, text, (size_t)size, 0) != size)
		_exit(99);
}

static int code_of(const uint8_t frame[12])
{
	return frame[2] | frame[3] << 8;
}

/* Asked as a good client asks, so that the connector is known before it ends in odd rounds. */
static int ask(void)
{
	uint8_t frame[65536], hello[12 + 6 + CHALLENGE_SIZE] = {1, 0, 1, 0, 2, 0, 0, 0, 22};
	ssize_t size;

	if (send(connection, status_frame, sizeof status_frame, MSG_NOSIGNAL) < 0)
		return 0;
	size = recv(connection, frame, sizeof frame, 0);
	if (size < 12)
		return 0;
	if (code_of(frame) != GREET)
		return code_of(frame) != DENIED;
	memcpy(hello + 12, frame + 12, 6 + CHALLENGE_SIZE);
	if (send(connection, hello, sizeof hello, MSG_NOSIGNAL) < 0)
		return 0;
	return recv(connection, frame, sizeof frame, 0) >= 12 && code_of(frame) != DENIED;
}

static _Noreturn void be_connector(unsigned long round)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	(void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
	if (connect(connection, (const struct sockaddr *)&address, sizeof address) != 0)
		_exit(98);
	if (round % 2 && !ask())
		_exit(97);
	_exit(0);
}

static _Noreturn void be_heir(void)
{
	if (setresgid((gid_t)heir_uid, (gid_t)heir_uid, (gid_t)heir_uid) != 0 ||
		setresuid((uid_t)heir_uid, (uid_t)heir_uid, (uid_t)heir_uid) != 0)
		_exit(96);
	_exit(ask());
}

static int wait_for(pid_t child)
{
	int status = 0;

	if (waitpid(child, &status, 0) != child || !WIFEXITED(status))
		_exit(95);
	return WEXITSTATUS(status);
}

int main(int argc, char **argv)
{
	int control = open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC);
	unsigned long rounds = argc == 4 ? strtoul(argv[2], NULL, 10) : 0, heirs = 0, answered = 0;

	if (control < 0 || rounds == 0)
		return 64;
	path = argv[1];
	heir_uid = strtoul(argv[3], NULL, 10);
	for (unsigned long round = 0; round < rounds; round++) {
		connection = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
		pid_t connector = fork_sharing();
		if (connector == 0)
			be_connector(round);
		int failed = wait_for(connector);
		if (failed)
			return failed;
		set_last_pid(control, connector - 1);
		pid_t heir = fork_sharing();
		if (heir == 0)
			be_heir();
		int result = wait_for(heir);
		if (result > 1)
			return result;
		heirs += heir == connector;
		answered += heir == connector && result == 1;
		close(connection);
	}
	printf("%lu heirs, %lu answered\n", heirs, answered);
	return 0;
}
