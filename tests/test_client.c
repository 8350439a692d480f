/* SPDX-License-Identifier: ISC */
/* client: what libmortise sends, takes and forgets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fake_agent.h"

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
	assert_string_equal(mortise_message(agent), "version 4?is current");
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
		const struct wire_field *answer = &request->field[WIRE_TAG_CHALLENGE];

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_FAKE(a_get_returns_the_value),
		WITH_FAKE(the_library_keeps_no_copy_of_a_value),
		WITH_FAKE(a_set_that_fails_keeps_no_copy_and_tells_the_agents_text),
		WITH_FAKE(a_call_wipes_its_request),
		WITH_FAKE(a_buffer_too_small_is_told_the_size),
		WITH_FAKE(a_value_above_the_limit_is_not_sent),
		WITH_FAKE(a_greeting_is_answered_and_the_request_sent_again),
		WITH_FAKE(a_second_greeting_is_an_error),
		WITH_FAKE(a_reply_to_another_request_is_refused),
		WITH_FAKE(an_unknown_code_is_refused),
		cmocka_unit_test(every_status_has_a_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
