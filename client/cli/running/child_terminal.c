/* SPDX-License-Identifier: ISC */
#include "child_terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "client.h"

bool child_terminal_is_same(int one, int other)
{
	unsigned int left, right;

	return ioctl(one, TIOCGDEV, &left) == 0 && ioctl(other, TIOCGDEV, &right) == 0 &&
	       left == right;
}

/* A description of its own, that does not block, since others read there, too. */
void child_terminal_open(int target, struct child_terminal *out_terminal)
{
	const int flags = O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC;
	char name[PATH_MAX];
	int fd = open("/dev/tty", flags);

	if (fd >= 0 && !child_terminal_is_same(fd, target)) {
		(void)close(fd);
		fd = -1;
	}
	if (fd < 0 && ttyname_r(target, name, sizeof name) == 0)
		fd = open(name, flags);
	if (fd < 0)
		fd = fcntl(target, F_DUPFD_CLOEXEC, 0);
	*out_terminal = (struct child_terminal){.fd = fd};
}

void child_terminal_close(struct child_terminal *terminal)
{
	if (terminal->fd >= 0)
		(void)close(terminal->fd);
	mortise_wipe(terminal->keys, sizeof terminal->keys);
	terminal->fd = -1;
}

bool child_terminal_is_front(const struct child_terminal *terminal)
{
	pid_t group = tcgetpgrp(terminal->fd);

	return group < 0 ? errno == ENOTTY : group == getpgrp();
}

bool child_terminal_is_raw(const struct child_terminal *terminal)
{
	struct termios modes;

	return tcgetattr(terminal->fd, &modes) == 0 && (modes.c_lflag & ICANON) == 0;
}

/* What a terminal is like that nobody has set. */
static void calm(struct termios *modes)
{
	modes->c_iflag |= ICRNL | IXON;
	modes->c_oflag |= OPOST | ONLCR;
	modes->c_lflag |= ISIG | ICANON | ECHO | ECHOE | ECHOK | IEXTEN;
}

bool child_terminal_copy(int target, int inner)
{
	struct termios modes;

	if (tcgetattr(target, &modes) != 0)
		return false;
	if ((modes.c_lflag & ICANON) == 0)
		calm(&modes);
	if (tcsetattr(inner, TCSANOW, &modes) != 0)
		return false;
	(void)child_terminal_copy_size(target, inner);
	return true;
}

bool child_terminal_copy_size(int target, int inner)
{
	struct winsize window, before;

	return ioctl(target, TIOCGWINSZ, &window) == 0 && ioctl(inner, TIOCGWINSZ, &before) == 0 &&
	       memcmp(&window, &before, sizeof window) != 0 &&
	       ioctl(inner, TIOCSWINSZ, &window) == 0;
}

bool child_terminal_has_same(const struct termios *one, const struct termios *other)
{
	return one->c_iflag == other->c_iflag && one->c_oflag == other->c_oflag &&
	       one->c_cflag == other->c_cflag && one->c_lflag == other->c_lflag &&
	       memcmp(one->c_cc, other->c_cc, sizeof one->c_cc) == 0;
}

void child_terminal_set(int fd, const struct termios *modes)
{
	sigset_t stop, before;

	(void)sigemptyset(&stop);
	(void)sigaddset(&stop, SIGTTOU);
	(void)sigprocmask(SIG_BLOCK, &stop, &before);
	(void)tcsetattr(fd, TCSANOW, modes);
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
}

void child_terminal_take(struct child_terminal *terminal, int inner)
{
	if (terminal->is_taken || tcgetattr(terminal->fd, &terminal->before) != 0 ||
		tcgetattr(inner, &terminal->given) != 0)
		return;
	terminal->left = terminal->given;
	terminal->raw = terminal->before;
	cfmakeraw(&terminal->raw);
	terminal->raw.c_cc[VMIN] = 1;
	terminal->raw.c_cc[VTIME] = 0;
	child_terminal_set(terminal->fd, &terminal->raw);
	(void)tcgetattr(terminal->fd, &terminal->raw);
	terminal->is_taken = true;
}

void child_terminal_note(struct child_terminal *terminal, int inner)
{
	struct termios now;

	if (tcgetattr(inner, &now) == 0)
		terminal->left = now;
}

/* Where somebody else has set it meanwhile, it stays as it is. */
void child_terminal_give_back(struct child_terminal *terminal)
{
	struct termios now;

	if (!terminal->is_taken)
		return;
	terminal->is_taken = false;
	terminal->count = 0;
	if (tcgetattr(terminal->fd, &now) != 0 || !child_terminal_has_same(&now, &terminal->raw))
		return;
	if (child_terminal_has_same(&terminal->left, &terminal->given))
		child_terminal_set(terminal->fd, &terminal->before);
	else
		child_terminal_set(terminal->fd, &terminal->left);
}

/* A key that ends an input is read as nothing where somebody has made lines of keys again. */
bool child_terminal_read(struct child_terminal *terminal)
{
	struct termios modes;
	ssize_t got = read(terminal->fd, terminal->keys, sizeof terminal->keys);

	if (got > 0)
		terminal->count = (size_t)got;
	if (got < 0)
		return errno == EAGAIN || errno == EINTR;
	return got > 0 || (tcgetattr(terminal->fd, &modes) == 0 && (modes.c_lflag & ICANON) != 0);
}

/* 0: the key means no signal. */
static int signal_of(struct child_terminal *terminal, const struct termios *modes, uint8_t key)
{
	bool was_literal = terminal->is_literal;
	bool has_literals = (modes->c_lflag & (ICANON | IEXTEN)) == (ICANON | IEXTEN);

	terminal->is_literal = false;
	if (was_literal || key == _POSIX_VDISABLE)
		return 0;
	if ((modes->c_lflag & ISIG) != 0) {
		if (key == modes->c_cc[VINTR])
			return SIGINT;
		if (key == modes->c_cc[VQUIT])
			return SIGQUIT;
		if (key == modes->c_cc[VSUSP])
			return SIGTSTP;
	}
	terminal->is_literal = has_literals && key == modes->c_cc[VLNEXT];
	return 0;
}

int child_terminal_pass(struct child_terminal *terminal, int inner)
{
	struct termios modes = {0};
	size_t size = 0;
	int number = 0;

	(void)tcgetattr(inner, &modes);
	while (size < terminal->count && number == 0)
		number = signal_of(terminal, &modes, terminal->keys[size++]);
	ssize_t passed = write(inner, terminal->keys, size);
	if (passed <= 0)
		return 0;
	if ((size_t)passed < size)
		number = 0;
	terminal->count -= (size_t)passed;
	memmove(terminal->keys, terminal->keys + passed, terminal->count);
	mortise_wipe(terminal->keys + terminal->count, (size_t)passed);
	return number;
}
