/* SPDX-License-Identifier: ISC */
#include "scan_walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

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
	else if (why != NULL)
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
	size_t count = 0, room = 0;
	struct dirent *entry;

	while (errno = 0, (entry = readdir(directory)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (count == room) {
			char **larger = reallocarray(names, room = room * 2 + 64, sizeof *names);

			if (larger == NULL)
				break;
			names = larger;
		}
		names[count] = strdup(entry->d_name);
		if (names[count] == NULL)
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

	if (fstat(fd, &about) == 0 && (above == NULL || about.st_dev != above->st_dev) &&
		is_made_up(fd)) {
		skip_special(walk);
		(void)close(fd);
		return;
	}
	directory = walk->depth < DEPTH_MAX ? fdopendir(fd) : NULL;
	if (directory == NULL) {
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
