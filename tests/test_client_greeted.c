/* SPDX-License-Identifier: ISC */
/*
 * libmortise and an agent whose kernel cannot name who connects (before Linux 6.5): each new
 * connection begins with GREET and HELLO, and whatever comes afterwards works as without.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/wait.h>
#include <unistd.h>

#include "fake_agent.h"
#include "mortise_test.h"

#define CHALLENGE "0123456789abcdef"

/* What is done with each request that is not a greeting's, in turn; the last one goes on. */
struct script {
	int codes[8];
	int count;
};

enum {
	GIVE = -1,         /* SECRET_BYTES, or what another request wants */
	HANG_UP = -2,      /* instead of an answer */
	HANG_UP_NEXT = -3, /* instead of the answer to the next HELLO */
	HELLO_BUSY = -4,   /* is the answer to the next HELLO */
	HELLO_DENIED = -5,
};

static struct script script;
static atomic_int step, repeated_ids;
static uint32_t last_id[LINKS_MAX];
static uint16_t last_code;

static int next_code(void)
{
	int at = atomic_fetch_add(&step, 1);

	return script.codes[at < script.count ? at : script.count - 1];
}

static int peek_code(void)
{
	int at = atomic_load(&step);

	return script.codes[at < script.count ? at : script.count - 1];
}

static enum deed refuse(
	struct wire_writer *writer, const struct wire_message *request, enum mortise_status status)
{
	wire_begin(writer, writer->bytes, writer->capacity, (uint16_t)status, request->request_id);
	return REPLY;
}

static enum deed answer_hello(
	struct fake_agent *fake, const struct wire_message *request, struct wire_writer *writer)
{
	const struct wire_field *answer = wire_field_of(request, WIRE_TAG_CHALLENGE);
	int code = peek_code();

	if (request->code != WIRE_HELLO || answer->size != 16 ||
		memcmp(answer->bytes, CHALLENGE, 16) != 0)
		return CLOSE;
	if (code <= HANG_UP_NEXT)
		(void)next_code();
	if (code == HANG_UP_NEXT)
		return CLOSE;
	if (code == HELLO_BUSY || code == HELLO_DENIED)
		return refuse(writer, request, code == HELLO_BUSY ? MORTISE_BUSY : MORTISE_DENIED);
	fake->is_known[fake->link] = true;
	return REPLY;
}

static enum deed answer_known(
	struct fake_agent *fake, const struct wire_message *request, struct wire_writer *writer)
{
	int code = next_code();

	last_code = request->code;
	if (code == HANG_UP)
		return CLOSE;
	if (code != GIVE)
		return refuse(writer, request, (enum mortise_status)code);
	if (request->code == WIRE_GET)
		return fake_agent_give(fake, 0, request, writer);
	if (request->code == WIRE_SET)
		wire_put_number(writer, WIRE_TAG_VERSION, 8);
	return REPLY;
}

/* Greets each connection once; then a frame without a HELLO in between ends it. */
static enum deed greet_first(struct fake_agent *fake, int count, const struct wire_message *request,
	struct wire_writer *writer)
{
	static bool is_greeted[LINKS_MAX];
	int link = fake->link;

	if (fake->is_known[link]) {
		is_greeted[link] = false;
		return answer_known(fake, request, writer);
	}
	if (is_greeted[link]) {
		is_greeted[link] = false;
		if (request->request_id == last_id[link])
			atomic_fetch_add(&repeated_ids, 1);
		return answer_hello(fake, request, writer);
	}
	(void)count;
	is_greeted[link] = true;
	last_id[link] = request->request_id;
	wire_begin(writer, writer->bytes, writer->capacity, WIRE_GREET, request->request_id);
	wire_put(writer, WIRE_TAG_CHALLENGE, CHALLENGE, 16);
	return REPLY;
}

static struct mortise *open_greeted(struct fake_agent *fake, const int *codes, int count)
{
	assert_in_range(count, 1, 8);
	memcpy(script.codes, codes, (size_t)count * sizeof *codes);
	script.count = count;
	atomic_store(&step, 0);
	atomic_store(&repeated_ids, 0);
	fake->answer = greet_first;
	return fake_agent_open(fake);
}

#define OPEN_GREETED(fake, ...)                                                                    \
	open_greeted(fake, (const int[]){__VA_ARGS__},                                             \
		(int)(sizeof((const int[]){__VA_ARGS__}) / sizeof(int)))

static void assert_gets(struct mortise *agent)
{
	char value[64];

	assert_int_equal(fake_agent_get(agent, value), MORTISE_OK);
	assert_string_equal(value, SECRET_BYTES);
}

static void a_wait_outlasts_sealed_and_busy(void **state)
{
	struct fake_agent *fake = *state;
	struct mortise *agent =
		OPEN_GREETED(fake, MORTISE_SEALED, MORTISE_BUSY, MORTISE_SEALED, GIVE);

	mortise_set_deadline(agent, 1000, 60000);
	assert_gets(agent);
	assert_int_equal(atomic_load(&fake->connections), 1);
	assert_int_equal(atomic_load(&fake->frames), 6);
	assert_int_equal(atomic_load(&repeated_ids), 0);
	mortise_close(agent);
}

static void a_wait_goes_on_over_connections_each_of_which_is_greeted(void **state)
{
	struct fake_agent *fake = *state;
	struct mortise *agent = OPEN_GREETED(fake, MORTISE_SEALED, HANG_UP, MORTISE_BUSY, HANG_UP,
		MORTISE_SEALED, HANG_UP, MORTISE_BUSY, GIVE);

	mortise_set_deadline(agent, 1000, 60000);
	assert_gets(agent);
	assert_int_equal(atomic_load(&fake->connections), 4);
	mortise_close(agent);
}

static void without_a_wait_sealed_is_told_and_the_next_call_works(void **state)
{
	struct fake_agent *fake = *state;
	struct mortise *agent = OPEN_GREETED(fake, MORTISE_SEALED, MORTISE_SEALED, GIVE);
	char value[64];

	assert_int_equal(fake_agent_get(agent, value), MORTISE_SEALED);
	assert_int_equal(fake_agent_get(agent, value), MORTISE_SEALED);
	assert_gets(agent);
	mortise_close(agent);
}

static void every_request_that_may_wait_does(void **state)
{
	struct fake_agent *fake = *state;
	struct mortise *agent = OPEN_GREETED(fake, GIVE);
	struct wire_message reply;

	mortise_set_deadline(agent, 1000, 60000);
	for (enum wire_opcode opcode = WIRE_STATUS; opcode <= WIRE_BACKUP_VERIFY; opcode++) {
		const int codes[] = {MORTISE_SEALED, MORTISE_BUSY, MORTISE_OK};

		memcpy(script.codes, codes, sizeof codes);
		script.count = 3;
		atomic_store(&step, 0);
		fake->is_known[fake->link] = false; /* as after a restart of the agent */
		(void)client_begin(agent, opcode);
		assert_int_equal(client_call(agent, &reply), MORTISE_OK);
		assert_int_equal(last_code, opcode);
	}
	mortise_close(agent);
}

static void each_call_of_the_library_waits(void **state)
{
	struct fake_agent *fake = *state;
	struct mortise *agent = OPEN_GREETED(fake, MORTISE_SEALED, MORTISE_BUSY, GIVE);
	struct mortise_watched watched = {.path = "prod/a"};
	uint64_t version = 0;
	size_t changed = 9;

	mortise_set_deadline(agent, 1000, 60000);
	assert_int_equal(mortise_set(agent, "prod/a", "x", 1, &version), MORTISE_OK);
	assert_int_equal(version, 8);
	atomic_store(&step, 0);
	fake->is_known[fake->link] = false;
	assert_int_equal(mortise_watch(agent, &watched, 1, 0, &changed), MORTISE_OK);
	assert_int_equal(changed, 0);
	mortise_close(agent);
}

static void a_watch_begun_while_sealed_goes_on_over_restarts(void **state)
{
	struct fake_agent *fake = *state;
	struct mortise *agent = OPEN_GREETED(fake, MORTISE_SEALED, HANG_UP, HANG_UP_NEXT,
		MORTISE_BUSY, HANG_UP, MORTISE_SEALED, GIVE);
	struct mortise_watched watched = {.path = "prod/a"};
	size_t changed = 9;

	assert_int_equal(mortise_watch(agent, &watched, 1, 300, &changed), MORTISE_OK);
	assert_int_equal(changed, 0);
	assert_int_equal(last_code, WIRE_WATCH);
	mortise_close(agent);
}

static void an_agent_that_ends_within_a_greeting_is_asked_again(void **state)
{
	struct fake_agent *fake = *state;
	struct mortise *agent = OPEN_GREETED(fake, HANG_UP_NEXT, GIVE);

	assert_gets(agent);
	assert_int_equal(atomic_load(&fake->connections), 2);
	mortise_close(agent);
}

/* The request was not taken before the HELLO: even these can be sent again. */
static void a_request_that_must_not_be_repeated_outlasts_a_greeting_that_is_lost(void **state)
{
	struct fake_agent *fake = *state;
	struct mortise *agent = OPEN_GREETED(fake, HANG_UP_NEXT, MORTISE_OK);
	struct wire_message reply;

	mortise_set_deadline(agent, 1000, 60000);
	(void)client_begin(agent, WIRE_INIT);
	assert_int_equal(client_call(agent, &reply), MORTISE_OK);
	assert_int_equal(last_code, WIRE_INIT);
	assert_int_equal(atomic_load(&fake->connections), 2);
	mortise_close(agent);
}

static void a_hello_that_is_answered_busy_is_busy_and_waited_for(void **state)
{
	struct fake_agent *fake = *state;
	struct mortise *agent = OPEN_GREETED(fake, HELLO_BUSY, HELLO_BUSY, GIVE);
	char value[64];

	assert_int_equal(fake_agent_get(agent, value), MORTISE_BUSY);
	mortise_set_deadline(agent, 1000, 60000);
	assert_gets(agent);
	assert_int_equal(atomic_load(&fake->connections), 3);
	mortise_close(agent);
}

static void a_hello_that_is_denied_is_not_waited_for(void **state)
{
	struct fake_agent *fake = *state;
	struct mortise *agent = OPEN_GREETED(fake, HELLO_DENIED, GIVE);
	char value[64];

	mortise_set_deadline(agent, 1000, 60000);
	assert_int_equal(fake_agent_get(agent, value), MORTISE_DENIED);
	assert_int_equal(atomic_load(&fake->frames), 2);
	mortise_close(agent);
}

static void a_pinned_connection_is_greeted_and_waits(void **state)
{
	struct fake_agent *fake = *state;
	struct mortise *agent = OPEN_GREETED(fake, MORTISE_SEALED, MORTISE_BUSY, GIVE);

	mortise_set_deadline(agent, 1000, 60000);
	assert_int_equal(client_pin(agent), MORTISE_OK);
	assert_gets(agent);
	assert_gets(agent);
	assert_int_equal(atomic_load(&fake->connections), 1);
	mortise_close(agent);
}

static void a_forked_child_is_greeted_by_itself(void **state)
{
	struct fake_agent *fake = *state;
	struct mortise *agent = OPEN_GREETED(fake, GIVE);
	int ending = -1;
	char value[64];

	assert_gets(agent);
	pid_t child = fork();
	if (child == 0) {
		mortise_set_deadline(agent, 1000, 60000);
		_exit(fake_agent_get(agent, value) == MORTISE_OK ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &ending, 0), child);
	assert_int_equal(ending, 0);
	assert_gets(agent);
	assert_int_equal(atomic_load(&fake->connections), 2);
	mortise_close(agent);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_FAKE(a_wait_outlasts_sealed_and_busy),
		WITH_FAKE(a_wait_goes_on_over_connections_each_of_which_is_greeted),
		WITH_FAKE(without_a_wait_sealed_is_told_and_the_next_call_works),
		WITH_FAKE(every_request_that_may_wait_does),
		WITH_FAKE(each_call_of_the_library_waits),
		WITH_FAKE(a_watch_begun_while_sealed_goes_on_over_restarts),
		WITH_FAKE(an_agent_that_ends_within_a_greeting_is_asked_again),
		WITH_FAKE(a_request_that_must_not_be_repeated_outlasts_a_greeting_that_is_lost),
		WITH_FAKE(a_hello_that_is_answered_busy_is_busy_and_waited_for),
		WITH_FAKE(a_hello_that_is_denied_is_not_waited_for),
		WITH_FAKE(a_pinned_connection_is_greeted_and_waits),
		WITH_FAKE(a_forked_child_is_greeted_by_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
