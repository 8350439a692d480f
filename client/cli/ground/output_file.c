/* SPDX-License-Identifier: ISC */
#include "output_file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "args.h"
#include "output.h"

#define LINKS_MAX  40 /* as in the kernel */
#define NAME_TRIES 16
#define AS_IT_IS   "; standard output and a shell's > write into it as it is"

/* What a signal's handler needs to leave no piece behind. */
static struct {
	int directory;
	char name[NAME_MAX + 1];
} piece = {.directory = -1};

static const int ending_signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};

#define SIGNAL_COUNT (sizeof ending_signals / sizeof ending_signals[0])

static struct sigaction actions_before[SIGNAL_COUNT];

/* Where a name leads to. */
struct place {
	int directory;
	char name[PATH_MAX]; /* its last part, or what is left to follow */
	struct stat parent, about;
	bool is_absent, is_magic; /* a link of /proc that is no name of anything */
};

static enum mortise_status refuse(struct output_file *file, enum mortise_status status,
	const char *format, ...) __attribute__((format(printf, 3, 4)));

static enum mortise_status refuse(
	struct output_file *file, enum mortise_status status, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(file->wrong, sizeof file->wrong, format, arguments);
	va_end(arguments);
	return status;
}

static enum mortise_status refuse_errno(struct output_file *file)
{
	return refuse(file, MORTISE_IO, "%s", strerror(errno));
}

static void shut(int *fd)
{
	int error = errno;

	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
	errno = error;
}

/* --- A piece of a file, and signals */

static void remove_and_end(int number)
{
	(void)unlinkat(piece.directory, piece.name, 0);
	(void)signal(number, SIG_DFL);
	(void)raise(number);
}

static void guard(const struct output_file *file)
{
	struct sigaction action = {.sa_handler = remove_and_end};

	piece.directory = file->directory;
	memcpy(piece.name, file->is_temporary ? file->temporary : file->name,
		file->is_temporary ? sizeof file->temporary : sizeof file->name);
	for (size_t i = 0; i < SIGNAL_COUNT; i++) {
		(void)sigaction(ending_signals[i], NULL, &actions_before[i]);
		if (actions_before[i].sa_handler != SIG_IGN)
			(void)sigaction(ending_signals[i], &action, NULL);
	}
}

static void unguard(void)
{
	for (size_t i = 0; i < SIGNAL_COUNT && piece.directory >= 0; i++)
		(void)sigaction(ending_signals[i], &actions_before[i], NULL);
	piece.directory = -1;
}

/* --- Where a name leads to */

/* The caller's own link, or root's: else somebody leads the caller's hand. */
static bool is_ours(const struct stat *about)
{
	return about->st_uid == geteuid() || about->st_uid == 0;
}

/* Of a FIFO or a device: can somebody else have put it there? */
static bool is_planted(const struct place *place)
{
	return (place->parent.st_mode & S_IWOTH) != 0 && !is_ours(&place->about) &&
	       place->about.st_uid != place->parent.st_uid;
}

/* Goes into the directory of place->name, of which the last part is left. */
static bool enter(struct place *place)
{
	char *slash = strrchr(place->name, '/');
	const char *last = slash ? slash + 1 : place->name;
	int from = place->directory >= 0 ? place->directory : AT_FDCWD, to;

	if (last[0] == '\0' && !slash) {
		errno = ENOENT;
		return false;
	}
	if (slash == place->name) {
		to = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	} else {
		if (slash)
			*slash = '\0';
		to = openat(from, slash ? place->name : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	}
	if (to < 0)
		return false;
	memmove(place->name, last, strlen(last) + 1);
	shut(&place->directory);
	place->directory = to;
	return fstat(to, &place->parent) == 0;
}

static bool is_on_proc(const struct place *place)
{
	struct statfs facts;

	return fstatfs(place->directory, &facts) == 0 && facts.f_type == PROC_SUPER_MAGIC;
}

static enum mortise_status follow(struct place *place, struct output_file *file)
{
	char target[PATH_MAX];
	ssize_t size;

	if (!is_ours(&place->about))
		return refuse(file, MORTISE_REJECTED,
			"it is a link that neither you nor root made, but uid %u; name what it "
			"leads to",
			place->about.st_uid);
	size = readlinkat(place->directory, place->name, target, sizeof target - 1);
	if (size < 0)
		return refuse_errno(file);
	target[size] = '\0';
	memcpy(place->name, target, (size_t)size + 1);
	return MORTISE_OK;
}

/* The directory, the name there, and what has that name by now. */
static enum mortise_status find(const char *name, struct place *place, struct output_file *file)
{
	if (strlen(name) >= sizeof place->name) {
		errno = ENAMETOOLONG;
		return refuse_errno(file);
	}
	memcpy(place->name, name, strlen(name) + 1);
	for (int links = 0; links < LINKS_MAX; links++) {
		if (!enter(place))
			return refuse_errno(file);
		if (strcmp(place->name, "") == 0 || strcmp(place->name, ".") == 0 ||
			strcmp(place->name, "..") == 0)
			return refuse(file, MORTISE_IO, "it is a directory");
		if (fstatat(place->directory, place->name, &place->about, AT_SYMLINK_NOFOLLOW) !=
			0) {
			place->is_absent = errno == ENOENT;
			return place->is_absent ? MORTISE_OK : refuse_errno(file);
		}
		if (!S_ISLNK(place->about.st_mode))
			return MORTISE_OK;
		place->is_magic = is_on_proc(place);
		if (place->is_magic)
			return MORTISE_OK;
		TRY(follow(place, file));
	}
	errno = ELOOP;
	return refuse_errno(file);
}

/* --- What is written to as it is */

/* The number of a descriptor of ours that the place names; -1: it names none. */
static int number_of(const struct place *place)
{
	struct stat own;
	char *end;
	long number = strtol(place->name, &end, 10);

	if (*end != '\0' || number < 0 || number > INT_MAX || stat("/proc/self/fd", &own) != 0 ||
		own.st_dev != place->parent.st_dev || own.st_ino != place->parent.st_ino)
		return -1;
	return (int)number;
}

/* What mortise opened for itself closes on exec, and is not what the user means. */
static enum mortise_status take_descriptor(int number, struct output_file *file)
{
	int flags = fcntl(number, F_GETFD);

	if (flags < 0 || (flags & FD_CLOEXEC) != 0)
		return refuse(file, MORTISE_IO, "descriptor %d is not open", number);
	if ((fcntl(number, F_GETFL) & O_ACCMODE) == O_RDONLY)
		return refuse(file, MORTISE_IO, "descriptor %d is not open for writing", number);
	file->is_output = number == STDOUT_FILENO;
	file->fd = fcntl(number, F_DUPFD_CLOEXEC, 0);
	return file->fd >= 0 ? MORTISE_OK : refuse_errno(file);
}

/* Whoever waits for a FIFO's reader can be ended by any signal. */
static enum mortise_status await_reader(
	const char *name, const struct place *place, struct output_file *file)
{
	output_note("%s: nobody reads this FIFO yet; waiting for who does", name);
	file->fd = openat(place->directory, place->name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
	return file->fd >= 0 ? MORTISE_OK : refuse_errno(file);
}

static enum mortise_status open_as_it_is(
	const char *name, const struct place *place, struct output_file *file)
{
	int flags = O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC;
	bool is_fifo = S_ISFIFO(place->about.st_mode);
	struct stat now;

	if (!place->is_magic && is_planted(place))
		return refuse(file, MORTISE_REJECTED,
			"uid %u has put it into a directory where everybody may write",
			place->about.st_uid);
	file->fd =
		openat(place->directory, place->name, place->is_magic ? flags : flags | O_NOFOLLOW);
	if (file->fd < 0 && errno == ENXIO && is_fifo)
		return await_reader(name, place, file);
	if (file->fd < 0 || fstat(file->fd, &now) != 0)
		return refuse_errno(file);
	if (!place->is_magic && (S_ISREG(now.st_mode) || S_ISBLK(now.st_mode)))
		return refuse(file, MORTISE_CONFLICT, "something else was put there meanwhile");
	(void)fcntl(file->fd, F_SETFL, fcntl(file->fd, F_GETFL) & ~O_NONBLOCK);
	return MORTISE_OK;
}

/* --- Files */

static bool make_name(struct output_file *file)
{
	uint64_t random = 0;

	if (getrandom(&random, sizeof random, 0) != sizeof random)
		return false;
	(void)snprintf(file->temporary, sizeof file->temporary, ".mortise-%016llx",
		(unsigned long long)random);
	return true;
}

static enum mortise_status refuse_directory(struct output_file *file)
{
	return refuse(file, MORTISE_IO,
		"%s, in its directory, where a new file takes its place" AS_IT_IS, strerror(errno));
}

/* The descriptor, or -1 with errno. No signal comes between the file and its guard. */
static int make_file(struct output_file *file)
{
	const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
	sigset_t all, before;

	if (file->is_temporary && !make_name(file))
		return -1;
	(void)sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, &before);
	file->fd = openat(
		file->directory, file->is_temporary ? file->temporary : file->name, flags, 0600);
	if (file->fd >= 0)
		guard(file);
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	return file->fd;
}

static enum mortise_status create(struct output_file *file, enum output_file_use use)
{
	int tries = 0;

	file->is_file = true;
	file->is_temporary = use != OUTPUT_FILE_CLAIM;
	file->may_replace = use == OUTPUT_FILE_REPLACE;
	(void)signal(SIGXFSZ, SIG_IGN); /* a limit is an error, not a death beside a half file */
	while (make_file(file) < 0 && errno == EEXIST && file->is_temporary && tries < NAME_TRIES)
		tries++;
	if (file->fd >= 0)
		return MORTISE_OK;
	if (errno == EEXIST)
		return refuse(file, MORTISE_CONFLICT, "it exists");
	return errno == EACCES || errno == EPERM ? refuse_directory(file) : refuse_errno(file);
}

static enum mortise_status refuse_kind(const struct place *place, struct output_file *file)
{
	mode_t mode = place->about.st_mode;

	if (S_ISDIR(mode))
		return refuse(file, MORTISE_IO, "it is a directory");
	if (S_ISBLK(mode))
		return refuse(file, MORTISE_REJECTED, "it is a disk" AS_IT_IS);
	return refuse(file, MORTISE_REJECTED, "it is a socket");
}

static enum mortise_status open_place(
	const char *name, struct place *place, enum output_file_use use, struct output_file *file)
{
	mode_t mode;

	TRY(find(name, place, file));
	if (number_of(place) >= 0)
		return take_descriptor(number_of(place), file);
	mode = place->about.st_mode;
	if (!place->is_absent && (place->is_magic || S_ISFIFO(mode) || S_ISCHR(mode)))
		return open_as_it_is(name, place, file);
	if (!place->is_absent && !S_ISREG(mode))
		return refuse_kind(place, file);
	if (!place->is_absent && use != OUTPUT_FILE_REPLACE)
		return refuse(file, MORTISE_CONFLICT, "it exists");
	if (strlen(place->name) >= sizeof file->name) {
		errno = ENAMETOOLONG;
		return refuse_errno(file);
	}
	memcpy(file->name, place->name, strlen(place->name) + 1);
	file->directory = place->directory;
	place->directory = -1;
	return create(file, use);
}

enum mortise_status output_file_open(
	const char *name, enum output_file_use use, struct output_file *out_file)
{
	struct place place = {.directory = -1};
	enum mortise_status status = MORTISE_OK;

	*out_file = (struct output_file){.fd = -1, .mode = 0600, .directory = -1};
	out_file->is_output = strcmp(name, "-") == 0;
	if (out_file->is_output)
		out_file->fd = STDOUT_FILENO;
	else
		status = open_place(name, &place, use, out_file);
	shut(&place.directory);
	if (status != MORTISE_OK) {
		shut(&out_file->fd);
		shut(&out_file->directory);
	}
	return status;
}

void output_file_treasure(void)
{
	unguard();
}

static bool take_name(const struct output_file *file)
{
	return renameat(file->directory, file->temporary, file->directory, file->name) == 0;
}

/* A file system that cannot be told to spare what is there is asked before. */
static bool take_free_name(const struct output_file *file)
{
	struct stat about;

	if (renameat2(file->directory, file->temporary, file->directory, file->name,
		    RENAME_NOREPLACE) == 0)
		return true;
	if (errno != EINVAL && errno != ENOSYS)
		return false;
	if (fstatat(file->directory, file->name, &about, AT_SYMLINK_NOFOLLOW) != 0)
		return take_name(file);
	errno = EEXIST;
	return false;
}

static enum mortise_status settle(struct output_file *file)
{
	bool is_named = true;

	if (fchmod(file->fd, file->mode) != 0 || fsync(file->fd) != 0)
		return refuse_errno(file);
	if (file->is_temporary)
		is_named = file->may_replace ? take_name(file) : take_free_name(file);
	if (is_named)
		return MORTISE_OK;
	if (errno == EEXIST)
		return refuse(file, MORTISE_CONFLICT, "it came into being meanwhile");
	return errno == EBUSY || errno == EPERM ? refuse_directory(file) : refuse_errno(file);
}

static void let_go(struct output_file *file)
{
	if (file->fd != STDOUT_FILENO)
		shut(&file->fd);
	shut(&file->directory);
	file->fd = -1;
}

enum mortise_status output_file_commit(struct output_file *file)
{
	if (file->is_file) {
		TRY(settle(file));
		unguard();
	}
	let_go(file);
	return MORTISE_OK;
}

void output_file_abandon(struct output_file *file)
{
	if (file->directory >= 0)
		(void)unlinkat(
			file->directory, file->is_temporary ? file->temporary : file->name, 0);
	if (file->is_file)
		unguard();
	let_go(file);
}

int output_file_fail(const struct cli *cli, enum mortise_status status, const char *name,
	const struct output_file *file)
{
	return output_fail(cli, status, "cannot write to %s: %s", name,
		file->wrong[0] != '\0' ? file->wrong : strerror(errno));
}

int output_file_write(const struct cli *cli, const char *name,
	enum mortise_status (*write)(int fd, const void *context), const void *context)
{
	bool is_output = !name || strcmp(name, "-") == 0;
	struct output_file file;
	enum mortise_status status =
		output_file_open(is_output ? "-" : name, OUTPUT_FILE_REPLACE, &file);

	if (status == MORTISE_OK) {
		status = write(file.fd, context);
		if (status != MORTISE_OK)
			(void)refuse_errno(&file);
		else
			status = output_file_commit(&file);
		output_file_abandon(&file);
	}
	if (status == MORTISE_OK)
		return CLI_DONE;
	return output_file_fail(cli, status, is_output ? "standard output" : name, &file);
}

#define FILE_RESERVE 4096

void key_file_abandon(struct key_file *file)
{
	if (file->name)
		output_file_abandon(&file->file);
}

static int refuse_target(
	const struct cli *cli, const struct key_file *file, enum mortise_status status)
{
	if (status == MORTISE_CONFLICT)
		return output_fail(cli, status,
			"%s exists; move it away, or name another --recovery-file", file->name);
	return output_fail(
		cli, status, "cannot make the recovery file %s: %s", file->name, file->file.wrong);
}

/* Who reads a FIFO and goes before the key has come is an error, and no death without a word. */
static int create_new(const struct cli *cli, struct key_file *file)
{
	enum mortise_status status = output_file_open(file->name, OUTPUT_FILE_CLAIM, &file->file);

	if (status != MORTISE_OK)
		return refuse_target(cli, file, status);
	(void)signal(SIGPIPE, SIG_IGN);
	errno = file->file.is_file ? posix_fallocate(file->file.fd, 0, FILE_RESERVE) : 0;
	if (errno == 0)
		return CLI_DONE;
	(void)snprintf(file->file.wrong, sizeof file->file.wrong, "%s", strerror(errno));
	key_file_abandon(file);
	return refuse_target(cli, file, MORTISE_IO);
}

int key_file_prepare(const struct cli *cli, struct key_file *file)
{
	int ending;

	file->name = cli->is_dry_run ? "-" : args_value(cli, "recovery-file");
	if (!file->name && (cli->is_json || !isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)))
		return output_fail(cli, MORTISE_INVALID,
			"the recovery key must go somewhere: use a terminal (without --json), or "
			"--recovery-file=F");
	if (!file->name)
		return CLI_DONE;
	ending = create_new(cli, file);
	if (ending != CLI_DONE || !file->file.is_output || !cli->is_json || cli->is_dry_run)
		return ending;
	key_file_abandon(file);
	return output_fail(cli, MORTISE_INVALID,
		"with --json the recovery key needs a --recovery-file of its own");
}

/* Past stdio, which would keep a copy of the key. */
static enum mortise_status write_all(
	int fd, const char *indent, const struct key_line *lines, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		TRY(output_write(fd, indent, strlen(indent)));
		TRY(output_write(fd, lines[i].text, lines[i].size));
		TRY(output_write(fd, "\n", 1));
	}
	return MORTISE_OK;
}

/* A file has room for more than the key. */
static enum mortise_status finish(struct output_file *file)
{
	off_t end = file->is_file ? lseek(file->fd, 0, SEEK_CUR) : 0;

	if (end < 0 || (file->is_file && ftruncate(file->fd, end) != 0))
		return MORTISE_IO;
	return output_file_commit(file);
}

enum mortise_status key_file_keep(struct key_file *file, const char *comment, const char *before,
	const struct key_line *lines, size_t count, const char *after)
{
	if (!file->name) {
		TRY(output_write(STDOUT_FILENO, before, strlen(before)));
		TRY(write_all(STDOUT_FILENO, "    ", lines, count));
		return output_write(STDOUT_FILENO, after, strlen(after));
	}
	output_file_treasure();
	TRY(output_write(file->file.fd, comment, strlen(comment)));
	TRY(write_all(file->file.fd, "", lines, count));
	return finish(&file->file);
}

bool key_file_is_output(const struct key_file *file)
{
	return file->name && file->file.is_output;
}
