/* SPDX-License-Identifier: ISC */
#include "names.h"

#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "little_endian.h"
#include "processes.h"

#define ENTRY_SIZE_FIRST 4096
#define ENTRY_SIZE_MAX   (4096 * 1024) /* groups with very many members */

/* getpwnam(3): these errors, too, may mean "not found". */
static enum mortise_status judge(int error, bool found)
{
	if (found)
		return MORTISE_OK;
	if (error == 0 || error == ENOENT || error == ESRCH)
		return MORTISE_NOT_FOUND;
	return MORTISE_IO;
}

static void free_buffer(char **buffer)
{
	free(*buffer);
}

static bool is_digits(const char *name)
{
	return *name != '\0' && name[strspn(name, "0123456789")] == '\0';
}

/* UINT32_MAX is no id: to chown and setresuid it means "leave it". */
static enum mortise_status id_of_digits(const char *name, uint32_t *out_id)
{
	unsigned long long number;

	errno = 0;
	number = strtoull(name, NULL, 10);
	if (errno != 0 || number >= UINT32_MAX)
		return MORTISE_NOT_FOUND;
	*out_id = (uint32_t)number;
	return MORTISE_OK;
}

/* name: NULL asks for uid instead. */
static enum mortise_status ask_user(const char *name, uid_t uid, struct names_user *out_user)
{
	struct passwd entry, *found = NULL;
	int error = ERANGE;

	for (size_t size = ENTRY_SIZE_FIRST; error == ERANGE && size <= ENTRY_SIZE_MAX; size *= 2) {
		CLEANUP(free_buffer) char *buffer = malloc(size);

		if (!buffer)
			return MORTISE_IO;
		error = name ? getpwnam_r(name, &entry, buffer, size, &found)
			     : getpwuid_r(uid, &entry, buffer, size, &found);
		if (!found)
			continue;
		if (strlen(entry.pw_name) >= sizeof out_user->login)
			return MORTISE_IO;
		out_user->uid = entry.pw_uid;
		out_user->gid = entry.pw_gid;
		memcpy(out_user->login, entry.pw_name, strlen(entry.pw_name) + 1);
	}
	return judge(error, found != NULL);
}

enum mortise_status names_find_user(const char *name, struct names_user *out_user)
{
	struct names_user user = {.gid = (gid_t)-1};
	enum mortise_status status;

	if (!is_digits(name)) {
		TRY(ask_user(name, 0, &user));
	} else {
		TRY(id_of_digits(name, &user.uid));
		status = ask_user(NULL, user.uid, &user);
		if (status != MORTISE_NOT_FOUND)
			TRY(status);
	}
	*out_user = user;
	return MORTISE_OK;
}

static enum mortise_status ask_group(const char *name, gid_t *out_gid)
{
	struct group entry, *found = NULL;
	int error = ERANGE;

	for (size_t size = ENTRY_SIZE_FIRST; error == ERANGE && size <= ENTRY_SIZE_MAX; size *= 2) {
		CLEANUP(free_buffer) char *buffer = malloc(size);

		if (!buffer)
			return MORTISE_IO;
		error = getgrnam_r(name, &entry, buffer, size, &found);
		if (found)
			*out_gid = entry.gr_gid;
	}
	return judge(error, found != NULL);
}

enum mortise_status names_find_group(const char *name, gid_t *out_gid)
{
	return is_digits(name) ? id_of_digits(name, out_gid) : ask_group(name, out_gid);
}

enum mortise_status names_groups(
	const struct names_user *user, gid_t *groups, size_t capacity, size_t *out_count)
{
	int count = (int)capacity;

	if (user->login[0] == '\0') {
		*out_count = 0;
		return MORTISE_OK;
	}
	if (getgrouplist(user->login, user->gid, groups, &count) < 0 || count < 0)
		return MORTISE_IO;
	*out_count = (size_t)count;
	return MORTISE_OK;
}

/* The keeper's questions: RESOLVE of processes.h. */

/* What is still free for groups in this answer, so that every name has room. */
struct answer {
	struct wire_writer writer;
	gid_t *groups;
	size_t groups_left;
};

static enum mortise_status count_names(
	const struct wire_message *request, unsigned tag, size_t *count)
{
	struct wire_list list = wire_list_of(request, tag);
	struct wire_field name;

	while (wire_list_next(&list, &name))
		(*count)++;
	return wire_list_is_whole(&list) ? MORTISE_OK : MORTISE_INVALID;
}

enum mortise_status names_check(const struct wire_message *request)
{
	size_t count = 0;

	if (!wire_has_fields(request, NULL, WIRE_TAGS(PROCESS_TAG_USERS, PROCESS_TAG_GROUPS)))
		return MORTISE_INVALID;
	TRY(count_names(request, PROCESS_TAG_USERS, &count));
	TRY(count_names(request, PROCESS_TAG_GROUPS, &count));
	return count <= NAMES_PER_REQUEST ? MORTISE_OK : MORTISE_REJECTED;
}

/* A name that no name service could be asked for is no name of anybody. */
static enum mortise_status read_name(const struct wire_field *field, char name[NAMES_LOGIN_MAX])
{
	if (field->size == 0 || field->size >= NAMES_LOGIN_MAX ||
		memchr(field->bytes, '\0', field->size))
		return MORTISE_NOT_FOUND;
	memcpy(name, field->bytes, field->size);
	name[field->size] = '\0';
	return MORTISE_OK;
}

static enum mortise_status find_user(struct answer *answer, const struct wire_field *field,
	uint32_t *out_id, size_t *out_group_count)
{
	char name[NAMES_LOGIN_MAX];
	struct names_user user;

	TRY(read_name(field, name));
	TRY(names_find_user(name, &user));
	TRY(names_groups(&user, answer->groups, answer->groups_left, out_group_count));
	*out_id = user.uid;
	return MORTISE_OK;
}

static enum mortise_status find_group(const struct wire_field *field, uint32_t *out_id)
{
	char name[NAMES_LOGIN_MAX];

	TRY(read_name(field, name));
	return names_find_group(name, out_id);
}

static void put_groups(struct answer *answer, size_t count)
{
	for (size_t i = 0; i < count; i++)
		le32_put((uint8_t *)&answer->groups[i], answer->groups[i]);
	wire_put(&answer->writer, PROCESS_TAG_IDS, answer->groups, count * sizeof *answer->groups);
	answer->groups_left -= count;
}

static void put_item(struct answer *answer, bool is_user, const struct wire_field *name)
{
	size_t mark = wire_item_begin(&answer->writer), group_count = 0;
	enum mortise_status status;
	uint32_t id = 0;

	if (is_user)
		status = find_user(answer, name, &id, &group_count);
	else
		status = find_group(name, &id);
	wire_put_number(&answer->writer, PROCESS_TAG_STATUS, (uint64_t)status);
	wire_put(&answer->writer, PROCESS_TAG_NAME, name->bytes, name->size);
	if (status == MORTISE_OK)
		wire_put_number(&answer->writer, PROCESS_TAG_NUMBER, id);
	if (status == MORTISE_OK && is_user)
		put_groups(answer, group_count);
	wire_item_end(&answer->writer, mark);
}

static void put_items(struct answer *answer, const struct wire_message *request, bool users)
{
	struct wire_list list =
		wire_list_of(request, users ? PROCESS_TAG_USERS : PROCESS_TAG_GROUPS);
	struct wire_field name;

	while (wire_list_next(&list, &name))
		put_item(answer, users, &name);
}

enum mortise_status names_answer(
	const struct wire_message *request, uint8_t *frame, size_t capacity, size_t *out_size)
{
	struct answer answer = {.groups_left = NAMES_GROUPS_MAX};
	size_t mark, size;

	answer.groups = calloc(NAMES_GROUPS_MAX, sizeof *answer.groups);
	if (!answer.groups)
		return MORTISE_IO;
	wire_begin(&answer.writer, frame, capacity, MORTISE_OK, request->request_id);
	mark = wire_list_begin(&answer.writer, PROCESS_TAG_ITEMS);
	put_items(&answer, request, true);
	put_items(&answer, request, false);
	wire_list_end(&answer.writer, mark);
	size = wire_finish(&answer.writer);
	free(answer.groups);
	if (size == 0)
		return MORTISE_IO;
	*out_size = size;
	return MORTISE_OK;
}

/* The socket does not block, since the monitor shares it; the alarm ends the wait. */
static enum mortise_status send_frame(int fd, const uint8_t *frame, size_t size)
{
	struct pollfd writable = {.fd = fd, .events = POLLOUT};

	while (send(fd, frame, size, MSG_NOSIGNAL) < 0) {
		if (errno != EAGAIN && errno != EINTR)
			return MORTISE_IO;
		if (poll(&writable, 1, -1) < 0 && errno != EINTR)
			return MORTISE_IO;
	}
	return MORTISE_OK;
}

static enum mortise_status serve(
	const struct wire_message *request, int socket_fd, const struct identity *identity)
{
	uint8_t *frame = malloc(WIRE_FRAME_MAX);
	size_t size;

	alarm(NAMES_DEADLINE_S);
	spawn_keep_only(socket_fd);
	if (!frame)
		return MORTISE_IO;
	TRY(spawn_become(identity));
	TRY(names_answer(request, frame, WIRE_FRAME_MAX, &size));
	return send_frame(PROCESS_FD, frame, size);
}

enum mortise_status names_start(const struct wire_message *request, int socket_fd,
	const struct identity *identity, pid_t *out_pid)
{
	pid_t child = spawn_fork();

	if (child == 0)
		_exit(serve(request, socket_fd, identity) == MORTISE_OK ? 0 : 1);
	if (child < 0)
		return MORTISE_IO;
	*out_pid = child;
	return MORTISE_OK;
}
