/* SPDX-License-Identifier: ISC */
#include "scan_git.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "args.h"

#define ID_SIZE   64 /* hexadecimal digits of SHA-256; SHA-1 has 40 */
#define LINE_SIZE 256
#define WHY_SIZE  200
#define ARGUMENTS 24

/*
 * A repository may belong to somebody else, who wrote its configuration. rev-list and cat-file run
 * no hooks and no filters; what could still run a command is a fetch of missing objects, and no
 * protocol is allowed for that, by a variable that no configuration overrides.
 */
static char *const environment[] = {"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/nonexistent",
	"LC_ALL=C", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_TERMINAL_PROMPT=0",
	"GIT_OPTIONAL_LOCKS=0", "GIT_NO_REPLACE_OBJECTS=1", "GIT_NO_LAZY_FETCH=1",
	"GIT_ALLOW_PROTOCOL=none", NULL};

static const char *const listing[] = {"rev-list", "--objects", "--in-commit-order", "--date-order",
	"--reverse", "--all", "--reflog", NULL};
static const char *const reading[] = {"cat-file", "--batch", NULL};

struct child {
	pid_t pid;
	int in, out, errors; /* what it reads, what it writes, and what it complains of */
};

struct history {
	struct scan_reader *reader;
	const char *directory;
	struct child list, read;
	FILE *objects;
	char commit[ID_SIZE + 1];
};

static void close_all(struct child *child)
{
	if (child->in >= 0)
		(void)close(child->in);
	if (child->out >= 0)
		(void)close(child->out);
	child->in = child->out = -1;
}

static bool spawn(
	struct child *child, const int ends[3], const char *directory, const char *const *words)
{
	static const char *const first[] = {"git", "-c", "safe.directory=*", "-c",
		"core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-C"};
	const char *arguments[ARGUMENTS];
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t pipe_signal;
	size_t count = 0;
	int error;

	for (size_t i = 0; i < sizeof first / sizeof first[0]; i++)
		arguments[count++] = first[i];
	arguments[count++] = directory;
	while (*words != NULL)
		arguments[count++] = *words++;
	arguments[count] = NULL;
	(void)sigemptyset(&pipe_signal);
	(void)sigaddset(&pipe_signal, SIGPIPE);
	(void)posix_spawn_file_actions_init(&actions);
	(void)posix_spawnattr_init(&attributes);
	(void)posix_spawnattr_setsigdefault(&attributes, &pipe_signal);
	error = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
	for (int i = 0; i < 3 && error == 0; i++)
		error = posix_spawn_file_actions_adddup2(&actions, ends[i], i);
	if (error == 0)
		error = posix_spawnp(&child->pid, "git", &actions, &attributes,
			(char *const *)(uintptr_t)arguments, environment);
	(void)posix_spawn_file_actions_destroy(&actions);
	(void)posix_spawnattr_destroy(&attributes);
	errno = error;
	return error == 0;
}

/*
 * All descriptors are closed at exec but the three that it is given. Its output is a socket, so
 * that a header can be looked at before it is taken.
 */
static bool start(struct child *child, const char *directory, const char *const *words)
{
	int in[2] = {-1, -1}, out[2] = {-1, -1};
	bool is_started = false;

	*child = (struct child){-1, -1, -1, memfd_create("git", MFD_CLOEXEC)};
	if (child->errors >= 0 && pipe2(in, O_CLOEXEC) == 0 &&
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, out) == 0)
		is_started = spawn(child, (int[]){in[0], out[1], child->errors}, directory, words);
	child->in = in[1];
	child->out = out[0];
	if (in[0] >= 0)
		(void)close(in[0]);
	if (out[1] >= 0)
		(void)close(out[1]);
	return is_started;
}

/* Its exit status, or -1, and the first line of what it said. */
static int finish(struct child *child, char why[WHY_SIZE])
{
	int status = -1;
	ssize_t got = 0;

	close_all(child);
	if (child->pid > 0)
		while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR)
			;
	if (child->errors >= 0) {
		got = pread(child->errors, why, WHY_SIZE - 1, 0);
		(void)close(child->errors);
	}
	why[got > 0 ? got : 0] = '\0';
	why[strcspn(why, "\n")] = '\0';
	return child->pid > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* "ID TYPE SIZE\n" of cat-file; what follows goes to the reader only. */
static bool read_header(int fd, char *type, uint64_t *out_size)
{
	char line[LINE_SIZE] = "", digits[24];
	const char *newline = NULL;
	size_t size = 0;

	while (newline == NULL && size < sizeof line - 1) {
		ssize_t seen = recv(fd, line + size, sizeof line - 1 - size, MSG_PEEK);
		size_t wanted;

		if (seen < 0 && errno == EINTR)
			continue;
		if (seen <= 0)
			return false;
		newline = memchr(line + size, '\n', (size_t)seen);
		wanted = newline != NULL ? (size_t)(newline - line) + 1 - size : (size_t)seen;
		if (read(fd, line + size, wanted) != (ssize_t)wanted)
			return false;
		size += wanted;
	}
	/* What was seen behind the newline is content. */
	explicit_bzero(line + size, sizeof line - size);
	return sscanf(line, "%*64[0-9a-f] %15[a-z] %20[0-9]", type, digits) == 2 &&
	       args_number(digits, out_size);
}

static bool read_content(struct history *history, uint64_t size)
{
	while (size > 0) {
		size_t room;
		uint8_t *bytes = scan_reader_room(history->reader, &room);
		ssize_t got = read(history->read.out, bytes, room < size ? room : (size_t)size);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		scan_reader_take(history->reader, (size_t)got);
		size -= (uint64_t)got;
	}
	return true;
}

static bool write_id(int fd, const char *id)
{
	char line[ID_SIZE + 2];
	int size = snprintf(line, sizeof line, "%.*s\n", ID_SIZE, id);
	ssize_t written;

	do
		written = write(fd, line, (size_t)size);
	while (written < 0 && errno == EINTR);
	return written == size;
}

/* What is compressed in an object and damaged is searched as it is: no fault of the history. */
static bool search_object(struct history *history, const char *id, const char *path)
{
	struct scan_report *report = history->reader->report;
	const struct scan_place place = {
		.file = path, .git = history->directory, .commit = history->commit};
	char type[16] = "", newline;
	uint64_t size;

	if (!write_id(history->read.in, id) || !read_header(history->read.out, type, &size))
		return false;
	scan_reader_begin(history->reader, &place);
	if (!read_content(history, size))
		return false;
	(void)scan_reader_end(history->reader);
	progress_show(&report->progress, "%s: searched %llu objects: found %llu",
		history->directory, (unsigned long long)report->texts,
		(unsigned long long)report->found);
	return read(history->read.out, &newline, 1) == 1;
}

/* A line is a commit's id, or an id, a blank and a path, which a root has not. */
static bool search_all(struct history *history)
{
	char *line = NULL;
	size_t room = 0;
	bool is_whole = true;

	while (is_whole && getline(&line, &room, history->objects) > 0) {
		char *blank;

		line[strcspn(line, "\n")] = '\0';
		blank = strchr(line, ' ');
		if (blank != NULL)
			*blank = '\0';
		else
			(void)snprintf(
				history->commit, sizeof history->commit, "%.*s", ID_SIZE, line);
		is_whole = search_object(history, line, blank != NULL ? blank + 1 : "");
	}
	free(line);
	return is_whole && !ferror(history->objects);
}

static void end(struct history *history, bool is_whole, int error)
{
	char list_why[WHY_SIZE], read_why[WHY_SIZE];
	int list_ending = finish(&history->list, list_why);
	int read_ending = finish(&history->read, read_why);
	const char *why = "git did not read all objects";

	if (is_whole && list_ending == 0 && read_ending == 0)
		return;
	if (error != 0)
		why = error == ENOENT ? "there is no git in PATH" : strerror(error);
	else if (list_ending != 0 && list_why[0] != '\0')
		why = list_why;
	else if (read_why[0] != '\0')
		why = read_why;
	scan_report_unreadable(history->reader->report, history->directory, why);
}

/* A cat-file that ended is told by write(2), not by a signal. */
static void run(struct history *history)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN}, before;
	bool is_whole = false;
	int error = 0;

	(void)sigaction(SIGPIPE, &ignore, &before);
	if (start(&history->list, history->directory, listing) &&
		start(&history->read, history->directory, reading)) {
		history->objects = fdopen(history->list.out, "r");
		is_whole = history->objects != NULL && search_all(history);
	} else {
		error = errno;
	}
	if (history->objects != NULL) {
		(void)fclose(history->objects);
		history->list.out = -1;
	}
	end(history, is_whole, error);
	(void)sigaction(SIGPIPE, &before, NULL);
}

void scan_git(struct scan_reader *reader, const char *directory)
{
	struct history history = {.reader = reader,
		.directory = directory,
		.list = {-1, -1, -1, -1},
		.read = {-1, -1, -1, -1}};

	run(&history);
}
