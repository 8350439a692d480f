/* SPDX-License-Identifier: ISC */
/*
 * tpm_tap LISTEN UPSTREAM LOG [RC COUNT [COMMAND]]
 *	relays LISTEN to UPSTREAM and LISTEN.ctrl to UPSTREAM.ctrl, the sockets of a swtpm, and
 *	records every byte in LOG; the first COUNT commands (with the code COMMAND, if it is given)
 *	are not relayed but answered with RC
 * tpm_tap --lie=SEED LISTEN UPSTREAM LOG
 *	relays, but changes about one answer of eight: bits, sizes, codes, lengths. After an answer
 *	that claims more bytes than it has it hangs up
 * tpm_tap --count LOG
 *	the number of TPM commands in LOG, then their names, one a line
 *
 * A record holds one TPM message, so that what lies inside a message is found by grep:
 *
 *	'>' to the TPM or '<' from it | 'd' data or 'c' control | u32 size, big-endian | bytes
 *
 * SIGTERM ends it.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tpm_lie.h"

#define CONNECTIONS_MAX  16
#define MESSAGE_MAX      8192
#define TPM_HEADER_SIZE  10
#define RECORD_HEAD_SIZE 6

#define EXIT_USAGE 64

/* One direction of a connection. */
struct flow {
	char mark;
	int from, to;
	uint8_t bytes[MESSAGE_MAX]; /* of a message that is not whole yet */
	size_t size;
};

struct connection {
	bool is_open;
	char channel;
	struct flow up, down;
};

static struct connection connections[CONNECTIONS_MAX];
static FILE *recording;
static volatile sig_atomic_t is_over;
static unsigned long refusal_code, refusals_left, refused_command;

static uint32_t load_be32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void end(int signal_number)
{
	(void)signal_number;
	is_over = 1;
}

static void fail(const char *what)
{
	perror(what);
	exit(EXIT_FAILURE);
}

static struct sockaddr_un address_of(const char *path, const char *suffix)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int size = snprintf(address.sun_path, sizeof address.sun_path, "%s%s", path, suffix);

	if (size < 0 || (size_t)size >= sizeof address.sun_path) {
		errno = ENAMETOOLONG;
		fail(path);
	}
	return address;
}

/* The socket gets its name when it listens: who sees it can connect. */
static int listen_at(const char *path, const char *suffix)
{
	struct sockaddr_un address = address_of(path, suffix);
	char name[sizeof address.sun_path];
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memcpy(name, address.sun_path, sizeof name);
	address = address_of(name, ".new");
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 ||
		listen(fd, CONNECTIONS_MAX) < 0 || rename(address.sun_path, name) < 0)
		fail(path);
	return fd;
}

static void record(char mark, char channel, const uint8_t *bytes, size_t size)
{
	const uint8_t head[RECORD_HEAD_SIZE] = {(uint8_t)mark, (uint8_t)channel,
		(uint8_t)(size >> 24), (uint8_t)(size >> 16), (uint8_t)(size >> 8), (uint8_t)size};

	if (size == 0)
		return;
	fwrite(head, 1, sizeof head, recording);
	fwrite(bytes, 1, size, recording);
	fflush(recording);
}

static void take_off(struct flow *flow, char channel, size_t size)
{
	record(flow->mark, channel, flow->bytes, size);
	flow->size -= size;
	memmove(flow->bytes, flow->bytes + size, flow->size);
}

/* Records the whole messages in flow; control messages have no size of their own. */
static void record_messages(struct flow *flow, char channel)
{
	if (channel == 'c') {
		take_off(flow, channel, flow->size);
		return;
	}
	while (flow->size >= TPM_HEADER_SIZE) {
		size_t message = load_be32(flow->bytes + 2);

		if (message < TPM_HEADER_SIZE || message > MESSAGE_MAX)
			message = flow->size;
		if (flow->size < message)
			return;
		take_off(flow, channel, message);
	}
}

static void hang_up(struct connection *connection)
{
	record(connection->up.mark, connection->channel, connection->up.bytes, connection->up.size);
	record(connection->down.mark, connection->channel, connection->down.bytes,
		connection->down.size);
	close(connection->up.from);
	close(connection->up.to);
	connection->is_open = false;
}

/* Answers in the TPM's place; a command comes in one piece. */
static bool refuse(const struct flow *flow)
{
	const uint8_t response[TPM_HEADER_SIZE] = {0x80, 0x01, 0, 0, 0, TPM_HEADER_SIZE,
		(uint8_t)(refusal_code >> 24), (uint8_t)(refusal_code >> 16),
		(uint8_t)(refusal_code >> 8), (uint8_t)refusal_code};

	refusals_left--;
	record('<', 'd', response, sizeof response);
	return send(flow->from, response, sizeof response, MSG_NOSIGNAL) == sizeof response;
}

/* swtpm writes an answer in one piece. False if whoever waits for more would wait for ever. */
static bool send_answer(const struct flow *flow, uint8_t *bytes, size_t size)
{
	size_t told = tpm_lie(bytes, size, MESSAGE_MAX);
	bool is_whole = told >= TPM_HEADER_SIZE && load_be32(bytes + 2) <= told;

	return send(flow->to, bytes, told, MSG_NOSIGNAL) == (ssize_t)told &&
	       (!tpm_lie_is_on() || is_whole);
}

static bool is_refused(const uint8_t *command, size_t size)
{
	return refusals_left > 0 &&
	       (refused_command == 0 ||
		       (size >= TPM_HEADER_SIZE && load_be32(command + 6) == refused_command));
}

/* False at the end of either side. What is recorded is recorded before it is passed on. */
static bool relay(struct flow *flow, char channel)
{
	ssize_t size = recv(flow->from, flow->bytes + flow->size, MESSAGE_MAX - flow->size, 0);
	uint8_t passed[MESSAGE_MAX];

	if (size <= 0)
		return false;
	memcpy(passed, flow->bytes + flow->size, (size_t)size);
	flow->size += (size_t)size;
	record_messages(flow, channel);
	if (flow->mark == '>' && channel == 'd' && is_refused(passed, (size_t)size))
		return refuse(flow);
	if (flow->mark == '<' && channel == 'd')
		return send_answer(flow, passed, (size_t)size);
	return send(flow->to, passed, (size_t)size, MSG_NOSIGNAL) == size;
}

static struct connection *find_free(void)
{
	for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
		if (!connections[i].is_open)
			return &connections[i];
	}
	return NULL;
}

static void accept_one(int listener, const char *upstream, const char *suffix)
{
	struct sockaddr_un address = address_of(upstream, suffix);
	struct connection *connection = find_free();
	int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	int tpm = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (client < 0 || tpm < 0 || connection == NULL ||
		connect(tpm, (struct sockaddr *)&address, sizeof address) < 0) {
		close(client);
		close(tpm);
		return;
	}
	connection->is_open = true;
	connection->channel = suffix[0] == '\0' ? 'd' : 'c';
	connection->up = (struct flow){.mark = '>', .from = client, .to = tpm};
	connection->down = (struct flow){.mark = '<', .from = tpm, .to = client};
}

static void serve(struct connection *connection, short client_events, short tpm_events)
{
	if ((client_events != 0 && !relay(&connection->up, connection->channel)) ||
		(tpm_events != 0 && !relay(&connection->down, connection->channel)))
		hang_up(connection);
}

static void serve_all(int data, int control, const char *upstream, const sigset_t *waiting)
{
	struct pollfd polled[2 + 2 * CONNECTIONS_MAX] = {
		{.fd = data, .events = POLLIN}, {.fd = control, .events = POLLIN}};

	for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
		const struct connection *connection = &connections[i];

		polled[2 + 2 * i] = (struct pollfd){
			.fd = connection->is_open ? connection->up.from : -1, .events = POLLIN};
		polled[3 + 2 * i] = (struct pollfd){
			.fd = connection->is_open ? connection->up.to : -1, .events = POLLIN};
	}
	if (ppoll(polled, 2 + 2 * CONNECTIONS_MAX, NULL, waiting) < 0)
		return;
	for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
		if (connections[i].is_open)
			serve(&connections[i], polled[2 + 2 * i].revents,
				polled[3 + 2 * i].revents);
	}
	if (polled[0].revents != 0)
		accept_one(data, upstream, "");
	if (polled[1].revents != 0)
		accept_one(control, upstream, ".ctrl");
}

static int tap(const char *listen_path, const char *upstream, const char *log_path)
{
	const struct sigaction action = {.sa_handler = end};
	sigset_t one, waiting;
	int data, control;

	recording = fopen(log_path, "we");
	if (recording == NULL)
		fail(log_path);
	/* SIGTERM comes while it waits, and at no other time: else it would wait on. */
	sigemptyset(&one);
	sigaddset(&one, SIGTERM);
	sigprocmask(SIG_BLOCK, &one, &waiting);
	sigdelset(&waiting, SIGTERM);
	sigaction(SIGTERM, &action, NULL);
	/* The data socket last: who sees it may use both. */
	control = listen_at(listen_path, ".ctrl");
	data = listen_at(listen_path, "");
	while (!is_over)
		serve_all(data, control, upstream, &waiting);
	for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
		if (connections[i].is_open)
			hang_up(&connections[i]);
	}
	return fclose(recording) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* TPM 2.0 Part 2, 6.5.2: those that mortise sends or that a test may see. */
static const char *command_name(uint32_t code)
{
	static const struct {
		uint32_t code;
		const char *name;
	} names[] = {
		{0x120, "EvictControl"},
		{0x122, "NV_UndefineSpace"},
		{0x126, "Clear"},
		{0x12a, "NV_DefineSpace"},
		{0x131, "CreatePrimary"},
		{0x134, "NV_Increment"},
		{0x144, "Startup"},
		{0x145, "Shutdown"},
		{0x14e, "NV_Read"},
		{0x153, "Create"},
		{0x156, "Import"},
		{0x157, "Load"},
		{0x15e, "Unseal"},
		{0x165, "FlushContext"},
		{0x167, "LoadExternal"},
		{0x169, "NV_ReadPublic"},
		{0x16a, "PolicyAuthorize"},
		{0x16b, "PolicyAuthValue"},
		{0x173, "ReadPublic"},
		{0x176, "StartAuthSession"},
		{0x177, "VerifySignature"},
		{0x17a, "GetCapability"},
		{0x17b, "GetRandom"},
		{0x17e, "PCR_Read"},
		{0x17f, "PolicyPCR"},
		{0x182, "PCR_Extend"},
		{0x189, "PolicyGetDigest"},
	};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		if (names[i].code == code)
			return names[i].name;
	}
	return NULL;
}

/* The next command sent to the TPM; false at the end of the recording. */
static bool next_command(FILE *file, uint32_t *out_code)
{
	uint8_t head[RECORD_HEAD_SIZE], message[MESSAGE_MAX];

	while (fread(head, 1, sizeof head, file) == sizeof head) {
		uint32_t size = load_be32(head + 2);

		if (size > sizeof message || fread(message, 1, size, file) != size)
			return false;
		if (head[0] == '>' && head[1] == 'd' && size >= TPM_HEADER_SIZE) {
			*out_code = load_be32(message + 6);
			return true;
		}
	}
	return false;
}

static int count(const char *log_path)
{
	FILE *file = fopen(log_path, "re");
	uint32_t code;
	unsigned commands = 0;

	if (file == NULL)
		fail(log_path);
	while (next_command(file, &code))
		commands++;
	printf("%u\n", commands);
	rewind(file);
	while (next_command(file, &code)) {
		const char *name = command_name(code);

		if (name != NULL)
			printf("%s\n", name);
		else
			printf("0x%03x\n", (unsigned)code);
	}
	fclose(file);
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "--count") == 0)
		return count(argv[2]);
	if (argc == 5 && strncmp(argv[1], "--lie=", 6) == 0) {
		tpm_lie_begin(strtoull(argv[1] + 6, NULL, 0));
		return tap(argv[2], argv[3], argv[4]);
	}
	if (argc == 7)
		refused_command = strtoul(argv[6], NULL, 0);
	if (argc == 6 || argc == 7) {
		refusal_code = strtoul(argv[4], NULL, 0);
		refusals_left = strtoul(argv[5], NULL, 0);
	}
	if (argc == 4 || argc == 6 || argc == 7)
		return tap(argv[1], argv[2], argv[3]);
	fprintf(stderr, "Usage: tpm_tap [--lie=SEED] LISTEN UPSTREAM LOG [RC COUNT [COMMAND]] |\n"
			"       tpm_tap --count LOG\n");
	return EXIT_USAGE;
}
