/* SPDX-License-Identifier: ISC */
/* The clients of keeper_fixture, and what the audit log then says. */
#include "keeper_fixture.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "caller.h"

#define LOG_ABOVE_STORE 1048576 /* bytes; the store's write-ahead log stays far below */

static int connect_to(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
	return fd;
}

bool keeper_kernel_names(void)
{
	return caller_kernel_names();
}

int keeper_connect(const struct keeper_fixture *fixture)
{
	return connect_to(fixture->socket);
}

static struct asker *open_bare(const char *path)
{
	struct asker *asker = calloc(1, sizeof *asker);

	assert_non_null(asker);
	asker->fd = connect_to(path);
	return asker;
}

struct asker *asker_open_bare(const struct keeper_fixture *fixture)
{
	return open_bare(fixture->socket);
}

/* Who is denied is so with what he asks next. */
static void greet(struct keeper_fixture *fixture, struct asker *asker)
{
	uint8_t challenge[64];

	if (ask_plain(fixture, asker, WIRE_STATUS) != WIRE_GREET)
		return;
	const struct wire_field got = *wire_field_of(&asker->reply, WIRE_TAG_CHALLENGE);
	assert_true(got.size <= sizeof challenge);
	memcpy(challenge, got.bytes, got.size);
	wire_put(asker_begin(asker, WIRE_HELLO), WIRE_TAG_CHALLENGE, challenge, got.size);
	(void)asker_call(fixture, asker);
}

struct asker *asker_open_at(struct keeper_fixture *fixture, const char *path)
{
	struct asker *asker = open_bare(path);

	if (!caller_kernel_names())
		greet(fixture, asker);
	return asker;
}

struct asker *asker_open(struct keeper_fixture *fixture)
{
	return asker_open_at(fixture, fixture->socket);
}

void asker_close(struct asker *asker)
{
	close(asker->fd);
	free(asker);
}

struct wire_writer *asker_begin(struct asker *asker, uint16_t opcode)
{
	wire_begin(&asker->writer, asker->out, sizeof asker->out, opcode, ++asker->last_id);
	return &asker->writer;
}

void asker_send(struct asker *asker)
{
	size_t size = wire_finish(&asker->writer);

	assert_true(size > 0);
	(void)!send(asker->fd, asker->out, size, MSG_NOSIGNAL);
}

void asker_send_read(struct asker *asker)
{
	int unread = 1;

	asker_send(asker);
	for (unsigned ms = 0; unread; ms++) {
		assert_true(ms < 60000);
		usleep(1000);
		assert_int_equal(ioctl(asker->fd, SIOCOUTQ, &unread), 0);
	}
}

uint16_t asker_receive(struct keeper_fixture *fixture, struct asker *asker)
{
	keeper_pump(fixture, asker->fd);
	ssize_t size = recv(asker->fd, asker->in, sizeof asker->in, 0);
	if (size <= 0)
		return ASKER_CLOSED;
	asker->size = (size_t)size;
	assert_int_equal(wire_parse(asker->in, asker->size, &asker->reply), MORTISE_OK);
	assert_int_equal(asker->reply.request_id, asker->last_id);
	asker->text[0] = '\0';
	if (wire_has(&asker->reply, WIRE_TAG_TEXT))
		assert_int_equal(
			wire_text(&asker->reply, WIRE_TAG_TEXT, asker->text, sizeof asker->text),
			MORTISE_OK);
	return asker->reply.code;
}

uint16_t asker_call(struct keeper_fixture *fixture, struct asker *asker)
{
	asker_send(asker);
	return asker_receive(fixture, asker);
}

uint16_t ask_plain(struct keeper_fixture *fixture, struct asker *asker, uint16_t opcode)
{
	(void)asker_begin(asker, opcode);
	return asker_call(fixture, asker);
}

uint16_t ask_path(
	struct keeper_fixture *fixture, struct asker *asker, uint16_t opcode, const char *path)
{
	wire_put_text(asker_begin(asker, opcode), WIRE_TAG_PATH, path);
	return asker_call(fixture, asker);
}

static void put_token(struct wire_writer *writer)
{
	static uint64_t last;
	uint8_t token[WIRE_TOKEN_SIZE] = {0};

	last++;
	memcpy(token, &last, sizeof last);
	wire_put(writer, WIRE_TAG_TOKEN, token, sizeof token);
}

uint16_t ask_set(struct keeper_fixture *fixture, struct asker *asker, const char *path,
	const void *value, size_t size)
{
	struct wire_writer *writer = asker_begin(asker, WIRE_SET);

	wire_put_text(writer, WIRE_TAG_PATH, path);
	wire_put(writer, WIRE_TAG_VALUE, value, size);
	put_token(writer);
	return asker_call(fixture, asker);
}

void begin_get(struct asker *asker, const char *path)
{
	struct wire_writer *writer = asker_begin(asker, WIRE_GET);
	size_t list = wire_list_begin(writer, WIRE_TAG_PATHS);

	wire_item_put(writer, path, strlen(path));
	wire_list_end(writer, list);
}

uint64_t ask_get(struct keeper_fixture *fixture, struct asker *asker, const char *path,
	struct wire_field *out_value)
{
	struct wire_message fields;
	struct wire_field item;
	uint64_t status = 0;

	begin_get(asker, path);
	uint16_t code = asker_call(fixture, asker);
	if (code != MORTISE_OK)
		return code;
	struct wire_list list = wire_list_of(&asker->reply, WIRE_TAG_ITEMS);
	assert_true(wire_list_next(&list, &item));
	assert_int_equal(wire_parse_fields(item.bytes, item.size, &fields), MORTISE_OK);
	assert_int_equal(wire_number(&fields, WIRE_TAG_STATUS, &status), MORTISE_OK);
	if (out_value)
		*out_value = *wire_field_of(&fields, WIRE_TAG_VALUE);
	return status;
}

uint16_t ask_init(struct keeper_fixture *fixture, struct asker *asker, const char *kind)
{
	wire_put_text(asker_begin(asker, WIRE_INIT), WIRE_TAG_SLOT_KIND, kind);
	return ask_init_begun(fixture, asker);
}

uint16_t ask_init_begun(struct keeper_fixture *fixture, struct asker *asker)
{
	uint16_t code = asker_call(fixture, asker);
	if (code != MORTISE_OK)
		return code;
	const struct wire_field *recovery = wire_field_of(&asker->reply, WIRE_TAG_RECOVERY);
	assert_in_range(recovery->size, 1, sizeof fixture->recovery - 1);
	memcpy(fixture->recovery, recovery->bytes, recovery->size);
	assert_int_equal(
		wire_text(&asker->reply, WIRE_TAG_KEY_ID, fixture->key_id, sizeof fixture->key_id),
		MORTISE_OK);
	return code;
}

uint16_t ask_recover(struct keeper_fixture *fixture, struct asker *asker, const char *key)
{
	wire_put_text(asker_begin(asker, WIRE_UNSEAL), WIRE_TAG_RECOVERY, key);
	return asker_call(fixture, asker);
}

uint16_t ask_stage(struct keeper_fixture *fixture, struct asker *asker, const char *text)
{
	size_t size = strlen(text), at = 0;
	uint16_t code;

	do {
		size_t part = size - at < WIRE_CHUNK_MAX ? size - at : WIRE_CHUNK_MAX;
		struct wire_writer *writer = asker_begin(asker, WIRE_POLICY_STAGE);
		wire_put_text(writer, WIRE_TAG_NAME, "p");
		wire_put(writer, WIRE_TAG_CHUNK, text + at, part);
		wire_put_number(writer, WIRE_TAG_OFFSET, at);
		code = asker_call(fixture, asker);
		at += part;
	} while (code == MORTISE_OK && at < size);
	return code;
}

uint16_t ask_apply(struct keeper_fixture *fixture, struct asker *asker, const char *text)
{
	uint16_t code = ask_stage(fixture, asker, text);

	if (code != MORTISE_OK)
		return code;
	put_token(asker_begin(asker, WIRE_POLICY_APPLY));
	return asker_call(fixture, asker);
}

void keeper_apply(struct keeper_fixture *fixture, const char *text)
{
	struct asker *asker = asker_open(fixture);

	if (ask_apply(fixture, asker, text) != MORTISE_OK)
		fail_msg("%s", asker->text);
	asker_close(asker);
}

void keeper_put(struct keeper_fixture *fixture, const char *path, const char *value)
{
	struct asker *asker = asker_open(fixture);

	if (ask_set(fixture, asker, path, value, strlen(value)) != MORTISE_OK)
		fail_msg("%s", asker->text);
	asker_close(asker);
}

void keeper_fact(struct keeper_fixture *fixture, const char *name, char out_text[256])
{
	struct asker *asker = asker_open(fixture);
	struct wire_field item;

	out_text[0] = '\0';
	uint16_t code = ask_plain(fixture, asker, WIRE_STATUS);
	/* A turn is refused as a whole where another's line of it can't be written. */
	for (unsigned i = 0; i < 1000 && code == MORTISE_BUSY; i++)
		code = ask_plain(fixture, asker, WIRE_STATUS);
	if (code != MORTISE_OK)
		fail_msg("STATUS: %u (%s)", code, asker->text);
	struct wire_list list = wire_list_of(&asker->reply, WIRE_TAG_ITEMS);
	while (wire_list_next(&list, &item)) {
		struct wire_message fields;
		char found[64];
		uint64_t number = 0;
		assert_int_equal(wire_parse_fields(item.bytes, item.size, &fields), MORTISE_OK);
		assert_int_equal(
			wire_text(&fields, WIRE_TAG_NAME, found, sizeof found), MORTISE_OK);
		if (strcmp(found, name) != 0)
			continue;
		if (wire_number(&fields, WIRE_TAG_NUMBER, &number) == MORTISE_OK ||
			wire_number(&fields, WIRE_TAG_TIME, &number) == MORTISE_OK)
			snprintf(out_text, 256, "%llu", (unsigned long long)number);
		else if (wire_text(&fields, WIRE_TAG_TEXT, out_text, 256) != MORTISE_OK)
			fail_msg("the fact %s says nothing", name);
	}
	asker_close(asker);
}

bool is_root(void)
{
	return getuid() == 0;
}

void become_root(void)
{
	uid_t real, effective, saved;

	assert_int_equal(getresuid(&real, &effective, &saved), 0);
	if (saved != 0 || real == 0)
		return;
	assert_int_equal(setresuid(0, 0, 0), 0);
	assert_int_equal(setresgid(0, 0, 0), 0);
}

/* The saved id stays root's, so that there is a way back; only real and effective ids count. */
void become(uint32_t uid, uint32_t gid)
{
	become_root();
	assert_int_equal(setgroups(0, NULL), 0);
	assert_int_equal(setresgid(gid, gid, 0), 0);
	assert_int_equal(setresuid(uid, uid, 0), 0);
}

char *keeper_log(const struct keeper_fixture *fixture)
{
	int fd = open(fixture->audit_log, O_RDONLY | O_CLOEXEC);
	struct stat status;

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &status), 0);
	char *text = calloc(1, (size_t)status.st_size + 1);
	assert_non_null(text);
	assert_true(read(fd, text, (size_t)status.st_size) >= 0);
	close(fd);
	return text;
}

size_t keeper_log_lines(const struct keeper_fixture *fixture)
{
	char *text = keeper_log(fixture);
	size_t lines = 0;

	for (const char *at = text; *at; at++)
		lines += *at == '\n';
	free(text);
	return lines;
}

void keeper_stop_log(struct keeper_fixture *fixture)
{
	struct asker *asker = asker_open(fixture);
	struct stat status = {.st_size = 0};

	keeper_put(fixture, "grow/the-log/a-little", ""); /* only what succeeds always has a line */
	do {
		off_t before = status.st_size;

		for (unsigned i = 0; i < 100; i++)
			(void)ask_get(fixture, asker, "grow/the-log/a-little", NULL);
		assert_int_equal(stat(fixture->audit_log, &status), 0);
		assert_true(status.st_size > before);
	} while (status.st_size < LOG_ABOVE_STORE);
	asker_close(asker);
	const struct rlimit limit = {(rlim_t)status.st_size, RLIM_INFINITY};
	assert_int_equal(prlimit(fixture->pid, RLIMIT_FSIZE, &limit, NULL), 0);
}

void keeper_mend_log(struct keeper_fixture *fixture)
{
	const struct rlimit none = {RLIM_INFINITY, RLIM_INFINITY};

	assert_int_equal(prlimit(fixture->pid, RLIMIT_FSIZE, &none, NULL), 0);
}

bool keeper_log_has(const struct keeper_fixture *fixture, const char *needle)
{
	char *text = keeper_log(fixture);
	bool found = strstr(text, needle) != NULL;

	free(text);
	return found;
}

/* Cuts the run's own numbers out of a line: what stands before "op", the pid, and the hash. */
static void strip(char *line)
{
	char *op = strstr(line, "\"op\""), *pid = strstr(line, "\"pid\":");

	if (pid) {
		char *end = strchr(pid, ',');
		memmove(pid, end + 1, strlen(end + 1) + 1);
	}
	char *prev = strstr(line, ",\"prev\"");
	if (prev)
		*prev = '\0';
	if (op)
		memmove(line, op, strlen(op) + 1);
}

/* Checkpoints come whenever the disk is done: they are passed over. */
void assert_last_line(const struct keeper_fixture *fixture, const char *expected)
{
	char *text = keeper_log(fixture), *line = text, *last = text;

	for (char *end; (end = strchr(line, '\n')); line = end + 1) {
		*end = '\0';
		if (!strstr(line, "\"op\":\"checkpoint\"") && !strstr(line, "\"op\":\"joint\""))
			last = line;
	}
	strip(last);
	assert_string_equal(last, expected);
	free(text);
}

void assert_sealed_because(struct keeper_fixture *fixture, const char *part)
{
	keeper_await_state(fixture, "sealed: ");
	if (!strstr(fixture->state, part))
		fail_msg("'%s' is not in '%s'", part, fixture->state);
}
