/* SPDX-License-Identifier: ISC */
#include "exec_stream.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "output.h"

/*
 * What a person at a terminal sees at once though it may become a value: what one types is echoed
 * by many programs byte for byte. So much of a value may be seen if CMD stops in its middle.
 */
#define SHOWN_MAX 3

/* What is closed when CMD starts counts as closed: main keeps such places. */
static bool is_open(int fd)
{
	int flags = fcntl(fd, F_GETFD);

	return flags >= 0 && (flags & FD_CLOEXEC) == 0;
}

static bool is_same_file(int one, int other)
{
	struct stat left, right;

	return fstat(one, &left) == 0 && fstat(other, &right) == 0 && left.st_dev == right.st_dev &&
	       left.st_ino == right.st_ino;
}

/* A larger pipe makes for fewer turns between CMD and this; without it, it is as pipes are. */
static bool make_pipe(struct exec_stream *stream)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) != 0)
		return false;
	(void)fcntl(ends[0], F_SETPIPE_SZ, MASK_CHUNK);
	stream->from = ends[0];
	stream->given = ends[1];
	return true;
}

/* Bytes pass as they are: what newlines become is up to the terminal behind it. */
static bool copy_terminal(struct exec_stream *stream)
{
	struct winsize window;

	if (tcgetattr(stream->target, &stream->modes) != 0)
		return false;
	stream->modes.c_oflag &= ~(tcflag_t)OPOST;
	if (tcsetattr(stream->given, TCSANOW, &stream->modes) != 0 ||
		tcgetattr(stream->given, &stream->modes) != 0)
		return false;
	if (ioctl(stream->target, TIOCGWINSZ, &window) == 0)
		(void)ioctl(stream->given, TIOCSWINSZ, &window);
	return true;
}

static bool are_same(const struct termios *one, const struct termios *other)
{
	return one->c_iflag == other->c_iflag && one->c_oflag == other->c_oflag &&
	       one->c_cflag == other->c_cflag && one->c_lflag == other->c_lflag &&
	       memcmp(one->c_cc, other->c_cc, sizeof one->c_cc) == 0;
}

/* A shell may have put mortise behind itself, and then the terminal would stop it for this. */
static void set_modes(int terminal, const struct termios *modes)
{
	sigset_t stop, before;

	(void)sigemptyset(&stop);
	(void)sigaddset(&stop, SIGTTOU);
	(void)sigprocmask(SIG_BLOCK, &stop, &before);
	(void)tcsetattr(terminal, TCSANOW, modes);
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
}

/* Programs with curses set on their output how their input is to be. */
static void follow_modes(struct exec_stream *stream)
{
	struct termios modes, behind;

	if (!stream->is_terminal || stream->from < 0 || tcgetattr(stream->from, &modes) != 0 ||
		are_same(&modes, &stream->modes) || tcgetattr(stream->target, &behind) != 0)
		return;
	stream->modes = modes;
	modes.c_oflag = (modes.c_oflag & ~(tcflag_t)OPOST) | (behind.c_oflag & OPOST);
	set_modes(stream->target, &modes);
}

void exec_streams_follow_modes(struct exec_streams *streams)
{
	for (int i = 0; i < EXEC_STREAM_COUNT; i++)
		follow_modes(&streams->list[i]);
}

static bool make_terminal(struct exec_stream *stream)
{
	char name[64];

	stream->is_terminal = true;
	stream->from = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (stream->from < 0 || grantpt(stream->from) != 0 || unlockpt(stream->from) != 0 ||
		ptsname_r(stream->from, name, sizeof name) != 0)
		return false;
	stream->given = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	return stream->given >= 0 && copy_terminal(stream);
}

static bool open_stream(const struct mask *mask, int target, struct exec_stream *stream)
{
	stream->target = target;
	if (mask_open(mask, &stream->mask) != MORTISE_OK) {
		errno = ENOMEM;
		return false;
	}
	return isatty(target) ? make_terminal(stream) : make_pipe(stream);
}

struct exec_streams exec_streams_none(void)
{
	static const struct exec_stream none = {.from = -1, .given = -1, .target = -1};

	return (struct exec_streams){{none, none}};
}

enum mortise_status exec_streams_open(const struct mask *mask, struct exec_streams *out_streams)
{
	struct exec_streams streams = exec_streams_none();
	bool is_made = true;
	int error;

	if (is_open(STDOUT_FILENO))
		is_made = open_stream(mask, STDOUT_FILENO, &streams.list[0]);
	if (is_made && is_open(STDERR_FILENO)) {
		streams.list[0].has_both =
			streams.list[0].target >= 0 && is_same_file(STDOUT_FILENO, STDERR_FILENO);
		if (!streams.list[0].has_both)
			is_made = open_stream(mask, STDERR_FILENO, &streams.list[1]);
	}
	if (is_made) {
		*out_streams = streams;
		return MORTISE_OK;
	}
	error = errno;
	exec_streams_done(&streams);
	errno = error;
	return MORTISE_IO;
}

bool exec_streams_give(const struct exec_streams *streams)
{
	for (int i = 0; i < EXEC_STREAM_COUNT; i++) {
		const struct exec_stream *stream = &streams->list[i];

		if (stream->target >= 0 && dup2(stream->given, stream->target) < 0)
			return false;
		if (stream->has_both && dup2(stream->given, STDERR_FILENO) < 0)
			return false;
	}
	return true;
}

static void shut(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
}

void exec_streams_let_go(struct exec_streams *streams)
{
	for (int i = 0; i < EXEC_STREAM_COUNT; i++)
		shut(&streams->list[i].given);
}

static enum mortise_status write_on(void *context, const void *bytes, size_t size)
{
	struct exec_stream *stream = context;
	enum mortise_status status = output_write(stream->target, bytes, size);

	if (status != MORTISE_OK)
		stream->error = errno;
	return status;
}

/*
 * As if CMD wrote by itself: its reader sees the end when it does, and CMD notices that nobody
 * reads any more. Standard error alone stays open, for what mortise may have to say at the end.
 */
static void end(struct exec_stream *stream)
{
	shut(&stream->from);
	if (stream->target == STDOUT_FILENO)
		(void)close(STDOUT_FILENO);
	if (stream->has_both)
		(void)close(STDERR_FILENO);
}

void exec_stream_pump(struct exec_stream *stream)
{
	size_t room;
	uint8_t *at = mask_room(stream->mask, &room);
	ssize_t got = read(stream->from, at, room < MASK_CHUNK ? room : MASK_CHUNK);
	bool is_end;

	if (got < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	follow_modes(stream);
	is_end = got <= 0; /* a terminal that nobody has open any more says EIO */
	stream->is_waiting = stream->is_terminal && !is_end;
	if (mask_pass(stream->mask, is_end ? 0 : (size_t)got, is_end, write_on, stream) !=
			MORTISE_OK ||
		is_end)
		end(stream);
}

void exec_stream_show(struct exec_stream *stream)
{
	stream->is_waiting = false;
	follow_modes(stream);
	if (mask_show_held(stream->mask, SHOWN_MAX, write_on, stream) != MORTISE_OK)
		end(stream);
}

void exec_streams_resize(const struct exec_streams *streams)
{
	struct winsize window;

	for (int i = 0; i < EXEC_STREAM_COUNT; i++) {
		const struct exec_stream *stream = &streams->list[i];

		if (stream->is_terminal && stream->from >= 0 &&
			ioctl(stream->target, TIOCGWINSZ, &window) == 0)
			(void)ioctl(stream->from, TIOCSWINSZ, &window);
	}
}

bool exec_streams_are_open(const struct exec_streams *streams)
{
	return streams->list[0].from >= 0 || streams->list[1].from >= 0;
}

void exec_streams_done(struct exec_streams *streams)
{
	exec_streams_let_go(streams);
	for (int i = 0; i < EXEC_STREAM_COUNT; i++) {
		shut(&streams->list[i].from);
		mask_close(&streams->list[i].mask);
	}
}
