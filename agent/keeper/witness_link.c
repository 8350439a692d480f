/* SPDX-License-Identifier: ISC */
#include "witness_link.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "processes.h"
#include "wire.h"

#define FRAME_MAX   8192
#define PATIENCE_MS 250

static enum mortise_status send_question(struct witness_link *link, uint32_t pid)
{
	uint8_t frame[64];
	struct wire_writer writer;

	wire_begin(&writer, frame, sizeof frame, WITNESS_EXE, ++link->last_id);
	wire_put_number(&writer, WIRE_TAG_NUMBER, pid);
	size_t size = wire_finish(&writer);
	if (send(link->descriptor, frame, size, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)size)
		return MORTISE_UNREACHABLE;
	return MORTISE_OK;
}

/* Frames that answer earlier questions are dropped. */
static enum mortise_status receive(
	struct witness_link *link, uint8_t frame[FRAME_MAX], struct wire_message *out_answer)
{
	ssize_t size;

	do {
		size = recv(link->descriptor, frame, FRAME_MAX, MSG_DONTWAIT | MSG_TRUNC);
		if (size < 0 && errno == EINTR)
			continue;
		if (size <= 0 || size > FRAME_MAX)
			return MORTISE_UNREACHABLE;
		TRY(wire_parse(frame, (size_t)size, out_answer));
	} while (size < 0 || out_answer->request_id != link->last_id);
	return MORTISE_OK;
}

static enum mortise_status await(
	struct witness_link *link, uint8_t frame[FRAME_MAX], struct wire_message *out_answer)
{
	struct pollfd readable = {.fd = link->descriptor, .events = POLLIN};
	int ready;

	do
		ready = poll(&readable, 1, PATIENCE_MS);
	while (ready < 0 && errno == EINTR);
	link->is_late = ready == 0;
	return ready == 1 ? receive(link, frame, out_answer) : MORTISE_UNREACHABLE;
}

enum mortise_status witness_ask(
	struct witness_link *link, uint32_t pid, char out_path[WITNESS_PATH_SIZE])
{
	uint8_t frame[FRAME_MAX];
	struct wire_message answer;
	char path[WITNESS_PATH_SIZE];

	if (link->descriptor < 0)
		return MORTISE_UNREACHABLE;
	if (link->is_late && receive(link, frame, &answer) != MORTISE_OK)
		return MORTISE_UNREACHABLE;
	link->is_late = false;
	TRY(send_question(link, pid));
	TRY(await(link, frame, &answer));
	if (answer.code != MORTISE_OK ||
		wire_text(&answer, WIRE_TAG_TEXT, path, sizeof path) != MORTISE_OK ||
		path[0] != '/')
		return MORTISE_NOT_FOUND;
	memcpy(out_path, path, sizeof path);
	return MORTISE_OK;
}
