/* SPDX-License-Identifier: ISC */
/* A whole keeper on kernels that lack SO_PEERPIDFD (before 6.5) or PIDFD_GET_INFO (before 6.13). */
#include "keeper_fixture.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <seccomp.h>

static void fail_call(int call, unsigned argument, uint64_t value, int error)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	struct scmp_arg_cmp compare = {argument, SCMP_CMP_MASKED_EQ, 0xffff, value};

	if (!filter ||
		seccomp_rule_add_array(
			filter, SCMP_ACT_ERRNO((unsigned)error), call, 1, &compare) != 0 ||
		seccomp_load(filter) != 0)
		_exit(98);
	seccomp_release(filter);
}

static void without_peerpidfd(void)
{
	fail_call(SCMP_SYS(getsockopt), 2, 77, ENOPROTOOPT);
}

static void without_info(void)
{
	fail_call(SCMP_SYS(ioctl), 1, 0xff0b, ENOTTY);
}

static void without_both(void)
{
	without_info();
	without_peerpidfd();
}

static int set_up(void **state, void (*before)(void))
{
	struct keeper_fixture *fixture = keeper_prepare();

	*state = fixture;
	fixture->before = before;
	keeper_start(fixture);
	return 0;
}

static int set_up_without_peerpidfd(void **state)
{
	return set_up(state, without_peerpidfd);
}

static int set_up_without_info(void **state)
{
	return set_up(state, without_info);
}

static int set_up_without_both(void **state)
{
	return set_up(state, without_both);
}

/* Asks whoami and is greeted; the challenge. */
static void be_greeted(struct keeper_fixture *fixture, struct asker *asker, uint8_t challenge[16])
{
	assert_int_equal(ask_plain(fixture, asker, WIRE_WHOAMI), WIRE_GREET);
	assert_int_equal(wire_field_of(&asker->reply, WIRE_TAG_CHALLENGE)->size, 16);
	memcpy(challenge, wire_field_of(&asker->reply, WIRE_TAG_CHALLENGE)->bytes, 16);
}

static uint16_t say_hello(
	struct keeper_fixture *fixture, struct asker *asker, const uint8_t *challenge, size_t size)
{
	wire_put(asker_begin(asker, WIRE_HELLO), WIRE_TAG_CHALLENGE, challenge, size);
	return asker_call(fixture, asker);
}

static void the_right_challenge_opens_the_connection(void **state)
{
	struct asker *asker = asker_open_bare(*state);
	uint8_t challenge[16];

	be_greeted(*state, asker, challenge);
	assert_int_equal(say_hello(*state, asker, challenge, 16), MORTISE_OK);
	assert_int_equal(ask_plain(*state, asker, WIRE_WHOAMI), MORTISE_OK);
	assert_non_null(memmem(asker->in, asker->size, "hello", 5));
	asker_close(asker);
}

static void a_wrong_challenge_is_denied(void **state)
{
	struct asker *asker = asker_open_bare(*state);
	uint8_t challenge[16];

	be_greeted(*state, asker, challenge);
	challenge[7] ^= 1;
	assert_int_equal(say_hello(*state, asker, challenge, 16), MORTISE_DENIED);
	assert_int_equal(say_hello(*state, asker, challenge, 15), MORTISE_DENIED);
	assert_int_equal(ask_plain(*state, asker, WIRE_HELLO), MORTISE_DENIED);
	assert_int_equal(ask_plain(*state, asker, WIRE_WHOAMI), ASKER_CLOSED);
	asker_close(asker);
}

static void a_challenge_of_another_connection_is_denied(void **state)
{
	struct asker *asker = asker_open_bare(*state), *other = asker_open_bare(*state);
	uint8_t challenge[16], own[16];

	be_greeted(*state, other, challenge);
	assert_int_equal(say_hello(*state, other, challenge, 16), MORTISE_OK);
	be_greeted(*state, asker, own);
	assert_int_equal(say_hello(*state, asker, challenge, 16), MORTISE_DENIED);
	asker_close(asker);
	asker_close(other);
}

static void hello_before_the_greeting_is_denied(void **state)
{
	static const uint8_t zeros[16];
	struct asker *asker = asker_open_bare(*state);

	assert_int_equal(say_hello(*state, asker, zeros, 16), MORTISE_DENIED);
	asker_close(asker);
}

static void who_does_not_answer_the_greeting_is_disconnected(void **state)
{
	struct asker *asker = asker_open_bare(*state);
	uint8_t challenge[16];

	be_greeted(*state, asker, challenge);
	assert_int_equal(ask_plain(*state, asker, WIRE_WHOAMI), ASKER_CLOSED);
	asker_close(asker);
}

static void a_set_uid_program_is_not_pinned(void **state)
{
	struct keeper_fixture *fixture = *state;
	uint8_t challenge[16];

	NEEDS_ROOT();
	assert_int_equal(setresuid(0, ALICE, 0), 0);
	struct asker *asker = asker_open_bare(fixture);
	(void)asker_begin(asker, WIRE_WHOAMI);
	asker_send(asker);
	uint16_t code = asker_receive(fixture, asker);
	if (code == WIRE_GREET) {
		memcpy(challenge, wire_field_of(&asker->reply, WIRE_TAG_CHALLENGE)->bytes, 16);
		code = say_hello(fixture, asker, challenge, 16);
	}
	assert_int_equal(setresuid(0, 0, 0), 0);
	assert_true(code == MORTISE_DENIED || code == ASKER_CLOSED);
	asker_close(asker);
}

/*
 * The keeper stands still until both have asked, and so answers both in one turn: it has taken
 * both connections before.
 */
static void a_greeting_is_no_answer_that_waits_for_others_lines(void **state)
{
	struct keeper_fixture *fixture = *state;
	const struct rlimit nothing = {1, RLIM_INFINITY};
	uint8_t challenge[16];

	NEEDS_ROOT();
	struct asker *known = asker_open_bare(fixture);
	be_greeted(fixture, known, challenge);
	assert_int_equal(say_hello(fixture, known, challenge, 16), MORTISE_OK);
	struct asker *other = asker_open_bare(fixture);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(ask_plain(fixture, known, WIRE_WHOAMI), MORTISE_OK);
	assert_int_equal(prlimit(fixture->pid, RLIMIT_FSIZE, &nothing, NULL), 0);
	assert_int_equal(kill(fixture->pid, SIGSTOP), 0);
	begin_get(known, "prod/db/password");
	asker_send(known);
	(void)asker_begin(other, WIRE_WHOAMI);
	asker_send(other);
	assert_int_equal(kill(fixture->pid, SIGCONT), 0);
	assert_int_equal(asker_receive(fixture, known), MORTISE_BUSY);
	assert_int_equal(asker_receive(fixture, other), WIRE_GREET);
	keeper_mend_log(fixture);
	asker_close(known);
	asker_close(other);
}

static void ids_from_proc_serve_as_well(void **state)
{
	struct keeper_fixture *fixture = *state;

	NEEDS_NAMES();
	struct asker *asker = asker_open_bare(fixture);
	assert_int_equal(ask_plain(fixture, asker, WIRE_WHOAMI), MORTISE_OK);
	asker_close(asker);
	if (!is_root())
		return;
	assert_int_equal(setresuid(ALICE, 0, 0), 0);
	asker = asker_open_bare(fixture);
	uint16_t code = ask_plain(fixture, asker, WIRE_WHOAMI);
	assert_int_equal(setresuid(0, 0, 0), 0);
	assert_int_equal(code, MORTISE_DENIED);
	assert_int_equal(ask_plain(fixture, asker, WIRE_WHOAMI), ASKER_CLOSED);
	asker_close(asker);
}

#define OLD(name)   cmocka_unit_test_setup_teardown(name, set_up_without_peerpidfd, tear_down_keeper)
#define OLDER(name) cmocka_unit_test_setup_teardown(name, set_up_without_both, tear_down_keeper)

int main(void)
{
	const struct CMUnitTest tests[] = {
		OLD(the_right_challenge_opens_the_connection),
		OLDER(the_right_challenge_opens_the_connection),
		OLD(a_wrong_challenge_is_denied),
		OLD(a_challenge_of_another_connection_is_denied),
		OLD(hello_before_the_greeting_is_denied),
		OLD(who_does_not_answer_the_greeting_is_disconnected),
		OLD(a_greeting_is_no_answer_that_waits_for_others_lines),
		OLD(a_set_uid_program_is_not_pinned),
		OLDER(a_set_uid_program_is_not_pinned),
		cmocka_unit_test_setup_teardown(
			ids_from_proc_serve_as_well, set_up_without_info, tear_down_keeper),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
