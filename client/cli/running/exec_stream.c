/* SPDX-License-Identifier: ISC */
#include "exec_stream.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "child_terminal.h"
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

/* Programs with curses set on their errors how their input is to be, where output is no terminal.
 */
static void follow_modes(struct exec_stream *stream)
{
	struct termios modes, behind;

	if (!stream->is_terminal || stream->target != STDERR_FILENO || stream->from < 0 ||
		tcgetattr(stream->from, &modes) != 0 ||
		child_terminal_has_same(&modes, &stream->modes) ||
		tcgetattr(stream->target, &behind) != 0)
		return;
	stream->modes = modes;
	modes.c_oflag = (modes.c_oflag & ~(tcflag_t)OPOST) | (behind.c_oflag & OPOST);
	child_terminal_set(stream->target, &modes);
}

void exec_streams_follow_modes(struct exec_streams *streams)
{
	follow_modes(&streams->list[1]);
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
	return stream->given >= 0 && child_terminal_copy(stream->target, stream->given) &&
	       tcgetattr(stream->given, &stream->modes) == 0 &&
	       fcntl(stream->from, F_SETFL, O_RDWR | O_NONBLOCK) == 0; /* for keys */
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

bool exec_streams_want_session(const struct exec_streams *streams)
{
	return streams->list[0].is_terminal;
}

static bool is_same(int one, int other)
{
	return child_terminal_is_same(one, other) || is_same_file(one, other);
}

enum mortise_status exec_streams_open(const struct mask *mask, struct exec_streams *out_streams)
{
	static const struct exec_stream none = {.from = -1, .given = -1, .target = -1};
	struct exec_streams streams = {{none, none}};
	struct exec_stream *output = &streams.list[0];
	bool is_made = true;
	int error;

	if (is_open(STDOUT_FILENO))
		is_made = open_stream(mask, STDOUT_FILENO, output);
	output->has_input = is_made && output->is_terminal && is_open(STDIN_FILENO) &&
			    child_terminal_is_same(STDIN_FILENO, STDOUT_FILENO);
	if (is_made && is_open(STDERR_FILENO)) {
		output->has_both = output->target >= 0 && is_same(STDOUT_FILENO, STDERR_FILENO);
		if (!output->has_both)
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
		if (stream->has_input && dup2(stream->given, STDIN_FILENO) < 0)
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

static bool adds_returns(int terminal)
{
	struct termios modes;

	return tcgetattr(terminal, &modes) == 0 &&
	       (modes.c_oflag & (OPOST | ONLCR)) == (OPOST | ONLCR);
}

/*
 * Without the CR that CMD's terminal has put before each newline, since the one behind it does so,
 * too. A CR at the end waits for what follows.
 */
static enum mortise_status write_without_returns(
	struct exec_stream *stream, const char *bytes, size_t size)
{
	const char *end = bytes + size, *from = bytes;

	if (stream->has_return && size > 0 && bytes[0] != '\n')
		TRY(output_write(stream->target, "\r", 1));
	stream->has_return = stream->has_return && size == 0;
	for (const char *at = bytes; at < end && (at = memchr(at, '\r', (size_t)(end - at)));
		at++) {
		stream->has_return = at + 1 == end;
		if (at + 1 < end && at[1] != '\n')
			continue;
		TRY(output_write(stream->target, from, (size_t)(at - from)));
		from = at + 1;
	}
	return from < end ? output_write(stream->target, from, (size_t)(end - from)) : MORTISE_OK;
}

static enum mortise_status write_on(void *context, const void *bytes, size_t size)
{
	struct exec_stream *stream = context;
	enum mortise_status status;

	if (stream->is_terminal && adds_returns(stream->target) &&
		(stream->has_return || adds_returns(stream->from)))
		status = write_without_returns(stream, bytes, size);
	else
		status = output_write(stream->target, bytes, size);
	if (status != MORTISE_OK)
		stream->error = errno;
	return status;
}

/* It was not a newline's after all. */
static void write_return(struct exec_stream *stream)
{
	if (stream->has_return && output_write(stream->target, "\r", 1) != MORTISE_OK)
		stream->error = errno;
	stream->has_return = false;
}

/*
 * As if CMD wrote by itself: its reader sees the end when it does, and CMD notices that nobody
 * reads any more. Standard error alone stays open, for what mortise may have to say at the end;
 * so does a terminal, which is the shell's.
 */
void exec_stream_end(struct exec_stream *stream)
{
	shut(&stream->from);
	if (stream->is_terminal)
		return;
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
	enum mortise_status status =
		mask_pass(stream->mask, is_end ? 0 : (size_t)got, is_end, write_on, stream);
	if (is_end)
		write_return(stream);
	if (status != MORTISE_OK || is_end)
		exec_stream_end(stream);
}

void exec_stream_show(struct exec_stream *stream)
{
	stream->is_waiting = false;
	follow_modes(stream);
	write_return(stream);
	if (mask_show_held(stream->mask, SHOWN_MAX, write_on, stream) != MORTISE_OK)
		exec_stream_end(stream);
}

bool exec_streams_resize(const struct exec_streams *streams)
{
	bool is_changed = false;

	for (int i = 0; i < EXEC_STREAM_COUNT; i++)
		if (streams->list[i].is_terminal && streams->list[i].from >= 0)
			is_changed |= child_terminal_copy_size(
				streams->list[i].target, streams->list[i].from);
	return is_changed;
}

uint64_t exec_streams_replaced(const struct exec_streams *streams, int which)
{
	const struct exec_stream *stream = &streams->list[which];

	return stream->is_terminal || !stream->mask ? 0 : mask_replaced(stream->mask);
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
