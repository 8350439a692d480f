/* SPDX-License-Identifier: ISC */
#include "evidence_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#include "processes.h"
#include "wire.h"

struct kernel_word kernel_word;

/* ---- the kernel's word: these stand before libc's for all that is linked statically ---- */

int getsockopt(int fd, int level, int option, void *restrict value, socklen_t *restrict size)
{
	if (kernel_word.error && kernel_word.option == option) {
		errno = kernel_word.error;
		return -1;
	}
	if (option == SO_PEERCRED && kernel_word.fakes_peer) {
		memcpy(value, &kernel_word.peer, sizeof kernel_word.peer);
		return 0;
	}
	if (option == SO_PEERSEC && kernel_word.label) {
		*size = (socklen_t)strlen(kernel_word.label) + 1;
		memcpy(value, kernel_word.label, *size);
		return 0;
	}
	return (int)syscall(SYS_getsockopt, fd, level, option, value, size);
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list arguments;

	va_start(arguments, request);
	uint64_t *facts = va_arg(arguments, uint64_t *);
	va_end(arguments);
	bool is_info = (request & 0xffff) == 0xff0b;
	if (is_info && kernel_word.has_no_info) {
		errno = ENOTTY;
		return -1;
	}
	int result = (int)syscall(SYS_ioctl, fd, request, facts);
	if (is_info && result == 0 && kernel_word.cgroup_id) {
		facts[0] |= 4;
		facts[1] = kernel_word.looks++ && kernel_word.next_cgroup_id
				   ? kernel_word.next_cgroup_id
				   : kernel_word.cgroup_id;
	}
	return result;
}

static void write_file(const char *name, const char *text)
{
	FILE *file = fopen(name, "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

/* A pidfd is asked by it whether its process lives. */
int poll(struct pollfd *entries, nfds_t count, int timeout_ms)
{
	const struct timespec timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1000000L};

	if (kernel_word.next_file[0]) {
		char name[sizeof kernel_word.next_file];
		memcpy(name, kernel_word.next_file, sizeof name);
		kernel_word.next_file[0] = '\0';
		write_file(name, kernel_word.next_text);
	}
	return (int)syscall(SYS_ppoll, entries, count, timeout_ms < 0 ? NULL : &timeout, NULL, 0);
}

int set_up_namespace(void **state)
{
	(void)state;
	if (geteuid() != 0)
		return 0;
	return unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0
		       ? 0
		       : -1;
}

static _Noreturn void be_peer(const struct sockaddr_un *address)
{
	const gid_t groups[] = {PEER_GID, PEER_GROUP};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

	if (geteuid() == 0 &&
		(setgroups(2, groups) != 0 || setresgid(PEER_GID, PEER_GID, PEER_GID) ||
			setresuid(PEER_UID, PEER_UID, PEER_UID) != 0))
		_exit(1);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (connect(fd, (const struct sockaddr *)address, sizeof *address) != 0)
		_exit(2);
	for (;;)
		pause();
}

int set_up_peer(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct peer *peer = calloc(1, sizeof *peer);

	assert_non_null(peer);
	kernel_word = (struct kernel_word){0};
	snprintf(peer->directory, sizeof peer->directory, "/tmp/test_evidence.XXXXXX");
	assert_non_null(mkdtemp(peer->directory));
	assert_int_equal(chmod(peer->directory, 0755), 0);
	snprintf(address.sun_path, sizeof address.sun_path, "%s/sock", peer->directory);
	peer->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	assert_int_equal(
		bind(peer->listener, (const struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(chmod(address.sun_path, 0666), 0);
	assert_int_equal(listen(peer->listener, 4), 0);
	peer->pid = fork();
	assert_true(peer->pid >= 0);
	if (peer->pid == 0)
		be_peer(&address);
	peer->connection = accept(peer->listener, NULL, NULL);
	assert_true(peer->connection >= 0);
	peer->caller.pidfd = -1;
	assert_int_equal(evidence_new(NULL, false, &peer->evidence), MORTISE_OK);
	*state = peer;
	return 0;
}

static void drop_monitor(struct peer *peer);

void peer_kill(struct peer *peer)
{
	if (peer->pid > 0) {
		kill(peer->pid, SIGKILL);
		waitpid(peer->pid, NULL, 0);
	}
	peer->pid = 0;
}

int tear_down_peer(void **state)
{
	struct peer *peer = *state;
	char command[128];

	peer_no_files(false);
	peer_kill(peer);
	caller_done(&peer->caller);
	evidence_free(peer->evidence);
	drop_monitor(peer);
	close(peer->connection);
	close(peer->listener);
	snprintf(command, sizeof command, "rm -rf '%s'", peer->directory);
	int result = system(command);
	free(peer);
	return result;
}

void peer_proc(struct peer *peer, const char *name, const char *text)
{
	char source[128], target[64];

	snprintf(source, sizeof source, "%s/%s", peer->directory, name);
	snprintf(target, sizeof target, "/proc/%d/%s", (int)peer->pid, name);
	write_file(source, text);
	(void)umount(target);
	assert_int_equal(mount(source, target, NULL, MS_BIND, NULL), 0);
}

void peer_proc_next(struct peer *peer, const char *name, const char *text)
{
	snprintf(kernel_word.next_file, sizeof kernel_word.next_file, "%s/%s", peer->directory,
		name);
	kernel_word.next_text = text;
}

void peer_unit(struct peer *peer, const char *unit)
{
	char text[256];

	snprintf(text, sizeof text, "0::/system.slice/%s\n", unit);
	peer_proc(peer, "cgroup", text);
}

/* As where the kernel does not name who connects. */
static enum mortise_status be_greeted(struct caller *caller)
{
	enum mortise_status status = caller_greet(caller);

	if (status == MORTISE_OK)
		status = caller_pin(caller, caller->challenge, sizeof caller->challenge);
	if (status != MORTISE_OK)
		caller_done(caller);
	return status;
}

enum mortise_status peer_try(struct peer *peer)
{
	caller_done(&peer->caller);
	kernel_word.looks = 0;
	TRY(caller_identify(peer->connection, &peer->caller));
	bool is_asked = kernel_word.option == OPTION_PEERPIDFD; /* it is what a test is about */
	return peer->caller.is_pinned || is_asked ? MORTISE_OK : be_greeted(&peer->caller);
}

void peer_identify(struct peer *peer)
{
	assert_int_equal(peer_try(peer), MORTISE_OK);
}

void peer_no_files(bool none)
{
	static struct rlimit before;
	struct rlimit limit;

	if (before.rlim_max == 0)
		assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	limit = before;
	if (none)
		limit.rlim_cur = 3;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void on_told(void *context)
{
	struct peer *peer = context;

	peer->is_told = true;
}

const char *peer_fact(struct peer *peer, enum attribute attribute)
{
	const struct fact *fact = subject_fact(&peer->caller.subject, attribute);

	evidence_gather(peer->evidence, &peer->caller, 1u << attribute);
	peer->is_told = attribute != ATTRIBUTE_EXE ||
			!evidence_await_exe(peer->evidence, &peer->caller, on_told, peer);
	while (!peer->is_told)
		assert_int_equal(event_base_loop(peer->base, EVLOOP_ONCE), 0);
	assert_int_not_equal(fact->state, FACT_UNGATHERED);
	return fact->state == FACT_KNOWN ? fact->text : NULL;
}

static size_t build(uint8_t *frame, size_t capacity, uint32_t id, const char *path)
{
	struct wire_writer writer;

	wire_begin(&writer, frame, capacity, MORTISE_OK, id);
	wire_put_text(&writer, PROCESS_TAG_TEXT, path);
	return wire_finish(&writer);
}

static _Noreturn void be_witness(int fd, const char *path)
{
	uint8_t frame[8192];
	struct wire_message question;
	ssize_t size;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while ((size = recv(fd, frame, sizeof frame, 0)) > 0) {
		if (path == NULL || wire_parse(frame, (size_t)size, &question) != MORTISE_OK)
			continue;
		size_t answer =
			*path == '\0' ? 7 : build(frame, sizeof frame, question.request_id, path);
		(void)!send(fd, frame, answer, MSG_NOSIGNAL);
	}
	_exit(0);
}

static void send_witness(struct peer *peer, uint32_t id, int descriptor)
{
	_Alignas(struct cmsghdr) char room[CMSG_SPACE(sizeof(int))] = {0};
	uint8_t frame[64];
	struct wire_writer writer;

	wire_begin(&writer, frame, sizeof frame, MORTISE_OK, id);
	struct iovec part = {frame, wire_finish(&writer)};
	struct msghdr message = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = room,
		.msg_controllen = sizeof room};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &descriptor, sizeof(int));
	assert_true(sendmsg(peer->monitor_ends[0], &message, 0) > 0);
}

static void on_asked(evutil_socket_t fd, short what, void *context)
{
	struct peer *peer = context;
	uint8_t frame[256];
	struct wire_message message;
	int pair[2];
	ssize_t size = recv(fd, frame, sizeof frame, 0);

	(void)what;
	assert_true(size > 0);
	assert_int_equal(wire_parse(frame, (size_t)size, &message), MORTISE_OK);
	assert_int_equal(message.code, PROCESS_WITNESS);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		close(pair[0]);
		be_witness(pair[1], peer->witness_says);
	}
	close(pair[1]);
	send_witness(peer, message.request_id, pair[0]);
	close(pair[0]);
}

static void on_lost(void *context)
{
	(void)context;
}

static const struct monitor_hooks hooks = {.lost = on_lost};

static void drop_monitor(struct peer *peer)
{
	if (!peer->base)
		return;
	event_free(peer->asked);
	monitor_link_free(peer->monitor);
	event_base_free(peer->base);
	close(peer->monitor_ends[0]);
	close(peer->monitor_ends[1]);
	peer->base = NULL;
}

void peer_witness(struct peer *peer, const char *path)
{
	struct witness_link *link = NULL;

	evidence_free(peer->evidence);
	drop_monitor(peer);
	peer->witness_says = path;
	peer->timing = (struct witness_timing){1, path ? 60000 : 50, 60000, 60000, 1, 60000};
	peer->base = event_base_new();
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, peer->monitor_ends), 0);
	peer->asked =
		event_new(peer->base, peer->monitor_ends[0], EV_READ | EV_PERSIST, on_asked, peer);
	assert_int_equal(event_add(peer->asked, NULL), 0);
	assert_int_equal(
		monitor_link_new(peer->base, peer->monitor_ends[1], &hooks, NULL, &peer->monitor),
		MORTISE_OK);
	assert_int_equal(
		witness_link_new(peer->base, peer->monitor, &peer->timing, &link), MORTISE_OK);
	assert_int_equal(evidence_new(link, true, &peer->evidence), MORTISE_OK);
}
