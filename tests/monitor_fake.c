/* SPDX-License-Identifier: ISC */
#include "monitor_fake.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "credential_hold.h"
#include "mortise_test.h"
#include "processes.h"
#include "wire.h"

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

/* What a scenario is played with. */
struct stage {
	const struct wire_message *configuration;
	int listener;
};

static void play_state(const struct stage *stage)
{
	close(stage->listener);
	tell_state();
}

static void play_configuration(const struct stage *stage)
{
	tell_configuration(stage->configuration, stage->listener);
}

static void play_spawn_and_die(const struct stage *stage)
{
	spawn_and_die(is_first_time(stage->configuration));
}

static void play_lines(void)
{
	say("one\nREADY=0\x1b");
	say("two");
}

static void play_calm(void)
{
	say("calm");
}

static void play_pin_and_then_none(void)
{
	say_that_it_waits_for_a_pin();
	say("open");
}

static void play_listens(void)
{
	char environment[64] = "";
	struct wire_message message;
	int listener;

	say("listens");
	message = hear(&listener);
	(void)!wire_text(&message, PROCESS_TAG_ENVIRONMENT, environment, sizeof environment);
	say(message.code == PROCESS_CONFIGURE && listener < 0 ? environment : "wrong");
	say(environment);
}

static void play_deaf(void)
{
	signal(SIGTERM, SIG_IGN);
	say("deaf");
}

static void play_dies_often(void)
{
	say_number("pid", getpid());
	exit(1);
}

static void play_accept_none(void)
{
	uint64_t number;
	int fd;

	say_number("none:", accept_one(&fd, &number));
}

/* Each needs the stage, or does without. */
static const struct {
	const char *scenario;
	void (*play)(void);
	void (*play_on)(const struct stage *stage);
} plays[] = {
	{.scenario = "state", .play_on = play_state},
	{.scenario = "configuration", .play_on = play_configuration},
	{.scenario = "spawn", .play = spawn_one},
	{.scenario = "spawn-three", .play = spawn_three},
	{.scenario = "spawn-in-turn", .play = spawn_in_turn},
	{.scenario = "spawn-and-die", .play_on = play_spawn_and_die},
	{.scenario = "witness", .play = meet_witness},
	{.scenario = "witness-again", .play = replace_witness},
	{.scenario = "witnesses", .play = fetch_witnesses},
	{.scenario = "resolve", .play = resolve_root},
	{.scenario = "resolve-many", .play = resolve_too_many},
	{.scenario = "lines", .play = play_lines},
	{.scenario = "calm", .play = play_calm},
	{.scenario = "pin", .play = say_that_it_waits_for_a_pin},
	{.scenario = "pin and then none", .play = play_pin_and_then_none},
	{.scenario = "listens", .play = play_listens},
	{.scenario = "deaf", .play = play_deaf},
	{.scenario = "dies-often", .play = play_dies_often},
	{.scenario = "accept-all", .play = accept_all},
	{.scenario = "accept-none", .play = play_accept_none},
};

static bool play(const char *scenario, const struct stage *stage)
{
	for (size_t i = 0; i < sizeof plays / sizeof *plays; i++) {
		if (strcmp(scenario, plays[i].scenario) != 0)
			continue;
		if (plays[i].play)
			plays[i].play();
		else
			plays[i].play_on(stage);
		return true;
	}
	return false;
}

static int keeper(void)
{
	int listener;
	char scenario[64] = "";
	struct wire_message message = hear(&listener);

	if (message.code != PROCESS_CONFIGURE)
		return 91;
	(void)!wire_text(&message, PROCESS_TAG_ENVIRONMENT, scenario, sizeof scenario);
	if (strncmp(scenario, "exit-", 5) == 0)
		return atoi(scenario + 5);
	if (!play(scenario, &(struct stage){&message, listener})) {
		if (!is_first_time(&message))
			say("again");
		else if (strncmp(scenario, "answers", 7) == 0)
			return answer_and_end(scenario);
		else
			misbehave(scenario);
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

int monitor_fake(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "--keeper") == 0)
		return keeper();
	if (argc == 2 && strcmp(argv[1], "--witness") == 0)
		return witness();
	if (argc > 1 && strncmp(argv[1], "--tcti=", 7) == 0)
		return sealer(argc, argv);
	return -1;
}
