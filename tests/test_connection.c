/* SPDX-License-Identifier: ISC */
/* connection: when libmortise waits, repeats, connects again and gives up. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fake_agent.h"
#include "mortise_test.h"

static enum deed sealed_twice(struct fake_agent *fake, int count,
	const struct wire_message *request, struct wire_writer *writer)
{
	if (count > 2)
		return fake_agent_give(fake, count, request, writer);
	wire_begin(writer, writer->bytes, writer->capacity,
		count == 1 ? MORTISE_SEALED : MORTISE_BUSY, request->request_id);
	return REPLY;
}

static void a_wait_outlasts_sealed_and_busy(void **state)
{
	struct fake_agent *fake = *state;
	struct mortise *agent;
	char value[64];

	fake->answer = sealed_twice;
	agent = fake_agent_open(fake);
	mortise_set_deadline(agent, 1000, 60000);
	assert_int_equal(fake_agent_get(agent, value), MORTISE_OK);
	assert_int_equal(atomic_load(&fake->frames), 3);
	mortise_close(agent);
}

/* What the agent says to wait, in ms; of one request that it refuses. */
static atomic_int put_off_ms;
static atomic_int refusals;

static enum deed busy_for(struct fake_agent *fake, int count, const struct wire_message *request,
	struct wire_writer *writer)
{
	if (count > refusals)
		return fake_agent_give(fake, count, request, writer);
	wire_begin(writer, writer->bytes, writer->capacity, MORTISE_BUSY, request->request_id);
	wire_put_text(writer, WIRE_TAG_TEXT, "more often than the policy's rate");
	wire_put_number(writer, WIRE_TAG_NUMBER, (uint64_t)put_off_ms);
	return REPLY;
}

/* One of two values is, as its rule's rate has it. */
static enum deed one_is_busy_for(struct fake_agent *fake, int count,
	const struct wire_message *request, struct wire_writer *writer)
{
	size_t list = wire_list_begin(writer, WIRE_TAG_ITEMS), item;

	(void)fake;
	(void)request;
	for (int i = 0; i < 2; i++) {
		bool is_busy = i == 1 && count <= refusals;
		item = wire_item_begin(writer);
		if (!is_busy)
			wire_put_text(writer, WIRE_TAG_VALUE, SECRET_BYTES);
		wire_put_number(writer, WIRE_TAG_STATUS, is_busy ? MORTISE_BUSY : MORTISE_OK);
		if (is_busy)
			wire_put_number(writer, WIRE_TAG_NUMBER, (uint64_t)put_off_ms);
		wire_item_end(writer, item);
	}
	wire_list_end(writer, list);
	return REPLY;
}

static void a_wait_asks_again_when_the_agent_says_and_not_before(void **state)
{
	struct fake_agent *fake = *state;
	struct mortise *agent;
	char value[64];

	fake->answer = busy_for;
	put_off_ms = 400;
	refusals = 1;
	agent = fake_agent_open(fake);
	int64_t began_ms = client_now_ms();
	mortise_set_deadline(agent, 1000, 60000);
	assert_int_equal(fake_agent_get(agent, value), MORTISE_OK);
	assert_int_equal(atomic_load(&fake->frames), 2);
	assert_true(client_now_ms() - began_ms >= 400);
	mortise_close(agent);
}

static void a_wait_that_would_be_too_long_is_not_begun(void **state)
{
	struct fake_agent *fake = *state;
	struct mortise *agent;
	char value[64];

	fake->answer = busy_for;
	put_off_ms = 60000;
	refusals = 99;
	agent = fake_agent_open(fake);
	int64_t began_ms = client_now_ms();
	mortise_set_deadline(agent, 1000, 30000);
	assert_int_equal(fake_agent_get(agent, value), MORTISE_BUSY);
	assert_non_null(strstr(mortise_message(agent), "rate"));
	assert_int_equal(atomic_load(&fake->frames), 1);
	assert_true(client_now_ms() - began_ms < 20000);
	mortise_close(agent);
}

static enum mortise_status get_two(struct mortise *agent, struct mortise_wanted wanted[2])
{
	static char buffers[2][32];

	for (int i = 0; i < 2; i++)
		wanted[i] = (struct mortise_wanted){
			.path = "prod/a", .buffer = buffers[i], .buffer_size = 32};
	return mortise_get_each(agent, wanted, 2);
}

static void one_value_of_several_that_is_busy_is_waited_for_if_there_is_time(void **state)
{
	struct fake_agent *fake = *state;
	struct mortise_wanted wanted[2];
	struct mortise *agent;

	fake->answer = one_is_busy_for;
	put_off_ms = 50;
	refusals = 3;
	agent = fake_agent_open(fake);
	assert_int_equal(get_two(agent, wanted), MORTISE_BUSY);
	assert_int_equal(wanted[0].status, MORTISE_OK);
	assert_int_equal(wanted[1].status, MORTISE_BUSY);
	mortise_set_deadline(agent, 1000, 30000);
	assert_int_equal(get_two(agent, wanted), MORTISE_OK);
	assert_int_equal(atomic_load(&fake->frames), 4);
	refusals = 99;
	put_off_ms = 60000;
	assert_int_equal(get_two(agent, wanted), MORTISE_BUSY);
	assert_int_equal(wanted[0].status, MORTISE_OK);
	assert_int_equal(atomic_load(&fake->frames), 5);
	mortise_close(agent);
}

static void without_a_wait_sealed_is_told_at_once(void **state)
{
	struct fake_agent *fake = *state;
	struct mortise *agent;
	char value[64];

	fake->answer = sealed_twice;
	agent = fake_agent_open(fake);
	assert_int_equal(fake_agent_get(agent, value), MORTISE_SEALED);
	assert_int_equal(atomic_load(&fake->frames), 1);
	mortise_close(agent);
}

static enum deed deny(struct fake_agent *fake, int count, const struct wire_message *request,
	struct wire_writer *writer)
{
	(void)fake;
	(void)count;
	(void)request;
	fake_agent_put_item(writer, MORTISE_DENIED, NULL);
	return REPLY;
}

static void a_denial_is_not_waited_for(void **state)
{
	struct fake_agent *fake = *state;
	struct mortise *agent;
	char value[64];

	fake->answer = deny;
	agent = fake_agent_open(fake);
	mortise_set_deadline(agent, 1000, 60000);
	assert_int_equal(fake_agent_get(agent, value), MORTISE_DENIED);
	assert_int_equal(atomic_load(&fake->frames), 1);
	mortise_close(agent);
}

static void an_absent_agent_is_unreachable_and_found_later(void **state)
{
	struct fake_agent *fake = *state;
	struct mortise *agent;
	char value[64];

	assert_int_equal(mortise_open(fake->path, &agent), MORTISE_UNREACHABLE);
	assert_non_null(agent);
	assert_non_null(strstr(mortise_message(agent), fake->path));
	fake->answer = fake_agent_give;
	fake_agent_listen(fake);
	assert_int_equal(fake_agent_get(agent, value), MORTISE_OK);
	mortise_close(agent);
}

static void *listen_late(void *argument)
{
	(void)poll(NULL, 0, 70);
	fake_agent_listen(argument);
	return NULL;
}

static void a_wait_outlasts_an_absent_agent(void **state)
{
	struct fake_agent *fake = *state;
	struct mortise *agent;
	pthread_t late;
	char value[64];

	fake->answer = fake_agent_give;
	assert_int_equal(client_new(fake->path, &agent), MORTISE_OK);
	mortise_set_deadline(agent, 1000, 60000);
	assert_int_equal(pthread_create(&late, NULL, listen_late, fake), 0);
	assert_int_equal(fake_agent_get(agent, value), MORTISE_OK);
	assert_int_equal(pthread_join(late, NULL), 0);
	mortise_close(agent);
}

static void a_wait_is_the_whole_budget(void **state)
{
	struct fake_agent *fake = *state;
	int64_t began_ms = client_now_ms();
	struct mortise *agent;
	char value[64];

	assert_int_equal(client_new(fake->path, &agent), MORTISE_OK);
	mortise_set_deadline(agent, 60000, 300);
	assert_int_equal(fake_agent_get(agent, value), MORTISE_UNREACHABLE);
	assert_in_range(client_now_ms() - began_ms, 200, 5000);
	mortise_close(agent);
}

static enum deed keep_silent(struct fake_agent *fake, int count, const struct wire_message *request,
	struct wire_writer *writer)
{
	return count == 1 ? SILENCE : fake_agent_give(fake, count, request, writer);
}

static void a_silent_agent_meets_the_deadline_and_its_connection_is_given_up(void **state)
{
	struct fake_agent *fake = *state;
	struct mortise *agent;
	char value[64];

	fake->answer = keep_silent;
	agent = fake_agent_open(fake);
	mortise_set_deadline(agent, 50, 0);
	assert_int_equal(fake_agent_get(agent, value), MORTISE_UNREACHABLE);
	mortise_set_deadline(agent, 10000, 0);
	assert_int_equal(fake_agent_get(agent, value), MORTISE_OK);
	assert_int_equal(atomic_load(&fake->connections), 2);
	mortise_close(agent);
}

static enum deed keep_first_token(struct fake_agent *fake, int count,
	const struct wire_message *request, struct wire_writer *writer)
{
	assert_int_equal(wire_field_of(request, WIRE_TAG_TOKEN)->size, WIRE_TOKEN_SIZE);
	if (count == 1) {
		memcpy(fake->first_token, wire_field_of(request, WIRE_TAG_TOKEN)->bytes,
			WIRE_TOKEN_SIZE);
		return CLOSE;
	}
	wire_put_number(writer, WIRE_TAG_VERSION,
		memcmp(fake->first_token, wire_field_of(request, WIRE_TAG_TOKEN)->bytes,
			WIRE_TOKEN_SIZE) == 0
			? 8
			: 0);
	return REPLY;
}

static void a_lost_set_is_repeated_with_the_same_token(void **state)
{
	struct fake_agent *fake = *state;
	struct mortise *agent;
	uint64_t version = 0;

	fake->answer = keep_first_token;
	agent = fake_agent_open(fake);
	assert_int_equal(mortise_set(agent, "prod/a", "x", 1, &version), MORTISE_OK);
	assert_int_equal(version, 8);
	assert_int_equal(atomic_load(&fake->connections), 2);
	mortise_close(agent);
}

static enum deed hang_up(struct fake_agent *fake, int count, const struct wire_message *request,
	struct wire_writer *writer)
{
	(void)fake;
	(void)count;
	(void)request;
	(void)writer;
	return CLOSE;
}

static void a_connection_lost_twice_is_an_error(void **state)
{
	struct fake_agent *fake = *state;
	struct mortise *agent;
	char value[64];

	fake->answer = hang_up;
	agent = fake_agent_open(fake);
	assert_int_equal(fake_agent_get(agent, value), MORTISE_UNREACHABLE);
	assert_int_equal(atomic_load(&fake->frames), 2);
	mortise_close(agent);
}

static void an_init_or_a_policy_that_is_lost_is_not_repeated(void **state)
{
	static const enum wire_opcode opcodes[] = {WIRE_INIT, WIRE_POLICY_STAGE, WIRE_POLICY_APPLY};
	struct fake_agent *fake = *state;
	struct wire_message reply;
	struct mortise *agent;

	fake->answer = hang_up;
	agent = fake_agent_open(fake);
	mortise_set_deadline(agent, 1000, 500);
	for (int i = 0; i < 3; i++) {
		(void)client_begin(agent, opcodes[i]);
		assert_int_equal(client_call(agent, &reply), MORTISE_UNREACHABLE);
		assert_int_equal(atomic_load(&fake->frames), i + 1);
	}
	mortise_close(agent);
}

static enum deed give_once(struct fake_agent *fake, int count, const struct wire_message *request,
	struct wire_writer *writer)
{
	return count == 1 ? fake_agent_give(fake, count, request, writer) : CLOSE;
}

static void a_pinned_connection_is_not_replaced(void **state)
{
	struct fake_agent *fake = *state;
	struct mortise *agent;
	char value[64];

	fake->answer = give_once;
	agent = fake_agent_open(fake);
	assert_int_equal(client_pin(agent), MORTISE_OK);
	assert_int_equal(fake_agent_get(agent, value), MORTISE_OK);
	assert_int_equal(fake_agent_get(agent, value), MORTISE_UNREACHABLE);
	assert_int_equal(fake_agent_get(agent, value), MORTISE_UNREACHABLE);
	assert_int_equal(atomic_load(&fake->connections), 1);
	mortise_close(agent);
}

static void a_forked_child_connects_again(void **state)
{
	struct fake_agent *fake = *state;
	struct mortise *agent;
	char value[64];
	int ending = -1;
	pid_t child;

	fake->answer = fake_agent_give;
	agent = fake_agent_open(fake);
	assert_int_equal(fake_agent_get(agent, value), MORTISE_OK);
	child = fork();
	if (child == 0)
		_exit(fake_agent_get(agent, value) == MORTISE_OK ? 0 : 1);
	assert_int_equal(waitpid(child, &ending, 0), child);
	assert_int_equal(ending, 0);
	assert_int_equal(atomic_load(&fake->connections), 2);
	assert_int_equal(fake_agent_get(agent, value), MORTISE_OK);
	assert_int_equal(atomic_load(&fake->connections), 2);
	mortise_close(agent);
}

static void a_socket_path_too_long_is_invalid(void **state)
{
	char path[CLIENT_SOCKET_MAX + 2];
	struct mortise *agent;

	(void)state;
	memset(path, 'a', sizeof path);
	path[sizeof path - 1] = '\0';
	assert_int_equal(mortise_open(path, &agent), MORTISE_INVALID);
	mortise_close(agent);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_FAKE(a_wait_outlasts_sealed_and_busy),
		WITH_FAKE(a_wait_asks_again_when_the_agent_says_and_not_before),
		WITH_FAKE(a_wait_that_would_be_too_long_is_not_begun),
		WITH_FAKE(one_value_of_several_that_is_busy_is_waited_for_if_there_is_time),
		WITH_FAKE(without_a_wait_sealed_is_told_at_once),
		WITH_FAKE(a_denial_is_not_waited_for),
		WITH_FAKE(an_absent_agent_is_unreachable_and_found_later),
		WITH_FAKE(a_wait_outlasts_an_absent_agent),
		WITH_FAKE(a_wait_is_the_whole_budget),
		WITH_FAKE(a_silent_agent_meets_the_deadline_and_its_connection_is_given_up),
		WITH_FAKE(a_lost_set_is_repeated_with_the_same_token),
		WITH_FAKE(a_connection_lost_twice_is_an_error),
		WITH_FAKE(an_init_or_a_policy_that_is_lost_is_not_repeated),
		WITH_FAKE(a_pinned_connection_is_not_replaced),
		WITH_FAKE(a_forked_child_connects_again),
		cmocka_unit_test(a_socket_path_too_long_is_invalid),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
