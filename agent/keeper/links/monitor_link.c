/* SPDX-License-Identifier: ISC */
#include "monitor_link.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "processes.h"

#define ASK_MAX     20480 /* 64 names of 255 bytes fit */
#define PENDING_MAX 32
#define LOOK_S      1 /* between two looks for answers that are late */

struct pending {
	uint32_t id;       /* 0: free */
	uint64_t until_us; /* of CLOCK_MONOTONIC; 0: it has all time */
	monitor_answer *answer;
	void *context;
};

struct monitor_link {
	int descriptor;
	struct event *readable, *late;
	struct monitor_hooks hooks;
	void *context;
	uint32_t last_id;
	struct pending pending[PENDING_MAX];
	struct wire_writer writer;
	uint8_t out[ASK_MAX];
	uint8_t in[WIRE_FRAME_MAX];
};

/* One frame and at most one descriptor. The frame's size, 0 at the end, -1 with errno. */
static ssize_t receive(struct monitor_link *link, int *out_descriptor)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec part = {link->in, sizeof link->in};
	struct msghdr message = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = CMSG_LEN(sizeof(int))}; /* CMSG_SPACE has room for two */
	ssize_t size = recvmsg(link->descriptor, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	*out_descriptor = -1;
	if (size <= 0)
		return size;
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
		header->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(out_descriptor, CMSG_DATA(header), sizeof(int));
	return size;
}

static void lose(struct monitor_link *link)
{
	event_del(link->readable);
	for (unsigned i = 0; i < PENDING_MAX; i++) {
		struct pending pending = link->pending[i];
		link->pending[i].id = 0;
		if (pending.id)
			pending.answer(pending.context, NULL, -1);
	}
	link->hooks.lost(link->context);
}

/* Whoever asked goes on without; an answer that comes after all is nobody's. */
static void on_late(evutil_socket_t fd, short what, void *context)
{
	const struct timeval again = {.tv_sec = LOOK_S};
	struct monitor_link *link = context;
	uint64_t now_us = clock_steady_us();
	bool waits = false;

	(void)fd;
	(void)what;
	for (unsigned i = 0; i < PENDING_MAX; i++) {
		struct pending pending = link->pending[i];
		bool is_late = pending.id && pending.until_us && now_us >= pending.until_us;
		if (is_late) {
			link->pending[i].id = 0;
			pending.answer(pending.context, NULL, -1);
		}
	}
	for (unsigned i = 0; i < PENDING_MAX; i++)
		waits |= link->pending[i].id && link->pending[i].until_us;
	if (waits)
		(void)event_add(link->late, &again);
}

static void deliver(struct monitor_link *link, const struct wire_message *answer, int descriptor)
{
	for (unsigned i = 0; i < PENDING_MAX; i++) {
		struct pending *slot = &link->pending[i];
		if (slot->id && slot->id == answer->request_id) {
			struct pending pending = *slot;
			slot->id = 0;
			pending.answer(pending.context, answer, descriptor);
			return;
		}
	}
	if (descriptor >= 0)
		close(descriptor);
	if (answer->code == PROCESS_CONFIGURE)
		link->hooks.configured(link->context, answer);
}

static void on_readable(evutil_socket_t fd, short what, void *context)
{
	struct monitor_link *link = context;
	struct wire_message answer;
	int descriptor = -1;
	ssize_t size = receive(link, &descriptor);

	(void)fd;
	(void)what;
	if (size < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (size <= 0 || wire_parse(link->in, (size_t)size, &answer) != MORTISE_OK) {
		if (descriptor >= 0)
			close(descriptor);
		lose(link);
		return;
	}
	deliver(link, &answer, descriptor);
}

enum mortise_status monitor_link_new(struct event_base *base, int descriptor,
	const struct monitor_hooks *hooks, void *context, struct monitor_link **out_link)
{
	struct monitor_link *link = calloc(1, sizeof *link);

	if (!link)
		return MORTISE_BUSY;
	link->descriptor = descriptor;
	link->hooks = *hooks;
	link->context = context;
	link->readable = event_new(base, descriptor, EV_READ | EV_PERSIST, on_readable, link);
	link->late = evtimer_new(base, on_late, link);
	if (!link->readable || !link->late || event_add(link->readable, NULL) != 0) {
		monitor_link_free(link);
		return MORTISE_BUSY;
	}
	*out_link = link;
	return MORTISE_OK;
}

void monitor_link_free(struct monitor_link *link)
{
	if (!link)
		return;
	if (link->readable)
		event_free(link->readable);
	if (link->late)
		event_free(link->late);
	free(link);
}

struct wire_writer *monitor_begin(struct monitor_link *link, uint16_t code)
{
	link->last_id = link->last_id == UINT32_MAX ? 1 : link->last_id + 1;
	wire_begin(&link->writer, link->out, sizeof link->out, code, link->last_id);
	return &link->writer;
}

enum mortise_status monitor_tell(struct monitor_link *link)
{
	size_t size = wire_finish(&link->writer);

	if (!size)
		return MORTISE_INVALID;
	if (send(link->descriptor, link->out, size, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)size)
		return MORTISE_BUSY;
	return MORTISE_OK;
}

enum mortise_status monitor_ask(
	struct monitor_link *link, unsigned limit_s, monitor_answer *answer, void *context)
{
	const struct timeval first = {.tv_sec = LOOK_S};

	for (unsigned i = 0; i < PENDING_MAX; i++) {
		if (link->pending[i].id)
			continue;
		TRY(monitor_tell(link));
		link->pending[i] = (struct pending){link->last_id,
			limit_s ? clock_steady_us() + limit_s * UINT64_C(1000000) : 0, answer,
			context};
		if (limit_s && !evtimer_pending(link->late, NULL))
			(void)event_add(link->late, &first);
		return MORTISE_OK;
	}
	return MORTISE_BUSY;
}
