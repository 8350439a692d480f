/* SPDX-License-Identifier: ISC */
/*
 * This program is its own fake keeper and sealer: the monitor runs it again. What the keeper does
 * is told by the configuration's `environment`; what it saw comes back by way of READY, and so as
 * a datagram of the monitor to the service manager, which the test plays.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "credential_hold.h"
#include "log.h"
#include "monitor.h"
#include "mortise_test.h"
#include "processes.h"
#include "wire.h"

#define PATIENCE_MS 20000

/* ---- the fake keeper ---- */

static uint8_t in[WIRE_FRAME_MAX], out[WIRE_FRAME_MAX];

static void say(const char *text)
{
	struct wire_writer writer;

	wire_begin(&writer, out, sizeof out, PROCESS_READY, 0);
	wire_put_text(&writer, PROCESS_TAG_TEXT, text);
	if (send(PROCESS_FD, out, wire_finish(&writer), MSG_NOSIGNAL) < 0)
		_exit(99);
}

static void say_that_it_waits_for_a_pin(void)
{
	struct wire_writer writer;

	wire_begin(&writer, out, sizeof out, PROCESS_READY, 0);
	wire_put_text(&writer, PROCESS_TAG_TEXT, "waits");
	wire_put_number(&writer, PROCESS_TAG_FLAGS, PROCESS_WAITS_FOR_PIN);
	if (send(PROCESS_FD, out, wire_finish(&writer), MSG_NOSIGNAL) < 0)
		_exit(99);
}

static void say_number(const char *what, long number)
{
	char text[256];

	snprintf(text, sizeof text, "%s %ld", what, number);
	say(text);
}

static void ask(uint16_t opcode, uint32_t request_id)
{
	struct wire_writer writer;

	wire_begin(&writer, out, sizeof out, opcode, request_id);
	if (send(PROCESS_FD, out, wire_finish(&writer), MSG_NOSIGNAL) < 0)
		_exit(98);
}

/* The next frame, and in *out_fd what came with it or -1. */
static struct wire_message hear(int *out_fd)
{
	_Alignas(struct cmsghdr) char room[CMSG_SPACE(sizeof(int))];
	struct iovec vector = {in, sizeof in};
	struct msghdr header = {.msg_iov = &vector,
		.msg_iovlen = 1,
		.msg_control = room,
		.msg_controllen = sizeof room};
	ssize_t size = recvmsg(PROCESS_FD, &header, MSG_CMSG_CLOEXEC);
	struct cmsghdr *control = size > 0 ? CMSG_FIRSTHDR(&header) : NULL;
	struct wire_message message;

	if (size <= 0 || wire_parse(in, (size_t)size, &message) != MORTISE_OK)
		_exit(97);
	*out_fd = -1;
	if (control != NULL && control->cmsg_type == SCM_RIGHTS)
		memcpy(out_fd, CMSG_DATA(control), sizeof *out_fd);
	return message;
}

static void run_until_killed(void)
{
	for (;;)
		pause();
}

/* "3 4" for the open descriptors above 2. */
static void list_descriptors(char *text, size_t size)
{
	DIR *directory = opendir("/proc/self/fd");
	size_t used = 0;
	struct dirent *entry;

	*text = '\0';
	while (directory != NULL && (entry = readdir(directory)) != NULL) {
		int fd = atoi(entry->d_name);

		if (fd > 2 && fd != dirfd(directory) && used < size)
			used += (size_t)snprintf(text + used, size - used, " %d", fd);
	}
	closedir(directory);
}

static void tell_state(void)
{
	char fds[64], text[512];
	struct sigaction pipe_action, hup_action;
	struct rlimit files;
	sigset_t blocked;
	int death = 0;
	const char *variable = getenv("MORTISE_TEST_CANARY");

	list_descriptors(fds, sizeof fds);
	sigaction(SIGPIPE, NULL, &pipe_action);
	sigaction(SIGHUP, NULL, &hup_action);
	sigprocmask(SIG_SETMASK, NULL, &blocked);
	prctl(PR_GET_PDEATHSIG, &death, 0, 0, 0);
	getrlimit(RLIMIT_NOFILE, &files);
	snprintf(text, sizeof text,
		"fds%s nnp %d death %d pipe %d hup %d blocked %d files %d env %s", fds,
		prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), death, pipe_action.sa_handler == SIG_IGN,
		hup_action.sa_handler == SIG_DFL, sigismember(&blocked, SIGTERM),
		files.rlim_cur == files.rlim_max, variable == NULL ? "clean" : variable);
	say(text);
}

/* ---- connections of service managers ---- */

/* The next one and its number; or what the monitor says instead. */
static uint16_t accept_one(int *out_fd, uint64_t *out_number)
{
	struct wire_message answer;

	ask(PROCESS_ACCEPT, 9);
	answer = hear(out_fd);
	if (answer.request_id != 9 || (answer.code == MORTISE_OK) != (*out_fd >= 0) ||
		(answer.code == MORTISE_OK &&
			wire_number(&answer, PROCESS_TAG_NUMBER, out_number) != MORTISE_OK))
		_exit(90);
	return answer.code;
}

static void release(uint64_t number, enum mortise_status status)
{
	struct wire_writer writer;

	wire_begin(&writer, out, sizeof out, PROCESS_RELEASE, 0);
	wire_put_number(&writer, PROCESS_TAG_STATUS, status);
	wire_put_number(&writer, PROCESS_TAG_NUMBER, number);
	if (send(PROCESS_FD, out, wire_finish(&writer), MSG_NOSIGNAL) < 0)
		_exit(89);
}

/* Polls: in the order of the test, somebody has connected or will. */
static uint64_t await_one(int *out_fd)
{
	uint64_t number = 0;

	while (accept_one(out_fd, &number) != MORTISE_OK)
		poll(NULL, 0, 1);
	return number;
}

/* The first keeper does it all and ends as told; the next one lives. */
static int answer_and_end(const char *how)
{
	int fd;
	uint64_t number = await_one(&fd);

	if (strstr(how, "whole") != NULL)
		(void)!send(fd, "s3cret", 6, MSG_NOSIGNAL);
	if (strstr(how, "part") != NULL)
		(void)!send(fd, "s3", 2, MSG_NOSIGNAL);
	if (strstr(how, "stops") != NULL) /* the monitor, so that it reads this after our end */
		kill(getppid(), SIGSTOP);
	for (int i = 0; i < 5 && strstr(how, "stops") != NULL; i++)
		say("much to read");
	if (strstr(how, "released") != NULL)
		release(number, MORTISE_OK);
	if (strstr(how, "declined") != NULL)
		release(number, MORTISE_DENIED);
	if (strstr(how, "twice") != NULL)
		release(number, MORTISE_OK);
	if (strstr(how, "lives") != NULL)
		say("answered");
	if (strstr(how, "lives") != NULL || strstr(how, "twice") != NULL)
		run_until_killed();
	return strstr(how, "final") != NULL ? 78 : 0;
}

static void accept_all(void)
{
	uint64_t number, last = 0;
	long count = 0;
	uint16_t code;
	int fd;

	await_one(&fd);
	say("first");
	while ((code = accept_one(&fd, &number)) != MORTISE_BUSY)
		if (code == MORTISE_OK && number > last) {
			last = number;
			count++;
		}
	say_number("busy after", count + 1);
	run_until_killed();
}

static uint32_t id_at(const struct wire_message *message, size_t index)
{
	uint32_t id = 0;

	if (wire_field_of(message, PROCESS_TAG_IDS)->size == PROCESS_IDS * sizeof id)
		memcpy(&id, wire_field_of(message, PROCESS_TAG_IDS)->bytes + index * sizeof id,
			sizeof id);
	return id;
}

static void tell_configuration(const struct wire_message *message, int listener)
{
	char text[512], store[128] = "", log[128] = "";
	int accepting = -1;
	socklen_t size = sizeof accepting;
	uint64_t flags = 99;

	(void)!wire_text(message, PROCESS_TAG_STORE, store, sizeof store);
	(void)!wire_text(message, PROCESS_TAG_AUDIT_LOG, log, sizeof log);
	(void)!wire_number(message, PROCESS_TAG_FLAGS, &flags);
	getsockopt(listener, SOL_SOCKET, SO_ACCEPTCONN, &accepting, &size);
	snprintf(text, sizeof text, "%s %s flags %d listens %d agent %d first %d operators %d",
		store, log, (int)flags, accepting, id_at(message, PROCESS_ID_AGENT) == geteuid(),
		id_at(message, PROCESS_ID_FIRST) == geteuid(),
		id_at(message, PROCESS_ID_OPERATORS) == 4321);
	say(text);
}

/* What a sealer says of itself, or "died". */
static void tell_sealer(int fd)
{
	char text[512] = "";
	ssize_t size = recv(fd, text, sizeof text - 1, 0);

	say(size > 0 ? text : "the sealer died");
}

static void spawn_one(void)
{
	int fd;
	struct wire_message answer;

	ask(PROCESS_SPAWN, 7);
	answer = hear(&fd);
	if (answer.code != MORTISE_OK || answer.request_id != 7 || fd < 0)
		_exit(96);
	tell_sealer(fd);
	run_until_killed();
}

static void spawn_three(void)
{
	int first, third;
	struct wire_message answer;

	ask(PROCESS_SPAWN, 1);
	answer = hear(&first);
	ask(PROCESS_SPAWN, 2);
	ask(PROCESS_SPAWN, 3);
	answer = hear(&third);
	say_number(third < 0 && answer.request_id == 3 ? "third" : "wrong", answer.code);
	run_until_killed();
}

/* Asks for the second while the first is still there. */
static void spawn_in_turn(void)
{
	struct wire_message answer;
	int fd = -1;

	ask(PROCESS_SPAWN, 1);
	(void)hear(&fd);
	ask(PROCESS_SPAWN, 2);
	shutdown(fd, SHUT_RDWR);
	answer = hear(&fd);
	say(answer.code == MORTISE_OK && answer.request_id == 2 && fd >= 0 ? "a second sealer"
									   : "none");
	run_until_killed();
}

/* The first keeper dies while its sealer is at work; the next wants one of its own. */
static void spawn_and_die(bool is_first)
{
	struct wire_message answer;
	int fd = -1;

	ask(PROCESS_SPAWN, 1);
	answer = hear(&fd);
	if (answer.code != MORTISE_OK || fd < 0)
		_exit(96);
	if (is_first)
		raise(SIGKILL);
	say("a sealer of its own");
}

static int fetch_witness(uint32_t id, uint64_t place)
{
	struct wire_message answer;
	int fd;

	struct wire_writer writer;

	wire_begin(&writer, out, sizeof out, PROCESS_WITNESS, id);
	wire_put_number(&writer, PROCESS_TAG_NUMBER, place);
	if (send(PROCESS_FD, out, wire_finish(&writer), MSG_NOSIGNAL) < 0)
		_exit(98);
	answer = hear(&fd);
	if (answer.code != MORTISE_OK || answer.request_id != id || fd < 0)
		_exit(95);
	return fd;
}

/* What a witness says of itself. */
static void hear_witness(int fd, char *text, size_t size)
{
	ssize_t got = recv(fd, text, size - 1, 0);

	if (got <= 0)
		_exit(94);
	text[got] = '\0';
}

static void meet_witness(void)
{
	char text[512];

	hear_witness(fetch_witness(7, 1), text, sizeof text);
	say(strstr(text, "fds"));
	run_until_killed();
}

/* The first never ends by itself. */
static void replace_witness(void)
{
	char text[512], first_pid[32], second_pid[32];
	int first = fetch_witness(1, 0), other = fetch_witness(3, 1), second;

	hear_witness(first, text, sizeof text);
	if (sscanf(text, "%*s %31s", first_pid) != 1)
		_exit(93);
	second = fetch_witness(2, 0);
	hear_witness(second, text, sizeof text);
	if (sscanf(text, "%*s %31s", second_pid) != 1)
		_exit(93);
	ssize_t end = recv(first, text, sizeof text, 0);
	hear_witness(other, text, sizeof text);
	bool lives = recv(other, text, sizeof text, MSG_DONTWAIT) < 0 && errno == EAGAIN;
	say(lives && end == 0 && strcmp(first_pid, second_pid) != 0 ? "replaced" : "not replaced");
	run_until_killed();
}

/* One that dies is no matter of the monitor's: the next is asked for. */
static void fetch_witnesses(void)
{
	char text[512];

	for (uint32_t i = 1; i <= 40; i++) {
		int fd = fetch_witness(i, i % PROCESS_WITNESSES);

		hear_witness(fd, text, sizeof text);
		close(fd);
	}
	say("forty");
	run_until_killed();
}

static void resolve_root(void)
{
	struct wire_writer writer;
	struct wire_message answer, item;
	struct wire_list list;
	struct wire_field field;
	uint64_t id = 99;
	size_t mark;
	int fd;

	wire_begin(&writer, out, sizeof out, PROCESS_RESOLVE, 5);
	mark = wire_list_begin(&writer, PROCESS_TAG_USERS);
	wire_item_put(&writer, "root", 4);
	wire_list_end(&writer, mark);
	if (send(PROCESS_FD, out, wire_finish(&writer), 0) < 0)
		_exit(95);
	answer = hear(&fd);
	list = wire_list_of(&answer, PROCESS_TAG_ITEMS);
	if (!wire_list_next(&list, &field) ||
		wire_parse_fields(field.bytes, field.size, &item) != MORTISE_OK ||
		wire_number(&item, PROCESS_TAG_NUMBER, &id) != MORTISE_OK || answer.request_id != 5)
		_exit(94);
	say_number("root is", (long)id);
	run_until_killed();
}

static void resolve_too_many(void)
{
	struct wire_writer writer;
	struct wire_message answer;
	size_t mark;
	int fd;

	wire_begin(&writer, out, sizeof out, PROCESS_RESOLVE, 5);
	mark = wire_list_begin(&writer, PROCESS_TAG_GROUPS);
	for (int i = 0; i < 65; i++)
		wire_item_put(&writer, "a", 1);
	wire_list_end(&writer, mark);
	if (send(PROCESS_FD, out, wire_finish(&writer), 0) < 0)
		_exit(95);
	answer = hear(&fd);
	say_number("too many:", answer.code);
	run_until_killed();
}

/* The first keeper does what is wrong, and the next one lives to tell. */
static bool is_first_time(const struct wire_message *configuration)
{
	char path[256];
	int fd;

	if (wire_text(configuration, PROCESS_TAG_STORE, path, sizeof path - 8) != MORTISE_OK)
		_exit(93);
	memcpy(path + strlen(path), "/mark", sizeof "/mark");
	fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
	return fd >= 0 && dprintf(fd, "%d", (int)getpid()) > 0;
}

static void send_bytes(const char *bytes, size_t size)
{
	if (send(PROCESS_FD, bytes, size, MSG_NOSIGNAL) < 0)
		_exit(92);
	run_until_killed();
}

static void send_field(uint16_t opcode, unsigned tag, const char *text)
{
	struct wire_writer writer;

	wire_begin(&writer, out, sizeof out, opcode, 1);
	wire_put_text(&writer, tag, text);
	send_bytes((const char *)out, wire_finish(&writer));
}

static void misbehave(const char *scenario)
{
	if (strcmp(scenario, "garbage") == 0)
		send_bytes("garbage", 7);
	if (strcmp(scenario, "huge") == 0)
		send_bytes((const char *)memset(out, 1, sizeof out), sizeof out);
	if (strcmp(scenario, "opcode") == 0)
		ask(9999, 1);
	if (strcmp(scenario, "configure") == 0)
		ask(PROCESS_CONFIGURE, 1);
	if (strcmp(scenario, "field") == 0)
		send_field(PROCESS_SPAWN, PROCESS_TAG_FAULT, "x");
	if (strcmp(scenario, "torn") == 0)
		send_field(PROCESS_RESOLVE, PROCESS_TAG_USERS, "torn");
	if (strcmp(scenario, "textless") == 0)
		ask(PROCESS_READY, 1);
	if (strcmp(scenario, "release") == 0)
		ask(PROCESS_RELEASE, 1);
	if (strcmp(scenario, "witness-nowhere") == 0)
		ask(PROCESS_WITNESS, 1);
	if (strcmp(scenario, "witness-beyond") == 0)
		fetch_witness(1, PROCESS_WITNESSES);
	if (strcmp(scenario, "hangup") == 0)
		close(PROCESS_FD);
	if (strcmp(scenario, "crash") == 0)
		raise(SIGKILL);
	run_until_killed();
}

static int keeper(void)
{
	int listener;
	char scenario[64] = "";
	struct wire_message message = hear(&listener);

	if (message.code != PROCESS_CONFIGURE)
		return 91;
	(void)!wire_text(&message, PROCESS_TAG_ENVIRONMENT, scenario, sizeof scenario);
	if (strcmp(scenario, "state") == 0) {
		close(listener);
		tell_state();
	} else if (strcmp(scenario, "configuration") == 0) {
		tell_configuration(&message, listener);
	} else if (strcmp(scenario, "spawn") == 0) {
		spawn_one();
	} else if (strcmp(scenario, "spawn-three") == 0) {
		spawn_three();
	} else if (strcmp(scenario, "spawn-in-turn") == 0) {
		spawn_in_turn();
	} else if (strcmp(scenario, "spawn-and-die") == 0) {
		spawn_and_die(is_first_time(&message));
	} else if (strcmp(scenario, "witness") == 0) {
		meet_witness();
	} else if (strcmp(scenario, "witness-again") == 0) {
		replace_witness();
	} else if (strcmp(scenario, "witnesses") == 0) {
		fetch_witnesses();
	} else if (strcmp(scenario, "resolve") == 0) {
		resolve_root();
	} else if (strcmp(scenario, "resolve-many") == 0) {
		resolve_too_many();
	} else if (strncmp(scenario, "exit-", 5) == 0) {
		return atoi(scenario + 5);
	} else if (strcmp(scenario, "lines") == 0) {
		say("one\nREADY=0\x1b");
		say("two");
	} else if (strcmp(scenario, "calm") == 0) {
		say("calm");
	} else if (strcmp(scenario, "pin") == 0) {
		say_that_it_waits_for_a_pin();
	} else if (strcmp(scenario, "pin and then none") == 0) {
		say_that_it_waits_for_a_pin();
		say("open");
	} else if (strcmp(scenario, "listens") == 0) {
		say("listens");
		message = hear(&listener);
		(void)!wire_text(&message, PROCESS_TAG_ENVIRONMENT, scenario, sizeof scenario);
		say(message.code == PROCESS_CONFIGURE && listener < 0 ? scenario : "wrong");
		say(scenario);
	} else if (strcmp(scenario, "deaf") == 0) {
		signal(SIGTERM, SIG_IGN);
		say("deaf");
	} else if (strcmp(scenario, "dies-often") == 0) {
		say_number("pid", getpid());
		return 1;
	} else if (strcmp(scenario, "accept-all") == 0) {
		accept_all();
	} else if (strcmp(scenario, "accept-none") == 0) {
		uint64_t number;
		say_number("none:", accept_one(&listener, &number));
	} else if (is_first_time(&message)) {
		if (strncmp(scenario, "answers", 7) == 0)
			return answer_and_end(scenario);
		misbehave(scenario);
	} else {
		say("again");
	}
	run_until_killed();
	return 0;
}

/* ---- the fake sealer ---- */

/* Says what it is, and never ends by itself. */
static int witness(void)
{
	char fds[64], text[512];
	const char *variable = getenv("MORTISE_TEST_CANARY");
	int death = 0;

	list_descriptors(fds, sizeof fds);
	prctl(PR_GET_PDEATHSIG, &death, 0, 0, 0);
	snprintf(text, sizeof text, "witness %d fds%s nnp %d death %d env %s", (int)getpid(), fds,
		prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), death,
		variable == NULL ? "clean" : variable);
	if (send(PROCESS_FD, text, strlen(text), MSG_NOSIGNAL) < 0)
		return 1;
	run_until_killed();
	return 0;
}

static int sealer(int argc, char **argv)
{
	char text[512], fds[64];
	struct stat notes;
	char byte;
	int size = 0;

	list_descriptors(fds, sizeof fds);
	for (int i = 0; i < argc; i++)
		size += snprintf(text + size, sizeof text - (size_t)size, "%s ", argv[i]);
	size += snprintf(text + size, sizeof text - (size_t)size, "fds%s notes %d nnp %d", fds,
		fstat(4, &notes) == 0 && S_ISREG(notes.st_mode),
		prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	if (getenv("MORTISE_PKCS11_ENV") != NULL)
		size += snprintf(text + size, sizeof text - (size_t)size, " env %s",
			getenv("MORTISE_PKCS11_ENV"));
	if (strcmp(argv[1], "--tcti=hang") == 0)
		run_until_killed();
	if (strcmp(argv[1], "--tcti=capabilities") == 0)
		size = snprintf(text, sizeof text, "ambient %d",
			prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_SYS_PTRACE, 0, 0));
	puts("a vendor's library prints");
	send(PROCESS_FD, text, (size_t)size, MSG_NOSIGNAL);
	while (recv(PROCESS_FD, &byte, 1, 0) > 0)
		continue;
	if (strncmp(argv[1], "--tcti=tidies:", 14) == 0) {
		poll(NULL, 0, 100); /* longer than anybody takes to die */
		return close(open(argv[1] + 14, O_CREAT | O_WRONLY, 0600));
	}
	return 0;
}

/* ---- the tests ---- */

struct fixture {
	char base[40], notify_path[64], mark[64];
	int notify_fd, listener_fd, credentials_fd;
	struct monitor_listener listeners[2];
	int ready[2];
	pid_t monitor;
	struct config config;
	struct identity identity;
	struct monitor_settings settings;
};

static int listening_socket(int type)
{
	struct sockaddr_un autobind = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&autobind, sizeof(sa_family_t)), 0);
	assert_int_equal(listen(fd, 2 * CREDENTIAL_HELD_MAX), 0);
	return fd;
}

static int notify_socket(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	memcpy(address.sun_path, path, strlen(path));
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
	return fd;
}

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof *fixture);

	assert_non_null(fixture);
	snprintf(fixture->base, sizeof fixture->base, "/tmp/test_monitor.XXXXXX");
	assert_non_null(mkdtemp(fixture->base));
	snprintf(fixture->notify_path, sizeof fixture->notify_path, "%s/notify", fixture->base);
	snprintf(fixture->mark, sizeof fixture->mark, "%s/mark", fixture->base);
	fixture->notify_fd = notify_socket(fixture->notify_path);
	fixture->listener_fd = listening_socket(SOCK_SEQPACKET);
	fixture->credentials_fd = listening_socket(SOCK_STREAM);
	assert_int_equal(pipe2(fixture->ready, O_CLOEXEC), 0);
	fixture->config.store = fixture->base;
	fixture->config.audit_log = (char *)(uintptr_t) "/audit.log";
	fixture->config.tcti = (char *)(uintptr_t) "swtpm:path=/x";
	fixture->config.hardware_deadline_ms = 60000;
	fixture->config.audit_sync_always = true;
	fixture->identity = (struct identity){.uid = geteuid(), .gid = getegid()};
	fixture->listeners[0] =
		(struct monitor_listener){.name = "main", .verbs = 127, .fd = fixture->listener_fd};
	fixture->listeners[1] = (struct monitor_listener){.name = "credentials",
		.fd = fixture->credentials_fd,
		.is_for_credentials = true,
		.wait_ms = 1000};
	fixture->settings = (struct monitor_settings){
		.config = &fixture->config,
		.identity = &fixture->identity,
		.first_uid = geteuid(),
		.operators_gid = 4321,
		.keeper_program = "/proc/self/exe",
		.sealer_program = "/proc/self/exe",
		.listeners = fixture->listeners,
		.listener_count = 1,
		.ready_fd = fixture->ready[1],
		.notify_socket = fixture->notify_path,
		.timing = monitor_usual_timing,
	};
	*state = fixture;
	return 0;
}

static void start(struct fixture *fixture, const char *scenario)
{
	fixture->config.environment = (char *)(uintptr_t)scenario;
	fixture->monitor = fork();
	if (fixture->monitor == 0) {
		dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDERR_FILENO);
		log_open("mortised");
		setenv("MORTISE_TEST_CANARY", "leaked", 1);
		_exit(monitor_run(&fixture->settings));
	}
	assert_true(fixture->monitor > 0);
}

static int exit_status(struct fixture *fixture)
{
	int status = -1;

	assert_int_equal(waitpid(fixture->monitor, &status, 0), fixture->monitor);
	fixture->monitor = 0;
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	if (fixture->monitor > 0) {
		kill(fixture->monitor, SIGTERM);
		assert_int_equal(exit_status(fixture), 0);
	}
	close(fixture->notify_fd);
	close(fixture->listener_fd);
	close(fixture->credentials_fd);
	close(fixture->ready[0]);
	close(fixture->ready[1]);
	unlink(fixture->notify_path);
	unlink(fixture->mark);
	snprintf(fixture->mark, sizeof fixture->mark, "%s/waits-for-pin", fixture->base);
	unlink(fixture->mark);
	assert_int_equal(rmdir(fixture->base), 0);
	free(fixture);
	return 0;
}

static void read_datagram(struct fixture *fixture, char *text, size_t size)
{
	struct pollfd readable = {.fd = fixture->notify_fd, .events = POLLIN};
	ssize_t received;

	assert_int_equal(poll(&readable, 1, PATIENCE_MS), 1);
	received = recv(fixture->notify_fd, text, size - 1, 0);
	assert_true(received > 0);
	text[received] = '\0';
}

static void assert_told(struct fixture *fixture, const char *expected)
{
	char text[2048];

	read_datagram(fixture, text, sizeof text);
	assert_string_equal(text, expected);
}

static void a_keeper_gets_a_clean_state(void **state)
{
	start(*state, "state");
	assert_told(*state, "READY=1\nSTATUS=fds 3 nnp 1 death 9 pipe 1 hup 1 blocked 0 files 1 "
			    "env clean");
}

static void a_keeper_gets_the_configuration_and_the_listener(void **state)
{
	struct fixture *fixture = *state;
	char expected[256];

	start(fixture, "configuration");
	snprintf(expected, sizeof expected,
		"READY=1\nSTATUS=%s /audit.log flags 5 listens 1 agent 1 first 1 operators 1",
		fixture->base);
	assert_told(fixture, expected);
}

static void the_starter_is_told_once_it_is_ready(void **state)
{
	struct fixture *fixture = *state;
	char bytes[2];

	start(fixture, "calm");
	close(fixture->ready[1]);
	fixture->ready[1] = -1;
	assert_int_equal(read(fixture->ready[0], bytes, sizeof bytes), 1);
	assert_int_equal(bytes[0], '\n');
	assert_int_equal(read(fixture->ready[0], bytes, 1), 0);
}

static void a_state_stays_one_line(void **state)
{
	start(*state, "lines");
	assert_told(*state, "READY=1\nSTATUS=one?READY=0?");
	assert_told(*state, "STATUS=two");
}

static bool has_pin_flag(const struct fixture *fixture)
{
	char path[128];

	snprintf(path, sizeof path, "%s/waits-for-pin", fixture->base);
	return access(path, F_OK) == 0;
}

static void a_file_is_there_while_a_pin_is_waited_for(void **state)
{
	struct fixture *fixture = *state;

	fixture->settings.runtime_directory = fixture->base;
	start(fixture, "pin");
	assert_told(fixture, "READY=1\nSTATUS=waits");
	assert_true(has_pin_flag(fixture));
}

static void it_is_gone_when_none_is(void **state)
{
	struct fixture *fixture = *state;

	fixture->settings.runtime_directory = fixture->base;
	start(fixture, "pin and then none");
	assert_told(fixture, "READY=1\nSTATUS=waits");
	assert_told(fixture, "STATUS=open");
	assert_false(has_pin_flag(fixture));
}

static void where_it_cannot_be_made_all_else_goes_on(void **state)
{
	struct fixture *fixture = *state;

	fixture->settings.runtime_directory = "/nowhere";
	start(fixture, "pin and then none");
	assert_told(fixture, "READY=1\nSTATUS=waits");
	assert_told(fixture, "STATUS=open");
}

static void assert_survives(struct fixture *fixture, const char *scenario)
{
	start(fixture, scenario);
	assert_told(fixture, "READY=1\nSTATUS=again");
}

static void a_keeper_that_crashes_is_started_again(void **state)
{
	assert_survives(*state, "crash");
}

static void a_keeper_that_hangs_up_is_replaced(void **state)
{
	assert_survives(*state, "hangup");
}

static void garbage_ends_the_keeper(void **state)
{
	assert_survives(*state, "garbage");
}

static void a_frame_of_the_greatest_size_that_is_garbage_ends_it_too(void **state)
{
	assert_survives(*state, "huge");
}

static void an_unknown_opcode_ends_the_keeper(void **state)
{
	assert_survives(*state, "opcode");
}

static void an_opcode_of_the_monitor_ends_the_keeper(void **state)
{
	assert_survives(*state, "configure");
}

static void a_field_out_of_place_ends_the_keeper(void **state)
{
	assert_survives(*state, "field");
}

static void a_torn_list_of_names_ends_the_keeper(void **state)
{
	assert_survives(*state, "torn");
}

static void a_ready_without_text_ends_the_keeper(void **state)
{
	assert_survives(*state, "textless");
}

static void a_keeper_that_cannot_work_ends_the_monitor(void **state)
{
	static const struct {
		const char *scenario;
		int status;
	} cases[] = {{"exit-78", 78}, {"exit-73", 73}, {"exit-65", 65}};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		start(*state, cases[i].scenario);
		assert_int_equal(exit_status(*state), cases[i].status);
	}
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* 0 + 40 + 80 + 100 + 100: the lower bound is all that a loaded machine keeps. */
static void restarts_slow_down(void **state)
{
	struct fixture *fixture = *state;
	char text[2048];
	int64_t begun = now_ms();

	fixture->settings.timing.restart_first_ms = 40;
	fixture->settings.timing.restart_max_ms = 100;
	start(fixture, "dies-often");
	for (int i = 0; i < 6; i++)
		read_datagram(fixture, text, sizeof text);
	assert_true(now_ms() - begun >= 320);
}

static void a_keeper_that_lived_long_is_restarted_at_once(void **state)
{
	struct fixture *fixture = *state;
	char text[2048];
	int64_t begun = now_ms();

	fixture->settings.timing.restart_first_ms = PATIENCE_MS;
	fixture->settings.timing.restart_max_ms = PATIENCE_MS;
	fixture->settings.timing.healthy_ms = 0;
	start(fixture, "dies-often");
	for (int i = 0; i < 6; i++)
		read_datagram(fixture, text, sizeof text);
	assert_true(now_ms() - begun < PATIENCE_MS);
}

static void a_sealer_gets_its_arguments_and_two_descriptors(void **state)
{
	start(*state, "spawn");
	assert_told(*state, "READY=1\nSTATUS=mortise-sealer --tcti=swtpm:path=/x "
			    "--deadline-ms=60000 --notes-fd=4 fds 3 4 notes 1 nnp 1");
}

static void a_sealer_gets_what_it_needs_for_tokens(void **state)
{
	struct fixture *fixture = *state;

	fixture->config.pkcs11_modules = (char *)(uintptr_t) "/a.so /b.so";
	fixture->config.pkcs11_pin_file = (char *)(uintptr_t) "/pin";
	fixture->config.pkcs11_env = (char *)(uintptr_t) "A=1 B=2";
	start(fixture, "spawn");
	assert_told(fixture,
		"READY=1\nSTATUS=mortise-sealer --tcti=swtpm:path=/x --deadline-ms=60000 "
		"--notes-fd=4 --pkcs11-modules=/a.so /b.so --pkcs11-pin-file=/pin "
		"fds 3 4 notes 1 nnp 1 env A=1 B=2");
}

static void a_sealer_is_told_where_the_signatures_are(void **state)
{
	struct fixture *fixture = *state;

	fixture->config.pcr_signature = (char *)(uintptr_t) "/p/s.json";
	start(fixture, "spawn");
	assert_told(fixture, "READY=1\nSTATUS=mortise-sealer --tcti=swtpm:path=/x "
			     "--deadline-ms=60000 --notes-fd=4 --pcr-signature=/p/s.json "
			     "fds 3 4 notes 1 nnp 1");
}

static void one_request_for_a_sealer_waits_and_no_more(void **state)
{
	char expected[64];

	start(*state, "spawn-three");
	snprintf(expected, sizeof expected, "READY=1\nSTATUS=third %d", MORTISE_BUSY);
	assert_told(*state, expected);
}

static void a_sealer_follows_when_the_one_before_has_ended(void **state)
{
	start(*state, "spawn-in-turn");
	assert_told(*state, "READY=1\nSTATUS=a second sealer");
}

static void a_sealer_that_hangs_is_killed(void **state)
{
	struct fixture *fixture = *state;

	fixture->config.tcti = (char *)(uintptr_t) "hang";
	fixture->config.hardware_deadline_ms = 10;
	fixture->settings.timing.sealer_grace_ms = 10;
	start(fixture, "spawn");
	assert_told(fixture, "READY=1\nSTATUS=the sealer died");
}

/* It would be waited for far longer than this test waits. */
static void a_sealer_goes_with_its_keeper(void **state)
{
	struct fixture *fixture = *state;

	fixture->config.tcti = (char *)(uintptr_t) "hang";
	fixture->config.hardware_deadline_ms = 20 * PATIENCE_MS;
	start(fixture, "spawn-and-die");
	assert_told(fixture, "READY=1\nSTATUS=a sealer of its own");
}

static void a_sealer_that_cannot_be_run_is_told_by_its_socket(void **state)
{
	struct fixture *fixture = *state;

	fixture->settings.sealer_program = "/nonexistent";
	start(fixture, "spawn");
	assert_told(fixture, "READY=1\nSTATUS=the sealer died");
}

static void a_witness_is_run_with_one_descriptor_and_an_empty_environment(void **state)
{
	struct fixture *fixture = *state;

	fixture->config.has_exe_evidence = true;
	start(fixture, "witness");
	assert_told(fixture, "READY=1\nSTATUS=fds 3 nnp 1 death 9 env clean");
}

static void a_witness_is_killed_for_the_next_one(void **state)
{
	struct fixture *fixture = *state;

	fixture->config.has_exe_evidence = true;
	start(fixture, "witness-again");
	assert_told(fixture, "READY=1\nSTATUS=replaced");
}

static void however_many_are_asked_for_one_is_left(void **state)
{
	struct fixture *fixture = *state;

	fixture->config.has_exe_evidence = true;
	start(fixture, "witnesses");
	assert_told(fixture, "READY=1\nSTATUS=forty");
}

static void a_place_for_a_witness_that_there_is_not_ends_the_keeper(void **state)
{
	assert_survives(*state, "witness-nowhere");
}

static void likewise_one_beyond_the_last(void **state)
{
	assert_survives(*state, "witness-beyond");
}

static void names_are_resolved(void **state)
{
	start(*state, "resolve");
	assert_told(*state, "READY=1\nSTATUS=root is 0");
}

static void too_many_names_get_an_answer(void **state)
{
	char expected[64];

	start(*state, "resolve-many");
	snprintf(expected, sizeof expected, "READY=1\nSTATUS=too many: %d", MORTISE_INVALID);
	assert_told(*state, expected);
}

static void a_stop_ends_keeper_and_monitor(void **state)
{
	struct fixture *fixture = *state;

	start(fixture, "calm");
	assert_told(fixture, "READY=1\nSTATUS=calm");
	kill(fixture->monitor, SIGINT);
	assert_told(fixture, "STOPPING=1");
	assert_int_equal(exit_status(fixture), 0);
}

static void a_keeper_that_does_not_stop_is_killed(void **state)
{
	struct fixture *fixture = *state;

	fixture->settings.timing.stop_ms = 20;
	start(fixture, "deaf");
	assert_told(fixture, "READY=1\nSTATUS=deaf");
	kill(fixture->monitor, SIGTERM);
	assert_int_equal(exit_status(fixture), 0);
}

static void a_stop_between_two_keepers_ends_the_monitor(void **state)
{
	struct fixture *fixture = *state;
	char text[2048];

	fixture->settings.timing.restart_first_ms = PATIENCE_MS;
	start(fixture, "dies-often");
	read_datagram(fixture, text, sizeof text);
	read_datagram(fixture, text, sizeof text);
	kill(fixture->monitor, SIGTERM);
	assert_int_equal(exit_status(fixture), 0);
}

static void a_storm_of_hangups_changes_nothing(void **state)
{
	struct fixture *fixture = *state;

	start(fixture, "calm");
	assert_told(fixture, "READY=1\nSTATUS=calm");
	for (int i = 0; i < 1000; i++)
		kill(fixture->monitor, SIGHUP);
	kill(fixture->monitor, SIGTERM);
	assert_told(fixture, "STOPPING=1");
	assert_int_equal(exit_status(fixture), 0);
}

static void a_stop_lets_the_sealer_tidy_up(void **state)
{
	struct fixture *fixture = *state;
	char tcti[128], text[2048];

	snprintf(tcti, sizeof tcti, "tidies:%s", fixture->mark);
	fixture->config.tcti = tcti;
	start(fixture, "spawn");
	read_datagram(fixture, text, sizeof text);
	kill(fixture->monitor, SIGTERM);
	assert_int_equal(exit_status(fixture), 0);
	assert_int_equal(access(fixture->mark, F_OK), 0);
}

static void a_stop_does_not_wait_for_a_sealer_that_hangs(void **state)
{
	struct fixture *fixture = *state;
	char text[2048];

	fixture->config.tcti = (char[]){"hang"};
	fixture->settings.timing.stop_ms = 20;
	start(fixture, "spawn-three");
	read_datagram(fixture, text, sizeof text);
	kill(fixture->monitor, SIGTERM);
	assert_int_equal(exit_status(fixture), 0);
}

/* A witness's capability comes to the monitor as an ambient one. */
static void a_sealer_gets_no_ambient_capability(void **state)
{
	struct fixture *fixture = *state;
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct before[2], raised[2];

	assert_int_equal(syscall(SYS_capget, &header, before), 0);
	if ((before[0].permitted & CAP_TO_MASK(CAP_SYS_PTRACE)) == 0)
		skip(); /* needs CAP_SYS_PTRACE */
	memcpy(raised, before, sizeof raised);
	raised[0].inheritable |= CAP_TO_MASK(CAP_SYS_PTRACE);
	assert_int_equal(syscall(SYS_capset, &header, raised), 0);
	assert_int_equal(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SYS_PTRACE, 0, 0), 0);
	fixture->config.tcti = (char[]){"capabilities"};
	start(fixture, "spawn");
	assert_int_equal(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0), 0);
	assert_int_equal(syscall(SYS_capset, &header, before), 0);
	assert_told(fixture, "READY=1\nSTATUS=ambient 0");
}

static enum mortise_status read_again(void *context)
{
	static char changed[] = "changed";
	struct fixture *fixture = context;

	fixture->config.environment = changed;
	return MORTISE_OK;
}

static enum mortise_status read_in_vain(void *context)
{
	(void)context;
	return MORTISE_REJECTED;
}

static void assert_reloading(struct fixture *fixture)
{
	char text[2048];

	read_datagram(fixture, text, sizeof text);
	assert_int_equal(strncmp(text, "RELOADING=1\nMONOTONIC_USEC=", 27), 0);
}

static void a_hangup_hands_the_new_configuration_to_the_keeper_that_runs(void **state)
{
	struct fixture *fixture = *state;

	fixture->settings.reload = read_again;
	fixture->settings.context = fixture;
	start(fixture, "listens");
	assert_told(fixture, "READY=1\nSTATUS=listens");
	kill(fixture->monitor, SIGHUP);
	assert_reloading(fixture);
	assert_told(fixture, "READY=1\nSTATUS=listens");
	assert_told(fixture, "STATUS=changed");
}

static void a_configuration_that_is_wrong_does_not_reach_the_keeper(void **state)
{
	struct fixture *fixture = *state;

	fixture->settings.reload = read_in_vain;
	start(fixture, "listens");
	assert_told(fixture, "READY=1\nSTATUS=listens");
	kill(fixture->monitor, SIGHUP);
	assert_reloading(fixture);
	assert_told(fixture, "READY=1\nSTATUS=listens");
	kill(fixture->monitor, SIGTERM);
	assert_told(fixture, "STOPPING=1");
}

static void the_watchdog_hears_of_each_sign_of_life_of_the_keeper(void **state)
{
	struct fixture *fixture = *state;

	fixture->settings.has_watchdog = true;
	start(fixture, "lines");
	assert_told(fixture, "WATCHDOG=1");
	assert_told(fixture, "READY=1\nSTATUS=one?READY=0?");
	assert_told(fixture, "WATCHDOG=1");
	assert_told(fixture, "STATUS=two");
}

/* ---- connections of service managers ---- */

static int connect_manager(struct fixture *fixture)
{
	struct sockaddr_un address;
	socklen_t size = sizeof address;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(
		getsockname(fixture->credentials_fd, (struct sockaddr *)&address, &size), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, size), 0);
	fixture->settings.listener_count = 2;
	return fd;
}

/* Reads to the end; counts what is no zero. */
static size_t take(int fd, size_t *out_others)
{
	static uint8_t bytes[65536];
	size_t size = 0;
	ssize_t got;

	*out_others = 0;
	while ((got = read(fd, bytes, sizeof bytes)) > 0) {
		size += (size_t)got;
		for (ssize_t i = 0; i < got; i++)
			*out_others += bytes[i] != 0;
	}
	assert_int_equal(got, 0);
	close(fd);
	return size;
}

static void assert_refused_behind(int fd, size_t others)
{
	size_t found;

	assert_true(take(fd, &found) > 1024 * 1024);
	assert_int_equal(found, others);
}

static void assert_whole(int fd)
{
	size_t others;

	assert_int_equal(take(fd, &others), 6);
	assert_int_equal(others, 6);
}

static void where_nobody_waits_the_keeper_is_told_so(void **state)
{
	struct fixture *fixture = *state;
	char expected[64];

	snprintf(expected, sizeof expected, "READY=1\nSTATUS=none: %d", MORTISE_NOT_FOUND);
	fixture->settings.listener_count = 2;
	start(fixture, "accept-none");
	assert_told(fixture, expected);
}

static void without_a_listener_for_them_nobody_waits(void **state)
{
	struct fixture *fixture = *state;
	char expected[64];

	snprintf(expected, sizeof expected, "READY=1\nSTATUS=none: %d", MORTISE_NOT_FOUND);
	start(fixture, "accept-none");
	assert_told(fixture, expected);
}

static void what_is_released_as_delivered_is_closed(void **state)
{
	int fd = connect_manager(*state);

	start(*state, "answers whole released lives");
	assert_told(*state, "READY=1\nSTATUS=answered");
	/* The fake keeper has it open, too. */
	kill(((struct fixture *)*state)->monitor, SIGTERM);
	assert_whole(fd);
}

static void what_is_released_as_not_delivered_is_refused(void **state)
{
	int fd = connect_manager(*state);
	size_t others = 1;

	start(*state, "answers declined");
	assert_true(take(fd, &others) > 1024 * 1024);
	assert_int_equal(others, 0);
}

static void what_a_keeper_leaves_at_its_end_is_refused(void **state)
{
	int fd = connect_manager(*state);

	start(*state, "answers");
	assert_refused_behind(fd, 0);
	assert_told(*state, "READY=1\nSTATUS=again");
}

static void so_it_is_behind_a_part_of_a_value(void **state)
{
	int fd = connect_manager(*state);

	start(*state, "answers part");
	assert_refused_behind(fd, 2);
}

static void so_it_is_behind_a_whole_one_that_was_not_released(void **state)
{
	int fd = connect_manager(*state);

	start(*state, "answers whole");
	assert_refused_behind(fd, 6);
}

/* Whether the first keeper has ended and nobody has taken notice yet. */
static bool is_first_a_zombie(const struct fixture *fixture)
{
	char path[64], text[256] = "";
	FILE *file = fopen(fixture->mark, "re");
	int pid = 0;

	assert_non_null(file);
	assert_int_equal(fscanf(file, "%d", &pid), 1);
	fclose(file);
	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	file = fopen(path, "re");
	assert_non_null(file);
	assert_non_null(fgets(text, sizeof text, file));
	fclose(file);
	return strstr(text, ") Z ") != NULL;
}

static void what_a_keeper_released_last_counts_though_it_has_ended(void **state)
{
	struct fixture *fixture = *state;
	int fd = connect_manager(fixture), status;

	start(fixture, "answers whole stops released");
	assert_int_equal(waitpid(fixture->monitor, &status, WUNTRACED), fixture->monitor);
	assert_true(WIFSTOPPED(status));
	while (!is_first_a_zombie(fixture))
		poll(NULL, 0, 1);
	kill(fixture->monitor, SIGCONT);
	assert_whole(fd);
	assert_told(fixture, "READY=1\nSTATUS=much to read");
	assert_told(fixture, "STATUS=again");
}

static void a_release_of_what_is_not_held_ends_the_keeper(void **state)
{
	int fd = connect_manager(*state);

	start(*state, "answers whole released twice");
	assert_whole(fd);
	assert_told(*state, "READY=1\nSTATUS=again");
}

static void a_release_without_a_number_ends_the_keeper(void **state)
{
	assert_survives(*state, "release");
}

static void a_keeper_that_asks_for_ever_gets_no_more_than_its_share(void **state)
{
	struct fixture *fixture = *state;
	char expected[64];
	int fds[CREDENTIAL_HELD_MAX + 2];
	size_t others;

	for (size_t i = 0; i < CREDENTIAL_HELD_MAX + 2; i++)
		fds[i] = connect_manager(fixture);
	snprintf(expected, sizeof expected, "STATUS=busy after %d", CREDENTIAL_HELD_MAX);
	fixture->settings.timing.refusals_ms = PATIENCE_MS;
	start(fixture, "accept-all");
	assert_told(fixture, "READY=1\nSTATUS=first");
	assert_told(fixture, expected);
	kill(fixture->monitor, SIGTERM);
	for (size_t i = 0; i < CREDENTIAL_HELD_MAX; i++)
		assert_true(take(fds[i], &others) > 1024 * 1024 || geteuid() != 0);
	assert_int_equal(exit_status(fixture), 0);
	close(fds[CREDENTIAL_HELD_MAX]);
	close(fds[CREDENTIAL_HELD_MAX + 1]);
}

static void at_a_stop_refusals_are_finished_behind_the_keeper(void **state)
{
	struct fixture *fixture = *state;
	int fd = connect_manager(fixture);

	start(fixture, "answers part lives");
	assert_told(fixture, "READY=1\nSTATUS=answered");
	kill(fixture->monitor, SIGTERM);
	assert_refused_behind(fd, 2);
	assert_int_equal(exit_status(fixture), 0);
}

static void a_stop_does_not_wait_for_who_does_not_read(void **state)
{
	struct fixture *fixture = *state;
	int fd = connect_manager(fixture);
	int64_t begun = now_ms();

	fixture->settings.timing.refusals_ms = 20;
	fixture->settings.timing.unread_ms = 2 * PATIENCE_MS;
	start(fixture, "answers lives");
	assert_told(fixture, "READY=1\nSTATUS=answered");
	kill(fixture->monitor, SIGTERM);
	assert_int_equal(exit_status(fixture), 0);
	assert_true(now_ms() - begun < PATIENCE_MS);
	close(fd);
}

static void a_keeper_that_cannot_work_leaves_nobody_without_a_refusal(void **state)
{
	struct fixture *fixture = *state;
	int fd = connect_manager(fixture);

	start(fixture, "answers final");
	assert_refused_behind(fd, 0);
	assert_int_equal(exit_status(fixture), 78);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static int test_all(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_file_is_there_while_a_pin_is_waited_for),
		TEST(it_is_gone_when_none_is),
		TEST(where_it_cannot_be_made_all_else_goes_on),
		TEST(a_keeper_gets_a_clean_state),
		TEST(a_keeper_gets_the_configuration_and_the_listener),
		TEST(the_starter_is_told_once_it_is_ready),
		TEST(a_state_stays_one_line),
		TEST(a_keeper_that_crashes_is_started_again),
		TEST(a_keeper_that_hangs_up_is_replaced),
		TEST(garbage_ends_the_keeper),
		TEST(a_frame_of_the_greatest_size_that_is_garbage_ends_it_too),
		TEST(an_unknown_opcode_ends_the_keeper),
		TEST(an_opcode_of_the_monitor_ends_the_keeper),
		TEST(a_field_out_of_place_ends_the_keeper),
		TEST(a_torn_list_of_names_ends_the_keeper),
		TEST(a_ready_without_text_ends_the_keeper),
		TEST(a_keeper_that_cannot_work_ends_the_monitor),
		TEST(restarts_slow_down),
		TEST(a_keeper_that_lived_long_is_restarted_at_once),
		TEST(a_sealer_gets_its_arguments_and_two_descriptors),
		TEST(a_sealer_gets_what_it_needs_for_tokens),
		TEST(a_sealer_is_told_where_the_signatures_are),
		TEST(one_request_for_a_sealer_waits_and_no_more),
		TEST(a_sealer_follows_when_the_one_before_has_ended),
		TEST(a_sealer_that_hangs_is_killed),
		TEST(a_sealer_goes_with_its_keeper),
		TEST(a_sealer_that_cannot_be_run_is_told_by_its_socket),
		TEST(a_witness_is_run_with_one_descriptor_and_an_empty_environment),
		TEST(a_witness_is_killed_for_the_next_one),
		TEST(however_many_are_asked_for_one_is_left),
		TEST(a_place_for_a_witness_that_there_is_not_ends_the_keeper),
		TEST(likewise_one_beyond_the_last),
		TEST(names_are_resolved),
		TEST(too_many_names_get_an_answer),
		TEST(a_stop_ends_keeper_and_monitor),
		TEST(a_keeper_that_does_not_stop_is_killed),
		TEST(a_stop_between_two_keepers_ends_the_monitor),
		TEST(a_stop_lets_the_sealer_tidy_up),
		TEST(a_stop_does_not_wait_for_a_sealer_that_hangs),
		TEST(a_sealer_gets_no_ambient_capability),
		TEST(a_storm_of_hangups_changes_nothing),
		TEST(a_hangup_hands_the_new_configuration_to_the_keeper_that_runs),
		TEST(a_configuration_that_is_wrong_does_not_reach_the_keeper),
		TEST(the_watchdog_hears_of_each_sign_of_life_of_the_keeper),
		TEST(where_nobody_waits_the_keeper_is_told_so),
		TEST(without_a_listener_for_them_nobody_waits),
		TEST(what_is_released_as_delivered_is_closed),
		TEST(what_is_released_as_not_delivered_is_refused),
		TEST(what_a_keeper_leaves_at_its_end_is_refused),
		TEST(so_it_is_behind_a_part_of_a_value),
		TEST(so_it_is_behind_a_whole_one_that_was_not_released),
		TEST(what_a_keeper_released_last_counts_though_it_has_ended),
		TEST(a_release_of_what_is_not_held_ends_the_keeper),
		TEST(a_release_without_a_number_ends_the_keeper),
		TEST(a_keeper_that_asks_for_ever_gets_no_more_than_its_share),
		TEST(at_a_stop_refusals_are_finished_behind_the_keeper),
		TEST(a_stop_does_not_wait_for_who_does_not_read),
		TEST(a_keeper_that_cannot_work_leaves_nobody_without_a_refusal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "--keeper") == 0)
		return keeper();
	if (argc == 2 && strcmp(argv[1], "--witness") == 0)
		return witness();
	if (argc > 1 && strncmp(argv[1], "--tcti=", 7) == 0)
		return sealer(argc, argv);
	return test_all();
}
