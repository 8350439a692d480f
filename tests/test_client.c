/* SPDX-License-Identifier: ISC */
/* client: what libmortise sends, takes and forgets. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fake_agent.h"
#include "mortise_test.h"

static void a_get_returns_the_value(void **state)
{
	struct fake_agent *fake = *state;
	struct mortise *agent;
	char value[64];

	fake->answer = fake_agent_give;
	agent = fake_agent_open(fake);
	assert_int_equal(fake_agent_get(agent, value), MORTISE_OK);
	assert_string_equal(value, SECRET_BYTES);
	mortise_close(agent);
}

static bool is_in_memory(const uint8_t *memory, const char *text)
{
	return memmem(memory, WIRE_FRAME_MAX, text, strlen(text)) != NULL;
}

static void the_library_keeps_no_copy_of_a_value(void **state)
{
	struct fake_agent *fake = *state;
	struct wire_message reply;
	struct mortise *agent;
	char value[64];

	fake->answer = fake_agent_give;
	agent = fake_agent_open(fake);
	(void)client_begin(agent, WIRE_GET);
	assert_int_equal(client_call(agent, &reply), MORTISE_OK);
	assert_true(is_in_memory(agent->reply, SECRET_BYTES));
	assert_int_equal(fake_agent_get(agent, value), MORTISE_OK);
	assert_false(is_in_memory(agent->reply, SECRET_BYTES));
	mortise_close(agent);
}

static enum deed refuse_value(struct fake_agent *fake, int count,
	const struct wire_message *request, struct wire_writer *writer)
{
	(void)fake;
	(void)count;
	wire_begin(writer, writer->bytes, writer->capacity, MORTISE_CONFLICT, request->request_id);
	wire_put_text(writer, WIRE_TAG_TEXT, "version 4\nis current");
	return REPLY;
}

static void a_set_that_fails_keeps_no_copy_and_tells_the_agents_text(void **state)
{
	struct fake_agent *fake = *state;
	struct mortise *agent;

	fake->answer = refuse_value;
	agent = fake_agent_open(fake);
	assert_int_equal(mortise_set(agent, "prod/a", SECRET_BYTES, 12, NULL), MORTISE_CONFLICT);
	assert_string_equal(mortise_message(agent), "version 4\\u000ais current");
	assert_false(is_in_memory(agent->request, SECRET_BYTES));
	mortise_close(agent);
}

static void a_call_wipes_its_request(void **state)
{
	struct fake_agent *fake = *state;
	struct wire_message reply;
	struct mortise *agent;

	fake->answer = refuse_value;
	agent = fake_agent_open(fake);
	wire_put_text(client_begin(agent, WIRE_SET), WIRE_TAG_VALUE, SECRET_BYTES);
	assert_int_equal(client_call(agent, &reply), MORTISE_CONFLICT);
	assert_false(is_in_memory(agent->request, SECRET_BYTES));
	mortise_close(agent);
}

static void a_buffer_too_small_is_told_the_size(void **state)
{
	struct fake_agent *fake = *state;
	struct mortise *agent;
	char value[4] = "old";
	size_t size = 0;

	fake->answer = fake_agent_give;
	agent = fake_agent_open(fake);
	assert_int_equal(mortise_get(agent, "prod/a", value, 4, &size), MORTISE_INVALID);
	assert_int_equal(size, strlen(SECRET_BYTES));
	assert_string_equal(value, "old");
	assert_false(is_in_memory(agent->reply, SECRET_BYTES));
	mortise_close(agent);
}

/* Of four: a value, none, one that is too large, an empty one. */
static enum deed give_four(struct fake_agent *fake, int count, const struct wire_message *request,
	struct wire_writer *writer)
{
	static const char *const values[] = {"one", NULL, "much too large", ""};
	size_t list = wire_list_begin(writer, WIRE_TAG_ITEMS);

	(void)count;
	for (int i = 0; i < fake->items; i++) {
		size_t item = wire_item_begin(writer);

		if (values[i % 4] != NULL) {
			wire_put_number(writer, WIRE_TAG_VERSION, (uint64_t)i + 1);
			wire_put_text(writer, WIRE_TAG_VALUE, values[i % 4]);
		} else {
			wire_put_text(writer, WIRE_TAG_TEXT, "not for you");
		}
		wire_put_number(
			writer, WIRE_TAG_STATUS, values[i % 4] ? MORTISE_OK : MORTISE_DENIED);
		wire_item_end(writer, item);
	}
	wire_list_end(writer, list);
	return wire_has(request, WIRE_TAG_PATHS) ? REPLY : CLOSE;
}

static struct mortise_wanted *want_four(char buffers[4][8])
{
	static struct mortise_wanted wanted[4];

	for (size_t i = 0; i < 4; i++) {
		(void)snprintf(buffers[i], sizeof buffers[i], "old");
		wanted[i] = (struct mortise_wanted){
			.path = "prod/a", .buffer = buffers[i], .buffer_size = sizeof buffers[i]};
	}
	return wanted;
}

static void of_several_secrets_each_has_its_own_result(void **state)
{
	struct fake_agent *fake = *state;
	char buffers[4][8];
	struct mortise_wanted *wanted = want_four(buffers);
	struct mortise *agent;

	fake->answer = give_four;
	fake->items = 4;
	agent = fake_agent_open(fake);
	assert_int_equal(mortise_get_each(agent, wanted, 4), MORTISE_DENIED);
	assert_string_equal(mortise_message(agent), "not for you");
	assert_int_equal(wanted[0].status, MORTISE_OK);
	assert_int_equal(wanted[0].size, 3);
	assert_int_equal(wanted[0].version, 1);
	assert_memory_equal(buffers[0], "one", 4);
	assert_int_equal(wanted[1].status, MORTISE_DENIED);
	assert_int_equal(wanted[1].size, 0);
	assert_string_equal(buffers[1], "old");
	assert_int_equal(wanted[2].status, MORTISE_INVALID);
	assert_int_equal(wanted[2].size, 14);
	assert_string_equal(buffers[2], "old");
	assert_int_equal(wanted[3].status, MORTISE_OK);
	assert_int_equal(wanted[3].size, 0);
	assert_false(is_in_memory(agent->reply, "one"));
	mortise_close(agent);
}

static void an_answer_with_more_or_fewer_items_is_none_and_fills_no_buffer(void **state)
{
	static const int numbers[] = {0, 3, 5};
	struct fake_agent *fake = *state;
	char buffers[4][8];
	struct mortise_wanted *wanted = want_four(buffers);
	struct mortise *agent;

	fake->answer = give_four;
	agent = fake_agent_open(fake);
	for (size_t number = 0; number < sizeof numbers / sizeof numbers[0]; number++) {
		fake->items = numbers[number];
		assert_int_equal(mortise_get_each(agent, wanted, 4), MORTISE_IO);
		for (size_t i = 0; i < 4; i++) {
			assert_int_equal(wanted[i].status, MORTISE_IO);
			assert_string_equal(buffers[i], "old");
		}
	}
	mortise_close(agent);
}

static void none_and_more_than_64_at_once_are_refused_unasked(void **state)
{
	struct fake_agent *fake = *state;
	struct mortise_wanted wanted[WIRE_BATCH_MAX + 1] = {{.path = "prod/a"}};
	struct mortise *agent;

	fake->answer = give_four;
	agent = fake_agent_open(fake);
	assert_int_equal(mortise_get_each(agent, wanted, 0), MORTISE_INVALID);
	assert_int_equal(mortise_get_each(agent, wanted, WIRE_BATCH_MAX + 1), MORTISE_INVALID);
	assert_int_equal(atomic_load(&fake->frames), 0);
	mortise_close(agent);
}

static void a_value_above_the_limit_is_not_sent(void **state)
{
	static uint8_t large[MORTISE_VALUE_MAX + 1];
	struct fake_agent *fake = *state;
	struct mortise *agent;

	fake->answer = fake_agent_give;
	agent = fake_agent_open(fake);
	assert_int_equal(mortise_set(agent, "prod/a", large, sizeof large, NULL), MORTISE_INVALID);
	assert_int_equal(atomic_load(&fake->frames), 0);
	mortise_close(agent);
}

static enum deed greet(struct fake_agent *fake, int count, const struct wire_message *request,
	struct wire_writer *writer)
{
	if (count == 1) {
		wire_begin(
			writer, writer->bytes, writer->capacity, WIRE_GREET, request->request_id);
		wire_put(writer, WIRE_TAG_CHALLENGE, "0123456789abcdef", 16);
		return REPLY;
	}
	if (count == 2) {
		const struct wire_field *answer = wire_field_of(request, WIRE_TAG_CHALLENGE);

		return request->code == WIRE_HELLO && answer->size == 16 &&
				       memcmp(answer->bytes, "0123456789abcdef", 16) == 0
			       ? REPLY
			       : CLOSE;
	}
	return request->code == WIRE_GET && wire_has(request, WIRE_TAG_PATHS)
		       ? fake_agent_give(fake, count, request, writer)
		       : CLOSE;
}

static void a_greeting_is_answered_and_the_request_sent_again(void **state)
{
	struct fake_agent *fake = *state;
	struct mortise *agent;
	char value[64];

	fake->answer = greet;
	agent = fake_agent_open(fake);
	assert_int_equal(fake_agent_get(agent, value), MORTISE_OK);
	assert_string_equal(value, SECRET_BYTES);
	assert_int_equal(atomic_load(&fake->frames), 3);
	assert_int_equal(atomic_load(&fake->connections), 1);
	mortise_close(agent);
}

static enum deed greet_forever(struct fake_agent *fake, int count,
	const struct wire_message *request, struct wire_writer *writer)
{
	(void)fake;
	(void)count;
	if (request->code == WIRE_HELLO)
		return REPLY;
	wire_begin(writer, writer->bytes, writer->capacity, WIRE_GREET, request->request_id);
	wire_put(writer, WIRE_TAG_CHALLENGE, "0123456789abcdef", 16);
	return REPLY;
}

static void a_second_greeting_is_an_error(void **state)
{
	struct fake_agent *fake = *state;
	struct mortise *agent;
	char value[64];

	fake->answer = greet_forever;
	agent = fake_agent_open(fake);
	assert_int_equal(fake_agent_get(agent, value), MORTISE_IO);
	assert_int_equal(atomic_load(&fake->frames), 3);
	mortise_close(agent);
}

static enum deed answer_another(struct fake_agent *fake, int count,
	const struct wire_message *request, struct wire_writer *writer)
{
	wire_begin(writer, writer->bytes, writer->capacity, MORTISE_OK, request->request_id + 1);
	return fake_agent_give(fake, count, request, writer);
}

static void a_reply_to_another_request_is_refused(void **state)
{
	struct fake_agent *fake = *state;
	struct mortise *agent;
	char value[64];

	fake->answer = answer_another;
	agent = fake_agent_open(fake);
	assert_int_equal(fake_agent_get(agent, value), MORTISE_IO);
	assert_false(is_in_memory(agent->reply, SECRET_BYTES));
	mortise_close(agent);
}

static enum deed answer_unknown(struct fake_agent *fake, int count,
	const struct wire_message *request, struct wire_writer *writer)
{
	(void)fake;
	(void)count;
	wire_begin(
		writer, writer->bytes, writer->capacity, MORTISE_REJECTED + 1, request->request_id);
	return REPLY;
}

static void an_unknown_code_is_refused(void **state)
{
	struct fake_agent *fake = *state;
	struct mortise *agent;
	char value[64];

	fake->answer = answer_unknown;
	agent = fake_agent_open(fake);
	assert_int_equal(fake_agent_get(agent, value), MORTISE_IO);
	mortise_close(agent);
}

static void every_status_has_a_text(void **state)
{
	(void)state;
	for (int status = MORTISE_OK; status <= MORTISE_REJECTED; status++)
		assert_string_not_equal(
			mortise_status_text((enum mortise_status)status), "unknown status");
	assert_string_equal(mortise_status_text((enum mortise_status)99), "unknown status");
	assert_non_null(mortise_message(NULL));
}

/* ---- programs with more rights than their caller ---- */

#define CALLER    1000
#define OTHER     34
#define ELSEWHERE "/elsewhere/mortise.sock"

/* This program, started anew as another one that uses the library. */
static int say_socket(void)
{
	struct mortise *agent = NULL;

	if (client_new(NULL, &agent) != MORTISE_OK)
		return 1;
	printf("%s%s", getauxval(AT_SECURE) ? "secure " : "", agent->socket_path);
	return fflush(stdout);
}

static int copy_of_this(mode_t mode)
{
	char path[] = "/tmp/mortise-test.XXXXXX", bytes[65536];
	int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), to = mkostemp(path, O_CLOEXEC);
	ssize_t size;

	assert_true(from >= 0 && to >= 0);
	while ((size = read(from, bytes, sizeof bytes)) > 0)
		assert_int_equal(write(to, bytes, (size_t)size), size);
	assert_int_equal(size, 0);
	assert_int_equal(fchown(to, OTHER, OTHER), 0);
	assert_int_equal(fchmod(to, mode), 0);
	assert_int_equal(close(from), 0);
	assert_int_equal(close(to), 0); /* what is written to is not run */
	int fd = open(path, O_PATH | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(unlink(path), 0);
	return fd;
}

/* What it says, started by somebody else. */
static void start_copy(mode_t mode, char *text, size_t size)
{
	char *const words[] = {(char[]){"copy"}, (char[]){"socket"}, NULL};
	char *const variables[] = {(char[]){"MORTISE_SOCKET=" ELSEWHERE}, NULL};
	int ends[2], status, fd = copy_of_this(mode);

	assert_int_equal(pipe(ends), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (dup2(ends[1], STDOUT_FILENO) >= 0 && setresgid(CALLER, CALLER, CALLER) == 0 &&
			setresuid(CALLER, CALLER, CALLER) == 0)
			fexecve(fd, words, variables);
		_exit(99);
	}
	close(ends[1]);
	ssize_t got = read(ends[0], text, size - 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	text[got > 0 ? got : 0] = '\0';
	close(ends[0]);
	close(fd);
}

static void a_set_uid_program_is_led_to_no_other_socket_by_its_caller(void **state)
{
	char text[256];

	(void)state;
	if (geteuid() != 0)
		skip();
	start_copy(0755, text, sizeof text);
	assert_string_equal(text, ELSEWHERE);
	for (mode_t mode = 02755; mode <= 04755; mode += 02000) {
		start_copy(mode, text, sizeof text);
		if (strncmp(text, "secure ", 7) != 0)
			skip(); /* set-uid programs are none here: nosuid, or no_new_privs */
		assert_string_equal(text, "secure " CLIENT_SOCKET_DEFAULT);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		WITH_FAKE(a_get_returns_the_value),
		WITH_FAKE(the_library_keeps_no_copy_of_a_value),
		WITH_FAKE(a_set_that_fails_keeps_no_copy_and_tells_the_agents_text),
		WITH_FAKE(a_call_wipes_its_request),
		WITH_FAKE(a_buffer_too_small_is_told_the_size),
		WITH_FAKE(of_several_secrets_each_has_its_own_result),
		WITH_FAKE(an_answer_with_more_or_fewer_items_is_none_and_fills_no_buffer),
		WITH_FAKE(none_and_more_than_64_at_once_are_refused_unasked),
		WITH_FAKE(a_value_above_the_limit_is_not_sent),
		WITH_FAKE(a_greeting_is_answered_and_the_request_sent_again),
		WITH_FAKE(a_second_greeting_is_an_error),
		WITH_FAKE(a_reply_to_another_request_is_refused),
		WITH_FAKE(an_unknown_code_is_refused),
		cmocka_unit_test(a_set_uid_program_is_led_to_no_other_socket_by_its_caller),
		cmocka_unit_test(every_status_has_a_text),
	};

	if (argc == 2 && strcmp(argv[1], "socket") == 0)
		_exit(say_socket());
	return cmocka_run_group_tests(tests, NULL, NULL);
}
