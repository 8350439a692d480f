/* SPDX-License-Identifier: ISC */
#include "witness.h"

#include <errno.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sysexits.h>

#include "processes.h"
#include "wire.h"
#include "witness_look.h"
#include "witness_process.h"

#define QUESTION_MAX 256
#define ANSWER_MAX   (WITNESS_PATH_SIZE + 64)

/* path NULL: none. */
static size_t put_answer(
	uint8_t *frame, uint32_t request_id, enum mortise_status status, const char *path)
{
	struct wire_writer writer;

	wire_begin(&writer, frame, ANSWER_MAX, (uint16_t)status, request_id);
	if (path)
		wire_put_text(&writer, PROCESS_TAG_TEXT, path);
	return wire_finish(&writer);
}

static size_t build_answer(uint8_t *frame, const struct wire_message *question)
{
	char path[WITNESS_PATH_SIZE];
	uint32_t id = question->request_id;
	uint64_t pid = 0;
	size_t size = 0;

	if (wire_number(question, PROCESS_TAG_NUMBER, &pid) != MORTISE_OK || pid == 0 ||
		pid > INT32_MAX)
		return put_answer(frame, id, MORTISE_INVALID, NULL);
	if (question->code == WITNESS_LOOK) {
		witness_look_up((uint32_t)pid);
		return put_answer(frame, id, MORTISE_OK, NULL);
	}
	if (question->code == WITNESS_EXE &&
		witness_look(WITNESS_MOUNTS_FD, (uint32_t)pid, path) == MORTISE_OK)
		size = put_answer(frame, id, MORTISE_OK, path);
	return size > 0 ? size : put_answer(frame, id, MORTISE_NOT_FOUND, NULL);
}

/* What is no question is not answered. */
static void serve(void)
{
	uint8_t frame[QUESTION_MAX], answer[ANSWER_MAX];
	struct wire_message question;

	for (;;) {
		ssize_t size = recv(PROCESS_FD, frame, sizeof frame, MSG_TRUNC);

		if (size == 0 || (size < 0 && errno != EINTR))
			return;
		if (size < 0 || (size_t)size > sizeof frame ||
			wire_parse(frame, (size_t)size, &question) != MORTISE_OK)
			continue;
		(void)send(PROCESS_FD, answer, build_answer(answer, &question), MSG_NOSIGNAL);
	}
}

int witness_main(void)
{
	if (witness_process_confine() != MORTISE_OK)
		return EX_OSERR;
	serve();
	return EX_OK;
}
