/* SPDX-License-Identifier: ISC */
#include "child_session.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

/* What mortise asks for. */
enum wish { SIGNAL, TO_FRONT, TO_BACK, GO_ON, HANG_UP };

struct message {
	int what, number, value;
	bool is_to_group, has_value;
};

struct leader {
	int link, terminal;
	pid_t command;
	bool is_hung_up;
};

static void say(int link, int what, int number)
{
	const struct message message = {.what = what, .number = number};

	(void)send(link, &message, sizeof message, MSG_NOSIGNAL);
}

/* Whoever the command leaves behind in front gets no SIGHUP, as with a shell that goes on. */
static _Noreturn void end(const struct leader *leader, int status)
{
	if (!leader->is_hung_up)
		(void)tcsetpgrp(leader->terminal, getpgrp());
	say(leader->link, CHILD_SESSION_ENDED, status);
	_exit(0);
}

static void reap(const struct leader *leader)
{
	int status;

	while (waitpid(leader->command, &status, WNOHANG | WUNTRACED | WCONTINUED) ==
		leader->command) {
		if (WIFSTOPPED(status))
			say(leader->link, CHILD_SESSION_STOPPED, WSTOPSIG(status));
		else if (WIFCONTINUED(status)) {
			say(leader->link, CHILD_SESSION_WENT_ON, 0);
			(void)kill(getppid(), SIGCONT); /* mortise may have stopped with it */
		} else
			end(leader, status);
	}
}

static void send_on(const struct leader *leader, const struct message *message)
{
	const union sigval value = {.sival_int = message->value};

	if (message->is_to_group)
		(void)kill(-leader->command, message->number);
	else if (message->has_value)
		(void)sigqueue(leader->command, message->number, value);
	else
		(void)kill(leader->command, message->number);
}

static void listen_to(struct leader *leader)
{
	struct message message;
	ssize_t size = recv(leader->link, &message, sizeof message, MSG_DONTWAIT);

	if (size < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (size != sizeof message) {
		(void)kill(leader->command, SIGKILL); /* mortise was killed: without it, CMD were */
		_exit(0);
	}
	switch ((enum wish)message.what) {
	case SIGNAL:
		send_on(leader, &message);
		break;
	case TO_FRONT:
		(void)tcsetpgrp(leader->terminal, leader->command);
		break;
	case TO_BACK:
		(void)tcsetpgrp(leader->terminal, getpgrp());
		break;
	case GO_ON:
		(void)kill(-leader->command, SIGCONT);
		break;
	case HANG_UP:
		leader->is_hung_up = true;
		break;
	}
}

static void note(int number)
{
	(void)number;
}

static _Noreturn void lead(struct leader *leader)
{
	struct pollfd ready = {.fd = leader->link, .events = POLLIN};
	struct sigaction wake = {.sa_handler = note};
	sigset_t waiting;

	(void)sigaction(SIGCHLD, &wake, NULL);
	(void)sigfillset(&waiting);
	(void)sigdelset(&waiting, SIGCHLD);
	for (;;) {
		reap(leader);
		if (ppoll(&ready, 1, NULL, &waiting) > 0)
			listen_to(leader);
	}
}

/* Where the terminal cannot be had, the command runs all the same. */
static pid_t start_command(const struct child_session_start *start)
{
	pid_t command;
	char word;
	int go[2];

	(void)setsid();
	(void)ioctl(start->terminal, TIOCSCTTY, 0);
	if (pipe2(go, O_CLOEXEC) != 0)
		return -1;
	command = fork();
	if (command == 0) {
		(void)setpgid(0, 0);
		(void)close(go[1]);
		while (read(go[0], &word, 1) < 0 && errno == EINTR)
			;
		start->become(start->context);
		_exit(1);
	}
	if (command > 0)
		(void)setpgid(command, command);
	if (command > 0 && start->is_front)
		(void)tcsetpgrp(start->terminal, command);
	(void)close(go[0]);
	(void)close(go[1]);
	return command;
}

/* Two descriptors stay, at the lowest places. */
static void keep(struct leader *leader)
{
	enum { LINK, TERMINAL, COUNT };
	int link = fcntl(leader->link, F_DUPFD, COUNT);
	int terminal = fcntl(leader->terminal, F_DUPFD, COUNT);

	leader->link = dup2(link, LINK);
	leader->terminal = dup2(terminal, TERMINAL);
	(void)close_range(COUNT, ~0U, 0);
}

int child_session_start(const struct child_session_start *start, struct child_session *out_session)
{
	struct child_session session = {.is_front = start->is_front};
	struct message first;
	int pair[2], error;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return errno;
	session.leader = fork();
	if (session.leader == 0) {
		struct leader leader = {.link = pair[1], .terminal = start->terminal};

		(void)close(pair[0]);
		leader.command = start_command(start);
		error = errno;
		keep(&leader);
		start->forget(start->context);
		say(leader.link, leader.command > 0 ? 0 : error, leader.command);
		if (leader.command < 0)
			_exit(0);
		lead(&leader);
	}
	error = errno;
	(void)close(pair[1]);
	if (session.leader > 0 && recv(pair[0], &first, sizeof first, 0) != sizeof first)
		first = (struct message){.what = ECHILD};
	if (session.leader > 0)
		error = first.what;
	if (session.leader < 0 || error != 0) {
		(void)close(pair[0]);
		return error;
	}
	session.group = first.number;
	session.link = pair[0];
	*out_session = session;
	return 0;
}

void child_session_end(struct child_session *session)
{
	(void)close(session->link);
	session->link = -1;
	while (waitpid(session->leader, NULL, 0) < 0 && errno == EINTR)
		;
}

enum child_session_word child_session_hear(struct child_session *session, int *out_number)
{
	struct message message;
	ssize_t size = recv(session->link, &message, sizeof message, MSG_DONTWAIT);

	if (size < 0 && (errno == EAGAIN || errno == EINTR))
		return CHILD_SESSION_NOTHING;
	if (size != sizeof message)
		return CHILD_SESSION_LOST;
	*out_number = message.number;
	return (enum child_session_word)message.what;
}

static void ask(const struct child_session *session, const struct message *message)
{
	(void)send(session->link, message, sizeof *message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void wish(const struct child_session *session, enum wish what)
{
	const struct message message = {.what = (int)what};

	ask(session, &message);
}

void child_session_signal(
	const struct child_session *session, int number, const siginfo_t *info, bool is_to_group)
{
	struct message message = {.what = SIGNAL, .number = number, .is_to_group = is_to_group};

	message.has_value = info && info->si_code == SI_QUEUE;
	if (message.has_value)
		message.value = info->si_value.sival_int;
	ask(session, &message);
}

bool child_session_has_keys(const struct child_session *session, int inner)
{
	pid_t group = -1;

	return ioctl(inner, TIOCGPGRP, &group) == 0 && group == session->group;
}

void child_session_place(struct child_session *session, bool is_front)
{
	session->is_front = is_front;
	wish(session, is_front ? TO_FRONT : TO_BACK);
}

void child_session_continue(struct child_session *session, bool is_front)
{
	child_session_place(session, is_front);
	wish(session, GO_ON);
}

void child_session_hang_up(const struct child_session *session)
{
	wish(session, HANG_UP);
}
