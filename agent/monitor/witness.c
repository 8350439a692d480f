/* SPDX-License-Identifier: ISC */
#include "witness.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "directory.h"
#include "processes.h"
#include "wire.h"

#define QUESTION_MAX 256
#define ANSWER_MAX   (WITNESS_PATH_SIZE + 64)

/* The path of an open descriptor, as the kernel knows it. */
static enum mortise_status path_of(int fd, char path[WITNESS_PATH_SIZE])
{
	char link[32];
	ssize_t size;

	(void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	size = readlink(link, path, WITNESS_PATH_SIZE);
	if (size <= 0 || size >= WITNESS_PATH_SIZE || path[0] != '/')
		return MORTISE_NOT_FOUND;
	path[size] = '\0';
	return MORTISE_OK;
}

enum mortise_status witness_look(uint32_t pid, char out_path[WITNESS_PATH_SIZE])
{
	CLEANUP(close_drop) int fd = -1;
	char link[32], path[WITNESS_PATH_SIZE];
	struct stat program, here;

	(void)snprintf(link, sizeof link, "/proc/%u/exe", pid);
	fd = open(link, O_PATH | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &program) != 0)
		return MORTISE_NOT_FOUND;
	TRY(path_of(fd, path));
	if (fstatat(AT_FDCWD, path, &here, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) != 0 ||
		!S_ISREG(here.st_mode) || here.st_dev != program.st_dev ||
		here.st_ino != program.st_ino)
		return MORTISE_NOT_FOUND;
	memcpy(out_path, path, sizeof path);
	return MORTISE_OK;
}

static size_t build_answer(uint8_t *frame, const struct wire_message *question)
{
	char path[WITNESS_PATH_SIZE] = "";
	enum mortise_status status = MORTISE_NOT_FOUND;
	struct wire_writer writer;
	uint64_t pid = 0;

	if (question->code == WITNESS_EXE &&
		wire_number(question, WIRE_TAG_NUMBER, &pid) == MORTISE_OK && pid > 0 &&
		pid <= INT32_MAX)
		status = witness_look((uint32_t)pid, path);
	wire_begin(&writer, frame, ANSWER_MAX, (uint16_t)status, question->request_id);
	if (status == MORTISE_OK)
		wire_put_text(&writer, WIRE_TAG_TEXT, path);
	return wire_finish(&writer);
}

/* What is no question is not answered. Ends with the keeper. */
static void serve(int fd)
{
	uint8_t frame[QUESTION_MAX], answer[ANSWER_MAX];
	struct wire_message question;

	for (;;) {
		ssize_t size = recv(fd, frame, sizeof frame, MSG_TRUNC);

		if (size == 0 || (size < 0 && errno != EINTR))
			return;
		if (size < 0 || (size_t)size > sizeof frame ||
			wire_parse(frame, (size_t)size, &question) != MORTISE_OK)
			continue;
		(void)send(fd, answer, build_answer(answer, &question), MSG_NOSIGNAL);
	}
}

/* Of what there is, CAP_SYS_PTRACE: without it, the programs of its own user only. */
static enum mortise_status keep_one_capability(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};
	uint32_t kept;

	if (syscall(SYS_capget, &header, data) != 0)
		return MORTISE_IO;
	kept = data[0].permitted & CAP_TO_MASK(CAP_SYS_PTRACE);
	data[0] = (struct __user_cap_data_struct){.effective = kept, .permitted = kept};
	data[1] = (struct __user_cap_data_struct){0};
	return syscall(SYS_capset, &header, data) == 0 ? MORTISE_OK : MORTISE_IO;
}

static enum mortise_status run(int socket_fd, const struct identity *identity, pid_t monitor)
{
	spawn_keep_only(socket_fd);
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0)
		return MORTISE_IO;
	TRY(spawn_become(identity));
	TRY(keep_one_capability());
	TRY(spawn_tie_to(monitor));
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
		return MORTISE_IO;
	(void)prctl(PR_SET_NAME, "witness", 0, 0, 0);
	serve(PROCESS_FD);
	return MORTISE_OK;
}

enum mortise_status witness_start(int socket_fd, const struct identity *identity, pid_t *out_pid)
{
	pid_t monitor = getpid(), child = spawn_fork();

	if (child == 0)
		_exit(run(socket_fd, identity, monitor) == MORTISE_OK ? 0 : 1);
	if (child < 0)
		return MORTISE_IO;
	*out_pid = child;
	return MORTISE_OK;
}
