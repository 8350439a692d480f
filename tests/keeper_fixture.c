/* SPDX-License-Identifier: ISC */
#include "keeper_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "keeper.h"

#define PATIENCE_MS 60000

static uint8_t in[WIRE_FRAME_MAX], out[WIRE_FRAME_MAX];

/* ---- the monitor ---- */

static const struct {
	const char *name;
	bool is_user;
	uint32_t id;
} names[] = {
	{"root", true, 0},
	{"alice", true, ALICE},
	{"backup", true, BACKUP},
	{"ghost", true, 65534},
	{"dba", false, DBA_GROUP},
	{"root", false, 0},
};

static int listen_on(const char path[96], int type)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int on = 1, listener;

	memcpy(address.sun_path, path, 96);
	listener = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_true(listener >= 0);
	assert_int_equal(setsockopt(listener, SOL_SOCKET, SO_PASSCRED, &on, sizeof on), 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(chmod(path, 0666), 0);
	assert_int_equal(listen(listener, 1024), 0);
	return listener;
}

void keeper_listen_web(struct keeper_fixture *fixture, unsigned verbs)
{
	snprintf(fixture->web_socket, sizeof fixture->web_socket, "%s/web", fixture->directory);
	fixture->web_listener = listen_on(fixture->web_socket, SOCK_SEQPACKET);
	fixture->web_verbs = verbs;
}

void keeper_listen_credentials(struct keeper_fixture *fixture, unsigned wait_ms)
{
	snprintf(fixture->credentials_socket, sizeof fixture->credentials_socket, "%s/credentials",
		fixture->directory);
	fixture->credentials_listener = listen_on(fixture->credentials_socket, SOCK_STREAM);
	fixture->credentials_wait_ms = wait_ms;
}

struct keeper_fixture *keeper_prepare(void)
{
	struct keeper_fixture *fixture = calloc(1, sizeof *fixture);

	assert_non_null(fixture);
	snprintf(fixture->directory, sizeof fixture->directory, "/tmp/mortise-keeper-XXXXXX");
	assert_non_null(mkdtemp(fixture->directory));
	assert_int_equal(chmod(fixture->directory, 0755), 0);
	snprintf(fixture->socket, sizeof fixture->socket, "%s/sock", fixture->directory);
	snprintf(fixture->store, sizeof fixture->store, "%s/store", fixture->directory);
	snprintf(fixture->audit_directory, sizeof fixture->audit_directory, "%s/log",
		fixture->directory);
	snprintf(fixture->audit_log, sizeof fixture->audit_log, "%s/audit.log",
		fixture->audit_directory);
	snprintf(fixture->errors, sizeof fixture->errors, "%s/errors", fixture->directory);
	assert_int_equal(mkdir(fixture->store, 0700), 0);
	assert_int_equal(mkdir(fixture->audit_directory, 0700), 0);
	fixture->monitor = fixture->sealer = -1;
	fixture->first_uid = geteuid();
	fixture->play = play_honest;
	memset(fixture->h, 0x5a, sizeof fixture->h);
	fixture->listener = listen_on(fixture->socket, SOCK_SEQPACKET);
	fixture->web_listener = fixture->credentials_listener = -1;
	memset(fixture->witnesses, 0xff, sizeof fixture->witnesses);
	memset(fixture->accepted, 0xff, sizeof fixture->accepted);
	return fixture;
}

static _Noreturn void run_keeper(const struct keeper_fixture *fixture, int end)
{
	int null = open("/dev/null", O_RDWR);
	int errors = open(fixture->errors, O_WRONLY | O_CREAT | O_APPEND, 0600);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (dup2(end, PROCESS_FD + 1) < 0 || dup2(null, 0) < 0 || dup2(errors, 1) < 0 ||
		dup2(errors, 2) < 0 || dup2(PROCESS_FD + 1, PROCESS_FD) < 0)
		_exit(99);
	close_range(PROCESS_FD + 1, ~0U, 0);
	if (fixture->before)
		fixture->before();
	_exit(keeper_main());
}

#define SENT_MAX 3

static void send_all(int fd, size_t size, const int *descriptors, size_t count)
{
	_Alignas(struct cmsghdr) char room[CMSG_SPACE(SENT_MAX * sizeof *descriptors)] = {0};
	size_t bytes = count * sizeof *descriptors;
	struct iovec part = {out, size};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

	if (count) {
		message.msg_control = room;
		message.msg_controllen = CMSG_SPACE(bytes);
		struct cmsghdr *header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(bytes);
		memcpy(CMSG_DATA(header), descriptors, bytes);
	}
	(void)!sendmsg(fd, &message, MSG_NOSIGNAL);
}

static void send_with(int fd, size_t size, int descriptor)
{
	send_all(fd, size, &descriptor, descriptor >= 0);
}

static void configure(struct keeper_fixture *fixture)
{
	const uint32_t ids[PROCESS_IDS] = {KEEPER_AGENT_UID, fixture->first_uid, KEEPER_OPERATORS};
	int descriptors[SENT_MAX] = {fixture->listener};
	size_t count = 1;
	struct wire_writer writer;

	wire_begin(&writer, out, sizeof out, PROCESS_CONFIGURE, 0);
	size_t list = wire_list_begin(&writer, PROCESS_TAG_ITEMS), item = wire_item_begin(&writer);
	wire_put_text(&writer, PROCESS_TAG_NAME, "main");
	wire_item_end(&writer, item);
	if (fixture->web_listener >= 0) {
		item = wire_item_begin(&writer);
		wire_put_text(&writer, PROCESS_TAG_NAME, "web");
		wire_put_number(&writer, PROCESS_TAG_NUMBER, fixture->web_verbs);
		wire_item_end(&writer, item);
		descriptors[count++] = fixture->web_listener;
	}
	if (fixture->credentials_listener >= 0) {
		item = wire_item_begin(&writer);
		wire_put_text(&writer, PROCESS_TAG_NAME, "credentials");
		wire_put_number(&writer, PROCESS_TAG_NUMBER, fixture->credentials_wait_ms);
		wire_put_number(&writer, PROCESS_TAG_FLAGS, PROCESS_FOR_CREDENTIALS);
		wire_item_end(&writer, item);
		descriptors[count++] = fixture->credentials_listener;
	}
	wire_list_end(&writer, list);
	wire_put(&writer, PROCESS_TAG_IDS, ids, sizeof ids);
	wire_put_text(&writer, PROCESS_TAG_STORE, fixture->store);
	wire_put_text(&writer, PROCESS_TAG_AUDIT_LOG, fixture->audit_log);
	wire_put_number(&writer, PROCESS_TAG_FLAGS, fixture->flags);
	send_all(fixture->monitor, wire_finish(&writer), descriptors, count);
}

void keeper_start(struct keeper_fixture *fixture)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	if (fixture->monitor_room)
		assert_int_equal(setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &fixture->monitor_room,
					 sizeof fixture->monitor_room),
			0);
	fixture->state[0] = '\0';
	fixture->states = 0;
	fflush(NULL);
	fixture->pid = fork();
	assert_true(fixture->pid >= 0);
	if (fixture->pid == 0)
		run_keeper(fixture, pair[1]);
	close(pair[1]);
	fixture->monitor = pair[0];
	configure(fixture);
}

static void answer(struct keeper_fixture *fixture, uint32_t id, uint16_t code, int descriptor)
{
	struct wire_writer writer;

	wire_begin(&writer, out, sizeof out, code, id);
	send_with(fixture->monitor, wire_finish(&writer), descriptor);
}

static void spawn(struct keeper_fixture *fixture, uint32_t id)
{
	int pair[2];

	fixture->spawns++;
	if (fixture->spawn_answer != MORTISE_OK) {
		answer(fixture, id, fixture->spawn_answer, -1);
		return;
	}
	if (fixture->sealer >= 0)
		close(fixture->sealer);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	fixture->sealer = pair[0];
	answer(fixture, id, MORTISE_OK, pair[1]);
	close(pair[1]);
}

static bool find_name(const char *name, bool is_user, uint32_t *out_id)
{
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (names[i].is_user == is_user && strcmp(names[i].name, name) == 0) {
			*out_id = names[i].id;
			return true;
		}
	if (name[0] < '0' || name[0] > '9')
		return false;
	*out_id = (uint32_t)strtoul(name, NULL, 10);
	return true;
}

static void resolve_one(struct keeper_fixture *fixture, struct wire_writer *writer,
	const struct wire_field *asked, bool is_user)
{
	const uint32_t groups[] = {DBA_GROUP, 4711};
	char name[256] = "";
	uint32_t id = 0;
	size_t item = wire_item_begin(writer);

	memcpy(name, asked->bytes, asked->size < 255 ? asked->size : 255);
	bool known = find_name(name, is_user, &id) || strncmp(name, "many", 4) == 0;
	if (fixture->moved_name && strcmp(name, fixture->moved_name) == 0)
		id = 4242;
	known &= !fixture->names_are_down &&
		 !(fixture->gone_name && strcmp(name, fixture->gone_name) == 0);
	wire_put_number(writer, PROCESS_TAG_STATUS,
		known                                                  ? MORTISE_OK
		: fixture->names_are_down || strcmp(name, "down") == 0 ? MORTISE_IO
								       : MORTISE_NOT_FOUND);
	wire_put_text(writer, PROCESS_TAG_NAME, name);
	if (known)
		wire_put_number(writer, PROCESS_TAG_NUMBER, id);
	if (known && is_user)
		wire_put(writer, PROCESS_TAG_IDS, groups, sizeof groups);
	wire_item_end(writer, item);
}

static void resolve(struct keeper_fixture *fixture, const struct wire_message *request)
{
	struct wire_list users = wire_list_of(request, PROCESS_TAG_USERS);
	struct wire_list groups = wire_list_of(request, PROCESS_TAG_GROUPS);
	struct wire_writer writer;
	struct wire_field asked;

	wire_begin(&writer, out, sizeof out, MORTISE_OK, request->request_id);
	size_t list = wire_list_begin(&writer, PROCESS_TAG_ITEMS);
	while (wire_list_next(&users, &asked))
		resolve_one(fixture, &writer, &asked, true);
	while (wire_list_next(&groups, &asked))
		resolve_one(fixture, &writer, &asked, false);
	wire_list_end(&writer, list);
	send_with(fixture->monitor, wire_finish(&writer), -1);
}

void keeper_answer_names(struct keeper_fixture *fixture)
{
	struct wire_message message;

	assert_int_equal(wire_parse(fixture->held_names, fixture->held_size, &message), MORTISE_OK);
	resolve(fixture, &message);
}

static void hold_names(struct keeper_fixture *fixture, const uint8_t *frame, size_t size)
{
	assert_in_range(size, 1, sizeof fixture->held_names);
	memcpy(fixture->held_names, frame, size);
	fixture->held_size = size;
}

/* ---- connections of service managers ---- */

static void answer_accept(struct keeper_fixture *fixture, uint32_t id)
{
	int descriptor = fixture->accept_answer == MORTISE_OK
				 ? accept4(fixture->credentials_listener, NULL, NULL,
					   SOCK_CLOEXEC | SOCK_NONBLOCK)
				 : -1;
	struct wire_writer writer;

	if (descriptor < 0) {
		answer(fixture, id,
			fixture->accept_answer ? fixture->accept_answer : MORTISE_NOT_FOUND, -1);
		return;
	}
	unsigned number = fixture->accepts % KEEPER_ACCEPTS;
	assert_true(fixture->accepted[number] < 0);
	fixture->accepted[number] = descriptor;
	if (fixture->credentials_room)
		assert_int_equal(setsockopt(descriptor, SOL_SOCKET, SO_SNDBUF,
					 &fixture->credentials_room, sizeof(int)),
			0);
	wire_begin(&writer, out, sizeof out, MORTISE_OK, id);
	wire_put_number(&writer, PROCESS_TAG_NUMBER, number);
	send_with(fixture->monitor, wire_finish(&writer), descriptor);
}

void keeper_answer_accepts(struct keeper_fixture *fixture)
{
	for (unsigned i = 0; i < fixture->held_accept_count; i++)
		answer_accept(fixture, fixture->held_accepts[i]);
	fixture->held_accept_count = 0;
	fixture->holds_accepts = false;
}

static void serve_accept(struct keeper_fixture *fixture, const struct wire_message *request)
{
	fixture->accepts++;
	if (fixture->holds_accepts)
		fixture->held_accepts[fixture->held_accept_count++] = request->request_id;
	else
		answer_accept(fixture, request->request_id);
}

/* Here a refusal is no more than the end: what is sent then is credential_hold's affair. */
static void serve_release(struct keeper_fixture *fixture, const struct wire_message *request)
{
	uint64_t number = 0, status = 99;

	assert_int_equal(wire_number(request, PROCESS_TAG_NUMBER, &number), MORTISE_OK);
	assert_int_equal(wire_number(request, PROCESS_TAG_STATUS, &status), MORTISE_OK);
	assert_true(number < KEEPER_ACCEPTS && fixture->accepted[number] >= 0);
	close(fixture->accepted[number]);
	fixture->accepted[number] = -1;
	fixture->delivered += status == MORTISE_OK;
	fixture->refused += status != MORTISE_OK;
}

/* ---- witnesses ---- */

static void start_witness(struct keeper_fixture *fixture, const struct wire_message *request)
{
	uint64_t place = 99;
	int pair[2];

	assert_int_equal(wire_number(request, PROCESS_TAG_NUMBER, &place), MORTISE_OK);
	assert_true(place < PROCESS_WITNESSES);
	fixture->fetches++;
	if (fixture->witnesses[place] >= 0)
		close(fixture->witnesses[place]);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	fixture->witnesses[place] = pair[0];
	answer(fixture, request->request_id, MORTISE_OK, pair[1]);
	close(pair[1]);
}

static void answer_question(struct keeper_fixture *fixture, int witness, uint32_t id, bool is_exe)
{
	struct wire_writer writer;
	bool has_exe = is_exe && fixture->exe;

	wire_begin(
		&writer, out, sizeof out, is_exe && !has_exe ? MORTISE_NOT_FOUND : MORTISE_OK, id);
	if (has_exe)
		wire_put_text(&writer, PROCESS_TAG_TEXT, fixture->exe);
	send_with(witness, wire_finish(&writer), -1);
}

void keeper_answer_question(struct keeper_fixture *fixture)
{
	answer_question(fixture, fixture->held_question.witness, fixture->held_question.id, false);
}

static void serve_witness(struct keeper_fixture *fixture, int *witness)
{
	ssize_t size = recv(*witness, in, sizeof in, MSG_DONTWAIT);
	struct wire_message message;

	if (size <= 0) {
		close(*witness);
		*witness = -1;
		return;
	}
	assert_int_equal(wire_parse(in, (size_t)size, &message), MORTISE_OK);
	bool is_exe = message.code == WITNESS_EXE;
	fixture->exes += is_exe;
	fixture->looks += !is_exe;
	if (fixture->holds_questions) {
		fixture->holds_questions--;
		fixture->held_question.witness = *witness;
		fixture->held_question.id = message.request_id;
		return;
	}
	answer_question(fixture, *witness, message.request_id, is_exe);
}

static void serve_monitor(struct keeper_fixture *fixture)
{
	ssize_t size = recv(fixture->monitor, in, sizeof in, MSG_DONTWAIT);
	struct wire_message message;

	if (size <= 0) {
		close(fixture->monitor);
		fixture->monitor = -1;
		return;
	}
	assert_int_equal(wire_parse(in, (size_t)size, &message), MORTISE_OK);
	if (message.code == PROCESS_READY) {
		assert_int_equal(wire_text(&message, PROCESS_TAG_TEXT, fixture->state,
					 sizeof fixture->state),
			MORTISE_OK);
		fixture->states++;
		if (fixture->on_state)
			fixture->on_state(fixture);
	} else if (message.code == PROCESS_SPAWN) {
		spawn(fixture, message.request_id);
	} else if (message.code == PROCESS_ACCEPT) {
		serve_accept(fixture, &message);
	} else if (message.code == PROCESS_WITNESS) {
		start_witness(fixture, &message);
	} else if (message.code == PROCESS_RELEASE) {
		serve_release(fixture, &message);
	} else {
		assert_int_equal(message.code, PROCESS_RESOLVE);
		fixture->lookups++;
		if (fixture->holds_names)
			hold_names(fixture, in, (size_t)size);
		else
			resolve(fixture, &message);
	}
}

/* ---- the sealer ---- */

static uint32_t sealer_request_id; /* of the request being answered */

struct wire_writer *keeper_begin_sealer(uint16_t code)
{
	static struct wire_writer writer;

	wire_begin(&writer, out, sizeof out, code, sealer_request_id);
	return &writer;
}

void keeper_send_sealer(struct keeper_fixture *fixture, struct wire_writer *writer)
{
	send_with(fixture->sealer, wire_finish(writer), -1);
}

void keeper_fail_sealer(struct keeper_fixture *fixture, enum token_fault fault, const char *detail)
{
	struct wire_writer *writer = keeper_begin_sealer(MORTISE_HARDWARE);

	wire_put_text(writer, PROCESS_TAG_TEXT, detail);
	wire_put_number(writer, PROCESS_TAG_FAULT, fault);
	keeper_send_sealer(fixture, writer);
}

/* A counter that is never wrong: it stands in the fixture, for the test to change. */
static void play_counter(struct keeper_fixture *fixture, const struct wire_message *request)
{
	struct wire_writer *writer = keeper_begin_sealer(MORTISE_OK);
	uint64_t action = 0, expected = 0;

	assert_int_equal(wire_number(request, PROCESS_TAG_NUMBER, &action), MORTISE_OK);
	if (action == TOKEN_ANCHOR_INCREMENT) {
		assert_int_equal(wire_number(request, PROCESS_TAG_COUNTER, &expected), MORTISE_OK);
		if (expected != fixture->counter) {
			keeper_fail_sealer(fixture, TOKEN_FAULT_OTHER_COUNT, "");
			return;
		}
	}
	if (action != TOKEN_ANCHOR_READ)
		fixture->counter++;
	if (action == TOKEN_ANCHOR_DEFINE)
		wire_put_text(writer, PROCESS_TAG_BLOB, "the place");
	wire_put_number(writer, PROCESS_TAG_COUNTER, fixture->counter);
	keeper_send_sealer(fixture, writer);
}

void play_honest(struct keeper_fixture *fixture, const struct wire_message *request)
{
	if (request->code == SEALER_ANCHOR) {
		play_counter(fixture, request);
		return;
	}
	struct wire_writer *writer = keeper_begin_sealer(MORTISE_OK);

	wire_put(writer, PROCESS_TAG_KEY, fixture->h, sizeof fixture->h);
	if (request->code == SEALER_ENROL)
		wire_put_text(writer, PROCESS_TAG_BLOB, "the blob");
	keeper_send_sealer(fixture, writer);
}

void play_silent(struct keeper_fixture *fixture, const struct wire_message *request)
{
	(void)fixture;
	(void)request;
}

void play_death(struct keeper_fixture *fixture, const struct wire_message *request)
{
	(void)request;
	close(fixture->sealer);
	fixture->sealer = -1;
}

static void serve_sealer(struct keeper_fixture *fixture)
{
	ssize_t size = recv(fixture->sealer, in, sizeof in, MSG_DONTWAIT);
	struct wire_message message;

	if (size <= 0) {
		close(fixture->sealer);
		fixture->sealer = -1;
		return;
	}
	assert_int_equal(wire_parse(in, (size_t)size, &message), MORTISE_OK);
	fixture->questions++;
	sealer_request_id = message.request_id;
	fixture->play(fixture, &message);
}

/* ---- waiting ---- */

static time_t patience(void)
{
	return time(NULL) + PATIENCE_MS / 1000;
}

/* Serves what there is, waiting for it; true if nothing was there but fd is readable. The end is
   one of patience(): a keeper that does nothing else still has its heartbeat. */
static bool serve_some(struct keeper_fixture *fixture, int fd, time_t end)
{
	struct pollfd entries[] = {
		{.fd = fixture->monitor, .events = POLLIN},
		{.fd = fixture->sealer, .events = POLLIN},
		{.fd = fixture->witnesses[0], .events = POLLIN},
		{.fd = fixture->witnesses[1], .events = POLLIN},
		{.fd = fd, .events = POLLIN},
	};

	assert_true(fixture->monitor >= 0 || fixture->sealer >= 0 || fd >= 0);
	if (poll(entries, 5, PATIENCE_MS) <= 0 || time(NULL) > end)
		fail_msg("nothing happens; the state is '%s'", fixture->state);
	if (entries[0].revents)
		serve_monitor(fixture);
	else if (entries[1].revents)
		serve_sealer(fixture);
	else if (entries[2].revents)
		serve_witness(fixture, &fixture->witnesses[0]);
	else if (entries[3].revents)
		serve_witness(fixture, &fixture->witnesses[1]);
	else
		return true;
	return false;
}

void keeper_pump(struct keeper_fixture *fixture, int fd)
{
	time_t end = patience();

	while (!serve_some(fixture, fd, end))
		;
}

void keeper_serve(struct keeper_fixture *fixture)
{
	(void)serve_some(fixture, -1, patience());
}

void keeper_await_state(struct keeper_fixture *fixture, const char *start)
{
	time_t end = patience();

	while (strncmp(fixture->state, start, strlen(start)) != 0)
		(void)serve_some(fixture, -1, end);
}

void keeper_await_exes(struct keeper_fixture *fixture, unsigned count)
{
	time_t end = patience();

	while (fixture->exes < count)
		(void)serve_some(fixture, -1, end);
}

void keeper_await_looks(struct keeper_fixture *fixture, unsigned count)
{
	time_t end = patience();

	while (fixture->looks < count)
		(void)serve_some(fixture, -1, end);
}

void keeper_await_questions(struct keeper_fixture *fixture, unsigned count)
{
	time_t end = patience();

	while (fixture->questions < count)
		(void)serve_some(fixture, -1, end);
}

void keeper_await_lookups(struct keeper_fixture *fixture, unsigned count)
{
	time_t end = patience();

	while (fixture->lookups < count)
		(void)serve_some(fixture, -1, end);
}

void keeper_await_accepts(struct keeper_fixture *fixture, unsigned count)
{
	time_t end = patience();

	while (fixture->accepts < count)
		(void)serve_some(fixture, -1, end);
}

void keeper_await_releases(struct keeper_fixture *fixture, unsigned count)
{
	time_t end = patience();

	while (fixture->delivered + fixture->refused < count)
		(void)serve_some(fixture, -1, end);
}

static void assert_no_complaints(const struct keeper_fixture *fixture)
{
	static char text[65536];
	int fd = open(fixture->errors, O_RDONLY);
	ssize_t size = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;

	if (fd >= 0)
		close(fd);
	text[size > 0 ? size : 0] = '\0';
	if (strstr(text, "runtime error") || strstr(text, "Sanitizer"))
		fail_msg("%s", text);
}

int keeper_reap(struct keeper_fixture *fixture)
{
	int status = 0;

	if (fixture->monitor >= 0)
		close(fixture->monitor);
	fixture->monitor = -1;
	assert_int_equal(waitpid(fixture->pid, &status, 0), fixture->pid);
	fixture->pid = 0;
	assert_no_complaints(fixture);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int keeper_stop(struct keeper_fixture *fixture)
{
	time_t end = patience();

	while (!fixture->states && fixture->monitor >= 0)
		(void)serve_some(fixture, -1, end);
	kill(fixture->pid, SIGTERM);
	return keeper_reap(fixture);
}

void keeper_restart(struct keeper_fixture *fixture)
{
	assert_int_equal(keeper_stop(fixture), 0);
	keeper_start(fixture);
}

/* ---- for cmocka ---- */

int set_up_keeper(void **state)
{
	struct keeper_fixture *fixture = keeper_prepare();

	*state = fixture;
	keeper_start(fixture);
	return 0;
}

void keeper_init(struct keeper_fixture *fixture)
{
	struct asker *asker = asker_open(fixture);

	assert_int_equal(ask_init(fixture, asker, "none"), MORTISE_OK);
	asker_close(asker);
}

int set_up_store(void **state)
{
	if (set_up_keeper(state) != 0)
		return -1;
	keeper_init(*state);
	return 0;
}

int tear_down_keeper(void **state)
{
	struct keeper_fixture *fixture = *state;
	char command[128];
	int status = 0;

	become_root();
	if (fixture->pid) {
		kill(fixture->pid, SIGCONT);
		status = keeper_stop(fixture);
	}
	if (fixture->sealer >= 0)
		close(fixture->sealer);
	close(fixture->listener);
	if (fixture->web_listener >= 0)
		close(fixture->web_listener);
	if (fixture->credentials_listener >= 0)
		close(fixture->credentials_listener);
	for (size_t i = 0; i < KEEPER_ACCEPTS; i++)
		if (fixture->accepted[i] >= 0)
			close(fixture->accepted[i]);
	snprintf(command, sizeof command, "rm -rf %s", fixture->directory);
	(void)!system(command);
	free(fixture);
	if (status)
		print_error("the keeper ended with status %d\n", status);
	return status ? -1 : 0;
}
