/* SPDX-License-Identifier: ISC */
#include "monitor_state.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "directory.h"
#include "log.h"

#define ANSWER_MAX     (WIRE_TEXT_MAX + 64)
#define ANSWER_WAIT_MS 2000 /* for a keeper that does not read */

void monitor_arm(struct event *timer, int timeout_ms)
{
	const struct timeval timeout = {timeout_ms / 1000, (timeout_ms % 1000) * 1000};

	if (evtimer_add(timer, &timeout) != 0)
		log_error("a timer cannot be set");
}

void monitor_end(struct monitor *monitor, int exit_status)
{
	monitor->exit_status = exit_status;
	monitor->is_ending = true;
	credential_hold_hurry(monitor->hold, monitor->settings->timing.refusals_ms);
	if (credential_hold_is_empty(monitor->hold))
		event_base_loopbreak(monitor->base);
}

void monitor_keeper_stop_reading(struct monitor_keeper *keeper)
{
	if (keeper->readable)
		event_free(keeper->readable);
	keeper->readable = NULL;
	close_drop(&keeper->fd);
}

/* Its end is handled when it has ended: monitor_keeper_ended. */
void monitor_keeper_kill(struct monitor *monitor, const char *why)
{
	if (why)
		log_error("keeper %s: killed", why);
	monitor_keeper_stop_reading(&monitor->keeper);
	if (monitor->keeper.pid > 0)
		kill(monitor->keeper.pid, SIGKILL);
}

static enum mortise_status build_answer(uint8_t *frame, uint32_t request_id,
	enum mortise_status status, const char *text, size_t *out_size)
{
	struct wire_writer writer;
	size_t size;

	wire_begin(&writer, frame, ANSWER_MAX, (uint16_t)status, request_id);
	if (text)
		wire_put_text(&writer, PROCESS_TAG_TEXT, text);
	size = wire_finish(&writer);
	if (size == 0)
		return MORTISE_INVALID;
	*out_size = size;
	return MORTISE_OK;
}

static enum mortise_status send_patiently(int fd, const struct msghdr *message)
{
	struct pollfd writable = {.fd = fd, .events = POLLOUT};

	if (sendmsg(fd, message, MSG_NOSIGNAL) >= 0)
		return MORTISE_OK;
	if (errno != EAGAIN || poll(&writable, 1, ANSWER_WAIT_MS) != 1)
		return MORTISE_IO;
	return sendmsg(fd, message, MSG_NOSIGNAL) >= 0 ? MORTISE_OK : MORTISE_IO;
}

static void add_descriptors(struct msghdr *message, void *room, const int *fds, size_t count)
{
	struct cmsghdr *header;

	message->msg_control = room;
	message->msg_controllen = CMSG_SPACE(count * sizeof *fds);
	header = CMSG_FIRSTHDR(message);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(count * sizeof *fds);
	memcpy(CMSG_DATA(header), fds, count * sizeof *fds);
}

enum mortise_status monitor_send(
	struct monitor *monitor, uint8_t *frame, size_t size, const int *fds, size_t fd_count)
{
	_Alignas(struct cmsghdr) char room[CMSG_SPACE(MONITOR_FDS_MAX * sizeof *fds)] = {0};
	struct iovec vector = {frame, size};
	struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};

	if (fd_count > MONITOR_FDS_MAX)
		return MORTISE_IO;
	if (fd_count > 0)
		add_descriptors(&message, room, fds, fd_count);
	return send_patiently(monitor->keeper.fd, &message);
}

void monitor_answer(struct monitor *monitor, uint32_t request_id, enum mortise_status status,
	const char *text, int fd)
{
	uint8_t frame[ANSWER_MAX];
	size_t size;

	if (monitor->keeper.fd < 0)
		return;
	if (build_answer(frame, request_id, status, text, &size) != MORTISE_OK ||
		monitor_send(monitor, frame, size, &fd, fd >= 0) != MORTISE_OK)
		monitor_keeper_kill(monitor, "takes no answer");
}
