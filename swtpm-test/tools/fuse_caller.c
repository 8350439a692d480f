/* SPDX-License-Identifier: ISC */
/*
 * fuse_caller: a caller whose program lies on a file system that its own user serves and that stops
 * answering (FUSE), below an overlay, in a user and mount namespace of his own.
 *
 *	fuse_caller ROOM MERGED SOCKET FRAME [held]
 *
 * ROOM and MERGED are directories. The program, MERGED/program, is this file once more. When it
 * runs, no GETATTR and no LOOKUP is answered any more and "mute" is printed. Then it connects to
 * SOCKET for each byte of standard input, sends FRAME (hexadecimal) and prints the answer likewise.
 * With held nobody can look up a name in its /proc/PID meanwhile: its directory is being read, into
 * memory that the file system never delivers, and a name is to be made there. Only for a /proc of
 * one's own (pid_namespaces(7)): whoever lists processes would be held, too. 77: no such file
 *system, or namespace, can be had here.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <signal.h>
#include <unistd.h>

#define PROGRAM    "program"
#define PROGRAM_ID 2
#define HELD       "held" /* whose contents never come */
#define HELD_ID    3
#define HELD_SIZE  65536
#define READY_FD   9
#define BIG        (1 << 18)

static int fuse, content;
static off_t content_size;
static bool is_mute;

static void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	_exit(77);
}

/* ---- the program ---- */

static void ask(const char *path, const char *hex)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	static uint8_t frame[131072];
	size_t size = 0;
	unsigned byte;

	for (; size < 4096 && sscanf(hex + 2 * size, "%2x", &byte) == 1; size++)
		frame[size] = (uint8_t)byte;
	(void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	ssize_t got = -1;
	if (connect(fd, (const struct sockaddr *)&address, sizeof address) == 0 &&
		send(fd, frame, size, MSG_NOSIGNAL) == (ssize_t)size)
		got = recv(fd, frame, sizeof frame, 0);
	for (ssize_t i = 0; i < got; i++)
		printf("%02x", frame[i]);
	printf("\n");
	fflush(stdout);
	close(fd);
}

static void *list_own_directory(void *memory)
{
	int own = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)syscall(SYS_getdents64, own, memory, HELD_SIZE);
	return NULL;
}

static void make_name(pid_t pid)
{
	char path[64];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)snprintf(path, sizeof path, "/proc/%d/name", (int)pid);
	(void)mkdir(path, 0700);
	_exit(0);
}

/* Does a look-up of a name that nobody has looked up before come to no end? */
static bool is_held(const char *name)
{
	pid_t self = getpid(), prober = fork();
	char path[64];
	bool has_ended = false;

	if (prober == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)snprintf(path, sizeof path, "/proc/%d/%s", (int)self, name);
		_exit(access(path, F_OK) == 0 ? 0 : 1);
	}
	for (int i = 0; i < 100 && !has_ended; i++) {
		has_ended = waitpid(prober, NULL, WNOHANG) == prober;
		usleep(3000);
	}
	return !has_ended;
}

static bool hold(const char *program)
{
	static const char *const names[] = {"oom_score", "oom_adj", "oom_score_adj", "limits",
		"wchan", "io", "schedstat", "statm", "coredump_filter", "autogroup", "timers"};
	char path[256];
	pthread_t reader;

	(void)snprintf(
		path, sizeof path, "%.*s/" HELD, (int)(strrchr(program, '/') - program), program);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	void *memory = mmap(NULL, HELD_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	if (fd < 0 || memory == MAP_FAILED ||
		pthread_create(&reader, NULL, list_own_directory, memory) != 0)
		die(path);
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		pid_t self = getpid();
		if (fork() == 0)
			make_name(self);
		if (is_held(names[i]))
			return true;
	}
	return false;
}

static int be_program(const char *program, const char *path, const char *hex, bool is_to_hold)
{
	char byte;

	if (is_to_hold && !hold(program))
		die("not held");
	if (write(READY_FD, "x", 1) != 1)
		return 1;
	while (read(STDIN_FILENO, &byte, 1) == 1)
		ask(path, hex);
	return 0;
}

/* ---- the file system ---- */

static void reply(uint64_t unique, int error, const void *bytes, size_t size)
{
	static uint8_t out[BIG + 4096];
	struct fuse_out_header header = {
		.len = (uint32_t)(sizeof header + size), .error = -error, .unique = unique};

	memcpy(out, &header, sizeof header);
	if (size)
		memcpy(out + sizeof header, bytes, size);
	if (write(fuse, out, header.len) < 0 && errno != ENOENT)
		die("/dev/fuse");
}

static struct fuse_attr attr_of(uint64_t id)
{
	struct fuse_attr attr = {.ino = id, .nlink = 1, .blksize = 4096};

	attr.mode = id == PROGRAM_ID || id == HELD_ID ? S_IFREG | 0755 : S_IFDIR | 0755;
	attr.size = id == PROGRAM_ID ? (uint64_t)content_size : HELD_SIZE;
	attr.blocks = (attr.size + 511) / 512;
	return attr;
}

/* Nothing is remembered: each look-up is a LOOKUP, each stat a GETATTR. */
static void look_up(uint64_t unique, const char *name)
{
	struct fuse_entry_out entry = {.generation = 1};

	entry.nodeid = strcmp(name, PROGRAM) == 0 ? PROGRAM_ID
		       : strcmp(name, HELD) == 0  ? HELD_ID
						  : 0;
	if (entry.nodeid == 0) {
		reply(unique, ENOENT, NULL, 0);
		return;
	}
	entry.attr = attr_of(entry.nodeid);
	reply(unique, 0, &entry, sizeof entry);
}

static void read_content(uint64_t unique, const struct fuse_read_in *in)
{
	static uint8_t bytes[BIG];
	size_t size = in->size < BIG ? in->size : BIG;
	ssize_t got = pread(content, bytes, size, (off_t)in->offset);

	reply(unique, got < 0 ? EIO : 0, bytes, got < 0 ? 0 : (size_t)got);
}

static void serve(const struct fuse_in_header *in, const void *body)
{
	const struct fuse_init_out init = {.major = FUSE_KERNEL_VERSION,
		.minor = 31,
		.max_readahead = 65536,
		.max_write = 65536,
		.max_background = 16,
		.congestion_threshold = 12};
	struct fuse_attr_out attr = {.attr = attr_of(in->nodeid)};
	const struct fuse_open_out open_out = {.fh = 1};
	const struct fuse_statfs_out disk = {.st = {.bsize = 4096, .frsize = 4096, .namelen = 255}};

	switch (in->opcode) {
	case FUSE_INIT:
		reply(in->unique, 0, &init, sizeof init);
		break;
	case FUSE_GETATTR:
		if (!is_mute)
			reply(in->unique, 0, &attr, sizeof attr);
		break;
	case FUSE_LOOKUP:
		if (!is_mute)
			look_up(in->unique, body);
		break;
	case FUSE_OPEN:
	case FUSE_OPENDIR:
		reply(in->unique, 0, &open_out, sizeof open_out);
		break;
	case FUSE_READ:
		if (in->nodeid == PROGRAM_ID)
			read_content(in->unique, body);
		break;
	case FUSE_STATFS:
		reply(in->unique, 0, &disk, sizeof disk);
		break;
	case FUSE_READDIR:
	case FUSE_RELEASE:
	case FUSE_RELEASEDIR:
		reply(in->unique, 0, NULL, 0);
		break;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		break;
	default:
		reply(in->unique, ENOSYS, NULL, 0);
	}
}

static void serve_one(void)
{
	static uint8_t in[BIG + 4096];
	ssize_t size = read(fuse, in, sizeof in);

	if (size < 0 && errno != EINTR && errno != ENOENT && errno != EAGAIN)
		_exit(0); /* unmounted */
	if (size >= (ssize_t)sizeof(struct fuse_in_header))
		serve((const struct fuse_in_header *)in, in + sizeof(struct fuse_in_header));
}

/* From the mount on, until the program ends. */
static void serve_all(int ready)
{
	struct pollfd watched[] = {{.fd = fuse, .events = POLLIN}, {.fd = ready, .events = POLLIN}};
	char byte;

	if (read(ready, &byte, 1) != 1)
		return;
	while (poll(watched, 2, -1) >= 0 || errno == EINTR) {
		if (watched[0].revents)
			serve_one();
		if (!watched[1].revents)
			continue;
		if (read(ready, &byte, 1) != 1)
			return;
		is_mute = true;
		printf("mute\n");
		fflush(stdout);
	}
}

/* ---- the namespace ---- */

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		die(path);
	close(fd);
}

static void enter_namespaces(void)
{
	unsigned uid = getuid(), gid = getgid();
	char text[64];

	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
		die("unshare");
	write_file("/proc/self/setgroups", "deny");
	(void)snprintf(text, sizeof text, "0 %u 1", uid);
	write_file("/proc/self/uid_map", text);
	(void)snprintf(text, sizeof text, "0 %u 1", gid);
	write_file("/proc/self/gid_map", text);
}

static void mount_all(const char *room, const char *merged, int ready)
{
	char served[256], low[256], options[1024];

	(void)snprintf(served, sizeof served, "%s/served", room);
	(void)snprintf(low, sizeof low, "%s/low", room);
	if (mount("none", room, "tmpfs", 0, NULL) != 0 || mkdir(served, 0755) != 0 ||
		mkdir(low, 0755) != 0)
		die(room);
	(void)snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0", fuse);
	if (mount("fuse_caller", served, "fuse", MS_NODEV | MS_NOSUID, options) != 0)
		die("fuse");
	if (write(ready, "m", 1) != 1)
		die("pipe");
	(void)snprintf(options, sizeof options, "lowerdir=%s:%s", served, low);
	if (mount("none", merged, "overlay", 0, options) != 0)
		die("overlay");
}

static void be_mounter(char **arguments, int ready)
{
	char path[256];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	mount_all(arguments[1], arguments[2], ready);
	(void)snprintf(path, sizeof path, "%s/" PROGRAM, arguments[2]);
	dup2(ready, READY_FD);
	char *program[] = {path, arguments[3], arguments[4], arguments[5], NULL};
	execv(path, program);
	die(path);
}

int main(int count, char **arguments)
{
	int ready[2], status = 0;
	struct stat about;

	if (count > 2 && strstr(arguments[0], "/" PROGRAM) != NULL)
		return be_program(arguments[0], arguments[1], arguments[2], count == 4);
	if (count < 5)
		return 64;
	content = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	if (content < 0 || fstat(content, &about) != 0 || pipe2(ready, O_CLOEXEC) != 0)
		die("content");
	content_size = about.st_size;
	enter_namespaces();
	fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (fuse < 0)
		die("/dev/fuse");
	pid_t child = fork();
	if (child == 0)
		be_mounter(arguments, ready[1]);
	close(ready[1]);
	serve_all(ready[0]);
	waitpid(child, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
