/* SPDX-License-Identifier: ISC */
/*
 * load -s SOCKET [-c CONNECTIONS] [-t SECONDS] [-w SECONDS] [-o] [-n SECRETS] [-C CPU] [-P PID]
 * load -s SOCKET -F [-f FIRST] [-n SECRETS] [-C CPU]
 * A closed loop of gets: one thread, one outstanding request on each connection, random paths
 * of sec/00000000 to sec/(SECRETS - 1). Every byte of every reply must be the expected one.
 *   -w warm-up before the seconds that count     -o connects for each request
 *   -P the server, whose threads' CPU time is read from schedstat
 *   -F sets the secrets instead, from FIRST on, one after the other over one connection
 * Prints: ops/s, p50 and p99 in us, errors, us of the server's CPU per op (0 without -P).
 * With -F: sets/s, p50 and p99 in us, errors, 0.
 */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "load_frames.h"
#include "load_report.h"

#define EVENTS_MAX 256

struct connection {
	int descriptor;
	unsigned number; /* of the secret asked for */
	bool is_greeting;
	uint64_t sent_ns;
};

static struct {
	const char *socket_path;
	unsigned connections, first, secrets;
	double seconds, warm_up;
	int cpu, server;
	bool connects_each_time, fills;
} options = {.connections = 1, .secrets = 10000, .seconds = 1, .warm_up = 0.1, .cpu = -1};

static struct patterns patterns;
static struct pattern *request = &patterns.get;
static struct sockaddr_un address = {.sun_family = AF_UNIX};

static unsigned any_secret(void)
{
	static uint64_t state = 0x9e3779b97f4a7c15;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (unsigned)(state % options.secrets);
}

static int dial(int flags)
{
	int descriptor = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | flags, 0);

	if (descriptor < 0)
		fail("socket");
	while (connect(descriptor, (struct sockaddr *)&address, sizeof address) != 0)
		if (errno != EAGAIN && errno != EINTR)
			fail("%s", options.socket_path);
	return descriptor;
}

static void send_frame(int descriptor, const void *frame, size_t size)
{
	if (send(descriptor, frame, size, MSG_NOSIGNAL) != (ssize_t)size)
		fail("send");
}

static void ask(struct connection *connection)
{
	pattern_set_number(request, connection->number);
	send_frame(connection->descriptor, request->bytes, request->size);
}

static void begin(struct connection *connection, uint64_t now)
{
	connection->number = any_secret();
	connection->sent_ns = now;
	ask(connection);
}

/* On kernels that cannot name a connector the agent first wants its challenge back. */
static bool greets(struct connection *connection, const uint8_t *frame, size_t size)
{
	uint8_t hello[64];
	size_t hello_size;

	if (connection->is_greeting) {
		connection->is_greeting = false;
		ask(connection);
		return true;
	}
	hello_size = frame_answer_greet(frame, size, hello, sizeof hello);
	if (hello_size == 0)
		return false;
	connection->is_greeting = true;
	send_frame(connection->descriptor, hello, hello_size);
	return true;
}

/* Reads one frame. True if it ends the operation, rightly or not. */
static bool take(struct connection *connection)
{
	uint8_t frame[FRAME_MAX];
	ssize_t size = recv(connection->descriptor, frame, sizeof frame, 0);

	if (size < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (size <= 0)
		fail("a connection ended");
	pattern_set_number(&patterns.got, connection->number);
	if ((size_t)size == patterns.got.size &&
		memcmp(frame, patterns.got.bytes, patterns.got.size) == 0)
		return true;
	if (greets(connection, frame, (size_t)size))
		return false;
	report_error();
	return true;
}

/* One connection and no waiting for others: what a client library does. */
static uint64_t run_alone(uint64_t begin_ns, uint64_t end_ns, uint64_t *out_cpu_ns)
{
	struct connection connection = {.descriptor = -1};
	bool counts = false;
	uint64_t now = now_ns(), start = now, cpu = 0;

	while (now < end_ns) {
		if (!counts && now >= begin_ns) {
			counts = true;
			cpu = cpu_ns(options.server);
			start = now = now_ns();
		}
		if (connection.descriptor < 0)
			connection.descriptor = dial(0);
		begin(&connection, now);
		while (!take(&connection)) {
		}
		if (options.connects_each_time) {
			(void)close(connection.descriptor);
			connection.descriptor = -1;
		}
		now = now_ns();
		if (counts)
			report_operation(now - connection.sent_ns);
	}
	*out_cpu_ns = cpu_ns(options.server) - cpu;
	return now - start;
}

static void watch(int poller, struct connection *connection)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};

	if (epoll_ctl(poller, EPOLL_CTL_ADD, connection->descriptor, &event) != 0)
		fail("epoll");
}

static void go_on(int poller, struct connection *connection, uint64_t now)
{
	if (!options.connects_each_time) {
		begin(connection, now);
		return;
	}
	(void)close(connection->descriptor);
	connection->descriptor = dial(SOCK_NONBLOCK);
	begin(connection, now);
	watch(poller, connection);
}

static struct connection *connect_all(int poller)
{
	struct connection *connections = calloc(options.connections, sizeof *connections);

	if (connections == NULL)
		fail("connections");
	for (unsigned i = 0; i < options.connections; i++) {
		connections[i].descriptor = dial(SOCK_NONBLOCK);
		watch(poller, &connections[i]);
	}
	for (unsigned i = 0; i < options.connections; i++)
		begin(&connections[i], now_ns());
	return connections;
}

static uint64_t run_many(uint64_t begin_ns, uint64_t end_ns, uint64_t *out_cpu_ns)
{
	int poller = epoll_create1(EPOLL_CLOEXEC);
	struct connection *connections = connect_all(poller);
	struct epoll_event events[EVENTS_MAX];
	bool counts = false;
	uint64_t now = now_ns(), start = now, cpu = 0;

	while (now < end_ns) {
		int count = epoll_wait(poller, events, EVENTS_MAX, 5000);

		if (count == 0) {
			errno = ETIMEDOUT;
			fail("the server");
		}
		for (int i = 0; i < count; i++) {
			struct connection *connection = events[i].data.ptr;

			if (!take(connection))
				continue;
			now = now_ns();
			if (counts)
				report_operation(now - connection->sent_ns);
			go_on(poller, connection, now);
		}
		if (!counts && now >= begin_ns) {
			counts = true;
			cpu = cpu_ns(options.server);
			start = now_ns();
		}
	}
	*out_cpu_ns = cpu_ns(options.server) - cpu;
	free(connections);
	return now - start;
}

static bool is_done(const uint8_t *frame, size_t size)
{
	struct wire_message reply;

	return wire_parse(frame, size, &reply) == MORTISE_OK && reply.code == MORTISE_OK;
}

/* The token makes a write happen once, so each has one of its own. */
static void set_one(struct connection *connection)
{
	uint8_t *token = patterns.set.bytes + patterns.set.size - WIRE_TOKEN_SIZE;
	uint8_t frame[FRAME_MAX];
	ssize_t size;

	if (getrandom(token, WIRE_TOKEN_SIZE, 0) != WIRE_TOKEN_SIZE)
		fail("random bytes");
	ask(connection);
	do {
		size = recv(connection->descriptor, frame, sizeof frame, 0);
		if (size <= 0)
			fail("the connection ended");
	} while (greets(connection, frame, (size_t)size));
	if (!is_done(frame, (size_t)size))
		report_error();
}

static uint64_t fill(void)
{
	struct connection connection = {.descriptor = dial(0)};
	uint64_t start = now_ns(), now = start;

	request = &patterns.set;
	for (unsigned i = 0; i < options.secrets; i++) {
		uint64_t sent = now;

		connection.number = options.first + i;
		set_one(&connection);
		now = now_ns();
		report_operation(now - sent);
	}
	return now - start;
}

static bool read_options(int count, char **arguments)
{
	int option;

	while ((option = getopt(count, arguments, "s:c:t:w:on:Ff:C:P:")) != -1)
		switch (option) {
		case 's':
			options.socket_path = optarg;
			break;
		case 'c':
			options.connections = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 't':
			options.seconds = strtod(optarg, NULL);
			break;
		case 'w':
			options.warm_up = strtod(optarg, NULL);
			break;
		case 'o':
			options.connects_each_time = true;
			break;
		case 'n':
			options.secrets = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'F':
			options.fills = true;
			break;
		case 'f':
			options.first = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'C':
			options.cpu = (int)strtol(optarg, NULL, 10);
			break;
		case 'P':
			options.server = (int)strtol(optarg, NULL, 10);
			break;
		default:
			return false;
		}
	return options.socket_path != NULL &&
	       strlen(options.socket_path) < sizeof address.sun_path && options.connections > 0 &&
	       options.secrets > 0;
}

static void pin(void)
{
	cpu_set_t set;

	if (options.cpu < 0)
		return;
	CPU_ZERO(&set);
	CPU_SET((size_t)options.cpu, &set);
	if (sched_setaffinity(0, sizeof set, &set) != 0)
		fail("CPU %d", options.cpu);
}

int main(int count, char **arguments)
{
	uint64_t begin_ns, end_ns, elapsed_ns, server_ns = 0;

	if (!read_options(count, arguments) || !patterns_init(&patterns))
		return 2;
	pin();
	report_init();
	memcpy(address.sun_path, options.socket_path, strlen(options.socket_path) + 1);
	begin_ns = now_ns() + (uint64_t)(options.warm_up * 1e9);
	end_ns = begin_ns + (uint64_t)(options.seconds * 1e9);
	if (options.fills)
		elapsed_ns = fill();
	else if (options.connections == 1)
		elapsed_ns = run_alone(begin_ns, end_ns, &server_ns);
	else
		elapsed_ns = run_many(begin_ns, end_ns, &server_ns);
	return report_print(elapsed_ns, server_ns) ? 0 : 1;
}
