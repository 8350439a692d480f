/* SPDX-License-Identifier: ISC */
#include "connection.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "peer.h"

#define FULL_QUEUE_PAUSE_MS 10

static_assert(CLIENT_SOCKET_MAX + 1 == sizeof((struct sockaddr_un *)NULL)->sun_path,
	"a socket's path must fit its address");

static enum mortise_status lose(struct mortise *agent)
{
	connection_close(agent);
	agent->fault = CLIENT_FAULT_LOST;
	return client_fail(agent, MORTISE_UNREACHABLE,
		"the agent at %s closed the connection; it may be restarting, or have no place for "
		"more",
		agent->socket_path);
}

static enum mortise_status run_out(struct mortise *agent)
{
	connection_close(agent);
	return client_fail(agent, MORTISE_UNREACHABLE,
		"the agent at %s did not answer in time; its log says why (journalctl -u mortised)",
		agent->socket_path);
}

/* Waits for events, or for nothing but the time if fd is -1. False when the time is over. */
static bool await(int fd, short events, int64_t until_ms)
{
	for (;;) {
		struct pollfd entry = {.fd = fd, .events = events};
		int64_t left_ms = until_ms - client_now_ms();
		int ready;

		if (left_ms <= 0)
			return false;
		ready = poll(&entry, 1, left_ms > 60000 ? 60000 : (int)left_ms);
		if (ready > 0 || (ready < 0 && errno != EINTR))
			return true;
	}
}

static enum mortise_status know_server(struct mortise *agent)
{
	struct ucred server = {0};
	socklen_t size = sizeof server;

	if (getsockopt(agent->fd, SOL_SOCKET, SO_PEERCRED, &server, &size) != 0 ||
		size != sizeof server)
		return client_fail(agent, MORTISE_UNREACHABLE,
			"the kernel does not say who serves %s", agent->socket_path);
	if (peer_is_trusted(agent->socket_path, server.uid, geteuid()))
		return MORTISE_OK;
	return client_fail(agent, MORTISE_UNREACHABLE,
		"%s is served by uid %u, which is neither root, nor you, nor the owner of a "
		"directory that only it can write to; it was not asked",
		agent->socket_path, (unsigned)server.uid);
}

/* A Unix socket whose queue is full says EAGAIN, and poll() does not tell when that ends. */
static enum mortise_status reach(struct mortise *agent, int64_t until_ms)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	memcpy(address.sun_path, agent->socket_path, sizeof address.sun_path);
	while (connect(agent->fd, (const struct sockaddr *)&address, sizeof address) != 0) {
		int64_t pause_end_ms = client_now_ms() + FULL_QUEUE_PAUSE_MS;

		if (errno == EINTR)
			continue;
		if (errno == EAGAIN && pause_end_ms < until_ms) {
			(void)await(-1, 0, pause_end_ms);
			continue;
		}
		if (errno == ENOENT || errno == ECONNREFUSED || errno == EAGAIN)
			agent->fault = CLIENT_FAULT_ABSENT;
		return client_fail(agent, MORTISE_UNREACHABLE, "no agent answers at %s: %m",
			agent->socket_path);
	}
	return know_server(agent);
}

enum mortise_status connection_ready(struct mortise *agent, int64_t until_ms)
{
	enum mortise_status status;

	agent->fault = CLIENT_FAULT_NONE;
	if (agent->fd >= 0 && agent->connector == getpid())
		return MORTISE_OK;
	connection_close(agent);
	if (agent->is_pinned)
		return client_fail(agent, MORTISE_UNREACHABLE,
			"the connection to the agent was lost in the middle; begin again");
	agent->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (agent->fd < 0)
		return client_fail(agent, MORTISE_UNREACHABLE, "cannot make a socket: %m");
	agent->connector = getpid();
	status = reach(agent, until_ms);
	if (status != MORTISE_OK)
		connection_close(agent);
	return status;
}

enum mortise_status connection_send(
	struct mortise *agent, const uint8_t *frame, size_t size, int64_t until_ms)
{
	while (send(agent->fd, frame, size, MSG_NOSIGNAL) < 0) {
		if (errno == EINTR)
			continue;
		if (errno == EPIPE || errno == ECONNRESET)
			return lose(agent);
		if (errno != EAGAIN)
			return client_fail(agent, MORTISE_IO, "cannot send to the agent: %m");
		if (!await(agent->fd, POLLOUT, until_ms))
			return run_out(agent);
	}
	return MORTISE_OK;
}

/* No room for control messages: the kernel drops whatever descriptors came along. */
enum mortise_status connection_receive(struct mortise *agent, int64_t until_ms)
{
	for (;;) {
		ssize_t got = recv(agent->fd, agent->reply, WIRE_FRAME_MAX, MSG_TRUNC);

		if (got > 0) {
			agent->reply_size = got > WIRE_FRAME_MAX ? WIRE_FRAME_MAX : (size_t)got;
			if (got <= WIRE_FRAME_MAX)
				return MORTISE_OK;
			connection_close(agent);
			return client_fail(agent, MORTISE_IO, "the agent's reply is too large");
		}
		if (got == 0 || errno == ECONNRESET)
			return lose(agent);
		if (errno == EAGAIN) {
			if (!await(agent->fd, POLLIN, until_ms))
				return run_out(agent);
		} else if (errno != EINTR) {
			connection_close(agent);
			return client_fail(agent, MORTISE_IO, "cannot hear from the agent: %m");
		}
	}
}

void connection_close(struct mortise *agent)
{
	if (agent->fd >= 0)
		(void)close(agent->fd);
	agent->fd = -1;
}
