/* SPDX-License-Identifier: ISC */
#include "scan_walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "args.h"
#include "array.h"

#define DEPTH_MAX     256 /* each level keeps a descriptor open */
#define NAME_MAX_SIZE 4096
#define WORD_MS       1000 /* that it waits is said on a terminal */

struct walk {
	struct scan_reader *reader;
	char name[NAME_MAX_SIZE];
	int depth;
};

static void fail(struct walk *walk, int error)
{
	scan_report_unreadable(walk->reader->report, walk->name, strerror(error));
}

static void skip_special(const struct walk *walk)
{
	walk->reader->report->special++;
}

static void read_file(struct walk *walk, int fd)
{
	const struct scan_place place = {.file = walk->name};
	const char *why;
	int error;

	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	error = scan_reader_drain(walk->reader, fd, &place, &why);
	if (error != 0)
		fail(walk, error);
	else if (why)
		scan_report_unreadable(walk->reader->report, walk->name, why);
}

/* Their files are made when they are read: endless, blocking, or with an effect. */
static bool is_made_up(int fd)
{
	struct statfs system;

	if (fstatfs(fd, &system) != 0)
		return true;
	switch (system.f_type) {
	case PROC_SUPER_MAGIC:
	case SYSFS_MAGIC:
	case CGROUP_SUPER_MAGIC:
	case CGROUP2_SUPER_MAGIC:
	case DEBUGFS_MAGIC:
	case TRACEFS_MAGIC:
	case SECURITYFS_MAGIC:
	case BPF_FS_MAGIC:
	case DEVPTS_SUPER_MAGIC:
		return true;
	default:
		return false;
	}
}

static void enter(struct walk *walk, int fd, const struct stat *above);

/* What may block or act at open(2) is not opened; O_NONBLOCK is for what took its place. */
static void visit_entry(
	struct walk *walk, int directory, const char *name, const struct stat *above)
{
	struct stat about;
	int fd;

	if (fstatat(directory, name, &about, AT_SYMLINK_NOFOLLOW) != 0) {
		fail(walk, errno);
		return;
	}
	if (S_ISLNK(about.st_mode)) {
		walk->reader->report->links++;
		return;
	}
	if (!S_ISREG(about.st_mode) && !S_ISDIR(about.st_mode)) {
		skip_special(walk);
		return;
	}
	fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW);
	if (fd < 0 || fstat(fd, &about) != 0) {
		fail(walk, errno);
	} else if (S_ISDIR(about.st_mode)) {
		enter(walk, fd, above);
		return;
	} else if (S_ISREG(about.st_mode)) {
		read_file(walk, fd);
	} else {
		skip_special(walk);
	}
	if (fd >= 0)
		(void)close(fd);
}

static void visit(struct walk *walk, int directory, const char *name, const struct stat *above)
{
	size_t size = strlen(walk->name);
	const char *slash = size > 0 && walk->name[size - 1] == '/' ? "" : "/";
	int added = snprintf(walk->name + size, sizeof walk->name - size, "%s%s", slash, name);

	if (strcmp(name, ".git") == 0)
		walk->reader->report->histories++;
	if (added < 0 || (size_t)added >= sizeof walk->name - size)
		fail(walk, ENAMETOOLONG);
	else
		visit_entry(walk, directory, name, above);
	walk->name[size] = '\0';
}

static int compare(const void *one, const void *other)
{
	return strcmp(*(char *const *)one, *(char *const *)other);
}

/* Sorted, so that two runs say the same. NULL without memory; errno is 0 or why reading failed. */
static char **names_in(DIR *directory, size_t *out_count)
{
	char **names = NULL;
	size_t count = 0;
	struct dirent *entry;

	while (errno = 0, (entry = readdir(directory)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		char **larger = array_room(names, count, sizeof *names);

		if (!larger)
			break;
		names = larger;
		names[count] = strdup(entry->d_name);
		if (!names[count])
			break;
		count++;
	}
	*out_count = count;
	if (count > 0)
		qsort(names, count, sizeof *names, compare);
	return names;
}

/* Takes fd. above is the directory that holds it, or NULL. */
static void enter(struct walk *walk, int fd, const struct stat *above)
{
	struct stat about;
	DIR *directory;
	char **names;
	size_t count;

	if (fstat(fd, &about) == 0 && (!above || about.st_dev != above->st_dev) && is_made_up(fd)) {
		skip_special(walk);
		(void)close(fd);
		return;
	}
	directory = walk->depth < DEPTH_MAX ? fdopendir(fd) : NULL;
	if (!directory) {
		scan_report_unreadable(walk->reader->report, walk->name,
			walk->depth < DEPTH_MAX ? strerror(errno)
						: "it lies too deep; scan it by itself");
		(void)close(fd);
		return;
	}
	walk->depth++;
	names = names_in(directory, &count);
	if (errno != 0)
		fail(walk, errno);
	for (size_t i = 0; i < count; i++) {
		visit(walk, dirfd(directory), names[i], &about);
		free(names[i]);
	}
	free(names);
	(void)closedir(directory);
	walk->depth--;
}

/*
 * A FIFO that nobody has opened for writing yet reads as if it were at its end: so it waits for
 * who opens it. Of a pipe without a name, as <(COMMAND) is, poll(2) knows that nobody will.
 */
static void await_writer(const struct walk *walk, int fd)
{
	struct pollfd written = {.fd = fd, .events = POLLIN};
	int ready;

	while ((ready = poll(&written, 1, WORD_MS)) == 0 || (ready < 0 && errno == EINTR))
		progress_show(&walk->reader->report->progress, "%s: waiting for who writes into it",
			walk->name);
}

/* What was named may be a pipe; a device is as special as in a tree. */
static void visit_named(struct walk *walk)
{
	struct stat about;
	int fd = open(walk->name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0 && errno == ENXIO) {
		scan_report_unreadable(walk->reader->report, walk->name,
			"it is a socket, or a device that is not there");
	} else if (fd < 0 || fstat(fd, &about) != 0) {
		fail(walk, errno);
	} else if (S_ISDIR(about.st_mode)) {
		enter(walk, fd, NULL);
		return;
	} else if (S_ISREG(about.st_mode) || S_ISFIFO(about.st_mode)) {
		if (S_ISFIFO(about.st_mode))
			await_writer(walk, fd);
		(void)fcntl(fd, F_SETFL, 0);
		read_file(walk, fd);
	} else {
		scan_report_unreadable(walk->reader->report, walk->name,
			"it is neither a file nor a directory; a device can be standard input: "
			"mortise scan - <DEVICE");
	}
	if (fd >= 0)
		(void)close(fd);
}

void scan_walk(struct scan_reader *reader, const char *name)
{
	struct walk walk = {.reader = reader};

	if (strlen(name) >= sizeof walk.name) {
		scan_report_unreadable(reader->report, name, strerror(ENAMETOOLONG));
		return;
	}
	memcpy(walk.name, name, strlen(name) + 1);
	if (strcmp(name, "-") == 0)
		read_file(&walk, STDIN_FILENO);
	else
		visit_named(&walk);
}

#define ID_SIZE   64 /* hexadecimal digits of SHA-256; SHA-1 has 40 */
#define LINE_SIZE 256
#define WHY_SIZE  200
#define ARGUMENTS 24
#define RESTARTS_MAX                                                                               \
	1000 /* of a git that ends at a damaged object; more are not worth the time                \
	      */

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
	"--reverse", "--missing=print", "--all", "--reflog", NULL};
/* Of a damaged repository: whatever is there, without a commit or a path. */
static const char *const listing_all[] = {
	"cat-file", "--batch-all-objects", "--batch-check=%(objectname)", NULL};
static const char missing[] = " missing\n";
static const char *const reading[] = {"cat-file", "--batch", NULL};
static const char *const asking_depth[] = {"rev-parse", "--is-shallow-repository", NULL};

struct child {
	pid_t pid;
	int in, out, errors; /* what it reads, what it writes, and what it complains of */
};

static const struct child no_child = {-1, -1, -1, -1};

struct history {
	struct scan_reader *reader;
	const char *directory;
	struct child list, read;
	FILE *objects;
	bool has_commits; /* lines of the list that have no path are commits */
	char commit[ID_SIZE + 1];
	uint64_t missing, broken;  /* not there, as git says; there, and damaged */
	char why_broken[WHY_SIZE]; /* what git said of the first */
	int restarts;
	bool has_submodules;
};

/* What became of one object: git has passed over it, or has ended. */
enum outcome { SEARCHED, PASSED_OVER, BROKEN };

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
		"core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c",
		"core.commitGraph=false", "-C"};
	const char *arguments[ARGUMENTS];
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t pipe_signal;
	size_t count = 0;
	int error;

	for (size_t i = 0; i < sizeof first / sizeof first[0]; i++)
		arguments[count++] = first[i];
	arguments[count++] = directory;
	while (*words)
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

/* "ID TYPE SIZE\n" or "ID missing\n" of cat-file; what follows goes to the reader only. */
static enum outcome read_header(int fd, uint64_t *out_size)
{
	char line[LINE_SIZE] = "", type[16], digits[24];
	const char *newline = NULL;
	size_t size = 0;

	while (!newline && size < sizeof line - 1) {
		ssize_t seen = recv(fd, line + size, sizeof line - 1 - size, MSG_PEEK);
		size_t wanted;

		if (seen < 0 && errno == EINTR)
			continue;
		if (seen <= 0)
			return BROKEN;
		newline = memchr(line + size, '\n', (size_t)seen);
		wanted = newline ? (size_t)(newline - line) + 1 - size : (size_t)seen;
		if (read(fd, line + size, wanted) != (ssize_t)wanted)
			return BROKEN;
		size += wanted;
	}
	/* What was seen behind the newline is content. */
	explicit_bzero(line + size, sizeof line - size);
	if (size > strlen(missing) && strcmp(line + size - strlen(missing), missing) == 0)
		return PASSED_OVER;
	return sscanf(line, "%*64[0-9a-f] %15[a-z] %20[0-9]", type, digits) == 2 &&
			       args_number(digits, out_size)
		       ? SEARCHED
		       : BROKEN;
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

static enum outcome search_object(struct history *history, const char *id, const char *path)
{
	struct scan_report *report = history->reader->report;
	const struct scan_place place = {.file = path,
		.git = history->directory,
		.commit = history->has_commits ? history->commit : id};
	enum outcome outcome;
	const char *why;
	uint64_t size;
	bool is_whole;
	char newline;

	if (!write_id(history->read.in, id))
		return BROKEN;
	outcome = read_header(history->read.out, &size);
	if (outcome != SEARCHED)
		return outcome;
	scan_reader_begin(history->reader, &place);
	is_whole = read_content(history, size);
	why = scan_reader_end(history->reader);
	if (is_whole && why)
		scan_report_unreadable_here(report, why);
	progress_show(&report->progress, "%s: searched %llu objects: found %llu",
		history->directory, (unsigned long long)report->texts,
		(unsigned long long)report->found);
	return is_whole && read(history->read.out, &newline, 1) == 1 ? SEARCHED : BROKEN;
}

/* Keeps what the first git said that could not read an object. */
static void end_reading(struct history *history)
{
	char why[WHY_SIZE];

	(void)finish(&history->read, why);
	if (history->why_broken[0] == '\0')
		memcpy(history->why_broken, why, sizeof why);
}

/* False: no more objects can be read. Where git ended, another one reads those behind it. */
static bool take_object(struct history *history, const char *id, const char *path)
{
	enum outcome outcome = search_object(history, id, path);

	if (outcome == SEARCHED)
		return true;
	history->broken++;
	if (outcome == PASSED_OVER)
		return true;
	end_reading(history);
	return ++history->restarts < RESTARTS_MAX &&
	       start(&history->read, history->directory, reading);
}

/*
 * A line is a commit's id, or an id, a blank and a path, which a root has not; or "?" and the id
 * of what is not there.
 */
static bool search_all(struct history *history)
{
	char *line = NULL;
	size_t room = 0;
	bool goes_on = true;

	while (goes_on && getline(&line, &room, history->objects) > 0) {
		char *blank;

		line[strcspn(line, "\n")] = '\0';
		if (line[0] == '?') {
			history->missing++;
			continue;
		}
		blank = strchr(line, ' ');
		if (blank)
			*blank = '\0';
		else
			(void)snprintf(
				history->commit, sizeof history->commit, "%.*s", ID_SIZE, line);
		if (blank && strcmp(blank + 1, ".gitmodules") == 0)
			history->has_submodules = true;
		goes_on = take_object(history, line,
			blank                  ? blank + 1
			: history->has_commits ? ""
					       : "(object)");
	}
	free(line);
	return goes_on && !ferror(history->objects);
}

static void complain(struct history *history, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void complain(struct history *history, const char *format, ...)
{
	char why[2 * WHY_SIZE];
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(why, sizeof why, format, arguments);
	va_end(arguments);
	scan_report_unreadable(history->reader->report, history->directory, why);
}

/* One list, from its beginning to its end. False, and what git said of it: it is not whole. */
static bool search_list(struct history *history, const char *const *words, char why[WHY_SIZE])
{
	bool is_whole = false;
	int error = 0, ending;

	why[0] = '\0';
	history->list = history->read = no_child;
	if (start(&history->list, history->directory, words) &&
		start(&history->read, history->directory, reading)) {
		history->objects = fdopen(history->list.out, "r");
		is_whole = history->objects && search_all(history);
	} else
		error = errno;
	if (history->objects) {
		(void)fclose(history->objects);
		history->objects = NULL;
		history->list.out = -1;
	}
	ending = finish(&history->list, why);
	end_reading(history);
	if (error != 0)
		(void)snprintf(why, WHY_SIZE, "%s",
			error == ENOENT ? "there is no git in PATH" : strerror(error));
	return is_whole && ending == 0;
}

static bool is_shallow(const char *directory)
{
	struct child child;
	char said[8] = "", why[WHY_SIZE];
	ssize_t got = 0;

	if (start(&child, directory, asking_depth))
		got = recv(child.out, said, sizeof said - 1, MSG_WAITALL);
	(void)finish(&child, why);
	return got > 0 && strncmp(said, "true", 4) == 0;
}

/* What is not there, or cannot be read, is one place that could not be read, and its size. */
static void tell(struct history *history)
{
	if (history->missing > 0)
		complain(history,
			"%llu objects of its history are not here, as in a clone with --filter; "
			"scan a clone that has all",
			(unsigned long long)history->missing);
	if (history->broken > 0)
		complain(history, "%s%llu objects can't be read: %s; see: git fsck",
			history->restarts == RESTARTS_MAX ? "at least " : "",
			(unsigned long long)history->broken,
			history->why_broken[0] != '\0' ? history->why_broken : "git ended");
	if (is_shallow(history->directory))
		complain(history,
			"it is a shallow clone: older commits are not here; git fetch --unshallow "
			"gets them");
	history->reader->report->submodules += history->has_submodules;
}

/* A cat-file that ended is told by write(2), not by a signal. */
void scan_git(struct scan_reader *reader, const char *directory)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN}, before;
	struct history history = {.reader = reader, .directory = directory, .has_commits = true};
	char why[WHY_SIZE], ignored[WHY_SIZE];

	(void)sigaction(SIGPIPE, &ignore, &before);
	if (!search_list(&history, listing, why)) {
		complain(&history, "%s", why[0] != '\0' ? why : "git did not read all objects");
		history.has_commits = false;
		(void)search_list(&history, listing_all, ignored);
	}
	tell(&history);
	(void)sigaction(SIGPIPE, &before, NULL);
}
